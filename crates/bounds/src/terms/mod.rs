//! Exact discretisation terms: what a grid costs a sampler that knows the true score.
//!
//! Let $`Q`$ be the law of the true reverse process on a grid $`T = τ_0 > … > τ_N = δ > 0`$ of the
//! Ornstein–Uhlenbeck clock and $`P`$ that of a sampler that starts from $`γ = N(0, I)`$. By data processing,
//! the chain rule and Girsanov's theorem,
//!
//! ```math
//! \mathrm{KL}(q_δ \,\|\, p_N) \le \mathrm{KL}(Q \,\|\, P)
//!   = \mathrm{KL}(q_T \,\|\, γ)
//!   + \underbrace{\mathbb{E}_Q \int \lvertΔ\rvert^2\, dτ}_{\text{discretisation}},
//! ```
//! $`2Δ`$ being the difference of the drifts. For the samplers of [`Scheme`] the last term is a closed
//! function of the data's error curve: [`discretization`]. For Gaussian data even the sampler's own law is
//! known: [`gaussian_sampler`].
//!
//! Path bounds are loose by nature: the sampler's law errs by $`O(1/N^2)`$ in KL where the path errs by
//! $`O(1/N)`$, some hundredfold at N = 40.
//!
//! # References
//! The bound by data processing without Novikov's condition: Chen, Chewi, Li, Li, Salim, Zhang (2023),
//! *Sampling is as easy as learning the score*, ICLR, section 5.2; Léonard (2012), *Girsanov theory under a
//! finite entropy condition*. Scheme S: Benton, De Bortoli, Doucet, Deligiannidis (2024), *Nearly d-linear
//! convergence bounds for diffusion models via stochastic localization*, ICLR, arXiv 2308.03686.

mod gaussian;
mod score;

pub use gaussian::{GaussianSampler, gaussian_sampler};
pub use score::{ScoreTerm, score_term};

use numeric::special::{c_step, g_minus_1_plus_exp_neg, phi_3};
use numeric::{Error, TimeGrid};

use crate::curve::{Clock, ErrorCurve, Step};

/// A sampler of the reverse process, with the drift of its steps; `y` is the state, $`y_k`$ that at the
/// step's start, $`s_k`$ the score there and $`m_k = \mathbb{E}[X_0 | y_k]`$.
///
/// The letters are those of the tables in the book.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Scheme {
    /// S: drift $`y + 2 s_k`$.
    ExponentialIntegrator,
    /// V: drift $`y + 2 e^{τ - τ_k} s_k`$, the frozen score of $`e^τ y`$ in the variance clock.
    FrozenScore,
    /// R: drift $`-y + 2 (s_k + y_k)`$.
    FrozenRelativeScore,
    /// D: drift $`y + 2 (e^{-τ} m_k - y)/(1 - e^{-2τ})`$, the Gaussian posterior step of DDPM.
    FrozenDenoiser,
    /// $`G_c`$: the posterior step of the prior $`N(\cdot, cI)`$ that has the score $`s_k`$ at $`y_k`$; exact
    /// for $`N(\cdot, cI)`$. 0 gives D, the limit ∞ gives V.
    GaussianPrior(f64),
    /// $`G_C`$: the same with a variance for each coordinate of the curve's own basis; exact for Gaussian
    /// data of that covariance.
    MomentMatched(Vec<f64>),
    /// EM: drift $`y_k + 2 s_k`$, Euler–Maruyama in this clock, in which the noise is constant.
    EulerMaruyama,
    /// L: the Gaussian step with the true kernel's mean and covariance at $`y_k`$.
    LocallyMomentMatched,
}

impl Scheme {
    /// `Ok` if the prior variances fit a curve of dimension `dim`.
    pub(crate) fn check(&self, dim: usize) -> Result<(), Error> {
        let (expected, holds) = ("a finite number of at least 0", |c: f64| c >= 0.0 && c.is_finite());
        match self {
            Scheme::GaussianPrior(c) => Error::domain(holds(*c), "prior", *c, expected),
            Scheme::MomentMatched(prior) => {
                Error::shape("prior", &[dim], &[prior.len()])?;
                Error::entries("prior", prior.iter().copied(), expected, holds)
            }
            _ => Ok(()),
        }
    }

