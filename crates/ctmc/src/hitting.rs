//! When, where and whether a chain first comes to a set of states.
//!
//! | what | function |
//! |---|---|
//! | the mean of the time, from every state | [`expected_times`] |
//! | the law of the state that is hit first, and the probability that none is | [`first_hits`] |
//! | the distribution function of the time | [`probability_by`] |
//! | the chain that stops there | [`Stopped`] |
//!
//! The first two are eliminations without a subtraction: means and probabilities keep their relative precision, however
//! large or small they are. The time before absorption is that of hitting the absorbing states.
//!
//! ```
//! use ctmc::{BirthDeath, hitting};
//! // A gambler with 1 of 4 coins who wins with probability 1/3, a game in each unit of time.
//! let game = BirthDeath::new(vec![0.0, 1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0], vec![2.0 / 3.0, 2.0 / 3.0, 2.0 / 3.0, 0.0])?;
//! let ends = hitting::first_hits(&game, &[0, 4])?;
//! assert!((ends.states[[1, 1]] - 1.0 / 15.0).abs() < 1e-16);   // (2 − 1)/(2⁴ − 1)
//! let games = hitting::expected_times(&game, &[0, 4])?;
//! assert!((games[1] - (3.0 - 12.0 / 15.0)).abs() < 1e-15);
//! # Ok::<(), numeric::Error>(())
//! ```

use numeric::Error;
use numeric::ndarray::Array2;

use crate::elimination::Band;
use crate::{Evolved, Generator, expectation};

/// The mean time until a chain is in one of the states of `target`, from every state.
///
/// ```math
/// m_i = 0 \text{ on the target}, \qquad e_i m_i = 1 + \sum_{j \ne i} q_{ij} m_j \text{ elsewhere} .
/// ```
///
/// Infinite from states from which, with a positive probability, the target is never hit. Each mean to a relative error
/// of about $`S u`$ to $`S^2 u`$ with the unit roundoff u.
///
/// # Errors
/// If the target is empty, or a state of it does not exist or is named twice; [`Error::Domain`] if the band of the rates
/// between the other states has more than $`2^{24}`$ entries: 4096 states, or more if their numbers are close where
/// there are rates.
///
/// # Complexity
/// $`O(S b^2)`$ with the width b of the band.
///
/// # References
/// O'Cinneide (1996), *Relative-error bounds for the LU decomposition via the GTH algorithm*.
///
/// ```
/// use ctmc::{BirthDeath, hitting};
/// // Up 20 steps against a drift of 10 to 1: 10²⁰ times as long as down.
/// let walk = BirthDeath::new(vec![1.0; 20], vec![10.0; 20])?;
/// let up = hitting::expected_times(&walk, &[20])?[0];
/// let exact = (1..=20).map(|k| (10f64.powi(k) - 1.0) / 9.0).sum::<f64>();
/// assert!((up / exact - 1.0).abs() < 1e-14);
/// # Ok::<(), numeric::Error>(())
/// ```
pub fn expected_times(generator: &(impl Generator + ?Sized), target: &[u32]) -> Result<Vec<f64>, Error> {
    let kinds = kinds(generator, target)?;
    let mut means: Vec<f64> =
        kinds.iter().map(|&kind| if kind == Kind::Target { 0.0 } else { f64::INFINITY }).collect();
    for (state, row) in eliminate(generator, &kinds, &[Kind::Certain], 1, |_| 0)? {
        means[state as usize] = row[1];
    }
    Ok(means)
}

/// Where a chain first comes to a target, from [`first_hits`].
#[derive(Clone, Debug, PartialEq)]
pub struct FirstHits {
    /// Probability that the k-th state of the target is the first of them that is hit, `(S, number of targets)`, by
    /// starting state.
    pub states: Array2<f64>,
    /// Probability that none of them is ever hit, by starting state.
    pub never: Vec<f64>,
}

