//! Mean vector and covariance matrix.

use super::{Estimate, Merge, Moments, RowTree, check_value, moments::share};
use crate::{Error, Real};
use ndarray::linalg::general_mat_mul;
use ndarray::{Array1, Array2, ArrayRef2, ArrayView2, ArrayViewMut2};

/// Number of rows, mean vector and scatter matrix $`S = \sum_i (x_i - μ)(x_i - μ)^\top`$ of rows in $`\mathbb R^d`$.
///
/// Two statistics are combined as [`Moments`](super::Moments) are, with a rank-one term in the place of $`δ^2`$:
///
/// ```math
/// S = S_a + S_b + v v^\top, \qquad v = \sqrt{n_a n_b / n}\;(μ_b - μ_a) .
/// ```
///
/// The vectors v (the Haar details of the rows, along the tree) are collected, and added to S by one matrix product
/// as soon as there are 63 of them: that keeps the cost a small multiple of that of $`X^\top X`$. As in one dimension
/// nothing cancels, and equal rows give exactly 0.
///
/// ```
/// use numeric::{estimate::CovarianceAccumulator, ndarray::array};
/// let points = CovarianceAccumulator::from_rows_of(0, &array![[0.0, 1.0], [2.0, 1.0], [1.0, 4.0]])?;
/// let law = points.value()?;
/// assert_eq!(law.mean(), array![1.0, 2.0]);
/// assert!((law.covariance()? - array![[1.0, 0.0], [0.0, 3.0]]).iter().all(|e| e.abs() < 1e-15));
/// # Ok::<(), numeric::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(try_from = "Stored"))]
pub struct Covariance {
    n: u64,
    mean: Vec<f64>,
    /// Vectors v that are not yet in `scatter`, one after another.
    details: Vec<f64>,
    /// Row-major (d, d), the part above the diagonal being the one read; empty instead of 0.
    scatter: Vec<f64>,
}

/// An aligned block of 64 rows has 63 details.
const DETAILS: usize = 63;

impl Covariance {
    /// The statistic of one row.
    ///
    /// # Errors
    /// [`Error::Entry`] if an entry is NaN, infinite or of a magnitude above 10¹⁴⁰.
    pub fn of<F: Real>(row: &[F]) -> Result<Self, Error> {
        for (j, x) in (0..).zip(row) {
            check_value(x.as_f64(), j)?;
        }
        Ok(Self::leaf(row.iter()))
    }

    fn leaf<'a, F: Real>(row: impl Iterator<Item = &'a F>) -> Self {
        Covariance { n: 1, mean: row.map(|x| x.as_f64()).collect(), details: Vec::new(), scatter: Vec::new() }
    }

    /// The dimension d.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.mean.len()
    }

    /// The sample mean μ, (d).
    #[must_use]
    pub fn mean(&self) -> Array1<f64> {
        Array1::from(self.mean.clone())
    }

    /// The scatter matrix S, (d, d): divide it by n for the maximum-likelihood covariance of a Gaussian.
    ///
    /// Exactly symmetric.
    #[must_use]
    pub fn scatter(&self) -> Array2<f64> {
        let mut all = self.clone();
        all.add_details();
        Array2::from_shape_fn((self.dim(), self.dim()), |(i, j)| {
            all.scatter.get(i.min(j) * self.dim() + i.max(j)).copied().unwrap_or(0.0)
        })
    }

    /// The unbiased sample covariance S / (n - 1), (d, d); its rank is at most n - 1.
    ///
    /// # Errors
    /// [`Error::Domain`] for one row.
    pub fn covariance(&self) -> Result<Array2<f64>, Error> {
        Error::domain(self.n > 1, "n", self.n as f64, "at least two rows")?;
        Ok(self.scatter() / (self.n - 1) as f64)
    }

    /// Each coordinate's mean with its standard error $`\sqrt{S_{jj} / (n (n - 1))}`$; +∞ for one row.
    #[must_use]
    pub fn estimates(&self) -> Vec<Estimate> {
        let squares = self.scatter().into_diag();
        let moments = self.mean.iter().zip(squares).map(|(&mean, m2)| Moments { n: self.n, mean, m2 });
        moments.map(|moments| moments.estimate()).collect()
    }

    /// Moves the details into `scatter`.
    fn add_details(&mut self) {
        let d = self.dim();
        if self.details.is_empty() {
            return;
        }
        let as_matrix = "the length is a multiple of d";
        let details = ArrayView2::from_shape((self.details.len() / d, d), &self.details).expect(as_matrix);
        self.scatter.resize(d * d, 0.0);
        let mut scatter = ArrayViewMut2::from_shape((d, d), &mut self.scatter).expect(as_matrix);
        general_mat_mul(1.0, &details.t(), &details, 1.0, &mut scatter);
        self.details.clear();
    }
}

