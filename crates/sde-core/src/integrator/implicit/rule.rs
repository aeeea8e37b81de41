//! What is decided of a row after a correction.

use numeric::Real;

use crate::lanes::{LANES, Lanes, top};

/// Less than any square.
pub(super) const CLOSED: f64 = -1.0;

/// When the iteration of a row ends, and when its corrections do not shrink fast enough. All lengths are compared by their
/// squares, which need no roots.
pub(super) struct Rule<F> {
    /// What may be left to correct of a row, relative to `√(1 + |X'|²)`.
    pub(super) tolerance: F,
    /// The largest square of a correction, relative to the one before.
    contraction: F,
    /// A bound for the square of all corrections after one, relative to the next.
    all_to_come: F,
}

impl<F: Real> Rule<F> {
    /// For systems of d equations.
    pub(super) fn of(d: usize) -> Rule<F> {
        let tolerance = F::epsilon().sqrt() * F::epsilon().sqrt().sqrt();
        // A fresh Jacobian costs d evaluations, an elimination that we take for five more, and some three iterations. With
        // this contraction, without it as many iterations lead from 1 to the tolerance. In more dimensions it would come
        // near to 1, where little is said by the last correction of those to come.
        let contraction = tolerance.powf(F::of(1.0 / (d + 8) as f64)).min(F::of(0.75));
        let rest = F::one() - contraction;
        Rule { tolerance, contraction: contraction * contraction, all_to_come: F::one() / (rest * rest) }
    }

    /// What is allowed after corrections of these squares, of rows of which as much as `enough` may be left to correct (finite,
    /// or nothing is); returns the largest of it.
    #[inline(always)]
    pub(super) fn decide(
        &self,
        allowed: &mut Lanes<F>,
        previous: &mut Lanes<F>,
        squares: &Lanes<F>,
        enough: &Lanes<F>,
    ) -> F {
        let (zero, one, infinity, closed) = (F::zero(), F::one(), F::infinity(), F::of(CLOSED));
        let (mut next, mut last) = (*allowed, *previous);
        for lane in 0..LANES {
            let (square, most, before) = (squares[lane], next[lane], last[lane]);
            let open = most >= zero;
            let made = square <= most;
            let shrunk = square <= self.contraction * before;
            last[lane] = if made { square } else { before };
            let more = if shrunk { self.contraction * square } else { infinity };
            // Corrections that shrink by ρ, as the last did, are together at most ρ/(1 − ρ) times as long as it. Of the first, ρ
            // is not known, and they count as long as that.
            let part = if before < infinity { self.all_to_come * (square / before) } else { one };
            let done = !open | (made & (part * square <= enough[lane]) & (enough[lane] < infinity));
            next[lane] = if done { closed } else { more };
        }
        (*allowed, *previous) = (next, last);
        top(next)
    }
}
