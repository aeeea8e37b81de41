//! One step of a reverse-time run: the methods, and what they have in common.

mod adams;
mod adaptive;
mod deis;
mod edm;
mod frozen;
mod gap;
mod history;
mod langevin;
mod local;
mod multistep;
mod ode;
mod principal;
mod reverse_sde;
mod single_step;
mod unipc;

use numeric::ndarray::{Array2, ArrayRef2};
use numeric::{
    Batch, Error, Model, Noise, Prediction, Real, Schedule, Scratch, Time, Times, VectorField, vectorize,
};

pub use adaptive::AdaptiveDpmSolver;
pub use deis::{Deis, Extrapolation};
pub use edm::EdmHeun;
pub use frozen::{EulerMaruyama, ExponentialIntegrator, FrozenDenoiser, FrozenScore};
pub use history::History;
pub use langevin::{AnnealedLangevin, PredictorCorrector};
pub use local::LocallyMomentMatched;
pub use multistep::{DpmSolverPlusPlus2M, ExponentialAdams};
pub use ode::ProbabilityFlowHeun;
pub use principal::MomentMatched;
pub use reverse_sde::{Ddim, ReverseSde};
pub use single_step::{DpmSolver, DpmSolverPlusPlus2S, SdeDpmSolverPlusPlus2S};
pub use unipc::{UniPc, UniPcVariant};

/// One step of a run: which rows, from where to where, with which noise.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// Absolute numbers of the rows.
    pub rows: &'a [u64],
    /// Number of the step in its grid: the cell that its Brownian increment belongs to.
    pub index: u64,
    /// Where it starts (more noise).
    pub from: Time,
    /// Where it ends (less noise).
    pub to: Time,
    /// Noise of the path.
    pub noise: Noise,
}

/// A method that carries rows from one time of a model's process to an earlier one.
///
/// `M` is the kind of [`Model`] it can use. Methods are small values; processes, models, grids and noise are
/// others, and a [`Sampler`](crate::Sampler) is one of each.
pub trait Method<F: Real, M>: Send + Sync {
    /// Short name, for tables.
    fn name(&self) -> &'static str;

    /// Model evaluations per step.
    fn calls(&self) -> usize {
        1
    }

    /// Model evaluations in this step, for methods with steps that cost less than the others.
    fn calls_in(&self, model: &M, step: Step<'_>) -> usize {
        let _ = (model, step);
        self.calls()
    }

    /// Whether a step may leave a term to the next one, which this crate's own methods know how to take up. One that calls
    /// another's steps must not pass this on: it then gets whole states.
    #[doc(hidden)]
    fn defers(&self) -> bool {
        false
    }

    /// Replaces the rows `x`, `(n, d)`, at `step.from` by rows at `step.to`.
    ///
    /// `history` is that of this run of these rows, empty at its first step: a multistep method reads from it
    /// and adds to it, the others leave it alone. After an error neither it nor `x` is of any use.
    ///
    /// # Errors
    /// The model's own, and whatever a step makes of the numbers it gets.
    fn step(
        &self,
        model: &M,
        step: Step<'_>,
        x: &mut ArrayRef2<F>,
        history: &mut History<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error>;
}

macro_rules! forward_method {
    ($($ty:ty),*) => {$(
        impl<F: Real, M, K: Method<F, M> + ?Sized> Method<F, M> for $ty {
            fn name(&self) -> &'static str {
                (**self).name()
            }
            fn calls(&self) -> usize {
                (**self).calls()
            }
            fn calls_in(&self, model: &M, step: Step<'_>) -> usize {
                (**self).calls_in(model, step)
            }
            fn defers(&self) -> bool {
                (**self).defers()
            }
            fn step(
                &self,
                model: &M,
                step: Step<'_>,
                x: &mut ArrayRef2<F>,
                history: &mut History<F>,
                scratch: &mut Scratch,
            ) -> Result<(), Error> {
                (**self).step(model, step, x, history, scratch)
            }
        }
    )*};
}
forward_method!(&K, Box<K>);

/// The covariance of a Gaussian step, by a factor of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Spread<F> {
    /// `s² I`, by s.
    Isotropic(f64),
    /// `P diag(s²) Pᵀ` with the method's orthonormal directions P, by s in each direction.
    Principal(Vec<f64>),
    /// `L Lᵀ` for each row, by its lower triangle L in row-major order, `(n, d, d)` in one vector; what stands
    /// above the diagonal is not used.
    PerRow(Vec<F>),
}

