//! States between the nodes of adaptive steps.
//!
//! Statistical tests: one family at 10⁻³ for the laws between the nodes.

use std::cell::Cell;

use numeric::ndarray::{Array2, ArrayRef2, array, s};
use numeric::{
    Batch, Batching, Brownian, Control, Error, Noise, Time, TimeGrid, from_fn, from_row_fn, with_batching,
};
use sde_core::integrator::{EulerMaruyama, Milstein, Sra1, Sra3};
use sde_core::{
    AdaptiveSolver, Additive, Component, Covariance, Integrator, Keep, Mixture, Ou, ReverseTime, Sde, Solver,
    Start, Statistics, Tolerance, Trajectory,
};
use statrs::distribution::{ContinuousCDF, Normal};
use verify::{Family, Moments, kolmogorov_smirnov, normal_p_value, scores, seed};

use super::{everywhere, grid, path_at};

fn tolerance(both: f64) -> Tolerance {
    Tolerance { relative: both, absolute: both }
}

/// `dX = −rate X dt + dW` and beside it `dY = dW`: the first chooses the steps, the second is the path.
fn stiff(rate: f64) -> impl Sde<f64> {
    let drift = from_row_fn(2, move |_, x, out: &mut [f64]| {
        out.copy_from_slice(&[-rate * x[0], 0.0]);
        Ok(())
    });
    Additive::new(drift, &array![[1.0], [1.0]]).unwrap()
}

/// The states are those of the path of the run, whatever was rejected: Y is W of the tree, and X that of many fixed steps.
#[test]
fn states_are_those_of_the_path_of_the_tree() {
    let (grid, noise, rows) = (grid(1.0, 2), Noise::new(seed(11)), 0..200);
    let times: Vec<f64> = (1..=40).map(|j| j as f64 / 41.0).chain([1.0 - 1e-9, 1.0]).collect();
    let solver = AdaptiveSolver::new(stiff(60.0), Sra1, grid.clone(), tolerance(1e-4)).unwrap();
    let start = Start::Point(&[0.0; 2]);
    let run = solver.run_at(start, &times, rows.clone(), noise, Control::default()).unwrap();
    assert!(run.statistics.rejected > 200 * 4, "{:?}", run.statistics);
    let lengths = grid.lengths();
    let brownian = Brownian::with_area(noise.fork("path"), &lengths).unwrap();
    let numbers: Vec<u64> = rows.clone().collect();
    let fast = stiff(60.0);
    let fine = Solver::new(&fast, Sra1, grid).unwrap().refined(9);
    let fine = fine.run_at(start, &times, rows, noise, Control::default()).unwrap();
    for (j, &t) in times.iter().enumerate() {
        assert!((run.times[j].t - t).abs() < 1e-12 && (fine.times[j].t - t).abs() < 1e-12);
        let cell = u64::from(t >= 0.5);
        let tick = brownian.tick(cell, t - 0.5 * cell as f64).unwrap();
        let w = path_at(&brownian, cell, tick, &numbers);
        let mut gaps: Vec<f64> = (0..200)
            .map(|i| {
                assert!((run.states[(i, j, 1)] - w[(i, 0)]).abs() < 1e-13, "{t}");
                (run.states[(i, j, 0)] - fine.states[(i, j, 0)]).abs()
            })
            .collect();
        gaps.sort_by(f64::total_cmp);
        // X has standard deviation 0.09, and moves by 0.01 in the shortest steps. No law but a guard, with much room: of nine
        // rows in ten, as an error is overlooked by chance in a few.
        assert!(gaps[180] < 2e-4, "{t}: {}", gaps[180]);
    }
}

