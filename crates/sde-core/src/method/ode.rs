//! The probability-flow ODE.

use numeric::ndarray::ArrayRef2;
use numeric::{Batch, Error, Model, Prediction, Real, Scratch, Times, VectorField};

use super::frozen::Clocks;
use super::{History, Method, Step, affine_into, take_like};
use crate::VariancePreserving;

/// Heun's method for the probability-flow ODE, in the variables where it is straightest.
///
/// ```math
/// \frac{du}{d\sqrt v} = \frac{u - m(u)}{\sqrt v}, \qquad u = x/\alpha,\ v = \sigma^2/\alpha^2,\ m = \mathbb{E}[x_0 \mid u]:
/// ```
/// an Euler step to `v'` and its correction by the trapezoidal rule in `√v`. A last step to the data themselves,
/// `v' = 0`, is the Euler step alone, which ends at m: the slope there is not defined. Deterministic given the start,
/// with the same marginals as the reverse SDE in the limit. No theorem bounds its KL: its law may be singular.
///
/// # Convergence
/// Order 2 for smooth denoisers.
/// # Randomness
/// None after the start.
/// # Complexity
/// Two model evaluations per step, one in a step to the data themselves.
/// # References
/// Karras, Aittala, Aila, Laine (2022), *Elucidating the design space of diffusion-based generative models*,
/// algorithm 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProbabilityFlowHeun;

impl<F: Real, V: VectorField<F>, S: VariancePreserving> Method<F, Model<V, S>> for ProbabilityFlowHeun {
    fn name(&self) -> &'static str {
        "probability flow (Heun)"
    }

    fn calls(&self) -> usize {
        2
    }

    fn calls_in(&self, model: &Model<V, S>, step: Step<'_>) -> usize {
        if model.schedule.clock(step.to) > 0.0 { 2 } else { 1 }
    }

    fn step(
        &self,
        model: &Model<V, S>,
        step: Step<'_>,
        x: &mut ArrayRef2<F>,
        _: &mut History<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        let clocks = Clocks::of(&model.schedule, step)?;
        // ρ = √(v'/v). Euler: u' = m + ρ (u − m), in x with α' e^{−g}-free factors: x' = ρ e^g x + (1 − ρ) α' m.
        let (kept, lost) = clocks.kept();
        let rho = kept.sqrt();
        let one_minus_rho = lost / (1.0 + rho);
        let (grow, alpha) = (clocks.gap.exp(), (-clocks.to).exp());
        let [mut euler, mut end] = take_like(x, scratch);
        let batch = Batch::new(step.rows, Times::Same(step.from), x);
        affine_into(
            model,
            Prediction::Denoised,
            (rho * grow, one_minus_rho * alpha),
            &batch,
            &mut euler,
            scratch,
        )?;
        if rho == 0.0 {
            x.assign(&euler);
            scratch.put([euler, end]);
            return Ok(());
        }
        // Trapezoid: u' = u + ½ (√v' − √v) [(u − m)/√v + (u'_E − m')/√v']. With u − m = (u − u'_E)/(1 − ρ):
        // u' = ½ (u + u'_E) − ½ (1 − ρ)/ρ (u'_E − m'); in x everything is multiplied by α'.
        let back = 0.5 * one_minus_rho / rho;
        let batch = Batch::new(step.rows, Times::Same(step.to), &euler);
        affine_into(model, Prediction::Denoised, (0.5 - back, back * alpha), &batch, &mut end, scratch)?;
        let half_grow = F::of(0.5 * grow);
        x.zip_mut_with(&end, |x, &end| *x = half_grow * *x + end);
        scratch.put([euler, end]);
        Ok(())
    }
}
