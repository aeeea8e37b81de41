//! Independent coordinates.

use numeric::Error;

use crate::mixing::{mixing_time, product_mixing_time};
use crate::{Generator, Refresh, Sparse, Spectral};

/// The most states of all coordinates together of which a generator is made.
const MOST_STATES: usize = 1 << 24;

/// A chain of D coordinates that move independently, one at a time: a generator on $`\prod_d S_d`$ states that is never
/// formed.
///
/// ```math
/// q(x, y) = \sum_d q^d(x_d, y_d)\, [x_c = y_c,\ c \ne d], \qquad P_t(x, y) = \prod_d P^d_t(x_d, y_d) .
/// ```
///
/// A state is a slice of D coordinates. Coordinates of several kinds are `&dyn Generator`s.
///
/// ```
/// use ctmc::ProductChain;
/// let cube = ProductChain::hypercube(1000, 1.0, 3.0)?;
/// let mut x = vec![0; 1000];
/// x[7] = 1;
/// assert_eq!(cube.exit_rate(&x)?, 999.0 + 3.0);
/// assert!((cube.spectral_gap()? - 4.0).abs() < 1e-14);
/// assert_eq!(cube.stationary()?[999], [0.75, 0.25]);
/// // The other kinds.
/// use ctmc::{BirthDeath, Generator, Refresh};
/// let (level, bit) = (BirthDeath::constant(5, 1.0)?, Refresh::two_state(2.0, 2.0)?);
/// let both = ProductChain::new(vec![&level as &dyn Generator, &bit])?;
/// assert_eq!(both.exit_rate(&[2, 1])?, 2.0 + 2.0);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// Campbell et al. (2022), *A continuous time framework for discrete denoising models*, proposition 3.
#[derive(Clone, Debug, PartialEq)]
pub struct ProductChain<G> {
    coordinates: Vec<G>,
}

impl ProductChain<Refresh> {
    /// D bits, each 0 to 1 at rate `up` and 1 to 0 at rate `down`.
    ///
    /// # Errors
    /// Those of [`Refresh::two_state`]; if the dimension is 0.
    ///
    /// ```
    /// let cube = ctmc::ProductChain::hypercube(3, 1.0, 1.0)?;
    /// assert_eq!(cube.enumerate()?.positive_rates(), 8 * 3);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    pub fn hypercube(dimension: usize, up: f64, down: f64) -> Result<ProductChain<Refresh>, Error> {
        ProductChain::new(vec![Refresh::two_state(up, down)?; dimension])
    }
}

impl<G: Generator> ProductChain<G> {
    /// One generator for each coordinate; `vec![&chain; D]` for D times the same.
    ///
    /// # Errors
    /// If there is none.
    pub fn new(coordinates: Vec<G>) -> Result<ProductChain<G>, Error> {
        Error::domain(!coordinates.is_empty(), "dimension", 0.0, "at least 1")?;
        Ok(ProductChain { coordinates })
    }

    /// The generators of the coordinates.
    #[must_use]
    pub fn coordinates(&self) -> &[G] {
        &self.coordinates
    }

    /// Rate at which a state is left: the sum over the coordinates.
    ///
    /// # Errors
    /// If the state has not D coordinates, or one that does not exist.
    pub fn exit_rate(&self, x: &[u32]) -> Result<f64, Error> {
        self.check(x)?;
        Ok(self.coordinates.iter().zip(x).map(|(chain, &x)| chain.exit_rate(x)).sum())
    }

    /// The greatest exit rate of all states.
    #[must_use]
    pub fn max_exit_rate(&self) -> f64 {
        self.coordinates.iter().map(Generator::max_exit_rate).sum()
    }

    /// Calls `visit` with every coordinate that may change, its destination and the rate, in ascending order.
    ///
    /// # Errors
    /// As [`exit_rate`](ProductChain::exit_rate).
    ///
    /// ```
    /// let cube = ctmc::ProductChain::hypercube(2, 1.0, 3.0)?;
    /// let mut moves = vec![];
    /// cube.for_each_rate(&[0, 1], |d, to, rate| moves.push((d, to, rate)))?;
    /// assert_eq!(moves, [(0, 1, 1.0), (1, 0, 3.0)]);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    pub fn for_each_rate(&self, x: &[u32], mut visit: impl FnMut(usize, u32, f64)) -> Result<(), Error> {
        self.check(x)?;
        for (d, (chain, &x)) in self.coordinates.iter().zip(x).enumerate() {
            chain.for_each_rate(x, &mut |to, rate| visit(d, to, rate));
        }
        Ok(())
    }

    /// The stationary law of each coordinate; together they are independent.
    ///
    /// # Errors
    /// Those of [`Generator::stationary`].
    pub fn stationary(&self) -> Result<Vec<Vec<f64>>, Error> {
        self.coordinates.iter().map(Generator::stationary).collect()
    }

    /// The spectral gap, the least one of the coordinates.
    ///
    /// # Errors
    /// Those of [`Spectral::new`].
    pub fn spectral_gap(&self) -> Result<f64, Error> {
        let mut least = f64::INFINITY;
        for chain in &self.coordinates {
            least = least.min(Spectral::new(chain)?.gap());
        }
        Ok(least)
    }

    /// A bound of the ¼-mixing time, from those of the coordinates: see [`product_mixing_time`].
    ///
    /// # Errors
    /// Those of [`mixing_time`].
    ///
    /// ```
    /// let one = ctmc::mixing_time(&ctmc::Refresh::two_state(1.0, 1.0)?, 0.25)?;
    /// let eight = ctmc::ProductChain::hypercube(8, 1.0, 1.0)?;
    /// assert_eq!(eight.mixing_time_bound()?, 4.0 * one.upper);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    pub fn mixing_time_bound(&self) -> Result<f64, Error> {
        let mut greatest = 0.0_f64;
        for chain in &self.coordinates {
            greatest = greatest.max(mixing_time(chain, 0.25)?.upper);
        }
        product_mixing_time(greatest, self.coordinates.len())
    }

    /// The generator on all $`\prod_d S_d`$ states, the last coordinate running fastest: for small products.
    ///
    /// # Errors
    /// For more than $`2^{24}`$ states.
    pub fn enumerate(&self) -> Result<Sparse, Error> {
        let product =
            |chains: &[G]| chains.iter().try_fold(1_usize, |n, chain| n.checked_mul(chain.states()));
        let states = product(&self.coordinates).filter(|&n| n <= MOST_STATES);
        let all = self.coordinates.iter().map(|chain| chain.states() as f64).product();
        let states = states.ok_or(Error::Domain {
            parameter: "states",
            value: all,
            expected: "at most 2^24 states in all coordinates together",
        })?;
        let mut rates = vec![];
        let mut stride = states;
        for chain in &self.coordinates {
            let n = chain.states();
            stride /= n;
            for state in 0..states {
                let own = state / stride % n;
                chain.for_each_rate(own as u32, &mut |to, rate| {
                    rates.push((state as u32, (state + to as usize * stride - own * stride) as u32, rate));
                });
            }
        }
        Sparse::new(states, rates)
    }

    fn check(&self, x: &[u32]) -> Result<(), Error> {
        Error::shape("x", &[self.coordinates.len()], &[x.len()])?;
        let wrong = x.iter().zip(&self.coordinates).position(|(&x, chain)| x as usize >= chain.states());
        wrong.map_or(Ok(()), |index| {
            let value = f64::from(x[index]);
            Err(Error::Entry { parameter: "x", index, value, expected: "a state of the coordinate" })
        })
    }
}
