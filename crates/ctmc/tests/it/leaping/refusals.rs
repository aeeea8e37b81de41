//! What was seen of the Poisson processes and is still to come: refusals, single events, counts that are set.

use ctmc::network::{LeapMethod, LeapStep, Network, Reaction, Start, TauLeaping};
use numeric::{Control, Noise};
use verify::{Family, chi_squared, seed};

use super::{METHODS, ROWS, decay, mass};

/// Arrivals at rate 4, each of whom leaves at rate 2; both are counted.
fn arrivals_and_departures() -> Network {
    Network::new(
        ["X", "arrivals", "departures"],
        vec![
            Reaction::new("arrive", [], [("X", 1), ("arrivals", 1)], mass(4.0)),
            Reaction::new("leave", [("X", 1)], [("departures", 1)], mass(2.0)),
        ],
    )
    .unwrap()
}

/// The law of arrivals until time 3: 0, …, 39 and the rest.
fn poisson_of_arrivals() -> Vec<f64> {
    let mut law: Vec<f64> = vec![(-12.0_f64).exp()];
    (1..40).for_each(|k| law.push(law[k - 1] * 12.0 / k as f64));
    law.push(1.0 - law.iter().sum::<f64>());
    law
}

/// What one reaction does must not be less frequent because leaps in which it does much are refused. Arrivals are Poisson
/// whatever happens to X, and many leaps are refused. False alarms: one run in ten thousand.
#[test]
fn refusals_leave_no_bias() {
    let mut family = Family::new(1e-4).unwrap();
    let network = arrivals_and_departures();
    let law = poisson_of_arrivals();
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

/// Counts that are set after each leap, when many were refused: all that has been seen of a process is still to come, so
/// that arrivals are Poisson whatever was set and when. False alarms: one run in ten thousand.
#[test]
fn counts_that_are_set_leave_no_bias() {
    let mut family = Family::new(1e-4).unwrap();
    let network = arrivals_and_departures();
    let law = poisson_of_arrivals();
    for method in METHODS {
        let leaping = TauLeaping::new(&network, method, LeapStep::Fixed(1.5)).unwrap();
        let noise = Noise::new(seed(308)).fork(&format!("{method:?}"));
        let (mut counts, mut refused) = (vec![0; law.len()], 0);
        for row in 0..ROWS {
            let mut walk = leaping.walk(&[3, 0, 0], row, noise).unwrap();
            let mut before = 0.0;
            while let Some(time) = walk.next_leap(3.0).unwrap() {
                assert!(time > before && time <= 3.0 && time == walk.time());
                let n = walk.counts();
                let set = [n[0] / 2 + 1, n[1], n[2]];
                walk.set_counts(&set).unwrap();
                before = time;
            }
            counts[(walk.counts()[1] as usize).min(40)] += 1;
            refused += walk.refused();
        }
        let most = method != LeapMethod::Implicit;
        assert!(refused > if most { ROWS / 50 } else { 20 }, "{method:?}: {refused}");
        family.push(format!("{method:?}"), chi_squared(&counts, &law).unwrap().p_value);
    }
    family.assert();
}

/// Leap by leap is the same as at once, to the bit.
#[test]
fn leaps_one_at_a_time() {
    let network = arrivals_and_departures();
    for method in METHODS {
        for step in [LeapStep::Fixed(0.3), LeapStep::Adaptive(0.1)] {
            let leaping = TauLeaping::new(&network, method, step).unwrap();
            for row in 0..200 {
                let [mut one, mut other] =
                    [0, 0].map(|_| leaping.walk(&[40, 0, 0], row, Noise::new(9)).unwrap());
                let mut steps = 0;
                for time in [1.3, 4.0] {
                    one.advance(time).unwrap();
                    while other.next_leap(time).unwrap().is_some() {
                        steps += 1;
                    }
                    assert_eq!((one.counts(), one.time()), (other.counts(), other.time()));
                }
                assert_eq!((one.leaps(), one.single_events()), (other.leaps(), other.single_events()));
                let taken = other.leaps() + other.single_events();
                // A step in which nothing happened until its end was none of either.
                assert!(steps >= taken && steps <= taken + 30);
            }
        }
    }
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
