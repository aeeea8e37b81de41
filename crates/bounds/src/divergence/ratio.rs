//! Divergences measured by Monte Carlo, from log-density ratios at samples.

use numeric::special::g_minus_1_plus_exp_neg;
use numeric::{Error, Estimate};

use super::finite::{power_term, renyi_of_power};
use super::{mean_and_squares, variance_of_mean};

/// Log-density ratios $`l = \ln p(x) - \ln q(x)`$ at samples of P, or of P and of Q: what the divergences between
/// two laws of known densities are measured from, in any dimension.
///
/// Each divergence is $`\mathbb{E}_Q f(\rho)`$, $`\rho = p/q`$, for a convex f with $`f(1) = 0`$, here with
/// $`f'(1) = 0`$ too: that adds the control variate $`1/\rho - 1`$ (of mean 0 under P), which makes every summand
/// at least 0 and of the order of the divergence itself, so that a small one does not drown. The estimators are
///
/// ```math
/// \frac1n\sum_{x \sim P} \frac{f(\rho)}{\rho}, \qquad
/// \frac12\bigg[\frac1n\sum_{x \sim P} + \frac1m\sum_{x \sim Q}\bigg] \frac{2 f(\rho)}{1 + \rho}
/// ```
///
/// from samples of P alone ([`DensityRatios::from_p`]) and of both ([`DensityRatios::from_both`]). Both are
/// unbiased, with the usual standard error of a mean. The first needs Q without mass outside the support of P (it
/// misses $`f(0)`$ times that mass), and its variance is infinite where $`1/\rho`$ has no second moment under P, as
/// for Gaussian laws if Q is wider than √2 times P. The balanced form has neither fault: prefer it.
///
/// Intervals are asymptotic, and the summands skewed: between two Gaussian laws in three dimensions, KL about 0.2, intervals at
/// level 0.95 from 400 rows of each held in 93 to 95 % of 24,000 cases (balanced), from P alone in 90 to 95 %.
///
/// The densities must be normalised: a constant that is missing in a ratio is not noticed.
///
/// ```
/// use bounds::divergence::DensityRatios;
/// use numeric::{Noise, ndarray::Array2};
/// // P = N(1/10, 1), Q = N(0, 1): ln p/q = x/10 - 1/200.
/// let mut z = Array2::<f64>::zeros((2, 5000));
/// Noise::new(1).normals_into(&[0, 1], 0, &mut z);
/// let at_p: Vec<f64> = z.row(0).iter().map(|z| 0.1 * (z + 0.1) - 0.005).collect();
/// let at_q: Vec<f64> = z.row(1).iter().map(|z| 0.1 * z - 0.005).collect();
/// let kl = DensityRatios::from_both(&at_p, &at_q)?.kl()?;
/// assert!((kl.mean - 0.005).abs() < 4.5 * kl.std_error);
/// assert!(kl.std_error < 1e-4); // a plain mean of l leaves 0.1/sqrt(5000) = 1.4e-3
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// J. Schulman (2020), "Approximating KL divergence", joschu.net/blog (the control variate); A. Owen (2013), *Monte
/// Carlo theory, methods and examples*, chapter 9.11 (mixture sampling, balance heuristic).
#[derive(Clone, Copy, Debug)]
pub struct DensityRatios<'a> {
    at_p: &'a [f64],
    at_q: Option<&'a [f64]>,
}

impl<'a> DensityRatios<'a> {
    /// From the values of $`\ln p - \ln q`$ at independent samples of P. +∞, where $`q = 0`$, is one.
    ///
    /// # Errors
    /// [`Error::Shape`] for fewer than 2; [`Error::Entry`] for NaN or -∞, where a sample of P cannot be.
    pub fn from_p(at_p: &'a [f64]) -> Result<Self, Error> {
        check("at_p", at_p, "a number greater than -infinity", |l| l > f64::NEG_INFINITY)?;
        Ok(DensityRatios { at_p, at_q: None })
    }

