//! Energy distance and maximum mean discrepancy between samples.

use numeric::ndarray::ArrayRef2;
use numeric::{Error, Estimate, Real, exp_in_place, vectorize};
use rayon::prelude::*;

use super::check_samples;
use super::pairs::{pooled, two_sample};

/// Pooled rows that [`median_bandwidth`] looks at.
const MEDIAN_ROWS: usize = 1000;

/// Energy distance between two samples, unbiased.
///
/// ```math
/// \widehat{\mathcal E} = \frac{2}{nm}\sum_{i,j}|x_i-y_j| - \frac{1}{n(n-1)}\sum_{i\ne i'}|x_i-x_{i'}|
///   - \frac{1}{m(m-1)}\sum_{j\ne j'}|y_j-y_{j'}|
/// ```
///
/// the U-statistic of $`\mathcal E(P,Q) = 2\mathbb{E}|X-Y| - \mathbb{E}|X-X'| - \mathbb{E}|Y-Y'|`$, which is
/// at least 0 and is 0 only for equal laws (with first moments). `x` is `(n, d)`, `y` is `(m, d)`; the result
/// is in the unit of the data. The estimate has mean $`\mathcal E`$ exactly, hence takes negative values when
/// the laws are close. In dimension 1, $`\mathcal E = 2\int(F_P-F_Q)^2`$. It is [`mmd2`] for the kernel
/// $`-|x-y|`$.
///
/// # Standard error
/// Of both parts of the Hoeffding decomposition: the linear one (scatter of the row means), and the quadratic
/// one (interactions in the tables of all pairs), which is all there is between equal laws. The part of the
/// scatter that the interactions cause is taken off; where that leaves a negative estimate of the linear part
/// it counts as 0, which makes the standard error conservative between equal laws: by 1.4 at most, when one
/// direction of the kernel dominates (dimension 1), and by little in high dimension. The estimate, then of
/// order 1/n, is not asymptotically normal between equal laws: a Z test of equality needs independent
/// replicates.
///
/// # Complexity
/// O((n + m)² d) through matrix products, in parallel; memory O((n + m)(d + 64)). Squared distances come from
/// inner products of rows centred at the common mean, and from differences where those cancel. Distances are
/// of the type of the samples, with relative errors of 1e-5 (`f32`) or 1e-9 (`f64`) at most and mostly near
/// rounding, and are summed in `f64`.
///
/// # Errors
/// - [`Error::Shape`] for fewer than 4 rows (the interactions within a sample have n(n-3)/2 degrees of
///   freedom), no column, or different dimensions;
/// - [`Error::Entry`] for an entry that is not finite;
/// - [`Error::Domain`] if squared distances overflow.
///
/// # Examples
/// ```
/// use bounds::divergence::energy_distance;
/// use numeric::ndarray::array;
/// let (x, y) = (array![[0.0], [1.0], [2.0], [3.0]], array![[10.0], [11.0], [12.0], [13.0]]);
/// // The samples do not overlap: 2 * 10 between them, less 5/3 within each.
/// let distance = energy_distance(&x, &y)?;
/// assert!((distance.mean - (20.0 - 2.0 * 5.0 / 3.0)).abs() < 1e-12);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// G. Székely, M. Rizzo (2013), "Energy statistics: a class of statistics based on distances", *J. Stat.
/// Plan. Inference* 143; W. Hoeffding (1948), "A class of statistics with asymptotically normal
/// distribution", *Ann. Math. Stat.* 19, section 5 (the variance).
pub fn energy_distance<F: Real>(x: &ArrayRef2<F>, y: &ArrayRef2<F>) -> Result<Estimate, Error> {
    check_samples(x, y, 4)?;
    let mut pool = pooled(x, y);
    // In a unit near the largest entry no square overflows, nor any that matters underflows.
    let unit = power_of_two_below(pool.iter().fold(0.0, |largest, value| value.abs().max(largest)));
    pool /= unit;
    // The mean distance is about this, or less: what is left when it is taken off keeps more digits in the sums.
    let norms = pool.iter().map(|value| value * value).sum::<f64>();
    let typical = F::of((2.0 * norms / pool.nrows() as f64).sqrt());
    let Estimate { mean, std_error, n } = two_sample(&pool, x.nrows(), |values: &mut [F]| {
        vectorize(
            #[inline(always)]
            || {
                for value in values.iter_mut() {
                    *value = typical - value.sqrt();
                }
            },
        );
    })?;
    Ok(Estimate { mean: unit * mean, std_error: unit * std_error, n })
}

