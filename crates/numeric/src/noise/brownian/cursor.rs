//! One interval after the other.

use std::ops::Range;

use ndarray::ArrayRef2;

use super::Brownian;
use super::walk::Walk;
use crate::Real;

/// The path of some rows within a cell, for a method that moves along it step by step, with rejections.
///
/// The values are those of [`Brownian::between_into`], to the bit, in any order of queries. Between queries it keeps
/// the halves of the nodes on the way to both ends of the last interval, so an interval that starts or ends where the
/// last one did costs new nodes only. Rows that choose their steps for themselves each have a cursor; rows that share
/// their steps share one.
///
/// ```
/// use numeric::{Brownian, BrownianCursor, Noise, ndarray::Array2};
/// let brownian = Brownian::with_area(Noise::new(1), &[0.5])?;
/// let mut cursor = BrownianCursor::<f64>::new(brownian, &[7, 8], 0);
/// let (mut w, mut h) = (Array2::zeros((2, 3)), Array2::zeros((2, 3)));
/// let (mut at, mut step, mut total) = (0, Brownian::TICKS / 4, Array2::zeros((2, 3)));
/// while at < Brownian::TICKS {
///     cursor.between_into(at..at + step, &mut w, Some(&mut h));
///     if step > 1000 && w[[0, 0]].abs() > 0.1 {
///         step /= 2;      // rejected; the next query asks for a part of the same path
///     } else {
///         total += &w;
///         at += step;
///     }
/// }
/// cursor.between_into(0..Brownian::TICKS, &mut w, None);
/// assert!((total - w).iter().all(|e| e.abs() < 1e-13));
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # Complexity
/// A walk over dyadic steps splits each node once, or one node a step. An end that is a multiple of no large power of
/// two costs a split per level down to it, up to 40: let adaptive steps be multiples of the smallest step that makes
/// sense. Memory: four arrays of the size of the rows per level in use (eight with areas).
#[derive(Clone, Debug)]
pub struct BrownianCursor<'g, F> {
    brownian: Brownian<'g>,
    rows: Vec<u64>,
    cell: u64,
    walk: Walk<F>,
}

impl<'g, F: Real> BrownianCursor<'g, F> {
    /// The path of `rows` in `cell`.
    #[must_use]
    pub fn new(brownian: Brownian<'g>, rows: &[u64], cell: u64) -> BrownianCursor<'g, F> {
        let mut cursor = BrownianCursor { brownian, rows: Vec::new(), cell, walk: Walk::default() };
        cursor.restart(rows, cell);
        cursor
    }

    /// Goes to other rows or another cell, in the memory that it has.
    pub fn restart(&mut self, rows: &[u64], cell: u64) {
        self.rows.clear();
        self.rows.extend_from_slice(rows);
        self.cell = cell;
        self.walk.remember();
    }

    /// The increments over an interval of ticks, `(rows.len(), d)`, and on request its areas.
    ///
    /// The first query after a [`restart`](BrownianCursor::restart) decides on `d`.
    ///
    /// # Panics
    /// As [`Brownian::between_into`]; or if `d` is another than in the last query.
    #[track_caller]
    pub fn between_into(&mut self, ticks: Range<u64>, w: &mut ArrayRef2<F>, h: Option<&mut ArrayRef2<F>>) {
        self.walk.between(&self.brownian, &self.rows, self.cell, ticks, w, h);
    }

    /// How many nodes it has split so far.
    #[must_use]
    pub fn num_splits(&self) -> u64 {
        self.walk.count
    }
}
