//! The mixture against dense linear algebra that knows nothing of its eigenbases, against differences, and
//! against its own samples.

use nalgebra::{DMatrix, DVector};
use numeric::ndarray::{Array1, Array2, ArrayView1, Axis, array};
use numeric::{
    Batch, Divergence, Error, FiniteDifference, JacobianProducts, LogDensity, Noise, PosteriorCovariance,
    Schedule, Scratch, Time, Times, VectorField,
};
use proptest::prelude::*;
use sde_core::{Component, Covariance, Mixture, Ou};

const D: usize = 5;

/// One component of each kind of covariance, in d = 5.
fn components() -> Vec<Component> {
    let normals = |label: &str, n: usize, d: usize| {
        let rows: Vec<u64> = (0..n as u64).collect();
        let mut z = Array2::zeros((n, d));
        Noise::new(5).fork(label).normals_into::<f64>(&rows, 0, &mut z);
        z
    };
    let means = normals("means", 6, D) * 1.5;
    let b = normals("full", D, D);
    let v = normals("factor", D, 2);
    let covariances = [
        Covariance::Isotropic(0.3),
        Covariance::Diagonal(array![0.1, 0.2, 0.9, 2.0, 0.05]),
        Covariance::Full(b.dot(&b.t()) * 0.3 + Array2::<f64>::eye(D) * 0.05),
        // A full one whose smallest eigenvalue is repeated: low rank above a floor.
        Covariance::Full(v.dot(&v.t()) + Array2::<f64>::eye(D) * 0.1),
        Covariance::LowRank { diagonal: Array1::from_elem(D, 0.2), factor: v.clone() },
        Covariance::LowRank { diagonal: array![0.1, 0.2, 0.3, 0.4, 0.5], factor: v },
    ];
    let component =
        |(i, covariance)| Component { weight: 1.0 + i as f64, mean: means.row(i).to_owned(), covariance };
    covariances.into_iter().enumerate().map(component).collect()
}

fn dense(covariance: &Covariance) -> DMatrix<f64> {
    let of = |m: &Array2<f64>| DMatrix::from_fn(m.nrows(), m.ncols(), |i, j| m[(i, j)]);
    match covariance {
        Covariance::Isotropic(c) => DMatrix::identity(D, D) * *c,
        Covariance::Diagonal(c) => DMatrix::from_diagonal(&DVector::from_vec(c.to_vec())),
        Covariance::Full(c) => of(c),
        Covariance::LowRank { diagonal, factor } => {
            DMatrix::from_diagonal(&DVector::from_vec(diagonal.to_vec()))
                + of(factor) * of(factor).transpose()
        }
    }
}

/// `log q`, score, posterior mean and covariance by the definitions, with dense inverses.
fn by_definition(
    components: &[Component],
    x: ArrayView1<'_, f64>,
    alpha: f64,
    sigma: f64,
) -> (f64, DVector<f64>, DVector<f64>, DMatrix<f64>) {
    let x = DVector::from_vec(x.to_vec());
    let total: f64 = components.iter().map(|c| c.weight).sum();
    let parts: Vec<_> = components
        .iter()
        .map(|c| {
            let (m, c0) = (DVector::from_vec(c.mean.to_vec()), dense(&c.covariance));
            let lambda = &c0 * (alpha * alpha) + DMatrix::identity(D, D) * (sigma * sigma);
            let inverse = lambda.clone().try_inverse().expect("positive definite");
            let z = &x - &m * alpha;
            let quadratic = (z.transpose() * &inverse * &z)[0];
            let density = c.weight / total * (-0.5 * quadratic).exp()
                / ((2.0 * std::f64::consts::PI).powi(D as i32) * lambda.determinant()).sqrt();
            let mean = &m + &c0 * &inverse * &z * alpha;
            let covariance = &c0 - &c0 * &inverse * &c0 * (alpha * alpha);
            (density, -(&inverse * z), mean, covariance)
        })
        .collect();
    let q: f64 = parts.iter().map(|p| p.0).sum();
    let score = parts.iter().map(|p| &p.1 * (p.0 / q)).sum::<DVector<f64>>();
    let mean = parts.iter().map(|p| &p.2 * (p.0 / q)).sum::<DVector<f64>>();
    let spread = |p: &(f64, DVector<f64>, DVector<f64>, DMatrix<f64>)| {
        (&p.3 + (&p.2 - &mean) * (&p.2 - &mean).transpose()) * (p.0 / q)
    };
    let covariance = parts.iter().map(spread).sum::<DMatrix<f64>>();
    (q.ln(), score, mean, covariance)
}

