//! Exact paths: laws, agreement of views, independence of rows.

use ctmc::{BirthDeath, Generator, Kernel, Method, Refresh, Simulation, Start, TimeChange};
use numeric::{Control, Noise};
use verify::{Family, chi_squared, kolmogorov_smirnov, seed};

use crate::cyclic;

const METHODS: [Method; 2] = [Method::Direct, Method::Uniformization];

#[test]
fn states_on_a_grid_have_the_exact_laws() {
    // False alarms: one run in ten thousand for the whole test.
    let mut family = Family::new(1e-4).unwrap();
    let queue = BirthDeath::new(vec![1.0, 2.0, 0.5], vec![0.3, 0.7, 4.0]).unwrap();
    let masks = Refresh::absorbing(3, 2, 1.0).unwrap();
    let law = Refresh::new(&[0.5, 0.0, 0.3, 0.2], 1.5).unwrap();
    let (chain, uniform) = (cyclic(), Refresh::uniform(4, 0.5).unwrap());
    let chains: [(&str, &dyn Generator); 5] =
        [("cyclic", &chain), ("queue", &queue), ("uniform", &uniform), ("masks", &masks), ("law", &law)];
    let betas = [TimeChange::exponential(0.5, 3.0).unwrap(), TimeChange::cosine()];
    for (k, (name, generator)) in (0..).zip(chains) {
        for (method, beta) in METHODS.into_iter().zip(betas).chain(METHODS.into_iter().rev().zip(betas)) {
            let simulation = Simulation { generator, beta, method };
            let noise = Noise::new(seed(10 + k)).fork(&format!("{method:?} {beta:?}"));
            let times = [0.2, 0.9];
            let x =
                simulation.states_at(Start::State(0), &times, 0..20_000, noise, Control::default()).unwrap();
            let states = generator.states();
            let first = Kernel::of(generator, beta.integral(0.0, 0.2).unwrap(), 1e-15).unwrap();
            let second = Kernel::of(generator, beta.integral(0.2, 0.9).unwrap(), 1e-15).unwrap();
            // The joint law of both times.
            let mut counts = vec![0; states * states];
            x.rows().into_iter().for_each(|x| counts[x[0] as usize * states + x[1] as usize] += 1);
            let joint: Vec<f64> = (0..states * states)
                .map(|c| first.matrix()[[0, c / states]] * second.matrix()[[c / states, c % states]])
                .collect();
            family.push(format!("{name} {method:?}"), chi_squared(&counts, &joint).unwrap().p_value);
        }
    }
    family.assert();
}

#[test]
fn jumps_come_at_the_times_and_to_the_places_of_the_rates() {
    // False alarms: one run in ten thousand for the whole test.
    let mut family = Family::new(1e-4).unwrap();
    let (chain, beta) = (cyclic(), TimeChange::linear(0.5, 2.0).unwrap());
    for (k, method) in (0..).zip(METHODS) {
        let simulation = Simulation { generator: &chain, beta, method };
        let noise = Noise::new(seed(20 + k));
        let paths = simulation.paths(Start::State(1), 40.0, 0..5000, noise, Control::default()).unwrap();
        let first: Vec<f64> = paths.iter().map(|path| path.times[0]).collect();
        // Exit rate 1 on the clock t/2 + t²; it runs to 1620, so that every path has jumps.
        let exact = |t: f64| -(-(0.5 * t + t * t)).exp_m1();
        family.push(format!("{method:?}: first jump"), kolmogorov_smirnov(&first, exact).unwrap().p_value);
        let mut counts = [0; 3];
        paths.iter().for_each(|path| counts[path.states[1] as usize] += 1);
        let exact = [0.25, 0.0, 0.75];
        family.push(format!("{method:?}: place"), chi_squared(&counts, &exact).unwrap().p_value);
        // The second waiting time, of those that went to 2, on the clock.
        let waits: Vec<f64> = paths
            .iter()
            .filter(|path| path.states[1] == 2)
            .map(|path| beta.integral(path.times[0], path.times[1]).unwrap())
            .collect();
        let exact = |t: f64| -(-1.5 * t).exp_m1();
        family.push(format!("{method:?}: second jump"), kolmogorov_smirnov(&waits, exact).unwrap().p_value);
    }
    family.assert();
}

#[test]
fn the_start_may_be_a_law() {
    // False alarms: one run in ten thousand.
    let mut family = Family::new(1e-4).unwrap();
    let simulation =
        Simulation { generator: &cyclic(), beta: TimeChange::constant(1.0).unwrap(), method: Method::Direct };
    let law = [0.6, 0.0, 0.4];
    let noise = Noise::new(seed(30));
    let x = simulation.states_at(Start::Law(&law), &[0.0], 0..10_000, noise, Control::default()).unwrap();
    let mut counts = [0; 3];
    x.iter().for_each(|&x| counts[x as usize] += 1);
    family.push("start", chi_squared(&counts, &law).unwrap().p_value);
    family.assert();
}

