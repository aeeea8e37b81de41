//! The table and certificate.json.

use numeric::Estimate;
use serde::Serialize;

/// Level of the one-sided intervals whose upper ends are printed.
pub(crate) const LEVEL: f64 = 0.999;

/// A measured number.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Cost {
    pub(crate) mean: f64,
    pub(crate) std_error: f64,
}

impl Cost {
    pub(crate) fn of(estimate: Estimate) -> Cost {
        Cost { mean: estimate.mean, std_error: estimate.std_error }
    }
}

/// One sampler on one grid with one model.
#[derive(Serialize)]
pub(crate) struct Row {
    pub(crate) sampler: &'static str,
    pub(crate) grid: &'static str,
    pub(crate) steps: usize,
    pub(crate) model: &'static str,
    /// KL of the chains, discretisation and score together.
    pub(crate) chain: Cost,
    /// Upper end of the strict bound of the KL from the mixture at δ to the sampler.
    pub(crate) certificate: f64,
    /// How much of `chain` theory ascribes to the damage.
    pub(crate) predicted_damage: Option<f64>,
    /// Bound of E[−log p] on held-out digits: from data and model alone.
    pub(crate) cross_entropy: Cost,
    pub(crate) cross_entropy_upper: f64,
    /// No bound: the term of the grid on the model's own error curve.
    pub(crate) own_curve_term: f64,
    pub(crate) sliced_w2: Cost,
}

#[derive(Serialize)]
pub(crate) struct Report<'a> {
    pub(crate) dataset: String,
    pub(crate) seed: u64,
    pub(crate) damage: f64,
    pub(crate) initialization: f64,
    pub(crate) cross_entropy_of_target: f64,
    pub(crate) exact_sliced_w2: f64,
    pub(crate) rows: &'a [Row],
}

pub(crate) fn print(rows: &[Row], initialization: f64, entropy: f64, floor: Estimate) {
    println!(
        "\nKL ≤ certificate, 99.9 % (initialization {initialization:.4} and the chain); E[−log p] of held-out digits; \
         distance of samples to exact draws\n"
    );
    println!(
        "{:<8}{:<11}{:>5}  {:<8}{:>12}{:>22}{:>20}{:>22}",
        "sampler", "grid", "steps", "model", "certificate", "chain (nats)", "held-out (nats)", "sliced W2"
    );
    for row in rows {
        println!(
            "{:<8}{:<11}{:>5}  {:<8}{:>12.4}{:>13.4} ± {:.4}{:>13.2} ± {:.2}{:>13.4} ± {:.4}",
            row.sampler,
            row.grid,
            row.steps,
            row.model,
            row.certificate,
            row.chain.mean,
            row.chain.std_error,
            row.cross_entropy.mean,
            row.cross_entropy.std_error,
            row.sliced_w2.mean,
            row.sliced_w2.std_error,
        );
    }
    println!(
        "\nexact draws: 0 nats, {entropy:.2} nats on held-out digits, sliced W2 {:.4} ± {:.4}",
        floor.mean, floor.std_error
    );
    println!(
        "\nThe damage to D, as theory has it and as it was measured (nats, chain of the damaged less that of the good):"
    );
    for bad in rows.iter().filter(|row| row.predicted_damage.is_some()) {
        let good = rows.iter().find(|row| {
            (row.sampler, row.grid, row.steps, row.model) == (bad.sampler, bad.grid, bad.steps, "good")
        });
        if let (Some(good), Some(predicted)) = (good, bad.predicted_damage) {
            println!(
                "  {:<11}{:>5} steps: {predicted:>9.4} and {:>9.4} ± {:.4}; on held-out digits {:>9.4}",
                bad.grid,
                bad.steps,
                bad.chain.mean - good.chain.mean,
                bad.chain.std_error.hypot(good.chain.std_error),
                bad.cross_entropy.mean - good.cross_entropy.mean,
            );
        }
    }
    println!();
}
