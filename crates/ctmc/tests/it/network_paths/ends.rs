//! Ends of paths, and errors.

use std::sync::atomic::AtomicBool;

use ctmc::network::Counting::Ordered;
use ctmc::network::{Algorithm, Network, Rate, RateFunction, Reaction, Ssa, Start};
use numeric::ndarray::array;
use numeric::{Control, Error, Noise};

use super::IN_TIME;

#[test]
fn ends_of_paths() {
    let (noise, none) = (Noise::new(1), Control::default());
    let decay = Reaction::new("decay", [("X", 1)], [], Rate::mass_action(1.0, Ordered));
    let network = Network::new(["X"], vec![decay]).unwrap();
    let empty = Network::new(["X"], vec![]).unwrap();
    for algorithm in Algorithm::ALL {
        let ssa = Ssa::new(&network, algorithm);
        // All decay, and then nothing happens for ever.
        let paths = ssa.paths(Start::State(&[5]), 1e6, 0..100, noise, none).unwrap();
        assert!(paths.iter().all(|path| path.times.len() == 5));
        let rest = ssa.paths(Start::State(&[0]), 1e300, 0..10, noise, none).unwrap();
        assert!(rest.iter().all(|path| path.times.is_empty()));
        let at_once = ssa.paths(Start::State(&[5]), 0.0, 0..10, noise, none).unwrap();
        assert!(at_once.iter().all(|path| path.times.is_empty() && path.start == [5]));
        assert_eq!(ssa.counts_at(Start::State(&[5]), &[], 0..5, noise, none).unwrap().dim(), (5, 0, 1));
        assert_eq!(ssa.counts_at(Start::State(&[5]), &[1.0], 5..5, noise, none).unwrap().dim(), (0, 1, 1));
        assert_eq!(ssa.moments_at(Start::State(&[5]), &[], 0..5, noise, none).unwrap().dim(), (0, 1));
        let stop = ssa.until(Start::State(&[5]), |n| n[0] == 5, 1.0, 0..1, noise, none).unwrap().remove(0);
        assert_eq!((stop.time, stop.counts), (Some(0.0), vec![5]));
        let stop = ssa.until(Start::State(&[5]), |n| n[0] == 6, 1e3, 0..1, noise, none).unwrap().remove(0);
        assert_eq!((stop.time, stop.counts), (None, vec![0]));
        let still = Ssa::new(&empty, algorithm).paths(Start::State(&[7]), 1.0, 0..2, noise, none).unwrap();
        assert!(still.iter().all(|path| path.times.is_empty()));
        // Bad input.
        for bad in [-1.0, f64::NAN, f64::INFINITY] {
            assert!(ssa.paths(Start::State(&[5]), bad, 0..1, noise, none).is_err());
            assert!(ssa.counts_at(Start::State(&[5]), &[bad], 0..1, noise, none).is_err());
            assert!(ssa.until(Start::State(&[5]), |_| false, bad, 0..1, noise, none).is_err());
        }
        let mut walk = ssa.walk(&[5], 0, noise).unwrap();
        walk.advance(0.5).unwrap();
        assert!(walk.advance(0.4).is_err() && walk.set_counts(&[1, 2]).is_err());
        assert!(ssa.counts_at(Start::State(&[5]), &[1.0, 0.5], 0..1, noise, none).is_err());
        assert!(ssa.paths(Start::State(&[5, 5]), 1.0, 0..1, noise, none).is_err());
        assert!(ssa.paths(Start::States(&array![[5]]), 1.0, 0..2, noise, none).is_err());
        let stop = AtomicBool::new(true);
        let control = Control { cancel: Some(&stop), progress: None };
        assert_eq!(ssa.paths(Start::State(&[5]), 1.0, 0..1, noise, control), Err(Error::Cancelled));
    }
}

