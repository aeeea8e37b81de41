//! One path on its way.

use std::fmt;

use numeric::{Error, Noise, RowStream};

use super::PiecewiseDeterministic;
use super::runge_kutta::RungeKutta;

/// How often the length of a step to a jump is improved: bisection alone would take 53.
const MOST_TRIALS: usize = 60;

/// One path of a [`PiecewiseDeterministic`] process, jump by jump.
///
/// ```
/// use ctmc::network::{FlowJump, PiecewiseDeterministic};
/// // x grows until it breaks, at a rate of its own size, to half of it.
/// let halve = FlowJump::new("break", [(0, 1)], |_, _, x| x[0]).with_kick(|_, x| x[0] *= 0.5);
/// let process = PiecewiseDeterministic::new(1, 1, |_, _, x, out| out[0] = x[0], vec![halve])?;
/// let mut walk = process.walk(&[0], &[1.0], 0, numeric::Noise::new(2))?;
/// let (time, jump) = walk.next_jump(50.0)?.unwrap();
/// assert!(jump == 0 && (walk.x()[0] - 0.5 * time.exp()).abs() < 1e-6);
/// assert_eq!(walk.counts(), [1]);
/// # Ok::<(), numeric::Error>(())
/// ```
pub struct FlowWalk<'a> {
    of: &'a PiecewiseDeterministic,
    noise: Noise,
    stream: RowStream,
    row: u64,
    now: f64,
    counts: Vec<u32>,
    /// The continuous state, then the hazard since the last jump.
    y: Vec<f64>,
    /// The hazard at which the next jump is.
    target: f64,
    /// The length that the next step is tried with.
    length: f64,
    method: RungeKutta,
    rates: Vec<f64>,
    steps: u64,
}

