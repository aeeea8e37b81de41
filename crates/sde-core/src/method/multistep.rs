//! Exponential multistep methods with data prediction.

use numeric::ndarray::ArrayRef2;
use numeric::{Error, Model, Prediction, Real, Scratch, VectorField};

use super::adams::{MOST, exponential_moments, weights};
use super::gap::{Gap, disturb, predict, ratio_at};
use super::reverse_sde::checked_stochasticity;
use super::{History, Method, Step};
use crate::LinearProcess;

/// Takes a step of `du = (1 + λ²)(m − u) ds + λ √2 r dW` with m replaced by `Σ b_j m_j`, `m_j` the last predictions:
/// evaluates m, remembers it, and asks `rule` for the weights b, which add up to `1 − ρ^{1 + λ²}`.
///
/// `rule` gets the step, the nodes `(s_j − s)/h` and `1 − ρ^{1 + λ²}`. In a step to the data themselves, h = ∞, it is
/// not asked: nothing that is extrapolated so far is better than m.
fn multistep<F: Real, V: VectorField<F>, S: LinearProcess>(
    model: &Model<V, S>,
    (order, lambda): (usize, f64),
    step: Step<'_>,
    x: &mut ArrayRef2<F>,
    history: &mut History<F>,
    scratch: &mut Scratch,
    rule: impl Fn(&Gap, &[f64], f64) -> [f64; MOST],
) -> Result<(), Error> {
    let gap = Gap::of(&model.schedule, step.from, step.to)?;
    let m = predict(model, Prediction::Denoised, step.rows, step.from, x, scratch)?;
    if let Some(forgotten) = history.push_array(step.from, m, order) {
        scratch.put(forgotten);
    }
    let (kept, lost) = gap.kept(1.0 + lambda * lambda);
    let used = if gap.ends_at_data() { 1 } else { history.len() };
    let mut nodes = [0.0; MOST];
    for (back, node) in nodes.iter_mut().enumerate().take(used).skip(1) {
        *node = gap.node(ratio_at(&model.schedule, remembered(history, back).0));
    }
    let b = if used == 1 { [lost, 0.0, 0.0, 0.0] } else { rule(&gap, &nodes[..used], lost) };
    let terms: [(f64, &ArrayRef2<F>); MOST] =
        std::array::from_fn(|back| (b[back], remembered(history, back.min(used - 1)).1));
    gap.advance(x, gap.of_x(kept, if lambda == 0.0 { 1.0 } else { 0.0 }), &terms[..used]);
    if gap.starts_in_noise() {
        history.truncate(0);
    }
    let std = gap.to * gap.kept(2.0 * lambda * lambda).1.sqrt();
    disturb(step, 1.0, x, gap.alpha * std, scratch);
    Ok(())
}

fn remembered<F: Real>(history: &History<F>, back: usize) -> (numeric::Time, &ArrayRef2<F>) {
    let (time, prediction) = history.get(back).expect("as many as were counted");
    (time, prediction)
}

/// Exponential Adams–Bashforth with data prediction, of order 1 to 4 and any stochasticity λ: DPM-Solver++ multistep.
///
/// For the equations of [`ReverseSde`](crate::ReverseSde), whose denoiser it extrapolates by the polynomial P through
/// its last values in `s = −ln(σ/α)`, at whatever nodes they are:
/// ```math
/// u' = \rho^{1 + \lambda^2} u + \int_0^H e^{-(H - S)} P(S)\, dS + r' \sqrt{1 - \rho^{2\lambda^2}}\; z, \qquad
/// H = (1 + \lambda^2) \ln(r/r').
/// ```
/// Order 1 is `ReverseSde`; order 2 is DPM-Solver++(2M) with the exact weight `φ_2` (the variant that others call
/// *heun*; for the published midpoint form see [`DpmSolverPlusPlus2M`]); order 3 is DPM-Solver++(3M) *with the second
/// difference at its full weight*: the published multistep formulas have half of it, and order 2. The first steps use
/// as many values as there are; a step to the data themselves is of order 1 and ends in m.
///
/// # Convergence
/// Its order p for smooth denoisers and λ = 0, but for the start: the first step, of length h₀, is of first order and
/// leaves O(h₀²), the second O(h₁³). That is small where a run starts in noise, and costs no order if these steps are
/// shorter, `h₀ = O(h^{p/2})`. For λ > 0 weak order min(p, 2), measured on Gaussian data.
/// # Randomness
/// d normals per row and step; none for λ = 0.
/// # Complexity
/// One model evaluation per step; p predictions are remembered.
///
/// ```
/// use numeric::{Noise, ndarray::array};
/// use sde_core::{ExponentialAdams, Mixture, Ou, Sampler, grid};
/// # fn main() -> Result<(), numeric::Error> {
/// let model = Mixture::atoms(&array![[-1.0], [1.0]], None)?.denoiser::<f64, _>(Ou);
/// let sampler = Sampler::new(model, ExponentialAdams::new(3, 0.0)?, grid::geometric_v(4.0, 1e-4, 20)?)?;
/// assert_eq!(sampler.model_calls::<f64>(), 20);
/// let x = sampler.sample(0..50, Noise::new(1), Default::default())?;
/// assert!(x.iter().all(|x: &f64| (x.abs() - 1.0).abs() < 0.05));   // at one of the two atoms
/// # Ok(()) }
/// ```
///
/// # References
/// Lu, Zhou, Bao, Chen, Li, Zhu (2022), *DPM-Solver++: fast solver for guided sampling of diffusion probabilistic
/// models*, algorithm 2. Hochbruck, Ostermann (2010), *Exponential integrators*, section 2.5 (multistep methods).
#[doc(alias = "DpmSolverPlusPlus3M")]
#[doc(alias = "dpmpp_3m_sde")]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExponentialAdams {
    order: usize,
    lambda: f64,
}

