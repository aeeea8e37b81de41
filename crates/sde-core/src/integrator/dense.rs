//! Solutions between the nodes.

use std::ops::Range;

use numeric::{Control, Error, Noise, Real, TimeGrid, check_finite};

use super::course::{Course, Parts, Steps};
use super::{Integrator, Solver};
use crate::run::GridRun;
use crate::{Keep, Sde, Start, Trajectory};

impl<F: Real, E: Sde<F>, I: Integrator<F>> Solver<F, E, I> {
    /// Runs the rows along the grid and keeps their states at any times, `(n, times, d)`.
    ///
    /// The state at a time t between the nodes `t_k < t < t_{k+1}` is one shorter step of the same method,
    ///
    /// ```math
    /// X(t) = \Phi\bigl(t_k, X_k;\; t - t_k,\; W_t - W_{t_k},\; H_{t_k, t}\bigr),
    /// ```
    ///
    /// with the increment and, for methods that ask for it, the space-time area of the path that the run goes along. So
    /// it has one value, whatever else is asked for, and tends to those at the nodes; at a node it is the state there.
    /// The steps of the run are those of [`run`](Self::run), to the bit.
    ///
    /// The path is known at the ticks of the tree, 2⁻⁴⁰ of a cell apart: each time is moved to the nearest one, and
    /// [`Trajectory::times`] are those of the ticks.
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
    /// `accepted` does not; and the path down to its tick, 40 levels of the tree at most.
    ///
    /// # Errors
    /// [`Error::Entry`] for times outside of the grid, not strictly in its direction, NaN, or nearer to each other than a
    /// tick; [`Error::Unsupported`] for methods that need Lévy areas; else as [`run`](Self::run).
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
        let course = self.course();
        course.check_parts()?;
        let places = course.places(times)?;
        let between = places.iter().filter(|(_, ticks)| *ticks > 0).count();
        // All nodes, with the times asked for among them.
        let mut stops: Vec<(usize, u64)> = (0..=self.grid().steps()).map(|k| (k, 0)).collect();
        stops.extend(&places);
        stops.sort_unstable();
        stops.dedup();
        let grid = TimeGrid::from_times(stops.iter().map(|&(k, ticks)| course.time(k, ticks)).collect())?;
        let kept: Vec<usize> =
            places.iter().map(|place| stops.binary_search(place).expect("among the stops")).collect();
        let (keep, batching) = (Keep::Nodes(&kept), course.batching);
        let run = GridRun { grid: &grid, start, keep, rows, dim: course.dims.0, batching };
        start.check_given(course.name, run.count(), course.dims.0)?;
        let draws = course.draws(noise)?;
        let (times, states) = run.run(control, None, |rows, x, scratch, seen| {
            let mut steps = Steps::new(&course, draws, rows, scratch);
            let mut parts = Parts::new(&course, draws);
            let mut begun = None;
            for (stop, &(k, ticks)) in stops.iter().enumerate().skip(1) {
                // Errors name the step of the grid, not the stop.
                let step = if ticks == 0 { k - 1 } else { k };
                let from = course.grid.node(step).t;
                if ticks == 0 {
                    self.integrator().step(self.sde(), steps.next(step, scratch), x, scratch)?;
                    check_finite("the state", rows, step as u64, from, x.view())?;
                    seen(stop, x)?;
                    continue;
                }
                if begun.replace(k) != Some(k) {
                    parts.begin(rows, k);
                }
                let mut part = x.to_owned();
                self.integrator().step(self.sde(), parts.first(ticks), &mut part, scratch)?;
                check_finite("the state", rows, step as u64, from, part.view())?;
                seen(stop, &part)?;
            }
            steps.end(scratch);
            Ok(())
        })?;
        let mut statistics = course.statistics((run.count() * self.grid().steps()) as u64);
        statistics.calls += (run.count() * between * course.calls) as u64;
        Ok(Trajectory { times, states, statistics })
    }
}

impl Course<'_> {
    /// For each time, the step that it is in and the ticks since the start of that step, 0 at a node.
    fn places(&self, times: &[f64]) -> Result<Vec<(usize, u64)>, Error> {
        let nodes = self.grid.nodes();
        let sign = if self.grid.is_forward() { 1.0 } else { -1.0 };
        let mut places = Vec::with_capacity(times.len());
        for (index, &t) in times.iter().enumerate() {
            let refuse = |expected| Err(Error::Entry { parameter: "times", index, value: t, expected });
            let behind = nodes.partition_point(|node| sign * node.t <= sign * t);
            let last = self.grid.last().t;
            if behind == 0 || !(sign * t <= sign * last) {
                return refuse("a time within the grid");
            }
            if index > 0 && !(sign * times[index - 1] < sign * t) {
                return refuse("times strictly in the direction of the grid");
            }
            let k = behind - 1;
            let place = if k == self.grid.steps() {
                (k, 0)
            } else {
                let (a, b) = (nodes[k].t, nodes[k + 1].t);
                match ((t - a) / (b - a) * self.ticks() as f64).round() as u64 {
                    ticks if ticks >= self.ticks() => (k + 1, 0),
                    ticks => (k, ticks),
                }
            };
            if places.last() == Some(&place) {
                return refuse("times at least a tick, 2^-40 of a cell, apart");
            }
            places.push(place);
        }
        Ok(places)
    }
}
