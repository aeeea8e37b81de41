//! Finite state projection: what it is wrong by is at most what it says it has lost.

use ctmc::network::{CountLaw, Counting, Network, Projection, Rate, RateFunction, Reaction};
use ctmc::{BirthDeath, evolve};
use numeric::Error;
use numeric::ndarray::{Array2, array};
use proptest::prelude::*;

use crate::{assert_near, pade};

fn mass(constant: f64) -> Rate {
    Rate::mass_action(constant, Counting::Ordered)
}

fn immigration_death(arrive: f64, die: f64) -> Network {
    let reactions = vec![
        Reaction::new("arrive", [], [("X", 1)], mass(arrive)),
        Reaction::new("die", [("X", 1)], [], mass(die)),
    ];
    Network::new(["X"], reactions).unwrap()
}

fn project(network: &Network, start: &[u32], times: &[f64], tolerance: f64) -> Vec<CountLaw> {
    let projection = Projection { network, tolerance, most_states: 100_000 };
    projection.laws(&CountLaw::point(start), times).unwrap()
}

/// The Poisson probabilities 0, …, most.
fn poisson(mean: f64, most: usize) -> Vec<f64> {
    let mut ln_weight = -mean;
    (0..=most)
        .map(|n| {
            if n > 0 {
                ln_weight += (mean / n as f64).ln();
            }
            ln_weight.exp()
        })
        .collect()
}

/// The sum over all states of the differences to the exact probabilities of the first states of one species.
fn difference(law: &CountLaw, exact: &[f64]) -> f64 {
    let found = law.marginal(0);
    let at = |law: &[f64], n: usize| law.get(n).copied().unwrap_or(0.0);
    (0..found.len().max(exact.len())).map(|n| (at(&found, n) - at(exact, n)).abs()).sum()
}

#[test]
fn immigration_and_death_is_poisson() {
    for (arrive, die) in [(1.0, 1.0), (30.0, 0.5), (0.01, 2.0)] {
        let network = immigration_death(arrive, die);
        let times = [0.0, 0.01, 0.3, 2.0, 40.0];
        for tolerance in [1e-2, 1e-6, 1e-12] {
            let laws = project(&network, &[0], &times, tolerance);
            let mut before = 0.0;
            for (law, time) in laws.iter().zip(times) {
                let exact = poisson(arrive / die * -(-die * time).exp_m1(), 400);
                let wrong = difference(law, &exact);
                // An error of rounding for each jump of the uniformized chain.
                assert!(wrong <= law.lost() + 1e-13, "{time} {tolerance}: {wrong} {}", law.lost());
                assert!(law.lost() <= tolerance * time / 40.0 * (1.0 + 1e-12) && law.lost() >= before);
                assert!(law.probabilities().iter().all(|&p| p >= 0.0));
                before = law.lost();
            }
        }
    }
}

#[test]
fn what_is_lost_is_what_is_wrong() {
    // With a coarse tolerance the set is small, and the law is below the exact one everywhere.
    let network = immigration_death(20.0, 1.0);
    let law = &project(&network, &[0], &[5.0], 0.05)[0];
    let exact = poisson(20.0 * -(-5.0_f64).exp_m1(), 200);
    let mut missing = 1.0;
    for (n, p) in law.states().column(0).iter().zip(law.probabilities()) {
        assert!(*p <= exact[*n as usize] * (1.0 + 1e-12));
        missing -= p;
    }
    assert!(missing > 1e-5 && missing <= law.lost(), "{missing} {}", law.lost());
    assert_near(difference(law, &exact), missing, 1e-12);
}

#[test]
fn the_telegraph_model_has_the_moments_of_its_equations() {
    // A gene that is switched on and off, and what it makes while it is on.
    let (on, off, make, lose) = (0.3, 0.7, 12.0, 1.0);
    let network = Network::new(
        ["on", "off", "RNA"],
        vec![
            Reaction::new("switch on", [("off", 1)], [("on", 1)], mass(on)),
            Reaction::new("switch off", [("on", 1)], [("off", 1)], mass(off)),
            Reaction::new("make", [], [("RNA", 1)], mass(make)).with_catalysts([("on", 1)]),
            Reaction::new("lose", [("RNA", 1)], [], mass(lose)),
        ],
    )
    .unwrap();
    // d/dt of (1, E G, E M, E GM, E M²).
    let rates = array![
        [0.0, 0.0, 0.0, 0.0, 0.0],
        [on, -on - off, 0.0, 0.0, 0.0],
        [0.0, make, -lose, 0.0, 0.0],
        [0.0, make, on, -on - off - lose, 0.0],
        [0.0, make, lose, 2.0 * make, -2.0 * lose],
    ];
    let times = [0.1, 1.0, 7.0];
    for (law, time) in project(&network, &[0, 1, 0], &times, 1e-15).iter().zip(times) {
        let exact = pade(&rates, time).column(0).to_vec();
        assert_near(law.mean(0), exact[1], 1e-12);
        assert_near(law.mean(2), exact[2], 1e-12 * exact[2].max(1.0));
        assert_near(law.covariance(0, 2), exact[3] - exact[1] * exact[2], 1e-12);
        let variance = exact[4] - exact[2] * exact[2];
        assert_near(law.covariance(2, 2) / variance, 1.0, 1e-12);
        // The law of the gene is that of two states.
        let p = on / (on + off) * -(-(on + off) * time).exp_m1();
        assert_near(law.marginal(0)[1], p, 1e-14);
        assert!(law.lost() <= 1e-15);
    }
}

