//! The mergeable statistics: same bits for any split, and against the plain two-pass formulas.

use numeric::Error;
use numeric::estimate::{
    Covariance, CovarianceAccumulator, Estimate, LogMeanExp, LogMeanExpAccumulator, MeanAccumulator, Merge,
    Moments, RowTree,
};
use numeric::ndarray::{Array2, array, s};
use proptest::prelude::*;

/// Debug output shows every bit that matters: the shortest decimal that reads back, and the sign of zero.
fn bits(value: &impl std::fmt::Debug) -> String {
    format!("{value:?}")
}

/// Fixed irregular numbers in (-1, 1), by the golden ratio.
fn irregular(i: u64) -> f64 {
    2.0 * (i as f64 * 0.618_033_988_749_894_9).fract() - 1.0
}

/// A statistic that records the association: the oracle of the tree's shape.
#[derive(Clone, Debug, PartialEq)]
struct Expression(u64, String);

impl Merge for Expression {
    fn n(&self) -> u64 {
        self.0
    }
    fn merge(self, right: Self) -> Self {
        Expression(self.0 + right.0, format!("({} {})", self.1, right.1))
    }
}

fn expressions(rows: std::ops::Range<u64>) -> RowTree<Expression> {
    RowTree::from_rows(rows.start, rows.map(|row| Expression(1, row.to_string()))).unwrap()
}

#[test]
fn association_is_the_aligned_tree() {
    assert_eq!(expressions(0..7).value().unwrap().1, "((((0 1) (2 3)) (4 5)) 6)");
    assert_eq!(expressions(3..9).value().unwrap().1, "((3 ((4 5) (6 7))) 8)");
    let mut scattered = expressions(5..6);
    for row in [1, 9, 0, 4] {
        scattered.push(row, Expression(1, row.to_string())).unwrap();
    }
    assert_eq!(scattered.value().unwrap().1, "(((0 1) (4 5)) 9)");
    assert_eq!(scattered.ranges(), [0..2, 4..6, 9..10]);
    assert_eq!(scattered.n(), 5);
}

/// Random cut points and a random order of the pieces.
fn partition(n: usize) -> impl Strategy<Value = Vec<std::ops::Range<usize>>> {
    prop::collection::btree_set(1..n, 0..12)
        .prop_map(move |cuts| {
            let ends: Vec<usize> = cuts.into_iter().chain([n]).collect();
            let starts = std::iter::once(0).chain(ends.iter().copied());
            starts.zip(&ends).map(|(start, &end)| start..end).collect::<Vec<_>>()
        })
        .prop_shuffle()
}

/// Merges the trees one after another, or as a tree of merges.
fn merge_all<S: Merge>(mut trees: Vec<RowTree<S>>, tree_wise: bool) -> RowTree<S> {
    while trees.len() > 1 {
        let last = trees.pop().unwrap();
        let onto = if tree_wise { 0 } else { trees.len() - 1 };
        let mut other = trees.swap_remove(onto);
        other.merge(last).unwrap();
        if tree_wise { trees.insert(0, other) } else { trees.push(other) }
    }
    trees.pop().unwrap()
}

