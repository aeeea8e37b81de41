//! General equations: d = 10, diagonal noise, 10,000 paths × 1,000 steps of Euler–Maruyama through [`Solver`], beside its
//! floor, the normals of the run alone.
//!
//! The equation is [`Tanh`]: `dX_j = −(a + b² X_j)(1 − X_j²) dt + b (1 − X_j²) dW_j` with a = 0.4 and b = 0.6 on [0, 1].

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use numeric::ndarray::Array2;
use numeric::{Batching, Control, Noise, Real, TimeGrid, from_row_fn, run_blocks};
use sde_core::integrator::{EulerMaruyama, Sri1W1};
use sde_core::problems::Tanh;
use sde_core::{Diagonal, Integrator, Keep, Reading, Sde, Solver, Start};

const ROWS: u64 = 10_000;
const DIM: usize = 10;
const STEPS: usize = 1_000;
const EQUATION: Tanh = Tanh { dim: DIM, a: 0.4, b: 0.6 };

fn run<F: Real, E: Sde<F>, I: Integrator<F>>(solver: &Solver<F, E, I>) -> Array2<F> {
    let start = [F::of(0.3); DIM];
    let run = solver.run(Start::Point(&start), Keep::Last, 0..ROWS, Noise::new(1), Control::default());
    run.expect("finite").states.into_shape_with_order((ROWS as usize, DIM)).expect("one kept state")
}

fn solver<F: Real, E: Sde<F>, I: Integrator<F>>(sde: E, method: I) -> Solver<F, E, I> {
    Solver::new(sde, method, TimeGrid::uniform(0.0, 1.0, STEPS).expect("a grid")).expect("valid")
}

/// The same equation from closures on rows, as a user writes it.
fn closures<F: Real>() -> impl Sde<F> {
    let (a, b) = (F::of(EQUATION.a), F::of(EQUATION.b));
    let drift = from_row_fn(DIM, move |_, x, out: &mut [F]| {
        for (out, &x) in out.iter_mut().zip(x) {
            *out = -(a + b * b * x) * (F::one() - x * x);
        }
        Ok(())
    });
    let sigma = from_row_fn(DIM, move |_, x, out: &mut [F]| {
        for (out, &x) in out.iter_mut().zip(x) {
            *out = b * (F::one() - x * x);
        }
        Ok(())
    });
    Diagonal::new(Reading::Ito, drift, sigma).expect("valid")
}

/// The normals of the run, and nothing else.
fn normals_alone<F: Real>() {
    let noise = Noise::new(1);
    run_blocks(0..ROWS, Batching::default(), Control::default(), |rows, _| {
        let rows: Vec<u64> = rows.collect();
        let mut z = Array2::<F>::zeros((rows.len(), DIM));
        for step in 0..STEPS as u64 {
            noise.normals_into(&rows, step, black_box(&mut z));
        }
        Ok(())
    })
    .expect("no failure");
}

fn bench<F: Real>(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sde");
    group.sample_size(10).throughput(Throughput::Elements(ROWS * DIM as u64 * STEPS as u64));
    let euler = solver::<F, _, _>(EQUATION, EulerMaruyama);
    group.bench_function(format!("EulerMaruyama/{}", F::NAME), |b| b.iter(|| run(&euler)));
    let by_closures = solver::<F, _, _>(closures(), EulerMaruyama);
    group.bench_function(format!("EulerMaruyama by closures/{}", F::NAME), |b| b.iter(|| run(&by_closures)));
    let rossler = solver::<F, _, _>(EQUATION, Sri1W1);
    group.bench_function(format!("Sri1W1/{}", F::NAME), |b| b.iter(|| run(&rossler)));
    group.bench_function(format!("normals alone/{}", F::NAME), |b| b.iter(normals_alone::<F>));
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    bench::<f32>(&mut criterion);
    bench::<f64>(&mut criterion);
    criterion.final_summary();
}
