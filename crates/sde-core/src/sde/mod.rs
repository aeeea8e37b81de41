//! Stochastic differential equations on R^d.

pub(crate) mod coefficients;
mod derivative;
mod exact;
mod langevin;
pub mod problems;
mod reading;
mod reverse;

use numeric::ndarray::{Array1, Array2, ArrayRef2, s};
use numeric::{Batch, Batching, Error, Real, Scratch};

use crate::apart::place;

pub use coefficients::{Additive, Diagonal, General};
pub use derivative::{WithNoiseDerivative, with_noise_derivative};
pub use exact::{
    CoxIngersollRoss, CriticallyDamped, ExactTransition, GeometricBrownian, OrnsteinUhlenbeck, PairKernel,
};
pub use langevin::{OverdampedLangevin, UnderdampedLangevin};
pub use reading::{InReading, add_noise_drift, as_ito, as_stratonovich};
pub use reverse::ReverseTime;

/// How the stochastic integral of an equation is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Reading {
    /// The integrand is taken at the start of each interval: solutions are martingales where the drift is 0.
    Ito,
    /// The integrand is taken in the middle: the ordinary chain rule holds.
    Stratonovich,
}

/// What is known of the diffusion coefficient g, a d×m matrix with columns `g_j(t, x)`, from the most special class
/// to the most general.
///
/// Additive, scalar and diagonal noise are commutative, and everything is general; a method that solves a class
/// solves the classes within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum NoiseClass {
    /// g does not depend on x.
    Additive,
    /// m = 1.
    Scalar,
    /// m = d, and `g_j = σ_j(t, x_j) e_j`: coordinate j has its own Brownian motion and its own coefficient.
    Diagonal,
    /// The columns commute: `(D g_j) g_k = (D g_k) g_j` for all j and k.
    Commutative,
    /// Nothing is known.
    General,
}

impl NoiseClass {
    /// Whether every g of the class `self` is also of the class `other`.
    ///
    /// ```
    /// use sde_core::NoiseClass::{Additive, Commutative, Diagonal, General, Scalar};
    /// assert!(Additive.is_within(Commutative) && Diagonal.is_within(Commutative) && Scalar.is_within(General));
    /// assert!(!Additive.is_within(Diagonal) && !Scalar.is_within(Diagonal) && !General.is_within(Commutative));
    /// ```
    #[must_use]
    pub fn is_within(self, other: NoiseClass) -> bool {
        self == other || (other >= NoiseClass::Commutative && self <= other)
    }
}

/// The equation `dX = f(t, X) dt + g(t, X) dW` (Itô) or `… ∘ dW` (Stratonovich), with W in R^m.
///
/// The matrix g is never formed: an equation knows its products `g·w` and their directional derivatives.
/// Drift and noise are per unit of time that elapses along a run, whichever way it goes.
pub trait Sde<F: Real>: Send + Sync {
    /// Number of coordinates d of a state.
    fn dim(&self) -> usize;

    /// Number m of Brownian motions.
    fn noise_dim(&self) -> usize;

    /// How its stochastic integral is meant.
    fn reading(&self) -> Reading;

    /// What is known of g. Claiming more than is true gives wrong solutions.
    fn noise_class(&self) -> NoiseClass;

    /// Whether the equation is meant for runs that go back in time, as the reversal of a noising process is. Solvers
    /// refuse grids of the other direction.
    fn backward(&self) -> bool {
        false
    }

