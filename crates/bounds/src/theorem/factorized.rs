//! Samplers that draw all coordinates at once, each from its own conditional law.

use numeric::special::x_minus_ln_1p;
use numeric::{Error, TimeGrid};

use super::dimension;
use crate::curve::Clock;

/// States beyond which the enumeration, quadratic in them, is refused.
const MOST_STATES: usize = 4096;

/// The divergence of a factorised sampler's chain.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct FactorizedBound {
    /// $`\mathrm{KL}(q_T \,\|\, \text{uniform})`$, exactly.
    pub initial: f64,
    /// The mean conditional total correlation of each step.
    pub steps: Vec<f64>,
}

impl FactorizedBound {
    /// The bound of $`\mathrm{KL}(q_δ \,\|\, p_N)`$, in nats.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.initial + self.steps.iter().sum::<f64>()
    }
}

/// Exact coordinate conditionals, drawn independently: the chain's divergence, by enumeration.
///
/// # Statement
/// Each of d coordinates with S = `values` values is drawn anew at rate 1 (a bit that flips at rate 1 is drawn anew
/// at rate 2: double its clock). The sampler draws coordinate i of $`X_{τ_{k+1}}`$ from its true law given
/// $`X_{τ_k}`$, all coordinates independently. From a uniform start,
/// ```math
/// \mathrm{KL}(q_δ \,\|\, p_N) \le \mathrm{KL}(q_T \,\|\, \text{uniform})
///   + \sum_k \mathbb{E}\,\mathrm{TC}\bigl(X_{τ_{k+1}} \bigm| X_{τ_k}\bigr),
/// ```
/// TC being the total correlation, the KL of a joint law from the product of its marginals.
///
/// # Assumptions
/// The conditional laws are exact: what is left is the price of drawing them independently. δ = 0 is allowed.
///
/// # Returns
/// Nats; equality for the chains of nodes. All steps are 0 for independent coordinates.
///
/// *Derivation.* Chain rule and data processing: given $`X_{τ_k}`$, the true step is a joint law and the
/// sampler's the product of its marginals.
///
/// # Complexity
/// $`O(N d S^{2d})`$ for N steps.
///
/// # Errors
/// [`Error::Domain`] for `dim` = 0, fewer than 2 values, more than 4096 states $`S^d`$, or a law that does not
/// sum to 1 to 1e-9; [`Error::Shape`] if `law` has not $`S^d`$ entries, [`Error::Entry`] for one that is negative or
/// not finite; those of [`kappa`](super::kappa) for the grid, but the last clock may be 0.
///
/// `law` lists the probabilities of the states, the last coordinate running fastest.
///
/// ```
/// use bounds::theorem::factorized_bound;
/// // Two equal bits in one long step: their total correlation, log 2, is lost.
/// let grid = numeric::TimeGrid::from_nodes(vec![60.0, 0.0])?;
/// let bound = factorized_bound(&[0.5, 0.0, 0.0, 0.5], 2, 2, &grid)?;
/// assert!((bound.total() - 2f64.ln()).abs() < 1e-12);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// The decomposition is standard; for masked and absorbing noise see J. Austin and others (2021), *Structured
/// denoising diffusion models in discrete state-spaces*, NeurIPS.
pub fn factorized_bound(
    law: &[f64],
    dim: usize,
    values: usize,
    grid: &TimeGrid,
) -> Result<FactorizedBound, Error> {
    let (space, law) = Space::of(law, dim, values)?;
    let clock = Clock::to_data(grid)?;
    let at = |tau: f64| space.noised(&law, tau);
    let steps = clock.steps().map(|step| space.total_correlation(&at(step.to), step.length)).collect();
    let uniform = 1.0 / law.len() as f64;
    let initial = at(clock.start()).iter().map(|&p| relative_entropy_term(p, uniform)).sum();
    Ok(FactorizedBound { initial, steps })
}

/// $`p \log(p/q) - p + q`$, which is at least 0: terms of a KL divergence that do not cancel.
fn relative_entropy_term(p: f64, q: f64) -> f64 {
    let excess = (q - p) / p;
    match p {
        0.0 => q,
        // Ratios that overflow: the difference does not cancel.
        _ if !(excess.abs() < 1e100) => p * (p.ln() - q.ln()) - p + q,
        _ => p * x_minus_ln_1p(excess),
    }
}

