//! The classifier two-sample test and the area under the curve against enumeration, bounds and simulation.

use bounds::divergence::{GaussianLaw, auc, classifier_test};
use numeric::ndarray::{Array2, array};
use numeric::{Error, Noise};

fn normals(rows: usize, seed: u64, stream: u64) -> Vec<f64> {
    let mut out = Array2::<f64>::zeros((rows, 1));
    let numbers: Vec<u64> = (0..rows as u64).collect();
    Noise::new(verify::seed(seed)).normals_into(&numbers, stream, &mut out);
    out.into_raw_vec_and_offset().0
}

fn area_by_pairs(of_p: &[f64], of_q: &[f64]) -> f64 {
    let pairs = of_p.iter().flat_map(|p| of_q.iter().map(move |q| (p, q)));
    let sum: f64 = pairs
        .map(|(p, q)| {
            if p > q {
                1.0
            } else if p == q {
                0.5
            } else {
                0.0
            }
        })
        .sum();
    sum / (of_p.len() * of_q.len()) as f64
}

#[test]
fn area_is_that_of_all_pairs() {
    // Rounded to a few values: many ties.
    let coarse = |values: Vec<f64>| values.iter().map(|v| (2.0 * v).round()).collect::<Vec<_>>();
    let (p, q) = (coarse(normals(57, 61, 0)), coarse(normals(83, 61, 1)));
    let found = auc(&p, &q).unwrap();
    assert!((found.mean - area_by_pairs(&p, &q)).abs() < 1e-14);
    assert!((auc(&q, &p).unwrap().mean - (1.0 - found.mean)).abs() < 1e-14);
    assert_eq!(found.n, 140);
    // DeLong's variance is nearly the jackknife's: leave out each row.
    let without = |scores: &[f64], i: usize| [&scores[..i], &scores[i + 1..]].concat();
    let jackknife = |areas: Vec<f64>| {
        let n = areas.len() as f64;
        let mean = areas.iter().sum::<f64>() / n;
        areas.iter().map(|a| (a - mean).powi(2)).sum::<f64>() * (n - 1.0) / n
    };
    let of_p = jackknife((0..p.len()).map(|i| area_by_pairs(&without(&p, i), &q)).collect());
    let of_q = jackknife((0..q.len()).map(|i| area_by_pairs(&p, &without(&q, i))).collect());
    assert!((found.std_error - (of_p + of_q).sqrt()).abs() < 1e-12);
    // The laws share 7/10, in the middle: the greatest area for that total variation.
    let shared = [1.0; 7];
    let found = auc(&[&shared[..], &[2.0; 3]].concat(), &[&shared[..], &[0.0; 3]].concat()).unwrap();
    assert!((found.mean - (1.0 - 0.5 * 0.49)).abs() < 1e-15);
    let infinite = auc(&[f64::INFINITY, 0.0], &[f64::NEG_INFINITY, 0.0]).unwrap();
    assert_eq!(infinite.mean, 3.5 / 4.0);
    // Zeros of both signs are one value.
    assert_eq!(auc(&[0.0, -0.0], &[-0.0, 0.0]).unwrap().mean, 0.5);
}

/// N(1, 1) and N(0, 1) with the score x: the accuracy is Φ(1/2) at 1/2, the area Φ(1/√2); one Z test each and the
/// coverage of 500 intervals at 95 %, within 0.0478 (4.9 standard deviations).
#[test]
fn gaussian_scores() {
    let (law, other) =
        (GaussianLaw::new(array![1.0], array![[1.0]]), GaussianLaw::new(array![0.0], array![[1.0]]));
    let distance = law.unwrap().total_variation(&other.unwrap()).unwrap();
    let area = 0.760_249_938_906_523_3;
    let (replicates, mut covered) = (500_u64, [0_u32; 3]);
    for replicate in 0..replicates {
        let p: Vec<f64> = normals(300, 62, 2 * replicate).iter().map(|z| z + 1.0).collect();
        let q = normals(300, 62, 2 * replicate + 1);
        let test = classifier_test(&p, &q, 0.5).unwrap();
        let estimates = [
            (test.total_variation_bound, distance),
            (test.accuracy, 0.5 + 0.5 * distance),
            (auc(&p, &q).unwrap(), area),
        ];
        for ((estimate, expected), count) in estimates.iter().zip(&mut covered) {
            let (low, high) = estimate.interval(0.95).unwrap();
            *count += u32::from(low <= *expected && *expected <= high);
        }
        assert!(test.p_value < 1e-3);
    }
    for count in covered {
        let rate = f64::from(count) / replicates as f64;
        assert!((rate - 0.95).abs() < 0.0478, "{rate}");
    }
}

/// Over all labels of eight rows as fair coins the p-value is exact: P(p <= u) = u at every value u it takes. With
/// four rows of each law it is conservative, also for a classifier that favours one.
#[test]
fn level_of_the_test() {
    let tail = |right: u32| (0..256_u32).filter(|o| o.count_ones() >= right).count() as f64 / 256.0;
    // Equal laws, score above the threshold with probability a: the law of the number right, by enumeration.
    for a in [0.5_f64, 0.3, 0.9, 1.0] {
        for level in (5..=8).map(tail) {
            let mut rejected = 0.0;
            for outcome in 0..256_u32 {
                let above = |i: u32| outcome >> i & 1 == 1;
                let score = |i: u32| if above(i) { 1.0 } else { 0.0 };
                let p: Vec<f64> = (0..4).map(score).collect();
                let q: Vec<f64> = (4..8).map(score).collect();
                let chance: f64 = (0..8).map(|i| if above(i) { a } else { 1.0 - a }).product();
                if classifier_test(&p, &q, 0.5).unwrap().p_value <= level * (1.0 + 1e-12) {
                    rejected += chance;
                }
            }
            assert!(rejected <= level * (1.0 + 1e-12), "{rejected} at {level}, a = {a}");
            assert!(a != 0.5 || (rejected - level).abs() < 1e-12);
        }
    }
    // A bound below 0 is possible, and of no use.
    let worse = classifier_test(&[0.0, 0.0], &[1.0, 1.0], 0.5).unwrap();
    assert_eq!((worse.accuracy.mean, worse.p_value), (0.0, 1.0));
    assert_eq!((worse.total_variation_bound.mean, worse.total_variation_bound.std_error), (-1.0, 0.0));
}

#[test]
fn refused() {
    let fine = [0.1, 0.2];
    assert!(matches!(classifier_test(&[0.1], &fine, 0.5), Err(Error::Shape { parameter: "of_p", .. })));
    assert!(matches!(auc(&fine, &[]), Err(Error::Shape { parameter: "of_q", .. })));
    let three = [0.1, 0.2, 0.3];
    assert!(matches!(classifier_test(&fine, &three, 0.5), Err(Error::Shape { parameter: "of_q", .. })));
    assert!(auc(&fine, &three).is_ok());
    let bad = [0.1, f64::NAN];
    assert!(matches!(auc(&fine, &bad), Err(Error::Entry { parameter: "of_q", index: 1, .. })));
    assert!(matches!(classifier_test(&bad, &fine, 0.5), Err(Error::Entry { parameter: "of_p", .. })));
    assert!(matches!(
        classifier_test(&fine, &fine, f64::NAN),
        Err(Error::Domain { parameter: "threshold", .. })
    ));
}
