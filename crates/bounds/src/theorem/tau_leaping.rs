//! Tau-leaping of a reverse chain, in total variation.

use std::f64::consts::LN_2;

use numeric::Error;

use super::{dimension, nonnegative};

/// What the bound of tau-leaping needs to know of a noising chain, its data and the model's rates.
///
/// D coordinates move independently, each at the same rates between S values; two states are *neighbours* if they
/// differ in at most one coordinate.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TauLeaping {
    /// Number of coordinates, D.
    pub dim: usize,
    /// Number of values of a coordinate, S.
    pub values: usize,
    /// $`|R|`$: the greatest exit rate of one coordinate, over all times.
    pub exit_rate: f64,
    /// $`t_\mathrm{mix}`$: the ¼-mixing time of one coordinate.
    pub mixing_time: f64,
    /// M: bounds $`\sum_{y \ne x} |\hat R_t(x, y) - \hat R^θ_t(x, y)|`$, the error of the model's reverse rates, at all
    /// times and states.
    pub rate_error: f64,
    /// $`C_1`$: bounds $`q_t(x)/q_t(y)`$ of neighbours at all times; at least 1.
    pub ratio: f64,
    /// $`C_2`$: bounds $`\sum_z |\hat R_t(x, x + z) - \hat R_t(y, y + z)|`$ of neighbours at all times, z = 0 included.
    pub variation: f64,
}

/// The terms of the bound of tau-leaping, from [`tau_leaping_bound`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct TauLeapingBound {
    /// Of the model's rates, $`3 M T`$.
    pub rates: f64,
    /// Of leaping: proportional to the step.
    pub leaps: f64,
    /// Of starting in the stationary law.
    pub mixing: f64,
}

impl TauLeapingBound {
    /// The sum of the terms; it may be far above 1.
    ///
    /// ```
    /// let terms = bounds::theorem::TauLeapingBound { rates: 0.125, leaps: 2.0, mixing: 0.5 };
    /// assert_eq!((terms.total(), terms.total_variation()), (2.625, 1.0));
    /// ```
    #[must_use]
    pub fn total(&self) -> f64 {
        self.rates + self.leaps + self.mixing
    }

    /// The bound of the total variation, at most 1.
    #[must_use]
    pub fn total_variation(&self) -> f64 {
        self.total().min(1.0)
    }
}

