//! The exact denoiser of independent tokens.

use numeric::ndarray::{Array2, ArrayRef2, ArrayRef3, Axis};
use numeric::{Batch, Error, Real, Scratch, Times, vectorize};

use super::rows::{check_batch, impossible};
use crate::denoise::denoiser::ln_of_values;
use crate::denoise::likelihood::Likelihood;
use crate::denoise::{Denoiser, Noising};
use crate::law::check_law;

/// The exact denoiser of a product law: tokens that are independent, each with a law of its own.
///
/// ```math
/// p(x_0^d = v \mid x_t) \propto p^d(v)\, q_{t|0}(x_t^d \mid v) .
/// ```
///
/// For a refreshing chain the likelihood has two values, at $`v = x_t^d`$ and elsewhere, and a token is one product of its
/// law with a number: what is left of the time is spent in writing `(n, D, S)`.
///
/// ```
/// use ctmc::denoise::{Denoiser, Noising, exact::ProductDenoiser};
/// use ctmc::{Refresh, TimeChange};
/// use numeric::ndarray::{Array3, array};
/// use numeric::{Batch, Scratch, Time, Times};
/// let noising = Noising::refresh(Refresh::absorbing(3, 2, 1.0)?, TimeChange::constant(1.0)?);
/// let model = ProductDenoiser::<f32>::new(&noising, &array![[0.5, 0.5, 0.0], [0.25, 0.75, 0.0]])?;
/// let x = array![[1, 2]];                                                     // the second token is masked
/// let mut p = Array3::zeros((1, 2, 3));
/// model.values_into(&Batch::new(&[0], Times::Same(Time::of(0.5)), &x), &mut p, &mut Scratch::new())?;
/// assert_eq!(p, array![[[0.0, 1.0, 0.0], [0.25, 0.75, 0.0]]]);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # Errors
/// As a [`Denoiser`]: [`Error::Model`] for a token that no clean value can have become; [`Error::Shape`] and
/// [`Error::Entry`] for rows that are not D states.
#[derive(Clone, Debug)]
pub struct ProductDenoiser<F> {
    noising: Noising,
    laws: Array2<F>,
}

/// Tokens whose factors are found together.
const PART: usize = 64;

impl<F: Real> ProductDenoiser<F> {
    /// The denoiser of tokens with the laws `laws`, `(D, S)`.
    ///
    /// # Errors
    /// [`Error::Shape`] without tokens, or if S is not the noising's number of states; [`Error::Entry`] and
    /// [`Error::Domain`] if a row is not a law.
    pub fn new(noising: &Noising, laws: &ArrayRef2<f64>) -> Result<ProductDenoiser<F>, Error> {
        let (dim, states) = laws.dim();
        Error::shape("laws", &[dim.max(1), noising.states()], &[dim, states])?;
        for law in laws.axis_iter(Axis(0)) {
            check_law("laws", states, &law.to_vec())?;
        }
        Ok(ProductDenoiser { noising: noising.clone(), laws: laws.mapv(F::of) })
    }

    #[inline(always)]
    fn row(
        &self,
        likelihood: &Likelihood<'_>,
        column: &mut [f64],
        x: &[u32],
        out: &mut [F],
    ) -> Result<(), String> {
        let states = self.noising.states();
        let laws = self.laws.as_slice().expect("standard layout");
        let parts = x.chunks(PART).zip(laws.chunks(PART * states)).zip(out.chunks_mut(PART * states));
        for ((x, laws), out) in parts {
            let laws = laws.chunks_exact(states);
            match likelihood {
                Likelihood::Refresh { keep, fresh, chain } => {
                    let (mut own, mut other) = ([0.0; PART], [0.0; PART]);
                    for (((own, other), &x), law) in own.iter_mut().zip(&mut other).zip(x).zip(laws.clone()) {
                        (*own, *other) = (law[x as usize].as_f64(), fresh * chain.weight(x));
                    }
                    // The divisions of all tokens side by side.
                    let (mut scales, mut kept, mut possible) = ([F::zero(); PART], [F::zero(); PART], true);
                    for k in 0..x.len() {
                        let total = other[k] + keep * own[k];
                        possible &= total > 0.0;
                        scales[k] = F::of(other[k] / total);
                        kept[k] = F::of(own[k] * ((keep + other[k]) / total));
                    }
                    if !possible {
                        return Err(impossible());
                    }
                    let tokens = out.chunks_exact_mut(states).zip(laws).zip(x);
                    for (((out, law), &x), (&scale, &kept)) in tokens.zip(scales.iter().zip(&kept)) {
                        out.iter_mut().zip(law).for_each(|(out, &p)| *out = scale * p);
                        out[x as usize] = kept;
                    }
                }
                Likelihood::Table(_) => {
                    for ((&x, law), out) in x.iter().zip(laws).zip(out.chunks_exact_mut(states)) {
                        likelihood.column_into(x, column);
                        let mut total = 0.0;
                        for ((out, &p), &q) in out.iter_mut().zip(law).zip(column.iter()) {
                            total += p.as_f64() * q;
                            *out = F::of(p.as_f64() * q);
                        }
                        if !(total > 0.0) {
                            return Err(impossible());
                        }
                        for ((out, &p), &q) in out.iter_mut().zip(law).zip(column.iter()) {
                            *out = F::of(p.as_f64() * (q / total));
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

impl<F: Real> Denoiser<F> for ProductDenoiser<F> {
    fn dim(&self) -> usize {
        self.laws.nrows()
    }

    fn states(&self) -> usize {
        self.noising.states()
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
        let (dim, states) = self.laws.dim();
        check_batch(states, dim, batch, out)?;
        let mut column: Vec<f64> = scratch.take();
        column.resize(states, 0.0);
        let out = out.as_slice_mut().expect("standard layout");
        let rows = batch.x_slice().chunks_exact(dim).zip(out.chunks_exact_mut(dim * states));
        let mut likelihood = None;
        for (i, ((x, out), &row)) in rows.zip(batch.rows()).enumerate() {
            if likelihood.is_none() || matches!(batch.times(), Times::PerRow(_)) {
                likelihood = Some(Likelihood::new(&self.noising, batch.times().get(i).t)?);
            }
            let likelihood = likelihood.as_ref().expect("made above");
            let done = vectorize(
                #[inline(always)]
                || self.row(likelihood, &mut column, x, out),
            );
            done.map_err(|message| Error::Model { row, message })?;
        }
        scratch.put(column);
        Ok(())
    }
}
