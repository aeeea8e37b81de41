//! The rows of a block on their way through the trees of the cells.

use numeric::ndarray::{Array2, ArrayRef2, s};
use numeric::{Brownian, BrownianCursor, Error, Node, Noise, Real, Scratch, check_finite};

use super::turn::Turn;
use super::{AdaptiveSolver, Tolerance};
use crate::Sde;
use crate::integrator::{Integrator, SdeStep};
use crate::sde::coefficients::{slice, slice_mut};
use crate::sde::{put_rows, take_rows};

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
    /// The path within a half.
    pub(super) cursor: BrownianCursor<'a, F>,
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
            cursor: BrownianCursor::new(brownian, &[], 0),
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
        while let Some(&turn) = self.turns[..self.live].iter().min().filter(|&&turn| turn != Turn::END) {
            group.clear();
            group.extend((0..self.live).filter(|&i| self.turns[i] == turn));
            self.visit(&group, turn.node(cell), turn.splits_only(), scratch)?;
        }
        Ok(())
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

    /// Arrays for the path of so many rows.
    pub(super) fn take_path(&self, rows: usize, scratch: &mut Scratch) -> Path<F> {
        let m = self.solver.sde.noise_dim();
        [rows, self.count_areas(rows)].map(|rows| take_rows::<F, 1>(scratch, (rows, m))).map(|[part]| part)
    }

    /// Gives the arrays of [`take_path`](Self::take_path) back.
    pub(super) fn put_path(path: Path<F>, scratch: &mut Scratch) {
        path.into_iter().for_each(|part| put_rows(scratch, [part]));
    }

    /// Splits a node for the rows of a group and, unless `split_only`, accepts the halves where they are good enough.
    fn visit(
        &mut self,
        group: &[usize],
        node: Node,
        split_only: bool,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        let Lists { mut rows, mut good } = scratch.take();
        rows.clear();
        rows.extend(group.iter().map(|&i| self.rows[i]));
        good.clear();
        good.resize(group.len(), false);
        let [mut whole, mut left, mut right] = [(); 3].map(|()| self.take_path(group.len(), scratch));
        let level = node.level as usize;
        for (whole, all) in whole.iter_mut().zip(&self.halves[level][(node.index & 1) as usize]) {
            gather(all, group, whole);
        }
        {
            let ([w, h], [wl, hl], [wr, hr]) = (&whole, &mut left, &mut right);
            if self.brownian.has_areas() {
                self.brownian.split_with_areas_into(&rows, node, [w, h], [wl, hl], [wr, hr]);
            } else {
                self.brownian.split_into(&rows, node, w, wl, wr);
            }
        }
        if !split_only {
            self.try_step(group, &rows, node, [&whole, &left, &right], &mut good, scratch)?;
        }
        self.reach(level + 1);
        let descending = |&(j, &i): &(usize, &usize)| !good[j] && i < self.live;
        for (parts, all) in [&left, &right].into_iter().zip(&mut self.halves[level + 1]) {
            for (part, all) in parts.iter().zip(all) {
                scatter(part, group.iter().enumerate().filter(descending), all);
            }
        }
        for (&i, &good) in group.iter().zip(&good) {
            let wanted = self.wanted[i];
            self.turns[i] = if good { Turn::behind(node, wanted) } else { Turn::within(node, wanted) };
        }
        for path in [whole, left, right] {
            Self::put_path(path, scratch);
        }
        scratch.put(Lists { rows, good });
        Ok(())
    }

    /// Tries a step: finds the rows of a group whose halves are good enough, and moves these to the end of the node.
    fn try_step(
        &mut self,
        group: &[usize],
        rows: &[u64],
        node: Node,
        [whole, left, right]: [&Path<F>; 3],
        good: &mut [bool],
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        let [first, second] = node.children().expect("nodes at the deepest level are not tried");
        let d = self.x.ncols();
        let [mut x, mut once, mut middle, mut twice] = take_rows::<F, 4>(scratch, (group.len(), d));
        gather(self.x, group, &mut x);
        self.step_once(group, rows, node, &x, whole, &mut once, scratch)?;
        middle.assign(&x);
        self.step(rows, first, left, &mut middle, scratch)?;
        twice.assign(&middle);
        self.step(rows, second, right, &mut twice, scratch)?;
        let of_rows =
            slice(&x).chunks_exact(d).zip(slice(&once).chunks_exact(d)).zip(slice(&twice).chunks_exact(d));
        for (j, (good, ((x, once), ends))) in good.iter_mut().zip(of_rows).enumerate() {
            let error = error(self.solver.tolerance, x, once, ends);
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
        self.rejected += group.len() as u64 - accepted;
        if accepted > 0 && !self.asked_within(node).is_empty() {
            self.keep_between(group, good, node, [&x, &middle], scratch)?;
        }
        scatter(&twice, group.iter().enumerate().filter(|&(j, _)| good[j]), self.x);
        scatter(&middle, group.iter().enumerate().filter(|&(j, _)| !good[j]), &mut self.ahead);
        for (&i, &good) in group.iter().zip(&*good) {
            self.is_ahead[i] = !good;
        }
        put_rows(scratch, [x, once, middle, twice]);
        Ok(())
    }

    /// The whole step, of the rows that have not taken it as the first half of the step before.
    fn step_once(
        &mut self,
        group: &[usize],
        rows: &[u64],
        node: Node,
        x: &Array2<F>,
        whole: &Path<F>,
        once: &mut Array2<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        let Behind { mut places, rows: mut behind } = scratch.take();
        places.clear();
        places.extend((0..group.len()).filter(|&j| !self.is_ahead[group[j]]));
        if places.len() == group.len() {
            once.assign(x);
            self.step(rows, node, whole, once, scratch)?;
        } else {
            gather(&self.ahead, group, once);
            if !places.is_empty() {
                behind.clear();
                behind.extend(places.iter().map(|&j| rows[j]));
                let mut path = self.take_path(places.len(), scratch);
                let [mut end] = take_rows::<F, 1>(scratch, (places.len(), x.ncols()));
                gather(x, &places, &mut end);
                for (part, whole) in path.iter_mut().zip(whole) {
                    gather(whole, &places, part);
                }
                self.step(&behind, node, &path, &mut end, scratch)?;
                scatter(&end, places.iter().enumerate(), once);
                Self::put_path(path, scratch);
                put_rows(scratch, [end]);
            }
        }
        scratch.put(Behind { places, rows: behind });
        Ok(())
    }

    fn step(
        &mut self,
        rows: &[u64],
        node: Node,
        path: &Path<F>,
        x: &mut Array2<F>,
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
        [w, h]: &Path<F>,
        x: &mut Array2<F>,
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

/// Difference of the two ways of a row through a step, in units of the tolerance; NaN where one is not finite.
fn error<F: Real>(Tolerance { relative, absolute }: Tolerance, x: &[F], once: &[F], twice: &[F]) -> f64 {
    let square = |((x, once), twice): ((&F, &F), &F)| {
        let [x, once, twice] = [x, once, twice].map(|a| a.as_f64());
        ((once - twice) / (absolute + relative * x.abs().max(twice.abs()))).powi(2)
    };
    (x.iter().zip(once).zip(twice).map(square).sum::<f64>() / x.len() as f64).sqrt()
}

/// What a group of rows needs besides arrays, kept from one to the next.
#[derive(Debug, Default)]
struct Lists {
    rows: Vec<u64>,
    good: Vec<bool>,
}

/// The rows of a group that have a whole step to take: their places in the group and their numbers.
#[derive(Debug, Default)]
struct Behind {
    places: Vec<usize>,
    rows: Vec<u64>,
}

/// Writes the rows `group` of an array over `out`, unless that has none.
pub(super) fn gather<F: Real>(from: &ArrayRef2<F>, group: &[usize], out: &mut ArrayRef2<F>) {
    let d = from.ncols();
    for (out, &i) in slice_mut(out).chunks_exact_mut(d).zip(group) {
        out.copy_from_slice(&slice(from)[i * d..][..d]);
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
