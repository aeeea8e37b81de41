//! Bounds for the frozen relative score (R).

use numeric::{Error, TimeGrid};

use super::nonnegative;
use crate::curve::{Clock, ErrorCurve};
use crate::initial::log_sobolev_decay;

/// A bound of $`\mathrm{Disc}_R`$, in two forms: `riemann` ≤ `longest_step`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct RelativeScoreBound {
    /// $`\sum_k g_k (F_{k+1} - F_k)`$.
    pub riemann: f64,
    /// $`h\,(F(δ) - F(T))`$, h the longest step.
    pub longest_step: f64,
}

impl RelativeScoreBound {
    /// The smaller of the two, in nats.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.riemann.min(self.longest_step)
    }
}

/// Relative Fisher bound: discretisation of the frozen relative score.
///
/// # Statement
/// With $`F(τ) = \mathbb{E}\lvert s_τ + X_τ\rvert^2`$ and h the longest step,
/// ```math
/// \mathrm{Disc}_R \le \sum_k g_k (F_{k+1} - F_k) \le h\,\bigl(F(δ) - F(T)\bigr) .
/// ```
///
/// # Assumptions
/// A finite second moment; exact score; $`F(δ) < ∞`$, which δ > 0 implies. δ = 0 is allowed.
///
/// # Returns
/// Nats; ∞ or NaN at δ = 0 for data without finite Fisher information. Tends to twice the exact term on fine
/// grids (of Gaussian data near $`γ`$ where $`F`$ is small: equal steps).
///
/// *Derivation.* $`R_τ = s_τ + X_τ`$ makes $`e^{τ} R_τ`$ a martingale of the reverse filtration, so for τ <
/// τ' = τ + u $`\mathbb{E}\lvert R_τ - R_{τ'}\rvert^2 = F(τ) + F(τ') - 2 e^u F(τ') \le F(τ) - F(τ')`$, and F
/// decreases in τ.
///
/// # Errors
/// Those of [`kappa`](super::kappa), but the last clock may be 0.
///
/// ```
/// use bounds::curve::GaussianCurve;
/// use bounds::terms::{Scheme, discretization};
/// let (grid, curve) = (numeric::TimeGrid::uniform(2.0, 0.1, 30)?, GaussianCurve::new(vec![0.3], 1.0)?);
/// let exact = discretization(&Scheme::FrozenRelativeScore, &curve, &grid)?;
/// assert!(exact <= bounds::theorem::relative_score_bound(&curve, &grid)?.total());
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// Conforti, Durmus, Gentiloni Silveri (2024), *KL convergence guarantees for score diffusion models under
/// minimal data assumptions*, arXiv 2308.12240: the form of the bound; constants derived here.
pub fn relative_score_bound(curve: &dyn ErrorCurve, grid: &TimeGrid) -> Result<RelativeScoreBound, Error> {
    let clock = Clock::to_data(grid)?.on(curve)?;
    let start = curve.relative_score_square(clock.start());
    let (mut before, mut riemann, mut longest) = (start, 0.0, 0f64);
    for step in clock.steps() {
        let after = curve.relative_score_square(step.to);
        riemann += step.length * (after - before);
        longest = longest.max(step.length);
        before = after;
    }
    Ok(RelativeScoreBound { riemann, longest_step: longest * (before - start) })
}

/// A bound of $`\mathrm{KL}(q_δ \,\|\, p_N)`$ for R.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct ConfortiBound {
    /// $`e^{-2T}\, \mathrm{KL}(q_0 \,\|\, γ)`$.
    pub initial: f64,
    /// $`h\, \mathrm{FI}(q_0 \,|\, γ)`$.
    pub discretization: f64,
}

impl ConfortiBound {
    /// The bound of the KL, in nats.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.initial + self.discretization
    }
}

/// Frozen relative score without early stopping: initialisation and discretisation from two numbers of the
/// data.
///
/// # Statement
/// With $`\mathrm{FI} = \mathbb{E}\lvert ∇\log(q_0/γ)\rvert^2`$ = `relative_fisher`,
/// $`\mathrm{KL}(q_0 \,\|\, γ)`$ = `relative_entropy` and h the longest step,
/// ```math
/// \mathrm{KL}(q_δ \,\|\, p_N) \le e^{-2T}\, \mathrm{KL}(q_0 \,\|\, γ) + h\, \mathrm{FI}(q_0 \,|\, γ) .
/// ```
///
/// # Assumptions
/// Finite FI (or upper bounds of both numbers); exact score. δ = 0 is allowed.
///
/// # Returns
/// Nats, initialisation included.
///
/// *Derivation.* [`log_sobolev_decay`] from $`τ = 0`$, and [`relative_score_bound`] with
/// $`F(δ) \le F(0) = \mathrm{FI}`$.
///
/// # Errors
/// [`Error::Domain`] for numbers that are negative or not finite; those of [`relative_score_bound`].
///
/// ```
/// let grid = numeric::TimeGrid::uniform(2.0, 0.0, 200)?;
/// let bound = bounds::theorem::conforti_bound(0.5, 3.0, &grid)?;
/// assert!((bound.total() - (0.5 * (-4f64).exp() + 0.03)).abs() < 1e-14);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// As [`relative_score_bound`].
pub fn conforti_bound(
    relative_entropy: f64,
    relative_fisher: f64,
    grid: &TimeGrid,
) -> Result<ConfortiBound, Error> {
    nonnegative("relative_fisher", relative_fisher)?;
    let clock = Clock::to_data(grid)?;
    let longest = clock.steps().map(|step| step.length).fold(0.0, f64::max);
    let initial = log_sobolev_decay(relative_entropy, clock.start())?;
    Ok(ConfortiBound { initial, discretization: longest * relative_fisher })
}
