//! Matrix products with a small right-hand side, whose rows do not depend on each other.

mod kernel;

use crate::Real;

/// A k×n matrix B, stored so that products `A B` with a row-major A run at the speed of the registers.
///
/// Each entry of the product is one chain of (fused, where the CPU has it) multiply-adds over k in order: the
/// bits of a row of `A B` depend on that row of A and on B only, at any height and position. General matrix
/// products of libraries do not promise that (their one-row product is another algorithm), and the contract
/// of the samplers needs it. Made for B of up to a few hundred rows and columns; A may be of any height.
///
/// ```
/// use numeric::Packed;
/// let b = Packed::new(2, 3, |k, j| [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]][k][j]);
/// let mut out = [0.0; 6];
/// b.left_multiply(&[1.0, 10.0, 2.0, 0.0], &mut out);
/// assert_eq!(out, [41.0, 52.0, 63.0, 2.0, 4.0, 6.0]);
/// b.add_left_multiply(&[1.0, 0.0], &mut out[..3]);
/// assert_eq!(out[..3], [42.0, 54.0, 66.0]);
/// ```
#[derive(Clone, Debug)]
pub struct Packed<F> {
    k: usize,
    n: usize,
    /// Row-major with rows padded by zeros to a multiple of 64 bytes.
    padded: Vec<F>,
    stride: usize,
}

impl<F: Real> Packed<F> {
    /// The matrix with entries `entry(k, j)`.
    pub fn new(k: usize, n: usize, entry: impl Fn(usize, usize) -> f64) -> Packed<F> {
        let stride = n.next_multiple_of(64 / size_of::<F>());
        let mut padded = vec![F::zero(); k * stride];
        for (i, row) in padded.chunks_exact_mut(stride.max(1)).enumerate() {
            for (j, value) in row[..n].iter_mut().enumerate() {
                *value = F::of(entry(i, j));
            }
        }
        Packed { k, n, padded, stride }
    }

    /// Number of rows k of B.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.k
    }

    /// Number of columns n of B.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.n
    }

    /// Row k of B, of length n.
    ///
    /// # Panics
    /// If there is no such row.
    #[must_use]
    pub fn row(&self, k: usize) -> &[F] {
        &self.padded[k * self.stride..][..self.n]
    }

    /// `out = A B`, with A of shape (m, k) and `out` of shape (m, n), both row-major.
    ///
    /// # Panics
    /// If the lengths do not fit each other.
    #[track_caller]
    pub fn left_multiply(&self, a: &[F], out: &mut [F]) {
        self.product(a, out, false, Output::Rows);
    }

    /// `out = Aᵀ B`, with A of shape (k, m) and `out` of shape (m, n), both row-major.
    ///
    /// # Panics
    /// If the lengths do not fit each other.
    #[track_caller]
    pub fn left_multiply_transposed(&self, a: &[F], out: &mut [F]) {
        self.product(a, out, true, Output::Rows);
    }

    /// `out = (A B)ᵀ`, with A of shape (m, k) and `out` of shape (n, m), both row-major.
    ///
    /// # Panics
    /// If the lengths do not fit each other.
    #[track_caller]
    pub fn left_multiply_to_columns(&self, a: &[F], out: &mut [F]) {
        self.product(a, out, false, Output::Columns);
    }

    /// `out = diag(s) Aᵀ B + diag(t) X`, with A of shape (k, m), s and t of length m, X and `out` of shape (m, n).
    ///
    /// # Panics
    /// If the lengths do not fit each other.
    #[track_caller]
    pub fn left_multiply_transposed_affine(&self, a: &[F], s: &[F], t: &[F], x: &[F], out: &mut [F]) {
        assert!(x.len() == out.len() && s.len() == t.len() && s.len() * self.n == out.len(), "shapes fit");
        if self.n == 0 {
            return;
        }
        if self.k == 0 {
            for ((out, x), &t) in out.chunks_exact_mut(self.n).zip(x.chunks_exact(self.n)).zip(t) {
                out.iter_mut().zip(x).for_each(|(out, &x)| *out = t * x);
            }
            return;
        }
        assert_eq!(a.len(), s.len() * self.k, "A has k rows and as many columns as out has rows");
        F::product(&mut Product {
            a,
            b: &self.padded,
            out,
            m: s.len(),
            k: self.k,
            n: self.n,
            stride: self.stride,
            transposed: true,
            output: Output::Rows,
            affine: Some((s, t, x)),
        });
    }

    /// `out += A B`.
    ///
    /// # Panics
    /// If the lengths do not fit each other.
    #[track_caller]
    pub fn add_left_multiply(&self, a: &[F], out: &mut [F]) {
        self.product(a, out, false, Output::AddedRows);
    }

    #[track_caller]
    fn product(&self, a: &[F], out: &mut [F], transposed: bool, output: Output) {
        if self.n == 0 {
            return assert!(out.is_empty(), "a product without columns");
        }
        assert_eq!(out.len() % self.n, 0, "out has whole rows");
        let m = out.len() / self.n;
        assert_eq!(a.len(), m * self.k, "A has k columns and as many rows as out");
        if self.k == 0 {
            if output != Output::AddedRows {
                out.fill(F::zero());
            }
            return;
        }
        F::product(&mut Product {
            a,
            b: &self.padded,
            out,
            m,
            k: self.k,
            n: self.n,
            stride: self.stride,
            transposed,
            output,
            affine: None,
        });
    }
}

