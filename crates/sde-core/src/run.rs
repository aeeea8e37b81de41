//! What a run starts from, what it keeps, and what it reports: the same for samplers, SDE and ODE solvers.

use std::ops::Range;

use numeric::ndarray::{Array3, ArrayRef2, ArrayViewMut2, aview1};
use numeric::{Batching, Control, Error, Real, Scratch, Time, TimeGrid, check_finite, fill_rows};

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
    /// Whether it can start `n` rows of length `d`, which is at least 1.
    pub(crate) fn check(&self, n: usize, d: usize) -> Result<(), Error> {
        Error::domain(d > 0, "dim", 0.0, "at least 1")?;
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
    /// asked for are in the prior or, if the process has none, where the nearest row that was asked for is: never what
    /// the buffer held before.
    pub(crate) fn write(
        &self,
        rows: &[u64],
        first: u64,
        time: Time,
        x: &mut ArrayRef2<F>,
        prior: Option<&Prior<'_, F>>,
    ) -> Result<(), Error> {
        match (self, prior) {
            (Start::Prior, Some(prior)) => {
                prior(rows, x);
                return Ok(());
            }
            (Start::Prior, None) => unreachable!("refused by `check_given`"),
            (Start::Point(point), _) => x.rows_mut().into_iter().for_each(|mut x| x.assign(&aview1(point))),
            (Start::Rows(given), _) => {
                let last = first + given.nrows() as u64 - 1;
                let asked = first..=last;
                if let Some(prior) = prior.filter(|_| rows.iter().any(|row| !asked.contains(row))) {
                    prior(rows, x);
                }
                for (mut x, &row) in x.rows_mut().into_iter().zip(rows) {
                    if prior.is_none() || asked.contains(&row) {
                        x.assign(&given.row((row.clamp(first, last) - first) as usize));
                    }
                }
            }
        }
        check_finite("the start", rows, 0, time.t, x.view())
    }
}

/// Writes draws of the prior of the rows over their states.
pub(crate) type Prior<'p, F> = dyn Fn(&[u64], &mut ArrayRef2<F>) + Sync + 'p;

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
    /// Evaluations of the model, drift or field, for the rows that were asked for.
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

/// An error for a grid that runs back in time, along which forward processes do not go.
pub(crate) fn check_forward(method: &'static str, grid: &TimeGrid) -> Result<(), Error> {
    let reason = "the equation runs forward in time, and the grid back";
    if grid.is_forward() { Ok(()) } else { Err(Error::Unsupported { method, reason }) }
}

/// Blocks of up to `most` times the rows that were asked for, of `count` rows in all: for methods whose rows go different
/// ways through a block. At least 16 are left, for as many threads. Not by the threads that there are: a row does not depend
/// on its block, but which of several failing rows is reported does.
pub(crate) fn enlarged(batching: Batching, most: usize, count: usize) -> Batching {
    if !batching.rowwise {
        return batching;
    }
    let fair = count / 16 / batching.rows.max(1);
    Batching { rows: batching.rows.saturating_mul(fair.clamp(1, most.max(1))), ..batching }
}

/// Blocks of at least as many numbers of the state, where `count` rows suffice for it, as make little of what a step costs
/// beside its loops: larger ones for states of few dimensions.
pub(crate) fn filled(batching: Batching, dim: usize, count: usize) -> Batching {
    const NUMBERS: usize = 2048;
    enlarged(batching, NUMBERS / dim.max(1) / batching.rows.max(1), count)
}

/// Rows on their way along the nodes of a grid, whatever takes the steps: what all runs share.
#[derive(Clone, Debug)]
pub(crate) struct GridRun<'a, F> {
    pub(crate) grid: &'a TimeGrid,
    pub(crate) start: Start<'a, F>,
    pub(crate) keep: Keep<'a, F>,
    pub(crate) rows: Range<u64>,
    /// Length d of a state.
    pub(crate) dim: usize,
    pub(crate) batching: Batching,
}

/// What looks at the states of a block on their way.
pub(crate) struct Seen<'s, F> {
    run: &'s GridRun<'s, F>,
    rows: &'s [u64],
    /// The nodes at which something is kept.
    kept: &'s [usize],
    /// How many of them are behind.
    next: usize,
    /// Where it is kept; `None` for a last state that lives there.
    out: Option<&'s mut [F]>,
    /// Whether every state must be finite, or only the last.
    checked: bool,
}

