//! Normals per second on one core, beside rand_distr's ziggurat over StdRng (ChaCha12).

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use numeric::ndarray::Array2;
use numeric::{Noise, Real};
use rand::{SeedableRng, rngs::StdRng};
use rand_distr::{Distribution, StandardNormal};

/// Rows and coordinates of a call: a block of a sampler, an image, and narrow states.
const SHAPES: [(u64, usize); 6] = [(64, 32), (64, 784), (64, 1), (64, 2), (64, 3), (1024, 1)];

fn normals<F: Real>(c: &mut Criterion)
where
    StandardNormal: Distribution<F>,
{
    let mut group = c.benchmark_group(format!("normals {}", F::NAME));
    for (n, d) in SHAPES {
        group.throughput(Throughput::Elements(n * d as u64));
        let rows: Vec<u64> = (0..n).collect();
        let mut out = Array2::<F>::zeros((rows.len(), d));
        let (noise, mut step) = (Noise::new(1), 0);
        group.bench_function(format!("normals_into ({n}, {d})"), |b| {
            b.iter(|| {
                noise.normals_into(&rows, step, &mut out);
                step += 1;
                black_box(&mut out);
            });
        });
    }
    group.throughput(Throughput::Elements(2048));
    let mut rng = StdRng::seed_from_u64(1);
    let mut out = vec![F::zero(); 2048];
    group.bench_function("rand_distr::StandardNormal", |b| {
        b.iter(|| {
            out.iter_mut().for_each(|z| *z = StandardNormal.sample(&mut rng));
            black_box(&mut out);
        });
    });
    group.finish();
}

fn streams(c: &mut Criterion) {
    let mut group = c.benchmark_group("row stream");
    group.throughput(Throughput::Elements(1000));
    let mut stream = Noise::new(1).row_stream(0);
    group.bench_function("uniform", |b| b.iter(|| (0..1000).map(|_| stream.uniform()).sum::<f64>()));
    group.bench_function("normal", |b| b.iter(|| (0..1000).map(|_| stream.normal()).sum::<f64>()));
    group.finish();
}

fn features(_: &mut Criterion) {
    #[cfg(target_arch = "x86_64")]
    println!(
        "avx512: {}, avx2 and fma: {}",
        is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq"),
        is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
    );
}

criterion_group!(benches, features, normals::<f32>, normals::<f64>, streams);
criterion_main!(benches);
