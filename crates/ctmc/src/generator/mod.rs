//! The generators of chains.

mod birth_death;
mod dense;
mod gaussian;
mod refresh;
mod sparse;

pub use birth_death::BirthDeath;
pub use dense::Dense;
pub use gaussian::DiscretisedGaussian;
pub use refresh::Refresh;
pub use sparse::Sparse;

use numeric::Error;
use numeric::ndarray::Array2;

use crate::law::draw_from;
use crate::stationary::stationary_law;

/// The generator of a continuous-time Markov chain on the states $`0, \dots, S - 1`$, in the row convention.
///
/// ```math
/// q_{ij} \ge 0 \text{ is the rate } i \to j,\ i \ne j, \qquad q_{ii} = -e_i, \qquad
/// e_i = \sum_{j \ne i} q_{ij}, \qquad \dot p_t = p_t Q .
/// ```
///
/// The diagonal is computed, never given, so that rows sum to 0. Rates are per unit of time. Implementors are plain
/// values: [`Dense`], [`Sparse`], [`BirthDeath`], [`Refresh`], [`DiscretisedGaussian`]. All have at least two states
/// and finite rates.
///
/// Methods that take a state panic if there is no such state; methods that take a slice panic if it has not `S`
/// entries.
///
/// ```
/// use ctmc::{Dense, Generator};
/// use numeric::ndarray::array;
/// let q = Dense::new(&array![[0.0, 2.0], [0.5, 0.0]])?; // the diagonal is not read
/// assert_eq!((q.rate(0, 0), q.rate(0, 1), q.exit_rate(1)), (-2.0, 2.0, 0.5));
/// let mut change = [0.0; 2];
/// q.apply_row_into(&[0.5, 0.5], &mut change); // d/dt of the law
/// assert_eq!(change, [-0.75, 0.75]);
/// q.apply_column_into(&[0.0, 1.0], &mut change); // drift of a function
/// assert_eq!(change, [2.0, -0.5]);
/// assert_eq!(q.stationary()?, [0.2, 0.8]);
/// # Ok::<(), numeric::Error>(())
/// ```
pub trait Generator: Send + Sync {
    /// Number of states, S.
    fn states(&self) -> usize;

    /// Entry $`q_{ij}`$ of the matrix; on the diagonal minus the exit rate.
    fn rate(&self, from: u32, to: u32) -> f64;

    /// Rate $`e_i`$ at which a state is left.
    fn exit_rate(&self, from: u32) -> f64;

    /// Calls `visit` with every destination of positive rate and that rate, in ascending order of the destinations.
    fn for_each_rate(&self, from: u32, visit: &mut dyn FnMut(u32, f64));

    /// Flow into each state: $`\mathrm{out}_j = \sum_{i \ne j} p_i q_{ij}`$. Without subtraction.
    fn inflow_into(&self, p: &[f64], out: &mut [f64]) {
        check_lengths(self.states(), p, out);
        out.fill(0.0);
        for (from, &p) in (0..).zip(p) {
            self.for_each_rate(from, &mut |to, rate| out[to as usize] += p * rate);
        }
    }

    /// Rates times values at the destinations: $`\mathrm{out}_i = \sum_{j \ne i} q_{ij} f_j`$.
    fn outflow_into(&self, f: &[f64], out: &mut [f64]) {
        check_lengths(self.states(), f, out);
        for (from, out) in (0..).zip(out) {
            *out = 0.0;
            self.for_each_rate(from, &mut |to, rate| *out += rate * f[to as usize]);
        }
    }

    /// The row vector pQ: the rate of change of a law p.
    fn apply_row_into(&self, p: &[f64], out: &mut [f64]) {
        self.inflow_into(p, out);
        for ((state, out), p) in (0..).zip(out).zip(p) {
            *out -= p * self.exit_rate(state);
        }
    }

    /// The column vector Qf: the rate of change of $`\mathbb E f(X_t)`$, by starting state.
    fn apply_column_into(&self, f: &[f64], out: &mut [f64]) {
        self.outflow_into(f, out);
        for ((state, out), f) in (0..).zip(out).zip(f) {
            *out -= f * self.exit_rate(state);
        }
    }

    /// The greatest exit rate: a bound of the jump intensity, for uniformization.
    fn max_exit_rate(&self) -> f64 {
        self.state_range().map(|state| self.exit_rate(state)).fold(0.0, f64::max)
    }

    /// The destination of a jump: state j with probability $`q_{ij}/e_i`$, given a uniform u on (0, 1).
    ///
    /// # Panics
    /// If the state is absorbing.
    fn destination(&self, from: u32, u: f64) -> u32 {
        let target = u * self.exit_rate(from);
        draw_from(target, |visit| self.for_each_rate(from, visit)).expect("an absorbing state has no jumps")
    }

