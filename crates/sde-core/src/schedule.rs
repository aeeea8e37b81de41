//! Variance-preserving processes and the clock they share.

use numeric::{Error, Level, Schedule, Time};

/// A linear noising process `x_t = α x_0 + σ z` whose noise-to-signal ratio σ/α increases along time: what a
/// reverse-time run needs to know.
///
/// In `u = x/α` every such process is Brownian motion run by the clock `v = (σ/α)²`; processes differ in when
/// they reach a ratio, in the scale α that their model sees, and in what they start from.
pub trait LinearProcess: Schedule {
    /// Standard deviation of the centred Gaussian that a run starts from at `time`.
    fn start_std(&self, time: Time) -> f64;

    /// The time at which σ/α is `ratio`.
    ///
    /// # Errors
    /// [`Error::Domain`] if it never is: NaN, negative, or beyond the process's end.
    fn time_at_ratio(&self, ratio: f64) -> Result<Time, Error>;
}

impl<P: LinearProcess + ?Sized> LinearProcess for &P {
    fn start_std(&self, time: Time) -> f64 {
        (**self).start_std(time)
    }
    fn time_at_ratio(&self, ratio: f64) -> Result<Time, Error> {
        (**self).time_at_ratio(ratio)
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
                Error::domain(ratio >= 0.0 && ratio.is_finite(), "ratio", ratio, "a finite number of at least 0")?;
                // ½ ln(1 + r²), without overflow.
                self.time_at(if ratio < 1e150 { 0.5 * (ratio * ratio).ln_1p() } else { ratio.ln() })
            }
        }
    )*};
}
linear_process!(Ou, LinearVp, CosineVp);

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

/// α, σ and derivatives from the clock and its speed: `α = e^{−τ}`, `σ = √(1 − e^{−2τ})`.
fn level(clock: f64, rate: f64) -> Level {
    let alpha = (-clock).exp();
    let sigma = (-(-2.0 * clock).exp_m1()).sqrt();
    Level { alpha, sigma, d_alpha: -rate * alpha, d_sigma: rate * alpha * alpha / sigma }
}

/// The standard kernel between two times of a variance-preserving process, from their clocks.
///
/// ```math
/// X_t \mid X_s \sim N\big(e^{-(\tau_t - \tau_s)} X_s,\ (1 - e^{-2(\tau_t - \tau_s)}) I\big), \qquad s \le t.
/// ```
///
/// Returns (mean factor, standard deviation).
///
/// ```
/// use numeric::Time;
/// let (a, s) = sde_core::transition(&sde_core::Ou, Time::of(0.2), Time::of(0.9))?;
/// assert!((a - (-0.7_f64).exp()).abs() < 1e-15 && (a * a + s * s - 1.0).abs() < 1e-15);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # Errors
/// [`Error::Domain`] if the clock does not advance from `from` to `to` (equal clocks give the identity).
pub fn transition(process: &impl VariancePreserving, from: Time, to: Time) -> Result<(f64, f64), Error> {
    let gap = process.clock(to) - process.clock(from);
    Error::domain(gap >= 0.0, "to", to.t, "a time not before `from`")?;
    Ok(((-gap).exp(), (-(-2.0 * gap).exp_m1()).sqrt()))
}

fn checked_clock(clock: f64) -> Result<(), Error> {
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
        level(self.clock(time), self.rate(time))
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
        Error::domain(clock <= end, "clock", clock, "at most the clock at t = 1")?;
        // The root of ½Δt² + β₀t = 2τ in the form that does not cancel.
        let (b, slope) = (self.beta_min, self.beta_max - self.beta_min);
        let t = if clock == 0.0 { 0.0 } else { 4.0 * clock / (b + (b * b + 4.0 * slope * clock).sqrt()) };
        Ok(Time { t, to_end: 1.0 - t })
    }
}

