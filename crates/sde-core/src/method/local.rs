//! The locally moment-matched step.

use numeric::ndarray::{Array2, ArrayRef2};
use numeric::{Batch, Error, Model, PosteriorCovariance, PosteriorDraw, Prediction, Real, Scratch, Times};

use super::gap::{Gap, axpby, take_array};
use super::{GaussianStep, History, Method, Recycled, Spread, Step};
use crate::LinearProcess;

/// Gaussian step with the exact mean *and* covariance of the true reverse kernel at the current point.
///
/// ```math
/// u' \mid u \sim N\Big( m(u) + \frac{v'}{v}(u - m(u)),\
///   \frac{v'(v - v')}{v} I + \Big(1 - \frac{v'}{v}\Big)^2 \Sigma(u) \Big), \qquad
/// m = \mathbb{E}[x_0 \mid u],\ \Sigma = \mathrm{Cov}(x_0 \mid u).
/// ```
/// Third cumulants drive its error, so that the KL falls like 1/N² where the other methods' falls like 1/N: a
/// second-order sampler. It needs the posterior covariance of the model ([`PosteriorCovariance`]), and the
/// model's prediction to be the denoiser. Scheme L in the tables of this house.
///
/// A step draws through [`PosteriorCovariance::draw_into`], and its [`transition`](GaussianStep::transition) is the same law
/// by the Cholesky factors of the matrix: the one is what is sampled, the other what is certified. Where the law has no
/// density, as that of a step to the data when they are a single point, the transition is refused, and a field that draws
/// without a matrix draws.
///
/// # Convergence
/// KL of the chain O(1/N²).
/// # Randomness
/// What the field draws per row and step. By default d normals; a [`Mixture`](crate::Mixture) takes d, one for each
/// component (none with a single one), and one for each direction of the components that have weight there.
/// # Complexity
/// Per row and step, by default one evaluation of mean and covariance and one Cholesky factorisation, d³/3. For a mixture
/// one evaluation of the denoiser with as many normals as are drawn, O(k d) for isotropic and diagonal components.
/// # References
/// Optimal-covariance reverse steps: Bao et al. (2022), *Analytic-DPM*; Ou et al. (2024), *Improving
/// probabilistic diffusion models with optimal diagonal covariance matching*.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LocallyMomentMatched;

/// `x' ~ N(a x + b m(x), v I + b² Σ(x))`.
struct Posterior {
    a: f64,
    draw: PosteriorDraw,
}

impl Posterior {
    fn of<V, S: LinearProcess>(model: &Model<V, S>, step: Step<'_>) -> Result<Posterior, Error> {
        if model.prediction != Prediction::Denoised {
            let reason =
                "a posterior covariance belongs to a denoiser, and the model predicts something else";
            return Err(Error::Unsupported { method: "LocallyMomentMatched", reason });
        }
        let gap = Gap::of(&model.schedule, step.from, step.to)?;
        let (a, scale) = gap.posterior_mean();
        let draw =
            PosteriorDraw { scale, variance: gap.bridge_variance(), noise: step.noise, step: step.index };
        Ok(Posterior { a, draw })
    }
}

impl<F: Real, V: PosteriorCovariance<F>, S: LinearProcess> Method<F, Model<V, S>> for LocallyMomentMatched {
    fn name(&self) -> &'static str {
        "locally moment-matched (L)"
    }

    fn step(
        &self,
        model: &Model<V, S>,
        step: Step<'_>,
        x: &mut ArrayRef2<F>,
        _: &mut History<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        let Posterior { a, draw } = Posterior::of(model, step)?;
        let mut drawn = take_array(x, scratch);
        let batch = Batch::new(step.rows, Times::Same(step.from), x);
        model.field.draw_into(&batch, draw, &mut drawn, scratch)?;
        axpby(a, x, 1.0, &drawn);
        scratch.put(drawn);
        Ok(())
    }
}

impl<F: Real, V: PosteriorCovariance<F>, S: LinearProcess> GaussianStep<F, Model<V, S>>
    for LocallyMomentMatched
{
    fn transition(
        &self,
        model: &Model<V, S>,
        step: Step<'_>,
        x: &ArrayRef2<F>,
        mean: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<Spread<F>, Error> {
        let Posterior { a, draw } = Posterior::of(model, step)?;
        let (n, d) = x.dim();
        let batch = Batch::new(step.rows, Times::Same(step.from), x);
        let Recycled(mut entries) = scratch.take();
        entries.resize(n * d * d, F::zero());
        let mut covariance = Array2::from_shape_vec((n, d * d), entries).expect("sized above");
        model.field.mean_covariance_into(&batch, mean, &mut covariance, scratch)?;
        let (a, b) = (F::of(a), F::of(draw.scale));
        mean.zip_mut_with(x, |m, &x| *m = a * x + b * *m);
        let mut factors = covariance.into_raw_vec_and_offset().0;
        draw.cholesky_factors(d, &mut factors)?;
        Ok(Spread::PerRow(factors))
    }
}
