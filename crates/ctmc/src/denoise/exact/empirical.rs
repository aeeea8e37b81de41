//! The exact denoiser of rows of data.

use numeric::ndarray::{Array2, ArrayRef2, ArrayRef3};
use numeric::{Batch, Error, Real, Scratch};

use super::rows::{free_tokens, impossible, normalise, write_rows};
use crate::denoise::likelihood::Likelihood;
use crate::denoise::noising::check_states;
use crate::denoise::{Denoiser, Noising};

/// The exact denoiser of an empirical law $`\sum_i \omega_i\, \delta_{a_i}`$ on rows of data.
///
/// ```math
/// p(x_0^d = v \mid x_t) = \sum_i w_i(x_t)\, 1[a_i^d = v], \qquad
/// w_i(x_t) \propto \omega_i \prod_{d=1}^{D} q_{t|0}(x_t^d \mid a_i^d) ,
/// ```
///
/// with weights taken in logarithms. Sampling with it gives the data back: an oracle, not a model of unseen rows.
///
/// ```
/// use ctmc::denoise::{Denoiser, Noising, exact::EmpiricalDenoiser};
/// use ctmc::{Refresh, TimeChange};
/// use numeric::ndarray::{Array3, array};
/// use numeric::{Batch, Scratch, Time, Times};
/// // Two bits that are always equal, flipped at rate 1 each: one has flipped.
/// let noising = Noising::refresh(Refresh::uniform(2, 1.0)?, TimeChange::constant(1.0)?);
/// let twins = EmpiricalDenoiser::new(&noising, &array![[0, 0], [1, 1]])?.with_weights(&[0.75, 0.25])?;
/// let x = array![[0, 1]];
/// let mut p = Array3::<f64>::zeros((1, 2, 2));
/// twins.values_into(&Batch::new(&[0], Times::Same(Time::of(0.3)), &x), &mut p, &mut Scratch::new())?;
/// assert!((p[[0, 0, 0]] - 0.75).abs() < 1e-15 && (p[[0, 1, 1]] - 0.25).abs() < 1e-15);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # Errors
/// As a [`Denoiser`]: [`Error::Model`] for a state that no row can have become (an unmasked token that no row has, or any
/// change at time 0); [`Error::Shape`] and [`Error::Entry`] for rows that are not D states.
///
/// # Complexity
/// O(n D) for each state, besides the table of the noising at each time.
///
/// # References
/// Campbell et al. (2022), *A continuous time framework for discrete denoising models*, propositions 1 and 3.
#[derive(Clone, Debug)]
pub struct EmpiricalDenoiser {
    noising: Noising,
    /// Token by token, `(D, n)`: a token is one pass over a contiguous column.
    columns: Array2<u32>,
    ln_weights: Vec<f64>,
}

impl EmpiricalDenoiser {
    /// The denoiser of the rows of `data`, `(n, D)`, all of the same weight.
    ///
    /// # Errors
    /// [`Error::Shape`] for data without rows or columns, [`Error::Entry`] for a state that the noising does not have.
    pub fn new(noising: &Noising, data: &ArrayRef2<u32>) -> Result<EmpiricalDenoiser, Error> {
        let (n, dim) = data.dim();
        Error::shape("data", &[n.max(1), dim.max(1)], &[n, dim])?;
        check_states("data", noising.states(), data)?;
        let columns = data.t().as_standard_layout().into_owned();
        Ok(EmpiricalDenoiser { noising: noising.clone(), columns, ln_weights: vec![0.0; n] })
    }

    /// Gives row i of the data a weight; the weights need not sum to 1.
    ///
    /// # Errors
    /// [`Error::Shape`] if there is not one weight for each row; [`Error::Entry`] for one that is negative or not finite;
    /// [`Error::Domain`] if all are 0.
    pub fn with_weights(mut self, weights: &[f64]) -> Result<EmpiricalDenoiser, Error> {
        Error::shape("weights", &[self.ln_weights.len()], &[weights.len()])?;
        let fits = |w: f64| w >= 0.0 && w.is_finite();
        Error::entries("weights", weights.iter().copied(), "a finite number of at least 0", fits)?;
        Error::domain(weights.iter().any(|&w| w > 0.0), "weights", 0.0, "a weight greater than 0")?;
        self.ln_weights = weights.iter().map(|w| w.ln()).collect();
        Ok(self)
    }

