//! Steps of fixed-point iterations.

use pulp::{Simd, WithSimd};

use crate::Real;

/// A step of the fixed-point iterations of many equations `y = c + h f(y)`, with what their ends are judged by.
///
/// Each row of `f`, that of f(y), becomes the next iterate `c + h f(y)`; `changes` and `sizes` get the squares of the
/// Euclidean lengths of what it changed, and of the iterate. All rows have `width` numbers. The bits of one depend on that row
/// only.
///
/// ```
/// let (c, y, mut f) = ([1.0, 1.0, 2.0, 0.0], [1.0, 2.0, 2.0, 1.0], [4.0, 4.0, 0.0, 2.0]);
/// let ([mut changes, mut sizes]) = [[0.0; 2]; 2];
/// numeric::fixed_point(0.5, &y, &c, &mut f, 2, &mut changes, &mut sizes);
/// assert_eq!(f, [3.0, 3.0, 2.0, 1.0]);
/// assert_eq!((changes, sizes), ([5.0, 0.0], [18.0, 5.0]));
/// ```
///
/// # Panics
/// If the lengths disagree, or rows have no numbers.
#[track_caller]
pub fn fixed_point<F: Real>(
    h: F,
    y: &[F],
    c: &[F],
    f: &mut [F],
    width: usize,
    changes: &mut [F],
    sizes: &mut [F],
) {
    let (rows, all) = (changes.len(), changes.len() * width);
    assert_eq!((sizes.len(), y.len(), c.len(), f.len()), (rows, all, all, all), "as many rows");
    assert!(width > 0, "rows without numbers");
    F::fixed_point(&mut FixedPoint { h, y, c, f, width, changes, sizes });
}

/// The step that is wanted.
#[derive(Debug)]
#[expect(unnameable_types, reason = "only the seal of `Real` speaks of it")]
pub struct FixedPoint<'a, F> {
    h: F,
    y: &'a [F],
    c: &'a [F],
    f: &'a mut [F],
    width: usize,
    changes: &'a mut [F],
    sizes: &'a mut [F],
}

macro_rules! fixed_point {
    ($float:ty, $as_simd:ident, $as_mut_simd:ident, $load:ident, $store:ident, $splat:ident, $mul_add:ident, $sub:ident,
     $reduce:ident) => {
        impl WithSimd for &mut FixedPoint<'_, $float> {
            type Output = ();

            #[inline(always)]
            fn with_simd<S: Simd>(self, simd: S) {
                let (h, zero) = (simd.$splat(self.h), simd.$splat(0.0));
                let rows = self.y.chunks_exact(self.width).zip(self.c.chunks_exact(self.width));
                let ends = self.changes.iter_mut().zip(&mut *self.sizes);
                for (((y, c), f), (change, size)) in rows.zip(self.f.chunks_exact_mut(self.width)).zip(ends) {
                    let ((y, y_tail), (c, c_tail)) = (S::$as_simd(y), S::$as_simd(c));
                    let (f, f_tail) = S::$as_mut_simd(f);
                    let (mut changes, mut sizes) = (zero, zero);
                    for ((&y, &c), f) in y.iter().zip(c).zip(f) {
                        let next = simd.$mul_add(h, *f, c);
                        *f = next;
                        let moved = simd.$sub(next, y);
                        changes = simd.$mul_add(moved, moved, changes);
                        sizes = simd.$mul_add(next, next, sizes);
                    }
                    if !f_tail.is_empty() {
                        // Filled up with zeros.
                        let (y, c) = (simd.$load(y_tail), simd.$load(c_tail));
                        let next = simd.$mul_add(h, simd.$load(f_tail), c);
                        simd.$store(f_tail, next);
                        let moved = simd.$sub(next, y);
                        changes = simd.$mul_add(moved, moved, changes);
                        sizes = simd.$mul_add(next, next, sizes);
                    }
                    (*change, *size) = (simd.$reduce(changes), simd.$reduce(sizes));
                }
            }
        }
    };
}
fixed_point!(
    f32,
    as_simd_f32s,
    as_mut_simd_f32s,
    partial_load_f32s,
    partial_store_f32s,
    splat_f32s,
    mul_add_e_f32s,
    sub_f32s,
    reduce_sum_f32s
);
fixed_point!(
    f64,
    as_simd_f64s,
    as_mut_simd_f64s,
    partial_load_f64s,
    partial_store_f64s,
    splat_f64s,
    mul_add_e_f64s,
    sub_f64s,
    reduce_sum_f64s
);
