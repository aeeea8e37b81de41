//! The methods and the grids that are compared.

use numeric::{Error, Model, TimeGrid};
use sde_core::{
    AnnealedLangevin, Ddim, Deis, DpmSolver, DpmSolverPlusPlus2M, DpmSolverPlusPlus2S, EdmHeun,
    EulerMaruyama, ExponentialAdams, ExponentialIntegrator, Extrapolation, FrozenDenoiser, FrozenScore,
    LinearProcess, LinearVp, LocallyMomentMatched, Method, Mixture, MixtureField, MomentMatched, Ou,
    PredictorCorrector, ProbabilityFlowHeun, ReverseSde, UniPc, UniPcVariant, VariancePreserving, grid,
};

use crate::{LEAST_NOISE, MOST_NOISE};

pub(crate) type RingModel = Model<MixtureField<f64, Ou>, Ou>;

/// A method with its parameters.
pub(crate) struct Candidate {
    pub(crate) name: &'static str,
    pub(crate) deterministic: bool,
    /// Whether it has a line in the picture; those that have none are equal to one that has, or near it.
    pub(crate) drawn: bool,
    pub(crate) method: Box<dyn Method<f64, RingModel>>,
}

/// All methods, as they are for a budget of model calls.
pub(crate) fn candidates(target: &Mixture, budget: usize) -> Result<Vec<Candidate>, Error> {
    let mut all = Vec::new();
    let mut add = |deterministic, drawn, name, method| {
        all.push(Candidate { name, deterministic, drawn, method });
    };
    let two_calls = |churn: f64| EdmHeun {
        churn,
        steps: (budget / 2).max(1),
        s_min: 0.0,
        s_max: f64::INFINITY,
        s_noise: 1.0,
    };
    // The total of churn of a reverse SDE with λ = 1.
    let churn = (MOST_NOISE / LEAST_NOISE).ln();

    add(true, true, "DDIM", Box::new(Ddim::new(0.0)?));
    add(true, false, "reverse SDE, λ = 0", Box::new(ReverseSde::new(0.0)?));
    add(true, true, "Heun", Box::new(ProbabilityFlowHeun));
    add(true, false, "EDM Heun, no churn", Box::new(two_calls(0.0)));
    add(true, false, "DPM-Solver-1", Box::new(DpmSolver::new(1)?));
    add(true, true, "DPM-Solver-2", Box::new(DpmSolver::new(2)?));
    add(true, true, "DPM-Solver-3", Box::new(DpmSolver::new(3)?));
    add(true, true, "DPM-Solver++(2S)", Box::new(DpmSolverPlusPlus2S::new(0.0)?));
    add(true, true, "DPM-Solver++(2M)", Box::new(DpmSolverPlusPlus2M::new(0.0)?));
    add(true, false, "exponential Adams 1", Box::new(ExponentialAdams::new(1, 0.0)?));
    add(true, false, "exponential Adams 2", Box::new(ExponentialAdams::new(2, 0.0)?));
    add(true, true, "exponential Adams 3", Box::new(ExponentialAdams::new(3, 0.0)?));
    add(true, true, "exponential Adams 4", Box::new(ExponentialAdams::new(4, 0.0)?));
    add(true, false, "DEIS 1, ratio", Box::new(Deis::new(1, Extrapolation::Ratio)?));
    add(true, false, "DEIS 2, ratio", Box::new(Deis::new(2, Extrapolation::Ratio)?));
    add(true, false, "DEIS 3, ratio", Box::new(Deis::new(3, Extrapolation::Ratio)?));
    add(true, false, "DEIS 4, ratio", Box::new(Deis::new(4, Extrapolation::Ratio)?));
    add(true, true, "DEIS 3, log-SNR", Box::new(Deis::new(3, Extrapolation::LogSnr)?));
    add(true, true, "DEIS 3, time", Box::new(Deis::new(3, Extrapolation::Time)?));
    add(true, true, "UniPC-1", Box::new(UniPc::new(1, UniPcVariant::Bh2)?));
    add(true, true, "UniPC-2", Box::new(UniPc::new(2, UniPcVariant::Bh2)?));
    add(true, true, "UniPC-3", Box::new(UniPc::new(3, UniPcVariant::Bh2)?));

    add(false, true, "Euler–Maruyama", Box::new(EulerMaruyama));
    add(false, true, "exponential integrator", Box::new(ExponentialIntegrator));
    add(false, true, "frozen score", Box::new(FrozenScore));
    add(false, true, "frozen denoiser (DDPM)", Box::new(FrozenDenoiser));
    add(false, true, "moment-matched", Box::new(MomentMatched::new(&target.covariance())?));
    add(false, true, "locally moment-matched", Box::new(LocallyMomentMatched));
    add(false, true, "reverse SDE, λ = 0.5", Box::new(ReverseSde::new(0.5)?));
    add(false, false, "reverse SDE, λ = 1", Box::new(ReverseSde::new(1.0)?));
    add(false, false, "DDIM, η = 0.5", Box::new(Ddim::new(0.5)?));
    add(false, false, "DDIM, η = 1", Box::new(Ddim::new(1.0)?));
    add(false, true, "EDM Heun, churn", Box::new(two_calls(churn)));
    add(false, true, "DPM-Solver++(2M), λ = 1", Box::new(DpmSolverPlusPlus2M::new(1.0)?));
    add(false, true, "DPM-Solver++(2S), η = 1", Box::new(DpmSolverPlusPlus2S::new(1.0)?));
    add(false, false, "exponential Adams 2, λ = 1", Box::new(ExponentialAdams::new(2, 1.0)?));
    add(false, true, "exponential Adams 3, λ = 1", Box::new(ExponentialAdams::new(3, 1.0)?));
    let corrected = PredictorCorrector::new(FrozenDenoiser, 1, 0.16)?;
    add(false, true, "DDPM, corrected", Box::new(corrected));
    add(false, true, "annealed Langevin", Box::new(AnnealedLangevin::new(2, 0.3)?));
    Ok(all)
}

