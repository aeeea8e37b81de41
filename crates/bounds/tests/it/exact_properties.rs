//! Properties of the exact terms and their bounds on random grids, Gaussians and mixtures. The inequalities
//! are theorems, with no false alarm but of rounding; the seeds are fixed through `verify::seed`.

use crate::grids::{geometric_v, ramp};
use bounds::curve::{Copies, ErrorCurve, GaussianCurve, ScalarMixtureCurve};
use bounds::initial::{gaussian_initial, log_sobolev_decay, moment_initial_bound};
use bounds::terms::{Scheme, discretization, gaussian_sampler, score_term};
use bounds::theorem;
use numeric::TimeGrid;
use numeric::special::r_minus_1_minus_ln;
use proptest::prelude::*;

/// From T in [0.5, 4] in up to 12 random steps, even in the logarithm of the clock, to δ in [e^-6, e^-2].
pub(crate) fn any_grid() -> impl Strategy<Value = TimeGrid> {
    (0.5..4.0, 2.0..6.0, prop::collection::vec(0.05..1.0, 1..12)).prop_map(|(horizon, depth, parts)| {
        let total: f64 = parts.iter().sum();
        let span: f64 = f64::ln(horizon) + depth;
        let mut sum = 0.0;
        let later = parts.iter().map(|part| {
            sum += part;
            horizon * (-span * sum / total).exp()
        });
        TimeGrid::from_nodes(std::iter::once(horizon).chain(later).collect()).expect("a grid")
    })
}

/// Eigenvalues, some of them 0, and as many means.
pub(crate) fn any_gaussian() -> impl Strategy<Value = (Vec<f64>, Vec<f64>)> {
    let eigenvalue = prop_oneof![1 => Just(0.0), 6 => 0.01..6.0];
    (1_usize..5).prop_flat_map(move |d| {
        (prop::collection::vec(eigenvalue.clone(), d), prop::collection::vec(-2.0..2.0, d))
    })
}

pub(crate) fn any_mixture() -> impl Strategy<Value = ScalarMixtureCurve> {
    let variance = prop_oneof![1 => Just(0.0), 2 => 0.01..1.5];
    prop::collection::vec((0.05..1.0, -2.0..2.0, variance), 1..4).prop_map(|parts| {
        let total: f64 = parts.iter().map(|part| part.0).sum();
        let weights: Vec<f64> = parts.iter().map(|part| part.0 / total).collect();
        let (means, variances): (Vec<f64>, Vec<f64>) = parts.iter().map(|part| (part.1, part.2)).unzip();
        ScalarMixtureCurve::new(&weights, &means, &variances).expect("a curve")
    })
}

const FIRST_ORDER: [Scheme; 6] = [
    Scheme::ExponentialIntegrator,
    Scheme::FrozenScore,
    Scheme::FrozenRelativeScore,
    Scheme::FrozenDenoiser,
    Scheme::GaussianPrior(0.7),
    Scheme::EulerMaruyama,
];

fn term(scheme: &Scheme, curve: &dyn ErrorCurve, grid: &TimeGrid) -> f64 {
    discretization(scheme, curve, grid).expect("a term")
}

/// Bounds of S, and that of V on its own.
fn frozen_score_bounds(curve: &dyn ErrorCurve, grid: &TimeGrid) -> [theorem::FrozenScoreBound; 3] {
    [
        theorem::fisher_bound(curve, grid).expect("valid"),
        theorem::sharp_grid_bound(curve.dim(), grid).expect("valid"),
        theorem::grid_bound(curve.dim(), grid).expect("valid"),
    ]
}