/// Squared maximum mean discrepancy between two samples, unbiased, for a mean of Gaussian kernels.
///
/// ```math
/// \widehat{\mathrm{MMD}}{}^2 = \frac{1}{n(n-1)}\sum_{i\ne i'}k(x_i,x_{i'})
///   + \frac{1}{m(m-1)}\sum_{j\ne j'}k(y_j,y_{j'}) - \frac{2}{nm}\sum_{i,j}k(x_i,y_j), \qquad
/// k(a,b) = \frac1B\sum_{l=1}^B e^{-|a-b|^2/(2h_l^2)}
/// ```
///
/// for the bandwidths $`h_1..h_B`$ in the unit of the data; [`median_bandwidth`] gives a usual one. `x` is
/// `(n, d)`, `y` is `(m, d)`. The U-statistic has the mean $`\mathrm{MMD}^2(P,Q)`$ exactly, which is in [0,
/// 2] and is 0 only for equal laws; it takes negative values when the laws are close. Standard error and
/// complexity are those of [`energy_distance`], with B exponentials for each pair.
///
/// # Errors
/// As [`energy_distance`], and [`Error::Shape`] for no bandwidth, [`Error::Entry`] for a bandwidth that is
/// not finite and greater than 0.
///
/// # Examples
/// ```
/// use bounds::divergence::mmd2;
/// use numeric::ndarray::Array2;
/// // All rows of a sample are equal: 1 + 1 - 2 exp(-3^2 / (2 * 2^2)).
/// let (x, y) = (Array2::from_elem((4, 1), 0.0), Array2::from_elem((5, 1), 3.0));
/// let squared = mmd2(&x, &y, &[2.0])?;
/// assert!((squared.mean - (2.0 - 2.0 * (-9.0_f64 / 8.0).exp())).abs() < 1e-15);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// A. Gretton, K. Borgwardt, M. Rasch, B. Schölkopf, A. Smola (2012), "A kernel two-sample test", *JMLR* 13,
/// lemma 6, equation (3).
pub fn mmd2<F: Real>(x: &ArrayRef2<F>, y: &ArrayRef2<F>, bandwidths: &[f64]) -> Result<Estimate, Error> {
    check_samples(x, y, 4)?;
    if bandwidths.is_empty() {
        return Err(Error::Shape { parameter: "bandwidths", expected: vec![1], found: vec![0] });
    }
    let holds = |h: f64| h > 0.0 && h.is_finite();
    Error::entries("bandwidths", bandwidths.iter().copied(), "a finite number greater than 0", holds)?;
    let mut pool = pooled(x, y);
    // In a unit near the narrowest kernel what under- or overflows has the values 1 or 0 there.
    let unit = power_of_two_below(bandwidths.iter().copied().fold(f64::INFINITY, f64::min));
    pool /= unit;
    let factors: Vec<F> = bandwidths.iter().map(|h| F::of(-0.5 / (h / unit).powi(2))).collect();
    let weight = F::of(1.0 / bandwidths.len() as f64);
    two_sample(&pool, x.nrows(), |values: &mut [F]| {
        if let [factor] = factors[..] {
            vectorize(
                #[inline(always)]
                || values.iter_mut().for_each(|value| *value *= factor),
            );
            return exp_in_place(values);
        }
        let mut sums = vec![F::zero(); values.len()];
        let mut terms = values.to_vec();
        for &factor in &factors {
            terms.iter_mut().zip(&*values).for_each(|(term, &value)| *term = factor * value);
            exp_in_place(&mut terms);
            sums.iter_mut().zip(&terms).for_each(|(sum, &term)| *sum += term);
        }
        values.iter_mut().zip(&sums).for_each(|(value, &sum)| *value = weight * sum);
    })
}

/// The power of two at or below a positive number, and 1 for 0 and infinity.
fn power_of_two_below(value: f64) -> f64 {
    if value > 0.0 && value.is_finite() { value.log2().floor().exp2() } else { 1.0 }
}

/// Median distance between the rows of two samples put together: the usual bandwidth of a Gaussian kernel.
///
/// Of at most 1,000 rows at equal steps through the rows of `x` followed by those of `y`, hence the same for
/// the same samples; for shuffled samples it is the median over a random subset. For an even number of pairs
/// it is the upper median.
///
/// # Errors
/// - [`Error::Shape`] for fewer than 2 rows, no column, or different dimensions;
/// - [`Error::Entry`] for an entry that is not finite;
/// - [`Error::Domain`] for a median that is 0, when most rows are equal, or that overflows.
///
/// # Examples
/// ```
/// use bounds::divergence::median_bandwidth;
/// use numeric::ndarray::array;
/// // Distances 1, 3, 4, 6, 7, 9: the upper median.
/// assert_eq!(median_bandwidth(&array![[0.0], [1.0]], &array![[4.0], [10.0]])?, 6.0);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// A. Gretton and others (2012), "A kernel two-sample test", *JMLR* 13, section 8.
pub fn median_bandwidth<F: Real>(x: &ArrayRef2<F>, y: &ArrayRef2<F>) -> Result<f64, Error> {
    check_samples(x, y, 2)?;
    let pool = pooled(x, y);
    let taken = pool.nrows().min(MEDIAN_ROWS);
    let row = |k: usize| pool.row(k * pool.nrows() / taken);
    let mut squares: Vec<f64> = (1..taken)
        .into_par_iter()
        .flat_map_iter(|i| {
            let pairs = (0..i).map(move |j| row(i).iter().zip(row(j)).map(|(a, b)| (a - b).powi(2)).sum());
            pairs.collect::<Vec<f64>>()
        })
        .collect();
    let middle = squares.len() / 2;
    let median = squares.select_nth_unstable_by(middle, f64::total_cmp).1.sqrt();
    Error::positive("median distance", median)?;
    Ok(median)
}
