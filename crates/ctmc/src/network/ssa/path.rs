//! Where paths start, and what is kept of them.

use numeric::Error;
use numeric::ndarray::{ArrayRef2, ArrayView1};

use crate::network::Network;

/// Where the paths of a network start.
#[derive(Clone, Copy, Debug)]
pub enum Start<'a> {
    /// All in this state.
    State(&'a [u32]),
    /// One state for each of the rows, `(n, species)`.
    States(&'a ArrayRef2<u32>),
}

impl<'a> Start<'a> {
    /// The state of a row, counted from the first.
    pub(in crate::network) fn row(self, place: usize) -> ArrayView1<'a, u32> {
        match self {
            Start::State(state) => ArrayView1::from(state),
            Start::States(states) => states.row(place),
        }
    }
}

/// A path of a network: the reactions that have happened, and when.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ReactionPath {
    /// The counts at time 0.
    pub start: Vec<u32>,
    /// The times of the events, ascending.
    pub times: Vec<f64>,
    /// The number of the reaction, for each event.
    pub reactions: Vec<u32>,
}

impl ReactionPath {
    /// The counts at a time, after the events at that time.
    ///
    /// # Errors
    /// If the path is not one of the network: for a reaction that cannot happen where it is said to have happened.
    ///
    /// # Panics
    /// If the network has not the path's species and reactions.
    pub fn counts_at(&self, network: &Network, time: f64) -> Result<Vec<u32>, Error> {
        let mut counts = self.start.clone();
        let passed = self.times.partition_point(|&t| t <= time);
        for &reaction in &self.reactions[..passed] {
            network.fire(reaction as usize, &mut counts)?;
        }
        Ok(counts)
    }
}

/// Where a path was stopped, from [`Ssa::until`](crate::network::Ssa::until).
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Stop {
    /// The time of the event after which the condition held; `None` if it did not until the end.
    pub time: Option<f64>,
    /// The counts then, or at the end.
    pub counts: Vec<u32>,
}
