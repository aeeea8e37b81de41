//! Certificates and planners from a tabulated error curve: the terms of a grid of 1,000 steps, and the optimal grid of 1,000
//! steps on a mesh of 4,000 nodes. One thread.

use std::hint::black_box;

use bounds::curve::{ScalarMixtureCurve, TabulatedCurve};
use bounds::plan::{Start, frontier, optimal_grid};
use bounds::terms::{Scheme, discretization};
use criterion::{Criterion, criterion_group, criterion_main};
use sde_core::grid::geometric_v;

fn plan(criterion: &mut Criterion) {
    let curve = ScalarMixtureCurve::new(&[0.3, 0.7], &[-1.5, 1.0], &[0.09, 0.09]).expect("a curve");
    let table = TabulatedCurve::of(&curve, &geometric_v(4.0, 1e-3, 1_500).expect("a grid")).expect("a table");
    let (grid, mesh) =
        (geometric_v(4.0, 1e-3, 1_000).expect("a grid"), geometric_v(4.0, 1e-3, 4_000).expect("a grid"));
    let schemes = [
        ("S", Scheme::ExponentialIntegrator),
        ("V", Scheme::FrozenScore),
        ("R", Scheme::FrozenRelativeScore),
        ("D", Scheme::FrozenDenoiser),
        ("G", Scheme::GaussianPrior(0.3)),
        ("EM", Scheme::EulerMaruyama),
    ];
    let mut group = criterion.benchmark_group("certificate");
    for (name, scheme) in &schemes {
        group.bench_function(*name, |b| {
            b.iter(|| discretization(scheme, &table, black_box(&grid)).expect("a term"));
        });
    }
    group.finish();
    let mut group = criterion.benchmark_group("plan");
    group.sample_size(10);
    for (name, scheme) in &schemes {
        group.bench_function(format!("search/{name}"), |b| {
            b.iter(|| frontier(scheme, &table, black_box(&mesh), Start::Fixed, 1_000).expect("costs"));
        });
        group.bench_function(format!("optimal/{name}"), |b| {
            b.iter(|| optimal_grid(scheme, &table, black_box(&mesh), Start::Fixed, 1_000).expect("a plan"));
        });
    }
    group.finish();
}

criterion_group!(benches, plan);
criterion_main!(benches);
