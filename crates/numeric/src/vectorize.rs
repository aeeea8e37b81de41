//! One dispatch per block to the widest instructions of the CPU.

use std::array::from_fn;

use pulp::{Arch, Simd, WithSimd};

/// Runs `body` compiled for the widest vector instructions that this CPU has.
///
/// Plain loops over slices inside the closure are vectorised by the compiler for AVX-512, AVX2 or the baseline,
/// whichever is found at run time. Mark the closure and every function it calls `#[inline(always)]`: what is not
/// inlined is compiled for the baseline. Results do not depend on the instruction set, as floating-point
/// operations are never reordered or fused. Kernels of this crate that are not made so, of which
/// [`Packed`](crate::Packed) products are one, do fuse where the CPU can, by choice, and say so.
///
/// ```
/// let (x, mut y) = ([1.0, 2.0, 3.0], [10.0, 20.0, 30.0]);
/// numeric::vectorize(
///     #[inline(always)]
///     || {
///         for (y, &x) in y.iter_mut().zip(&x) {
///             *y += 2.0 * x;
///         }
///     },
/// );
/// assert_eq!(y, [12.0, 24.0, 36.0]);
/// ```
#[inline]
pub fn vectorize<R>(body: impl FnMut() -> R) -> R {
    Arch::new().dispatch(Body(body))
}

/// Columns of rows, or rows of columns: numbers that lie in narrow rows come side by side, as loops at the width of the CPU
/// need them.
///
/// ```
/// assert_eq!(numeric::transposed(&[[1, 2], [3, 4], [5, 6]]), [[1, 3, 5], [2, 4, 6]]);
/// ```
#[inline(always)]
#[must_use]
pub fn transposed<T: Copy, const N: usize, const M: usize>(rows: &[[T; M]; N]) -> [[T; N]; M] {
    from_fn(|j| from_fn(|i| rows[i][j]))
}

/// Calls its closure through `FnMut`: through `FnOnce` there would be a shim that is not inlined, and the closure
/// would be compiled for the baseline.
struct Body<F>(F);

impl<R, F: FnMut() -> R> WithSimd for Body<F> {
    type Output = R;

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _: S) -> R {
        (self.0)()
    }
}
