//! Every reverse-time method and every integrator beside its floor: its model calls alone, its normals alone and one
//! pass over the state, of the same rows in the same blocks.
//!
//! Reverse-time methods and methods for the probability flow run on the mixture of W1 (8 components, d = 32), 2,000 rows ×
//! 50 steps of `two_phase`, or steps of their own; integrators on its reverse equation and on the test problems of the
//! class of noise that they are for; exact transitions in 32 dimensions.
//!
//! Where an implicit method forms Jacobians for all rows, in up to four dimensions, its floor has the eliminations in it
//! too: one factorisation for each and, for every call of the drift that is not for a Jacobian, one solution, without
//! exchanges of rows.
//!
//! `cargo bench --bench samplers -- table` prints one table of ratios instead of Criterion's reports: on one thread,
//! method and floor in turn, so that what else the machine does meets both. `table 51` takes 51 rounds, and a word after
//! the number takes those methods only whose names contain it. `only method 100 WORD` and `only floor 100 WORD` run those a
//! hundred times, for a profiler. `memory` prints the peak memory of runs of 10⁶ rows.

mod elimination;
mod exact;
mod flows;
mod integrators;
mod levels;
mod memory;
mod methods;
mod stiff;

use criterion::{Criterion, Throughput};
use girsanov_benches::in_turn;
use numeric::ndarray::ArrayRef2;
use numeric::{Real, vectorize};

const ROWS: u64 = 2_000;
const DIM: usize = 32;
const STEPS: usize = 50;
/// Of a run of that many rows, dimensions and steps.
const UPDATES: u64 = ROWS * DIM as u64 * STEPS as u64;

/// A method and its floor, made when it is their turn.
struct Entry {
    name: String,
    make: Box<dyn FnOnce() -> Work>,
}

struct Work {
    /// Numbers of the state × steps: what a time is divided by.
    updates: u64,
    run: Box<dyn Fn()>,
    floor: Box<dyn Fn()>,
}

impl Entry {
    fn new(name: String, make: impl FnOnce() -> Work + 'static) -> Entry {
        Entry { name, make: Box::new(make) }
    }
}

/// One pass over the state: `x = (1 − c) x + c p + c z`, which leaves it near to where it was: what a model costs can depend
/// on it.
fn pass<F: Real>(x: &mut ArrayRef2<F>, p: &ArrayRef2<F>, z: &ArrayRef2<F>) {
    let (kept, c, slices) = (F::of(1.0 - 1e-3), F::of(1e-3), "made in standard layout");
    let (x, p, z) =
        (x.as_slice_mut().expect(slices), p.as_slice().expect(slices), z.as_slice().expect(slices));
    vectorize(
        #[inline(always)]
        || {
            for ((x, &p), &z) in x.iter_mut().zip(p).zip(z) {
                *x = kept * *x + c * p + c * z;
            }
        },
    );
}

fn entries() -> Vec<Entry> {
    let mut entries = methods::entries::<f64>();
    entries.extend(methods::entries::<f32>());
    entries.extend(integrators::entries::<f64>());
    entries.extend(integrators::entries::<f32>());
    entries.extend([integrators::baoab(), integrators::jumps::<f64>(), integrators::jumps::<f32>()]);
    entries.extend(flows::entries::<f64>());
    entries.extend(flows::entries::<f32>());
    entries.extend([stiff::rosenbrock::<f64>(), stiff::rosenbrock::<f32>(), levels::entry()]);
    entries.extend(exact::entries::<f64>());
    entries.extend(exact::entries::<f32>());
    entries
}

fn table(rounds: usize, word: &str) {
    println!("| | ns per element-step | floor | ratio |\n|---|---:|---:|---:|");
    for Entry { name, make } in entries().into_iter().filter(|entry| entry.name.contains(word)) {
        let Work { updates, run, floor } = make();
        let (run, floor, ratio) = in_turn(rounds, run, floor);
        let unit = 1e9 / updates as f64;
        println!("| {name} | {:.2} | {:.2} | {ratio:.2} |", run * unit, floor * unit);
    }
}

/// The methods or the floors of that word alone.
fn only(part: &str, rounds: usize, word: &str) {
    for Entry { name, make } in entries().into_iter().filter(|entry| entry.name.contains(word)) {
        println!("{part} of {name}");
        let Work { run, floor, .. } = make();
        let what = if part == "floor" { floor } else { run };
        (0..rounds).for_each(|_| what());
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().filter(|argument| argument != "--bench").collect();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("one thread");
    let number = |at: usize| arguments.get(at).and_then(|rounds| rounds.parse().ok()).unwrap_or(15);
    let word = |at: usize| arguments.get(at).map_or("", String::as_str);
    match word(1) {
        "table" => return pool.install(|| table(number(2), word(3))),
        "only" => return pool.install(|| only(word(2), number(3), word(4))),
        "memory" => return memory::table(),
        _ => (),
    }
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("samplers");
    group.sample_size(10);
    for Entry { name, make } in entries() {
        let Work { updates, run, floor } = make();
        group.throughput(Throughput::Elements(updates));
        group.bench_function(&name, |b| b.iter(&run));
        group.bench_function(format!("{name}, floor"), |b| b.iter(&floor));
    }
    group.finish();
    criterion.final_summary();
}
