//! One leap of a block of rows.

use numeric::{Error, Real, RowStream};

use super::Reversal;
use crate::Generator;

/// What becomes of a token that jumps more than once within a leap, where rates were frozen at its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum JumpRule {
    /// It stays where it is: for categories, as the authors have it. Roughly doubles the error of a leap.
    Reject,
    /// The last jump holds, so that the chance to move is $`1 - e^{-\tau \Lambda}`$: for categories.
    Last,
    /// Displacements add up, and end at the first and the last state: for ordered states.
    Clamp,
    /// Displacements add up modulo S.
    Cyclic,
}

/// What happened on the way, summed over rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LeapCounts {
    /// Rows that the model was asked about, over all calls; those of whole blocks beyond the rows asked for included.
    pub model_rows: u64,
    /// Moves of tokens, those to places that a two-stage method only looks from included.
    pub jumps: u64,
    /// Leaps of a token that were rejected since it would have jumped more than once.
    pub rejected: u64,
    /// Tokens that were held back at the first or the last state.
    pub clamped: u64,
    /// Extrapolated rates below 0 that a two-stage method made 0, those of jumps beyond the first and last state included:
    /// with them it is of first order.
    pub negative: u64,
}

impl LeapCounts {
    pub(super) fn add(&mut self, other: LeapCounts) {
        self.model_rows += other.model_rows;
        self.jumps += other.jumps;
        self.rejected += other.rejected;
        self.clamped += other.clamped;
        self.negative += other.negative;
    }
}

/// Rates of one token, given the numbers of a model for it.
pub(super) trait Rates<F> {
    /// Of many tokens.
    fn totals_into(&self, x: &[u32], values: &[F], out: &mut [f64]);
    fn destination(&self, x: u32, values: &[F], stream: &mut RowStream) -> u32;
}

impl<F: Real> Rates<F> for Reversal<F> {
    fn totals_into(&self, x: &[u32], values: &[F], out: &mut [f64]) {
        Reversal::totals_into(self, x, values, out);
    }

    fn destination(&self, x: u32, values: &[F], stream: &mut RowStream) -> u32 {
        Reversal::destination(self, x, values, [stream.uniform(), stream.uniform()])
    }
}

/// Forward and reverse rates together: the chain that leaves $`q_t`$ as it is.
pub(super) struct Corrector<'a, F> {
    pub reversal: &'a Reversal<F>,
    pub generator: &'a dyn Generator,
    pub beta: f64,
}

impl<F: Real> Rates<F> for Corrector<'_, F> {
    fn totals_into(&self, x: &[u32], values: &[F], out: &mut [f64]) {
        self.reversal.totals_into(x, values, out);
        for (out, &x) in out.iter_mut().zip(x) {
            *out += self.beta * self.generator.exit_rate(x);
        }
    }

    fn destination(&self, x: u32, values: &[F], stream: &mut RowStream) -> u32 {
        let forward = self.beta * self.generator.exit_rate(x);
        if stream.uniform() * (forward + self.reversal.total(x, values)) < forward {
            self.generator.destination(x, stream.uniform())
        } else {
            Rates::destination(self.reversal, x, values, stream)
        }
    }
}

/// How the total of the rates becomes a probability to move.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Law {
    /// The rates are frozen over this time.
    Leap(JumpRule, f64),
    /// The chance to move is the total times this time; an error where that is above 1.
    Linear(f64),
}

/// Where a leap is, for errors.
#[derive(Clone, Copy)]
pub(super) struct At {
    pub step: u64,
    pub time: f64,
}

/// Tokens whose total rates are computed at a time.
const PART: usize = 512;

/// The tokens of a block on their way.
pub(super) struct Block<'a> {
    pub rows: &'a [u64],
    /// Tokens, `(rows, D)`.
    pub x: &'a mut [u32],
    /// Which of them never move; empty if all may.
    pub held: &'a [bool],
    /// Number of states.
    pub states: usize,
    pub counts: LeapCounts,
}

