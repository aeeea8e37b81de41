//! Score entropy.

use std::ops::Range;

use numeric::ndarray::{Array3, ArrayRef2};
use numeric::{Error, Noise};

use super::constant::prior_kl;
use super::evaluate::check_rows;
use super::times::{Span, uniforms};
use super::{Objective, Target, TrainingBatch};
use crate::denoise::Noising;
use crate::denoise::likelihood::Likelihood;

/// The denoising score entropy of a model of ratios s, a bound of $`-\ln p_\theta(x_0)`$ in nats.
///
/// ```math
/// \sum_d \mathrm{KL}\bigl( q_{T|0}(\cdot \mid x_0^d) \,\|\, \pi \bigr) + \int_0^T \mathbb E_{q_{t|0}(x \mid x_0)}
/// \sum_d \sum_{y \ne x^d} \beta(t) Q_{y x^d} \bigl( s_{dy} - r_{dy} \ln s_{dy} + r_{dy} (\ln r_{dy} - 1) \bigr)
/// \, \mathrm dt , \qquad r_{dy} = \frac{q_{t|0}(y \mid x_0^d)}{q_{t|0}(x^d \mid x_0^d)} .
/// ```
///
/// It is the bound of [`Elbo`](super::Elbo) written in the ratios, with a batch that needs no rates to become a loss.
///
/// ```
/// use ctmc::denoise::{Noising, ratios_from_fn, objective::{Elbo, Objective, ScoreEntropy}};
/// use ctmc::{Refresh, TimeChange};
/// use numeric::{Control, Noise, ndarray::{Array2, ArrayRef3}};
/// let noising = Noising::refresh(Refresh::uniform(3, 1.0)?, TimeChange::constant(1.0)?);
/// let flat = ratios_from_fn(4, 3, |_, logs: &mut ArrayRef3<f64>| Ok(logs.fill(0.0)));
/// let x0 = Array2::ones((10, 4));
/// let loss = ScoreEntropy::new(&noising, 2.0)?;
/// let loss = loss.estimate(&flat, &x0, 0..10, 1, Noise::new(1), Control::default())?;
/// let bound = Elbo::new(&noising, 2.0)?.estimate(&flat, &x0, 0..10, 1, Noise::new(1), Control::default())?;
/// assert!((loss.mean - bound.mean).abs() < 1e-12 * bound.mean);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// Lou, Meng, Ermon (2024), *Discrete diffusion modeling by estimating the ratios of the data distribution*, theorem 3.6.
#[derive(Clone, Debug)]
pub struct ScoreEntropy {
    noising: Noising,
    span: Span,
    prior: Vec<f64>,
}

impl ScoreEntropy {
    /// The bound for runs from time `end` to 0.
    ///
    /// # Errors
    /// For an end that is not positive or not in the schedule; those of [`Noising::stationary`].
    pub fn new(noising: &Noising, end: f64) -> Result<ScoreEntropy, Error> {
        let (span, prior) = (Span::new(0.0, end)?, prior_kl(noising, end)?);
        Ok(ScoreEntropy { noising: noising.clone(), span, prior })
    }
}

impl Objective for ScoreEntropy {
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
        let drawn: Vec<(f64, f64)> =
            uniforms(rows.clone(), draw, noise).map(|u| self.span.cubic(u)).collect();
        let times: Vec<f64> = drawn.iter().map(|&(t, _)| t).collect();
        let noise = noise.fork_index(draw).fork("noised");
        let noised = self.noising.sample(x0, &times, rows.clone(), noise)?;
        let (generator, states) = (self.noising.generator(), self.noising.states());
        let mut ratios = Array3::zeros((noised.nrows(), noised.ncols(), states));
        let mut weights = ratios.clone();
        let mut law = vec![0.0; states];
        for (i, &(t, weight)) in drawn.iter().enumerate() {
            let likelihood = Likelihood::new(&self.noising, t)?;
            let scale = weight * self.noising.beta().rate(t)?;
            for d in 0..noised.ncols() {
                let x = noised[[i, d]];
                likelihood.law_into(x0[[i, d]], &mut law);
                for y in generator.state_range().filter(|&y| y != x) {
                    let rate = generator.rate(y, x);
                    if rate > 0.0 {
                        ratios[[i, d, y as usize]] = law[y as usize] / law[x as usize];
                        weights[[i, d, y as usize]] = scale * rate;
                    }
                }
            }
        }
        let prior = |x0: &[u32]| x0.iter().map(|&v| self.prior[v as usize]).sum();
        Ok(vec![TrainingBatch {
            rows: rows.collect(),
            times: times.iter().map(|&t| self.span.time(t)).collect(),
            noised,
            target: Target::Ratios { ratios, weights },
            constants: x0.outer_iter().map(|x0| prior(&x0.to_vec())).collect(),
        }])
    }
}
