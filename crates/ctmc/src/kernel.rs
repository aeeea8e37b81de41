//! Transition matrices.

use std::ops::Range;

use numeric::ndarray::{Array2, ArrayRef2, Axis};
use numeric::{Error, Noise, RowStream};
use rayon::prelude::*;

use crate::Generator;
use crate::law::draw;
use crate::uniformization::{Poisson, check_tolerance};

/// The law of a chain after a time, from every state: the matrix $`P_t = e^{tQ}`$, `(S, S)`.
///
/// Its entries are at least 0 and its rows sum to 1 to rounding.
///
/// ```
/// use ctmc::{BirthDeath, Kernel};
/// let chain = BirthDeath::constant(5, 1.0)?;
/// let kernel = Kernel::of(&chain, 1.0, 1e-14)?;
/// assert!((kernel.matrix()[[0, 4]] - 0.00974144749196).abs() < 1e-13);
/// assert!(kernel.truncation() <= 1e-14);
/// // Chapman–Kolmogorov.
/// let half = Kernel::of(&chain, 0.5, 1e-14)?;
/// let composed = half.then(&half)?;
/// assert!((composed.matrix() - kernel.matrix()).iter().all(|d| d.abs() < 1e-14));
/// # Ok::<(), numeric::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Kernel {
    matrix: Array2<f64>,
    truncation: f64,
}

impl Kernel {
    /// The kernel of any generator by uniformization and repeated squaring.
    ///
    /// ```math
    /// e^{tQ} = \Bigl( \sum_k e^{-\theta} \frac{\theta^k}{k!} \bigl(I + Q/\lambda\bigr)^k \Bigr)^{2^s}, \qquad
    /// \lambda = \max_i e_i, \quad \theta = 2^{-s} \lambda t \le 1 .
    /// ```
    ///
    /// Only sums and products of numbers that are not negative, rows divided by their sum: nothing cancels, and nothing is
    /// below 0. Entries keep their digits down to the size of the tolerance: ask for $`10^{-80}`$, and a probability of
    /// $`10^{-67}`$ has 13 of them, for some more terms of the series. [`truncation`](Kernel::truncation) bounds in total variation what the
    /// truncated series leaves out of each row. A squaring multiplies it by at most $`1 + c`$, where
    /// $`c = 1 - \sum_j \min_i P_{ij}`$ is Doeblin's bound of the contraction; once c is small enough the chain has
    /// forgotten its start, and the squaring ends. Rounding comes on top, about $`S u \lambda t`$ at most in the relative
    /// error.
    ///
    /// # Errors
    /// If the time is negative or not finite, or the tolerance is not between $`10^{-250}`$ and 1; for more than 4096 states;
    /// [`Error::NotConverged`] if the tolerance cannot be met (times beyond $`10^{280}`$ waiting times of a chain that is
    /// not mixing).
    ///
    /// ```
    /// use ctmc::{BirthDeath, Kernel};
    /// // Ten steps within a millionth of the waiting time: t¹⁰/10!.
    /// let kernel = Kernel::of(&BirthDeath::constant(11, 1.0)?, 1e-6, 1e-80)?;
    /// assert!((kernel.matrix()[[0, 10]] * 3_628_800.0 / 1e-60 - 1.0).abs() < 2e-6);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Complexity
    /// About $`20 + \log_2 (\lambda t)`$ products of `(S, S)` matrices at a tolerance of $`10^{-15}`$.
    ///
    /// # References
    /// Jensen (1953), *Markoff chains as an aid in the study of Markoff processes*. Fox, Glynn (1988), *Computing Poisson
    /// probabilities*.
    pub fn of(generator: &(impl Generator + ?Sized), time: f64, tolerance: f64) -> Result<Kernel, Error> {
        check_time("time", time)?;
        check_tolerance(tolerance)?;
        let states = generator.states();
        check_fits(states)?;
        let bound = generator.max_exit_rate();
        if bound == 0.0 || time == 0.0 {
            return Ok(Kernel { matrix: Array2::eye(states), truncation: 0.0 });
        }
        // Logarithms, since the product may overflow.
        let squarings = (bound.log2() + time.log2()).ceil().max(0.0) as i32;
        let theta = bound * 0.5_f64.powi(squarings / 2) * time * 0.5_f64.powi(squarings - squarings / 2);
        // Half of the tolerance for the series, half for stopping early.
        let share = (0.5 * tolerance * 0.5_f64.powi(squarings)).max(1e-280);
        let poisson = Poisson::new(theta, share);
        let mut step = generator.to_matrix();
        step.mapv_inplace(|rate| rate.max(0.0) / bound);
        for state in generator.state_range() {
            step[[state as usize, state as usize]] = 1.0 - generator.exit_rate(state) / bound;
        }
        // Horner's rule; a window that starts at 0, since theta is at most 1 or little more.
        let mut matrix = Array2::zeros((states, states));
        for &weight in poisson.weights.iter().rev() {
            matrix = matrix.dot(&step);
            matrix.diag_mut().mapv_inplace(|p| p + weight);
        }
        let mut truncation = poisson.tail;
        for _ in 0..squarings {
            normalise_rows(&mut matrix);
            let contraction = contraction(&matrix);
            if contraction <= 0.25 * tolerance {
                // What all further factors make of the error so far is a geometric series.
                truncation = truncation / (1.0 - contraction) + contraction;
                break;
            }
            truncation *= 1.0 + contraction;
            matrix = matrix.dot(&matrix);
        }
        if !(truncation <= tolerance) {
            let iterations = squarings as usize;
            return Err(Error::NotConverged { routine: "uniformization", iterations, residual: truncation });
        }
        Ok(Kernel::from_rows(matrix, truncation))
    }

