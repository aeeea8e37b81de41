//! From tokens to networks.

use numeric::Error;

use super::lexer::{Kind, Place, Token};
use crate::network::{Counting, Rate, Reaction};

/// Names that are declared, with where that is.
pub(super) type Declared<T> = Vec<(String, T, Place)>;

/// The tokens of a line from some point on.
pub(super) struct Cursor<'a> {
    tokens: &'a [Token],
    next: usize,
}

/// Species with their numbers, as on one side of a reaction.
type Terms = Vec<(String, u32)>;

impl<'a> Cursor<'a> {
    pub(super) fn new(tokens: &'a [Token]) -> Cursor<'a> {
        Cursor { tokens, next: 0 }
    }

    /// The last token is the end, and stays.
    fn peek(&self) -> &'a Token {
        &self.tokens[self.next.min(self.tokens.len() - 1)]
    }

    fn take(&mut self) -> &'a Token {
        let token = self.peek();
        self.next += 1;
        token
    }

    /// The next token, if it is this symbol.
    fn accept(&mut self, symbol: &str) -> bool {
        let found = matches!(&self.peek().kind, Kind::Symbol(found) if *found == symbol);
        self.next += usize::from(found);
        found
    }

    /// The next token, if it is this word.
    pub(super) fn accept_word(&mut self, word: &str) -> bool {
        let found = matches!(&self.peek().kind, Kind::Word(found) if found == word);
        self.next += usize::from(found);
        found
    }

    fn expect(&mut self, symbol: &str) -> Result<(), Error> {
        if self.accept(symbol) { Ok(()) } else { Err(self.unexpected(&format!("`{symbol}`"))) }
    }

    fn unexpected(&self, wanted: &str) -> Error {
        let token = self.peek();
        let found = match &token.kind {
            Kind::Word(word) => format!("`{word}`"),
            Kind::Quoted(name) => format!("{name:?}"),
            Kind::Number(number) => format!("`{number}`"),
            Kind::Symbol(symbol) => format!("`{symbol}`"),
            Kind::End => "the end of the line".to_owned(),
        };
        token.place.error(format!("expected {wanted}, found {found}"))
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.peek().kind == Kind::End
    }

    pub(super) fn end(&self) -> Result<(), Error> {
        if self.is_at_end() { Ok(()) } else { Err(self.unexpected("the end of the line")) }
    }

    fn name(&mut self, wanted: &str) -> Result<(String, Place), Error> {
        let token = self.peek();
        match &token.kind {
            Kind::Word(name) | Kind::Quoted(name) => {
                self.next += 1;
                Ok((name.clone(), token.place))
            }
            _ => Err(self.unexpected(wanted)),
        }
    }

    /// `NAME [= COUNT]`
    pub(super) fn species(&mut self, species: &mut Declared<u32>) -> Result<(), Error> {
        let (name, place) = self.name("the name of a species")?;
        let count = if self.accept("=") { self.count("a count")? } else { 0 };
        declare(species, "species", name, count, place)
    }

    /// `NAME = NUMBER`
    pub(super) fn parameter(&mut self, parameters: &mut Declared<f64>) -> Result<(), Error> {
        let (name, place) = self.name("the name of a parameter")?;
        self.expect("=")?;
        let value = self.number(&vec![])?.0;
        declare(parameters, "parameter", name, value, place)
    }

    /// A whole number.
    fn count(&mut self, wanted: &str) -> Result<u32, Error> {
        let token = self.peek();
        let Kind::Number(text) = &token.kind else { return Err(self.unexpected(wanted)) };
        self.next += 1;
        let whole = text.parse();
        whole.map_err(|_| token.place.error(format!("`{text}` is not a whole number from 0 to 4294967295")))
    }

    /// A number, or a parameter.
    fn number(&mut self, parameters: &Declared<f64>) -> Result<(f64, Place), Error> {
        let token = self.take();
        let place = token.place;
        match &token.kind {
            Kind::Number(text) => match text.parse::<f64>() {
                Ok(value) if value.is_finite() => Ok((value, place)),
                _ => Err(place.error(format!("`{text}` is not a finite number"))),
            },
            Kind::Word(name) | Kind::Quoted(name) => {
                let known = parameters.iter().find(|(known, ..)| known == name);
                let value = known.map(|&(_, value, _)| (value, place));
                value.ok_or_else(|| place.error(format!("unknown parameter `{name}`")))
            }
            _ => {
                self.next -= 1;
                Err(self.unexpected("a number or the name of a parameter"))
            }
        }
    }

    /// `[NAME :] SIDE -> SIDE [with SIDE] @ LAW`, with the place of the name or of the first side.
    pub(super) fn reaction(
        &mut self,
        species: &Declared<u32>,
        parameters: &Declared<f64>,
    ) -> Result<(Reaction, Place), Error> {
        let place = self.peek().place;
        let is_named = matches!(self.tokens.get(self.next + 1), Some(Token { kind: Kind::Symbol(":"), .. }));
        let name = if is_named { Some(self.name("the name of a reaction")?.0) } else { None };
        if is_named {
            self.expect(":")?;
        }
        let reactants = self.side(species)?;
        self.expect("->")?;
        let products = self.side(species)?;
        let catalysts = if self.accept_word("with") { self.side(species)? } else { vec![] };
        self.expect("@")?;
        let rate = self.law(species, parameters, &[&reactants[..], &catalysts].concat())?;
        let name = name.unwrap_or_else(|| format!("{} -> {}", written(&reactants), written(&products)));
        Ok((Reaction { name, reactants, products, catalysts, rate }, place))
    }

    /// `0`, or `[COUNT] NAME + …`
    fn side(&mut self, species: &Declared<u32>) -> Result<Terms, Error> {
        let mut terms = vec![];
        if matches!(&self.peek().kind, Kind::Number(text) if text == "0") {
            self.next += 1;
            return Ok(terms);
        }
        loop {
            let place = self.peek().place;
            let count = match self.peek().kind {
                Kind::Number(_) => self.count("a number of molecules")?,
                _ => 1,
            };
            if count == 0 || count > i32::MAX as u32 {
                return Err(place.error(format!("{count} molecules; expected 1 to 2147483647")));
            }
            terms.push((self.known(species)?, count));
            if !self.accept("+") {
                return Ok(terms);
            }
        }
    }

    /// A species that is declared.
    fn known(&mut self, species: &Declared<u32>) -> Result<String, Error> {
        let (name, place) = self.name("the name of a species")?;
        if species.iter().any(|(known, ..)| *known == name) {
            Ok(name)
        } else {
            Err(place.error(format!("unknown species `{name}`")))
        }
    }

    /// `NAME ( ARGUMENTS )`, given what the number of sets is taken of.
    fn law(
        &mut self,
        species: &Declared<u32>,
        parameters: &Declared<f64>,
        sets: &[(String, u32)],
    ) -> Result<Rate, Error> {
        let place = self.peek().place;
        let (law, _) = self.name("a law")?;
        self.expect("(")?;
        let rate = match law.as_str() {
            "mass" => {
                let constant = self.at_least_zero(parameters)?;
                let of = |name: &str| {
                    sets.iter().filter(|(n, _)| n == name).map(|&(_, k)| u64::from(k)).sum::<u64>()
                };
                let is_ambiguous = sets.iter().any(|(name, _)| of(name) > 1);
                let counting = if self.accept(",") {
                    if self.accept_word("ordered") {
                        Counting::Ordered
                    } else if self.accept_word("combinations") {
                        Counting::Combinations
                    } else {
                        return Err(self.unexpected("`ordered` or `combinations`"));
                    }
                } else if is_ambiguous {
                    let choice = "`, ordered` for n(n-1)… or `, combinations` for n(n-1)…/k!";
                    return Err(
                        self.unexpected(&format!("{choice}, since a species is taken more than once"))
                    );
                } else {
                    Counting::Ordered
                };
                Rate::MassAction { constant, counting }
            }
            "michaelis_menten" => {
                let (max, half) = (self.at_least_zero(parameters)?, self.next_positive(parameters)?);
                self.expect(",")?;
                Rate::MichaelisMenten { max, half, substrate: self.known(species)? }
            }
            "hill_activation" | "hill_repression" => {
                let (max, half) = (self.at_least_zero(parameters)?, self.next_positive(parameters)?);
                let exponent = self.next_positive(parameters)?;
                self.expect(",")?;
                let name = self.known(species)?;
                match law.as_str() {
                    "hill_activation" => Rate::HillActivation { max, half, exponent, activator: name },
                    _ => Rate::HillRepression { max, half, exponent, repressor: name },
                }
            }
            _ => {
                let laws = "`mass`, `michaelis_menten`, `hill_activation` or `hill_repression`";
                return Err(place.error(format!("unknown law `{law}`; expected {laws}")));
            }
        };
        self.expect(")")?;
        Ok(rate)
    }

    fn at_least_zero(&mut self, parameters: &Declared<f64>) -> Result<f64, Error> {
        let (value, place) = self.number(parameters)?;
        if value >= 0.0 { Ok(value) } else { Err(place.error(format!("{value} is below 0"))) }
    }

    fn next_positive(&mut self, parameters: &Declared<f64>) -> Result<f64, Error> {
        self.expect(",")?;
        let (value, place) = self.number(parameters)?;
        if value > 0.0 { Ok(value) } else { Err(place.error(format!("{value} is not greater than 0"))) }
    }
}

fn declare<T>(all: &mut Declared<T>, what: &str, name: String, value: T, place: Place) -> Result<(), Error> {
    match all.iter().find(|(known, ..)| *known == name) {
        Some((_, _, first)) => {
            Err(place.error(format!("the {what} `{name}` is already declared in line {}", first.line)))
        }
        None => {
            all.push((name, value, place));
            Ok(())
        }
    }
}

/// A side of a reaction as it is written.
pub(super) fn written(terms: &[(String, u32)]) -> String {
    if terms.is_empty() {
        return "0".to_owned();
    }
    let term = |(name, count): &(String, u32)| match count {
        1 => super::quote(name),
        _ => format!("{count} {}", super::quote(name)),
    };
    terms.iter().map(term).collect::<Vec<_>>().join(" + ")
}
