//! Bounds on the error of generative samplers.
//!
//! - [`divergence`]: closed forms between Gaussian laws, and distances between samples with their standard
//!   errors.

pub mod divergence;
