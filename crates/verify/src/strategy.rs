//! Strategies for property tests: plain numbers and arrays (feature `proptest`).
//!
//! Each is a function returning a [`Strategy`]; sizes and ranges are arguments, so that a test says what it
//! covers. Arguments that make no sense (no states, an empty time span) panic: they are written into a test
//! by its author.
//!
//! ```
//! use proptest::prelude::*;
//! proptest!(verify::strategy::cases(1, 100), |(grid in verify::strategy::time_grid(0.0, 1.0, 12))| {
//!     prop_assert!(grid.windows(2).all(|pair| pair[0] < pair[1]));
//!     prop_assert_eq!((grid[0], *grid.last().unwrap()), (0.0, 1.0));
//! });
//! ```

use std::f64::consts::TAU;

use numeric::ndarray::{Array1, Array2};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any};
use proptest::prop_oneof;
use proptest::test_runner::{Config, RngSeed};

/// The configuration of a property test that draws `count` cases from [`seed`](crate::seed) number `n`.
///
/// The cases are the same on every run and on every machine, and `GIRSANOV_SEED_SHIFT` moves them with all other
/// seeds: a suite that passes keeps passing until its code changes, and new cases are looked for on purpose. A
/// failure is reproduced by its shift, so that no file of failures is kept. For a whole block of tests it is
/// `#![proptest_config(verify::strategy::cases(1, 64))]`; they then draw the same cases wherever their strategies
/// agree. Strategies must not depend on anything else: maps in the order of their hashes do. `PROPTEST_CASES` and
/// `PROPTEST_RNG_SEED` give way to the arguments; proptest reads its other variables as ever.
///
/// # Panics
/// As [`seed`](crate::seed), for a shift that is no number.
///
/// ```
/// use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
/// let drawn = |n| (-1e3..1e3_f64).new_tree(&mut TestRunner::new(verify::strategy::cases(n, 64))).unwrap().current();
/// assert_eq!(drawn(1), drawn(1));
/// assert_ne!(drawn(1), drawn(2));
/// ```
#[must_use]
pub fn cases(n: u64, count: u32) -> Config {
    Config {
        rng_seed: RngSeed::Fixed(crate::seed(n)),
        failure_persistence: None,
        ..Config::with_cases(count)
    }
}

/// Strictly increasing time nodes from `start` to `end`, both exact, with 1 to `max_intervals` intervals.
///
/// A third each: comparable intervals; lengths over six decades in any order; lengths over six decades
/// growing away from one of the ends, as grids that cluster at a singular end time do.
///
/// # Panics
/// If not `start < end`, both finite; if the span is below $`10^{-5}`$ of the larger end, where nodes would
/// coincide in rounding; or if `max_intervals` is not in 1 to 1000.
pub fn time_grid(start: f64, end: f64, max_intervals: usize) -> impl Strategy<Value = Vec<f64>> {
    let span = end - start;
    assert!(span > 0.0 && span.is_finite(), "time_grid: [{start}, {end}] is not an interval");
    assert!(
        span >= 1e-5 * start.abs().max(end.abs()),
        "time_grid: [{start}, {end}] is too short for its ends"
    );
    assert!((1..=1000).contains(&max_intervals), "time_grid: max_intervals is {max_intervals}");
    let lengths = move |decades: f64| vec(0.0..decades, 1..=max_intervals);
    let sorted = |mut exponents: Vec<f64>, descending: bool| {
        exponents.sort_by(f64::total_cmp);
        if descending {
            exponents.reverse();
        }
        exponents
    };
    prop_oneof![
        lengths(0.5),
        lengths(6.0),
        (lengths(6.0), any::<bool>()).prop_map(move |(exponents, descending)| sorted(exponents, descending)),
    ]
    .prop_map(move |exponents| {
        let lengths: Vec<f64> = exponents.iter().map(|e| 10.0_f64.powf(*e)).collect();
        let total: f64 = lengths.iter().sum();
        let mut nodes = vec![start];
        let mut passed = 0.0;
        for length in &lengths[..lengths.len() - 1] {
            passed += length;
            nodes.push(start + span * (passed / total));
        }
        nodes.push(end);
        nodes
    })
}

