//! The diagonal of a posterior covariance from the Jacobian of a denoiser.

use numeric::ndarray::{Array2, ArrayRef2};
use numeric::{
    Batch, Batching, Error, JacobianProducts, PosteriorCovariance, PosteriorDraw, Real, Schedule, Scratch,
    VectorField, check_finite,
};

use crate::approximate_covariance::covariance_factor;

/// A denoiser with the diagonal of its posterior covariance, from its Jacobian.
///
/// ```math
/// \hat\Sigma = \frac{\sigma^2}{\alpha} \operatorname{diag}\big( [J_{11}]_+, \dots, [J_{dd}]_+ \big), \qquad
/// J = \frac{\partial \hat m}{\partial x},
/// ```
/// by Tweedie's second-order formula the variances of the coordinates given the state, where a negative one is
/// dropped. Better than a few directions where coordinates are nearly independent, as pixels at little noise; for
/// correlated ones see [`ApproximateCovariance`](crate::ApproximateCovariance). As there, what draws with Σ̂ is certified with
/// the same Σ̂, and a bound of the divergence holds for any. It is written out as a full matrix for certificates; draws do
/// without.
///
/// # Complexity
/// d Jacobian products for each row.
///
/// ```
/// use numeric::{Batch, PosteriorCovariance, Scratch, Time, Times, ndarray::{Array2, array}};
/// use sde_core::{Covariance, DiagonalCovariance, Mixture, Ou};
/// # fn main() -> Result<(), numeric::Error> {
/// // Independent coordinates: the diagonal is all there is, c v/(c + v) in each, v = e^{2τ} − 1.
/// let target = Mixture::gaussian(array![0.0, 1.0], Covariance::Diagonal(array![4.0, 0.25]))?;
/// let field = DiagonalCovariance { field: target.denoiser::<f64, _>(Ou).field, process: Ou };
/// let (time, x) = (Time::of(0.5), array![[0.3, -1.0]]);
/// let (mut mean, mut covariance) = (Array2::zeros((1, 2)), Array2::zeros((1, 4)));
/// let batch = Batch::new(&[0], Times::Same(time), &x);
/// field.mean_covariance_into(&batch, &mut mean, &mut covariance, &mut Scratch::new())?;
/// let v = 1.0_f64.exp_m1();
/// assert!((covariance[(0, 0)] - 4.0 * v / (4.0 + v)).abs() < 1e-12 && covariance[(0, 1)] == 0.0);
/// assert!((covariance[(0, 3)] - 0.25 * v / (0.25 + v)).abs() < 1e-12);
/// # Ok(()) }
/// ```
///
/// # References
/// Ou et al. (2024), *Improving probabilistic diffusion models with optimal diagonal covariance matching*.
#[derive(Clone, Copy, Debug)]
pub struct DiagonalCovariance<V, S> {
    /// The denoiser.
    pub field: V,
    /// Its process.
    pub process: S,
}

impl<F: Real, V: VectorField<F>, S: Schedule> VectorField<F> for DiagonalCovariance<V, S> {
    fn dim(&self) -> usize {
        self.field.dim()
    }
    fn eval_into(&self, batch: &Batch<'_, F>, out: &mut ArrayRef2<F>, s: &mut Scratch) -> Result<(), Error> {
        self.field.eval_into(batch, out, s)
    }
    fn batching(&self) -> Batching {
        self.field.batching()
    }
}

impl<V, S: Schedule> DiagonalCovariance<V, S> {
    /// Writes the mean over `mean`, and returns the variances, both `(n, d)`.
    fn variances<F: Real>(
        &self,
        batch: &Batch<'_, F>,
        mean: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<Array2<f64>, Error>
    where
        V: JacobianProducts<F>,
    {
        self.field.eval_into(batch, mean, scratch)?;
        let (n, d) = batch.x().dim();
        let factors = (0..n)
            .map(|i| covariance_factor(self.process.level(batch.times().get(i))))
            .collect::<Result<Vec<_>, _>>()?;
        let (mut axis, mut product) = (Array2::zeros((n, d)), Array2::zeros((n, d)));
        let mut variances = Array2::zeros((n, d));
        for j in 0..d {
            axis.fill(F::zero());
            axis.column_mut(j).fill(F::one());
            self.field.jvp_into(batch, &axis, &mut product, scratch)?;
            check_finite("a Jacobian product", batch.rows(), 0, batch.times().get(0).t, product.view())?;
            for (i, factor) in factors.iter().enumerate() {
                variances[(i, j)] = factor * product[(i, j)].as_f64().max(0.0);
            }
        }
        Ok(variances)
    }
}

impl<F: Real, V: JacobianProducts<F>, S: Schedule> PosteriorCovariance<F> for DiagonalCovariance<V, S> {
    /// # Errors
    /// The field's own; [`Error::NotFinite`] for a product that is not; [`Error::Domain`] at a time without signal.
    fn mean_covariance_into(
        &self,
        batch: &Batch<'_, F>,
        mean: &mut ArrayRef2<F>,
        covariance: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        let variances = self.variances(batch, mean, scratch)?;
        covariance.fill(F::zero());
        for ((i, j), &variance) in variances.indexed_iter() {
            covariance[(i, j * batch.dim() + j)] = F::of(variance);
        }
        Ok(())
    }

    /// With one normal for each coordinate, and no matrix.
    fn draw_into(
        &self,
        batch: &Batch<'_, F>,
        draw: PosteriorDraw,
        out: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        draw.check()?;
        let variances = self.variances(batch, out, scratch)?;
        let mut z = Array2::zeros(out.raw_dim());
        draw.noise.normals_into(batch.rows(), draw.step, &mut z);
        let scale = F::of(draw.scale);
        for ((out, &z), &variance) in out.iter_mut().zip(&z).zip(&variances) {
            *out = scale * *out + F::of((draw.variance + draw.scale * draw.scale * variance).sqrt()) * z;
        }
        Ok(())
    }
}
