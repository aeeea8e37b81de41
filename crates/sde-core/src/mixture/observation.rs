//! What is observed: a linear image of a sample, with Gaussian noise.

use numeric::ndarray::{Array1, Array2, ArrayView1};
use numeric::{Error, Real};

use super::Covariance;
use super::spectrum::Spectrum;

/// The observation `y = A x_0 + e` of a sample, with e ~ N(0, R) independent of it.
///
/// A is a matrix `(k, d)`, or a choice of coordinates (in-painting), for which no matrix is formed. What follows from
/// it is exact for a mixture, [`Mixture::posterior`](super::Mixture::posterior), and approximate for any model whose
/// Jacobian is known, [`guidance`](crate::guidance).
///
/// ```
/// use numeric::ndarray::{array, Array1};
/// use sde_core::{Covariance, LinearObservation};
/// # fn main() -> Result<(), numeric::Error> {
/// // The sum of two coordinates, with standard deviation 0.1.
/// let sum = LinearObservation::new(array![[1.0, 1.0]], array![3.0], &Covariance::Isotropic(0.01))?;
/// // The first and the last of 64 coordinates, exactly.
/// let ends = LinearObservation::of_coordinates(64, vec![0, 63], array![1.0, -1.0], &Covariance::Isotropic(0.0))?;
/// assert_eq!((sum.dim(), sum.count(), ends.dim(), ends.count()), (2, 1, 64, 2));
/// assert_eq!(ends.observe(Array1::linspace(0.0, 63.0, 64).view()), array![0.0, 63.0]);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct LinearObservation {
    operator: Operator,
    y: Array1<f64>,
    pub(super) noise: Spectrum,
}

#[derive(Clone, Debug)]
pub(super) enum Operator {
    /// `(k, d)`.
    Matrix(Array2<f64>),
    /// Strictly increasing coordinates of R^d.
    Coordinates { dim: usize, chosen: Vec<usize> },
}

impl LinearObservation {
    /// The observation `y`, of length k, through the matrix `a`, `(k, d)`, with noise of the covariance R, `(k, k)`;
    /// [`Covariance::Isotropic`] of 0 is no noise.
    ///
    /// # Errors
    /// [`Error::Shape`] for nothing observed, or a `y` or a covariance that does not fit; [`Error::Entry`] for what is
    /// not finite and for a negative variance; [`Error::NotPositiveDefinite`] for a full covariance that is not.
    pub fn new(a: Array2<f64>, y: Array1<f64>, noise: &Covariance) -> Result<LinearObservation, Error> {
        if a.is_empty() {
            return Err(Error::Shape { parameter: "a", expected: vec![1, 1], found: a.shape().to_vec() });
        }
        Error::entries("a", a.iter().copied(), "a finite number", f64::is_finite)?;
        Error::shape("y", &[a.nrows()], y.shape())?;
        LinearObservation::checked(Operator::Matrix(a), y, noise)
    }

    /// The values `y` of some coordinates of R^`dim`, with noise of the covariance R.
    ///
    /// # Errors
    /// As [`new`](Self::new); [`Error::Entry`] unless the coordinates increase strictly and are less than `dim`.
    pub fn of_coordinates(
        dim: usize,
        coordinates: Vec<usize>,
        y: Array1<f64>,
        noise: &Covariance,
    ) -> Result<LinearObservation, Error> {
        if coordinates.is_empty() {
            return Err(Error::Shape { parameter: "coordinates", expected: vec![1], found: vec![0] });
        }
        let wrong = |i: usize| coordinates[i] >= dim || (i > 0 && coordinates[i] <= coordinates[i - 1]);
        if let Some(index) = (0..coordinates.len()).find(|&i| wrong(i)) {
            return Err(Error::Entry {
                parameter: "coordinates",
                index,
                value: coordinates[index] as f64,
                expected: "strictly increasing coordinates less than dim",
            });
        }
        Error::shape("y", &[coordinates.len()], y.shape())?;
        LinearObservation::checked(Operator::Coordinates { dim, chosen: coordinates }, y, noise)
    }

