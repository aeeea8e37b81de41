//! Exact simulation of reaction networks beside the rebop crate: Vilar's oscillator and the decaying dimers of rebop's own
//! benches, and a ring of 1,000 reactions.
//!
//! Ensembles are looked at at the end only, on both sides. `RAYON_NUM_THREADS=1 cargo bench --bench ssa` for one core;
//! `cargo bench --bench ssa -- table` prints ratios, each of two runs in turn.

#![expect(clippy::too_many_arguments, reason = "rebop's macro makes a function of all rates")]

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use ctmc::network::{Algorithm, Counting, Network, Rate, Reaction, Ssa, Start};
use girsanov_benches::in_turn;
use numeric::{Control, Noise};
use rebop::define_system;
use rebop::gillespie::{Gillespie, Rate as Lma};

/// Simulates one path by rebop's macro, from this seed.
type ByMacro = fn(u64) -> isize;

define_system! {
    alphaA alphapA alphaR alphapR betaA betaR deltaMA deltaMR deltaA deltaR gammaA gammaR gammaC thetaA thetaR;
    Vilar { Da, Dr, Dpa, Dpr, Ma, Mr, A, R, C }
    activation_a        : Da + A    => Dpa      @ gammaA
    activation_r        : Dr + A    => Dpr      @ gammaR
    deactivation_a      : Dpa       => Da + A   @ thetaA
    deactivation_r      : Dpr       => Dr + A   @ thetaR
    transcription_a     : Da        => Da + Ma  @ alphaA
    transcription_r     : Dr        => Dr + Mr  @ alphaR
    transcription_p_a   : Dpa       => Dpa + Ma @ alphapA
    transcription_p_r   : Dpr       => Dpr + Mr @ alphapR
    translation_a       : Ma        => Ma + A   @ betaA
    translation_r       : Mr        => Mr + R   @ betaR
    complexation        : A + R     => C        @ gammaC
    decomplexation      : C         => R        @ deltaA
    decay_mRNA_a        : Ma        =>          @ deltaMA
    decay_mRNA_r        : Mr        =>          @ deltaMR
    decay_prot_a        : A         =>          @ deltaA
    decay_prot_r        : R         =>          @ deltaR
}

define_system! {
    decay dimerise split convert;
    Dimers { A, B, C }
    decay_monomer   : A    =>       @ decay
    dimerization    : 2 A  => B     @ dimerise
    monomerization  : B    => 2 A   @ split
    irreversible    : B    => C     @ convert
}

fn rebop_vilar(seed: u64) -> isize {
    let mut vilar = Vilar::with_parameters(
        50.0, 500.0, 0.01, 50.0, 50.0, 5.0, 10.0, 0.5, 1.0, 0.2, 1.0, 1.0, 2.0, 50.0, 100.0,
    );
    vilar.seed(seed);
    (vilar.Da, vilar.Dr) = (1, 1);
    vilar.advance_until(VILAR_END);
    vilar.R
}

fn rebop_dimers(seed: u64) -> isize {
    let mut dimers = Dimers::with_parameters(1.0, 1.0 / 500.0, 0.5, 1.0 / 25.0);
    dimers.seed(seed);
    dimers.A = DIMERS_START as isize;
    dimers.advance_until(DIMERS_END);
    dimers.C
}

/// Reactants, products and constant of each reaction, over numbered species; constants count ordered sets, as rebop's do.
struct Table {
    species: usize,
    reactions: Vec<(Vec<usize>, Vec<usize>, f64)>,
    start: Vec<u32>,
    end: f64,
}

const VILAR_END: f64 = 200.0;
const DIMERS_START: u32 = 10_000;
const DIMERS_END: f64 = 25.0;

