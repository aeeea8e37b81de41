//! Networks as text.

mod lexer;
mod parser;

use std::fmt::Write;

use numeric::Error;

use self::lexer::{continues_word, starts_word, tokens};
use self::parser::{Cursor, written};
use super::{Counting, Network, Rate, Reaction};

/// A network with its initial counts, as it is read from a text and written to one.
///
/// # Grammar
/// One statement a line, in any order; `#` starts a comment.
///
/// ```text
/// parameter NAME = NUMBER
/// species   NAME [= COUNT]                          # 0 if it is not given
/// [NAME:] SIDE -> SIDE [with SIDE] @ LAW            # a reaction; the third side are catalysts
///
/// SIDE      0,  or  [COUNT] NAME + [COUNT] NAME + …
/// LAW       mass(C)  mass(C, ordered)  mass(C, combinations)
///           michaelis_menten(MAX, HALF, NAME)
///           hill_activation(MAX, HALF, EXPONENT, NAME)  hill_repression(MAX, HALF, EXPONENT, NAME)
/// NAME      a letter or _, then letters, digits and _;  or anything in "…", with \" \\ \n \r
/// ```
///
/// The laws are those of [`Rate`]; their numbers may be parameters. Where mass action takes a species more than once it has to
/// be said how sets are [counted](Counting). A reaction without a name is called as it is written: `2 A -> B`.
///
/// ```
/// use ctmc::network::NetworkText;
/// let text = "
///     parameter k = 0.002
///     species A = 100
///     species B
///     bind: 2 A -> B @ mass(k, combinations)
///     B -> 2 A @ mass(0.5)
/// ";
/// let read = NetworkText::parse(text)?;
/// assert_eq!(read.counts, [100, 0]);
/// assert_eq!(read.network.reactions()[1].name, "B -> 2 A");
/// assert_eq!(read.network.propensity(0, 0.0, &read.counts)?, 0.002 * 4950.0);
/// // What is written can be read again.
/// assert_eq!(NetworkText::parse(&read.to_text()?)?.to_text()?, read.to_text()?);
/// // Mistakes are shown.
/// let error = NetworkText::parse("species A\nA -> C @ mass(1)").unwrap_err();
/// assert_eq!(error.to_string(), "line 2, column 6: unknown species `C`");
/// # Ok::<(), numeric::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct NetworkText {
    /// The parameters, in the order in which they are declared. Their values are in the rates already.
    pub parameters: Vec<(String, f64)>,
    /// The network.
    pub network: Network,
    /// The initial counts of its species.
    pub counts: Vec<u32>,
}

impl NetworkText {
    /// Reads a text.
    ///
    /// # Errors
    /// [`Error::Syntax`], with line and column, where the text does not follow the grammar; for a name that is not
    /// declared, or twice; a number that is not finite, or not what it has to be; what [`Network::new`] refuses.
    pub fn parse(text: &str) -> Result<NetworkText, Error> {
        NetworkText::parse_with(text, &[])
    }

