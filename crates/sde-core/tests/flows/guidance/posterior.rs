//! Exact posteriors of mixtures against Bayes' rule and dense inverses.

use nalgebra::{DMatrix, DVector};
use numeric::ndarray::{Array1, Array2, Axis, array};
use numeric::{Error, Noise};
use sde_core::{Covariance, LinearObservation, Mixture};

use super::{D, components, dense, ln_normal, noises, normals, observations};

/// `p(x | y) p(y) = p(x) p(y | x)` at many x, for every kind of covariance, operator and noise: nothing of the
/// implementation's formulas is in it.
#[test]
fn posteriors_obey_bayes_rule() {
    let prior = Mixture::new(components()).expect("valid");
    let (x, y) = (normals("points", 20, D) * 0.8, array![0.4, -0.7, 1.1]);
    for noise in noises() {
        for (a, observation) in observations(&y, &noise) {
            let posterior = prior.posterior(&observation).expect("regular");
            let ln_evidence = prior.ln_evidence(&observation).expect("regular");
            let (after, before) = (posterior.ln_density(&x, 1.0, 0.0), prior.ln_density(&x, 1.0, 0.0));
            for ((x, after), before) in x.rows().into_iter().zip(after.expect("x")).zip(before.expect("x")) {
                let residual = DVector::from_vec((&y - &a.dot(&x)).to_vec());
                let likelihood = ln_normal(&residual, &dense(&noise, 3));
                let gap = after + ln_evidence - before - likelihood;
                assert!(gap.abs() < 1e-11 * (1.0 + after.abs() + likelihood.abs()), "{noise:?}: {gap}");
            }
        }
    }
}

/// Means and covariances by dense inverses, also without noise, where there is no density to compare.
#[test]
fn posteriors_agree_with_dense_inverses_and_exact_observations_are_met() {
    let y = array![0.4, -0.7, 1.1];
    for component in components() {
        let mean = DVector::from_vec(component.mean.to_vec());
        let c = dense(&component.covariance, D);
        let prior = Mixture::new(vec![component]).expect("valid");
        for noise in noises().into_iter().chain([Covariance::Isotropic(0.0)]) {
            for (a, observation) in observations(&y, &noise) {
                let posterior = prior.posterior(&observation).expect("regular");
                let matrix = DMatrix::from_fn(3, D, |i, j| a[(i, j)]);
                let s = &matrix * &c * matrix.transpose() + dense(&noise, 3);
                let gain = &c * matrix.transpose() * s.try_inverse().expect("regular");
                let exact = &mean + &gain * (DVector::from_vec(y.to_vec()) - &matrix * &mean);
                let covariance = &c - &gain * &matrix * &c;
                let (found, found_covariance) = (posterior.mean(), posterior.covariance());
                for i in 0..D {
                    assert!((found[i] - exact[i]).abs() < 1e-11, "{noise:?}");
                    for j in 0..D {
                        assert!((found_covariance[(i, j)] - covariance[(i, j)]).abs() < 1e-11);
                    }
                }
                if noise == Covariance::Isotropic(0.0) {
                    let x = posterior.sample(0..50, 1.0, 0.0, Noise::new(1)).expect("valid");
                    for x in x.rows() {
                        assert!((a.dot(&x) - &y).iter().all(|gap| gap.abs() < 1e-12), "{}", a.dot(&x) - &y);
                    }
                }
            }
        }
    }
}

/// Noise far below the prior: the variance in the observed direction is R, which a difference would lose.
#[test]
fn small_noise_is_not_lost_to_cancellation() {
    let covariance = array![[1.0, 0.9, 0.2], [0.9, 1.0, 0.1], [0.2, 0.1, 1.0]];
    let prior = Mixture::gaussian(array![0.0, 0.0, 0.0], Covariance::Full(covariance)).expect("valid");
    let a = array![[0.6, 0.0, 0.8]];
    for r in [1e-8, 1e-12, 1e-15] {
        let seen = LinearObservation::new(a.clone(), array![1.0], &Covariance::Isotropic(r)).expect("valid");
        let posterior = prior.posterior(&seen).expect("regular");
        let smallest = posterior.eigenvalues(0).into_iter().fold(f64::INFINITY, f64::min);
        // (C⁻¹ + aᵀa/r)⁻¹ = r aᵀa + O(r²).
        assert!((smallest / r - 1.0).abs() < 1e-6, "{r}: {smallest}");
    }
}

