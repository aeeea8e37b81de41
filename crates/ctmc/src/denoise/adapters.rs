//! One kind of model as another, and guidance.

use nalgebra::{DMatrix, DVector};
use numeric::ndarray::{Array3, ArrayRef3, ArrayViewMut1};
use numeric::{Batch, Batching, Error, Real, Scratch, Times};

use super::denoiser::ln_of_values;
use super::likelihood::Likelihood;
use super::noising::check_states;
use super::{Denoiser, Noising, Output};

/// The ratios $`q_t(s)/q_t(x) = \sum_v p(v \mid x)\, q_{t|0}(s \mid v)/q_{t|0}(x \mid v)`$ of a model of posteriors.
///
/// Values that cannot have led to x do not count in the sum. Ratios towards states which could then not be told (of an
/// unmasked token to another value) are those that no rate uses.
///
/// ```
/// use ctmc::denoise::{Denoiser, Noising, PosteriorOf, RatiosOf, denoiser_from_fn};
/// use ctmc::{Refresh, TimeChange};
/// use numeric::{Batch, Scratch, Time, Times};
/// use numeric::ndarray::{Array3, ArrayRef3, array};
/// let noising = Noising::refresh(Refresh::uniform(3, 1.0)?, TimeChange::constant(1.0)?);
/// let model = denoiser_from_fn(1, 3, |_, out: &mut ArrayRef3<f64>| {
///     out.iter_mut().zip([0.5_f64, 0.3, 0.2]).for_each(|(out, p)| *out = p.ln());
///     Ok(())
/// });
/// let ratios = RatiosOf { model: &model, noising: &noising };
/// let x = array![[2]];
/// let batch = Batch::new(&[0], Times::Same(Time::of(0.4)), &x);
/// let (mut r, mut p) = (Array3::<f64>::zeros((1, 1, 3)), Array3::<f64>::zeros((1, 1, 3)));
/// ratios.values_into(&batch, &mut r, &mut Scratch::new())?;
/// assert!(r[[0, 0, 2]] == 1.0 && r[[0, 0, 0]] > r[[0, 0, 1]]);
/// // And back.
/// let back = PosteriorOf { model: &ratios, noising: &noising, tolerance: 1e-12 };
/// back.values_into(&batch, &mut p, &mut Scratch::new())?;
/// assert!(p.iter().zip([0.5, 0.3, 0.2]).all(|(p, q)| (p - q).abs() < 1e-14));
/// # Ok::<(), numeric::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct RatiosOf<'a, M> {
    /// A model of posteriors.
    pub model: M,
    /// The noising that it was made for.
    pub noising: &'a Noising,
}

/// The posterior of clean tokens of a model of ratios, by the inverse of the kernel: $`p(v \mid x) = q_{t|0}(x \mid v) \sum_s
/// (q_{t|0}^{-1})_{s v}\, q_t(s)/q_t(x)`$.
///
/// Ratios of a network need not be those of any noised law. Then some of these numbers are below 0; if they sum to more than
/// `tolerance` below it that is an error, else they are 0 and the others are divided by their sum. The inverse amplifies
/// what is wrong with the ratios, the more the later it is. See [`RatiosOf`] for an example.
#[derive(Clone, Debug)]
pub struct PosteriorOf<'a, M> {
    /// A model of ratios.
    pub model: M,
    /// The noising that it was made for.
    pub noising: &'a Noising,
    /// What may be below 0, in all for a token.
    pub tolerance: f64,
}

