//! The table and certificate.json.

use bounds::curve::ErrorCurve;
use bounds::plan::{Start, optimal_grid};
use bounds::terms::{Scheme, discretization};
use numeric::{Estimate, TimeGrid};
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
    /// Bound of E[−log p] from held-out data and model alone: on fresh draws of the mixture, and on held-out digits.
    pub(crate) cross_entropy_of_draws: Cost,
    pub(crate) cross_entropy_of_digits: Cost,
    pub(crate) sliced_w2: Cost,
}

#[derive(Serialize)]
pub(crate) struct Report<'a> {
    pub(crate) dataset: String,
    pub(crate) seed: u64,
    pub(crate) damage: f64,
    pub(crate) initialization: f64,
    pub(crate) exact_cross_entropy_of_draws: f64,
    pub(crate) exact_cross_entropy_of_digits: f64,
    pub(crate) exact_sliced_w2: f64,
    pub(crate) rows: &'a [Row],
}

/// What each grid costs by the measured curve, before anything is sampled.
pub(crate) fn print_plans(
    schemes: &[(&str, Scheme)],
    curve: &dyn ErrorCurve,
    mesh: &TimeGrid,
    steps: &[usize],
) -> Result<(), numeric::Error> {
    println!("\nPlanned: discretization term by the measured error curve (nats)\n");
    for (name, scheme) in schemes {
        for &n in steps {
            let plan = optimal_grid(scheme, curve, mesh, Start::Fixed, n)?;
            print!("{name:<5}{n:>4} steps:");
            for (grid, nodes) in crate::usual_grids(n)? {
                print!("  {grid} {:.3}", discretization(scheme, curve, &nodes)?);
            }
            println!("  optimal {:.3}", plan.discretization);
        }
    }
    Ok(())
}

pub(crate) fn print(rows: &[Row], initialization: f64, exact: (f64, f64), floor: Estimate) {
    println!(
        "\nCertified: KL ≤ certificate at 99.9 %, initialization {initialization:.4} and the chain. Held out: bound of \
         E[−log p] on fresh draws of the\nmixture and on held-out digits. Measured: distance of samples to exact draws.\n"
    );
    println!(
        "{:<8}{:<11}{:>5}  {:<8}{:>12}{:>22}{:>20}{:>20}{:>18}",
        "sampler",
        "grid",
        "steps",
        "model",
        "certificate",
        "chain (nats)",
        "draws (nats)",
        "digits (nats)",
        "sliced W2"
    );
    let measured =
        |cost: Cost, digits: usize| format!("{:.digits$} ± {:.digits$}", cost.mean, cost.std_error);
    for row in rows {
        println!(
            "{:<8}{:<11}{:>5}  {:<8}{:>12.4}{:>22}{:>20}{:>20}{:>18}",
            row.sampler,
            row.grid,
            row.steps,
            row.model,
            row.certificate,
            measured(row.chain, 4),
            measured(row.cross_entropy_of_draws, 2),
            measured(row.cross_entropy_of_digits, 2),
            measured(row.sliced_w2, 4),
        );
    }
    println!(
        "{:<34}{:>12}{:>22}{:>20.2}{:>20.2}{:>18}",
        "exact draws",
        0,
        "",
        exact.0,
        exact.1,
        measured(Cost::of(floor), 4)
    );
    println!("\nWhat the damage adds to D (nats): by theory, to the chain, and to the bound on fresh draws");
    for bad in rows {
        let good = rows.iter().find(|row| {
            (row.sampler, row.grid, row.steps, row.model) == (bad.sampler, bad.grid, bad.steps, "good")
        });
        if let (Some(good), Some(predicted)) = (good, bad.predicted_damage) {
            println!(
                "  {:<11}{:>5} steps: {predicted:>9.4}{:>10.4}{:>10.4}",
                bad.grid,
                bad.steps,
                bad.chain.mean - good.chain.mean,
                bad.cross_entropy_of_draws.mean - good.cross_entropy_of_draws.mean,
            );
        }
    }
    println!();
}
