//! Samplers that walk a grid of times.

use std::ops::Range;

use numeric::ndarray::{Array2, ArrayRef2, ArrayView2, ArrayViewMut2, ArrayViewMut3};
use numeric::{Batch, Batching, Control, Error, Noise, Real, Scratch, Time, TimeGrid, Times, run_blocks};
use rayon::prelude::*;

use super::flow::last_step;
use super::leap::{At, Block, Corrector, Law};
use super::noising::check_states;
use super::two_stage::{self, TwoStage};
use super::{Denoiser, JumpRule, LeapCounts, Noising, Output, Reversal};
use crate::law::draw;

/// How a reverse step is made.
///
/// | method | law of a step from t to s, for each token by itself | order in total variation | model calls |
/// |---|---|---|---|
/// | [`TauLeaping`](Method::TauLeaping) | Poisson jumps at the rates of time t | 1 | 1 |
/// | [`Euler`](Method::Euler) | moves to y with probability $`(t - s) \hat R_t(x, y)`$ | 1 | 1 |
/// | [`Posterior`](Method::Posterior) | $`\sum_v q_{s|t,0}(y \mid x, v)\, p(v \mid x)`$ | exact for D = 1, else 1 | 1 |
/// | [`Midpoint`](Method::Midpoint) | Poisson jumps from x at the rates of a state half way | 1 | 2 |
/// | [`Trapezoidal`](Method::Trapezoidal) | part of a leap, then extrapolated rates | 2 for [`Last`](JumpRule::Last) and [`Cyclic`](JumpRule::Cyclic) while no extrapolated rate is below 0 ([`LeapCounts::negative`]), else 1 | 2 |
///
/// [`Posterior`](Method::Posterior) has the least error at equal cost for categories, never rejects and never clamps. For
/// an absorbing chain it is the ancestral sampler of masked diffusion.
///
/// # References
/// Campbell et al. (2022), *A continuous time framework for discrete denoising models*, algorithm 1. Ren, Chen, Zhu, Guo,
/// Chen, Rotskoff, Tao, Ying (2025), *Fast solvers for discrete diffusion models*: the two-stage methods; that the midpoint
/// method is of first order here was found by exact enumeration.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Method {
    /// Jumps at frozen rates; the rule says what several jumps of one token do.
    TauLeaping(JumpRule),
    /// At most one jump, with a probability linear in the step. Steps on which that is above 1 are an error.
    Euler,
    /// The exact reverse kernel of each token, from the posterior at its end.
    Posterior,
    /// A leap of half the step to a place y, then one of the whole step from x at the rates of y. Of ordered states, jumps
    /// that would lead from x beyond the first or the last one are not made.
    Midpoint(JumpRule),
    /// A leap of the part θ of the step to a place y, then one of the rest from y at the rates
    /// $`a_1 \hat R(y) - a_2 \hat R(x)`$, $`a_1 = 1/(2 \theta (1 - \theta))`$, $`a_2 = a_1 - 1`$; where one of these is below 0 it
    /// is taken for 0 and counted.
    Trapezoidal {
        /// Part θ of the step, between 0 and 1; 1/2 is a good choice.
        theta: f64,
        /// What several jumps of one token do.
        rule: JumpRule,
    },
}

/// Steps at a fixed time with the rates $`R_t + \hat R_t`$, which leave the law $`q_t`$ as it is: they bring samples
/// that have strayed from it back.
///
/// # References
/// Campbell et al. (2022), *A continuous time framework for discrete denoising models*, proposition 4.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Correction {
    /// Number of steps after each step of the method.
    pub steps: usize,
    /// Length of one, relative to the step of the method.
    pub scale: f64,
    /// Only at times below this one (greater than 0).
    pub below: f64,
    /// What several jumps of one token do.
    pub rule: JumpRule,
}

/// What is returned for the state at the last time of the grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Finish {
    /// The state.
    State,
    /// For each token the most likely clean value given the state.
    MostLikely,
    /// For each token a clean value drawn from the posterior given the state.
    Draw,
}

