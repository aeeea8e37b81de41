//! Problems whose columns do not commute.

use numeric::Real;

use super::{coefficients, facts, rows, rows2};
use crate::{NoiseClass, Reading, Sde};

/// Brownian motion on the Heisenberg group: `dX = dW¹, dY = dW², dZ = X dW² − Y dW¹`; both readings agree.
///
/// Started at 0, `Z_t = ∫ W¹ dW² − W² dW¹` is twice the Lévy area: whoever gets Z right knows the area, sign included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heisenberg;

impl<F: Real> Sde<F> for Heisenberg {
    facts!(self, 3, 2, Reading::Stratonovich, NoiseClass::General);
    coefficients! {
        drift(self, batch, out) {
            rows(batch, out, |_, _, out| out.fill(F::zero()));
        }
        diffuse(w) {
            rows2(batch.x(), w, out, |x, w, out| {
                (out[0], out[1], out[2]) = (w[0], w[1], x[0] * w[1] - x[1] * w[0]);
            });
        }
        derivative(v) {
            rows2(v, w, out, |v, w, out| {
                (out[0], out[1], out[2]) = (F::zero(), F::zero(), v[0] * w[1] - v[1] * w[0]);
            });
        }
    }
}

/// A nonlinear equation in the plane whose columns do not commute, Itô.
///
/// ```math
/// f = \Bigl( x_2 - \tfrac12 x_1,\ -\tfrac12 \sin x_1 - \tfrac12 x_2 \Bigr), \qquad
/// g_1 = s \begin{pmatrix} \cos x_2 \\ \sin x_1 \end{pmatrix}, \qquad
/// g_2 = s \begin{pmatrix} \sin x_2 \\ 1 + \cos x_1 \end{pmatrix}.
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Waves {
    /// Strength s of the noise.
    pub strength: f64,
}

impl<F: Real> Sde<F> for Waves {
    facts!(self, 2, 2, Reading::Ito, NoiseClass::General);
    coefficients! {
        drift(self, batch, out) {
            let half = F::of(0.5);
            rows(batch, out, |_, x, out| {
                (out[0], out[1]) = (x[1] - half * x[0], -half * x[0].sin() - half * x[1]);
            });
        }
        diffuse(w) {
            let s = F::of(self.strength);
            rows2(batch.x(), w, out, |x, w, out| {
                out[0] = s * (x[1].cos() * w[0] + x[1].sin() * w[1]);
                out[1] = s * (x[0].sin() * w[0] + (F::one() + x[0].cos()) * w[1]);
            });
        }
        derivative(v) {
            let s = F::of(self.strength);
            let mut along = v.rows().into_iter();
            rows2(batch.x(), w, out, |x, w, out| {
                let v = along.next().expect("a direction for each row");
                out[0] = s * v[1] * (x[1].cos() * w[1] - x[1].sin() * w[0]);
                out[1] = s * v[0] * (x[0].cos() * w[0] - x[0].sin() * w[1]);
            });
        }
    }
}
