//! Equations that are told the derivative of their noise.

use numeric::ndarray::ArrayRef2;
use numeric::{Batch, Batching, Error, Real, Scratch, Time};

use super::coefficients::{slice, slice_mut};
use super::{NoiseClass, Reading, Sde};

/// An equation with a derivative of its noise coefficient from elsewhere; made by [`with_noise_derivative`].
#[derive(Clone)]
pub struct WithNoiseDerivative<E, D> {
    sde: E,
    derivative: D,
}

impl<E: std::fmt::Debug, D> std::fmt::Debug for WithNoiseDerivative<E, D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WithNoiseDerivative").field("sde", &self.sde).finish_non_exhaustive()
    }
}

/// The equation `sde` with `derivative(time, x, w, v, out)`, which writes `Σ_j w_j (D g_j(time, x)) v` over `out`, in place of
/// the differences that [`Sde::diffuse_derivative_into`] takes by itself.
///
/// For equations from fields and closures, whose derivatives nobody else knows: with it [`as_ito`](crate::as_ito) and
/// [`as_stratonovich`](crate::as_stratonovich) are exact to rounding, and [`Milstein`](crate::integrator::Milstein) and its like
/// evaluate g twice less per derivative. That it is the derivative of g is not checked.
///
/// ```
/// use numeric::{Batch, Error, Scratch, Time, Times, from_row_fn, ndarray::array};
/// use sde_core::{Diagonal, Reading, Sde, as_stratonovich, with_noise_derivative};
/// // dX = X² dW has the Stratonovich drift −X³.
/// let field = |power: i32, factor: f64| {
///     from_row_fn(1, move |_, x, out: &mut [f64]| { out[0] = factor * x[0].powi(power); Ok(()) })
/// };
/// let sde = Diagonal::new(Reading::Ito, field(0, 0.0), field(2, 1.0))?;
/// let derivative = |_: Time, x: &[f64], w: &[f64], v: &[f64], out: &mut [f64]| {
///     out[0] = w[0] * 2.0 * x[0] * v[0];
///     Ok::<(), Error>(())
/// };
/// let exact = as_stratonovich(with_noise_derivative(sde, derivative));
/// let (x, mut drift) = (array![[3.0]], array![[0.0]]);
/// exact.drift_into(&Batch::new(&[0], Times::Same(Time::of(0.0)), &x), &mut drift, &mut Scratch::new())?;
/// assert_eq!(drift[(0, 0)], -27.0);
/// # Ok::<(), numeric::Error>(())
/// ```
pub fn with_noise_derivative<E, D>(sde: E, derivative: D) -> WithNoiseDerivative<E, D> {
    WithNoiseDerivative { sde, derivative }
}

impl<F: Real, E: Sde<F>, D> Sde<F> for WithNoiseDerivative<E, D>
where
    D: Fn(Time, &[F], &[F], &[F], &mut [F]) -> Result<(), Error> + Send + Sync,
{
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
        self.sde.drift_into(batch, out, scratch)
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
        _: &mut Scratch,
    ) -> Result<(), Error> {
        let (d, m) = (batch.dim(), w.ncols());
        let rows =
            batch.x_slice().chunks_exact(d).zip(slice(w).chunks_exact(m)).zip(slice(v).chunks_exact(d));
        for (i, (((x, w), v), out)) in rows.zip(slice_mut(out).chunks_exact_mut(d)).enumerate() {
            (self.derivative)(batch.times().get(i), x, w, v, out)?;
        }
        Ok(())
    }
    fn batching(&self) -> Batching {
        self.sde.batching()
    }
}
