//! Diffusions on R^d: variance-preserving processes, analytic targets, and reverse-time samplers.
//!
//! # Overview
//! A reverse-time run is a composition of four independent values:
//!
//! | value | types |
//! |---|---|
//! | a *process* that turns data into noise | [`Ou`], [`LinearVp`], [`CosineVp`] ([`VariancePreserving`]) |
//! | a *model* of it: a field that predicts something | [`numeric::Model`]; exact ones from [`Mixture`] |
//! | a *method* that takes one step back | [`EulerMaruyama`], [`ExponentialIntegrator`], [`FrozenScore`], [`FrozenDenoiser`], [`MomentMatched`], [`LocallyMomentMatched`], [`ProbabilityFlowHeun`] |
//! | a *grid* of times | [`grid::uniform`], [`grid::two_phase`], [`grid::geometric_v`] |
//!
//! and a [`Sampler`] is model, method and grid; it draws any rows of the sample from a [`numeric::Noise`].
//!
//! Ordinary differential equations are in [`ode`]: fixed and adaptive solvers (explicit and for stiff problems), events,
//! and the probability flow of a model, which encodes and decodes; `ln p(x)` along it is in [`likelihood`].
//!
//! # Which method?
//! - [`LocallyMomentMatched`] where the posterior covariance is known: second order, the least error by far.
//! - [`MomentMatched`] for any denoiser, given the data's covariance: exact for Gaussian data.
//! - [`FrozenDenoiser`] (DDPM) if nothing is known of the data.
//! - [`ExponentialIntegrator`] and [`EulerMaruyama`] to compare with theory and with other libraries.
//! - [`ProbabilityFlowHeun`] for a deterministic map from noise to data; [`ode::ProbabilityFlow`] with [`ode::Tsit5`]
//!   where it is to be exact, or inverted.
//!
//! # What this crate is not
//! It trains no networks and holds none: a network is a [`numeric::VectorField`] of yours. Certificates of what
//! a run got wrong are in the crate `girsanov-bounds`.
#![doc(test(attr(deny(warnings))))]

pub mod fit;
pub mod grid;
mod integrator;
pub mod likelihood;
mod method;
mod mixture;
pub mod ode;
mod run;
mod sampler;
mod schedule;
mod sde;

pub use integrator::{Integrator, Needs, Orders, SdeStep};
pub use method::{
    EulerMaruyama, ExponentialIntegrator, FrozenDenoiser, FrozenScore, GaussianStep, History,
    LocallyMomentMatched, Method, MomentMatched, ProbabilityFlowHeun, Spread, Step, add_noise, gaussian_step,
    ln_step_density,
};
pub use mixture::{Component, Covariance, Mixture, MixtureField};
pub use numeric;
pub use run::{Keep, Start, StateMap, Statistics, Trajectory};
pub use sampler::Sampler;
pub use schedule::{CosineVp, LinearProcess, LinearVp, Ou, VariancePreserving, transition};
pub use sde::{NoiseClass, Reading, Sde};
