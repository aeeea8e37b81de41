//! Exact paths of networks.

mod ends;
mod laws;
mod rows;

use std::f64::consts::TAU;

use ctmc::network::{Algorithm, Rate, RateFunction};

/// Those for networks whose rates depend on time.
const IN_TIME: [Algorithm; 2] = [Algorithm::NextReaction, Algorithm::Thinning];

/// β(t) = 1 + 0.9 sin 2πt, whose integral from 0 is B(t).
fn beta(t: f64) -> f64 {
    1.0 + 0.9 * (TAU * t).sin()
}

fn clock(t: f64) -> f64 {
    t + 0.9 * (1.0 - (TAU * t).cos()) / TAU
}

/// c β(t), with a bound that is not a constant, and the integral.
fn modulated(reads: &str, c: f64) -> Rate {
    let bound = move |from: f64, to: f64, n: &[u32]| {
        let greatest =
            if (from - 0.25).floor() < (to - 0.25).floor() { 1.9 } else { beta(from).max(beta(to)) };
        c * greatest * f64::from(n[0])
    };
    Rate::Function(
        RateFunction::new([reads], move |t, n| c * beta(t) * f64::from(n[0]))
            .with_bound(0.1, bound)
            .with_integral(move |from, to, n| c * (clock(to) - clock(from)) * f64::from(n[0])),
    )
}
