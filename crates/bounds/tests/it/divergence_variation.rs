//! Total variation, chi-squared and Fisher divergences of Gaussian laws against closed forms, quadrature, Monte
//! Carlo and inequalities.

use bounds::divergence::GaussianLaw;
use numeric::ndarray::{Array1, Array2, array};
use numeric::{Error, Noise};
use proptest::prelude::*;
use statrs::function::gamma::gamma_lr;

fn law(mean: &[f64], variances: &[f64]) -> GaussianLaw {
    let covariance = Array2::from_diag(&Array1::from_vec(variances.to_vec()));
    GaussianLaw::new(Array1::from_vec(mean.to_vec()), covariance).unwrap()
}

#[track_caller]
fn assert_variation(p: &GaussianLaw, q: &GaussianLaw, expected: f64, absolute: f64, relative: f64) {
    for found in [p.total_variation(q).unwrap(), q.total_variation(p).unwrap()] {
        assert!((found - expected).abs() <= absolute.max(relative * expected), "{found} for {expected}");
    }
}

/// $`\frac{2}{\sqrt\pi}e^{-x^2}\sum_n 2^n x^{2n+1}/(2n+1)!!`$, of terms of one sign; statrs leaves 1e-12.
fn erf(x: f64) -> f64 {
    if x.abs() > 6.0 {
        return 1.0_f64.copysign(x);
    }
    let (mut term, mut sum) = (x, 0.0);
    for n in 0..200 {
        sum += term;
        term *= 2.0 * x * x / f64::from(2 * n + 3);
    }
    std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp() * sum
}

fn cdf(x: f64) -> f64 {
    0.5 * (1.0 + erf(x * std::f64::consts::FRAC_1_SQRT_2))
}

/// $`a x^2 + b x + c = \ln p - \ln q`$ for p = N(m, r) and q = N(0, 1), of different variances, and its roots.
fn crossings(m: f64, r: f64, constant: f64) -> Option<(f64, f64)> {
    let (a, b, c) = (0.5 * (1.0 - 1.0 / r), m / r, constant - 0.5 * m * m / r);
    let discriminant = b * b - 4.0 * a * c;
    // Of the two ways to write a root, the one that adds.
    let t = -0.5 * (b + discriminant.sqrt().copysign(b));
    let roots = (t / a, c / t);
    (discriminant > 0.0).then_some((roots.0.min(roots.1), roots.0.max(roots.1)))
}

#[test]
fn closed_form_on_the_line() {
    for m in [0.1, 1e-3, 1.0, 4.0, 12.0] {
        for r in [1e-6, 0.01, 0.5, 0.9, 1.1, 3.0, 50.0, 1e5] {
            let (low, high) = crossings(m, r, -0.5 * f64::ln(r)).expect("the wider law is above far out");
            let mass = |mean: f64, sd: f64| cdf((high - mean) / sd) - cdf((low - mean) / sd);
            let expected = (mass(m, r.sqrt()) - mass(0.0, 1.0)).abs();
            assert_variation(&law(&[m], &[r]), &law(&[0.0], &[1.0]), expected, 2e-14, 0.0);
            // In other units, elsewhere.
            let (p, q) = (law(&[2e3 * m - 7.0], &[4e6 * r]), law(&[-7.0], &[4e6]));
            assert_variation(&p, &q, expected, 1e-12, 0.0);
        }
    }
}

#[test]
fn equal_covariances() {
    for d in [1, 2, 30] {
        let variances: Vec<f64> = (0..d).map(|i| 0.5 + i as f64).collect();
        for distance in [1e-80, 1e-12, 1e-3, 0.5, 2.0, 7.0, 15.0, 1e4, 1e80] {
            let mean: Vec<f64> = variances.iter().map(|v| distance * (v / d as f64).sqrt()).collect();
            let expected = erf(distance / 8.0_f64.sqrt());
            assert_variation(&law(&mean, &variances), &law(&vec![0.0; d], &variances), expected, 0.0, 2e-14);
        }
    }
    let p = law(&[3.0, 1.0], &[1.0, 2.0]);
    assert_eq!(p.total_variation(&p).unwrap(), 0.0);
    // Far apart in size.
    assert_variation(&law(&[3.0], &[1e140]), &law(&[0.0], &[1.0]), 1.0, 1e-14, 0.0);
}

