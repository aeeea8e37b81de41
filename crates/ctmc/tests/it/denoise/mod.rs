//! Discrete denoising against enumeration.

mod adapters;
mod coupled;
mod exact;
mod flow;
mod jumps;
mod laws;
mod leaps;
mod reversal;
mod runs;
mod tables;

use ctmc::denoise::{Denoiser, JumpRule, Noising, Output, Reversal};
use ctmc::{Dense, TimeChange};
use numeric::ndarray::{Array2, ArrayRef3, array};
use numeric::{Batch, Error, Real, Scratch};

/// The exact posterior of tokens of a law on all states, by Bayes' rule over all of them.
struct Enumerated {
    noising: Noising,
    dim: usize,
    law: Vec<f64>,
    output: Output,
}

impl Enumerated {
    fn new(noising: &Noising, dim: usize, law: &[f64]) -> Enumerated {
        assert_eq!(law.len(), noising.states().pow(dim as u32));
        Enumerated { noising: noising.clone(), dim, law: law.to_vec(), output: Output::Posterior }
    }

    fn states(&self) -> usize {
        self.noising.states()
    }

    fn tokens(&self, state: usize) -> Vec<u32> {
        tokens(state, self.dim, self.states())
    }

    /// The law at time t of the whole row, from the law of the data.
    fn law_at(&self, t: f64) -> Vec<f64> {
        let kernel = self.noising.kernel(0.0, t).unwrap();
        (0..self.law.len())
            .map(|x| self.joint(&kernel.matrix().clone(), &self.tokens(x)).iter().sum())
            .collect()
    }

    fn joint(&self, kernel: &Array2<f64>, x: &[u32]) -> Vec<f64> {
        let likelihood = |v: usize| -> f64 {
            self.tokens(v).iter().zip(x).map(|(&v, &x)| kernel[[v as usize, x as usize]]).product()
        };
        self.law.iter().enumerate().map(|(v, p)| p * likelihood(v)).collect()
    }

    /// The numbers for one row, `(D, S)`.
    fn values(&self, x: &[u32], t: f64) -> Array2<f64> {
        let kernel = self.noising.kernel(0.0, t).unwrap();
        let joint = self.joint(kernel.matrix(), x);
        let total: f64 = joint.iter().sum();
        let mut out = Array2::zeros((self.dim, self.states()));
        match self.output {
            Output::Posterior => {
                for (v, p) in joint.iter().enumerate() {
                    for (d, v) in self.tokens(v).into_iter().enumerate() {
                        out[[d, v as usize]] += p / total;
                    }
                }
            }
            Output::Ratios => {
                for ((d, s), ratio) in out.indexed_iter_mut() {
                    let mut y = x.to_vec();
                    y[d] = s as u32;
                    *ratio = self.joint(kernel.matrix(), &y).iter().sum::<f64>() / total;
                }
            }
        }
        out
    }
}

impl<F: Real> Denoiser<F> for Enumerated {
    fn dim(&self) -> usize {
        self.dim
    }

    fn states(&self) -> usize {
        Enumerated::states(self)
    }

    fn output(&self) -> Output {
        self.output
    }

    fn log_values_into(
        &self,
        batch: &Batch<'_, u32>,
        out: &mut ArrayRef3<F>,
        _: &mut Scratch,
    ) -> Result<(), Error> {
        let mut known = std::collections::HashMap::new();
        for (i, (x, mut out)) in batch.x().rows().into_iter().zip(out.outer_iter_mut()).enumerate() {
            let t = batch.times().get(i).t;
            let key = (x.to_vec(), t.to_bits());
            let values = known.entry(key).or_insert_with(|| self.values(&x.to_vec(), t));
            out.zip_mut_with(values, |out, value| *out = F::of(value.ln()));
        }
        Ok(())
    }
}

fn tokens(mut state: usize, dim: usize, states: usize) -> Vec<u32> {
    let mut tokens = vec![0; dim];
    for token in tokens.iter_mut().rev() {
        *token = (state % states) as u32;
        state /= states;
    }
    tokens
}

fn index(tokens: &[u32], states: usize) -> usize {
    tokens.iter().fold(0, |index, &token| index * states + token as usize)
}

/// Three states, not reversible, on an exponential schedule.
fn cyclic_noising() -> Noising {
    let q = Dense::new(&array![[0.0, 1.0, 0.5], [0.25, 0.0, 0.75], [1.0, 0.5, 0.0]]).unwrap();
    Noising::new(q, TimeChange::exponential(0.5, 3.0).unwrap()).unwrap()
}

