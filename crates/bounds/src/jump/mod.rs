//! Path divergences of jump processes: Girsanov's theorem for chains in continuous time.
//!
//! Two chains with the rates r and $`\hat r`$ on the same states, and their laws on paths P and $`\hat P`$:
//!
//! ```math
//! \mathrm{KL}(P \,\|\, \hat P) = \mathrm{KL}(p_0 \,\|\, \hat p_0) + \int_0^T \mathbb{E}_{p_t} \sum_{y \ne x}
//!   \Bigl[\hat r - r + r \log\frac{r}{\hat r}\Bigr](x, y)\, dt \;\ge\; \mathrm{KL}(p_T \,\|\, \hat p_T) .
//! ```
//!
//! | I have | use |
//! |---|---|
//! | the rates out of one state | [`rate_divergence`] |
//! | two generators, few states | `path_kl`: exact |
//! | two generators, and paths of the first one | `path_kl_estimate` |
//! | rates and laws as functions of time, few states | [`path_kl_integral`] |
//! | draws of states at random times | [`path_kl_of_draws`] |
//!
//! For a reverse chain t is the time to go, P its law under the true reverse rates and $`p_0`$ the law at which the noise
//! ends: then the right-hand side is the divergence of the sampler's law from the data.
//!
//! # References
//! P. Brémaud (1981), *Point processes and queues*, chapter VI.

#[cfg(feature = "ctmc")]
mod chains;

#[cfg(feature = "ctmc")]
pub use chains::{PathKl, path_kl, path_kl_estimate};

use numeric::estimate::MeanAccumulator;
use numeric::{Error, Estimate};

use crate::curve::quadrature::composite;
use crate::divergence::generalised_kl;

/// $`\sum_y [\hat r - r + r \log(r/\hat r)]`$ over the destinations of one state, in nats per unit of time: at least 0,
/// and 0 only for equal rates. Infinite where $`r > 0 = \hat r`$.
///
/// Terms of one sign, each with all its digits where the rates are close.
///
/// ```
/// use bounds::jump::rate_divergence;
/// let found = rate_divergence(&[2.0, 0.0], &[1.0, 0.5])?;
/// assert!((found - (1.0 - 2.0 + 2.0 * 2f64.ln() + 0.5)).abs() < 1e-15);
/// assert_eq!(rate_divergence(&[1.0], &[0.0])?, f64::INFINITY);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # Errors
/// [`Error::Shape`] if the numbers of rates differ; [`Error::Entry`] for one that is negative or not finite.
pub fn rate_divergence(rates: &[f64], model: &[f64]) -> Result<f64, Error> {
    Error::shape("model", &[rates.len()], &[model.len()])?;
    Error::entries("rates", rates.iter().copied(), A_RATE, is_rate)?;
    Error::entries("model", model.iter().copied(), A_RATE, is_rate)?;
    Ok(rates.iter().zip(model).map(|(&r, &m)| generalised_kl(r, m)).sum())
}

/// The integral $`\int_a^b f(t)\, dt`$ of the [divergence of the rates](rate_divergence) in the mean over the law at time
/// t, given as `rate_of(t)`.
///
/// Gauss–Legendre panels of 16 nodes in u, $`t = a + (b - a) u^5`$: an integrand like $`\log(t - a)`$ at the first end, as
/// reverse rates have it at the data, is integrated to rounding by 12 panels. Let that end be a = 0: nodes are
/// closer to it than numbers are to each other elsewhere.
///
/// # Errors
/// [`Error::Domain`] unless a < b are finite, for no panels, and for a value that is negative or NaN; those of `rate_of`.
///
/// ```
/// use bounds::jump::path_kl_integral;
/// let found = path_kl_integral(0.0, 2.0, 12, |t| Ok(t - t.ln()))?;
/// assert!((found - (4.0 - 2.0 * 2f64.ln())).abs() < 1e-14);
/// # Ok::<(), numeric::Error>(())
/// ```
pub fn path_kl_integral(
    from: f64,
    to: f64,
    panels: usize,
    mut rate_of: impl FnMut(f64) -> Result<f64, Error>,
) -> Result<f64, Error> {
    Error::domain(from.is_finite(), "from", from, "a finite time")?;
    Error::domain(to > from && to.is_finite(), "to", to, "a finite time after the first")?;
    Error::domain(panels > 0, "panels", 0.0, "at least 1")?;
    let mut failed = None;
    let integral = composite(0.0, 1.0, 1.0 / panels as f64, |u| {
        let value = rate_of(from + (to - from) * u.powi(5)).and_then(|value| {
            Error::domain(value >= 0.0, "rate_of", value, "a divergence of at least 0")?;
            Ok(value)
        });
        match value {
            Ok(value) => 5.0 * u.powi(4) * value,
            Err(error) => {
                failed.get_or_insert(error);
                0.0
            }
        }
    });
    failed.map_or(Ok((to - from) * integral), Err)
}

/// The path divergence, the start apart, from draws: `values[i]` is the [divergence of the rates](rate_divergence) at a
/// time drawn uniformly from a span of length `time` and a state drawn from the law at that time.
///
/// Unbiased, whatever the number of states.
///
/// # Errors
/// [`Error::Domain`] for no values and a time that is not positive and finite; [`Error::Entry`] for a value that is not
/// finite.
///
/// ```
/// let found = bounds::jump::path_kl_of_draws(2.0, &[0.5, 0.7, 0.6, 0.6])?;
/// assert!((found.mean - 1.2).abs() < 1e-15);
/// # Ok::<(), numeric::Error>(())
/// ```
pub fn path_kl_of_draws(time: f64, values: &[f64]) -> Result<Estimate, Error> {
    Error::positive("time", time)?;
    Error::entries("values", values.iter().copied(), "a finite number of at least 0", is_rate)?;
    let scaled: Vec<f64> = values.iter().map(|value| time * value).collect();
    MeanAccumulator::from_values(0, &scaled)?.estimate()
}

fn is_rate(rate: f64) -> bool {
    rate >= 0.0 && rate.is_finite()
}

/// What [`is_rate`] wants, for errors.
const A_RATE: &str = "a finite rate of at least 0";
