//! Discrete denoising: data noised by a chain in every coordinate, and made again by its time reversal.
//!
//! | what | types |
//! |---|---|
//! | the forward process $`q_{t|0}`$ | [`Noising`] |
//! | what a network or an exact model knows: clean tokens given noised ones | [`Denoiser`], [`denoiser_from_fn`], [`ratios_from_fn`] |
//! | rates of the reverse chain from either kind of model | [`Reversal`] |
//! | ratios as posteriors and back, guidance with and without a predictor | [`PosteriorOf`], [`RatiosOf`], [`Guided`], [`Tilted`] |
//! | samplers on a grid of times, correctors, in-painting | [`ReverseSampler`], [`Method`], [`Correction`], [`Origin`] |
//! | samplers without discretisation | [`first_hitting`] (masks), [`uniformized`] (any) |
//! | discrete flow matching | [`MixturePath`], [`FlowRates`], [`FlowSampler`] |
//! | exact denoisers of data | [`exact`] |
//! | what models are trained with, and bounds of likelihoods | [`objective`] |

mod adapters;
mod denoiser;
pub mod exact;
mod first_hitting;
mod flow;
mod leap;
mod likelihood;
mod method;
mod noising;
pub mod objective;
mod origin;
mod pick;
mod reversal;
mod run;
mod sampler;
mod two_stage;
mod uniformized;

pub use adapters::{Guided, PosteriorOf, RatiosOf, Tilted};
pub use denoiser::{Denoiser, Output, denoiser_from_fn, ratios_from_fn};
pub use first_hitting::first_hitting;
pub use flow::{FlowRates, FlowSampler, Kappa, MixturePath};
pub use leap::{JumpRule, LeapCounts};
pub use method::{Correction, Finish, Method};
pub use noising::Noising;
pub use origin::Origin;
pub use reversal::Reversal;
pub use sampler::{Denoised, ReverseSampler};
pub use uniformized::uniformized;
