use std::ops::Range;

use numeric::ndarray::{Array2, ArrayRef2};
use numeric::{Error, Noise, RowStream};

use super::{A_RATE, Generator, check_lengths, check_states, is_rate};
use crate::kernel::{Kernel, check_fits, sample_rows};
use crate::law::{check_law, draw, draw_from, normalise};

/// A chain that at a constant rate forgets its state and draws a new one from a fixed law π.
///
/// ```math
/// Q = r\,(\mathbf 1 \pi - I), \qquad P_t = e^{tQ} = e^{-rt} I + (1 - e^{-rt})\, \mathbf 1 \pi .
/// ```
///
/// The structured chains of discrete diffusion are of this form: uniform, absorbing (masks), one bit of the hypercube. All
/// is in closed form, in O(S), so vocabularies may be large; a matrix is made only if asked for.
///
/// ```
/// use ctmc::{Generator, Refresh};
/// let uniform = Refresh::uniform(3, 0.5)?;                // every other state at rate 1/2
/// assert!((uniform.probability(1.0, 0, 0)? - 0.482086773432).abs() < 1e-12);
/// let masks = Refresh::absorbing(4, 3, 1.0)?;             // the last state is the mask
/// assert_eq!(masks.probability(2.0, 0, 3)?, 1.0 - (-2_f64).exp());
/// assert_eq!(masks.stationary()?, [0.0, 0.0, 0.0, 1.0]);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// Austin, Johnson, Ho, Tarlow, van den Berg (2021), *Structured denoising diffusion models in discrete state-spaces*.
/// Campbell et al. (2022), *A continuous time framework for discrete denoising models*.
#[derive(Clone, Debug, PartialEq)]
pub struct Refresh {
    states: usize,
    /// Rate of refreshing, r.
    total: f64,
    law: Law,
}

#[derive(Clone, Debug, PartialEq)]
enum Law {
    /// With the rate to each other state.
    Uniform(f64),
    Point(u32),
    /// With the exit rates.
    General(Vec<f64>, Vec<f64>),
}

impl Refresh {
    /// From every state to every other at the same rate: $`Q = \text{rate} \cdot (\mathbf 1 \mathbf 1^\top - S I)`$.
    ///
    /// ```
    /// use ctmc::{Generator, Refresh};
    /// let q = Refresh::uniform(5, 0.4)?;
    /// assert_eq!((q.rate(1, 2), q.exit_rate(1)), (0.4, 1.6));
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Errors
    /// With fewer than two states, or a rate that is not finite and greater than 0; if S times the rate overflows.
    pub fn uniform(states: usize, rate: f64) -> Result<Refresh, Error> {
        check_states(states)?;
        Error::positive("rate", rate)?;
        let total = rate * states as f64;
        Error::domain(total.is_finite(), "rate", rate, "a rate whose S-fold is finite")?;
        Ok(Refresh { states, total, law: Law::Uniform(rate) })
    }

    /// From every state to `mask` at the same rate, and never back: $`Q = \text{rate} \cdot (\mathbf 1 e_*^\top - I)`$.
    ///
    /// ```
    /// use ctmc::{Generator, Refresh};
    /// let q = Refresh::absorbing(5, 4, 2.0)?;
    /// assert_eq!((q.rate(1, 4), q.rate(1, 2), q.exit_rate(4)), (2.0, 0.0, 0.0));
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Errors
    /// With fewer than two states, a mask that is none of them, or a rate that is not finite and greater than 0.
    pub fn absorbing(states: usize, mask: u32, rate: f64) -> Result<Refresh, Error> {
        check_states(states)?;
        Error::domain((mask as usize) < states, "mask", f64::from(mask), "one of the states")?;
        Error::positive("rate", rate)?;
        Ok(Refresh { states, total: rate, law: Law::Point(mask) })
    }

    /// New states from `law`, such as the frequencies of the data, at a rate that counts those that change nothing.
    ///
    /// ```
    /// use ctmc::{Generator, Refresh};
    /// let q = Refresh::new(&[0.5, 0.25, 0.25], 2.0)?;
    /// assert_eq!((q.rate(0, 1), q.exit_rate(0), q.exit_rate(1)), (0.5, 1.0, 1.5));
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the law has fewer than two entries, one that is not a probability, or does not sum to 1 within
    /// $`10^{-9}`$ (it is then divided by its sum); for a rate that is not finite and greater than 0.
    pub fn new(law: &[f64], rate: f64) -> Result<Refresh, Error> {
        check_states(law.len())?;
        check_law("law", law.len(), law)?;
        Error::positive("rate", rate)?;
        let mut law = law.to_vec();
        normalise(&mut law);
        // Not r (1 - π_i), which loses the digits of a state that is rarely left.
        let (before, after) = sums_around(&law, |_| 1.0);
        let exits = before.iter().zip(&after).map(|(before, after)| rate * (before + after)).collect();
        Ok(Refresh { states: law.len(), total: rate, law: Law::General(law, exits) })
    }

