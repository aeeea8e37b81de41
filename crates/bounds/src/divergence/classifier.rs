//! Two-sample tests by a classifier: what its scores on held-out rows say of the distance between the laws.

use numeric::{Error, Estimate};

use super::{mean_and_squares, variance_of_mean};

/// What the accuracy of a classifier says of two laws: see [`classifier_test`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ClassifierTest {
    /// Probability that the classifier is right about a row of either law, each as likely as the other; unbiased.
    pub accuracy: Estimate,
    /// $`\mathbb{P}(\mathrm{Bin}(2n, \tfrac12) \ge \text{number right})`$, exact.
    pub p_value: f64,
    /// $`2\,\text{accuracy} - 1`$: an unbiased estimate of a **lower bound** of the total variation distance.
    pub total_variation_bound: Estimate,
}

/// Classifier two-sample test, from the scores of any classifier on rows that it was not trained on.
///
/// `of_p` are its scores of n rows of P, `of_q` those of n rows of Q; a score above the threshold says P. For every
/// set A of rows, $`\mathrm{TV}(P, Q) \ge P(A) - Q(A)`$, with equality for $`A = \{p > q\}`$: with the rows called P
/// as A,
///
/// ```math
/// \mathrm{TV}(P, Q) \ge P(s > t) - Q(s > t) = 2\,\text{accuracy} - 1 .
/// ```
///
/// The bound is as good as the classifier; it says nothing from above. It and the test are valid for any classifier
/// and threshold that were fixed without looking at these rows, and for those only.
///
/// # The p-value
/// Between equal laws each row is called right with a probability of 1/2 on average over both laws. If the labels
/// are independent fair coins, the number right is binomial, and the p-value is exact. With n rows of each, as
/// here, the rows of P are right with a probability a and those of Q with 1 − a, and the binomial tail is an upper
/// bound of the true one wherever it is below 1/2 (Hoeffding 1956): the test is then conservative, by the more the
/// further a is from 1/2. Standard errors are those of two independent proportions, asymptotic, and 0 where all rows
/// of each law are called alike.
///
/// # Errors
/// [`Error::Shape`] for fewer than 2 rows or different numbers of them; [`Error::Entry`] for a score that is NaN;
/// [`Error::Domain`] for a threshold that is.
///
/// # Examples
/// ```
/// use bounds::divergence::classifier_test;
/// let test = classifier_test(&[0.9, 0.8, 0.4, 0.7], &[0.1, 0.6, 0.2, 0.3], 0.5)?;
/// assert_eq!(test.accuracy.mean, 0.75);
/// assert_eq!(test.total_variation_bound.mean, 0.5);
/// // 6 of 8 or more: (28 + 8 + 1)/256.
/// assert!((test.p_value - 37.0 / 256.0).abs() < 1e-15);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// D. Lopez-Paz, M. Oquab (2017), "Revisiting classifier two-sample tests", *ICLR*; W. Hoeffding (1956), "On the
/// distribution of the number of successes in independent trials", *Ann. Math. Stat.* 27, theorem 5.
pub fn classifier_test(of_p: &[f64], of_q: &[f64], threshold: f64) -> Result<ClassifierTest, Error> {
    check(of_p, of_q)?;
    Error::shape("of_q", &[of_p.len()], &[of_q.len()])?;
    Error::domain(!threshold.is_nan(), "threshold", threshold, "a number")?;
    let right = |scores: &[f64], says_p: bool| -> Vec<f64> {
        scores.iter().map(|&s| f64::from(u8::from((s > threshold) == says_p))).collect()
    };
    let (of_p, of_q) = (right(of_p, true), right(of_q, false));
    let rows = (of_p.len() + of_q.len()) as u64;
    let count = of_p.iter().chain(&of_q).sum::<f64>();
    let spread = (variance_of_mean(&of_p) + variance_of_mean(&of_q)).sqrt();
    let accuracy = count / rows as f64;
    Ok(ClassifierTest {
        accuracy: Estimate { mean: accuracy, std_error: 0.5 * spread, n: rows },
        p_value: fair_tail(rows, count as u64),
        total_variation_bound: Estimate { mean: 2.0 * accuracy - 1.0, std_error: spread, n: rows },
    })
}

