//! Matrix products with a small right-hand side, whose rows do not depend on each other.

use pulp::{Arch, Simd, WithSimd};

use crate::Real;
use crate::real::private::Products;

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

macro_rules! products {
    ($float:ty, $softmax:ident, $exp:ident, $lanes:ident, $vectors:ident, $as_simd:ident, $as_mut_simd:ident, $splat:ident, $mul_add:ident, $add:ident, $mul:ident) => {
        impl Products for $float {
            fn product(product: &mut Product<'_, $float>) {
                // Vectors of 64 bytes would be half empty, and take as long as two of 32 on many CPUs. The bits are the
                // same: both fuse.
                #[cfg(target_arch = "x86_64")]
                if size_of::<$float>() * product.n <= 32
                    && let Some(simd) = pulp::x86::V3::try_new()
                {
                    return Simd::vectorize(simd, product);
                }
                Arch::new().dispatch(product);
            }

            fn softmax_columns(logits: &mut [$float], tops: &mut [$float], sums: &mut [$float]) {
                crate::exp::$softmax(logits, tops, sums);
            }

            fn exp_in_place(x: &mut [$float]) {
                crate::exp::$exp(x);
            }

            fn dots(dots: &mut crate::dots::Dots<'_, $float>) {
                Arch::new().dispatch(dots);
            }
        }

        impl WithSimd for &mut Product<'_, $float> {
            type Output = ();

            #[inline(always)]
            fn with_simd<S: Simd>(self, simd: S) {
                if self.transposed {
                    self.all_rows::<S, true>(simd);
                } else {
                    self.all_rows::<S, false>(simd);
                }
            }
        }

        impl<'a> Product<'a, $float> {
            #[inline(always)]
            fn all_rows<S: Simd, const T: bool>(&mut self, simd: S) {
                let rows = self.m;
                let mut row = 0;
                // Registers for rows × vectors of accumulators: 16 of 32, or 8 of 16; enough in flight to
                // hide the latency of the multiply-add.
                if S::REGISTER_COUNT >= 32 {
                    while row + 8 <= rows {
                        self.tiles::<S, 8, 2, T>(simd, row);
                        row += 8;
                    }
                } else if self.n <= S::$lanes {
                    while row + 8 <= rows {
                        self.tile::<S, 8, 1, T>(simd, row, 0);
                        row += 8;
                    }
                }
                while row + 4 <= rows {
                    self.tiles::<S, 4, 2, T>(simd, row);
                    row += 4;
                }
                while row < rows {
                    self.tiles::<S, 1, 8, T>(simd, row);
                    row += 1;
                }
            }

            /// ROWS rows of the product from `row` on, in tiles of VECTORS vectors and what is left by one.
            #[inline(always)]
            fn tiles<S: Simd, const ROWS: usize, const VECTORS: usize, const T: bool>(
                &mut self,
                simd: S,
                row: usize,
            ) {
                let vectors = self.n.div_ceil(S::$lanes);
                let mut first = 0;
                while first + VECTORS <= vectors {
                    self.tile::<S, ROWS, VECTORS, T>(simd, row, first);
                    first += VECTORS;
                }
                while first < vectors {
                    self.tile::<S, ROWS, 1, T>(simd, row, first);
                    first += 1;
                }
            }

            #[inline(always)]
            fn tile<S: Simd, const ROWS: usize, const VECTORS: usize, const T: bool>(
                &mut self,
                simd: S,
                row: usize,
                first: usize,
            ) {
                let (a, m, depth) = (self.a, self.m, self.k);
                let (b, _) = S::$as_simd(self.b);
                let width = self.stride / S::$lanes;
                let mut sums = [[simd.$splat(0.0); VECTORS]; ROWS];
                if T {
                    for k in 0..depth {
                        let b: &[_; VECTORS] = b[k * width + first..].first_chunk().expect("VECTORS of them");
                        let a: &[_; ROWS] = a[k * m + row..].first_chunk().expect("ROWS of them");
                        for (sums, &a) in sums.iter_mut().zip(a) {
                            let a = simd.$splat(a);
                            for (sum, &b) in sums.iter_mut().zip(b) {
                                *sum = simd.$mul_add(a, b, *sum);
                            }
                        }
                    }
                } else {
                    // Slices of exactly `depth`, so that the loop over it needs no checks.
                    let rows: [&[$float]; ROWS] = std::array::from_fn(|r| &a[(row + r) * depth..][..depth]);
                    let b = &b[..depth * width];
                    // Two steps at a time: one address for each row then serves both. Four need more registers than there are.
                    let mut k = 0;
                    while k + 2 <= depth {
                        let a: [&[_; 2]; ROWS] =
                            std::array::from_fn(|r| rows[r][k..].first_chunk().expect("two of them"));
                        for step in 0..2 {
                            let b: &[_; VECTORS] =
                                b[(k + step) * width + first..].first_chunk().expect("VECTORS of them");
                            for (sums, a) in sums.iter_mut().zip(&a) {
                                let a = simd.$splat(a[step]);
                                for (sum, &b) in sums.iter_mut().zip(b) {
                                    *sum = simd.$mul_add(a, b, *sum);
                                }
                            }
                        }
                        k += 2;
                    }
                    if k < depth {
                        let b: &[_; VECTORS] = b[k * width + first..].first_chunk().expect("VECTORS of them");
                        for (sums, row) in sums.iter_mut().zip(&rows) {
                            let a = simd.$splat(row[k]);
                            for (sum, &b) in sums.iter_mut().zip(b) {
                                *sum = simd.$mul_add(a, b, *sum);
                            }
                        }
                    }
                }
                if self.output != Output::Columns && (first + VECTORS) * S::$lanes <= self.n {
                    return self.store_whole::<S, ROWS, VECTORS>(simd, row, first, sums);
                }
                // A copy for `store`, which indexes it at run time: the sums themselves must not have an address, or
                // each step of the loop would write them to the stack.
                let done = std::array::from_fn(|r| std::array::from_fn(|v| sums[r][v]));
                self.store::<S, ROWS, VECTORS>(simd, row, first, &done);
            }

            /// Writes or adds a tile of sums that has all of its columns, without a way through memory.
            #[inline(always)]
            fn store_whole<S: Simd, const ROWS: usize, const VECTORS: usize>(
                &mut self,
                simd: S,
                row: usize,
                first: usize,
                sums: [[S::$vectors; VECTORS]; ROWS],
            ) {
                let (n, affine, add) = (self.n, self.affine, self.output == Output::AddedRows);
                let start = row * n + first * S::$lanes;
                // The rows of the tile and nothing behind its last entry.
                let out = &mut self.out[start..][..(ROWS - 1) * n + VECTORS * S::$lanes];
                let Some((s, t, x)) = affine else {
                    for r in 0..ROWS {
                        let (out, _) = S::$as_mut_simd(&mut out[r * n..]);
                        let out: &mut [_; VECTORS] = out.first_chunk_mut().expect("VECTORS of them");
                        for v in 0..VECTORS {
                            out[v] = if add { simd.$add(out[v], sums[r][v]) } else { sums[r][v] };
                        }
                    }
                    return;
                };
                let s: &[_; ROWS] = s[row..].first_chunk().expect("ROWS of them");
                let t: &[_; ROWS] = t[row..].first_chunk().expect("ROWS of them");
                let x = &x[start..][..out.len()];
                for r in 0..ROWS {
                    let (out, _) = S::$as_mut_simd(&mut out[r * n..]);
                    let (x, _) = S::$as_simd(&x[r * n..]);
                    let out: &mut [_; VECTORS] = out.first_chunk_mut().expect("VECTORS of them");
                    let x: &[_; VECTORS] = x.first_chunk().expect("VECTORS of them");
                    let (scale, shift) = (simd.$splat(s[r]), simd.$splat(t[r]));
                    for v in 0..VECTORS {
                        out[v] = simd.$mul_add(scale, sums[r][v], simd.$mul(shift, x[v]));
                    }
                }
            }

            /// Writes or adds a tile of sums that lacks columns, or writes any to columns.
            #[inline(always)]
            fn store<S: Simd, const ROWS: usize, const VECTORS: usize>(
                &mut self,
                simd: S,
                row: usize,
                first: usize,
                sums: &[[S::$vectors; VECTORS]; ROWS],
            ) {
                let columns = first * S::$lanes..self.n.min((first + VECTORS) * S::$lanes);
                // As locals: behind `self` they would be read again after each store.
                let (m, n, out) = (self.m, self.n, &mut *self.out);
                if self.output == Output::Columns {
                    let sums: [&[$float]; ROWS] =
                        std::array::from_fn(|r| pulp::bytemuck::cast_slice(&sums[r]));
                    for c in 0..columns.len() {
                        let out: &mut [_; ROWS] =
                            out[(columns.start + c) * m + row..].first_chunk_mut().expect("ROWS of them");
                        for r in 0..ROWS {
                            out[r] = sums[r][c];
                        }
                    }
                    return;
                }
                if let Some((s, t, x)) = self.affine {
                    let s: &[_; ROWS] = s[row..].first_chunk().expect("ROWS of them");
                    let t: &[_; ROWS] = t[row..].first_chunk().expect("ROWS of them");
                    for r in 0..ROWS {
                        let place = (row + r) * n + columns.start..(row + r) * n + columns.end;
                        let (x, x_tail) = S::$as_simd(&x[place.clone()]);
                        let (whole, tail) = S::$as_mut_simd(&mut out[place]);
                        let (scale, shift) = (simd.$splat(s[r]), simd.$splat(t[r]));
                        for ((out, &x), &sum) in whole.iter_mut().zip(x).zip(&sums[r]) {
                            *out = simd.$mul_add(scale, sum, simd.$mul(shift, x));
                        }
                        if !tail.is_empty() {
                            // In a vector as well, so that it fuses as the others do, at any width.
                            let mut padded = [simd.$splat(0.0)];
                            let places: &mut [$float] = pulp::bytemuck::cast_slice_mut(&mut padded);
                            places[..x_tail.len()].copy_from_slice(x_tail);
                            let last =
                                [simd.$mul_add(scale, sums[r][whole.len()], simd.$mul(shift, padded[0]))];
                            let last: &[$float] = pulp::bytemuck::cast_slice(&last);
                            tail.copy_from_slice(&last[..tail.len()]);
                        }
                    }
                    return;
                }
                let add = self.output == Output::AddedRows;
                for (r, sums) in sums.iter().enumerate() {
                    let out = &mut out[(row + r) * n..][columns.clone()];
                    let (whole, tail) = S::$as_mut_simd(out);
                    for (out, &sum) in whole.iter_mut().zip(sums) {
                        *out = if add { simd.$add(*out, sum) } else { sum };
                    }
                    if !tail.is_empty() {
                        let last = [sums[whole.len()]];
                        let last: &[$float] = pulp::bytemuck::cast_slice(&last);
                        for (out, &sum) in tail.iter_mut().zip(last) {
                            *out = if add { *out + sum } else { sum };
                        }
                    }
                }
            }
        }
    };
}
products!(
    f32,
    softmax_f32,
    exp_f32,
    F32_LANES,
    f32s,
    as_simd_f32s,
    as_mut_simd_f32s,
    splat_f32s,
    mul_add_e_f32s,
    add_f32s,
    mul_f32s
);
products!(
    f64,
    softmax_f64,
    exp_f64,
    F64_LANES,
    f64s,
    as_simd_f64s,
    as_mut_simd_f64s,
    splat_f64s,
    mul_add_e_f64s,
    add_f64s,
    mul_f64s
);

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
