//! Hitting times and places, against closed forms, linear solves and simulation; stationary laws within a band.

use ctmc::hitting::{Stopped, expected_times, first_hits, probability_by};
use ctmc::{BirthDeath, Dense, Generator, Kernel, Method, Refresh, Simulation, Sparse, Start, TimeChange};
use numeric::ndarray::{Array2, array};
use numeric::{Control, Error, Noise};
use proptest::prelude::*;
use verify::{Family, kolmogorov_smirnov, seed};

use crate::{assert_near, cyclic};

#[test]
fn a_uniform_chain_needs_a_geometric_number_of_jumps() {
    for states in [2, 3, 40] {
        let uniform = Refresh::uniform(states, 0.5).unwrap();
        let times = expected_times(&uniform, &[1]).unwrap();
        for (state, time) in times.iter().enumerate() {
            // The target is one of S − 1 destinations, each at rate 1/2.
            assert_near(*time, if state == 1 { 0.0 } else { 2.0 }, 4e-14);
        }
        let all: Vec<u32> = uniform.state_range().collect();
        assert_eq!(expected_times(&uniform, &all).unwrap(), vec![0.0; states]);
        assert_eq!(first_hits(&uniform, &all).unwrap().states, Array2::<f64>::eye(states));
    }
}

#[test]
fn steep_chains_keep_all_digits() {
    // m_i→i+1 = Σ_k≤i (up_k)^{-1} Π down/up, over 280 orders of magnitude.
    let (up, down) = (1e-3, 1e17);
    let walk = BirthDeath::new(vec![up; 14], vec![down; 14]).unwrap();
    let times = expected_times(&walk, &[14]).unwrap();
    let (mut step, mut exact) = (0.0, 0.0);
    for i in 0..14 {
        step = 1.0 / up + if i == 0 { 0.0 } else { down / up * step };
        exact += step;
    }
    assert_near(times[0] / exact, 1.0, 1e-13);
    // The gambler's chance of coming up from the bottom.
    let game =
        BirthDeath::new([vec![0.0], vec![1.0; 14]].concat(), [vec![1e20; 14], vec![0.0]].concat()).unwrap();
    let hits = first_hits(&game, &[0, 15]).unwrap();
    let exact = (1e20 - 1.0) / (1e300 - 1.0);
    assert_near(hits.states[[1, 1]] / exact, 1.0, 1e-13);
    assert_eq!(hits.never, [0.0; 16]);
}

#[test]
fn states_that_may_miss_the_target_wait_for_ever() {
    // 0 → {1, 2}, 1 → 0, 2 absorbing, 4 → 3 → 4 apart, 5 → 1.
    let rates = [(0, 1, 1.0), (0, 2, 1e-18), (1, 0, 3.0), (3, 4, 1.0), (4, 3, 2.0), (5, 1, 2.0)];
    let chain = Sparse::new(6, rates).unwrap();
    let infinite = f64::INFINITY;
    let times = expected_times(&chain, &[0]).unwrap();
    assert_eq!(times[..5], [0.0, 1.0 / 3.0, infinite, infinite, infinite]);
    assert_near(times[5], 5.0 / 6.0, 2e-16);
    assert_eq!(expected_times(&chain, &[1]).unwrap(), [infinite, 0.0, infinite, infinite, infinite, 0.5]);
    let hits = first_hits(&chain, &[1]).unwrap();
    assert_near(hits.never[0] / 1e-18, 1.0, 1e-15);
    assert_eq!(hits.never[2..], [1.0, 1.0, 1.0, 0.0]);
    // Absorption in 2 is certain from 0, however late.
    let times = expected_times(&chain, &[2]).unwrap();
    assert_near(times[0] / (4.0 / 3.0 * 1e18 + 1.0), 1.0, 1e-15);
    assert_eq!(first_hits(&chain, &[2]).unwrap().never, [0.0, 0.0, 0.0, 1.0, 1.0, 0.0]);
}

#[test]
fn long_rows_of_states_fit() {
    // From the reflecting end of n states, at rate 1 each way: n (n + 1)/2 · 1, in floating point.
    let n = 400_000;
    let walk = BirthDeath::constant(n + 1, 1.0).unwrap();
    let times = expected_times(&walk, &[n as u32]).unwrap();
    assert_near(times[0] / (0.5 * n as f64 * (n as f64 + 1.0)), 1.0, 1e-11);
    // The stationary law of the same rates given as a sparse matrix.
    let law =
        Sparse::new(n + 1, (0..n as u32).flat_map(|i| [(i, i + 1, 1.0), (i + 1, i, 1.0 + 1.0 / n as f64)]))
            .unwrap()
            .stationary()
            .unwrap();
    let ratio = 1.0 + 1.0 / n as f64;
    assert_near(law[0] / law[n] / ratio.powi(n as i32), 1.0, 1e-9);
    assert!(expected_times(&Refresh::uniform(5000, 1.0).unwrap(), &[0]).is_err());
}