/// Tau-leaping from the stationary law back to the data: the total variation theorem of the continuous-time framework.
///
/// # Statement
/// With the law p of the last state of a run over the time T = `horizon` whose steps are at most τ = `step` long,
/// ```math
/// \mathrm{TV}(q_0, p) \le 3 M T
///   + \Bigl\{ (|R|\, S D C_1)^2 + \tfrac12 C_2 \bigl(M + C_1 S D |R|\bigr) \Bigr\}\, τ T
///   + 2 \exp\Bigl\{ -\frac{T \log^2 2}{t_\mathrm{mix} \log 4D} \Bigr\} .
/// ```
///
/// # Assumptions
/// The noising chain is homogeneous in time, its coordinates independent copies. All states have a positive probability
/// under the data. The sampler starts from the product of the stationary laws, freezes the model's rates over each step,
/// adds up all its jumps and clamps the sums to the values. Rules that reject several jumps of one coordinate are covered
/// in the paper informally only.
///
/// # Returns
/// A total variation. On small problems it is above 1 and says nothing: its use is the order in τ, T and D. The greatest
/// term is of order $`D^2`$.
///
/// *Derivation.* The three terms are compared path by path, with couplings whose rates of separation are the differences of
/// the rates: M for the rates, 2M and the brace for frozen rates, whose time derivative is at most
/// $`2 |R|^2 S D C_1^2`$ in each of $`S D`$ entries. The last term is that of [`product_mixing_bound`], weakened to one
/// formula.
///
/// # Errors
/// [`Error::Domain`] for `dim` = 0, fewer than 2 values, an exit rate or mixing time that is not positive and finite, a
/// `ratio` below 1, other numbers that are negative or not finite, and unless 0 < `step` ≤ `horizon` < ∞.
///
/// ```
/// use bounds::theorem::{TauLeaping, tau_leaping_bound};
/// // Two coordinates with three values each, a uniform noise.
/// let problem = TauLeaping {
///     dim: 2,
///     values: 3,
///     exit_rate: 1.0,
///     mixing_time: (8.0f64 / 3.0).ln() / 1.5,
///     rate_error: 0.0,
///     ratio: 15.0,
///     variation: 446.0 / 15.0,
/// };
/// let bound = tau_leaping_bound(&problem, 1.0, 1.0 / 1024.0)?;
/// assert!((bound.mixing - 1.40466614349).abs() < 1e-11);
/// assert!((bound.total() - 10.6214630185).abs() < 1e-10);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// A. Campbell, J. Benton, V. De Bortoli, T. Rainforth, G. Deligiannidis, A. Doucet (2022), *A continuous time framework
/// for discrete denoising models*, arXiv 2205.14987, Theorem 1.
pub fn tau_leaping_bound(problem: &TauLeaping, horizon: f64, step: f64) -> Result<TauLeapingBound, Error> {
    let &TauLeaping { dim, values, exit_rate, mixing_time, rate_error, ratio, variation } = problem;
    let (d, s) = (dimension(dim)?, values as f64);
    Error::domain(values >= 2, "values", s, "at least 2")?;
    Error::positive("exit_rate", exit_rate)?;
    Error::positive("mixing_time", mixing_time)?;
    nonnegative("rate_error", rate_error)?;
    Error::domain(ratio >= 1.0 && ratio.is_finite(), "ratio", ratio, "a finite number of at least 1")?;
    nonnegative("variation", variation)?;
    Error::positive("horizon", horizon)?;
    Error::domain(step > 0.0 && step <= horizon, "step", step, "a positive time up to the horizon")?;
    let rates = exit_rate * s * d * ratio;
    Ok(TauLeapingBound {
        rates: 3.0 * rate_error * horizon,
        leaps: (rates * rates + 0.5 * variation * (rate_error + rates)) * step * horizon,
        mixing: 2.0 * (-horizon * LN_2 * LN_2 / (mixing_time * (4.0 * d).ln())).exp(),
    })
}

/// How far independent coordinates are from their stationary law: total variation, for any start.
///
/// # Statement
/// With the ¼-mixing time $`t_\mathrm{mix}`$ of one of D coordinates and T = `horizon`,
/// ```math
/// \mathrm{TV}(q_T, π^D) \le \min\bigl\{1,\ D\, 2^{-(l + 1)}\bigr\}, \qquad l = \lfloor T/t_\mathrm{mix} \rfloor .
/// ```
///
/// # Assumptions
/// Coordinates move independently and none mixes more slowly.
///
/// # Returns
/// At most 1, which it is while $`l < \log_2 D - 1`$. Where D is 1 and T below the mixing time, ½ would not hold: 1.
///
/// *Derivation.* One coordinate: $`d(l\, t_\mathrm{mix}) \le d(t_\mathrm{mix})\, \bar d(t_\mathrm{mix})^{l-1}
/// \le 2^{-(l+1)}`$ for l ≥ 1. The total variation of products is at most the sum over the coordinates; mixtures of starts
/// do not increase it.
///
/// # Errors
/// [`Error::Domain`] for `dim` = 0, a horizon that is negative or not finite, a mixing time that is not positive and
/// finite.
///
/// ```
/// use bounds::theorem::product_mixing_bound;
/// assert_eq!(product_mixing_bound(2, 0.65, 1.0)?, 0.5);
/// assert_eq!(product_mixing_bound(2, 0.65, 0.6)?, 1.0);
/// assert_eq!(product_mixing_bound(1024, 0.5, 10.0)?, 1024.0 * 0.5f64.powi(21));
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// D. Levin, Y. Peres (2017), *Markov chains and mixing times*, chapter 4; Campbell and others (2022), appendix B.5.
pub fn product_mixing_bound(dim: usize, mixing_time: f64, horizon: f64) -> Result<f64, Error> {
    let d = dimension(dim)?;
    Error::positive("mixing_time", mixing_time)?;
    nonnegative("horizon", horizon)?;
    let times = (horizon / mixing_time).floor();
    Ok(if times < 1.0 { 1.0 } else { (d * (-(times + 1.0)).exp2()).min(1.0) })
}