impl<F: Real> Seen<'_, F> {
    /// Whether [`at`](Self::at) will look at the state at the node, which is the next one.
    pub(crate) fn looks_at(&self, node: usize) -> bool {
        self.checked || node == self.run.grid.steps() || self.keeps(node)
    }

    /// Takes the states at a node, after each step.
    pub(crate) fn at(&mut self, node: usize, x: &ArrayRef2<F>) -> Result<(), Error> {
        if self.checked || node == self.run.grid.steps() {
            let before = self.run.grid.node(node - 1).t;
            check_finite("the state", self.rows, node as u64 - 1, before, x.view())?;
        }
        self.keep(node, x);
        Ok(())
    }

    fn keeps(&self, node: usize) -> bool {
        self.out.is_some() && self.kept.get(self.next) == Some(&node)
    }

    fn keep(&mut self, node: usize, x: &ArrayRef2<F>) {
        let keeps = self.keeps(node);
        if let (Some(out), true) = (&mut self.out, keeps) {
            let slots = out.chunks_exact_mut(self.run.keep.dim(self.run.dim));
            let slots = slots.skip(self.next).step_by(self.kept.len());
            let x = x.as_slice().expect("states are in standard layout");
            self.run.keep.write(node, self.run.grid.node(node), x, slots);
            self.next += 1;
        }
    }
}

impl<F: Real> GridRun<'_, F> {
    /// Number of rows.
    pub(crate) fn count(&self) -> usize {
        usize::try_from(self.rows.end.saturating_sub(self.rows.start)).expect("rows fit into memory")
    }

    /// What was made for the rows of a block, as far as it was for rows that were asked for: a field that sees whole blocks is
    /// given others with them.
    pub(crate) fn share(&self, of_block: u64, rows: &[u64]) -> u64 {
        let asked = rows.iter().filter(|row| self.rows.contains(row)).count();
        of_block * asked as u64 / rows.len().max(1) as u64
    }

    /// The times of the kept states, and the states.
    ///
    /// `walk(rows, x, scratch, seen)` takes the rows of a block from their start `x` along the grid and calls
    /// `seen.at(k + 1, x)` after step k; `prior` writes starts where [`Start::Prior`] asks for them. Of several failing rows
    /// the lowest is reported, as is the step at which a state stopped being finite.
    pub(crate) fn run(
        &self,
        control: Control<'_>,
        prior: Option<&Prior<'_, F>>,
        walk: impl Fn(&[u64], &mut ArrayRef2<F>, &mut Scratch, &mut Seen<'_, F>) -> Result<(), Error> + Sync,
    ) -> Result<(Vec<Time>, Array3<F>), Error> {
        let (n, steps) = (self.count(), self.grid.steps());
        self.start.check(n, self.dim)?;
        let kept = self.keep.nodes(steps)?;
        let width = self.keep.dim(self.dim);
        let mut states = Array3::zeros((n, kept.len(), width));
        let out = states.as_slice_mut().expect("made in standard layout");
        let (rows, per_row) = (self.rows.clone(), kept.len() * width);
        fill_rows(rows, per_row, self.batching, control, out, |rows, out, scratch| {
            let rows: Vec<u64> = rows.collect();
            let shape = (rows.len(), self.dim);
            // The last state lives where it ends.
            let in_place = matches!(self.keep, Keep::Last);
            let mut state: Vec<F> = scratch.take();
            state.resize(if in_place { 0 } else { shape.0 * shape.1 }, F::zero());
            let block = |checked: bool, state: &mut [F], out: &mut [F], scratch: &mut Scratch| {
                let (slot, out) = if in_place { (out, None) } else { (state, Some(out)) };
                let mut x = ArrayViewMut2::from_shape(shape, slot).expect("one state for each row");
                let mut seen = Seen { run: self, rows: &rows, kept: &kept, next: 0, out, checked };
                self.start.write(&rows, self.rows.start, self.grid.first(), &mut x, prior)?;
                seen.keep(0, &x);
                walk(&rows, &mut x, scratch, &mut seen)
            };
            let done = match block(false, &mut state, out, scratch) {
                // What is not finite stays so until the end, or a model refuses it; where it began, the same run tells once more.
                Err(_) => block(true, &mut state, out, scratch),
                done => done,
            };
            scratch.put(state);
            done
        })?;
        Ok((kept.iter().map(|&k| self.grid.node(k)).collect(), states))
    }
}
