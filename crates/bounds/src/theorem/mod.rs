//! Bounds of the [discretisation terms](crate::terms::discretization), from the steps of the grid and little
//! else.
//!
//! | bound | of the scheme | needs |
//! |---|---|---|
//! | [`fisher_bound`] | S, V | the curve at the nodes |
//! | [`paper_route_bound`] | S | the curve at the nodes |
//! | [`sharp_grid_bound`] | S, V | the dimension |
//! | [`grid_bound`] | S, V | the dimension, in closed form |
//! | [`kappa_bound`], [`paper_kappa_bound`] | S | the dimension, in the form of the paper |
//! | [`lipschitz_bound`] | S, V | a Lipschitz constant of all scores |
//! | [`finite_fisher_bound`] | S, V | the Fisher information of the data; no early stopping |
//! | [`denoiser_bound`], [`discrete_denoiser_bound`] | D | the curve at the ends; or variance and entropy |
//! | [`relative_score_bound`], [`conforti_bound`] | R | the curve at the nodes; or two numbers of the data |
//! | [`lipschitz_total_variation_bound`] | S | the same; total variation, initialisation and score error included |
//! | [`hypercube_bound`], [`refresh_bound`] | discrete | the error of the rates |
//! | [`tau_leaping_bound`] | discrete | suprema of rates and ratios of probabilities; total variation |
//! | [`product_mixing_bound`] | discrete | the mixing time of a coordinate; total variation, initialisation only |
//! | [`uniformization_events`] | discrete | the dimension; not a bound, but the price |
//! | [`factorized_bound`], [`masked_bound`] | discrete | the law, by enumeration |
//!
//! All are in nats, from above, and exclude the [initialisation term](crate::initial) unless they say
//! otherwise. Where the exact term is known, it is smaller than each; among each other they are ordered only
//! where a chain of ≤ is printed: take the least. [`compare`] puts all that apply to a problem side by side.
//!
//! The grid $`T = τ_0 > … > τ_N = δ`$ decreases in the Ornstein–Uhlenbeck clock; $`g_k = τ_k - τ_{k+1}`$,
//! $`v_k = e^{2τ_k} - 1`$, $`c(g) = \int_0^g (1 - e^{-u})^2 du \le g^3/3`$, and
//! $`J, I, F, \mathrm{mmse}, \mathrm{MI}`$ are those of [`curve`](crate::curve), at $`τ_k`$ where they have
//! an index. Three numbers of a grid recur: [`kappa`], [`rho`] and [`log_ratio`].

mod compare;
mod denoiser;
mod factorized;
mod frozen_score;
mod hypercube;
mod lipschitz;
mod masked;
mod paper;
mod relative;
mod table;
mod tau_leaping;

pub use compare::{Problem, compare};
pub use denoiser::{DenoiserBound, denoiser_bound, discrete_denoiser_bound};
pub use factorized::{FactorizedBound, factorized_bound};
pub use frozen_score::{
    FrozenScoreBound, finite_fisher_bound, fisher_bound, grid_bound, lipschitz_bound, sharp_grid_bound,
};
pub use hypercube::{
    DiscreteBound, RateError, UniformizationEvents, hypercube_bound, refresh_bound, uniformization_events,
};
pub use lipschitz::{LipschitzBound, lipschitz_total_variation_bound};
pub use masked::{MaskedBound, masked_bound};
pub use paper::{KappaBound, PaperRouteBound, kappa_bound, paper_kappa_bound, paper_route_bound};
pub use relative::{ConfortiBound, RelativeScoreBound, conforti_bound, relative_score_bound};
pub use table::{Comparison, Row};
pub use tau_leaping::{TauLeaping, TauLeapingBound, product_mixing_bound, tau_leaping_bound};

use numeric::{Error, TimeGrid};

use crate::curve::{Clock, Step};

/// $`κ = \max_k g_k / \min(1, τ_{k+1})`$: the least with $`g_k \le κ \min(1, τ_{k+1})`$ for all k.
///
/// # Errors
/// [`Error::Domain`] or [`Error::Entry`] for a grid that does not decrease strictly from at most 300 to a
/// positive clock.
///
/// ```
/// let grid = numeric::TimeGrid::from_nodes(vec![2.0, 1.5, 0.5, 0.25])?;
/// assert_eq!(bounds::theorem::kappa(&grid)?, 2.0);
/// # Ok::<(), numeric::Error>(())
/// ```
pub fn kappa(grid: &TimeGrid) -> Result<f64, Error> {
    Ok(kappa_of(&Clock::new(grid)?))
}

/// $`ρ = \max_k (v_k - v_{k+1})/v_{k+1}`$, the greatest relative growth of the signal-to-noise ratio in a
/// step.
///
/// # Errors
/// Those of [`kappa`].
///
/// ```
/// // v = 8, 3, 1 at τ = ½ log(1 + v).
/// let grid = numeric::TimeGrid::from_nodes([9f64, 4.0, 2.0].iter().map(|x| 0.5 * x.ln()).collect())?;
/// assert!((bounds::theorem::rho(&grid)? - 2.0).abs() < 1e-14);
/// # Ok::<(), numeric::Error>(())
/// ```
pub fn rho(grid: &TimeGrid) -> Result<f64, Error> {
    Ok(rho_of(Clock::new(grid)?.steps()))
}

/// $`Λ = \log(v_0/v_N)`$, the span of the grid in log signal-to-noise; at most $`2T + \log\frac1{2δ}`$.
///
/// # Errors
/// Those of [`kappa`].
///
/// ```
/// let grid = numeric::TimeGrid::from_nodes(vec![0.5 * 9f64.ln(), 0.5 * 2f64.ln()])?;
/// assert!((bounds::theorem::log_ratio(&grid)? - 8f64.ln()).abs() < 1e-14);
/// # Ok::<(), numeric::Error>(())
/// ```
pub fn log_ratio(grid: &TimeGrid) -> Result<f64, Error> {
    Ok(log_ratio_of(&Clock::new(grid)?))
}

fn kappa_of(clock: &Clock) -> f64 {
    clock.steps().map(|step| step.length / step.to.min(1.0)).fold(0.0, f64::max)
}

fn rho_of(steps: impl Iterator<Item = Step>) -> f64 {
    steps.map(|step| step.v_drop / step.v_to).fold(0.0, f64::max)
}

fn log_ratio_of(clock: &Clock) -> f64 {
    Step::new(clock.start(), clock.end()).log_ratio()
}

/// `dim` as a number, if it is one of a space.
fn dimension(dim: usize) -> Result<f64, Error> {
    Error::domain(dim > 0, "dim", dim as f64, "at least 1")?;
    Ok(dim as f64)
}

/// `Ok` for a quantity that is finite and at least 0.
fn nonnegative(parameter: &'static str, value: f64) -> Result<(), Error> {
    Error::domain(value >= 0.0 && value.is_finite(), parameter, value, "a finite number of at least 0")
}

/// The bound of the total variation by the KL divergence `kl`: the inequalities of Pinsker, and of Bretagnolle and
/// Huber.
fn total_variation(kl: f64) -> f64 {
    (0.5 * kl).sqrt().min((-(-kl).exp_m1()).sqrt())
}