    fn checked(operator: Operator, y: Array1<f64>, noise: &Covariance) -> Result<LinearObservation, Error> {
        Error::entries("y", y.iter().copied(), "a finite number", f64::is_finite)?;
        let noise = Spectrum::new(noise, y.len(), 0)?;
        Ok(LinearObservation { operator, y, noise })
    }

    /// Number of coordinates d of a sample.
    #[must_use]
    pub fn dim(&self) -> usize {
        match &self.operator {
            Operator::Matrix(a) => a.ncols(),
            Operator::Coordinates { dim, .. } => *dim,
        }
    }

    /// Number k of observed values.
    #[must_use]
    pub fn count(&self) -> usize {
        self.y.len()
    }

    /// The observed values.
    #[must_use]
    pub fn values(&self) -> &Array1<f64> {
        &self.y
    }

    /// The same observation of other values.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of them, [`Error::Entry`] for values that are not finite.
    pub fn with_values(&self, y: Array1<f64>) -> Result<LinearObservation, Error> {
        Error::shape("y", &[self.count()], y.shape())?;
        Error::entries("y", y.iter().copied(), "a finite number", f64::is_finite)?;
        Ok(LinearObservation { y, ..self.clone() })
    }

    /// `A x`, what would be observed of `x`, of length d, without noise.
    ///
    /// # Panics
    /// If `x` has another length.
    #[must_use]
    #[track_caller]
    pub fn observe(&self, x: ArrayView1<'_, f64>) -> Array1<f64> {
        assert_eq!(x.len(), self.dim(), "length of x");
        match &self.operator {
            Operator::Matrix(a) => a.dot(&x),
            Operator::Coordinates { chosen, .. } => chosen.iter().map(|&j| x[j]).collect(),
        }
    }

    /// The coordinates that are observed, if A is a choice of them.
    #[must_use]
    pub fn coordinates(&self) -> Option<&[usize]> {
        match &self.operator {
            Operator::Matrix(_) => None,
            Operator::Coordinates { chosen, .. } => Some(chosen),
        }
    }

    /// Writes `A x` over `out`.
    pub(crate) fn apply<F: Real>(&self, x: &[F], out: &mut [f64]) {
        match &self.operator {
            Operator::Matrix(a) => {
                for (out, a) in out.iter_mut().zip(a.rows()) {
                    *out = a.iter().zip(x).map(|(&a, &x)| a * x.as_f64()).sum();
                }
            }
            Operator::Coordinates { chosen, .. } => {
                out.iter_mut().zip(chosen).for_each(|(out, &j)| *out = x[j].as_f64());
            }
        }
    }

    /// Writes `Aᵀ u` over `out`.
    pub(crate) fn apply_transposed<F: Real>(&self, u: &[f64], out: &mut [F]) {
        match &self.operator {
            Operator::Matrix(a) => {
                for (j, out) in out.iter_mut().enumerate() {
                    *out = F::of(a.column(j).iter().zip(u).map(|(&a, &u)| a * u).sum());
                }
            }
            Operator::Coordinates { chosen, .. } => {
                out.fill(F::zero());
                chosen.iter().zip(u).for_each(|(&j, &u)| out[j] = F::of(u));
            }
        }
    }

    /// Adds `R u` to `out`.
    pub(crate) fn add_noise_product(&self, u: &[f64], out: &mut [f64]) {
        if self.noise.variances.is_empty() {
            out.iter_mut().zip(u).for_each(|(out, &u)| *out += self.noise.floor * u);
        } else {
            let product = self.noise.function(|c| c, ArrayView1::from(u));
            out.iter_mut().zip(&product).for_each(|(out, &p)| *out += p);
        }
    }

    /// R itself, `(k, k)`.
    pub(crate) fn noise_matrix(&self) -> Array2<f64> {
        self.noise.matrix(self.count())
    }

    /// The smallest eigenvalue of R.
    pub(crate) fn smallest_noise(&self) -> f64 {
        self.noise.smallest()
    }
}