fn check_theorems(curve: &dyn ErrorCurve, grid: &TimeGrid) {
    let rounding = 1.0 + 1e-11;
    let (s, v) = (term(&FIRST_ORDER[0], curve, grid), term(&FIRST_ORDER[1], curve, grid));
    let [fisher, sharp, closed] = frozen_score_bounds(curve, grid);
    for bound in [fisher, sharp, closed] {
        assert!(v <= bound.variance_clock * rounding && s - v <= bound.integrator * rounding);
    }
    // Printed as chains of ≤ in the theorems.
    assert!(fisher.total() <= sharp.total() * rounding && fisher.total() <= closed.total() * rounding);
    let kappa = theorem::kappa_bound(curve.dim(), 0.0, grid).expect("valid");
    assert!(closed.total() <= kappa.total() * rounding);
    let route = theorem::paper_route_bound(curve, grid).expect("valid");
    let explicit = theorem::paper_kappa_bound(curve.dim(), curve.total_variance(), grid).expect("valid");
    assert!(s <= route.total() * rounding && route.steps <= explicit.steps * rounding);
    assert!(route.covariance <= explicit.covariance * rounding);
    let denoiser = theorem::denoiser_bound(curve, grid).expect("valid");
    // The information gained is known to 1e-15 or so, and ρ of it counts.
    let slack = 1e-14 * (1.0 + theorem::rho(grid).expect("valid"));
    assert!(term(&Scheme::FrozenDenoiser, curve, grid) <= denoiser.total() * rounding + slack);
    let relative = theorem::relative_score_bound(curve, grid).expect("valid");
    assert!(term(&Scheme::FrozenRelativeScore, curve, grid) <= relative.riemann * rounding + 1e-15);
    assert!(relative.riemann <= relative.longest_step * rounding);
    let horizon = grid.first().t;
    let initial = moment_initial_bound(curve.dim(), curve.second_moment(), horizon).expect("valid");
    assert!(curve.relative_entropy(horizon) <= initial * rounding);
}

