//! Problems with additive noise, and the Lorenz system with two kinds of it.

use numeric::{Error, Real};

use super::{coefficients, facts, map, map2, map3, rows, rows2};
use crate::{NoiseClass, Reading, Sde};

/// The double well `dX_j = (X_j − X_j³) dt + σ dW_j`, in d coordinates that do not see each other.
///
/// Its invariant density is proportional to `exp((x² − x⁴/2)/σ²)` in each coordinate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DoubleWell {
    /// Number of coordinates d.
    pub dim: usize,
    /// Strength σ of the noise.
    pub sigma: f64,
}

impl<F: Real> Sde<F> for DoubleWell {
    facts!(self, self.dim, self.dim, Reading::Ito, NoiseClass::Additive);
    coefficients! {
        drift(self, batch, out) {
            map(batch.x_slice(), out, #[inline(always)] |x| x - x * x * x);
        }
        diffuse(w) {
            let sigma = F::of(self.sigma);
            map2(batch.x_slice(), w, out, #[inline(always)] |_, w| sigma * w);
        }
        derivative(v) {
            out.fill(F::zero());
        }
    }
}

/// `dX = (β/√(1+t) − X/(2(1+t))) dt + αβ/√(1+t) dW`: noise that depends on time and not on the state.
///
/// ```math
/// X_t = \frac{x_0 + \beta\,(t + \alpha W_t)}{\sqrt{1 + t}}.
/// ```
///
/// # References
/// Kloeden, Platen (1992), Numerical solution of stochastic differential equations, section 4.4.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decay {
    /// Strength α of the noise.
    pub alpha: f64,
    /// Strength β of everything.
    pub beta: f64,
}

impl Decay {
    /// The solution at time `t` that started at `x0` at time 0, on the path that is at `w` at time `t`.
    #[must_use]
    pub fn solution(&self, x0: f64, t: f64, w: f64) -> f64 {
        (x0 + self.beta * (t + self.alpha * w)) / (1.0 + t).sqrt()
    }
}

impl<F: Real> Sde<F> for Decay {
    facts!(self, 1, 1, Reading::Ito, NoiseClass::Additive);
    coefficients! {
        drift(self, batch, out) {
            rows(batch, out, |time, x, out| {
                let grown = 1.0 + time.t;
                out[0] = F::of(self.beta / grown.sqrt()) - F::of(0.5 / grown) * x[0];
            });
        }
        diffuse(w) {
            let mut times = (0..batch.len()).map(|i| batch.times().get(i).t);
            rows2(batch.x(), w, out, |_, w, out| {
                let t = times.next().expect("a time for each row");
                out[0] = F::of(self.alpha * self.beta / (1.0 + t).sqrt()) * w[0];
            });
        }
        derivative(v) {
            out.fill(F::zero());
        }
    }
}

/// The double well with noise that fades, `dX = (X − X³) dt + σ/(1 + t) dW`: simulated annealing.
///
/// Nonlinear, with noise that depends on time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cooling {
    /// Strength σ of the noise at time 0.
    pub sigma: f64,
}

impl<F: Real> Sde<F> for Cooling {
    facts!(self, 1, 1, Reading::Ito, NoiseClass::Additive);
    coefficients! {
        drift(self, batch, out) {
            map(batch.x_slice(), out, #[inline(always)] |x| x - x * x * x);
        }
        diffuse(w) {
            let mut times = (0..batch.len()).map(|i| batch.times().get(i).t);
            rows2(batch.x(), w, out, |_, w, out| {
                let t = times.next().expect("a time for each row");
                out[0] = F::of(self.sigma / (1.0 + t)) * w[0];
            });
        }
        derivative(v) {
            out.fill(F::zero());
        }
    }
}

/// Noise of the [`Lorenz`] system.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LorenzNoise {
    /// `σ dW_j` in each coordinate.
    Additive(f64),
    /// `σ X_j dW_j` in each coordinate, Itô.
    Multiplicative(f64),
}

/// The Lorenz system with σ = 10, ρ = 28, β = 8/3 and noise in each coordinate.
///
/// ```math
/// f(x) = \bigl( 10 (x_2 - x_1),\ x_1 (28 - x_3) - x_2,\ x_1 x_2 - \tfrac83 x_3 \bigr).
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lorenz {
    /// The noise.
    pub noise: LorenzNoise,
}

impl<F: Real> Sde<F> for Lorenz {
    facts!(
        self,
        3,
        3,
        Reading::Ito,
        match self.noise {
            LorenzNoise::Additive(_) => NoiseClass::Additive,
            LorenzNoise::Multiplicative(_) => NoiseClass::Diagonal,
        }
    );
    coefficients! {
        drift(self, batch, out) {
            let (ten, rho, beta) = (F::of(10.0), F::of(28.0), F::of(8.0 / 3.0));
            rows(batch, out, |_, x, out| {
                out[0] = ten * (x[1] - x[0]);
                out[1] = x[0] * (rho - x[2]) - x[1];
                out[2] = x[0] * x[1] - beta * x[2];
            });
        }
        diffuse(w) {
            match self.noise {
                LorenzNoise::Additive(sigma) => {
                    let sigma = F::of(sigma);
                    map2(batch.x_slice(), w, out, #[inline(always)] |_, w| sigma * w);
                }
                LorenzNoise::Multiplicative(sigma) => {
                    let sigma = F::of(sigma);
                    map2(batch.x_slice(), w, out, #[inline(always)] |x, w| sigma * x * w);
                }
            }
        }
        derivative(v) {
            let sigma = F::of(match self.noise {
                LorenzNoise::Additive(_) => 0.0,
                LorenzNoise::Multiplicative(sigma) => sigma,
            });
            map3(batch.x_slice(), w, v, out, #[inline(always)] |_, w, v| sigma * v * w);
        }
    }
}

impl DoubleWell {
    /// The invariant log-density of one coordinate, without its constant.
    ///
    /// # Errors
    /// [`Error::Domain`] unless σ is positive: without noise there is no density.
    pub fn ln_invariant_density(&self, x: f64) -> Result<f64, Error> {
        Error::positive("sigma", self.sigma)?;
        Ok((x * x - 0.5 * x.powi(4)) / (self.sigma * self.sigma))
    }
}
