//! The mixture fit against closed forms, a second implementation, and its own guarantees.

use std::f64::consts::TAU;

use nalgebra::{DMatrix, DVector};
use numeric::ndarray::{Array1, Array2, Axis, array};
use numeric::{Error, Noise};
use proptest::prelude::*;
use sde_core::fit::{Fit, FitOptions, fit_mixture};

/// With a fixed seed: what is compared is exact, and without a floor some starts collapse, which is refused.
fn options(components: usize, floor: f64, tolerance: f64) -> FitOptions {
    FitOptions { components, floor, max_iterations: 10_000, tolerance, noise: Noise::new(11) }
}

fn normals(n: usize, d: usize, seed: u64) -> Array2<f64> {
    let mut z = Array2::zeros((n, d));
    Noise::new(verify::seed(seed)).normals_into::<f64>(&(0..n as u64).collect::<Vec<_>>(), 0, &mut z);
    z
}

/// Three overlapping clouds of different shapes, `(n, 3)`, far from the origin; the same ones whatever the shift of the
/// seeds, as [`options`].
fn clouds(n: usize) -> Array2<f64> {
    let mut x = Array2::zeros((n, 3));
    Noise::new(21).normals_into::<f64>(&(0..n as u64).collect::<Vec<_>>(), 0, &mut x);
    for (i, mut row) in x.rows_mut().into_iter().enumerate() {
        row[i % 3] *= 2.5;
        row[1] += 0.8 * row[0];
        row[(i + 1) % 3] += [0.0, 2.5, -2.0][i % 3];
        row += 40.0;
    }
    x
}

#[test]
fn one_component_is_the_sample_mean_and_covariance() -> Result<(), Error> {
    let (x, floor) = (clouds(501), 0.3);
    let (n, d) = (501.0, 3);
    let fit = fit_mixture(&x, &options(1, floor, 1e-12))?;
    let mean = x.sum_axis(Axis(0)) / n;
    let centred = &x - &mean;
    let sample = centred.t().dot(&centred) / n;
    let regularised = &sample + &(Array2::<f64>::eye(d) * floor);
    assert_eq!(fit.weights, [1.0]);
    assert_eq!(fit.iterations, 2);
    assert!((&fit.means.row(0) - &mean).iter().all(|e| e.abs() < 1e-12));
    assert!((&fit.covariances[0] - &regularised).iter().all(|e| e.abs() < 1e-12));
    // −½ (ln det 2πC + tr C⁻¹ S)
    let matrix = |a: &Array2<f64>| DMatrix::from_fn(d, d, |i, j| a[(i, j)]);
    let (c, s) = (matrix(&regularised), matrix(&sample));
    let exact = -0.5 * ((c.clone() * TAU).determinant().ln() + (c.try_inverse().unwrap() * s).trace());
    assert!(fit.log_likelihoods.iter().all(|l| (l - exact).abs() < 1e-12));
    assert!((fit.mean_log_likelihood(&x)? - exact).abs() < 1e-12);
    Ok(())
}

/// One EM iteration by the formulas, with inverses, determinants and no logarithms; returns also the mean
/// log-likelihood before it.
fn naive_step(x: &Array2<f64>, fit: &Fit, floor: f64) -> (Fit, f64) {
    let ((n, d), k) = (x.dim(), fit.weights.len());
    let density = |i: usize, j: usize| {
        let c = DMatrix::from_fn(d, d, |a, b| fit.covariances[j][(a, b)]);
        let e = DVector::from_fn(d, |a, _| x[(i, a)] - fit.means[(j, a)]);
        let squared = (e.transpose() * c.clone().try_inverse().unwrap() * &e)[(0, 0)];
        fit.weights[j] * (-0.5 * squared).exp() / (c * TAU).determinant().sqrt()
    };
    let mut r = Array2::from_shape_fn((n, k), |(i, j)| density(i, j));
    let mut log_likelihood = 0.0;
    for mut row in r.rows_mut() {
        let sum = row.sum();
        row /= sum;
        log_likelihood += sum.ln() / n as f64;
    }
    let mut next = fit.clone();
    for j in 0..k {
        let count: f64 = (0..n).map(|i| r[(i, j)]).sum();
        next.weights[j] = count / n as f64;
        for a in 0..d {
            next.means[(j, a)] = (0..n).map(|i| r[(i, j)] * x[(i, a)]).sum::<f64>() / count;
        }
        for (a, b) in (0..d).flat_map(|a| (0..d).map(move |b| (a, b))) {
            let of =
                |i: usize| r[(i, j)] * (x[(i, a)] - next.means[(j, a)]) * (x[(i, b)] - next.means[(j, b)]);
            let sum: f64 = (0..n).map(of).sum();
            next.covariances[j][(a, b)] = sum / count + if a == b { floor } else { 0.0 };
        }
    }
    (next, log_likelihood)
}