    /// Writes the drift `f(t, x)` of each row over `out`, `(n, d)`.
    ///
    /// # Errors
    /// The equation's own.
    fn drift_into(
        &self,
        batch: &Batch<'_, F>,
        out: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error>;

    /// Writes `g(t, x) w` of each row over `out`, `(n, d)`, with `w` of shape `(n, m)`.
    ///
    /// # Errors
    /// The equation's own.
    fn diffuse_into(
        &self,
        batch: &Batch<'_, F>,
        w: &ArrayRef2<F>,
        out: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error>;

    /// Writes the directional derivative `Σ_j w_j (D g_j(t, x)) v` of each row over `out`, `(n, d)`: the change of
    /// `g·w` along `v`, `(n, d)`.
    ///
    /// Provided for every equation by central differences with the step of
    /// [`FiniteDifference`](numeric::FiniteDifference) (relative error about 10⁻¹⁰ in `f64`); give the exact one
    /// where it is known.
    ///
    /// # Errors
    /// The equation's own.
    fn diffuse_derivative_into(
        &self,
        batch: &Batch<'_, F>,
        w: &ArrayRef2<F>,
        v: &ArrayRef2<F>,
        out: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        central_difference(self, batch, w, v, out, scratch)
    }

    /// How the drift wants to be called; see [`Batching`].
    fn batching(&self) -> Batching {
        Batching::default()
    }
}

macro_rules! forward_sde {
    ($($ty:ty),*) => {$(
        impl<F: Real, E: Sde<F> + ?Sized> Sde<F> for $ty {
            fn dim(&self) -> usize {
                (**self).dim()
            }
            fn noise_dim(&self) -> usize {
                (**self).noise_dim()
            }
            fn reading(&self) -> Reading {
                (**self).reading()
            }
            fn noise_class(&self) -> NoiseClass {
                (**self).noise_class()
            }
            fn drift_into(
                &self,
                batch: &Batch<'_, F>,
                out: &mut ArrayRef2<F>,
                scratch: &mut Scratch,
            ) -> Result<(), Error> {
                (**self).drift_into(batch, out, scratch)
            }
            fn diffuse_into(
                &self,
                batch: &Batch<'_, F>,
                w: &ArrayRef2<F>,
                out: &mut ArrayRef2<F>,
                scratch: &mut Scratch,
            ) -> Result<(), Error> {
                (**self).diffuse_into(batch, w, out, scratch)
            }
            fn diffuse_derivative_into(
                &self,
                batch: &Batch<'_, F>,
                w: &ArrayRef2<F>,
                v: &ArrayRef2<F>,
                out: &mut ArrayRef2<F>,
                scratch: &mut Scratch,
            ) -> Result<(), Error> {
                (**self).diffuse_derivative_into(batch, w, v, out, scratch)
            }
            fn backward(&self) -> bool {
                (**self).backward()
            }
            fn batching(&self) -> Batching {
                (**self).batching()
            }
        }
    )*};
}
forward_sde!(&E, Box<E>, std::sync::Arc<E>);

/// Arrays of this shape with any contents, from the worker's buffers; to be given back with [`put_rows`].
pub(crate) fn take_rows<F: Real, const N: usize>(
    scratch: &mut Scratch,
    shape: (usize, usize),
) -> [Array2<F>; N]
where
    [Vec<F>; N]: Default,
{
    let len = shape.0 * shape.1;
    // Those of another number, which may be in use too, have other places.
    let mut slot = N * (N - 1) / 2;
    scratch.take::<[Vec<F>; N]>().map(|mut buffer| {
        let from = place(&mut buffer, len, slot);
        slot += 1;
        let array = Array1::from_vec(buffer).slice_move(s![from..from + len]);
        array.into_shape_with_order(shape).expect("as long as that")
    })
}

/// Gives the arrays of [`take_rows`] back.
pub(crate) fn put_rows<F: Real, const N: usize>(scratch: &mut Scratch, arrays: [Array2<F>; N]) {
    scratch.put(arrays.map(|array| array.into_raw_vec_and_offset().0));
}

/// Ones of this shape, to be given back as they are with [`put_ones`]: where the shape stays the same, they are written
/// once by each worker.
pub(crate) fn take_ones<F: Real>(scratch: &mut Scratch, shape: (usize, usize)) -> Array2<F> {
    let Ones(mut ones) = scratch.take();
    ones.resize(shape.0 * shape.1, F::one());
    Array2::from_shape_vec(shape, ones).expect("sized above")
}

/// Gives the array of [`take_ones`] back.
pub(crate) fn put_ones<F: Real>(scratch: &mut Scratch, ones: Array2<F>) {
    scratch.put(Ones(ones.into_raw_vec_and_offset().0));
}

/// Numbers that are all one.
#[derive(Debug, Default)]
struct Ones<F>(Vec<F>);

/// `(g(x + h v) w − g(x − h v) w)/2h` of each row.
fn central_difference<F: Real, E: Sde<F> + ?Sized>(
    sde: &E,
    batch: &Batch<'_, F>,
    w: &ArrayRef2<F>,
    v: &ArrayRef2<F>,
    out: &mut ArrayRef2<F>,
    scratch: &mut Scratch,
) -> Result<(), Error> {
    let norm = |row: numeric::ndarray::ArrayView1<'_, F>| row.iter().map(|&x| x * x).sum::<F>().sqrt();
    let rows = batch.x().rows().into_iter().zip(v.rows());
    let steps: Vec<F> = rows
        .map(|(x, v)| {
            let size = norm(v);
            // Along a zero vector every step gives the right answer, 0.
            if size > F::zero() { F::epsilon().cbrt() * (F::one() + norm(x)) / size } else { F::one() }
        })
        .collect();
    let moved = |sign: F| {
        let mut x: Array2<F> = batch.x().to_owned();
        for ((mut x, v), &h) in x.rows_mut().into_iter().zip(v.rows()).zip(&steps) {
            x.zip_mut_with(&v, |x, &v| *x += sign * h * v);
        }
        x
    };
    let mut below = Array2::zeros(out.raw_dim());
    sde.diffuse_into(&batch.at(&moved(F::one())), w, out, scratch)?;
    sde.diffuse_into(&batch.at(&moved(-F::one())), w, &mut below, scratch)?;
    for ((mut out, below), &h) in out.rows_mut().into_iter().zip(below.rows()).zip(&steps) {
        out.zip_mut_with(&below, |o, &b| *o = (*o - b) / (h + h));
    }
    Ok(())
}
