//! Brownian paths on a dyadic tree over the cells of a grid.

mod cursor;
mod levy;
mod node;
mod path;
mod split;
mod values;
mod walk;

use ndarray::ArrayRef2;

pub use cursor::BrownianCursor;
pub use node::Node;

use super::Noise;
use crate::{Error, Real};

/// One Brownian path per row and coordinate as a function: its increments, and on request its space-time areas, at
/// any dyadic resolution of a grid.
///
/// Level 0 is the step's own normal, $`W = \sqrt h\, z`$ with $`z`$ from [`Noise::normals_into`] at `step = cell`, so
/// a sampler that walks the grid and the tree agree to the bit. Below it a node is split by fresh normals of its own,
/// under a key of integers, (cell, level, index), and never of a time. Nothing is stored and nothing advances:
/// whatever is asked for, in whatever order and however often, comes from one path, exactly. That is what strong
/// order, adaptive steps with rejection and multilevel coupling need.
///
/// # The tree of increments
/// A node with increment $`W`$ and length $`h`$ splits by Lévy's construction,
///
/// ```math
/// W_{\text{left}} = \tfrac12 W + \tfrac12 \sqrt h\, z_{\text{node}}, \qquad W_{\text{right}} = W - W_{\text{left}},
/// ```
///
/// which makes the halves independent $`N(0, h/2)`$.
///
/// # The tree of increments and areas
/// [`with_area`](Brownian::with_area) keeps two numbers per node, the increment and the *space-time area*
///
/// ```math
/// H = \frac1h \int_0^h \Bigl(W_s - \frac sh W\Bigr) ds \sim N\bigl(0, \tfrac h{12}\bigr), \qquad \text{independent of } W,
/// ```
///
/// where $`W_s`$ is measured from the start of the node. $`h(\tfrac12 W + H)`$ is the integral of $`W_s`$. On a
/// bridge of length $`h`$ the midpoint $`b`$ has $`\operatorname{Var} b = h/4`$ and
/// $`\operatorname{Cov}(b, H) = \frac1h \int_0^h \tfrac12 \min(s, h - s)\, ds = h/8`$, so its regression on
/// $`H`$ is $`\tfrac32 H`$, and the rest $`Z`$ has variance $`h/4 - (h/8)^2 / (h/12) = h/16`$. The integral of the whole is
/// the sum of those of the parts (Chen's relation),
///
/// ```math
/// H = \tfrac12 (H_{\text{left}} + H_{\text{right}}) + \tfrac14 (W_{\text{left}} - W_{\text{right}}),
/// ```
///
/// which fixes $`H_{\text{left}} + H_{\text{right}}`$. What is left is the difference
/// $`N = H_{\text{left}} - H_{\text{right}} \sim N(0, h/12)`$. The areas of the halves are independent of each other,
/// with equal variances, and of the increments of the halves; so $`N`$ is independent of their sum and of both
/// increments, of which $`W`$, $`H`$ and $`Z`$ are functions. Hence
///
/// ```math
/// \begin{aligned}
/// W_{\text{left}} &= \tfrac12 W + \tfrac32 H + Z, & H_{\text{left}} &= \tfrac14 H - \tfrac12 Z + \tfrac12 N, \\
/// W_{\text{right}} &= \tfrac12 W - \tfrac32 H - Z, & H_{\text{right}} &= \tfrac14 H - \tfrac12 Z - \tfrac12 N,
/// \end{aligned}
/// \qquad Z \sim N(0, \tfrac h{16}), \quad N \sim N(0, \tfrac h{12}).
/// ```
///
/// The four children are independent: their covariances are linear in $`(h, h/12, h/16, h/12)`$, for example
/// $`\operatorname{Var} W_{\text{left}} = \tfrac h4 + \tfrac94 \tfrac h{12} + \tfrac h{16} = \tfrac h2`$,
/// $`\operatorname{Var} H_{\text{left}} = \tfrac1{16} \tfrac h{12} + \tfrac14 \tfrac h{16} + \tfrac14 \tfrac h{12} = \tfrac1{12} \tfrac h2`$ and
/// $`\operatorname{Cov}(W_{\text{left}}, H_{\text{left}}) = \tfrac38 \tfrac h{12} - \tfrac12 \tfrac h{16} = 0`$.
///
/// Both trees of one noise have the same increments at level 0 and different ones below.
///
/// # What to ask for
/// | what | function | normals per entry |
/// |---|---|---|
/// | a node | [`increments_into`](Brownian::increments_into), [`increments_and_areas_into`](Brownian::increments_and_areas_into) | one or two per level |
/// | its halves, from its own values | [`split_into`](Brownian::split_into), [`split_with_areas_into`](Brownian::split_with_areas_into) | one, two |
/// | any interval within a cell | [`between_into`](Brownian::between_into) | one or two per level, at both ends |
/// | one interval after the other, with rejections | [`BrownianCursor`] | one or two per new node |
/// | the path at a time of each row, to a tolerance | [`values_into`](Brownian::values_into) | one per level |
/// | Lévy areas of a node | [`levy_areas_into`](Brownian::levy_areas_into) | two per part |
/// | Lévy areas of any interval | [`BrownianCursor::levy_areas_into`] | two per new node |
///
/// # References
/// Lévy (1948), Processus stochastiques et mouvement brownien. Gaines and Lyons (1997), Variable step size control in
/// the numerical solution of stochastic differential equations, section 3 (the tree). Foster, Oberhauser and Lyons
/// (2020), An optimal polynomial approximation of Brownian motion; Jelinčič, Foster and Kidger (2024), Single-seed
/// generation of Brownian paths and integrals for adaptive and high order SDE solvers (areas).
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
    areas: bool,
}

