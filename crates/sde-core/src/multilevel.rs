//! Multilevel Monte Carlo: expectations from many cheap paths and few fine ones.

use std::ops::Range;

use numeric::estimate::MeanAccumulator;
use numeric::{Control, Error, Noise, Real};

use crate::{Integrator, Keep, Sde, Solver, Start};

/// What a multilevel run aims at, and how far it may go.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Multilevel {
    /// Root mean square error to reach, half of its square for the bias and half for the variance.
    pub rmse: f64,
    /// Weak order α of the method: the difference of neighbouring levels falls like `2^{−αl}`.
    pub weak_order: f64,
    /// Finest level allowed, at least 2.
    pub max_level: u32,
    /// Pairs of a level before anything is known of it; at least 2.
    pub first_rows: u64,
}

/// What was found of one level.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LevelReport {
    /// Mean of the differences fine − coarse (level 0: of the values).
    pub mean: f64,
    /// Variance of one difference.
    pub variance: f64,
    /// Pairs that were run.
    pub rows: u64,
    /// Cost of one pair, in the unit of the caller.
    pub cost: f64,
}

/// An expectation measured on a telescope of levels.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct MultilevelEstimate {
    /// The estimate: the sum of the means of all levels.
    pub mean: f64,
    /// Its standard error: sampling only.
    pub std_error: f64,
    /// Size of the bias that is left beyond the finest level, extrapolated from the last two by the weak order; an
    /// estimate, not a bound.
    pub bias: f64,
    /// Cost of all pairs, in the unit of the caller.
    pub cost: f64,
    /// The levels, coarsest first.
    pub levels: Vec<LevelReport>,
}

impl<F: Real, E: Sde<F> + Clone, I: Integrator<F> + Clone> Solver<F, E, I> {
    /// The pairs of a level for [`multilevel`]: of each row `φ(X)` at the end, with each step divided into `2^level`, and with
    /// half as many steps along the same Brownian path (0 at level 0).
    ///
    /// ```
    /// use numeric::{Control, Noise, TimeGrid};
    /// use sde_core::integrator::Milstein;
    /// use sde_core::{GeometricBrownian, Multilevel, Solver, Start, multilevel};
    /// // A call on a stock, at the money: 0.1045 by Black and Scholes, here with interest still to be taken off.
    /// let (rate, grid) = (0.05_f64, TimeGrid::uniform(0.0, 1.0, 2)?);
    /// let solver = Solver::<f64, _, _>::new(GeometricBrownian::new(1, rate, 0.2)?, Milstein, grid)?;
    /// let payoff = |x: &[f64]| (x[0] - 1.0).max(0.0);
    /// let aim = Multilevel { rmse: 1e-3, weak_order: 1.0, max_level: 10, first_rows: 1000 };
    /// let start = Start::Point(&[1.0]);
    /// let pairs = |level, rows, noise| solver.pairs(level, start, payoff, rows, noise, Control::default());
    /// let found = multilevel(aim, Noise::new(1), pairs, |level| solver.pair_cost(level))?;
    /// assert!(((-rate).exp() * found.mean - 0.104506).abs() < 4e-3);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`run`](Self::run).
    ///
    /// # Panics
    /// As [`refined`](Self::refined), for a level that is too deep.
    pub fn pairs(
        &self,
        level: u32,
        start: Start<'_, F>,
        phi: impl Fn(&[F]) -> f64,
        rows: Range<u64>,
        noise: Noise,
        control: Control<'_>,
    ) -> Result<Vec<[f64; 2]>, Error> {
        let values = |level| {
            let run = self.refined(level).run(start, Keep::Last, rows.clone(), noise, control)?;
            let states = run.states.as_slice().expect("made in standard layout");
            Ok::<Vec<f64>, Error>(states.chunks_exact(self.sde().dim()).map(&phi).collect())
        };
        let fine = values(level)?;
        let coarse = if level > 0 { values(level - 1)? } else { vec![0.0; fine.len()] };
        Ok(fine.into_iter().zip(coarse).map(|(fine, coarse)| [fine, coarse]).collect())
    }