    /// From the values of $`\ln p - \ln q`$ at independent samples of P and at others of Q, where -∞ is one.
    ///
    /// # Errors
    /// [`Error::Shape`] for fewer than 2 of either; [`Error::Entry`] for NaN, -∞ at P or +∞ at Q.
    pub fn from_both(at_p: &'a [f64], at_q: &'a [f64]) -> Result<Self, Error> {
        check("at_q", at_q, "a number less than infinity", |l| l < f64::INFINITY)?;
        Ok(DensityRatios { at_q: Some(at_q), ..DensityRatios::from_p(at_p)? })
    }

    /// $`\mathrm{KL}(P\|Q)`$ in nats; unbiased. $`f(\rho) = \rho\ln\rho - \rho + 1`$.
    ///
    /// From samples of P the summand is $`l + e^{-l} - 1`$.
    ///
    /// # Errors
    /// [`Error::Domain`] if the mean is not finite.
    ///
    /// # Examples
    /// ```
    /// use bounds::divergence::DensityRatios;
    /// // Points drawn as often as their weights say: P = (3/4, 1/4), Q = (1/2, 1/2).
    /// let (up, down) = (1.5_f64.ln(), 0.5_f64.ln());
    /// let (at_p, at_q) = ([up, up, up, down], [up, up, down, down]);
    /// let found = DensityRatios::from_both(&at_p, &at_q)?.kl()?;
    /// assert!((found.mean - (0.75 * up + 0.25 * down)).abs() < 1e-15);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    pub fn kl(&self) -> Result<Estimate, Error> {
        self.mean(kl_scaled)
    }

    /// $`\mathrm{KL}(Q\|P)`$ in nats; unbiased. $`f(\rho) = \rho - 1 - \ln\rho`$.
    ///
    /// From samples of P its summands have weights $`1/\rho`$, and heavy tails. From samples of Q alone, take
    /// [`DensityRatios::kl`] of the negative values.
    ///
    /// # Errors
    /// [`Error::Domain`] if the mean is not finite.
    ///
    /// # Examples
    /// ```
    /// use bounds::divergence::DensityRatios;
    /// // Points drawn as often as their weights say: P = (3/4, 1/4), Q = (1/2, 1/2).
    /// let (up, down) = (1.5_f64.ln(), 0.5_f64.ln());
    /// let (at_p, at_q) = ([up, up, up, down], [up, up, down, down]);
    /// let found = DensityRatios::from_both(&at_p, &at_q)?.reverse_kl()?;
    /// assert!((found.mean + 0.5 * (up + down)).abs() < 1e-15);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    pub fn reverse_kl(&self) -> Result<Estimate, Error> {
        self.mean(|l| kl_scaled(-l))
    }

    /// Total variation distance $`\tfrac12\int|p - q|`$; unbiased.
    ///
    /// The summands are $`(1 - 1/\rho)^+`$ from P alone and $`|\rho - 1|/(\rho + 1) = |\tanh(l/2)|`$ from both, in
    /// [0, 1]: no law has heavy tails here.
    ///
    /// # Errors
    /// None for ratios that have been accepted.
    ///
    /// # Examples
    /// ```
    /// use bounds::divergence::DensityRatios;
    /// // Points drawn as often as their weights say: P = (3/4, 1/4), Q = (1/2, 1/2).
    /// let (up, down) = (1.5_f64.ln(), 0.5_f64.ln());
    /// let (at_p, at_q) = ([up, up, up, down], [up, up, down, down]);
    /// let found = DensityRatios::from_both(&at_p, &at_q)?.total_variation()?;
    /// assert!((found.mean - 0.25).abs() < 1e-15);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    pub fn total_variation(&self) -> Result<Estimate, Error> {
        if self.at_q.is_some() {
            self.mean(|l| -0.5 * (-l.abs()).exp_m1())
        } else {
            self.mean(|l| if l > 0.0 { -(-l).exp_m1() } else { 0.0 })
        }
    }

    /// Squared Hellinger distance $`1 - \int\sqrt{pq}`$; unbiased. $`f(\rho) = \tfrac12(\sqrt\rho - 1)^2`$.
    ///
    /// # Errors
    /// [`Error::Domain`] if the mean is not finite.
    ///
    /// # Examples
    /// ```
    /// use bounds::divergence::DensityRatios;
    /// // Points drawn as often as their weights say: P = (3/4, 1/4), Q = (1/2, 1/2).
    /// let (up, down) = (1.5_f64.ln(), 0.5_f64.ln());
    /// let (at_p, at_q) = ([up, up, up, down], [up, up, down, down]);
    /// let found = DensityRatios::from_both(&at_p, &at_q)?.hellinger_squared()?;
    /// assert!((found.mean - (1.0 - 0.375_f64.sqrt() - 0.125_f64.sqrt())).abs() < 1e-15);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    pub fn hellinger_squared(&self) -> Result<Estimate, Error> {
        self.mean(|l| 0.5 * (-0.5 * l.abs()).exp_m1().powi(2))
    }

    /// $`\chi^2(P\|Q) = \int p^2/q - 1`$; unbiased. $`f(\rho) = (\rho - 1)^2`$.
    ///
    /// Heavy tails unless ρ is bounded or nearly so: a finite variance needs a third moment of ρ under Q.
    ///
    /// # Errors
    /// [`Error::Domain`] if the mean is not finite.
    ///
    /// # Examples
    /// ```
    /// use bounds::divergence::DensityRatios;
    /// // Points drawn as often as their weights say: P = (3/4, 1/4), Q = (1/2, 1/2).
    /// let (up, down) = (1.5_f64.ln(), 0.5_f64.ln());
    /// let (at_p, at_q) = ([up, up, up, down], [up, up, down, down]);
    /// let found = DensityRatios::from_both(&at_p, &at_q)?.chi_squared()?;
    /// assert!((found.mean - 0.25).abs() < 1e-15);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    pub fn chi_squared(&self) -> Result<Estimate, Error> {
        self.mean(|l| if l > 0.0 { -l.exp_m1() * (-l).exp_m1() } else { l.exp_m1().powi(2) })
    }

    /// Rényi divergence $`R_\alpha(P\|Q)`$ of order α in nats, by the delta method.
    ///
    /// $`R_\alpha = \ln(1 + \alpha(\alpha - 1)D)/(\alpha - 1)`$ of an unbiased estimate of the power divergence D
    /// with $`f(\rho) = (\rho^\alpha - 1 - \alpha(\rho - 1))/(\alpha(\alpha - 1))`$, or, if that makes the logarithm's
    /// argument less than 1/2, of one of the argument itself, whose summands are positive. The standard error is
    /// that of the argument times the derivative; a bias of order 1/n is not in it. At $`\alpha = 1`$ it is
    /// [`DensityRatios::kl`]. Heavy tails for $`\alpha > 1`$: a finite variance needs a moment of ρ of order
    /// $`2\alpha - 1`$ under Q.
    ///
    /// # Errors
    /// [`Error::Domain`] for an order that is not finite and greater than 0, or if the mean is not finite.
    ///
    /// # Examples
    /// ```
    /// use bounds::divergence::DensityRatios;
    /// // Points drawn as often as their weights say: P = (3/4, 1/4), Q = (1/2, 1/2).
    /// let (up, down) = (1.5_f64.ln(), 0.5_f64.ln());
    /// let (at_p, at_q) = ([up, up, up, down], [up, up, down, down]);
    /// let found = DensityRatios::from_both(&at_p, &at_q)?.renyi(2.0)?;
    /// assert!((found.mean - 1.25_f64.ln()).abs() < 1e-15);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    pub fn renyi(&self, alpha: f64) -> Result<Estimate, Error> {
        Error::positive("alpha", alpha)?;
        let (beta, skew) = (alpha - 1.0, alpha < 0.5);
        // Orders below 1/2 with the laws exchanged.
        let order = if skew { 1.0 - alpha } else { alpha };
        let power = self.mean(|l| {
            let l = if skew { -l } else { l };
            power_term(order, l, l.min(0.0).exp(), (-l).min(0.0).exp())
        })?;
        let argument = 1.0 + alpha * beta * power.mean;
        if argument >= 0.5 {
            let scale = alpha / order;
            let mean = scale * renyi_of_power(order, power.mean);
            return Ok(Estimate { mean, std_error: alpha * power.std_error / argument, n: power.n });
        }
        // Only for alpha < 1. The exponent alpha l - max(l, 0) is at most 0.
        let argument = self.mean(|l| (beta * l.max(0.0) + alpha * l.min(0.0)).exp())?;
        let mean = argument.mean.ln() / beta;
        Error::domain(mean.is_finite(), "at_p", mean, DENSITIES)?;
        Ok(Estimate { mean, std_error: argument.std_error / argument.mean / -beta, ..argument })
    }

    /// The estimator for $`l \mapsto f(\rho)/\max(\rho, 1)`$, the form in which no f overflows early.
    fn mean(&self, scaled: impl Fn(f64) -> f64) -> Result<Estimate, Error> {
        let of = |values: &[f64], weight: &dyn Fn(f64) -> f64| {
            let summands: Vec<f64> = values.iter().map(|&l| scaled(l) * weight(l)).collect();
            (mean_and_squares(&summands).0, variance_of_mean(&summands))
        };
        let (mean, variance) = match self.at_q {
            None => of(self.at_p, &|l| (-l).max(0.0).exp()),
            Some(at_q) => {
                let ((p, of_p), (q, of_q)) = (of(self.at_p, &balance), of(at_q, &balance));
                (0.5 * (p + q), 0.25 * (of_p + of_q))
            }
        };
        Error::domain(mean.is_finite() && variance.is_finite(), "at_p", mean, DENSITIES)?;
        let n = (self.at_p.len() + self.at_q.map_or(0, <[f64]>::len)) as u64;
        Ok(Estimate { mean, std_error: variance.sqrt(), n })
    }
}