proptest! {
    #![proptest_config(verify::strategy::cases(9028, 64))]

    /// Any subset of the kinds, any level, points near and far: all four quantities by definition.
    #[test]
    fn all_quantities_agree_with_dense_linear_algebra(
        subset in 1_u32..64,
        clock in prop_oneof![1e-3..0.1, 0.1..5.0_f64],
        points in prop::collection::vec(-3.0..3.0_f64, 3 * D),
    ) {
        let all = components();
        let chosen: Vec<Component> =
            (0..6).filter(|i| subset >> i & 1 == 1).map(|i| all[i].clone()).collect();
        let target = Mixture::new(chosen.clone()).expect("valid");
        let x = Array2::from_shape_vec((3, D), points).expect("3 rows");
        let level = Ou.level(Time::of(clock));
        let ln_q = target.ln_density(&x, level.alpha, level.sigma).expect("valid level");
        let batch = Batch::new(&[0, 1, 2], Times::Same(Time::of(clock)), &x);
        let (mut score, mut mean) = (Array2::zeros((3, D)), Array2::zeros((3, D)));
        let (mut mean2, mut covariance) = (Array2::zeros((3, D)), Array2::zeros((3, D * D)));
        let mut s = Scratch::new();
        target.score::<f64, _>(Ou).field.eval_into(&batch, &mut score, &mut s).expect("score");
        let denoiser = target.denoiser::<f64, _>(Ou).field;
        denoiser.eval_into(&batch, &mut mean, &mut s).expect("mean");
        denoiser.mean_covariance_into(&batch, &mut mean2, &mut covariance, &mut s).expect("covariance");
        prop_assert_eq!(&mean, &mean2);
        for i in 0..3 {
            let (ln, exact_score, exact_mean, exact_covariance) =
                by_definition(&chosen, x.row(i), level.alpha, level.sigma);
            if ln < -600.0 { continue; } // the oracle's densities underflow there
            let close = |a: f64, b: f64, scale: f64| (a - b).abs() <= 1e-9 * (1.0 + scale);
            prop_assert!(close(ln_q[i], ln, ln.abs()), "{} {}", ln_q[i], ln);
            for j in 0..D {
                prop_assert!(close(score[(i, j)], exact_score[j], exact_score.norm()));
                prop_assert!(close(mean[(i, j)], exact_mean[j], exact_mean.norm()));
                for l in 0..D {
                    let found = covariance[(i, j * D + l)];
                    prop_assert!(close(found, exact_covariance[(j, l)], exact_covariance.norm()));
                }
            }
        }
    }
}

#[test]
fn single_precision_agrees_with_double_to_its_rounding() {
    let target = Mixture::new(components()).expect("valid");
    let x = target.sample(0..64, 0.8, 0.6, Noise::new(1)).expect("valid");
    let rows: Vec<u64> = (0..64).collect();
    let time = Ou.time_at_level(0.8);
    let mut double = Array2::zeros((64, D));
    let mut single = Array2::zeros((64, D));
    let x32 = x.mapv(|v| v as f32);
    let mut s = Scratch::new();
    let batch = Batch::new(&rows, Times::Same(time), &x);
    target.denoiser::<f64, _>(Ou).field.eval_into(&batch, &mut double, &mut s).expect("f64");
    let batch = Batch::new(&rows, Times::Same(time), &x32);
    target.denoiser::<f32, _>(Ou).field.eval_into(&batch, &mut single, &mut s).expect("f32");
    for (a, b) in double.iter().zip(&single) {
        assert!((a - f64::from(*b)).abs() < 2e-4, "{a} {b}");
    }
}

/// The time at which the OU process has this α.
trait AtLevel {
    fn time_at_level(&self, alpha: f64) -> Time;
}
impl AtLevel for Ou {
    fn time_at_level(&self, alpha: f64) -> Time {
        Time::of(-alpha.ln())
    }
}

