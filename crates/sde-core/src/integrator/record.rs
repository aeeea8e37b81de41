//! Starts and kept states, for any run over a grid.

use std::ops::Range;

use numeric::ndarray::{Array2, ArrayRef2, ArrayViewMut2};
use numeric::{Error, Real, Time, TimeGrid};

use crate::{Keep, Start, Trajectory};

/// A checked [`Start`] that is not the prior.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Origin<'a, F> {
    Point(&'a [F]),
    Rows(&'a ArrayRef2<F>, u64),
}

impl<'a, F: Real> Origin<'a, F> {
    /// # Errors
    /// [`Error::Unsupported`] for a prior, [`Error::Shape`] for a point or rows of the wrong shape.
    pub(crate) fn new(
        start: Start<'a, F>,
        dim: usize,
        rows: &Range<u64>,
        method: &'static str,
    ) -> Result<Origin<'a, F>, Error> {
        match start {
            Start::Prior => {
                let reason = "a general equation has no law to start from: give Start::Point or Start::Rows";
                Err(Error::Unsupported { method, reason })
            }
            Start::Point(point) => {
                Error::shape("start", &[dim], &[point.len()])?;
                Ok(Origin::Point(point))
            }
            Start::Rows(states) => {
                let count = usize::try_from(rows.end.saturating_sub(rows.start)).unwrap_or(usize::MAX);
                Error::shape("start", &[count, dim], states.shape())?;
                Ok(Origin::Rows(states, rows.start))
            }
        }
    }

    /// Writes the start of the rows over `x`. Rows that only complete a block start where the nearest one does.
    pub(crate) fn fill(&self, rows: &[u64], x: &mut ArrayRef2<F>) {
        for (&row, mut x) in rows.iter().zip(x.rows_mut()) {
            match self {
                Origin::Point(point) => x.iter_mut().zip(*point).for_each(|(x, &p)| *x = p),
                Origin::Rows(states, first) => {
                    let at = usize::try_from(row.saturating_sub(*first)).expect("a row of the array");
                    x.assign(&states.row(at.min(states.nrows() - 1)));
                }
            }
        }
    }
}

/// A checked [`Keep`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recorder<'a, F> {
    keep: Keep<'a, F>,
    steps: usize,
    /// Kept nodes.
    pub(crate) kept: usize,
    /// Numbers per kept node.
    pub(crate) dim: usize,
}

impl<'a, F: Real> Recorder<'a, F> {
    /// # Errors
    /// [`Error::Entry`] for nodes that are not strictly increasing nodes of the grid, [`Error::Shape`] for none;
    /// [`Error::Domain`] for a map to no numbers.
    pub(crate) fn new(keep: Keep<'a, F>, dim: usize, grid: &TimeGrid) -> Result<Recorder<'a, F>, Error> {
        let steps = grid.steps();
        let (kept, dim) = match keep {
            Keep::Last => (1, dim),
            Keep::All => (steps + 1, dim),
            Keep::Map { dim, .. } => {
                Error::domain(dim > 0, "keep.dim", 0.0, "at least 1")?;
                (steps + 1, dim)
            }
            Keep::Nodes(nodes) => {
                Error::shape("keep", &[nodes.len().max(1)], &[nodes.len()])?;
                if let Some(index) = (0..nodes.len()).find(|&k| {
                    nodes[k] > steps || k.checked_sub(1).is_some_and(|before| nodes[before] >= nodes[k])
                }) {
                    let expected = "strictly increasing nodes of the grid";
                    return Err(Error::Entry {
                        parameter: "keep",
                        index,
                        value: nodes[index] as f64,
                        expected,
                    });
                }
                (nodes.len(), dim)
            }
        };
        Ok(Recorder { keep, steps, kept, dim })
    }

    /// Keeps the states of all rows at a node: `out` has one row of `kept · dim` numbers for each.
    pub(crate) fn record(&self, node: usize, time: Time, x: &ArrayRef2<F>, out: &mut ArrayViewMut2<'_, F>) {
        let at = match self.keep {
            Keep::Last if node == self.steps => 0,
            Keep::Last => return,
            Keep::All | Keep::Map { .. } => node,
            Keep::Nodes(nodes) => match nodes.binary_search(&node) {
                Ok(at) => at,
                Err(_) => return,
            },
        };
        for (x, mut out) in x.rows().into_iter().zip(out.rows_mut()) {
            let out = out.as_slice_mut().expect("rows of a vector");
            let (x, out) = (x.to_slice().expect("standard layout"), &mut out[at * self.dim..][..self.dim]);
            match self.keep {
                Keep::Map { map, .. } => map(node, time, x, out),
                _ => out.copy_from_slice(x),
            }
        }
    }

    /// The trajectory from one row of `kept · dim` numbers per row of the run.
    pub(crate) fn trajectory(
        &self,
        grid: &TimeGrid,
        rows: Array2<F>,
        statistics: crate::Statistics,
    ) -> Trajectory<F> {
        let times = match self.keep {
            Keep::Last => vec![grid.last()],
            Keep::All | Keep::Map { .. } => grid.nodes().to_vec(),
            Keep::Nodes(nodes) => nodes.iter().map(|&node| grid.node(node)).collect(),
        };
        let shape = (rows.nrows(), self.kept, self.dim);
        let states = rows.into_shape_with_order(shape).expect("one number for each");
        Trajectory { times, states, statistics }
    }
}
