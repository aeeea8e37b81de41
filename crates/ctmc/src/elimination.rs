//! Elimination of states in the manner of Grassmann, Taksar and Heyman, within the band of the rates.

use numeric::Error;

/// Entries of the band: a whole matrix of 4096 states, or 5 million states in a row.
const MOST_ENTRIES: usize = 1 << 24;

/// The rates between states that are at most `lower` below and `upper` above each other, by rows.
///
/// Taking out states from the last one down keeps the band.
pub(crate) struct Band {
    lower: usize,
    upper: usize,
    /// Of the rows; one more than there are states.
    starts: Vec<usize>,
    entries: Vec<f64>,
}

impl Band {
    /// The rates that `for_each_rate` visits, whose diagonal is not read.
    pub(crate) fn new(
        states: usize,
        for_each_rate: impl Fn(usize, &mut dyn FnMut(usize, f64)),
    ) -> Result<Band, Error> {
        let (mut lower, mut upper) = (0, 0);
        for from in 0..states {
            for_each_rate(from, &mut |to, _| {
                lower = lower.max(from.saturating_sub(to));
                upper = upper.max(to.saturating_sub(from));
            });
        }
        let mut starts = vec![0];
        let mut total = 0;
        for row in 0..states {
            total += (row + upper + 1).min(states) - row.saturating_sub(lower);
            starts.push(total);
        }
        let expected = "states with at most 2^24 entries in the band of their rates, for an elimination";
        Error::domain(total <= MOST_ENTRIES, "states", states as f64, expected)?;
        let mut band = Band { lower, upper, starts, entries: vec![0.0; total] };
        for from in 0..states {
            for_each_rate(from, &mut |to, rate| {
                if to != from {
                    let index = band.index(from, to);
                    band.entries[index] = rate;
                }
            });
        }
        Ok(band)
    }

    fn index(&self, from: usize, to: usize) -> usize {
        self.starts[from] + to - from.saturating_sub(self.lower)
    }

    /// An entry of the band.
    pub(crate) fn get(&self, from: usize, to: usize) -> f64 {
        self.entries[self.index(from, to)]
    }

    /// The first state that `state` may lead to, and the rates to that one and those up to `state`.
    pub(crate) fn down(&self, state: usize) -> (usize, &[f64]) {
        let first = state.saturating_sub(self.lower);
        (first, &self.entries[self.starts[state]..][..state - first])
    }

    /// The states below `state` that may lead to it.
    pub(crate) fn sources(&self, state: usize) -> std::ops::Range<usize> {
        state.saturating_sub(self.upper)..state
    }

    /// Leaves the chain that is watched on the states below `state` only, given the rate at which it leaves `state`
    /// downwards: whoever comes to it goes on from there. Its column becomes the rates to it divided by that rate.
    pub(crate) fn take_out(&mut self, state: usize, leaving: f64) {
        let first = state.saturating_sub(self.lower);
        let row = self.starts[state];
        let (before, last) = self.entries.split_at_mut(row);
        let down = &last[..state - first];
        for from in state.saturating_sub(self.upper)..state {
            let (start, least) = (self.starts[from], from.saturating_sub(self.lower));
            let through = before[start + state - least] / leaving;
            before[start + state - least] = through;
            if through > 0.0 {
                let into = &mut before[start + first - least..][..down.len()];
                into.iter_mut().zip(down).for_each(|(entry, rate)| *entry += through * rate);
            }
        }
    }

    /// Whether every state leads to state 0 and is reached from it.
    pub(crate) fn is_irreducible(&self) -> bool {
        let states = self.starts.len() - 1;
        let reaches_all = |reach: (usize, usize), edge: &dyn Fn(usize, usize) -> f64| {
            let mut seen = vec![false; states];
            let mut stack = vec![0_usize];
            seen[0] = true;
            while let Some(i) = stack.pop() {
                let near = i.saturating_sub(reach.0)..(i + reach.1 + 1).min(states);
                for (j, seen) in near.clone().zip(&mut seen[near]) {
                    if !*seen && edge(i, j) > 0.0 {
                        *seen = true;
                        stack.push(j);
                    }
                }
            }
            seen.into_iter().all(|seen| seen)
        };
        reaches_all((self.lower, self.upper), &|i, j| self.get(i, j))
            && reaches_all((self.upper, self.lower), &|i, j| self.get(j, i))
    }
}