proptest! {
    #![proptest_config(verify::strategy::cases(9020, 256))]

    #[test]
    fn any_split_and_any_order(
        (n, parts) in (2_usize..400).prop_flat_map(|n| (Just(n), partition(n))),
        first in prop_oneof![Just(0_u64), 0..1000_u64, Just(u64::MAX - 400)],
        tree_wise: bool,
        scale in prop_oneof![Just(1.0), Just(1e-150), Just(1e9), Just(700.0)],
    ) {
        let x: Vec<f64> = (0..n as u64).map(|i| scale * irregular(i)).collect();
        let rows = |part: &std::ops::Range<usize>| first + part.start as u64;

        let means = parts.iter().map(|p| MeanAccumulator::from_values(rows(p), &x[p.clone()]).unwrap());
        let mut pushed = MeanAccumulator::new();
        for (i, &x) in x.iter().enumerate() {
            pushed.push(first + i as u64, Moments::of(x).unwrap()).unwrap();
        }
        prop_assert_eq!(bits(&merge_all(means.collect(), tree_wise)), bits(&pushed));
        prop_assert_eq!(pushed.ranges(), vec![first..first + n as u64]);

        let weights = parts.iter().map(|p| LogMeanExpAccumulator::from_log_weights(rows(p), &x[p.clone()]).unwrap());
        let whole = LogMeanExpAccumulator::from_log_weights(first, &x).unwrap();
        prop_assert_eq!(bits(&merge_all(weights.collect(), tree_wise)), bits(&whole));

        let points = Array2::from_shape_fn((n, 3), |(i, j)| x[i] * irregular(7 * j as u64 + 3));
        let laws = parts.iter().map(|p| CovarianceAccumulator::from_rows_of(rows(p), &points.slice(s![p.clone(), ..])).unwrap());
        let whole = CovarianceAccumulator::from_rows_of(first, &points).unwrap();
        prop_assert_eq!(bits(&merge_all(laws.collect(), tree_wise)), bits(&whole));
    }

    /// Single rows in any order.
    #[test]
    fn rows_in_any_order(order in Just((3..120_u64).collect::<Vec<_>>()).prop_shuffle()) {
        let mut tree = RowTree::new();
        for row in order {
            tree.push(row, Expression(1, row.to_string())).unwrap();
        }
        prop_assert_eq!(tree, expressions(3..120));
    }

    /// Overlapping ranges are refused with the lowest common row, and leave the tree alone.
    #[test]
    fn overlaps_are_refused(a in 0..50_u64, n in 1..50_u64, b in 0..50_u64, m in 1..50_u64) {
        let mut tree = expressions(a..a + n);
        let before = tree.clone();
        let merged = tree.merge(expressions(b..b + m));
        if a + n <= b || b + m <= a {
            prop_assert_eq!(merged, Ok(()));
        } else {
            let lowest = a.max(b) as f64;
            prop_assert_eq!(
                merged,
                Err(Error::Domain { parameter: "row", value: lowest, expected: "a row that is not there yet" })
            );
            prop_assert_eq!(tree, before);
        }
    }

    /// Against two passes in plain sums. Their mean is off by at most e = n ε max|x|, hence a deviation too, and
    /// M₂ by 2 e Σ|x - μ| + n e² ≤ 2 e √(n M₂) + n e², beside the n ε M₂ of its own sum; the tree is more exact.
    #[test]
    fn moments_against_two_passes(x in prop::collection::vec(-1e3..1e3_f64, 2..300), offset in -1e3..1e3_f64) {
        let x: Vec<f64> = x.into_iter().map(|x| x + offset).collect();
        let n = x.len() as f64;
        let mean = x.iter().sum::<f64>() / n;
        let m2 = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>();
        let value = MeanAccumulator::from_values(17, &x).unwrap().value().unwrap();
        let magnitude = x.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
        let e = n * f64::EPSILON * magnitude;
        prop_assert!((value.mean() - mean).abs() <= 2.0 * e);
        let both = 2.0 * (2.0 * e * (n * m2).sqrt() + n * e * e + n * f64::EPSILON * m2);
        prop_assert!((value.sum_of_squares() - m2).abs() <= both);
        prop_assert_eq!(value.variance(), Some(value.sum_of_squares() / (n - 1.0)));
    }

    #[test]
    fn covariance_against_two_passes(n in 2_usize..300, d in 1_usize..6) {
        let x = Array2::from_shape_fn((n, d), |(i, j)| irregular((i * d + j) as u64).exp() + 10.0 * j as f64);
        let accumulator = CovarianceAccumulator::from_rows_of(5, &x).unwrap();
        let law = accumulator.value().unwrap();
        let mean = x.sum_axis(numeric::ndarray::Axis(0)) / n as f64;
        let centred = &x - &mean;
        let expected = centred.t().dot(&centred) / (n - 1) as f64;
        prop_assert!(law.mean().iter().zip(&mean).all(|(a, b)| (a - b).abs() <= n as f64 * f64::EPSILON * 60.0));
        let covariance = law.covariance().unwrap();
        // By Cauchy–Schwarz no entry exceeds e²; the offsets of up to 50 cost that many units.
        prop_assert!(covariance.iter().zip(&expected).all(|(a, b)| (a - b).abs() <= n as f64 * f64::EPSILON * 500.0));
        prop_assert_eq!(&covariance, &covariance.t());

        // The means have the bits of the scalar statistic; the diagonal differs by the order of a sum of n.
        for (j, estimate) in law.estimates().into_iter().enumerate() {
            let column = MeanAccumulator::from_values(5, &x.column(j).to_vec()).unwrap().estimate().unwrap();
            prop_assert_eq!((estimate.mean, estimate.n), (column.mean, column.n));
            prop_assert!((estimate.std_error / column.std_error - 1.0).abs() <= n as f64 * f64::EPSILON);
        }
    }

    /// Against plain sums of weights near 1, after a shift by ±1000 (which 2⁻³⁰ grid points make exact).
    #[test]
    fn log_mean_exp_against_plain_sums(
        l in prop::collection::vec(-3.0..3.0_f64, 2..200),
        shift in prop_oneof![Just(-1000.0), Just(0.0), Just(1000.0)],
    ) {
        let l: Vec<f64> = l.iter().map(|l| (l * 2f64.powi(30)).round() / 2f64.powi(30)).collect();
        let w: Vec<f64> = l.iter().map(|l| l.exp()).collect();
        let n = w.len() as f64;
        let (sum, squares) = (w.iter().sum::<f64>(), w.iter().map(|w| w * w).sum::<f64>());
        let mean = sum / n;
        let variance = w.iter().map(|w| (w - mean).powi(2)).sum::<f64>() / (n - 1.0);

        let shifted: Vec<f64> = l.iter().map(|l| l + shift).collect();
        let value = LogMeanExpAccumulator::from_log_weights(9, &shifted).unwrap().value().unwrap();
        prop_assert!((value.ln_mean() - (mean.ln() + shift)).abs() <= 2e-13);
        prop_assert!((value.effective_sample_size() / (sum * sum / squares) - 1.0).abs() <= 1e-12);
        let estimate = value.estimate();
        prop_assert!((estimate.std_error - (variance / n).sqrt() / mean).abs() <= 1e-12);
        prop_assert_eq!((estimate.mean, estimate.n), (value.ln_mean(), w.len() as u64));
        prop_assert!((value.ln_mean() - numeric::special::log_mean_exp(&shifted)).abs() <= 5e-13);
    }
}

