//! Jumps coupled to a differential equation, against closed forms.

use ctmc::network::{FlowJump, PiecewiseDeterministic};
use numeric::ndarray::array;
use numeric::{Control, Error, Noise};
use verify::{Family, normal_p_value, seed};

use crate::{assert_near, pade};

const ROWS: u64 = 4000;

/// x decays from 2, and a jump comes at the rate x: the hazard until t is 2 (1 − e^{−t}).
#[test]
fn jumps_are_where_the_hazard_meets_its_exponential_number() {
    let jump = FlowJump::new("jump", [(0, 1)], |_, n, x| if n[0] == 0 { x[0] } else { 0.0 });
    let process = PiecewiseDeterministic::new(1, 1, |_, _, x, out| out[0] = -x[0], vec![jump]).unwrap();
    for tolerance in [1e-6, 1e-10] {
        let process = process.clone().with_tolerance(tolerance).unwrap();
        let (mut none, noise) = (0, Noise::new(9));
        for row in 0..300 {
            let target = noise.fork("flow").row_stream(row).exponential();
            let mut walk = process.walk(&[0], &[2.0], row, noise).unwrap();
            match walk.next_jump(30.0).unwrap() {
                Some((time, _)) => {
                    // An error of the hazard moves the time by its inverse rate.
                    let exact = -(-0.5 * target).ln_1p();
                    let rate = 2.0 - target;
                    assert!((time - exact).abs() <= 100.0 * tolerance / rate, "{time} {exact}");
                    assert_near(walk.x()[0], rate, 100.0 * tolerance);
                    assert!(walk.next_jump(40.0).unwrap().is_none() && walk.time() == 40.0);
                }
                None => {
                    assert!(target > 2.0 - 1e-5);
                    none += 1;
                }
            }
        }
        assert!((20..70).contains(&none), "{none}"); // e^{−2} of 300
    }
}

/// A gene that is switched on and off and what it makes, as a concentration: its moments obey linear equations. False
/// alarms: one run in ten thousand.
#[test]
fn a_switched_flow_has_the_moments_of_its_equations() {
    let mut family = Family::new(1e-4).unwrap();
    let (on, off, make, lose) = (0.6, 1.1, 5.0, 0.8);
    let switch = vec![
        FlowJump::new("on", [(0, 1)], move |_, n, _| if n[0] == 0 { on } else { 0.0 }),
        FlowJump::new("off", [(0, -1)], move |_, n, _| if n[0] == 1 { off } else { 0.0 }),
    ];
    let slope = move |_: f64, n: &[u32], x: &[f64], out: &mut [f64]| {
        out[0] = make * f64::from(n[0]) - lose * x[0];
    };
    let process = PiecewiseDeterministic::new(1, 1, slope, switch).unwrap();
    let times = [0.5, 3.0];
    let noise = Noise::new(seed(500));
    let (genes, made) = process.states_at(&[0], &[0.0], &times, 0..ROWS, noise, Control::default()).unwrap();
    // d/dt of (1, E G, E X, E GX, E X²).
    let rates = array![
        [0.0, 0.0, 0.0, 0.0, 0.0],
        [on, -on - off, 0.0, 0.0, 0.0],
        [0.0, make, -lose, 0.0, 0.0],
        [0.0, make, on, -on - off - lose, 0.0],
        [0.0, 0.0, 0.0, 2.0 * make, -2.0 * lose],
    ];
    for (k, time) in times.into_iter().enumerate() {
        let exact = pade(&rates, time).column(0).to_vec();
        let root_n = (ROWS as f64).sqrt();
        let mut mean_of = |name: &str, values: &dyn Fn(usize) -> f64, exact: f64| {
            let all: Vec<f64> = (0..ROWS as usize).map(values).collect();
            let mean = all.iter().sum::<f64>() / ROWS as f64;
            let sd = (all.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / ROWS as f64).sqrt();
            family.push(format!("{name} at {time}"), normal_p_value((mean - exact) / (sd / root_n)));
        };
        mean_of("gene", &|row| f64::from(genes[[row, k, 0]]), exact[1]);
        mean_of("made", &|row| made[[row, k, 0]], exact[2]);
        mean_of("both", &|row| f64::from(genes[[row, k, 0]]) * made[[row, k, 0]], exact[3]);
        mean_of("square", &|row| made[[row, k, 0]].powi(2), exact[4]);
    }
    family.assert();
}

/// A process that excites itself (Hawkes 1971): each event raises the rate, which falls back. The mean number of events is
/// known. False alarms: one run in ten thousand.
#[test]
fn kicks_and_rates_that_follow_them() {
    let mut family = Family::new(1e-4).unwrap();
    let (base, kick, fall, end) = (1.5, 0.8, 2.0, 4.0);
    let event =
        FlowJump::new("event", [(0, 1)], move |_, _, x| base + x[0]).with_kick(move |_, x| x[0] += kick);
    let process =
        PiecewiseDeterministic::new(1, 1, move |_, _, x, out| out[0] = -fall * x[0], vec![event]).unwrap();
    let noise = Noise::new(seed(501));
    let (events, _) = process.states_at(&[0], &[0.0], &[end], 0..ROWS, noise, Control::default()).unwrap();
    let all: Vec<f64> = events.iter().map(|&n| f64::from(n)).collect();
    let mean = all.iter().sum::<f64>() / ROWS as f64;
    let sd = (all.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / ROWS as f64).sqrt();
    let (back, steady) = (fall - kick, base * fall / (fall - kick));
    let exact = steady * end + (base - steady) * -(-back * end).exp_m1() / back;
    family.push("events", normal_p_value((mean - exact) / (sd / (ROWS as f64).sqrt())));
    family.assert();
}

