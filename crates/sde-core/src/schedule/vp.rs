//! Variance-preserving processes, which share a clock.

use numeric::{Error, Level, Schedule, Time, TimeGrid};

use super::{CosineVp, DiscreteVp, DriftDiffusion, LinearProcess, within_ends};

/// A variance-preserving noising process, which is the Ornstein–Uhlenbeck process in its own clock.
///
/// ```math
/// dX = -r(t)\, X\, dt + \sqrt{2 r(t)}\, dB, \qquad r = \dot\tau = \beta/2, \qquad
/// X_t \mid X_0 \sim N\big(e^{-\tau} X_0,\ (1 - e^{-2\tau}) I\big), \quad \tau = \tau(t).
/// ```
///
/// The clock τ(t) is all that distinguishes one such process from another: a sampler that steps in τ has the
/// same law for all of them. The convention `dX = −X dt + √2 dB` of the convergence theory is [`Ou`], whose
/// clock is time itself; `dX = −½βX dt + √β dB` of the diffusion literature has `r = β/2`.
///
/// ```
/// use sde_core::{CosineVp, LinearVp, Ou, VariancePreserving};
/// # fn main() -> Result<(), numeric::Error> {
/// for process in [&Ou as &dyn VariancePreserving, &LinearVp::new(0.1, 20.0)?, &CosineVp::new(0.008)?] {
///     let time = process.time_at(0.7)?;                    // when is the clock at 0.7?
///     assert!((process.clock(time) - 0.7).abs() < 1e-14);
///     assert!((process.level(time).alpha - (-0.7_f64).exp()).abs() < 1e-14);
/// }
/// # Ok(()) }
/// ```
pub trait VariancePreserving: LinearProcess {
    /// The clock τ(t) ≥ 0, increasing, 0 at t = 0, with full relative accuracy near 0.
    fn clock(&self, time: Time) -> f64;

    /// Speed of the clock, r(t) = dτ/dt = β(t)/2.
    fn rate(&self, time: Time) -> f64;

    /// The time at which the clock shows `clock`.
    ///
    /// # Errors
    /// [`Error::Domain`] if it never does: NaN, negative, or beyond the process's end.
    fn time_at(&self, clock: f64) -> Result<Time, Error>;

    /// The β of the discrete chain with the same law at the nodes of a grid: `β_i = 1 − α_{i+1}²/α_i²`, from data to
    /// noise.
    ///
    /// ```
    /// use numeric::{Schedule, Time, TimeGrid};
    /// use sde_core::{DiscreteVp, LinearVp, VariancePreserving};
    /// let process = LinearVp::new(0.1, 20.0)?;
    /// let betas = process.betas(&TimeGrid::uniform(0.0, 1.0, 1000)?)?;
    /// let discrete = DiscreteVp::from_betas(&betas)?;
    /// let (a, b) = (discrete.level(Time::of(500.0)), process.level(Time::of(0.5)));
    /// assert!((a.alpha - b.alpha).abs() < 1e-13);
    /// // Close to β(t)/N, but not that: β(t)/N is its value for small steps.
    /// assert!((betas[0] / 0.11e-3 - 1.0).abs() < 0.01 && (betas[999] / 20e-3 - 1.0).abs() < 0.02);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Entry`] if a node has a clock that is not finite and at least 0, or β is not within (0, 1).
    fn betas(&self, grid: &TimeGrid) -> Result<Vec<f64>, Error> {
        let mut clocks: Vec<f64> = grid.nodes().iter().map(|&node| self.clock(node)).collect();
        Error::entries("grid", clocks.iter().copied(), "nodes at finite clocks of at least 0", |clock| {
            clock >= 0.0 && clock.is_finite()
        })?;
        if clocks[0] > clocks[1] {
            clocks.reverse();
        }
        let betas: Vec<f64> = clocks.windows(2).map(|pair| -(-2.0 * (pair[1] - pair[0])).exp_m1()).collect();
        Error::entries("betas", betas.iter().copied(), "a number in (0, 1)", |beta| {
            beta > 0.0 && beta < 1.0
        })?;
        Ok(betas)
    }
}

impl<P: VariancePreserving + ?Sized> VariancePreserving for &P {
    fn clock(&self, time: Time) -> f64 {
        (**self).clock(time)
    }
    fn rate(&self, time: Time) -> f64 {
        (**self).rate(time)
    }
    fn time_at(&self, clock: f64) -> Result<Time, Error> {
        (**self).time_at(clock)
    }
}

