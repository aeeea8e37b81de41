//! Adaptive steps on the Brownian tree.

mod between;
mod block;
mod rows;
mod trial;
mod turn;

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use numeric::{Brownian, Control, Error, Noise, Real, Time, TimeGrid};

use self::block::Block;
use super::dense::{Stops, time};
use super::{Integrator, Needs, check_solves};
use crate::run::{GridRun, enlarged};
use crate::{Keep, Sde, Start, Statistics, Trajectory};

/// How many of the equation's blocks of rows are one here, at most.
const BLOCKS: usize = 16;

/// How exact an adaptive run of an [`AdaptiveSolver`] or an [`AdaptiveDpmSolver`](crate::AdaptiveDpmSolver) is to be.
///
/// Each says how it measures an error by these two numbers. The methods for ordinary differential equations have a
/// [`ode::Tolerance`](crate::ode::Tolerance) of their own, since their controller also takes a first step and a most
/// number of tries, which these two have no place for.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Tolerance {
    /// Error per step relative to the size of a coordinate; at least 0.
    pub relative: f64,
    /// Error per step that is let pass whatever the size; greater than 0.
    pub absolute: f64,
}

impl Tolerance {
    pub(crate) fn check(self) -> Result<(), Error> {
        let Tolerance { relative, absolute } = self;
        let ok = relative >= 0.0 && relative.is_finite();
        Error::domain(ok, "tolerance.relative", relative, "a finite number of at least 0")?;
        Error::positive("tolerance.absolute", absolute)
    }
}

/// Solver whose step sizes are chosen for each row by the error found, on one Brownian path per row.
///
/// A step is a node of the dyadic tree over a cell of the grid. It is taken once whole and once as its two halves, along
/// the same path; the difference, in the mean square over the coordinates relative to
/// `absolute + relative · max(|x|, |x'|)`, is the error. At most 1: the halves are accepted. Else the step is taken back
/// and its left half is tried, *with the increments that were already drawn*: what was rejected is never drawn again, and
/// so the path has the law of Brownian motion whatever was rejected. Nodes of the grid are always hit.
///
/// Strong order 1 at least is asked of the integrator for the class of noise: for methods of order ½ an error
/// that looks at the path chooses steps that bias the limit. A cell may be halved 39 times.
///
/// ```
/// use numeric::{Noise, TimeGrid, from_row_fn, ndarray::array};
/// use sde_core::{Additive, AdaptiveSolver, Keep, Start, Tolerance, integrator::EulerMaruyama};
/// // A stiff stretch: dX = −r(t) (X − 1) dt + 0.1 dW with r = 1 and, around t = ½, r = 300.
/// let drift = from_row_fn(1, |time, x, out: &mut [f64]| {
///     let rate = if (time.t - 0.5).abs() < 0.05 { 300.0 } else { 1.0 };
///     out[0] = -rate * (x[0] - 1.0);
///     Ok(())
/// });
/// let sde = Additive::new(drift, &array![[0.1]])?;
/// let tolerance = Tolerance { relative: 1e-3, absolute: 1e-3 };
/// let solver = AdaptiveSolver::<f64, _, _>::new(sde, EulerMaruyama, TimeGrid::uniform(0.0, 1.0, 4)?, tolerance)?;
/// let run = solver.run(Start::Point(&[0.0]), Keep::Last, 0..100, Noise::new(1), Default::default())?;
/// let mean = run.states.sum() / 100.0;
/// assert!((mean - 1.0).abs() < 0.05);
/// assert!(run.statistics.accepted < 100 * 600 && run.statistics.rejected > 0);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # Convergence
/// To the solution along the path. The error of a step is about `h^{γ + ½}` for a method of strong order γ. With fixed
/// steps these errors have mean 0 and partly cancel; steps that were chosen by looking at the path need not. So the error
/// at the end falls between `tolerance^{(γ − ½)/(γ + ½)}`, where all add up, and `tolerance^{γ/(γ + ½)}`, where they
/// cancel as for fixed steps. Prefer methods of order 1½.
///
/// # Randomness
/// The Brownian tree of the stream "path", the one that a [`Solver`](crate::Solver) of the same method and grid and its
/// [`refined`](crate::Solver::refined) ones go along: of the increments alone ([`Brownian::new`]) for methods that need W
/// only, m normals per row and split; with space-time areas ([`Brownian::with_area`]) for those that need H too, 2 m.
///
/// # Complexity
/// A step is tried by three steps of the integrator, the whole one and its halves. The first half of one that was rejected
/// is the whole step of its left half, and is not taken again: three steps for each accepted one and two for each
/// rejected, which is what [`Statistics::calls`](crate::Statistics::calls) counts (times
/// [`calls`](Integrator::calls) of the method). Rows at the same node are stepped together. Memory of a block: two arrays of
/// increments per level that is reached, and as many of areas where the method needs them.
///
/// # References
/// Gaines, Lyons (1997), *Variable step size control in the numerical solution of stochastic differential equations*
/// (the tree, and why order 1). Foster, Jelinčič (2023), *On the convergence of adaptive approximations for stochastic
/// differential equations*.
#[derive(Clone, Debug)]
pub struct AdaptiveSolver<F, E, K> {
    sde: E,
    integrator: K,
    grid: TimeGrid,
    lengths: Vec<f64>,
    tolerance: Tolerance,
    /// How much the error of a step grows when the step is doubled.
    growth: f64,
    float: std::marker::PhantomData<fn() -> F>,
}

