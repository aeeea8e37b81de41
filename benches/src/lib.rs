//! What several benches use; they are in `benches/`.

use std::path::Path;
use std::time::Instant;

use numeric::ndarray::Array1;
use sde_core::{Component, Covariance, Mixture};

/// The mixture of W1: 8 components of variance ¼ in d = 32, at the means that all peers read.
///
/// # Panics
/// If `peers/means.csv` is not there.
#[must_use]
pub fn w1_mixture() -> Mixture {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/means.csv");
    let text = std::fs::read_to_string(path).expect("peers/means.csv");
    let component = |line: &str| Component {
        weight: 1.0,
        mean: line.split(',').map(|m| m.trim().parse::<f64>().expect("a number")).collect::<Array1<f64>>(),
        covariance: Covariance::Isotropic(0.25),
    };
    Mixture::new(text.lines().map(component).collect()).expect("eight means")
}

/// Times two pieces of work in turn, after one run of each that does not count: the medians of both in seconds, and the
/// median of their ratios. What else the machine does meets both alike.
pub fn in_turn(rounds: usize, first: impl Fn(), second: impl Fn()) -> (f64, f64, f64) {
    fn timed(work: impl Fn()) -> f64 {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64()
    }
    first();
    second();
    let pairs: Vec<(f64, f64)> = (0..rounds).map(|_| (timed(&first), timed(&second))).collect();
    let median = |part: fn(&(f64, f64)) -> f64| {
        let mut of: Vec<f64> = pairs.iter().map(part).collect();
        of.sort_by(f64::total_cmp);
        of[of.len() / 2]
    };
    (median(|p| p.0), median(|p| p.1), median(|p| p.0 / p.1))
}
