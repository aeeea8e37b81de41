//! Exact laws of chains: the law of a birth–death chain of 100,000 states to 1e-12 by uniformization, and the kernels of a
//! reversible chain of 256 states at 1,000 times. Peer: `peers/chains_scipy.py`.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use ctmc::{BirthDeath, DiscretisedGaussian, Spectral, evolve};

const STATES: usize = 100_000;
const TIMES: usize = 1000;

fn chains(c: &mut Criterion) {
    let mut group = c.benchmark_group("chains");
    group.sample_size(10);
    let chain = BirthDeath::constant(STATES, 1.0).expect("valid");
    let mut start = vec![0.0; STATES];
    start[STATES / 2] = 1.0;
    for time in [10.0, 1000.0] {
        group.bench_function(format!("evolve/{time}"), |b| {
            b.iter(|| black_box(evolve(&chain, &start, time, 1e-12).expect("met")));
        });
    }
    // The images of the continuous-time paper.
    let images = DiscretisedGaussian::new(256, 127.0, 512.0, 6.0).expect("valid");
    group.bench_function("kernels/256", |b| {
        b.iter(|| {
            let spectral = Spectral::new(&images).expect("reversible");
            for k in 1..=TIMES {
                black_box(spectral.kernel(0.003 * k as f64).expect("valid"));
            }
        });
    });
    group.finish();
}

criterion_group!(benches, chains);
criterion_main!(benches);
