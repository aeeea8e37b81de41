//! The distances to the exact posterior: the table and report.json.

use std::path::Path;

use bounds::divergence::SlicedReference;
use girsanov::ndarray::{Array1, Array2, Axis, s};
use numeric::{Estimate, Noise, Schedule, Time};
use sde_core::{Mixture, Ou};
use serde::Serialize;

use crate::{Completions, Options, SEEN, shared};

/// Exact draws of each posterior that completions are compared with.
const REFERENCE_ROWS: u64 = 4000;
/// Directions of the sliced distance.
const PROJECTIONS: usize = 200;

#[derive(Serialize)]
struct Report<'a> {
    seed: u64,
    digits: u64,
    draws: u64,
    steps: usize,
    noise: f64,
    components: usize,
    reference: &'static str,
    ways: &'a [Row],
}

/// A mean over the digits, with its standard error.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct OverDigits {
    mean: f64,
    std_error: f64,
}

impl OverDigits {
    fn of(values: &[f64]) -> OverDigits {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
        OverDigits { mean, std_error: (variance / n).sqrt() }
    }
}

impl std::fmt::Display for OverDigits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.4} ± {:.4}", self.mean, self.std_error)
    }
}

/// What one way has for distances, on the hidden pixels, where digits have a standard deviation of about 1.
#[derive(Serialize)]
pub(crate) struct Row {
    name: &'static str,
    seconds: f64,
    /// Root mean square over the pixels of (mean of the completions − mean of the posterior).
    pixel_mean_error: OverDigits,
    /// The same of standard deviations.
    pixel_std_error: OverDigits,
    sliced_w2: OverDigits,
}

/// Compares the completions of each digit with its exact posterior at the level at which the diffusions stop.
pub(crate) fn compare(
    completions: &[Completions],
    posteriors: &[Mixture],
    options: &Options,
    noise: Noise,
) -> Result<Vec<Row>, numeric::Error> {
    let level = Ou.level(Time::of(options.early_stop));
    let hidden = |x: &Array2<f64>| x.slice(s![.., SEEN..]).to_owned();
    let mut references = Vec::new();
    for (number, posterior) in posteriors.iter().enumerate() {
        let noise = noise.fork_index(number as u64);
        let exact = posterior.sample(0..REFERENCE_ROWS, level.alpha, level.sigma, noise)?;
        references.push(SlicedReference::new(&hidden(&exact), PROJECTIONS, noise.fork("sliced"))?);
    }
    // Exact means and standard deviations of the hidden pixels.
    let moments = posteriors.iter().map(|posterior| {
        let variances = posterior.covariance().diag().mapv(|c| level.alpha.powi(2) * c + level.sigma.powi(2));
        let (means, deviations) = (posterior.mean() * level.alpha, variances.mapv(f64::sqrt));
        [means, deviations].map(|values| values.slice(s![SEEN..]).to_owned())
    });
    let moments: Vec<[Array1<f64>; 2]> = moments.collect();
    let rms = |a: Array1<f64>, b: &Array1<f64>| (a - b).mapv(|e| e * e).mean().unwrap_or(0.0).sqrt();
    let row = |way: &Completions| {
        let [mut means, mut deviations, mut distances] = [(); 3].map(|()| Vec::new());
        for ((x, [mean, deviation]), reference) in way.of_digits.iter().zip(&moments).zip(&references) {
            let x = hidden(x);
            means.push(rms(x.mean_axis(Axis(0)).unwrap_or_default(), mean));
            deviations.push(rms(x.std_axis(Axis(0), 1.0), deviation));
            let Estimate { mean, .. } = reference.w2(&x)?;
            distances.push(mean);
        }
        Ok(Row {
            name: way.name,
            seconds: way.seconds,
            pixel_mean_error: OverDigits::of(&means),
            pixel_std_error: OverDigits::of(&deviations),
            sliced_w2: OverDigits::of(&distances),
        })
    };
    completions.iter().map(row).collect()
}

pub(crate) fn print_table(rows: &[Row]) {
    println!(
        "\nhidden pixels, against the exact posterior; ± over the digits\n{:<30}{:>9}{:>19}{:>19}{:>19}",
        "", "seconds", "error of the mean", "error of the std", "sliced W2"
    );
    for Row { name, seconds, pixel_mean_error, pixel_std_error, sliced_w2 } in rows {
        println!(
            "{name:<30}{seconds:>9.2}{:>19}{:>19}{:>19}",
            pixel_mean_error.to_string(),
            pixel_std_error.to_string(),
            sliced_w2.to_string()
        );
    }
    println!(
        "(the first row is what draws of the exact posterior themselves have: nothing can be below it)\n"
    );
}

pub(crate) fn write(path: &Path, options: &Options, rows: &[Row]) -> Result<(), String> {
    let report = Report {
        seed: options.seed,
        digits: options.digits,
        draws: options.draws,
        steps: options.steps,
        noise: options.noise,
        components: options.components,
        reference: "exact posterior of the fitted mixture at the early-stopping clock, hidden pixels",
        ways: rows,
    };
    shared::write_json(path, &report)
}
