//! The likelihood bound in continuous time.

use std::ops::Range;

use numeric::ndarray::{Array2, ArrayRef2, ArrayView1};
use numeric::{Error, Noise, Time};

use super::constant::{path_constant, prior_kl};
use super::evaluate::check_rows;
use super::forms::{Form, Points};
use super::times::{Span, uniforms};
use super::{Objective, Target, TrainingBatch};
use crate::Generator;
use crate::denoise::Noising;
use crate::law::draw_from;

/// The evidence lower bound of the reverse chain in continuous time, with its sign changed: an upper bound of
/// $`-\ln p_\theta(x_0)`$ for each row, in nats, where $`p_\theta`$ is the law of the reverse chain with the model's rates
/// from the stationary law at T.
///
/// ```math
/// \sum_d \mathrm{KL}\bigl( q_{T|0}(\cdot \mid x_0^d) \,\|\, \pi \bigr) + \int_0^T \mathbb E_{q_{t|0}(x \mid x_0)}
/// \sum_{y \ne x} \Bigl[ \hat R^\theta - \hat R^{x_0} + \hat R^{x_0} \ln \frac{\hat R^{x_0}}{\hat R^\theta}
/// \Bigr]_t(x, y) \, \mathrm dt .
/// ```
///
/// For models of either kind of output. Averaged over data, it exceeds the entropy of the data by
/// $`\mathrm{KL}(q_T \,\|\, \pi)`$ and the error of the model's rates; so with the exact posterior by the first alone. The
/// [`Form`] says how it is drawn; constants are included in all of them.
///
/// A model whose posterior gives clean values other than x a probability that does not vanish like t has rates like 1/t near
/// time 0, and an infinite bound. For such a model, stop early at δ ([`with_early_stop`](Elbo::with_early_stop)): the
/// integral begins at δ, and $`-\sum_d \ln p_\theta(x_0^d \mid x_\delta)`$ is added. It is then the bound for the sampler
/// that draws its last tokens from the posterior at δ.
///
/// An absorbing chain needs a schedule that masks all at T (otherwise the prior's term is infinite). There
/// [`MaskedElbo`](super::MaskedElbo) has less variance.
///
/// See [`Objective`] for an example.
///
/// # References
/// Campbell, Benton, De Bortoli, Rainforth, Deligiannidis, Doucet (2022), *A continuous time framework for discrete
/// denoising models*, propositions 2 and 7, appendix C. The constant is not in the paper.
#[derive(Clone, Debug)]
pub struct Elbo {
    noising: Noising,
    span: Span,
    form: Form,
    /// Of each clean value: the prior's term, with the constant of L_CT where the form needs it.
    constants: Vec<f64>,
}

impl Elbo {
    /// The bound for runs from time `end` to 0, in the form [`Form::Conditional`].
    ///
    /// # Errors
    /// For an end that is not positive or not in the schedule; those of [`Noising::stationary`].
    pub fn new(noising: &Noising, end: f64) -> Result<Elbo, Error> {
        let (span, constants) = (Span::new(0.0, end)?, prior_kl(noising, end)?);
        Ok(Elbo { noising: noising.clone(), span, form: Form::Conditional, constants })
    }

    /// In another form.
    ///
    /// ```
    /// use ctmc::denoise::{Noising, objective::{Elbo, Form}};
    /// use ctmc::{Refresh, TimeChange};
    /// let noising = Noising::refresh(Refresh::uniform(3, 1.0)?, TimeChange::constant(1.0)?);
    /// let pairs = Elbo::new(&noising, 2.0)?.with_form(Form::Jumps)?;
    /// assert_eq!(pairs.form(), Form::Jumps);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NotConverged`] if the constant of L_CT, by quadrature, has not six digits.
    ///
    /// # Complexity
    /// The constant takes 180 kernels of the noising; [`Form::Conditional`] needs none.
    pub fn with_form(mut self, form: Form) -> Result<Elbo, Error> {
        self.constants = prior_kl(&self.noising, self.span.end)?;
        if form != Form::Conditional {
            let path = path_constant(&self.noising, self.span)?;
            self.constants.iter_mut().zip(path).for_each(|(constant, path)| *constant += path);
        }
        self.form = form;
        Ok(self)
    }

