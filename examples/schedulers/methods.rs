//! The methods that are compared.

use numeric::{Error, Model};
use sde_core::{
    AnnealedLangevin, Ddim, Deis, DpmSolver, DpmSolverPlusPlus2M, DpmSolverPlusPlus2S, EdmHeun,
    EulerMaruyama, ExponentialAdams, ExponentialIntegrator, Extrapolation, FrozenDenoiser, FrozenScore,
    LocallyMomentMatched, Method, Mixture, MixtureField, MomentMatched, Ou, PredictorCorrector,
    ProbabilityFlowHeun, ReverseSde, SdeDpmSolverPlusPlus2S, UniPc, UniPcVariant,
};

use crate::{LEAST_NOISE, MOST_NOISE};

pub(crate) type RingModel = Model<MixtureField<f64, Ou>, Ou>;

/// Which panel of the picture a method belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    /// Deterministic: solvers of one step, and Adams methods with data prediction.
    Solver,
    /// Deterministic: Adams methods with noise prediction, and those with a corrector.
    Extrapolating,
    Stochastic,
}

/// How a method takes its steps.
pub(crate) enum Stepping {
    /// On the nodes of a grid.
    Fixed(Box<dyn Method<f64, RingModel>>),
    /// As it finds, with the order of the better of its two solutions: `AdaptiveDpmSolver`.
    Adaptive(usize),
}

/// A method with its parameters.
pub(crate) struct Candidate {
    pub(crate) name: &'static str,
    pub(crate) family: Family,
    /// Whether it has a line in the picture; those that have none are equal to one that has, or near it.
    pub(crate) drawn: bool,
    pub(crate) stepping: Stepping,
}

/// The method for which grids are compared in the picture.
pub(crate) const OF_GRIDS: &str = "DPM-Solver++(2M)";

/// All methods, as they are for a budget of model calls.
pub(crate) fn candidates(target: &Mixture, budget: usize) -> Result<Vec<Candidate>, Error> {
    let mut all = deterministic()?;
    all.extend(stochastic(target, budget)?);
    Ok(all)
}

/// Two calls in each step.
fn edm(churn: f64, budget: usize) -> EdmHeun {
    EdmHeun { churn, steps: (budget / 2).max(1), s_min: 0.0, s_max: f64::INFINITY, s_noise: 1.0 }
}

fn deterministic() -> Result<Vec<Candidate>, Error> {
    use Extrapolation::{LogSnr, Ratio, Time};
    use Family::{Extrapolating, Solver};
    use UniPcVariant::{Bh1, Bh2};

    let mut all = Vec::new();
    let mut add = |family, drawn, name, method| {
        all.push(Candidate { name, family, drawn, stepping: Stepping::Fixed(method) });
    };
    add(Solver, true, "DDIM", Box::new(Ddim::new(0.0)?));
    add(Solver, false, "reverse SDE, λ = 0", Box::new(ReverseSde::new(0.0)?));
    add(Solver, true, "Heun", Box::new(ProbabilityFlowHeun));
    add(Solver, false, "EDM Heun, no churn", Box::new(edm(0.0, 1)));
    add(Solver, false, "DPM-Solver-1", Box::new(DpmSolver::new(1)?));
    add(Solver, true, "DPM-Solver-2", Box::new(DpmSolver::new(2)?));
    add(Solver, true, "DPM-Solver-3", Box::new(DpmSolver::new(3)?));
    add(Solver, true, "DPM-Solver++(2S)", Box::new(DpmSolverPlusPlus2S::new(0.0)?));
    add(Solver, true, OF_GRIDS, Box::new(DpmSolverPlusPlus2M::new(0.0)?));
    add(Solver, false, "exponential Adams 1", Box::new(ExponentialAdams::new(1, 0.0)?));
    add(Solver, true, "exponential Adams 2", Box::new(ExponentialAdams::new(2, 0.0)?));
    add(Solver, true, "exponential Adams 3", Box::new(ExponentialAdams::new(3, 0.0)?));
    add(Solver, true, "exponential Adams 4", Box::new(ExponentialAdams::new(4, 0.0)?));
    // The time is that of the process: here the clock.
    add(Extrapolating, false, "DEIS 1, ratio", Box::new(Deis::new(1, Ratio)?));
    add(Extrapolating, true, "DEIS 2, ratio", Box::new(Deis::new(2, Ratio)?));
    add(Extrapolating, true, "DEIS 3, ratio", Box::new(Deis::new(3, Ratio)?));
    add(Extrapolating, true, "DEIS 4, ratio", Box::new(Deis::new(4, Ratio)?));
    add(Extrapolating, false, "DEIS 1, log-SNR", Box::new(Deis::new(1, LogSnr)?));
    add(Extrapolating, true, "DEIS 2, log-SNR", Box::new(Deis::new(2, LogSnr)?));
    add(Extrapolating, true, "DEIS 3, log-SNR", Box::new(Deis::new(3, LogSnr)?));
    add(Extrapolating, true, "DEIS 4, log-SNR", Box::new(Deis::new(4, LogSnr)?));
    add(Extrapolating, false, "DEIS 1, time", Box::new(Deis::new(1, Time)?));
    add(Extrapolating, true, "DEIS 2, time", Box::new(Deis::new(2, Time)?));
    add(Extrapolating, true, "DEIS 3, time", Box::new(Deis::new(3, Time)?));
    add(Extrapolating, true, "DEIS 4, time", Box::new(Deis::new(4, Time)?));
    add(Extrapolating, true, "UniPC-1, bh1", Box::new(UniPc::new(1, Bh1)?));
    add(Extrapolating, true, "UniPC-2, bh1", Box::new(UniPc::new(2, Bh1)?));
    add(Extrapolating, true, "UniPC-3, bh1", Box::new(UniPc::new(3, Bh1)?));
    add(Extrapolating, true, "UniPC-1, bh2", Box::new(UniPc::new(1, Bh2)?));
    add(Extrapolating, true, "UniPC-2, bh2", Box::new(UniPc::new(2, Bh2)?));
    add(Extrapolating, true, "UniPC-3, bh2", Box::new(UniPc::new(3, Bh2)?));
    for (name, order) in [("DPM-Solver-12, adaptive", 2), ("DPM-Solver-23, adaptive", 3)] {
        all.push(Candidate { name, family: Solver, drawn: true, stepping: Stepping::Adaptive(order) });
    }
    Ok(all)
}

