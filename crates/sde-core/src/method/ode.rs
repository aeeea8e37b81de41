//! The probability-flow ODE.

use numeric::ndarray::ArrayRef2;
use numeric::{Error, Model, Real, Scratch, VectorField};

use super::edm::{heun, heun_calls};
use super::{History, Method, Step};
use crate::LinearProcess;

/// Heun's method for the probability-flow ODE, in the variables where it is straightest.
///
/// ```math
/// \frac{du}{d\sqrt v} = \frac{u - m(u)}{\sqrt v}, \qquad u = x/\alpha,\ v = \sigma^2/\alpha^2,\ m = \mathbb{E}[x_0 \mid u]:
/// ```
/// an Euler step to `v'` and its correction by the trapezoidal rule in `√v`. A last step to the data themselves,
/// `v' = 0`, is the Euler step alone, which ends at m: the slope there is not defined. Deterministic given the start,
/// with the same marginals as the reverse SDE in the limit. No step starts at v = ∞ but one to the data themselves. No theorem bounds its KL: its law may be singular.
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

impl<F: Real, V: VectorField<F>, S: LinearProcess> Method<F, Model<V, S>> for ProbabilityFlowHeun {
    fn name(&self) -> &'static str {
        "probability flow (Heun)"
    }

    fn calls(&self) -> usize {
        2
    }

    fn calls_in(&self, model: &Model<V, S>, step: Step<'_>) -> usize {
        heun_calls(model, step)
    }

    fn step(
        &self,
        model: &Model<V, S>,
        step: Step<'_>,
        x: &mut ArrayRef2<F>,
        _: &mut History<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        heun(model, step.rows, step.from, step.to, x, scratch)
    }
}
