//! The value W(t) of d = 10 coordinates of a Brownian path at a time t of [0, 1], to a tolerance of 2^-10 and 2^-20.
//!
//! 16,384 rows on both cores, each with a time of its own, or all at one time; one element is one query, that is, the
//! 10 values of a row. `peers/brownian_diffrax.py` does the same in diffrax. `step` is an increment (and its area) in
//! a walk of 1024 equal steps by a cursor, which 64 rows share or one has for itself, on one core; one element is one
//! number.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use numeric::ndarray::Array2;
use numeric::{Batching, Brownian, BrownianCursor, Control, Noise, Real, run_rows};

const ROWS: u64 = 16_384;
const DIM: usize = 10;

fn query<F: Real>(at: &[u64], level: u32, batching: Batching) -> Array2<F> {
    let brownian = Brownian::new(Noise::new(1), &[1.0]).expect("valid");
    run_rows(0..ROWS, DIM, batching, Control::default(), |rows, scratch| {
        let at = &at[rows.start as usize..rows.end as usize];
        let rows: Vec<u64> = rows.collect();
        let mut w = Array2::zeros((rows.len(), DIM));
        brownian.values_into(&rows, 0, at, level, &mut w, scratch);
        Ok(w.into_raw_vec_and_offset().0)
    })
    .expect("no failure")
}

fn walk<F: Real>(areas: bool, n: usize) {
    let make = if areas { Brownian::with_area } else { Brownian::new };
    let brownian = make(Noise::new(1), &[1.0]).expect("valid");
    let rows: Vec<u64> = (0..n as u64).collect();
    let (mut w, mut h) = (Array2::<F>::zeros((n, DIM)), Array2::<F>::zeros((n, DIM)));
    let mut cursor = BrownianCursor::new(brownian, &rows, 0);
    let step = Brownian::TICKS >> 10;
    for i in 0..1 << 10 {
        cursor.between_into(i * step..(i + 1) * step, black_box(&mut w), areas.then_some(&mut *h));
    }
}

fn bench<F: Real>(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("brownian");
    group.sample_size(20).throughput(Throughput::Elements(ROWS));
    let mut draw = Noise::new(2).row_stream(0);
    let own: Vec<u64> = (0..ROWS).map(|_| (draw.uniform() * Brownian::TICKS as f64) as u64).collect();
    let one = vec![own[0]; ROWS as usize];
    for level in [10, 20] {
        for (name, at) in [("own times", &own), ("one time", &one)] {
            for (cores, batching) in
                [("", Batching::default()), (" one core", Batching { serial: true, ..Batching::default() })]
            {
                group.bench_function(format!("{name}/2^-{level}/{}{cores}", F::NAME), |b| {
                    b.iter(|| query::<F>(at, level, batching));
                });
            }
        }
    }
    for n in [64, 1] {
        group.throughput(Throughput::Elements((n * DIM) as u64 * 1024));
        for (name, areas) in [("step", false), ("step with areas", true)] {
            group.bench_function(format!("{name}/{n} rows/{}", F::NAME), |b| b.iter(|| walk::<F>(areas, n)));
        }
    }
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    bench::<f32>(&mut criterion);
    bench::<f64>(&mut criterion);
    criterion.final_summary();
}