#[test]
fn iterations_agree_with_the_formulas() -> Result<(), Error> {
    for floor in [0.0, 0.05] {
        let x = clouds(200);
        // The same path, stopped after two iterations and later on.
        let start = fit_mixture(&x, &options(3, floor, 1e9))?;
        let fit = fit_mixture(&x, &options(3, floor, 1e-5))?;
        assert_eq!(start.iterations, 2);
        assert!(fit.iterations > 12, "{} iterations compare nothing", fit.iterations);
        let mut naive = start;
        for i in 2..fit.iterations {
            let (next, log_likelihood) = naive_step(&x, &naive, floor);
            assert!((log_likelihood - fit.log_likelihoods[i]).abs() < 1e-10, "at {i}");
            naive = next;
        }
        for j in 0..3 {
            assert!((naive.weights[j] - fit.weights[j]).abs() < 1e-10);
            assert!((&naive.means.row(j) - &fit.means.row(j)).iter().all(|e| e.abs() < 1e-10));
            assert!((&naive.covariances[j] - &fit.covariances[j]).iter().all(|e| e.abs() < 1e-10));
            assert_eq!(fit.covariances[j], fit.covariances[j].t());
        }
    }
    Ok(())
}

/// What the documentation says of a positive floor: from a stationary point of floor 0 the likelihood falls.
#[test]
fn a_floor_lowers_the_likelihood_of_the_maximum() -> Result<(), Error> {
    let x = clouds(200);
    let maximum = fit_mixture(&x, &options(3, 0.0, 1e-13))?;
    let (next, before) = naive_step(&x, &maximum, 0.05);
    assert!((before - maximum.log_likelihoods[maximum.iterations]).abs() < 1e-12);
    assert!(next.mean_log_likelihood(&x)? < before - 1e-5);
    Ok(())
}

proptest! {
    #![proptest_config(verify::strategy::cases(9027, 60))]

    /// Dempster, Laird, Rubin, Theorem 1; components that collapse are refused and prove nothing.
    #[test]
    fn without_a_floor_the_likelihood_never_falls(
        d in 1_usize..4, k in 1_usize..4, values in prop::collection::vec(-3.0..3.0, 180), seed in any::<u64>(),
    ) {
        let x = Array2::from_shape_vec((180 / d, d), values).expect("divisible by 1, 2 and 3");
        let mut options = options(k, 0.0, 1e-5);
        options.noise = Noise::new(seed);
        match fit_mixture(&x, &options) {
            Ok(fit) => {
                for pair in fit.log_likelihoods.windows(2) {
                    prop_assert!(pair[1] >= pair[0] - 1e-12, "{pair:?}");
                }
                prop_assert!((fit.weights.iter().sum::<f64>() - 1.0).abs() < 1e-13);
            }
            Err(Error::NotPositiveDefinite { parameter: "covariances", index }) => prop_assert!(index < k),
            Err(other) => prop_assert!(false, "{other}"),
        }
    }
}