/// The laws of the first state of `target` that is hit, from every state.
///
/// ```math
/// h_{ik} = [i = \text{target}_k] \text{ on the target}, \qquad
/// e_i h_{ik} = \sum_{j \ne i} q_{ij} h_{jk} \text{ elsewhere} ,
/// ```
/// the least solution that is not negative. What is missing in a row is the probability of never hitting the target; it
/// is a result of its own, and small ones keep their digits as well.
///
/// # Errors
/// As [`expected_times`]; if there are more than $`2^{24}`$ pairs of a state and a target.
///
/// ```
/// use ctmc::{Sparse, hitting};
/// // From 0 to one of two absorbing states, or to a loop of two states.
/// let rates = [(0, 1, 1.0), (0, 2, 2.0), (0, 3, 5.0), (3, 4, 1.0), (4, 3, 1.0)];
/// let hits = hitting::first_hits(&Sparse::new(5, rates)?, &[1, 2])?;
/// assert_eq!(hits.states.row(0).to_vec(), [0.125, 0.25]);
/// assert_eq!(hits.never, [0.625, 0.0, 0.0, 1.0, 1.0]);
/// # Ok::<(), numeric::Error>(())
/// ```
pub fn first_hits(generator: &(impl Generator + ?Sized), target: &[u32]) -> Result<FirstHits, Error> {
    let kinds = kinds(generator, target)?;
    let (states, columns) = (generator.states(), target.len());
    let fits = states.checked_mul(columns + 1).is_some_and(|pairs| pairs <= 1 << 24);
    Error::domain(fits, "target", columns as f64, "at most 2^24 pairs of a state and a target")?;
    let mut place = vec![columns; states];
    for (k, &state) in target.iter().enumerate() {
        place[state as usize] = k;
    }
    let mut hits = FirstHits { states: Array2::zeros((states, columns)), never: vec![0.0; states] };
    for (state, &kind) in kinds.iter().enumerate() {
        match kind {
            Kind::Target => hits.states[[state, place[state]]] = 1.0,
            Kind::Never => hits.never[state] = 1.0,
            Kind::Certain | Kind::Possible => {}
        }
    }
    let among = [Kind::Certain, Kind::Possible];
    for (state, row) in eliminate(generator, &kinds, &among, columns + 1, |to| place[to as usize])? {
        hits.states.row_mut(state as usize).iter_mut().zip(&row).for_each(|(to, from)| *to = *from);
        hits.never[state as usize] = row[columns];
    }
    Ok(hits)
}

/// The probability that a state of `target` has been hit by a time, from every state: $`\mathbb P_i(T \le t)`$.
///
/// The law of the [stopped](Stopped) chain, by uniformization.
///
/// # Errors
/// Those of [`Stopped::new`] and of [`expectation`].
///
/// ```
/// use ctmc::{BirthDeath, hitting};
/// // Three steps one after the other at rate 2: an Erlang law.
/// let steps = BirthDeath::new(vec![2.0; 3], vec![0.0; 3])?;
/// let by = hitting::probability_by(&steps, &[3], 1.5, 1e-14)?;
/// assert!((by.values[0] - (1.0 - (-3f64).exp() * (1.0 + 3.0 + 4.5))).abs() < 1e-14);
/// # Ok::<(), numeric::Error>(())
/// ```
pub fn probability_by(
    generator: &(impl Generator + ?Sized),
    target: &[u32],
    time: f64,
    tolerance: f64,
) -> Result<Evolved, Error> {
    let stopped = Stopped::new(generator, target)?;
    let indicator: Vec<f64> = stopped.target.iter().map(|&hit| f64::from(u8::from(hit))).collect();
    expectation(&stopped, &indicator, time, tolerance)
}

/// A chain that stays for ever in the first state of a target that it comes to.
///
/// ```
/// use ctmc::{Generator, Refresh, hitting::Stopped};
/// let uniform = Refresh::uniform(3, 1.0)?;
/// let stopped = Stopped::new(&uniform, &[2])?;
/// assert_eq!([stopped.exit_rate(1), stopped.exit_rate(2), stopped.rate(2, 0)], [2.0, 0.0, 0.0]);
/// # Ok::<(), numeric::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Stopped<'a, G: ?Sized> {
    generator: &'a G,
    target: Vec<bool>,
}

impl<'a, G: Generator + ?Sized> Stopped<'a, G> {
    /// The chain of `generator`, stopped in the states of `target`.
    ///
    /// # Errors
    /// If the target is empty, or a state of it does not exist or is named twice.
    pub fn new(generator: &'a G, target: &[u32]) -> Result<Stopped<'a, G>, Error> {
        Ok(Stopped { generator, target: indicator(generator.states(), target)? })
    }

    fn has_hit(&self, state: u32) -> bool {
        self.target[state as usize]
    }
}

impl<G: Generator + ?Sized> Generator for Stopped<'_, G> {
    fn states(&self) -> usize {
        self.generator.states()
    }

    fn rate(&self, from: u32, to: u32) -> f64 {
        if self.has_hit(from) { 0.0 } else { self.generator.rate(from, to) }
    }

    fn exit_rate(&self, from: u32) -> f64 {
        if self.has_hit(from) { 0.0 } else { self.generator.exit_rate(from) }
    }

    fn for_each_rate(&self, from: u32, visit: &mut dyn FnMut(u32, f64)) {
        if !self.has_hit(from) {
            self.generator.for_each_rate(from, visit);
        }
    }

