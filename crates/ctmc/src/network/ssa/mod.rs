//! Exact paths of networks.

mod algorithm;
mod composition;
mod direct;
mod elementary;
mod engine;
mod flat;
mod lanes;
mod next_reaction;
mod pairs;
mod path;
mod queue;
mod rejection;
mod thinning;
mod walk;

use std::ops::Range;

use numeric::estimate::MeanAccumulator;
use numeric::ndarray::{Array2, Array3};
use numeric::{Batching, Control, Error, Noise, run_blocks};

pub use algorithm::Algorithm;
pub use path::{ReactionPath, Start, Stop};
pub use walk::Walk;

use self::elementary::Elementary;
use super::Network;
use super::ensemble::{check_start, check_times, count, joined, moments, watch};

/// The label of the row streams.
const STREAM: &str = "ssa";

/// With fewer rows it is faster to follow them one by one.
const FEWEST_LANES: usize = 16;

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
        Ok(Array3::from_shape_vec(shape, joined(blocks)).expect("counts for each row, time and species"))
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
        let small = if self.algorithm == Algorithm::Direct { Elementary::small(self.network) } else { None };
        // With so few events allowed each row would be left to the scalar method.
        let many = count(&rows) >= FEWEST_LANES && self.max_events > 4 * lanes::ROUND;
        if let Some(network) = small.filter(|_| many && !times.is_empty()) {
            return self.look_in_lanes(&network, start, times, rows, noise, control);
        }
        self.blocks(start, rows, noise, control, |walk, seen: &mut Vec<u32>, watch| {
            look_at(walk, times, |counts| seen.extend_from_slice(counts), watch)
        })
    }

    /// As [`look`](Ssa::look), with many rows side by side.
    fn look_in_lanes(
        &self,
        network: &Elementary,
        start: Start<'_>,
        times: &[f64],
        rows: Range<u64>,
        noise: Noise,
        control: Control<'_>,
    ) -> Result<Vec<Vec<u32>>, Error> {
        check_start(start, &rows, self.network)?;
        let first_row = rows.start;
        let alone = |place: usize, counts: &mut [u32]| {
            let mut walk = Walk::new(self, noise)?;
            walk.restart(first_row + place as u64, start.row(place).iter().copied())?;
            let mut counts = counts.chunks_exact_mut(network.species);
            let keep = |seen: &[u32]| counts.next().expect("one for each time").copy_from_slice(seen);
            look_at(&mut walk, times, keep, &|events| watch(events, control.cancel))
        };
        let task = lanes::Task {
            network,
            times,
            start,
            first_row,
            rows: count(&rows),
            noise: noise.fork(STREAM),
            max_events: self.max_events,
            control,
            alone: &alone,
        };
        lanes::look(&task).map(|seen| vec![seen])
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
        check_start(start, &rows, self.network)?;
        let first = rows.start;
        run_blocks(rows, Batching::default(), control, |block, _| {
            let mut walk = Walk::new(self, noise)?;
            let mut gathered = T::default();
            for row in block {
                walk.restart(row, start.row((row - first) as usize).iter().copied())?;
                each(&mut walk, &mut gathered, &|events| watch(events, control.cancel))?;
            }
            Ok(gathered)
        })
    }
}

/// Lets a path come to each of the times, and calls `keep` with the counts there.
fn look_at(
    walk: &mut Walk<'_>,
    times: &[f64],
    mut keep: impl FnMut(&[u32]),
    watch: &dyn Fn(u64) -> Result<(), Error>,
) -> Result<(), Error> {
    for &time in times {
        walk.advance_watched(time, watch)?;
        keep(walk.counts());
    }
    Ok(())
}
