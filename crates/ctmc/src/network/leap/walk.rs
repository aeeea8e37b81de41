//! One path on its way.

use std::fmt;

use numeric::{Error, Noise, RowStream};

use super::clock::Clock;
use super::select::Selection;
use super::smooth::{Newton, Smooth};
use super::{LeapMethod, LeapStep, TauLeaping};

/// Leaps of fewer expected events than this are not worth it: events are made to happen one by one.
const FEW: f64 = 10.0;

/// How many events happen one by one before a leap is tried again.
const ONE_BY_ONE: usize = 100;

/// Greatest expected number of events of one reaction in a leap: what a Poisson number can have for its mean.
pub(super) const MOST: f64 = 1e15;

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
    row: u64,
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
    changers: Vec<Vec<(usize, i32)>>,
    selection: Selection,
    pub(super) smooth: Smooth,
    pub(super) newton: Newton,
    leaps: u64,
    single_events: u64,
    refused: u64,
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

    /// How many rates of the second stage of [`LeapMethod::Trapezoidal`] were negative, and 0 instead.
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
        let ok = time >= self.now && time.is_finite();
        Error::domain(ok, "time", time, "a finite time, not before that of the walk")?;
        for round in 0.. {
            if self.now >= time {
                break;
            }
            watch(round)?;
            let steps = self.leaps + self.single_events;
            if steps >= self.of.max_steps {
                let reason = "the greatest number of leaps and events";
                return Err(Error::Stalled {
                    row: self.row,
                    time: self.now,
                    step: time - self.now,
                    steps,
                    reason,
                });
            }
            self.step(time)?;
        }
        Ok(())
    }

    /// Goes on, up to `limit` at most.
    fn step(&mut self, limit: f64) -> Result<(), Error> {
        let network = self.of.network;
        network.propensities_into(self.now, &self.counts, &mut self.propensities)?;
        let total: f64 = self.propensities.iter().sum();
        Error::domain(total.is_finite(), "total propensity", total, "a finite number")?;
        if total == 0.0 {
            self.now = limit;
            return Ok(());
        }
        let (end, longest) = match self.of.step {
            LeapStep::Fixed(length) => {
                self.critical.fill(false);
                (limit.min(grid_end(self.now, length)), f64::INFINITY)
            }
            LeapStep::Adaptive(epsilon) => {
                let (counts, rates) = (&self.counts, &self.propensities);
                let step = self.selection.select(network, counts, rates, epsilon, &mut self.critical);
                if step * total < FEW {
                    return self.one_by_one(limit, ONE_BY_ONE);
                }
                (limit, step)
            }
        };
        // The first of the critical events ends the leap.
        let (mut first, mut until_event) = (None, f64::INFINITY);
        for (reaction, clock) in self.clocks.iter_mut().enumerate().filter(|(r, _)| self.critical[*r]) {
            let wait = clock.next_event(&mut self.stream) / self.propensities[reaction];
            if wait < until_event {
                (first, until_event) = (Some(reaction), wait);
            }
        }
        let mut length = longest.min(until_event).min(end - self.now);
        loop {
            let event = first.filter(|_| length == until_event);
            if self.try_leap(length, event)? {
                self.leaps += 1;
                self.now = if length == end - self.now { end } else { self.now + length };
                return Ok(());
            }
            self.refused += 1;
            length *= 0.5;
            // Not up to the end of the leap alone: that may be now, to rounding.
            if length * total < FEW {
                return self.one_by_one(end, ONE_BY_ONE);
            }
        }
    }

    /// Makes events happen one by one, exactly: the next reaction method on clocks of which some may be known.
    fn one_by_one(&mut self, limit: f64, most: usize) -> Result<(), Error> {
        let network = self.of.network;
        for _ in 0..most {
            network.propensities_into(self.now, &self.counts, &mut self.propensities)?;
            let (mut first, mut wait) = (None, limit - self.now);
            for (reaction, (clock, &a)) in self.clocks.iter_mut().zip(&self.propensities).enumerate() {
                if a > 0.0 {
                    let of = clock.next_event(&mut self.stream) / a;
                    if of < wait {
                        (first, wait) = (Some(reaction), of);
                    }
                }
            }
            self.pass_to(wait, first, |_| true);
            let Some(reaction) = first else {
                self.now = limit;
                return Ok(());
            };
            network.fire(reaction, &mut self.counts)?;
            self.now += wait;
            self.single_events += 1;
        }
        Ok(())
    }

    /// Moves the clocks of some reactions on to the next event, which is one of `first`, or to where there is none yet.
    fn pass_to(&mut self, wait: f64, first: Option<usize>, of: impl Fn(usize) -> bool) {
        for (reaction, (clock, &a)) in self.clocks.iter_mut().zip(&self.propensities).enumerate() {
            if first == Some(reaction) {
                clock.pass_event();
            } else if a > 0.0 && of(reaction) {
                clock.pass_to(a * wait);
            }
        }
    }

    /// A leap, at the end of which a critical reaction may happen; false if it is refused, and then nothing has changed but
    /// what is known of the clocks.
    fn try_leap(&mut self, length: f64, event: Option<usize>) -> Result<bool, Error> {
        let most = self.propensities.iter().copied().fold(0.0, f64::max);
        if most * length > MOST {
            return Ok(false);
        }
        for (reaction, events) in self.events.iter_mut().enumerate() {
            *events = i64::from(event == Some(reaction));
        }
        let drawn = match self.of.method {
            LeapMethod::Euler => {
                self.draw(length);
                true
            }
            LeapMethod::Midpoint => self.draw_at_midpoint(length)?,
            LeapMethod::Trapezoidal(theta) => self.draw_in_two_stages(length, theta)?,
            LeapMethod::Implicit => self.draw_implicitly(length)?,
        };
        if !(drawn && self.go()) {
            return Ok(false);
        }
        std::mem::swap(&mut self.counts, &mut self.next);
        for (reaction, clock) in self.clocks.iter_mut().enumerate() {
            if !self.critical[reaction] {
                clock.pass(self.stretches[reaction]);
            }
        }
        // Critical reactions that do not happen.
        let critical = std::mem::take(&mut self.critical);
        self.pass_to(length, event, |reaction| critical[reaction]);
        self.critical = critical;
        Ok(true)
    }

    /// Where the events lead to, in `next`; false if that is no state.
    pub(super) fn go(&mut self) -> bool {
        self.next.copy_from_slice(&self.counts);
        // Sums of all reactions: a species may be made and used up in the same leap.
        for (species, next) in self.next.iter_mut().enumerate() {
            let changes = self.changers[species].iter();
            let change: i128 = changes
                .map(|&(reaction, change)| i128::from(change) * i128::from(self.events[reaction]))
                .sum();
            match u32::try_from(i128::from(*next) + change) {
                Ok(count) => *next = count,
                Err(_) => return false,
            }
        }
        true
    }
}

/// The next multiple of `length` after a time.
fn grid_end(now: f64, length: f64) -> f64 {
    let next = (now / length).floor() + 1.0;
    // The quotient may have been rounded down to just below an integer.
    if next * length > now { next * length } else { (next + 1.0) * length }
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