/// Components a thousand standard deviations apart: the fit is the sample moments of each, whose standard errors
/// are known. 18 two-sided comparisons at 4.5 standard errors: false alarm below 2e-4, with 3e-5 for a seeding
/// that starts two centres in one component.
#[test]
fn a_separated_mixture_is_recovered() -> Result<(), Error> {
    let n = 20_000;
    let weights = [0.5, 0.3, 0.2];
    let means = array![[0.0, 0.0], [1500.0, 0.0], [0.0, 1500.0]];
    let factors =
        [array![[1.0, 0.0], [0.5, 0.8]], array![[0.3, 0.0], [-0.2, 1.0]], array![[2.0, 0.0], [1.0, 0.5]]];
    let mut u = Array2::zeros((n, 1));
    let rows: Vec<u64> = (0..n as u64).collect();
    Noise::new(verify::seed(31)).uniforms_into::<f64>(&rows, 0, &mut u);
    let (z, mut x) = (normals(n, 2, 32), Array2::zeros((n, 2)));
    for i in 0..n {
        let j = if u[(i, 0)] < 0.5 {
            0
        } else if u[(i, 0)] < 0.8 {
            1
        } else {
            2
        };
        x.row_mut(i).assign(&(factors[j].dot(&z.row(i)) + means.row(j)));
    }
    let fit = fit_mixture(&x, &options(3, 0.0, 1e-9))?;
    let within = |found: f64, exact: f64, variance: f64| {
        let error = (found - exact) / variance.sqrt();
        assert!(error.abs() < 4.5, "{found} for {exact} is {error} standard errors off");
    };
    for (j, &w) in weights.iter().enumerate() {
        let nearness = |&l: &usize| (&fit.means.row(l) - &means.row(j)).mapv(f64::abs).sum();
        let l = (0..3).min_by(|a, b| nearness(a).total_cmp(&nearness(b))).unwrap();
        let (exact, count) = (factors[j].dot(&factors[j].t()), n as f64 * w);
        within(fit.weights[l], w, w * (1.0 - w) / n as f64);
        for a in 0..2 {
            within(fit.means[(l, a)], means[(j, a)], exact[(a, a)] / count);
            for b in 0..=a {
                let variance = exact[(a, a)] * exact[(b, b)] + exact[(a, b)].powi(2);
                within(fit.covariances[l][(a, b)], exact[(a, b)], variance / count);
            }
        }
    }
    Ok(())
}

#[test]
fn threads_and_layout_do_not_change_a_bit() -> Result<(), Error> {
    let (x, options) = (clouds(3000), options(4, 0.02, 1e-5));
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        pool.install(|| fit_mixture(&x, &options))
    };
    let one = with(1)?;
    assert_eq!(one, with(3)?);
    let mut columns = Array2::zeros((3, 3000)).reversed_axes();
    columns.assign(&x);
    assert!(!columns.is_standard_layout());
    assert_eq!(one, fit_mixture(&columns, &options)?);
    assert_eq!(one.mean_log_likelihood(&x)?, one.log_likelihoods[one.iterations]);
    Ok(())
}

/// Units do not matter: twice the data and four times the floor give twice the means and four times the
/// covariances, to the bit, for a power of two; the density loses d ln 2.
#[test]
fn fits_scale_with_the_data() -> Result<(), Error> {
    let x = clouds(300);
    let (one, two) =
        (fit_mixture(&x, &options(3, 0.1, 1e-6))?, fit_mixture(&(&x * 2.0), &options(3, 0.4, 1e-6))?);
    assert_eq!(one.iterations, two.iterations);
    assert!((&one.means * 2.0 - &two.means).iter().all(|e| e.abs() < 1e-10));
    for j in 0..3 {
        assert!((&one.covariances[j] * 4.0 - &two.covariances[j]).iter().all(|e| e.abs() < 1e-10));
    }
    for (a, b) in one.log_likelihoods.iter().zip(&two.log_likelihoods) {
        assert!((a - b - 3.0 * 2.0_f64.ln()).abs() < 1e-11);
    }
    Ok(())
}

#[test]
fn degenerate_data_with_a_floor() -> Result<(), Error> {
    let row = array![[1.0 / 3.0, -7.0]];
    let same = Array2::from_shape_fn((500, 2), |(_, j)| row[(0, j)]);
    for x in [row.clone(), same] {
        let fit = fit_mixture(&x, &options(1, 0.5, 1e-9))?;
        assert_eq!((fit.means, &fit.covariances[0]), (row.clone(), &(Array2::eye(2) * 0.5)));
        assert!((fit.log_likelihoods[fit.iterations] + (TAU * 0.5).ln()).abs() < 1e-14);
    }
    // As many components as rows: one on each, of the covariance floor·I.
    let x = array![[0.0], [100.0], [200.0]];
    let fit = fit_mixture(&x, &options(3, 1.0, 1e-9))?;
    let mut means = fit.means.into_raw_vec_and_offset().0;
    means.sort_by(f64::total_cmp);
    assert_eq!((means, fit.covariances), (vec![0.0, 100.0, 200.0], vec![array![[1.0]]; 3]));
    Ok(())
}

