//! Variance-exploding processes: α = 1.

use numeric::{Error, Level, Schedule, Time};

use super::{LinearProcess, checked_ratio, within_ends};

/// The variance-exploding process with geometric noise: `σ(t) = σ_min (σ_max/σ_min)^t` on `0 ≤ t ≤ 1`, α = 1.
///
/// ```math
/// dX = g\, dW, \qquad g^2 = \frac{d\sigma^2}{dt} = 2 \sigma(t)^2 \ln \frac{\sigma_{\max}}{\sigma_{\min}}.
/// ```
/// Its data end is at σ(0) = σ_min > 0: no time has less noise, and a run ends there at the earliest. A run that
/// starts at time t starts in N(0, σ(t)² I).
///
/// ```
/// use numeric::{Schedule, Time};
/// use sde_core::{LinearProcess, Ve};
/// let process = Ve::new(0.01, 50.0)?;
/// let middle = process.level(Time::of(0.5));
/// assert!(middle.alpha == 1.0 && (middle.sigma - 0.5_f64.sqrt()).abs() < 1e-15);  // the geometric mean of the ends
/// assert_eq!(process.time_at_ratio(0.01)?.t, 0.0);
/// assert!(process.time_at_ratio(0.0).is_err());
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// Song, Sohl-Dickstein, Kingma, Kumar, Ermon, Poole (2021), *Score-based generative modeling through stochastic
/// differential equations*, appendix C.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Ve {
    sigma_min: f64,
    sigma_max: f64,
}

impl Ve {
    /// Noise from `sigma_min` at the data to `sigma_max`.
    ///
    /// # Errors
    /// [`Error::Domain`] unless 0 < `sigma_min` < `sigma_max`, both finite.
    pub fn new(sigma_min: f64, sigma_max: f64) -> Result<Ve, Error> {
        Error::positive("sigma_min", sigma_min)?;
        Error::positive("sigma_max", sigma_max)?;
        Error::domain(sigma_max > sigma_min, "sigma_max", sigma_max, "more than sigma_min")?;
        Ok(Ve { sigma_min, sigma_max })
    }

    /// ln(σ_max/σ_min), the speed of ln σ.
    fn speed(&self) -> f64 {
        self.sigma_max.ln() - self.sigma_min.ln()
    }
}

impl Schedule for Ve {
    fn level(&self, time: Time) -> Level {
        // From the nearer end, so that both ends are exact.
        let sigma = if time.t < 0.5 {
            self.sigma_min * (time.t * self.speed()).exp()
        } else {
            self.sigma_max * ((time.t - 1.0) * self.speed()).exp()
        };
        Level { alpha: 1.0, sigma, d_alpha: 0.0, d_sigma: sigma * self.speed() }
    }
}

impl LinearProcess for Ve {
    fn start_std(&self, time: Time) -> f64 {
        self.level(time).sigma
    }

    fn time_at_ratio(&self, ratio: f64) -> Result<Time, Error> {
        let ends = (self.sigma_min, self.sigma_max);
        let ratio = within_ends("ratio", ratio, ends, "a ratio from sigma_min to sigma_max")?;
        let t = (ratio.ln() - self.sigma_min.ln()) / self.speed();
        let to_end = (self.sigma_max.ln() - ratio.ln()) / self.speed();
        Ok(if t < 0.5 { Time { t, to_end: 1.0 - t } } else { Time { t: 1.0 - to_end, to_end } })
    }

    fn fresh_share(&self, from: Time, to: Time) -> f64 {
        -(-2.0 * self.speed() * (to.t - from.t)).exp_m1()
    }
}

/// The variance-exploding process whose time is its noise: α = 1, σ(t) = t, on `0 ≤ t < ∞`.
///
/// The process of Karras et al. (2022), `dX = √(2t) dW`. As σ/α = t, a grid of its times is a grid of noise-to-signal
/// ratios: those of the module [`grid`](crate::grid) are given in it. A run that starts at time t starts in
/// N(0, t² I), which is right as far as t is large against the data.
///
/// ```
/// use numeric::Time;
/// use sde_core::{Edm, LinearProcess};
/// assert_eq!(Edm.drift_and_diffusion(Time::of(3.0)).diffusion_squared, 6.0);
/// assert_eq!(Edm.time_at_ratio(80.0)?.t, 80.0);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// Karras, Aittala, Aila, Laine (2022), *Elucidating the design space of diffusion-based generative models*, table 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edm;

impl Schedule for Edm {
    fn level(&self, time: Time) -> Level {
        Level { alpha: 1.0, sigma: time.t, d_alpha: 0.0, d_sigma: 1.0 }
    }
}

impl LinearProcess for Edm {
    fn start_std(&self, time: Time) -> f64 {
        time.t
    }

    fn time_at_ratio(&self, ratio: f64) -> Result<Time, Error> {
        checked_ratio(ratio)?;
        Ok(Time::of(ratio))
    }

    fn fresh_share(&self, from: Time, to: Time) -> f64 {
        ((to.t - from.t) / to.t) * (1.0 + from.t / to.t)
    }
}