/// One product `out (+)= A B` of shapes (m, k) and (k, n), with B in rows of `stride`.
#[derive(Debug)]
#[expect(unnameable_types, reason = "only the seal of `Real` speaks of it")]
pub struct Product<'a, F> {
    a: &'a [F],
    b: &'a [F],
    out: &'a mut [F],
    m: usize,
    k: usize,
    n: usize,
    stride: usize,
    transposed: bool,
    output: Output,
    /// Factors of the rows of the product, and factors and rows to add.
    affine: Option<(&'a [F], &'a [F], &'a [F])>,
}

/// What is done with the product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Output {
    Rows,
    AddedRows,
    Columns,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against the plain triple loop, at every height and width around the tile sizes.
    fn against_the_definition<F: Real>(tolerance: f64) {
        let entry = |i: usize, j: usize| ((i * 31 + j * 17) % 23) as f64 / 7.0 - 1.5;
        for (m, k, n) in [
            (1, 1, 1),
            (3, 5, 7),
            (8, 32, 8),
            (13, 8, 32),
            (64, 64, 35),
            (65, 3, 100),
            (2, 0, 3),
            (13, 8, 3),
            (17, 5, 4),
            (9, 4, 1),
            (9, 4, 0),
        ] {
            let a: Vec<F> = (0..m * k).map(|i| F::of(entry(i / k, i % k + 5))).collect();
            let b = Packed::<F>::new(k, n, entry);
            let mut out = vec![F::of(9.0); m * n];
            b.left_multiply(&a, &mut out);
            for (index, value) in out.iter().enumerate() {
                let (i, j) = (index / n, index % n);
                let exact: f64 = (0..k).map(|l| a[i * k + l].as_f64() * F::of(entry(l, j)).as_f64()).sum();
                assert!((value.as_f64() - exact).abs() <= tolerance * k as f64, "{m} {k} {n} at {i} {j}");
            }
            // The same bits for one row at a time: the kernel of a row does not see the others.
            for i in 0..m {
                let mut one = vec![F::zero(); n];
                b.left_multiply(&a[i * k..(i + 1) * k], &mut one);
                assert_eq!(one, out[i * n..(i + 1) * n], "row {i} alone");
            }
            let mut twice = out.clone();
            b.add_left_multiply(&a, &mut twice);
            assert!(twice.iter().zip(&out).all(|(&twice, &once)| twice == once + once), "added");
            let transposed: Vec<F> = (0..m * k).map(|i| a[i % m * k + i / m]).collect();
            let mut again = vec![F::zero(); m * n];
            b.left_multiply_transposed(&transposed, &mut again);
            assert_eq!(again, out, "from the transpose");
            b.left_multiply_to_columns(&a, &mut again);
            let (scales, shifts): (Vec<F>, Vec<F>) =
                (0..m).map(|i| (F::of(1.0 + i as f64), F::of(0.5 - i as f64))).unzip();
            let x: Vec<F> = (0..m * n).map(|i| F::of((i % 5) as f64)).collect();
            let mut affine = vec![F::zero(); m * n];
            b.left_multiply_transposed_affine(&transposed, &scales, &shifts, &x, &mut affine);
            for (i, value) in affine.iter().enumerate() {
                let exact = scales[i / n] * out[i] + shifts[i / n] * x[i];
                let size = 1.0 + scales[i / n].as_f64() * (2.0 + out[i].as_f64().abs());
                assert!(
                    (*value - exact).as_f64().abs() <= tolerance * size * k.max(1) as f64,
                    "affine at {i}"
                );
            }
            let columns: Vec<F> = (0..m * n).map(|i| out[i % m * n + i / m]).collect();
            assert_eq!(again, columns, "to columns");
        }
    }

    #[test]
    fn products_agree_with_the_definition_and_row_by_row() {
        against_the_definition::<f32>(1e-5);
        against_the_definition::<f64>(1e-14);
    }
}
