//! The aligned binary tree over row numbers.

use crate::Error;
use std::ops::Range;

/// A statistic of a set of rows that can be combined with that of the rows after it.
///
/// `merge` need not be associative or commutative in floating point: [`RowTree`] fixes the association and the
/// order. It must be a deterministic function of its arguments.
pub trait Merge: Clone {
    /// Number of rows the statistic covers.
    fn n(&self) -> u64;

    /// The statistic of the rows of `self` followed by those of `right`.
    #[must_use]
    fn merge(self, right: Self) -> Self;

    /// Whether the two can be merged at all; the default is that they can.
    ///
    /// # Errors
    /// Says why not, for instance [`Error::Shape`] for vectors of different lengths.
    fn mergeable(&self, other: &Self) -> Result<(), Error> {
        let _ = other;
        Ok(())
    }
}

/// The statistic of the rows `start .. start + 2^level`, of which `start` is a multiple.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Node<S> {
    start: u64,
    level: u32,
    statistic: S,
}

impl<S> Node<S> {
    /// No node contains row `u64::MAX`, so the end is representable.
    fn rows(&self) -> Range<u64> {
        self.start..self.start + (1 << self.level)
    }
}

/// A partial statistic of any set of rows, whose bits depend on that set only.
///
/// # Why the result depends only on the set of rows
/// An *aligned block* is a range of rows $`[i\,2^ℓ, (i + 1)\,2^ℓ)`$; two aligned blocks are disjoint or nested,
/// and each is the union of its two halves.
///
/// 1. The statistic of an aligned block is defined by recursion: of one row, its leaf; of a longer one,
///    `merge(left half, right half)`. So its bits are a function of the block's leaves.
/// 2. The tree keeps the *maximal* aligned blocks contained in the set of its rows. By nesting they are
///    disjoint and cover the set, and they are a function of the set.
/// 3. Every operation preserves 2: it puts together two lists of blocks and joins two halves wherever both are
///    present, until none are. A block is then missing only if one of its rows is.
/// 4. [`value`](RowTree::value) folds the kept blocks from left to right.
///
/// Hence any split of the rows, over any threads or machines, merged in any order, gives the same bits. The
/// leaves must be the same, of course: a row's statistic may not depend on the block it was computed in.
///
/// Stored and read back (feature `serde`) it keeps its bits if the format keeps those of its numbers; for
/// `serde_json` that takes the feature `float_roundtrip`.
///
/// # Complexity
/// A range of n rows keeps at most $`2 \log_2 n`$ blocks. Rows pushed in increasing order cost one merge each,
/// amortised. A push out of order, and a merge of two trees, cost the number of blocks kept: rows scattered
/// without neighbours cannot be joined, and keep a block each.
///
/// ```
/// use numeric::estimate::MeanAccumulator;
/// let x: Vec<f64> = (1..=1000).map(|i| 1.0 / f64::from(i)).collect();
/// let whole = MeanAccumulator::from_values(0, &x)?;
///
/// let mut parts = MeanAccumulator::from_values(617, &x[617..])?;
/// parts.merge(MeanAccumulator::from_values(0, &x[..50])?)?;
/// assert_eq!(parts.ranges(), [0..50, 617..1000]);
/// assert!(parts.merge(MeanAccumulator::from_values(49, &x[49..617])?).is_err()); // row 49 twice
/// parts.merge(MeanAccumulator::from_values(50, &x[50..617])?)?;
/// assert_eq!(parts, whole); // to the last bit
/// # Ok::<(), numeric::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(
        try_from = "Vec<Node<S>>",
        into = "Vec<Node<S>>",
        bound(serialize = "S: Clone + serde::Serialize", deserialize = "S: Merge + serde::Deserialize<'de>")
    )
)]
pub struct RowTree<S> {
    /// The maximal aligned blocks, in row order.
    nodes: Vec<Node<S>>,
}

impl<S> Default for RowTree<S> {
    fn default() -> Self {
        RowTree { nodes: Vec::new() }
    }
}

impl<S: Merge> RowTree<S> {
    /// The tree of no rows.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The tree of the rows `first_row ..`, one statistic each.
    ///
    /// # Errors
    /// Those of [`push`](RowTree::push).
    pub fn from_rows(first_row: u64, statistics: impl IntoIterator<Item = S>) -> Result<Self, Error> {
        let mut tree = Self::new();
        // Closed at u64::MAX, which `push` refuses.
        for (row, statistic) in (first_row..=u64::MAX).zip(statistics) {
            tree.push(row, statistic)?;
        }
        Ok(tree)
    }

