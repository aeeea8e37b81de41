//! The rows of a block on their way through the trees of the cells.

use numeric::ndarray::{Array2, ArrayRef2, ArrayViewMut2, s};
use numeric::{Brownian, BrownianCursor, Error, Node, Noise, Real, Scratch, check_finite, vectorize};

use super::turn::Turn;
use super::{AdaptiveSolver, Tolerance};
use crate::Sde;
use crate::integrator::{Integrator, SdeStep};
use crate::sde::coefficients::{slice, slice_mut};

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
    wanted: Vec<u32>,
    /// For each level that was reached, the path of all rows over the left and the right halves that they are at or that
    /// wait for them. At level 0 the cell is a left one.
    halves: Vec<[Path<F>; 2]>,
    /// The first half of a step that was rejected is the whole step that is tried next: where it leads to, and whether it
    /// was taken.
    ahead: Array2<F>,
    is_ahead: Vec<bool>,
    pub(super) accepted: u64,
    pub(super) rejected: u64,
    /// Steps of the integrator.
    pub(super) steps: u64,
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
            steps: 0,
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
        let mut group = Vec::with_capacity(self.rows.len());
        loop {
            let turn = Turn::next(&self.turns[..self.live]);
            if turn == Turn::END {
                return Ok(());
            }
            group.clear();
            group.extend((0..self.live).filter(|&i| self.turns[i] == turn));
            self.visit(&group, turn.node(cell), turn.splits_only(), scratch)?;
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
        let Buffers { rows, good, paths, states, squares } = &mut buffers;
        rows.clear();
        rows.extend(group.iter().map(|&i| self.rows[i]));
        good.clear();
        good.resize(group.len(), false);
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
        if !splits_only {
            let paths = [&whole, &left, &right].map(|[w, h]| -> [&ArrayRef2<F>; 2] { [w, h] });
            self.try_step((group, rows, node), paths, good, (states, squares), scratch)?;
        }
        self.reach(level + 1);
        for (half, all) in [&left, &right].into_iter().zip(&mut self.halves[level + 1]) {
            for (part, all) in half.iter().zip(all) {
                scatter(part, group.iter().enumerate().filter(|&(j, _)| !good[j]), all);
            }
        }
        for (&i, &good) in group.iter().zip(&*good) {
            let wanted = self.wanted[i];
            self.turns[i] = if good { Turn::behind(node, wanted) } else { Turn::within(node, wanted) };
        }
        scratch.put(buffers);
        Ok(())
    }

    /// Tries a step: finds the rows of a group whose halves are good enough, and moves these to the end of the node.
    fn try_step(
        &mut self,
        (group, rows, node): (&[usize], &[u64], Node),
        [whole, left, right]: [[&ArrayRef2<F>; 2]; 3],
        good: &mut [bool],
        (states, squares): (&mut [Vec<F>; 4], &mut Vec<f64>),
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        let [first, second] = node.children().expect("nodes at the deepest level are not tried");
        let (n, d) = (group.len(), self.x.ncols());
        let [mut x, mut once, mut middle, mut twice] = states.each_mut().map(|buffer| rows_in(buffer, n, d));
        gather(self.x, group, &mut x);
        self.step_once((group, rows, node), &x, whole, &mut once, scratch)?;
        slice_mut(&mut middle).copy_from_slice(slice(&x));
        self.step(rows, first, left, &mut middle, scratch)?;
        slice_mut(&mut twice).copy_from_slice(slice(&middle));
        self.step(rows, second, right, &mut twice, scratch)?;
        square_errors(self.solver.tolerance, [&x, &once, &twice].map(|rows| slice(rows)), squares);
        for (j, (good, squares)) in good.iter_mut().zip(squares.chunks_exact(d)).enumerate() {
            // Of the two ways through the step, in units of the tolerance; NaN where one is not finite.
            let error = (squares.iter().sum::<f64>() / d as f64).sqrt();
            *good = error <= 1.0;
            let wanted = &mut self.wanted[group[j]];
            if *good {
                // Twice the step next time if the error allows it, with a margin.
                *wanted = node.level - u32::from(node.level > 0 && error * self.solver.growth < 0.5);
            } else if node.level + 2 > Node::MAX_LEVEL {
                let time = self.solver.time(node.cell, node.ticks().start).t;
                let (routine, iterations) = ("adaptive steps", node.level as usize);
                let steep = Error::NotConverged { routine, iterations, residual: error };
                let end = twice.slice(s![j..=j, ..]);
                let infinite = check_finite("the state", &rows[j..=j], node.cell, time, end);
                (self.live, self.failure) = (group[j], Some(infinite.err().unwrap_or(steep)));
                break;
            } else {
                *wanted = node.level + 1;
            }
        }
        let accepted = good.iter().filter(|good| **good).count() as u64;
        self.accepted += accepted;
        self.rejected += n as u64 - accepted;
        if accepted > 0 && !self.asked_within(node).is_empty() {
            self.keep_between(group, good, node, [&x, &middle], scratch)?;
        }
        scatter(&twice, group.iter().enumerate().filter(|&(j, _)| good[j]), self.x);
        scatter(&middle, group.iter().enumerate().filter(|&(j, _)| !good[j]), &mut self.ahead);
        for (&i, &good) in group.iter().zip(&*good) {
            self.is_ahead[i] = !good;
        }
        Ok(())
    }

    /// The whole step, of the rows that have not taken it as the first half of the step before.
    fn step_once(
        &mut self,
        (group, rows, node): (&[usize], &[u64], Node),
        x: &ArrayRef2<F>,
        whole: [&ArrayRef2<F>; 2],
        once: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        let mut buffers: Behind<F> = scratch.take();
        let Behind { places, rows: behind, path, ends } = &mut buffers;
        places.clear();
        places.extend((0..group.len()).filter(|&j| !self.is_ahead[group[j]]));
        if places.len() == group.len() {
            slice_mut(once).copy_from_slice(slice(x));
            self.step(rows, node, whole, once, scratch)?;
        } else {
            gather(&self.ahead, group, once);
            if !places.is_empty() {
                behind.clear();
                behind.extend(places.iter().map(|&j| rows[j]));
                let mut path = self.path_in(path, places.len());
                for (part, whole) in path.iter_mut().zip(whole) {
                    gather(whole, places, part);
                }
                let mut ends = rows_in(ends, places.len(), x.ncols());
                gather(x, places, &mut ends);
                self.step(behind, node, [&path[0], &path[1]], &mut ends, scratch)?;
                scatter(&ends, places.iter().enumerate(), once);
            }
        }
        scratch.put(buffers);
        Ok(())
    }

    fn step(
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
        self.steps += rows.len() as u64;
        self.solver.integrator.step(&self.solver.sde, step, x, scratch)
    }
}

