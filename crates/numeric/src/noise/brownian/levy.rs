//! Lévy areas of a node.

use std::ops::Range;

use ndarray::{Array2, ArrayRef2};

use super::walk::{Pair, Tree, reshape};
use super::{Brownian, BrownianCursor, Node};
use crate::{Real, Scratch, transposed, vectorize};

/// Buffers of a walk over the leaves.
#[derive(Default)]
struct Leaves<F> {
    /// The halves of the nodes on the way to the leaf, by level below the root.
    halves: Vec<[Pair<F>; 2]>,
    /// Increments from the start of the root to that of the leaf.
    before: Array2<F>,
}

impl Brownian<'_> {
    /// The Lévy areas of all pairs of coordinates over a node, resolved `depth` levels below it.
    ///
    /// With $`W_s`$ measured from the start of the node, for all $`j < k`$ in lexicographic order (01, 02, .., 12, ..),
    ///
    /// ```math
    /// A^{jk} = \tfrac12 \int_0^h \bigl(W^j_s\, dW^k_s - W^k_s\, dW^j_s\bigr), \qquad A^{kj} = -A^{jk}.
    /// ```
    ///
    /// `parent` are the node's own increments and areas, each `(n, m)`, from
    /// [`increments_and_areas_into`](Brownian::increments_and_areas_into); `out` is `(n, m(m − 1)/2)`. The
    /// $`2^{\text{depth}}`$ parts are put together by Chen's relation
    ///
    /// ```math
    /// A^{jk} = A^{jk}_{\text{left}} + A^{jk}_{\text{right}} + \tfrac12 \bigl(W^j_{\text{left}} W^k_{\text{right}} - W^k_{\text{left}} W^j_{\text{right}}\bigr),
    /// ```
    ///
    /// and each part enters by its conditional mean. Given $`W`$ and $`H`$ the coordinates are independent, with means
    /// $`u W + 6 u (1 - u) H`$ at $`u = s/h`$, since the bridge $`W_s - u W`$ has the covariance $`\tfrac12 u(1 - u) h`$
    /// with $`H`$, whose variance is $`h/12`$. Integrating the means of two coordinates against each other,
    ///
    /// ```math
    /// \mathbb E[A^{jk} \mid W, H] = H^j W^k - W^j H^k.
    /// ```
    ///
    /// # Convergence
    /// $`A`$ has variance $`h^2/4`$ and the conditional mean $`2 \cdot h \cdot h/12 = h^2/6`$, so that $`h^2/12`$ is
    /// left. The errors of the $`2^{\text{depth}}`$ parts, of length $`h/2^{\text{depth}}`$, are uncorrelated; so the
    /// mean-square error of each pair is
    ///
    /// ```math
    /// \mathbb E\,\bigl|A^{jk} - A^{jk}_{\text{depth}}\bigr|^2 = \frac{h^2}{12 \cdot 2^{\text{depth}}}.
    /// ```
    ///
    /// The values at all depths belong to one path, and each is the conditional mean of the deeper ones.
    ///
    /// ```
    /// use numeric::{Brownian, Node, Noise, Scratch, ndarray::Array2};
    /// let brownian = Brownian::with_area(Noise::new(1), &[0.5])?;
    /// let rows: Vec<u64> = (0..1000).collect();
    /// let (mut w, mut h) = (Array2::<f64>::zeros((1000, 3)), Array2::zeros((1000, 3)));
    /// brownian.increments_and_areas_into(&rows, Node::whole(0), &mut w, &mut h);
    /// let mut a = Array2::zeros((1000, 3));       // the pairs 01, 02, 12
    /// brownian.levy_areas_into(&rows, Node::whole(0), 6, [&w, &h], &mut a, &mut Scratch::new());
    /// // 0.25²·(1 − 1/192), within four standard errors of about 5 %
    /// assert!((a.mapv(|a| a * a).mean().unwrap() / 0.0625 - 1.0).abs() < 0.2);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Complexity
    /// $`2^{\text{depth}} - 1`$ splits of two normals per entry, $`2^{\text{depth}}`$ updates of `out`. The parts are
    /// walked from left to right with one pair of halves per level: memory $`O(\text{depth} \cdot n m)`$ from
    /// `scratch`, no recursion.
    ///
    /// # Panics
    /// If the tree has no areas, if the node is not in the tree or has no parts so deep, if the shapes do not fit, if
    /// an array is not in standard layout, or as [`Noise::normals_into`](crate::Noise::normals_into).
    ///
    /// # References
    /// Lévy (1940), Le mouvement brownien plan. Foster and Habermann (2023), Brownian bridge expansions for Lévy area
    /// approximations and particular values of the Riemann zeta function (the conditional mean).
    #[track_caller]
    pub fn levy_areas_into<F: Real>(
        &self,
        rows: &[u64],
        node: Node,
        depth: u32,
        parent: [&ArrayRef2<F>; 2],
        out: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) {
        self.assert_areas();
        let _ = self.length(node);
        let levels = Node::MAX_LEVEL - node.level;
        assert!(depth <= levels, "{node:?} has no parts {depth} levels below it");
        let (n, m) = parent[0].dim();
        assert_eq!(parent[1].dim(), (n, m), "shapes of increments and areas");
        assert_eq!(out.dim(), (n, m * m.saturating_sub(1) / 2), "shape of the Lévy areas, n x m(m - 1)/2");
        let out = out.as_slice_mut().expect("standard layout");
        out.fill(F::zero());
        let tree = Tree { brownian: self, rows, dim: (n, m) };
        let mut leaves: Leaves<F> = scratch.take();
        let Leaves { halves, before } = &mut leaves;
        halves.resize_with(halves.len().max(depth as usize), Default::default);
        reshape(before, (n, m));
        before.fill(F::zero());
        let before = before.as_slice_mut().expect("standard layout");
        for leaf in 0..1_u64 << depth {
            // The splits that the last leaf did not share: all for the first, else as many as the bits that changed,
            // but for the highest, where the right half is at hand.
            let shared = if leaf == 0 { 0 } else { depth - leaf.trailing_zeros() };
            for level in shared..depth {
                let at = Node {
                    level: node.level + level,
                    index: (node.index << depth | leaf) >> (depth - level),
                    ..node
                };
                let (above, below) = halves.split_at_mut(level as usize);
                let split = &mut below[0];
                match above.last() {
                    None => tree.split_with_areas(at, parent, split),
                    Some(above) => {
                        let [w, h] = &above[usize::from(at.is_right())];
                        tree.split_with_areas(at, [w, h], split);
                    }
                }
            }
            let [w, h] = match depth {
                0 => parent,
                _ => halves[depth as usize - 1][(leaf & 1) as usize].each_ref().map(|array| &**array),
            };
            add_leaf(w, h, before, out, m);
        }
        scratch.put(leaves);
    }
}

