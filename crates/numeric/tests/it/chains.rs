//! Effective sample sizes and R̂: against another implementation, and against autoregressions.

use numeric::estimate::{chain_summary, rank_normalised};
use numeric::ndarray::{Array2, array};
use numeric::{Error, Noise};

/// Three short autoregressions of 200 draws on irregular numbers, short enough to disagree.
fn short_chains(factor: f64) -> Array2<f64> {
    let irregular = |i: u64| 2.0 * (i as f64 * 0.618_033_988_749_894_9).fract() - 1.0;
    let mut x = Array2::zeros((3, 200));
    for (c, mut chain) in x.rows_mut().into_iter().enumerate() {
        for t in 0..200 {
            let i = (200 * c + t) as u64;
            let before = if t > 0 { chain[t - 1] } else { 0.0 };
            chain[t] = irregular(i * i % 1000 + c as u64) + factor * before;
        }
    }
    x
}

/// Reference values of arviz-stats 1.x (`ess` with methods mean and bulk, `rhat` with methods split and z_scale).
#[test]
fn another_implementation_agrees() {
    let x = short_chains(0.7);
    let plain = chain_summary(&x).unwrap();
    assert!((plain.effective_sample_size - 110.266_790_452_586_52).abs() < 1e-9, "{plain:?}");
    assert!((plain.r_hat - 1.022_615_504_165_886).abs() < 1e-11, "{plain:?}");
    let bulk = chain_summary(&rank_normalised(&x).unwrap()).unwrap();
    assert!((bulk.effective_sample_size - 110.713_792_534_986_94).abs() < 1e-7, "{bulk:?}");
    assert!((bulk.r_hat - 1.023_702_629_604_939_6).abs() < 1e-9, "{bulk:?}");
    // Antithetic: the cap n log10 n.
    let antithetic = chain_summary(&short_chains(-0.6)).unwrap();
    assert!((antithetic.effective_sample_size - 600.0 * 600_f64.log10()).abs() < 1e-9, "{antithetic:?}");
    assert!((antithetic.r_hat - 0.996_054_926_151_639_7).abs() < 1e-11, "{antithetic:?}");
}

/// For x' = ρ x + z the mean of n draws has the variance s²(1 + ρ)/(n (1 − ρ)): the Z-scores of 400 repetitions have
/// variance 1. A χ² of 400 degrees of freedom leaves 1 ± 0.29 with probability 1e-4.
#[test]
fn standard_errors_of_autoregressions_are_calibrated() {
    for (k, rho) in [-0.5, 0.0, 0.8].into_iter().enumerate() {
        let mut squares = 0.0;
        for repetition in 0..400 {
            let mut x = Array2::<f64>::zeros((4, 2000));
            let noise = Noise::new(verify::seed(k as u64)).fork_index(repetition);
            noise.normals_into(&[0, 1, 2, 3], 0, &mut x);
            for mut chain in x.rows_mut() {
                chain[0] /= f64::sqrt(1.0 - rho * rho);
                for t in 1..chain.len() {
                    chain[t] += rho * chain[t - 1];
                }
            }
            let summary = chain_summary(&x).unwrap();
            // The halves have an effective size of at least 111: above 1.03 once in 10⁸ chains.
            assert!(summary.r_hat < 1.03);
            squares += (summary.mean.mean / summary.mean.std_error).powi(2);
        }
        assert!((squares / 400.0 - 1.0).abs() < 0.29, "ρ = {rho}: {}", squares / 400.0);
    }
}

#[test]
fn chains_that_disagree_are_told() {
    let mut x = short_chains(0.0);
    x.row_mut(1).mapv_inplace(|x| x + 3.0);
    assert!(chain_summary(&x).unwrap().r_hat > 1.5, "another place");
    let drift = Array2::from_shape_fn((2, 100), |(_, t)| t as f64 + (t as f64).sin());
    assert!(chain_summary(&drift).unwrap().r_hat > 1.5, "a drift within each chain");
}

#[test]
fn bad_chains_are_refused() {
    assert!(matches!(chain_summary(&Array2::zeros((0, 10))), Err(Error::Shape { .. })));
    assert!(matches!(chain_summary(&Array2::zeros((2, 7))), Err(Error::Shape { .. })));
    assert!(matches!(chain_summary(&Array2::ones((2, 10))), Err(Error::Domain { .. })));
    let mut x = short_chains(0.0);
    x[(1, 2)] = f64::NAN;
    assert!(matches!(chain_summary(&x), Err(Error::Entry { index: 202, .. })));
    assert!(rank_normalised(&x).is_err());
    // Ties share a rank.
    let z = rank_normalised(&array![[1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0]]).unwrap();
    assert!(z[(0, 0)] == z[(0, 1)] && (z[(0, 0)] + z[(0, 7)]).abs() < 1e-12);
}
