//! The nearly d-linear bound in the form of the paper, with constants.

use numeric::{Error, TimeGrid};

use super::{dimension, kappa_of, log_ratio_of, nonnegative};
use crate::curve::{Clock, ErrorCurve, Step};

/// A bound of the path KL of S beyond the initialisation term, by κ.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct KappaBound {
    /// $`\frac d2 ρ(κ)(1 + Λ)`$.
    pub variance_clock: f64,
    /// $`d κ^2 (T - δ)/(3(1 - e^{-2}))`$.
    pub integrator: f64,
    /// $`ε^2 + ε κ \sqrt{d (T - δ)/(1 - e^{-2})}`$, 0 for an exact score.
    pub score: f64,
}

impl KappaBound {
    /// The bound of discretisation and score together, in nats.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.variance_clock + self.integrator + self.score
    }
}

/// $`1 - e^{-2}`$, with $`1 - e^{-2τ} \ge (1 - e^{-2}) \min(1, τ)`$.
fn noise_at_one() -> f64 {
    -(-2f64).exp_m1()
}

/// Nearly d-linear bound, with explicit constants.
///
/// # Statement
/// With [κ](super::kappa) and [Λ](super::log_ratio) of the grid, $`ρ(κ) = (e^{2κ} - 1)/(1 - e^{-2})`$ and ε =
/// `score_error`, the root of a bound of $`\sum_k g_k\, \mathbb{E}\lvert \hat s_k - s_k\rvert^2`$,
/// ```math
/// \mathrm{KL}(q_δ \,\|\, p_N) \le \mathrm{KL}(q_T \,\|\, γ) + \frac d2 ρ(κ)(1 + Λ)
///   + \frac{d κ^2 (T - δ)}{3 (1 - e^{-2})} + ε^2 + ε κ \sqrt{\frac{d (T - δ)}{1 - e^{-2}}} .
/// ```
///
/// # Assumptions
/// A finite second moment, and ε. The paper's T ≥ 1 and unit covariance are not needed; its initialisation
/// term needs a second moment of order d, see [`moment_initial_bound`](crate::initial::moment_initial_bound).
///
/// # Returns
/// All but the initialisation term, in nats. Exponential in κ: for steps longer than the noise take the
/// [grid bound](super::grid_bound), which is never greater.
///
/// *Derivation.* $`v_k/v_{k+1} - 1 = (e^{2g_k} - 1)/(1 - e^{-2τ_{k+1}}) \le ρ(κ)`$, since $`(e^{2κm} - 1)/m`$
/// increases with $`m = \min(1, τ_{k+1}) \le 1`$; insert into the grid bound, with $`c(g) \le g^3/3`$. Score:
/// the cross term is at most $`ε \sqrt{\sum_k g_k^3 I_k}`$, as $`2(g - 1 + e^{-g}) \le g^2`$. Because
/// $`Λ \le N \log(1 + ρ) \le Nρ`$ this implies, for κ ≤ 1, the paper's order $`ε^2 + κ^2 d N + κ d T`$ for
/// exact scores, with $`T + \log\frac1δ`$ for $`T`$.
///
/// # Errors
/// [`Error::Domain`] for `dim` = 0 and a `score_error` that is negative or not finite; those of
/// [`kappa`](super::kappa).
///
/// ```
/// use bounds::theorem::{grid_bound, kappa_bound};
/// let grid = numeric::TimeGrid::from_nodes(vec![1.01, 1.0])?;
/// let (kappa, rho) = (kappa_bound(3, 0.0, &grid)?, grid_bound(3, &grid)?);
/// assert!((kappa.variance_clock / rho.variance_clock - 1.0).abs() < 1e-12); // equal where the noise is 1
/// assert_eq!(kappa.score, 0.0);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// Benton, De Bortoli, Doucet, Deligiannidis (2024), *Nearly d-linear convergence bounds for diffusion models
/// via stochastic localization*, ICLR, arXiv 2308.03686, Theorem 1. The paper states the order without
/// constants; these are derived here, by another route.
pub fn kappa_bound(dim: usize, score_error: f64, grid: &TimeGrid) -> Result<KappaBound, Error> {
    let (d, clock) = (dimension(dim)?, Clock::new(grid)?);
    nonnegative("score_error", score_error)?;
    let (kappa, time) = (kappa_of(&clock), clock.start() - clock.end());
    let rho = (2.0 * kappa).exp_m1() / noise_at_one();
    Ok(KappaBound {
        variance_clock: 0.5 * d * rho * (1.0 + log_ratio_of(&clock)),
        integrator: d * kappa * kappa * time / (3.0 * noise_at_one()),
        score: score_error * (score_error + kappa * (d * time / noise_at_one()).sqrt()),
    })
}

