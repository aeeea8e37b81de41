//! What is known of the error of a generative sampler: theorems as functions, exact terms, certificates.
//!
//! | what | where |
//! |---|---|
//! | a strict bound of KL for a run, with named terms, or the reason why there is none | [`certify`], [`Certificate`], [`NoTheorem`] |
//! | the curve of the mean square error of a law, which everything else is a functional of | [`curve`] |
//! | exact discretization terms of a grid, for every scheme | [`terms`] |
//! | theorems with explicit constants, term by term | [`theorem`] |
//! | what starting from pure noise costs | [`initial`] |
//! | divergences between Gaussians and between finite laws, distances between samples with standard errors | [`divergence`] |
//! | a bound of one divergence from a bound of another | [`inequality`] |
//!
//! # Three kinds of statement
//! *Certified*: a [`Certificate`], every term of which is proved or measured without bias from a known law.
//! *Measured*: a [`numeric::Estimate`] with its standard error. *Unknown*: a [`NoTheorem`] with its reason. They are
//! three types, and none turns into another. All divergences are in nats and all clocks are those of the
//! Ornstein–Uhlenbeck process `dX = −X dτ + √2 dB`.
//!
//! # Features
//! - `sde` (default): certificates of the samplers of `sde-core`.
//! - `serde`: serialisation of results.
#![doc(test(attr(deny(warnings))))]

#[cfg(feature = "sde")]
mod certificate;
pub mod curve;
pub mod divergence;
pub mod inequality;
pub mod initial;
pub mod terms;
pub mod theorem;

#[cfg(feature = "sde")]
pub use certificate::{Certifiable, Certificate, NoTheorem, Paths, Source, Term, certify, chain_kl};
