//! What a step of a Runge–Kutta method does with its stages.

use pulp::{Simd, WithSimd};

use crate::Real;

/// Numbers that share a length in [`sums`].
pub const RUN: usize = 16;

/// A stage k, and its weights a and b in two sums.
pub type Stage<'a, F> = ([F; 2], &'a [F]);

/// `out = x + h Σ_j a_j k_j`, with a length h of its own for each run of [`RUN`] numbers; and, over `begun` where that is given,
/// `Σ_j b_j k_j`: a sum that waits for more stages. Stages are read once for both.
///
/// The increment is summed first, so that x is rounded once, in (fused, where the CPU has it) multiply-adds: the bits of a
/// number depend on those at its own place only.
///
/// ```
/// let (x, [first, second]) = ([1.0; 32], [[2.0; 32], [3.0; 32]]);
/// let [mut out, mut begun] = [[0.0; 32]; 2];
/// let stages = [([0.5, 1.0], &first[..]), ([1.0, -1.0], &second[..])];
/// numeric::stages::sums(&x, &[0.5, 0.25], &stages, &mut out, Some(&mut begun));
/// assert_eq!((out[15], out[16]), (3.0, 2.0));
/// assert_eq!(begun, [-1.0; 32]);
/// ```
///
/// # Panics
/// If the lengths disagree, or there are no stages or more than six.
#[track_caller]
pub fn sums<F: Real>(
    x: &[F],
    lengths: &[F],
    stages: &[Stage<'_, F>],
    out: &mut [F],
    begun: Option<&mut [F]>,
) {
    let all = lengths.len() * RUN;
    assert_eq!((x.len(), out.len()), (all, all), "a run for each length");
    assert!(begun.as_ref().is_none_or(|begun| begun.len() == all), "a run for each length");
    assert!(stages.iter().all(|(_, k)| k.len() == all), "a run for each length");
    assert!((1..=6).contains(&stages.len()), "one stage to six");
    F::stage_sums(&mut StageSums { x, lengths, stages, out, begun });
}

/// For each row the sum of the squares of `h Σ_j a_j k_j / (atol + rtol max(|x|, |y|))`, over `out`.
///
/// Everything is `(out.len(), width)`, row-major, and each row has a length h. Tolerances are `[atol, rtol]`, both finite and atol
/// positive. A NaN in `y` or in a stage makes the sum a NaN. Each row is summed by itself in (fused, where the CPU has it)
/// multiply-adds, in as many lanes as the CPU's vectors have: its bits depend on that row only, and on the kind of CPU.
///
/// ```
/// let (x, y, k) = ([1.0, 2.0], [-3.0, 0.0], [8.0, 6.0]);
/// let mut out = [0.0];
/// numeric::stages::scaled_squares([&x, &y], [0.5, 0.5], &[2.0], &[(1.0, &k)], 2, &mut out);
/// // 16 of 2 and 12 of 3/2.
/// assert_eq!(out, [64.0 + 64.0]);
/// ```
///
/// # Panics
/// If the lengths disagree, or there are no stages or more than six.
#[track_caller]
pub fn scaled_squares<F: Real>(
    states: [&[F]; 2],
    tolerances: [F; 2],
    lengths: &[f64],
    stages: &[(F, &[F])],
    width: usize,
    out: &mut [f64],
) {
    let all = out.len() * width;
    assert_eq!(lengths.len(), out.len(), "a length for each row");
    assert!(states.iter().all(|x| x.len() == all), "a row for each length");
    assert!(stages.iter().all(|(_, k)| k.len() == all), "a row for each length");
    assert!((1..=6).contains(&stages.len()), "one stage to six");
    F::scaled_squares(&mut ScaledSquares { states, tolerances, lengths, stages, width, out });
}

/// The sums that are wanted.
#[derive(Debug)]
#[expect(unnameable_types, reason = "only the seal of `Real` speaks of it")]
pub struct StageSums<'a, F> {
    x: &'a [F],
    lengths: &'a [F],
    stages: &'a [Stage<'a, F>],
    out: &'a mut [F],
    begun: Option<&'a mut [F]>,
}

