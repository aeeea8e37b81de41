//! The rows of a block on their way to a node, packed in the order of the rows.

use std::mem::swap;

use numeric::ndarray::ArrayViewMut2;
use numeric::{
    Batch, Error, Level, Model, Real, Scratch, Time, Times, VectorField, as_rows, exp_and_exp_m1,
    exp_in_place, ln_1p_in_place,
};

use super::SHORTEST;
use super::weights::{Weights, add_up, combine, finish};
use crate::ode::ln_in_place;
use crate::sum::CHUNK;
use crate::{LinearProcess, Tolerance};

/// Length in λ of the first step that is tried.
const FIRST: f64 = 0.05;
/// Factor for safety.
const SAFETY: f64 = 0.9;
/// The least factor between a step and the next try.
const SHRINK: f64 = 0.2;

/// A time, with what a step asks of the process there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Position {
    pub(super) time: Time,
    pub(super) level: Level,
    /// r = σ/α. From step to step it is multiplied by `e^{−h}`, so that short steps have all their digits whatever the
    /// spacing of times.
    pub(super) ratio: f64,
}

impl Position {
    pub(super) fn new(process: &impl LinearProcess, time: Time) -> Position {
        let level = process.level(time);
        Position { time, level, ratio: level.sigma / level.alpha }
    }
}

/// Where a row is, and what it tries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flight {
    /// Its place in the block.
    place: usize,
    pub(super) at: Position,
    /// What is left to the node in λ.
    left: f64,
    /// Length in λ of the next step to try.
    pub(super) length: f64,
    /// Length of the step that is tried: up to the node, if that is nearer.
    pub(super) step: f64,
    arrives: bool,
    pub(super) accepted: u64,
    /// Whether the last try was.
    pub(super) finite: bool,
}

/// Entry r of each list, or row r of d numbers, belongs to the r-th row that is on its way. Lists of numbers stay as long as
/// for all rows of the block: what is behind the rows on their way is of no meaning, and neither is what a try writes before
/// it reads it.
#[derive(Debug, Default)]
pub(super) struct Block<F> {
    order: usize,
    d: usize,
    pub(super) accepted: u64,
    pub(super) rejected: u64,
    /// The rows at the node, by their places; those from a failed row on are no longer there.
    landed: Vec<Flight>,
    landed_before: Vec<F>,
    pub(super) rows: Vec<u64>,
    pub(super) flights: Vec<Flight>,
    times: Vec<Time>,
    /// States, and results of the lower order of the last accepted step.
    x: Vec<F>,
    before: Vec<F>,
    /// Of the try: arguments of the model and what it predicts there, at the start and at the newest stage.
    stage: Vec<F>,
    first: Vec<F>,
    newest: Vec<F>,
    /// The results of the lower and of the higher order, and the square of the error E between them.
    low: Vec<F>,
    high: Vec<F>,
    squares: Vec<f64>,
    parts_of_squares: Vec<[F; CHUNK]>,
    /// `E^{−1/k}`.
    roots: Vec<f64>,
    /// `−h/k` of a step of length h and order k, its exponential, and that less 1.
    parts: Vec<f64>,
    kept: Vec<f64>,
    kept_less_1: Vec<f64>,
    /// First of all rows at the second stage, then of all at the third if there is one, then of all at the end.
    ratios: Vec<f64>,
    stage_times: Vec<Time>,
    levels: Vec<Level>,
    weights: Weights<F>,
}

