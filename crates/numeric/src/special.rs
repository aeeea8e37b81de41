//! Elementary functions that keep their digits where the textbook formula loses them.
//!
//! | family | functions | lost by the textbook formula |
//! |---|---|---|
//! | logarithms of sums | [`log_sum_exp`], [`log_mean_exp`], [`softmax_into`], [`log_add_exp`], [`log_sub_exp`], [`log1p_exp`], [`log1m_exp`] | overflow, underflow, $`\ln(1 - \varepsilon)`$ |
//! | exponential integrators | [`phi_0`], [`phi_1`], [`phi_2`], [`phi_3`], [`phi_4`] | cancellation near 0 |
//! | remainders | [`x_minus_ln_1p`], [`r_minus_1_minus_ln`], [`g_minus_1_plus_exp_neg`], [`c_step`] | cancellation to second or third order |
//!
//! Scalar functions follow the conventions of `f64`: NaN goes in and comes out, an argument outside the
//! domain gives NaN, a limit that exists is returned at 0 and ±∞. The stated accuracies are relative, were
//! measured against 60-digit arithmetic on both sides of every switch, and take $`u = 2^{-53} ≈ 1.1·10^{-16}`$
//! as the unit; they assume `exp`, `exp_m1`, `ln` and `ln_1p` of the platform within one ulp.

use crate::Error;

/// $`\ln 2π`$, twice the logarithm of the normalising constant of the standard normal density.
pub const LN_2PI: f64 = 1.837_877_066_409_345_5;

/// Sum of `term(x)` by halving, so that the rounding error grows as ln n and not as n.
fn pairwise_sum(values: &[f64], term: &impl Fn(f64) -> f64) -> f64 {
    if values.len() <= 32 {
        return values.iter().map(|&x| term(x)).sum();
    }
    let (left, right) = values.split_at(values.len() / 2);
    pairwise_sum(left, term) + pairwise_sum(right, term)
}

/// Position and value of the first maximum; a NaN anywhere is the maximum. `None` if there are no values.
fn maximum(values: &[f64]) -> Option<(usize, f64)> {
    let mut best = (0, *values.first()?);
    for (i, &x) in values.iter().enumerate() {
        if x.is_nan() {
            return Some((i, x));
        }
        if x > best.1 {
            best = (i, x);
        }
    }
    Some(best)
}

/// ln Σᵢ exp(xᵢ), without overflow or underflow.
///
/// ```math
/// m + \ln\Bigl(1 + \sum_{i \ne i^*} e^{x_i - m}\Bigr), \qquad m = x_{i^*} = \max_i x_i .
/// ```
///
/// The absolute error is below $`u\,(|m| + 40 + 4 \log_2 n)`$ (the sum is pairwise), and as a rule near
/// $`u \max(|m|, 1)`$. No entries, or all of them -∞: -∞. Some entry +∞ and none NaN: +∞. Some entry NaN: NaN.
///
/// ```
/// use numeric::special::log_sum_exp;
/// assert_eq!(log_sum_exp(&[-1000.0, -1000.0]), -1000.0 + 2f64.ln());
/// assert_eq!(log_sum_exp(&[0.0, -50.0]), (-50f64).exp()); // not 0
/// assert_eq!(log_sum_exp(&[]), f64::NEG_INFINITY);
/// ```
///
/// # References
/// Blanchard, Higham, Higham (2021), Accurately computing the log-sum-exp and softmax functions, IMA J.
/// Numer. Anal. 41: the shifted formula with `ln_1p`.
#[must_use]
pub fn log_sum_exp(x: &[f64]) -> f64 {
    match maximum(x) {
        None => f64::NEG_INFINITY,
        Some((_, m)) if !m.is_finite() => m,
        Some((i, m)) => {
            let term = |x: f64| (x - m).exp();
            m + (pairwise_sum(&x[..i], &term) + pairwise_sum(&x[i + 1..], &term)).ln_1p()
        }
    }
}

