//! Mixing times and products of chains.

use ctmc::{
    BirthDeath, Dense, Generator, Kernel, MixingTime, ProductChain, Refresh, Spectral,
    detailed_balance_defect, evolve, mixing_distance, mixing_time, product_mixing_time,
};
use numeric::Error;
use numeric::ndarray::array;
use proptest::prelude::*;

use crate::{assert_near, cyclic};

#[test]
fn refreshing_chains_mix_in_closed_form() {
    // d(t) = (1 − min π) e^{−rt}.
    for (chain, rate, least) in [
        (Refresh::uniform(3, 0.5).unwrap(), 1.5, 1.0 / 3.0),
        (Refresh::uniform(200, 1e-3).unwrap(), 0.2, 0.005),
        (Refresh::new(&[0.5, 0.2, 0.3], 4.0).unwrap(), 4.0, 0.2),
        (Refresh::two_state(1e6, 3e6).unwrap(), 4e6, 0.25),
        (Refresh::absorbing(4, 1, 0.25).unwrap(), 0.25, 0.0),
    ] {
        for level in [0.25, 0.01, 1e-9] {
            let found = mixing_time(&chain, level).unwrap();
            let exact = ((1.0_f64 - least) / level).ln() / rate;
            // An error of δ in the distance moves the time by δ / (r · level).
            let tolerance = 2e-12 * exact + 1e-14 / (rate * level);
            assert_near(found.lower, exact, tolerance);
            assert_near(found.upper, exact, tolerance);
            assert!(found.lower < found.upper && found.distance <= level);
        }
    }
    // The value of the sheet, of a rate 1/2 to each of three states.
    let found = mixing_time(&Refresh::uniform(3, 0.5).unwrap(), 0.25).unwrap();
    assert_near(found.upper, 0.653886168674, 1e-12);
    // From nowhere is it far: the level is met at once.
    let coin = Refresh::two_state(1.0, 1.0).unwrap();
    assert_eq!(mixing_time(&coin, 0.75).unwrap(), MixingTime { lower: 0.0, upper: 0.0, distance: 0.5 });
}

#[test]
fn a_chain_that_is_not_reversible_is_bracketed_by_its_kernels() {
    let chain = cyclic();
    let law = chain.stationary().unwrap();
    for level in [0.5, 0.25, 1e-3] {
        let found = mixing_time(&chain, level).unwrap();
        let at = |time: f64| {
            let exact = crate::pade(&chain.to_matrix(), time);
            exact.rows().into_iter().fold(0.0, |greatest: f64, row| {
                greatest.max(0.5 * row.iter().zip(&law).map(|(p, q)| (p - q).abs()).sum::<f64>())
            })
        };
        assert_near(at(found.upper), level, 1e-11);
        assert!(at(found.upper * (1.0 - 1e-9)) > level && at(found.upper * (1.0 + 1e-9)) < level);
    }
}

#[test]
fn gap_bounds_hold_and_meet_for_two_states_alike() {
    for chain in [
        BirthDeath::constant(2, 0.7).unwrap(),
        BirthDeath::constant(9, 1.0).unwrap(),
        BirthDeath::new(vec![1.0, 2.0, 0.5], vec![0.3, 0.7, 4.0]).unwrap(),
    ] {
        for level in [0.4, 0.25, 1e-3] {
            let found = mixing_time(&chain, level).unwrap();
            let (lower, upper) = Spectral::new(&chain).unwrap().mixing_bounds(level).unwrap();
            assert!(lower <= found.upper * (1.0 + 1e-9) && found.lower <= upper * (1.0 + 1e-9), "{level}");
        }
    }
}

#[test]
fn gap_bounds_of_a_lopsided_bit() {
    let bit = Spectral::new(&Refresh::two_state(1.0, 9.0).unwrap()).unwrap();
    let (lower, upper) = bit.mixing_bounds(0.05).unwrap();
    assert_near(lower, 0.1 * 10_f64.ln(), 1e-15);
    assert_near(upper, 0.1 * 30_f64.ln(), 1e-15);
}