#[test]
fn jacobian_and_divergence_agree_with_differences() {
    let target = Mixture::new(components()).expect("valid");
    let x = target.sample(0..6, 0.7, 0.7, Noise::new(2)).expect("valid");
    let v = x.map(|v| v * v - 0.5);
    let rows: Vec<u64> = (0..6).collect();
    let batch = Batch::new(&rows, Times::Same(Time::of(0.35)), &x);
    let mut s = Scratch::new();
    for field in [target.score::<f64, _>(Ou).field, target.denoiser::<f64, _>(Ou).field] {
        let difference = FiniteDifference::new(&field);
        let (mut exact, mut approximate) = (Array2::zeros((6, D)), Array2::zeros((6, D)));
        field.jvp_into(&batch, &v, &mut exact, &mut s).expect("jvp");
        difference.jvp_into(&batch, &v, &mut approximate, &mut s).expect("jvp");
        let worst = (&exact - &approximate).iter().fold(0.0_f64, |m, e| m.max(e.abs()));
        assert!(worst < 2e-8 * exact.iter().fold(1.0_f64, |m, e| m.max(e.abs())), "{worst}");
        let (mut div, mut approximate) = ([0.0; 6], [0.0; 6]);
        field.divergence_into(&batch, &mut div, &mut s).expect("divergence");
        difference.divergence_into(&batch, &mut approximate, &mut s).expect("divergence");
        for (a, b) in div.iter().zip(&approximate) {
            assert!((a - b).abs() < 1e-7 * a.abs().max(1.0), "{a} {b}");
        }
    }
}

/// Rows do not see each other: the same bits alone, in pairs, and in any position.
#[test]
fn rows_are_computed_from_themselves_alone() {
    let target = Mixture::new(components()).expect("valid");
    let x = target.sample(0..150, 0.9, 0.4, Noise::new(3)).expect("valid");
    let field = target.denoiser::<f64, _>(Ou).field;
    let check = verify::check_rows(&x, |rows, x| {
        let mut out = Array2::zeros(x.raw_dim());
        field
            .eval_into(&Batch::new(rows, Times::Same(Time::of(0.2)), x), &mut out, &mut Scratch::new())
            .expect("valid");
        out
    });
    check.expect("row by row");
}

#[test]
fn sample_moments_are_those_of_the_law() {
    let target = Mixture::new(components()).expect("valid");
    let n = 40_000_u64;
    let x = target.sample(0..n, 0.6, 0.5, Noise::new(verify::seed(11))).expect("valid");
    let mean = x.mean_axis(Axis(0)).expect("rows");
    let covariance = target.covariance() * 0.36 + Array2::<f64>::eye(D) * 0.25;
    // 5 means: a threshold of 4.5 standard errors has a false-alarm rate of 3e-5 together.
    for j in 0..D {
        let z = (mean[j] - 0.6 * target.mean()[j]) / (covariance[(j, j)] / n as f64).sqrt();
        assert!(z.abs() < 4.5, "{z}");
    }
    let second = x.iter().map(|v| v * v).sum::<f64>() / n as f64;
    let exact = 0.36 * target.second_moment() + D as f64 * 0.25;
    let norms: Vec<f64> = x.rows().into_iter().map(|r| r.dot(&r)).collect();
    let sd = (norms.iter().map(|q| (q - second).powi(2)).sum::<f64>() / n as f64).sqrt();
    // False-alarm rate 7e-6.
    assert!(((second - exact) / (sd / (n as f64).sqrt())).abs() < 4.5);
}

#[test]
fn levels_at_the_ends_are_defined() {
    let target = Mixture::new(components()).expect("valid");
    let x = array![[0.1, -0.2, 0.3, 0.0, 1.0]];
    let mut out = Array2::zeros((1, D));
    let mut s = Scratch::new();
    // No noise: the posterior mean is the point itself, and the score that of the data.
    let at = |time| Batch::new(&[0], Times::Same(Time::of(time)), &x);
    target.denoiser::<f64, _>(Ou).field.eval_into(&at(0.0), &mut out, &mut s).expect("σ = 0");
    for (a, b) in out.iter().zip(&x) {
        assert!((a - b).abs() < 1e-13);
    }
    target.score::<f64, _>(Ou).field.eval_into(&at(0.0), &mut out, &mut s).expect("σ = 0");
    assert!(out.iter().all(|v| v.is_finite()));
    // Nothing but noise: the posterior mean is the mean.
    target.denoiser::<f64, _>(Ou).field.eval_into(&at(800.0), &mut out, &mut s).expect("α = 0");
    for (a, b) in out.iter().zip(&target.mean()) {
        assert!((a - b).abs() < 1e-13);
    }
    // Points have no density without noise: an error, not an infinity.
    let atoms = Mixture::atoms(&x, None).expect("valid").denoiser::<f64, _>(Ou).field;
    let refused = atoms.eval_into(&at(0.0), &mut out, &mut s);
    assert!(matches!(refused, Err(Error::Domain { parameter: "sigma", .. })));
    // d = 1, one component, one row.
    let one = Mixture::gaussian(array![2.0], Covariance::Isotropic(4.0)).expect("valid");
    assert_eq!(one.ln_density(&array![[2.0]], 1.0, 0.0).expect("valid").len(), 1);
}

