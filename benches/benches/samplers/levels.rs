//! Multilevel Monte Carlo beside the pairs of paths that it asks for.

use std::hint::black_box;
use std::ops::Range;

use numeric::{Control, Error, Noise, TimeGrid};
use sde_core::integrator::EulerMaruyama;
use sde_core::problems::Tanh;
use sde_core::{Multilevel, Solver, Start, multilevel};

use super::{DIM, Entry, Work};

/// Of the first coordinate at the end.
fn pairs(
    solver: &Solver<f64, Tanh, EulerMaruyama>,
    level: u32,
    rows: Range<u64>,
    noise: Noise,
) -> Result<Vec<[f64; 2]>, Error> {
    solver.pairs(level, Start::Point(&[0.3; DIM]), |x| x[0], rows, noise, Control::default())
}

pub(super) fn entry() -> Entry {
    Entry::new("multilevel on Tanh/f64".into(), || {
        let sde = Tanh { dim: DIM, a: 0.4, b: 0.6 };
        let grid = TimeGrid::uniform(0.0, 1.0, 4).expect("valid");
        let solver = Solver::<f64, _, _>::new(sde, EulerMaruyama, grid).expect("valid");
        let of_floor = solver.clone();
        let aim = Multilevel { rmse: 0.01, weak_order: 1.0, max_level: 10, first_rows: 1_000 };
        let run = move || {
            let cost = |level| solver.pair_cost(level);
            multilevel(aim, Noise::new(1), |level, rows, noise| pairs(&solver, level, rows, noise), cost)
                .expect("reached")
        };
        let found = black_box(run());
        let rows: Vec<u64> = found.levels.iter().map(|level| level.rows).collect();
        let floor = move || {
            for (level, &rows) in rows.iter().enumerate() {
                black_box(pairs(&of_floor, level as u32, 0..rows, Noise::new(1)).expect("finite"));
            }
        };
        let updates = found.cost as u64 * DIM as u64;
        Work { updates, run: Box::new(move || _ = black_box(run())), floor: Box::new(floor) }
    })
}
