//! Guided models: a model steered by a condition is again a model, and every sampler takes it.
//!
//! | what is known of the condition | guided model |
//! |---|---|
//! | a model with it and a model without it | [`classifier_free`] |
//! | a gradient `∇ log p(y \| x_t)`, as of a classifier | [`by_gradient`] |
//! | a linear observation of `x_0`, and the model's posterior covariance | [`by_covariance`] |
//! | a linear observation of `x_0`, and products with the model's Jacobian | [`by_products`] |
//! | the law of the data, as a mixture | none is needed: [`Mixture::posterior`](crate::Mixture::posterior) is exact |
//!
//! A condition that differs from row to row is looked up by the absolute number of the row: labels in [`by_label`], values
//! that were observed in [`Observations`].
//!
//! # How exact is it?
//! The score of the conditional law is `∇ log q_t(x) + ∇ log p(y | x_t)`. [`by_gradient`] with the exact gradient and
//! scale 1 is therefore the conditional model, as is [`classifier_free`] with weight 1. Any other scale or weight w
//! gives a field that is the score of no noised law: what is sampled is *not* ∝ `q(x) p(y|x)^w`.
//! [`by_covariance`] and [`by_products`] take the posterior of `x_0` given `x_t` for a Gaussian: exact for Gaussian
//! data, and else an approximation that no theorem bounds.

mod by_covariance;
mod by_gradient;
mod by_label;
mod by_products;
mod classifier_free;
mod observations;

use numeric::{Error, Level, Model, Prediction};

pub use by_covariance::{ByCovariance, by_covariance};
pub use by_gradient::{ByGradient, by_gradient};
pub use by_label::{ByLabel, by_label};
pub use by_products::{ByProducts, ConjugateGradients, by_products};
pub use classifier_free::{ClassifierFree, classifier_free};
pub use observations::Observations;

use crate::LinearObservation;

/// What stands for the law of an observation `y = A x_0 + e`, e ~ N(0, R), given `x_t`: `N(A m, S)` with the
/// posterior mean m of `x_0`, and this S.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Likelihood {
    /// `S = A Σ Aᵀ + R` with the posterior covariance Σ of `x_0`: exact for Gaussian data (MMPS).
    ///
    /// Rozet, Andry, Lanusse, Louppe (2024), *Learning diffusion priors from observations by expectation
    /// maximization*.
    MomentMatched,
    /// `S = c σ²/(α² c + σ²) A Aᵀ + R`, exact for data N(·, c I) (ΠGDM, where c = 1).
    ///
    /// Song, Vahdat, Mardani, Kautz (2023), *Pseudoinverse-guided diffusion models for inverse problems*.
    Isotropic {
        /// Variance c > 0 of a coordinate of the data.
        data_variance: f64,
    },
    /// `S = R`, as if `x_0` were its posterior mean (DPS): the cheapest, and too strong wherever R is small against
    /// `A Σ Aᵀ`. R must be positive definite.
    ///
    /// Chung, Kim, Mccann, Klasky, Ye (2023), *Diffusion posterior sampling for general noisy inverse problems*,
    /// theorem 1 (with the factor of the theorem, not the normalised step of their algorithm).
    Point,
}

impl Likelihood {
    /// Whether it can be used with the observation.
    fn check(self, observation: &LinearObservation) -> Result<(), Error> {
        match self {
            Likelihood::MomentMatched => Ok(()),
            Likelihood::Isotropic { data_variance } => Error::positive("data_variance", data_variance),
            Likelihood::Point => {
                let smallest = observation.smallest_noise();
                Error::domain(smallest > 0.0, "noise", smallest, "a positive definite noise covariance")
            }
        }
    }

    /// The variance of `x_0` given `x_t` that it takes for granted, if it does.
    fn fixed_variance(self, level: Level) -> Option<f64> {
        let Level { alpha, sigma, .. } = level;
        match self {
            Likelihood::MomentMatched => None,
            Likelihood::Isotropic { data_variance: c } => {
                Some(c * sigma * sigma / (alpha * alpha * c + sigma * sigma))
            }
            Likelihood::Point => Some(0.0),
        }
    }
}

/// The raw network of EDM is given a scaled input, and is no function of `x` alone.
fn refuse_edm<V, S>(method: &'static str, model: &Model<V, S>) -> Result<(), Error> {
    if matches!(model.prediction, Prediction::Edm { .. }) {
        let reason =
            "a model that predicts as EDM does is given scaled rows; convert it with `Model::predicting`";
        return Err(Error::Unsupported { method, reason });
    }
    Ok(())
}