#[test]
fn events_and_grid_agree_and_rows_do_not_depend_on_each_other() {
    let (chain, noise) = (BirthDeath::constant(6, 1.0).unwrap(), Noise::new(8));
    let times = [0.0, 0.1, 0.1, 0.5, 0.83, 0.9];
    for beta in [
        TimeChange::cosine(),
        TimeChange::log_linear(0.0).unwrap(),
        TimeChange::geometric(0.1, 20.0).unwrap(),
    ] {
        for method in METHODS {
            let simulation = Simulation { generator: &chain, beta, method };
            let start: Vec<u32> = (0..150).map(|i| i % 6).collect();
            let paths =
                simulation.paths(Start::States(&start), 0.9, 0..150, noise, Control::default()).unwrap();
            let seen = simulation
                .states_at(Start::States(&start), &times, 0..150, noise, Control::default())
                .unwrap();
            for (path, seen) in paths.iter().zip(seen.rows()) {
                assert!(path.times.is_sorted() && path.times.iter().all(|&t| (0.0..=0.9).contains(&t)));
                assert!(path.states.windows(2).all(|pair| pair[0].abs_diff(pair[1]) == 1));
                assert!(times.iter().zip(seen).all(|(&t, &seen)| path.state_at(t) == seen));
                // A grid that ends earlier, and at a jump.
            }
            let jump = paths.iter().find_map(|path| path.times.first().copied()).unwrap();
            let at = simulation
                .states_at(Start::States(&start), &[jump], 0..150, noise, Control::default())
                .unwrap();
            assert!(paths.iter().zip(&at).all(|(path, &at)| path.state_at(jump) == at));
            let part = simulation
                .paths(Start::States(&start[90..]), 0.9, 90..150, noise, Control::default())
                .unwrap();
            assert_eq!(part, paths[90..]);
            // A shorter run is the beginning of a longer one.
            let short =
                simulation.paths(Start::States(&start), 0.5, 0..150, noise, Control::default()).unwrap();
            for (short, long) in short.iter().zip(&paths) {
                assert_eq!(short.times, long.times[..short.times.len()]);
                assert!(long.times.get(short.times.len()).is_none_or(|&next| next > 0.5));
            }
        }
    }
}

#[test]
fn ends_of_time_and_bad_input() {
    let chain = Refresh::absorbing(3, 2, 1.0).unwrap();
    let none = Control::default();
    for method in METHODS {
        // Every path ends in the mask, and a masked chain stays.
        let simulation = Simulation { generator: &chain, beta: TimeChange::constant(1.0).unwrap(), method };
        let paths = simulation.paths(Start::State(0), 1e6, 0..100, Noise::new(1), none).unwrap();
        assert!(paths.iter().all(|path| path.states == [0, 2]));
        let rest = simulation.paths(Start::State(2), 1e300, 0..10, Noise::new(1), none).unwrap();
        assert!(rest.iter().all(|path| path.times.is_empty()));
        let at_once = simulation.paths(Start::State(0), 0.0, 0..100, Noise::new(1), none).unwrap();
        assert!(at_once.iter().all(|path| path.times.is_empty()));
        assert_eq!(
            simulation.states_at(Start::State(0), &[], 0..5, Noise::new(1), none).unwrap().dim(),
            (5, 0)
        );
        assert_eq!(
            simulation.states_at(Start::State(0), &[1.0], 5..5, Noise::new(1), none).unwrap().dim(),
            (0, 1)
        );
        for bad in [-1.0, f64::NAN, f64::INFINITY] {
            assert!(simulation.paths(Start::State(0), bad, 0..1, Noise::new(1), none).is_err());
            assert!(simulation.states_at(Start::State(0), &[bad], 0..1, Noise::new(1), none).is_err());
        }
        assert!(simulation.states_at(Start::State(0), &[1.0, 0.5], 0..1, Noise::new(1), none).is_err());
        assert!(simulation.paths(Start::State(3), 1.0, 0..1, Noise::new(1), none).is_err());
        assert!(simulation.paths(Start::States(&[0]), 1.0, 0..2, Noise::new(1), none).is_err());
        assert!(simulation.paths(Start::States(&[0, 3]), 1.0, 0..2, Noise::new(1), none).is_err());
        assert!(simulation.paths(Start::Law(&[0.5, 0.4, 0.0]), 1.0, 0..2, Noise::new(1), none).is_err());
        let endless = Simulation { generator: &chain, beta: TimeChange::cosine(), method };
        assert!(endless.paths(Start::State(0), 1.0, 0..1, Noise::new(1), none).is_err());
    }
}
