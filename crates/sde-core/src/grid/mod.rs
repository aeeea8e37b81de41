//! Grids of times, from noise to data.
//!
//! There are three kinds, by what their nodes are:
//!
//! | nodes | grids | to times of a process |
//! |---|---|---|
//! | clocks τ, the time of [`Ou`](crate::Ou) | [`uniform`], [`two_phase`], [`geometric_v`] | [`in_time_of`] |
//! | ratios σ/α, the time of [`Edm`](crate::Edm) | [`karras`], [`geometric`], [`polyexponential`], [`cosine`] | [`at_ratios`] |
//! | times of a process | [`uniform_in`], [`Spacing`] for discrete chains, [`TimeGrid::from_nodes`] | |
//!
//! A grid of clocks goes from the horizon `T` down to the early-stopping clock `δ > 0`. A grid of ratios goes from
//! `max` to `min` in the given number of steps; both ends are nodes. [`to_data`] adds a step to the data themselves,
//! where clock and ratio are 0. Steps uniform in the log-signal-to-noise ratio `2 ln(α/σ)` are those of [`geometric`].
//!
//! ```
//! use sde_core::{Flow, grid};
//! # fn main() -> Result<(), numeric::Error> {
//! let ratios = grid::to_data(&grid::karras(80.0, 0.002, 7.0, 17)?)?;   // the 18 steps of Karras et al.
//! assert_eq!((ratios.steps(), ratios.node(17).t, ratios.last().t), (18, 0.002, 0.0));
//! let times = grid::at_ratios(&Flow, &ratios)?;                        // the same noise levels, of another process
//! assert_eq!((times.first().t, times.last().t), (80.0 / 81.0, 0.0));
//! # Ok(()) }
//! ```

mod clock;
mod ratio;
mod spacing;

use numeric::{Error, Time, TimeGrid};

pub use clock::{geometric_v, two_phase, uniform};
pub use ratio::{cosine, geometric, karras, polyexponential};
pub use spacing::Spacing;

use crate::{LinearProcess, VariancePreserving};

/// Nodes from formulas, with the ends replaced by the numbers given.
fn nodes(first: f64, last: f64, steps: usize, at: impl Fn(usize) -> f64) -> Result<TimeGrid, Error> {
    let mut nodes: Vec<f64> = (0..=steps).map(at).collect();
    nodes[0] = first;
    nodes[steps] = last;
    TimeGrid::from_nodes(nodes)
}

/// The grid of clocks as a grid of times of another process.
///
/// ```
/// use sde_core::{LinearVp, VariancePreserving, grid};
/// let vp = LinearVp::new(0.1, 20.0)?;
/// let times = grid::in_time_of(&vp, &grid::geometric_v(4.0, 1e-3, 10)?)?;
/// assert!((vp.clock(times.first()) - 4.0).abs() < 1e-13 && (vp.clock(times.last()) - 1e-3).abs() < 1e-16);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # Errors
/// [`Error::Domain`] where the clock of a node is beyond the end of the process.
pub fn in_time_of(process: &impl VariancePreserving, clocks: &TimeGrid) -> Result<TimeGrid, Error> {
    TimeGrid::from_times(clocks.nodes().iter().map(|node| process.time_at(node.t)).collect::<Result<_, _>>()?)
}

/// The grid of ratios σ/α as a grid of times of a process.
///
/// ```
/// use numeric::Schedule;
/// use sde_core::{LinearVp, grid};
/// let vp = LinearVp::new(0.1, 20.0)?;
/// let times = grid::at_ratios(&vp, &grid::geometric(100.0, 0.01, 10)?)?;
/// let middle = vp.level(times.node(5));
/// assert!((middle.sigma / middle.alpha - 1.0).abs() < 1e-14);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # Errors
/// [`Error::Domain`] where the process never has the ratio of a node.
pub fn at_ratios(process: &(impl LinearProcess + ?Sized), ratios: &TimeGrid) -> Result<TimeGrid, Error> {
    let times = ratios.nodes().iter().map(|node| process.time_at_ratio(node.t));
    TimeGrid::from_times(times.collect::<Result<_, _>>()?)
}

