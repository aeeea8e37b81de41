//! Closed forms between Gaussian laws against quadrature, Monte Carlo, matrix functions and inequalities.

use bounds::divergence::{GaussianLaw, kl_of_ratios, renyi_of_ratios, w2_squared_of_variances};
use nalgebra::DMatrix;
use numeric::ndarray::{Array1, Array2, array};
use numeric::{Error, Noise};
use proptest::prelude::*;

/// Within a relative error, of tiny numbers too: approx also accepts an absolute one.
#[track_caller]
fn assert_close(found: f64, expected: f64, relative: f64) {
    assert!((found - expected).abs() <= relative * expected.abs(), "{found} for {expected}");
}

fn line(mean: f64, variance: f64) -> GaussianLaw {
    GaussianLaw::new(array![mean], array![[variance]]).unwrap()
}

fn diagonal(variances: &[f64]) -> GaussianLaw {
    let covariance = Array2::from_diag(&Array1::from_vec(variances.to_vec()));
    GaussianLaw::new(Array1::zeros(variances.len()), covariance).unwrap()
}

/// $`\int f`$ over the line by the trapezoidal rule, which converges geometrically for Gaussian integrands.
fn integral(f: impl Fn(f64) -> f64) -> f64 {
    (-40_000..=40_000).map(|k| 1e-3 * f(1e-3 * f64::from(k))).sum()
}

fn ln_density(mean: f64, variance: f64, x: f64) -> f64 {
    -0.5 * ((x - mean).powi(2) / variance + (std::f64::consts::TAU * variance).ln())
}

/// Laws in dimension 3: means in a cube, covariances $`AA^\top + 0.05 I`$.
fn laws() -> impl Strategy<Value = GaussianLaw> {
    let numbers = |count| prop::collection::vec(-1.5..1.5_f64, count);
    (numbers(3), numbers(9)).prop_map(|(mean, entries)| {
        let a = Array2::from_shape_vec((3, 3), entries).unwrap();
        GaussianLaw::new(Array1::from_vec(mean), a.dot(&a.t()) + Array2::<f64>::eye(3) * 0.05).unwrap()
    })
}

fn matrix(law: &GaussianLaw) -> DMatrix<f64> {
    DMatrix::from_fn(law.dim(), law.dim(), |i, j| law.covariance()[(i, j)])
}

fn square_root(matrix: &DMatrix<f64>) -> DMatrix<f64> {
    let spectrum = matrix.clone().symmetric_eigen();
    let roots = spectrum.eigenvalues.map(|value| value.max(0.0).sqrt());
    &spectrum.eigenvectors * DMatrix::from_diagonal(&roots) * spectrum.eigenvectors.transpose()
}

#[test]
fn quadrature_on_the_line() {
    let (a, s, b, t) = (0.3, 1.7, -0.4, 0.9);
    let (p, q) = (line(a, s), line(b, t));
    let mixed =
        |alpha: f64| integral(|x| (alpha * ln_density(a, s, x) + (1.0 - alpha) * ln_density(b, t, x)).exp());
    let ln_ratio = |x| ln_density(a, s, x) - ln_density(b, t, x);
    let kl = integral(|x| ln_density(a, s, x).exp() * ln_ratio(x));
    assert_close(p.kl(&q).unwrap(), kl, 1e-12);
    assert_close(p.hellinger_squared(&q).unwrap(), 1.0 - mixed(0.5), 1e-12);
    for alpha in [0.01, 0.3, 0.5, 0.9, 1.5, 2.0] {
        let expected = mixed(alpha).ln() / (alpha - 1.0);
        assert_close(p.renyi(alpha, &q).unwrap(), expected, 1e-11);
    }
    // 0.9 alpha > 1.7 (alpha - 1) ends at 2.125.
    assert!(p.renyi(2.12, &q).unwrap().is_finite());
    assert_eq!(p.renyi(2.13, &q).unwrap(), f64::INFINITY);
}

