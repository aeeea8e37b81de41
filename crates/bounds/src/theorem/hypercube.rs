//! Discrete diffusion: bits that flip, and coordinates that are drawn anew.

use std::f64::consts::LN_2;

use numeric::{Error, TimeGrid};

use super::{dimension, nonnegative};
use crate::curve::{Clock, check_horizon};

/// What is known of the error of the rates: a bound of
/// $`\mathbb{E}\sum_y [\hat r - r + r\log(r/\hat r)]`$, the Bregman loss of the model's reverse rates
/// $`\hat r`$ against the true ones r, at least 0.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum RateError {
    /// Of its mean over the time of the run.
    Mean(f64),
    /// Of its integral over the time of the run, in nats.
    Integral(f64),
}

impl RateError {
    fn integral(self, time: f64) -> Result<f64, Error> {
        let (value, factor) = match self {
            RateError::Mean(value) => (value, time),
            RateError::Integral(value) => (value, 1.0),
        };
        nonnegative("rate_error", value)?;
        Ok(value * factor)
    }
}

/// A bound for a discrete diffusion.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct DiscreteBound {
    /// Of $`\mathrm{KL}(q_T \,\|\, \text{uniform})`$, in nats.
    pub initial: f64,
    /// Of the integral of the rates' Bregman loss, in nats.
    pub rates: f64,
    /// Of the total variation between the data and the law $`q_δ`$ at which the run stops.
    pub early_stop: f64,
}

impl DiscreteBound {
    /// The bound of $`\mathrm{KL}(q_δ \,\|\, p)`$, in nats; p is the sampler's law.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.initial + self.rates
    }

    /// The bound of the total variation between the data and the sampler's law, at most 1: Pinsker's inequality
    /// (or that of Bretagnolle and Huber, where it is better) and the triangle's.
    #[must_use]
    pub fn total_variation(&self) -> f64 {
        (super::total_variation(self.total()) + self.early_stop).min(1.0)
    }
}

/// Bits that flip: the bound for a sampler on the hypercube.
///
/// # Statement
/// Each of d bits flips at rate 1 for the time T. With $`\mathrm{KL}_0`$ = `relative_entropy` of the data to
/// the uniform law (none: $`d \log 2`$, which it is at most), and the rates' [error](RateError) integrated over
/// the noise times $`[δ, T]`$,
/// ```math
/// \mathrm{KL}(q_δ \,\|\, p) \le e^{-4T}\, \mathrm{KL}_0 + \int_δ^T \mathbb{E} \sum_y
///   \Bigl[\hat r - r + r \log\frac{r}{\hat r}\Bigr]\, dt, \qquad
/// \mathrm{TV}(q_0, p) \le \sqrt{\tfrac12 \mathrm{KL}} + 1 - e^{-dδ} .
/// ```
///
/// # Assumptions
/// The sampler starts from the uniform law and simulates the reverse chain of its rates exactly, as
/// uniformization does. δ = 0 is allowed. Nothing on the data.
///
/// # Returns
/// Nats and a total variation. Both are 0 for uniform data and true rates, given `relative_entropy` 0 and δ = 0.
///
/// *Derivation.* Girsanov's theorem for chains, and data processing. A symmetric bit that flips at rate 1 has the modified
/// log-Sobolev constant 4, which is sharp, and it tensorises. Until δ no bit flips with probability $`e^{-dδ}`$.
///
/// # Errors
/// [`Error::Domain`] for `dim` = 0, numbers that are negative or not finite, and unless
/// 0 ≤ `early_stop` < `horizon` ≤ 300.
///
/// ```
/// use bounds::theorem::{RateError, hypercube_bound};
/// let bound = hypercube_bound(3, None, RateError::Mean(0.01), 2.0, 0.05)?;
/// assert!((bound.total() - (3.0 * 2f64.ln() * (-8f64).exp() + 1.95 * 0.01)).abs() < 1e-15);
/// assert!((bound.early_stop - (1.0 - (-0.15f64).exp())).abs() < 1e-15);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// H. Chen, L. Ying (2024), *Convergence analysis of discrete diffusion model: exact implementation through
/// uniformization*, arXiv 2402.08095, Theorem 6: the form, with $`d e^{-T}`$ for the first term; the rate
/// $`e^{-4T}`$ and the constants derived here.
pub fn hypercube_bound(
    dim: usize,
    relative_entropy: Option<f64>,
    rate_error: RateError,
    horizon: f64,
    early_stop: f64,
) -> Result<DiscreteBound, Error> {
    let (d, kept) = (dimension(dim)?, (-4.0 * horizon).exp());
    discrete(relative_entropy, d * LN_2, kept, rate_error, (horizon, early_stop), d)
}