impl<'g> Brownian<'g> {
    /// The path of `noise` over cells of the given lengths (times), by its increments.
    ///
    /// # Errors
    /// [`Error::Entry`] if a length is not a finite number greater than 0.
    pub fn new(noise: Noise, cell_lengths: &'g [f64]) -> Result<Brownian<'g>, Error> {
        let lengths = cell_lengths.iter().copied();
        Error::entries("cell_lengths", lengths, "a finite number greater than 0", |h| {
            h > 0.0 && h.is_finite()
        })?;
        Ok(Brownian { noise, cell_lengths, areas: false })
    }

    /// The path of `noise` over cells of the given lengths, by its increments and space-time areas.
    ///
    /// ```
    /// use numeric::{Brownian, Node, Noise, ndarray::Array2};
    /// let brownian = Brownian::with_area(Noise::new(1), &[0.25])?;
    /// let rows: Vec<u64> = (0..1000).collect();
    /// let (mut w, mut h) = (Array2::<f64>::zeros((1000, 4)), Array2::<f64>::zeros((1000, 4)));
    /// brownian.increments_and_areas_into(&rows, Node { cell: 0, level: 3, index: 5 }, &mut w, &mut h);
    /// // Variances of length and of length/12, each known to 2.2 %.
    /// let length = 0.25 / 8.0;
    /// assert!((w.mapv(|w| w * w).mean().unwrap() / length - 1.0).abs() < 0.1);
    /// assert!((h.mapv(|h| h * h).mean().unwrap() / (length / 12.0) - 1.0).abs() < 0.1);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`new`](Brownian::new).
    pub fn with_area(noise: Noise, cell_lengths: &'g [f64]) -> Result<Brownian<'g>, Error> {
        Ok(Brownian { areas: true, ..Brownian::new(noise, cell_lengths)? })
    }

    /// Whether the tree has space-time areas.
    #[must_use]
    pub fn has_areas(&self) -> bool {
        self.areas
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

    /// [`length`](Brownian::length) of a node known to be in the tree.
    #[inline(always)]
    fn length_of(&self, node: Node) -> f64 {
        self.cell_lengths[node.cell as usize] / (1_u64 << node.level) as f64
    }

    /// The increments of `rows` over the node, `(rows.len(), d)`.
    ///
    /// # Complexity
    /// `level + 1` normals per entry, without allocation; [`split_into`](Brownian::split_into) costs one. In a tree
    /// with areas `2 level + 1`, with a buffer for the areas of the ancestors.
    ///
    /// # Panics
    /// If the node is not in the tree, or as [`Noise::normals_into`].
    #[track_caller]
    pub fn increments_into<F: Real>(&self, rows: &[u64], node: Node, out: &mut ArrayRef2<F>) {
        if self.areas && node.level > 0 {
            let mut h = ndarray::Array2::zeros(out.raw_dim());
            return self.increments_and_areas_into(rows, node, out, &mut h);
        }
        let _ = self.length(node);
        self.whole_increments(rows, node.cell, out);
        for level in 0..node.level {
            self.descend(rows, node.ancestor(level), node.ancestor(level + 1).is_right(), out);
        }
    }

    /// The increments `w` and the space-time areas `h` of `rows` over the node, both `(rows.len(), d)`.
    ///
    /// # Complexity
    /// `2 (level + 1)` normals per entry, without allocation;
    /// [`split_with_areas_into`](Brownian::split_with_areas_into) costs two.
    ///
    /// # Panics
    /// If the tree has no areas (made by [`new`](Brownian::new)), if the node is not in the tree, if the shapes
    /// differ, or as [`Noise::normals_into`].
    #[track_caller]
    pub fn increments_and_areas_into<F: Real>(
        &self,
        rows: &[u64],
        node: Node,
        w: &mut ArrayRef2<F>,
        h: &mut ArrayRef2<F>,
    ) {
        self.assert_areas();
        assert_eq!(h.dim(), w.dim(), "shapes of increments and areas");
        let _ = self.length(node);
        self.whole_increments(rows, node.cell, w);
        self.whole_areas(rows, node.cell, h);
        for level in 0..node.level {
            self.descend_with_areas(rows, node.ancestor(level), node.ancestor(level + 1).is_right(), w, h);
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
    /// If the tree has areas, without which its increments cannot be split; if the node has no halves in the tree,
    /// if the three shapes differ, if an array is not in standard layout, or as [`Noise::normals_into`].
    #[track_caller]
    pub fn split_into<F: Real>(
        &self,
        rows: &[u64],
        node: Node,
        increments: &ArrayRef2<F>,
        left: &mut ArrayRef2<F>,
        right: &mut ArrayRef2<F>,
    ) {
        assert!(!self.areas, "a tree with areas is split by `split_with_areas_into`");
        assert!(node.level < Node::MAX_LEVEL, "{node:?} is at the deepest level");
        assert_eq!((left.dim(), right.dim()), (increments.dim(), increments.dim()), "shapes of the halves");
        self.split(rows, node, increments, left, right);
    }

    /// The pairs (increments, areas) of both halves of `node`, from its own, for two normals per entry: the bits are
    /// those of [`increments_and_areas_into`](Brownian::increments_and_areas_into).
    ///
    /// ```
    /// use numeric::{Brownian, Node, Noise, ndarray::Array2};
    /// let brownian = Brownian::with_area(Noise::new(1), &[1.0])?;
    /// let zeros = || Array2::<f64>::zeros((1, 4));
    /// let (mut w, mut h) = (zeros(), zeros());
    /// let (mut wl, mut hl, mut wr, mut hr) = (zeros(), zeros(), zeros(), zeros());
    /// brownian.increments_and_areas_into(&[9], Node::whole(0), &mut w, &mut h);
    /// brownian.split_with_areas_into(&[9], Node::whole(0), [&w, &h], [&mut wl, &mut hl], [&mut wr, &mut hr]);
    /// // Chen's relation
    /// let again = (&hl + &hr) * 0.5 + (&wl - &wr) * 0.25;
    /// assert!((again - h).iter().all(|e| e.abs() < 1e-15));
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the tree has no areas, if the node has no halves in the tree, if the six shapes differ, if an array is not
    /// in standard layout, or as [`Noise::normals_into`].
    #[track_caller]
    pub fn split_with_areas_into<F: Real>(
        &self,
        rows: &[u64],
        node: Node,
        parent: [&ArrayRef2<F>; 2],
        left: [&mut ArrayRef2<F>; 2],
        right: [&mut ArrayRef2<F>; 2],
    ) {
        self.assert_areas();
        assert!(node.level < Node::MAX_LEVEL, "{node:?} is at the deepest level");
        let dim = parent[0].dim();
        let dims = [parent[1].dim(), left[0].dim(), left[1].dim(), right[0].dim(), right[1].dim()];
        assert_eq!(dims, [dim; 5], "shapes of the halves");
        self.split_with_areas(rows, node, parent, left, right);
    }

    #[track_caller]
    fn assert_areas(&self) {
        assert!(self.areas, "the tree has no areas; make it by `Brownian::with_area`");
    }
}
