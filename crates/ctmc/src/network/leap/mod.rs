//! Paths of networks by leaps over many events.

mod clock;
mod draw;
mod select;
mod smooth;
mod step;
mod walk;

use std::ops::Range;

use numeric::estimate::MeanAccumulator;
use numeric::ndarray::{Array2, Array3};
use numeric::{Batching, Control, Error, Noise, run_blocks};

pub use walk::LeapWalk;

use super::Network;
use super::ensemble::{check_start, check_times, count, joined, moments, watch};
use super::ssa::Start;

/// How often each reaction happens in a leap of length τ from a state x with the propensities $`a_r`$.
///
/// ```math
/// X_{t + \tau} = x + \sum_r \nu_r K_r .
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum LeapMethod {
    /// $`K_r \sim \mathrm{Poisson}(a_r(x)\, \tau)`$. Weak order 1.
    ///
    /// # References
    /// Gillespie (2001), *Approximate accelerated stochastic simulation of chemically reacting systems*, J. Chem. Phys. 115.
    Euler,
    /// $`K_r \sim \mathrm{Poisson}(a_r(\rho)\, \tau)`$ at the state $`\rho = x + \frac\tau2 \sum_r \nu_r a_r(x)`$, between
    /// integers linearly in each count. Weak order 2 for the means of linear networks and nearly so for all means if
    /// counts are large; order 1 for variances.
    ///
    /// # References
    /// Gillespie (2001). Anderson, Ganguly, Kurtz (2011), *Error analysis of tau-leap simulation methods*, Ann. Appl.
    /// Probab. 21.
    Midpoint,
    /// Two stages, with a parameter θ between 0 and 1: first $`K^1_r \sim \mathrm{Poisson}(a_r(x)\, \theta \tau)`$, then,
    /// with the state y that this leads to,
    ///
    /// ```math
    /// K^2_r \sim \mathrm{Poisson}\bigl([\alpha_1 a_r(y) - \alpha_2 a_r(x)]_+\, (1 - \theta) \tau\bigr), \qquad
    /// \alpha_1 = \frac{1}{2 \theta (1 - \theta)}, \quad \alpha_2 = \frac{\theta^2 + (1 - \theta)^2}{2 \theta (1 - \theta)} .
    /// ```
    ///
    /// Weak order 2 as long as no difference is negative; how many were is [counted](LeapWalk::negative_rates). Twice the work
    /// of [`Euler`](LeapMethod::Euler).
    ///
    /// # References
    /// Anderson, Koyama (2012), *Weak error analysis of numerical methods for stochastic models of population processes*,
    /// Multiscale Model. Simul. 10. Hu, Li, Min (2011), *A weak second order tau-leaping method for chemical kinetic systems*.
    Trapezoidal(f64),
    /// $`K_r = P_r + \tau\,(a_r(x') - a_r(x))`$ with $`P_r \sim \mathrm{Poisson}(a_r(x)\, \tau)`$ and the x' that
    /// this leads to, by Newton's method; each $`K_r`$ is then rounded to an integer. For stiff networks, whose fast reactions
    /// keep each other in balance: steps may be longer than their times. Weak order 1; fluctuations that are faster than the
    /// step come out too small.
    ///
    /// With an [adaptive](LeapStep::Adaptive) step the choice leaves out reactions that are in partial equilibrium with their
    /// reverse: the propensities of all reactions that change the counts as they do, and of those that undo it, differ by at most
    /// 0.05 of the smaller sum. Where this step is not more than a hundred times that of all reactions, or no reaction is left to
    /// bound it, the leap is an explicit one, with the latter.
    ///
    /// # References
    /// Rathinam, Petzold, Cao, Gillespie (2003), *Stiffness in stochastic chemically reacting systems: the implicit tau-leaping
    /// method*, J. Chem. Phys. 119. Cao, Gillespie, Petzold (2007), *Adaptive explicit-implicit tau-leaping method with automatic
    /// tau selection*, J. Chem. Phys. 126.
    Implicit,
}

/// How long leaps are.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum LeapStep {
    /// From one multiple of this length to the next.
    Fixed(f64),
    /// As long as no propensity is expected to change by more than this part of itself, usually 0.03. Reactions that could use
    /// up a species within 10 events happen one at a time. Leaps of fewer than 10 expected events are not made: then 100 events
    /// happen one by one, exactly.
    ///
    /// For propensities that are not mass action the dependence on counts is bounded by the exponent of a Hill function; that
    /// of a user's function is taken to be that of two molecules.
    ///
    /// # References
    /// Cao, Gillespie, Petzold (2006), *Efficient step size selection for the tau-leaping simulation method*, J. Chem. Phys. 124.
    Adaptive(f64),
}