/// The squares that are wanted.
#[derive(Debug)]
#[expect(unnameable_types, reason = "only the seal of `Real` speaks of it")]
pub struct ScaledSquares<'a, F> {
    states: [&'a [F]; 2],
    tolerances: [F; 2],
    lengths: &'a [f64],
    stages: &'a [(F, &'a [F])],
    width: usize,
    out: &'a mut [f64],
}

macro_rules! stages {
    ($module:ident, $float:ident, $vector:ident, $lanes:ident, $as_simd:ident, $as_mut_simd:ident, $load:ident, $splat:ident,
     $mul:ident, $div:ident, $mul_add:ident, $abs:ident, $at_least:ident, $select:ident, $reduce:ident) => {
        mod $module {
            use super::*;

            impl WithSimd for &mut StageSums<'_, $float> {
                type Output = ();

                // With the number of terms known to the compiler, the sums stay in registers.
                #[inline(always)]
                fn with_simd<S: Simd>(self, simd: S) {
                    match *self.stages {
                        [a] => by_run(simd, self, [a]),
                        [a, b] => by_run(simd, self, [a, b]),
                        [a, b, c] => by_run(simd, self, [a, b, c]),
                        [a, b, c, d] => by_run(simd, self, [a, b, c, d]),
                        [a, b, c, d, e] => by_run(simd, self, [a, b, c, d, e]),
                        [a, b, c, d, e, f] => by_run(simd, self, [a, b, c, d, e, f]),
                        _ => unreachable!("counted above"),
                    }
                }
            }

            #[inline(always)]
            fn by_run<S: Simd, const N: usize>(
                simd: S,
                sums: &mut StageSums<'_, $float>,
                stages: [Stage<'_, $float>; N],
            ) {
                match RUN / S::$lanes {
                    1 => runs::<S, N, 1>(simd, sums, stages),
                    2 => runs::<S, N, 2>(simd, sums, stages),
                    4 => runs::<S, N, 4>(simd, sums, stages),
                    8 => runs::<S, N, 8>(simd, sums, stages),
                    16 => runs::<S, N, 16>(simd, sums, stages),
                    _ => unreachable!("no vector has more numbers than a run"),
                }
            }

            /// Of V vectors each.
            #[inline(always)]
            fn runs<S: Simd, const N: usize, const V: usize>(
                simd: S,
                sums: &mut StageSums<'_, $float>,
                stages: [Stage<'_, $float>; N],
            ) {
                let n = sums.lengths.len();
                // Of one length that is known here, so that it is not asked for in each run.
                let k = stages.map(|(_, k)| &S::$as_simd(k).0.as_chunks::<V>().0[..n]);
                let x = &S::$as_simd(sums.x).0.as_chunks::<V>().0[..n];
                let out = &mut S::$as_mut_simd(sums.out).0.as_chunks_mut::<V>().0[..n];
                let [a, b] = [0, 1].map(|which| stages.map(|(weights, _)| simd.$splat(weights[which])));
                match &mut sums.begun {
                    Some(begun) => {
                        let begun = &mut S::$as_mut_simd(begun).0.as_chunks_mut::<V>().0[..n];
                        for (run, &h) in sums.lengths.iter().enumerate() {
                            let h = simd.$splat(h);
                            for v in 0..V {
                                let k0 = k[0][run][v];
                                let (mut sum, mut other) = (simd.$mul(a[0], k0), simd.$mul(b[0], k0));
                                for j in 1..N {
                                    let k = k[j][run][v];
                                    (sum, other) =
                                        (simd.$mul_add(a[j], k, sum), simd.$mul_add(b[j], k, other));
                                }
                                out[run][v] = simd.$mul_add(h, sum, x[run][v]);
                                begun[run][v] = other;
                            }
                        }
                    }
                    None => {
                        for (run, &h) in sums.lengths.iter().enumerate() {
                            let h = simd.$splat(h);
                            for v in 0..V {
                                let mut sum = simd.$mul(a[0], k[0][run][v]);
                                for j in 1..N {
                                    sum = simd.$mul_add(a[j], k[j][run][v], sum);
                                }
                                out[run][v] = simd.$mul_add(h, sum, x[run][v]);
                            }
                        }
                    }
                }
            }

            impl WithSimd for &mut ScaledSquares<'_, $float> {
                type Output = ();

                #[inline(always)]
                fn with_simd<S: Simd>(self, simd: S) {
                    match *self.stages {
                        [a] => rows(simd, self, [a]),
                        [a, b] => rows(simd, self, [a, b]),
                        [a, b, c] => rows(simd, self, [a, b, c]),
                        [a, b, c, d] => rows(simd, self, [a, b, c, d]),
                        [a, b, c, d, e] => rows(simd, self, [a, b, c, d, e]),
                        [a, b, c, d, e, f] => rows(simd, self, [a, b, c, d, e, f]),
                        _ => unreachable!("counted above"),
                    }
                }
            }

            #[inline(always)]
            fn rows<S: Simd, const N: usize>(
                simd: S,
                squares: &mut ScaledSquares<'_, $float>,
                stages: [($float, &[$float]); N],
            ) {
                let (width, [x, y]) = (squares.width, squares.states);
                let tolerances = squares.tolerances.map(|tolerance| simd.$splat(tolerance));
                let a = stages.map(|(a, _)| simd.$splat(a));
                for (r, (out, &h)) in squares.out.iter_mut().zip(squares.lengths).enumerate() {
                    let h = simd.$splat(h as $float);
                    let from = r * width;
                    let ((x, x_tail), (y, y_tail)) =
                        (S::$as_simd(&x[from..][..width]), S::$as_simd(&y[from..][..width]));
                    let mut k: [(&[S::$vector], &[$float]); N] = [(&[], &[]); N];
                    for j in 0..N {
                        k[j] = S::$as_simd(&stages[j].1[from..][..width]);
                    }
                    let mut sum = simd.$splat(0.0);
                    for (v, xy) in x.iter().zip(y).enumerate() {
                        let mut error = simd.$mul(a[0], k[0].0[v]);
                        for j in 1..N {
                            error = simd.$mul_add(a[j], k[j].0[v], error);
                        }
                        let share = share(simd, simd.$mul(h, error), xy, tolerances);
                        sum = simd.$mul_add(share, share, sum);
                    }
                    if !x_tail.is_empty() {
                        // Filled up with zeros, which have no share.
                        let mut error = simd.$mul(a[0], simd.$load(k[0].1));
                        for j in 1..N {
                            error = simd.$mul_add(a[j], simd.$load(k[j].1), error);
                        }
                        let xy = (&simd.$load(x_tail), &simd.$load(y_tail));
                        let share = share(simd, simd.$mul(h, error), xy, tolerances);
                        sum = simd.$mul_add(share, share, sum);
                    }
                    *out = f64::from(simd.$reduce(sum));
                }
            }

            /// `error / (atol + rtol max(|x|, |y|))`.
            #[inline(always)]
            fn share<S: Simd>(
                simd: S,
                error: S::$vector,
                (&x, &y): (&S::$vector, &S::$vector),
                [atol, rtol]: [S::$vector; 2],
            ) -> S::$vector {
                let (x, y) = (simd.$abs(x), simd.$abs(y));
                // A NaN in y stays.
                let largest = simd.$select(simd.$at_least(x, y), x, y);
                simd.$div(error, simd.$mul_add(rtol, largest, atol))
            }
        }
    };
}

