//! Brownian increments on a dyadic tree over the cells of a grid.

use ndarray::{ArrayRef2, Zip};

use super::Noise;
use crate::{Error, Real};

/// A dyadic part of a grid cell: the `index`-th of the $`2^{\text{level}}`$ equal parts of cell `cell`, all counted from 0.
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
    pub fn children(self) -> Option<[Node; 2]> {
        let Node { cell, level, index } = self;
        let child = |side| Node { cell, level: level + 1, index: 2 * index + side };
        (level < Node::MAX_LEVEL).then(|| [child(0), child(1)])
    }
}

/// The increments of one Brownian path per row and coordinate, at any dyadic resolution of a grid.
///
/// Level 0 is the step's own normal, $`W = \sqrt h\, z`$ with $`z`$ from [`Noise::normals_into`] at `step = cell`, so a sampler that
/// walks the grid and the tree agree to the bit. A node with increment $`W`$ and length $`h`$ splits by Lévy's construction:
///
/// ```math
/// W_{\text{left}} = \tfrac12 W + \tfrac12 \sqrt h\, z_{\text{node}}, \qquad W_{\text{right}} = W - W_{\text{left}},
/// ```
///
/// which makes the halves independent $`N(0, h/2)`$. Keys are integers, (cell, level, index), and never a time. So
/// strong order, adaptive steps with rejection and multilevel coupling all see one path, exactly.
///
/// # References
/// Lévy (1948), Processus stochastiques et mouvement brownien. Gaines and Lyons (1997), Variable step size control in
/// the numerical solution of stochastic differential equations, section 3 (the tree).
///
/// ```
/// use numeric::{Brownian, Node, Noise, ndarray::Array2};
///
/// let lengths = [0.25, 0.5];
/// let brownian = Brownian::new(Noise::new(1), &lengths)?;
/// let increments = |node| {
///     let mut w = Array2::<f64>::zeros((3, 2));
///     brownian.increments_into(&[0, 1, 2], node, &mut w);
///     w
/// };
/// let whole = Node::whole(1);
/// let [left, right] = whole.children().unwrap();
/// assert_eq!(brownian.length(left), 0.25);
/// assert_eq!(increments(right), increments(whole) - increments(left));
/// # Ok::<(), numeric::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Brownian<'g> {
    noise: Noise,
    cell_lengths: &'g [f64],
}

impl<'g> Brownian<'g> {
    /// The path of `noise` over cells of the given lengths (times).
    ///
    /// # Errors
    /// [`Error::Entry`] if a length is not a finite number greater than 0.
    pub fn new(noise: Noise, cell_lengths: &'g [f64]) -> Result<Brownian<'g>, Error> {
        let lengths = cell_lengths.iter().copied();
        Error::entries("cell_lengths", lengths, "a finite number greater than 0", |h| {
            h > 0.0 && h.is_finite()
        })?;
        Ok(Brownian { noise, cell_lengths })
    }

    /// Length of the node's interval, $`h / 2^{\text{level}}`$.
    ///
    /// # Panics
    /// If the node is not in the tree.
    #[must_use]
    #[track_caller]
    pub fn length(&self, node: Node) -> f64 {
        let Node { cell, level, index } = node;
        let length = usize::try_from(cell).ok().and_then(|cell| self.cell_lengths.get(cell));
        let (Some(length), true) = (length, level <= Node::MAX_LEVEL && index < 1 << level) else {
            panic!("{node:?} is not in the tree of {} cells", self.cell_lengths.len());
        };
        length / (1_u64 << level) as f64
    }

    /// The increments of `rows` over the node, `(rows.len(), d)`.
    ///
    /// # Complexity
    /// `level + 1` normals per entry, without allocation; [`split_into`](Brownian::split_into) costs one.
    ///
    /// # Panics
    /// If the node is not in the tree, or as [`Noise::normals_into`].
    #[track_caller]
    pub fn increments_into<F: Real>(&self, rows: &[u64], node: Node, out: &mut ArrayRef2<F>) {
        let _ = self.length(node);
        let Node { cell, level, index } = node;
        let scale = F::of(self.length(Node::whole(cell)).sqrt());
        self.noise.scaled_normals(rows, cell, scale, out);
        for depth in 0..level {
            let parent = Node { cell, level: depth, index: index >> (level - depth) };
            let right = index >> (level - depth - 1) & 1 == 1;
            self.descend(rows, parent, right, out);
        }
    }

    /// The increments of both halves of `node`, from its own, for one normal per entry: the bits are those of
    /// [`increments_into`](Brownian::increments_into).
    ///
    /// ```
    /// use numeric::{Brownian, Node, Noise, ndarray::Array2};
    /// let brownian = Brownian::new(Noise::new(1), &[1.0])?;
    /// let (mut w, mut left, mut right, mut again) =
    ///     (Array2::<f32>::zeros((1, 4)), Array2::zeros((1, 4)), Array2::zeros((1, 4)), Array2::zeros((1, 4)));
    /// brownian.increments_into(&[9], Node::whole(0), &mut w);
    /// brownian.split_into(&[9], Node::whole(0), &w, &mut left, &mut right);
    /// brownian.increments_into(&[9], Node { cell: 0, level: 1, index: 1 }, &mut again);
    /// assert_eq!(right, again);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the node has no halves in the tree, if the three shapes differ, or as [`Noise::normals_into`].
    #[track_caller]
    pub fn split_into<F: Real>(
        &self,
        rows: &[u64],
        node: Node,
        increments: &ArrayRef2<F>,
        left: &mut ArrayRef2<F>,
        right: &mut ArrayRef2<F>,
    ) {
        assert!(node.level < Node::MAX_LEVEL, "{node:?} is at the deepest level");
        assert_eq!((left.dim(), right.dim()), (increments.dim(), increments.dim()), "shapes of the halves");
        left.assign(increments);
        self.descend(rows, node, false, left);
        Zip::from(right).and(increments).and(left).for_each(|right, w, left| *right = *w - *left);
    }

    /// Replaces the increments of `parent` by those of one of its halves.
    #[track_caller]
    fn descend<F: Real>(&self, rows: &[u64], parent: Node, right: bool, out: &mut ArrayRef2<F>) {
        let half = F::of(0.5);
        let scale = F::of(0.5 * self.length(parent).sqrt());
        let datum = u64::from(parent.level) << Node::MAX_LEVEL | parent.index;
        let split = self.noise.derive(u64::from_le_bytes(*b"treenode"), datum);
        split.for_each_normal(rows, parent.cell, out, move |w, z| {
            let left = half * *w + scale * z;
            *w = if right { *w - left } else { left };
        });
    }
}
