//! Certificates from a model that one cannot see into: what held-out data say of any Gaussian sampler.
//!
//! | statement | type | what it assumes |
//! |---|---|---|
//! | `E_{q_δ}[−log p_N] ≤ …`, the cross-entropy of the sampler's law | [`CrossEntropyBound`] | held-out rows |
//! | `E[−log p(x_0)] ≤ …`, nats or bits per dimension of the data themselves | [`LikelihoodBound`] | and a decoder |
//! | `KL(q_δ ‖ p_N) ≤ …` | [`StrictBound`] | and a lower bound of the information of the data |
//! | how a grid fares with the model's own error curve | [`OwnCurveTerm`] | nothing: it is no bound |
//!
//! They are four types, and a [`Certificate`](crate::Certificate), the strict bound for a known law, is a fifth; none
//! turns into another but by the methods that say what they assume.
//!
//! # Statement
//! Let `q_τ(· | x_0)` be the Ornstein–Uhlenbeck process from the data point `x_0`, observed at the nodes
//! `T = τ_0 > … > τ_N = δ > 0`, and `p` the law of the sampler: `N(0, I)`, then the Gaussian steps `p_k(x' | x)`.
//! For *every* model and every such method,
//!
//! ```math
//! \mathbb{E}_{q_\delta}[-\log p_N] \le \mathbb{E}_{x_0} \Big[ \mathrm{KL}\big(q_T(\cdot | x_0) \,\|\, N(0, I)\big)
//!   + \sum_k \mathbb{E}\, \mathrm{KL}\big(q(\cdot | x_{\tau_k}, x_0) \,\|\, p_k(\cdot | x_{\tau_k})\big) \Big]
//!   + \tfrac d2 \log(2 \pi e\, \sigma_\delta^2) .
//! ```
//!
//! *Proof.* Given `x_0` the forward process is Markov backwards too, with steps `q(x_{k+1} | x_k, x_0)`. By the chain
//! rule the bracket is the divergence of its path from the sampler's; by data processing it is at least
//! `KL(q_δ(·|x_0) ‖ p_N)`. That is `E[−log p_N(x_δ) | x_0]` less the entropy of `q_δ(·|x_0) = N(e^{-δ} x_0, σ_δ² I)`,
//! which is the last term for every `x_0`. Take the mean over `x_0`. Nothing was asked of the model. ∎
//!
//! Both `q(x' | x, x_0)` and `p_k` are Gaussian, so that each divergence is taken in closed form at a draw of
//! `x_{τ_k} | x_0` (a Rao–Blackwellised estimator, without bias; one draw for each row and node, all independent given
//! the row). With `Δη = 1/v' − 1/v`, `v = e^{2τ} − 1` and the residual `r = x_0 − m̂` it is `½ Δη |r|²` for the frozen
//! denoiser, and for a step with a posterior covariance Σ̂
//!
//! ```math
//! \tfrac12 \log\det(I + \Delta\eta \hat\Sigma) + \tfrac12 r^\top \Delta\eta (I + \Delta\eta \hat\Sigma)^{-1} r
//!   - \tfrac12 \mathrm{tr}\big[\Delta\eta \hat\Sigma (I + \Delta\eta \hat\Sigma)^{-1}\big] .
//! ```
//!
//! # The interval
//! The value of a row is one number, the sum over all steps, and there is *one* interval for its mean over the rows:
//! see [`Interval`]. For [`Interval::EmpiricalBernstein`] a step must know its range, a [`StepRange`]: with data and
//! denoiser in a ball of radius R, `|r| ≤ 2R`, and with c the distance of its centre from the origin a row's value lies
//! between
//!
//! ```math
//! L = \tfrac12 e^{-2T} \max(0, c - R)^2 + K + \sum_k \text{floor}_k \quad\text{and}\quad
//! L + \tfrac12 e^{-2T} \big( (c + R)^2 - \max(0, c - R)^2 \big) + 4 R^2 \sum_k \text{slope}_k, \qquad
//! K = \tfrac d2 \big( -e^{-2T} - \log(1 - e^{-2T}) \big) .
//! ```
//! The slopes are `½ Δη` for [`FrozenDenoiser`](sde_core::FrozenDenoiser), `½ Δη v'/v` for
//! [`FrozenScore`](sde_core::FrozenScore), `½ Δη max_i 1/(1 + Δη c_i v/(c_i + v))` for
//! [`MomentMatched`](sde_core::MomentMatched); the floors, the divergence at `r = 0`, are `½ Σ_i (a_i − 1 − log a_i)`
//! with `a_i` the ratio of the variance of the bridge to that of the step. The other methods have no known range and
//! are refused.
//!
//! # References
//! Ho, Jain, Abbeel (2020), *Denoising diffusion probabilistic models*, section 3, for the bound; Kingma, Salimans,
//! Poole, Ho (2021), *Variational diffusion models*, section 4, for its form in the signal-to-noise ratio.

