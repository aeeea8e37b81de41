//! Divergences between laws on finitely many points.

use numeric::Error;
use numeric::ndarray::{Array1, ArrayRef1};
use numeric::special::{phi_1, x_minus_ln_1p};

use super::ratios::is_near_zero;

/// A law on finitely many points, by its weights: the argument of the exact divergences.
///
/// $`p_1, \dots, p_n \ge 0`$ with sum 1. The divergences are methods of the first law and take the second, on the
/// same points in the same order: `p.kl(&q)` is $`\mathrm{KL}(P\|Q)`$. Where supports demand it they are infinite,
/// and $`0 \ln 0 = 0`$ throughout. Beside $`p`$ and $`q`$ the formulas use $`\sum p = \sum q = 1`$: each is then a
/// sum of terms of one sign, and laws close to each other keep their digits.
///
/// ```
/// use bounds::divergence::FiniteLaw;
/// let p = FiniteLaw::new(&[0.5, 0.5, 0.0])?;
/// let q = FiniteLaw::new(&[0.25, 0.25, 0.5])?;
/// assert!((p.kl(&q)? - 2.0_f64.ln()).abs() < 1e-15);
/// assert_eq!(q.kl(&p)?, f64::INFINITY);
/// assert_eq!(p.total_variation(&q)?, 0.5);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// T. van Erven, P. Harremoës (2014), "Rényi divergence and Kullback–Leibler divergence", *IEEE Trans. Inf. Theory*
/// 60(7).
#[derive(Clone, Debug, PartialEq)]
pub struct FiniteLaw {
    weights: Array1<f64>,
}

impl FiniteLaw {
    /// The law with these weights; they are divided by their sum.
    ///
    /// # Errors
    /// [`Error::Shape`] for no weights; [`Error::Entry`] for a weight that is negative or not finite;
    /// [`Error::Domain`] if their sum is not within $`10^{-12}`$ of 1.
    pub fn new(weights: &[f64]) -> Result<FiniteLaw, Error> {
        if weights.is_empty() {
            return Err(Error::Shape { parameter: "weights", expected: vec![1], found: vec![0] });
        }
        let holds = |w: f64| w >= 0.0 && w.is_finite();
        Error::entries("weights", weights.iter().copied(), "a finite number of at least 0", holds)?;
        let sum: f64 = weights.iter().sum();
        Error::domain((sum - 1.0).abs() <= 1e-12, "weights", sum, "weights whose sum is 1 within 1e-12")?;
        Ok(FiniteLaw { weights: weights.iter().map(|w| w / sum).collect() })
    }

    /// Weights, `(n)`, with sum 1 to rounding.
    #[must_use]
    pub fn weights(&self) -> &ArrayRef1<f64> {
        &self.weights
    }

    /// Entropy $`-\sum p \ln p`$ in nats, in $`[0, \ln n]`$.
    ///
    /// ```
    /// use bounds::divergence::FiniteLaw;
    /// assert!((FiniteLaw::new(&[0.25; 4])?.entropy() - 4.0_f64.ln()).abs() < 1e-15);
    /// assert_eq!(FiniteLaw::new(&[0.0, 1.0])?.entropy(), 0.0);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    #[must_use]
    pub fn entropy(&self) -> f64 {
        // + 0: not the -0 of an empty or zero sum.
        self.weights.iter().filter(|&&p| p > 0.0).map(|p| -p * p.ln()).sum::<f64>() + 0.0
    }

