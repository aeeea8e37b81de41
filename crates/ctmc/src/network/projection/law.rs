//! Laws of vectors of counts.

use numeric::Error;
use numeric::ndarray::{Array2, ArrayView1};

use crate::law::check_law;

/// A law of vectors of counts on finitely many states, which may lack a part of its mass.
///
/// ```
/// use ctmc::network::CountLaw;
/// use numeric::ndarray::array;
/// let law = CountLaw::new(array![[0, 2], [1, 0], [1, 1]], vec![0.5, 0.25, 0.25])?;
/// assert_eq!(law.probability(&[1, 0]), 0.25);
/// assert_eq!(law.marginal(0), [0.5, 0.5]);
/// assert_eq!(law.mean(1), 0.5 * 2.0 + 0.25);
/// assert_eq!(law.covariance(0, 1), 0.25 - 0.5 * 1.25);
/// # Ok::<(), numeric::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct CountLaw {
    /// Ascending by the first count, then the second, and so on.
    states: Array2<u32>,
    probabilities: Vec<f64>,
    lost: f64,
}

impl CountLaw {
    /// The law with these probabilities of the rows of `states`, `(n, number of species)`.
    ///
    /// # Errors
    /// If there is not one probability for each state, an entry is not a probability, or they do not sum to 1 within
    /// $`10^{-9}`$; for a state that is given twice.
    pub fn new(states: Array2<u32>, probabilities: Vec<f64>) -> Result<CountLaw, Error> {
        check_law("probabilities", states.nrows(), &probabilities)?;
        let law = CountLaw::sorted(states, probabilities, 0.0);
        let rows = || law.states.rows().into_iter();
        if let Some(index) = rows().zip(rows().skip(1)).position(|(one, next)| one == next) {
            let value = law.probabilities[index];
            return Err(Error::Entry { parameter: "states", index, value, expected: "each state once" });
        }
        Ok(law)
    }

    /// All mass on one state.
    ///
    /// ```
    /// assert_eq!(ctmc::network::CountLaw::point(&[3, 0]).mean(0), 3.0);
    /// ```
    ///
    /// # Panics
    /// Never: one row has the length of the slice.
    #[must_use]
    pub fn point(counts: &[u32]) -> CountLaw {
        let states = Array2::from_shape_vec((1, counts.len()), counts.to_vec()).expect("one row");
        CountLaw { states, probabilities: vec![1.0], lost: 0.0 }
    }

    /// In ascending order.
    pub(super) fn sorted(states: Array2<u32>, probabilities: Vec<f64>, lost: f64) -> CountLaw {
        let mut order: Vec<usize> = (0..states.nrows()).collect();
        order.sort_by(|&a, &b| states.row(a).iter().cmp(states.row(b)));
        let sorted = Array2::from_shape_fn(states.raw_dim(), |(i, j)| states[[order[i], j]]);
        let probabilities = order.into_iter().map(|i| probabilities[i]).collect();
        CountLaw { states: sorted, probabilities, lost }
    }

    /// The states, `(n, number of species)`, ascending by the first count, then the second, and so on.
    #[must_use]
    pub fn states(&self) -> &Array2<u32> {
        &self.states
    }

    /// The probabilities of the states.
    #[must_use]
    pub fn probabilities(&self) -> &[f64] {
        &self.probabilities
    }

    /// Bound of $`\sum_n |p(n) - \tilde p(n)|`$ over all states, p being the exact law and $`\tilde p`$ this one.
    #[must_use]
    pub fn lost(&self) -> f64 {
        self.lost
    }

    /// The probability of a state; 0 for those that the law does not have.
    ///
    /// # Panics
    /// If there is not one count for each species; the methods below if there is no such species.
    #[must_use]
    pub fn probability(&self, counts: &[u32]) -> f64 {
        assert_eq!(counts.len(), self.states.ncols(), "one count for each species");
        let (mut from, mut to) = (0, self.probabilities.len());
        while from < to {
            let middle = from + (to - from) / 2;
            match self.states.row(middle).iter().cmp(counts) {
                std::cmp::Ordering::Equal => return self.probabilities[middle],
                std::cmp::Ordering::Less => from = middle + 1,
                std::cmp::Ordering::Greater => to = middle,
            }
        }
        0.0
    }

    /// The law of one count, from 0 to the greatest one. Wrong by at most [`lost`](CountLaw::lost) in sum.
    #[must_use]
    pub fn marginal(&self, species: usize) -> Vec<f64> {
        let counts = self.states.column(species);
        let mut law = vec![0.0; counts.iter().max().map_or(0, |&most| most as usize + 1)];
        counts.iter().zip(&self.probabilities).for_each(|(&n, p)| law[n as usize] += p);
        law
    }

    /// The mean of a function of the counts under the law divided by its mass.
    ///
    /// If f is between m and M, it is wrong by at most $`(M - m)`$ times [`lost`](CountLaw::lost); for functions without
    /// bounds there is no such statement.
    pub fn expectation(&self, f: impl Fn(ArrayView1<'_, u32>) -> f64) -> f64 {
        let sum: f64 = self.states.rows().into_iter().zip(&self.probabilities).map(|(n, p)| p * f(n)).sum();
        sum / self.probabilities.iter().sum::<f64>()
    }

    /// The mean count of a species; see [`expectation`](CountLaw::expectation).
    #[must_use]
    pub fn mean(&self, species: usize) -> f64 {
        self.expectation(|n| f64::from(n[species]))
    }

    /// The covariance of two counts, or the variance of one.
    #[must_use]
    pub fn covariance(&self, one: usize, other: usize) -> f64 {
        let (a, b) = (self.mean(one), self.mean(other));
        self.expectation(|n| (f64::from(n[one]) - a) * (f64::from(n[other]) - b))
    }
}
