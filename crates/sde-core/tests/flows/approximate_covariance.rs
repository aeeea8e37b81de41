//! Posterior covariances from Jacobian products against exact ones, and against matrices of known spectrum.

use numeric::ndarray::{Array2, ArrayRef2, array};
use numeric::{
    Batch, Error, FiniteDifference, JacobianProducts, Model, Noise, PosteriorCovariance, Prediction,
    Schedule, Scratch, Time, Times, VectorField, from_row_fn,
};
use sde_core::{
    ApproximateCovariance, Component, Covariance, DiagonalCovariance, FrozenDenoiser, GaussianStep,
    LocallyMomentMatched, Mixture, Ou, Sampler, Step, grid,
};
use verify::seed;

/// Three components in dimension d with full covariances, none of them alike.
fn target(d: usize) -> Mixture {
    let component = |k: usize| {
        let entry = |i: usize, j: usize| (((7 * i + 5 * j + 3 * k) % 11) as f64 - 5.0) / 8.0;
        let factor = Array2::from_shape_fn((d, d), |(i, j)| entry(i, j));
        let covariance = factor.dot(&factor.t()) + Array2::<f64>::eye(d) * 0.05;
        let mean = (0..d).map(|i| ((i + 2 * k) % 3) as f64 - 1.0).collect();
        Component {
            weight: 1.0 + k as f64,
            mean,
            covariance: Covariance::Full((&covariance + &covariance.t()) / 2.0),
        }
    };
    Mixture::new((0..3).map(component).collect()).expect("valid")
}

/// Mean and covariance at rows of a batch.
fn at<V: PosteriorCovariance<f64>>(
    field: &V,
    rows: &[u64],
    times: Times<'_>,
    x: &ArrayRef2<f64>,
) -> Result<(Array2<f64>, Array2<f64>), Error> {
    let (n, d) = x.dim();
    let (mut mean, mut covariance) = (Array2::zeros((n, d)), Array2::from_elem((n, d * d), f64::NAN));
    let batch = Batch::new(rows, times, x);
    field.mean_covariance_into(&batch, &mut mean, &mut covariance, &mut Scratch::new())?;
    Ok((mean, covariance))
}

fn approximate<V: VectorField<f64>>(field: V, k: usize, p: usize) -> ApproximateCovariance<V, Ou> {
    ApproximateCovariance::new(field, Ou, k, p, Noise::new(seed(91))).expect("valid")
}

/// A linear denoiser `A x`, with its products.
struct Linear(Array2<f64>);

impl VectorField<f64> for Linear {
    fn dim(&self) -> usize {
        self.0.nrows()
    }
    fn eval_into(
        &self,
        batch: &Batch<'_, f64>,
        out: &mut ArrayRef2<f64>,
        _: &mut Scratch,
    ) -> Result<(), Error> {
        out.assign(&batch.x().dot(&self.0.t()));
        Ok(())
    }
}

impl JacobianProducts<f64> for Linear {
    fn jvp_into(
        &self,
        _: &Batch<'_, f64>,
        v: &ArrayRef2<f64>,
        out: &mut ArrayRef2<f64>,
        _: &mut Scratch,
    ) -> Result<(), Error> {
        out.assign(&v.dot(&self.0.t()));
        Ok(())
    }
}

/// `Q diag(values) Qᵀ` with a reflection Q.
fn with_spectrum(values: &[f64]) -> Array2<f64> {
    let d = values.len();
    let norm: f64 = (0..d).map(|i| (1.0 + i as f64).powi(2)).sum();
    let q = Array2::from_shape_fn((d, d), |(i, j)| {
        f64::from(u8::from(i == j)) - 2.0 * (1.0 + i as f64) * (1.0 + j as f64) / norm
    });
    q.dot(&Array2::from_diag(&numeric::ndarray::Array1::from(values.to_vec()))).dot(&q)
}

fn largest_gap<'a>(a: impl IntoIterator<Item = &'a f64>, b: impl IntoIterator<Item = &'a f64>) -> f64 {
    a.into_iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn all_directions_give_the_exact_covariance_of_a_mixture() {
    for d in [1, 3, 6] {
        let target = target(d);
        let field = target.denoiser::<f64, _>(Ou).field;
        let x = target.sample(0..20, 1.0, 0.5, Noise::new(seed(92))).expect("valid");
        let rows: Vec<u64> = (0..20).collect();
        // A time for each row.
        let times: Vec<Time> = (0..20).map(|i| Time::of(0.1 + 0.1 * f64::from(i))).collect();
        let (mean, exact) = at(&field, &rows, Times::PerRow(&times), &x).expect("valid");
        let (same, found) =
            at(&approximate(field.clone(), d, 0), &rows, Times::PerRow(&times), &x).expect("valid");
        assert!(largest_gap(&mean, &same) < 1e-13, "d = {d}");
        assert!(largest_gap(&exact, &found) < 1e-12, "d = {d}");
        let differences = approximate(FiniteDifference::new(&field), d, 3);
        let (_, found) = at(&differences, &rows, Times::PerRow(&times), &x).expect("valid");
        assert!(largest_gap(&exact, &found) < 1e-7, "d = {d}");
    }
}

