//! The likelihood bound of masked diffusion.

use std::ops::Range;

use numeric::ndarray::{Array2, ArrayRef2};
use numeric::{Error, Noise, Time};

use super::evaluate::check_rows;
use super::times::uniforms;
use super::{Objective, Target, TrainingBatch};
use crate::denoise::Noising;

/// The likelihood bound of masked diffusion, with its sign changed: an upper bound of $`-\ln p_\theta(x_0)`$ in nats for
/// the reverse chain that starts with all tokens masked.
///
/// ```math
/// \int_0^1 \frac{-\alpha'_t}{1 - \alpha_t} \mathbb E \sum_{d \text{ masked}} -\ln p_\theta(x_0^d \mid x_t) \, \mathrm dt
/// = \int_0^1 \frac{1}{m} \mathbb E_m[\,\cdot\,] \, \mathrm dm
/// = \sum_{n=1}^{D} \frac1n \, \mathbb E_{|\text{masked}| = n}[\,\cdot\,] .
/// ```
///
/// In the share $`m = 1 - \alpha_t`$ of masked tokens the schedule has gone: for a model that does not look at the time, the
/// bound is the mean over all orders in which tokens could be unmasked, one by one, and the schedule tells a model that does
/// look at it what time it is (its last time, once it is over).
///
/// The last form is what is drawn. Row i has $`n = \lceil u D \rceil`$ masked tokens at random places, with u spread evenly
/// over the rows, and a weight D/n; its m is the n-th smallest of D uniforms, as it is given n. The loss is D times the mean
/// over the masked tokens, so that the number of masks adds little variance.
///
/// ```
/// use ctmc::denoise::objective::{MaskedElbo, Objective};
/// use ctmc::denoise::{Noising, exact::ProductMixture};
/// use ctmc::{Refresh, TimeChange};
/// use numeric::{Control, Noise, ndarray::array};
/// let laws = array![[[0.9, 0.1], [0.9, 0.1]], [[0.1, 0.9], [0.1, 0.9]]];
/// let mixture = ProductMixture::new(&[0.5, 0.5], &laws)?;
/// let noising = Noising::refresh(Refresh::absorbing(3, 2, 1.0)?, TimeChange::cosine());
/// let x0 = mixture.sample(0..1000, Noise::new(1));
/// // With exact conditionals the bound is the likelihood.
/// let bound = MaskedElbo::new(&noising)?
///     .estimate::<f64>(&mixture.denoiser(&noising)?, &x0, 0..1000, 4, Noise::new(2), Control::default())?;
/// let exact = -mixture.ln_probability(&x0)?.iter().sum::<f64>() / 1000.0;
/// assert!((bound.mean - exact).abs() < 0.02);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// Sahoo et al. (2024), *Simple and effective masked diffusion language models*. Shi et al. (2024), *Simplified and
/// generalized masked diffusion for discrete data*. Ou et al. (2025), *Your absorbing discrete diffusion secretly models the
/// conditional distributions of clean data*.
#[derive(Clone, Debug)]
pub struct MaskedElbo {
    noising: Noising,
    mask: u32,
}

impl MaskedElbo {
    /// The bound for an absorbing chain.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for any other.
    pub fn new(noising: &Noising) -> Result<MaskedElbo, Error> {
        let reason = "needs an absorbing chain (Refresh::absorbing)";
        let mask = noising.mask().ok_or(Error::Unsupported { method: "MaskedElbo", reason })?;
        Ok(MaskedElbo { noising: noising.clone(), mask })
    }

    /// The time at which a share m of the tokens is masked.
    fn time(&self, masked: f64) -> Result<Time, Error> {
        let chain = self.noising.as_refresh().expect("checked in new");
        let clock = -(-masked).ln_1p() / chain.total();
        let (t, end) = (self.noising.beta().inverse(clock), self.noising.beta().end());
        Ok(Time { t: t.min(end), to_end: if end < f64::MAX { (end - t).max(0.0) } else { f64::INFINITY } })
    }
}

impl Objective for MaskedElbo {
    fn noising(&self) -> &Noising {
        &self.noising
    }

    /// As [`Objective::batches`]; [`Error::Entry`] also for data that contain the mask.
    fn batches(
        &self,
        x0: &ArrayRef2<u32>,
        rows: Range<u64>,
        draw: u64,
        noise: Noise,
    ) -> Result<Vec<TrainingBatch>, Error> {
        check_rows(&self.noising, x0, &rows)?;
        let mask = f64::from(self.mask);
        Error::entries("x0", x0.iter().map(|&x| f64::from(x)), "a token that is not masked", |x| x != mask)?;
        let dim = x0.ncols();
        let (mut noised, mut weights) = (x0.to_owned(), Array2::zeros(x0.raw_dim()));
        let mut times = Vec::with_capacity(x0.nrows());
        let streams = noise.fork_index(draw).fork("masks");
        let mut order: Vec<(f64, usize)> = Vec::with_capacity(dim);
        for (i, (row, u)) in rows.clone().zip(uniforms(rows.clone(), draw, noise)).enumerate() {
            let mut stream = streams.row_stream(row);
            let count = ((u * dim as f64).ceil() as usize).clamp(1, dim);
            order.clear();
            order.extend((0..dim).map(|d| (stream.uniform(), d)));
            order.sort_by(|a, b| a.0.total_cmp(&b.0));
            for &(_, d) in &order[..count] {
                noised[[i, d]] = self.mask;
                weights[[i, d]] = dim as f64 / count as f64;
            }
            times.push(self.time(order[count - 1].0)?);
        }
        Ok(vec![TrainingBatch {
            rows: rows.collect(),
            constants: vec![0.0; times.len()],
            times,
            noised,
            target: Target::Tokens { clean: x0.to_owned(), weights },
        }])
    }
}
