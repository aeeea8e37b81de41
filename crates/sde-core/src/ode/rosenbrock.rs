//! A linearly implicit method for stiff equations.

use std::array::from_fn;

use numeric::ndarray::{ArrayRef2, ArrayViewMut2};
use numeric::{Batch, Error, JacobianProducts, Real, Scratch, TimeGrid, Times, as_rows, vectorize};

use super::adaptive::{Adaptive, Attempt, Tolerance};
use super::block::{Block, evaluate};
use super::explicit::{Lengths, combine, norms};
use super::piece::advance;
use super::{OdeMethod, Visit};
use crate::Statistics;
use crate::elimination::{Systems, factorise, solve};
use crate::lanes::{LANES, Lanes, row_by_row, side_by_side};

/// The L-stable Rosenbrock method ROS34PW2, for stiff equations.
///
/// With the Jacobian J of each row and four linear systems with one matrix,
///
/// ```math
/// (I - h\gamma J)\, k_i = V\big(t + \alpha_i h,\ x + h \textstyle\sum_{j<i} \alpha_{ij} k_j\big)
///     + h J \sum_{j<i} \gamma_{ij} k_j + h \gamma_i \partial_t V, \qquad x' = x + h \sum_i b_i k_i .
/// ```
/// Stiffly accurate, and a W-method: the order does not depend on how exact the Jacobian is, so that
/// [`FiniteDifference`](numeric::FiniteDifference) around any field serves. ∂V/∂t is a forward difference over a small
/// part of the step.
///
/// # Convergence
/// Order 3, with an embedded method of order 2. Dense output by cubic Hermite interpolation, of order 3.
/// # Complexity
/// Per step that is tried: five evaluations, d Jacobian products, and an LU decomposition, O(d³), of each row.
///
/// ```
/// use numeric::{Control, FiniteDifference, TimeGrid, from_row_fn};
/// use sde_core::{Keep, Start, ode::{OdeSolver, Rosenbrock}};
/// // x follows cos t within 10⁻⁶: an explicit method would need a million steps.
/// let stiff = from_row_fn(1, |time, x, out: &mut [f64]| { out[0] = -1e6 * (x[0] - time.t.cos()); Ok(()) });
/// let (field, method) = (FiniteDifference::new(stiff), Rosenbrock::new(1e-6, 1e-6)?);
/// let solver = OdeSolver { field, method, grid: TimeGrid::uniform(0.0, 3.0, 1)? };
/// let run = solver.run(Start::Point(&[0.0]), Keep::Last, 0..1, Control::default())?;
/// assert!((run.states[(0, 0, 0)] - 3.0_f64.cos()).abs() < 1e-5 && run.statistics.accepted < 300);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// Rang, Angermann (2005), *New Rosenbrock W-methods of order 3 for partial differential algebraic equations of
/// index 1*.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rosenbrock {
    tolerance: Tolerance,
}

impl Rosenbrock {
    /// The method with a relative and an absolute tolerance, and everything else as in [`Tolerance::new`].
    ///
    /// # Errors
    /// As [`Tolerance::new`].
    pub fn new(rtol: f64, atol: f64) -> Result<Rosenbrock, Error> {
        Ok(Rosenbrock { tolerance: Tolerance::new(rtol, atol)? })
    }

    /// The method with these tolerances and limits.
    #[must_use]
    pub fn with(tolerance: Tolerance) -> Rosenbrock {
        Rosenbrock { tolerance }
    }
}

const STAGES: usize = 4;

const GAMMA: f64 = 0.435_866_521_508_459_00;

/// α_ij, strictly lower.
const ALPHA: [[f64; STAGES]; STAGES] = [
    [0.0; STAGES],
    [0.871_733_043_016_918_01, 0.0, 0.0, 0.0],
    [0.844_570_600_153_694_23, -0.112_990_642_364_841_85, 0.0, 0.0],
    [0.0, 0.0, 1.0, 0.0],
];

/// γ_ij below the diagonal γ.
const BELOW: [[f64; STAGES]; STAGES] = [
    [0.0; STAGES],
    [-0.871_733_043_016_918_01, 0.0, 0.0, 0.0],
    [-0.903_380_570_130_440_82, 0.054_180_672_388_095_326, 0.0, 0.0],
    [0.242_123_807_060_953_46, -1.223_250_583_904_514_7, 0.545_260_255_335_102_1, 0.0],
];

const B: [f64; STAGES] =
    [0.242_123_807_060_953_46, -1.223_250_583_904_514_7, 1.545_260_255_335_102, 0.435_866_521_508_459_00];

const B_HAT: [f64; STAGES] =
    [0.378_109_031_458_193_69, -0.096_042_292_212_423_178, 0.5, 0.217_933_260_754_229_5];

/// The method as the controller sees it.
#[derive(Debug)]
struct Ros34Pw2;

