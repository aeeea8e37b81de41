//! Gaussian data, in closed form.

use numeric::Error;
use numeric::special::x_minus_ln_1p;

use super::{ErrorCurve, Step, noise_per_signal};

/// The curve of $`N(μ, C)`$ from the eigenvalues $`c_i`$ of $`C`$ and $`\lvert μ\rvert^2`$; eigenvalues of 0
/// are allowed.
///
/// With $`λ_i = 1 + e^{-2τ}(c_i - 1)`$ the eigenvalues of $`X_τ`$'s covariance,
///
/// ```math
/// Σ_τ \text{ has eigenvalues } \frac{c_i v}{c_i + v}, \qquad I = \sum_i \frac1{λ_i}, \qquad
/// \mathrm{MI} = \frac12 \sum_i \log(1 + c_i η) .
/// ```
///
/// A step with prior variance $`c`$ costs $`\frac12\sum_i (r_i - 1 - \log r_i)`$,
/// $`r_i - 1 = \frac{(v - v')(c_i - c)}{(c_i + v)(c + v')}`$; the moment-matched step costs nothing.
///
/// ```
/// use bounds::curve::{ErrorCurve, GaussianCurve};
/// let curve = GaussianCurve::new(vec![0.25, 4.0], 0.0)?;
/// // 1 + e^{-2τ}(c - 1) at τ = ½ log 3, where v = 2.
/// let tau = 0.5 * 3f64.ln();
/// assert!((curve.score_square(tau) - (1.0 / 0.75 + 1.0 / 2.0)).abs() < 1e-14);
/// assert!((curve.mmse(tau) - (0.5 / 2.25 + 8.0 / 6.0)).abs() < 1e-14);
/// # Ok::<(), numeric::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct GaussianCurve {
    eigenvalues: Vec<f64>,
    squared_mean: f64,
}

impl GaussianCurve {
    /// From the eigenvalues of the covariance and the squared norm of the mean.
    ///
    /// # Errors
    /// [`Error::Shape`] without eigenvalues; [`Error::Entry`] or [`Error::Domain`] for one that is negative
    /// or not finite.
    pub fn new(eigenvalues: Vec<f64>, squared_mean: f64) -> Result<GaussianCurve, Error> {
        if eigenvalues.is_empty() {
            return Err(Error::Shape { parameter: "eigenvalues", expected: vec![1], found: vec![0] });
        }
        let expected = "a finite number of at least 0";
        let holds = |x: f64| x >= 0.0 && x.is_finite();
        Error::entries("eigenvalues", eigenvalues.iter().copied(), expected, holds)?;
        Error::domain(holds(squared_mean), "squared_mean", squared_mean, expected)?;
        Ok(GaussianCurve { eigenvalues, squared_mean })
    }

    /// Eigenvalues of the covariance, in the order in which they were given.
    #[must_use]
    pub fn eigenvalues(&self) -> &[f64] {
        &self.eigenvalues
    }

    fn sum(&self, term: impl Fn(f64) -> f64) -> f64 {
        self.eigenvalues.iter().map(|&c| term(c)).sum()
    }
}

/// One coordinate's step cost with prior variance `prior`: `½ (x − ln(1 + x))` of the excess x of the variance ratio
/// `1 + x = (c + v')(p + v) / ((c + v)(p + v'))`.
fn step_cost(step: &Step, variance: f64, prior: f64) -> f64 {
    let kept = (variance + step.v_to) / (variance + step.v_from);
    let (excess, ratio) = if prior == f64::INFINITY {
        (-step.v_drop / (variance + step.v_from), kept)
    } else {
        (
            step.v_drop / (variance + step.v_from) * (variance - prior) / (prior + step.v_to),
            kept * ((prior + step.v_from) / (prior + step.v_to)),
        )
    };
    // Close to −1 the excess has lost the ratio: a long step onto a point mass.
    0.5 * if excess < -0.5 { excess - ratio.ln() } else { x_minus_ln_1p(excess) }
}

