//! The initialisation term: the price of starting a sampler at $`γ = N(0, I)`$ instead of the noised data.
//!
//! `horizon` is $`T > 0`$, the Ornstein–Uhlenbeck clock at which the run starts; all terms bound
//! $`\mathrm{KL}(q_T \,\|\, γ)`$ in nats, from above. For curves that are known it is exact:
//! [`ErrorCurve::relative_entropy`].

use numeric::Error;
use numeric::special::x_minus_ln_1p;

use crate::curve::{ErrorCurve, GaussianCurve, check_horizon};

/// The initialisation term of Gaussian data $`N(μ, C)`$, exactly.
///
/// # Statement
/// With $`c_i`$ the `eigenvalues` of $`C`$, $`\lvert μ\rvert^2`$ = `squared_mean` and
/// $`λ_i = 1 + e^{-2T}(c_i - 1)`$,
/// ```math
/// \mathrm{KL}(q_T \,\|\, γ) = \frac12 \sum_i (λ_i - 1 - \log λ_i) + \frac12 e^{-2T} \lvert μ\rvert^2
///   \sim \frac14 e^{-4T} \sum_i (c_i - 1)^2 + \frac12 e^{-2T} \lvert μ\rvert^2 .
/// ```
/// Centred data of unit covariance converge at twice the rate of the [general bound](moment_initial_bound).
///
/// # Errors
/// Those of [`GaussianCurve::new`]; [`Error::Domain`] unless 0 < `horizon` ≤ 300.
///
/// ```
/// use bounds::initial::gaussian_initial;
/// assert_eq!(gaussian_initial(&[1.0, 1.0], 0.0, 0.1)?, 0.0);
/// let shifted = gaussian_initial(&[1.0], 4.0, 1.0)?;
/// assert!((shifted - 2.0 * (-2f64).exp()).abs() < 1e-15);
/// # Ok::<(), numeric::Error>(())
/// ```
pub fn gaussian_initial(eigenvalues: &[f64], squared_mean: f64, horizon: f64) -> Result<f64, Error> {
    check_horizon(horizon)?;
    Ok(GaussianCurve::new(eigenvalues.to_vec(), squared_mean)?.relative_entropy(horizon))
}

/// The initialisation term of any data, by the second moment.
///
/// # Statement
/// With $`x = e^{-2T}`$ and $`M_2 = \mathbb{E}\lvert X_0\rvert^2`$ = `second_moment`,
/// ```math
/// \mathrm{KL}(q_T \,\|\, γ) \le \frac{x M_2}{2} + \frac d2 \bigl(-x - \log(1 - x)\bigr)
///   \le \frac{x M_2}{2} + \frac{d x^2}{4 (1 - x)} .
/// ```
///
/// # Assumptions
/// A finite second moment.
///
/// # Returns
/// Equality for a point mass, loose by a factor $`e^{2T}`$ for centred data near unit covariance; ∞ as T → 0.
///
/// *Derivation.* KL is convex, so
/// $`\mathrm{KL}(q_T \,\|\, γ) \le \mathbb{E}\,\mathrm{KL}(\mathrm{Law}(X_T | X_0) \,\|\, γ)`$, and $`X_T`$
/// given $`X_0`$ is $`N(e^{-T} X_0, (1 - x) I)`$. The last step is
/// $`-x - \log(1 - x) = \sum_{n \ge 2} x^n/n \le \frac12 \sum_{n \ge 2} x^n`$.
///
/// # Errors
/// [`Error::Domain`] for `dim` = 0, a `second_moment` that is negative or not finite, and unless
/// 0 < `horizon` ≤ 300.
///
/// ```
/// use bounds::initial::{gaussian_initial, moment_initial_bound};
/// let bound = moment_initial_bound(2, 9.0, 0.5)?;
/// assert!((bound - gaussian_initial(&[0.0, 0.0], 9.0, 0.5)?).abs() < 1e-15); // a point mass 3 away
/// assert!(bound > gaussian_initial(&[4.0, 4.0], 1.0, 0.5)?);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// Used with constants left out in Benton, De Bortoli, Doucet, Deligiannidis (2024), *Nearly d-linear
/// convergence bounds for diffusion models via stochastic localization*, Proposition 4, which takes
/// $`M_2 = O(d)`$.
pub fn moment_initial_bound(dim: usize, second_moment: f64, horizon: f64) -> Result<f64, Error> {
    Error::domain(dim > 0, "dim", dim as f64, "at least 1")?;
    let ok = second_moment >= 0.0 && second_moment.is_finite();
    Error::domain(ok, "second_moment", second_moment, "a finite number of at least 0")?;
    check_horizon(horizon)?;
    let kept = (-2.0 * horizon).exp();
    Ok(0.5 * (kept * second_moment + dim as f64 * x_minus_ln_1p(-kept)))
}

