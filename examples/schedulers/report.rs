//! schedulers.json.

use std::path::Path;

use numeric::{Estimate, Schedule, Time};
use sde_core::Ou;
use serde::Serialize;

use crate::grids::Grid;
use crate::methods::Family;
use crate::{LEAST_NOISE, MOST_NOISE, MOST_ON_ALL, Options, PROJECTIONS, REFERENCE_RATIO, TOLERANCE, shared};

/// A method on a grid with a budget.
#[derive(Serialize)]
pub(crate) struct Row {
    pub(crate) method: &'static str,
    #[serde(skip)]
    pub(crate) family: Family,
    #[serde(skip)]
    pub(crate) drawn: bool,
    pub(crate) deterministic: bool,
    pub(crate) grid: &'static str,
    /// Model calls that were allowed.
    pub(crate) budget: usize,
    #[serde(flatten)]
    pub(crate) outcome: Outcome,
}

impl Row {
    /// What was measured, if there was a run.
    pub(crate) fn measured(&self) -> Option<&Measured> {
        match &self.outcome {
            Outcome::Measured(measured) => Some(measured),
            Outcome::Skipped { .. } => None,
        }
    }
}

/// What came of it.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Outcome {
    Measured(Measured),
    Skipped {
        /// The reason.
        skipped: String,
    },
}

#[derive(Serialize)]
pub(crate) struct Measured {
    /// Steps and model calls for each sample, in the mean.
    pub(crate) steps: f64,
    pub(crate) calls: f64,
    /// The relative tolerance of an adaptive method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tolerance: Option<f64>,
    /// Root mean square distance to the exact flow from the same starts.
    pub(crate) rms_to_flow: Option<Estimate>,
    /// To exact draws of the mixture.
    pub(crate) sliced_w1: Estimate,
}

/// The probability flow that deterministic methods are compared with.
#[derive(Serialize)]
pub(crate) struct Flow {
    /// Model calls for each sample, in the mean.
    pub(crate) calls: f64,
    pub(crate) sliced_w1: Estimate,
}

/// Sliced W1 of exact draws to exact draws: the mean over several samples, and the standard deviation of one.
#[derive(Serialize)]
pub(crate) struct Floor {
    pub(crate) mean: f64,
    pub(crate) std: f64,
}

impl Floor {
    pub(crate) fn of(values: &[f64]) -> Floor {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
        Floor { mean, std: variance.sqrt() }
    }
}

#[derive(Serialize)]
struct Report<'a> {
    target: &'static str,
    process: &'static str,
    most_noise: f64,
    least_noise: f64,
    seed: u64,
    samples: u64,
    most_calls_on_all_grids: usize,
    reference_draws: u64,
    projections: usize,
    tolerance_of_flow: f64,
    exact_flow: &'a Flow,
    floor_sliced_w1: &'a Floor,
    grids: Vec<GridEntry>,
    rows: &'a [Row],
}

/// A grid, where it comes from, and σ/α at the nodes of one of so many steps, unless it could not be planned.
#[derive(Serialize)]
struct GridEntry {
    name: &'static str,
    of: &'static str,
    ratios_of_16_steps: Option<Vec<f64>>,
}

impl GridEntry {
    fn of(grid: &Grid) -> GridEntry {
        let ratio = |node: &Time| {
            let level = Ou.level(*node);
            level.sigma / level.alpha
        };
        let ratios = grid.nodes(16).ok().map(|grid| grid.nodes().iter().map(ratio).collect());
        GridEntry { name: grid.name, of: grid.of, ratios_of_16_steps: ratios }
    }
}

pub(crate) fn write(
    path: &Path,
    options: &Options,
    rows: &[Row],
    grids: &[Grid],
    flow: &Flow,
    floor: &Floor,
) -> Result<(), String> {
    let report = Report {
        target: "eight Gaussians around the circle of radius 1.5 in the plane",
        process: "Ornstein-Uhlenbeck, exact denoiser",
        most_noise: MOST_NOISE,
        least_noise: LEAST_NOISE,
        seed: options.seed,
        samples: options.samples,
        most_calls_on_all_grids: MOST_ON_ALL,
        reference_draws: REFERENCE_RATIO * options.samples,
        projections: PROJECTIONS,
        tolerance_of_flow: TOLERANCE,
        exact_flow: flow,
        floor_sliced_w1: floor,
        grids: grids.iter().map(GridEntry::of).collect(),
        rows,
    };
    shared::write_json(path, &report)
}