    /// KL divergence $`\mathrm{KL}(P\|Q) = \sum p \ln(p/q)`$ in nats; infinite if some $`p > 0 = q`$.
    ///
    /// Summed as $`p\,(x - \ln(1 + x)) \ge 0`$, $`x = (q - p)/p`$, and $`q`$ where $`p = 0`$.
    ///
    /// # Errors
    /// [`Error::Shape`] if the numbers of points differ.
    ///
    /// # Examples
    /// ```
    /// use bounds::divergence::FiniteLaw;
    /// // A bias of 2^-30 of a fair coin: 2 b^2, where the sum as written leaves rounding.
    /// let b = 2.0_f64.powi(-30);
    /// let (p, q) = (FiniteLaw::new(&[0.5 + b, 0.5 - b])?, FiniteLaw::new(&[0.5; 2])?);
    /// assert!((p.kl(&q)? / (2.0 * b * b) - 1.0).abs() < 1e-14);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    pub fn kl(&self, other: &FiniteLaw) -> Result<f64, Error> {
        self.sum(other, generalised_kl)
    }

    /// Total variation distance $`\tfrac12 \sum |p - q| = \sup_A |P(A) - Q(A)|`$, in [0, 1].
    ///
    /// # Errors
    /// [`Error::Shape`] if the numbers of points differ.
    ///
    /// # Examples
    /// ```
    /// use bounds::divergence::FiniteLaw;
    /// let (p, q) = (FiniteLaw::new(&[1.0, 0.0])?, FiniteLaw::new(&[0.25, 0.75])?);
    /// assert_eq!(p.total_variation(&q)?, 0.75);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    pub fn total_variation(&self, other: &FiniteLaw) -> Result<f64, Error> {
        Ok(self.sum(other, |p, q| 0.5 * (p - q).abs())?.min(1.0))
    }

    /// Squared Hellinger distance $`\tfrac12 \sum (\sqrt p - \sqrt q)^2 = 1 - \sum \sqrt{pq}`$, in [0, 1].
    ///
    /// (Some authors double it.)
    ///
    /// # Errors
    /// [`Error::Shape`] if the numbers of points differ.
    ///
    /// # Examples
    /// ```
    /// use bounds::divergence::FiniteLaw;
    /// let (p, q) = (FiniteLaw::new(&[1.0, 0.0])?, FiniteLaw::new(&[0.25, 0.75])?);
    /// assert_eq!(p.hellinger_squared(&q)?, 0.5);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    pub fn hellinger_squared(&self, other: &FiniteLaw) -> Result<f64, Error> {
        let term = |p: f64, q: f64| {
            // The quotient keeps the digits that the difference of the roots would cancel.
            if p == q { 0.0 } else { 0.5 * ((p - q) / (p.sqrt() + q.sqrt())).powi(2) }
        };
        Ok(self.sum(other, term)?.min(1.0))
    }

    /// Divergence $`\chi^2(P\|Q) = \sum (p - q)^2/q = \sum p^2/q - 1`$; infinite if some $`p > 0 = q`$.
    ///
    /// # Errors
    /// [`Error::Shape`] if the numbers of points differ.
    ///
    /// # Examples
    /// ```
    /// use bounds::divergence::FiniteLaw;
    /// let (p, q) = (FiniteLaw::new(&[1.0, 0.0])?, FiniteLaw::new(&[0.25, 0.75])?);
    /// assert_eq!(p.chi_squared(&q)?, 3.0);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    pub fn chi_squared(&self, other: &FiniteLaw) -> Result<f64, Error> {
        self.sum(other, |p, q| if p == q { 0.0 } else { (p - q) * ((p - q) / q) })
    }

    /// Rényi divergence of order α in [0, ∞], in nats.
    ///
    /// ```math
    /// R_\alpha(P\|Q) = \frac{1}{\alpha - 1} \ln \sum p^\alpha q^{1-\alpha}, \qquad R_0 = -\ln Q(p > 0), \quad
    /// R_1 = \mathrm{KL}, \quad R_\infty = \ln \max_{p > 0} \frac pq .
    /// ```
    ///
    /// For $`\alpha \ge 1`$ infinite if some $`p > 0 = q`$, below 1 only if the laws have no point in common. It
    /// increases with α; $`R_{1/2} = -2\ln(1 - H^2)`$ and $`R_2 = \ln(1 + \chi^2)`$.
    ///
    /// # Numerical notes
    /// $`R_\alpha = \ln(1 + \alpha(\alpha-1) D_\alpha)/(\alpha - 1)`$ with the power divergence
    /// $`D_\alpha = \sum q f_\alpha(p/q)`$, $`f_\alpha(r) = (r^\alpha - 1 - \alpha(r-1))/(\alpha(\alpha-1)) \ge 0`$,
    /// each term of which is computed without cancellation; orders below 1/2 as
    /// $`\tfrac{\alpha}{1-\alpha} R_{1-\alpha}(Q\|P)`$. Large divergences and orders are summed relative to the
    /// largest ratio and cannot overflow.
    ///
    /// # Errors
    /// [`Error::Domain`] for an order that is negative or NaN, [`Error::Shape`] if the numbers of points differ.
    ///
    /// # Examples
    /// ```
    /// use bounds::divergence::FiniteLaw;
    /// let (p, q) = (FiniteLaw::new(&[0.5, 0.5, 0.0])?, FiniteLaw::new(&[0.2, 0.6, 0.2])?);
    /// assert!((p.renyi(0.0, &q)? + 0.8_f64.ln()).abs() < 1e-15);
    /// assert!((p.renyi(1.0, &q)? - p.kl(&q)?).abs() < 1e-15);
    /// assert!((p.renyi(2.0, &q)? - p.chi_squared(&q)?.ln_1p()).abs() < 1e-15);
    /// assert!((p.renyi(f64::INFINITY, &q)? - 2.5_f64.ln()).abs() < 1e-15);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # References
    /// van Erven and Harremoës, theorems 3 to 6 (order and limits) and proposition 2 (skew symmetry); N. Cressie,
    /// T. Read (1984), "Multinomial goodness-of-fit tests", *J. R. Stat. Soc. B* 46 (the power divergences).
    pub fn renyi(&self, alpha: f64, other: &FiniteLaw) -> Result<f64, Error> {
        Error::domain(alpha >= 0.0, "alpha", alpha, "a number of at least 0")?;
        Error::shape("other", &[self.weights.len()], &[other.weights.len()])?;
        if alpha == 0.0 {
            // From whichever of the two masses is small.
            let missed = self.sum(other, |p, q| if p == 0.0 { q } else { 0.0 })?;
            let met = self.sum(other, |p, q| if p > 0.0 { q } else { 0.0 })?;
            return Ok(if missed < 0.5 { -(-missed).ln_1p() } else { -met.ln() });
        }
        if alpha < 0.5 {
            return Ok(alpha / (1.0 - alpha) * other.renyi_from_half(1.0 - alpha, self)?);
        }
        self.renyi_from_half(alpha, other)
    }

    fn renyi_from_half(&self, alpha: f64, other: &FiniteLaw) -> Result<f64, Error> {
        let beta = alpha - 1.0;
        let both = || self.weights.iter().zip(&other.weights).filter(|&(&p, &q)| p > 0.0 && q > 0.0);
        let beyond = self.sum(other, |p, q| if q == 0.0 { p } else { 0.0 })?;
        let largest = both().map(|(&p, &q)| ln_ratio(p, q)).fold(f64::NEG_INFINITY, f64::max);
        if largest == f64::NEG_INFINITY || (beta >= 0.0 && beyond > 0.0) {
            return Ok(f64::INFINITY);
        }
        if alpha == f64::INFINITY {
            return Ok(largest.max(0.0));
        }
        let power = self.sum(other, |p, q| power_term(alpha, ln_ratio(p, q), p, q))?;
        if (alpha * beta * power).abs() <= 0.5 {
            return Ok(renyi_of_power(alpha, power));
        }
        let rest: f64 = both().map(|(&p, &q)| q * (alpha * (ln_ratio(p, q) - largest)).exp()).sum();
        // alpha/beta, and not alpha * largest, which may overflow.
        Ok(alpha / beta * largest + rest.ln() / beta)
    }

    fn sum(&self, other: &FiniteLaw, term: impl Fn(f64, f64) -> f64) -> Result<f64, Error> {
        Error::shape("other", &[self.weights.len()], &[other.weights.len()])?;
        Ok(self.weights.iter().zip(&other.weights).map(|(&p, &q)| term(p, q)).sum())
    }
}

