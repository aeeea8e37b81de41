//! Leaps: their own exact moments where the network is linear, orders, refusals without a bias, stiff networks, errors.

use ctmc::network::{
    Counting, LeapMethod, LeapStep, Network, Rate, RateFunction, Reaction, Start, TauLeaping,
};
use ctmc::{BirthDeath, evolve};
use numeric::ndarray::{Array2, array};
use numeric::{Control, Error, Noise};
use verify::{Family, chi_squared, normal_p_value, seed};

use crate::pade;

const ROWS: u64 = 10_000;

fn mass(constant: f64) -> Rate {
    Rate::mass_action(constant, Counting::Ordered)
}

fn decay() -> Network {
    Network::new(["X"], vec![Reaction::new("decay", [("X", 1)], [], mass(1.0))]).unwrap()
}

/// Mean and variance of one species at a time.
fn moments(
    network: &Network,
    method: LeapMethod,
    step: LeapStep,
    start: &[u32],
    time: f64,
    label: u64,
) -> (f64, f64) {
    let leaping = TauLeaping::new(network, method, step).unwrap();
    let noise = Noise::new(seed(label)).fork(&format!("{method:?} {step:?}"));
    let found = leaping.moments_at(Start::State(start), &[time], 0..ROWS, noise, Control::default()).unwrap();
    let moments = found[[0, 0]].value().unwrap();
    (moments.mean(), moments.variance().unwrap())
}

/// The moments of the chain of leaps with the length h itself for the decay of n0 molecules, until time 1.
///
/// A leap from x has a Poisson number of events of mean c x; the trapezoidal one has a second of mean (p x - q (x - N)).
fn exact_of_leaps(method: LeapMethod, h: f64, n0: f64) -> (f64, f64) {
    let (mut mean, mut variance) = (n0, 0.0);
    for _ in 0..(1.0 / h).round() as usize {
        // E and Var of x - K given x: m x and v x.
        let (m, v) = match method {
            LeapMethod::Euler => (1.0 - h, h),
            LeapMethod::Midpoint => (1.0 - h * (1.0 - 0.5 * h), h * (1.0 - 0.5 * h)),
            LeapMethod::Trapezoidal(theta) => {
                let ahead = 0.5 / (theta * (1.0 - theta));
                let rest = (1.0 - theta) * h;
                // y = x - N, then y - Poisson(rest (ahead y - (ahead - 1) x)).
                let m = (1.0 - theta * h) * (1.0 - rest * ahead) + rest * (ahead - 1.0);
                let v = theta * h * (1.0 - rest * ahead).powi(2)
                    + rest * (ahead * (1.0 - theta * h) - (ahead - 1.0));
                (m, v)
            }
            LeapMethod::Implicit => (1.0 / (1.0 + h), h / (1.0 + h).powi(2)),
        };
        variance = m * m * variance + v * mean;
        mean *= m;
    }
    (mean, variance)
}

const METHODS: [LeapMethod; 5] = [
    LeapMethod::Euler,
    LeapMethod::Midpoint,
    LeapMethod::Trapezoidal(0.5),
    LeapMethod::Trapezoidal(0.3),
    LeapMethod::Implicit,
];

/// False alarms: one run in ten thousand.
#[test]
fn leaps_of_a_decay_have_their_own_moments() {
    let mut family = Family::new(1e-4).unwrap();
    let network = decay();
    for method in METHODS {
        for h in [0.5, 0.125] {
            let (mean, variance) = exact_of_leaps(method, h, 2000.0);
            let found = moments(&network, method, LeapStep::Fixed(h), &[2000], 1.0, 300);
            let n = ROWS as f64;
            // Rounding of the implicit method adds a twelfth to the variance in a step: a thousandth of it.
            let z = (found.0 - mean) / (variance / n).sqrt();
            let y = (found.1 - variance) / (variance * (2.0 / n).sqrt());
            family.push(format!("{method:?} {h} Z"), normal_p_value(z));
            family.push(format!("{method:?} {h} Y"), normal_p_value(y));
        }
    }
    family.assert();
}

