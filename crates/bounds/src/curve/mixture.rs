//! Mixtures of normal laws and atoms on the line, by quadrature.

use numeric::Error;
use numeric::special::{LN_2PI, log_sum_exp, x_minus_ln_1p};

use super::gaussian::relative_gap;
use super::{ErrorCurve, noise_per_signal, quadrature};

/// The curve of $`\sum_i w_i N(m_i, c_i)`$ on the line; components with $`c_i = 0`$ are atoms.
///
/// With $`r_i(u)`$ the posterior weight of component i given $`U_v = u`$ and $`μ_i(u)`$ the posterior mean
/// under it,
///
/// ```math
/// Σ(u) = \sum_i r_i \frac{c_i v}{c_i + v} + \mathrm{Var}_r(μ_i), \qquad
/// s(u) = -\sum_i r_i \frac{u - m_i}{c_i + v} .
/// ```
/// Expectations are Gauss–Legendre sums on panels of half the least standard deviation of the components near
/// by: all of the curve to about 1e-13 of itself, for atoms at any noise. The cost of a value is about 600 K²
/// exponentials for K components of which no two overlap.
///
/// ```
/// use bounds::curve::{ErrorCurve, ScalarMixtureCurve};
/// let curve = ScalarMixtureCurve::new(&[0.3, 0.7], &[-1.5, 1.0], &[0.09, 0.09])?;
/// assert!((curve.mmse(0.4) - 0.558173063769).abs() < 1e-12);
/// assert!((curve.score_square(0.4) - 0.988883741936).abs() < 1e-12);
/// # Ok::<(), numeric::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct ScalarMixtureCurve {
    components: Vec<Component>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
struct Component {
    ln_weight: f64,
    mean: f64,
    variance: f64,
}

impl ScalarMixtureCurve {
    /// From the weights, means and variances of the components. Components without weight are left out; the
    /// rounding error of the weights' sum is divided out.
    ///
    /// # Errors
    /// [`Error::Shape`] for no components or different lengths; [`Error::Entry`] for a negative or non-finite
    /// weight or variance and a mean that is not finite; [`Error::Domain`] if the weights do not sum to 1
    /// within 1e-12.
    pub fn new(weights: &[f64], means: &[f64], variances: &[f64]) -> Result<ScalarMixtureCurve, Error> {
        let k = weights.len();
        Error::shape("weights", &[k.max(1)], &[k])?;
        Error::shape("means", &[k], &[means.len()])?;
        Error::shape("variances", &[k], &[variances.len()])?;
        let expected = "a finite number of at least 0";
        Error::entries("weights", weights.iter().copied(), expected, |w| w >= 0.0 && w.is_finite())?;
        Error::entries("means", means.iter().copied(), "a finite number", f64::is_finite)?;
        Error::entries("variances", variances.iter().copied(), expected, |c| c >= 0.0 && c.is_finite())?;
        let sum: f64 = weights.iter().sum();
        Error::domain((sum - 1.0).abs() <= 1e-12, "sum of `weights`", sum, "1")?;
        let components = (0..k)
            .filter(|&i| weights[i] > 0.0)
            .map(|i| Component { ln_weight: (weights[i] / sum).ln(), mean: means[i], variance: variances[i] })
            .collect();
        Ok(ScalarMixtureCurve { components })
    }

    fn mean(&self) -> f64 {
        self.components.iter().map(|c| c.ln_weight.exp() * c.mean).sum()
    }

    /// $`\mathbb{E} f(U_v, r(U_v))`$.
    fn expectation(&self, v: f64, f: impl Fn(f64, &[f64]) -> f64) -> f64 {
        let parts: Vec<(f64, f64)> =
            self.components.iter().map(|c| (c.mean, (c.variance + v).sqrt())).collect();
        let mut weights = vec![0.0; parts.len()];
        let mut integrand = |u: f64| {
            for ((weight, component), &(mean, sd)) in weights.iter_mut().zip(&self.components).zip(&parts) {
                *weight = component.ln_weight - 0.5 * LN_2PI - sd.ln() - 0.5 * ((u - mean) / sd).powi(2);
            }
            let ln_density = log_sum_exp(&weights);
            for weight in &mut weights {
                *weight = (*weight - ln_density).exp();
            }
            ln_density.exp() * f(u, &weights)
        };
        let edges = quadrature::edges(&parts);
        edges.windows(2).map(|edge| quadrature::panel(edge[0], edge[1], &mut integrand)).sum()
    }

