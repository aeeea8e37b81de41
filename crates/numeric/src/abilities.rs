//! What some fields can do beyond being evaluated.

use ndarray::{Array2, ArrayRef2};

use crate::{Batch, Batching, Error, Real, Scratch, VectorField};

/// Products with the Jacobian `J_ij = ∂V_i/∂x_j` of each row.
pub trait JacobianProducts<F: Real>: VectorField<F> {
    /// Writes `J(x_r) v_r` for each row r over `out`, `(n, d)`.
    ///
    /// # Errors
    /// The field's own.
    fn jvp_into(
        &self,
        batch: &Batch<'_, F>,
        v: &ArrayRef2<F>,
        out: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error>;
}

/// The divergence `∇·V = tr J` of each row.
pub trait Divergence<F: Real>: VectorField<F> {
    /// Writes the divergence at each row over `out`, of length n.
    ///
    /// # Errors
    /// The field's own.
    fn divergence_into(
        &self,
        batch: &Batch<'_, F>,
        out: &mut [f64],
        scratch: &mut Scratch,
    ) -> Result<(), Error>;
}

macro_rules! forward_abilities {
    ($($ty:ty),*) => {$(
        impl<F: Real, V: JacobianProducts<F> + ?Sized> JacobianProducts<F> for $ty {
            fn jvp_into(
                &self,
                batch: &Batch<'_, F>,
                v: &ArrayRef2<F>,
                out: &mut ArrayRef2<F>,
                scratch: &mut Scratch,
            ) -> Result<(), Error> {
                (**self).jvp_into(batch, v, out, scratch)
            }
        }

        impl<F: Real, V: Divergence<F> + ?Sized> Divergence<F> for $ty {
            fn divergence_into(
                &self,
                batch: &Batch<'_, F>,
                out: &mut [f64],
                scratch: &mut Scratch,
            ) -> Result<(), Error> {
                (**self).divergence_into(batch, out, scratch)
            }
        }
    )*};
}
forward_abilities!(&V, Box<V>, std::sync::Arc<V>);

/// An unnormalised log-density `log π(x)` on R^d with its gradient.
pub trait LogDensity: Send + Sync {
    /// Number of coordinates d.
    fn dim(&self) -> usize;

    /// Writes `log π` of each row of `x`, `(n, d)`, over `out`, of length n. Nats.
    ///
    /// # Errors
    /// The model's own.
    fn ln_density_into(&self, x: &ArrayRef2<f64>, out: &mut [f64]) -> Result<(), Error>;

    /// Writes the gradient at each row over `out`, `(n, d)`.
    ///
    /// # Errors
    /// The model's own.
    fn gradient_into(&self, x: &ArrayRef2<f64>, out: &mut ArrayRef2<f64>) -> Result<(), Error>;

