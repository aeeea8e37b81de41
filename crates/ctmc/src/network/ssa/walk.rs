//! One path on its way.

use std::fmt;

use numeric::{Error, Noise, RowStream};

use super::composition::CompositionRejection;
use super::direct::{Direct, Sorting};
use super::engine::{At, Engine, Event};
use super::next_reaction::NextReaction;
use super::rejection::Rejection;
use super::thinning::Thinning;
use super::{Algorithm, STREAM, Ssa};
use crate::network::Network;

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
    network: &'a Network,
    engine: Box<dyn Engine>,
    max_events: u64,
    noise: Noise,
    stream: RowStream,
    row: u64,
    counts: Vec<u32>,
    now: f64,
    /// When the counts last changed.
    changed: f64,
    /// An event that has been drawn and has not happened.
    pending: Option<Event>,
    events: u64,
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
        let engine: Box<dyn Engine> = match ssa.algorithm {
            Algorithm::Direct => Box::new(Direct::new(network)),
            Algorithm::SortingDirect => Box::new(Sorting::new(network)),
            Algorithm::NextReaction => Box::new(NextReaction::new(network)?),
            Algorithm::CompositionRejection => Box::new(CompositionRejection::new(network)),
            Algorithm::Rejection => Box::new(Rejection::new(network)),
            Algorithm::Thinning => Box::new(Thinning::new(network)?),
        };
        let noise = noise.fork(STREAM);
        Ok(Walk {
            network,
            engine,
            max_events: ssa.max_events,
            noise,
            stream: noise.row_stream(0),
            row: 0,
            counts: vec![0; network.species().len()],
            now: 0.0,
            changed: 0.0,
            pending: None,
            events: 0,
        })
    }

    /// Starts the path of another row at time 0.
    pub(super) fn restart(&mut self, row: u64, start: impl Iterator<Item = u32>) -> Result<(), Error> {
        self.counts.clear();
        self.counts.extend(start);
        (self.row, self.stream) = (row, self.noise.row_stream(row));
        (self.now, self.events) = (0.0, 0);
        self.start_here()
    }

    fn start_here(&mut self) -> Result<(), Error> {
        (self.changed, self.pending) = (self.now, None);
        let (network, time, counts) = (self.network, self.now, &self.counts[..]);
        let at = At { network, time, counts, row: self.row, patience: self.max_events };
        self.engine.start(&at, &mut self.stream)
    }

    /// The time: that of the last event, or to which the path was followed without one.
    #[must_use]
    pub fn time(&self) -> f64 {
        self.now
    }

    /// The counts now.
    #[must_use]
    pub fn counts(&self) -> &[u32] {
        &self.counts
    }

    /// How many events have happened.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events
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
        let ok = limit >= self.now && limit.is_finite();
        Error::domain(ok, "limit", limit, "a finite time, not before that of the walk")?;
        if self.pending.is_none() {
            let (network, time, counts) = (self.network, self.changed, &self.counts[..]);
            let at = At { network, time, counts, row: self.row, patience: self.max_events };
            self.pending = self.engine.next(&at, limit, &mut self.stream)?;
        }
        let Some(event) = self.pending.filter(|&(time, _)| time <= limit) else {
            self.now = limit;
            return Ok(None);
        };
        if self.events == self.max_events {
            let (row, time, step, steps) = (self.row, self.now, event.0 - self.changed, self.events);
            return Err(Error::Stalled { row, time, step, steps, reason: "the greatest number of events" });
        }
        self.engine.fire(self.network, event, &mut self.counts, &mut self.stream)?;
        self.pending = None;
        (self.now, self.changed) = (event.0, event.0);
        self.events += 1;
        Ok(Some(event))
    }

    /// Lets all events until a time happen.
    ///
    /// # Errors
    /// As [`next_event`](Walk::next_event).
    pub fn advance(&mut self, time: f64) -> Result<(), Error> {
        while self.next_event(time)?.is_some() {}
        Ok(())
    }

    /// Sets the counts at the time of the walk, from which it goes on as a path that starts there.
    ///
    /// # Errors
    /// [`Error::Shape`] unless there is one count for each species; as [`next_event`](Walk::next_event).
    pub fn set_counts(&mut self, counts: &[u32]) -> Result<(), Error> {
        Error::shape("counts", &[self.counts.len()], &[counts.len()])?;
        self.counts.copy_from_slice(counts);
        self.start_here()
    }
}

impl fmt::Debug for Walk<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Walk")
            .field("row", &self.row)
            .field("time", &self.now)
            .field("counts", &self.counts)
            .field("events", &self.events)
            .finish_non_exhaustive()
    }
}
