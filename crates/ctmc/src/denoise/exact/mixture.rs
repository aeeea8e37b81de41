//! Mixtures of product laws.

use std::ops::Range;

use numeric::ndarray::{Array2, Array3, ArrayRef2, ArrayRef3, s};
use numeric::{Error, Noise, exp_in_place, vectorize};
use rayon::prelude::*;

use super::MixtureDenoiser;
use super::rows::free_tokens;
use crate::denoise::Noising;
use crate::denoise::noising::check_states;
use crate::law::{check_law, draw, normalise};

/// A mixture of K product laws on D tokens of S values: a latent class model.
///
/// ```math
/// p(x) = \sum_{k=1}^{K} w_k \prod_{d=1}^{D} p_k^d(x^d) .
/// ```
///
/// Fitted to data by [`fit_product_mixture`](super::fit_product_mixture). Log-likelihoods, samples, conditional laws and the denoiser under any
/// noising are all exact.
///
/// ```
/// use ctmc::denoise::exact::ProductMixture;
/// use numeric::ndarray::array;
/// // Two bits, both likely 0 or both likely 1.
/// let laws = array![[[0.9, 0.1], [0.9, 0.1]], [[0.1, 0.9], [0.1, 0.9]]];
/// let mixture = ProductMixture::new(&[0.5, 0.5], &laws)?;
/// let ln_p = mixture.ln_probability(&array![[0, 0], [0, 1]])?;
/// assert!((ln_p[0] - 0.41_f64.ln()).abs() < 1e-15 && (ln_p[1] - 0.09_f64.ln()).abs() < 1e-15);
/// # Ok::<(), numeric::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(into = "Plain", try_from = "Plain")
)]
pub struct ProductMixture {
    pub(super) weights: Vec<f64>,
    /// `(D, S, K)`: what runs over the components is contiguous.
    pub(super) laws: Array3<f64>,
}

impl ProductMixture {
    /// The mixture with K weights and laws `(K, D, S)`: entry (k, d, v) is $`p_k^d(v)`$.
    ///
    /// # Errors
    /// [`Error::Shape`] without components, tokens or values; [`Error::Entry`] and [`Error::Domain`] if the weights or one
    /// of the laws are not probabilities that sum to 1 within $`10^{-9}`$ (they are then divided by their sum).
    pub fn new(weights: &[f64], laws: &ArrayRef3<f64>) -> Result<ProductMixture, Error> {
        let (k, dim, states) = laws.dim();
        Error::shape("laws", &[weights.len().max(1), dim.max(1), states.max(1)], &[k, dim, states])?;
        check_law("weights", k, weights)?;
        let mut weights = weights.to_vec();
        normalise(&mut weights);
        let mut by_token = Array3::zeros((dim, states, k));
        for (j, laws) in laws.outer_iter().enumerate() {
            for (d, law) in laws.outer_iter().enumerate() {
                let mut law = law.to_vec();
                check_law("laws", states, &law)?;
                normalise(&mut law);
                for (v, p) in law.into_iter().enumerate() {
                    by_token[[d, v, j]] = p;
                }
            }
        }
        Ok(ProductMixture { weights, laws: by_token })
    }

    /// Number of components K.
    #[must_use]
    pub fn components(&self) -> usize {
        self.weights.len()
    }

