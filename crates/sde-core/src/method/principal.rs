//! The moment-matched step along principal directions.

use nalgebra::{DMatrix, SymmetricEigen};
use numeric::ndarray::{Array2, ArrayRef2};
use numeric::{Batch, Error, Level, Model, Packed, Prediction, Real, Scratch, Times, VectorField};

use super::gap::Gap;
use super::{GaussianStep, History, Method, Recycled, Spread, Step, affine_into, gaussian_step};
use crate::LinearProcess;

/// Posterior step whose covariance is that of Gaussian data, per principal direction of the data.
///
/// ```math
/// u' \mid u \sim N\Big( m + \frac{v'}{v}(u - m),\
///   \frac{v'(v - v')}{v} I + \Big(1 - \frac{v'}{v}\Big)^2 P\, \mathrm{diag}\Big(\frac{c_i v}{c_i + v}\Big) P^\top \Big),
/// ```
/// with the data's covariance `P diag(c) Pᵀ`. Exact on every grid if the data are Gaussian with that covariance;
/// [`FrozenDenoiser`](super::FrozenDenoiser) is c = 0 and [`FrozenScore`](super::FrozenScore) is c → ∞. It needs
/// nothing of the model but its denoiser. Scheme G_C in the tables of this house.
///
/// # Convergence
/// KL of the path O(1/N), with a constant that vanishes for Gaussian data.
/// # Randomness
/// d normals per row and step.
/// # Complexity
/// One model evaluation per step and one d×d product per row.
///
/// ```
/// use numeric::{Noise, ndarray::array};
/// use sde_core::{Covariance, Mixture, MomentMatched, Ou, Sampler, grid};
/// # fn main() -> Result<(), numeric::Error> {
/// let covariance = array![[2.0, 0.9], [0.9, 0.5]];
/// let target = Mixture::gaussian(array![0.0, 0.0], Covariance::Full(covariance.clone()))?;
/// let method = MomentMatched::new(&covariance)?;
/// // Two steps are enough for Gaussian data: each is the exact reverse kernel.
/// let sampler = Sampler::new(target.denoiser::<f64, _>(Ou), method, grid::geometric_v(5.0, 1e-3, 2)?)?;
/// let x = sampler.sample(0..20_000, Noise::new(3), Default::default())?;
/// let found = x.t().dot(&x) / 20_000.0;
/// let se = (2.0 / 20_000.0_f64).sqrt();                            // of a variance, relative
/// assert!((found[(0, 0)] / 2.0 - 1.0).abs() < 4.0 * se + 0.002);   // 0.002: early stopping at δ = 1e-3
/// assert!((found[(1, 1)] / 0.5 - 1.0).abs() < 4.0 * se + 0.002);
/// # Ok(()) }
/// ```
///
/// # References
/// The scalar case is the choice of data variance of Karras et al. (2022) and of Bao et al. (2022),
/// *Analytic-DPM*, in the form of an exact kernel.
#[derive(Clone, Debug)]
pub struct MomentMatched<F> {
    variances: Vec<f64>,
    /// `Pᵀ`, one direction per row.
    directions: Packed<F>,
}

impl<F: Real> MomentMatched<F> {
    /// The step for data of this covariance, `(d, d)`.
    ///
    /// # Errors
    /// [`Error::Shape`] if it is not square, [`Error::Entry`] for entries that are not finite,
    /// [`Error::NotPositiveDefinite`] if it is not symmetric or has an eigenvalue below 0 beyond rounding;
    /// eigenvalues of exactly 0 are allowed and stand for directions without data.
    pub fn new(covariance: &ArrayRef2<f64>) -> Result<MomentMatched<F>, Error> {
        let d = covariance.nrows();
        Error::shape("covariance", &[d, d], covariance.shape())?;
        Error::entries("covariance", covariance.iter().copied(), "a finite number", f64::is_finite)?;
        let scale = covariance.iter().fold(0.0_f64, |m, c| m.max(c.abs()));
        let refuse = Err(Error::NotPositiveDefinite { parameter: "covariance", index: 0 });
        if !covariance.indexed_iter().all(|((i, j), c)| (c - covariance[(j, i)]).abs() <= 1e-12 * scale) {
            return refuse;
        }
        let eigen = SymmetricEigen::new(DMatrix::from_fn(d, d, |i, j| covariance[(i, j)]));
        let rounding = 4.0 * d as f64 * f64::EPSILON * scale * d as f64;
        if eigen.eigenvalues.iter().any(|&c| c < -rounding) {
            return refuse;
        }
        let directions = Packed::new(d, d, |i, j| eigen.eigenvectors[(j, i)]);
        // What rounding left below zero is the zero of a singular covariance.
        Ok(MomentMatched { variances: eigen.eigenvalues.iter().map(|c| c.max(0.0)).collect(), directions })
    }

    /// Variances `c_i` of the data along the principal directions.
    #[must_use]
    pub fn variances(&self) -> &[f64] {
        &self.variances
    }

    /// The principal directions, one per row, `(d, d)`.
    #[must_use]
    pub fn principal_directions(&self) -> Array2<F> {
        let d = self.variances.len();
        Array2::from_shape_fn((d, d), |(i, j)| self.directions.row(i)[j])
    }
}

impl<F: Real, V: VectorField<F>, S: LinearProcess> Method<F, Model<V, S>> for MomentMatched<F> {
    fn name(&self) -> &'static str {
        "moment-matched (G_C)"
    }

    fn step(
        &self,
        model: &Model<V, S>,
        step: Step<'_>,
        x: &mut ArrayRef2<F>,
        _: &mut History<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        gaussian_step(self, model, step, x, scratch)
    }
}

impl<F: Real, V: VectorField<F>, S: LinearProcess> GaussianStep<F, Model<V, S>> for MomentMatched<F> {
    fn transition(
        &self,
        model: &Model<V, S>,
        step: Step<'_>,
        x: &ArrayRef2<F>,
        mean: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<Spread<F>, Error> {
        Error::shape("x", &[x.nrows(), self.variances.len()], x.shape())?;
        let gap = Gap::of(&model.schedule, step.from, step.to)?;
        let batch = Batch::new(step.rows, Times::Same(step.from), x);
        affine_into(model, Prediction::Denoised, gap.posterior_mean(), &batch, mean, scratch)?;
        // In u: c v/(c + v) (1 − v'/v)²; times α'² for x. With σ² = α² v: c v/(c + v) = c σ²/(α² c + σ²).
        let Level { alpha, sigma, .. } = model.schedule.level(step.from);
        let (alpha2, sigma2) = (alpha * alpha, sigma * sigma);
        let scale = (gap.alpha * gap.fresh).powi(2);
        let bridge = gap.bridge_variance();
        let std = |c: &f64| (bridge + scale * c * sigma2 / (alpha2 * c + sigma2)).sqrt();
        let Recycled(mut scales) = scratch.take();
        scales.clear();
        scales.extend(self.variances.iter().map(std));
        Ok(Spread::Principal(scales))
    }

    fn directions(&self) -> Option<&Packed<F>> {
        Some(&self.directions)
    }
}
