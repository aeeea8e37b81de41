//! Mergeable statistics: the same bits for any split of the rows and any merge order.
//!
//! A run is cut into blocks of rows by threads, shards and resumed jobs. Floating-point addition is not
//! associative, so a statistic folded in the order in which the blocks happen to arrive depends on the cut.
//! Here a partial statistic carries the absolute numbers of its rows, and is combined along the aligned binary
//! tree over row numbers ([`RowTree`]): its bits are a function of the set of rows alone.
//!
//! | accumulator | leaf | yields |
//! |---|---|---|
//! | [`MeanAccumulator`] | [`Moments`] | mean, variance, [`Estimate`] of the mean |
//! | [`CovarianceAccumulator`] | [`Covariance`] | mean vector, full covariance, [`Estimate`] of each mean |
//! | [`LogMeanExpAccumulator`] | [`LogMeanExp`] | ln of the mean weight, effective sample size, [`Estimate`] of the ln |

mod chains;
mod covariance;
mod log_mean_exp;
mod moments;
mod tree;

pub use chains::{ChainSummary, chain_summary, rank_normalised};
pub use covariance::{Covariance, CovarianceAccumulator};
pub use log_mean_exp::{LogMeanExp, LogMeanExpAccumulator};
pub use moments::{MeanAccumulator, Moments};
pub use tree::{Merge, RowTree};

use crate::Error;
use std::fmt;

/// A mean measured by sampling: its value, its standard error, and from how many rows.
///
/// Every combination of numbers is meaningful to carry about, hence the public fields; what measures nothing
/// has an infinite standard error (one row tells nothing of the spread).
///
/// The intervals are *asymptotic*: by the central limit theorem their coverage tends to the level as n grows,
/// if the variance is finite. Nothing is certified at a fixed n; heavy tails need far more rows.
///
/// ```
/// use numeric::estimate::MeanAccumulator;
/// let estimate = MeanAccumulator::from_values(0, &[1.0, 2.0, 4.0, 5.0])?.estimate()?;
/// assert_eq!((estimate.mean, estimate.n), (3.0, 4));
/// assert_eq!(estimate.std_error, (10f64 / 3.0 / 4.0).sqrt());
/// assert_eq!(estimate.to_string(), "3.00 ± 0.91 (n = 4)");
/// # Ok::<(), numeric::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Estimate {
    /// The sample mean, or the smooth function of sample means that is estimated.
    pub mean: f64,
    /// Its standard error: the root of the estimated variance of `mean`, not of one row.
    pub std_error: f64,
    /// Number of rows.
    pub n: u64,
}

impl Estimate {
    /// Two-sided interval, mean ± z · `std_error` with $`z = Φ^{-1}((1 + \text{level})/2)`$; asymptotic.
    ///
    /// It is (-∞, ∞) if the standard error is infinite.
    ///
    /// ```
    /// use numeric::Estimate;
    /// let (low, high) = Estimate { mean: 1.0, std_error: 0.1, n: 400 }.interval(0.95)?;
    /// assert!((low - 0.804).abs() < 1e-4 && (high - 1.196).abs() < 1e-4);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Domain`] unless $`0 < \text{level} < 1`$.
    pub fn interval(&self, level: f64) -> Result<(f64, f64), Error> {
        check_level(level)?;
        if self.std_error == f64::INFINITY {
            return Ok((-f64::INFINITY, f64::INFINITY));
        }
        let margin = upper_normal_quantile(0.5 * (1.0 - level)) * self.std_error;
        Ok((self.mean - margin, self.mean + margin))
    }

    /// One-sided upper confidence limit, mean + z · `std_error` with $`z = Φ^{-1}(\text{level})`$; asymptotic.
    ///
    /// It is +∞ if the standard error is infinite.
    ///
    /// ```
    /// use numeric::Estimate;
    /// let measured = Estimate { mean: 1.0, std_error: 0.1, n: 400 };
    /// assert!((measured.upper(0.975)? - measured.interval(0.95)?.1).abs() < 1e-15);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Domain`] unless $`0 < \text{level} < 1`$.
    pub fn upper(&self, level: f64) -> Result<f64, Error> {
        check_level(level)?;
        if self.std_error == f64::INFINITY {
            return Ok(f64::INFINITY);
        }
        Ok(self.mean + upper_normal_quantile(1.0 - level) * self.std_error)
    }
}

fn check_level(level: f64) -> Result<(), Error> {
    Error::domain(level > 0.0 && level < 1.0, "level", level, "a confidence level between 0 and 1")
}

/// The z that a standard normal exceeds with probability `tail`, 0 < tail < 1.
fn upper_normal_quantile(tail: f64) -> f64 {
    std::f64::consts::SQRT_2 * statrs::function::erf::erfc_inv(2.0 * tail)
}

impl fmt::Display for Estimate {
    /// The standard error to two significant digits and the mean to the same decimal place; with a precision,
    /// as in `{:.4}`, both to that many decimals.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Estimate { mean, std_error, n } = *self;
        if let Some(decimals) = f.precision() {
            return write!(f, "{mean:.decimals$} ± {std_error:.decimals$} (n = {n})");
        }
        if !(std_error > 0.0 && std_error.is_finite()) {
            return write!(f, "{mean} ± {std_error} (n = {n})");
        }
        match 1.0 - std_error.log10().floor() {
            decimals @ 0.0..=9.0 => {
                let decimals = decimals as usize;
                write!(f, "{mean:.decimals$} ± {std_error:.decimals$} (n = {n})")
            }
            _ => write!(f, "{mean:e} ± {std_error:.1e} (n = {n})"),
        }
    }
}

/// Largest magnitude of a value: below it no sum of squared deviations of up to 2⁶⁴ rows can overflow.
const MAX_MAGNITUDE: f64 = 1e140;

/// Entry `index` of `values` if it can be accumulated without overflow.
fn check_value(value: f64, index: u64) -> Result<f64, Error> {
    // NaN fails the comparison.
    if value.abs() <= MAX_MAGNITUDE {
        return Ok(value);
    }
    Err(Error::Entry {
        parameter: "values",
        index: usize::try_from(index).unwrap_or(usize::MAX),
        value,
        expected: "a finite number of magnitude at most 1e140",
    })
}
