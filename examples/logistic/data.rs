//! The cell nuclei: read, checked, split and standardised.

use std::fs::File;
use std::path::Path;

use flate2::read::GzDecoder;
use girsanov::ndarray::{Array2, Axis};
use numeric::Noise;

/// Ten quantities of the nuclei in an image; the file has their means, standard errors and worst values.
const QUANTITIES: [&str; 10] = [
    "radius",
    "texture",
    "perimeter",
    "area",
    "smoothness",
    "compactness",
    "concavity",
    "concave points",
    "symmetry",
    "fractal dimension",
];
const SUMMARIES: [&str; 3] = ["mean", "error", "worst"];
const FEATURES: usize = QUANTITIES.len() * SUMMARIES.len();

/// Rows of features, each with a 1 in front for the intercept, and whether the nuclei are benign.
pub(crate) struct Table {
    pub(crate) x: Array2<f64>,
    pub(crate) benign: Vec<bool>,
}

/// Four fifths to learn from, one fifth held out, in units of the standard deviations of the first.
pub(crate) struct Nuclei {
    pub(crate) train: Table,
    pub(crate) heldout: Table,
}

/// Names of the coefficients, the intercept first.
pub(crate) fn names() -> Vec<String> {
    let features = SUMMARIES.iter().flat_map(|s| QUANTITIES.iter().map(move |q| format!("{q}, {s}")));
    std::iter::once("intercept".to_owned()).chain(features).collect()
}

/// Reads the file and splits it by the noise.
pub(crate) fn load(path: &Path, noise: Noise) -> Result<Nuclei, String> {
    let told = |what: &dyn std::fmt::Display| format!("{}: {what}", path.display());
    let file = File::open(path).map_err(|e| told(&e))?;
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(GzDecoder::new(file));
    let (mut values, mut benign) = (Vec::new(), Vec::new());
    for (line, record) in reader.records().enumerate() {
        let told = |what: &dyn std::fmt::Display| told(&format!("line {}: {what}", line + 1));
        let record = record.map_err(|e| told(&format!("not a gzipped CSV, or cut off: {e}")))?;
        if record.len() != FEATURES + 1 {
            let found = record.len();
            return Err(told(&format!(
                "{found} fields, expected {}: features and a diagnosis",
                FEATURES + 1
            )));
        }
        for field in record.iter().take(FEATURES) {
            let value = field.parse::<f64>().ok().filter(|value| value.is_finite());
            values.push(value.ok_or_else(|| told(&format!("{field:?} is not a finite number")))?);
        }
        benign.push(match &record[FEATURES] {
            "0" => false,
            "1" => true,
            field => return Err(told(&format!("{field:?} is not a diagnosis, 0 or 1"))),
        });
    }
    let n = benign.len();
    if n < 10 {
        return Err(told(&format!("{n} rows are too few to learn from and hold out")));
    }
    let x = Array2::from_shape_vec((n, FEATURES), values).map_err(|e| told(&e))?;

    let rows: Vec<u64> = (0..n as u64).collect();
    let mut draws = Array2::zeros((n, 1));
    noise.uniforms_into::<f64>(&rows, 0, &mut draws);
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&a, &b| draws[(a, 0)].total_cmp(&draws[(b, 0)]));
    let (train, heldout) = order.split_at(n * 4 / 5);

    let learned = x.select(Axis(0), train);
    let centre = learned.mean_axis(Axis(0)).ok_or_else(|| told(&"no rows"))?;
    let scale = learned.std_axis(Axis(0), 0.0);
    if let Some(constant) = scale.iter().position(|&s| !(s > 0.0 && s.is_finite())) {
        let (name, spread) = (&names()[constant + 1], scale[constant]);
        return Err(told(&format!("feature {} ({name}) has standard deviation {spread}", constant + 1)));
    }
    let table = |rows: &[usize]| {
        let mut table = Array2::ones((rows.len(), FEATURES + 1));
        for (mut row, &of) in table.rows_mut().into_iter().zip(rows) {
            for j in 0..FEATURES {
                row[j + 1] = (x[(of, j)] - centre[j]) / scale[j];
            }
        }
        Table { x: table, benign: rows.iter().map(|&of| benign[of]).collect() }
    };
    Ok(Nuclei { train: table(train), heldout: table(heldout) })
}
