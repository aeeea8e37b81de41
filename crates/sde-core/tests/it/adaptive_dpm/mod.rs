//! DPM-Solver with adaptive steps, against the exact flow of Gaussian data and against fixed steps.

mod second;

use numeric::ndarray::{Array2, ArrayRef2, array, s};
use numeric::{Batch, Batching, Control, Error, Noise, Time, TimeGrid, from_fn, from_row_fn, with_batching};
use numeric::{Model, Prediction, Schedule};
use sde_core::{
    AdaptiveDpmSolver, Covariance, DpmSolver, Edm, Flow, Keep, LinearProcess, LinearVp, Mixture,
    MixtureField, Ou, Sampler, Start, Tolerance,
};
use verify::{OrderOptions, deterministic_order, seed};

const VARIANCES: [f64; 3] = [4.0, 0.3, 0.01];

fn gaussian<S: LinearProcess + Clone>(process: S) -> Model<MixtureField<f64, S>, S> {
    let covariance = Covariance::Diagonal(array![VARIANCES[0], VARIANCES[1], VARIANCES[2]]);
    Mixture::gaussian(array![0.5, -1.0, 0.0], covariance).unwrap().denoiser(process)
}

fn both(size: f64) -> Tolerance {
    Tolerance { relative: size, absolute: size }
}

/// The grid between two noise-to-signal ratios.
fn ratios(process: &impl LinearProcess, of: &[f64]) -> TimeGrid {
    TimeGrid::from_times(of.iter().map(|&ratio| process.time_at_ratio(ratio).unwrap()).collect()).unwrap()
}

/// `x − α μ` is multiplied by the ratio of standard deviations `√(α² v + σ²)`.
fn exact<S: LinearProcess>(process: &S, from: Time, to: Time, x: &[f64]) -> Vec<f64> {
    let (s, t) = (process.level(from), process.level(to));
    let mean = [0.5, -1.0, 0.0];
    (0..3)
        .map(|j| {
            let std = |alpha: f64, sigma: f64| (alpha * alpha * VARIANCES[j] + sigma * sigma).sqrt();
            let factor = std(t.alpha, t.sigma) / std(s.alpha, s.sigma);
            t.alpha * mean[j] + factor * (x[j] - s.alpha * mean[j])
        })
        .collect()
}

/// Error of the end against the tolerance, for processes that scale x differently: at least proportional to it, and not
/// above the sum of what each step was let pass.
#[test]
fn the_error_follows_the_tolerance() {
    fn check<S: LinearProcess + Clone>(name: &str, process: S) {
        let grid = ratios(&process, &[20.0, 0.02]);
        let n = 20;
        let mut start = Array2::zeros((n, 3));
        Noise::new(seed(2)).normals_into(&(0..n as u64).collect::<Vec<_>>(), 0, &mut start);
        start *= process.start_std(grid.first());
        for order in [2, 3] {
            let sizes: Vec<f64> = (2..=if order == 2 { 7 } else { 9 }).map(|k| 10_f64.powi(-k)).collect();
            let mut tries = Vec::new();
            let errors: Vec<f64> = sizes
                .iter()
                .map(|&size| {
                    let model = gaussian(process.clone());
                    let solver = AdaptiveDpmSolver::new(model, order, both(size), grid.clone()).unwrap();
                    let (rows, noise) = (0..n as u64, Noise::new(1));
                    let run =
                        solver.run(Start::Rows(&start), Keep::Last, rows, noise, Control::default()).unwrap();
                    assert_eq!(run.times, [grid.last()]);
                    let steps = run.statistics.accepted as f64 / n as f64;
                    tries.push((steps, run.statistics.rejected as f64 / n as f64));
                    let mut squares = 0.0;
                    for (x, z) in run.states.rows().into_iter().zip(start.rows()) {
                        let exact = exact(&process, grid.first(), grid.last(), &z.to_vec());
                        squares += x.iter().zip(exact).map(|(x, y)| (x - y).powi(2)).sum::<f64>() / 3.0;
                    }
                    let error = (squares / n as f64).sqrt();
                    // Relative and absolute: the larger of both, for states of the size of the data, √4.
                    assert!(error < 2.0 * steps * size, "{name}, {order}: {error} at {size} in {steps}");
                    error
                })
                .collect();
            println!("{name}, order {order}: {errors:?} in {tries:.1?}");
            // With few steps errors of both signs meet; the last five are in the limit.
            let [sizes, errors] = [&sizes, &errors].map(|all| &all[all.len() - 5..]);
            let slope = deterministic_order(sizes, errors, &OrderOptions::default()).unwrap().slope;
            println!("slope {slope:.3}");
            // At least proportional; at order 3 errors of both signs meet there still, and it is seen to fall faster.
            assert!(slope > 0.85 && (slope < 1.15 || order == 3), "{name}, {order}: {slope}");
        }
    }
    check("OU", Ou);
    check("VP", LinearVp::new(0.1, 20.0).unwrap());
    check("EDM", Edm);
    check("flow", Flow);
}

