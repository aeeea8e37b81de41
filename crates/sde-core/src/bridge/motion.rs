//! Linear processes with constant coefficients: what is bridged most often.

use numeric::{Error, Level, Schedule, Time};

use crate::{DriftDiffusion, LinearProcess};

/// Brownian motion `dX = s dW` from 0 on: α = 1, σ(t) = s √t.
///
/// ```
/// use numeric::Time;
/// use sde_core::{BrownianMotion, LinearProcess};
/// let motion = BrownianMotion::new(0.5)?;
/// let (factor, std) = motion.transition(Time::of(1.0), Time::of(5.0))?;
/// assert!(factor == 1.0 && (std - 1.0).abs() < 1e-15);
/// assert_eq!(motion.drift_and_diffusion(Time::of(0.0)).diffusion_squared, 0.25);
/// # Ok::<(), numeric::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct BrownianMotion {
    sigma: f64,
}

impl BrownianMotion {
    /// Brownian motion with the diffusion coefficient `sigma`.
    ///
    /// # Errors
    /// [`Error::Domain`] unless it is positive and finite.
    pub fn new(sigma: f64) -> Result<BrownianMotion, Error> {
        Error::positive("sigma", sigma)?;
        Ok(BrownianMotion { sigma })
    }
}

impl Schedule for BrownianMotion {
    fn level(&self, time: Time) -> Level {
        let root = time.t.sqrt();
        Level { alpha: 1.0, sigma: self.sigma * root, d_alpha: 0.0, d_sigma: 0.5 * self.sigma / root }
    }
}

impl LinearProcess for BrownianMotion {
    fn start_std(&self, time: Time) -> f64 {
        self.level(time).sigma
    }

    fn time_at_ratio(&self, ratio: f64) -> Result<Time, Error> {
        Error::domain(ratio >= 0.0 && ratio.is_finite(), "ratio", ratio, "a finite number of at least 0")?;
        Ok(Time::of((ratio / self.sigma).powi(2)))
    }

    fn fresh_share(&self, from: Time, to: Time) -> f64 {
        (to.t - from.t) / to.t
    }

    fn drift_and_diffusion(&self, _: Time) -> DriftDiffusion {
        DriftDiffusion { drift: 0.0, diffusion_squared: self.sigma * self.sigma }
    }
}

/// The Ornstein–Uhlenbeck process `dX = −θ X dt + s dW` with any rate and diffusion coefficient; for θ = 1, s = √2 it
/// is [`Ou`](crate::Ou).
///
/// ```math
/// \alpha(t) = e^{-\theta t}, \qquad \sigma(t)^2 = \frac{s^2}{2\theta} (1 - e^{-2 \theta t}).
/// ```
/// About a mean μ, shift the coordinates.
///
/// ```
/// use numeric::Time;
/// use sde_core::{LinearProcess, Ou, ScaledOu};
/// let process = ScaledOu::new(1.0, 2.0_f64.sqrt())?;
/// let (a, b) = (process.transition(Time::of(0.1), Time::of(0.4))?, Ou.transition(Time::of(0.1), Time::of(0.4))?);
/// assert!((a.0 - b.0).abs() < 1e-15 && (a.1 - b.1).abs() < 1e-15);
/// # Ok::<(), numeric::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct ScaledOu {
    rate: f64,
    sigma: f64,
}

impl ScaledOu {
    /// The process with the rate θ and the diffusion coefficient s = `sigma`.
    ///
    /// # Errors
    /// [`Error::Domain`] unless both are positive and finite; θ = 0 is [`BrownianMotion`].
    pub fn new(rate: f64, sigma: f64) -> Result<ScaledOu, Error> {
        Error::positive("rate", rate)?;
        Error::positive("sigma", sigma)?;
        Ok(ScaledOu { rate, sigma })
    }

    /// Variance s²/2θ of the stationary law.
    fn stationary(&self) -> f64 {
        self.sigma * self.sigma / (2.0 * self.rate)
    }
}

impl Schedule for ScaledOu {
    fn level(&self, time: Time) -> Level {
        let alpha = (-self.rate * time.t).exp();
        let sigma = (-(-2.0 * self.rate * time.t).exp_m1() * self.stationary()).sqrt();
        let d_sigma = self.rate * alpha * alpha * self.stationary() / sigma;
        Level { alpha, sigma, d_alpha: -self.rate * alpha, d_sigma }
    }
}

impl LinearProcess for ScaledOu {
    fn start_std(&self, _: Time) -> f64 {
        self.stationary().sqrt()
    }

    fn time_at_ratio(&self, ratio: f64) -> Result<Time, Error> {
        Error::domain(ratio >= 0.0 && ratio.is_finite(), "ratio", ratio, "a finite number of at least 0")?;
        Ok(Time::of((ratio * ratio / self.stationary()).ln_1p() / (2.0 * self.rate)))
    }

    fn fresh_share(&self, from: Time, to: Time) -> f64 {
        let grown = |t: f64| -(-2.0 * self.rate * t).exp_m1();
        grown(to.t - from.t) / grown(to.t)
    }

    fn drift_and_diffusion(&self, _: Time) -> DriftDiffusion {
        DriftDiffusion { drift: -self.rate, diffusion_squared: self.sigma * self.sigma }
    }
}
