//! General equations: d = 10, diagonal noise, 10,000 paths × 1,000 steps of Euler–Maruyama through [`Solver`], beside its
//! floor, the normals of the run alone.
//!
//! The equation is [`Tanh`]: `dX_j = −(a + b² X_j)(1 − X_j²) dt + b (1 − X_j²) dW_j` with a = 0.4 and b = 0.6 on [0, 1].
//! `cargo bench --bench sde -- adaptive` prints a table of what adaptive steps cost beside as many fixed
//! ones, on one thread.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use girsanov_benches::in_turn;
use numeric::ndarray::Array2;
use numeric::{Batching, Control, Noise, Real, TimeGrid, from_row_fn, run_blocks};
use sde_core::integrator::{AdaptiveSolver, EulerMaruyama, Milstein, Sri1W1, Tolerance};
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

/// One line of the table of adaptive steps: what they cost beside fixed grids of as many steps, in both readings of it.
///
/// An accepted step is taken as its two halves, so that the result has the accuracy of two fixed steps for each. To find
/// them more steps were taken: the whole ones, and what was rejected.
fn adaptive<F: Real, I: Integrator<F> + Copy>(method: I, tolerance: f64, rounds: usize) {
    let start = [F::of(0.3); DIM];
    let cells = TimeGrid::uniform(0.0, 1.0, 4).expect("a grid");
    let both = Tolerance { relative: tolerance, absolute: tolerance };
    let chosen = AdaptiveSolver::new(EQUATION, method, cells, both).expect("valid");
    let by_choice = || {
        chosen
            .run(Start::Point(&start), Keep::Last, 0..ROWS, Noise::new(1), Control::default())
            .expect("finite")
    };
    let statistics = by_choice().statistics;
    let beside = |steps: usize| {
        let grid = TimeGrid::uniform(0.0, 1.0, steps).expect("a grid");
        let fixed = Solver::new(EQUATION, method, grid).expect("valid");
        let on_a_grid = || {
            black_box(fixed.run(
                Start::Point(&start),
                Keep::Last,
                0..ROWS,
                Noise::new(1),
                Control::default(),
            ))
            .expect("finite");
        };
        in_turn(rounds, || drop(black_box(by_choice())), on_a_grid)
    };
    let per_row = |steps: u64| steps.div_ceil(ROWS) as usize;
    let (accepted, taken) =
        (per_row(2 * statistics.accepted), per_row(statistics.calls / method.calls() as u64));
    let (seconds, seconds_fixed, ratio) = beside(accepted);
    let (_, _, ratio_of_taken) = beside(taken);
    let unit = 1e9 / (ROWS as f64 * accepted as f64 * DIM as f64);
    println!(
        "| {}/{} | {tolerance:.0e} | {:.2} | {:.2} | {:.2} | {accepted} | {ratio:.2} | {taken} | {ratio_of_taken:.2} |",
        method.name(),
        F::NAME,
        statistics.rejected as f64 / statistics.accepted as f64,
        seconds * unit,
        seconds_fixed * unit,
    );
}

fn adaptive_table() {
    println!(
        "| | tolerance | rejected/accepted | ns per element and accepted half | fixed | accepted halves per row | \
         ratio | steps taken per row | ratio |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|---:|");
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("one thread");
    pool.install(|| {
        for tolerance in [1e-2, 1e-3] {
            adaptive::<f64, _>(Milstein, tolerance, 7);
            adaptive::<f64, _>(Sri1W1, tolerance, 7);
            adaptive::<f32, _>(Sri1W1, tolerance, 7);
        }
    });
}

fn main() {
    if std::env::args().any(|argument| argument == "adaptive") {
        return adaptive_table();
    }
    let mut criterion = Criterion::default().configure_from_args();
    bench::<f32>(&mut criterion);
    bench::<f64>(&mut criterion);
    criterion.final_summary();
}