impl<F: Real> Block<F> {
    /// All rows at the start.
    pub(super) fn reset(&mut self, rows: &[u64], x: &[F], at: Position, order: usize) {
        let start = |place| Flight {
            place,
            at,
            left: 0.0,
            length: FIRST,
            step: 0.0,
            arrives: false,
            accepted: 0,
            finite: true,
        };
        let n = rows.len();
        (self.order, self.d) = (order, x.len() / n);
        (self.accepted, self.rejected) = (0, 0);
        self.landed.clear();
        self.landed.extend((0..n).map(start));
        self.landed_before.clear();
        self.landed_before.extend_from_slice(x);
        for buffer in [
            &mut self.x,
            &mut self.before,
            &mut self.stage,
            &mut self.first,
            &mut self.newest,
            &mut self.low,
            &mut self.high,
        ] {
            buffer.resize(x.len(), F::zero());
        }
        for buffer in [&mut self.squares, &mut self.roots, &mut self.kept, &mut self.kept_less_1] {
            buffer.resize(n, 0.0);
        }
        self.parts.resize(n, 0.0);
        self.parts_of_squares.resize(n, [F::zero(); CHUNK]);
    }

    /// All rows that have not failed leave for a node from the one before, where their states are `x`.
    pub(super) fn depart(&mut self, rows: &[u64], x: &[F], node: &Position) {
        let n = self.landed.len();
        let numbers = n * self.d;
        self.rows.clear();
        self.rows.extend_from_slice(&rows[..n]);
        self.flights.clear();
        self.flights.extend_from_slice(&self.landed);
        self.times.clear();
        self.times.extend(self.landed.iter().map(|flight| flight.at.time));
        self.x[..numbers].copy_from_slice(&x[..numbers]);
        self.before[..numbers].copy_from_slice(&self.landed_before[..numbers]);
        let lefts = &mut self.parts[..n];
        for (left, flight) in lefts.iter_mut().zip(&self.flights) {
            *left = (flight.at.ratio - node.ratio) / node.ratio;
        }
        ln_1p_in_place(lefts);
        for (flight, &left) in self.flights.iter_mut().zip(&*lefts) {
            flight.left = left;
        }
    }

    /// The r-th row has failed: only those below it go on.
    pub(super) fn fail(&mut self, r: usize) {
        self.landed.truncate(self.flights[r].place);
        self.truncate(r);
    }

    fn truncate(&mut self, n: usize) {
        self.rows.truncate(n);
        self.flights.truncate(n);
        self.times.truncate(n);
    }

    /// The step of each row: of its length, or to the node if that is nearer.
    pub(super) fn plan(&mut self, process: &impl LinearProcess, node: &Position) -> Result<(), Error> {
        let (n, order) = (self.flights.len(), self.order);
        let [parts, kept, kept_less_1] =
            [&mut self.parts, &mut self.kept, &mut self.kept_less_1].map(|buffer| &mut buffer[..n]);
        for (part, flight) in parts.iter_mut().zip(&mut self.flights) {
            // What would leave less than a rounding is a step to the node.
            flight.arrives = flight.left <= flight.length + SHORTEST;
            flight.step = if flight.arrives { flight.left } else { flight.length };
            *part = -flight.step / order as f64;
        }
        exp_and_exp_m1(parts, kept, kept_less_1);
        self.ratios.resize(order * n, 0.0);
        for (r, (flight, kept)) in self.flights.iter().zip(&*kept).enumerate() {
            let mut ratio = flight.at.ratio;
            for stage in 0..order {
                // The time of the node is known; in its place stands a ratio that the process surely has.
                let known = stage + 1 == order && flight.arrives;
                ratio *= if known { 1.0 } else { *kept };
                self.ratios[stage * n + r] = ratio;
            }
        }
        process.times_at_ratios(&self.ratios, &mut self.stage_times)?;
        let ends = &mut self.stage_times[(order - 1) * n..];
        for (time, _) in ends.iter_mut().zip(&self.flights).filter(|(_, flight)| flight.arrives) {
            *time = node.time;
        }
        process.levels_into(&self.stage_times, &mut self.levels);
        Ok(())
    }

