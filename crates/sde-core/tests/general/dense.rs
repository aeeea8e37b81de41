//! Solutions between the nodes, and where they cross a surface.
//!
//! Statistical tests: one family at 10⁻³ for the laws between the nodes, and one of two tests at 10⁻³ for hitting times.

use numeric::ndarray::{Array2, array, s};
use numeric::{
    Batching, Brownian, Control, Error, Noise, Scratch, Time, TimeGrid, from_row_fn, with_batching,
};
use sde_core::integrator::{
    EulerMaruyama, LevyMilstein, Midpoint, Milstein, PlatenWeak2, Sosra, Sra1, Sra3, Sri1W1,
};
use sde_core::ode::{Direction, Event, OdeSolver, Passage, Tsit5};
use sde_core::problems::{DoubleWell, Tanh, Waves};
use sde_core::{
    Additive, Integrator, Keep, NoiseClass, Ou, Reading, ReverseTime, Sde, Solver, Start, Statistics,
    as_stratonovich,
};
use sde_core::{Component, Covariance, Mixture};
use statrs::distribution::{ContinuousCDF, Normal};
use verify::{Family, Moments, kolmogorov_smirnov, normal_p_value, scores, seed};

fn grid(end: f64, steps: usize) -> TimeGrid {
    TimeGrid::uniform(0.0, end, steps).unwrap()
}

/// `dX = drift(x) dt + sigma dW` in one dimension.
fn scalar(drift: impl Fn(f64) -> f64 + Sync + Send, sigma: f64) -> impl Sde<f64> {
    let field = from_row_fn(1, move |_, x, out: &mut [f64]| {
        out[0] = drift(x[0]);
        Ok(())
    });
    Additive::new(field, &array![[sigma]]).unwrap()
}

/// The path at `ticks` of cell `cell`, from the start of the grid.
fn path_at(brownian: &Brownian<'_>, cell: u64, ticks: u64, rows: &[u64]) -> Array2<f64> {
    let mut sum = Array2::zeros((rows.len(), 2));
    let mut w = sum.clone();
    let whole = (0..cell).map(|cell| (cell, Brownian::TICKS));
    for (cell, ticks) in whole.chain([(cell, ticks)]) {
        brownian.between_into(rows, cell, 0..ticks, &mut w, None, &mut Scratch::new());
        sum += &w;
    }
    sum
}

/// Brownian motions with drift: the state at t is `x + f t + g W(t)`, with the path read from the tree.
#[test]
fn constant_noise_without_a_drift_that_sees_the_state_is_exact() {
    let field = || {
        from_row_fn(2, |_, _, out: &mut [f64]| {
            out.copy_from_slice(&[0.5, -2.0]);
            Ok(())
        })
    };
    let g = array![[1.0, 0.5], [0.0, 2.0]];
    let (rows, noise) = ((10..80).collect::<Vec<u64>>(), Noise::new(seed(1)));
    let grid = TimeGrid::from_nodes(vec![0.0, 0.3, 1.0, 1.1]).unwrap();
    let lengths = grid.lengths();
    let times = [0.0, 0.01, 0.2999, 0.3, 0.31, 0.5, 0.65, 0.999, 1.05, 1.1];
    let methods: [&dyn Integrator<f64>; 4] = [&EulerMaruyama, &Sra1, &Sosra, &Sra3];
    for method in methods {
        for refinement in [0, 2] {
            let areas = method.needs() == sde_core::Needs::Area;
            let path = noise.fork("path");
            let brownian =
                if areas { Brownian::with_area(path, &lengths) } else { Brownian::new(path, &lengths) }
                    .unwrap();
            let sde = Additive::new(field(), &g).unwrap();
            let solver = Solver::new(&sde, method, grid.clone()).unwrap().refined(refinement);
            let run =
                solver.run_at(Start::Point(&[1.0, -1.0]), &times, 10..80, noise, Control::default()).unwrap();
            assert_eq!(run.states.dim(), (70, times.len(), 2));
            for (j, (&t, time)) in times.iter().zip(&run.times).enumerate() {
                assert!((time.t - t).abs() < 1e-12);
                let cell = grid.nodes()[..3].iter().rposition(|node| node.t <= t).unwrap();
                let elapsed = (t - grid.node(cell).t).min(lengths[cell]);
                // A refined step has ticks of its own: the nearest of them may be the next one of the cell.
                let tick = brownian.tick(cell as u64, elapsed).unwrap();
                let w = path_at(&brownian, cell as u64, tick, &rows);
                for (x, w) in run.states.slice(s![.., j, ..]).rows().into_iter().zip(w.rows()) {
                    let exact = [1.0 + 0.5 * time.t + w[0] + 0.5 * w[1], -1.0 - 2.0 * time.t + 2.0 * w[1]];
                    let gap = (x[0] - exact[0]).abs().max((x[1] - exact[1]).abs());
                    assert!(gap < 1e-13, "{} at {t}: {gap}", method.name());
                }
            }
        }
    }
}