/// Weak orders at time 1 of the decay of 2000: those of the moments of leaps in closed form, and leaps have these moments.
#[test]
fn weak_orders() {
    let network = decay();
    let p = (-1.0_f64).exp();
    let exact = (2000.0 * p, 2000.0 * p * (1.0 - p));
    let slopes = |moments: &dyn Fn(f64) -> (f64, f64), h: f64| {
        let [one, two] = [h, 0.5 * h].map(moments);
        let slope = |one: f64, two: f64, exact: f64| ((one - exact) / (two - exact)).abs().log2();
        (slope(one.0, two.0, exact.0), slope(one.1, two.1, exact.1))
    };
    for (method, in_mean, in_variance) in [
        (LeapMethod::Euler, 1.0, 1.0),
        (LeapMethod::Midpoint, 2.0, 1.0),
        (LeapMethod::Trapezoidal(0.5), 2.0, 2.0),
        (LeapMethod::Trapezoidal(0.3), 2.0, 2.0),
        (LeapMethod::Implicit, 1.0, 1.0),
    ] {
        let (mean, variance) = slopes(&|h| exact_of_leaps(method, h, 2000.0), 1.0 / 64.0);
        println!("{method:?}: slopes {mean:.2} of the mean, {variance:.2} of the variance");
        assert!((mean - in_mean).abs() < 0.06 && (variance - in_variance).abs() < 0.06, "{method:?}");
        // And the simulated leaps have that mean, to 4.5 of its standard errors: false alarms seven in a million each.
        for h in [0.5, 0.25] {
            let (found, _) = moments(&network, method, LeapStep::Fixed(h), &[2000], 1.0, 301);
            let (mean, variance) = exact_of_leaps(method, h, 2000.0);
            let score = (found - mean) / (variance / ROWS as f64).sqrt();
            assert!(score.abs() < 4.5, "{method:?} {h}: {score}");
        }
    }
}

/// The same where rates are not linear: 1000 molecules that pair, against all their states. Errors that are used are at least
/// eight times the noise of the mean, which moves a slope by 0.15: false alarms are beyond four standard deviations.
#[test]
fn weak_orders_of_a_dimerisation() {
    let network = Network::new(
        ["P2", "P"],
        vec![
            Reaction::new("bind", [("P", 2)], [("P2", 1)], Rate::mass_action(0.002, Counting::Combinations)),
            Reaction::new("split", [("P2", 1)], [("P", 2)], mass(0.3)),
        ],
    )
    .unwrap();
    let up = (0..500).map(|k| 0.001 * f64::from((1000 - 2 * k) * (999 - 2 * k))).collect();
    let down = (1..=500).map(|k| 0.3 * f64::from(k)).collect();
    let mut start = vec![0.0; 501];
    start[0] = 1.0;
    let law = evolve(&BirthDeath::new(up, down).unwrap(), &start, 1.0, 1e-12).unwrap().values;
    let exact: f64 = law.iter().zip(0..).map(|(p, k)| p * f64::from(k)).sum();
    let error = |method, h| {
        let leaping = TauLeaping::new(&network, method, LeapStep::Fixed(h)).unwrap();
        let noise = Noise::new(seed(305)).fork(&format!("{method:?} {h}"));
        let start = Start::State(&[0, 1000]);
        let found = leaping.moments_at(start, &[1.0], 0..4 * ROWS, noise, Control::default()).unwrap();
        (found[[0, 0]].value().unwrap().mean() - exact).abs()
    };
    for (method, order) in [
        (LeapMethod::Euler, 1.0),
        (LeapMethod::Midpoint, 2.0),
        (LeapMethod::Trapezoidal(0.5), 2.0),
        (LeapMethod::Implicit, 1.0),
    ] {
        let [one, two] = [0.125, 0.0625].map(|h| error(method, h));
        let slope = (one / two).log2();
        println!("{method:?}: errors {one:.3} and {two:.3}, slope {slope:.2}");
        // From above: the next order adds to the slopes at these steps, by 0.3 at most.
        assert!(slope > order - 0.4 && slope < order + 0.9, "{method:?}: {one} {two}");
    }
}

