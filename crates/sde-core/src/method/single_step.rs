//! DPM-Solver and DPM-Solver++ with steps that look at no earlier ones.

use numeric::ndarray::ArrayRef2;
use numeric::special::phi_2;
use numeric::{Error, Model, Prediction, Real, Scratch, Time, VectorField};

use super::gap::{Gap, Slope, disturb, predict, ratio_at, take_array};
use super::reverse_sde::checked_stochasticity;
use super::{History, Method, Step};
use crate::LinearProcess;

/// DPM-Solver of order 1, 2 or 3: exponential Runge–Kutta steps for the probability flow, with noise prediction.
///
/// Solves `du/dr = ε(u)`, `ε = (u − m)/r`, u = x/α, r = σ/α, by expansions of ε in `s = −ln r`. With h = ln(r/r'), at
/// order 2
/// ```math
/// u_1 = u + (r_1 - r)\, \varepsilon_0, \qquad u' = u + (r' - r)\, \varepsilon_1, \qquad r_1 = \sqrt{r r'},
/// ```
/// where `ε_i` is taken at `(r_i, u_i)`, and at order 3, with `r_i = r e^{-ih/3}`,
/// ```math
/// u_1 = u + (r_1 - r)\, \varepsilon_0, \qquad
/// u_2 = u + (r_2 - r)\, \varepsilon_0 - \tfrac43 h r_2 \varphi_2(\tfrac23 h)\, (\varepsilon_1 - \varepsilon_0), \qquad
/// u' = u + (r' - r)\, \varepsilon_0 - \tfrac32 h r' \varphi_2(h)\, (\varepsilon_2 - \varepsilon_0).
/// ```
/// Order 1 is DDIM. A step to the data themselves, r' = 0, is of order 1: it ends in m. Orders 2 and 3 do not start at
/// r = ∞. Where r is large, u and r ε are large and nearly equal: in `f32` a method with data prediction loses less.
///
/// # Convergence
/// Its order, for smooth denoisers.
/// # Randomness
/// None after the start.
/// # Complexity
/// As many model evaluations per step as its order, one in a step to the data themselves.
///
/// ```
/// use numeric::{Noise, ndarray::array};
/// use sde_core::{Covariance, DpmSolver, Mixture, Ou, Sampler, grid};
/// # fn main() -> Result<(), numeric::Error> {
/// // The flow of N(0, 4) is linear: u' = u √((4 + r'²)/(4 + r²)).
/// let model = || Ok::<_, numeric::Error>(Mixture::gaussian(array![0.0], Covariance::Isotropic(4.0))?.denoiser(Ou));
/// let grid = grid::geometric_v(2.0, 1e-3, 16)?;
/// let ratio = |t: f64| (-2.0 * t).exp() * (4.0 + (2.0 * t).exp_m1());
/// let exact = (ratio(1e-3) / ratio(2.0)).sqrt();
/// for (order, bound) in [(1, 0.2), (2, 0.01), (3, 0.001)] {
///     let run = |method, steps: &numeric::TimeGrid| Sampler::new(model()?, method, steps.clone());
///     let start = Noise::new(1);
///     let x: numeric::ndarray::Array2<f64> = run(DpmSolver::new(order)?, &grid)?.sample(0..1, start, Default::default())?;
///     let mut z = array![[0.0]];
///     start.fork("start").normals_into(&[0], 0, &mut z);
///     assert!((x[(0, 0)] / z[(0, 0)] / exact - 1.0).abs() < bound);
/// }
/// # Ok(()) }
/// ```
///
/// # References
/// Lu, Zhou, Bao, Chen, Li, Zhu (2022), *DPM-Solver: a fast ODE solver for diffusion probabilistic model sampling in
/// around 10 steps*, algorithms 1 and 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DpmSolver {
    order: usize,
}

impl DpmSolver {
    /// The solver of that order.
    ///
    /// # Errors
    /// [`Error::Domain`] unless `order` is 1, 2 or 3.
    pub fn new(order: usize) -> Result<DpmSolver, Error> {
        Error::domain((1..=3).contains(&order), "order", order as f64, "1, 2 or 3")?;
        Ok(DpmSolver { order })
    }

    /// The order.
    #[must_use]
    pub fn order(&self) -> usize {
        self.order
    }
}

/// Weights of `ε_0` and `ε_1` in the second stage of order 3, by the way there.
fn third_order_stage(gap: &Gap) -> [f64; 2] {
    let bend = -2.0 * gap.to * gap.h * phi_2(gap.h);
    [gap.change() - bend, bend]
}

/// Weights of `ε_0` and `ε_2` at the end of a step of order 3.
fn third_order_end(gap: &Gap) -> [f64; 2] {
    let bend = -1.5 * gap.to * gap.h * phi_2(gap.h);
    [gap.change() - bend, bend]
}