    /// The denoiser given known clean tokens: of the rows that agree with them, and a model of the other tokens alone, in
    /// their order.
    ///
    /// ```
    /// use ctmc::denoise::{Denoiser, Noising, exact::EmpiricalDenoiser};
    /// use ctmc::{Refresh, TimeChange};
    /// use numeric::ndarray::array;
    /// let noising = Noising::refresh(Refresh::uniform(3, 1.0)?, TimeChange::constant(1.0)?);
    /// let all = EmpiricalDenoiser::new(&noising, &array![[0, 2, 1], [1, 2, 2], [1, 0, 0]])?;
    /// let rest = all.given(&[None, Some(2), None])?;
    /// assert_eq!(Denoiser::<f64>::dim(&rest), 2);
    /// assert!(all.given(&[Some(2), None, None]).is_err());
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] if there are not D entries; [`Error::Entry`] for one that is no state; [`Error::Domain`] if all
    /// tokens are known, or no row of positive weight agrees with them.
    pub fn given(&self, known: &[Option<u32>]) -> Result<EmpiricalDenoiser, Error> {
        let free = free_tokens(known, self.columns.nrows(), self.noising.states())?;
        let agrees = |i: usize| {
            let mut tokens = known.iter().zip(self.columns.column(i));
            tokens.all(|(known, value)| known.is_none_or(|known| known == *value))
        };
        let n = self.ln_weights.len();
        let rows: Vec<usize> =
            (0..n).filter(|&i| self.ln_weights[i] > f64::NEG_INFINITY && agrees(i)).collect();
        Error::domain(!rows.is_empty(), "known", 0.0, "tokens that some row of the data has")?;
        Ok(EmpiricalDenoiser {
            noising: self.noising.clone(),
            columns: Array2::from_shape_fn((free.len(), rows.len()), |(d, i)| {
                self.columns[[free[d], rows[i]]]
            }),
            ln_weights: rows.iter().map(|&i| self.ln_weights[i]).collect(),
        })
    }

    /// Marginals of one state, `(D, S)`.
    fn marginals(
        &self,
        likelihood: &Likelihood<'_>,
        x: &[u32],
        workspace: &mut Workspace,
        out: &mut [f64],
    ) -> Result<(), String> {
        let states = self.noising.states();
        let Workspace { logs, weights } = workspace;
        logs.resize(states, 0.0);
        weights.clear();
        weights.extend_from_slice(&self.ln_weights);
        for (&x, column) in x.iter().zip(self.columns.outer_iter()) {
            likelihood.column_into(x, logs);
            logs.iter_mut().for_each(|q| *q = q.ln());
            for (weight, &value) in weights.iter_mut().zip(column) {
                *weight += logs[value as usize];
            }
        }
        let top = weights.iter().fold(f64::NEG_INFINITY, |top, &w| top.max(w));
        if top == f64::NEG_INFINITY {
            return Err(impossible());
        }
        weights.iter_mut().for_each(|w| *w -= top);
        numeric::exp_in_place(weights);
        out.fill(0.0);
        for (column, out) in self.columns.outer_iter().zip(out.chunks_exact_mut(states)) {
            for (&weight, &value) in weights.iter().zip(column) {
                out[value as usize] += weight;
            }
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
        let dim = self.columns.nrows();
        let row = |likelihood: &Likelihood<'_>, x: &[u32], out: &mut [f64]| {
            self.marginals(likelihood, x, &mut workspace, out)
        };
        let done = write_rows(&self.noising, dim, batch, out, scratch, convert, row);
        scratch.put(workspace);
        done
    }
}

#[derive(Default)]
struct Workspace {
    logs: Vec<f64>,
    weights: Vec<f64>,
}

impl<F: Real> Denoiser<F> for EmpiricalDenoiser {
    fn dim(&self) -> usize {
        self.columns.nrows()
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
