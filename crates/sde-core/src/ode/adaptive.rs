//! Steps of each row's own length: error norm, controller, and the loop over the rows that have not arrived.

use numeric::ndarray::ArrayRef2;
use numeric::{Error, Real, Scratch, Time, TimeGrid, VectorField, as_rows, check_finite};

use super::Visit;
use super::block::{Block, evaluate};
use super::explicit::{Lengths, combine, norms};
use super::piece::{advance, gap};
use crate::Statistics;

/// How exactly each row is to be solved, and the limits of its steps.
///
/// A step from x to x' with estimated error e is accepted if
///
/// ```math
/// \sqrt{\frac1d \sum_j \Big( \frac{e_j}{\mathrm{atol} + \mathrm{rtol} \max(|x_j|, |x'_j|)} \Big)^2} \le 1 .
/// ```
/// The next step is `0.9 ‖e‖^{−0.85/k} ‖e_prev‖^{0.2/k}` times as long (a PI controller; k is the order of the
/// estimate) or, if that is less, `0.9 (‖e_prev‖/‖e‖²)^{1/k} h/h_prev` times: as long as it may be if the error per `h^k`
/// grows on as it did. Near the data, where each step must be shorter than the one before, few are then rejected. `e_prev`
/// and `h_prev` are those of the last accepted step, an error below 10⁻⁴ counts as that, and before the first step only
/// the first formula counts, with 10⁻⁴. A step that is rejected is tried again `0.9 ‖e‖^{−1/k}` times as long, 0.2 times if
/// the error is no finite number, and the step after it is not longer. No factor is below 0.2 or above 10. The first step
/// is the one of Hairer, Nørsett and Wanner, from the sizes of x, V and the change of V, with time counted in |x|/|V| or, where
/// that says nothing, in the length of the run: nothing depends on the unit of time.
///
/// Adaptive steps of stochastic equations and of DPM-Solver have no such controller: they take the two numbers of
/// [`crate::Tolerance`].
///
/// # References
/// Hairer, Nørsett, Wanner (1993), *Solving ordinary differential equations I*, section II.4; Gustafsson (1991 and 1994),
/// *Control theoretic techniques for stepsize selection in explicit* (and *in implicit*) *Runge–Kutta methods*; Hairer,
/// Wanner (1996), *Solving ordinary differential equations II*, section IV.8.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Tolerance {
    rtol: f64,
    atol: f64,
    first_step: Option<f64>,
    max_steps: u64,
}

impl Tolerance {
    /// These tolerances; the first step found by itself, and at most 100,000 tries per row.
    ///
    /// # Errors
    /// [`Error::Domain`] unless both are finite, `rtol` at least 0 and `atol` above 0.
    pub fn new(rtol: f64, atol: f64) -> Result<Tolerance, Error> {
        Error::domain(rtol >= 0.0 && rtol.is_finite(), "rtol", rtol, "a finite number of at least 0")?;
        Error::positive("atol", atol)?;
        Ok(Tolerance { rtol, atol, first_step: None, max_steps: 100_000 })
    }

    /// With this length of the first step to try.
    ///
    /// # Errors
    /// [`Error::Domain`] unless it is positive and finite.
    pub fn first_step(self, length: f64) -> Result<Tolerance, Error> {
        Error::positive("first_step", length)?;
        Ok(Tolerance { first_step: Some(length), ..self })
    }

    /// With at most so many steps tried for each row.
    ///
    /// # Errors
    /// [`Error::Domain`] for 0.
    pub fn max_steps(self, steps: u64) -> Result<Tolerance, Error> {
        Error::domain(steps > 0, "max_steps", 0.0, "at least 1")?;
        Ok(Tolerance { max_steps: steps, ..self })
    }

    /// Absolute and relative, as positive and finite as they are: in single precision the nearest number may be neither.
    pub(super) fn both<F: Real>(&self) -> [F; 2] {
        [F::of(self.atol).max(F::min_positive_value()), F::of(self.rtol).min(F::max_value())]
    }
}

/// One try of a step with all rows of a block.
pub(super) trait Attempt<F: Real, V: VectorField<F>> {
    /// Number of stage buffers; the first holds V at the start, the last V at the end of the step.
    fn stages(&self) -> usize;

    /// k, where the estimated error of a step is O(h^k).
    fn error_order(&self) -> f64;

    /// See [`Piece`](super::Piece).
    fn bend(&self) -> &'static [f64];

