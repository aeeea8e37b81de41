//! Chains whose rates are scaled in time.

use std::f64::consts::{FRAC_PI_4, PI, SQRT_2};

use numeric::Error;

/// A schedule β(t) of noising: the rates of the chain at time t are $`\beta(t) Q`$.
///
/// ```math
/// P_{s,t} = e^{B(s, t)\, Q}, \qquad B(s, t) = \int_s^t \beta(u)\, \mathrm du .
/// ```
///
/// The chain is the homogeneous one read on the clock B: kernels and samplers of a generator take
/// [`integral`](TimeChange::integral) for their time. Integrals and inverses are closed forms, without cancellation for
/// short spans or near the end of a schedule.
///
/// | constructor | β(t) | B(0, t) | times |
/// |---|---|---|---|
/// | [`constant`](TimeChange::constant) | β | βt | from 0 |
/// | [`linear`](TimeChange::linear) | β₀ + ct | β₀t + ct²/2 | from 0 |
/// | [`exponential`](TimeChange::exponential) | a bᵗ ln b | a(bᵗ − 1) | from 0 |
/// | [`geometric`](TimeChange::geometric) | σ(t) ln(σ₁/σ₀), σ(t) = σ₀¹⁻ᵗσ₁ᵗ | σ(t) − σ₀ | from 0 |
/// | [`log_linear`](TimeChange::log_linear) | (1−ε)/(1−(1−ε)t) | −ln(1−(1−ε)t) | \[0, 1\] |
/// | [`cosine`](TimeChange::cosine) | (π/2) cot(π(1−t)/4) | −ln(1−cos(π(1−t)/2)) | \[0, 1\] |
///
/// ```
/// use ctmc::{Refresh, TimeChange};
/// let beta = TimeChange::exponential(0.5, 3.0)?;
/// assert!((beta.integral(0.0, 1.0)? - 1.0).abs() < 1e-15);
/// let uniform = Refresh::uniform(4, 1.0)?;
/// let kept = uniform.probability(beta.integral(0.0, 1.0)?, 2, 2)?;
/// assert!((kept - (0.25 + 0.75 * (-4.0_f64).exp())).abs() < 1e-15);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// Campbell et al. (2022), *A continuous time framework for discrete denoising models*: exponential. Lou, Meng, Ermon
/// (2024), *Discrete diffusion modeling by estimating the ratios of the data distribution*: log-linear, geometric. Shi, Han,
/// Wang, Doucet, Titsias (2024), *Simplified and generalized masked diffusion for discrete data*: cosine.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct TimeChange(Schedule);

#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
enum Schedule {
    Linear { start: f64, slope: f64 },
    Exponential { scale: f64, ln_base: f64 },
    LogLinear { left: f64 },
    Cosine,
}

impl TimeChange {
    /// β at all times; 1 is the chain itself.
    ///
    /// ```
    /// let beta = ctmc::TimeChange::constant(0.03)?;
    /// assert_eq!((beta.rate(5.0)?, beta.integral(1.0, 3.0)?), (0.03, 0.06));
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Errors
    /// Unless β is finite and greater than 0.
    pub fn constant(beta: f64) -> Result<TimeChange, Error> {
        Error::positive("beta", beta)?;
        Ok(TimeChange(Schedule::Linear { start: beta, slope: 0.0 }))
    }

    /// β(t) = start + slope · t.
    ///
    /// ```
    /// let beta = ctmc::TimeChange::linear(1.0, 4.0)?;
    /// assert_eq!((beta.rate(0.5)?, beta.integral(0.0, 1.0)?, beta.time_at(3.0)?), (3.0, 3.0, 1.0));
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Errors
    /// If either is negative or not finite, or both are 0.
    pub fn linear(start: f64, slope: f64) -> Result<TimeChange, Error> {
        let ok = |x: f64| x >= 0.0 && x.is_finite();
        Error::domain(ok(start), "start", start, "a finite number of at least 0")?;
        Error::domain(
            ok(slope) && start.max(slope) > 0.0,
            "slope",
            slope,
            "a finite number of at least 0, not both 0",
        )?;
        Ok(TimeChange(Schedule::Linear { start, slope }))
    }

