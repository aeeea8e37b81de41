//! Problems with diagonal, scalar and commutative noise that have closed solutions.

use numeric::{Error, Real};

use super::{coefficients, facts, map, map2, map3, rows, rows2};
use crate::{NoiseClass, Reading, Sde};

/// `dX_j = −(a + b² X_j)(1 − X_j²) dt + b (1 − X_j²) dW_j` in d coordinates, Itô: nonlinear drift and diagonal noise.
///
/// ```math
/// X_t = \tanh(\operatorname{artanh} x_0 - a t + b W_t).
/// ```
///
/// # References
/// Kloeden, Platen (1992), Numerical solution of stochastic differential equations, (4.4.46).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tanh {
    /// Number of coordinates d.
    pub dim: usize,
    /// Speed a.
    pub a: f64,
    /// Strength b of the noise.
    pub b: f64,
}

impl Tanh {
    /// The solution at time `t` that started at `x0` in (−1, 1), on the path that is at `w` at time `t`.
    #[must_use]
    pub fn solution(&self, x0: f64, t: f64, w: f64) -> f64 {
        (x0.atanh() - self.a * t + self.b * w).tanh()
    }
}

impl<F: Real> Sde<F> for Tanh {
    facts!(self, self.dim, self.dim, Reading::Ito, NoiseClass::Diagonal);
    coefficients! {
        drift(self, batch, out) {
            let (a, b2) = (F::of(self.a), F::of(self.b * self.b));
            map(batch.x_slice(), out, #[inline(always)] |x| -(a + b2 * x) * (F::one() - x * x));
        }
        diffuse(w) {
            let b = F::of(self.b);
            map2(batch.x_slice(), w, out, #[inline(always)] |x, w| b * (F::one() - x * x) * w);
        }
        derivative(v) {
            let minus_two_b = F::of(-2.0 * self.b);
            map3(batch.x_slice(), w, v, out, #[inline(always)] |x, w, v| minus_two_b * x * v * w);
        }
    }
}

/// Geometric Brownian motion in the complex plane, driven by m Brownian motions: `dZ = α Z dt + Σ_j β_j Z dW_j`, Itô.
///
/// A state is (Re Z, Im Z). One motion is scalar noise, several are commutative and not diagonal: each of them turns
/// and stretches the plane.
///
/// ```math
/// Z_t = z_0 \exp\Bigl( \bigl(\alpha - \tfrac12 \textstyle\sum_j \beta_j^2\bigr) t + \sum_j \beta_j W^j_t \Bigr).
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Spiral {
    drift: (f64, f64),
    noise: Vec<(f64, f64)>,
}

impl Spiral {
    /// The equation with α = `drift` and β_j = `noise[j]`, as (real, imaginary).
    ///
    /// # Errors
    /// [`Error::Shape`] for no noise at all; [`Error::Domain`], [`Error::Entry`] for a number that is not finite.
    pub fn new(drift: (f64, f64), noise: Vec<(f64, f64)>) -> Result<Spiral, Error> {
        Error::domain(drift.0.is_finite(), "drift.0", drift.0, "a finite number")?;
        Error::domain(drift.1.is_finite(), "drift.1", drift.1, "a finite number")?;
        Error::shape("noise", &[noise.len().max(1)], &[noise.len()])?;
        Error::entries("noise", noise.iter().flat_map(|b| [b.0, b.1]), "a finite number", f64::is_finite)?;
        Ok(Spiral { drift, noise })
    }

    /// The solution at time `t` that started at `z0`, on the path that is at `w` at time `t`.
    ///
    /// # Panics
    /// If `w` is not of length m.
    #[must_use]
    #[track_caller]
    pub fn solution(&self, z0: (f64, f64), t: f64, w: &[f64]) -> (f64, f64) {
        assert_eq!(w.len(), self.noise.len(), "a Brownian motion for each column");
        let (mut re, mut im) = (self.drift.0 * t, self.drift.1 * t);
        for (&(b, c), &w) in self.noise.iter().zip(w) {
            re += b * w - 0.5 * (b * b - c * c) * t;
            im += c * w - b * c * t;
        }
        let (size, (sin, cos)) = (re.exp(), im.sin_cos());
        (size * (z0.0 * cos - z0.1 * sin), size * (z0.0 * sin + z0.1 * cos))
    }

    /// `Σ_j w_j β_j`.
    fn turned<F: Real>(&self, w: &[F]) -> (F, F) {
        let sum =
            |part: fn(&(f64, f64)) -> f64| self.noise.iter().zip(w).map(|(b, &w)| F::of(part(b)) * w).sum();
        (sum(|b| b.0), sum(|b| b.1))
    }
}

/// `out = c z` in the complex plane.
fn product<F: Real>(c: (F, F), z: &[F], out: &mut [F]) {
    (out[0], out[1]) = (c.0 * z[0] - c.1 * z[1], c.0 * z[1] + c.1 * z[0]);
}

impl<F: Real> Sde<F> for Spiral {
    facts!(
        self,
        2,
        self.noise.len(),
        Reading::Ito,
        match self.noise.len() {
            1 => NoiseClass::Scalar,
            _ => NoiseClass::Commutative,
        }
    );
    coefficients! {
        drift(self, batch, out) {
            let alpha = (F::of(self.drift.0), F::of(self.drift.1));
            rows(batch, out, |_, z, out| product(alpha, z, out));
        }
        diffuse(w) {
            rows2(batch.x(), w, out, |z, w, out| product(self.turned(w), z, out));
        }
        derivative(v) {
            rows2(v, w, out, |v, w, out| product(self.turned(w), v, out));
        }
    }
}
