//! One observation for all rows, or one for each.

use numeric::Error;
use numeric::ndarray::Array2;

use crate::LinearObservation;

/// What is observed of the rows of a sample: the same values of all, or other values of each, always through the same A
/// and with the same law of the noise.
///
/// A [`LinearObservation`] is one for all rows. With values of each row, the row with the absolute number i has row i of
/// them, in whatever batch or shard it is: one run answers many inverse problems, and row i of it is row i of a run with
/// its values for all.
///
/// ```
/// use numeric::{Batch, Scratch, Time, Times, VectorField, ndarray::array};
/// use sde_core::guidance::{Likelihood, Observations, by_covariance};
/// use sde_core::{Covariance, LinearObservation, Mixture, Ou};
/// // x_0 ~ N(0, 1), seen with noise of variance 1 as 2 in row 0 and as −4 in row 1: the posterior means are 1 and −2.
/// let prior = Mixture::gaussian(array![0.0], Covariance::Isotropic(1.0))?;
/// let seen = LinearObservation::of_coordinates(1, vec![0], array![0.0], &Covariance::Isotropic(1.0))?;
/// let each = Observations::of_rows(seen, array![[2.0], [-4.0]])?;
/// let guided = by_covariance(prior.denoiser::<f64, _>(Ou), each, Likelihood::MomentMatched)?;
/// let (x, mut out) = (array![[0.3], [0.3]], array![[0.0], [0.0]]);
/// // Where nothing is left of x_0 but what was observed.
/// let batch = Batch::new(&[0, 1], Times::Same(Time::of(800.0)), &x);
/// guided.field.eval_into(&batch, &mut out, &mut Scratch::new())?;
/// assert!((out[(0, 0)] - 1.0).abs() < 1e-15 && (out[(1, 0)] + 2.0).abs() < 1e-15);
/// # Ok::<(), numeric::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Observations {
    observation: LinearObservation,
    /// `(n, k)` in standard layout, if the rows have values of their own.
    values: Option<Array2<f64>>,
}

impl From<LinearObservation> for Observations {
    fn from(observation: LinearObservation) -> Observations {
        Observations { observation, values: None }
    }
}

impl Observations {
    /// The values `y`, `(n, k)`, of the rows 0 to n − 1, observed as `observation` says; its own values are not looked at.
    ///
    /// A guided model that is asked about a row from n on answers with [`Error::Shape`]. Models that are given whole blocks
    /// of rows ([`Batching::rowwise`](numeric::Batching::rowwise) unset) are asked about all of the last block: there y
    /// goes on to the end of it, with any values.
    ///
    /// # Errors
    /// [`Error::Shape`] for no rows or another number of values than `observation` has; [`Error::Entry`] for values that
    /// are not finite, with their place in row-major order.
    pub fn of_rows(observation: LinearObservation, y: Array2<f64>) -> Result<Observations, Error> {
        let k = observation.count();
        Error::shape("y", &[y.nrows().max(1), k], y.shape())?;
        Error::entries("y", y.iter().copied(), "a finite number", f64::is_finite)?;
        let values = Some(y.as_standard_layout().into_owned());
        Ok(Observations { observation, values })
    }

    /// How it is observed.
    pub(super) fn form(&self) -> &LinearObservation {
        &self.observation
    }

    /// Whether there are values of all these rows.
    ///
    /// # Errors
    /// [`Error::Shape`] with the number of rows that there would have to be at least.
    pub(super) fn check_rows(&self, rows: &[u64]) -> Result<(), Error> {
        let (Some(y), Some(&last)) = (&self.values, rows.iter().max()) else { return Ok(()) };
        if last >= y.nrows() as u64 {
            let least = usize::try_from(last).map_or(usize::MAX, |last| last.saturating_add(1));
            return Err(Error::Shape {
                parameter: "y",
                expected: vec![least, y.ncols()],
                found: y.shape().to_vec(),
            });
        }
        Ok(())
    }

    /// Turns `A m`, of a row that has values, into `y − A m`.
    pub(super) fn residual_from(&self, row: u64, image: &mut [f64]) {
        let y = match &self.values {
            None => self.observation.values().view(),
            Some(y) => y.row(row as usize),
        };
        image.iter_mut().zip(y).for_each(|(r, &y)| *r = y - *r);
    }
}
