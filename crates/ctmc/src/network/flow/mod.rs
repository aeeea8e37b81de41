//! Jumps coupled to an ordinary differential equation.

mod runge_kutta;
mod walk;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use numeric::ndarray::Array3;
use numeric::{Batching, Control, Error, Noise, run_blocks};

pub use walk::FlowWalk;

use super::ensemble::{check_times, count};

/// A rate, given the time, the counts and the continuous state.
type FlowRate = Arc<dyn Fn(f64, &[u32], &[f64]) -> f64 + Send + Sync>;
/// The slope of the continuous state, written into the last argument.
type Slope = Arc<dyn Fn(f64, &[u32], &[f64], &mut [f64]) + Send + Sync>;
/// What a jump does to the continuous state, given the counts after it.
type Kick = Arc<dyn Fn(&[u32], &mut [f64]) + Send + Sync>;

/// A jump of a [`PiecewiseDeterministic`] process.
#[derive(Clone)]
pub struct FlowJump {
    name: String,
    changes: Vec<(usize, i32)>,
    rate: FlowRate,
    kick: Option<Kick>,
}

impl FlowJump {
    /// A jump that adds `changes` to the counts of these numbers, at the rate `rate(time, counts, x)`.
    pub fn new<const N: usize>(
        name: &str,
        changes: [(usize, i32); N],
        rate: impl Fn(f64, &[u32], &[f64]) -> f64 + Send + Sync + 'static,
    ) -> FlowJump {
        FlowJump { name: name.to_owned(), changes: changes.to_vec(), rate: Arc::new(rate), kick: None }
    }

    /// The jump with an effect on the continuous state as well: `kick(counts, x)` changes x, given the counts after the jump.
    #[must_use]
    pub fn with_kick(mut self, kick: impl Fn(&[u32], &mut [f64]) + Send + Sync + 'static) -> FlowJump {
        self.kick = Some(Arc::new(kick));
        self
    }
}

impl fmt::Debug for FlowJump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlowJump")
            .field("name", &self.name)
            .field("changes", &self.changes)
            .field("kick", &self.kick.is_some())
            .finish_non_exhaustive()
    }
}

/// A piecewise-deterministic Markov process: counts n that jump at rates that depend on a continuous state x, which obeys a
/// differential equation between the jumps.
///
/// ```math
/// \dot x = F(t, n, x), \qquad (n, x) \to (n + \nu_r, k_r(x)) \text{ at rate } \lambda_r(t, n, x) .
/// ```
///
/// The next jump is where the integrated hazard $`\int \sum_r \lambda_r(s, n, x_s)\, ds`$ reaches an exponential number. The
/// hazard is one more component of the equation, which is solved by the pair of Dormand and Prince with adaptive steps; the
/// jump is located within its step by solving for the length of a shorter one. So the only error is that of the equation,
/// which `tolerance` bounds in each step.
///
/// ```
/// use ctmc::network::{FlowJump, PiecewiseDeterministic};
/// use numeric::{Control, Noise};
/// // A gene that is switched on and off, and the concentration of what it makes.
/// let switch = vec![
///     FlowJump::new("on", [(0, 1)], |_, n, _| if n[0] == 0 { 0.5 } else { 0.0 }),
///     FlowJump::new("off", [(0, -1)], |_, n, _| if n[0] == 1 { 1.5 } else { 0.0 }),
/// ];
/// let process = PiecewiseDeterministic::new(1, 1, |_, n, x, out| out[0] = 8.0 * f64::from(n[0]) - x[0], switch)?;
/// let (genes, made) = process.states_at(&[0], &[0.0], &[30.0], 0..1000, Noise::new(1), Control::default())?;
/// assert!(genes.iter().all(|&n| n <= 1) && made.iter().all(|&x| (0.0..=8.0).contains(&x)));
/// let mean = made.iter().sum::<f64>() / 1000.0;
/// assert!((mean - 2.0).abs() < 0.25);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # Randomness
/// Row i depends on the noise and i only; its numbers come one after the other from its stream "flow". Steps end at the
/// times that are asked for, which moves later jumps by errors of the size of the tolerance.
///
/// # References
/// Davis (1984), *Piecewise-deterministic Markov processes: a general class of non-diffusion stochastic models*, J. R. Stat.
/// Soc. B 46. Dormand, Prince (1980), *A family of embedded Runge–Kutta formulae*, J. Comput. Appl. Math. 6.
#[derive(Clone)]
pub struct PiecewiseDeterministic {
    counts: usize,
    dimension: usize,
    slope: Slope,
    jumps: Vec<FlowJump>,
    tolerance: f64,
    max_steps: u64,
}