/// Writes the squares of the differences between two ways from `x`, in units of the tolerance.
fn square_errors<F: Real>(
    Tolerance { relative, absolute }: Tolerance,
    [x, once, twice]: [&[F]; 3],
    squares: &mut Vec<f64>,
) {
    squares.resize(x.len(), 0.0);
    vectorize(
        #[inline(always)]
        || {
            for (((square, x), once), twice) in squares.iter_mut().zip(x).zip(once).zip(twice) {
                let [x, once, twice] = [x, once, twice].map(|a| a.as_f64());
                let error = (once - twice) / (absolute + relative * x.abs().max(twice.abs()));
                *square = error * error;
            }
        },
    );
}

/// What the visit of a node by a group of rows needs, kept from one to the next.
#[derive(Default)]
struct Buffers<F> {
    rows: Vec<u64>,
    good: Vec<bool>,
    /// Over the node and its halves.
    paths: [[Vec<F>; 2]; 3],
    /// At the start, after the whole step, and after each of its halves.
    states: [Vec<F>; 4],
    squares: Vec<f64>,
}

/// What the rows of a group that have a whole step to take need.
#[derive(Default)]
struct Behind<F> {
    /// Their places in the group.
    places: Vec<usize>,
    rows: Vec<u64>,
    path: [Vec<F>; 2],
    ends: Vec<F>,
}

/// An array with any contents in the memory of a buffer, which is never made shorter: growing again would fill it.
pub(super) fn rows_in<F: Real>(buffer: &mut Vec<F>, rows: usize, columns: usize) -> ArrayViewMut2<'_, F> {
    if buffer.len() < rows * columns {
        buffer.resize(rows * columns, F::zero());
    }
    let memory = &mut buffer[..rows * columns];
    ArrayViewMut2::from_shape((rows, columns), memory).expect("as many numbers as that")
}

/// Writes the rows `group` of an array over `out`, unless that has none.
pub(super) fn gather<F: Real>(from: &ArrayRef2<F>, group: &[usize], out: &mut ArrayRef2<F>) {
    let (d, from) = (from.ncols(), slice(from));
    for (out, &i) in slice_mut(out).chunks_exact_mut(d).zip(group) {
        out.copy_from_slice(&from[i * d..][..d]);
    }
}

/// Writes rows j of an array over rows i of another, for pairs (j, &i), unless it has none.
pub(super) fn scatter<'i, F: Real>(
    from: &ArrayRef2<F>,
    pairs: impl Iterator<Item = (usize, &'i usize)>,
    to: &mut ArrayRef2<F>,
) {
    let (d, from, to) = (from.ncols(), slice(from), slice_mut(to));
    if from.is_empty() {
        return;
    }
    for (j, &i) in pairs {
        to[i * d..][..d].copy_from_slice(&from[j * d..][..d]);
    }
}