    /// Number of tokens D.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.laws.dim().0
    }

    /// Number of values S of a token.
    #[must_use]
    pub fn states(&self) -> usize {
        self.laws.dim().1
    }

    /// The weights $`w_k`$.
    #[must_use]
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// The laws of one component, `(D, S)`.
    ///
    /// # Panics
    /// If there is no such component.
    #[must_use]
    pub fn laws(&self, component: usize) -> Array2<f64> {
        self.laws.slice(s![.., .., component]).to_owned()
    }

    /// $`\ln p(x)`$ of each row of `data`, `(n, D)`, in nats; −∞ for a row that the model excludes.
    ///
    /// # Errors
    /// [`Error::Shape`] if rows have not D tokens, [`Error::Entry`] for a value that is none of the S.
    pub fn ln_probability(&self, data: &ArrayRef2<u32>) -> Result<Vec<f64>, Error> {
        Error::shape("data", &[data.nrows(), self.dim()], data.shape())?;
        check_states("data", self.states(), data)?;
        let rows: Vec<Vec<u32>> = data.outer_iter().map(|row| row.to_vec()).collect();
        let start = || (Vec::new(), Vec::new());
        let row = |(factors, out): &mut (Vec<f64>, Vec<f64>), x: &Vec<u32>| {
            out.resize(self.components(), 0.0);
            self.responsibilities(x, factors, out)
        };
        Ok(rows.par_iter().map_init(start, row).collect())
    }

    /// Writes the probabilities of the components given a clean row, and returns the logarithm of its probability.
    pub(super) fn responsibilities(&self, x: &[u32], factors: &mut Vec<f64>, out: &mut [f64]) -> f64 {
        let width = self.states() * self.components();
        factors.clear();
        for (laws, &value) in self.all_laws().chunks_exact(width).zip(x) {
            factors.extend_from_slice(&laws[value as usize * out.len()..][..out.len()]);
        }
        posterior(&self.weights, factors, out)
    }

    /// All laws as one slice, `(D, S, K)`.
    pub(super) fn all_laws(&self) -> &[f64] {
        self.laws.as_slice().expect("standard layout")
    }

    /// Exact draws, `(n, D)`: a component for each row, and then its tokens.
    ///
    /// Row i is the absolute row `rows.start + i` and depends on the noise and that number only. D + 1 uniforms for each.
    ///
    /// ```
    /// use ctmc::denoise::exact::ProductMixture;
    /// use numeric::{Noise, ndarray::array};
    /// let laws = array![[[1.0, 0.0], [1.0, 0.0]], [[0.0, 1.0], [0.0, 1.0]]];
    /// let twins = ProductMixture::new(&[0.25, 0.75], &laws)?;
    /// let x = twins.sample(0..1000, Noise::new(1));
    /// assert!(x.outer_iter().all(|row| row[0] == row[1]));
    /// assert!((650..850).contains(&x.column(0).sum()));         // 750 expected, standard deviation 14
    /// # Ok::<(), numeric::Error>(())
    /// ```
    #[must_use]
    pub fn sample(&self, rows: Range<u64>, noise: Noise) -> Array2<u32> {
        let noise = noise.fork("product mixture");
        let components: Vec<Vec<f64>> =
            (0..self.components()).map(|j| self.laws(j).iter().copied().collect()).collect();
        let (dim, states) = (self.dim(), self.states());
        let row = |row: u64| {
            let mut stream = noise.row_stream(row);
            let laws = &components[draw(&self.weights, 1.0, stream.uniform()) as usize];
            laws.chunks_exact(states).map(|law| draw(law, 1.0, stream.uniform())).collect::<Vec<u32>>()
        };
        let values: Vec<Vec<u32>> = rows.into_par_iter().map(row).collect();
        Array2::from_shape_fn((values.len(), dim), |(i, d)| values[i][d])
    }

    /// The law of the other tokens given known ones, in their order: again a mixture of K product laws.
    ///
    /// ```
    /// use ctmc::denoise::exact::ProductMixture;
    /// use numeric::ndarray::array;
    /// let laws = array![[[0.9, 0.1], [0.8, 0.2]], [[0.1, 0.9], [0.3, 0.7]]];
    /// let mixture = ProductMixture::new(&[0.5, 0.5], &laws)?;
    /// let second = mixture.given(&[Some(0), None])?;
    /// let exact = 0.9 * 0.8 + 0.1 * 0.3;                        // p(0, 0) / p(0, ·)
    /// assert!((second.ln_probability(&array![[0]])?[0] - f64::ln(exact)).abs() < 1e-15);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] if there are not D entries; [`Error::Entry`] for one that is none of the S values;
    /// [`Error::Domain`] if all tokens are known, or those that are have probability 0.
    pub fn given(&self, known: &[Option<u32>]) -> Result<ProductMixture, Error> {
        let free = free_tokens(known, self.dim(), self.states())?;
        let mut factors = Vec::new();
        for (d, value) in known.iter().enumerate() {
            if let Some(value) = value {
                factors.extend(self.laws.slice(s![d, *value as usize, ..]));
            }
        }
        let mut weights = vec![0.0; self.components()];
        let ln_p = posterior(&self.weights, &factors, &mut weights);
        Error::domain(ln_p > f64::NEG_INFINITY, "known", 0.0, "tokens of positive probability")?;
        Ok(ProductMixture { weights, laws: self.laws.select(numeric::ndarray::Axis(0), &free) })
    }

    /// The exact denoiser under a noising, whose states are the S values and possibly more that clean data never have (a
    /// mask).
    ///
    /// # Errors
    /// [`Error::Shape`] for a noising of fewer states.
    pub fn denoiser(&self, noising: &Noising) -> Result<MixtureDenoiser, Error> {
        MixtureDenoiser::new(self, noising)
    }
}

