//! What is known of the error of a run: certified, measured, or unknown with the reason.

use std::fmt;

use numeric::{Control, Error, Estimate, Model, Noise, TimeGrid};
use sde_core::{
    AnnealedLangevin, Ddim, Deis, DpmSolver, DpmSolverPlusPlus2M, DpmSolverPlusPlus2S, EdmHeun,
    EulerMaruyama, ExponentialAdams, ExponentialIntegrator, FrozenDenoiser, FrozenScore, GaussianStep,
    LocallyMomentMatched, Mixture, MixtureField, MomentMatched, PredictorCorrector, ProbabilityFlowHeun,
    ReverseSde, SdeDpmSolverPlusPlus2S, UniPc, VariancePreserving,
};

use crate::chain::chain_kl;
use crate::initial::mixture_initial_bound;

/// How a term of a certificate was obtained.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum Source {
    /// From a theorem or exact formula, by name, for inputs that satisfy its assumptions.
    Proved(&'static str),
    /// Simulated without bias from the exact law: mean and standard error over independent paths.
    Measured(Estimate),
}

/// One named term of a [`Certificate`].
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Term {
    /// The term, in nats; for a measured one its mean.
    pub nats: f64,
    /// Where it comes from.
    pub source: Source,
}

impl Term {
    /// Standard error of the term: 0 if it is proved.
    #[must_use]
    pub fn std_error(&self) -> f64 {
        match &self.source {
            Source::Proved(_) => 0.0,
            Source::Measured(estimate) => estimate.std_error,
        }
    }
}

/// A strict bound of `KL(q_δ ‖ p_N)`, in nats, for a known law.
///
/// ```math
/// \mathrm{KL}(q_\delta \,\|\, p_N) \le \underbrace{\mathrm{KL}(q_T \,\|\, N(0, I))}_{\text{initialization}}
///   + \underbrace{\sum_k \mathbb{E}\,\mathrm{KL}\big(q_{\tau_{k+1} | \tau_k} \,\|\, p_{k}^{\text{exact model}}\big)}_{\text{discretization}}
///   + \underbrace{\text{the rest of the chain}}_{\text{score}} .
/// ```
/// `q_τ` is the law of the noised data at clock τ, `q_δ` the early-stopped law — whose distance to the data
/// themselves is another matter and never added here —, `p_N` the law of the sampler, and `p_k` its step. The
/// inequality is data processing and the chain rule for the two Markov chains on the nodes of the grid; no
/// assumption is made but finite second moments. For methods whose steps share their bridges with the true
/// process (frozen denoiser and score, moment-matched) the chain's divergence *is* the divergence of the paths, by
/// Girsanov; for the exponential integrator it is slightly below it.
///
/// # References
/// Chen et al. (2023), *Sampling is as easy as learning the score*, section 5.2 (data processing without
/// Novikov); Benton et al. (2024), *Nearly d-linear convergence bounds for diffusion models via stochastic
/// localization*.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Certificate {
    /// Starting from N(0, I) in place of the noised data.
    pub initialization: Term,
    /// The finite grid, with the exact model.
    pub discretization: Term,
    /// All of the chain's divergence beyond the discretization term, cross term included.
    pub score: Term,
}

impl Certificate {
    /// Sum of the terms, in nats.
    #[must_use]
    pub fn nats(&self) -> f64 {
        self.initialization.nats + self.discretization.nats + self.score.nats
    }

    /// Upper end of a one-sided interval for the sum, at this level: the sum itself if nothing was measured.
    ///
    /// Measured terms enter with a normal quantile of their standard errors, added up, as their errors may depend
    /// on each other: asymptotic in the number of paths.
    ///
    /// # Errors
    /// [`Error::Domain`] unless 0 < `level` < 1.
    pub fn upper(&self, level: f64) -> Result<f64, Error> {
        let mut sum = 0.0;
        for term in [&self.initialization, &self.discretization, &self.score] {
            sum += match &term.source {
                Source::Proved(_) => term.nats,
                Source::Measured(estimate) => estimate.upper(level)?,
            };
        }
        Ok(sum)
    }
}

impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "KL ≤ {:.4} nats = initialization {:.4} + discretization {:.4} ± {:.4} + score {:.4} ± {:.4}",
            self.nats(),
            self.initialization.nats,
            self.discretization.nats,
            self.discretization.std_error(),
            self.score.nats,
            self.score.std_error()
        )
    }
}

/// Nothing is known, and this is why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct NoTheorem {
    /// The reason, as a sentence.
    pub reason: &'static str,
}

impl fmt::Display for NoTheorem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no theorem: {}", self.reason)
    }
}

/// A method that says whether its steps can be certified.
pub trait Certifiable<M> {
    /// The law of its steps, or why there is no theorem.
    ///
    /// # Errors
    /// [`NoTheorem`], with the reason.
    fn chain(&self) -> Result<&dyn GaussianStep<f64, M>, NoTheorem>;
}

macro_rules! certifiable {
    ($($method:ty),*) => {$(
        impl<S: VariancePreserving> Certifiable<Model<MixtureField<f64, S>, S>> for $method {
            fn chain(&self) -> Result<&dyn GaussianStep<f64, Model<MixtureField<f64, S>, S>>, NoTheorem> {
                Ok(self)
            }
        }
    )*};
}
certifiable!(
    EulerMaruyama,
    ExponentialIntegrator,
    FrozenScore,
    FrozenDenoiser,
    MomentMatched<f64>,
    LocallyMomentMatched
);

const NO_NOISE: NoTheorem = NoTheorem {
    reason: "a deterministic flow has no noise to compare paths with: its law may be singular to the data's, \
             and no theorem bounds its KL divergence",
};

/// Gaussian steps with a stochasticity, certified where there is any. The bound holds for every amount of it, but for
/// another than 1 the spread of a step is not that of the true one however short it is: the term then grows in
/// proportion to the number of steps.
macro_rules! certifiable_with_noise {
    ($($method:ty: $noise:ident),*) => {$(
        impl<S: VariancePreserving> Certifiable<Model<MixtureField<f64, S>, S>> for $method {
            fn chain(&self) -> Result<&dyn GaussianStep<f64, Model<MixtureField<f64, S>, S>>, NoTheorem> {
                if self.$noise() > 0.0 { Ok(self) } else { Err(NO_NOISE) }
            }
        }
    )*};
}
certifiable_with_noise!(ReverseSde: lambda, Ddim: eta);

macro_rules! no_theorem {
    ($reason:expr; $($method:ty),*) => {$(
        impl<M> Certifiable<M> for $method {
            fn chain(&self) -> Result<&dyn GaussianStep<f64, M>, NoTheorem> {
                Err($reason)
            }
        }
    )*};
}
no_theorem!(NO_NOISE; ProbabilityFlowHeun, DpmSolver, Deis, UniPc);
no_theorem!(
    NoTheorem {
        reason: "a multistep method draws from earlier predictions too, so that its states are no Markov chain to \
                 compare step by step, and without stochasticity it has no noise to compare at all",
    };
    ExponentialAdams, DpmSolverPlusPlus2M
);
no_theorem!(
    NoTheorem {
        reason: "its noise enters twice in a step, first in a call of the model: the law of a step is not Gaussian",
    };
    SdeDpmSolverPlusPlus2S
);
no_theorem!(
    NoTheorem {
        reason: "its noise is added before the model is called or not at all: the law of a step is not Gaussian, or \
                 has no density",
    };
    EdmHeun
);
no_theorem!(
    NoTheorem {
        reason: "the noise of its steps differs from that of the true reverse process however short they are, so \
                 that a comparison step by step grows with their number, and at η = 0 there is none to compare",
    };
    DpmSolverPlusPlus2S
);

/// Why Langevin steps have no certificate.
const LANGEVIN: NoTheorem = NoTheorem {
    reason: "Langevin steps at a fixed level have no counterpart in the reverse process to compare them with",
};
no_theorem!(LANGEVIN; AnnealedLangevin);

impl<M, P> Certifiable<M> for PredictorCorrector<P> {
    fn chain(&self) -> Result<&dyn GaussianStep<f64, M>, NoTheorem> {
        Err(LANGEVIN)
    }
}

/// How a certificate is measured.
#[derive(Clone, Copy, Debug)]
pub struct Paths {
    /// Number of independent paths of the forward process.
    pub count: u64,
    /// Their noise. The same noise gives the same paths for every method.
    pub noise: Noise,
}

