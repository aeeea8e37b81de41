//! Poisson and binomial numbers.

use super::RowStream;
use crate::elementary::ln_1p_in_place;
use crate::exp::exp_in_place;
use crate::special::x_minus_ln_1p;

/// Means below are drawn by inversion, the others by rejection.
const SMALL: f64 = 10.0;

/// A number of trials or a mean up to which `f64` counts exactly.
const LARGE: f64 = 4_503_599_627_370_496.0;

/// No number of a law with a small mean is as great, to $`10^{-70}`$.
const FAR: u64 = 120;

impl RowStream {
    /// The next Poisson number, from a random number of `u64`: by inversion below mean 10, by transformed rejection above.
    ///
    /// Exact: what is wrong is the rounding of probabilities, about $`10^{-15}`$ relative to them. The same bits on every
    /// machine.
    ///
    /// ```
    /// let mut stream = numeric::Noise::new(2).row_stream(0);
    /// let mean = (0..10_000).map(|_| stream.poisson(30.0) as f64).sum::<f64>() / 10_000.0;
    /// assert!((mean - 30.0).abs() < 4.0 * 0.055);
    /// assert_eq!(stream.poisson(0.0), 0);
    /// ```
    ///
    /// # Panics
    /// If the mean is negative, NaN or greater than $`2^{52}`$.
    ///
    /// # References
    /// Hörmann (1993), *The transformed rejection method for generating Poisson random variables*, algorithm PTRS.
    pub fn poisson(&mut self, mean: f64) -> u64 {
        assert!((0.0..=LARGE).contains(&mean), "a Poisson mean from 0 to 2^52, not {mean}");
        if mean < SMALL {
            let none = exp(-mean);
            return self.invert(none, |k| mean / k as f64);
        }
        let b = 0.931 + 2.53 * mean.sqrt();
        let a = -0.059 + 0.02483 * b;
        let inverse_alpha = 1.1239 + 1.1328 / (b - 3.4);
        let inside = 0.9277 - 3.6224 / (b - 2.0);
        loop {
            let (u, v) = (self.uniform() - 0.5, self.uniform());
            let distance = 0.5 - u.abs();
            let k = ((2.0 * a / distance + b) * u + mean + 0.43).floor();
            if distance >= 0.07 && v <= inside {
                return k as u64;
            }
            if k < 0.0 || (distance < 0.013 && v > distance) {
                continue;
            }
            if v * inverse_alpha / (a / (distance * distance) + b) <= poisson_probability(mean, k) {
                return k as u64;
            }
        }
    }

    /// The next binomial number, from a random number of `u64`: by inversion below mean 10, by transformed rejection above.
    ///
    /// Exact and the same on every machine, as [`poisson`](RowStream::poisson).
    ///
    /// ```
    /// let mut stream = numeric::Noise::new(2).row_stream(0);
    /// let mean = (0..10_000).map(|_| stream.binomial(100, 0.7) as f64).sum::<f64>() / 10_000.0;
    /// assert!((mean - 70.0).abs() < 4.0 * 0.046);
    /// assert_eq!((stream.binomial(9, 0.0), stream.binomial(9, 1.0), stream.binomial(0, 0.5)), (0, 9, 0));
    /// ```
    ///
    /// # Panics
    /// If the probability is not between 0 and 1, or there are more than $`2^{52}`$ trials.
    ///
    /// # References
    /// Hörmann (1993), *The generation of binomial random variates*, algorithm BTRS.
    pub fn binomial(&mut self, trials: u64, probability: f64) -> u64 {
        assert!((0.0..=1.0).contains(&probability), "a probability, not {probability}");
        assert!(trials as f64 <= LARGE, "at most 2^52 trials, not {trials}");
        if probability > 0.5 {
            return trials - self.binomial(trials, 1.0 - probability);
        }
        let (n, p, q) = (trials as f64, probability, 1.0 - probability);
        if n * p < SMALL {
            let (odds, none) = (p / q, exp(n * ln_1p(-p)));
            // The ratio is 0 after the last number.
            return self.invert(none, |k| odds * ((n + 1.0 - k as f64) / k as f64).max(0.0));
        }
        let spread = (n * p * q).sqrt();
        let b = 1.15 + 2.53 * spread;
        let a = -0.0873 + 0.0248 * b + 0.01 * p;
        let alpha = (2.83 + 5.1 / b) * spread;
        let inside = 0.92 - 4.2 / b;
        let mode = ((n + 1.0) * p).floor();
        loop {
            let (u, v) = (self.uniform() - 0.5, self.uniform());
            let distance = 0.5 - u.abs();
            let k = ((2.0 * a / distance + b) * u + n * p + 0.5).floor();
            if distance >= 0.07 && v <= inside {
                return k as u64;
            }
            if !(0.0..=n).contains(&k) {
                continue;
            }
            if v * alpha / (a / (distance * distance) + b) <= binomial_ratio(n, p, q, k, mode) {
                return k as u64;
            }
        }
    }

    /// The number whose distribution function passes a uniform, given the probability of 0 and the ratio of that of k to that
    /// of k - 1.
    fn invert(&mut self, none: f64, ratio: impl Fn(u64) -> f64) -> u64 {
        loop {
            let (mut rest, mut weight) = (self.uniform(), none);
            for k in 0..FAR {
                if k > 0 {
                    weight *= ratio(k);
                }
                if rest <= weight {
                    return k;
                }
                rest -= weight;
            }
            // Rounding has left a uniform of nearly 1 beyond the sum of all.
        }
    }
}

