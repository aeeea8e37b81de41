//! Planners: how many steps, where, from what noise, by which sampler.
//!
//! | I know | I want | use |
//! |---|---|---|
//! | the error curve, or a table of it | the best grid of N steps, and the best horizon | [`optimal_grid`] |
//! | the same | the fewest steps for a target in nats | [`fewest_steps`] |
//! | the same, and how far from the data is near enough | where to start and to stop, and the fewest steps | [`split`] |
//! | the same | the cost for every number of steps | [`frontier`] |
//! | the same | the best sampler at this budget | [`rank`] |
//! | dimension and second moment only | horizon, steps and grid with a guarantee | [`plan_for_any_data`] |
//! | how far the samples may be from the data | where to stop | [`early_stop`] |
//! | a mixture in many dimensions | its error curve, direction by direction | `mixture_curve` (feature `sde`) |
//! | what each step of a grid was measured to cost | a better grid | [`equidistribute`] |
//!
//! The [discretisation term](crate::terms) is a sum over the steps of a grid, so that the best grid on the nodes of a
//! mesh is a shortest path: dynamic programming finds it, globally. Newton's method then moves its nodes off the mesh to
//! where the sum is stationary.
//!
//! What is planned is a bound — path or chain KL — of the error, not the error itself, which is smaller by orders of
//! magnitude on fine grids.
//!
//! ```
//! use bounds::curve::ScalarMixtureCurve;
//! use bounds::plan::{Start, optimal_grid};
//! use bounds::terms::{Scheme, discretization};
//! use numeric::TimeGrid;
//! // Uniform in log v from clock 3 to 0.02: 300 places where a step may end.
//! let log_v = |tau: f64| (2.0 * tau).exp_m1().ln();
//! let at = |k: usize| log_v(3.0) + (log_v(0.02) - log_v(3.0)) * (k as f64 / 300.0);
//! let mesh = TimeGrid::from_nodes((0..=300).map(|k| 0.5 * at(k).exp().ln_1p()).collect())?;
//! let curve = ScalarMixtureCurve::new(&[0.3, 0.7], &[-1.5, 1.0], &[0.09, 0.09])?;
//! let plan = optimal_grid(&Scheme::FrozenDenoiser, &curve, &mesh, Start::Fixed, 30)?;
//! let equal = TimeGrid::from_nodes(mesh.nodes().iter().step_by(10).map(|node| node.t).collect())?;
//! let usual = discretization(&Scheme::FrozenDenoiser, &curve, &equal)?;
//! assert!((usual - 0.1420).abs() < 1e-3 && plan.discretization < 0.85 * usual);
//! # Ok::<(), numeric::Error>(())
//! ```

mod any_data;
mod density;
mod mesh;
#[cfg(feature = "sde")]
mod mixture;
mod polish;
mod search;

pub use any_data::{AnyDataPlan, early_stop, plan_for_any_data};
pub use density::equidistribute;
#[cfg(feature = "sde")]
pub use mixture::mixture_curve;

use numeric::{Error, TimeGrid};

use crate::curve::ErrorCurve;
use crate::terms::{Scheme, discretization};
use mesh::Mesh;
use search::Chains;

/// Where a planned run starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Start {
    /// At the first node of the mesh. The initialisation term does not depend on the grid and is left out of the search.
    Fixed,
    /// At the node that makes initialisation and discretisation together least: the longer the run, the smaller the first
    /// and the larger the second.
    Free,
}

/// A grid and what it costs.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Plan {
    /// From noise to data, in the Ornstein–Uhlenbeck clock.
    pub grid: TimeGrid,
    /// $`\mathrm{KL}(q_T \,\|\, γ)`$ of the curve, in nats.
    pub initialization: f64,
    /// [`discretization`] of the grid, in nats.
    pub discretization: f64,
    /// What was minimised (with the initialisation if the start was free) before the nodes left the mesh: the least of all
    /// grids on it.
    pub on_mesh: f64,
    /// What a further step of Newton's method would gain beyond rounding, relative to what was minimised.
    pub residual: f64,
}

impl Plan {
    /// Initialisation and discretisation together, in nats: a bound of $`\mathrm{KL}(q_δ \,\|\, p_N)`$ for the exact score.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.initialization + self.discretization
    }
}

