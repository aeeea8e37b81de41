//! From lines to tokens.

use numeric::Error;

/// A token and where it starts.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) place: Place,
}

/// Line and column, both from 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// A bare word: a keyword, a law or a name.
    Word(String),
    /// A name in quotes.
    Quoted(String),
    /// As it is written.
    Number(String),
    Symbol(&'static str),
    /// The end of the line.
    End,
}

impl Kind {
    pub(super) fn is_name(&self) -> bool {
        matches!(self, Kind::Word(_) | Kind::Quoted(_))
    }
}

impl Place {
    pub(super) fn error(self, message: impl Into<String>) -> Error {
        Error::Syntax { line: self.line, column: self.column, message: message.into() }
    }
}

/// The tokens of one line, the last one its end.
pub(super) fn tokens(line: usize, text: &str) -> Result<Vec<Token>, Error> {
    let chars: Vec<char> = text.chars().collect();
    let at = |index: usize| chars.get(index).copied().unwrap_or('\0');
    let (mut found, mut index) = (vec![], 0);
    while index < chars.len() {
        let (start, first) = (index, chars[index]);
        let place = Place { line, column: start + 1 };
        let kind = if first.is_whitespace() {
            index += 1;
            continue;
        } else if first == '#' {
            break;
        } else if first == '"' {
            Kind::Quoted(quoted(&chars, &mut index, place)?)
        } else if starts_word(first) {
            while continues_word(at(index)) {
                index += 1;
            }
            Kind::Word(chars[start..index].iter().collect())
        } else if first.is_ascii_digit() || first == '.' || (first == '-' && at(index + 1) != '>') {
            number(&chars, &mut index);
            Kind::Number(chars[start..index].iter().collect())
        } else if let Some(symbol) = symbol(first, at(index + 1)) {
            index += symbol.len();
            Kind::Symbol(symbol)
        } else {
            return Err(place.error(format!("unexpected character `{first}`")));
        };
        found.push(Token { kind, place });
    }
    found.push(Token { kind: Kind::End, place: Place { line, column: text.trim_end().chars().count() + 1 } });
    Ok(found)
}

pub(super) fn starts_word(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

pub(super) fn continues_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn symbol(first: char, second: char) -> Option<&'static str> {
    match first {
        '-' if second == '>' => Some("->"),
        '+' => Some("+"),
        ':' => Some(":"),
        '@' => Some("@"),
        '(' => Some("("),
        ')' => Some(")"),
        ',' => Some(","),
        '=' => Some("="),
        _ => None,
    }
}

/// Digits, a point, and an exponent if digits follow it.
fn number(chars: &[char], index: &mut usize) {
    let at = |index: usize| chars.get(index).copied().unwrap_or('\0');
    *index += usize::from(at(*index) == '-');
    while at(*index).is_ascii_digit() || at(*index) == '.' {
        *index += 1;
    }
    if matches!(at(*index), 'e' | 'E') {
        let sign = usize::from(matches!(at(*index + 1), '+' | '-'));
        if at(*index + 1 + sign).is_ascii_digit() {
            *index += 1 + sign;
            while at(*index).is_ascii_digit() {
                *index += 1;
            }
        }
    }
}

/// A name in quotes, with `\"`, `\\` and `\n` for what cannot stand there.
fn quoted(chars: &[char], index: &mut usize, place: Place) -> Result<String, Error> {
    let mut name = String::new();
    *index += 1;
    loop {
        let Some(&c) = chars.get(*index) else {
            return Err(place.error("a name in quotes without an end"));
        };
        *index += 1;
        match c {
            '"' => return Ok(name),
            '\\' => {
                let escaped = Place { column: *index, ..place };
                name.push(match chars.get(*index) {
                    Some('"') => '"',
                    Some('\\') => '\\',
                    Some('n') => '\n',
                    Some('r') => '\r',
                    _ => return Err(escaped.error("expected `\\\"`, `\\\\`, `\\n` or `\\r`")),
                });
                *index += 1;
            }
            c => name.push(c),
        }
    }
}
