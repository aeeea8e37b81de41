//! Rates of the time-reversed chain.

use numeric::ndarray::Array2;
use numeric::{Error, Real, indexed_dots, vectorize};

use super::Output;
use super::noising::{Chain, Noising};
use super::pick::{find_other, pick, sum_of_others};
use crate::{Generator, Refresh};

/// The time reversal of a [`Noising`] at one time: turns the numbers of a [`Denoiser`](super::Denoiser) for one token
/// into the rates at which the token moves when time runs backwards.
///
/// ```math
/// \hat R_t(x, s) = \beta(t)\, Q_{s x}\, \frac{q_t(s)}{q_t(x)}
/// = \beta(t)\, Q_{s x} \sum_{v} \frac{q_{t|0}(s \mid v)}{q_{t|0}(x \mid v)}\, p(v \mid x) ,
/// \qquad s \ne x .
/// ```
///
/// Summed over s before it is summed over v, the total rate is one product of p with a row of a table: O(S) for a token
/// whatever the generator, O(1) for a refreshing chain. Only a token that moves asks for more.
///
/// Values v that cannot have led to x have no such ratio: a posterior that gives them mass is refused, unless the token
/// cannot move at all (an unmasked token of an absorbing chain). So are values whose likelihood $`q_{t|0}(x \mid v)`$ is below
/// $`10^{-200}`$, which a chain of many ordered states has at short times: give them no mass.
///
/// ```
/// use ctmc::denoise::{Noising, Output, Reversal};
/// use ctmc::{Dense, TimeChange};
/// use numeric::ndarray::array;
/// let q = Dense::new(&array![[0.0, 1.0, 0.5], [0.25, 0.0, 0.75], [1.0, 0.5, 0.0]])?;
/// let noising = Noising::new(q, TimeChange::exponential(0.5, 3.0)?)?;
/// let reversal = Reversal::<f64>::new(&noising, 0.5, Output::Posterior)?;
/// // The posterior of the clean state for the data law (0.6, 0.3, 0.1), by Bayes' rule.
/// let kernel = noising.kernel(0.0, 0.5)?;
/// let joint = [0.6, 0.3, 0.1].iter().zip(kernel.matrix().column(1)).map(|(p, q)| p * q).collect::<Vec<_>>();
/// let posterior: Vec<f64> = joint.iter().map(|p| p / joint.iter().sum::<f64>()).collect();
/// let mut rates = [0.0; 3];
/// reversal.rates_into(1, &posterior, &mut rates);
/// assert!((rates[0] - 1.03499728918).abs() < 1e-11 && (rates[2] - 0.249472204502).abs() < 1e-11);
/// assert!((reversal.total(1, &posterior) - rates[0] - rates[2]).abs() < 1e-14);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// Campbell et al. (2022), *A continuous time framework for discrete denoising models*, propositions 1 and 3. Lou, Meng,
/// Ermon (2024), *Discrete diffusion modeling by estimating the ratios of the data distribution*: ratios.
#[derive(Clone, Debug)]
pub struct Reversal<F> {
    states: usize,
    /// The greatest probability, 1 but for rounding.
    most: f64,
    output: Output,
    form: Form<F>,
}

#[derive(Clone)]
enum Form<F> {
    /// Refreshing. `totals[x]` multiply the probabilities of another value and of x itself in the total rate. Before the
    /// jump a value was kept with probability `keep`, and refreshed with probability `fresh`; `rate` is that of a jump.
    Refresh { keep: f64, fresh: f64, rate: f64, after: [f64; 2], totals: Vec<[f64; 2]>, chain: Refresh },
    /// `totals[x, k]` multiplies number k of the model in the total rate out of x; `before[v, s]` is the law of the state
    /// before the jump given the clean value v, `after` the one at the time of x, and `jumps[x, s]` leads from s to x.
    Table { totals: Vec<F>, before: Array2<f64>, after: Array2<f64>, jumps: Array2<f64>, closed: Vec<bool> },
}

