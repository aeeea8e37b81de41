//! The simplified Newton iteration of implicit steps, for the rows of a block side by side.

use numeric::ndarray::{Array2, ArrayRef2};
use numeric::{Error, Real, Scratch, vectorize};

use super::rule::{CLOSED, Rule};
use crate::Sde;
use crate::elimination::{Systems, factorise, solve};
use crate::integrator::SdeStep;
use crate::lanes::{LANES, Lanes, TILE, row_by_row, side_by_side, squares, top, vectorize_for};
use crate::sde::coefficients::{slice, slice_mut};
use crate::sde::{put_rows, take_rows};

/// What the iterations of a block need, kept from one step to the next. What is done with a row is decided by that row
/// alone, so that it does not depend on the others of its block.
///
/// Everything is in lanes, groups of [`LANES`] rows, and decisions are comparisons of numbers: no branches but those for
/// whole groups. Lengths are compared by their squares, which need no roots.
#[derive(Debug)]
pub(super) struct Newton<F> {
    /// The largest square of a correction that each row makes: [`CLOSED`] of rows that have converged and of lanes without
    /// a row; infinite where a fresh Jacobian is asked for, with which all are made.
    allowed: Vec<Lanes<F>>,
    /// The largest of them in each group.
    tops: Vec<F>,
    /// Square of the last correction that each row made; infinite before the first.
    previous: Vec<Lanes<F>>,
    /// `I − hJ` of each row in triangular factors.
    systems: Systems<F>,
    /// The same from a fresh Jacobian of the block, for the rows that ask for one while others keep theirs.
    fresh: Systems<F>,
    /// The iterates, d for each group as all that follow; `X + g(t, X) W`; the drift, and what it leaves of the equation.
    iterates: Vec<Lanes<F>>,
    known: Vec<Lanes<F>>,
    side: Vec<Lanes<F>>,
    /// The iterates with one coordinate moved for its difference.
    moved: Vec<Lanes<F>>,
}

impl<F> Default for Newton<F> {
    fn default() -> Newton<F> {
        Newton {
            allowed: Vec::new(),
            tops: Vec::new(),
            previous: Vec::new(),
            systems: Systems::default(),
            fresh: Systems::default(),
            iterates: Vec::new(),
            known: Vec::new(),
            side: Vec::new(),
            moved: Vec::new(),
        }
    }
}

impl<F: Real> Newton<F> {
    /// Opens the rows `left` of a step from x with `right` = X + g(t, X) W; the others stay as they are.
    pub(super) fn start(&mut self, x: &ArrayRef2<F>, right: &Array2<F>, left: impl Iterator<Item = usize>) {
        let (n, d) = x.dim();
        let groups = n.div_ceil(LANES);
        self.allowed.clear();
        self.allowed.resize(groups, [F::of(CLOSED); LANES]);
        left.for_each(|row| self.allowed.as_flattened_mut()[row] = F::infinity());
        self.tops.clear();
        self.tops.extend(self.allowed.iter().map(|&allowed| top(allowed)));
        self.previous.clear();
        self.previous.resize(groups, [F::infinity(); LANES]);
        self.systems.resize(n, d);
        let Newton { iterates, known, side, moved, .. } = self;
        for lanes in [&mut *iterates, &mut *known, side, moved] {
            lanes.resize(groups * d, [F::zero(); LANES]);
        }
        let (x, right) = (slice(x), slice(right));
        vectorize_for(
            d,
            #[inline(always)]
            |d| {
                let rows = x.chunks(LANES * d).zip(right.chunks(LANES * d));
                let lanes = iterates.chunks_exact_mut(d).zip(known.chunks_exact_mut(d));
                for ((iterates, known), (x, right)) in lanes.zip(rows) {
                    side_by_side(
                        x,
                        d,
                        #[inline(always)]
                        |k, x| iterates[k] = x,
                    );
                    side_by_side(
                        right,
                        d,
                        #[inline(always)]
                        |k, right| known[k] = right,
                    );
                }
            },
        );
    }

    /// Whether a row has not converged.
    pub(super) fn is_open(&self) -> bool {
        self.tops.iter().any(|&top| top >= F::zero())
    }

    /// Whether a row asks for a fresh Jacobian.
    pub(super) fn asks(&self) -> bool {
        self.tops.contains(&F::infinity())
    }

