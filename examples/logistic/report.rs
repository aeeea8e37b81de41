//! What is measured of each method, the tables and logistic.json.

use std::path::Path;

use girsanov::ndarray::{Array2, s};
use numeric::estimate::{ChainSummary, chain_summary};
use numeric::{Batching, Control, Error, Estimate, run_blocks};
use sde_core::Trajectory;
use serde::Serialize;

use crate::Options;
use crate::data::{self, Nuclei};
use crate::posterior::{Likelihood, Posterior};
use crate::reference::{Predictive, Reference};

/// Chance that the standard errors alone put the largest error of the means above its limit.
const CHANCE: f64 = 0.05;

/// What the methods are measured against.
pub(crate) struct Yardstick<'a> {
    posterior: &'a Posterior,
    heldout: &'a Likelihood,
    pub(crate) reference: ReferenceRow,
}

/// What the weighted draws say of the posterior.
#[derive(Serialize)]
pub(crate) struct ReferenceRow {
    method: &'static str,
    draws: usize,
    effective_sample_size: f64,
    /// Of −log π, up to the constant of the posterior, nats.
    mean_energy: Estimate,
    heldout: Predictive,
    pub(crate) coefficients: Vec<Coefficient>,
}

/// The marginal posterior of a coefficient.
#[derive(Clone, Serialize)]
pub(crate) struct Coefficient {
    pub(crate) mean: f64,
    mean_se: f64,
    pub(crate) std_dev: f64,
}

impl<'a> Yardstick<'a> {
    pub(crate) fn new(
        posterior: &'a Posterior,
        heldout: &'a Likelihood,
        reference: &Reference,
    ) -> Result<Yardstick<'a>, Error> {
        let coefficient = |j: usize| {
            let mut values = reference.coordinate(j);
            let mean = reference.mean(&values);
            values.iter_mut().for_each(|x| *x = (*x - mean.mean).powi(2));
            let std_dev = reference.mean(&values).mean.sqrt();
            Coefficient { mean: mean.mean, mean_se: mean.std_error, std_dev }
        };
        let ln_density = reference.mean(&reference.ln_density);
        let reference = ReferenceRow {
            method: "self-normalised importance sampling from a t law; measured, standard errors by the delta method",
            draws: reference.ln_density.len(),
            effective_sample_size: reference.effective_sample_size,
            mean_energy: Estimate { mean: -ln_density.mean, ..ln_density },
            heldout: reference.predictive(heldout)?,
            coefficients: (0..reference.dim()).map(coefficient).collect(),
        };
        Ok(Yardstick { posterior, heldout, reference })
    }
}

/// A run of a method with one step size. Errors of means are in posterior standard deviations.
#[derive(Serialize)]
pub(crate) struct MethodRow {
    pub(crate) method: &'static str,
    pub(crate) step_size: f64,
    gradient_calls: u64,
    seconds: f64,
    /// Over the coefficients.
    ess_min: f64,
    ess_median: f64,
    ess_min_per_second: f64,
    r_hat_max: f64,
    pub(crate) mean_error_rms: f64,
    /// What the standard errors alone would give.
    pub(crate) mean_error_rms_noise: f64,
    mean_error_max: f64,
    /// What the standard errors alone would exceed with a chance of at most 5 %.
    mean_error_max_noise: f64,
    /// Mean of −log π above the reference's, nats.
    pub(crate) energy_excess: f64,
    pub(crate) energy_excess_se: f64,
    heldout: Predictive,
    pub(crate) coefficients: Vec<Coefficient>,
}

impl MethodRow {
    pub(crate) fn new(
        method: &'static str,
        step_size: f64,
        run: Trajectory<f64>,
        seconds: f64,
        yardstick: &Yardstick<'_>,
    ) -> Result<MethodRow, Error> {
        let (chains, kept, d) = run.states.dim();
        // One coefficient to a block.
        let batching = Batching { rows: 1, ..Batching::default() };
        let summaries: Vec<ChainSummary> =
            run_blocks(0..d as u64, batching, Control::default(), |row, _| {
                chain_summary(&run.states.slice(s![.., .., row.start as usize]).to_owned())
            })?;
        let mut ess: Vec<f64> = summaries.iter().map(|s| s.effective_sample_size).collect();
        ess.sort_by(f64::total_cmp);

        let reference = &yardstick.reference;
        let (mut squares, mut noise) = (0.0, 0.0);
        let (mut mean_error_max, mut mean_error_max_noise) = (0.0_f64, 0.0_f64);
        for (summary, exact) in summaries.iter().zip(&reference.coefficients) {
            let error = (summary.mean.mean - exact.mean) / exact.std_dev;
            let std_error = summary.mean.std_error.hypot(exact.mean_se) / exact.std_dev;
            squares += error * error;
            noise += std_error * std_error;
            mean_error_max = mean_error_max.max(error.abs());
            // Bonferroni: two sides of each coefficient share the chance.
            let limit = Estimate { mean: 0.0, std_error, n: 1 }.upper(1.0 - CHANCE / (2 * d) as f64)?;
            mean_error_max_noise = mean_error_max_noise.max(limit);
        }

        let draws = run.states.to_shape((chains * kept, d)).expect("the same numbers");
        let ln_density = yardstick.posterior.ln_density(&draws)?;
        let ln_density = Array2::from_shape_vec((chains, kept), ln_density).expect("one for each draw");
        let energy = chain_summary(&ln_density)?.mean;
        let weight = 1.0 / (chains * kept) as f64;
        Ok(MethodRow {
            method,
            step_size,
            gradient_calls: run.statistics.calls,
            seconds,
            ess_min: ess[0],
            ess_median: ess[d / 2],
            ess_min_per_second: ess[0] / seconds,
            r_hat_max: summaries.iter().map(|s| s.r_hat).fold(0.0, f64::max),
            mean_error_rms: (squares / d as f64).sqrt(),
            mean_error_rms_noise: (noise / d as f64).sqrt(),
            mean_error_max,
            mean_error_max_noise,
            energy_excess: -energy.mean - reference.mean_energy.mean,
            energy_excess_se: energy.std_error.hypot(reference.mean_energy.std_error),
            heldout: Predictive::new(yardstick.heldout, &draws, |_| weight)?,
            coefficients: summaries
                .iter()
                .map(|s| Coefficient { mean: s.mean.mean, mean_se: s.mean.std_error, std_dev: s.std_dev })
                .collect(),
        })
    }
}

