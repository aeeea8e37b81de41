//! Means of dependent draws: effective sample size and convergence of Markov chains.

use ndarray::{Array2, ArrayRef2, s};

use super::{Estimate, upper_normal_quantile};
use crate::Error;

/// What several chains of dependent draws say of the mean of one quantity.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ChainSummary {
    /// The mean over all draws, with the standard error `s/√ESS`; `n` counts all draws.
    pub mean: Estimate,
    /// Standard deviation of the target, from within and between the chains.
    pub std_dev: f64,
    /// Number of independent draws that would measure the mean as well. Antithetic chains have more than draws.
    pub effective_sample_size: f64,
    /// Split R̂: at convergence 1, and above it where the chains, or the halves of one, disagree. Do not trust the
    /// other figures above about 1.01.
    pub r_hat: f64,
}

/// Mean, effective sample size and R̂ of `m` chains of `n` draws each, given as `(m, n)` in the order of sampling.
///
/// Each chain is cut into two halves, so that a drift within a chain shows. With $`W`$ the mean of the variances
/// within the halves of length $`n' = \lfloor n/2 \rfloor`$, $`B/n'`$ the variance of their means and
/// $`V = \frac{n'-1}{n'} W + B/n'`$,
///
/// ```math
/// \hat R = \sqrt{V/W}, \qquad \rho_t = 1 - \frac{W - \frac{1}{2m} \sum_c \gamma_{t,c}}{V}, \qquad
/// \mathrm{ESS} = \frac{2 m n'}{1 + 2 \sum_{t \ge 1} \rho_t},
/// ```
///
/// where $`\gamma_{t,c}`$ is the autocovariance of a half at lag t, and the sum is cut off by Geyer's initial monotone
/// sequence: sums of neighbouring pairs are taken while they are positive, and never more than the one before. The
/// effective sample size is at most $`2 m n' \log_{10}(2 m n')`$, which only strongly antithetic chains reach.
///
/// For heavy tails or other summaries than the mean, pass [`rank_normalised`] chains (bulk), or the indicators of a
/// quantile (tail).
///
/// ```
/// use numeric::{Noise, estimate::chain_summary, ndarray::Array2};
/// // Four autoregressive chains x' = 0.5 x + z: ESS = n (1 − 0.5)/(1 + 0.5).
/// let mut z = Array2::<f64>::zeros((4, 20_000));
/// Noise::new(1).normals_into(&[0, 1, 2, 3], 0, &mut z);
/// for mut chain in z.rows_mut() {
///     for t in 1..chain.len() {
///         chain[t] += 0.5 * chain[t - 1];
///     }
/// }
/// let summary = chain_summary(&z)?;
/// assert!((summary.effective_sample_size / (80_000.0 / 3.0) - 1.0).abs() < 0.1);
/// assert!(summary.r_hat < 1.01 && summary.mean.mean.abs() < 4.0 * summary.mean.std_error);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # Errors
/// [`Error::Shape`] for no chain or fewer than 8 draws; [`Error::Entry`] for a draw that is not finite;
/// [`Error::Domain`] if all draws of a half chain are equal in every half, so that there is nothing to compare with.
///
/// # References
/// Vehtari, Gelman, Simpson, Carpenter, Bürkner (2021), *Rank-normalization, folding, and localization: an improved
/// R̂*, sections 2 and 3. Geyer (1992), *Practical Markov chain Monte Carlo*, section 3.3.
pub fn chain_summary(chains: &ArrayRef2<f64>) -> Result<ChainSummary, Error> {
    check_chains(chains)?;
    let (m, n) = chains.dim();
    let half = n / 2;
    // An odd draw in the middle belongs to neither half.
    let halves: Vec<_> = chains
        .rows()
        .into_iter()
        .flat_map(|c| [c.slice_move(s![..half]), c.slice_move(s![n - half..])])
        .collect();
    let (count, length) = (2 * m, half as f64);
    let means: Vec<f64> = halves.iter().map(|h| h.sum() / length).collect();
    let mean = means.iter().sum::<f64>() / count as f64;
    // Autocovariance at a lag, averaged over the halves; divided by n', which damps the noise of long lags.
    let autocovariance = |lag: usize| -> f64 {
        let of = |(h, mean): (&ndarray::ArrayView1<'_, f64>, &f64)| {
            let pairs = h.iter().zip(h.iter().skip(lag));
            pairs.map(|(a, b)| (a - mean) * (b - mean)).sum::<f64>() / length
        };
        halves.iter().zip(&means).map(of).sum::<f64>() / count as f64
    };
    let within = autocovariance(0) * length / (length - 1.0);
    Error::domain(within > 0.0, "chains", within, "draws that differ within the chains")?;
    let between = means.iter().map(|m| (m - mean).powi(2)).sum::<f64>() / (count as f64 - 1.0);
    let variance = within * (length - 1.0) / length + between;

    let rho = |lag: usize| 1.0 - (within - autocovariance(lag)) / variance;
    let (mut pair, mut sum, mut lag, mut last) = (1.0 + rho(1), 0.0, 2, 0.0);
    while pair > 0.0 {
        sum += pair;
        if lag + 1 >= half {
            break;
        }
        let (even, odd) = (rho(lag), rho(lag + 1));
        // Of the first pair that is not positive, the even lag is counted once if it is.
        last = if even + odd > 0.0 { 0.0 } else { even.max(0.0) };
        pair = pair.min(even + odd);
        lag += 2;
    }
    let draws = (count * half) as f64;
    // 1 + 2 Σ_{t≥1} ρ_t = −1 + 2 Σ of pairs.
    let time = (2.0 * sum - 1.0 + last).max(1.0 / draws.log10());
    let effective_sample_size = draws / time;
    Ok(ChainSummary {
        mean: Estimate { mean, std_error: (variance / effective_sample_size).sqrt(), n: (m * n) as u64 },
        std_dev: variance.sqrt(),
        effective_sample_size,
        r_hat: (variance / within).sqrt(),
    })
}