/// A family of grids, from the most noise to the least.
pub(crate) struct Grid {
    pub(crate) name: &'static str,
    pub(crate) of_steps: fn(usize) -> Result<TimeGrid, Error>,
}

/// All grids, in clocks; the first one is that of the comparison of methods.
pub(crate) const GRIDS: [Grid; 9] = [
    Grid { name: "geometric", of_steps: |n| at_ratios(grid::geometric(MOST_NOISE, LEAST_NOISE, n)) },
    Grid {
        name: "polyexponential, ρ = 0.7",
        of_steps: |n| at_ratios(grid::polyexponential(MOST_NOISE, LEAST_NOISE, 0.7, n)),
    },
    Grid {
        name: "polyexponential, ρ = 1.5",
        of_steps: |n| at_ratios(grid::polyexponential(MOST_NOISE, LEAST_NOISE, 1.5, n)),
    },
    Grid { name: "Karras, ρ = 7", of_steps: |n| at_ratios(grid::karras(MOST_NOISE, LEAST_NOISE, 7.0, n)) },
    Grid { name: "Karras, ρ = 3", of_steps: |n| at_ratios(grid::karras(MOST_NOISE, LEAST_NOISE, 3.0, n)) },
    Grid { name: "cosine", of_steps: |n| at_ratios(grid::cosine(MOST_NOISE, LEAST_NOISE, n)) },
    Grid { name: "two phases", of_steps: |n| ends().and_then(|(from, to)| grid::two_phase(from, to, n)) },
    Grid { name: "uniform clock", of_steps: |n| ends().and_then(|(from, to)| grid::uniform(from, to, n)) },
    Grid { name: "uniform time, linear β", of_steps: linear_beta },
];

fn at_ratios(ratios: Result<TimeGrid, Error>) -> Result<TimeGrid, Error> {
    grid::at_ratios(&Ou, &ratios?)
}

/// The clocks at the ends.
fn ends() -> Result<(f64, f64), Error> {
    Ok((Ou.time_at_ratio(MOST_NOISE)?.t, Ou.time_at_ratio(LEAST_NOISE)?.t))
}

/// Equal steps of the time of the process with β from 0.1 to 20, as clocks.
fn linear_beta(steps: usize) -> Result<TimeGrid, Error> {
    let process = LinearVp::new(0.1, 20.0)?;
    let times = grid::uniform_in(&process, MOST_NOISE, LEAST_NOISE, steps)?;
    TimeGrid::from_nodes(times.nodes().iter().map(|&time| process.clock(time)).collect())
}
