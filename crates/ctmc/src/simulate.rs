//! Exact paths of chains.

use std::ops::Range;

use numeric::ndarray::Array2;
use numeric::{Batching, Control, Error, Noise, RowStream, run_blocks};

use crate::law::{check_law, draw};
use crate::{Generator, TimeChange};

/// How jumps are found. Both are exact; they use the random numbers in different ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Method {
    /// The direct method: an exponential waiting time at the exit rate of the state, then a destination.
    ///
    /// # References
    /// Gillespie (1977), *Exact stochastic simulation of coupled chemical reactions*.
    Direct,
    /// Candidates at the greatest exit rate of all states, each of which is a jump with the probability
    /// $`e_i / \max_j e_j`$. All rows have their candidates at times that do not depend on the states.
    ///
    /// # References
    /// Jensen (1953), *Markoff chains as an aid in the study of Markoff processes*.
    Uniformization,
}

/// Where chains start.
#[derive(Clone, Copy, Debug)]
pub enum Start<'a> {
    /// All in this state.
    State(u32),
    /// One state for each of the rows.
    States(&'a [u32]),
    /// In a state drawn from this law.
    Law(&'a [f64]),
}

/// A path: the states that a chain has been in, and when it came there.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ChainPath {
    /// The times of the jumps, ascending.
    pub times: Vec<f64>,
    /// The start, then the state after each jump: one more than there are times.
    pub states: Vec<u32>,
}

impl ChainPath {
    /// The state at a time, after the jumps at that time.
    ///
    /// ```
    /// let path = ctmc::ChainPath { times: vec![0.5, 0.7], states: vec![3, 0, 1] };
    /// assert_eq!([0.0, 0.5, 0.6, 9.0].map(|t| path.state_at(t)), [3, 0, 0, 1]);
    /// ```
    ///
    /// # Panics
    /// If there is not one more state than there are times.
    #[must_use]
    pub fn state_at(&self, time: f64) -> u32 {
        assert_eq!(self.states.len(), self.times.len() + 1, "a start, and a state after each jump");
        self.states[self.times.partition_point(|&t| t <= time)]
    }
}

/// The chain with generator $`\beta(t) Q`$, simulated exactly.
///
/// ```
/// use ctmc::{BirthDeath, Method, Simulation, Start, TimeChange};
/// use numeric::Noise;
/// let chain = BirthDeath::constant(6, 1.0)?;
/// let simulation = Simulation { generator: &chain, beta: TimeChange::linear(0.5, 1.0)?, method: Method::Direct };
/// let noise = Noise::new(7);
/// let paths = simulation.paths(Start::State(2), 3.0, 0..100, noise, Default::default())?;
/// assert!(paths[0].states.windows(2).all(|pair| pair[0].abs_diff(pair[1]) == 1));
/// // The same chains, looked at on a grid.
/// let seen = simulation.states_at(Start::State(2), &[0.0, 1.0, 3.0], 0..100, noise, Default::default())?;
/// assert!(paths.iter().zip(seen.rows()).all(|(path, seen)| path.state_at(1.0) == seen[1]));
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # Randomness
/// Row i depends on the noise and i only; its numbers come one after the other from its stream "chain". How far
/// a path is simulated does not change what comes before.
#[derive(Debug)]
pub struct Simulation<'a, G: ?Sized> {
    /// The generator Q.
    pub generator: &'a G,
    /// The factor β(t) of the rates.
    pub beta: TimeChange,
    /// How jumps are found.
    pub method: Method,
}

