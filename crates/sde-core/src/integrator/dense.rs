//! Solutions between the nodes.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use numeric::{Control, Error, Noise, Real, Time, TimeGrid, check_finite};

use super::course::{Course, Parts, Stepper, Steps};
use super::{Integrator, Solver};
use crate::run::GridRun;
use crate::sde::{put_rows, take_rows};
use crate::{Keep, Sde, Start, Statistics, Trajectory};

impl<F: Real, E: Sde<F>, I: Integrator<F>> Solver<F, E, I> {
    /// Runs the rows along the grid and keeps their states at any times, `(n, times, d)`.
    ///
    /// The state at a time t between the nodes `t_k < t < t_{k+1}` is one shorter step of the same method,
    ///
    /// ```math
    /// X(t) = \Phi\bigl(t_k, X_k;\; t - t_k,\; W_t - W_{t_k},\; H_{t_k, t}\bigr),
    /// ```
    ///
    /// with the increment and, for methods that ask for them, the areas of the path that the run goes along. So
    /// it has one value, whatever else is asked for, and tends to those at the nodes; at a node it is the state there.
    /// The steps of the run are those of [`run`](Self::run), to the bit.
    ///
    /// The path is known at the ticks of the tree, 2⁻⁴⁰ of a cell apart: each time is moved to the nearest one, and
    /// [`Trajectory::times`] are those of the ticks.
    ///
    /// *Lévy areas* are put together from the same parts of the tree as those of the whole step, the last of them cut off
    /// at t ([`BrownianCursor::levy_areas_into`](numeric::BrownianCursor::levy_areas_into)): at the ends of these parts
    /// they are those that the step itself uses up to there, and within a part they enter by their conditional mean given
    /// its W and H up to t. W and H are exact; the areas are as inexact as the step's, and no more.
    ///
    /// ```
    /// use numeric::{Brownian, Noise, Scratch, TimeGrid, from_row_fn, ndarray::{Array2, array}};
    /// use sde_core::{Additive, Solver, Start, integrator::EulerMaruyama};
    /// // dX = 2 dt + dW from 0, with four steps: X(0.3) = 0.6 + W(0.3) along the same path.
    /// let drift = from_row_fn(1, |_, _, out: &mut [f64]| { out[0] = 2.0; Ok(()) });
    /// let grid = TimeGrid::uniform(0.0, 1.0, 4)?;
    /// let solver = Solver::<f64, _, _>::new(Additive::new(drift, &array![[1.0]])?, EulerMaruyama, grid)?;
    /// let noise = Noise::new(1);
    /// let run = solver.run_at(Start::Point(&[0.0]), &[0.25, 0.3], 0..3, noise, Default::default())?;
    ///
    /// let cells = [0.25; 4];
    /// let (brownian, mut w) = (Brownian::new(noise.fork("path"), &cells)?, Array2::<f64>::zeros((3, 1)));
    /// let tick = brownian.tick(1, 0.3 - 0.25)?;
    /// brownian.between_into(&[0, 1, 2], 1, 0..tick, &mut w, None, &mut Scratch::new());
    /// let (x, dt) = (&run.states, brownian.elapsed(1, tick));
    /// assert!((0..3).all(|i| (x[(i, 1, 0)] - x[(i, 0, 0)] - (2.0 * dt + w[(i, 0)])).abs() < 1e-15));
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Convergence
    /// One step more, shorter than those of the grid: between the nodes the strong and the weak order are those at the
    /// nodes. Without drift and with constant noise the states are exact.
    ///
    /// # Complexity
    /// One step more for each time that is no node, which [`Statistics::calls`](crate::Statistics::calls) counts and
    /// `accepted` does not; and the path down to its tick, 40 levels of the tree at most. With Lévy areas, up to 2^depth
    /// parts of the step for each time.
    ///
    /// # Errors
    /// [`Error::Entry`] for times outside of the grid, not strictly in its direction, NaN, or nearer to each other than a
    /// tick; else as [`run`](Self::run).
    ///
    /// # Panics
    /// Never by itself.
    pub fn run_at(
        &self,
        start: Start<'_, F>,
        times: &[f64],
        rows: Range<u64>,
        noise: Noise,
        control: Control<'_>,
    ) -> Result<Trajectory<F>, Error> {
        self.course().run_at(self, start, times, rows, noise, control)
    }
}

