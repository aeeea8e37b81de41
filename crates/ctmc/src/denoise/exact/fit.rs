//! Mixtures of product laws fitted to data by expectation maximisation.

use numeric::ndarray::{Array2, Array3, ArrayRef2};
use numeric::{Error, Noise};
use rayon::prelude::*;

use super::ProductMixture;
use crate::denoise::noising::check_states;
use crate::law::draw;

/// Rows of one task of the E step.
const BLOCK: usize = 64;

/// What [`fit_product_mixture`] is to do, with an example there. There are no defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct FitOptions {
    /// Number of components K, at least 1 and at most the rows.
    pub components: usize,
    /// Number of values S of a token, at least 1.
    pub states: usize,
    /// What is added to the expected count of each value of each token and component, and of each component, at least 0:
    /// a Dirichlet prior with parameters 1 + `count`. 0 is maximum likelihood.
    pub count: f64,
    /// Most iterations, at least 1; to need more is an error.
    pub max_iterations: usize,
    /// Largest change of the objective that counts as none, in nats per row, greater than 0.
    pub tolerance: f64,
    /// Randomness of the seeding; nothing else is random.
    pub noise: Noise,
}

/// A fitted mixture, and how it was reached.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct MixtureFit {
    /// The mixture.
    pub mixture: ProductMixture,
    /// Mean log-likelihood of the data in nats per row: of the start, then after each iteration. The last one is that of
    /// the mixture returned.
    pub log_likelihoods: Vec<f64>,
    /// What EM increases, at the same mixtures: the mean log-likelihood with the logarithm of the prior's density (without
    /// its constant) divided by the number of rows.
    pub objectives: Vec<f64>,
}

impl MixtureFit {
    /// Iterations made.
    #[must_use]
    pub fn iterations(&self) -> usize {
        self.objectives.len() - 1
    }
}

/// Fits a mixture of K product laws to the rows of `data`, `(n, D)`, by EM.
///
/// One iteration computes the probabilities of the components for the rows (E step), and from them weights and laws (M
/// step), with a pseudo-count c:
///
/// ```math
/// r_{ik} \propto w_k \prod_d p_k^d(x_i^d), \qquad
/// w_k = \frac{c + \sum_i r_{ik}}{c K + n}, \qquad
/// p_k^d(v) = \frac{c + \sum_i r_{ik}\, 1[x_i^d = v]}{c S + \sum_i r_{ik}} .
/// ```
///
/// The start is k-means++ in the number of tokens that differ (which is half the squared distance of one-hot rows), each row
/// with its nearest centre, and an M step. The result is a local optimum; of several seeds, take the one with the best
/// held-out likelihood.
///
/// # Convergence
/// No iteration lowers the objective, $`\frac1n \bigl( \sum_i \ln p(x_i) + c \sum_k \ln w_k + c \sum_{kdv} \ln p_k^d(v)
/// \bigr)`$, but for rounding. The fit has converged when it changed by at most `tolerance` in each of two successive
/// iterations.
///
/// # Reproducibility
/// A function of the whole ordered data set: the same bits for any number of threads. Another order of the rows draws other
/// seeds.
///
/// # Complexity
/// O(n D K) for an iteration; n K numbers of memory.
///
/// # Errors
/// - [`Error::Shape`] for data without rows or columns; [`Error::Entry`] in `data` for a value that is none of the S.
/// - [`Error::Domain`] for `components` = 0 or more than the rows, `states` = 0, a `count` that is negative or not finite,
///   `max_iterations` = 0, or a `tolerance` that is not positive and finite.
/// - [`Error::Entry`] in `weights` with the component's number if no row is left to it, with a count of 0.
/// - [`Error::NotConverged`] after `max_iterations`, with the last change of the objective.
///
/// ```
/// use ctmc::denoise::exact::{FitOptions, fit_product_mixture};
/// use numeric::{Noise, ndarray::array};
/// let data = array![[0, 0, 0], [1, 1, 1], [0, 0, 0], [1, 1, 1]];
/// let options = FitOptions {
///     components: 2, states: 2, count: 0.0, max_iterations: 50, tolerance: 1e-9, noise: Noise::new(1),
/// };
/// let fit = fit_product_mixture(&data, &options)?;
/// assert_eq!(fit.mixture.weights(), [0.5, 0.5]);
/// assert!((fit.log_likelihoods[fit.iterations()] - 0.5_f64.ln()).abs() < 1e-15);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// Dempster, Laird, Rubin (1977), *Maximum likelihood from incomplete data via the EM algorithm*. Arthur, Vassilvitskii
/// (2007), *k-means++: the advantages of careful seeding*.
pub fn fit_product_mixture(data: &ArrayRef2<u32>, options: &FitOptions) -> Result<MixtureFit, Error> {
    let &FitOptions { components: k, states, count, max_iterations, tolerance, noise } = options;
    let (n, dim) = data.dim();
    Error::shape("data", &[n.max(1), dim.max(1)], &[n, dim])?;
    Error::domain(k > 0 && k <= n, "components", k as f64, "between 1 and the number of rows")?;
    Error::domain(states > 0, "states", 0.0, "at least 1")?;
    Error::domain(count >= 0.0 && count.is_finite(), "count", count, "a finite number of at least 0")?;
    Error::domain(max_iterations > 0, "max_iterations", 0.0, "at least 1")?;
    Error::positive("tolerance", tolerance)?;
    check_states("data", states, data)?;
    let rows = data.as_standard_layout().into_owned();
    let columns = data.t().as_standard_layout().into_owned();
    let fit = Fit { rows, columns, states, count };
    let mut responsibilities = Array2::zeros((n, k));
    for (i, j) in fit.clusters(k, noise.fork("fit product mixture")).into_iter().enumerate() {
        responsibilities[[i, j]] = 1.0;
    }
    let mut mixture = fit.maximise(&responsibilities)?;
    let mut log_likelihoods = vec![fit.expect(&mixture, &mut responsibilities)];
    let mut objectives = vec![log_likelihoods[0] + fit.ln_prior(&mixture)];
    let (mut unchanged, mut residual) = (0, f64::INFINITY);
    while unchanged < 2 {
        let iterations = objectives.len() - 1;
        if iterations == max_iterations {
            return Err(Error::NotConverged { routine: "fit_product_mixture", iterations, residual });
        }
        mixture = fit.maximise(&responsibilities)?;
        let log_likelihood = fit.expect(&mixture, &mut responsibilities);
        let objective = log_likelihood + fit.ln_prior(&mixture);
        residual = (objective - objectives[iterations]).abs();
        unchanged = if residual <= tolerance { unchanged + 1 } else { 0 };
        log_likelihoods.push(log_likelihood);
        objectives.push(objective);
    }
    Ok(MixtureFit { mixture, log_likelihoods, objectives })
}

