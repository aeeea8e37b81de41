//! The simplified Newton iteration of implicit steps, for the rows of a block side by side.

use numeric::ndarray::{Array2, ArrayRef2};
use numeric::{Error, Real, Scratch};

use super::SdeStep;
use crate::Sde;
use crate::elimination::{Systems, factorise, solve};
use crate::lanes::{LANES, Lanes, lengths, row_by_row, side_by_side, top, vectorize_for};
use crate::sde::coefficients::{slice, slice_mut};
use crate::sde::{put_rows, take_rows};

/// What the iterations of a block need, kept from one step to the next. What is done with a row is decided by that row
/// alone, so that it does not depend on the others of its block.
///
/// Everything is in lanes, groups of [`LANES`] rows, and decisions are comparisons of numbers: no branches but those for
/// whole groups.
#[derive(Debug)]
pub(super) struct Newton<F> {
    /// The largest length of a correction that each row makes: [`CLOSED`] of rows that have converged and of lanes without
    /// a row; infinite where a fresh Jacobian is asked for, with which all are made.
    allowed: Vec<Lanes<F>>,
    /// The largest of them in each group.
    tops: Vec<F>,
    /// Length of the last correction of each row; infinite before the first.
    previous: Vec<Lanes<F>>,
    /// `I − hJ` of each row in triangular factors.
    systems: Systems<F>,
    /// The same from a fresh Jacobian of the block, for the rows that ask for one while others keep theirs.
    fresh: Systems<F>,
    /// The iterates, d for each group as all that follow; `X + g(t, X) W`; the drift, and what it leaves of the equation.
    iterates: Vec<Lanes<F>>,
    known: Vec<Lanes<F>>,
    side: Vec<Lanes<F>>,
    /// The iterates with each coordinate moved for its differences, and `−h` divided by how far.
    moved: Vec<Lanes<F>>,
    factors: Vec<Lanes<F>>,
}

/// Less than any length.
const CLOSED: f64 = -1.0;

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
            factors: Vec::new(),
        }
    }
}