/// Between balls the likelihood ratio is a function of the radius, whose law is chi-squared.
#[test]
fn isotropic_laws_in_any_dimension() {
    for d in [1, 2, 3, 10, 100, 300] {
        for r in [1.001, 1.1, 2.0, 9.0, 1e4] {
            let half = 0.5 * d as f64;
            // The crossing |x|^2/2 under q, and divided by r under p.
            let crossing = half * r * f64::ln(r) / (r - 1.0);
            let expected = gamma_lr(half, crossing) - gamma_lr(half, crossing / r);
            let (p, q) = (law(&vec![0.0; d], &vec![r; d]), law(&vec![0.0; d], &vec![1.0; d]));
            assert_variation(&p, &q, expected, 1e-11, 0.0);
        }
    }
}

/// Relative accuracy for laws close to each other: $`E|x^2 - 1|/4 = \varphi(1)`$ times the change of the variance.
#[test]
fn near_laws_keep_their_digits() {
    for change in [1e-4, 1e-8, 1e-12] {
        let grown = 1.0 + change;
        let excess = grown - 1.0;
        let expected = excess * (-0.5_f64).exp() / std::f64::consts::TAU.sqrt();
        assert_variation(&law(&[0.0], &[grown]), &law(&[0.0], &[1.0]), expected, 0.0, excess + 1e-13);
    }
}

/// One axis in closed form, the other by a rule that converges geometrically.
#[test]
fn quadrature_in_the_plane() {
    let density =
        |x: f64, m: f64, r: f64| (-0.5 * (x - m).powi(2) / r).exp() / (std::f64::consts::TAU * r).sqrt();
    // Mass of p - q between the crossings along the second axis, at x on the first.
    let slice = |x: f64, m: [f64; 2], r: [f64; 2]| {
        let (p, q) = (density(x, m[0], r[0]), density(x, 0.0, 1.0));
        let constant = 0.5 * (x * x - (x - m[0]).powi(2) / r[0]) - 0.5 * (r[0] * r[1]).ln();
        crossings(m[1], r[1], constant).map_or(0.0, |(low, high)| {
            let mass = |mean: f64, sd: f64| cdf((high - mean) / sd) - cdf((low - mean) / sd);
            p * mass(m[1], r[1].sqrt()) - q * mass(0.0, 1.0)
        })
    };
    // Both wider: q is above p in an ellipse, whose first axis is x = c + a sin(phi).
    for (m, r) in [([0.3, -0.2], [2.0, 5.0]), ([1.5, 1.0], [1.2, 8.0]), ([3.0, 0.1], [30.0, 1.01])] {
        let a = [0.5 * (1.0 - 1.0 / r[0]), 0.5 * (1.0 - 1.0 / r[1])];
        let level: f64 = (0..2).map(|i| 0.5 * f64::ln(r[i]) + 0.5 * m[i] * m[i] / (r[i] - 1.0)).sum();
        let (centre, half) = (-m[0] / (r[0] - 1.0), (level / a[0]).sqrt());
        let points = 4000;
        let sum: f64 = (0..points)
            .map(|k| {
                let phi = std::f64::consts::PI * ((f64::from(k) + 0.5) / f64::from(points) - 0.5);
                slice(centre + half * phi.sin(), m, r) * phi.cos()
            })
            .sum();
        let expected = -sum * half * std::f64::consts::PI / f64::from(points);
        assert_variation(&law(&m, &r), &law(&[0.0; 2], &[1.0; 2]), expected, 1e-12, 0.0);
    }
    // Wider along x and narrower along y, where there are crossings at every x.
    for (m, r) in [([0.0, 0.0], [1.5, 0.4]), ([0.4, 0.8], [2.0, 0.2]), ([10.0, 1.4], [2.0, 0.3])] {
        let sum: f64 = (-40_000..=40_000).map(|k| 1e-3 * slice(1e-3 * f64::from(k), m, r)).sum();
        assert_variation(&law(&m, &r), &law(&[0.0; 2], &[1.0; 2]), sum, 1e-12, 0.0);
    }
}