stages!(
    single,
    f32,
    f32s,
    F32_LANES,
    as_simd_f32s,
    as_mut_simd_f32s,
    partial_load_f32s,
    splat_f32s,
    mul_f32s,
    div_f32s,
    mul_add_e_f32s,
    abs_f32s,
    greater_than_or_equal_f32s,
    select_f32s,
    reduce_sum_f32s
);
stages!(
    double,
    f64,
    f64s,
    F64_LANES,
    as_simd_f64s,
    as_mut_simd_f64s,
    partial_load_f64s,
    splat_f64s,
    mul_f64s,
    div_f64s,
    mul_add_e_f64s,
    abs_f64s,
    greater_than_or_equal_f64s,
    select_f64s,
    reduce_sum_f64s
);

#[cfg(test)]
mod tests {
    use super::{RUN, ScaledSquares, Stage, StageSums, scaled_squares, sums};
    use crate::Real;
    use pulp::{Simd, WithSimd};

    fn numbers<F: Real>(len: usize, a: f64) -> Vec<F> {
        (0..len).map(|k| F::of((k as f64 * a).sin())).collect()
    }

    fn close<F: Real>(a: F, b: f64) -> bool {
        (a.as_f64() - b).abs() <= 20.0 * F::epsilon().as_f64() * (1.0 + b.abs())
    }