/// Covariance matrices of dimension `d`: symmetric to the bit, positive definite, condition number at most
/// `max_condition`.
///
/// $`s\, Q \operatorname{diag}(\lambda) Q^\top`$ with $`Q`$ a product of plane rotations, $`\lambda`$
/// log-uniform and $`s`$ from $`10^{-2}`$ to $`10^2`$. In half the cases of $`d \ge 2`$ the largest and
/// smallest eigenvalue have the ratio `max_condition` exactly.
///
/// # Panics
/// If `d` is 0 or `max_condition` is not in $`[1, 10^{14}]`$, beyond which rounding may lose positive
/// definiteness.
pub fn covariance(d: usize, max_condition: f64) -> impl Strategy<Value = Array2<f64>> {
    assert!(d > 0, "covariance: dimension 0");
    assert!((1.0..=1e14).contains(&max_condition), "covariance: max_condition is {max_condition}");
    let exponents = (vec(0.0..=1.0, d), any::<bool>()).prop_map(move |(mut exponents, extreme)| {
        if extreme && d >= 2 {
            (exponents[0], exponents[1]) = (0.0, 1.0);
        }
        exponents
    });
    spectrum(exponents, -2.0..=2.0, max_condition, d)
}

/// Covariance matrices of dimension `d` that are nearly singular: condition number from $`10^8`$ to
/// $`10^{12}`$.
///
/// The smallest eigenvalue belongs to a direction that is no coordinate axis (unless shrunk to one), so that
/// factorisations meet cancellation.
///
/// # Panics
/// If `d` is below 2.
pub fn near_singular_covariance(d: usize) -> impl Strategy<Value = Array2<f64>> {
    assert!(d >= 2, "near_singular_covariance: dimension {d}; expected 2 or more");
    // In units of ln(1e12): one eigenvalue at the top, one in 2/3..1 below it, the others anywhere.
    let exponents = (vec(0.0..=1.0, d), 0.0..=1.0 / 3.0).prop_map(|(mut exponents, low)| {
        exponents[0] = 1.0;
        exponents[1] = low;
        exponents
    });
    spectrum(exponents, 0.0..=0.0, 1e12, d)
}

/// Rotated diagonal matrices with eigenvalues `condition`^(exponent - 1), times ten to the scale.
fn spectrum(
    exponents: impl Strategy<Value = Vec<f64>>,
    scale: std::ops::RangeInclusive<f64>,
    condition: f64,
    d: usize,
) -> impl Strategy<Value = Array2<f64>> {
    (exponents, scale, vec(0.0..TAU, d * (d - 1) / 2)).prop_map(move |(exponents, scale, angles)| {
        let top = 10.0_f64.powf(scale);
        // A = R R^T with R = Q diag(sqrt eigenvalue): symmetric up to the order of sums, and never indefinite
        // by much.
        let root = exponents.iter().map(|e| (top * condition.powf(e - 1.0)).sqrt());
        let mut factor = Array2::from_diag(&root.collect::<Array1<f64>>());
        let planes = (0..d).flat_map(|i| (i + 1..d).map(move |j| (i, j)));
        for ((i, j), angle) in planes.zip(angles) {
            let (sin, cos) = angle.sin_cos();
            for column in 0..d {
                let (a, b) = (factor[[i, column]], factor[[j, column]]);
                factor[[i, column]] = cos * a - sin * b;
                factor[[j, column]] = sin * a + cos * b;
            }
        }
        let product = factor.dot(&factor.t());
        Array2::from_shape_fn((d, d), |(i, j)| product[[i.min(j), i.max(j)]])
    })
}

/// Probability vectors of length `n`: every entry positive, over six decades at most, sum 1 to rounding.
///
/// # Panics
/// If `n` is 0.
pub fn probabilities(n: usize) -> impl Strategy<Value = Vec<f64>> {
    assert!(n > 0, "probabilities: length 0");
    prop_oneof![vec(-0.5..0.0, n), vec(-6.0..0.0, n)].prop_map(|exponents| {
        let weights: Vec<f64> = exponents.iter().map(|e| 10.0_f64.powf(*e)).collect();
        let total: f64 = weights.iter().sum();
        weights.iter().map(|w| w / total).collect()
    })
}

