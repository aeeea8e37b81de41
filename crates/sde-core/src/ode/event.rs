//! Where a solution meets a surface g(t, x) = 0.

use std::ops::Range;

use numeric::ndarray::ArrayViewMut2;
use numeric::{Control, Error, Real, Time, VectorField, run_blocks};

use super::{OdeMethod, OdeSolver, Piece, batching, count, start_states};
use crate::{Start, Statistics};

/// Which crossings count, along the direction of the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From below 0 to 0 or above.
    Rising,
    /// From above 0 to 0 or below.
    Falling,
    /// Both.
    #[default]
    Either,
}

/// A function g(t, x) whose zeros along the solution are asked for.
#[derive(Clone, Copy)]
pub struct Event<'a, F> {
    /// g; it must compute from its arguments only.
    pub function: &'a (dyn Fn(Time, &[F]) -> f64 + Sync),
    /// Which crossings count.
    pub direction: Direction,
    /// Whether the row ends there.
    pub terminal: bool,
}

impl<F> std::fmt::Debug for Event<'_, F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Event")
            .field("direction", &self.direction)
            .field("terminal", &self.terminal)
            .finish_non_exhaustive()
    }
}

/// A zero of an event on the way of a row.
#[derive(Clone, Debug, PartialEq)]
pub struct Crossing<F> {
    /// Number of the event in the list.
    pub event: usize,
    /// When.
    pub time: Time,
    /// Where.
    pub state: Vec<F>,
}

/// The way of one row.
#[derive(Clone, Debug, PartialEq)]
pub struct Passage<F> {
    /// Its absolute number.
    pub row: u64,
    /// What it crossed, in the order of the run; at equal times in the order of the events. Empty if it never did.
    pub crossings: Vec<Crossing<F>>,
    /// Whether its last crossing, of a terminal event, ended it.
    pub ended: bool,
    /// Where it was at last: at the terminal crossing, or at the end of the grid.
    pub time: Time,
    /// Its state there.
    pub state: Vec<F>,
}

/// Parts of a step at whose ends the sign of g is looked at.
const PARTS: usize = 4;

impl<V, M> OdeSolver<V, M> {
    /// Follows each row to its first terminal event or to the end of the grid, and reports all crossings.
    ///
    /// The sign of g is looked at at the end of each quarter of a step, and a change of it is located on the dense
    /// output by bisection, to the resolution of the step. So the time of a crossing is as exact as the dense output,
    /// and two crossings within one quarter of a step are not seen. A row that starts on the surface has not crossed
    /// it; one that reaches 0 exactly has, and does not cross again when it leaves. Several events in one quarter are
    /// put in order of their times; those after a terminal one are dropped, those at the very same time are reported.
    ///
    /// ```
    /// use numeric::{Control, TimeGrid, from_row_fn};
    /// use sde_core::{Start, ode::{Direction, Event, OdeSolver, Tsit5}};
    /// // A ball thrown up at 10 m/s lands after 2·10/9.81 s.
    /// let field = from_row_fn(2, |_, x, out: &mut [f64]| { out[0] = x[1]; out[1] = -9.81; Ok(()) });
    /// let solver =
    ///     OdeSolver { field, method: Tsit5::new(1e-9, 1e-9)?, grid: TimeGrid::uniform(0.0, 10.0, 1)? };
    /// let ground = Event { function: &|_, x: &[f64]| x[0], direction: Direction::Falling, terminal: true };
    /// let ways = solver.run_until(Start::Point(&[0.0, 10.0]), &[ground], 0..1, Control::default())?.0;
    /// assert!(ways[0].ended && (ways[0].time.t - 20.0 / 9.81).abs() < 1e-12);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`run`](OdeSolver::run); [`Error::Unsupported`] for a method without dense output; [`Error::NotFinite`] if g is
    /// NaN where it is looked at.
    ///
    /// # Panics
    /// Never by itself.
    pub fn run_until<F: Real>(
        &self,
        start: Start<'_, F>,
        events: &[Event<'_, F>],
        rows: Range<u64>,
        control: Control<'_>,
    ) -> Result<(Vec<Passage<F>>, Statistics), Error>
    where
        V: VectorField<F>,
        M: OdeMethod<F, V>,
    {
        if !self.method.dense() {
            let reason = "events are located on a dense output, which this method does not have";
            return Err(Error::Unsupported { method: self.method.name(), reason });
        }
        let d = self.field.dim();
        start.check_given("OdeSolver", count(&rows), d)?;
        let batching = batching(&self.field, true, &rows);
        let blocks = run_blocks(rows.clone(), batching, control, |block, scratch| {
            let numbers: Vec<u64> = block.collect();
            let mut state = vec![F::zero(); numbers.len() * d];
            start_states(&start, &rows, &numbers, d, &mut state);
            let first = self.grid.first();
            let mut signs: Vec<f64> = Vec::with_capacity(numbers.len() * events.len());
            for (state, &row) in state.chunks_exact(d).zip(&numbers) {
                for event in events {
                    signs.push(sign((event.function)(first, state), row, 0, first)?);
                }
            }
            let mut taken = vec![0; numbers.len()];
            let mut passages: Vec<Passage<F>> =
                numbers.iter().map(|&row| Passage::new(row, self.grid.last())).collect();
            let mut point = vec![F::zero(); d];
            let mut visit = |piece: &Piece<'_, F>| {
                let signs = &mut signs[piece.place * events.len()..][..events.len()];
                let (row, step) = (numbers[piece.place], taken[piece.place]);
                taken[piece.place] += 1;
                let mut look = Look {
                    parts: PARTS,
                    resolution: f64::EPSILON,
                    at: &mut |theta, x| {
                        piece.at(theta, x);
                        Ok(piece.time(theta))
                    },
                    sign: &|number, time, x| sign((events[number].function)(time, x), row, step, time),
                };
                passages[piece.place].take(&mut look, events, signs, &mut point)
            };
            let mut x = ArrayViewMut2::from_shape((numbers.len(), d), &mut state).expect("sized above");
            let cost = self.method.integrate(
                &self.field,
                &self.grid,
                &numbers,
                &mut x,
                Some(&mut visit),
                scratch,
            )?;
            for (passage, state) in passages.iter_mut().zip(state.chunks_exact(d)) {
                if !passage.ended {
                    passage.state = state.to_vec();
                }
            }
            Ok((passages, cost))
        })?;
        let mut statistics = Statistics::default();
        let mut all = Vec::new();
        for (passages, cost) in blocks {
            statistics += cost;
            all.extend(passages.into_iter().filter(|passage| rows.contains(&passage.row)));
        }
        Ok((all, statistics))
    }
}

