//! The forward process.

use std::ops::Range;
use std::sync::Arc;

use numeric::ndarray::{Array2, ArrayRef2};
use numeric::{Error, Noise};
use rayon::prelude::*;

use crate::{Generator, Kernel, Refresh, Spectral, TimeChange};

/// The forward process of discrete denoising: each of the D coordinates of a row is a chain with generator
/// $`\beta(t) Q`$, and all are independent given the data at time 0.
///
/// ```math
/// q_{t|s}(x_t \mid x_s) = \prod_{d=1}^{D} \bigl(e^{B(s, t) Q}\bigr)_{x_s^d,\, x_t^d}, \qquad
/// B(s, t) = \int_s^t \beta(u)\, \mathrm du .
/// ```
///
/// ```
/// use ctmc::denoise::Noising;
/// use ctmc::{BirthDeath, Refresh, TimeChange};
/// let beta = TimeChange::exponential(0.5, 3.0)?;
/// // Closed forms wherever the chain has the form of a refresh ...
/// let uniform = Noising::refresh(Refresh::uniform(5, 1.0)?, beta);
/// // ... and tables for any other generator.
/// let steps = Noising::new(BirthDeath::constant(5, 1.0)?, beta)?;
/// assert!((uniform.kernel(0.0, 1.0)?.matrix()[[0, 1]] - (1.0 - (-5.0_f64).exp()) / 5.0).abs() < 1e-15);
/// assert!((steps.kernel(0.0, 1.0)?.matrix()[[0, 1]] - 0.308512487231).abs() < 1e-12);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// Campbell, Benton, De Bortoli, Rainforth, Deligiannidis, Doucet (2022), *A continuous time framework for discrete
/// denoising models*, section 4.1 and proposition 3.
#[derive(Clone)]
pub struct Noising {
    pub(super) chain: Chain,
    beta: TimeChange,
}

#[derive(Clone)]
pub(super) enum Chain {
    Refresh(Refresh),
    /// With its eigenvectors, if it is reversible.
    Any(Arc<dyn Generator>, Option<Arc<Spectral>>),
}

impl std::fmt::Debug for Noising {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = f.debug_struct("Noising");
        match &self.chain {
            Chain::Refresh(chain) => out.field("refresh", chain),
            Chain::Any(chain, spectral) => {
                out.field("states", &chain.states()).field("spectral", &spectral.is_some())
            }
        };
        out.field("beta", &self.beta).finish()
    }
}

/// The relative error that an entry of a spectral kernel may have, where it is divided by.
const SPECTRAL_ERROR: f64 = 1e-9;
/// Absolute error asked of a series, so that entries which are divided by keep their digits down to that size.
const SERIES_TOLERANCE: f64 = 1e-200;

impl Noising {
    /// A refreshing chain (uniform, absorbing, any law): everything in closed form, and the samplers are told so.
    #[must_use]
    pub fn refresh(chain: Refresh, beta: TimeChange) -> Noising {
        Noising { chain: Chain::Refresh(chain), beta }
    }

    /// Any generator. Nothing about its form is used but reversibility, where it is found.
    ///
    /// # Errors
    /// For more than 4096 states.
    pub fn new(generator: impl Generator + 'static, beta: TimeChange) -> Result<Noising, Error> {
        crate::kernel::check_fits(generator.states())?;
        let spectral = Spectral::new(&generator).ok().map(Arc::new);
        Ok(Noising { chain: Chain::Any(Arc::new(generator), spectral), beta })
    }

    /// The generator Q of one coordinate.
    #[must_use]
    pub fn generator(&self) -> &dyn Generator {
        match &self.chain {
            Chain::Refresh(chain) => chain,
            Chain::Any(chain, _) => &**chain,
        }
    }

    /// The schedule β.
    #[must_use]
    pub fn beta(&self) -> TimeChange {
        self.beta
    }

    /// Number of states S of a coordinate.
    #[must_use]
    pub fn states(&self) -> usize {
        self.generator().states()
    }

    /// The chain, if everything is known of it in closed form.
    #[must_use]
    pub fn as_refresh(&self) -> Option<&Refresh> {
        match &self.chain {
            Chain::Refresh(chain) => Some(chain),
            Chain::Any(..) => None,
        }
    }

    /// The mask, if the chain is absorbing and known to be.
    #[must_use]
    pub fn mask(&self) -> Option<u32> {
        self.as_refresh().and_then(Refresh::mask)
    }

    /// The law of a coordinate at time t given its value at time s: $`q_{t|s}`$, `(S, S)`, row by row.
    ///
    /// Probabilities keep at least nine digits however small they are, down to $`10^{-200}`$, since reversal divides by them.
    ///
    /// # Errors
    /// For times outside the schedule or out of order, and those of [`Kernel::of`]. Only a refreshing chain has a law
    /// after an infinite time on its clock (the last time of a log-linear or cosine schedule).
    pub fn kernel(&self, s: f64, t: f64) -> Result<Kernel, Error> {
        let clock = self.beta.integral(s, t)?;
        match &self.chain {
            Chain::Refresh(chain) => chain.kernel(clock),
            Chain::Any(chain, spectral) => {
                if let Some(spectral) = spectral {
                    let kernel = spectral.kernel(clock)?;
                    let (law, error) = (spectral.stationary(), spectral.error_factor(clock));
                    let good = |((i, j), &p): ((usize, usize), &f64)| {
                        error * (law[j] / law[i]).sqrt() <= SPECTRAL_ERROR * p
                    };
                    if kernel.matrix().indexed_iter().all(good) {
                        return Ok(kernel);
                    }
                }
                Kernel::of(&**chain, clock, SERIES_TOLERANCE)
            }
        }
    }

