//! Thinning, for rates that depend on time and have bounds.

use numeric::{Error, RowStream};

use super::engine::{At, Engine, Event, check_total, first_above};
use crate::network::Network;

/// Lewis and Shedler (1979): candidates come at bounds that hold for a while, and are events with the ratio of the rate to
/// its bound as probability. Where no candidate comes while the bounds hold, new ones are asked for.
#[derive(Debug)]
pub(super) struct Thinning {
    /// How long bounds hold: the least span of all functions.
    span: f64,
    bounds: Vec<f64>,
    cumulative: Vec<f64>,
    /// The end of the window in which the bounds hold.
    end: f64,
    /// From where candidates are looked for.
    position: f64,
    /// A candidate that has been drawn and not looked at; infinite if the bounds are 0.
    candidate: Option<f64>,
    /// Windows and candidates since the last event.
    work: u64,
}

impl Thinning {
    pub(super) fn new(network: &Network) -> Result<Thinning, Error> {
        let (mut span, reactions) = (f64::INFINITY, network.reactions().len());
        for reaction in 0..reactions {
            match network.law(reaction).span() {
                Some(of) => span = span.min(of),
                None => {
                    return Err(Error::Unsupported {
                        method: "thinning",
                        reason: "a rate depends on time and no bound of it is given",
                    });
                }
            }
        }
        let zeros = vec![0.0; reactions];
        let (bounds, cumulative) = (zeros.clone(), zeros);
        Ok(Thinning { span, bounds, cumulative, end: 0.0, position: 0.0, candidate: None, work: 0 })
    }

    /// Looks for candidates from a time on, with new bounds.
    fn start_at(&mut self, time: f64) {
        (self.end, self.position, self.candidate) = (time, time, None);
    }

    /// Bounds from the position on.
    fn open(&mut self, at: &At<'_>) -> Result<(), Error> {
        let (from, to) = (self.position, self.position + self.span);
        let mut total = 0.0;
        for (reaction, (bound, cumulative)) in self.bounds.iter_mut().zip(&mut self.cumulative).enumerate() {
            let value = at.network.law(reaction).bound(from, to, at.counts).unwrap_or(f64::NAN);
            if !(value < f64::INFINITY) {
                return Err(at.network.refuse(reaction, "bound", value, "a finite number of at least 0"));
            }
            *bound = value;
            total += value;
            *cumulative = total;
        }
        check_total(total)?;
        self.end = to;
        Ok(())
    }

    /// Counts a window or a candidate.
    fn work(&mut self, at: &At<'_>) -> Result<(), Error> {
        self.work += 1;
        if self.work <= at.patience {
            return Ok(());
        }
        let reason = "as many windows and candidates without an event as there may be events";
        Err(Error::Stalled { row: at.row, time: self.position, step: self.span, steps: self.work, reason })
    }
}

impl Engine for Thinning {
    fn start(&mut self, at: &At<'_>, _: &mut RowStream) -> Result<(), Error> {
        self.work = 0;
        self.start_at(at.time);
        Ok(())
    }

    fn next(&mut self, at: &At<'_>, limit: f64, stream: &mut RowStream) -> Result<Option<Event>, Error> {
        loop {
            if self.position >= self.end {
                if self.position > limit {
                    return Ok(None);
                }
                self.work(at)?;
                self.open(at)?;
            }
            let total = self.cumulative.last().copied().unwrap_or(0.0);
            let candidate = match self.candidate {
                Some(candidate) => candidate,
                None if total == 0.0 => f64::INFINITY,
                None => self.position + stream.exponential() / total,
            };
            self.candidate = Some(candidate);
            let first = candidate.min(self.end);
            if first > limit || first == f64::INFINITY {
                return Ok(None);
            }
            self.candidate = None;
            if candidate > self.end {
                self.position = self.end;
                continue;
            }
            self.work(at)?;
            self.position = candidate;
            let reaction = first_above(&self.cumulative, stream.uniform() * total);
            let (value, bound) = (at.network.value(reaction, candidate, at.counts), self.bounds[reaction]);
            // A bound that is computed in another way may be lower by rounding.
            if !(value <= bound * (1.0 + 1e-12)) {
                return Err(at.network.refuse(
                    reaction,
                    "propensity",
                    value,
                    "at most the bound that was given",
                ));
            }
            if stream.uniform() * bound < value {
                return Ok(Some((candidate, reaction)));
            }
        }
    }

    fn fire(
        &mut self,
        network: &Network,
        (time, reaction): Event,
        counts: &mut [u32],
        _: &mut RowStream,
    ) -> Result<(), Error> {
        network.fire(reaction, counts)?;
        self.work = 0;
        self.start_at(time);
        Ok(())
    }
}
