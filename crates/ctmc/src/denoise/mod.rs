//! Discrete denoising: data noised by a chain in every coordinate, and made again by its time reversal.
//!
//! | what | types |
//! |---|---|
//! | the forward process $`q_{t|0}`$ | [`Noising`] |
//! | what a network or an exact model knows: clean tokens given noised ones | [`Denoiser`], [`denoiser_from_fn`], [`ratios_from_fn`] |
//! | rates of the reverse chain from either kind of model | [`Reversal`] |
//! | exact denoisers of data | [`exact`] |
//! | what models are trained with, and bounds of likelihoods | [`objective`] |

mod denoiser;
pub mod exact;
mod likelihood;
mod noising;
pub mod objective;
mod reversal;

pub use denoiser::{Denoiser, Output, denoiser_from_fn, ratios_from_fn};
pub use noising::Noising;
pub use reversal::Reversal;