    fn inflow_into(&self, p: &[f64], out: &mut [f64]) {
        let moving: Vec<f64> =
            p.iter().zip(&self.target).map(|(&p, &hit)| if hit { 0.0 } else { p }).collect();
        self.generator.inflow_into(&moving, out);
    }

    fn outflow_into(&self, f: &[f64], out: &mut [f64]) {
        self.generator.outflow_into(f, out);
        out.iter_mut().zip(&self.target).filter(|(_, hit)| **hit).for_each(|(out, _)| *out = 0.0);
    }
}

/// Which states are in the target.
fn indicator(states: usize, target: &[u32]) -> Result<Vec<bool>, Error> {
    Error::domain(!target.is_empty(), "target", 0.0, "at least one state")?;
    let mut hit = vec![false; states];
    for (index, &state) in target.iter().enumerate() {
        let entry = |expected| Error::Entry { parameter: "target", index, value: f64::from(state), expected };
        let place = hit.get_mut(state as usize).ok_or_else(|| entry("one of the states"))?;
        if std::mem::replace(place, true) {
            return Err(entry("each state once"));
        }
    }
    Ok(hit)
}

/// What may come of a start in a state.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Target,
    /// The target is hit with probability 1.
    Certain,
    Possible,
    /// No path leads to the target.
    Never,
}

fn kinds(generator: &(impl Generator + ?Sized), target: &[u32]) -> Result<Vec<Kind>, Error> {
    let hit = indicator(generator.states(), target)?;
    let mut sources = vec![vec![]; hit.len()];
    for from in generator.state_range().filter(|&from| !hit[from as usize]) {
        generator.for_each_rate(from, &mut |to, _| sources[to as usize].push(from));
    }
    let leads_to = |set: Vec<bool>| {
        let mut stack: Vec<u32> = generator.state_range().filter(|&state| set[state as usize]).collect();
        let mut leads = set;
        while let Some(state) = stack.pop() {
            for &from in &sources[state as usize] {
                if !std::mem::replace(&mut leads[from as usize], true) {
                    stack.push(from);
                }
            }
        }
        leads
    };
    let may_hit = leads_to(hit.clone());
    let may_miss = leads_to(may_hit.iter().map(|may| !may).collect());
    let kind = |state: usize| match (hit[state], may_hit[state], may_miss[state]) {
        (true, ..) => Kind::Target,
        (_, false, _) => Kind::Never,
        (_, _, true) => Kind::Possible,
        _ => Kind::Certain,
    };
    Ok((0..hit.len()).map(kind).collect())
}

/// For the states of the kinds `among`: the probabilities to go from them to one of the others for which `ends` gives
/// each column, and after these the mean of the time that it takes.
fn eliminate(
    generator: &(impl Generator + ?Sized),
    kinds: &[Kind],
    among: &[Kind],
    columns: usize,
    ends: impl Fn(u32) -> usize,
) -> Result<Vec<(u32, Vec<f64>)>, Error> {
    let inside: Vec<u32> =
        generator.state_range().filter(|&state| among.contains(&kinds[state as usize])).collect();
    let mut place = vec![None; kinds.len()];
    for (k, &state) in inside.iter().enumerate() {
        place[state as usize] = Some(k);
    }
    let mut band = Band::new(inside.len(), |from, visit| {
        generator.for_each_rate(inside[from], &mut |to, rate| {
            if let Some(to) = place[to as usize] {
                visit(to, rate);
            }
        });
    })?;
    let mut solved: Vec<(u32, Vec<f64>)> =
        inside.iter().map(|&state| (state, vec![0.0; columns + 1])).collect();
    for (from, row) in &mut solved {
        row[columns] = 1.0;
        generator.for_each_rate(*from, &mut |to, rate| {
            if place[to as usize].is_none() {
                row[ends(to)] += rate;
            }
        });
    }
    // Down: what a state brings about is counted where it is come from.
    let mut leaving = vec![0.0; inside.len()];
    for n in (0..inside.len()).rev() {
        let (below, last) = solved.split_at_mut(n);
        let last = &last[0].1;
        leaving[n] = band.down(n).1.iter().chain(&last[..columns]).sum();
        band.take_out(n, leaving[n]);
        for from in band.sources(n) {
            let through = band.get(from, n);
            below[from].1.iter_mut().zip(last).for_each(|(sum, value)| *sum += through * value);
        }
    }
    // Up again.
    for (n, leaving) in leaving.iter().enumerate() {
        let (below, last) = solved.split_at_mut(n);
        let row = &mut last[0].1;
        let (first, rates) = band.down(n);
        for (rate, (_, from)) in rates.iter().zip(&below[first..]) {
            row.iter_mut().zip(from).for_each(|(sum, value)| *sum += rate * value);
        }
        row.iter_mut().for_each(|value| *value /= leaving);
    }
    Ok(solved)
}