#[test]
fn explosions_and_impossible_rates_are_errors_and_not_hangs() {
    let (noise, none) = (Noise::new(1), Control::default());
    let network = |rate| Network::new(["X"], vec![Reaction::new("r", [("X", 1)], [("X", 2)], rate)]).unwrap();
    // 2 X → 3 X explodes in finite time.
    let pair = Reaction::new("grow", [("X", 2)], [("X", 3)], Rate::mass_action(1.0, Ordered));
    let exploding = Network::new(["X"], vec![pair]).unwrap();
    for algorithm in Algorithm::ALL {
        let ssa = Ssa { network: &exploding, algorithm, max_events: 10_000 };
        let error = ssa.counts_at(Start::State(&[5]), &[1e3], 3..200, noise, none).unwrap_err();
        assert!(
            matches!(error, Error::Stalled { row: 3, steps: 10_000, time, .. } if time < 10.0),
            "{error}"
        );
        // At most so many is not more.
        let birth = network(Rate::mass_action(1.0, Ordered));
        let few = Ssa { network: &birth, algorithm, max_events: 4 };
        assert!(few.until(Start::State(&[1]), |n| n[0] == 5, 1e3, 0..20, noise, none).is_ok());
        assert!(few.until(Start::State(&[1]), |n| n[0] == 6, 1e3, 0..20, noise, none).is_err());
        // A function that gives NaN, something negative or an infinity, at once or later.
        for bad in [f64::NAN, -1.0, f64::INFINITY] {
            for from in [1, 4] {
                let rate = Rate::function(["X"], move |_, n| if n[0] >= from { bad } else { 1.0 });
                let network = network(rate);
                let error = Ssa::new(&network, algorithm)
                    .paths(Start::State(&[1]), 1e3, 0..20, noise, none)
                    .unwrap_err();
                assert!(
                    matches!(&error, Error::Reaction { reaction, .. } if reaction == "r"),
                    "{algorithm:?} {error}"
                );
            }
        }
        // A count that would be negative.
        let take = Reaction::new("take", [("X", 2)], [], Rate::michaelis_menten(1.0, 1.0, "X"));
        let network = Network::new(["X"], vec![take]).unwrap();
        let error =
            Ssa::new(&network, algorithm).paths(Start::State(&[3]), 1e3, 0..5, noise, none).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("`take`") && text.contains("`X`"), "{text}");
        // Sums that overflow.
        let huge = |name: &str| Reaction::new(name, [], [("X", 1)], Rate::mass_action(1e308, Ordered));
        let network = Network::new(["X"], vec![huge("a"), huge("b")]).unwrap();
        let run = Ssa::new(&network, algorithm).paths(Start::State(&[0]), 1e-310, 0..1, noise, none);
        assert!(run.is_err() || algorithm == Algorithm::NextReaction);
    }
}

#[test]
fn rates_in_time_need_what_the_algorithm_needs() {
    let (noise, none) = (Noise::new(1), Control::default());
    let network = |f: RateFunction| {
        let make = Reaction::new("make", [], [("X", 1)], Rate::Function(f));
        Network::new(["X"], vec![make]).unwrap()
    };
    let run = |network: &Network, algorithm| {
        Ssa::new(network, algorithm).paths(Start::State(&[0]), 5.0, 0..50, noise, none)
    };
    let bounded = network(RateFunction::new([], |t, _| t).with_bound(1.0, |_, to, _| to));
    let integrated =
        network(RateFunction::new([], |t, _| t).with_integral(|s, t, _| 0.5 * (t - s) * (t + s)));
    for algorithm in Algorithm::ALL {
        assert_eq!(run(&bounded, algorithm).is_ok(), algorithm == Algorithm::Thinning);
        assert_eq!(run(&integrated, algorithm).is_ok(), algorithm == Algorithm::NextReaction);
    }
    // A bound that is none, and functions that are no numbers.
    let lying = network(RateFunction::new([], |t, _| t).with_bound(1.0, |from, _, _| from + 0.5));
    assert!(matches!(run(&lying, Algorithm::Thinning), Err(Error::Reaction { parameter: "propensity", .. })));
    let nan = network(RateFunction::new([], |t, _| t).with_bound(1.0, |_, _, _| f64::NAN));
    assert!(matches!(run(&nan, Algorithm::Thinning), Err(Error::Reaction { parameter: "bound", .. })));
    let nan = network(RateFunction::new([], |t, _| t).with_integral(|_, _, _| f64::NAN));
    assert!(matches!(run(&nan, Algorithm::NextReaction), Err(Error::Reaction { parameter: "integral", .. })));
    // Rates that are 0 from some time on: no more events, and no hang.
    let pulse = RateFunction::new([], |t, _| if t < 1.0 { 9.0 } else { 0.0 })
        .with_bound(0.5, |from, _, _| if from < 1.0 { 9.0 } else { 0.0 })
        .with_integral(|s, t, _| 9.0 * (t.min(1.0) - s.min(1.0)));
    let pulse = network(pulse);
    for algorithm in IN_TIME {
        let ssa = Ssa::new(&pulse, algorithm);
        let paths = ssa.paths(Start::State(&[0]), 1e4, 0..50, noise, none).unwrap();
        assert!(paths.iter().all(|path| path.times.iter().all(|&t| t < 1.0)));
        assert!(paths.iter().map(|path| path.times.len()).sum::<usize>() > 300);
    }
    let ssa = Ssa { network: &pulse, algorithm: Algorithm::Thinning, max_events: 1000 };
    let error = ssa.paths(Start::State(&[0]), 1e4, 7..8, noise, none).unwrap_err();
    assert!(matches!(error, Error::Stalled { row: 7, .. }), "{error}");
}
