//! The choice of a step.

use std::collections::HashMap;

use crate::network::{Network, Rate};

/// A reaction that could use up a species within so many events is critical.
const CRITICAL: f64 = 10.0;

/// Reactions and their reverses are in partial equilibrium if their propensities differ by at most this part of the smaller one.
const BALANCED: f64 = 0.05;

/// The reactions whose changes bound a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Among {
    /// All but those that are critical.
    All,
    /// Without those that are in partial equilibrium with their reverse, as the implicit method is stable for them.
    Unbalanced,
}

/// What the choice of Cao, Gillespie and Petzold needs to know of a network.
#[derive(Clone, Debug)]
pub(super) struct Selection {
    /// By species: in which ways propensities depend on it; empty if none does.
    dependences: Vec<Vec<Dependence>>,
    /// By reaction: the class of those that change the counts alike, and of those that undo it.
    classes: Vec<(usize, Option<usize>)>,
    /// Of each class, without critical reactions.
    sums: Vec<f64>,
    means: Vec<f64>,
    variances: Vec<f64>,
}

/// How a propensity depends on a count x: to first order it changes relatively by g dx/x.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Dependence {
    /// $`g = \frac ok \sum_{j < k} \frac{x}{x - j}`$ with the order o of the reaction, which takes k.
    Sets { order: u32, own: u32 },
    /// g is at most this.
    Power(f64),
}

impl Dependence {
    /// The factor g, for a count of at least k.
    fn value(self, x: f64) -> f64 {
        match self {
            Dependence::Sets { order, own } => {
                let sum: f64 = (0..own).map(|j| x / (x - f64::from(j))).sum();
                f64::from(order) / f64::from(own) * sum
            }
            Dependence::Power(g) => g,
        }
    }
}

impl Selection {
    pub(super) fn new(network: &Network) -> Selection {
        let species = network.species().len();
        let mut dependences = vec![vec![]; species];
        for (reaction, of) in network.reactions().iter().enumerate() {
            let orders = network.orders(reaction);
            let order: u32 = orders.iter().map(|&(_, k)| k).sum();
            for &read in network.reads(reaction) {
                let own = orders.iter().find(|&&(species, _)| species == read).map_or(0, |&(_, k)| k);
                let dependence = match &of.rate {
                    Rate::MassAction { .. } => Dependence::Sets { order, own },
                    Rate::MichaelisMenten { .. } => Dependence::Power(f64::from(1 + order)),
                    Rate::HillActivation { exponent, .. } | Rate::HillRepression { exponent, .. } => {
                        Dependence::Power(exponent.max(1.0) + f64::from(order))
                    }
                    // Unknown: as of two molecules.
                    Rate::Function(_) => Dependence::Power(f64::from(2 + order)),
                };
                let list: &mut Vec<Dependence> = &mut dependences[read as usize];
                if !list.contains(&dependence) {
                    list.push(dependence);
                }
            }
        }
        let classes = classes(network);
        let sums = vec![0.0; classes.len()];
        Selection { dependences, classes, sums, means: vec![0.0; species], variances: vec![0.0; species] }
    }

    /// The longest step in which no propensity is expected to change by more than about `epsilon` of itself, critical
    /// reactions apart, which are marked.
    pub(super) fn select(
        &mut self,
        network: &Network,
        counts: &[u32],
        propensities: &[f64],
        epsilon: f64,
        among: Among,
        critical: &mut [bool],
    ) -> f64 {
        for (reaction, (&a, critical)) in propensities.iter().zip(critical.iter_mut()).enumerate() {
            let changes = network.changes(reaction);
            let events = changes
                .iter()
                .filter(|&&(_, change)| change < 0)
                .map(|&(species, change)| (f64::from(counts[species as usize]) / f64::from(-change)).floor());
            *critical = a > 0.0 && events.fold(f64::INFINITY, f64::min) < CRITICAL;
        }
        self.means.fill(0.0);
        self.variances.fill(0.0);
        self.sums.fill(0.0);
        let going = || propensities.iter().enumerate().filter(|(r, _)| !critical[*r]);
        for (reaction, &a) in going() {
            self.sums[self.classes[reaction].0] += a;
        }
        for (reaction, &a) in going() {
            let (class, reverse) = self.classes[reaction];
            let balanced = |reverse: usize| {
                let (a, b) = (self.sums[class], self.sums[reverse]);
                (a - b).abs() <= BALANCED * a.min(b)
            };
            if among == Among::Unbalanced && reverse.is_some_and(balanced) {
                continue;
            }
            for &(species, change) in network.changes(reaction) {
                let change = f64::from(change);
                self.means[species as usize] += change * a;
                self.variances[species as usize] += change * change * a;
            }
        }
        let mut step = f64::INFINITY;
        for (species, dependences) in self.dependences.iter().enumerate() {
            if dependences.is_empty() || self.variances[species] == 0.0 {
                continue;
            }
            let x = f64::from(counts[species]);
            let g = dependences.iter().map(|dependence| dependence.value(x)).fold(0.0, f64::max);
            // A count cannot change by less than 1; nor where the formula for g has no meaning.
            let change = if g > 0.0 { (epsilon * x / g).max(1.0) } else { 1.0 };
            step =
                step.min(change / self.means[species].abs()).min(change * change / self.variances[species]);
        }
        step
    }
}

