//! Low-discrepancy times.

use std::ops::Range;

use numeric::{Error, Noise, Time};

/// The fractional parts of the golden ratio and of √2, times $`2^{64}`$: products wrap where fractions do.
const ROW: u64 = 0x9E37_79B9_7F4A_7C15;
const DRAW: u64 = 0x6A09_E667_F3BC_C908;

/// A uniform on (0, 1) for each row of a draw.
pub(super) fn uniforms(rows: Range<u64>, draw: u64, noise: Noise) -> impl Iterator<Item = f64> {
    let shift = noise.fork("times").row_stream(0).next_u64().wrapping_add(draw.wrapping_mul(DRAW));
    rows.map(move |row| {
        let bits = shift.wrapping_add(row.wrapping_mul(ROW));
        ((bits >> 11) as f64 + 0.5) * 0.5_f64.powi(53)
    })
}

/// Times between which an objective integrates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Span {
    pub(super) start: f64,
    pub(super) end: f64,
}

impl Span {
    pub(super) fn new(start: f64, end: f64) -> Result<Span, Error> {
        Error::positive("end", end)?;
        Error::domain(start >= 0.0 && start < end, "start", start, "at least 0 and before the end")?;
        Ok(Span { start, end })
    }

    /// The time of u, and dt/du.
    pub(super) fn cubic(&self, u: f64) -> (f64, f64) {
        let length = self.end - self.start;
        (self.start + length * u * u * u, 3.0 * length * u * u)
    }

    pub(super) fn time(&self, t: f64) -> Time {
        Time { t, to_end: self.end - t }
    }
}
