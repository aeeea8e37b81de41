//! The fixed-point iteration of implicit steps, for rows that need no Jacobian.

use numeric::fixed_point::{self, Measure};
use numeric::ndarray::ArrayRef2;
use numeric::{Error, Real, Scratch, vectorize};

use super::rule::{CLOSED, Rule};
use crate::Sde;
use crate::integrator::SdeStep;
use crate::lanes::{LANES, Lanes, top};
use crate::sde::coefficients::{slice, slice_mut};
use crate::sde::{put_rows, take_rows};

/// What is known of the rows of a group, each in its lane. All of it follows from the row alone.
#[derive(Clone, Copy, Debug)]
struct Group<F> {
    /// The number of the sweep whose correction a row is judged by next; of a row that iterates no longer, was judged by last.
    due: Lanes<F>,
    /// The first of them of the rows that iterate; infinite without such a row.
    next: F,
    /// The square of the correction of the sweep before that; infinite where nobody looked at it.
    previous: Lanes<F>,
    /// The square of what may be left to correct, relative to what the solution is computed from, `known` and the first
    /// correction.
    enough: Lanes<F>,
}

/// The first sweep that rows are judged by. The one before measures what its tolerance is relative to.
const FIRST: f64 = 2.0;

/// Takes the rows at x to the solutions of `X' = known + f(t', X') h` by `Y ← known + f(t', Y) h`, from known on, where that
/// contracts; returns the numbers of the others, which stay at x, and the evaluations of the drift that rows took, each until it
/// was judged last.
pub(super) fn iterate<F: Real>(
    sde: &dyn Sde<F>,
    step: &SdeStep<'_, F>,
    known: &ArrayRef2<F>,
    x: &mut ArrayRef2<F>,
    scratch: &mut Scratch,
) -> Result<(impl Iterator<Item = usize>, u64), Error> {
    let (n, d) = x.dim();
    let (rule, h) = (Rule::of(d, 0.75), F::of(step.length));
    let [mut y, mut f] = take_rows::<F, 2>(scratch, (n, d));
    let [mut allowed, mut squares]: [Vec<Lanes<F>>; 2] = [scratch.take(), scratch.take()];
    let mut groups: Vec<Group<F>> = scratch.take();
    let infinity = F::infinity();
    for (lanes, value) in [(&mut allowed, F::of(CLOSED)), (&mut squares, F::zero())] {
        lanes.clear();
        lanes.resize(n.div_ceil(LANES), [value; LANES]);
    }
    // The largest squares that the corrections of rows may have; CLOSED of rows that iterate no longer and of lanes without a row.
    allowed.as_flattened_mut()[..n].fill(infinity);

    sde.drift_into(&step.batch_at(1.0, known), &mut f, scratch)?;
    let sweep = |f: &ArrayRef2<F>, y: &mut ArrayRef2<F>, allowed: &[Lanes<F>], measure: Measure<'_, F>| {
        fixed_point::step(h, slice(known), slice(f), slice_mut(y), &allowed.as_flattened()[..n], d, measure);
    };
    sweep(&f, &mut y, &allowed, Measure::Start(&mut squares.as_flattened_mut()[..n]));
    groups.clear();
    groups.extend(squares.iter().map(|lengths| {
        let enough = lengths.map(|length| rule.tolerance * rule.tolerance * (F::one() + length));
        let first = F::of(FIRST);
        Group { due: [first; LANES], next: first, previous: [infinity; LANES], enough }
    }));

    let (mut left, mut made, mut next) = (Vec::new(), F::one(), F::of(FIRST));
    while next < infinity {
        sde.drift_into(&step.batch_at(1.0, &y), &mut f, scratch)?;
        made += F::one();
        if made < next {
            sweep(&f, &mut y, &allowed, Measure::Nothing);
            continue;
        }
        sweep(&f, &mut y, &allowed, Measure::Change(&mut squares.as_flattened_mut()[..n]));
        let before = left.len();
        next = judge(&rule, made, (&mut groups, &mut allowed), &squares, &mut left);
        for &row in &left[before..] {
            y.row_mut(row).assign(&x.row(row));
        }
    }
    slice_mut(x).copy_from_slice(slice(&y));
    left.sort_unstable();
    let calls = sweeps(&groups, n);
    put_rows(scratch, [y, f]);
    scratch.put(groups);
    scratch.put(squares);
    scratch.put(allowed);
    Ok((left.into_iter(), calls))
}

/// The sweeps that n rows, which all iterate no longer, made. Each is one evaluation of the drift.
fn sweeps<F: Real>(groups: &[Group<F>], n: usize) -> u64 {
    let sums = vectorize(
        #[inline(always)]
        || {
            let mut sums = [F::zero(); LANES];
            for group in groups {
                sums.iter_mut().zip(&group.due).for_each(|(sum, &sweeps)| *sum += sweeps);
            }
            sums
        },
    );
    let lanes_without_a_row = (groups.len() * LANES - n) as f64;
    (sums.iter().map(|sum| sum.as_f64()).sum::<f64>() - FIRST * lanes_without_a_row) as u64
}

