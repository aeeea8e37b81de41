//! Probability vectors.

use numeric::Error;

/// The first entry at which the running sum exceeds `target`; after rounding at the end, the last one of positive
/// weight. `None` if there is none. An entry of weight 0 is never drawn.
pub(crate) fn draw_from(target: f64, weights: impl FnOnce(&mut dyn FnMut(u32, f64))) -> Option<u32> {
    let (mut sum, mut found, mut last) = (0.0, None, None);
    weights(&mut |state, weight| {
        sum += weight;
        if weight > 0.0 {
            last = Some(state);
            if found.is_none() && sum > target {
                found = Some(state);
            }
        }
    });
    found.or(last)
}

/// A state from a law whose entries sum to `total`, given a uniform u on (0, 1).
pub(crate) fn draw(law: &[f64], total: f64, u: f64) -> u32 {
    let entries = |visit: &mut dyn FnMut(u32, f64)| (0..).zip(law).for_each(|(state, &p)| visit(state, p));
    draw_from(u * total, entries).expect("a law has a positive entry")
}

/// Checks that the entries are probabilities that sum to 1 within rounding.
pub(crate) fn check_law(parameter: &'static str, states: usize, law: &[f64]) -> Result<(), Error> {
    Error::shape(parameter, &[states], &[law.len()])?;
    Error::entries(parameter, law.iter().copied(), "a probability", |p| (0.0..=1.0).contains(&p))?;
    let total: f64 = law.iter().sum();
    let ok = (total - 1.0).abs() <= 1e-9;
    Error::domain(ok, parameter, total, "probabilities that sum to 1 within 1e-9")
}

/// Divides by the sum.
pub(crate) fn normalise(law: &mut [f64]) {
    let total: f64 = law.iter().sum();
    law.iter_mut().for_each(|p| *p /= total);
}
