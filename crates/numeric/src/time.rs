//! Times and grids of times.

use crate::Error;

/// A time `t` together with the distance that is left to the end of the axis, `to_end` = end − t.
///
/// Both are stored, so that a process whose data sit at `t = 0` and one whose data sit at the end can both
/// be evaluated close to their data without cancellation.
///
/// ```
/// use numeric::Time;
/// let close_to_the_end = Time { t: 1.0, to_end: 1e-20 };   // 1 − t alone would be 0
/// assert!(close_to_the_end.to_end > 0.0);
/// assert_eq!(Time::of(0.25).to_end, f64::INFINITY);        // an axis without end
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Time {
    /// The time, in the unit of its process.
    pub t: f64,
    /// End of the axis − `t`.
    pub to_end: f64,
}

impl Time {
    /// The time `t` on an axis without end.
    #[must_use]
    pub const fn of(t: f64) -> Time {
        Time { t, to_end: f64::INFINITY }
    }
}

/// The times of a batch: one for all rows, or one per row (as in training).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Times<'a> {
    /// All rows share this time.
    Same(Time),
    /// Row `i` of the batch has the `i`-th time.
    PerRow(&'a [Time]),
}

impl Times<'_> {
    /// Time of the `i`-th row of the batch.
    ///
    /// # Panics
    /// If there is no such row.
    #[must_use]
    pub fn get(&self, i: usize) -> Time {
        match *self {
            Times::Same(time) => time,
            Times::PerRow(times) => times[i],
        }
    }
}

/// Strictly monotone nodes, indexed by integers, in either direction.
///
/// Every loop of a sampler walks pairs of *stored* neighbours; nothing recomputes a time. The ends are
/// exactly the numbers that were given.
///
/// ```
/// use numeric::TimeGrid;
/// # fn main() -> Result<(), numeric::Error> {
/// let grid = TimeGrid::from_nodes(vec![1.0, 0.3, 0.1])?;            // a run backwards in time
/// assert_eq!((grid.steps(), grid.first().t, grid.last().t), (2, 1.0, 0.1));
/// let fine = grid.refined(3);                                       // 2³ steps for each
/// assert_eq!((fine.steps(), fine.node(8), fine.last()), (16, grid.node(1), grid.last()));
/// assert!(TimeGrid::from_nodes(vec![0.0, 0.0]).is_err());
/// assert!(TimeGrid::from_nodes(vec![0.0, f64::NAN]).is_err());
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(transparent))]
pub struct TimeGrid {
    nodes: Vec<Time>,
}

impl TimeGrid {
    /// Grid of the given nodes; the end of the axis is the largest of them.
    ///
    /// # Errors
    /// [`Error::Shape`] for fewer than two nodes, [`Error::Entry`] for the first one that is not finite or
    /// does not go on strictly in the direction of the first step.
    pub fn from_nodes(nodes: Vec<f64>) -> Result<TimeGrid, Error> {
        let end = nodes.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        TimeGrid::from_times(nodes.into_iter().map(|t| Time { t, to_end: end - t }).collect())
    }

    /// Grid of nodes that carry their own distance to the end, each exact to rounding.
    ///
    /// Neighbours may share the same `t` where `to_end` tells them apart, or the other way round.
    ///
    /// # Errors
    /// As [`from_nodes`](Self::from_nodes); a distance to the end must not be negative.
    pub fn from_times(nodes: Vec<Time>) -> Result<TimeGrid, Error> {
        if nodes.len() < 2 {
            return Err(Error::Shape { parameter: "nodes", expected: vec![2], found: vec![nodes.len()] });
        }
        Error::entries("nodes", nodes.iter().map(|n| n.t), "a finite time", f64::is_finite)?;
        Error::entries("to_end", nodes.iter().map(|n| n.to_end), "a distance of at least 0", |d| d >= 0.0)?;
        let forward = forward(nodes[0], nodes[1]);
        let monotone = |pair: &[Time]| {
            let ahead = self::forward(pair[0], pair[1]);
            ahead == forward && pair[0] != pair[1] && (pair[1].t - pair[0].t) * direction(forward) >= 0.0
        };
        match nodes.windows(2).position(|pair| !monotone(pair)) {
            None => Ok(TimeGrid { nodes }),
            Some(i) => Err(Error::Entry {
                parameter: "nodes",
                index: i + 1,
                value: nodes[i + 1].t,
                expected: "strictly monotone nodes, in the direction of the first step",
            }),
        }
    }

