//! Discrete denoising: data noised by a chain in every coordinate, and made again by its time reversal.
//!
//! | what | types |
//! |---|---|
//! | the forward process $`q_{t|0}`$ | [`Noising`] |
//! | what a network or an exact model knows: clean tokens given noised ones | [`Denoiser`], [`denoiser_from_fn`], [`ratios_from_fn`] |
//! | rates of the reverse chain from either kind of model | [`Reversal`] |
//! | samplers on a grid of times, correctors, in-painting | [`ReverseSampler`], [`Method`], [`Correction`], [`Origin`] |

mod denoiser;
mod leap;
mod noising;
mod reversal;
mod sampler;
mod two_stage;

pub use denoiser::{Denoiser, Output, denoiser_from_fn, ratios_from_fn};
pub use leap::{JumpRule, LeapCounts};
pub use noising::Noising;
pub use reversal::Reversal;
pub use sampler::{Correction, Denoised, Finish, Method, Origin, ReverseSampler};