/// Where reverse runs start, at the first time of the grid.
#[derive(Clone, Copy, Debug)]
pub enum Origin<'a> {
    /// From the stationary law of the noising.
    Stationary,
    /// From these states, `(n, D)`.
    States(&'a ArrayRef2<u32>),
    /// Clean tokens `x`, `(n, D)`, are known where `held` is true: they stay as they are, and the others start from the
    /// stationary law. The model must be one of the others given these, as every model of an absorbing chain is:
    /// conditional generation and in-painting.
    Held {
        /// Tokens, of which only the known ones are read.
        x: &'a ArrayRef2<u32>,
        /// Which are known.
        held: &'a ArrayRef2<bool>,
    },
}

/// Samples, and what happened on the way.
#[derive(Clone, Debug, PartialEq)]
pub struct Denoised {
    /// Tokens, `(n, D)`.
    pub x: Array2<u32>,
    /// Counts over all rows and steps.
    pub counts: LeapCounts,
}

impl Denoised {
    /// The rows asked for, of the blocks of the rows `whole`.
    pub(super) fn gather(
        blocks: Vec<(Vec<u32>, LeapCounts)>,
        rows: &Range<u64>,
        whole: &Range<u64>,
        dim: usize,
    ) -> Denoised {
        let mut counts = LeapCounts::default();
        blocks.iter().for_each(|(_, block)| counts.add(*block));
        let count = rows.end.saturating_sub(rows.start) as usize;
        let before = (rows.start - whole.start) as usize * dim;
        let tokens = blocks.into_iter().flat_map(|(x, _)| x).skip(before).take(count * dim).collect();
        Denoised { x: Array2::from_shape_vec((count, dim), tokens).expect("a token for each place"), counts }
    }
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
    noising: Noising,
    model: M,
    method: Method,
    grid: TimeGrid,
    correction: Option<Correction>,
    finish: Finish,
}

/// Bytes of tables that are kept at a time.
const TABLES: usize = 1 << 26;
/// Numbers of the model that a block has, so that they stay in cache.
const BLOCK: usize = 1 << 17;

/// All that one step of the grid needs, shared by all rows.
struct Step<F> {
    number: u64,
    from: Time,
    to: Time,
    reversal: Reversal<F>,
    second: Option<(Time, Reversal<F>)>,
    corrector: Option<Reversal<F>>,
}

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

/// Rows of a block: as the model wants them if it is particular, else few enough to stay in cache, in pairs, since two
/// rows share their random bits.
pub(super) fn batching<F: Real>(model: &(impl Denoiser<F> + ?Sized)) -> Batching {
    let batching = model.batching();
    if !batching.rowwise || batching.serial {
        return batching;
    }
    let fit = BLOCK / (model.dim() * model.states()).max(1);
    Batching { rows: fit.clamp(2, 1 << 12).next_power_of_two(), ..batching }
}

/// The rows of the blocks that the rows lie in, for a model that must be given whole blocks.
pub(super) fn aligned(rows: &Range<u64>, batching: Batching) -> Range<u64> {
    let size = batching.rows.max(1) as u64;
    if batching.rowwise || rows.is_empty() {
        return rows.start..rows.end.max(rows.start);
    }
    rows.start / size * size..rows.end.div_ceil(size).saturating_mul(size)
}

impl Origin<'_> {
    pub(super) fn check(&self, rows: &Range<u64>, dim: usize, states: usize) -> Result<(), Error> {
        let shape = [rows.end.saturating_sub(rows.start) as usize, dim];
        match *self {
            Origin::Stationary => Ok(()),
            Origin::States(x) => {
                Error::shape("origin", &shape, x.shape())?;
                check_states("origin", states, x)
            }
            Origin::Held { x, held } => {
                Error::shape("origin.x", &shape, x.shape())?;
                Error::shape("origin.held", &shape, held.shape())?;
                let known = x.iter().zip(held).map(|(&x, &held)| if held { f64::from(x) } else { 0.0 });
                Error::entries("origin.x", known, "a state", |x| x < states as f64)
            }
        }
    }

    /// The states of the rows `whole`; what lies outside of `rows` is filled up with the nearest of them.
    pub(super) fn start(
        &self,
        noising: &Noising,
        rows: &Range<u64>,
        whole: &Range<u64>,
        dim: usize,
        noise: Noise,
    ) -> Result<Vec<u32>, Error> {
        let mut start = match *self {
            Origin::States(_) => vec![0; (whole.end - whole.start) as usize * dim],
            _ => stationary(noising, whole, dim, noise)?,
        };
        let (given, held) = match *self {
            Origin::Stationary => return Ok(start),
            Origin::States(x) => (x, None),
            Origin::Held { x, held } => (x, Some(held)),
        };
        for (row, start) in whole.clone().zip(start.chunks_exact_mut(dim.max(1))) {
            let i = (row.clamp(rows.start, rows.end - 1) - rows.start) as usize;
            for (j, start) in start.iter_mut().enumerate() {
                if held.is_none_or(|held| held[[i, j]]) {
                    *start = given[[i, j]];
                }
            }
        }
        Ok(start)
    }

    pub(super) fn held(&self, rows: &Range<u64>, whole: &Range<u64>, dim: usize) -> Option<Vec<bool>> {
        let Origin::Held { held, .. } = *self else { return None };
        let row = |row: u64| {
            let i = (row.clamp(rows.start, rows.end - 1) - rows.start) as usize;
            (0..dim).map(move |j| held[[i, j]])
        };
        Some(whole.clone().flat_map(row).collect())
    }
}

