//! Euler's method with the drift at the end of the step.

use numeric::ndarray::{Array2, ArrayRef2};
use numeric::{Error, Real, Scratch, vectorize};

use super::euler::euler_orders;
use super::{Integrator, Orders, SdeStep, add, stage};
use crate::elimination::{LANES, Lanes, Systems, factorise, row_by_row, side_by_side, solve};
use crate::sde::coefficients::{slice, slice_mut};
use crate::sde::{put_rows, take_rows};
use crate::{NoiseClass, Reading, Sde};

/// Drift-implicit Euler: the drift at the end of the step, for stiff equations.
///
/// ```math
/// X' = X + f(t', X')\,h + g(t, X)\,W,
/// ```
///
/// solved for each row by itself by the simplified Newton method
///
/// ```math
/// (I - h J)\,\Delta = X + f(t', Y)\,h + g(t, X)\,W - Y, \qquad Y \leftarrow Y + \Delta,
/// ```
///
/// from Y = X on, where the Jacobian J of f at X, of finite differences, serves all iterations of the step. Only a row
/// whose corrections do not shrink fast enough with it gets a fresh Jacobian where it is then.
///
/// ```
/// use numeric::{Noise, TimeGrid, from_row_fn, ndarray::array};
/// use sde_core::{Additive, Keep, Solver, Start, integrator::ImplicitEuler};
/// // dX = −1000 (X − 1) dt with steps of 0.1: explicit steps would multiply the distance from 1 by −99, these by 1/101.
/// let drift = from_row_fn(1, |_, x, out: &mut [f64]| { out[0] = -1000.0 * (x[0] - 1.0); Ok(()) });
/// let sde = Additive::new(drift, &array![[0.0]])?;
/// let solver = Solver::new(sde, ImplicitEuler, TimeGrid::uniform(0.0, 0.2, 2)?)?;
/// let run = solver.run(Start::Point(&[2.0]), Keep::Last, 0..1, Noise::new(1), Default::default())?;
/// assert!((run.states[(0, 0, 0)] - (1.0 + 101.0_f64.powi(-2))).abs() < 1e-9);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # Convergence
/// Itô; strong order ½ (1 for additive noise), weak order 1. For a linear drift with eigenvalues in the left half
/// plane, stable at every step size. The step must have a solution near its start: h times the one-sided Lipschitz
/// constant of f below 1.
///
/// The iteration ends with a correction below `ε^{3/4} (1 + |X'|_∞)`, with ε the precision of the state. It was made
/// with a Jacobian from just before it, or it was at most half of the correction before: of corrections that go on to
/// shrink so, all later ones together are at most as large as the last.
///
/// # Errors
/// Its steps fail with [`Error::NotConverged`] if 50 iterations do not get there.
///
/// # Randomness
/// The increment W of the path: m normals per row and step.
///
/// # Complexity
/// For each Jacobian d evaluations of the drift and d³/3 multiplications per row, usually one per step; for each
/// iteration one evaluation and d² multiplications, usually three to eight. The drift is evaluated for a whole block of
/// rows until its last row has converged, and the Jacobian if one of them asks for it. The
/// [`Statistics`](crate::Statistics) of a run count one call per step. In memory, d² numbers for each row of a block,
/// or twice as many where some rows ask for a fresh Jacobian and others do not.
///
/// # References
/// Kloeden, Platen (1992), Numerical solution of stochastic differential equations, section 12.2. Hairer, Wanner
/// (1996), Solving ordinary differential equations II, section IV.8, on the simplified Newton method.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImplicitEuler;

const MOST_ITERATIONS: usize = 50;

impl<F: Real> Integrator<F> for ImplicitEuler {
    fn name(&self) -> &'static str {
        "ImplicitEuler"
    }
    fn reading(&self) -> Option<Reading> {
        Some(Reading::Ito)
    }
    fn orders(&self, noise: NoiseClass) -> Option<Orders> {
        euler_orders(noise)
    }
    fn step(
        &self,
        sde: &dyn Sde<F>,
        step: SdeStep<'_, F>,
        x: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        let (n, d) = x.dim();
        let [mut known, mut f, mut left] = take_rows::<F, 3>(scratch, (n, d));
        sde.diffuse_into(&step.batch(x), step.w, &mut known, scratch)?;
        add(&mut known, 1.0, x);
        let mut newton: Newton<F> = scratch.take();
        newton.reset(n, d);
        let mut iterations = 0;
        let mut worst = F::zero();
        while newton.open.contains(&true) {
            if iterations == MOST_ITERATIONS {
                let residual = worst.as_f64();
                return Err(Error::NotConverged { routine: "ImplicitEuler", iterations, residual });
            }
            iterations += 1;
            sde.drift_into(&step.batch_at(1.0, x), &mut f, scratch)?;
            if newton.asks.contains(&true) {
                newton.differentiate(sde, &step, x, &f, scratch)?;
            }
            stage(&mut left, &known, (step.length, &f), (-1.0, x));
            worst = newton.correct(x, &left);
            if !worst.is_finite() {
                numeric::check_finite("the state", step.rows, step.index, step.from.t, x.view())?;
            }
        }
        put_rows(scratch, [known, f, left]);
        scratch.put(newton);
        Ok(())
    }
}