impl<F: Real, V: JacobianProducts<F>> Attempt<F, V> for Ros34Pw2 {
    /// V at the start, the four k, V at the end.
    fn stages(&self) -> usize {
        STAGES + 2
    }

    fn error_order(&self) -> f64 {
        3.0
    }

    fn bend(&self) -> &'static [f64] {
        &[]
    }

    fn attempt(
        &self,
        field: &V,
        tolerance: &Tolerance,
        block: &mut Block<F>,
        scratch: &mut Scratch,
    ) -> Result<u64, Error> {
        let mut work: Work<F> = scratch.take();
        let done = try_step(field, tolerance, block, &mut work, scratch);
        scratch.put(work);
        done
    }
}

/// What a step needs besides its block, kept from one to the next. Matrices and what is multiplied with them are of
/// [`LANES`] rows side by side.
#[derive(Debug)]
struct Work<F> {
    /// Column by column.
    jacobians: Vec<Lanes<f64>>,
    /// `I − hγJ` in triangular factors.
    systems: Systems<f64>,
    /// ∂V/∂t, `(n, d)`.
    slopes: Vec<F>,
    /// A direction for each row, and the derivative along it, `(n, d)`.
    unit: Vec<F>,
    column: Vec<F>,
    /// Of a group of rows: `Σ γ_ij k_j`, and the right-hand side that becomes the stage.
    along: Vec<Lanes<f64>>,
    right: Vec<Lanes<f64>>,
}

impl<F> Default for Work<F> {
    fn default() -> Work<F> {
        let [jacobians, along, right] = [(); 3].map(|()| Vec::new());
        let [slopes, unit, column] = [(); 3].map(|()| Vec::new());
        Work { jacobians, systems: Systems::default(), slopes, unit, column, along, right }
    }
}

impl<F: Real> Work<F> {
    fn resize(&mut self, n: usize, d: usize) {
        self.jacobians.resize(n.div_ceil(LANES) * d * d, [0.0; LANES]);
        self.systems.resize(n, d);
        for buffer in [&mut self.slopes, &mut self.unit, &mut self.column] {
            buffer.resize(n * d, F::zero());
        }
        self.along.resize(d, [0.0; LANES]);
        self.right.resize(d, [0.0; LANES]);
    }
}

/// One try of a step with all rows of a block; returns the evaluations.
fn try_step<F: Real, V: JacobianProducts<F>>(
    field: &V,
    tolerance: &Tolerance,
    block: &mut Block<F>,
    work: &mut Work<F>,
    scratch: &mut Scratch,
) -> Result<u64, Error> {
    let (d, n) = (block.d, block.rows.len());
    work.resize(n, d);
    jacobians_into(field, block, work, scratch)?;
    let Block { rows, times, lengths, targets, x, end, stages, errors, inner, stage_times, spread, .. } =
        block;
    let Work { jacobians, systems, slopes, along, right, .. } = work;
    let mut groups = systems.groups(d).zip(jacobians.chunks_exact(d * d)).zip(lengths.chunks(LANES));
    vectorize(
        #[inline(always)]
        || {
            for (((system, exchanged), jacobian), lengths) in &mut groups {
                let mut factors = lanes_of(lengths);
                factors.iter_mut().for_each(|factor| *factor *= GAMMA);
                for (at, (system, jacobian)) in system.iter_mut().zip(jacobian).enumerate() {
                    let (mut entry, unit) = (*jacobian, if at % (d + 1) == 0 { 1.0 } else { 0.0 });
                    for (entry, factor) in entry.iter_mut().zip(&factors) {
                        *entry = unit - *entry * factor;
                    }
                    *system = entry;
                }
                factorise((system, exchanged));
            }
        },
    );
    drop(groups);
    // ∂V/∂t, over a part of the step that balances truncation and rounding.
    let part = F::epsilon().as_f64().powf(0.25);
    for (r, time) in stage_times.iter_mut().enumerate() {
        *time = advance(times[r], part * lengths[r]);
    }
    evaluate(field, rows, stage_times, x, slopes, scratch)?;
    for (r, slope) in slopes.chunks_exact_mut(d).enumerate() {
        for (slope, &v) in slope.iter_mut().zip(&stages[0][r * d..]) {
            *slope = (*slope - v) / F::of(part * lengths[r]);
        }
    }
    for i in 0..STAGES {
        let alpha: f64 = ALPHA[i].iter().sum();
        let gamma = GAMMA + BELOW[i].iter().sum::<f64>();
        let (known, new) = stages.split_at_mut(i + 1);
        if i == 0 {
            new[0].copy_from_slice(&known[0]);
        } else {
            combine(x, Lengths::Each(spread), &ALPHA[i], &known[1..], inner);
            for (r, time) in stage_times.iter_mut().enumerate() {
                *time = if alpha == 1.0 { targets[r] } else { advance(times[r], alpha * lengths[r]) };
            }
            evaluate(field, rows, stage_times, inner, &mut new[0], scratch)?;
        }
        let groups = systems.groups(d).zip(jacobians.chunks_exact(d * d)).zip(lengths.chunks(LANES));
        let rows = slopes.chunks(LANES * d).zip(new[0].chunks_mut(LANES * d));
        let mut groups = groups.zip(rows).enumerate();
        vectorize(
            #[inline(always)]
            || {
                for (group, ((((factors, exchanged), jacobian), lengths), (slopes, stage))) in &mut groups {
                    along.fill([0.0; LANES]);
                    for (k, &gamma) in known[1..].iter().zip(&BELOW[i]) {
                        let k = &k[group * LANES * d..][..stage.len()];
                        side_by_side(k, d, |l, k| add(&mut along[l], &k, gamma));
                    }
                    right.fill([0.0; LANES]);
                    for (column, along) in jacobian.chunks_exact(d).zip(&*along) {
                        for (right, column) in right.iter_mut().zip(column) {
                            let mut sum = *right;
                            for lane in 0..LANES {
                                sum[lane] += column[lane] * along[lane];
                            }
                            *right = sum;
                        }
                    }
                    side_by_side(slopes, d, |l, slopes| add(&mut right[l], &slopes, gamma));
                    let lengths = lanes_of(lengths);
                    side_by_side(stage, d, |l, v| {
                        let mut sum = right[l];
                        for lane in 0..LANES {
                            sum[lane] = v[lane].as_f64() + lengths[lane] * sum[lane];
                        }
                        right[l] = sum;
                    });
                    // Of a singular matrix nothing is known, and the step is refused as not finite.
                    solve(factors, exchanged, right);
                    row_by_row(right, stage, F::of);
                }
            },
        );
    }
    let (known, last) = stages.split_at_mut(STAGES + 1);
    combine(x, Lengths::Each(spread), &B, &known[1..], end);
    evaluate(field, rows, targets, end, &mut last[0], scratch)?;
    let terms: [(F, &[F]); STAGES] = from_fn(|i| (F::of(B[i] - B_HAT[i]), &*known[i + 1]));
    norms(tolerance, [x, end], lengths, &terms, d, errors);
    Ok((5 * n) as u64)
}