/// Where nothing is rejected and nodes are near, the steps are those of fixed steps.
#[test]
fn from_node_to_node_it_is_the_fixed_method() {
    // The first step is 0.05 long: at tolerance ∞ each cell, 0.045 long, is one step.
    let steps: Vec<f64> = (0..20).map(|k| 3.0 * (-0.045 * f64::from(k)).exp()).collect();
    let grid = ratios(&Ou, &steps);
    let start = array![[1.0, -2.0, 0.3], [0.1, 0.2, 0.4]];
    for order in [2, 3] {
        let fixed = Sampler::new(gaussian(Ou), DpmSolver::new(order).unwrap(), grid.clone()).unwrap();
        let fixed =
            fixed.run(Start::Rows(&start), Keep::All, 0..2, Noise::new(1), Control::default()).unwrap();
        let solver = AdaptiveDpmSolver::new(gaussian(Ou), order, both(1e6), grid.clone()).unwrap();
        let run =
            solver.run(Start::Rows(&start), Keep::All, 0..2, Noise::new(1), Control::default()).unwrap();
        assert_eq!((run.statistics, &run.times), (fixed.statistics, &fixed.times));
        let gap = (&run.states - &fixed.states).iter().fold(0.0_f64, |max, e| max.max(e.abs()));
        assert!(gap < 1e-13, "{gap}");
    }
}

/// The error is the difference to the lower order, here from its formula in `u = x/α` and the noise `(u − μ) r/(v + r²)` of
/// Gaussian data: a step is accepted exactly up to it.
#[test]
fn a_step_is_accepted_exactly_up_to_the_tolerance() {
    let (r, h) = (1.0_f64, 0.049_f64);
    let grid = ratios(&Ou, &[r, r * (-h).exp()]);
    let (start, mean) = ([1.0, -2.0, 0.3], [0.5, -1.0, 0.0]);
    let alpha = |time: Time| Ou.level(time).alpha;
    for order in [2, 3] {
        let lower = |j: usize| {
            let noise = |r: f64, u: f64| (u - mean[j]) * r / (VARIANCES[j] + r * r);
            let (u, r_1, end) = (start[j] / alpha(grid.first()), r * (-h / 3.0).exp(), r * (-h).exp());
            let first = noise(r, u);
            let second = noise(r_1, u + (r_1 - r) * first);
            let bend = if order == 2 { 0.0 } else { 1.5 * (second - first) };
            alpha(grid.last()) * (u + (end - r) * (first + bend))
        };
        let sampler = Sampler::new(gaussian(Ou), DpmSolver::new(order).unwrap(), grid.clone()).unwrap();
        let high = sampler
            .run(Start::Point(&start), Keep::Last, 0..1, Noise::new(1), Control::default())
            .unwrap()
            .states;
        // Relative to the larger of the start, which stands for the step before, and the result of the lower order.
        let norm = |scale: &dyn Fn(usize) -> f64| {
            let squares = (0..3).map(|j| ((high[(0, 0, j)] - lower(j)) / scale(j)).powi(2));
            (squares.sum::<f64>() / 3.0).sqrt()
        };
        let (absolute, relative) = (norm(&|_| 1.0), norm(&|j| lower(j).abs().max(start[j].abs())));
        let tries = |relative: f64, absolute: f64| {
            let size = Tolerance { relative, absolute };
            let solver = AdaptiveDpmSolver::new(gaussian(Ou), order, size, grid.clone()).unwrap();
            let run = solver
                .run(Start::Point(&start), Keep::Last, 0..1, Noise::new(1), Control::default())
                .unwrap();
            (run.statistics.accepted, run.statistics.rejected)
        };
        assert_eq!(tries(0.0, absolute * (1.0 + 1e-6)), (1, 0));
        assert_eq!(tries(relative * (1.0 + 1e-6), 1e-13), (1, 0));
        // Else the next try is 0.9 as long, and a rest is left.
        assert_eq!(tries(0.0, absolute * (1.0 - 1e-6)), (2, 1));
        assert_eq!(tries(relative * (1.0 - 1e-6), 1e-13), (2, 1));
    }
}

