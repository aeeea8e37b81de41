//! From the noised data to the data: the sampler followed by a decoder.

use std::f64::consts::LN_2;
use std::fmt;

use numeric::ndarray::ArrayView1;
use numeric::{Control, Error, Estimate, Model, TimeGrid, VectorField};
use sde_core::VariancePreserving;

use super::interval::RowMean;
use super::measure::measure;
use super::{HeldOut, HeldOutStep, Interval, MeasuredCurve};

/// A row, (d).
pub type Row<'r> = ArrayView1<'r, f64>;

/// What turns a sample at the last node into data: `−log p(x_0 | x_δ)` of a row, as a function of (`x_0`, `x_δ`).
#[derive(Clone, Copy)]
pub struct Decoder<'a> {
    /// Nats of the data point `x_0`, (d), given the noised point `x_δ`, (d).
    pub nats: &'a (dyn Fn(Row<'_>, Row<'_>) -> Result<f64, Error> + Sync),
    /// The least and the most that it can be; what is outside is refused, and so is NaN. Infinite ends will do for the
    /// asymptotic interval.
    pub range: (f64, f64),
}

impl fmt::Debug for Decoder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder").field("range", &self.range).finish_non_exhaustive()
    }
}

/// A bound of the negative log-likelihood of the data under sampler and decoder; made by [`likelihood_bound`].
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct LikelihoodBound {
    rows: RowMean,
    dim: usize,
    interval: Interval,
    curve: MeasuredCurve,
}

impl LikelihoodBound {
    /// The measured bound, in nats: the mean over the rows.
    #[must_use]
    pub fn nats(&self) -> f64 {
        self.rows.estimate.mean
    }

    /// Mean and standard error over the rows, in nats.
    #[must_use]
    pub fn estimate(&self) -> Estimate {
        self.rows.estimate
    }

    /// `E[−log p(x_0)]` is below this with the given level of confidence, in nats.
    ///
    /// # Errors
    /// [`Error::Domain`] unless 0 < `level` < 1.
    pub fn upper(&self, level: f64) -> Result<f64, Error> {
        self.rows.upper(level)
    }

    /// Two-sided interval for the expectation of the bound, in nats.
    ///
    /// # Errors
    /// [`Error::Domain`] unless 0 < `level` < 1.
    pub fn interval(&self, level: f64) -> Result<(f64, f64), Error> {
        self.rows.interval(level)
    }

    /// The measured bound in bits per dimension, `nats/(d log 2)`.
    #[must_use]
    pub fn bits_per_dimension(&self) -> f64 {
        self.nats() / (self.dim as f64 * LN_2)
    }

    /// [`upper`](Self::upper) in bits per dimension.
    ///
    /// # Errors
    /// [`Error::Domain`] unless 0 < `level` < 1.
    pub fn upper_bits_per_dimension(&self, level: f64) -> Result<f64, Error> {
        Ok(self.upper(level)? / (self.dim as f64 * LN_2))
    }

    /// Kind of the interval.
    #[must_use]
    pub fn kind(&self) -> &Interval {
        &self.interval
    }

    /// The error of the model's denoiser at the nodes, from the same draws.
    #[must_use]
    pub fn curve(&self) -> &MeasuredCurve {
        &self.curve
    }
}

impl fmt::Display for LikelihoodBound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Estimate { std_error, n, .. } = self.estimate();
        let bits = std_error / (self.dim as f64 * LN_2);
        let interval = &self.interval;
        write!(f, "{:.4} ± {bits:.4} bits per dimension (n = {n}, {interval})", self.bits_per_dimension())
    }
}

/// The bound of the negative log-likelihood of held-out data under a sampler followed by a decoder.
///
/// ```math
/// \mathbb{E}[-\log p(x_0)] \le \mathbb{E} \Big[ \mathrm{KL}\big(q_T(\cdot | x_0) \,\|\, N(0, I)\big)
///   + \sum_k \mathrm{KL}\big(q(\cdot | x_{\tau_k}, x_0) \,\|\, p_k\big) - \log p(x_0 | x_\delta) \Big], \qquad
/// p(x_0) = \int p(x_0 | x)\, p_N(x)\, dx .
/// ```
/// The evidence lower bound: Jensen's inequality for the path that leads to `x_0`. For discrete data, as images of
/// 8 bits, p is a probability and the number of bits per dimension is that of a code. The decoder's value is added to
/// each row's before the interval is taken, so that it remains one interval.
///
/// ```
/// use bounds::held_out::{Decoder, HeldOut, Interval, likelihood_bound};
/// use numeric::{Noise, ndarray::array};
/// use sde_core::{FrozenDenoiser, Mixture, Ou, grid};
/// # fn main() -> Result<(), numeric::Error> {
/// // A fair coin on ±1 with the exact model, and the posterior of the sign as decoder: one bit is the least.
/// let coin = Mixture::atoms(&array![[-1.0], [1.0]], None)?;
/// let data = coin.sample(0..500, 1.0, 0.0, Noise::new(1))?;
/// let held_out = HeldOut { data: &data, noise: Noise::new(2), interval: Interval::Asymptotic };
/// let delta = 0.05_f64;
/// let (alpha, variance) = ((-delta).exp(), -(-2.0 * delta).exp_m1());
/// let decoder = Decoder {
///     nats: &|data, noised| Ok((-2.0 * alpha * data[0] * noised[0] / variance).exp().ln_1p()),
///     range: (0.0, f64::INFINITY),
/// };
/// let grid = grid::geometric_v(4.0, delta, 60)?;
/// let model = coin.denoiser(Ou);
/// let bound = likelihood_bound(&held_out, &model, &FrozenDenoiser, &grid, decoder, Default::default())?;
/// assert!((bound.bits_per_dimension() - 1.0).abs() < 0.15 && bound.upper_bits_per_dimension(0.99)? > 1.0);
/// # Ok(()) }
/// ```
///
/// # Errors
/// Those of [`cross_entropy_bound`](super::cross_entropy_bound); [`Error::Domain`] for a decoder outside of its range, or one without a finite
/// range where the interval needs it; the decoder's own.
pub fn likelihood_bound<V: VectorField<f64>, S: VariancePreserving>(
    held_out: &HeldOut<'_>,
    model: &Model<V, S>,
    method: &dyn HeldOutStep<Model<V, S>>,
    grid: &TimeGrid,
    decoder: Decoder<'_>,
    control: Control<'_>,
) -> Result<LikelihoodBound, Error> {
    let measured = measure(held_out, model, method, grid, Some(decoder), control)?;
    Ok(LikelihoodBound {
        rows: measured.mean,
        dim: held_out.data.ncols(),
        interval: held_out.interval.clone(),
        curve: measured.curve,
    })
}
