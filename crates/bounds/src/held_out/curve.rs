//! The error curve of a model as it was measured, and the discretisation term of that curve.

use std::fmt;

use numeric::{Error, Estimate};

use crate::curve::{Step, isotonic};

/// The mean square error `E|x_0 − m̂(x_τ)|²` of a model's denoiser at the nodes of a grid, measured on held-out data.
///
/// It is the error curve of the law plus the error of the score: `mmse(τ) + E|m̂ − m|²`. All nodes are measured on the
/// same rows, each with its own independent normals.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct MeasuredCurve {
    clocks: Vec<f64>,
    eta_rises: Vec<f64>,
    errors: Vec<Estimate>,
}

impl MeasuredCurve {
    /// The curve with these errors at the Ornstein–Uhlenbeck clocks τ_0 > … > τ_N > 0.
    ///
    /// ```
    /// use bounds::held_out::MeasuredCurve;
    /// use numeric::Estimate;
    /// let error = |mean| Estimate { mean, std_error: 0.01, n: 100 };
    /// let curve = MeasuredCurve::new(vec![1.0, 0.5], vec![error(0.9), error(0.6)])?;
    /// let eta = |tau: f64| 1.0 / (2.0 * tau).exp_m1();
    /// assert!((curve.eta_rises()[0] - (eta(0.5) - eta(1.0))).abs() < 1e-15);
    /// assert!(MeasuredCurve::new(vec![1.0, 0.5], vec![error(0.9), error(f64::NAN)]).is_err());
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] for fewer than two nodes or another number of errors; [`Error::Entry`] for clocks that do not
    /// decrease strictly from at most 300 to above 0, and for an error or standard error that is negative or not
    /// finite.
    pub fn new(clocks: Vec<f64>, errors: Vec<Estimate>) -> Result<MeasuredCurve, Error> {
        if clocks.len() < 2 {
            return Err(Error::Shape { parameter: "clocks", expected: vec![2], found: vec![clocks.len()] });
        }
        Error::shape("errors", &[clocks.len()], &[errors.len()])?;
        Error::entries("clocks", clocks.iter().copied(), "a clock above 0 and at most 300", |tau| {
            tau > 0.0 && tau <= 300.0
        })?;
        if let Some(i) = clocks.windows(2).position(|pair| !(pair[1] < pair[0])) {
            let expected = "clocks that decrease strictly";
            return Err(Error::Entry { parameter: "clocks", index: i + 1, value: clocks[i + 1], expected });
        }
        let sound = |x: f64| x >= 0.0 && x.is_finite();
        let expected = "finite means and standard errors of at least 0";
        Error::entries("errors", errors.iter().map(|e| e.mean), expected, sound)?;
        Error::entries("errors", errors.iter().map(|e| e.std_error), expected, sound)?;
        let eta_rises = clocks.windows(2).map(|pair| Step::new(pair[0], pair[1]).eta_rise()).collect();
        Ok(MeasuredCurve { clocks, eta_rises, errors })
    }

    /// The clocks τ_k of the nodes, from noise to data, (N + 1).
    #[must_use]
    pub fn clocks(&self) -> &[f64] {
        &self.clocks
    }

    /// The rises `Δη_k = η_{k+1} − η_k` of the signal-to-noise ratio `η = 1/(e^{2τ} − 1)` over the steps, (N).
    #[must_use]
    pub fn eta_rises(&self) -> &[f64] {
        &self.eta_rises
    }

    /// `E|x_0 − m̂|²` at the nodes, (N + 1).
    #[must_use]
    pub fn errors(&self) -> &[Estimate] {
        &self.errors
    }

    /// The means of the errors, made non-increasing in η by isotonic regression with the inverse squares of the
    /// standard errors as weights.
    ///
    /// A law's `mmse` never increases in η; what a model and its measurement add may. The pool-adjacent-violators
    /// algorithm.
    ///
    /// ```
    /// use bounds::held_out::MeasuredCurve;
    /// use numeric::Estimate;
    /// let error = |mean| Estimate { mean, std_error: 0.1, n: 100 };
    /// let curve = MeasuredCurve::new(vec![3.0, 2.0, 1.0], vec![error(1.0), error(0.4), error(0.6)])?;
    /// assert!(curve.monotone().iter().zip([1.0, 0.5, 0.5]).all(|(a, b)| (a - b).abs() < 1e-12));
    /// # Ok::<(), numeric::Error>(())
    /// ```
    #[must_use]
    pub fn monotone(&self) -> Vec<f64> {
        non_increasing(self.errors.iter().map(|e| e.mean).collect(), &self.weights())
    }

    fn weights(&self) -> Vec<f64> {
        // A node without spread, as of constant errors, gets a large weight in place of an infinite one.
        let scale = self.errors.iter().map(|e| e.mean.max(e.std_error)).fold(f64::MIN_POSITIVE, f64::max);
        self.errors.iter().map(|e| 1.0 / ((e.std_error / scale).powi(2) + 1e-24)).collect()
    }
}

