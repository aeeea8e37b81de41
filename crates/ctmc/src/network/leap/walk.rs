//! One path on its way.

use std::fmt;

use numeric::{Error, Noise, RowStream};

use super::TauLeaping;
use super::clock::Clock;
use super::select::Selection;
use super::smooth::{Newton, Smooth};

/// One path of a network by leaps, from [`TauLeaping::walk`].
///
/// ```
/// use ctmc::network::{Counting, LeapMethod, LeapStep, Network, Rate, Reaction, TauLeaping};
/// let decay = Reaction::new("decay", [("X", 1)], [], Rate::mass_action(1.0, Counting::Ordered));
/// let network = Network::new(["X"], vec![decay])?;
/// let leaping = TauLeaping::new(&network, LeapMethod::Euler, LeapStep::Adaptive(0.03))?;
/// let mut walk = leaping.walk(&[100_000], 0, numeric::Noise::new(1))?;
/// walk.advance(3.0)?;
/// assert!(walk.leaps() < 150);
/// assert!((f64::from(walk.counts()[0]) - 100_000.0 * (-3f64).exp()).abs() < 400.0);
/// walk.advance(20.0)?;                    // the last of them one by one
/// assert!(walk.counts()[0] == 0 && walk.single_events() > 0);
/// # Ok::<(), numeric::Error>(())
/// ```
pub struct LeapWalk<'a> {
    pub(super) of: TauLeaping<'a>,
    noise: Noise,
    pub(super) stream: RowStream,
    pub(super) row: u64,
    pub(super) now: f64,
    pub(super) counts: Vec<u32>,
    pub(super) clocks: Vec<Clock>,
    pub(super) propensities: Vec<f64>,
    /// Of the second stage.
    pub(super) later: Vec<f64>,
    pub(super) critical: Vec<bool>,
    /// Of a leap that is tried: how often each reaction happens, how many stretches of its clock that takes, and where to.
    pub(super) events: Vec<i64>,
    pub(super) stretches: Vec<usize>,
    pub(super) next: Vec<u32>,
    pub(super) between: Vec<f64>,
    /// By species: the reactions that change it, and by how much.
    pub(super) changers: Vec<Vec<(usize, i32)>>,
    pub(super) selection: Selection,
    /// Whether the leap that is tried is one of the implicit method, not an explicit one that is short enough without it.
    pub(super) implicit: bool,
    /// How many events are still to happen one by one before a leap is tried, and until when.
    pub(super) singles: usize,
    pub(super) singles_end: f64,
    pub(super) smooth: Smooth,
    pub(super) newton: Newton,
    pub(super) leaps: u64,
    pub(super) single_events: u64,
    pub(super) refused: u64,
    pub(super) negative_rates: u64,
}

