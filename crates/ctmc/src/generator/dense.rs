use numeric::Error;
use numeric::ndarray::{Array2, ArrayRef2};

use super::{A_RATE, Generator, check_lengths, check_states, is_rate};

/// A generator given by its whole matrix.
///
/// ```
/// use ctmc::{Dense, Generator};
/// use numeric::ndarray::array;
/// let q = Dense::new(&array![[0.0, 1.0, 0.5], [0.25, 0.0, 0.75], [1.0, 0.5, 0.0]])?;
/// assert_eq!((q.states(), q.exit_rate(0)), (3, 1.5));
/// let negative = Dense::new(&array![[0.0, -1.0], [1.0, 0.0]]).unwrap_err();
/// assert_eq!(negative.to_string(), "`rates[1]` is -1; expected a finite rate of at least 0");
/// # Ok::<(), numeric::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Dense {
    /// With zeros on the diagonal.
    rates: Array2<f64>,
    exits: Vec<f64>,
}

impl Dense {
    /// The chain with these rates off the diagonal; what is on the diagonal is not read.
    ///
    /// # Errors
    /// If the matrix is not square, has fewer than two rows, an entry off the diagonal is negative or not finite, or
    /// an exit rate overflows.
    pub fn new(rates: &ArrayRef2<f64>) -> Result<Dense, Error> {
        let states = rates.nrows();
        check_states(states)?;
        Error::shape("rates", &[states, states], rates.shape())?;
        let mut rates = rates.to_owned();
        rates.diag_mut().fill(0.0);
        Error::entries("rates", rates.iter().copied(), A_RATE, is_rate)?;
        let exits: Vec<f64> = rates.rows().into_iter().map(|row| row.sum()).collect();
        Error::entries("exit rates", exits.iter().copied(), A_RATE, is_rate)?;
        Ok(Dense { rates, exits })
    }
}

impl Generator for Dense {
    fn states(&self) -> usize {
        self.exits.len()
    }

    fn rate(&self, from: u32, to: u32) -> f64 {
        if from == to { -self.exits[from as usize] } else { self.rates[[from as usize, to as usize]] }
    }

    fn exit_rate(&self, from: u32) -> f64 {
        self.exits[from as usize]
    }

    fn for_each_rate(&self, from: u32, visit: &mut dyn FnMut(u32, f64)) {
        for (to, &rate) in (0..).zip(self.rates.row(from as usize)) {
            if rate > 0.0 {
                visit(to, rate);
            }
        }
    }

    fn inflow_into(&self, p: &[f64], out: &mut [f64]) {
        check_lengths(self.states(), p, out);
        out.fill(0.0);
        for (row, &p) in self.rates.rows().into_iter().zip(p) {
            for (out, &rate) in out.iter_mut().zip(row) {
                *out += p * rate;
            }
        }
    }
}
