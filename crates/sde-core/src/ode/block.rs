//! The rows of a block that are still on their way, packed in the order of the rows.

use std::mem::swap;

use numeric::ndarray::ArrayViewMut2;
use numeric::{Batch, Error, Real, Scratch, Time, Times, VectorField, as_rows};

use crate::apart::Apart;

use super::controller::Pasts;
use super::explicit::Spread;
use super::piece::Piece;

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
    pub(super) spread: Spread<F>,
    pub(super) pasts: Pasts,
    /// Norms of the estimated errors of the step, relative to the tolerance.
    pub(super) errors: Vec<f64>,
    /// Whether the row, whose step was accepted, goes no further.
    pub(super) arrived: Vec<bool>,
    /// State at the start of the step, `(n, d)`, and its candidate at the end.
    pub(super) x: Apart<F>,
    pub(super) end: Apart<F>,
    /// The first stage is V at the start, the last is V at the end of the step; each `(n, d)`.
    pub(super) stages: Vec<Apart<F>>,
    /// Argument of a stage.
    pub(super) inner: Apart<F>,
    /// A sum of stages that is begun before the last of them is known.
    pub(super) begun: Apart<F>,
    pub(super) stage_times: Vec<Time>,
    /// Error of the lowest row that failed so far; it and the rows above it are no longer on their way.
    pub(super) failure: Option<Error>,
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
        self.pasts.reset(n);
        self.errors.resize(n, 0.0);
        self.arrived.resize(n, false);
        self.stages.resize_with(stages, Apart::default);
        for (slot, buffer) in self.buffers().enumerate() {
            buffer.resize(n * d, slot);
        }
        self.x.copy_from_slice(x);
    }

    /// All that has a number for each number of the state.
    fn buffers(&mut self) -> impl Iterator<Item = &mut Apart<F>> {
        let Block { x, end, inner, begun, stages, .. } = self;
        stages.iter_mut().chain([x, end, inner, begun])
    }

    /// Gives the numbers of the state the lengths of their rows.
    pub(super) fn spread_lengths(&mut self) {
        self.spread.set(self.d, &self.lengths);
    }

    /// Accepts or rejects each step, and sets the lengths of the next ones.
    pub(super) fn control(&mut self, k: f64) {
        self.pasts.control(&self.lengths, &self.errors, k);
    }

    /// The step that the r-th row has tried.
    pub(super) fn piece<'b>(&'b self, r: usize, bend: &'b [f64]) -> Piece<'b, F> {
        let offset = r * self.d;
        Piece {
            place: self.places[r],
            from: self.times[r],
            to: self.targets[r],
            h: self.lengths[r],
            start: &self.x[offset..][..self.d],
            end: &self.end[offset..][..self.d],
            stages: &self.stages,
            offset,
            bend,
        }
    }

    /// Takes the steps that were accepted, and the rows that arrived off the way: there their states are written over
    /// `out`.
    pub(super) fn step(&mut self, out: &mut [F]) {
        let (d, last) = (self.d, self.stages.len() - 1);
        // Most steps are accepted: their rows stay where they are.
        swap(&mut self.x, &mut self.end);
        self.stages.swap(0, last);
        let [first, .., before] = &mut self.stages[..] else { unreachable!("at least two stages") };
        let mut gone = false;
        for (r, &rejected) in self.pasts.rejected.iter().enumerate() {
            if rejected {
                let row = r * d..(r + 1) * d;
                self.x[row.clone()].copy_from_slice(&self.end[row.clone()]);
                first[row.clone()].copy_from_slice(&before[row]);
            } else {
                self.times[r] = self.targets[r];
                gone |= self.arrived[r];
            }
        }
        if gone {
            self.leave(out);
        }
    }

    /// Takes the rows that arrived off the way.
    fn leave(&mut self, out: &mut [F]) {
        let d = self.d;
        let mut to = 0;
        for r in 0..self.rows.len() {
            let row = r * d..(r + 1) * d;
            if self.arrived[r] && !self.pasts.rejected[r] {
                out[self.places[r] * d..][..d].copy_from_slice(&self.x[row]);
                continue;
            }
            if to != r {
                self.x.copy_within(row.clone(), to * d);
                self.stages[0].copy_within(row, to * d);
                (self.rows[to], self.places[to], self.times[to]) =
                    (self.rows[r], self.places[r], self.times[r]);
                self.pasts.replace(to, r);
            }
            // All else is made anew by the next step.
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
        self.errors.truncate(to);
        self.arrived.truncate(to);
        for buffer in self.buffers() {
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
