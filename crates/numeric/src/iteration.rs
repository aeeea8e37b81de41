//! Steps of fixed-point iterations.

use pulp::{Simd, WithSimd};

use crate::Real;

/// What a [`step`] measures of each row, as the square of a Euclidean length.
#[derive(Debug)]
pub enum Measure<'a, F> {
    /// `|c|² + |h f(c)|²`, of the first step: y is c, and need not be written yet.
    Start(&'a mut [F]),
    /// `|c + h f(y) − y|²`, of what y changes by.
    Change(&'a mut [F]),
    /// Nothing: the quickest step.
    Nothing,
}

/// A step `y ← c + h f(y)` of the fixed-point iterations of many equations `y = c + h f(y)`, with what their ends are judged by.
///
/// `f` is that of y. Rows whose number in `open` is not at least 0 are left as they are, and
/// their squares too. `c`, `f` and `y` are
/// `(open.len(), width)`, row-major. Each row is summed by itself in (fused, where the CPU has it) multiply-adds: its bits
/// depend on that row only.
///
/// ```
/// use numeric::fixed_point::{Measure, step};
/// let (c, mut y, mut squares) = ([1.0, 1.0, 2.0, 0.0], [0.0; 4], [0.0; 2]);
/// step(0.5, &c, &[4.0, 4.0, 0.0, 2.0], &mut y, &[1.0; 2], 2, Measure::Start(&mut squares));
/// assert_eq!((y, squares), ([3.0, 3.0, 2.0, 1.0], [2.0 + 8.0, 4.0 + 1.0]));
/// // The second row has arrived.
/// step(0.5, &c, &[2.0, 4.0, 0.0, 4.0], &mut y, &[1.0, -1.0], 2, Measure::Change(&mut squares));
/// assert_eq!((y, squares), ([2.0, 3.0, 2.0, 1.0], [1.0, 5.0]));
/// ```
///
/// # Panics
/// If the lengths disagree, or rows have no numbers.
#[track_caller]
pub fn step<F: Real>(h: F, c: &[F], f: &[F], y: &mut [F], open: &[F], width: usize, measure: Measure<'_, F>) {
    let all = open.len() * width;
    if let Measure::Start(squares) | Measure::Change(squares) = &measure {
        assert_eq!(squares.len(), open.len(), "a square for each row");
    }
    assert_eq!((c.len(), f.len(), y.len()), (all, all, all), "rows as `open` counts them");
    assert!(width > 0, "rows without numbers");
    F::fixed_point(&mut FixedPoint { h, c, f, y, open, width, measure });
}

/// The step that is wanted.
#[derive(Debug)]
#[expect(unnameable_types, reason = "only the seal of `Real` speaks of it")]
pub struct FixedPoint<'a, F> {
    h: F,
    c: &'a [F],
    f: &'a [F],
    y: &'a mut [F],
    open: &'a [F],
    width: usize,
    measure: Measure<'a, F>,
}

/// What is summed of a row.
#[derive(Clone, Copy)]
enum Sum {
    Start,
    Change,
    Nothing,
}

