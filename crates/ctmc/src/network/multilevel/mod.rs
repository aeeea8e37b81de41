//! Expectations by leaps on several levels.

mod pair;

use std::ops::Range;

use numeric::estimate::MeanAccumulator;
use numeric::{Batching, Control, Error, Estimate, Noise, run_blocks};

use self::pair::{Exact, Leaps, Pair};
use super::Network;

/// Multilevel Monte Carlo for networks: an unbiased estimate of $`\mathbb E f(X_T)`$ at the cost of leaps.
///
/// With the paths $`Z_\ell`$ of tau-leaping whose steps are $`h_\ell = T/(n_0 2^\ell)`$,
///
/// ```math
/// \mathbb E f(X_T) = \mathbb E f(Z_0) + \sum_{\ell = 1}^L \mathbb E[f(Z_\ell) - f(Z_{\ell - 1})]
///   + \mathbb E[f(X_T) - f(Z_L)] .
/// ```
///
/// Each difference is estimated from pairs of paths that share as many events as they can: of a reaction with the rates a
/// and b in the two, events at rate min(a, b) happen in both, and at the rate |a − b| in the one that is faster (split
/// coupling). Variances of differences fall with the step, so that of the dear levels few pairs are needed. The last
/// level is exact, so that there is no bias, whatever the levels.
///
/// Leaps here are plain: counts of the $`Z_\ell`$ may be negative, which is why f is given `i64`s, and the rates are then
/// those of the state with 0 in their place. That changes the $`Z_\ell`$ and not what is estimated.
///
/// ```
/// use ctmc::network::{Counting, Multilevel, Network, Rate, Reaction};
/// use numeric::{Control, Noise};
/// let network = Network::new(
///     ["X"],
///     vec![
///         Reaction::new("make", [], [("X", 1)], Rate::mass_action(2000.0, Counting::Ordered)),
///         Reaction::new("lose", [("X", 1)], [], Rate::mass_action(1.0, Counting::Ordered)),
///     ],
/// )?;
/// let multilevel = Multilevel::new(&network, &[0], 1.0)?.with_levels(2, 4);
/// let found = multilevel.estimate(|n| n[0] as f64, 1.0, Noise::new(1), Control::default())?;
/// let exact = 2000.0 * (1.0 - (-1f64).exp());
/// assert!((found.estimate.mean - exact).abs() < 4.0 * found.estimate.std_error);
/// assert!(found.estimate.std_error < 1.2);
/// assert!(found.levels[4].variance < 0.2 * found.levels[1].variance);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// Anderson, Higham (2012), *Multilevel Monte Carlo for continuous time Markov chains, with applications in biochemical
/// kinetics*, Multiscale Model. Simul. 10.
#[derive(Clone, Debug)]
pub struct Multilevel<'a> {
    network: &'a Network,
    start: Vec<u32>,
    end: f64,
    /// Steps of the coarsest level.
    coarsest: u32,
    /// Number of levels above it.
    levels: u32,
    pilot: u64,
}

/// What one level contributes.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Level {
    /// The step of the finer path; `None` if that is exact.
    pub step: Option<f64>,
    /// The mean of f on the coarsest level, of the differences above it.
    pub estimate: Estimate,
    /// The variance of one row.
    pub variance: f64,
    /// The mean number of propensities that a row has evaluated.
    pub cost: f64,
}

/// An expectation, from [`Multilevel::estimate`].
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct MultilevelEstimate {
    /// The sum of the levels' means; `n` counts all rows.
    pub estimate: Estimate,
    /// The levels, the coarsest first, the exact one last.
    pub levels: Vec<Level>,
}

impl<'a> Multilevel<'a> {
    /// Of the state at time `end` from a start; with 4 steps on the coarsest level, and 5 levels of leaps above it.
    ///
    /// # Errors
    /// [`Error::Shape`] unless there is one count for each species; [`Error::Domain`] if the end is not positive and finite;
    /// [`Error::Unsupported`] if a rate depends on time.
    pub fn new(network: &'a Network, start: &[u32], end: f64) -> Result<Multilevel<'a>, Error> {
        Error::shape("start", &[network.species().len()], &[start.len()])?;
        Error::positive("end", end)?;
        if network.is_time_dependent() {
            return Err(Error::Unsupported {
                method: "multilevel leaping",
                reason: "a rate that depends on time",
            });
        }
        Ok(Multilevel { network, start: start.to_vec(), end, coarsest: 4, levels: 5, pilot: 200 })
    }

    /// The same with `coarsest` steps on the first level, at least 1, and `levels` levels of leaps above it, at most 30.
    #[must_use]
    pub fn with_levels(mut self, coarsest: u32, levels: u32) -> Multilevel<'a> {
        (self.coarsest, self.levels) = (coarsest.max(1), levels.min(30));
        self
    }

