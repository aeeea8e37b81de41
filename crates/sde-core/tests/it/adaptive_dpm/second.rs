//! Adaptive DPM-Solver against second implementations, and in both types of numbers.

use numeric::ndarray::{Array1, Array2, Axis};
use numeric::special::phi_2;
use numeric::{Control, Error, Model, Noise, Prediction, Real, Time, TimeGrid, VectorField, from_row_fn};
use sde_core::{
    AdaptiveDpmSolver, Covariance, Edm, Keep, Mixture, Ou, Start, Tolerance, Trajectory, VariancePreserving,
};

/// DPM-Solver-12 as it is documented, for one coordinate of Gaussian data with α = 1, step by step: each try and its
/// length, what the error is relative to, and what is kept.
#[test]
fn runs_are_those_of_a_second_implementation() {
    let (mean, variance) = (0.5, 0.7);
    let model =
        || Mixture::gaussian(vec![mean].into(), Covariance::Isotropic(variance)).unwrap().denoiser(Edm);
    let noise = |r: f64, x: f64| (x - mean) * r / (variance + r * r);
    let (most, least, start) = (20.0_f64, 0.05, 31.0);
    for (relative, absolute) in [(0.0, 0.1), (1e-3, 1e-12), (1e-5, 1e-3), (0.0, 1e-6)] {
        let (mut r, mut x, mut before, mut length) = (most, start, start, 0.05_f64);
        let (mut accepted, mut rejected) = (0, 0);
        while r > least {
            let to = (r * (-length).exp()).max(least);
            let (middle, first) = ((r * to).sqrt(), noise(r, x));
            let low = x + (to - r) * first;
            let high = x + (to - r) * noise(middle, x + (middle - r) * first);
            let error = (high - low).abs() / f64::max(absolute, relative * low.abs().max(f64::abs(before)));
            length = (r / to).ln() * (0.9 / error.sqrt()).max(0.2);
            if error <= 1.0 {
                (r, x, before, accepted) = (to, high, low, accepted + 1);
            } else {
                rejected += 1;
            }
        }
        let grid = TimeGrid::from_nodes(vec![most, least]).unwrap();
        let solver = AdaptiveDpmSolver::new(model(), 2, Tolerance { relative, absolute }, grid).unwrap();
        let run =
            solver.run(Start::Point(&[start]), Keep::Last, 0..1, Noise::new(1), Control::default()).unwrap();
        assert_eq!(
            (run.statistics.accepted, run.statistics.rejected),
            (accepted, rejected),
            "{relative} {absolute}"
        );
        assert!((run.states[(0, 0, 0)] - x).abs() < 1e-9, "{} for {x}", run.states[(0, 0, 0)]);
    }
}

/// Coordinates of a row: whole chunks of those that are summed together, and a rest.
const WIDE: usize = 37;

fn mean(j: usize) -> f64 {
    (j as f64).sin()
}

fn variance(j: usize) -> f64 {
    0.1 + 0.3 * (j % 5) as f64
}

/// E[ε | x] of the Gaussian data in `u = x/α`.
fn noise(j: usize, r: f64, u: f64) -> f64 {
    (u - mean(j)) * r / (variance(j) + r * r)
}

