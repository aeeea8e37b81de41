//! Covariances by their eigenvalues.

use nalgebra::{DMatrix, SymmetricEigen};
use numeric::Error;
use numeric::ndarray::{Array1, Array2, ArrayView1};

use super::Covariance;

/// `C = floor·I + U diag(excess) Uᵀ` with orthonormal columns `U`, `(d, r)`.
#[derive(Clone, Debug)]
pub(super) struct Spectrum {
    /// The eigenvalue of everything orthogonal to the directions.
    pub(super) floor: f64,
    /// Eigenvalues of the directions.
    pub(super) variances: Vec<f64>,
    pub(super) directions: Directions,
}

/// Where a covariance differs from its floor.
#[derive(Clone, Debug)]
pub(super) enum Directions {
    /// Along the coordinate axes, all d of them (or none, if there are no variances).
    Axes,
    /// Along the columns of this matrix, `(d, r)`.
    Columns(Array2<f64>),
}

impl Spectrum {
    pub(super) fn new(covariance: &Covariance, d: usize, number: usize) -> Result<Spectrum, Error> {
        let nonnegative = |name, values: &mut dyn Iterator<Item = f64>| {
            let ok = |c: f64| c >= 0.0 && c.is_finite();
            Error::entries(name, values, "a finite number of at least 0", ok)
        };
        match covariance {
            Covariance::Isotropic(c) => {
                nonnegative("covariance", &mut std::iter::once(*c))?;
                Ok(Spectrum { floor: *c, variances: Vec::new(), directions: Directions::Axes })
            }
            Covariance::Diagonal(diagonal) => {
                Error::shape("covariance", &[d], diagonal.shape())?;
                nonnegative("covariance", &mut diagonal.iter().copied())?;
                let constant = diagonal.iter().all(|&c| c == diagonal[0]);
                let variances = if constant { Vec::new() } else { diagonal.to_vec() };
                Ok(Spectrum { floor: diagonal[0], variances, directions: Directions::Axes })
            }
            Covariance::Full(matrix) => {
                Error::shape("covariance", &[d, d], matrix.shape())?;
                Error::entries("covariance", matrix.iter().copied(), "a finite number", f64::is_finite)?;
                let scale = matrix.diag().iter().fold(0.0_f64, |m, c| m.max(c.abs()));
                let symmetric =
                    |((i, j), &c): ((usize, usize), &f64)| (c - matrix[(j, i)]).abs() <= 1e-12 * scale;
                if !matrix.indexed_iter().all(symmetric) {
                    return Err(Error::NotPositiveDefinite { parameter: "covariance", index: number });
                }
                let spectrum = Spectrum::decompose(matrix, d);
                let largest = spectrum.variances.iter().copied().fold(spectrum.floor, f64::max);
                // Eigenvalues are known to within the rounding of the largest.
                if !(spectrum.floor > rounding(d, largest)) {
                    return Err(Error::NotPositiveDefinite { parameter: "covariance", index: number });
                }
                Ok(spectrum)
            }
            Covariance::LowRank { diagonal, factor } => {
                Error::shape("diagonal", &[d], diagonal.shape())?;
                Error::shape("factor", &[d, factor.ncols()], factor.shape())?;
                nonnegative("diagonal", &mut diagonal.iter().copied())?;
                Error::entries("factor", factor.iter().copied(), "a finite number", f64::is_finite)?;
                if diagonal.iter().all(|&c| c == diagonal[0]) && factor.ncols() < d {
                    return Ok(Spectrum::from_factor(diagonal[0], factor));
                }
                let matrix = Array2::from_diag(diagonal) + factor.dot(&factor.t());
                let mut spectrum = Spectrum::decompose(&matrix, d);
                // Positive semidefinite by construction: what rounding made negative is the zero it stands for.
                spectrum.floor = spectrum.floor.max(0.0);
                spectrum.variances.iter_mut().for_each(|c| *c = c.max(0.0));
                Ok(spectrum)
            }
        }
    }

    /// By a symmetric eigendecomposition; eigenvalues within rounding of the smallest become the floor.
    fn decompose(matrix: &Array2<f64>, d: usize) -> Spectrum {
        let eigen = SymmetricEigen::new(DMatrix::from_fn(d, d, |i, j| matrix[(i, j)]));
        let floor = eigen.eigenvalues.min();
        let above = |&j: &usize| eigen.eigenvalues[j] > floor + rounding(d, eigen.eigenvalues.max());
        let kept: Vec<usize> = (0..d).filter(above).collect();
        let columns = Array2::from_shape_fn((d, kept.len()), |(i, j)| eigen.eigenvectors[(i, kept[j])]);
        let variances = kept.iter().map(|&j| eigen.eigenvalues[j]).collect();
        Spectrum { floor, variances, directions: Directions::Columns(columns) }
    }

