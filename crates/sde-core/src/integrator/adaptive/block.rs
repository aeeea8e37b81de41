//! The rows of a block on their way through the trees of the cells.

use numeric::ndarray::{Array2, ArrayRef2, ArrayViewMut2};
use numeric::{Brownian, BrownianCursor, Error, Node, Noise, Real, Scratch};

use super::AdaptiveSolver;
use super::rows::{gather, rows_in, scatter};
use super::turn::Turn;
use crate::Sde;
use crate::integrator::{Integrator, SdeStep};

/// W of some rows over a node, `(n, m)`, and their space-time areas H: `(0, m)` for methods that do not need them.
pub(super) type Path<F> = [Array2<F>; 2];

/// The rows of a block on their way.
pub(super) struct Block<'a, F, E, K> {
    pub(super) solver: &'a AdaptiveSolver<F, E, K>,
    pub(super) rows: &'a [u64],
    pub(super) brownian: Brownian<'a>,
    extra: Noise,
    pub(super) x: &'a mut ArrayRef2<F>,
    /// The ticks of the cell, other than its ends, at which states are asked for, and the states there.
    pub(super) asked: &'a [u64],
    pub(super) between: Vec<Array2<F>>,
    /// The path within a half, once it was asked for.
    pub(super) cursor: Option<BrownianCursor<'a, F>>,
    turns: Vec<Turn>,
    /// The level at which a row tries its next step; nodes above it are just split.
    pub(super) wanted: Vec<u32>,
    /// For each level that was reached, the path of all rows over the left and the right halves that they are at or that
    /// wait for them. At level 0 the cell is a left one.
    halves: Vec<[Path<F>; 2]>,
    /// The first half of a step that was rejected is the whole step that is tried next: where it leads to, and whether it
    /// was taken.
    pub(super) ahead: Array2<F>,
    pub(super) is_ahead: Vec<bool>,
    pub(super) accepted: u64,
    pub(super) rejected: u64,
    /// Evaluations of the drift.
    pub(super) calls: u64,
    /// Rows that are on their way: all, or those below the lowest that failed.
    pub(super) live: usize,
    /// Error of the lowest row that failed so far.
    pub(super) failure: Option<Error>,
}

impl<'a, F: Real, E: Sde<F>, K: Integrator<F>> Block<'a, F, E, K> {
    pub(super) fn new(
        solver: &'a AdaptiveSolver<F, E, K>,
        rows: &'a [u64],
        (brownian, extra): (Brownian<'a>, Noise),
        x: &'a mut ArrayRef2<F>,
    ) -> Self {
        let n = rows.len();
        Block {
            solver,
            rows,
            brownian,
            extra,
            asked: &[],
            between: Vec::new(),
            cursor: None,
            turns: vec![Turn::END; n],
            wanted: vec![0; n],
            halves: Vec::new(),
            ahead: Array2::zeros(x.raw_dim()),
            is_ahead: vec![false; n],
            accepted: 0,
            rejected: 0,
            calls: 0,
            live: n,
            failure: None,
            x,
        }
    }

    /// What the walk through all cells found.
    pub(super) fn end(&mut self) -> Result<(), Error> {
        self.failure.take().map_or(Ok(()), Err)
    }

    /// Carries all rows through a cell, and keeps their states at the ticks asked for. A row that fails is left behind with
    /// those above it: rows below it may still fail later, and the lowest is to be reported.
    pub(super) fn walk(&mut self, cell: usize, asked: &'a [u64], scratch: &mut Scratch) -> Result<(), Error> {
        self.asked = asked;
        if self.between.len() < asked.len() {
            self.between.resize(asked.len(), Array2::zeros(self.x.raw_dim()));
        }
        let cell = cell as u64;
        self.reach(0);
        let [w, h] = &mut self.halves[0][0];
        if self.brownian.has_areas() {
            self.brownian.increments_and_areas_into(self.rows, Node::whole(cell), w, h);
        } else {
            self.brownian.increments_into(self.rows, Node::whole(cell), w);
        }
        for (turn, &wanted) in self.turns.iter_mut().zip(&self.wanted) {
            *turn = Turn::new(0, 0, wanted);
        }
        let mut group = vec![0; self.rows.len()];
        loop {
            let turn = Turn::next(&self.turns[..self.live]);
            if turn == Turn::END {
                return Ok(());
            }
            let count = turn.places(&self.turns[..self.live], &mut group);
            self.visit(&group[..count], turn.node(cell), turn.splits_only(), scratch)?;
        }
    }

    /// Makes room for the halves of a level.
    fn reach(&mut self, level: usize) {
        while self.halves.len() <= level {
            let room = |rows| Array2::zeros((rows, self.solver.sde.noise_dim()));
            let path = || [self.rows.len(), self.count_areas(self.rows.len())].map(room);
            let halves = [path(), path()];
            self.halves.push(halves);
        }
    }

    /// How many of so many rows have areas: all or none.
    fn count_areas(&self, rows: usize) -> usize {
        if self.brownian.has_areas() { rows } else { 0 }
    }

    /// Arrays for the path of so many rows, in the memory of `buffers`.
    pub(super) fn path_in<'b>(&self, buffers: &'b mut [Vec<F>; 2], rows: usize) -> [ArrayViewMut2<'b, F>; 2] {
        let (m, [w, h]) = (self.solver.sde.noise_dim(), buffers);
        [rows_in(w, rows, m), rows_in(h, self.count_areas(rows), m)]
    }

