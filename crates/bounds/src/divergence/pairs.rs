//! Sums of a kernel over all pairs of rows of two samples: what the pairwise statistics are made of.

use numeric::ndarray::{Array2, ArrayRef2, Axis};
use numeric::{Error, Estimate, Real};

use super::tiles::{Sum, row_sums};
use super::{mean_and_squares, variance_of_mean};

/// Both samples below each other in `f64`, centred at their common mean, which keeps inner products small.
pub(super) fn pooled<F: Real>(x: &ArrayRef2<F>, y: &ArrayRef2<F>) -> Array2<f64> {
    let mut pool = Array2::zeros((x.nrows() + y.nrows(), x.ncols()));
    let rows = x.rows().into_iter().chain(y.rows());
    for (mut to, from) in pool.rows_mut().into_iter().zip(rows) {
        to.zip_mut_with(&from, |to, from| *to = from.as_f64());
    }
    let mean = pool.sum_axis(Axis(0)) / pool.nrows() as f64;
    pool -= &mean;
    pool
}

/// The unbiased estimate of $`\mathbb{E}k(x,x') + \mathbb{E}k(y,y') - 2\mathbb{E}k(x,y)`$ from all pairs,
/// with its standard error, for the first `n` rows of `pool` and the others.
///
/// `kernel` overwrites squared distances by values, in the precision of the samples. A constant added to a
/// kernel changes neither.
pub(super) fn two_sample<F: Real>(
    pool: &Array2<f64>,
    n: usize,
    kernel: impl Fn(&mut [F]) + Sync,
) -> Result<Estimate, Error> {
    let sums = row_sums(pool, n, kernel);
    let Parts { mean, linear, quadratic } = Parts::new(&sums, n);
    // The usual estimate of a variance component: 0 where the unbiased one is negative.
    let variance = linear.max(0.0) + quadratic;
    let finite = mean.is_finite() && variance.is_finite();
    Error::domain(finite, "x", mean, "values whose squared distances do not overflow")?;
    Ok(Estimate { mean, std_error: variance.sqrt(), n: sums.len() as u64 })
}

/// A two-sample U-statistic with unbiased estimates of the two parts of its variance.
///
/// Write $`k(x_i,x_j) = \mu + a_i + a_j + \varepsilon_{ij}`$ and $`k(x_i,y_j) = \nu + b_i + c_j + \eta_{ij}`$
/// for the Hoeffding decompositions, with interaction variances $`\zeta`$. The statistic is twice the mean of
/// $`a_i - b_i`$, the same for y, and means of interactions, all uncorrelated. The linear part of the
/// variance is that of the first two, and
///
/// ```math
/// \text{quadratic} = \frac{2\zeta_{xx}}{n(n-1)} + \frac{2\zeta_{yy}}{m(m-1)} + \frac{4\zeta_{xy}}{nm}.
/// ```
///
/// Effects and interactions are those of least squares in each table; the scatter of the estimated effects
/// exceeds that of the effects by what the interactions add to it, which is known.
struct Parts {
    mean: f64,
    linear: f64,
    quadratic: f64,
}

impl Parts {
    fn new(sums: &[[Sum; 2]], n: usize) -> Parts {
        let (of_x, of_y) = sums.split_at(n);
        let column = |rows: &[[Sum; 2]], k: usize| rows.iter().map(|row| row[k]).collect::<Vec<Sum>>();
        let (within_x, within_y) = (Within::new(&column(of_x, 0)), Within::new(&column(of_y, 1)));

        let (rows, columns) = (n as f64, of_y.len() as f64);
        let cross_x: Vec<f64> = of_x.iter().map(|row| row[1].values / columns).collect();
        let cross_y: Vec<f64> = of_y.iter().map(|row| row[0].values / rows).collect();
        let squares: f64 = of_x.iter().map(|row| row[1].squares).sum();
        let (cross, scatter_x) = mean_and_squares(&cross_x);
        let scatter_y = mean_and_squares(&cross_y).1;
        let residual = squares - rows * columns * cross * cross - columns * scatter_x - rows * scatter_y;
        // A sum of squares: below 0 by rounding only.
        let interaction = residual.max(0.0) / ((rows - 1.0) * (columns - 1.0));
        let crossed = 4.0 * interaction / (rows * columns);

        let scatter = |own: &Within, cross: &[f64]| {
            let twice: Vec<f64> = own.effects.iter().zip(cross).map(|(a, b)| 2.0 * (a - b)).collect();
            variance_of_mean(&twice) - own.added_to_scatter() - crossed
        };
        Parts {
            mean: within_x.mean + within_y.mean - 2.0 * cross,
            linear: scatter(&within_x, &cross_x) + scatter(&within_y, &cross_y),
            quadratic: within_x.quadratic() + within_y.quadratic() + crossed,
        }
    }
}

