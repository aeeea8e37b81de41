//! Moments of leaps, and how they come near to those of the network.

use ctmc::network::{Counting, LeapMethod, LeapStep, Network, Rate, Reaction, Start, TauLeaping};
use ctmc::{BirthDeath, evolve};
use numeric::{Control, Noise};
use verify::{Family, normal_p_value, seed};

use super::{METHODS, ROWS, decay, mass};

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
