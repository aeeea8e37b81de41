//! Steps with an approximate posterior covariance: between the frozen denoiser and the exact covariance.

use bounds::held_out::{HeldOut, Interval, cross_entropy_bound};
use bounds::{Paths, chain_kl};
use numeric::ndarray::{Array2, array};
use numeric::{Estimate, Model, Noise, PosteriorCovariance, Prediction};
use sde_core::{
    ApproximateCovariance, Component, Covariance, DiagonalCovariance, FrozenDenoiser, LocallyMomentMatched,
    Mixture, MixtureField, Ou, grid,
};
use verify::seed;

/// Standard errors between two measured terms: false alarms at 7·10⁻⁶ for each comparison.
const THRESHOLD: f64 = 4.5;

/// Two components in d = 6 with three wide directions, turned.
fn target() -> Mixture {
    let d = 6;
    let component = |weight, shift: f64| {
        let factor = Array2::from_shape_fn((d, 3), |(i, j)| (((5 * i + 7 * j) % 9) as f64 - 4.0) / 5.0);
        let covariance = factor.dot(&factor.t()) + Array2::<f64>::eye(d) * 0.02;
        let covariance = Covariance::Full((&covariance + &covariance.t()) / 2.0);
        Component { weight, mean: array![shift, -shift, 0.0, shift, 0.0, 0.0], covariance }
    };
    Mixture::new(vec![component(0.4, -0.8), component(0.6, 0.5)]).expect("valid")
}

fn with(k: usize, p: usize) -> Model<ApproximateCovariance<MixtureField<f64, Ou>, Ou>, Ou> {
    let field = target().denoiser::<f64, _>(Ou).field;
    let field = ApproximateCovariance::new(field, Ou, k, p, Noise::new(seed(95))).expect("valid");
    Model::new(field, Prediction::Denoised, Ou)
}

#[test]
fn the_chain_lies_between_the_frozen_denoiser_and_the_exact_covariance() {
    let target = target();
    let grid = grid::geometric_v(2.5, 0.02, 12).expect("valid");
    let paths = Paths { count: 2000, noise: Noise::new(seed(96)) };
    fn local<V: PosteriorCovariance<f64>>(
        target: &Mixture,
        model: &Model<V, Ou>,
        grid: &numeric::TimeGrid,
        paths: Paths,
    ) -> Estimate {
        chain_kl(target, &Ou, model, &LocallyMomentMatched, grid, paths, Default::default()).expect("valid")
    }
    let exact_model = target.denoiser::<f64, _>(Ou);
    let d = chain_kl(&target, &Ou, &exact_model, &FrozenDenoiser, &grid, paths, Default::default());
    let (d, l) = (d.expect("valid"), local(&target, &exact_model, &grid, paths));
    let of = |k, p| local(&target, &with(k, p), &grid, paths);
    // No direction is D and all of them are L, up to rounding: the same paths.
    assert!((of(0, 0).mean / d.mean - 1.0).abs() < 1e-9);
    assert!((of(6, 0).mean / l.mean - 1.0).abs() < 1e-6);
    // Each step of this row is an improvement by far more than the standard errors.
    let chain = [d, of(1, 0), of(3, 0), of(3, 2), l];
    for pair in chain.windows(2) {
        let se = pair[0].std_error.hypot(pair[1].std_error);
        assert!(pair[0].mean > pair[1].mean + THRESHOLD * se, "{} {}", pair[0], pair[1]);
    }
    // The held-out bound sees the same differences, with the same covariances.
    let data = target.sample(0..2000, 1.0, 0.0, Noise::new(seed(97))).expect("valid");
    let held_out = HeldOut { data: &data, noise: Noise::new(seed(98)), interval: Interval::Asymptotic };
    let bound = |k, p| {
        cross_entropy_bound(&held_out, &with(k, p), &LocallyMomentMatched, &grid, Default::default())
            .expect("valid")
            .estimate()
    };
    let frozen = cross_entropy_bound(&held_out, &exact_model, &FrozenDenoiser, &grid, Default::default());
    let frozen = frozen.expect("valid").estimate();
    assert!((bound(0, 0).mean - frozen.mean).abs() < 1e-9);
    let (three, all) = (bound(3, 0), bound(6, 0));
    let (gain, se) = (d.mean - of(3, 0).mean, frozen.std_error.hypot(three.std_error));
    assert!(gain > THRESHOLD * se, "{gain} would not be seen beside {se}");
    assert!((frozen.mean - three.mean - gain).abs() < THRESHOLD * se, "{frozen} {three} {gain}");
    let exact =
        cross_entropy_bound(&held_out, &exact_model, &LocallyMomentMatched, &grid, Default::default());
    assert!((all.mean - exact.expect("valid").nats()).abs() < 1e-9);
}

/// Data that are nearly independent by coordinate: the diagonal alone is far better than the frozen denoiser, and worse
/// than the whole.
#[test]
fn the_diagonal_lies_between_them_too() {
    let component = |weight, sign: f64| Component {
        weight,
        mean: array![sign, 0.5 * sign, 0.0],
        covariance: Covariance::Full(array![[0.5, 0.05, 0.0], [0.05, 0.8, 0.1], [0.0, 0.1, 0.3]]),
    };
    let target = Mixture::new(vec![component(0.5, -0.4), component(0.5, 0.4)]).expect("valid");
    let grid = grid::geometric_v(2.5, 0.02, 12).expect("valid");
    let paths = Paths { count: 2000, noise: Noise::new(seed(99)) };
    let exact = target.denoiser::<f64, _>(Ou);
    let field = DiagonalCovariance { field: exact.field.clone(), process: Ou };
    let diagonal = Model::new(field, Prediction::Denoised, Ou);
    let control = Default::default();
    let d = chain_kl(&target, &Ou, &exact, &FrozenDenoiser, &grid, paths, control).expect("valid");
    let of_diagonal = chain_kl(&target, &Ou, &diagonal, &LocallyMomentMatched, &grid, paths, control);
    let l = chain_kl(&target, &Ou, &exact, &LocallyMomentMatched, &grid, paths, control).expect("valid");
    let chain = [d, of_diagonal.expect("valid"), l];
    for pair in chain.windows(2) {
        let se = pair[0].std_error.hypot(pair[1].std_error);
        assert!(pair[0].mean > pair[1].mean + THRESHOLD * se, "{} {}", pair[0], pair[1]);
    }
    assert!(chain[1].mean < 0.2 * chain[0].mean, "{} {}", chain[0], chain[1]);
}