    /// Evaluations of the drift for one of the [`pairs`](Self::pairs) of a level: of a method that iterates, as few as
    /// there can be.
    pub fn pair_cost(&self, level: u32) -> f64 {
        let parts = 2_f64.powi(level as i32) * if level > 0 { 1.5 } else { 1.0 };
        parts * (self.grid().steps() * self.integrator().calls()) as f64
    }
}

/// Multilevel Monte Carlo estimate of `E φ(X)`, to a root mean square error.
///
/// ```math
/// \mathbb{E}\,\varphi_L = \mathbb{E}\,\varphi_0 + \sum_{l=1}^{L} \mathbb{E}[\varphi_l - \varphi_{l-1}], \qquad
/// N_l = \Big\lceil \frac{2}{\varepsilon^2} \sqrt{V_l / C_l} \sum_k \sqrt{V_k C_k} \Big\rceil.
/// ```
/// `pairs(level, rows, noise)` runs the level: for each row the value on the fine grid (level `l`, say `2^l` steps per
/// step of the coarsest) and on the grid of level `l − 1` *along the same Brownian path* (0 at level 0). Paths on nested
/// grids of one tree of [`numeric::Brownian`] are coupled so. `cost(level)` is the cost of one pair. Each level has a
/// noise of its own and its rows count from 0, so that more rows continue a level and the result depends on the noise
/// only. [`Solver::pairs`] are such pairs; others can be written by hand, as below.
///
/// Prefer it to plain paths where the variance of the differences falls faster than their cost grows: it takes
/// O(ε⁻²) work for a method of strong order above ½ (O(ε⁻² ln² ε) at ½) where plain paths take O(ε⁻³).
///
/// ```
/// use numeric::{Brownian, Node, Noise, ndarray::Array2};
/// use sde_core::{Multilevel, multilevel};
/// // dX = X dW from 1 to time 1 by Euler with 2^l steps; E X² = e.
/// let euler = |level: u32, w: &dyn Fn(u64) -> f64| {
///     (0..1_u64 << level).fold(1.0, |x, k| x + x * w(k))
/// };
/// let pairs = |level: u32, rows: std::ops::Range<u64>, noise: Noise| {
///     let brownian = Brownian::new(noise, &[1.0])?;
///     Ok(rows.map(|row| {
///         let w = |level| move |index| {
///             let mut w = Array2::<f64>::zeros((1, 1));
///             brownian.increments_into(&[row], Node { cell: 0, level, index }, &mut w);
///             w[(0, 0)]
///         };
///         let value = |level| euler(level, &w(level)).powi(2);
///         [value(level), if level > 0 { value(level - 1) } else { 0.0 }]
///     }).collect())
/// };
/// let aim = Multilevel { rmse: 0.2, weak_order: 1.0, max_level: 10, first_rows: 500 };
/// let found = multilevel(aim, Noise::new(3), pairs, |level| 2_f64.powi(level as i32))?;
/// assert!((found.mean - 1_f64.exp()).abs() < 4.0 * 0.2);
/// assert!(found.std_error < 0.2 && found.levels[0].rows > found.levels[2].rows);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # Errors
/// [`Error::Domain`] for an aim, an order or a cost that is not a finite number greater than 0, or too few levels or
/// rows; [`Error::Shape`] if `pairs` returns another number of rows; [`Error::NotConverged`] if the bias at
/// `max_level` is still above `ε/√2`; the errors of `pairs`.
///
/// # References
/// Giles (2008), *Multilevel Monte Carlo path simulation*, Operations Research 56, algorithm of section 5.
pub fn multilevel(
    aim: Multilevel,
    noise: Noise,
    pairs: impl Fn(u32, Range<u64>, Noise) -> Result<Vec<[f64; 2]>, Error>,
    cost: impl Fn(u32) -> f64,
) -> Result<MultilevelEstimate, Error> {
    let Multilevel { rmse, weak_order, max_level, first_rows } = aim;
    Error::positive("rmse", rmse)?;
    Error::positive("weak_order", weak_order)?;
    Error::domain(max_level >= 2, "max_level", f64::from(max_level), "at least 2")?;
    Error::domain(first_rows >= 2, "first_rows", first_rows as f64, "at least 2")?;
    let mut levels: Vec<(MeanAccumulator, LevelReport)> = Vec::new();
    loop {
        // Three levels to begin with: two differences show the decay.
        let missing = if levels.is_empty() { 3 } else { 1 };
        for _ in 0..missing {
            let number = levels.len() as u32;
            let cost = cost(number);
            Error::positive("cost", cost)?;
            let mut level = (MeanAccumulator::new(), LevelReport { mean: 0.0, variance: 0.0, rows: 0, cost });
            extend(number, &mut level, first_rows, noise, &pairs)?;
            levels.push(level);
        }
        // More rows where they are worth most, until none are missing.
        loop {
            let total: f64 = levels.iter().map(|(_, l)| (l.variance * l.cost).sqrt()).sum();
            let wanted =
                |l: &LevelReport| (2.0 / (rmse * rmse) * (l.variance / l.cost).sqrt() * total).ceil() as u64;
            let mut added = false;
            for (number, level) in levels.iter_mut().enumerate() {
                let wanted = wanted(&level.1);
                if wanted > level.1.rows {
                    extend(number as u32, level, wanted, noise, &pairs)?;
                    added = true;
                }
            }
            if !added {
                break;
            }
        }
        let bias = remaining_bias(&levels, weak_order);
        let finest = levels.len() as u32 - 1;
        if bias <= rmse / 2_f64.sqrt() {
            let reports: Vec<LevelReport> = levels.into_iter().map(|(_, report)| report).collect();
            return Ok(MultilevelEstimate {
                mean: reports.iter().map(|l| l.mean).sum(),
                std_error: reports.iter().map(|l| l.variance / l.rows as f64).sum::<f64>().sqrt(),
                bias,
                cost: reports.iter().map(|l| l.cost * l.rows as f64).sum(),
                levels: reports,
            });
        }
        if finest == max_level {
            return Err(Error::NotConverged {
                routine: "multilevel",
                iterations: finest as usize + 1,
                residual: bias,
            });
        }
    }
}

