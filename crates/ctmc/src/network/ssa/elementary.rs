//! Networks of elementary reactions in a flat form, for inner loops without branches.

use numeric::ndarray::ArrayView1;

use crate::network::Network;

/// Mass action of at most two molecules: propensities $`(x_i x_j)\, c`$ over numbered factors.
///
/// The factors are the counts, then for each species of which a reaction takes two, the count less 1, then the number 1.
#[derive(Debug)]
pub(super) struct Elementary {
    pub(super) constants: Vec<f64>,
    /// By reaction: its two factors.
    pub(super) pairs: Vec<[u32; 2]>,
    /// By reaction: what happens to the counts.
    pub(super) changes: Vec<Vec<(u32, i32)>>,
    /// Factors that are a count less 1: the factor, and that of the count.
    pub(super) less: Vec<(u32, u32)>,
    pub(super) factors: usize,
    /// Of those upwards; 0 if there is none.
    pub(super) greatest_change: i32,
    pub(super) species: usize,
}

/// With more reactions it is better to look for the propensities that have changed.
const MOST_REACTIONS: usize = 64;

impl Elementary {
    /// A small network of this form.
    pub(super) fn small(network: &Network) -> Option<Elementary> {
        (network.reactions().len() <= MOST_REACTIONS).then(|| Elementary::new(network)).flatten()
    }

    /// `None` if the network is not of this form.
    fn new(network: &Network) -> Option<Elementary> {
        let (species, reactions) = (network.species().len(), network.reactions().len());
        let mut less: Vec<(u32, u32)> = vec![];
        let mut kinds = vec![];
        for reaction in 0..reactions {
            let constant = network.law(reaction).constant()?;
            kinds.push(constant);
            match *network.orders(reaction) {
                [] | [(_, 1)] | [(_, 1), (_, 1)] => {}
                [(of, 2)] if less.iter().all(|&(_, known)| known != of) => {
                    less.push(((species + less.len()) as u32, of));
                }
                [(_, 2)] => {}
                _ => return None,
            }
        }
        let one = (species + less.len()) as u32;
        let below = |of: u32| less.iter().find(|&&(_, known)| known == of).map_or(one, |&(factor, _)| factor);
        let pairs = (0..reactions).map(|reaction| match *network.orders(reaction) {
            [(a, 1)] => [a, one],
            [(a, 1), (b, 1)] => [a, b],
            [(a, _)] => [a, below(a)],
            _ => [one, one],
        });
        let changes: Vec<Vec<_>> =
            (0..reactions).map(|reaction| network.changes(reaction).to_vec()).collect();
        Some(Elementary {
            constants: kinds,
            pairs: pairs.collect(),
            greatest_change: changes.iter().flatten().fold(0, |greatest, &(_, change)| change.max(greatest)),
            changes,
            factors: one as usize + 1,
            species,
            less,
        })
    }

    /// The factors of a state.
    pub(super) fn factors(&self, counts: ArrayView1<'_, u32>) -> Vec<f64> {
        let mut factors: Vec<f64> = counts.iter().map(|&n| f64::from(n)).collect();
        factors.extend(self.less.iter().map(|&(_, of)| f64::from(counts[of as usize].saturating_sub(1))));
        factors.push(1.0);
        factors
    }
}