#[test]
fn a_product_is_the_chain_of_all_its_states() {
    let (level, bit, colour) = (
        BirthDeath::new(vec![1.0, 2.0], vec![0.5, 3.0]).unwrap(),
        Refresh::two_state(0.4, 1.0).unwrap(),
        cyclic(),
    );
    let product = ProductChain::new(vec![&level as &dyn Generator, &bit, &colour]).unwrap();
    let all = product.enumerate().unwrap();
    assert_eq!(all.states(), 18);
    let place = |x: &[u32]| (x[0] * 2 + x[1]) * 3 + x[2];
    for x in (0..18_u32).map(|i| [i / 6, i / 3 % 2, i % 3]) {
        assert_near(product.exit_rate(&x).unwrap(), all.exit_rate(place(&x)), 1e-15);
        product
            .for_each_rate(&x, |d, to, rate| {
                let mut y = x;
                y[d] = to;
                assert_eq!(all.rate(place(&x), place(&y)), rate);
            })
            .unwrap();
    }
    assert_eq!(product.max_exit_rate(), all.max_exit_rate());
    // Independent coordinates, in time and in equilibrium.
    let kernels = [0, 1, 2].map(|d| Kernel::of(product.coordinates()[d], 0.6, 1e-15).unwrap());
    let mut start = vec![0.0; 18];
    start[place(&[2, 0, 1]) as usize] = 1.0;
    let law = evolve(&all, &start, 0.6, 1e-14).unwrap().values;
    let (laws, stationary) = (product.stationary().unwrap(), all.stationary().unwrap());
    for x in (0..18_usize).map(|i| [i / 6, i / 3 % 2, i % 3]) {
        let i = (x[0] * 2 + x[1]) * 3 + x[2];
        let exact =
            kernels[0].matrix()[[2, x[0]]] * kernels[1].matrix()[[0, x[1]]] * kernels[2].matrix()[[1, x[2]]];
        assert_near(law[i], exact, 2e-14);
        assert_near(stationary[i], laws[0][x[0]] * laws[1][x[1]] * laws[2][x[2]], 1e-15);
    }
}

#[test]
fn the_hypercube() {
    let cube = ProductChain::hypercube(6, 1.0, 1.0).unwrap();
    let all = cube.enumerate().unwrap();
    assert!(detailed_balance_defect(&all, &[1.0 / 64.0; 64]).unwrap() < 1e-15);
    let spectrum = Spectral::new(&all).unwrap();
    assert_near(spectrum.gap(), 2.0, 1e-13);
    assert_near(cube.spectral_gap().unwrap(), 2.0, 1e-15);
    // The mixing time of all states is below the bound and above the spectral one.
    let exact = mixing_time(&all, 0.25).unwrap();
    assert!(exact.upper <= cube.mixing_time_bound().unwrap());
    assert!(exact.upper >= spectrum.mixing_bounds(0.25).unwrap().0);
    // Eigenvalues −2k with the multiplicities of the binomial law.
    for (k, count) in [(0, 1), (1, 6), (2, 15), (3, 20)] {
        let found = spectrum.eigenvalues().iter().filter(|l| (*l + 2.0 * f64::from(k)).abs() < 1e-12).count();
        assert_eq!(found, count);
    }
    let one = ProductChain::hypercube(1, 0.25, 0.75).unwrap();
    assert_eq!(one.enumerate().unwrap().to_matrix(), one.coordinates()[0].to_matrix());
}

#[test]
fn bad_input_is_named() {
    for level in [0.0, -0.1, 1.0, f64::NAN] {
        assert!(mixing_time(&cyclic(), level).is_err());
        assert!(Spectral::new(&BirthDeath::constant(3, 1.0).unwrap()).unwrap().mixing_bounds(level).is_err());
    }
    let apart = Dense::new(&array![[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]).unwrap();
    assert!(matches!(mixing_time(&apart, 0.25), Err(Error::Unsupported { .. })));
    let kernel = Kernel::of(&cyclic(), 1.0, 1e-12).unwrap();
    assert!(mixing_distance(&kernel, &[0.5, 0.5]).is_err());
    assert!(product_mixing_time(f64::NAN, 3).is_err() && product_mixing_time(1.0, 0).is_err());
    assert!(ProductChain::hypercube(0, 1.0, 1.0).is_err());
    let cube = ProductChain::hypercube(30, 1.0, 1.0).unwrap();
    let message = "`states` is 1073741824; expected at most 2^24 states in all coordinates together";
    assert_eq!(cube.enumerate().unwrap_err().to_string(), message);
    assert!(cube.exit_rate(&[0; 29]).is_err());
    let mut x = [0; 30];
    x[4] = 2;
    let message = "`x[4]` is 2; expected a state of the coordinate";
    assert_eq!(cube.exit_rate(&x).unwrap_err().to_string(), message);
}

proptest! {
    #![proptest_config(verify::strategy::cases(9017, 256))]

    #[test]
    fn products_mix_within_the_bound(dimension in 1_usize..5, up in 0.1_f64..3.0, down in 0.1_f64..3.0) {
        let cube = ProductChain::hypercube(dimension, up, down).unwrap();
        let exact = mixing_time(&cube.enumerate().unwrap(), 0.25).unwrap();
        prop_assert!(exact.lower <= cube.mixing_time_bound().unwrap());
    }
}
