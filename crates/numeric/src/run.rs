//! The row runner: blocks of rows through rayon, in index order, the same for any split.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

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
///
/// # Panics
/// If `work` does.
pub fn run_blocks<T: Send>(
    rows: Range<u64>,
    batching: Batching,
    control: Control<'_>,
    work: impl Fn(Range<u64>, &mut Scratch) -> Result<T, Error> + Sync,
) -> Result<Vec<T>, Error> {
    let slots: Vec<Mutex<Option<T>>> =
        (0..count_blocks(&rows, batching)?).map(|_| Mutex::default()).collect();
    for_blocks(rows, batching, control, slots.len(), &|index, block, scratch| {
        *own(&slots[index]) = Some(work(block, scratch)?);
        Ok(())
    })?;
    let value = |slot: Mutex<Option<T>>| slot.into_inner().expect("own").expect("each block has run");
    Ok(slots.into_iter().map(value).collect())
}

/// What a block of its own has to itself: a lock that is never waited for.
fn own<P>(slot: &Mutex<P>) -> MutexGuard<'_, P> {
    slot.lock().expect("a block that panics ends the run")
}

/// Number of aligned blocks that the rows lie in.
fn count_blocks(rows: &Range<u64>, batching: Batching) -> Result<usize, Error> {
    Error::domain(batching.rows > 0, "batching.rows", 0.0, "at least 1")?;
    let size = batching.rows as u64;
    let count = if rows.is_empty() { 0 } else { (rows.end - 1) / size - rows.start / size + 1 };
    Ok(usize::try_from(count).expect("blocks fit into memory"))
}

/// The work on a block, by its index among those of the run and its rows.
type Work<'w> = dyn Fn(usize, Range<u64>, &mut Scratch) -> Result<(), Error> + Sync + 'w;

/// [`run_blocks`] on the `blocks` that [`count_blocks`] found, without results. Compiled once: parallel iterators are long, and every sampler is a closure of its own.
fn for_blocks(
    rows: Range<u64>,
    batching: Batching,
    control: Control<'_>,
    blocks: usize,
    work: &Work<'_>,
) -> Result<(), Error> {
    let size = batching.rows as u64;
    let first = rows.start / size;
    let lowest_failure = AtomicU64::new(u64::MAX);
    let done = AtomicU64::new(0);
    let block = |scratch: &mut Scratch, index: usize| {
        let number = first + index as u64;
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
        let mut work = |rows: Range<u64>| work(index, rows, scratch);
        let result = if batching.rowwise { lowest(asked, work) } else { work(whole) };
        match &result {
            Ok(()) => {
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
    let blocks = 0..blocks;
    let results: Vec<Result<(), Error>> = if batching.serial {
        let mut scratch = Scratch::new();
        blocks.map(|index| block(&mut scratch, index)).collect()
    } else {
        blocks.into_par_iter().map_init(Scratch::new, block).collect()
    };
    results.into_iter().collect()
}

/// Runs `work` on the rows of a block; of several rows that fail at different steps, reports the lowest.
fn lowest(rows: Range<u64>, mut work: impl FnMut(Range<u64>) -> Result<(), Error>) -> Result<(), Error> {
    let mut result = work(rows.clone());
    // The row that failed first in time need not be the lowest: ask those below it.
    while let Some(row) =
        result.as_ref().err().and_then(Error::row).filter(|&row| row > rows.start && row < rows.end)
    {
        match work(rows.start..row) {
            Err(lower) if lower.row().is_some_and(|lower| lower < row) => result = Err(lower),
            _ => break,
        }
    }
    result
}

/// Runs `work` on blocks of the rows, each of which writes its own part of `out`, `(rows.len(), width)` row-major.
///
/// `work` is given the rows of a block and a slice of `width` numbers for each of them, to write over; its contents
/// are of no meaning. Only where a block must be computed whole and is not asked for whole is the slice not a part of
/// `out` itself.
///
/// ```
/// use numeric::{Batching, Control, fill_rows};
/// let mut out = [0.0; 6];
/// fill_rows(3..6, 2, Batching::default(), Control::default(), &mut out, |rows, out, _| {
///     for (row, out) in rows.zip(out.chunks_exact_mut(2)) {
///         out.copy_from_slice(&[row as f64, -(row as f64)]);
///     }
///     Ok(())
/// })?;
/// assert_eq!(out, [3.0, -3.0, 4.0, -4.0, 5.0, -5.0]);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # Errors
/// As [`run_blocks`]; [`Error::Shape`] if `out` is not `rows.len() * width` long. After an error `out` holds what was
/// written until then.
///
/// # Panics
/// If a block does not fit into memory.
pub fn fill_rows<F: Real>(
    rows: Range<u64>,
    width: usize,
    batching: Batching,
    control: Control<'_>,
    out: &mut [F],
    work: impl Fn(Range<u64>, &mut [F], &mut Scratch) -> Result<(), Error> + Sync,
) -> Result<(), Error> {
    fill(rows, width, batching, control, out, &work)
}

/// The work on the rows of a block and their part of the output.
type Fill<'w, F> = dyn Fn(Range<u64>, &mut [F], &mut Scratch) -> Result<(), Error> + Sync + 'w;

/// [`fill_rows`], whatever the closure.
fn fill<F: Real>(
    rows: Range<u64>,
    width: usize,
    batching: Batching,
    control: Control<'_>,
    out: &mut [F],
    work: &Fill<'_, F>,
) -> Result<(), Error> {
    let blocks = count_blocks(&rows, batching)?;
    let length = |rows: &Range<u64>| {
        usize::try_from(rows.end.saturating_sub(rows.start)).expect("rows fit into memory") * width
    };
    Error::shape("out", &[length(&rows)], &[out.len()])?;
    let (asked, size) = (rows.clone(), batching.rows as u64);
    let mut parts = Vec::with_capacity(blocks);
    let (mut rest, mut start) = (out, rows.start);
    for _ in 0..blocks {
        let end = (start / size + 1).saturating_mul(size).min(rows.end);
        let (part, later) = rest.split_at_mut(length(&(start..end)));
        parts.push(Mutex::new(part));
        (rest, start) = (later, end);
    }
    for_blocks(rows, batching, control, blocks, &|index, block, scratch| {
        let mut part = own(&parts[index]);
        let length = length(&block);
        if length <= part.len() {
            return work(block, &mut part[..length], scratch);
        }
        // A whole block of which a part is asked for.
        let mut whole = vec![F::zero(); length];
        work(block.clone(), &mut whole, scratch)?;
        let before = (block.start.max(asked.start) - block.start) as usize * width;
        let count = part.len();
        part.copy_from_slice(&whole[before..][..count]);
        Ok(())
    })
}

/// Runs `work` on blocks of the rows and gathers the rows it yields into one `(rows.len(), d)` array.
///
/// `work` returns the row-major values of all the rows it was given; rows computed only to complete an aligned
/// block are cut off here. [`fill_rows`] is the same without the copy.
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
    let count = usize::try_from(rows.end.saturating_sub(rows.start)).expect("rows fit into memory");
    let mut out = Array2::zeros((count, dim));
    let slice = out.as_slice_mut().expect("made in standard layout");
    fill_rows(rows, dim, batching, control, slice, |rows, out, scratch| {
        let values = work(rows, scratch)?;
        assert_eq!(values.len(), out.len(), "one value for each row and coordinate");
        out.copy_from_slice(&values);
        Ok(())
    })?;
    Ok(out)
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
