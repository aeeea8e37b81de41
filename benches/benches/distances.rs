//! Distances between two samples of 10,000 rows and 64 columns, with their standard errors; peers: `peers/distances_*.py`.
//!
//! The second sample is moved by half a unit along each axis, and both have scales of 1 to 2. Samples of normals are the
//! usual case, and none of the three distances stops early on any.

use std::hint::black_box;

use bounds::divergence::{energy_distance, mmd2, sliced_w2};
use criterion::{Criterion, criterion_group, criterion_main};
use numeric::ndarray::Array2;
use numeric::{Noise, Real};

const ROWS: usize = 10_000;
const DIM: usize = 64;
const PROJECTIONS: usize = 500;
const SHIFT: f64 = 0.5;
const BANDWIDTH: f64 = 8.0;

/// Independent normals about `shift` with the standard deviations 1 + j/d.
fn sample<F: Real>(seed: u64, shift: f64) -> Array2<F> {
    let rows: Vec<u64> = (0..ROWS as u64).collect();
    let mut normals = Array2::<f64>::zeros((ROWS, DIM));
    Noise::new(seed).normals_into(&rows, 0, &mut normals);
    Array2::from_shape_fn((ROWS, DIM), |(i, j)| {
        F::of(shift + (1.0 + j as f64 / DIM as f64) * normals[(i, j)])
    })
}

fn distances<F: Real>(c: &mut Criterion) {
    let (x, y) = (sample::<F>(1, 0.0), sample::<F>(2, SHIFT));
    let mut group = c.benchmark_group("distances");
    group.sample_size(10);
    group.bench_function(format!("sliced_w2/{}", F::NAME), |b| {
        b.iter(|| black_box(sliced_w2(&x, &y, PROJECTIONS, Noise::new(3)).unwrap()));
    });
    group.bench_function(format!("energy_distance/{}", F::NAME), |b| {
        b.iter(|| black_box(energy_distance(&x, &y).unwrap()));
    });
    group.bench_function(format!("mmd2/{}", F::NAME), |b| {
        b.iter(|| black_box(mmd2(&x, &y, &[BANDWIDTH]).unwrap()));
    });
    group.finish();
}

criterion_group!(benches, distances::<f32>, distances::<f64>);
criterion_main!(benches);
