//! Exact posteriors of mixtures against Bayes' rule and dense inverses; guided models against exact posteriors.

mod conditions;
mod each_row;
mod observed;
mod posterior;

use nalgebra::{DMatrix, DVector};
use numeric::ndarray::{Array1, Array2, ArrayRef2, array};
use numeric::{Batch, Noise, Real, Scratch, Time, Times, VectorField};
use sde_core::guidance::ConjugateGradients;
use sde_core::{Component, Covariance, LinearObservation};
use statrs::distribution::{ContinuousCDF, Normal};

const D: usize = 5;
const SOLVER: ConjugateGradients = ConjugateGradients { tolerance: 1e-13, max_iterations: 40 };

fn normals(label: &str, n: usize, d: usize) -> Array2<f64> {
    let rows: Vec<u64> = (0..n as u64).collect();
    let mut z = Array2::zeros((n, d));
    Noise::new(5).fork(label).normals_into::<f64>(&rows, 0, &mut z);
    z
}

/// One component of each kind of covariance with a density, in d = 5.
fn components() -> Vec<Component> {
    let (means, b, v) = (normals("means", 5, D), normals("full", D, D), normals("factor", D, 2));
    let covariances = [
        Covariance::Isotropic(0.3),
        Covariance::Diagonal(array![0.1, 0.2, 0.9, 2.0, 0.05]),
        Covariance::Full(b.dot(&b.t()) * 0.3 + Array2::<f64>::eye(D) * 0.05),
        Covariance::LowRank { diagonal: Array1::from_elem(D, 0.2), factor: v.clone() },
        Covariance::LowRank { diagonal: array![0.1, 0.2, 0.3, 0.4, 0.5], factor: v },
    ];
    let component =
        |(i, covariance)| Component { weight: 1.0 + i as f64, mean: means.row(i).to_owned(), covariance };
    covariances.into_iter().enumerate().map(component).collect()
}

fn dense(covariance: &Covariance, d: usize) -> DMatrix<f64> {
    let of = |m: &Array2<f64>| DMatrix::from_fn(m.nrows(), m.ncols(), |i, j| m[(i, j)]);
    match covariance {
        Covariance::Isotropic(c) => DMatrix::identity(d, d) * *c,
        Covariance::Diagonal(c) => DMatrix::from_diagonal(&DVector::from_vec(c.to_vec())),
        Covariance::Full(c) => of(c),
        Covariance::LowRank { diagonal, factor } => {
            DMatrix::from_diagonal(&DVector::from_vec(diagonal.to_vec()))
                + of(factor) * of(factor).transpose()
        }
    }
}

/// `log N(x; 0, C)` by the definition.
fn ln_normal(x: &DVector<f64>, c: &DMatrix<f64>) -> f64 {
    let inverse = c.clone().try_inverse().expect("regular");
    let constant = (x.len() as f64) * (2.0 * std::f64::consts::PI).ln() + c.determinant().ln();
    -0.5 * ((x.transpose() * inverse * x)[0] + constant)
}

/// Noise covariances of each kind, 3×3.
fn noises() -> [Covariance; 4] {
    let b = normals("noise", 3, 3);
    [
        Covariance::Isotropic(0.2),
        Covariance::Diagonal(array![0.1, 0.5, 0.02]),
        Covariance::Full(b.dot(&b.t()) * 0.1 + Array2::<f64>::eye(3) * 0.02),
        Covariance::LowRank {
            diagonal: array![0.1, 0.1, 0.3],
            factor: b.slice_move(numeric::ndarray::s![.., ..1]),
        },
    ]
}

/// A general matrix and a choice of coordinates as that matrix and as itself.
fn operators() -> (Array2<f64>, Array2<f64>, Vec<usize>) {
    let picks = Array2::from_shape_fn((3, D), |(i, j)| f64::from(u8::from(j == [0, 2, 3][i])));
    (normals("operator", 3, D), picks, vec![0, 2, 3])
}

fn observations(y: &Array1<f64>, noise: &Covariance) -> Vec<(Array2<f64>, LinearObservation)> {
    let (general, picks, coordinates) = operators();
    let by_matrix = |a: &Array2<f64>| LinearObservation::new(a.clone(), y.clone(), noise).expect("valid");
    let chosen = LinearObservation::of_coordinates(D, coordinates, y.clone(), noise).expect("valid");
    vec![(general.clone(), by_matrix(&general)), (picks.clone(), by_matrix(&picks)), (picks, chosen)]
}

fn eval<F: Real>(field: &impl VectorField<F>, clock: f64, x: &ArrayRef2<F>) -> Array2<F> {
    let rows: Vec<u64> = (0..x.nrows() as u64).collect();
    let mut out = Array2::zeros(x.raw_dim());
    let batch = Batch::new(&rows, Times::Same(Time::of(clock)), x);
    field.eval_into(&batch, &mut out, &mut Scratch::new()).expect("finite");
    out
}

fn worst(a: &Array2<f64>, b: &Array2<f64>) -> f64 {
    (a - b).iter().fold(0.0_f64, |m, e| m.max(e.abs()))
}

/// Marginal distribution function of coordinate j of a mixture of full Gaussians at the level (α, σ).
fn marginal(components: &[(f64, f64, f64)], alpha: f64, sigma: f64, x: f64) -> f64 {
    let part = |&(w, m, c): &(f64, f64, f64)| {
        let law = Normal::new(alpha * m, (alpha * alpha * c + sigma * sigma).sqrt()).expect("a variance");
        w * law.cdf(x)
    };
    components.iter().map(part).sum()
}
