//! The likelihood bound of a run over a grid.

use std::ops::Range;

use numeric::ndarray::{Array3, ArrayRef2};
use numeric::{Error, Noise, Time, TimeGrid};

use super::constant::prior_kl;
use super::evaluate::check_rows;
use super::times::uniforms;
use super::{Objective, Target, TrainingBatch};
use crate::denoise::Noising;
use crate::denoise::likelihood::Likelihood;

/// The evidence lower bound of the discrete-time chain over a grid, with its sign changed: an upper bound of $`-\ln
/// p_\theta(x_0)`$ in nats for the sampler whose steps draw each token from its posterior step.
///
/// ```math
/// \sum_d \mathrm{KL}\bigl( q_{T|0}(\cdot \mid x_0^d) \,\|\, \pi \bigr) + \sum_{k=1}^{K} \mathbb E_{q_{t_k|0}} \sum_d
/// \mathrm{KL}\bigl( q_{t_{k-1}|0,t_k}(\cdot \mid x_0^d, x^d) \,\|\, p^\theta_{t_{k-1}|t_k}(\cdot \mid x)^d \bigr) ,
/// \qquad p^\theta_{s|t}(y \mid x)^d = \sum_v q_{s|0,t}(y \mid v, x^d)\, p_\theta(x_0^d = v \mid x) .
/// ```
///
/// At $`t_0 = 0`$ the last step is a draw of the clean tokens, and its term $`-\sum_d \ln p_\theta(x_0^d \mid x_{t_1})`$.
/// The sum is drawn: row i has one step k, spread evenly over the rows, and a weight K. As the grid gets finer the bound
/// tends to that of [`Elbo`](super::Elbo), at first order.
///
/// ```
/// use ctmc::denoise::objective::{DiscreteElbo, Objective};
/// use ctmc::denoise::{Noising, exact::ProductMixture};
/// use ctmc::{Refresh, TimeChange};
/// use numeric::{Control, Noise, TimeGrid, ndarray::array};
/// let mixture = ProductMixture::new(&[1.0], &array![[[0.7, 0.3]]])?;
/// let noising = Noising::refresh(Refresh::uniform(2, 1.0)?, TimeChange::constant(3.0)?);
/// // One token: the step is exact, on any grid, and the bound is tight.
/// let elbo = DiscreteElbo::new(&noising, &TimeGrid::uniform(1.0, 0.0, 4)?)?;
/// let x0 = mixture.sample(0..2000, Noise::new(1));
/// let bound = elbo.estimate::<f64>(&mixture.denoiser(&noising)?, &x0, 0..2000, 4, Noise::new(2), Control::default())?;
/// let exact = -mixture.ln_probability(&x0)?.iter().sum::<f64>() / 2000.0;
/// assert!((bound.mean - exact).abs() < 0.02);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// Austin, Johnson, Ho, Tarlow, van den Berg (2021), *Structured denoising diffusion models in discrete state-spaces*.
#[derive(Clone, Debug)]
pub struct DiscreteElbo {
    noising: Noising,
    /// Ascending, from 0.
    nodes: Vec<f64>,
    prior: Vec<f64>,
}

impl DiscreteElbo {
    /// The bound for runs over the nodes of a grid, given in either direction. If the earliest one is greater than 0, the
    /// run ends with a draw of the clean tokens from the posterior there.
    ///
    /// # Errors
    /// For a time that is negative or not in the schedule; those of [`Noising::stationary`].
    pub fn new(noising: &Noising, grid: &TimeGrid) -> Result<DiscreteElbo, Error> {
        let mut nodes: Vec<f64> = grid.nodes().iter().map(|node| node.t).collect();
        if !grid.is_forward() {
            nodes.reverse();
        }
        Error::domain(nodes[0] >= 0.0, "grid", nodes[0], "times of at least 0")?;
        if nodes[0] > 0.0 {
            nodes.insert(0, 0.0);
        }
        let prior = prior_kl(noising, nodes[nodes.len() - 1])?;
        Ok(DiscreteElbo { noising: noising.clone(), nodes, prior })
    }

