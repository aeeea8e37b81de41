//! One path of a network of elementary reactions, without branches that cannot be foreseen.

use numeric::Error;

use super::elementary::Elementary;
use crate::network::Network;

/// Reactions worked on together; the last ones are filled up with reactions of rate 0.
const CHUNK: usize = 4;

/// The factors of a state, and what reactions do to them: all lists are of one length, filled up with changes of 0.
#[derive(Debug)]
pub(super) struct Flat {
    pub(super) constants: Vec<f64>,
    pairs: Vec<[u32; 2]>,
    /// The factors, and one that nothing reads.
    factors: Vec<f64>,
    /// Factors that are a count less 1, and the counts.
    less: Vec<(u32, u32)>,
    /// By reaction, `moves_each` of them.
    moves: Vec<(u32, f64)>,
    moves_each: usize,
    /// By reaction, `changes_each` of them.
    changes: Vec<(u32, i32)>,
    changes_each: usize,
}

impl Flat {
    pub(super) fn new(network: &Elementary) -> Flat {
        let Elementary { changes, less, factors, .. } = network;
        let moves: Vec<Vec<(u32, f64)>> = changes
            .iter()
            .map(|changes| {
                let of_counts = changes.iter().map(|&(species, change)| (species, f64::from(change)));
                let of_less = less.iter().filter_map(|&(factor, of)| {
                    changes
                        .iter()
                        .find(|change| change.0 == of)
                        .map(|&(_, change)| (factor, f64::from(change)))
                });
                of_counts.chain(of_less).collect()
            })
            .collect();
        let moves_each = moves.iter().map(Vec::len).max().unwrap_or(0);
        let changes_each = changes.iter().map(Vec::len).max().unwrap_or(0);
        let unread = *factors as u32;
        let fill = |list: &Vec<(u32, f64)>| {
            let mut list = list.clone();
            list.resize(moves_each, (unread, 0.0));
            list
        };
        let fill_changes = |list: &Vec<(u32, i32)>| {
            let mut list = list.clone();
            list.resize(changes_each, (0, 0));
            list
        };
        let reactions = network.constants.len().next_multiple_of(CHUNK);
        let (mut constants, mut pairs) = (network.constants.clone(), network.pairs.clone());
        constants.resize(reactions, 0.0);
        pairs.resize(reactions, [unread; 2]);
        Flat {
            constants,
            pairs,
            factors: vec![0.0; factors + 1],
            less: less.clone(),
            moves: moves.iter().flat_map(fill).collect(),
            moves_each,
            changes: changes.iter().flat_map(fill_changes).collect(),
            changes_each,
        }
    }

    pub(super) fn start(&mut self, counts: &[u32]) {
        for (factor, &count) in self.factors.iter_mut().zip(counts) {
            *factor = f64::from(count);
        }
        for &(factor, of) in &self.less {
            // Below 0 for a count of 0, by which it is multiplied: all changes are the same.
            self.factors[factor as usize] = f64::from(counts[of as usize]) - 1.0;
        }
        let one = self.factors.len() - 2;
        (self.factors[one], self.factors[one + 1]) = (1.0, 0.0);
    }

    /// Cumulative sums of the propensities, and the last of them.
    #[inline(always)]
    pub(super) fn sum_into(&self, cumulative: &mut [f64]) -> f64 {
        let mut total = 0.0;
        let chunks = self.pairs.as_chunks::<CHUNK>().0.iter().zip(self.constants.as_chunks::<CHUNK>().0);
        for ((pairs, constants), out) in chunks.zip(cumulative.as_chunks_mut::<CHUNK>().0) {
            let mut rates = [0.0; CHUNK];
            for k in 0..CHUNK {
                let [i, j] = pairs[k];
                rates[k] = self.factors[i as usize] * self.factors[j as usize] * constants[k];
            }
            for k in 0..CHUNK {
                total += rates[k];
                out[k] = total;
            }
        }
        total
    }

    #[inline(always)]
    pub(super) fn fire(
        &mut self,
        network: &Network,
        reaction: usize,
        counts: &mut [u32],
    ) -> Result<(), Error> {
        let changes = &self.changes[reaction * self.changes_each..][..self.changes_each];
        for (done, &(species, change)) in changes.iter().enumerate() {
            match counts[species as usize].checked_add_signed(change) {
                Some(count) => counts[species as usize] = count,
                None => {
                    for &(species, change) in &changes[..done] {
                        let count = &mut counts[species as usize];
                        *count = count.wrapping_add_signed(change.wrapping_neg());
                    }
                    return network.fire(reaction, counts);
                }
            }
        }
        for &(factor, change) in &self.moves[reaction * self.moves_each..][..self.moves_each] {
            self.factors[factor as usize] += change;
        }
        Ok(())
    }
}
