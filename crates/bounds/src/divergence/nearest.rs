//! KL divergence between samples from the distances to nearest neighbours.

use numeric::ndarray::linalg::general_mat_mul;
use numeric::ndarray::{Array1, Array2, ArrayRef1, ArrayRef2, Axis, Slice};
use numeric::{Error, Estimate, Real};
use rayon::prelude::*;

use super::pairs::pooled;
use super::{check_samples, variance_of_mean};

/// Rows and columns of the tile of inner products that is worked on at a time.
const TILE: (usize, usize) = (64, 256);

/// Groups of rows that the standard error is taken from.
const GROUPS: usize = 20;

/// KL divergence $`\mathrm{KL}(P\|Q)`$ in nats from samples of P and Q with densities, by k-th nearest neighbours.
///
/// ```math
/// \widehat{\mathrm{KL}} = \frac dn \sum_{i=1}^n \ln\frac{\nu_k(i)}{\rho_k(i)} + \ln\frac{m}{n-1},
/// ```
///
/// with $`\rho_k(i)`$ the Euclidean distance from $`x_i`$ to its k-th nearest among the other rows of `x`, `(n, d)`,
/// and $`\nu_k(i)`$ that to its k-th nearest row of `y`, `(m, d)`: the ratio of the two densities estimated around
/// each $`x_i`$. It is not changed by a common shift, rotation or scale.
///
/// # Bias
/// The estimate tends to the divergence as n and m grow, for every fixed k, and takes both signs between equal laws.
/// At finite n it is off by what the densities change within a ball of k neighbours, which is of a radius of order
/// $`(k/n)^{1/d}`$: for smooth densities by $`O((k/n)^{2/d})`$, at edges of a support by $`O((k/n)^{1/d})`$. In
/// high dimension that dominates, often downwards, since no ball reaches where the laws differ most. The bias is
/// **not** in the standard error. A larger k trades variance for bias.
///
/// # Standard error
/// That of the estimator about its own mean, from G disjoint groups of the rows (row i is in group i mod G), G = 20
/// or as few as 10 if a group would else have fewer than 5(k + 1) rows: the estimator on each group alone has about
/// G times the variance, so that the variance of the mean over groups, $`s_G^2/G`$, is that of the whole. Unlike a
/// plain variance of the summands it knows that they share neighbours. It relies on the variance being in
/// proportion to 1/n, which at small n it is not quite (in simulations the error is up to 10 % too small); with G − 1 degrees of freedom it is itself known to about $`1/\sqrt{2G}`$.
///
/// # Complexity
/// O(n (n + m) d) through matrix products, exact, in parallel.
///
/// # Errors
/// - [`Error::Domain`] for k = 0;
/// - [`Error::Shape`] for fewer than 50(k + 1) rows, no column, or different dimensions;
/// - [`Error::Entry`] for an entry that is not finite, with its index, and for a row of `x` which is also another
///   row of `x` or a row of `y`, with its first entry: a law with a density has no such ties, and the divergence
///   of one with atoms is not what is estimated;
/// - [`Error::Domain`] if squared distances overflow.
///
/// # Examples
/// ```
/// use bounds::divergence::nearest_neighbour_kl;
/// use numeric::{Noise, ndarray::Array2};
/// let mut z = Array2::<f64>::zeros((2000, 2));
/// let rows: Vec<u64> = (0..2000).collect();
/// Noise::new(1).normals_into(&rows, 0, &mut z);
/// let x = &z + 1.0;
/// Noise::new(2).normals_into(&rows, 0, &mut z);
/// // N((1, 1), I) from N(0, I): |m|^2/2 = 1.
/// let kl = nearest_neighbour_kl(&x, &z, 5)?;
/// assert!((kl.mean - 1.0).abs() < 0.2 && kl.std_error < 0.1);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// F. Pérez-Cruz (2008), "Kullback–Leibler divergence estimation of continuous distributions", *Proc. ISIT*;
/// Q. Wang, S. Kulkarni, S. Verdú (2009), "Divergence estimation
/// for multidimensional densities via k-nearest-neighbor distances", *IEEE Trans. Inf. Theory* 55(5).
pub fn nearest_neighbour_kl<F: Real>(
    x: &ArrayRef2<F>,
    y: &ArrayRef2<F>,
    k: usize,
) -> Result<Estimate, Error> {
    Error::domain(k > 0, "k", k as f64, "at least 1")?;
    let least_in_group = k.saturating_add(1).saturating_mul(5);
    check_samples(x, y, least_in_group.saturating_mul(10))?;
    let (n, m, dim) = (x.nrows(), y.nrows(), x.ncols());
    let groups = GROUPS.min(n.min(m) / least_in_group);

    let pool = pooled(x, y);
    let norms = pool.map_axis(Axis(1), |row| row.dot(&row));
    let finite = norms.iter().all(|norm| (4.0 * norm).is_finite());
    Error::domain(
        finite,
        "x",
        norms.fold(0.0, |a, b| b.max(a)),
        "values whose squared distances do not overflow",
    )?;
    let group: Vec<usize> = (0..n).chain(0..m).map(|row| row % groups).collect();
    let strips: Vec<Vec<Neighbours>> = (0..n.div_ceil(TILE.0))
        .into_par_iter()
        .map(|strip| neighbours(&pool, &norms, n, (strip * TILE.0, n.min((strip + 1) * TILE.0)), k, &group))
        .collect();
    let rows: Vec<&Neighbours> = strips.iter().flatten().collect();
    if let Some(row) = rows.iter().position(|row| row.all.iter().any(|nearest| nearest[0] == 0.0)) {
        return Err(Error::Entry {
            parameter: "x",
            index: row * dim,
            value: x[(row, 0)].as_f64(),
            expected: "a row unlike all others of both samples",
        });
    }

    // d ln(distance) = d/2 ln(squared distance).
    let estimate =
        |nearest: &dyn Fn(&Neighbours) -> [f64; 2], rows: &mut dyn Iterator<Item = &&Neighbours>, sizes| {
            let (n, m): (usize, usize) = sizes;
            let sum: f64 = rows.map(|row| nearest(row)).map(|[own, other]| (other / own).ln()).sum();
            0.5 * dim as f64 * sum / n as f64 + (m as f64 / (n as f64 - 1.0)).ln()
        };
    let mean = estimate(&|row| row.all.each_ref().map(|nearest| nearest[k - 1]), &mut rows.iter(), (n, m));
    let of_group = |group: usize| {
        let size = |rows: usize| (rows - group).div_ceil(groups);
        let nearest = |row: &Neighbours| row.group.each_ref().map(|nearest| nearest[k - 1]);
        estimate(&nearest, &mut rows.iter().skip(group).step_by(groups), (size(n), size(m)))
    };
    let of_groups: Vec<f64> = (0..groups).map(of_group).collect();
    Ok(Estimate { mean, std_error: variance_of_mean(&of_groups).sqrt(), n: (n + m) as u64 })
}

