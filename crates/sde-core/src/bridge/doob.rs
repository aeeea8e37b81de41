//! Doob's h-transform of any equation.

use numeric::ndarray::{Array2, ArrayRef2};
use numeric::{Batch, Batching, Error, Real, Scratch, VectorField};

use crate::{NoiseClass, Reading, Sde};

/// The h-transform of an equation: its drift moved by `g gᵀ ∇ log h`.
///
/// ```math
/// dX = \big[ f + g g^\top \nabla \log h(t, X) \big] dt + g\, dW.
/// ```
/// For a positive h with `(∂_t + L) h = 0`, L the generator of the equation, this is the law of its paths weighed by
/// `h(T, X_T)/h(0, X_0)`: conditioned on an event with h its probability, on an observation with h its likelihood, or
/// on the point it ends in with h the transition density, as [`LinearBridge`](super::LinearBridge). That h solves
/// this equation is not checked. The reading stays the same, and so does the noise: only g enters the change of drift.
///
/// ```
/// use numeric::{Batch, Scratch, Time, Times, from_row_fn, ndarray::array};
/// use sde_core::{BrownianMotion, DoobTransform, LinearBridge, Sde};
/// # fn main() -> Result<(), numeric::Error> {
/// // A Brownian bridge to 0 at time 1, whose drift is −x/(1 − t), conditioned to stay positive: h = x/(1 − t), and
/// // the sum of the drifts is that of the Brownian excursion.
/// let bridge = LinearBridge::new(BrownianMotion::new(1.0)?, array![0.0], Time::of(1.0))?;
/// let reciprocal = from_row_fn(1, |_, x, out: &mut [f64]| { out[0] = 1.0 / x[0]; Ok(()) });
/// let excursion = DoobTransform::new(bridge, reciprocal)?;
/// let (x, mut out) = (array![[0.5]], array![[0.0]]);
/// excursion.drift_into(&Batch::new(&[0], Times::Same(Time::of(0.2)), &x), &mut out, &mut Scratch::new())?;
/// assert!((out[(0, 0)] - (2.0 - 0.5 / 0.8)).abs() < 1e-15);
/// # Ok(()) }
/// ```
///
/// # Complexity
/// Beyond the drift and the gradient, one product with g for diagonal noise, m + 1 for any other.
///
/// # References
/// Särkkä, Solin (2019), *Applied stochastic differential equations*, chapter 7. Rogers, Williams (2000),
/// *Diffusions, Markov processes and martingales*, volume 2, chapter IV.
#[derive(Clone, Debug)]
pub struct DoobTransform<E, V> {
    sde: E,
    grad_log_h: V,
}

impl<E, V> DoobTransform<E, V> {
    /// The transform of `sde` by the field `∇ log h`.
    ///
    /// # Errors
    /// [`Error::Shape`] if the dimensions differ; those of [`Batching::joint`].
    pub fn new<F: Real>(sde: E, grad_log_h: V) -> Result<DoobTransform<E, V>, Error>
    where
        E: Sde<F>,
        V: VectorField<F>,
    {
        Error::shape("grad_log_h", &[sde.dim()], &[grad_log_h.dim()])?;
        sde.batching().joint(grad_log_h.batching())?;
        Ok(DoobTransform { sde, grad_log_h })
    }
}

/// Buffers of one worker: `∇ log h` and a product with g, `(n, d)`, and two weights of the columns, `(n, m)`.
#[derive(Debug)]
struct Work<F> {
    gradient: Array2<F>,
    product: Array2<F>,
    unit: Array2<F>,
    along: Array2<F>,
}

impl<F: Real> Default for Work<F> {
    fn default() -> Work<F> {
        let [gradient, product, unit, along] = [(); 4].map(|()| Array2::zeros((0, 0)));
        Work { gradient, product, unit, along }
    }
}

impl<F: Real, E: Sde<F>, V: VectorField<F>> Sde<F> for DoobTransform<E, V> {
    fn dim(&self) -> usize {
        self.sde.dim()
    }

    fn noise_dim(&self) -> usize {
        self.sde.noise_dim()
    }

    fn reading(&self) -> Reading {
        self.sde.reading()
    }

    fn noise_class(&self) -> NoiseClass {
        self.sde.noise_class()
    }

    fn backward(&self) -> bool {
        self.sde.backward()
    }

    fn drift_into(
        &self,
        batch: &Batch<'_, F>,
        out: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        self.sde.drift_into(batch, out, scratch)?;
        let (d, m) = (batch.dim(), self.sde.noise_dim());
        let mut work: Work<F> = scratch.take();
        if work.gradient.dim() != (batch.len(), d) || work.unit.dim() != (batch.len(), m) {
            work.gradient = Array2::zeros((batch.len(), d));
            work.product = work.gradient.clone();
            work.unit = Array2::zeros((batch.len(), m));
            work.along = work.unit.clone();
        }
        let Work { gradient, product, unit, along } = &mut work;
        self.grad_log_h.eval_into(batch, gradient, scratch)?;
        if self.sde.noise_class() == NoiseClass::Diagonal {
            unit.fill(F::one());
            self.sde.diffuse_into(batch, unit, product, scratch)?;
            product.zip_mut_with(gradient, |g, &h| *g = *g * *g * h);
        } else {
            // gᵀ ∇ log h, column by column of g.
            for j in 0..m {
                unit.fill(F::zero());
                unit.column_mut(j).fill(F::one());
                self.sde.diffuse_into(batch, unit, product, scratch)?;
                for (i, (column, gradient)) in product.rows().into_iter().zip(gradient.rows()).enumerate() {
                    along[(i, j)] = column.iter().zip(gradient).map(|(&g, &h)| g * h).sum();
                }
            }
            self.sde.diffuse_into(batch, along, product, scratch)?;
        }
        out.zip_mut_with(product, |out, &shift| *out += shift);
        scratch.put(work);
        Ok(())
    }

    fn diffuse_into(
        &self,
        batch: &Batch<'_, F>,
        w: &ArrayRef2<F>,
        out: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        self.sde.diffuse_into(batch, w, out, scratch)
    }

    fn diffuse_derivative_into(
        &self,
        batch: &Batch<'_, F>,
        w: &ArrayRef2<F>,
        v: &ArrayRef2<F>,
        out: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        self.sde.diffuse_derivative_into(batch, w, v, out, scratch)
    }

    fn batching(&self) -> Batching {
        self.sde.batching().joint(self.grad_log_h.batching()).expect("as in the constructor")
    }
}