macro_rules! fixed_point {
    ($module:ident, $float:ident, $vector:ident, $lanes:ident, $as_simd:ident, $as_mut_simd:ident, $load:ident, $store:ident,
     $splat:ident, $mul:ident, $mul_add:ident, $sub:ident, $reduce:ident) => {
        mod $module {
            use super::*;

            impl WithSimd for &mut FixedPoint<'_, $float> {
                type Output = ();

                // What is summed is known to the compiler in each loop over the rows.
                #[inline(always)]
                fn with_simd<S: Simd>(self, simd: S) {
                    let FixedPoint { h, c, f, y, open, width, measure } = self;
                    let rows = Rows { h: *h, c, f, open, width: *width };
                    match measure {
                        Measure::Start(squares) => by_width(simd, rows, y, Sum::Start, squares),
                        Measure::Change(squares) => by_width(simd, rows, y, Sum::Change, squares),
                        Measure::Nothing => by_width(simd, rows, y, Sum::Nothing, &mut []),
                    }
                }
            }

            #[derive(Clone, Copy)]
            struct Rows<'a> {
                h: $float,
                c: &'a [$float],
                f: &'a [$float],
                open: &'a [$float],
                width: usize,
            }

            #[inline(always)]
            fn by_width<S: Simd>(
                simd: S,
                rows: Rows<'_>,
                y: &mut [$float],
                sum: Sum,
                squares: &mut [$float],
            ) {
                let Rows { h, c, f, open, width } = rows;
                let h = simd.$splat(h);
                // Of rows of a few whole vectors, the compiler is told how many.
                if width % S::$lanes == 0 {
                    let ((c, _), (f, _), (y, _)) = (S::$as_simd(c), S::$as_simd(f), S::$as_mut_simd(y));
                    match width / S::$lanes {
                        1 => return of_vectors::<S, 1>(simd, h, (c, f, y), open, sum, squares),
                        2 => return of_vectors::<S, 2>(simd, h, (c, f, y), open, sum, squares),
                        4 => return of_vectors::<S, 4>(simd, h, (c, f, y), open, sum, squares),
                        8 => return of_vectors::<S, 8>(simd, h, (c, f, y), open, sum, squares),
                        _ => {}
                    }
                }
                let rows = c.chunks_exact(width).zip(f.chunks_exact(width)).zip(y.chunks_exact_mut(width));
                for (row, (((c, f), y), &open)) in rows.zip(open).enumerate() {
                    if open >= 0.0 {
                        let ((c, c_tail), (f, f_tail)) = (S::$as_simd(c), S::$as_simd(f));
                        let (y, y_tail) = S::$as_mut_simd(y);
                        let mut total = simd.$splat(0.0);
                        for ((&c, &f), y) in c.iter().zip(f).zip(y) {
                            (*y, total) = next(simd, h, (c, f, *y), sum, total);
                        }
                        if !y_tail.is_empty() {
                            // Filled up with zeros.
                            let [c, f, y] = [simd.$load(c_tail), simd.$load(f_tail), simd.$load(y_tail)];
                            let end;
                            (end, total) = next(simd, h, (c, f, y), sum, total);
                            simd.$store(y_tail, end);
                        }
                        if let Some(square) = squares.get_mut(row) {
                            *square = simd.$reduce(total);
                        }
                    }
                }
            }

            type Vectors<'a, S> =
                (&'a [<S as Simd>::$vector], &'a [<S as Simd>::$vector], &'a mut [<S as Simd>::$vector]);

            /// Rows of N vectors.
            #[inline(always)]
            fn of_vectors<S: Simd, const N: usize>(
                simd: S,
                h: S::$vector,
                (c, f, y): Vectors<'_, S>,
                open: &[$float],
                sum: Sum,
                squares: &mut [$float],
            ) {
                let rows =
                    c.as_chunks::<N>().0.iter().zip(f.as_chunks::<N>().0).zip(y.as_chunks_mut::<N>().0);
                for (row, (((c, f), y), &open)) in rows.zip(open).enumerate() {
                    if open >= 0.0 {
                        let mut total = simd.$splat(0.0);
                        for k in 0..N {
                            (y[k], total) = next(simd, h, (c[k], f[k], y[k]), sum, total);
                        }
                        if let Some(square) = squares.get_mut(row) {
                            *square = simd.$reduce(total);
                        }
                    }
                }
            }

            /// The next numbers, and what is summed with their part.
            #[inline(always)]
            fn next<S: Simd>(
                simd: S,
                h: S::$vector,
                (c, f, y): (S::$vector, S::$vector, S::$vector),
                sum: Sum,
                total: S::$vector,
            ) -> (S::$vector, S::$vector) {
                let next = simd.$mul_add(h, f, c);
                let total = match sum {
                    Sum::Start => {
                        let moved = simd.$mul(h, f);
                        simd.$mul_add(moved, moved, simd.$mul_add(c, c, total))
                    }
                    Sum::Change => {
                        let moved = simd.$sub(next, y);
                        simd.$mul_add(moved, moved, total)
                    }
                    Sum::Nothing => total,
                };
                (next, total)
            }
        }
    };
}
fixed_point!(
    single,
    f32,
    f32s,
    F32_LANES,
    as_simd_f32s,
    as_mut_simd_f32s,
    partial_load_f32s,
    partial_store_f32s,
    splat_f32s,
    mul_f32s,
    mul_add_e_f32s,
    sub_f32s,
    reduce_sum_f32s
);
fixed_point!(
    double,
    f64,
    f64s,
    F64_LANES,
    as_simd_f64s,
    as_mut_simd_f64s,
    partial_load_f64s,
    partial_store_f64s,
    splat_f64s,
    mul_f64s,
    mul_add_e_f64s,
    sub_f64s,
    reduce_sum_f64s
);

