//! Composition and rejection.

use numeric::{Error, RowStream};

use super::engine::{At, Engine, Event, Total, check_total};
use crate::network::Network;

/// Slepoy, Thompson, Plimpton (2008): reactions are grouped by the power of two below their propensity. A group is chosen
/// by its sum; within it, reactions are drawn evenly and accepted with a probability of at least a half. The cost of an
/// event does not grow with the number of reactions.
#[derive(Debug)]
pub(super) struct CompositionRejection {
    reactions: Vec<Place>,
    groups: Vec<Group>,
    /// By exponent: the group, if there is one.
    of_exponent: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    propensity: f64,
    group: u32,
    /// Among the members of the group.
    index: u32,
}

#[derive(Debug)]
struct Group {
    /// Above all propensities of the group, and at most twice the least.
    bound: f64,
    members: Vec<u32>,
    total: Total,
}

const NONE: u32 = u32::MAX;

impl CompositionRejection {
    pub(super) fn new(network: &Network) -> CompositionRejection {
        let nowhere = Place { propensity: 0.0, group: NONE, index: 0 };
        CompositionRejection {
            reactions: vec![nowhere; network.reactions().len()],
            groups: vec![],
            of_exponent: vec![NONE; 2048],
        }
    }

    fn set(&mut self, reaction: usize, new: f64) {
        let Place { propensity: old, group, index } = self.reactions[reaction];
        let to = if new == 0.0 { NONE } else { self.group_of(new) };
        self.reactions[reaction].propensity = new;
        if group == to {
            if to != NONE {
                self.groups[to as usize].total.change(old, new);
            }
            return;
        }
        if group != NONE {
            let from = &mut self.groups[group as usize];
            from.members.swap_remove(index as usize);
            from.total.change(old, 0.0);
            if from.members.is_empty() {
                from.total = Total::default();
            }
            if let Some(&moved) = from.members.get(index as usize) {
                self.reactions[moved as usize].index = index;
            }
        }
        if to != NONE {
            let group = &mut self.groups[to as usize];
            self.reactions[reaction].index = group.members.len() as u32;
            group.members.push(reaction as u32);
            group.total.change(0.0, new);
        }
        self.reactions[reaction].group = to;
    }

    fn group_of(&mut self, propensity: f64) -> u32 {
        let exponent = (propensity.to_bits() >> 52) as usize;
        if self.of_exponent[exponent] == NONE {
            self.of_exponent[exponent] = self.groups.len() as u32;
            // Infinite for the greatest, and then used as the greatest number.
            let bound = f64::from_bits((exponent as u64 + 1) << 52).min(f64::MAX);
            self.groups.push(Group { bound, members: vec![], total: Total::default() });
        }
        self.of_exponent[exponent]
    }
}

impl Engine for CompositionRejection {
    fn start(&mut self, at: &At<'_>, _: &mut RowStream) -> Result<(), Error> {
        // Groups are made in the order of this path: rows do not depend on each other.
        self.groups.clear();
        self.of_exponent.fill(NONE);
        for (reaction, value) in at.propensities().enumerate() {
            self.reactions[reaction].group = NONE;
            self.set(reaction, value?);
        }
        Ok(())
    }

    fn next(&mut self, at: &At<'_>, _: f64, stream: &mut RowStream) -> Result<Option<Event>, Error> {
        let mut total = 0.0;
        for Group { members, total: sum, .. } in &mut self.groups {
            if sum.is_stale() && !members.is_empty() {
                *sum = Total::new(members.iter().map(|&member| self.reactions[member as usize].propensity));
            }
            total += sum.get();
        }
        if total == 0.0 {
            return Ok(None);
        }
        check_total(total)?;
        let time = at.time + stream.exponential() / total;
        let mut left = stream.uniform() * total;
        // Where rounding leaves something over, it goes to the last group that is not empty.
        let mut chosen = None;
        for group in self.groups.iter().filter(|group| !group.members.is_empty()) {
            chosen = Some(group);
            if left < group.total.get() {
                break;
            }
            left -= group.total.get();
        }
        let Some(group) = chosen else { return Ok(None) };
        loop {
            let index = (stream.uniform() * group.members.len() as f64) as usize;
            let member = group.members[index.min(group.members.len() - 1)] as usize;
            if stream.uniform() * group.bound < self.reactions[member].propensity {
                return Ok(Some((time, member)));
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
        for &reaction in network.affected(reaction) {
            let value = network.value(reaction as usize, time, counts);
            self.set(reaction as usize, network.check_rate(reaction as usize, value)?);
        }
        Ok(())
    }
}
