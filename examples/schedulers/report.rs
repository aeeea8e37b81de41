//! The table and schedulers.json.

use std::path::Path;

use numeric::Estimate;
use serde::Serialize;

use crate::{BUDGETS, LEAST_NOISE, MOST_NOISE, Options, PROJECTIONS, REFERENCE_RATIO, TOLERANCE, shared};

/// One run.
#[derive(Serialize)]
pub(crate) struct Row {
    pub(crate) method: &'static str,
    pub(crate) deterministic: bool,
    #[serde(skip)]
    pub(crate) drawn: bool,
    pub(crate) grid: &'static str,
    /// Model calls that were allowed.
    pub(crate) budget: usize,
    pub(crate) steps: usize,
    /// Model calls for each sample.
    pub(crate) calls: usize,
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
    reference_draws: u64,
    projections: usize,
    tolerance_of_flow: f64,
    exact_flow: &'a Flow,
    floor_sliced_w1: &'a Floor,
    rows: &'a [Row],
}

/// Two tables with a line for each method and grid and a column for each budget of calls.
pub(crate) fn print(rows: &[Row], flow: &Flow, floor: &Floor) {
    let of_flow = |row: &Row| row.rms_to_flow;
    table("root mean square distance to the exact flow, ± its standard error", rows, &of_flow);
    println!("the exact flow itself takes {:.0} calls (Tsit5, tolerances {TOLERANCE:e})\n", flow.calls);
    let in_law = |row: &Row| Some(row.sliced_w1);
    table("sliced W1 to exact draws of the mixture, ± its standard error", rows, &in_law);
    println!(
        "exact draws: {} (mean over samples), one sample ± {}; the exact flow: {}\n",
        short(floor.mean),
        short(floor.std),
        short(flow.sliced_w1.mean)
    );
}

fn table(title: &str, rows: &[Row], value: &dyn Fn(&Row) -> Option<Estimate>) {
    let head: String = BUDGETS.iter().map(|budget| format!("{:>18}", format!("≤ {budget} calls"))).collect();
    println!("{title}\n{:<28}{:<25}{head}", "method", "grid");
    for Row { method, grid, .. } in rows.iter().filter(|row| row.budget == BUDGETS[0]) {
        let of_line = rows.iter().filter(|row| row.method == *method && row.grid == *grid);
        let cells = of_line.filter_map(value).map(|Estimate { mean, std_error, .. }| {
            format!("{:>18}", format!("{} ± {}", short(mean), short(std_error)))
        });
        let cells: String = cells.collect();
        if !cells.is_empty() {
            println!("{method:<28}{grid:<25}{cells}");
        }
    }
}

/// Two digits.
fn short(value: f64) -> String {
    if (1e-3..100.0).contains(&value) {
        let digits = if value < 0.01 {
            4
        } else if value < 0.1 {
            3
        } else if value < 10.0 {
            2
        } else {
            1
        };
        format!("{value:.digits$}")
    } else {
        format!("{value:.1e}")
    }
}

pub(crate) fn write(
    path: &Path,
    options: &Options,
    rows: &[Row],
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
        reference_draws: REFERENCE_RATIO * options.samples,
        projections: PROJECTIONS,
        tolerance_of_flow: TOLERANCE,
        exact_flow: flow,
        floor_sliced_w1: floor,
        rows,
    };
    shared::write_json(path, &report)
}