/// Runs the rows that a level lacks of `wanted`, and reports on all it has.
fn extend(
    number: u32,
    (values, report): &mut (MeanAccumulator, LevelReport),
    wanted: u64,
    noise: Noise,
    pairs: &impl Fn(u32, Range<u64>, Noise) -> Result<Vec<[f64; 2]>, Error>,
) -> Result<(), Error> {
    let found = pairs(number, report.rows..wanted, noise.fork("multilevel").fork_index(u64::from(number)))?;
    Error::shape("pairs", &[(wanted - report.rows) as usize], &[found.len()])?;
    let differences: Vec<f64> = found.iter().map(|[fine, coarse]| fine - coarse).collect();
    values.push_values(report.rows, &differences)?;
    let moments = values.value()?;
    report.rows = wanted;
    report.mean = moments.mean();
    report.variance = moments.variance().unwrap_or(0.0);
    Ok(())
}

/// `|E[φ_L − φ_{L−1}]|/(2^α − 1)`, from the larger of the last two differences brought to the same level: one of them
/// may be small by chance.
fn remaining_bias(levels: &[(MeanAccumulator, LevelReport)], weak_order: f64) -> f64 {
    let [.., before, last] = levels else { return f64::INFINITY };
    let decay = 2_f64.powf(weak_order);
    (before.1.mean.abs() / decay).max(last.1.mean.abs()) / (decay - 1.0)
}
