//! States between the ends of the halves that were accepted.

use numeric::ndarray::{Array2, s};
use numeric::{Error, Node, Real, Scratch, check_finite};

use super::block::{Block, gather, scatter};
use crate::Sde;
use crate::integrator::Integrator;
use crate::sde::{put_rows, take_rows};

impl<'a, F: Real, E: Sde<F>, K: Integrator<F>> Block<'a, F, E, K> {
    /// The ticks asked for from the start of a node to before its end.
    pub(super) fn asked_within(&self, node: Node) -> &'a [u64] {
        let ticks = node.ticks();
        let [from, to] = [ticks.start, ticks.end].map(|end| self.asked.partition_point(|&tick| tick < end));
        &self.asked[from..to]
    }

    /// Keeps the states of the rows of a group whose halves are good at the ticks asked for within these: at the start of
    /// a half the state there, else a part of its step, from there and along the same path.
    ///
    /// `starts` are the states of the group at the start and in the middle of the node.
    pub(super) fn keep_between(
        &mut self,
        group: &[usize],
        good: &[bool],
        node: Node,
        starts: [&Array2<F>; 2],
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        let Members { mut places, mut block, mut rows } = scratch.take();
        places.clear();
        places.extend((0..group.len()).filter(|&j| good[j]));
        block.clear();
        block.extend(places.iter().map(|&j| group[j]));
        rows.clear();
        rows.extend(block.iter().map(|&i| self.rows[i]));
        let halves = node.children().expect("nodes at the deepest level are not tried");
        let [mut start, mut x] = take_rows::<F, 2>(scratch, (rows.len(), self.x.ncols()));
        let mut path = self.take_path(rows.len(), scratch);
        for (half, state) in halves.into_iter().zip(starts) {
            let asked = self.asked_within(half);
            if asked.is_empty() {
                continue;
            }
            gather(state, &places, &mut start);
            self.cursor.restart(&rows, node.cell);
            let (from, first) = (half.ticks().start, self.asked.partition_point(|&tick| tick < asked[0]));
            for (number, &tick) in (first..).zip(asked) {
                x.assign(&start);
                if tick > from {
                    let [w, h] = &mut path;
                    self.cursor.between_into(from..tick, w, self.brownian.has_areas().then_some(h));
                    self.first_ticks(&rows, half, tick - from, &path, &mut x, scratch)?;
                }
                for (j, &i) in block.iter().enumerate().filter(|&(_, &i)| i < self.live) {
                    let time = self.solver.time(node.cell, from).t;
                    let end = x.slice(s![j..=j, ..]);
                    if let Err(error) = check_finite("the state", &rows[j..=j], node.cell, time, end) {
                        // Left behind with those above it, as a row whose step fails.
                        (self.live, self.failure) = (i, Some(error));
                        break;
                    }
                    scatter(&x, [(j, &i)].into_iter(), &mut self.between[number]);
                }
            }
        }
        put_rows(scratch, [start, x]);
        Self::put_path(path, scratch);
        scratch.put(Members { places, block, rows });
        Ok(())
    }
}

/// The rows of a group whose halves are good.
#[derive(Debug, Default)]
struct Members {
    /// Their places in the group.
    places: Vec<usize>,
    /// Their places in the block.
    block: Vec<usize>,
    /// Their numbers.
    rows: Vec<u64>,
}