impl PiecewiseDeterministic {
    /// The process of `counts` counts and `dimension` continuous coordinates; `slope(time, n, x, out)` writes the slope of x. With
    /// a tolerance of $`10^{-8}`$.
    ///
    /// # Errors
    /// [`Error::Reaction`] if a jump changes a count that there is not.
    pub fn new(
        counts: usize,
        dimension: usize,
        slope: impl Fn(f64, &[u32], &[f64], &mut [f64]) + Send + Sync + 'static,
        jumps: Vec<FlowJump>,
    ) -> Result<PiecewiseDeterministic, Error> {
        for jump in &jumps {
            if let Some(&(index, _)) = jump.changes.iter().find(|&&(index, _)| index >= counts) {
                return Err(jump.refuse("changes", index as f64, "the number of a count"));
            }
        }
        let slope = Arc::new(slope);
        Ok(PiecewiseDeterministic {
            counts,
            dimension,
            slope,
            jumps,
            tolerance: 1e-8,
            max_steps: 1_000_000_000,
        })
    }

    /// The same with another tolerance of a step: absolute for numbers up to 1, relative above.
    ///
    /// # Errors
    /// If it is not between $`10^{-13}`$ and 0.1.
    pub fn with_tolerance(mut self, tolerance: f64) -> Result<PiecewiseDeterministic, Error> {
        Error::domain((1e-13..=0.1).contains(&tolerance), "tolerance", tolerance, "between 1e-13 and 0.1")?;
        self.tolerance = tolerance;
        Ok(self)
    }

    /// The same with another limit of a path's steps, at first 10⁹: one that needs more ends with [`Error::Stalled`].
    #[must_use]
    pub fn with_max_steps(mut self, max_steps: u64) -> PiecewiseDeterministic {
        self.max_steps = max_steps;
        self
    }

    /// One path on its way from time 0.
    ///
    /// # Errors
    /// If there is not one start for each count and coordinate, or one that is not finite.
    pub fn walk(&self, counts: &[u32], x: &[f64], row: u64, noise: Noise) -> Result<FlowWalk<'_>, Error> {
        Error::shape("counts", &[self.counts], &[counts.len()])?;
        Error::shape("x", &[self.dimension], &[x.len()])?;
        Error::entries("x", x.iter().copied(), "a finite number", f64::is_finite)?;
        let mut walk = FlowWalk::new(self, noise);
        walk.restart(row, counts, x);
        Ok(walk)
    }

    /// The counts and the continuous states of the given rows at ascending times, `(n, times, counts)` and
    /// `(n, times, dimension)`.
    ///
    /// # Errors
    /// Those of [`walk`](PiecewiseDeterministic::walk) and [`FlowWalk::next_jump`], of the lowest row that has one; if the
    /// times are negative, not finite or do not ascend; [`Error::Cancelled`].
    ///
    /// # Panics
    /// If the states do not fit into memory.
    pub fn states_at(
        &self,
        counts: &[u32],
        x: &[f64],
        times: &[f64],
        rows: Range<u64>,
        noise: Noise,
        control: Control<'_>,
    ) -> Result<(Array3<u32>, Array3<f64>), Error> {
        check_times("times", times)?;
        self.walk(counts, x, rows.start, noise)?;
        let n = count(&rows);
        let blocks = run_blocks(rows, Batching::default(), control, |block, _| {
            let mut walk = FlowWalk::new(self, noise);
            let (mut jumped, mut flowed) = (vec![], vec![]);
            for row in block {
                walk.restart(row, counts, x);
                for &time in times {
                    while walk.next_jump(time)?.is_some() {}
                    jumped.extend_from_slice(walk.counts());
                    flowed.extend_from_slice(walk.x());
                }
            }
            Ok((jumped, flowed))
        })?;
        let (jumped, flowed): (Vec<Vec<u32>>, Vec<Vec<f64>>) = blocks.into_iter().unzip();
        let jumped = Array3::from_shape_vec((n, times.len(), self.counts), jumped.concat());
        let flowed = Array3::from_shape_vec((n, times.len(), self.dimension), flowed.concat());
        let expected = "states for each row and time";
        Ok((jumped.expect(expected), flowed.expect(expected)))
    }
}

impl fmt::Debug for PiecewiseDeterministic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PiecewiseDeterministic")
            .field("counts", &self.counts)
            .field("dimension", &self.dimension)
            .field("jumps", &self.jumps)
            .field("tolerance", &self.tolerance)
            .finish_non_exhaustive()
    }
}

impl FlowJump {
    fn refuse(&self, parameter: &'static str, value: f64, expected: &'static str) -> Error {
        Error::Reaction { reaction: self.name.clone(), species: None, parameter, value, expected }
    }
}
