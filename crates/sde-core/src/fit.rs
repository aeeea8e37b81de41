//! Gaussian mixtures fitted to data by expectation maximisation.

use std::borrow::Cow;

use nalgebra::DMatrix;
use numeric::ndarray::linalg::general_mat_mul;
use numeric::ndarray::{Array1, Array2, ArrayRef2, ArrayView1, ArrayView2};
use numeric::{Error, Noise, Packed, softmax_columns};
use rayon::prelude::*;

/// Rows of one task of the E step, and of one matrix product of the M step.
const BLOCK: usize = 64;
/// Most parts into which the rows of one component are cut in the M step.
const PARTS: usize = 16;
/// Most Lloyd iterations after the seeding.
const LLOYD: usize = 10;

/// What [`fit_mixture`] is to do, with an example there. There are no defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct FitOptions {
    /// Number of components k, at least 1.
    pub components: usize,
    /// What is added to the diagonal of each covariance in every M step, at least 0, in squared units of the
    /// data. No covariance has an eigenvalue below it.
    pub floor: f64,
    /// Most iterations, at least 1; to need more is an error.
    pub max_iterations: usize,
    /// Largest change of the mean log-likelihood that counts as none, in nats per row, greater than 0.
    pub tolerance: f64,
    /// Randomness of the seeding; nothing else is random.
    pub noise: Noise,
}

/// A fitted mixture $`\sum_j w_j\, \mathcal N(m_j, C_j)`$ and how it was reached.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// Weights $`w_j > 0`$, of sum 1 up to rounding.
    pub weights: Vec<f64>,
    /// Means $`m_j`$, `(k, d)`.
    pub means: Array2<f64>,
    /// Covariances $`C_j`$, each `(d, d)` and exactly symmetric.
    pub covariances: Vec<Array2<f64>>,
    /// Mean log-likelihood of the data in nats per row: of the start, then after each iteration. The last one
    /// is that of the mixture returned.
    pub log_likelihoods: Vec<f64>,
    /// Iterations made: one less than there are log-likelihoods.
    pub iterations: usize,
}

impl Fit {
    /// `1/n Σ_i log q(x_i)` over the rows of `data`, `(n, d)`, in nats: how well the mixture q explains data it
    /// was, or better was not, fitted to. With an example in [`fit_mixture`].
    ///
    /// # Errors
    /// [`Error::Shape`] for data without rows or with other columns, or if the parts of the mixture do not fit
    /// each other; [`Error::Entry`] for a weight that is not positive, or for means or data that are not finite;
    /// [`Error::NotPositiveDefinite`] for a covariance that is not, with its number (the lower triangle is
    /// read); [`Error::Domain`] if squared distances overflow.
    pub fn mean_log_likelihood(&self, data: &ArrayRef2<f64>) -> Result<f64, Error> {
        let (k, d) = self.means.dim();
        let x = checked(data)?;
        Error::shape("data", &[data.nrows(), d], data.shape())?;
        Error::shape("means", &[k.max(1), d], &[k, d])?;
        Error::shape("weights", &[k], &[self.weights.len()])?;
        Error::shape("covariances", &[k], &[self.covariances.len()])?;
        Error::entries("means", self.means.iter().copied(), "a finite number", f64::is_finite)?;
        let gaussian = |j: usize| {
            Error::shape("covariances", &[d, d], self.covariances[j].shape())?;
            Gaussian::new(j, self.weights[j], self.means.row(j).to_owned(), self.covariances[j].clone())
        };
        let gaussians = (0..k).map(gaussian).collect::<Result<Vec<_>, _>>()?;
        let mut responsibilities = vec![0.0; data.nrows() * k];
        expect(&x, &gaussians, &mut responsibilities)
    }
}