/// What one reaction does must not be less frequent because leaps in which it does much are refused. Arrivals are Poisson
/// whatever happens to X, and many leaps are refused. False alarms: one run in ten thousand.
#[test]
fn refusals_leave_no_bias() {
    let mut family = Family::new(1e-4).unwrap();
    let network = Network::new(
        ["X", "arrivals", "departures"],
        vec![
            Reaction::new("arrive", [], [("X", 1), ("arrivals", 1)], mass(4.0)),
            Reaction::new("leave", [("X", 1)], [("departures", 1)], mass(2.0)),
        ],
    )
    .unwrap();
    let mut law: Vec<f64> = vec![(-12.0_f64).exp()];
    (1..40).for_each(|k| law.push(law[k - 1] * 12.0 / k as f64));
    law.push(1.0 - law.iter().sum::<f64>());
    for method in METHODS {
        for step in [0.75, 1.5] {
            let leaping = TauLeaping::new(&network, method, LeapStep::Fixed(step)).unwrap();
            let noise = Noise::new(seed(302)).fork(&format!("{method:?} {step}"));
            let (mut counts, mut refused) = (vec![0; law.len()], 0);
            for row in 0..ROWS {
                let mut walk = leaping.walk(&[3, 0, 0], row, noise).unwrap();
                walk.advance(3.0).unwrap();
                let n = walk.counts();
                assert_eq!(n[0] + n[2], 3 + n[1]);
                counts[(n[1] as usize).min(40)] += 1;
                refused += walk.refused();
            }
            let most = method != LeapMethod::Implicit;
            assert!(refused > if most { ROWS / 50 } else { 20 }, "{method:?} {step}: {refused}");
            // The implicit method rounds, and its arrivals have a constant rate: K = P.
            family.push(format!("{method:?} {step}"), chi_squared(&counts, &law).unwrap().p_value);
        }
    }
    family.assert();
}

/// Events one by one are exact: with a step so short that nothing but them is left, the law is that of the network. False
/// alarms: one run in ten thousand.
#[test]
fn events_one_by_one_are_exact() {
    let mut family = Family::new(1e-4).unwrap();
    let network = decay();
    let leaping = TauLeaping::new(&network, LeapMethod::Euler, LeapStep::Adaptive(0.03)).unwrap();
    let noise = Noise::new(seed(303));
    let seen = leaping.counts_at(Start::State(&[12]), &[0.8], 0..ROWS, noise, Control::default()).unwrap();
    let p = (-0.8_f64).exp();
    let mut law = vec![(1.0 - p).powi(12)];
    (1..=12).for_each(|k| law.push(law[k - 1] * (13 - k) as f64 / k as f64 * p / (1.0 - p)));
    let mut counts = vec![0; 13];
    seen.iter().for_each(|&n| counts[n as usize] += 1);
    family.push("binomial", chi_squared(&counts, &law).unwrap().p_value);
    family.assert();
}

/// Events that come one after the other without any time between, to rounding, do not stop a path: reactions that are critical
/// for most of the time, and many rows of them.
#[test]
fn paths_of_critical_reactions_come_to_their_end() {
    let network = Network::new(
        ["X", "Sink"],
        vec![
            Reaction::new("arrive", [], [("X", 1)], mass(5.0)),
            Reaction::new("leave", [("X", 1)], [("Sink", 1)], mass(0.1)),
        ],
    )
    .unwrap();
    for method in [LeapMethod::Euler, LeapMethod::Midpoint, LeapMethod::Trapezoidal(0.5)] {
        let leaping =
            TauLeaping::new(&network, method, LeapStep::Adaptive(0.1)).unwrap().with_max_steps(5000);
        let times: Vec<f64> = (1..=50).map(f64::from).collect();
        let seen =
            leaping.counts_at(Start::State(&[0, 0]), &times, 0..2000, Noise::new(7), Control::default());
        assert_eq!(seen.unwrap().len(), 2000 * 50 * 2);
    }
}

