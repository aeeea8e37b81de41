//! Whose turn it is on the way through a cell.

use numeric::{Brownian, Node, vectorize};

/// The node that a row is at, and whether it is to be split only; in the order in which rows have their turns.
///
/// Those who are furthest behind come first: so rows meet again at the same nodes, and are stepped together. Of those the
/// rows at the largest nodes, and at the same node those who try it. All in one number: the least of many is found fast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Turn(u64);

impl Turn {
    /// The turn of a row that has come through its cell: after all others.
    pub(super) const END: Turn = Turn(Brownian::TICKS << 7);

    /// At the node of `level` that starts at `tick`, of which it tries those from level `wanted` on.
    pub(super) fn new(tick: u64, level: u32, wanted: u32) -> Turn {
        Turn(tick << 7 | u64::from(level) << 1 | u64::from(level < wanted))
    }

    /// At the first half of `node`.
    pub(super) fn within(node: Node, wanted: u32) -> Turn {
        Turn::new(node.ticks().start, node.level + 1, wanted)
    }

    /// Behind `node`: at the largest node that starts where it ends and is the right half of one that was split.
    pub(super) fn behind(node: Node, wanted: u32) -> Turn {
        let tick = node.ticks().end;
        if tick == Brownian::TICKS {
            return Turn::END;
        }
        // Left halves of that start were not gone into yet.
        Turn::new(tick, Node::MAX_LEVEL - tick.trailing_zeros(), wanted)
    }

    pub(super) fn node(self, cell: u64) -> Node {
        let (tick, level) = (self.0 >> 7, (self.0 >> 1 & 63) as u32);
        Node { cell, level, index: tick >> (Node::MAX_LEVEL - level) }
    }

    pub(super) fn splits_only(self) -> bool {
        self.0 & 1 == 1
    }

    /// The turn that is next, of the rows with these.
    pub(super) fn next(turns: &[Turn]) -> Turn {
        vectorize(
            #[inline(always)]
            || turns.iter().fold(Turn::END, |next, &turn| next.min(turn)),
        )
    }

    /// Writes the places of the rows whose turn it is over the first of `group`, which is as long as `turns`, and gives their
    /// number. Without branches: whose turn it is cannot be predicted.
    pub(super) fn places(self, turns: &[Turn], group: &mut [usize]) -> usize {
        let mut count = 0;
        for (i, &turn) in turns.iter().enumerate() {
            group[count] = i;
            count += usize::from(turn == self);
        }
        count
    }
}
