//! The law of the discretised sampler itself, on the line: its density is carried through the Gaussian
//! kernels of the steps on a mesh, and its exact KL to the target compared with the terms and bounds.

use crate::grids::{geometric_v, two_phase};
use bounds::curve::{ErrorCurve, ScalarMixtureCurve};
use bounds::terms::{Scheme, discretization};
use bounds::theorem;
use numeric::TimeGrid;
use std::f64::consts::PI;

const WEIGHTS: [f64; 2] = [0.3, 0.7];
const MEANS: [f64; 2] = [-1.5, 1.0];
const VARIANCE: f64 = 0.09;

fn normal(x: f64, variance: f64) -> f64 {
    (-0.5 * x * x / variance).exp() / (2.0 * PI * variance).sqrt()
}

/// Density, score and posterior variance of X_0 at x, clock τ; written apart from the library.
fn target(tau: f64, x: f64) -> (f64, f64, f64) {
    let keep = (-tau).exp();
    let (noise, lambda) = (1.0 - keep * keep, keep * keep * VARIANCE + 1.0 - keep * keep);
    let joint = [0, 1].map(|i| WEIGHTS[i] * normal(x - keep * MEANS[i], lambda));
    let density = joint[0] + joint[1];
    // The lesser posterior weight from the log odds, so that the tails keep a score.
    let log_odds = (WEIGHTS[1] / WEIGHTS[0]).ln()
        + ((x - keep * MEANS[0]).powi(2) - (x - keep * MEANS[1]).powi(2)) / (2.0 * lambda);
    let upper = 1.0 / (1.0 + (-log_odds).exp());
    let mean = (1.0 - upper) * MEANS[0] + upper * MEANS[1];
    let apart = (MEANS[1] - MEANS[0]) * noise / lambda;
    let posterior = VARIANCE * noise / lambda + upper * (1.0 - upper) * apart * apart;
    (density, -(x - keep * mean) / lambda, posterior)
}

/// Mean and variance of the sampler's step from x.
fn kernel(scheme: &Scheme, from: f64, to: f64, x: f64) -> (f64, f64) {
    let (g, v, after) = (from - to, (2.0 * from).exp_m1(), (2.0 * to).exp_m1());
    let (_, score, posterior) = target(from, x);
    let exact_mean = g.exp() * x + 2.0 * g.sinh() * score;
    let noise = (2.0 * g).exp_m1();
    match scheme {
        Scheme::ExponentialIntegrator => (g.exp() * x + 2.0 * g.exp_m1() * score, noise),
        Scheme::FrozenDenoiser => (exact_mean, noise * after / v),
        Scheme::GaussianPrior(c) => (exact_mean, noise * (after + c) / (v + c)),
        Scheme::LocallyMomentMatched => {
            // In u = e^τ x: v'(v - v')/v + (1 - v'/v)² Σ.
            let kept = after / v;
            let spread = kept * (v - after) + (1.0 - kept).powi(2) * posterior;
            (exact_mean, (-2.0 * to).exp() * spread)
        }
        other => panic!("{other:?} is not propagated here"),
    }
}

/// KL(q_δ ‖ p_N) with `points` of the mesh on [-9, 9].
///
/// The trapezoidal rule is spectral here: kernels and densities are several mesh widths wide, and both are
/// below 1e-17 at the ends.
fn marginal_kl(scheme: &Scheme, grid: &TimeGrid, points: usize) -> f64 {
    let width = 18.0 / points as f64;
    let mesh: Vec<f64> = (0..=points).map(|i| -9.0 + width * i as f64).collect();
    let mut density: Vec<f64> = mesh.iter().map(|&x| normal(x, 1.0)).collect();
    for (from, to) in grid.pairs() {
        let mut next = vec![0.0; mesh.len()];
        for (&x, &mass) in mesh.iter().zip(&density) {
            let (mean, variance) = kernel(scheme, from.t, to.t, x);
            // Ten standard deviations to each side.
            let reach = 10.0 * variance.sqrt();
            let index = |y: f64| ((y + 9.0) / width).clamp(0.0, points as f64) as usize;
            for j in index(mean - reach)..=index(mean + reach) {
                next[j] += width * mass * normal(mesh[j] - mean, variance);
            }
        }
        density = next;
    }
    let stop = grid.last().t;
    let terms = mesh.iter().zip(&density).map(|(&x, &p)| {
        let q = target(stop, x).0;
        // q (log(q/p) - 1) + p ≥ 0, where the mesh carries the density.
        if q < 1e-18 { p } else { q * ((q / p).ln() - 1.0) + p }
    });
    width * terms.sum::<f64>()
}

