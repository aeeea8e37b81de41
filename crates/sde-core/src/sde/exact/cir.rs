//! The square-root process of Cox, Ingersoll and Ross.

use numeric::ndarray::ArrayRef2;
use numeric::{Error, Noise, Real, Scratch, special, vectorize};

use super::laws::{gamma, gammas_into, ln_gamma, poisson};
use super::{ExactTransition, check_columns};
use crate::sde::coefficients::{slice, slice_mut};
use crate::sde::problems::{coefficients, facts, map, map2, map3};
use crate::sde::{put_rows, take_rows};
use crate::{NoiseClass, Reading, Sde};

/// The Cox–Ingersoll–Ross process `dX_j = a (b − X_j) dt + σ √X_j dW_j` on [0, ∞), in d independent coordinates, Itô.
///
/// ```math
/// X_{s+t} \mid X_s = x \;\sim\; c\; \chi'^2_{\nu}(\lambda), \qquad
/// c = \frac{\sigma^2 (1 - e^{-a t})}{4 a}, \quad \nu = \frac{4 a b}{\sigma^2}, \quad \lambda = \frac{x\, e^{-a t}}{c},
/// ```
///
/// the noncentral chi-squared law with any number ν ≥ 0 of degrees of freedom: Feller's condition `2ab ≥ σ²` is not
/// asked for. Below it the process touches 0 and comes back; for b = 0 it stays there.
///
/// As an [`Sde`] the coefficients are extended beyond the state space by `x⁺ = max(x, 0)`, so that approximate
/// methods, whose steps leave it, have something to go on (full truncation). Their orders are not those of smooth
/// coefficients near 0.
///
/// # Randomness
/// For ν > 1 a normal, for `(z + √λ)²`, and a Gamma of shape (ν − 1)/2: a normal and a uniform for each, one more uniform
/// for shapes below 1, and the row's own stream where these are rejected (in one of twenty, at most). Else the row's own stream: a
/// Poisson variate N of mean λ/2, then a Gamma of shape ν/2 + N.
///
/// ```
/// use sde_core::CoxIngersollRoss;
/// let rate = CoxIngersollRoss::new(1, 0.5, 0.04, 0.3)?;           // 2ab < σ²: it touches 0
/// let (mean, variance) = rate.moments(0.0, 1e-3);
/// assert!((mean - 0.04 * (1.0 - (-5e-4_f64).exp())).abs() < 1e-18 && variance > 0.0);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// Cox, Ingersoll, Ross (1985), A theory of the term structure of interest rates, (18). Glasserman (2003), Monte Carlo methods
/// in financial engineering, section 3.4 (a normal and a chi-squared variate for ν > 1). Lord, Koekkoek, van Dijk
/// (2010), A comparison of biased simulation schemes for stochastic volatility models (full truncation).
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct CoxIngersollRoss {
    dim: usize,
    rate: f64,
    mean: f64,
    sigma: f64,
}

impl CoxIngersollRoss {
    /// d = `dim` coordinates with rate a, mean b and noise σ.
    ///
    /// # Errors
    /// [`Error::Domain`] unless d is at least 1 and a, b, σ are finite and not negative.
    pub fn new(dim: usize, rate: f64, mean: f64, sigma: f64) -> Result<CoxIngersollRoss, Error> {
        Error::domain(dim > 0, "dim", 0.0, "at least 1")?;
        for (name, value) in [("rate", rate), ("mean", mean), ("sigma", sigma)] {
            Error::domain(value >= 0.0 && value.is_finite(), name, value, "a finite number of at least 0")?;
        }
        Ok(CoxIngersollRoss { dim, rate, mean, sigma })
    }

    /// `(1 − e^{−at})/a` and `e^{−at}`.
    fn elapsed(&self, t: f64) -> (f64, f64) {
        let decay = self.rate * t;
        (t * special::phi_1(-decay), (-decay).exp())
    }

    /// Mean and variance of a coordinate a time `t` after it was `x`.
    #[must_use]
    pub fn moments(&self, x: f64, t: f64) -> (f64, f64) {
        self.moments_after(x, self.elapsed(t))
    }

    fn moments_after(&self, x: f64, (length, decay): (f64, f64)) -> (f64, f64) {
        let drift = self.rate * self.mean * length;
        (drift + x * decay, self.sigma * self.sigma * length * (x * decay + 0.5 * drift))
    }

    /// Scale c, degrees of freedom ν and noncentrality λ of a coordinate a time `t` after it was `x`.
    ///
    /// Without noise c is 0 and the others infinite.
    #[must_use]
    pub fn transition(&self, x: f64, t: f64) -> (f64, f64, f64) {
        self.transition_after(x, self.elapsed(t))
    }

    fn transition_after(&self, x: f64, (length, decay): (f64, f64)) -> (f64, f64, f64) {
        let sigma2 = self.sigma * self.sigma;
        let c = 0.25 * sigma2 * length;
        (c, 4.0 * self.rate * self.mean / sigma2, x * decay / c)
    }

