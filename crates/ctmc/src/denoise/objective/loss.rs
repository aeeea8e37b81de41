//! Losses from a batch and the model's answer.

use numeric::ndarray::{ArrayRef3, ArrayView1, s};
use numeric::special::r_minus_1_minus_ln;
use numeric::{Error, Real};

use super::{Target, TrainingBatch};
use crate::denoise::likelihood::Likelihood;
use crate::denoise::{Noising, Output, Reversal};

impl TrainingBatch {
    /// The loss of each row, in nats, for what the model answered to [`inputs`](TrainingBatch::inputs): the numbers of
    /// [`log_values_into`](crate::denoise::Denoiser::log_values_into), `(n, D, S)`.
    ///
    /// They are evaluated in `f64`, from the logarithms: a probability below all `f32` counts in full. Infinite where the
    /// model excludes the data.
    ///
    /// # Errors
    /// [`Error::Shape`] if the answer has another shape; [`Error::Unsupported`] for an output that the target is not for;
    /// [`Error::Model`] for an answer that makes the loss NaN, or a token none of whose logits is finite; those of
    /// [`Reversal::new`].
    ///
    /// # Panics
    /// If the lengths of the public fields have been made to disagree.
    pub fn losses<F: Real>(
        &self,
        noising: &Noising,
        output: Output,
        log_values: &ArrayRef3<F>,
    ) -> Result<Vec<f64>, Error> {
        let (n, dim) = self.noised.dim();
        Error::shape("log_values", &[n, dim, noising.states()], log_values.shape())?;
        let needed = match self.target {
            Target::Tokens { .. } | Target::Steps { .. } => Some(Output::Posterior),
            Target::Ratios { .. } => Some(Output::Ratios),
            Target::Rates { .. } => None,
        };
        if needed.is_some_and(|needed| needed != output) {
            let reason = match output {
                Output::Posterior => "this objective is of ratios, and the model gives posteriors",
                Output::Ratios => "this objective is of posteriors, and the model gives ratios",
            };
            return Err(Error::Unsupported { method: "TrainingBatch::losses", reason });
        }
        let mut values = vec![0.0; noising.states()];
        let mut workspace = [values.clone(), values.clone(), values.clone()];
        let mut losses = self.constants.clone();
        for (i, (loss, answer)) in losses.iter_mut().zip(log_values.outer_iter()).enumerate() {
            let kernels = Kernels::new(self, noising, output, i)?;
            for (d, token) in answer.outer_iter().enumerate() {
                self.read(i, output, token, &mut values)?;
                *loss += self.token(&kernels, (i, d), &mut values, &mut workspace);
            }
            if loss.is_nan() {
                return Err(self.failure(i, "its answer makes the loss NaN".to_owned()));
            }
        }
        Ok(losses)
    }

    /// Logarithms of probabilities that sum to 1, or of ratios.
    fn read<F: Real>(
        &self,
        i: usize,
        output: Output,
        token: ArrayView1<'_, F>,
        values: &mut [f64],
    ) -> Result<(), Error> {
        values.iter_mut().zip(token).for_each(|(value, l)| *value = l.as_f64());
        if output == Output::Posterior {
            let sum = numeric::special::log_sum_exp(values);
            if !sum.is_finite() {
                return Err(self.failure(i, format!("the logits of a token have the logarithmic sum {sum}")));
            }
            values.iter_mut().for_each(|l| *l -= sum);
        }
        Ok(())
    }

    fn failure(&self, i: usize, message: String) -> Error {
        Error::Model { row: self.rows[i], message }
    }

    /// The part of one token, given its logarithms.
    fn token(
        &self,
        kernels: &Kernels<'_>,
        (i, d): (usize, usize),
        values: &mut [f64],
        [a, b, c]: &mut [Vec<f64>; 3],
    ) -> f64 {
        let x = self.noised[[i, d]];
        match (&self.target, kernels) {
            (Target::Tokens { clean, weights }, _) => {
                let weight = weights[[i, d]];
                if weight == 0.0 { 0.0 } else { -weight * values[clean[[i, d]] as usize] }
            }
            (Target::Ratios { ratios, weights }, _) => {
                let tokens = values.iter().zip(ratios.slice(s![i, d, ..]));
                let terms = tokens.zip(weights.slice(s![i, d, ..]));
                terms.map(|((&ln_s, &r), &w)| if w == 0.0 { 0.0 } else { w * bregman(r, ln_s.exp()) }).sum()
            }
            (Target::Rates { totals, logs }, Kernels::Rates(reversal)) => {
                values.iter_mut().for_each(|l| *l = l.exp());
                let mut loss = if totals[i] == 0.0 { 0.0 } else { totals[i] * reversal.total(x, values) };
                let logs = logs.slice(s![i, d, ..]);
                if logs.iter().any(|&b| b != 0.0) {
                    reversal.rates_into(x, values, a);
                    let terms = a.iter().zip(logs).filter(|&(_, &b)| b != 0.0);
                    loss -= terms.map(|(rate, b)| b * rate.ln()).sum::<f64>();
                }
                loss
            }
            (Target::Steps { laws, weights, .. }, Kernels::Steps([first, step, whole])) => {
                whole.column_into(x, a);
                for (value, &q) in values.iter_mut().zip(a.iter()) {
                    // A clean value that cannot have led to x leads to no state before it either.
                    *value = if q > 0.0 { value.exp() / q } else { 0.0 };
                }
                first.mixture_into(values, b);
                step.column_into(x, c);
                b.iter_mut().zip(c.iter()).for_each(|(p, q)| *p *= q);
                let total: f64 = b.iter().sum();
                let law = laws.slice(s![i, d, ..]);
                let terms = law.into_iter().zip(b.iter()).filter(|&(&l, _)| l > 0.0);
                weights[i] * terms.map(|(l, p)| l * (l * total / p).ln()).sum::<f64>()
            }
            _ => unreachable!("kernels are made for their target"),
        }
    }
}

/// What the laws of the noising are at the time of one row.
enum Kernels<'a> {
    None,
    Rates(Reversal<f64>),
    /// From 0 to the earlier time, from there to the later one, and from 0 to the later one.
    Steps([Likelihood<'a>; 3]),
}

impl<'a> Kernels<'a> {
    fn new(
        batch: &TrainingBatch,
        noising: &'a Noising,
        output: Output,
        i: usize,
    ) -> Result<Kernels<'a>, Error> {
        let t = batch.times[i].t;
        Ok(match &batch.target {
            Target::Rates { .. } => Kernels::Rates(Reversal::new(noising, t, output)?),
            Target::Steps { earlier, .. } => Kernels::Steps([
                Likelihood::new(noising, earlier[i])?,
                Likelihood::between(noising, earlier[i], t)?,
                Likelihood::new(noising, t)?,
            ]),
            Target::Tokens { .. } | Target::Ratios { .. } => Kernels::None,
        })
    }
}

/// $`s - r \ln s + r (\ln r - 1)`$, at least 0.
fn bregman(r: f64, s: f64) -> f64 {
    if r == 0.0 { s } else { r * r_minus_1_minus_ln(s / r) }
}
