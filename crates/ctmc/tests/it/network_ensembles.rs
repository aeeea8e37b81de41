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
    let run = |start, max_events| {
        let ssa = Ssa { max_events, ..Ssa::new(&network, Algorithm::Direct) };
        ssa.counts_at(Start::State(&[start]), &[0.5, 6.0], 11..1211, Noise::new(5), Control::default())
    };
    // So many that a row fails on the way, in lanes beside others; and so few that rows are not simulated in lanes.
    let all = on(1, || run(3, 1_000_000)).unwrap();
    let limits = [(20, 600), (1, 60)];
    let limited = limits.map(|(start, most)| on(1, || run(start, most)).unwrap_err());
    assert!(matches!(limited[0], Error::Stalled { row, steps: 600, .. } if row > 11), "{limited:?}");
    assert!(matches!(limited[1], Error::Stalled { row, steps: 60, .. } if row > 11), "{limited:?}");
    for threads in [2, 3, 7] {
        assert_eq!(on(threads, || run(3, 1_000_000)).unwrap(), all);
        assert_eq!(limits.map(|(start, most)| on(threads, || run(start, most)).unwrap_err()), limited);
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
    // Before the start, also of rows that are all left to the scalar method, next to the greatest count.
    let control = Control { cancel: Some(&stop), progress: None };
    assert_eq!(on(2, || run(control)).unwrap_err(), Error::Cancelled);
    let high = Start::State(&[u32::MAX - 20]);
    let rows = |control| ssa.counts_at(high, &[1e-12], 0..1000, Noise::new(5), control);
    assert_eq!(on(2, || rows(control)).unwrap_err(), Error::Cancelled);
    let reports = Mutex::new(0);
    let report = |done| *reports.lock().unwrap() += u64::from(done <= 1000);
    on(2, || rows(Control { cancel: None, progress: Some(&report) })).unwrap();
    assert!(*reports.lock().unwrap() > 10);
}
