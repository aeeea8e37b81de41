//! The adaptive probability flow: 1,000 rows × 32 dimensions, Tsit5 at tolerances of 10⁻⁶, from clock 4 to 10⁻³ of OU, for
//! the mixture of W1, in the time of the process and in the angle. The peer is `peers/ode_diffrax.py`.
//!
//! `cargo bench --bench ode -- table` prints the steps and errors of both variables at three tolerances instead.

use criterion::{Criterion, Throughput};
use girsanov_benches::w1_mixture;
use numeric::ndarray::Array2;
use numeric::{Control, Noise, Real, Time};
use sde_core::ode::{ProbabilityFlow, Tsit5, Variable};
use sde_core::{Ou, Statistics};

const ROWS: u64 = 1_000;
const DIM: usize = 32;
const NOISE: Time = Time::of(4.0);
const DATA: Time = Time::of(1e-3);

fn start<F: Real>() -> Array2<F> {
    let mut x = Array2::zeros((ROWS as usize, DIM));
    Noise::new(1).normals_into(&(0..ROWS).collect::<Vec<_>>(), 0, &mut x);
    x
}

fn run<F: Real>(variable: Variable, tolerance: f64, x: &Array2<F>) -> (Array2<F>, Statistics) {
    let model = w1_mixture().denoiser::<F, _>(Ou);
    let flow = ProbabilityFlow::new(&model, variable);
    let method = Tsit5::new(tolerance, tolerance).expect("valid");
    flow.carry(&method, (NOISE, DATA), x, 0..ROWS, Control::default()).expect("solvable")
}

fn bench<F: Real>(criterion: &mut Criterion, tolerance: f64) {
    let mut group = criterion.benchmark_group("ode");
    group.sample_size(30).throughput(Throughput::Elements(ROWS * DIM as u64));
    let (model, x) = (w1_mixture().denoiser::<F, _>(Ou), start::<F>());
    let method = Tsit5::new(tolerance, tolerance).expect("valid");
    for (name, variable) in [("time", Variable::Time), ("angle", Variable::Angle)] {
        let flow = ProbabilityFlow::new(&model, variable);
        group.bench_function(format!("{name}/{}", F::NAME), |b| {
            b.iter(|| flow.carry(&method, (NOISE, DATA), &x, 0..ROWS, Control::default()).expect("solvable"));
        });
    }
    group.finish();
}

fn table() {
    let x = start::<f64>();
    let exact = run(Variable::Angle, 1e-12, &x).0;
    for variable in [Variable::Time, Variable::Angle] {
        for tolerance in [1e-4, 1e-6, 1e-8] {
            let (y, cost) = run(variable, tolerance, &x);
            let gaps = &y - &exact;
            let rms = (gaps.mapv(|gap| gap * gap).sum() / gaps.len() as f64).sqrt();
            let worst = gaps.iter().fold(0.0_f64, |m, gap| m.max(gap.abs()));
            let mean = |count: u64| count as f64 / ROWS as f64;
            println!(
                "{variable:?} {tolerance:e}: {:.1} accepted, {:.1} rejected, error {rms:.1e} rms, {worst:.1e} at most",
                mean(cost.accepted),
                mean(cost.rejected)
            );
        }
    }
}

fn main() {
    if std::env::args().any(|argument| argument == "table") {
        return table();
    }
    let mut criterion = Criterion::default().configure_from_args();
    bench::<f64>(&mut criterion, 1e-6);
    bench::<f32>(&mut criterion, 1e-4);
    criterion.final_summary();
}