/// ln of the mean of exp(xᵢ), without overflow or underflow; the constant itself, exactly, if all xᵢ are
/// equal.
///
/// The absolute error is that of [`log_sum_exp`]. When most of the terms
/// are near the largest the mean is taken of $`e^{x_i - m} - 1`$, $`m = \max_i x_i`$, so that a small
/// spread about $`m`$ keeps its digits. All entries -∞: -∞. Some entry +∞ and none NaN: +∞. Some entry NaN, or
/// no entries: NaN.
///
/// ```
/// use numeric::special::log_mean_exp;
/// assert_eq!(log_mean_exp(&[1e4; 3]), 1e4);
/// assert_eq!(log_mean_exp(&[0.0, f64::NEG_INFINITY]), -2f64.ln());
/// assert!((log_mean_exp(&[1e-20, 3e-20]) / 2e-20 - 1.0).abs() < 1e-15); // not 3e-20
/// ```
#[must_use]
pub fn log_mean_exp(x: &[f64]) -> f64 {
    let n = x.len() as f64;
    match maximum(x) {
        None => f64::NAN,
        Some((_, m)) if !m.is_finite() => m,
        Some((_, m)) => {
            let ratio = pairwise_sum(x, &|x| (x - m).exp()) / n;
            // Below 1/2 the logarithm is well conditioned, and the sum of `exp_m1` would lose ln n.
            if ratio < 0.5 {
                m + ratio.ln()
            } else {
                m + (pairwise_sum(x, &|x| (x - m).exp_m1()) / n).ln_1p()
            }
        }
    }
}

/// Softmax: out_i = exp(xᵢ) / Σⱼ exp(xⱼ). Returns the normaliser ln Σⱼ exp(xⱼ).
///
/// The entries of `out` sum to 1 within a few $`u \ln n`$; each has a relative error of a few
/// $`u\,(1 + m - x_i)`$, $`m = \max_i x_i`$. A logit of -∞ gives exactly 0. On an error `out` is not touched.
///
/// ```
/// use numeric::special::softmax_into;
/// let mut p = [0.0; 3];
/// let ln_z = softmax_into(&[1000.0, 1000.0 + 3f64.ln(), f64::NEG_INFINITY], &mut p)?;
/// assert!((p[0] - 0.25).abs() < 1e-13 && (p[1] - 0.75).abs() < 1e-13 && p[2] == 0.0);
/// assert!((ln_z - (1000.0 + 4f64.ln())).abs() < 1e-12);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # Errors
/// [`Error::Shape`] if the lengths differ, [`Error::Entry`] for a logit that is NaN or +∞, and
/// [`Error::Domain`] if there is no logit, or every one is -∞: then there is no such distribution.
pub fn softmax_into(logits: &[f64], out: &mut [f64]) -> Result<f64, Error> {
    Error::shape("out", &[logits.len()], &[out.len()])?;
    Error::entries("logits", logits.iter().copied(), "a number, or negative infinity", |x| {
        x < f64::INFINITY
    })?;
    let m = maximum(logits).map_or(f64::NEG_INFINITY, |(_, m)| m);
    Error::domain(m.is_finite(), "the greatest of `logits`", m, "at least one finite logit")?;
    for (p, &x) in out.iter_mut().zip(logits) {
        *p = (x - m).exp();
    }
    let sum = pairwise_sum(out, &|p| p);
    for p in out {
        *p /= sum;
    }
    Ok(m + sum.ln())
}

/// ln(eᵃ + eᵇ), without overflow or underflow.
///
/// The absolute error is at most $`2 u \max(|a|, |b|, 1)`$; if the larger argument is 0, the relative error is
/// at most 3 u. Infinities obey the limits, `log_add_exp(-∞, b) = b`; NaN gives NaN.
///
/// ```
/// use numeric::special::log_add_exp;
/// assert_eq!(log_add_exp(-1e4, -1e4), -1e4 + 2f64.ln());
/// assert_eq!(log_add_exp(f64::NEG_INFINITY, 3.0), 3.0);
/// ```
#[must_use]
pub fn log_add_exp(a: f64, b: f64) -> f64 {
    if a == b {
        return a + std::f64::consts::LN_2; // also where both are the same infinity
    }
    let (small, large) = if a < b { (a, b) } else { (b, a) };
    large + (small - large).exp().ln_1p()
}

/// ln(eᵃ - eᵇ) for a ≥ b, without overflow or underflow.
///
/// The absolute error is at most $`4 u \max(|a|, |\ln(1 - e^{b-a})|)`$, if $`b - a`$ is exact (Sterbenz: if it is
/// small against both); otherwise its rounding error is multiplied by $`1/(e^{a-b} - 1)`$.
/// Equal arguments give -∞ (both +∞: NaN, the difference is undefined); $`a < b`$ and NaN give NaN.
///
/// ```
/// use numeric::special::{log_add_exp, log_sub_exp};
/// let sum = log_add_exp(700.0, 710.0);
/// assert!((log_sub_exp(sum, 710.0) - 700.0).abs() < 1e-8); // conditioning e¹⁰ · 710 u
/// assert_eq!(log_sub_exp(5.0, f64::NEG_INFINITY), 5.0);
/// assert!(log_sub_exp(1.0, 2.0).is_nan());
/// ```
#[must_use]
pub fn log_sub_exp(a: f64, b: f64) -> f64 {
    if a == b {
        return if a == f64::INFINITY { f64::NAN } else { f64::NEG_INFINITY };
    }
    a + log1m_exp(b - a)
}

