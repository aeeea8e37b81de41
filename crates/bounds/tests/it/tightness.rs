//! How near each bound comes to what it bounds, over the random problems of `exact_properties`.
//!
//! `--nocapture` prints the table of `docs/verification.md`. A ratio above 1 fails.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::exact_properties::{any_gaussian, any_grid, any_mixture, config};
use bounds::curve::{ErrorCurve, GaussianCurve};
use bounds::terms::{Scheme, gaussian_sampler};
use bounds::theorem::{Problem, compare};
use numeric::TimeGrid;
use proptest::test_runner::TestRunner;

fn schemes() -> Vec<Scheme> {
    vec![
        Scheme::ExponentialIntegrator,
        Scheme::FrozenScore,
        Scheme::FrozenRelativeScore,
        Scheme::FrozenDenoiser,
        Scheme::GaussianPrior(0.7),
        Scheme::EulerMaruyama,
    ]
}

/// Largest ratio and how many problems it was taken over.
type Ratios = BTreeMap<(String, String), (f64, usize)>;

/// What is below cannot be told from rounding: the exact term of a law that fits its scheme.
const LEAST: f64 = 1e-10;

fn add(ratios: &mut Ratios, of: (&str, &str), measured: f64, bound: f64) {
    if measured < LEAST {
        return;
    }
    let (largest, count) = ratios.entry((of.0.into(), of.1.into())).or_default();
    (*largest, *count) = (largest.max(measured / bound), *count + 1);
}

fn add_rows(ratios: &mut Ratios, curve: &dyn ErrorCurve, lipschitz: Option<f64>, grid: &TimeGrid) {
    let at_data = curve.relative_score_square(0.0);
    let problem = Problem {
        curve: Some(curve),
        lipschitz,
        relative_fisher: at_data.is_finite().then_some(at_data),
        ..Problem::new(curve.dim(), schemes())
    };
    let found = compare(&problem, grid).expect("a table");
    for row in &found.rows {
        let exact = if row.scheme == "start" { "relative_entropy" } else { "discretization" };
        if row.name != exact {
            let measured = found.get(&row.scheme, exact).expect("the curve is known").total;
            add(ratios, (&row.scheme, row.name), measured, row.total);
        }
    }
}

fn report(what: &str, ratios: &Ratios) {
    println!("| {what}: scheme | bound | largest measured/bound | problems |\n|---|---|---|---|");
    for ((scheme, name), (largest, count)) in ratios {
        println!("| {scheme} | `{name}` | {largest:.4} | {count} |");
        assert!(*largest <= 1.0 + 1e-9, "{scheme} {name}: {largest}");
    }
}

#[test]
fn of_gaussians() {
    let ratios = RefCell::new(Ratios::new());
    let run = TestRunner::new(config(1, 200)).run(&(any_gaussian(), any_grid()), |(law, grid)| {
        let (eigenvalues, means) = law;
        let square = means.iter().map(|m| m * m).sum();
        let curve = GaussianCurve::new(eigenvalues.clone(), square).expect("a curve");
        // The scores are linear, with the slopes 1/λ, monotone in the clock.
        let slope = |tau: f64, c: f64| 1.0 / (1.0 + (-2.0 * tau).exp() * (c - 1.0));
        let slopes =
            eigenvalues.iter().flat_map(|&c| [grid.first().t, grid.last().t].map(|tau| slope(tau, c)));
        let ratios = &mut ratios.borrow_mut();
        add_rows(ratios, &curve, Some(slopes.fold(0.0, f64::max)), &grid);
        let initial = curve.relative_entropy(grid.first().t);
        for (scheme, letter) in schemes().iter().zip(["S", "V", "R", "D", "G_0.7", "EM"]) {
            let law = gaussian_sampler(scheme, &means, &eigenvalues, &grid).expect("a law");
            let path = bounds::terms::discretization(scheme, &curve, &grid).expect("a term");
            add(ratios, (letter, "marginal KL over initial + path"), law.kl, initial + path);
        }
        Ok(())
    });
    run.expect("no case fails");
    report("Gaussian", &ratios.borrow());
}

#[test]
fn of_mixtures() {
    let ratios = RefCell::new(Ratios::new());
    let run = TestRunner::new(config(1, 40)).run(&(any_mixture(), any_grid()), |(curve, grid)| {
        add_rows(&mut ratios.borrow_mut(), &curve, None, &grid);
        Ok(())
    });
    run.expect("no case fails");
    report("Mixture", &ratios.borrow());
}