    /// The prior variance, the same for all coordinates, of the Gaussian step that the scheme is or is compared with;
    /// 0 for the locally moment-matched scheme, and NaN for one variance by coordinate, where there is no such number.
    pub(crate) fn prior(&self) -> f64 {
        match self {
            Scheme::FrozenDenoiser | Scheme::LocallyMomentMatched => 0.0,
            Scheme::GaussianPrior(c) => *c,
            Scheme::FrozenRelativeScore => 1.0,
            Scheme::MomentMatched(_) => f64::NAN,
            Scheme::ExponentialIntegrator | Scheme::FrozenScore | Scheme::EulerMaruyama => f64::INFINITY,
        }
    }

    /// What steps from the clock `from` cost beyond that.
    pub(crate) fn of_drift(&self, curve: &dyn ErrorCurve, from: f64) -> Option<Drift> {
        match self {
            Scheme::ExponentialIntegrator => Some(Drift::S { square: curve.score_square(from) }),
            Scheme::FrozenRelativeScore => Some(Drift::R { square: curve.relative_score_square(from) }),
            Scheme::EulerMaruyama => {
                let (square, dim) = (curve.score_square(from), curve.dim() as f64);
                let excess = (-2.0 * from).exp() * (curve.second_moment() - dim);
                Some(Drift::Em { square, dim, excess })
            }
            _ => None,
        }
    }
}

