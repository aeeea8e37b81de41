//! Objectives as numbers.

use std::ops::Range;

use numeric::estimate::MeanAccumulator;
use numeric::ndarray::{Array3, ArrayRef2, Axis};
use numeric::{Control, Error, Estimate, Noise, Real, run_blocks};

use super::TrainingBatch;
use crate::denoise::noising::check_states;
use crate::denoise::{Denoiser, Noising};

/// Something that a model is trained with, or measured by, row by row.
///
/// ```
/// use ctmc::denoise::exact::ProductMixture;
/// use ctmc::denoise::objective::{Elbo, Objective};
/// use ctmc::denoise::{Denoiser, Noising};
/// use ctmc::{Refresh, TimeChange};
/// use numeric::ndarray::{Array3, array};
/// use numeric::{Control, Noise, Scratch};
/// let laws = array![[[0.9, 0.1], [0.9, 0.1]], [[0.1, 0.9], [0.1, 0.9]]];
/// let mixture = ProductMixture::new(&[0.5, 0.5], &laws)?;
/// let noising = Noising::refresh(Refresh::uniform(2, 1.0)?, TimeChange::constant(3.0)?);
/// let model = mixture.denoiser(&noising)?;
/// let elbo = Elbo::new(&noising, 1.0)?;
///
/// // Numbers: with the exact posterior the bound is tight, but for what is left of the data at the end.
/// let x0 = mixture.sample(0..2000, Noise::new(1));
/// let bound = elbo.estimate::<f64>(&model, &x0, 0..2000, 4, Noise::new(2), Control::default())?;
/// let exact = -mixture.ln_probability(&x0)?.iter().sum::<f64>() / 2000.0;
/// assert!((bound.mean - exact).abs() < 0.02);
///
/// // A step of training: draw, ask the model, and turn its answer into losses.
/// let batch = &elbo.batches(&x0, 0..2000, 0, Noise::new(2))?[0];
/// let mut answer = Array3::<f64>::zeros((2000, 2, 2));
/// model.log_values_into(&batch.inputs(), &mut answer, &mut Scratch::new())?;
/// let losses = batch.losses(&noising, Denoiser::<f64>::output(&model), &answer)?;
/// assert!((losses.iter().sum::<f64>() / 2000.0 - exact).abs() < 0.04);
/// # Ok::<(), numeric::Error>(())
/// ```
pub trait Objective: Sync {
    /// The forward process.
    fn noising(&self) -> &Noising;

    /// Draws a time and a noised state for each row of `x0`, `(n, D)`: one batch, or two for an objective that asks the
    /// model at two states. The loss of a row is the sum over the batches.
    ///
    /// Row i is the absolute row `rows.start + i` and depends on the noise, `draw` and that number only. Different `draw`s
    /// (the passes over the data) are different times and states.
    ///
    /// # Errors
    /// [`Error::Shape`] if there are not as many `rows` as rows of data; [`Error::Entry`] for a state that does not exist;
    /// those of the noising.
    fn batches(
        &self,
        x0: &ArrayRef2<u32>,
        rows: Range<u64>,
        draw: u64,
        noise: Noise,
    ) -> Result<Vec<TrainingBatch>, Error>;

    /// The objective of each row of `x0`, `(n, D)`, in nats: the mean of `draws` draws.
    ///
    /// Infinite where the model excludes the row.
    ///
    /// # Errors
    /// [`Error::Shape`] if model, noising, data and `rows` do not fit each other; [`Error::Domain`] for no draws; those
    /// of the model, of [`batches`](Objective::batches) and of [`TrainingBatch::losses`]; [`Error::Cancelled`].
    fn values<F: Real>(
        &self,
        model: &(impl Denoiser<F> + ?Sized),
        x0: &ArrayRef2<u32>,
        rows: Range<u64>,
        draws: u64,
        noise: Noise,
        control: Control<'_>,
    ) -> Result<Vec<f64>, Error> {
        let (dim, states) = (model.dim(), model.states());
        let count = rows.end.saturating_sub(rows.start) as usize;
        Error::shape("x0", &[count, dim], x0.shape())?;
        Error::shape("model", &[self.noising().states()], &[states])?;
        Error::domain(draws > 0, "draws", 0.0, "at least 1")?;
        check_states("x0", states, x0)?;
        let blocks = run_blocks(rows.clone(), model.batching(), control, |block, scratch| {
            // A network that wants whole blocks is given the nearest rows beyond the ends, and its answers are cut off.
            let nearest: Vec<usize> = block
                .clone()
                .map(|row| (row.clamp(rows.start, rows.end - 1) - rows.start) as usize)
                .collect();
            let x0 = x0.select(Axis(0), &nearest);
            let mut sums = vec![0.0; nearest.len()];
            let mut answer = Array3::zeros((nearest.len(), dim, states));
            for draw in 0..draws {
                for batch in self.batches(&x0, block.clone(), draw, noise)? {
                    model.log_values_into(&batch.inputs(), &mut answer, scratch)?;
                    let losses = batch.losses(self.noising(), model.output(), &answer)?;
                    sums.iter_mut().zip(losses).for_each(|(sum, loss)| *sum += loss);
                }
            }
            let asked = block.zip(sums).filter(|(row, _)| rows.contains(row));
            Ok(asked.map(|(_, sum)| sum / draws as f64).collect::<Vec<f64>>())
        })?;
        Ok(blocks.concat())
    }

    /// The mean of the objective over the rows, in nats per row.
    ///
    /// The standard error is that of independent rows. As the times of neighbouring rows are spread out, the true one is
    /// less, by what the times contribute.
    ///
    /// # Errors
    /// As [`values`](Objective::values); [`Error::Entry`] with the absolute row number for a row whose value is infinite;
    /// [`Error::Domain`] without rows.
    fn estimate<F: Real>(
        &self,
        model: &(impl Denoiser<F> + ?Sized),
        x0: &ArrayRef2<u32>,
        rows: Range<u64>,
        draws: u64,
        noise: Noise,
        control: Control<'_>,
    ) -> Result<Estimate, Error> {
        let values = self.values(model, x0, rows.clone(), draws, noise, control)?;
        MeanAccumulator::from_values(rows.start, &values)?.estimate()
    }
}

/// Checks data and rows for [`Objective::batches`].
pub(super) fn check_rows(noising: &Noising, x0: &ArrayRef2<u32>, rows: &Range<u64>) -> Result<(), Error> {
    let count = rows.end.saturating_sub(rows.start) as usize;
    Error::shape("x0", &[count, x0.ncols().max(1)], x0.shape())?;
    check_states("x0", noising.states(), x0)
}
