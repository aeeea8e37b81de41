//! The rows of a block that are still on their way, packed in the order of the rows.

use numeric::ndarray::ArrayViewMut2;
use numeric::{Batch, Error, Real, Scratch, Time, Times, VectorField, as_rows};

use super::controller::LN_LEAST;

/// What is known of the rows that have not arrived. Everything is packed: entry i of each list belongs to the i-th of
/// them.
#[derive(Debug, Default)]
pub(super) struct Block<F> {
    pub(super) d: usize,
    /// Absolute numbers of the rows, and their places in the block.
    pub(super) rows: Vec<u64>,
    pub(super) places: Vec<usize>,
    pub(super) times: Vec<Time>,
    /// Signed length of the step that is tried, and where it ends.
    pub(super) lengths: Vec<f64>,
    pub(super) targets: Vec<Time>,
    /// What the controller knows.
    pub(super) pasts: Vec<Past>,
    /// State at the start of the step, `(n, d)`, and its candidate at the end.
    pub(super) x: Vec<F>,
    pub(super) end: Vec<F>,
    /// The first stage is V at the start, the last is V at the end of the step; each `(n, d)`.
    pub(super) stages: Vec<Vec<F>>,
    /// Estimated error of the step, `(n, d)`.
    pub(super) error: Vec<F>,
    /// Argument of a stage.
    pub(super) inner: Vec<F>,
    pub(super) stage_times: Vec<Time>,
    /// Error of the lowest row that failed so far; it and the rows above it are no longer on their way.
    pub(super) failure: Option<Error>,
}

/// What the controller knows of a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Past {
    /// Length of the next step, unsigned.
    pub(super) next: f64,
    /// Logarithm of the error of the last accepted step, relative to the tolerance.
    pub(super) ln_error: f64,
    /// Length of that step, unsigned, if there was one.
    pub(super) length: Option<f64>,
    pub(super) rejected: bool,
    pub(super) accepted: u64,
    pub(super) tries: u64,
}

impl Past {
    pub(super) const START: Past =
        Past { next: 0.0, ln_error: LN_LEAST, length: None, rejected: false, accepted: 0, tries: 0 };
}

impl<F: Real> Block<F> {
    /// Room for n rows and so many stages, in buffers that are used again.
    pub(super) fn reset(&mut self, rows: &[u64], x: &[F], d: usize, stages: usize, from: Time) {
        let n = rows.len();
        self.d = d;
        self.failure = None;
        self.rows.clear();
        self.rows.extend_from_slice(rows);
        self.places.clear();
        self.places.extend(0..n);
        self.times.clear();
        self.times.resize(n, from);
        self.stage_times.clear();
        self.stage_times.resize(n, from);
        self.targets.clear();
        self.targets.resize(n, from);
        self.lengths.clear();
        self.lengths.resize(n, 0.0);
        self.pasts.clear();
        self.pasts.resize(n, Past::START);
        self.x.clear();
        self.x.extend_from_slice(x);
        self.stages.resize_with(stages, Vec::new);
        for buffer in self.stages.iter_mut().chain([&mut self.end, &mut self.error, &mut self.inner]) {
            buffer.clear();
            buffer.resize(n * d, F::zero());
        }
    }

    /// Keeps the rows of which `keep` is true, in their order.
    pub(super) fn compact(&mut self, keep: &[bool]) {
        let d = self.d;
        let mut to = 0;
        for from in (0..keep.len()).filter(|&from| keep[from]) {
            if to != from {
                self.rows[to] = self.rows[from];
                self.places[to] = self.places[from];
                self.times[to] = self.times[from];
                self.pasts[to] = self.pasts[from];
                // All else is made anew by the next step.
                self.x.copy_within(from * d..(from + 1) * d, to * d);
                self.stages[0].copy_within(from * d..(from + 1) * d, to * d);
            }
            to += 1;
        }
        self.truncate(to);
    }

    /// The r-th row has failed: rows below it may still do so, and only they go on.
    pub(super) fn fail(&mut self, r: usize, error: Error) {
        self.failure = Some(error);
        self.truncate(r);
    }

    /// Keeps the first rows, as many as `to`.
    fn truncate(&mut self, to: usize) {
        let d = self.d;
        self.rows.truncate(to);
        self.places.truncate(to);
        self.times.truncate(to);
        self.stage_times.truncate(to);
        self.targets.truncate(to);
        self.lengths.truncate(to);
        self.pasts.truncate(to);
        for buffer in
            self.stages.iter_mut().chain([&mut self.x, &mut self.end, &mut self.error, &mut self.inner])
        {
            buffer.truncate(to * d);
        }
    }
}

/// `out = V(times, x)` for packed rows.
pub(super) fn evaluate<F: Real>(
    field: &impl VectorField<F>,
    rows: &[u64],
    times: &[Time],
    x: &[F],
    out: &mut [F],
    scratch: &mut Scratch,
) -> Result<(), Error> {
    let d = x.len() / rows.len();
    let mut out = ArrayViewMut2::from_shape((rows.len(), d), out).expect("as long as x");
    field.eval_into(&Batch::new(rows, Times::PerRow(times), &as_rows(x, d)), &mut out, scratch)
}
