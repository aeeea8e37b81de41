//! What exact denoisers share: the walk over a batch.

use numeric::ndarray::ArrayRef3;
use numeric::{Batch, Error, Real, Scratch, Times};

use crate::denoise::Noising;
use crate::denoise::likelihood::Likelihood;
use crate::denoise::noising::check_states;

/// Checks a batch, and calls `row` for each of its rows: its number, the likelihoods at its time, its tokens, and the
/// D·S numbers to be written, in `f64`.
pub(super) fn write_rows<F: Real>(
    noising: &Noising,
    dim: usize,
    batch: &Batch<'_, u32>,
    out: &mut ArrayRef3<F>,
    scratch: &mut Scratch,
    convert: impl Fn(f64) -> f64,
    mut row: impl FnMut(&Likelihood<'_>, &[u32], &mut [f64]) -> Result<(), String>,
) -> Result<(), Error> {
    check_batch(noising.states(), dim, batch, out)?;
    let width = dim * noising.states();
    let mut values: Vec<f64> = scratch.take();
    values.resize(width, 0.0);
    let mut likelihood = None;
    let out = out.as_slice_mut().expect("standard layout");
    let rows = batch.x_slice().chunks_exact(dim).zip(out.chunks_exact_mut(width)).zip(batch.rows());
    for (i, ((x, out), &number)) in rows.enumerate() {
        if likelihood.is_none() || matches!(batch.times(), Times::PerRow(_)) {
            likelihood = Some(Likelihood::new(noising, batch.times().get(i).t)?);
        }
        let likelihood = likelihood.as_ref().expect("made above");
        row(likelihood, x, &mut values).map_err(|message| Error::Model { row: number, message })?;
        for (out, &value) in out.iter_mut().zip(&values) {
            *out = F::of(convert(value));
        }
    }
    scratch.put(values);
    Ok(())
}

/// Checks the shapes and the states of a batch.
pub(super) fn check_batch<F>(
    states: usize,
    dim: usize,
    batch: &Batch<'_, u32>,
    out: &ArrayRef3<F>,
) -> Result<(), Error> {
    Error::shape("x", &[batch.len(), dim], batch.x().shape())?;
    Error::shape("out", &[batch.len(), dim, states], out.shape())?;
    check_states("x", states, batch.x())
}

/// Divides by the sum.
pub(super) fn normalise(law: &mut [f64]) {
    let inverse = 1.0 / law.iter().sum::<f64>();
    law.iter_mut().for_each(|p| *p *= inverse);
}

/// What a row is told that no clean row can have become.
pub(super) fn impossible() -> String {
    "no clean row that the model allows can have led to this state".to_owned()
}

/// Splits known tokens from free ones: the numbers of the free ones.
pub(super) fn free_tokens(known: &[Option<u32>], dim: usize, states: usize) -> Result<Vec<usize>, Error> {
    Error::shape("known", &[dim], &[known.len()])?;
    let values = known.iter().map(|known| f64::from(known.unwrap_or(0)));
    Error::entries("known", values, "a state", |x| x < states as f64)?;
    let free: Vec<usize> = (0..dim).filter(|&d| known[d].is_none()).collect();
    Error::domain(!free.is_empty(), "known", dim as f64, "fewer known tokens than tokens")?;
    Ok(free)
}