    /// Evaluations of the drift that the rows need for their next correction: one, and d for a fresh Jacobian.
    pub(super) fn evaluations(&self, d: usize) -> u64 {
        let allowed = &self.allowed[..];
        let [open, asking] = vectorize(
            #[inline(always)]
            || {
                let [mut open, mut asking] = [[F::zero(); LANES]; 2];
                for most in allowed {
                    for lane in 0..LANES {
                        open[lane] += if most[lane] >= F::zero() { F::one() } else { F::zero() };
                        asking[lane] += if most[lane] == F::infinity() { F::one() } else { F::zero() };
                    }
                }
                [open, asking]
            },
        );
        let count = |lanes: Lanes<F>| lanes.iter().map(|lane| lane.as_f64()).sum::<f64>() as u64;
        count(open) + d as u64 * count(asking)
    }

    /// Fresh factors of `I − hJ` for the rows that ask, from the drift f at x.
    pub(super) fn differentiate(
        &mut self,
        sde: &dyn Sde<F>,
        step: &SdeStep<'_, F>,
        x: &ArrayRef2<F>,
        f: &Array2<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        let (n, d) = x.dim();
        let [mut probe, mut f_probe] = take_rows::<F, 2>(scratch, (n, d));
        let Newton { allowed, tops, systems, fresh, iterates, side, moved, .. } = self;
        let all = allowed.as_flattened().iter().all(|&most| most == F::infinity() || most < F::zero());
        if !all {
            fresh.resize(n, d);
        }
        let into = if all { &mut *systems } else { &mut *fresh };

        slice_mut(&mut probe).copy_from_slice(slice(x));
        let (h, f) = (F::of(step.length), slice(f));
        let rows = slice_mut(&mut probe);
        vectorize_for(
            d,
            #[inline(always)]
            |d| {
                let lanes =
                    moved.chunks_exact_mut(d).zip(iterates.chunks_exact(d)).zip(side.chunks_exact_mut(d));
                let rows = rows.chunks_mut(LANES * d).zip(f.chunks(LANES * d));
                for ((((moved, x), side), (probe, f)), &top) in lanes.zip(rows).zip(&*tops) {
                    if top == F::infinity() {
                        side_by_side(
                            f,
                            d,
                            #[inline(always)]
                            |k, values| side[k] = values,
                        );
                        moved.copy_from_slice(x);
                        move_next(probe, moved, x, 0);
                    }
                }
            },
        );
        for j in 0..d {
            sde.drift_into(&step.batch_at(1.0, &probe), &mut f_probe, scratch)?;
            let (probe, f_probe) = (slice_mut(&mut probe), slice(&f_probe));
            vectorize_for(
                d,
                #[inline(always)]
                |d| {
                    let lanes =
                        moved.chunks_exact_mut(d).zip(iterates.chunks_exact(d)).zip(side.chunks_exact(d));
                    let rows = probe.chunks_mut(LANES * d).zip(f_probe.chunks(LANES * d));
                    let groups = into.groups(d).zip(lanes).zip(rows).zip(&*tops);
                    for ((((a, exchanged), ((moved, x), f)), (probe, f_probe)), &top) in groups {
                        if top == F::infinity() {
                            let (mut factors, x_j, column) = (moved[j], x[j], &mut a[j * d..][..d]);
                            for lane in 0..LANES {
                                factors[lane] = -h / (factors[lane] - x_j[lane]);
                            }
                            side_by_side(
                                f_probe,
                                d,
                                #[inline(always)]
                                |k, values| {
                                    let (mut entry, f) = (values, f[k]);
                                    for lane in 0..LANES {
                                        entry[lane] = (entry[lane] - f[lane]) * factors[lane];
                                    }
                                    column[k] = entry;
                                },
                            );
                            column[j].iter_mut().for_each(|entry| *entry += F::one());
                            if j + 1 < d {
                                move_next(probe, moved, x, j + 1);
                            } else {
                                factorise((a, exchanged));
                            }
                        }
                    }
                },
            );
        }
        if !all {
            systems.replace(fresh, |group| {
                let asks = tops[group] == F::infinity();
                asks.then(|| allowed[group].map(|most| most == F::infinity()))
            });
        }
        put_rows(scratch, [probe, f_probe]);
        Ok(())
    }

