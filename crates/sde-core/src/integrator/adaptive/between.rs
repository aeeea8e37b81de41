//! States between the ends of the halves that were accepted.

use numeric::ndarray::{ArrayRef2, s};
use numeric::{BrownianCursor, Error, Node, Real, Scratch, check_finite};

use super::block::Block;
use super::rows::{gather, rows_in, scatter};
use crate::Sde;
use crate::integrator::Integrator;

impl<'a, F: Real, E: Sde<F>, K: Integrator<F>> Block<'a, F, E, K> {
    /// The ticks asked for from the start of a node to before its end.
    pub(super) fn asked_within(&self, node: Node) -> &'a [u64] {
        let ticks = node.ticks();
        let [from, to] = [ticks.start, ticks.end].map(|end| self.asked.partition_point(|&tick| tick < end));
        &self.asked[from..to]
    }

    /// Keeps the states of the rows at some places of a group, whose halves are good, at the ticks asked for within these: at the start of
    /// a half the state there, else a part of its step, from there and along the same path.
    ///
    /// `starts` are the states of the group at the start and in the middle of the node.
    pub(super) fn keep_between(
        &mut self,
        group: &[usize],
        places: &[usize],
        node: Node,
        starts: [&ArrayRef2<F>; 2],
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        let mut members: Members<F> = scratch.take();
        let Members { block, rows, states, path } = &mut members;
        block.clear();
        block.extend(places.iter().map(|&j| group[j]));
        rows.clear();
        rows.extend(block.iter().map(|&i| self.rows[i]));
        let halves = node.children().expect("nodes at the deepest level are not tried");
        let [mut start, mut x] = states.each_mut().map(|buffer| rows_in(buffer, rows.len(), self.x.ncols()));
        let [mut w, mut h] = self.path_in(path, rows.len());
        let mut cursor = self.cursor.take().unwrap_or_else(|| BrownianCursor::new(self.brownian, &[], 0));
        for (half, state) in halves.into_iter().zip(starts) {
            let asked = self.asked_within(half);
            if asked.is_empty() {
                continue;
            }
            gather(state, places, &mut start);
            cursor.restart(rows, node.cell);
            let (from, first) = (half.ticks().start, self.asked.partition_point(|&tick| tick < asked[0]));
            for (number, &tick) in (first..).zip(asked) {
                x.assign(&start);
                if tick > from {
                    let areas = self.brownian.has_areas().then_some(&mut *h);
                    cursor.between_into(from..tick, &mut w, areas);
                    self.first_ticks(rows, half, tick - from, [&w, &h], &mut x, scratch)?;
                }
                for (j, &i) in block.iter().enumerate().filter(|&(_, &i)| i < self.live) {
                    let time = self.solver.time(node.cell, from).t;
                    let end = x.slice(s![j..=j, ..]);
                    if let Err(error) = check_finite("the state", &rows[j..=j], node.cell, time, end) {
                        // Left behind with those above it, as a row whose step fails.
                        (self.live, self.failure) = (i, Some(error));
                        break;
                    }
                    scatter(&x, &[j], block, &mut self.between[number]);
                }
            }
        }
        self.cursor = Some(cursor);
        scratch.put(members);
        Ok(())
    }
}

/// The rows of a group whose halves are good.
#[derive(Default)]
struct Members<F> {
    /// Their places in the block.
    block: Vec<usize>,
    /// Their numbers.
    rows: Vec<u64>,
    /// At the start of a half and after a part of it.
    states: [Vec<F>; 2],
    path: [Vec<F>; 2],
}