/// The k least squared distances of a row, in order: to other rows of its own sample and to rows of the other one.
struct Neighbours {
    all: [Vec<f64>; 2],
    /// Among the rows of its group.
    group: [Vec<f64>; 2],
}

/// Of the rows `top..bottom` of the first `n`.
fn neighbours(
    pool: &Array2<f64>,
    norms: &Array1<f64>,
    n: usize,
    (top, bottom): (usize, usize),
    k: usize,
    group: &[usize],
) -> Vec<Neighbours> {
    let none = || [vec![f64::INFINITY; k], vec![f64::INFINITY; k]];
    let mut found: Vec<Neighbours> =
        (top..bottom).map(|_| Neighbours { all: none(), group: none() }).collect();
    let part = |from: usize, to: usize| pool.slice_axis(Axis(0), Slice::from(from..to));
    let mut buffer = [0.0; TILE.1];
    for left in (0..pool.nrows()).step_by(TILE.1) {
        let right = pool.nrows().min(left + TILE.1);
        let mut products = Array2::zeros((bottom - top, right - left));
        general_mat_mul(1.0, &part(top, bottom), &part(left, right).t(), 0.0, &mut products);
        for ((i, products), found) in (top..bottom).zip(products.rows()).zip(&mut found) {
            let values = &mut buffer[..right - left];
            squared_distances(pool, norms, i, left, &products, values);
            for (j, &value) in (left..right).zip(values.iter()) {
                let sample = usize::from(j >= n);
                if i != j {
                    insert(&mut found.all[sample], value);
                }
                if group[j] == group[i] && i != j {
                    insert(&mut found.group[sample], value);
                }
            }
        }
    }
    found
}

/// Puts a value in its place among the least ones.
fn insert(least: &mut [f64], value: f64) {
    let last = least.len() - 1;
    if value < least[last] {
        let place = least.partition_point(|&other| other <= value);
        least[place..].rotate_right(1);
        least[place] = value;
    }
}

/// Squared distances of row `i` of `pool` to the rows from `begin`, from their squared norms and inner products.
fn squared_distances(
    pool: &Array2<f64>,
    norms: &Array1<f64>,
    i: usize,
    begin: usize,
    products: &ArrayRef1<f64>,
    values: &mut [f64],
) {
    for (k, value) in values.iter_mut().enumerate() {
        *value = norms[i] + norms[begin + k] - 2.0 * products[k];
    }
    // Where the subtraction cancels, the squared distance is taken from the differences.
    for (k, value) in values.iter_mut().enumerate() {
        if !(*value > 1e-6 * (norms[i] + norms[begin + k])) {
            let (a, b) = (pool.row(i), pool.row(begin + k));
            *value = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum();
        }
    }
}
