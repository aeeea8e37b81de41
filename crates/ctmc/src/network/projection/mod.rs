//! The master equation of a network on a growing set of states.

mod law;
mod set;

pub use law::CountLaw;

use numeric::Error;

use self::set::{Flow, Set};
use super::Network;
use crate::kernel::check_time;
use crate::uniformization::Poisson;

/// Mean number of jumps of the uniformized chain in one piece of time.
const JUMPS: f64 = 256.0;

/// How often a piece of time is tried with more states.
const MOST_TRIALS: usize = 60;

/// Finite state projection: the laws of a network at given times, with a certified error.
///
/// The master equation on a set J of states, with all that leaves J lost, bounds the exact law from below, and what is
/// lost is the error:
///
/// ```math
/// 0 \le p_t(n) - \tilde p_t(n), \qquad \sum_n \bigl(p_t(n) - \tilde p_t(n)\bigr) = 1 - \sum_{n \in J} \tilde p_t(n) .
/// ```
///
/// The set is found on the way. Time is cut into pieces; in each the law is propagated by uniformization, and a state is
/// added when the probability that flows to it in one jump exceeds a threshold. A piece in which more is lost than its share
/// of the tolerance is run again, with a lower threshold or a greater rate of uniformization. After each piece the least
/// probable states are dropped, and count as lost: the set follows the law. The truncation of the series is added to
/// what is lost.
///
/// ```
/// use ctmc::network::{Counting::Ordered, CountLaw, Network, Projection, Rate, Reaction};
/// // Made at rate 8, each lost at rate 1: from 0, a Poisson law.
/// let network = Network::new(
///     ["X"],
///     vec![
///         Reaction::new("make", [], [("X", 1)], Rate::mass_action(8.0, Ordered)),
///         Reaction::new("lose", [("X", 1)], [], Rate::mass_action(1.0, Ordered)),
///     ],
/// )?;
/// let projection = Projection { network: &network, tolerance: 1e-10, most_states: 10_000 };
/// let law = &projection.laws(&CountLaw::point(&[0]), &[2.0])?[0];
/// let mean = 8.0 * (1.0 - (-2f64).exp());
/// assert!(law.lost() <= 1e-10);
/// assert!((law.probability(&[0]) - (-mean).exp()).abs() < 1e-10);
/// assert!((law.mean(0) - mean).abs() < 1e-8);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// Munsky, Khammash (2006), *The finite state projection algorithm for the solution of the chemical master equation*.
/// Didier, Henzinger, Mateescu, Wolf (2009), *Fast adaptive uniformization of the chemical master equation*, for states
/// that are added in the course of uniformization.
#[derive(Clone, Copy, Debug)]
pub struct Projection<'a> {
    /// The network; no rate of it may depend on time.
    pub network: &'a Network,
    /// What may be lost until the last time, between $`10^{-200}`$ and 1. Rounding comes on top.
    pub tolerance: f64,
    /// The greatest number of states.
    pub most_states: usize,
}

impl Projection<'_> {
    /// The laws at ascending times after the start.
    ///
    /// What they have [lost](CountLaw::lost) grows with the time in proportion at most, to the tolerance at the last one;
    /// what the start has lost is added.
    ///
    /// # Errors
    /// If the tolerance is out of range, the start has not one count for each species, or the times are negative, not
    /// finite or not ascending. [`Error::Unsupported`] if a rate depends on time. [`Error::Reaction`] for a rate that
    /// is not finite, and a reaction that cannot happen in a state where its rate is positive. [`Error::NotConverged`] if
    /// more states would be needed than allowed, or the law grows without end.
    ///
    /// # Complexity
    /// One product with the reactions of all states for each jump of the fastest state: time times its exit rate, and half
    /// as much again.
    pub fn laws(&self, start: &CountLaw, times: &[f64]) -> Result<Vec<CountLaw>, Error> {
        let tolerance = self.tolerance;
        Error::domain((1e-200..=1.0).contains(&tolerance), "tolerance", tolerance, "between 1e-200 and 1")?;
        Error::shape("start", &[self.network.species().len()], &[start.states().ncols()])?;
        if self.network.is_time_dependent() {
            let reason = "a rate that depends on time";
            return Err(Error::Unsupported { method: "finite state projection", reason });
        }
        for (index, &time) in times.iter().enumerate() {
            check_time("times", time)?;
            if index > 0 && time < times[index - 1] {
                let expected = "ascending times";
                return Err(Error::Entry { parameter: "times", index, value: time, expected });
            }
        }
        let last = times.last().copied().unwrap_or(0.0);
        let mut run = Run {
            of: self,
            set: Set::new(self.network, start)?,
            lost: start.lost(),
            per_time: tolerance / last,
            scale: 1e-3,
        };
        let mut time = 0.0;
        let mut laws = Vec::with_capacity(times.len());
        for &next in times {
            while time < next {
                time = run.piece(time, next)?;
            }
            laws.push(run.set.law(run.lost));
        }
        Ok(laws)
    }
}

/// A projection on its way.
struct Run<'a> {
    of: &'a Projection<'a>,
    set: Set<'a>,
    lost: f64,
    /// What may be lost in a unit of time.
    per_time: f64,
    /// The threshold for states as a part of what may be lost in a jump.
    scale: f64,
}

impl Run<'_> {
    /// Moves the law towards the time `end`, and returns how far.
    fn piece(&mut self, time: f64, end: f64) -> Result<f64, Error> {
        let mut rate = 1.25 * self.set.greatest_exit_rate();
        if rate == 0.0 {
            return Ok(end);
        }
        let mut lost = f64::INFINITY;
        for _ in 0..MOST_TRIALS {
            let mut length = end - time;
            if rate * length > JUMPS {
                // Pieces of the same length.
                length /= (rate * length / JUMPS).ceil();
            }
            let next = if length == end - time { end } else { time + length };
            // Jumps too fast for the clock: the law grows without end.
            if next <= time {
                break;
            }
            let allowed = self.per_time * (next - time);
            let window = Poisson::new(rate * (next - time), 0.05 * allowed);
            let threshold = self.scale * allowed / (window.first + window.weights.len()) as f64;
            let limits = Flow { rate, threshold, steady: 0.05 * allowed, most_states: self.of.most_states };
            let outcome = self.set.propagate(&window, &limits)?;
            // Half of the share is for dropping states.
            lost = outcome.lost + 2.0 * window.tail;
            if lost <= 0.5 * allowed {
                self.set.accept();
                self.lost += lost + self.set.drop_states(allowed - lost);
                return Ok(next);
            }
            if outcome.too_fast > 0.0 {
                rate = outcome.too_fast.max(2.0 * rate);
            } else {
                self.scale *= 1e-2;
            }
        }
        Err(Error::NotConverged {
            routine: "finite state projection",
            iterations: MOST_TRIALS,
            residual: lost,
        })
    }
}
