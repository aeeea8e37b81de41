//! Sliced Wasserstein distances between samples.

use numeric::ndarray::{Array2, ArrayRef2, ArrayView2, Axis, Slice};
use numeric::{Error, Estimate, Noise, Real};
use rayon::prelude::*;

use super::transport::{Ordered, transport};
use super::{check_sample, mean_and_squares};

/// Directions per work item: high enough for the matrix product, and fixed, so that sums are the same for any
/// number of threads.
const BLOCK: usize = 16;

/// One sample, projected and sorted once, for sliced distances to many others.
///
/// Holds L directions, uniform on the sphere of $`\mathbb{R}^d`$, and the projections of the reference on
/// each in ascending order: about 12 L m bytes for m rows of `f64`, 8 L m for `f32`. The same noise gives the
/// same directions, so that distances of several samples to one reference are compared on equal terms.
///
/// # Complexity
/// `new`: O(L m (d + log m)); a distance to n rows: O(L n (d + log n) + L m), its standard error included.
///
/// # Randomness
/// Row l of the noise's fork "sliced directions" at step 0 is the direction l before normalisation.
///
/// ```
/// use bounds::divergence::SlicedReference;
/// use numeric::Noise;
/// use numeric::ndarray::Array2;
/// let y = Array2::from_shape_fn((100, 3), |(i, j)| (i * j) as f64);
/// let reference = SlicedReference::new(&y, 50, Noise::new(7))?;
/// // All rows moved by (1, 2, 2): every projection moves by the product with its direction, and the mean of
/// // the squares of these is |(1, 2, 2)|^2 / 3 = 3 up to the choice of the directions.
/// let moved = Array2::from_shape_fn((100, 3), |(i, j)| y[(i, j)] + [1.0, 2.0, 2.0][j]);
/// let distance = reference.w2(&moved)?;
/// assert!((distance.mean - 3.0_f64.sqrt()).abs() < 4.0 * distance.std_error);
/// # Ok::<(), numeric::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SlicedReference<F> {
    directions: Array2<F>,
    sorted: Vec<Ordered<F>>,
}

impl<F: Real> SlicedReference<F> {
    /// Projects the rows of `y`, `(m, d)`, on `projections` random directions and sorts each projection.
    ///
    /// # Errors
    /// - [`Error::Shape`] for fewer than 2 rows or no column, [`Error::Entry`] for an entry that is not
    ///   finite;
    /// - [`Error::Domain`] for fewer than 2 projections or more than $`2^{32}`$ rows.
    pub fn new(y: &ArrayRef2<F>, projections: usize, noise: Noise) -> Result<SlicedReference<F>, Error> {
        check_sample("y", y, 2)?;
        check_row_count("y", y)?;
        Error::domain(projections >= 2, "projections", projections as f64, "at least 2")?;
        let directions = directions(projections, y.ncols(), noise);
        let sorted: Vec<Vec<Ordered<F>>> = (0..projections.div_ceil(BLOCK))
            .into_par_iter()
            .map(|index| sort_projections(&block(&directions, index), y))
            .collect();
        Ok(SlicedReference { directions, sorted: sorted.into_iter().flatten().collect() })
    }

    /// Dimension d of the rows.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.directions.ncols()
    }

    /// Number of directions L.
    #[must_use]
    pub fn num_projections(&self) -> usize {
        self.directions.nrows()
    }

    /// The unit vectors projected on, `(L, d)`.
    #[must_use]
    pub fn directions(&self) -> &ArrayRef2<F> {
        &self.directions
    }

    /// Sliced 2-Wasserstein distance of the rows of `x`, `(n, d)`, to the reference: [`sliced_w2`].
    ///
    /// # Errors
    /// As [`sliced_w2`].
    pub fn w2(&self, x: &ArrayRef2<F>) -> Result<Estimate, Error> {
        let Estimate { mean, std_error, n } = self.mean_cost(x, |z| z * z)?;
        let root = mean.sqrt();
        // sd(sqrt T) <= sqrt(sd T) for every T >= 0, and nearly sd(T) / (2 sqrt(E T)) where T keeps clear of
        // 0. At T = 0 the quotient is NaN, which `min` passes over.
        let std_error = (0.5 * std_error / root).min(std_error.sqrt());
        Ok(Estimate { mean: root, std_error, n })
    }

    /// Sliced 1-Wasserstein distance of the rows of `x`, `(n, d)`, to the reference: [`sliced_w1`].
    ///
    /// # Errors
    /// As [`sliced_w1`].
    pub fn w1(&self, x: &ArrayRef2<F>) -> Result<Estimate, Error> {
        self.mean_cost(x, f64::abs)
    }

    /// Mean over the directions of the optimal cost between the projections, with its standard error.
    fn mean_cost(
        &self,
        x: &ArrayRef2<F>,
        cost: impl Fn(f64) -> f64 + Copy + Sync,
    ) -> Result<Estimate, Error> {
        check_sample("x", x, 2)?;
        check_row_count("x", x)?;
        Error::shape("x", &[x.nrows(), self.dim()], &[x.nrows(), x.ncols()])?;
        let (n, m) = (x.nrows(), self.sorted[0].values.len());
        let blocks: Vec<Costs> = self
            .sorted
            .par_chunks(BLOCK)
            .enumerate()
            .map(|(index, sorted)| {
                let mut costs = Costs::new(n, m);
                for (x, y) in sort_projections(&block(&self.directions, index), x).iter().zip(sorted) {
                    costs.add(x, y, cost);
                }
                costs
            })
            .collect();
        let mut all = Costs::new(n, m);
        for block in &blocks {
            all.merge(block);
        }
        let estimate = all.estimate();
        Error::domain(
            estimate.mean.is_finite() && estimate.std_error.is_finite(),
            "x",
            estimate.mean,
            "values whose costs do not overflow",
        )?;
        Ok(estimate)
    }
}

