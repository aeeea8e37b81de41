//! Plans from the dimension and the second moment alone.

use numeric::{Error, TimeGrid};

use crate::curve::{check_horizon, noise_per_signal};

/// A run of the exponential integrator that is guaranteed for any data of a dimension and second moment.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct AnyDataPlan {
    /// Clock T at which the run starts.
    pub horizon: f64,
    /// Clock δ at which it stops.
    pub early_stop: f64,
    /// Number of steps, with equal ratios of $`v = e^{2τ} - 1`$.
    pub steps: usize,
    /// Relative growth of the signal-to-noise ratio in a step, at most.
    pub rho: f64,
    /// Bound of $`\mathrm{KL}(q_T \,\|\, γ)`$, in nats.
    pub initialization: f64,
    /// Bound of the discretisation term of S, in nats.
    pub discretization: f64,
}

impl AnyDataPlan {
    /// The grid of the plan.
    ///
    /// # Errors
    /// [`Error::Domain`] for more than 2^28 steps, which are no grid to hold; [`Error::Entry`] if two nodes are the same
    /// number: more steps than there are numbers between T and δ.
    pub fn grid(&self) -> Result<TimeGrid, Error> {
        let expected = "at most 2^28 steps in a grid";
        Error::domain(self.steps > 0 && self.steps <= 1 << 28, "steps", self.steps as f64, expected)?;
        log_uniform(self.horizon, self.early_stop, self.steps)
    }

    /// The bound of $`\mathrm{KL}(q_δ \,\|\, p_N)`$, in nats, for the exact score.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.initialization + self.discretization
    }
}

/// The grid of so many steps, uniform in log v.
pub(super) fn log_uniform(horizon: f64, early_stop: f64, steps: usize) -> Result<TimeGrid, Error> {
    let (first, last) = (noise_per_signal(horizon).ln(), noise_per_signal(early_stop).ln());
    let at = |k: usize| match k {
        0 => horizon,
        k if k == steps => early_stop,
        k => 0.5 * (first + (last - first) * (k as f64 / steps as f64)).exp().ln_1p(),
    };
    TimeGrid::from_nodes((0..=steps).map(at).collect())
}

/// Horizon, number of steps and grid that keep the KL of the exponential integrator (S) below `nats`, for any data.
///
/// # Statement
/// With the share θ of `nats` for the initialisation, $`Λ = \log\frac{v_0}{v_N}`$ and the grid uniform in $`\log v`$,
/// ```math
/// T = \max\Bigl\{\tfrac12\log 2,\ \tfrac12\log\frac{M_2 + d}{2 θ ε^2}\Bigr\}, \qquad
/// \frac{d (T - δ)}{12} ρ^2 + \frac{d (1 + Λ)}{2} ρ = (1 - θ) ε^2, \qquad
/// N = \Bigl\lceil \frac{Λ}{\log(1 + ρ)} \Bigr\rceil ,
/// ```
/// $`\mathrm{KL}(q_δ \,\|\, p_N) \le ε^2`$ = `nats`. The number of steps grows like $`\frac{d Λ (1 + Λ)}{2 (1 - θ) ε^2}`$: linear in
/// the dimension.
///
/// # Assumptions
/// $`\mathbb{E}\lvert X_0\rvert^2 \le M_2`$ = `second_moment`; exact score.
///
/// *Derivation.* $`\mathrm{KL}(q_T \,\|\, γ) \le \frac12 e^{-2T}(M_2 + d)`$ by
/// [`moment_initial_bound`](crate::initial::moment_initial_bound) and $`-x - \log(1 - x) \le x`$ for $`x \le \frac12`$;
/// [`grid_bound`](crate::theorem::grid_bound), with $`\sum c(g_k)/(1 - e^{-2τ_k}) \le ρ^2 (T - δ)/12`$ on this grid.
///
/// # Errors
/// [`Error::Domain`] for `dim` = 0, a `second_moment` that is negative or not finite, `nats` that are not positive and
/// finite, a `share` that is not between 0 and 1, a horizon T above 300, an `early_stop` that is not positive or at least T,
/// and more steps than 2^53.
///
/// ```
/// use bounds::plan::plan_for_any_data;
/// use bounds::theorem::grid_bound;
/// let plan = plan_for_any_data(8, 8.0, 0.1, 0.1, 0.01)?;
/// assert_eq!(plan.steps, 5457);
/// assert!(plan.total() <= 0.1);
/// assert!(grid_bound(8, &plan.grid()?)?.total() <= plan.discretization);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// The rate is that of Benton, De Bortoli, Doucet, Deligiannidis (2024), *Nearly d-linear convergence bounds for
/// diffusion models via stochastic localization*, Corollary 1; the constants are derived here.
pub fn plan_for_any_data(
    dim: usize,
    second_moment: f64,
    nats: f64,
    share: f64,
    early_stop: f64,
) -> Result<AnyDataPlan, Error> {
    Error::domain(dim > 0, "dim", dim as f64, "at least 1")?;
    let ok = second_moment >= 0.0 && second_moment.is_finite();
    Error::domain(ok, "second_moment", second_moment, "a finite number of at least 0")?;
    Error::positive("nats", nats)?;
    Error::domain(share > 0.0 && share < 1.0, "share", share, "a number between 0 and 1")?;
    let d = dim as f64;
    let horizon = (0.5 * ((second_moment + d) / (2.0 * share * nats)).ln()).max(0.5 * 2f64.ln());
    check_horizon(horizon)?;
    let ok = early_stop > 0.0 && early_stop < horizon;
    Error::domain(ok, "early_stop", early_stop, "a clock above 0 and below the horizon")?;
    let (first, last) = (noise_per_signal(horizon), noise_per_signal(early_stop));
    let log_ratio = (first / last).ln();
    let (square, linear) = (d * (horizon - early_stop) / 12.0, 0.5 * d * (1.0 + log_ratio));
    let budget = (1.0 - share) * nats;
    // The positive root of square ρ² + linear ρ = budget, in the form without cancellation.
    let rho = 2.0 * budget / (linear + (linear * linear + 4.0 * square * budget).sqrt());
    let steps = (log_ratio / rho.ln_1p()).ceil();
    Error::domain(steps < 2f64.powi(53), "nats", nats, "a target within reach of 2^53 steps")?;
    let taken = (log_ratio / steps).exp_m1();
    Ok(AnyDataPlan {
        horizon,
        early_stop,
        steps: steps as usize,
        rho,
        initialization: 0.5 * (-2.0 * horizon).exp() * (second_moment + d),
        discretization: taken * (linear + square * taken),
    })
}

