//! Rates of the time-reversed chain.

use std::sync::Arc;

use numeric::ndarray::Array2;
use numeric::{Error, Real};

use super::Output;
use super::noising::{Chain, Noising};
use crate::Generator;
use crate::law::draw_from;

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
/// cannot move at all (an unmasked token of an absorbing chain).
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
    output: Output,
    /// Multiplies the generator: β(t).
    beta: f64,
    form: Form<F>,
}

#[derive(Clone)]
enum Form<F> {
    /// Refreshing: the probability of no refresh until now, of one, and β r. `totals[x]` multiply the probabilities of
    /// another value and of x itself in the total rate.
    Refresh { keep: f64, fresh: f64, rate: f64, totals: Vec<[f64; 2]>, chain: crate::Refresh },
    /// `totals[x, k]` multiplies number k of the model in the total rate out of x.
    Table { totals: Vec<F>, kernel: Array2<f64>, chain: Arc<dyn Generator>, closed: Vec<bool> },
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
                let clock = noising.beta().integral(0.0, t)?;
                let keep = chain.retention(clock)?;
                let fresh = -(-chain.total() * clock).exp_m1();
                Error::domain(fresh > 0.0, "t", t, "a time at which some noise has come")?;
                let rate = beta * chain.total();
                let totals =
                    chain.state_range().map(|x| refresh_totals(keep, fresh, rate, chain, x)).collect();
                Form::Refresh { keep, fresh, rate, totals, chain: chain.clone() }
            }
            Chain::Any(chain, _) => {
                let chain = Arc::clone(chain);
                let kernel = noising.kernel(0.0, t)?.matrix().clone();
                let mut totals = vec![F::zero(); states * states];
                let mut closed = vec![false; states];
                match output {
                    Output::Ratios => {
                        for from in chain.state_range() {
                            chain.for_each_rate(from, &mut |to, rate| {
                                totals[to as usize * states + from as usize] = F::of(beta * rate);
                            });
                        }
                    }
                    Output::Posterior => {
                        let mut flow = vec![0.0; states];
                        for (v, law) in kernel.outer_iter().enumerate() {
                            let law = law.to_vec();
                            chain.inflow_into(&law, &mut flow);
                            for x in 0..states {
                                // A state without a bridge from v has no ratio; one without an inflow needs none.
                                closed[x] |= law[x] == 0.0 && flow[x] > 0.0;
                                if law[x] > 0.0 {
                                    totals[x * states + v] = F::of(beta * flow[x] / law[x]);
                                }
                            }
                        }
                    }
                }
                Form::Table { totals, kernel, chain, closed }
            }
        };
        Ok(Reversal { states, output, beta, form })
    }

    /// Total rate $`\sum_{s \ne x} \hat R_t(x, s)`$ out of x, given the S numbers of the model for this token. NaN if they
    /// have a NaN; infinite for a posterior with mass on a value that cannot have led to x.
    ///
    /// # Panics
    /// If there is no such state, or not S numbers.
    #[inline(always)]
    #[must_use]
    pub fn total(&self, x: u32, values: &[F]) -> f64 {
        assert_eq!(values.len(), self.states, "one number for each state");
        let at = x as usize;
        match &self.form {
            Form::Refresh { totals, chain, rate, .. } => match self.output {
                Output::Posterior => {
                    let same = values[at].as_f64();
                    let [moved, stayed] = totals[at];
                    // Not a maximum, which would lose a NaN.
                    let other = if same > 1.0 { 0.0 } else { 1.0 - same };
                    moved * other + stayed * same
                }
                Output::Ratios => {
                    let others = sum(&values[..at]).as_f64() + sum(&values[at + 1..]).as_f64();
                    rate * chain.weight(x) * others
                }
            },
            Form::Table { totals, closed, kernel, .. } => {
                let total = dot(values, &totals[at * self.states..][..self.states]).as_f64();
                if closed[at] && self.is_impossible(kernel, at, values) {
                    return f64::INFINITY;
                }
                total
            }
        }
    }

    #[cold]
    fn is_impossible(&self, kernel: &Array2<f64>, x: usize, values: &[F]) -> bool {
        values.iter().zip(kernel.column(x)).any(|(&p, &q)| q == 0.0 && p != F::zero())
    }

    /// Writes the rates $`\hat R_t(x, s)`$ over `out`; 0 at x itself. O(S) for a refreshing chain or for ratios, else
    /// O(S²).
    ///
    /// # Panics
    /// If there is no such state, or not S numbers.
    pub fn rates_into(&self, x: u32, values: &[F], out: &mut [f64]) {
        assert_eq!((values.len(), out.len()), (self.states, self.states), "one number for each state");
        let at = x as usize;
        let states = 0..self.states as u32;
        match (&self.form, self.output) {
            (Form::Refresh { chain, rate, .. }, Output::Ratios) => {
                let scale = rate * chain.weight(x);
                out.iter_mut().zip(values).for_each(|(out, r)| *out = scale * r.as_f64());
            }
            (Form::Refresh { keep, fresh, chain, rate, .. }, Output::Posterior) => {
                let pi = chain.weight(x);
                let scale = rate * pi;
                if pi == 0.0 {
                    out.fill(0.0);
                    return;
                }
                // Weights p(v)/q(x|v), and what they sum to.
                let same = values[at].as_f64() / (keep + fresh * pi);
                let other = 1.0 / (fresh * pi);
                let sum = (1.0 - values[at].as_f64()) * other + same;
                for ((out, value), s) in out.iter_mut().zip(values).zip(states) {
                    *out = scale * (keep * other * value.as_f64() + fresh * chain.weight(s) * sum);
                }
            }
            (Form::Table { chain, .. }, Output::Ratios) => {
                for ((out, value), s) in out.iter_mut().zip(values).zip(states) {
                    *out = if s == x { 0.0 } else { self.beta * chain.rate(s, x) * value.as_f64() };
                }
            }
            (Form::Table { chain, kernel, .. }, Output::Posterior) => {
                out.fill(0.0);
                for (value, law) in values.iter().zip(kernel.outer_iter()) {
                    let value = value.as_f64();
                    if value != 0.0 && law[at] > 0.0 {
                        let weight = value / law[at];
                        out.iter_mut().zip(law).for_each(|(out, q)| *out += weight * q);
                    }
                }
                for (out, s) in out.iter_mut().zip(states) {
                    // A ratio may be beyond all floats where no rate leads back.
                    let rate = if s == x { 0.0 } else { self.beta * chain.rate(s, x) };
                    *out = if rate > 0.0 { *out * rate } else { 0.0 };
                }
            }
        }
        out[at] = 0.0;
    }

    /// Where a reverse jump from x goes: s with probability $`\hat R_t(x, s) / \sum_{s'} \hat R_t(x, s')`$, given two
    /// uniforms on (0, 1). O(S): a clean value is drawn first, then the state before the jump on its bridge. It is x itself
    /// where rounding leaves no other.
    ///
    /// # Panics
    /// If x cannot be left, or as [`total`](Reversal::total).
    #[must_use]
    pub fn destination(&self, x: u32, values: &[F], u: [f64; 2]) -> u32 {
        let at = x as usize;
        let total = self.total(x, values);
        assert!(total > 0.0 && total.is_finite(), "a state that is not left, or a rate that is no number");
        if self.output == Output::Ratios {
            let weight = |s: u32| values[s as usize].as_f64() * self.forward_rate(s, x);
            return pick(u[0], total, self.states, weight).unwrap_or(x);
        }
        match &self.form {
            Form::Refresh { keep, fresh, totals, chain, .. } => {
                let [moved, stayed] = totals[at];
                let weight = |v: u32| values[v as usize].as_f64() * if v == x { stayed } else { moved };
                let Some(v) = pick(u[0], total, self.states, weight) else { return x };
                // Given v, the state is v if it was kept, or else a new one; not x.
                let kept = if v == x { 0.0 } else { *keep };
                let new = fresh * chain.exit_rate(x) / chain.total();
                let target = u[1] * (kept + new);
                if target < kept { v } else { chain.destination(x, ((target - kept) / new).min(1.0)) }
            }
            Form::Table { totals, kernel, chain, .. } => {
                let row = &totals[at * self.states..][..self.states];
                let weight = |v: u32| (values[v as usize] * row[v as usize]).as_f64();
                let Some(v) = pick(u[0], total, self.states, weight) else { return x };
                let law = kernel.row(v as usize);
                let weight = |s: u32| if s == x { 0.0 } else { law[s as usize] * chain.rate(s, x) };
                let total = (0..self.states as u32).map(weight).sum();
                pick(u[1], total, self.states, weight).unwrap_or(x)
            }
        }
    }

    /// β(t) Q(from, to) for another state.
    fn forward_rate(&self, from: u32, to: u32) -> f64 {
        if from == to {
            return 0.0;
        }
        self.beta
            * match &self.form {
                Form::Refresh { chain, .. } => chain.rate(from, to),
                Form::Table { chain, .. } => chain.rate(from, to),
            }
    }
}

