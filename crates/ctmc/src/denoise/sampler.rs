//! Samplers that walk a grid of times.

use std::ops::Range;

use numeric::ndarray::Array2;
use numeric::{Control, Error, Noise, Real, TimeGrid, run_blocks};
use rayon::prelude::*;

use super::origin::{aligned, batching};
use super::run::{Run, Step};
use super::{Correction, Denoiser, Finish, LeapCounts, Method, Noising, Origin, Output, Reversal};

/// Samples, and what happened on the way.
#[derive(Clone, Debug, PartialEq)]
pub struct Denoised {
    /// Tokens, `(n, D)`.
    pub x: Array2<u32>,
    /// Counts over all rows and steps.
    pub counts: LeapCounts,
}

/// Runs the noising backwards along a grid of times: a model of discrete data turned into samples.
///
/// ```
/// use ctmc::denoise::{Method, Noising, Origin, ReverseSampler, denoiser_from_fn};
/// use ctmc::{Refresh, TimeChange};
/// use numeric::{Control, Noise, TimeGrid};
/// // One bit, 1 with probability 0.9: the exact posterior by Bayes' rule.
/// let noising = Noising::refresh(Refresh::uniform(2, 1.0)?, TimeChange::constant(1.0)?);
/// let chain = Refresh::uniform(2, 1.0)?;
/// let model = denoiser_from_fn(1, 2, move |batch, out: &mut numeric::ndarray::ArrayRef3<f64>| {
///     for (i, &x) in batch.x().iter().enumerate() {
///         for (v, prior) in [(0, 0.1_f64), (1, 0.9)] {
///             out[[i, 0, v as usize]] = (prior * chain.probability(batch.times().get(i).t, v, x)?).ln();
///         }
///     }
///     Ok(())
/// });
/// let grid = TimeGrid::uniform(3.0, 0.0, 30)?;
/// let sampler = ReverseSampler::new(noising, model, Method::Posterior, grid)?;
/// let run = sampler.sample::<f64>(Origin::Stationary, 0..10_000, Noise::new(1), Control::default())?;
/// let ones = run.x.iter().filter(|&&x| x == 1).count() as f64;
/// // Exact but for the start: standard error 0.003.
/// assert!((ones / 10_000.0 - 0.9).abs() < 0.012);
/// assert_eq!(run.counts.model_rows, 300_000);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # Randomness
/// Row i depends on the noise and its absolute number only: one uniform for each token and stage, and a stream of the row
/// and step for tokens that jump. The same bits for any number of threads and any shard; to a model that must be given
/// whole blocks, rows beyond a shard are shown from the start of the run, or, where states are given, as copies of the
/// nearest row of the shard.
#[derive(Clone, Debug)]
pub struct ReverseSampler<M> {
    pub(super) noising: Noising,
    pub(super) model: M,
    pub(super) method: Method,
    pub(super) grid: TimeGrid,
    pub(super) correction: Option<Correction>,
    pub(super) finish: Finish,
}

/// Bytes of tables that are kept at a time.
const TABLES: usize = 1 << 26;

impl<M> ReverseSampler<M> {
    /// A sampler from the first time of the grid down to the last one.
    ///
    /// # Errors
    /// If the grid is not one of times going down, with a last one of at least 0, or its first one is not on the schedule;
    /// for a θ that is not between 0 and 1.
    pub fn new(
        noising: Noising,
        model: M,
        method: Method,
        grid: TimeGrid,
    ) -> Result<ReverseSampler<M>, Error> {
        let (first, last) = (grid.first().t, grid.last().t);
        Error::domain(!grid.is_forward() && last >= 0.0, "grid", last, "times going down to at least 0")?;
        noising.beta().integral(last, first)?;
        if let Method::Trapezoidal { theta, .. } = method {
            Error::domain(theta > 0.0 && theta < 1.0, "theta", theta, "between 0 and 1")?;
        }
        Ok(ReverseSampler { noising, model, method, grid, correction: None, finish: Finish::State })
    }

    /// With corrector steps.
    ///
    /// # Errors
    /// If their length is not finite and greater than 0, or the time that they begin below is not greater than 0.
    pub fn with_correction(mut self, correction: Correction) -> Result<Self, Error> {
        Error::positive("correction.scale", correction.scale)?;
        Error::domain(correction.below > 0.0, "correction.below", correction.below, "a time greater than 0")?;
        self.correction = Some(correction);
        Ok(self)
    }

    /// With another end.
    #[must_use]
    pub fn with_finish(mut self, finish: Finish) -> Self {
        self.finish = finish;
        self
    }

