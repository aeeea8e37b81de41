//! Certificates against the exact terms of the same grids, the exact laws of the samplers, and the theorems.

use bounds::curve::{ErrorCurve, GaussianCurve, ScalarMixtureCurve};
use bounds::terms::{Scheme, discretization, gaussian_sampler};
use bounds::{Certifiable, Certificate, Paths, certify, chain_kl, theorem};
use numeric::ndarray::{Array1, Array2, array};
use numeric::{Error, Model, Noise, Prediction, Time, TimeGrid, from_row_fn};
use proptest::prelude::*;
use sde_core::{
    Component, CosineVp, Covariance, Ddim, EulerMaruyama, ExponentialIntegrator, FrozenDenoiser, FrozenScore,
    GaussianStep, LocallyMomentMatched, Mixture, MixtureField, MomentMatched, Ou, ProbabilityFlowHeun,
    ReverseSde, VariancePreserving, grid,
};
use verify::seed;

/// Standard errors that a measured term may be off: a two-sided false-alarm rate of 7·10⁻⁶ for each comparison where the
/// mean over the paths is Gaussian. It is skewed: over 2000 terms that are squares of one Gaussian, 2·10⁻⁵ (see
/// below). The seeds are fixed.
const THRESHOLD: f64 = 4.5;

fn certified<S: VariancePreserving + Clone>(
    target: &Mixture,
    process: &S,
    method: &impl Certifiable<Model<MixtureField<f64, S>, S>>,
    grid: &TimeGrid,
    count: u64,
    seed: u64,
) -> Certificate {
    let paths = Paths { count, noise: Noise::new(seed) };
    certify(target, process, method, grid, paths, Default::default()).expect("valid").expect("has a theorem")
}

/// The measured term is `exact`, and known to a tenth.
fn assert_measures(certificate: &Certificate, exact: f64, what: &str) {
    let (found, se) = (certificate.discretization.nats, certificate.discretization.std_error());
    assert!((found - exact).abs() < THRESHOLD * se, "{what}: {found} ± {se}, exactly {exact}");
    assert!(se < 0.1 * exact, "{what}: {found} ± {se} is not worth much");
}

fn two_bumps() -> Mixture {
    let component =
        |weight, mean| Component { weight, mean: array![mean], covariance: Covariance::Isotropic(0.09) };
    Mixture::new(vec![component(0.3, -1.5), component(0.7, 1.0)]).expect("valid")
}

/// The 1-D mixture 0.3 N(−1.5, 0.09) + 0.7 N(1, 0.09): every method against quadrature and published marginals.
#[test]
fn the_mixture_on_the_line_is_measured_right() {
    let target = two_bumps();
    let curve = ScalarMixtureCurve::new(&[0.3, 0.7], &[-1.5, 1.0], &[0.09, 0.09]).expect("valid");
    let grid = grid::geometric_v(3.0, 0.02, 30).expect("valid");
    let of = |scheme| discretization(&scheme, &curve, &grid).expect("valid");
    let (n, s) = (2000, seed(21));
    let d = certified(&target, &Ou, &FrozenDenoiser, &grid, n, s);
    assert_measures(&d, of(Scheme::FrozenDenoiser), "D");
    let v = certified(&target, &Ou, &FrozenScore, &grid, n, s);
    assert_measures(&v, of(Scheme::FrozenScore), "V");
    let g = certified(&target, &Ou, &MomentMatched::new(&array![[0.3]]).expect("valid"), &grid, n, s);
    assert_measures(&g, of(Scheme::GaussianPrior(0.3)), "G_c");
    // Rare crossings between the bumps carry much of this small term: it takes more paths.
    let l = certified(&target, &Ou, &LocallyMomentMatched, &grid, 20_000, s);
    assert_measures(&l, of(Scheme::LocallyMomentMatched), "L");
    // S and EM: the chain is below the path, and above V's by less than what the path adds.
    let e = certified(&target, &Ou, &ExponentialIntegrator, &grid, n, s);
    let path = of(Scheme::ExponentialIntegrator);
    let se = e.discretization.std_error();
    assert!(e.discretization.nats < path + THRESHOLD * se && e.discretization.nats > 0.9 * path, "S");
    let em = certified(&target, &Ou, &EulerMaruyama, &grid, n, s);
    let path = of(Scheme::EulerMaruyama);
    let se = em.discretization.std_error();
    assert!(em.discretization.nats < path + THRESHOLD * se && em.discretization.nats > 0.8 * path, "EM");
    // Exact divergences of the samplers' laws, by density propagation, and the theorems on either side.
    for (certificate, marginal) in [(&e, 9.67401412899e-3), (&d, 4.24226001041e-3)] {
        assert!(marginal <= certificate.upper(0.999).expect("a level"));
        assert!(certificate.initialization.nats >= 7.77118737969e-5, "at least the exact term");
    }
    let denoiser = theorem::denoiser_bound(&curve, &grid).expect("valid").total();
    assert!(d.discretization.nats <= denoiser && d.discretization.nats > 0.4 * denoiser);
    let fisher = theorem::fisher_bound(&curve, &grid).expect("valid").total();
    assert!(e.discretization.nats <= fisher && e.discretization.nats > 0.4 * fisher);
    assert!(fisher <= theorem::sharp_grid_bound(1, &grid).expect("valid").total());
}

