//! A run over a grid: the steps of a block of rows, and parts of them.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use numeric::ndarray::{Array2, ArrayRef2, Axis};
use numeric::{
    Batching, Brownian, BrownianCursor, Control, Error, Node, Noise, Real, Scratch, Time, TimeGrid,
};

use super::dense::time;
use super::path::Walk;
use super::{Needs, SdeStep};
use crate::run::{GridRun, filled};
use crate::{Keep, Start, Statistics, Trajectory};

/// A run over a grid by whatever steps: what the solver and the Langevin methods share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Course<'a> {
    pub(super) name: &'static str,
    /// d and m.
    pub(super) dims: (usize, usize),
    pub(super) batching: Batching,
    pub(super) needs: Needs,
    pub(super) grid: &'a TimeGrid,
    pub(super) cells: &'a [f64],
    pub(super) refinement: u32,
}

/// What the rows of a run draw from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Draws<'a> {
    brownian: Brownian<'a>,
    extra: Noise,
}

/// What takes the steps of a course: a solver's method for general equations, or one for Langevin dynamics.
pub(super) trait Stepper<F>: Sync {
    /// Before the first step of a block of rows. Returns the evaluations of the model, as all of these do.
    fn begin(&self, _x: &ArrayRef2<F>, _scratch: &mut Scratch) -> Result<u64, Error> {
        Ok(0)
    }

    /// Takes the step that comes next.
    fn step(&self, step: SdeStep<'_, F>, x: &mut ArrayRef2<F>, scratch: &mut Scratch) -> Result<u64, Error>;

    /// Takes a part of the step that comes next, from its start, and leaves what [`step`](Self::step) will find as it is.
    fn part(&self, part: SdeStep<'_, F>, x: &mut ArrayRef2<F>, scratch: &mut Scratch) -> Result<u64, Error> {
        self.step(part, x, scratch)
    }

    /// Takes a part of any step of any rows, from nothing but their states.
    fn part_alone(
        &self,
        part: SdeStep<'_, F>,
        x: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<u64, Error> {
        self.step(part, x, scratch)
    }

    /// Goes on with some of the rows of the block only, by their places.
    fn retain(&self, _places: &[usize], _scratch: &mut Scratch) {}
}

impl<'a> Course<'a> {
    pub(super) fn run<F: Real>(
        &self,
        stepper: &impl Stepper<F>,
        start: Start<'_, F>,
        keep: Keep<'_, F>,
        rows: Range<u64>,
        noise: Noise,
        control: Control<'_>,
    ) -> Result<Trajectory<F>, Error> {
        let (dim, motions) = self.dims;
        let mut course = GridRun { grid: self.grid, start, keep, rows, dim, batching: self.batching };
        course.batching = filled(self.batching, dim.max(motions), course.count());
        start.check_given(self.name, course.count(), dim)?;
        let draws = self.draws(noise)?;
        let all_calls = AtomicU64::new(0);
        let (times, states) = course.run(control, None, |rows, x, scratch, seen| {
            let mut steps = Steps::new(self, draws, rows, scratch);
            let mut calls = stepper.begin(x, scratch)?;
            for k in 0..self.grid.steps() {
                calls += stepper.step(steps.next(k, scratch), x, scratch)?;
                seen.at(k + 1, x)?;
            }
            steps.end(scratch);
            all_calls.fetch_add(course.share(calls, rows), Ordering::Relaxed);
            Ok(())
        })?;
        let accepted = (course.count() * self.grid.steps()) as u64;
        let statistics = Statistics { calls: all_calls.into_inner(), accepted, rejected: 0 };
        Ok(Trajectory { times, states, statistics })
    }

    /// The path of a noise, and what else there is to draw.
    pub(super) fn draws(&self, noise: Noise) -> Result<Draws<'a>, Error> {
        let path = noise.fork("path");
        let extra = noise.fork("extra").fork_index(u64::from(self.refinement));
        let brownian = match self.needs {
            Needs::Increment => Brownian::new(path, self.cells)?,
            Needs::Area | Needs::LevyAreas { .. } => Brownian::with_area(path, self.cells)?,
        };
        Ok(Draws { brownian, extra })
    }

    /// Room for the Lévy areas of so many rows, for methods that need them.
    fn levy_areas<F: Real>(&self, rows: usize) -> Option<Array2<F>> {
        let m = self.dims.1;
        matches!(self.needs, Needs::LevyAreas { .. })
            .then(|| Array2::zeros((rows, m * m.saturating_sub(1) / 2)))
    }

    /// Ticks of the tree in each step.
    pub(super) fn ticks(&self) -> u64 {
        Brownian::TICKS >> self.refinement
    }

    /// The node of the tree that step `k` is.
    fn node(&self, k: usize) -> Node {
        let (k, level) = (k as u64, self.refinement);
        Node { cell: k >> level, level, index: k & ((1 << level) - 1) }
    }

    /// The time `ticks` after the start of step `k`; at both ends of the step exactly a node of the grid.
    pub(super) fn time(&self, k: usize, ticks: u64) -> Time {
        time(self.grid, k, ticks, self.ticks())
    }
}

/// The steps of a block of rows, in turn.
#[derive(Debug)]
pub(super) struct Steps<'a, F> {
    course: &'a Course<'a>,
    draws: Draws<'a>,
    rows: Vec<u64>,
    walk: Walk<F>,
    levy: Option<Array2<F>>,
}

