//! Posterior covariances, and draws from the Gaussian that has them.

use ndarray::{ArrayRef2, ArrayViewMut2};

use crate::{Batch, Error, Noise, Real, Scratch, VectorField, cholesky};

/// The posterior mean *and* covariance of `x_0` given `x_t = x`, for a field that is a denoiser.
///
/// By Tweedie's second-order formula, `Cov(x_0 | x_t = x) = (σ²/α) ∂/∂x E[x_0 | x_t = x]`.
pub trait PosteriorCovariance<F: Real>: VectorField<F> {
    /// Writes the mean over `mean`, `(n, d)`, and the covariance of each row, a symmetric positive
    /// semidefinite d×d matrix in row-major order, over a row of `covariance`, `(n, d²)`.
    ///
    /// # Errors
    /// The field's own.
    fn mean_covariance_into(
        &self,
        batch: &Batch<'_, F>,
        mean: &mut ArrayRef2<F>,
        covariance: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error>;

    /// Writes a draw from the Gaussian with the scaled posterior's mean and covariance, and isotropic noise added to it,
    ///
    /// ```math
    /// N\big( s\, m(x),\ s^2\, \Sigma(x) + v I \big), \qquad m = \mathbb{E}[x_0 \mid x],\ \Sigma = \mathrm{Cov}(x_0 \mid x),
    /// ```
    /// for each row over `out`, `(n, d)`: what a step does with the posterior. The draw of a row is a function of the row,
    /// its number and the [`PosteriorDraw`].
    ///
    /// By default through the matrix of [`mean_covariance_into`](Self::mean_covariance_into) and its Cholesky factor, d³/3
    /// per row. A field whose covariance is a sum of simpler ones can draw a normal vector for each instead, without a
    /// matrix: the law is the same, the values are others.
    ///
    /// ```
    /// use numeric::ndarray::{Array2, ArrayRef2};
    /// use numeric::{Batch, Error, Noise, PosteriorCovariance, PosteriorDraw, Scratch, Time, Times, VectorField};
    /// /// Data N(0, 4) seen with noise of variance 4: the posterior is N(x/2, 2).
    /// struct Gaussian;
    /// impl VectorField<f64> for Gaussian {
    ///     fn dim(&self) -> usize {
    ///         1
    ///     }
    ///     fn eval_into(&self, batch: &Batch<f64>, out: &mut ArrayRef2<f64>, _: &mut Scratch) -> Result<(), Error> {
    ///         out.assign(&(0.5 * batch.x()));
    ///         Ok(())
    ///     }
    /// }
    /// impl PosteriorCovariance<f64> for Gaussian {
    ///     fn mean_covariance_into(
    ///         &self, batch: &Batch<f64>, mean: &mut ArrayRef2<f64>, covariance: &mut ArrayRef2<f64>, scratch: &mut Scratch,
    ///     ) -> Result<(), Error> {
    ///         covariance.fill(2.0);
    ///         self.eval_into(batch, mean, scratch)
    ///     }
    /// }
    /// let rows: Vec<u64> = (0..10_000).collect();
    /// let (x, mut out) = (Array2::from_elem((10_000, 1), 6.0), Array2::zeros((10_000, 1)));
    /// let draw = PosteriorDraw { scale: 0.5, variance: 0.3, noise: Noise::new(1), step: 0 };
    /// let batch = Batch::new(&rows, Times::Same(Time::of(0.0)), &x);
    /// Gaussian.draw_into(&batch, draw, &mut out, &mut Scratch::new())?;
    /// // Mean ½·3 and variance ¼·2 + 0.3.
    /// assert!((out.mean().unwrap() - 1.5).abs() < 0.03 && (out.var(0.0) - 0.8).abs() < 0.05);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`PosteriorDraw::check`] and the field's own; by default [`Error::NotPositiveDefinite`] with the row of the
    /// batch where `s² Σ + v I` is singular.
    fn draw_into(
        &self,
        batch: &Batch<'_, F>,
        draw: PosteriorDraw,
        out: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        draw.check()?;
        let (n, d) = batch.x().dim();
        let [mut factors, mut z]: [Vec<F>; 2] = scratch.take();
        factors.resize(n * d * d, F::zero());
        z.resize(n * d, F::zero());
        let mut matrices = ArrayViewMut2::from_shape((n, d * d), &mut factors).expect("sized above");
        self.mean_covariance_into(batch, out, &mut matrices, scratch)?;
        draw.cholesky_factors(d, &mut factors)?;
        let mut normals = ArrayViewMut2::from_shape((n, d), &mut z).expect("sized above");
        draw.noise.normals_into(batch.rows(), draw.step, &mut normals);
        let scale = F::of(draw.scale);
        let out = out.as_slice_mut().expect("fields are given standard layout");
        let rows = out.chunks_exact_mut(d).zip(z.chunks_exact(d)).zip(factors.chunks_exact(d * d));
        for ((out, z), factor) in rows {
            for (j, out) in out.iter_mut().enumerate() {
                let row = &factor[j * d..=j * d + j];
                *out = scale * *out + row.iter().zip(z).map(|(&l, &z)| l * z).sum::<F>();
            }
        }
        scratch.put([factors, z]);
        Ok(())
    }
}

/// A draw of `s x_0 + √v z` for a Gaussian `x_0` with the posterior's mean and covariance and a standard normal z; see
/// [`PosteriorCovariance::draw_into`].
#[derive(Clone, Copy, Debug)]
pub struct PosteriorDraw {
    /// The factor s of the posterior.
    pub scale: f64,
    /// The variance v ≥ 0 of the noise that is added.
    pub variance: f64,
    /// Noise of the path.
    pub noise: Noise,
    /// Number of the step, the same as in [`Noise::normals_into`].
    pub step: u64,
}

impl PosteriorDraw {
    /// What every [`draw_into`](PosteriorCovariance::draw_into) asks of its draw.
    ///
    /// # Errors
    /// [`Error::Domain`] for a scale whose square is not finite, or a variance that is not a finite number of at least 0.
    pub fn check(&self) -> Result<(), Error> {
        let PosteriorDraw { scale, variance, .. } = *self;
        Error::domain((scale * scale).is_finite(), "draw.scale", scale, "a number with a finite square")?;
        let usable = variance >= 0.0 && variance.is_finite();
        Error::domain(usable, "draw.variance", variance, "a finite number of at least 0")
    }

