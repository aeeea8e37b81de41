//! Total variation between Gaussian laws, by a contour integral.

use std::f64::consts::{FRAC_PI_8, PI};

use nalgebra::{Complex, SymmetricEigen};
use numeric::Error;

use super::{GaussianLaw, MAX_ITERATIONS, RATIOS, is_near_zero, ln_det, not_converged, solve_lower};
use crate::curve::quadrature::panel;

impl GaussianLaw {
    /// Total variation distance $`\tfrac12\int|p - q| = \sup_A|P(A) - Q(A)|`$ between this law and Q, in [0, 1].
    ///
    /// For any two covariances, in any dimension. With $`C(s) = \int p^{1-s}q^s`$, a product over the directions
    /// in which both covariances are diagonal, and any $`\sigma < 0`$ at which C is finite,
    ///
    /// ```math
    /// \mathrm{TV}(P, Q) = \int (p - q)^+ = \frac{1}{2\pi i}\int_{\sigma-i\infty}^{\sigma+i\infty}
    ///   \frac{-C(s)}{s(1-s)}\,ds :
    /// ```
    ///
    /// the inverse Mellin transform of $`(1 - u)^+`$ at $`u = q/p`$, averaged over P.
    ///
    /// # Numerical notes
    /// The integrand has one saddle on the negative axis. From there the way is a chain of segments along its
    /// steepest descent, with 16 Gauss–Legendre points on each: nothing oscillates, so that the error is that of
    /// rounding, also relative to a small distance. It is below $`10^{-13}`$ while the ratios of the variances
    /// along all directions are between $`10^{-6}`$ and $`10^6`$, and grows with their square root beyond. The
    /// cost is one symmetric eigenvalue decomposition.
    ///
    /// # Errors
    /// [`Error::Shape`] if the dimensions differ, [`Error::Entry`] if the covariances or means are so far apart
    /// that their ratios overflow, [`Error::NotConverged`] if a routine is not done in the steps it may take.
    ///
    /// # Examples
    /// ```
    /// use bounds::divergence::GaussianLaw;
    /// use numeric::ndarray::array;
    /// let p = GaussianLaw::new(array![2.0], array![[1.0]])?;
    /// let q = GaussianLaw::new(array![0.0], array![[1.0]])?;
    /// // Equal covariances: 2 Phi(|m|/2) - 1.
    /// assert!((p.total_variation(&q)? - 0.682_689_492_137_085_9).abs() < 1e-14);
    /// // Centred laws in the plane: r^(-1/(r-1)) - r^(-r/(r-1)) for covariances with the ratio r.
    /// let p = GaussianLaw::new(array![0.0, 0.0], array![[2.0, 0.0], [0.0, 2.0]])?;
    /// let q = GaussianLaw::new(array![0.0, 0.0], array![[1.0, 0.0], [0.0, 1.0]])?;
    /// assert!((p.total_variation(&q)? - 0.25).abs() < 1e-14);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # References
    /// N. Temme (2015), *Asymptotic Methods for Integrals*, chapter 5 (quadrature along paths of steepest
    /// descent); L. Devroye, A. Mehrabian, T. Reddad (2018), "The total variation distance between
    /// high-dimensional Gaussians with the same mean", arXiv:1810.08693 (bounds, for comparison).
    pub fn total_variation(&self, other: &GaussianLaw) -> Result<f64, Error> {
        Error::shape("other", &[self.dim()], &[other.dim()])?;
        let spectrum =
            SymmetricEigen::try_new(self.whitened_difference(other)?, f64::EPSILON, MAX_ITERATIONS)
                .ok_or_else(|| not_converged("symmetric eigenvalue decomposition"))?;
        let shift = spectrum.eigenvectors.tr_mul(&solve_lower(
            &other.cholesky,
            self.shift(other).reshape_generic(nalgebra::Dyn(self.dim()), nalgebra::Dyn(1)),
        ));
        let excess = spectrum.eigenvalues;
        let ln_ratio = if excess.iter().all(|&e| is_near_zero(e)) {
            excess.iter().map(|e| e.ln_1p()).sum()
        } else {
            ln_det(&self.cholesky) - ln_det(&other.cholesky)
        };
        let directions = excess.iter().zip(shift.iter()).map(|(&excess, &shift)| (excess, shift * shift));
        let integrand = Integrand { directions: directions.collect(), ln_ratio };
        let size: f64 = integrand.directions.iter().map(|(e, squared)| e * e + squared).sum();
        Error::entries("other", [size], RATIOS, f64::is_finite)?;
        // In the first two cases the way leads to where squares leave the range of the numbers.
        if size < 1e-200 {
            Ok(0.0) // The distance is below 1e-99: less than the documented accuracy asks for.
        } else if integrand.directions.iter().any(|(e, squared)| *squared > 300.0 * (2.0 + e)) {
            Ok(1.0) // Up to the affinity along this direction, at most exp(-75).
        } else {
            integrand.integral()
        }
    }
}