/// Classifier-free guidance: `(1 - weight) · unconditional + weight · conditional`, of the logarithms.
///
/// Weight 0 is the unconditional model, 1 the conditional one; above 1 the condition counts for more. For ratios this is
/// guidance of the rates. Where a logit is −∞ in the conditional model it stays so for every positive weight.
///
/// Two models that must both be given whole blocks must want blocks of the same size; to be evaluated is an
/// [`Error::Unsupported`] otherwise, as it is for models of different kinds of output.
///
/// ```
/// use ctmc::denoise::{Denoiser, Guided, denoiser_from_fn};
/// use numeric::{Batch, Scratch, Time, Times};
/// use numeric::ndarray::{Array3, ArrayRef3, array};
/// let bit = |logit: f64| {
///     denoiser_from_fn(1, 2, move |_, out: &mut ArrayRef3<f64>| {
///         out[[0, 0, 0]] = 0.0;
///         out[[0, 0, 1]] = logit;
///         Ok(())
///     })
/// };
/// let model = Guided { conditional: bit(1.0), unconditional: bit(0.2), weight: 2.0 };
/// let x = array![[0]];
/// let mut out = Array3::zeros((1, 1, 2));
/// model.log_values_into(&Batch::new(&[0], Times::Same(Time::of(1.0)), &x), &mut out, &mut Scratch::new())?;
/// assert_eq!(out[[0, 0, 1]], 1.8);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// Nisonoff, Xiong, Allenspach, Listgarten (2025), *Unlocking guidance for discrete state-space diffusion and flow models*.
#[derive(Clone, Debug)]
pub struct Guided<C, U> {
    /// The model given the condition.
    pub conditional: C,
    /// The model without it, of the same kind and sizes.
    pub unconditional: U,
    /// Weight of the conditional model.
    pub weight: f64,
}

/// Guidance by a predictor: the ratios of a model times $`(p(y \mid x \text{ with } d \text{ set to } v) / p(y \mid x))^\gamma`$.
///
/// With $`\gamma = 1`$ and the exact likelihood of noised rows, the ratios given y. One call of the likelihood for each
/// token and value of a row.
///
/// ```
/// use ctmc::denoise::{Denoiser, Tilted, ratios_from_fn};
/// use numeric::{Batch, Scratch, Time, Times};
/// use numeric::ndarray::{Array3, ArrayRef3, array};
/// let flat = ratios_from_fn(2, 2, |_, out: &mut ArrayRef3<f64>| {
///     out.fill(0.0);
///     Ok(())
/// });
/// // Rows with many ones are liked.
/// let liked = |_: u64, _: Time, x: &[u32]| x.iter().sum::<u32>() as f64;
/// let model = Tilted { model: flat, log_likelihood: liked, strength: 0.5 };
/// let x = array![[0, 1]];
/// let mut out = Array3::zeros((1, 2, 2));
/// model.log_values_into(&Batch::new(&[0], Times::Same(Time::of(1.0)), &x), &mut out, &mut Scratch::new())?;
/// assert_eq!(out, array![[[0.0, 0.5], [-0.5, 0.0]]]);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// Nisonoff et al. (2025), *Unlocking guidance for discrete state-space diffusion and flow models*, equation 2.
#[derive(Clone, Debug)]
pub struct Tilted<M, L> {
    /// A model of ratios.
    pub model: M,
    /// $`\log p(y \mid x_t)`$ given the absolute row number, the time and the tokens.
    pub log_likelihood: L,
    /// The power γ.
    pub strength: f64,
}

/// Turns the numbers of each token, given the likelihood of clean values, whether it is another one than before, and its
/// row and state.
fn map_tokens<F: Real>(
    noising: &Noising,
    batch: &Batch<'_, u32>,
    out: &mut ArrayRef3<F>,
    mut map: impl FnMut(&Likelihood<'_>, bool, u64, u32, ArrayViewMut1<'_, F>) -> Result<(), Error>,
) -> Result<(), Error> {
    Error::shape("model", &[noising.states()], &[out.dim().2])?;
    check_states("x", noising.states(), batch.x())?;
    let mut likelihood = None;
    for (i, (x, mut out)) in batch.x().rows().into_iter().zip(out.outer_iter_mut()).enumerate() {
        let mut other = likelihood.is_none() || matches!(batch.times(), Times::PerRow(_));
        if other {
            likelihood = Some(Likelihood::new(noising, batch.times().get(i).t)?);
        }
        let likelihood = likelihood.as_ref().expect("made above");
        for (&x, token) in x.iter().zip(out.outer_iter_mut()) {
            map(likelihood, std::mem::take(&mut other), batch.rows()[i], x, token)?;
        }
    }
    Ok(())
}

fn check_output<F: Real>(
    model: &impl Denoiser<F>,
    output: Output,
    method: &'static str,
) -> Result<(), Error> {
    let reason = match output {
        Output::Posterior => "needs a model of posteriors",
        Output::Ratios => "needs a model of ratios",
    };
    if model.output() == output { Ok(()) } else { Err(Error::Unsupported { method, reason }) }
}