proptest! {
    #![proptest_config(verify::strategy::cases(9008, 200))]

    #[test]
    fn gaussian_chain_of_bounds((eigenvalues, means) in any_gaussian(), grid in any_grid()) {
        let square = means.iter().map(|m| m * m).sum();
        let curve = GaussianCurve::new(eigenvalues.clone(), square).expect("a curve");
        let initial = gaussian_initial(&eigenvalues, square, grid.first().t).expect("valid");
        let matched = [Scheme::MomentMatched(eigenvalues.clone()), Scheme::LocallyMomentMatched];
        for scheme in FIRST_ORDER.iter().chain(&matched) {
            let law = gaussian_sampler(scheme, &means, &eigenvalues, &grid).expect("a law");
            let path = term(scheme, &curve, &grid);
            prop_assert!(law.kl <= (initial + law.chain) * (1.0 + 1e-11) + 1e-15, "{scheme:?}");
            prop_assert!(law.chain <= path * (1.0 + 1e-10) + 1e-15, "{scheme:?}: {} {path}", law.chain);
            let equal = !matches!(
                scheme,
                Scheme::ExponentialIntegrator | Scheme::FrozenRelativeScore | Scheme::EulerMaruyama
            );
            // The chain of kernels and the path integral: two derivations of one number.
            prop_assert!(!equal || (law.chain - path).abs() <= 1e-10 * path + 1e-25, "{scheme:?}");
        }
        check_theorems(&curve, &grid);
    }

    #[test]
    fn a_law_that_the_prior_fits_costs_nothing(c in 0.01..5.0, mean in -2.0..2.0, grid in any_grid()) {
        let curve = GaussianCurve::new(vec![c; 2], 2.0 * mean * mean).expect("a curve");
        prop_assert_eq!(term(&Scheme::GaussianPrior(c), &curve, &grid), 0.0);
        // Started from the true law the sampler stays true, so that the start's KL only contracts.
        let law = gaussian_sampler(&Scheme::GaussianPrior(c), &[mean; 2], &[c; 2], &grid).expect("a law");
        prop_assert!(law.kl <= curve.relative_entropy(grid.first().t) * (1.0 + 1e-12) + 1e-15);
        let unit = GaussianCurve::new(vec![1.0; 2], 0.0).expect("a curve");
        prop_assert_eq!(term(&Scheme::FrozenRelativeScore, &unit, &grid), 0.0);
        let closed: f64 = grid.lengths().iter().map(|g| 4.0 * (g + (-g).exp_m1())).sum();
        prop_assert!((term(&Scheme::ExponentialIntegrator, &unit, &grid) / closed - 1.0).abs() < 1e-11);
        let lipschitz = theorem::lipschitz_bound(2, 1.0, &grid).expect("valid").total();
        prop_assert!((lipschitz / closed - 1.0).abs() < 1e-11);
        let point = GaussianCurve::new(vec![0.0; 3], 1.0).expect("a curve");
        prop_assert_eq!(term(&Scheme::FrozenDenoiser, &point, &grid), 0.0);
        let v = |tau: f64| (2.0 * tau).exp_m1();
        let closed: f64 = grid.pairs().map(|(a, b)| 1.5 * r_minus_1_minus_ln(v(b.t) / v(a.t))).sum();
        prop_assert!((term(&Scheme::FrozenScore, &point, &grid) / closed - 1.0).abs() < 1e-11);
    }

    #[test]
    fn terms_are_sums_over_factors((eigenvalues, means) in any_gaussian(), grid in any_grid()) {
        let squares: Vec<f64> = means.iter().map(|m| m * m).collect();
        let curve = GaussianCurve::new(eigenvalues.clone(), squares.iter().sum()).expect("a curve");
        let reversed: Vec<f64> = eigenvalues.iter().rev().copied().collect();
        let turned = GaussianCurve::new(reversed, squares.iter().sum()).expect("a curve");
        let moved = GaussianCurve::new(eigenvalues.clone(), 7.0).expect("a curve");
        for scheme in &FIRST_ORDER {
            let whole = term(scheme, &curve, &grid);
            let parts: f64 = eigenvalues
                .iter()
                .zip(&squares)
                .map(|(&c, &m)| term(scheme, &GaussianCurve::new(vec![c], m).expect("a curve"), &grid))
                .sum();
            let close = |other: f64| (whole - other).abs() <= 1e-11 * whole.max(1e-4);
            prop_assert!(close(parts) && close(term(scheme, &turned, &grid)), "{scheme:?}");
            let three = Copies { curve: curve.clone(), copies: 3 };
            prop_assert!(close(term(scheme, &three, &grid) / 3.0), "{scheme:?}");
            // A translation of the data is seen by R and EM alone.
            let sees = matches!(scheme, Scheme::FrozenRelativeScore | Scheme::EulerMaruyama);
            prop_assert!((whole == term(scheme, &moved, &grid)) != sees, "{scheme:?}");
        }
    }

    #[test]
    fn score_errors_are_bounded((eigenvalues, _) in any_gaussian(), grid in any_grid(), slope in -0.5..0.5) {
        // e_k(y) = slope · s_k(y), in closed form: E e² = slope² I, and for R E<R, e> = slope (I - d).
        let curve = GaussianCurve::new(eigenvalues, 0.0).expect("a curve");
        let starts: Vec<f64> = grid.nodes()[..grid.steps()].iter().map(|node| node.t).collect();
        let errors: Vec<f64> = starts.iter().map(|&tau| slope * slope * curve.score_square(tau)).collect();
        let d = curve.dim() as f64;
        for scheme in &FIRST_ORDER {
            let bound = score_term(scheme, &curve, &grid, &errors).expect("a term");
            let cross: f64 = grid.lengths().iter().zip(&starts).map(|(g, &tau)| {
                let i = curve.score_square(tau);
                match scheme {
                    Scheme::ExponentialIntegrator => 2.0 * (g + (-g).exp_m1()) * slope * i,
                    Scheme::FrozenRelativeScore => -2.0 * (g.exp_m1() - g) * slope * (i - d),
                    Scheme::EulerMaruyama => {
                        let a = (-g).exp_m1() + g - (g.cosh() - 1.0);
                        2.0 * slope * (a * i + 0.5 * (g.exp_m1() - g) * d)
                    }
                    _ => 0.0,
                }
            }).sum();
            prop_assert!(cross.abs() <= bound.cross * (1.0 + 1e-9) + 1e-15, "{scheme:?}");
            // For S the error is parallel to the score: Cauchy–Schwarz is an equality.
            let parallel = matches!(scheme, Scheme::ExponentialIntegrator);
            prop_assert!(!parallel || (cross.abs() - bound.cross).abs() <= 1e-9 * bound.cross, "{scheme:?}");
            let total = term(scheme, &curve, &grid) + bound.square + cross;
            prop_assert!(total >= -1e-15);
        }
    }
}

