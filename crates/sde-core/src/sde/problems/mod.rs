//! Test problems of each class of noise, with exact derivatives and, where there is one, the closed solution.
//!
//! What the orders of the integrators are measured on, public so that a method of yours can be measured on them too.
//!
//! | problem | noise | reading | closed solution |
//! |---|---|---|---|
//! | [`DoubleWell`] | additive | both | |
//! | [`Decay`] | additive, depends on time | both | yes |
//! | [`Cooling`] | additive, depends on time | both | |
//! | [`Lorenz`] | additive or diagonal | Itô | |
//! | [`GeometricBrownian`](crate::GeometricBrownian) | diagonal | Itô | yes |
//! | [`Tanh`] | diagonal | Itô | yes |
//! | [`Spiral`] | scalar or commutative | Itô | yes |
//! | [`Waves`] | general | Itô | |
//! | [`Heisenberg`] | general | both | by the Lévy area |
//! | [`Linear`] | any | either | first and second moments |

mod additive;
mod commutative;
mod general;
mod linear;

pub use additive::{Cooling, Decay, DoubleWell, Lorenz, LorenzNoise};
pub use commutative::{Spiral, Tanh};
pub use general::{Heisenberg, Waves};
pub use linear::Linear;

use numeric::ndarray::ArrayRef2;
use numeric::{Batch, Real, Time, vectorize};

use super::coefficients::{slice, slice_mut};

/// The facts of an equation: d, m, reading, class.
macro_rules! facts {
    ($this:ident, $dim:expr, $noise_dim:expr, $reading:expr, $class:expr) => {
        fn dim(&$this) -> usize {
            $dim
        }
        fn noise_dim(&$this) -> usize {
            $noise_dim
        }
        fn reading(&$this) -> $crate::Reading {
            $reading
        }
        fn noise_class(&$this) -> $crate::NoiseClass {
            $class
        }
    };
}
pub(crate) use facts;

/// Each function of an equation that needs no workspace, from a block `(batch, …, out)`.
macro_rules! coefficients {
    (
        drift($this:ident, $batch:ident, $out:ident) $drift:block
        diffuse($w:ident) $diffuse:block
        derivative($v:ident) $derivative:block
    ) => {
        fn drift_into(
            &$this,
            $batch: &numeric::Batch<'_, F>,
            $out: &mut numeric::ndarray::ArrayRef2<F>,
            _: &mut numeric::Scratch,
        ) -> Result<(), numeric::Error> {
            $drift
            Ok(())
        }
        fn diffuse_into(
            &$this,
            $batch: &numeric::Batch<'_, F>,
            $w: &numeric::ndarray::ArrayRef2<F>,
            $out: &mut numeric::ndarray::ArrayRef2<F>,
            _: &mut numeric::Scratch,
        ) -> Result<(), numeric::Error> {
            $diffuse
            Ok(())
        }
        #[allow(unused_variables, reason = "additive noise has the derivative 0")]
        fn diffuse_derivative_into(
            &$this,
            $batch: &numeric::Batch<'_, F>,
            $w: &numeric::ndarray::ArrayRef2<F>,
            $v: &numeric::ndarray::ArrayRef2<F>,
            $out: &mut numeric::ndarray::ArrayRef2<F>,
            _: &mut numeric::Scratch,
        ) -> Result<(), numeric::Error> {
            $derivative
            Ok(())
        }
    };
}
pub(crate) use coefficients;

/// `out = f(x)` for each coordinate.
pub(crate) fn map<F: Real>(x: &[F], out: &mut ArrayRef2<F>, f: impl Fn(F) -> F) {
    let out = slice_mut(out);
    vectorize(
        #[inline(always)]
        || {
            for (out, &x) in out.iter_mut().zip(x) {
                *out = f(x);
            }
        },
    );
}

/// `out = f(x, w)` for each coordinate.
pub(crate) fn map2<F: Real>(x: &[F], w: &ArrayRef2<F>, out: &mut ArrayRef2<F>, f: impl Fn(F, F) -> F) {
    let (w, out) = (slice(w), slice_mut(out));
    vectorize(
        #[inline(always)]
        || {
            for ((out, &x), &w) in out.iter_mut().zip(x).zip(w) {
                *out = f(x, w);
            }
        },
    );
}

/// `out = f(x, w, v)` for each coordinate.
pub(crate) fn map3<F: Real>(
    x: &[F],
    w: &ArrayRef2<F>,
    v: &ArrayRef2<F>,
    out: &mut ArrayRef2<F>,
    f: impl Fn(F, F, F) -> F,
) {
    let (w, v, out) = (slice(w), slice(v), slice_mut(out));
    vectorize(
        #[inline(always)]
        || {
            for (((out, &x), &w), &v) in out.iter_mut().zip(x).zip(w).zip(v) {
                *out = f(x, w, v);
            }
        },
    );
}

/// `f(time, x, out)` for each row.
pub(crate) fn rows<F: Real>(
    batch: &Batch<'_, F>,
    out: &mut ArrayRef2<F>,
    mut f: impl FnMut(Time, &[F], &mut [F]),
) {
    let d = batch.dim();
    let pairs = batch.x_slice().chunks_exact(d).zip(slice_mut(out).chunks_exact_mut(d));
    for (i, (x, out)) in pairs.enumerate() {
        f(batch.times().get(i), x, out);
    }
}

/// `f(x, w, out)` for each row.
pub(crate) fn rows2<F: Real>(
    x: &ArrayRef2<F>,
    w: &ArrayRef2<F>,
    out: &mut ArrayRef2<F>,
    mut f: impl FnMut(&[F], &[F], &mut [F]),
) {
    let (d, m, e) = (x.ncols(), w.ncols(), out.ncols());
    let pairs = slice(x).chunks_exact(d).zip(slice(w).chunks_exact(m));
    for ((x, w), out) in pairs.zip(slice_mut(out).chunks_exact_mut(e)) {
        f(x, w, out);
    }
}
