//! The sub-variance-preserving process.

use numeric::{Error, Level, Schedule, Time};

use super::{LinearProcess, LinearVp, VariancePreserving, checked_ratio};

/// The sub-VP process on the linear schedule: α as [`LinearVp`], σ = 1 − α², on `0 ≤ t ≤ 1`.
///
/// ```math
/// dX = -\tfrac12 \beta X\, dt + \sqrt{\beta (1 - e^{-2 \int_0^t \beta})}\; dW, \qquad
/// \alpha = e^{-\tau},\ \sigma = 1 - e^{-2\tau},\ \frac{\sigma}{\alpha} = 2 \sinh \tau, \qquad \tau = \tfrac12 \int_0^t \beta.
/// ```
/// Its variance is below that of the VP process with the same β at every time, and tends to it. A run starts in
/// N(0, I), its limit, whatever the time.
///
/// ```
/// use numeric::{Schedule, Time};
/// use sde_core::{LinearVp, SubVp};
/// let (sub, vp) = (SubVp::new(0.1, 20.0)?, LinearVp::new(0.1, 20.0)?);
/// let (a, b) = (sub.level(Time::of(0.3)), vp.level(Time::of(0.3)));
/// assert!(a.alpha == b.alpha && (a.sigma - b.sigma.powi(2)).abs() < 1e-15);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// Song, Sohl-Dickstein, Kingma, Kumar, Ermon, Poole (2021), *Score-based generative modeling through stochastic
/// differential equations*, section 3.4 and appendix C.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct SubVp {
    vp: LinearVp,
}

impl SubVp {
    /// β from `beta_min` at the data to `beta_max` at the noise.
    ///
    /// # Errors
    /// As [`LinearVp::new`].
    pub fn new(beta_min: f64, beta_max: f64) -> Result<SubVp, Error> {
        Ok(SubVp { vp: LinearVp::new(beta_min, beta_max)? })
    }
}

impl Schedule for SubVp {
    fn level(&self, time: Time) -> Level {
        let (clock, rate) = (self.vp.clock(time), self.vp.rate(time));
        let alpha = (-clock).exp();
        Level {
            alpha,
            sigma: -(-2.0 * clock).exp_m1(),
            d_alpha: -rate * alpha,
            d_sigma: 2.0 * rate * alpha * alpha,
        }
    }
}

impl LinearProcess for SubVp {
    fn start_std(&self, _: Time) -> f64 {
        1.0
    }

    fn time_at_ratio(&self, ratio: f64) -> Result<Time, Error> {
        checked_ratio(ratio)?;
        self.vp.time_at((0.5 * ratio).asinh())
    }

    fn fresh_share(&self, from: Time, to: Time) -> f64 {
        // 1 − q and q for q = sinh τ_s / sinh τ_t.
        let (s, t) = (self.vp.clock(from), self.vp.clock(to));
        let lost = 2.0 * (0.5 * (t + s)).cosh() * (0.5 * (t - s)).sinh() / t.sinh();
        lost * (1.0 + s.sinh() / t.sinh())
    }
}