/// A method whose step is a Gaussian: `x' | x ~ N(mean(x), covariance(x))`.
///
/// What a method draws from and what a certificate bounds is the same code: [`Method::step`] of such a method is
/// [`gaussian_step`], which draws from [`transition`](Self::transition). The exception is [`LocallyMomentMatched`], whose
/// step leaves the draw to the model: from the same law, by another factor of the same covariance.
pub trait GaussianStep<F: Real, M>: Method<F, M> {
    /// Writes the mean of the step from each row of `x` over `mean`, both `(n, d)`, and returns the spread.
    ///
    /// # Errors
    /// The model's own; [`Error::NotPositiveDefinite`] for a covariance that is not, with the row of the batch.
    fn transition(
        &self,
        model: &M,
        step: Step<'_>,
        x: &ArrayRef2<F>,
        mean: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<Spread<F>, Error>;

    /// The directions P of [`Spread::Principal`], as `Pᵀ`; `None` for the other spreads.
    fn directions(&self) -> Option<&numeric::Packed<F>> {
        None
    }
}

/// The [`Method::step`] of a [`GaussianStep`]: `x' = mean + factor · z` with the step's normals z. For
/// [`LocallyMomentMatched`] it is a draw from the law of its step, by the Cholesky factor.
///
/// # Errors
/// Those of the transition.
pub fn gaussian_step<F: Real, M, G: GaussianStep<F, M> + ?Sized>(
    method: &G,
    model: &M,
    step: Step<'_>,
    x: &mut ArrayRef2<F>,
    scratch: &mut Scratch,
) -> Result<(), Error> {
    let [mut mean, mut z] = take_like(x, scratch);
    match method.transition(model, step, x, &mut mean, scratch)? {
        Spread::Isotropic(std) => {
            x.assign(&mean);
            if std != 0.0 {
                step.noise.add_normals(step.rows, step.index, F::of(std), x);
            }
        }
        spread => {
            step.noise.normals_into(step.rows, step.index, &mut z);
            add_noise(&mean, &spread, method.directions(), &mut z, x);
            match spread {
                Spread::Isotropic(_) => {}
                Spread::Principal(scales) => scratch.put(Recycled(scales)),
                Spread::PerRow(factors) => scratch.put(Recycled(factors)),
            }
        }
    }
    scratch.put([mean, z]);
    Ok(())
}

/// The numbers of a spread that has been drawn from, for those of the next step.
#[derive(Debug, Default)]
struct Recycled<T>(Vec<T>);

/// Arrays of the shape of `x`, with any contents; to be put back as they are.
fn take_like<F: Real, const N: usize>(x: &ArrayRef2<F>, scratch: &mut Scratch) -> [Array2<F>; N]
where
    [Array2<F>; N]: Default,
{
    let buffers: [Array2<F>; N] = scratch.take();
    if buffers[0].dim() == x.dim() { buffers } else { [(); N].map(|()| Array2::zeros(x.raw_dim())) }
}

/// `out = mean + factor · z` for each row, all `(n, d)`. Overwrites z.
///
/// ```
/// use numeric::ndarray::array;
/// let (mean, mut z, mut x) = (array![[1.0, 2.0]], array![[0.5, -0.5]], array![[0.0, 0.0]]);
/// sde_core::add_noise(&mean, &sde_core::Spread::Isotropic(2.0), None, &mut z, &mut x);
/// assert_eq!(x, array![[2.0, 1.0]]);
/// ```
///
/// # Panics
/// If an array is not in standard layout, or a [`Spread::Principal`] comes without directions.
pub fn add_noise<F: Real>(
    mean: &ArrayRef2<F>,
    spread: &Spread<F>,
    directions: Option<&numeric::Packed<F>>,
    z: &mut ArrayRef2<F>,
    out: &mut ArrayRef2<F>,
) {
    let d = mean.ncols();
    let slices = "steps work on standard layout";
    let (mean, z) = (mean.as_slice().expect(slices), z.as_slice_mut().expect(slices));
    let out = out.as_slice_mut().expect(slices);
    match spread {
        Spread::Isotropic(s) => {
            let s = F::of(*s);
            vectorize(
                #[inline(always)]
                || {
                    for ((out, &mean), &z) in out.iter_mut().zip(mean).zip(z.iter()) {
                        *out = mean + s * z;
                    }
                },
            );
        }
        Spread::Principal(scales) => {
            vectorize(
                #[inline(always)]
                || {
                    for z in z.chunks_exact_mut(d) {
                        for (z, &s) in z.iter_mut().zip(scales) {
                            *z *= F::of(s);
                        }
                    }
                },
            );
            out.copy_from_slice(mean);
            directions.expect("a principal spread has directions").add_left_multiply(z, out);
        }
        Spread::PerRow(factors) => {
            let rows = out.chunks_exact_mut(d).zip(mean.chunks_exact(d)).zip(z.chunks_exact(d));
            for (((out, mean), z), factor) in rows.zip(factors.chunks_exact(d * d)) {
                for (j, (out, &mean)) in out.iter_mut().zip(mean).enumerate() {
                    let row = &factor[j * d..=j * d + j];
                    *out = mean + row.iter().zip(z).map(|(&l, &z)| l * z).sum::<F>();
                }
            }
        }
    }
}

/// `log N(x; mean, factor · factorᵀ)` of each row, in nats: the log-density of what [`add_noise`] draws.
///
/// ```
/// use numeric::ndarray::array;
/// use sde_core::{Spread, ln_step_density};
/// // One row in d = 2 with L = [[2, 0], [1, 1]]: the residual (2, 2) is L·(1, 1).
/// let spread = Spread::PerRow(vec![2.0, f64::NAN, 1.0, 1.0]);     // above the diagonal nothing is read
/// let ln = ln_step_density(&array![[0.0, 0.0]], &spread, None, &array![[2.0, 2.0]]);
/// let exact = -0.5 * 2.0 - 2.0_f64.ln() - (2.0 * std::f64::consts::PI).ln();
/// assert!((ln[0] - exact).abs() < 1e-15);
/// ```
///
/// # Panics
/// If a [`Spread::Principal`] comes without directions.
#[must_use]
pub fn ln_step_density<F: Real>(
    mean: &ArrayRef2<F>,
    spread: &Spread<F>,
    directions: Option<&numeric::Packed<F>>,
    x: &ArrayRef2<F>,
) -> Vec<f64> {
    let d = mean.ncols();
    let constant = 0.5 * d as f64 * (2.0 * std::f64::consts::PI).ln();
    let mut residual = vec![F::zero(); d];
    let mut white = vec![F::zero(); d];
    let rows = x.rows().into_iter().zip(mean.rows()).enumerate().map(|(i, (x, mean))| {
        for (r, (&x, &m)) in residual.iter_mut().zip(x.iter().zip(&mean)) {
            *r = x - m;
        }
        let ln_root: f64 = match spread {
            Spread::Isotropic(s) => {
                let inverse = F::of(1.0 / s);
                white.iter_mut().zip(&residual).for_each(|(w, &r)| *w = inverse * r);
                d as f64 * s.ln()
            }
            Spread::Principal(scales) => {
                let directions = directions.expect("a principal spread has directions");
                for (j, (w, &s)) in white.iter_mut().zip(scales).enumerate() {
                    let along = directions.row(j).iter().zip(&residual).map(|(&p, &r)| p * r).sum::<F>();
                    *w = along / F::of(s);
                }
                scales.iter().map(|s| s.ln()).sum()
            }
            Spread::PerRow(factors) => {
                let factor = &factors[i * d * d..][..d * d];
                for j in 0..d {
                    let (row, pivot) = (&factor[j * d..j * d + j], factor[j * d + j]);
                    let known = row.iter().zip(&white).map(|(&l, &w)| l * w).sum::<F>();
                    white[j] = (residual[j] - known) / pivot;
                }
                (0..d).map(|j| factor[j * d + j].as_f64().ln()).sum()
            }
        };
        let square = white.iter().map(|w| w.as_f64() * w.as_f64()).sum::<f64>();
        -0.5 * square - ln_root - constant
    });
    rows.collect()
}

/// `a x + b p` for the prediction `what` as (a, b) of the model's own.
fn affine_of_raw<F: Real, V, S: Schedule>(
    model: &Model<V, S>,
    what: Prediction,
    (a, b): (f64, f64),
    time: Time,
) -> Result<(F, F), Error> {
    let (of_x, of_raw) = model.prediction.conversion(what, model.schedule.level(time))?;
    Ok((F::of(a + b * of_x), F::of(b * of_raw)))
}

/// Writes `a x + b p` over `out`, with p the prediction `what` of the model, in one pass over its own.
fn affine_into<F: Real, V: VectorField<F>, S: Schedule>(
    model: &Model<V, S>,
    what: Prediction,
    (a, b): (f64, f64),
    batch: &Batch<'_, F>,
    out: &mut ArrayRef2<F>,
    scratch: &mut Scratch,
) -> Result<(), Error> {
    let Times::Same(time) = batch.times() else { unreachable!("steps share a time") };
    let (a, b): (F, F) = affine_of_raw(model, what, (a, b), time)?;
    model.raw_into(batch, out, scratch)?;
    let out = out.as_slice_mut().expect("steps work on standard layout");
    vectorize(
        #[inline(always)]
        || {
            for (out, &x) in out.iter_mut().zip(batch.x_slice()) {
                *out = a * x + b * *out;
            }
        },
    );
    Ok(())
}