#[test]
fn the_time_has_the_law_of_simulated_paths() {
    // False alarms: one run in ten thousand.
    let mut family = Family::new(1e-4).unwrap();
    let chain = cyclic();
    let simulation =
        Simulation { generator: &chain, beta: TimeChange::constant(1.0).unwrap(), method: Method::Direct };
    let noise = Noise::new(seed(40));
    let paths = simulation.paths(Start::State(0), 200.0, 0..4000, noise, Control::default()).unwrap();
    let times: Vec<f64> = paths
        .iter()
        .map(|path| path.times[path.states.iter().position(|&state| state == 2).unwrap() - 1])
        .collect();
    let law = |t: f64| probability_by(&chain, &[2], t, 1e-12).unwrap().values[0];
    family.push("time to 2", kolmogorov_smirnov(&times, law).unwrap().p_value);
    family.assert();
}

#[test]
fn a_stopped_chain_is_a_generator() {
    let chain = cyclic();
    let stopped = Stopped::new(&chain, &[1]).unwrap();
    let same = Dense::new(&array![[0.0, 1.0, 0.5], [0.0, 0.0, 0.0], [1.0, 0.5, 0.0]]).unwrap();
    assert_eq!(stopped.to_matrix(), same.to_matrix());
    let (p, mut a, mut b) = ([0.3, 0.5, 0.2], [0.0; 3], [0.0; 3]);
    stopped.apply_row_into(&p, &mut a);
    same.apply_row_into(&p, &mut b);
    a.iter().zip(b).for_each(|(a, b)| assert_near(*a, b, 1e-16));
    stopped.apply_column_into(&p, &mut a);
    same.apply_column_into(&p, &mut b);
    a.iter().zip(b).for_each(|(a, b)| assert_near(*a, b, 1e-16));
    let kernel = Kernel::of(&stopped, 0.7, 1e-14).unwrap();
    let by = probability_by(&chain, &[1], 0.7, 1e-14).unwrap();
    for (row, by) in kernel.matrix().rows().into_iter().zip(by.values) {
        assert_near(row[1], by, 1e-13);
    }
}

#[test]
fn bad_targets_are_named() {
    let message = |target: &[u32]| expected_times(&cyclic(), target).unwrap_err().to_string();
    assert_eq!(message(&[]), "`target` is 0; expected at least one state");
    assert_eq!(message(&[0, 3]), "`target[1]` is 3; expected one of the states");
    assert_eq!(message(&[2, 0, 2]), "`target[2]` is 2; expected each state once");
    assert!(matches!(first_hits(&cyclic(), &[7]), Err(Error::Entry { .. })));
    assert!(Stopped::new(&cyclic(), &[]).is_err());
    assert!(probability_by(&cyclic(), &[0], f64::NAN, 1e-9).is_err());
}

proptest! {
    #![proptest_config(verify::strategy::cases(9015, 256))]

    #[test]
    fn any_chain_against_a_linear_solve(
        states in 2_usize..9,
        rates in prop::collection::vec(prop_oneof![Just(0.0), 0.1_f64..10.0], 81),
        targets in 1_usize..3,
    ) {
        let targets = targets.min(states - 1);
        // A ring as well, so that every state is hit.
        let matrix = Array2::from_shape_fn((states, states), |(i, j)| {
            rates[9 * i + j] + if j == (i + 1) % states { 0.5 } else { 0.0 }
        });
        let chain = Dense::new(&matrix).unwrap();
        let target: Vec<u32> = (0..targets as u32).map(|k| (2 * k + 1) % states as u32).collect();
        prop_assume!(target[0] != target[targets - 1] || targets == 1);
        let inside: Vec<u32> = chain.state_range().filter(|state| !target.contains(state)).collect();
        let n = inside.len();
        let minus = nalgebra::DMatrix::from_fn(n, n, |i, j| -chain.rate(inside[i], inside[j]));
        let right = nalgebra::DMatrix::from_fn(n, targets + 1, |i, k| {
            if k < targets { chain.rate(inside[i], target[k]) } else { 1.0 }
        });
        let exact = minus.lu().solve(&right).unwrap();
        // The solver subtracts, and where states return often it loses digits: as many as by which its probabilities miss 1.
        let lost = (0..n).map(|i| (exact.row(i).columns(0, targets).sum() - 1.0).abs()).fold(0.0, f64::max);
        let (times, hits) = (expected_times(&chain, &target).unwrap(), first_hits(&chain, &target).unwrap());
        for (i, &state) in inside.iter().enumerate() {
            prop_assert!((times[state as usize] / exact[(i, targets)] - 1.0).abs() < 1e-11 + 10.0 * lost);
            prop_assert_eq!(hits.never[state as usize], 0.0);
            for k in 0..targets {
                prop_assert!((hits.states[[state as usize, k]] - exact[(i, k)]).abs() < 1e-12 + 10.0 * lost);
            }
            prop_assert!((hits.states.row(state as usize).sum() - 1.0).abs() < 1e-14);
        }
    }
}
