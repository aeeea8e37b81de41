//! Reactions, checked and over numbered species.

use numeric::Error;

use super::law::{Factor, Law, Sets, ordered_sets_in_one};
use super::{Rate, Reaction};

/// A reaction over numbered species.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) law: Law,
    pub(super) orders: Vec<(u32, u32)>,
    pub(super) changes: Vec<(u32, i32)>,
    pub(super) reads: Vec<u32>,
    /// The reactions that read what it changes, once all are known.
    pub(super) affected: Vec<u32>,
}

impl Part {
    pub(super) fn new(species: &[String], reaction: &Reaction) -> Result<Part, Error> {
        let refuse = |of: Option<&str>, parameter, value, expected| Error::Reaction {
            reaction: reaction.name.clone(),
            species: of.map(str::to_owned),
            parameter,
            value,
            expected,
        };
        let index = |name: &str, parameter, value| match species.iter().position(|s| s == name) {
            Some(index) => Ok(index as u32),
            None => Err(refuse(Some(name), parameter, value, "one of the network's species")),
        };
        let numbered = |parameter, list: &[(String, u32)]| {
            let mut numbered = Vec::with_capacity(list.len());
            for (name, count) in list {
                let value = f64::from(*count);
                let ok = (1..=i32::MAX as u32).contains(count);
                if !ok {
                    return Err(refuse(
                        Some(name),
                        parameter,
                        value,
                        "a number of molecules from 1 to 2^31 - 1",
                    ));
                }
                numbered.push((index(name, parameter, value)?, i64::from(*count)));
            }
            Ok(numbered)
        };
        let reactants = numbered("reactants", &reaction.reactants)?;
        let products = numbered("products", &reaction.products)?;
        let catalysts = numbered("catalysts", &reaction.catalysts)?;

        let lost = reactants.iter().map(|&(species, count)| (species, -count));
        let mut changes = Vec::new();
        for (of, change) in summed(lost.chain(products)).into_iter().filter(|&(_, change)| change != 0) {
            let Ok(change) = i32::try_from(change) else {
                let name = Some(species[of as usize].as_str());
                return Err(refuse(name, "change", change as f64, "a change that fits into an i32"));
            };
            changes.push((of, change));
        }

        let sets = |list: Vec<(u32, i64)>| -> Vec<(u32, u32)> {
            summed(list.into_iter()).into_iter().map(|(species, order)| (species, order as u32)).collect()
        };
        let orders = match reaction.rate {
            Rate::MassAction { .. } => sets([reactants, catalysts].concat()),
            _ => sets(catalysts),
        };
        let constant = |parameter, value: f64| {
            let ok = value >= 0.0 && value.is_finite();
            if ok { Ok(value) } else { Err(refuse(None, parameter, value, "a finite number of at least 0")) }
        };
        let positive = |parameter, value: f64| {
            let ok = value > 0.0 && value.is_finite();
            if ok { Ok(value) } else { Err(refuse(None, parameter, value, "a finite number greater than 0")) }
        };
        let factor = match &reaction.rate {
            Rate::MassAction { constant: c, counting } => {
                Factor::Constant(constant("constant", *c)? / ordered_sets_in_one(&orders, *counting))
            }
            Rate::MichaelisMenten { max, half, substrate } => Factor::MichaelisMenten {
                max: constant("max", *max)?,
                half: positive("half", *half)?,
                species: index(substrate, "substrate", *max)?,
            },
            Rate::HillActivation { max, half, exponent, activator: name }
            | Rate::HillRepression { max, half, exponent, repressor: name } => {
                let activates = matches!(reaction.rate, Rate::HillActivation { .. });
                let exponent = positive("exponent", *exponent)?;
                Factor::Hill {
                    max: constant("max", *max)?,
                    half: positive("half", *half)?,
                    exponent: if activates { exponent } else { -exponent },
                    species: index(name, if activates { "activator" } else { "repressor" }, *max)?,
                }
            }
            Rate::Function(function) => {
                if let Some((span, _)) = function.bound {
                    positive("span", span)?;
                }
                let reads = function.reads.iter().map(|name| index(name, "reads", f64::NAN));
                Factor::Function { reads: reads.collect::<Result<_, _>>()?, function: function.clone() }
            }
        };
        if let (false, Some(&(of, order))) =
            (matches!(factor, Factor::Constant(_)), orders.iter().find(|&&(_, order)| order > 1))
        {
            let name = Some(species[of as usize].as_str());
            return Err(refuse(
                name,
                "catalysts",
                f64::from(order),
                "order 1 beside a law that is not mass action",
            ));
        }

        let mut reads: Vec<u32> = orders.iter().map(|&(species, _)| species).collect();
        match &factor {
            Factor::Constant(_) => {}
            Factor::MichaelisMenten { species, .. } | Factor::Hill { species, .. } => reads.push(*species),
            Factor::Function { reads: declared, .. } => reads.extend(declared),
        }
        reads.sort_unstable();
        reads.dedup();
        let law = Law { factor, sets: Sets::new(&orders) };
        Ok(Part { law, orders, changes, reads, affected: vec![] })
    }
}

/// One entry for each species, ascending.
fn summed(counts: impl Iterator<Item = (u32, i64)>) -> Vec<(u32, i64)> {
    let mut counts: Vec<(u32, i64)> = counts.collect();
    counts.sort_unstable();
    counts.dedup_by(|later, first| {
        let same = later.0 == first.0;
        if same {
            first.1 += later.1;
        }
        same
    });
    counts
}