impl Block<'_> {
    /// Moves all tokens, given the numbers of the model, `(rows, D, S)`, and one uniform for each token. Whatever else
    /// is drawn for a row comes from its stream.
    pub(super) fn leap<F: Real>(
        &mut self,
        rates: &impl Rates<F>,
        law: Law,
        values: &[F],
        uniforms: &[f64],
        stream: impl Fn(u64) -> RowStream,
        at: At,
    ) -> Result<(), Error> {
        let (tau, states) = (law.time(), self.states);
        let dim = self.x.len() / self.rows.len().max(1);
        let mut open: Option<(usize, RowStream)> = None;
        let mut totals = [0.0; PART];
        for start in (0..self.x.len()).step_by(PART) {
            let part = start..self.x.len().min(start + PART);
            let (values, uniforms) =
                (&values[part.start * states..part.end * states], &uniforms[part.clone()]);
            let totals = &mut totals[..part.len()];
            rates.totals_into(&self.x[part], values, totals);
            // Most tokens stay: no rule moves one with a probability above the total rate times the length of the leap.
            for (word, (totals, uniforms)) in totals.chunks(64).zip(uniforms.chunks(64)).enumerate() {
                let mut marks = 0_u64;
                for (k, (total, u)) in totals.iter().zip(uniforms).enumerate() {
                    // In this form a NaN is marked.
                    let stays = total * tau <= *u && *total >= 0.0;
                    marks |= u64::from(!stays) << k;
                }
                while marks != 0 {
                    let place = marks.trailing_zeros() as usize;
                    marks &= marks - 1;
                    let (total, u) = (totals[place], uniforms[place]);
                    let k = start + 64 * word + place;
                    if self.held.get(k).is_some_and(|&held| held) {
                        continue;
                    }
                    let (row, token) = (k / dim, &values[(k - start) * states..][..states]);
                    self.check(total, row, self.x[k], at)?;
                    if open.as_ref().is_none_or(|&(of, _)| of != row) {
                        open = Some((row, stream(self.rows[row])));
                    }
                    let stream = &mut open.as_mut().expect("just opened").1;
                    self.move_token(k, total, law, rates, token, u, stream, at)?;
                }
            }
        }
        Ok(())
    }

    fn check(&self, total: f64, row: usize, x: u32, at: At) -> Result<(), Error> {
        if total.is_nan() {
            let what = "a rate of the reverse chain";
            return Err(Error::NotFinite { what, row: self.rows[row], step: at.step, time: at.time });
        }
        if !(0.0..f64::INFINITY).contains(&total) {
            let message = format!(
                "the rate out of state {x} is {total} at time {}: mass on values that cannot have led there, or ratios \
                 that overflow",
                at.time
            );
            return Err(Error::Model { row: self.rows[row], message });
        }
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "the state of an inner loop")]
    fn move_token<F: Real>(
        &mut self,
        k: usize,
        total: f64,
        law: Law,
        rates: &impl Rates<F>,
        token: &[F],
        u: f64,
        stream: &mut RowStream,
        at: At,
    ) -> Result<(), Error> {
        let x = self.x[k];
        let mean = total * law.time();
        let moved = match law {
            Law::Linear(tau) => {
                // A total of probabilities may round to a little more than 1.
                if mean > 1.0 + 1e-5 {
                    let row = self.rows[k / (self.x.len() / self.rows.len())];
                    let reason = "the chance to move within the step is above 1: take shorter steps";
                    return Err(Error::Stalled { row, time: at.time, step: tau, steps: at.step, reason });
                }
                u < mean
            }
            Law::Leap(JumpRule::Reject, _) => {
                let none_less_1 = (-mean).exp_m1();
                let once = u < mean * (1.0 + none_less_1);
                self.counts.rejected += u64::from(!once && u < -none_less_1);
                once
            }
            Law::Leap(..) => u < -(-mean).exp_m1(),
        };
        if !moved {
            return Ok(());
        }
        let Law::Leap(rule @ (JumpRule::Clamp | JumpRule::Cyclic), _) = law else {
            self.x[k] = rates.destination(x, token, stream);
            self.counts.jumps += u64::from(self.x[k] != x);
            return Ok(());
        };
        if mean > MOST_JUMPS {
            let (row, step) = (self.rows[k / (self.x.len() / self.rows.len())], law.time());
            let reason = "more than 10,000 jumps of a token within the leap: take shorter steps";
            return Err(Error::Stalled { row, time: at.time, step, steps: at.step, reason });
        }
        let mut place = i64::from(x);
        for _ in 0..jumps_at_least_one(mean, u, stream) {
            place += i64::from(rates.destination(x, token, stream)) - i64::from(x);
        }
        let states = self.states as i64;
        if rule == JumpRule::Clamp {
            self.counts.clamped += u64::from(!(0..states).contains(&place));
            self.x[k] = place.clamp(0, states - 1) as u32;
        } else {
            self.x[k] = place.rem_euclid(states) as u32;
        }
        self.counts.jumps += u64::from(self.x[k] != x);
        Ok(())
    }
}

impl Law {
    fn time(self) -> f64 {
        match self {
            Law::Leap(_, tau) | Law::Linear(tau) => tau,
        }
    }
}

/// A Poisson number that is known to be at least 1, by inversion of u < 1 - exp(-mean).
fn jumps_at_least_one(mean: f64, u: f64, stream: &mut RowStream) -> u64 {
    if mean > LONGEST_INVERSION {
        // In parts, each by inversion, again if none has a jump.
        let parts = (mean / LONGEST_INVERSION).ceil();
        loop {
            let part = |_| poisson(mean / parts, stream.uniform());
            let jumps = (0..parts as u64).map(part).sum();
            if jumps > 0 {
                return jumps;
            }
        }
    }
    // 1 - u is uniform on (exp(-mean), 1), beyond the probability of no jump.
    poisson(mean, 1.0 - u).max(1)
}

const LONGEST_INVERSION: f64 = 500.0;
/// Of a token within a leap: more would be no approximation of anything.
const MOST_JUMPS: f64 = 1e4;

/// The smallest k at which the distribution function of the Poisson law is above u.
fn poisson(mean: f64, u: f64) -> u64 {
    let (mut k, mut term) = (0, (-mean).exp());
    let mut sum = term;
    while sum <= u && term > 0.0 {
        k += 1;
        term *= mean / k as f64;
        sum += term;
    }
    k
}