/// Points are weighed anew and stay; far ones drop out where their weight is no number any more.
#[test]
fn atoms_are_weighed_anew() {
    let points = normals("atoms", 8, D);
    let weights = Array1::from_iter((1..=8).map(f64::from));
    let prior = Mixture::atoms(&points, Some(&weights)).expect("valid");
    let y = array![0.4, -0.7, 1.1];
    for noise in noises() {
        for (a, observation) in observations(&y, &noise) {
            let likelihood = |i: usize| {
                let residual = DVector::from_vec((&y - &a.dot(&points.row(i))).to_vec());
                (weights[i] / 36.0).ln() + ln_normal(&residual, &dense(&noise, 3))
            };
            let evidence: f64 = (0..8).map(|i| likelihood(i).exp()).sum();
            let posterior = prior.posterior(&observation).expect("regular");
            assert!((prior.ln_evidence(&observation).expect("regular") - evidence.ln()).abs() < 1e-12);
            // Below e^{−745} a weight is 0, and its point is left out.
            let kept: Vec<usize> = (0..8).filter(|&i| likelihood(i).exp() / evidence > 0.0).collect();
            assert_eq!(posterior.means(), points.select(Axis(0), &kept));
            for (&i, w) in kept.iter().zip(posterior.weights()) {
                assert!((w - likelihood(i).exp() / evidence).abs() < 1e-13);
            }
        }
    }
    // Standard deviations of 1e-3: e^{−10⁵} and less are 0, and the nearest point is left.
    let sharp =
        LinearObservation::of_coordinates(D, vec![0], array![points[(3, 0)]], &Covariance::Isotropic(1e-6));
    let posterior = prior.posterior(&sharp.expect("valid")).expect("regular");
    assert_eq!((posterior.weights(), posterior.means().row(0)), (&[1.0][..], points.row(3)));
}

#[test]
fn observations_that_do_not_fit_are_refused() {
    let exact = &Covariance::Isotropic(0.0);
    let singular = |index| Error::NotPositiveDefinite { parameter: "A C A^T + R", index };
    let one = LinearObservation::of_coordinates(2, vec![1], array![0.3], exact).expect("valid");
    // Atoms, flat directions and repeated questions without noise.
    let gaussian = |covariance| Mixture::gaussian(array![0.0, 0.0], covariance).expect("valid");
    assert_eq!(gaussian(Covariance::Isotropic(0.0)).posterior(&one).expect_err("refused"), singular(0));
    assert_eq!(
        gaussian(Covariance::Diagonal(array![1.0, 0.0])).posterior(&one).expect_err("refused"),
        singular(0)
    );
    let flat = Covariance::LowRank { diagonal: array![0.0, 0.0], factor: array![[1.0], [0.0]] };
    assert_eq!(gaussian(flat).posterior(&one).expect_err("refused"), singular(0));
    let twice =
        LinearObservation::new(array![[1.0, 2.0], [0.1, 0.2]], array![1.0, 0.1], exact).expect("valid");
    let full = gaussian(Covariance::Full(array![[1.0, 0.3], [0.3, 1.0]]));
    assert_eq!(full.posterior(&twice).expect_err("refused"), singular(0));
    assert_eq!(full.ln_evidence(&twice).expect_err("refused"), singular(0));
    // With noise the same question twice is fine, as are more questions than coordinates.
    let noisy = &Covariance::Isotropic(0.1);
    let many =
        LinearObservation::new(array![[1.0, 2.0], [0.1, 0.2], [1.0, 2.0]], array![1.0, 0.1, 1.2], noisy);
    assert!(full.posterior(&many.expect("valid")).is_ok());
    // A density that overflows, another dimension, and what is no observation at all.
    let far = LinearObservation::of_coordinates(2, vec![1], array![1e200], noisy).expect("valid");
    assert!(matches!(full.posterior(&far), Err(Error::Domain { parameter: "ln_evidence", .. })));
    let other = LinearObservation::of_coordinates(3, vec![1], array![1.0], noisy).expect("valid");
    assert!(matches!(full.posterior(&other), Err(Error::Shape { parameter: "observation", .. })));
    for coordinates in [vec![], vec![2], vec![1, 1], vec![1, 0]] {
        let y = Array1::zeros(coordinates.len());
        assert!(LinearObservation::of_coordinates(2, coordinates, y, noisy).is_err());
    }
    for (a, y) in [
        (Array2::zeros((0, 2)), array![]),
        (Array2::zeros((1, 0)), array![1.0]),
        (array![[1.0, f64::NAN]], array![1.0]),
        (array![[1.0, 1.0]], array![f64::INFINITY]),
        (array![[1.0, 1.0]], array![1.0, 2.0]),
    ] {
        assert!(LinearObservation::new(a, y, noisy).is_err());
    }
    assert!(LinearObservation::new(array![[1.0]], array![1.0], &Covariance::Isotropic(f64::NAN)).is_err());
    assert!(one.with_values(array![1.0, 2.0]).is_err() && one.with_values(array![f64::NAN]).is_err());
    assert_eq!(one.with_values(array![2.0]).expect("valid").values(), &array![2.0]);
}
