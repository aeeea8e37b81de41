//! DPM-Solver with steps of each row's own.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use numeric::ndarray::{Array2, ArrayRef2, Axis};
use numeric::{
    Batch, Control, Error, Model, Noise, Prediction, Real, Scratch, Time, TimeGrid, Times, VectorField,
};

use super::gap::{Gap, ratio_at};
use super::single_step::{third_order_end, third_order_stage};
use crate::run::GridRun;
use crate::{DpmSolver, Keep, LinearProcess, Sampler, Start, Statistics, Tolerance, Trajectory};

/// Length in λ of the first step that is tried.
const FIRST: f64 = 0.05;
/// Factor for safety.
const SAFETY: f64 = 0.9;
/// The least factor between a step and the next try.
const SHRINK: f64 = 0.2;
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
/// two nodes are enough. The authors take `relative` 0.05 and `absolute` 0.0078 (for images in [−1, 1]: two levels of
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
/// k model evaluations for each step that is tried.
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
    /// absolute one not above 0, or for a grid that ends at the data themselves, σ = 0, where λ is infinite;
    /// [`Error::Entry`] as [`Sampler::new`]; [`Error::Unsupported`] for a grid that starts at σ/α = ∞.
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
        let last = sampler.grid().last();
        let noisy = ratio_at(&sampler.model().schedule, last) > 0.0;
        Error::domain(noisy, "grid.last", last.t, "a time at which σ > 0")?;
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
        let course = GridRun { grid, start, keep, rows: rows.clone(), dim, batching };
        let prior = self.sampler.prior(noise);
        let counts = [const { AtomicU64::new(0) }; 2];
        let (times, states) = course.run(control, Some(&prior), |numbers, x, scratch, seen| {
            let mut flights: Vec<Flight> = numbers.iter().map(|_| Flight::new(grid.first())).collect();
            let mut lower = x.to_owned();
            let mut lowest = None;
            for (cell, (_, to)) in grid.pairs().enumerate() {
                let failed = self.cross(numbers, (cell, to), &mut flights, x, &mut lower, scratch)?;
                lowest = failed.or(lowest);
                seen.at(cell + 1, x)?;
            }
            lowest.map_or(Ok(()), Err)?;
            for (flight, _) in flights.iter().zip(numbers).filter(|(_, row)| rows.contains(row)) {
                counts[0].fetch_add(flight.accepted, Ordering::Relaxed);
                counts[1].fetch_add(flight.tries - flight.accepted, Ordering::Relaxed);
            }
            Ok(())
        })?;
        let [accepted, rejected] = counts.map(AtomicU64::into_inner);
        let calls = self.sampler.method().order() as u64 * (accepted + rejected);
        Ok(Trajectory { times, states, statistics: Statistics { calls, accepted, rejected } })
    }

    /// Carries all rows to the next node. A row that fails ends its flight and those of the rows above it: rows below may
    /// still fail later, and the lowest is to be reported. Returned is its error.
    fn cross<F: Real>(
        &self,
        numbers: &[u64],
        (cell, to): (usize, Time),
        flights: &mut Vec<Flight>,
        x: &mut ArrayRef2<F>,
        lower: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<Option<Error>, Error>
    where
        V: VectorField<F>,
    {
        let order = self.sampler.method().order() as f64;
        let mut places: Vec<usize> = (0..flights.len()).collect();
        let (mut tried, mut lowest) = (0, None);
        while !places.is_empty() {
            let mut tries = Vec::with_capacity(places.len());
            for &i in &places {
                let Flight { time, length, accepted, finite, .. } = flights[i];
                if tried == MOST || !(length >= SHORTEST) {
                    let (row, at) = (numbers[i], time.t);
                    let reason = if tried == MOST { "too many steps" } else { "its step is too short" };
                    lowest = Some(if !finite && length < SHORTEST {
                        Error::NotFinite { what: "the state", row, step: cell as u64, time: at }
                    } else {
                        Error::Stalled { row, time: at, step: length, steps: accepted, reason }
                    });
                    flights.truncate(i);
                    break;
                }
                tries.push(self.plan(time, to, length)?);
            }
            places.truncate(tries.len());
            if places.is_empty() {
                break;
            }
            let rows: Vec<u64> = places.iter().map(|&i| numbers[i]).collect();
            tried += 1;
            let from = x.select(Axis(0), &places);
            let [low, high] = self.attempt(&rows, &tries, &from, scratch)?;
            for (j, (&i, plan)) in places.iter().zip(&tries).enumerate() {
                let flight = &mut flights[i];
                let error = self.error(lower.row(i).iter(), low.row(j).iter(), high.row(j).iter());
                flight.tries += 1;
                // A try that is no number is one that was too long, as far as can be known.
                flight.finite = error.is_finite() && high.row(j).iter().all(|x| x.is_finite());
                let factor = if flight.finite { SAFETY * error.powf(-1.0 / order) } else { 0.0 };
                flight.length = plan.whole.h * factor.max(SHRINK);
                if flight.finite && error <= 1.0 {
                    flight.accepted += 1;
                    flight.time = plan.to;
                    x.row_mut(i).assign(&high.row(j));
                    lower.row_mut(i).assign(&low.row(j));
                }
            }
            places.retain(|&i| flights[i].time != to);
        }
        Ok(lowest)
    }

    /// A step of that length, or to the node if that is nearer.
    fn plan(&self, from: Time, node: Time, length: f64) -> Result<Plan, Error> {
        let process = &self.sampler.model().schedule;
        let (ratio, last) = (ratio_at(process, from), ratio_at(process, node));
        let wanted = ratio * (-length).exp();
        // What would leave less than a rounding is a step to the node.
        let to = if wanted <= last * (1.0 + SHORTEST) { node } else { process.time_at_ratio(wanted)? };
        let whole = Gap::of(process, from, to)?;
        let order = self.sampler.method().order();
        let inner = |i: usize| {
            let time = process.time_at_ratio(ratio * (-(i as f64 / order as f64) * whole.h).exp())?;
            Ok((time, Gap::of(process, from, time)?))
        };
        Ok(Plan { from, to, whole, inner: (1..order).map(inner).collect::<Result<_, Error>>()? })
    }

    /// The results of the lower and of the higher order.
    fn attempt<F: Real>(
        &self,
        rows: &[u64],
        plans: &[Plan],
        x: &Array2<F>,
        scratch: &mut Scratch,
    ) -> Result<[Array2<F>; 2], Error>
    where
        V: VectorField<F>,
    {
        let mut slope = |time: &dyn Fn(&Plan) -> Time, x: &Array2<F>| {
            let times: Vec<Time> = plans.iter().map(time).collect();
            let mut out = Array2::zeros(x.raw_dim());
            let batch = Batch::new(rows, Times::PerRow(&times), x);
            self.sampler.model().predict_into(Prediction::Noise, &batch, &mut out, scratch)?;
            Ok(out)
        };
        // x' of a gap from u' = u + Σ weights · slopes, row by row.
        let advance = |gap: &dyn Fn(&Plan) -> (Gap, [f64; 3]), slopes: &[&Array2<F>]| {
            let mut out = x.clone();
            for (i, (mut out, plan)) in out.rows_mut().into_iter().zip(plans).enumerate() {
                let (gap, weights) = gap(plan);
                out.mapv_inplace(|x| F::of(gap.grow) * x);
                for (slope, weight) in slopes.iter().zip(weights) {
                    let weight = F::of(gap.alpha * weight);
                    out.zip_mut_with(&slope.row(i), |x, &e| *x += weight * e);
                }
            }
            out
        };
        let first = slope(&|plan| plan.from, x)?;
        let stage = |plan: &Plan| (plan.inner[0].1, [plan.inner[0].1.change(), 0.0, 0.0]);
        let second = slope(&|plan| plan.inner[0].0, &advance(&stage, &[&first]))?;
        let whole =
            |weights: fn(f64) -> [f64; 3]| move |plan: &Plan| (plan.whole, weights(plan.whole.change()));
        let slopes = [&first, &second];
        if self.sampler.method().order() == 2 {
            let low = advance(&whole(|change| [change, 0.0, 0.0]), &slopes);
            return Ok([low, advance(&whole(|change| [0.0, change, 0.0]), &slopes)]);
        }
        let low = advance(&whole(|change| [-0.5 * change, 1.5 * change, 0.0]), &slopes);
        let stage = |plan: &Plan| {
            let gap = plan.inner[1].1;
            let [b, c] = third_order_stage(&gap);
            (gap, [b, c, 0.0])
        };
        let third = slope(&|plan| plan.inner[1].0, &advance(&stage, &slopes))?;
        let end = |plan: &Plan| {
            let [b, c] = third_order_end(&plan.whole);
            (plan.whole, [b, 0.0, c])
        };
        Ok([low, advance(&end, &[&first, &second, &third])])
    }

    /// E of a row.
    fn error<'x, F: Real>(
        &self,
        before: impl Iterator<Item = &'x F>,
        low: impl ExactSizeIterator<Item = &'x F>,
        high: impl Iterator<Item = &'x F>,
    ) -> f64 {
        let Tolerance { relative, absolute } = self.tolerance;
        let d = low.len() as f64;
        let square = |((before, low), high): ((&F, &F), &F)| {
            let [before, low, high] = [before, low, high].map(|x| x.as_f64());
            ((high - low) / absolute.max(relative * low.abs().max(before.abs()))).powi(2)
        };
        (before.zip(low).zip(high).map(square).sum::<f64>() / d).sqrt()
    }
}

/// Where a row is.
#[derive(Clone, Copy, Debug)]
struct Flight {
    time: Time,
    /// Length in λ of the next step to try.
    length: f64,
    accepted: u64,
    tries: u64,
    /// Whether the last try was.
    finite: bool,
}

impl Flight {
    fn new(time: Time) -> Flight {
        Flight { time, length: FIRST, accepted: 0, tries: 0, finite: true }
    }
}

/// A step of one row.
#[derive(Debug)]
struct Plan {
    from: Time,
    to: Time,
    whole: Gap,
    /// The stages after the first: when, and the way there.
    inner: Vec<(Time, Gap)>,
}
