use numeric::Error;
use numeric::ndarray::Array2;

use super::{Dense, Generator, check_states};
use crate::law::normalise;

/// A chain on ordered states whose stationary law is a Gaussian on them, with jumps to all states.
///
/// ```math
/// \pi_i \propto e^{-(i - c)^2 / 2\sigma^2}, \qquad
/// q_{ij} = e^{-(|i - j| - 1)^2 / w^2} \text{ towards the middle}, \qquad \pi_i q_{ij} = \pi_j q_{ji} .
/// ```
///
/// A pair of states is linked at the first rate by the one of them that is further from the middle of
/// $`0, \dots, S - 1`$ (the lower one, if both are as far), and at the rate of detailed balance the other way.
///
/// ```
/// use ctmc::{DiscretisedGaussian, Generator, detailed_balance_defect};
/// let q = DiscretisedGaussian::new(8, 3.0, 4.0, 2.0)?;
/// assert_eq!(q.rate(0, 1), 1.0);
/// assert!((q.rate(0, 2) - 0.778800783071).abs() < 1e-12);
/// assert!(detailed_balance_defect(&q, &q.stationary()?)? < 4e-15);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// Campbell et al. (2022), *A continuous time framework for discrete denoising models*, appendix E. Their images have
/// 256 states, $`c = 127`$, $`\sigma = 512`$, $`w = 6`$.
#[derive(Clone, Debug, PartialEq)]
pub struct DiscretisedGaussian {
    dense: Dense,
    law: Vec<f64>,
}

impl DiscretisedGaussian {
    /// The chain with stationary law centred at `centre` with standard deviation `sigma`, and jumps of about `width`.
    ///
    /// # Errors
    /// With fewer than two states; for a centre that is not finite, or a sigma or width that is not finite and greater
    /// than 0; if a rate overflows.
    pub fn new(states: usize, centre: f64, sigma: f64, width: f64) -> Result<DiscretisedGaussian, Error> {
        check_states(states)?;
        Error::domain(centre.is_finite(), "centre", centre, "a finite number")?;
        Error::positive("sigma", sigma)?;
        Error::positive("width", width)?;
        // Logarithm of π_i / π_j.
        let ln_ratio = |i: usize, j: usize| {
            let (i, j) = (i as f64, j as f64);
            0.5 * ((j - i) / sigma) * ((i + j - 2.0 * centre) / sigma)
        };
        let mut rates = Array2::zeros((states, states));
        for i in 0..states {
            for j in i + 1..states {
                let rate = (-(((j - i - 1) as f64) / width).powi(2)).exp();
                let (outer, inner) = if j < states - i { (i, j) } else { (j, i) };
                rates[[outer, inner]] = rate;
                rates[[inner, outer]] = rate * ln_ratio(outer, inner).exp();
            }
        }
        // Relative to the state nearest to the centre, where the law is greatest.
        let top = centre.round().clamp(0.0, (states - 1) as f64) as usize;
        let mut law: Vec<f64> = (0..states).map(|i| ln_ratio(i, top).exp()).collect();
        normalise(&mut law);
        Ok(DiscretisedGaussian { dense: Dense::new(&rates)?, law })
    }
}

impl Generator for DiscretisedGaussian {
    fn states(&self) -> usize {
        self.dense.states()
    }

    fn rate(&self, from: u32, to: u32) -> f64 {
        self.dense.rate(from, to)
    }

    fn exit_rate(&self, from: u32) -> f64 {
        self.dense.exit_rate(from)
    }

    fn for_each_rate(&self, from: u32, visit: &mut dyn FnMut(u32, f64)) {
        self.dense.for_each_rate(from, visit);
    }

    fn inflow_into(&self, p: &[f64], out: &mut [f64]) {
        self.dense.inflow_into(p, out);
    }

    /// The discretised Gaussian.
    fn stationary(&self) -> Result<Vec<f64>, Error> {
        Ok(self.law.clone())
    }
}
