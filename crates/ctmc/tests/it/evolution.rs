//! Laws and expectations of large chains.

use ctmc::{Generator, Kernel, Sparse, evolve, expectation, occupation};
use numeric::ndarray::arr1;

use crate::{assert_near, cyclic, pade};

/// A walk on a line of n states: up at rate 1, down at rate 2, and home to 0 at rate 0.1.
fn line(n: u32) -> Sparse {
    let mut rates = vec![];
    for i in 0..n {
        rates.extend((i + 1 < n).then_some((i, i + 1, 1.0)));
        rates.extend((i > 0).then(|| (i, i - 1, if i == 1 { 2.1 } else { 2.0 })));
        rates.extend((i > 1).then_some((i, 0, 0.1)));
    }
    Sparse::new(n as usize, rates).unwrap()
}

#[test]
fn small_chains_against_the_matrix_exponential() {
    let chain = line(30);
    for tolerance in [1e-4, 1e-9, 1e-15] {
        for time in [0.0, 1e-6, 0.8, 12.0] {
            let exact = pade(&chain.to_matrix(), time);
            let law: Vec<f64> = (1..=30).map(|i| f64::from(i) / 465.0).collect();
            let found = evolve(&chain, &law, time, tolerance).unwrap();
            let exact_law = arr1(&law).dot(&exact);
            let variation =
                0.5 * found.values.iter().zip(&exact_law).map(|(a, b)| (a - b).abs()).sum::<f64>();
            assert!(variation <= found.truncation + 1e-14 && found.truncation <= tolerance, "{variation}");
            assert_near(found.values.iter().sum(), 1.0, 1e-14);
            let f: Vec<f64> = (0..30).map(|i| f64::from(i * i) - 200.0).collect();
            let found = expectation(&chain, &f, time, tolerance).unwrap();
            for (found_f, exact) in found.values.iter().zip(exact.dot(&arr1(&f))) {
                assert!((found_f - exact).abs() <= found.truncation + 1e-11, "{found_f} {exact}");
            }
            assert!(found.truncation <= tolerance * 841.0);
        }
    }
}

#[test]
fn a_million_states() {
    // The circle: e^{-2t} I_d(2t) at distance d, from far away from where it closes.
    let n = 1_000_000;
    let steps = (0..n).flat_map(|i| [(i, (i + 1) % n, 1.0), (i, (i + n - 1) % n, 1.0)]);
    let walk = Sparse::new(n as usize, steps).unwrap();
    let mut start = vec![0.0; n as usize];
    start[0] = 1.0;
    let found = evolve(&walk, &start, 2.5, 1e-13).unwrap();
    // e^{-5} I_d(5) from its power series.
    for d in 0..12_i32 {
        let mut term = (1..=d).fold((-5.0_f64).exp(), |term, k| term * 2.5 / f64::from(k));
        let mut sum = 0.0;
        for k in 1..60 {
            sum += term;
            term *= 6.25 / (f64::from(k) * f64::from(k + d));
        }
        assert_near(found.values[d as usize], sum, 1e-13);
        assert_near(found.values[(n - 1) as usize - d as usize], found.values[d as usize + 1], 1e-13);
    }
    assert!(found.values.iter().all(|&p| p >= 0.0));
    assert_near(found.values.iter().sum(), 1.0, 1e-13);
}

#[test]
fn long_times_end_early_where_the_chain_has_settled() {
    let chain = line(50);
    let law = chain.stationary().unwrap();
    let start: Vec<f64> = (0..50).map(|i| f64::from(u8::from(i == 49))).collect();
    let found = evolve(&chain, &start, 1e5, 1e-9).unwrap();
    assert!(found.products < 2000, "{}", found.products);
    assert!(found.truncation <= 1e-9);
    let variation = 0.5 * found.values.iter().zip(&law).map(|(a, b)| (a - b).abs()).sum::<f64>();
    assert!(variation <= 1e-9, "{variation}");
    // A hundred thousand jumps without settling: the pair of Poisson laws of a walk with one way round.
    let circle = Sparse::new(2, [(0, 1, 1.0), (1, 0, 1.0)]).unwrap();
    let found = evolve(&circle, &[1.0, 0.0], 1e5, 1e-12).unwrap();
    assert_near(found.values[0], 0.5, 1e-12);
}