    /// The stationary law: $`\pi Q = 0`$, $`\sum_i \pi_i = 1`$.
    ///
    /// By the elimination of Grassmann, Taksar and Heyman: every operation adds, multiplies or divides positive
    /// numbers, so each entry keeps its relative precision, about $`S u`$ to $`S^2 u`$ with the unit roundoff u.
    /// $`O(S b^2)`$ time with the width b of the band of the rates, $`O(S^3)`$ if there is none; some generators know it
    /// in closed form.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the chain is not irreducible, where the law need not be unique or positive;
    /// [`Error::Domain`] if the band has more than $`2^{24}`$ entries: 4096 states, or more if rates are between states
    /// whose numbers are close.
    ///
    /// # References
    /// Grassmann, Taksar, Heyman (1985), *Regenerative analysis and steady state distributions for Markov chains*.
    fn stationary(&self) -> Result<Vec<f64>, Error> {
        stationary_law(self.states(), |from, visit| self.for_each_rate(from, visit))
    }

    /// All states.
    fn state_range(&self) -> std::ops::Range<u32> {
        0..self.states() as u32
    }

    /// The matrix `(S, S)`.
    fn to_matrix(&self) -> Array2<f64> {
        let mut matrix = Array2::zeros((self.states(), self.states()));
        for from in self.state_range() {
            self.for_each_rate(from, &mut |to, rate| matrix[[from as usize, to as usize]] = rate);
            matrix[[from as usize, from as usize]] = -self.exit_rate(from);
        }
        matrix
    }
}

impl<G: Generator + ?Sized> Generator for &G {
    fn states(&self) -> usize {
        (**self).states()
    }

    fn rate(&self, from: u32, to: u32) -> f64 {
        (**self).rate(from, to)
    }

    fn exit_rate(&self, from: u32) -> f64 {
        (**self).exit_rate(from)
    }

    fn for_each_rate(&self, from: u32, visit: &mut dyn FnMut(u32, f64)) {
        (**self).for_each_rate(from, visit);
    }

    fn inflow_into(&self, p: &[f64], out: &mut [f64]) {
        (**self).inflow_into(p, out);
    }

    fn outflow_into(&self, f: &[f64], out: &mut [f64]) {
        (**self).outflow_into(f, out);
    }

    fn max_exit_rate(&self) -> f64 {
        (**self).max_exit_rate()
    }

    fn destination(&self, from: u32, u: f64) -> u32 {
        (**self).destination(from, u)
    }

    fn stationary(&self) -> Result<Vec<f64>, Error> {
        (**self).stationary()
    }
}

/// How far a law is from detailed balance with the chain, from 0 (reversible) to 1.
///
/// ```math
/// \max_{i \ne j} \frac{|\pi_i q_{ij} - \pi_j q_{ji}|}{\max(\pi_i q_{ij}, \pi_j q_{ji})}
/// ```
///
/// Relative for each pair, so that slow pairs count as well; a few $`10^{-16}`$ is rounding. A pair without flow either
/// way counts 0.
///
/// ```
/// use ctmc::{Dense, Generator, detailed_balance_defect};
/// use numeric::ndarray::array;
/// let two = Dense::new(&array![[0.0, 2.0], [0.5, 0.0]])?;
/// assert!(detailed_balance_defect(&two, &two.stationary()?)? < 1e-15);
/// let circle = Dense::new(&array![[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])?;
/// assert_eq!(detailed_balance_defect(&circle, &circle.stationary()?)?, 1.0);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # Errors
/// If the law has not S entries, or an entry is negative or not finite.
pub fn detailed_balance_defect(generator: &(impl Generator + ?Sized), law: &[f64]) -> Result<f64, Error> {
    Error::shape("law", &[generator.states()], &[law.len()])?;
    Error::entries("law", law.iter().copied(), "a finite number of at least 0", |p| {
        p >= 0.0 && p.is_finite()
    })?;
    let mut defect = 0.0_f64;
    for from in generator.state_range() {
        generator.for_each_rate(from, &mut |to, rate| {
            let there = law[from as usize] * rate;
            let back = law[to as usize] * generator.rate(to, from);
            if there.max(back) > 0.0 {
                defect = defect.max((there - back).abs() / there.max(back));
            }
        });
    }
    Ok(defect)
}

/// Panics unless both have one entry for each state.
#[track_caller]
fn check_lengths(states: usize, input: &[f64], out: &[f64]) {
    assert_eq!((input.len(), out.len()), (states, states), "one entry for each state");
}

/// A number of states that can be used: at least 2, and each of them a `u32`.
fn check_states(states: usize) -> Result<(), Error> {
    let ok = states >= 2 && u32::try_from(states).is_ok();
    Error::domain(ok, "states", states as f64, "at least 2 states, and below 2^32")
}

/// A rate that can be used.
fn is_rate(rate: f64) -> bool {
    rate >= 0.0 && rate.is_finite()
}

/// What [`is_rate`] wants, for errors.
const A_RATE: &str = "a finite rate of at least 0";
