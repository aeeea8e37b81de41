//! Multilevel estimates: unbiased for any levels, with variances that fall from level to level.

use ctmc::network::{Counting, Multilevel, Network, Rate, RateFunction, Reaction};
use ctmc::{BirthDeath, evolve};
use numeric::{Control, Error, Noise};
use verify::{Family, normal_p_value, seed};

fn mass(constant: f64) -> Rate {
    Rate::mass_action(constant, Counting::Ordered)
}

fn immigration_death(arrive: f64) -> Network {
    let reactions = vec![
        Reaction::new("arrive", [], [("X", 1)], mass(arrive)),
        Reaction::new("die", [("X", 1)], [], mass(1.0)),
    ];
    Network::new(["X"], reactions).unwrap()
}

fn dimerisation() -> Network {
    let pairs = Rate::mass_action(0.01, Counting::Combinations);
    let reactions = vec![
        Reaction::new("bind", [("P", 2)], [("P2", 1)], pairs),
        Reaction::new("split", [("P2", 1)], [("P", 2)], mass(0.1)),
    ];
    Network::new(["P", "P2"], reactions).unwrap()
}

/// With so many rows of each level the variances of a pilot are known to a sixth, even of an indicator that differs in one row of
/// fifty, and standard errors to a twelfth: half as much again as was asked for is six standard deviations off.
const PILOT: u64 = 2000;

/// Leaps so coarse that counts are negative are levels as well. False alarms: one run in ten thousand.
#[test]
fn estimates_are_unbiased_whatever_the_levels() {
    let mut family = Family::new(1e-4).unwrap();
    let mut compare = |name: &str,
                       multilevel: &Multilevel<'_>,
                       f: &(dyn Fn(&[i64]) -> f64 + Sync),
                       exact: f64,
                       error: f64| {
        let noise = Noise::new(seed(400)).fork(name);
        let found = multilevel.estimate(f, error, noise, Control::default()).unwrap();
        let estimate = found.estimate;
        assert!(estimate.std_error < 1.5 * error, "{name}: {estimate}");
        family.push(name, normal_p_value((estimate.mean - exact) / estimate.std_error));
    };
    // A Poisson number of mean λ: its square and the probability of few.
    let network = immigration_death(20.0);
    let lambda = 20.0 * -(-1.5_f64).exp_m1();
    let few: f64 = (0..=12)
        .scan((-lambda).exp(), |p, k| {
            let now = *p;
            *p *= lambda / f64::from(k + 1);
            Some(now)
        })
        .sum();
    for (coarsest, levels) in [(1, 0), (1, 2), (4, 4)] {
        let multilevel = Multilevel::new(&network, &[0], 1.5).unwrap().with_levels(coarsest, levels);
        let multilevel = multilevel.with_pilot(PILOT);
        let name = |of: &str| format!("{of}: {coarsest} {levels}");
        compare(&name("square"), &multilevel, &|n| (n[0] * n[0]) as f64, lambda + lambda * lambda, 4.0);
        compare(&name("few"), &multilevel, &|n| f64::from(u8::from(n[0] <= 12)), few, 0.01);
    }
    // Dimers, against all states.
    let network = dimerisation();
    let up = (0..50).map(|k| 0.005 * f64::from((100 - 2 * k) * (99 - 2 * k))).collect();
    let down = (1..=50).map(|k| 0.1 * f64::from(k)).collect();
    let mut start = vec![0.0; 51];
    start[0] = 1.0;
    let law = evolve(&BirthDeath::new(up, down).unwrap(), &start, 2.0, 1e-13).unwrap().values;
    let mean: f64 = law.iter().zip(0..).map(|(p, k)| p * f64::from(k)).sum();
    for (coarsest, levels) in [(1, 1), (3, 3)] {
        let multilevel = Multilevel::new(&network, &[100, 0], 2.0).unwrap().with_levels(coarsest, levels);
        let multilevel = multilevel.with_pilot(PILOT);
        compare(&format!("dimers: {coarsest} {levels}"), &multilevel, &|n| n[1] as f64, mean, 0.05);
    }
    family.assert();
}

