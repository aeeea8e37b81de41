//! Linear equations with any matrices, whose moments are those of an ordinary differential equation.

use numeric::ndarray::{Array2, ArrayRef2};
use numeric::{Error, Real};

use super::{coefficients, facts, rows, rows2};
use crate::{NoiseClass, Reading, Sde};

/// `dX = A X dt + Σ_j B_j X dW_j` with d×d matrices, in either reading.
///
/// The first two moments of the Itô equation solve
///
/// ```math
/// \dot{\mu} = A \mu, \qquad \dot{P} = A P + P A^\top + \sum_j B_j P B_j^\top, \qquad P = E[X X^\top].
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Linear {
    drift: Array2<f64>,
    noise: Vec<Array2<f64>>,
    reading: Reading,
    class: NoiseClass,
}

impl Linear {
    /// The equation; what its noise is, is found from the matrices.
    ///
    /// # Errors
    /// [`Error::Shape`] for matrices that are not all d×d, or no noise at all; [`Error::Entry`] for an entry that is
    /// not finite.
    pub fn new(reading: Reading, drift: Array2<f64>, noise: Vec<Array2<f64>>) -> Result<Linear, Error> {
        let d = drift.nrows();
        Error::shape("noise", &[noise.len().max(1)], &[noise.len()])?;
        for matrix in std::iter::once(&drift).chain(&noise) {
            Error::shape("matrix", &[d.max(1), d.max(1)], matrix.shape())?;
            Error::entries("matrix", matrix.iter().copied(), "a finite number", f64::is_finite)?;
        }
        let class = class(&noise);
        Ok(Linear { drift, noise, reading, class })
    }
}

/// The most special class of the columns `B_j x`.
fn class(noise: &[Array2<f64>]) -> NoiseClass {
    let only = |b: &Array2<f64>, j: usize| b.indexed_iter().all(|(at, &entry)| at == (j, j) || entry == 0.0);
    if noise.len() == noise[0].nrows() && noise.iter().enumerate().all(|(j, b)| only(b, j)) {
        return NoiseClass::Diagonal;
    }
    if noise.len() == 1 {
        return NoiseClass::Scalar;
    }
    let commute = |b: &Array2<f64>| noise.iter().all(|c| b.dot(c) == c.dot(b));
    if noise.iter().all(commute) { NoiseClass::Commutative } else { NoiseClass::General }
}

/// `out += scale · matrix x`.
fn add_product<F: Real>(scale: F, matrix: &ArrayRef2<f64>, x: &[F], out: &mut [F]) {
    for (out, row) in out.iter_mut().zip(matrix.rows()) {
        *out += scale * row.iter().zip(x).map(|(&a, &x)| F::of(a) * x).sum::<F>();
    }
}

impl Linear {
    fn columns_into<F: Real>(&self, x: &ArrayRef2<F>, w: &ArrayRef2<F>, out: &mut ArrayRef2<F>) {
        rows2(x, w, out, |x, w, out| {
            out.fill(F::zero());
            for (matrix, &w) in self.noise.iter().zip(w) {
                add_product(w, matrix, x, out);
            }
        });
    }
}

impl<F: Real> Sde<F> for Linear {
    facts!(self, self.drift.nrows(), self.noise.len(), self.reading, self.class);
    coefficients! {
        drift(self, batch, out) {
            rows(batch, out, |_, x, out| {
                out.fill(F::zero());
                add_product(F::one(), &self.drift, x, out);
            });
        }
        diffuse(w) {
            self.columns_into(batch.x(), w, out);
        }
        derivative(v) {
            self.columns_into(v, w, out);
        }
    }
}
