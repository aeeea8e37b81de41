//! Small systems of linear equations, those of several rows side by side.

use numeric::{Real, vectorize};

use crate::lanes::{LANES, Lanes};

/// Columns that are eliminated before the columns on their right hear of it: these are then read and written once for
/// all of them.
const PANEL: usize = 4;

/// A d×d matrix for each of n rows, in groups of [`LANES`], column by column; or their triangular factors.
#[derive(Debug)]
pub(crate) struct Systems<F> {
    d: usize,
    entries: Vec<Lanes<F>>,
    /// For each column, the row that was exchanged with the row of that number.
    exchanged: Vec<Lanes<u32>>,
}

impl<F> Default for Systems<F> {
    fn default() -> Systems<F> {
        Systems { d: 0, entries: Vec::new(), exchanged: Vec::new() }
    }
}

/// The matrices of a group, or their factors, and the exchanges.
pub(crate) type Group<'a, F> = (&'a mut [Lanes<F>], &'a mut [Lanes<u32>]);

impl<F: Real> Systems<F> {
    /// Room for n matrices with any contents.
    pub(crate) fn resize(&mut self, n: usize, d: usize) {
        let groups = n.div_ceil(LANES);
        self.d = d;
        self.entries.resize(groups * d * d, [F::zero(); LANES]);
        self.exchanged.resize(groups * d, [0; LANES]);
    }

    /// Group by group, of matrices of d rows, which a caller may know as a constant.
    #[inline(always)]
    pub(crate) fn groups(&mut self, d: usize) -> impl Iterator<Item = Group<'_, F>> {
        debug_assert_eq!(d, self.d);
        self.entries.chunks_exact_mut(d * d).zip(self.exchanged.chunks_exact_mut(d))
    }

    /// Takes over the factors in the lanes for which `which` of a group is true; `None` leaves the whole group as it is.
    pub(crate) fn replace(&mut self, by: &Systems<F>, mut which: impl FnMut(usize) -> Option<Lanes<bool>>) {
        let d = self.d;
        let by = by.entries.chunks_exact(d * d).zip(by.exchanged.chunks_exact(d));
        for (group, (own, (entries, exchanged))) in self.groups(d).zip(by).enumerate() {
            if let Some(which) = which(group) {
                vectorize(
                    #[inline(always)]
                    || {
                        choose(own.0, entries, &which);
                        choose(own.1, exchanged, &which);
                    },
                );
            }
        }
    }
}

#[inline(always)]
fn choose<T: Copy>(own: &mut [Lanes<T>], by: &[Lanes<T>], which: &Lanes<bool>) {
    for (own, by) in own.iter_mut().zip(by) {
        for ((own, &by), &which) in own.iter_mut().zip(by).zip(which) {
            *own = if which { by } else { *own };
        }
    }
}

/// Replaces the matrices by their triangular factors, with partial pivoting; on the diagonal are the inverses of the
/// pivots, as a division takes as long as some ten products.
///
/// A singular matrix is no error here: what [`solve`] makes of its factors is infinite or NaN.
#[inline(always)]
pub(crate) fn factorise<F: Real>((a, exchanged): Group<'_, F>) {
    let d = exchanged.len();
    for first in (0..d).step_by(PANEL) {
        let end = (first + PANEL).min(d);
        for j in first..end {
            exchange(a, exchanged, j);
            let (own, later) = a[j * d..end * d].split_at_mut(d);
            own[j].iter_mut().for_each(|pivot| *pivot = F::one() / *pivot);
            let inverse = own[j];
            for value in &mut own[j + 1..] {
                multiply(value, &inverse);
            }
            for column in later.chunks_exact_mut(d) {
                eliminate(own, column, j, j + 1..d);
            }
        }
        let (panel, later) = a[first * d..].split_at_mut((end - first) * d);
        for column in later.chunks_exact_mut(d) {
            forward(panel, column, first);
        }
    }
}