    /// Draws rows.
    ///
    /// # Errors
    /// If the model has another number of states than the noising, or gives ratios where a posterior is needed
    /// ([`Method::Posterior`], [`Finish`]); if `origin` has the wrong shape or a state that does not exist; whatever the model
    /// reports; a rate that is not finite, with the lowest row; [`Error::Stalled`] for Euler steps that are too long;
    /// [`Error::Cancelled`].
    ///
    /// # Panics
    /// If the rows do not fit into memory.
    pub fn sample<F: Real>(
        &self,
        origin: Origin<'_>,
        rows: Range<u64>,
        noise: Noise,
        control: Control<'_>,
    ) -> Result<Denoised, Error>
    where
        M: Denoiser<F>,
    {
        self.check_model()?;
        let (dim, states) = (self.model.dim(), self.model.states());
        let batching = batching(&self.model);
        let whole = aligned(&rows, batching);
        origin.check(&rows, dim, states)?;
        let mut x = origin.start(&self.noising, &rows, &whole, dim, noise)?;
        let held = origin.held(&rows, &whole, dim);
        let mut counts = LeapCounts::default();
        let steps = self.grid.steps();
        // Rows that are still of interest, and why the others are not.
        let (mut left, mut failure) = (whole.clone(), None);
        let chunk = (TABLES / (1 + self.bytes::<F>())).clamp(1, steps);
        for first in (0..steps).step_by(chunk) {
            let last = (first + chunk).min(steps);
            let tables: Vec<Step<F>> =
                (first..last).into_par_iter().map(|k| self.step(k)).collect::<Result<_, _>>()?;
            // Rows done, as a share of all steps.
            let progress = |done: u64| {
                if let Some(report) = control.progress {
                    let before = (whole.end - whole.start) * first as u64;
                    report((before + done * (last - first) as u64) / steps as u64);
                }
            };
            let control = Control { cancel: control.cancel, progress: Some(&progress) };
            let part = |rows: Range<u64>| {
                run_blocks(rows, batching, control, |block, scratch| {
                    let at =
                        (block.start - whole.start) as usize * dim..(block.end - whole.start) as usize * dim;
                    let held = held.as_ref().map_or(&[][..], |held| &held[at.clone()]);
                    let mut run = Run::new(self, block, x[at].to_vec(), held, noise, scratch);
                    for step in &tables {
                        run.step(step)?;
                    }
                    if last == steps {
                        run.finish(self.finish)?;
                    }
                    Ok(run.close())
                })
            };
            let blocks = loop {
                match part(left.clone()) {
                    Ok(blocks) => break blocks,
                    // Rows below may fail later: the lowest one is reported.
                    Err(error) => {
                        let row = error.row().filter(|&row| row > left.start && row < left.end);
                        let Some(row) = row else { return Err(error) };
                        left.end = aligned(&(row..row + 1), batching).start;
                        failure = Some(error);
                    }
                }
            };
            let done = Denoised::gather(blocks, &left, &left, dim);
            x = done.x.into_raw_vec_and_offset().0;
            counts.add(done.counts);
        }
        match failure {
            Some(error) => Err(error),
            None => Ok(Denoised::gather(vec![(x, counts)], &rows, &whole, dim)),
        }
    }

    fn check_model<F: Real>(&self) -> Result<(), Error>
    where
        M: Denoiser<F>,
    {
        Error::shape("model", &[self.noising.states()], &[self.model.states()])?;
        let needs = self.method == Method::Posterior || self.finish != Finish::State;
        if needs && self.model.output() == Output::Ratios {
            let reason = "needs the posterior of clean tokens, and the model gives ratios";
            return Err(Error::Unsupported { method: "posterior step or finish", reason });
        }
        Ok(())
    }

    /// Bytes of the tables of a step.
    fn bytes<F>(&self) -> usize {
        let states = self.noising.states();
        if self.noising.as_refresh().is_some() {
            32 * states
        } else {
            3 * states * states * (24 + size_of::<F>())
        }
    }

    fn step<F: Real>(&self, k: usize) -> Result<Step<F>, Error>
    where
        M: Denoiser<F>,
    {
        let (from, to) = (self.grid.node(k), self.grid.node(k + 1));
        let output = self.model.output();
        let reversal = match self.method {
            Method::Posterior => Reversal::between(&self.noising, to.t, from.t)?,
            _ => Reversal::new(&self.noising, from.t, output)?,
        };
        let part = match self.method {
            Method::Midpoint(_) => Some(0.5),
            Method::Trapezoidal { theta, .. } => Some(theta),
            _ => None,
        };
        let second = part.map(|part| {
            let time = from.between(to, part);
            Ok::<_, Error>((time, Reversal::new(&self.noising, time.t, output)?))
        });
        let corrector = self.correction.filter(|c| to.t > 0.0 && to.t < c.below && c.steps > 0);
        let corrector = corrector.map(|_| Reversal::new(&self.noising, to.t, output));
        let (second, corrector) = (second.transpose()?, corrector.transpose()?);
        Ok(Step { number: k as u64, from, to, reversal, second, corrector })
    }
}
