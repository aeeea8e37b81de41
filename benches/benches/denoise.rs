//! Reverse tau-leaping of tokens: 64 rows of 1,024 tokens of 64 values, the uniform chain, 100 steps, an exact denoiser of
//! independent tokens in f32.
//!
//! `general`: the sampler is told neither the form of the rates nor that of the model. `structured`: it is told that the
//! chain refreshes. The floor writes the (N, D, S) probabilities once in each step, in blocks that stay in cache, and draws
//! one uniform for each token, both by this library's own kernels. Peer: `peers/denoise_torch.py`.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ctmc::denoise::exact::ProductDenoiser;
use ctmc::denoise::{JumpRule, Method, Noising, Origin, ReverseSampler};
use ctmc::{Refresh, TimeChange};
use numeric::ndarray::Array2;
use numeric::{Batching, Control, Noise, TimeGrid, run_blocks, vectorize};

const ROWS: u64 = 64;
const DIM: usize = 1024;
const STATES: usize = 64;
const STEPS: usize = 100;
/// Mean number of refreshes of a token until time 1.
const CLOCK: f64 = 5.0;

/// The laws of the tokens: from weights that are drawn.
fn laws() -> Array2<f64> {
    let rows: Vec<u64> = (0..DIM as u64).collect();
    let mut laws = Array2::<f64>::zeros((DIM, STATES));
    Noise::new(1).uniforms_into(&rows, 0, &mut laws);
    for mut law in laws.rows_mut() {
        law.mapv_inplace(|u| -u.ln());
        let sum = law.sum();
        law.mapv_inplace(|p| p / sum);
    }
    laws
}

fn leap(c: &mut Criterion) {
    let chain = Refresh::uniform(STATES, CLOCK / STATES as f64).expect("valid");
    let beta = TimeChange::constant(1.0).expect("valid");
    let told = Noising::refresh(chain.clone(), beta);
    let not_told = Noising::new(chain, beta).expect("valid");
    let model = ProductDenoiser::<f32>::new(&told, &laws()).expect("laws");
    let grid = TimeGrid::uniform(1.0, 0.01, STEPS).expect("valid");
    let mut group = c.benchmark_group("denoise");
    group.sample_size(10).throughput(Throughput::Elements(ROWS * (DIM * STEPS) as u64));
    for (name, noising) in [("general", &not_told), ("structured", &told)] {
        for rule in [JumpRule::Reject, JumpRule::Clamp] {
            let method = Method::TauLeaping(rule);
            let sampler = ReverseSampler::new(noising.clone(), &model, method, grid.clone()).expect("valid");
            group.bench_function(format!("{name}/{rule:?}"), |b| {
                b.iter(|| {
                    sampler
                        .sample::<f32>(Origin::Stationary, 0..ROWS, Noise::new(1), Control::default())
                        .expect("finite")
                });
            });
        }
    }
    let sampler = ReverseSampler::new(told, &model, Method::Posterior, grid).expect("valid");
    group.bench_function("structured/posterior", |b| {
        b.iter(|| {
            sampler
                .sample::<f32>(Origin::Stationary, 0..ROWS, Noise::new(1), Control::default())
                .expect("finite")
        });
    });
    let laws = laws().mapv(|p| p as f32);
    group.bench_function("floor", |b| b.iter(|| floor(&laws)));
    group.finish();
}

fn floor(laws: &Array2<f32>) {
    let laws = laws.as_slice().expect("standard layout");
    let batching = Batching { rows: 2, ..Batching::default() };
    run_blocks(0..ROWS, batching, Control::default(), |rows, _| {
        let rows: Vec<u64> = rows.collect();
        let mut p = vec![0.0_f32; rows.len() * DIM * STATES];
        let mut u = Array2::<f64>::zeros((rows.len(), DIM));
        for step in 0..STEPS as u64 {
            Noise::new(1).uniforms_into(&rows, step, black_box(&mut u));
            let scale = black_box(0.99);
            vectorize(
                #[inline(always)]
                || {
                    for row in p.chunks_exact_mut(DIM * STATES) {
                        row.iter_mut().zip(laws).for_each(|(p, &law)| *p = scale * law);
                    }
                },
            );
            black_box(&mut p);
        }
        Ok(())
    })
    .expect("no failure");
}

criterion_group!(benches, leap);
criterion_main!(benches);