    /// How it wants to be called by those who run many rows; see [`Batching`].
    fn batching(&self) -> Batching {
        Batching::default()
    }
}

macro_rules! forward_ln_density {
    ($($ty:ty),*) => {$(
        impl<D: LogDensity + ?Sized> LogDensity for $ty {
            fn dim(&self) -> usize {
                (**self).dim()
            }
            fn ln_density_into(&self, x: &ArrayRef2<f64>, out: &mut [f64]) -> Result<(), Error> {
                (**self).ln_density_into(x, out)
            }
            fn gradient_into(&self, x: &ArrayRef2<f64>, out: &mut ArrayRef2<f64>) -> Result<(), Error> {
                (**self).gradient_into(x, out)
            }
            fn batching(&self) -> Batching {
                (**self).batching()
            }
        }
    )*};
}
forward_ln_density!(&D, Box<D>, std::sync::Arc<D>);

/// Jacobian products and divergence of any field by central finite differences.
///
/// ```math
/// J v \approx \frac{V(x + h v) - V(x - h v)}{2h}, \qquad
/// \nabla\!\cdot V \approx \sum_i \frac{V_i(x + h e_i) - V_i(x - h e_i)}{2h},
/// ```
/// with a step `h` relative to the size of the row: the truncation error is O(h²) and the rounding error
/// O(ε/h), so that `h = ε^{1/3}` (6·10⁻⁶ in `f64`) balances them and leaves an error near ε^{2/3}.
///
/// ```
/// use ndarray::array;
/// use numeric::{Batch, Divergence, FiniteDifference, JacobianProducts, Scratch, Time, Times, from_row_fn};
/// let field = FiniteDifference::new(from_row_fn(2, |_, x, out: &mut [f64]| {
///     out[0] = x[0] * x[0] * x[1];
///     out[1] = x[1].sin();
///     Ok(())
/// }));
/// let (x, v) = (array![[2.0, 3.0]], array![[1.0, 0.0]]);
/// let batch = Batch::new(&[0], Times::Same(Time::of(0.0)), &x);
/// let (mut jv, mut div) = (array![[0.0, 0.0]], [0.0]);
/// field.jvp_into(&batch, &v, &mut jv, &mut Scratch::new())?;
/// field.divergence_into(&batch, &mut div, &mut Scratch::new())?;
/// assert!((jv[(0, 0)] - 12.0_f64).abs() < 1e-8 && jv[(0, 1)].abs() < 1e-8);
/// assert!((div[0] - (12.0 + 3.0_f64.cos())).abs() < 1e-8);
/// # Ok::<(), numeric::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct FiniteDifference<V> {
    field: V,
}

impl<V> FiniteDifference<V> {
    /// The adapter around `field`.
    pub fn new(field: V) -> FiniteDifference<V> {
        FiniteDifference { field }
    }

    /// Central difference along `v`, with h relative to the sizes of the row and of `v`.
    fn difference<F: Real>(
        &self,
        batch: &Batch<'_, F>,
        v: &ArrayRef2<F>,
        out: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error>
    where
        V: VectorField<F>,
    {
        let norm = |row: ndarray::ArrayView1<'_, F>| row.iter().map(|&x| x * x).sum::<F>().sqrt();
        let steps: Vec<F> = batch
            .x()
            .rows()
            .into_iter()
            .zip(v.rows())
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
        let (ahead, behind) = (moved(F::one()), moved(-F::one()));
        let mut below = Array2::zeros(out.raw_dim());
        self.field.eval_into(&batch.at(&ahead), out, scratch)?;
        self.field.eval_into(&batch.at(&behind), &mut below, scratch)?;
        for ((mut out, below), &h) in out.rows_mut().into_iter().zip(below.rows()).zip(&steps) {
            out.zip_mut_with(&below, |o, &b| *o = (*o - b) / (h + h));
        }
        Ok(())
    }
}

impl<F: Real, V: VectorField<F>> VectorField<F> for FiniteDifference<V> {
    fn dim(&self) -> usize {
        self.field.dim()
    }
    fn eval_into(&self, batch: &Batch<'_, F>, out: &mut ArrayRef2<F>, s: &mut Scratch) -> Result<(), Error> {
        self.field.eval_into(batch, out, s)
    }
    fn batching(&self) -> Batching {
        self.field.batching()
    }
}

impl<F: Real, V: VectorField<F>> JacobianProducts<F> for FiniteDifference<V> {
    fn jvp_into(
        &self,
        batch: &Batch<'_, F>,
        v: &ArrayRef2<F>,
        out: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        self.difference(batch, v, out, scratch)
    }
}

impl<F: Real, V: VectorField<F>> Divergence<F> for FiniteDifference<V> {
    fn divergence_into(
        &self,
        batch: &Batch<'_, F>,
        out: &mut [f64],
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        out.fill(0.0);
        let mut column = Array2::zeros(batch.x().raw_dim());
        for i in 0..batch.dim() {
            let mut unit = Array2::zeros(batch.x().raw_dim());
            unit.column_mut(i).fill(F::one());
            self.difference(batch, &unit, &mut column, scratch)?;
            for (out, value) in out.iter_mut().zip(column.column(i)) {
                *out += value.as_f64();
            }
        }
        Ok(())
    }
}
