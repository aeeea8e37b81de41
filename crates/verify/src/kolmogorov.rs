//! Kolmogorov-Smirnov tests, one sample and two.

use std::f64::consts::PI;

use numeric::Error;
use numeric::ndarray::Array2;
use statrs::function::gamma::ln_gamma;

use crate::fit::{GoodnessOfFit, sorted, transformed};

/// Up to this sample size the exact matrix formula is used.
const EXACT_UP_TO: u64 = 500;
/// From this $`n d^2`$ on, the two one-sided events practically exclude each other: their overlap is
/// $`e^{-6 n d^2}`$ of the whole. Two values, for up to [`EXACT_UP_TO`] observations and for more.
const TAIL_FROM: [f64; 2] = [4.0, 2.2];
/// Largest product of two sample sizes for which the two-sample law is computed exactly.
const LATTICE_UP_TO: usize = 30_000_000;

/// Kolmogorov-Smirnov test of a sample against a continuous, fully specified CDF $`F`$.
///
/// ```math
/// D_n = \sup_x |F_n(x) - F(x)| = \max_i \max\{ i/n - u_{(i)},\; u_{(i)} - (i-1)/n \}, \qquad u_i = F(x_i).
/// ```
///
/// The p-value is [`kolmogorov_p_value`]`(n, D_n)`. For a law with atoms the test is conservative; use
/// [`chi_squared`](crate::chi_squared) instead. A CDF with parameters fitted to the same sample makes the
/// p-value far too large.
///
/// # Errors
/// The sample is empty or has an entry that is not finite; the CDF returns something outside $`[0, 1]`$ or
/// decreases.
///
/// ```
/// // The mid-quantiles of a law are the sample that fits it best: D = 1/(2n), and p = 1.
/// let sample: Vec<f64> = (0..10).map(|i| (i as f64 + 0.5) / 10.0).collect();
/// let fit = verify::kolmogorov_smirnov(&sample, |x| x)?;
/// assert!((fit.statistic - 0.05).abs() < 1e-15 && fit.p_value == 1.0);
/// // As a sample of the square of a uniform number, F(x) = sqrt x, they are refused: D is about 1/4.
/// let thousand: Vec<f64> = (0..1000).map(|i| (i as f64 + 0.5) / 1000.0).collect();
/// assert!(verify::kolmogorov_smirnov(&thousand, f64::sqrt)?.p_value < 1e-50);
/// # Ok::<(), verify::Error>(())
/// ```
pub fn kolmogorov_smirnov(sample: &[f64], cdf: impl Fn(f64) -> f64) -> Result<GoodnessOfFit, Error> {
    let u = transformed(sample, cdf)?;
    let n = u.len() as f64;
    let distance = |(i, &u): (usize, &f64)| ((i + 1) as f64 / n - u).max(u - i as f64 / n);
    let statistic = u.iter().enumerate().map(distance).fold(0.0, f64::max);
    Ok(GoodnessOfFit { statistic, p_value: survival(u.len() as u64, statistic), n: u.len() as u64 })
}

