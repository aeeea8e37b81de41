//! Exact paths of networks.

mod composition;
mod direct;
mod engine;
mod next_reaction;
mod queue;
mod rejection;
mod thinning;
mod walk;

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use numeric::estimate::MeanAccumulator;
use numeric::ndarray::{Array2, Array3, ArrayRef2};
use numeric::{Batching, Control, Error, Noise, run_blocks};

pub use walk::Walk;

use super::Network;

/// How the next event of a path is found. All are exact; they use the random numbers in different ways, so that their paths
/// are not the same.
///
/// With few reactions [`Direct`](Algorithm::Direct) is the fastest; with hundreds
/// [`CompositionRejection`](Algorithm::CompositionRejection) or [`NextReaction`](Algorithm::NextReaction). Rates that depend on
/// time are for [`NextReaction`](Algorithm::NextReaction) and [`Thinning`](Algorithm::Thinning) alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Algorithm {
    /// The direct method: a waiting time at the sum of the propensities, then a reaction. Work in proportion to the number
    /// of reactions.
    ///
    /// # References
    /// Gillespie (1977), *Exact stochastic simulation of coupled chemical reactions*, J. Phys. Chem. 81.
    Direct,
    /// The direct method with a search in which reactions that happen often come first: for networks in which a few do.
    ///
    /// # References
    /// McCollum, Peterson, Cox, Simpson, Samatova (2006), *The sorting direct method for stochastic simulation of biochemical
    /// systems with varying reaction execution behavior*, Comput. Biol. Chem. 30.
    SortingDirect,
    /// The next reaction method: each reaction has a time, the earliest is on top of a queue, and times are reused. One random
    /// number for each event, and work in proportion to the logarithm of the number of reactions and to how many propensities
    /// an event changes. Rates that depend on time need their integrals.
    ///
    /// # References
    /// Gibson, Bruck (2000), *Efficient exact stochastic simulation of chemical systems with many species and many channels*,
    /// J. Phys. Chem. A 104. Anderson (2007), *A modified next reaction method for simulating chemical systems with time
    /// dependent propensities and delays*, J. Chem. Phys. 127.
    NextReaction,
    /// Composition and rejection: reactions in groups of propensities within a factor of 2. Work that does not grow with the
    /// number of reactions, apart from the propensities that an event changes.
    ///
    /// # References
    /// Slepoy, Thompson, Plimpton (2008), *A constant-time kinetic Monte Carlo algorithm for simulation of large biochemical
    /// reaction networks*, J. Chem. Phys. 128.
    CompositionRejection,
    /// Rejection with bounds that hold while counts stay within intervals: for propensities that are dear, or change often and
    /// by little.
    ///
    /// # References
    /// Thanh, Priami, Zunino (2014), *Efficient rejection-based simulation of biochemical reactions with stochastic noise and
    /// delays*, J. Chem. Phys. 141.
    Rejection,
    /// Thinning: candidates at bounds of the rates, for rates that depend on time and have bounds.
    ///
    /// # References
    /// Lewis, Shedler (1979), *Simulation of nonhomogeneous Poisson processes by thinning*, Nav. Res. Logist. Q. 26.
    Thinning,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Algorithm; 6] = [
        Algorithm::Direct,
        Algorithm::SortingDirect,
        Algorithm::NextReaction,
        Algorithm::CompositionRejection,
        Algorithm::Rejection,
        Algorithm::Thinning,
    ];

    fn name(self) -> &'static str {
        match self {
            Algorithm::Direct => "direct method",
            Algorithm::SortingDirect => "sorting direct method",
            Algorithm::NextReaction => "next reaction method",
            Algorithm::CompositionRejection => "composition and rejection",
            Algorithm::Rejection => "rejection-based method",
            Algorithm::Thinning => "thinning",
        }
    }
}

