//! Divergences from density ratios against exact expectations over finite laws, and the coverage of their intervals.

use bounds::divergence::{DensityRatios, FiniteLaw, GaussianLaw};
use numeric::ndarray::{Array2, array};
use numeric::{Error, Estimate, Noise};

/// Counts of 16 draws, the log-ratios at as many draws of each as its weights say, and the laws.
fn exact_samples(p: &[usize], q: &[usize]) -> (Vec<f64>, Vec<f64>, FiniteLaw, FiniteLaw) {
    let law = |counts: &[usize]| {
        FiniteLaw::new(&counts.iter().map(|&c| c as f64 / 16.0).collect::<Vec<_>>()).unwrap()
    };
    let at = |counts: &[usize]| -> Vec<f64> {
        let points = 0..p.len();
        points.flat_map(|i| vec![(p[i] as f64 / q[i] as f64).ln(); counts[i]]).collect()
    };
    (at(p), at(q), law(p), law(q))
}

#[track_caller]
fn assert_mean(found: Result<Estimate, Error>, expected: f64) {
    let found = found.unwrap().mean;
    assert!((found - expected).abs() <= 1e-13 * (1.0 + expected), "{found} for {expected}");
}

/// A sample with each point as often as its weight says has the expectation as its mean.
#[test]
fn expectations_are_exact() {
    for (p, q) in [([8, 4, 3, 1], [2, 4, 9, 1]), ([1, 5, 5, 5], [13, 1, 1, 1]), ([4, 4, 4, 4], [4, 4, 4, 4])]
    {
        let (at_p, at_q, p, q) = exact_samples(&p, &q);
        for ratios in [DensityRatios::from_p(&at_p).unwrap(), DensityRatios::from_both(&at_p, &at_q).unwrap()]
        {
            assert_mean(ratios.kl(), p.kl(&q).unwrap());
            assert_mean(ratios.reverse_kl(), q.kl(&p).unwrap());
            assert_mean(ratios.total_variation(), p.total_variation(&q).unwrap());
            assert_mean(ratios.hellinger_squared(), p.hellinger_squared(&q).unwrap());
            assert_mean(ratios.chi_squared(), p.chi_squared(&q).unwrap());
            for alpha in [0.01, 0.3, 0.5, 0.9, 1.0, 1.0 + 1e-9, 1.5, 2.0, 3.5] {
                assert_mean(ratios.renyi(alpha), p.renyi(alpha, &q).unwrap());
            }
        }
    }
}

#[test]
fn mass_outside_the_other_support() {
    // Q has 6/16 where P has nothing, P has 2/16 where Q has nothing.
    let (at_p, at_q, p, q) = exact_samples(&[10, 4, 0, 2], &[5, 5, 6, 0]);
    let both = DensityRatios::from_both(&at_p, &at_q).unwrap();
    assert_mean(both.total_variation(), p.total_variation(&q).unwrap());
    assert_mean(both.hellinger_squared(), p.hellinger_squared(&q).unwrap());
    for alpha in [0.1, 0.5, 0.9] {
        assert_mean(both.renyi(alpha), p.renyi(alpha, &q).unwrap());
    }
    for infinite in [both.kl(), both.reverse_kl(), both.chi_squared(), both.renyi(1.5)] {
        assert!(matches!(infinite, Err(Error::Domain { parameter: "at_p", .. })), "{infinite:?}");
    }
    // From P alone the mass is missed, times f(0) = 1 for KL; not so for total variation.
    let (at_p, _, p, q) = exact_samples(&[10, 6, 0], &[5, 5, 6]);
    let alone = DensityRatios::from_p(&at_p).unwrap();
    assert_mean(alone.kl(), p.kl(&q).unwrap() - 6.0 / 16.0);
    assert_mean(alone.total_variation(), p.total_variation(&q).unwrap());

    // Nearly nothing in common: the argument of the logarithm is small and positive.
    let far = DensityRatios::from_both(&[60.0, 70.0], &[-60.0, -50.0]).unwrap().renyi(0.5).unwrap();
    let argument = [-30.0, -35.0, -30.0, -25.0_f64].iter().map(|e| 0.5 * e.exp()).sum::<f64>();
    assert!((far.mean + 2.0 * argument.ln()).abs() < 1e-12);
}