    /// $`\mathrm{Var}_r(μ_i)`$, from the differences of the μ to that of the heaviest component.
    fn variance_of_means(&self, v: f64, u: f64, r: &[f64]) -> f64 {
        let heaviest = (0..r.len()).max_by(|&i, &j| r[i].total_cmp(&r[j])).expect("at least one component");
        let at = self.components[heaviest];
        let shift = |c: &Component| {
            let off = (u - at.mean) * (c.variance - at.variance) + (c.mean - at.mean) * (at.variance + v);
            off / (c.variance + v) * (v / (at.variance + v))
        };
        let weighted = || self.components.iter().zip(r);
        let mean: f64 = weighted().map(|(c, r)| r * shift(c)).sum();
        weighted().map(|(c, r)| r * (shift(c) - mean).powi(2)).sum()
    }

    /// $`Σ(u)`$.
    fn posterior_variance(&self, v: f64, u: f64, r: &[f64]) -> f64 {
        let within =
            |c: &Component| if c.variance == 0.0 { 0.0 } else { c.variance * (v / (c.variance + v)) };
        let mean: f64 = self.components.iter().zip(r).map(|(c, r)| r * within(c)).sum();
        mean + self.variance_of_means(v, u, r)
    }
}

impl ErrorCurve for ScalarMixtureCurve {
    fn dim(&self) -> usize {
        1
    }

    fn second_moment(&self) -> f64 {
        self.components.iter().map(|c| c.ln_weight.exp() * (c.mean * c.mean + c.variance)).sum()
    }

    fn total_variance(&self) -> f64 {
        let mean = self.mean();
        self.components.iter().map(|c| c.ln_weight.exp() * ((c.mean - mean).powi(2) + c.variance)).sum()
    }

    fn mmse(&self, tau: f64) -> f64 {
        let v = noise_per_signal(tau);
        self.expectation(v, |u, r| self.posterior_variance(v, u, r))
    }

    fn score_square(&self, tau: f64) -> f64 {
        let v = noise_per_signal(tau);
        (2.0 * tau).exp()
            * self.expectation(v, |u, r| {
                let terms = self.components.iter().zip(r).map(|(c, r)| r * (u - c.mean) / (c.variance + v));
                terms.sum::<f64>().powi(2)
            })
    }

    fn relative_score_square(&self, tau: f64) -> f64 {
        let v = noise_per_signal(tau);
        // s + x = e^{-τ} Σ r_i [u (c_i - 1) + (v + 1) m_i]/(c_i + v), where the multiple of u has cancelled.
        let part = |u: f64, c: &Component| (u * (c.variance - 1.0) + (v + 1.0) * c.mean) / (c.variance + v);
        (-2.0 * tau).exp()
            * self.expectation(v, |u, r| {
                self.components.iter().zip(r).map(|(c, r)| r * part(u, c)).sum::<f64>().powi(2)
            })
    }

    fn mutual_information(&self, tau: f64) -> f64 {
        let (v, variance) = (noise_per_signal(tau), self.total_variance());
        if v < variance.max(1.0) {
            // Of X_0 within its component, and of the component: E KL(r to w).
            let within: f64 =
                self.components.iter().map(|c| c.ln_weight.exp() * half_ln_1p_ratio(c.variance, v)).sum();
            let label = |r: &[f64]| {
                let terms = self.components.iter().zip(r).filter(|&(_, &r)| r > 0.0);
                terms.map(|(c, &r)| r * (r.ln() - c.ln_weight)).sum()
            };
            return within + self.expectation(v, |_, r| label(r));
        }
        // In much noise those terms cancel: E KL(X_τ | X_0 to γ) less KL(q_τ to γ), with the data centred.
        let (kept, mean) = ((-2.0 * tau).exp(), self.mean());
        let components = self.components.iter().map(|c| Component { mean: c.mean - mean, ..*c }).collect();
        let centred = ScalarMixtureCurve { components };
        0.5 * (kept * variance + x_minus_ln_1p(-kept)) - centred.relative_entropy(tau)
    }