/// One Z test at 4.9 standard errors: false-alarm rate 1e-6.
#[test]
fn kl_is_the_mean_log_ratio() {
    let p =
        GaussianLaw::new(array![0.5, 0.0, -1.0], array![[1.0, 0.4, 0.1], [0.4, 0.8, -0.2], [0.1, -0.2, 0.5]]);
    let q =
        GaussianLaw::new(array![0.0, 0.2, 0.0], array![[2.0, -0.3, 0.0], [-0.3, 1.0, 0.4], [0.0, 0.4, 0.9]]);
    let (p, q) = (p.unwrap(), q.unwrap());
    let ln_density = |law: &GaussianLaw, x: &nalgebra::DVector<f64>| {
        let centred = x - nalgebra::DVector::from_fn(3, |i, _| law.mean()[i]);
        let inverse = matrix(law).try_inverse().unwrap();
        -0.5 * (centred.dot(&(inverse * &centred)) + matrix(law).determinant().ln())
    };
    let n = 20_000;
    let mut z = Array2::<f64>::zeros((n, 3));
    Noise::new(verify::seed(11)).normals_into(&(0..n as u64).collect::<Vec<_>>(), 0, &mut z);
    let root = square_root(&matrix(&p));
    let ratios: Vec<f64> = z
        .rows()
        .into_iter()
        .map(|z| {
            let x = nalgebra::DVector::from_fn(3, |i, _| p.mean()[i])
                + &root * nalgebra::DVector::from_fn(3, |i, _| z[i]);
            ln_density(&p, &x) - ln_density(&q, &x)
        })
        .collect();
    let mean = ratios.iter().sum::<f64>() / n as f64;
    let variance = ratios.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / (n * (n - 1)) as f64;
    let kl = p.kl(&q).unwrap();
    assert!((mean - kl).abs() < 4.9 * variance.sqrt(), "{mean} for {kl}");
}

proptest! {
    #![proptest_config(verify::strategy::cases(9006, 256))]

    #[test]
    fn divergences_between_laws(p in laws(), q in laws()) {
        let kl = p.kl(&q).unwrap();
        let hellinger = p.hellinger_squared(&q).unwrap();
        let w2 = p.w2_squared(&q).unwrap();
        prop_assert!(kl > 0.0 && w2 > 0.0 && hellinger > 0.0 && hellinger < 1.0);
        prop_assert!(2.0 * hellinger <= -2.0 * (1.0 - hellinger).ln() && -2.0 * (1.0 - hellinger).ln() <= kl);
        prop_assert!((hellinger - q.hellinger_squared(&p).unwrap()).abs() <= 1e-12);
        prop_assert!((w2 - q.w2_squared(&p).unwrap()).abs() <= 1e-11 * (1.0 + w2));
        // Talagrand: a Gaussian law satisfies T2 with its largest variance.
        let largest = matrix(&q).symmetric_eigenvalues().max();
        prop_assert!(w2 <= 2.0 * largest * kl * (1.0 + 1e-12));

        // Bures' formula as written.
        let root = square_root(&matrix(&p));
        let cross = square_root(&(&root * matrix(&q) * &root)).trace();
        let shift: f64 = (p.mean() - q.mean()).iter().map(|value| value * value).sum();
        let bures = shift + matrix(&p).trace() + matrix(&q).trace() - 2.0 * cross;
        prop_assert!((w2 - bures).abs() < 1e-8 * (1.0 + bures));

        // Order by order: the determinant formula, monotonicity, skew symmetry, and KL at 1.
        let mut below = 0.0;
        for alpha in [1e-6, 0.2, 0.5, 0.8, 1.0 - 1e-9, 1.0, 1.0 + 1e-9, 1.2, 2.0, 5.0] {
            let renyi = p.renyi(alpha, &q).unwrap();
            prop_assert!(renyi >= below * (1.0 - 1e-9), "{} after {}", renyi, below);
            below = renyi;
            if (alpha - 1.0).abs() <= 1e-9 {
                prop_assert!((renyi - kl).abs() <= 1e-5 * kl, "{} for {}", renyi, kl);
            } else if alpha == 0.2 || alpha == 0.8 {
                let mixed = matrix(&p) * (1.0 - alpha) + matrix(&q) * alpha;
                let shift = nalgebra::DVector::from_fn(3, |i, _| p.mean()[i] - q.mean()[i]);
                let mahalanobis = shift.dot(&(mixed.clone().try_inverse().unwrap() * &shift));
                let ln_det = |m: DMatrix<f64>| m.determinant().ln();
                let logs = ln_det(mixed) - (1.0 - alpha) * ln_det(matrix(&p)) - alpha * ln_det(matrix(&q));
                let expected = 0.5 * alpha * mahalanobis + 0.5 * logs / (1.0 - alpha);
                prop_assert!((renyi - expected).abs() <= 1e-8 * (1.0 + expected));
                let skew = alpha / (1.0 - alpha) * q.renyi(1.0 - alpha, &p).unwrap();
                prop_assert!((renyi - skew).abs() <= 1e-10 * (1.0 + renyi));
            }
        }
    }

    #[test]
    fn diagonal_laws_agree_with_ratios(
        p in prop::collection::vec(-9.0..9.0_f64, 4),
        q in prop::collection::vec(-9.0..9.0_f64, 4),
        alpha in prop::sample::select(vec![0.1, 0.5, 0.999_999, 1.0, 1.000_001, 1.5]),
    ) {
        let (p, q): (Vec<f64>, Vec<f64>) = p.iter().zip(q).map(|(a, b)| (a.exp(), b.exp())).unzip();
        let ratios: Vec<f64> = p.iter().zip(&q).map(|(a, b)| a / b).collect();
        let (p_law, q_law) = (diagonal(&p), diagonal(&q));
        let expected = renyi_of_ratios(alpha, &ratios).unwrap();
        let found = p_law.renyi(alpha, &q_law).unwrap();
        // Equal infinities have no difference.
        let close = found == expected || (found - expected).abs() <= 1e-9 * expected;
        prop_assert!(close, "{} for {}", found, expected);
        prop_assert!((p_law.kl(&q_law).unwrap() / kl_of_ratios(&ratios).unwrap() - 1.0).abs() <= 1e-12);
        let w2 = w2_squared_of_variances(&p, &q).unwrap();
        prop_assert!((p_law.w2_squared(&q_law).unwrap() / w2 - 1.0).abs() <= 1e-10);
    }
}