/// The same bits for any shard and any size of blocks, each row with steps of its own; from the prior of a sampler.
#[test]
fn rows_do_not_see_each_other() {
    let grid = ratios(&Ou, &[5.0, 1.0, 0.05]);
    let data = array![[-1.0, 0.0, 0.0], [1.0, 0.5, 0.0], [0.0, 2.0, -1.0]];
    let run = |block: usize, rows: std::ops::Range<u64>, order: usize| {
        let Model { field, prediction, schedule } =
            Mixture::atoms(&data, None).unwrap().denoiser::<f64, _>(Ou);
        let field = with_batching(field, Batching { rows: block, ..Batching::default() }).unwrap();
        let model = Model { field, prediction, schedule };
        let solver = AdaptiveDpmSolver::new(model, order, both(1e-3), grid.clone()).unwrap();
        solver.run(Start::Prior, Keep::All, rows, Noise::new(seed(1)), Control::default()).unwrap()
    };
    for order in [2, 3] {
        let whole = run(64, 0..150, order);
        assert!(whole.statistics.rejected > 10, "{:?}", whole.statistics);
        assert_eq!(run(7, 0..150, order), whole);
        assert_eq!(run(64, 33..90, order).states, whole.states.slice(s![33..90, .., ..]));
        // The cost of the whole is that of its parts, so rows have their own.
        let mut cost = run(64, 0..40, order).statistics;
        let one = cost;
        cost += run(64, 40..150, order).statistics;
        assert_eq!(cost, whole.statistics);
        assert_ne!(one.accepted * 150, whole.statistics.accepted * 40);
        // At the atoms, and where the sampler starts.
        for x in whole.states.slice(s![.., 2, ..]).rows() {
            let near = data.rows().into_iter().any(|atom| (&x - &atom).iter().all(|gap| gap.abs() < 0.3));
            assert!(near, "{x}");
        }
        let sampler = Sampler::new(
            Mixture::atoms(&data, None).unwrap().denoiser::<f64, _>(Ou),
            DpmSolver::new(order).unwrap(),
            grid.clone(),
        );
        let start = sampler
            .unwrap()
            .run(Start::Prior, Keep::Nodes(&[0]), 0..150, Noise::new(seed(1)), Control::default())
            .unwrap();
        assert_eq!(start.states.slice(s![.., 0, ..]), whole.states.slice(s![.., 0, ..]));
    }
}