    /// From rows that sum to 1 to rounding.
    pub(crate) fn from_rows(mut matrix: Array2<f64>, truncation: f64) -> Kernel {
        normalise_rows(&mut matrix);
        // A product of thin matrices may come out column by column.
        let matrix =
            if matrix.is_standard_layout() { matrix } else { matrix.as_standard_layout().into_owned() };
        Kernel { matrix, truncation }
    }

    /// The matrix: row i is the law from state i.
    ///
    /// ```
    /// let kernel = ctmc::Refresh::two_state(1.0, 3.0)?.kernel(1e3)?;
    /// assert_eq!(kernel.matrix(), numeric::ndarray::array![[0.75, 0.25], [0.75, 0.25]]);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    #[must_use]
    pub fn matrix(&self) -> &Array2<f64> {
        &self.matrix
    }

    /// Bound of the total variation between each row and the exact law, rounding apart; 0 for closed forms.
    #[must_use]
    pub fn truncation(&self) -> f64 {
        self.truncation
    }

    /// The state after the transition from `from`, given a uniform u on (0, 1).
    pub(crate) fn draw(&self, from: u32, u: f64) -> u32 {
        let row = self.matrix.row(from as usize);
        let row = row.to_slice().expect("standard layout");
        draw(row, row.iter().sum(), u)
    }

    /// This transition and then a later one: $`P_s P_t`$. The truncations add up.
    ///
    /// ```
    /// use ctmc::Refresh;
    /// // First masks, then a shuffle of all states.
    /// let masked = Refresh::absorbing(3, 2, 1.0)?.kernel(1e3)?;
    /// let shuffled = Refresh::uniform(3, 1.0)?.kernel(0.2)?;
    /// let both = masked.then(&shuffled)?;
    /// assert_eq!(both.matrix().row(0), shuffled.matrix().row(2));
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the numbers of states differ.
    pub fn then(&self, later: &Kernel) -> Result<Kernel, Error> {
        Error::shape("later", self.matrix.shape(), later.matrix.shape())?;
        Ok(Kernel::from_rows(self.matrix.dot(&later.matrix), self.truncation + later.truncation))
    }

