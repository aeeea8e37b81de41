//! The cosine schedule.

use numeric::{Error, Level, Schedule, Time};

use super::vp::level;
use super::{VariancePreserving, before_one};

/// The cosine schedule in continuous time (Nichol and Dhariwal 2021):
/// `α(t) = cos(φ (t + s)) / cos(φ s)`, `φ = π / (2 (1 + s))`, on `0 ≤ t ≤ 1`.
///
/// At t = 1 the signal is exactly 0 and the clock infinite. Methods with a limit there start at it, see
/// [`Sampler`](crate::Sampler); the others at [`time_at`] of a finite clock.
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
        if before_one(time) <= 0.0 {
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
            -((phi * before_one(time)).sin() / start.cos()).ln()
        }
    }
    fn rate(&self, time: Time) -> f64 {
        let (phi, start) = self.angles();
        if time.t < 0.5 { phi * (start + phi * time.t).tan() } else { phi / (phi * before_one(time)).tan() }
    }
    fn time_at(&self, clock: f64) -> Result<Time, Error> {
        Error::domain(clock >= 0.0, "clock", clock, "a number of at least 0")?;
        let (phi, start) = self.angles();
        // With u = tan(x/2): (2 − q) u² + 2 tan(start) u − q = 0, q = 1 − e^{−τ}.
        let (q, slope) = (-(-clock).exp_m1(), start.tan());
        let u = q / (slope + (slope * slope + q * (2.0 - q)).sqrt());
        let to_end = ((-clock).exp() * start.cos()).asin() / phi;
        let t = 2.0 * u.atan() / phi;
        Ok(if t < 0.5 { Time { t, to_end: 1.0 - t } } else { Time { t: 1.0 - to_end, to_end } })
    }
}
