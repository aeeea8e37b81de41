//! Grids of the clock of variance-preserving processes.

use numeric::{Error, TimeGrid};

use super::nodes;

fn checked(horizon: f64, early_stop: f64, steps: usize) -> Result<(), Error> {
    Error::positive("early_stop", early_stop)?;
    let ok = horizon > early_stop && horizon.is_finite();
    Error::domain(ok, "horizon", horizon, "a finite clock greater than early_stop")?;
    Error::domain(steps > 0, "steps", steps as f64, "at least 1")
}

/// Equal steps from `horizon` to `early_stop`.
///
/// # Errors
/// [`Error::Domain`] unless `0 < early_stop < horizon < ∞` and `steps > 0`.
pub fn uniform(horizon: f64, early_stop: f64, steps: usize) -> Result<TimeGrid, Error> {
    checked(horizon, early_stop, steps)?;
    TimeGrid::uniform(horizon, early_stop, steps)
}

/// Half the steps uniform on [1, T], half geometric from 1 to δ: the grid of the nearly d-linear bound.
///
/// `τ_k = T − 2(T−1)k/N` for `k ≤ N/2` and `τ_{N/2+j} = δ^{2j/N}`.
///
/// ```
/// let grid = sde_core::grid::two_phase(3.0, 0.01, 40)?;
/// assert!((grid.node(1).t - 2.9).abs() < 1e-15 && grid.node(20).t == 1.0);
/// assert!((grid.node(39).t - 0.012589254118).abs() < 1e-12);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # Errors
/// [`Error::Domain`] unless `0 < early_stop < 1 < horizon < ∞` and `steps` is even and positive.
///
/// # References
/// Benton, De Bortoli, Doucet, Deligiannidis (2024), *Nearly d-linear convergence bounds for diffusion models
/// via stochastic localization*, Corollary 1.
pub fn two_phase(horizon: f64, early_stop: f64, steps: usize) -> Result<TimeGrid, Error> {
    checked(horizon, early_stop, steps)?;
    Error::domain(horizon > 1.0, "horizon", horizon, "more than 1, where the phases meet")?;
    Error::domain(early_stop < 1.0, "early_stop", early_stop, "less than 1, where the phases meet")?;
    Error::domain(steps.is_multiple_of(2), "steps", steps as f64, "an even number")?;
    let half = steps / 2;
    nodes(horizon, early_stop, steps, |k| {
        if k <= half {
            horizon - (horizon - 1.0) * (k as f64 / half as f64)
        } else {
            early_stop.powf((k - half) as f64 / half as f64)
        }
    })
}

/// Steps uniform in the logarithm of the signal-to-noise ratio: `v_k = v_0 (v_N/v_0)^{k/N}`,
/// `v = e^{2τ} − 1 = σ²/α²`.
///
/// Uniform where there is only noise and geometric next to the data, without a seam: the grid to start with.
///
/// ```
/// let grid = sde_core::grid::geometric_v(3.0, 0.01, 40)?;
/// assert!((grid.node(1).t - 2.876603844502).abs() < 1e-12);
/// assert!((grid.node(20).t - 0.674198301070).abs() < 1e-12);
/// assert!((grid.node(39).t - 0.012772446541).abs() < 1e-12);
/// // Twice the steps keep every node.
/// let fine = sde_core::grid::geometric_v(3.0, 0.01, 80)?;
/// assert!((fine.node(40).t - grid.node(20).t).abs() < 1e-15);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # Errors
/// [`Error::Domain`] unless `0 < early_stop < horizon < ∞` and `steps > 0`.
pub fn geometric_v(horizon: f64, early_stop: f64, steps: usize) -> Result<TimeGrid, Error> {
    checked(horizon, early_stop, steps)?;
    // ln v = 2τ + ln(1 − e^{−2τ}) does not overflow for a large horizon.
    let ln_v = |clock: f64| 2.0 * clock + (-(-2.0 * clock).exp_m1()).ln();
    let (start, end) = (ln_v(horizon), ln_v(early_stop));
    nodes(horizon, early_stop, steps, |k| {
        let ln_v = start + (end - start) * (k as f64 / steps as f64);
        // ½ ln(1 + v), from whichever side does not overflow.
        if ln_v > 0.0 { 0.5 * (ln_v + (-ln_v).exp().ln_1p()) } else { 0.5 * ln_v.exp().ln_1p() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_grids_are_refused() {
        for make in [uniform, two_phase, geometric_v] {
            for (horizon, stop, steps) in [
                (4.0, 0.0, 10),
                (4.0, -1e-3, 10),
                (4.0, f64::NAN, 10),
                (f64::NAN, 1e-3, 10),
                (f64::INFINITY, 1e-3, 10),
                (1e-3, 4.0, 10),
                (4.0, 4.0, 10),
                (4.0, 1e-3, 0),
            ] {
                assert!(make(horizon, stop, steps).is_err(), "{horizon} {stop} {steps}");
            }
            assert_eq!(make(400.0, 1e-300, 2).expect("extreme, but a grid").steps(), 2);
        }
        assert!(two_phase(4.0, 1e-3, 3).is_err() && two_phase(1.0, 1e-3, 2).is_err());
        assert_eq!(geometric_v(4.0, 1e-3, 1).expect("one step").steps(), 1);
    }

    /// Next to the data a clock is half of its v, and in noise half of ln v.
    #[test]
    fn nodes_keep_their_digits_at_both_ends() {
        let grid = geometric_v(300.0, 1e-200, 8).expect("valid");
        let (start, end) = (600.0_f64, (2e-200_f64).ln());
        for (k, node) in grid.nodes().iter().enumerate() {
            let ln_v = start + (end - start) * (k as f64 / 8.0);
            // A rounding of the logarithm is that of the clock times its size.
            let exact = if ln_v > 0.0 { 0.5 * ln_v } else { 0.5 * ln_v.exp() };
            assert!((node.t / exact - 1.0).abs() < 1e-12, "{k}: {} for {exact}", node.t);
        }
        let grid = two_phase(3.0, 1e-4, 8).expect("valid");
        let exact = [3.0, 2.5, 2.0, 1.5, 1.0, 0.1, 1e-2, 1e-3, 1e-4];
        assert!(grid.nodes().iter().zip(exact).all(|(node, exact)| (node.t / exact - 1.0).abs() < 1e-14));
    }
}
