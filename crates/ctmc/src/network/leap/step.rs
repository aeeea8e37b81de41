//! One leap, or one event.

use numeric::Error;

use super::select::Among;
use super::walk::LeapWalk;
use super::{LeapMethod, LeapStep};

/// Leaps of fewer expected events than this are not worth it: events are made to happen one by one.
const FEW: f64 = 10.0;

/// How many events happen one by one before a leap is tried again.
const ONE_BY_ONE: usize = 100;

/// Greatest expected number of events of one reaction in a leap: what a Poisson number can have for its mean.
pub(super) const MOST: f64 = 1e15;

/// The implicit method is worth its equations where its step is so many times that of an explicit one (Cao, Gillespie, Petzold
/// 2007).
const STIFF: f64 = 100.0;

impl LeapWalk<'_> {
    /// Goes on, up to `limit` at most.
    pub(super) fn step(&mut self, limit: f64) -> Result<(), Error> {
        let steps = self.leaps + self.single_events;
        if steps >= self.of.max_steps {
            let reason = "the greatest number of leaps and events";
            let (row, time) = (self.row, self.now);
            return Err(Error::Stalled { row, time, step: limit - time, steps, reason });
        }
        if self.singles > 0 {
            return self.single_event(limit.min(self.singles_end));
        }
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
                self.implicit = self.of.method == LeapMethod::Implicit;
                (limit.min(grid_end(self.now, length)), f64::INFINITY)
            }
            LeapStep::Adaptive(epsilon) => {
                let step = self.select(epsilon);
                if step * total < FEW {
                    return self.one_by_one(limit);
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
                return self.one_by_one(end);
            }
        }
    }

    /// How long a leap may be. That of the implicit method is taken where it is far longer than an explicit one.
    fn select(&mut self, epsilon: f64) -> f64 {
        let (network, counts, rates) = (self.of.network, &self.counts, &self.propensities);
        let explicit = self.selection.select(network, counts, rates, epsilon, Among::All, &mut self.critical);
        if self.of.method != LeapMethod::Implicit {
            return explicit;
        }
        let implicit =
            self.selection.select(network, counts, rates, epsilon, Among::Unbalanced, &mut self.critical);
        // Reactions that are all in balance do not say how long a leap may be; an event of a critical one ends it.
        let is_bounded = implicit.is_finite() || self.critical.contains(&true);
        self.implicit = implicit > STIFF * explicit && is_bounded;
        if self.implicit { implicit } else { explicit }
    }

    /// The next events happen one by one until `end`; this makes the first.
    fn one_by_one(&mut self, end: f64) -> Result<(), Error> {
        (self.singles, self.singles_end) = (ONE_BY_ONE, end);
        self.single_event(end)
    }

    /// Makes one event happen, exactly: the next reaction method on clocks of which some may be known.
    fn single_event(&mut self, limit: f64) -> Result<(), Error> {
        let network = self.of.network;
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
        if let Some(reaction) = first {
            network.fire(reaction, &mut self.counts)?;
            self.now += wait;
            self.single_events += 1;
            self.singles -= 1;
        } else {
            self.now = limit;
            self.singles = 0;
        }
        self.pass_to(wait, first, |_| true);
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
            LeapMethod::Midpoint => self.draw_at_midpoint(length)?,
            LeapMethod::Trapezoidal(theta) => self.draw_in_two_stages(length, theta)?,
            LeapMethod::Implicit if self.implicit => self.draw_implicitly(length)?,
            LeapMethod::Euler | LeapMethod::Implicit => {
                self.draw(length);
                true
            }
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
