//! Sizes at which careless formulas overflow or cancel: d = 10^6, δ = 1e-12 and up to 10^6 steps, for every scheme.
//!
//! The values are those of 60-digit arithmetic (mpmath), by the formulas with endpoints, which share no step with the
//! library's own and cancel: 15 digits and more are lost in them, 45 are left. Per copy of the eigenvalues c_i, with
//! E = e^{-g}, e^{-2τ} = 1/(1 + v), λ_i = (c_i + v)/(1 + v), I = Σ 1/λ_i, F = Σ (1/λ_i - 2 + λ_i) + |μ|²/(1 + v),
//! KL = ½ Σ (λ_i - 1 - log λ_i) + ½ |μ|²/(1 + v), h = ½ Σ log λ_i, MI = ½ Σ log(1 + c_i/v), mmse = Σ c_i v/(c_i + v):
//!
//! - S: h(T) - h(δ) + d (T - δ) - Σ (2 (1 - E) - g) I_k; V: the same with ½ (1 - E²) for the bracket;
//! - R: KL(δ) - KL(T) - Σ (2 (1/E - 1) - g) F_k; D: ½ Σ (1/v_{k+1} - 1/v_k) mmse_k - MI(δ) + MI(T);
//! - G_c: ½ (Φ(v_0) - Φ(v_N)) - MI(δ) + MI(T) - ½ Σ Q(v_k) (1/(v_{k+1} + c) - 1/(v_k + c)),
//!   Φ = d log(v/(v + c)) + d c/(v + c), Q = c² d/v - mmse (1 + c/v)²;
//! - EM: Σ (A + B + C/4), A = h(τ_k) - h(τ_{k+1}) + d g + g I_k - 2 (1 - E) I_k, B = d (1/E - E - 2g) - (1/E + E - 2) I_k,
//!   C = d g + w (E^{-2} - 1)/2 + (d + w) g - 2 (d (1 - E) + w (1/E - 1)), w = (M_2 - d)/(1 + v_k);
//! - the bounds: as printed with their functions.

use crate::grids::geometric_v;
use bounds::curve::{Copies, ErrorCurve, GaussianCurve};
use bounds::terms::Scheme;
use bounds::theorem::{self, Problem, compare};

const COPIES: usize = 250_000;

/// 2,000 steps.
#[rustfmt::skip]
const SHORT: [(&str, &str, f64); 19] = [
    ("S", "discretization", 98096.492792055607),
    ("V", "discretization", 97820.082948760196),
    ("R", "discretization", 16628.429059691547),
    ("D", "discretization", 122073.69513760504),
    ("G_0.7", "discretization", 16278.141107212554),
    ("EM", "discretization", 37303.658205584607),
    ("S", "fisher_bound", 197288.02140418654),
    ("S", "sharp_grid_bound", 471838.75468873656),
    ("S", "grid_bound", 477034.79555902769),
    ("S", "kappa_bound", 1128470.3420824604),
    ("S", "paper_route_bound", 256821.56747002747),
    ("S", "paper_kappa_bound", 3081120.4166263745),
    ("D", "denoiser_bound", 245063.08205432201),
    ("D", "discrete_denoiser_bound", 16275.791413787699),
    ("R", "relative_score_bound", 38478.413680478193),
    ("R", "conforti_bound", 18785.317660623904),
    ("S", "lipschitz_bound", 320370.37557715241),
    ("start", "relative_entropy", 0.0070334622634643568),
    ("start", "moment_initial_bound", 0.095654915744308712),
];

/// 1,000,000 steps. Without `paper_kappa_bound`: it adds up what the steps increase by, to which the rounding of 10^6 clocks
/// contributes 1.3e-9 of the bound, so that it is another number on the rounded grid than on the exact one.
#[rustfmt::skip]
const LONG: [(&str, &str, f64); 18] = [
    ("S", "discretization", 197.00282849273012),
    ("V", "discretization", 197.00171409756211),
    ("R", "discretization", 33.452622853448344),
    ("D", "discretization", 242.4452660300471),
    ("G_0.7", "discretization", 32.75186313667814),
    ("EM", "discretization", 74.973742649324235),
    ("S", "fisher_bound", 394.01002825360509),
    ("S", "sharp_grid_bound", 943.30013262650754),
    ("S", "grid_bound", 943.32084531958147),
    ("S", "kappa_bound", 2182.0311139137229),
    ("S", "paper_route_bound", 513.69811147240072),
    ("D", "denoiser_bound", 484.89415575566918),
    ("D", "discrete_denoiser_bound", 32.204100555197312),
    ("R", "relative_score_bound", 76.95457483168405),
    ("R", "conforti_bound", 37.570635366869106),
    ("S", "lipschitz_bound", 644.06142896055839),
    ("start", "relative_entropy", 0.0070334622634643568),
    ("start", "moment_initial_bound", 0.095654915744308712),
];

/// The grid v_k = v_0 (v_N/v_0)^(k/N) from T = 8 to δ = 1e-12.
fn check(steps: usize, numbers: [f64; 3], rows: &[(&str, &str, f64)]) {
    let grid = geometric_v(8.0, 1e-12, steps);
    let of_grid = [theorem::kappa(&grid), theorem::rho(&grid), theorem::log_ratio(&grid)];
    for (found, expected) in of_grid.into_iter().zip(numbers) {
        assert!((found.expect("valid") / expected - 1.0).abs() < 1e-9);
    }
    let one = GaussianCurve::new(vec![1e-6, 0.3, 1.0, 5.0], 0.5).expect("a curve");
    let curve = Copies { curve: one, copies: COPIES };
    assert_eq!(curve.dim(), 1_000_000);
    let copies = COPIES as f64;
    let problem = Problem {
        curve: Some(&curve),
        lipschitz: Some(2.0),
        relative_fisher: Some(7.0 * copies),
        entropy: Some(3.0 * copies),
        ..Problem::new(
            curve.dim(),
            vec![
                Scheme::ExponentialIntegrator,
                Scheme::FrozenScore,
                Scheme::FrozenRelativeScore,
                Scheme::FrozenDenoiser,
                Scheme::GaussianPrior(0.7),
                Scheme::EulerMaruyama,
                Scheme::LocallyMomentMatched,
            ],
        )
    };
    let found = compare(&problem, &grid).expect("a table");
    for (scheme, name, expected) in rows {
        let total = found.get(scheme, name).expect("a row").total;
        let error = (total / expected - 1.0).abs();
        println!("{steps} {scheme} {name}: {total:e}, error {error:.1e}");
        assert!(error < 1e-9, "{scheme} {name}: {total:e} for {expected:e}, error {error:e}");
    }
    // Gaussian data cost the locally moment-matched step nothing.
    assert_eq!(found.get("L", "discretization").expect("a row").total, 0.0);
}

#[test]
fn a_million_dimensions() {
    check(2000, [0.021701052654122392, 0.021701052654144564, 42.937873822832422], &SHORT);
}

#[test]
fn a_million_dimensions_and_steps() {
    check(1_000_000, [4.293879566648765e-5, 4.293879566653059e-5, 42.937873822832422], &LONG);
}
