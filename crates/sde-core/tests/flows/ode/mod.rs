//! Solvers of ordinary differential equations against closed forms and each other.

mod events;
mod flow;
mod orders;
mod runs;
mod steps;

use numeric::ndarray::{Array2, array, s};
use numeric::{Control, Noise, TimeGrid, VectorField, from_row_fn};
use sde_core::ode::{FixedStep, OdeMethod, OdeSolver};
use sde_core::{Component, Covariance, Keep, Mixture, Start};
use verify::{OrderOptions, deterministic_order, seed};

/// A pendulum that is pushed: not autonomous, not linear.
fn pendulum() -> impl VectorField<f64> {
    from_row_fn(2, |time, x, out: &mut [f64]| {
        out[0] = x[1];
        out[1] = -x[0].sin() + 0.3 * (2.0 * time.t).cos();
        Ok(())
    })
}

fn oscillator() -> impl VectorField<f64> {
    from_row_fn(2, |_, x, out: &mut [f64]| {
        out[0] = x[1];
        out[1] = -x[0];
        Ok(())
    })
}

fn between(from: f64, to: f64, steps: usize) -> TimeGrid {
    TimeGrid::uniform(from, to, steps).expect("valid")
}

fn last<V: VectorField<f64>, M: OdeMethod<f64, V>>(solver: &OdeSolver<V, M>, start: &[f64]) -> Vec<f64> {
    let run = solver.run(Start::Point(start), Keep::Last, 0..1, Control::default()).expect("solvable");
    run.states.slice(s![0, 0, ..]).to_vec()
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
}

const PUSHED: [f64; 2] = [1.0, 0.5];

/// The pendulum at t = 2, from `PUSHED` at 0, by the classical method with 2·10⁴ steps (error about 10⁻¹⁵).
fn pendulum_at_2() -> Vec<f64> {
    last(&OdeSolver { field: pendulum(), method: FixedStep::Rk4, grid: between(0.0, 2.0, 20_000) }, &PUSHED)
}

fn assert_order(name: &str, order: f64, steps: &[f64], errors: &[f64], floor: f64) {
    let options = OrderOptions { floor, min_points: 5, ..OrderOptions::default() };
    let found = deterministic_order(steps, errors, &options).expect("five levels above rounding");
    println!("{name}: order {:.3} ± {:.3}", found.slope, found.half_width);
    assert!((found.slope - order).abs() < 0.15 && found.half_width < 0.1, "{name}: {found:?}");
}

/// A mixture in two dimensions with all kinds of covariance.
fn mixture() -> Mixture {
    let component =
        |weight, mean: [f64; 2], covariance| Component { weight, mean: array![mean[0], mean[1]], covariance };
    Mixture::new(vec![
        component(0.5, [1.0, -0.5], Covariance::Isotropic(0.2)),
        component(0.3, [-1.0, 0.8], Covariance::Diagonal(array![0.5, 0.1])),
        component(0.2, [0.5, 1.5], Covariance::Full(array![[0.4, 0.2], [0.2, 0.3]])),
    ])
    .expect("valid")
}

/// Standard normals for rows.
fn normals(rows: std::ops::Range<u64>, d: usize, label: &str) -> Array2<f64> {
    let rows: Vec<u64> = rows.collect();
    let mut x = Array2::zeros((rows.len(), d));
    Noise::new(seed(41)).fork(label).normals_into(&rows, 0, &mut x);
    x
}
