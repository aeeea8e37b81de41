//! Explicit methods that step from node to node of the grid.

use std::mem::swap;

use numeric::ndarray::{Array2, ArrayRef2, ArrayViewMut2};
use numeric::{Batch, Error, Real, Scratch, TimeGrid, Times, VectorField, check_finite};

use super::explicit::{Lengths, combine};
use super::piece::{Piece, advance, gap};
use super::tableau::{EULER, HEUN, MIDPOINT, RK4, Tableau};
use super::{OdeMethod, Visit};
use crate::Statistics;
use crate::apart::Apart;
use crate::sde::coefficients::{slice, slice_mut};

/// Explicit Runge–Kutta methods with the steps of the grid: all rows step together.
///
/// | method | order | evaluations per step |
/// |---|---|---|
/// | [`Euler`](Self::Euler): `x' = x + h V(t, x)` | 1 | 1 |
/// | [`Midpoint`](Self::Midpoint): `x' = x + h V(t + h/2, x + h/2 V)` | 2 | 2 |
/// | [`Heun`](Self::Heun): the trapezoidal rule with an Euler predictor | 2 | 2 |
/// | [`Rk4`](Self::Rk4): the classical method | 4 | 4 |
///
/// # Complexity
/// As in the table; no error estimate and no dense output.
///
/// ```
/// use numeric::{Control, TimeGrid, from_row_fn};
/// use sde_core::{Keep, Start, ode::{FixedStep, OdeSolver}};
/// let decay = from_row_fn(1, |_, x, out: &mut [f64]| { out[0] = -x[0]; Ok(()) });
/// let solver = OdeSolver { field: decay, method: FixedStep::Rk4, grid: TimeGrid::uniform(0.0, 1.0, 10)? };
/// let end = solver.run(Start::Point(&[1.0]), Keep::Last, 0..1, Control::default())?.states[(0, 0, 0)];
/// assert!((end - (-1.0_f64).exp()).abs() < 4e-7);
/// # Ok::<(), numeric::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FixedStep {
    /// Euler's method.
    Euler,
    /// The explicit midpoint rule.
    Midpoint,
    /// Heun's method: the explicit trapezoidal rule.
    Heun,
    /// The classical method of order 4.
    Rk4,
}

impl FixedStep {
    fn tableau(self) -> &'static Tableau {
        match self {
            FixedStep::Euler => &EULER,
            FixedStep::Midpoint => &MIDPOINT,
            FixedStep::Heun => &HEUN,
            FixedStep::Rk4 => &RK4,
        }
    }
}

impl<F: Real, V: VectorField<F>> OdeMethod<F, V> for FixedStep {
    fn name(&self) -> &'static str {
        match self {
            FixedStep::Euler => "Euler",
            FixedStep::Midpoint => "midpoint",
            FixedStep::Heun => "Heun",
            FixedStep::Rk4 => "RK4",
        }
    }

    fn order(&self) -> usize {
        match self {
            FixedStep::Euler => 1,
            FixedStep::Midpoint | FixedStep::Heun => 2,
            FixedStep::Rk4 => 4,
        }
    }

    fn dense(&self) -> bool {
        false
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
        let tableau = self.tableau();
        let mut work: Work<F> = scratch.take();
        work.reset(tableau.c.len(), x);
        let walk = Walk { tableau, field, grid, rows };
        let done = if visit.is_some() {
            walk.take(x, visit, true, &mut work, scratch)
        } else {
            match walk.take(x, None, false, &mut work, scratch) {
                // What is not finite stays so until the end, or the field refuses it; where it began, the same steps tell once more.
                Err(_) => {
                    slice_mut(x).copy_from_slice(&work.start);
                    walk.take(x, None, true, &mut work, scratch)
                }
                done => done,
            }
        };
        scratch.put(work);
        done?;
        let steps = (rows.len() * grid.steps()) as u64;
        Ok(Statistics { calls: steps * tableau.c.len() as u64, accepted: steps, rejected: 0 })
    }
}

/// The way of a block.
struct Walk<'a, V> {
    tableau: &'static Tableau,
    field: &'a V,
    grid: &'a TimeGrid,
    rows: &'a [u64],
}

impl<V> Walk<'_, V> {
    /// From x to x. The state is checked after each step, or after the last.
    fn take<F: Real>(
        &self,
        x: &mut ArrayRef2<F>,
        mut visit: Option<&mut Visit<'_, F>>,
        checked: bool,
        work: &mut Work<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error>
    where
        V: VectorField<F>,
    {
        let Walk { tableau, field, grid, rows } = *self;
        let Work { stages, other, ended, .. } = work;
        let d = x.ncols();
        // State and end of the step change places.
        let (mut start, mut end) = (&mut *x, &mut **other);
        for (index, (from, to)) in grid.pairs().enumerate() {
            let h = gap(from, to);
            let sum = |x: &ArrayRef2<F>, a: &[f64], k: &[Apart<F>], out: &mut ArrayRef2<F>| {
                combine(slice(x), Lengths::Same(F::of(h)), a, k, slice_mut(out));
            };
            for (i, (&c, a)) in tableau.c.iter().zip(tableau.a).enumerate() {
                let (known, new) = stages.split_at_mut(i);
                let time = if c == 1.0 { to } else { advance(from, c * h) };
                let argument = if i == 0 {
                    &*start
                } else {
                    sum(start, a, known, end);
                    &*end
                };
                let mut out = ArrayViewMut2::from_shape(argument.dim(), &mut new[0]).expect("sized above");
                field.eval_into(&Batch::new(rows, Times::Same(time), argument), &mut out, scratch)?;
            }
            sum(start, tableau.b, stages, end);
            if checked || index + 1 == grid.steps() {
                check_finite("the state", rows, index as u64, from.t, end.view())?;
            }
            if let Some(visit) = &mut visit {
                let (before, after) = (slice_mut(start), slice_mut(end));
                for (place, (start, end)) in before.chunks_exact(d).zip(after.chunks_exact_mut(d)).enumerate()
                {
                    if ended[place] {
                        end.copy_from_slice(start);
                    } else {
                        let (stages, bend): (&[Apart<F>], _) = (&[], &[]);
                        let piece = Piece { place, from, to, h, start, end, stages, offset: place * d, bend };
                        ended[place] = visit(&piece)?;
                    }
                }
            }
            swap(&mut start, &mut end);
        }
        if grid.steps() % 2 == 1 {
            x.assign(other);
        }
        Ok(())
    }
}

/// Buffers of a block, kept from one to the next.
#[derive(Debug)]
struct Work<F> {
    /// Where the rows began.
    start: Vec<F>,
    stages: Vec<Apart<F>>,
    /// The state or the end of the step, whichever is not in the block itself; before it is the end, the argument of a stage.
    other: Array2<F>,
    ended: Vec<bool>,
}

impl<F: Real> Default for Work<F> {
    fn default() -> Work<F> {
        Work { start: Vec::new(), stages: Vec::new(), other: Array2::zeros((0, 0)), ended: Vec::new() }
    }
}

impl<F: Real> Work<F> {
    fn reset(&mut self, stages: usize, x: &ArrayRef2<F>) {
        self.start.clear();
        self.start.extend_from_slice(slice(x));
        self.stages.resize_with(stages, Apart::default);
        self.stages.iter_mut().enumerate().for_each(|(slot, stage)| stage.resize(x.len(), slot));
        if self.other.dim() != x.dim() {
            self.other = Array2::zeros(x.dim());
        }
        self.ended.clear();
        self.ended.resize(x.nrows(), false);
    }
}
