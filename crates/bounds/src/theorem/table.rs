//! A table of bounds.

use std::fmt;

/// What the rows of the initialisation term have for a scheme.
pub(super) const START: &str = "start";

/// One bound of a [`Comparison`].
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Row {
    /// The letter of the scheme, as in [`Scheme`](crate::terms::Scheme), or `start` for the initialisation term.
    pub scheme: String,
    /// The function that returns it.
    pub name: &'static str,
    /// What it is made of, in nats.
    pub terms: Vec<(&'static str, f64)>,
    /// The sum of the terms, or the least of them where each bounds.
    pub total: f64,
    /// What has to be known of the data.
    pub needs: &'static str,
}

/// The bounds that [`compare`](super::compare) found.
///
/// Rows are sorted by the scheme's letter and then by name: their order says nothing of the bounds. `Display` prints
/// them as a table.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Comparison {
    /// Sorted by scheme and name; the initialisation term comes first.
    pub rows: Vec<Row>,
}

impl Comparison {
    /// The row of a scheme's letter and a name, if it applies.
    #[must_use]
    pub fn get(&self, scheme: &str, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.scheme == scheme && row.name == name)
    }

    /// The least total of a scheme's rows. Valid, as each of them bounds; which it is depends on data and grid.
    #[must_use]
    pub fn least(&self, scheme: &str) -> Option<&Row> {
        self.rows.iter().filter(|row| row.scheme == scheme).min_by(|a, b| a.total.total_cmp(&b.total))
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |of: fn(&Row) -> usize, least: usize| self.rows.iter().map(of).fold(least, usize::max);
        let scheme = width(|row| row.scheme.len(), "scheme".len());
        let name = width(|row| row.name.len(), "bound".len());
        writeln!(f, "{:scheme$}  {:name$}  {:>12}  terms; needs", "scheme", "bound", "nats")?;
        for row in &self.rows {
            let terms: Vec<String> =
                row.terms.iter().map(|(term, value)| format!("{term} {value:.4e}")).collect();
            let (of, total, terms) = (&row.scheme, row.total, terms.join(", "));
            writeln!(f, "{of:scheme$}  {:name$}  {total:>12.5e}  {terms}; {}", row.name, row.needs)?;
        }
        write!(f, "Sorted by letter and name. A KL bound is a row of `start` plus a row of the scheme.")
    }
}
