//! W1: reverse OU diffusion by Euler–Maruyama, through the public traits, beside its floor.
//!
//! 10,000 rows × 32 dimensions × 8 isotropic components × 200 steps of `two_phase`, T = 4, δ = 10⁻³. The floor is the
//! normals of the run alone plus the two matrix products of its scores alone, both by this library's own kernels.
//! `cargo bench --bench w1 -- dump DIR` writes `girsanov-f32.csv` and `girsanov-f64.csv` instead, for the comparison
//! in law with the peers (`peers/law.py`).

use std::hint::black_box;
use std::io::Write;
use std::path::Path;

use criterion::{Criterion, Throughput};
use girsanov_benches::w1_mixture;
use numeric::ndarray::Array2;
use numeric::{Batching, Control, Noise, Packed, Real, run_blocks};
use sde_core::{EulerMaruyama, MixtureField, Ou, Sampler, grid};

const ROWS: u64 = 10_000;
const DIM: usize = 32;
const STEPS: usize = 200;

type Model<F> = numeric::Model<MixtureField<F, Ou>, Ou>;

fn sampler<F: Real>() -> Sampler<Model<F>, EulerMaruyama> {
    let grid = grid::two_phase(4.0, 1e-3, STEPS).expect("valid");
    Sampler::new(w1_mixture().score::<F, _>(Ou), EulerMaruyama, grid).expect("valid")
}

fn run<F: Real>(sampler: &Sampler<Model<F>, EulerMaruyama>) -> Array2<F> {
    sampler.sample(0..ROWS, Noise::new(1), Control::default()).expect("finite")
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

/// The two matrix products of the scores, and nothing else.
fn products_alone<F: Real>() {
    let means = w1_mixture().means().clone();
    let (onto, back) =
        (Packed::<F>::new(DIM, 8, |j, i| means[(i, j)]), Packed::<F>::new(8, DIM, |i, j| means[(i, j)]));
    run_blocks(0..ROWS, Batching::default(), Control::default(), |rows, _| {
        let n = (rows.end - rows.start) as usize;
        let mut x = vec![F::of(0.1); n * DIM];
        let mut weights = vec![F::zero(); n * 8];
        for _ in 0..STEPS {
            onto.left_multiply_to_columns(black_box(&x), &mut weights);
            back.left_multiply_transposed(black_box(&weights), &mut x);
        }
        Ok(())
    })
    .expect("no failure");
}

fn bench<F: Real>(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("w1");
    group.sample_size(10).throughput(Throughput::Elements(ROWS * DIM as u64 * STEPS as u64));
    let sampler = sampler::<F>();
    group.bench_function(format!("girsanov/{}", F::NAME), |b| b.iter(|| run(&sampler)));
    group.bench_function(format!("floor/{}", F::NAME), |b| {
        b.iter(|| {
            normals_alone::<F>();
            products_alone::<F>();
        });
    });
    group.finish();
}

fn dump<F: Real>(folder: &Path) {
    let path = folder.join(format!("girsanov-{}.csv", F::NAME));
    let mut out = std::io::BufWriter::new(std::fs::File::create(&path).expect("a writable folder"));
    for row in run(&sampler::<F>()).rows() {
        let line: Vec<String> = row.iter().map(ToString::to_string).collect();
        writeln!(out, "{}", line.join(",")).expect("a writable folder");
    }
    println!("{}", path.display());
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|a| a == "dump") {
        let folder = Path::new(arguments.get(at + 1).map_or(".", String::as_str));
        dump::<f32>(folder);
        dump::<f64>(folder);
        return;
    }
    let mut criterion = Criterion::default().configure_from_args();
    bench::<f32>(&mut criterion);
    bench::<f64>(&mut criterion);
    criterion.final_summary();
}