/// The stationary N(0, I), and `σ/α = √(e^{2τ} − 1)`, for each variance-preserving process.
macro_rules! linear_process {
    ($($process:ty),*) => {$(
        impl LinearProcess for $process {
            fn start_std(&self, _: Time) -> f64 {
                1.0
            }
            fn time_at_ratio(&self, ratio: f64) -> Result<Time, Error> {
                // Infinite where the clock is, which few processes get to.
                let ok = ratio >= 0.0 && (ratio.is_finite() || self.time_at(ratio).is_ok());
                Error::domain(ok, "ratio", ratio, "a number of at least 0 that the process reaches")?;
                // ½ ln(1 + r²), without overflow.
                self.time_at(if ratio < 1e150 { 0.5 * (ratio * ratio).ln_1p() } else { ratio.ln() })
            }
            fn times_at_ratios(&self, ratios: &[f64], out: &mut Vec<Time>) -> Result<(), Error> {
                const CHUNK: usize = 64;
                out.clear();
                for ratios in ratios.chunks(CHUNK) {
                    let mut twice = [0.0; CHUNK];
                    twice.iter_mut().zip(ratios).for_each(|(square, &ratio)| *square = ratio * ratio);
                    numeric::ln_1p_in_place(&mut twice[..ratios.len()]);
                    for (&twice, &ratio) in twice.iter().zip(ratios) {
                        // What `time_at_ratio` refuses or takes another way.
                        let usual = (0.0..1e150).contains(&ratio);
                        out.push(if usual { self.time_at(0.5 * twice)? } else { self.time_at_ratio(ratio)? });
                    }
                }
                Ok(())
            }
            fn fresh_share(&self, from: Time, to: Time) -> f64 {
                let (from, to) = (self.clock(from), self.clock(to));
                (-2.0 * (to - from)).exp_m1() / (-2.0 * to).exp_m1()
            }
            fn transition(&self, from: Time, to: Time) -> Result<(f64, f64), Error> {
                let gap = self.clock(to) - self.clock(from);
                Error::domain(gap >= 0.0, "to", to.t, "a time not before `from`")?;
                Ok(((-gap).exp(), (-(-2.0 * gap).exp_m1()).sqrt()))
            }
            fn drift_and_diffusion(&self, time: Time) -> DriftDiffusion {
                let rate = self.rate(time);
                DriftDiffusion { drift: -rate, diffusion_squared: 2.0 * rate }
            }
        }
    )*};
}
linear_process!(Ou, LinearVp, ScaledLinearVp, CosineVp, DiscreteVp);

/// α, σ and derivatives from the clock and its speed: `α = e^{−τ}`, `σ = √(1 − e^{−2τ})`.
pub(super) fn level(clock: f64, rate: f64) -> Level {
    let alpha = (-clock).exp();
    let sigma = (-(-2.0 * clock).exp_m1()).sqrt();
    Level { alpha, sigma, d_alpha: -rate * alpha, d_sigma: rate * alpha * alpha / sigma }
}

pub(super) fn checked_clock(clock: f64) -> Result<(), Error> {
    Error::domain(clock >= 0.0 && clock.is_finite(), "clock", clock, "a finite number of at least 0")
}

/// The Ornstein–Uhlenbeck process `dX = −X dt + √2 dB`: β = 2, τ = t, no end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ou;

impl Schedule for Ou {
    fn level(&self, time: Time) -> Level {
        level(time.t, 1.0)
    }

    fn levels_into(&self, times: &[Time], out: &mut Vec<Level>) {
        const CHUNK: usize = 64;
        out.clear();
        for times in times.chunks(CHUNK) {
            let n = times.len();
            let [mut x, mut alphas, mut m1] = [[0.0; CHUNK]; 3];
            x.iter_mut().zip(times).for_each(|(x, time)| *x = -time.t);
            numeric::exp_and_exp_m1(&x[..n], &mut alphas[..n], &mut m1[..n]);
            // σ² = (1 − α)(1 + α), with 1 − α to full accuracy; and +0 where it vanishes.
            out.extend(alphas.iter().zip(&m1).take(n).map(|(&alpha, &m1)| {
                let sigma = (-m1 * (2.0 + m1)).sqrt().abs();
                Level { alpha, sigma, d_alpha: -alpha, d_sigma: alpha * alpha / sigma }
            }));
        }
    }
}

impl VariancePreserving for Ou {
    fn clock(&self, time: Time) -> f64 {
        time.t
    }
    fn rate(&self, _: Time) -> f64 {
        1.0
    }
    fn time_at(&self, clock: f64) -> Result<Time, Error> {
        checked_clock(clock)?;
        Ok(Time::of(clock))
    }
}

/// β(t) = β₀ + t (β₁ − β₀) on `0 ≤ t ≤ 1`: the linear schedule (Ho et al. 2020, in the continuous time of
/// Song et al. 2021, where β₀ = 0.1 and β₁ = 20).
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct LinearVp {
    beta_min: f64,
    beta_max: f64,
}

impl LinearVp {
    /// β from `beta_min` at the data to `beta_max` at the noise.
    ///
    /// # Errors
    /// [`Error::Domain`] unless 0 ≤ `beta_min` and 0 < `beta_max` ≥ `beta_min`, both finite.
    pub fn new(beta_min: f64, beta_max: f64) -> Result<LinearVp, Error> {
        let ok = beta_min >= 0.0 && beta_min.is_finite();
        Error::domain(ok, "beta_min", beta_min, "a finite number of at least 0")?;
        Error::positive("beta_max", beta_max)?;
        Error::domain(beta_max >= beta_min, "beta_max", beta_max, "at least beta_min")?;
        Ok(LinearVp { beta_min, beta_max })
    }
}

