//! How far samples are from the mixture.

use bounds::divergence::{median_bandwidth, mmd2};
use ctmc::denoise::exact::ProductMixture;
use numeric::ndarray::{Array2, s};
use numeric::{Error, Estimate, Noise};
use serde::Serialize;

use crate::shared::data::PIXELS;
use crate::shared::picture::SIDE;

/// Classes of ink: none, some, much.
const CLASSES: usize = 3;

fn class(level: usize) -> usize {
    match level {
        0 => 0,
        1..=8 => 1,
        _ => 2,
    }
}

/// Distances of a sample from the mixture.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Distances {
    /// Total variation between the laws of two neighbouring pixels in three classes of ink, mean over all neighbours. The
    /// law of the mixture is exact, that of the sample its frequencies.
    pub(crate) pairs: f64,
    /// Maximum mean discrepancy of whole digits, squared, with a Gaussian kernel of the median distance: unbiased.
    pub(crate) mmd2: Estimate,
}

pub(crate) struct Reference {
    /// Neighbouring pixels, and the law of their classes.
    pairs: Vec<(usize, usize, [f64; CLASSES * CLASSES])>,
    draws: Array2<f64>,
    bandwidth: f64,
}

impl Reference {
    pub(crate) fn new(mixture: &ProductMixture, rows: u64, noise: Noise) -> Result<Reference, Error> {
        // Probabilities of the classes, component by component.
        let classes: Vec<Vec<[f64; CLASSES]>> = (0..mixture.components())
            .map(|k| {
                let of_pixel = |law: numeric::ndarray::ArrayView1<'_, f64>| {
                    let mut classes = [0.0; CLASSES];
                    law.iter().enumerate().for_each(|(level, p)| classes[class(level)] += p);
                    classes
                };
                mixture.laws(k).outer_iter().map(of_pixel).collect()
            })
            .collect();
        let side = SIDE as usize;
        let right = (0..PIXELS).filter(|a| a % side + 1 < side).map(|a| (a, a + 1));
        let down = (0..PIXELS - side).map(|a| (a, a + side));
        let law = |(a, b): (usize, usize)| {
            let mut law = [0.0; CLASSES * CLASSES];
            for (w, classes) in mixture.weights().iter().zip(&classes) {
                for (i, p) in law.iter_mut().enumerate() {
                    *p += w * classes[a][i / CLASSES] * classes[b][i % CLASSES];
                }
            }
            (a, b, law)
        };
        let draws = mixture.sample(0..rows, noise).mapv(f64::from);
        let half = draws.nrows() / 2;
        let bandwidth = median_bandwidth(
            &draws.slice(s![..half.min(1000), ..]),
            &draws.slice(s![half..half + half.min(1000), ..]),
        )?;
        Ok(Reference { pairs: right.chain(down).map(law).collect(), draws, bandwidth })
    }

    pub(crate) fn distances(&self, x: &Array2<u32>) -> Result<Distances, Error> {
        let n = x.nrows() as f64;
        let variation = |(a, b, law): &(usize, usize, [f64; CLASSES * CLASSES])| {
            let mut found = [0.0; CLASSES * CLASSES];
            for row in x.rows() {
                found[class(row[*a] as usize) * CLASSES + class(row[*b] as usize)] += 1.0 / n;
            }
            0.5 * found.iter().zip(law).map(|(p, q)| (p - q).abs()).sum::<f64>()
        };
        let pairs = self.pairs.iter().map(variation).sum::<f64>() / self.pairs.len() as f64;
        let mmd2 = mmd2(&x.mapv(f64::from), &self.draws, &[self.bandwidth])?;
        Ok(Distances { pairs, mmd2 })
    }
}