/// What the iterations of a block need, kept from one step to the next. What is done with a row is decided by that row
/// alone, so that it does not depend on the others of its block.
#[derive(Debug)]
struct Newton<F> {
    /// Rows that have not converged.
    open: Vec<bool>,
    /// Those of them that want a fresh Jacobian.
    asks: Vec<bool>,
    /// Length of the last correction of each row; infinite before the first.
    previous: Vec<F>,
    /// `I − hJ` of each row in triangular factors.
    systems: Systems<F>,
    /// The same from a fresh Jacobian of the block, for the rows that ask for one while others keep theirs.
    fresh: Systems<F>,
    /// Of a group of rows: the drift, steps of the finite differences, right-hand sides and solutions.
    side: Vec<Lanes<F>>,
}

impl<F> Default for Newton<F> {
    fn default() -> Newton<F> {
        let (open, asks, previous, side) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Newton { open, asks, previous, systems: Systems::default(), fresh: Systems::default(), side }
    }
}

impl<F: Real> Newton<F> {
    fn reset(&mut self, n: usize, d: usize) {
        for (flags, value) in [(&mut self.open, true), (&mut self.asks, true)] {
            flags.clear();
            flags.resize(n, value);
        }
        self.previous.clear();
        self.previous.resize(n, F::infinity());
        self.systems.resize(n, d);
        self.side.resize(n.div_ceil(LANES) * d, [F::zero(); LANES]);
    }

    /// Fresh factors of `I − hJ` for the rows that ask, from the drift f at x.
    fn differentiate(
        &mut self,
        sde: &dyn Sde<F>,
        step: &SdeStep<'_, F>,
        x: &ArrayRef2<F>,
        f: &Array2<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        let (n, d) = x.dim();
        let [mut moved, mut f_moved] = take_rows::<F, 2>(scratch, (n, d));
        let Newton { open, asks, systems, fresh, side, .. } = self;
        let all = open == asks;
        if !all {
            fresh.resize(n, d);
        }
        let into = if all { &mut *systems } else { &mut *fresh };
        vectorize(
            #[inline(always)]
            || {
                for (side, f) in side.chunks_exact_mut(d).zip(slice(f).chunks(LANES * d)) {
                    side_by_side(f, d, |k, values| side[k] = values);
                }
            },
        );
        slice_mut(&mut moved).copy_from_slice(slice(x));
        let (h, part) = (F::of(step.length), F::epsilon().sqrt());
        for j in 0..d {
            let column = |moved: &mut Array2<F>, to: fn(F, F) -> F| {
                let x = slice(x)[j..].iter().step_by(d);
                for (moved, &x) in slice_mut(moved)[j..].iter_mut().step_by(d).zip(x) {
                    *moved = to(x, part);
                }
            };
            column(&mut moved, |x, part| x + part * (F::one() + x.abs()));
            sde.drift_into(&step.batch_at(1.0, &moved), &mut f_moved, scratch)?;
            let rows = slice(&moved).chunks(LANES * d).zip(slice(x).chunks(LANES * d));
            let groups = into.columns(j).zip(side.chunks_exact(d)).zip(asks.chunks(LANES));
            let mut groups = groups.zip(rows).zip(slice(&f_moved).chunks(LANES * d));
            vectorize(
                #[inline(always)]
                || {
                    for ((((column, f), asks), (moved, x)), f_moved) in &mut groups {
                        if asks.contains(&true) {
                            let factors = factors(h, &moved[j..], &x[j..], d);
                            side_by_side(f_moved, d, |k, values| {
                                let (mut entry, f) = (values, f[k]);
                                for lane in 0..LANES {
                                    entry[lane] = (entry[lane] - f[lane]) * factors[lane];
                                }
                                column[k] = entry;
                            });
                            column[j].iter_mut().for_each(|entry| *entry += F::one());
                        }
                    }
                },
            );
            column(&mut moved, |x, _| x);
        }
        let mut groups = into.groups().zip(asks.chunks(LANES));
        vectorize(
            #[inline(always)]
            || {
                for (group, _) in (&mut groups).filter(|(_, asks)| asks.contains(&true)) {
                    factorise(group);
                }
            },
        );
        drop(groups);
        if !all {
            systems.replace(fresh, asks);
        }
        put_rows(scratch, [moved, f_moved]);
        Ok(())
    }