/// Every method, on an equation of each class that it solves.
fn everywhere(check: impl Fn(&Solver<f64, &dyn Sde<f64>, &dyn Integrator<f64>>)) {
    let methods: [&dyn Integrator<f64>; 8] =
        [&EulerMaruyama, &Milstein, &Midpoint, &Sra1, &Sosra, &Sra3, &Sri1W1, &PlatenWeak2];
    let problems: [&dyn Sde<f64>; 3] =
        [&Waves { strength: 1.0 }, &DoubleWell { dim: 2, sigma: 1.0 }, &Tanh { dim: 2, a: 0.1, b: 0.2 }];
    for method in methods {
        for sde in problems.iter().filter(|sde| method.orders(sde.noise_class()).is_some()) {
            let converted = as_stratonovich(*sde);
            let stratonovich =
                method.reading() == Some(Reading::Stratonovich) && sde.noise_class() != NoiseClass::Additive;
            let sde: &dyn Sde<f64> = if stratonovich { &converted } else { *sde };
            let solver = Solver::new(sde, method, grid(1.0, 5)).unwrap();
            check(&solver);
            check(&solver.refined(1));
        }
    }
}

#[test]
fn nodes_keep_their_bits_and_times_their_states() {
    let noise = Noise::new(seed(2));
    let start = Array2::from_shape_fn((70, 2), |(i, j)| 0.01 * (i + j) as f64 - 0.3);
    everywhere(|solver| {
        let name = solver.integrator().name();
        let run = |times: &[f64]| {
            solver.run_at(Start::Rows(&start), times, 5..75, noise, Control::default()).unwrap()
        };
        let nodes = solver.run(Start::Rows(&start), Keep::All, 5..75, noise, Control::default()).unwrap();
        let steps = solver.grid().steps();
        // Nodes alone; then five times in each step among them.
        let alone = run(&solver.grid().nodes().iter().map(|node| node.t).collect::<Vec<_>>());
        assert_eq!(alone, nodes);
        let cut: Vec<f64> = (0..=6 * steps).map(|j| j as f64 / (6 * steps) as f64).collect();
        let cut: Vec<f64> =
            (0..cut.len()).map(|j| if j % 6 == 0 { solver.grid().node(j / 6).t } else { cut[j] }).collect();
        let all = run(&cut);
        for k in 0..=steps {
            let [a, b] = [&all.states.slice(s![.., 6 * k, ..]), &nodes.states.slice(s![.., k, ..])];
            assert_eq!(a, b, "{name}");
        }
        let calls = 70 * (steps + 5 * steps) * solver.integrator().calls();
        let expected = Statistics { calls: calls as u64, accepted: 70 * steps as u64, rejected: 0 };
        assert_eq!(all.statistics, expected);
        // Of itself, whatever else was asked for, and in any shard.
        let one = run(&cut[8..9]);
        assert_eq!(one.states.slice(s![.., 0, ..]), all.states.slice(s![.., 8, ..]), "{name}");
        let part = start.slice(s![10..30, ..]).to_owned();
        let shard = solver.run_at(Start::Rows(&part), &cut[8..9], 15..35, noise, Control::default()).unwrap();
        assert_eq!(shard.states, one.states.slice(s![10..30, .., ..]));
        // Towards the nodes: a part of 2⁻³⁰ of a step is √(2⁻³⁰/5) long.
        let close = 2_f64.powi(-30) / steps as f64;
        let near = run(&[cut[6] - close, cut[6] + close]);
        let gap = |j: usize| {
            let gap = &near.states.slice(s![.., j, ..]) - &nodes.states.slice(s![.., 1, ..]);
            gap.iter().fold(0.0_f64, |max, e| max.max(e.abs()))
        };
        assert!(gap(0) < 3e-4 && gap(1) < 3e-4, "{name}: {} {}", gap(0), gap(1));
        assert!(gap(0) > 1e-8 && gap(1) > 1e-8, "{name}");
    });
}

/// Ornstein–Uhlenbeck from 1: at each time the Gaussian law, and within one step the transition between two times.
#[test]
fn states_between_the_nodes_have_their_law() {
    let (sigma, n) = (0.8, 20_000);
    let solver = Solver::new(scalar(|x| -x, sigma), Sra1, grid(1.0, 16)).unwrap();
    let times = [0.02, 0.47, 0.49, 0.9];
    let run =
        solver.run_at(Start::Point(&[1.0]), &times, 0..n, Noise::new(seed(3)), Control::default()).unwrap();
    let mut family = Family::new(1e-3).unwrap();
    let variance = |t: f64| sigma * sigma * -(-2.0 * t).exp_m1() / 2.0;
    let mut push = |name: String, sample: Vec<f64>, mean: f64, std_dev: f64| {
        let law = Normal::new(mean, std_dev).unwrap();
        family.push(format!("{name}, KS"), kolmogorov_smirnov(&sample, |x| law.cdf(x)).unwrap().p_value);
        let found = scores(&sample, &Moments { mean, std_dev, kurtosis: 3.0 }).unwrap();
        family.push(format!("{name}, Z"), found.z_p_value());
        family.push(format!("{name}, Y"), found.y_p_value());
    };
    let state = |j: usize| run.states.slice(s![.., j, 0]).to_vec();
    for (j, t) in times.into_iter().enumerate() {
        push(format!("at {t}"), state(j), (-t).exp(), variance(t).sqrt());
    }
    // 0.47 and 0.49 lie in one step, 7/16 to 8/16.
    let decay = (-0.02_f64).exp();
    let moved = state(2).iter().zip(state(1)).map(|(b, a)| b - decay * a).collect();
    push("0.47 to 0.49".into(), moved, 0.0, variance(0.02).sqrt());
    family.assert();
}