/// The end, and the steps that were accepted and rejected, of DPM-Solver-12 or -23 as it is documented, under OU.
fn second(order: usize, tolerance: Tolerance, [most, least]: [f64; 2], x: &[f64]) -> (Vec<f64>, u64, u64) {
    let alpha = |r: f64| 1.0 / r.hypot(1.0);
    let mut r = most;
    let mut u: Vec<f64> = x.iter().map(|x| x / alpha(r)).collect();
    let (mut before, mut length, mut accepted, mut rejected) = (x.to_vec(), 0.05_f64, 0, 0);
    while r > least {
        let h = length.min((r / least).ln());
        let to = if h < length { least } else { r * (-h).exp() };
        let at = |part: f64| r * (-part * h).exp();
        let (r_1, r_2) = (at(1.0 / order as f64), at(2.0 / 3.0));
        let results = u.iter().enumerate().map(|(j, &u)| {
            let first = noise(j, r, u);
            let second = noise(j, r_1, u + (r_1 - r) * first);
            if order == 2 {
                return (u + (to - r) * first, u + (to - r) * second);
            }
            let bend = 4.0 / 3.0 * h * r_2 * phi_2(2.0 / 3.0 * h) * (second - first);
            let third = noise(j, r_2, u + (r_2 - r) * first - bend);
            let low = u + (to - r) * (first + 1.5 * (second - first));
            (low, u + (to - r) * first - 1.5 * h * to * phi_2(h) * (third - first))
        });
        let (low, high): (Vec<f64>, Vec<f64>) = results.unzip();
        let squares = (0..x.len()).map(|j| {
            let [low, high] = [low[j], high[j]].map(|u| alpha(to) * u);
            let size = f64::max(tolerance.absolute, tolerance.relative * low.abs().max(before[j].abs()));
            ((high - low) / size).powi(2)
        });
        let error = (squares.sum::<f64>() / x.len() as f64).sqrt();
        length = h * (0.9 * error.powf(-1.0 / order as f64)).max(0.2);
        if error <= 1.0 {
            before = low.iter().map(|u| alpha(to) * u).collect();
            (r, u, accepted) = (to, high, accepted + 1);
        } else {
            rejected += 1;
        }
    }
    (u.iter().map(|u| alpha(least) * u).collect(), accepted, rejected)
}

fn starts<F: Real>(n: usize) -> Array2<F> {
    Array2::from_shape_fn((n, WIDE), |(i, j)| F::of((1.0 + i as f64) * (0.7 * (i + 3 * j) as f64).cos()))
}

fn run<F: Real, V: VectorField<F>>(
    model: Model<V, Ou>,
    order: usize,
    tolerance: Tolerance,
    ratios: &[f64],
    start: &Array2<F>,
) -> Trajectory<F> {
    let nodes = ratios.iter().map(|r| Ou.time_at(0.5 * (r * r).ln_1p()).unwrap()).collect();
    let solver = AdaptiveDpmSolver::new(model, order, tolerance, TimeGrid::from_times(nodes).unwrap());
    let rows = 0..start.nrows() as u64;
    solver.unwrap().run(Start::Rows(start), Keep::Last, rows, Noise::new(1), Control::default()).unwrap()
}

/// For both orders, rows that are long, a process that scales x, and models that predict x₀, the noise and `v`.
#[test]
fn long_rows_are_those_of_a_second_implementation() {
    let denoiser = || {
        let covariance = Covariance::Diagonal(Array1::from_shape_fn(WIDE, variance));
        Mixture::gaussian(Array1::from_shape_fn(WIDE, mean), covariance).unwrap().denoiser::<f64, _>(Ou)
    };
    let predicting = |what: Prediction| {
        let field = from_row_fn(WIDE, move |time: Time, x, out: &mut [f64]| {
            let (alpha, sigma) = ((-time.t).exp(), (-(-2.0 * time.t).exp_m1()).sqrt());
            for (j, out) in out.iter_mut().enumerate() {
                let epsilon = noise(j, sigma / alpha, x[j] / alpha);
                let clean = (x[j] - sigma * epsilon) / alpha;
                *out = if what == Prediction::V { alpha * epsilon - sigma * clean } else { epsilon };
            }
            Ok(())
        });
        Model::new(field, what, Ou)
    };
    let start = starts(6);
    for order in [2, 3] {
        for (relative, absolute) in [(0.05, 0.0078), (1e-4, 1e-6), (0.0, 1e-3)] {
            let tolerance = Tolerance { relative, absolute };
            let ends = [15.0, 0.01];
            let found = [
                run(denoiser(), order, tolerance, &ends, &start),
                run(predicting(Prediction::Noise), order, tolerance, &ends, &start),
                run(predicting(Prediction::V), order, tolerance, &ends, &start),
            ];
            let rows: Vec<_> =
                start.rows().into_iter().map(|x| second(order, tolerance, ends, &x.to_vec())).collect();
            let steps = rows.iter().fold((0, 0), |sum, row| (sum.0 + row.1, sum.1 + row.2));
            for run in found {
                assert_eq!(
                    (run.statistics.accepted, run.statistics.rejected),
                    steps,
                    "{order} {tolerance:?}"
                );
                for (x, (end, ..)) in run.states.rows().into_iter().zip(&rows) {
                    let gap = x.iter().zip(end).fold(0.0_f64, |gap, (x, y)| gap.max((x - y).abs()));
                    // Where an error is far below the tolerance, its rounding is a part of it, and of the next length.
                    assert!(gap < 1e-5 * relative.max(absolute), "{order} {tolerance:?}: {gap}");
                }
            }
        }
    }
}