/// The latest clock at which a run may stop for its target to be within a Wasserstein distance of the data.
///
/// # Statement
/// The greatest δ with
/// ```math
/// W_2(q_0, q_δ)^2 \le (1 - e^{-δ})^2 M_2 + d (1 - e^{-2δ}) \le \mathtt{w2}^2 .
/// ```
/// With $`u = 1 - e^{-δ}`$ the middle is $`(M_2 - d) u^2 + 2 d u`$: its root in closed form.
///
/// # Assumptions
/// $`\mathbb{E}\lvert X_0\rvert^2 \le M_2`$ = `second_moment`. The bound is attained by a point mass.
///
/// *Derivation.* The coupling $`X_δ = e^{-δ} X_0 + \sqrt{1 - e^{-2δ}} Z`$.
///
/// # Errors
/// [`Error::Domain`] for `dim` = 0, a `second_moment` that is negative or not finite, a `w2` that is not positive and
/// finite, or so large that pure noise is within it.
///
/// ```
/// let stop = bounds::plan::early_stop(64, 64.0, 0.5)?;
/// let kept = (-stop as f64).exp();
/// assert!(((1.0 - kept).powi(2) * 64.0 + 64.0 * (1.0 - kept * kept) - 0.25).abs() < 1e-12);
/// # Ok::<(), numeric::Error>(())
/// ```
pub fn early_stop(dim: usize, second_moment: f64, w2: f64) -> Result<f64, Error> {
    Error::domain(dim > 0, "dim", dim as f64, "at least 1")?;
    let ok = second_moment >= 0.0 && second_moment.is_finite();
    Error::domain(ok, "second_moment", second_moment, "a finite number of at least 0")?;
    Error::positive("w2", w2)?;
    let (d, square) = (dim as f64, w2 * w2);
    Error::domain(square < second_moment + d, "w2", w2, "less than the distance of pure noise")?;
    // (M2 − d) u² + 2 d u = w² has its least positive root here; below w² = M2 + d it is less than 1.
    let root = square / (d + (d * d + (second_moment - d) * square).sqrt());
    Ok(-(-root).ln_1p())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_arguments_are_refused() {
        let plan = plan_for_any_data;
        assert!(plan(0, 1.0, 0.1, 0.1, 0.01).is_err() && plan(1, f64::NAN, 0.1, 0.1, 0.01).is_err());
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(plan(1, 1.0, bad, 0.1, 0.01).is_err() && plan(1, 1.0, 0.1, bad, 0.01).is_err());
            assert!(plan(1, 1.0, 0.1, 0.1, bad).is_err() && early_stop(1, 1.0, bad).is_err());
        }
        assert!(plan(1, 1.0, 0.1, 1.0, 0.01).is_err() && plan(1, 1.0, 0.1, 0.1, 9.0).is_err());
        assert!(plan(1_000_000, 1e6, 1e-12, 0.1, 1e-12).is_err());
        assert!(early_stop(0, 1.0, 0.1).is_err() && early_stop(1, -1.0, 0.1).is_err());
        assert!(early_stop(2, 2.0, 2.0).is_err() && early_stop(2, 2.0, 1.999).is_ok());
    }

    #[test]
    fn stops_are_roots() {
        for (d, moment, w2) in [(1, 0.0, 0.3), (3, 100.0, 1e-6), (64, 1.0, 0.9), (10, 1e4, 50.0)] {
            let stop = early_stop(d, moment, w2).expect("a stop");
            let (lost, noise) = (-(-stop).exp_m1(), -(-2.0 * stop).exp_m1());
            let square = lost * lost * moment + d as f64 * noise;
            assert!((square / (w2 * w2) - 1.0).abs() < 1e-12, "{d} {moment} {w2}: {square}");
        }
    }
}