/// Where the paths of a network start.
#[derive(Clone, Copy, Debug)]
pub enum Start<'a> {
    /// All in this state.
    State(&'a [u32]),
    /// One state for each of the rows, `(n, species)`.
    States(&'a ArrayRef2<u32>),
}

/// A path of a network: the reactions that have happened, and when.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ReactionPath {
    /// The counts at time 0.
    pub start: Vec<u32>,
    /// The times of the events, ascending.
    pub times: Vec<f64>,
    /// The number of the reaction, for each event.
    pub reactions: Vec<u32>,
}

impl ReactionPath {
    /// The counts at a time, after the events at that time.
    ///
    /// # Errors
    /// If the path is not one of the network: for a reaction that cannot happen where it is said to have happened.
    ///
    /// # Panics
    /// If the network has not the path's species and reactions.
    pub fn counts_at(&self, network: &Network, time: f64) -> Result<Vec<u32>, Error> {
        let mut counts = self.start.clone();
        let passed = self.times.partition_point(|&t| t <= time);
        for &reaction in &self.reactions[..passed] {
            network.fire(reaction as usize, &mut counts)?;
        }
        Ok(counts)
    }
}

/// Where a path was stopped, from [`Ssa::until`].
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Stop {
    /// The time of the event after which the condition held; `None` if it did not until the end.
    pub time: Option<f64>,
    /// The counts then, or at the end.
    pub counts: Vec<u32>,
}

/// The stochastic simulation algorithm: exact paths of a network.
///
/// ```
/// use ctmc::network::{Algorithm, Counting, Network, Rate, Reaction, Ssa, Start};
/// use numeric::{Control, Noise};
/// // Immigration and death: at time t the law is Poisson of mean 10 (1 − e^{−t/10}).
/// let network = Network::new(
///     ["X"],
///     vec![
///         Reaction::new("immigrate", [], [("X", 1)], Rate::mass_action(1.0, Counting::Ordered)),
///         Reaction::new("die", [("X", 1)], [], Rate::mass_action(0.1, Counting::Ordered)),
///     ],
/// )?;
/// let ssa = Ssa::new(&network, Algorithm::Direct);
/// let (start, noise) = (Start::State(&[0]), Noise::new(4));
/// let seen = ssa.counts_at(start, &[0.0, 10.0], 0..2000, noise, Control::default())?;
/// let mean = seen.iter().skip(1).step_by(2).map(|&x| f64::from(x)).sum::<f64>() / 2000.0;
/// assert!((mean - 6.32).abs() < 0.25);   // 4.4 standard errors
/// // The same paths, event by event.
/// let paths = ssa.paths(start, 10.0, 0..2000, noise, Control::default())?;
/// assert_eq!(paths[7].counts_at(&network, 10.0)?, [seen[[7, 1, 0]]]);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # Randomness
/// Row i depends on the noise and i only; its numbers come one after the other from its stream "ssa". How far a path
/// is simulated, and at which times it is looked at, does not change what comes before.
#[derive(Clone, Copy, Debug)]
pub struct Ssa<'a> {
    /// The network.
    pub network: &'a Network,
    /// How events are found.
    pub algorithm: Algorithm,
    /// A path that would have more events ends with [`Error::Stalled`]: networks can explode, with infinitely many events
    /// in a finite time.
    pub max_events: u64,
}

impl<'a> Ssa<'a> {
    /// With at most 10⁹ events of a path.
    #[must_use]
    pub fn new(network: &'a Network, algorithm: Algorithm) -> Ssa<'a> {
        Ssa { network, algorithm, max_events: 1_000_000_000 }
    }

    /// One path on its way from time 0.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the algorithm is not one for the network's rates that depend on time; [`Error::Shape`] unless
    /// there is one count for each species; [`Error::Reaction`] if a propensity at the start is not a number.
    pub fn walk(&self, start: &[u32], row: u64, noise: Noise) -> Result<Walk<'a>, Error> {
        Error::shape("start", &[self.network.species().len()], &[start.len()])?;
        let mut walk = Walk::new(self, noise)?;
        walk.restart(row, start.iter().copied())?;
        Ok(walk)
    }

