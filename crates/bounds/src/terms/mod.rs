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

mod drift;
mod gaussian;
mod score;

pub(crate) use drift::{Drifts, Length};
pub use gaussian::{GaussianSampler, gaussian_sampler};
pub use score::{ScoreTerm, score_term};

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
    let lengths: Vec<f64> = clocks.windows(2).map(|pair| pair[0] - pair[1]).collect();
    Drifts::new(scheme, curve, &clocks[..terms.len()]).add_to(&mut terms, &lengths);
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
    Ok(of_chain + Drifts::new(scheme, curve, &[step.from]).term(0, Length::precise(step.length)))
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
}
