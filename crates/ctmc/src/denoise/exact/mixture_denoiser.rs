//! The exact denoiser of a mixture of product laws.

use numeric::ndarray::ArrayRef3;
use numeric::{Batch, Error, Real, Scratch, vectorize};

use super::ProductMixture;
use super::mixture::posterior;
use super::rows::{impossible, normalise, write_rows};
use crate::denoise::likelihood::Likelihood;
use crate::denoise::pick::dot;
use crate::denoise::{Denoiser, Noising};

/// The exact denoiser of a [`ProductMixture`]: which component a row came from, and then its tokens.
///
/// ```math
/// p(x_0^d = v \mid x_t) = \sum_k r_k\, \frac{p_k^d(v)\, q_{t|0}(x_t^d \mid v)}{e_k^d}, \qquad
/// r_k \propto w_k \prod_d e_k^d, \qquad e_k^d = \sum_v p_k^d(v)\, q_{t|0}(x_t^d \mid v) .
/// ```
///
/// ```
/// use ctmc::denoise::{Denoiser, Noising, exact::ProductMixture};
/// use ctmc::{Refresh, TimeChange};
/// use numeric::ndarray::{Array3, array};
/// use numeric::{Batch, Scratch, Time, Times};
/// let laws = array![[[0.9, 0.1], [0.9, 0.1]], [[0.1, 0.9], [0.1, 0.9]]];
/// let mixture = ProductMixture::new(&[0.5, 0.5], &laws)?;
/// // A third state, the mask, hides the second bit; the first one tells of it.
/// let noising = Noising::refresh(Refresh::absorbing(3, 2, 1.0)?, TimeChange::log_linear(0.0)?);
/// let x = array![[0, 2]];
/// let mut p = Array3::<f64>::zeros((1, 2, 3));
/// let batch = Batch::new(&[0], Times::Same(Time::of(0.4)), &x);
/// mixture.denoiser(&noising)?.values_into(&batch, &mut p, &mut Scratch::new())?;
/// assert!((p[[0, 1, 0]] - 0.82).abs() < 1e-15 && p[[0, 1, 2]] == 0.0);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # Errors
/// As a [`Denoiser`]: [`Error::Model`] for a state that no clean row can have become; [`Error::Shape`] and
/// [`Error::Entry`] for rows that are not D states.
///
/// # Complexity
/// O(D S K) for each state, in two passes over the laws, whatever the noising.
#[derive(Clone, Debug)]
pub struct MixtureDenoiser {
    mixture: ProductMixture,
    noising: Noising,
}

impl MixtureDenoiser {
    pub(super) fn new(mixture: &ProductMixture, noising: &Noising) -> Result<MixtureDenoiser, Error> {
        if noising.states() < mixture.states() {
            return Err(Error::Shape {
                parameter: "noising",
                expected: vec![mixture.states()],
                found: vec![noising.states()],
            });
        }
        Ok(MixtureDenoiser { mixture: mixture.clone(), noising: noising.clone() })
    }

    /// The mixture.
    #[must_use]
    pub fn mixture(&self) -> &ProductMixture {
        &self.mixture
    }

    /// Marginals of one state, `(D, S)` with the states of the noising.
    fn marginals(
        &self,
        likelihood: &Likelihood<'_>,
        x: &[u32],
        workspace: &mut Workspace,
        out: &mut [f64],
    ) -> Result<(), String> {
        let (k, values) = (self.mixture.components(), self.mixture.states());
        let states = self.noising.states();
        let Workspace { columns, evidence, responsibilities, ratios } = workspace;
        columns.resize(x.len() * states, 0.0);
        evidence.clear();
        evidence.resize(x.len() * k, 0.0);
        responsibilities.resize(k, 0.0);
        ratios.resize(k, 0.0);
        let laws = self.mixture.all_laws();
        for ((d, column), evidence) in
            columns.chunks_exact_mut(states).enumerate().zip(evidence.chunks_exact_mut(k))
        {
            likelihood.column_into(x[d], column);
            let laws = &laws[d * values * k..][..values * k];
            vectorize(
                #[inline(always)]
                || {
                    for (laws, &q) in laws.chunks_exact(k).zip(column.iter()) {
                        for (e, &p) in evidence.iter_mut().zip(laws) {
                            *e += q * p;
                        }
                    }
                },
            );
        }
        if posterior(&self.mixture.weights, evidence, responsibilities) == f64::NEG_INFINITY {
            return Err(impossible());
        }
        let tokens =
            columns.chunks_exact(states).zip(evidence.chunks_exact(k)).zip(out.chunks_exact_mut(states));
        for (d, ((column, evidence), out)) in tokens.enumerate() {
            for ((ratio, &r), &e) in ratios.iter_mut().zip(responsibilities.iter()).zip(evidence) {
                // A component without evidence has no share.
                *ratio = if r > 0.0 { r / e } else { 0.0 };
            }
            let laws = &laws[d * values * k..][..values * k];
            vectorize(
                #[inline(always)]
                || {
                    for ((out, laws), &q) in out.iter_mut().zip(laws.chunks_exact(k)).zip(column) {
                        *out = q * dot(ratios, laws);
                    }
                },
            );
            out[values..].fill(0.0);
            normalise(out);
        }
        Ok(())
    }

    fn write<F: Real>(
        &self,
        batch: &Batch<'_, u32>,
        out: &mut ArrayRef3<F>,
        scratch: &mut Scratch,
        convert: impl Fn(f64) -> f64,
    ) -> Result<(), Error> {
        let mut workspace: Workspace = scratch.take();
        let row = |likelihood: &Likelihood<'_>, x: &[u32], out: &mut [f64]| {
            self.marginals(likelihood, x, &mut workspace, out)
        };
        let done = write_rows(&self.noising, self.mixture.dim(), batch, out, scratch, convert, row);
        scratch.put(workspace);
        done
    }
}

#[derive(Default)]
struct Workspace {
    /// Likelihoods of the values, `(D, S)`.
    columns: Vec<f64>,
    /// $`e_k^d`$, `(D, K)`.
    evidence: Vec<f64>,
    responsibilities: Vec<f64>,
    /// $`r_k / e_k^d`$ of one token.
    ratios: Vec<f64>,
}

impl<F: Real> Denoiser<F> for MixtureDenoiser {
    fn dim(&self) -> usize {
        self.mixture.dim()
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
        self.write(batch, out, scratch, f64::ln)
    }

    fn values_into(
        &self,
        batch: &Batch<'_, u32>,
        out: &mut ArrayRef3<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        self.write(batch, out, scratch, |p| p)
    }
}
