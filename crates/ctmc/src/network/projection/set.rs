//! The states of a projection, and the flow between them.

use std::collections::HashMap;

use numeric::Error;
use numeric::ndarray::Array2;

use super::law::CountLaw;
use crate::network::Network;
use crate::uniformization::Poisson;

/// The destination of a reaction that has not been looked for, or is not in the set.
const OUTSIDE: u32 = u32::MAX;

/// States with their reactions, in the order in which they were found.
pub(super) struct Set<'a> {
    network: &'a Network,
    species: usize,
    reactions: usize,
    numbers: HashMap<Box<[u32]>, u32>,
    /// One row for each state.
    counts: Vec<u32>,
    /// By state and reaction.
    rates: Vec<f64>,
    targets: Vec<u32>,
    exits: Vec<f64>,
    law: Vec<f64>,
    /// Powers of the uniformized chain applied to the law, and their weighted sum.
    power: Vec<f64>,
    next: Vec<f64>,
    sum: Vec<f64>,
    scratch: Vec<u32>,
}

/// How a law is propagated.
pub(super) struct Flow {
    /// Of the uniformized chain.
    pub(super) rate: f64,
    /// The flow in one jump above which a state is added.
    pub(super) threshold: f64,
    /// What may be wrong by taking the law for steady.
    pub(super) steady: f64,
    pub(super) most_states: usize,
}

/// What has become of a piece of time.
pub(super) struct Outcome {
    /// Bound of the error, that of the window apart.
    pub(super) lost: f64,
    /// The greatest exit rate of the states that were not added because they are too fast; 0 if there are none.
    pub(super) too_fast: f64,
}

