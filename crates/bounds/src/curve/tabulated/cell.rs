//! One cell of a table, and the monotone cubic through all of them.

/// Between two nodes.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub(super) struct Cell {
    /// 1/mmse as a polynomial in the part t of the way to the second node.
    pub(super) inverse: [f64; 4],
    pub(super) width: f64,
    /// 1/width.
    pub(super) scale: f64,
    /// Mutual information at the first node.
    pub(super) information: f64,
}

impl Cell {
    /// 1/mmse.
    pub(super) fn inverse(&self, t: f64) -> f64 {
        // Not 0 times ∞, where the error vanishes at the second node.
        if t == 0.0 { self.inverse[0] } else { self.inverse[0] + self.rise(0.0, t) }
    }

    /// What 1/mmse rises by between t and t + s, without cancellation.
    #[inline(always)]
    pub(super) fn rise(&self, t: f64, s: f64) -> f64 {
        let [_, b, c, d] = self.inverse;
        s * (b + c * (2.0 * t + s) + d * (3.0 * t * (t + s) + s * s))
    }

    /// Slope of 1/mmse in η.
    pub(super) fn slope(&self, t: f64) -> f64 {
        let [_, b, c, d] = self.inverse;
        (b + t * (2.0 * c + t * 3.0 * d)) * self.scale
    }

    /// $`\frac12\int \mathrm{mmse}\,dη`$ between `from` and `to`: in closed form what it would be with 1/mmse linear on
    /// the way, and the small rest by three points; in halves while 1/mmse rises by more than a quarter.
    pub(super) fn gain(&self, from: f64, to: f64) -> f64 {
        let (start, rise) = (self.inverse(from), self.rise(from, to - from));
        let growth = rise / start;
        if to == from || !growth.is_finite() {
            return 0.0;
        }
        let middle = 0.5 * (from + to);
        if growth > 0.25 && middle > from && middle < to {
            return self.gain(from, middle) + self.gain(middle, to);
        }
        let rise_at = |share: f64| self.rise(from, share * (to - from));
        0.5 * self.width
            * (to - from)
            * mean_inverse(start, rise, growth.ln_1p(), GAUSS.map(|(share, _)| rise_at(share)))
    }
}

/// The mean of 1/(start + r(t)) over t in [0, 1], r rising from 0 by `rise`, a small part of `start`; given log(1 + rise/start) and r at
/// the points of [`GAUSS`].
#[inline(always)]
pub(super) fn mean_inverse(start: f64, rise: f64, log: f64, rises: [f64; 3]) -> f64 {
    let growth = rise / start;
    // log(1 + growth)/growth.
    let line = if growth.abs() < 1e-8 { 1.0 - 0.5 * growth } else { log / growth };
    let mut rest = 0.0;
    for ((share, w), part) in GAUSS.into_iter().zip(rises) {
        let line = share * rise;
        rest += w * (line - part) / ((start + line) * (start + part));
    }
    line / start + rest
}

/// Nodes and weights of the Gauss–Legendre rule of three points on [0, 1].
pub(super) const GAUSS: [(f64, f64); 3] = [
    (0.112_701_665_379_258_31, 0.277_777_777_777_777_8),
    (0.5, 0.444_444_444_444_444_4),
    (0.887_298_334_620_741_7, 0.277_777_777_777_777_8),
];

/// Slopes of a monotone cubic through the values, by Fritsch and Butland's mean of the neighbouring secants, of what
/// exceeds the slope `least`; at the ends the secants.
pub(super) fn slopes(x: &[f64], y: &[f64], least: f64) -> Vec<f64> {
    let secant = |i: usize| (y[i + 1] - y[i]) / (x[i + 1] - x[i]) - least;
    let cells = x.len() - 1;
    let at = |i: usize| {
        if i == 0 || i == cells {
            return secant(i.saturating_sub(usize::from(i == cells)));
        }
        let (before, after) = (secant(i - 1), secant(i));
        if before <= 0.0 || after <= 0.0 {
            return 0.0;
        }
        let (h, k) = (x[i] - x[i - 1], x[i + 1] - x[i]);
        // The weighted harmonic mean; before where after is infinite.
        let part = (h + 2.0 * k) / (3.0 * (h + k));
        (part / after + (1.0 - part) / before).recip()
    };
    (0..=cells).map(|i| least + at(i)).collect()
}