/// Fits a mixture of k Gaussians with full covariances to the rows of `data`, `(n, d)`, by EM.
///
/// One iteration computes the responsibilities of the components for the rows (E step), and from them the
/// parameters (M step), with a multiple of the identity added to each covariance:
///
/// ```math
/// r_{ij} = \frac{w_j\, \mathcal N(x_i; m_j, C_j)}{\sum_l w_l\, \mathcal N(x_i; m_l, C_l)}, \qquad
/// n_j = \sum_i r_{ij}, \quad w_j = \frac{n_j}{n}, \quad m_j = \frac1{n_j} \sum_i r_{ij} x_i, \quad
/// C_j = \frac1{n_j} \sum_i r_{ij} (x_i - m_j)(x_i - m_j)^\top + \mathrm{floor} \cdot I .
/// ```
///
/// The start is k-means++ (centres drawn one after the other among the rows, with probabilities proportional to
/// the squared distance from the nearest centre so far), then at most ten Lloyd iterations, ending when no row
/// changes its cluster or before a cluster would become empty, then an M step on the clusters. The result is a
/// local optimum; of several seeds, take the one with the best likelihood.
///
/// # Convergence
/// At `floor = 0` no iteration lowers the log-likelihood, but for rounding. At `floor > 0` it can fall, as it
/// does in the first iteration from a stationary point of `floor = 0`, and nothing is known to be monotone: the
/// M step maximises the expected complete-data log-likelihood less
/// $`\tfrac12 \mathrm{floor} \sum_j n_j \operatorname{tr} C_j^{-1}`$, as if the data were jittered by
/// $`\mathcal N(0, \mathrm{floor} \cdot I)`$, but $`n_j`$ changes with every E step, so that this is no prior. With
/// the factor $`e^{-\mathrm{floor} \operatorname{tr} C_j^{-1} / 2}`$ on $`w_j \mathcal N(x_i; m_j, C_j)`$ in the E step
/// too, the two steps would be EM for the likelihood of that form, and monotone; the usual regularised EM, and
/// this one, does without it. What the floor does ensure is that no covariance collapses, so that no row has
/// more than $`-\tfrac d2 \log(2 \pi \, \mathrm{floor})`$ nats.
///
/// Hence the rule: the fit has converged when the mean log-likelihood changed by at most `tolerance`, up or
/// down, in each of two successive iterations (one small change alone may be a turning point). EM can rest on a
/// plateau before a row changes its component, and a tolerance must be below what a row gains. On 1437 images
/// of digits (64 pixels, 40 components, floor 0.01) `1e-3` stopped up to 0.02 nats short, while `1e-6`, reached
/// in 2 to 19 iterations, and `1e-9` agreed to `1e-6`.
///
/// # Reproducibility
/// A function of the whole ordered data set: the same bits for any number of threads, since sums are taken in
/// fixed order over fixed blocks. Another order of the rows draws other seeds.
///
/// Responsibilities below $`e^{-60}`$ of the largest of their row are exactly 0, and cost nothing in the M step.
/// This changes $`n_j`$ by less than $`e^{-60} / w_j < 10^{-26} / w_j`$ of itself, and mean and covariance by as
/// much of the diameter of the data and its square: below rounding where $`w_j > 10^{-10}`$.
///
/// # Complexity
/// `O(n k d² + k d³)` per iteration, in the M step less the fewer components share a row; `n k` numbers of memory.
///
/// # Errors
/// - [`Error::Shape`] for data without rows or columns; [`Error::Entry`] in `data` for NaN or an infinity.
/// - [`Error::Domain`] for `components` = 0 or more than the distinct rows, a `floor` that is negative or not
///   finite, `max_iterations` = 0, a `tolerance` that is not positive and finite, or `data` whose squared
///   distances overflow.
/// - [`Error::NotPositiveDefinite`] with the component's number if a covariance is singular to within rounding:
///   a coordinate whose variance, given those before it, is below `64 d ε` of its variance. At `floor = 0` the
///   likelihood is unbounded, and this is where a component that shrinks to a point or a plane ends.
/// - [`Error::Entry`] in `weights` with the component's number if no row is left to it.
/// - [`Error::NotConverged`] after `max_iterations`, with the last change of the mean log-likelihood.
///
/// # Examples
/// ```
/// use numeric::{Noise, ndarray::array};
/// use sde_core::fit::{FitOptions, fit_mixture};
/// let data = array![[-11.0], [9.0], [-9.0], [11.0]];
/// let options =
///     FitOptions { components: 2, floor: 0.25, max_iterations: 50, tolerance: 1e-9, noise: Noise::new(1) };
/// let fit = fit_mixture(&data, &options)?;
/// // Two pairs, twenty apart: the clusters' own means and variances, plus the floor.
/// assert_eq!(fit.weights, [0.5, 0.5]);
/// assert_eq!(fit.means[(0, 0)] * fit.means[(1, 0)], -100.0);
/// assert_eq!(fit.covariances, [array![[1.25]], array![[1.25]]]);
/// let exact = 0.5_f64.ln() - 0.5 * (2.5 * std::f64::consts::PI).ln() - 0.5 / 1.25;
/// assert!((fit.mean_log_likelihood(&data)? - exact).abs() < 1e-15);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// - Dempster, Laird, Rubin (1977), Maximum likelihood from incomplete data via the EM algorithm, Theorem 1.
/// - Arthur, Vassilvitskii (2007), k-means++: the advantages of careful seeding, section 2.2.
pub fn fit_mixture(data: &ArrayRef2<f64>, options: &FitOptions) -> Result<Fit, Error> {
    let x = &*checked(data)?;
    let &FitOptions { components: k, floor, max_iterations, tolerance, noise } = options;
    Error::domain(k > 0 && k <= data.nrows(), "components", k as f64, "between 1 and the number of rows")?;
    Error::domain(floor >= 0.0 && floor.is_finite(), "floor", floor, "a finite number of at least 0")?;
    Error::domain(max_iterations > 0, "max_iterations", 0.0, "at least 1")?;
    Error::positive("tolerance", tolerance)?;
    let mut responsibilities = vec![0.0; data.nrows() * k];
    for (r, j) in responsibilities.chunks_exact_mut(k).zip(clusters(x, data.ncols(), k, noise)?) {
        r[j] = 1.0;
    }
    let mut gaussians = maximise(x, &responsibilities, k, floor)?;
    let mut log_likelihoods = vec![expect(x, &gaussians, &mut responsibilities)?];
    let (mut unchanged, mut residual) = (0, f64::INFINITY);
    while unchanged < 2 {
        let iterations = log_likelihoods.len() - 1;
        if iterations == max_iterations {
            return Err(Error::NotConverged { routine: "fit_mixture", iterations, residual });
        }
        gaussians = maximise(x, &responsibilities, k, floor)?;
        let next = expect(x, &gaussians, &mut responsibilities)?;
        residual = (next - log_likelihoods[iterations]).abs();
        unchanged = if residual <= tolerance { unchanged + 1 } else { 0 };
        log_likelihoods.push(next);
    }
    Ok(Fit {
        weights: gaussians.iter().map(|g| g.weight).collect(),
        means: means(&gaussians),
        covariances: gaussians.into_iter().map(|g| g.covariance).collect(),
        iterations: log_likelihoods.len() - 1,
        log_likelihoods,
    })
}

