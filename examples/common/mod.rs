//! What the examples on digits have in common: the data, the fit, the look of pictures, and files.

pub(crate) mod data;
pub(crate) mod picture;

use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

use girsanov::ndarray::Array2;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use numeric::Noise;
use sde_core::fit::{FitOptions, fit_mixture};
use sde_core::{Component, Covariance, Mixture};

/// The mixture of full Gaussians that EM fits to the digits, and its iterations.
pub(crate) fn fit(
    train: &Array2<f64>,
    components: usize,
    floor: f64,
    noise: Noise,
) -> Result<(Mixture, usize), numeric::Error> {
    let options = FitOptions { components, floor, max_iterations: 500, tolerance: 1e-4, noise };
    let fit = fit_mixture(train, &options)?;
    let component = |i: usize| Component {
        weight: fit.weights[i],
        mean: fit.means.row(i).to_owned(),
        covariance: Covariance::Full(fit.covariances[i].clone()),
    };
    Ok((Mixture::new((0..components).map(component).collect())?, fit.iterations))
}

/// A bar over `work` pieces of work; hidden where there is no terminal.
pub(crate) fn progress_bar(work: u64) -> Result<ProgressBar, Box<dyn std::error::Error>> {
    let bar = ProgressBar::new(work);
    if !std::io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    bar.set_style(ProgressStyle::with_template("{msg:40} [{bar:40}] {percent:>3} %, {eta} left")?);
    bar.enable_steady_tick(Duration::from_millis(200));
    Ok(bar)
}

/// Writes beside the file and renames, so that no half a report is ever seen.
pub(crate) fn write_json(path: &Path, report: &impl serde::Serialize) -> Result<(), String> {
    let told = |e: &dyn std::fmt::Display| format!("cannot write {}: {e}", path.display());
    let text = serde_json::to_string_pretty(report).map_err(|e| told(&e))?;
    let partial = path.with_extension("json.part");
    std::fs::write(&partial, text + "\n").map_err(|e| told(&e))?;
    std::fs::rename(&partial, path).map_err(|e| told(&e))
}