/// The discretisation term of a sampler on a grid, exactly.
///
/// # Statement
/// With $`g_k = τ_k - τ_{k+1}`$, $`v = e^{2τ} - 1`$, $`η = 1/v`$, $`c(g) = \int_0^g (1 - e^{-u})^2 du`$ and
/// the curve's $`I, J, F, M, \mathrm{mmse}`$ (see [`curve`](crate::curve)) at $`τ_k`$ where they have an
/// index,
/// ```math
/// \begin{aligned}
/// \mathrm{Disc}_V &= \tfrac12 \sum_k \int_{v_{k+1}}^{v_k} (J - J_k)\, dv &
/// \mathrm{Disc}_S &= \mathrm{Disc}_V + \sum_k c(g_k)\, I_k \\
/// \mathrm{Disc}_D &= \tfrac12 \sum_k \int_{η_k}^{η_{k+1}} (\mathrm{mmse}_k - \mathrm{mmse})\, dη &
/// \mathrm{Disc}_R &= \mathrm{Disc}_{G_1} - \sum_k c(-g_k)\, F_k \\
/// \mathrm{Disc}_L &= \tfrac12 \sum_k \mathbb{E} \log\det(I + Δη_k Σ_k) - \tfrac12 \int \mathrm{mmse}\, dη &
/// \mathrm{Disc}_{EM} &= \mathrm{Disc}_S + \sum_k \bigl(B_k + \tfrac14 C_k\bigr)
/// \end{aligned}
/// ```
/// ```math
/// B_k = 2d (\sinh g - g) - 4 \sinh^2(g/2)\, I_k, \qquad
/// C_k = 2d (g - 1 + e^{-g}) - c(-g)\, e^{-2τ_k} (M_2 - d), \qquad g = g_k,
/// ```
/// and $`\mathrm{Disc}_{G_c}`$ is the sum of [`ErrorCurve::prior_step`].
///
/// # Assumptions
/// The score is exact and the second moment finite.
///
/// # Returns
/// The path KL beyond the initialisation term, in nats, exactly. For V, D and G it is also the KL of the
/// chains of nodes, for S, R and EM the chains' is a little smaller; L is defined at the nodes only, and its
/// term is that of the chains. It vanishes for $`G_c`$ and R if the
/// data are $`N(\cdot, cI)`$ and $`N(0, I)`$, for D if they are a point, for L if they are Gaussian. To
/// leading order it is $`\sum_k g_k^2\, \mathbb{E}\lVert ∇^2 \log q_τ + b\,\mathrm{Id}\rVert^2_F`$ with
/// $`b = 0`$ (S, V), $`\frac12`$ (EM), $`1`$ (R), $`(1 - e^{-2τ})^{-1}`$ (D): EM costs less than S wherever
/// $`I > d/4`$. L is of third order in the steps, hence $`O(1/N^2)`$.
///
/// *Derivation.* With respect to the reverse filtration $`e^{-τ} s_τ(X_τ)`$, $`m_τ(X_τ)`$ and
/// $`e^{τ}(s_τ + X_τ)`$ are martingales, so mean squares of increments are differences of mean squares, e.g.
/// $`\mathbb{E}\lvert m_τ - m_{τ'}\rvert^2 = \mathrm{mmse}(τ') - \mathrm{mmse}(τ)`$ and
/// $`\mathbb{E}\lvert s_τ - e^{-u} s_{τ+u}\rvert^2 = I(τ) - e^{-2u} I(τ + u)`$; insert the drifts and
/// integrate. EM adds the drift $`\frac12(y_k - y)`$, whence
/// $`B_k = \int \mathbb{E}\langle s_τ - s_k, y - y_k\rangle`$ and
/// $`C_k = \int \mathbb{E}\lvert y - y_k\rvert^2`$. L is the chain rule with I-MMSE.
///
/// # Numerical notes
/// Every step is a sum of terms that do not cancel in the limit of short steps (for L, and where EM happens
/// to be better than second order, terms one order larger), so that small terms keep their digits.
///
/// # Errors
/// [`Error::Domain`] or [`Error::Entry`] for a grid that does not decrease strictly from at most 300 to a
/// positive clock, and for a prior variance that is negative or not finite; [`Error::Shape`] for a wrong
/// number of them; [`Error::Unsupported`] for a scheme of which the curve does not know enough.
///
/// ```
/// use bounds::curve::GaussianCurve;
/// use bounds::terms::{Scheme, discretization};
/// let grid = numeric::TimeGrid::uniform(2.0, 0.1, 10)?;
/// let curve = GaussianCurve::new(vec![1.0; 3], 0.0)?;
/// // N(0, I) in d = 3: d Σ 2 (g - 1 + e^{-g}).
/// let exact = 3.0 * 10.0 * 2.0 * (0.19 + (-0.19f64).exp_m1());
/// assert!((discretization(&Scheme::ExponentialIntegrator, &curve, &grid)? / exact - 1.0).abs() < 1e-12);
/// assert_eq!(discretization(&Scheme::GaussianPrior(1.0), &curve, &grid)?, 0.0);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// Benton et al. (2024), section 3, for S as an inequality: the identities above replace its
/// $`\frac{d}{dτ}`$-estimate and Lemma 1 ($`\frac{d}{dη}\mathbb{E}Σ = -\mathbb{E}Σ^2`$ in these variables).
/// L: optimal-covariance steps, Bao, Li, Zhu, Zhang (2022), *Analytic-DPM*, ICLR.
pub fn discretization(scheme: &Scheme, curve: &dyn ErrorCurve, grid: &TimeGrid) -> Result<f64, Error> {
    Ok(discretization_steps(scheme, curve, grid)?.iter().sum())
}

/// The contribution of each step to [`discretization`].
///
/// # Errors
/// Those of [`discretization`].
///
/// ```
/// use bounds::curve::{ErrorCurve, ScalarMixtureCurve};
/// use bounds::terms::{Scheme, discretization_steps};
/// let grid = numeric::TimeGrid::from_nodes(vec![2.0, 0.5, 0.1])?;
/// let coin = ScalarMixtureCurve::new(&[0.5, 0.5], &[-1.0, 1.0], &[0.0, 0.0])?;
/// let steps = discretization_steps(&Scheme::FrozenDenoiser, &coin, &grid)?;
/// // The left Riemann error of the mmse curve over the last step.
/// let eta = |tau: f64| 1.0 / (2.0 * tau).exp_m1();
/// let riemann = 0.5 * (eta(0.1) - eta(0.5)) * coin.mmse(0.5) - coin.information_gain(0.5, 0.1);
/// assert!((steps[1] - riemann).abs() < 1e-12);
/// # Ok::<(), numeric::Error>(())
/// ```
pub fn discretization_steps(
    scheme: &Scheme,
    curve: &dyn ErrorCurve,
    grid: &TimeGrid,
) -> Result<Vec<f64>, Error> {
    scheme.check(curve.dim())?;
    Clock::new(grid)?.on(curve)?;
    let clocks: Vec<f64> = grid.nodes().iter().map(|node| node.t).collect();
    let mut terms = chain_terms(scheme, curve, &clocks)?;
    for (term, pair) in terms.iter_mut().zip(clocks.windows(2)) {
        if let Some(drift) = scheme.of_drift(curve, pair[0]) {
            *term += drift.term(Length::Precise(pair[0] - pair[1]));
        }
    }
    Ok(terms)
}

