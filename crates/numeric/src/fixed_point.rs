//! Steps of fixed-point iterations.

use pulp::{Simd, WithSimd};

use crate::Real;

/// A step of the fixed-point iterations of many equations `y = c + h f(y)`, with what their ends are judged by.
///
/// Each row of `f`, that of f(y), becomes the next iterate `c + h f(y)`, and `changes` gets the square of the Euclidean length
/// of what it changed; `lengths`, where asked for, gets those of y. `y`, `c` and `f` are `(changes.len(), width)`, row-major.
/// Each row is summed by itself in (fused, where the CPU has it) multiply-adds: its bits depend on that row only.
///
/// ```
/// let (c, y, mut f) = ([1.0, 1.0, 2.0, 0.0], [1.0, 2.0, 2.0, 1.0], [4.0, 4.0, 0.0, 2.0]);
/// let [mut changes, mut lengths] = [[0.0; 2]; 2];
/// numeric::fixed_point(0.5, &y, &c, &mut f, 2, &mut changes, Some(&mut lengths));
/// assert_eq!(f, [3.0, 3.0, 2.0, 1.0]);
/// assert_eq!((changes, lengths), ([5.0, 0.0], [5.0, 5.0]));
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
    lengths: Option<&mut [F]>,
) {
    let all = changes.len() * width;
    assert!(
        lengths.as_ref().is_none_or(|lengths| lengths.len() == changes.len()),
        "a length for each change"
    );
    assert_eq!((y.len(), c.len(), f.len()), (all, all, all), "a row for each change");
    assert!(width > 0, "rows without numbers");
    F::fixed_point(&mut FixedPoint { h, y, c, f, width, changes, lengths });
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
    lengths: Option<&'a mut [F]>,
}

macro_rules! fixed_point {
    ($float:ty, $vector:ident, $lanes:ident, $as_simd:ident, $as_mut_simd:ident, $load:ident, $store:ident, $splat:ident, $mul_add:ident,
     $sub:ident, $reduce:ident) => {
        impl WithSimd for &mut FixedPoint<'_, $float> {
            type Output = ();

            #[inline(always)]
            fn with_simd<S: Simd>(self, simd: S) {
                let FixedPoint { h, y, c, f, width, changes, lengths } = self;
                let (h, width) = (simd.$splat(*h), *width);
                if let Some(lengths) = lengths {
                    for (y, length) in y.chunks_exact(width).zip(lengths.iter_mut()) {
                        let (y, tail) = S::$as_simd(y);
                        // The tail is filled up with zeros.
                        let tail = simd.$load(tail);
                        let mut sum = simd.$mul_add(tail, tail, simd.$splat(0.0));
                        for &y in y {
                            sum = simd.$mul_add(y, y, sum);
                        }
                        *length = simd.$reduce(sum);
                    }
                }
                // Of rows of a few whole vectors, the compiler is told how many.
                if width % S::$lanes == 0 {
                    let ((y, _), (c, _), (f, _)) = (S::$as_simd(y), S::$as_simd(c), S::$as_mut_simd(f));
                    match width / S::$lanes {
                        1 => return rows::<S, 1>(simd, h, (y, c, f), changes),
                        2 => return rows::<S, 2>(simd, h, (y, c, f), changes),
                        4 => return rows::<S, 4>(simd, h, (y, c, f), changes),
                        8 => return rows::<S, 8>(simd, h, (y, c, f), changes),
                        _ => {}
                    }
                }
                let rows = y.chunks_exact(width).zip(c.chunks_exact(width));
                for ((y, c), (f, change)) in rows.zip(f.chunks_exact_mut(width).zip(changes.iter_mut())) {
                    let ((y, y_tail), (c, c_tail)) = (S::$as_simd(y), S::$as_simd(c));
                    let (f, f_tail) = S::$as_mut_simd(f);
                    let mut sum = simd.$splat(0.0);
                    for ((&y, &c), f) in y.iter().zip(c).zip(f) {
                        *f = simd.$mul_add(h, *f, c);
                        let moved = simd.$sub(*f, y);
                        sum = simd.$mul_add(moved, moved, sum);
                    }
                    if !f_tail.is_empty() {
                        let next = simd.$mul_add(h, simd.$load(f_tail), simd.$load(c_tail));
                        simd.$store(f_tail, next);
                        let moved = simd.$sub(next, simd.$load(y_tail));
                        sum = simd.$mul_add(moved, moved, sum);
                    }
                    *change = simd.$reduce(sum);
                }

                type Vectors<'a, S> =
                    (&'a [<S as Simd>::$vector], &'a [<S as Simd>::$vector], &'a mut [<S as Simd>::$vector]);

                #[inline(always)]
                fn rows<S: Simd, const N: usize>(
                    simd: S,
                    h: S::$vector,
                    (y, c, f): Vectors<'_, S>,
                    changes: &mut [$float],
                ) {
                    let rows = y.as_chunks::<N>().0.iter().zip(c.as_chunks::<N>().0);
                    for ((y, c), (f, change)) in rows.zip(f.as_chunks_mut::<N>().0.iter_mut().zip(changes)) {
                        let mut sum = simd.$splat(0.0);
                        for k in 0..N {
                            f[k] = simd.$mul_add(h, f[k], c[k]);
                            let moved = simd.$sub(f[k], y[k]);
                            sum = simd.$mul_add(moved, moved, sum);
                        }
                        *change = simd.$reduce(sum);
                    }
                }
            }
        }
    };
}
fixed_point!(
    f32,
    f32s,
    F32_LANES,
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
    f64s,
    F64_LANES,
    as_simd_f64s,
    as_mut_simd_f64s,
    partial_load_f64s,
    partial_store_f64s,
    splat_f64s,
    mul_add_e_f64s,
    sub_f64s,
    reduce_sum_f64s
);