    fn sums_agree<F: Real>() {
        for count in 1..=6 {
            let len = 5 * RUN;
            let (x, lengths) = (numbers::<F>(len, 0.7), numbers::<F>(5, 1.3));
            let k: Vec<Vec<F>> = (0..count).map(|j| numbers(len, 0.2 + 0.3 * j as f64)).collect();
            let weights = |j: usize| [F::of(1.0 + j as f64), F::of(0.5 - j as f64)];
            let stages: Vec<Stage<'_, F>> = k.iter().enumerate().map(|(j, k)| (weights(j), &k[..])).collect();
            let [mut out, mut begun, mut alone] = [(); 3].map(|()| vec![F::nan(); len]);
            sums(&x, &lengths, &stages, &mut out, Some(&mut begun));
            sums(&x, &lengths, &stages, &mut alone, None);
            assert!(out == alone, "to the bit");
            for i in 0..len {
                let exact = |which: usize| -> f64 {
                    stages.iter().map(|(weights, k)| weights[which].as_f64() * k[i].as_f64()).sum()
                };
                assert!(close(out[i], x[i].as_f64() + lengths[i / RUN].as_f64() * exact(0)), "{count}, {i}");
                assert!(close(begun[i], exact(1)), "{count}, {i}");
            }
            // To the bit, without the other runs.
            for run in 0..5 {
                let here = run * RUN..(run + 1) * RUN;
                let own: Vec<Stage<'_, F>> =
                    stages.iter().map(|(weights, k)| (*weights, &k[here.clone()])).collect();
                let mut alone = vec![F::nan(); RUN];
                sums(&x[here.clone()], &lengths[run..=run], &own, &mut alone, None);
                assert!(alone == out[here], "{count}, {run}");
            }
        }
    }

    fn squares_agree<F: Real>() {
        for width in [1, 3, 8, 15, 16, 17, 32, 50, 64, 128] {
            for count in 1..=6 {
                let (x, y) = (numbers::<F>(5 * width, 0.7), numbers::<F>(5 * width, 1.1));
                let lengths = [0.5, -2.0, 1.0, 0.25, 3.0];
                let k: Vec<Vec<F>> = (0..count).map(|j| numbers(5 * width, 0.2 + 0.3 * j as f64)).collect();
                let stages: Vec<(F, &[F])> =
                    k.iter().enumerate().map(|(j, k)| (F::of(1.0 - j as f64), &k[..])).collect();
                let tolerances = [F::of(0.5), F::of(0.25)];
                let mut out = [f64::NAN; 5];
                scaled_squares([&x, &y], tolerances, &lengths, &stages, width, &mut out);
                for row in 0..5 {
                    let square = |i: usize| {
                        let sum: f64 = stages.iter().map(|(a, k)| a.as_f64() * k[i].as_f64()).sum();
                        let scale = 0.5 + 0.25 * x[i].as_f64().abs().max(y[i].as_f64().abs());
                        (lengths[row] * sum / scale).powi(2)
                    };
                    let exact: f64 = (row * width..(row + 1) * width).map(square).sum();
                    let error = (out[row] - exact).abs();
                    assert!(
                        error <= 40.0 * F::epsilon().as_f64() * (1.0 + exact),
                        "{width}, {count}: {error:e}"
                    );
                    // To the bit, without the other rows.
                    let here = row * width..(row + 1) * width;
                    let own: Vec<(F, &[F])> = stages.iter().map(|(a, k)| (*a, &k[here.clone()])).collect();
                    let mut alone = [f64::NAN];
                    let states = [&x[here.clone()], &y[here]];
                    scaled_squares(states, tolerances, &lengths[row..=row], &own, width, &mut alone);
                    assert!(alone[0] == out[row], "{width}, {count}");
                }
            }
        }
    }