    /// From `x`, the first stage and `lengths` to `end`, the last stage and `errors`; returns the evaluations.
    fn attempt(
        &self,
        field: &V,
        tolerance: &Tolerance,
        block: &mut Block<F>,
        scratch: &mut Scratch,
    ) -> Result<u64, Error>;
}

/// What is solved, how, how exactly, and along which grid.
#[derive(Debug)]
pub(super) struct Adaptive<'a, A, V> {
    pub(super) method: &'a A,
    pub(super) tolerance: &'a Tolerance,
    pub(super) field: &'a V,
    pub(super) grid: &'a TimeGrid,
}

impl<A, V> Adaptive<'_, A, V> {
    /// Carries the rows from the first to the last node.
    ///
    /// # Errors
    /// Those of [`OdeMethod::integrate`](super::OdeMethod::integrate), of the method called `name`.
    pub(super) fn integrate<F: Real>(
        &self,
        name: &'static str,
        rows: &[u64],
        x: &mut ArrayRef2<F>,
        visit: Option<&mut Visit<'_, F>>,
        scratch: &mut Scratch,
    ) -> Result<Statistics, Error>
    where
        V: VectorField<F>,
        A: Attempt<F, V>,
    {
        if !self.field.batching().rowwise {
            let reason = "the rows that step together change from step to step, and this field is not rowwise: if \
             its rows differ by rounding only, declare it so by `with_batching`; else use fixed steps";
            return Err(Error::Unsupported { method: name, reason });
        }
        let d = x.ncols();
        let x = x.as_slice_mut().expect("blocks are in standard layout");
        let mut block: Block<F> = scratch.take();
        block.reset(rows, x, d, self.method.stages(), self.grid.first());
        let done = self.walk(&mut block, x, visit, scratch);
        scratch.put(block);
        done
    }

    fn walk<F: Real>(
        &self,
        block: &mut Block<F>,
        out: &mut [F],
        mut visit: Option<&mut Visit<'_, F>>,
        scratch: &mut Scratch,
    ) -> Result<Statistics, Error>
    where
        V: VectorField<F>,
        A: Attempt<F, V>,
    {
        let Adaptive { method, tolerance, field, grid } = *self;
        let end = grid.last();
        let mut statistics = Statistics::default();
        evaluate(field, &block.rows, &block.times, &block.x, &mut block.stages[0], scratch)?;
        statistics.calls += block.rows.len() as u64;
        statistics.calls += self.first_steps(block, scratch)?;
        let mut tries = 0;
        while !block.rows.is_empty() {
            // Rows begin together, and so none has tried more steps than another.
            if tries == tolerance.max_steps {
                let error = stalled(block, 0, "more steps than max_steps");
                block.fail(0, error);
                break;
            }
            tries += 1;
            self.set_out(block);
            block.spread_lengths();
            statistics.calls += method.attempt(field, tolerance, block, scratch)?;
            block.control(method.error_order());
            let pasts = &block.pasts;
            let failed =
                (0..block.rows.len()).find(|&r| pasts.rejected[r] && stuck(block.times[r], pasts.next[r]));
            for (arrived, &target) in block.arrived.iter_mut().zip(&block.targets) {
                *arrived = target == end;
            }
            if let Some(visit) = &mut visit {
                for r in (0..failed.unwrap_or(block.rows.len())).filter(|&r| !block.pasts.rejected[r]) {
                    block.arrived[r] |= visit(&block.piece(r, method.bend()))?;
                }
            }
            let rejected = block.pasts.rejected.iter().filter(|&&rejected| rejected).count();
            statistics.rejected += rejected as u64;
            statistics.accepted += (block.rows.len() - rejected) as u64;
            if let Some(r) = failed {
                let error = underflow(block, r, block.errors[r]);
                block.fail(r, error);
            }
            block.step(out);
        }
        block.failure.take().map_or(Ok(statistics), Err)
    }

    /// Where the next steps end.
    fn set_out<F>(&self, block: &mut Block<F>) {
        let end = self.grid.last();
        let Block { times, pasts, lengths, targets, .. } = block;
        let rows = times.iter().zip(&pasts.next).zip(lengths.iter_mut().zip(targets));
        for ((&time, &next), (length, target)) in rows {
            let left = gap(time, end);
            // The last step ends at the end, and no sliver is left for another.
            let whole = 1.01 * next >= left.abs();
            *length = if whole { left } else { next.copysign(left) };
            *target = if whole { end } else { advance(time, *length) };
        }
    }

    /// The first step of each row; returns the evaluations made.
    fn first_steps<F: Real>(&self, block: &mut Block<F>, scratch: &mut Scratch) -> Result<u64, Error>
    where
        V: VectorField<F>,
        A: Attempt<F, V>,
    {
        let Adaptive { method, tolerance, field, grid } = *self;
        let k = method.error_order();
        let d = block.d;
        let span = gap(grid.first(), grid.last());
        let far = span.abs();
        let (from, what) = (block.times[0].t, "the field or the state");
        let finite = |v: &[F], rows| check_finite(what, rows, 0, from, as_rows(v, d)).is_ok();
        if !finite(&block.x, &block.rows) || !finite(&block.stages[0], &block.rows) {
            let mut rows = block.x.chunks_exact(d).zip(block.stages[0].chunks_exact(d));
            let bad = |(x, v): (&[F], &[F])| x.iter().chain(v).any(|v| !v.is_finite());
            let r = rows.position(bad).expect("one of them is not finite");
            let error = Error::NotFinite { what, row: block.rows[r], step: 0, time: from };
            block.fail(r, error);
        }
        let n = block.rows.len();
        if n == 0 {
            return Ok(0);
        }
        if let Some(length) = tolerance.first_step {
            block.pasts.next.fill(length);
            return Ok(0);
        }
        let ones = vec![1.0; n];
        let [mut d0, mut d1, mut d2] = [(); 3].map(|()| ones.clone());
        let Block { times, lengths, x, stages, stage_times, .. } = &mut *block;
        norms(tolerance, [x, x], &ones, &[(F::one(), &**x)], d, &mut d0);
        // What V does in the whole run: of no unit, so that its square overflows in no unit of time either.
        norms(tolerance, [x, x], &vec![far; n], &[(F::one(), &*stages[0])], d, &mut d1);
        // The book takes time as it comes, in which 10⁻⁶ is short. Here it is counted in units in which the state moves by its
        // own length, or in the length of the run if it is nearly 0 or hardly moves: what the clock counts in does not matter.
        // Both, and the guess, are parts of the run.
        let unit_and_guess = |(&d0, &d1): (&f64, &f64)| {
            if d0 < 1e-5 || d1 < 1e-5 { [1.0, 1e-6] } else { [d0 / d1, (0.01 * (d0 / d1)).min(1.0)] }
        };
        let guesses: Vec<[f64; 2]> = d0.iter().zip(&d1).map(unit_and_guess).collect();
        for (r, [_, guess]) in guesses.iter().enumerate() {
            lengths[r] = (guess * far).copysign(span);
            stage_times[r] = advance(times[r], lengths[r]);
        }
        block.spread_lengths();
        let Block { rows, x, stages, inner, stage_times, spread, pasts, .. } = block;
        combine(x, Lengths::Each(spread), &[1.0], stages, inner);
        evaluate(field, rows, stage_times, inner, &mut stages[1], scratch)?;
        let change = [(-F::one(), &*stages[0]), (F::one(), &*stages[1])];
        let tried: Vec<f64> = guesses.iter().map(|[_, guess]| guess * far).collect();
        norms(tolerance, [x, x], &tried, &change, d, &mut d2);
        for (r, next) in pasts.next.iter_mut().enumerate() {
            let [unit, h] = guesses[r];
            let (d1, d2) = (d1[r] * unit, d2[r] * (unit / h).powi(2));
            let largest = d1.max(d2);
            let second =
                if largest > 1e-15 { (0.01 / largest).powf(1.0 / k) * unit } else { h.max(1e-6 * unit) };
            // Where V is not finite at the trial point nothing is known, and the first guess must do.
            let first = if d2.is_finite() { second.min(100.0 * h) } else { h };
            *next = first.min(1.0) * far;
        }
        Ok(n as u64)
    }
}

/// Whether a step of this length does not move the clock by more than its rounding.
fn stuck(time: Time, length: f64) -> bool {
    !(length > 4.0 * f64::EPSILON * time.t.abs().min(time.to_end.abs())) || !(length > f64::MIN_POSITIVE)
}

fn stalled<F>(block: &Block<F>, r: usize, reason: &'static str) -> Error {
    Error::Stalled {
        row: block.rows[r],
        time: block.times[r].t,
        step: block.pasts.next[r],
        steps: block.pasts.accepted[r],
        reason,
    }
}

/// The step has become too short: because the field is not finite, or because it cannot be followed.
fn underflow<F>(block: &Block<F>, r: usize, error: f64) -> Error {
    if error.is_finite() {
        return stalled(block, r, "the step is shorter than the spacing of times");
    }
    let (row, time) = (block.rows[r], block.times[r].t);
    Error::NotFinite { what: "the field or the state", row, step: block.pasts.accepted[r], time }
}