/// For each reaction the first one with the same changes, and the first one with the opposite changes.
fn classes(network: &Network) -> Vec<(usize, Option<usize>)> {
    let sorted = |reaction: usize, sign: i64| {
        let changes = network.changes(reaction).iter();
        let mut list: Vec<(u32, i64)> = changes.map(|&(species, k)| (species, sign * i64::from(k))).collect();
        list.sort_unstable();
        list
    };
    let mut first = HashMap::new();
    for reaction in 0..network.reactions().len() {
        first.entry(sorted(reaction, 1)).or_insert(reaction);
    }
    let of = |reaction| {
        let class = first[&sorted(reaction, 1)];
        // What changes nothing is no reverse of itself.
        (class, first.get(&sorted(reaction, -1)).copied().filter(|&reverse| reverse != class))
    };
    (0..network.reactions().len()).map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Counting, Reaction};

    fn mass(constant: f64) -> Rate {
        Rate::mass_action(constant, Counting::Combinations)
    }

    #[test]
    fn factors_of_the_paper() {
        for x in [5.0, 17.0, 1000.0] {
            let sets = |order, own| Dependence::Sets { order, own }.value(x);
            assert_eq!([sets(1, 1), sets(2, 1), sets(3, 1)], [1.0, 2.0, 3.0]);
            assert!((sets(2, 2) - (2.0 + 1.0 / (x - 1.0))).abs() < 1e-14);
            assert!((sets(3, 2) - 1.5 * (2.0 + 1.0 / (x - 1.0))).abs() < 1e-14);
            assert!((sets(3, 3) - (3.0 + 1.0 / (x - 1.0) + 2.0 / (x - 2.0))).abs() < 1e-14);
        }
    }

    #[test]
    fn steps_by_hand() {
        // Decay of 1000: |μ| = 1000, σ² = 1000, change 0.03 · 1000.
        let decay = Network::new(["X"], vec![Reaction::new("decay", [("X", 1)], [], mass(1.0))]).unwrap();
        let mut critical = [false];
        let step = |counts: u32, critical: &mut [bool]| {
            Selection::new(&decay).select(&decay, &[counts], &[f64::from(counts)], 0.03, Among::All, critical)
        };
        assert!((step(1000, &mut critical) - 0.03).abs() < 1e-15);
        assert!(!critical[0]);
        // A change by at least 1.
        assert!((step(20, &mut critical) - 0.05).abs() < 1e-15);
        assert_eq!(step(9, &mut critical), f64::INFINITY);
        assert!(critical[0]);
        // Two ways in and out of balance: the variance alone.
        let both = vec![
            Reaction::new("arrive", [], [("X", 1)], mass(1000.0)),
            Reaction::new("pair", [("X", 2)], [("X", 1)], mass(0.0)),
            Reaction::new("decay", [("X", 1)], [], mass(1.0)),
        ];
        let both = Network::new(["X"], both).unwrap();
        let g: f64 = 2.0 + 1.0 / 999.0;
        let step = Selection::new(&both).select(
            &both,
            &[1000],
            &[1000.0, 0.0, 1000.0],
            0.03,
            Among::All,
            &mut [false; 3],
        );
        assert!((step - (30.0 / g).powi(2) / 2000.0).abs() < 1e-14);
    }

    #[test]
    fn steps_without_reactions_in_balance() {
        // Back and forth, a way out, and a second way there that is no reverse of a reverse.
        let reactions = vec![
            Reaction::new("there", [("A", 1)], [("B", 1)], mass(1e4)),
            Reaction::new("out", [("B", 1)], [], mass(1.0)),
            Reaction::new("back", [("B", 1)], [("A", 1)], mass(1e4)),
            Reaction::new("copy", [("A", 1)], [("A", 1)], mass(1.0)),
        ];
        let network = Network::new(["A", "B"], reactions).unwrap();
        assert_eq!(classes(&network), [(0, Some(2)), (1, None), (2, Some(0)), (3, None)]);
        let mut selection = Selection::new(&network);
        let mut step = |b: u32, among| {
            let (counts, mut rates) = ([1000, b], [0.0; 4]);
            network.propensities_into(0.0, &counts, &mut rates).unwrap();
            selection.select(&network, &counts, &rates, 0.03, among, &mut [false; 4])
        };
        // In balance only B going out counts: 0.03 of it. Beyond 5 % all do.
        assert!((step(1000, Among::Unbalanced) - 0.03).abs() < 1e-15);
        assert!((step(1000, Among::All) - 900.0 / 2e7).abs() < 1e-8);
        for (b, balanced) in [(1049, true), (1051, false), (953, true), (952, false)] {
            assert_eq!(step(b, Among::Unbalanced) > 100.0 * step(b, Among::All), balanced, "{b}");
        }
    }

    #[test]
    fn two_ways_there_and_one_back_are_not_in_balance() {
        let reactions = vec![
            Reaction::new("there", [("A", 1)], [("B", 1)], mass(1.0)),
            Reaction::new("as well", [("A", 1)], [("B", 1)], mass(1.0)),
            Reaction::new("back", [("B", 1)], [("A", 1)], mass(1.0)),
        ];
        let network = Network::new(["A", "B"], reactions).unwrap();
        assert_eq!(classes(&network), [(0, Some(2)), (0, Some(2)), (2, Some(0))]);
        let step = |b: u32, among| {
            let (counts, mut rates) = ([100_000, b], [0.0; 3]);
            network.propensities_into(0.0, &counts, &mut rates).unwrap();
            Selection::new(&network).select(&network, &counts, &rates, 0.03, among, &mut [false; 3])
        };
        assert_eq!(step(100_000, Among::Unbalanced), step(100_000, Among::All));
        assert_eq!(step(200_000, Among::Unbalanced), f64::INFINITY);
    }
}
