//! What an error of the score adds to the path KL.

use numeric::special::g_minus_1_plus_exp_neg;
use numeric::{Error, TimeGrid};

use super::Scheme;
use crate::curve::{Clock, ErrorCurve, Step};

/// The path KL beyond the discretisation term, for a score $`\hat s_k = s_k + e_k`$.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct ScoreTerm {
    /// The weighted sum of the $`\mathbb{E}\lvert e_k\rvert^2`$.
    pub square: f64,
    /// A bound of the cross term with the discretisation error; 0 where there is none.
    pub cross: f64,
}

impl ScoreTerm {
    /// The sum, in nats.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.square + self.cross
    }
}

/// The score term from the mean square errors of the score at the nodes.
///
/// # Statement
/// `errors[k]` is $`ε_k^2 = \mathbb{E}_{q_{τ_k}}\lvert e_k\rvert^2`$ at the start of step k, and $`g = g_k`$.
/// The path KL exceeds the [discretisation term](super::discretization) by $`\sum_k w_k ε_k^2`$ and a cross
/// term:
///
/// | scheme | $`w_k`$ | cross term at most $`\sum_k`$ |
/// |---|---|---|
/// | S | $`g`$ | $`2 (g - 1 + e^{-g}) \sqrt{I_k}\, ε_k`$ |
/// | R | $`g`$ | $`2 (e^g - 1 - g) \sqrt{F_k}\, ε_k`$ |
/// | EM | $`g`$ | $`2 \sqrt{a^2 I_k - 2abd + b^2 M_k}\, ε_k`$, $`a = \cosh g - e^{-g} - g`$, $`2b = e^g - 1 - g`$ |
/// | V, D, $`G_c`$, $`G_C`$, L | $`\frac{(v - v')(v + c)}{2 (v' + c)} e^{-2τ_k}`$, for V $`\frac12(1 - e^{-2g})`$ | 0 |
///
/// For $`G_C`$ the least of the variances is taken for $`c`$, for L 0: their weights are upper bounds (L with
/// the exact covariance), the others equalities.
///
/// *Derivation.* The error of the drift is $`Δ - e_k`$ times a factor known at $`τ_k`$, so the cross term is
/// $`\mathbb{E}\langle \mathbb{E}[Δ \mid y_k], e_k\rangle`$. For V, D, G and L the mean of $`Δ`$ given
/// $`y_k`$ is 0 (their steps have the exact conditional mean). For S it is $`(e^{-u} - 1) s_k`$, for R
/// $`(e^u - 1)(s_k + y_k)`$, for EM $`(e^{-u} - 1 + \sinh u) s_k + \frac12 (e^u - 1) y_k`$ with
/// $`\mathbb{E}\langle s_k, y_k\rangle = -d`$; Cauchy–Schwarz.
///
/// # Returns
/// Nats. The total is at least the true excess, with equality of `square` where the cross term is 0.
///
/// # Errors
/// [`Error::Shape`] unless there is an error for each step, [`Error::Entry`] for one that is negative or not
/// finite, those of [`discretization`](super::discretization).
///
/// ```
/// use bounds::curve::GaussianCurve;
/// use bounds::terms::{Scheme, score_term};
/// let grid = numeric::TimeGrid::uniform(2.0, 0.5, 3)?;
/// let curve = GaussianCurve::new(vec![2.0], 0.0)?;
/// let term = score_term(&Scheme::ExponentialIntegrator, &curve, &grid, &[0.01; 3])?;
/// assert!((term.square - 1.5 * 0.01).abs() < 1e-15 && term.cross > 0.0);
/// assert_eq!(score_term(&Scheme::FrozenDenoiser, &curve, &grid, &[0.01; 3])?.cross, 0.0);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// Benton et al. (2024), Assumption 1: $`\sum_k g_k ε_k^2 \le ε_{\mathrm{score}}^2`$.
pub fn score_term(
    scheme: &Scheme,
    curve: &dyn ErrorCurve,
    grid: &TimeGrid,
    errors: &[f64],
) -> Result<ScoreTerm, Error> {
    scheme.check(curve.dim())?;
    let clock = Clock::new(grid)?.on(curve)?;
    Error::shape("errors", &[clock.len()], &[errors.len()])?;
    let expected = "a finite number of at least 0";
    Error::entries("errors", errors.iter().copied(), expected, |e| e >= 0.0 && e.is_finite())?;
    let mut sum = ScoreTerm { square: 0.0, cross: 0.0 };
    for (step, &error) in clock.steps().zip(errors) {
        sum.square += weight(scheme, &step) * error;
        sum.cross += (mean_drift_error(scheme, curve, &step) * error).sqrt();
    }
    Ok(sum)
}

/// What multiplies ε² in a step.
fn weight(scheme: &Scheme, step: &Step) -> f64 {
    let of_prior =
        |c: f64| 0.5 * step.v_drop * (-2.0 * step.from).exp() * ((step.v_from + c) / (step.v_to + c));
    match scheme {
        Scheme::ExponentialIntegrator | Scheme::FrozenRelativeScore | Scheme::EulerMaruyama => step.length,
        Scheme::FrozenScore => -0.5 * (-2.0 * step.length).exp_m1(),
        Scheme::FrozenDenoiser | Scheme::LocallyMomentMatched => of_prior(0.0),
        Scheme::GaussianPrior(c) => of_prior(*c),
        Scheme::MomentMatched(prior) => of_prior(prior.iter().copied().fold(f64::INFINITY, f64::min)),
    }
}

/// $`\mathbb{E}\,\bigl\lvert 2\int \mathbb{E}[Δ \mid y_k]\,du \bigr\rvert^2`$ over a step.
fn mean_drift_error(scheme: &Scheme, curve: &dyn ErrorCurve, step: &Step) -> f64 {
    let g = step.length;
    let (shrunk, grown) = (g_minus_1_plus_exp_neg(g), g_minus_1_plus_exp_neg(-g));
    match scheme {
        Scheme::ExponentialIntegrator => (2.0 * shrunk).powi(2) * curve.score_square(step.from),
        Scheme::FrozenRelativeScore => (2.0 * grown).powi(2) * curve.relative_score_square(step.from),
        Scheme::EulerMaruyama => {
            // cosh g - e^{-g} - g = (cosh g - 1) - (g - 1 + e^{-g}).
            let (a, b) = (2.0 * (0.5 * g).sinh().powi(2) - shrunk, 0.5 * grown);
            let (d, i, m) =
                (curve.dim() as f64, curve.score_square(step.from), curve.second_moment_at(step.from));
            4.0 * (a * a * i - 2.0 * a * b * d + b * b * m)
        }
        _ => 0.0,
    }
}
