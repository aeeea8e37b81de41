//! Networks, checked and numbered.

use numeric::Error;

use super::Reaction;
use super::law::Law;
use super::part::Part;

/// Species and the reactions between them: a Markov chain on vectors of counts.
///
/// In state n, reaction r happens at rate $`a_r(t, n)`$, its *propensity*, and changes the state by $`\nu_r`$:
///
/// ```math
/// \frac{\mathrm d}{\mathrm dt} p_t(n) = \sum_r a_r(t, n - \nu_r)\, p_t(n - \nu_r) - a_r(t, n)\, p_t(n) .
/// ```
///
/// Species and reactions are numbered from 0 in the order they are given. What simulators need to know is computed
/// once: which propensities a reaction changes, how it changes the counts, what it takes.
///
/// ```
/// use ctmc::network::{Counting::Ordered, Network, Rate, Reaction};
/// // Gene expression: mRNA and protein.
/// let network = Network::new(
///     ["mRNA", "protein"],
///     vec![
///         Reaction::new("transcribe", [], [("mRNA", 1)], Rate::mass_action(2.0, Ordered)),
///         Reaction::new("translate", [], [("protein", 1)], Rate::mass_action(10.0, Ordered))
///             .with_catalysts([("mRNA", 1)]),
///         Reaction::new("decay", [("mRNA", 1)], [], Rate::mass_action(0.3, Ordered)),
///         Reaction::new("degrade", [("protein", 1)], [], Rate::mass_action(0.05, Ordered)),
///     ],
/// )?;
/// let mut counts = network.counts([("mRNA", 3)])?;
/// let mut propensities = [0.0; 4];
/// network.propensities_into(0.0, &counts, &mut propensities)?;
/// assert_eq!(propensities, [2.0, 30.0, 0.3 * 3.0, 0.0]);
/// network.fire(2, &mut counts)?;
/// assert_eq!(counts, [2, 0]);
/// assert_eq!(network.affected(2), [1, 2]);   // translation and decay
/// # Ok::<(), numeric::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Network {
    species: Vec<String>,
    reactions: Vec<Reaction>,
    parts: Vec<Part>,
    /// By species: the reactions whose propensities read its count.
    readers: Vec<Vec<u32>>,
}

impl Network {
    /// The network of these species and reactions.
    ///
    /// A species that occurs twice among reactants, products or catalysts of a reaction counts as often as both together.
    ///
    /// # Errors
    /// [`Error::Entry`] for two species or two reactions of one name, with the number of the first of them.
    /// [`Error::Reaction`], with the name of the reaction, for a species that the network has not; a number of molecules
    /// that is 0 or makes a change beyond `i32`; a constant that is negative or not finite; a half-saturation count,
    /// exponent or span that is not positive and finite; a catalyst of an order above 1 beside a law that is not mass action,
    /// as no convention of counting is given there.
    pub fn new<S: Into<String>>(
        species: impl IntoIterator<Item = S>,
        reactions: Vec<Reaction>,
    ) -> Result<Network, Error> {
        let species: Vec<String> = species.into_iter().map(Into::into).collect();
        check_names("species", species.iter().map(String::as_str))?;
        check_names("reactions", reactions.iter().map(|reaction| reaction.name.as_str()))?;
        let mut parts =
            reactions.iter().map(|reaction| Part::new(&species, reaction)).collect::<Result<Vec<_>, _>>()?;
        let mut readers = vec![vec![]; species.len()];
        for (reaction, part) in (0..).zip(&parts) {
            part.reads.iter().for_each(|&species| readers[species as usize].push(reaction));
        }
        for part in &mut parts {
            let affected = part.changes.iter().flat_map(|&(species, _)| &readers[species as usize]);
            part.affected = affected.copied().collect();
            part.affected.sort_unstable();
            part.affected.dedup();
        }
        Ok(Network { species, reactions, parts, readers })
    }

    /// The names of the species.
    #[must_use]
    pub fn species(&self) -> &[String] {
        &self.species
    }

    /// The reactions as they were given.
    #[must_use]
    pub fn reactions(&self) -> &[Reaction] {
        &self.reactions
    }

    /// The number of a species.
    #[must_use]
    pub fn species_index(&self, name: &str) -> Option<usize> {
        self.species.iter().position(|species| species == name)
    }

