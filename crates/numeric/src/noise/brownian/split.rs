//! The normals of a node: of a whole cell, and of a split.

use ndarray::ArrayRef2;

use super::{Brownian, Node, Noise};
use crate::{Real, vectorize};

/// The standard deviations of Z and of N/2 in a node of length `h`.
fn spreads(h: f64) -> [f64; 2] {
    [(h / 16.0).sqrt(), 0.5 * (h / 12.0).sqrt()]
}

fn slices<F>(arrays: [&ArrayRef2<F>; 2]) -> [&[F]; 2] {
    arrays.map(|a| a.as_slice().expect("standard layout"))
}

fn slices_mut<F>(arrays: [&mut ArrayRef2<F>; 2]) -> [&mut [F]; 2] {
    arrays.map(|a| a.as_slice_mut().expect("standard layout"))
}

impl Brownian<'_> {
    /// $`W`$ of a whole cell, under the plain key of the step.
    #[track_caller]
    pub(super) fn whole_increments<F: Real>(&self, rows: &[u64], cell: u64, w: &mut ArrayRef2<F>) {
        self.noise.scaled_normals(rows, cell, F::of(self.length(Node::whole(cell)).sqrt()), w);
    }

    /// $`H`$ of a whole cell.
    #[track_caller]
    pub(super) fn whole_areas<F: Real>(&self, rows: &[u64], cell: u64, h: &mut ArrayRef2<F>) {
        let noise = self.noise.derive(u64::from_le_bytes(*b"cellarea"), 0);
        noise.scaled_normals(rows, cell, F::of((self.length(Node::whole(cell)) / 12.0).sqrt()), h);
    }

    /// What splits the increment of a node.
    #[inline(always)]
    pub(super) fn increment_noise(&self, node: Node) -> Noise {
        self.noise.derive(u64::from_le_bytes(*b"treenode"), datum(node))
    }

    /// What splits the area of a node.
    fn area_noise(&self, node: Node) -> Noise {
        self.noise.derive(u64::from_le_bytes(*b"nodearea"), datum(node))
    }

    /// Replaces the increments of `parent` by those of one of its halves.
    #[track_caller]
    pub(super) fn descend<F: Real>(&self, rows: &[u64], parent: Node, right: bool, out: &mut ArrayRef2<F>) {
        let half = F::of(0.5);
        let scale = F::of(0.5 * self.length(parent).sqrt());
        self.increment_noise(parent).for_each_normal(rows, parent.cell, out, move |w, z| {
            let left = half * *w + scale * z;
            *w = if right { *w - left } else { left };
        });
    }

    /// The increments of both halves, in the operations of `descend`.
    #[track_caller]
    pub(super) fn split<F: Real>(
        &self,
        rows: &[u64],
        node: Node,
        w: &ArrayRef2<F>,
        left: &mut ArrayRef2<F>,
        right: &mut ArrayRef2<F>,
    ) {
        let scale = F::of(0.5 * self.length(node).sqrt());
        self.increment_noise(node).scaled_normals(rows, node.cell, scale, left);
        let w = w.as_slice().expect("standard layout");
        let [left, right] = slices_mut([left, right]);
        vectorize(
            #[inline(always)]
            || {
                for ((left, right), &w) in left.iter_mut().zip(&mut *right).zip(w) {
                    *left += F::of(0.5) * w;
                    *right = w - *left;
                }
            },
        );
    }

    /// Replaces the increments and areas of `parent` by those of one of its halves.
    ///
    /// With $`s = 1`$ on the left and $`-1`$ on the right, $`W' = \tfrac12 W + \tfrac32 s H + s Z`$ and, with Z
    /// eliminated so that it need not be kept, $`H' = H + \tfrac14 s W - \tfrac12 s W' + \tfrac12 s N`$.
    #[track_caller]
    pub(super) fn descend_with_areas<F: Real>(
        &self,
        rows: &[u64],
        parent: Node,
        right: bool,
        w: &mut ArrayRef2<F>,
        h: &mut ArrayRef2<F>,
    ) {
        let s = if right { -F::one() } else { F::one() };
        let [z, n] = spreads(self.length(parent)).map(|spread| s * F::of(spread));
        with_both(w, h, |w, h| (*w, *h) = (mean_increment(*w, *h, s), *h + F::of(0.25) * s * *w));
        self.increment_noise(parent).for_each_normal(rows, parent.cell, w, move |w, normal| *w += z * normal);
        with_both(w, h, |w, h| *h -= F::of(0.5) * s * *w);
        self.area_noise(parent).for_each_normal(rows, parent.cell, h, move |h, normal| *h += n * normal);
    }

    /// The increments and areas of both halves, in the operations of `descend_with_areas`.
    #[track_caller]
    pub(super) fn split_with_areas<F: Real>(
        &self,
        rows: &[u64],
        node: Node,
        parent: [&ArrayRef2<F>; 2],
        left: [&mut ArrayRef2<F>; 2],
        right: [&mut ArrayRef2<F>; 2],
    ) {
        let [z, n] = spreads(self.length(node)).map(F::of);
        self.increment_noise(node).scaled_normals(rows, node.cell, z, left[0]);
        self.area_noise(node).scaled_normals(rows, node.cell, n, left[1]);
        let ([w, h], [wl, hl], [wr, hr]) = (slices(parent), slices_mut(left), slices_mut(right));
        vectorize(
            #[inline(always)]
            || {
                let parts = w.iter().zip(h).zip(wl.iter_mut().zip(&mut *hl)).zip(wr.iter_mut().zip(&mut *hr));
                for (((&w, &h), (wl, hl)), (wr, hr)) in parts {
                    let (z, n) = (*wl, *hl);
                    for (s, half_w, half_h) in [(F::one(), wl, hl), (-F::one(), wr, hr)] {
                        *half_w = mean_increment(w, h, s) + s * z;
                        *half_h = (h + F::of(0.25) * s * w) - F::of(0.5) * s * *half_w + s * n;
                    }
                }
            },
        );
    }
}

/// $`\tfrac12 W + \tfrac32 s H`$.
#[inline(always)]
fn mean_increment<F: Real>(w: F, h: F, s: F) -> F {
    F::of(0.5) * w + F::of(1.5) * s * h
}

/// Calls `each` on the pairs of entries.
#[inline(always)]
fn with_both<F: Real>(w: &mut ArrayRef2<F>, h: &mut ArrayRef2<F>, each: impl Fn(&mut F, &mut F)) {
    let [w, h] = slices_mut([w, h]);
    vectorize(
        #[inline(always)]
        || w.iter_mut().zip(&mut *h).for_each(|(w, h)| each(w, h)),
    );
}

/// The node as an integer, without its cell.
#[inline(always)]
fn datum(node: Node) -> u64 {
    u64::from(node.level) << Node::MAX_LEVEL | node.index
}
