//! Adaptive steps: along the path that fixed steps see, with its law whatever was rejected.
//!
//! Statistical tests: one family of Kolmogorov–Smirnov tests at 10⁻³ in all.

use std::sync::atomic::{AtomicU64, Ordering};

use numeric::ndarray::{Array2, ArrayRef2, array, s};
use numeric::{
    Batch, Batching, Brownian, Control, Error, Node, Noise, TimeGrid, VectorField, from_fn, from_row_fn,
    with_batching,
};
use sde_core::integrator::{EulerMaruyama, LevyMilstein, Milstein, Sra1, Sri1W1};
use sde_core::{
    AdaptiveSolver, Additive, Component, Covariance, GeometricBrownian, Integrator, Keep, Mixture, Ou,
    ReverseTime, Sde, Solver, Start, Statistics, Tolerance,
};
use statrs::distribution::{ContinuousCDF, Normal};
use verify::{Family, kolmogorov_smirnov, seed};

fn tolerance(both: f64) -> Tolerance {
    Tolerance { relative: both, absolute: both }
}

fn grid(end: f64, steps: usize) -> TimeGrid {
    TimeGrid::uniform(0.0, end, steps).unwrap()
}

/// `W` at the end of the grid: its cells are the same in the tree with areas and in that without.
fn final_path(grid: &TimeGrid, noise: Noise, n: u64, m: usize) -> Array2<f64> {
    let (lengths, rows) = (grid.lengths(), (0..n).collect::<Vec<_>>());
    let brownian = Brownian::with_area(noise.fork("path"), &lengths).unwrap();
    let (mut sum, mut w) = (Array2::zeros((n as usize, m)), Array2::zeros((n as usize, m)));
    for cell in 0..lengths.len() {
        brownian.increments_into(&rows, Node::whole(cell as u64), &mut w);
        sum += &w;
    }
    sum
}

/// Against the closed solution on the same path: the error is below the sum of the errors let pass, and falls at least
/// as fast as that sum and at most as fast as with steps that were not chosen: the documented exponents, 0.05 wider.
#[test]
fn errors_follow_the_tolerance_on_the_same_path() {
    fn check(integrator: impl Integrator<f64> + Copy, order: f64) {
        let (grid, noise, n) = (grid(1.0, 3), Noise::new(seed(1)), 1000);
        let w = final_path(&grid, noise, n, 1);
        let exact = w.mapv(|w| (0.1 - 0.5 * 0.49 + 0.7 * w).exp());
        let error = |size: f64| {
            let stock = GeometricBrownian::new(1, 0.1, 0.7).unwrap();
            let size = Tolerance { relative: size, absolute: size * 1e-3 };
            let solver = AdaptiveSolver::new(stock, integrator, grid.clone(), size).unwrap();
            let run = solver.run(Start::Point(&[1.0]), Keep::Last, 0..n, noise, Control::default()).unwrap();
            let states = run.states.into_shape_with_order((n as usize, 1)).unwrap();
            // In the mean of sizes: squares would be those of a few rows.
            let relative = (states / &exact).mapv(|ratio| (ratio - 1.0).abs()).mean().unwrap();
            let steps = run.statistics.accepted as f64 / n as f64;
            assert!(relative < steps * size.relative, "{}: {relative}, {steps}", integrator.name());
            relative
        };
        let found = (error(1e-2) / error(1e-4)).log10() / 2.0;
        let (all_add, all_cancel) = ((order - 0.5) / (order + 0.5), order / (order + 0.5));
        assert!(found > all_add - 0.05 && found < all_cancel + 0.05, "{}: {found}", integrator.name());
    }
    check(Milstein, 1.0);
    check(Sri1W1, 1.5);
}