/// ln(1 - eˣ) for x ≤ 0, within 3 u.
///
/// `log1m_exp(0) = -∞`, `log1m_exp(-∞) = 0`; $`x > 0`$ and NaN give NaN. It is its own inverse.
///
/// ```
/// use numeric::special::log1m_exp;
/// assert_eq!(log1m_exp(-1e-20), 1e-20_f64.ln());
/// assert_eq!(log1m_exp(-50.0), -(-50f64).exp());
/// ```
///
/// # References
/// Mächler (2012), Accurately computing log(1 - exp(-|a|)), vignette of the R package Rmpfr: the switch at -ln 2.
#[must_use]
pub fn log1m_exp(x: f64) -> f64 {
    if x > -std::f64::consts::LN_2 { (-x.exp_m1()).ln() } else { (-x.exp()).ln_1p() }
}

/// ln(1 + eˣ), the softplus function, within 3 u.
///
/// `log1p_exp(-∞) = 0`, `log1p_exp(+∞) = +∞`; NaN gives NaN. Splitting at 0, as here, keeps every term
/// positive; the further switches of Mächler (2012) save time and no digits.
///
/// ```
/// use numeric::special::log1p_exp;
/// assert_eq!(log1p_exp(0.0), 2f64.ln());
/// assert_eq!(log1p_exp(1e5), 1e5);
/// assert_eq!(log1p_exp(-50.0), (-50f64).exp());
/// ```
#[must_use]
pub fn log1p_exp(x: f64) -> f64 {
    if x > 0.0 { x + (-x).exp().ln_1p() } else { x.exp().ln_1p() }
}

/// φ₀(z) = eᶻ, the first of the φ functions of exponential integrators.
///
/// ```math
/// φ_k(z) = \sum_{j \ge 0} \frac{z^j}{(j + k)!}, \qquad z\,φ_{k+1}(z) = φ_k(z) - \frac{1}{k!}, \qquad
/// φ_k(0) = \frac{1}{k!} .
/// ```
///
/// ```
/// use numeric::special::{phi_0, phi_1, phi_2, phi_3};
/// assert_eq!([phi_0(0.0), phi_1(0.0), phi_2(0.0), phi_3(0.0)], [1.0, 1.0, 0.5, 1.0 / 6.0]);
/// ```
///
/// # References
/// Hochbruck, Ostermann (2010), Exponential integrators, Acta Numerica 19, section 2.
#[must_use]
pub fn phi_0(z: f64) -> f64 {
    z.exp()
}

/// φ₁(z) = (eᶻ - 1) / z, within 3 u; 0 at -∞ and +∞ at +∞.
///
/// It overflows only where its value does (near $`z = 716`$), not where $`e^z`$ does.
///
/// ```
/// use numeric::special::phi_1;
/// assert_eq!(phi_1(0.0), 1.0);
/// assert_eq!(phi_1(-1e-9), 1.0 - 0.5e-9);
/// assert!((phi_1(2f64.ln()) * 2f64.ln() - 1.0).abs() < 1e-15);
/// ```
#[must_use]
pub fn phi_1(z: f64) -> f64 {
    if z == 0.0 {
        1.0
    } else if z > PHI_LARGE {
        phi_large(z, 1)
    } else {
        z.exp_m1() / z
    }
}

/// φ₂(z) = (eᶻ - 1 - z) / z², within 4 u; 0 at -∞ and +∞ at +∞.
///
/// Series for $`|z| < 2`$, beyond it the recurrence $`(φ_1(z) - 1)/z`$, which there loses less than two bits.
///
/// ```
/// use numeric::special::phi_2;
/// assert_eq!(phi_2(0.0), 0.5);
/// assert!((phi_2(-3.0) * 9.0 - (2.0 + (-3f64).exp())).abs() < 1e-14);
/// ```
#[must_use]
pub fn phi_2(z: f64) -> f64 {
    if z.abs() < 2.0 {
        0.5 * phi_series(z, 2.0)
    } else if z > PHI_LARGE {
        phi_large(z, 2)
    } else {
        (phi_1(z) - 1.0) / z
    }
}

