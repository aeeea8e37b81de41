//! Grids from the measured costs of the steps of another.

use numeric::{Error, TimeGrid};

use crate::curve::noise_per_signal;

/// A grid of `steps` steps on which all steps would cost the same, from what the steps of a grid were measured to cost.
///
/// # Method
/// A step of length h in $`\log v`$ is taken to cost $`ρ h^p`$, `order` = p, with a density ρ that is constant on each step of
/// `grid`. The sum over N steps is least where the number of steps by length is proportional to $`ρ^{1/p}`$; then
/// the cost of each is the same and the sum is about $`N^{1-p} \bigl(\int ρ^{1/p}\bigr)^p`$. The order is 2 for samplers of
/// which the discretisation term falls like 1/N, 3 for the locally moment-matched one.
///
/// For methods whose costs are no function of a curve: measure them on a usual grid, plan, and measure again.
///
/// # Errors
/// [`Error::Domain`] for `steps` = 0 and an `order` that is not greater than 1 and finite; [`Error::Shape`] unless there is a
/// cost for each step; [`Error::Entry`] for one that is negative or not finite and for a grid that does not decrease to a
/// clock above 0; [`Error::Domain`] if all costs are 0.
///
/// ```
/// use bounds::curve::ScalarMixtureCurve;
/// use bounds::plan::equidistribute;
/// use bounds::terms::{Scheme, discretization, discretization_steps};
/// let curve = ScalarMixtureCurve::new(&[0.5, 0.5], &[-1.0, 1.0], &[0.01, 0.01])?;
/// let usual = numeric::TimeGrid::uniform(2.0, 0.02, 60)?;
/// let costs = discretization_steps(&Scheme::LocallyMomentMatched, &curve, &usual)?;
/// let better = equidistribute(&usual, &costs, 3.0, 60)?;
/// let cost = discretization(&Scheme::LocallyMomentMatched, &curve, &better)?;
/// assert!(cost < 0.5 * costs.iter().sum::<f64>());
/// # Ok::<(), numeric::Error>(())
/// ```
pub fn equidistribute(grid: &TimeGrid, costs: &[f64], order: f64, steps: usize) -> Result<TimeGrid, Error> {
    Error::domain(steps > 0, "steps", steps as f64, "at least 1")?;
    Error::domain(order > 1.0 && order.is_finite(), "order", order, "a finite number greater than 1")?;
    crate::curve::Clock::new(grid)?;
    Error::shape("costs", &[grid.steps()], &[costs.len()])?;
    let expected = "a finite number of at least 0";
    Error::entries("costs", costs.iter().copied(), expected, |c| c >= 0.0 && c.is_finite())?;
    // ρ^{1/p} h = (cost)^{1/p}: the part of the steps that belongs to a step.
    let mut reached = vec![0.0];
    for cost in costs {
        reached.push(reached[reached.len() - 1] + cost.powf(order.recip()));
    }
    let whole = reached[costs.len()];
    Error::positive("sum of `costs`", whole)?;
    let log_v: Vec<f64> = grid.nodes().iter().map(|node| noise_per_signal(node.t).ln()).collect();
    let at = |k: usize| {
        let aim = whole * (k as f64 / steps as f64);
        let cell = (reached.partition_point(|&r| r <= aim) - 1).min(costs.len() - 1);
        let part = (aim - reached[cell]) / (reached[cell + 1] - reached[cell]);
        0.5 * (log_v[cell] + part * (log_v[cell + 1] - log_v[cell])).exp().ln_1p()
    };
    let mut clocks: Vec<f64> = (0..=steps).map(at).collect();
    (clocks[0], clocks[steps]) = (grid.first().t, grid.last().t);
    TimeGrid::from_nodes(clocks)
}