#[test]
fn equal_and_nearly_equal_laws() {
    let covariance = array![[2.0, 0.3, -0.4], [0.3, 1.0, 0.2], [-0.4, 0.2, 0.7]];
    let p = GaussianLaw::new(Array1::zeros(3), covariance.clone()).unwrap();
    assert_eq!(p.kl(&p).unwrap(), 0.0);
    assert_eq!(p.renyi(0.3, &p).unwrap(), 0.0);
    assert_eq!(p.hellinger_squared(&p).unwrap(), 0.0);
    assert!(p.w2_squared(&p).unwrap() < 1e-29);
    // A common factor 1 + e, a power of two that the products keep exact: r = 1 + e three times.
    let e = 2.0_f64.powi(-30);
    let q = GaussianLaw::new(Array1::zeros(3), covariance * (1.0 + e)).unwrap();
    assert_close(q.kl(&p).unwrap(), kl_of_ratios(&[1.0 + e; 3]).unwrap(), 1e-6);
    for alpha in [1e-3, 0.5, 1.0 - 1e-12, 1.0 + 1e-12, 3.0, 1e6] {
        let expected = renyi_of_ratios(alpha, &[1.0 + e; 3]).unwrap();
        assert_close(expected, 0.75 * alpha * e * e, 1e-2);
        assert_close(q.renyi(alpha, &p).unwrap(), expected, 1e-6);
    }
    let expected = w2_squared_of_variances(&[1.0 + e], &[1.0]).unwrap() * 3.7;
    assert_close(q.w2_squared(&p).unwrap(), expected, 1e-5);
}

#[test]
fn ratios_near_one_keep_their_digits() {
    // For one ratio 1 + e: R_alpha = alpha e^2 / 4 - (1 - (1 - alpha)^2) e^3 / 6 + O(e^4), and KL at 1.
    let e = 45.0 * 2.0_f64.powi(-32);
    for alpha in [1e-6, 0.1, 0.5, 0.7, 1.0, 2.0] {
        let expected = alpha * e * e * (0.25 - (2.0 - alpha) * e / 6.0);
        assert_close(renyi_of_ratios(alpha, &[1.0 + e]).unwrap(), expected, 1e-14);
    }
    let e = 2.0_f64.powi(-40);
    assert_close(kl_of_ratios(&[1.0 - e]).unwrap(), 0.25 * e * e, 1e-11);
}

