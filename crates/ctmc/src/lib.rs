//! Continuous-time Markov chains: generators, exact laws, exact and leaping simulation, reaction networks, and discrete
//! denoising.
//!
//! # Overview
//! | what | types |
//! |---|---|
//! | a *generator* Q of rates | [`Generator`]: [`Dense`], [`Sparse`], [`BirthDeath`], [`Refresh`] (uniform, absorbing, any law, two states), [`DiscretisedGaussian`] |
//! | a *schedule* β(t) that scales it in time | [`TimeChange`] |
//! | the *law* after a time, $`e^{tQ}`$, as a matrix | [`Refresh::kernel`] (closed form), [`Spectral`] (reversible), [`Kernel::of`] (any) |
//! | its product with one law or function, for large chains | [`evolve`], [`expectation`], [`occupation`] |
//! | stationary laws, detailed balance, spectral gaps | [`Generator::stationary`], [`detailed_balance_defect`], [`Spectral::gap`] |
//! | mixing times | [`mixing_time`], [`Spectral::mixing_bounds`] |
//! | when and where a set is first hit, chains that stop there | [`hitting`] |
//! | independent coordinates, the hypercube | [`ProductChain`] |
//! | noised data | [`Refresh::sample_transition`], [`Kernel::sample`] |
//! | exact paths | [`Simulation`] |
//! | reaction networks: chains on counts of species, their paths, leaps and master equations | [`network`] |
//! | discrete denoising: reverse rates, samplers, exact models, likelihood bounds | [`denoise`] |
//!
//! # Conventions
//! - States are `u32` from 0. Entry (i, j) of a generator or kernel is the rate or probability of i → j; laws are row
//!   vectors, functions column vectors. Rates and probabilities are `f64`, in units of the chain's time.
//! - Kernels have no negative entries, and rows that sum to 1 to rounding. Nothing small is cut off or added to a
//!   denominator.
//! - What a truncated series leaves out is returned and at most the tolerance asked for; rounding comes on top.
//! - Row i of any sample depends on the noise and i only: the same bits for any number of threads or shards.
//!
//! # Which law?
//! - [`Refresh`] wherever the chain has that form: closed forms, no matrices.
//! - [`Spectral`] for many times of one reversible chain, to a few $`S \cdot 10^{-16}`$ in absolute terms.
//! - [`Kernel::of`] for any chain, with the digits of tiny probabilities if asked for.
//! - [`evolve`] where a matrix does not fit into memory: $`10^5`$ to $`10^6`$ states with few destinations each.
//!
//! # What this crate is not
//! It holds no neural networks and trains none: a network is a closure that writes logits, and the training batches of
//! [`denoise::objective`] are plain arrays.
#![doc(test(attr(deny(warnings))))]

pub mod denoise;
mod elimination;
mod generator;
pub mod hitting;
mod kernel;
mod law;
mod mixing;
pub mod network;
mod product;
mod simulate;
mod spectral;
mod stationary;
mod time_change;
mod uniformization;

pub use generator::{
    BirthDeath, Dense, DiscretisedGaussian, Generator, Refresh, Sparse, detailed_balance_defect,
};
pub use kernel::Kernel;
pub use mixing::{MixingTime, mixing_distance, mixing_time, product_mixing_time};
pub use numeric;
pub use product::ProductChain;
pub use simulate::{ChainPath, Method, Simulation, Start};
pub use spectral::Spectral;
pub use time_change::TimeChange;
pub use uniformization::{Evolved, evolve, expectation, occupation};
