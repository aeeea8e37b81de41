//! The auxiliary objective.

use std::ops::Range;

use numeric::ndarray::{Array2, ArrayRef2};
use numeric::{Error, Noise};

use super::evaluate::check_rows;
use super::times::{Span, uniforms};
use super::{Objective, Target, TrainingBatch};
use crate::denoise::Noising;

/// The cross-entropy of the clean tokens, integrated over time: $`\int_\delta^T \mathbb E_{q_{t|0}} \bigl[ -\sum_d \ln
/// p_\theta(x_0^d \mid x_t) \bigr] \mathrm dt`$.
///
/// Its minimiser is the exact posterior, and it is not a bound of the likelihood. Added to the bound with a weight of 0.001
/// it steadies the training; alone it is the objective of discrete flow matching and of denoisers in general. Times are
/// uniform, as the integrand is bounded: row i of a draw has the time $`\delta + (T - \delta) u`$.
///
/// ```
/// use ctmc::denoise::{Noising, denoiser_from_fn, objective::{CrossEntropy, Objective}};
/// use ctmc::{Refresh, TimeChange};
/// use numeric::{Control, Noise, ndarray::{Array2, ArrayRef3}};
/// let noising = Noising::refresh(Refresh::uniform(3, 1.0)?, TimeChange::constant(1.0)?);
/// let flat = denoiser_from_fn(4, 3, |_, logits: &mut ArrayRef3<f64>| Ok(logits.fill(0.0)));
/// let objective = CrossEntropy::new(&noising, 0.0, 2.0)?;
/// let x0 = Array2::zeros((10, 4));
/// let loss = objective.estimate(&flat, &x0, 0..10, 1, Noise::new(1), Control::default())?;
/// assert!((loss.mean - 2.0 * 4.0 * 3_f64.ln()).abs() < 1e-14);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// Campbell et al. (2022), *A continuous time framework for discrete denoising models*, appendix D.
#[derive(Clone, Debug)]
pub struct CrossEntropy {
    noising: Noising,
    span: Span,
}

impl CrossEntropy {
    /// Over the times from `start` to `end`.
    ///
    /// # Errors
    /// Unless 0 ≤ `start` < `end`, both finite.
    pub fn new(noising: &Noising, start: f64, end: f64) -> Result<CrossEntropy, Error> {
        Ok(CrossEntropy { noising: noising.clone(), span: Span::new(start, end)? })
    }
}

impl Objective for CrossEntropy {
    fn noising(&self) -> &Noising {
        &self.noising
    }

    fn batches(
        &self,
        x0: &ArrayRef2<u32>,
        rows: Range<u64>,
        draw: u64,
        noise: Noise,
    ) -> Result<Vec<TrainingBatch>, Error> {
        check_rows(&self.noising, x0, &rows)?;
        let length = self.span.end - self.span.start;
        let times: Vec<f64> =
            uniforms(rows.clone(), draw, noise).map(|u| self.span.start + length * u).collect();
        let noise = noise.fork_index(draw).fork("noised");
        Ok(vec![TrainingBatch {
            noised: self.noising.sample(x0, &times, rows.clone(), noise)?,
            times: times.iter().map(|&t| self.span.time(t)).collect(),
            constants: vec![0.0; times.len()],
            rows: rows.collect(),
            target: Target::Tokens { clean: x0.to_owned(), weights: Array2::from_elem(x0.raw_dim(), length) },
        }])
    }
}
