//! The address of a dyadic part of a cell.

/// A dyadic part of a grid cell: the `index`-th of the $`2^{\text{level}}`$ equal parts of cell `cell`, all counted
/// from 0.
///
/// ```
/// use numeric::Node;
/// let [_, right] = Node::whole(7).children().unwrap();
/// assert_eq!(right.children().unwrap()[0], Node { cell: 7, level: 2, index: 2 });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Node {
    /// Which interval of the grid.
    pub cell: u64,
    /// 0 for the cell itself, at most [`Node::MAX_LEVEL`].
    pub level: u32,
    /// Less than $`2^{\text{level}}`$.
    pub index: u64,
}

impl Node {
    /// The deepest level.
    pub const MAX_LEVEL: u32 = 40;

    /// A whole cell.
    #[must_use]
    pub const fn whole(cell: u64) -> Node {
        Node { cell, level: 0, index: 0 }
    }

    /// The left and right halves; `None` at the deepest level, where an adaptive method must give up.
    #[must_use]
    pub const fn children(self) -> Option<[Node; 2]> {
        if self.level < Node::MAX_LEVEL { Some([self.half(false), self.half(true)]) } else { None }
    }

    /// One of the halves.
    pub(super) const fn half(self, right: bool) -> Node {
        Node { level: self.level + 1, index: 2 * self.index + right as u64, ..self }
    }

    /// The part of level `level` that contains this node.
    pub(super) const fn ancestor(self, level: u32) -> Node {
        Node { level, index: self.index >> (self.level - level), ..self }
    }

    /// Whether the node is the right half of its parent.
    pub(super) const fn is_right(self) -> bool {
        self.index & 1 == 1
    }
}