/// The entries row by row, copied only if they are stored in another order.
fn checked(data: &ArrayRef2<f64>) -> Result<Cow<'_, [f64]>, Error> {
    let (n, d) = data.dim();
    Error::shape("data", &[n.max(1), d.max(1)], &[n, d])?;
    Error::entries("data", data.iter().copied(), "a finite number", f64::is_finite)?;
    let copy = || Cow::Owned(data.iter().copied().collect());
    Ok(data.as_slice().map_or_else(copy, Cow::Borrowed))
}

/// `w N(m, C)`, ready for densities.
struct Gaussian {
    weight: f64,
    mean: Array1<f64>,
    covariance: Array2<f64>,
    /// `L⁻ᵀ` of `C = L Lᵀ`: the row vector `(x − m) L⁻ᵀ` is standard normal.
    whitening: Packed<f64>,
    /// `ln w − ½ ln det 2πC`.
    ln_peak: f64,
}

impl Gaussian {
    fn new(index: usize, weight: f64, mean: Array1<f64>, covariance: Array2<f64>) -> Result<Self, Error> {
        if !(weight > 0.0 && weight.is_finite()) {
            let expected = "a weight greater than 0, of a component that some row belongs to";
            return Err(Error::Entry { parameter: "weights", index, value: weight, expected });
        }
        let d = mean.len();
        let singular = Error::NotPositiveDefinite { parameter: "covariances", index };
        let matrix = DMatrix::from_fn(d, d, |i, j| covariance[(i, j)]);
        let lower = matrix.cholesky().ok_or(singular.clone())?.unpack();
        let inverse = lower.solve_lower_triangular(&DMatrix::identity(d, d)).ok_or(singular.clone())?;
        // The trace of the inverse of the correlation matrix, between 1/λ and d/λ for its least eigenvalue λ: what
        // rounding made of a zero must not pass for a variance.
        let of = |i: usize| covariance[(i, i)] * inverse.column(i).norm_squared();
        let trace: f64 = (0..d).map(of).sum();
        if !(trace * 64.0 * (d as f64) * f64::EPSILON < 1.0) {
            return Err(singular);
        }
        let ln_root_det: f64 = lower.diagonal().iter().map(|l| l.ln()).sum();
        let ln_peak = weight.ln() - ln_root_det - 0.5 * d as f64 * std::f64::consts::TAU.ln();
        let whitening = Packed::new(d, d, |i, j| inverse[(j, i)]);
        Ok(Self { weight, mean, covariance, whitening, ln_peak })
    }
}