mod curve;
mod interval;
mod likelihood;
mod measure;
mod project;
mod step;
mod strict;

use std::fmt;

use numeric::ndarray::ArrayRef2;
use numeric::{Control, Error, Estimate, Model, Noise, TimeGrid, VectorField};
use sde_core::VariancePreserving;

pub use curve::{MeasuredCurve, OwnCurveTerm};
pub use interval::Interval;
pub use likelihood::{Decoder, LikelihoodBound, Row, likelihood_bound};
pub use project::ProjectedDenoiser;
pub use step::{HeldOutStep, StepRange};
pub use strict::{InformationBound, StrictBound};

use interval::RowMean;

/// Held-out data, and how a mean over them is measured.
#[derive(Clone, Debug)]
pub struct HeldOut<'a> {
    /// The rows, `(n, d)`: independent draws from the law of the data, which the model has not been made from.
    pub data: &'a ArrayRef2<f64>,
    /// Noise of the forward process: the draws of row i are a function of (noise, i). The same noise gives the same
    /// draws for every method and model.
    pub noise: Noise,
    /// Kind of the interval.
    pub interval: Interval,
}

/// A bound of the cross-entropy `E_{q_δ}[−log p_N]`, in nats; made by [`cross_entropy_bound`].
///
/// It is a statement about densities of the noised data and by itself no number of bits: those take a decoder, see
/// [`likelihood_bound`]. It exceeds `KL(q_δ ‖ p_N)` by the entropy of `q_δ`, which data do not tell.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct CrossEntropyBound {
    paths: RowMean,
    noise_entropy: f64,
    interval: Interval,
    curve: MeasuredCurve,
}

impl CrossEntropyBound {
    /// The measured bound, in nats: the mean over the rows. Its expectation is at least the cross-entropy.
    #[must_use]
    pub fn nats(&self) -> f64 {
        self.estimate().mean
    }

    /// Mean and standard error over the rows, in nats.
    #[must_use]
    pub fn estimate(&self) -> Estimate {
        let Estimate { mean, std_error, n } = self.paths.estimate;
        Estimate { mean: mean + self.noise_entropy, std_error, n }
    }

    /// The cross-entropy is below this with the given level of confidence, in nats. See [`Interval`] for what kind of
    /// confidence it is.
    ///
    /// # Errors
    /// [`Error::Domain`] unless 0 < `level` < 1.
    pub fn upper(&self, level: f64) -> Result<f64, Error> {
        Ok(self.paths.upper(level)? + self.noise_entropy)
    }

    /// Two-sided interval for the *expectation of the bound*, in nats; the cross-entropy itself may be below it.
    ///
    /// # Errors
    /// [`Error::Domain`] unless 0 < `level` < 1.
    pub fn interval(&self, level: f64) -> Result<(f64, f64), Error> {
        let (low, high) = self.paths.interval(level)?;
        Ok((low + self.noise_entropy, high + self.noise_entropy))
    }

    /// Kind of the interval.
    #[must_use]
    pub fn kind(&self) -> &Interval {
        &self.interval
    }

    /// The range that a row's value is known to lie in, in nats; `None` for the asymptotic interval.
    #[must_use]
    pub fn range(&self) -> Option<(f64, f64)> {
        self.paths.range.map(|(low, high)| (low + self.noise_entropy, high + self.noise_entropy))
    }

    /// The error of the model's denoiser at the nodes, from the same draws.
    #[must_use]
    pub fn curve(&self) -> &MeasuredCurve {
        &self.curve
    }