const DENSITIES: &str = "ratios for which the mean of the summands is finite";

fn check(
    parameter: &'static str,
    values: &[f64],
    expected: &'static str,
    holds: impl Fn(f64) -> bool,
) -> Result<(), Error> {
    if values.len() < 2 {
        return Err(Error::Shape { parameter, expected: vec![2], found: vec![values.len()] });
    }
    Error::entries(parameter, values.iter().copied(), expected, holds)
}

/// $`2\max(\rho, 1)/(1 + \rho)`$, in [1, 2].
fn balance(l: f64) -> f64 {
    2.0 / (1.0 + (-l.abs()).exp())
}

/// $`(\rho\ln\rho - \rho + 1)/\max(\rho, 1)`$ at $`l = \ln\rho`$.
fn kl_scaled(l: f64) -> f64 {
    if l >= 0.0 {
        g_minus_1_plus_exp_neg(l)
    } else if l > -2.0 {
        l.exp() * g_minus_1_plus_exp_neg(l)
    } else {
        // 0 at -infinity, where the product would be NaN.
        let product = if l < -800.0 { 0.0 } else { l * l.exp() };
        product - l.exp_m1()
    }
}

/// $`2(\rho\ln\rho - \rho + 1)/(1 + \rho)`$ at $`l = \ln\rho`$: the summand of [`DensityRatios::kl`] from both laws.
///
/// 0 at 0, at least 0 everywhere, and at most $`2 + 2\ln^+\rho`$.
#[cfg(feature = "sde")]
pub(crate) fn balanced_kl(l: f64) -> f64 {
    kl_scaled(l) * balance(l)
}

#[cfg(all(test, feature = "sde"))]
mod tests {
    use super::balanced_kl;

    #[test]
    fn the_integrand_is_smooth_nonnegative_and_bounded() {
        for l in [1e-2_f64, -1e-2, 1.9, -1.9, 2.1, -2.1, 30.0, -30.0] {
            let naive = 2.0 * (l.exp() * l - l.exp_m1()) / (1.0 + l.exp());
            assert!((balanced_kl(l) - naive).abs() < 1e-13 * (1.0 + naive), "{l}");
        }
        assert_eq!(balanced_kl(0.0), 0.0);
        assert_eq!(balanced_kl(f64::NEG_INFINITY), 2.0);
        for i in -4000..4000 {
            let l = f64::from(i) / 5.0;
            assert!(balanced_kl(l) >= 0.0 && balanced_kl(l) <= 2.0 + 2.0 * l.max(0.0));
        }
        assert!((balanced_kl(1e-8) / 0.5e-16 - 1.0).abs() < 1e-7);
        assert!(balanced_kl(f64::NAN).is_nan());
    }
}