    /// Moves every coordinate of `x0`, `(n, d)`, by itself through the transition.
    ///
    /// Row i is the absolute row `rows.start + i` and depends on the noise and that number only. One uniform for each
    /// coordinate. Destinations of probability 0 are never drawn.
    ///
    /// ```
    /// use ctmc::{BirthDeath, Kernel};
    /// use numeric::{Noise, ndarray::Array2};
    /// let kernel = Kernel::of(&BirthDeath::constant(3, 1.0)?, 1e-3, 1e-12)?;
    /// let x = kernel.sample(&Array2::from_elem((1000, 2), 1), 0..1000, Noise::new(3))?;
    /// let moved = x.iter().filter(|&&x| x != 1).count();
    /// assert!(moved < 30);                                   // 4 expected
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the number of rows is not n, or for a state that does not exist.
    pub fn sample(&self, x0: &ArrayRef2<u32>, rows: Range<u64>, noise: Noise) -> Result<Array2<u32>, Error> {
        let states = self.matrix.nrows();
        let mut sums = Vec::with_capacity(states * states);
        for row in self.matrix.rows() {
            sums.extend(row.iter().scan(0.0, |sum, p| {
                *sum += p;
                Some(*sum)
            }));
        }
        sample_rows(states, x0, rows, noise, |_, stream, x| {
            for x in x {
                let sums = &sums[*x as usize * states..][..states];
                let total = sums[states - 1];
                let target = stream.uniform() * total;
                let found = sums.partition_point(|&sum| sum <= target);
                // The product may round up to the total.
                let last = sums.partition_point(|&sum| sum < total);
                *x = found.min(last) as u32;
            }
        })
    }
}

/// Doeblin's bound of the total variation between any two rows.
fn contraction(matrix: &Array2<f64>) -> f64 {
    let least = matrix.fold_axis(Axis(0), f64::INFINITY, |&least, &p| least.min(p));
    (1.0 - least.sum()).max(0.0)
}

fn normalise_rows(matrix: &mut Array2<f64>) {
    for mut row in matrix.rows_mut() {
        let sum = row.sum();
        row.mapv_inplace(|p| p / sum);
    }
}

/// A number of states of which a whole matrix is to be made.
pub(crate) fn check_fits(states: usize) -> Result<(), Error> {
    Error::domain(states <= 4096, "states", states as f64, "at most 4096 states for a whole matrix")
}

/// A time that can be used.
pub(crate) fn check_time(parameter: &'static str, time: f64) -> Result<(), Error> {
    Error::domain(time >= 0.0 && time.is_finite(), parameter, time, "a finite time of at least 0")
}

/// A copy of `x0` in which `step` has moved each row, given its index and its stream.
pub(crate) fn sample_rows(
    states: usize,
    x0: &ArrayRef2<u32>,
    rows: Range<u64>,
    noise: Noise,
    step: impl Fn(usize, &mut RowStream, &mut [u32]) + Sync,
) -> Result<Array2<u32>, Error> {
    let count = rows.end.saturating_sub(rows.start);
    Error::shape("x0", &[count as usize, x0.ncols()], x0.shape())?;
    Error::entries("x0", x0.iter().map(|&x| f64::from(x)), "a state", |x| x < states as f64)?;
    let noise = noise.fork("transition");
    let mut x = x0.to_owned();
    if x.ncols() > 0 {
        let mut values: Vec<u32> = x0.iter().copied().collect();
        values.par_chunks_mut(x0.ncols()).with_min_len(16).enumerate().for_each(|(i, row)| {
            step(i, &mut noise.row_stream(rows.start + i as u64), row);
        });
        x = Array2::from_shape_vec(x0.raw_dim(), values).expect("as many values as before");
    }
    Ok(x)
}