    /// Stops at time `start` instead of 0, and draws all tokens from the posterior there. For models of posteriors.
    ///
    /// ```
    /// use ctmc::denoise::{Noising, denoiser_from_fn, objective::{Elbo, Objective}};
    /// use ctmc::{Refresh, TimeChange};
    /// use numeric::{Control, Noise, ndarray::{Array2, ArrayRef3}};
    /// // A model that knows nothing has a finite bound, above ln 3 for each token.
    /// let noising = Noising::refresh(Refresh::uniform(3, 1.0)?, TimeChange::constant(1.0)?);
    /// let flat = denoiser_from_fn(4, 3, |_, logits: &mut ArrayRef3<f64>| Ok(logits.fill(0.0)));
    /// let elbo = Elbo::new(&noising, 2.0)?.with_early_stop(0.1)?;
    /// let x0 = Array2::zeros((500, 4));
    /// let bound = elbo.estimate(&flat, &x0, 0..500, 4, Noise::new(1), Control::default())?;
    /// assert!(bound.mean > 4.0 * 3_f64.ln() && bound.mean < 20.0);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Errors
    /// Unless `start` is at least 0 and less than the end; those of [`with_form`](Elbo::with_form).
    pub fn with_early_stop(mut self, start: f64) -> Result<Elbo, Error> {
        self.span = Span::new(start, self.span.end)?;
        let form = self.form;
        self.with_form(form)
    }

    /// The form.
    #[must_use]
    pub fn form(&self) -> Form {
        self.form
    }

    /// What does not depend on the model, for each value of a clean token, in nats: the prior's term, and for forms other
    /// than [`Form::Conditional`] the constant of L_CT. That of a row is the sum over its tokens.
    #[must_use]
    pub fn constants(&self) -> &[f64] {
        &self.constants
    }

    /// The integrand at given times and states, in nats per unit of time: the batches whose losses add up to it. Constants
    /// that stand outside the integral ([`constants`](Elbo::constants)) are not in it.
    ///
    /// `x0` and `x` are `(n, D)`; so is `jumped`, where the forward chain jumps to from x (one token differs, or none if no
    /// token can jump), which [`Form::Conditional`] does not look at. For sums over all states, and for noised data that
    /// come from elsewhere.
    ///
    /// ```
    /// use ctmc::denoise::{Noising, Output, objective::Elbo};
    /// use ctmc::{Refresh, TimeChange};
    /// use numeric::ndarray::array;
    /// // Score entropy of one token: r - 1 - ln r times the rate for each other value, here with all ratios 1.
    /// let noising = Noising::refresh(Refresh::uniform(2, 1.0)?, TimeChange::constant(1.0)?);
    /// let (x0, x) = (array![[0]], array![[0]]);
    /// let batch = &Elbo::new(&noising, 1.0)?.integrand(&x0, &[0.5], &x, &x)?[0];
    /// let loss = batch.losses(&noising, Output::Ratios, &array![[[0.0, 0.0]]])?[0];
    /// let r = (1.0 - (-1.0_f64).exp()) / (1.0 + (-1.0_f64).exp());
    /// assert!((loss - (1.0 - r + r * r.ln())).abs() < 1e-15);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] if the arrays do not fit each other; [`Error::Entry`] for a state that does not exist; those of
    /// [`Reversal::new`](crate::denoise::Reversal::new).
    pub fn integrand(
        &self,
        x0: &ArrayRef2<u32>,
        times: &[f64],
        x: &ArrayRef2<u32>,
        jumped: &ArrayRef2<u32>,
    ) -> Result<Vec<TrainingBatch>, Error> {
        let rows: Vec<u64> = (0..times.len() as u64).collect();
        check_rows(&self.noising, x0, &(0..times.len() as u64))?;
        for (name, states) in [("x", x), ("jumped", jumped)] {
            Error::shape(name, x0.shape(), states.shape())?;
            crate::denoise::noising::check_states(name, self.noising.states(), states)?;
        }
        let points = Points {
            x0,
            x: &x.to_owned(),
            jumped: &jumped.to_owned(),
            rows: &rows,
            times: &times.iter().map(|&t| self.span.time(t)).collect::<Vec<Time>>(),
            weights: &vec![1.0; times.len()],
        };
        points.batches(self.form, &self.noising)
    }

