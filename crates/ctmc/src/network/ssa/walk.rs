//! One path on its way.

use std::fmt;

use numeric::{Error, Noise};

use super::composition::CompositionRejection;
use super::direct::{Direct, Sorting};
use super::engine::{Engine, Path};
use super::next_reaction::NextReaction;
use super::rejection::Rejection;
use super::thinning::Thinning;
use super::{Algorithm, STREAM, Ssa};

/// One path of a network, event by event, from [`Ssa::walk`].
///
/// For what is not a run to a fixed end: states that are set from outside, coupling to something else that moves, searches
/// for an event.
///
/// ```
/// use ctmc::network::{Algorithm, Counting, Network, Rate, Reaction, Ssa};
/// use numeric::Noise;
/// let decay = Reaction::new("decay", [("X", 1)], [], Rate::mass_action(0.1, Counting::Ordered));
/// let network = Network::new(["X"], vec![decay])?;
/// let ssa = Ssa::new(&network, Algorithm::Direct);
/// let mut walk = ssa.walk(&[10], 0, Noise::new(1))?;
/// while let Some((time, reaction)) = walk.next_event(5.0)? {
///     assert!(time <= 5.0 && reaction == 0);
/// }
/// assert_eq!(walk.counts()[0] as u64, 10 - walk.events());
/// // A dose at time 5.
/// walk.set_counts(&[100])?;
/// walk.advance(6.0)?;
/// assert!(walk.time() == 6.0 && walk.counts()[0] > 50);
/// # Ok::<(), numeric::Error>(())
/// ```
pub struct Walk<'a> {
    path: Path<'a>,
    engine: Box<dyn Engine>,
    noise: Noise,
}

impl<'a> Walk<'a> {
    /// A walk that has to be started by [`restart`](Walk::restart).
    pub(super) fn new(ssa: &Ssa<'a>, noise: Noise) -> Result<Walk<'a>, Error> {
        let network = ssa.network;
        let in_time = ssa.algorithm == Algorithm::NextReaction || ssa.algorithm == Algorithm::Thinning;
        if network.is_time_dependent() && !in_time {
            let reason = "rates that depend on time are for the next reaction method and for thinning";
            return Err(Error::Unsupported { method: ssa.algorithm.name(), reason });
        }
        let noise = noise.fork(STREAM);
        let engine: Box<dyn Engine> = match ssa.algorithm {
            Algorithm::Direct => Box::new(Direct::new(network, noise)),
            Algorithm::SortingDirect => Box::new(Sorting::new(network)),
            Algorithm::NextReaction => Box::new(NextReaction::new(network)?),
            Algorithm::CompositionRejection => Box::new(CompositionRejection::new(network)),
            Algorithm::Rejection => Box::new(Rejection::new(network)),
            Algorithm::Thinning => Box::new(Thinning::new(network)?),
        };
        let path = Path {
            network,
            max_events: ssa.max_events,
            stream: noise.row_stream(0),
            row: 0,
            counts: vec![0; network.species().len()],
            now: 0.0,
            changed: 0.0,
            pending: None,
            events: 0,
        };
        Ok(Walk { path, engine, noise })
    }

    /// Starts the path of another row at time 0.
    pub(super) fn restart(&mut self, row: u64, start: impl Iterator<Item = u32>) -> Result<(), Error> {
        let Walk { path, engine, noise } = self;
        path.counts.clear();
        path.counts.extend(start);
        (path.row, path.stream) = (row, noise.row_stream(row));
        (path.now, path.events) = (0.0, 0);
        engine.set_row(*noise, row);
        engine.start_here(path)
    }

    /// As [`advance`](Walk::advance), with `watch` called now and then with the number of events.
    pub(super) fn advance_watched(
        &mut self,
        time: f64,
        watch: &dyn Fn(u64) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.check_limit(time)?;
        self.engine.advance(&mut self.path, time, watch)
    }

    fn check_limit(&self, limit: f64) -> Result<(), Error> {
        let ok = limit >= self.path.now && limit.is_finite();
        Error::domain(ok, "limit", limit, "a finite time, not before that of the walk")
    }

    /// The time: that of the last event, or to which the path was followed without one.
    #[must_use]
    pub fn time(&self) -> f64 {
        self.path.now
    }

    /// The counts now.
    #[must_use]
    pub fn counts(&self) -> &[u32] {
        &self.path.counts
    }

    /// How many events have happened.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.path.events
    }

    /// Makes the next event happen and returns its time and the number of its reaction; or, if there is none until `limit`,
    /// goes to that time and returns `None`.
    ///
    /// The path does not depend on the limits that it is asked with.
    ///
    /// # Errors
    /// If the limit is not finite or before the walk's time; [`Error::Reaction`] for a propensity that is not a number, or a
    /// reaction that cannot happen; [`Error::Domain`] if the sum of the propensities overflows; [`Error::Stalled`] at the
    /// greatest number of events. The walk then stays where it is.
    #[inline]
    pub fn next_event(&mut self, limit: f64) -> Result<Option<(f64, usize)>, Error> {
        self.check_limit(limit)?;
        self.engine.step(&mut self.path, limit)
    }

    /// Lets all events until a time happen.
    ///
    /// # Errors
    /// As [`next_event`](Walk::next_event).
    pub fn advance(&mut self, time: f64) -> Result<(), Error> {
        self.advance_watched(time, &|_| Ok(()))
    }

    /// Sets the counts at the time of the walk, from which it goes on as a path that starts there.
    ///
    /// # Errors
    /// [`Error::Shape`] unless there is one count for each species; as [`next_event`](Walk::next_event).
    pub fn set_counts(&mut self, counts: &[u32]) -> Result<(), Error> {
        Error::shape("counts", &[self.path.counts.len()], &[counts.len()])?;
        self.path.counts.copy_from_slice(counts);
        self.engine.start_here(&mut self.path)
    }
}

impl fmt::Debug for Walk<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Walk")
            .field("row", &self.path.row)
            .field("time", &self.path.now)
            .field("counts", &self.path.counts)
            .field("events", &self.path.events)
            .finish_non_exhaustive()
    }
}