/// Tokens whose factors are multiplied before a logarithm is taken.
const CHUNK: usize = 8;

/// Writes over `out` the probabilities of K components with these weights, given factors `(D, K)` of their likelihoods, and
/// returns the logarithm of the mean likelihood; −∞, and zeros, where all are 0.
pub(super) fn posterior(weights: &[f64], factors: &[f64], out: &mut [f64]) -> f64 {
    let k = weights.len();
    out.iter_mut().zip(weights).for_each(|(out, w)| *out = w.ln());
    let mut products = [1.0; 64];
    for chunk in factors.chunks(CHUNK * k) {
        // 64 components at a time, for a product without allocation.
        for start in (0..k).step_by(products.len()) {
            let products = &mut products[..(k - start).min(64)];
            vectorize(
                #[inline(always)]
                || {
                    products.fill(1.0);
                    for factors in chunk.chunks_exact(k) {
                        for (product, factor) in products.iter_mut().zip(&factors[start..]) {
                            *product *= factor;
                        }
                    }
                },
            );
            for (j, &product) in products.iter().enumerate() {
                // Far above the subnormal numbers the product has all its digits.
                out[start + j] += if product > 1e-290 {
                    product.ln()
                } else {
                    chunk.chunks_exact(k).map(|factors| factors[start + j].ln()).sum()
                };
            }
        }
    }
    let top = out.iter().fold(f64::NEG_INFINITY, |top, &l| top.max(l));
    if top == f64::NEG_INFINITY {
        out.fill(0.0);
        return top;
    }
    out.iter_mut().for_each(|l| *l -= top);
    exp_in_place(out);
    let sum: f64 = out.iter().sum();
    out.iter_mut().for_each(|r| *r /= sum);
    top + sum.ln()
}

/// What is written to a file.
#[cfg(feature = "serde")]
#[derive(Clone, serde::Serialize, serde::Deserialize)]
struct Plain {
    weights: Vec<f64>,
    /// Component by component, token by token, value by value.
    laws: Vec<Vec<Vec<f64>>>,
}

#[cfg(feature = "serde")]
impl From<ProductMixture> for Plain {
    fn from(mixture: ProductMixture) -> Plain {
        let component = |j| mixture.laws(j).outer_iter().map(|law| law.to_vec()).collect();
        Plain { laws: (0..mixture.components()).map(component).collect(), weights: mixture.weights }
    }
}

#[cfg(feature = "serde")]
impl TryFrom<Plain> for ProductMixture {
    type Error = Error;

    fn try_from(plain: Plain) -> Result<ProductMixture, Error> {
        let (k, dim) = (plain.laws.len(), plain.laws.first().map_or(0, Vec::len));
        let states = plain.laws.first().and_then(|laws| laws.first()).map_or(0, Vec::len);
        for laws in &plain.laws {
            Error::shape("laws", &[dim], &[laws.len()])?;
            for law in laws {
                Error::shape("laws", &[states], &[law.len()])?;
            }
        }
        let laws = Array3::from_shape_fn((k, dim, states), |(j, d, v)| plain.laws[j][d][v]);
        ProductMixture::new(&plain.weights, &laws)
    }
}
