//! Likelihoods by the probability flow: `ln p(x)` of each row, exact or with a standard error.
//!
//! Along a flow `dx/dt = V(t, x)` the logarithm of the density changes by `−∇·V`:
//!
//! ```math
//! \ln p(x_{\mathrm{from}}) = \ln p_{\mathrm{to}}(x_{\mathrm{to}}) + \int_{\mathrm{from}}^{\mathrm{to}} \nabla\!\cdot V(t, x_t)\, dt .
//! ```
//!
//! | what | with |
//! |---|---|
//! | the divergence, exactly | [`ExactTrace`], for fields with [`Divergence`](numeric::Divergence) |
//! | an unbiased estimate from products with random vectors | [`Hutchinson`], [`HutchPlusPlus`], for fields with [`JacobianProducts`](numeric::JacobianProducts) |
//! | `ln p(x)` under a diffusion model | [`ln_likelihood`] |
//! | the integral along any flow | [`ln_density_change`] |
//! | bits per dimension of discrete data | [`Dequantisation`] |

mod bits;
mod trace;

use std::ops::Range;

use numeric::ndarray::{Array2, ArrayRef2, ArrayViewMut2};
use numeric::{
    Batch, Batching, Control, Error, Estimate, Real, Scratch, Time, TimeGrid, VectorField, as_rows,
};

use crate::ode::{OdeMethod, OdeSolver, ProbabilityFlow};
use crate::{Keep, LinearProcess, Start, Statistics};

pub use bits::Dequantisation;
pub use trace::{ExactTrace, HutchPlusPlus, Hutchinson, Probe, TraceEstimator};

/// A function of a time: how much of the identity a Jacobian contains, for which no probes are needed.
pub type IdentityPart<'a> = dyn Fn(Time) -> Result<f64, Error> + Send + Sync + 'a;

/// A field with the traces of its Jacobian as further coordinates: `(x, ℓ)' = (V, tr ∂V/∂x)`.
///
/// A solver that integrates it controls the error of both. There is one ℓ for each independent estimate of the trace.
pub struct Augmented<'a, V, E> {
    field: V,
    estimator: E,
    identity_part: &'a IdentityPart<'a>,
    columns: usize,
}

impl<V, E> std::fmt::Debug for Augmented<'_, V, E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Augmented").field("columns", &self.columns).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Buffers<F> {
    x: Vec<F>,
    v: Vec<F>,
    shifts: Vec<f64>,
    traces: Vec<f64>,
}

impl<F> Default for Buffers<F> {
    fn default() -> Buffers<F> {
        Buffers { x: Vec::new(), v: Vec::new(), shifts: Vec::new(), traces: Vec::new() }
    }
}

impl<F: Real, V: VectorField<F>, E: TraceEstimator<F, V>> VectorField<F> for Augmented<'_, V, E> {
    fn dim(&self) -> usize {
        self.field.dim() + self.columns
    }

    fn eval_into(
        &self,
        batch: &Batch<'_, F>,
        out: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        let mut buffers: Buffers<F> = scratch.take();
        let done = self.eval(batch, out, &mut buffers, scratch);
        scratch.put(buffers);
        done
    }

    fn batching(&self) -> Batching {
        self.field.batching()
    }
}

impl<V, E> Augmented<'_, V, E> {
    fn eval<F: Real>(
        &self,
        batch: &Batch<'_, F>,
        out: &mut ArrayRef2<F>,
        buffers: &mut Buffers<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error>
    where
        V: VectorField<F>,
        E: TraceEstimator<F, V>,
    {
        let (n, d, width) = (batch.len(), self.field.dim(), batch.dim());
        let Buffers { x, v, shifts, traces } = buffers;
        x.clear();
        for row in batch.x_slice().chunks_exact(width) {
            x.extend_from_slice(&row[..d]);
        }
        v.resize(n * d, F::zero());
        traces.clear();
        traces.resize(n * self.columns, 0.0);
        shifts.clear();
        for row in 0..n {
            shifts.push((self.identity_part)(batch.times().get(row))?);
        }
        let x = as_rows(x, d);
        let inner = Batch::new(batch.rows(), batch.times(), &x);
        let mut values = ArrayViewMut2::from_shape((n, d), &mut v[..]).expect("sized above");
        self.field.eval_into(&inner, &mut values, scratch)?;
        self.estimator.traces_into(&self.field, &inner, shifts, traces, scratch)?;
        let out = out.as_slice_mut().expect("fields are given standard layout");
        let rows = out.chunks_exact_mut(width).zip(v.chunks_exact(d)).zip(traces.chunks_exact(self.columns));
        for ((out, v), traces) in rows {
            out[..d].copy_from_slice(v);
            out[d..].iter_mut().zip(traces).for_each(|(out, &trace)| *out = F::of(trace));
        }
        Ok(())
    }
}

