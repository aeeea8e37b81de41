//! The grids that are compared.

use std::cell::RefCell;
use std::collections::BTreeMap;

use bounds::plan::{Start, equidistribute, mixture_curve, optimal_grid};
use bounds::terms::Scheme;
use bounds::{Paths, chain_kl_steps};
use numeric::{Control, Error, Noise, Schedule, TimeGrid};
use sde_core::grid::{self, Spacing};
use sde_core::{
    DiscreteVp, Flow, LinearProcess, LinearVp, LocallyMomentMatched, Mixture, MomentMatched, Ou,
    VariancePreserving,
};

use crate::{LEAST_NOISE, MOST_NOISE};

type OfSteps = Box<dyn Fn(usize) -> Result<TimeGrid, Error>>;

/// A family of grids, from the most noise to the least.
pub(crate) struct Grid {
    pub(crate) name: &'static str,
    /// Head of its column.
    pub(crate) head: &'static str,
    /// Where it comes from.
    pub(crate) of: &'static str,
    of_steps: OfSteps,
}

impl Grid {
    /// The grid of so many steps, in clocks.
    pub(crate) fn nodes(&self, steps: usize) -> Result<TimeGrid, Error> {
        (self.of_steps)(steps)
    }
}

/// Nodes of the mesh that grids are planned on, those of them where the error curve is measured, and paths behind it.
const MESH: usize = 1_000;
const MEASURED: usize = 160;
const PATHS: u64 = 512;
/// Steps of the grid of which the costs are measured, to move its nodes.
const COSTED: usize = 48;
/// Steps of the chain that spacings choose from.
const CHAIN: usize = 1_000;
/// Nodes by hand: which part of the steps comes before which ratio. Three of five steps are where paths choose their
/// Gaussian, between the size of the ring and that of a Gaussian.
const BY_HAND: [(f64, f64); 4] = [(0.0, MOST_NOISE), (0.2, 2.5), (0.8, 0.1), (1.0, LEAST_NOISE)];

/// All grids; the first one is that of the comparison of methods.
pub(crate) fn grids(target: &Mixture, noise: Noise) -> Result<Vec<Grid>, Error> {
    let mut all = Vec::new();
    let mut add = |name, head, of, of_steps: OfSteps| all.push(Grid { name, head, of, of_steps });
    let (most, least) = (MOST_NOISE, LEAST_NOISE);
    let (from, to) = (Ou.time_at_ratio(most)?.t, Ou.time_at_ratio(least)?.t);

    let of = "grid::geometric; grid::geometric_v has the same nodes";
    add("geometric", "geom.", of, Box::new(move |n| at_ratios(grid::geometric(most, least, n))));
    let poly = |rho| -> OfSteps { Box::new(move |n| at_ratios(grid::polyexponential(most, least, rho, n))) };
    add("polyexponential, ρ = 0.7", "poly 0.7", "grid::polyexponential", poly(0.7));
    add("polyexponential, ρ = 1.5", "poly 1.5", "grid::polyexponential", poly(1.5));
    let karras = |rho| -> OfSteps { Box::new(move |n| at_ratios(grid::karras(most, least, rho, n))) };
    add("Karras, ρ = 7", "Karras 7", "grid::karras", karras(7.0));
    add("Karras, ρ = 3", "Karras 3", "grid::karras", karras(3.0));
    add("cosine", "cosine", "grid::cosine", Box::new(move |n| at_ratios(grid::cosine(most, least, n))));
    add("two phases", "2 phases", "grid::two_phase", Box::new(move |n| grid::two_phase(from, to, n)));
    add("uniform clock", "clock", "grid::uniform", Box::new(move |n| grid::uniform(from, to, n)));
    let vp = LinearVp::new(0.1, 20.0)?;
    let of = "grid::uniform_in, LinearVp with β from 0.1 to 20";
    add("uniform time, linear β", "linear β", of, Box::new(move |n| uniform_time(&vp, n)));
    add("uniform time, flow", "flow", "grid::uniform_in, Flow", Box::new(|n| uniform_time(&Flow, n)));
    let spaced = |spacing| -> Result<OfSteps, Error> {
        let chain = chain()?;
        Ok(Box::new(move |n| of_chain(&chain, spacing, n)))
    };
    add("leading", "leading", "grid::Spacing::Leading, offset 0", spaced(Spacing::Leading { offset: 0 })?);
    add("linspace", "linspace", "grid::Spacing::Linspace", spaced(Spacing::Linspace)?);
    add("trailing", "trailing", "grid::Spacing::Trailing", spaced(Spacing::Trailing)?);
    let of = "bounds::plan::optimal_grid, scheme D (DDPM)";
    add("optimal for DDPM", "optimal", of, optimal(target, noise.fork("curve"), (from, to))?);
    let of = "bounds::plan::equidistribute, measured costs of scheme L (locally moment-matched)";
    add("moved, costs of L", "moved", of, moved(target, noise.fork("costs"))?);
    add("by hand", "by hand", "TimeGrid::from_nodes", Box::new(by_hand));
    Ok(all)
}

