//! Models of discrete data.

use numeric::ndarray::{ArrayRef3, Axis};
use numeric::{Batch, Batching, Error, Real, Scratch, exp_in_place};

/// What the numbers of a [`Denoiser`] are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Output {
    /// Entry (i, d, v) is the probability that the clean token d was v: $`p(x_0^d = v \mid x_t)`$. Its logarithm may lack
    /// a constant (logits).
    Posterior,
    /// Entry (i, d, v) is the ratio $`q_t(x_t \text{ with token } d \text{ set to } v) / q_t(x_t)`$, the *concrete score*;
    /// 1 at the token's own value.
    Ratios,
}

/// A model of clean data given noised data: numbers for each token d and value v of each row, an array `(n, D, S)`.
///
/// Given are rows of D tokens, each a state below S, and their times on the forward process (0 is clean). Whatever else
/// the model knows of a row (a label, a prompt, the known part of a picture) it looks up by the absolute row number in the
/// batch.
///
/// A network implements [`log_values_into`](Denoiser::log_values_into) and is done. Models that have probabilities
/// without taking logarithms, or need no exponentials, also implement [`values_into`](Denoiser::values_into): the
/// samplers call only that one, the likelihood bounds only the other.
///
/// ```
/// use ctmc::denoise::{Denoiser, denoiser_from_fn};
/// use numeric::{Batch, Scratch, Time, Times};
/// use numeric::ndarray::{Array3, array};
/// // Two tokens of three values; likes values that are near to the noised ones.
/// let model = denoiser_from_fn(2, 3, |batch, out| {
///     for ((i, d, v), logit) in out.indexed_iter_mut() {
///         *logit = -(batch.x()[[i, d]] as f64 - v as f64).abs();
///     }
///     Ok(())
/// });
/// let x = array![[0, 2]];
/// let batch = Batch::new(&[0], Times::Same(Time::of(0.5)), &x);
/// let mut p = Array3::zeros((1, 2, 3));
/// model.values_into(&batch, &mut p, &mut Scratch::new())?;
/// let e = 1.0_f64.exp();
/// assert!((p[[0, 0, 0]] - 1.0 / (1.0 + 1.0 / e + 1.0 / (e * e))).abs() < 1e-15);
/// assert_eq!(p[[0, 0, 1]], p[[0, 1, 1]]);
/// # Ok::<(), numeric::Error>(())
/// ```
pub trait Denoiser<F: Real>: Send + Sync {
    /// Number of tokens of a row, D.
    fn dim(&self) -> usize;

    /// Number of values of a token, S.
    fn states(&self) -> usize;

    /// What the numbers are; the posterior, unless said otherwise.
    fn output(&self) -> Output {
        Output::Posterior
    }