    /// Number of steps K.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.nodes.len() - 1
    }

    /// The sum over the steps at one of them: the batch whose losses are, for rows of `x0` and noised `x` at the later
    /// time of step k = `step` + 1, the KL divergence of that step.
    ///
    /// ```
    /// use ctmc::denoise::{Noising, Output, objective::DiscreteElbo};
    /// use ctmc::{Refresh, TimeChange};
    /// use numeric::{TimeGrid, ndarray::array};
    /// let noising = Noising::refresh(Refresh::uniform(2, 1.0)?, TimeChange::constant(1.0)?);
    /// let elbo = DiscreteElbo::new(&noising, &TimeGrid::uniform(0.0, 1.0, 4)?)?;
    /// // The first step ends in clean data, so that its term is the cross-entropy.
    /// let batch = elbo.step(&array![[0]], 0, &array![[1]])?;
    /// let loss = batch.losses(&noising, Output::Posterior, &array![[[0.25_f64.ln(), 0.75_f64.ln()]]])?;
    /// assert!((loss[0] - 4_f64.ln()).abs() < 1e-14);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Domain`] if there is no such step; [`Error::Shape`] and [`Error::Entry`] as in [`Objective::batches`].
    pub fn step(&self, x0: &ArrayRef2<u32>, step: usize, x: &ArrayRef2<u32>) -> Result<TrainingBatch, Error> {
        Error::domain(step < self.steps(), "step", step as f64, "one of the steps")?;
        let rows = 0..x0.nrows() as u64;
        check_rows(&self.noising, x0, &rows)?;
        Error::shape("x", x0.shape(), x.shape())?;
        crate::denoise::noising::check_states("x", self.noising.states(), x)?;
        self.batch(x0, rows, &vec![step; x0.nrows()], x, 1.0)
    }

    fn batch(
        &self,
        x0: &ArrayRef2<u32>,
        rows: Range<u64>,
        steps: &[usize],
        x: &ArrayRef2<u32>,
        weight: f64,
    ) -> Result<TrainingBatch, Error> {
        let (n, dim) = x0.dim();
        let states = self.noising.states();
        let mut laws = Array3::zeros((n, dim, states));
        let mut forward = vec![0.0; states];
        for (i, &step) in steps.iter().enumerate() {
            let (s, t) = (self.nodes[step], self.nodes[step + 1]);
            let first = Likelihood::new(&self.noising, s)?;
            let second = Likelihood::between(&self.noising, s, t)?;
            for d in 0..dim {
                let mut law = laws.slice_mut(numeric::ndarray::s![i, d, ..]);
                first.law_into(x0[[i, d]], law.as_slice_mut().expect("standard layout"));
                second.column_into(x[[i, d]], &mut forward);
                law.iter_mut().zip(&forward).for_each(|(p, q)| *p *= q);
                let sum = law.sum();
                if !(sum > 0.0) {
                    let message = "the clean row cannot have led to this state".to_owned();
                    return Err(Error::Model { row: rows.start + i as u64, message });
                }
                law.mapv_inplace(|p| p / sum);
            }
        }
        let end = self.nodes[self.steps()];
        Ok(TrainingBatch {
            rows: rows.collect(),
            times: steps
                .iter()
                .map(|&k| Time { t: self.nodes[k + 1], to_end: end - self.nodes[k + 1] })
                .collect(),
            noised: x.to_owned(),
            target: Target::Steps {
                earlier: steps.iter().map(|&k| self.nodes[k]).collect(),
                laws,
                weights: vec![weight; n],
            },
            constants: vec![0.0; n],
        })
    }
}

impl Objective for DiscreteElbo {
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
        let count = self.steps();
        let step = |u: f64| ((u * count as f64) as usize).min(count - 1);
        let steps: Vec<usize> = uniforms(rows.clone(), draw, noise).map(step).collect();
        let times: Vec<f64> = steps.iter().map(|&k| self.nodes[k + 1]).collect();
        let noise = noise.fork_index(draw).fork("noised");
        let x = self.noising.sample(x0, &times, rows.clone(), noise)?;
        let mut batch = self.batch(x0, rows, &steps, &x, count as f64)?;
        for (constant, x0) in batch.constants.iter_mut().zip(x0.outer_iter()) {
            *constant = x0.iter().map(|&v| self.prior[v as usize]).sum();
        }
        Ok(vec![batch])
    }
}