impl<F: Real, M: Denoiser<F>> Denoiser<F> for RatiosOf<'_, M> {
    fn dim(&self) -> usize {
        self.model.dim()
    }

    fn states(&self) -> usize {
        self.model.states()
    }

    fn output(&self) -> Output {
        Output::Ratios
    }

    fn log_values_into(
        &self,
        batch: &Batch<'_, u32>,
        out: &mut ArrayRef3<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        ln_of_values(self, batch, out, scratch)
    }

    fn values_into(
        &self,
        batch: &Batch<'_, u32>,
        out: &mut ArrayRef3<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        check_output(&self.model, Output::Posterior, "ratios of a posterior")?;
        self.model.values_into(batch, out, scratch)?;
        let states = self.model.states();
        let (mut column, mut weights, mut ratios) = (vec![0.0; states], vec![0.0; states], vec![0.0; states]);
        let chain = self.noising.generator();
        map_tokens(self.noising, batch, out, |likelihood, _, row, x, mut token| {
            likelihood.column_into(x, &mut column);
            for ((weight, p), &q) in weights.iter_mut().zip(&token).zip(&column) {
                let p = p.as_f64();
                *weight = if p == 0.0 || (q == 0.0 && !p.is_nan()) { 0.0 } else { p / q };
                // As for rates: what cannot have led here has no ratio, and needs none where nothing leads here.
                if p > 0.0 && q == 0.0 && (0..states as u32).any(|s| s != x && chain.rate(s, x) > 0.0) {
                    let message =
                        format!("a token in state {x} has mass on values that cannot have led there");
                    return Err(Error::Model { row, message });
                }
            }
            likelihood.mixture_into(&weights, &mut ratios);
            // 1 but for the rounding of the posterior's sum.
            ratios[x as usize] = 1.0;
            token.iter_mut().zip(&ratios).for_each(|(out, &ratio)| *out = F::of(ratio));
            Ok(())
        })
    }

    fn batching(&self) -> Batching {
        self.model.batching()
    }
}

impl<F: Real, M: Denoiser<F>> Denoiser<F> for PosteriorOf<'_, M> {
    fn dim(&self) -> usize {
        self.model.dim()
    }

    fn states(&self) -> usize {
        self.model.states()
    }

    fn log_values_into(
        &self,
        batch: &Batch<'_, u32>,
        out: &mut ArrayRef3<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        ln_of_values(self, batch, out, scratch)
    }

    fn values_into(
        &self,
        batch: &Batch<'_, u32>,
        out: &mut ArrayRef3<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        check_output(&self.model, Output::Ratios, "posterior of ratios")?;
        Error::domain(self.tolerance >= 0.0, "tolerance", self.tolerance, "at least 0")?;
        self.model.values_into(batch, out, scratch)?;
        let states = self.model.states();
        let (mut column, mut factors) = (vec![0.0; states], None);
        map_tokens(self.noising, batch, out, |likelihood, other, row, x, mut token| {
            let mut weights = DVector::from_iterator(states, token.iter().map(|r| r.as_f64()));
            let refuse = || {
                let reason = "the kernel cannot be inverted at this time";
                Err(Error::Unsupported { method: "posterior of ratios", reason })
            };
            match likelihood {
                Likelihood::Refresh { keep, fresh, chain } => {
                    if *keep == 0.0 {
                        return refuse();
                    }
                    let total = weights.sum();
                    for (v, weight) in (0..).zip(weights.iter_mut()) {
                        *weight = (*weight - fresh * chain.weight(v) * total) / keep;
                    }
                }
                Likelihood::Table(table) => {
                    if other || factors.is_none() {
                        factors = Some(DMatrix::from_fn(states, states, |s, v| table[[s, v]]).lu());
                    }
                    if !factors.as_ref().expect("just made").solve_mut(&mut weights) {
                        return refuse();
                    }
                }
            }
            likelihood.column_into(x, &mut column);
            let p: Vec<f64> =
                weights.iter().zip(&column).map(|(w, q)| if *q == 0.0 { 0.0 } else { w * q }).collect();
            let below: f64 = p.iter().filter(|&&p| p < 0.0).sum();
            let above: f64 = p.iter().filter(|&&p| !(p < 0.0)).sum();
            if !(-below <= self.tolerance && above > 0.0 && above.is_finite()) {
                let message = format!(
                    "the ratios of a token in state {x} are not those of a noised law: {below} is below 0"
                );
                return Err(Error::Model { row, message });
            }
            for (out, p) in token.iter_mut().zip(p) {
                *out = F::of(if p < 0.0 { 0.0 } else { p / above });
            }
            Ok(())
        })
    }

    fn batching(&self) -> Batching {
        self.model.batching()
    }
}

