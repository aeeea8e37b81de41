use numeric::{Error, special, vectorize};
use rayon::prelude::*;

use super::{A_RATE, Generator, check_lengths, check_states, is_rate};

/// States that one worker passes at a time.
const PART: usize = 4096;

/// A chain that moves by one state at a time: a tridiagonal generator.
///
/// ```math
/// q_{i, i+1} = \mathrm{up}_i, \qquad q_{i+1, i} = \mathrm{down}_i, \qquad i = 0, \dots, S - 2,
/// \qquad \frac{\pi_{i+1}}{\pi_i} = \frac{\mathrm{up}_i}{\mathrm{down}_i} .
/// ```
///
/// Always reversible if irreducible.
///
/// ```
/// use ctmc::{BirthDeath, Generator, detailed_balance_defect};
/// let queue = BirthDeath::new(vec![1.0; 4], vec![2.0; 4])?; // arrivals at rate 1, service at rate 2, room for four
/// let law = queue.stationary()?;
/// assert!((law[0] - 16.0 / 31.0).abs() < 1e-15);
/// assert!(detailed_balance_defect(&queue, &law)? < 1e-15);
/// # Ok::<(), numeric::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct BirthDeath {
    up: Vec<f64>,
    down: Vec<f64>,
}

impl BirthDeath {
    /// The chain with rates `up[i]` from i to i + 1 and `down[i]` from i + 1 to i.
    ///
    /// # Errors
    /// If there is no rate, the lengths differ, or a rate is negative or not finite; if an exit rate overflows.
    pub fn new(up: Vec<f64>, down: Vec<f64>) -> Result<BirthDeath, Error> {
        check_states(up.len() + 1)?;
        Error::shape("down", &[up.len()], &[down.len()])?;
        Error::entries("up", up.iter().copied(), A_RATE, is_rate)?;
        Error::entries("down", down.iter().copied(), A_RATE, is_rate)?;
        let made = BirthDeath { up, down };
        Error::entries("exit rates", made.state_range().map(|state| made.exit_rate(state)), A_RATE, is_rate)?;
        Ok(made)
    }

    /// The chain of Campbell et al. (2022) for ordered data: both rates the same everywhere.
    ///
    /// The stationary law is uniform, and the eigenvalues are $`-2 r (1 - \cos(\pi k / S))`$.
    ///
    /// ```
    /// use ctmc::{BirthDeath, Generator};
    /// let chain = BirthDeath::constant(5, 1.0)?;
    /// assert_eq!(chain.exit_rate(0), 1.0);
    /// assert_eq!(chain.exit_rate(2), 2.0);
    /// assert_eq!(chain.stationary()?, [0.2; 5]);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Errors
    /// With fewer than two states, or a rate that is not finite and greater than 0.
    ///
    /// # References
    /// Campbell, Benton, De Bortoli, Rainforth, Deligiannidis, Doucet (2022), *A continuous time framework for discrete
    /// denoising models*.
    pub fn constant(states: usize, rate: f64) -> Result<BirthDeath, Error> {
        check_states(states)?;
        Error::positive("rate", rate)?;
        BirthDeath::new(vec![rate; states - 1], vec![rate; states - 1])
    }

    /// `out[i]` = `left[i - 1]` `v[i - 1]` + `right[i]` `v[i + 1]`.
    fn neighbours(&self, v: &[f64], out: &mut [f64], left: &[f64], right: &[f64]) {
        let last = self.up.len();
        let part = |(index, out): (usize, &mut [f64])| {
            let start = index * PART;
            vectorize(
                #[inline(always)]
                || {
                    // Inner states; those at the ends have one neighbour.
                    let (from, to) = (start.max(1), (start + out.len()).min(last));
                    if from < to {
                        let out = &mut out[from - start..to - start];
                        let below = v[from - 1..to - 1].iter().zip(&left[from - 1..to - 1]);
                        let above = v[from + 1..=to].iter().zip(&right[from..to]);
                        for (out, ((a, left), (b, right))) in out.iter_mut().zip(below.zip(above)) {
                            *out = a * left + b * right;
                        }
                    }
                },
            );
            if start == 0 {
                out[0] = right[0] * v[1];
            }
            if start + out.len() == last + 1 {
                out[last - start] = left[last - 1] * v[last - 1];
            }
        };
        out.par_chunks_mut(PART).with_min_len(4).enumerate().for_each(part);
    }

    /// Rates up and down from a state.
    fn both(&self, from: u32) -> (f64, f64) {
        let from = from as usize;
        assert!(from <= self.up.len(), "no state {from}");
        let up = self.up.get(from).copied().unwrap_or(0.0);
        (up, if from == 0 { 0.0 } else { self.down[from - 1] })
    }
}

impl Generator for BirthDeath {
    fn states(&self) -> usize {
        self.up.len() + 1
    }

    fn rate(&self, from: u32, to: u32) -> f64 {
        assert!((to as usize) < self.states(), "no state {to}");
        let (up, down) = self.both(from);
        match i64::from(to) - i64::from(from) {
            0 => -(up + down),
            1 => up,
            -1 => down,
            _ => 0.0,
        }
    }

    fn exit_rate(&self, from: u32) -> f64 {
        let (up, down) = self.both(from);
        up + down
    }

    fn for_each_rate(&self, from: u32, visit: &mut dyn FnMut(u32, f64)) {
        let (up, down) = self.both(from);
        if down > 0.0 {
            visit(from - 1, down);
        }
        if up > 0.0 {
            visit(from + 1, up);
        }
    }

    fn inflow_into(&self, p: &[f64], out: &mut [f64]) {
        check_lengths(self.states(), p, out);
        self.neighbours(p, out, &self.up, &self.down);
    }

    fn outflow_into(&self, f: &[f64], out: &mut [f64]) {
        check_lengths(self.states(), f, out);
        self.neighbours(f, out, &self.down, &self.up);
    }

    /// In closed form, from logarithms: no over- or underflow on the way, O(S).
    ///
    /// # Errors
    /// [`Error::Unsupported`] if a rate is 0.
    fn stationary(&self) -> Result<Vec<f64>, Error> {
        if self.up.iter().chain(&self.down).any(|&rate| rate == 0.0) {
            let reason = "a chain that is not irreducible, whose stationary law need not be unique";
            return Err(Error::Unsupported { method: "stationary law", reason });
        }
        let mut weight = 0.0;
        let ratios = self.up.iter().zip(&self.down).map(|(up, down)| {
            weight += up.ln() - down.ln();
            weight
        });
        let ln_weights: Vec<f64> = std::iter::once(0.0).chain(ratios).collect();
        let mut law = vec![0.0; ln_weights.len()];
        special::softmax_into(&ln_weights, &mut law)?;
        Ok(law)
    }
}