    /// $`\beta(t) = a\, b^t \ln b`$.
    ///
    /// ```
    /// let images = ctmc::TimeChange::exponential(3.0, 100.0)?;
    /// assert!((images.rate(0.0)? - 13.815510558).abs() < 1e-9);
    /// assert!((images.integral(0.0, 1.0)? - 297.0).abs() < 1e-12);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Errors
    /// Unless a is finite and greater than 0, and b finite and greater than 1.
    pub fn exponential(a: f64, b: f64) -> Result<TimeChange, Error> {
        Error::positive("a", a)?;
        Error::domain(b > 1.0 && b.is_finite(), "b", b, "a finite number greater than 1")?;
        Ok(TimeChange(Schedule::Exponential { scale: a, ln_base: b.ln() }))
    }

    /// The noise level $`\sigma(t) = \sigma_0^{1-t} \sigma_1^t`$ of score entropy models, less its start σ₀.
    ///
    /// ```
    /// let beta = ctmc::TimeChange::geometric(0.5, 8.0)?;
    /// assert!((beta.integral(0.0, 0.5)? - 1.5).abs() < 1e-15);   // σ(1/2) = 2
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Errors
    /// Unless 0 < σ₀ < σ₁, both and their ratio finite.
    pub fn geometric(sigma_0: f64, sigma_1: f64) -> Result<TimeChange, Error> {
        Error::positive("sigma_0", sigma_0)?;
        let ok = sigma_1 > sigma_0 && sigma_1.is_finite();
        Error::domain(ok, "sigma_1", sigma_1, "a finite number greater than sigma_0")?;
        TimeChange::exponential(sigma_0, sigma_1 / sigma_0)
    }

    /// $`e^{-B(0, t)} = 1 - (1 - \varepsilon) t`$: masks are laid at a uniform rate, and a share ε of the data is
    /// left at time 1. With ε = 0 nothing is left, and B is infinite there.
    ///
    /// ```
    /// let beta = ctmc::TimeChange::log_linear(0.0)?;
    /// assert!((beta.integral(0.0, 0.75)? - 4_f64.ln()).abs() < 1e-15);
    /// assert_eq!(beta.integral(0.0, 1.0)?, f64::INFINITY);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Errors
    /// Unless ε is at least 0 and less than 1.
    pub fn log_linear(epsilon: f64) -> Result<TimeChange, Error> {
        Error::domain((0.0..1.0).contains(&epsilon), "epsilon", epsilon, "at least 0 and less than 1")?;
        Ok(TimeChange(Schedule::LogLinear { left: epsilon }))
    }

    /// $`e^{-B(0, t)} = 1 - \cos(\pi (1 - t) / 2)`$; B is infinite at time 1.
    ///
    /// ```
    /// let beta = ctmc::TimeChange::cosine();
    /// let kept = (-beta.integral(0.0, 0.5)?).exp();
    /// assert!((kept - (1.0 - 0.5_f64.sqrt())).abs() < 1e-15);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    #[must_use]
    pub fn cosine() -> TimeChange {
        TimeChange(Schedule::Cosine)
    }

    /// β(t), the factor of the rates.
    ///
    /// # Errors
    /// If t is not a time of the schedule.
    pub fn rate(&self, t: f64) -> Result<f64, Error> {
        self.check("t", t)?;
        Ok(match self.0 {
            Schedule::Linear { start, slope } => start + slope * t,
            Schedule::Exponential { scale, ln_base } => scale * ln_base * (t * ln_base).exp(),
            Schedule::LogLinear { left } => (1.0 - left) / remaining(left, t),
            Schedule::Cosine => 0.5 * PI / (FRAC_PI_4 * (1.0 - t)).tan(),
        })
    }

