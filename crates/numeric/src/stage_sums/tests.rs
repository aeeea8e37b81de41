//! The kernels against plain sums.

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
                assert!(error <= 40.0 * F::epsilon().as_f64() * (1.0 + exact), "{width}, {count}: {error:e}");
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