    #[test]
    fn kernels_agree_with_plain_sums() {
        sums_agree::<f32>();
        sums_agree::<f64>();
        squares_agree::<f32>();
        squares_agree::<f64>();
    }

    /// On vectors of other lengths than those of this CPU: of one number, and of AVX2.
    fn widths_agree<F: Real>()
    where
        for<'a, 'b> &'b mut StageSums<'a, F>: WithSimd<Output = ()>,
        for<'a, 'b> &'b mut ScaledSquares<'a, F>: WithSimd<Output = ()>,
    {
        let (len, width) = (6 * RUN, 2 * RUN + RUN / 2 + 5);
        let (x, y, lengths) = (numbers::<F>(len, 0.7), numbers::<F>(len, 1.1), numbers::<F>(6, 1.3));
        for count in 1..=6 {
            let k: Vec<Vec<F>> = (0..count).map(|j| numbers(len, 0.2 + 0.3 * j as f64)).collect();
            let stages: Vec<Stage<'_, F>> =
                k.iter().enumerate().map(|(j, k)| ([F::of(1.0 + j as f64), F::of(0.5)], &k[..])).collect();
            let rows: Vec<(F, &[F])> = stages.iter().map(|([a, _], k)| (*a, &k[..2 * width])).collect();
            let (states, tolerances) = ([&x[..2 * width], &y[..2 * width]], [F::of(0.5), F::of(0.25)]);
            let [mut out, mut begun] = [(); 2].map(|()| vec![F::nan(); len]);
            let mut squares = [f64::NAN; 2];
            sums(&x, &lengths, &stages, &mut out, Some(&mut begun));
            scaled_squares(states, tolerances, &[1.0, 0.5], &rows, width, &mut squares);
            let check = |other: &dyn Fn(&mut StageSums<'_, F>, &mut ScaledSquares<'_, F>)| {
                let [mut out_there, mut begun_there] = [(); 2].map(|()| vec![F::nan(); len]);
                let mut squares_there = [f64::NAN; 2];
                other(
                    &mut StageSums {
                        x: &x,
                        lengths: &lengths,
                        stages: &stages,
                        out: &mut out_there,
                        begun: Some(&mut begun_there),
                    },
                    &mut ScaledSquares {
                        states,
                        tolerances,
                        lengths: &[1.0, 0.5],
                        stages: &rows,
                        width,
                        out: &mut squares_there,
                    },
                );
                let here = out.iter().chain(&begun);
                assert!(here.zip(out_there.iter().chain(&begun_there)).all(|(a, b)| close(*a, b.as_f64())));
                let part = 40.0 * F::epsilon().as_f64();
                assert!(squares.iter().zip(squares_there).all(|(a, b)| (a - b).abs() <= part * (1.0 + a)));
            };
            check(&|sums, squares| {
                Simd::vectorize(pulp::Scalar, sums);
                Simd::vectorize(pulp::Scalar, squares);
            });
            #[cfg(target_arch = "x86_64")]
            if let Some(simd) = pulp::x86::V3::try_new() {
                check(&|sums, squares| {
                    Simd::vectorize(simd, sums);
                    Simd::vectorize(simd, squares);
                });
            }
        }
    }

    #[test]
    fn vectors_of_all_lengths_agree() {
        widths_agree::<f32>();
        widths_agree::<f64>();
    }

    #[test]
    fn what_is_no_number_stays() {
        for at in [0, 15, 16, 18] {
            let (x, mut y, mut k) = ([1.0; 19], [1.0; 19], [1.0; 19]);
            let mut out = [0.0];
            y[at] = f64::NAN;
            scaled_squares([&x, &y], [1.0, 1.0], &[1.0], &[(1.0, &k)], 19, &mut out);
            assert!(out[0].is_nan());
            (y[at], k[at]) = (1.0, f64::NAN);
            scaled_squares([&x, &y], [1.0, 1.0], &[1.0], &[(1.0, &k)], 19, &mut out);
            assert!(out[0].is_nan());
        }
    }

    #[test]
    #[should_panic(expected = "a run for each length")]
    fn runs_are_counted() {
        sums(&[1.0; 16], &[1.0; 2], &[([1.0; 2], &[1.0; 16])], &mut [0.0; 16], None);
    }
}
