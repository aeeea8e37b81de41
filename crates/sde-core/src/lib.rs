//! Diffusions on R^d: noising processes, analytic targets, and reverse-time samplers.
//!
//! # Overview
//! A reverse-time run is a composition of four independent values:
//!
//! | value | types |
//! |---|---|
//! | a *process* that turns data into noise | [`Ou`], [`LinearVp`], [`ScaledLinearVp`], [`CosineVp`], [`DiscreteVp`] ([`VariancePreserving`]); [`SubVp`], [`Ve`], [`Edm`], [`Flow`] ([`LinearProcess`]) |
//! | a *model* of it: a field that predicts something | [`numeric::Model`]; exact ones from [`Mixture`] |
//! | a *method* that takes one step back | [`EulerMaruyama`], [`ExponentialIntegrator`], [`FrozenScore`], [`FrozenDenoiser`], [`MomentMatched`], [`LocallyMomentMatched`], [`ProbabilityFlowHeun`], and those of the table below |
//! | a *grid* of times | of clocks, noise-to-signal ratios, or steps of a discrete chain: see [`grid`] |
//!
//! and a [`Sampler`] is model, method and grid; it draws any rows of the sample from a [`numeric::Noise`]. Where a run
//! starts and what it keeps of its path are [`Start`] and [`Keep`] of [`Sampler::run`]; [`noised`] takes data to any
//! time of a process, to be edited from there.
//!
//! General equations `dX = f dt + g dW` are [`Sde`]s, in either [`Reading`]: solved by the methods of [`integrator`] with
//! fixed steps ([`Solver`]) or steps of each row's own on one Brownian path ([`AdaptiveSolver`]); both give states at any
//! times (`run_at`), as does [`integrator::Baoab`], the first also the crossings of a surface; with jumps
//! ([`JumpDiffusion`]), back in time ([`ReverseTime`]), exactly where the transitions are known ([`ExactTransition`]);
//! weighed against another drift ([`ChangeOfDrift`]), and averaged cheaply ([`multilevel`]).
//!
//! Ordinary differential equations are in [`ode`]: fixed and adaptive solvers (explicit and for stiff problems), events,
//! and the probability flow of a model, which encodes and decodes; `ln p(x)` along it is in [`likelihood`].
//!
//! # Which method?
//! - [`LocallyMomentMatched`] where the posterior covariance is known: second order, the least error by far. Of any
//!   denoiser with Jacobian products [`ApproximateCovariance`] makes one, in as many directions as can be paid for.
//! - [`MomentMatched`] for any denoiser, given the data's covariance: exact for Gaussian data.
//! - [`FrozenDenoiser`] (DDPM) if nothing is known of the data.
//! - [`ExponentialIntegrator`] and [`EulerMaruyama`] to compare with theory and with other libraries.
//! - [`ProbabilityFlowHeun`] for a deterministic map from noise to data; [`ode::ProbabilityFlow`] with [`ode::Tsit5`]
//!   where it is to be exact, or inverted.
//!
//! With few evaluations of a network, or to compare with other libraries, for every process (in u = x/α all give the
//! same paths):
//!
//! | method | model calls per step | order of the ODE | stochastic? |
//! |---|---|---|---|
//! | [`DpmSolverPlusPlus2M`]: the usual choice | 1 | 2 | λ ≥ 0, weak order 2 |
//! | [`UniPc`] of order p: the most accurate smooth one at few steps | 1 | p + 1 ≤ 4 | no |
//! | [`ExponentialAdams`] of order p: DPM-Solver++(2M), (3M) and their SDE forms | 1 | p ≤ 4 | λ ≥ 0, weak order min(p, 2) |
//! | [`Deis`] of order p: also ρAB or LMS | 1 | p ≤ 4 | no |
//! | [`DpmSolver`] of order p, [`DpmSolverPlusPlus2S`]: no memory of earlier steps | p ≤ 3, 2 | p, 2 | no, η ≤ 1 |
//! | [`SdeDpmSolverPlusPlus2S`]: the stochastic one of these | 2 | 2 | λ ≥ 0, weak order 2 |
//! | [`AdaptiveDpmSolver`]: DPM-Solver-12 and -23, steps of each row's own (no [`Method`]: it runs by itself) | 2 or 3 per try | 2, 3 | no |
//! | [`EdmHeun`]: Heun with churn | 2 | 2 | churn |
//! | [`ReverseSde`], [`Ddim`]: DDIM to DDPM; Gaussian steps, so that there are certificates | 1 | 1 | λ ≥ 0, η ≤ 1 |
//! | [`PredictorCorrector`] around any of them, [`AnnealedLangevin`] | + correctors | | yes |
//!
//! # Conditions
//! - Given a linear observation of the data: [`Mixture::posterior`] is exact for a mixture; the models of [`guidance`]
//!   steer any other, and by labels or gradients too.
//! - Given where a path ends: [`LinearBridge`] for a linear process, [`DoobTransform`] for any equation.
//!
//! # What this crate is not
//! It trains no networks and holds none: a network is a [`numeric::VectorField`] of yours. Certificates of what
//! a run got wrong are in the crate `girsanov-bounds`.
#![doc(test(attr(deny(warnings))))]

