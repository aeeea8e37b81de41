//! Many short dot products.

use pulp::{Simd, WithSimd};

use crate::Real;

/// Dot products of rows with rows of a table that are looked up: `out[k]` = Σⱼ `values[k, j]` · `table[indices[k], j]`.
///
/// `values` is `(out.len(), width)` and `table` has rows of the same width, both row-major. Each is summed by itself in
/// (fused, where the CPU has it) multiply-adds: the bits of one depend on its two rows only.
///
/// ```
/// let mut out = [0.0; 2];
/// numeric::indexed_dots(&[1.0, 2.0, 3.0, 4.0], &[1, 0], &[1.0, 1.0, 10.0, 20.0], 2, &mut out);
/// assert_eq!(out, [50.0, 7.0]);
/// ```
///
/// # Panics
/// If the lengths disagree, or the table has no such row.
#[track_caller]
pub fn indexed_dots<F: Real>(values: &[F], indices: &[u32], table: &[F], width: usize, out: &mut [F]) {
    assert_eq!((values.len(), indices.len()), (out.len() * width, out.len()), "a row and an index for each");
    F::dots(&mut Dots { values, indices, table, width, out });
}

/// The products that are wanted.
#[derive(Debug)]
#[expect(unnameable_types, reason = "only the seal of `Real` speaks of it")]
pub struct Dots<'a, F> {
    values: &'a [F],
    indices: &'a [u32],
    table: &'a [F],
    width: usize,
    out: &'a mut [F],
}

macro_rules! dots {
    ($float:ty, $as_simd:ident, $splat:ident, $mul_add:ident, $add:ident, $reduce:ident) => {
        impl WithSimd for &mut Dots<'_, $float> {
            type Output = ();

            #[inline(always)]
            fn with_simd<S: Simd>(self, simd: S) {
                let width = self.width;
                for (k, (&index, out)) in self.indices.iter().zip(self.out.iter_mut()).enumerate() {
                    let a = &self.values[k * width..][..width];
                    let b = &self.table[index as usize * width..][..width];
                    let ((a, a_tail), (b, b_tail)) = (S::$as_simd(a), S::$as_simd(b));
                    // Four chains in flight.
                    let mut sums = [simd.$splat(0.0); 4];
                    let (a, a_rest) = a.as_chunks::<4>();
                    let (b, b_rest) = b.as_chunks::<4>();
                    for (a, b) in a.iter().zip(b) {
                        for j in 0..4 {
                            sums[j] = simd.$mul_add(a[j], b[j], sums[j]);
                        }
                    }
                    for (&a, &b) in a_rest.iter().zip(b_rest) {
                        sums[0] = simd.$mul_add(a, b, sums[0]);
                    }
                    let [s0, s1, s2, s3] = sums;
                    let mut sum = simd.$reduce(simd.$add(simd.$add(s0, s2), simd.$add(s1, s3)));
                    for (a, b) in a_tail.iter().zip(b_tail) {
                        sum += a * b;
                    }
                    *out = sum;
                }
            }
        }
    };
}
dots!(f32, as_simd_f32s, splat_f32s, mul_add_e_f32s, add_f32s, reduce_sum_f32s);
dots!(f64, as_simd_f64s, splat_f64s, mul_add_e_f64s, add_f64s, reduce_sum_f64s);

#[cfg(test)]
mod tests {
    use super::indexed_dots;
    use crate::Real;

    fn agree<F: Real>() {
        for width in [0, 1, 3, 15, 16, 17, 64, 100, 129] {
            let values: Vec<F> = (0..5 * width).map(|k| F::of((k as f64 * 0.7).sin())).collect();
            let table: Vec<F> = (0..3 * width).map(|k| F::of((k as f64 * 0.3).cos())).collect();
            let mut out = [F::zero(); 5];
            indexed_dots(&values, &[2, 0, 1, 1, 2], &table, width, &mut out);
            for (k, (found, index)) in out.iter().zip([2, 0, 1, 1, 2]).enumerate() {
                let exact: f64 = (0..width)
                    .map(|j| values[k * width + j].as_f64() * table[index * width + j].as_f64())
                    .sum();
                assert!(
                    (found.as_f64() - exact).abs() <= 20.0 * F::epsilon().as_f64(),
                    "{width} {found} {exact}"
                );
            }
        }
    }

    #[test]
    fn dots_agree_with_plain_sums() {
        agree::<f32>();
        agree::<f64>();
    }
}