/// The path of a run, seen in Y, is that of fixed steps of the same method, and which tree that is says the method: that
/// without areas where it needs increments only.
#[test]
fn methods_go_along_the_path_of_their_fixed_runs() {
    let (grid, noise, rows) = (grid(1.0, 2), Noise::new(seed(17)), 3..153);
    let times: Vec<f64> = (1..=40).map(|j| j as f64 / 41.0).chain([1.0 - 1e-9, 1.0]).collect();
    let (lengths, numbers) = (grid.lengths(), rows.clone().collect::<Vec<u64>>());
    let alone = Brownian::new(noise.fork("path"), &lengths).unwrap();
    let with_areas = Brownian::with_area(noise.fork("path"), &lengths).unwrap();
    let (sde, start) = (stiff(60.0), Start::Point(&[0.0; 2]));
    let methods = [(&Milstein as &dyn Integrator<f64>, alone), (&EulerMaruyama, alone), (&Sra1, with_areas)];
    for (method, brownian) in methods {
        let name = method.name();
        let solver = AdaptiveSolver::new(&sde, method, grid.clone(), tolerance(3e-3)).unwrap();
        let run = solver.run_at(start, &times, rows.clone(), noise, Control::default()).unwrap();
        assert!(run.statistics.rejected > 2 * 150, "{name}: {:?}", run.statistics);
        let fixed = Solver::new(&sde, method, grid.clone()).unwrap();
        let fixed = fixed.run_at(start, &times, rows.clone(), noise, Control::default()).unwrap();
        for (j, &t) in times.iter().enumerate() {
            let cell = u64::from(t >= 0.5);
            let tick = brownian.tick(cell, t - 0.5 * cell as f64).unwrap();
            let w = path_at(&brownian, cell, tick, &numbers);
            for i in 0..150 {
                let y = run.states[(i, j, 1)];
                assert!((y - fixed.states[(i, j, 1)]).abs() < 1e-13, "{name}, {t}");
                assert!((y - w[(i, 0)]).abs() < 1e-13, "{name}, {t}");
            }
        }
    }
}

/// Where every step is accepted as it is, the run is that of fixed steps with the cells halved once, also between.
#[test]
fn without_rejections_it_is_the_fixed_run() {
    let (grid, noise, start) = (grid(1.0, 8), Noise::new(seed(12)), Start::Point(&[1.0, 0.0][..]));
    let times = [0.0, 0.01, 0.0625, 0.1, 0.125, 0.3, 0.3125, 0.33, 0.999, 1.0];
    let loose = AdaptiveSolver::new(stiff(1.0), Sra3, grid.clone(), tolerance(1e3)).unwrap();
    let adaptive = loose.run_at(start, &times, 3..73, noise, Control::default()).unwrap();
    let sde = stiff(1.0);
    let fixed = Solver::new(&sde, Sra3, grid).unwrap().refined(1);
    let fixed = fixed.run_at(start, &times, 3..73, noise, Control::default()).unwrap();
    assert_eq!((&adaptive.states, &adaptive.times), (&fixed.states, &fixed.times));
    // Five of the times are nodes or middles of cells.
    let calls = 3 * (3 * 70 * 8 + 70 * 5);
    assert_eq!(adaptive.statistics, Statistics { calls, accepted: 70 * 8, rejected: 0 });
}

/// Back in time, in `f32`, one row in one dimension.
#[test]
fn grids_may_run_back() {
    let component =
        |mean| Component { weight: 0.5, mean: array![mean], covariance: Covariance::Isotropic(0.04) };
    let data = Mixture::new(vec![component(-1.0), component(1.0)]).unwrap();
    let sde = ReverseTime::new(data.score::<f32, _>(Ou), 1.0).unwrap();
    let back = TimeGrid::from_nodes(vec![2.0, 1.0, 0.5, 0.125]).unwrap();
    let times = [2.0, 1.9, 1.5, 0.7, 0.3, 0.125];
    let (noise, start) = (Noise::new(seed(16)), Start::Point(&[0.3_f32][..]));
    let loose = AdaptiveSolver::new(&sde, Sra1, back.clone(), tolerance(1e6)).unwrap();
    let adaptive = loose.run_at(start, &times, 8..9, noise, Control::default()).unwrap();
    let fixed = Solver::new(&sde, Sra1, back.clone()).unwrap().refined(1);
    let fixed = fixed.run_at(start, &times, 8..9, noise, Control::default()).unwrap();
    assert_eq!((&adaptive.states, &adaptive.times), (&fixed.states, &fixed.times));
    assert_eq!(adaptive.states[(0, 0, 0)], 0.3);
    let strict = AdaptiveSolver::new(&sde, Sra1, back, tolerance(1e-3)).unwrap();
    assert!(strict.run_at(start, &[0.3, 0.4], 8..9, noise, Control::default()).is_err());
    let run = strict.run_at(start, &times, 8..9, noise, Control::default()).unwrap();
    assert!(run.statistics.rejected > 0 && run.states.iter().all(|x| x.abs() < 4.0));
}