/// $`P(D_n \ge d)`$ for the one-sample Kolmogorov-Smirnov statistic of `n` observations of a continuous law.
///
/// | where | how | accuracy |
/// |---|---|---|
/// | $`d \ge 1/2`$ | twice the one-sided law (Smirnov 1944), here exact | relative error below $`10^{-9}`$ |
/// | $`n d^2 \ge 4`$ (2.2 if $`n > 500`$) | the same, an upper bound | relative error below $`10^{-5}`$ |
/// | $`n \le 500`$ | exact: Marsaglia, Tsang and Wang (2003) | relative error below $`10^{-10}`$ |
/// | otherwise | Kolmogorov's limit, argument corrected (Vrbik) | absolute error below $`5 \cdot 10^{-5}`$ |
///
/// # Errors
/// `n` is 0, or `statistic` is outside $`[0, 1]`$.
///
/// # References
/// Marsaglia, Tsang, Wang (2003), Evaluating Kolmogorov's distribution, J. Stat. Softw. 8(18). Vrbik (2018),
/// Small-sample corrections to Kolmogorov-Smirnov test statistic, Pioneer J. Theor. Appl. Stat. 15. The
/// choice of regions follows Simard and L'Ecuyer (2011), J. Stat. Softw. 39(11).
///
/// ```
/// // Table of critical values: n = 10, 5 %: 0.40925.
/// assert!((verify::kolmogorov_p_value(10, 0.40925)? - 0.05).abs() < 1e-5);
/// // One observation: D = max(u, 1 - u), hence P(D >= d) = 2 (1 - d).
/// assert!((verify::kolmogorov_p_value(1, 0.975)? - 0.05).abs() < 1e-14);
/// # Ok::<(), verify::Error>(())
/// ```
pub fn kolmogorov_p_value(n: u64, statistic: f64) -> Result<f64, Error> {
    Error::domain(n > 0, "n", 0.0, "at least 1")?;
    Error::domain((0.0..=1.0).contains(&statistic), "statistic", statistic, "a number in [0, 1]")?;
    Ok(survival(n, statistic))
}

fn survival(n: u64, d: f64) -> f64 {
    let size = n as f64;
    // Never below 1/(2n), to rounding; the matrix below would have k = 1 and cancel.
    if d <= 0.5 / size * (1.0 + 1e-12) {
        1.0
    } else if d >= 1.0 {
        0.0
    } else if d >= 0.5 || size * d * d >= TAIL_FROM[usize::from(n > EXACT_UP_TO)] {
        (2.0 * one_sided(size, d)).min(1.0)
    } else if n <= EXACT_UP_TO {
        1.0 - marsaglia_tsang_wang(n as u32, d)
    } else {
        let z = d * size.sqrt();
        kolmogorov_limit(z + 1.0 / (6.0 * size.sqrt()) + (z - 1.0) / (4.0 * size))
    }
}

/// $`P(D_n^+ \ge d) = d \sum_{j \le n(1-d)} \binom nj (1 - d - j/n)^{n-j} (d + j/n)^{j-1}`$, all terms
/// positive.
fn one_sided(n: f64, d: f64) -> f64 {
    let ln_n_factorial = ln_gamma(n + 1.0);
    let last = (n * (1.0 - d)).floor() as u64;
    let term = |j: u64| {
        let j = j as f64;
        let ln_choose = ln_n_factorial - ln_gamma(j + 1.0) - ln_gamma(n - j + 1.0);
        let below = (1.0 - d - j / n).max(0.0);
        (ln_choose + (n - j) * below.ln() + (j - 1.0) * (d + j / n).ln()).exp()
    };
    d * (0..=last).map(term).sum::<f64>()
}

/// $`P(D_n < d) = \frac{n!}{n^n} (H^n)_{kk}`$ with the $`(2k-1) \times (2k-1)`$ matrix of the paper.
fn marsaglia_tsang_wang(n: u32, d: f64) -> f64 {
    let scaled = f64::from(n) * d;
    let k = scaled as usize + 1;
    let h = k as f64 - scaled;
    let m = 2 * k - 1;
    let mut matrix = Array2::from_shape_fn((m, m), |(i, j)| if i + 1 >= j { 1.0 } else { 0.0 });
    for i in 0..m {
        matrix[[i, 0]] -= h.powi(i as i32 + 1);
        matrix[[m - 1, i]] -= h.powi((m - i) as i32);
    }
    matrix[[m - 1, 0]] += (2.0 * h - 1.0).max(0.0).powi(m as i32);
    let inverse_factorials: Vec<f64> = (0..=m)
        .scan(1.0, |value, i| {
            *value /= i.max(1) as f64;
            Some(*value)
        })
        .collect();
    for ((i, j), entry) in matrix.indexed_iter_mut() {
        *entry *= inverse_factorials[(i + 1).saturating_sub(j)];
    }
    // H^n by squaring, each factor divided by its central entry; the logarithms are added up.
    let normalise = |matrix: Array2<f64>| {
        let centre = matrix[[k - 1, k - 1]];
        (matrix / centre, centre.ln())
    };
    let (mut square, mut ln_square) = normalise(matrix);
    let (mut power, mut ln_power) = (Array2::eye(m), 0.0);
    let mut exponent = n;
    loop {
        if exponent & 1 == 1 {
            let (product, ln_centre) = normalise(power.dot(&square));
            (power, ln_power) = (product, ln_power + ln_square + ln_centre);
        }
        exponent >>= 1;
        if exponent == 0 {
            break;
        }
        let (product, ln_centre) = normalise(square.dot(&square));
        (square, ln_square) = (product, 2.0 * ln_square + ln_centre);
    }
    let size = f64::from(n);
    (ln_power + ln_gamma(size + 1.0) - size * size.ln()).exp().min(1.0)
}