#[test]
fn dimerisation_against_all_its_states() {
    let (bind, split) = (0.001, 0.01);
    let pairs = Rate::mass_action(bind, Counting::Combinations);
    let network = Network::new(
        ["P", "P2"],
        vec![
            Reaction::new("bind", [("P", 2)], [("P2", 1)], pairs),
            Reaction::new("split", [("P2", 1)], [("P", 2)], mass(split)),
        ],
    )
    .unwrap();
    // By the number of dimers.
    let up = (0..50).map(|k| 0.5 * bind * f64::from((100 - 2 * k) * (99 - 2 * k))).collect();
    let down = (1..=50).map(|k| split * f64::from(k)).collect();
    let chain = BirthDeath::new(up, down).unwrap();
    let mut start = vec![0.0; 51];
    start[0] = 1.0;
    for (law, time) in project(&network, &[100, 0], &[0.5, 10.0, 50.0], 1e-12).iter().zip([0.5, 10.0, 50.0]) {
        let exact = evolve(&chain, &start, time, 1e-15).unwrap().values;
        let wrong: f64 =
            (0..=50_u32).map(|k| (law.probability(&[100 - 2 * k, k]) - exact[k as usize]).abs()).sum();
        assert!(wrong <= law.lost() + 1e-13, "{time}: {wrong}");
        assert!(law.lost() <= 1e-12);
    }
}

#[test]
fn a_law_that_moves_is_followed() {
    // Arrivals only: Poisson with mean 3000. The states that have been left are dropped.
    let network = immigration_death(300.0, 0.0);
    let law = &project(&network, &[0], &[10.0], 1e-8)[0];
    let exact = poisson(3000.0, 4000);
    assert!(difference(law, &exact) <= law.lost() + 1e-11);
    assert!(law.lost() <= 1e-8 && law.states().nrows() < 1500, "{}", law.states().nrows());
    // Births: geometric with mean e³, and a rate that grows with the law.
    let birth = Reaction::new("birth", [("X", 1)], [("X", 2)], mass(1.0));
    let network = Network::new(["X"], vec![birth]).unwrap();
    let law = &project(&network, &[1], &[3.0], 1e-9)[0];
    let q = (-3.0_f64).exp();
    let exact: Vec<f64> = (0..2000).map(|n| if n == 0 { 0.0 } else { q * (1.0 - q).powi(n - 1) }).collect();
    assert!(difference(law, &exact) <= law.lost() + 1e-13 && law.lost() <= 1e-9);
}

#[test]
fn stops_on_the_way_change_nothing() {
    let network = immigration_death(7.0, 0.3);
    let projection = Projection { network: &network, tolerance: 1e-11, most_states: 1000 };
    let direct = project(&network, &[3], &[1.0, 2.5, 2.5, 4.0], 1e-11);
    assert_eq!(direct[1], direct[2]);
    let rest = projection.laws(&direct[0], &[1.5, 3.0]).unwrap();
    for (two, one) in rest.iter().zip([&direct[1], &direct[3]]) {
        assert!(difference(two, &one.marginal(0)) <= two.lost() + one.lost());
        assert!(two.lost() > direct[0].lost());
    }
    // From a mixture: the law is linear in the start.
    let two = CountLaw::new(array![[9], [3]], vec![0.25, 0.75]).unwrap();
    let found = &projection.laws(&two, &[1.0]).unwrap()[0];
    let other = &project(&network, &[9], &[1.0], 1e-11)[0];
    for n in 0..40 {
        let exact = 0.75 * direct[0].probability(&[n]) + 0.25 * other.probability(&[n]);
        assert_near(found.probability(&[n]), exact, 3e-11);
    }
}