/// The cosine schedule in continuous time (Nichol and Dhariwal 2021):
/// `α(t) = cos(φ (t + s)) / cos(φ s)`, `φ = π / (2 (1 + s))`, on `0 ≤ t < 1`.
///
/// At t = 1 the signal is exactly 0 and the clock infinite: a run starts at [`time_at`] of a finite clock.
/// Nothing is clipped; next to the end α is computed from `to_end`.
///
/// [`time_at`]: VariancePreserving::time_at
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct CosineVp {
    shift: f64,
}

impl CosineVp {
    /// The schedule with offset s = `shift` (0.008 in the paper).
    ///
    /// # Errors
    /// [`Error::Domain`] unless `shift` is positive: with 0 the speed of the clock would vanish at the data.
    pub fn new(shift: f64) -> Result<CosineVp, Error> {
        Error::positive("shift", shift)?;
        Ok(CosineVp { shift })
    }

    /// φ and the angle φ s at the data.
    fn angles(&self) -> (f64, f64) {
        let phi = std::f64::consts::FRAC_PI_2 / (1.0 + self.shift);
        (phi, phi * self.shift)
    }
}

impl Schedule for CosineVp {
    fn level(&self, time: Time) -> Level {
        let (phi, start) = self.angles();
        let mut level = level(self.clock(time), self.rate(time));
        if time.t >= 1.0 && time.to_end <= 0.0 {
            // The clock and its speed are infinite here, their product with α is not.
            level.d_alpha = -phi / start.cos();
            level.d_sigma = 0.0;
        }
        level
    }
}

