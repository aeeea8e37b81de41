//! The tables and discrete_digits.json.

use numeric::Estimate;
use serde::Serialize;

use crate::measure::Distances;

#[derive(Serialize)]
pub(crate) struct Report<'a> {
    pub(crate) dataset: String,
    pub(crate) seed: u64,
    pub(crate) components: usize,
    pub(crate) train_bits_per_pixel: f64,
    pub(crate) heldout_bits_per_pixel: f64,
    pub(crate) bounds: &'a [BoundRow],
    pub(crate) samplers: &'a [SampleRow],
    pub(crate) exact_draws: &'a Distances,
}

/// Bounds under one noising, as bits per pixel above the exact value of the mixture.
#[derive(Serialize)]
pub(crate) struct BoundRow {
    pub(crate) noising: &'static str,
    pub(crate) continuous: Estimate,
    /// One for each number of posterior steps.
    pub(crate) discrete: Vec<Estimate>,
}

/// One run.
#[derive(Serialize)]
pub(crate) struct SampleRow {
    pub(crate) noising: &'static str,
    pub(crate) sampler: &'static str,
    pub(crate) steps: usize,
    /// For each digit.
    pub(crate) model_calls: f64,
    pub(crate) seconds: f64,
    pub(crate) pairs: f64,
    pub(crate) mmd2: Estimate,
}

pub(crate) fn print(steps: &[usize], exact: f64, bounds: &[BoundRow], rows: &[SampleRow], floor: &Distances) {
    println!(
        "\nheld-out digits, bits per pixel: the mixture itself {exact:.4}; bounds, ± of their difference to it"
    );
    let head: String = steps.iter().map(|n| format!("{:>18}", format!("{n} steps"))).collect();
    println!("{:<12}{:>18}{head}", "noising", "continuous time");
    for BoundRow { noising, continuous, discrete } in bounds {
        let cell =
            |gap: &Estimate| format!("{:>18}", format!("{:.4} ± {:.4}", exact + gap.mean, gap.std_error));
        println!("{noising:<12}{}{}", cell(continuous), discrete.iter().map(cell).collect::<String>());
    }
    println!(
        "\n{:<12}{:<22}{:>6}{:>7}{:>9}{:>15}{:>22}",
        "noising", "sampler", "steps", "calls", "seconds", "TV of pairs", "MMD² · 1000"
    );
    let line =
        |noising: &str, sampler: &str, [steps, calls, seconds]: [String; 3], pairs: f64, mmd2: Estimate| {
            let mmd2 = format!("{:.3} ± {:.3}", 1000.0 * mmd2.mean, 1000.0 * mmd2.std_error);
            println!("{noising:<12}{sampler:<22}{steps:>6}{calls:>7}{seconds:>9}{pairs:>15.4}{mmd2:>22}");
        };
    for row in rows {
        let numbers =
            [row.steps.to_string(), format!("{:.0}", row.model_calls), format!("{:.2}", row.seconds)];
        line(row.noising, row.sampler, numbers, row.pairs, row.mmd2);
    }
    line("exact draws", "", [const { String::new() }; 3], floor.pairs, floor.mmd2);
    println!();
}
