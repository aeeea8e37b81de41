//! Mixtures given a linear observation: exact posteriors.

use nalgebra::{DMatrix, DVector};
use numeric::Error;
use numeric::ndarray::{Array1, Array2, ArrayView1, Axis};

use super::observation::LinearObservation;
use super::spectrum::{Directions, Spectrum};
use super::{Covariance, Mixture};

/// One component given the observation.
struct Conditioned {
    ln_evidence: f64,
    mean: Array1<f64>,
    spectrum: Spectrum,
}

impl Mixture {
    /// The law of `x_0` given `y = A x_0 + e`, e ~ N(0, R): again a mixture, and exact.
    ///
    /// ```math
    /// w_i' \propto w_i\, N(y;\ A m_i,\ S_i), \quad m_i' = m_i + C_i A^\top S_i^{-1} (y - A m_i), \quad
    /// C_i' = C_i - C_i A^\top S_i^{-1} A C_i, \qquad S_i = A C_i A^\top + R.
    /// ```
    /// Nothing is subtracted: an orthogonal transformation turns the roots of R and `C_i` into those of `S_i` and
    /// `C_i'` (the array form of the Kalman update). R may be 0 where `A C_i Aᵀ` is positive definite, and then the
    /// posterior has no density in the observed directions, as atoms have none. Coordinates of diagonal components
    /// under independent noise stay diagonal; atoms stay where they are and are weighed anew. Components whose weight
    /// is below the smallest number are left out.
    ///
    /// Its [`denoiser`](Self::denoiser) is the exact conditional model: the oracle of every guided sampler.
    ///
    /// ```
    /// use numeric::ndarray::array;
    /// use sde_core::{Covariance, LinearObservation, Mixture};
    /// # fn main() -> Result<(), numeric::Error> {
    /// let prior = Mixture::gaussian(array![0.0, 0.0], Covariance::Full(array![[1.0, 0.6], [0.6, 1.0]]))?;
    /// let seen = LinearObservation::of_coordinates(2, vec![0], array![2.0], &Covariance::Isotropic(1.0))?;
    /// let posterior = prior.posterior(&seen)?;
    /// // Gain C e₁/(1 + 1): means 1 and 0.6, covariance C − C e₁ e₁ᵀ C/2.
    /// assert!((&posterior.mean() - &array![1.0, 0.6]).iter().all(|e| e.abs() < 1e-15));
    /// assert!((&posterior.covariance() - &array![[0.5, 0.3], [0.3, 0.82]]).iter().all(|e| e.abs() < 1e-15));
    /// # Ok(()) }
    /// ```
    ///
    /// # Complexity
    /// O((k + d)³) per component; O(k + d) for coordinates of diagonal components under independent noise; O(k d) for
    /// atoms.
    ///
    /// # Errors
    /// [`Error::Shape`] if the observation is of another dimension; [`Error::NotPositiveDefinite`] with the number of
    /// the component if its `S_i` is not positive definite, to rounding; [`Error::Domain`] if y is so far off that
    /// its density overflows.
    ///
    /// # References
    /// Kailath, Sayed, Hassibi (2000), *Linear estimation*, chapter 12 (array algorithms).
    pub fn posterior(&self, observation: &LinearObservation) -> Result<Mixture, Error> {
        let parts = self.conditioned(observation)?;
        let ln_evidence = total(&parts)?;
        let weights: Vec<f64> = parts.iter().map(|p| (p.ln_evidence - ln_evidence).exp()).collect();
        let kept: Vec<usize> = (0..parts.len()).filter(|&i| weights[i] > 0.0).collect();
        let sum: f64 = kept.iter().map(|&i| weights[i]).sum();
        let mut means = Array2::zeros((kept.len(), self.dim()));
        for (mut row, &i) in means.axis_iter_mut(Axis(0)).zip(&kept) {
            row.assign(&parts[i].mean);
        }
        Ok(Mixture {
            weights: kept.iter().map(|&i| weights[i] / sum).collect(),
            means,
            spectra: kept.iter().map(|&i| parts[i].spectrum.clone()).collect(),
        })
    }

