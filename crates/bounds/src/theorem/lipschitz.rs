//! Total variation to the data under Lipschitz scores, without early stopping.

use numeric::{Error, TimeGrid};

use super::{lipschitz_bound, nonnegative, total_variation};
use crate::curve::Clock;
use crate::initial::log_sobolev_decay;

/// A bound of $`\mathrm{KL}(q_δ \,\|\, p_N)`$, and by it of their total variation.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct LipschitzBound {
    /// $`e^{-2T}\, \mathrm{KL}(q_0 \,\|\, γ)`$.
    pub initial: f64,
    /// That of [`lipschitz_bound`] for S.
    pub discretization: f64,
    /// Of what the error of the score adds.
    pub score: f64,
}

impl LipschitzBound {
    /// The bound of the KL, in nats.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.initial + self.discretization + self.score
    }

    /// The bound of the total variation, at most 1: Pinsker's inequality, or that of Bretagnolle and Huber where it is
    /// better.
    #[must_use]
    pub fn total_variation(&self) -> f64 {
        total_variation(self.total())
    }
}

/// Lipschitz scores: the total variation between the data and the exponential integrator (S).
///
/// # Statement
/// If $`∇\log q_τ`$ is L-Lipschitz for all $`τ ∈ [δ, T]`$, L = `lipschitz`, and the model's score errs by
/// $`ε^2 = \sum_k g_k\, \mathbb{E}\lvert \hat s_k - s_k\rvert^2`$, ε = `score_error`,
/// ```math
/// \mathrm{TV}(q_δ, p_N) \le \sqrt{\tfrac12 \mathrm{KL}}, \qquad
/// \mathrm{KL} \le e^{-2T}\, \mathrm{KL}(q_0 \,\|\, γ) + \mathrm{Disc}_S + ε^2
///   + ε \sqrt{\textstyle d L \sum_k g_k^3},
/// ```
/// with the bound of $`\mathrm{Disc}_S`$ of [`lipschitz_bound`], on equal steps h at most
/// $`d L^2 h T + \frac13 d L h^2 T`$. For δ = 0 the total variation is that to the data themselves.
///
/// # Assumptions
/// The Lipschitz constant; $`\mathrm{KL}(q_0 \,\|\, γ)`$ = `relative_entropy`, or an upper bound of it. No condition
/// on the steps, no second moment beside.
///
/// # Returns
/// The terms in nats.
///
/// *Derivation.* [`log_sobolev_decay`], [`lipschitz_bound`], and for S exactly
/// $`\mathrm{Disc} + ε^2 + 2\sum_k (g_k - 1 + e^{-g_k})\, \mathbb{E}\langle s_k, \hat s_k - s_k\rangle`$ with
/// $`0 \le 2(g - 1 + e^{-g}) \le g^2`$; by Cauchy and Schwarz the last sum is at most
/// $`ε (\sum_k g_k^3 I_k)^{1/2}`$, and $`I \le dL`$.
///
/// # Errors
/// [`Error::Domain`] for numbers that are negative or not finite; those of [`lipschitz_bound`].
///
/// ```
/// use bounds::theorem::lipschitz_total_variation_bound;
/// let grid = numeric::TimeGrid::uniform(4.0, 0.0, 4000)?;
/// let bound = lipschitz_total_variation_bound(2, 1.5, 0.3, 0.01, &grid)?;
/// assert!((bound.score - (1e-4 + 0.01 * (3.0 * 4000.0 * 1e-9f64).sqrt())).abs() < 1e-15);
/// assert!((bound.total_variation() - (0.5 * bound.total()).sqrt()).abs() < 1e-15);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// Chen, Chewi, Li, Li, Salim, Zhang (2023), *Sampling is as easy as learning the score*, ICLR, Theorem 2, for the form;
/// constants derived here.
pub fn lipschitz_total_variation_bound(
    dim: usize,
    lipschitz: f64,
    relative_entropy: f64,
    score_error: f64,
    grid: &TimeGrid,
) -> Result<LipschitzBound, Error> {
    let discretization = lipschitz_bound(dim, lipschitz, grid)?.total();
    nonnegative("score_error", score_error)?;
    let clock = Clock::to_data(grid)?;
    let cubes: f64 = clock.steps().map(|step| step.length.powi(3)).sum();
    Ok(LipschitzBound {
        initial: log_sobolev_decay(relative_entropy, clock.start())?,
        discretization,
        score: score_error * (score_error + (dim as f64 * lipschitz * cubes).sqrt()),
    })
}
