//! One accepted step of one row, with its dense output.

use numeric::{Real, Time};

use crate::apart::Apart;

/// A step that a method has taken with one row: its ends, and the solution between them.
///
/// ```math
/// x(\theta) = x_0 + \theta^2 (3 - 2\theta)(x_1 - x_0) + h\,\theta (1-\theta)^2 V_0 - h\,\theta^2 (1-\theta) V_1
///            + h\,\theta^2 (1-\theta)^2 \textstyle\sum_i d_i k_i :
/// ```
/// the cubic Hermite interpolant of both ends and, for the pairs of order 5, the quartic term that makes it of order 4.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a, F> {
    /// Position of the row in its block.
    pub(super) place: usize,
    pub(super) from: Time,
    pub(super) to: Time,
    /// Signed length.
    pub(super) h: f64,
    pub(super) start: &'a [F],
    pub(super) end: &'a [F],
    /// The stages of the whole block; empty for methods without dense output.
    pub(super) stages: &'a [Apart<F>],
    /// Where the row is in them.
    pub(super) offset: usize,
    pub(super) bend: &'a [f64],
}

/// Weights of `x_1 − x_0`, `h V_0`, `h V_1` and `h Σ d_i k_i`.
pub(super) fn weights(theta: f64) -> [f64; 4] {
    let rest = 1.0 - theta;
    [
        theta * theta * (3.0 - 2.0 * theta),
        theta * rest * rest,
        -theta * theta * rest,
        theta * theta * rest * rest,
    ]
}

impl<F: Real> Piece<'_, F> {
    /// Writes the solution at the fraction `theta` of the step over `out`; at 0 and 1 exactly its ends.
    pub(super) fn at(&self, theta: f64, out: &mut [F]) {
        if theta <= 0.0 {
            return out.copy_from_slice(self.start);
        }
        if theta >= 1.0 {
            return out.copy_from_slice(self.end);
        }
        let [rise, first, last, bend] = weights(theta);
        let stage = |i: usize| &self.stages[i][self.offset..][..out.len()];
        let (v0, v1) = (stage(0), stage(self.stages.len() - 1));
        let (rise, first, last) = (F::of(rise), F::of(self.h * first), F::of(self.h * last));
        for (j, out) in out.iter_mut().enumerate() {
            let x = self.start[j];
            *out = x + (rise * (self.end[j] - x) + (first * v0[j] + last * v1[j]));
        }
        for (i, d) in self.bend.iter().enumerate().filter(|(_, d)| **d != 0.0) {
            let weight = F::of(self.h * bend * d);
            let k = &self.stages[i][self.offset..][..out.len()];
            out.iter_mut().zip(k).for_each(|(out, &k)| *out += weight * k);
        }
    }

    /// The time at the fraction `theta`; at 0 and 1 exactly the ends.
    pub(super) fn time(&self, theta: f64) -> Time {
        if theta >= 1.0 { self.to } else { advance(self.from, theta * self.h) }
    }
}

/// `time + h`; both distances move, each with its own rounding, so that neither end of the axis loses digits.
pub(super) fn advance(time: Time, h: f64) -> Time {
    Time { t: time.t + h, to_end: time.to_end - h }
}

/// `to − from`, from whichever of `t` and `to_end` gives it more exactly, as [`numeric::TimeGrid::length`].
pub(crate) fn gap(from: Time, to: Time) -> f64 {
    if to.t.abs().max(from.t.abs()) <= from.to_end.max(to.to_end) {
        to.t - from.t
    } else {
        from.to_end - to.to_end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Beside either end of the axis, whose distance has the digits that the other one has lost.
    #[test]
    fn times_keep_their_digits_at_both_ends() {
        let tiny = 2.0_f64.powi(-70);
        let (near, end) = (Time { t: 1.0, to_end: tiny }, Time { t: 1.0, to_end: 0.0 });
        assert_eq!((gap(near, end), gap(end, near)), (tiny, -tiny));
        let (data, start) = (Time { t: tiny, to_end: 1.0 }, Time { t: 0.0, to_end: 1.0 });
        assert_eq!((gap(start, data), gap(data, start)), (tiny, -tiny));
        assert_eq!(gap(Time::of(1.0), Time::of(3.0)), 2.0);
        let far = Time { t: 1.0, to_end: 5.0 * tiny };
        assert_eq!((gap(far, near), near.between(far, 0.25).to_end), (4.0 * tiny, 2.0 * tiny));
        assert_eq!(advance(near, -3.0 * tiny).to_end, 4.0 * tiny);
        assert_eq!(advance(Time { t: 0.25, to_end: 0.75 }, 0.5), Time { t: 0.75, to_end: 0.25 });
        let states = [0.0];
        let (stages, bend) = (&[][..], &[][..]);
        // The end as it was given, not as it comes out.
        let piece: Piece<'_, f64> = Piece {
            place: 0,
            from: near,
            to: end,
            h: 2.0 * tiny,
            start: &states,
            end: &states,
            stages,
            offset: 0,
            bend,
        };
        assert_eq!((piece.time(0.0), piece.time(1.0), piece.time(0.25).to_end), (near, end, 0.5 * tiny));
    }
}