    /// Splits a node for the rows of a group and, unless `splits_only`, tries its step; where the halves are good enough
    /// the row comes to the end of the node, else into its left half.
    fn visit(
        &mut self,
        group: &[usize],
        node: Node,
        splits_only: bool,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        let mut buffers: Buffers<F> = scratch.take();
        let Buffers { rows, accepted, descending, paths, states, squares } = &mut buffers;
        rows.clear();
        rows.extend(group.iter().map(|&i| self.rows[i]));
        accepted.clear();
        descending.clear();
        let level = node.level as usize;
        let [mut whole, mut left, mut right] =
            paths.each_mut().map(|buffers| self.path_in(buffers, group.len()));
        for (whole, all) in whole.iter_mut().zip(&self.halves[level][(node.index & 1) as usize]) {
            gather(all, group, whole);
        }
        {
            let ([w, h], [wl, hl], [wr, hr]) = (&whole, &mut left, &mut right);
            if self.brownian.has_areas() {
                self.brownian.split_with_areas_into(rows, node, [w, h], [wl, hl], [wr, hr]);
            } else {
                self.brownian.split_into(rows, node, w, wl, wr);
            }
        }
        if splits_only {
            descending.extend(0..group.len());
        } else {
            let paths = [&whole, &left, &right].map(|[w, h]| -> [&ArrayRef2<F>; 2] { [w, h] });
            let found = [&mut *accepted, &mut *descending];
            self.try_step((group, rows, node), paths, found, (states, squares), scratch)?;
        }
        self.reach(level + 1);
        for (half, all) in [&left, &right].into_iter().zip(&mut self.halves[level + 1]) {
            for (part, all) in half.iter().zip(all) {
                scatter(part, descending, group, all);
            }
        }
        for i in accepted.iter().map(|&j| group[j]) {
            self.turns[i] = Turn::behind(node, self.wanted[i]);
        }
        for i in descending.iter().map(|&j| group[j]) {
            self.turns[i] = Turn::within(node, self.wanted[i]);
        }
        scratch.put(buffers);
        Ok(())
    }

    pub(super) fn step(
        &mut self,
        rows: &[u64],
        node: Node,
        path: [&ArrayRef2<F>; 2],
        x: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        self.first_ticks(rows, node, Brownian::TICKS >> node.level, path, x, scratch)
    }

    /// A step over the first ticks of a node.
    pub(super) fn first_ticks(
        &mut self,
        rows: &[u64],
        node: Node,
        ticks: u64,
        [w, h]: [&ArrayRef2<F>; 2],
        x: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        let start = node.ticks().start;
        let [from, to] = [start, start + ticks].map(|tick| self.solver.time(node.cell, tick));
        let step = SdeStep {
            rows,
            from,
            to,
            length: self.brownian.length(node) * (ticks as f64 / (Brownian::TICKS >> node.level) as f64),
            w,
            area: self.brownian.has_areas().then_some(h),
            levy: None,
            // Of its own for each node: a scheme must not meet its draws again. The same for its parts, so that the last
            // of them is the step itself.
            extra: self.extra.fork_index(u64::from(node.level) << Node::MAX_LEVEL | node.index),
            index: node.cell,
        };
        self.calls += self.solver.integrator.step(&self.solver.sde, step, x, scratch)?;
        Ok(())
    }
}

/// What the visit of a node by a group of rows needs, kept from one to the next.
#[derive(Default)]
struct Buffers<F> {
    rows: Vec<u64>,
    /// Places in the group: of the rows that come to the end of the node, and of those that go down into it.
    accepted: Vec<usize>,
    descending: Vec<usize>,
    /// Over the node and its halves.
    paths: [[Vec<F>; 2]; 3],
    /// At the start, after the whole step, and after each of its halves.
    states: [Vec<F>; 4],
    squares: Vec<f64>,
}
