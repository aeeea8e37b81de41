//! Two paths that share their events.

use numeric::{Error, RowStream};

use crate::network::Network;

/// A path and a coarser one.
pub(super) struct Pair<'a> {
    network: &'a Network,
    pub(super) fine: Vec<i64>,
    pub(super) coarse: Vec<i64>,
    fine_rates: Vec<f64>,
    coarse_rates: Vec<f64>,
    scratch: Vec<u32>,
    /// How many propensities have been evaluated.
    pub(super) evaluations: u64,
}

impl<'a> Pair<'a> {
    pub(super) fn new(network: &'a Network, start: &[u32]) -> Pair<'a> {
        let (species, reactions) = (start.len(), network.reactions().len());
        Pair {
            network,
            fine: vec![0; species],
            coarse: vec![0; species],
            fine_rates: vec![0.0; reactions],
            coarse_rates: vec![0.0; reactions],
            scratch: vec![0; species],
            evaluations: 0,
        }
    }

    pub(super) fn restart(&mut self, start: &[u32]) {
        for path in [&mut self.fine, &mut self.coarse] {
            path.iter_mut().zip(start).for_each(|(n, &start)| *n = i64::from(start));
        }
        self.evaluations = 0;
    }

    fn set_fine_rates(&mut self) -> Result<(), Error> {
        self.evaluations += self.fine_rates.len() as u64;
        rates_into(self.network, &self.fine, &mut self.scratch, &mut self.fine_rates)
    }

    fn set_coarse_rates(&mut self) -> Result<(), Error> {
        self.evaluations += self.coarse_rates.len() as u64;
        rates_into(self.network, &self.coarse, &mut self.scratch, &mut self.coarse_rates)
    }
}

/// The propensities of a state, with 0 for counts that are negative.
fn rates_into(network: &Network, path: &[i64], scratch: &mut [u32], rates: &mut [f64]) -> Result<(), Error> {
    for (species, (count, &n)) in scratch.iter_mut().zip(path).enumerate() {
        *count = match u32::try_from(n.max(0)) {
            Ok(count) => count,
            Err(_) => return Err(network.refuse_count(0, species, n)),
        };
    }
    network.propensities_into(0.0, scratch, rates)
}

fn change(network: &Network, path: &mut [i64], reaction: usize, times: u64) -> Result<(), Error> {
    for &(species, change) in network.changes(reaction) {
        let n = &mut path[species as usize];
        let next =
            i64::try_from(times).ok().and_then(|times| n.checked_add(times.checked_mul(i64::from(change))?));
        *n = next.ok_or_else(|| network.refuse_count(reaction, species as usize, i64::MAX))?;
    }
    Ok(())
}

/// Greatest mean of a Poisson number of events in a step.
const MOST: f64 = 1e15;

/// Leaps, and others of twice the length beside them.
pub(super) struct Leaps {
    pub(super) end: f64,
    pub(super) steps: u64,
    /// Whether there is a path beside.
    pub(super) coarse: bool,
}

impl Leaps {
    pub(super) fn run(&self, pair: &mut Pair<'_>, stream: &mut RowStream) -> Result<(), Error> {
        let length = self.end / self.steps as f64;
        let network = pair.network;
        let draw = |stream: &mut RowStream, rate: f64| {
            let mean = rate * length;
            Error::domain(mean <= MOST, "events in a step", mean, "a mean of at most 1e15")?;
            Ok::<u64, Error>(stream.poisson(mean))
        };
        for step in 0..self.steps {
            pair.set_fine_rates()?;
            if self.coarse && step % 2 == 0 {
                pair.set_coarse_rates()?;
            }
            for reaction in 0..pair.fine_rates.len() {
                let fine = pair.fine_rates[reaction];
                if !self.coarse {
                    change(network, &mut pair.fine, reaction, draw(stream, fine)?)?;
                    continue;
                }
                let coarse = pair.coarse_rates[reaction];
                let both = draw(stream, fine.min(coarse))?;
                let one = draw(stream, (fine - coarse).abs())?;
                let (of_fine, of_coarse) = if fine > coarse { (one, 0) } else { (0, one) };
                change(network, &mut pair.fine, reaction, both + of_fine)?;
                change(network, &mut pair.coarse, reaction, both + of_coarse)?;
            }
        }
        Ok(())
    }
}

/// An exact path, and leaps beside it, event by event.
pub(super) struct Exact {
    pub(super) end: f64,
    pub(super) steps: u64,
    pub(super) row: u64,
}

/// A path with more events than that is taken to have no end.
const MOST_EVENTS: u64 = 1_000_000_000;

impl Exact {
    pub(super) fn run(&self, pair: &mut Pair<'_>, stream: &mut RowStream) -> Result<(), Error> {
        let network = pair.network;
        let mut events = 0;
        for step in 0..self.steps {
            let until = self.end * ((step + 1) as f64 / self.steps as f64);
            let mut now = self.end * (step as f64 / self.steps as f64);
            pair.set_coarse_rates()?;
            loop {
                pair.set_fine_rates()?;
                // An event at the rate max(a, b) is one of both paths, or of the faster one.
                let rates = || pair.fine_rates.iter().zip(&pair.coarse_rates).map(|(a, b)| a.max(*b));
                let total: f64 = rates().sum();
                Error::domain(total.is_finite(), "total propensity", total, "a finite number")?;
                if total == 0.0 {
                    break;
                }
                now += stream.exponential() / total;
                if now >= until {
                    break;
                }
                events += 1;
                if events > MOST_EVENTS {
                    let reason = "the greatest number of events";
                    let step = until - now;
                    return Err(Error::Stalled { row: self.row, time: now, step, steps: events, reason });
                }
                let mut target = stream.uniform() * total;
                let mut chosen = None;
                for (reaction, rate) in rates().enumerate().filter(|(_, rate)| *rate > 0.0) {
                    chosen = Some((reaction, target));
                    if target < rate {
                        break;
                    }
                    target -= rate;
                }
                let (reaction, target) = chosen.expect("a total above 0 has a rate above 0");
                let (fine, coarse) = (pair.fine_rates[reaction], pair.coarse_rates[reaction]);
                // What is left of the target is uniform up to the rate.
                let is_both = target < fine.min(coarse);
                if is_both || fine > coarse {
                    change(network, &mut pair.fine, reaction, 1)?;
                    for &(species, _) in network.changes(reaction) {
                        let count = pair.fine[species as usize];
                        if count < 0 {
                            return Err(network.refuse_count(reaction, species as usize, count));
                        }
                    }
                }
                if is_both || coarse > fine {
                    change(network, &mut pair.coarse, reaction, 1)?;
                }
            }
        }
        Ok(())
    }
}
