//! Closed forms between Gaussian laws of any covariance.

use nalgebra::{Cholesky, DMatrix, DVector, Dyn, SVD, SymmetricEigen};
use numeric::Error;
use numeric::ndarray::{Array1, Array2, ArrayRef1, ArrayRef2};
use numeric::special::x_minus_ln_1p;

use super::ratios::{is_near_zero, renyi_correction};

mod fisher;
mod variation;

/// A Gaussian law with its Cholesky factor: the argument of the closed forms.
///
/// $`N(m, \Sigma)`$ on $`\mathbb{R}^d`$, $`\Sigma`$ symmetric positive definite. The divergences are methods
/// of the first law and take the second: `p.kl(&q)` is $`\mathrm{KL}(P\|Q)`$.
///
/// Singular covariances are refused: KL and Rényi divergences are then infinite or a matter of supports.
/// [`w2_squared_of_variances`](super::w2_squared_of_variances) takes zero variances.
///
/// ```
/// use bounds::divergence::GaussianLaw;
/// use numeric::ndarray::array;
/// let p = GaussianLaw::new(array![1.0, 0.0], array![[2.0, 0.5], [0.5, 1.0]])?;
/// let q = GaussianLaw::new(array![0.0, 0.0], array![[1.0, 0.0], [0.0, 1.0]])?;
/// // (tr S - d - ln det S + |m|^2) / 2 with S = [[2, 1/2], [1/2, 1]], det S = 7/4.
/// assert!((p.kl(&q)? - 0.5 * (3.0 - 2.0 - 1.75_f64.ln() + 1.0)).abs() < 1e-15);
/// // Talagrand's inequality for the standard Gaussian law: W2^2 <= 2 KL.
/// assert!(p.w2_squared(&q)? <= 2.0 * p.kl(&q)?);
/// # Ok::<(), numeric::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct GaussianLaw {
    mean: Array1<f64>,
    covariance: Array2<f64>,
    cholesky: Cholesky<f64, Dyn>,
}

impl GaussianLaw {
    /// The law of this mean, `(d)`, and covariance, `(d, d)`.
    ///
    /// # Errors
    /// - [`Error::Shape`] if the mean is empty or the covariance is not `(d, d)`;
    /// - [`Error::Entry`] for an entry that is not finite;
    /// - [`Error::NotPositiveDefinite`] for a covariance that is not symmetric up to rounding
    ///   ($`|\Sigma_{ij}-\Sigma_{ji}| \le 8 d\,\epsilon \sqrt{\Sigma_{ii}\Sigma_{jj}}`$, the lower triangle
    ///   is then the one used), not positive definite, or singular to rounding: a coordinate whose variance
    ///   given the ones before it is at most $`d\,\epsilon`$ of its own variance.
    pub fn new(mean: Array1<f64>, covariance: Array2<f64>) -> Result<GaussianLaw, Error> {
        let dim = mean.len();
        if dim == 0 {
            return Err(Error::Shape { parameter: "mean", expected: vec![1], found: vec![0] });
        }
        Error::shape("covariance", &[dim, dim], covariance.shape())?;
        Error::entries("mean", mean.iter().copied(), "a finite number", f64::is_finite)?;
        Error::entries("covariance", covariance.iter().copied(), "a finite number", f64::is_finite)?;

        let refused = Error::NotPositiveDefinite { parameter: "covariance", index: 0 };
        let rounding = dim as f64 * f64::EPSILON;
        let at = |i: usize, j: usize| covariance[(i, j)];
        for i in 0..dim {
            for j in 0..i {
                // The square root of each, since the product of two variances may overflow.
                let scale = at(i, i).sqrt() * at(j, j).sqrt();
                if !((at(i, j) - at(j, i)).abs() <= 8.0 * rounding * scale) {
                    return Err(refused);
                }
            }
        }
        let symmetric = DMatrix::from_fn(dim, dim, |i, j| at(i.max(j), i.min(j)));
        let cholesky = symmetric.cholesky().ok_or_else(|| refused.clone())?;
        let factor = cholesky.l_dirty();
        if (0..dim).any(|i| !(factor[(i, i)].powi(2) > rounding * at(i, i))) {
            return Err(refused);
        }
        Ok(GaussianLaw { mean, covariance, cholesky })
    }

