//! Where solutions cross a surface.
//!
//! Statistical tests: one family of two tests at 10⁻³ for hitting times.

use numeric::ndarray::{array, s};
use numeric::{Batching, Brownian, Control, Error, Noise, Time, from_row_fn, with_batching};
use sde_core::integrator::{EulerMaruyama, Sra1, Sra3};
use sde_core::ode::{Direction, Event, OdeSolver, Passage, Tsit5};
use sde_core::{Additive, Keep, Sde, Solver, Start, Statistics};
use statrs::distribution::{ContinuousCDF, Normal};
use verify::{Family, normal_p_value, seed};

use super::{everywhere, grid, scalar};

fn level(x: f64) -> impl Fn(Time, &[f64]) -> f64 + Sync {
    move |_, state: &[f64]| state[0] - x
}

/// A crossing is where the path that `run_at` gives crosses: one tick earlier g has the other sign.
#[test]
fn a_crossing_is_a_change_of_sign_from_one_tick_to_the_next() {
    let noise = Noise::new(seed(5));
    let function = |time: Time, x: &[f64]| x[0] + 0.5 * x[1] - 0.2 - 0.1 * time.t;
    everywhere(|solver| {
        let name = solver.integrator().name();
        let event = |direction| Event { function: &function, direction, terminal: false };
        let events = [event(Direction::Rising), event(Direction::Falling), event(Direction::Either)];
        let start = Start::Point(&[0.1, 0.1]);
        let (ways, statistics) = solver.run_until(start, &events, 3..103, noise, Control::default()).unwrap();
        let nodes = solver.run(start, Keep::All, 3..103, noise, Control::default()).unwrap();
        assert_eq!(statistics.accepted, 100 * solver.grid().steps() as u64);
        let tick = 0.2 / Brownian::TICKS as f64;
        let mut seen = 0;
        for (i, way) in ways.iter().enumerate() {
            assert!(way.row == i as u64 + 3 && !way.ended && way.time == solver.grid().last());
            assert_eq!(way.state, nodes.states.slice(s![i, -1, ..]).to_vec());
            // Each sign change between nodes is seen, once by its direction and once by `Either`.
            let signs: Vec<bool> = (0..=solver.grid().steps())
                .map(|k| function(nodes.times[k], nodes.states.slice(s![i, k, ..]).as_slice().unwrap()) > 0.0)
                .collect();
            let changes: Vec<usize> =
                signs.windows(2).filter(|w| w[0] != w[1]).map(|w| usize::from(w[0])).collect();
            let expected: Vec<usize> = changes.iter().flat_map(|&falling| [falling, 2]).collect();
            assert_eq!(way.crossings.iter().map(|c| c.event).collect::<Vec<_>>(), expected);
            for crossing in way.crossings.iter().filter(|crossing| crossing.event < 2) {
                seen += 1;
                let times = [crossing.time.t - tick, crossing.time.t];
                let run = solver
                    .run_at(start, &times, way.row..way.row + 1, noise, Control::default())
                    .unwrap_or_else(|e| panic!("{name}, {crossing:?}: {e}"));
                assert_eq!(run.times[1], crossing.time, "{name}");
                assert_eq!(run.states.slice(s![0, 1, ..]).to_vec(), crossing.state, "{name}");
                let [before, after] = [0, 1]
                    .map(|j| function(run.times[j], run.states.slice(s![0, j, ..]).as_slice().unwrap()));
                let rising = crossing.event == 0;
                let right = if rising { before < 0.0 && after >= 0.0 } else { before > 0.0 && after <= 0.0 };
                assert!(right, "{name}: {before} {after}");
                // A tick is 2·10⁻¹³ long, and the path moves by 4·10⁻⁷ in it.
                assert!(after.abs() < 1e-5);
            }
        }
        assert!(seen >= 10, "{name}: {seen}");
    });
}