/// Ends in `f32` and `f64` differ by what their steps are let err, and a row has the same bits alone as among others.
#[test]
fn runs_in_single_precision_follow_those_in_double() {
    fn model<F: Real>() -> Model<impl VectorField<F>, Ou> {
        let covariance = Covariance::Diagonal(Array1::from_shape_fn(WIDE, variance));
        Mixture::gaussian(Array1::from_shape_fn(WIDE, mean), covariance).unwrap().denoiser::<F, _>(Ou)
    }
    let tolerance = Tolerance { relative: 1e-3, absolute: 1e-3 };
    for order in [2, 3] {
        for ratios in [vec![15.0, 0.01], vec![15.0, 3.0, 2.9, 0.5, 0.01]] {
            let double = run(model::<f64>(), order, tolerance, &ratios, &starts(40));
            let single = run(model::<f32>(), order, tolerance, &ratios, &starts::<f32>(40));
            let gap = single.states.iter().zip(&double.states);
            let gap = gap.fold(0.0_f64, |gap, (&x, y)| gap.max((f64::from(x) - y).abs()));
            let bound = 1e-3 * (single.statistics.accepted + double.statistics.accepted) as f64 / 40.0;
            assert!(gap < bound, "{order} {ratios:?}: {gap} above {bound}");
            for i in 0..40 {
                let start = starts(40);
                let alone = start.select(Axis(0), &[i]);
                let alone = run(model::<f32>(), order, tolerance, &ratios, &alone);
                assert_eq!(
                    alone.states.index_axis(Axis(0), 0),
                    single.states.index_axis(Axis(0), i),
                    "row {i}"
                );
            }
        }
    }
}

/// Squares of errors, and tolerances, beyond the range of `f32`: what is measured is that of wider numbers.
#[test]
fn errors_are_measured_beyond_the_range_of_single_precision() {
    let run = |field: fn(f64) -> f64, absolute: f64, start: f32| {
        let field = from_row_fn(20, move |time: Time, _, out: &mut [f32]| {
            out.fill(field(time.t) as f32);
            Ok(())
        });
        let grid = TimeGrid::from_nodes(vec![10.0, 0.1]).unwrap();
        let tolerance = Tolerance { relative: 0.0, absolute };
        let solver =
            AdaptiveDpmSolver::new(Model::new(field, Prediction::Noise, Edm), 2, tolerance, grid).unwrap();
        solver.run(Start::Point(&[start; 20]), Keep::Last, 0..1, Noise::new(1), Control::default())
    };
    // Nothing moves: no error, relative to a tolerance that is 0 in f32.
    let still = run(|_| 0.0, 1e-60, 0.0).unwrap();
    assert_eq!((still.statistics.accepted, still.statistics.rejected), (2, 0));
    // Errors that no step makes small enough are finite numbers still.
    let jumping = run(|t| 1e6 * (1e15 * t).sin(), 1e-30, 0.3);
    assert!(matches!(jumping, Err(Error::Stalled { .. })), "{jumping:?}");
}
