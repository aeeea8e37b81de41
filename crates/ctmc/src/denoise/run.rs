//! One block of rows on its way along the grid.

use std::ops::Range;

use numeric::ndarray::{ArrayView2, ArrayViewMut2, ArrayViewMut3};
use numeric::{Batch, Error, Noise, Real, Scratch, Time, Times};

use super::flow::last_step;
use super::leap::{At, Block, Corrector, Law};
use super::two_stage::{self, TwoStage};
use super::{Denoiser, Finish, JumpRule, LeapCounts, Method, Reversal, ReverseSampler};

/// All that one step of the grid needs, shared by all rows.
pub(super) struct Step<F> {
    pub(super) number: u64,
    pub(super) from: Time,
    pub(super) to: Time,
    pub(super) reversal: Reversal<F>,
    pub(super) second: Option<(Time, Reversal<F>)>,
    pub(super) corrector: Option<Reversal<F>>,
}

/// A block on its way.
pub(super) struct Run<'a, M, F> {
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
    pub(super) fn new(
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

    pub(super) fn close(self) -> (Vec<u32>, LeapCounts) {
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

    pub(super) fn step(&mut self, step: &Step<F>) -> Result<(), Error> {
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

    pub(super) fn finish(&mut self, finish: Finish) -> Result<(), Error> {
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
