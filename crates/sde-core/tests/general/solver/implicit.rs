//! Implicit steps with drifts that one Jacobian does not do for.

use numeric::ndarray::Array2;
use numeric::{Control, Noise, Real, TimeGrid, from_row_fn};
use sde_core::integrator::{EulerMaruyama, ImplicitEuler};
use sde_core::{Additive, Integrator, Keep, Sde, Solver, Start};

/// `f_j = −k x_j³ + x_{j+1} − x_{j−1}`: one-sided Lipschitz with constant 0, as steep as can be, and flat at 0.
fn cubic<F: Real>(d: usize, k: f64, sigma: f64) -> impl Sde<F> {
    let drift = from_row_fn(d, move |_, x, out: &mut [F]| {
        for (j, out) in out.iter_mut().enumerate() {
            let round = x[(j + 1) % d] - x[(j + d - 1) % d];
            *out = round - F::of(k) * x[j] * x[j] * x[j];
        }
        Ok(())
    });
    Additive::new(drift, &(Array2::eye(d) * sigma)).expect("valid")
}

fn end<F: Real>(
    sde: impl Sde<F>,
    method: impl Integrator<F>,
    grid: &TimeGrid,
    rows: std::ops::Range<u64>,
) -> Array2<F> {
    let start = vec![F::zero(); sde.dim()];
    let solver = Solver::new(sde, method, grid.clone()).expect("valid");
    let run = solver.run(Start::Point(&start), Keep::Last, rows, Noise::new(1), Control::default());
    run.expect("converges").states.remove_axis(numeric::ndarray::Axis(1))
}

/// From 0, where the drift is flat, the first correction is the whole noise, and there h times the Jacobian is thousands.
#[test]
fn steep_drifts_are_solved_with_jacobians_of_later_iterates() {
    let (k, h) = (1e4, 0.1);
    let one = TimeGrid::uniform(0.0, h, 1).expect("a grid");
    for d in [1, 2, 5, 19] {
        let known = end::<f64>(cubic(d, 0.0, 1.0), EulerMaruyama, &one, 0..100);
        let found = end::<f64>(cubic(d, k, 1.0), ImplicitEuler, &one, 0..100);
        // From the origin, the circular part of a step of Euler–Maruyama is nothing.
        for (y, known) in found.rows().into_iter().zip(known.rows()) {
            let left: f64 = (0..d)
                .map(|j| {
                    let round = y[(j + 1) % d] - y[(j + d - 1) % d];
                    (y[j] - h * (round - k * y[j].powi(3)) - known[j]).powi(2)
                })
                .sum();
            // The drift is dissipative, so that the error is at most what is left of the equation.
            assert!(left.sqrt() < 1e-10, "{d}: {left:e} at {y}");
        }
    }
}

/// Rows of one block that ask for Jacobians at other times do not touch each other.
#[test]
fn rows_have_the_same_bits_alone() {
    fn check<F: Real>() {
        let grid = TimeGrid::uniform(0.0, 0.5, 6).expect("a grid");
        for d in [1, 3, 19] {
            let run = |rows| end::<F>(cubic(d, 30.0, 2.0), ImplicitEuler, &grid, rows);
            let together = run(0..70);
            for row in 0..70 {
                let alone = run(row..row + 1);
                assert_eq!(alone.row(0), together.row(row as usize), "row {row} of dimension {d}");
            }
        }
    }
    check::<f64>();
    check::<f32>();
}
