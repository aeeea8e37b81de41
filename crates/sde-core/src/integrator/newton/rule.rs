//! What is decided of a row after a correction.

use numeric::Real;

use crate::lanes::{LANES, Lanes, top};

/// Less than any square.
pub(super) const CLOSED: f64 = -1.0;

/// When rows close and when they ask for a fresh Jacobian.
pub(super) struct Rule<F> {
    pub(super) tolerance: F,
    /// Of squares.
    pub(super) contraction: F,
}

impl<F: Real> Rule<F> {
    /// What is allowed after corrections of these squares, of rows of these sizes; returns the largest of it.
    #[inline(always)]
    pub(super) fn decide(
        &self,
        allowed: &mut Lanes<F>,
        previous: &mut Lanes<F>,
        worst: &mut Lanes<F>,
        squares: &Lanes<F>,
        sizes: &Lanes<F>,
    ) -> F {
        let (zero, one, infinity, closed) = (F::zero(), F::one(), F::infinity(), F::of(CLOSED));
        let (mut next, mut last, mut largest) = (*allowed, *previous, *worst);
        for lane in 0..LANES {
            let (square, most) = (squares[lane], next[lane]);
            let open = most >= zero;
            let made = square <= most;
            let counted = if open { square } else { zero };
            largest[lane] = if counted > largest[lane] { counted } else { largest[lane] };
            let shrunk = square <= self.contraction * last[lane];
            last[lane] = if made { square } else { last[lane] };
            let more = if shrunk { self.contraction * last[lane] } else { infinity };
            let small = self.tolerance * (one + sizes[lane]);
            // What is not finite is not small, whatever the size.
            let small = (square <= small * small) & (square < infinity);
            let done = !open | (made & small);
            next[lane] = if done { closed } else { more };
        }
        (*allowed, *previous, *worst) = (next, last, largest);
        top(next)
    }
}