/// The locally moment-matched step is of second order: doubling the steps divides its term by nearly 4.
#[test]
fn the_measured_term_of_the_local_step_falls_with_the_square() {
    let target = two_bumps();
    let at = |n| {
        let grid = grid::geometric_v(3.0, 0.02, n).expect("valid");
        certified(&target, &Ou, &LocallyMomentMatched, &grid, 10_000, seed(22)).discretization
    };
    let (coarse, fine) = (at(120), at(480));
    let slope = (coarse.nats / fine.nats).log2() / 2.0;
    let se = (coarse.std_error() / coarse.nats).hypot(fine.std_error() / fine.nats) / (2.0 * 2.0_f64.ln());
    // Exactly: log₄(0.0008137548 / 0.0000556991), 0.07 below the limit 2.
    let exact = (0.0008137548_f64 / 0.0000556991).log2() / 2.0;
    assert!((slope - exact).abs() < THRESHOLD * se, "{slope} ± {se}, exactly {exact}");
    // Known well enough to be told from the 1 of the other methods.
    assert!(se < 0.1 && slope > 1.5, "{slope} ± {se}");
}

/// Atoms: the divergence is bounded by their entropy, however close to the data the sampler stops.
#[test]
fn atoms_are_certified_below_the_entropy_bound() {
    let points = array![[-1.0], [0.25], [1.5]];
    let target = Mixture::atoms(&points, Some(&array![0.2, 0.5, 0.3])).expect("valid");
    for (delta, n, path, bound) in
        [(0.1, 42, 3.61945781183e-2, 2.01646855888e-1), (0.001, 67, 9.97997810410e-2, 2.06039302783e-1)]
    {
        let grid = grid::geometric_v(3.0, delta, n).expect("valid");
        let d = certified(&target, &Ou, &FrozenDenoiser, &grid, 4000, seed(23));
        assert_measures(&d, path, "D");
        assert!(d.discretization.nats <= bound);
    }
}

