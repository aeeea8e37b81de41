//! Many paths side by side.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use numeric::{Control, Error, Noise, vectorize};
use rayon::prelude::*;

use super::Start;
use super::elementary::Elementary;

/// Paths that are worked on together.
const LANES: usize = 64;
/// Events between two looks at whether all is well.
pub(super) const ROUND: u64 = 64;

type Lane<T> = [T; LANES];

type Alone<'a> = dyn Fn(usize, &mut [u32]) -> Result<(), Error> + Sync + 'a;

/// What all workers have in common.
pub(super) struct Task<'a> {
    pub(super) network: &'a Elementary,
    /// Not empty.
    pub(super) times: &'a [f64],
    pub(super) start: Start<'a>,
    pub(super) first_row: u64,
    pub(super) rows: usize,
    /// The noise of the row streams.
    pub(super) noise: Noise,
    pub(super) max_events: u64,
    pub(super) control: Control<'a>,
    /// The scalar method, for rows whose counts, events or propensities come near what is an error: writes the counts of a
    /// row, counted from the first.
    pub(super) alone: &'a Alone<'a>,
}

/// Where all workers take their rows from, so that all are busy to the end.
struct Queue {
    started: AtomicUsize,
    done: AtomicU64,
    /// The lowest row that has failed; rows above it are of no interest.
    failed: AtomicUsize,
    failure: Mutex<Option<Error>>,
}

/// Paths by the direct method, each in a lane of its own: the operations of the scalar method in the same order, hence the
/// same bits, on 64 rows at once. A lane whose path has ended goes on with the next row.
struct Lanes<'a> {
    task: &'a Task<'a>,
    queue: &'a Queue,
    factors: Vec<Lane<f64>>,
    cumulative: Vec<Lane<f64>>,
    time: Lane<f64>,
    /// The next time at which each path is looked at.
    look: Lane<f64>,
    rows: Lane<u64>,
    /// Pairs of random numbers used: events, and one that comes too late.
    pairs: Lane<u64>,
    /// Which of the `places` is in the lane, and which of the times comes next.
    slot: Lane<Option<usize>>,
    seen: Lane<usize>,
    /// Rows that were started, counted from the first of all, and their counts at the times.
    places: Vec<usize>,
    out: Vec<u32>,
    /// Rows that have ended since this was reported.
    ended: u64,
}

/// The counts at the times, row by row.
pub(super) fn look(task: &Task<'_>) -> Result<Vec<u32>, Error> {
    let queue = Queue {
        started: AtomicUsize::new(0),
        done: AtomicU64::new(0),
        failed: AtomicUsize::new(usize::MAX),
        failure: Mutex::new(None),
    };
    let workers = rayon::current_num_threads().min(task.rows.div_ceil(LANES));
    // Where one is cancelled, it is not known which row would have failed first.
    let parts: Vec<_> = (0..workers)
        .into_par_iter()
        .with_max_len(1)
        .map(|_| Lanes::new(task, &queue).run())
        .collect::<Result<_, Error>>()?;
    if let Some(error) = queue.failure.into_inner().expect("no worker panics with it") {
        return Err(error);
    }
    let width = task.times.len() * task.network.species;
    let mut out = vec![0; task.rows * width];
    for (places, counts) in parts {
        for (place, counts) in places.into_iter().zip(counts.chunks_exact(width)) {
            out[place * width..][..width].copy_from_slice(counts);
        }
    }
    Ok(out)
}

impl Queue {
    fn next(&self, rows: usize) -> Option<usize> {
        let place = self.started.fetch_add(1, Ordering::Relaxed);
        (place < rows && place < self.failed.load(Ordering::Relaxed)).then_some(place)
    }

    /// Rows start in their order: those below this one have, and will tell whether they fail.
    fn fail(&self, place: usize, error: Error) {
        let mut failure = self.failure.lock().expect("no worker panics with it");
        if place < self.failed.load(Ordering::Relaxed) {
            self.failed.store(place, Ordering::Relaxed);
            *failure = Some(error);
        }
    }
}