/// A bound of $`\mathrm{Disc}_S`$ along the paper's own route.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct PaperRouteBound {
    /// From the score's own size, and its Hessian without the posterior covariance.
    pub steps: f64,
    /// From the posterior covariance, summed by parts; [`paper_route_bound`] may have it negative.
    pub covariance: f64,
}

impl PaperRouteBound {
    /// The bound of $`\mathrm{Disc}_S`$, in nats.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.steps + self.covariance
    }
}

/// The paper's route on any grid, with its constants tracked.
///
/// # Statement
/// With $`P(v) = \frac12(\log v - \frac1v)`$ and $`a_k = \mathrm{mmse}_k/(1 - e^{-2τ_k})^2`$,
/// ```math
/// \mathrm{Disc}_S \le \sum_k \Bigl\{ \frac{g_k^2 d}{2 (1 - e^{-2τ_k})}
///   + 2 g_k d \bigl[P(v_k) - P(v_{k+1})\bigr] + g_k (a_k - a_{k+1}) \Bigr\} .
/// ```
///
/// # Assumptions
/// A finite second moment; exact score.
///
/// # Returns
/// Nats. The first two summands are `steps`, the third `covariance`.
///
/// *Derivation.* $`E(u) = \mathbb{E}\lvert s_τ - s_{τ_k}\rvert^2`$, $`u = τ_k - τ`$, has
/// $`E' \le I_k + 2\,\mathbb{E}\lVert ∇^2\log q_τ\rVert_F^2`$, and
/// $`\mathbb{E}\lVert ∇^2\log q_τ\rVert_F^2 \le d\,σ^{-4} + \frac12 \frac{d}{dτ}(σ^{-4}\,\mathrm{mmse})`$
/// with $`σ^2 = 1 - e^{-2τ}`$, by $`\frac{d}{dτ}\mathbb{E}Σ = 2 e^{-2τ} σ^{-4}\,\mathbb{E}Σ^2`$ (Lemma 1).
/// $`\int σ^{-4} dτ = P`$, $`\int_0^g E \le g \int_0^g E'`$.
///
/// # Errors
/// Those of [`discretization`](crate::terms::discretization).
///
/// ```
/// use bounds::curve::GaussianCurve;
/// use bounds::terms::{Scheme, discretization};
/// let grid = numeric::TimeGrid::uniform(2.0, 0.2, 20)?;
/// let curve = GaussianCurve::new(vec![0.5, 1.5], 0.0)?;
/// let exact = discretization(&Scheme::ExponentialIntegrator, &curve, &grid)?;
/// assert!(exact <= bounds::theorem::paper_route_bound(&curve, &grid)?.total());
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// Benton et al. (2024), section 3 and Lemma 1; constants tracked here.
pub fn paper_route_bound(curve: &dyn ErrorCurve, grid: &TimeGrid) -> Result<PaperRouteBound, Error> {
    let (d, clock) = (curve.dim() as f64, Clock::new(grid)?.on(curve)?);
    let mut bound = PaperRouteBound { steps: 0.0, covariance: 0.0 };
    let spread = |tau: f64| curve.mmse(tau) / (-2.0 * tau).exp_m1().powi(2);
    let mut before = spread(clock.start());
    for step in clock.steps() {
        let (g, after) = (step.length, spread(step.to));
        let primitive = 0.5 * (step.log_ratio() + step.eta_rise());
        bound.steps += d * g * (0.5 * g / step.noise_from() + 2.0 * primitive);
        bound.covariance += g * (before - after);
        before = after;
    }
    Ok(bound)
}

