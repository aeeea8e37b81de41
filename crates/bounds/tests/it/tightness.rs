//! How near each bound comes to what it bounds, over the random problems of `exact_properties`.
//!
//! `--nocapture` prints the table of `docs/verification.md`. A ratio above 1 fails.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::discrete;
use crate::exact_properties::{any_gaussian, any_grid, any_mixture};
use bounds::curve::{ErrorCurve, GaussianCurve, ScalarMixtureCurve};
use bounds::terms::{Scheme, discretization, gaussian_sampler};
use bounds::theorem::{
    Problem, RateError, compare, discrete_denoiser_bound, factorized_bound, finite_fisher_bound,
    hypercube_bound, refresh_bound,
};
use numeric::TimeGrid;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use verify::strategy::cases;

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
    let run = TestRunner::new(cases(1, 200)).run(&(any_gaussian(), any_grid()), |(law, grid)| {
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
    let run = TestRunner::new(cases(1, 40)).run(&(any_mixture(), any_grid()), |(curve, grid)| {
        add_rows(&mut ratios.borrow_mut(), &curve, None, &grid);
        Ok(())
    });
    run.expect("no case fails");
    report("Mixture", &ratios.borrow());
}

/// Grids that end at the data, to within a clock at which nothing happens any more.
fn closed(grid: &TimeGrid, last: f64) -> TimeGrid {
    let nodes = grid.nodes().iter().map(|node| node.t).chain([last]);
    TimeGrid::from_nodes(nodes.collect()).expect("a grid")
}

#[test]
fn without_early_stopping_and_of_discrete_data() {
    let ratios = RefCell::new(Ratios::new());
    let full = prop::collection::vec(0.05..6.0_f64, 1..5);
    let run = TestRunner::new(cases(2, 200)).run(&(full, any_grid()), |(eigenvalues, grid)| {
        let curve = GaussianCurve::new(eigenvalues, 0.0).expect("a curve");
        let fisher = curve.fisher_information(0.0);
        let bound = finite_fisher_bound(curve.dim(), fisher, &closed(&grid, 0.0)).expect("a bound");
        for (scheme, letter, bound) in [
            (Scheme::ExponentialIntegrator, "S", bound.total()),
            (Scheme::FrozenScore, "V", bound.variance_clock),
        ] {
            let exact = discretization(&scheme, &curve, &closed(&grid, 1e-13)).expect("a term");
            add(&mut ratios.borrow_mut(), (letter, "finite_fisher_bound"), exact, bound);
        }
        Ok(())
    });
    run.expect("no case fails");
    let atoms = prop::collection::vec((0.05..1.0, -2.0..2.0_f64), 1..5);
    let run = TestRunner::new(cases(3, 60)).run(&(atoms, any_grid()), |(atoms, grid)| {
        let total: f64 = atoms.iter().map(|atom| atom.0).sum();
        let weights: Vec<f64> = atoms.iter().map(|atom| atom.0 / total).collect();
        let points: Vec<f64> = atoms.iter().map(|atom| atom.1).collect();
        let curve = ScalarMixtureCurve::new(&weights, &points, &vec![0.0; atoms.len()]).expect("a curve");
        let entropy = -weights.iter().map(|w| w * w.ln()).sum::<f64>();
        let bound = discrete_denoiser_bound(curve.total_variance(), entropy, &grid).expect("a bound");
        let exact = discretization(&Scheme::FrozenDenoiser, &curve, &grid).expect("a term");
        add(&mut ratios.borrow_mut(), ("D", "discrete_denoiser_bound"), exact, bound.total());
        Ok(())
    });
    run.expect("no case fails");
    report("Atoms, and grids to the data", &ratios.borrow());
}

#[test]
fn of_bits() {
    use discrete::{D, UNIFORM, clocks, doubled, factorized_sampler, flipped, frozen_rates, kl};
    let ratios = RefCell::new(Ratios::new());
    let problems = (discrete::any_law(), discrete::any_grid(), 0.01..4.0_f64);
    let run = TestRunner::new(cases(4, 100)).run(&problems, |(law, grid, horizon)| {
        let ratios = &mut ratios.borrow_mut();
        let (first, later) = (kl(&law, &UNIFORM), kl(&flipped(&law, horizon), &UNIFORM));
        let none = RateError::Integral(0.0);
        let sharp = hypercube_bound(D, Some(first), none, horizon, 0.0).expect("a bound").total();
        let refresh = refresh_bound(D, 2, Some(first), none, 2.0 * horizon, 0.0).expect("a bound").total();
        add(ratios, ("bits", "hypercube_bound, start"), later, sharp);
        add(ratios, ("bits", "refresh_bound, start"), later, refresh);
        let nodes = clocks(&grid);
        let (start, stop) = (nodes[0], nodes[nodes.len() - 1]);
        let (integral, sampler) = frozen_rates(&law, &grid);
        let bound =
            hypercube_bound(D, Some(first), RateError::Integral(integral), start, stop).expect("a bound");
        let data = flipped(&law, stop);
        add(ratios, ("frozen rates", "hypercube_bound, marginal KL"), kl(&data, &sampler), bound.total());
        let bound = factorized_bound(&law, D, 2, &doubled(&grid)).expect("a bound");
        let marginal = kl(&data, &factorized_sampler(&law, &grid));
        add(ratios, ("factorised", "factorized_bound, marginal KL"), marginal, bound.total());
        Ok(())
    });
    run.expect("no case fails");
    report("3 bits", &ratios.borrow());
}