impl<F> std::fmt::Debug for Form<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if matches!(self, Form::Refresh { .. }) { "Refresh" } else { "Table" })
    }
}

impl<F: Real> Reversal<F> {
    /// The reversal at time t, for a model with this kind of output.
    ///
    /// # Errors
    /// For a time that is not greater than 0, where the posterior knows the clean state and rates need not be finite, or
    /// at which the rate β(t) is not finite; those of [`Noising::kernel`].
    pub fn new(noising: &Noising, t: f64, output: Output) -> Result<Reversal<F>, Error> {
        Error::positive("t", t)?;
        let beta = noising.beta().rate(t)?;
        Error::domain(beta.is_finite(), "t", t, "a time at which the rate of noising is finite")?;
        let states = noising.states();
        let form = match &noising.chain {
            Chain::Refresh(chain) => {
                let kept = kept(chain, noising.beta().integral(0.0, t)?)?;
                Error::domain(kept[1] > 0.0, "t", t, "a time at which some noise has come")?;
                Form::refresh(chain, kept, kept, beta * chain.total())
            }
            Chain::Any(chain, _) => {
                let after = noising.kernel(0.0, t)?.matrix().clone();
                let mut jumps = Array2::zeros((states, states));
                for from in chain.state_range() {
                    chain.for_each_rate(from, &mut |to, rate| {
                        jumps[[to as usize, from as usize]] = beta * rate;
                    });
                }
                match output {
                    Output::Posterior => {
                        let mut flow = Array2::zeros((states, states));
                        for (law, mut flow) in after.outer_iter().zip(flow.outer_iter_mut()) {
                            let (law, mut into) = (law.to_vec(), vec![0.0; states]);
                            chain.inflow_into(&law, &mut into);
                            flow.iter_mut().zip(into).for_each(|(flow, into)| *flow = beta * into);
                        }
                        Form::table(flow, after.clone(), after, jumps)
                    }
                    Output::Ratios => {
                        let totals = jumps.iter().map(|&rate| F::of(rate)).collect();
                        let before = Array2::zeros((0, 0));
                        Form::Table { totals, before, after, jumps, closed: vec![false; states] }
                    }
                }
            }
        };
        Ok(Reversal { states, most: most::<F>(states), output, form })
    }

    /// The same for a whole step from time t back to time s, from the posterior at time t: in place of rates there are
    /// the probabilities of moving,
    ///
    /// ```math
    /// P(x, y) = q_{t|s}(x \mid y) \sum_v \frac{q_{s|0}(y \mid v)}{q_{t|0}(x \mid v)}\, p(v \mid x), \qquad y \ne x ,
    /// ```
    ///
    /// and what is left is that of staying: always a law, exact for one token.
    ///
    /// ```
    /// use ctmc::denoise::{Noising, Reversal};
    /// use ctmc::{Refresh, TimeChange};
    /// // Of the tokens masked at 0.8, a quarter were not yet at 0.6.
    /// let noising = Noising::refresh(Refresh::absorbing(3, 2, 1.0)?, TimeChange::log_linear(0.0)?);
    /// let step = Reversal::<f64>::between(&noising, 0.6, 0.8)?;
    /// let mut moves = [0.0; 3];
    /// step.rates_into(2, &[0.9, 0.1, 0.0], &mut moves);
    /// assert!((moves[0] - 0.225).abs() < 1e-15 && (moves[1] - 0.025).abs() < 1e-15);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Errors
    /// Unless $`0 \le s < t`$ are times of the schedule; those of [`Noising::kernel`].
    ///
    /// # References
    /// Austin et al. (2021), *Structured denoising diffusion models in discrete state-spaces*, equation 3; Lou, Meng, Ermon
    /// (2024), *Discrete diffusion modeling by estimating the ratios of the data distribution*: "Tweedie τ-leaping".
    pub fn between(noising: &Noising, s: f64, t: f64) -> Result<Reversal<F>, Error> {
        Error::domain(s < t, "s", s, "a time before t")?;
        let states = noising.states();
        let form = match &noising.chain {
            Chain::Refresh(chain) => {
                let beta = noising.beta();
                let moved = kept(chain, beta.integral(s, t)?)?[1];
                let (before, after) =
                    (kept(chain, beta.integral(0.0, s)?)?, kept(chain, beta.integral(0.0, t)?)?);
                Error::domain(after[1] > 0.0, "t", t, "a time at which some noise has come")?;
                Form::refresh(chain, before, after, moved)
            }
            Chain::Any(..) => {
                let before = noising.kernel(0.0, s)?.matrix().clone();
                let after = noising.kernel(0.0, t)?.matrix().clone();
                let mut jumps = noising.kernel(s, t)?.matrix().clone();
                jumps.diag_mut().fill(0.0);
                let flow = before.dot(&jumps);
                Form::table(flow, before, after, jumps.t().as_standard_layout().into_owned())
            }
        };
        Ok(Reversal { states, most: most::<F>(states), output: Output::Posterior, form })
    }