/// For every method that adaptive steps take.
#[test]
fn nodes_keep_their_bits_and_times_their_states() {
    let noise = Noise::new(seed(13));
    let start = Array2::from_shape_fn((70, 2), |(i, j)| 0.01 * (i + j) as f64 - 0.3);
    let (seen, rejected) = (Cell::new(0), Cell::new(0));
    everywhere(|fixed| {
        let (sde, name) = (fixed.sde(), fixed.integrator().name());
        let size = tolerance(3e-3);
        let Ok(solver) = AdaptiveSolver::new(sde, fixed.integrator(), fixed.grid().clone(), size) else {
            return;
        };
        seen.set(seen.get() + 1);
        let run = |times: &[f64]| {
            solver.run_at(Start::Rows(&start), times, 5..75, noise, Control::default()).unwrap()
        };
        let nodes = solver.run(Start::Rows(&start), Keep::All, 5..75, noise, Control::default()).unwrap();
        rejected.set(rejected.get() + u64::from(nodes.statistics.rejected > 50));
        let grid = fixed.grid();
        let alone = run(&grid.nodes().iter().map(|node| node.t).collect::<Vec<_>>());
        assert_eq!(alone, nodes);
        let steps = grid.steps();
        let cut: Vec<f64> = (0..=6 * steps)
            .map(|j| if j % 6 == 0 { grid.node(j / 6).t } else { j as f64 / (6 * steps) as f64 })
            .collect();
        let all = run(&cut);
        for k in 0..=steps {
            let [a, b] = [&all.states.slice(s![.., 6 * k, ..]), &nodes.states.slice(s![.., k, ..])];
            assert_eq!(a, b, "{name}");
        }
        let counts = |statistics: Statistics| (statistics.accepted, statistics.rejected);
        assert_eq!(counts(all.statistics), counts(nodes.statistics));
        // Thirds and sixths are ends of no halves; the middles of the cells always are.
        let parts = 70 * 4 * steps * fixed.integrator().calls();
        assert_eq!(all.statistics.calls, nodes.statistics.calls + parts as u64, "{name}");
        // Of itself, whatever else was asked for, and in any shard.
        for j in [8, 9, 25] {
            let one = run(&cut[j..=j]);
            assert_eq!(one.states.slice(s![.., 0, ..]), all.states.slice(s![.., j, ..]), "{name}");
            let part = start.slice(s![10..30, ..]).to_owned();
            let shard =
                solver.run_at(Start::Rows(&part), &cut[j..=j], 15..35, noise, Control::default()).unwrap();
            assert_eq!(shard.states, one.states.slice(s![10..30, .., ..]));
        }
        // Towards the nodes.
        let close = 2_f64.powi(-30) / steps as f64;
        let near = run(&[cut[6] - close, cut[6] + close]);
        for j in 0..2 {
            let gap = &near.states.slice(s![.., j, ..]) - &nodes.states.slice(s![.., 1, ..]);
            let gap = gap.iter().fold(0.0_f64, |max, e| max.max(e.abs()));
            assert!(gap > 1e-8 && gap < 3e-4, "{name}: {gap}");
        }
    });
    // Most of the runs reject: those of methods on additive noise; the equation with other noise is too gentle.
    assert_eq!(seen.get(), 22);
    assert!(rejected.get() >= 10, "{}", rejected.get());
}

