//! Simulation-based calibration.

use numeric::Error;

use crate::chi_squared::{ChiSquared, chi_squared};

/// Rank of the true parameter among the posterior draws, for simulation-based calibration.
///
/// The rank is the number of `draws` below `truth`, plus $`\lfloor u\,(t + 1) \rfloor`$ where $`t`$ draws are
/// tied with it and $`u`$ is `tie_breaker` $`\in [0, 1)`$. Without ties it does not depend on `tie_breaker`;
/// discrete parameters need an independent uniform number per rank, else ranks are not uniform. With $`L`$
/// draws the rank is in $`0..=L`$.
///
/// # Errors
/// There are no draws; a value is NaN; the tie breaker is outside $`[0, 1)`$.
///
/// ```
/// assert_eq!(verify::sbc_rank(0.5, &[0.1, 0.9, 0.3], 0.0)?, 2);
/// assert_eq!(verify::sbc_rank(1.0, &[1.0, 1.0, 0.0, 2.0], 0.99)?, 3);
/// # Ok::<(), verify::Error>(())
/// ```
pub fn sbc_rank(truth: f64, draws: &[f64], tie_breaker: f64) -> Result<u64, Error> {
    Error::domain(!draws.is_empty(), "draws", 0.0, "at least one draw")?;
    Error::domain(!truth.is_nan(), "truth", truth, "a number")?;
    Error::entries("draws", draws.iter().copied(), "a number", |x| !x.is_nan())?;
    Error::domain((0.0..1.0).contains(&tie_breaker), "tie_breaker", tie_breaker, "a number in [0, 1)")?;
    let below = draws.iter().filter(|&&x| x < truth).count() as u64;
    let tied = draws.iter().filter(|&&x| x == truth).count() as f64;
    Ok(below + (tie_breaker * (tied + 1.0)).floor() as u64)
}

/// Chi-squared test that ranks in $`0..=L`$ are uniform, as those of simulation-based calibration are.
///
/// Draw a parameter from the prior, data from the model at that parameter, `num_draws` $`= L`$ *independent*
/// draws from the posterior under test, and take [`sbc_rank`]; repeat. If and only if the posterior is
/// consistent with prior and model the ranks are uniform on the $`L + 1`$ values. They are counted in `bins`
/// bins of consecutive ranks; where `bins` does not divide $`L + 1`$ the bins' exact, unequal probabilities
/// are used. Draws of a Markov chain must be thinned to independence first.
///
/// A posterior that ignores the data and returns the prior passes: compare with a sharper reference as well,
/// or use [`tarp`](crate::tarp) with references that depend on the data.
///
/// # Errors
/// `num_draws` is 0; `bins` is not in $`2..=L + 1`$; a rank exceeds $`L`$; the ranks are too few for two bins
/// with 5 expected.
///
/// # References
/// Talts, Betancourt, Simpson, Vehtari, Gelman (2018), Validating Bayesian inference algorithms with
/// simulation-based calibration, arXiv:1804.06788, theorem 1.
///
/// ```
/// // 100 ranks in 0..=9, each ten times: as uniform as can be.
/// let ranks: Vec<u64> = (0..100).map(|i| i % 10).collect();
/// assert_eq!(verify::sbc_uniformity(&ranks, 9, 5)?.statistic, 0.0);
/// // An overconfident posterior: the truth is mostly outside all draws.
/// let extreme: Vec<u64> = (0..100).map(|i| if i % 2 == 0 { 0 } else { 9 }).collect();
/// assert!(verify::sbc_uniformity(&extreme, 9, 5)?.p_value < 1e-20);
/// # Ok::<(), verify::Error>(())
/// ```
pub fn sbc_uniformity(ranks: &[u64], num_draws: u64, bins: u64) -> Result<ChiSquared, Error> {
    Error::domain(num_draws > 0, "num_draws", 0.0, "at least 1")?;
    let in_range = (2..=num_draws + 1).contains(&bins);
    Error::domain(in_range, "bins", bins as f64, "a number in 2..=num_draws + 1")?;
    Error::entries("ranks", ranks.iter().map(|&r| r as f64), "a rank not above num_draws", |r| {
        r <= num_draws as f64
    })?;
    // Bin b holds the ranks r with floor(r * bins / (L + 1)) = b.
    let bin = |rank: u64| (u128::from(rank) * u128::from(bins) / u128::from(num_draws + 1)) as usize;
    let first = |b: u64| (u128::from(b) * u128::from(num_draws + 1)).div_ceil(u128::from(bins)) as f64;
    let probability = |b: u64| (first(b + 1) - first(b)) / (num_draws + 1) as f64;
    let mut counts = vec![0; bins as usize];
    ranks.iter().for_each(|&rank| counts[bin(rank)] += 1);
    chi_squared(&counts, &(0..bins).map(probability).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_that_do_not_divide_have_exact_probabilities() {
        // Every rank of 0..=10 once per repetition, in 4 bins of 3, 3, 3, 2 ranks: the statistic is 0.
        let ranks: Vec<u64> = (0..1100).map(|i| i % 11).collect();
        for bins in 2..=11 {
            assert!(sbc_uniformity(&ranks, 10, bins).unwrap().statistic < 1e-20, "{bins}");
        }
    }

    #[test]
    fn ties_are_broken_uniformly() {
        // Three ties and one below: ranks 1 to 4, a quarter of the unit interval each.
        let draws = [2.0, 2.0, 2.0, 1.0, 3.0];
        for (u, rank) in [(0.0, 1), (0.249, 1), (0.25, 2), (0.5, 3), (0.999, 4)] {
            assert_eq!(sbc_rank(2.0, &draws, u).unwrap(), rank);
        }
    }

    #[test]
    fn bad_input_is_refused() {
        assert!(sbc_rank(0.0, &[], 0.0).is_err());
        assert!(sbc_rank(f64::NAN, &[1.0], 0.0).is_err());
        assert!(sbc_rank(0.0, &[f64::NAN], 0.0).is_err());
        assert!(sbc_rank(0.0, &[1.0], 1.0).is_err());
        assert!(sbc_uniformity(&[5; 100], 4, 2).is_err());
        assert!(sbc_uniformity(&[1; 100], 4, 1).is_err());
        assert!(sbc_uniformity(&[1; 100], 4, 6).is_err());
        assert!(sbc_uniformity(&[0; 100], 0, 2).is_err());
        assert!(sbc_uniformity(&[1, 2, 3], 4, 2).is_err());
    }
}