/// `(k, d)`.
fn means(gaussians: &[Gaussian]) -> Array2<f64> {
    Array2::from_shape_fn((gaussians.len(), gaussians[0].mean.len()), |(j, i)| gaussians[j].mean[i])
}

/// E step: writes the responsibilities, `(n, k)`, and returns the mean log-likelihood.
fn expect(x: &[f64], gaussians: &[Gaussian], responsibilities: &mut [f64]) -> Result<f64, Error> {
    let (k, d) = (gaussians.len(), gaussians[0].mean.len());
    let sums: Vec<f64> = responsibilities
        .par_chunks_mut(BLOCK * k)
        .zip(x.par_chunks(BLOCK * d))
        .map_init(Default::default, |buffers, (r, x)| expect_block(x, gaussians, r, buffers))
        .collect();
    let mean = sums.iter().sum::<f64>() / (x.len() / d) as f64;
    Error::domain(mean.is_finite(), "data", mean, "rows whose squared distances do not overflow")?;
    Ok(mean)
}

/// E step of a few rows; returns the sum of their log-likelihoods.
fn expect_block(
    x: &[f64],
    gaussians: &[Gaussian],
    responsibilities: &mut [f64],
    (centred, white): &mut (Vec<f64>, Vec<f64>),
) -> f64 {
    let k = gaussians.len();
    centred.resize(x.len(), 0.0);
    white.resize(x.len(), 0.0);
    for (j, gaussian) in gaussians.iter().enumerate() {
        let mean = gaussian.mean.as_slice().expect("contiguous");
        for (c, x) in centred.chunks_exact_mut(mean.len()).zip(x.chunks_exact(mean.len())) {
            for ((c, x), m) in c.iter_mut().zip(x).zip(mean) {
                *c = x - m;
            }
        }
        gaussian.whitening.left_multiply(centred, white);
        for (r, y) in responsibilities.chunks_exact_mut(k).zip(white.chunks_exact(mean.len())) {
            let y = ArrayView1::from(y);
            r[j] = gaussian.ln_peak - 0.5 * y.dot(&y);
        }
    }
    let mut total = 0.0;
    for row in responsibilities.chunks_exact_mut(k) {
        let (mut top, mut sum) = ([0.0], [0.0]);
        softmax_columns(row, &mut top, &mut sum);
        row.iter_mut().for_each(|r| *r /= sum[0]);
        total += top[0] + sum[0].ln();
    }
    total
}

/// M step for k components, from the responsibilities `(n, k)`.
fn maximise(x: &[f64], responsibilities: &[f64], k: usize, floor: f64) -> Result<Vec<Gaussian>, Error> {
    let (n, d) = (responsibilities.len() / k, k * x.len() / responsibilities.len());
    let component = |j: usize| {
        let all = responsibilities[j..].iter().step_by(k).zip(x.chunks_exact(d));
        let held: Vec<(f64, &[f64])> = all.filter(|(r, _)| **r > 0.0).map(|(&r, x)| (r, x)).collect();
        let count: f64 = held.iter().map(|(r, _)| r).sum();
        let mut mean = Array1::<f64>::zeros(d);
        // The second pass removes the rounding of the first: a constant coordinate has variance exactly 0.
        for _ in 0..2 {
            let mut shift = Array1::<f64>::zeros(d);
            for (r, x) in &held {
                shift.iter_mut().zip(*x).zip(&mean).for_each(|((s, x), m)| *s += r * (x - m));
            }
            mean.scaled_add(1.0 / count, &shift);
        }
        let part = held.len().div_ceil(PARTS).next_multiple_of(BLOCK).max(BLOCK);
        let parts: Vec<Array2<f64>> = held.par_chunks(part).map(|rows| scatter(rows, &mean)).collect();
        let sum = parts.into_iter().fold(Array2::zeros((d, d)), |sum: Array2<f64>, part| sum + part);
        let covariance = Array2::from_shape_fn((d, d), |(a, b)| {
            sum[(a.max(b), a.min(b))] / count + if a == b { floor } else { 0.0 }
        });
        Gaussian::new(j, count / n as f64, mean, covariance)
    };
    // Collected in two steps, so that of several failures the lowest component is reported.
    let gaussians: Vec<Result<Gaussian, Error>> = (0..k).into_par_iter().map(component).collect();
    gaussians.into_iter().collect()
}