    fn relative_entropy(&self, tau: f64) -> f64 {
        let (kept, noise) = ((-2.0 * tau).exp(), -(-2.0 * tau).exp_m1());
        let law = |c: &Component| ((-tau).exp() * c.mean, kept * c.variance + noise);
        let mut parts: Vec<(f64, f64)> =
            self.components.iter().map(law).map(|(m, s)| (m, s.sqrt())).collect();
        parts.push((0.0, 1.0));
        let mut ln_ratios = vec![0.0; self.components.len()];
        // γ (ρ log ρ - ρ + 1) ≥ 0, with ρ the ratio of the densities: near equilibrium nothing cancels.
        let mut integrand = |x: f64| {
            for (ln_ratio, c) in ln_ratios.iter_mut().zip(&self.components) {
                let ((mean, variance), excess) = (law(c), kept * (c.variance - 1.0));
                let square = (2.0 * x * mean - mean * mean + excess * x * x) / variance;
                *ln_ratio = 0.5 * (square - excess.ln_1p());
            }
            let ln_gamma = -0.5 * (LN_2PI + x * x);
            let excess: f64 =
                self.components.iter().zip(&ln_ratios).map(|(c, l)| c.ln_weight.exp() * l.exp_m1()).sum();
            if excess.abs() < 0.5 {
                return ln_gamma.exp() * (excess * excess.ln_1p() - x_minus_ln_1p(excess));
            }
            for (ln_ratio, c) in ln_ratios.iter_mut().zip(&self.components) {
                *ln_ratio += c.ln_weight;
            }
            let ln_rho = log_sum_exp(&ln_ratios);
            (ln_gamma + ln_rho).exp() * (ln_rho - 1.0) + ln_gamma.exp()
        };
        let edges = quadrature::edges(&parts);
        edges.windows(2).map(|edge| quadrature::panel(edge[0], edge[1], &mut integrand)).sum()
    }

    fn covariance_gap(&self, tau: f64, prior: f64) -> f64 {
        let v = noise_per_signal(tau);
        self.expectation(v, |u, r| {
            let within = self.components.iter().zip(r).map(|(c, r)| r * relative_gap(v, c.variance, prior));
            (within.sum::<f64>() + self.variance_of_means(v, u, r) / v).powi(2)
        })
    }

    fn log_det_defect(&self, tau: f64, eta_rise: f64) -> Option<f64> {
        let v = noise_per_signal(tau);
        Some(self.expectation(v, |u, r| x_minus_ln_1p(eta_rise * self.posterior_variance(v, u, r))))
    }

    fn coordinate_mmse(&self, tau: f64) -> Option<Vec<f64>> {
        Some(vec![self.mmse(tau)])
    }

    fn coordinate_prior_step(&self, from: f64, to: f64, prior: &[f64]) -> Option<f64> {
        assert_eq!(prior.len(), 1, "a prior variance for the one coordinate");
        Some(self.prior_step(from, to, prior[0]))
    }
}