    /// The same with `pilot` rows of each level, at least 10, from which numbers of rows are chosen; usually 200.
    #[must_use]
    pub fn with_pilot(mut self, pilot: u64) -> Multilevel<'a> {
        self.pilot = pilot.max(10);
        self
    }

    /// The expectation of f at the end, to a standard error of about `std_error`.
    ///
    /// Pilot rows measure the variance $`V_\ell`$ and the cost $`C_\ell`$ of each level, and
    /// $`N_\ell = \varepsilon^{-2} \sqrt{V_\ell/C_\ell} \sum_k \sqrt{V_k C_k}`$ other rows are then run: fresh ones, since
    /// numbers of rows that depend on the rows themselves would bias the mean.
    ///
    /// # Errors
    /// If the standard error is not positive and finite; the errors of [`level`](Multilevel::level).
    pub fn estimate(
        &self,
        f: impl Fn(&[i64]) -> f64 + Sync,
        std_error: f64,
        noise: Noise,
        control: Control<'_>,
    ) -> Result<MultilevelEstimate, Error> {
        Error::positive("std_error", std_error)?;
        let all = 0..=self.levels + 1;
        let pilot: Vec<Level> = all
            .clone()
            .map(|level| self.level(level, &f, 0..self.pilot, noise, control))
            .collect::<Result<_, _>>()?;
        let root_costs: f64 = pilot.iter().map(|level| (level.variance * level.cost).sqrt()).sum();
        let mut levels = vec![];
        for (level, pilot) in all.zip(&pilot) {
            let rows = (pilot.variance / pilot.cost).sqrt() * root_costs / (std_error * std_error);
            Error::domain(
                rows < 1e15,
                "std_error",
                std_error,
                "an error that fewer than 10^15 rows can meet",
            )?;
            // At least as many as in the pilot, which may have missed a variance.
            let rows = self.pilot + (rows.ceil() as u64).max(self.pilot);
            levels.push(self.level(level, &f, self.pilot..rows, noise, control)?);
        }
        let sum = |of: fn(&Estimate) -> f64| levels.iter().map(|level| of(&level.estimate)).sum::<f64>();
        let estimate = Estimate {
            mean: sum(|e| e.mean),
            std_error: sum(|e| e.std_error * e.std_error).sqrt(),
            n: levels.iter().map(|level| level.estimate.n).sum(),
        };
        Ok(MultilevelEstimate { estimate, levels })
    }

    /// The rows of one level: 0 is the coarsest, the last but one the finest leaps, and the last exact paths paired with
    /// these.
    ///
    /// Row i depends on the noise, the level and i only; its numbers come from the stream "multilevel" of the level.
    ///
    /// # Errors
    /// [`Error::Domain`] for a level that there is not, or no rows; [`Error::Entry`] for a value of f that is not finite;
    /// [`Error::Reaction`] for a rate that is not a number, and a reaction that cannot happen on an exact path;
    /// [`Error::Stalled`] for an exact path of more than 10⁹ events; [`Error::Cancelled`].
    pub fn level(
        &self,
        level: u32,
        f: impl Fn(&[i64]) -> f64 + Sync,
        rows: Range<u64>,
        noise: Noise,
        control: Control<'_>,
    ) -> Result<Level, Error> {
        let is_exact = level == self.levels + 1;
        Error::domain(level <= self.levels + 1, "level", f64::from(level), "a level of the estimate")?;
        let noise = noise.fork("multilevel").fork_index(u64::from(level));
        let steps = |level: u32| u64::from(self.coarsest) << level;
        let first = rows.start;
        let blocks = run_blocks(rows, Batching::default(), control, |block, _| {
            let mut pair = Pair::new(self.network, &self.start);
            let (mut values, mut cost) = (vec![], 0_u64);
            for row in block {
                let mut stream = noise.row_stream(row);
                pair.restart(&self.start);
                let value = if is_exact {
                    Exact { end: self.end, steps: steps(self.levels), row }.run(&mut pair, &mut stream)?;
                    f(&pair.fine) - f(&pair.coarse)
                } else {
                    // The coarsest level has no other path beside it.
                    Leaps { end: self.end, steps: steps(level), coarse: level > 0 }
                        .run(&mut pair, &mut stream)?;
                    if level > 0 { f(&pair.fine) - f(&pair.coarse) } else { f(&pair.fine) }
                };
                values.push(value);
                cost += pair.evaluations;
            }
            Ok((values, cost))
        })?;
        let (values, costs): (Vec<Vec<f64>>, Vec<u64>) = blocks.into_iter().unzip();
        let moments = MeanAccumulator::from_values(first, &values.concat())?;
        let estimate = moments.estimate()?;
        Ok(Level {
            step: (!is_exact).then(|| self.end / steps(level) as f64),
            estimate,
            variance: moments.value()?.variance().unwrap_or(0.0),
            cost: costs.iter().sum::<u64>() as f64 / estimate.n as f64,
        })
    }
}
