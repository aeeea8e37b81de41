//! Logarithm of a mean of weights given by their logarithms.

use super::{Estimate, Merge, Moments, RowTree};
use crate::Error;

/// The ln of the mean of weights $`w_i = e^{ℓ_i}`$, for log-weights ℓ of any magnitude.
///
/// Kept are $`m = \max_i ℓ_i`$ and the [`Moments`] of $`e^{ℓ_i - m}`$, so nothing overflows, and the spread of
/// nearly equal weights does not cancel.
///
/// ```
/// use numeric::estimate::LogMeanExpAccumulator;
/// let weights = LogMeanExpAccumulator::from_log_weights(0, &[-1000.0, -1000.0 + 3f64.ln()])?.value()?;
/// assert!((weights.ln_mean() - (-1000.0 + 2f64.ln())).abs() < 1e-12); // mean of 1 and 3, times e^-1000
/// assert!((weights.effective_sample_size() - 1.6).abs() < 1e-12); // (1 + 3)² / (1² + 3²)
/// # Ok::<(), numeric::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LogMeanExp {
    #[cfg_attr(feature = "serde", serde(with = "maximum_or_none"))]
    maximum: f64,
    scaled: Moments,
}

impl LogMeanExp {
    /// The statistic of one log-weight; -∞ is the weight 0.
    ///
    /// # Errors
    /// [`Error::Entry`] if it is NaN or +∞.
    pub fn of(log_weight: f64) -> Result<Self, Error> {
        check_log_weight(log_weight, 0).map(Self::leaf)
    }

    fn leaf(maximum: f64) -> Self {
        LogMeanExp { maximum, scaled: Moments::leaf(1.0) }
    }

    /// $`L = \ln \frac1n \sum_i e^{ℓ_i}`$; -∞ if all weights are 0.
    ///
    /// Of unbiased weights, as in importance sampling, $`e^L`$ is unbiased for the normaliser Z and L is not:
    /// $`\mathbb E L ≤ \ln Z`$ (Jensen), by about half the square of the standard error.
    #[must_use]
    pub fn ln_mean(&self) -> f64 {
        self.maximum + self.scaled.mean.ln()
    }

    /// Effective sample size $`(\sum_i w_i)^2 / \sum_i w_i^2`$, between 1 and n; 0 if all weights are 0.
    ///
    /// # References
    /// Kong, Liu, Wong (1994), Sequential imputations and Bayesian missing data problems, JASA 89.
    #[must_use]
    pub fn effective_sample_size(&self) -> f64 {
        if self.maximum == f64::NEG_INFINITY {
            return 0.0;
        }
        let Moments { n, mean, m2 } = self.scaled;
        let n = n as f64;
        n / (1.0 + m2 / (n * mean * mean))
    }

    /// $`L`$ with its standard error by the delta method, $`\mathrm{se}(\bar w)/\bar w`$; +∞ for one row, and where
    /// all weights are 0.
    ///
    /// First order in $`\mathrm{se}(\bar w)/\bar w`$: above about 0.3, or with a few dominant weights, both the
    /// estimate and its error are too small.
    #[must_use]
    pub fn estimate(&self) -> Estimate {
        let Estimate { mean, std_error, n } = self.scaled.estimate();
        let std_error = if self.maximum == f64::NEG_INFINITY { f64::INFINITY } else { std_error / mean };
        Estimate { mean: self.ln_mean(), std_error, n }
    }

    /// The moments of $`e^{ℓ_i - m}`$ for a larger maximum m.
    fn scaled_to(&self, maximum: f64) -> Moments {
        // Also where both are -∞, and there is no difference to take.
        if self.maximum == maximum {
            return self.scaled;
        }
        let factor = (self.maximum - maximum).exp();
        Moments { n: self.scaled.n, mean: self.scaled.mean * factor, m2: self.scaled.m2 * factor * factor }
    }
}

impl Merge for LogMeanExp {
    fn n(&self) -> u64 {
        self.scaled.n
    }

    fn merge(self, right: Self) -> Self {
        let maximum = self.maximum.max(right.maximum);
        LogMeanExp { maximum, scaled: self.scaled_to(maximum).merge(right.scaled_to(maximum)) }
    }
}

fn check_log_weight(value: f64, index: u64) -> Result<f64, Error> {
    if value < f64::INFINITY {
        return Ok(value);
    }
    Err(Error::Entry {
        parameter: "log_weights",
        index: usize::try_from(index).unwrap_or(usize::MAX),
        value,
        expected: "a number, or negative infinity",
    })
}

/// The logarithm of a mean weight, mergeable with the same bits for any split.
pub type LogMeanExpAccumulator = RowTree<LogMeanExp>;

impl RowTree<LogMeanExp> {
    /// The rows `first_row .. first_row + log_weights.len()`.
    ///
    /// # Errors
    /// [`Error::Entry`] for a log-weight that is NaN or +∞, the index being its absolute row number;
    /// [`Error::Domain`] if the rows reach `u64::MAX`.
    pub fn from_log_weights(first_row: u64, log_weights: &[f64]) -> Result<Self, Error> {
        for (row, &value) in (first_row..=u64::MAX).zip(log_weights) {
            check_log_weight(value, row)?;
        }
        Self::from_rows(first_row, log_weights.iter().copied().map(LogMeanExp::leaf))
    }

    /// Adds the rows `first_row .. first_row + log_weights.len()`. After an error the tree is as before.
    ///
    /// # Errors
    /// Those of [`from_log_weights`](RowTree::from_log_weights), and [`Error::Domain`] with the lowest row
    /// already there.
    pub fn push_log_weights(&mut self, first_row: u64, log_weights: &[f64]) -> Result<(), Error> {
        self.merge(Self::from_log_weights(first_row, log_weights)?)
    }

    /// The ln of the mean weight with its delta-method standard error, see [`LogMeanExp::estimate`].
    ///
    /// # Errors
    /// [`Error::Domain`] if there are no rows.
    pub fn estimate(&self) -> Result<Estimate, Error> {
        Ok(self.value()?.estimate())
    }
}

/// -∞ as `None`: text formats such as JSON have no infinities.
#[cfg(feature = "serde")]
mod maximum_or_none {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(maximum: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        Some(*maximum).filter(|m| m.is_finite()).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NEG_INFINITY))
    }
}
