//! Methods of the samplers on a grid.

use super::JumpRule;
#[cfg(doc)]
use super::LeapCounts;

/// How a reverse step is made.
///
/// | method | law of a step from t to s, for each token by itself | order in total variation | model calls |
/// |---|---|---|---|
/// | [`TauLeaping`](Method::TauLeaping) | Poisson jumps at the rates of time t | 1 | 1 |
/// | [`Euler`](Method::Euler) | moves to y with probability $`(t - s) \hat R_t(x, y)`$ | 1 | 1 |
/// | [`Posterior`](Method::Posterior) | $`\sum_v q_{s|t,0}(y \mid x, v)\, p(v \mid x)`$ | exact for D = 1, else 1 | 1 |
/// | [`Midpoint`](Method::Midpoint) | Poisson jumps from x at the rates of a state half way | 1 | 2 |
/// | [`Trapezoidal`](Method::Trapezoidal) | part of a leap, then extrapolated rates | 2 for [`Last`](JumpRule::Last) and [`Cyclic`](JumpRule::Cyclic) while no extrapolated rate is below 0 ([`LeapCounts::negative`]), else 1 | 2 |
///
/// [`Posterior`](Method::Posterior) has the least error at equal cost for categories, never rejects and never clamps. For
/// an absorbing chain it is the ancestral sampler of masked diffusion.
///
/// # References
/// Campbell et al. (2022), *A continuous time framework for discrete denoising models*, algorithm 1. Ren, Chen, Zhu, Guo,
/// Chen, Rotskoff, Tao, Ying (2025), *Fast solvers for discrete diffusion models*: the two-stage methods; that the midpoint
/// method is of first order here was found by exact enumeration.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Method {
    /// Jumps at frozen rates; the rule says what several jumps of one token do.
    TauLeaping(JumpRule),
    /// At most one jump, with a probability linear in the step. Steps on which that is above 1 are an error.
    Euler,
    /// The exact reverse kernel of each token, from the posterior at its end.
    Posterior,
    /// A leap of half the step to a place y, then one of the whole step from x at the rates of y. Of ordered states, jumps
    /// that would lead from x beyond the first or the last one are not made.
    Midpoint(JumpRule),
    /// A leap of the part θ of the step to a place y, then one of the rest from y at the rates
    /// $`a_1 \hat R(y) - a_2 \hat R(x)`$, $`a_1 = 1/(2 \theta (1 - \theta))`$, $`a_2 = a_1 - 1`$; where one of these is below 0 it
    /// is taken for 0 and counted.
    Trapezoidal {
        /// Part θ of the step, between 0 and 1; 1/2 is a good choice.
        theta: f64,
        /// What several jumps of one token do.
        rule: JumpRule,
    },
}

/// Steps at a fixed time with the rates $`R_t + \hat R_t`$, which leave the law $`q_t`$ as it is: they bring samples
/// that have strayed from it back.
///
/// # References
/// Campbell et al. (2022), *A continuous time framework for discrete denoising models*, proposition 4.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Correction {
    /// Number of steps after each step of the method.
    pub steps: usize,
    /// Length of one, relative to the step of the method.
    pub scale: f64,
    /// Only at times below this one (greater than 0).
    pub below: f64,
    /// What several jumps of one token do.
    pub rule: JumpRule,
}

/// What is returned for the state at the last time of the grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Finish {
    /// The state.
    State,
    /// For each token the most likely clean value given the state.
    MostLikely,
    /// For each token a clean value drawn from the posterior given the state.
    Draw,
}