#[test]
fn variances_fall_with_the_step_and_work_is_saved() {
    let network = immigration_death(3000.0);
    let multilevel = Multilevel::new(&network, &[6000], 1.0).unwrap().with_levels(8, 5);
    let noise = Noise::new(seed(401));
    let levels: Vec<_> = (0..=6)
        .map(|level| multilevel.level(level, |n| n[0] as f64, 0..10_000, noise, Control::default()).unwrap())
        .collect();
    for pair in levels[1..6].windows(2) {
        // Halved steps, halved variances; 10,000 rows measure a ratio to 4 % (2000 had 2.50 in one of 48).
        let ratio = pair[0].variance / pair[1].variance;
        assert!((1.6..2.5).contains(&ratio), "{ratio}");
        assert_eq!(pair[1].cost, 2.0 * pair[0].cost);
    }
    // Of exact paths beside the finest leaps as between these and ones of half the step, twice.
    let ratio = levels[6].variance / levels[5].variance;
    assert!((0.5..1.5).contains(&ratio), "{ratio}");
    assert_eq!((levels[0].step, levels[5].step, levels[6].step), (Some(0.125), Some(1.0 / 256.0), None));
    let found = multilevel.estimate(|n| n[0] as f64, 0.5, noise, Control::default()).unwrap();
    let spent: f64 = found.levels.iter().map(|level| level.estimate.n as f64 * level.cost).sum();
    // Exact paths alone: their variance is that of a count, their cost that of the exact level.
    let exact = levels[0].variance / 0.25 * found.levels[6].cost;
    println!("multilevel {spent:.3e} propensities, exact paths {exact:.3e}");
    assert!(spent < 0.5 * exact, "{spent} {exact}");
}

#[test]
fn rows_do_not_depend_on_each_other() {
    let network = dimerisation();
    let multilevel = Multilevel::new(&network, &[100, 0], 2.0).unwrap().with_levels(2, 2);
    for level in 0..=3 {
        let run =
            |rows| multilevel.level(level, |n| n[1] as f64, rows, Noise::new(3), Control::default()).unwrap();
        let all = run(0..300);
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            assert_eq!(pool.install(|| run(0..300)), all);
        }
        let [one, two, both] = [10..11, 11..12, 10..12].map(|rows| run(rows).estimate.mean);
        assert_eq!(0.5 * (one + two), both);
    }
}

#[test]
fn bad_input_is_named() {
    let network = immigration_death(1.0);
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(Multilevel::new(&network, &[0], bad).is_err());
        let multilevel = Multilevel::new(&network, &[0], 1.0).unwrap();
        assert!(multilevel.estimate(|n| n[0] as f64, bad, Noise::new(1), Control::default()).is_err());
    }
    assert!(Multilevel::new(&network, &[0, 0], 1.0).is_err());
    let multilevel = Multilevel::new(&network, &[0], 1.0).unwrap();
    let level = |level, rows| multilevel.level(level, |_| 1.0, rows, Noise::new(1), Control::default());
    assert!(matches!(level(7, 0..10), Err(Error::Domain { parameter: "level", .. })));
    assert!(level(0, 3..3).is_err());
    let nan = multilevel.level(0, |_| f64::NAN, 0..10, Noise::new(1), Control::default());
    assert!(matches!(nan, Err(Error::Entry { .. })));
    let day = RateFunction::new([], |t, _| 1.0 + t.sin()).with_bound(1.0, |_, _, _| 2.0);
    let day = Network::new(["X"], vec![Reaction::new("day", [], [("X", 1)], Rate::Function(day))]).unwrap();
    assert!(matches!(Multilevel::new(&day, &[0], 1.0), Err(Error::Unsupported { .. })));
    let flood = Network::new(["X"], vec![Reaction::new("flood", [], [("X", 1)], mass(1e300))]).unwrap();
    let flood = Multilevel::new(&flood, &[0], 1.0).unwrap();
    assert!(flood.level(0, |n| n[0] as f64, 0..1, Noise::new(1), Control::default()).is_err());
    // Nothing happens: no variance, and a mean without an error.
    let still = immigration_death(0.0);
    let still = Multilevel::new(&still, &[0], 1.0).unwrap();
    let found = still.estimate(|n| n[0] as f64, 0.1, Noise::new(1), Control::default()).unwrap();
    assert_eq!((found.estimate.mean, found.estimate.std_error), (0.0, 0.0));
}
