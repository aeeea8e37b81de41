//! The letter.

use numeric::Noise;

use crate::STATES;

/// Whether a point of the unit square, with y upwards, is within the letter τ: a bar with a drooping left end, and a stem that
/// bends to the right at its foot.
fn inside(x: f64, y: f64) -> bool {
    let bar = (0.16..0.86).contains(&x) && (0.70..0.82).contains(&y);
    let droop = {
        let (dx, dy) = (x - 0.24, y - 0.66);
        let r = dx.hypot(dy);
        (0.07..0.16).contains(&r) && dx < 0.02 && dy > -0.02
    };
    let stem = (0.44..0.56).contains(&x) && (0.32..0.72).contains(&y);
    let foot = {
        let (dx, dy) = (x - 0.64, y - 0.33);
        let r = dx.hypot(dy);
        (0.08..0.20).contains(&r) && dy < 0.0 && dx < 0.11
    };
    bar || droop || stem || foot
}

/// How many of `points` uniform points within the letter fall into each cell, row by row from the top.
pub(crate) fn counts(points: u64, noise: Noise) -> Vec<f64> {
    let mut stream = noise.row_stream(0);
    let mut counts = vec![0.0; STATES * STATES];
    let cell = |z: f64| ((z * STATES as f64) as usize).min(STATES - 1);
    let mut found = 0;
    while found < points {
        let (x, y) = (stream.uniform(), stream.uniform());
        if inside(x, y) {
            counts[cell(1.0 - y) * STATES + cell(x)] += 1.0;
            found += 1;
        }
    }
    counts
}
