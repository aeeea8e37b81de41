//! What is decided of a row after a correction.

use numeric::Real;

use crate::lanes::{LANES, Lanes, top};

/// Less than any square.
pub(super) const CLOSED: f64 = -1.0;

/// When rows close and when they ask for a fresh Jacobian.
pub(super) struct Rule<F> {
    /// What is left to correct in the end, relative to `√(1 + |X'|²)`; its square, as all lengths are compared by their squares.
    tolerance: F,
    contraction: F,
    factor: F,
}

impl<F: Real> Rule<F> {
    /// For systems of d equations.
    pub(super) fn of(d: usize) -> Rule<F> {
        let tolerance = F::epsilon().sqrt() * F::epsilon().sqrt().sqrt();
        // A Jacobian costs d evaluations, an elimination that we take for five more, and some three iterations. With this
        // contraction one does as well without, as with the old one: it needs as many iterations from 1 to the tolerance.
        let contraction = tolerance.powf(F::of(1.0 / (d + 8) as f64));
        let contraction = if contraction > F::of(0.75) { F::of(0.75) } else { contraction };
        let left = F::one() - contraction;
        Rule {
            tolerance: tolerance * tolerance,
            contraction: contraction * contraction,
            factor: F::one() / (left * left),
        }
    }

    /// What is allowed after corrections of rows, given the squares of their lengths and of those of the rows; returns the
    /// largest of it.
    #[inline(always)]
    pub(super) fn decide(
        &self,
        allowed: &mut Lanes<F>,
        previous: &mut Lanes<F>,
        squares: &Lanes<F>,
        sizes: &Lanes<F>,
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
            // If those to come shrink by ρ = |Δ|/|the one before|, all together are below ρ/(1 − ρ) |Δ| ≤ 2ρ |Δ|. Of the
            // first no ρ is known, and they count as |Δ|.
            let to_come = if before < infinity { self.factor * (square / before) } else { one } * square;
            // No comparison with what is not finite holds.
            let small = (to_come <= self.tolerance * (one + sizes[lane])) & (square + sizes[lane] < infinity);
            let done = !open | (made & small);
            next[lane] = if done { closed } else { more };
        }
        (*allowed, *previous) = (next, last);
        top(next)
    }
}
