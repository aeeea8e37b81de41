use numeric::{Error, special};

use super::{A_RATE, Generator, check_states, is_rate};

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