/// A drift of rate 200 forces rejections everywhere; beside it a coordinate that is the Brownian motion itself. The
/// end of the latter is the sum of the whole cells, the former has the stationary law of the equation.
#[test]
fn rejections_do_not_touch_the_law() {
    let (rate, end, n) = (200.0, 1.0, 4000);
    let drift = || {
        from_row_fn(2, move |_, x, out: &mut [f64]| {
            out[0] = -rate * x[0];
            out[1] = 0.0;
            Ok(())
        })
    };
    let (grid, noise) = (grid(end, 2), Noise::new(seed(2)));
    let sde = Additive::new(drift(), &array![[1.0], [1.0]]).unwrap();
    let solver = AdaptiveSolver::<f64, _, _>::new(sde, EulerMaruyama, grid.clone(), tolerance(2e-3)).unwrap();
    let run = solver.run(Start::Point(&[0.0; 2]), Keep::Last, 0..n, noise, Control::default()).unwrap();
    assert!(run.statistics.rejected > 20 * n, "{:?}", run.statistics);
    let w = final_path(&grid, noise, n, 1);
    for (x, w) in run.states.slice(s![.., 0, 1]).iter().zip(&w) {
        assert!((x - w).abs() < 1e-12);
    }
    let mut family = Family::new(1e-3).unwrap();
    let fast: Vec<f64> = run.states.slice(s![.., 0, 0]).to_vec();
    let law = Normal::new(0.0, (0.5 / rate).sqrt()).unwrap();
    family.push("fast", kolmogorov_smirnov(&fast, |x| law.cdf(x)).unwrap().p_value);
    // Given W(1), its value at 1 has mean W(1)/(rate) and nearly all of its variance: it is made of the last 1/rate.
    let slope = fast.iter().zip(&w).map(|(x, w)| x * w).sum::<f64>() / w.iter().map(|w| w * w).sum::<f64>();
    let conditional: Vec<f64> = fast.iter().zip(&w).map(|(x, w)| x - w / rate).collect();
    let law = Normal::new(0.0, (0.5 / rate - 1.0 / (rate * rate)).sqrt()).unwrap();
    assert!((slope - 1.0 / rate).abs() < 4.5 * (0.5 / rate / n as f64).sqrt(), "{slope}");
    family.push("given the end", kolmogorov_smirnov(&conditional, |x| law.cdf(x)).unwrap().p_value);

    // The reverse diffusion of a two-point mixture, adaptively: the law at δ. The horizon's N(0, 1) is off by e^{−2T}.
    let component =
        |mean, weight| Component { weight, mean: array![mean], covariance: Covariance::Isotropic(0.04) };
    let data = Mixture::new(vec![component(-1.0, 0.3), component(1.0, 0.7)]).unwrap();
    let (horizon, stop) = (6.0, 0.01);
    let mut start = Array2::zeros((4000, 1));
    Noise::new(seed(3)).normals_into(&(0..4000).collect::<Vec<_>>(), 0, &mut start);
    let sde = ReverseTime::new(data.score::<f64, _>(Ou), 1.0).unwrap();
    let back = TimeGrid::from_nodes(vec![horizon, 1.0, stop]).unwrap();
    let solver = AdaptiveSolver::new(sde, Sra1, back, tolerance(1e-3)).unwrap();
    let run = solver
        .run(Start::Rows(&start), Keep::Last, 0..4000, Noise::new(seed(4)), Control::default())
        .unwrap();
    let (alpha, sigma2) = ((-stop).exp(), -(-2.0 * stop).exp_m1());
    let cdf = |x: f64| {
        let std = (alpha * alpha * 0.04 + sigma2).sqrt();
        let of = |mean: f64| Normal::new(alpha * mean, std).unwrap().cdf(x);
        0.3 * of(-1.0) + 0.7 * of(1.0)
    };
    let x: Vec<f64> = run.states.iter().copied().collect();
    family.push("reverse diffusion", kolmogorov_smirnov(&x, cdf).unwrap().p_value);
    family.assert();
}

/// Where every step is accepted as it is, the run is that of fixed steps with the cells halved once: on the tree with areas
/// and on that without.
#[test]
fn without_rejections_it_is_the_fixed_run() {
    let drift = || {
        from_row_fn(1, |_, x, out: &mut [f64]| {
            out[0] = -x[0];
            Ok(())
        })
    };
    let sde = Additive::new(drift(), &array![[0.3]]).unwrap();
    let (grid, noise, start) = (grid(1.0, 8), Noise::new(seed(5)), Start::Point(&[1.0][..]));
    let nodes: Vec<usize> = (0..=8).map(|k| 2 * k).collect();
    for method in [&Sra1 as &dyn Integrator<f64>, &Milstein] {
        let loose = AdaptiveSolver::new(&sde, method, grid.clone(), tolerance(1e3)).unwrap();
        let adaptive = loose.run(start, Keep::All, 0..70, noise, Control::default()).unwrap();
        let fixed = Solver::new(&sde, method, grid.clone()).unwrap().refined(1);
        let fixed = fixed.run(start, Keep::Nodes(&nodes), 0..70, noise, Control::default()).unwrap();
        assert_eq!(adaptive.states, fixed.states);
        assert_eq!(adaptive.times, fixed.times);
        assert_eq!((adaptive.statistics.accepted, adaptive.statistics.rejected), (70 * 8, 0));
    }
}

