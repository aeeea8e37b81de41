//! Mean and variance of one number per row.

use super::{Estimate, Merge, RowTree, check_value};
use crate::Error;

/// Number of rows, mean and sum of squared deviations of one number per row.
///
/// ```math
/// μ = \frac1n \sum_i x_i, \qquad M_2 = \sum_i (x_i - μ)^2 ,
/// ```
///
/// combined by the pairwise update
///
/// ```math
/// δ = μ_b - μ_a, \qquad μ = μ_a + δ\,\frac{n_b}{n}, \qquad M_2 = M_{2,a} + M_{2,b} + δ^2\,\frac{n_a n_b}{n} ,
/// ```
///
/// which has no cancellation: a large common offset costs no digits of the variance, and equal values give a
/// variance of exactly 0. Squared deviations below $`10^{-308}`$ underflow to 0.
///
/// ```
/// use numeric::estimate::{Merge, Moments};
/// let (a, b) = (Moments::of(1e9 + 1.0)?, Moments::of(1e9 + 2.0)?);
/// assert_eq!(a.merge(b).variance(), Some(0.5));
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// Chan, Golub, LeVeque (1983), Algorithms for computing the sample variance, Am. Stat. 37.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Moments {
    pub(super) n: u64,
    pub(super) mean: f64,
    pub(super) m2: f64,
}

impl Moments {
    /// The moments of one value.
    ///
    /// # Errors
    /// [`Error::Entry`] if the value is NaN, infinite or of a magnitude above 10¹⁴⁰, whose square could overflow.
    pub fn of(value: f64) -> Result<Self, Error> {
        check_value(value, 0).map(Self::leaf)
    }

    pub(super) fn leaf(mean: f64) -> Self {
        Moments { n: 1, mean, m2: 0.0 }
    }

    /// The sample mean μ.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// The sum of squared deviations M₂: divide it by n - 1, n or n + 1 as you need.
    #[must_use]
    pub fn sum_of_squares(&self) -> f64 {
        self.m2
    }

    /// The unbiased sample variance M₂ / (n - 1); `None` for one row.
    #[must_use]
    pub fn variance(&self) -> Option<f64> {
        (self.n > 1).then(|| self.m2 / (self.n - 1) as f64)
    }

    /// The mean with its standard error $`\sqrt{M_2 / (n (n - 1))}`$; +∞ for one row, which knows no spread.
    #[must_use]
    pub fn estimate(&self) -> Estimate {
        let std_error = self.variance().map_or(f64::INFINITY, |variance| (variance / self.n as f64).sqrt());
        Estimate { mean: self.mean, std_error, n: self.n }
    }
}

impl Merge for Moments {
    fn n(&self) -> u64 {
        self.n
    }

    fn merge(self, right: Self) -> Self {
        let n = self.n + right.n;
        let delta = right.mean - self.mean;
        let share = share(self.n, right.n);
        Moments {
            n,
            mean: self.mean + delta * share,
            m2: self.m2 + right.m2 + delta * delta * (self.n as f64 * share),
        }
    }
}

/// $`n_b / (n_a + n_b)`$; the halves of an aligned block, nearly all merges, need no division.
pub(super) fn share(left: u64, right: u64) -> f64 {
    if left == right { 0.5 } else { right as f64 / (left + right) as f64 }
}

/// Mean and variance of one number per row, mergeable with the same bits for any split.
///
/// ```
/// use numeric::estimate::MeanAccumulator;
/// let mut losses = MeanAccumulator::from_values(64, &[2.0, 4.0])?; // rows 64 and 65
/// losses.push_values(0, &[3.0; 64])?;
/// let estimate = losses.estimate()?;
/// assert_eq!((estimate.mean, estimate.n), (3.0, 66));
/// assert_eq!(losses.value()?.sum_of_squares(), 2.0);
/// # Ok::<(), numeric::Error>(())
/// ```
pub type MeanAccumulator = RowTree<Moments>;

impl RowTree<Moments> {
    /// The rows `first_row .. first_row + values.len()`.
    ///
    /// # Errors
    /// [`Error::Entry`] for a value that is NaN, infinite or of a magnitude above 10¹⁴⁰, the index being its
    /// absolute row number; [`Error::Domain`] if the rows reach `u64::MAX`.
    pub fn from_values(first_row: u64, values: &[f64]) -> Result<Self, Error> {
        for (row, &value) in (first_row..=u64::MAX).zip(values) {
            check_value(value, row)?;
        }
        Self::from_rows(first_row, values.iter().copied().map(Moments::leaf))
    }

    /// Adds the rows `first_row .. first_row + values.len()`. After an error the tree is as before.
    ///
    /// # Errors
    /// Those of [`from_values`](RowTree::from_values), and [`Error::Domain`] with the lowest row already there.
    pub fn push_values(&mut self, first_row: u64, values: &[f64]) -> Result<(), Error> {
        self.merge(Self::from_values(first_row, values)?)
    }

    /// The mean of all rows with its standard error.
    ///
    /// # Errors
    /// [`Error::Domain`] if there are no rows.
    pub fn estimate(&self) -> Result<Estimate, Error> {
        Ok(self.value()?.estimate())
    }
}