fn curve() -> ScalarMixtureCurve {
    ScalarMixtureCurve::new(&WEIGHTS, &MEANS, &[VARIANCE; 2]).expect("a curve")
}

/// The KL, equal on two meshes.
fn converged(scheme: &Scheme, grid: &TimeGrid) -> f64 {
    let (coarse, fine) = (marginal_kl(scheme, grid, 1000), marginal_kl(scheme, grid, 1300));
    assert!((coarse - fine).abs() < 1e-13, "{scheme:?}: {coarse:e} {fine:e}");
    fine
}

#[test]
fn published_marginals_of_the_mixture() {
    // KL of S and D.
    let rows = [
        (geometric_v(3.0, 0.02, 30), 9.67401412899e-03, 4.24226001041e-03),
        (two_phase(3.0, 0.02, 30), 9.31021043184e-03, 4.98755865025e-03),
        (geometric_v(3.0, 0.02, 60), 2.56390521693e-03, 1.02332558707e-03),
    ];
    for (grid, s, d) in &rows {
        for (scheme, expected) in [(Scheme::ExponentialIntegrator, s), (Scheme::FrozenDenoiser, d)] {
            let found = converged(&scheme, grid);
            assert!((found - expected).abs() < 2e-13, "{scheme:?}: {found:e}, printed {expected:e}");
        }
    }
}

#[test]
fn the_chain_of_bounds_holds_for_each_scheme() {
    let curve = curve();
    for steps in [12, 30] {
        let grid = geometric_v(3.0, 0.02, steps);
        let initial = curve.relative_entropy(3.0);
        let (fisher, sharp, closed, paper) = (
            theorem::fisher_bound(&curve, &grid).expect("valid").total(),
            theorem::sharp_grid_bound(1, &grid).expect("valid").total(),
            theorem::grid_bound(1, &grid).expect("valid").total(),
            theorem::paper_route_bound(&curve, &grid).expect("valid").total(),
        );
        let information = theorem::denoiser_bound(&curve, &grid).expect("valid").total();
        let schemes = [
            (Scheme::ExponentialIntegrator, vec![fisher, sharp, closed, paper]),
            (Scheme::FrozenDenoiser, vec![information]),
            (Scheme::GaussianPrior(0.39), vec![]),
            (Scheme::GaussianPrior(1.0), vec![]),
            (Scheme::LocallyMomentMatched, vec![]),
        ];
        for (scheme, theorems) in schemes {
            let marginal = converged(&scheme, &grid);
            let path = discretization(&scheme, &curve, &grid).expect("a term");
            assert!(marginal > 0.0 && marginal <= initial + path, "{scheme:?} {marginal:e} {path:e}");
            assert!(theorems.iter().all(|&bound| path <= bound), "{scheme:?}");
        }
        // The covariance is worth its price: D, G_c and L in this order.
        let [d, g, l] = [Scheme::FrozenDenoiser, Scheme::GaussianPrior(0.39), Scheme::LocallyMomentMatched]
            .map(|scheme| discretization(&scheme, &curve, &grid).expect("a term"));
        assert!(l < g && g < d);
    }
}

#[test]
fn one_short_step_costs_next_to_nothing_beyond_the_start() {
    // There the bound is nearly an equality, and nine tenths of it would be false.
    let curve = curve();
    let grid = TimeGrid::from_nodes(vec![0.5, 0.49]).expect("a grid");
    let initial = curve.relative_entropy(0.5);
    for scheme in [Scheme::ExponentialIntegrator, Scheme::FrozenDenoiser, Scheme::LocallyMomentMatched] {
        let marginal = converged(&scheme, &grid);
        let bound = initial + discretization(&scheme, &curve, &grid).expect("a term");
        assert!(marginal <= bound && marginal > 0.9 * bound, "{scheme:?} {marginal} {bound}");
    }
}