/// $`\frac12 \log(1 + c/v)`$.
fn half_ln_1p_ratio(c: f64, v: f64) -> f64 {
    if c == 0.0 { 0.0 } else { 0.5 * (c / v).ln_1p() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(parts: [(f64, f64, f64); 3]) -> ScalarMixtureCurve {
        let [weights, means, variances] = [parts.map(|p| p.0), parts.map(|p| p.1), parts.map(|p| p.2)];
        ScalarMixtureCurve::new(&weights, &means, &variances).expect("a curve")
    }

    /// Laws that no one mesh suits: wide beside narrow, atoms, components that nearly coincide, a rare one
    /// far out.
    fn laws() -> [ScalarMixtureCurve; 4] {
        [
            curve([(0.5, 0.0, 1.0), (0.3, 0.3, 1e-6), (0.2, -4.0, 1e-3)]),
            curve([(0.2, -1.0, 0.0), (0.5, 0.25, 0.0), (0.3, 1.5, 0.0)]),
            curve([(0.4, 0.0, 0.5), (0.4, 1e-7, 0.5), (0.2, 2.0, 0.0)]),
            curve([(0.999, 0.0, 0.1), (1e-6, 30.0, 0.2), (1e-3 - 1e-6, 1.0, 3.0)]),
        ]
    }

    #[test]
    fn tweedie_holds_at_every_noise() {
        for (law, tau) in
            laws().iter().flat_map(|law| [1e-8, 1e-4, 0.01, 0.1, 0.5, 2.0, 6.0, 15.0].map(|t| (law, t)))
        {
            let v = noise_per_signal(tau);
            let (i, mmse) = (law.score_square(tau), law.mmse(tau));
            // Two integrands that have nothing but their sum in common.
            assert!((v * (-2.0 * tau).exp() * i + mmse / v - 1.0).abs() < 1e-13, "{law:?} {tau}");
            assert!((law.expectation(v, |_, _| 1.0) - 1.0).abs() < 1e-13);
            let (f, moment) = (law.relative_score_square(tau), law.second_moment_at(tau));
            assert!((f - (i - 2.0 + moment)).abs() < 1e-13 * (i + moment), "{law:?} {tau}");
        }
    }

    #[test]
    fn information_keeps_its_digits() {
        for law in laws() {
            // In much noise, X_0 is as if Gaussian: MI = Var/(2v) + O(Var²/v²).
            let (v, variance) = (noise_per_signal(12.0), law.total_variance());
            let ratio = law.mutual_information(12.0) / (0.5 * variance / v);
            assert!((ratio - 1.0).abs() < 2.0 * variance / v + 1e-12, "{law:?}: {ratio}");
            // Its derivative in η is mmse/2, across the change of formulas.
            let seam = 0.5 * variance.max(1.0).ln_1p();
            for tau in [0.05, seam] {
                let (from, to) = (tau * (1.0 + 1e-3), tau * (1.0 - 1e-3));
                let gain = quadrature::composite(to, from, 1.0, |t| {
                    let v = noise_per_signal(t);
                    law.mmse(t) * (v + 1.0) / (v * v)
                });
                let found = law.information_gain(from, to);
                assert!((found - gain).abs() < 1e-14 + 1e-13 * law.mutual_information(tau), "{law:?} {tau}");
            }
        }
        let atoms = &laws()[1];
        let entropy: f64 = [0.2, 0.5, 0.3].iter().map(|w: &f64| -w * w.ln()).sum();
        assert!((atoms.mutual_information(1e-6) - entropy).abs() < 1e-13);
    }

    #[test]
    fn equilibrium_is_approached_without_rounding() {
        // For two atoms ±1 the KL is far below the rounding of h: to leading order the fourth cumulant's
        // χ²/2.
        let coin = ScalarMixtureCurve::new(&[0.5, 0.5], &[-1.0, 1.0], &[0.0, 0.0]).expect("a curve");
        let kept = (-2f64 * 5.0).exp();
        // κ₄ = -2 e^{-4τ}, KL ≈ κ₄²/(2 · 4!).
        let leading = 4.0 * kept.powi(4) / 48.0;
        assert!((coin.relative_entropy(5.0) / leading - 1.0).abs() < 1e-3);
    }

    #[test]
    fn bad_mixtures_are_refused() {
        let new = ScalarMixtureCurve::new;
        assert!(new(&[], &[], &[]).is_err() && new(&[1.0], &[0.0, 1.0], &[1.0]).is_err());
        assert!(new(&[0.5, 0.4], &[0.0; 2], &[1.0; 2]).is_err() && new(&[1.0], &[0.0], &[]).is_err());
        assert!(
            new(&[1.5, -0.5], &[0.0; 2], &[1.0; 2]).is_err() && new(&[f64::NAN], &[0.0], &[1.0]).is_err()
        );
        assert!(new(&[1.0], &[f64::INFINITY], &[1.0]).is_err() && new(&[1.0], &[0.0], &[-1e-9]).is_err());
        let light = new(&[0.0, 1.0], &[5.0, 0.0], &[1.0; 2]).expect("a curve");
        assert_eq!(light, new(&[1.0], &[0.0], &[1.0]).expect("a curve"));
    }
}