impl ExponentialAdams {
    /// The method of that order for the equation of stochasticity λ = `lambda`, 0 for the ODE.
    ///
    /// # Errors
    /// [`Error::Domain`] unless `order` is 1 to 4 and `lambda` finite and at least 0.
    pub fn new(order: usize, lambda: f64) -> Result<ExponentialAdams, Error> {
        Error::domain((1..=MOST).contains(&order), "order", order as f64, "1 to 4")?;
        checked_stochasticity(lambda)?;
        Ok(ExponentialAdams { order, lambda })
    }
}

impl<F: Real, V: VectorField<F>, S: LinearProcess> Method<F, Model<V, S>> for ExponentialAdams {
    fn name(&self) -> &'static str {
        ["exponential Adams 1", "exponential Adams 2", "exponential Adams 3", "exponential Adams 4"]
            [self.order - 1]
    }

    fn step(
        &self,
        model: &Model<V, S>,
        step: Step<'_>,
        x: &mut ArrayRef2<F>,
        history: &mut History<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        let rule = |gap: &Gap, nodes: &[f64], _: f64| {
            let length = (1.0 + self.lambda * self.lambda) * gap.h;
            weights(nodes, exponential_moments(-length).map(|moment| length * moment))
        };
        multistep(model, (self.order, self.lambda), step, x, history, scratch, rule)
    }
}

/// DPM-Solver++(2M), and 2M SDE for stochasticity λ > 0, in the published *midpoint* form.
///
/// ```math
/// u' = \rho^{1 + \lambda^2} u + (1 - \rho^{1 + \lambda^2}) \Big( m_0 + \frac{h}{2 h_{-1}} (m_0 - m_{-1}) \Big)
///   + r' \sqrt{1 - \rho^{2\lambda^2}}\; z, \qquad h = \ln\frac{r}{r'},\ h_{-1} = \ln\frac{r_{-1}}{r},
/// ```
/// in u = x/α, r = σ/α: the denoiser is extrapolated to the middle of the step, which is h/2 away, on a slope over
/// the step before. (With `h_{-1}/2` there the method would be of first order.) The first step is that of
/// [`ReverseSde`](crate::ReverseSde), and one to the data themselves ends in m. The usual choice for a network with
/// few evaluations.
///
/// # Convergence
/// Order 2 for smooth denoisers and λ = 0; weak order 2 for λ > 0, measured on Gaussian data.
/// # Randomness
/// d normals per row and step; none for λ = 0.
/// # Complexity
/// One model evaluation per step; two predictions are remembered.
///
/// ```
/// use numeric::{Noise, ndarray::array};
/// use sde_core::{DpmSolverPlusPlus2M, Mixture, Ou, Sampler, grid};
/// # fn main() -> Result<(), numeric::Error> {
/// let model = Mixture::atoms(&array![[-1.0], [1.0]], None)?.denoiser::<f64, _>(Ou);
/// let sampler = Sampler::new(model, DpmSolverPlusPlus2M::new(0.0)?, grid::geometric_v(4.0, 1e-4, 20)?)?;
/// let x = sampler.sample(0..50, Noise::new(1), Default::default())?;
/// assert!(x.iter().all(|x: &f64| (x.abs() - 1.0).abs() < 0.05));   // at one of the two atoms
/// # Ok(()) }
/// ```
///
/// # References
/// Lu, Zhou, Bao, Chen, Li, Zhu (2022), *DPM-Solver++: fast solver for guided sampling of diffusion probabilistic
/// models*, algorithm 2.
#[doc(alias = "dpmpp_2m_sde")]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DpmSolverPlusPlus2M {
    lambda: f64,
}

impl DpmSolverPlusPlus2M {
    /// The method for the equation of stochasticity λ = `lambda`: 0 for the ODE, 1 for the usual SDE.
    ///
    /// # Errors
    /// [`Error::Domain`] unless `lambda` is finite and at least 0.
    pub fn new(lambda: f64) -> Result<DpmSolverPlusPlus2M, Error> {
        checked_stochasticity(lambda)?;
        Ok(DpmSolverPlusPlus2M { lambda })
    }
}

impl<F: Real, V: VectorField<F>, S: LinearProcess> Method<F, Model<V, S>> for DpmSolverPlusPlus2M {
    fn name(&self) -> &'static str {
        "DPM-Solver++(2M)"
    }

    fn step(
        &self,
        model: &Model<V, S>,
        step: Step<'_>,
        x: &mut ArrayRef2<F>,
        history: &mut History<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        let rule = |_: &Gap, nodes: &[f64], lost: f64| {
            let slope = -0.5 * lost / nodes[1];
            [lost + slope, -slope, 0.0, 0.0]
        };
        multistep(model, (2, self.lambda), step, x, history, scratch, rule)
    }
}
