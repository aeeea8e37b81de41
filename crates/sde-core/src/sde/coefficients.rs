//! Equations from fields, matrices and closures.

use numeric::ndarray::{Array2, ArrayRef2};
use numeric::{Batch, Batching, Error, Real, Scratch, Time, VectorField, vectorize};

use super::{NoiseClass, Reading, Sde};

/// `dX = f(t, X) dt + G dW` with a constant d×m matrix G.
///
/// Both readings are the same equation.
///
/// ```
/// use numeric::{from_row_fn, ndarray::array};
/// use sde_core::{Additive, NoiseClass, Sde};
/// let drift = from_row_fn(2, |_, x, out: &mut [f64]| {
///     out[0] = x[1];
///     out[1] = -x[0] - x[1];
///     Ok(())
/// });
/// // A damped oscillator that is pushed at random: one Brownian motion, in the velocity.
/// let sde = Additive::new(drift, &array![[0.0], [0.3]])?;
/// assert_eq!((sde.dim(), sde.noise_dim(), sde.noise_class()), (2, 1, NoiseClass::Additive));
/// # Ok::<(), numeric::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Additive<F, V> {
    drift: V,
    matrix: Array2<F>,
}

impl<F: Real, V: VectorField<F>> Additive<F, V> {
    /// The equation with drift `drift` in R^d and matrix `matrix`, `(d, m)`.
    ///
    /// # Errors
    /// [`Error::Shape`] unless the matrix has d rows and a column; [`Error::Entry`] for an entry that is not finite.
    pub fn new(drift: V, matrix: &ArrayRef2<f64>) -> Result<Additive<F, V>, Error> {
        Error::shape("matrix", &[drift.dim(), matrix.ncols().max(1)], matrix.shape())?;
        Error::entries("matrix", matrix.iter().copied(), "a finite number", f64::is_finite)?;
        Ok(Additive { drift, matrix: matrix.mapv(F::of) })
    }
}

impl<F: Real, V: VectorField<F>> Sde<F> for Additive<F, V> {
    fn dim(&self) -> usize {
        self.matrix.nrows()
    }
    fn noise_dim(&self) -> usize {
        self.matrix.ncols()
    }
    fn reading(&self) -> Reading {
        Reading::Ito
    }
    fn noise_class(&self) -> NoiseClass {
        NoiseClass::Additive
    }
    fn drift_into(&self, batch: &Batch<'_, F>, out: &mut ArrayRef2<F>, s: &mut Scratch) -> Result<(), Error> {
        self.drift.eval_into(batch, out, s)
    }
    fn diffuse_into(
        &self,
        _: &Batch<'_, F>,
        w: &ArrayRef2<F>,
        out: &mut ArrayRef2<F>,
        _: &mut Scratch,
    ) -> Result<(), Error> {
        for (mut out, w) in out.rows_mut().into_iter().zip(w.rows()) {
            for (out, of_row) in out.iter_mut().zip(self.matrix.rows()) {
                *out = of_row.iter().zip(&w).map(|(&g, &w)| g * w).sum();
            }
        }
        Ok(())
    }
    fn diffuse_derivative_into(
        &self,
        _: &Batch<'_, F>,
        _: &ArrayRef2<F>,
        _: &ArrayRef2<F>,
        out: &mut ArrayRef2<F>,
        _: &mut Scratch,
    ) -> Result<(), Error> {
        out.fill(F::zero());
        Ok(())
    }
    fn batching(&self) -> Batching {
        self.drift.batching()
    }
}

/// `dX_j = f_j(t, X) dt + σ_j(t, X_j) dW_j`: each coordinate has its own Brownian motion and its own coefficient.
///
/// ```
/// use numeric::from_row_fn;
/// use sde_core::{Diagonal, NoiseClass, Reading, Sde};
/// // Ten stocks that share a drift and have a volatility of 20 %.
/// let drift = from_row_fn(10, |_, x, out: &mut [f64]| {
///     out.iter_mut().zip(x).for_each(|(o, &x)| *o = 0.05 * x);
///     Ok(())
/// });
/// let sigma = from_row_fn(10, |_, x, out: &mut [f64]| {
///     out.iter_mut().zip(x).for_each(|(o, &x)| *o = 0.2 * x);
///     Ok(())
/// });
/// let sde = Diagonal::new(Reading::Ito, drift, sigma)?;
/// assert_eq!((Sde::<f64>::dim(&sde), Sde::<f64>::noise_class(&sde)), (10, NoiseClass::Diagonal));
/// # Ok::<(), numeric::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Diagonal<V, W> {
    reading: Reading,
    drift: V,
    sigma: W,
}

impl<V, W> Diagonal<V, W> {
    /// The equation with drift f and coefficients σ, two fields on R^d; σ_j may depend on t and x_j only, which is
    /// not checked.
    ///
    /// # Errors
    /// [`Error::Shape`] if the dimensions differ; those of [`Batching::joint`].
    pub fn new<F: Real>(reading: Reading, drift: V, sigma: W) -> Result<Diagonal<V, W>, Error>
    where
        V: VectorField<F>,
        W: VectorField<F>,
    {
        Error::shape("sigma", &[drift.dim()], &[sigma.dim()])?;
        drift.batching().joint(sigma.batching())?;
        Ok(Diagonal { reading, drift, sigma })
    }
}

