//! Denoisers that are exact: oracles for samplers and bounds, and usable models of small data.
//!
//! | the law of the data | types |
//! |---|---|
//! | rows with weights | [`EmpiricalDenoiser`] |
//! | independent tokens | [`ProductDenoiser`] |
//! | a mixture of such laws, fitted by EM | [`ProductMixture`], [`fit_product_mixture`], [`MixtureDenoiser`] |
//!
//! Each is Bayes' rule in closed form, for any [`Noising`](super::Noising):
//!
//! ```math
//! p(x_0^d = v \mid x_t) \propto \sum_{x_0 :\, x_0^d = v} p(x_0) \prod_{e=1}^{D} q_{t|0}(x_t^e \mid x_0^e) .
//! ```
//!
//! Conditioning on known tokens stays within each family ([`EmpiricalDenoiser::given`], [`ProductMixture::given`]): the
//! result is a model of the other tokens, and any sampler runs it.

mod empirical;
mod fit;
mod mixture;
mod mixture_denoiser;
mod product;
mod rows;

pub use empirical::EmpiricalDenoiser;
pub use fit::{FitOptions, MixtureFit, fit_product_mixture};
pub use mixture::ProductMixture;
pub use mixture_denoiser::MixtureDenoiser;
pub use product::ProductDenoiser;