impl ErrorCurve for GaussianCurve {
    fn dim(&self) -> usize {
        self.eigenvalues.len()
    }

    fn second_moment(&self) -> f64 {
        self.total_variance() + self.squared_mean
    }

    fn total_variance(&self) -> f64 {
        self.sum(|c| c)
    }

    fn mmse(&self, tau: f64) -> f64 {
        let v = noise_per_signal(tau);
        self.sum(|c| posterior_variance(c, v))
    }

    fn score_square(&self, tau: f64) -> f64 {
        let (kept, noise) = ((-2.0 * tau).exp(), -(-2.0 * tau).exp_m1());
        self.sum(|c| 1.0 / (kept * c + noise))
    }

    fn relative_score_square(&self, tau: f64) -> f64 {
        let (kept, noise) = ((-2.0 * tau).exp(), -(-2.0 * tau).exp_m1());
        self.sum(|c| (kept * (c - 1.0)).powi(2) / (kept * c + noise)) + kept * self.squared_mean
    }

    fn mutual_information(&self, tau: f64) -> f64 {
        let v = noise_per_signal(tau);
        0.5 * self.sum(|c| if c == 0.0 { 0.0 } else { (c / v).ln_1p() })
    }

    fn information_gain(&self, from: f64, to: f64) -> f64 {
        let step = Step::new(from, to);
        0.5 * self
            .sum(|c| if c == 0.0 { 0.0 } else { (step.v_drop / step.v_to * c / (c + step.v_from)).ln_1p() })
    }

    fn relative_entropy(&self, tau: f64) -> f64 {
        let kept = (-2.0 * tau).exp();
        0.5 * (self.sum(|c| x_minus_ln_1p(kept * (c - 1.0))) + kept * self.squared_mean)
    }

    fn covariance_gap(&self, tau: f64, prior: f64) -> f64 {
        let v = noise_per_signal(tau);
        self.sum(|c| relative_gap(v, c, prior).powi(2))
    }

    fn log_det_defect(&self, tau: f64, eta_rise: f64) -> Option<f64> {
        let v = noise_per_signal(tau);
        Some(self.sum(|c| x_minus_ln_1p(eta_rise * posterior_variance(c, v))))
    }

    fn coordinate_mmse(&self, tau: f64) -> Option<Vec<f64>> {
        let v = noise_per_signal(tau);
        Some(self.eigenvalues.iter().map(|&c| posterior_variance(c, v)).collect())
    }

    fn coordinate_prior_step(&self, from: f64, to: f64, prior: &[f64]) -> Option<f64> {
        let step = Step::new(from, to);
        assert_eq!(prior.len(), self.dim(), "a prior variance for each eigenvalue");
        Some(self.eigenvalues.iter().zip(prior).map(|(&c, &prior)| step_cost(&step, c, prior)).sum())
    }

    fn prior_step(&self, from: f64, to: f64, prior: f64) -> f64 {
        let step = Step::new(from, to);
        self.sum(|c| step_cost(&step, c, prior))
    }

    /// 0: the true kernel is Gaussian.
    fn moment_matched_step(&self, _: f64, _: f64) -> Option<f64> {
        Some(0.0)
    }
}

/// $`\frac{cv}{c + v}`$.
fn posterior_variance(c: f64, v: f64) -> f64 {
    if c == 0.0 { 0.0 } else { c * (v / (c + v)) }
}

/// $`\bigl(\frac{cv}{c + v} - \frac{\hat c v}{\hat c + v}\bigr)/v`$ for the variance $`c`$ and the prior
/// $`\hat c ≤ ∞`$.
pub(super) fn relative_gap(v: f64, variance: f64, prior: f64) -> f64 {
    if prior == f64::INFINITY {
        -v / (variance + v)
    } else {
        (variance - prior) / (variance + v) * (v / (prior + v))
    }
}