impl Course<'_> {
    /// A run that keeps states at any times.
    pub(super) fn run_at<F: Real>(
        &self,
        stepper: &impl Stepper<F>,
        start: Start<'_, F>,
        times: &[f64],
        rows: Range<u64>,
        noise: Noise,
        control: Control<'_>,
    ) -> Result<Trajectory<F>, Error> {
        let stops = Stops::new(self.grid, self.ticks(), times)?;
        let (dim, batching) = (self.dims.0, self.batching);
        let run = GridRun { grid: &stops.grid, start, keep: Keep::Nodes(&stops.kept), rows, dim, batching };
        start.check_given(self.name, run.count(), dim)?;
        let draws = self.draws(noise)?;
        let all_calls = AtomicU64::new(0);
        let (times, states) = run.run(control, None, |rows, x, scratch, seen| {
            let mut steps = Steps::new(self, draws, rows, scratch);
            let mut parts = Parts::new(self, draws);
            let mut calls = stepper.begin(x, scratch)?;
            let mut stop = 0;
            for k in 0..self.grid.steps() {
                // Errors name the step of the grid, not the stop.
                let from = self.grid.node(k).t;
                for (i, &ticks) in stops.within(k).iter().enumerate() {
                    if i == 0 {
                        parts.begin(rows, k);
                    }
                    let [mut part] = take_rows::<F, 1>(scratch, x.dim());
                    part.assign(x);
                    calls += stepper.part(parts.first(ticks, scratch), &mut part, scratch)?;
                    check_finite("the state", rows, k as u64, from, part.view())?;
                    stop += 1;
                    seen.at(stop, &part)?;
                    put_rows(scratch, [part]);
                }
                calls += stepper.step(steps.next(k, scratch), x, scratch)?;
                check_finite("the state", rows, k as u64, from, x.view())?;
                stop += 1;
                seen.at(stop, x)?;
            }
            steps.end(scratch);
            all_calls.fetch_add(run.share(calls, rows), Ordering::Relaxed);
            Ok(())
        })?;
        let accepted = (run.count() * self.grid.steps()) as u64;
        let statistics = Statistics { calls: all_calls.into_inner(), accepted, rejected: 0 };
        Ok(Trajectory { times, states, statistics })
    }
}

/// The nodes of a grid with the times among them that were asked for.
#[derive(Debug)]
pub(super) struct Stops {
    /// All of them.
    pub(super) grid: TimeGrid,
    /// Those of the times asked for.
    pub(super) kept: Vec<usize>,
    /// Those that are no nodes, as ticks since the start of the step that they are in.
    ticks: Vec<u64>,
    /// Where in `ticks` each step begins, and the end of the last.
    steps: Vec<usize>,
}

impl Stops {
    /// Each time is moved to the nearest of so many ticks in its step.
    ///
    /// # Errors
    /// [`Error::Entry`] for times outside of the grid, not strictly in its direction, NaN, or nearer to each other than a
    /// tick.
    pub(super) fn new(grid: &TimeGrid, ticks: u64, times: &[f64]) -> Result<Stops, Error> {
        let places = places(grid, ticks, times)?;
        let mut stops: Vec<(usize, u64)> = (0..=grid.steps()).map(|k| (k, 0)).collect();
        stops.extend(&places);
        stops.sort_unstable();
        stops.dedup();
        let nodes = stops.iter().map(|&(k, at)| time(grid, k, at, ticks)).collect();
        let between: Vec<(usize, u64)> = stops.iter().copied().filter(|&(_, at)| at > 0).collect();
        Ok(Stops {
            grid: TimeGrid::from_times(nodes)?,
            kept: places.iter().map(|at| stops.binary_search(at).expect("among the stops")).collect(),
            ticks: between.iter().map(|&(_, at)| at).collect(),
            steps: (0..=grid.steps()).map(|k| between.partition_point(|at| at.0 < k)).collect(),
        })
    }

    /// The stops between the ends of step `k`, as ticks since its start.
    pub(super) fn within(&self, k: usize) -> &[u64] {
        &self.ticks[self.steps[k]..self.steps[k + 1]]
    }
}

/// The time `at` of `ticks` ticks after the start of step `k`; at both ends of the step exactly a node of the grid.
pub(super) fn time(grid: &TimeGrid, k: usize, at: u64, ticks: u64) -> Time {
    let part = at as f64 / ticks as f64;
    if at == 0 { grid.node(k) } else { grid.node(k).between(grid.node(k + 1), part) }
}

/// For each time, the step that it is in and the ticks since the start of that step, 0 at a node.
fn places(grid: &TimeGrid, ticks: u64, times: &[f64]) -> Result<Vec<(usize, u64)>, Error> {
    let nodes = grid.nodes();
    let sign = if grid.is_forward() { 1.0 } else { -1.0 };
    let mut places = Vec::with_capacity(times.len());
    for (index, &t) in times.iter().enumerate() {
        let refuse = |expected| Err(Error::Entry { parameter: "times", index, value: t, expected });
        let behind = nodes.partition_point(|node| sign * node.t <= sign * t);
        if behind == 0 || !(sign * t <= sign * grid.last().t) {
            return refuse("a time within the grid");
        }
        if index > 0 && !(sign * times[index - 1] < sign * t) {
            return refuse("times strictly in the direction of the grid");
        }
        let k = behind - 1;
        let place = if k == grid.steps() {
            (k, 0)
        } else {
            let (a, b) = (nodes[k].t, nodes[k + 1].t);
            match ((t - a) / (b - a) * ticks as f64).round() as u64 {
                at if at >= ticks => (k + 1, 0),
                at => (k, at),
            }
        };
        if places.last() == Some(&place) {
            return refuse("times at least a tick, 2^-40 of a cell, apart");
        }
        places.push(place);
    }
    Ok(places)
}