impl<F: Real, E: Sde<F>, K: Integrator<F>> AdaptiveSolver<F, E, K> {
    /// A solver on the cells of `grid`.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the integrator does not solve the equation's reading or class of noise with strong
    /// order 1 or needs Lévy areas, if the grid goes the other way than the equation, or if the equation's rows depend on
    /// the others of a block; [`Error::Domain`] for a tolerance out of its domain.
    pub fn new(sde: E, integrator: K, grid: TimeGrid, tolerance: Tolerance) -> Result<Self, Error> {
        tolerance.check()?;
        check_solves(&sde, &integrator, &grid)?;
        let name = integrator.name();
        let refuse = |reason| Err(Error::Unsupported { method: name, reason });
        let Some(orders) = integrator.orders(sde.noise_class()).filter(|orders| orders.strong >= 1.0) else {
            return refuse("adaptive steps need strong order 1 for the equation's class of noise");
        };
        if !sde.batching().rowwise {
            return refuse(
                "the rows that step together change from step to step, and this equation is not rowwise: if \
             its rows differ by rounding only, declare it so by `with_batching`; else use a `Solver`",
            );
        }
        if matches!(integrator.needs(), Needs::LevyAreas { .. }) {
            return refuse("adaptive steps know increments and space-time areas, not Lévy areas");
        }
        let growth = 2_f64.powf(orders.strong + 0.5);
        let lengths = grid.lengths();
        Ok(AdaptiveSolver {
            sde,
            integrator,
            grid,
            lengths,
            tolerance,
            growth,
            float: std::marker::PhantomData,
        })
    }

    /// Runs the given rows from `start` and keeps what `keep` says of the nodes of the grid.
    ///
    /// # Errors
    /// The equation's own; [`Error::Unsupported`] for [`Start::Prior`]; [`Error::Shape`] for a start of another shape;
    /// [`Error::NotConverged`] if 39 halvings of a cell are not enough for the tolerance; [`Error::NotFinite`] if the
    /// state is not finite however small the step. Of several failing rows the lowest is reported, except that an error of
    /// the equation ends its block at once.
    ///
    /// # Panics
    /// Never by itself.
    pub fn run(
        &self,
        start: Start<'_, F>,
        keep: Keep<'_, F>,
        rows: Range<u64>,
        noise: Noise,
        control: Control<'_>,
    ) -> Result<Trajectory<F>, Error> {
        self.walk(&Stops::new(&self.grid, Brownian::TICKS, &[])?, start, keep, rows, noise, control)
    }

