//! Closed forms between centred Gaussian laws with common axes, from their variances alone.

use numeric::Error;
use numeric::special::{r_minus_1_minus_ln, x_minus_ln_1p};

/// KL divergence between centred Gaussian laws, from their variance ratios.
///
/// ```math
/// \mathrm{KL}(P\|Q) = \tfrac12 \sum_i (r_i - 1 - \ln r_i), \qquad r_i = \lambda_i(\Sigma_Q^{-1}\Sigma_P)
/// ```
///
/// in nats. For diagonal covariances $`r_i = p_i/q_i`$. No ratios: 0. A mean adds
/// $`\tfrac12\sum_i (m_i - n_i)^2/q_i`$.
///
/// # Numerical notes
/// Relative accuracy of a few ulp for every ratio, near 1 as well, where the summand is about
/// $`(r-1)^2/2`$ and the formula as written would lose all its digits.
///
/// # Errors
/// [`Error::Entry`] for a ratio that is not finite and greater than 0 (at 0 the divergence is infinite).
///
/// # Examples
/// ```
/// use bounds::divergence::kl_of_ratios;
/// // N(0, 4) against N(0, 1): (3 - ln 4) / 2.
/// assert!((kl_of_ratios(&[4.0])? - 0.806_852_819_440_054_7).abs() < 1e-15);
/// // A variance wrong by 10^-9: (r - 1)^2 / 4, which r - 1 - ln r would round to noise.
/// assert!((kl_of_ratios(&[1.0 + 1e-9])? / 2.5e-19 - 1.0).abs() < 1e-6);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// S. Kullback (1959), *Information Theory and Statistics*, chapter 9, section 1.
pub fn kl_of_ratios(ratios: &[f64]) -> Result<f64, Error> {
    check_ratios(ratios)?;
    Ok(0.5 * ratios.iter().map(|&r| r_minus_1_minus_ln(r)).sum::<f64>())
}

/// Rényi divergence of order α between centred Gaussian laws, from their variance ratios.
///
/// ```math
/// R_\alpha(P\|Q) = \frac{1}{\alpha-1}\ln\int p^\alpha q^{1-\alpha}
///   = \frac12\sum_i\Big[\frac{\ln(1 + (1-\alpha)(r_i - 1))}{1-\alpha} - \ln r_i\Big],
/// ```
///
/// in nats, with $`r_i = \lambda_i(\Sigma_Q^{-1}\Sigma_P)`$ as in [`kl_of_ratios`], which is its value at
/// $`\alpha = 1`$. It is infinite as soon as one $`1 + (1-\alpha)(r_i-1) \le 0`$, which needs $`\alpha > 1`$.
/// The squared Hellinger distance is $`1 - e^{-R_{1/2}/2}`$.
///
/// # Numerical notes
/// Accurate for ratios near 1, for orders near 1, and for orders near 0, where it is computed as
/// $`\tfrac{\alpha}{1-\alpha}R_{1-\alpha}(Q\|P)`$.
///
/// # Errors
/// [`Error::Domain`] for an order that is not finite and greater than 0, [`Error::Entry`] for a ratio that is
/// not.
///
/// # Examples
/// ```
/// use bounds::divergence::{kl_of_ratios, renyi_of_ratios};
/// // R_2 = ln(1 + chi^2), and 1 + chi^2 = r^-1/2 (2 - r)^-1/2 for one ratio below 2.
/// let r: f64 = 1.5;
/// assert!((renyi_of_ratios(2.0, &[r])? + 0.5 * (r * (2.0 - r)).ln()).abs() < 1e-15);
/// assert_eq!(renyi_of_ratios(2.0, &[2.5])?, f64::INFINITY);
/// assert!(renyi_of_ratios(0.5, &[r])? <= kl_of_ratios(&[r])?);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// M. Gil, F. Alajaji, T. Linder (2013), "Rényi divergence measures for commonly used univariate continuous
/// distributions", *Information Sciences* 249; T. van Erven, P. Harremoës (2014), "Rényi divergence
/// and Kullback–Leibler divergence", *IEEE Trans. Inf. Theory* 60(7), proposition 2 (skew symmetry).
pub fn renyi_of_ratios(alpha: f64, ratios: &[f64]) -> Result<f64, Error> {
    Error::positive("alpha", alpha)?;
    check_ratios(ratios)?;
    if alpha < 0.5 {
        // Of 1/r; its excess over 1 is taken from r - 1, since 1/r would round it.
        let inverse = ratios.iter().map(|&r| renyi_term(1.0 - alpha, (1.0 - r) / r, -r.ln()));
        return Ok(0.5 * alpha / (1.0 - alpha) * inverse.sum::<f64>());
    }
    Ok(0.5 * ratios.iter().map(|&r| renyi_term(alpha, r - 1.0, r.ln())).sum::<f64>())
}