/// The paper's Theorem 1 with its constants: $`κ^2 d N`$ and a multiple of the total variance.
///
/// # Statement
/// With [κ](super::kappa) of the grid, $`b = 1/(1 - e^{-2}) = 1.1565…`$ and `total_variance` =
/// $`\mathrm{tr}\,\mathrm{Cov}(X_0)`$,
/// ```math
/// \mathrm{Disc}_S \le \Bigl(\frac b2 + 2 b^2\Bigr) κ^2 d N
///   + \mathrm{tr}\,\mathrm{Cov}(X_0) \Bigl[ \frac{g_0}{(1 - e^{-2T})^2}
///   + \sum_{k \ge 1} \frac{(g_k - g_{k-1})_+}{(1 - e^{-2τ_k})^2} \Bigr] .
/// ```
/// If T ≥ 1 and the steps do not increase but once, at a clock ≥ 1, as on the paper's grid, the bracket is at
/// most $`2 b^2 κ`$: $`\mathrm{Disc}_S \le 3.2534\, κ^2 d N + 2.6751\, κ\, \mathrm{tr}\,\mathrm{Cov}(X_0)`$.
///
/// # Assumptions
/// A finite second moment; exact score. None on the grid.
///
/// # Returns
/// Nats. Loose: an order of magnitude above the [grid bound](super::grid_bound); for comparison with the
/// literature.
///
/// *Derivation.* In [`paper_route_bound`] $`1 - e^{-2τ} \ge \min(1, τ)/b`$ and $`g_k \le κ \min(1, τ_{k+1})`$
/// make the first two summands $`\le (\frac b2 + 2b^2) κ^2 d`$. By parts the third is
/// $`g_0 a_0 + \sum_{k \ge 1} (g_k - g_{k-1}) a_k - g_{N-1} a_N`$, and
/// $`0 \le a_k \le \mathrm{tr}\,\mathrm{Cov}(X_0)/(1 - e^{-2τ_k})^2`$.
///
/// # Errors
/// [`Error::Domain`] for `dim` = 0 and a `total_variance` that is negative or not finite; those of
/// [`kappa`](super::kappa).
///
/// ```
/// let grid = numeric::TimeGrid::uniform(2.0, 1.0, 10)?;
/// let bound = bounds::theorem::paper_kappa_bound(4, 4.0, &grid)?;
/// assert!((bound.steps - 3.2534 * 0.01 * 40.0).abs() < 1e-4);
/// assert!(bound.covariance <= 2.6751 * 0.1 * 4.0);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// Benton et al. (2024), Theorem 1, stated there as an order; constants tracked here.
pub fn paper_kappa_bound(dim: usize, total_variance: f64, grid: &TimeGrid) -> Result<PaperRouteBound, Error> {
    let (d, clock) = (dimension(dim)?, Clock::new(grid)?);
    nonnegative("total_variance", total_variance)?;
    let (kappa, b) = (kappa_of(&clock), 1.0 / noise_at_one());
    let mut increases = 0.0;
    let mut before = 0.0;
    for Step { from, length, .. } in clock.steps() {
        increases += (length - before).max(0.0) / (-2.0 * from).exp_m1().powi(2);
        before = length;
    }
    let steps = (0.5 * b + 2.0 * b * b) * kappa * kappa * d * clock.len() as f64;
    Ok(PaperRouteBound { steps, covariance: total_variance * increases })
}