    /// Two states, a coordinate of the hypercube: 0 to 1 at rate `up`, 1 to 0 at rate `down`.
    ///
    /// ```
    /// let bit = ctmc::Refresh::two_state(1.0, 3.0)?;
    /// let exact = 0.25 * (1.0 - (-4.0_f64 * 0.3).exp());
    /// assert!((bit.probability(0.3, 0, 1)? - exact).abs() < 1e-15);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Errors
    /// If a rate is negative or not finite, both are 0, or their sum overflows.
    pub fn two_state(up: f64, down: f64) -> Result<Refresh, Error> {
        Error::domain(is_rate(up), "up", up, A_RATE)?;
        Error::domain(is_rate(down), "down", down, A_RATE)?;
        Error::positive("up + down", up + down)?;
        let total = up + down;
        Ok(Refresh { states: 2, total, law: Law::General(vec![down / total, up / total], vec![up, down]) })
    }

    /// The state of no return, if new states are always that one.
    ///
    /// ```
    /// use ctmc::Refresh;
    /// assert_eq!(Refresh::absorbing(5, 4, 1.0)?.mask(), Some(4));
    /// assert_eq!(Refresh::uniform(5, 1.0)?.mask(), None);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    #[must_use]
    pub fn mask(&self) -> Option<u32> {
        match self.law {
            Law::Point(mask) => Some(mask),
            _ => None,
        }
    }

    /// Rate of refreshing, r.
    pub(crate) fn total(&self) -> f64 {
        self.total
    }

    /// The law that new states are drawn from, at one state.
    pub(crate) fn weight(&self, state: u32) -> f64 {
        match &self.law {
            Law::Uniform(_) => 1.0 / self.states as f64,
            &Law::Point(mask) => f64::from(u8::from(state == mask)),
            Law::General(law, _) => law[state as usize],
        }
    }

    /// Probability $`e^{-rt}`$ of no refreshing within a time; 0 for an infinite time.
    ///
    /// ```
    /// let masks = ctmc::Refresh::absorbing(3, 2, 1.0)?;
    /// assert_eq!(masks.retention(1.5)?, (-1.5_f64).exp());
    /// assert_eq!(masks.retention(f64::INFINITY)?, 0.0);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the time is negative or NaN.
    pub fn retention(&self, time: f64) -> Result<f64, Error> {
        Error::domain(time >= 0.0, "time", time, "at least 0")?;
        Ok((-self.total * time).exp())
    }

    /// $`P_t(i, j)`$; the time may be infinite.
    ///
    /// # Errors
    /// If the time is negative or NaN.
    ///
    /// # Panics
    /// If there is no such state.
    ///
    /// ```
    /// let q = ctmc::Refresh::uniform(4, 1.0)?;
    /// assert_eq!(q.probability(0.0, 1, 1)?, 1.0);
    /// assert_eq!(q.probability(f64::INFINITY, 1, 1)?, 0.25);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    pub fn probability(&self, time: f64, from: u32, to: u32) -> Result<f64, Error> {
        assert!((from as usize) < self.states && (to as usize) < self.states, "no state {from} or {to}");
        let keep = self.retention(time)?;
        let refreshed = -(-self.total * time).exp_m1() * self.weight(to);
        Ok(if from == to { keep + refreshed } else { refreshed })
    }

    /// The transition matrix $`P_t`$, exact to rounding; the time may be infinite.
    ///
    /// ```
    /// let kernel = ctmc::Refresh::uniform(4, 1.0)?.kernel(0.2)?;
    /// assert_eq!(kernel.truncation(), 0.0);
    /// assert!((kernel.matrix().row(2).sum() - 1.0).abs() < 1e-15);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the time is negative or NaN; for more than 4096 states.
    pub fn kernel(&self, time: f64) -> Result<Kernel, Error> {
        Error::domain(time >= 0.0, "time", time, "at least 0")?;
        check_fits(self.states)?;
        let refreshed = -(-self.total * time).exp_m1();
        let mut matrix =
            Array2::from_shape_fn((self.states, self.states), |(_, to)| refreshed * self.weight(to as u32));
        matrix.diag_mut().mapv_inplace(|p| p + (-self.total * time).exp());
        Ok(Kernel::from_rows(matrix, 0.0))
    }

    /// Noises data: every coordinate of `x0`, `(n, d)`, moves by itself through a time of its row, `elapsed[i]`.
    ///
    /// Row i is the absolute row `rows.start + i` and depends on the noise and that number only. Two uniforms for each
    /// coordinate, whatever the time: with the same noise a coordinate that is refreshed within a time is refreshed to
    /// the same state within every longer one.
    ///
    /// ```
    /// use ctmc::Refresh;
    /// use numeric::{Noise, ndarray::array};
    /// let masks = Refresh::absorbing(100, 99, 1.0)?;
    /// let text = array![[5, 17, 23, 42], [8, 8, 1, 0]];
    /// let noised = masks.sample_transition(&text, &[0.7, f64::INFINITY], 0..2, Noise::new(1))?;
    /// assert!(noised.iter().zip(&text).all(|(&x, &x0)| x == x0 || x == 99));
    /// assert_eq!(noised.row(1).to_vec(), [99; 4]);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the number of rows or of times is not n; for a time that is negative or NaN, or a state that does not exist.
    pub fn sample_transition(
        &self,
        x0: &ArrayRef2<u32>,
        elapsed: &[f64],
        rows: Range<u64>,
        noise: Noise,
    ) -> Result<Array2<u32>, Error> {
        Error::shape("elapsed", &[x0.nrows()], &[elapsed.len()])?;
        Error::entries("elapsed", elapsed.iter().copied(), "at least 0", |t| t >= 0.0)?;
        sample_rows(self.states, x0, rows, noise, |i, stream, x| {
            let keep = (-self.total * elapsed[i]).exp();
            for x in x {
                let (u, fresh) = (stream.uniform(), self.draw(stream));
                if u >= keep {
                    *x = fresh;
                }
            }
        })
    }

    fn draw(&self, stream: &mut RowStream) -> u32 {
        self.fresh(stream.uniform())
    }

    /// A new state, given a uniform u on (0, 1).
    pub(crate) fn fresh(&self, u: f64) -> u32 {
        match &self.law {
            Law::Uniform(_) => below(u, self.states),
            &Law::Point(mask) => mask,
            Law::General(law, _) => draw(law, 1.0, u),
        }
    }
}