/// The chains with each draw replaced by the normal quantile of its rank among all draws,
/// $`\Phi^{-1}((r - 3/8)/(mn + 1/4))`$; ties share their average rank.
///
/// [`chain_summary`] of them gives the rank-normalised R̂ and the bulk effective sample size, which exist without
/// moments.
///
/// ```
/// use numeric::{estimate::rank_normalised, ndarray::array};
/// let z = rank_normalised(&array![[1.0, 9.0, 3.0, 1e9, 5.0, 6.0, 7.0, 8.0]])?;
/// assert!((z[(0, 3)] + z[(0, 0)]).abs() < 1e-9);              // the largest against the smallest
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # Errors
/// As [`chain_summary`], but equal draws are allowed.
///
/// # Panics
/// Never: the array made has the shape of the one given.
pub fn rank_normalised(chains: &ArrayRef2<f64>) -> Result<Array2<f64>, Error> {
    check_chains(chains)?;
    let values: Vec<f64> = chains.iter().copied().collect();
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut scores = vec![0.0; values.len()];
    let mut before = 0;
    for group in order.chunk_by(|&a, &b| values[a] == values[b]) {
        // The average of the ranks before + 1 .. before + len.
        let rank = before as f64 + 0.5 * (group.len() as f64 + 1.0);
        let quantile = (rank - 0.375) / (values.len() as f64 + 0.25);
        group.iter().for_each(|&i| scores[i] = -upper_normal_quantile(quantile));
        before += group.len();
    }
    Ok(Array2::from_shape_vec(chains.raw_dim(), scores).expect("as many as there were"))
}

fn check_chains(chains: &ArrayRef2<f64>) -> Result<(), Error> {
    let (m, n) = chains.dim();
    if m == 0 || n < 8 {
        return Err(Error::Shape {
            parameter: "chains",
            expected: vec![m.max(1), n.max(8)],
            found: vec![m, n],
        });
    }
    Error::entries("chains", chains.iter().copied(), "a finite draw", f64::is_finite)
}
