//! Rejection with fluctuation intervals.

use numeric::{Error, RowStream};

use super::engine::{At, Engine, Event, check_total, first_above};
use crate::network::Network;

/// The rejection-based method of Thanh, Priami, Zunino (2014): while all counts stay within intervals, propensities stay
/// within bounds. Candidates come at the upper bounds, and most are accepted at the lower ones, so that propensities are
/// seldom computed.
#[derive(Debug)]
pub(super) struct Rejection {
    low: Vec<u32>,
    high: Vec<u32>,
    /// Species that a function reads: nothing is known of it between counts, so their intervals are points.
    pinned: Vec<bool>,
    lower: Vec<f64>,
    upper: Vec<f64>,
    /// Sums of the upper bounds.
    cumulative: Vec<f64>,
    /// A candidate that has been drawn and not looked at.
    candidate: Option<f64>,
    /// Candidates rejected since the last event.
    rejected: u64,
    /// Whether nothing can happen any more.
    dead: bool,
}

/// So many rejections in a row, and the propensities are computed: all of them may be 0 under bounds that are not.
const PATIENCE: u64 = 64;

impl Rejection {
    pub(super) fn new(network: &Network) -> Rejection {
        let (species, reactions) = (network.species().len(), network.reactions().len());
        let mut pinned = vec![false; species];
        for reaction in (0..reactions).filter(|&reaction| network.law(reaction).is_function()) {
            network.reads(reaction).iter().for_each(|&species| pinned[species as usize] = true);
        }
        Rejection {
            low: vec![0; species],
            high: vec![0; species],
            pinned,
            lower: vec![0.0; reactions],
            upper: vec![0.0; reactions],
            cumulative: vec![0.0; reactions],
            candidate: None,
            rejected: 0,
            dead: false,
        }
    }

    /// An interval around a count: a tenth of it to either side, and at least 4.
    fn enclose(&mut self, species: usize, count: u32) {
        let reach = if self.pinned[species] { 0 } else { (count / 10).max(4) };
        self.low[species] = count.saturating_sub(reach);
        self.high[species] = count.saturating_add(reach);
    }

    fn bound(&mut self, network: &Network, reaction: usize) -> Result<(), Error> {
        let (lower, upper) = network.law(reaction).range(&self.low, &self.high);
        self.lower[reaction] = lower;
        self.upper[reaction] = network.check_rate(reaction, upper)?;
        Ok(())
    }

    fn sum(&mut self) {
        let mut total = 0.0;
        for (cumulative, upper) in self.cumulative.iter_mut().zip(&self.upper) {
            total += upper;
            *cumulative = total;
        }
    }
}

impl Engine for Rejection {
    fn start(&mut self, at: &At<'_>, _: &mut RowStream) -> Result<(), Error> {
        for (species, &count) in at.counts.iter().enumerate() {
            self.enclose(species, count);
        }
        for reaction in 0..self.upper.len() {
            self.bound(at.network, reaction)?;
        }
        self.sum();
        (self.candidate, self.rejected, self.dead) = (None, 0, false);
        Ok(())
    }

    fn next(&mut self, at: &At<'_>, limit: f64, stream: &mut RowStream) -> Result<Option<Event>, Error> {
        let total = self.cumulative.last().copied().unwrap_or(0.0);
        if total == 0.0 || self.dead {
            return Ok(None);
        }
        check_total(total)?;
        let mut last = at.time;
        loop {
            let time = self.candidate.unwrap_or_else(|| last + stream.exponential() / total);
            self.candidate = Some(time);
            if time > limit {
                return Ok(None);
            }
            self.candidate = None;
            let reaction = first_above(&self.cumulative, stream.uniform() * total);
            let height = stream.uniform() * self.upper[reaction];
            if height < self.lower[reaction] || height < at.checked(reaction)? {
                return Ok(Some((time, reaction)));
            }
            last = time;
            self.rejected += 1;
            if self.rejected.is_multiple_of(PATIENCE) {
                let alive = at.propensities().map(|a| a.map(|a| a > 0.0)).collect::<Result<Vec<_>, _>>()?;
                self.dead = !alive.contains(&true);
                if self.dead {
                    return Ok(None);
                }
            }
        }
    }

    fn fire(
        &mut self,
        network: &Network,
        (_, reaction): Event,
        counts: &mut [u32],
        _: &mut RowStream,
    ) -> Result<(), Error> {
        network.fire(reaction, counts)?;
        self.rejected = 0;
        let mut moved = false;
        for &(species, _) in network.changes(reaction) {
            let (species, count) = (species as usize, counts[species as usize]);
            if count < self.low[species] || count > self.high[species] {
                self.enclose(species, count);
                for &reader in network.readers(species) {
                    self.bound(network, reader as usize)?;
                }
                moved |= !network.readers(species).is_empty();
            }
        }
        if moved {
            self.sum();
        }
        Ok(())
    }
}