#[test]
fn exact_corners() {
    // Equal values, whatever they are and however many: variance exactly 0.
    for c in [0.0, 0.1, -1e140, 1e9 + 1.0 / 3.0, 5e-324] {
        for n in [1, 2, 3, 64, 1000] {
            let value = MeanAccumulator::from_values(11, &vec![c; n]).unwrap().value().unwrap();
            assert_eq!((value.mean(), value.sum_of_squares(), value.n()), (c, 0.0, n as u64));
            let weights = LogMeanExpAccumulator::from_log_weights(11, &vec![c; n]).unwrap().value().unwrap();
            assert_eq!((weights.ln_mean(), weights.effective_sample_size()), (c, n as f64));
            assert_eq!(weights.estimate().std_error, if n == 1 { f64::INFINITY } else { 0.0 });
        }
    }
    let rows =
        CovarianceAccumulator::from_rows_of(9, &Array2::from_elem((200, 2), 0.1)).unwrap().value().unwrap();
    assert_eq!((rows.mean(), rows.scatter()), (array![0.1, 0.1], Array2::zeros((2, 2))));
    let rows =
        CovarianceAccumulator::from_rows_of(9, &Array2::<f32>::zeros((200, 0))).unwrap().value().unwrap();
    assert_eq!((rows.n(), rows.dim(), rows.scatter().dim()), (200, 0, (0, 0)));
    // A large offset costs no digit of the variance of values it can represent: Var of 1..=n is n(n + 1)/12.
    let n = 1 << 20;
    let x: Vec<f64> = (1..=n).map(|i| 1e9 + f64::from(i)).collect();
    let variance = MeanAccumulator::from_values(0, &x).unwrap().value().unwrap().variance().unwrap();
    let expected = f64::from(n) * f64::from(n + 1) / 12.0;
    assert!((variance / expected - 1.0).abs() < 1e-13, "{variance} {expected}");
    // The largest magnitudes do not overflow.
    let extreme: Vec<f64> = (0..1000).map(|i| if i % 2 == 0 { 1e140 } else { -1e140 }).collect();
    let estimate = MeanAccumulator::from_values(0, &extreme).unwrap().estimate().unwrap();
    assert!(estimate.mean == 0.0 && (estimate.std_error / (1e140 / 999f64.sqrt()) - 1.0).abs() < 1e-14);
}