/// `E e^{−λτ}` of the first passage of μt + σW over b is `exp(b (μ − √(μ² + 2λσ²))/σ²)`. On a grid the barrier seems
/// farther by 0.5826 σ√h; located within the step that crosses, at most h earlier than its end, which is a factor of
/// e^{λh} at most.
#[test]
fn hitting_times_have_their_law_up_to_the_grid() {
    let (mu, sigma, b, lambda, end, steps, n) = (0.5_f64, 1.2_f64, 1.0, 2.0_f64, 8.0, 2048, 20_000);
    let h = end / steps as f64;
    let solver = Solver::new(scalar(move |_| mu, sigma), EulerMaruyama, grid(end, steps)).unwrap();
    let function = level(b);
    let barrier = Event { function: &function, direction: Direction::Rising, terminal: true };
    let (ways, _) = solver
        .run_until(Start::Point(&[0.0]), &[barrier], 0..n, Noise::new(seed(6)), Control::default())
        .unwrap();
    let values: Vec<f64> =
        ways.iter().map(|way| if way.ended { (-lambda * way.time.t).exp() } else { 0.0 }).collect();
    let mean = values.iter().sum::<f64>() / n as f64;
    let spread = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n as f64;
    let error = (spread / n as f64).sqrt();
    let transform =
        |b: f64| (b * (mu - (mu * mu + 2.0 * lambda * sigma * sigma).sqrt()) / (sigma * sigma)).exp();
    let shifted = transform(b + 0.5826 * sigma * h.sqrt());
    // Between the law at the ends of the steps and that at most h earlier.
    let gap = mean - mean.clamp(shifted, shifted * (lambda * h).exp());
    println!("E exp(-λτ): {mean:.5} ± {error:.5}; shifted {shifted:.5}, continuous {:.5}", transform(b));
    let mut family = Family::new(1e-3).unwrap();
    family.push("transform of the hitting time", normal_p_value(gap / error));
    // P(τ > T) with the shifted barrier, by the reflection principle.
    let survive = |b: f64, t: f64| {
        let normal = Normal::new(0.0, 1.0).unwrap();
        let root = sigma * t.sqrt();
        normal.cdf((b - mu * t) / root)
            - (2.0 * mu * b / (sigma * sigma)).exp() * normal.cdf((-b - mu * t) / root)
    };
    let shift = 0.5826 * sigma * h.sqrt();
    let expected = survive(b + shift, end);
    let alive = ways.iter().filter(|way| !way.ended).count() as f64 / n as f64;
    println!("P(τ > {end}): {alive:.5}; shifted {expected:.5}, continuous {:.5}", survive(b, end));
    family.push(
        "survival",
        normal_p_value((alive - expected) / (expected * (1.0 - expected) / n as f64).sqrt()),
    );
    family.assert();
    // The bias is there, as documented: without the shift, the transform is refuted.
    assert!(transform(b) - mean > 4.0 * error);
    for way in &ways {
        assert_eq!(way.ended, !way.crossings.is_empty());
        assert!(way.ended || way.time.t == end && way.state[0] < b);
    }
}

#[test]
fn without_noise_a_crossing_is_the_root_of_the_ordinary_equation() {
    let drift = |x: f64| 1.0 - 0.3 * x * x;
    let function = |time: Time, x: &[f64]| x[0] - (0.2 + time.t * time.t);
    let event = [Event { function: &function, direction: Direction::Falling, terminal: true }];
    let field = from_row_fn(1, move |_, x, out: &mut [f64]| {
        out[0] = drift(x[0]);
        Ok(())
    });
    let start = array![[0.5], [0.8], [1.1], [1.4]];
    let ode = OdeSolver { field, method: Tsit5::new(1e-12, 1e-12).unwrap(), grid: grid(3.0, 1) };
    let exact = ode.run_until(Start::Rows(&start), &event, 0..4, Control::default()).unwrap().0;
    let solver = Solver::new(scalar(drift, 0.0), Sra3, grid(3.0, 128)).unwrap();
    let (found, statistics) =
        solver.run_until(Start::Rows(&start), &event, 0..4, Noise::new(1), Control::default()).unwrap();
    let mut steps = 0;
    for (found, exact) in found.iter().zip(&exact) {
        assert!(found.ended && exact.ended);
        // Order 3 with h = 0.023: 10⁻⁵ h.
        assert!((found.time.t - exact.time.t).abs() < 1e-6, "{} {}", found.time.t, exact.time.t);
        assert!((found.state[0] - exact.state[0]).abs() < 2e-6);
        steps += (found.time.t * 128.0 / 3.0).ceil() as u64;
    }
    assert_eq!(statistics.accepted, steps);
    // 40 halvings each, and the crossing itself twice.
    assert_eq!(statistics.calls, 3 * (steps + 4 * 41));
}

