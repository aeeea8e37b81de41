//! The row runner: blocks of rows through rayon, in index order, the same for any split.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

use crate::{Batching, Error, Real, Scratch, vectorize};

/// How a run is watched and stopped from outside. `Control::default()` does neither.
///
/// ```
/// use std::sync::atomic::AtomicBool;
/// use numeric::{Batching, Control, Error, run_blocks};
/// let stop = AtomicBool::new(true);
/// let control = Control { cancel: Some(&stop), progress: None };
/// let run = run_blocks(0..1000, Batching::default(), control, |rows, _| Ok(rows.end));
/// assert_eq!(run, Err(Error::Cancelled));
/// ```
#[derive(Clone, Copy, Default)]
pub struct Control<'a> {
    /// Set it to true, from any thread, and the run ends with [`Error::Cancelled`] before its next block.
    pub cancel: Option<&'a AtomicBool>,
    /// Called after each block with the number of rows done so far, from whichever thread did the block.
    pub progress: Option<&'a (dyn Fn(u64) + Sync)>,
}

impl std::fmt::Debug for Control<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control")
            .field("cancel", &self.cancel)
            .field("progress", &self.progress.map(|_| "Fn(u64)"))
            .finish()
    }
}

/// Runs `work` on blocks of the rows and returns what the blocks yield, in the order of the rows.
///
/// Blocks end at multiples of `batching.rows` in absolute row numbers, so that any range of rows is cut at the
/// same places. A block yields anything: floats, integers, ragged events. Workers reuse one [`Scratch`] each.
/// With `batching.rowwise` unset, the closure is given whole aligned blocks, also at the ends of the range,
/// and the caller cuts off what was not asked for (see [`run_rows`]).
///
/// ```
/// use numeric::{Batching, Control, run_blocks};
/// let work = |rows: std::ops::Range<u64>, _: &mut numeric::Scratch| Ok(rows);
/// let blocks = run_blocks(70..200, Batching::default(), Control::default(), work)?;
/// assert_eq!(blocks, [70..128, 128..192, 192..200]);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # Errors
/// Of all blocks that fail, the error of the one with the lowest rows: the same one for any number of threads.
/// [`Error::Cancelled`] if cancelled; [`Error::Domain`] for blocks of no rows.
pub fn run_blocks<T: Send>(
    rows: Range<u64>,
    batching: Batching,
    control: Control<'_>,
    work: impl Fn(Range<u64>, &mut Scratch) -> Result<T, Error> + Sync,
) -> Result<Vec<T>, Error> {
    Error::domain(batching.rows > 0, "batching.rows", 0.0, "at least 1")?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let size = batching.rows as u64;
    let (first, last) = (rows.start / size, (rows.end - 1) / size);
    let lowest_failure = AtomicU64::new(u64::MAX);
    let done = AtomicU64::new(0);
    let block = |scratch: &mut Scratch, number: u64| {
        // A block below the lowest failure so far must still run, for its own failure would be reported.
        if number > lowest_failure.load(Ordering::Relaxed) {
            return Err(Error::Cancelled);
        }
        if control.cancel.is_some_and(|cancel| cancel.load(Ordering::Relaxed)) {
            return Err(Error::Cancelled);
        }
        let whole = number * size..(number + 1).saturating_mul(size);
        let asked = whole.start.max(rows.start)..whole.end.min(rows.end);
        let count = asked.end - asked.start;
        let result = if batching.rowwise { lowest(asked, scratch, &work) } else { work(whole, scratch) };
        match &result {
            Ok(_) => {
                let total = done.fetch_add(count, Ordering::Relaxed) + count;
                if let Some(progress) = control.progress {
                    progress(total);
                }
            }
            Err(_) => {
                lowest_failure.fetch_min(number, Ordering::Relaxed);
            }
        }
        result
    };
    let results: Vec<Result<T, Error>> = if batching.serial {
        let mut scratch = Scratch::new();
        (first..=last).map(|number| block(&mut scratch, number)).collect()
    } else {
        (first..=last).into_par_iter().map_init(Scratch::new, block).collect()
    };
    results.into_iter().collect()
}

/// Runs `work` on the rows of a block; of several rows that fail at different steps, reports the lowest.
fn lowest<T>(
    rows: Range<u64>,
    scratch: &mut Scratch,
    work: &impl Fn(Range<u64>, &mut Scratch) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut result = work(rows.clone(), scratch);
    // The row that failed first in time need not be the lowest: ask those below it.
    while let Some(row) =
        result.as_ref().err().and_then(Error::row).filter(|&row| row > rows.start && row < rows.end)
    {
        match work(rows.start..row, scratch) {
            Err(lower) if lower.row().is_some_and(|lower| lower < row) => result = Err(lower),
            _ => break,
        }
    }
    result
}

/// Runs `work` on blocks of the rows and gathers the rows it yields into one `(rows.len(), d)` array.
///
/// `work` returns the row-major values of all the rows it was given; rows computed only to complete an aligned
/// block are cut off here.
///
/// ```
/// use numeric::{Batching, Control, run_rows};
/// let work = |rows: std::ops::Range<u64>, _: &mut numeric::Scratch| Ok(rows.map(|r| r as f64).collect());
/// let x = run_rows(3..5, 1, Batching { rowwise: false, ..Batching::default() }, Control::default(), work)?;
/// assert_eq!(x, ndarray::array![[3.0], [4.0]]);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # Errors
/// As [`run_blocks`].
///
/// # Panics
/// If `work` returns another number of values than its rows times `dim`.
pub fn run_rows<F: Real>(
    rows: Range<u64>,
    dim: usize,
    batching: Batching,
    control: Control<'_>,
    work: impl Fn(Range<u64>, &mut Scratch) -> Result<Vec<F>, Error> + Sync,
) -> Result<Array2<F>, Error> {
    let asked = rows.clone();
    let blocks = run_blocks(rows.clone(), batching, control, move |block, scratch| {
        let mut values = work(block.clone(), scratch)?;
        let count = usize::try_from(block.end - block.start).expect("a block fits into memory");
        assert_eq!(values.len(), count * dim, "one value for each row and coordinate");
        let keep = block.start.max(asked.start)..block.end.min(asked.end);
        values.truncate((keep.end - block.start) as usize * dim);
        values.drain(..(keep.start - block.start) as usize * dim);
        Ok(values)
    })?;
    let mut out = Vec::with_capacity((rows.end.saturating_sub(rows.start)) as usize * dim);
    for block in &blocks {
        out.extend_from_slice(block);
    }
    Ok(Array2::from_shape_vec((out.len() / dim.max(1), dim), out).expect("whole rows"))
}

/// `Ok(())` if every entry of the rows is finite.
///
/// # Errors
/// [`Error::NotFinite`] for the lowest row that has a NaN or an infinity.
///
/// # Panics
/// If `x` is not in standard layout.
pub fn check_finite<F: Real>(
    what: &'static str,
    rows: &[u64],
    step: u64,
    time: f64,
    x: ArrayView2<'_, F>,
) -> Result<(), Error> {
    // Without a branch for each number, so that the pass runs as fast as the memory.
    let clean = |row: &[F]| {
        vectorize(
            #[inline(always)]
            || row.iter().fold(true, |clean, &x| clean & x.is_finite()),
        )
    };
    let slice = x.to_slice().expect("standard layout");
    if clean(slice) {
        return Ok(());
    }
    let row = slice.chunks_exact(x.ncols()).position(|row| !clean(row)).unwrap_or(0);
    Err(Error::NotFinite { what, row: rows[row], step, time })
}