    /// Total rate $`\sum_{s \ne x} \hat R_t(x, s)`$ out of x, given the S numbers of the model for this token. NaN if they
    /// have a NaN; infinite for a posterior with mass on a value that cannot have led to x.
    ///
    /// A refreshing chain takes $`1 - p(x)`$ for the mass on other values: a relative error of u/t at short times t, with
    /// the unit roundoff u of F.
    ///
    /// # Panics
    /// If there is no such state, or not S numbers.
    #[must_use]
    pub fn total(&self, x: u32, values: &[F]) -> f64 {
        assert_eq!(values.len(), self.states, "one number for each state");
        let at = x as usize;
        match &self.form {
            Form::Refresh { totals, chain, rate, .. } => match self.output {
                Output::Posterior => refresh_total(totals[at], values[at].as_f64(), self.most),
                Output::Ratios => {
                    let others =
                        values[..at].iter().chain(&values[at + 1..]).map(|r| r.as_f64()).sum::<f64>();
                    let weight = chain.weight(x);
                    // Not 0 times an infinite ratio.
                    if weight == 0.0 && !others.is_nan() { 0.0 } else { rate * weight * others }
                }
            },
            Form::Table { totals, after, closed, .. } => {
                if closed[at] && is_impossible(after, at, values) {
                    return f64::INFINITY;
                }
                let mut sum = [F::zero()];
                indexed_dots(values, &[x], totals, self.states, &mut sum);
                sum[0].as_f64()
            }
        }
    }

    /// The totals of many tokens: `x` has their states and `values` the S numbers of each.
    #[inline]
    pub(super) fn totals_into(&self, x: &[u32], values: &[F], out: &mut [f64]) {
        match &self.form {
            Form::Refresh { totals, .. } if self.output == Output::Posterior => {
                let (states, most) = (self.states, self.most);
                vectorize(
                    #[inline(always)]
                    || {
                        for ((out, &x), values) in out.iter_mut().zip(x).zip(values.chunks_exact(states)) {
                            *out = refresh_total(totals[x as usize], values[x as usize].as_f64(), most);
                        }
                    },
                );
            }
            Form::Table { totals, closed, .. } if !closed.contains(&true) => {
                let mut sums = [F::zero(); 256];
                let tokens = x.chunks(256).zip(values.chunks(256 * self.states)).zip(out.chunks_mut(256));
                for ((x, values), out) in tokens {
                    indexed_dots(values, x, totals, self.states, &mut sums[..x.len()]);
                    out.iter_mut().zip(&sums).for_each(|(out, sum)| *out = sum.as_f64());
                }
            }
            _ => {
                for ((out, &x), values) in out.iter_mut().zip(x).zip(values.chunks_exact(self.states)) {
                    *out = self.total(x, values);
                }
            }
        }
    }