/// `Σ r (x − m)(x − m)ᵀ` over the rows given with their responsibilities.
fn scatter(held: &[(f64, &[f64])], mean: &Array1<f64>) -> Array2<f64> {
    let d = mean.len();
    let mut sum = Array2::zeros((d, d));
    let mut scaled = vec![0.0; BLOCK.min(held.len()) * d];
    for rows in held.chunks(BLOCK) {
        let scaled = &mut scaled[..rows.len() * d];
        for (y, (r, x)) in scaled.chunks_exact_mut(d).zip(rows) {
            let root = r.sqrt();
            for ((y, x), m) in y.iter_mut().zip(*x).zip(mean) {
                *y = root * (x - m);
            }
        }
        let y = ArrayView2::from_shape((rows.len(), d), scaled).expect("whole rows");
        general_mat_mul(1.0, &y.t(), &y, 1.0, &mut sum);
    }
    sum
}

/// The start: the number of the cluster of each row, none of them empty.
fn clusters(x: &[f64], d: usize, k: usize, noise: Noise) -> Result<Vec<usize>, Error> {
    let n = x.len() / d;
    let mut u = Array2::zeros((k, 1));
    noise.fork("seeding").uniforms_into::<f64>(&(0..k as u64).collect::<Vec<_>>(), 0, &mut u);
    let mut centres = Array2::zeros((k, d));
    let mut nearest = vec![(f64::INFINITY, 0); n];
    for j in 0..k {
        let row =
            if j == 0 { ((u[(0, 0)] * n as f64) as usize).min(n - 1) } else { draw(&nearest, u[(j, 0)], k)? };
        let centre = &x[row * d..][..d];
        centres.row_mut(j).assign(&ArrayView1::from(centre));
        approach(&mut nearest, x, centre, j);
    }
    for _ in 0..LLOYD {
        let (mut shifts, mut counts) = (Array2::<f64>::zeros((k, d)), vec![0.0; k]);
        for (x, &(_, j)) in x.chunks_exact(d).zip(&nearest) {
            for ((s, x), c) in shifts.row_mut(j).iter_mut().zip(x).zip(centres.row(j)) {
                *s += x - c;
            }
            counts[j] += 1.0;
        }
        let mut next = vec![(f64::INFINITY, 0); n];
        for (j, mut centre) in centres.rows_mut().into_iter().enumerate() {
            centre.scaled_add(1.0 / counts[j], &shifts.row(j));
            approach(&mut next, x, centre.as_slice().expect("standard layout"), j);
        }
        let mut empty = vec![true; k];
        next.iter().for_each(|&(_, j)| empty[j] = false);
        if empty.contains(&true) || next.iter().map(|c| c.1).eq(nearest.iter().map(|c| c.1)) {
            break;
        }
        nearest = next;
    }
    Ok(nearest.into_iter().map(|(_, j)| j).collect())
}

/// The row at which the sum of the squared distances passes the fraction u of the whole.
fn draw(nearest: &[(f64, usize)], u: f64, k: usize) -> Result<usize, Error> {
    let total: f64 = nearest.iter().map(|c| c.0).sum();
    Error::domain(total.is_finite(), "data", total, "rows whose squared distances do not overflow")?;
    Error::domain(total > 0.0, "components", k as f64, "at most the number of distinct rows")?;
    let mut sum = 0.0;
    let passes = nearest.iter().position(|c| {
        sum += c.0;
        sum > u * total
    });
    // Where rounding hides the last step, the last row at a distance.
    Ok(passes.or_else(|| nearest.iter().rposition(|c| c.0 > 0.0)).expect("a positive sum"))
}