/// Exchanges whole rows, in each lane the one with the largest number of column j on or below the diagonal and the j-th.
#[inline(always)]
fn exchange<F: Real>(a: &mut [Lanes<F>], exchanged: &mut [Lanes<u32>], j: usize) {
    let d = exchanged.len();
    let mut own = a[j * d + j];
    own.iter_mut().for_each(|own| *own = own.abs());
    let mut top = own;
    for i in j + 1..d {
        let values = a[j * d + i];
        for (top, value) in top.iter_mut().zip(&values) {
            *top = if value.abs() > *top { value.abs() } else { *top };
        }
    }
    exchanged[j] = [j as u32; LANES];
    // In most systems that steps come from, the diagonal is the largest already, in all lanes.
    if !top.iter().zip(&own).fold(false, |any, (top, own)| any | (top > own)) {
        return;
    }
    for lane in (0..LANES).filter(|&lane| top[lane] > own[lane]) {
        let size = |i: usize| a[j * d + i][lane].abs();
        let pivot = (j..d).fold(j, |best, i| if size(i) > size(best) { i } else { best });
        exchanged[j][lane] = pivot as u32;
        for column in a.chunks_exact_mut(d) {
            (column[j][lane], column[pivot][lane]) = (column[pivot][lane], column[j][lane]);
        }
    }
}

/// Replaces b by the solutions y of `a y = b`, from the factors of [`factorise`].
#[inline(always)]
pub(crate) fn solve<F: Real>(factors: &[Lanes<F>], exchanged: &[Lanes<u32>], b: &mut [Lanes<F>]) {
    let d = b.len();
    for (j, pivots) in exchanged.iter().enumerate() {
        if *pivots != [j as u32; LANES] {
            for (lane, &pivot) in pivots.iter().enumerate() {
                (b[j][lane], b[pivot as usize][lane]) = (b[pivot as usize][lane], b[j][lane]);
            }
        }
    }
    // What is left of the last panel is done column by column.
    let whole = d / PANEL * PANEL;
    for first in (0..whole).step_by(PANEL) {
        forward(&factors[first * d..], b, first);
    }
    for j in whole..d {
        eliminate(&factors[j * d..][..d], b, j, j + 1..d);
    }
    for j in (whole..d).rev() {
        multiply(&mut b[j], &factors[j * d + j]);
        eliminate(&factors[j * d..][..d], b, j, 0..j);
    }
    for first in (0..whole).step_by(PANEL).rev() {
        let panel = &factors[first * d..];
        for j in (first..first + PANEL).rev() {
            multiply(&mut b[j], &factors[j * d + j]);
            eliminate(&factors[j * d..][..d], b, j, first..j);
        }
        eliminate_panel(panel, b, first, 0..first);
    }
}

/// What a whole panel that starts at the row and column `first` does to a column on its right.
#[inline(always)]
fn forward<F: Real>(panel: &[Lanes<F>], column: &mut [Lanes<F>], first: usize) {
    let d = column.len();
    for j in first..first + PANEL {
        eliminate(&panel[(j - first) * d..][..d], column, j, j + 1..first + PANEL);
    }
    eliminate_panel(panel, column, first, first + PANEL..d);
}

/// `column −= own · column[j]` in these rows.
#[inline(always)]
fn eliminate<F: Real>(own: &[Lanes<F>], column: &mut [Lanes<F>], j: usize, rows: std::ops::Range<usize>) {
    let factor = column[j];
    // Two at a time: of the few rows of narrow systems and of panels no loop is left.
    let mut i = rows.start;
    while i + 1 < rows.end {
        subtract(&mut column[i], &own[i], &factor);
        subtract(&mut column[i + 1], &own[i + 1], &factor);
        i += 2;
    }
    if i < rows.end {
        subtract(&mut column[i], &own[i], &factor);
    }
}

/// `value −= own · factor`, with local arrays, so that the loop over the lanes is the one that vectorises.
#[inline(always)]
fn subtract<F: Real>(value: &mut Lanes<F>, own: &Lanes<F>, factor: &Lanes<F>) {
    let (mut sum, own) = (*value, *own);
    for lane in 0..LANES {
        sum[lane] -= own[lane] * factor[lane];
    }
    *value = sum;
}