/// One Z test at 4.9 standard errors: false-alarm rate 1e-6.
#[test]
fn monte_carlo_in_five_dimensions() {
    let (mean, variances) = ([0.5, -0.3, 0.0, 1.0, 0.1], [2.0, 0.3, 1.0, 1.4, 0.7]);
    let n = 100_000;
    let mut z = Array2::<f64>::zeros((n, 5));
    Noise::new(verify::seed(31)).normals_into(&(0..n as u64).collect::<Vec<_>>(), 0, &mut z);
    let excesses: Vec<f64> = z
        .rows()
        .into_iter()
        .map(|z| {
            let ln_ratio: f64 = (0..5)
                .map(|i| {
                    let x = mean[i] + f64::sqrt(variances[i]) * z[i];
                    0.5 * (z[i] * z[i] + f64::ln(variances[i]) - x * x)
                })
                .sum();
            // E_P (1 - q/p)^+ with ln q/p.
            (1.0 - ln_ratio.exp()).max(0.0)
        })
        .collect();
    let average = excesses.iter().sum::<f64>() / n as f64;
    let variance = excesses.iter().map(|r| (r - average).powi(2)).sum::<f64>() / (n * (n - 1)) as f64;
    let found = law(&mean, &variances).total_variation(&law(&[0.0; 5], &[1.0; 5])).unwrap();
    assert!((found - average).abs() < 4.9 * variance.sqrt(), "{found} for {average}");
}

/// Directions whose decay sets in at different scales and to different sides, and dimensions in which nothing
/// changes.
#[test]
fn mixed_directions() {
    let cases: [(&[f64], &[f64]); 4] = [
        (&[10.0, 2.02_f64.sqrt()], &[2.0, 0.99]),
        (&[1e-3, 3.0, 0.1], &[1.0 + 1e-8, 0.2, 40.0]),
        (&[0.0, 0.0, 1.0], &[1e6, 1e-6, 1.0]),
        (&[2.0, 0.5, 0.01], &[1e-4, 1.0 - 1e-9, 3.0]),
    ];
    for (mean, variances) in cases {
        let (p, q) = (law(mean, variances), law(&vec![0.0; mean.len()], &vec![1.0; mean.len()]));
        let found = p.total_variation(&q).unwrap();
        let (mut wider_mean, mut wider) = (mean.to_vec(), variances.to_vec());
        wider_mean.push(5.0);
        wider.push(3.0);
        let mut standard = vec![1.0; mean.len()];
        standard.push(3.0);
        let mut centre = vec![0.0; mean.len()];
        centre.push(5.0);
        assert_variation(&p, &q, found, 1e-13, 0.0);
        assert_variation(&law(&wider_mean, &wider), &law(&centre, &standard), found, 1e-13, 0.0);
    }
}

/// Laws in dimension 3: means in a cube, covariances $`AA^\top + \delta I`$.
fn laws(delta: f64) -> impl Strategy<Value = GaussianLaw> {
    let numbers = |count| prop::collection::vec(-1.5..1.5_f64, count);
    (numbers(3), numbers(9)).prop_map(move |(mean, entries)| {
        let a = Array2::from_shape_vec((3, 3), entries).unwrap();
        GaussianLaw::new(Array1::from_vec(mean), a.dot(&a.t()) + Array2::<f64>::eye(3) * delta).unwrap()
    })
}

proptest! {
    #![proptest_config(verify::strategy::cases(9007, 256))]

    #[test]
    fn inequalities(p in laws(0.05), q in laws(0.05), r in laws(0.05)) {
        let distance = p.total_variation(&q).unwrap();
        prop_assert!((distance - q.total_variation(&p).unwrap()).abs() < 1e-12);
        prop_assert!(distance <= p.total_variation(&r).unwrap() + r.total_variation(&q).unwrap() + 1e-12);
        let hellinger = p.hellinger_squared(&q).unwrap();
        prop_assert!(hellinger <= distance && distance <= (hellinger * (2.0 - hellinger)).sqrt());
        let kl = p.kl(&q).unwrap();
        prop_assert!(distance <= (0.5 * kl).sqrt() && distance <= (-(-kl).exp_m1()).sqrt());
        let chi = p.chi_squared(&q).unwrap();
        prop_assert!(kl <= chi.ln_1p() * (1.0 + 1e-12) && 2.0 * distance <= chi.sqrt() * (1.0 + 1e-12));
        let largest = nalgebra::DMatrix::from_fn(3, 3, |i, j| q.covariance()[(i, j)]).symmetric_eigenvalues().max();
        // Gross: the logarithmic Sobolev inequality of a Gaussian law.
        prop_assert!(kl <= 0.5 * largest * p.fisher_divergence(&q).unwrap() * (1.0 + 1e-10));
    }

    /// The two orders are two integrals. Shifts over four decades, variances that differ by 1e-9 up to a factor of 1e6.
    #[test]
    fn symmetric_over_scales(
        shifts in prop::collection::vec(-3.0..1.3_f64, 4),
        excesses in prop::collection::vec((-9.0..6.0_f64, any::<bool>()), 4),
    ) {
        let mean: Vec<f64> = shifts.iter().map(|e| 10.0_f64.powf(*e)).collect();
        let variance = |&(exponent, wider): &(f64, bool)| {
            let ratio = 1.0 + 10.0_f64.powf(exponent);
            if wider { ratio } else { 1.0 / ratio }
        };
        let variances: Vec<f64> = excesses.iter().map(variance).collect();
        let (p, q) = (law(&mean, &variances), law(&[0.0; 4], &[1.0; 4]));
        let (forth, back) = (p.total_variation(&q).unwrap(), q.total_variation(&p).unwrap());
        prop_assert!((forth - back).abs() < 1e-13, "{} and {}", forth, back);
    }
}

