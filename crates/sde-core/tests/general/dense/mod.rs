//! Solutions between the nodes, and where they cross a surface.

mod adaptive;
mod crossings;
mod fixed;
mod langevin;
mod levy;

use numeric::ndarray::{Array2, array};
use numeric::{Brownian, Scratch, TimeGrid, from_row_fn};
use sde_core::integrator::{
    EulerMaruyama, LevyMilstein, Midpoint, Milstein, PlatenWeak2, Sosra, Sra1, Sra3, Sri1W1,
};
use sde_core::problems::{DoubleWell, Tanh, Waves};
use sde_core::{Additive, Integrator, NoiseClass, Reading, Sde, Solver, as_stratonovich};

fn grid(end: f64, steps: usize) -> TimeGrid {
    TimeGrid::uniform(0.0, end, steps).unwrap()
}

/// `dX = drift(x) dt + sigma dW` in one dimension.
fn scalar(drift: impl Fn(f64) -> f64 + Sync + Send, sigma: f64) -> impl Sde<f64> {
    let field = from_row_fn(1, move |_, x, out: &mut [f64]| {
        out[0] = drift(x[0]);
        Ok(())
    });
    Additive::new(field, &array![[sigma]]).unwrap()
}

/// The path at `ticks` of cell `cell`, from the start of the grid.
fn path_at(brownian: &Brownian<'_>, cell: u64, ticks: u64, rows: &[u64]) -> Array2<f64> {
    let mut sum = Array2::zeros((rows.len(), 2));
    let mut w = sum.clone();
    let whole = (0..cell).map(|cell| (cell, Brownian::TICKS));
    for (cell, ticks) in whole.chain([(cell, ticks)]) {
        brownian.between_into(rows, cell, 0..ticks, &mut w, None, &mut Scratch::new());
        sum += &w;
    }
    sum
}

/// Every method, on an equation of each class that it solves.
fn everywhere(check: impl Fn(&Solver<f64, &dyn Sde<f64>, &dyn Integrator<f64>>)) {
    let methods: [&dyn Integrator<f64>; 9] = [
        &EulerMaruyama,
        &Milstein,
        &LevyMilstein { depth: 2 },
        &Midpoint,
        &Sra1,
        &Sosra,
        &Sra3,
        &Sri1W1,
        &PlatenWeak2,
    ];
    let problems: [&dyn Sde<f64>; 3] =
        [&Waves { strength: 1.0 }, &DoubleWell { dim: 2, sigma: 1.0 }, &Tanh { dim: 2, a: 0.1, b: 0.2 }];
    for method in methods {
        for sde in problems.iter().filter(|sde| method.orders(sde.noise_class()).is_some()) {
            let converted = as_stratonovich(*sde);
            let stratonovich =
                method.reading() == Some(Reading::Stratonovich) && sde.noise_class() != NoiseClass::Additive;
            let sde: &dyn Sde<f64> = if stratonovich { &converted } else { *sde };
            let solver = Solver::new(sde, method, grid(1.0, 5)).unwrap();
            check(&solver);
            check(&solver.refined(1));
        }
    }
}