proptest! {
    #![proptest_config(verify::strategy::cases(9002, 12))]

    /// Gaussian targets in any dimension: exact KL of the sampler ≤ certificate ≤ theorem, and the term is the
    /// exact chain. A path's term is a sum of squares of Gaussians, of skewness γ ≤ √8: its mean over n paths is
    /// x standard errors too low with a probability near Φ(−x) exp(γ x³ / 3√n) (Wang, Electron. J. Probab. 10, 2005), too
    /// high less often. For x = 5 and n = 2000 that is 4·10⁻⁶, for 12 cases × 4 comparisons 2·10⁻⁴.
    #[test]
    fn gaussians_are_certified_between_their_law_and_the_theorem(
        d in 1_usize..7, spread in 0.1..1.5_f64, centre in -1.0..1.0_f64,
        horizon in 1.5..4.0_f64, delta in 0.005..0.1_f64, steps in 8_usize..40, case in 0_u64..1000,
    ) {
        // Eigenvalues in a turned basis.
        let eigenvalues: Vec<f64> = (0..d).map(|i| (spread * (i as f64 - 1.0)).exp()).collect();
        let u = Array1::from_shape_fn(d, |i| 1.0 + i as f64);
        let norm = u.dot(&u);
        let turn = Array2::from_shape_fn((d, d), |(i, j)| f64::from(u8::from(i == j)) - 2.0 * u[i] * u[j] / norm);
        let covariance = turn.dot(&Array2::from_diag(&Array1::from(eigenvalues.clone()))).dot(&turn);
        let symmetric = (&covariance + &covariance.t()) / 2.0;
        let mean = Array1::from_elem(d, centre);
        let in_basis = turn.dot(&mean).to_vec();
        let target = Mixture::gaussian(mean, Covariance::Full(symmetric)).expect("positive definite");
        let grid = grid::geometric_v(horizon, delta, steps).expect("valid");
        let curve = GaussianCurve::new(eigenvalues.clone(), in_basis.iter().map(|m| m * m).sum()).expect("valid");
        let s = seed(1000 + case);

        let check = |certificate: Certificate, scheme: &Scheme, bound: f64| {
            let law = gaussian_sampler(scheme, &in_basis, &eigenvalues, &grid).expect("valid");
            let se = certificate.discretization.std_error();
            prop_assert!((certificate.discretization.nats - law.chain).abs() < 5.0 * se + 1e-12);
            prop_assert!(law.kl <= certificate.initialization.nats + law.chain + 1e-12);
            prop_assert!(certificate.discretization.nats <= bound + 5.0 * se);
            Ok(())
        };
        let sharp = theorem::sharp_grid_bound(d, &grid).expect("valid").total();
        let denoiser = theorem::denoiser_bound(&curve, &grid).expect("valid").total();
        check(certified(&target, &Ou, &ExponentialIntegrator, &grid, 2000, s), &Scheme::ExponentialIntegrator, sharp)?;
        check(certified(&target, &Ou, &FrozenScore, &grid, 2000, s), &Scheme::FrozenScore, sharp)?;
        check(certified(&target, &Ou, &FrozenDenoiser, &grid, 2000, s), &Scheme::FrozenDenoiser, denoiser)?;
        check(certified(&target, &Ou, &EulerMaruyama, &grid, 2000, s), &Scheme::EulerMaruyama, f64::INFINITY)?;
        // Exact for Gaussian data, on any grid.
        let l = certified(&target, &Ou, &LocallyMomentMatched, &grid, 64, s);
        prop_assert!(l.discretization.nats < 1e-12);
        let g = MomentMatched::new(&target.covariance()).expect("valid");
        prop_assert!(certified(&target, &Ou, &g, &grid, 64, s).discretization.nats < 1e-12);
        // The initialization term is exact for a Gaussian: nine tenths of it would not be a bound.
        let exact = curve.relative_entropy(horizon);
        prop_assert!((l.initialization.nats - exact).abs() <= 1e-12 + 1e-9 * exact);
    }
}

/// A method that steps in the clock has one certificate, whatever the schedule.
#[test]
fn the_schedule_does_not_matter() {
    let target = two_bumps();
    let clocks = grid::geometric_v(3.0, 0.02, 12).expect("valid");
    let cosine = CosineVp::new(0.008).expect("valid");
    let times = grid::in_time_of(&cosine, &clocks).expect("in range");
    let a = certified(&target, &Ou, &FrozenDenoiser, &clocks, 200, 5);
    let b = certified(&target, &cosine, &FrozenDenoiser, &times, 200, 5);
    assert!((a.nats() - b.nats()).abs() < 1e-9);
}

/// A wrong denoiser: the chain is the discretization term plus ½ Σ Δη E|error|², without a cross term.
#[test]
fn the_score_term_of_a_wrong_denoiser_is_measured_right() {
    let (c, shift) = (2.0, 0.3);
    let target = Mixture::gaussian(array![0.0], Covariance::Isotropic(c)).expect("valid");
    let grid = grid::geometric_v(2.5, 0.02, 20).expect("valid");
    // The exact denoiser of N(0, c), with its mean moved.
    let wrong = from_row_fn(1, move |time: Time, x, out: &mut [f64]| {
        let (alpha, sigma2) = ((-time.t).exp(), 1.0 - (-2.0 * time.t).exp());
        out[0] = alpha * c / (alpha * alpha * c + sigma2) * x[0] + shift;
        Ok(())
    });
    let model = Model::new(wrong, Prediction::Denoised, Ou);
    let paths = Paths { count: 4000, noise: Noise::new(seed(24)) };
    let found =
        chain_kl(&target, &Ou, &model, &FrozenDenoiser, &grid, paths, Default::default()).expect("valid");
    let exact_model = gaussian_sampler(&Scheme::FrozenDenoiser, &[0.0], &[c], &grid).expect("valid").chain;
    let eta = |tau: f64| 1.0 / (2.0 * tau).exp_m1();
    let score = 0.5 * (eta(0.02) - eta(2.5)) * shift * shift;
    assert!(
        (found.mean - exact_model - score).abs() < THRESHOLD * found.std_error,
        "{found} {exact_model} {score}"
    );
    assert!(found.std_error < 0.05 * score);
}

