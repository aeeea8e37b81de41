//! Many paths side by side, on any number of threads.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use ctmc::network::Counting::Ordered;
use ctmc::network::{Algorithm, Network, Rate, Reaction, Ssa, Start};
use numeric::{Control, Error, Noise};

fn births_and_deaths() -> Network {
    let birth = Reaction::new("birth", [("X", 1)], [("X", 2)], Rate::mass_action(1.0, Ordered));
    let death = Reaction::new("death", [("X", 1)], [], Rate::mass_action(1.0, Ordered));
    Network::new(["X"], vec![birth, death]).unwrap()
}

fn on<T: Send>(threads: usize, run: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(run)
}

/// Paths of very different lengths, so that the order in which they end is not that of their rows.
#[test]
fn counts_and_the_lowest_failure_are_the_same_on_any_number_of_threads() {
    let network = births_and_deaths();
    let run = |max_events| {
        let ssa = Ssa { max_events, ..Ssa::new(&network, Algorithm::Direct) };
        ssa.counts_at(Start::State(&[3]), &[0.5, 6.0], 11..1211, Noise::new(5), Control::default())
    };
    let (all, limited) = on(1, || (run(1_000_000).unwrap(), run(60).unwrap_err()));
    assert!(matches!(limited, Error::Stalled { row, .. } if row > 11), "{limited}");
    for threads in [2, 3, 7] {
        assert_eq!(on(threads, || run(1_000_000)).unwrap(), all);
        assert_eq!(on(threads, || run(60)).unwrap_err(), limited);
    }
}

#[test]
fn progress_comes_to_all_rows_and_a_run_can_be_stopped() {
    let network = births_and_deaths();
    let ssa = Ssa::new(&network, Algorithm::Direct);
    let reports = Mutex::new(vec![]);
    let report = |done| reports.lock().unwrap().push(done);
    let run = |control| ssa.counts_at(Start::State(&[40]), &[2.0], 0..1000, Noise::new(5), control);
    on(2, || run(Control { cancel: None, progress: Some(&report) })).unwrap();
    let mut reports = std::mem::take(&mut *reports.lock().unwrap());
    reports.sort_unstable();
    assert!(reports.len() > 5 && reports.windows(2).all(|pair| pair[0] < pair[1]), "{reports:?}");
    assert_eq!(reports.last(), Some(&1000));
    // From within, after the first report.
    let stop = AtomicBool::new(false);
    let report = |_| stop.store(true, Ordering::Relaxed);
    let control = Control { cancel: Some(&stop), progress: Some(&report) };
    assert_eq!(on(2, || run(control)).unwrap_err(), Error::Cancelled);
}