    /// The results of the lower and of the higher order, and the error between them.
    pub(super) fn attempt<V: VectorField<F>, S: LinearProcess>(
        &mut self,
        model: &Model<V, S>,
        tolerance: Tolerance,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        let (n, d) = (self.flights.len(), self.d);
        let Block { rows, flights, times, .. } = self;
        let [x, before] = [&self.x, &self.before].map(|buffer| &buffer[..n * d]);
        let [stage, first, newest, low, high] =
            [&mut self.stage, &mut self.first, &mut self.newest, &mut self.low, &mut self.high]
                .map(|buffer| &mut buffer[..n * d]);
        let squares = &mut self.parts_of_squares[..n];
        let mut predict = |times: &[Time], x: &[F], out: &mut [F]| {
            let mut out = ArrayViewMut2::from_shape((n, d), out).expect("as long as x");
            model.raw_into(&Batch::new(rows, Times::PerRow(times), &as_rows(x, d)), &mut out, scratch)
        };
        let (levels, weights) = (&self.levels, &mut self.weights);
        weights.find(model.prediction, flights, (&self.kept, &self.kept_less_1), levels, self.order)?;
        predict(times, x, first)?;
        if self.order == 2 {
            combine(&weights.second, [x, first], d, [stage, low]);
            predict(&self.stage_times[..n], stage, newest)?;
            finish(&weights.end_2, [x, stage, newest], (tolerance, before, low), d, high, squares);
        } else {
            // The second stage is written where the result will be.
            combine(&weights.second, [x, first], d, [high, low]);
            predict(&self.stage_times[..n], high, newest)?;
            combine(&weights.third, [x, first, high, newest], d, [stage, low]);
            predict(&self.stage_times[n..2 * n], stage, newest)?;
            finish(&weights.end_3, [x, first, stage, newest], (tolerance, before, low), d, high, squares);
        }
        add_up(squares, tolerance, [before, low, high], d, &mut self.squares[..n]);
        Ok(())
    }

    /// `E^{−1/k}` of each row from the square of E.
    fn find_roots(&mut self) {
        let n = self.flights.len();
        let roots = &mut self.roots[..n];
        roots.copy_from_slice(&self.squares[..n]);
        ln_in_place(roots);
        let power = -0.5 / self.order as f64;
        roots.iter_mut().for_each(|root| *root *= power);
        exp_in_place(roots);
    }

    /// Takes the results that are exact enough, and the rows at the node off the way. There their states are written
    /// over `x`.
    pub(super) fn advance(&mut self, node: &Position, x: &mut [F]) {
        let (n, d) = (self.flights.len(), self.d);
        self.find_roots();
        // Most are taken: those stay where they are.
        swap(&mut self.x, &mut self.high);
        swap(&mut self.before, &mut self.low);
        let ends = (self.order - 1) * n;
        let mut to = 0;
        for r in 0..n {
            let part = r * d..(r + 1) * d;
            let (mut flight, square) = (self.flights[r], self.squares[r]);
            // A try that is no number is one that was too long, as far as can be known.
            flight.finite = square.is_finite();
            let factor = if flight.finite { SAFETY * self.roots[r] } else { 0.0 };
            flight.length = flight.step * factor.max(SHRINK);
            if !(square <= 1.0) {
                self.rejected += 1;
                self.x[to * d..][..d].copy_from_slice(&self.high[part.clone()]);
                self.before[to * d..][..d].copy_from_slice(&self.low[part]);
            } else {
                self.accepted += 1;
                flight.accepted += 1;
                if flight.arrives {
                    flight.at = *node;
                    self.landed[flight.place] = flight;
                    x[flight.place * d..][..d].copy_from_slice(&self.x[part.clone()]);
                    self.landed_before[flight.place * d..][..d].copy_from_slice(&self.before[part]);
                    continue;
                }
                let (time, level) = (self.stage_times[ends + r], self.levels[ends + r]);
                flight.at = Position { time, level, ratio: self.ratios[ends + r] };
                flight.left -= flight.step;
                if to != r {
                    self.x.copy_within(part.clone(), to * d);
                    self.before.copy_within(part, to * d);
                }
            }
            (self.rows[to], self.times[to], self.flights[to]) = (self.rows[r], flight.at.time, flight);
            to += 1;
        }
        if to < n {
            self.truncate(to);
        }
    }
}