#[test]
fn refused_values() {
    let mut tree = MeanAccumulator::from_values(0, &[1.0; 4]).unwrap();
    let before = tree.clone();
    for bad in [f64::NAN, f64::INFINITY, -f64::INFINITY, 1.1e140] {
        // The index is the absolute row.
        let refused = tree.push_values(100, &[0.0, bad]).unwrap_err();
        assert!(matches!(refused, Error::Entry { parameter: "values", index: 101, .. }), "{refused}");
        assert!(Moments::of(bad).is_err() && Covariance::of(&[0.0, bad]).is_err());
    }
    let refused = CovarianceAccumulator::from_rows_of(10, &array![[0.0, 1.0], [2.0, f64::NAN]]).unwrap_err();
    assert!(matches!(refused, Error::Entry { index: 23, .. }), "entry 1 of row 11 at d = 2: {refused}");
    for bad in [f64::NAN, f64::INFINITY] {
        let refused = LogMeanExpAccumulator::from_log_weights(7, &[-f64::INFINITY, bad]).unwrap_err();
        assert!(matches!(refused, Error::Entry { parameter: "log_weights", index: 8, .. }), "{refused}");
        assert!(LogMeanExp::of(bad).is_err());
    }

    assert!(matches!(tree.push(2, Moments::of(0.0).unwrap()), Err(Error::Domain { parameter: "row", .. })));
    assert!(tree.push(9, tree.value().unwrap()).is_err(), "four rows pushed as one");
    assert!(tree.push(u64::MAX, Moments::of(0.0).unwrap()).is_err());
    assert!(tree.push_values(u64::MAX - 1, &[0.0, 0.0]).is_err());
    assert_eq!(tree, before);
    assert_eq!(tree.push_values(u64::MAX - 1, &[0.0]), Ok(()));
    assert_eq!(tree.ranges(), [0..4, u64::MAX - 1..u64::MAX]);

    assert!(MeanAccumulator::new().estimate().is_err() && LogMeanExpAccumulator::new().value().is_err());
    assert_eq!(MeanAccumulator::from_values(u64::MAX, &[]), Ok(MeanAccumulator::new()));
    let mut plane = CovarianceAccumulator::from_rows_of(0, &array![[0.0_f32, 1.0]]).unwrap();
    assert!(plane.value().unwrap().covariance().is_err(), "one row");
    let wrong = Error::Shape { parameter: "row", expected: vec![2], found: vec![3] };
    assert_eq!(plane.push_rows_of(5, &array![[0.0, 1.0, 2.0]]), Err(wrong.clone()));
    assert_eq!(plane.push(5, Covariance::of(&[0.0, 1.0, 2.0]).unwrap()), Err(wrong));
}

#[test]
fn zero_weights() {
    let zero = LogMeanExpAccumulator::from_log_weights(0, &[-f64::INFINITY; 5]).unwrap();
    let value = zero.value().unwrap();
    assert_eq!((value.ln_mean(), value.effective_sample_size()), (-f64::INFINITY, 0.0));
    assert_eq!(value.estimate().interval(0.9), Ok((-f64::INFINITY, f64::INFINITY)));

    // Two weights of e^-1000 among six zeros: mean 1/4, variance 3/14, so the error is √(3/14/8)/(1/4).
    let mut some = zero;
    some.push_log_weights(5, &[-1000.0, -f64::INFINITY, -1000.0]).unwrap();
    let value = some.value().unwrap();
    assert!((value.ln_mean() - (-1000.0 - 4f64.ln())).abs() < 1e-12);
    assert!((value.effective_sample_size() - 2.0).abs() < 1e-14);
    assert!((value.estimate().std_error - (3.0 / 14.0 / 8.0_f64).sqrt() * 4.0).abs() < 1e-14);
}

