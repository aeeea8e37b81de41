//! One Brownian path, step by step, at a chosen refinement of its cells.

use numeric::ndarray::{Array2, Axis};
use numeric::{Brownian, Node, Real};

/// Where a run is on the path: the tree's nodes from the cell down to the current step.
///
/// Step k of a grid whose cells are divided into 2^r steps is a leaf of the tree; walking the leaves from left to
/// right costs two draws per step instead of r.
#[derive(Debug)]
pub(super) struct Walk<F> {
    /// Increment and area of the node at each level on the way to the current leaf.
    levels: Vec<[Array2<F>; 2]>,
    /// The right sisters of those that are left halves, still to be visited.
    sisters: Vec<[Array2<F>; 2]>,
}

impl<F> Default for Walk<F> {
    fn default() -> Walk<F> {
        Walk { levels: Vec::new(), sisters: Vec::new() }
    }
}

impl<F: Real> Walk<F> {
    /// Makes room for a walk of rows with m coordinates at this refinement.
    pub(super) fn fit(&mut self, shape: (usize, usize), refinement: u32) {
        let levels = refinement as usize + 1;
        if self.levels.len() != levels || self.levels[0][0].dim() != shape {
            let room = || (0..levels).map(|_| [Array2::zeros(shape), Array2::zeros(shape)]).collect();
            (self.levels, self.sisters) = (room(), room());
        }
    }

    /// Goes on with some of the rows only, by their places.
    pub(super) fn retain(&mut self, places: &[usize]) {
        for array in self.levels.iter_mut().chain(&mut self.sisters).flatten() {
            *array = array.select(Axis(0), places);
        }
    }

    /// Moves on to leaf `k` of the path, the one after the leaf of the last call (or the first of a cell), and
    /// returns its node, increment and area.
    pub(super) fn advance(
        &mut self,
        brownian: &Brownian<'_>,
        rows: &[u64],
        k: u64,
    ) -> (Node, &[Array2<F>; 2]) {
        let deepest = self.levels.len() - 1;
        let (cell, index) = (k >> deepest, k & ((1 << deepest) - 1));
        let areas = brownian.has_areas();
        let from = if index == 0 {
            let [w, h] = &mut self.levels[0];
            if areas {
                brownian.increments_and_areas_into(rows, Node::whole(cell), w, h);
            } else {
                brownian.increments_into(rows, Node::whole(cell), w);
            }
            0
        } else {
            let level = deepest - index.trailing_zeros() as usize;
            std::mem::swap(&mut self.levels[level], &mut self.sisters[level]);
            level
        };
        for level in from..deepest {
            let node = Node { cell, level: level as u32, index: index >> (deepest - level) };
            let (above, below) = self.levels.split_at_mut(level + 1);
            let ([w, h], [left_w, left_h]) = (&above[level], &mut below[0]);
            let [right_w, right_h] = &mut self.sisters[level + 1];
            if areas {
                brownian.split_with_areas_into(rows, node, [w, h], [left_w, left_h], [right_w, right_h]);
            } else {
                brownian.split_into(rows, node, w, left_w, right_w);
            }
        }
        (Node { cell, level: deepest as u32, index }, &self.levels[deepest])
    }
}