/// The grid of `steps` steps with the least discretisation term.
///
/// # Method
/// Globally optimal among the grids on the nodes of `mesh`, which ends where the run is to stop, by dynamic programming;
/// then polished by Newton's method to a stationary point of the exact term in all nodes, which on a fine mesh is the
/// optimum. With N steps on M nodes of the mesh the search takes O((N + M) M) operations where the costs are Monge —
/// proved for the curves of laws and all schemes but S, R and EM, tried for these — and O(N M²) where not.
///
/// # Convergence
/// Finer meshes improve the start of the polishing by second order; a few nodes for each step are enough. The cost falls
/// like $`\frac1{4N} \bigl(\int \sqrt{ρ}\bigr)^2`$ with the density ρ of the scheme (for D $`-\frac{d}{dη}\mathrm{mmse}`$ in η) and
/// like $`1/N^2`$ for L.
///
/// # Complexity
/// The curve is evaluated at each node of the mesh once, for L at each pair that is tried, and about nine times for each
/// step in each of Newton's iterations: make a table ([`TabulatedCurve`](crate::curve::TabulatedCurve)) of one that is
/// slow. Memory: 4 bytes for each pair of a node and a number of steps up to N.
///
/// # Errors
/// [`Error::Domain`] for `steps` = 0 or more than the mesh has, and a mesh below the
/// [least clock](ErrorCurve::least_clock) of the curve; [`Error::NotConverged`] if the polishing would still gain more
/// than a millionth; those of [`discretization`].
///
/// ```
/// use bounds::curve::GaussianCurve;
/// use bounds::plan::{Start, optimal_grid};
/// use bounds::terms::Scheme;
/// // A point mass in the variance clock: equal ratios of v are best.
/// let mesh = numeric::TimeGrid::uniform(2.0, 0.1, 60)?;
/// let point = GaussianCurve::new(vec![0.0], 0.0)?;
/// let plan = optimal_grid(&Scheme::FrozenScore, &point, &mesh, Start::Fixed, 3)?;
/// let v: Vec<f64> = plan.grid.nodes().iter().map(|node| (2.0 * node.t).exp_m1()).collect();
/// assert!((v[1] / v[0] / (v[2] / v[1]) - 1.0).abs() < 1e-6 && (v[2] / v[1] / (v[3] / v[2]) - 1.0).abs() < 1e-6);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// Yao (1980), *Efficient dynamic programming using quadrangle inequalities*, STOC: the search. Optimal grids by dynamic
/// programming for the evidence bound of a trained model: Watson, Ho, Norouzi, Chan (2021), *Learning to efficiently
/// sample from diffusion probabilistic models*, arXiv 2106.03802; here the costs are exact functions of the curve.
pub fn optimal_grid(
    scheme: &Scheme,
    curve: &dyn ErrorCurve,
    mesh: &TimeGrid,
    start: Start,
    steps: usize,
) -> Result<Plan, Error> {
    let most = mesh.steps();
    Error::domain(
        steps > 0 && steps <= most,
        "steps",
        steps as f64,
        "at least 1 and at most those of the mesh",
    )?;
    let chains = search(scheme, curve, mesh, start, steps, |_| false)?;
    finish(scheme, curve, mesh, start, &chains, steps)
}

