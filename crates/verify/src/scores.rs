//! Z and Y scores of the stochastic test suite.

use std::f64::consts::SQRT_2;

use numeric::Error;
use statrs::function::erf::{erfc, erfc_inv};

/// Mean, standard deviation and kurtosis of the law a sample should have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moments {
    /// $`\mu = E X`$.
    pub mean: f64,
    /// $`\sigma`$, the root of the variance.
    pub std_dev: f64,
    /// $`\kappa = E (X - \mu)^4 / \sigma^4`$, not the excess: 3 for a normal law, $`3 + 1/\lambda`$ for a
    /// Poisson law.
    pub kurtosis: f64,
}

/// Standardised errors of the sample mean and variance; each has mean 0 and variance 1 under the law.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scores {
    /// $`Z = \sqrt n\, (\bar x - \mu) / \sigma`$.
    pub z: f64,
    /// $`Y = \sqrt n\, (s^2/\sigma^2 - 1) / \sqrt{\kappa - 1}`$.
    pub y: f64,
    /// Number of observations.
    pub n: u64,
}

impl Scores {
    /// Two-sided normal p-value of [`z`](Scores::z).
    #[must_use]
    pub fn z_p_value(&self) -> f64 {
        normal_p_value(self.z)
    }

    /// Two-sided normal p-value of [`y`](Scores::y).
    #[must_use]
    pub fn y_p_value(&self) -> f64 {
        normal_p_value(self.y)
    }
}

/// Z and Y scores of a sample: are its mean and variance those of the law?
///
/// With $`s^2 = \frac1n \sum_i (x_i - \mu)^2`$ about the *known* mean,
///
/// ```math
/// Z = \sqrt n\, \frac{\bar x - \mu}{\sigma}, \qquad
/// Y = \sqrt{\frac{n}{\kappa - 1}} \Bigl( \frac{s^2}{\sigma^2} - 1 \Bigr).
/// ```
///
/// Both have mean 0 and variance exactly 1 for every `n`, and are asymptotically normal. Kurtosis 3 gives the
/// suite's own $`Y = \sqrt{n/2}\,(s^2/\sigma^2 - 1)`$, whose false-alarm rate is wrong for laws that are not
/// nearly normal: its authors allow $`|Y| < 5`$ against $`|Z| < 3`$. With the exact fourth moment one
/// threshold serves both; see [`FalseAlarm`](crate::FalseAlarm). For heavy tails or a kurtosis in the tens
/// the normal limit needs $`n \gg \kappa`$, still.
///
/// # Errors
/// The sample is empty or has an entry that is not finite; the standard deviation is not positive; the mean
/// is not finite; the kurtosis is not above 1 (at 1, a symmetric two-point law, $`s^2`$ does not vary).
///
/// # References
/// Evans, Gillespie, Wilkinson (2008), The SBML discrete stochastic models test suite, Bioinformatics 24(2).
///
/// ```
/// use verify::{Moments, scores};
/// let fair_die = Moments { mean: 3.5, std_dev: (35.0_f64 / 12.0).sqrt(), kurtosis: 303.0 / 175.0 };
/// let each_face_once = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
/// let found = scores(&each_face_once, &fair_die)?;
/// assert!(found.z.abs() < 1e-12 && found.y.abs() < 1e-12);
/// // 600 sixes and 600 ones: the mean is right, the variance is not.
/// let extremes = [1.0, 6.0].repeat(600);
/// let found = scores(&extremes, &fair_die)?;
/// assert!(found.z_p_value() > 0.99 && found.y_p_value() < 1e-100);
/// # Ok::<(), verify::Error>(())
/// ```
pub fn scores(sample: &[f64], law: &Moments) -> Result<Scores, Error> {
    Error::domain(!sample.is_empty(), "sample", 0.0, "at least one observation")?;
    Error::entries("sample", sample.iter().copied(), "a finite number", f64::is_finite)?;
    Error::domain(law.mean.is_finite(), "mean", law.mean, "a finite number")?;
    Error::positive("std_dev", law.std_dev)?;
    let finite = law.kurtosis.is_finite();
    Error::domain(law.kurtosis > 1.0 && finite, "kurtosis", law.kurtosis, "a finite number above 1")?;
    let standardised = |x: &f64| (x - law.mean) / law.std_dev;
    let root_n = (sample.len() as f64).sqrt();
    let sum: f64 = sample.iter().map(standardised).sum();
    let excess: f64 = sample.iter().map(|x| standardised(x).powi(2) - 1.0).sum();
    Ok(Scores { z: sum / root_n, y: excess / (root_n * (law.kurtosis - 1.0).sqrt()), n: sample.len() as u64 })
}

/// $`P(|N(0,1)| \ge |z|) = \operatorname{erfc}(|z| / \sqrt 2)`$, to a relative $`10^{-10}`$ far into the
/// tail; NaN for NaN.
///
/// ```
/// assert!((verify::normal_p_value(-1.959_963_984_540_054) - 0.05).abs() < 1e-11);
/// assert!((verify::normal_p_value(10.0) / 1.523_970_604_832_1e-23 - 1.0).abs() < 1e-9);
/// ```
#[must_use]
pub fn normal_p_value(z: f64) -> f64 {
    erfc(z.abs() / SQRT_2)
}