/// $`-C(s)/(s(1-s))`$ for the laws $`N(m, \operatorname{diag}(1 + e))`$ and $`N(0, I)`$,
///
/// ```math
/// \ln C(s) = \tfrac12\sum_i\Big[s\ln(1+e_i) - \ln w_i - \frac{m_i^2 s(1-s)}{w_i}\Big], \qquad w_i = 1 + s e_i .
/// ```
///
/// Its poles 0, 1 and $`-1/e_i`$ are real. Above the real axis no $`w_i`$ meets the negative axis, so that
/// principal logarithms are continuous.
struct Integrand {
    /// Pairs of $`e_i`$ and $`m_i^2`$.
    directions: Vec<(f64, f64)>,
    /// $`\sum_i \ln(1 + e_i)`$.
    ln_ratio: f64,
}

impl Integrand {
    fn at(&self, s: Complex<f64>) -> Complex<f64> {
        let mut ln = self.ln_ratio * s;
        for &(e, squared) in &self.directions {
            let w = 1.0 + s * e;
            ln -= w.ln() + s * (1.0 - s) / w * squared;
        }
        -(0.5 * ln).exp() / s / (1.0 - s)
    }

    /// First and second derivative of the logarithm.
    fn slopes(&self, s: Complex<f64>) -> (Complex<f64>, Complex<f64>) {
        let (mut first, mut second) = (Complex::from(0.5 * self.ln_ratio), Complex::from(0.0));
        for &(e, squared) in &self.directions {
            let w = 1.0 + s * e;
            let ratio = e / w;
            first -= 0.5 * (ratio + (1.0 - 2.0 * s - s * s * e) / (w * w) * squared);
            second += 0.5 * ratio * ratio + (1.0 + e) * squared / (w * w * w);
        }
        let (at_0, at_1) = (1.0 / s, 1.0 / (1.0 - s));
        (first - at_0 + at_1, second + at_0 * at_0 + at_1 * at_1)
    }

    /// The minimum along the negative axis up to the first pole, between which the logarithm is convex.
    fn saddle(&self) -> f64 {
        let slope = |s: f64| self.slopes(Complex::from(s)).0.re;
        let largest = self.directions.iter().map(|direction| direction.0).fold(0.0, f64::max);
        let (mut low, mut high) = (-1.0, 0.0);
        if largest > 0.0 {
            low = -1.0 / largest;
        } else {
            while slope(low) > 0.0 {
                (low, high) = (2.0 * low, low);
            }
        }
        for _ in 0..100 {
            let middle = 0.5 * (low + high);
            if slope(middle) > 0.0 { high = middle } else { low = middle }
        }
        // Of the two ends, the one that is no pole.
        high
    }

    /// Twice the upper half of the way, $`\frac1\pi\operatorname{Im}\int`$.
    fn integral(&self) -> Result<f64, Error> {
        const MAX_SEGMENTS: usize = 2000;
        let mut s = Complex::from(self.saddle());
        let mut sum = 0.0;
        for _ in 0..MAX_SEGMENTS {
            let (first, second) = self.slopes(s);
            let direction = heading(s, first);
            let poles = self.directions.iter().map(|&(e, _)| ((1.0 + s * e) / e).norm());
            let pole = poles.fold(s.norm().min((1.0 - s).norm()), f64::min);
            let length = (0.5 * pole).min(4.0 / first.norm()).min(2.0 / second.norm().sqrt());
            sum += panel(0.0, length, &mut |t| (self.at(s + t * direction) * direction).im);
            s += length * direction;
            if self.envelope(s) * s.norm() <= 1e-17 * sum.abs() {
                return Ok((sum / PI).clamp(0.0, 1.0));
            }
        }
        let residual = self.envelope(s) * s.norm();
        Err(Error::NotConverged { routine: "total variation", iterations: MAX_SEGMENTS, residual })
    }

    /// A bound of the integrand on the vertical line above `s`.
    ///
    /// Upwards every factor shrinks, but for $`e^{-m^2 s(1-s)/(2w)}`$ where $`\operatorname{Re} w < 0`$: its part
    /// $`\operatorname{Re}\,m^2(1+e)/(2e^2 w)`$ rises towards 0.
    fn envelope(&self, s: Complex<f64>) -> f64 {
        let rise = |&(e, squared): &(f64, f64)| {
            let real = (1.0 / (1.0 + s * e)).re;
            if real < 0.0 { -0.5 * (1.0 + e) * squared * real / (e * e) } else { 0.0 }
        };
        self.at(s).norm() * self.directions.iter().map(rise).sum::<f64>().exp()
    }
}

/// Steepest descent, but never flatter than π/8: the way has to leave the real axis, where the poles are.
fn heading(s: Complex<f64>, slope: Complex<f64>) -> Complex<f64> {
    if s.im == 0.0 {
        return Complex::i();
    }
    let descent = -slope.conj() / slope.norm();
    if descent.im >= FRAC_PI_8.sin() {
        descent
    } else {
        Complex::new(FRAC_PI_8.cos().copysign(descent.re), FRAC_PI_8.sin())
    }
}