impl<F: Real, V: VectorField<F>, S: LinearProcess> Method<F, Model<V, S>> for DpmSolver {
    fn name(&self) -> &'static str {
        ["DPM-Solver-1", "DPM-Solver-2", "DPM-Solver-3"][self.order - 1]
    }

    fn calls(&self) -> usize {
        self.order
    }

    fn calls_in(&self, model: &Model<V, S>, step: Step<'_>) -> usize {
        if ratio_at(&model.schedule, step.to) > 0.0 { self.order } else { 1 }
    }

    fn step(
        &self,
        model: &Model<V, S>,
        step: Step<'_>,
        x: &mut ArrayRef2<F>,
        _: &mut History<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        let process = &model.schedule;
        let gap = Gap::of(process, step.from, step.to)?;
        if self.order == 1 || gap.ends_at_data() {
            let m = predict(model, Prediction::Denoised, step.rows, step.from, x, scratch)?;
            gap.advance(x, gap.rho_of_x(), &[(gap.lost, &*m)]);
            scratch.put(m);
            return Ok(());
        }
        // From r = ∞ the stages are there as well, and the limit takes the derivative of the denoiser.
        let gap = gap.with_signal("DpmSolver", "order 1 starts at σ/α = ∞, orders 2 and 3 do not")?;
        let between = |part: f64| -> Result<(Time, Gap), Error> {
            let time = process.time_at_ratio(gap.from * (-part * gap.h).exp())?;
            Ok((time, Gap::of(process, step.from, time)?))
        };
        let slope =
            |time, x: &ArrayRef2<F>, scratch: &mut Scratch| Slope::at(model, step.rows, time, x, scratch);
        // In u each stage is u_0 + the weights of the slopes.
        let u = 1.0 / process.level(step.from).alpha;
        let first = slope(step.from, x, scratch)?;
        let (time, gap_1) = between(1.0 / self.order as f64)?;
        let mut stage = take_array(x, scratch);
        let b = gap_1.change();
        gap_1.advance_into(
            &mut stage,
            x,
            gap_1.alpha * (u + b * first.of_x),
            &[(b * first.of_raw, &*first.raw)],
        );
        let mut last = slope(time, &stage, scratch)?;
        let weights = if self.order == 2 {
            [0.0, gap.change()]
        } else {
            let (time, gap_2) = between(2.0 / 3.0)?;
            let [b, c] = third_order_stage(&gap_2);
            let terms =
                [(u + b * first.of_x, &*x), (b * first.of_raw, &*first.raw), (c * last.of_raw, &*last.raw)];
            gap_2.advance(&mut stage, gap_2.alpha * c * last.of_x, &terms);
            scratch.put(last.raw);
            last = slope(time, &stage, scratch)?;
            third_order_end(&gap)
        };
        let [b, c] = weights;
        let terms =
            [(c * last.of_x, &*stage), (c * last.of_raw, &*last.raw), (b * first.of_raw, &*first.raw)];
        let used = if b == 0.0 { &terms[..2] } else { &terms };
        gap.advance(x, gap.alpha * (u + b * first.of_x), used);
        scratch.put(stage);
        scratch.put(first.raw);
        scratch.put(last.raw);
        Ok(())
    }
}

/// DPM-Solver++(2S): the exponential midpoint rule with data prediction, with ancestral noise if asked for.
///
/// ```math
/// u_1 = \sqrt{\rho}\, u + (1 - \sqrt{\rho})\, m(u), \qquad u' = \rho\, u + (1 - \rho)\, m(u_1) + \nu z, \qquad
/// \rho = r_{\text{down}}/r,\ r_{\text{down}}^2 = r'^2 - \nu^2,\ \nu = \eta\, r' \sqrt{1 - r'^2/r^2},
/// ```
/// in u = x/α, r = σ/α, with `m(u_1)` taken at the ratio `√(r r_down)`. η = 0 is the ODE solver; with η > 0 each step
/// goes further down and up again, as in [`Ddim`](crate::Ddim). A step down to 0 ends in m(u). From r = ∞ the step is that
/// of `Ddim`: m(u_1) is there the mean of the data, as m(u) is.
///
/// # Convergence
/// Order 2 for smooth denoisers for η = 0; weak order 1 else.
/// # Randomness
/// d normals per row and step; none for η = 0.
/// # Complexity
/// Two model evaluations per step, one in a step to the data themselves or from r = ∞.
///
/// ```
/// use numeric::{Noise, ndarray::array};
/// use sde_core::{DpmSolverPlusPlus2S, Mixture, Ou, Sampler, grid};
/// # fn main() -> Result<(), numeric::Error> {
/// let model = Mixture::atoms(&array![[-1.0], [1.0]], None)?.denoiser::<f64, _>(Ou);
/// let sampler = Sampler::new(model, DpmSolverPlusPlus2S::new(0.0)?, grid::geometric_v(4.0, 1e-4, 12)?)?;
/// let x = sampler.sample(0..50, Noise::new(1), Default::default())?;
/// assert!(x.iter().all(|x: &f64| (x.abs() - 1.0).abs() < 0.05));   // at one of the two atoms
/// # Ok(()) }
/// ```
///
/// # References
/// Lu, Zhou, Bao, Chen, Li, Zhu (2022), *DPM-Solver++: fast solver for guided sampling of diffusion probabilistic
/// models*, algorithm 1.
#[doc(alias = "dpmpp_2s_ancestral")]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DpmSolverPlusPlus2S {
    eta: f64,
}

