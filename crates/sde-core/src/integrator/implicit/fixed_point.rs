//! The fixed-point iteration of implicit steps, for rows that need no Jacobian.

use numeric::ndarray::{Array2, ArrayRef2};
use numeric::{Error, Real, Scratch, vectorize};

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
    /// without a row.
    allowed: Lanes<F>,
    /// Square of its last correction; infinite before the first.
    previous: Lanes<F>,
}

/// Takes the rows at x to the solutions of `X' = known + f(t', X') h` by `Y ← known + f(t', Y) h`, from x on, where that
/// contracts; returns the numbers of the others, which stay at x.
pub(super) fn iterate<F: Real>(
    sde: &dyn Sde<F>,
    step: &SdeStep<'_, F>,
    known: &Array2<F>,
    x: &mut ArrayRef2<F>,
    scratch: &mut Scratch,
) -> Result<Vec<usize>, Error> {
    let (n, d) = x.dim();
    let (rule, h) = (Rule::of(d), F::of(step.length));
    let [mut y, mut next] = take_rows::<F, 2>(scratch, (n, d));
    slice_mut(&mut y).copy_from_slice(slice(x));
    let mut groups: Vec<Group<F>> = scratch.take();
    groups.clear();
    let infinite = [F::infinity(); LANES];
    groups.resize(n.div_ceil(LANES), Group { allowed: infinite, previous: infinite });
    if let Some(last) = groups.last_mut() {
        last.allowed[(n - 1) % LANES + 1..].fill(F::of(CLOSED));
    }
    let mut left = Vec::new();
    let mut open = groups.len();
    while open > 0 {
        sde.drift_into(&step.batch_at(1.0, &y), &mut next, scratch)?;
        open = 0;
        let size = LANES * d;
        let old = slice(&y).chunks(size).zip(slice(known).chunks(size));
        let new = slice_mut(&mut next).chunks_mut(size).zip(slice_mut(x).chunks_mut(size));
        for (number, (((y, known), (next, x)), group)) in old.zip(new).zip(&mut groups).enumerate() {
            if top(group.allowed) < F::zero() {
                next.copy_from_slice(x);
                continue;
            }
            let [mut squares, mut sizes] = [[F::zero(); LANES]; 2];
            let rows = x.len() / d;
            numeric::fixed_point(h, y, known, next, d, &mut squares[..rows], &mut sizes[..rows]);
            let before = group.allowed;
            let most = vectorize(
                #[inline(always)]
                || rule.decide(&mut group.allowed, &mut group.previous, &squares, &sizes),
            );
            for (lane, (next, x)) in next.chunks_exact_mut(d).zip(x.chunks_exact_mut(d)).enumerate() {
                let allowed = &mut group.allowed[lane];
                if *allowed >= F::zero() && *allowed < F::infinity() {
                    continue;
                }
                if *allowed == F::infinity() {
                    *allowed = F::of(CLOSED);
                    left.push(number * LANES + lane);
                } else if before[lane] >= F::zero() {
                    x.copy_from_slice(next);
                }
                // The equation is asked for nothing beyond.
                next.copy_from_slice(x);
            }
            open += usize::from(most >= F::zero());
        }
        std::mem::swap(&mut y, &mut next);
    }
    put_rows(scratch, [y, next]);
    scratch.put(groups);
    Ok(left)
}
