//! Streaming output: rows to an `.npy` file, by a run that may be killed and resumed.
//!
//! Row $`i`$ of a run is a function of (seed, $`i`$), so a run can stop anywhere and go on anywhere. What is
//! left to do here is to know how far a file got. [`NpyWriter`] appends rows to `NAME.npy.part`;
//! [`checkpoint`](NpyWriter::checkpoint) syncs them and *then* replaces `NAME.npy.journal`, which therefore
//! never promises a row that is not on disk; [`finish`](NpyWriter::finish) syncs, renames to `NAME.npy` and
//! removes the journal. Opening the same run again cuts the part file back to the journal's last row and
//! goes on from there. Hence a run killed at any moment and restarted ends with the bytes of a run that was
//! not, and a file called `NAME.npy` is always complete.
//!
//! The journal is a short text: element type, width, machine, [`RunId`], next row, hash. Another run's
//! journal is refused, with the first line that differs. The machine is in it because sums and elementary
//! functions of a model agree between CPUs only to rounding.
//!
//! A lost part file is started anew: an empty or missing one holds nothing to protect. A kill between the
//! last two steps leaves a journal beside a complete file; it does no harm. Everything else that does not fit
//! together is an error which leaves all files as they are.
//!
//! The file is format 1.0 of NumPy's `.npy` (`numpy.lib.format`): a header of 128 bytes, then the array of
//! shape `(rows, dim)` as little-endian `<f4` or `<f8`, row after row; any reader of such files reads it.

mod fingerprint;
mod journal;
mod npy;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::marker::PhantomData;
use std::ops::Range;
use std::path::{Path, PathBuf};

use ndarray::ArrayRef2;

pub use self::fingerprint::Fingerprint;
use self::journal::{Journal, suffixed, sync_folder};
use self::npy::{append, header};
use crate::{Error, Real};

/// Rows are gathered to this many bytes before they go to the file.
const BUFFER: usize = 1 << 20;

/// Which run a file is of: with the width and the element type, all that its bytes depend on.
///
/// ```
/// use numeric::output::{Fingerprint, RunId};
/// let shard = |rows| RunId { seed: 7, rows, fingerprint: Fingerprint::new().text("method", "heun") };
/// assert_ne!(shard(0..500), shard(500..1000));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RunId {
    /// The seed.
    pub seed: u64,
    /// The absolute numbers of the file's rows: all rows of the run, or a shard of them.
    pub rows: Range<u64>,
    /// Everything else the rows depend on.
    pub fingerprint: Fingerprint,
}

/// Writes the rows of one run, in order, to an `.npy` file that appears when it is complete.
///
/// One process at a time: the part file is locked while a writer is open. The latest block, and up to a
/// mebibyte of rows before it, are held back in memory; dropping a writer, like killing it, loses what came
/// after the last checkpoint.
///
/// A checkpoint costs three syncs (rows, journal, folder), that is milliseconds: make one every few seconds
/// of work, not every block.
///
/// ```
/// use numeric::ndarray::Array2;
/// use numeric::output::{Fingerprint, NpyWriter, RunId};
/// # let folder = std::env::temp_dir().join(format!("girsanov-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// # let path = folder.join("squares.npy");
/// let id = RunId { seed: 7, rows: 0..10, fingerprint: Fingerprint::new().text("method", "squares") };
/// let row = |i: u64, j: usize| i.pow(2) as f64 + j as f64;
/// let rows_from = |first| Array2::from_shape_fn((2, 3), |(i, j)| row(first + i as u64, j));
///
/// // A run that ends early: rows 4 and 5 are written, and no checkpoint follows.
/// let mut writer = NpyWriter::<f64>::open(&path, &id, 3)?;
/// writer.write_rows(0, &rows_from(0))?;
/// writer.write_rows(2, &rows_from(2))?;
/// writer.checkpoint()?;
/// writer.write_rows(4, &rows_from(4))?;
/// drop(writer);
///
/// // The same program again.
/// let mut writer = NpyWriter::<f64>::open(&path, &id, 3)?;
/// assert_eq!(writer.next_row(), 4);
/// while writer.next_row() < id.rows.end {
///     let first = writer.next_row();
///     writer.write_rows(first, &rows_from(first))?;
/// }
/// assert_eq!(writer.finish()?, path);
///
/// let bytes = std::fs::read(&path)?;
/// assert_eq!(bytes.len(), 128 + 10 * 3 * 8);
/// assert_eq!(bytes[bytes.len() - 8..], 83.0_f64.to_le_bytes());
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct NpyWriter<F: Real> {
    path: PathBuf,
    part: PathBuf,
    journal: Journal,
    /// The part file, locked.
    file: File,
    rows: Range<u64>,
    dim: usize,
    header: u64,
    /// Rows before this one are in `file` or in `buffer`.
    next_row: u64,
    /// Rows before this one are on disk, and the journal says so.
    synced_row: u64,
    /// The bytes of the latest rows, which are not in `file` yet.
    buffer: Vec<u8>,
    element: PhantomData<F>,
}

