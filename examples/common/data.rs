//! The digits: read, checked, split, centred and scaled.

use std::fs::File;
use std::path::Path;

use flate2::read::GzDecoder;
use girsanov::ndarray::{Array1, Array2, Axis};
use numeric::Noise;

/// Pixels of a digit: 8×8.
pub(crate) const PIXELS: usize = 64;

/// Digits in the space of the mixture: pixels minus `centre`, divided by `scale`.
pub(crate) struct Digits {
    pub(crate) train: Array2<f64>,
    pub(crate) heldout: Array2<f64>,
    pub(crate) centre: Array1<f64>,
    pub(crate) scale: f64,
}

/// Reads the file and splits it: four fifths to fit, one fifth held out, chosen by the noise.
pub(crate) fn load(path: &Path, noise: Noise) -> Result<Digits, String> {
    let told = |what: &dyn std::fmt::Display| format!("{}: {what}", path.display());
    let file = File::open(path).map_err(|e| told(&e))?;
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(GzDecoder::new(file));
    let mut pixels = Vec::new();
    for (line, record) in reader.records().enumerate() {
        let record =
            record.map_err(|e| told(&format!("line {}: not a gzipped CSV, or cut off: {e}", line + 1)))?;
        if record.len() != PIXELS + 1 {
            return Err(told(&format!(
                "line {}: {} fields, expected 64 pixels and a class",
                line + 1,
                record.len()
            )));
        }
        for field in record.iter().take(PIXELS) {
            match field.parse::<f64>() {
                Ok(value) if (0.0..=16.0).contains(&value) => pixels.push(value),
                _ => return Err(told(&format!("line {}: {field:?} is not a pixel from 0 to 16", line + 1))),
            }
        }
    }
    let n = pixels.len() / PIXELS;
    if n < 10 {
        return Err(told(&format!("{n} digits are too few to fit and hold out")));
    }
    let all = Array2::from_shape_vec((n, PIXELS), pixels).map_err(|e| told(&e))?;

    let rows: Vec<u64> = (0..n as u64).collect();
    let mut draws = Array2::zeros((n, 1));
    noise.uniforms_into::<f64>(&rows, 0, &mut draws);
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&a, &b| draws[(a, 0)].total_cmp(&draws[(b, 0)]));
    let (train, heldout) = order.split_at(n * 4 / 5);
    let (train, heldout) = (all.select(Axis(0), train), all.select(Axis(0), heldout));

    let centre = train.mean_axis(Axis(0)).ok_or_else(|| told(&"no digits"))?;
    let scale = (&train - &centre).mapv(|x| x * x).mean().ok_or_else(|| told(&"no digits"))?.sqrt();
    if !(scale > 0.0) {
        return Err(told(&"all digits are the same"));
    }
    let into = |x: Array2<f64>| (x - &centre) / scale;
    Ok(Digits { train: into(train), heldout: into(heldout), centre: centre.clone(), scale })
}
