//! The next reaction method, for rates that may depend on time.

use numeric::{Error, RowStream};

use super::engine::{At, Engine, Event};
use super::queue::Queue;
use crate::network::Network;

/// Each reaction has a clock that runs at the speed of its propensity, and happens when the clock has run a standard
/// exponential (Anderson 2007). What is left of it is kept when the propensity changes: one number of the stream for
/// each event, as in the method of Gibson and Bruck (2000), whose queue holds the times.
#[derive(Debug)]
pub(super) struct NextReaction {
    clocks: Vec<Clock>,
    queue: Queue,
}

#[derive(Clone, Copy, Debug)]
struct Clock {
    /// What was left to run at time `since`.
    left: f64,
    since: f64,
    /// Constant since then, if it does not depend on time.
    propensity: f64,
    in_time: bool,
    /// Whether the time in the queue is that of the event, and not just a time before it.
    known: bool,
}

impl NextReaction {
    pub(super) fn new(network: &Network) -> Result<NextReaction, Error> {
        let reactions = network.reactions().len();
        let clock = |reaction| Clock {
            left: 0.0,
            since: 0.0,
            propensity: 0.0,
            in_time: network.law(reaction).is_time_dependent(),
            known: false,
        };
        if (0..reactions).any(|reaction| !network.law(reaction).has_integral()) {
            return Err(Error::Unsupported {
                method: "next reaction method",
                reason: "a rate depends on time and its integral is not given",
            });
        }
        Ok(NextReaction { clocks: (0..reactions).map(clock).collect(), queue: Queue::new(reactions) })
    }

    /// Reads the propensity of a reaction whose clock stands at `since`, and sets the time of its event.
    fn schedule(&mut self, network: &Network, reaction: usize, counts: &[u32]) -> Result<(), Error> {
        let clock = &mut self.clocks[reaction];
        let mut time = clock.since;
        clock.known = !clock.in_time;
        if clock.known {
            clock.propensity = network.check_rate(reaction, network.value(reaction, time, counts))?;
            let wait = clock.left / clock.propensity;
            // A clock that stands still never comes to its end, not even one that is there.
            time = if clock.propensity == 0.0 { f64::INFINITY } else { time + wait };
        }
        self.queue.set(reaction, time);
        Ok(())
    }

    /// Lets the clock of a reaction run to a time, in a state that has been the same since it was read.
    fn run(&mut self, network: &Network, reaction: usize, time: f64, counts: &[u32]) -> Result<(), Error> {
        let clock = &mut self.clocks[reaction];
        let run = if clock.in_time {
            integral(network, reaction, clock.since, time, counts)?
        } else {
            clock.propensity * (time - clock.since)
        };
        // Rounding must not let it run past its end.
        clock.left = (clock.left - run).max(0.0);
        clock.since = time;
        Ok(())
    }
}

impl Engine for NextReaction {
    fn start(&mut self, at: &At<'_>, stream: &mut RowStream) -> Result<(), Error> {
        for reaction in 0..self.clocks.len() {
            let clock = &mut self.clocks[reaction];
            (clock.left, clock.since) = (stream.exponential(), at.time);
            self.schedule(at.network, reaction, at.counts)?;
        }
        Ok(())
    }

    fn next(&mut self, at: &At<'_>, limit: f64, _: &mut RowStream) -> Result<Option<Event>, Error> {
        while let Some((reaction, time)) = self.queue.first() {
            let clock = &mut self.clocks[reaction];
            if clock.known {
                return Ok((time < f64::INFINITY).then_some((time, reaction)));
            }
            if time > limit {
                return Ok(None);
            }
            let found = end_of_clock(at, reaction, clock, limit)?;
            clock.known = found.is_some();
            self.queue.set(reaction, found.unwrap_or(limit.next_up()));
        }
        Ok(None)
    }

    fn fire(
        &mut self,
        network: &Network,
        (time, reaction): Event,
        counts: &mut [u32],
        stream: &mut RowStream,
    ) -> Result<(), Error> {
        for &other in network.affected(reaction) {
            self.run(network, other as usize, time, counts)?;
        }
        network.fire(reaction, counts)?;
        let clock = &mut self.clocks[reaction];
        (clock.left, clock.since) = (stream.exponential(), time);
        self.schedule(network, reaction, counts)?;
        for &other in network.affected(reaction) {
            if other as usize != reaction {
                self.schedule(network, other as usize, counts)?;
            }
        }
        Ok(())
    }
}

/// The integral of a propensity over time, if it is a number of at least 0.
fn integral(network: &Network, reaction: usize, from: f64, to: f64, counts: &[u32]) -> Result<f64, Error> {
    let value = network.law(reaction).integral(from, to, counts).unwrap_or(f64::NAN);
    if value >= 0.0 {
        Ok(value)
    } else {
        Err(network.refuse(reaction, "integral", value, "a number of at least 0"))
    }
}

/// The time until `limit` at which a clock has run what is left of it.
///
/// Found by doubling a step and halving it again, on times that do not depend on the limit, to the last bit.
fn end_of_clock(at: &At<'_>, reaction: usize, clock: &Clock, limit: f64) -> Result<Option<f64>, Error> {
    let has_run = |time: f64| -> Result<bool, Error> {
        Ok(integral(at.network, reaction, clock.since, time, at.counts)? >= clock.left)
    };
    // `at` may be earlier in time than the clock was read, never later: nothing has happened to it since.
    let rate = at.network.value(reaction, clock.since, at.counts);
    let guess = clock.left / rate;
    let mut step = if guess > 0.0 && guess < f64::INFINITY { guess } else { 1.0 };
    let mut low = clock.since;
    let mut high = loop {
        let high = clock.since + step;
        if high >= limit {
            if !has_run(limit)? {
                return Ok(None);
            }
            break high;
        }
        if has_run(high)? {
            break high;
        }
        low = high;
        step *= 2.0;
    };
    loop {
        let middle = low + 0.5 * (high - low);
        if middle <= low || middle >= high {
            return Ok(Some(high.min(limit)));
        }
        // Beyond the limit it has run, and is not looked at.
        if middle >= limit || has_run(middle)? {
            high = middle;
        } else {
            low = middle;
        }
    }
}