#[test]
fn no_directions_are_the_frozen_denoiser() {
    let field = target(3).denoiser::<f64, _>(Ou).field;
    let model = Model::new(approximate(field.clone(), 0, 0), Prediction::Denoised, Ou);
    let frozen = Model::new(&field, Prediction::Denoised, Ou);
    let grid = grid::geometric_v(3.0, 0.01, 10).expect("valid");
    let l = Sampler::new(model, LocallyMomentMatched, grid.clone()).expect("valid");
    let d = Sampler::new(frozen, FrozenDenoiser, grid).expect("valid");
    let noise = Noise::new(seed(93));
    let (l, d) = (l.sample(0..100, noise, Default::default()), d.sample(0..100, noise, Default::default()));
    assert!(largest_gap(&l.expect("valid"), &d.expect("valid")) < 1e-12);
}

#[test]
fn matrices_of_low_rank_and_a_flat_rest_are_found() {
    let (rows, time) = ([3, 4, 17], Time::of(0.4));
    let level = Ou.level(time);
    let factor = level.sigma * level.sigma / level.alpha;
    let x = Array2::zeros((3, 5));
    let of = |a: &Array2<f64>, k, p| {
        at(&approximate(Linear(a.clone()), k, p), &rows, Times::Same(time), &x).expect("valid").1 / factor
    };
    let check = |a: &Array2<f64>, k, p, tolerance: f64| {
        for found in of(a, k, p).rows() {
            assert!(largest_gap(a, found) < tolerance, "{k} {p}: {found} for {a}");
        }
    };
    // Of rank 2: two directions have all of it after a pass, three need a fallback for the third.
    let low = with_spectrum(&[5.0, 2.0, 0.0, 0.0, 0.0]);
    check(&low, 2, 0, 1e-10);
    check(&low, 3, 2, 1e-10);
    // A flat rest is found by one probe as well as by three, up to the error of the directions, (10⁻⁶/2)² times the
    // tangent of the angle that they start with: it is below T but for about 2/T of the rows, so that a row in 40,000 fails.
    let flat = with_spectrum(&[5.0, 2.0, 1e-6, 1e-6, 1e-6]);
    check(&flat, 2, 1, 1e-7);
    check(&flat, 2, 3, 1e-7);
    check(&with_spectrum(&[0.7; 5]), 0, 1, 1e-12);
    // With k = d − 1 one probe has the last eigenvalue.
    check(&with_spectrum(&[5.0, 4.0, 3.0, 2.0, 1e-6]), 4, 1, 1e-7);
    // Nothing to find.
    assert!(of(&Array2::zeros((5, 5)), 2, 2).iter().all(|&entry| entry == 0.0));
}

#[test]
fn what_is_neither_symmetric_nor_positive_becomes_both() {
    let (rows, time) = ([0], Time::of(0.4));
    let level = Ou.level(time);
    let factor = level.sigma * level.sigma / level.alpha;
    // Symmetric part with eigenvalues 2, 1, −1, and a turn.
    let symmetric = with_spectrum(&[2.0, 1.0, -1.0]);
    let turn = array![[0.0, 0.4, -0.1], [-0.4, 0.0, 0.3], [0.1, -0.3, 0.0]];
    let x = Array2::zeros((1, 3));
    let of = |k, p| {
        at(&approximate(Linear(&symmetric + &turn), k, p), &rows, Times::Same(time), &x).expect("valid").1
            / factor
    };
    let positive = with_spectrum(&[2.0, 1.0, 0.0]);
    assert!(largest_gap(&positive, &of(3, 0)) < 1e-12);
    for (k, p) in [(1, 0), (1, 1), (2, 3), (0, 2)] {
        let found = of(k, p);
        let matrix = nalgebra_of(&found);
        assert_eq!(matrix, matrix.transpose());
        assert!(matrix.symmetric_eigenvalues().iter().all(|&e| e > -1e-12), "{k} {p}: {found}");
    }
    // A negative rest is none at all.
    let negative = approximate(Linear(with_spectrum(&[3.0, -1.0, -1.0])), 1, 2);
    let found = at(&negative, &rows, Times::Same(time), &x).expect("valid").1 / factor;
    assert!(nalgebra_of(&found).trace() < 3.0 + 1e-9);
}

fn nalgebra_of(row: &Array2<f64>) -> nalgebra::DMatrix<f64> {
    let d = row.ncols().isqrt();
    nalgebra::DMatrix::from_row_slice(d, d, row.as_slice().expect("standard"))
}