impl<'a> FlowWalk<'a> {
    pub(super) fn new(of: &'a PiecewiseDeterministic, noise: Noise) -> FlowWalk<'a> {
        let noise = noise.fork("flow");
        FlowWalk {
            of,
            noise,
            stream: noise.row_stream(0),
            row: 0,
            now: 0.0,
            counts: vec![0; of.counts],
            y: vec![0.0; of.dimension + 1],
            target: 0.0,
            length: 0.0,
            method: RungeKutta::new(of.dimension + 1),
            rates: vec![0.0; of.jumps.len()],
            steps: 0,
        }
    }

    pub(super) fn restart(&mut self, row: u64, counts: &[u32], x: &[f64]) {
        (self.row, self.stream, self.now, self.steps) = (row, self.noise.row_stream(row), 0.0, 0);
        self.counts.copy_from_slice(counts);
        self.y[..x.len()].copy_from_slice(x);
        self.length = f64::INFINITY;
        self.wait();
    }

    /// Starts to wait for the next jump.
    fn wait(&mut self) {
        self.target = self.stream.exponential();
        self.y[self.of.dimension] = 0.0;
    }

    /// The time: that of the last jump, or to which the path was followed without one.
    #[must_use]
    pub fn time(&self) -> f64 {
        self.now
    }

    /// The counts now.
    #[must_use]
    pub fn counts(&self) -> &[u32] {
        &self.counts
    }

    /// The continuous state now.
    #[must_use]
    pub fn x(&self) -> &[f64] {
        &self.y[..self.of.dimension]
    }

    /// Makes the next jump and returns its time and number; or, if there is none until `limit`, goes to that time and
    /// returns `None`.
    ///
    /// # Errors
    /// If the limit is not finite or before the time of the walk; [`Error::Reaction`] for a rate that is negative or not
    /// finite where a jump is chosen, and a jump that would make a count negative; [`Error::Stalled`] at the greatest number
    /// of steps, or if the equation cannot be solved to the tolerance: a rate or slope that is not a number, a solution that
    /// ends.
    pub fn next_jump(&mut self, limit: f64) -> Result<Option<(f64, usize)>, Error> {
        let ok = limit >= self.now && limit.is_finite();
        Error::domain(ok, "limit", limit, "a finite time, not before that of the walk")?;
        let (of, hazard) = (self.of, self.of.dimension);
        while self.now < limit {
            let counts = &self.counts;
            let slope = |time: f64, y: &[f64], out: &mut [f64]| {
                let (x, rest) = out.split_at_mut(hazard);
                (of.slope)(time, counts, &y[..hazard], x);
                rest[0] =
                    of.jumps.iter().map(|jump| not_negative((jump.rate)(time, counts, &y[..hazard]))).sum();
            };
            self.method.start(self.now, &self.y, &slope);
            let left = limit - self.now;
            let mut length = self.length.min(left);
            loop {
                if self.steps == of.max_steps {
                    return Err(self.stalled(length, "the greatest number of steps"));
                }
                self.steps += 1;
                let error = self.method.step(self.now, &self.y, length, of.tolerance, &slope);
                let factor = (0.9 * error.powf(-0.2)).clamp(0.2, 5.0);
                if error <= 1.0 {
                    // A step that was cut short by the limit says nothing against longer ones.
                    self.length =
                        if length < left { length * factor } else { self.length.max(length * factor) };
                    break;
                }
                if length == 0.0 {
                    return Err(self.stalled(length, "an equation that has no solution here"));
                }
                length *= if error.is_finite() { factor } else { 0.1 };
            }
            if !(self.now + length > self.now) && length < left {
                return Err(self.stalled(length, "steps that are too short for the time"));
            }
            if self.method.next[hazard] < self.target {
                self.y.copy_from_slice(&self.method.next);
                self.now = if length == left { limit } else { self.now + length };
                continue;
            }
            // The hazard grows with the length of the step: Illinois' method for where it meets the target.
            let (mut low, mut high) =
                ((0.0, self.y[hazard] - self.target), (length, self.method.next[hazard] - self.target));
            for _ in 0..MOST_TRIALS {
                if high.0 - low.0 <= 4.0 * f64::EPSILON * (self.now.abs() + high.0) {
                    break;
                }
                let guess = (low.0 * high.1 - high.0 * low.1) / (high.1 - low.1);
                let guess = if guess > low.0 && guess < high.0 { guess } else { 0.5 * (low.0 + high.0) };
                self.method.step(self.now, &self.y, guess, of.tolerance, &slope);
                let value = self.method.next[hazard] - self.target;
                if value < 0.0 {
                    low = (guess, value);
                    high.1 *= 0.5;
                } else {
                    high = (guess, value);
                    low.1 *= 0.5;
                    if value <= of.tolerance * 1e-3 {
                        break;
                    }
                }
            }
            self.method.step(self.now, &self.y, high.0, of.tolerance, &slope);
            self.y.copy_from_slice(&self.method.next);
            self.now = (self.now + high.0).min(limit);
            return self.jump().map(Some);
        }
        Ok(None)
    }

    /// Makes one of the jumps, with the probabilities of their rates.
    fn jump(&mut self) -> Result<(f64, usize), Error> {
        let of = self.of;
        let mut total = 0.0;
        for (rate, jump) in self.rates.iter_mut().zip(&of.jumps) {
            *rate = (jump.rate)(self.now, &self.counts, &self.y[..of.dimension]);
            if !(*rate >= 0.0 && rate.is_finite()) {
                return Err(jump.refuse("rate", *rate, "a finite number of at least 0"));
            }
            total += *rate;
        }
        let rates = |visit: &mut dyn FnMut(u32, f64)| {
            (0..).zip(&self.rates).for_each(|(jump, &rate)| visit(jump, rate));
        };
        let chosen = crate::law::draw_from(self.stream.uniform() * total, rates);
        let Some(chosen) = chosen.map(|chosen| chosen as usize) else {
            return Err(self.stalled(0.0, "a jump where all rates are 0"));
        };
        let jump = &of.jumps[chosen];
        for &(index, change) in &jump.changes {
            let count = &mut self.counts[index];
            let next = i64::from(*count) + i64::from(change);
            *count = u32::try_from(next).map_err(|_| {
                jump.refuse("count", next as f64, "a count from 0 to 2^32 - 1 after the jump")
            })?;
        }
        if let Some(kick) = &jump.kick {
            kick(&self.counts, &mut self.y[..of.dimension]);
        }
        self.wait();
        Ok((self.now, chosen))
    }

    fn stalled(&self, step: f64, reason: &'static str) -> Error {
        Error::Stalled { row: self.row, time: self.now, step, steps: self.steps, reason }
    }
}

/// NaN for a negative rate, which no step of the equation accepts.
fn not_negative(rate: f64) -> f64 {
    if rate >= 0.0 { rate } else { f64::NAN }
}

impl fmt::Debug for FlowWalk<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlowWalk")
            .field("row", &self.row)
            .field("time", &self.now)
            .field("counts", &self.counts)
            .field("x", &self.x())
            .finish_non_exhaustive()
    }
}