#[test]
fn rows_do_not_see_each_other() {
    let run = |block: usize, rows: std::ops::Range<u64>| {
        let drift = from_row_fn(1, |time: Time, x, out: &mut [f64]| {
            out[0] = -(1.0 + 50.0 * (time.t * 9.0).sin().powi(2)) * x[0] + x[0].sin();
            Ok(())
        });
        let field = with_batching(drift, Batching { rows: block, ..Batching::default() }).unwrap();
        let sde = Additive::<f64, _>::new(field, &array![[0.5]]).unwrap();
        let solver = AdaptiveSolver::new(sde, Sra1, grid(1.0, 3), tolerance(1e-3)).unwrap();
        let times = [0.01, 0.2, 0.201, 0.5, 0.77];
        solver.run_at(Start::Point(&[1.0]), &times, rows, Noise::new(seed(14)), Control::default()).unwrap()
    };
    let whole = run(64, 0..150);
    assert!(whole.statistics.rejected > 150);
    assert_eq!(run(7, 0..150), whole);
    let [mut first, second] = [run(64, 0..33), run(64, 33..150)];
    assert_eq!(first.states, whole.states.slice(s![..33, .., ..]));
    assert_eq!(second.states, whole.states.slice(s![33.., .., ..]));
    first.statistics += second.statistics;
    assert_eq!(first.statistics, whole.statistics);
    assert_eq!(run(64, 4..4).states.dim(), (0, 5, 1));
}

/// Tests of a sample for a normal law of mean 0.
fn push(family: &mut Family, name: String, sample: &[f64], variance: f64) {
    let (mean, std_dev) = (0.0, variance.sqrt());
    let law = Normal::new(mean, std_dev).unwrap();
    family.push(format!("{name}, KS"), kolmogorov_smirnov(sample, |x| law.cdf(x)).unwrap().p_value);
    let found = scores(sample, &Moments { mean, std_dev, kurtosis: 3.0 }).unwrap();
    family.push(format!("{name}, Z"), found.z_p_value());
    family.push(format!("{name}, Y"), found.y_p_value());
}

/// `a + c b`.
fn combine(a: &[f64], c: f64, b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a + c * b).collect()
}

/// Y of [`stiff`] as the bridge from (0, 0) to (½, W(½)), the last of the times: at each time and from each to the next.
fn push_bridges(family: &mut Family, method: &str, run: &Trajectory<f64>, times: &[f64; 6]) {
    let w = |j: usize| run.states.slice(s![.., j, 1]).to_vec();
    let end = w(5);
    for (j, &t) in times[..5].iter().enumerate() {
        let name = format!("{method}: bridge at {t}");
        push(family, name, &combine(&w(j), -t / 0.5, &end), t * (0.5 - t) / 0.5);
        let (next, left) = (times[j + 1], 0.5 - t);
        if next < 0.5 {
            // Given W(t) and W(½), both known.
            let part = (next - t) / left;
            let sample = combine(&combine(&w(j + 1), -(1.0 - part), &w(j)), -part, &end);
            let name = format!("{method}: bridge from {t} to {next}");
            push(family, name, &sample, (next - t) * (0.5 - next) / left);
        }
    }
}

/// Under many rejections: the path given its values at the nodes is the Brownian bridge, and the fast coordinate an
/// Ornstein–Uhlenbeck process at each time and from one time to another.
#[test]
fn rejections_do_not_touch_the_law_between_the_nodes() {
    let (rate, n) = (100.0, 10_000);
    let solver = AdaptiveSolver::new(stiff(rate), Sra1, grid(0.5, 1), tolerance(1e-3)).unwrap();
    // 0.07 and 0.071 often lie in one half, 0.13 and 0.27 never.
    let times = [0.07, 0.071, 0.13, 0.27, 0.49, 0.5];
    let start = Start::Point(&[0.2, 0.0]);
    let run = solver.run_at(start, &times, 0..n, Noise::new(seed(15)), Control::default()).unwrap();
    assert!(run.statistics.rejected > 5 * n, "{:?}", run.statistics);
    let mut family = Family::new(1e-3).unwrap();
    push_bridges(&mut family, "Sra1", &run, &times);
    let x = |j: usize| run.states.slice(s![.., j, 0]).to_vec();
    // Of an exact transition: the mean and the variance of exact steps of OU.
    let decay = |t: f64| (-rate * t).exp();
    let variance = |t: f64| -(-2.0 * rate * t).exp_m1() / (2.0 * rate);
    for (j, &t) in times.iter().enumerate() {
        let sample = combine(&x(j), -1.0, &vec![0.2 * decay(t); n as usize]);
        push(&mut family, format!("X at {t}"), &sample, variance(t));
        if let Some(&next) = times.get(j + 1) {
            let sample = combine(&x(j + 1), -decay(next - t), &x(j));
            push(&mut family, format!("X from {t} to {next}"), &sample, variance(next - t));
            // Independent of where it starts: the sum of products has mean 0 and a known variance.
            let centred = combine(&x(j), -1.0, &vec![0.2 * decay(t); n as usize]);
            let products = sample.iter().zip(&centred).map(|(a, b)| a * b).sum::<f64>();
            let spread = (variance(next - t) * variance(t) * n as f64).sqrt();
            family.push(format!("X from {t} to {next}, start"), normal_p_value(products / spread));
        }
    }

    // On the tree without areas: the increments of what was rejected are split by another conditional law.
    let solver = AdaptiveSolver::new(stiff(rate), Milstein, grid(0.5, 1), tolerance(1e-2)).unwrap();
    let run = solver.run_at(start, &times, 0..n, Noise::new(seed(18)), Control::default()).unwrap();
    assert!(run.statistics.rejected > 2 * n, "{:?}", run.statistics);
    push_bridges(&mut family, "Milstein", &run, &times);
    family.assert();
}