/// Rows from the stationary law.
pub(super) fn stationary(
    noising: &Noising,
    rows: &Range<u64>,
    dim: usize,
    noise: Noise,
) -> Result<Vec<u32>, Error> {
    let numbers: Vec<u64> = rows.clone().collect();
    let mut uniforms = Array2::<f64>::zeros((numbers.len(), dim));
    noise.fork("start").uniforms_into(&numbers, 0, &mut uniforms);
    if let Some(chain) = noising.as_refresh() {
        return Ok(uniforms.iter().map(|&u| chain.fresh(u)).collect());
    }
    let law = noising.stationary()?;
    let total = law.iter().sum();
    Ok(uniforms.iter().map(|&u| draw(&law, total, u)).collect())
}

/// A block on its way.
struct Run<'a, M, F> {
    sampler: &'a ReverseSampler<M>,
    rows: Vec<u64>,
    x: Vec<u32>,
    held: &'a [bool],
    noise: Noise,
    counts: LeapCounts,
    buffers: Buffers<F>,
    scratch: &'a mut Scratch,
}

/// What a worker keeps from block to block.
#[derive(Default)]
struct Buffers<F> {
    values: Vec<F>,
    uniforms: Vec<f64>,
    two_stage: TwoStage,
}

impl<'a, M: Denoiser<F>, F: Real> Run<'a, M, F> {
    fn new(
        sampler: &'a ReverseSampler<M>,
        rows: Range<u64>,
        x: Vec<u32>,
        held: &'a [bool],
        noise: Noise,
        scratch: &'a mut Scratch,
    ) -> Self {
        let mut buffers: Buffers<F> = scratch.take();
        buffers.values.resize(x.len() * sampler.model.states(), F::zero());
        buffers.uniforms.resize(x.len(), 0.0);
        Run { sampler, rows: rows.collect(), x, held, noise, counts: LeapCounts::default(), buffers, scratch }
    }

    fn close(self) -> (Vec<u32>, LeapCounts) {
        self.scratch.put(self.buffers);
        (self.x, self.counts)
    }

    fn evaluate(&mut self, time: Time) -> Result<(), Error> {
        let (model, rows) = (&self.sampler.model, self.rows.len());
        let (dim, states) = (model.dim(), model.states());
        let x = ArrayView2::from_shape((rows, dim), &self.x).expect("a token for each place");
        let batch = Batch::new(&self.rows, Times::Same(time), &x);
        let mut out = ArrayViewMut3::from_shape((rows, dim, states), &mut self.buffers.values)
            .expect("a number for each state");
        self.counts.model_rows += rows as u64;
        model.values_into(&batch, &mut out, self.scratch)
    }

    fn uniforms(&mut self, label: &str, step: u64) {
        let shape = (self.rows.len(), self.sampler.model.dim());
        let mut out =
            ArrayViewMut2::from_shape(shape, &mut self.buffers.uniforms).expect("one for each token");
        self.noise.fork(label).uniforms_into(&self.rows, step, &mut out);
    }

    fn step(&mut self, step: &Step<F>) -> Result<(), Error> {
        let tau = step.from.t - step.to.t;
        let at = At { step: step.number, time: step.from.t };
        self.evaluate(step.from)?;
        self.uniforms("reverse", step.number);
        let law = match self.sampler.method {
            Method::TauLeaping(rule) => Law::Leap(rule, tau),
            Method::Euler => Law::Linear(tau),
            Method::Posterior => Law::Linear(1.0),
            Method::Midpoint(rule) => return self.two_stage(step, 0.5, rule, true),
            Method::Trapezoidal { theta, rule } => return self.two_stage(step, theta, rule, false),
        };
        self.leap(&step.reversal, law, "jumps", step.number, at)?;
        self.correct(step, tau)
    }