/// Parameters of a Gaussian mixture, as arrays.
#[derive(Clone, Debug, PartialEq)]
pub struct MixtureParameters {
    /// Positive weights, sum 1; length k.
    pub weights: Vec<f64>,
    /// Means, shape (k, d).
    pub means: Array2<f64>,
    /// Covariances, k of shape (d, d).
    pub covariances: Vec<Array2<f64>>,
}

/// Gaussian mixtures of 1 to `max_components` components in dimension `d`: weights of [`probabilities`],
/// means in $`[-\mathtt{radius}, \mathtt{radius}]^d`$, covariances of [`covariance`]`(d, max_condition)`.
///
/// # Panics
/// If `max_components` is 0, `radius` is not positive and finite, or as [`covariance`] does.
pub fn mixture(
    max_components: usize,
    d: usize,
    radius: f64,
    max_condition: f64,
) -> impl Strategy<Value = MixtureParameters> {
    assert!(max_components > 0, "mixture: no components");
    assert!(radius > 0.0 && radius.is_finite(), "mixture: radius is {radius}");
    let _ = covariance(d, max_condition); // its panics, here and not inside the strategy
    (1..=max_components).prop_flat_map(move |k| {
        let means = vec(-radius..radius, k * d);
        (probabilities(k), means, vec(covariance(d, max_condition), k)).prop_map(
            move |(weights, means, covariances)| MixtureParameters {
                weights,
                means: Array2::from_shape_fn((k, d), |(i, j)| means[i * d + j]),
                covariances,
            },
        )
    })
}

/// Rate matrices (generators) of `n` states: off-diagonal entries in $`[0, \mathtt{max\_rate}]`$, each
/// diagonal entry minus the sum of the others of its row.
///
/// Rates are zero, or log-uniform over four decades. The chain may be reducible and may have absorbing
/// states: properties that need more should be tested on [`reversible_rate_matrix`], which is irreducible.
///
/// # Panics
/// If `n` is 0 or `max_rate` is not positive and finite.
pub fn rate_matrix(n: usize, max_rate: f64) -> impl Strategy<Value = Array2<f64>> {
    assert!(n > 0, "rate_matrix: no states");
    assert!(max_rate > 0.0 && max_rate.is_finite(), "rate_matrix: max_rate is {max_rate}");
    let rate = prop_oneof![1 => Just(0.0), 2 => (-4.0..=0.0).prop_map(move |e| max_rate * 10.0_f64.powf(e))];
    vec(rate, n * n).prop_map(move |rates| closed(Array2::from_shape_fn((n, n), |(i, j)| rates[i * n + j])))
}

/// Irreducible rate matrices in detailed balance, with their stationary law $`\pi`$.
///
/// $`Q_{ij} = S_{ij} / \pi_i`$ with $`S`$ symmetric and positive off the diagonal, hence
/// $`\pi_i Q_{ij} = \pi_j Q_{ji}`$ to rounding; scaled so that the largest rate is at most `max_rate`.
/// $`\pi`$ is from [`probabilities`].
///
/// # Panics
/// If `n` is 0 or `max_rate` is not positive and finite.
pub fn reversible_rate_matrix(n: usize, max_rate: f64) -> impl Strategy<Value = (Array2<f64>, Vec<f64>)> {
    assert!(n > 0, "reversible_rate_matrix: no states");
    assert!(max_rate > 0.0 && max_rate.is_finite(), "reversible_rate_matrix: max_rate is {max_rate}");
    (vec(-2.0..=0.0, n * n), probabilities(n)).prop_map(move |(exponents, law)| {
        let symmetric = |i: usize, j: usize| 10.0_f64.powf(exponents[i.min(j) * n + i.max(j)]);
        let raw = Array2::from_shape_fn((n, n), |(i, j)| if i == j { 0.0 } else { symmetric(i, j) / law[i] });
        let largest = raw.iter().copied().fold(0.0, f64::max);
        let scale = if largest > 0.0 { max_rate / largest } else { 1.0 }; // one state has no rates
        (closed(raw.mapv(|rate| (rate * scale).min(max_rate))), law)
    })
}

/// Replaces the diagonal by minus the sum of the rest of the row.
fn closed(mut rates: Array2<f64>) -> Array2<f64> {
    for (i, mut row) in rates.rows_mut().into_iter().enumerate() {
        row[i] = 0.0;
        row[i] = -row.sum();
    }
    rates
}
