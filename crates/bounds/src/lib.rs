//! What is known of the error of a generative sampler: theorems as functions, exact terms, certificates.
//!
//! | what | where |
//! |---|---|
//! | a strict bound of KL for a run, with named terms, or the reason why there is none | [`certify`], [`Certificate`], [`NoTheorem`] |
//! | the curve of the mean square error of a law, which everything else is a functional of | [`curve`] |
//! | a bound of the cross-entropy from held-out data, for a model one cannot see into | [`held_out`] |
//! | exact discretization terms of a grid, for every scheme | [`terms`] |
//! | theorems with explicit constants, term by term | [`theorem`] |
//! | what starting from pure noise costs | [`initial`] |
//! | how many steps, where, from what noise, by which sampler | [`plan`] |
//! | path divergences of jump processes | [`jump`] |
//! | divergences between Gaussians and between finite laws, distances between samples with standard errors | [`divergence`] |
//! | a bound of one divergence from a bound of another | [`inequality`] |
//!
//! # Kinds of statement
//! *Certified*: a [`Certificate`], every term of which is proved or measured without bias from a known law.
//! *Held out*: what data say of a model that is not known, a [`held_out::CrossEntropyBound`].
//! *Measured*: a [`numeric::Estimate`] with its standard error. *Unknown*: a [`NoTheorem`] with its reason. They are
//! types of their own, and none turns into another. All divergences are in nats and all clocks are those of the
//! Ornstein–Uhlenbeck process `dX = −X dτ + √2 dB`.
//!
//! # Features
//! - `sde` (default): certificates of the samplers of `sde-core`.
//! - `ctmc` (default): path divergences of the chains of `ctmc`.
//! - `serde`: serialisation of results.
#![doc(test(attr(deny(warnings))))]

#[cfg(feature = "sde")]
mod certificate;
#[cfg(feature = "sde")]
mod chain;
pub mod curve;
pub mod divergence;
#[cfg(feature = "sde")]
pub mod held_out;
pub mod inequality;
pub mod initial;
pub mod jump;
pub mod plan;
pub mod terms;
pub mod theorem;

#[cfg(feature = "sde")]
pub use certificate::{Certifiable, Certificate, NoTheorem, Paths, Source, Term, certify};
#[cfg(feature = "sde")]
pub use chain::{chain_kl, chain_kl_steps};
