//! Exact transitions and bridges.

use std::hint::black_box;
use std::ops::Range;

use numeric::ndarray::{Array1, Array2};
use numeric::{Batching, Control, Error, Noise, Real, Time, TimeGrid, exp_in_place, run_blocks};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Distribution, Gamma, Poisson};
use sde_core::{
    BrownianMotion, CoxIngersollRoss, CriticallyDamped, ExactTransition, GeometricBrownian, Keep,
    LinearBridge, OrnsteinUhlenbeck, Start, Trajectory,
};

use super::{DIM, Entry, ROWS, STEPS, UPDATES, Work, pass};

/// What runs along a grid from a start, of these rows.
type Run<F> = dyn Fn(&TimeGrid, Start<'_, F>, Range<u64>) -> Result<Trajectory<F>, Error>;

/// One normal for each coordinate, `also` on them, and one pass.
fn entry<F: Real>(name: &str, run: Box<Run<F>>, also: impl Fn(&mut [F]) + Sync + 'static) -> Entry {
    let grid = TimeGrid::uniform(0.0, 1.0, STEPS).expect("valid");
    let run = move || {
        black_box(run(&grid, Start::Point(&[F::of(0.3); DIM]), 0..ROWS).expect("finite"));
    };
    let floor = move || {
        run_blocks(0..ROWS, Batching::default(), Control::default(), |rows, _| {
            let rows: Vec<u64> = rows.collect();
            let [mut x, mut z] = [(); 2].map(|()| Array2::<F>::zeros((rows.len(), DIM)));
            let p = x.clone();
            for k in 0..STEPS as u64 {
                Noise::new(1).normals_into(&rows, k, &mut z);
                also(z.as_slice_mut().expect("made in standard layout"));
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

fn transition<F: Real>(process: impl ExactTransition<F> + 'static) -> Box<Run<F>> {
    Box::new(move |grid, start, rows| {
        process.run(grid, start, Keep::Last, rows, Noise::new(1), Control::default())
    })
}

/// The square-root process, whose transitions are made of two normals, a uniform and a root; or beside the two laws that other libraries
/// draw them from, by `rand_distr` and rand's `StdRng`.
fn cir<F: Real>(beside: bool) -> Entry {
    let grid = TimeGrid::uniform(0.0, 1.0, STEPS).expect("valid");
    let process = CoxIngersollRoss::new(DIM, 1.0, 0.5, 0.3).expect("valid");
    let (_, freedom, shift) = process.transition(0.3, 1.0 / STEPS as f64);
    let run = move || {
        let (start, noise) = ([F::of(0.3); DIM], Noise::new(1));
        let run = process.run(&grid, Start::Point(&start), Keep::Last, 0..ROWS, noise, Control::default());
        black_box(run.expect("finite"));
    };
    let laws = move || {
        let mut rng = StdRng::seed_from_u64(1);
        for _ in 0..UPDATES {
            let jumps: f64 = Poisson::new(0.5 * shift).expect("a mean").sample(&mut rng);
            black_box(Gamma::new(0.5 * freedom + jumps, 1.0).expect("a shape").sample(&mut rng));
        }
    };
    let draws = || {
        run_blocks(0..ROWS, Batching { rows: 64, ..Batching::default() }, Control::default(), |rows, _| {
            let rows: Vec<u64> = rows.collect();
            let [mut x, mut y, mut z] = [(); 3].map(|()| Array2::<f64>::zeros((rows.len(), DIM)));
            for k in 0..STEPS as u64 {
                Noise::new(1).normals_into(&rows, 3 * k, &mut y);
                Noise::new(1).uniforms_into(&rows, 3 * k + 1, &mut z);
                z.as_slice_mut().expect("made in standard layout").iter_mut().for_each(|z| *z = z.sqrt());
                pass(&mut x, &y, &z);
                Noise::new(1).normals_into(&rows, 3 * k + 2, &mut y);
            }
            black_box((&x, &y));
            Ok(())
        })
        .expect("no failure");
    };
    let beside_what = if beside { " beside rand_distr" } else { "" };
    let name = format!("exact::CoxIngersollRoss{beside_what}/{}", F::NAME);
    let floor: Box<dyn Fn()> = if beside { Box::new(laws) } else { Box::new(draws) };
    Entry::new(name, move || Work { updates: UPDATES, run: Box::new(run), floor })
}

pub(super) fn entries<F: Real>() -> Vec<Entry> {
    let ou = OrnsteinUhlenbeck::new(1.0, vec![0.5; DIM], 0.7).expect("valid");
    let damped = CriticallyDamped::new(DIM / 2, 1.0, 0.25).expect("valid");
    let geometric = GeometricBrownian::new(DIM, 0.1, 0.3).expect("valid");
    let motion = BrownianMotion::new(1.0).expect("valid");
    let bridge = LinearBridge::new(motion, Array1::ones(DIM), Time::of(1.0)).expect("valid");
    let bridge: Box<Run<F>> = Box::new(move |grid, start, rows| {
        bridge.run(grid, start, Keep::Last, rows, Noise::new(1), Control::default())
    });
    vec![
        entry("OrnsteinUhlenbeck", transition::<F>(ou), |_| ()),
        entry("CriticallyDamped", transition::<F>(damped), |_| ()),
        entry("GeometricBrownian", transition::<F>(geometric), exp_in_place),
        entry("LinearBridge", bridge, |_| ()),
        cir::<F>(false),
        cir::<F>(true),
    ]
}