impl<'a> Set<'a> {
    pub(super) fn new(network: &'a Network, start: &CountLaw) -> Result<Set<'a>, Error> {
        let (species, reactions) = (network.species().len(), network.reactions().len());
        let mut set = Set {
            network,
            species,
            reactions,
            numbers: HashMap::new(),
            counts: vec![],
            rates: vec![],
            targets: vec![],
            exits: vec![],
            law: vec![],
            power: vec![],
            next: vec![],
            sum: vec![],
            scratch: vec![0; species],
        };
        for (counts, &p) in start.states().rows().into_iter().zip(start.probabilities()) {
            if p > 0.0 {
                set.add(&counts.to_vec())?;
                *set.law.last_mut().expect("just added") = p;
            }
        }
        Ok(set)
    }

    pub(super) fn greatest_exit_rate(&self) -> f64 {
        self.exits.iter().copied().fold(0.0, f64::max)
    }

    /// Adds a state that is not in the set.
    fn add(&mut self, counts: &[u32]) -> Result<u32, Error> {
        let number = self.exits.len() as u32;
        let start = self.rates.len();
        self.rates.resize(start + self.reactions, 0.0);
        self.network.propensities_into(0.0, counts, &mut self.rates[start..])?;
        for (reaction, rate) in self.rates[start..].iter_mut().enumerate() {
            // A reaction that changes nothing is not a jump.
            if self.network.changes(reaction).is_empty() {
                *rate = 0.0;
            }
        }
        self.exits.push(self.rates[start..].iter().sum());
        self.targets.resize(start + self.reactions, OUTSIDE);
        self.counts.extend_from_slice(counts);
        self.numbers.insert(counts.into(), number);
        for vector in [&mut self.law, &mut self.power, &mut self.next, &mut self.sum] {
            vector.push(0.0);
        }
        Ok(number)
    }

    /// The weighted sum of the powers of the uniformized chain, of which `law` is not changed yet.
    pub(super) fn propagate(&mut self, window: &Poisson, flow: &Flow) -> Result<Outcome, Error> {
        let (first, end) = (window.first, window.first + window.weights.len());
        self.power.copy_from_slice(&self.law);
        self.sum.fill(0.0);
        // What has flowed out so far, and its weighted sum.
        let (mut out, mut outcome) = (0.0, Outcome { lost: 0.0, too_fast: 0.0 });
        for jump in 0..end {
            if jump >= first {
                let weight = window.weights[jump - first];
                self.sum.iter_mut().zip(&self.power).for_each(|(sum, p)| *sum += weight * p);
                outcome.lost += weight * out;
            }
            if jump + 1 == end {
                break;
            }
            out += self.jump(flow, &mut outcome.too_fast)?;
            let change = self.power.iter().zip(&self.next).map(|(a, b)| (a - b).abs()).sum::<f64>();
            std::mem::swap(&mut self.power, &mut self.next);
            if change * (end - jump) as f64 <= flow.steady {
                let weight: f64 = window.weights[(jump + 1).saturating_sub(first)..].iter().sum();
                self.sum.iter_mut().zip(&self.power).for_each(|(sum, p)| *sum += weight * p);
                outcome.lost += weight * out + change * (end - jump) as f64;
                break;
            }
        }
        Ok(outcome)
    }

    /// One jump of the uniformized chain, from `power` to `next`; returns what flows out.
    fn jump(&mut self, flow: &Flow, too_fast: &mut f64) -> Result<f64, Error> {
        self.next.fill(0.0);
        let mut out = 0.0;
        // States that are added on the way have no power yet.
        for state in 0..self.exits.len() {
            let p = self.power[state];
            if p == 0.0 {
                continue;
            }
            self.next[state] += p * (1.0 - self.exits[state] / flow.rate);
            let share = p / flow.rate;
            for reaction in state * self.reactions..(state + 1) * self.reactions {
                let moved = share * self.rates[reaction];
                let mut target = self.targets[reaction];
                if target == OUTSIDE && moved > flow.threshold {
                    target = self.find(state, reaction - state * self.reactions, flow, too_fast)?;
                }
                if target == OUTSIDE {
                    out += moved;
                } else {
                    self.next[target as usize] += moved;
                }
            }
        }
        Ok(out)
    }

    /// The destination of a reaction, which is added if it is slow enough.
    fn find(&mut self, state: usize, reaction: usize, flow: &Flow, too_fast: &mut f64) -> Result<u32, Error> {
        let mut counts = std::mem::take(&mut self.scratch);
        counts.copy_from_slice(&self.counts[state * self.species..][..self.species]);
        self.network.fire(reaction, &mut counts)?;
        let mut target = self.numbers.get(&counts[..]).copied().unwrap_or(OUTSIDE);
        if target == OUTSIDE {
            if self.exits.len() >= flow.most_states {
                return Err(Error::NotConverged {
                    routine: "finite state projection within the greatest number of states",
                    iterations: flow.most_states,
                    residual: f64::NAN,
                });
            }
            target = self.add(&counts)?;
        }
        self.scratch = counts;
        let exit = self.exits[target as usize];
        if exit > flow.rate {
            // It stays in the set for the next trial, and gets nothing in this one.
            *too_fast = too_fast.max(exit);
            return Ok(OUTSIDE);
        }
        self.targets[state * self.reactions + reaction] = target;
        Ok(target)
    }

    /// Takes the result of the propagation for the law.
    pub(super) fn accept(&mut self) {
        std::mem::swap(&mut self.law, &mut self.sum);
    }

    /// Drops the least probable states, of `allowed` together at most, and returns how much they are.
    pub(super) fn drop_states(&mut self, allowed: f64) -> f64 {
        let least = allowed / self.law.len() as f64;
        let mut place = vec![OUTSIDE; self.law.len()];
        let (mut kept, mut dropped) = (0, 0.0);
        for (state, &p) in self.law.iter().enumerate() {
            if p > least {
                place[state] = kept;
                kept += 1;
            } else {
                dropped += p;
            }
        }
        // Sets that shrink by little are not worth the copy, nor any probability.
        if kept as usize * 4 > self.law.len() * 3 {
            return 0.0;
        }
        for (state, &to) in place.iter().enumerate().filter(|(_, to)| **to != OUTSIDE) {
            let to = to as usize;
            self.law[to] = self.law[state];
            self.exits[to] = self.exits[state];
            self.counts.copy_within(state * self.species..(state + 1) * self.species, to * self.species);
            for reaction in 0..self.reactions {
                let (from, into) = (state * self.reactions + reaction, to * self.reactions + reaction);
                self.rates[into] = self.rates[from];
                let target = self.targets[from];
                self.targets[into] = if target == OUTSIDE { OUTSIDE } else { place[target as usize] };
            }
        }
        let kept = kept as usize;
        for vector in [&mut self.law, &mut self.exits, &mut self.power, &mut self.next, &mut self.sum] {
            vector.truncate(kept);
        }
        self.counts.truncate(kept * self.species);
        self.rates.truncate(kept * self.reactions);
        self.targets.truncate(kept * self.reactions);
        self.numbers.retain(|_, number| {
            *number = place[*number as usize];
            *number != OUTSIDE
        });
        dropped
    }

    /// The law with what it has lost, in order.
    pub(super) fn law(&self, lost: f64) -> CountLaw {
        let states = Array2::from_shape_vec((self.law.len(), self.species), self.counts.clone());
        CountLaw::sorted(states.expect("one row of counts for each state"), self.law.clone(), lost)
    }
}