impl<'a> LeapWalk<'a> {
    /// A walk that has to be started by [`restart`](LeapWalk::restart).
    pub(super) fn new(of: TauLeaping<'a>, noise: Noise) -> LeapWalk<'a> {
        let (species, reactions) = (of.network.species().len(), of.network.reactions().len());
        let noise = noise.fork("leap");
        let mut changers = vec![vec![]; species];
        for reaction in 0..reactions {
            for &(species, change) in of.network.changes(reaction) {
                changers[species as usize].push((reaction, change));
            }
        }
        LeapWalk {
            of,
            noise,
            stream: noise.row_stream(0),
            row: 0,
            now: 0.0,
            counts: vec![0; species],
            clocks: vec![Clock::default(); reactions],
            propensities: vec![0.0; reactions],
            later: vec![0.0; reactions],
            critical: vec![false; reactions],
            events: vec![0; reactions],
            stretches: vec![0; reactions],
            next: vec![0; species],
            between: vec![0.0; species],
            changers,
            selection: Selection::new(of.network),
            implicit: false,
            singles: 0,
            singles_end: 0.0,
            smooth: Smooth::new(species),
            newton: Newton::new(of.network),
            leaps: 0,
            single_events: 0,
            refused: 0,
            negative_rates: 0,
        }
    }

    /// Starts the path of another row at time 0.
    pub(super) fn restart(&mut self, row: u64, start: impl Iterator<Item = u32>) {
        self.counts.clear();
        self.counts.extend(start);
        (self.row, self.stream, self.now) = (row, self.noise.row_stream(row), 0.0);
        self.clocks.iter_mut().for_each(Clock::clear);
        self.singles = 0;
        (self.leaps, self.single_events, self.refused, self.negative_rates) = (0, 0, 0, 0);
    }

    /// The time that the path has come to.
    #[must_use]
    pub fn time(&self) -> f64 {
        self.now
    }

    /// The counts now.
    #[must_use]
    pub fn counts(&self) -> &[u32] {
        &self.counts
    }

    /// How many leaps have been taken.
    #[must_use]
    pub fn leaps(&self) -> u64 {
        self.leaps
    }

    /// How many events have happened one by one, where leaps were too short to be worth it or would have made a count negative.
    #[must_use]
    pub fn single_events(&self) -> u64 {
        self.single_events
    }

    /// How many leaps were refused, because a count would have been negative or an equation was not solved.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// How many rates of the second stage of [`LeapMethod::Trapezoidal`](super::LeapMethod::Trapezoidal) were negative,
    /// and 0 instead.
    #[must_use]
    pub fn negative_rates(&self) -> u64 {
        self.negative_rates
    }

    /// Goes to a time, where a leap ends.
    ///
    /// # Errors
    /// If the time is not finite or before that of the walk; [`Error::Reaction`] for a propensity that is not a number, or a
    /// reaction that cannot happen; [`Error::Domain`] if the sum of the propensities overflows; [`Error::Stalled`] at the
    /// greatest number of leaps and single events.
    pub fn advance(&mut self, time: f64) -> Result<(), Error> {
        self.advance_watched(time, &|_| Ok(()))
    }

    /// As [`advance`](LeapWalk::advance), with a watch that is told how many steps this has taken, before each.
    pub(super) fn advance_watched(
        &mut self,
        time: f64,
        watch: &dyn Fn(u64) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.check_limit("time", time)?;
        for round in 0.. {
            if self.now >= time {
                break;
            }
            watch(round)?;
            self.step(time)?;
        }
        Ok(())
    }

    /// Makes one leap, or one event where leaps are too short, and returns the time it has come to; `None` if that of the walk is
    /// `limit` already. A leap ends at the limit if not before: a nearer limit makes a shorter leap. Where nothing happens until then, or
    /// until single events end and leaps are tried again, it comes to that time.
    ///
    /// For what has to be looked at on the way, such as a threshold at which counts are
    /// [set](LeapWalk::set_counts) anew. [`advance`](LeapWalk::advance) is this until there is nothing left.
    ///
    /// # Errors
    /// As [`advance`](LeapWalk::advance), of the limit. The walk then stays where it is.
    pub fn next_leap(&mut self, limit: f64) -> Result<Option<f64>, Error> {
        self.check_limit("limit", limit)?;
        if self.now >= limit {
            return Ok(None);
        }
        self.step(limit)?;
        Ok(Some(self.now))
    }

    /// Sets the counts at the time of the walk, from which it goes on with them.
    ///
    /// The Poisson processes of the reactions go on as they are: what a refused leap has seen of them is still to come. To forget
    /// it would make those events rarer that leaps are refused for.
    ///
    /// ```
    /// use ctmc::network::{Counting, LeapMethod, LeapStep, Network, Rate, Reaction, TauLeaping};
    /// let make = Reaction::new("make", [], [("X", 1)], Rate::mass_action(1000.0, Counting::Ordered));
    /// let network = Network::new(["X"], vec![make])?;
    /// let leaping = TauLeaping::new(&network, LeapMethod::Euler, LeapStep::Fixed(0.01))?;
    /// let mut walk = leaping.walk(&[0], 0, numeric::Noise::new(1))?;
    /// // Emptied whenever there are more than 100, which is looked at after each leap of some 10.
    /// let mut times = 0;
    /// while let Some(_time) = walk.next_leap(1.0)? {
    ///     if walk.counts()[0] > 100 {
    ///         walk.set_counts(&[0])?;
    ///         times += 1;
    ///     }
    /// }
    /// assert_eq!(walk.leaps(), 100);
    /// assert!((7..=10).contains(&times));
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] unless there is one count for each species.
    pub fn set_counts(&mut self, counts: &[u32]) -> Result<(), Error> {
        Error::shape("counts", &[self.counts.len()], &[counts.len()])?;
        self.counts.copy_from_slice(counts);
        // Whether leaps are worth it is a matter of the counts.
        self.singles = 0;
        Ok(())
    }

    fn check_limit(&self, parameter: &'static str, limit: f64) -> Result<(), Error> {
        let ok = limit >= self.now && limit.is_finite();
        Error::domain(ok, parameter, limit, "a finite time, not before that of the walk")
    }
}

impl fmt::Debug for LeapWalk<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeapWalk")
            .field("row", &self.row)
            .field("time", &self.now)
            .field("counts", &self.counts)
            .field("leaps", &self.leaps)
            .field("single_events", &self.single_events)
            .field("refused", &self.refused)
            .finish_non_exhaustive()
    }
}
