//! What runs of many paths share.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use numeric::Error;
use numeric::estimate::MeanAccumulator;
use numeric::ndarray::Array2;

use super::Network;
use super::ssa::Start;

/// After so many steps of a path it is looked whether the run is cancelled.
pub(super) const WATCH: u64 = 1 << 12;

/// A start of the shape of the rows and species.
pub(super) fn check_start(start: Start<'_>, rows: &Range<u64>, network: &Network) -> Result<(), Error> {
    let species = network.species().len();
    match start {
        Start::State(state) => Error::shape("start", &[species], &[state.len()]),
        Start::States(states) => Error::shape("start", &[count(rows), species], states.shape()),
    }
}

/// A path can be long: a run is cancelled within it as well.
#[inline]
pub(super) fn watch(events: u64, cancel: Option<&AtomicBool>) -> Result<(), Error> {
    if events.is_multiple_of(WATCH) && cancel.is_some_and(|cancel| cancel.load(Ordering::Relaxed)) {
        return Err(Error::Cancelled);
    }
    Ok(())
}

pub(super) fn count(rows: &Range<u64>) -> usize {
    rows.end.saturating_sub(rows.start) as usize
}

/// Finite times of at least 0 that ascend.
pub(super) fn check_times(parameter: &'static str, times: &[f64]) -> Result<(), Error> {
    for (index, &value) in times.iter().enumerate() {
        let ok = value.is_finite() && value >= if index == 0 { 0.0 } else { times[index - 1] };
        if !ok {
            let expected = "finite times of at least 0, ascending";
            return Err(Error::Entry { parameter, index, value, expected });
        }
    }
    Ok(())
}

/// The rows of all blocks.
pub(super) fn joined(mut blocks: Vec<Vec<u32>>) -> Vec<u32> {
    if blocks.len() == 1 { blocks.remove(0) } else { blocks.concat() }
}

/// Moments of counts by time and species, from blocks of rows of them.
pub(super) fn moments(
    shape: (usize, usize),
    mut first: u64,
    blocks: Vec<Vec<u32>>,
) -> Result<Array2<MeanAccumulator>, Error> {
    let width = shape.0 * shape.1;
    let mut sums = Array2::default(shape);
    for block in blocks {
        let Some(length) = block.len().checked_div(width) else { continue };
        let mut values = vec![0.0; length];
        for (column, sum) in sums.iter_mut().enumerate() {
            for (value, row) in values.iter_mut().zip(block.chunks_exact(width)) {
                *value = f64::from(row[column]);
            }
            let sum: &mut MeanAccumulator = sum;
            sum.push_values(first, &values)?;
        }
        first += length as u64;
    }
    Ok(sums)
}
