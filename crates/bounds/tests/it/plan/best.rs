//! The planned grid against all grids of a mesh, the usual ones and random ones.

use bounds::curve::{ErrorCurve, GaussianCurve, ScalarMixtureCurve, TabulatedCurve};
use bounds::plan::{Start, optimal_grid};
use bounds::terms::{Scheme, discretization};
use numeric::TimeGrid;

use super::{all_schemes, mixture, plateaus, uniforms};
use crate::grids::{geometric_v, two_phase};

/// The term of the grid of one step between any two of the clocks, from the earlier to the later; that of a longer grid is
/// the sum of its steps.
fn steps_between(
    scheme: &Scheme,
    curve: &ScalarMixtureCurve,
    clocks: &[f64],
) -> impl Fn(usize, usize) -> f64 + use<> {
    let term =
        |nodes| discretization(scheme, curve, &TimeGrid::from_nodes(nodes).expect("a grid")).expect("a term");
    let n = clocks.len();
    let table: Vec<f64> = (0..n * n)
        .map(|at| if at / n < at % n { term(vec![clocks[at / n], clocks[at % n]]) } else { f64::NAN })
        .collect();
    let (sum, whole) = (table[1] + table[n + 3], term(vec![clocks[0], clocks[1], clocks[3]]));
    assert!((sum / whole - 1.0).abs() < 1e-12, "{scheme:?}: {sum} {whole}");
    move |i, j| table[i * n + j]
}

#[test]
fn three_steps_are_the_best_of_all_on_the_mesh() {
    let mesh = geometric_v(3.0, 0.05, 10);
    let clocks: Vec<f64> = mesh.nodes().iter().map(|node| node.t).collect();
    for scheme in all_schemes(1) {
        let plan = optimal_grid(&scheme, &mixture(), &mesh, Start::Fixed, 3).expect("a plan");
        let step = steps_between(&scheme, &mixture(), &clocks);
        let mut least = f64::INFINITY;
        let end = mesh.steps();
        for i in 1..end - 1 {
            for j in i + 1..end {
                least = least.min(step(0, i) + step(i, j) + step(j, end));
            }
        }
        assert!((plan.on_mesh / least - 1.0).abs() < 1e-9, "{scheme:?}: {} {least}", plan.on_mesh);
        assert!(
            plan.discretization <= least * (1.0 + 1e-12) && plan.residual <= 1e-6,
            "{scheme:?}: {plan:?}"
        );
        let again = discretization(&scheme, &mixture(), &plan.grid).expect("a term");
        assert_eq!(again, plan.discretization);
        assert_eq!((plan.grid.first().t, plan.grid.last().t), (3.0, 0.05));
    }
}

#[test]
fn the_free_start_is_the_best_of_all() {
    let mesh = geometric_v(4.0, 0.05, 16);
    let curve = mixture();
    for scheme in [Scheme::FrozenDenoiser, Scheme::EulerMaruyama] {
        let plan = optimal_grid(&scheme, &curve, &mesh, Start::Free, 2).expect("a plan");
        let clocks: Vec<f64> = mesh.nodes().iter().map(|node| node.t).collect();
        let step = steps_between(&scheme, &curve, &clocks);
        let mut least = f64::INFINITY;
        let end = mesh.steps();
        for (i, &clock) in clocks.iter().enumerate().take(end - 1) {
            let start = curve.relative_entropy(clock);
            for j in i + 1..end {
                least = least.min(start + step(i, j) + step(j, end));
            }
        }
        assert!((plan.on_mesh / least - 1.0).abs() < 1e-9);
        assert!(plan.total() <= least && plan.grid.first().t < 4.0);
        // The start is stationary too: to move it by a thousandth gains nothing.
        for factor in [0.999, 1.001] {
            let mut moved: Vec<f64> = plan.grid.nodes().iter().map(|node| node.t).collect();
            moved[0] *= factor;
            let grid = TimeGrid::from_nodes(moved.clone()).expect("a grid");
            let term = discretization(&scheme, &curve, &grid).expect("a term");
            assert!(curve.relative_entropy(moved[0]) + term > plan.total());
        }
    }
}

/// Best of the usual grids, of a thousand disturbed ones and of a hundred from elsewhere.
fn cannot_be_beaten(scheme: &Scheme, curve: &dyn ErrorCurve, steps: usize, seed: u64) {
    let (horizon, stop) = (3.0, 1e-4);
    let mesh = geometric_v(horizon, stop, 1500);
    let plan = optimal_grid(scheme, curve, &mesh, Start::Fixed, steps).expect("a plan");
    let cost = |grid: &TimeGrid| discretization(scheme, curve, grid).expect("a term");
    let best = plan.discretization * (1.0 - 1e-9);
    assert!(cost(&geometric_v(horizon, stop, steps)) > best && cost(&two_phase(horizon, stop, steps)) > best);
    let x: Vec<f64> = plan.grid.nodes().iter().map(|node| (2.0 * node.t).exp_m1().ln()).collect();
    let grid_of = |x: &[f64]| {
        let mut clocks: Vec<f64> = x.iter().map(|x| 0.5 * x.exp().ln_1p()).collect();
        (clocks[0], clocks[steps]) = (horizon, stop);
        TimeGrid::from_nodes(clocks).expect("a grid")
    };
    for trial in 0..1000 {
        // From a few ten-thousandths of a step to nearly half of one.
        let size = 0.45 * 10f64.powf(-3.5 * (trial as f64 / 1000.0));
        let moves = uniforms(seed, trial, steps + 1);
        let moved: Vec<f64> = (0..=steps)
            .map(|k| {
                if k == 0 || k == steps {
                    return x[k];
                }
                let room = (x[k - 1] - x[k]).min(x[k] - x[k + 1]);
                x[k] + size * room * (2.0 * moves[k] - 1.0)
            })
            .collect();
        assert!(
            cost(&grid_of(&moved)) > best,
            "{scheme:?} trial {trial}: {:e}",
            cost(&grid_of(&moved)) / best - 1.0
        );
    }
    for trial in 0..100 {
        let mut between: Vec<f64> =
            uniforms(seed + 1, trial, steps - 1).iter().map(|u| x[0] + u * (x[steps] - x[0])).collect();
        between.sort_by(|a, b| b.total_cmp(a));
        let nodes: Vec<f64> = [x[0]].into_iter().chain(between).chain([x[steps]]).collect();
        assert!(cost(&grid_of(&nodes)) > best, "restart {trial}");
    }
}

#[test]
fn optimal_grids_cannot_be_beaten() {
    let gaussian = GaussianCurve::new(vec![0.05, 0.5, 3.0], 1.0).expect("a curve");
    for (k, scheme) in all_schemes(3).iter().take(7).enumerate() {
        cannot_be_beaten(scheme, &gaussian, 16, 100 + 2 * k as u64);
    }
    let table =
        |curve: &dyn ErrorCurve| TabulatedCurve::of(curve, &geometric_v(3.5, 1e-4, 900)).expect("a table");
    cannot_be_beaten(&Scheme::FrozenDenoiser, &table(&mixture()), 20, 130);
    // Three plateaus, where many grids are nearly stationary.
    cannot_be_beaten(&Scheme::FrozenDenoiser, &table(&plateaus()), 12, 140);
    cannot_be_beaten(&Scheme::FrozenScore, &table(&plateaus()), 12, 150);
}