#[test]
fn standard_errors() {
    let (at_p, at_q) = ([0.3, -0.2, 0.9], [-0.5, 0.1]);
    let spread = |summands: &[f64]| {
        let n = summands.len() as f64;
        let mean = summands.iter().sum::<f64>() / n;
        summands.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / (n - 1.0) / n
    };
    let summand = |l: &f64| (0.5 * l).tanh().abs();
    let (p, q) = (at_p.map(|l| summand(&l)), at_q.map(|l| summand(&l)));
    let found = DensityRatios::from_both(&at_p, &at_q).unwrap().total_variation().unwrap();
    assert!((found.std_error - 0.5 * (spread(&p) + spread(&q)).sqrt()).abs() < 1e-15);
    assert_eq!(found.n, 5);
    // The derivative of the Renyi divergence in the mean of the summands, by a difference.
    let alone = DensityRatios::from_p(&at_p).unwrap();
    let (chi, renyi) = (alone.chi_squared().unwrap(), alone.renyi(2.0).unwrap());
    assert!((renyi.mean - chi.mean.ln_1p()).abs() < 1e-15);
    assert!((renyi.std_error - chi.std_error / (1.0 + chi.mean)).abs() < 1e-15);
}

/// Coverage of the intervals at 95 % between Gaussian laws in three dimensions, 600 replicates of 400 + 400 rows.
///
/// The summands are skewed, those of the reverse divergence from P alone most, so that the rates are below 0.95: they are
/// compared with the rates of 24,000 other replicates, to 4.9 standard deviations of 600 and those of the 24,000, one
/// false alarm in 10^6 for each of the 14.
#[test]
fn coverage_between_gaussians() {
    let (shift, sd) = ([0.3, -0.2, 0.5], [1.1, 0.9, 1.0]);
    let identity = Array2::eye(3);
    let variances = Array2::from_diag(&array![1.21, 0.81, 1.0]);
    let p = GaussianLaw::new(array![0.3, -0.2, 0.5], variances).unwrap();
    let q = GaussianLaw::new(array![0.0, 0.0, 0.0], identity).unwrap();
    let ln_ratio = |x: [f64; 3]| -> f64 {
        (0..3).map(|i| 0.5 * (x[i] * x[i] - ((x[i] - shift[i]) / sd[i]).powi(2)) - f64::ln(sd[i])).sum()
    };
    let expected = [
        p.kl(&q).unwrap(),
        q.kl(&p).unwrap(),
        p.total_variation(&q).unwrap(),
        p.hellinger_squared(&q).unwrap(),
        p.chi_squared(&q).unwrap(),
        p.renyi(0.3, &q).unwrap(),
        p.renyi(1.4, &q).unwrap(),
    ];
    let (replicates, rows) = (600, 400);
    let mut covered = [[0_u32; 7]; 2];
    let noise = Noise::new(verify::seed(41));
    for replicate in 0..replicates {
        let mut z = Array2::<f64>::zeros((2 * rows, 3));
        noise.normals_into(&(0..2 * rows as u64).collect::<Vec<_>>(), replicate, &mut z);
        let ratios: Vec<f64> = z
            .rows()
            .into_iter()
            .enumerate()
            .map(|(row, z)| {
                let of_p = |i: usize| shift[i] + sd[i] * z[i];
                ln_ratio([0, 1, 2].map(|i| if row < rows { of_p(i) } else { z[i] }))
            })
            .collect();
        let (at_p, at_q) = ratios.split_at(rows);
        let kinds = [DensityRatios::from_p(at_p), DensityRatios::from_both(at_p, at_q)];
        for (ratios, covered) in kinds.iter().zip(&mut covered) {
            let ratios = ratios.as_ref().unwrap();
            let found = [
                ratios.kl(),
                ratios.reverse_kl(),
                ratios.total_variation(),
                ratios.hellinger_squared(),
                ratios.chi_squared(),
                ratios.renyi(0.3),
                ratios.renyi(1.4),
            ];
            for ((found, expected), count) in found.iter().zip(expected).zip(covered) {
                let (low, high) = found.as_ref().unwrap().interval(0.95).unwrap();
                *count += u32::from(low <= expected && expected <= high);
            }
        }
    }
    let rates = covered.map(|kind| kind.map(|count| f64::from(count) / replicates as f64));
    let long = [
        [0.9371, 0.8951, 0.9503, 0.9172, 0.9273, 0.9076, 0.9416],
        [0.9455, 0.9444, 0.9481, 0.9453, 0.9258, 0.9452, 0.9416],
    ];
    for (&rate, &long) in rates.as_flattened().iter().zip(long.as_flattened()) {
        let spread = f64::sqrt(long * (1.0 - long) * (1.0 / 600.0 + 1.0 / 24_000.0));
        assert!((rate - long).abs() < 4.9 * spread, "{rates:?}");
    }
}