#[test]
fn ends_of_time_and_bad_input() {
    let network = immigration_death(1.0, 1.0);
    assert_eq!(project(&network, &[4], &[0.0], 1e-9)[0], CountLaw::point(&[4]));
    assert!(project(&network, &[4], &[], 1e-9).is_empty());
    // Nothing happens where nothing can.
    let still = immigration_death(0.0, 1.0);
    let law = &project(&still, &[0], &[1e9], 1e-9)[0];
    assert_eq!((law.probability(&[0]), law.lost()), (1.0, 0.0));
    // Nor by a reaction that changes nothing, however fast.
    let idle = Reaction::new("idle", [("X", 1)], [("X", 1)], mass(1e30));
    let idle = Network::new(["X"], vec![idle]).unwrap();
    assert_eq!(project(&idle, &[2], &[1.0], 1e-9)[0], CountLaw::point(&[2]));

    let run = |network: &Network, start: &[u32], times: &[f64], tolerance, most_states| {
        Projection { network, tolerance, most_states }.laws(&CountLaw::point(start), times).unwrap_err()
    };
    for bad in [0.0, -1.0, 2.0, f64::NAN] {
        assert!(matches!(run(&network, &[0], &[1.0], bad, 99), Error::Domain { parameter: "tolerance", .. }));
    }
    assert!(matches!(run(&network, &[0], &[f64::NAN], 1e-9, 99), Error::Domain { parameter: "times", .. }));
    assert!(matches!(run(&network, &[0], &[2.0, 1.0], 1e-9, 99), Error::Entry { index: 1, .. }));
    assert!(matches!(run(&network, &[0, 0], &[1.0], 1e-9, 99), Error::Shape { .. }));
    assert!(matches!(run(&network, &[0], &[1.0], 1e-9, 3), Error::NotConverged { .. }));
    let day = RateFunction::new([], |t, _| 1.0 + t.sin()).with_bound(1.0, |_, _, _| 2.0);
    let day = Network::new(["X"], vec![Reaction::new("day", [], [("X", 1)], Rate::Function(day))]).unwrap();
    assert!(matches!(run(&day, &[0], &[1.0], 1e-9, 99), Error::Unsupported { .. }));
    // A rate that is positive where the reaction cannot happen.
    let wrong = Reaction::new("take", [("X", 1)], [], Rate::function([], |_, _| 1.0));
    let wrong = Network::new(["X"], vec![wrong]).unwrap();
    assert!(matches!(run(&wrong, &[1], &[1.0], 1e-9, 99), Error::Reaction { .. }));
    // Two of X make three: the law reaches infinity in finite time.
    let explode = Reaction::new("explode", [("X", 2)], [("X", 3)], mass(1.0));
    let explode = Network::new(["X"], vec![explode]).unwrap();
    assert!(matches!(run(&explode, &[5], &[10.0], 1e-9, 2000), Error::NotConverged { .. }));

    assert!(CountLaw::new(array![[0], [0]], vec![0.5, 0.5]).is_err());
    assert!(CountLaw::new(array![[0], [1]], vec![0.5, 0.4]).is_err());
    assert!(CountLaw::new(array![[0], [1]], vec![1.0]).is_err());
    assert_eq!(CountLaw::point(&[2]).probability(&[3]), 0.0);
}

proptest! {
    #![proptest_config(verify::strategy::cases(9019, 256))]

    #[test]
    fn random_conversions_against_the_matrix_exponential(
        rates in prop::collection::vec(0.01_f64..3.0, 6),
        start in prop::array::uniform3(0_u32..4),
        time in 0.01_f64..4.0,
    ) {
        // Three species that turn into each other: a closed set of states. The molecules move independently.
        let names = ["A", "B", "C"];
        let mut reactions = vec![];
        let mut q = Array2::<f64>::zeros((3, 3));
        for (k, (i, j)) in [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)].into_iter().enumerate() {
            let name = format!("{i} to {j}");
            reactions.push(Reaction::new(&name, [(names[i], 1)], [(names[j], 1)], mass(rates[k])));
            q[[i, j]] = rates[k];
            q[[i, i]] -= rates[k];
        }
        let network = Network::new(names, reactions).unwrap();
        let law = &project(&network, &start, &[time], 1e-13)[0];
        let exact = pade(&q, time);
        for j in 0..3 {
            let mean: f64 = (0..3).map(|i| f64::from(start[i]) * exact[[i, j]]).sum();
            let variance: f64 =
                (0..3).map(|i| f64::from(start[i]) * exact[[i, j]] * (1.0 - exact[[i, j]])).sum();
            prop_assert!((law.mean(j) - mean).abs() < 1e-11);
            prop_assert!((law.covariance(j, j) - variance).abs() < 1e-11);
        }
        let total: u32 = start.iter().sum();
        prop_assert!(law.states().rows().into_iter().all(|n| n.sum() == total));
    }
}