    /// `log p(y)`, the log-density of the observed values under this law. Nats.
    ///
    /// ```math
    /// p(y) = \sum_i w_i\, N(y;\ A m_i,\ A C_i A^\top + R).
    /// ```
    ///
    /// ```
    /// use numeric::ndarray::array;
    /// use sde_core::{Covariance, LinearObservation, Mixture};
    /// let prior = Mixture::gaussian(array![1.0, 1.0], Covariance::Isotropic(1.0))?;
    /// let sum = LinearObservation::new(array![[1.0, 1.0]], array![4.0], &Covariance::Isotropic(2.0))?;
    /// let exact = -0.5 * (4.0 / 4.0 + (8.0 * std::f64::consts::PI).ln());     // N(4; 2, 4)
    /// assert!((prior.ln_evidence(&sum)? - exact).abs() < 1e-15);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`posterior`](Self::posterior).
    pub fn ln_evidence(&self, observation: &LinearObservation) -> Result<f64, Error> {
        total(&self.conditioned(observation)?)
    }

    /// The components given the observation; their evidences include the weights.
    fn conditioned(&self, observation: &LinearObservation) -> Result<Vec<Conditioned>, Error> {
        Error::shape("observation", &[self.dim()], &[observation.dim()])?;
        let component = |i: usize| {
            let (mean, spectrum) = (self.means.row(i), &self.spectra[i]);
            let singular = || Error::NotPositiveDefinite { parameter: "A C A^T + R", index: i };
            let mut part = condition(mean, spectrum, observation).ok_or_else(singular)?;
            part.ln_evidence += self.weights[i].ln();
            Ok(part)
        };
        (0..self.weights.len()).map(component).collect()
    }
}

/// `log Σ exp` of the evidences.
fn total(parts: &[Conditioned]) -> Result<f64, Error> {
    let top = parts.iter().fold(f64::NEG_INFINITY, |m, p| m.max(p.ln_evidence));
    Error::domain(top.is_finite(), "ln_evidence", top, "an observation whose density does not overflow")?;
    Ok(top + parts.iter().map(|p| (p.ln_evidence - top).exp()).sum::<f64>().ln())
}

/// `N(m, C)` given the observation, without weight; `None` if S is not positive definite.
fn condition(
    mean: ArrayView1<'_, f64>,
    spectrum: &Spectrum,
    observation: &LinearObservation,
) -> Option<Conditioned> {
    let independent = |s: &Spectrum| matches!(s.directions, Directions::Axes);
    if spectrum.floor == 0.0 && spectrum.variances.is_empty() {
        return atom(mean, spectrum, observation);
    }
    match observation.coordinates() {
        Some(chosen) if independent(spectrum) && independent(&observation.noise) => {
            diagonal(mean, spectrum, observation, chosen)
        }
        _ => general(mean, spectrum, observation),
    }
}

/// `−½ |z|² − log det S^{1/2} − k/2 log 2π`.
fn ln_normal(square: f64, ln_root_determinant: f64, k: usize) -> f64 {
    -0.5 * square - ln_root_determinant - 0.5 * k as f64 * (2.0 * std::f64::consts::PI).ln()
}

/// A point stays where it is; S = R.
fn atom(
    mean: ArrayView1<'_, f64>,
    spectrum: &Spectrum,
    observation: &LinearObservation,
) -> Option<Conditioned> {
    if !(observation.smallest_noise() > 0.0) {
        return None;
    }
    let k = observation.count();
    let residual = observation.values() - &observation.observe(mean);
    let white = observation.noise.function(|c| 1.0 / c.sqrt(), residual.view());
    let ln_root: f64 = observation.noise.eigenvalues(k).iter().map(|r| 0.5 * r.ln()).sum();
    let ln_evidence = ln_normal(white.dot(&white), ln_root, k);
    Some(Conditioned { ln_evidence, mean: mean.to_owned(), spectrum: spectrum.clone() })
}