/// At a distance of 1/1000 the divergence is 5e-7, and its relative standard error as that of a chi-squared mean.
#[test]
fn small_divergences_do_not_drown() {
    let rows = 2000;
    let mut z = Array2::<f64>::zeros((2, rows));
    Noise::new(verify::seed(42)).normals_into(&[0, 1], 0, &mut z);
    let at_p: Vec<f64> = z.row(0).iter().map(|z| 1e-3 * z + 0.5e-6).collect();
    let at_q: Vec<f64> = z.row(1).iter().map(|z| 1e-3 * z - 0.5e-6).collect();
    let ratios = DensityRatios::from_both(&at_p, &at_q).unwrap();
    for (found, expected) in [
        (ratios.kl(), 0.5e-6),
        (ratios.reverse_kl(), 0.5e-6),
        (ratios.chi_squared(), 1e-6),
        (ratios.hellinger_squared(), 0.125e-6),
        (ratios.renyi(0.2), 0.1e-6),
        (ratios.renyi(3.0), 1.5e-6),
    ] {
        let found = found.unwrap();
        // One of six Z tests at 4.9: false-alarm rate 6e-6. The variance of z^2 is 2, of 4000 draws.
        assert!((found.mean - expected).abs() < 4.9 * found.std_error, "{found:?} for {expected}");
        assert!(found.std_error < 1.3 * expected * (2.0 / 4000.0_f64).sqrt(), "{found:?}");
    }
}

#[test]
fn refused() {
    assert!(matches!(DensityRatios::from_p(&[1.0]), Err(Error::Shape { parameter: "at_p", .. })));
    assert!(matches!(
        DensityRatios::from_both(&[1.0, 2.0], &[]),
        Err(Error::Shape { parameter: "at_q", .. })
    ));
    for bad in [f64::NAN, f64::NEG_INFINITY] {
        assert!(matches!(DensityRatios::from_p(&[1.0, bad]), Err(Error::Entry { index: 1, .. })));
    }
    for bad in [f64::NAN, f64::INFINITY] {
        let at_q = [bad, 1.0];
        let refused = DensityRatios::from_both(&[1.0, 2.0], &at_q);
        assert!(matches!(refused, Err(Error::Entry { parameter: "at_q", index: 0, .. })));
    }
    let ratios = DensityRatios::from_p(&[800.0, 900.0]).unwrap();
    assert!(matches!(ratios.chi_squared(), Err(Error::Domain { parameter: "at_p", .. })));
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(ratios.renyi(bad), Err(Error::Domain { parameter: "alpha", .. })));
    }
}