/// Rows at the end of a flow, with the integral of the divergence on the way there.
#[derive(Clone, Debug, PartialEq)]
pub struct DensityChange<F> {
    /// The states at the end, `(n, d)`.
    pub states: Array2<F>,
    /// `∫ ∇·V dt` of each row, in nats; the standard error is 0 for [`ExactTrace`], and infinite for a single probe.
    pub integrals: Vec<Estimate>,
    /// What the run cost; a call is an evaluation of field and traces together.
    pub statistics: Statistics,
}

/// Solves `dx/dt = V` along the grid from the rows x, and integrates the divergence of V on the way.
///
/// The integral runs in the direction of the grid. The Jacobian of V is taken as `c(t) I + J̃` with
/// c = `identity_part` (`&|_| Ok(0.0)` if nothing is known), and only the trace of J̃ is estimated.
/// States and integrals are in F; use `f64` where digits matter.
///
/// # Randomness
/// That of the estimator: the probes of a row depend on (noise, row, probe) and stay the same along the way, so
/// that each probe's integral is an unbiased estimate.
///
/// ```
/// use numeric::{Control, FiniteDifference, TimeGrid, from_row_fn, ndarray::array};
/// use sde_core::{likelihood::{ExactTrace, ln_density_change}, ode::Tsit5};
/// let field = FiniteDifference::new(from_row_fn(2, |_, x, out: &mut [f64]| {
///     out[0] = -x[0] + x[1];
///     out[1] = 3.0 * x[1];
///     Ok(())
/// }));
/// let (grid, x) = (TimeGrid::uniform(0.0, 0.5, 1)?, array![[1.0, 2.0]]);
/// let method = Tsit5::new(1e-9, 1e-9)?;
/// let change = ln_density_change(field, &method, &ExactTrace, &|_| Ok(0.0), &grid, &x, 0..1, Control::default())?;
/// assert!((change.integrals[0].mean - 0.5 * 2.0).abs() < 1e-8);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # Errors
/// As [`OdeSolver::run`], and the estimator's.
///
/// # Panics
/// Never by itself.
#[expect(clippy::too_many_arguments, reason = "each of them is another independent value")]
pub fn ln_density_change<F: Real, V, M, E>(
    field: V,
    method: &M,
    estimator: &E,
    identity_part: &IdentityPart<'_>,
    grid: &TimeGrid,
    x: &ArrayRef2<F>,
    rows: Range<u64>,
    control: Control<'_>,
) -> Result<DensityChange<F>, Error>
where
    V: VectorField<F>,
    E: TraceEstimator<F, V>,
    M: for<'a> OdeMethod<F, Augmented<'a, V, &'a E>>,
{
    let d = field.dim();
    let columns = estimator.columns();
    Error::shape("x", &[x.nrows(), d], x.shape())?;
    let mut start = Array2::zeros((x.nrows(), d + columns));
    start.slice_mut(numeric::ndarray::s![.., ..d]).assign(x);
    let solver = OdeSolver {
        field: Augmented { field, estimator, identity_part, columns },
        method,
        grid: grid.clone(),
    };
    let run = solver.run(Start::Rows(&start), Keep::Last, rows, control)?;
    let mut states = Array2::zeros((x.nrows(), d));
    let mut integrals = Vec::with_capacity(x.nrows());
    for (row, mut state) in run.states.outer_iter().zip(states.rows_mut()) {
        let row = row.row(0);
        state.assign(&row.slice(numeric::ndarray::s![..d]));
        let values: Vec<f64> = row.iter().skip(d).map(|value| value.as_f64()).collect();
        integrals.push(if estimator.exact() {
            Estimate { mean: values[0], std_error: 0.0, n: 1 }
        } else {
            mean_of(&values)
        });
    }
    Ok(DensityChange { states, integrals, statistics: run.statistics })
}

/// The mean of independent values, with its standard error.
fn mean_of(values: &[f64]) -> Estimate {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    let std_error = if values.len() > 1 { (squares / (n * (n - 1.0))).sqrt() } else { f64::INFINITY };
    Estimate { mean, std_error, n: values.len() as u64 }
}

/// A function that gives `ln q(x)` of each row of x, `(n, d)`, in nats.
pub type LnDensity<'a> = dyn Fn(&ArrayRef2<f64>) -> Result<Vec<f64>, Error> + Sync + 'a;

/// The law of the rows at the end of the way, where the noise is.
#[derive(Clone, Copy)]
pub enum Terminal<'a> {
    /// N(0, s² I) with s of [`LinearProcess::start_std`]: what a sampler starts from. The law q_T of the process
    /// differs from it: for OU by `ln q_T(x) − ln N(x) = e^{−T} x·E[x_0] + O(e^{−2T})` in each row (the divergence
    /// between the laws is O(e^{−2T})). T = 20 leaves 10⁻⁸; T = 4 leaves per cents.
    Prior,
    /// This function, which gives ln q_T of each row of x, `(n, d)`.
    Known(&'a LnDensity<'a>),
}

impl std::fmt::Debug for Terminal<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if matches!(self, Terminal::Prior) { "Prior" } else { "Known" })
    }
}