    /// Writes the logarithms over `out`, `(n, D, S)` in standard layout: logits, or logarithms of ratios. −∞ is allowed.
    ///
    /// # Errors
    /// Whatever the model reports, as [`Error::Model`] with the lowest failing row.
    fn log_values_into(
        &self,
        batch: &Batch<'_, u32>,
        out: &mut ArrayRef3<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error>;

    /// Writes the numbers themselves over `out`, `(n, D, S)` in standard layout: probabilities that sum to 1 over v to
    /// rounding, or ratios.
    ///
    /// # Errors
    /// As [`log_values_into`](Denoiser::log_values_into); [`Error::Model`] for a token none of whose logits is finite.
    fn values_into(
        &self,
        batch: &Batch<'_, u32>,
        out: &mut ArrayRef3<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        self.log_values_into(batch, out, scratch)?;
        if self.output() == Output::Posterior {
            shift_logits(batch.rows(), out)?;
        }
        exp_in_place(out.as_slice_mut().expect("standard layout"));
        if self.output() == Output::Posterior {
            for mut token in out.lanes_mut(Axis(2)) {
                let sum: f64 = token.iter().map(|p| p.as_f64()).sum();
                let inverse = F::of(1.0 / sum);
                token.mapv_inplace(|p| p * inverse);
            }
        }
        Ok(())
    }

    /// How the model wants to be called. To a model that computes each row from that row alone, from any thread, samplers
    /// give as many rows as suit their cache.
    fn batching(&self) -> Batching {
        Batching::default()
    }
}

/// The logarithms for a model that has the numbers themselves.
pub(super) fn ln_of_values<F: Real>(
    model: &impl Denoiser<F>,
    batch: &Batch<'_, u32>,
    out: &mut ArrayRef3<F>,
    scratch: &mut Scratch,
) -> Result<(), Error> {
    model.values_into(batch, out, scratch)?;
    out.mapv_inplace(F::ln);
    Ok(())
}

/// Subtracts from the logits of each token the greatest of them.
fn shift_logits<F: Real>(rows: &[u64], logits: &mut ArrayRef3<F>) -> Result<(), Error> {
    for (mut row, &number) in logits.outer_iter_mut().zip(rows) {
        for mut token in row.outer_iter_mut() {
            let top = token.fold(F::neg_infinity(), |top, &l| if l > top { l } else { top });
            if !top.is_finite() {
                let message = format!("the greatest logit of a token is {top}");
                return Err(Error::Model { row: number, message });
            }
            token.mapv_inplace(|l| l - top);
        }
    }
    Ok(())
}

macro_rules! forward_denoiser {
    ($($ty:ty),*) => {$(
        impl<F: Real, M: Denoiser<F> + ?Sized> Denoiser<F> for $ty {
            fn dim(&self) -> usize {
                (**self).dim()
            }
            fn states(&self) -> usize {
                (**self).states()
            }
            fn output(&self) -> Output {
                (**self).output()
            }
            fn log_values_into(
                &self,
                batch: &Batch<'_, u32>,
                out: &mut ArrayRef3<F>,
                scratch: &mut Scratch,
            ) -> Result<(), Error> {
                (**self).log_values_into(batch, out, scratch)
            }
            fn values_into(
                &self,
                batch: &Batch<'_, u32>,
                out: &mut ArrayRef3<F>,
                scratch: &mut Scratch,
            ) -> Result<(), Error> {
                (**self).values_into(batch, out, scratch)
            }
            fn batching(&self) -> Batching {
                (**self).batching()
            }
        }
    )*};
}
forward_denoiser!(&M, Box<M>, std::sync::Arc<M>);

/// A model of D = `dim` tokens of S = `states` values whose logits a closure writes for a whole batch.
///
/// See [`Denoiser`] for an example.
pub fn denoiser_from_fn<F, G>(dim: usize, states: usize, logits: G) -> impl Denoiser<F>
where
    F: Real,
    G: Fn(&Batch<'_, u32>, &mut ArrayRef3<F>) -> Result<(), Error> + Send + Sync,
{
    FromFn { dim, states, output: Output::Posterior, log_values: logits }
}

/// As [`denoiser_from_fn`], for logarithms of ratios (a *score entropy* network).
///
/// ```
/// use ctmc::denoise::{Denoiser, Output, ratios_from_fn};
/// let flat = ratios_from_fn(4, 2, |_, out: &mut numeric::ndarray::ArrayRef3<f32>| {
///     out.fill(0.0);
///     Ok(())
/// });
/// assert_eq!((flat.dim(), flat.states(), flat.output()), (4, 2, Output::Ratios));
/// ```
pub fn ratios_from_fn<F, G>(dim: usize, states: usize, log_ratios: G) -> impl Denoiser<F>
where
    F: Real,
    G: Fn(&Batch<'_, u32>, &mut ArrayRef3<F>) -> Result<(), Error> + Send + Sync,
{
    FromFn { dim, states, output: Output::Ratios, log_values: log_ratios }
}

struct FromFn<G> {
    dim: usize,
    states: usize,
    output: Output,
    log_values: G,
}

impl<F, G> Denoiser<F> for FromFn<G>
where
    F: Real,
    G: Fn(&Batch<'_, u32>, &mut ArrayRef3<F>) -> Result<(), Error> + Send + Sync,
{
    fn dim(&self) -> usize {
        self.dim
    }

    fn states(&self) -> usize {
        self.states
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
        (self.log_values)(batch, out)
    }
}