#[test]
fn bad_input_is_named() -> Result<(), Error> {
    let x = clouds(60);
    let good = options(2, 0.1, 1e-6);
    let parameter = |x: &Array2<f64>, options: &FitOptions| match fit_mixture(x, options).unwrap_err() {
        Error::Domain { parameter, .. } | Error::Shape { parameter, .. } => parameter,
        other => panic!("{other}"),
    };
    for (name, bad) in [
        ("components", FitOptions { components: 0, ..good.clone() }),
        ("components", FitOptions { components: 61, ..good.clone() }),
        ("floor", FitOptions { floor: -1e-300, ..good.clone() }),
        ("floor", FitOptions { floor: f64::NAN, ..good.clone() }),
        ("floor", FitOptions { floor: f64::INFINITY, ..good.clone() }),
        ("max_iterations", FitOptions { max_iterations: 0, ..good.clone() }),
        ("tolerance", FitOptions { tolerance: 0.0, ..good.clone() }),
        ("tolerance", FitOptions { tolerance: f64::NAN, ..good.clone() }),
    ] {
        assert_eq!(parameter(&x, &bad), name, "{bad:?}");
    }
    assert_eq!(parameter(&Array2::zeros((0, 3)), &good), "data");
    assert_eq!(parameter(&Array2::zeros((3, 0)), &good), "data");
    assert_eq!(parameter(&array![[1e200], [-1e200], [0.0]], &good), "data");
    assert_eq!(parameter(&Array2::ones((9, 2)), &good), "components"); // one distinct row
    for bad in [f64::NAN, f64::INFINITY] {
        let mut x = x.clone();
        x[(4, 1)] = bad;
        let error = fit_mixture(&x, &good).unwrap_err();
        assert!(matches!(error, Error::Entry { parameter: "data", index: 13, .. }), "{error}");
    }
    let error =
        fit_mixture(&x, &FitOptions { max_iterations: 3, tolerance: 1e-15, ..good.clone() }).unwrap_err();
    let named = matches!(error, Error::NotConverged { routine: "fit_mixture", iterations: 3, residual } if residual > 1e-15);
    assert!(named, "{error}");
    // Without a floor: points, equal rows, dependent coordinates, and fewer rows than coordinates.
    let none = options(1, 0.0, 1e-6);
    let singular = Error::NotPositiveDefinite { parameter: "covariances", index: 0 };
    let dependent = Array2::from_shape_fn((60, 2), |(i, j)| x[(i, 0)] * [1.0, 1.0 / 3.0][j]);
    for x in [array![[1.0]], Array2::from_elem((50, 2), 0.1), dependent, normals(3, 3, 41)] {
        assert_eq!(fit_mixture(&x, &none).unwrap_err(), singular, "{x:?}");
    }
    Ok(())
}

#[test]
fn a_mixture_put_together_by_hand_is_checked() -> Result<(), Error> {
    let fit = fit_mixture(&clouds(60), &options(2, 0.1, 1e-6))?;
    let refused = |change: &dyn Fn(&mut Fit), x: &Array2<f64>| {
        let mut fit = fit.clone();
        change(&mut fit);
        fit.mean_log_likelihood(x).unwrap_err().to_string()
    };
    let x = clouds(5);
    assert!(refused(&|_| (), &Array2::zeros((5, 2))).starts_with("`data`"));
    assert!(refused(&|_| (), &Array2::zeros((0, 3))).starts_with("`data`"));
    assert!(refused(&|_| (), &Array2::from_elem((1, 3), 1e200)).starts_with("`data`"));
    assert!(refused(&|f| f.means = Array2::zeros((0, 3)), &x).starts_with("`means`"));
    assert!(refused(&|f| f.means[(1, 2)] = f64::NAN, &x).starts_with("`means[5]`"));
    assert!(refused(&|f| f.weights = vec![1.0], &x).starts_with("`weights`"));
    assert!(refused(&|f| f.weights[1] = 0.0, &x).starts_with("`weights[1]`"));
    assert!(refused(&|f| f.covariances[0] = Array2::eye(2), &x).starts_with("`covariances`"));
    let singular = Array2::from_diag(&Array1::from(vec![1.0, 1.0, 0.0]));
    assert!(refused(&|f| f.covariances[1] = singular.clone(), &x).starts_with("`covariances[1]`"));
    Ok(())
}