/// Uniform on 0, …, n - 1 to within $`2^{-52}`$.
fn below(u: f64, n: usize) -> u32 {
    // The product may round up to n.
    ((u * n as f64) as usize).min(n - 1) as u32
}

impl Generator for Refresh {
    fn states(&self) -> usize {
        self.states
    }

    fn rate(&self, from: u32, to: u32) -> f64 {
        assert!((to as usize) < self.states, "no state {to}");
        if from == to {
            return -self.exit_rate(from);
        }
        match &self.law {
            &Law::Uniform(rate) => rate,
            _ => self.total * self.weight(to),
        }
    }

    fn exit_rate(&self, from: u32) -> f64 {
        assert!((from as usize) < self.states, "no state {from}");
        match &self.law {
            &Law::Uniform(rate) => rate * (self.states - 1) as f64,
            &Law::Point(mask) => {
                if from == mask {
                    0.0
                } else {
                    self.total
                }
            }
            Law::General(_, exits) => exits[from as usize],
        }
    }

    fn for_each_rate(&self, from: u32, visit: &mut dyn FnMut(u32, f64)) {
        let mut positive = |to: u32| {
            let rate = self.rate(from, to);
            if to != from && rate > 0.0 {
                visit(to, rate);
            }
        };
        match &self.law {
            &Law::Point(mask) => positive(mask),
            _ => (0..self.states as u32).for_each(positive),
        }
    }

    fn inflow_into(&self, p: &[f64], out: &mut [f64]) {
        check_lengths(self.states, p, out);
        let (before, after) = sums_around(p, |_| 1.0);
        for ((state, out), others) in (0..).zip(out).zip(before.iter().zip(&after).map(|(a, b)| a + b)) {
            *out = self.total * self.weight(state) * others;
        }
    }

    fn outflow_into(&self, f: &[f64], out: &mut [f64]) {
        check_lengths(self.states, f, out);
        let (before, after) = sums_around(f, |state| self.weight(state));
        for (out, others) in out.iter_mut().zip(before.iter().zip(&after).map(|(a, b)| a + b)) {
            *out = self.total * others;
        }
    }

    fn destination(&self, from: u32, u: f64) -> u32 {
        match &self.law {
            Law::Uniform(_) => {
                let other = below(u, self.states - 1);
                other + u32::from(other >= from)
            }
            &Law::Point(mask) => {
                assert!(from != mask, "an absorbing state has no jumps");
                mask
            }
            Law::General(..) => {
                let target = u * self.exit_rate(from);
                draw_from(target, |visit| self.for_each_rate(from, visit))
                    .expect("an absorbing state has no jumps")
            }
        }
    }

    /// The law π.
    fn stationary(&self) -> Result<Vec<f64>, Error> {
        Ok(self.state_range().map(|state| self.weight(state)).collect())
    }
}

/// Weighted sums over the entries before and after each one: the sum of the others without subtraction.
fn sums_around(values: &[f64], weight: impl Fn(u32) -> f64) -> (Vec<f64>, Vec<f64>) {
    let mut sums = (vec![0.0; values.len()], vec![0.0; values.len()]);
    for i in 1..values.len() {
        sums.0[i] = sums.0[i - 1] + weight(i as u32 - 1) * values[i - 1];
    }
    for i in (0..values.len() - 1).rev() {
        sums.1[i] = sums.1[i + 1] + weight(i as u32 + 1) * values[i + 1];
    }
    sums
}
