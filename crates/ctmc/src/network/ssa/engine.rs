//! What the exact methods share.

use numeric::{Error, Noise, RowStream, vectorize};

use crate::network::Network;
use crate::network::ensemble::WATCH;

/// The next event of a path: when, and which reaction.
pub(super) type Event = (f64, usize);

/// A method on its way along one path.
pub(super) trait Engine: Send {
    /// Comes before the start of another row, for methods with random numbers of their own.
    fn set_row(&mut self, _noise: Noise, _row: u64) {}

    /// Forgets what was, and starts at a time and in a state.
    fn start(&mut self, at: &At<'_>, stream: &mut RowStream) -> Result<(), Error>;

    /// The next event, or `None` if there is none until `limit`. A method may also return an event after `limit`;
    /// if it returns `None` it can be asked again with a later limit, and gives what it would have given at first.
    fn next(&mut self, at: &At<'_>, limit: f64, stream: &mut RowStream) -> Result<Option<Event>, Error>;

    /// Makes the event happen to `counts`, which were those that [`next`](Engine::next) was given.
    fn fire(
        &mut self,
        network: &Network,
        event: Event,
        counts: &mut [u32],
        stream: &mut RowStream,
    ) -> Result<(), Error>;

    /// Starts the path anew from where it is.
    fn start_here(&mut self, path: &mut Path<'_>) -> Result<(), Error> {
        (path.changed, path.pending) = (path.now, None);
        let Path { network, now: time, ref counts, row, max_events: patience, .. } = *path;
        self.start(&At { network, time, counts, row, patience }, &mut path.stream)
    }

    /// Makes the next event happen, or comes to the limit.
    #[inline(always)]
    fn step(&mut self, path: &mut Path<'_>, limit: f64) -> Result<Option<Event>, Error> {
        if path.pending.is_none() {
            let Path { network, changed: time, ref counts, row, max_events: patience, .. } = *path;
            path.pending =
                self.next(&At { network, time, counts, row, patience }, limit, &mut path.stream)?;
        }
        let Some(event) = path.pending.filter(|&(time, _)| time <= limit) else {
            path.now = limit;
            return Ok(None);
        };
        if path.events == path.max_events {
            let (row, time, step, steps) = (path.row, path.now, event.0 - path.changed, path.events);
            return Err(Error::Stalled { row, time, step, steps, reason: "the greatest number of events" });
        }
        self.fire(path.network, event, &mut path.counts, &mut path.stream)?;
        path.pending = None;
        (path.now, path.changed) = (event.0, event.0);
        path.events += 1;
        Ok(Some(event))
    }

    /// Lets all events until a time happen; `watch` is told their number.
    fn advance(
        &mut self,
        path: &mut Path<'_>,
        time: f64,
        watch: &dyn Fn(u64) -> Result<(), Error>,
    ) -> Result<(), Error> {
        // The loops are short, but instructions of three operands alone make a path of few reactions a fifth faster.
        vectorize(
            #[inline(always)]
            || {
                while self.step(path, time)?.is_some() {
                    if path.events.is_multiple_of(WATCH) {
                        watch(path.events)?;
                    }
                }
                Ok(())
            },
        )
    }
}

/// A path on its way.
#[derive(Debug)]
pub(super) struct Path<'a> {
    pub(super) network: &'a Network,
    pub(super) max_events: u64,
    pub(super) stream: RowStream,
    pub(super) row: u64,
    pub(super) counts: Vec<u32>,
    pub(super) now: f64,
    /// When the counts last changed.
    pub(super) changed: f64,
    /// An event that has been drawn and has not happened.
    pub(super) pending: Option<Event>,
    pub(super) events: u64,
}

/// Where a path was when its counts last changed.
#[derive(Debug)]
pub(super) struct At<'a> {
    pub(super) network: &'a Network,
    /// The time of the last event, or of the start.
    pub(super) time: f64,
    pub(super) counts: &'a [u32],
    pub(super) row: u64,
    /// How much work may be done between two events.
    pub(super) patience: u64,
}

impl At<'_> {
    pub(super) fn value(&self, reaction: usize) -> f64 {
        self.network.value(reaction, self.time, self.counts)
    }

    /// All propensities, checked.
    pub(super) fn propensities(&self) -> impl Iterator<Item = Result<f64, Error>> {
        (0..self.network.reactions().len()).map(|reaction| self.checked(reaction))
    }

    pub(super) fn checked(&self, reaction: usize) -> Result<f64, Error> {
        self.network.check_rate(reaction, self.value(reaction))
    }
}

/// `Ok` for a sum of propensities that is finite.
#[inline]
pub(super) fn check_total(total: f64) -> Result<(), Error> {
    Error::domain(total < f64::INFINITY, "total propensity", total, "a finite number")
}

/// The first of the cumulative sums above the target; if rounding has left none, the last that is above its
/// predecessor.
#[inline(always)]
pub(super) fn first_above(cumulative: &[f64], target: f64) -> usize {
    let found = if cumulative.len() <= 64 {
        // Without branches, which could not be foreseen.
        let mut passed = 0;
        for &sum in cumulative {
            passed += usize::from(sum <= target);
        }
        passed
    } else {
        cumulative.partition_point(|&sum| sum <= target)
    };
    if found < cumulative.len() {
        found
    } else {
        cumulative.partition_point(|&sum| sum < cumulative[found - 1])
    }
}

/// A sum of numbers of at least 0 that change one at a time.
///
/// Differences are added until rounding could have taken a share of what is left; then the sum is made anew: whenever it
/// has fallen to half of its peak, and after many changes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Total {
    sum: f64,
    peak: f64,
    changes: u32,
}

impl Total {
    pub(super) fn new(values: impl Iterator<Item = f64>) -> Total {
        let sum = values.sum();
        Total { sum, peak: sum, changes: 0 }
    }

    pub(super) fn get(&self) -> f64 {
        self.sum
    }

    /// One of the values has gone from `old` to `new`.
    #[inline]
    pub(super) fn change(&mut self, old: f64, new: f64) {
        self.sum += new - old;
        self.peak = self.peak.max(self.sum);
        self.changes += 1;
    }

    /// Whether [`Total::new`] is due.
    #[inline]
    pub(super) fn is_stale(&self) -> bool {
        // Each change has an error of 2⁻⁵³ of the peak: here at most 2⁻³⁸ of the sum, mostly far less.
        self.sum < 0.5 * self.peak || self.changes > 1 << 14
    }
}