/// Over random probes the scalar rest has the mean eigenvalue of the complement as its mean: 4.5 standard errors, a
/// false-alarm rate of 7·10⁻⁶.
#[test]
fn the_rest_has_the_trace_on_average() {
    let a = with_spectrum(&[2.0, 1.0, 0.5, 0.1]);
    let rows: Vec<u64> = (0..4000).collect();
    let time = Time::of(0.4);
    let level = Ou.level(time);
    let x = Array2::zeros((4000, 4));
    let (_, found) = at(&approximate(Linear(a), 0, 1), &rows, Times::Same(time), &x).expect("valid");
    let rests: Vec<f64> =
        found.column(0).iter().map(|r| r * level.alpha / (level.sigma * level.sigma)).collect();
    let mean = rests.iter().sum::<f64>() / 4000.0;
    let variance = rests.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / 3999.0;
    let se = (variance / 4000.0).sqrt();
    assert!((mean - 0.9).abs() < 4.5 * se && se < 0.01, "{mean} ± {se}");
    assert!(rests.iter().all(|r| (0.1..=2.0).contains(r)));
}

#[test]
fn a_row_does_not_depend_on_its_batch() {
    let field = approximate(target(6).denoiser::<f64, _>(Ou).field, 2, 2);
    let x = target(6).sample(0..9, 1.0, 0.5, Noise::new(seed(94))).expect("valid");
    let rows: Vec<u64> = (0..9).collect();
    let (_, all) = at(&field, &rows, Times::Same(Time::of(0.3)), &x).expect("valid");
    for i in 0..9 {
        let one = x.slice(numeric::ndarray::s![i..=i, ..]).to_owned();
        let (_, found) = at(&field, &rows[i..=i], Times::Same(Time::of(0.3)), &one).expect("valid");
        assert_eq!(found.row(0), all.row(i));
    }
    // Another row has other probes.
    let one = x.slice(numeric::ndarray::s![..1, ..]).to_owned();
    assert_ne!(at(&field, &[5], Times::Same(Time::of(0.3)), &one).expect("valid").1.row(0), all.row(0));
}

#[test]
fn bad_input_is_refused() {
    let of = |k| ApproximateCovariance::new(Linear(Array2::eye(2)), Ou, k, 0, Noise::new(1));
    assert!(of(2).is_ok());
    assert!(matches!(of(3), Err(Error::Domain { parameter: "directions", .. })));
    let nan = from_row_fn(2, |_, _, out: &mut [f64]| {
        out.fill(f64::NAN);
        Ok(())
    });
    let field = approximate(FiniteDifference::new(nan), 1, 1);
    let refused = at(&field, &[7, 8], Times::Same(Time::of(0.3)), &array![[0.0, 1.0], [1.0, 2.0]]);
    assert!(matches!(refused, Err(Error::NotFinite { row: 7, .. })), "{refused:?}");
    // The step is refused where the model is no denoiser.
    let model = Model::new(approximate(Linear(Array2::eye(2)), 1, 1), Prediction::Score, Ou);
    let step = Step { rows: &[0], index: 0, from: Time::of(0.5), to: Time::of(0.4), noise: Noise::new(1) };
    let (x, mut mean) = (array![[0.0, 1.0]], array![[0.0, 0.0]]);
    let refused = LocallyMomentMatched.transition(&model, step, &x, &mut mean, &mut Scratch::new());
    assert!(matches!(refused, Err(Error::Unsupported { .. })));
}

#[test]
fn the_diagonal_is_that_of_the_exact_covariance() {
    for d in [1, 3, 6] {
        let exact = target(d).denoiser::<f64, _>(Ou).field;
        let diagonal = DiagonalCovariance { field: exact.clone(), process: Ou };
        let x = Array2::from_shape_fn((4, d), |(i, j)| ((3 * i + j) % 5) as f64 - 2.0);
        let times = [0.1, 0.4, 1.0, 3.0].map(Time::of);
        let rows = [0, 1, 2, 3];
        let (mean, found) = at(&diagonal, &rows, Times::PerRow(&times), &x).expect("finite");
        let (exact_mean, whole) = at(&exact, &rows, Times::PerRow(&times), &x).expect("finite");
        assert!((&mean - &exact_mean).iter().all(|gap| gap.abs() < 1e-12));
        for i in 0..4 {
            for (j, l) in (0..d).flat_map(|j| (0..d).map(move |l| (j, l))) {
                let expected = if j == l { whole[(i, j * d + l)] } else { 0.0 };
                assert!(
                    (found[(i, j * d + l)] - expected).abs() < 1e-12 * (1.0 + expected),
                    "{d} {i} {j} {l}"
                );
            }
        }
    }
    // A negative slope is dropped; without signal there is no factor.
    let falling = DiagonalCovariance { field: Linear(array![[-1.0, 5.0], [0.0, 2.0]]), process: Ou };
    let x = array![[0.5, 0.5]];
    let (_, found) = at(&falling, &[0], Times::Same(Time::of(0.5)), &x).expect("finite");
    let factor = (1.0 - (-1.0_f64).exp()) / (-0.5_f64).exp();
    assert_eq!((found[(0, 0)], found[(0, 1)], found[(0, 2)]), (0.0, 0.0, 0.0));
    assert!((found[(0, 3)] - 2.0 * factor).abs() < 1e-14);
    assert!(at(&falling, &[0], Times::Same(Time::of(2000.0)), &x).is_err());
}