#[test]
fn rows_do_not_depend_on_each_other_and_little_on_the_times() {
    let event = FlowJump::new("event", [(0, 1)], |t, _, x| 1.0 + t.sin() + x[0].abs());
    let slope = |t: f64, _: &[u32], x: &[f64], out: &mut [f64]| out[0] = t.cos() - x[0];
    let process = PiecewiseDeterministic::new(1, 1, slope, vec![event]).unwrap();
    let run = |rows, times: &[f64]| {
        process.states_at(&[0], &[0.0], times, rows, Noise::new(4), Control::default()).unwrap()
    };
    let all = run(0..150, &[0.0, 1.0, 1.0, 5.0]);
    let some = run(100..120, &[0.0, 1.0, 1.0, 5.0]);
    assert_eq!(all.0.slice(numeric::ndarray::s![100..120, .., ..]), some.0);
    assert_eq!(all.1.slice(numeric::ndarray::s![100..120, .., ..]), some.1);
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        assert_eq!(pool.install(|| run(0..150, &[0.0, 1.0, 1.0, 5.0])), all);
    }
    let direct = run(0..150, &[5.0]);
    for (a, b) in direct.1.iter().zip(all.1.slice(numeric::ndarray::s![.., 3, 0])) {
        assert_near(*a, *b, 1e-6);
    }
}

#[test]
fn ends_and_bad_input() {
    let still = |_: f64, _: &[u32], _: &[f64], _: &mut [f64]| ();
    // No coordinates: a chain. No jumps: an equation.
    let once = FlowJump::new("once", [(0, 1)], |_, n, _| if n[0] == 0 { 2.0 } else { 0.0 });
    let chain = PiecewiseDeterministic::new(1, 0, still, vec![once.clone()]).unwrap();
    let noise = Noise::new(6);
    let mut walk = chain.walk(&[0], &[], 3, noise).unwrap();
    let exact = 0.5 * noise.fork("flow").row_stream(3).exponential();
    assert_near(walk.next_jump(100.0).unwrap().unwrap().0, exact, 1e-9);
    let grow = PiecewiseDeterministic::new(0, 1, |_, _, x, out| out[0] = x[0], vec![]).unwrap();
    let mut walk = grow.walk(&[], &[1.0], 0, noise).unwrap();
    assert!(walk.next_jump(3.0).unwrap().is_none());
    assert_near(walk.x()[0], 3.0_f64.exp(), 1e-6);
    assert!(walk.next_jump(2.0).is_err() && walk.next_jump(f64::NAN).is_err());

    assert!(matches!(
        PiecewiseDeterministic::new(1, 0, still, vec![FlowJump::new("far", [(1, 1)], |_, _, _| 1.0)]),
        Err(Error::Reaction { .. })
    ));
    for bad in [0.0, 0.5, -1.0, f64::NAN] {
        assert!(chain.clone().with_tolerance(bad).is_err());
    }
    assert!(chain.walk(&[0, 0], &[], 0, noise).is_err() && chain.walk(&[0], &[1.0], 0, noise).is_err());
    assert!(grow.walk(&[], &[f64::NAN], 0, noise).is_err());
    let times = |times: &[f64]| chain.states_at(&[0], &[], times, 0..2, noise, Control::default());
    assert!(times(&[2.0, 1.0]).is_err() && times(&[f64::NAN]).is_err());
    // A count below 0, a solution that ends, a rate below 0, too many steps.
    let down = FlowJump::new("down", [(0, -1)], |_, _, _| 1.0);
    let down = PiecewiseDeterministic::new(1, 0, still, vec![down]).unwrap();
    let mut walk = down.walk(&[0], &[], 0, noise).unwrap();
    assert!(matches!(walk.next_jump(1e3), Err(Error::Reaction { parameter: "count", .. })));
    let explode = PiecewiseDeterministic::new(0, 1, |_, _, x, out| out[0] = x[0] * x[0], vec![]).unwrap();
    let mut walk = explode.walk(&[], &[1.0], 0, noise).unwrap();
    let found = walk.next_jump(2.0);
    assert!(matches!(found, Err(Error::Stalled { .. })), "{found:?} {walk:?}");
    let negative = FlowJump::new("negative", [(0, 1)], |_, _, _| -1.0);
    let negative = PiecewiseDeterministic::new(1, 0, still, vec![negative]).unwrap();
    assert!(negative.walk(&[0], &[], 0, noise).unwrap().next_jump(1.0).is_err());
    let few = grow.with_max_steps(2);
    assert!(matches!(
        few.walk(&[], &[1.0], 0, noise).unwrap().next_jump(50.0),
        Err(Error::Stalled { steps: 2, .. })
    ));
}