/// The law of one token after a leap from x, by the definition of the rule.
fn leap_law(rates: &[f64], x: u32, tau: f64, rule: JumpRule) -> Vec<f64> {
    let (states, x) = (rates.len(), x as usize);
    let total: f64 = rates.iter().sum();
    let mut law = vec![0.0; states];
    match rule {
        JumpRule::Reject | JumpRule::Last => {
            let each = match rule {
                JumpRule::Reject => tau * (-tau * total).exp(),
                _ if total == 0.0 => 0.0,
                _ => -(-tau * total).exp_m1() / total,
            };
            law.iter_mut().zip(rates).for_each(|(law, rate)| *law = each * rate);
            law[x] = 1.0 - each * total;
        }
        JumpRule::Clamp | JumpRule::Cyclic => {
            // The compound Poisson law of the displacement, jump by jump, on a range without ends.
            let reach = 30 * states as i64;
            let mut places = vec![0.0; 2 * reach as usize + 1];
            let mut by_jumps = places.clone();
            by_jumps[reach as usize] = 1.0;
            let mut weight = (-tau * total).exp();
            for jumps in 1..30 {
                places.iter_mut().zip(&by_jumps).for_each(|(place, p)| *place += weight * p);
                let mut next = vec![0.0; by_jumps.len()];
                for (at, p) in by_jumps.iter().enumerate().filter(|&(_, &p)| p > 0.0) {
                    for (s, rate) in rates.iter().enumerate().filter(|&(_, &rate)| rate > 0.0) {
                        let to = at as i64 + s as i64 - x as i64;
                        if (0..next.len() as i64).contains(&to) {
                            next[to as usize] += p * rate / total;
                        }
                    }
                }
                by_jumps = next;
                weight *= tau * total / f64::from(jumps);
            }
            for (at, p) in places.iter().enumerate() {
                let place = at as i64 - reach + x as i64;
                let place = match rule {
                    JumpRule::Clamp => place.clamp(0, states as i64 - 1),
                    _ => place.rem_euclid(states as i64),
                };
                law[place as usize] += p;
            }
        }
    }
    law
}

/// The law after a step in which tokens move by themselves, `token(d, x)` being the law of token d of the row x.
fn push(law: &[f64], dim: usize, states: usize, token: impl Fn(&[u32]) -> Vec<Vec<f64>>) -> Vec<f64> {
    let mut out = vec![0.0; law.len()];
    for (from, p) in law.iter().enumerate() {
        let laws = token(&tokens(from, dim, states));
        for (to, out) in out.iter_mut().enumerate() {
            let moved: f64 =
                tokens(to, dim, states).iter().zip(&laws).map(|(&y, law)| law[y as usize]).product();
            *out += p * moved;
        }
    }
    out
}

/// The rates of all tokens of a row.
fn rates_of(model: &Enumerated, x: &[u32], t: f64) -> Vec<Vec<f64>> {
    let reversal = Reversal::<f64>::new(&model.noising, t, model.output).unwrap();
    let values = model.values(x, t);
    let token = |(d, &x): (usize, &u32)| {
        let mut rates = vec![0.0; model.states()];
        reversal.rates_into(x, &values.row(d).to_vec(), &mut rates);
        rates
    };
    x.iter().enumerate().map(token).collect()
}

fn total_variation(a: &[f64], b: &[f64]) -> f64 {
    0.5 * a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum::<f64>()
}

/// Rows of the law of the data, noised to time t: the exact start of a reverse run.
fn noised_rows(model: &Enumerated, t: f64, rows: u64, noise: numeric::Noise) -> Array2<u32> {
    let mut x0 = Array2::zeros((rows as usize, model.dim));
    for (row, mut x) in (0..).zip(x0.rows_mut()) {
        let mut u = noise.fork("data").row_stream(row).uniform();
        let state = model.law.iter().position(|p| {
            u -= p;
            u < 0.0
        });
        x.assign(&numeric::ndarray::Array1::from(model.tokens(state.unwrap_or(model.law.len() - 1))));
    }
    model.noising.sample(&x0, &vec![t; rows as usize], 0..rows, noise.fork("noising")).unwrap()
}

fn counts(x: &Array2<u32>, states: usize) -> Vec<u64> {
    let mut counts = vec![0; states.pow(x.ncols() as u32)];
    x.rows().into_iter().for_each(|x| counts[index(&x.to_vec(), states)] += 1);
    counts
}
