//! Increments and areas over any interval of ticks: the walk through the tree, and what it keeps of it.

use std::ops::Range;

use ndarray::{Array2, ArrayRef2};

use super::{Brownian, Node};
use crate::{Real, vectorize};

/// The increments of a node and its areas; the latter empty in a tree without.
pub(super) type Pair<F> = [Array2<F>; 2];

/// A node and the values of its halves.
#[derive(Clone, Debug, Default)]
struct Split<F> {
    node: Option<Node>,
    halves: [Pair<F>; 2],
}

/// Where the values of a node are.
#[derive(Clone, Copy)]
enum Place {
    Whole,
    /// The right half of the smallest node around the interval.
    Pending,
    /// A half of a split.
    Half(usize, bool),
}

/// Buffers of a walk from a cell down to both ends of an interval, without recursion.
///
/// With two splits, by the parity of the level, a walk keeps no more than it needs. With two for each level, the
/// next walk finds the nodes on the way to both ends of the last one.
#[derive(Clone, Debug, Default)]
pub(super) struct Walk<F> {
    whole: Pair<F>,
    pending: Pair<F>,
    splits: Vec<Split<F>>,
    /// Always empty: it holds the place of a split that is being made.
    spare: Split<F>,
    /// For each level as a bit, which of its two splits was used last.
    recent: u64,
    /// The cell of `whole`, if it is to be used again.
    cell: Option<u64>,
    /// Nodes split so far.
    pub(super) count: u64,
}

impl<F: Real> Walk<F> {
    /// Makes it one that remembers, and remembers nothing yet.
    pub(super) fn remember(&mut self) {
        self.splits.resize_with(2 * Node::MAX_LEVEL as usize, Split::default);
        self.splits.iter_mut().for_each(|split| split.node = None);
        self.cell = None;
    }

    /// The sum over the ticks, from left to right.
    #[track_caller]
    pub(super) fn between(
        &mut self,
        brownian: &Brownian<'_>,
        rows: &[u64],
        cell: u64,
        ticks: Range<u64>,
        w: &mut ArrayRef2<F>,
        h: Option<&mut ArrayRef2<F>>,
    ) {
        assert!(h.is_none() || brownian.areas, "the tree has no areas; make it by `Brownian::with_area`");
        assert!(
            ticks.start <= ticks.end && ticks.end <= Brownian::TICKS,
            "{ticks:?} is no interval of the ticks of a cell"
        );
        let tree = Tree { brownian, rows, dim: w.dim() };
        let mut sum = Sum::empty(w, h);
        let remembers = self.splits.len() > 2;
        if !remembers {
            self.splits.resize_with(2, Split::default);
        }
        let mut node = Node::whole(cell);
        if !(remembers && self.cell == Some(cell)) {
            tree.whole(cell, &mut self.whole);
            self.cell = Some(cell);
        }
        assert_eq!(tree.dim, self.whole[0].dim(), "the shape of the last query");
        if ticks.is_empty() {
            return;
        }
        // Down to the smallest node around the interval.
        let mut place = Place::Whole;
        while node.ticks() != ticks {
            let middle = node.middle();
            let split = self.split(&tree, node, place);
            if ticks.start < middle && middle < ticks.end {
                return self.both_sides(&tree, node, split, ticks, &mut sum);
            }
            let right = ticks.start >= middle;
            (node, place) = (node.half(right), Place::Half(split, right));
        }
        sum.append(self.at(place), ticks.end - ticks.start);
    }

    /// The sum over ticks on both sides of the middle of `node`.
    #[track_caller]
    fn both_sides(
        &mut self,
        tree: &Tree<'_, '_>,
        node: Node,
        split: usize,
        ticks: Range<u64>,
        sum: &mut Sum<'_, F>,
    ) {
        for (kept, value) in self.pending.iter_mut().zip(&self.splits[split].halves[1]) {
            kept.clone_from(value);
        }
        let (mut at, mut place) = (node.half(false), Place::Half(split, false));
        while at.ticks().start < ticks.start {
            let split = self.split(tree, at, place);
            let right = ticks.start >= at.middle();
            if !right {
                sum.prepend(&self.splits[split].halves[1], at.ticks().end - at.middle());
            }
            (at, place) = (at.half(right), Place::Half(split, right));
        }
        sum.prepend(self.at(place), at.ticks().end - ticks.start);
        let (mut at, mut place) = (node.half(true), Place::Pending);
        while at.ticks().end > ticks.end {
            let split = self.split(tree, at, place);
            let right = ticks.end > at.middle();
            if right {
                sum.append(&self.splits[split].halves[0], at.middle() - at.ticks().start);
            }
            (at, place) = (at.half(right), Place::Half(split, right));
        }
        sum.append(self.at(place), ticks.end - at.ticks().start);
    }

    fn at(&self, place: Place) -> &Pair<F> {
        at(&self.whole, &self.pending, &self.splits, place)
    }

