//! Explicit methods that step from node to node of the grid.

use numeric::ndarray::{ArrayRef2, ArrayViewMut2};
use numeric::{Batch, Error, Real, Scratch, TimeGrid, Times, VectorField, as_rows, check_finite};

use super::explicit::combine;
use super::piece::{Piece, advance, gap};
use super::tableau::{EULER, HEUN, MIDPOINT, RK4, Tableau};
use super::{OdeMethod, Visit};
use crate::Statistics;

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
        visit: &mut Visit<'_, F>,
        scratch: &mut Scratch,
    ) -> Result<Statistics, Error> {
        let tableau = self.tableau();
        let (n, d) = x.dim();
        let x = x.as_slice_mut().expect("blocks are in standard layout");
        let mut work: Work<F> = scratch.take();
        work.reset(tableau.c.len(), n, d);
        for (index, (from, to)) in grid.pairs().enumerate() {
            let Work { stages, inner, lengths, ended } = &mut work;
            let h = gap(from, to);
            lengths.fill(h);
            for (i, (&c, a)) in tableau.c.iter().zip(tableau.a).enumerate() {
                let (known, new) = stages.split_at_mut(i);
                combine(x, lengths, a, known, d, inner);
                let time = if c == 1.0 { to } else { advance(from, c * h) };
                let mut out = ArrayViewMut2::from_shape((n, d), &mut new[0][..]).expect("sized above");
                let inner = as_rows(inner, d);
                field.eval_into(&Batch::new(rows, Times::Same(time), &inner), &mut out, scratch)?;
            }
            combine(x, lengths, tableau.b, stages, d, inner);
            check_finite("the state", rows, index as u64, from.t, as_rows(inner, d))?;
            for (place, ended) in ended.iter_mut().enumerate().filter(|(_, ended)| !**ended) {
                let offset = place * d;
                let (start, end) = (&x[offset..][..d], &inner[offset..][..d]);
                let (stages, bend): (&[Vec<F>], _) = (&[], &[]);
                *ended = visit(&Piece { place, from, to, h, start, end, stages, offset, bend })?;
                x[offset..][..d].copy_from_slice(end);
            }
        }
        scratch.put(work);
        let steps = (n * grid.steps()) as u64;
        Ok(Statistics { calls: steps * tableau.c.len() as u64, accepted: steps, rejected: 0 })
    }
}

/// What a run of a block needs besides its states, kept from one to the next.
#[derive(Debug)]
struct Work<F> {
    stages: Vec<Vec<F>>,
    /// The argument of a stage, and the state at the end of the step.
    inner: Vec<F>,
    /// The length of the step for each row, which is the same.
    lengths: Vec<f64>,
    ended: Vec<bool>,
}

impl<F> Default for Work<F> {
    fn default() -> Work<F> {
        Work { stages: Vec::new(), inner: Vec::new(), lengths: Vec::new(), ended: Vec::new() }
    }
}

impl<F: Real> Work<F> {
    fn reset(&mut self, stages: usize, n: usize, d: usize) {
        self.stages.resize_with(stages, Vec::new);
        for buffer in self.stages.iter_mut().chain([&mut self.inner]) {
            buffer.resize(n * d, F::zero());
        }
        self.lengths.resize(n, 0.0);
        self.ended.clear();
        self.ended.resize(n, false);
    }
}