proptest! {
    #![proptest_config(verify::strategy::cases(9009, 40))]

    #[test]
    fn mixture_theorems(curve in any_mixture(), grid in any_grid()) {
        check_theorems(&curve, &grid);
    }

    #[test]
    fn curves_are_one_curve(curve in any_mixture(), tau in 0.02..3.0) {
        let v = f64::exp_m1(2.0 * tau);
        let (i, m, d) = (curve.score_square(tau), curve.mmse(tau), 1.0);
        prop_assert!((v * (-2.0 * tau).exp() * i + m / v - d).abs() < 1e-12);
        let f = i - 2.0 * d + curve.second_moment_at(tau);
        prop_assert!((curve.relative_score_square(tau) - f).abs() < 1e-11 * i);
        let h = curve.entropy(tau);
        let ln_2pi = (2.0 * std::f64::consts::PI).ln();
        let kl = -h + 0.5 * (ln_2pi + curve.second_moment_at(tau));
        prop_assert!((curve.relative_entropy(tau) - kl).abs() < 1e-12 * h.abs().max(1.0));
        prop_assert!(m <= curve.total_variance().min(v) * (1.0 + 1e-12));
        // Five-point differences: relative truncation error about (step/scale)⁴.
        let step = 1e-3 * tau;
        let slope = |f: &dyn Fn(f64) -> f64| {
            let apart = |k: f64| f(tau + k * step) - f(tau - k * step);
            (8.0 * apart(1.0) - apart(2.0)) / (12.0 * step)
        };
        let close = |found: f64, expected: f64, scale: f64| {
            (found - expected).abs() < 1e-6 * (expected.abs() + scale)
        };
        prop_assert!(close(slope(&|t| curve.entropy(t)), i - d, 1.0));
        prop_assert!(close(slope(&|t| curve.relative_entropy(t)), -curve.relative_score_square(tau), 1e-2));
        let e = (-2.0 * tau).exp();
        let square = curve.covariance_gap(tau, 0.0) * v * v;
        prop_assert!(close(slope(&|t| curve.mmse(t)), 2.0 * e / (1.0 - e).powi(2) * square, 1e-3));
        let hessian = curve.covariance_gap(tau, f64::INFINITY) * ((2.0 * tau).exp() / v).powi(2);
        prop_assert!(close(slope(&|t| curve.score_square(t)), 2.0 * (i - hessian), i));
    }

    #[test]
    fn steps_are_what_they_integrate(
        curve in any_mixture(), from in 0.1..3.0, part in 0.1..0.9, c in 0.0..3.0,
    ) {
        // The endpoint forms, which cancel, against the steps, which do not.
        let to = part * from;
        let (v, after) = (f64::exp_m1(2.0 * from), f64::exp_m1(2.0 * to));
        let rise = 1.0 / after - 1.0 / v;
        let (mmse, gain) = (curve.mmse(from), curve.information_gain(from, to));
        let scale = 1e-12 * (1.0 + rise * mmse + gain);
        prop_assert!((curve.prior_step(from, to, 0.0) - (0.5 * rise * mmse - gain)).abs() < scale);
        let p: f64 = rise * c * v / (c + v);
        let prior = 0.5 * (p.ln_1p() - p / (1.0 + p)) + 0.5 * rise * mmse / (1.0 + p) - gain;
        prop_assert!((curve.prior_step(from, to, c) - prior).abs() < scale);
        let matched = 0.5 * curve.expected_log_det(from, rise).expect("known") - gain;
        let step = curve.moment_matched_step(from, to).expect("known");
        prop_assert!((step - matched).abs() < scale && step > -1e-15);
        let fisher = 0.5 * (v / after).ln() - gain - 0.5 * (v - after) * curve.fisher_information(from);
        prop_assert!((curve.prior_step(from, to, f64::INFINITY) - fisher).abs() < scale);
        // A single component is Gaussian.
        let gaussian = GaussianCurve::new(vec![c], 0.0).expect("a curve");
        let one = ScalarMixtureCurve::new(&[1.0], &[0.5], &[c]).expect("a curve");
        for prior in [0.0, 0.7, f64::INFINITY] {
            let exact = gaussian.prior_step(from, to, prior);
            prop_assert!((one.prior_step(from, to, prior) - exact).abs() <= 1e-12 * exact);
        }
    }

    /// A term is a sum over steps: what a node more changes is the term of the step that it parts.
    #[test]
    fn refinement_never_costs(
        curve in any_mixture(), grid in any_grid(), place in 0.0..1.0, cut in 0.05..0.95,
    ) {
        let k = ((place * grid.steps() as f64) as usize).min(grid.steps() - 1);
        let (from, to) = (grid.node(k).t, grid.node(k + 1).t);
        let of = |nodes| TimeGrid::from_nodes(nodes).expect("a grid");
        let (whole, parts) = (of(vec![from, to]), of(vec![from, from + cut * (to - from), to]));
        // Not claimed: R, and S for steps above log 2.
        for scheme in &FIRST_ORDER[..5] {
            let claimed = match scheme {
                Scheme::ExponentialIntegrator => from - to <= 2f64.ln(),
                Scheme::FrozenRelativeScore => false,
                _ => true,
            };
            if claimed {
                let (coarse, fine) = (term(scheme, &curve, &whole), term(scheme, &curve, &parts));
                prop_assert!(fine <= coarse * (1.0 + 1e-11) + 1e-15, "{scheme:?} {coarse} {fine}");
            }
        }
    }
}