/// $`\lim_n P(D_n \sqrt n \ge z)`$: Kolmogorov's series, or its theta transform where that converges faster.
fn kolmogorov_limit(z: f64) -> f64 {
    if z < 0.05 {
        1.0 // the next line would be exp(-493) away from 1, and 0/0 at z = 0
    } else if z < 1.0 {
        let term = |k: i32| (-(f64::from(2 * k - 1) * PI / z).powi(2) / 8.0).exp();
        1.0 - (2.0 * PI).sqrt() / z * (1..=5).map(term).sum::<f64>()
    } else {
        let term = |k: i32| f64::from(1 - 2 * ((k + 1) % 2)) * (-2.0 * (f64::from(k) * z).powi(2)).exp();
        2.0 * (1..=5).map(term).sum::<f64>()
    }
}

/// Kolmogorov-Smirnov test that two samples have the same law; ties allowed.
///
/// With $`D = \sup_x |F_n(x) - G_m(x)|`$ the p-value is the share of all $`\binom{n+m}{n}`$ splits of the
/// pooled sample whose statistic is at least as large: exact, also for discrete laws and ties, and accurate
/// in the far tail, by a recursion of positive terms along the lattice paths (Schröer and Trenkler 1995).
/// Where $`n m > 3 \cdot 10^7`$ it is Kolmogorov's limit at $`D \sqrt{nm/(n+m)}`$: relative error $`O(1/n)`$
/// for equal sizes, otherwise too large by a relative $`O(1/\sqrt n)`$, and conservative where there are
/// ties.
///
/// # Errors
/// A sample is empty or has an entry that is not finite.
///
/// # References
/// Schröer, Trenkler (1995), Exact and randomization distributions of Kolmogorov-Smirnov tests for two or
/// three samples, Comput. Stat. Data Anal. 20.
///
/// ```
/// // Separated samples: only 2 of the 20 splits of six values are as extreme.
/// let fit = verify::kolmogorov_smirnov_two_sample(&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0])?;
/// assert_eq!((fit.statistic, fit.n), (1.0, 6));
/// assert!((fit.p_value - 0.1).abs() < 1e-15);
/// # Ok::<(), verify::Error>(())
/// ```
pub fn kolmogorov_smirnov_two_sample(a: &[f64], b: &[f64]) -> Result<GoodnessOfFit, Error> {
    let (a, b) = (sorted("a", a)?, sorted("b", b)?);
    let (n, m) = (a.len(), b.len());
    let mut pooled = [a.as_slice(), b.as_slice()].concat();
    pooled.sort_unstable_by(f64::total_cmp);
    // Distances are compared as integers, |i m - j n|: equality must be exact.
    let gap = |i: usize, j: usize| (i as u128 * m as u128).abs_diff(j as u128 * n as u128);
    let (mut i, mut j, mut widest) = (0, 0, 0);
    while i < n && j < m {
        let x = a[i].min(b[j]);
        i += a[i..].iter().take_while(|&&value| value == x).count();
        j += b[j..].iter().take_while(|&&value| value == x).count();
        widest = widest.max(gap(i, j));
    }
    let statistic = widest as f64 / (n as f64 * m as f64);
    let p_value = if widest == 0 {
        1.0
    } else if n.saturating_mul(m) <= LATTICE_UP_TO {
        lattice(n, m, &pooled, |i, j| gap(i, j) >= widest)
    } else {
        kolmogorov_limit(statistic * (n as f64 * m as f64 / (n + m) as f64).sqrt())
    };
    Ok(GoodnessOfFit { statistic, p_value, n: (n + m) as u64 })
}

