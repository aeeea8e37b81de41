//! A denoiser whose predictions are in a ball for certain.

use numeric::ndarray::ArrayRef2;
use numeric::{Batch, Batching, Error, Real, Scratch, VectorField};

/// A denoiser followed by the projection onto a ball, `c + (m̂ − c) min(1, R/|m̂ − c|)`.
///
/// For data in the ball no prediction gets farther from its data point, since the ball is convex; and
/// [`Interval::EmpiricalBernstein`](super::Interval::EmpiricalBernstein) may assume of it what it assumes. The bound is
/// then one of the sampler that uses the projected denoiser: clipping, as many samplers of images do to a cube.
///
/// ```
/// use bounds::held_out::ProjectedDenoiser;
/// use numeric::{Batch, Scratch, Time, Times, VectorField, from_row_fn, ndarray::array};
/// let wild = from_row_fn(2, |_, x, out: &mut [f64]| {
///     out.iter_mut().zip(x).for_each(|(out, x)| *out = 10.0 * x);
///     Ok(())
/// });
/// let tame = ProjectedDenoiser::new(wild, vec![1.0, 0.0], 2.0)?;
/// let (x, mut out) = (array![[0.2, 0.1], [0.1, 0.5]], array![[0.0, 0.0], [0.0, 0.0]]);
/// tame.eval_into(&Batch::new(&[0, 1], Times::Same(Time::of(1.0)), &x), &mut out, &mut Scratch::new())?;
/// assert_eq!(out, array![[2.0, 1.0], [1.0, 2.0]]);        // (1, 5) is pulled in to (1, 2)
/// # Ok::<(), numeric::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ProjectedDenoiser<V> {
    field: V,
    centre: Vec<f64>,
    radius: f64,
}

impl<V> ProjectedDenoiser<V> {
    /// The denoiser `field`, projected onto the ball of this centre, (d), and radius.
    ///
    /// # Errors
    /// [`Error::Shape`] if the centre does not have the field's dimension; [`Error::Entry`] and [`Error::Domain`] for a
    /// centre that is not finite and a radius that is negative or not finite.
    pub fn new<F: Real>(field: V, centre: Vec<f64>, radius: f64) -> Result<ProjectedDenoiser<V>, Error>
    where
        V: VectorField<F>,
    {
        super::interval::check_ball(&centre, radius, field.dim())?;
        Ok(ProjectedDenoiser { field, centre, radius })
    }
}

impl<F: Real, V: VectorField<F>> VectorField<F> for ProjectedDenoiser<V> {
    fn dim(&self) -> usize {
        self.field.dim()
    }

    fn eval_into(&self, batch: &Batch<'_, F>, out: &mut ArrayRef2<F>, s: &mut Scratch) -> Result<(), Error> {
        self.field.eval_into(batch, out, s)?;
        for mut row in out.rows_mut() {
            let offset = |(m, c): (&F, &f64)| m.as_f64() - c;
            let distance = row.iter().zip(&self.centre).map(offset).map(|r| r * r).sum::<f64>().sqrt();
            // A prediction that is not finite stays so, for those who check.
            if distance > self.radius {
                let factor = self.radius / distance;
                row.iter_mut()
                    .zip(&self.centre)
                    .for_each(|(m, &c)| *m = F::of(c + factor * (m.as_f64() - c)));
            }
        }
        Ok(())
    }

    fn batching(&self) -> Batching {
        self.field.batching()
    }
}