/// A false-alarm rate for a whole family of tests, stated beforehand.
///
/// By Bonferroni's inequality, at whatever dependence, a family of true hypotheses is refused with
/// probability at most `rate` if each member is tested at `rate / tests`.
///
/// ```
/// use verify::FalseAlarm;
/// // The three-sigma rule, and what becomes of it when 798 scores are compared.
/// let single = FalseAlarm { rate: 0.002_699_796_063_260_19, tests: 1 };
/// assert!((single.threshold()? - 3.0).abs() < 1e-12);
/// let suite = FalseAlarm { rate: 1e-3, tests: 798 };
/// assert!((suite.threshold()? - 4.848).abs() < 1e-3);
/// # Ok::<(), verify::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FalseAlarm {
    /// Probability, at most, that any of the tests refuses although all hypotheses are true.
    pub rate: f64,
    /// Number of tests in the family.
    pub tests: u64,
}

impl FalseAlarm {
    /// The rate of each test: `rate / tests`.
    ///
    /// # Errors
    /// The rate is not in $`(0, 1)`$, or there are no tests.
    pub fn per_test(&self) -> Result<f64, Error> {
        Error::domain(self.rate > 0.0 && self.rate < 1.0, "rate", self.rate, "a number in (0, 1)")?;
        Error::domain(self.tests > 0, "tests", 0.0, "at least 1")?;
        Ok(self.rate / self.tests as f64)
    }

    /// The two-sided normal threshold $`z`$ with $`P(|N(0,1)| \ge z) = `$ [`per_test`](FalseAlarm::per_test).
    ///
    /// # Errors
    /// As of [`per_test`](FalseAlarm::per_test).
    pub fn threshold(&self) -> Result<f64, Error> {
        Ok(SQRT_2 * erfc_inv(self.per_test()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kurtosis_three_is_the_suites_own_y() {
        let sample = [0.3, -1.2, 2.5, 0.0, 0.7];
        let found = scores(&sample, &Moments { mean: 0.1, std_dev: 1.5, kurtosis: 3.0 }).unwrap();
        let s2 = sample.iter().map(|x| (x - 0.1_f64).powi(2)).sum::<f64>() / 5.0;
        assert!((found.y - 2.5_f64.sqrt() * (s2 / 2.25 - 1.0)).abs() < 1e-14);
        assert!((found.z - 5.0_f64.sqrt() * (0.46 - 0.1) / 1.5).abs() < 1e-14);
        assert_eq!(found.n, 5);
    }

    #[test]
    fn scores_have_mean_0_and_variance_1_by_enumeration() {
        // All samples of size 3 of a skewed three-point law, with their probabilities.
        let (values, weights) = ([0.0, 1.0, 5.0], [0.5, 0.3, 0.2]);
        let moment = |c: f64, k: i32| (0..3).map(|i| weights[i] * (values[i] - c).powi(k)).sum::<f64>();
        let (mean, variance) = (moment(0.0, 1), moment(moment(0.0, 1), 2));
        let law = Moments { mean, std_dev: variance.sqrt(), kurtosis: moment(mean, 4) / variance.powi(2) };
        let mut sums = [0.0; 4];
        for code in 0..27 {
            let index = [code % 3, code / 3 % 3, code / 9];
            let found = scores(&index.map(|i| values[i]), &law).unwrap();
            let weight: f64 = index.iter().map(|&i| weights[i]).product();
            for (sum, term) in sums.iter_mut().zip([found.z, found.y, found.z.powi(2), found.y.powi(2)]) {
                *sum += weight * term;
            }
        }
        for (sum, expected) in sums.into_iter().zip([0.0, 0.0, 1.0, 1.0]) {
            assert!((sum - expected).abs() < 1e-13);
        }
    }

    #[test]
    fn thresholds_invert_the_p_value() {
        for rate in [0.5, 0.05, 1e-3, 1e-9, 1e-30] {
            let z = FalseAlarm { rate, tests: 1 }.threshold().unwrap();
            assert!((normal_p_value(z) / rate - 1.0).abs() < 1e-9, "{rate:e}");
        }
        assert!(FalseAlarm { rate: 0.0, tests: 1 }.threshold().is_err());
        assert!(FalseAlarm { rate: 1.0, tests: 1 }.threshold().is_err());
        assert!(FalseAlarm { rate: f64::NAN, tests: 1 }.threshold().is_err());
        assert!(FalseAlarm { rate: 0.1, tests: 0 }.threshold().is_err());
    }

    #[test]
    fn bad_input_is_refused() {
        let law = Moments { mean: 0.0, std_dev: 1.0, kurtosis: 3.0 };
        assert!(scores(&[], &law).is_err());
        assert!(scores(&[f64::NAN], &law).is_err());
        assert!(scores(&[1.0], &Moments { mean: f64::NAN, ..law }).is_err());
        assert!(scores(&[1.0], &Moments { std_dev: 0.0, ..law }).is_err());
        assert!(scores(&[1.0], &Moments { kurtosis: 1.0, ..law }).is_err());
        assert!(normal_p_value(f64::NAN).is_nan());
    }
}
