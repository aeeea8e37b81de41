//! Linear noising processes: what turns data into noise, and when.

mod cosine;
mod discrete;
mod exploding;
mod flow;
mod noised;
mod sub_vp;
mod vp;

use numeric::{Error, Schedule, Time};

pub use cosine::CosineVp;
pub use discrete::{DiscreteVp, cosine_betas, linear_betas, scaled_linear_betas};
pub use exploding::{Edm, Ve};
pub use flow::Flow;
pub use noised::noised;
pub use sub_vp::SubVp;
pub use vp::{LinearVp, Ou, ScaledLinearVp, VariancePreserving};

/// A linear noising process `x_t = α x_0 + σ z` whose noise-to-signal ratio σ/α increases along time: what a
/// reverse-time run needs to know.
///
/// In `u = x/α` every such process is Brownian motion run by the clock `v = (σ/α)²`; processes differ in when
/// they reach a ratio, in the scale α that their model sees, and in what they start from.
///
/// ```
/// use sde_core::{Edm, Flow, LinearProcess, Ou, SubVp, Ve};
/// # fn main() -> Result<(), numeric::Error> {
/// let processes: [&dyn LinearProcess; 5] = [&Ou, &SubVp::new(0.1, 20.0)?, &Ve::new(0.01, 50.0)?, &Edm, &Flow];
/// for process in processes {
///     let level = process.level(process.time_at_ratio(0.3)?);
///     assert!((level.sigma / level.alpha - 0.3).abs() < 1e-14);
/// }
/// # Ok(()) }
/// ```
pub trait LinearProcess: Schedule {
    /// Standard deviation of the centred Gaussian that a run starts from at `time`.
    fn start_std(&self, time: Time) -> f64;

    /// The time at which σ/α is `ratio`.
    ///
    /// # Errors
    /// [`Error::Domain`] if it never is: NaN, negative, or beyond an end of the process. It is infinite at the end of
    /// [`Flow`] and of [`CosineVp`] only.
    fn time_at_ratio(&self, ratio: f64) -> Result<Time, Error>;

    /// Writes [`time_at_ratio`](Self::time_at_ratio) of many ratios over `out`.
    ///
    /// Provided by calls one by one; processes override it with vectors. Each time depends on its ratio alone.
    ///
    /// # Errors
    /// As `time_at_ratio`.
    fn times_at_ratios(&self, ratios: &[f64], out: &mut Vec<Time>) -> Result<(), Error> {
        out.clear();
        for &ratio in ratios {
            out.push(self.time_at_ratio(ratio)?);
        }
        Ok(())
    }

    /// `1 − v_s/v_t` with `v = (σ/α)²`, for times s = `from` ≤ t = `to`: the share of the noise at t that came since
    /// s.
    ///
    /// Provided from the levels; processes override it where a difference of times is more exact.
    fn fresh_share(&self, from: Time, to: Time) -> f64 {
        let (s, t) = (self.level(from), self.level(to));
        let kept = (s.sigma / t.sigma) * (t.alpha / s.alpha);
        (1.0 - kept) * (1.0 + kept)
    }

    /// The kernel between two times, as (mean factor, standard deviation).
    ///
    /// ```math
    /// x_t \mid x_s \sim N\Big(\frac{\alpha_t}{\alpha_s} x_s,\ \Big(\sigma_t^2 - \frac{\alpha_t^2}{\alpha_s^2} \sigma_s^2\Big) I\Big),
    /// \qquad s \le t.
    /// ```
    ///
    /// The variance is computed as `σ_t² (1 − v_s/v_t)`, see [`fresh_share`](Self::fresh_share). Equal times give the
    /// identity.
    ///
    /// ```
    /// use numeric::Time;
    /// use sde_core::{Edm, LinearProcess, Ou};
    /// let (a, s) = Ou.transition(Time::of(0.2), Time::of(0.9))?;
    /// assert!((a - (-0.7_f64).exp()).abs() < 1e-15 && (a * a + s * s - 1.0).abs() < 1e-15);
    /// let (a, s) = Edm.transition(Time::of(1.0), Time::of(1.0 + 1e-12))?;
    /// assert!(a == 1.0 && (s - 2e-12_f64.sqrt()).abs() < 1e-4 * s);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Domain`] unless `to` has at least the noise of `from`, which must have some signal.
    fn transition(&self, from: Time, to: Time) -> Result<(f64, f64), Error> {
        if from == to {
            return Ok((1.0, 0.0));
        }
        let (s, t) = (self.level(from), self.level(to));
        Error::domain(s.alpha > 0.0, "from", from.t, "a time at which there is signal")?;
        let share = self.fresh_share(from, to);
        Error::domain(share >= 0.0, "to", to.t, "a time not before `from`")?;
        Ok((t.alpha / s.alpha, t.sigma * share.sqrt()))
    }