#[test]
fn what_has_no_theorem_says_why_and_bad_input_is_refused() {
    let target = two_bumps();
    let grid = grid::geometric_v(3.0, 0.02, 5).expect("valid");
    let paths = Paths { count: 10, noise: Noise::new(1) };
    let ode =
        certify(&target, &Ou, &ProbabilityFlowHeun, &grid, paths, Default::default()).expect("an answer");
    assert!(ode.expect_err("no theorem").to_string().contains("deterministic"));
    let one = Paths { count: 1, ..paths };
    assert!(certify(&target, &Ou, &FrozenDenoiser, &grid, one, Default::default()).is_err());
    assert!(certify(&target, &Ou, &FrozenDenoiser, &grid.reversed(), paths, Default::default()).is_err());
    // At the data the last step is a point: no density, and no number.
    let to_data = TimeGrid::from_times([3.0, 1.0, 0.0].map(Time::of).to_vec()).expect("valid");
    for method in [&FrozenDenoiser as &dyn GaussianStep<f64, _>, &LocallyMomentMatched] {
        let model = target.denoiser::<f64, _>(Ou);
        let refused = chain_kl(&target, &Ou, &model, method, &to_data, paths, Default::default());
        assert!(matches!(refused, Err(Error::Domain { parameter: "grid.last", .. })));
    }
    let certificate = certified(&target, &Ou, &FrozenDenoiser, &grid, 10, 1);
    assert!(certificate.upper(1.0).is_err() && certificate.upper(f64::NAN).is_err());
    assert!(certificate.upper(0.999).expect("a level") > certificate.nats());
    // One step, and a start within rounding of the noise.
    for (horizon, delta, steps) in [(3.0, 0.02, 1), (30.0, 1e-9, 3)] {
        let grid = grid::geometric_v(horizon, delta, steps).expect("valid");
        assert!(certified(&target, &Ou, &FrozenDenoiser, &grid, 50, 1).nats().is_finite());
    }
}

/// The same bits for any number of threads.
/// Steps of any stochasticity on N(0, c), in closed form: with λ = 1 it is the frozen denoiser's, with another λ the
/// term grows with the number of steps, and without noise there is no certificate.
#[test]
fn the_stochasticity_of_the_reverse_sde_is_paid_for() {
    let c = 0.6;
    let target = Mixture::gaussian(array![0.0], Covariance::Isotropic(c)).expect("valid");
    let mut last = [0.0; 3];
    for steps in [10, 40] {
        let grid = grid::geometric_v(3.0, 0.01, steps).expect("valid");
        for (k, lambda) in [1.0, 0.8, 1.25].into_iter().enumerate() {
            let exact: f64 = grid
                .pairs()
                .map(|(from, to)| {
                    let ratio = |t: f64| (2.0 * t).exp_m1().sqrt();
                    let (r, r_to) = (ratio(from.t), ratio(to.t));
                    let (rho, l2) = (r_to / r, lambda * lambda);
                    // True and model variance of u', and the mean square gap of the means.
                    let fresh = 1.0 - rho * rho;
                    let truth = r_to * r_to * fresh + fresh * fresh * c * r * r / (c + r * r);
                    let model = r_to * r_to * (1.0 - rho.powf(2.0 * l2));
                    let gap = (rho * rho - rho.powf(1.0 + l2)).powi(2) * r.powi(4) / (c + r * r);
                    0.5 * (truth / model - 1.0 - (truth / model).ln() + gap / model)
                })
                .sum();
            let method = ReverseSde::new(lambda).expect("valid");
            let found = certified(&target, &Ou, &method, &grid, 4000, seed(61));
            assert_measures(&found, exact, &format!("λ = {lambda}, {steps} steps"));
            if lambda == 1.0 {
                let ddpm = certified(&target, &Ou, &FrozenDenoiser, &grid, 4000, seed(61));
                assert!((found.discretization.nats / ddpm.discretization.nats - 1.0).abs() < 1e-9);
                assert!(steps == 10 || exact < 0.5 * last[k]);
            } else {
                assert!(steps == 10 || exact > 1.5 * last[k]);
            }
            last[k] = exact;
        }
    }
    let grid = grid::geometric_v(3.0, 0.01, 4).expect("valid");
    let paths = Paths { count: 2, noise: Noise::new(1) };
    let (flow, still) = (Ddim::new(0.0).expect("valid"), ReverseSde::new(0.0).expect("valid"));
    assert!(certify(&target, &Ou, &flow, &grid, paths, Default::default()).expect("an answer").is_err());
    assert!(certify(&target, &Ou, &still, &grid, paths, Default::default()).expect("an answer").is_err());
}

#[test]
fn certificates_do_not_depend_on_threads() {
    let grid = grid::geometric_v(3.0, 0.02, 6).expect("valid");
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(|| certified(&two_bumps(), &Ou, &LocallyMomentMatched, &grid, 300, 3))
    };
    assert_eq!(on(1), on(3));
}
