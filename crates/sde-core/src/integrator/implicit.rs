//! Euler's method with the drift at the end of the step.

mod fixed_point;
mod newton;
mod rule;

use numeric::ndarray::{Array2, ArrayRef2, Axis, s};
use numeric::{Error, Real, Scratch, vectorize};

use super::euler::euler_orders;
use super::{Integrator, Orders, SdeStep};
use crate::lanes::LANES;
use crate::sde::coefficients::{slice, slice_mut};
use crate::sde::{put_rows, take_rows};
use crate::{NoiseClass, Reading, Sde};
use newton::Newton;

/// Drift-implicit Euler: the drift at the end of the step, for stiff equations.
///
/// ```math
/// X' = K + f(t', X')\,h, \qquad K = X + g(t, X)\,W,
/// ```
///
/// solved for each row by itself. Rows of more than four numbers are first iterated without Jacobians, from Y = K on:
///
/// ```math
/// Y \leftarrow K + f(t', Y)\,h.
/// ```
///
/// A row with a correction that is not enough shorter than the one before goes back to X, as narrow rows start there, for the
/// simplified Newton method
///
/// ```math
/// (I - h J)\,\Delta = K + f(t', Y)\,h - Y, \qquad Y \leftarrow Y + \Delta.
/// ```
///
/// Its Jacobian J of f at X, of finite differences, serves all iterations of the step. Only a row
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
/// A correction is enough shorter than the one before if it has at most `c = ε^{3/(4(d + 8))}` of its length, with ε the
/// precision of the state, but no more than ¾ without Jacobians and ½ with them: with such corrections to the end, a Jacobian
/// would not pay. The iteration ends where the last, and all that are to come together if they too shrink so, are shorter than
/// `ε^{3/4} (1 + |X'|²)^{1/2}`, in Euclidean lengths; without Jacobians, than `ε^{3/4} (1 + |K|² + |K − Y|²)^{1/2}` with the first
/// Y after K, what X' is computed from, which can be longer where they cancel.
///
/// Without Jacobians a row is judged by its second and its third correction, and then by the one that will be short enough if they
/// go on to shrink as the third did (the ninth after it at the latest), and those after that one. Corrections between are not
/// measured: k of them together must have shrunk by `c^k`.
///
/// # Errors
/// Its steps fail with [`Error::NotConverged`] if 50 iterations of Newton's method do not get there, and with what the drift
/// returns, which is also asked at iterates that are then given up: at a point where it is not defined, NaN serves better
/// than an error.
///
/// # Randomness
/// The increment W of the path: m normals per row and step.
///
/// # Complexity
/// Without Jacobians one evaluation of the drift and some operations for each number and iteration, of which there are at most
/// some d + 8, or about `ln ε^{3/4}/ln ρ` if the step contracts by ρ. Rows that turn out to need Jacobians have usually had three
/// evaluations by then. For each Jacobian d evaluations and d³/3 multiplications per row, usually one per step; for each
/// iteration with it one evaluation and d² multiplications, usually three to eight. The drift is evaluated for a whole block of
/// rows until its last row has converged or gone to Newton's method, and there for those of the block that did
/// (if it does not compute each row by itself, for all). The [`Statistics`](crate::Statistics) of a run count of each row the
/// evaluations until it had converged, with those for its Jacobians. In memory,
/// d² numbers for each row with a Jacobian, or twice as many where some rows ask for a fresh one and others do not.
///
/// # References
/// Kloeden, Platen (1992), Numerical solution of stochastic differential equations, section 12.2. Hairer, Wanner
/// (1996), Solving ordinary differential equations II, section IV.8, on the simplified Newton method.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImplicitEuler;

const MOST_ITERATIONS: usize = 50;

/// Bytes of a state that are iterated at once: three such arrays, what an iteration reads and writes, are in a cache of 32 kB.
const PART: usize = 8192;

/// Of so few numbers, a Jacobian costs no more than the iterations that it saves.
const NARROW: usize = 4;

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
    fn calls(&self) -> usize {
        2
    }
    fn step(
        &self,
        sde: &dyn Sde<F>,
        step: SdeStep<'_, F>,
        x: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<u64, Error> {
        let [mut known] = take_rows::<F, 1>(scratch, x.dim());
        sde.diffuse_into(&step.batch(x), step.w, &mut known, scratch)?;
        let (sums, terms) = (slice_mut(&mut known), slice(x));
        vectorize(
            #[inline(always)]
            || sums.iter_mut().zip(terms).for_each(|(sum, &x)| *sum += x),
        );
        let (n, mut calls) = (x.nrows(), 0);
        if x.ncols() <= NARROW {
            calls += newton(sde, &step, &known, x, 0..n, scratch)?;
        } else {
            let mut left = Vec::new();
            // Parts of a block stay in the cache nearest to the core from one iteration to the next.
            let part = (PART / size_of::<F>() / x.ncols()).next_multiple_of(LANES).max(LANES);
            let part = if sde.batching().rowwise { part } else { n };
            for start in (0..n).step_by(part) {
                let rows = start..n.min(start + part);
                let step = SdeStep { rows: &step.rows[rows.clone()], ..step };
                let (known, mut x) = (known.slice(s![rows.clone(), ..]), x.slice_mut(s![rows, ..]));
                let (others, of_part) = fixed_point::iterate(sde, &step, &known, &mut x, scratch)?;
                left.extend(others.map(|row| start + row));
                calls += of_part;
            }
            // An equation that does not compute each row by itself gets its whole block.
            if !left.is_empty() && (left.len() == n || !sde.batching().rowwise) {
                calls += newton(sde, &step, &known, x, left.into_iter(), scratch)?;
            } else if !left.is_empty() {
                let rows: Vec<u64> = left.iter().map(|&row| step.rows[row]).collect();
                let (known, mut y) = (known.select(Axis(0), &left), x.select(Axis(0), &left));
                let of_rows = SdeStep { rows: &rows, ..step };
                calls += newton(sde, &of_rows, &known, &mut y, 0..left.len(), scratch)?;
                for (y, row) in y.rows().into_iter().zip(left) {
                    x.row_mut(row).assign(&y);
                }
            }
        }
        put_rows(scratch, [known]);
        Ok(calls)
    }
}

/// Takes the rows `left` of those at x to the solutions of `X' = known + f(t', X') h`. Returns the evaluations of the drift that
/// they took.
fn newton<F: Real>(
    sde: &dyn Sde<F>,
    step: &SdeStep<'_, F>,
    known: &Array2<F>,
    x: &mut ArrayRef2<F>,
    left: impl Iterator<Item = usize>,
    scratch: &mut Scratch,
) -> Result<u64, Error> {
    let [mut f] = take_rows::<F, 1>(scratch, x.dim());
    let mut newton: Newton<F> = scratch.take();
    newton.start(x, known, left);
    let (mut iterations, mut calls) = (0, 0);
    while newton.is_open() {
        if iterations == MOST_ITERATIONS {
            let residual = newton.residual();
            return Err(Error::NotConverged { routine: "ImplicitEuler", iterations, residual });
        }
        iterations += 1;
        calls += newton.evaluations(x.ncols());
        sde.drift_into(&step.batch_at(1.0, x), &mut f, scratch)?;
        if newton.asks() {
            newton.differentiate(sde, step, x, &f, scratch)?;
        }
        if !newton.correct(F::of(step.length), x, &f) {
            numeric::check_finite("the state", step.rows, step.index, step.from.t, x.view())?;
        }
    }
    put_rows(scratch, [f]);
    scratch.put(newton);
    Ok(calls)
}
