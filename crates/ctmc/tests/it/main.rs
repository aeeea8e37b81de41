//! The tests of this crate, in one binary: linking is most of what each further one costs.

mod denoise;
mod evolution;
mod exact;
mod flow;
mod generators;
mod golden;
mod hitting;
mod kernels;
mod leaping;
mod mixing;
mod multilevel;
mod network;
mod network_ensembles;
mod network_paths;
mod network_suite;
mod network_text;
mod objective;
mod projection;
#[cfg(feature = "serde")]
mod serialized;
mod simulation;
mod time_change;

use numeric::ndarray::Array2;

/// exp(tQ) by Padé approximants, scaling and squaring: shares nothing with the library.
fn pade(rates: &Array2<f64>, time: f64) -> Array2<f64> {
    let n = rates.nrows();
    let exp = nalgebra::DMatrix::from_fn(n, n, |i, j| time * rates[[i, j]]).exp();
    Array2::from_shape_fn((n, n), |(i, j)| exp[(i, j)])
}

/// The greatest difference of two matrices.
fn distance(a: &Array2<f64>, b: &Array2<f64>) -> f64 {
    (a - b).iter().fold(0.0, |greatest, d| d.abs().max(greatest))
}

#[track_caller]
fn assert_near(found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance, "{found} is not {expected} within {tolerance}");
}

/// Three states, not reversible; its laws were computed elsewhere to 12 digits.
fn cyclic() -> ctmc::Dense {
    ctmc::Dense::new(&numeric::ndarray::array![[0.0, 1.0, 0.5], [0.25, 0.0, 0.75], [1.0, 0.5, 0.0]]).unwrap()
}