impl<F: Real> BrownianCursor<'_, F> {
    /// The increments `w` and space-time areas `h` over an interval of ticks, `(n, m)`, and the Lévy areas of all pairs
    /// resolved by the nodes of `level`, `(n, m(m − 1)/2)`.
    ///
    /// The nodes cut the interval into parts: whole nodes and, at its ends, parts of nodes. They are put together as by
    /// [`Brownian::levy_areas_into`], each by its conditional mean given its own $`W`$ and $`H`$, which the tree gives
    /// exactly. So all areas belong to one path: over a node they are those of `levy_areas_into` with
    /// `depth = level − node.level`, to the bit; over neighbouring intervals that meet where a node of `level` does they
    /// obey Chen's relation; and the areas from a fixed tick on are continuous in time, since the area of a part that
    /// shrinks tends to 0.
    ///
    /// ```
    /// use numeric::{Brownian, BrownianCursor, Node, Noise, Scratch, ndarray::Array2};
    /// let brownian = Brownian::with_area(Noise::new(1), &[0.5])?;
    /// let (rows, mut scratch) = ([7, 8], Scratch::new());
    /// let (mut w, mut h, mut a) = (Array2::<f64>::zeros((2, 3)), Array2::zeros((2, 3)), Array2::zeros((2, 3)));
    /// let mut cursor = BrownianCursor::new(brownian, &rows, 0);
    /// cursor.levy_areas_into(Node::whole(0).ticks(), 4, [&mut w, &mut h], &mut a, &mut scratch);
    /// let mut whole = a.clone();
    /// brownian.levy_areas_into(&rows, Node::whole(0), 4, [&w, &h], &mut whole, &mut scratch);
    /// assert_eq!(a, whole);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Convergence
    /// With parts of the lengths $`l_i`$ the mean-square error of each pair is $`\sum_i l_i^2 / 12`$.
    ///
    /// # Complexity
    /// The path over each part, of which there are 2^`level` in a cell: those of an interval are gone through one after the other
    /// and share their splits, but for at most one of each level that is made again at the end.
    ///
    /// # Panics
    /// If the tree has no areas or no such level, if the shapes do not fit or an array is not in standard layout, or as
    /// [`between_into`](BrownianCursor::between_into).
    #[track_caller]
    pub fn levy_areas_into(
        &mut self,
        ticks: Range<u64>,
        level: u32,
        [w, h]: [&mut ArrayRef2<F>; 2],
        out: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) {
        assert!(level <= Node::MAX_LEVEL, "level {level} is below the deepest one");
        let (n, m) = w.dim();
        assert_eq!(out.dim(), (n, m * m.saturating_sub(1) / 2), "shape of the Lévy areas, n x m(m - 1)/2");
        let size = Brownian::TICKS >> level;
        let Leaves { halves, mut before } = scratch.take();
        reshape(&mut before, (n, m));
        before.fill(F::zero());
        out.fill(F::zero());
        let areas = out.as_slice_mut().expect("standard layout");
        let mut from = if areas.is_empty() { ticks.end } else { ticks.start };
        while from < ticks.end {
            let end = ((from / size + 1) * size).min(ticks.end);
            self.between_into(from..end, w, Some(&mut *h));
            add_leaf(w, h, before.as_slice_mut().expect("standard layout"), areas, m);
            from = end;
        }
        self.between_into(ticks, w, Some(h));
        scratch.put(Leaves { halves, before });
    }
}

