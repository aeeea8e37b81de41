//! Methods that freeze one prediction over the step: isotropic Gaussian steps.

use numeric::ndarray::ArrayRef2;
use numeric::{Batch, Error, Model, Prediction, Real, Schedule, Scratch, Times, VectorField, vectorize};

use super::gap::{Gap, ratio_at};
use super::{GaussianStep, History, Method, Spread, Step, affine_into, affine_of_raw, take_like};
use crate::{LinearProcess, VariancePreserving};

/// The gap of the clock, g = τ − τ'.
fn clock_gap(process: &impl VariancePreserving, step: Step<'_>) -> Result<f64, Error> {
    let gap = process.clock(step.from) - process.clock(step.to);
    Error::domain(gap > 0.0, "step", gap, "a step towards the data")?;
    Ok(gap)
}

/// The mean as (a, b) of `a x + b · prediction`, and the variance, of a step.
type Rule<S> = fn(&S, Step<'_>) -> Result<((f64, f64), f64), Error>;

/// What [`gaussian_step`](super::gaussian_step) does for a mean `a x + b · prediction`, written over x, and isotropic noise.
pub(super) fn affine_step<F: Real, V: VectorField<F>, S: Schedule>(
    model: &Model<V, S>,
    what: Prediction,
    (coefficients, std): ((f64, f64), f64),
    step: Step<'_>,
    x: &mut ArrayRef2<F>,
    scratch: &mut Scratch,
) -> Result<(), Error> {
    let [mut raw] = take_like(x, scratch);
    let batch = Batch::new(step.rows, Times::Same(step.from), x);
    // A model that predicts what is asked for is taken as it is; the general case asks the schedule once more.
    let (a, b): (F, F) = if model.prediction == what {
        (F::of(coefficients.0), F::of(coefficients.1))
    } else {
        affine_of_raw(model, what, coefficients, step.from)?
    };
    model.raw_into(&batch, &mut raw, scratch)?;
    let slices = "steps work on standard layout";
    let p = raw.as_slice().expect(slices);
    let mean = x.as_slice_mut().expect(slices);
    vectorize(
        #[inline(always)]
        || {
            for (x, &p) in mean.iter_mut().zip(p) {
                *x = a * *x + b * p;
            }
        },
    );
    if std != 0.0 {
        step.noise.add_normals(step.rows, step.index, F::of(std), x);
    }
    scratch.put([raw]);
    Ok(())
}

macro_rules! frozen {
    ($(#[$doc:meta])* $name:ident: $process:ident, $label:literal, $what:ident, $rule:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name;

        impl<F: Real, V: VectorField<F>, S: $process> Method<F, Model<V, S>> for $name {
            fn name(&self) -> &'static str {
                $label
            }

            fn step(
                &self,
                model: &Model<V, S>,
                step: Step<'_>,
                x: &mut ArrayRef2<F>,
                _: &mut History<F>,
                scratch: &mut Scratch,
            ) -> Result<(), Error> {
                let rule: Rule<S> = $rule;
                let (coefficients, variance) = rule(&model.schedule, step)?;
                affine_step(model, Prediction::$what, (coefficients, variance.sqrt()), step, x, scratch)
            }
        }

        impl<F: Real, V: VectorField<F>, S: $process> GaussianStep<F, Model<V, S>> for $name {
            fn transition(
                &self,
                model: &Model<V, S>,
                step: Step<'_>,
                x: &ArrayRef2<F>,
                mean: &mut ArrayRef2<F>,
                scratch: &mut Scratch,
            ) -> Result<Spread<F>, Error> {
                let rule: Rule<S> = $rule;
                let (coefficients, variance) = rule(&model.schedule, step)?;
                let batch = Batch::new(step.rows, Times::Same(step.from), x);
                affine_into(model, Prediction::$what, coefficients, &batch, mean, scratch)?;
                Ok(Spread::Isotropic(variance.sqrt()))
            }
        }
    };
}

frozen! {
    /// Euler–Maruyama for the reverse SDE, with drift and diffusion frozen at the start of the step.
    ///
    /// ```math
    /// x' = x + h r \,\big(x + 2 s(t, x)\big) + \sqrt{2 r h}\; z, \qquad r = \beta(t)/2,\ h = t - t'.
    /// ```
    /// The plain method: the only one here whose law depends on the schedule and not just on its clock. Where β
    /// varies, its frozen diffusion coefficient makes its *path* singular to the true one, so that it has no path
    /// divergence; its chain on the nodes, whose steps are Gaussian, has one. For [`Ou`](crate::Ou) β is constant
    /// and both exist. This is a [`Method`] of a [`Sampler`](crate::Sampler); for other equations there is the integrator
    /// [`integrator::EulerMaruyama`](crate::integrator::EulerMaruyama) of a [`Solver`](crate::Solver).
    ///
    /// # Convergence
    /// Weak order 1, strong order 1 (additive noise) for Lipschitz scores.
    /// # Randomness
    /// d normals per row and step: the Brownian increment of the step divided by √h.
    /// # Complexity
    /// One model evaluation per step.
    /// # References
    /// Song et al. (2021), *Score-based generative modeling through stochastic differential equations*.
    EulerMaruyama: VariancePreserving, "euler-maruyama", Score, |process, step| {
        let h = if step.from.t.abs() <= step.from.to_end {
            step.from.t - step.to.t
        } else {
            step.to.to_end - step.from.to_end
        };
        Error::domain(h > 0.0, "step", h, "a step towards the data")?;
        let rh = process.rate(step.from) * h;
        if rh == f64::INFINITY {
            let reason = "drift and diffusion are infinite at the start of the step, where the signal ends";
            return Err(Error::Unsupported { method: "EulerMaruyama", reason });
        }
        Ok(((1.0 + rh, 2.0 * rh), 2.0 * rh))
    }
}

frozen! {
    /// Exponential integrator with frozen score: the sampler of the nearly d-linear convergence bound.
    ///
    /// ```math
    /// x' = e^{g} x + 2 (e^{g} - 1)\, s(\tau, x) + \sqrt{e^{2g} - 1}\; z, \qquad g = \tau - \tau'.
    /// ```
    /// The exact solution of `dY = (Y + 2 s) dτ + √2 dB` over the step with s frozen. Known as scheme S in the
    /// tables of this house.
    ///
    /// # Convergence
    /// KL of the path O(1/N) on good grids, linear in d: see the crate of bounds.
    /// # Randomness
    /// d normals per row and step.
    /// # Complexity
    /// One model evaluation per step.
    /// # References
    /// Benton, De Bortoli, Doucet, Deligiannidis (2024), *Nearly d-linear convergence bounds for diffusion
    /// models via stochastic localization*, section 2.
    ExponentialIntegrator: VariancePreserving, "exponential integrator (S)", Score, |process, step| {
        let gap = clock_gap(process, step)?;
        if ratio_at(process, step.from) == f64::INFINITY {
            let reason = "from σ/α = ∞ it adds noise of infinite variance";
            return Err(Error::Unsupported { method: "ExponentialIntegrator", reason });
        }
        Ok(((gap.exp(), 2.0 * gap.exp_m1()), (2.0 * gap).exp_m1()))
    }
}

frozen! {
    /// Frozen score in the variance clock: Euler–Maruyama for the variance-exploding process `u = x/α`.
    ///
    /// ```math
    /// u' = u + (v - v')\, \nabla \log q_v(u) + \sqrt{v - v'}\; z, \qquad u = x/\alpha,\ v = \sigma^2/\alpha^2.
    /// ```
    /// The mean of the step is exact for every law; the variance is that of the noise removed, and exceeds the
    /// true one. Scheme V in the tables of this house.
    ///
    /// # Convergence
    /// KL of the path O(1/N).
    /// # Randomness
    /// d normals per row and step.
    /// # Complexity
    /// One model evaluation per step.
    /// # References
    /// Song and Ermon (2019), *Generative modeling by estimating gradients of the data distribution*, in the
    /// time discretisation of Song et al. (2021).
    FrozenScore: LinearProcess, "frozen score (V)", Score, |process, step| {
        let gap = Gap::of(process, step.from, step.to)?;
        let gap = gap.with_signal("FrozenScore", "from σ/α = ∞ it adds noise of infinite variance")?;
        // (α' r)² (1 − ρ²), what is removed of the noise as the new scale sees it.
        let removed = (gap.alpha * gap.from).powi(2) * gap.fresh;
        Ok(((gap.grow, removed / gap.grow), removed))
    }
}

frozen! {
    /// Frozen denoiser: the Gaussian posterior step of DDPM, `x' ~ q(x' | x, x_0 = E[x_0|x])`.
    ///
    /// ```math
    /// u' \mid u \sim N\Big( m + \frac{v'}{v}(u - m),\ \frac{v'(v - v')}{v} I \Big), \qquad
    /// u = x/\alpha,\ v = \sigma^2/\alpha^2,\ m = \mathbb{E}[x_0 \mid x].
    /// ```
    /// Exact for point masses on every grid. The discretisation error is the left Riemann error of the curve of
    /// the mean square error over the signal-to-noise ratio, hence bounded for discrete data whatever the
    /// dimension. Scheme D in the tables of this house.
    ///
    /// # Convergence
    /// KL of the path O(1/N); dimension-free for discrete data.
    /// # Randomness
    /// d normals per row and step.
    /// # Complexity
    /// One model evaluation per step.
    /// # References
    /// Ho, Jain, Abbeel (2020), *Denoising diffusion probabilistic models*, equations 6–7.
    FrozenDenoiser: LinearProcess, "frozen denoiser (D)", Denoised, |process, step| {
        let gap = Gap::of(process, step.from, step.to)?;
        Ok((gap.posterior_mean(), gap.bridge_variance()))
    }
}
