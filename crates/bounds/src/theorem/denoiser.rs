//! Bounds for the frozen denoiser (D).

use numeric::{Error, TimeGrid};

use super::{nonnegative, rho_of};
use crate::curve::{Clock, ErrorCurve, noise_per_signal};

/// A bound of $`\mathrm{Disc}_D`$.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct DenoiserBound {
    /// From the mean square errors at the ends of the grid.
    pub ends: f64,
    /// ρ times the information gained on the way, or times the entropy.
    pub information: f64,
}

impl DenoiserBound {
    /// The bound of $`\mathrm{Disc}_D`$, in nats.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.ends + self.information
    }
}

/// Information bound of the frozen denoiser: free of the dimension.
///
/// # Statement
/// With [ρ](super::rho) of the grid and $`η = 1/v`$,
/// ```math
/// \mathrm{Disc}_D \le \frac ρ2 (η_0\,\mathrm{mmse}_0 - η_N\,\mathrm{mmse}_N)
///   + ρ\,\bigl(\mathrm{MI}(δ) - \mathrm{MI}(T)\bigr) .
/// ```
///
/// # Assumptions
/// A finite second moment; exact denoiser.
///
/// # Returns
/// Nats. Tends to twice the exact term on fine grids with constant $`v_k/v_{k+1}`$. The first term may be
/// negative.
///
/// *Derivation.*
/// $`\mathrm{Disc}_D \le \frac12 \sum_k (η_{k+1} - η_k)(\mathrm{mmse}_k - \mathrm{mmse}_{k+1})`$, as mmse
/// decreases with η; $`η_{k+1} - η_k \le ρ η_k`$; by parts
/// $`\sum_k η_k (\mathrm{mmse}_k - \mathrm{mmse}_{k+1}) = η_0\,\mathrm{mmse}_0 - η_N\,\mathrm{mmse}_N + \sum_k (η_{k+1} - η_k)\,\mathrm{mmse}_{k+1}`$,
/// where the sum is at most $`\int \mathrm{mmse}\,dη = 2(\mathrm{MI}(δ) - \mathrm{MI}(T))`$.
///
/// # Errors
/// Those of [`discretization`](crate::terms::discretization).
///
/// ```
/// use bounds::curve::ScalarMixtureCurve;
/// use bounds::terms::{Scheme, discretization};
/// let coin = ScalarMixtureCurve::new(&[0.5, 0.5], &[-1.0, 1.0], &[0.0, 0.0])?;
/// let grid = numeric::TimeGrid::uniform(2.0, 0.05, 100)?;
/// let exact = discretization(&Scheme::FrozenDenoiser, &coin, &grid)?;
/// assert!(exact <= bounds::theorem::denoiser_bound(&coin, &grid)?.total());
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// Derived here; in the spirit of Reeves, Pfister (2025), arXiv 2502.02305, and of Benton, De Bortoli,
/// Doucet, Deligiannidis (2024), *Nearly d-linear convergence bounds for diffusion models via stochastic
/// localization*.
pub fn denoiser_bound(curve: &dyn ErrorCurve, grid: &TimeGrid) -> Result<DenoiserBound, Error> {
    let clock = Clock::new(grid)?.on(curve)?;
    let rho = rho_of(clock.steps());
    let end = |tau: f64| curve.mmse(tau) / noise_per_signal(tau);
    Ok(DenoiserBound {
        ends: 0.5 * rho * (end(clock.start()) - end(clock.end())),
        information: rho * curve.information_gain(clock.start(), clock.end()),
    })
}

/// Entropy bound of the frozen denoiser, for discrete data: free of the dimension and of early stopping.
///
/// # Statement
/// For data with the discrete `entropy` $`H(X_0) < ∞`$ and $`\mathrm{tr}\,\mathrm{Cov}(X_0)`$ =
/// `total_variance`,
/// ```math
/// \mathrm{Disc}_D \le \frac ρ2 η_0\, \mathrm{tr}\,\mathrm{Cov}(X_0) + ρ\, H(X_0) .
/// ```
///
/// # Assumptions
/// Discrete data; exact denoiser.
///
/// # Returns
/// Nats. Bounded as δ → 0 at constant ρ, where the term of S grows like $`\frac{ρ d}{4} \log\frac1δ`$.
///
/// *Derivation.* [`denoiser_bound`] with $`0 \le \mathrm{mmse} \le \mathrm{tr}\,\mathrm{Cov}(X_0)`$ and
/// $`0 \le \mathrm{MI} \le H(X_0)`$.
///
/// # Errors
/// [`Error::Domain`] for numbers that are negative or not finite; those of [`kappa`](super::kappa).
///
/// ```
/// let grid = numeric::TimeGrid::from_nodes(vec![0.5 * 4f64.ln(), 0.5 * 2f64.ln()])?; // v = 3, 1
/// let bound = bounds::theorem::discrete_denoiser_bound(1.0, 2f64.ln(), &grid)?;
/// assert!((bound.total() - (1.0 / 3.0 + 2.0 * 2f64.ln())).abs() < 1e-14);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// As [`denoiser_bound`].
pub fn discrete_denoiser_bound(
    total_variance: f64,
    entropy: f64,
    grid: &TimeGrid,
) -> Result<DenoiserBound, Error> {
    nonnegative("total_variance", total_variance)?;
    nonnegative("entropy", entropy)?;
    let clock = Clock::new(grid)?;
    let rho = rho_of(clock.steps());
    let ends = 0.5 * rho * (total_variance / noise_per_signal(clock.start()));
    Ok(DenoiserBound { ends, information: rho * entropy })
}