    /// Adds the statistic of one row.
    ///
    /// # Errors
    /// [`Error::Domain`] if the row is there already, is `u64::MAX` (the end of a range of rows must be a
    /// number too), or the statistic is not one of a single row; and whatever [`Merge::mergeable`] refuses.
    /// After an error the tree is as before.
    pub fn push(&mut self, row: u64, statistic: S) -> Result<(), Error> {
        Error::domain(row < u64::MAX, "row", row as f64, "a row number below 2^64 - 1")?;
        let n = statistic.n();
        Error::domain(n == 1, "statistic.n()", n as f64, "the statistic of one row")?;
        self.add(Node { start: row, level: 0, statistic })
    }

    /// Adds all rows of another tree.
    ///
    /// # Errors
    /// [`Error::Domain`] with the lowest row that is in both; and whatever [`Merge::mergeable`] refuses. After
    /// an error the tree is as before.
    pub fn merge(&mut self, other: Self) -> Result<(), Error> {
        if let (Some(mine), Some(theirs)) = (self.nodes.first(), other.nodes.first()) {
            mine.statistic.mergeable(&theirs.statistic)?;
        }
        let mut ranges: Vec<Range<u64>> = self.nodes.iter().chain(&other.nodes).map(Node::rows).collect();
        ranges.sort_unstable_by_key(|rows| rows.start);
        if let Some(pair) = ranges.windows(2).find(|pair| pair[1].start < pair[0].end) {
            return Err(overlap(pair[1].start));
        }

        let mut nodes = std::mem::take(&mut self.nodes);
        nodes.extend(other.nodes);
        nodes.sort_by_key(|node| node.start);
        for node in nodes {
            self.append(node);
        }
        Ok(())
    }

    /// Number of rows.
    #[must_use]
    pub fn n(&self) -> u64 {
        self.nodes.iter().map(|node| 1 << node.level).sum()
    }

    /// The rows, as ranges in increasing order with gaps between them.
    #[must_use]
    pub fn ranges(&self) -> Vec<Range<u64>> {
        let mut ranges: Vec<Range<u64>> = Vec::new();
        for rows in self.nodes.iter().map(Node::rows) {
            match ranges.last_mut() {
                Some(last) if last.end == rows.start => last.end = rows.end,
                _ => ranges.push(rows),
            }
        }
        ranges
    }

    /// The statistic of all rows.
    ///
    /// # Errors
    /// [`Error::Domain`] if there are none.
    pub fn value(&self) -> Result<S, Error> {
        let statistics = self.nodes.iter().map(|node| node.statistic.clone());
        statistics.reduce(S::merge).ok_or(Error::Domain {
            parameter: "n",
            value: 0.0,
            expected: "at least one row",
        })
    }

    fn add(&mut self, node: Node<S>) -> Result<(), Error> {
        match self.nodes.last() {
            Some(last) if last.rows().end > node.start => self.merge(RowTree { nodes: vec![node] }),
            Some(last) => {
                last.statistic.mergeable(&node.statistic)?;
                self.append(node);
                Ok(())
            }
            None => {
                self.nodes.push(node);
                Ok(())
            }
        }
    }

    /// Adds a node after all others, and joins halves as a binary counter carries.
    fn append(&mut self, mut node: Node<S>) {
        while let Some(left) =
            self.nodes.pop_if(|left| left.level == node.level && left.start ^ (1 << left.level) == node.start)
        {
            node = Node {
                start: left.start,
                level: left.level + 1,
                statistic: left.statistic.merge(node.statistic),
            };
        }
        self.nodes.push(node);
    }
}

fn overlap(row: u64) -> Error {
    Error::Domain { parameter: "row", value: row as f64, expected: "a row that is not there yet" }
}

#[cfg(feature = "serde")]
impl<S> From<RowTree<S>> for Vec<Node<S>> {
    fn from(tree: RowTree<S>) -> Self {
        tree.nodes
    }
}

/// Parses stored nodes: aligned, disjoint, with the right number of rows each.
#[cfg(feature = "serde")]
impl<S: Merge> TryFrom<Vec<Node<S>>> for RowTree<S> {
    type Error = Error;

    fn try_from(nodes: Vec<Node<S>>) -> Result<Self, Error> {
        let mut tree = Self::new();
        for node in nodes {
            let Node { start, level, .. } = node;
            Error::domain(level < 64, "level", f64::from(level), "a level below 64")?;
            let size = 1_u64 << level;
            let fits = start % size == 0 && start.checked_add(size).is_some();
            Error::domain(fits, "start", start as f64, "a multiple of 2^level")?;
            let n = node.statistic.n();
            Error::domain(n == size, "statistic.n()", n as f64, "2^level rows")?;
            tree.add(node)?;
        }
        Ok(tree)
    }
}