/// Coordinates drawn anew: the bound for a discrete diffusion with S values in each coordinate.
///
/// # Statement
/// Each of d coordinates is replaced at rate 1 by a uniform draw of S = `values` values. With
/// $`\mathrm{KL}_0`$ = `relative_entropy` of the data to the uniform law (none: $`d \log S`$),
/// ```math
/// \mathrm{KL}(q_δ \,\|\, p) \le e^{-T}\, \mathrm{KL}_0 + \int_δ^T \mathbb{E} \sum_y
///   \Bigl[\hat r - r + r \log\frac{r}{\hat r}\Bigr]\, dt, \qquad
/// \mathrm{TV}(q_0, p) \le \sqrt{\tfrac12 \mathrm{KL}} + 1 - e^{-dδ(1 - 1/S)} .
/// ```
///
/// # Assumptions
/// Those of [`hypercube_bound`]. A bit that flips at rate 1 is one that is drawn anew at rate 2; the hypercube's bound
/// is the sharper one for S = 2.
///
/// # Returns
/// Nats and a total variation. The path integral alone, for any start: subtract `initial`.
///
/// *Derivation.* As [`hypercube_bound`]. A coordinate keeps its value up to T with probability $`e^{-T}`$ and is
/// uniform otherwise: by convexity the KL of one coordinate contracts by $`e^{-T}`$ at least, and product
/// channels contract as their factors do.
///
/// # Errors
/// Those of [`hypercube_bound`], and [`Error::Domain`] for fewer than 2 values.
///
/// ```
/// use bounds::theorem::{RateError, refresh_bound};
/// let bound = refresh_bound(10, 27, None, RateError::Integral(0.2), 8.0, 0.0)?;
/// assert!((bound.total() - (10.0 * 27f64.ln() * (-8f64).exp() + 0.2)).abs() < 1e-15);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// The path divergence of jump processes is standard; see P. Brémaud (1981), *Point processes and queues*, chapter VI.
pub fn refresh_bound(
    dim: usize,
    values: usize,
    relative_entropy: Option<f64>,
    rate_error: RateError,
    horizon: f64,
    early_stop: f64,
) -> Result<DiscreteBound, Error> {
    let (d, s) = (dimension(dim)?, values as f64);
    Error::domain(values >= 2, "values", s, "at least 2")?;
    let (largest, kept) = (d * s.ln(), (-horizon).exp());
    discrete(relative_entropy, largest, kept, rate_error, (horizon, early_stop), d * (1.0 - 1.0 / s))
}

/// The terms, with the `largest` relative entropy, what the noise keeps of it, and the rate at which the data are left.
fn discrete(
    relative_entropy: Option<f64>,
    largest: f64,
    kept: f64,
    rate_error: RateError,
    (horizon, early_stop): (f64, f64),
    leaving: f64,
) -> Result<DiscreteBound, Error> {
    check_horizon(horizon)?;
    let holds = early_stop >= 0.0 && early_stop < horizon;
    Error::domain(holds, "early_stop", early_stop, "a time of at least 0 before the horizon")?;
    let relative_entropy = relative_entropy.unwrap_or(largest);
    nonnegative("relative_entropy", relative_entropy)?;
    Ok(DiscreteBound {
        initial: kept * relative_entropy.min(largest),
        rates: rate_error.integral(horizon - early_stop)?,
        early_stop: -(-leaving * early_stop).exp_m1(),
    })
}

/// How many events uniformization on the hypercube takes, in the mean.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct UniformizationEvents {
    /// Of the clock of the grid, constant in each step: what the sampler pays, in evaluations of the rates. Their
    /// number is Poisson.
    pub events: f64,
    /// Of the least clock that is a function of time alone, $`d \coth t`$: $`d \log(\sinh T/\sinh δ)`$.
    pub ideal: f64,
    /// True jumps among them: $`d (T - δ)`$ for any data.
    pub jumps: f64,
}

/// Uniformization on the hypercube: expected numbers of events.
///
/// # Statement
/// Bits flip at rate 1; the clock of step k, from the noise time $`τ_k`$ to $`τ_{k+1}`$, has the rate
/// $`λ_k = C d/\min(1, τ_{k+1})`$. Then
/// ```math
/// \mathbb{E}\,\#\text{events} = \sum_k λ_k (τ_k - τ_{k+1}), \qquad
/// \int_δ^T d \coth t\, dt = d \log\frac{\sinh T}{\sinh δ}, \qquad
/// \mathbb{E}\,\#\text{jumps} = d (T - δ) .
/// ```
///
/// # Assumptions
/// C = `constant` such that the reverse rates sum to at most $`C d \max(1, 1/t)`$. For the true rates
/// $`\coth 1 = 1.313…`$ does: in ±1 notation the rate of bit i is $`\coth 2t - x_i m_i/\sinh 2t`$ with m the
/// posterior mean, hence in $`[\tanh t, \coth t]`$, and the rates sum to d in the mean.
///
/// # Returns
/// Numbers of events. `events` ≥ `ideal` ≥ `jumps` if C ≥ coth 1.
///
/// # Errors
/// [`Error::Domain`] for `dim` = 0 and a `constant` that is not positive and finite; those of
/// [`kappa`](super::kappa).
///
/// ```
/// use bounds::theorem::uniformization_events;
/// let grid = numeric::TimeGrid::from_nodes(vec![3.0, 1.0, 0.5])?;
/// let events = uniformization_events(8, 2.0, &grid)?;
/// assert!((events.events - 8.0 * 2.0 * (2.0 + 0.5 / 0.5)).abs() < 1e-13);
/// assert!((events.ideal - 8.0 * (3f64.sinh() / 0.5f64.sinh()).ln()).abs() < 1e-13);
/// assert_eq!(events.jumps, 8.0 * 2.5);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// Chen, Ying (2024), Theorem 6, for the clock; the other two derived here.
pub fn uniformization_events(
    dim: usize,
    constant: f64,
    grid: &TimeGrid,
) -> Result<UniformizationEvents, Error> {
    let (d, clock) = (dimension(dim)?, Clock::new(grid)?);
    Error::positive("constant", constant)?;
    let events: f64 = clock.steps().map(|step| step.length / step.to.min(1.0)).sum();
    let (from, to) = (clock.start(), clock.end());
    let ideal = (from - to) + ((-2.0 * from).exp_m1() / (-2.0 * to).exp_m1()).ln();
    Ok(UniformizationEvents { events: constant * d * events, ideal: d * ideal, jumps: d * (from - to) })
}
