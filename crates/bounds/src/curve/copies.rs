//! Independent copies of a law.

use super::ErrorCurve;

/// The curve of k independent copies of a law: every term is k times that of one.
///
/// ```
/// use bounds::curve::{Copies, ErrorCurve, ScalarMixtureCurve};
/// let one = ScalarMixtureCurve::new(&[0.5, 0.5], &[-1.0, 1.0], &[0.0, 0.0])?;
/// let cube = Copies { curve: one, copies: 3 };                         // the 8 corners of a cube
/// assert_eq!(cube.dim(), 3);
/// assert!((cube.mutual_information(1e-3) - 3.0 * 2f64.ln()).abs() < 1e-12);
/// # Ok::<(), numeric::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Copies<C> {
    /// The law of one copy.
    pub curve: C,
    /// Their number.
    pub copies: usize,
}

impl<C: ErrorCurve> Copies<C> {
    fn times(&self, term: f64) -> f64 {
        self.copies as f64 * term
    }
}

impl<C: ErrorCurve> ErrorCurve for Copies<C> {
    fn dim(&self) -> usize {
        self.copies * self.curve.dim()
    }

    fn second_moment(&self) -> f64 {
        self.times(self.curve.second_moment())
    }

    fn total_variance(&self) -> f64 {
        self.times(self.curve.total_variance())
    }

    fn least_clock(&self) -> f64 {
        self.curve.least_clock()
    }

    fn is_exact(&self) -> bool {
        self.curve.is_exact()
    }

    fn mmse(&self, tau: f64) -> f64 {
        self.times(self.curve.mmse(tau))
    }

    fn score_square(&self, tau: f64) -> f64 {
        self.times(self.curve.score_square(tau))
    }

    fn relative_score_square(&self, tau: f64) -> f64 {
        self.times(self.curve.relative_score_square(tau))
    }

    fn mutual_information(&self, tau: f64) -> f64 {
        self.times(self.curve.mutual_information(tau))
    }

    fn information_gain(&self, from: f64, to: f64) -> f64 {
        self.times(self.curve.information_gain(from, to))
    }

    fn relative_entropy(&self, tau: f64) -> f64 {
        self.times(self.curve.relative_entropy(tau))
    }

    fn covariance_gap(&self, tau: f64, prior: f64) -> f64 {
        self.times(self.curve.covariance_gap(tau, prior))
    }

    fn log_det_defect(&self, tau: f64, eta_rise: f64) -> Option<f64> {
        Some(self.times(self.curve.log_det_defect(tau, eta_rise)?))
    }

    fn coordinate_mmse(&self, tau: f64) -> Option<Vec<f64>> {
        Some(self.curve.coordinate_mmse(tau)?.repeat(self.copies))
    }

    fn coordinate_prior_step(&self, from: f64, to: f64, prior: &[f64]) -> Option<f64> {
        assert_eq!(prior.len(), self.dim(), "a prior variance for each coordinate");
        prior
            .chunks_exact(self.curve.dim())
            .map(|part| self.curve.coordinate_prior_step(from, to, part))
            .sum()
    }

    fn prior_step(&self, from: f64, to: f64, prior: f64) -> f64 {
        self.times(self.curve.prior_step(from, to, prior))
    }

    fn moment_matched_step(&self, from: f64, to: f64) -> Option<f64> {
        Some(self.times(self.curve.moment_matched_step(from, to)?))
    }
}