/// From the last node before the data one step more, to the denoiser's value there; nothing before it changes.
#[test]
fn the_last_step_to_the_data_ends_in_the_denoiser() {
    let (before, to_data) = (ratios(&Ou, &[5.0, 1.0, 0.05]), ratios(&Ou, &[5.0, 1.0, 0.05, 0.0]));
    for order in [2, 3] {
        let run = |grid: &TimeGrid| {
            let solver = AdaptiveDpmSolver::new(gaussian(Ou), order, both(1e-3), grid.clone()).unwrap();
            solver.run(Start::Prior, Keep::All, 0..40, Noise::new(seed(8)), Control::default()).unwrap()
        };
        let (all, but_the_last) = (run(&to_data), run(&before));
        assert_eq!(all.states.slice(s![.., ..3, ..]), but_the_last.states);
        let level = Ou.level(before.last());
        for (row, x) in all.states.slice(s![.., 3, ..]).rows().into_iter().enumerate() {
            for (j, mean) in [0.5, -1.0, 0.0].into_iter().enumerate() {
                let (u, v) = (all.states[(row, 2, j)] / level.alpha, VARIANCES[j]);
                let m = mean + v / (v + (level.sigma / level.alpha).powi(2)) * (u - mean);
                assert!((x[j] - m).abs() < 1e-12, "{} for {m}", x[j]);
            }
        }
        let (cost, less) = (all.statistics, but_the_last.statistics);
        assert_eq!(
            (cost.calls - less.calls, cost.accepted - less.accepted, cost.rejected),
            (40, 40, less.rejected)
        );
    }
}

#[test]
fn what_cannot_be_solved_is_refused() {
    let grid = || ratios(&Ou, &[1.0, 0.1]);
    let new = |order, size, grid| AdaptiveDpmSolver::new(gaussian(Ou), order, size, grid);
    for order in [0, 1, 4] {
        assert!(matches!(new(order, both(0.1), grid()), Err(Error::Domain { parameter: "order", .. })));
    }
    for (relative, absolute) in [(-1.0, 0.1), (f64::NAN, 0.1), (0.1, 0.0), (0.1, f64::INFINITY)] {
        assert!(matches!(new(2, Tolerance { relative, absolute }, grid()), Err(Error::Domain { .. })));
    }
    let to_data = TimeGrid::from_nodes(vec![1.0, 0.0]).unwrap();
    assert!(matches!(new(2, both(0.1), to_data), Err(Error::Unsupported { .. })));
    assert!(matches!(new(2, both(0.1), grid().reversed()), Err(Error::Entry { parameter: "grid", .. })));
    let shape = new(2, both(0.1), grid()).unwrap();
    let start = Array2::<f64>::zeros((2, 2));
    let run = shape.run(Start::Rows(&start), Keep::Last, 0..2, Noise::new(1), Control::default());
    assert!(matches!(run, Err(Error::Shape { .. })));
    // A model that is not finite below some time, and one that no step satisfies: it jumps with x.
    let model = |field: fn(Time, f64) -> f64| {
        let field = from_row_fn(1, move |time, x, out: &mut [f64]| {
            out[0] = field(time, x[0]);
            Ok(())
        });
        Model { field, prediction: Prediction::Denoised, schedule: Ou }
    };
    let run = |field| {
        let solver = AdaptiveDpmSolver::new(model(field), 2, both(1e-9), grid()).unwrap();
        solver.run(Start::Point(&[0.5]), Keep::Last, 5..6, Noise::new(1), Control::default()).unwrap_err()
    };
    let error = run(|time, x| if time.t > 0.1 { 0.5 * x } else { f64::NAN });
    assert!(matches!(error, Error::NotFinite { row: 5, step: 0, .. }), "{error}");
    let error = run(|_, x| 1e6 * (1e12 * x).sin());
    assert!(matches!(error, Error::Stalled { row: 5, .. }), "{error}");
    // A row that has failed before the step to the data: the model is not asked for it there.
    let field = |time: Time, x: f64| if time.t > 0.1 { 0.5 * x } else { f64::NAN };
    let solver = AdaptiveDpmSolver::new(model(field), 2, both(1e-9), ratios(&Ou, &[1.0, 0.1, 0.0])).unwrap();
    let run = solver.run(Start::Point(&[0.5]), Keep::Last, 5..8, Noise::new(1), Control::default());
    assert!(matches!(run, Err(Error::NotFinite { row: 5, step: 0, .. })), "{run:?}");
}