    /// Corrects each open row at x by the solution for what the drift f there leaves of its equation, and closes those
    /// whose correction was small; whether all corrections were finite.
    ///
    /// A correction with a Jacobian of an earlier iterate that has not shrunk as it should is not made: the row stays
    /// where it is and asks for a fresh one. So far from the solution, where the Jacobian changes much, the iterates are
    /// those of Newton's method.
    pub(super) fn correct(&mut self, h: F, x: &mut ArrayRef2<F>, f: &Array2<F>) -> bool {
        let d = x.ncols();
        // With ½, fifty iterations lead from anywhere to the tolerance.
        let rule = Rule::of(d, 0.5);
        let Newton { allowed, tops, previous, systems, iterates, known, side, .. } = self;
        let (x, f) = (slice_mut(x), slice(f));
        let mut worst = [F::zero(); LANES];
        vectorize_for(
            d,
            #[inline(always)]
            |d| {
                let flags = allowed.iter_mut().zip(&mut *tops).zip(&mut *previous);
                let lanes =
                    iterates.chunks_exact_mut(d).zip(known.chunks_exact(d)).zip(side.chunks_exact_mut(d));
                let rows = x.chunks_mut(LANES * d).zip(f.chunks(LANES * d));
                let groups = systems.groups(d).zip(lanes).zip(rows).zip(flags);
                for ((((a, exchanged), ((iterates, known), side)), (x, f)), ((allowed, top), previous)) in
                    groups
                {
                    if *top < F::zero() {
                        continue;
                    }
                    side_by_side(
                        f,
                        d,
                        #[inline(always)]
                        |k, f| {
                            let (mut left, x) = (known[k], iterates[k]);
                            for lane in 0..LANES {
                                left[lane] = left[lane] + h * f[lane] - x[lane];
                            }
                            side[k] = left;
                        },
                    );
                    // A singular matrix gives infinities or NaN.
                    solve(a, exchanged, side);
                    let (corrections, most) = (squares(side), *allowed);
                    let mut enough = [rule.tolerance * rule.tolerance; LANES];
                    for (iterate, correction) in iterates.iter_mut().zip(side.iter()) {
                        let mut x = *iterate;
                        for lane in 0..LANES {
                            let corrected = x[lane] + correction[lane];
                            x[lane] = if corrections[lane] <= most[lane] { corrected } else { x[lane] };
                            // Multiplied first, it does not overflow before its time.
                            let part = rule.tolerance * x[lane];
                            enough[lane] += part * part;
                        }
                        *iterate = x;
                    }
                    row_by_row(
                        iterates,
                        x,
                        #[inline(always)]
                        |value| value,
                    );
                    for lane in 0..LANES {
                        let counted = if most[lane] >= F::zero() { corrections[lane] } else { F::zero() };
                        worst[lane] = if counted > worst[lane] { counted } else { worst[lane] };
                    }
                    *top = rule.decide(allowed, previous, &corrections, &enough);
                }
            },
        );
        top(worst) < F::infinity()
    }

    /// The largest correction that an open row made last, relative to the row.
    pub(super) fn residual(&self) -> f64 {
        let d = self.iterates.len() / self.allowed.len().max(1);
        let groups = self.iterates.chunks_exact(d.max(1)).zip(&self.allowed).zip(&self.previous);
        let rows = groups.flat_map(|((x, allowed), previous)| {
            let open = (0..LANES).filter(|&lane| allowed[lane] >= F::zero());
            open.map(move |lane| {
                let size = x.iter().fold(F::zero(), |size, x| size.max(x[lane].abs()));
                (previous[lane].sqrt() / (F::one() + size)).as_f64()
            })
        });
        rows.fold(0.0, f64::max)
    }
}

/// Moves coordinate j of the iterates x for its difference, and the one before it back; and so in their rows.
#[inline(always)]
fn move_next<F: Real>(rows: &mut [F], moved: &mut [Lanes<F>], x: &[Lanes<F>], j: usize) {
    let (d, part) = (x.len(), F::epsilon().sqrt());
    let mut next = x[j];
    for next in &mut next {
        *next += part * (F::one() + next.abs());
    }
    moved[j] = next;
    if j > 0 {
        moved[j - 1] = x[j - 1];
    }
    // Narrow rows are written as they lie in memory, whole.
    if d <= TILE {
        row_by_row(
            moved,
            rows,
            #[inline(always)]
            |value| value,
        );
    } else {
        set(rows, d, j, &moved[j]);
        if j > 0 {
            set(rows, d, j - 1, &moved[j - 1]);
        }
    }
}

/// Writes coordinate j of up to [`LANES`] rows.
#[inline(always)]
fn set<F: Real>(rows: &mut [F], d: usize, j: usize, values: &Lanes<F>) {
    for (row, &value) in rows.chunks_exact_mut(d).zip(values) {
        row[j] = value;
    }
}
