//! Linear algebra of implicit methods, for their floors.

use numeric::{Real, vectorize};

/// Systems side by side, each in a lane of its own.
const LANES: usize = 16;
const PANEL: usize = 4;

type Lanes<F> = [F; LANES];

/// d×d matrices of n rows, eliminated without a look at the pivots: a lower bound for what is done with exchanges. They
/// are identities, which are their own factors: nothing has to be written between two factorisations.
pub(super) struct Systems<F> {
    d: usize,
    matrices: Vec<Lanes<F>>,
    right: Vec<Lanes<F>>,
}

impl<F: Real> Systems<F> {
    pub(super) fn new(n: usize, d: usize) -> Systems<F> {
        let (one, zero) = ([F::one(); LANES], [F::zero(); LANES]);
        let identity = (0..d * d).map(|at| if at % (d + 1) == 0 { one } else { zero });
        let groups = n.div_ceil(LANES);
        Systems { d, matrices: identity.cycle().take(groups * d * d).collect(), right: vec![one; groups * d] }
    }

    /// Replaces the matrices by their factors, with the inverses of the pivots on the diagonal.
    pub(super) fn factorise(&mut self) {
        let d = self.d;
        let mut groups = self.matrices.chunks_exact_mut(d * d);
        vectorize(
            #[inline(always)]
            || {
                for a in &mut groups {
                    // With a constant, loops unroll.
                    if d == 3 { factorise(&mut a[..9], 3) } else { factorise(a, d) }
                }
            },
        );
        std::hint::black_box(&self.matrices);
    }

    pub(super) fn solve(&mut self) {
        let d = self.d;
        let mut groups = self.matrices.chunks_exact(d * d).zip(self.right.chunks_exact_mut(d));
        vectorize(
            #[inline(always)]
            || {
                for (a, b) in &mut groups {
                    if d == 3 { solve(&a[..9], &mut b[..3]) } else { solve(a, b) }
                }
            },
        );
        std::hint::black_box(&self.right);
    }
}

#[inline(always)]
fn factorise<F: Real>(a: &mut [Lanes<F>], d: usize) {
    for first in (0..d).step_by(PANEL) {
        let end = (first + PANEL).min(d);
        for j in first..end {
            let (own, later) = a[j * d..end * d].split_at_mut(d);
            own[j].iter_mut().for_each(|pivot| *pivot = F::one() / *pivot);
            let inverse = own[j];
            own[j + 1..].iter_mut().for_each(|value| multiply(value, &inverse));
            later.chunks_exact_mut(d).for_each(|column| one(own, column, j, j + 1..d));
        }
        let (panel, later) = a[first * d..].split_at_mut((end - first) * d);
        later.chunks_exact_mut(d).for_each(|column| forward(panel, column, first));
    }
}

#[inline(always)]
fn solve<F: Real>(a: &[Lanes<F>], b: &mut [Lanes<F>]) {
    let d = b.len();
    let whole = d / PANEL * PANEL;
    for first in (0..whole).step_by(PANEL) {
        forward(&a[first * d..], b, first);
    }
    for j in whole..d {
        one(&a[j * d..], b, j, j + 1..d);
    }
    for j in (0..d).rev() {
        multiply(&mut b[j], &a[j * d + j]);
        let end = if j < whole { j / PANEL * PANEL } else { 0 };
        one(&a[j * d..], b, j, end..j);
        if j < whole && j == end {
            panel(&a[j * d..], b, j, 0..j);
        }
    }
}

#[inline(always)]
fn multiply<F: Real>(values: &mut Lanes<F>, by: &Lanes<F>) {
    let mut products = *values;
    products.iter_mut().zip(by).for_each(|(product, &by)| *product *= by);
    *values = products;
}

#[inline(always)]
fn forward<F: Real>(of: &[Lanes<F>], column: &mut [Lanes<F>], first: usize) {
    let d = column.len();
    for j in first..first + PANEL {
        one(&of[(j - first) * d..], column, j, j + 1..first + PANEL);
    }
    panel(of, column, first, first + PANEL..d);
}

#[inline(always)]
fn one<F: Real>(own: &[Lanes<F>], column: &mut [Lanes<F>], j: usize, rows: std::ops::Range<usize>) {
    let factor = column[j];
    for i in rows {
        let (mut sum, own) = (column[i], own[i]);
        for lane in 0..LANES {
            sum[lane] -= own[lane] * factor[lane];
        }
        column[i] = sum;
    }
}

#[inline(always)]
fn panel<F: Real>(of: &[Lanes<F>], column: &mut [Lanes<F>], first: usize, rows: std::ops::Range<usize>) {
    let d = column.len();
    let [u0, u1, u2, u3]: [Lanes<F>; PANEL] = *column[first..].first_chunk().expect("a whole panel");
    let (l0, l1) = (&of[rows.clone()], &of[d..][rows.clone()]);
    let (l2, l3) = (&of[2 * d..][rows.clone()], &of[3 * d..][rows.clone()]);
    for ((((column, l0), l1), l2), l3) in column[rows].iter_mut().zip(l0).zip(l1).zip(l2).zip(l3) {
        let mut sum = *column;
        for lane in 0..LANES {
            sum[lane] -= l0[lane] * u0[lane];
            sum[lane] -= l1[lane] * u1[lane];
            sum[lane] -= l2[lane] * u2[lane];
            sum[lane] -= l3[lane] * u3[lane];
        }
        *column = sum;
    }
}