impl Merge for Covariance {
    fn n(&self) -> u64 {
        self.n
    }

    /// # Panics
    /// If the dimensions differ; [`RowTree`] has refused that before.
    #[track_caller]
    fn merge(mut self, right: Self) -> Self {
        assert_eq!(self.dim(), right.dim(), "covariances of different dimensions");
        let share = share(self.n, right.n);
        let root = (self.n as f64 * share).sqrt();
        self.n += right.n;

        if self.scatter.is_empty() {
            self.scatter = right.scatter;
        } else {
            self.scatter.iter_mut().zip(&right.scatter).for_each(|(s, r)| *s += r);
        }
        let mut detail = right.mean;
        for (mean, detail) in self.mean.iter_mut().zip(&mut detail) {
            let delta = *detail - *mean;
            *mean += delta * share;
            *detail = delta * root;
        }
        if self.n == 2 {
            self.details = detail; // half of all merges: no allocation
        } else {
            self.details.reserve(right.details.len() + detail.len());
            self.details.extend_from_slice(&right.details);
            self.details.append(&mut detail);
        }
        if self.details.len() >= DETAILS * self.dim() {
            self.add_details();
        }
        self
    }

    fn mergeable(&self, other: &Self) -> Result<(), Error> {
        Error::shape("row", &[self.dim()], &[other.dim()])
    }
}

/// Mean vector and covariance matrix, mergeable with the same bits for any split.
pub type CovarianceAccumulator = RowTree<Covariance>;

impl RowTree<Covariance> {
    /// The rows `first_row .. first_row + n` of a batch (n, d).
    ///
    /// # Errors
    /// [`Error::Entry`] for an entry that is NaN, infinite or of a magnitude above 10¹⁴⁰, its index counting from
    /// absolute row 0 (so index / d is the row); [`Error::Domain`] if the rows reach `u64::MAX`.
    pub fn from_rows_of<F: Real>(first_row: u64, batch: &ArrayRef2<F>) -> Result<Self, Error> {
        let index = |row: u64, j: usize| row.saturating_mul(batch.ncols() as u64).saturating_add(j as u64);
        for (row, x) in (first_row..=u64::MAX).zip(batch.rows()) {
            for (j, x) in x.iter().enumerate() {
                check_value(x.as_f64(), index(row, j))?;
            }
        }
        Self::from_rows(first_row, batch.rows().into_iter().map(|x| Covariance::leaf(x.iter())))
    }

    /// Adds the rows `first_row .. first_row + n` of a batch (n, d). After an error the tree is as before.
    ///
    /// # Errors
    /// Those of [`from_rows_of`](RowTree::from_rows_of), [`Error::Domain`] with the lowest row already there, and
    /// [`Error::Shape`] if d differs.
    pub fn push_rows_of<F: Real>(&mut self, first_row: u64, batch: &ArrayRef2<F>) -> Result<(), Error> {
        self.merge(Self::from_rows_of(first_row, batch)?)
    }
}

/// What a file holds, before its shape is checked.
#[cfg(feature = "serde")]
#[derive(serde::Deserialize)]
struct Stored {
    n: u64,
    mean: Vec<f64>,
    details: Vec<f64>,
    scatter: Vec<f64>,
}

#[cfg(feature = "serde")]
impl TryFrom<Stored> for Covariance {
    type Error = Error;

    fn try_from(Stored { n, mean, details, scatter }: Stored) -> Result<Self, Error> {
        let d = mean.len();
        let rows = details.len().checked_div(d).unwrap_or(0);
        Error::shape("details", &[rows * d], &[details.len()])?;
        if !scatter.is_empty() {
            Error::shape("scatter", &[d * d], &[scatter.len()])?;
        }
        Ok(Covariance { n, mean, details, scatter })
    }
}