mod apart;
mod approximate_covariance;
mod bridge;
mod diagonal_covariance;
mod elimination;
pub mod fit;
pub mod grid;
pub mod guidance;
pub mod integrator;
mod jump;
mod lanes;
pub mod likelihood;
mod method;
mod mixture;
mod multilevel;
pub mod ode;
mod path;
mod run;
mod sampler;
mod schedule;
mod sde;
mod sum;

pub use approximate_covariance::ApproximateCovariance;
pub use bridge::{BridgeKernel, BrownianMotion, DoobTransform, LinearBridge, ScaledOu};
pub use diagonal_covariance::DiagonalCovariance;
pub use integrator::{AdaptiveSolver, Integrator, Needs, Orders, SdeStep, Solver, Tolerance};
pub use jump::{JumpDiffusion, JumpRun};
pub use method::{
    AdaptiveDpmSolver, AnnealedLangevin, Ddim, Deis, DpmSolver, DpmSolverPlusPlus2M, DpmSolverPlusPlus2S,
    EdmHeun, EulerMaruyama, ExponentialAdams, ExponentialIntegrator, Extrapolation, FrozenDenoiser,
    FrozenScore, GaussianStep, History, LocallyMomentMatched, Method, MomentMatched, PredictorCorrector,
    ProbabilityFlowHeun, ReverseSde, SdeDpmSolverPlusPlus2S, Spread, Step, UniPc, UniPcVariant, add_noise,
    gaussian_step, ln_step_density,
};
pub use mixture::{Component, Covariance, LinearObservation, Mixture, MixtureField};
pub use multilevel::{LevelReport, Multilevel, MultilevelEstimate, multilevel};
pub use numeric;
pub use path::{ChangeOfDrift, Drawn, WeightedPaths};
pub use run::{Keep, Start, StateMap, Statistics, Trajectory};
pub use sampler::Sampler;
pub use schedule::{
    CosineVp, DiscreteVp, DriftDiffusion, Edm, Flow, LinearProcess, LinearVp, Ou, ScaledLinearVp, SubVp,
    VariancePreserving, Ve, cosine_betas, linear_betas, noised, scaled_linear_betas,
};
pub use sde::{
    Additive, CoxIngersollRoss, CriticallyDamped, Diagonal, ExactTransition, General, GeometricBrownian,
    InReading, NoiseClass, OrnsteinUhlenbeck, OverdampedLangevin, PairKernel, Reading, ReverseTime, Sde,
    UnderdampedLangevin, WithNoiseDerivative, add_noise_drift, as_ito, as_stratonovich, problems,
    with_noise_derivative,
};