#[test]
fn mass_at_rest_and_bad_input() {
    let absorbing = Sparse::new(3, [(0, 1, 1.0), (1, 2, 1.0)]).unwrap();
    let found = evolve(&absorbing, &[1.0, 0.0, 0.0], 2.0, 1e-15).unwrap();
    let e = (-2.0_f64).exp();
    for (found, exact) in found.values.iter().zip([e, 2.0 * e, 1.0 - 3.0 * e]) {
        assert_near(*found, exact, 1e-15);
    }
    let still = Sparse::new(2, []).unwrap();
    assert_eq!(evolve(&still, &[0.25, 0.75], 9.0, 1e-12).unwrap().values, [0.25, 0.75]);
    let constant = expectation(&cyclic(), &[3.0; 3], 5.0, 1e-15).unwrap();
    assert!(constant.values.iter().all(|f| (f - 3.0).abs() < 1e-14));
    let q = cyclic();
    for bad in [-1.0, f64::NAN, f64::INFINITY] {
        assert!(evolve(&q, &[1.0, 0.0, 0.0], bad, 1e-12).is_err());
        assert!(evolve(&q, &[1.0, 0.0, 0.0], 1.0, bad).is_err());
        assert!(evolve(&q, &[bad, 1.0, 0.0], 1.0, 1e-12).is_err());
        assert!(bad == -1.0 || expectation(&q, &[bad, 1.0, 0.0], 1.0, 1e-12).is_err());
    }
    assert!(evolve(&q, &[1.0, 0.0], 1.0, 1e-12).is_err());
    assert!(evolve(&q, &[0.5, 0.0, 0.0], 1.0, 1e-12).is_err());
    assert!(evolve(&q, &[1.0, 0.0, 0.0], 1e9, 1e-12).is_err());
    assert!(expectation(&q, &[f64::MAX, -f64::MAX, 0.0], 1.0, 1e-12).is_err());
}

#[test]
fn the_law_is_a_row_of_the_kernel() {
    let chain = line(12);
    let kernel = Kernel::of(&chain, 3.0, 1e-15).unwrap();
    for i in 0..12 {
        let mut start = vec![0.0; 12];
        start[i] = 1.0;
        let found = evolve(&chain, &start, 3.0, 1e-15).unwrap();
        for (found, exact) in found.values.iter().zip(kernel.matrix().row(i)) {
            assert_near(*found, *exact, 3e-15);
        }
    }
}

#[test]
fn occupations_are_integrals_of_the_laws() {
    let chain = line(12);
    let law: Vec<f64> = (1..=12).map(|i| f64::from(i) / 78.0).collect();
    for tolerance in [1e-3, 1e-9, 1e-14] {
        for time in [0.0, 1e-5, 0.7, 40.0] {
            // The integral of the exponential is a block of that of [[Q, I], [0, 0]].
            let q = chain.to_matrix();
            let block = numeric::ndarray::Array2::from_shape_fn((24, 24), |(i, j)| match (i < 12, j < 12) {
                (true, true) => q[[i, j]],
                (true, false) => f64::from(u8::from(i + 12 == j)),
                _ => 0.0,
            });
            let exact = pade(&block, time);
            let found = occupation(&chain, &law, time, tolerance).unwrap();
            assert!(found.truncation <= tolerance, "{} {tolerance}", found.truncation);
            let mut variation = 0.0;
            for (state, found) in found.values.iter().enumerate() {
                let exact: f64 = law.iter().enumerate().map(|(i, p)| p * exact[[i, 12 + state]]).sum();
                variation += 0.5 * (found - exact).abs();
            }
            assert!(variation <= time * (found.truncation + 1e-14), "{variation} {time} {tolerance}");
            assert_near(found.values.iter().sum(), time, 1e-14 * time);
        }
    }
    let still = Sparse::new(2, []).unwrap();
    assert_eq!(occupation(&still, &[0.25, 0.75], 4.0, 1e-9).unwrap().values, [1.0, 3.0]);
    assert!(occupation(&still, &[0.25, 0.75], 4.0, 1e-245).is_err());
}