    /// $`B(s, t) = \int_s^t \beta`$, the time that passes for the chain.
    ///
    /// # Errors
    /// If s or t is not a time of the schedule, or t is before s. An integral that overflows is infinite.
    pub fn integral(&self, s: f64, t: f64) -> Result<f64, Error> {
        self.check("s", s)?;
        self.check("t", t)?;
        Error::domain(s <= t, "t", t, "at least s")?;
        if s == t {
            return Ok(0.0);
        }
        let span = t - s;
        Ok(match self.0 {
            Schedule::Linear { start, slope } => span * (start + slope * (0.5 * s + 0.5 * t)),
            Schedule::Exponential { scale, ln_base } => {
                scale * (s * ln_base).exp() * (span * ln_base).exp_m1()
            }
            Schedule::LogLinear { left } => {
                let from = remaining(left, s);
                minus_ln(remaining(left, t) / from, -(1.0 - left) * span / from)
            }
            Schedule::Cosine => {
                // The square root of what is left is √2 sin a with the angle a = π(1 - t)/4.
                let (from, to, between) = (FRAC_PI_4 * (1.0 - s), FRAC_PI_4 * (1.0 - t), FRAC_PI_4 * span);
                let change = -2.0 * (0.5 * between).sin().powi(2) - between.sin() / from.tan();
                2.0 * minus_ln(to.sin() / from.sin(), change)
            }
        })
    }

    /// The time t at which $`B(0, t)`$ is `clock`.
    ///
    /// ```
    /// let beta = ctmc::TimeChange::cosine();
    /// assert!((beta.integral(0.0, beta.time_at(2.5)?)? - 2.5).abs() < 1e-14);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the clock is negative or NaN, or stands at more than the schedule reaches.
    pub fn time_at(&self, clock: f64) -> Result<f64, Error> {
        let time = if clock >= 0.0 { self.inverse(clock) } else { f64::NAN };
        let ok = time <= self.end();
        Error::domain(ok, "clock", clock, "at least 0, and no more than the schedule reaches")?;
        Ok(time)
    }

    /// [`TimeChange::time_at`] of a clock that is not negative; infinite beyond the schedule.
    pub(crate) fn inverse(&self, clock: f64) -> f64 {
        match self.0 {
            Schedule::Linear { start, slope: 0.0 } => clock / start,
            Schedule::Linear { start, slope } => {
                let root = start.hypot(SQRT_2 * slope.sqrt() * clock.sqrt());
                // At the ends zero over zero, if the schedule starts at 0, and infinity over infinity.
                if clock == 0.0 || clock.is_infinite() { clock } else { clock / (0.5 * start + 0.5 * root) }
            }
            Schedule::Exponential { scale, ln_base } => (clock / scale).ln_1p() / ln_base,
            Schedule::LogLinear { left } if clock > -left.ln() => f64::INFINITY,
            Schedule::LogLinear { left } => (-(-clock).exp_m1() / (1.0 - left)).min(1.0),
            // Early the half angle is near π/4 and loses the digits of a short time, late it keeps those of 1 - t.
            Schedule::Cosine if clock < 1.0 => (-(-clock).exp_m1()).asin() * 2.0 / PI,
            Schedule::Cosine => 1.0 - ((-0.5 * clock).exp() / SQRT_2).asin() / FRAC_PI_4,
        }
    }

    /// The last time of the schedule.
    pub(crate) fn end(&self) -> f64 {
        match self.0 {
            Schedule::LogLinear { .. } | Schedule::Cosine => 1.0,
            _ => f64::MAX,
        }
    }

    fn check(&self, parameter: &'static str, t: f64) -> Result<(), Error> {
        Error::domain((0.0..=self.end()).contains(&t), parameter, t, "a time of the schedule")
    }
}

/// $`1 - (1 - \varepsilon) t`$ without cancellation near 1.
fn remaining(left: f64, t: f64) -> f64 {
    left * t + (1.0 - t)
}

/// Minus the logarithm of a ratio, which is also given as its distance from 1.
fn minus_ln(ratio: f64, ratio_minus_1: f64) -> f64 {
    if ratio < 0.5 { -ratio.ln() } else { -ratio_minus_1.ln_1p() }
}