    /// Log-density, in nats, of a coordinate at `y` a time `t` after it was `x`; −∞ for `y` < 0.
    ///
    /// The series of Gamma densities with Poisson weights, summed from its largest term outwards: as many terms as
    /// about twenty of its standard widths. For b = 0 it is the density of the part that has not come to rest at 0.
    /// Without noise, or at t = 0, there is no density and the result is NaN.
    #[must_use]
    pub fn ln_transition_density(&self, x: f64, y: f64, t: f64) -> f64 {
        if y < 0.0 {
            return f64::NEG_INFINITY;
        }
        let (c, nu, lambda) = self.transition(x, t);
        let (weight, half_y, shape) = (0.5 * lambda, 0.5 * y / c, 0.5 * nu);
        // Term n: Poisson(n; weight) · Gamma(half_y; shape + n), with the ratio weight·half_y/((n + 1)(shape + n)).
        let ratio = |n: f64| weight * half_y / ((n + 1.0) * (shape + n));
        let centre = 0.5 * (((shape - 1.0).powi(2) + 4.0 * weight * half_y).sqrt() - (shape + 1.0));
        let mut mode = centre.floor().max(0.0);
        if shape + mode == 0.0 {
            mode = 1.0;
        }
        // 0 ln 0 = 0
        let power = |exponent: f64, base: f64| if exponent == 0.0 { 0.0 } else { exponent * base.ln() };
        let largest = power(mode, weight) - weight - ln_gamma(mode + 1.0) + power(shape + mode - 1.0, half_y)
            - half_y
            - ln_gamma(shape + mode);
        let (mut sum, mut term, mut n) = (1.0, 1.0, mode);
        while term > 1e-18 * sum {
            term *= ratio(n);
            sum += term;
            n += 1.0;
        }
        (term, n) = (1.0, mode);
        while n > 0.0 && term > 1e-18 * sum {
            n -= 1.0;
            // Without degrees of freedom term 0 is the atom, which has no density.
            term = if shape + n == 0.0 { 0.0 } else { term / ratio(n) };
            sum += term;
        }
        largest + sum.ln() - (2.0 * c).ln()
    }
}

impl<F: Real> ExactTransition<F> for CoxIngersollRoss {
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
        let (noise, elapsed) = (noise.fork_index(step), self.elapsed(length));
        let (c, nu, _) = self.transition_after(0.0, elapsed);
        let per_x = elapsed.1 / c;
        if nu > 1.0 && nu.is_finite() && per_x.is_finite() {
            let [mut z, mut gammas] = take_rows::<f64, 2>(scratch, x.dim());
            noise.normals_into(rows, 0, &mut z);
            gammas_into(0.5 * (nu - 1.0), noise, [1, 2, 3], rows, &mut gammas, scratch);
            self.draw_all(slice_mut(x), elapsed, slice(&z), slice(&gammas));
            return put_rows(scratch, [z, gammas]);
        }
        for (&row, mut x) in rows.iter().zip(x.rows_mut()) {
            let mut stream = noise.row_stream(row);
            x.mapv_inplace(|x| F::of(self.draw(x.as_f64(), elapsed, &mut stream)));
        }
    }
}

impl CoxIngersollRoss {
    /// Each coordinate after a step: `c ((z + √λ)² + 2Γ)`, from a normal and a Gamma variate of shape `(ν − 1)/2`; NaN for x
    /// outside the state space.
    fn draw_all<F: Real>(&self, x: &mut [F], (length, decay): (f64, f64), z: &[f64], gammas: &[f64]) {
        let (c, ..) = self.transition_after(0.0, (length, decay));
        let (drift, per_x) = (self.rate * self.mean * length, decay / c);
        vectorize(
            #[inline(always)]
            || {
                for ((x, &z), &gamma) in x.iter_mut().zip(z).zip(gammas) {
                    let (before, lambda) = (x.as_f64(), per_x * x.as_f64());
                    let root = lambda.sqrt() + z;
                    let drawn = c * (root * root + 2.0 * gamma);
                    // Infinite where the noise is far below the precision of the state.
                    *x = F::of(if lambda == f64::INFINITY { drift + before * decay } else { drawn });
                }
            },
        );
    }

    /// A coordinate a time `t` after it was `x`; NaN for `x` outside the state space.
    fn draw(&self, x: f64, elapsed: (f64, f64), stream: &mut numeric::RowStream) -> f64 {
        if !(x >= 0.0) {
            return f64::NAN;
        }
        let (c, nu, lambda) = self.transition_after(x, elapsed);
        // So little noise that it is below the precision of the state.
        if !(nu.is_finite() && lambda.is_finite()) || c == 0.0 {
            return self.moments_after(x, elapsed).0;
        }
        2.0 * c * gamma(0.5 * nu + poisson(0.5 * lambda, stream), stream)
    }
}

impl<F: Real> Sde<F> for CoxIngersollRoss {
    facts!(self, self.dim, self.dim, Reading::Ito, NoiseClass::Diagonal);
    coefficients! {
        drift(self, batch, out) {
            let (a, b) = (F::of(self.rate), F::of(self.mean));
            map(batch.x_slice(), out, #[inline(always)] |x| a * (b - positive(x)));
        }
        diffuse(w) {
            let sigma = F::of(self.sigma);
            map2(batch.x_slice(), w, out, #[inline(always)] |x, w| sigma * positive(x).sqrt() * w);
        }
        derivative(v) {
            let half_sigma = F::of(0.5 * self.sigma);
            map3(batch.x_slice(), w, v, out, #[inline(always)] |x, w, v| {
                // The one-sided derivative from outside, where the coefficient is 0.
                if x <= F::zero() { F::zero() } else { half_sigma / x.sqrt() * v * w }
            });
        }
    }
}

/// `max(x, 0)`, and NaN for NaN.
#[inline(always)]
fn positive<F: Real>(x: F) -> F {
    if x < F::zero() { F::zero() } else { x }
}