/// Likelihoods of rows under a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Likelihood<F> {
    /// `ln p(x)` of each row, in nats.
    pub ln_density: Vec<Estimate>,
    /// The rows encoded as noise, `(n, d)`.
    pub latents: Array2<F>,
    /// What the run cost.
    pub statistics: Statistics,
}

/// `ln p(x)` of each row under the probability flow of a model, in nats.
///
/// The rows x are states at the time `from` near the data; they are carried to the time `to` near the noise, whose law
/// is `terminal`. What comes out is the density at `from` (early stopping), of x itself, whatever the variable of the
/// flow. Its accuracy is that of the solver's tolerances, of the terminal law, and of the estimator, of which only the
/// last is in the standard error. The part of the Jacobian that is a multiple of the identity is exact with every
/// estimator.
///
/// ```
/// use numeric::{Control, Time, ndarray::array};
/// use sde_core::likelihood::{ExactTrace, Terminal, ln_likelihood};
/// use sde_core::ode::{ProbabilityFlow, Tsit5, Variable};
/// use sde_core::{Mixture, Ou};
/// # fn main() -> Result<(), numeric::Error> {
/// let data = Mixture::atoms(&array![[-1.0, 0.0], [1.0, 0.5]], None)?;
/// let model = data.denoiser::<f64, _>(Ou);
/// let flow = ProbabilityFlow::new(&model, Variable::Angle);
/// let (from, to) = (Time::of(0.1), Time::of(20.0));
/// let x = array![[0.7, 0.1], [-1.2, 0.3]];
/// let method = Tsit5::new(1e-9, 1e-9)?;
/// let found = ln_likelihood(&flow, &method, &ExactTrace, (from, to), Terminal::Prior, &x, 0..2, Control::default())?;
/// let exact = data.ln_density(&x, (-0.1_f64).exp(), (1.0 - (-0.2_f64).exp()).sqrt())?;
/// assert!((found.ln_density[0].mean - exact[0]).abs() < 1e-6 && (found.ln_density[1].mean - exact[1]).abs() < 1e-6);
/// # Ok(()) }
/// ```
///
/// # Errors
/// As [`ln_density_change`]; those of the terminal law; [`Error::Shape`] if it gives another number of values.
///
/// # References
/// Song et al. (2021), *Score-based generative modeling through stochastic differential equations*, section 4.3;
/// Grathwohl et al. (2019), *FFJORD*.
#[expect(clippy::too_many_arguments, reason = "each of them is another independent value")]
pub fn ln_likelihood<'m, F: Real, V, S, M, E>(
    flow: &ProbabilityFlow<'m, V, S>,
    method: &M,
    estimator: &E,
    (from, to): (Time, Time),
    terminal: Terminal<'_>,
    x: &ArrayRef2<F>,
    rows: Range<u64>,
    control: Control<'_>,
) -> Result<Likelihood<F>, Error>
where
    V: VectorField<F>,
    S: LinearProcess,
    E: TraceEstimator<F, ProbabilityFlow<'m, V, S>>,
    M: for<'a> OdeMethod<F, Augmented<'a, ProbabilityFlow<'m, V, S>, &'a E>>,
{
    let d = x.ncols() as f64;
    let grid = TimeGrid::from_times(vec![flow.at(from), flow.at(to)])?;
    let (before, after) = (flow.scale(from), flow.scale(to));
    let start = x.mapv(|x| x / F::of(before));
    let identity_part = |at: Time| flow.identity_part(at);
    let change = ln_density_change(*flow, method, estimator, &identity_part, &grid, &start, rows, control)?;
    let latents = change.states.mapv_into(|y| y * F::of(after));
    let at_end = match terminal {
        Terminal::Prior => {
            let s = flow.start_std(to);
            let constant = -0.5 * d * (2.0 * std::f64::consts::PI).ln() - d * s.ln();
            let square = |row: numeric::ndarray::ArrayView1<'_, F>| {
                row.iter().map(|x| (x.as_f64() / s).powi(2)).sum::<f64>()
            };
            latents.rows().into_iter().map(|row| constant - 0.5 * square(row)).collect()
        }
        Terminal::Known(ln_density) => ln_density(&latents.mapv(Real::as_f64))?,
    };
    Error::shape("terminal", &[x.nrows()], &[at_end.len()])?;
    // Densities of the states y = x/s are s^d times those of x.
    let scales = d * (after.ln() - before.ln());
    let ln_density = change
        .integrals
        .iter()
        .zip(at_end)
        .map(|(integral, end)| Estimate { mean: end + scales + integral.mean, ..*integral })
        .collect();
    Ok(Likelihood { ln_density, latents, statistics: change.statistics })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_standard_error_is_that_of_a_mean() {
        // Deviations −2, −1, 3: 14/(2·3).
        let found = super::mean_of(&[1.0, 2.0, 6.0]);
        assert!(
            found.mean == 3.0 && (found.std_error - (7.0_f64 / 3.0).sqrt()).abs() < 1e-15 && found.n == 3
        );
        assert_eq!(super::mean_of(&[4.0]).std_error, f64::INFINITY);
    }
}
