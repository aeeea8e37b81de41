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
/// positive; x is finite, as a state that was accepted. A NaN in `y` or in a stage makes the sum a NaN. Each row is summed by itself in (fused, where the CPU has it)
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
///
/// # References
/// Hairer, Nørsett, Wanner (1993), *Solving ordinary differential equations I*, section II.4: the squares of its error norm.
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
mod tests;