#[test]
fn grids_may_run_back() {
    let component =
        |mean| Component { weight: 0.5, mean: array![mean], covariance: Covariance::Isotropic(0.04) };
    let data = Mixture::new(vec![component(-1.0), component(1.0)]).unwrap();
    let sde = ReverseTime::new(data.score::<f64, _>(Ou), 1.0).unwrap();
    let back = TimeGrid::from_nodes(vec![2.0, 1.0, 0.5, 0.1]).unwrap();
    let solver = Solver::new(sde, Sra1, back).unwrap();
    let run = |times: &[f64]| {
        solver.run_at(Start::Point(&[0.3]), times, 0..3, Noise::new(seed(4)), Control::default())
    };
    let found = run(&[2.0, 1.5, 0.4, 0.1]).unwrap();
    assert!(
        found.times.iter().map(|time| time.t).zip([2.0, 1.5, 0.4, 0.1]).all(|(a, b)| (a - b).abs() < 1e-12)
    );
    assert!(matches!(run(&[1.5, 1.6]), Err(Error::Entry { parameter: "times", index: 1, value: 1.6, .. })));
    assert!(matches!(run(&[2.1]), Err(Error::Entry { index: 0, .. })));
    assert!(matches!(run(&[0.05]), Err(Error::Entry { index: 0, .. })));
}

#[test]
fn times_are_checked() {
    let solver = Solver::new(scalar(|x| -x, 1.0), EulerMaruyama, grid(1.0, 4)).unwrap();
    let (noise, control) = (Noise::new(1), Control::default());
    let run = |times: &[f64]| solver.run_at(Start::Point(&[0.0]), times, 0..2, noise, control);
    for (times, wrong) in [
        (&[0.1, 0.3, 0.2][..], 2),
        (&[0.1, 0.1], 1),
        (&[-1e-300], 0),
        (&[0.5, 1.0 + 1e-15], 1),
        (&[0.2, f64::NAN], 1),
        (&[f64::INFINITY], 0),
        // Both at the same tick.
        (&[0.3, 0.3 + 1e-15], 1),
    ] {
        let error = run(times).unwrap_err();
        let found = matches!(error, Error::Entry { parameter: "times", index, .. } if index == wrong);
        assert!(found, "{times:?}: {error}");
    }
    assert_eq!(run(&[]).unwrap().states.dim(), (2, 0, 1));
    assert!(matches!(
        solver.run_at(Start::Prior, &[0.1], 0..2, noise, control),
        Err(Error::Unsupported { .. })
    ));
    assert!(matches!(
        solver.run_at(Start::Point(&[0.0; 2]), &[0.1], 0..2, noise, control),
        Err(Error::Shape { .. })
    ));
    let levy = Solver::new(Waves { strength: 1.0 }, LevyMilstein { depth: 1 }, grid(1.0, 2)).unwrap();
    let refused = levy.run_at(Start::Point(&[0.0; 2]), &[0.1], 0..1, noise, control).unwrap_err();
    assert!(matches!(refused, Error::Unsupported { method: "LevyMilstein", .. }), "{refused}");
    // A state that stops being finite between two nodes or at one: the step of the grid is named.
    let wild = from_row_fn(1, |time: Time, _, out: &mut [f64]| {
        out[0] = if time.t < 0.5 { 0.0 } else { f64::NAN };
        Ok(())
    });
    let sde = Additive::<f64, _>::new(wild, &array![[1.0]]).unwrap();
    let solver = Solver::new(sde, EulerMaruyama, grid(1.0, 4)).unwrap();
    for times in [&[0.1, 0.2, 0.6][..], &[0.1, 0.2]] {
        let error = solver.run_at(Start::Point(&[0.0]), times, 7..9, noise, control).unwrap_err();
        assert!(matches!(error, Error::NotFinite { row: 7, step: 2, .. }), "{error}");
    }
}

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
    let levy = Solver::new(Waves { strength: 1.0 }, LevyMilstein { depth: 1 }, grid(1.0, 2)).unwrap();
    let refused = levy.run_until(Start::Point(&[0.0; 2]), &event, 0..1, noise, control).unwrap_err();
    assert!(matches!(refused, Error::Unsupported { method: "LevyMilstein", .. }), "{refused}");
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
