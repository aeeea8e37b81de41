use numeric::Error;
use rayon::prelude::*;

use super::{A_RATE, Generator, check_lengths, check_states, is_rate};

/// A generator with few destinations from each state, in compressed rows.
///
/// The transpose is stored as well, so that laws and functions are both propagated by sums over one row, in parallel
/// and with the same bits for any number of threads. 24 bytes a rate, 24 a state.
///
/// ```
/// use ctmc::{Generator, Sparse};
/// // A walk on a circle of a million states.
/// let n = 1_000_000;
/// let steps = (0..n).flat_map(|i| [(i, (i + 1) % n, 1.0), (i, (i + n - 1) % n, 1.0)]);
/// let q = Sparse::new(n as usize, steps)?;
/// assert_eq!((q.exit_rate(7), q.rate(0, n - 1), q.rate(0, 2)), (2.0, 1.0, 0.0));
/// # Ok::<(), numeric::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Sparse {
    rows: Compressed,
    columns: Compressed,
    exits: Vec<f64>,
}

/// Entries by their first index, in ascending order of the second.
#[derive(Clone, Debug, PartialEq)]
struct Compressed {
    starts: Vec<usize>,
    others: Vec<u32>,
    rates: Vec<f64>,
}

impl Compressed {
    /// From entries sorted by both indices.
    fn new(states: usize, entries: impl Iterator<Item = (u32, u32, f64)>) -> Compressed {
        let mut made = Compressed { starts: vec![0; states + 1], others: Vec::new(), rates: Vec::new() };
        for (index, other, rate) in entries {
            made.starts[index as usize + 1] += 1;
            made.others.push(other);
            made.rates.push(rate);
        }
        for i in 0..states {
            made.starts[i + 1] += made.starts[i];
        }
        made
    }

    fn of(&self, index: usize) -> (&[u32], &[f64]) {
        let range = self.starts[index]..self.starts[index + 1];
        (&self.others[range.clone()], &self.rates[range])
    }

    /// Sums of rates times `values` at the other end.
    fn sums_into(&self, values: &[f64], out: &mut [f64]) {
        out.par_iter_mut().with_min_len(4096).enumerate().for_each(|(index, out)| {
            let (others, rates) = self.of(index);
            *out = others.iter().zip(rates).map(|(&other, rate)| rate * values[other as usize]).sum();
        });
    }
}

impl Sparse {
    /// The chain with the rates `(from, to, rate)`, in any order.
    ///
    /// # Errors
    /// With fewer than two states; for a rate that is negative or not finite, one from a state to itself, to or from a
    /// state that does not exist, or given twice (the error then counts the entries in ascending order); if an exit rate
    /// overflows.
    pub fn new(states: usize, rates: impl IntoIterator<Item = (u32, u32, f64)>) -> Result<Sparse, Error> {
        check_states(states)?;
        let mut entries: Vec<(u32, u32, f64)> = rates.into_iter().collect();
        let check = |name, of: fn(&(u32, u32, f64)) -> f64, expected, holds: &dyn Fn(f64) -> bool| {
            Error::entries(name, entries.iter().map(of), expected, holds)
        };
        check("from", |e| f64::from(e.0), "a state", &|state| state < states as f64)?;
        check("to", |e| f64::from(e.1), "a state", &|state| state < states as f64)?;
        check("rates", |e| e.2, A_RATE, &is_rate)?;
        if let Some(index) = entries.iter().position(|&(from, to, _)| from == to) {
            let value = f64::from(entries[index].1);
            return Err(Error::Entry {
                parameter: "to",
                index,
                value,
                expected: "another state than `from`",
            });
        }
        entries.par_sort_unstable_by_key(|&(from, to, _)| (from, to));
        let twice = entries.windows(2).position(|pair| (pair[0].0, pair[0].1) == (pair[1].0, pair[1].1));
        if let Some(index) = twice.map(|index| index + 1) {
            let value = f64::from(entries[index].1);
            return Err(Error::Entry { parameter: "to", index, value, expected: "one rate for each pair" });
        }
        entries.retain(|&(_, _, rate)| rate > 0.0);
        let rows = Compressed::new(states, entries.iter().copied());
        entries.par_sort_unstable_by_key(|&(from, to, _)| (to, from));
        let columns = Compressed::new(states, entries.iter().map(|&(from, to, rate)| (to, from, rate)));
        let exits: Vec<f64> = (0..states).map(|state| rows.of(state).1.iter().sum()).collect();
        Error::entries("exit rates", exits.iter().copied(), A_RATE, is_rate)?;
        Ok(Sparse { rows, columns, exits })
    }

    /// Number of positive rates.
    ///
    /// ```
    /// let q = ctmc::Sparse::new(3, [(0, 1, 1.0), (1, 2, 0.0), (2, 0, 3.0)])?;
    /// assert_eq!(q.positive_rates(), 2);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    #[must_use]
    pub fn positive_rates(&self) -> usize {
        self.rows.rates.len()
    }
}

impl Generator for Sparse {
    fn states(&self) -> usize {
        self.exits.len()
    }

    fn rate(&self, from: u32, to: u32) -> f64 {
        assert!((to as usize) < self.states(), "no state {to}");
        if from == to {
            return -self.exits[from as usize];
        }
        let (others, rates) = self.rows.of(from as usize);
        others.binary_search(&to).map_or(0.0, |position| rates[position])
    }

    fn exit_rate(&self, from: u32) -> f64 {
        self.exits[from as usize]
    }

    fn for_each_rate(&self, from: u32, visit: &mut dyn FnMut(u32, f64)) {
        let (others, rates) = self.rows.of(from as usize);
        others.iter().zip(rates).for_each(|(&to, &rate)| visit(to, rate));
    }

    fn inflow_into(&self, p: &[f64], out: &mut [f64]) {
        check_lengths(self.states(), p, out);
        self.columns.sums_into(p, out);
    }

    fn outflow_into(&self, f: &[f64], out: &mut [f64]) {
        check_lengths(self.states(), f, out);
        self.rows.sums_into(f, out);
    }
}
