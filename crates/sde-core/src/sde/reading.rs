//! Itô and Stratonovich: the same solutions by another drift.

use numeric::ndarray::ArrayRef2;
use numeric::{Batch, Batching, Error, Real, Scratch};

use super::{NoiseClass, Reading, Sde, put_rows, take_rows};

/// An equation rewritten in another reading, with the same solutions: see [`as_ito`] and [`as_stratonovich`].
#[derive(Clone, Copy, Debug)]
pub struct InReading<E> {
    sde: E,
    reading: Reading,
}

/// The Itô equation with the solutions of `sde`.
///
/// ```math
/// dX = f\,dt + \sum_j g_j \circ dW^j \quad\Longleftrightarrow\quad
/// dX = \Bigl( f + \tfrac12 \sum_j (D g_j)\, g_j \Bigr) dt + \sum_j g_j\, dW^j.
/// ```
///
/// The derivative is that of [`Sde::diffuse_derivative_into`]: exact where the equation knows it. An equation that
/// is Itô already, or has additive noise, is left as it is.
///
/// # Complexity
/// Per evaluation of the drift: one derivative for scalar and diagonal noise, m for the other classes.
///
/// ```
/// use numeric::{Batch, Scratch, Time, Times, ndarray::array};
/// use sde_core::{GeometricBrownian, Sde, as_stratonovich};
/// // dX = μ X dt + σ X dW is dX = (μ − σ²/2) X dt + σ X ∘ dW.
/// let sde = as_stratonovich(GeometricBrownian::new(1, 0.3, 0.4)?);
/// let (x, mut drift) = (array![[2.0]], array![[0.0]]);
/// sde.drift_into(&Batch::new(&[0], Times::Same(Time::of(0.0)), &x), &mut drift, &mut Scratch::new())?;
/// assert!((drift[(0, 0)] - (0.3_f64 - 0.08) * 2.0).abs() < 1e-15);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// Kloeden, Platen (1992), Numerical solution of stochastic differential equations, section 4.9.
pub fn as_ito<E>(sde: E) -> InReading<E> {
    InReading { sde, reading: Reading::Ito }
}

/// The Stratonovich equation with the solutions of `sde`: the inverse of [`as_ito`].
pub fn as_stratonovich<E>(sde: E) -> InReading<E> {
    InReading { sde, reading: Reading::Stratonovich }
}

/// Adds `scale · ½ Σ_j (D g_j) g_j` of each row to `out`, `(n, d)`: what an Itô drift has more than the
/// Stratonovich drift of the same solutions, for a scale of 1.
///
/// # Errors
/// The equation's own.
pub fn add_noise_drift<F: Real, E: Sde<F> + ?Sized>(
    sde: &E,
    batch: &Batch<'_, F>,
    scale: f64,
    out: &mut ArrayRef2<F>,
    scratch: &mut Scratch,
) -> Result<(), Error> {
    let (n, d, m) = (batch.len(), batch.dim(), sde.noise_dim());
    let half = F::of(0.5 * scale);
    // Of scalar and diagonal noise all columns at once: they do not see each other.
    let groups = match sde.noise_class() {
        NoiseClass::Additive => 0,
        NoiseClass::Scalar | NoiseClass::Diagonal => 1,
        NoiseClass::Commutative | NoiseClass::General => m,
    };
    let [mut column, mut derivative] = take_rows::<F, 2>(scratch, (n, d));
    let [mut w] = take_rows::<F, 1>(scratch, (n, m));
    for j in 0..groups {
        if groups == 1 {
            w.fill(F::one());
        } else {
            w.fill(F::zero());
            w.column_mut(j).fill(F::one());
        }
        sde.diffuse_into(batch, &w, &mut column, scratch)?;
        sde.diffuse_derivative_into(batch, &w, &column, &mut derivative, scratch)?;
        out.zip_mut_with(&derivative, |out, &c| *out += half * c);
    }
    put_rows(scratch, [column, derivative]);
    put_rows(scratch, [w]);
    Ok(())
}

impl<F: Real, E: Sde<F>> Sde<F> for InReading<E> {
    fn dim(&self) -> usize {
        self.sde.dim()
    }
    fn noise_dim(&self) -> usize {
        self.sde.noise_dim()
    }
    fn reading(&self) -> Reading {
        self.reading
    }
    fn noise_class(&self) -> NoiseClass {
        self.sde.noise_class()
    }
    fn drift_into(
        &self,
        batch: &Batch<'_, F>,
        out: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        self.sde.drift_into(batch, out, scratch)?;
        match (self.sde.reading(), self.reading) {
            (Reading::Stratonovich, Reading::Ito) => add_noise_drift(&self.sde, batch, 1.0, out, scratch),
            (Reading::Ito, Reading::Stratonovich) => add_noise_drift(&self.sde, batch, -1.0, out, scratch),
            _ => Ok(()),
        }
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
    fn backward(&self) -> bool {
        self.sde.backward()
    }
    fn batching(&self) -> Batching {
        self.sde.batching()
    }
}