    /// The law of one coordinate that runs start from, in place of $`q_T`$: the stationary law.
    ///
    /// # Errors
    /// Those of [`Generator::stationary`].
    pub fn stationary(&self) -> Result<Vec<f64>, Error> {
        self.generator().stationary()
    }

    /// The KL divergence, in nats, from the law at time t of a coordinate with value `x0` to the stationary law: the
    /// initialisation term of the likelihood bound.
    ///
    /// ```
    /// use ctmc::{Refresh, TimeChange, denoise::Noising};
    /// let noising = Noising::refresh(Refresh::uniform(2, 0.5)?, TimeChange::constant(1.0)?);
    /// let p = 0.5 + 0.5 * (-1.0_f64).exp();
    /// let exact = p * (2.0 * p).ln() + (1.0 - p) * (2.0 * (1.0 - p)).ln();
    /// assert!((noising.prior_kl(1, 1.0)? - exact).abs() < 1e-15);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// Infinite where the stationary law has no mass, as for an absorbing chain at a finite time.
    ///
    /// # Errors
    /// As [`kernel`](Noising::kernel) and [`stationary`](Noising::stationary).
    ///
    /// # Panics
    /// If there is no such state.
    pub fn prior_kl(&self, x0: u32, t: f64) -> Result<f64, Error> {
        let kernel = self.kernel(0.0, t)?;
        let law = self.stationary()?;
        let terms = kernel.matrix().row(x0 as usize).into_iter().zip(&law).map(|(&q, &pi)| {
            let ratio = pi / q;
            match q {
                0.0 => pi,
                _ if ratio.is_finite() => q * numeric::special::r_minus_1_minus_ln(ratio),
                // A subnormal probability of a state that the law does have.
                _ => pi - q + q * (q.ln() - pi.ln()),
            }
        });
        Ok(terms.sum())
    }

    /// Noises data: `x0`, `(n, D)`, row i up to the time `times[i]`.
    ///
    /// Row i is the absolute row `rows.start + i` and depends on the noise and that number only.
    ///
    /// ```
    /// use ctmc::{BirthDeath, TimeChange, denoise::Noising};
    /// use numeric::{Noise, ndarray::array};
    /// let noising = Noising::new(BirthDeath::constant(9, 1.0)?, TimeChange::constant(1.0)?)?;
    /// let x0 = array![[4, 4, 4], [8, 0, 8]];
    /// let noised = noising.sample(&x0, &[0.0, 0.5], 0..2, Noise::new(7))?;
    /// assert_eq!(noised.row(0), x0.row(0));
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the number of rows or of times is not n; for a time outside the schedule, or a state that does not exist.
    pub fn sample(
        &self,
        x0: &ArrayRef2<u32>,
        times: &[f64],
        rows: Range<u64>,
        noise: Noise,
    ) -> Result<Array2<u32>, Error> {
        Error::shape("times", &[x0.nrows()], &[times.len()])?;
        let clocks = times.iter().map(|&t| self.beta.integral(0.0, t)).collect::<Result<Vec<_>, _>>()?;
        match &self.chain {
            Chain::Refresh(chain) => chain.sample_transition(x0, &clocks, rows, noise),
            Chain::Any(chain, spectral) => {
                let count = rows.end.saturating_sub(rows.start);
                Error::shape("x0", &[count as usize, x0.ncols()], x0.shape())?;
                check_states("x0", self.states(), x0)?;
                let noise = noise.fork("transition");
                // Rows of one time share a table.
                let mut order: Vec<usize> = (0..times.len()).collect();
                order.sort_by(|&a, &b| times[a].total_cmp(&times[b]));
                let groups: Vec<&[usize]> = order.chunk_by(|&a, &b| times[a] == times[b]).collect();
                let moved = groups.into_par_iter().map(|group| {
                    let clock = self.beta.integral(0.0, times[group[0]])?;
                    // Tiny probabilities do not matter here.
                    let kernel = match spectral {
                        Some(spectral) => spectral.kernel(clock)?,
                        None => Kernel::of(&**chain, clock, 1e-15)?,
                    };
                    let row = |&i: &usize| {
                        let mut stream = noise.row_stream(rows.start + i as u64);
                        let x = x0.row(i).mapv(|x| kernel.draw(x, stream.uniform()));
                        (i, x)
                    };
                    Ok(group.iter().map(row).collect::<Vec<_>>())
                });
                let mut x = x0.to_owned();
                for (i, row) in moved.collect::<Result<Vec<_>, Error>>()?.into_iter().flatten() {
                    x.row_mut(i).assign(&row);
                }
                Ok(x)
            }
        }
    }
}

/// Checks that all tokens are states.
pub(super) fn check_states(parameter: &'static str, states: usize, x: &ArrayRef2<u32>) -> Result<(), Error> {
    // Without a branch for each token.
    if x.iter().fold(0, |greatest, &x| x.max(greatest)) < states as u32 {
        return Ok(());
    }
    Error::entries(parameter, x.iter().map(|&x| f64::from(x)), "a state", |x| x < states as f64)
}