impl<F: Real, V: VectorField<F>, W: VectorField<F>> Sde<F> for Diagonal<V, W> {
    fn dim(&self) -> usize {
        self.drift.dim()
    }
    fn noise_dim(&self) -> usize {
        self.drift.dim()
    }
    fn reading(&self) -> Reading {
        self.reading
    }
    fn noise_class(&self) -> NoiseClass {
        NoiseClass::Diagonal
    }
    fn drift_into(&self, batch: &Batch<'_, F>, out: &mut ArrayRef2<F>, s: &mut Scratch) -> Result<(), Error> {
        self.drift.eval_into(batch, out, s)
    }
    fn diffuse_into(
        &self,
        batch: &Batch<'_, F>,
        w: &ArrayRef2<F>,
        out: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        self.sigma.eval_into(batch, out, scratch)?;
        let (w, out) = (slice(w), slice_mut(out));
        vectorize(
            #[inline(always)]
            || {
                for (out, &w) in out.iter_mut().zip(w) {
                    *out *= w;
                }
            },
        );
        Ok(())
    }
    fn batching(&self) -> Batching {
        self.drift.batching().joint(self.sigma.batching()).expect("as in the constructor")
    }
}

/// `dX = f(t, X) dt + g(t, X) dW` with any d×m matrix g, given by its products `g(t, x) w` as a closure.
///
/// ```
/// use numeric::from_row_fn;
/// use sde_core::{General, NoiseClass, Reading, Sde};
/// // The Heisenberg group: dX = dW¹, dY = dW², dZ = X dW² − Y dW¹.
/// let sde = General::new(
///     (Reading::Stratonovich, NoiseClass::General),
///     from_row_fn(3, |_, _, out: &mut [f64]| {
///         out.fill(0.0);
///         Ok(())
///     }),
///     2,
///     |_, x: &[f64], w: &[f64], out: &mut [f64]| {
///         (out[0], out[1], out[2]) = (w[0], w[1], x[0] * w[1] - x[1] * w[0]);
///         Ok(())
///     },
/// )?;
/// assert_eq!((Sde::<f64>::dim(&sde), Sde::<f64>::noise_dim(&sde)), (3, 2));
/// # Ok::<(), numeric::Error>(())
/// ```
#[derive(Clone)]
pub struct General<V, G> {
    reading: Reading,
    class: NoiseClass,
    drift: V,
    noise_dim: usize,
    diffuse: G,
}

impl<V: std::fmt::Debug, G> std::fmt::Debug for General<V, G> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("General")
            .field("reading", &self.reading)
            .field("class", &self.class)
            .field("drift", &self.drift)
            .field("noise_dim", &self.noise_dim)
            .finish_non_exhaustive()
    }
}

impl<V, G> General<V, G> {
    /// The equation with drift `drift`, `noise_dim` Brownian motions and `diffuse(time, x, w, out)`, which writes
    /// `g(time, x) w` over `out` and must be linear in `w`.
    ///
    /// The class is a promise, which is not checked; [`NoiseClass::General`] is always right.
    ///
    /// # Errors
    /// [`Error::Domain`] for no Brownian motion at all, or a number of them that the class does not have.
    pub fn new<F: Real>(
        (reading, class): (Reading, NoiseClass),
        drift: V,
        noise_dim: usize,
        diffuse: G,
    ) -> Result<General<V, G>, Error>
    where
        V: VectorField<F>,
        G: Fn(Time, &[F], &[F], &mut [F]) -> Result<(), Error> + Send + Sync,
    {
        let (m, d) = (noise_dim, drift.dim());
        Error::domain(m > 0, "noise_dim", 0.0, "at least 1")?;
        Error::domain(class != NoiseClass::Scalar || m == 1, "noise_dim", m as f64, "1 for scalar noise")?;
        Error::domain(
            class != NoiseClass::Diagonal || m == d,
            "noise_dim",
            m as f64,
            "d for diagonal noise",
        )?;
        Ok(General { reading, class, drift, noise_dim, diffuse })
    }
}

impl<F: Real, V: VectorField<F>, G> Sde<F> for General<V, G>
where
    G: Fn(Time, &[F], &[F], &mut [F]) -> Result<(), Error> + Send + Sync,
{
    fn dim(&self) -> usize {
        self.drift.dim()
    }
    fn noise_dim(&self) -> usize {
        self.noise_dim
    }
    fn reading(&self) -> Reading {
        self.reading
    }
    fn noise_class(&self) -> NoiseClass {
        self.class
    }
    fn drift_into(&self, batch: &Batch<'_, F>, out: &mut ArrayRef2<F>, s: &mut Scratch) -> Result<(), Error> {
        self.drift.eval_into(batch, out, s)
    }
    fn diffuse_into(
        &self,
        batch: &Batch<'_, F>,
        w: &ArrayRef2<F>,
        out: &mut ArrayRef2<F>,
        _: &mut Scratch,
    ) -> Result<(), Error> {
        let (d, m) = (batch.dim(), self.noise_dim);
        let rows = batch.x_slice().chunks_exact(d).zip(slice(w).chunks_exact(m));
        for (i, ((x, w), out)) in rows.zip(slice_mut(out).chunks_exact_mut(d)).enumerate() {
            (self.diffuse)(batch.times().get(i), x, w, out)?;
        }
        Ok(())
    }
    fn batching(&self) -> Batching {
        self.drift.batching()
    }
}

pub(crate) fn slice<F>(array: &ArrayRef2<F>) -> &[F] {
    array.as_slice().expect("equations are given standard layout")
}

pub(crate) fn slice_mut<F>(array: &mut ArrayRef2<F>) -> &mut [F] {
    array.as_slice_mut().expect("equations are given standard layout")
}
