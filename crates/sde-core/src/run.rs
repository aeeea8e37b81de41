//! What a run starts from, what it keeps, and what it reports: the same for samplers, SDE and ODE solvers.

use numeric::ndarray::{Array3, ArrayRef2, ArrayView1};
use numeric::{Error, Real, Time};

/// Where the rows of a run start.
#[derive(Clone, Copy, Debug)]
pub enum Start<'a, F> {
    /// In the law that the process itself starts from: for a reverse-time run N(0, s² I), see
    /// [`LinearProcess::start_std`](crate::LinearProcess::start_std).
    Prior,
    /// All in this point of length d.
    Point(&'a [F]),
    /// Row `i` of the run, counted from the first row asked for, in row `i` of this array `(n, d)`: editing and
    /// inversion.
    Rows(&'a ArrayRef2<F>),
}

impl<F: Real> Start<'_, F> {
    /// Whether it can start `count` rows of length d: [`Error::Shape`] for another length or number of rows,
    /// [`Error::Entry`] for a number that is not finite.
    pub(crate) fn check(&self, d: usize, count: usize) -> Result<(), Error> {
        match self {
            Start::Prior => Ok(()),
            Start::Point(point) => {
                Error::shape("start", &[d], &[point.len()])?;
                Error::entries("start", point.iter().map(|x| x.as_f64()), "a finite number", f64::is_finite)
            }
            Start::Rows(x) => {
                Error::shape("start", &[count, d], x.shape())?;
                Error::entries("start", x.iter().map(|x| x.as_f64()), "a finite number", f64::is_finite)
            }
        }
    }

    /// Writes the starts of the rows over `out`, `(n, d)`; the run's first row is `first_row`. [`Start::Prior`] is the
    /// process's business, and refused.
    pub(crate) fn write(
        &self,
        method: &'static str,
        rows: &[u64],
        first_row: u64,
        out: &mut ArrayRef2<F>,
    ) -> Result<(), Error> {
        for (mut out, row) in out.rows_mut().into_iter().zip(rows) {
            match self {
                Start::Prior => {
                    return Err(Error::Unsupported { method, reason: "needs a point or rows to start from" });
                }
                Start::Point(point) => out.assign(&ArrayView1::from(*point)),
                Start::Rows(x) => out.assign(&x.row((row - first_row) as usize)),
            }
        }
        Ok(())
    }
}

/// A function `(node, time, row, out)` of the state at a node.
pub type StateMap<'a, F> = dyn Fn(usize, Time, &[F], &mut [F]) + Sync + 'a;

/// What a run keeps of its path.
#[derive(Clone, Copy)]
pub enum Keep<'a, F> {
    /// The final state.
    Last,
    /// The states at these nodes of the grid, strictly increasing, 0 being the start.
    Nodes(&'a [usize]),
    /// The states at all nodes.
    All,
    /// A function of the state at every node: `map(node, time, row, out)` writes `dim` numbers.
    Map {
        /// How many numbers the function gives.
        dim: usize,
        /// The function; it must compute from its arguments only.
        map: &'a StateMap<'a, F>,
    },
}

impl<F> std::fmt::Debug for Keep<'_, F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Keep::Last => write!(f, "Last"),
            Keep::Nodes(nodes) => f.debug_tuple("Nodes").field(nodes).finish(),
            Keep::All => write!(f, "All"),
            Keep::Map { dim, .. } => f.debug_struct("Map").field("dim", dim).finish_non_exhaustive(),
        }
    }
}

/// What a run kept, with what it cost.
#[derive(Clone, Debug, PartialEq)]
pub struct Trajectory<F> {
    /// Times of the kept states.
    pub times: Vec<Time>,
    /// The kept states, `(n, times, d)`: batch first.
    pub states: Array3<F>,
    /// What the run cost, summed over the rows.
    pub statistics: Statistics,
}

/// What a run cost, summed over its rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Statistics {
    /// Evaluations of the model, drift or field.
    pub calls: u64,
    /// Steps that were taken.
    pub accepted: u64,
    /// Steps that an adaptive method took back.
    pub rejected: u64,
}

impl std::ops::AddAssign for Statistics {
    fn add_assign(&mut self, other: Statistics) {
        self.calls += other.calls;
        self.accepted += other.accepted;
        self.rejected += other.rejected;
    }
}
