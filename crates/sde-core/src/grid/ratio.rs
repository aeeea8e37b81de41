//! Grids of the noise-to-signal ratio σ/α.

use numeric::{Error, TimeGrid};

use super::nodes;

/// `0 ≤ min < max < ∞` and at least one step.
pub(super) fn checked(max: f64, min: f64, steps: usize) -> Result<(), Error> {
    Error::domain(min >= 0.0, "min", min, "a number of at least 0")?;
    Error::domain(max > min && max.is_finite(), "max", max, "a finite number greater than min")?;
    Error::domain(steps > 0, "steps", steps as f64, "at least 1")
}

/// Equal steps of the `rho`-th root of the ratio: the grid of Karras et al.
///
/// ```math
/// s_k = \Big( s_{\max}^{1/\rho} + \frac kN \big( s_{\min}^{1/\rho} - s_{\max}^{1/\rho} \big) \Big)^{\rho},
/// \qquad k = 0, \dots, N.
/// ```
/// ρ = 1 is uniform, ρ → ∞ geometric, and the paper recommends 7. Its N counts noise levels and appends 0 as one more:
/// its grid of N = 18 is [`to_data`](super::to_data) of this one in 17 steps.
///
/// ```
/// let grid = sde_core::grid::karras(80.0, 0.002, 7.0, 17)?;
/// assert!((grid.node(1).t - 57.585984721248).abs() < 1e-11);
/// assert!((grid.node(16).t - 0.007528019963).abs() < 1e-12);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # Errors
/// [`Error::Domain`] unless 0 ≤ `min` < `max` < ∞, `rho` > 0 is finite, and `steps` > 0; [`Error::Entry`] if two nodes
/// are equal in floating point.
///
/// # References
/// Karras, Aittala, Aila, Laine (2022), *Elucidating the design space of diffusion-based generative models*,
/// equation 5.
pub fn karras(max: f64, min: f64, rho: f64, steps: usize) -> Result<TimeGrid, Error> {
    checked(max, min, steps)?;
    Error::positive("rho", rho)?;
    let (start, end) = (max.powf(1.0 / rho), min.powf(1.0 / rho));
    nodes(max, min, steps, |k| (start + (end - start) * (k as f64 / steps as f64)).powf(rho))
}

/// Equal steps of the logarithm of the ratio, `s_k = max (min/max)^{k/N}`: uniform in the log-signal-to-noise ratio.
///
/// ```
/// let grid = sde_core::grid::geometric(100.0, 0.01, 4)?;
/// assert!(grid.nodes().iter().zip([100.0, 10.0, 1.0, 0.1, 0.01]).all(|(a, b)| (a.t / b - 1.0).abs() < 1e-14));
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # Errors
/// [`Error::Domain`] unless 0 < `min` < `max` < ∞ and `steps` > 0; [`Error::Entry`] if two nodes are equal in floating
/// point.
pub fn geometric(max: f64, min: f64, steps: usize) -> Result<TimeGrid, Error> {
    polyexponential(max, min, 1.0, steps)
}

/// `ln s_k = ln min + (1 − k/N)^ρ (ln max − ln min)`: for ρ = 1 geometric; for ρ > 1 finer near the least noise, for
/// ρ < 1 near the most.
///
/// ```
/// let grid = sde_core::grid::polyexponential(100.0, 0.01, 2.0, 2)?;
/// assert!((grid.node(1).t - 0.1).abs() < 1e-16);               // a quarter of the way up
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # Errors
/// [`Error::Domain`] unless 0 < `min` < `max` < ∞, `rho` > 0 is finite, and `steps` > 0; [`Error::Entry`] if two nodes
/// are equal in floating point.
pub fn polyexponential(max: f64, min: f64, rho: f64, steps: usize) -> Result<TimeGrid, Error> {
    checked(max, min, steps)?;
    Error::positive("min", min)?;
    Error::positive("rho", rho)?;
    let (low, high) = (min.ln(), max.ln());
    nodes(max, min, steps, |k| (low + (high - low) * ((steps - k) as f64 / steps as f64).powf(rho)).exp())
}