    /// Corrects each open row by the solution for what is `left` of its equation, and closes those whose correction was
    /// small; returns the largest correction relative to its row.
    ///
    /// A correction with a Jacobian of an earlier iterate that has not shrunk as it should is not made: the row stays
    /// where it is and asks for a fresh one. So far from the solution, where the Jacobian changes much, the iterates are
    /// those of Newton's method.
    fn correct(&mut self, x: &mut ArrayRef2<F>, left: &Array2<F>) -> F {
        let d = x.ncols();
        let tolerance = F::epsilon().sqrt() * F::epsilon().sqrt().sqrt();
        // A fresh Jacobian costs d evaluations, an elimination that we take for five more, and some three iterations. With
        // this contraction the old one needs as many iterations from 1 to the tolerance.
        let contraction = F::of(0.5).min(tolerance.powf(F::of(1.0 / (d + 8) as f64)));
        let Newton { open, asks, previous, systems, side, .. } = self;
        let flags = open.chunks_mut(LANES).zip(asks.chunks_mut(LANES)).zip(previous.chunks_mut(LANES));
        let rows = slice_mut(x).chunks_mut(LANES * d).zip(slice(left).chunks(LANES * d));
        let mut groups = systems.groups().zip(side.chunks_exact_mut(d)).zip(rows).zip(flags);
        let mut worst = F::zero();
        vectorize(
            #[inline(always)]
            || {
                for ((((factors, exchanged), side), (x, left)), ((open, asks), previous)) in &mut groups {
                    if !open.contains(&true) {
                        continue;
                    }
                    side_by_side(left, d, |k, values| side[k] = values);
                    // A singular matrix gives infinities or NaN.
                    solve(factors, exchanged, side);
                    let lengths = lengths(side);
                    let (mut made, mut slow) = ([false; LANES], [false; LANES]);
                    for (lane, previous) in previous.iter_mut().enumerate() {
                        // Also where it is NaN.
                        slow[lane] = !(lengths[lane] <= contraction * *previous);
                        made[lane] = open[lane] & (asks[lane] | !slow[lane]);
                        *previous = if made[lane] { lengths[lane] } else { *previous };
                    }
                    let mut top = [F::zero(); LANES];
                    side_by_side(x, d, |k, mut x| {
                        let correction = side[k];
                        for lane in 0..LANES {
                            x[lane] = if made[lane] { x[lane] + correction[lane] } else { x[lane] };
                            top[lane] = if x[lane].abs() > top[lane] { x[lane].abs() } else { top[lane] };
                        }
                        side[k] = x;
                    });
                    row_by_row(side, x, |value| value);
                    for (lane, (open, asks)) in open.iter_mut().zip(asks).enumerate() {
                        let size = if *open { lengths[lane] / (F::one() + top[lane]) } else { F::zero() };
                        *open &= !(made[lane] & (size <= tolerance));
                        *asks = *open & slow[lane];
                        // Unlike `max`, this keeps NaN.
                        worst = if size <= worst { worst } else { size };
                    }
                }
            },
        );
        worst
    }
}

/// Euclidean lengths; infinite where a square is, which is far from where lengths decide.
#[inline(always)]
fn lengths<F: Real>(vectors: &[Lanes<F>]) -> Lanes<F> {
    let mut squares = [F::zero(); LANES];
    for values in vectors {
        for (square, &value) in squares.iter_mut().zip(values) {
            *square += value * value;
        }
    }
    squares.iter_mut().for_each(|square| *square = square.sqrt());
    squares
}

/// `−h/δ` for the steps δ of the differences of a group: those that were made, which are not those that were asked for, to
/// the last bit.
#[inline(always)]
fn factors<F: Real>(h: F, moved: &[F], x: &[F], d: usize) -> Lanes<F> {
    let mut made = [F::one(); LANES];
    for (made, (moved, x)) in made.iter_mut().zip(moved.iter().step_by(d).zip(x.iter().step_by(d))) {
        *made = *moved - *x;
    }
    let mut factors = made;
    factors.iter_mut().for_each(|factor| *factor = -h / *factor);
    factors
}