fn stochastic(target: &Mixture, budget: usize) -> Result<Vec<Candidate>, Error> {
    let mut all = Vec::new();
    let mut add = |drawn, name, method| {
        let stepping = Stepping::Fixed(method);
        all.push(Candidate { name, family: Family::Stochastic, drawn, stepping });
    };
    // The total of churn of a reverse SDE with λ = 1.
    let churn = (MOST_NOISE / LEAST_NOISE).ln();

    add(true, "Euler–Maruyama", Box::new(EulerMaruyama));
    add(true, "exponential integrator", Box::new(ExponentialIntegrator));
    add(true, "frozen score", Box::new(FrozenScore));
    add(true, "frozen denoiser (DDPM)", Box::new(FrozenDenoiser));
    add(true, "moment-matched", Box::new(MomentMatched::new(&target.covariance())?));
    add(true, "locally moment-matched", Box::new(LocallyMomentMatched));
    add(true, "reverse SDE, λ = 0.5", Box::new(ReverseSde::new(0.5)?));
    add(false, "reverse SDE, λ = 1", Box::new(ReverseSde::new(1.0)?));
    add(true, "DDIM, η = 0.5", Box::new(Ddim::new(0.5)?));
    add(false, "DDIM, η = 1", Box::new(Ddim::new(1.0)?));
    add(true, "EDM Heun, churn", Box::new(edm(churn, budget)));
    add(true, "DPM-Solver++(2M), λ = 1", Box::new(DpmSolverPlusPlus2M::new(1.0)?));
    add(true, "DPM-Solver++(2S), η = 1", Box::new(DpmSolverPlusPlus2S::new(1.0)?));
    add(true, "SDE-DPM-Solver++(2S), λ = 1", Box::new(SdeDpmSolverPlusPlus2S::new(1.0)?));
    add(false, "exponential Adams 1, λ = 1", Box::new(ExponentialAdams::new(1, 1.0)?));
    add(true, "exponential Adams 2, λ = 1", Box::new(ExponentialAdams::new(2, 1.0)?));
    add(true, "exponential Adams 3, λ = 1", Box::new(ExponentialAdams::new(3, 1.0)?));
    add(true, "exponential Adams 4, λ = 1", Box::new(ExponentialAdams::new(4, 1.0)?));
    add(true, "DDPM, corrected", Box::new(PredictorCorrector::new(FrozenDenoiser, 1, 0.16)?));
    add(true, "DDIM, corrected", Box::new(PredictorCorrector::new(Ddim::new(0.0)?, 1, 0.16)?));
    add(true, "annealed Langevin", Box::new(AnnealedLangevin::new(2, 0.3)?));
    Ok(all)
}
