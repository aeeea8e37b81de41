//! Expected coverage of multivariate posteriors.

use numeric::Error;
use numeric::ndarray::{Array2, ArrayRef2, ArrayRef3};

use crate::kolmogorov::kolmogorov_p_value;
use crate::split_mix::SplitMix;

/// Expected coverage of credible regions: result of [`tarp`].
#[derive(Clone, Debug, PartialEq)]
pub struct Coverage {
    /// Credibility levels $`k / (L + 1)`$ for $`k = 0, \ldots, L + 1`$.
    pub levels: Vec<f64>,
    /// Share of the simulations whose region of that credibility covers the truth.
    pub coverage: Vec<f64>,
    /// $`\max_k |\mathrm{coverage}_k - \mathrm{level}_k|`$.
    pub statistic: f64,
    /// Kolmogorov-Smirnov p-value of the statistic.
    pub p_value: f64,
    /// Number of simulations.
    pub n: u64,
}

/// Tests of accuracy with random points: are the posterior's credible regions calibrated?
///
/// For simulation $`i`$ with true parameter $`\theta_i`$ (row of `truths`, (n, d)), $`L`$ independent
/// posterior draws $`\theta_{il}`$ (`draws`, (n, L, d)) and a reference point $`r_i`$ (row of `references`,
/// (n, d)), the ball about $`r_i`$ that just reaches $`\theta_i`$ has credibility
/// $`f_i = \frac1L \#\{ l : |\theta_{il} - r_i| < |\theta_i - r_i| \}`$. If the posterior is right, $`L f_i`$
/// is uniform on $`0..=L`$, and the expected coverage $`P(L f < k)`$ is exactly the level $`k/(L+1)`$. An
/// overconfident posterior gives a curve above the diagonal at low levels and below it at high ones (truths
/// nearer to or farther from the reference than all draws); an underconfident one the reverse; a biased one
/// leaves it on one side.
///
/// The p-value is Kolmogorov's for `n` observations, conservative because the maximum is over $`L`$ points
/// only. References must not depend on the truth. If they do not depend on the data either, a posterior that
/// returns the prior passes. Distances are Euclidean: bring coordinates of different units to one scale
/// first.
///
/// # Errors
/// There is no simulation, draw or coordinate; shapes disagree; an entry is not finite.
///
/// # References
/// Lemos, Coogan, Hezaveh, Perreault-Levasseur (2023), Sampling-based accuracy testing of posterior
/// estimators for general inference, ICML, arXiv:2302.03026, algorithm 2.
///
/// ```
/// use numeric::ndarray::{Array2, Array3};
/// // The truth is the k-th farthest of 5 points from the reference 0, each k equally often: calibrated.
/// let truths = Array2::from_shape_fn((100, 1), |(i, _)| (i % 5) as f64);
/// let draws = Array3::from_shape_fn((100, 4, 1), |(i, l, _)| l as f64 + if l < i % 5 { 0.0 } else { 1.0 });
/// let curve = verify::tarp(&truths, &draws, &Array2::zeros((100, 1)))?;
/// assert!(curve.statistic < 1e-12 && curve.p_value == 1.0);
/// // All truths nearest to the reference: refused.
/// let curve = verify::tarp(&Array2::from_elem((100, 1), -0.5), &(draws + 1.0), &Array2::zeros((100, 1)))?;
/// assert_eq!(curve.coverage, [0.0, 1.0, 1.0, 1.0, 1.0, 1.0]);
/// assert!(curve.p_value < 1e-50);
/// # Ok::<(), verify::Error>(())
/// ```
pub fn tarp(
    truths: &ArrayRef2<f64>,
    draws: &ArrayRef3<f64>,
    references: &ArrayRef2<f64>,
) -> Result<Coverage, Error> {
    let (n, num_draws, d) = draws.dim();
    let least = n.min(num_draws).min(d);
    Error::domain(least > 0, "axis of draws", least as f64, "at least 1 simulation, draw and coordinate")?;
    Error::shape("truths", &[n, d], truths.shape())?;
    Error::shape("references", &[n, d], references.shape())?;
    Error::entries("truths", truths.iter().copied(), "a finite number", f64::is_finite)?;
    Error::entries("draws", draws.iter().copied(), "a finite number", f64::is_finite)?;
    Error::entries("references", references.iter().copied(), "a finite number", f64::is_finite)?;
    let mut with_rank = vec![0_u64; num_draws + 1];
    for ((truth, draws), reference) in
        truths.rows().into_iter().zip(draws.outer_iter()).zip(references.rows())
    {
        let squared = |point| -> f64 { (&point - &reference).iter().map(|x: &f64| x * x).sum() };
        let radius = squared(truth);
        with_rank[draws.rows().into_iter().filter(|&draw| squared(draw) < radius).count()] += 1;
    }
    let levels: Vec<f64> = (0..=num_draws + 1).map(|k| k as f64 / (num_draws + 1) as f64).collect();
    let mut coverage = vec![0.0];
    coverage.extend(with_rank.iter().scan(0, |below, count| {
        *below += count;
        Some(*below as f64 / n as f64)
    }));
    let statistic = levels.iter().zip(&coverage).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    let p_value = kolmogorov_p_value(n as u64, statistic)?;
    Ok(Coverage { levels, coverage, statistic, p_value, n: n as u64 })
}

/// Reference points for [`tarp`], uniform in a box: shape (`rows`, `low.len()`).
///
/// The natural box is that of the prior. For the test to see a posterior that ignores the data, shift each
/// row by something computed from that simulation's data.
///
/// # Errors
/// The lengths differ; a bound is not finite; a lower bound is not below its upper bound.
///
/// ```
/// let points = verify::uniform_references(1000, &[-1.0, 5.0], &[1.0, 6.0], verify::seed(3))?;
/// assert!(points.column(1).iter().all(|x| (5.0..6.0).contains(x)));
/// // A uniform coordinate, at a false-alarm rate of 1e-6.
/// let fit = verify::kolmogorov_smirnov(&points.column(0).to_vec(), |x| (x + 1.0) / 2.0)?;
/// assert!(fit.p_value > 1e-6);
/// # Ok::<(), verify::Error>(())
/// ```
pub fn uniform_references(rows: usize, low: &[f64], high: &[f64], seed: u64) -> Result<Array2<f64>, Error> {
    Error::shape("high", &[low.len()], &[high.len()])?;
    let bounds = low.iter().chain(high).copied();
    Error::entries("low, high", bounds, "a finite number", f64::is_finite)?;
    let widths: Vec<f64> = high.iter().zip(low).map(|(high, low)| high - low).collect();
    Error::entries("high - low", widths.iter().copied(), "a positive, finite number", |width| {
        width > 0.0 && width.is_finite()
    })?;
    let mut generator = SplitMix::new(seed);
    Ok(Array2::from_shape_fn((rows, low.len()), |(_, j)| low[j] + widths[j] * generator.unit()))
}
