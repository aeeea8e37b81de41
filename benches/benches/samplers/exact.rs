//! Exact transitions.

use std::hint::black_box;

use numeric::ndarray::Array2;
use numeric::{Batching, Control, Noise, Real, TimeGrid, run_blocks};
use sde_core::{ExactTransition, GeometricBrownian, Keep, OrnsteinUhlenbeck, Start};

use super::{DIM, Entry, ROWS, STEPS, UPDATES, Work, pass};

/// One normal for each coordinate, and one pass.
fn entry<F: Real>(name: &str, process: impl ExactTransition<F> + 'static) -> Entry {
    let grid = TimeGrid::uniform(0.0, 1.0, STEPS).expect("valid");
    let run = move || {
        let start = [F::of(0.3); DIM];
        let run =
            process.run(&grid, Start::Point(&start), Keep::Last, 0..ROWS, Noise::new(1), Control::default());
        black_box(run.expect("finite"));
    };
    let floor = || {
        run_blocks(0..ROWS, Batching::default(), Control::default(), |rows, _| {
            let rows: Vec<u64> = rows.collect();
            let [mut x, mut z] = [(); 2].map(|()| Array2::<F>::zeros((rows.len(), DIM)));
            let p = x.clone();
            for k in 0..STEPS as u64 {
                Noise::new(1).normals_into(&rows, k, &mut z);
                pass(&mut x, &p, &z);
            }
            black_box(&x);
            Ok(())
        })
        .expect("no failure");
    };
    Entry::new(format!("exact::{name}/{}", F::NAME), move || Work {
        updates: UPDATES,
        run: Box::new(run),
        floor: Box::new(floor),
    })
}

pub(super) fn entries<F: Real>() -> Vec<Entry> {
    vec![
        entry::<F>("OrnsteinUhlenbeck", OrnsteinUhlenbeck::new(1.0, vec![0.5; DIM], 0.7).expect("valid")),
        entry::<F>("GeometricBrownian", GeometricBrownian::new(DIM, 0.1, 0.3).expect("valid")),
    ]
}
