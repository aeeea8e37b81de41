//! Runs of methods on grids, and what is measured of them.

use bounds::divergence::SlicedReference;
use girsanov::ndarray::{Array2, s};
use indicatif::ProgressBar;
use numeric::{Control, Error, Estimate, Noise, TimeGrid};
use sde_core::{AdaptiveDpmSolver, Keep, Method, Mixture, Ou, Sampler, Start, Tolerance};

use crate::grids::Grid;
use crate::methods::{Candidate, Family, RingModel, Stepping};
use crate::report::{Measured, Outcome, Row};

/// Largest and least relative tolerance of adaptive methods, halvings of their logarithms, and rows that are tried.
const TOLERANCES: (f64, f64) = (10.0, 1e-12);
const HALVINGS: usize = 14;
const PILOT: usize = 500;
/// The absolute tolerance is to the relative one as with the authors of DPM-Solver.
const ABSOLUTE: f64 = 0.0078 / 0.05;

/// What all runs share.
pub(crate) struct Study {
    pub(crate) target: Mixture,
    pub(crate) noise: Noise,
    pub(crate) starts: Array2<f64>,
    /// Where the probability flow takes the starts.
    pub(crate) ends: Array2<f64>,
    pub(crate) reference: SlicedReference<f64>,
    pub(crate) bar: ProgressBar,
    pub(crate) rows: Vec<Row>,
}

/// The ends of a run and what they took, in the mean over the rows; or why there is none.
type Attempt = Result<Ends, String>;

struct Ends {
    x: Array2<f64>,
    steps: f64,
    calls: f64,
    tolerance: Option<f64>,
}

impl Study {
    /// Draws with as many steps as the budget of model calls allows, and measures.
    pub(crate) fn measure(
        &mut self,
        candidate: &Candidate,
        grid: &Grid,
        first_grid: bool,
        budget: usize,
    ) -> Result<(), Error> {
        self.bar.set_message(format!("{budget} calls, {}", candidate.name));
        let attempt = match &candidate.stepping {
            Stepping::Fixed(method) => self.fixed(method, grid, budget)?,
            Stepping::Adaptive(order) if first_grid => self.adaptive(*order, grid, budget)?,
            Stepping::Adaptive(_) => Err("it finds its own steps: only the ends of a grid matter".to_owned()),
        };
        let deterministic = candidate.family != Family::Stochastic;
        let outcome = match attempt {
            Err(skipped) => Outcome::Skipped { skipped },
            Ok(Ends { x, steps, calls, tolerance }) => Outcome::Measured(Measured {
                steps,
                calls,
                tolerance,
                rms_to_flow: deterministic.then(|| rms(&x, &self.ends)),
                sliced_w1: self.reference.w1(&x)?,
            }),
        };
        let Candidate { name: method, family, drawn, .. } = *candidate;
        self.rows.push(Row { method, family, drawn, deterministic, grid: grid.name, budget, outcome });
        self.bar.inc(budget as u64);
        Ok(())
    }

    fn model(&self) -> RingModel {
        self.target.denoiser(Ou)
    }

    /// The run of the most steps that the budget and the grid allow.
    fn fixed(
        &self,
        method: &dyn Method<f64, RingModel>,
        grid: &Grid,
        budget: usize,
    ) -> Result<Attempt, Error> {
        for steps in (1..=budget / method.calls()).rev() {
            let nodes = match grid.nodes(steps) {
                // Fewer may do: two phases, for one, have an even number of steps.
                Err(Error::Domain { parameter: "steps", .. }) => continue,
                Err(failed @ Error::NotConverged { .. }) => return Ok(Err(failed.to_string())),
                nodes => nodes?,
            };
            let sampler = Sampler::new(self.model(), method, nodes)?;
            let calls = sampler.model_calls::<f64>();
            if calls > budget {
                continue;
            }
            let rows = 0..self.starts.nrows() as u64;
            let start = Start::Rows(&self.starts);
            return match sampler.run(start, Keep::Last, rows, self.noise, Control::default()) {
                Ok(run) => {
                    let (steps, calls) = (steps as f64, calls as f64);
                    Ok(Ok(Ends { x: last(run.states), steps, calls, tolerance: None }))
                }
                Err(refused @ (Error::NotFinite { .. } | Error::Unsupported { .. })) => {
                    Ok(Err(refused.to_string()))
                }
                Err(error) => Err(error),
            };
        }
        Ok(Err(format!("this grid has no number of steps for which {budget} calls are enough")))
    }

    /// The run with the least tolerance for which the calls are within the budget, in the mean over the rows.
    fn adaptive(&self, order: usize, grid: &Grid, budget: usize) -> Result<Attempt, Error> {
        let ends = grid.nodes(1)?;
        let pilot = self.starts.slice(s![..PILOT.min(self.starts.nrows()), ..]).to_owned();
        let fits = |ends: &Ends| ends.calls <= budget as f64;
        let (mut tolerance, mut too_small) = TOLERANCES;
        let coarsest = self.with_tolerance(order, &ends, tolerance, &pilot)?;
        if !fits(&coarsest) {
            let calls = coarsest.calls;
            return Ok(Err(format!("with a relative tolerance of {tolerance} it takes {calls:.1} calls")));
        }
        for _ in 0..HALVINGS {
            let middle = (tolerance * too_small).sqrt();
            let enough = fits(&self.with_tolerance(order, &ends, middle, &pilot)?);
            *(if enough { &mut tolerance } else { &mut too_small }) = middle;
        }
        // The other rows may take a little more than those that were tried.
        loop {
            let run = self.with_tolerance(order, &ends, tolerance, &self.starts)?;
            if fits(&run) {
                return Ok(Ok(run));
            }
            tolerance *= 1.02;
        }
    }

    fn with_tolerance(
        &self,
        order: usize,
        ends: &TimeGrid,
        relative: f64,
        starts: &Array2<f64>,
    ) -> Result<Ends, Error> {
        let n = starts.nrows() as u64;
        let tolerance = Tolerance { relative, absolute: ABSOLUTE * relative };
        let solver = AdaptiveDpmSolver::new(self.model(), order, tolerance, ends.clone())?;
        let run = solver.run(Start::Rows(starts), Keep::Last, 0..n, self.noise, Control::default())?;
        let [steps, calls] =
            [run.statistics.accepted, run.statistics.calls].map(|count| count as f64 / n as f64);
        Ok(Ends { x: last(run.states), steps, calls, tolerance: Some(relative) })
    }
}

/// The one state that was kept of each row.
fn last(states: girsanov::ndarray::Array3<f64>) -> Array2<f64> {
    let (n, _, d) = states.dim();
    states.into_shape_with_order((n, d)).expect("one state for each row")
}

/// Root mean square of the distances between rows, with its standard error.
fn rms(x: &Array2<f64>, y: &Array2<f64>) -> Estimate {
    let squares: Vec<f64> = (x - y).rows().into_iter().map(|gap| gap.dot(&gap)).collect();
    let n = squares.len() as f64;
    let mean = squares.iter().sum::<f64>() / n;
    let variance = squares.iter().map(|square| (square - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let root = mean.sqrt();
    let std_error = if root > 0.0 { 0.5 * (variance / n).sqrt() / root } else { 0.0 };
    Estimate { mean: root, std_error, n: squares.len() as u64 }
}
