//! What is drawn for one step of training.

use numeric::ndarray::{Array2, Array3};
use numeric::{Batch, Time, Times};

/// Noised states with their times, and what makes a loss of the model's answer.
///
/// All arrays have one entry or row for each row of the batch. Losses are in nats and estimate the objective of their row
/// without bias; [`losses`](TrainingBatch::losses) computes them, with an example in [`Objective`](super::Objective).
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingBatch {
    /// Absolute row numbers, by which a model looks up labels.
    pub rows: Vec<u64>,
    /// Times, to be given to the model.
    pub times: Vec<Time>,
    /// Noised states `(n, D)`, to be given to the model.
    pub noised: Array2<u32>,
    /// What its answer is compared with.
    pub target: Target,
    /// What is added to the losses and does not depend on the model, so that their mean is the whole objective.
    pub constants: Vec<f64>,
}

/// What the answer of the model is compared with, and how.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// Clean tokens: $`\sum_d -w_d \ln p(x_0^d \mid x_t)`$, for posteriors.
    Tokens {
        /// The clean tokens $`x_0`$, `(n, D)`.
        clean: Array2<u32>,
        /// The weights w, `(n, D)`.
        weights: Array2<f64>,
    },
    /// Rates of the reverse chain: $`a \sum_{d,s} \hat R^d(x, s) - \sum_{d,s} b_{ds} \ln \hat R^d(x, s)`$ over
    /// $`s \ne x^d`$, where $`\hat R`$ is what [`Reversal`](crate::denoise::Reversal) makes of the model's answer.
    Rates {
        /// The weights a of the total rate, `(n)`.
        totals: Vec<f64>,
        /// The weights b, `(n, D, S)`.
        logs: Array3<f64>,
    },
    /// Ratios: $`\sum_{d,v} w_{dv} \bigl( s_{dv} - r_{dv} \ln s_{dv} + r_{dv} (\ln r_{dv} - 1) \bigr)`$ for a model
    /// with ratios s.
    Ratios {
        /// The ratios r given the clean data, `(n, D, S)`.
        ratios: Array3<f64>,
        /// The weights w, `(n, D, S)`.
        weights: Array3<f64>,
    },
    /// Laws of the tokens at an earlier time s: $`w \sum_d \mathrm{KL}\bigl(\ell^d \,\|\, p^d_{s|t}(\cdot \mid x)\bigr)`$
    /// with $`p^d_{s|t}(y \mid x) = \sum_v q_{s|0,t}(y \mid v, x^d)\, p(x_0^d = v \mid x)`$, for posteriors.
    Steps {
        /// The earlier times s, `(n)`.
        earlier: Vec<f64>,
        /// The laws ℓ given the clean data, `(n, D, S)`.
        laws: Array3<f64>,
        /// The weights w, `(n)`.
        weights: Vec<f64>,
    },
}

impl TrainingBatch {
    /// What the model is given.
    ///
    /// # Panics
    /// If the lengths of the public fields have been made to disagree.
    #[must_use]
    pub fn inputs(&self) -> Batch<'_, u32> {
        Batch::new(&self.rows, Times::PerRow(&self.times), &self.noised)
    }
}