impl<'a, F: Real> Steps<'a, F> {
    pub(super) fn new(
        course: &'a Course<'a>,
        draws: Draws<'a>,
        rows: &[u64],
        scratch: &mut Scratch,
    ) -> Steps<'a, F> {
        let m = course.dims.1;
        let mut walk: Walk<F> = scratch.take();
        walk.fit((rows.len(), m), course.refinement);
        let levy = course.levy_areas(rows.len());
        Steps { course, draws, rows: rows.to_vec(), walk, levy }
    }

    /// Step `k`, the one after that of the last call, or the first.
    pub(super) fn next(&mut self, k: usize, scratch: &mut Scratch) -> SdeStep<'_, F> {
        let Draws { brownian, extra } = self.draws;
        let index = k as u64;
        let (node, [w, h]) = self.walk.advance(&brownian, &self.rows, index);
        if let (Needs::LevyAreas { depth }, Some(levy)) = (self.course.needs, &mut self.levy) {
            brownian.levy_areas_into(&self.rows, node, depth, [w, h], levy, scratch);
        }
        SdeStep {
            rows: &self.rows,
            from: self.course.grid.node(k),
            to: self.course.grid.node(k + 1),
            length: brownian.length(node),
            w,
            area: brownian.has_areas().then_some(&**h),
            levy: self.levy.as_deref(),
            extra,
            index,
        }
    }

    /// Goes on with some of the rows only, by their places.
    pub(super) fn retain(&mut self, places: &[usize]) {
        self.rows = places.iter().map(|&i| self.rows[i]).collect();
        self.walk.retain(places);
        if let Some(levy) = &mut self.levy {
            *levy = levy.select(Axis(0), places);
        }
    }

    pub(super) fn end(self, scratch: &mut Scratch) {
        scratch.put(self.walk);
    }
}

/// Parts of a step of some rows, each from the start of the step, along the path of the whole.
#[derive(Debug)]
pub(super) struct Parts<'a, F> {
    course: &'a Course<'a>,
    draws: Draws<'a>,
    rows: Vec<u64>,
    k: usize,
    cursor: BrownianCursor<'a, F>,
    w: Array2<F>,
    h: Array2<F>,
    levy: Option<Array2<F>>,
}

impl<'a, F: Real> Parts<'a, F> {
    pub(super) fn new(course: &'a Course<'a>, draws: Draws<'a>) -> Parts<'a, F> {
        let cursor = BrownianCursor::new(draws.brownian, &[], 0);
        let [w, h] = [(); 2].map(|()| Array2::zeros((0, 0)));
        Parts { course, draws, rows: Vec::new(), k: 0, cursor, w, h, levy: None }
    }

    /// Goes to step `k` of these rows.
    pub(super) fn begin(&mut self, rows: &[u64], k: usize) {
        self.rows.clear();
        self.rows.extend_from_slice(rows);
        self.k = k;
        self.cursor.restart(rows, self.course.node(k).cell);
        let shape = (rows.len(), self.course.dims.1);
        if self.w.dim() != shape {
            (self.w, self.h) = (Array2::zeros(shape), Array2::zeros(shape));
            self.levy = self.course.levy_areas(rows.len());
        }
    }

    /// The first `ticks` of the step, more than 0 of them.
    ///
    /// It has the number of the whole step: what a weak scheme draws from "extra" is the same at every tick, so that
    /// the last part is the step itself.
    pub(super) fn first(&mut self, ticks: u64, scratch: &mut Scratch) -> SdeStep<'_, F> {
        let (Draws { brownian, extra }, course, k) = (self.draws, self.course, self.k);
        let node = course.node(k);
        let from = node.ticks().start;
        let (area, ticks_since) = (brownian.has_areas(), from..from + ticks);
        let (w, h) = (&mut self.w, &mut self.h);
        match (course.needs, &mut self.levy) {
            // The parts of the tree that the areas of the whole step come from.
            (Needs::LevyAreas { depth }, Some(levy)) => {
                self.cursor.levy_areas_into(ticks_since, node.level + depth, [w, h], levy, scratch);
            }
            _ => self.cursor.between_into(ticks_since, w, area.then_some(h)),
        }
        SdeStep {
            rows: &self.rows,
            from: course.grid.node(k),
            to: course.time(k, ticks),
            length: brownian.length(node) * (ticks as f64 / course.ticks() as f64),
            w: &self.w,
            area: area.then_some(&*self.h),
            levy: self.levy.as_deref(),
            extra,
            index: k as u64,
        }
    }
}