/// −1, 0 or 1 for an event's function, of a row at a step.
pub(crate) fn sign(g: f64, row: u64, step: u64, time: Time) -> Result<f64, Error> {
    if g.is_nan() {
        return Err(Error::NotFinite { what: "the event function", row, step, time: time.t });
    }
    Ok(if g == 0.0 { 0.0 } else { g.signum() })
}

/// Writes the state at a fraction of a step, and returns the time there.
type StateAt<'l, F> = dyn FnMut(f64, &mut [F]) -> Result<Time, Error> + 'l;

/// [`sign`] of an event, by its number.
type SignOf<'l, F> = dyn Fn(usize, Time, &[F]) -> Result<f64, Error> + 'l;

/// A step of one row, as it is looked at for crossings.
pub(crate) struct Look<'l, F> {
    /// Parts of the step at whose ends signs are looked at.
    pub(crate) parts: usize,
    /// The fraction of the step to which a crossing is located.
    pub(crate) resolution: f64,
    pub(crate) at: &'l mut StateAt<'l, F>,
    pub(crate) sign: &'l SignOf<'l, F>,
}

impl<F: Real> Passage<F> {
    /// The way of a row that has not yet begun, on a grid that ends at `last`.
    pub(crate) fn new(row: u64, last: Time) -> Passage<F> {
        Passage { row, crossings: Vec::new(), ended: false, time: last, state: Vec::new() }
    }

    /// Adds what a step crosses; whether that ends the row.
    pub(crate) fn take(
        &mut self,
        look: &mut Look<'_, F>,
        events: &[Event<'_, F>],
        signs: &mut [f64],
        x: &mut [F],
    ) -> Result<bool, Error> {
        let mut found: Vec<(f64, usize)> = Vec::new();
        for part in 0..look.parts {
            let (a, b) = (part as f64 / look.parts as f64, (part + 1) as f64 / look.parts as f64);
            let time = (look.at)(b, x)?;
            for (number, (event, before)) in events.iter().zip(signs.iter_mut()).enumerate() {
                let after = (look.sign)(number, time, x)?;
                let wanted = match event.direction {
                    Direction::Rising => *before < 0.0,
                    Direction::Falling => *before > 0.0,
                    Direction::Either => *before != 0.0,
                };
                if wanted && after != *before {
                    found.push((*before, number));
                }
                *before = after;
            }
            if found.is_empty() {
                continue;
            }
            let mut located = Vec::with_capacity(found.len());
            for (before, number) in found.drain(..) {
                located.push((look.locate(number, before, (a, b), x)?, number));
            }
            located.sort_by(|p, q| p.0.total_cmp(&q.0).then(p.1.cmp(&q.1)));
            let stop = located.iter().find(|(_, number)| events[*number].terminal).map(|&(theta, _)| theta);
            for (theta, event) in
                located.into_iter().filter(|&(theta, _)| stop.is_none_or(|stop| theta <= stop))
            {
                let time = (look.at)(theta, x)?;
                self.crossings.push(Crossing { event, time, state: x.to_vec() });
            }
            if stop.is_some() {
                let last = self.crossings.last().expect("the terminal one was added");
                (self.time, self.state, self.ended) = (last.time, last.state.clone(), true);
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl<F: Real> Look<'_, F> {
    /// The first fraction of the step at which g no longer has the sign `before`, to the resolution.
    fn locate(
        &mut self,
        number: usize,
        before: f64,
        (mut low, mut high): (f64, f64),
        x: &mut [F],
    ) -> Result<f64, Error> {
        while high - low > self.resolution {
            let middle = 0.5 * (low + high);
            if middle <= low || middle >= high {
                break;
            }
            let time = (self.at)(middle, x)?;
            if (self.sign)(number, time, x)? == before {
                low = middle;
            } else {
                high = middle;
            }
        }
        Ok(high)
    }
}