/// Sliced 2-Wasserstein distance between two samples.
///
/// ```math
/// \widehat{SW}_2 = \Big(\frac1L\sum_{l=1}^L W_2^2\big(\theta_l^\top x,\ \theta_l^\top y\big)\Big)^{1/2}
/// ```
///
/// in the unit of the data (it is *not* the square), over directions $`\theta_l`$ uniform on the sphere; the
/// one-dimensional distances between the empirical laws are exact, for samples of different sizes as well.
/// `x` is `(n, d)`, `y` is `(m, d)`. In dimension 1 it is the 2-Wasserstein distance itself. For a fixed
/// sample y and many x keep a [`SlicedReference`].
///
/// # Bias
/// The distance between two empirical laws is biased upwards: by Jensen's inequality the mean of its square
/// exceeds the square between the laws themselves, and it is positive, of order $`n^{-1/2}`$ for light tails,
/// when the laws are equal. The distance of a second sample of the same law and size is the yardstick.
///
/// # Standard error
/// About the estimator's own mean, hence without that bias. With T the mean of the squares it is the square
/// root of
///
/// ```math
/// \frac{s^2(\bar\varphi_1..\bar\varphi_n)}{n} + \frac{s^2(\bar\psi_1..\bar\psi_m)}{m}
///   + \Big[\frac{s^2(T_1..T_L)}{L} - \frac{v_1+\dots+v_L}{L^2}\Big]_+
/// ```
///
/// divided by $`2\sqrt T`$ (delta method; at most the square root of the standard error of T, which bounds
/// it). $`\bar\varphi_i`$ is the mean over directions of the Kantorovich potential at row i, the influence
/// function of T, so that the first two terms are its first-order (infinitesimal jackknife) variance at the
/// drawn directions. The bracket is the variance component of the directions: their observed scatter less
/// $`v_l`$, the part that the points alone give to direction l and that the first terms already contain; as
/// usual for such a component, a negative estimate counts as 0. Between equal laws the first-order
/// term vanishes and what is estimated is its second-order remainder: there the standard error is
/// conservative, by a factor of up to about $`\sqrt2`$.
///
/// # Errors
/// - [`Error::Shape`] for fewer than 2 rows, no column, or different dimensions;
/// - [`Error::Entry`] for an entry that is not finite;
/// - [`Error::Domain`] for fewer than 2 projections, more than $`2^{32}`$ rows, or costs that overflow.
///
/// # Examples
/// ```
/// use bounds::divergence::sliced_w2;
/// use numeric::Noise;
/// use numeric::ndarray::array;
/// // On the line, {0, 1} against {0, 0, 3}: thirds of mass 0 -> 0, a sixth 0 -> 0 and 1 -> 0, a third 1 -> 3.
/// let distance = sliced_w2(&array![[0.0], [1.0]], &array![[0.0], [3.0], [0.0]], 2, Noise::new(1))?;
/// let squared: f64 = 1.0 / 6.0 + 4.0 / 3.0;
/// assert!((distance.mean - squared.sqrt()).abs() < 1e-15);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// J. Rabin, G. Peyré, J. Delon, M. Bernot (2012), "Wasserstein barycenter and its application to texture
/// mixing", SSVM, section 2 (definition); E. del Barrio, J.-M. Loubes (2019), "Central limit theorems for
/// empirical transportation cost in general dimension", *Ann. Probab.* 47, theorem 4.1 (the potential as
/// influence function); A. Owen (2007), "The pigeonhole bootstrap", *Ann. Appl. Stat.* 1 (variance of a mean
/// over crossed rows and columns).
pub fn sliced_w2<F: Real>(
    x: &ArrayRef2<F>,
    y: &ArrayRef2<F>,
    projections: usize,
    noise: Noise,
) -> Result<Estimate, Error> {
    SlicedReference::new(y, projections, noise)?.w2(x)
}

