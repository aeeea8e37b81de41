//! The fixed-point iteration of implicit steps, for rows that need no Jacobian.

use numeric::ndarray::ArrayRef2;
use numeric::{Error, Real, Scratch, fixed_point, vectorize};

use super::rule::{CLOSED, Rule};
use crate::Sde;
use crate::integrator::SdeStep;
use crate::lanes::{LANES, Lanes, top};
use crate::sde::coefficients::{slice, slice_mut};
use crate::sde::{put_rows, take_rows};

/// What is known of the rows of a group, each in its lane.
#[derive(Clone, Copy, Debug)]
struct Group<F> {
    /// The largest square of a correction that a row makes: [`CLOSED`] of rows that iterate no longer and of lanes
    /// without a row, infinite of a row that has to begin or does not contract.
    allowed: Lanes<F>,
    /// Square of its last correction; infinite before the first.
    previous: Lanes<F>,
    /// The square of what may be left to correct of it, relative to what its solution is computed from, `known` and the first
    /// correction.
    enough: Lanes<F>,
    /// Whether a row still iterates.
    open: bool,
}

/// Takes the rows at x to the solutions of `X' = known + f(t', X') h` by `Y ← known + f(t', Y) h`, from x on, where that
/// contracts; returns the numbers of the others, which stay at x.
pub(super) fn iterate<F: Real>(
    sde: &dyn Sde<F>,
    step: &SdeStep<'_, F>,
    known: &ArrayRef2<F>,
    x: &mut ArrayRef2<F>,
    scratch: &mut Scratch,
) -> Result<Vec<usize>, Error> {
    let (n, d) = x.dim();
    let (rule, h) = (Rule::of(d, 0.75), F::of(step.length));
    let [mut y, mut next] = take_rows::<F, 2>(scratch, (n, d));
    let mut groups: Vec<Group<F>> = scratch.take();
    groups.clear();
    groups.extend(slice(x).chunks(LANES * d).map(|x| {
        let [mut allowed, previous] = [[F::of(CLOSED); LANES], [F::infinity(); LANES]];
        allowed[..x.len() / d].fill(F::infinity());
        Group { allowed, previous, enough: [F::zero(); LANES], open: true }
    }));
    let (mut left, mut first) = (Vec::<usize>::new(), true);
    while groups.iter().any(|group| group.open) {
        sde.drift_into(&step.batch_at(1.0, if first { known } else { &y }), &mut next, scratch)?;
        let old = slice(&y).chunks(LANES * d).zip(slice(known).chunks(LANES * d));
        let new = slice_mut(&mut next).chunks_mut(LANES * d).zip(slice_mut(x).chunks_mut(LANES * d));
        for (number, (((y, known), (next, x)), group)) in old.zip(new).zip(&mut groups).enumerate() {
            if !group.open {
                next.copy_from_slice(x);
                continue;
            }
            let (mut squares, rows) = ([F::zero(); LANES], x.len() / d);
            if first {
                let lengths = Some(&mut group.enough[..rows]);
                fixed_point(h, known, known, next, d, &mut squares[..rows], lengths);
                for (enough, square) in group.enough.iter_mut().zip(&mut squares) {
                    *enough = rule.tolerance * rule.tolerance * (F::one() + *enough + *square);
                    // Nothing would ever be that: the row is left.
                    *square = if *enough < F::infinity() { *square } else { *enough };
                }
            } else {
                fixed_point(h, y, known, next, d, &mut squares[..rows], None);
            }
            let before = group.allowed;
            if group.decide(&rule, &squares) {
                continue;
            }
            group.open = false;
            let rows = next.chunks_exact_mut(d).zip(x.chunks_exact_mut(d)).zip(&mut group.allowed);
            for (lane, ((next, x), allowed)) in rows.enumerate() {
                if *allowed == F::infinity() {
                    *allowed = F::of(CLOSED);
                    left.push(number * LANES + lane);
                } else if *allowed >= F::zero() {
                    group.open = true;
                    continue;
                } else if before[lane] >= F::zero() {
                    x.copy_from_slice(next);
                    continue;
                }
                // The equation is asked for nothing beyond.
                next.copy_from_slice(x);
            }
        }
        std::mem::swap(&mut y, &mut next);
        first = false;
    }
    left.sort_unstable();
    put_rows(scratch, [y, next]);
    scratch.put(groups);
    Ok(left)
}

impl<F: Real> Group<F> {
    /// Decides on corrections of these squares; whether all lanes go on.
    fn decide(&mut self, rule: &Rule<F>, squares: &Lanes<F>) -> bool {
        vectorize(
            #[inline(always)]
            || {
                rule.decide(&mut self.allowed, &mut self.previous, squares, &self.enough);
                top(self.allowed) < F::infinity() && top(self.allowed.map(|allowed| -allowed)) <= F::zero()
            },
        )
    }
}
