//! The table and tau.json.

use serde::Serialize;

#[derive(Serialize)]
pub(crate) struct Report<'a> {
    pub(crate) seed: u64,
    pub(crate) points: u64,
    pub(crate) cells: usize,
    pub(crate) samples: u64,
    pub(crate) early_stop: f64,
    pub(crate) correctors: u64,
    pub(crate) corrector_scale: f64,
    pub(crate) start_total_variation: f64,
    pub(crate) exact_draws: &'a Floor,
    pub(crate) rows: &'a [Row],
}

/// One run.
#[derive(Serialize)]
pub(crate) struct Row {
    pub(crate) sampler: &'static str,
    pub(crate) steps: usize,
    pub(crate) tau: f64,
    /// For each point.
    pub(crate) model_calls: f64,
    pub(crate) seconds: f64,
    /// To the data.
    pub(crate) hellinger: f64,
    /// Share of points in cells without data.
    pub(crate) outside: f64,
    /// Leaps that were held back at the edge.
    pub(crate) clamped: u64,
}

/// Hellinger distance of exact draws: the mean over several samples, and the standard deviation of one.
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

pub(crate) fn print(rows: &[Row], floor: &Floor) {
    println!(
        "\n{:<22}{:>6}{:>8}{:>7}{:>9}{:>12}{:>11}{:>10}",
        "sampler", "steps", "tau", "calls", "seconds", "Hellinger", "outside", "clamped"
    );
    for row in rows {
        println!(
            "{:<22}{:>6}{:>8.4}{:>7.0}{:>9.2}{:>12.4}{:>11.4}{:>10}",
            row.sampler,
            row.steps,
            row.tau,
            row.model_calls,
            row.seconds,
            row.hellinger,
            row.outside,
            row.clamped
        );
    }
    println!(
        "exact draws, as many: Hellinger distance {:.4} (mean of {}), one sample ± {:.4}\n",
        floor.mean,
        crate::FLOOR_SAMPLES,
        floor.std
    );
}