/// The grid with the fewest steps whose bound is at most `nats`: initialisation and discretisation together.
///
/// As [`optimal_grid`], for one number of steps after the other: the fewest on the mesh, and then fewer while they are
/// enough when polished.
///
/// # Errors
/// [`Error::Domain`] for `nats` that no grid on the mesh reaches; those of [`optimal_grid`].
///
/// ```
/// use bounds::curve::GaussianCurve;
/// use bounds::plan::{Start, fewest_steps, optimal_grid};
/// use bounds::terms::Scheme;
/// let mesh = numeric::TimeGrid::uniform(4.0, 0.1, 300)?;
/// let curve = GaussianCurve::new(vec![0.5, 2.0], 0.0)?;
/// let plan = fewest_steps(&Scheme::FrozenDenoiser, &curve, &mesh, Start::Free, 0.05)?;
/// assert!(plan.total() <= 0.05);
/// let less = optimal_grid(&Scheme::FrozenDenoiser, &curve, &mesh, Start::Free, plan.grid.steps() - 1)?;
/// assert!(less.total() > 0.05);
/// # Ok::<(), numeric::Error>(())
/// ```
pub fn fewest_steps(
    scheme: &Scheme,
    curve: &dyn ErrorCurve,
    mesh: &TimeGrid,
    start: Start,
    nats: f64,
) -> Result<Plan, Error> {
    Error::positive("nats", nats)?;
    let at_start = if start == Start::Fixed { curve.relative_entropy(mesh.first().t) } else { 0.0 };
    let chains = search(scheme, curve, mesh, start, mesh.steps(), |cost| cost + at_start <= nats)?;
    let reached = chains.best.len();
    let found = chains.best[reached - 1].0 + at_start;
    Error::domain(found <= nats, "nats", nats, UNREACHED)?;
    // What the search adds up is rounded; the plan's own terms decide.
    let mut plan = finish(scheme, curve, mesh, start, &chains, reached)?;
    if plan.total() > nats {
        for steps in reached + 1..=mesh.steps() {
            plan = optimal_grid(scheme, curve, mesh, start, steps)?;
            if plan.total() <= nats {
                return Ok(plan);
            }
        }
        return Err(Error::Domain { parameter: "nats", value: nats, expected: UNREACHED });
    }
    for steps in (1..reached).rev() {
        match finish(scheme, curve, mesh, start, &chains, steps) {
            Ok(fewer) if fewer.total() <= nats => plan = fewer,
            Ok(_) | Err(Error::NotConverged { .. }) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(plan)
}

/// Where to stop, where to start and which steps to take: the fewest for two promises at once.
///
/// The run stops at the latest clock δ at which $`W_2(q_0, q_δ) \le`$ `w2` is certain ([`early_stop`]), and the start and the
/// steps are those of [`fewest_steps`] for $`\mathrm{KL}(q_δ \,\|\, p_N) \le`$ `nats`, searched on `nodes` steps of a mesh uniform in
/// log v that begins where the initialisation is surely below a hundredth of `nats`. The two distances are of different kinds
/// and are not added.
///
/// # Errors
/// Those of [`early_stop`] and [`fewest_steps`]: `nats` that need more steps than `nodes`, a δ below the
/// [least clock](ErrorCurve::least_clock) of the curve.
///
/// ```
/// use bounds::curve::GaussianCurve;
/// use bounds::plan::split;
/// use bounds::terms::Scheme;
/// let curve = GaussianCurve::new(vec![0.01, 4.0], 0.0)?;
/// let plan = split(&Scheme::FrozenDenoiser, &curve, 0.2, 0.3, 400)?;
/// assert!(plan.total() <= 0.3);
/// let (lost, noise) = (1.0 - (-plan.grid.last().t).exp(), 1.0 - (-2.0 * plan.grid.last().t).exp());
/// assert!((lost * lost * 4.01 + 2.0 * noise - 0.04).abs() < 1e-12); // W2² of stopping early
/// // To come nearer to the data takes more steps.
/// let nearer = split(&Scheme::FrozenDenoiser, &curve, 0.05, 0.3, 400)?;
/// assert!(nearer.grid.steps() > plan.grid.steps());
/// # Ok::<(), numeric::Error>(())
/// ```
pub fn split(
    scheme: &Scheme,
    curve: &dyn ErrorCurve,
    w2: f64,
    nats: f64,
    nodes: usize,
) -> Result<Plan, Error> {
    Error::positive("nats", nats)?;
    let ok = nodes > 0 && nodes <= 1 << 20;
    Error::domain(ok, "nodes", nodes as f64, "at least 1 and at most 2^20")?;
    let (d, moment) = (curve.dim() as f64, curve.second_moment());
    let stop = early_stop(curve.dim(), moment, w2)?;
    let longest = (0.5 * ((moment + d) / (0.02 * nats)).ln()).max(stop + 1.0);
    fewest_steps(scheme, curve, &any_data::log_uniform(longest, stop, nodes)?, Start::Free, nats)
}

/// The least cost on the mesh for 1, 2, … `most_steps` steps, in nats: what [`optimal_grid`] would start from for each. With
/// a free start the initialisation is counted in.
///
/// # Errors
/// Those of [`optimal_grid`].
///
/// ```
/// use bounds::curve::GaussianCurve;
/// use bounds::plan::{Start, frontier};
/// use bounds::terms::Scheme;
/// let mesh = numeric::TimeGrid::uniform(2.0, 0.1, 50)?;
/// let curve = GaussianCurve::new(vec![0.5, 2.0], 0.0)?;
/// let costs = frontier(&Scheme::FrozenScore, &curve, &mesh, Start::Fixed, 20)?;
/// assert!(costs.windows(2).all(|pair| pair[1] < pair[0]));
/// # Ok::<(), numeric::Error>(())
/// ```
pub fn frontier(
    scheme: &Scheme,
    curve: &dyn ErrorCurve,
    mesh: &TimeGrid,
    start: Start,
    most_steps: usize,
) -> Result<Vec<f64>, Error> {
    let ok = most_steps > 0 && most_steps <= mesh.steps();
    Error::domain(ok, "most_steps", most_steps as f64, "at least 1 and at most those of the mesh")?;
    Ok(search(scheme, curve, mesh, start, most_steps, |_| false)?.best.iter().map(|b| b.0).collect())
}

/// The plans of several schemes for the same number of steps, the best first.
///
/// # Errors
/// Those of [`optimal_grid`], [`Error::Unsupported`] for a scheme of which the curve does not know enough.
///
/// ```
/// use bounds::curve::GaussianCurve;
/// use bounds::plan::{Start, rank};
/// use bounds::terms::Scheme;
/// let mesh = numeric::TimeGrid::uniform(4.0, 0.05, 200)?;
/// let curve = GaussianCurve::new(vec![0.25, 4.0], 0.0)?;
/// let schemes = [Scheme::ExponentialIntegrator, Scheme::FrozenDenoiser, Scheme::MomentMatched(vec![0.25, 4.0])];
/// let ranked = rank(&schemes, &curve, &mesh, Start::Fixed, 20)?;
/// assert_eq!(ranked[0].0, schemes[2]);                       // exact for Gaussian data
/// assert!(ranked[0].1.discretization < 1e-12);
/// # Ok::<(), numeric::Error>(())
/// ```
pub fn rank(
    schemes: &[Scheme],
    curve: &dyn ErrorCurve,
    mesh: &TimeGrid,
    start: Start,
    steps: usize,
) -> Result<Vec<(Scheme, Plan)>, Error> {
    let plan = |scheme: &Scheme| Ok((scheme.clone(), optimal_grid(scheme, curve, mesh, start, steps)?));
    let mut plans = schemes.iter().map(plan).collect::<Result<Vec<_>, Error>>()?;
    plans.sort_by(|a, b| a.1.total().total_cmp(&b.1.total()));
    Ok(plans)
}

/// What was expected of a target.
const UNREACHED: &str = "a target that a grid on the mesh reaches";

/// The cheapest chains on the mesh.
fn search(
    scheme: &Scheme,
    curve: &dyn ErrorCurve,
    mesh: &TimeGrid,
    start: Start,
    most_steps: usize,
    enough: impl Fn(f64) -> bool,
) -> Result<Chains, Error> {
    let costs = Mesh::new(scheme, curve, mesh)?;
    let at_start = |i: usize| match start {
        Start::Fixed if i == 0 => 0.0,
        Start::Fixed => f64::INFINITY,
        Start::Free => curve.relative_entropy(costs.clocks[i]),
    };
    let starts: Vec<f64> = (0..costs.clocks.len()).map(at_start).collect();
    let cost = |i, j| costs.cost(i, j);
    Ok(Chains::new(costs.clocks.len(), most_steps, costs.is_monge(), cost, |i| starts[i], enough))
}

/// The polished plan of so many steps.
fn finish(
    scheme: &Scheme,
    curve: &dyn ErrorCurve,
    mesh: &TimeGrid,
    start: Start,
    chains: &Chains,
    steps: usize,
) -> Result<Plan, Error> {
    /// Gain of a further iteration, relative to the cost, above which the search for a stationary point has failed.
    const TOLERANCE: f64 = 1e-6;
    let chain: Vec<f64> = chains.chain(steps).iter().map(|&i| mesh.node(i).t).collect();
    // A free start at the end of the mesh is pressed against it.
    let free = start == Start::Free && chain[0] < mesh.first().t;
    let polished = polish::polish(scheme, curve, &chain, free, mesh.first().t)?;
    if !(polished.residual <= TOLERANCE) {
        let (routine, residual) = ("polishing of a grid", polished.residual);
        return Err(Error::NotConverged { routine, iterations: polished.iterations, residual });
    }
    let grid = TimeGrid::from_nodes(polished.clocks)?;
    Ok(Plan {
        initialization: curve.relative_entropy(grid.first().t),
        discretization: discretization(scheme, curve, &grid)?,
        grid,
        on_mesh: chains.best[steps - 1].0,
        residual: polished.residual,
    })
}
