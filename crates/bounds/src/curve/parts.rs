//! Sums of curves.

use super::ErrorCurve;

/// The curve of several parts: every term is the sum of theirs.
///
/// Either the law of independent parts of a vector, of which each curve is one; or the curve of one law given
/// direction by direction of an orthonormal basis, as measured curves are: one
/// [`TabulatedCurve`](super::TabulatedCurve) of dimension 1 with each direction's part of the mean square error. All
/// terms but [`log_det_defect`](ErrorCurve::log_det_defect), which such curves do not know, are sums over directions
/// whatever the dependence between them.
///
/// ```
/// use bounds::curve::{ErrorCurve, GaussianCurve, Parts};
/// let part = |c| GaussianCurve::new(vec![c], 0.0);
/// let (parts, whole) = (Parts::new(vec![part(0.25)?, part(4.0)?])?, GaussianCurve::new(vec![0.25, 4.0], 0.0)?);
/// assert!((parts.mmse(0.3) - whole.mmse(0.3)).abs() < 1e-15);
/// assert_eq!(parts.coordinate_prior_step(0.5, 0.3, &[0.25, 4.0]), Some(0.0));
/// # Ok::<(), numeric::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Parts<C> {
    parts: Vec<C>,
}

impl<C: ErrorCurve> Parts<C> {
    /// The sum of the curves.
    ///
    /// # Errors
    /// [`Error::Shape`](numeric::Error::Shape) for none.
    pub fn new(parts: Vec<C>) -> Result<Parts<C>, numeric::Error> {
        numeric::Error::shape("parts", &[parts.len().max(1)], &[parts.len()])?;
        Ok(Parts { parts })
    }

    /// The curves, in the order in which they were given.
    #[must_use]
    pub fn parts(&self) -> &[C] {
        &self.parts
    }

    fn sum(&self, term: impl Fn(&C) -> f64) -> f64 {
        self.parts.iter().map(term).sum()
    }
}

impl<C: ErrorCurve> ErrorCurve for Parts<C> {
    fn dim(&self) -> usize {
        self.parts.iter().map(ErrorCurve::dim).sum()
    }

    fn second_moment(&self) -> f64 {
        self.sum(ErrorCurve::second_moment)
    }

    fn total_variance(&self) -> f64 {
        self.sum(ErrorCurve::total_variance)
    }

    fn least_clock(&self) -> f64 {
        self.parts.iter().map(ErrorCurve::least_clock).fold(0.0, f64::max)
    }

    fn is_exact(&self) -> bool {
        self.parts.iter().all(ErrorCurve::is_exact)
    }

    fn mmse(&self, tau: f64) -> f64 {
        self.sum(|part| part.mmse(tau))
    }

    fn score_square(&self, tau: f64) -> f64 {
        self.sum(|part| part.score_square(tau))
    }

    fn relative_score_square(&self, tau: f64) -> f64 {
        self.sum(|part| part.relative_score_square(tau))
    }

    fn mutual_information(&self, tau: f64) -> f64 {
        self.sum(|part| part.mutual_information(tau))
    }

    fn information_gain(&self, from: f64, to: f64) -> f64 {
        self.sum(|part| part.information_gain(from, to))
    }

    fn relative_entropy(&self, tau: f64) -> f64 {
        self.sum(|part| part.relative_entropy(tau))
    }

    fn covariance_gap(&self, tau: f64, prior: f64) -> f64 {
        self.sum(|part| part.covariance_gap(tau, prior))
    }

    fn log_det_defect(&self, tau: f64, eta_rise: f64) -> Option<f64> {
        self.parts.iter().map(|part| part.log_det_defect(tau, eta_rise)).sum()
    }

    fn coordinate_mmse(&self, tau: f64) -> Option<Vec<f64>> {
        let parts: Option<Vec<Vec<f64>>> = self.parts.iter().map(|part| part.coordinate_mmse(tau)).collect();
        Some(parts?.concat())
    }

    fn coordinate_prior_step(&self, from: f64, to: f64, prior: &[f64]) -> Option<f64> {
        assert_eq!(prior.len(), self.dim(), "a prior variance for each coordinate");
        let mut rest = prior;
        let mut sum = 0.0;
        for part in &self.parts {
            let (own, others) = rest.split_at(part.dim());
            sum += part.coordinate_prior_step(from, to, own)?;
            rest = others;
        }
        Some(sum)
    }

    fn prior_step(&self, from: f64, to: f64, prior: f64) -> f64 {
        self.sum(|part| part.prior_step(from, to, prior))
    }

    fn moment_matched_step(&self, from: f64, to: f64) -> Option<f64> {
        self.parts.iter().map(|part| part.moment_matched_step(from, to)).sum()
    }
}
