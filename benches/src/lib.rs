//! What several benches use; they are in `benches/`.

use std::path::Path;

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