    /// The index of the split of `node`, whose own values are at `place`.
    #[track_caller]
    fn split(&mut self, tree: &Tree<'_, '_>, node: Node, place: Place) -> usize {
        let level = node.level as usize;
        let index = if self.splits.len() == 2 {
            level % 2
        } else {
            let last = (self.recent >> level & 1) as usize;
            let found =
                [last, 1 - last].into_iter().find(|way| self.splits[2 * level + way].node == Some(node));
            let way = found.unwrap_or(1 - last);
            self.recent = self.recent & !(1 << level) | (way as u64) << level;
            if found.is_some() {
                return 2 * level + way;
            }
            2 * level + way
        };
        // Its parent is at another level, so in another place.
        let Walk { whole, pending, splits, spare, .. } = self;
        std::mem::swap(spare, &mut splits[index]);
        tree.split(node, at(whole, pending, splits, place), &mut spare.halves);
        spare.node = Some(node);
        std::mem::swap(spare, &mut splits[index]);
        self.count += 1;
        index
    }
}

/// The values of a node at a place.
fn at<'a, F>(whole: &'a Pair<F>, pending: &'a Pair<F>, splits: &'a [Split<F>], place: Place) -> &'a Pair<F> {
    match place {
        Place::Whole => whole,
        Place::Pending => pending,
        Place::Half(split, right) => &splits[split].halves[usize::from(right)],
    }
}

/// The path of some rows and coordinates.
pub(super) struct Tree<'a, 'g> {
    pub(super) brownian: &'a Brownian<'g>,
    pub(super) rows: &'a [u64],
    pub(super) dim: (usize, usize),
}

impl Tree<'_, '_> {
    #[track_caller]
    fn whole<F: Real>(&self, cell: u64, [w, h]: &mut Pair<F>) {
        reshape(w, self.dim);
        self.brownian.whole_increments(self.rows, cell, w);
        if self.brownian.areas {
            reshape(h, self.dim);
            self.brownian.whole_areas(self.rows, cell, h);
        }
    }

    #[track_caller]
    fn split<F: Real>(&self, node: Node, [w, h]: &Pair<F>, halves: &mut [Pair<F>; 2]) {
        if self.brownian.areas {
            return self.split_with_areas(node, [w, h], halves);
        }
        let [[left, _], [right, _]] = halves;
        reshape(left, self.dim);
        reshape(right, self.dim);
        self.brownian.split(self.rows, node, w, left, right);
    }

    #[track_caller]
    pub(super) fn split_with_areas<F: Real>(
        &self,
        node: Node,
        parent: [&ArrayRef2<F>; 2],
        halves: &mut [Pair<F>; 2],
    ) {
        halves.iter_mut().flatten().for_each(|array| reshape(array, self.dim));
        let [[wl, hl], [wr, hr]] = halves;
        self.brownian.split_with_areas(self.rows, node, parent, [wl, hl], [wr, hr]);
    }
}

/// Gives the array another shape, in the memory that it has.
pub(super) fn reshape<F: Real>(array: &mut Array2<F>, dim: (usize, usize)) {
    if array.dim() != dim {
        let mut memory = std::mem::take(array).into_raw_vec_and_offset().0;
        memory.resize(dim.0 * dim.1, F::zero());
        *array = Array2::from_shape_vec(dim, memory).expect("the length fits");
    }
}

/// Neighbouring intervals put together.
struct Sum<'a, F> {
    w: &'a mut [F],
    h: Option<&'a mut [F]>,
    ticks: u64,
}

impl<'a, F: Real> Sum<'a, F> {
    #[track_caller]
    fn empty(w: &'a mut ArrayRef2<F>, h: Option<&'a mut ArrayRef2<F>>) -> Sum<'a, F> {
        if let Some(h) = &h {
            assert_eq!(h.dim(), w.dim(), "shapes of increments and areas");
        }
        let slice = |array: &'a mut ArrayRef2<F>| {
            array.fill(F::zero());
            array.as_slice_mut().expect("standard layout")
        };
        Sum { w: slice(w), h: h.map(slice), ticks: 0 }
    }

    /// Puts an interval of some ticks after it.
    fn append(&mut self, part: &Pair<F>, ticks: u64) {
        self.add(part, ticks, F::one());
    }

    /// Puts an interval of some ticks before it.
    fn prepend(&mut self, part: &Pair<F>, ticks: u64) {
        self.add(part, ticks, -F::one());
    }

    /// $`W = W_1 + W_2`$ and $`H = \alpha H_1 + \beta H_2 \pm \tfrac12 (\beta W_1 - \alpha W_2)`$ for parts in the
    /// proportion $`\alpha : \beta`$.
    fn add(&mut self, part: &Pair<F>, ticks: u64, side: F) {
        let total = (self.ticks + ticks) as f64;
        let (alpha, beta) = (F::of(self.ticks as f64 / total), F::of(ticks as f64 / total));
        self.ticks += ticks;
        let [w2, h2] = part.each_ref().map(|array| array.as_slice().expect("standard layout"));
        let w = &mut *self.w;
        let h = self.h.as_deref_mut();
        let Some(h) = h else {
            return vectorize(
                #[inline(always)]
                || w.iter_mut().zip(w2).for_each(|(w, &w2)| *w += w2),
            );
        };
        vectorize(
            #[inline(always)]
            || {
                for ((w, &w2), (h, &h2)) in w.iter_mut().zip(w2).zip(h.iter_mut().zip(h2)) {
                    let cross = beta * *w - alpha * w2;
                    *h = alpha * *h + beta * h2 + F::of(0.5) * side * cross;
                    *w += w2;
                }
            },
        );
    }
}