/// The same with all columns of a panel, where `column` has its final numbers beside the panel's diagonal.
#[inline(always)]
fn eliminate_panel<F: Real>(
    panel: &[Lanes<F>],
    column: &mut [Lanes<F>],
    first: usize,
    rows: std::ops::Range<usize>,
) {
    let d = column.len();
    let [u0, u1, u2, u3]: [Lanes<F>; PANEL] = *column[first..].first_chunk().expect("a whole panel");
    let (l0, l1) = (&panel[rows.clone()], &panel[d..][rows.clone()]);
    let (l2, l3) = (&panel[2 * d..][rows.clone()], &panel[3 * d..][rows.clone()]);
    let column = &mut column[rows];
    for ((((column, l0), l1), l2), l3) in column.iter_mut().zip(l0).zip(l1).zip(l2).zip(l3) {
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

#[inline(always)]
fn multiply<F: Real>(values: &mut Lanes<F>, by: &Lanes<F>) {
    let mut products = *values;
    for (product, by) in products.iter_mut().zip(by) {
        *product *= *by;
    }
    *values = products;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lanes::{row_by_row, side_by_side};

    /// The solutions with matrices and right-hand sides `(at, lane)` given by closures.
    fn solved(
        d: usize,
        n: usize,
        entry: impl Fn(usize, usize, usize) -> f64,
        b: impl Fn(usize, usize) -> f64,
    ) -> Vec<Vec<f64>> {
        let mut systems = Systems::default();
        systems.resize(n, d);
        for j in 0..d {
            let columns: Vec<f64> = (0..n * d).map(|at| entry(at / d, at % d, j)).collect();
            for ((a, _), rows) in systems.groups(d).zip(columns.chunks(LANES * d)) {
                side_by_side(rows, d, |k, values| a[j * d + k] = values);
            }
        }
        let mut right: Vec<f64> = (0..n * d).map(|at| b(at / d, at % d)).collect();
        for ((a, exchanged), rows) in systems.groups(d).zip(right.chunks_mut(LANES * d)) {
            let mut y = vec![[0.0; LANES]; d];
            side_by_side(rows, d, |k, values| y[k] = values);
            factorise((a, exchanged));
            solve(a, exchanged, &mut y);
            row_by_row(&y, rows, |y| y);
        }
        right.chunks(d).map(<[f64]>::to_vec).collect()
    }

    /// Matrices whose pivots are not on the diagonal, against the products that they came from.
    #[test]
    fn systems_are_solved_with_rows_exchanged() {
        for d in 1..14_usize {
            let entry = |row: usize, i: usize, j: usize| {
                // Zero on the diagonal of the leading block, and a row of another scale; in every row of the batch other
                // rows are exchanged.
                let scale = if i == row % 3 { 1e6 } else { 1.0 };
                if i == j && i + 1 < d { 0.0 } else { scale * ((3 * i + 5 * j * j + row + 1) as f64).sin() }
            };
            let y: Vec<f64> = (0..d).map(|j| 1.0 + (j as f64).cos()).collect();
            let b = |row: usize, i: usize| (0..d).map(|j| entry(row, i, j) * y[j]).sum();
            let together = solved(d, 20, entry, b);
            for (row, found) in together.iter().enumerate() {
                let close = found.iter().zip(&y).all(|(b, y)| (b - y).abs() < 1e-12);
                assert!(close, "{d}, {row}: {found:?} for {y:?}");
                // To the bit, whatever is in the other lanes.
                assert_eq!(solved(d, 1, |_, i, j| entry(row, i, j), |_, i| b(row, i))[0], *found);
            }
        }
    }

    #[test]
    fn a_singular_matrix_gives_no_finite_solution() {
        for a in [vec![0.0], vec![1.0, 2.0, 2.0, 4.0], vec![0.0, 1.0, 0.0, 2.0], vec![0.0; 9], vec![0.0; 36]]
        {
            let d = a.len().isqrt();
            // Beside a matrix that is not singular.
            let entry = |row, i, j| {
                if row == 0 { a[i * d + j] } else { f64::from(u8::from(i == j)) }
            };
            let found = solved(d, 2, entry, |_, _| 1.0);
            assert!(!found[0].iter().all(|b: &f64| b.is_finite()), "{found:?}");
            assert_eq!(found[1], vec![1.0; d]);
        }
    }
}