    /// Writes the rates $`\hat R_t(x, s)`$ over `out`; 0 at x itself. NaN if the numbers have a NaN, infinite where the total is. O(S) for a refreshing chain or for ratios, else
    /// O(S²).
    ///
    /// # Panics
    /// If there is no such state, or not S numbers.
    pub fn rates_into(&self, x: u32, values: &[F], out: &mut [f64]) {
        assert_eq!((values.len(), out.len()), (self.states, self.states), "one number for each state");
        let at = x as usize;
        let states = 0..self.states as u32;
        if values.iter().any(|value| value.is_nan()) {
            out.fill(f64::NAN);
            return;
        }
        if let Form::Table { after, closed, .. } = &self.form
            && closed[at]
            && is_impossible(after, at, values)
        {
            out.fill(f64::INFINITY);
            out[at] = 0.0;
            return;
        }
        match (&self.form, self.output) {
            (Form::Refresh { chain, rate, .. }, Output::Ratios) => {
                let scale = rate * chain.weight(x);
                out.iter_mut().zip(values).for_each(|(out, r)| *out = scale * r.as_f64());
            }
            (Form::Refresh { keep, fresh, rate, after, chain, .. }, Output::Posterior) => {
                let pi = chain.weight(x);
                if pi == 0.0 {
                    out.fill(0.0);
                    return;
                }
                // π_x q(x|v)⁻¹ p(v), for v ≠ x and for x, and what all sum to.
                let same = values[at].as_f64();
                let others = values[..at].iter().chain(&values[at + 1..]).map(|p| p.as_f64()).sum::<f64>();
                let other = 1.0 / after[1];
                let sum = others * other + pi * same / (after[0] + after[1] * pi);
                for ((out, value), s) in out.iter_mut().zip(values).zip(states) {
                    *out = rate * (keep * other * value.as_f64() + fresh * chain.weight(s) * sum);
                }
            }
            (Form::Table { jumps, .. }, Output::Ratios) => {
                for ((out, value), jump) in out.iter_mut().zip(values).zip(jumps.row(at)) {
                    *out = jump * value.as_f64();
                }
            }
            (Form::Table { jumps, before, after, .. }, Output::Posterior) => {
                out.fill(0.0);
                for ((value, before), after) in values.iter().zip(before.outer_iter()).zip(after.column(at)) {
                    let value = value.as_f64();
                    if value != 0.0 && *after > 0.0 {
                        let weight = value / after;
                        out.iter_mut().zip(before).for_each(|(out, q)| *out += weight * q);
                    }
                }
                for (out, &jump) in out.iter_mut().zip(jumps.row(at)) {
                    // A ratio may be beyond all floats where nothing leads back.
                    *out = if jump > 0.0 { *out * jump } else { 0.0 };
                }
            }
        }
        out[at] = 0.0;
    }