/// Weighted least squares over non-increasing sequences.
fn non_increasing(values: Vec<f64>, weights: &[f64]) -> Vec<f64> {
    let negative = values.into_iter().zip(weights).map(|(value, &weight)| (-value, weight));
    isotonic(negative).into_iter().map(|value| -value).collect()
}

/// The discretisation term of the frozen denoiser, evaluated on a model's *own* error curve. Not a bound.
///
/// ```math
/// D[e] = \tfrac12 \sum_k \Delta\eta_k\, e_k - \tfrac12 \int_{\eta_0}^{\eta_N} e\, d\eta, \qquad
/// e = \mathrm{mmse} + \mathbb{E}\lvert \hat m - m \rvert^2 .
/// ```
///
/// If the model is exact and e is known between the nodes, this is the discretisation term of the grid; of another
/// model it is that of a law whose `mmse` were e. Nothing bounds the true divergence by it: a model that has learnt
/// nothing has a flat curve and a term of 0. It says how a grid fares with this model, and is for choosing grids.
///
/// # The integral between the nodes
/// The curve is made monotone ([`MeasuredCurve::monotone`]), and between two nodes 1/e is taken to be linear in η:
/// exact for `N(·, c I)`, whose `mmse` is `d c/(1 + cη)`. The integral over a cell from a to b is then
/// `Δη · ab log(a/b)/(a − b)`. Any monotone curve through the same nodes has a term between 0 and
/// [`ceiling`](Self::ceiling), about twice the interpolated one.
///
/// It does not turn into a certificate:
/// ```compile_fail
/// fn strict(term: bounds::held_out::OwnCurveTerm) -> bounds::Certificate {
///     term.into()
/// }
/// ```
/// ```
/// use bounds::held_out::{MeasuredCurve, OwnCurveTerm};
/// use bounds::{curve::{ErrorCurve, GaussianCurve}, terms::{Scheme, discretization}};
/// use numeric::{Estimate, TimeGrid};
/// # fn main() -> Result<(), numeric::Error> {
/// // The curve of N(0, 2 I) itself, at five nodes: the term of the grid, exactly.
/// let (law, nodes) = (GaussianCurve::new(vec![2.0, 2.0], 0.0)?, vec![2.0, 1.0, 0.5, 0.2, 0.1]);
/// let errors = nodes.iter().map(|&t| Estimate { mean: law.mmse(t), std_error: 0.0, n: 100 }).collect();
/// let term = OwnCurveTerm::of(&MeasuredCurve::new(nodes.clone(), errors)?);
/// let exact = discretization(&Scheme::FrozenDenoiser, &law, &TimeGrid::from_nodes(nodes)?)?;
/// assert!((term.nats() / exact - 1.0).abs() < 1e-12 && term.ceiling() > exact);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct OwnCurveTerm {
    nats: f64,
    ceiling: f64,
    curve: MeasuredCurve,
}

impl OwnCurveTerm {
    /// The term of a curve, on the grid that it was measured on.
    #[must_use]
    pub fn of(curve: &MeasuredCurve) -> OwnCurveTerm {
        let errors = curve.monotone();
        let cells = curve.eta_rises.iter().zip(errors.windows(2));
        let ceiling = cells.map(|(rise, pair)| 0.5 * rise * (pair[0] - pair[1])).sum();
        OwnCurveTerm { nats: term(&curve.eta_rises, &errors), ceiling, curve: curve.clone() }
    }

    /// The term, in nats.
    #[must_use]
    pub fn nats(&self) -> f64 {
        self.nats
    }

    /// The largest term that a monotone curve through the same nodes can have, `½ Σ Δη_k (e_k − e_{k+1})`, in nats.
    #[must_use]
    pub fn ceiling(&self) -> f64 {
        self.ceiling
    }