/// Several events: order of times, ends, both directions, zeros that are reached exactly.
#[test]
fn events_are_put_in_order() {
    let clock = || Solver::new(scalar(|_| 1.0, 0.0), EulerMaruyama, grid(2.0, 2)).unwrap();
    let at: Vec<_> = [0.75, 0.25, 1.0, 0.25, 1.5].into_iter().map(level).collect();
    let events = |terminal: usize| -> Vec<Event<'_, f64>> {
        at.iter()
            .enumerate()
            .map(|(i, function)| Event { function, direction: Direction::Rising, terminal: i == terminal })
            .collect()
    };
    let run = |events: &[Event<'_, f64>]| -> Passage<f64> {
        let solver = clock();
        let ways =
            solver.run_until(Start::Point(&[0.0]), events, 0..1, Noise::new(1), Control::default()).unwrap();
        ways.0.into_iter().next().unwrap()
    };
    let order = |way: &Passage<f64>| way.crossings.iter().map(|c| c.event).collect::<Vec<_>>();
    let way = run(&events(9));
    assert_eq!(order(&way), [1, 3, 0, 2, 4]);
    assert!(!way.ended && way.state == [2.0]);
    assert_eq!(way.crossings.iter().map(|c| c.time.t).collect::<Vec<_>>(), [0.25, 0.25, 0.75, 1.0, 1.5]);
    // What is at the time of the end is reported, what is later is not.
    let way = run(&events(1));
    assert_eq!((order(&way), way.ended, way.time.t), (vec![1, 3], true, 0.25));
    // Reached exactly at a node, which it then leaves: once. Falling: never. On the surface at the start: no crossing.
    let zero = level(0.0);
    let never = [
        Event { function: &at[2], direction: Direction::Falling, terminal: true },
        Event { function: &zero, direction: Direction::Either, terminal: true },
    ];
    let way = run(&never);
    assert_eq!((order(&way), way.ended, way.time.t), (vec![], false, 2.0));
}

#[test]
fn ways_do_not_see_each_other() {
    fn sde(rows: usize) -> impl Sde<f64> {
        let drift = from_row_fn(1, |_, x, out: &mut [f64]| {
            out[0] = x[0].sin();
            Ok(())
        });
        let field = with_batching(drift, Batching { rows, ..Batching::default() }).unwrap();
        Additive::new(field, &array![[0.9]]).unwrap()
    }
    let (up, down) = (level(0.6), level(-0.4));
    let events = [
        Event { function: &up, direction: Direction::Either, terminal: true },
        Event { function: &down, direction: Direction::Either, terminal: false },
    ];
    let run = |block: usize, rows: std::ops::Range<u64>| {
        let sde = sde(block);
        let solver = Solver::new(&sde, Sra1, grid(1.0, 24)).unwrap().refined(1);
        solver
            .run_until(Start::Point(&[0.0]), &events, rows, Noise::new(seed(7)), Control::default())
            .unwrap()
    };
    let (ways, statistics) = run(64, 0..150);
    let ended = ways.iter().filter(|way| way.ended).count();
    assert!((30..140).contains(&ended), "{ended}");
    assert_eq!(run(7, 0..150), (ways.clone(), statistics));
    // Two shards are the whole, with its statistics.
    let [(first, mut cost), (second, rest)] = [run(64, 0..61), run(64, 61..150)];
    cost += rest;
    assert_eq!(([first, second].concat(), cost), (ways, statistics));
    assert_eq!(run(64, 9..9), (vec![], Statistics::default()));
}

#[test]
fn what_cannot_be_followed_is_refused() {
    let (noise, control) = (Noise::new(1), Control::default());
    let zero = level(10.0);
    let event = [Event { function: &zero, direction: Direction::Either, terminal: true }];
    let field = from_row_fn(1, |_, _, out: &mut [f64]| {
        out[0] = 0.0;
        Ok(())
    });
    let network = with_batching(field, Batching { rowwise: false, ..Batching::default() }).unwrap();
    let sde = Additive::<f64, _>::new(network, &array![[1.0]]).unwrap();
    let solver = Solver::new(sde, EulerMaruyama, grid(1.0, 2)).unwrap();
    let refused = solver.run_until(Start::Point(&[0.0]), &event, 0..1, noise, control).unwrap_err();
    assert!(matches!(refused, Error::Unsupported { method: "EulerMaruyama", .. }), "{refused}");
    let solver = Solver::new(scalar(|_| 1.0, 0.0), EulerMaruyama, grid(2.0, 4)).unwrap();
    assert!(solver.run_until(Start::Prior, &event, 0..1, noise, control).is_err());
    assert!(solver.run_until(Start::Point(&[0.0; 2]), &event, 0..1, noise, control).is_err());
    assert!(solver.run_until(Start::Point(&[f64::NAN]), &event, 0..1, noise, control).is_err());
    // NaN of g at the start, at a node, and where a crossing is being located (x is the time).
    for (from, to, step) in [(0.0, 0.1, 0), (1.0, 1.1, 1), (0.7, 0.8, 1)] {
        let function = move |_: Time, x: &[f64]| {
            if (from..=to).contains(&x[0]) { f64::NAN } else { x[0] - 0.75 }
        };
        let event = [Event { function: &function, direction: Direction::Rising, terminal: true }];
        let error = solver.run_until(Start::Point(&[0.0]), &event, 4..5, noise, control).unwrap_err();
        let found = matches!(error, Error::NotFinite { what: "the event function", row: 4, step: k, .. } if k == step);
        assert!(found, "{error}");
    }
}