impl<'a> Lanes<'a> {
    fn new(task: &'a Task<'a>, queue: &'a Queue) -> Lanes<'a> {
        Lanes {
            task,
            queue,
            factors: vec![[0.0; LANES]; task.network.factors],
            cumulative: vec![[0.0; LANES]; task.network.constants.len()],
            time: [0.0; LANES],
            look: [f64::INFINITY; LANES],
            rows: [0; LANES],
            pairs: [0; LANES],
            slot: [None; LANES],
            seen: [0; LANES],
            places: vec![],
            out: vec![],
            ended: 0,
        }
    }

    /// Rows, and the counts of each at the times, until no row is left.
    fn run(mut self) -> Result<(Vec<usize>, Vec<u32>), Error> {
        (0..LANES).for_each(|lane| self.load(lane));
        while self.slot.iter().any(Option::is_some) && !self.is_cancelled() {
            vectorize(
                #[inline(always)]
                || {
                    for _ in 0..ROUND {
                        self.step();
                    }
                },
            );
            self.check();
            if self.ended >= LANES as u64 {
                self.report();
            }
        }
        if self.is_cancelled() {
            return Err(Error::Cancelled);
        }
        self.report();
        Ok((self.places, self.out))
    }

    fn is_cancelled(&self) -> bool {
        self.task.control.cancel.is_some_and(|cancel| cancel.load(Ordering::Relaxed))
    }

    fn report(&mut self) {
        let ended = std::mem::take(&mut self.ended);
        let done = self.queue.done.fetch_add(ended, Ordering::Relaxed) + ended;
        if let Some(progress) = self.task.control.progress.filter(|_| ended > 0) {
            progress(done);
        }
    }

    /// One event in every lane.
    #[inline(always)]
    fn step(&mut self) {
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
            self.arrive(&total, &mut next, &mut target);
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
    fn arrive(&mut self, total: &Lane<f64>, next: &mut Lane<f64>, target: &mut Lane<f64>) {
        let Task { times, network, .. } = *self.task;
        for l in 0..LANES {
            let Some(slot) = self.slot[l] else { continue };
            let sound = total[l] < f64::INFINITY;
            while sound && next[l] > self.look[l] {
                let at = (slot * times.len() + self.seen[l]) * network.species;
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
                self.leave(slot);
            } else if self.seen[l] == times.len() {
                self.ended += 1;
            } else {
                continue;
            }
            self.load(l);
            // A new path: nothing happens in this step.
            (next[l], target[l]) = (0.0, f64::INFINITY);
        }
    }

    /// Starts the next row in a lane, or lets the lane rest.
    fn load(&mut self, l: usize) {
        let Task { network, times, rows, .. } = *self.task;
        (self.time[l], self.pairs[l], self.seen[l]) = (0.0, 0, 0);
        while let Some(place) = self.queue.next(rows).filter(|_| !self.is_cancelled()) {
            let slot = self.places.len();
            self.places.push(place);
            self.out.resize(self.places.len() * times.len() * network.species, 0);
            self.rows[l] = self.task.first_row + place as u64;
            for (factor, value) in self.factors.iter_mut().zip(network.factors(self.task.start.row(place))) {
                factor[l] = value;
            }
            if !self.is_near_an_error(l) {
                (self.slot[l], self.look[l]) = (Some(slot), times[0]);
                return;
            }
            self.leave(slot);
        }
        // Without the factor 1 nothing happens.
        self.factors.iter_mut().for_each(|factor| factor[l] = 0.0);
        (self.slot[l], self.look[l]) = (None, f64::INFINITY);
    }

    /// Whether a count or the number of events could become too great within a round.
    fn is_near_an_error(&self, l: usize) -> bool {
        let network = self.task.network;
        let most = f64::from(u32::MAX) - ROUND as f64 * f64::from(network.greatest_change);
        self.pairs[l].saturating_add(ROUND) > self.task.max_events
            || self.factors[..network.species].iter().any(|count| !(count[l] <= most))
    }

    /// Leaves a row to the scalar method.
    fn leave(&mut self, slot: usize) {
        let width = self.task.times.len() * self.task.network.species;
        let place = self.places[slot];
        match (self.task.alone)(place, &mut self.out[slot * width..][..width]) {
            Ok(()) => self.ended += 1,
            Err(error) => self.queue.fail(place, error),
        }
        if self.ended >= LANES as u64 {
            self.report();
        }
    }

    /// Leaves rows to the scalar method that could come to an error within the next round, and those that no longer matter.
    fn check(&mut self) {
        let failed = self.queue.failed.load(Ordering::Relaxed);
        for l in 0..LANES {
            let Some(slot) = self.slot[l] else { continue };
            if self.places[slot] > failed {
                self.load(l);
            } else if self.is_near_an_error(l) {
                self.leave(slot);
                self.load(l);
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