/// Equal steps of the angle `arctan(σ/α)`: uniform in the time of the cosine schedule without an offset.
///
/// Finest where signal and noise are alike; `min` may be 0.
///
/// ```
/// let grid = sde_core::grid::cosine(3.0_f64.sqrt(), 0.0, 2)?;
/// assert!((grid.node(1).t - 1.0 / 3.0_f64.sqrt()).abs() < 1e-15);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # Errors
/// [`Error::Domain`] unless 0 ≤ `min` < `max` < ∞ and `steps` > 0; [`Error::Entry`] if two nodes are equal in floating
/// point.
pub fn cosine(max: f64, min: f64, steps: usize) -> Result<TimeGrid, Error> {
    checked(max, min, steps)?;
    let (start, end) = (max.atan(), min.atan());
    nodes(max, min, steps, |k| (start + (end - start) * (k as f64 / steps as f64)).tan())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CosineVp, grid::uniform_in};

    /// Computed in forty digits.
    const KARRAS_18: [f64; 18] = [
        80.0,
        57.58598472124816,
        40.78557379650796,
        28.374584604156837,
        19.35245298032522,
        12.910082380757316,
        8.400935309099822,
        5.3151945217963785,
        3.256821519765538,
        1.9233398370400498,
        1.0881706365452795,
        0.5853481231945423,
        0.29644228447915727,
        0.13951646873101647,
        0.05994731123547157,
        0.02293451837233337,
        0.007528019962784071,
        0.002,
    ];

    #[test]
    fn karras_grid_is_that_of_the_paper() {
        let grid = karras(80.0, 0.002, 7.0, 17).expect("valid");
        for (node, expected) in grid.nodes().iter().zip(KARRAS_18) {
            assert!((node.t / expected - 1.0).abs() < 2e-14);
        }
        // ρ = 1 is uniform, a large ρ all but geometric.
        let near = |a: &TimeGrid, b: &TimeGrid, tolerance: f64| {
            a.nodes().iter().zip(b.nodes()).all(|(a, b)| (a.t / b.t - 1.0).abs() < tolerance)
        };
        let uniform = TimeGrid::uniform(5.0, 0.1, 9).expect("valid");
        assert!(near(&karras(5.0, 0.1, 1.0, 9).expect("valid"), &uniform, 1e-14));
        let geometric = geometric(5.0, 0.1, 9).expect("valid");
        assert!(near(&karras(5.0, 0.1, 1e6, 9).expect("valid"), &geometric, 1e-5));
        assert!(!near(&karras(5.0, 0.1, 7.0, 9).expect("valid"), &geometric, 0.1));
    }

    #[test]
    fn the_cosine_grid_is_uniform_in_time_of_the_cosine_process() {
        let process = CosineVp::new(1e-9).expect("valid");
        let times = uniform_in(&process, 50.0, 0.01, 20).expect("in reach");
        let grid = cosine(50.0, 0.01, 20).expect("valid");
        for (time, node) in times.nodes().iter().zip(grid.nodes()) {
            let level = numeric::Schedule::level(&process, *time);
            assert!((level.sigma / level.alpha / node.t - 1.0).abs() < 1e-6);
        }
    }

    #[test]
    fn ends_are_exact_for_any_number_of_steps_and_bad_ones_are_refused() {
        type Make = fn(f64, f64, usize) -> Result<TimeGrid, Error>;
        let makes: [(Make, bool); 5] = [
            (|max, min, n| karras(max, min, 7.0, n), true),
            (geometric, false),
            (|max, min, n| polyexponential(max, min, 0.5, n), false),
            (|max, min, n| polyexponential(max, min, 3.0, n), false),
            (cosine, true),
        ];
        for (make, to_zero) in makes {
            for steps in [1, 2, 3, 1000] {
                for (max, min) in [(80.0, 0.002), (14.6146, 0.0292), (1e6, 1e-6), (0.3, 0.1)] {
                    let grid = make(max, min, steps).expect("valid");
                    assert_eq!((grid.first().t, grid.last().t, grid.steps()), (max, min, steps));
                    assert!(grid.nodes().windows(2).all(|pair| pair[0].t > pair[1].t));
                }
                assert_eq!(make(1.0, 0.0, steps).is_ok(), to_zero);
            }
            for (max, min, steps) in [
                (1.0, 0.1, 0),
                (1.0, 1.0, 3),
                (0.1, 1.0, 3),
                (1.0, -0.1, 3),
                (f64::NAN, 0.1, 3),
                (1.0, f64::NAN, 3),
                (f64::INFINITY, 0.1, 3),
                // Two neighbours in floating point have nothing between them.
                (1.0, 1.0 - f64::EPSILON / 2.0, 3),
            ] {
                assert!(make(max, min, steps).is_err(), "{max} {min} {steps}");
            }
        }
        for rho in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(karras(1.0, 0.1, rho, 3).is_err() && polyexponential(1.0, 0.1, rho, 3).is_err());
        }
    }
}