/// The certificate of a method on a grid, for a law whose exact model it is run with.
///
/// # Method
/// The initialization term is [`mixture_initial_bound`]. The discretization term is measured on forward paths
/// `X_0, X_{τ_N}, …, X_{τ_0}` of the target: with ρ the ratio of the true reverse transition density (by Bayes'
/// rule from the mixture's exact densities) to that of the step, and `h = (q + p)/2`,
///
/// ```math
/// \mathrm{KL}(q \,\|\, p) = \mathbb{E}_h \bigg[ \frac{2(\rho \log \rho - \rho + 1)}{1 + \rho} \bigg],
/// ```
/// since `E_p[ρ − 1] = 0`. Half of the draws are the path's own next state, half the method's. The integrand is at
/// least 0 and at most `2 + 2 log⁺ ρ`: there is no bias, no cancellation however small the divergence, and no
/// heavy tail where p is wider or narrower than q; it vanishes identically where the step is exact.
///
/// ```
/// use bounds::{Paths, certify};
/// use numeric::{Noise, ndarray::array};
/// use sde_core::{Covariance, FrozenDenoiser, LocallyMomentMatched, Mixture, Ou, ProbabilityFlowHeun, grid};
/// # fn main() -> Result<(), numeric::Error> {
/// let target = Mixture::gaussian(array![0.0], Covariance::Isotropic(1.0))?;
/// let grid = grid::geometric_v(3.0, 0.01, 40)?;
/// let paths = Paths { count: 400, noise: Noise::new(1) };
/// let d = certify(&target, &Ou, &FrozenDenoiser, &grid, paths, Default::default())?.expect("has a theorem");
/// let exact = 0.195228707883;                                      // the path KL in closed form
/// assert!((d.discretization.nats - exact).abs() < 4.5 * d.discretization.std_error());
/// assert!(d.discretization.std_error() < 0.05 * exact);
/// // The locally moment-matched step is exact for Gaussian data.
/// let l = certify(&target, &Ou, &LocallyMomentMatched, &grid, paths, Default::default())?.expect("has a theorem");
/// assert!(l.discretization.nats < 1e-12);
/// let ode = certify(&target, &Ou, &ProbabilityFlowHeun, &grid, paths, Default::default())?;
/// assert!(ode.is_err());                                           // with the reason
/// # Ok(()) }
/// ```
///
/// # Errors
/// [`Error::Domain`] for fewer than 2 paths, a grid that is not one of the process or one that ends at the data
/// themselves (σ = 0); the model's and the step's own. The inner result is [`NoTheorem`] for methods without one.
pub fn certify<S: VariancePreserving + Clone>(
    target: &Mixture,
    process: &S,
    method: &impl Certifiable<Model<MixtureField<f64, S>, S>>,
    grid: &TimeGrid,
    paths: Paths,
    control: Control<'_>,
) -> Result<Result<Certificate, NoTheorem>, Error> {
    let step = match method.chain() {
        Ok(step) => step,
        Err(reason) => return Ok(Err(reason)),
    };
    let model = target.denoiser::<f64, S>(process.clone());
    let discretization = chain_kl(target, process, &model, step, grid, paths, control)?;
    Ok(Ok(Certificate {
        initialization: initialization(target, process.clock(grid.first()))?,
        discretization: Term { nats: discretization.mean, source: Source::Measured(discretization) },
        score: Term { nats: 0.0, source: Source::Proved("the model is the exact one of the target") },
    }))
}

/// The initialization term of a mixture, from convexity over its components.
fn initialization(target: &Mixture, horizon: f64) -> Result<Term, Error> {
    let norms: Vec<f64> = target.means().rows().into_iter().map(|m| m.dot(&m)).collect();
    let eigenvalues: Vec<Vec<f64>> = (0..norms.len()).map(|i| target.eigenvalues(i)).collect();
    let nats = mixture_initial_bound(target.weights(), &norms, &eigenvalues, horizon)?;
    let theorem = if norms.len() == 1 {
        "exact: KL between Gaussians"
    } else {
        "joint convexity of KL over the components, each exact"
    };
    Ok(Term { nats, source: Source::Proved(theorem) })
}