/// Two states that change into each other 10⁴ times a unit of time, and a slow way out: steps of 500 times the fast time.
/// False alarms: one run in ten thousand.
#[test]
fn stiff_networks_by_implicit_leaps() {
    let mut family = Family::new(1e-4).unwrap();
    let network = Network::new(
        ["A", "B"],
        vec![
            Reaction::new("there", [("A", 1)], [("B", 1)], mass(1e4)),
            Reaction::new("back", [("B", 1)], [("A", 1)], mass(1e4)),
            Reaction::new("out", [("B", 1)], [], mass(1.0)),
        ],
    )
    .unwrap();
    let leaping = TauLeaping::new(&network, LeapMethod::Implicit, LeapStep::Fixed(0.05)).unwrap();
    let noise = Noise::new(seed(304));
    let n0 = 100_000;
    let (mut totals, mut refused) = (vec![], 0);
    for row in 0..400 {
        let mut walk = leaping.walk(&[n0, 0], row, noise).unwrap();
        walk.advance(1.0).unwrap();
        assert_eq!(walk.leaps(), 20);
        refused += walk.refused();
        totals.push(f64::from(walk.counts()[0] + walk.counts()[1]));
    }
    assert_eq!(refused, 0);
    // The mean of the scheme: (I - hQ)^{-20}; it is within 1.3 % of the exact one.
    let q = nalgebra::Matrix2::new(-1e4, 1e4, 1e4, -1e4 - 1.0);
    let step = (nalgebra::Matrix2::identity() - q * 0.05).try_inverse().unwrap();
    let row = (0..20).fold(nalgebra::RowVector2::new(f64::from(n0), 0.0), |row, _| row * step);
    let mean = totals.iter().sum::<f64>() / 400.0;
    let survive = row.sum() / f64::from(n0);
    let sd = (f64::from(n0) * survive * (1.0 - survive)).sqrt();
    family.push("mean", normal_p_value((mean - row.sum()) / (sd / 20.0)));
    let rates = array![[-1e4, 1e4], [1e4, -1e4 - 1.0]];
    let exact = pade(&rates, 1.0).row(0).sum() * f64::from(n0);
    assert!((row.sum() / exact - 1.0).abs() < 0.013);
    family.assert();
}

/// The adaptive step is as long as the propensities allow, and its error is that of the part of them that it is given.
#[test]
fn adaptive_steps() {
    let network = Network::new(
        ["X"],
        vec![
            Reaction::new("make", [], [("X", 1)], mass(10_000.0)),
            Reaction::new("lose", [("X", 1)], [], mass(1.0)),
        ],
    )
    .unwrap();
    // From 10⁵ to 10⁴: the step grows from 0.03 · 10/9 to (0.03 · 10⁴)²/(2 · 10⁴) = 4.5.
    let leaping = TauLeaping::new(&network, LeapMethod::Trapezoidal(0.5), LeapStep::Adaptive(0.03)).unwrap();
    let mut walk = leaping.walk(&[100_000], 0, Noise::new(1)).unwrap();
    walk.advance(1.0).unwrap();
    assert!((20..45).contains(&walk.leaps()), "{}", walk.leaps());
    assert_eq!((walk.single_events(), walk.refused()), (0, 0));
    let exact = 10_000.0 + 90_000.0 * (-1.0_f64).exp();
    assert!((f64::from(walk.counts()[0]) - exact).abs() < 5.0 * 200.0);
    // Ten times finer, ten times as many.
    let finer = TauLeaping::new(&network, LeapMethod::Euler, LeapStep::Adaptive(0.003)).unwrap();
    let mut fine = finer.walk(&[100_000], 0, Noise::new(1)).unwrap();
    fine.advance(1.0).unwrap();
    assert!(fine.leaps() > 7 * walk.leaps() && fine.leaps() < 14 * walk.leaps());
}

#[test]
fn rows_do_not_depend_on_each_other() {
    let network = decay();
    for method in METHODS {
        let leaping = TauLeaping::new(&network, method, LeapStep::Fixed(0.3)).unwrap();
        let times = [0.0, 0.2, 0.2, 0.9, 2.0];
        let run = |rows: std::ops::Range<u64>| {
            leaping.counts_at(Start::State(&[40]), &times, rows, Noise::new(8), Control::default()).unwrap()
        };
        let all = run(0..200);
        let some = run(130..180);
        assert_eq!(all.slice(numeric::ndarray::s![130..180, .., ..]), some);
        assert!(all.slice(numeric::ndarray::s![.., 0, ..]).iter().all(|&n| n == 40));
        let starts = Array2::from_shape_fn((200, 1), |_| 40);
        let same = leaping
            .counts_at(Start::States(&starts), &times, 0..200, Noise::new(8), Control::default())
            .unwrap();
        assert_eq!(all, same);
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            assert_eq!(pool.install(|| run(0..200)), all);
        }
    }
}

