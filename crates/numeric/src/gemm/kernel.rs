//! Tiles of products in registers, for each type of number.

use pulp::{Arch, Simd, WithSimd};

use super::{Output, Product};
use crate::real::private::Products;

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

            fn fixed_point(step: &mut crate::iteration::FixedPoint<'_, $float>) {
                Arch::new().dispatch(step);
            }

            fn stage_sums(sums: &mut crate::stage_sums::StageSums<'_, $float>) {
                Arch::new().dispatch(sums);
            }

            fn scaled_squares(squares: &mut crate::stage_sums::ScaledSquares<'_, $float>) {
                Arch::new().dispatch(squares);
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