/// Sliced 1-Wasserstein distance between two samples.
///
/// ```math
/// \widehat{SW}_1 = \frac1L\sum_{l=1}^L W_1\big(\theta_l^\top x,\ \theta_l^\top y\big)
/// ```
///
/// in the unit of the data. Shapes, bias and standard error are those of [`sliced_w2`], without the root; it
/// asks for first moments only and is less moved by outliers. Between equal laws its standard error is
/// conservative too, by the same factor or so.
///
/// # Errors
/// As [`sliced_w2`].
///
/// # Examples
/// ```
/// use bounds::divergence::sliced_w1;
/// use numeric::Noise;
/// use numeric::ndarray::array;
/// let distance = sliced_w1(&array![[0.0], [1.0]], &array![[0.0], [3.0], [0.0]], 2, Noise::new(1))?;
/// assert!((distance.mean - (1.0 / 6.0 + 2.0 / 3.0)).abs() < 1e-15);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// As [`sliced_w2`].
pub fn sliced_w1<F: Real>(
    x: &ArrayRef2<F>,
    y: &ArrayRef2<F>,
    projections: usize,
    noise: Noise,
) -> Result<Estimate, Error> {
    SlicedReference::new(y, projections, noise)?.w1(x)
}

/// What a set of directions found: costs, the variance the points give to each, and summed potentials.
struct Costs {
    costs: Vec<f64>,
    point_variances: Vec<f64>,
    /// Summed over directions, one for each row of x.
    potentials_x: Vec<f64>,
    /// Summed over directions, one for each row of the reference.
    potentials_y: Vec<f64>,
    phi: Vec<f64>,
    psi: Vec<f64>,
}

impl Costs {
    fn new(n: usize, m: usize) -> Costs {
        Costs {
            costs: Vec::new(),
            point_variances: Vec::new(),
            potentials_x: vec![0.0; n],
            potentials_y: vec![0.0; m],
            phi: vec![0.0; n],
            psi: vec![0.0; m],
        }
    }

    fn add<F: Real>(&mut self, x: &Ordered<F>, y: &Ordered<F>, cost: impl Fn(f64) -> f64) {
        let value = transport(&x.values, &y.values, cost, &mut self.phi, &mut self.psi);
        self.costs.push(value);
        self.point_variances.push(variance_of_centred(&self.phi) + variance_of_centred(&self.psi));
        for (rows, values, sums) in
            [(&x.rows, &self.phi, &mut self.potentials_x), (&y.rows, &self.psi, &mut self.potentials_y)]
        {
            for (&row, value) in rows.iter().zip(values) {
                sums[row as usize] += value;
            }
        }
    }

    fn merge(&mut self, later: &Costs) {
        self.costs.extend_from_slice(&later.costs);
        self.point_variances.extend_from_slice(&later.point_variances);
        for (sums, others) in
            [(&mut self.potentials_x, &later.potentials_x), (&mut self.potentials_y, &later.potentials_y)]
        {
            for (sum, other) in sums.iter_mut().zip(others) {
                *sum += other;
            }
        }
    }

    fn estimate(&self) -> Estimate {
        let directions = self.costs.len() as f64;
        let points = variance_of_centred(&self.potentials_x) + variance_of_centred(&self.potentials_y);
        let (mean, squares) = mean_and_squares(&self.costs);
        let scatter = squares / (directions - 1.0) * directions;
        let of_directions = (scatter - self.point_variances.iter().sum::<f64>()).max(0.0);
        Estimate {
            mean,
            std_error: (points + of_directions).sqrt() / directions,
            n: (self.phi.len() + self.psi.len()) as u64,
        }
    }
}

/// Variance of the mean of values that sum to 0.
fn variance_of_centred(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    values.iter().map(|value| value * value).sum::<f64>() / (n * (n - 1.0))
}

fn check_row_count<F>(parameter: &'static str, sample: &ArrayRef2<F>) -> Result<(), Error> {
    let rows = sample.nrows();
    Error::domain(u32::try_from(rows - 1).is_ok(), parameter, rows as f64, "at most 2^32 rows")
}

/// Directions uniform on the sphere, `(projections, dim)`: normalised normals.
fn directions<F: Real>(projections: usize, dim: usize, noise: Noise) -> Array2<F> {
    let rows: Vec<u64> = (0..projections as u64).collect();
    let mut normals = Array2::<f64>::zeros((projections, dim));
    noise.fork("sliced directions").normals_into(&rows, 0, &mut normals);
    for mut row in normals.rows_mut() {
        let norm = row.iter().map(|value| value * value).sum::<f64>().sqrt();
        row /= norm;
    }
    normals.mapv(F::of)
}

fn block<F>(directions: &ArrayRef2<F>, index: usize) -> ArrayView2<'_, F> {
    let end = (index * BLOCK + BLOCK).min(directions.nrows());
    directions.slice_axis(Axis(0), Slice::from(index * BLOCK..end))
}

/// The rows of `sample` projected on each direction, in ascending order.
fn sort_projections<F: Real>(directions: &ArrayRef2<F>, sample: &ArrayRef2<F>) -> Vec<Ordered<F>> {
    let mut keys = Vec::new();
    let projected = directions.dot(&sample.t());
    // A product may come in either memory order.
    projected.rows().into_iter().map(|row| Ordered::new(&row.to_vec(), &mut keys)).collect()
}
