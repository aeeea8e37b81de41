//! What is decided of a row after a correction.

use numeric::Real;

use crate::lanes::{LANES, Lanes, top};

/// Less than any square.
pub(super) const CLOSED: f64 = -1.0;

/// When the iteration of a row ends, and when its corrections do not shrink fast enough. All lengths are compared by their
/// squares, which need no roots.
pub(super) struct Rule<F> {
    /// What may be left to correct of a row, relative to its length.
    pub(super) tolerance: F,
    /// The largest square of a correction, relative to the one before.
    pub(super) contraction: F,
    /// The longer of a correction and of all after it together, if they shrink so, relative to it; its square.
    pub(super) to_come: F,
}

impl<F: Real> Rule<F> {
    /// For systems of d equations, with corrections that are at most `most` times as long as those before.
    pub(super) fn of(d: usize, most: f64) -> Rule<F> {
        let tolerance = F::epsilon().sqrt() * F::epsilon().sqrt().sqrt();
        // A fresh Jacobian costs d evaluations, an elimination that we take for five more, and some three iterations. With
        // this contraction, without it as many iterations lead from 1 to the tolerance.
        let contraction = tolerance.powf(F::of(1.0 / (d + 8) as f64)).min(F::of(most));
        let to_come = (contraction / (F::one() - contraction)).max(F::one());
        Rule { tolerance, contraction: contraction * contraction, to_come: to_come * to_come }
    }

    /// What is allowed after corrections of these squares, of rows of which vectors of the squares `enough` may be left to
    /// correct; returns the largest of it.
    #[inline(always)]
    pub(super) fn decide(
        &self,
        allowed: &mut Lanes<F>,
        previous: &mut Lanes<F>,
        squares: &Lanes<F>,
        enough: &Lanes<F>,
    ) -> F {
        let (zero, infinity, closed) = (F::zero(), F::infinity(), F::of(CLOSED));
        let (mut next, mut last) = (*allowed, *previous);
        for lane in 0..LANES {
            let (square, most, before) = (squares[lane], next[lane], last[lane]);
            let open = most >= zero;
            let made = square <= most;
            let shrunk = square <= self.contraction * before;
            last[lane] = if made { square } else { before };
            let more = if shrunk { self.contraction * square } else { infinity };
            // How much the last one shrank does not say how those to come will: a coordinate that is soon right hides the others.
            let done = !open | (made & (self.to_come * square <= enough[lane]) & (square < infinity));
            next[lane] = if done { closed } else { more };
        }
        (*allowed, *previous) = (next, last);
        top(next)
    }
}
