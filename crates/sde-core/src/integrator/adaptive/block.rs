//! The rows of a block on their way through the trees of the cells.

use numeric::ndarray::{Array2, ArrayRef2, s};
use numeric::{Brownian, BrownianCursor, Error, Node, Noise, Real, Scratch, check_finite};

use super::{AdaptiveSolver, Tolerance};
use crate::Sde;
use crate::integrator::{Integrator, SdeStep};
use crate::sde::coefficients::{slice, slice_mut};
use crate::sde::{put_rows, take_rows};

/// Ticks of a cell: the deepest nodes of its tree.
const TICKS: u64 = Brownian::TICKS;

/// Where a row is in its cell.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Place {
    /// Start of the current node.
    tick: u64,
    /// Level of the current node.
    level: u32,
    /// The level at which a step is tried; above it nodes are just split.
    wanted: u32,
    /// Bit l: the right half at level l waits for its turn. Levels are at most 40.
    waiting: u64,
}

/// The rows of a block on their way.
pub(super) struct Block<'a, F, E, K> {
    pub(super) solver: &'a AdaptiveSolver<F, E, K>,
    pub(super) rows: &'a [u64],
    brownian: Brownian<'a>,
    extra: Noise,
    pub(super) x: &'a mut ArrayRef2<F>,
    /// The ticks of the cell, other than its ends, at which states are asked for, and the states there.
    pub(super) asked: &'a [u64],
    pub(super) between: Vec<Array2<F>>,
    /// The path within a half.
    pub(super) cursor: BrownianCursor<'a, F>,
    places: Vec<Place>,
    /// W and H of each row's current node, `(n, m)`.
    current: [Array2<F>; 2],
    /// W and H of the halves that wait, for each level that was reached.
    waiting: Vec<[Array2<F>; 2]>,
    pub(super) accepted: u64,
    pub(super) rejected: u64,
    /// Parts of halves that were taken for the states between.
    pub(super) parts: u64,
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
        let (n, m) = (rows.len(), solver.sde.noise_dim());
        Block {
            solver,
            rows,
            brownian,
            extra,
            x,
            asked: &[],
            between: Vec::new(),
            cursor: BrownianCursor::new(brownian, &[], 0),
            places: vec![Place { tick: 0, level: 0, wanted: 0, waiting: 0 }; n],
            current: [(); 2].map(|()| Array2::zeros((n, m))),
            waiting: Vec::new(),
            accepted: 0,
            rejected: 0,
            parts: 0,
            live: n,
            failure: None,
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
        let [w, h] = &mut self.current;
        self.brownian.increments_and_areas_into(self.rows, Node::whole(cell as u64), w, h);
        for place in &mut self.places {
            (place.tick, place.level, place.waiting) = (0, 0, 0);
        }
        let mut group = Vec::with_capacity(self.rows.len());
        // Always those who are furthest behind: so rows meet again at the same nodes, and are stepped together.
        while let Some(tick) =
            self.places[..self.live].iter().map(|p| p.tick).min().filter(|&tick| tick < TICKS)
        {
            let key = |p: &Place| (p.level, p.level < p.wanted);
            let behind = self.places[..self.live].iter().filter(|p| p.tick == tick);
            let Some((level, split_only)) = behind.map(key).min() else { break };
            group.clear();
            group.extend(
                (0..self.live)
                    .filter(|&i| self.places[i].tick == tick && key(&self.places[i]) == (level, split_only)),
            );
            let node = Node { cell: cell as u64, level, index: tick >> (Node::MAX_LEVEL - level) };
            self.try_node(&group, node, split_only, scratch)?;
        }
        Ok(())
    }

    /// Splits a node for the rows of a group and, unless `split_only`, accepts the halves where they are good enough.
    fn try_node(
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
        let paths = (group.len(), self.current[0].ncols());
        let [mut whole, mut left, mut right] = [(); 3].map(|()| take_rows::<F, 2>(scratch, paths));
        for (whole, current) in whole.iter_mut().zip(&self.current) {
            gather(current, group, whole);
        }
        {
            let ([w, h], [wl, hl], [wr, hr]) = (&whole, &mut left, &mut right);
            self.brownian.split_with_areas_into(&rows, node, [w, h], [wl, hl], [wr, hr]);
        }
        let [first, second] = node.children().expect("nodes at the deepest level are not tried");
        let states = (if split_only { 0 } else { group.len() }, self.x.ncols());
        let [mut x, mut once, mut twice] = take_rows::<F, 3>(scratch, states);
        let asked = self.asked_within(node);
        let [mut middle] = take_rows::<F, 1>(scratch, if asked.is_empty() { (0, states.1) } else { states });
        if !split_only {
            gather(self.x, group, &mut x);
            once.assign(&x);
            twice.assign(&x);
            self.step(&rows, node, &whole, &mut once, scratch)?;
            self.step(&rows, first, &left, &mut twice, scratch)?;
            if !asked.is_empty() {
                middle.assign(&twice);
            }
            self.step(&rows, second, &right, &mut twice, scratch)?;
            let d = states.1;
            let of_rows = slice(&x)
                .chunks_exact(d)
                .zip(slice(&once).chunks_exact(d))
                .zip(slice(&twice).chunks_exact(d));
            for (j, (good, ((x, once), ends))) in good.iter_mut().zip(of_rows).enumerate() {
                let error = error(self.solver.tolerance, x, once, ends);
                *good = error <= 1.0;
                let place = &mut self.places[group[j]];
                if *good {
                    // Twice the step next time if the error allows it, with a margin.
                    place.wanted = node.level - u32::from(node.level > 0 && error * self.solver.growth < 0.5);
                } else if node.level + 2 > Node::MAX_LEVEL {
                    let time = self.solver.time(node.cell, node.ticks().start).t;
                    let (routine, iterations) = ("adaptive steps", node.level as usize);
                    let steep = Error::NotConverged { routine, iterations, residual: error };
                    let end = twice.slice(s![j..=j, ..]);
                    let infinite = check_finite("the state", &rows[j..=j], node.cell, time, end);
                    (self.live, self.failure) = (group[j], Some(infinite.err().unwrap_or(steep)));
                    break;
                } else {
                    place.wanted = node.level + 1;
                }
            }
            let accepted = good.iter().filter(|good| **good).count() as u64;
            self.accepted += accepted;
            self.rejected += group.len() as u64 - accepted;
            if !asked.is_empty() && accepted > 0 {
                self.keep_between(group, &good, node, [&x, &middle], scratch)?;
            }
        }
        let live = group.partition_point(|&i| i < self.live);
        for (j, &i) in group[..live].iter().enumerate() {
            if good[j] {
                copy_row(&twice, j, self.x, i);
                self.next_node(i);
            } else {
                self.descend(i, j, &left, &right);
            }
        }
        for pair in [whole, left, right] {
            put_rows(scratch, pair);
        }
        put_rows(scratch, [x, once, twice]);
        put_rows(scratch, [middle]);
        scratch.put(Lists { rows, good });
        Ok(())
    }

    /// Moves row i, which is row j of the halves, into its left half.
    fn descend(&mut self, i: usize, j: usize, left: &[Array2<F>; 2], right: &[Array2<F>; 2]) {
        let place = &mut self.places[i];
        place.level += 1;
        place.waiting |= 1 << place.level;
        let level = place.level as usize;
        while self.waiting.len() <= level {
            self.waiting.push(self.current.each_ref().map(|a| Array2::zeros(a.raw_dim())));
        }
        for part in 0..2 {
            copy_row(&left[part], j, &mut self.current[part], i);
            copy_row(&right[part], j, &mut self.waiting[level][part], i);
        }
    }

    /// Moves row i behind its current node, to the deepest half that waits, or to the end of the cell.
    fn next_node(&mut self, i: usize) {
        let place = &mut self.places[i];
        place.tick += TICKS >> place.level;
        if place.waiting == 0 {
            return;
        }
        place.level = 63 - place.waiting.leading_zeros();
        place.waiting &= !(1 << place.level);
        for part in 0..2 {
            copy_row(&self.waiting[place.level as usize][part], i, &mut self.current[part], i);
        }
    }

    fn step(
        &self,
        rows: &[u64],
        node: Node,
        path: &[Array2<F>; 2],
        x: &mut Array2<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        self.first_ticks(rows, node, TICKS >> node.level, path, x, scratch)
    }

    /// A step over the first ticks of a node.
    pub(super) fn first_ticks(
        &self,
        rows: &[u64],
        node: Node,
        ticks: u64,
        [w, h]: &[Array2<F>; 2],
        x: &mut Array2<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        let start = node.ticks().start;
        let [from, to] = [start, start + ticks].map(|tick| self.solver.time(node.cell, tick));
        let step = SdeStep {
            rows,
            from,
            to,
            length: self.brownian.length(node) * (ticks as f64 / (TICKS >> node.level) as f64),
            w,
            area: Some(h),
            levy: None,
            // Of its own for each node: a scheme must not meet its draws again. The same for its parts, so that the last
            // of them is the step itself.
            extra: self.extra.fork_index(u64::from(node.level) << Node::MAX_LEVEL | node.index),
            index: node.cell,
        };
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

/// Writes the rows `group` of an array over `out`.
pub(super) fn gather<F: Real>(from: &ArrayRef2<F>, group: &[usize], out: &mut ArrayRef2<F>) {
    let d = from.ncols();
    for (out, &i) in slice_mut(out).chunks_exact_mut(d).zip(group) {
        out.copy_from_slice(&slice(from)[i * d..][..d]);
    }
}

/// Writes row j of an array over row i of another.
pub(super) fn copy_row<F: Real>(from: &ArrayRef2<F>, j: usize, to: &mut ArrayRef2<F>, i: usize) {
    let d = from.ncols();
    slice_mut(to)[i * d..][..d].copy_from_slice(&slice(from)[j * d..][..d]);
}