/// A number of each row of a group; in lanes without a row, that of the last.
#[inline(always)]
fn lanes_of(numbers: &[f64]) -> Lanes<f64> {
    let mut lanes = [0.0; LANES];
    side_by_side(numbers, 1, |_, numbers| lanes = numbers);
    lanes
}

/// `sum += factor · values`.
#[inline(always)]
fn add<F: Real>(sum: &mut Lanes<f64>, values: &Lanes<F>, factor: f64) {
    let mut new = *sum;
    for (new, value) in new.iter_mut().zip(values) {
        *new += factor * value.as_f64();
    }
    *sum = new;
}

/// The Jacobian of each row, column by column.
fn jacobians_into<F: Real, V: JacobianProducts<F>>(
    field: &V,
    block: &Block<F>,
    work: &mut Work<F>,
    scratch: &mut Scratch,
) -> Result<(), Error> {
    let (d, n) = (block.d, block.rows.len());
    let Work { jacobians, unit, column, .. } = work;
    let x = as_rows(&block.x, d);
    let batch = Batch::new(&block.rows, Times::PerRow(&block.times), &x);
    unit.fill(F::zero());
    for j in 0..d {
        unit.iter_mut().skip(j).step_by(d).for_each(|unit| *unit = F::one());
        let mut out = ArrayViewMut2::from_shape((n, d), &mut column[..]).expect("sized above");
        field.jvp_into(&batch, &as_rows(unit, d), &mut out, scratch)?;
        unit.iter_mut().skip(j).step_by(d).for_each(|unit| *unit = F::zero());
        let mut groups = jacobians.chunks_exact_mut(d * d).zip(column.chunks(LANES * d));
        vectorize(
            #[inline(always)]
            || {
                for (jacobian, column) in &mut groups {
                    let entries = &mut jacobian[j * d..][..d];
                    side_by_side(column, d, |k, values| {
                        let mut entry = [0.0; LANES];
                        add(&mut entry, &values, 1.0);
                        entries[k] = entry;
                    });
                }
            },
        );
    }
    Ok(())
}

impl<F: Real, V: JacobianProducts<F>> OdeMethod<F, V> for Rosenbrock {
    fn name(&self) -> &'static str {
        "ROS34PW2"
    }

    fn order(&self) -> usize {
        3
    }

    fn dense(&self) -> bool {
        true
    }

    fn integrate(
        &self,
        field: &V,
        grid: &TimeGrid,
        rows: &[u64],
        x: &mut ArrayRef2<F>,
        visit: Option<&mut Visit<'_, F>>,
        scratch: &mut Scratch,
    ) -> Result<Statistics, Error> {
        let solver = Adaptive { method: &Ros34Pw2, tolerance: &self.tolerance, field, grid };
        solver.integrate("ROS34PW2", rows, x, visit, scratch)
    }
}

#[cfg(test)]
mod tests;