impl<F: Real> NpyWriter<F> {
    /// Starts the file, or goes on with it if the same run was interrupted: see
    /// [`next_row`](NpyWriter::next_row).
    ///
    /// An existing `path` is never overwritten: it is complete. A program that is restarted until it
    /// succeeds asks `path.exists()` first. An empty range of rows gives a file of shape `(0, dim)`.
    ///
    /// # Errors
    /// [`Error::Domain`] if `dim` is 0, the range of rows is reversed, or the file would be longer than
    /// $`2^{63}-1`$ bytes. [`Error::File`] if `path` exists; if a file cannot be created, read, written or
    /// locked (by another process, or because the file system knows no locks); if the journal is of another
    /// run or damaged; if the part file does not begin with the right header, is shorter than the journal
    /// says, or holds rows and has no journal.
    pub fn open(path: impl AsRef<Path>, id: &RunId, dim: usize) -> Result<NpyWriter<F>, Error> {
        let path = path.as_ref().to_path_buf();
        let header = header::<F>(&id.rows, dim)?;
        absent(&path)?;
        let part = suffixed(&path, ".part");
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).clone();
        let file = options.open(&part).map_err(|error| Error::file(&part, error))?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => Error::file(&part, "is being written by another process"),
            TryLockError::Error(error) => Error::file(&part, format!("cannot be locked: {error}")),
        })?;
        // Between the first look and the lock another process may have finished.
        absent(&path)?;
        let journal = Journal { path: suffixed(&path, ".journal"), head: journal::head::<F>(id, dim) };
        let mut writer = NpyWriter {
            path,
            part,
            journal,
            file,
            rows: id.rows.clone(),
            dim,
            header: header.len() as u64,
            next_row: id.rows.start,
            synced_row: id.rows.start,
            buffer: Vec::new(),
            element: PhantomData,
        };
        let length = writer.file.metadata().map_err(|error| Error::file(&writer.part, error))?.len();
        let recorded = if length == 0 { None } else { writer.journal.read()? };
        match recorded {
            Some(next_row) => writer.resume(&header, length, next_row)?,
            None if length <= writer.header => writer.start(&header)?,
            None => {
                let message = "holds rows and has no journal; remove it to start anew";
                return Err(Error::file(&writer.part, message));
            }
        }
        Ok(writer)
    }

    /// Header first, journal last: a kill in between leaves a part file without rows or journal, which is
    /// a start again.
    fn start(&mut self, header: &[u8]) -> Result<(), Error> {
        self.journal.remove()?;
        let mut write = || -> io::Result<()> {
            self.file.set_len(0)?;
            self.file.rewind()?;
            self.file.write_all(header)?;
            self.file.sync_all()
        };
        write().map_err(|error| Error::file(&self.part, error))?;
        self.journal.write(self.next_row)
    }

    /// Cuts the file back to the last checkpoint, after all that can be checked has been.
    fn resume(&mut self, header: &[u8], length: u64, next_row: u64) -> Result<(), Error> {
        if next_row < self.rows.start || next_row > self.rows.end {
            return Err(Error::file(&self.journal.path, format!("row {next_row} is not of this run")));
        }
        let promised = self.offset(next_row);
        if length < promised {
            let message = format!("is {length} bytes long; its journal says {promised}");
            return Err(Error::file(&self.part, message));
        }
        let mut found = vec![0; header.len()];
        self.file.read_exact(&mut found).map_err(|error| Error::file(&self.part, error))?;
        if found != header {
            return Err(Error::file(&self.part, "does not begin with the header of this run"));
        }
        self.file.set_len(promised).map_err(|error| Error::file(&self.part, error))?;
        (self.next_row, self.synced_row) = (next_row, next_row);
        Ok(())
    }

    /// Number of the row to write next: where a resumed run goes on.
    #[must_use]
    pub fn next_row(&self) -> u64 {
        self.next_row
    }

    /// Appends rows `first_row ..`, of shape `(n, dim)` in any memory layout, `n` of any size.
    ///
    /// After an error nothing has been taken: the same call may be made again.
    ///
    /// # Errors
    /// [`Error::Domain`] if `first_row` is not [`next_row`](NpyWriter::next_row); [`Error::Shape`] if the
    /// width is not `dim` or there are more rows than the run has left; [`Error::File`] if the file cannot
    /// be written.
    pub fn write_rows(&mut self, first_row: u64, rows: &ArrayRef2<F>) -> Result<(), Error> {
        Error::domain(
            first_row == self.next_row,
            "first_row",
            first_row as f64,
            "the writer's `next_row()`",
        )?;
        let left = self.rows.end - self.next_row;
        let allowed = rows.nrows().min(usize::try_from(left).unwrap_or(usize::MAX));
        Error::shape("rows", &[allowed, self.dim], rows.shape())?;
        if self.buffer.len() >= BUFFER {
            self.flush()?;
        }
        append(&mut self.buffer, rows);
        self.next_row += rows.nrows() as u64;
        Ok(())
    }

    /// Makes all rows written so far safe from a kill or a power cut. Returns when they are on disk and the
    /// journal says so.
    ///
    /// After an error the writer is back at the last checkpoint (the system may have dropped what it could
    /// not sync): ask [`next_row`](NpyWriter::next_row) and write the rows from there again.
    ///
    /// # Errors
    /// [`Error::File`] if a file cannot be written or synced.
    pub fn checkpoint(&mut self) -> Result<(), Error> {
        if self.next_row == self.synced_row {
            return Ok(());
        }
        let done = self.sync().and_then(|()| self.journal.write(self.next_row));
        if done.is_ok() {
            self.synced_row = self.next_row;
        } else {
            self.next_row = self.synced_row;
            self.buffer.clear();
        }
        done
    }

    /// Syncs the complete file, renames it to `NAME.npy`, removes the journal, and returns the path.
    ///
    /// # Errors
    /// [`Error::File`] if rows are missing, if `NAME.npy` has come into being meanwhile, or if a file cannot
    /// be written, synced or renamed. The run can then be opened again at its last checkpoint.
    pub fn finish(mut self) -> Result<PathBuf, Error> {
        if self.next_row != self.rows.end {
            let message = format!("incomplete: row {} of {:?} is next", self.next_row, self.rows);
            return Err(Error::file(&self.part, message));
        }
        self.sync()?;
        absent(&self.path)?;
        fs::rename(&self.part, &self.path)
            .and_then(|()| sync_folder(&self.path))
            .map_err(|error| Error::file(&self.path, error))?;
        self.journal.remove()?;
        Ok(self.path)
    }

    fn sync(&mut self) -> Result<(), Error> {
        self.flush()?;
        self.file.sync_all().map_err(|error| Error::file(&self.part, error))
    }

    /// Hands the buffer to the system. It goes to a computed place, so a failed attempt can be repeated.
    fn flush(&mut self) -> Result<(), Error> {
        let place = SeekFrom::Start(self.offset(self.next_row) - self.buffer.len() as u64);
        self.file
            .seek(place)
            .and_then(|_| self.file.write_all(&self.buffer))
            .map_err(|error| Error::file(&self.part, error))?;
        self.buffer.clear();
        Ok(())
    }

    /// Where a row begins in the file; `header` has checked that it cannot overflow.
    fn offset(&self, row: u64) -> u64 {
        self.header + (row - self.rows.start) * (self.dim * size_of::<F>()) as u64
    }
}

/// An error if the finished file is there already.
fn absent(path: &Path) -> Result<(), Error> {
    match fs::symlink_metadata(path) {
        Ok(_) => Err(Error::file(path, "already exists; remove it to run again")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::file(path, error)),
    }
}