impl Schedule for LinearVp {
    fn level(&self, time: Time) -> Level {
        let mut level = level(self.clock(time), self.rate(time));
        if time.t == 0.0 && self.beta_min == 0.0 {
            // σ ~ t √(β₁/2): of order t, unlike that of the others.
            level.d_sigma = (0.5 * self.beta_max).sqrt();
        }
        level
    }
}

impl VariancePreserving for LinearVp {
    fn clock(&self, time: Time) -> f64 {
        0.5 * time.t * (self.beta_min + 0.5 * time.t * (self.beta_max - self.beta_min))
    }
    fn rate(&self, time: Time) -> f64 {
        0.5 * (self.beta_min + time.t * (self.beta_max - self.beta_min))
    }
    fn time_at(&self, clock: f64) -> Result<Time, Error> {
        checked_clock(clock)?;
        let end = self.clock(Time { t: 1.0, to_end: 0.0 });
        let clock = within_ends("clock", clock, (0.0, end), "at most the clock at t = 1")?;
        // The root of ½Δt² + β₀t = 2τ in the form that does not cancel.
        let (b, slope) = (self.beta_min, self.beta_max - self.beta_min);
        let t = if clock == 0.0 { 0.0 } else { 4.0 * clock / (b + (b * b + 4.0 * slope * clock).sqrt()) };
        // The clock at 1 may come back as one rounding more.
        let t = t.min(1.0);
        Ok(Time { t, to_end: 1.0 - t })
    }
}

/// β(t) = (√β₀ + t (√β₁ − √β₀))² on `0 ≤ t ≤ 1`: the scaled linear schedule of latent diffusion.
///
/// Stable Diffusion's thousand steps with β from 0.00085 to 0.012 are steps of 1/1000 with β₀ = 0.85, β₁ = 12; its
/// table itself is [`DiscreteVp`] of [`scaled_linear_betas`](crate::scaled_linear_betas).
///
/// ```
/// use sde_core::{ScaledLinearVp, VariancePreserving};
/// use numeric::Time;
/// let process = ScaledLinearVp::new(0.85, 12.0)?;
/// let at = |t: f64| 2.0 * process.rate(Time::of(t));
/// assert!((at(0.0) - 0.85).abs() < 1e-15 && (at(1.0) - 12.0).abs() < 1e-14);
/// assert!((at(0.5).sqrt() - 0.5 * (0.85_f64.sqrt() + 12.0_f64.sqrt())).abs() < 1e-15);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// Rombach, Blattmann, Lorenz, Esser, Ommer (2022), *High-resolution image synthesis with latent diffusion models*
/// (the schedule of its code).
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct ScaledLinearVp {
    root_min: f64,
    root_max: f64,
}

impl ScaledLinearVp {
    /// β from `beta_min` at the data to `beta_max` at the noise.
    ///
    /// # Errors
    /// [`Error::Domain`] unless 0 ≤ `beta_min` and 0 < `beta_max` ≥ `beta_min`, both finite.
    pub fn new(beta_min: f64, beta_max: f64) -> Result<ScaledLinearVp, Error> {
        LinearVp::new(beta_min, beta_max)?;
        Ok(ScaledLinearVp { root_min: beta_min.sqrt(), root_max: beta_max.sqrt() })
    }
}

impl Schedule for ScaledLinearVp {
    fn level(&self, time: Time) -> Level {
        let mut level = level(self.clock(time), self.rate(time));
        if time.t == 0.0 && self.root_min == 0.0 {
            // σ is of order t^{3/2}.
            level.d_sigma = 0.0;
        }
        level
    }
}

impl VariancePreserving for ScaledLinearVp {
    fn clock(&self, time: Time) -> f64 {
        // ½ ∫ (b + Δ s)² ds over [0, t]
        let (b, step) = (self.root_min, time.t * (self.root_max - self.root_min));
        0.5 * time.t * (b * b + b * step + step * step / 3.0)
    }
    fn rate(&self, time: Time) -> f64 {
        0.5 * (self.root_min + time.t * (self.root_max - self.root_min)).powi(2)
    }
    fn time_at(&self, clock: f64) -> Result<Time, Error> {
        checked_clock(clock)?;
        let end = self.clock(Time { t: 1.0, to_end: 0.0 });
        let clock = within_ends("clock", clock, (0.0, end), "at most the clock at t = 1")?;
        // c³ − b³ = 6 Δ τ for c = b + Δ t, in the form that does not cancel.
        let (b, slope) = (self.root_min, self.root_max - self.root_min);
        let c = (b * b * b + 6.0 * slope * clock).cbrt();
        let t = if clock == 0.0 { 0.0 } else { 6.0 * clock / (c * c + c * b + b * b) };
        // The clock at 1 may come back as one rounding more.
        let t = t.min(1.0);
        Ok(Time { t, to_end: 1.0 - t })
    }
}