/// Equal steps of the time of a process, between its times at two ratios σ/α.
///
/// ```
/// use sde_core::{Flow, LinearProcess, grid};
/// let times = grid::uniform_in(&Flow, 1e3, 0.0, 4)?;
/// assert_eq!((times.first(), times.last().t), (Flow.time_at_ratio(1e3)?, 0.0));
/// assert!((times.node(2).t - 0.5 * times.first().t).abs() < 1e-16);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # Errors
/// [`Error::Domain`] unless 0 ≤ `min` < `max` < ∞ and `steps` > 0, or where the process never has these ratios.
pub fn uniform_in(
    process: &(impl LinearProcess + ?Sized),
    max: f64,
    min: f64,
    steps: usize,
) -> Result<TimeGrid, Error> {
    ratio::checked(max, min, steps)?;
    let (first, last) = (process.time_at_ratio(max)?, process.time_at_ratio(min)?);
    let on_the_way = |a: f64, b: f64, k: usize| {
        // Also where both are infinite.
        if a == b { a } else { a + (b - a) * (k as f64 / steps as f64) }
    };
    let mut times: Vec<Time> = (0..=steps)
        .map(|k| Time { t: on_the_way(first.t, last.t, k), to_end: on_the_way(first.to_end, last.to_end, k) })
        .collect();
    times[steps] = last;
    TimeGrid::from_times(times)
}

/// The grid of clocks or ratios with one more step, to the data themselves: to 0.
///
/// # Errors
/// [`Error::Entry`] if the last node is not greater than 0 or the grid goes towards more noise.
pub fn to_data(grid: &TimeGrid) -> Result<TimeGrid, Error> {
    TimeGrid::from_nodes(grid.nodes().iter().map(|node| node.t).chain([0.0]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CosineVp, Edm, Flow, LinearVp, Ou, SubVp, Ve};

    #[test]
    fn grids_are_carried_to_all_processes_with_exact_ends() {
        let processes: [&dyn LinearProcess; 7] = [
            &Ou,
            &LinearVp::new(0.1, 20.0).expect("valid"),
            &CosineVp::new(0.008).expect("valid"),
            &SubVp::new(0.1, 20.0).expect("valid"),
            &Ve::new(0.002, 80.0).expect("valid"),
            &Edm,
            &Flow,
        ];
        for process in processes {
            let ratio = |time: Time| {
                let level = process.level(time);
                level.sigma / level.alpha
            };
            for steps in [1, 2, 18, 1000] {
                let ratios = karras(80.0, 0.002, 7.0, steps).expect("valid");
                let times = at_ratios(&process, &ratios).expect("in reach");
                for (time, node) in times.nodes().iter().zip(ratios.nodes()) {
                    assert!((ratio(*time) / node.t - 1.0).abs() < 1e-12);
                }
                let even = uniform_in(process, 80.0, 0.002, steps).expect("in reach");
                assert_eq!((even.first(), even.last()), (times.first(), times.last()));
                let (longest, shortest) = (
                    even.lengths().into_iter().fold(0.0, f64::max),
                    even.lengths().into_iter().fold(9e9, f64::min),
                );
                assert!(longest - shortest < 1e-12);
            }
        }
        assert_eq!(
            at_ratios(&Edm, &karras(80.0, 0.002, 7.0, 9).expect("valid")).expect("all").node(4).t,
            karras(80.0, 0.002, 7.0, 9).expect("valid").node(4).t
        );
        assert!(uniform_in(&Ve::new(0.01, 50.0).expect("valid"), 40.0, 0.0, 3).is_err());
        assert!(
            at_ratios(&LinearVp::new(0.1, 20.0).expect("valid"), &geometric(1e4, 1.0, 3).expect("valid"))
                .is_err()
        );
        for (max, min, steps) in
            [(1.0, 1.0, 3), (1.0, 2.0, 3), (1.0, 0.1, 0), (f64::NAN, 0.1, 3), (1.0, -0.1, 3)]
        {
            assert!(uniform_in(&Flow, max, min, steps).is_err());
        }
    }

    #[test]
    fn one_more_step_goes_to_the_data() {
        let grid = to_data(&geometric(3.0, 0.1, 1).expect("valid")).expect("valid");
        assert_eq!(grid.nodes().iter().map(|node| node.t).collect::<Vec<_>>(), [3.0, 0.1, 0.0]);
        assert!(to_data(&grid).is_err());
        assert!(to_data(&TimeGrid::uniform(0.1, 1.0, 3).expect("valid")).is_err());
        // Of a grid of one step, carried to a process.
        let flow = at_ratios(&Flow, &TimeGrid::from_nodes(vec![7.0, 0.0]).expect("valid")).expect("valid");
        assert_eq!((flow.steps(), flow.first().t, flow.last().t), (1, 0.875, 0.0));
    }
}
