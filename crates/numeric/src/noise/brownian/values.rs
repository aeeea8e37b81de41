//! The path at a time of each row.

use ndarray::ArrayRef2;

use super::{Brownian, Node};
use crate::noise::lanes::{LANES, Lanes};
use crate::noise::laws::{Law, Normal32, Normal64};
use crate::{Real, Scratch, vectorize};

/// Buffers: where the rows are in the tree.
#[derive(Default)]
struct Descent<F> {
    /// Increments of the nodes.
    w: Vec<F>,
    /// The path at the starts of the nodes.
    start: Vec<F>,
}

impl Brownian<'_> {
    /// The path itself, $`W_t`$ since the start of the cell, at a tick `at[i]` of its own for each of `rows`,
    /// `(rows.len(), d)`.
    ///
    /// The tree is followed down to `level`, where a node has length $`h = 2^{-\text{level}}`$ times that of the
    /// cell; within it the value is one draw of the bridge between its ends,
    ///
    /// ```math
    /// W_t = W_a + \theta\, (W_b - W_a) + \sqrt{\theta (1 - \theta) h}\; z_{\text{node}}, \qquad \theta = \frac{t - a}{b - a},
    /// ```
    ///
    /// with the normal that would split the node. So each value has its exact law at every level, and those of ticks
    /// in different nodes belong to one path; ticks within one node of that level share a normal, and there `level`
    /// is the tolerance. At the ticks on the grid of $`2^{-\text{level} - 1}`$ the values are those of
    /// [`between_into`](Brownian::between_into) from 0, to the bit; at [`Node::MAX_LEVEL`] all are.
    ///
    /// ```
    /// use numeric::{Brownian, Noise, Scratch, ndarray::Array2};
    /// let brownian = Brownian::new(Noise::new(1), &[2.0])?;
    /// let rows: Vec<u64> = (0..2000).collect();
    /// let at: Vec<u64> = rows.iter().map(|i| Brownian::TICKS / 4000 * (i + 2000)).collect();
    /// let mut w = Array2::<f64>::zeros((2000, 3));
    /// brownian.values_into(&rows, 0, &at, 20, &mut w, &mut Scratch::new());
    /// let time = |i: usize| brownian.elapsed(0, at[i]);
    /// // W²/t is chi-squared: mean 1, standard error 0.018.
    /// let mean = w.indexed_iter().map(|((i, _), w)| w * w / time(i)).sum::<f64>() / 6000.0;
    /// assert!((mean - 1.0).abs() < 0.08);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Complexity
    /// `level + 2` normals per entry, fewer if all ticks lie on a coarser grid. Rows with ticks of their own cost up
    /// to four times as many random bits as rows that share a tick, since rows that draw from different nodes share
    /// no counter.
    ///
    /// # Panics
    /// If the tree has areas (there, [`between_into`](Brownian::between_into) gives the path), if there is no such
    /// cell, if a tick is greater than [`TICKS`](Brownian::TICKS), if `level` is greater than [`Node::MAX_LEVEL`], if
    /// there is not one tick per row, or as [`Noise::normals_into`](crate::Noise::normals_into).
    #[track_caller]
    pub fn values_into<F: Real>(
        &self,
        rows: &[u64],
        cell: u64,
        at: &[u64],
        level: u32,
        w: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) {
        assert!(!self.areas, "values are those of a tree without areas");
        assert!(level <= Node::MAX_LEVEL, "level {level} is below the deepest one");
        assert_eq!(at.len(), rows.len(), "one tick per row");
        assert!(at.iter().all(|&tick| tick <= Self::TICKS), "a tick is outside of the cell");
        self.whole_increments(rows, cell, w);
        let Some(&first) = at.first() else { return };
        let mut descent: Descent<F> = scratch.take();
        if at.iter().any(|&tick| tick != first) {
            let size = LANES * w.ncols().max(1);
            let blocks = w.as_slice_mut().expect("standard layout").chunks_mut(size);
            for (out, (rows, at)) in blocks.zip(rows.chunks(LANES).zip(at.chunks(LANES))) {
                if size_of::<F>() == size_of::<f32>() {
                    self.own::<Normal32, 4, F>(rows, (cell, at, level), out, &mut descent);
                } else {
                    self.own::<Normal64, 2, F>(rows, (cell, at, level), out, &mut descent);
                }
            }
        } else if first < Self::TICKS {
            self.shared(rows, (cell, first, level), w, &mut descent);
        }
        scratch.put(descent);
    }

    /// All rows at one tick. `out` holds the increments of the cell.
    #[track_caller]
    fn shared<F: Real>(
        &self,
        rows: &[u64],
        (cell, tick, level): (u64, u64, u32),
        out: &mut ArrayRef2<F>,
        Descent { w, start }: &mut Descent<F>,
    ) {
        w.clear();
        w.extend_from_slice(out.as_slice().expect("standard layout"));
        start.clear();
        start.resize(w.len(), F::zero());
        for node in (0..=level).map(|level| part(cell, tick, level)) {
            let ahead = tick - node.ticks().start;
            if ahead == 0 {
                break;
            }
            let last = node.level == level;
            let ([theta, spread], right) = (self.split_at(node, ahead, last), last || tick >= node.middle());
            self.increment_noise(node).scaled_normals(rows, cell, spread, out);
            let z = out.as_slice().expect("standard layout");
            vectorize(
                #[inline(always)]
                || {
                    for ((w, start), &z) in w.iter_mut().zip(&mut *start).zip(z) {
                        descend(w, start, theta, z, right);
                    }
                },
            );
        }
        out.as_slice_mut().expect("standard layout").copy_from_slice(start);
    }

    /// A block of rows, each at its own tick. `out` holds the increments of the cell.
    fn own<L: Law<K>, const K: usize, F: Real>(
        &self,
        rows: &[u64],
        (cell, at, level): (u64, &[u64], u32),
        out: &mut [F],
        Descent { w, start }: &mut Descent<F>,
    ) {
        let width = out.len() / rows.len();
        // Coordinate by coordinate, a lane for each row.
        w.resize(width * LANES, F::zero());
        start.clear();
        start.resize(width * LANES, F::zero());
        // At its last tick a row keeps the increment of the cell, and its lane goes anywhere.
        let mut ticks = [0; LANES];
        ticks.iter_mut().zip(at).for_each(|(tick, &at)| *tick = at % Self::TICKS);
        let mut lanes = Lanes::<L, K>::new(rows, cell as u32);
        let mut right = [true; LANES];
        let (mut thetas, mut spreads) = ([F::zero(); LANES], [F::zero(); LANES]);
        vectorize(
            #[inline(always)]
            || {
                for (i, row) in out.chunks_exact(width).enumerate() {
                    for (j, &x) in row.iter().enumerate() {
                        w[j * LANES + i] = x;
                    }
                }
                for depth in 0..=level {
                    let last = depth == level;
                    let mut ahead = 0;
                    for (key, &tick) in lanes.keys.iter_mut().zip(&ticks) {
                        let node = part(cell, tick, depth);
                        ahead |= tick - node.ticks().start;
                        *key = self.increment_noise(node).derive(L::TAG, cell >> 32).key;
                    }
                    if ahead == 0 {
                        break;
                    }
                    for (i, &tick) in ticks.iter().enumerate() {
                        let node = part(cell, tick, depth);
                        [thetas[i], spreads[i]] = self.split_at(node, tick - node.ticks().start, last);
                        right[i] = last || tick >= node.middle();
                    }
                    let coordinates = w
                        .as_chunks_mut::<LANES>()
                        .0
                        .iter_mut()
                        .zip(start.as_chunks_mut::<LANES>().0)
                        .zip(0..);
                    for ((w, start), coordinate) in coordinates {
                        let z = lanes.draw(coordinate);
                        for i in 0..LANES {
                            let z = spreads[i] * F::of(z[i].as_f64());
                            descend(&mut w[i], &mut start[i], thetas[i], z, right[i]);
                        }
                    }
                }
                for (i, row) in out.chunks_exact_mut(width).enumerate() {
                    if at[i] < Self::TICKS {
                        for (j, x) in row.iter_mut().enumerate() {
                            *x = start[j * LANES + i];
                        }
                    }
                }
            },
        );
    }

    /// Where a node is split, as a part of its length, and the standard deviation there: in the middle, or where it is
    /// asked for.
    #[inline(always)]
    fn split_at<F: Real>(&self, node: Node, ahead: u64, last: bool) -> [F; 2] {
        let root = self.length_of(node).sqrt();
        if !last {
            return [F::of(0.5), F::of(0.5 * root)];
        }
        let ticks = (Self::TICKS >> node.level) as f64;
        let theta = ahead as f64 / ticks;
        [F::of(theta), F::of((theta * (1.0 - theta)).sqrt() * root)]
    }
}

/// The node of a level that a tick is in.
#[inline(always)]
const fn part(cell: u64, tick: u64, level: u32) -> Node {
    Node { cell, level, index: tick >> (Node::MAX_LEVEL - level) }
}

/// From the increment of a node and the path at its start to those of a part of it, the left or the right of where it
/// is split.
#[inline(always)]
fn descend<F: Real>(w: &mut F, start: &mut F, theta: F, z: F, right: bool) {
    let left = theta * *w + z;
    *start += if right { left } else { F::zero() };
    *w = if right { *w - left } else { left };
}
