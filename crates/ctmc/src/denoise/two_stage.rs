//! The second stage of midpoint and trapezoidal leaps.

use numeric::{Error, Real, RowStream};

use super::leap::{At, Block, Law, Rates};
use super::{JumpRule, Reversal};
use crate::law::draw_from;

/// The states and rates at the start of a step, `(n, D)` and `(n, D, S)`.
#[derive(Default)]
pub(super) struct TwoStage {
    x: Vec<u32>,
    rates: Vec<f64>,
    /// Of the second stage.
    second: Vec<f64>,
}

/// What the second stage is.
#[derive(Clone, Copy)]
pub(super) struct Second {
    /// Part of the step that the first stage took.
    pub theta: f64,
    /// Length of the step.
    pub tau: f64,
    pub rule: JumpRule,
    /// Whether it starts at the start of the step again.
    pub restart: bool,
}

impl TwoStage {
    /// Keeps the states, and the rates if the second stage needs them.
    pub(super) fn keep<F: Real>(&mut self, reversal: &Reversal<F>, x: &[u32], values: &[F], restart: bool) {
        self.x.clear();
        self.x.extend_from_slice(x);
        let states = values.len() / x.len().max(1);
        self.rates.resize(if restart { 0 } else { values.len() }, 0.0);
        let tokens = x.iter().zip(values.chunks_exact(states.max(1)));
        for (rates, (&x, values)) in self.rates.chunks_exact_mut(states.max(1)).zip(tokens) {
            reversal.rates_into(x, values, rates);
        }
    }

    /// Moves the tokens of a block that has made the first stage.
    #[expect(clippy::too_many_arguments, reason = "as a leap")]
    pub(super) fn second<F: Real>(
        &mut self,
        block: &mut Block<'_>,
        reversal: &Reversal<F>,
        stage: Second,
        values: &[F],
        uniforms: &[f64],
        stream: impl Fn(u64) -> RowStream,
        at: At,
    ) -> Result<(), Error> {
        let states = block.states;
        self.second.resize(values.len(), 0.0);
        let tokens = self.second.chunks_exact_mut(states).zip(values.chunks_exact(states));
        for (k, (rates, values)) in tokens.enumerate() {
            let (x, y) = (self.x[k], block.x[k]);
            reversal.rates_into(y, values, rates);
            if stage.restart {
                shift(rates, y, x, stage.rule);
                block.x[k] = x;
            } else {
                let first = &mut self.rates[k * states..][..states];
                let held = block.held.get(k).is_some_and(|&held| held);
                let lost = shift(first, x, y, stage.rule);
                let negative = lost + extrapolate(rates, first, stage.theta);
                block.counts.negative += if held { 0 } else { negative };
            }
        }
        let part = if stage.restart { 1.0 } else { 1.0 - stage.theta };
        block.leap(&Given, Law::Leap(stage.rule, part * stage.tau), &self.second, uniforms, stream, at)
    }
}

/// Rates out of `from` become those out of `to` through the same channels: the same displacements for ordered states,
/// the same destinations for categories. Returns how many of positive rate have no way to go.
fn shift(rates: &mut [f64], from: u32, to: u32, rule: JumpRule) -> u64 {
    let (from, to, states) = (from as usize, to as usize, rates.len());
    let mut beyond = 0..0;
    match rule {
        JumpRule::Reject | JumpRule::Last => {}
        JumpRule::Cyclic => rates.rotate_right((to + states - from) % states),
        JumpRule::Clamp if to >= from => {
            rates.rotate_right(to - from);
            beyond = 0..to - from;
        }
        JumpRule::Clamp => {
            rates.rotate_left(from - to);
            beyond = states - (from - to)..states;
        }
    }
    let lost = rates[beyond.clone()].iter().filter(|&&rate| rate > 0.0).count();
    rates[beyond].fill(0.0);
    rates[to] = 0.0;
    lost as u64
}

/// $`[a_1 \text{rates} - a_2 \text{first}]_+`$; returns how many were below 0.
fn extrapolate(rates: &mut [f64], first: &[f64], theta: f64) -> u64 {
    let a = 1.0 / (2.0 * theta * (1.0 - theta));
    let mut negative = 0;
    for (rate, first) in rates.iter_mut().zip(first) {
        let value = a * *rate - (a - 1.0) * first;
        negative += u64::from(value < 0.0);
        // A NaN stays one.
        *rate = if value < 0.0 { 0.0 } else { value };
    }
    negative
}

/// Rates that are given as such.
struct Given;

impl Rates<f64> for Given {
    fn totals_into(&self, x: &[u32], rates: &[f64], out: &mut [f64]) {
        for (out, rates) in out.iter_mut().zip(rates.chunks_exact(rates.len() / x.len())) {
            *out = rates.iter().sum();
        }
    }

    fn destination(&self, x: u32, rates: &[f64], stream: &mut RowStream) -> u32 {
        let all = |visit: &mut dyn FnMut(u32, f64)| (0..).zip(rates).for_each(|(s, &rate)| visit(s, rate));
        draw_from(stream.uniform() * rates.iter().sum::<f64>(), all).unwrap_or(x)
    }
}