/// Coordinates of a diagonal component under independent noise: one at a time.
fn diagonal(
    mean: ArrayView1<'_, f64>,
    spectrum: &Spectrum,
    observation: &LinearObservation,
    chosen: &[usize],
) -> Option<Conditioned> {
    let mut mean = mean.to_owned();
    let mut variances = spectrum.eigenvalues(mean.len());
    let noise = observation.noise.eigenvalues(chosen.len());
    let (mut square, mut ln_root) = (0.0, 0.0);
    for ((&j, &y), &r) in chosen.iter().zip(observation.values()).zip(&noise) {
        let (c, residual) = (variances[j], y - mean[j]);
        let s = c + r;
        if !(s > 0.0) {
            return None;
        }
        square += residual * residual / s;
        ln_root += 0.5 * s.ln();
        mean[j] = if r == 0.0 { y } else { mean[j] + c / s * residual };
        variances[j] = c * (r / s);
    }
    let d = mean.len();
    let spectrum = Spectrum::new(&Covariance::Diagonal(variances.into()), d, 0).ok()?;
    Some(Conditioned { ln_evidence: ln_normal(square, ln_root, chosen.len()), mean, spectrum })
}

/// The array form: with roots `R = R^{1/2} R^{1/2}` and `C = F F` (symmetric), an orthogonal Q makes
///
/// ```text
/// Q | R^{1/2}   0 |  =  | T₁₁  T₁₂ |,    S = T₁₁ᵀ T₁₁,   C Aᵀ S⁻¹ = T₁₂ᵀ T₁₁⁻ᵀ,   C' = T₂₂ᵀ T₂₂.
///   | F Aᵀ      F |     |  0   T₂₂ |
/// ```
fn general(
    mean: ArrayView1<'_, f64>,
    spectrum: &Spectrum,
    observation: &LinearObservation,
) -> Option<Conditioned> {
    let (k, d) = (observation.count(), mean.len());
    let mut array = DMatrix::zeros(k + d, k + d);
    let mut unit = Array1::zeros(k);
    for i in 0..k {
        unit[i] = 1.0;
        let root = observation.noise.colour(unit.view());
        root.iter().enumerate().for_each(|(j, &r)| array[(i, j)] = r);
        unit[i] = 0.0;
    }
    let mut unit = Array1::zeros(d);
    for i in 0..d {
        unit[i] = 1.0;
        let root = spectrum.colour(unit.view());
        observation.observe(root.view()).iter().enumerate().for_each(|(j, &a)| array[(k + i, j)] = a);
        root.iter().enumerate().for_each(|(j, &f)| array[(k + i, k + j)] = f);
        unit[i] = 0.0;
    }
    // √S_ii: what the pivots are to be compared with.
    let scales: Vec<f64> = (0..k).map(|j| array.column(j).norm()).collect();
    let t = array.qr().unpack_r();
    let rounding = 8.0 * (k + d) as f64 * f64::EPSILON;
    if !(0..k).all(|i| t[(i, i)].abs() > rounding * scales[i]) {
        return None;
    }
    // z = T₁₁⁻ᵀ (y − A m), forwards, and m' = m + T₁₂ᵀ z.
    let residual = observation.values() - &observation.observe(mean);
    let residual = DVector::from_iterator(k, residual.iter().copied());
    let z = t.view((0, 0), (k, k)).tr_solve_upper_triangular(&residual)?;
    let shift = t.view((0, k), (k, d)).tr_mul(&z);
    let ln_root: f64 = (0..k).map(|i| t[(i, i)].abs().ln()).sum();
    Some(Conditioned {
        ln_evidence: ln_normal(z.norm_squared(), ln_root, k),
        mean: mean.iter().zip(shift.iter()).map(|(m, s)| m + s).collect(),
        spectrum: Spectrum::from_root(t.view((k, k), (d, d)).into_owned()),
    })
}
