//! The two grids of the reference tables, and how numbers are compared with them.

use bounds::curve::GaussianCurve;
use numeric::TimeGrid;

/// `v_k = v_0 (v_N/v_0)^{k/N}` in the clock `τ = ½ log(1 + v)`.
pub(crate) fn geometric_v(horizon: f64, stop: f64, steps: usize) -> TimeGrid {
    let (first, last) = ((2.0 * horizon).exp_m1(), (2.0 * stop).exp_m1());
    let mut nodes: Vec<f64> =
        (0..=steps).map(|k| 0.5 * (first * (last / first).powf(k as f64 / steps as f64)).ln_1p()).collect();
    (nodes[0], nodes[steps]) = (horizon, stop);
    TimeGrid::from_nodes(nodes).expect("a grid")
}

/// Half the steps uniform from T to 1, half geometric from 1 to δ.
pub(crate) fn two_phase(horizon: f64, stop: f64, steps: usize) -> TimeGrid {
    let half = steps / 2;
    let uniform = (0..half).map(|k| horizon - (horizon - 1.0) * (k as f64 / half as f64));
    let geometric = (0..=half).map(|j| stop.powf(j as f64 / half as f64));
    TimeGrid::from_nodes(uniform.chain(geometric).collect()).expect("a grid")
}

/// `N(0, diag(2i/(d + 1)))`.
pub(crate) fn ramp(d: usize) -> GaussianCurve {
    let eigenvalues = (1..=d).map(|i| 2.0 * i as f64 / (d as f64 + 1.0)).collect();
    GaussianCurve::new(eigenvalues, 0.0).expect("a curve")
}

/// Equal to the digits printed: 12, of numbers computed with an absolute error of 1e-14.
#[track_caller]
pub(crate) fn printed(found: f64, expected: f64, what: &str) {
    assert!(
        (found - expected).abs() <= 1e-11 * expected.abs() + 1e-14,
        "{what}: {found:e}, printed {expected:e}"
    );
}
