//! Jump-diffusions by thinning.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use numeric::ndarray::{Array2, ArrayRef2, s};
use numeric::{Brownian, Control, Error, Node, Noise, Real, RowStream, Scratch, Time, TimeGrid};

use crate::integrator::{Integrator, Needs, SdeStep, check_solves};
use crate::run::{GridRun, filled};
use crate::sde::coefficients::slice_mut;
use crate::sde::{put_rows, take_rows};
use crate::{Keep, Sde, Start, Statistics, Trajectory};

/// A diffusion that jumps: `dX = f dt + g dW + (c(t, X₋) − X₋) dN`, where N jumps with intensity `λ(t, X₋)`.
///
/// Candidates come at the constant rate `bound`, and each is a jump with probability `λ/bound` (thinning): exact for
/// the jump times given the path, whatever the intensity depends on. A step of the grid in which a row has a candidate is
/// cut there; between the cuts the diffusion is integrated as usual, along the same Brownian path that the row has
/// without jumps, by the conditional law of the increments of the parts.
///
/// ```
/// use numeric::{Noise, RowStream, Time, TimeGrid, from_row_fn, ndarray::array};
/// use sde_core::{Additive, JumpDiffusion, Keep, Start, integrator::EulerMaruyama};
/// // Drift −x, and jumps up by 1 with intensity 2 + sin t: the mean solves m' = −m + 2 + sin t.
/// let sde = Additive::new(from_row_fn(1, |_, x, out: &mut [f64]| { out[0] = -x[0]; Ok(()) }), &array![[0.2]])?;
/// let process = JumpDiffusion {
///     sde,
///     integrator: EulerMaruyama,
///     grid: TimeGrid::uniform(0.0, 3.0, 300)?,
///     bound: 3.0,
///     intensity: |time: Time, _: &[f64]| 2.0 + time.t.sin(),
///     jump: |_: Time, x: &mut [f64], _: &mut RowStream| x[0] += 1.0,
/// };
/// let run = process.run(Start::Point(&[0.0]), Keep::Last, 0..4000, Noise::new(1), Default::default())?;
/// let mean = run.trajectory.states.mean().unwrap();
/// let exact = 2.0 + 0.5 * (3_f64.sin() - 3_f64.cos()) - 1.5 * (-3_f64).exp();
/// assert!((mean - exact).abs() < 0.1);                     // a standard error of about 0.017
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # Convergence
/// Weak and strong order of the integrator between jumps; nothing is lost at the jumps.
///
/// # Randomness
/// The increments are those of every run of this grid (stream "path"); candidates, thinning, marks, and the cuts come from the
/// row's stream "jumps", one after the other. What a weak scheme draws beside the increments comes from the stream "extra",
/// for each part of a step anew.
///
/// # Complexity
/// One step of the integrator per row and step, and one more for each candidate, rows with candidates one at a time. A
/// bound far above the intensity costs candidates and nothing else.
///
/// # References
/// Lewis, Shedler (1979), *Simulation of nonhomogeneous Poisson processes by thinning*. Glasserman, Merener (2004),
/// *Convergence of a discretization scheme for jump-diffusion processes with state-dependent intensities*.
#[derive(Clone, Debug)]
pub struct JumpDiffusion<E, K, I, J> {
    /// The diffusion between jumps.
    pub sde: E,
    /// The method that integrates it.
    pub integrator: K,
    /// The nodes.
    pub grid: TimeGrid,
    /// Upper bound of the intensity; an intensity above it is an error, never clamped. Per unit of time.
    pub bound: f64,
    /// The intensity `λ(t, x)` just before a candidate.
    pub intensity: I,
    /// The jump: replaces the state x of a row, with any marks from the row's stream.
    pub jump: J,
}

/// A run of a jump-diffusion.
#[derive(Clone, Debug, PartialEq)]
pub struct JumpRun<F> {
    /// What was kept.
    pub trajectory: Trajectory<F>,
    /// How often each row jumped.
    pub jumps: Vec<u64>,
}