    /// All events of the given rows from time 0 to `end`.
    ///
    /// # Errors
    /// If the end is negative or not finite; if the start has not the shape of the rows and species; the errors of
    /// [`walk`](Ssa::walk) and [`Walk::next_event`], of the lowest row that has one; [`Error::Cancelled`].
    pub fn paths(
        &self,
        start: Start<'_>,
        end: f64,
        rows: Range<u64>,
        noise: Noise,
        control: Control<'_>,
    ) -> Result<Vec<ReactionPath>, Error> {
        check_times("end", &[end])?;
        let blocks =
            self.blocks(start, rows, noise, control, |walk, paths: &mut Vec<ReactionPath>, watch| {
                let (mut times, mut reactions) = (vec![], vec![]);
                let start = walk.counts().to_vec();
                while let Some((time, reaction)) = walk.next_event(end)? {
                    times.push(time);
                    reactions.push(reaction as u32);
                    watch(walk.events())?;
                }
                paths.push(ReactionPath { start, times, reactions });
                Ok(())
            })?;
        Ok(blocks.concat())
    }

    /// The counts of the given rows at ascending times, `(n, times, species)`.
    ///
    /// They are those of [`paths`](Ssa::paths) with the same noise, to the bit.
    ///
    /// # Errors
    /// As [`paths`](Ssa::paths); if the times do not ascend.
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
        Ok(Array3::from_shape_vec(shape, blocks.concat()).expect("counts for each row, time and species"))
    }

    /// Means and variances of the counts at ascending times, `(times, species)`.
    ///
    /// Accumulators of other rows can be merged with them, to the same bits as if all rows had been run at once.
    ///
    /// ```
    /// use ctmc::network::{Algorithm, Counting, Network, Rate, Reaction, Ssa, Start};
    /// use numeric::{Control, Noise};
    /// let decay = Reaction::new("decay", [("X", 1)], [], Rate::mass_action(1.0, Counting::Ordered));
    /// let network = Network::new(["X"], vec![decay])?;
    /// let ssa = Ssa::new(&network, Algorithm::NextReaction);
    /// let moments = |rows| ssa.moments_at(Start::State(&[100]), &[1.0], rows, Noise::new(3), Control::default());
    /// let (mut first, second) = (moments(0..100)?, moments(100..1000)?);
    /// first[[0, 0]].merge(second[[0, 0]].clone())?;
    /// let found = first[[0, 0]].estimate()?;
    /// assert!((found.mean - 36.79).abs() < 4.0 * found.std_error);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`counts_at`](Ssa::counts_at).
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

    /// Each of the given rows until a condition on its counts holds, or else until `end`.
    ///
    /// The condition is looked at at the start and after each event.
    ///
    /// ```
    /// use ctmc::network::{Algorithm, Counting, Network, Rate, Reaction, Ssa, Start};
    /// use numeric::{Control, Noise};
    /// let birth = Reaction::new("birth", [("X", 1)], [("X", 2)], Rate::mass_action(1.0, Counting::Ordered));
    /// let network = Network::new(["X"], vec![birth])?;
    /// let ssa = Ssa::new(&network, Algorithm::Direct);
    /// let stops = ssa.until(Start::State(&[1]), |n| n[0] >= 20, 100.0, 0..50, Noise::new(1), Control::default())?;
    /// assert!(stops.iter().all(|stop| stop.counts == [20] && stop.time.is_some_and(|time| time > 0.0)));
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`paths`](Ssa::paths).
    pub fn until(
        &self,
        start: Start<'_>,
        condition: impl Fn(&[u32]) -> bool + Sync,
        end: f64,
        rows: Range<u64>,
        noise: Noise,
        control: Control<'_>,
    ) -> Result<Vec<Stop>, Error> {
        check_times("end", &[end])?;
        let blocks = self.blocks(start, rows, noise, control, |walk, stops: &mut Vec<Stop>, watch| {
            let mut time = Some(0.0);
            while !condition(walk.counts()) {
                time = walk.next_event(end)?.map(|(time, _)| time);
                if time.is_none() {
                    break;
                }
                watch(walk.events())?;
            }
            stops.push(Stop { time, counts: walk.counts().to_vec() });
            Ok(())
        })?;
        Ok(blocks.concat())
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
        self.blocks(start, rows, noise, control, |walk, seen: &mut Vec<u32>, watch| {
            for &time in times {
                while walk.next_event(time)?.is_some() {
                    watch(walk.events())?;
                }
                seen.extend_from_slice(walk.counts());
            }
            Ok(())
        })
    }

    /// Calls `each` with the walk of each row at its start, what the block has gathered, and a watch that is to be told the
    /// number of events.
    fn blocks<T: Default + Send>(
        &self,
        start: Start<'_>,
        rows: Range<u64>,
        noise: Noise,
        control: Control<'_>,
        each: impl Fn(&mut Walk<'_>, &mut T, &dyn Fn(u64) -> Result<(), Error>) -> Result<(), Error> + Sync,
    ) -> Result<Vec<T>, Error> {
        let species = self.network.species().len();
        match start {
            Start::State(state) => Error::shape("start", &[species], &[state.len()])?,
            Start::States(states) => Error::shape("start", &[count(&rows), species], states.shape())?,
        }
        let first = rows.start;
        run_blocks(rows, Batching::default(), control, |block, _| {
            let mut walk = Walk::new(self, noise)?;
            let mut gathered = T::default();
            for row in block {
                match start {
                    Start::State(state) => walk.restart(row, state.iter().copied())?,
                    Start::States(states) => {
                        walk.restart(row, states.row((row - first) as usize).iter().copied())?;
                    }
                }
                each(&mut walk, &mut gathered, &|events| watch(events, control.cancel))?;
            }
            Ok(gathered)
        })
    }
}