/// φ₃(z) = (eᶻ - 1 - z - z²/2) / z³, within 8 u; 0 at -∞ and +∞ at +∞.
///
/// Series for $`|z| < 2`$, beyond it the recurrence $`(φ_2(z) - 1/2)/z`$.
///
/// ```
/// use numeric::special::phi_3;
/// assert_eq!(phi_3(0.0), 1.0 / 6.0);
/// assert!((phi_3(1.0) - (1f64.exp() - 2.5)).abs() < 1e-15);
/// ```
#[must_use]
pub fn phi_3(z: f64) -> f64 {
    if z.abs() < 2.0 {
        phi_series(z, 3.0) / 6.0
    } else if z > PHI_LARGE {
        phi_large(z, 3)
    } else {
        (phi_2(z) - 0.5) / z
    }
}

/// φ₄(z) = (eᶻ - 1 - z - z²/2 - z³/6) / z⁴, within 16 u; 0 at -∞ and +∞ at +∞.
///
/// Series for $`|z| < 2`$, beyond it the recurrence $`(φ_3(z) - 1/6)/z`$.
///
/// ```
/// use numeric::special::phi_4;
/// assert_eq!(phi_4(0.0), 1.0 / 24.0);
/// assert!((phi_4(1.0) - (1f64.exp() - 8.0 / 3.0)).abs() < 1e-15);
/// ```
#[must_use]
pub fn phi_4(z: f64) -> f64 {
    if z.abs() < 2.0 {
        phi_series(z, 4.0) / 24.0
    } else if z > PHI_LARGE {
        phi_large(z, 4)
    } else {
        (phi_3(z) - 1.0 / 6.0) / z
    }
}

/// Above it the powers subtracted from $`e^z`$ are below its last bit by hundreds of orders of magnitude.
const PHI_LARGE: f64 = 700.0;

/// $`e^z / z^k`$, without overflow before the value itself.
fn phi_large(z: f64, k: i32) -> f64 {
    // e^750 / 750³ > 10^316; it also keeps ∞/∞ away.
    if z > 750.0 {
        return f64::INFINITY;
    }
    let half = (0.5 * z).exp();
    half / z.powi(k) * half
}

/// $`k!\,φ_k(z) = 1 + \frac{z}{k+1}(1 + \frac{z}{k+2}(1 + …))`$ for $`|z| < 2`$; the first term left out is
/// below $`2^{25}\,2!/27!`$, or $`4^{-13}\,2!/15!`$ for $`|z| < 1/4`$: below $`10^{-19}`$.
fn phi_series(z: f64, k: f64) -> f64 {
    let terms = if z.abs() < 0.25 { 12 } else { 24 };
    (1..=terms).rev().fold(1.0, |sum, j| 1.0 + z / (k + f64::from(j)) * sum)
}

/// x - ln(1 + x) ≥ 0 for x > -1, within 5 u; x²/2 - x³/3 + … near 0.
///
/// +∞ at -1 and at +∞; $`x < -1`$ and NaN give NaN. For $`-1/2 ≤ x ≤ 1`$, with $`s = x/(2 + x)`$,
///
/// ```math
/// x - \ln(1 + x) = x - 2\,\mathrm{artanh}\,s = s\,x - 2\Bigl(\frac{s^3}{3} + \frac{s^5}{5} + \dots\Bigr).
/// ```
///
/// ```
/// use numeric::special::x_minus_ln_1p;
/// assert_eq!(x_minus_ln_1p(1e-100), 0.5e-200);
/// assert!((x_minus_ln_1p(1.0) - (1.0 - 2f64.ln())).abs() < 1e-15);
/// ```
#[must_use]
#[inline]
pub fn x_minus_ln_1p(x: f64) -> f64 {
    if x == f64::INFINITY {
        return x;
    }
    if !(-0.5..=1.0).contains(&x) {
        return x - x.ln_1p();
    }
    let s = x / (2.0 + x);
    let q = s * s;
    // |s| ≤ 1/3: what is left out is below 9⁻¹⁷ / 37; or |s| < 1/32: below 2⁻⁶⁰ / 15.
    let tail = if q < 1.0 / 1024.0 {
        (0..6).rev().fold(0.0, |sum, j| 1.0 / f64::from(2 * j + 3) + q * sum)
    } else {
        (0..17).rev().fold(0.0, |sum, j| 1.0 / f64::from(2 * j + 3) + q * sum)
    };
    s * (x - 2.0 * q * tail)
}

