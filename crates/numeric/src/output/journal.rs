//! The small file beside a `.part` file: which run it is of, and how many of its rows are on disk.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::RunId;
use super::fingerprint::fnv;
use super::npy::element;
use crate::{Error, Real};

/// A text: the run's description, then `next ROW`, then `check HASH` over all lines before.
#[derive(Debug)]
pub(super) struct Journal {
    pub(super) path: PathBuf,
    /// The description of this run, whole lines.
    pub(super) head: String,
}

impl Journal {
    /// Replaces the journal in one step, so that a kill leaves the old one or the new one. Returns when
    /// it is on disk.
    pub(super) fn write(&self, next_row: u64) -> Result<(), Error> {
        let body = format!("{}next {next_row}\n", self.head);
        let text = format!("{body}check {:032x}\n", fnv(body.bytes()));
        let new = self.scratch();
        let write = || -> io::Result<()> {
            let mut file = File::create(&new)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&new, &self.path)?;
            sync_folder(&self.path)
        };
        write().map_err(|error| Error::file(&self.path, error))
    }

    /// The next row according to the journal, or `None` where there is none.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be read, is damaged, or is of another run than `head`.
    pub(super) fn read(&self) -> Result<Option<u64>, Error> {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::file(&self.path, error)),
        };
        let Some((head, next_row)) = parse(&bytes) else {
            return Err(Error::file(
                &self.path,
                "the journal is damaged; remove it and the .part file to start anew",
            ));
        };
        match difference(&self.head, head) {
            None => Ok(Some(next_row)),
            Some((ours, theirs)) => {
                let message = format!("the journal of another run: it has `{theirs}`, this run `{ours}`");
                Err(Error::file(&self.path, message))
            }
        }
    }

    /// Removes the journal and what a killed [`Journal::write`] may have left.
    pub(super) fn remove(&self) -> Result<(), Error> {
        for path in [&self.scratch(), &self.path] {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::file(path, error));
                }
                _ => {}
            }
        }
        sync_folder(&self.path).map_err(|error| Error::file(&self.path, error))
    }

    fn scratch(&self) -> PathBuf {
        suffixed(&self.path, ".new")
    }
}

/// The journal's description of a run.
pub(super) fn head<F: Real>(id: &RunId, dim: usize) -> String {
    let RunId { seed, rows, fingerprint } = id;
    let (element, machine) = (element::<F>(), machine());
    format!(
        "girsanov output journal, format 1\nelement {element}\ndim {dim}\nmachine {machine}\n\
         seed {seed}\nrows {}..{}\n{fingerprint}",
        rows.start, rows.end
    )
}

/// What the rounding of a model may depend on: the system's elementary functions, and the vector
/// instructions by which they and the matrix products are chosen.
fn machine() -> String {
    let machine = format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH);
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    let machine = {
        let found = [
            ("+avx", is_x86_feature_detected!("avx")),
            ("+avx2", is_x86_feature_detected!("avx2")),
            ("+fma", is_x86_feature_detected!("fma")),
            ("+avx512f", is_x86_feature_detected!("avx512f")),
        ];
        found.into_iter().filter(|(_, here)| *here).fold(machine, |machine, (name, _)| machine + name)
    };
    machine
}

/// Description and next row, if the bytes are a whole journal.
fn parse(bytes: &[u8]) -> Option<(&str, u64)> {
    let (body, check) =
        str::from_utf8(bytes).ok()?.strip_suffix('\n')?.split_at_checked(bytes.len().checked_sub(39)?)?;
    if check != format!("check {:032x}", fnv(body.bytes())) {
        return None;
    }
    let last = body.strip_suffix('\n')?.rfind('\n')? + 1;
    let next_row = body[last..].strip_prefix("next ")?.trim_end().parse().ok()?;
    Some((&body[..last], next_row))
}

/// The first line in which two texts differ.
fn difference<'a>(ours: &'a str, theirs: &'a str) -> Option<(&'a str, &'a str)> {
    let (mut ours, mut theirs) = (ours.lines(), theirs.lines());
    loop {
        match (ours.next(), theirs.next()) {
            (None, None) => return None,
            (a, b) if a == b => {}
            (a, b) => return Some((a.unwrap_or("nothing more"), b.unwrap_or("nothing more"))),
        }
    }
}

/// `NAME.npy` with more behind it.
pub(super) fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Makes creations, renames and removals in a file's folder durable.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    // Only Unix can, and must, sync a folder as such.
    if cfg!(unix) {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(())
}