/// $`e^{-m} m^k/k!`$, from its logarithm relative to the peak, which does not cancel (Loader 2000).
fn poisson_probability(mean: f64, k: f64) -> f64 {
    if k == 0.0 {
        return exp(-mean);
    }
    exp(-stirling_error(k) - deviance(k, mean)) / (std::f64::consts::TAU * k).sqrt()
}

/// The probability of k divided by that of the mode.
fn binomial_ratio(n: f64, p: f64, q: f64, k: f64, mode: f64) -> f64 {
    // Without the factor √(n/2π) e^{δ(n)} that all have.
    let ln_part =
        |k: f64| -stirling_error(k) - stirling_error(n - k) - deviance(k, n * p) - deviance(n - k, n * q);
    let top = ln_part(mode);
    if k == 0.0 || k == n {
        let ln_all = n * if k == 0.0 { ln_1p(-p) } else { ln_1p(-q) };
        return exp(ln_all - top - stirling_error(n))
            * (std::f64::consts::TAU * mode * ((n - mode) / n)).sqrt();
    }
    exp(ln_part(k) - top) * (mode / k * ((n - mode) / (n - k))).sqrt()
}

/// $`k \ln(k/m) + m - k \ge 0`$ for k > 0.
fn deviance(k: f64, mean: f64) -> f64 {
    let x = (mean - k) / k;
    k * if (-0.5..=1.0).contains(&x) { x_minus_ln_1p(x) } else { x - ln_1p(x) }
}

/// $`\ln k! - \ln(\sqrt{2 \pi k}\, (k/e)^k)`$ for integers k > 0.
fn stirling_error(k: f64) -> f64 {
    const SMALLEST: [f64; 15] = [
        0.081_061_466_795_327_26,
        0.041_340_695_955_409_29,
        0.027_677_925_684_998_34,
        0.020_790_672_103_765_09,
        0.016_644_691_189_821_193,
        0.013_876_128_823_070_748,
        0.011_896_709_945_891_77,
        0.010_411_265_261_972_096,
        0.009_255_462_182_712_733,
        0.008_330_563_433_362_871,
        0.007_573_675_487_951_841,
        0.006_942_840_107_209_53,
        0.006_408_994_188_004_207,
        0.005_951_370_112_758_848,
        0.005_554_733_551_962_801,
    ];
    if k < 15.5 {
        return SMALLEST[k as usize - 1];
    }
    let square = k * k;
    let series = [1.0 / 12.0, -1.0 / 360.0, 1.0 / 1260.0, -1.0 / 1680.0, 1.0 / 1188.0];
    series.into_iter().rev().fold(0.0, |sum, c| c + sum / square) / k
}

fn exp(x: f64) -> f64 {
    let mut value = [x];
    exp_in_place(&mut value);
    value[0]
}

/// For x > -1; the function for many numbers has bits of its own at 0 and above.
fn ln_1p(x: f64) -> f64 {
    let mut value = [if x < 0.0 { -x / (1.0 + x) } else { x }];
    ln_1p_in_place(&mut value);
    if x < 0.0 { -value[0] } else { value[0] }
}

#[cfg(test)]
mod tests {
    use statrs::distribution::{Binomial, Discrete, Poisson};
    use statrs::function::gamma::ln_gamma;

    use super::*;

    #[test]
    fn stirling_errors() {
        for k in 1..40 {
            let k = f64::from(k);
            let exact = (1..=k as u32).map(|j| f64::from(j).ln()).sum::<f64>()
                - (0.5 * (std::f64::consts::TAU * k).ln() + k * k.ln() - k);
            assert!((stirling_error(k) - exact).abs() < 2e-13, "{k}: {} {exact}", stirling_error(k));
            let gamma = ln_gamma(k + 1.0) - (0.5 * (std::f64::consts::TAU * k).ln() + k * k.ln() - k);
            assert!((stirling_error(k) - gamma).abs() < 2e-13);
        }
    }

    #[test]
    fn probabilities_against_another_library() {
        for mean in [10.0, 33.3, 1e4] {
            let law = Poisson::new(mean).unwrap();
            for k in
                [0.0, 1.0, 7.0, (0.9 * mean).floor(), mean.floor(), (1.1 * mean).ceil(), (3.0 * mean).floor()]
            {
                let exact = law.pmf(k as u64);
                assert!((poisson_probability(mean, k) - exact).abs() <= 1e-10 * exact, "{mean} {k}");
            }
        }
        for (n, p) in [(20_u32, 0.5), (100, 0.3), (100_000, 0.01)] {
            let law = Binomial::new(p, u64::from(n)).unwrap();
            let (n, mode) = (f64::from(n), ((f64::from(n) + 1.0) * p).floor());
            for k in [0.0, 1.0, (0.8 * n * p).floor(), mode, (1.3 * n * p).ceil(), n - 1.0, n] {
                let exact = law.pmf(k as u64) / law.pmf(mode as u64);
                let found = binomial_ratio(n, p, 1.0 - p, k, mode);
                assert!((found - exact).abs() <= 1e-9 * exact + 1e-300, "{n} {p} {k}: {found} {exact}");
            }
        }
    }
}
