//! Divergences: closed forms between Gaussian and between finite laws, and distances estimated from samples.
//!
//! | I have | I want | use |
//! |---|---|---|
//! | two Gaussian laws | KL, Rényi, Hellinger, $`\chi^2`$, Fisher, total variation, $`W_2`$ | [`GaussianLaw`] |
//! | variances along common axes, centred | KL, Rényi, $`W_2`$, in O(d) | [`kl_of_ratios`], [`renyi_of_ratios`], [`w2_squared_of_variances`] |
//! | two laws on finitely many points | KL, Rényi of any order, total variation, Hellinger, $`\chi^2`$ | [`FiniteLaw`] |
//! | log-density ratios at samples of one law or of both | any of these divergences, by Monte Carlo | [`DensityRatios`] |
//! | scores of a classifier on held-out rows | a test, a lower bound of total variation, the area under its curve | [`classifier_test`], [`auc`] |
//! | two samples | a transport distance in any dimension | [`sliced_w2`], [`sliced_w1`]; [`SlicedReference`] against one fixed sample |
//! | two samples | KL, without a model of the densities | [`nearest_neighbour_kl`] |
//! | two samples | a test statistic with mean 0 under equality | [`energy_distance`], [`mmd2`] |
//!
//! Divergences are in nats, transport distances in the unit of the data. Samples are batch-first: `(n, d)`, a
//! row is a sample. What is estimated from samples is a [`numeric::Estimate`]; its `n` is the number of rows
//! that entered, of both samples together, and its standard error is that of the estimator about its *own*
//! mean: a bias, where there is one, is stated with the function and is not in it. The standard errors assume
//! that the rows of each sample are independent and that the two samples are independent of each other.
//! Every result is the same to the bit for any number of threads.

mod classifier;
mod finite;
mod gaussian;
mod kernel;
mod nearest;
mod pairs;
mod ratio;
mod ratios;
mod sliced;
mod tiles;
mod transport;

pub use classifier::{ClassifierTest, auc, classifier_test};
pub use finite::FiniteLaw;
pub(crate) use finite::generalised_kl;
pub use gaussian::GaussianLaw;
pub use kernel::{energy_distance, median_bandwidth, mmd2};
pub use nearest::nearest_neighbour_kl;
pub use ratio::DensityRatios;
#[cfg(feature = "sde")]
pub(crate) use ratio::balanced_kl;
pub use ratios::{kl_of_ratios, renyi_of_ratios, w2_squared_of_variances};
pub use sliced::{SlicedReference, sliced_w1, sliced_w2};

use numeric::ndarray::ArrayRef2;
use numeric::{Error, Real};

/// What the distances between samples ask of a sample: enough rows, a column, and finite entries.
fn check_sample<F: Real>(
    parameter: &'static str,
    sample: &ArrayRef2<F>,
    least_rows: usize,
) -> Result<(), Error> {
    let (rows, dim) = sample.dim();
    if rows < least_rows || dim == 0 {
        let expected = vec![rows.max(least_rows), dim.max(1)];
        return Err(Error::Shape { parameter, expected, found: vec![rows, dim] });
    }
    Error::entries(parameter, sample.iter().map(|value| value.as_f64()), "a finite number", f64::is_finite)
}

/// [`check_sample`] for both, and one dimension.
fn check_samples<F: Real>(x: &ArrayRef2<F>, y: &ArrayRef2<F>, least_rows: usize) -> Result<(), Error> {
    check_sample("x", x, least_rows)?;
    check_sample("y", y, least_rows)?;
    Error::shape("x", &[x.nrows(), y.ncols()], &[x.nrows(), x.ncols()])
}

/// Mean of `values` and the sum of their squared deviations from it.
fn mean_and_squares(values: &[f64]) -> (f64, f64) {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    (mean, values.iter().map(|value| (value - mean) * (value - mean)).sum())
}

/// Variance of the mean of `values`, $`s^2/n`$.
fn variance_of_mean(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    mean_and_squares(values).1 / (n * (n - 1.0))
}