/// The statistics are what the drift sees, and the whole step after a rejected one is not among it: in groups in which all,
/// some or none of the rows come from a rejected step.
#[test]
fn calls_are_those_of_the_drift() {
    let seen = AtomicU64::new(0);
    let drift = from_fn(1, |batch: &Batch<'_, f64>, out: &mut ArrayRef2<f64>| {
        seen.fetch_add(batch.rows().len() as u64, Ordering::Relaxed);
        for (i, (out, x)) in out.iter_mut().zip(batch.x()).enumerate() {
            *out = -(1.0 + 50.0 * (batch.times().get(i).t * 9.0).sin().powi(2)) * x;
        }
        Ok(())
    });
    let sde = Additive::new(drift, &array![[0.5]]).unwrap();
    for (method, size) in [(&Sra1 as &dyn Integrator<f64>, 1e-3), (&EulerMaruyama, 1e-2)] {
        let solver = AdaptiveSolver::new(&sde, method, grid(1.0, 3), tolerance(size)).unwrap();
        seen.store(0, Ordering::Relaxed);
        let start = Start::Point(&[1.0][..]);
        let run = solver.run(start, Keep::Last, 0..300, Noise::new(seed(7)), Control::default()).unwrap();
        let Statistics { calls, accepted, rejected } = run.statistics;
        assert!(rejected > 300, "{rejected}");
        assert_eq!(calls, seen.load(Ordering::Relaxed));
        assert_eq!(calls, method.calls() as u64 * (3 * accepted + 2 * rejected));
    }
}

/// x' = −x from 1 over one step of length 1 by Euler: once 0, in two halves ¼. So the error is ¼ of an absolute tolerance,
/// or of a relative one times the larger size, 1; in two coordinates of which one rests, less by √2.
#[test]
fn a_step_is_accepted_exactly_up_to_the_tolerance() {
    let steps = |dim: usize, relative: f64, absolute: f64| {
        let drift = from_row_fn(dim, |_, x, out: &mut [f64]| {
            out.fill(0.0);
            out[0] = -x[0];
            Ok(())
        });
        let sde = Additive::new(drift, &Array2::zeros((dim, 1))).unwrap();
        let size = Tolerance { relative, absolute };
        let solver = AdaptiveSolver::new(sde, EulerMaruyama, grid(1.0, 1), size).unwrap();
        let start = vec![1.0; dim];
        let run =
            solver.run(Start::Point(&start), Keep::Last, 0..1, Noise::new(1), Control::default()).unwrap();
        (run.statistics.accepted, run.statistics.rejected)
    };
    assert_eq!(steps(1, 0.0, 0.25 * (1.0 + 1e-9)), (1, 0));
    assert_eq!(steps(1, 0.0, 0.25 * (1.0 - 1e-9)), (2, 1));
    assert_eq!(steps(1, 0.25, 1e-9), (1, 0));
    assert_eq!(steps(1, 0.25 - 1e-7, 1e-9), (2, 1));
    assert_eq!(steps(2, 0.0, 0.25 / 2_f64.sqrt() * (1.0 + 1e-9)), (1, 0));
    assert_eq!(steps(2, 0.0, 0.25 / 2_f64.sqrt() * (1.0 - 1e-9)), (2, 1));
}

/// The same bits for any shard and any size of blocks.
#[test]
fn rows_do_not_see_each_other() {
    fn sde(rows: usize) -> impl Sde<f64> {
        let drift = from_row_fn(1, |time, x, out: &mut [f64]| {
            out[0] = -(1.0 + 50.0 * (time.t * 9.0).sin().powi(2)) * x[0] + x[0].sin();
            Ok(())
        });
        let field = with_batching(drift, Batching { rows, ..Batching::default() }).unwrap();
        assert_eq!(VectorField::<f64>::batching(&field).rows, rows);
        Additive::new(field, &array![[0.5]]).unwrap()
    }
    let run = |block: usize, rows: std::ops::Range<u64>| {
        let solver = AdaptiveSolver::new(sde(block), EulerMaruyama, grid(1.0, 3), tolerance(1e-2)).unwrap();
        solver.run(Start::Point(&[1.0]), Keep::All, rows, Noise::new(seed(6)), Control::default()).unwrap()
    };
    let whole = run(64, 0..150);
    assert!(whole.statistics.rejected > 150);
    assert_eq!(run(7, 0..150), whole);
    assert_eq!(run(64, 33..90).states, whole.states.slice(s![33..90, .., ..]));
}