    /// Where a reverse jump from x goes: s with probability $`\hat R_t(x, s) / \sum_{s'} \hat R_t(x, s')`$, given two
    /// uniforms on (0, 1). O(S): a clean value is drawn first, then the state before the jump on its bridge; for a refreshing chain
    /// it is first whether that state was new, whatever the clean value, and only else which one was kept. It is x itself where
    /// nothing leads away.
    ///
    /// # Panics
    /// If there is no such state, or not S numbers.
    #[must_use]
    pub fn destination(&self, x: u32, values: &[F], u: [f64; 2]) -> u32 {
        let at = x as usize;
        match &self.form {
            Form::Refresh { .. } if self.output == Output::Ratios => {
                // The rate to x is the same from all states.
                find_other(u[0] * sum_of_others(values, at), values, at).unwrap_or(x)
            }
            Form::Table { totals, .. } if self.output == Output::Ratios => {
                pick(u[0], values, &totals[at * self.states..][..self.states]).unwrap_or(x)
            }
            Form::Refresh { keep, fresh, totals, chain, .. } => {
                let [moved, stayed] = totals[at];
                let same = values[at].as_f64();
                let (same, others) = (stayed * same, moved * (1.0 - same).max(0.0));
                if !(same + others > 0.0) {
                    return x;
                }
                // The state before the jump is another clean value, kept, or else a new one, whatever the clean value.
                let new = fresh * chain.exit_rate(x) / chain.total();
                let kept = *keep / (keep + new);
                let target = u[0] * (same + others);
                if target < kept * others || new == 0.0 {
                    find_other(target / (kept * moved), values, at).unwrap_or(x)
                } else {
                    chain.destination(x, u[1])
                }
            }
            Form::Table { totals, before, jumps, .. } => {
                let row = &totals[at * self.states..][..self.states];
                let Some(v) = pick(u[0], values, row) else { return x };
                let (law, jumps) = (before.row(v as usize), jumps.row(at));
                let law = law.to_slice().expect("standard layout");
                pick(u[1], law, jumps.to_slice().expect("standard layout")).unwrap_or(x)
            }
        }
    }
}

impl<F: Real> Form<F> {
    /// `before` and `after` are the probabilities of having been kept and refreshed.
    fn refresh(chain: &Refresh, before: [f64; 2], after: [f64; 2], rate: f64) -> Form<F> {
        let [keep, fresh] = before;
        let totals = chain.state_range().map(|x| {
            let (pi, others) = (chain.weight(x), chain.exit_rate(x) / chain.total());
            if pi == 0.0 {
                return [0.0; 2];
            }
            let stayed = pi * fresh * others / (after[0] + after[1] * pi);
            [rate * (keep + fresh * others) / after[1], rate * stayed]
        });
        Form::Refresh { keep, fresh, rate, after, totals: totals.collect(), chain: chain.clone() }
    }

    /// `flow[v, x]` is what comes into x from other states, given the clean value v.
    fn table(flow: Array2<f64>, before: Array2<f64>, after: Array2<f64>, jumps: Array2<f64>) -> Form<F> {
        let states = after.nrows();
        let (mut totals, mut closed) = (vec![F::zero(); states * states], vec![false; states]);
        for ((v, x), &flow) in flow.indexed_iter() {
            let after = after[[v, x]];
            closed[x] |= after == 0.0;
            if after > 0.0 {
                totals[x * states + v] = F::of(flow / after);
            }
        }
        // A state that v has no way to has no ratio; one that nothing leads to needs none.
        for (closed, x) in closed.iter_mut().zip(0..) {
            *closed &= jumps.row(x).iter().any(|&jump| jump > 0.0);
        }
        Form::Table { totals, before, after, jumps, closed }
    }
}

/// What a probability may be at most, after the rounding of a sum of all.
fn most<F: Real>(states: usize) -> f64 {
    1.0 + 4.0 * F::epsilon().as_f64() * (states as f64 + 16.0)
}

/// NaN for what is no probability.
#[inline(always)]
fn refresh_total([moved, stayed]: [f64; 2], same: f64, most: f64) -> f64 {
    let other = if same > most {
        f64::NAN
    } else if same > 1.0 {
        0.0
    } else {
        1.0 - same
    };
    moved * other + stayed * same
}

/// The probabilities that a value is kept, and that it is refreshed.
fn kept(chain: &Refresh, clock: f64) -> Result<[f64; 2], Error> {
    Ok([chain.retention(clock)?, -(-chain.total() * clock).exp_m1()])
}

#[cold]
fn is_impossible<F: Real>(after: &Array2<f64>, x: usize, values: &[F]) -> bool {
    values.iter().zip(after.column(x)).any(|(&p, &q)| q == 0.0 && (p > F::zero() || p < F::zero()))
}