    /// A strict bound of KL, given a lower bound of the information that the noised data have of the data.
    ///
    /// ```math
    /// \mathrm{KL}(q_\delta \,\|\, p_N) = \mathbb{E}_{q_\delta}[-\log p_N] - h(q_\delta), \qquad
    /// h(q_\delta) = I(X_0; X_\delta) + \tfrac d2 \log(2 \pi e\, \sigma_\delta^2) .
    /// ```
    ///
    /// It assumes that the bound of the information is true of the law that the rows were drawn from, on top of what
    /// the interval assumes. An information at clock τ ≥ δ bounds that at δ from below, by data processing.
    ///
    /// ```
    /// use bounds::held_out::{HeldOut, InformationBound, Interval, cross_entropy_bound};
    /// use numeric::{Noise, ndarray::array};
    /// use sde_core::{FrozenDenoiser, Mixture, Ou, grid};
    /// # fn main() -> Result<(), numeric::Error> {
    /// let coin = Mixture::atoms(&array![[-1.0], [1.0]], None)?;
    /// let data = coin.sample(0..400, 1.0, 0.0, Noise::new(1))?;
    /// let held_out = HeldOut { data: &data, noise: Noise::new(2), interval: Interval::Asymptotic };
    /// let grid = grid::geometric_v(3.0, 0.02, 40)?;
    /// let model = coin.denoiser(Ou);
    /// let bound = cross_entropy_bound(&held_out, &model, &FrozenDenoiser, &grid, Default::default())?;
    /// let information = InformationBound::of_separated_points(2.0_f64.ln(), 2, 2.0, 0.02)?;
    /// let strict = bound.with_information(information)?;
    /// assert!(strict.nats() > 0.0 && strict.upper(0.99)? < 0.2);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::Domain`] if the information is that of a clock below the last node's.
    pub fn with_information(&self, information: InformationBound) -> Result<StrictBound, Error> {
        let clocks = self.curve.clocks();
        StrictBound::new(self.paths, clocks[clocks.len() - 1], information)
    }
}

impl fmt::Display for CrossEntropyBound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Estimate { mean, std_error, n } = self.estimate();
        write!(f, "E[−log p] ≤ {mean:.4} ± {std_error:.4} nats (n = {n}, {})", self.interval)
    }
}

/// The bound of the cross-entropy of a sampler from held-out data.
///
/// The statement, its proof and the estimator are those of the [module](self); the process is that of the model.
///
/// ```
/// use bounds::held_out::{HeldOut, Interval, cross_entropy_bound};
/// use numeric::{Model, Noise, Prediction, from_row_fn, ndarray::array};
/// use sde_core::{FrozenDenoiser, Ou, grid};
/// # fn main() -> Result<(), numeric::Error> {
/// let data = array![[0.5], [-0.3], [1.0], [0.1]];
/// // A model that has learnt nothing but the mean: every denoised row is 0.
/// let nothing = from_row_fn(1, |_, _, out: &mut [f64]| { out[0] = 0.0; Ok(()) });
/// let model = Model::new(nothing, Prediction::Denoised, Ou);
/// let held_out = HeldOut { data: &data, noise: Noise::new(1), interval: Interval::Asymptotic };
/// let grid = grid::geometric_v(2.0, 0.1, 5)?;
/// let bound = cross_entropy_bound(&held_out, &model, &FrozenDenoiser, &grid, Default::default())?;
/// // The residual is the row itself: ½ (η_N − η_0) E x_0², with the initial term and the entropy of the noise.
/// let (signal, square) = ((-4.0_f64).exp(), (0.25 + 0.09 + 1.0 + 0.01) / 4.0);
/// let eta = |tau: f64| 1.0 / (2.0 * tau).exp_m1();
/// let initial = 0.5 * (signal * square - signal - (-signal).ln_1p());
/// let entropy = 0.5 * (1.0 + (2.0 * std::f64::consts::PI * (1.0 - (-0.2_f64).exp())).ln());
/// let exact = initial + 0.5 * (eta(0.1) - eta(2.0)) * square + entropy;
/// assert!((bound.nats() - exact).abs() < 1e-12);
/// assert!(bound.upper(0.95)? > bound.nats());
/// # Ok(()) }
/// ```
///
/// # Complexity
/// Two model evaluations for each row and node, one for the step and one for the error curve.
///
/// # Errors
/// [`Error::Shape`] if the data do not have the model's dimension; [`Error::Domain`] for fewer than 2 rows, a grid that
/// does not go from noise towards data or ends at the data themselves, a step without noise, or, with a ball, for a
/// prediction outside of it; [`Error::Entry`] for data that are not finite or outside of the ball;
/// [`Error::Unsupported`] for a method whose range is not known, with [`Interval::EmpiricalBernstein`];
/// [`Error::NotFinite`], and the model's and the step's own.
pub fn cross_entropy_bound<V: VectorField<f64>, S: VariancePreserving>(
    held_out: &HeldOut<'_>,
    model: &Model<V, S>,
    method: &dyn HeldOutStep<Model<V, S>>,
    grid: &TimeGrid,
    control: Control<'_>,
) -> Result<CrossEntropyBound, Error> {
    let measured = measure::measure(held_out, model, method, grid, None, control)?;
    Ok(CrossEntropyBound {
        paths: measured.mean,
        noise_entropy: step::noise_entropy(held_out.data.ncols(), measured.last.sigma),
        interval: held_out.interval.clone(),
        curve: measured.curve,
    })
}