#[test]
fn twice_the_steps_halve_the_path_and_quarter_the_law() {
    let curve = ramp(3);
    let errors = |n: usize| {
        let grid = geometric_v(3.0, 0.01, n);
        let paths = FIRST_ORDER.each_ref().map(|scheme| term(scheme, &curve, &grid));
        let law = gaussian_sampler(&FIRST_ORDER[0], &[0.0; 3], curve.eigenvalues(), &grid).expect("a law");
        (paths, law.kl)
    };
    let (coarse, fine) = (errors(1000), errors(2000));
    for (coarse, fine) in coarse.0.iter().zip(fine.0) {
        assert!((coarse / fine - 2.0).abs() < 0.02, "{coarse} {fine}");
    }
    // The start's error, which does not depend on the grid, is 1e-6 of a nat.
    let late = geometric_v(9.0, 0.01, 1000);
    let later = geometric_v(9.0, 0.01, 2000);
    let kl =
        |grid| gaussian_sampler(&FIRST_ORDER[0], &[0.0; 3], curve.eigenvalues(), grid).expect("a law").kl;
    assert!((kl(&late) / kl(&later) - 4.0).abs() < 0.05);
    assert!(coarse.1 > fine.1);
}

#[test]
fn limits_of_early_stopping() {
    // A point: N Disc_S → Λ²/4 on the geometric grid; the grid bound is 2(1 + 1/Λ) times that.
    let point = GaussianCurve::new(vec![0.0], 0.0).expect("a curve");
    let (n, grid) = (20_000, geometric_v(3.0, 1e-4, 20_000));
    let span = theorem::log_ratio(&grid).expect("valid");
    let path = term(&FIRST_ORDER[0], &point, &grid) * f64::from(n);
    // The integrator's part is O(1/N) of it.
    assert!((path / (0.25 * span * span) - 1.0).abs() < 2e-3, "{path} {span}");
    // With constant ρ = 0.2: of full rank the term of S converges, with a zero eigenvalue it grows by ρ'/4
    // per log.
    let at = |stop: f64, curve: &GaussianCurve| {
        let span = f64::ln(f64::exp_m1(6.0) / f64::exp_m1(2.0 * stop));
        term(&FIRST_ORDER[0], curve, &geometric_v(3.0, stop, (span / f64::ln(1.2)).round() as usize))
    };
    let full = GaussianCurve::new(vec![0.5, 2.0], 0.0).expect("a curve");
    let flat = GaussianCurve::new(vec![0.0, 2.0], 0.0).expect("a curve");
    assert!((at(1e-6, &full) - at(1e-9, &full)).abs() < 5e-3);
    let per_log = (at(1e-9, &flat) - at(1e-6, &flat)) / 1000f64.ln();
    // (r - 1 - log r)/(2 log 1.2), r = 1/1.2, exactly; and about ρ/4.
    let exact = r_minus_1_minus_ln(1.0 / 1.2) / (2.0 * 1.2f64.ln());
    assert!((per_log / exact - 1.0).abs() < 0.02 && (per_log / 0.05 - 1.0).abs() < 0.15, "{per_log}");
    // Without early stopping.
    let nodes = geometric_v(3.0, 1e-3, 60).nodes().iter().map(|node| node.t).chain([0.0]).collect();
    let closed = TimeGrid::from_nodes(nodes).expect("a grid");
    let nearly: Vec<f64> = closed.nodes()[..61].iter().map(|node| node.t).chain([1e-13]).collect();
    let nearly = TimeGrid::from_nodes(nearly).expect("a grid");
    let fisher = full.fisher_information(0.0);
    assert!((fisher - 2.5).abs() < 1e-15);
    let bound = theorem::finite_fisher_bound(2, fisher, &closed).expect("valid");
    assert!(term(&FIRST_ORDER[0], &full, &nearly) <= bound.total());
    let relative = theorem::relative_score_bound(&full, &closed).expect("valid");
    let (kl, fi) = (full.relative_entropy(0.0), full.relative_score_square(0.0));
    let conforti = theorem::conforti_bound(kl, fi, &closed).expect("valid");
    let law = gaussian_sampler(&Scheme::FrozenRelativeScore, &[0.0; 2], full.eigenvalues(), &nearly);
    assert!(law.expect("a law").kl <= conforti.total() && relative.longest_step <= conforti.discretization);
}