    /// The state after one jump of the forward chain; the same where there is none.
    fn jump(&self, x: &Array2<u32>, rows: &[u64], noise: Noise) -> Array2<u32> {
        let generator = self.noising.generator();
        let mut jumped = x.clone();
        for (i, &row) in rows.iter().enumerate() {
            let mut stream = noise.row_stream(row);
            let token = token(generator, x.row(i), stream.uniform());
            if let Some(d) = token {
                jumped[[i, d]] = generator.destination(x[[i, d]], stream.uniform());
            }
        }
        jumped
    }
}

/// The token that jumps, in proportion to the rates; `None` if none can.
fn token(generator: &dyn Generator, x: ArrayView1<'_, u32>, u: f64) -> Option<usize> {
    let total: f64 = x.iter().map(|&x| generator.exit_rate(x)).sum();
    let rates =
        |visit: &mut dyn FnMut(u32, f64)| (0..).zip(x).for_each(|(d, &x)| visit(d, generator.exit_rate(x)));
    draw_from(u * total, rates).map(|d| d as usize)
}

impl Objective for Elbo {
    fn noising(&self) -> &Noising {
        &self.noising
    }

    fn batches(
        &self,
        x0: &ArrayRef2<u32>,
        rows: Range<u64>,
        draw: u64,
        noise: Noise,
    ) -> Result<Vec<TrainingBatch>, Error> {
        check_rows(&self.noising, x0, &rows)?;
        let drawn: Vec<(f64, f64)> =
            uniforms(rows.clone(), draw, noise).map(|u| self.span.cubic(u)).collect();
        let times: Vec<f64> = drawn.iter().map(|&(t, _)| t).collect();
        let noise = noise.fork_index(draw);
        let x = self.noising.sample(x0, &times, rows.clone(), noise.fork("noised"))?;
        let numbers: Vec<u64> = rows.clone().collect();
        let points = Points {
            x0,
            x: &x,
            jumped: &match self.form {
                Form::Conditional => x.clone(),
                _ => self.jump(&x, &numbers, noise.fork("jump")),
            },
            rows: &numbers,
            times: &times.iter().map(|&t| self.span.time(t)).collect::<Vec<Time>>(),
            weights: &drawn.iter().map(|&(_, weight)| weight).collect::<Vec<f64>>(),
        };
        let mut batches = points.batches(self.form, &self.noising)?;
        for (constant, x0) in batches[0].constants.iter_mut().zip(x0.outer_iter()) {
            *constant += x0.iter().map(|&v| self.constants[v as usize]).sum::<f64>();
        }
        if self.span.start > 0.0 {
            let times = vec![self.span.start; numbers.len()];
            batches.push(TrainingBatch {
                noised: self.noising.sample(x0, &times, rows, noise.fork("last"))?,
                times: times.iter().map(|&t| self.span.time(t)).collect(),
                constants: vec![0.0; numbers.len()],
                rows: numbers,
                target: Target::Tokens { clean: x0.to_owned(), weights: Array2::ones(x0.raw_dim()) },
            });
        }
        Ok(batches)
    }
}