/// Probability that a uniform lattice path from (0, 0) to (n, m) visits a point that is `far` and not inside
/// a tie.
fn lattice(n: usize, m: usize, pooled: &[f64], far: impl Fn(usize, usize) -> bool) -> f64 {
    let counts = |taken: usize| taken == pooled.len() || taken == 0 || pooled[taken - 1] != pooled[taken];
    let mut column = vec![0.0; m + 1];
    for i in 0..=n {
        for j in 0..=m {
            // The last step into (i, j) came from (i - 1, j) with probability i/(i + j).
            let stepped = if i + j == 0 {
                0.0
            } else {
                let left = if j > 0 { column[j - 1] * j as f64 } else { 0.0 };
                (column[j] * i as f64 + left) / (i + j) as f64
            };
            column[j] = if counts(i + j) && far(i, j) { 1.0 } else { stepped };
        }
    }
    column[m]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_values() {
        // Marsaglia, Tsang, Wang (2003), section 3: Pr(D_10 < 0.274) = 0.6284796154565043.
        assert!((1.0 - survival(10, 0.274) - 0.628_479_615_456_504).abs() < 1e-13);
        // Miller (1956), Table of percentage points of Kolmogorov statistics, two-sided 5 % and 1 %.
        for (n, five, one) in [(5, 0.56328, 0.66853), (20, 0.29408, 0.35241), (100, 0.13403, 0.16081)] {
            assert!((survival(n, five) - 0.05).abs() < 2e-5, "{n}");
            assert!((survival(n, one) - 0.01).abs() < 1e-5, "{n}");
        }
        // Limit: 1.3581 at 5 %, 1.6276 at 1 %.
        assert!((kolmogorov_limit(1.358_099) - 0.05).abs() < 1e-6);
        assert!((kolmogorov_limit(1.627_624) - 0.01).abs() < 1e-6);
        assert!((kolmogorov_limit(1.0 - 1e-12) - kolmogorov_limit(1.0)).abs() < 1e-11);
    }

    #[test]
    fn small_n_closed_forms() {
        // P(D_1 >= d) = 2 (1 - d); n = 2: P(D_2 >= d) = 2 (1 - d)^2 for d >= 1/2.
        for d in [0.5001, 0.7, 0.9999] {
            assert!((survival(1, d) - 2.0 * (1.0 - d)).abs() < 1e-14);
            assert!((survival(2, d) - 2.0 * (1.0 - d) * (1.0 - d)).abs() < 1e-14);
        }
        // n = 2, 1/4 <= d <= 1/2: P(D_2 < d) = 2 (2d - 1/2)^2.
        for d in [0.3, 0.4, 0.4999] {
            assert!((survival(2, d) - (1.0 - 2.0 * (2.0 * d - 0.5_f64).powi(2))).abs() < 1e-13);
        }
        assert_eq!((survival(7, 0.0), survival(7, 1.0), survival(7, 0.5 / 7.0)), (1.0, 0.0, 1.0));
    }

    #[test]
    fn the_three_regions_meet() {
        // Exact against twice the one-sided law on both sides of the switch.
        for n in [17_u32, 30, 140, 500] {
            let d = (TAIL_FROM[0] / f64::from(n)).sqrt() * 0.9999;
            let (exact, tail) = (1.0 - marsaglia_tsang_wang(n, d), 2.0 * one_sided(f64::from(n), d));
            assert!((exact / tail - 1.0).abs() < 1e-8, "n = {n}: {exact:e} {tail:e}");
        }
        // Exact against the corrected limit and the tail, just above the switch of n: the stated accuracies.
        let n = EXACT_UP_TO as u32 + 1;
        for step in 1..85 {
            let d = (0.3 + 0.02 * f64::from(step)) / f64::from(n).sqrt();
            let (found, exact) = (survival(u64::from(n), d), 1.0 - marsaglia_tsang_wang(n, d));
            let tail = f64::from(n) * d * d >= TAIL_FROM[1];
            let allowed = if tail { 1e-5 * exact } else { 5e-5 };
            assert!((found - exact).abs() < allowed, "{step}: {found} {exact}");
        }
    }

    #[test]
    fn two_samples_against_enumeration() {
        // All splits of a pooled sample with ties: the definition, by brute force.
        let pooled = [0.0, 0.0, 1.0, 2.0, 2.0, 2.0, 3.0, 5.0, 5.0];
        let split = |mask: u32| -> (Vec<f64>, Vec<f64>) {
            let side = |bit| (0..9).filter(|i| (mask >> i) & 1 == bit).map(|i| pooled[i]).collect();
            (side(1), side(0))
        };
        let masks: Vec<u32> = (0..512_u32).filter(|mask| mask.count_ones() == 4).collect();
        let statistic = |mask: u32| {
            let (a, b) = split(mask);
            let cdf = |s: &[f64], x: f64| s.iter().filter(|&&v| v <= x).count() as f64 / s.len() as f64;
            pooled.iter().map(|&x| (cdf(&a, x) - cdf(&b, x)).abs()).fold(0.0, f64::max)
        };
        for &mask in &masks {
            let (a, b) = split(mask);
            let fit = kolmogorov_smirnov_two_sample(&a, &b).unwrap();
            assert!((fit.statistic - statistic(mask)).abs() < 1e-14);
            let extreme = masks.iter().filter(|&&other| statistic(other) >= statistic(mask) - 1e-12).count();
            assert!((fit.p_value - extreme as f64 / masks.len() as f64).abs() < 1e-13);
        }
    }

    #[test]
    fn two_samples_exact_and_limit_agree() {
        // Equal sizes, no ties: P(D >= c/n) = 2 sum (-1)^(j-1) C(2n, n - jc)/C(2n, n); the limit is O(1/n)
        // away.
        let n = 2000_usize;
        for c in [40, 61, 90, 150] {
            let a: Vec<f64> = (0..n).map(|i| i as f64).collect();
            let b: Vec<f64> = a.iter().map(|x| x + c as f64 - 0.5).collect();
            let fit = kolmogorov_smirnov_two_sample(&a, &b).unwrap();
            assert_eq!(fit.statistic, c as f64 / n as f64);
            let limit = kolmogorov_limit(fit.statistic * (n as f64 / 2.0).sqrt());
            assert!((fit.p_value / limit - 1.0).abs() < 20.0 / n as f64, "{} {limit}", fit.p_value);
        }
    }

    #[test]
    fn bad_input_is_refused() {
        assert!(kolmogorov_smirnov(&[], |x| x).is_err());
        assert!(kolmogorov_smirnov(&[0.1, f64::NAN], |x| x).is_err());
        assert!(kolmogorov_smirnov(&[0.1, 0.2], |_| f64::NAN).is_err());
        assert!(kolmogorov_smirnov(&[0.1, 0.2], |x| 1.0 - x).is_err());
        assert!(kolmogorov_smirnov(&[2.0], |x| x).is_err());
        assert!(kolmogorov_smirnov_two_sample(&[1.0], &[]).is_err());
        assert!(kolmogorov_p_value(0, 0.1).is_err());
        assert!(kolmogorov_p_value(5, f64::NAN).is_err());
        assert!(kolmogorov_p_value(5, 1.1).is_err());
    }
}
