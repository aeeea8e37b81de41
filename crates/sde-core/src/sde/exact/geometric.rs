//! Geometric Brownian motion.

use numeric::ndarray::ArrayRef2;
use numeric::{Error, Noise, Real, Scratch, exp_in_place, vectorize};

use super::{ExactTransition, check_columns};
use crate::sde::coefficients::slice_mut;
use crate::sde::problems::{coefficients, facts, map, map2, map3};
use crate::sde::{put_rows, take_rows};
use crate::{NoiseClass, Reading, Sde};

/// Geometric Brownian motion `dX_j = μ X_j dt + σ X_j dW_j` in d independent coordinates, Itô.
///
/// ```math
/// X_t = x_0 \exp\bigl( (\mu - \tfrac12 \sigma^2)\, t + \sigma W_t \bigr).
/// ```
///
/// Its exact draws use the increments of the [`Solver`](crate::Solver)'s path on the same grid and noise: the two
/// can be compared row by row.
///
/// ```
/// use sde_core::GeometricBrownian;
/// let stock = GeometricBrownian::new(1, 0.05, 0.2)?;
/// let (mean, variance) = stock.moments(100.0, 2.0);
/// assert!((mean - 100.0 * 0.1_f64.exp()).abs() < 1e-11);
/// assert!((variance - mean * mean * 0.08_f64.exp_m1()).abs() < 1e-10);
/// # Ok::<(), numeric::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct GeometricBrownian {
    dim: usize,
    mu: f64,
    sigma: f64,
}

impl GeometricBrownian {
    /// d = `dim` coordinates with rate of growth μ and volatility σ.
    ///
    /// # Errors
    /// [`Error::Domain`] unless d and σ are at least 1 and 0, and both numbers are finite.
    pub fn new(dim: usize, mu: f64, sigma: f64) -> Result<GeometricBrownian, Error> {
        Error::domain(dim > 0, "dim", 0.0, "at least 1")?;
        Error::domain(mu.is_finite(), "mu", mu, "a finite number")?;
        Error::domain(sigma >= 0.0 && sigma.is_finite(), "sigma", sigma, "a finite number of at least 0")?;
        Ok(GeometricBrownian { dim, mu, sigma })
    }

    /// The solution at time `t` that started at `x0`, on the path that is at `w` at time `t`.
    #[must_use]
    pub fn solution(&self, x0: f64, t: f64, w: f64) -> f64 {
        x0 * ((self.mu - 0.5 * self.sigma * self.sigma) * t + self.sigma * w).exp()
    }

    /// Mean and variance of a coordinate a time `t` after it was `x`.
    #[must_use]
    pub fn moments(&self, x: f64, t: f64) -> (f64, f64) {
        let mean = x * (self.mu * t).exp();
        (mean, mean * mean * (self.sigma * self.sigma * t).exp_m1())
    }

    /// Log-density, in nats, of a coordinate at `y` a time `t` after it was `x` > 0: log-normal, −∞ for `y` ≤ 0.
    ///
    /// Without noise, or at t = 0, there is no density and the result is NaN or infinite.
    #[must_use]
    pub fn ln_transition_density(&self, x: f64, y: f64, t: f64) -> f64 {
        if y <= 0.0 {
            return f64::NEG_INFINITY;
        }
        let variance = self.sigma * self.sigma * t;
        super::laws::ln_normal((y / x).ln() - (self.mu * t - 0.5 * variance), variance) - y.ln()
    }
}

impl<F: Real> ExactTransition<F> for GeometricBrownian {
    fn state_dim(&self) -> usize {
        self.dim
    }
    fn advance(
        &self,
        rows: &[u64],
        step: u64,
        length: f64,
        noise: Noise,
        x: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) {
        check_columns(x, ExactTransition::<F>::state_dim(self));
        let [mut z] = take_rows::<F, 1>(scratch, x.dim());
        noise.normals_into(rows, step, &mut z);
        let drift = F::of((self.mu - 0.5 * self.sigma * self.sigma) * length);
        let spread = F::of(self.sigma * length.sqrt());
        let (x, factors) = (slice_mut(x), slice_mut(&mut z));
        vectorize(
            #[inline(always)]
            || factors.iter_mut().for_each(|z| *z = drift + spread * *z),
        );
        exp_in_place(factors);
        vectorize(
            #[inline(always)]
            || x.iter_mut().zip(&*factors).for_each(|(x, &factor)| *x *= factor),
        );
        put_rows(scratch, [z]);
    }
}

impl<F: Real> Sde<F> for GeometricBrownian {
    facts!(self, self.dim, self.dim, Reading::Ito, NoiseClass::Diagonal);
    coefficients! {
        drift(self, batch, out) {
            let mu = F::of(self.mu);
            map(batch.x_slice(), out, #[inline(always)] |x| mu * x);
        }
        diffuse(w) {
            let sigma = F::of(self.sigma);
            map2(batch.x_slice(), w, out, #[inline(always)] |x, w| sigma * x * w);
        }
        derivative(v) {
            let sigma = F::of(self.sigma);
            map3(batch.x_slice(), w, v, out, #[inline(always)] |_, w, v| sigma * v * w);
        }
    }
}