    /// `c I + V Vᵀ` through the singular vectors of V, at O(d r²).
    fn from_factor(floor: f64, factor: &Array2<f64>) -> Spectrum {
        let (d, r) = factor.dim();
        let svd = DMatrix::from_fn(d, r, |i, j| factor[(i, j)]).svd(true, false);
        let u = svd.u.expect("asked for");
        let kept: Vec<usize> = (0..r.min(d)).filter(|&j| svd.singular_values[j] > 0.0).collect();
        let columns = Array2::from_shape_fn((d, kept.len()), |(i, j)| u[(i, kept[j])]);
        let variances = kept.iter().map(|&j| floor + svd.singular_values[j].powi(2)).collect();
        Spectrum { floor, variances, directions: Directions::Columns(columns) }
    }

    /// All d eigenvalues, those of the directions first.
    pub(super) fn eigenvalues(&self, d: usize) -> Vec<f64> {
        let mut all = self.variances.clone();
        all.resize(d, self.floor);
        all
    }

    /// The matrix itself, `(d, d)`.
    pub(super) fn matrix(&self, d: usize) -> Array2<f64> {
        let variances = Array1::from(self.variances.clone());
        match &self.directions {
            Directions::Axes if self.variances.is_empty() => Array2::eye(d) * self.floor,
            Directions::Axes => Array2::from_diag(&variances),
            Directions::Columns(u) => {
                Array2::eye(d) * self.floor + (u * &(variances - self.floor)).dot(&u.t())
            }
        }
    }

    /// `C^{1/2} z` with the symmetric root.
    pub(super) fn colour(&self, z: ArrayView1<'_, f64>) -> Array1<f64> {
        self.function(f64::sqrt, z)
    }

    /// `φ(C) z` for a function φ of the eigenvalues.
    pub(super) fn function(&self, phi: impl Fn(f64) -> f64, z: ArrayView1<'_, f64>) -> Array1<f64> {
        let floor = if self.spans_all() { 0.0 } else { phi(self.floor) };
        let mut out = z.map(|z| floor * z);
        let gains = self.variances.iter().map(|&c| phi(c) - floor);
        match &self.directions {
            Directions::Axes => {
                for ((out, &z), gain) in out.iter_mut().zip(z).zip(gains) {
                    *out += gain * z;
                }
            }
            Directions::Columns(u) => {
                let coordinates = u.t().dot(&z) * Array1::from_iter(gains);
                out += &u.dot(&coordinates);
            }
        }
        out
    }

    /// Whether nothing is orthogonal to the directions: the floor then stands for no eigenvalue.
    fn spans_all(&self) -> bool {
        matches!(self.directions, Directions::Axes) && !self.variances.is_empty()
    }

    /// The smallest eigenvalue.
    pub(super) fn smallest(&self) -> f64 {
        let floor = if self.spans_all() { f64::INFINITY } else { self.floor };
        self.variances.iter().copied().fold(floor, f64::min)
    }

    /// `Fᵀ F` for a square matrix F, `(d, d)`, by its singular values; those within rounding of 0 are 0.
    pub(super) fn from_root(root: DMatrix<f64>) -> Spectrum {
        let d = root.ncols();
        let svd = root.svd(false, true);
        let v = svd.v_t.expect("asked for");
        let largest = svd.singular_values.max();
        let eigenvalue = |s: f64| if s <= rounding(d, largest) { 0.0 } else { s * s };
        let eigenvalues: Vec<f64> = svd.singular_values.iter().map(|&s| eigenvalue(s)).collect();
        let floor = eigenvalues.iter().copied().fold(f64::INFINITY, f64::min);
        // Relative to the floor, which is as exact here as the others.
        let kept: Vec<usize> =
            (0..d).filter(|&j| eigenvalues[j] > floor * (1.0 + rounding(d, 1.0))).collect();
        let columns = Array2::from_shape_fn((d, kept.len()), |(i, j)| v[(kept[j], i)]);
        let variances = kept.iter().map(|&j| eigenvalues[j]).collect();
        Spectrum { floor, variances, directions: Directions::Columns(columns) }
    }
}

/// How far off an eigenvalue may be by rounding, next to a largest one of `scale`.
fn rounding(d: usize, scale: f64) -> f64 {
    4.0 * d as f64 * f64::EPSILON * scale.abs()
}