#[cfg(test)]
mod tests {
    use super::{Measure, step};
    use crate::Real;

    fn agree<F: Real>() {
        for width in [1, 3, 8, 15, 16, 17, 32, 50, 64, 128] {
            let numbers = |a: f64| (0..5 * width).map(|k| F::of((k as f64 * a).sin())).collect::<Vec<F>>();
            let (c, f, y, h) = (numbers(0.3), numbers(1.1), numbers(0.7), F::of(0.3));
            let open = [1.0, f64::INFINITY, -1.0, 0.0, f64::NAN].map(F::of);
            let close =
                |a: F, b: f64| (a.as_f64() - b).abs() <= 20.0 * F::epsilon().as_f64() * (1.0 + b.abs());
            for kind in 0..3 {
                let run = |rows: std::ops::Range<usize>| {
                    let here = rows.start * width..rows.end * width;
                    let (mut y, mut squares) = (y[here.clone()].to_vec(), vec![F::of(7.0); rows.len()]);
                    let measure = match kind {
                        0 => Measure::Start(&mut squares),
                        1 => Measure::Change(&mut squares),
                        _ => Measure::Nothing,
                    };
                    step(h, &c[here.clone()], &f[here], &mut y, &open[rows], width, measure);
                    (y, squares)
                };
                let (next, squares) = run(0..5);
                for row in 0..5 {
                    let here = row * width..(row + 1) * width;
                    let moved = |k: usize| h.as_f64() * f[k].as_f64();
                    let exact = |k: usize| c[k].as_f64() + moved(k);
                    let sum = |part: &dyn Fn(usize) -> f64| here.clone().map(part).sum::<f64>();
                    let square = match kind {
                        0 => sum(&|k| c[k].as_f64().powi(2) + moved(k).powi(2)),
                        1 => sum(&|k| (exact(k) - y[k].as_f64()).powi(2)),
                        _ => 7.0,
                    };
                    if open[row] >= F::zero() {
                        assert!(here.clone().all(|k| close(next[k], exact(k))), "{width}, {kind}");
                        assert!(close(squares[row], square), "{width}, {kind}");
                    } else {
                        assert_eq!((&next[here.clone()], squares[row]), (&y[here.clone()], F::of(7.0)));
                    }
                    // To the bit, without the other rows.
                    let (alone, own) = run(row..row + 1);
                    assert!(alone == next[here] && own[0] == squares[row], "{width}, {kind}");
                }
            }
        }
    }

    #[test]
    fn steps_agree_with_plain_sums() {
        agree::<f32>();
        agree::<f64>();
    }

    #[test]
    #[should_panic(expected = "rows as `open` counts them")]
    fn rows_are_counted() {
        step(1.0, &[1.0, 2.0], &[1.0, 2.0], &mut [1.0], &[1.0; 2], 1, Measure::Nothing);
    }
}