/// β r π_x Σ_{s ≠ x} q(s|v)/q(x|v) of a refreshing chain, for a value v ≠ x and for v = x.
fn refresh_totals(keep: f64, fresh: f64, rate: f64, chain: &crate::Refresh, x: u32) -> [f64; 2] {
    let (pi, others) = (chain.weight(x), chain.exit_rate(x) / chain.total());
    if pi == 0.0 {
        return [0.0; 2];
    }
    [rate * (keep + fresh * others) / fresh, rate * pi * fresh * others / (keep + fresh * pi)]
}

/// A state of positive weight, if there is one; the weights sum to `total`.
fn pick(u: f64, total: f64, states: usize, weight: impl Fn(u32) -> f64) -> Option<u32> {
    let all = |visit: &mut dyn FnMut(u32, f64)| (0..states as u32).for_each(|s| visit(s, weight(s)));
    draw_from(u * total, all)
}

/// Σ a b, in 16 chains.
#[inline(always)]
pub(super) fn dot<F: Real>(a: &[F], b: &[F]) -> F {
    let (a_chunks, a_rest) = a.as_chunks::<16>();
    let (b_chunks, b_rest) = b.as_chunks::<16>();
    let mut sums = [F::zero(); 16];
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for k in 0..16 {
            sums[k] += a[k] * b[k];
        }
    }
    let rest: F = a_rest.iter().zip(b_rest).map(|(&a, &b)| a * b).sum();
    halves(sums) + rest
}

#[inline(always)]
fn sum<F: Real>(a: &[F]) -> F {
    let (chunks, rest) = a.as_chunks::<16>();
    let mut sums = [F::zero(); 16];
    for a in chunks {
        for k in 0..16 {
            sums[k] += a[k];
        }
    }
    halves(sums) + rest.iter().copied().sum()
}

/// The sum of 16 numbers as a tree, which the compiler keeps in vectors.
#[inline(always)]
fn halves<F: Real>(mut sums: [F; 16]) -> F {
    for width in [8, 4, 2, 1] {
        for k in 0..width {
            sums[k] += sums[k + width];
        }
    }
    sums[0]
}