#[test]
fn ends_and_bad_input() {
    let network = decay();
    let made = |method, step| TauLeaping::new(&network, method, step);
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(
            made(LeapMethod::Euler, LeapStep::Fixed(bad)),
            Err(Error::Domain { parameter: "step", .. })
        ));
        assert!(made(LeapMethod::Euler, LeapStep::Adaptive(bad)).is_err());
        assert!(made(LeapMethod::Trapezoidal(bad), LeapStep::Fixed(1.0)).is_err());
    }
    assert!(made(LeapMethod::Trapezoidal(1.0), LeapStep::Fixed(1.0)).is_err());
    assert!(matches!(made(LeapMethod::Implicit, LeapStep::Adaptive(0.03)), Err(Error::Unsupported { .. })));
    let day = RateFunction::new([], |t, _| 1.0 + t.sin()).with_bound(1.0, |_, _, _| 2.0);
    let day = Network::new(["X"], vec![Reaction::new("day", [], [("X", 1)], Rate::Function(day))]).unwrap();
    assert!(matches!(
        TauLeaping::new(&day, LeapMethod::Euler, LeapStep::Fixed(1.0)),
        Err(Error::Unsupported { .. })
    ));

    let leaping = made(LeapMethod::Euler, LeapStep::Fixed(0.5)).unwrap();
    assert!(leaping.walk(&[1, 2], 0, Noise::new(1)).is_err());
    let mut walk = leaping.walk(&[7], 0, Noise::new(1)).unwrap();
    walk.advance(1.0).unwrap();
    assert!(walk.advance(0.5).is_err() && walk.advance(f64::NAN).is_err());
    walk.advance(1e6).unwrap();
    assert_eq!((walk.counts(), walk.time()), (&[0][..], 1e6));
    let few = leaping.with_max_steps(3);
    let mut walk = few.walk(&[1000], 0, Noise::new(1)).unwrap();
    assert!(matches!(walk.advance(5.0), Err(Error::Stalled { .. })));
    let late =
        |times: &[f64]| leaping.counts_at(Start::State(&[7]), times, 0..3, Noise::new(1), Control::default());
    assert!(late(&[1.0, 0.5]).is_err() && late(&[-1.0]).is_err());
    assert_eq!(late(&[]).unwrap().len(), 0);

    let stop = std::sync::atomic::AtomicBool::new(true);
    let control = Control { cancel: Some(&stop), ..Control::default() };
    let cancelled = leaping.moments_at(Start::State(&[7]), &[1.0], 0..3, Noise::new(1), control);
    assert!(matches!(cancelled, Err(Error::Cancelled)));

    // A count beyond u32 is an error, not a wrap.
    let flood = Network::new(["X"], vec![Reaction::new("flood", [], [("X", 1)], mass(1e12))]).unwrap();
    for method in METHODS {
        let leaping = TauLeaping::new(&flood, method, LeapStep::Fixed(1.0)).unwrap().with_max_steps(20_000);
        let mut walk = leaping.walk(&[0], 0, Noise::new(1)).unwrap();
        assert!(walk.advance(1.0).is_err(), "{method:?}");
    }
    // A reaction that cannot happen where its rate is positive.
    let wrong = Reaction::new("take", [("X", 1)], [], Rate::function([], |_, _| 1.0));
    let wrong = Network::new(["X"], vec![wrong]).unwrap();
    let leaping = TauLeaping::new(&wrong, LeapMethod::Euler, LeapStep::Fixed(0.5)).unwrap();
    let mut walk = leaping.walk(&[2], 0, Noise::new(1)).unwrap();
    assert!(matches!(walk.advance(100.0), Err(Error::Reaction { .. })));
}