    fn leap(
        &mut self,
        rates: &impl super::leap::Rates<F>,
        law: Law,
        label: &str,
        number: u64,
        at: At,
    ) -> Result<(), Error> {
        let mut block = Block {
            rows: &self.rows,
            x: &mut self.x,
            held: self.held,
            states: self.sampler.model.states(),
            counts: self.counts,
        };
        let streams = self.noise.fork(label).fork_index(number);
        block.leap(
            rates,
            law,
            &self.buffers.values,
            &self.buffers.uniforms,
            |row| streams.row_stream(row),
            at,
        )?;
        self.counts = block.counts;
        Ok(())
    }

    fn two_stage(&mut self, step: &Step<F>, theta: f64, rule: JumpRule, restart: bool) -> Result<(), Error> {
        let tau = step.from.t - step.to.t;
        let at = At { step: step.number, time: step.from.t };
        let (time, second) = step.second.as_ref().expect("made for two-stage methods");
        let mut rates = std::mem::take(&mut self.buffers.two_stage);
        rates.keep(&step.reversal, &self.x, &self.buffers.values, restart);
        self.leap(&step.reversal, Law::Leap(rule, theta * tau), "jumps", step.number, at)?;
        self.evaluate(*time)?;
        self.uniforms("second", step.number);
        let streams = self.noise.fork("second jumps").fork_index(step.number);
        let mut block = Block {
            rows: &self.rows,
            x: &mut self.x,
            held: self.held,
            states: self.sampler.model.states(),
            counts: self.counts,
        };
        let stage = two_stage::Second { theta, tau, rule, restart };
        let stream = |row| streams.row_stream(row);
        rates.second(&mut block, second, stage, &self.buffers.values, &self.buffers.uniforms, stream, at)?;
        self.counts = block.counts;
        self.buffers.two_stage = rates;
        self.correct(step, tau)
    }

    fn correct(&mut self, step: &Step<F>, tau: f64) -> Result<(), Error> {
        let (Some(reversal), Some(correction)) = (&step.corrector, self.sampler.correction) else {
            return Ok(());
        };
        let noising = &self.sampler.noising;
        let beta = noising.beta().rate(step.to.t)?;
        let rates = Corrector { reversal, generator: noising.generator(), beta };
        let law = Law::Leap(correction.rule, correction.scale * tau);
        let at = At { step: step.number, time: step.to.t };
        for k in 0..correction.steps as u64 {
            let number = step.number * correction.steps as u64 + k;
            self.evaluate(step.to)?;
            self.uniforms("corrector", number);
            self.leap(&rates, law, "corrector jumps", number, at)?;
        }
        Ok(())
    }

    fn finish(&mut self, finish: Finish) -> Result<(), Error> {
        let time = self.sampler.grid.last();
        if finish == Finish::State || time.t == 0.0 {
            return Ok(());
        }
        self.evaluate(time)?;
        self.uniforms("finish", 0);
        let states = self.sampler.model.states();
        let mut x = self.x.clone();
        if finish == Finish::Draw {
            let at = At { step: self.sampler.grid.steps() as u64, time: time.t };
            last_step(&self.rows, &mut x, &self.buffers.values, &self.buffers.uniforms, at)?;
        } else {
            let dim = self.sampler.model.dim();
            for (k, (x, p)) in x.iter_mut().zip(self.buffers.values.chunks_exact(states)).enumerate() {
                if p.iter().any(|p| p.is_nan()) {
                    let (what, step) = ("a posterior probability", self.sampler.grid.steps() as u64);
                    return Err(Error::NotFinite { what, row: self.rows[k / dim], step, time: time.t });
                }
                // The first of equals.
                *x = (1..states).fold(0, |best, v| if p[v] > p[best] { v } else { best }) as u32;
            }
        }
        for (k, new) in x.into_iter().enumerate() {
            if !self.held.get(k).is_some_and(|&held| held) {
                self.x[k] = new;
            }
        }
        Ok(())
    }
}