impl<E, K, I, J> JumpDiffusion<E, K, I, J> {
    /// Runs the given rows from `start` and keeps what `keep` says of the nodes of the grid.
    ///
    /// # Errors
    /// [`Error::Domain`] for a bound that is not a finite number of at least 0, and for an intensity that is not between
    /// 0 and the bound when a candidate asks for it; [`Error::Unsupported`] if the integrator does not solve the equation,
    /// needs more of the path than its increments, the grid goes the other way than the equation, or for
    /// [`Start::Prior`]; [`Error::Shape`] for a start of another shape; [`Error::NotFinite`]; the equation's own errors.
    ///
    /// # Panics
    /// Never by itself.
    pub fn run<F: Real>(
        &self,
        start: Start<'_, F>,
        keep: Keep<'_, F>,
        rows: Range<u64>,
        noise: Noise,
        control: Control<'_>,
    ) -> Result<JumpRun<F>, Error>
    where
        E: Sde<F>,
        K: Integrator<F>,
        I: Fn(Time, &[F]) -> f64 + Sync,
        J: Fn(Time, &mut [F], &mut RowStream) + Sync,
    {
        let ok = self.bound >= 0.0 && self.bound.is_finite();
        Error::domain(ok, "bound", self.bound, "a finite rate of at least 0")?;
        check_solves(&self.sde, &self.integrator, &self.grid)?;
        let refuse = |reason| Err(Error::Unsupported { method: self.integrator.name(), reason });
        if self.integrator.needs() != Needs::Increment {
            return refuse("jumps cut the steps, and only increments can be cut");
        }
        if !self.sde.batching().rowwise {
            return refuse(
                "rows with jumps are stepped alone: the equation must compute each row from that row alone",
            );
        }
        let (dim, batching) = (self.sde.dim(), self.sde.batching());
        let mut course = GridRun { grid: &self.grid, start, keep, rows, dim, batching };
        course.batching = filled(batching, dim.max(self.sde.noise_dim()), course.count());
        start.check_given(self.integrator.name(), course.count(), dim)?;
        let lengths = self.grid.lengths();
        let brownian = Brownian::new(noise.fork("path"), &lengths)?;
        let (streams, extra) = (noise.fork("jumps"), noise.fork("extra"));
        let jumps: Vec<AtomicU64> = (0..course.count()).map(|_| AtomicU64::new(0)).collect();
        let [calls, steps] = [const { AtomicU64::new(0) }; 2];
        let (times, states) = course.run(control, None, |rows, x, scratch, seen| {
            let mut clocks: Vec<Clock> =
                rows.iter().map(|&row| Clock::new(streams.row_stream(row))).collect();
            let mut ahead: Vec<f64> =
                clocks.iter_mut().map(|clock| waiting_time(&mut clock.stream, self.bound)).collect();
            let mut w = Array2::zeros((rows.len(), self.sde.noise_dim()));
            let mut of_block = 0;
            for (index, &length) in lengths.iter().enumerate() {
                brownian.increments_into(rows, Node::whole(index as u64), &mut w);
                let cut = Cut { of: self, index, length, extra };
                of_block += cut.all_rows(rows, (&mut clocks, &mut ahead), &mut w, x, scratch)?;
                seen.at(index + 1, x)?;
            }
            for (&row, clock) in rows.iter().zip(&clocks) {
                jumps[(row - course.rows.start) as usize].store(clock.jumps, Ordering::Relaxed);
            }
            let cuts: u64 = clocks.iter().map(|clock| clock.candidates).sum();
            calls.fetch_add(of_block, Ordering::Relaxed);
            steps.fetch_add(cuts + (rows.len() * lengths.len()) as u64, Ordering::Relaxed);
            Ok(())
        })?;
        let [calls, accepted] = [calls, steps].map(AtomicU64::into_inner);
        let statistics = Statistics { calls, accepted, rejected: 0 };
        Ok(JumpRun {
            trajectory: Trajectory { times, states, statistics },
            jumps: jumps.into_iter().map(AtomicU64::into_inner).collect(),
        })
    }
}

/// The candidates of a row.
struct Clock {
    stream: RowStream,
    candidates: u64,
    jumps: u64,
}

impl Clock {
    fn new(stream: RowStream) -> Clock {
        Clock { stream, candidates: 0, jumps: 0 }
    }
}

/// Exponential with rate `bound`; infinite at rate 0.
fn waiting_time(stream: &mut RowStream, bound: f64) -> f64 {
    -stream.uniform().ln() / bound
}

/// Rows a and b ≥ a change places.
fn swap_rows<F: Real>(array: &mut ArrayRef2<F>, a: usize, b: usize) {
    let d = array.ncols();
    let (head, tail) = slice_mut(array).split_at_mut(b * d);
    if a < b {
        head[a * d..][..d].swap_with_slice(&mut tail[..d]);
    }
}

/// One step of the grid, cut at the candidates.
struct Cut<'a, E, K, I, J> {
    of: &'a JumpDiffusion<E, K, I, J>,
    index: usize,
    length: f64,
    extra: Noise,
}