#[test]
fn far_apart() {
    let (p, q) = (diagonal(&[1e-20, 1e10]), diagonal(&[1.0, 1.0]));
    assert_close(p.kl(&q).unwrap(), kl_of_ratios(&[1e-20, 1e10]).unwrap(), 1e-14);
    let expected = renyi_of_ratios(0.5, &[1e-20, 1e10]).unwrap();
    assert_close(p.renyi(0.5, &q).unwrap(), expected, 1e-13);
    assert_eq!(p.renyi(2.0, &q).unwrap(), f64::INFINITY);
    assert_close(p.hellinger_squared(&q).unwrap(), 1.0 - (-0.5 * expected).exp(), 1e-14);
    // Means alone: alpha |m|^2 / 2 and |m|^2, even where 1 - H^2 underflows.
    let (a, b) = (line(100.0, 1.0), line(0.0, 1.0));
    assert_eq!((a.kl(&b).unwrap(), a.w2_squared(&b).unwrap()), (5000.0, 10_000.0));
    assert_eq!(a.hellinger_squared(&b).unwrap(), 1.0);
    // A ratio of 1e600 is an error, not a NaN.
    let (huge, tiny) = (diagonal(&[1e300, 1.0]), diagonal(&[1e-300, 1.0]));
    assert!(matches!(huge.kl(&tiny), Err(Error::Entry { parameter: "other", .. })));
    assert_close(huge.w2_squared(&tiny).unwrap(), 1e300, 1e-14);
}

#[test]
fn refused() {
    let singular = |covariance| GaussianLaw::new(array![0.0, 0.0], covariance).unwrap_err();
    let not_positive = Error::NotPositiveDefinite { parameter: "covariance", index: 0 };
    assert_eq!(singular(array![[1.0, 1.0], [1.0, 1.0]]), not_positive);
    assert_eq!(singular(array![[0.1, 0.3], [0.3, 0.9]]), not_positive);
    assert_eq!(singular(array![[1.0, 0.5], [0.4, 1.0]]), not_positive);
    assert_eq!(singular(array![[-1.0, 0.0], [0.0, 1.0]]), not_positive);
    assert_eq!(singular(array![[1.0, 0.0], [0.0, 0.0]]), not_positive);
    assert!(matches!(
        singular(array![[1.0, 0.0], [0.0, f64::NAN]]),
        Error::Entry { parameter: "covariance", index: 3, .. }
    ));
    assert!(matches!(singular(array![[1.0]]), Error::Shape { parameter: "covariance", .. }));
    let empty = GaussianLaw::new(array![], Array2::zeros((0, 0)));
    assert!(matches!(empty, Err(Error::Shape { parameter: "mean", .. })));
    let infinite = GaussianLaw::new(array![f64::INFINITY], array![[1.0]]);
    assert!(matches!(infinite, Err(Error::Entry { parameter: "mean", .. })));
    // Rounding of a symmetric product passes.
    let rounded = array![[1.0, 0.5], [0.5 + 2.0 * f64::EPSILON, 1.0]];
    assert!(GaussianLaw::new(array![0.0, 0.0], rounded).is_ok());

    let (p, q) = (line(0.0, 1.0), diagonal(&[1.0, 1.0]));
    for refused in [p.kl(&q), p.w2_squared(&q), p.hellinger_squared(&q), p.renyi(2.0, &q)] {
        assert!(matches!(refused, Err(Error::Shape { parameter: "other", .. })));
    }
    for alpha in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(p.renyi(alpha, &p), Err(Error::Domain { parameter: "alpha", .. })));
        assert!(matches!(renyi_of_ratios(alpha, &[1.0]), Err(Error::Domain { parameter: "alpha", .. })));
    }
    for ratio in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(
            kl_of_ratios(&[1.0, ratio]),
            Err(Error::Entry { parameter: "ratios", index: 1, .. })
        ));
    }
    assert!(matches!(w2_squared_of_variances(&[1.0], &[]), Err(Error::Shape { parameter: "q", .. })));
    assert!(matches!(w2_squared_of_variances(&[-1.0], &[1.0]), Err(Error::Entry { parameter: "p", .. })));
    assert_eq!((kl_of_ratios(&[]).unwrap(), w2_squared_of_variances(&[0.0], &[0.0]).unwrap()), (0.0, 0.0));
}