/// The contribution of one step.
pub(crate) fn step_term(scheme: &Scheme, curve: &dyn ErrorCurve, step: &Step) -> Result<f64, Error> {
    let clocks = [step.from, step.to];
    let of_chain = match scheme {
        Scheme::MomentMatched(_) | Scheme::LocallyMomentMatched => chain_terms(scheme, curve, &clocks)?[0],
        // To the last digit of a short step.
        _ => curve.prior_step(step.from, step.to, scheme.prior()),
    };
    Ok(of_chain
        + scheme.of_drift(curve, step.from).map_or(0.0, |drift| drift.term(Length::Precise(step.length))))
}

/// The chain KL of each step between the clocks, of the Gaussian steps that the scheme is or is compared with.
fn chain_terms(scheme: &Scheme, curve: &dyn ErrorCurve, clocks: &[f64]) -> Result<Vec<f64>, Error> {
    let (terms, method, reason) = match scheme {
        Scheme::MomentMatched(prior) => (
            clocks.windows(2).map(|pair| curve.coordinate_prior_step(pair[0], pair[1], prior)).collect(),
            "MomentMatched",
            "the curve knows no error of each coordinate",
        ),
        Scheme::LocallyMomentMatched => (
            clocks.windows(2).map(|pair| curve.moment_matched_step(pair[0], pair[1])).collect(),
            "LocallyMomentMatched",
            "the curve knows no more of the posterior covariance than its mean",
        ),
        _ => return Ok(curve.prior_steps(clocks, scheme.prior())),
    };
    let terms: Option<Vec<f64>> = terms;
    terms.ok_or(Error::Unsupported { method, reason })
}

/// The length g of a step, and how its functions are computed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Length {
    /// Without cancellation.
    Precise(f64),
    /// From $`p = e^{-g}`$ without another exponential: short ones by five terms of their series, to 1e-8 of
    /// themselves, long ones to the rounding of 1.
    Rounded { g: f64, p: f64 },
}

/// Below it steps are short.
const SHORT: f64 = 0.03;

impl Length {
    /// c(g).
    fn shrunk(self) -> f64 {
        match self {
            Length::Precise(g) => c_step(g),
            Length::Rounded { g, .. } if g < SHORT => {
                g * g * g * (1.0 / 3.0 - g * (0.25 - g * (7.0 / 60.0 - g * (1.0 / 24.0 - g * 31.0 / 2520.0))))
            }
            Length::Rounded { g, p } => g - 2.0 * (1.0 - p) + 0.5 * (1.0 - p * p),
        }
    }

    /// −c(−g).
    fn grown(self) -> f64 {
        match self {
            Length::Precise(g) => -c_step(-g),
            Length::Rounded { g, .. } if g < SHORT => {
                g * g * g * (1.0 / 3.0 + g * (0.25 + g * (7.0 / 60.0 + g * (1.0 / 24.0 + g * 31.0 / 2520.0))))
            }
            Length::Rounded { g, p } => g + 2.0 * (1.0 - p.recip()) - 0.5 * (1.0 - (p * p).recip()),
        }
    }

    /// sinh g − g.
    fn sinh_minus(self) -> f64 {
        match self {
            Length::Precise(g) => sinh_minus(g),
            Length::Rounded { g, .. } if g < SHORT => {
                g * g * g / 6.0 * (1.0 + g * g / 20.0 * (1.0 + g * g / 42.0))
            }
            Length::Rounded { g, p } => 0.5 * (p.recip() - p) - g,
        }
    }