impl<E, K, I, J> Cut<'_, E, K, I, J> {
    /// The step of a block; `ahead` is the time from its start to the next candidate of each row. Returns the evaluations of
    /// the drift, as those below.
    fn all_rows<F: Real>(
        &self,
        rows: &[u64],
        (clocks, ahead): (&mut [Clock], &mut [f64]),
        w: &mut ArrayRef2<F>,
        x: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<u64, Error>
    where
        E: Sde<F>,
        K: Integrator<F>,
        I: Fn(Time, &[F]) -> f64,
        J: Fn(Time, &mut [F], &mut RowStream),
    {
        let (mut rows, mut cut): (Vec<u64>, Vec<[usize; 2]>) = (rows.to_vec(), Vec::new());
        // Most rows are quiet: those with candidates change places with the last ones, so that the others are one batch.
        let mut quiet = rows.len();
        for (row, ahead) in ahead.iter_mut().enumerate().rev() {
            if *ahead >= self.length {
                *ahead -= self.length;
            } else {
                quiet -= 1;
                rows.swap(row, quiet);
                swap_rows(w, row, quiet);
                swap_rows(x, row, quiet);
                cut.push([row, quiet]);
            }
        }
        let mut calls = 0;
        if quiet > 0 {
            let (w, mut x) = (w.slice(s![..quiet, ..]), x.slice_mut(s![..quiet, ..]));
            calls += self.part(&rows[..quiet], [0.0, self.length], self.extra, &w, &mut x, scratch)?;
        }
        for [row, place] in cut.into_iter().rev() {
            let (mut w, mut alone) = (w.slice_mut(s![place..=place, ..]), x.slice_mut(s![place..=place, ..]));
            calls +=
                self.one_row(rows[place], (&mut clocks[row], &mut ahead[row]), &mut w, &mut alone, scratch)?;
            swap_rows(x, row, place);
        }
        Ok(calls)
    }

    /// The step of a row that has candidates in it.
    fn one_row<F: Real>(
        &self,
        row: u64,
        (clock, ahead): (&mut Clock, &mut f64),
        w: &mut ArrayRef2<F>,
        x: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<u64, Error>
    where
        E: Sde<F>,
        K: Integrator<F>,
        I: Fn(Time, &[F]) -> f64,
        J: Fn(Time, &mut [F], &mut RowStream),
    {
        // Each part draws what a weak scheme asks for anew: it must not meet the same variates again.
        let extra = |clock: &Clock| self.extra.fork_index(clock.candidates);
        let (mut at, mut calls) = (0.0, 0);
        let [mut before] = take_rows::<F, 1>(scratch, w.dim());
        while at + *ahead < self.length {
            let (left, until) = (self.length - at, *ahead);
            // The increment until the candidate, given that until the end of the step: a Brownian bridge.
            let (share, spread) = (F::of(until / left), F::of((until * (left - until) / left).sqrt()));
            for (before, w) in before.iter_mut().zip(w.iter_mut()) {
                *before = share * *w + spread * F::of(clock.stream.normal());
                *w -= *before;
            }
            calls += self.part(&[row], [at, at + until], extra(clock), &before, x, scratch)?;
            at += until;
            let time = self.time(at);
            let state = x.as_slice_mut().expect("standard layout");
            let intensity = (self.of.intensity)(time, state);
            let ok = intensity >= 0.0 && intensity <= self.of.bound;
            Error::domain(ok, "intensity", intensity, "between 0 and the bound")?;
            clock.candidates += 1;
            if clock.stream.uniform() * self.of.bound < intensity {
                clock.jumps += 1;
                (self.of.jump)(time, state, &mut clock.stream);
            }
            *ahead = waiting_time(&mut clock.stream, self.of.bound);
        }
        *ahead -= self.length - at;
        put_rows(scratch, [before]);
        Ok(calls + self.part(&[row], [at, self.length], extra(clock), w, x, scratch)?)
    }

    /// The diffusion between two offsets into the step.
    fn part<F: Real>(
        &self,
        rows: &[u64],
        [start, end]: [f64; 2],
        extra: Noise,
        w: &ArrayRef2<F>,
        x: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<u64, Error>
    where
        E: Sde<F>,
        K: Integrator<F>,
    {
        // Two candidates at the same time in floating point.
        if start == end {
            return Ok(0);
        }
        let step = SdeStep {
            rows,
            from: self.time(start),
            to: self.time(end),
            length: end - start,
            w,
            area: None,
            levy: None,
            extra,
            index: self.index as u64,
        };
        self.of.integrator.step(&self.of.sde, step, x, scratch)
    }

    /// The time at an offset into the step; exact at its ends.
    fn time(&self, offset: f64) -> Time {
        let (a, b) = (self.of.grid.node(self.index), self.of.grid.node(self.index + 1));
        a.between(b, offset / self.length)
    }
}