/// Rows whose areas are added side by side.
const LANES: usize = 16;

/// Adds the mean of a leaf and the area that it makes with what was before it, and adds it to what was before.
fn add_leaf<F: Real>(w: &ArrayRef2<F>, h: &ArrayRef2<F>, before: &mut [F], out: &mut [F], m: usize) {
    let [w, h] = [w, h].map(|array| array.as_slice().expect("standard layout"));
    vectorize(
        #[inline(always)]
        || match m {
            0 | 1 => {}
            2 => add_narrow::<F, 2, 1>(w, h, before, out),
            3 => add_narrow::<F, 3, 3>(w, h, before, out),
            4 => add_narrow::<F, 4, 6>(w, h, before, out),
            _ => {
                let pairs = out.chunks_exact_mut(m * (m - 1) / 2).zip(before.chunks_exact_mut(m));
                for ((out, before), (w, h)) in pairs.zip(w.chunks_exact(m).zip(h.chunks_exact(m))) {
                    add_row(w, h, before, out);
                }
            }
        },
    );
}

/// Chen's term and the mean, `(b^j/2 + H^j) W^k − W^j (b^k/2 + H^k)`, of all pairs of one row.
#[inline(always)]
fn add_row<F: Real>(w: &[F], h: &[F], before: &mut [F], mut out: &mut [F]) {
    let (m, half) = (w.len(), F::of(0.5));
    for j in 0..m {
        let (wj, hj) = (w[j], half * before[j] + h[j]);
        let (row, rest) = out.split_at_mut(m - 1 - j);
        for (((a, &wk), &hk), &bk) in row.iter_mut().zip(&w[j + 1..]).zip(&h[j + 1..]).zip(&before[j + 1..]) {
            *a += hj * wk - wj * (half * bk + hk);
        }
        out = rest;
    }
    before.iter_mut().zip(w).for_each(|(b, &w)| *b += w);
}

/// The same for rows of M numbers, P pairs, too few to fill a vector: many rows at once, by columns.
#[inline(always)]
fn add_narrow<F: Real, const M: usize, const P: usize>(w: &[F], h: &[F], before: &mut [F], out: &mut [F]) {
    let [w, h]: [&[[F; M]]; 2] = [w, h].map(|x| x.as_chunks().0);
    let (before, out): (&mut [[F; M]], &mut [[F; P]]) = (before.as_chunks_mut().0, out.as_chunks_mut().0);
    let (half, mut at) = (F::of(0.5), 0);
    while let (Some(w), Some(h)) = (w[at..].first_chunk::<LANES>(), h[at..].first_chunk::<LANES>()) {
        let before: &mut [[F; M]; LANES] = before[at..].first_chunk_mut().expect("as many rows");
        let out: &mut [[F; P]; LANES] = out[at..].first_chunk_mut().expect("as many rows");
        let (w, h, mut b) = (transposed(w), transposed(h), transposed(before));
        let mut areas = transposed(out);
        let mut pair = 0;
        for j in 0..M {
            for k in j + 1..M {
                for l in 0..LANES {
                    let (hj, hk) = (half * b[j][l] + h[j][l], half * b[k][l] + h[k][l]);
                    areas[pair][l] += hj * w[k][l] - w[j][l] * hk;
                }
                pair += 1;
            }
        }
        for (b, &w) in b.as_flattened_mut().iter_mut().zip(w.as_flattened()) {
            *b += w;
        }
        (*before, *out) = (transposed(&b), transposed(&areas));
        at += LANES;
    }
    let rest = w[at..].iter().zip(&h[at..]).zip(before[at..].iter_mut().zip(&mut out[at..]));
    for ((w, h), (before, out)) in rest {
        add_row(w, h, before, out);
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::{add_leaf, add_row};
    use crate::Noise;

    /// Narrow rows, many at once, beside each row by itself: the same bits, for whole groups of rows and what is left.
    #[test]
    fn areas_do_not_depend_on_how_many_rows_are_added_at_once() {
        for m in 0..7_usize {
            let (n, pairs) = (37, m * m.saturating_sub(1) / 2);
            let rows: Vec<u64> = (0..n).collect();
            let [w, h, before, out] = [m, m, m, pairs].map(|width| {
                let mut x = Array2::<f64>::zeros((n as usize, width));
                Noise::new(m as u64).normals_into(&rows, width as u64, &mut x);
                x
            });
            let (mut b, mut a) = (before.clone(), out.clone());
            add_leaf(&w, &h, b.as_slice_mut().expect("made so"), a.as_slice_mut().expect("made so"), m);
            let (mut b_alone, mut a_alone) = (before, out);
            if m > 1 {
                for i in 0..n as usize {
                    let [w, h] = [&w, &h].map(|x| x.row(i).to_vec());
                    let (mut b, mut a) = (b_alone.row_mut(i), a_alone.row_mut(i));
                    add_row(&w, &h, b.as_slice_mut().expect("a row"), a.as_slice_mut().expect("a row"));
                }
            }
            assert_eq!((b, a), (b_alone, a_alone), "{m}");
        }
    }
}