/// The states of `dim` coordinates with `values` values each, as numbers in base `values`.
pub(super) struct Space {
    dim: usize,
    values: usize,
}

impl Space {
    /// The space, and a law on it with the rounding error of its sum divided out.
    pub(super) fn of(law: &[f64], dim: usize, values: usize) -> Result<(Space, Vec<f64>), Error> {
        dimension(dim)?;
        Error::domain(values >= 2, "values", values as f64, "at least 2")?;
        let states = u32::try_from(dim).ok().and_then(|dim| values.checked_pow(dim)).unwrap_or(usize::MAX);
        Error::domain(states <= MOST_STATES, "states", states as f64, "at most 4096")?;
        Error::shape("law", &[states], &[law.len()])?;
        let holds = |p: f64| p >= 0.0 && p.is_finite();
        Error::entries("law", law.iter().copied(), "a finite number of at least 0", holds)?;
        let sum: f64 = law.iter().sum();
        Error::domain((sum - 1.0).abs() <= 1e-9, "law", sum, "probabilities that sum to 1")?;
        Ok((Space { dim, values }, law.iter().map(|p| p / sum).collect()))
    }

    /// Entropy of the marginal of the coordinates in `set`, a bit for each.
    pub(super) fn entropy(&self, law: &[f64], set: usize) -> f64 {
        let mut marginal = vec![0.0; law.len()];
        for (state, p) in law.iter().enumerate() {
            let of = |i: usize| if set >> i & 1 == 1 { self.digit(state, i) * self.stride(i) } else { 0 };
            marginal[(0..self.dim).map(of).sum::<usize>()] += p;
        }
        marginal.iter().filter(|&&p| p > 0.0).map(|p| -p * p.ln()).sum()
    }

    /// The distance in the numbers of two states that differ by one in coordinate i.
    fn stride(&self, i: usize) -> usize {
        self.values.pow((self.dim - 1 - i) as u32)
    }

    fn digit(&self, state: usize, i: usize) -> usize {
        state / self.stride(i) % self.values
    }

    /// The law after each coordinate was drawn anew at rate 1 for the time `tau`.
    fn noised(&self, law: &[f64], tau: f64) -> Vec<f64> {
        let (kept, drawn) = ((-tau).exp(), -(-tau).exp_m1() / self.values as f64);
        let mut law = law.to_vec();
        for i in 0..self.dim {
            let stride = self.stride(i);
            for block in law.chunks_exact_mut(stride * self.values) {
                for first in 0..stride {
                    let line = || (0..self.values).map(|value| first + value * stride);
                    let mean = drawn * line().map(|state| block[state]).sum::<f64>();
                    line().for_each(|state| block[state] = kept * block[state] + mean);
                }
            }
        }
        law
    }

    /// $`\mathbb{E}\,\mathrm{TC}(X \mid Y)`$ for X of the law `law` and Y after `time` more of noise.
    fn total_correlation(&self, law: &[f64], time: f64) -> f64 {
        let (kept, drawn) = ((-time).exp(), -(-time).exp_m1() / self.values as f64);
        let mut sum = 0.0;
        for y in 0..law.len() {
            let mut posterior: Vec<f64> = (0..law.len())
                .map(|x| {
                    let factor = |i| if self.digit(x, i) == self.digit(y, i) { kept + drawn } else { drawn };
                    law[x] * (0..self.dim).map(factor).product::<f64>()
                })
                .collect();
            let probability: f64 = posterior.iter().sum();
            if probability == 0.0 {
                continue;
            }
            posterior.iter_mut().for_each(|p| *p /= probability);
            let mut marginals = vec![0.0; self.dim * self.values];
            for (x, p) in posterior.iter().enumerate() {
                for i in 0..self.dim {
                    marginals[i * self.values + self.digit(x, i)] += p;
                }
            }
            let product = |x| (0..self.dim).map(|i| marginals[i * self.values + self.digit(x, i)]).product();
            let terms = posterior.iter().enumerate().map(|(x, &p)| relative_entropy_term(p, product(x)));
            sum += probability * terms.sum::<f64>();
        }
        sum
    }
}