/// Squared 2-Wasserstein distance between centred Gaussian laws with common axes, from their variances.
///
/// ```math
/// W_2^2 = \sum_i \big(\sqrt{p_i} - \sqrt{q_i}\big)^2
/// ```
///
/// in squared units of the data. The variances of both laws are listed in the same order of axes; zeros are
/// allowed.
///
/// # Errors
/// [`Error::Shape`] if the lists differ in length, [`Error::Entry`] for a variance that is negative or not
/// finite.
///
/// # Examples
/// ```
/// let squared = bounds::divergence::w2_squared_of_variances(&[4.0, 1.0], &[1.0, 0.0])?;
/// assert_eq!(squared, 1.0 + 1.0);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// D. Dowson, B. Landau (1982), "The Fréchet distance between multivariate normal distributions",
/// *J. Multivariate Anal.* 12, for commuting covariances.
pub fn w2_squared_of_variances(p: &[f64], q: &[f64]) -> Result<f64, Error> {
    Error::shape("q", &[p.len()], &[q.len()])?;
    for (parameter, variances) in [("p", p), ("q", q)] {
        let holds = |value: f64| value >= 0.0 && value.is_finite();
        Error::entries(parameter, variances.iter().copied(), "a finite number of at least 0", holds)?;
    }
    let term = |(&a, &b): (&f64, &f64)| {
        let sum = a.sqrt() + b.sqrt();
        // The quotient keeps the digits that the difference of the roots would cancel.
        if sum == 0.0 { 0.0 } else { ((a - b) / sum).powi(2) }
    };
    Ok(p.iter().zip(q).map(term).sum())
}

fn check_ratios(ratios: &[f64]) -> Result<(), Error> {
    let holds = |r: f64| r > 0.0 && r.is_finite();
    Error::entries("ratios", ratios.iter().copied(), "a finite number greater than 0", holds)
}

/// Whether $`x - \ln(1+x)`$ loses digits as written; outside, sums of it may be taken term by term.
pub(super) fn is_near_zero(x: f64) -> bool {
    (-0.5..=1.0).contains(&x)
}

/// One summand of [`renyi_of_ratios`], without its 1/2, of the ratio 1 + e for an order of at least 1/2.
fn renyi_term(alpha: f64, e: f64, ln_ratio: f64) -> f64 {
    let beta = 1.0 - alpha;
    let scaled = beta * e;
    if !(scaled > -1.0) {
        f64::INFINITY
    } else if is_near_zero(e) {
        x_minus_ln_1p(e) - renyi_correction(beta, e)
    } else if is_near_zero(scaled) {
        e - ln_ratio - renyi_correction(beta, e)
    } else {
        scaled.ln_1p() / beta - ln_ratio
    }
}

/// $`(x - \ln(1+x))/\beta`$ at $`x = \beta e > -1`$, and its limit 0 at $`\beta = 0`$: by how much a summand
/// of the Rényi divergence of order $`1 - \beta`$ falls short of the KL divergence's.
pub(super) fn renyi_correction(beta: f64, e: f64) -> f64 {
    if beta == 0.0 { 0.0 } else { x_minus_ln_1p(beta * e) / beta }
}