impl<F: Real> Newton<F> {
    /// Opens all rows of a step from x with the random part `noise`.
    pub(super) fn start(&mut self, x: &ArrayRef2<F>, noise: &Array2<F>) {
        let (n, d) = x.dim();
        let groups = n.div_ceil(LANES);
        self.allowed.clear();
        self.allowed.resize(groups, [F::infinity(); LANES]);
        if let Some(last) = self.allowed.last_mut() {
            last[n - (groups - 1) * LANES..].fill(F::of(CLOSED));
        }
        self.tops.clear();
        self.tops.resize(groups, F::infinity());
        self.previous.clear();
        self.previous.resize(groups, [F::infinity(); LANES]);
        self.systems.resize(n, d);
        let Newton { iterates, known, side, moved, factors, .. } = self;
        for lanes in [&mut *iterates, &mut *known, side, moved, factors] {
            lanes.resize(groups * d, [F::zero(); LANES]);
        }
        let rows = slice(x).chunks(LANES * d).zip(slice(noise).chunks(LANES * d));
        let mut groups = iterates.chunks_exact_mut(d).zip(known.chunks_exact_mut(d)).zip(rows);
        vectorize_for(
            d,
            #[inline(always)]
            |d| {
                for ((iterates, known), (x, noise)) in &mut groups {
                    side_by_side(
                        x,
                        d,
                        #[inline(always)]
                        |k, x| iterates[k] = x,
                    );
                    side_by_side(
                        noise,
                        d,
                        #[inline(always)]
                        |k, mut noise| {
                            for lane in 0..LANES {
                                noise[lane] += iterates[k][lane];
                            }
                            known[k] = noise;
                        },
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
        let Newton { allowed, tops, systems, fresh, iterates, side, moved, factors, .. } = self;
        let all = allowed.as_flattened().iter().all(|&most| most == F::infinity() || most < F::zero());
        if !all {
            fresh.resize(n, d);
        }
        let into = if all { &mut *systems } else { &mut *fresh };
        let asks = || tops.iter().map(|&top| top == F::infinity());

        slice_mut(&mut probe).copy_from_slice(slice(x));
        let (h, part) = (F::of(step.length), F::epsilon().sqrt());
        let lanes = moved.chunks_exact_mut(d).zip(factors.chunks_exact_mut(d));
        let lanes = lanes.zip(iterates.chunks_exact(d)).zip(side.chunks_exact_mut(d));
        let rows = slice_mut(&mut probe).chunks_mut(LANES * d).zip(slice(f).chunks(LANES * d));
        let mut groups = lanes.zip(rows).zip(asks());
        vectorize_for(
            d,
            #[inline(always)]
            |d| {
                for (((((moved, factors), x), side), (probe, f)), asks) in &mut groups {
                    if asks {
                        side_by_side(
                            f,
                            d,
                            #[inline(always)]
                            |k, values| side[k] = values,
                        );
                        for ((moved, factors), x) in moved.iter_mut().zip(factors).zip(x) {
                            (*moved, *factors) = differences(h, part, x);
                        }
                        set(probe, d, 0, &moved[0]);
                    }
                }
            },
        );
        for j in 0..d {
            sde.drift_into(&step.batch_at(1.0, &probe), &mut f_probe, scratch)?;
            let lanes = into.columns(j).zip(side.chunks_exact(d)).zip(factors[j..].iter().step_by(d));
            let lanes = lanes.zip(moved.chunks_exact(d)).zip(iterates.chunks_exact(d));
            let rows = slice_mut(&mut probe).chunks_mut(LANES * d).zip(slice(&f_probe).chunks(LANES * d));
            let mut groups = lanes.zip(rows).zip(asks());
            vectorize_for(
                d,
                #[inline(always)]
                |d| {
                    for ((((((column, f), factors), moved), x), (probe, f_probe)), asks) in &mut groups {
                        if asks {
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
                            set(probe, d, j, &x[j]);
                            if j + 1 < d {
                                set(probe, d, j + 1, &moved[j + 1]);
                            }
                        }
                    }
                },
            );
        }
        let mut groups = into.groups().zip(asks());
        vectorize_for(
            d,
            #[inline(always)]
            |d| {
                for ((a, exchanged), asks) in &mut groups {
                    if asks {
                        factorise((&mut a[..d * d], &mut exchanged[..d]));
                    }
                }
            },
        );
        drop(groups);
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
    /// whose correction was small; returns the largest correction relative to its row.
    ///
    /// A correction with a Jacobian of an earlier iterate that has not shrunk as it should is not made: the row stays
    /// where it is and asks for a fresh one. So far from the solution, where the Jacobian changes much, the iterates are
    /// those of Newton's method.
    pub(super) fn correct(&mut self, h: F, x: &mut ArrayRef2<F>, f: &Array2<F>) -> F {
        let d = x.ncols();
        let tolerance = F::epsilon().sqrt() * F::epsilon().sqrt().sqrt();
        // A fresh Jacobian costs d evaluations, an elimination that we take for five more, and some three iterations. With
        // this contraction the old one needs as many iterations from 1 to the tolerance.
        let contraction = F::of(0.5).min(tolerance.powf(F::of(1.0 / (d + 8) as f64)));
        let rule = Rule { tolerance, contraction };
        let Newton { allowed, tops, previous, systems, iterates, known, side, .. } = self;
        let flags = allowed.iter_mut().zip(tops).zip(previous);
        let lanes = iterates.chunks_exact_mut(d).zip(known.chunks_exact(d)).zip(side.chunks_exact_mut(d));
        let rows = slice_mut(x).chunks_mut(LANES * d).zip(slice(f).chunks(LANES * d));
        let mut groups = systems.groups().zip(lanes).zip(rows).zip(flags);
        let mut worst = [F::zero(); LANES];
        vectorize_for(
            d,
            #[inline(always)]
            |d| {
                for ((((a, exchanged), ((iterates, known), side)), (x, f)), ((allowed, top), previous)) in
                    &mut groups
                {
                    if *top < F::zero() {
                        continue;
                    }
                    let (iterates, known, side) = (&mut iterates[..d], &known[..d], &mut side[..d]);
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
                    solve(&a[..d * d], &exchanged[..d], side);
                    let (lengths, most) = (lengths(side), *allowed);
                    let mut sizes = [F::zero(); LANES];
                    for (iterate, correction) in iterates.iter_mut().zip(side.iter()) {
                        let mut x = *iterate;
                        for lane in 0..LANES {
                            let corrected = x[lane] + correction[lane];
                            x[lane] = if lengths[lane] <= most[lane] { corrected } else { x[lane] };
                            let size = x[lane].abs();
                            sizes[lane] = if size > sizes[lane] { size } else { sizes[lane] };
                        }
                        *iterate = x;
                    }
                    row_by_row(
                        iterates,
                        x,
                        #[inline(always)]
                        |value| value,
                    );
                    *top = rule.decide(allowed, previous, &mut worst, &lengths, &sizes);
                }
            },
        );
        top(worst)
    }
}

/// When rows close and when they ask for a fresh Jacobian.
struct Rule<F> {
    tolerance: F,
    contraction: F,
}

impl<F: Real> Rule<F> {
    /// What is allowed after corrections of these lengths, of rows of these sizes; returns the largest of it.
    #[inline(always)]
    fn decide(
        &self,
        allowed: &mut Lanes<F>,
        previous: &mut Lanes<F>,
        worst: &mut Lanes<F>,
        lengths: &Lanes<F>,
        sizes: &Lanes<F>,
    ) -> F {
        let (zero, one, infinity, closed) = (F::zero(), F::one(), F::infinity(), F::of(CLOSED));
        let (mut next, mut last, mut largest) = (*allowed, *previous, *worst);
        for lane in 0..LANES {
            let (length, most) = (lengths[lane], next[lane]);
            let open = most >= zero;
            let made = length <= most;
            let size = length / (one + sizes[lane]);
            let size = if length < infinity { size } else { infinity };
            let counted = if open { size } else { zero };
            largest[lane] = if counted > largest[lane] { counted } else { largest[lane] };
            let shrunk = length <= self.contraction * last[lane];
            last[lane] = if made { length } else { last[lane] };
            let more = if shrunk { self.contraction * last[lane] } else { infinity };
            let done = !open | (made & (size <= self.tolerance));
            next[lane] = if done { closed } else { more };
        }
        (*allowed, *previous, *worst) = (next, last, largest);
        top(next)
    }
}

/// Where the differences at x are taken, and `−h/δ` for their steps δ: those that are made, which are not those that are
/// asked for, to the last bit.
#[inline(always)]
fn differences<F: Real>(h: F, part: F, x: &Lanes<F>) -> (Lanes<F>, Lanes<F>) {
    let (mut moved, mut factors) = (*x, *x);
    for lane in 0..LANES {
        moved[lane] = x[lane] + part * (F::one() + x[lane].abs());
        factors[lane] = -h / (moved[lane] - x[lane]);
    }
    (moved, factors)
}

/// Writes coordinate j of up to [`LANES`] rows.
#[inline(always)]
fn set<F: Real>(rows: &mut [F], d: usize, j: usize, values: &Lanes<F>) {
    for (row, &value) in rows.chunks_exact_mut(d).zip(values) {
        row[j] = value;
    }
}
