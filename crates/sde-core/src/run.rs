//! What a run starts from, what it keeps, and what it reports: the same for samplers, SDE and ODE solvers.

use numeric::ndarray::{Array3, ArrayRef2, aview1};
use numeric::{Error, Real, Time, check_finite};

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
    /// Whether it can start `n` rows of length `d`.
    pub(crate) fn check(&self, n: usize, d: usize) -> Result<(), Error> {
        match self {
            Start::Prior => Ok(()),
            Start::Point(point) => Error::shape("start", &[d], &[point.len()]),
            Start::Rows(given) => Error::shape("start", &[n, d], given.shape()),
        }
    }

    /// [`check`](Self::check) for a process that has no prior.
    pub(crate) fn check_given(&self, method: &'static str, n: usize, d: usize) -> Result<(), Error> {
        if let Start::Prior = self {
            let reason = "the equation has no law to start from: give Start::Point or Start::Rows";
            return Err(Error::Unsupported { method, reason });
        }
        self.check(n, d)
    }

    /// Writes the states of `rows` at `time` over `x`, where `first` is the first row asked for. Rows that were not
    /// asked for are in the prior.
    pub(crate) fn write(
        &self,
        rows: &[u64],
        first: u64,
        time: Time,
        x: &mut ArrayRef2<F>,
        prior: impl FnOnce(&mut ArrayRef2<F>),
    ) -> Result<(), Error> {
        match self {
            Start::Prior => {
                prior(x);
                return Ok(());
            }
            Start::Point(point) => x.rows_mut().into_iter().for_each(|mut x| x.assign(&aview1(point))),
            Start::Rows(given) => {
                let index = |row: u64| {
                    let index = usize::try_from(row.checked_sub(first)?).ok()?;
                    (index < given.nrows()).then_some(index)
                };
                if rows.iter().any(|&row| index(row).is_none()) {
                    prior(x);
                }
                for (mut x, &row) in x.rows_mut().into_iter().zip(rows) {
                    if let Some(index) = index(row) {
                        x.assign(&given.row(index));
                    }
                }
            }
        }
        check_finite("the start", rows, 0, time.t, x.view())
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

impl<F: Real> Keep<'_, F> {
    /// The nodes at which something is kept, of a grid of `steps` steps.
    pub(crate) fn nodes(&self, steps: usize) -> Result<Vec<usize>, Error> {
        match *self {
            Keep::Last => Ok(vec![steps]),
            Keep::All => Ok((0..=steps).collect()),
            Keep::Map { dim, .. } => {
                Error::domain(dim > 0, "keep.dim", 0.0, "at least 1")?;
                Ok((0..=steps).collect())
            }
            Keep::Nodes(nodes) => {
                let right = |k: usize| nodes[k] <= steps && (k == 0 || nodes[k - 1] < nodes[k]);
                match (0..nodes.len()).find(|&k| !right(k)) {
                    None => Ok(nodes.to_vec()),
                    Some(index) => Err(Error::Entry {
                        parameter: "keep",
                        index,
                        value: nodes[index] as f64,
                        expected: "strictly increasing nodes of the grid",
                    }),
                }
            }
        }
    }

    /// How many numbers are kept of each state of length `d`.
    pub(crate) fn dim(&self, d: usize) -> usize {
        if let Keep::Map { dim, .. } = *self { dim } else { d }
    }

    /// Writes what is kept of the rows `x`, row-major, over the slots, one for each row.
    pub(crate) fn write<'o>(
        &self,
        node: usize,
        time: Time,
        x: &[F],
        slots: impl ExactSizeIterator<Item = &'o mut [F]>,
    ) {
        let d = x.len() / slots.len().max(1);
        for (slot, x) in slots.zip(x.chunks_exact(d.max(1))) {
            match self {
                Keep::Map { map, .. } => map(node, time, x, slot),
                _ => slot.copy_from_slice(x),
            }
        }
    }
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