#[derive(Serialize)]
pub(crate) struct Report {
    dataset: String,
    seed: u64,
    chains: u64,
    steps: usize,
    warm_up: usize,
    kept_per_chain: usize,
    prior_std: f64,
    rows_train: usize,
    rows_heldout: usize,
    pub(crate) names: Vec<String>,
    pub(crate) reference: ReferenceRow,
    pub(crate) methods: Vec<MethodRow>,
}

impl Report {
    pub(crate) fn new(
        options: &Options,
        nuclei: &Nuclei,
        reference: ReferenceRow,
        methods: Vec<MethodRow>,
    ) -> Report {
        Report {
            dataset: options
                .data
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default(),
            seed: options.seed,
            chains: options.chains,
            steps: options.steps,
            warm_up: options.steps / 5,
            kept_per_chain: options.kept().len(),
            prior_std: options.prior_std,
            rows_train: nuclei.train.benign.len(),
            rows_heldout: nuclei.heldout.benign.len(),
            names: data::names(),
            reference,
            methods,
        }
    }

    /// Writes beside the file and renames, so that no half a report is ever seen.
    pub(crate) fn write(&self, path: &Path) -> Result<(), String> {
        let told = |e: &dyn std::fmt::Display| format!("cannot write {}: {e}", path.display());
        let text = serde_json::to_string_pretty(self).map_err(|e| told(&e))?;
        let partial = path.with_extension("json.part");
        std::fs::write(&partial, text + "\n").map_err(|e| told(&e))?;
        std::fs::rename(&partial, path).map_err(|e| told(&e))
    }

    pub(crate) fn print(&self) {
        let reference = &self.reference;
        println!(
            "reference: {} weighted draws, worth {:.0} independent ones\n",
            reference.draws, reference.effective_sample_size
        );
        println!(
            "{:<10}{:>9}{:>11}{:>9}{:>10}{:>12}{:>11}{:>8}",
            "method", "step", "gradients", "seconds", "ESS, min", "ESS, median", "min ESS/s", "max R̂"
        );
        for row in &self.methods {
            println!(
                "{:<10}{:>9}{:>11}{:>9.2}{:>10.0}{:>12.0}{:>11.0}{:>8.3}",
                row.method,
                short(row.step_size),
                row.gradient_calls,
                row.seconds,
                row.ess_min,
                row.ess_median,
                row.ess_min_per_second,
                row.r_hat_max
            );
        }
        println!(
            "\n{:<10}{:>9}{:>24}{:>24}{:>24}{:>20}",
            "", "", "error of means, rms", "largest", "mean of −log π", "held out"
        );
        println!(
            "{:<10}{:>9}{:>24}{:>24}{:>24}{:>12}{:>10}",
            "method", "step", "sd (by chance)", "sd (5 % chance)", "above exact, nats", "nats", "right"
        );
        for row in &self.methods {
            println!(
                "{:<10}{:>9}{:>15.4} ({:.4}){:>15.4} ({:.4}){:>15.3} ± {:.3}{:>12.4}{:>8.1} %",
                row.method,
                short(row.step_size),
                row.mean_error_rms,
                row.mean_error_rms_noise,
                row.mean_error_max,
                row.mean_error_max_noise,
                row.energy_excess,
                row.energy_excess_se,
                row.heldout.log_likelihood,
                100.0 * row.heldout.accuracy
            );
        }
        println!(
            "{:<19}{:>24}{:>24}{:>17} ± {:.3}{:>12.4}{:>8.1} %\n",
            "reference",
            "",
            "",
            0,
            reference.mean_energy.std_error,
            reference.heldout.log_likelihood,
            100.0 * reference.heldout.accuracy
        );
    }
}

/// Three significant digits at most, no zeros at the end.
pub(crate) fn short(x: f64) -> String {
    let places = (2 - x.abs().max(1e-15).log10().floor() as i32).clamp(0, 15) as usize;
    let text = format!("{x:.places$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}