    /// How far the term moves with the uncertainty of the curve, in nats: the sum over the nodes of what moving that
    /// node alone to the ends of its interval at `level` does to the term.
    ///
    /// To first order in the standard errors no way in which the errors of the nodes depend on each other gives more.
    /// Asymptotic in the number of rows, at the level for each node.
    ///
    /// # Errors
    /// [`Error::Domain`] unless 0.5 ≤ `level` < 1.
    pub fn sensitivity(&self, level: f64) -> Result<f64, Error> {
        Error::domain((0.5..1.0).contains(&level), "level", level, "a level of at least 0.5 and below 1")?;
        let (means, weights) =
            (self.curve.errors.iter().map(|e| e.mean).collect::<Vec<_>>(), self.curve.weights());
        let mut sum = 0.0;
        for (k, error) in self.curve.errors.iter().enumerate() {
            let margin = error.upper(level)? - error.mean;
            let moved = |sign: f64| {
                let mut means = means.clone();
                means[k] = (means[k] + sign * margin).max(0.0);
                (term(&self.curve.eta_rises, &non_increasing(means, &weights)) - self.nats).abs()
            };
            sum += moved(1.0).max(moved(-1.0));
        }
        Ok(sum)
    }
}

impl fmt::Display for OwnCurveTerm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.4} nats of discretisation on the model's own error curve (no bound)", self.nats)
    }
}

fn term(eta_rises: &[f64], errors: &[f64]) -> f64 {
    let cells = eta_rises.iter().zip(errors.windows(2));
    cells.map(|(rise, pair)| 0.5 * rise * pair[0] * lost_share(pair[0], pair[1])).sum()
}

/// `1 − (b/a) log(a/b)/(1 − b/a)` for a ≥ b ≥ 0: the share of `a` that the mean over the cell is below it.
fn lost_share(a: f64, b: f64) -> f64 {
    if a == 0.0 {
        return 0.0;
    }
    let s = (a - b) / a;
    if s < 0.05 {
        // Σ sᵐ/(m (m + 1)): ten terms leave 10⁻¹⁵ of the first.
        (1..=10).rev().fold(0.0, |sum, m| s * (1.0 / f64::from(m * (m + 1)) + sum))
    } else if b == 0.0 {
        1.0
    } else {
        1.0 + (1.0 - s) * (b / a).ln() / s
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_continuous_and_right_at_the_ends() {
        assert_eq!((lost_share(2.0, 2.0), lost_share(2.0, 0.0), lost_share(0.0, 0.0)), (0.0, 1.0, 0.0));
        let (below, above) = (lost_share(1.0, 0.95 + 1e-12), lost_share(1.0, 0.95 - 1e-12));
        assert!((below - above).abs() < 1e-11);
        // b = a/2: 1 − log 2.
        assert!((lost_share(4.0, 2.0) - (1.0 - 2.0_f64.ln())).abs() < 1e-15);
    }

    /// One cell from a = 1 to b = ½: ½ Δη (a − m), with the derivatives of m by hand.
    #[test]
    fn the_sensitivity_is_the_sum_of_the_derivatives() {
        let error = |mean, std_error| Estimate { mean, std_error, n: 100 };
        let curve =
            MeasuredCurve::new(vec![1.0, 0.5], vec![error(1.0, 1e-5), error(0.5, 2e-5)]).expect("valid");
        let (a, b, log) = (1.0, 0.5, 2.0_f64.ln());
        // m(a, b) = ab log(a/b)/(a − b).
        let of_a = (b * log + b) / (a - b) - a * b * log / (a - b).powi(2);
        let of_b = (a * log - a) / (a - b) + a * b * log / (a - b).powi(2);
        let z = 1.644_853_6;
        let exact = 0.5 * curve.eta_rises()[0] * z * ((1.0 - of_a).abs() * 1e-5 + of_b.abs() * 2e-5);
        let found = OwnCurveTerm::of(&curve).sensitivity(0.95).expect("a level");
        assert!((found / exact - 1.0).abs() < 1e-4, "{found} {exact}");
    }

    #[test]
    fn pools_are_weighted_means() {
        let found = non_increasing(vec![3.0, 1.0, 2.0, 2.5, 0.0], &[1.0, 1.0, 2.0, 1.0, 1.0]);
        // 1, 2, 2, 2.5 pool to 7.5/4.
        assert!(found.iter().zip([3.0, 1.875, 1.875, 1.875, 0.0]).all(|(a, b)| (a - b).abs() < 1e-15));
    }
}