impl VariancePreserving for CosineVp {
    fn clock(&self, time: Time) -> f64 {
        let (phi, start) = self.angles();
        if time.t < 0.5 {
            // cos(start + x)/cos(start) = 1 − (2 sin²(x/2) + tan(start) sin x)
            let x = phi * time.t;
            -(-(2.0 * (0.5 * x).sin().powi(2) + start.tan() * x.sin())).ln_1p()
        } else {
            let to_end = if time.to_end.is_finite() { time.to_end } else { 1.0 - time.t };
            -((phi * to_end).sin() / start.cos()).ln()
        }
    }
    fn rate(&self, time: Time) -> f64 {
        let (phi, start) = self.angles();
        if time.t < 0.5 {
            phi * (start + phi * time.t).tan()
        } else {
            let to_end = if time.to_end.is_finite() { time.to_end } else { 1.0 - time.t };
            phi / (phi * to_end).tan()
        }
    }
    fn time_at(&self, clock: f64) -> Result<Time, Error> {
        checked_clock(clock)?;
        let (phi, start) = self.angles();
        // With u = tan(x/2): (2 − q) u² + 2 tan(start) u − q = 0, q = 1 − e^{−τ}.
        let (q, slope) = (-(-clock).exp_m1(), start.tan());
        let u = q / (slope + (slope * slope + q * (2.0 - q)).sqrt());
        let to_end = ((-clock).exp() * start.cos()).asin() / phi;
        let t = 2.0 * u.atan() / phi;
        Ok(if t < 0.5 { Time { t, to_end: 1.0 - t } } else { Time { t: 1.0 - to_end, to_end } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn processes() -> Vec<Box<dyn VariancePreserving>> {
        let linear = |a, b| Box::new(LinearVp::new(a, b).expect("valid"));
        vec![
            Box::new(Ou),
            linear(0.1, 20.0),
            linear(0.0, 3.0),
            linear(2.0, 2.0),
            Box::new(CosineVp::new(0.008).expect("valid")),
            Box::new(CosineVp::new(1e-3).expect("valid")),
        ]
    }

    #[test]
    fn the_clock_and_its_inverse_agree_from_1e_12_to_the_end() {
        for process in processes() {
            for clock in [0.0, 1e-12, 1e-6, 1e-3, 0.1, 0.7, 0.74] {
                let time = process.time_at(clock).expect("in range");
                assert!((process.clock(time) - clock).abs() <= 4e-14 * clock, "{clock} {time:?}");
            }
        }
        let cosine = CosineVp::new(0.008).expect("valid");
        for clock in [1.0, 5.0, 20.0, 300.0] {
            let time = cosine.time_at(clock).expect("no end");
            assert!((cosine.clock(time) - clock).abs() <= 1e-13 * clock, "{clock} {time:?}");
        }
    }

    #[test]
    fn many_levels_are_those_of_one_time_each() {
        let times: Vec<Time> =
            (0..200).map(|i| Time::of(1e-12 * 1.18_f64.powi(i))).chain([Time::of(0.0)]).collect();
        for process in processes() {
            let times: Vec<Time> = times.iter().filter_map(|time| process.time_at(time.t).ok()).collect();
            let mut levels = Vec::new();
            process.levels_into(&times, &mut levels);
            assert_eq!(levels.len(), times.len());
            for (found, &time) in levels.iter().zip(&times) {
                let exact = process.level(time);
                // At t = 0 a process without noise to start with has no σ'.
                let near =
                    |a: f64, b: f64| a == b || (a.is_nan() && b.is_nan()) || (a / b - 1.0).abs() < 4e-15;
                assert!(near(found.alpha, exact.alpha) && near(found.sigma, exact.sigma), "{time:?}");
                assert!(near(found.d_alpha, exact.d_alpha) && near(found.d_sigma, exact.d_sigma), "{time:?}");
            }
        }
    }

    #[test]
    fn speeds_and_derivatives_agree_with_differences() {
        for process in processes() {
            for t in [0.05, 0.3, 0.49, 0.51, 0.7, 0.95] {
                let at = |t: f64| Time { t, to_end: 1.0 - t };
                let h = 1e-5;
                let slope = |f: &dyn Fn(f64) -> f64| {
                    (8.0 * (f(t + h) - f(t - h)) - (f(t + 2.0 * h) - f(t - 2.0 * h))) / (12.0 * h)
                };
                let level = process.level(at(t));
                let rate = slope(&|t| process.clock(at(t)));
                assert!((rate / process.rate(at(t)) - 1.0).abs() < 1e-8);
                assert!((slope(&|t| process.level(at(t)).alpha) - level.d_alpha).abs() < 1e-8);
                assert!((slope(&|t| process.level(at(t)).sigma) - level.d_sigma).abs() < 1e-7);
                assert!((level.alpha.powi(2) + level.sigma.powi(2) - 1.0).abs() < 1e-15);
            }
        }
    }

    #[test]
    fn the_cosine_schedule_is_the_papers_and_its_ends_are_exact() {
        let cosine = CosineVp::new(0.008).expect("valid");
        let paper = |t: f64| ((t + 0.008) / 1.008 * std::f64::consts::FRAC_PI_2).cos();
        for t in [0.0, 0.1, 0.5, 0.9, 0.99] {
            let level = cosine.level(Time { t, to_end: 1.0 - t });
            assert!((level.alpha - paper(t) / paper(0.0)).abs() < 1e-14);
        }
        let end = cosine.level(Time { t: 1.0, to_end: 0.0 });
        assert_eq!((end.alpha, end.sigma, end.d_sigma), (0.0, 1.0, 0.0));
        assert!(end.d_alpha.is_finite());
        let start = cosine.level(Time { t: 0.0, to_end: 1.0 });
        assert_eq!((start.alpha, start.sigma), (1.0, 0.0));
        // Close to the end the signal is far below the spacing of `t`, and still right.
        let close = cosine.level(Time { t: 1.0, to_end: 1e-30 });
        assert!(close.alpha > 1e-30 && close.alpha < 2e-30);
    }

    #[test]
    fn bad_parameters_are_refused() {
        for (a, b) in [(-1.0, 1.0), (f64::NAN, 1.0), (2.0, 1.0), (0.0, 0.0), (0.0, f64::INFINITY)] {
            assert!(LinearVp::new(a, b).is_err());
        }
        for shift in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(CosineVp::new(shift).is_err());
        }
        assert!(LinearVp::new(0.1, 20.0).expect("valid").time_at(5.1).is_err());
        assert!(Ou.time_at(f64::NAN).is_err() && Ou.time_at(-0.1).is_err());
        assert!(transition(&Ou, Time::of(1.0), Time::of(0.5)).is_err());
    }
}