#[test]
fn chi_squared_and_fisher_in_closed_form() {
    // N(0, 1) from N(m, s^2): s^2 (2 s^2 - 1)^(-1/2) exp(m^2/(2 s^2 - 1)) - 1.
    let (m, square) = (0.7, 0.8);
    let (p, q) = (law(&[0.0], &[1.0]), law(&[m], &[square]));
    let width: f64 = 2.0 * square - 1.0;
    let expected = square / width.sqrt() * (m * m / width).exp() - 1.0;
    assert!((p.chi_squared(&q).unwrap() - expected).abs() < 1e-14 * expected);
    assert_eq!(p.chi_squared(&law(&[0.0], &[0.5])).unwrap(), f64::INFINITY);
    // Nearly equal: the second-order term is (dr)^2/2 + m^2.
    let near = law(&[1e-9], &[1.0]).chi_squared(&p).unwrap();
    assert!((near / 1e-18 - 1.0).abs() < 1e-12);

    // Correlated, with the inverses written out: P = N(0, [[2, 1], [1, 2]]), Q = N((1, 0), I).
    let p = GaussianLaw::new(array![0.0, 0.0], array![[2.0, 1.0], [1.0, 2.0]]).unwrap();
    let q = law(&[1.0, 0.0], &[1.0, 1.0]);
    // tr(S - 2 I + S^-1) + 1 with tr S^-1 = 4/3.
    assert!((p.fisher_divergence(&q).unwrap() - (4.0 - 4.0 + 4.0 / 3.0 + 1.0)).abs() < 1e-14);
    // The other way: tr(S^-2 - 2 S^-1 + I) + |S^-1 (1, 0)|^2, S^-1 = [[2, -1], [-1, 2]]/3.
    let expected = 10.0 / 9.0 - 8.0 / 3.0 + 2.0 + 5.0 / 9.0;
    assert!((q.fisher_divergence(&p).unwrap() - expected).abs() < 1e-14);
    assert_eq!(p.fisher_divergence(&p).unwrap(), 0.0);
    let grown = 1.0 + 2.0_f64.powi(-30);
    let near = law(&[0.0], &[grown]).fisher_divergence(&law(&[0.0], &[1.0])).unwrap();
    assert!((near / (grown - 1.0).powi(2) * grown - 1.0).abs() < 1e-14);
    let jeffreys = p.kl(&q).unwrap() + q.kl(&p).unwrap();
    assert_eq!(p.jeffreys(&q).unwrap(), jeffreys);
}

#[test]
fn refused() {
    let (p, q) = (law(&[0.0], &[1.0]), law(&[0.0, 0.0], &[1.0, 1.0]));
    assert!(matches!(p.total_variation(&q), Err(Error::Shape { parameter: "other", .. })));
    assert!(matches!(p.fisher_divergence(&q), Err(Error::Shape { parameter: "other", .. })));
    assert!(matches!(p.chi_squared(&q), Err(Error::Shape { parameter: "other", .. })));
    let (tiny, huge) = (law(&[0.0], &[1e-200]), law(&[0.0], &[1e200]));
    assert!(matches!(huge.total_variation(&tiny), Err(Error::Entry { parameter: "other", .. })));
    assert!(matches!(
        law(&[1e160], &[1.0]).total_variation(&p),
        Err(Error::Entry { parameter: "other", .. })
    ));
    assert!(matches!(law(&[1e160], &[1.0]).fisher_divergence(&p), Err(Error::Entry { .. })));
}
