//! The result of a goodness-of-fit test, and what the tests share.

use numeric::Error;

/// Result of a test of a sample against a law.
///
/// A p-value is the probability, if the sample does have the law, of a statistic at least as large as the one
/// found. Compare it with a rate stated beforehand; for several tests at once see [`Family`](crate::Family).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GoodnessOfFit {
    /// The test's statistic; large is bad.
    pub statistic: f64,
    /// Probability of so large a statistic under the law.
    pub p_value: f64,
    /// Number of observations, of both samples together in a two-sample test.
    pub n: u64,
}

/// The sample in ascending order; an error if it is empty or has an entry that is not finite.
pub(crate) fn sorted(parameter: &'static str, sample: &[f64]) -> Result<Vec<f64>, Error> {
    Error::domain(!sample.is_empty(), parameter, 0.0, "at least one observation")?;
    Error::entries(parameter, sample.iter().copied(), "a finite number", f64::is_finite)?;
    let mut sorted = sample.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    Ok(sorted)
}

/// The CDF at the sorted sample, checked to be one as far as the sample shows.
pub(crate) fn transformed(sample: &[f64], cdf: impl Fn(f64) -> f64) -> Result<Vec<f64>, Error> {
    let u: Vec<f64> = sorted("sample", sample)?.into_iter().map(cdf).collect();
    Error::entries("cdf", u.iter().copied(), "a probability", |p| (0.0..=1.0).contains(&p))?;
    // Library CDFs may decrease by a rounding error between neighbours; anything more is not a CDF.
    let falls = |i: &usize| u[*i] < u[i - 1] - 1e-12;
    match (1..u.len()).find(falls) {
        None => Ok(u),
        Some(index) => Err(Error::Entry {
            parameter: "cdf",
            index,
            value: u[index],
            expected: "values that do not decrease along the sorted sample",
        }),
    }
}
