//! DPM-Solver with steps of each row's own.

mod block;
mod weights;

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use numeric::{Control, Error, Model, Noise, Prediction, Real, Scratch, Time, TimeGrid, VectorField};

use self::block::{Block, Position};
use super::gap::{predict, ratio_at};
use crate::run::{GridRun, enlarged};
use crate::sde::coefficients::{slice, slice_mut};
use crate::{DpmSolver, Keep, LinearProcess, Sampler, Start, Statistics, Tolerance, Trajectory};

/// How many of the model's blocks of rows are one here, at most.
const BLOCKS: usize = 2;
/// Shortest step in λ, and the most that are tried from one node to the next.
const SHORTEST: f64 = 1e-10;
const MOST: u64 = 100_000;

/// DPM-Solver-12 and DPM-Solver-23: reverse-time sampling along the probability flow with step sizes that are chosen for
/// each row by the error found.
///
/// A step of length h in the half log-SNR `λ = ln(α/σ)` is taken by [`DpmSolver`] of order k = 2 or 3, and by the method of
/// order k − 1 that shares its first evaluations: order 1, or order 2 with `r_1 = r e^{−h/3}`,
/// ```math
/// \tilde u' = u + (r' - r) \bigl( \varepsilon_0 + \tfrac32 (\varepsilon_1 - \varepsilon_0) \bigr).
/// ```
/// Their difference, both as x, is measured by
/// ```math
/// E = \sqrt{\frac1d \sum_j \Bigl( \frac{x'_j - \tilde x'_j}{\delta_j} \Bigr)^2}, \qquad
/// \delta_j = \max\bigl( \mathrm{absolute},\ \mathrm{relative} \cdot \max(|\tilde x'_j|, |\tilde x_j|) \bigr),
/// ```
/// with `x̃` the result of order k − 1 of the last accepted step (the start, at first). At most 1: `x'` is accepted. The
/// next step, or the next try, has the length `h max(0.9 E^{−1/k}, 0.2)`, and `0.2 h` after a try that is not finite; the
/// first has 0.05. Nodes of the grid are always hit, and
/// two nodes are enough. From the last node before the data themselves, σ = 0, where λ is infinite, it is one step that
/// ends in m, whatever the tolerance. The authors take `relative` 0.05 and `absolute` 0.0078 (for images in [−1, 1]: two levels of
/// 256).
///
/// The error let pass is that of a step, and of the lower order. Steps may grow by any factor, as with the authors: where
/// the two orders agree by chance in all coordinates, a step can be much too long. Prefer
/// [`ode::ProbabilityFlow`](crate::ode::ProbabilityFlow) with [`ode::Tsit5`](crate::ode::Tsit5), of order 5, where the
/// flow is to be exact.
///
/// # Convergence
/// The tolerance bounds the error of the lower order in one step, O(h^k). So h is O(tolerance^{1/k}), and the error of
/// order k at the end, which is that of the accepted states, O(tolerance).
///
/// # Randomness
/// None after the start, which is that of [`Sampler::run`]: d normals per row from the stream "start". Row i depends on
/// (noise, i) only.
///
/// # Complexity
/// k model evaluations for each step that is tried, and one in a step to the data themselves.
///
/// ```
/// use numeric::{Noise, TimeGrid, ndarray::array};
/// use sde_core::{AdaptiveDpmSolver, Covariance, Keep, Mixture, Ou, Start, Tolerance};
/// # fn main() -> Result<(), numeric::Error> {
/// // The flow of N(0, 4) multiplies by the ratio of standard deviations.
/// let model = Mixture::gaussian(array![0.0], Covariance::Isotropic(4.0))?.denoiser::<f64, _>(Ou);
/// let std = |t: f64| (1.0 + 3.0 * (-2.0 * t).exp()).sqrt();
/// let tolerance = Tolerance { relative: 1e-4, absolute: 1e-4 };
/// let grid = TimeGrid::from_nodes(vec![2.0, 1e-3])?;
/// let solver = AdaptiveDpmSolver::new(model, 3, tolerance, grid)?;
/// let run = solver.run(Start::Point(&[1.0]), Keep::Last, 0..1, Noise::new(1), Default::default())?;
/// assert!((run.states[(0, 0, 0)] - std(1e-3) / std(2.0)).abs() < 1e-3);
/// assert_eq!(run.statistics.calls, 3 * (run.statistics.accepted + run.statistics.rejected));
/// # Ok(()) }
/// ```
///
/// # References
/// Lu, Zhou, Bao, Chen, Li, Zhu (2022), *DPM-Solver: a fast ODE solver for diffusion probabilistic model sampling in
/// around 10 steps*, appendix C.
#[doc(alias = "dpm_adaptive")]
#[derive(Clone, Debug)]
pub struct AdaptiveDpmSolver<M> {
    sampler: Sampler<M, DpmSolver>,
    tolerance: Tolerance,
}

