//! Processes whose transitions are known exactly: oracles for every approximate method, and what to use instead of
//! one where they apply.

mod cir;
mod critically_damped;
mod geometric;
mod laws;
mod ornstein_uhlenbeck;

use std::ops::Range;

use numeric::ndarray::ArrayRef2;
use numeric::{Batching, Control, Error, Noise, Real, Scratch, TimeGrid};

pub use cir::CoxIngersollRoss;
pub use critically_damped::{CriticallyDamped, PairKernel};
pub use geometric::GeometricBrownian;
pub use ornstein_uhlenbeck::OrnsteinUhlenbeck;

use crate::run::{GridRun, check_forward, filled};
use crate::{Keep, Start, Statistics, Trajectory};

/// A process that can be drawn at any later time without any error but rounding.
pub trait ExactTransition<F: Real>: Send + Sync {
    /// Number of coordinates d of a state.
    fn state_dim(&self) -> usize;

    /// Replaces the rows `x`, `(n, d)`, by draws of the process a time `length` > 0 later.
    ///
    /// `step` numbers the draws of a row: the same number gives the same variates. Buffers are taken from `scratch` and put
    /// back; what they hold does not matter.
    ///
    /// # Panics
    /// If `x` is not in standard layout or has not `state_dim` columns, or for `rows` that
    /// [`Noise::normals_into`] does not take.
    fn advance(
        &self,
        rows: &[u64],
        step: u64,
        length: f64,
        noise: Noise,
        x: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    );

    /// Draws the process at the nodes of a grid, whatever its steps: the law at a node does not depend on the others.
    ///
    /// # Randomness
    /// From the stream "path", step k of the grid from its step k. Row i depends on (noise, i) only.
    ///
    /// ```
    /// use numeric::{Noise, TimeGrid};
    /// use sde_core::{ExactTransition, Keep, OrnsteinUhlenbeck, Start};
    /// let process = OrnsteinUhlenbeck::new(2.0, vec![1.0], 0.5)?;
    /// let grid = TimeGrid::from_nodes(vec![0.0, 0.1, 3.0])?;
    /// let run = process.run(&grid, Start::Point(&[5.0]), Keep::Last, 0..4000, Noise::new(1), Default::default())?;
    /// let (mean, variance) = process.moments(5.0, 1.0, 3.0);
    /// let average = run.states.mean().expect("not empty");
    /// assert!((average - mean).abs() < 5.0 * (variance / 4000.0).sqrt());
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Unsupported`] for [`Start::Prior`] or a grid that runs back in time; [`Error::Shape`] for a start of the wrong
    /// shape; [`Error::Entry`]
    /// for nodes to keep that are not increasing nodes of the grid; [`Error::NotFinite`] if a state is not finite, as
    /// from a start outside the state space; [`Error::Cancelled`].
    fn run(
        &self,
        grid: &TimeGrid,
        start: Start<'_, F>,
        keep: Keep<'_, F>,
        rows: Range<u64>,
        noise: Noise,
        control: Control<'_>,
    ) -> Result<Trajectory<F>, Error> {
        check_forward("ExactTransition", grid)?;
        let (dim, batching) = (self.state_dim(), Batching::default());
        let mut course = GridRun { grid, start, keep, rows, dim, batching };
        course.batching = filled(batching, dim, course.count());
        start.check_given("ExactTransition", course.count(), dim)?;
        let path = noise.fork("path");
        let (times, states) = course.run(control, None, |rows, x, scratch, seen| {
            for k in 0..grid.steps() {
                self.advance(rows, k as u64, grid.length(k), path, x, scratch);
                seen.at(k + 1, x)?;
            }
            Ok(())
        })?;
        let accepted = (course.count() * grid.steps()) as u64;
        Ok(Trajectory { times, states, statistics: Statistics { calls: accepted, accepted, rejected: 0 } })
    }
}

#[track_caller]
fn check_columns<F>(x: &ArrayRef2<F>, dim: usize) {
    assert_eq!(x.ncols(), dim, "columns of the states");
}