#[test]
fn what_cannot_be_solved_is_refused() {
    let stock = || GeometricBrownian::new(1, 0.1, 0.5).unwrap();
    let refused = |error: Error| assert!(matches!(error, Error::Unsupported { .. }), "{error}");
    refused(
        AdaptiveSolver::<f64, _, _>::new(stock(), EulerMaruyama, grid(1.0, 2), tolerance(0.1)).unwrap_err(),
    );
    let levy = LevyMilstein { depth: 2 };
    refused(AdaptiveSolver::<f64, _, _>::new(stock(), levy, grid(1.0, 2), tolerance(0.1)).unwrap_err());
    refused(
        AdaptiveSolver::<f64, _, _>::new(stock(), Milstein, grid(1.0, 2).reversed(), tolerance(0.1))
            .unwrap_err(),
    );
    for bad in [
        Tolerance { relative: -1.0, absolute: 0.1 },
        Tolerance { relative: f64::NAN, absolute: 0.1 },
        Tolerance { relative: 0.1, absolute: 0.0 },
        Tolerance { relative: 0.1, absolute: f64::INFINITY },
    ] {
        let error = AdaptiveSolver::<f64, _, _>::new(stock(), Milstein, grid(1.0, 2), bad).unwrap_err();
        assert!(matches!(error, Error::Domain { .. }), "{error}");
    }
    let solver = AdaptiveSolver::<f64, _, _>::new(stock(), Milstein, grid(1.0, 2), tolerance(0.1)).unwrap();
    let noise = Noise::new(1);
    refused(solver.run(Start::Prior, Keep::Last, 0..1, noise, Control::default()).unwrap_err());
    let shape = solver.run(Start::Point(&[1.0; 2]), Keep::Last, 0..1, noise, Control::default()).unwrap_err();
    assert!(matches!(shape, Error::Shape { .. }));
    // A drift that no step size satisfies: a jump of the drift in time is fine, one that is not a function is not.
    let wild = from_row_fn(1, |_, _, out: &mut [f64]| {
        out[0] = f64::NAN;
        Ok(())
    });
    let sde = Additive::new(wild, &array![[0.1]]).unwrap();
    let solver = AdaptiveSolver::<f64, _, _>::new(sde, EulerMaruyama, grid(1.0, 1), tolerance(0.1)).unwrap();
    let error = solver.run(Start::Point(&[0.0]), Keep::Last, 5..6, noise, Control::default()).unwrap_err();
    assert!(matches!(error, Error::NotFinite { row: 5, .. }), "{error}");
}

/// Row i of a drift that breaks down at `walls[i]`: of the rows of a block the lowest is reported, not the first in time.
#[test]
fn of_several_failing_rows_the_lowest_is_reported() {
    // Between nodes that every run meets: a drift is seen at the starts of steps only.
    let walls = [9.0, 9.0, 0.4, 9.0, 0.2, 0.3];
    let drift = from_fn(1, move |batch: &Batch<'_, f64>, out: &mut ArrayRef2<f64>| {
        for (i, (out, &row)) in out.iter_mut().zip(batch.rows()).enumerate() {
            *out = if batch.times().get(i).t > walls[row as usize] { f64::NAN } else { 1.0 };
        }
        Ok(())
    });
    let sde = Additive::new(drift, &array![[0.1]]).unwrap();
    for steps in [1, 4] {
        let solver =
            AdaptiveSolver::<f64, _, _>::new(&sde, EulerMaruyama, grid(1.0, steps), tolerance(0.1)).unwrap();
        let failing = |rows| {
            let start = Start::Point(&[0.0]);
            solver.run(start, Keep::Last, rows, Noise::new(1), Control::default()).unwrap_err()
        };
        for (rows, lowest) in [(0..6, 2), (3..6, 4), (5..6, 5)] {
            let error = failing(rows);
            assert!(matches!(error, Error::NotFinite { row, .. } if row == lowest), "{error}");
        }
    }
}

/// The rows that try a step together change from step to step: rows that see each other would not be functions of
/// (seed, row).
#[test]
fn equations_whose_rows_see_each_other_are_refused() {
    let drift = from_fn(1, |batch: &Batch<'_, f64>, out: &mut ArrayRef2<f64>| {
        out.fill(batch.x().sum());
        Ok(())
    });
    let drift = with_batching(drift, Batching { rowwise: false, ..Batching::default() }).unwrap();
    let equation = Additive::new(drift, &array![[1.0]]).unwrap();
    let refused = AdaptiveSolver::<f64, _, _>::new(equation, Sra1, grid(1.0, 2), tolerance(1e-2));
    assert!(matches!(refused, Err(Error::Unsupported { method: "Sra1", .. })));
}