struct Fit {
    /// `(n, D)`.
    rows: Array2<u32>,
    /// `(D, n)`.
    columns: Array2<u32>,
    states: usize,
    count: f64,
}

impl Fit {
    /// Logarithm of the prior's density, divided by n.
    fn ln_prior(&self, mixture: &ProductMixture) -> f64 {
        if self.count == 0.0 {
            return 0.0;
        }
        let all = mixture.weights.iter().chain(&mixture.laws);
        self.count * all.map(|p| p.ln()).sum::<f64>() / self.rows.nrows() as f64
    }

    /// E step: writes the responsibilities, `(n, K)`, and returns the mean log-likelihood.
    fn expect(&self, mixture: &ProductMixture, responsibilities: &mut Array2<f64>) -> f64 {
        let (n, dim) = self.rows.dim();
        let k = mixture.components();
        let x = self.rows.as_slice().expect("standard layout");
        let r = responsibilities.as_slice_mut().expect("standard layout");
        let block = |factors: &mut Vec<f64>, (x, r): (&[u32], &mut [f64])| {
            let rows = x.chunks_exact(dim).zip(r.chunks_exact_mut(k));
            rows.map(|(x, r)| mixture.responsibilities(x, factors, r)).sum::<f64>()
        };
        let blocks = x.par_chunks(BLOCK * dim).zip(r.par_chunks_mut(BLOCK * k));
        let sums: Vec<f64> = blocks.map_init(Vec::new, block).collect();
        sums.iter().sum::<f64>() / n as f64
    }

    /// M step.
    fn maximise(&self, responsibilities: &Array2<f64>) -> Result<ProductMixture, Error> {
        let (n, k) = responsibilities.dim();
        let mut held = vec![0.0; k];
        for r in responsibilities.outer_iter() {
            held.iter_mut().zip(r).for_each(|(held, r)| *held += r);
        }
        let expected = "a weight greater than 0, of a component that some row belongs to";
        if let Some(index) = held.iter().position(|&held| !(held + self.count > 0.0)) {
            return Err(Error::Entry { parameter: "weights", index, value: held[index], expected });
        }
        let total = n as f64 + self.count * k as f64;
        let weights = held.iter().map(|held| (held + self.count) / total).collect();
        let r = responsibilities.as_slice().expect("standard layout");
        let mut laws = Array3::from_elem((self.rows.ncols(), self.states, k), self.count);
        let tokens = laws.as_slice_mut().expect("standard layout").par_chunks_mut(self.states * k);
        tokens.enumerate().for_each(|(d, laws)| {
            for (r, &value) in r.chunks_exact(k).zip(self.columns.row(d)) {
                let counts = &mut laws[value as usize * k..][..k];
                counts.iter_mut().zip(r).for_each(|(count, r)| *count += r);
            }
            // Their own sum, so that the laws sum to 1 to rounding.
            let mut sums = vec![0.0; k];
            for counts in laws.chunks_exact(k) {
                sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
            }
            for counts in laws.chunks_exact_mut(k) {
                counts.iter_mut().zip(&sums).for_each(|(count, sum)| *count /= sum);
            }
        });
        Ok(ProductMixture { weights, laws })
    }

    /// The nearest centre of each row, after k-means++.
    fn clusters(&self, k: usize, noise: Noise) -> Vec<usize> {
        let n = self.rows.nrows();
        let mut stream = noise.row_stream(0);
        let (mut nearest, mut distances) = (vec![0; n], vec![f64::INFINITY; n]);
        for j in 0..k {
            // If fewer rows are distinct, centres repeat.
            let total: f64 = distances.iter().sum();
            let centre = if total.is_finite() && total > 0.0 {
                draw(&distances, total, stream.uniform()) as usize
            } else {
                ((stream.uniform() * n as f64) as usize).min(n - 1)
            };
            for (i, row) in self.rows.outer_iter().enumerate() {
                let differ = row.iter().zip(self.rows.row(centre)).filter(|(a, b)| a != b).count() as f64;
                if differ < distances[i] {
                    (nearest[i], distances[i]) = (j, differ);
                }
            }
        }
        nearest
    }
}