    /// Reads a text in which some parameters have other values.
    ///
    /// ```
    /// use ctmc::network::NetworkText;
    /// let text = "parameter k = 1\nspecies X = 5\nX -> 0 @ mass(k)";
    /// let faster = NetworkText::parse_with(text, &[("k", 3.0)])?;
    /// assert_eq!(faster.network.propensity(0, 0.0, &faster.counts)?, 15.0);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`parse`](NetworkText::parse); [`Error::Entry`] for a name that is no parameter of the text, and a value that
    /// is not finite.
    pub fn parse_with(text: &str, values: &[(&str, f64)]) -> Result<NetworkText, Error> {
        let lines: Vec<_> =
            text.lines().zip(1..).map(|(text, line)| tokens(line, text)).collect::<Result<_, _>>()?;
        let (mut species, mut parameters, mut rest) = (vec![], vec![], vec![]);
        for line in &lines {
            let mut cursor = Cursor::new(line);
            // A reaction may have any name, or start with any species.
            let is_declaration = matches!(&line[..], [_, next, ..] if next.kind.is_name());
            if is_declaration && cursor.accept_word("species") {
                cursor.species(&mut species)?;
                cursor.end()?;
            } else if is_declaration && cursor.accept_word("parameter") {
                cursor.parameter(&mut parameters)?;
                cursor.end()?;
            } else if !cursor.is_at_end() {
                rest.push(cursor);
            }
        }
        for (index, &(name, value)) in values.iter().enumerate() {
            let known = parameters.iter_mut().find(|(known, ..)| known == name);
            match known.filter(|_| value.is_finite()) {
                Some(parameter) => parameter.1 = value,
                None => {
                    let expected = "a finite value of a parameter of the text";
                    return Err(Error::Entry { parameter: "values", index, value, expected });
                }
            }
        }
        let (mut reactions, mut places): (Vec<Reaction>, Vec<_>) = (vec![], vec![]);
        for mut cursor in rest {
            let (reaction, place) = cursor.reaction(&species, &parameters)?;
            cursor.end()?;
            if let Some(first) = reactions.iter().position(|known| known.name == reaction.name) {
                let line: &lexer::Place = &places[first];
                let message = format!("the reaction `{}` is already in line {}", reaction.name, line.line);
                return Err(place.error(message));
            }
            reactions.push(reaction);
            places.push(place);
        }
        let names = species.iter().map(|(name, ..)| name.clone());
        let network = Network::new(names, reactions.clone()).map_err(|error| match &error {
            Error::Reaction { reaction: name, .. } => {
                let index = reactions.iter().position(|reaction| reaction.name == *name);
                index.map_or_else(|| error.clone(), |index| places[index].error(error.to_string()))
            }
            _ => error,
        })?;
        let counts = species.iter().map(|&(_, count, _)| count).collect();
        let parameters = parameters.into_iter().map(|(name, value, _)| (name, value)).collect();
        Ok(NetworkText { parameters, network, counts })
    }

    /// Writes the parameters, the species with their counts, and the reactions, each with its name. Rates are written in numbers,
    /// which are read again to the bit.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a rate that is a function; [`Error::Shape`] unless there is one count for each species.
    pub fn to_text(&self) -> Result<String, Error> {
        let species = self.network.species();
        Error::shape("counts", &[species.len()], &[self.counts.len()])?;
        let mut lines = vec![];
        for (name, value) in &self.parameters {
            lines.push(format!("parameter {} = {value:?}", quote(name)));
        }
        for (name, count) in species.iter().zip(&self.counts) {
            lines.push(format!("species {} = {count}", quote(name)));
        }
        for Reaction { name, reactants, products, catalysts, rate } in self.network.reactions() {
            let mut line = format!("{}: {} -> {}", quote(name), written(reactants), written(products));
            if !catalysts.is_empty() {
                line += &format!(" with {}", written(catalysts));
            }
            lines.push(line + " @ " + &law(rate)?);
        }
        Ok(lines.into_iter().fold(String::new(), |mut text, line| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{line}");
            text
        }))
    }
}

fn law(rate: &Rate) -> Result<String, Error> {
    Ok(match rate {
        Rate::MassAction { constant, counting: Counting::Ordered } => format!("mass({constant:?}, ordered)"),
        Rate::MassAction { constant, counting: Counting::Combinations } => {
            format!("mass({constant:?}, combinations)")
        }
        Rate::MichaelisMenten { max, half, substrate } => {
            format!("michaelis_menten({max:?}, {half:?}, {})", quote(substrate))
        }
        Rate::HillActivation { max, half, exponent, activator } => {
            format!("hill_activation({max:?}, {half:?}, {exponent:?}, {})", quote(activator))
        }
        Rate::HillRepression { max, half, exponent, repressor } => {
            format!("hill_repression({max:?}, {half:?}, {exponent:?}, {})", quote(repressor))
        }
        Rate::Function(_) => {
            let reason = "a rate that is a function has no text";
            return Err(Error::Unsupported { method: "text of a network", reason });
        }
    })
}

/// A name as it is written: bare if it can be.
fn quote(name: &str) -> String {
    let keyword = ["species", "parameter", "with"].contains(&name);
    let bare = name.chars().next().is_some_and(starts_word) && name.chars().all(continues_word);
    if bare && !keyword {
        return name.to_owned();
    }
    let escaped = name.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\r', "\\r");
    format!("\"{escaped}\"")
}