impl<F: Real, C: Denoiser<F>, U: Denoiser<F>> Denoiser<F> for Guided<C, U> {
    fn dim(&self) -> usize {
        self.conditional.dim()
    }

    fn states(&self) -> usize {
        self.conditional.states()
    }

    fn output(&self) -> Output {
        self.conditional.output()
    }

    fn log_values_into(
        &self,
        batch: &Batch<'_, u32>,
        out: &mut ArrayRef3<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        Error::domain(self.weight.is_finite(), "weight", self.weight, "a finite number")?;
        let sizes = [self.conditional.dim(), self.conditional.states()];
        Error::shape("unconditional", &sizes, &[self.unconditional.dim(), self.unconditional.states()])?;
        check_output(&self.unconditional, self.conditional.output(), "guidance")?;
        self.conditional.batching().joint(self.unconditional.batching())?;
        let mut other = Array3::from_elem(out.raw_dim(), F::zero());
        self.conditional.log_values_into(batch, out, scratch)?;
        self.unconditional.log_values_into(batch, &mut other, scratch)?;
        let (weight, rest) = (F::of(self.weight), F::of(1.0 - self.weight));
        for (out, other) in out.iter_mut().zip(&other) {
            // A product of 0 and an infinity is not wanted, nor is the difference of two.
            let part = if rest == F::zero() { F::zero() } else { rest * *other };
            let impossible = *out == F::neg_infinity() && weight > F::zero();
            *out = if weight == F::zero() {
                *other
            } else if impossible {
                F::neg_infinity()
            } else {
                weight * *out + part
            };
        }
        Ok(())
    }

    fn batching(&self) -> Batching {
        let conditional = self.conditional.batching();
        // Where they do not agree an evaluation is refused.
        conditional.joint(self.unconditional.batching()).unwrap_or(conditional)
    }
}

impl<F, M, L> Denoiser<F> for Tilted<M, L>
where
    F: Real,
    M: Denoiser<F>,
    L: Fn(u64, numeric::Time, &[u32]) -> f64 + Send + Sync,
{
    fn dim(&self) -> usize {
        self.model.dim()
    }

    fn states(&self) -> usize {
        self.model.states()
    }

    fn output(&self) -> Output {
        Output::Ratios
    }

    fn log_values_into(
        &self,
        batch: &Batch<'_, u32>,
        out: &mut ArrayRef3<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        check_output(&self.model, Output::Ratios, "guidance by a predictor")?;
        Error::domain(self.strength.is_finite(), "strength", self.strength, "a finite number")?;
        self.model.log_values_into(batch, out, scratch)?;
        for (i, (x, mut out)) in batch.x().rows().into_iter().zip(out.outer_iter_mut()).enumerate() {
            let (row, time) = (batch.rows()[i], batch.times().get(i));
            let mut x = x.to_vec();
            let here = (self.log_likelihood)(row, time, &x);
            if !here.is_finite() {
                let message = format!("the logarithm of the likelihood is {here} at time {}", time.t);
                return Err(Error::Model { row, message });
            }
            for d in 0..x.len() {
                let own = x[d];
                for v in 0..self.model.states() {
                    if v as u32 != own {
                        x[d] = v as u32;
                        let there = (self.log_likelihood)(row, time, &x);
                        out[[d, v]] += F::of(self.strength * (there - here));
                    }
                }
                x[d] = own;
            }
        }
        Ok(())
    }

    fn batching(&self) -> Batching {
        self.model.batching()
    }
}
