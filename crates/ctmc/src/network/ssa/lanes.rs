//! Many paths side by side.

use std::sync::atomic::{AtomicBool, Ordering};

use numeric::{Error, Noise, vectorize};

use super::elementary::Elementary;

/// Paths that are worked on together.
const LANES: usize = 64;
/// Events between two looks at whether all is well.
const ROUND: u64 = 64;

type Lane<T> = [T; LANES];

/// What the rows of a block have in common.
pub(super) struct Task<'a> {
    pub(super) network: &'a Elementary,
    /// Not empty.
    pub(super) times: &'a [f64],
    pub(super) first_row: u64,
    pub(super) rows: usize,
    /// The noise of the row streams.
    pub(super) noise: Noise,
    pub(super) max_events: u64,
    pub(super) cancel: Option<&'a AtomicBool>,
}

/// Paths by the direct method, each in a lane of its own: the operations of the scalar method in the same order, hence the
/// same bits, on 64 rows at once. A lane whose path has ended goes on with the next row.
struct Lanes<'a> {
    task: &'a Task<'a>,
    factors: Vec<Lane<f64>>,
    cumulative: Vec<Lane<f64>>,
    time: Lane<f64>,
    /// The next time at which each path is looked at.
    look: Lane<f64>,
    rows: Lane<u64>,
    /// Pairs of random numbers used: events, and one that comes too late.
    pairs: Lane<u64>,
    /// Which of the rows, counted from the first, and which of the times comes next.
    place: Lane<Option<usize>>,
    seen: Lane<usize>,
    started: usize,
    out: Vec<u32>,
    /// Rows that are left to the scalar method.
    left: Vec<usize>,
}

/// The counts at the times, row by row, and the rows for which they are to be found by the scalar method: those whose
/// counts, events or propensities come near what is an error.
pub(super) fn look(
    task: &Task<'_>,
    start: impl Fn(usize) -> Vec<u32>,
) -> Result<(Vec<u32>, Vec<usize>), Error> {
    let Task { network, times, rows, .. } = *task;
    let mut lanes = Lanes {
        task,
        factors: vec![[0.0; LANES]; network.factors],
        cumulative: vec![[0.0; LANES]; network.constants.len()],
        time: [0.0; LANES],
        look: [f64::INFINITY; LANES],
        rows: [0; LANES],
        pairs: [0; LANES],
        place: [None; LANES],
        seen: [0; LANES],
        started: 0,
        out: vec![0; rows * times.len() * network.species],
        left: vec![],
    };
    (0..LANES).for_each(|lane| lanes.load(lane, &start));
    while lanes.place.iter().any(Option::is_some) {
        vectorize(
            #[inline(always)]
            || {
                for _ in 0..ROUND {
                    lanes.step(&start);
                }
            },
        );
        lanes.check(&start);
        if task.cancel.is_some_and(|cancel| cancel.load(Ordering::Relaxed)) {
            return Err(Error::Cancelled);
        }
    }
    lanes.left.sort_unstable();
    Ok((lanes.out, lanes.left))
}

