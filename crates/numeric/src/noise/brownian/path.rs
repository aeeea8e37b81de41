//! The path between any two ticks of a cell.

use std::ops::Range;

use ndarray::ArrayRef2;

use super::walk::Walk;
use super::{Brownian, Node};
use crate::{Error, Real, Scratch};

impl Node {
    /// The ticks of its interval, in units of $`2^{-40}`$ of the cell.
    ///
    /// ```
    /// use numeric::{Brownian, Node};
    /// assert_eq!(Node::whole(3).ticks(), 0..Brownian::TICKS);
    /// assert_eq!(Node { cell: 3, level: 2, index: 1 }.ticks(), Brownian::TICKS / 4..Brownian::TICKS / 2);
    /// ```
    #[must_use]
    pub const fn ticks(self) -> Range<u64> {
        let length = Brownian::TICKS >> self.level;
        self.index * length..(self.index + 1) * length
    }

    pub(super) const fn middle(self) -> u64 {
        let Range { start, end } = self.ticks();
        start + (end - start) / 2
    }
}

impl Brownian<'_> {
    /// How many ticks a cell has: the times at which the path can be asked for, $`2^{40}`$ of them.
    pub const TICKS: u64 = 1 << Node::MAX_LEVEL;

    /// The tick nearest to the time `elapsed` since the start of the cell.
    ///
    /// Both ends are exact: 0 is the tick 0, and the length of the cell the tick [`TICKS`](Brownian::TICKS).
    ///
    /// ```
    /// use numeric::{Brownian, Noise};
    /// let brownian = Brownian::new(Noise::new(1), &[0.3])?;
    /// assert_eq!(brownian.tick(0, 0.3)?, Brownian::TICKS);
    /// assert_eq!(brownian.tick(0, 0.15)?, Brownian::TICKS / 2);
    /// assert!(brownian.tick(0, 0.31).is_err() && brownian.tick(0, f64::NAN).is_err());
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Domain`] if `elapsed` is less than 0, greater than the length of the cell, or NaN.
    ///
    /// # Panics
    /// If there is no such cell.
    #[track_caller]
    pub fn tick(&self, cell: u64, elapsed: f64) -> Result<u64, Error> {
        let length = self.length(Node::whole(cell));
        Error::domain(elapsed >= 0.0 && elapsed <= length, "elapsed", elapsed, "a time within the cell")?;
        Ok((elapsed / length * Self::TICKS as f64).round() as u64)
    }

    /// The time of a tick since the start of the cell.
    ///
    /// # Panics
    /// If there is no such cell, or the tick is greater than [`TICKS`](Brownian::TICKS).
    #[must_use]
    #[track_caller]
    pub fn elapsed(&self, cell: u64, tick: u64) -> f64 {
        assert!(tick <= Self::TICKS, "tick {tick} is outside of the cell");
        self.length(Node::whole(cell)) * (tick as f64 / Self::TICKS as f64)
    }

    /// The increments of `rows` over an interval of ticks within a cell, and on request its space-time areas.
    ///
    /// The interval is cut into the largest nodes that fit, at most 80, and these are put together by Chen's
    /// relation: for neighbours of lengths in the proportion $`\alpha : \beta`$, $`\alpha + \beta = 1`$,
    ///
    /// ```math
    /// W = W_1 + W_2, \qquad H = \alpha H_1 + \beta H_2 + \tfrac12 (\beta W_1 - \alpha W_2).
    /// ```
    ///
    /// The values at all ticks are thus those of one path, exactly in law: each is a bridge between its neighbours in
    /// the tree. An empty interval has zeros. For a node the bits are those of
    /// [`increments_into`](Brownian::increments_into).
    ///
    /// ```
    /// use numeric::{Brownian, Noise, Scratch, ndarray::Array2};
    /// let brownian = Brownian::with_area(Noise::new(1), &[2.0])?;
    /// let mut scratch = Scratch::new();
    /// let mut over = |from: f64, to: f64| -> Result<f64, numeric::Error> {
    ///     let ticks = brownian.tick(0, from)?..brownian.tick(0, to)?;
    ///     let mut w = Array2::<f64>::zeros((1, 1));
    ///     brownian.between_into(&[5], 0, ticks, &mut w, None, &mut scratch);
    ///     Ok(w[[0, 0]])
    /// };
    /// assert!((over(0.1, 0.7)? + over(0.7, 1.9)? - over(0.1, 1.9)?).abs() < 1e-15);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Complexity
    /// One split (a normal per entry, two in a tree with areas) for every level down to the ends of the interval:
    /// none for a cell, about 20 for an end on the grid of $`2^{-20}`$, 80 at most.
    /// [`BrownianCursor`](super::BrownianCursor) does not split the same node again from one interval to the next.
    /// Six buffers of the size of `w` (twelve with areas) from `scratch`.
    ///
    /// # Panics
    /// If the ticks are in the wrong order or beyond [`TICKS`](Brownian::TICKS), if areas are asked of a tree
    /// without, if the shapes differ, if there is no such cell, or as
    /// [`Noise::normals_into`](crate::Noise::normals_into).
    #[track_caller]
    pub fn between_into<F: Real>(
        &self,
        rows: &[u64],
        cell: u64,
        ticks: Range<u64>,
        w: &mut ArrayRef2<F>,
        h: Option<&mut ArrayRef2<F>>,
        scratch: &mut Scratch,
    ) {
        let mut walk: Passing<F> = scratch.take();
        walk.0.between(self, rows, cell, ticks, w, h);
        scratch.put(walk);
    }
}

/// A walk that remembers nothing: a type of its own, so that no other is taken for it.
#[derive(Default)]
struct Passing<F>(Walk<F>);