impl<G: Generator + ?Sized> Simulation<'_, G> {
    /// All jumps of the given rows from time 0 to `end`.
    ///
    /// # Errors
    /// If the end is not a time of the schedule, or infinitely many jumps may come before it; for a start that is none of
    /// the states or not a law, or not one state for each row; [`Error::Cancelled`].
    pub fn paths(
        &self,
        start: Start<'_>,
        end: f64,
        rows: Range<u64>,
        noise: Noise,
        control: Control<'_>,
    ) -> Result<Vec<ChainPath>, Error> {
        self.check_end("end", end)?;
        self.check_start(start, &rows)?;
        let first = rows.start;
        let blocks = run_blocks(rows, Batching::default(), control, |block, _| {
            let path = |row| {
                let mut walk = Walk::new(self, start, (row - first) as usize, noise, row);
                let mut path = ChainPath { times: vec![], states: vec![walk.state] };
                while let Some(time) = walk.jump(end) {
                    path.times.push(time);
                    path.states.push(walk.state);
                }
                path
            };
            Ok(block.map(path).collect::<Vec<_>>())
        })?;
        Ok(blocks.into_iter().flatten().collect())
    }

    /// The states of the given rows at ascending times, `(n, number of times)`.
    ///
    /// They are those of [`paths`](Simulation::paths) with the same noise, to the bit.
    ///
    /// # Errors
    /// As [`paths`](Simulation::paths); if the times do not ascend.
    ///
    /// # Panics
    /// If the states do not fit into memory.
    pub fn states_at(
        &self,
        start: Start<'_>,
        times: &[f64],
        rows: Range<u64>,
        noise: Noise,
        control: Control<'_>,
    ) -> Result<Array2<u32>, Error> {
        for (index, &value) in times.iter().enumerate() {
            self.check_end("times", value)?;
            if index > 0 && value < times[index - 1] {
                return Err(Error::Entry { parameter: "times", index, value, expected: "ascending times" });
            }
        }
        self.check_start(start, &rows)?;
        let (first, count) = (rows.start, rows.end.saturating_sub(rows.start) as usize);
        let last = times.last().copied().unwrap_or(0.0);
        let blocks = run_blocks(rows, Batching::default(), control, |block, _| {
            let mut seen = Vec::with_capacity((block.end - block.start) as usize * times.len());
            for row in block {
                let mut walk = Walk::new(self, start, (row - first) as usize, noise, row);
                let mut left = times;
                loop {
                    let before = walk.state;
                    let jump = walk.jump(last);
                    let passed = jump.map_or(left.len(), |jump| left.partition_point(|&t| t < jump));
                    seen.extend(std::iter::repeat_n(before, passed));
                    left = &left[passed..];
                    if jump.is_none() {
                        break;
                    }
                }
            }
            Ok(seen)
        })?;
        let states = Array2::from_shape_vec((count, times.len()), blocks.concat());
        Ok(states.expect("one state for each row and time"))
    }

    fn check_end(&self, parameter: &'static str, end: f64) -> Result<(), Error> {
        Error::domain(end >= 0.0, parameter, end, "a time of the schedule")?;
        let jumps = self.generator.max_exit_rate() * self.beta.integral(0.0, end)?;
        Error::domain(jumps.is_finite(), parameter, end, "a time with a finite number of jumps before it")
    }

    fn check_start(&self, start: Start<'_>, rows: &Range<u64>) -> Result<(), Error> {
        let states = self.generator.states();
        match start {
            Start::State(state) => {
                Error::domain((state as usize) < states, "start", f64::from(state), "one of the states")
            }
            Start::States(given) => {
                let count = rows.end.saturating_sub(rows.start) as usize;
                Error::shape("start", &[count], &[given.len()])?;
                let given = given.iter().map(|&state| f64::from(state));
                Error::entries("start", given, "one of the states", |state| state < states as f64)
            }
            Start::Law(law) => check_law("start", states, law),
        }
    }
}

/// One row on its way, on the clock of the homogeneous chain.
struct Walk<'a, G: ?Sized> {
    of: &'a Simulation<'a, G>,
    stream: RowStream,
    /// Rate of candidates; none for the direct method.
    bound: Option<f64>,
    state: u32,
    clock: f64,
    time: f64,
}

impl<'a, G: Generator + ?Sized> Walk<'a, G> {
    fn new(of: &'a Simulation<'a, G>, start: Start<'_>, index: usize, noise: Noise, row: u64) -> Walk<'a, G> {
        let mut stream = noise.fork("chain").row_stream(row);
        let state = match start {
            Start::State(state) => state,
            Start::States(states) => states[index],
            Start::Law(law) => draw(law, law.iter().sum(), stream.uniform()),
        };
        let bound = (of.method == Method::Uniformization).then(|| of.generator.max_exit_rate());
        Walk { of, stream, bound, state, clock: 0.0, time: 0.0 }
    }

    /// Makes the next jump and returns its time, if that is not after `end`.
    fn jump(&mut self, end: f64) -> Option<f64> {
        let exit = self.of.generator.exit_rate(self.state);
        if exit == 0.0 {
            return None;
        }
        let rate = self.bound.unwrap_or(exit);
        loop {
            self.clock -= self.stream.uniform().ln() / rate;
            // Rounding in the inverse of the clock must not undo the order of jumps.
            self.time = self.of.beta.inverse(self.clock).max(self.time);
            if self.time > end {
                return None;
            }
            let u = self.stream.uniform() * rate;
            if u < exit {
                self.state = self.of.generator.destination(self.state, u / exit);
                return Some(self.time);
            }
        }
    }
}