    /// `steps` equal steps from `from` to `to`, in either direction.
    ///
    /// ```
    /// let grid = numeric::TimeGrid::uniform(0.0, 0.3, 3)?;
    /// assert_eq!(grid.steps(), 3);        // not 2: nothing is counted with a floating-point division
    /// assert_eq!(grid.last().t, 0.3);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Domain`] for `steps` = 0; [`Error::Entry`] if the ends are equal or not finite.
    pub fn uniform(from: f64, to: f64, steps: usize) -> Result<TimeGrid, Error> {
        Error::domain(steps > 0, "steps", steps as f64, "at least 1")?;
        TimeGrid::from_nodes((0..=steps).map(|k| between(from, to, k, steps)).collect())
    }

    /// Number of steps, one less than nodes.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.nodes.len() - 1
    }

    /// All nodes, in the order of the run.
    #[must_use]
    pub fn nodes(&self) -> &[Time] {
        &self.nodes
    }

    /// Node `k`, from 0 to [`steps`](Self::steps) inclusive.
    ///
    /// # Panics
    /// If `k` is greater than the number of steps.
    #[must_use]
    pub fn node(&self, k: usize) -> Time {
        self.nodes[k]
    }

    /// Where the run starts.
    #[must_use]
    pub fn first(&self) -> Time {
        self.nodes[0]
    }

    /// Where the run ends.
    #[must_use]
    pub fn last(&self) -> Time {
        self.nodes[self.steps()]
    }

    /// Length |t_{k+1} − t_k| of step `k`, from whichever of `t` and `to_end` gives it more exactly.
    ///
    /// # Panics
    /// If there is no such step.
    #[must_use]
    pub fn length(&self, k: usize) -> f64 {
        let (a, b) = (self.nodes[k], self.nodes[k + 1]);
        if b.t.abs().max(a.t.abs()) <= a.to_end.max(b.to_end) {
            (b.t - a.t).abs()
        } else {
            (b.to_end - a.to_end).abs()
        }
    }

    /// Lengths of all steps.
    #[must_use]
    pub fn lengths(&self) -> Vec<f64> {
        (0..self.steps()).map(|k| self.length(k)).collect()
    }

    /// The pairs of neighbours, in the order of the run.
    #[must_use]
    pub fn pairs(&self) -> impl ExactSizeIterator<Item = (Time, Time)> + '_ {
        self.nodes.windows(2).map(|pair| (pair[0], pair[1]))
    }

    /// The same nodes in the opposite direction.
    #[must_use]
    pub fn reversed(&self) -> TimeGrid {
        TimeGrid { nodes: self.nodes.iter().rev().copied().collect() }
    }

    /// Each step divided into 2^`level` equal ones; the old nodes stay, to the bit.
    ///
    /// A step too short to be divided that often in floating point is divided into as many distinct nodes as
    /// there are only if that is all of them; otherwise the result would repeat nodes, which is refused.
    ///
    /// # Panics
    /// If the refined grid would have neighbours that are equal in floating point.
    #[must_use]
    pub fn refined(&self, level: u32) -> TimeGrid {
        let parts = 1_usize << level;
        let mut nodes = Vec::with_capacity(self.steps() * parts + 1);
        for (a, b) in self.pairs() {
            nodes.extend((0..parts).map(|k| Time {
                t: between(a.t, b.t, k, parts),
                to_end: between(a.to_end, b.to_end, k, parts),
            }));
        }
        nodes.push(self.last());
        TimeGrid::from_times(nodes).expect("a step is too short to be divided that often")
    }
}

/// The point `k/n` of the way from `a` to `b`: exactly `a` for 0 and `b` for `n`, monotone between.
fn between(a: f64, b: f64, k: usize, n: usize) -> f64 {
    if a == b {
        // Also where both are infinite, on an axis without end.
        return a;
    }
    if 2 * k <= n { a + (b - a) * (k as f64 / n as f64) } else { b - (b - a) * ((n - k) as f64 / n as f64) }
}

/// Whether the step goes towards the end of the axis.
fn forward(a: Time, b: Time) -> bool {
    if a.t == b.t { b.to_end < a.to_end } else { b.t > a.t }
}

fn direction(forward: bool) -> f64 {
    if forward { 1.0 } else { -1.0 }
}
