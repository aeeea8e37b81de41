//! An equation, a method and a grid.

use std::marker::PhantomData;
use std::ops::Range;

use numeric::ndarray::ArrayRef2;
use numeric::{Control, Error, Noise, Real, Scratch, TimeGrid};

use super::course::{Course, Stepper};
use super::{Integrator, Needs, SdeStep, check_solves};
use crate::{Keep, Sde, Start, Trajectory};

/// Solver of a stochastic differential equation with fixed steps: an equation, a method and a grid.
///
/// The equation runs along the grid in the direction that it is meant for ([`Sde::backward`]), with `dt > 0`. Row i
/// of a run depends on (noise, i) only, for any range of rows, number of threads and size of blocks.
///
/// # Randomness
/// The Brownian path is the tree ([`Brownian`](numeric::Brownian)) of the stream "path" whose cells are the steps of the grid; each
/// [`refined`](Self::refined) solver divides its steps and goes along the same path. Weak schemes take further
/// variates from the stream "extra".
///
/// # Between the nodes
/// The path goes on between the nodes, and so does the solution: [`run_at`](Self::run_at) gives it at any times, and
/// [`run_until`](Self::run_until) follows it to where it crosses a surface.
///
/// ```
/// use numeric::{Noise, TimeGrid};
/// use sde_core::integrator::EulerMaruyama;
/// use sde_core::{GeometricBrownian, Keep, Solver, Start};
/// # fn main() -> Result<(), numeric::Error> {
/// let stock = GeometricBrownian::new(1, 0.05, 0.2)?;
/// let solver = Solver::new(stock, EulerMaruyama, TimeGrid::uniform(0.0, 1.0, 16)?)?;
/// let run = |solver: &Solver<f64, _, _>| {
///     solver.run(Start::Point(&[1.0]), Keep::Last, 0..1000, Noise::new(1), Default::default())
/// };
/// let (coarse, fine) = (run(&solver)?, run(&solver.refined(4))?);
/// assert_eq!((fine.states.shape(), fine.statistics.calls), (&[1000, 1, 1][..], 1000 * 256));
/// // The same paths: most of the difference of two prices is gone.
/// let gap = (&coarse.states - &fine.states).mapv(f64::abs).mean().expect("not empty");
/// assert!(gap < 0.01);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Solver<F, E, I> {
    sde: E,
    integrator: I,
    grid: TimeGrid,
    /// Lengths of the cells of the Brownian tree.
    cells: Vec<f64>,
    /// Each cell is 2^refinement steps of the grid.
    refinement: u32,
    /// Whether the tree has areas that the method did not ask for.
    with_areas: bool,
    real: PhantomData<fn() -> F>,
}

impl<F: Real, E: Sde<F>, I: Integrator<F>> Solver<F, E, I> {
    /// The composition of the three.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the method does not solve equations in this reading or with this class of noise, or the
    /// grid goes the other way than the equation; [`Error::Domain`] for Lévy areas from deeper than the tree.
    pub fn new(sde: E, integrator: I, grid: TimeGrid) -> Result<Solver<F, E, I>, Error> {
        check_solves(&sde, &integrator, &grid)?;
        let cells = grid.lengths();
        let real = PhantomData;
        Ok(Solver { sde, integrator, grid, cells, refinement: 0, with_areas: false, real })
    }

    /// The equation.
    pub fn sde(&self) -> &E {
        &self.sde
    }

    /// The method.
    pub fn integrator(&self) -> &I {
        &self.integrator
    }

    /// The grid.
    pub fn grid(&self) -> &TimeGrid {
        &self.grid
    }

    /// The same solver with each step divided into 2^`level`, on the same Brownian path for the same noise: what
    /// orders are measured with, and multilevel estimators.
    ///
    /// ```
    /// use numeric::TimeGrid;
    /// use sde_core::{Solver, integrator::EulerMaruyama, problems::DoubleWell};
    /// let sde = DoubleWell { dim: 1, sigma: 0.5 };
    /// let solver = Solver::<f64, _, _>::new(sde, EulerMaruyama, TimeGrid::uniform(0.0, 1.0, 3)?)?;
    /// assert_eq!(solver.refined(2).grid().steps(), 12);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Panics
    /// If a step is too short to be divided that often in floating point, or the tree not that deep
    /// ([`Node::MAX_LEVEL`](numeric::Node::MAX_LEVEL)), with the levels that Lévy areas need.
    #[must_use]
    #[track_caller]
    pub fn refined(&self, level: u32) -> Solver<F, E, I>
    where
        E: Clone,
        I: Clone,
    {
        let refinement = self.refinement + level;
        let below = if let Needs::LevyAreas { depth } = self.integrator.needs() { depth } else { 0 };
        assert!(refinement + below <= numeric::Node::MAX_LEVEL, "the tree is not that deep");
        Solver { grid: self.grid.refined(level), refinement, ..self.clone() }
    }

    /// The same solver on the path of methods that need space-time areas.
    ///
    /// A tree with areas splits its cells by other conditional laws than one without. [`Sra1`](super::Sra1) and the
    /// like walk the first, the others the second, unless they are asked to: for comparing them path by path.
    #[must_use]
    pub fn with_areas(self) -> Solver<F, E, I> {
        Solver { with_areas: true, ..self }
    }

    /// Runs the rows along the grid.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for [`Start::Prior`]; [`Error::Shape`] for a start of the wrong shape; [`Error::Entry`]
    /// for nodes to keep that are not increasing nodes of the grid. While it runs: the equation's own errors;
    /// [`Error::NotFinite`] with the row, step and time if a state stops being finite; [`Error::Cancelled`]. Of several
    /// failing rows the lowest is reported.
    pub fn run(
        &self,
        start: Start<'_, F>,
        keep: Keep<'_, F>,
        rows: Range<u64>,
        noise: Noise,
        control: Control<'_>,
    ) -> Result<Trajectory<F>, Error> {
        self.course().run(self, start, keep, rows, noise, control)
    }

    /// What a run goes along.
    pub(super) fn course(&self) -> Course<'_> {
        let needs = match self.integrator.needs() {
            Needs::Increment if self.with_areas => Needs::Area,
            needs => needs,
        };
        Course {
            name: self.integrator.name(),
            dims: (self.sde.dim(), self.sde.noise_dim()),
            batching: self.sde.batching(),
            needs,
            grid: &self.grid,
            cells: &self.cells,
            refinement: self.refinement,
        }
    }
}

impl<F: Real, E: Sde<F>, I: Integrator<F>> Stepper<F> for Solver<F, E, I> {
    fn step(&self, step: SdeStep<'_, F>, x: &mut ArrayRef2<F>, scratch: &mut Scratch) -> Result<u64, Error> {
        self.integrator.step(&self.sde, step, x, scratch)
    }
}
