//! The kernel of rectified flow.

use numeric::{Error, Level, Schedule, Time};

use super::{LinearProcess, before_one};

/// The straight line between data and noise: α = 1 − t, σ = t, on `0 ≤ t ≤ 1`.
///
/// The kernel of rectified flow and of flow matching along the optimal-transport paths between each point and noise,
/// on the axis where the data are at t = 0 (much of that literature has them at t = 1; see
/// [`time_reversed`](numeric::time_reversed) for such a field). The velocity that such models predict is
/// [`Prediction::Velocity`](numeric::Prediction), `E[ε − x_0 | x]`.
///
/// At t = 1 the signal is 0 and σ/α infinite. Methods with a limit there start at it, see [`Sampler`](crate::Sampler);
/// the others start just before:
/// [`time_at_ratio`](LinearProcess::time_at_ratio) of a large ratio keeps its distance to the end exactly. A run that
/// starts at time t starts in N(0, t² I).
///
/// ```
/// use numeric::Schedule;
/// use sde_core::{Flow, LinearProcess};
/// let time = Flow.time_at_ratio(1e20)?;
/// let level = Flow.level(time);
/// assert!((level.alpha / 1e-20 - 1.0).abs() < 1e-15 && level.sigma == 1.0);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// Liu, Gong, Liu (2023), *Flow straight and fast: learning to generate and transfer data with rectified flow*.
/// Lipman, Chen, Ben-Hamu, Nickel, Le (2023), *Flow matching for generative modeling*.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow;

impl Schedule for Flow {
    fn level(&self, time: Time) -> Level {
        Level { alpha: before_one(time), sigma: time.t, d_alpha: -1.0, d_sigma: 1.0 }
    }
}

impl LinearProcess for Flow {
    fn start_std(&self, time: Time) -> f64 {
        time.t
    }

    fn time_at_ratio(&self, ratio: f64) -> Result<Time, Error> {
        Error::domain(ratio >= 0.0, "ratio", ratio, "a number of at least 0")?;
        if ratio == f64::INFINITY {
            return Ok(Time { t: 1.0, to_end: 0.0 });
        }
        let to_end = 1.0 / (1.0 + ratio);
        Ok(Time { t: ratio * to_end, to_end })
    }

    fn fresh_share(&self, from: Time, to: Time) -> f64 {
        // ρ_s/ρ_t = s(1 − t)/(t(1 − s)), and one minus that is (t − s)/(t(1 − s)).
        let (rest_from, rest_to) = (before_one(from), before_one(to));
        let gap = if from.t < 0.5 { to.t - from.t } else { rest_from - rest_to };
        (gap / (to.t * rest_from)) * (1.0 + (from.t / to.t) * (rest_to / rest_from))
    }
}