/// How far a divergence to equilibrium has decayed, by the logarithmic Sobolev inequality.
///
/// # Statement
/// For $`t < T`$ with `relative_entropy` $`\ge \mathrm{KL}(q_t \,\|\, γ)`$ and `elapsed` = $`T - t`$,
/// ```math
/// \mathrm{KL}(q_T \,\|\, γ) \le e^{-2(T - t)}\, \mathrm{KL}(q_t \,\|\, γ) .
/// ```
///
/// # Returns
/// Equality for $`N(μ, I)`$. `t` = 0 is allowed where the divergence of the data is finite.
///
/// *Derivation.* $`\frac{d}{dτ} \mathrm{KL}(q_τ \,\|\, γ) = -F(τ)`$ and Gross's inequality
/// $`F \ge 2\,\mathrm{KL}(q_τ \,\|\, γ)`$; Grönwall.
///
/// # Errors
/// [`Error::Domain`] for arguments that are negative or not finite.
///
/// ```
/// use bounds::initial::{gaussian_initial, log_sobolev_decay};
/// let early = gaussian_initial(&[1.0], 9.0, 0.25)?;
/// let late = gaussian_initial(&[1.0], 9.0, 1.25)?;
/// assert!((log_sobolev_decay(early, 1.0)? - late).abs() < 1e-15);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// Gross (1975), *Logarithmic Sobolev inequalities*, Amer. J. Math. 97; Bakry, Gentil, Ledoux (2014),
/// *Analysis and Geometry of Markov Diffusion Operators*, theorem 5.2.1.
pub fn log_sobolev_decay(relative_entropy: f64, elapsed: f64) -> Result<f64, Error> {
    for (name, value) in [("relative_entropy", relative_entropy), ("elapsed", elapsed)] {
        Error::domain(value >= 0.0 && value.is_finite(), name, value, "a finite number of at least 0")?;
    }
    Ok((-2.0 * elapsed).exp() * relative_entropy)
}

/// The initialisation term of a mixture of Gaussians, by the exact terms of its components.
///
/// # Statement
/// For $`q_0 = \sum_i w_i N(m_i, C_i)`$, `weights` $`w_i`$, `squared_mean_norms` $`\lvert m_i\rvert^2`$ and
/// `eigenvalues` those of each $`C_i`$,
/// ```math
/// \mathrm{KL}(q_T \,\|\, γ) \le \sum_i w_i\,
///   \mathrm{KL}\bigl(N(e^{-T} m_i,\ e^{-2T} C_i + (1 - e^{-2T}) I) \,\|\, γ\bigr) .
/// ```
///
/// # Returns
/// Equality for one component or equal ones; for atoms it is the [moment bound](moment_initial_bound).
///
/// *Derivation.* Joint convexity of KL, and [`gaussian_initial`] for each component.
///
/// # Errors
/// [`Error::Shape`] for no components, different numbers of them or different dimensions; [`Error::Entry`]
/// for a negative or non-finite weight; [`Error::Domain`] if the weights do not sum to 1 within 1e-12; those
/// of [`gaussian_initial`].
///
/// ```
/// use bounds::initial::{mixture_initial_bound, moment_initial_bound};
/// let atoms = mixture_initial_bound(&[0.25, 0.75], &[9.0, 1.0], &[vec![0.0], vec![0.0]], 1.0)?;
/// assert!((atoms - moment_initial_bound(1, 3.0, 1.0)?).abs() < 1e-15);
/// # Ok::<(), numeric::Error>(())
/// ```
pub fn mixture_initial_bound(
    weights: &[f64],
    squared_mean_norms: &[f64],
    eigenvalues: &[Vec<f64>],
    horizon: f64,
) -> Result<f64, Error> {
    let k = weights.len();
    Error::shape("weights", &[k.max(1)], &[k])?;
    Error::shape("squared_mean_norms", &[k], &[squared_mean_norms.len()])?;
    Error::shape("eigenvalues", &[k], &[eigenvalues.len()])?;
    let expected = "a finite number of at least 0";
    Error::entries("weights", weights.iter().copied(), expected, |w| w >= 0.0 && w.is_finite())?;
    let sum: f64 = weights.iter().sum();
    Error::domain((sum - 1.0).abs() <= 1e-12, "sum of `weights`", sum, "1")?;
    let mut bound = 0.0;
    for ((weight, &squared_mean), component) in weights.iter().zip(squared_mean_norms).zip(eigenvalues) {
        Error::shape("eigenvalues", &[eigenvalues[0].len()], &[component.len()])?;
        bound += weight * gaussian_initial(component, squared_mean, horizon)?;
    }
    // The rounding error of the weights' sum is divided out.
    Ok(bound / sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_arguments_are_refused() {
        for horizon in [0.0, -1.0, f64::NAN, f64::INFINITY, 301.0] {
            assert!(gaussian_initial(&[1.0], 0.0, horizon).is_err());
            assert!(moment_initial_bound(1, 1.0, horizon).is_err());
            assert!(mixture_initial_bound(&[1.0], &[1.0], &[vec![1.0]], horizon).is_err());
        }
        assert!(gaussian_initial(&[], 0.0, 1.0).is_err() && gaussian_initial(&[-1.0], 0.0, 1.0).is_err());
        assert!(
            moment_initial_bound(0, 1.0, 1.0).is_err() && moment_initial_bound(1, f64::NAN, 1.0).is_err()
        );
        assert!(log_sobolev_decay(-1.0, 1.0).is_err() && log_sobolev_decay(1.0, f64::NAN).is_err());
        assert!(mixture_initial_bound(&[0.5], &[1.0], &[vec![1.0]], 1.0).is_err());
        assert!(mixture_initial_bound(&[0.5, 0.5], &[1.0, 1.0], &[vec![1.0], vec![1.0; 2]], 1.0).is_err());
        assert!(mixture_initial_bound(&[], &[], &[], 1.0).is_err());
    }
}