/// The table of all pairs within one sample: mean, effect of each row, and interaction variance.
struct Within {
    rows: f64,
    mean: f64,
    effects: Vec<f64>,
    interaction: f64,
}

impl Within {
    fn new(sums: &[Sum]) -> Within {
        let n = sums.len() as f64;
        let mean = sums.iter().map(|row| row.values).sum::<f64>() / (n * (n - 1.0));
        let effects: Vec<f64> = sums.iter().map(|row| (row.values - (n - 1.0) * mean) / (n - 2.0)).collect();
        let squares = sums.iter().map(|row| row.squares).sum::<f64>();
        let fitted = (n - 2.0) * effects.iter().map(|effect| effect * effect).sum::<f64>();
        // n (n - 1) / 2 pairs less n parameters; a sum of squares, below 0 by rounding only.
        let residual = 0.5 * (squares - n * (n - 1.0) * mean * mean) - fitted;
        Within { rows: n, mean, effects, interaction: residual.max(0.0) / (0.5 * n * (n - 3.0)) }
    }

    fn quadratic(&self) -> f64 {
        2.0 * self.interaction / (self.rows * (self.rows - 1.0))
    }

    /// What the interactions add to the variance of the mean of twice the estimated effects.
    fn added_to_scatter(&self) -> f64 {
        4.0 * self.interaction / (self.rows * (self.rows - 2.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All samples of `rows` values from `support`, each as likely as another.
    fn all_samples(support: &[f64], rows: u32) -> Vec<Vec<f64>> {
        let size = support.len();
        (0..size.pow(rows))
            .map(|code| (0..rows).map(|i| support[code / size.pow(i) % size]).collect())
            .collect()
    }

    /// Over every pair of samples from two finite laws: the mean of the statistic is the divergence, and the
    /// mean of linear + quadratic is its variance, exactly.
    #[test]
    fn both_moments_are_unbiased() {
        for (of_x, of_y, n, m) in [
            (vec![0.0, 1.0, 3.0], vec![0.0, 2.0], 4, 5),
            (vec![0.0, 1.0], vec![0.0, 1.0], 5, 4),
            (vec![-1.0, 0.0, 0.5], vec![4.0, 5.0], 4, 4),
        ] {
            let (mut count, mut mean, mut square, mut variance) = (0.0, 0.0, 0.0, 0.0);
            for x in all_samples(&of_x, n) {
                for y in all_samples(&of_y, m) {
                    let rows: Vec<f64> = x.iter().chain(&y).copied().collect();
                    let pool = Array2::from_shape_vec((rows.len(), 1), rows).unwrap();
                    let sums = row_sums(&pool, x.len(), |values: &mut [f64]| {
                        values.iter_mut().for_each(|value| *value = -value.sqrt());
                    });
                    let parts = Parts::new(&sums, x.len());
                    count += 1.0;
                    mean += parts.mean;
                    square += parts.mean * parts.mean;
                    variance += parts.linear + parts.quadratic;
                }
            }
            let distance = |a: &[f64], b: &[f64]| {
                let sum: f64 = a.iter().flat_map(|a| b.iter().map(move |b| (a - b).abs())).sum();
                sum / (a.len() * b.len()) as f64
            };
            let expected = 2.0 * distance(&of_x, &of_y) - distance(&of_x, &of_x) - distance(&of_y, &of_y);
            let mean = mean / count;
            assert!((mean - expected).abs() < 1e-12, "{mean} for {expected}");
            let (found, expected) = (variance / count, square / count - mean * mean);
            assert!((found - expected).abs() < 1e-11 * expected, "{found} for {expected}");
        }
    }
}