    /// A state from counts by name; species that are not named have none.
    ///
    /// # Errors
    /// [`Error::Entry`] for a name that is not a species or is given twice, with its position among the `counts`.
    pub fn counts<'a>(&self, counts: impl IntoIterator<Item = (&'a str, u32)>) -> Result<Vec<u32>, Error> {
        let mut state = vec![None; self.species.len()];
        for (index, (name, count)) in counts.into_iter().enumerate() {
            let refuse = Error::Entry {
                parameter: "counts",
                index,
                value: f64::from(count),
                expected: "the count of one of the species, each at most once",
            };
            let slot = self.species_index(name).map(|species| &mut state[species]);
            match slot.filter(|slot| slot.is_none()) {
                Some(slot) => *slot = Some(count),
                None => return Err(refuse),
            }
        }
        Ok(state.into_iter().map(Option::unwrap_or_default).collect())
    }

    /// The rate $`a_r(t, n)`$ at which a reaction happens.
    ///
    /// # Errors
    /// [`Error::Reaction`] if it is not finite, or a function of the user's gives a negative number or NaN.
    ///
    /// # Panics
    /// If there is no such reaction, or not one count for each species.
    pub fn propensity(&self, reaction: usize, time: f64, counts: &[u32]) -> Result<f64, Error> {
        self.check_length(counts);
        self.check_rate(reaction, self.value(reaction, time, counts))
    }

    /// All propensities.
    ///
    /// # Errors
    /// As [`propensity`](Network::propensity), for the first reaction that has one.
    ///
    /// # Panics
    /// If there is not one count for each species and one propensity for each reaction.
    pub fn propensities_into(&self, time: f64, counts: &[u32], out: &mut [f64]) -> Result<(), Error> {
        self.check_length(counts);
        assert_eq!(out.len(), self.parts.len(), "one propensity for each reaction");
        for (reaction, out) in out.iter_mut().enumerate() {
            *out = self.check_rate(reaction, self.value(reaction, time, counts))?;
        }
        Ok(())
    }

    /// Makes a reaction happen: $`n \leftarrow n + \nu_r`$.
    ///
    /// # Errors
    /// [`Error::Reaction`], with the names of the reaction and the species, if a count would be negative or exceed `u32`; the
    /// counts are then as before.
    ///
    /// # Panics
    /// If there is no such reaction, or not one count for each species.
    #[inline]
    pub fn fire(&self, reaction: usize, counts: &mut [u32]) -> Result<(), Error> {
        self.check_length(counts);
        let changes = &self.parts[reaction].changes;
        for (done, &(species, change)) in changes.iter().enumerate() {
            let count = counts[species as usize];
            match count.checked_add_signed(change) {
                Some(next) => counts[species as usize] = next,
                None => {
                    for &(species, change) in &changes[..done] {
                        let count = &mut counts[species as usize];
                        *count = count.wrapping_add_signed(change.wrapping_neg());
                    }
                    return Err(self.refuse_count(
                        reaction,
                        species as usize,
                        i64::from(count) + i64::from(change),
                    ));
                }
            }
        }
        Ok(())
    }

    /// The species whose counts enter as sets, ascending, and how many of each: reactants and catalysts for mass action,
    /// catalysts alone for the other laws.
    ///
    /// # Panics
    /// If there is no such reaction; so do the methods below.
    #[must_use]
    pub fn orders(&self, reaction: usize) -> &[(u32, u32)] {
        &self.parts[reaction].orders
    }

    /// The change $`\nu_r`$ that a reaction makes: the species, ascending, whose counts change, and by how much.
    #[must_use]
    pub fn changes(&self, reaction: usize) -> &[(u32, i32)] {
        &self.parts[reaction].changes
    }

    /// The species that the propensity of a reaction reads, ascending.
    #[must_use]
    pub fn reads(&self, reaction: usize) -> &[u32] {
        &self.parts[reaction].reads
    }

    /// The reactions whose propensities read a species that this one changes, ascending: the dependency graph.
    #[must_use]
    pub fn affected(&self, reaction: usize) -> &[u32] {
        &self.parts[reaction].affected
    }

    /// The reactions whose propensities read a species, ascending.
    #[must_use]
    pub fn readers(&self, species: usize) -> &[u32] {
        &self.readers[species]
    }

    /// Whether a rate depends on time.
    #[must_use]
    pub fn is_time_dependent(&self) -> bool {
        self.parts.iter().any(|part| part.law.is_time_dependent())
    }

    /// The propensity, or NaN where a user's function is not a number of at least 0.
    #[inline(always)]
    pub(crate) fn value(&self, reaction: usize, time: f64, counts: &[u32]) -> f64 {
        self.parts[reaction].law.value(time, counts)
    }

    pub(super) fn law(&self, reaction: usize) -> &Law {
        &self.parts[reaction].law
    }

    /// A propensity that can be used.
    #[inline]
    pub(crate) fn check_rate(&self, reaction: usize, value: f64) -> Result<f64, Error> {
        if value < f64::INFINITY {
            return Ok(value);
        }
        Err(self.refuse(reaction, "propensity", value, "a finite number of at least 0"))
    }

    #[cold]
    pub(super) fn refuse(
        &self,
        reaction: usize,
        parameter: &'static str,
        value: f64,
        expected: &'static str,
    ) -> Error {
        let reaction = self.reactions[reaction].name.clone();
        Error::Reaction { reaction, species: None, parameter, value, expected }
    }

    /// The error of a reaction that would make a count what it cannot be.
    #[cold]
    pub(crate) fn refuse_count(&self, reaction: usize, species: usize, count: i64) -> Error {
        Error::Reaction {
            reaction: self.reactions[reaction].name.clone(),
            species: Some(self.species[species].clone()),
            parameter: "count",
            value: count as f64,
            expected: "a count from 0 to 2^32 - 1 after the reaction, or a propensity of 0 before it",
        }
    }

    #[track_caller]
    fn check_length(&self, counts: &[u32]) {
        assert_eq!(counts.len(), self.species.len(), "one count for each species");
    }
}

/// Names that differ.
fn check_names<'a>(parameter: &'static str, names: impl Iterator<Item = &'a str>) -> Result<(), Error> {
    let mut numbered: Vec<(&str, usize)> = names.zip(0..).collect();
    numbered.sort_unstable();
    match numbered.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        None => Ok(()),
        Some(pair) => Err(Error::Entry {
            parameter,
            index: pair[1].1,
            value: pair[0].1 as f64,
            expected: "a name of its own; the value is the number of the other one",
        }),
    }
}