/// $`q - p + p \ln(p/q) \ge 0`$ of two numbers that are not negative, with all its digits where they are close.
pub(crate) fn generalised_kl(p: f64, q: f64) -> f64 {
    if p == 0.0 {
        return q;
    }
    let x = (q - p) / p;
    if is_near_zero(x) { p * x_minus_ln_1p(x) } else { q - p + p * ln_ratio(p, q) }
}

/// $`\ln(p/q)`$, with all its digits near 0, and where the ratio is out of range.
fn ln_ratio(p: f64, q: f64) -> f64 {
    let ratio = p / q;
    if (0.5..=2.0).contains(&ratio) {
        ((p - q) / q).ln_1p()
    } else if ratio.is_normal() {
        ratio.ln()
    } else {
        p.ln() - q.ln()
    }
}

/// $`q f_\alpha(p/q) \ge 0`$ of [`FiniteLaw::renyi`] for $`\alpha \ge 1/2`$, with $`l = \ln(p/q)`$; +∞ where it
/// overflows.
pub(super) fn power_term(alpha: f64, l: f64, p: f64, q: f64) -> f64 {
    if p == 0.0 {
        q / alpha
    } else if q == 0.0 {
        if alpha < 1.0 { p / (1.0 - alpha) } else { f64::INFINITY }
    } else if l.abs() * alpha.max(1.0) <= 1.0 {
        // Sum of l^n/n! (1 + alpha + ... + alpha^(n-2)) over n from 2; after 22 terms below 1e-20 of the first.
        let (mut sum, mut power, mut factor) = (0.0, 0.5 * l * l, 1.0);
        for n in 3..25 {
            sum += power * factor;
            power *= l / f64::from(n);
            factor = alpha * factor + 1.0;
        }
        q * sum
    } else if alpha <= 2.0 {
        // The limit p l - (p - q) at the order 1; nothing is divided by alpha - 1.
        (p * l * phi_1((alpha - 1.0) * l) - (p - q)) / alpha
    } else {
        (q * (alpha * l).exp_m1() - alpha * (p - q)) / (alpha * (alpha - 1.0))
    }
}

/// $`R_\alpha = \ln(1 + \alpha(\alpha-1)D_\alpha)/(\alpha-1)`$, and KL at the order 1.
pub(super) fn renyi_of_power(alpha: f64, power: f64) -> f64 {
    let excess = alpha * (alpha - 1.0) * power;
    // ln(1 + y)/y = 1 for every y that vanishes with alpha - 1.
    if excess.abs() < 1e-300 { alpha * power } else { alpha * power * (excess.ln_1p() / excess) }
}
