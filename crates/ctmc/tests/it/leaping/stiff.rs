//! Implicit leaps of stiff networks.

use ctmc::network::{LeapMethod, LeapStep, Network, Reaction, TauLeaping};
use numeric::Noise;
use numeric::ndarray::array;
use verify::{Family, chi_squared, normal_p_value, seed};

use super::{ROWS, mass};
use crate::pade;

/// Two states that change into each other 10⁴ times a unit of time, and a slow way out.
fn stiff() -> Network {
    Network::new(
        ["A", "B"],
        vec![
            Reaction::new("there", [("A", 1)], [("B", 1)], mass(1e4)),
            Reaction::new("back", [("B", 1)], [("A", 1)], mass(1e4)),
            Reaction::new("out", [("B", 1)], [], mass(1.0)),
        ],
    )
    .unwrap()
}

/// Steps of 500 times the fast time.
/// False alarms: one run in ten thousand.
#[test]
fn stiff_networks_by_implicit_leaps() {
    let mut family = Family::new(1e-4).unwrap();
    let network = stiff();
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

/// The same with the step of the implicit method's own choice, in balance from the start: the slow reaction alone decides.
/// With a step of at most ε/ν, where ν = 1/2 is the rate of the total, a mean of order 1 is off by ν ε/2 of itself at time 1; 400
/// rows see that, so it is allowed beside their noise. False alarms: one run in ten thousand.
#[test]
fn adaptive_implicit_leaps_of_a_stiff_network() {
    let network = stiff();
    let (half, rows, epsilon) = (50_000, 400, 0.01);
    let noise = Noise::new(seed(306));
    let run = |method, start: [u32; 2], row| {
        let leaping = TauLeaping::new(&network, method, LeapStep::Adaptive(epsilon)).unwrap();
        let mut walk = leaping.walk(&start, row, noise).unwrap();
        walk.advance(1.0).unwrap();
        (walk.leaps() + walk.single_events(), walk.counts().iter().map(|&n| f64::from(n)).sum::<f64>())
    };
    let (steps, totals): (Vec<u64>, Vec<f64>) =
        (0..rows).map(|row| run(LeapMethod::Implicit, [half; 2], row)).unzip();
    let (most, explicit) = (*steps.iter().max().unwrap(), run(LeapMethod::Euler, [half; 2], 0).0);
    println!("{most} leaps, and {explicit} explicit ones");
    assert!(10 * most < explicit, "{most} {explicit}");
    // Out of balance leaps are explicit, and some events single, until it is reached.
    let transient = run(LeapMethod::Implicit, [2 * half, 0], 0).0;
    println!("{transient} steps from out of balance");
    assert!(transient > most && 2 * transient < explicit, "{transient} {explicit}");

    // Each molecule is left with a probability of its own, whatever the others do: two binomial numbers.
    let left = pade(&array![[-1e4, 1e4], [1e4, -1e4 - 1.0]], 1.0);
    let of = |p: f64| [f64::from(half) * p, f64::from(half) * p * (1.0 - p)];
    let [a, b] = [0, 1].map(|state| of(left.row(state).sum()));
    let (mean, exact_variance) = (a[0] + b[0], a[1] + b[1]);
    let found = totals.iter().sum::<f64>() / rows as f64;
    let variance = totals.iter().map(|t| (t - found).powi(2)).sum::<f64>() / (rows - 1) as f64;
    let bias = 0.5 * epsilon / 2.0 * mean;
    println!("mean {found} of {mean}, at most {bias} off, variance {variance} of {exact_variance}");
    let mut family = Family::new(1e-4).unwrap();
    let beyond = ((found - mean).abs() - bias).max(0.0);
    family.push("mean", normal_p_value(beyond / (exact_variance / rows as f64).sqrt()));
    // An error of ε of the variance is a seventh of its noise.
    family.push("variance", normal_p_value((variance / exact_variance - 1.0) / (2.0 / rows as f64).sqrt()));
    family.assert();
}

/// A fast pair in balance beside a species that runs out: critical reactions happen at the end of implicit leaps, and the
/// law of what they make is that of a decay. False alarms: one run in ten thousand.
#[test]
fn critical_reactions_beside_implicit_leaps() {
    let mut family = Family::new(1e-4).unwrap();
    let mut reactions = stiff().reactions()[..2].to_vec();
    reactions.push(Reaction::new("leave", [("X", 1)], [("Y", 1)], mass(1.0)));
    let network = Network::new(["A", "B", "X", "Y"], reactions).unwrap();
    let leaping = TauLeaping::new(&network, LeapMethod::Implicit, LeapStep::Adaptive(0.03)).unwrap();
    let p = (-0.7_f64).exp();
    let mut law = vec![(1.0 - p).powi(9)];
    (1..=9).for_each(|k| law.push(law[k - 1] * (10 - k) as f64 / k as f64 * p / (1.0 - p)));
    let (mut counts, mut leaps) = (vec![0; 10], 0);
    for row in 0..ROWS {
        let mut walk = leaping.walk(&[50_000, 50_000, 9, 0], row, Noise::new(seed(307))).unwrap();
        walk.advance(0.7).unwrap();
        let n = walk.counts();
        assert_eq!((n[0] + n[1], n[2] + n[3]), (100_000, 9));
        counts[n[2] as usize] += 1;
        leaps += walk.leaps();
    }
    family.push("binomial", chi_squared(&counts, &law).unwrap().p_value);
    // One for each event, and the last; no explicit one, of 10⁻⁵.
    assert!(leaps < 10 * ROWS, "{leaps}");
    family.assert();
}
