//! Processes whose transitions are known exactly: oracles for every approximate method, and what to use instead of
//! one where they apply.

mod cir;
mod critically_damped;
mod geometric;
mod laws;
mod ornstein_uhlenbeck;

use std::ops::Range;

use numeric::ndarray::{Array2, ArrayRef2, ArrayViewMut2};
use numeric::{Batching, Control, Error, Noise, Real, TimeGrid, check_finite, run_rows};

pub use cir::CoxIngersollRoss;
pub use critically_damped::{CriticallyDamped, PairKernel};
pub use geometric::GeometricBrownian;
pub use ornstein_uhlenbeck::OrnsteinUhlenbeck;

use crate::integrator::record::{Origin, Recorder};
use crate::{Keep, Start, Statistics, Trajectory};

/// A process that can be drawn at any later time without any error but rounding.
pub trait ExactTransition<F: Real>: Send + Sync {
    /// Number of coordinates d of a state.
    fn state_dim(&self) -> usize;

    /// Replaces the rows `x`, `(n, d)`, by draws of the process a time `length` > 0 later.
    ///
    /// `step` numbers the draws of a row: the same number gives the same variates.
    fn advance(&self, rows: &[u64], step: u64, length: f64, noise: Noise, x: &mut ArrayRef2<F>);

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
    /// [`Error::Unsupported`] for [`Start::Prior`]; [`Error::Shape`] for a start of the wrong shape; [`Error::Entry`]
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
        let d = self.state_dim();
        let origin = Origin::new(start, d, &rows, "ExactTransition")?;
        let recorder = Recorder::new(keep, d, grid)?;
        let (path, width) = (noise.fork("path"), recorder.kept * recorder.dim);
        let accepted = rows.end.saturating_sub(rows.start) * grid.steps() as u64;
        let states = run_rows(rows, width, Batching::default(), control, |rows, _| {
            let rows: Vec<u64> = rows.collect();
            let mut x = Array2::zeros((rows.len(), d));
            let mut kept = vec![F::zero(); rows.len() * width];
            let mut out = ArrayViewMut2::from_shape((rows.len(), width), &mut kept).expect("sized above");
            origin.fill(&rows, &mut x);
            recorder.record(0, grid.first(), &x, &mut out);
            for (k, (from, to)) in grid.pairs().enumerate() {
                self.advance(&rows, k as u64, grid.length(k), path, &mut x);
                check_finite("the state", &rows, k as u64, from.t, x.view())?;
                recorder.record(k + 1, to, &x, &mut out);
            }
            Ok(kept)
        })?;
        Ok(recorder.trajectory(grid, states, Statistics { calls: accepted, accepted, rejected: 0 }))
    }
}
