//! Four ways to write the likelihood bound in continuous time.

use numeric::ndarray::{Array2, Array3, ArrayRef2, Axis};
use numeric::{Error, Time};

use super::{Target, TrainingBatch};
use crate::denoise::{Noising, Output, Reversal};

/// How an [`Elbo`](super::Elbo) draws what the model's rates are compared with.
///
/// With $`R`$ the forward rates, Z their total out of a state, and $`\hat R^{x_0}(x, y) = R(y, x)\, q_{t|0}(y \mid x_0) /
/// q_{t|0}(x \mid x_0)`$ the rates of the reversal given the clean row. The first three forms have the same mean, for each row
/// of data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Form {
    /// At $`x \sim q_{t|0}`$, summed over all jumps: $`\sum_y \hat R - \hat R^{x_0} + \hat R^{x_0} \ln (\hat R^{x_0} /
    /// \hat R)`$. One call of the model and the least variance, as no term is negative: the default.
    Conditional,
    /// Proposition 2 of the paper, L_CT: a jump $`x \to \tilde x`$ of the forward chain is drawn, and the model is called at
    /// both ends: $`\sum_y \hat R(x, y) - Z(x) \ln \hat R(\tilde x, x) + C`$.
    Jumps,
    /// Proposition 7: as `Jumps`, but averaged over all x that can have jumped to $`\tilde x`$, token by token.
    Factorised,
    /// L_eCT: as `Jumps`, with the first term at $`\tilde x`$ too, so that the model is called once.
    ///
    /// **This is not the bound**, and in general not above or below it. Its minimiser is not the reversal but $`\hat R\,
    /// q_t / m_t`$, with the law $`m_t`$ of $`\tilde x`$: the places of jumps are right and their rate is not (for a chain
    /// whose total rate Z is constant, the rate is Z everywhere). The error is small where total reverse rates hardly vary,
    /// as with many weakly dependent tokens. `Conditional` calls the model once as well.
    OnePass,
}

/// States at which a bound is evaluated, row by row.
pub(super) struct Points<'a> {
    pub(super) x0: &'a ArrayRef2<u32>,
    pub(super) x: &'a Array2<u32>,
    /// After a jump of the forward chain; not looked at by [`Form::Conditional`].
    pub(super) jumped: &'a Array2<u32>,
    pub(super) rows: &'a [u64],
    pub(super) times: &'a [Time],
    /// What an integrand is multiplied with.
    pub(super) weights: &'a [f64],
}

impl Points<'_> {
    /// The batches of a form, without the constant C of L_CT and the term of the prior.
    pub(super) fn batches(&self, form: Form, noising: &Noising) -> Result<Vec<TrainingBatch>, Error> {
        let (n, dim) = self.x.dim();
        let none = || vec![0.0; n];
        let no_logs = || Array3::zeros((n, dim, noising.states()));
        Ok(match form {
            Form::Conditional => {
                let (mut logs, mut constants) = (no_logs(), none());
                for (i, constant) in constants.iter_mut().enumerate() {
                    let mut row = logs.index_axis_mut(Axis(0), i);
                    self.conditional_rates(noising, i, self.x, row.as_slice_mut().expect("standard layout"))?;
                    row.mapv_inplace(|rate| self.weights[i] * rate);
                    let terms = row.iter().filter(|&&b| b > 0.0);
                    *constant = terms.map(|b| b * ((b / self.weights[i]).ln() - 1.0)).sum();
                }
                let rates = Target::Rates { totals: self.weights.to_vec(), logs };
                vec![self.batch(self.x, rates, constants)]
            }
            Form::Jumps | Form::OnePass => {
                let mut logs = no_logs();
                for i in 0..n {
                    let jump = (0..dim).find(|&d| self.x[[i, d]] != self.jumped[[i, d]]);
                    if let Some(d) = jump {
                        let total = total_rate(noising, self.times[i].t, self.x.row(i))?;
                        logs[[i, d, self.x[[i, d]] as usize]] = self.weights[i] * total;
                    }
                }
                if form == Form::OnePass {
                    let rates = Target::Rates { totals: self.weights.to_vec(), logs };
                    vec![self.batch(self.jumped, rates, none())]
                } else {
                    self.two(logs, no_logs())
                }
            }
            Form::Factorised => {
                let mut logs = no_logs();
                for i in 0..n {
                    if self.x.row(i) != self.jumped.row(i) {
                        let mut row = logs.index_axis_mut(Axis(0), i);
                        self.factorised(noising, i, row.as_slice_mut().expect("standard layout"))?;
                    }
                }
                self.two(logs, no_logs())
            }
        })
    }

    /// Total rates at x, logarithms after the jump.
    fn two(&self, logs: Array3<f64>, no_logs: Array3<f64>) -> Vec<TrainingBatch> {
        let zeros = vec![0.0; self.rows.len()];
        let first = Target::Rates { totals: self.weights.to_vec(), logs: no_logs };
        let second = Target::Rates { totals: zeros.clone(), logs };
        vec![self.batch(self.x, first, zeros.clone()), self.batch(self.jumped, second, zeros)]
    }

    fn batch(&self, x: &Array2<u32>, target: Target, constants: Vec<f64>) -> TrainingBatch {
        let (rows, times) = (self.rows.to_vec(), self.times.to_vec());
        TrainingBatch { rows, times, noised: x.clone(), target, constants }
    }

    /// Writes the rates of the reversal given the clean row i, `(D, S)`.
    fn conditional_rates(
        &self,
        noising: &Noising,
        i: usize,
        x: &Array2<u32>,
        out: &mut [f64],
    ) -> Result<(), Error> {
        let states = noising.states();
        let reversal = Reversal::<f64>::new(noising, self.times[i].t, Output::Posterior)?;
        let mut clean = vec![0.0; states];
        for (d, out) in out.chunks_exact_mut(states).enumerate() {
            let v = self.x0[[i, d]] as usize;
            clean[v] = 1.0;
            reversal.rates_into(x[[i, d]], &clean, out);
            clean[v] = 0.0;
        }
        Ok(())
    }

    /// Writes the weights of the logarithms of the factorised form, `(D, S)`.
    fn factorised(&self, noising: &Noising, i: usize, out: &mut [f64]) -> Result<(), Error> {
        self.conditional_rates(noising, i, self.jumped, out)?;
        let (t, states) = (self.times[i].t, noising.states());
        let (beta, generator) = (noising.beta().rate(t)?, noising.generator());
        let total = total_rate(noising, t, self.jumped.row(i))?;
        // The rate from each state before the jump, divided by the total rate out of it: the jump's share.
        let mut shares = 0.0;
        for (d, rates) in out.chunks_exact(states).enumerate() {
            let own = beta * generator.exit_rate(self.jumped[[i, d]]);
            for (s, &rate) in (0..).zip(rates) {
                if rate > 0.0 {
                    shares += rate / (total - own + beta * generator.exit_rate(s));
                }
            }
        }
        let scale = self.weights[i] / shares;
        out.iter_mut().for_each(|rate| *rate *= scale);
        Ok(())
    }
}

/// Total forward rate out of a row, Z.
pub(super) fn total_rate<'a>(
    noising: &Noising,
    t: f64,
    x: impl IntoIterator<Item = &'a u32>,
) -> Result<f64, Error> {
    let exits: f64 = x.into_iter().map(|&x| noising.generator().exit_rate(x)).sum();
    Ok(noising.beta().rate(t)? * exits)
}