#[cfg(test)]
mod tests {
    use super::fixed_point;
    use crate::Real;

    fn agree<F: Real>() {
        for width in [1, 3, 8, 15, 16, 17, 32, 50, 64, 128] {
            let numbers = |a: f64| (0..5 * width).map(|k| F::of((k as f64 * a).sin())).collect::<Vec<F>>();
            let (y, c, f, h) = (numbers(0.7), numbers(0.3), numbers(1.1), F::of(0.3));
            let (mut next, [mut changes, mut lengths]) = (f.clone(), [[F::zero(); 5]; 2]);
            fixed_point(h, &y, &c, &mut next, width, &mut changes, Some(&mut lengths));
            let close =
                |a: F, b: f64| (a.as_f64() - b).abs() <= 20.0 * F::epsilon().as_f64() * (1.0 + b.abs());
            for row in 0..5 {
                let here = row * width..(row + 1) * width;
                let exact = |k: usize| c[k].as_f64() + h.as_f64() * f[k].as_f64();
                assert!(here.clone().all(|k| close(next[k], exact(k))), "{width}");
                let change: f64 = here.clone().map(|k| (exact(k) - y[k].as_f64()).powi(2)).sum();
                let length: f64 = here.clone().map(|k| y[k].as_f64().powi(2)).sum();
                assert!(close(changes[row], change) && close(lengths[row], length), "{width}");
                // To the bit, without the other rows.
                let (mut alone, mut own) = (f[here.clone()].to_vec(), [F::zero()]);
                fixed_point(h, &y[here.clone()], &c[here.clone()], &mut alone, width, &mut own, None);
                assert!(alone == next[here] && own[0] == changes[row], "{width}");
            }
        }
    }

    #[test]
    fn steps_agree_with_plain_sums() {
        agree::<f32>();
        agree::<f64>();
    }

    #[test]
    #[should_panic(expected = "a row for each change")]
    fn rows_are_counted() {
        fixed_point(1.0, &[1.0, 2.0], &[1.0], &mut [1.0, 2.0], 1, &mut [0.0, 0.0], None);
    }
}