#[test]
fn what_is_wrong_is_named() {
    let solver = AdaptiveSolver::new(stiff(1.0), Sra1, grid(1.0, 4), tolerance(0.1)).unwrap();
    let (noise, control, start) = (Noise::new(1), Control::default(), Start::Point(&[0.0, 0.0][..]));
    let run = |times: &[f64]| solver.run_at(start, times, 0..2, noise, control);
    for (times, wrong) in [
        (&[0.1, 0.3, 0.2][..], 2),
        (&[0.1, 0.1], 1),
        (&[-1e-300], 0),
        (&[0.5, 1.0 + 1e-15], 1),
        (&[0.2, f64::NAN], 1),
        (&[f64::INFINITY], 0),
        (&[0.3, 0.3 + 1e-15], 1),
    ] {
        let error = run(times).unwrap_err();
        let found = matches!(error, Error::Entry { parameter: "times", index, .. } if index == wrong);
        assert!(found, "{times:?}: {error}");
    }
    assert_eq!(run(&[]).unwrap().states.dim(), (2, 0, 2));
    let refused = solver.run_at(Start::Prior, &[0.1], 0..2, noise, control).unwrap_err();
    assert!(matches!(refused, Error::Unsupported { .. }), "{refused}");
    let refused = solver.run_at(Start::Point(&[0.0]), &[0.1], 0..2, noise, control).unwrap_err();
    assert!(matches!(refused, Error::Shape { .. }), "{refused}");
}

/// Stages of the parts may see what those of the steps do not: from row 2 on, a drift that is NaN near 0.3.
#[test]
fn of_several_rows_that_fail_between_the_nodes_the_lowest_is_reported() {
    let drift = from_fn(1, move |batch: &Batch<'_, f64>, out: &mut ArrayRef2<f64>| {
        for (i, (out, &row)) in out.iter_mut().zip(batch.rows()).enumerate() {
            let hole = row >= 2 && (batch.times().get(i).t - 0.3).abs() < 1e-3;
            *out = if hole { f64::NAN } else { 1.0 };
        }
        Ok(())
    });
    let sde = Additive::<f64, _>::new(drift, &array![[0.1]]).unwrap();
    let solver = AdaptiveSolver::new(sde, Sra1, grid(1.0, 1), tolerance(10.0)).unwrap();
    let run = |times: &[f64], rows| {
        solver.run_at(Start::Point(&[0.0]), times, rows, Noise::new(1), Control::default())
    };
    // SRA1 looks at 0 and ¾ of a step: of [0, 0.4] at 0.3.
    for (rows, lowest) in [(0..5, 2), (3..5, 3)] {
        let error = run(&[0.1, 0.4], rows).unwrap_err();
        assert!(matches!(error, Error::NotFinite { row, step: 0, .. } if row == lowest), "{error}");
    }
    assert!(run(&[0.4], 0..2).is_ok());
    assert!(run(&[0.1, 0.45, 0.5], 0..5).is_ok());
}