    /// Dimension d.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.mean.len()
    }

    /// Mean, `(d)`.
    #[must_use]
    pub fn mean(&self) -> &ArrayRef1<f64> {
        &self.mean
    }

    /// Covariance, `(d, d)`, as it was given.
    #[must_use]
    pub fn covariance(&self) -> &ArrayRef2<f64> {
        &self.covariance
    }

    /// KL divergence $`\mathrm{KL}(P\|Q)`$ of this law P from Q, in nats.
    ///
    /// ```math
    /// \mathrm{KL}(P\|Q) = \tfrac12\big[\operatorname{tr}\Sigma_Q^{-1}\Sigma_P - d
    ///   - \ln\tfrac{\det\Sigma_P}{\det\Sigma_Q} + (m_P-m_Q)^\top\Sigma_Q^{-1}(m_P-m_Q)\big]
    /// ```
    ///
    /// # Numerical notes
    /// Laws close to each other keep their digits: the first three terms are then summed as
    /// $`e_i - \ln(1+e_i)`$ over the eigenvalues of $`\Sigma_Q^{-1/2}(\Sigma_P-\Sigma_Q)\Sigma_Q^{-1/2}`$.
    /// The result is exactly 0 for equal laws.
    ///
    /// # Errors
    /// [`Error::Shape`] if the dimensions differ, [`Error::Entry`] if the covariances are so far apart in
    /// size that their ratios overflow.
    ///
    /// # Examples
    /// ```
    /// use bounds::divergence::GaussianLaw;
    /// use numeric::ndarray::array;
    /// let p = GaussianLaw::new(array![3.0], array![[1.0]])?;
    /// let q = GaussianLaw::new(array![0.0], array![[2.0]])?;
    /// assert!((p.kl(&q)? - 0.5 * (0.5 - 1.0 + 2.0_f64.ln() + 9.0 / 2.0)).abs() < 1e-15);
    /// assert_eq!(p.kl(&p)?, 0.0);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # References
    /// S. Kullback (1959), *Information Theory and Statistics*, chapter 9, section 1.
    pub fn kl(&self, other: &GaussianLaw) -> Result<f64, Error> {
        self.renyi(1.0, other)
    }

    /// Rényi divergence $`R_\alpha(P\|Q)`$ of order α of this law P from Q, in nats.
    ///
    /// ```math
    /// R_\alpha(P\|Q) = \frac{1}{\alpha-1}\ln\int p^\alpha q^{1-\alpha}
    ///  = \frac\alpha2 \Delta^\top\Sigma_\alpha^{-1}\Delta
    ///  + \frac{1}{2(1-\alpha)}\ln\frac{\det\Sigma_\alpha}{(\det\Sigma_P)^{1-\alpha}(\det\Sigma_Q)^\alpha},
    /// \qquad \Sigma_\alpha = (1-\alpha)\Sigma_P + \alpha\Sigma_Q,
    /// ```
    ///
    /// $`\Delta = m_P - m_Q`$; $`\mathrm{KL}(P\|Q)`$ at $`\alpha = 1`$. Infinite for $`\alpha > 1`$ if
    /// $`\Sigma_\alpha`$ is not positive definite. $`R_{1/2} = -2\ln(1-H^2)`$ and $`R_2 = \ln(1+\chi^2)`$.
    ///
    /// # Numerical notes
    /// Accurate for laws close to each other and for orders near 1, as [`GaussianLaw::kl`]; orders below 1/2
    /// are computed as $`\tfrac{\alpha}{1-\alpha}R_{1-\alpha}(Q\|P)`$.
    ///
    /// # Errors
    /// [`Error::Shape`] if the dimensions differ, [`Error::Domain`] for an order that is not finite and
    /// greater than 0, [`Error::Entry`] if the covariances are so far apart in size that their ratios
    /// overflow.
    ///
    /// # Examples
    /// ```
    /// use bounds::divergence::GaussianLaw;
    /// use numeric::ndarray::array;
    /// let p = GaussianLaw::new(array![1.0], array![[1.0]])?;
    /// let q = GaussianLaw::new(array![0.0], array![[1.0]])?;
    /// // Equal covariances: alpha |m|^2 / 2.
    /// assert!((p.renyi(3.0, &q)? - 1.5).abs() < 1e-15);
    /// // The order 3 needs 3 q - 2 p > 0 for the variances p and q.
    /// let wide = GaussianLaw::new(array![0.0], array![[1.6]])?;
    /// assert_eq!(wide.renyi(3.0, &q)?, f64::INFINITY);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # References
    /// M. Gil, F. Alajaji, T. Linder (2013), "Rényi divergence measures for commonly used univariate
    /// continuous distributions", *Information Sciences* 249; T. van Erven, P. Harremoës (2014), "Rényi
    /// divergence and Kullback–Leibler divergence", *IEEE Trans. Inf. Theory* 60(7), proposition 2 (skew
    /// symmetry).
    pub fn renyi(&self, alpha: f64, other: &GaussianLaw) -> Result<f64, Error> {
        Error::positive("alpha", alpha)?;
        Error::shape("other", &[self.dim()], &[other.dim()])?;
        if alpha < 0.5 {
            return Ok(alpha / (1.0 - alpha) * other.renyi_from_half(1.0 - alpha, self)?);
        }
        self.renyi_from_half(alpha, other)
    }

    /// Squared Hellinger distance $`H^2(P, Q) = 1 - \int\sqrt{pq}`$ between this law and Q, in [0, 1].
    ///
    /// ```math
    /// H^2 = 1 - \frac{(\det\Sigma_P\det\Sigma_Q)^{1/4}}{(\det\bar\Sigma)^{1/2}}
    ///   \exp\big(-\tfrac18\Delta^\top\bar\Sigma^{-1}\Delta\big), \qquad \bar\Sigma = \tfrac12(\Sigma_P+\Sigma_Q)
    /// ```
    ///
    /// (Some authors double it.) Computed as $`1 - e^{-R_{1/2}/2}`$ without cancellation.
    ///
    /// # Errors
    /// [`Error::Shape`] if the dimensions differ, [`Error::Entry`] if the covariances are so far apart in
    /// size that their ratios overflow.
    ///
    /// # Examples
    /// ```
    /// use bounds::divergence::GaussianLaw;
    /// use numeric::ndarray::array;
    /// let p = GaussianLaw::new(array![2.0], array![[1.0]])?;
    /// let q = GaussianLaw::new(array![0.0], array![[1.0]])?;
    /// assert!((p.hellinger_squared(&q)? - (1.0 - (-0.5_f64).exp())).abs() < 1e-15);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # References
    /// L. Pardo (2006), *Statistical Inference Based on Divergence Measures*, chapter 1 (Bhattacharyya
    /// distance between normal laws).
    pub fn hellinger_squared(&self, other: &GaussianLaw) -> Result<f64, Error> {
        Ok(-(-0.5 * self.renyi(0.5, other)?).exp_m1())
    }

    /// Squared 2-Wasserstein distance $`W_2^2(P, Q)`$ between this law and Q, in squared units of the data.
    ///
    /// ```math
    /// W_2^2 = |m_P-m_Q|^2 + \operatorname{tr}\big(\Sigma_P+\Sigma_Q
    ///    - 2(\Sigma_P^{1/2}\Sigma_Q\Sigma_P^{1/2})^{1/2}\big)
    /// ```
    ///
    /// # Numerical notes
    /// The trace is the squared Procrustes distance $`\min_U\|L_P - L_Q U\|_F^2`$ over orthogonal U between
    /// the Cholesky factors, attained at the polar factor of $`L_Q^\top L_P`$, and is computed as this sum of
    /// squares: it is never negative, and $`W_2`$ has an absolute error of a few
    /// $`\epsilon\,\|\Sigma\|^{1/2}`$ where the trace as written would leave
    /// $`\epsilon^{1/2}\|\Sigma\|^{1/2}`$.
    ///
    /// # Errors
    /// [`Error::Shape`] if the dimensions differ, [`Error::Entry`] if the covariances are so far apart in
    /// size that their ratios overflow.
    ///
    /// # Examples
    /// ```
    /// use bounds::divergence::GaussianLaw;
    /// use numeric::ndarray::array;
    /// let p = GaussianLaw::new(array![1.0, 0.0], array![[4.0, 0.0], [0.0, 1.0]])?;
    /// let q = GaussianLaw::new(array![0.0, 0.0], array![[1.0, 0.0], [0.0, 4.0]])?;
    /// // Commuting covariances: |m|^2 + sum of (sqrt p - sqrt q)^2.
    /// assert!((p.w2_squared(&q)? - 3.0).abs() < 1e-14);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # References
    /// D. Dowson, B. Landau (1982), "The Fréchet distance between multivariate normal distributions",
    /// *J. Multivariate Anal.* 12, 450–455; R. Bhatia, T. Jain, Y. Lim (2019), "On the Bures–Wasserstein
    /// distance between positive definite matrices", *Expo. Math.* 37, theorem 1 (Procrustes form).
    pub fn w2_squared(&self, other: &GaussianLaw) -> Result<f64, Error> {
        Error::shape("other", &[self.dim()], &[other.dim()])?;
        let (p, q) = (self.cholesky.l(), other.cholesky.l());
        let cross = q.tr_mul(&p);
        Error::entries("other", cross.iter().copied(), RATIOS, f64::is_finite)?;
        let svd = SVD::try_new(cross, true, true, f64::EPSILON, MAX_ITERATIONS);
        let Some((Some(u), Some(v_transposed))) = svd.map(|svd| (svd.u, svd.v_t)) else {
            return Err(not_converged("singular value decomposition"));
        };
        Ok(self.shift(other).norm_squared() + (p - q * (u * v_transposed)).norm_squared())
    }

    /// Entry of the lower triangle, the one that is used.
    fn lower(&self, i: usize, j: usize) -> f64 {
        self.covariance[(i.max(j), i.min(j))]
    }

    /// $`\Sigma_P - \Sigma_Q`$.
    fn difference(&self, other: &GaussianLaw) -> DMatrix<f64> {
        DMatrix::from_fn(self.dim(), self.dim(), |i, j| self.lower(i, j) - other.lower(i, j))
    }

    /// $`L_Q^{-1}(\Sigma_P - \Sigma_Q)L_Q^{-\top}`$, symmetric.
    fn whitened_difference(&self, other: &GaussianLaw) -> Result<DMatrix<f64>, Error> {
        let half = solve_lower(&other.cholesky, self.difference(other));
        let whitened = solve_lower(&other.cholesky, half.transpose());
        let symmetric = 0.5 * (&whitened + whitened.transpose());
        Error::entries("other", symmetric.iter().copied(), RATIOS, f64::is_finite)?;
        Ok(symmetric)
    }

    /// $`m_P - m_Q`$.
    fn shift(&self, other: &GaussianLaw) -> DVector<f64> {
        DVector::from_fn(self.dim(), |i, _| self.mean[i] - other.mean[i])
    }

    /// [`GaussianLaw::renyi`] for an order of at least 1/2 and equal dimensions.
    fn renyi_from_half(&self, alpha: f64, other: &GaussianLaw) -> Result<f64, Error> {
        let (dim, beta) = (self.dim(), 1.0 - alpha);
        let difference = self.difference(other);
        let mixed = DMatrix::from_fn(dim, dim, |i, j| other.lower(i, j) + beta * difference[(i, j)]);
        let Some(mixed) = mixed.cholesky() else { return Ok(f64::INFINITY) };
        let shift = solve_lower(&mixed, DMatrix::from_column_slice(dim, 1, self.shift(other).as_slice()));

        // r - 1 for the ratios r of the two covariances.
        let symmetric = self.whitened_difference(other)?;
        let spectrum = SymmetricEigen::try_new(symmetric, f64::EPSILON, MAX_ITERATIONS);
        let Some(excess) = spectrum.map(|spectrum| spectrum.eigenvalues) else {
            return Err(not_converged("symmetric eigenvalue decomposition"));
        };

        let near = excess.iter().all(|&e| is_near_zero(e));
        let log_ratio = ln_det(&self.cholesky) - ln_det(&other.cholesky);
        let covariances = if near || excess.iter().all(|&e| is_near_zero(beta * e)) {
            if excess.iter().any(|&e| !(beta * e > -1.0)) {
                return Ok(f64::INFINITY);
            }
            let kl: f64 = if near {
                excess.iter().map(|&e| x_minus_ln_1p(e)).sum()
            } else {
                // tr(S_Q^-1 S_P) - d - ln det ratio: some ratio is far from 1, so that nothing cancels.
                solve_lower(&other.cholesky, self.cholesky.l()).norm_squared() - dim as f64 - log_ratio
            };
            kl - excess.iter().map(|&e| renyi_correction(beta, e)).sum::<f64>()
        } else {
            (ln_det(&mixed) - ln_det(&other.cholesky)) / beta - log_ratio
        };
        Ok(0.5 * (alpha * shift.norm_squared() + covariances))
    }
}

const RATIOS: &str = "a covariance whose products with and ratios to the first law's do not overflow";

/// Far more than the d to 3d sweeps that the decompositions take.
const MAX_ITERATIONS: usize = 1_000_000;

fn not_converged(routine: &'static str) -> Error {
    Error::NotConverged { routine, iterations: MAX_ITERATIONS, residual: f64::NAN }
}

/// $`L^{-1}B`$ for the factor L of a positive definite matrix, whose diagonal is positive.
fn solve_lower(cholesky: &Cholesky<f64, Dyn>, b: DMatrix<f64>) -> DMatrix<f64> {
    let mut solution = b;
    cholesky.l_dirty().solve_lower_triangular_unchecked_mut(&mut solution);
    solution
}

/// $`\ln\det\Sigma`$ from its factor; the determinant itself may overflow.
fn ln_det(cholesky: &Cholesky<f64, Dyn>) -> f64 {
    2.0 * cholesky.l_dirty().diagonal().iter().map(|value| value.ln()).sum::<f64>()
}