fn vilar() -> Table {
    const DA: usize = 0;
    const DR: usize = 1;
    const DPA: usize = 2;
    const DPR: usize = 3;
    const MA: usize = 4;
    const MR: usize = 5;
    const A: usize = 6;
    const R: usize = 7;
    const C: usize = 8;
    let reactions = [
        (&[DA, A][..], &[DPA][..], 1.0),
        (&[DR, A], &[DPR], 1.0),
        (&[DPA], &[DA, A], 50.0),
        (&[DPR], &[DR, A], 100.0),
        (&[DA], &[DA, MA], 50.0),
        (&[DR], &[DR, MR], 0.01),
        (&[DPA], &[DPA, MA], 500.0),
        (&[DPR], &[DPR, MR], 50.0),
        (&[MA], &[MA, A], 50.0),
        (&[MR], &[MR, R], 5.0),
        (&[A, R], &[C], 2.0),
        (&[C], &[R], 1.0),
        (&[MA], &[], 10.0),
        (&[MR], &[], 0.5),
        (&[A], &[], 1.0),
        (&[R], &[], 0.2),
    ];
    let reactions = reactions.map(|(from, to, rate)| (from.to_vec(), to.to_vec(), rate)).to_vec();
    Table { species: 9, reactions, start: vec![1, 1, 0, 0, 0, 0, 0, 0, 0], end: VILAR_END }
}

fn dimers() -> Table {
    let reactions = vec![
        (vec![0], vec![], 1.0),
        (vec![0, 0], vec![1], 1.0 / 500.0),
        (vec![1], vec![0, 0], 0.5),
        (vec![1], vec![2], 1.0 / 25.0),
    ];
    Table { species: 3, reactions, start: vec![DIMERS_START, 0, 0], end: DIMERS_END }
}

/// 1,000 species in a ring, each of which turns into the next.
fn ring() -> Table {
    let reactions = (0..1000).map(|i| (vec![i], vec![(i + 1) % 1000], 1.0 + (i % 7) as f64)).collect();
    Table { species: 1000, reactions, start: vec![10; 1000], end: 1.0 }
}

impl Table {
    fn network(&self) -> Network {
        let name = |species: usize| format!("S{species}");
        let list = |species: &[usize]| species.iter().map(|&s| (name(s), 1)).collect();
        let reactions = self.reactions.iter().enumerate().map(|(r, (from, to, constant))| Reaction {
            name: format!("r{r}"),
            reactants: list(from),
            products: list(to),
            catalysts: vec![],
            rate: Rate::mass_action(*constant, Counting::Ordered),
        });
        Network::new((0..self.species).map(name), reactions.collect()).expect("a network")
    }

    fn rebop(&self, sparse: bool, seed: u64) -> Gillespie {
        let start: Vec<isize> = self.start.iter().map(|&n| n as isize).collect();
        let mut gillespie = Gillespie::new_with_seed(start, sparse, seed);
        for (from, to, constant) in &self.reactions {
            let (mut orders, mut change) = (vec![0; self.species], vec![0; self.species]);
            from.iter().for_each(|&s| (orders[s], change[s]) = (orders[s] + 1, change[s] - 1));
            to.iter().for_each(|&s| change[s] += 1);
            gillespie.add_reaction(Lma::lma(*constant, orders), change);
        }
        gillespie
    }
}

/// Paths of `rows`, and how many events they have together.
fn events(ssa: &Ssa<'_>, table: &Table, rows: u64) -> u64 {
    let mut events = 0;
    for row in 0..rows {
        let mut walk = ssa.walk(&table.start, row, Noise::new(1)).expect("a start");
        walk.advance(table.end).expect("no failure");
        events += walk.events();
    }
    events
}

fn bench(
    criterion: &mut Criterion,
    name: &str,
    table: &Table,
    by_macro: Option<fn(u64) -> isize>,
    rows: u64,
) {
    let network = table.network();
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10);
    let ssa = |algorithm| Ssa::new(&network, algorithm);
    group.throughput(Throughput::Elements(events(&ssa(Algorithm::Direct), table, 1)));
    for algorithm in Algorithm::ALL {
        if table.species > 100 && matches!(algorithm, Algorithm::Direct | Algorithm::Thinning) {
            continue;
        }
        let ssa = ssa(algorithm);
        group.bench_function(format!("one path/{algorithm:?}"), |b| b.iter(|| events(&ssa, table, 1)));
    }
    // Seeds in turn, so that rebop's paths are as long as they are on average.
    let mut seed = 0;
    group.bench_function("one path/rebop sparse", |b| {
        b.iter(|| {
            seed += 1;
            let mut gillespie = table.rebop(true, seed);
            gillespie.advance_until(table.end);
            black_box(gillespie.get_species(0))
        });
    });
    if let Some(run) = by_macro {
        group.bench_function("one path/rebop macro", |b| {
            b.iter(|| {
                seed += 1;
                black_box(run(seed))
            });
        });
    }
    if table.species < 100 {
        let direct = ssa(Algorithm::Direct);
        let total = events(&direct, table, rows.min(64)) * rows / rows.min(64);
        group.throughput(Throughput::Elements(total));
        group.bench_function(format!("{rows} paths"), |b| {
            b.iter(|| {
                let start = Start::State(&table.start);
                direct
                    .counts_at(start, &[table.end], 0..rows, Noise::new(1), Control::default())
                    .expect("no failure")
            });
        });
    }
    group.finish();
}