impl Lanes<'_> {
    /// One event in every lane.
    #[inline(always)]
    fn step(&mut self, start: &impl Fn(usize) -> Vec<u32>) {
        let network = self.task.network;
        let (mut exponentials, mut uniforms) = ([0.0; LANES], [0.0; LANES]);
        self.task.noise.exponentials_and_uniforms(&self.rows, &self.pairs, &mut exponentials, &mut uniforms);
        let mut total = [0.0; LANES];
        for ((&[i, j], &constant), out) in
            network.pairs.iter().zip(&network.constants).zip(&mut self.cumulative)
        {
            add_products(&mut total, &self.factors[i as usize], &self.factors[j as usize], constant, out);
        }
        let (mut next, mut target, mut alert) = ([0.0; LANES], [0.0; LANES], false);
        for l in 0..LANES {
            next[l] = self.time[l] + exponentials[l] / total[l];
            let product = uniforms[l] * total[l];
            // Below the sum, where rounding made it the sum.
            target[l] =
                if product < total[l] { product } else { f64::from_bits(total[l].to_bits().wrapping_sub(1)) };
            alert |= (next[l] > self.look[l]) | !(total[l] < f64::INFINITY);
            self.pairs[l] += 1;
        }
        if alert {
            self.arrive(&total, &mut next, &mut target, start);
        }
        self.time = next;
        let mut below = &[0.0; LANES];
        for (changes, above) in network.changes.iter().zip(&self.cumulative) {
            if !changes.is_empty() {
                let fires = between(below, &target, above);
                for &(species, change) in changes {
                    add_scaled(&mut self.factors[species as usize], &fires, f64::from(change));
                }
            }
            below = above;
        }
        for &(factor, of) in &network.less {
            let count = self.factors[of as usize];
            for (less, count) in self.factors[factor as usize].iter_mut().zip(count) {
                *less = if count > 1.0 { count - 1.0 } else { 0.0 };
            }
        }
    }

    /// Keeps the counts of the lanes whose next event comes after a time at which they are looked at.
    #[inline(never)]
    fn arrive(
        &mut self,
        total: &Lane<f64>,
        next: &mut Lane<f64>,
        target: &mut Lane<f64>,
        start: &impl Fn(usize) -> Vec<u32>,
    ) {
        let Task { times, network, .. } = *self.task;
        for l in 0..LANES {
            let Some(place) = self.place[l] else { continue };
            let sound = total[l] < f64::INFINITY;
            while sound && next[l] > self.look[l] {
                let at = (place * times.len() + self.seen[l]) * network.species;
                for (out, count) in self.out[at..at + network.species].iter_mut().zip(&self.factors) {
                    *out = count[l] as u32;
                }
                self.seen[l] += 1;
                self.look[l] = times.get(self.seen[l]).copied().unwrap_or(f64::INFINITY);
                if self.seen[l] == times.len() {
                    break;
                }
            }
            if !sound {
                self.left.push(place);
            }
            if !sound || self.seen[l] == times.len() {
                self.load(l, start);
                // A new path: nothing happens in this step.
                (next[l], target[l]) = (0.0, f64::INFINITY);
            }
        }
    }

    /// Starts the next row in a lane, or lets the lane rest.
    fn load(&mut self, l: usize, start: &impl Fn(usize) -> Vec<u32>) {
        let Task { network, times, rows, .. } = *self.task;
        (self.time[l], self.pairs[l], self.seen[l]) = (0.0, 0, 0);
        while self.started < rows {
            let place = self.started;
            self.started += 1;
            self.rows[l] = self.task.first_row + place as u64;
            for (factor, value) in self.factors.iter_mut().zip(network.factors(&start(place))) {
                factor[l] = value;
            }
            if !self.is_near_an_error(l) {
                (self.place[l], self.look[l]) = (Some(place), times[0]);
                return;
            }
            self.left.push(place);
        }
        // Without the factor 1 nothing happens.
        self.factors.iter_mut().for_each(|factor| factor[l] = 0.0);
        (self.place[l], self.look[l]) = (None, f64::INFINITY);
    }

    /// Whether a count or the number of events could become too great within a round.
    fn is_near_an_error(&self, l: usize) -> bool {
        let network = self.task.network;
        let most = f64::from(u32::MAX) - ROUND as f64 * f64::from(network.greatest_change);
        self.pairs[l].saturating_add(ROUND) > self.task.max_events
            || self.factors[..network.species].iter().any(|count| !(count[l] <= most))
    }

    /// Leaves rows to the scalar method that could come to an error within the next round.
    fn check(&mut self, start: &impl Fn(usize) -> Vec<u32>) {
        for l in 0..LANES {
            if let Some(place) = self.place[l].filter(|_| self.is_near_an_error(l)) {
                self.left.push(place);
                self.load(l, start);
            }
        }
    }
}

/// Adds x y c to the total, and writes what it is then.
#[inline(always)]
fn add_products(total: &mut Lane<f64>, x: &Lane<f64>, y: &Lane<f64>, c: f64, out: &mut Lane<f64>) {
    for l in 0..LANES {
        let sum = total[l] + x[l] * y[l] * c;
        total[l] = sum;
        out[l] = sum;
    }
}

/// 1 where the target lies from `below` to just below `above`, else 0.
#[inline(always)]
fn between(below: &Lane<f64>, target: &Lane<f64>, above: &Lane<f64>) -> Lane<f64> {
    let mut is = [0.0; LANES];
    for l in 0..LANES {
        is[l] = if (below[l] <= target[l]) & (target[l] < above[l]) { 1.0 } else { 0.0 };
    }
    is
}

#[inline(always)]
fn add_scaled(count: &mut Lane<f64>, fires: &Lane<f64>, change: f64) {
    for l in 0..LANES {
        count[l] += fires[l] * change;
    }
}