/// The gradient of the log-density is its difference quotient.
#[test]
fn the_density_and_its_gradient_agree() {
    let law = Mixture::new(components()).expect("valid");
    let x = law.sample(0..9, 1.0, 0.0, Noise::new(4)).expect("valid");
    let mut gradient = Array2::zeros((9, D));
    law.gradient_into(&x, &mut gradient).expect("valid");
    let ln = |x: &Array2<f64>| {
        let mut out = vec![0.0; 9];
        law.ln_density_into(x, &mut out).expect("valid");
        out
    };
    for j in 0..D {
        let h = 1e-5;
        let moved = |by: f64| {
            let mut x = x.clone();
            x.column_mut(j).mapv_inplace(|x| x + by);
            ln(&x)
        };
        for (i, (ahead, behind)) in moved(h).iter().zip(moved(-h)).enumerate() {
            let difference = (ahead - behind) / (2.0 * h);
            assert!((difference - gradient[(i, j)]).abs() < 1e-6 * (1.0 + gradient[(i, j)].abs()));
        }
    }
}

#[test]
fn bad_mixtures_are_refused() {
    let gaussian = |covariance| Mixture::gaussian(array![0.0, 0.0], covariance);
    let indefinite = array![[1.0, 2.0], [2.0, 1.0]];
    let asymmetric = array![[1.0, 0.5], [0.0, 1.0]];
    let singular = array![[1.0, 1.0], [1.0, 1.0]];
    for matrix in [indefinite, asymmetric, singular] {
        assert_eq!(
            gaussian(Covariance::Full(matrix)).expect_err("refused"),
            Error::NotPositiveDefinite { parameter: "covariance", index: 0 }
        );
    }
    for bad in [
        Covariance::Isotropic(-1.0),
        Covariance::Isotropic(f64::NAN),
        Covariance::Isotropic(f64::INFINITY),
        Covariance::Diagonal(array![1.0]),
        Covariance::Diagonal(array![1.0, -1.0]),
        Covariance::Full(Array2::eye(3)),
        Covariance::Full(array![[f64::NAN, 0.0], [0.0, 1.0]]),
        Covariance::LowRank { diagonal: array![1.0, 1.0], factor: Array2::zeros((3, 1)) },
        Covariance::LowRank { diagonal: array![1.0, f64::NAN], factor: Array2::zeros((2, 1)) },
    ] {
        assert!(gaussian(bad.clone()).is_err(), "{bad:?}");
    }
    let component = |weight, mean| Component { weight, mean, covariance: Covariance::Isotropic(1.0) };
    for bad in [
        vec![],
        vec![component(0.0, array![0.0])],
        vec![component(f64::NAN, array![0.0])],
        vec![component(1.0, array![f64::INFINITY])],
        vec![component(1.0, array![])],
        vec![component(1.0, array![0.0]), component(1.0, array![0.0, 1.0])],
        vec![component(f64::MAX, array![0.0]), component(f64::MAX, array![1.0])],
    ] {
        assert!(Mixture::new(bad.clone()).is_err(), "{bad:?}");
    }
    assert!(Mixture::atoms(&Array2::zeros((0, 2)), None).is_err());
    assert!(Mixture::atoms(&Array2::zeros((2, 2)), Some(&array![1.0])).is_err());
    let target = gaussian(Covariance::Isotropic(1.0)).expect("valid");
    assert!(target.ln_density(&array![[0.0]], 1.0, 1.0).is_err());
    assert!(target.ln_density(&array![[0.0, f64::NAN]], 1.0, 1.0).is_err());
    assert!(target.sample(0..2, -1.0, 1.0, Noise::new(0)).is_err());
    assert!(target.sample(0..2, 1.0, f64::NAN, Noise::new(0)).is_err());
}
