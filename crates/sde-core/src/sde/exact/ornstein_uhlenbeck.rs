//! The Ornstein–Uhlenbeck process with any rate, mean and noise.

use numeric::ndarray::ArrayRef2;
use numeric::{Error, Noise, Real, Scratch, special};

use super::{ExactTransition, check_columns};
use crate::sde::coefficients::{slice, slice_mut};
use crate::sde::problems::{coefficients, facts, map2, rows};
use crate::sde::{put_rows, take_rows};
use crate::sum::with_row;
use crate::{NoiseClass, Reading, Sde};

/// The Ornstein–Uhlenbeck process `dX_j = a (m_j − X_j) dt + σ dW_j` in d coordinates.
///
/// ```math
/// X_{s+t} \mid X_s = x \;\sim\; N\Bigl( m + e^{-a t} (x - m),\ \sigma^2\, \frac{1 - e^{-2 a t}}{2 a}\, I \Bigr).
/// ```
///
/// A rate of 0 is Brownian motion, a negative one flees from m. The noising process `dX = −X dt + √2 dB` of diffusion
/// models is [`Ou`](crate::Ou).
///
/// ```
/// use sde_core::OrnsteinUhlenbeck;
/// let process = OrnsteinUhlenbeck::new(0.0, vec![0.0, 0.0], 3.0)?;
/// assert_eq!(process.moments(1.0, 0.0, 2.0), (1.0, 18.0));        // σ² t
/// # Ok::<(), numeric::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct OrnsteinUhlenbeck {
    rate: f64,
    mean: Vec<f64>,
    sigma: f64,
}

impl OrnsteinUhlenbeck {
    /// Rate a, mean m, of length d, and noise σ ≥ 0.
    ///
    /// # Errors
    /// [`Error::Domain`], [`Error::Entry`] for a number that is not finite or a negative σ; [`Error::Shape`] for d = 0.
    pub fn new(rate: f64, mean: Vec<f64>, sigma: f64) -> Result<OrnsteinUhlenbeck, Error> {
        Error::domain(rate.is_finite(), "rate", rate, "a finite number")?;
        Error::shape("mean", &[mean.len().max(1)], &[mean.len()])?;
        Error::entries("mean", mean.iter().copied(), "a finite number", f64::is_finite)?;
        Error::domain(sigma >= 0.0 && sigma.is_finite(), "sigma", sigma, "a finite number of at least 0")?;
        Ok(OrnsteinUhlenbeck { rate, mean, sigma })
    }

    /// `e^{−at}`, and the variance of a coordinate a time `t` after it was known.
    fn kernel(&self, t: f64) -> (f64, f64) {
        let decay = self.rate * t;
        ((-decay).exp(), self.sigma * self.sigma * t * special::phi_1(-2.0 * decay))
    }

    /// Mean and variance of a coordinate with mean `m`, a time `t` after it was `x`.
    #[must_use]
    pub fn moments(&self, x: f64, m: f64, t: f64) -> (f64, f64) {
        let (decay, variance) = self.kernel(t);
        (m + decay * (x - m), variance)
    }

    /// Log-density, in nats, of a coordinate with mean `m` at `y`, a time `t` after it was `x`.
    ///
    /// Without noise, or at t = 0, there is no density and the result is NaN or infinite.
    #[must_use]
    pub fn ln_transition_density(&self, x: f64, m: f64, y: f64, t: f64) -> f64 {
        let (mean, variance) = self.moments(x, m, t);
        super::laws::ln_normal(y - mean, variance)
    }
}

impl<F: Real> ExactTransition<F> for OrnsteinUhlenbeck {
    fn state_dim(&self) -> usize {
        self.mean.len()
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
        let (decay, variance) = self.kernel(length);
        let (decay, spread) = (F::of(decay), F::of(variance.sqrt()));
        let [mut z] = take_rows::<F, 1>(scratch, x.dim());
        noise.normals_into(rows, step, &mut z);
        with_row(
            slice_mut(x),
            slice(&z),
            &self.mean,
            #[inline(always)]
            |x, z, m| F::of(m) + decay * (x - F::of(m)) + spread * z,
        );
        put_rows(scratch, [z]);
    }
}

impl<F: Real> Sde<F> for OrnsteinUhlenbeck {
    facts!(self, self.mean.len(), self.mean.len(), Reading::Ito, NoiseClass::Additive);
    coefficients! {
        drift(self, batch, out) {
            let a = F::of(self.rate);
            rows(batch, out, |_, x, out| {
                for ((out, &x), &m) in out.iter_mut().zip(x).zip(&self.mean) {
                    *out = a * (F::of(m) - x);
                }
            });
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