/// Decides on the corrections of these squares: closes the rows that have arrived and those that are left, whose numbers it
/// adds. Returns the sweep after which the next rows are due, infinite if there are none.
fn judge<F: Real>(
    rule: &Rule<F>,
    now: F,
    (groups, allowed): (&mut [Group<F>], &mut [Lanes<F>]),
    squares: &[Lanes<F>],
    left: &mut Vec<usize>,
) -> F {
    let mut soonest = F::infinity();
    let mut rows = groups.iter_mut().zip(allowed).zip(squares).enumerate();
    vectorize(
        #[inline(always)]
        || {
            for (number, ((group, allowed), squares)) in &mut rows {
                if group.next == now {
                    let leave = group.judge(rule, now, allowed, squares);
                    if top(leave) > F::zero() {
                        let lanes = (0..LANES).filter(|&lane| leave[lane] > F::zero());
                        left.extend(lanes.map(|lane| number * LANES + lane));
                    }
                }
                soonest = if group.next < soonest { group.next } else { soonest };
            }
        },
    );
    soonest
}

impl<F: Real> Group<F> {
    /// Decides on the rows that are due. Returns 1 for those that are left, and 0.
    #[inline(always)]
    fn judge(&mut self, rule: &Rule<F>, now: F, most: &mut Lanes<F>, squares: &Lanes<F>) -> Lanes<F> {
        let (zero, one, infinity) = (F::zero(), F::one(), F::infinity());
        let (Group { mut due, mut previous, enough, .. }, mut allowed) = (*self, *most);
        let [mut leave, mut late] = [[zero; LANES], [-infinity; LANES]];
        for lane in 0..LANES {
            let (square, enough, most) = (squares[lane], enough[lane], allowed[lane]);
            let (open, judged) = (most >= zero, (most >= zero) & (due[lane] == now));
            // Nothing would ever be enough of an infinite length: such a row is left.
            let shrunk = (square <= most) & (square < infinity) & (enough < infinity);
            let goes_on = shrunk & (rule.to_come * square > enough);
            // How much the last one shrank does not say that the row has arrived (see `Rule::decide`), but how many sweeps it
            // takes if all shrink so: one, another where that is not enough, and those powers of the ratio that it still is not
            // enough with. Until then nobody looks.
            let (ratio, c) = (square / previous[lane], rule.contraction);
            let (mut left, mut sweeps, mut next) = (rule.to_come * square * ratio, one, c * square);
            let more = left > enough;
            sweeps += if more { one } else { zero };
            next *= if more { c } else { one };
            let squared = ratio * ratio;
            let powers =
                [(4.0, squared * squared, (c * c) * (c * c)), (2.0, squared, c * c), (1.0, ratio, c)];
            for (count, ratio, contraction) in powers {
                let more = left * ratio > enough;
                sweeps += if more { F::of(count) } else { zero };
                left *= if more { ratio } else { one };
                next *= if more { contraction } else { one };
            }
            leave[lane] = if judged & !shrunk { one } else { zero };
            let seen = if sweeps == one { square } else { infinity };
            previous[lane] = if judged { seen } else { previous[lane] };
            due[lane] = if judged & goes_on { now + sweeps } else { due[lane] };
            let after = if goes_on { next } else { F::of(CLOSED) };
            allowed[lane] = if judged { after } else { most };
            late[lane] = if open & (allowed[lane] >= zero) { -due[lane] } else { -infinity };
        }
        *self = Group { due, next: -top(late), previous, enough };
        *most = allowed;
        leave
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against counting, with squares that shrink by powers of two.
    #[test]
    fn rows_are_due_when_they_will_have_arrived() {
        let rule = Rule::<f64>::of(100, 0.75);
        for ratio in [0.25, 0.125, 0.03125] {
            for needed in 1..15 {
                // The next `needed` corrections are too long, up to the last of them.
                let enough = rule.to_come * f64::powi(ratio, needed) * 1.5;
                let previous = [1.0 / ratio; LANES];
                let mut due = [3.0; LANES];
                due[5] = 4.0;
                let mut group = Group { due, next: 3.0, previous, enough: [enough; LANES] };
                let mut allowed = [rule.contraction / ratio; LANES];
                // One is closed, one too long, one not a number, and one not due.
                allowed[1] = CLOSED;
                let mut squares = [1.0; LANES];
                (squares[2], squares[3]) = (1.1 * allowed[2], f64::NAN);
                let leave = group.judge(&rule, 3.0, &mut allowed, &squares);
                let sweeps = needed.min(9);
                assert!((0..LANES).all(|lane| leave[lane] == f64::from(u8::from(lane == 2 || lane == 3))));
                assert_eq!((allowed[1], allowed[2], allowed[3]), (CLOSED, CLOSED, CLOSED));
                let as_before = (4.0, rule.contraction / ratio, previous[5]);
                assert_eq!((group.due[5], allowed[5], group.previous[5]), as_before);
                assert_eq!(group.due[0], 3.0 + f64::from(sweeps), "{ratio} {needed}");
                assert!((allowed[0] / rule.contraction.powi(sweeps) - 1.0).abs() < 1e-12);
                assert_eq!(group.previous[0], if sweeps == 1 { 1.0 } else { f64::INFINITY });
                assert_eq!(group.next, group.due[0].min(4.0));
            }
        }
    }
}