/// Gives to centre j the rows that are nearer to it than to those before.
fn approach(nearest: &mut [(f64, usize)], x: &[f64], centre: &[f64], j: usize) {
    nearest.par_iter_mut().zip(x.par_chunks(centre.len())).with_min_len(BLOCK).for_each(|(nearest, x)| {
        let squared = x.iter().zip(centre).map(|(x, c)| (x - c) * (x - c)).sum();
        if squared < nearest.0 {
            *nearest = (squared, j);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Another order of the rows, with the responsibilities carried along, changes rounding only.
    #[test]
    fn a_step_does_not_see_the_order_of_the_rows() {
        let mut x = Array2::<f64>::zeros((300, 3));
        Noise::new(5).normals_into::<f64>(&(0..300).collect::<Vec<_>>(), 0, &mut x);
        let step = |x: &[f64]| {
            let of = |x: &[f64]| if x[0] < 0.2 { [0.7, 0.3] } else { [0.0, 1.0] };
            let mut responsibilities: Vec<f64> = x.chunks_exact(3).flat_map(of).collect();
            let gaussians = maximise(x, &responsibilities, 2, 0.1).unwrap();
            let log_likelihood = expect(x, &gaussians, &mut responsibilities).unwrap();
            (maximise(x, &responsibilities, 2, 0.1).unwrap(), log_likelihood)
        };
        let x = x.as_slice().unwrap();
        let reversed: Vec<f64> = x.chunks_exact(3).rev().flatten().copied().collect();
        let ((a, ln_a), (b, ln_b)) = (step(x), step(&reversed));
        assert!((ln_a - ln_b).abs() < 1e-13);
        for (a, b) in a.iter().zip(&b) {
            assert!((a.weight - b.weight).abs() < 1e-13);
            assert!((&a.mean - &b.mean).iter().all(|e| e.abs() < 1e-13));
            assert!((&a.covariance - &b.covariance).iter().all(|e| e.abs() < 1e-13));
        }
    }

    /// The mean of equal numbers is exact, and their variance 0, not the square of a rounding error.
    #[test]
    fn constant_coordinates_and_lost_components() {
        let x: Vec<f64> = (0..1000).flat_map(|i| [1.0 / 3.0, f64::from(i)]).collect();
        let r: Vec<f64> = (0..1000).map(|i| 0.1 + f64::from(i % 7)).collect();
        let singular = Error::NotPositiveDefinite { parameter: "covariances", index: 0 };
        assert_eq!(maximise(&x, &r, 1, 0.0).err(), Some(singular));
        let regular = maximise(&x, &r, 1, 0.25).unwrap();
        assert_eq!((regular[0].mean[0], regular[0].covariance[(0, 0)]), (1.0 / 3.0, 0.25));
        let lost = maximise(&[1.0, 2.0], &[1.0, 0.0, 1.0, 0.0], 2, 0.1).err();
        assert!(matches!(lost, Some(Error::Entry { parameter: "weights", index: 1, value: 0.0, .. })));
    }

    /// From the centres (4, 0), (5, 4), (4, 1), (3, 0) the second Lloyd assignment would leave one without rows.
    #[test]
    fn no_cluster_is_empty() {
        let x = [4.0, 0.0, 5.0, 4.0, 4.0, 1.0, 3.0, 0.0, 2.0, 2.0, 0.0, 3.0];
        for seed in 0..3000 {
            let clusters = clusters(&x, 2, 4, Noise::new(seed)).unwrap();
            assert!((0..4).all(|j| clusters.contains(&j)), "seed {seed}");
        }
    }

    #[test]
    fn seeds_are_drawn_in_proportion_to_the_squared_distance() {
        let nearest = [(1.0, 0), (0.0, 0), (3.0, 0), (0.0, 0)];
        let drawn = |u| draw(&nearest, u, 2).unwrap();
        assert_eq!([drawn(1e-9), drawn(0.249), drawn(0.251), drawn(1.0)], [0, 0, 2, 2]);
        assert!(draw(&[(0.0, 0); 3], 0.5, 2).is_err());
    }
}