/// A model that is defined for x > 0 only, in the noise `½ ln x`, while nothing moves before `calm`: there both orders agree
/// and the next try is much too long.
fn walled(calm: f64) -> Model<impl numeric::VectorField<f64>, Edm> {
    let field = from_row_fn(1, move |time: Time, x, out: &mut [f64]| {
        out[0] = if time.t > calm { 0.0 } else { 0.5 * x[0].ln() + 2.0 };
        Ok(())
    });
    Model::new(field, Prediction::Noise, Edm)
}

#[test]
fn a_try_that_is_not_finite_is_tried_again_shorter() {
    let grid = TimeGrid::from_nodes(vec![10.0, 0.1]).unwrap();
    for order in [2, 3] {
        let run = |tolerance: f64| {
            let solver = AdaptiveDpmSolver::new(walled(8.0), order, both(tolerance), grid.clone()).unwrap();
            solver.run(Start::Point(&[7.0]), Keep::Last, 0..1, Noise::new(1), Control::default()).unwrap()
        };
        let (rough, fine) = (run(1e-3), run(1e-6));
        assert!(rough.statistics.rejected > 0);
        assert!(
            (rough.states[(0, 0, 0)] - fine.states[(0, 0, 0)]).abs() < 0.05,
            "{} {}",
            rough.states,
            fine.states
        );
    }
    // Where no step is finite the error says so.
    let never = Model::new(
        from_row_fn(1, |_, _, out: &mut [f64]| {
            out[0] = f64::NAN;
            Ok(())
        }),
        Prediction::Noise,
        Edm,
    );
    let solver = AdaptiveDpmSolver::new(never, 2, both(1e-3), grid).unwrap();
    let found = solver.run(Start::Point(&[7.0]), Keep::Last, 5..6, Noise::new(1), Control::default());
    assert!(matches!(found, Err(Error::NotFinite { row: 5, .. })), "{found:?}");
}

#[test]
fn a_model_whose_rows_see_each_other_is_refused() {
    let Model { field, prediction, schedule } = gaussian(Ou);
    let field = with_batching(field, Batching { rowwise: false, ..Batching::default() }).unwrap();
    let model = Model { field, prediction, schedule };
    let solver = AdaptiveDpmSolver::new(model, 2, both(1e-3), ratios(&Ou, &[5.0, 0.05])).unwrap();
    let found = solver.run(Start::Prior, Keep::Last, 0..3, Noise::new(1), Control::default());
    assert!(matches!(found, Err(Error::Unsupported { method: "AdaptiveDpmSolver", .. })), "{found:?}");
}

/// Row i of a model that is not finite below the ratio `walls[i]`: the lowest row is reported, not the first to get there.
#[test]
fn of_several_failing_rows_the_lowest_is_reported() {
    let walls = [0.0, 0.0, 1.0, 0.0, 3.0, 0.4];
    let eval = move |batch: &Batch<'_, f64>, out: &mut ArrayRef2<f64>| {
        for (i, (out, &row)) in out.iter_mut().zip(batch.rows()).enumerate() {
            let time = batch.times().get(i).t;
            *out = if time < walls[row as usize] { f64::NAN } else { 0.3 * time };
        }
        Ok(())
    };
    let model = || Model::new(from_fn(1, eval), Prediction::Noise, Edm);
    for nodes in [vec![10.0, 0.1], vec![10.0, 4.0, 1.0, 0.1]] {
        let solver = AdaptiveDpmSolver::new(model(), 2, both(1e-3), TimeGrid::from_nodes(nodes).unwrap());
        let solver = solver.unwrap();
        for (rows, lowest) in [(0..6, 2), (3..6, 4), (5..6, 5)] {
            let run = solver.run(Start::Point(&[7.0]), Keep::Last, rows, Noise::new(1), Control::default());
            assert!(matches!(run, Err(Error::NotFinite { row, .. }) if row == lowest), "{run:?}");
        }
    }
}
