//! What models of discrete data are trained with: bounds of the likelihood of each row, in nats, and their training batches.
//!
//! | objective | bounds $`-\ln p_\theta(x_0)`$ | what it asks of the model |
//! |---|---|---|
//! | [`Elbo`], in four forms | yes (one of the forms does not) | posterior or ratios |
//! | [`MaskedElbo`] | yes | posterior, of an absorbing chain |
//! | [`DiscreteElbo`] | yes, of the run over one grid | posterior |
//! | [`ScoreEntropy`] | yes | ratios |
//! | [`CrossEntropy`] | no (auxiliary) | posterior |
//!
//! All are an [`Objective`]. It draws a time and a noised state for each row of data, as a [`TrainingBatch`]: what to give to
//! the model, and the numbers that turn its answer into a loss by a formula that is a few lines in any framework. The same
//! batches, with a [`Denoiser`](super::Denoiser) of this crate, make the values of [`Objective::values`] and
//! [`Objective::estimate`].
//!
//! # Times
//! Row i of draw j has the uniform $`u = U + i\,(\sqrt 5 - 1)/2 + j\,(\sqrt 2 - 1) \bmod 1`$, with U uniform and from the
//! noise alone. Each u is uniform, so that nothing is biased, while those of neighbouring rows and of successive draws spread
//! evenly, whatever the size of the batch; row i is still a function of (noise, i). The integrand of a likelihood bound
//! grows like $`\ln(1/t)`$ near time 0, and much more in single draws, so that uniform times would have heavy tails. Hence
//! $`t = \delta + (T - \delta) u^3`$, and a weight of $`3 (T - \delta) u^2`$ that vanishes at δ.

mod batch;
mod constant;
mod cross_entropy;
mod discrete;
mod elbo;
mod evaluate;
mod forms;
mod loss;
mod masked;
mod score_entropy;
mod times;

pub use batch::{Target, TrainingBatch};
pub use cross_entropy::CrossEntropy;
pub use discrete::DiscreteElbo;
pub use elbo::Elbo;
pub use evaluate::Objective;
pub use forms::Form;
pub use masked::MaskedElbo;
pub use score_entropy::ScoreEntropy;