/// Tau-leaping: paths of a network that are not exact, and need not visit every event.
///
/// # No count is negative, and none is clipped
/// Each reaction has a Poisson process of its own, of which a leap looks at a stretch. A leap that would make a count negative
/// is refused and tried again with half the length, on the same processes: what has been seen of them is kept, and the
/// number of events in a part of a stretch is binomial given that in the whole. So a refusal does not make the events that it
/// avoids less frequent. Where leaps get too short to be worth it events happen one by one, exactly and still on the same
/// processes.
///
/// ```
/// use ctmc::network::{Counting, LeapMethod, LeapStep, Network, Rate, Reaction, Start, TauLeaping};
/// use numeric::{Control, Noise};
/// let network = Network::new(
///     ["X"],
///     vec![
///         Reaction::new("make", [], [("X", 1)], Rate::mass_action(1000.0, Counting::Ordered)),
///         Reaction::new("lose", [("X", 1)], [], Rate::mass_action(1.0, Counting::Ordered)),
///     ],
/// )?;
/// let leaping = TauLeaping::new(&network, LeapMethod::Trapezoidal(0.5), LeapStep::Fixed(0.1))?;
/// let seen = leaping.counts_at(Start::State(&[0]), &[2.0], 0..500, Noise::new(1), Control::default())?;
/// let mean = seen.iter().map(|&n| f64::from(n)).sum::<f64>() / 500.0;
/// assert!((mean - 1000.0 * (1.0 - (-2f64).exp())).abs() < 6.0);   // 4.5 standard errors
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # Randomness
/// Row i depends on the noise and i only; its numbers come one after the other from its stream "leap". Leaps end at the times
/// that are asked for: other times make other leaps.
///
/// # References
/// Anderson (2008), *Incorporating postleap checks in tau-leaping*, J. Chem. Phys. 128.
#[derive(Clone, Copy, Debug)]
pub struct TauLeaping<'a> {
    network: &'a Network,
    method: LeapMethod,
    step: LeapStep,
    max_steps: u64,
}

impl<'a> TauLeaping<'a> {
    /// Leaping with at most 10⁹ leaps and single events of a path.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if a rate depends on time; [`Error::Domain`] if θ is not between 0 and 1, a fixed step not positive
    /// and finite, or the part of a propensity not between 0 and 1.
    pub fn new(network: &'a Network, method: LeapMethod, step: LeapStep) -> Result<TauLeaping<'a>, Error> {
        if network.is_time_dependent() {
            let reason = "a rate that depends on time";
            return Err(Error::Unsupported { method: "tau-leaping", reason });
        }
        if let LeapMethod::Trapezoidal(theta) = method {
            Error::domain(theta > 0.0 && theta < 1.0, "theta", theta, "between 0 and 1")?;
        }
        match step {
            LeapStep::Fixed(length) => Error::positive("step", length)?,
            LeapStep::Adaptive(epsilon) => {
                Error::domain(epsilon > 0.0 && epsilon < 1.0, "epsilon", epsilon, "between 0 and 1")?;
            }
        }
        Ok(TauLeaping { network, method, step, max_steps: 1_000_000_000 })
    }

    /// The same with another limit of a path's leaps and single events: one that needs more ends with [`Error::Stalled`].
    #[must_use]
    pub fn with_max_steps(mut self, max_steps: u64) -> TauLeaping<'a> {
        self.max_steps = max_steps;
        self
    }

    /// One path on its way from time 0.
    ///
    /// # Errors
    /// [`Error::Shape`] unless there is one count for each species.
    pub fn walk(&self, start: &[u32], row: u64, noise: Noise) -> Result<LeapWalk<'a>, Error> {
        Error::shape("start", &[self.network.species().len()], &[start.len()])?;
        let mut walk = LeapWalk::new(*self, noise);
        walk.restart(row, start.iter().copied());
        Ok(walk)
    }

    /// The counts of the given rows at ascending times, `(n, times, species)`.
    ///
    /// # Errors
    /// If the start has not the shape of the rows and species, or the times are negative, not finite or do not ascend; the
    /// errors of [`LeapWalk::advance`], of the lowest row that has one; [`Error::Cancelled`].
    ///
    /// # Panics
    /// If the counts do not fit into memory.
    pub fn counts_at(
        &self,
        start: Start<'_>,
        times: &[f64],
        rows: Range<u64>,
        noise: Noise,
        control: Control<'_>,
    ) -> Result<Array3<u32>, Error> {
        let shape = (count(&rows), times.len(), self.network.species().len());
        let blocks = self.look(start, times, rows, noise, control)?;
        Ok(Array3::from_shape_vec(shape, joined(blocks)).expect("counts for each row, time and species"))
    }

    /// Means and variances of the counts at ascending times, `(times, species)`.
    ///
    /// Accumulators of other rows can be merged with them, to the same bits as if all rows had been run at once.
    ///
    /// # Errors
    /// As [`counts_at`](TauLeaping::counts_at).
    pub fn moments_at(
        &self,
        start: Start<'_>,
        times: &[f64],
        rows: Range<u64>,
        noise: Noise,
        control: Control<'_>,
    ) -> Result<Array2<MeanAccumulator>, Error> {
        let shape = (times.len(), self.network.species().len());
        let first = rows.start;
        moments(shape, first, self.look(start, times, rows, noise, control)?)
    }

    /// The counts at the times, row by row, in blocks of rows.
    fn look(
        &self,
        start: Start<'_>,
        times: &[f64],
        rows: Range<u64>,
        noise: Noise,
        control: Control<'_>,
    ) -> Result<Vec<Vec<u32>>, Error> {
        check_times("times", times)?;
        check_start(start, &rows, self.network)?;
        let species = self.network.species().len();
        let first = rows.start;
        run_blocks(rows, Batching::default(), control, |block, _| {
            let mut walk = LeapWalk::new(*self, noise);
            let mut seen = Vec::with_capacity((block.end - block.start) as usize * times.len() * species);
            for row in block {
                walk.restart(row, start.row((row - first) as usize).iter().copied());
                for &time in times {
                    walk.advance_watched(time, &|steps| watch(steps, control.cancel))?;
                    seen.extend_from_slice(walk.counts());
                }
            }
            Ok(seen)
        })
    }
}