impl<V, S: LinearProcess> AdaptiveDpmSolver<Model<V, S>> {
    /// DPM-Solver-12 for `order` 2, DPM-Solver-23 for 3, from the first node of `grid` to its last.
    ///
    /// # Errors
    /// [`Error::Domain`] unless `order` is 2 or 3, for a tolerance of which the relative part is not at least 0 or the
    /// absolute one not above 0; [`Error::Entry`] as [`Sampler::new`]; [`Error::Unsupported`] for a grid that starts at
    /// σ/α = ∞, or that goes to the data themselves, σ = 0, in one step, which would adapt to nothing.
    pub fn new(
        model: Model<V, S>,
        order: usize,
        tolerance: Tolerance,
        grid: TimeGrid,
    ) -> Result<AdaptiveDpmSolver<Model<V, S>>, Error> {
        Error::domain((2..=3).contains(&order), "order", order as f64, "2 or 3")?;
        tolerance.check()?;
        let sampler = Sampler::new(model, DpmSolver::new(order)?, grid)?;
        if ratio_at(&sampler.model().schedule, sampler.grid().first()) == f64::INFINITY {
            let reason = "its steps are lengths of ln(σ/α), of which none starts at σ/α = ∞";
            return Err(Error::Unsupported { method: "AdaptiveDpmSolver", reason });
        }
        if sampler.grid().steps() == 1 && ratio_at(&sampler.model().schedule, sampler.grid().last()) == 0.0 {
            let reason =
                "to the data themselves it takes one step, from a node before them that this grid has not";
            return Err(Error::Unsupported { method: "AdaptiveDpmSolver", reason });
        }
        Ok(AdaptiveDpmSolver { sampler, tolerance })
    }

    /// Runs the given rows from `start` and keeps what `keep` says of the nodes of the grid.
    ///
    /// # Errors
    /// As [`Sampler::run`]; [`Error::Stalled`] if a step gets shorter than 10⁻¹⁰ or more than 100,000 are tried between
    /// two nodes, [`Error::NotFinite`] if tries are not finite down to that length; [`Error::Unsupported`] for a model that does
    /// not compute each row from that row alone. An error of the model itself ends the block at once: it is not taken for a try
    /// that failed.
    pub fn run<F: Real>(
        &self,
        start: Start<'_, F>,
        keep: Keep<'_, F>,
        rows: Range<u64>,
        noise: Noise,
        control: Control<'_>,
    ) -> Result<Trajectory<F>, Error>
    where
        V: VectorField<F>,
    {
        let (model, grid) = (self.sampler.model(), self.sampler.grid());
        let (dim, batching) = (model.field.dim(), model.field.batching());
        if !batching.rowwise {
            let reason = "the rows that step together change from step to step, and this model is not rowwise: if \
             its rows differ by rounding only, declare it so by `with_batching`; else use a method of fixed steps";
            return Err(Error::Unsupported { method: "AdaptiveDpmSolver", reason });
        }
        let mut course = GridRun { grid, start, keep, rows, dim, batching };
        // Rows arrive one by one, and calls with few rows are dear: where rows are many, more are in a block.
        course.batching = enlarged(batching, BLOCKS, course.count());
        let prior = self.sampler.prior(noise);
        let counts = [const { AtomicU64::new(0) }; 2];
        let to_data = ratio_at(&model.schedule, grid.last()) == 0.0;
        let (times, states) = course.run(control, Some(&prior), |numbers, x, scratch, seen| {
            let mut block: Block<F> = scratch.take();
            block.reset(numbers, slice(x), Position::new(&model.schedule, grid.first()), self.order());
            let mut lowest = None;
            for (cell, (from, to)) in grid.pairs().enumerate() {
                if to_data && cell + 1 == grid.steps() {
                    // No state of a row that failed gets to the model.
                    lowest.take().map_or(Ok(()), Err)?;
                    let m = predict(model, Prediction::Denoised, numbers, from, x, scratch)?;
                    let alpha = F::of(model.schedule.level(to).alpha);
                    x.zip_mut_with(&m, |x, &m| *x = alpha * m);
                    scratch.put(m);
                } else {
                    let failed = self.cross(numbers, (cell, to), slice_mut(x), &mut block, scratch)?;
                    lowest = failed.or(lowest);
                }
                seen.at(cell + 1, x)?;
            }
            lowest.map_or(Ok(()), Err)?;
            counts[0].fetch_add(block.accepted, Ordering::Relaxed);
            counts[1].fetch_add(block.rejected, Ordering::Relaxed);
            scratch.put(block);
            Ok(())
        })?;
        let [accepted, rejected] = counts.map(AtomicU64::into_inner);
        let last = if to_data { course.count() as u64 } else { 0 };
        let calls = self.order() as u64 * (accepted + rejected) + last;
        let accepted = accepted + last;
        Ok(Trajectory { times, states, statistics: Statistics { calls, accepted, rejected } })
    }

    fn order(&self) -> usize {
        self.sampler.method().order()
    }

    /// Carries all rows to the next node, from `x` to `x`. A row that fails ends its flight and those of the rows above it:
    /// rows below may still fail later, and the lowest is to be reported. Returned is its error.
    fn cross<F: Real>(
        &self,
        numbers: &[u64],
        (cell, to): (usize, Time),
        x: &mut [F],
        block: &mut Block<F>,
        scratch: &mut Scratch,
    ) -> Result<Option<Error>, Error>
    where
        V: VectorField<F>,
    {
        let model = self.sampler.model();
        let node = Position::new(&model.schedule, to);
        let (mut tried, mut lowest) = (0, None);
        block.depart(numbers, x, &node);
        while !block.flights.is_empty() {
            let late = tried == MOST;
            if let Some(r) = block.flights.iter().position(|flight| late || !(flight.length >= SHORTEST)) {
                let (flight, row) = (&block.flights[r], block.rows[r]);
                let (time, step, steps) = (flight.at.time.t, flight.length, flight.accepted);
                let reason = if late { "too many steps" } else { "its step is too short" };
                lowest = Some(if !flight.finite && step < SHORTEST {
                    Error::NotFinite { what: "the state", row, step: cell as u64, time }
                } else {
                    Error::Stalled { row, time, step, steps, reason }
                });
                block.fail(r);
                continue;
            }
            tried += 1;
            block.plan(&model.schedule, &node)?;
            block.attempt(model, self.tolerance, scratch)?;
            block.advance(&node, x);
        }
        Ok(lowest)
    }
}