/// Nine tenths of a bound is false somewhere: where theory has equality, or tends to it.
#[test]
fn bounds_scaled_by_nine_tenths_are_caught() {
    let point = GaussianCurve::new(vec![0.0], 0.0).expect("a curve");
    // Λ = 20: Fisher, sharp and closed are ½ρΛ, ½ρ(1 + Λ), ½ρ(1 + Λ) up to O(ρ²).
    let long = geometric_v(6.0, 1e-4, 3000);
    let [fisher, sharp, closed] = frozen_score_bounds(&point, &long).map(|bound| bound.total());
    assert!(0.9 * sharp < fisher && 0.9 * closed < sharp);
    // A left Riemann error is half of its rectangles on fine grids; 0.9 of the constants ½ would be false.
    let (unit, near) = (ramp(1), geometric_v(1e-2, 1e-4, 2000));
    let fine = geometric_v(2.0, 0.05, 2000);
    let halves = [
        (
            term(&Scheme::FrozenScore, &point, &fine),
            theorem::fisher_bound(&point, &fine).expect("valid").variance_clock,
        ),
        (
            term(&Scheme::FrozenDenoiser, &unit, &fine),
            theorem::denoiser_bound(&unit, &fine).expect("valid").total(),
        ),
        // Near the data F' is large against the F that the proof drops.
        (
            term(&Scheme::FrozenRelativeScore, &point, &near),
            theorem::relative_score_bound(&point, &near).expect("valid").riemann,
        ),
        (
            term(&Scheme::ExponentialIntegrator, &point, &near),
            theorem::paper_route_bound(&point, &near).expect("valid").total(),
        ),
    ];
    for (exact, bound) in halves {
        assert!(exact <= 0.505 * bound && exact > 0.9 * 0.5 * bound, "{exact} {bound}");
    }
    // One step to τ = 1 with g = κ: the κ form is the grid form.
    let one = TimeGrid::from_nodes(vec![1.001, 1.0]).expect("a grid");
    let (kappa, grid) = (theorem::kappa_bound(1, 0.0, &one), theorem::grid_bound(1, &one));
    assert!(0.9 * kappa.expect("valid").total() < grid.expect("valid").total());
    // The Lipschitz bound is an equality for N(0, I), the chain one for V, D and G on any Gaussian.
    let coarse = geometric_v(3.0, 0.01, 7);
    let lipschitz = theorem::lipschitz_bound(1, 1.0, &coarse).expect("valid").total();
    assert!(0.9 * lipschitz < term(&Scheme::ExponentialIntegrator, &unit, &coarse));
    for scheme in &FIRST_ORDER[..5] {
        let path = term(scheme, &ramp(2), &coarse);
        let law = gaussian_sampler(scheme, &[0.0; 2], ramp(2).eigenvalues(), &coarse).expect("a law");
        assert!(0.9 * path < law.chain, "{scheme:?}");
    }
    // Entropy against information where the noise is gone.
    let coin = ScalarMixtureCurve::new(&[0.5, 0.5], &[-1.0, 1.0], &[0.0; 2]).expect("a curve");
    let bare = geometric_v(3.0, 1e-4, 40);
    let entropy = theorem::discrete_denoiser_bound(1.0, 2f64.ln(), &bare).expect("valid").total();
    assert!(0.9 * entropy < theorem::denoiser_bound(&coin, &bare).expect("valid").total());
    // Initialisation: a point for the moment bound, a shift for the decay.
    let exact = gaussian_initial(&[0.0], 2.0, 1.0).expect("valid");
    assert!(0.9 * moment_initial_bound(1, 2.0, 1.0).expect("valid") < exact);
    let early = gaussian_initial(&[1.0], 2.0, 0.5).expect("valid");
    let late = gaussian_initial(&[1.0], 2.0, 1.5).expect("valid");
    assert!(0.9 * log_sobolev_decay(early, 1.0).expect("valid") < late);
}