    /// Coefficients of the equation that the process solves.
    ///
    /// ```
    /// use numeric::Time;
    /// use sde_core::{Flow, LinearProcess, Ou};
    /// let ou = Ou.drift_and_diffusion(Time::of(0.3));
    /// assert_eq!((ou.drift, ou.diffusion_squared), (-1.0, 2.0));
    /// let flow = Flow.drift_and_diffusion(Time::of(0.5));          // −1/(1 − t) and 2t/(1 − t)
    /// assert_eq!((flow.drift, flow.diffusion_squared), (-2.0, 2.0));
    /// ```
    fn drift_and_diffusion(&self, time: Time) -> DriftDiffusion {
        let level = self.level(time);
        let drift = level.d_alpha / level.alpha;
        DriftDiffusion { drift, diffusion_squared: 2.0 * level.sigma * (level.d_sigma - level.sigma * drift) }
    }
}

/// Coefficients f and g² of `dX = f(t) X dt + g(t) dW`, whose solution is a linear process.
///
/// ```math
/// f = \frac{\alpha'}{\alpha}, \qquad g^2 = 2 \sigma \Big(\sigma' - \sigma \frac{\alpha'}{\alpha}\Big).
/// ```
/// Both are infinite where the signal ends, α = 0.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct DriftDiffusion {
    /// f, per unit of time.
    pub drift: f64,
    /// g², variance per unit of time.
    pub diffusion_squared: f64,
}

impl<P: LinearProcess + ?Sized> LinearProcess for &P {
    fn start_std(&self, time: Time) -> f64 {
        (**self).start_std(time)
    }
    fn time_at_ratio(&self, ratio: f64) -> Result<Time, Error> {
        (**self).time_at_ratio(ratio)
    }
    fn times_at_ratios(&self, ratios: &[f64], out: &mut Vec<Time>) -> Result<(), Error> {
        (**self).times_at_ratios(ratios, out)
    }
    fn fresh_share(&self, from: Time, to: Time) -> f64 {
        (**self).fresh_share(from, to)
    }
    fn transition(&self, from: Time, to: Time) -> Result<(f64, f64), Error> {
        (**self).transition(from, to)
    }
    fn drift_and_diffusion(&self, time: Time) -> DriftDiffusion {
        (**self).drift_and_diffusion(time)
    }
}

/// `value`, or the nearer of the ends `first..=last` of the process if it is beyond it by no more than the rounding of a
/// round trip through another variable.
fn within_ends(
    parameter: &'static str,
    value: f64,
    (first, last): (f64, f64),
    expected: &'static str,
) -> Result<f64, Error> {
    const ROUNDING: f64 = 8.0 * f64::EPSILON;
    let within = value >= first * (1.0 - ROUNDING) && value <= last * (1.0 + ROUNDING);
    Error::domain(within, parameter, value, expected)?;
    Ok(value.clamp(first, last))
}

fn checked_ratio(ratio: f64) -> Result<(), Error> {
    Error::domain(ratio >= 0.0 && ratio.is_finite(), "ratio", ratio, "a finite number of at least 0")
}

/// Distance to the end of an axis that ends at 1: the time's own where it agrees with its `t`, or else `1 − t`,
/// for an axis that was thought to end elsewhere.
fn before_one(time: Time) -> f64 {
    let rest = 1.0 - time.t;
    if (time.to_end - rest).abs() <= 4.0 * f64::EPSILON { time.to_end } else { rest }
}