    /// Replaces the posterior covariance Σ of each row, `(d, d)` in row-major order, by the Cholesky factor of `s² Σ + v I`,
    /// as [`cholesky`] leaves it.
    ///
    /// ```
    /// use numeric::{Noise, PosteriorDraw};
    /// let draw = PosteriorDraw { scale: -2.0, variance: 5.0, noise: Noise::new(1), step: 0 };
    /// let mut covariances = [1.0, 1.0];
    /// draw.cholesky_factors(1, &mut covariances)?;
    /// assert_eq!(covariances, [3.0, 3.0]);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NotPositiveDefinite`] with the first row that has none.
    ///
    /// # Panics
    /// If `covariances` is not made of whole matrices.
    pub fn cholesky_factors<F: Real>(&self, d: usize, covariances: &mut [F]) -> Result<(), Error> {
        if d == 0 {
            return Ok(());
        }
        assert!(covariances.len().is_multiple_of(d * d), "matrices of d rows and d columns");
        // In units of the larger of both terms: their squares may be below what `F` can hold.
        let square = self.scale * self.scale;
        let unit = if square.max(self.variance) > 0.0 { square.max(self.variance) } else { 1.0 };
        let (scale, shift, root) = (F::of(square / unit), F::of(self.variance / unit), F::of(unit.sqrt()));
        for (index, matrix) in covariances.chunks_exact_mut(d * d).enumerate() {
            matrix.iter_mut().for_each(|entry| *entry *= scale);
            for j in 0..d {
                matrix[j * d + j] += shift;
            }
            if !cholesky(matrix, d) {
                return Err(Error::NotPositiveDefinite { parameter: "posterior covariance", index });
            }
            matrix.iter_mut().for_each(|entry| *entry *= root);
        }
        Ok(())
    }
}

macro_rules! forward_posterior {
    ($($ty:ty),*) => {$(
        impl<F: Real, V: PosteriorCovariance<F> + ?Sized> PosteriorCovariance<F> for $ty {
            fn mean_covariance_into(
                &self,
                batch: &Batch<'_, F>,
                mean: &mut ArrayRef2<F>,
                covariance: &mut ArrayRef2<F>,
                scratch: &mut Scratch,
            ) -> Result<(), Error> {
                (**self).mean_covariance_into(batch, mean, covariance, scratch)
            }
            fn draw_into(
                &self,
                batch: &Batch<'_, F>,
                draw: PosteriorDraw,
                out: &mut ArrayRef2<F>,
                scratch: &mut Scratch,
            ) -> Result<(), Error> {
                (**self).draw_into(batch, draw, out, scratch)
            }
        }
    )*};
}
forward_posterior!(&V, Box<V>, std::sync::Arc<V>);