fn at_ratios(ratios: Result<TimeGrid, Error>) -> Result<TimeGrid, Error> {
    grid::at_ratios(&Ou, &ratios?)
}

/// Equal steps of the time of another process.
fn uniform_time(process: &impl LinearProcess, steps: usize) -> Result<TimeGrid, Error> {
    let times = grid::uniform_in(process, MOST_NOISE, LEAST_NOISE, steps)?;
    let ratio = |&time| {
        let level = process.level(time);
        level.sigma / level.alpha
    };
    at_ratios(TimeGrid::from_nodes(times.nodes().iter().map(ratio).collect()))
}

/// A chain like that of DDPM, with the noise of the ends of the runs in its first and last step.
fn chain() -> Result<DiscreteVp, Error> {
    let process = LinearVp::new(0.1, 20.0)?;
    let times = grid::uniform_in(&process, MOST_NOISE, LEAST_NOISE, CHAIN - 1)?;
    let alpha_bars: Vec<f64> =
        times.nodes().iter().rev().map(|&time| process.level(time).alpha.powi(2)).collect();
    DiscreteVp::from_alpha_bars(&alpha_bars)
}

/// The steps of the chain that a spacing visits. Runs end at the noise of index 0, which takes the place of the data:
/// a spacing that visits it has one index more than there are steps.
///
/// `Leading` begins with less noise than the runs: its runs take their starts for ones of its own first level, as is
/// done with networks.
fn of_chain(chain: &DiscreteVp, spacing: Spacing, steps: usize) -> Result<TimeGrid, Error> {
    let visited = if spacing == Spacing::Trailing { steps } else { steps + 1 };
    let mut indices = spacing.indices(CHAIN, visited)?;
    if indices.last() != Some(&0) {
        indices.push(0);
    }
    let clock = |index| Ok(chain.clock(chain.time_of_index(index)?));
    TimeGrid::from_nodes(indices.into_iter().map(clock).collect::<Result<_, Error>>()?)
}

/// The grids with the least bound for DDPM, by the measured error curve; each is planned once.
fn optimal(target: &Mixture, noise: Noise, (from, to): (f64, f64)) -> Result<OfSteps, Error> {
    let directions = MomentMatched::<f64>::new(&target.covariance())?.principal_directions();
    let paths = Paths { count: PATHS, noise };
    let measured = grid::geometric_v(from, to, MEASURED)?;
    let curve = mixture_curve(target, &directions, &measured, paths, Control::default())?;
    let mesh = grid::geometric_v(from, to, MESH)?;
    let planned: RefCell<BTreeMap<usize, TimeGrid>> = RefCell::default();
    Ok(Box::new(move |steps| {
        if let Some(grid) = planned.borrow().get(&steps) {
            return Ok(grid.clone());
        }
        let grid = optimal_grid(&Scheme::FrozenDenoiser, &curve, &mesh, Start::Fixed, steps)?.grid;
        planned.borrow_mut().insert(steps, grid.clone());
        Ok(grid)
    }))
}

/// The geometric grid moved to where all steps of the locally moment-matched method cost the same, as they were measured.
fn moved(target: &Mixture, noise: Noise) -> Result<OfSteps, Error> {
    let grid = at_ratios(grid::geometric(MOST_NOISE, LEAST_NOISE, COSTED))?;
    let model = target.denoiser::<f64, _>(Ou);
    let paths = Paths { count: PATHS, noise };
    let costs = chain_kl_steps(target, &Ou, &model, &LocallyMomentMatched, &grid, paths, Control::default())?;
    // A cost that is all but nothing may be measured below it.
    let costs: Vec<f64> = costs.iter().map(|cost| cost.mean.max(0.0)).collect();
    Ok(Box::new(move |steps| equidistribute(&grid, &costs, 3.0, steps)))
}

/// [`BY_HAND`], with equal steps of the logarithm of the ratio between.
fn by_hand(steps: usize) -> Result<TimeGrid, Error> {
    let ratio = |k: usize| {
        let part = k as f64 / steps as f64;
        let next = BY_HAND.iter().position(|&(end, _)| part <= end).unwrap_or(BY_HAND.len() - 1).max(1);
        let ((start, high), (end, low)) = (BY_HAND[next - 1], BY_HAND[next]);
        high * (low / high).powf((part - start) / (end - start))
    };
    at_ratios(TimeGrid::from_nodes((0..=steps).map(ratio).collect()))
}
