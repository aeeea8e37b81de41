//! The exact simulators.

use ctmc::network::{Algorithm, Ssa, Start};
use numeric::{Control, Noise};
use verify::Family;

use super::{Model, Reset, Seen, compare, long_models, longest_models, row_by_row, short_models, times};

fn simulate(model: &Model, algorithm: Algorithm, noise: Noise) -> Seen {
    let Model { network, start, reset, .. } = model;
    let ssa = Ssa::new(network, algorithm);
    if *reset == Reset::Never {
        return ssa.counts_at(Start::State(start), &times(), 0..10_000, noise, Control::default()).unwrap();
    }
    row_by_row(model, 10_000, |row| {
        let mut walk = ssa.walk(start, row, noise).unwrap();
        let mut seen = vec![];
        for time in times() {
            match *reset {
                Reset::At(at, count) if at > time - 1.0 && at <= time => {
                    walk.advance(at).unwrap();
                    walk.set_counts(&[count, 0]).unwrap();
                }
                Reset::Above(most) => {
                    while walk.next_event(time).unwrap().is_some() {
                        if walk.counts()[1] > most {
                            walk.set_counts(start).unwrap();
                        }
                    }
                }
                _ => {}
            }
            walk.advance(time).unwrap();
            seen.extend_from_slice(walk.counts());
        }
        seen
    })
}

fn passes(models: &[Model], algorithms: &[Algorithm], label: u64) {
    let mut family = Family::new(1e-3).unwrap();
    compare(&mut family, models, algorithms, label, |model, &algorithm, noise| {
        simulate(model, algorithm, noise)
    });
    family.assert();
}

/// False alarms: at most one run in a thousand for each of the two tests.
#[test]
fn each_simulator_passes_the_tests_of_the_short_models() {
    passes(&short_models(), &Algorithm::ALL, 100);
}

#[test]
fn the_direct_method_passes_the_tests_of_the_long_models() {
    passes(&long_models(), &[Algorithm::Direct], 101);
}

#[test]
#[ignore = "a minute: by default the direct method runs on these, and all others on the short models"]
fn each_simulator_passes_the_tests_of_the_long_models() {
    passes(&long_models(), &Algorithm::ALL[1..], 102);
}

/// The two models of 10⁵ events for each row.
#[test]
#[ignore = "ten minutes of one core: what the short models test, at a hundred times the events"]
fn each_simulator_passes_the_tests_of_the_longest_models() {
    passes(&longest_models(), &Algorithm::ALL, 103);
}
