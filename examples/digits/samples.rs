//! The samples of a run in one file, so that an interrupted run can go on.

use std::fs;
use std::path::{Path, PathBuf};

use girsanov::ndarray::Array2;
use numeric::output::{Fingerprint, NpyWriter, RunId};

use crate::{Options, shared::data};

/// All samples, sampler after sampler, in `samples.npy`.
pub(crate) struct Store {
    writer: NpyWriter<f64>,
    /// What an interrupted run left, row-major, not yet taken.
    left: Vec<f64>,
    dim: usize,
}

impl Store {
    /// Starts anew, or with `--resume` goes on where an interrupted run of the same options stopped.
    pub(crate) fn open(options: &Options, dim: usize) -> Result<Store, Box<dyn std::error::Error>> {
        let path = options.out.join("samples.npy");
        if !options.resume {
            for ending in ["npy", "npy.part", "npy.journal"] {
                remove(&path.with_extension(ending))?;
            }
        } else if path.exists() {
            return Err(format!("{} is complete: there is nothing to resume", path.display()).into());
        }
        let steps: Vec<f64> = options.steps.iter().map(|&n| n as f64).collect();
        let bytes = fs::read(&options.data).map_err(|e| format!("{}: {e}", options.data.display()))?;
        let fingerprint = Fingerprint::new()
            .text(
                "data",
                &format!("{:032x}", Fingerprint::new().numbers("bytes", &as_numbers(&bytes)).digest()),
            )
            .number("components", options.components as f64)
            .number("floor", options.floor)
            .number("horizon", options.horizon)
            .number("early stop", options.early_stop)
            .numbers("steps", &steps);
        let total = options.samples * 6 * options.steps.len() as u64;
        let id = RunId { seed: options.seed, rows: 0..total, fingerprint };
        let writer = NpyWriter::open(&path, &id, dim)?;
        let left = read_rows(&path.with_extension("npy.part"), writer.next_row() as usize * dim)?;
        Ok(Store { writer, left, dim })
    }

    /// Up to `rows` rows that an interrupted run left, and how many.
    pub(crate) fn take(&mut self, rows: u64) -> Result<(Array2<f64>, u64), Box<dyn std::error::Error>> {
        let count = (self.left.len() / self.dim).min(rows as usize);
        let values: Vec<f64> = self.left.drain(..count * self.dim).collect();
        Ok((Array2::from_shape_vec((count, self.dim), values)?, count as u64))
    }

    /// Writes new rows and makes them safe.
    pub(crate) fn append(&mut self, rows: &Array2<f64>) -> Result<(), numeric::Error> {
        if rows.nrows() > 0 {
            self.writer.write_rows(self.writer.next_row(), rows)?;
            self.writer.checkpoint()?;
        }
        Ok(())
    }

    /// Gives the complete file its name.
    pub(crate) fn finish(self) -> Result<PathBuf, numeric::Error> {
        self.writer.finish()
    }
}

fn remove(path: &Path) -> Result<(), String> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("cannot replace {}: {e}", path.display()))
        }
        _ => Ok(()),
    }
}

fn as_numbers(bytes: &[u8]) -> Vec<f64> {
    bytes.iter().map(|&b| f64::from(b)).collect()
}

/// The first `count` numbers of an unfinished file.
fn read_rows(path: &Path, count: usize) -> Result<Vec<f64>, Box<dyn std::error::Error>> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let file = npyz::NpyFile::new(std::io::BufReader::new(fs::File::open(path)?))?;
    let values = file.data::<f64>()?.take(count).collect::<Result<Vec<f64>, _>>()?;
    debug_assert_eq!(values.len() % data::PIXELS, 0);
    Ok(values)
}