/// Area under the ROC curve of a score, $`\mathbb{P}(s_P > s_Q) + \tfrac12\mathbb{P}(s_P = s_Q)`$; unbiased.
///
/// The probability that a row of P has a greater score than one of Q: 1/2 between equal laws, whatever the score,
/// and without a threshold. `of_p` and `of_q` are scores of rows that the classifier was not trained on, any numbers
/// of each. It is the Mann–Whitney statistic over nm; the standard error is DeLong's,
/// $`\sqrt{s_{10}^2/n + s_{01}^2/m}`$ of the shares of the other sample that each row exceeds, and its cost that of
/// sorting.
///
/// The laws share a part of mass $`1 - \mathrm{TV}`$, within which either score is the greater as often, so that
/// $`\mathrm{AUC} \le 1 - \tfrac12(1 - \mathrm{TV})^2`$: a bound of total variation without a threshold, though
/// that of [`classifier_test`] at a good one is often better.
///
/// # Errors
/// [`Error::Shape`] for fewer than 2 rows of either; [`Error::Entry`] for a score that is NaN.
///
/// # Examples
/// ```
/// use bounds::divergence::auc;
/// // Of six pairs four in order, one equal.
/// let area = auc(&[0.3, 0.8, 0.9], &[0.3, 0.5])?;
/// assert_eq!(area.mean, 4.5 / 6.0);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// E. DeLong, D. DeLong, D. Clarke-Pearson (1988), "Comparing the areas under two or more correlated receiver
/// operating characteristic curves: a nonparametric approach", *Biometrics* 44.
pub fn auc(of_p: &[f64], of_q: &[f64]) -> Result<Estimate, Error> {
    check(of_p, of_q)?;
    let sorted = |scores: &[f64]| {
        let mut sorted = scores.to_vec();
        sorted.sort_by(f64::total_cmp);
        sorted
    };
    // For each score the share of the others below it, ties as a half.
    let shares = |scores: &[f64], others: &[f64]| -> Vec<f64> {
        let below = |s: f64| others.partition_point(|&o| o < s) + others.partition_point(|&o| o <= s);
        scores.iter().map(|&s| below(s) as f64 / (2 * others.len()) as f64).collect()
    };
    let (of_p_shares, of_q_shares) = (shares(of_p, &sorted(of_q)), shares(of_q, &sorted(of_p)));
    let variance = variance_of_mean(&of_p_shares) + variance_of_mean(&of_q_shares);
    let n = (of_p.len() + of_q.len()) as u64;
    Ok(Estimate { mean: mean_and_squares(&of_p_shares).0, std_error: variance.sqrt(), n })
}

fn check(of_p: &[f64], of_q: &[f64]) -> Result<(), Error> {
    for (parameter, scores) in [("of_p", of_p), ("of_q", of_q)] {
        if scores.len() < 2 {
            return Err(Error::Shape { parameter, expected: vec![2], found: vec![scores.len()] });
        }
        Error::entries(parameter, scores.iter().copied(), "a number", |s| !s.is_nan())?;
    }
    Ok(())
}

/// $`\mathbb{P}(\mathrm{Bin}(n, \tfrac12) \ge k)`$, for $`k \le n`$.
fn fair_tail(n: u64, k: u64) -> f64 {
    if 2 * k <= n {
        // By symmetry P(>= k) = 1 - P(>= n - k + 1), and the latter is below 1/2.
        return if k == 0 { 1.0 } else { 1.0 - fair_tail(n, n - k + 1) };
    }
    // From the largest term upwards, which the others fall from geometrically.
    let ln_first: f64 = (1..=n - k).map(|j| ((k + j) as f64 / j as f64).ln()).sum();
    let (mut term, mut sum) = (1.0, 0.0);
    for j in k..=n {
        sum += term;
        term *= (n - j) as f64 / (j + 1) as f64;
        if term < 1e-17 * sum {
            break;
        }
    }
    (ln_first - n as f64 * std::f64::consts::LN_2).exp() * sum
}

#[cfg(test)]
mod tests {
    use super::fair_tail;
    use statrs::distribution::{Binomial, DiscreteCDF};

    #[test]
    fn tails_of_the_fair_binomial_law() {
        // All 2^n outcomes.
        for n in 1..=12_u64 {
            for k in 0..=n {
                let count = (0..1_u32 << n).filter(|outcome| u64::from(outcome.count_ones()) >= k).count();
                let expected = count as f64 / f64::from(1_u32 << n);
                assert!((fair_tail(n, k) - expected).abs() < 1e-14 * expected, "{n} {k}");
            }
        }
        for (n, k) in [(1000, 540), (1000, 460), (100_000, 50_700), (200, 200)] {
            let expected = Binomial::new(0.5, n).unwrap().sf(k - 1);
            let found = fair_tail(n, k);
            assert!((found - expected).abs() < 1e-8 * expected, "{n} {k}: {found} for {expected}");
        }
    }
}