impl DpmSolverPlusPlus2S {
    /// The solver with ancestral noise `eta`, 0 for none.
    ///
    /// # Errors
    /// [`Error::Domain`] unless 0 ≤ `eta` ≤ 1.
    pub fn new(eta: f64) -> Result<DpmSolverPlusPlus2S, Error> {
        Error::domain((0.0..=1.0).contains(&eta), "eta", eta, "a number from 0 to 1")?;
        Ok(DpmSolverPlusPlus2S { eta })
    }
}

impl<F: Real, V: VectorField<F>, S: LinearProcess> Method<F, Model<V, S>> for DpmSolverPlusPlus2S {
    fn name(&self) -> &'static str {
        "DPM-Solver++(2S)"
    }

    fn calls(&self) -> usize {
        2
    }

    fn calls_in(&self, model: &Model<V, S>, step: Step<'_>) -> usize {
        midpoint_calls(model, step)
    }

    fn step(
        &self,
        model: &Model<V, S>,
        step: Step<'_>,
        x: &mut ArrayRef2<F>,
        _: &mut History<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        let process = &model.schedule;
        let mut gap = Gap::of(process, step.from, step.to)?;
        let fresh = self.eta * self.eta * gap.kept(2.0).1;
        let up = gap.to * fresh.sqrt();
        if self.eta > 0.0 {
            gap = gap.down_to((1.0 - fresh).sqrt());
        }
        let mut m = predict(model, Prediction::Denoised, step.rows, step.from, x, scratch)?;
        // In noise without signal the middle of the step is there as well, and so is its prediction.
        if !gap.ends_at_data() && !gap.starts_in_noise() {
            let time = process.time_at_ratio(gap.from * (-0.5 * gap.h).exp())?;
            let half = Gap::of(process, step.from, time)?;
            let mut stage = take_array(x, scratch);
            half.advance_into(&mut stage, x, half.rho_of_x(), &[(half.lost, &*m)]);
            scratch.put(m);
            m = predict(model, Prediction::Denoised, step.rows, time, &stage, scratch)?;
            scratch.put(stage);
        }
        gap.advance(x, gap.rho_of_x(), &[(gap.lost, &*m)]);
        scratch.put(m);
        disturb(step, 1.0, x, gap.alpha * up, scratch);
        Ok(())
    }
}

/// SDE-DPM-Solver++(2S): the stochastic exponential midpoint rule with data prediction, for any stochasticity λ.
///
/// For the equations of [`ReverseSde`](crate::ReverseSde), `du = (1 + λ²)(m − u) ds + λ √2 r dW` in `s = −ln r`, with
/// `L = 1 + λ²`, the stage in the middle of the step, at the ratio `r_1 = √(r r')`, and both on one path of W:
/// ```math
/// \begin{aligned}
/// u_1 &= \rho^{L/2} u + (1 - \rho^{L/2})\, m(u) + \nu_1, & \nu_1 &= r_1 \sqrt{1 - \rho^{\lambda^2}}\; z_1, \\
/// u' &= \rho^L u + (1 - \rho^L)\, m(u_1) + \rho^{L/2} \nu_1 + \nu_2, & \nu_2 &= r' \sqrt{1 - \rho^{\lambda^2}}\; z_2,
/// \end{aligned}
/// ```
/// in u = x/α, r = σ/α, ρ = r'/r. λ = 0 is [`DpmSolverPlusPlus2S`] without noise. λ = 1 is what others call *DPM++ SDE*, but for
/// the correlation of the noises of the stage and of the step, which is here that of the equation, and there that of a Brownian
/// motion in σ; they agree as h → 0. A step down to 0 ends in m(u); from r = ∞ it is that of `ReverseSde`.
///
/// # Convergence
/// Order 2 for smooth denoisers for λ = 0, else weak order 2, measured on Gaussian data.
/// # Randomness
/// 2d normals per row and step, d in a step from r = ∞; none for λ = 0 or in a step to the data.
/// # Complexity
/// Two model evaluations per step, one in a step to the data themselves or from r = ∞.
///
/// ```
/// use numeric::{Noise, ndarray::array};
/// use sde_core::{Mixture, Ou, Sampler, SdeDpmSolverPlusPlus2S, grid};
/// # fn main() -> Result<(), numeric::Error> {
/// let model = Mixture::atoms(&array![[-1.0], [1.0]], None)?.denoiser::<f64, _>(Ou);
/// let sampler = Sampler::new(model, SdeDpmSolverPlusPlus2S::new(1.0)?, grid::geometric_v(4.0, 1e-4, 20)?)?;
/// let x = sampler.sample(0..50, Noise::new(1), Default::default())?;
/// assert!(x.iter().all(|x: &f64| (x.abs() - 1.0).abs() < 0.05));   // at one of the two atoms
/// # Ok(()) }
/// ```
///
/// # References
/// Lu, Zhou, Bao, Chen, Li, Zhu (2022), *DPM-Solver++: fast solver for guided sampling of diffusion probabilistic
/// models*, section 5 and appendix B. Kloeden, Platen (1992), *Numerical solution of stochastic differential equations*, section
/// 15.1, for the order of the rule without the exponentials.
#[doc(alias = "dpmpp_sde")]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SdeDpmSolverPlusPlus2S {
    lambda: f64,
}

