//! Heun's method with churn.

use numeric::ndarray::ArrayRef2;
use numeric::{Error, Model, Prediction, Real, Schedule, Scratch, Time, VectorField};

use super::gap::{Gap, disturb, predict, take_array};
use super::{History, Method, Step};
use crate::LinearProcess;

/// The stochastic sampler of Karras et al.: noise is added, and Heun's method removes more of it than was added.
///
/// ```math
/// \hat r = (1 + \gamma)\, r, \qquad \hat u = u + \sqrt{\hat r^2 - r^2}\; s_{\text{noise}}\, z, \qquad
/// \frac{du}{dr} = \frac{u - m(u)}{r} \ \text{from } \hat r \text{ to } r',\ \text{ by Heun's method},
/// ```
/// with u = x/α, r = σ/α and `γ = min(churn/steps, √2 − 1)` where `s_min ≤ r ≤ s_max`, else 0. Without churn it is
/// [`ProbabilityFlowHeun`](crate::ProbabilityFlowHeun). The process must have the level r̂: let `s_max` end below the
/// most noise that it has. No step starts at r = ∞ but one to the data themselves.
///
/// # Convergence
/// Order 2 for smooth denoisers without churn. With a fixed total of churn weak order 1, towards the reverse SDE of
/// stochasticity `λ² = churn/ln(r_0/r_N)` if the steps are equal in ln r.
/// # Randomness
/// d normals per row in a step with churn.
/// # Complexity
/// Two model evaluations per step, one in a step to the data themselves.
///
/// ```
/// use numeric::{Noise, ndarray::array};
/// use sde_core::{Edm, EdmHeun, Mixture, Sampler, grid};
/// # fn main() -> Result<(), numeric::Error> {
/// let model = Mixture::atoms(&array![[-1.0], [1.0]], None)?.denoiser::<f64, _>(Edm);
/// let method = EdmHeun { churn: 40.0, steps: 18, s_min: 0.05, s_max: 50.0, s_noise: 1.003 };
/// let sampler = Sampler::new(model, method, grid::karras(80.0, 0.002, 7.0, 18)?)?;
/// let x = sampler.sample(0..50, Noise::new(1), Default::default())?;
/// assert!(x.iter().all(|x: &f64| (x.abs() - 1.0).abs() < 0.05));   // at one of the two atoms
/// # Ok(()) }
/// ```
///
/// # References
/// Karras, Aittala, Aila, Laine (2022), *Elucidating the design space of diffusion-based generative models*,
/// algorithm 2.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EdmHeun {
    /// Total churn S_churn of the run.
    pub churn: f64,
    /// Steps N of the run, among which the churn is divided.
    pub steps: usize,
    /// Least noise-to-signal ratio at which there is churn.
    pub s_min: f64,
    /// Greatest noise-to-signal ratio at which there is churn.
    pub s_max: f64,
    /// Factor of the added noise, 1 in theory.
    pub s_noise: f64,
}

impl EdmHeun {
    fn gamma(&self, ratio: f64) -> Result<f64, Error> {
        let EdmHeun { churn, steps, s_min, s_max, s_noise } = *self;
        Error::domain(churn >= 0.0 && churn.is_finite(), "churn", churn, "a finite number of at least 0")?;
        Error::domain(
            s_noise >= 0.0 && s_noise.is_finite(),
            "s_noise",
            s_noise,
            "a finite number of at least 0",
        )?;
        Error::domain(steps > 0, "steps", 0.0, "at least 1")?;
        Error::domain(s_min <= s_max, "s_min", s_min, "at most s_max")?;
        let churned = (s_min..=s_max).contains(&ratio);
        Ok(if churned { (churn / steps as f64).min(std::f64::consts::SQRT_2 - 1.0) } else { 0.0 })
    }
}

impl<F: Real, V: VectorField<F>, S: LinearProcess> Method<F, Model<V, S>> for EdmHeun {
    fn name(&self) -> &'static str {
        "EDM (Heun with churn)"
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
        let level = model.schedule.level(step.from);
        let ratio = level.sigma / level.alpha;
        let gamma = self.gamma(ratio)?;
        let mut from = step.from;
        if gamma > 0.0 {
            from = model.schedule.time_at_ratio(ratio * (1.0 + gamma))?;
            let alpha = model.schedule.level(from).alpha;
            // u keeps its place, and √(r̂² − r²) = r √(γ (2 + γ)).
            let std = alpha * ratio * (gamma * (2.0 + gamma)).sqrt() * self.s_noise;
            disturb(step, alpha / level.alpha, x, std, scratch);
        }
        heun(model, step.rows, from, step.to, x, scratch)
    }
}

/// Evaluations of [`heun`].
pub(super) fn heun_calls<V, S: Schedule>(model: &Model<V, S>, step: Step<'_>) -> usize {
    if model.schedule.level(step.to).sigma > 0.0 { 2 } else { 1 }
}

/// Heun's step of `du/dr = (u − m)/r` from `from` to `to`, Euler's if r' = 0.
pub(super) fn heun<F: Real, V: VectorField<F>, S: LinearProcess>(
    model: &Model<V, S>,
    rows: &[u64],
    from: Time,
    to: Time,
    x: &mut ArrayRef2<F>,
    scratch: &mut Scratch,
) -> Result<(), Error> {
    let gap = Gap::of(&model.schedule, from, to)?;
    let m = predict(model, Prediction::Denoised, rows, from, x, scratch)?;
    let mut euler = take_array(x, scratch);
    gap.advance_into(&mut euler, x, gap.rho_of_x(), &[(gap.lost, &*m)]);
    if gap.ends_at_data() {
        x.assign(&euler);
    } else {
        let reason = "Heun's step from σ/α = ∞ gives the change of the denoiser an infinite weight";
        let gap = gap.with_signal("Heun's method", reason)?;
        // Trapezoid: u' = u + ½ (r' − r) [(u − m)/r + (u'_E − m')/r']. With u − m = (u − u'_E)/(1 − ρ):
        // u' = ½ u + (½ − b) u'_E + b m', b = ½ (1 − ρ)/ρ; as u'_E stands at r', its own factor is 1/α' in x.
        let back = 0.5 * gap.lost / gap.rho;
        let end = predict(model, Prediction::Denoised, rows, to, &euler, scratch)?;
        gap.advance(x, 0.5 * gap.grow, &[((0.5 - back) / gap.alpha, &*euler), (back, &*end)]);
        scratch.put(end);
    }
    scratch.put(euler);
    scratch.put(m);
    Ok(())
}
