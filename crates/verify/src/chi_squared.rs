//! Pearson's chi-squared test of counts.

use numeric::Error;
use statrs::function::gamma::gamma_ur;

/// Result of [`chi_squared`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChiSquared {
    /// Pearson's statistic over the merged bins; infinite if a bin of probability 0 was hit.
    pub statistic: f64,
    /// Probability of so large a statistic under the stated probabilities.
    pub p_value: f64,
    /// Sum of the counts.
    pub n: u64,
    /// Degrees of freedom: merged bins less one.
    pub degrees_of_freedom: u64,
}

/// The least expected count of a bin (Cochran's rule); smaller ones are merged with their neighbours.
const LEAST_EXPECTED: f64 = 5.0;

/// Pearson's chi-squared test of `counts` against fully specified `probabilities`, bin by bin.
///
/// ```math
/// X^2 = \sum_b \frac{(c_b - n p_b)^2}{n p_b}, \qquad
/// P(X^2 \ge x) \approx Q\bigl(\tfrac{b-1}2, \tfrac x2\bigr).
/// ```
///
/// Bins are merged from the left until each expects at least 5 observations (Cochran's rule; a remainder
/// joins the last): this depends on the probabilities only, so the law of the statistic is not disturbed. A
/// count in a bin of probability 0 refutes the law by itself: $`p = 0`$. The p-value is the asymptotic one;
/// at 5 expected per bin it is good to about a tenth of its value near 1 % and too small further out, with
/// hundreds per bin it is exact for all purposes.
///
/// # Errors
/// The lengths differ; a probability is negative or NaN; they do not sum to 1 within $`10^{-9}`$; fewer than
/// two merged bins remain.
///
/// ```
/// // 60 throws of a die: X² = (5² + 2² + 1 + 0 + 3² + 5²)/10 = 6.4, and P(chi²_5 >= 6.4) = 0.26922.
/// let fit = verify::chi_squared(&[5, 8, 9, 10, 13, 15], &[1.0 / 6.0; 6])?;
/// assert!((fit.statistic - 6.4).abs() < 1e-12 && fit.degrees_of_freedom == 5);
/// assert!((fit.p_value - 0.269_220).abs() < 1e-5);
/// # Ok::<(), verify::Error>(())
/// ```
pub fn chi_squared(counts: &[u64], probabilities: &[f64]) -> Result<ChiSquared, Error> {
    Error::shape("counts", &[probabilities.len()], &[counts.len()])?;
    Error::entries("probabilities", probabilities.iter().copied(), "a number in [0, 1]", |p| {
        (0.0..=1.0).contains(&p)
    })?;
    let total: f64 = probabilities.iter().sum();
    Error::domain((total - 1.0).abs() <= 1e-9, "sum of probabilities", total, "1 within 1e-9")?;
    let n: u64 = counts.iter().sum();
    let bins = merged(counts, probabilities, n as f64);
    Error::domain(bins.len() >= 2, "merged bins", bins.len() as f64, "at least two with 5 expected each")?;
    let degrees_of_freedom = bins.len() as u64 - 1;
    let impossible = counts.iter().zip(probabilities).any(|(&count, &p)| count > 0 && p == 0.0);
    let (statistic, p_value) = if impossible {
        (f64::INFINITY, 0.0)
    } else {
        let statistic = bins.iter().map(|&(count, expected)| (count - expected).powi(2) / expected).sum();
        (statistic, survival(degrees_of_freedom, statistic))
    };
    Ok(ChiSquared { statistic, p_value, n, degrees_of_freedom })
}

/// (count, expected) of the merged bins.
fn merged(counts: &[u64], probabilities: &[f64], n: f64) -> Vec<(f64, f64)> {
    let mut bins: Vec<(f64, f64)> = Vec::new();
    let mut open = (0.0, 0.0);
    for (&count, &p) in counts.iter().zip(probabilities) {
        open = (open.0 + count as f64, open.1 + n * p);
        if open.1 >= LEAST_EXPECTED {
            bins.push(open);
            open = (0.0, 0.0);
        }
    }
    if let Some(last) = bins.last_mut() {
        *last = (last.0 + open.0, last.1 + open.1);
    }
    bins
}

fn survival(degrees_of_freedom: u64, statistic: f64) -> f64 {
    if statistic == 0.0 { 1.0 } else { gamma_ur(degrees_of_freedom as f64 / 2.0, statistic / 2.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_points() {
        // Tables of chi-squared: 5 %, 1 % and 0.1 % points.
        let table = [
            (1, [3.841, 6.635, 10.828]),
            (5, [11.070, 15.086, 20.515]),
            (30, [43.773, 50.892, 59.703]),
            (100, [124.342, 135.807, 149.449]),
        ];
        for (degrees, points) in table {
            for (x, p) in points.into_iter().zip([0.05, 0.01, 0.001]) {
                assert!((survival(degrees, x) / p - 1.0).abs() < 5e-4, "{degrees} {x}");
            }
        }
        // Two degrees of freedom: exp(-x/2), also far out and at 0.
        for x in [1e-3, 1.0, 50.0, 600.0] {
            assert!((survival(2, x) / (-x / 2.0).exp() - 1.0).abs() < 1e-12);
        }
        assert_eq!(survival(3, 0.0), 1.0);
        // Many degrees: Wilson and Hilferty's cube root, whose error at one million is below 1e-6.
        let (v, x) = (1e6_f64, 1.0e6 + 2.5 * 2.0e6_f64.sqrt());
        let z = ((x / v).cbrt() - 1.0 + 2.0 / (9.0 * v)) / (2.0 / (9.0 * v)).sqrt();
        let normal = 0.5 * statrs::function::erf::erfc(z / 2.0_f64.sqrt());
        assert!((survival(1_000_000, x) - normal).abs() < 1e-6);
    }

    #[test]
    fn small_bins_are_merged_by_expectation_only() {
        // 100 observations, expected 2, 3, 50, 41, 4: (2 + 3), 50, (41 + 4).
        let fit = chi_squared(&[0, 6, 50, 40, 4], &[0.02, 0.03, 0.5, 0.41, 0.04]).unwrap();
        assert_eq!(fit.degrees_of_freedom, 2);
        assert!((fit.statistic - (1.0 / 5.0 + 0.0 + 1.0 / 45.0)).abs() < 1e-12);
    }

    #[test]
    fn an_impossible_observation_refutes() {
        let fit = chi_squared(&[50, 1, 49], &[0.5, 0.0, 0.5]).unwrap();
        assert_eq!((fit.statistic, fit.p_value), (f64::INFINITY, 0.0));
    }

    #[test]
    fn bad_input_is_refused() {
        assert!(chi_squared(&[10, 10], &[1.0]).is_err());
        assert!(chi_squared(&[10, 10], &[0.5, 0.4]).is_err());
        assert!(chi_squared(&[10, 10], &[1.5, -0.5]).is_err());
        assert!(chi_squared(&[10, 10], &[0.5, f64::NAN]).is_err());
        assert!(chi_squared(&[3, 3], &[0.5, 0.5]).is_err());
        assert!(chi_squared(&[], &[]).is_err());
        assert!(chi_squared(&[100], &[1.0]).is_err());
    }
}