/// `paths` paths of rebop's function API, in its sparse mode.
fn rebop_sparse(table: &Table, paths: u64) {
    for seed in 0..paths {
        let mut gillespie = table.rebop(true, seed);
        gillespie.advance_until(table.end);
        black_box(gillespie.get_species(0));
    }
}

/// One line: nanoseconds for an event of ours and of a peer, and the ratio of the times, each for the same number of events.
fn line(name: &str, events: (f64, f64), ours: impl Fn(), peer: impl Fn()) {
    let (seconds, seconds_peer, ratio) = in_turn(9, ours, peer);
    let (a, b) = (seconds * 1e9 / events.0, seconds_peer * 1e9 / events.1);
    println!("| {name} | {a:.1} | {b:.1} | {:.2} |", events.0 / (events.1 * ratio));
}

/// Ratios of one core; of one and two for ensembles of 10,000 paths.
fn table() {
    println!("| | ours, ns/event | the other, ns/event | ratio |\n|---|---|---|---|");
    let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
    let (one, two) = (pool(1), pool(2));
    let networks: [(&str, Table, ByMacro, u64); 2] =
        [("Vilar", vilar(), rebop_vilar, 4), ("dimers", dimers(), rebop_dimers, 64)];
    for (name, table, by_macro, paths) in &networks {
        let network = table.network();
        let direct = Ssa::new(&network, Algorithm::Direct);
        let each = events(&direct, table, 32) as f64 / 32.0;
        let paths = *paths;
        let (few, rows) = (each * paths as f64, paths * 16);
        let single = || {
            black_box(events(&direct, table, paths));
        };
        let ensemble = |rows, end| {
            let start = Start::State(&table.start);
            black_box(direct.counts_at(start, &[end], 0..rows, Noise::new(1), Control::default()))
                .expect("no failure");
        };
        let side_by_side = || one.install(|| ensemble(rows, table.end));
        let run_macro = || {
            for seed in 0..paths {
                black_box(by_macro(seed));
            }
        };
        let own = events(&direct, table, paths) as f64;
        line(&format!("{name}, one path; rebop sparse"), (own, few), single, || rebop_sparse(table, paths));
        line(&format!("{name}, one path; rebop macro"), (own, few), single, run_macro);
        let all = each * rows as f64;
        line(&format!("{name}, {rows} paths; rebop sparse"), (all, few), side_by_side, || {
            rebop_sparse(table, paths)
        });
        line(&format!("{name}, {rows} paths; rebop macro"), (all, few), side_by_side, run_macro);
        let end = 0.02 * table.end;
        let work = 10_000.0;
        let of_both = || two.install(|| ensemble(10_000, end));
        line(
            &format!("{name}, 10,000 paths, µs each: two threads; one"),
            (work * 1e3, work * 1e3),
            of_both,
            || {
                one.install(|| ensemble(10_000, end));
            },
        );
    }
    let ring = ring();
    let network = ring.network();
    for algorithm in [Algorithm::CompositionRejection, Algorithm::NextReaction, Algorithm::Direct] {
        let ssa = Ssa::new(&network, algorithm);
        let (own, mean) = (events(&ssa, &ring, 8) as f64, events(&ssa, &ring, 100) as f64 / 100.0);
        let run = || {
            black_box(events(&ssa, &ring, 8));
        };
        line(&format!("ring, {algorithm:?}; rebop sparse"), (own, mean), run, || rebop_sparse(&ring, 1));
    }
}

fn main() {
    if std::env::args().any(|argument| argument == "table") {
        return table();
    }
    let mut criterion = Criterion::default().configure_from_args();
    bench(&mut criterion, "vilar", &vilar(), Some(rebop_vilar), 64);
    bench(&mut criterion, "dimers", &dimers(), Some(rebop_dimers), 64);
    bench(&mut criterion, "ring", &ring(), None, 1);
    criterion.final_summary();
}