/// r - 1 - ln r ≥ 0 for r > 0, within 6 u: the variance part of a Gaussian Kullback–Leibler divergence.
///
/// ```math
/// \mathrm{KL}\bigl(N(0, σ_1^2) \,\|\, N(0, σ_2^2)\bigr) = \tfrac12 (r - 1 - \ln r), \qquad r = σ_1^2/σ_2^2 .
/// ```
///
/// +∞ at 0 and at +∞; $`r < 0`$ and NaN give NaN. Where $`r - 1`$ is known better than $`r`$ can hold it, call
/// [`x_minus_ln_1p`].
///
/// ```
/// use numeric::special::r_minus_1_minus_ln;
/// assert_eq!(r_minus_1_minus_ln(1.0), 0.0);
/// let x = 2f64.powi(-40); // r - 1 exactly
/// assert!((r_minus_1_minus_ln(1.0 + x) / (x * x / 2.0 - x * x * x / 3.0) - 1.0).abs() < 1e-15);
/// ```
#[must_use]
#[inline]
pub fn r_minus_1_minus_ln(r: f64) -> f64 {
    if r == f64::INFINITY {
        return r;
    }
    // There r - 1 is exact (Sterbenz).
    if (0.5..=2.0).contains(&r) { x_minus_ln_1p(r - 1.0) } else { r - 1.0 - r.ln() }
}

/// g - 1 + e⁻ᵍ = g² φ₂(-g) ≥ 0, within 5 u; g²/2 - g³/6 + … near 0.
///
/// +∞ at ±∞; NaN gives NaN.
///
/// ```
/// use numeric::special::g_minus_1_plus_exp_neg;
/// assert_eq!(g_minus_1_plus_exp_neg(1e-100), 0.5e-200);
/// assert_eq!(g_minus_1_plus_exp_neg(1.0), (-1f64).exp());
/// ```
#[must_use]
pub fn g_minus_1_plus_exp_neg(g: f64) -> f64 {
    if g.abs() < 2.0 {
        g * g * phi_2(-g)
    } else if g == f64::NEG_INFINITY {
        f64::INFINITY
    } else {
        g + (-g).exp_m1()
    }
}

/// c(g) = g - 2(1 - e⁻ᵍ) + (1 - e⁻²ᵍ)/2, within 12 u; g³/3 - g⁴/4 + 7g⁵/60 - … near 0.
///
/// It is $`\int_0^g (1 - e^{-t})^2\,dt`$, increasing, with the sign of $`g`$, ±∞ at ±∞; NaN gives NaN. For
/// $`|g| < 3/2`$ it is computed as $`2 g^3 (2 φ_3(-2g) - φ_3(-g))`$, beyond as $`g + e - e^2/2`$ with
/// $`e = e^{-g} - 1`$; for $`|g| < 1/16`$ by its series $`\sum_{n \ge 3} (-1)^{n+1} (2^{n-1} - 2)\,g^n/n!`$.
///
/// ```
/// use numeric::special::c_step;
/// let g = 1e-3;
/// let series = g * g * g * (1.0 / 3.0 - g / 4.0 + 7.0 * g * g / 60.0 - g * g * g / 24.0);
/// assert!((c_step(g) / series - 1.0).abs() < 1e-12);
/// assert_eq!(c_step(100.0), 98.5);
/// ```
#[must_use]
#[inline]
pub fn c_step(g: f64) -> f64 {
    if g.abs() < 0.0625 {
        // From n = 12 down to 3; what is left out is below 2⁻⁵⁷ of the first.
        const TERMS: [f64; 10] = [
            -31.0 / 7_257_600.0,
            73.0 / 2_851_200.0,
            -17.0 / 120_960.0,
            127.0 / 181_440.0,
            -1.0 / 320.0,
            31.0 / 2_520.0,
            -1.0 / 24.0,
            7.0 / 60.0,
            -0.25,
            1.0 / 3.0,
        ];
        g * g * g * TERMS.iter().fold(0.0, |sum, term| term + g * sum)
    } else if g.abs() < 1.5 {
        2.0 * g * g * g * (2.0 * phi_3(-2.0 * g) - phi_3(-g))
    } else {
        let e = (-g).exp_m1();
        g + e * (1.0 - 0.5 * e)
    }
}