/// A path can be long: a run is cancelled within it as well.
#[inline]
pub(super) fn watch(events: u64, cancel: Option<&AtomicBool>) -> Result<(), Error> {
    if events.is_multiple_of(1 << 12) && cancel.is_some_and(|cancel| cancel.load(Ordering::Relaxed)) {
        return Err(Error::Cancelled);
    }
    Ok(())
}

pub(super) fn count(rows: &Range<u64>) -> usize {
    rows.end.saturating_sub(rows.start) as usize
}

/// Finite times of at least 0 that ascend.
pub(super) fn check_times(parameter: &'static str, times: &[f64]) -> Result<(), Error> {
    for (index, &value) in times.iter().enumerate() {
        let ok = value.is_finite() && value >= if index == 0 { 0.0 } else { times[index - 1] };
        if !ok {
            let expected = "finite times of at least 0, ascending";
            return Err(Error::Entry { parameter, index, value, expected });
        }
    }
    Ok(())
}

/// Moments of counts by time and species, from blocks of rows of them.
pub(super) fn moments(
    shape: (usize, usize),
    mut first: u64,
    blocks: Vec<Vec<u32>>,
) -> Result<Array2<MeanAccumulator>, Error> {
    let width = shape.0 * shape.1;
    let mut sums = Array2::default(shape);
    for block in blocks {
        let Some(length) = block.len().checked_div(width) else { continue };
        let mut values = vec![0.0; length];
        for (column, sum) in sums.iter_mut().enumerate() {
            for (value, row) in values.iter_mut().zip(block.chunks_exact(width)) {
                *value = f64::from(row[column]);
            }
            let sum: &mut MeanAccumulator = sum;
            sum.push_values(first, &values)?;
        }
        first += length as u64;
    }
    Ok(sums)
}