    /// Runs the rows and keeps their states at any times, `(n, times, d)`.
    ///
    /// A time t lies for each row in a half of a node that was accepted, `s < t < s'`. The state there is one shorter step
    /// of the same method from the start of that half,
    ///
    /// ```math
    /// X(t) = \Phi\bigl(s, X(s);\; t - s,\; W_t - W_s,\; H_{s, t}\bigr),
    /// ```
    ///
    /// with the increment and, for methods that need it, the space-time area of the path that the run goes along: of the
    /// one path that steps which were rejected have seen as well, and so with its conditional law given all that was seen.
    /// It has one value, whatever else is asked for; where a half ends it is the state of the run there, at nodes of the
    /// grid that of [`run`](Self::run). The steps are those of `run`, to the bit.
    ///
    /// The path is known at the ticks of the tree, 2⁻⁴⁰ of a cell apart: each time is moved to the nearest one, and
    /// [`Trajectory::times`] are those of the ticks.
    ///
    /// ```
    /// use numeric::{Brownian, Noise, Scratch, TimeGrid, from_row_fn, ndarray::{Array2, array}};
    /// use sde_core::{Additive, AdaptiveSolver, Start, Tolerance, integrator::Sra1};
    /// // Beside dX = −30 X dt + dW the same path itself, Y = W.
    /// let drift = from_row_fn(2, |_, x, out: &mut [f64]| {
    ///     out.copy_from_slice(&[-30.0 * x[0], 0.0]);
    ///     Ok(())
    /// });
    /// let (sde, grid) = (Additive::new(drift, &array![[1.0], [1.0]])?, TimeGrid::uniform(0.0, 1.0, 1)?);
    /// let tolerance = Tolerance { relative: 1e-3, absolute: 1e-3 };
    /// let solver = AdaptiveSolver::<f64, _, _>::new(sde, Sra1, grid, tolerance)?;
    /// let noise = Noise::new(1);
    /// let run = solver.run_at(Start::Point(&[0.0; 2]), &[0.3], 0..3, noise, Default::default())?;
    ///
    /// let (brownian, mut w) = (Brownian::with_area(noise.fork("path"), &[1.0])?, Array2::<f64>::zeros((3, 1)));
    /// let tick = brownian.tick(0, 0.3)?;
    /// brownian.between_into(&[0, 1, 2], 0, 0..tick, &mut w, None, &mut Scratch::new());
    /// assert!((0..3).all(|i| (run.states[(i, 0, 1)] - w[(i, 0)]).abs() < 1e-14));
    /// assert!(run.statistics.rejected > 0);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Convergence
    /// One step more, shorter than one that met the tolerance, whose own error is not judged. Without drift and with
    /// constant noise the states are exact.
    ///
    /// # Complexity
    /// One step more for each row and time at which none of its halves ends, which
    /// [`Statistics::calls`](crate::Statistics::calls) counts and `accepted` does not; and the path down to its tick, 40
    /// levels of the tree at most. A block keeps the states at the times of one cell.
    ///
    /// # Errors
    /// [`Error::Entry`] for times outside of the grid, not strictly in its direction, NaN, or nearer to each other than a
    /// tick; else as [`run`](Self::run), and [`Error::NotFinite`] also for a state between the nodes.
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
        let stops = Stops::new(&self.grid, Brownian::TICKS, times)?;
        self.walk(&stops, start, Keep::Nodes(&stops.kept), rows, noise, control)
    }

    /// A run that keeps states at stops.
    fn walk(
        &self,
        stops: &Stops,
        start: Start<'_, F>,
        keep: Keep<'_, F>,
        rows: Range<u64>,
        noise: Noise,
        control: Control<'_>,
    ) -> Result<Trajectory<F>, Error> {
        let (dim, batching) = (self.sde.dim(), self.sde.batching());
        // Few rows of a block are at the same node at a time: where the equation allows, more rows are in a block.
        let count = usize::try_from(rows.end.saturating_sub(rows.start)).expect("rows fit into memory");
        let batching = enlarged(batching, BLOCKS, count);
        let course = GridRun { grid: &stops.grid, start, keep, rows, dim, batching };
        start.check_given(self.integrator.name(), course.count(), dim)?;
        let path = noise.fork("path");
        let brownian = match self.integrator.needs() {
            Needs::Increment => Brownian::new(path, &self.lengths)?,
            Needs::Area | Needs::LevyAreas { .. } => Brownian::with_area(path, &self.lengths)?,
        };
        let noises = (brownian, noise.fork("extra"));
        let counts = [const { AtomicU64::new(0) }; 3];
        let (times, states) = course.run(control, None, |rows, x, scratch, seen| {
            let mut block = Block::new(self, rows, noises, x);
            let mut stop = 0;
            for cell in 0..self.grid.steps() {
                let asked = stops.within(cell);
                block.walk(cell, asked, scratch)?;
                for between in &block.between[..asked.len()] {
                    stop += 1;
                    seen.at(stop, between)?;
                }
                stop += 1;
                seen.at(stop, block.x)?;
            }
            block.end()?;
            for (count, of_block) in counts.iter().zip([block.accepted, block.rejected, block.calls]) {
                count.fetch_add(of_block, Ordering::Relaxed);
            }
            Ok(())
        })?;
        let [accepted, rejected, calls] = counts.map(AtomicU64::into_inner);
        Ok(Trajectory { times, states, statistics: Statistics { calls, accepted, rejected } })
    }
}

impl<F, E, K> AdaptiveSolver<F, E, K> {
    /// The time of a tick of a cell.
    fn time(&self, cell: u64, tick: u64) -> Time {
        time(&self.grid, cell as usize, tick, Brownian::TICKS)
    }
}