    /// 4 sinh²(g/2).
    fn square(self) -> f64 {
        match self {
            Length::Precise(g) => (2.0 * (0.5 * g).sinh()).powi(2),
            Length::Rounded { g, .. } if g < SHORT => g * g * (1.0 + g * g / 12.0 * (1.0 + g * g / 30.0)),
            Length::Rounded { p, .. } => p.recip() + p - 2.0,
        }
    }

    /// g − 1 + e^{-g}.
    fn rest(self) -> f64 {
        match self {
            Length::Precise(g) => g_minus_1_plus_exp_neg(g),
            Length::Rounded { g, .. } if g < SHORT => {
                0.5 * g * g * (1.0 - g / 3.0 * (1.0 - g / 4.0 * (1.0 - g / 5.0 * (1.0 - g / 6.0))))
            }
            Length::Rounded { g, p } => g - 1.0 + p,
        }
    }
}

/// What a step of S, R or EM costs beyond the Gaussian step with the same prior: its drift is not that step's between
/// the nodes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Drift {
    /// I at the start.
    S { square: f64 },
    /// F at the start.
    R { square: f64 },
    /// I at the start, d, and $`e^{-2τ}(M_2 - d)`$.
    Em { square: f64, dim: f64, excess: f64 },
}

impl Drift {
    pub(crate) fn term(self, g: Length) -> f64 {
        match self {
            Drift::S { square } => g.shrunk() * square,
            Drift::R { square } => g.grown() * square,
            Drift::Em { square, dim, excess } => {
                let b = 2.0 * dim * g.sinh_minus() - g.square() * square;
                let c = 2.0 * dim * g.rest() + g.grown() * excess;
                g.shrunk() * square + b + 0.25 * c
            }
        }
    }
}

/// sinh g - g, without cancellation near 0.
fn sinh_minus(g: f64) -> f64 {
    0.5 * g * g * g * (phi_3(g) + phi_3(-g))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curve::GaussianCurve;

    #[test]
    fn bad_arguments_are_refused() {
        let curve = GaussianCurve::new(vec![1.0, 2.0], 0.0).expect("a curve");
        let grid = TimeGrid::uniform(1.0, 0.1, 3).expect("a grid");
        for prior in [-1.0, f64::NAN, f64::INFINITY] {
            assert!(discretization(&Scheme::GaussianPrior(prior), &curve, &grid).is_err());
            assert!(discretization(&Scheme::MomentMatched(vec![1.0, prior]), &curve, &grid).is_err());
        }
        assert!(discretization(&Scheme::MomentMatched(vec![1.0]), &curve, &grid).is_err());
        let ascending = TimeGrid::uniform(0.1, 1.0, 3).expect("a grid");
        assert!(discretization(&Scheme::FrozenScore, &curve, &ascending).is_err());
        let to_data = TimeGrid::uniform(1.0, 0.0, 3).expect("a grid");
        assert!(discretization(&Scheme::FrozenScore, &curve, &to_data).is_err());
    }

    #[test]
    fn rounded_lengths_are_near_the_precise_ones() {
        for g in [1e-9_f64, 1e-4, 0.01, 0.0299, 0.0301, 0.3, 3.0] {
            let (precise, rounded) = (Length::Precise(g), Length::Rounded { g, p: (-g).exp() });
            for f in [Length::shrunk, Length::grown, Length::sinh_minus, Length::square, Length::rest] {
                assert!((f(rounded) / f(precise) - 1.0).abs() < 1e-8, "{g}: {} {}", f(rounded), f(precise));
            }
        }
    }

    #[test]
    fn sinh_minus_is_its_series() {
        for g in [1e-8_f64, 1e-2, 0.5] {
            let tail = [110.0, 72.0, 42.0, 20.0].iter().fold(1.0, |sum, n| 1.0 + g * g / n * sum);
            assert!((sinh_minus(g) / (g.powi(3) / 6.0 * tail) - 1.0).abs() < 2e-12, "{g}");
        }
        assert!((sinh_minus(5.0) - (5f64.sinh() - 5.0)).abs() < 1e-13);
    }
}
