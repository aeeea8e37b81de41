//! Where a path meets a surface g(t, x) = 0.

use std::ops::Range;

use numeric::ndarray::{Array2, Axis, s};
use numeric::{Control, Error, Noise, Real, Scratch, Time, check_finite, run_blocks};

use super::course::{Course, Draws, Parts, Stepper, Steps};
use super::{Integrator, Solver};
use crate::ode::{Event, Look, Passage, sign};
use crate::{Sde, Start, Statistics};

impl<F: Real, E: Sde<F>, I: Integrator<F>> Solver<F, E, I> {
    /// Follows each row to its first terminal event or to the end of the grid, and reports the crossings that it saw.
    ///
    /// The sign of g is looked at at the nodes of the grid. Where it has changed, the crossing is located by bisection on
    /// the solution of [`run_at`](Self::run_at), which goes along the path of the run, down to one tick of the tree
    /// (2⁻⁴⁰ of a cell): at [`Crossing::time`](crate::ode::Crossing::time) g no longer has the sign that it had at the
    /// node before, and one tick earlier it had. That is *a* crossing of the path between the two nodes; a path that
    /// crosses once crosses infinitely often, and it need not be the first. A row that starts on the surface has not
    /// crossed it; one that reaches 0 exactly has, and does not cross again when it leaves. Several events in one step
    /// are put in order of their times; those after a terminal one are dropped. A row that never crossed has no
    /// crossings, and [`Passage::ended`] is false.
    ///
    /// **Excursions that come back within a step are not seen.** For a barrier this is the larger error: of the paths that
    /// cross it, those that do so between two nodes only are missed, and the hitting time is too late by a mean of
    /// O(√h), whatever the order of the method. For one fixed barrier and constant noise σ the law found is to order √h
    /// that of a barrier which is farther by `0.5826 σ √h` (Broadie, Glasserman, Kou 1997), which can be used to correct
    /// it: move the barrier nearer by as much.
    ///
    /// ```
    /// use numeric::{Noise, TimeGrid, from_row_fn, ndarray::array};
    /// use sde_core::{Additive, Solver, Start, integrator::EulerMaruyama, ode::{Direction, Event}};
    /// // dX = 2 dt + dW from 0, until it is at 1: after a mean of 1/2.
    /// let drift = from_row_fn(1, |_, _, out: &mut [f64]| { out[0] = 2.0; Ok(()) });
    /// let grid = TimeGrid::uniform(0.0, 8.0, 1024)?;
    /// let solver = Solver::<f64, _, _>::new(Additive::new(drift, &array![[1.0]])?, EulerMaruyama, grid)?;
    /// let barrier = Event { function: &|_, x: &[f64]| x[0] - 1.0, direction: Direction::Rising, terminal: true };
    /// let start = Start::Point(&[0.0]);
    /// let (ways, statistics) = solver.run_until(start, &[barrier], 0..1000, Noise::new(1), Default::default())?;
    /// assert!(ways.iter().all(|way| way.ended && (way.state[0] - 1.0).abs() < 1e-5));
    /// let mean = ways.iter().map(|way| way.time.t).sum::<f64>() / 1000.0;
    /// // Late by 0.5826 √h / 2 = 0.026; the standard error is 0.011.
    /// assert!((mean - 0.526).abs() < 0.045);
    /// assert!(statistics.accepted < 1000 * 128);       // rows that ended are not carried along
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Complexity
    /// g once per node and event; up to 41 parts of a step and values of g to locate a crossing, each of them with up to
    /// 2^depth parts of the tree for a method with Lévy areas. In
    /// [`Statistics`], `accepted` counts the steps of each row up to its end, and `calls` also those of the parts.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the equation does not compute each row from that row
    /// alone; [`Error::NotFinite`] if g is NaN at a node or where a crossing is being located; else as
    /// [`run`](Self::run).
    ///
    /// # Panics
    /// Never by itself.
    ///
    /// # References
    /// Broadie, Glasserman and Kou (1997), *A continuity correction for discrete barrier options*, Mathematical Finance 7.
    /// Gobet (2000), *Weak approximation of killed diffusion using Euler schemes*, Stochastic Processes and their
    /// Applications 87.
    pub fn run_until(
        &self,
        start: Start<'_, F>,
        events: &[Event<'_, F>],
        rows: Range<u64>,
        noise: Noise,
        control: Control<'_>,
    ) -> Result<(Vec<Passage<F>>, Statistics), Error> {
        self.course().run_until(self, start, events, rows, noise, control)
    }
}

impl Course<'_> {
    /// What [`Solver::run_until`] does, for whatever takes the steps.
    pub(super) fn run_until<F: Real>(
        &self,
        stepper: &impl Stepper<F>,
        start: Start<'_, F>,
        events: &[Event<'_, F>],
        rows: Range<u64>,
        noise: Noise,
        control: Control<'_>,
    ) -> Result<(Vec<Passage<F>>, Statistics), Error> {
        if !self.batching.rowwise {
            let reason =
                "crossings are located row by row: the equation must compute each row from that row alone";
            return Err(Error::Unsupported { method: self.name, reason });
        }
        let count = usize::try_from(rows.end.saturating_sub(rows.start)).expect("rows fit into memory");
        start.check_given(self.name, count, self.dims.0)?;
        let draws = self.draws(noise)?;
        let blocks = run_blocks(rows.clone(), self.batching, control, |block, scratch| {
            let numbers: Vec<u64> = block.collect();
            let mut x = Array2::zeros((numbers.len(), self.dims.0));
            start.write(&numbers, rows.start, self.grid.first(), &mut x, None)?;
            self.follow(stepper, draws, &numbers, x, events, scratch)
        })?;
        let mut statistics = Statistics::default();
        let mut all = Vec::with_capacity(count);
        for (passages, cost) in blocks {
            statistics += cost;
            all.extend(passages);
        }
        Ok((all, statistics))
    }

    /// The ways of a block of rows from `x`.
    fn follow<F: Real>(
        &self,
        stepper: &impl Stepper<F>,
        draws: Draws<'_>,
        rows: &[u64],
        mut x: Array2<F>,
        events: &[Event<'_, F>],
        scratch: &mut Scratch,
    ) -> Result<(Vec<Passage<F>>, Statistics), Error> {
        let d = x.ncols();
        let value = |row: u64, step: usize, number: usize, time: Time, x: &[F]| {
            sign((events[number].function)(time, x), row, step as u64, time)
        };
        let mut signs = Array2::zeros((rows.len(), events.len()));
        for ((i, number), sign) in signs.indexed_iter_mut() {
            *sign = value(rows[i], 0, number, self.grid.first(), &x.row(i).to_vec())?;
        }
        let mut passages: Vec<Passage<F>> =
            rows.iter().map(|&row| Passage::new(row, self.grid.last())).collect();
        // Places in the block of the rows that go on, one for each row of x.
        let mut places: Vec<usize> = (0..rows.len()).collect();
        let (mut steps, mut parts) = (Steps::new(self, draws, rows, scratch), Parts::new(self, draws));
        let (mut part, mut point) = (Array2::zeros((1, d)), vec![F::zero(); d]);
        let mut statistics = Statistics { calls: stepper.begin(&x, scratch)?, ..Statistics::default() };
        for k in 0..self.grid.steps() {
            let before = x.clone();
            let step = steps.next(k, scratch);
            let (numbers, from) = (step.rows, step.from.t);
            statistics.calls += stepper.step(step, &mut x, scratch)?;
            check_finite("the state", numbers, k as u64, from, x.view())?;
            statistics.accepted += places.len() as u64;
            let mut rest = Vec::with_capacity(places.len());
            for (j, &place) in places.iter().enumerate() {
                let row = rows[place];
                let mut begun = false;
                let mut look = Look {
                    parts: 1,
                    resolution: 1.0 / self.ticks() as f64,
                    at: &mut |theta, out| {
                        let ticks = (theta * self.ticks() as f64) as u64;
                        if ticks == self.ticks() {
                            out.copy_from_slice(&x.row(j).to_vec());
                            return Ok(self.time(k, ticks));
                        }
                        if !begun {
                            parts.begin(&[row], k);
                            begun = true;
                        }
                        part.assign(&before.slice(s![j..=j, ..]));
                        statistics.calls +=
                            stepper.part_alone(parts.first(ticks, scratch), &mut part, scratch)?;
                        check_finite("the state", &[row], k as u64, self.grid.node(k).t, part.view())?;
                        out.copy_from_slice(part.as_slice().expect("standard layout"));
                        Ok(self.time(k, ticks))
                    },
                    sign: &|number, time, x| value(row, k, number, time, x),
                };
                let signs = signs.row_mut(place).into_slice().expect("standard layout");
                if !passages[place].take(&mut look, events, signs, &mut point)? {
                    rest.push(j);
                }
            }
            if rest.is_empty() {
                places.clear();
                break;
            }
            if rest.len() < places.len() {
                x = x.select(Axis(0), &rest);
                steps.retain(&rest);
                stepper.retain(&rest, scratch);
                places = rest.iter().map(|&j| places[j]).collect();
            }
        }
        for (&place, x) in places.iter().zip(x.rows()) {
            passages[place].state = x.to_vec();
        }
        steps.end(scratch);
        Ok((passages, statistics))
    }
}