/// Two-sided normal quantiles, mpmath: √2 erfinv(level).
#[test]
fn intervals() {
    let quantiles = [
        (0.01, 0.012533469508069263),
        (0.5, 0.67448975019608174),
        (0.9, 1.6448536269514728),
        (0.95, 1.9599639845400539),
        (0.99, 2.5758293035489005),
        (0.999, 3.2905267314918945),
        (0.9999999999990905, 7.1435520343521893),
    ];
    let standard = Estimate { mean: 0.0, std_error: 1.0, n: 100 };
    for (level, z) in quantiles {
        let (low, high) = standard.interval(level).unwrap();
        assert!((high / z - 1.0).abs() < 1e-12 && low == -high, "{level}: {high} {z}");
        let upper = standard.upper(0.5 + level / 2.0).unwrap();
        assert!((upper / z - 1.0).abs() < 1e-12, "{level}: {upper} {z}");
    }
    assert_eq!(standard.upper(0.5), Ok(0.0));
    for level in [0.0, 1.0, -0.1, f64::NAN] {
        assert!(standard.interval(level).is_err() && standard.upper(level).is_err());
    }
    let one = MeanAccumulator::from_values(3, &[2.5]).unwrap().estimate().unwrap();
    assert_eq!(one, Estimate { mean: 2.5, std_error: f64::INFINITY, n: 1 });
    assert_eq!(one.upper(0.5), Ok(f64::INFINITY));
}

#[test]
fn display() {
    let show = |mean, std_error, n| Estimate { mean, std_error, n }.to_string();
    assert_eq!(show(1.23412, 0.00512, 1000), "1.2341 ± 0.0051 (n = 1000)");
    assert_eq!(
        format!("{:.3}", Estimate { mean: 1.23412, std_error: 0.00512, n: 1000 }),
        "1.234 ± 0.005 (n = 1000)"
    );
    assert_eq!(show(-1234.6, 12.3, 7), "-1235 ± 12 (n = 7)");
    assert_eq!(show(2.5, 0.0, 8), "2.5 ± 0 (n = 8)");
    assert_eq!(show(2.5, f64::INFINITY, 1), "2.5 ± inf (n = 1)");
    assert_eq!(show(1.5e-20, 2e-22, 9), "1.5e-20 ± 2.0e-22 (n = 9)");
}

#[cfg(feature = "serde")]
#[test]
fn stored_and_read_back() {
    let x: Vec<f64> = (0..37).map(irregular).collect();
    let means = MeanAccumulator::from_values(5, &x).unwrap();
    let text = serde_json::to_string(&means).unwrap();
    assert_eq!(serde_json::from_str::<MeanAccumulator>(&text).unwrap(), means);

    let points = Array2::from_shape_fn((99, 3), |(i, j)| irregular((3 * i + j) as u64));
    let law = CovarianceAccumulator::from_rows_of(5, &points).unwrap();
    let text = serde_json::to_string(&law).unwrap();
    assert_eq!(serde_json::from_str::<CovarianceAccumulator>(&text).unwrap(), law);

    let weights = LogMeanExpAccumulator::from_log_weights(1, &[-f64::INFINITY, 2.0, -3.0]).unwrap();
    let text = serde_json::to_string(&weights).unwrap();
    assert_eq!(serde_json::from_str::<LogMeanExpAccumulator>(&text).unwrap(), weights);

    let leaf = r#"{"start":4,"level":0,"statistic":{"n":1,"mean":1.0,"m2":0.0}}"#;
    let pair = r#"{"start":4,"level":1,"statistic":{"n":2,"mean":1.0,"m2":0.0}}"#;
    assert!(serde_json::from_str::<MeanAccumulator>(&format!("[{pair}]")).is_ok());
    for bad in [
        format!("[{leaf},{leaf}]"),
        format!("[{leaf},{pair}]"),
        format!("[{}]", pair.replace("\"start\":4", "\"start\":5")),
        format!("[{}]", pair.replace("\"level\":1", "\"level\":64")),
        format!("[{}]", pair.replace("\"n\":2", "\"n\":3")),
        format!("[{}]", leaf.replace("\"start\":4", "\"start\":18446744073709551615")),
    ] {
        assert!(serde_json::from_str::<MeanAccumulator>(&bad).is_err(), "{bad}");
    }
    let read = |details: &str, scatter: &str| {
        let statistic = format!(r#"{{"n":2,"mean":[0.0,1.0],"details":{details},"scatter":{scatter}}}"#);
        let law = format!(r#"[{{"start":0,"level":1,"statistic":{statistic}}}]"#);
        serde_json::from_str::<CovarianceAccumulator>(&law)
    };
    assert!(read("[1.0,2.0]", "[]").is_ok() && read("[]", "[1.0,2.0,2.0,4.0]").is_ok());
    assert!(read("[1.0]", "[]").is_err() && read("[]", "[1.0]").is_err());
}