impl SdeDpmSolverPlusPlus2S {
    /// The solver for the equation of stochasticity λ = `lambda`, 0 for the ODE.
    ///
    /// # Errors
    /// [`Error::Domain`] unless `lambda` is finite and at least 0.
    pub fn new(lambda: f64) -> Result<SdeDpmSolverPlusPlus2S, Error> {
        checked_stochasticity(lambda)?;
        Ok(SdeDpmSolverPlusPlus2S { lambda })
    }
}

impl<F: Real, V: VectorField<F>, S: LinearProcess> Method<F, Model<V, S>> for SdeDpmSolverPlusPlus2S {
    fn name(&self) -> &'static str {
        "SDE-DPM-Solver++(2S)"
    }

    fn calls(&self) -> usize {
        2
    }

    fn calls_in(&self, model: &Model<V, S>, step: Step<'_>) -> usize {
        midpoint_calls(model, step)
    }

    fn step(
        &self,
        model: &Model<V, S>,
        step: Step<'_>,
        x: &mut ArrayRef2<F>,
        _: &mut History<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        let process = &model.schedule;
        let gap = Gap::of(process, step.from, step.to)?;
        let square = self.lambda * self.lambda;
        let (kept, lost) = gap.kept(1.0 + square);
        let of_x = gap.of_x(kept, if square == 0.0 { 1.0 } else { 0.0 });
        let m = predict(model, Prediction::Denoised, step.rows, step.from, x, scratch)?;
        if gap.ends_at_data() || gap.starts_in_noise() {
            gap.advance(x, of_x, &[(lost, &*m)]);
            scratch.put(m);
            disturb(step, 1.0, x, gap.alpha * gap.to * gap.kept(2.0 * square).1.sqrt(), scratch);
            return Ok(());
        }
        let time = process.time_at_ratio(gap.from * (-0.5 * gap.h).exp())?;
        let half = Gap::of(process, step.from, time)?;
        let ((kept_half, lost_half), spread) = (half.kept(1.0 + square), half.kept(2.0 * square).1.sqrt());
        let (mut z, mut stage) = (take_array(x, scratch), take_array(x, scratch));
        if square > 0.0 {
            step.noise.fork("middle").normals_into(step.rows, step.index, &mut z);
        }
        let terms = [(lost_half, &*m), (half.to * spread, &*z)];
        let used = if square > 0.0 { &terms[..] } else { &terms[..1] };
        half.advance_into(&mut stage, x, half.of_x(kept_half, 0.0), used);
        scratch.put(m);
        let m = predict(model, Prediction::Denoised, step.rows, time, &stage, scratch)?;
        let (kept_since, _) = gap.kept(0.5 * (1.0 + square));
        let terms = [(lost, &*m), (kept_since * half.to * spread, &*z)];
        let used = if square > 0.0 { &terms[..] } else { &terms[..1] };
        gap.advance(x, of_x, used);
        for array in [m, z, stage] {
            scratch.put(array);
        }
        disturb(step, 1.0, x, gap.alpha * gap.to * spread, scratch);
        Ok(())
    }
}

/// Evaluations in a step with a stage in its middle.
fn midpoint_calls<V, S: LinearProcess>(model: &Model<V, S>, step: Step<'_>) -> usize {
    let [from, to] = [step.from, step.to].map(|time| ratio_at(&model.schedule, time));
    if to > 0.0 && from < f64::INFINITY { 2 } else { 1 }
}
