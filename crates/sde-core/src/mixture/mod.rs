//! Analytic targets: Gaussians, Gaussian mixtures and finite sets of points, known at every noise level.

mod condition;
mod draw;
mod evaluate;
mod field;
mod observation;
mod spectrum;

use std::ops::Range;

use numeric::ndarray::{Array1, Array2, ArrayRef1, ArrayRef2, Axis};
use numeric::{
    Batch, Batching, Control, Error, Level, LogDensity, Noise, Real, Scratch, Time, Times, VectorField,
    run_blocks, run_rows,
};

pub use field::MixtureField;
pub use observation::LinearObservation;
use spectrum::Spectrum;

/// A covariance matrix, in the form its user has it.
#[derive(Clone, Debug, PartialEq)]
pub enum Covariance {
    /// `c I`; with c = 0 the component is a point.
    Isotropic(f64),
    /// A diagonal matrix, given by its diagonal; entries may be 0.
    Diagonal(Array1<f64>),
    /// A symmetric positive definite matrix, `(d, d)`.
    Full(Array2<f64>),
    /// `diag(diagonal) + V Vᵀ` with a factor V of shape `(d, r)`: factor analysis, and probabilistic PCA if the
    /// diagonal is constant, in which case evaluating it costs O(d r) instead of O(d²).
    LowRank {
        /// The diagonal; entries may be 0.
        diagonal: Array1<f64>,
        /// The factor V.
        factor: Array2<f64>,
    },
}

/// One component `w N(m, C)` of a mixture.
#[derive(Clone, Debug, PartialEq)]
pub struct Component {
    /// Weight w > 0; the weights of a mixture are divided by their sum.
    pub weight: f64,
    /// Mean m, of length d.
    pub mean: Array1<f64>,
    /// Covariance C.
    pub covariance: Covariance,
}

/// The law `Σ_i w_i N(m_i, C_i)` on R^d: a data distribution whose density, score, posterior mean and posterior
/// covariance are known at every noise level.
///
/// At the level (α, σ) the law of `α x_0 + σ z` is the mixture of `N(α m_i, α² C_i + σ² I)`. Each `C_i` is
/// kept by its eigenvalues, the smallest of them as a multiple of the identity, so that every level is diagonal
/// in the same basis: nothing is factorised again, whatever the schedule.
///
/// A Gaussian is the mixture of one component ([`gaussian`](Self::gaussian)); any data set is the mixture of its
/// points ([`atoms`](Self::atoms)). These are the oracles of every test in the house, and useful models in their
/// own right.
///
/// ```
/// use numeric::{Batch, Scratch, Time, Times, VectorField, ndarray::array};
/// use sde_core::{Mixture, Ou};
/// # fn main() -> Result<(), numeric::Error> {
/// // ±a with equal weights: the posterior mean is a tanh(α a x/σ²).
/// let target = Mixture::atoms(&array![[-1.5], [1.5]], None)?;
/// let denoiser = target.denoiser::<f64, _>(Ou);
/// let (time, x) = (Time::of(0.4), array![[0.3]]);
/// let mut mean = array![[0.0]];
/// denoiser.field.eval_into(&Batch::new(&[0], Times::Same(time), &x), &mut mean, &mut Scratch::new())?;
/// let (alpha, variance) = ((-0.4_f64).exp(), 1.0 - (-0.8_f64).exp());
/// assert!((mean[(0, 0)] - 1.5 * (alpha * 1.5 * 0.3 / variance).tanh()).abs() < 1e-14);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Mixture {
    weights: Vec<f64>,
    /// `(k, d)`.
    means: Array2<f64>,
    spectra: Vec<Spectrum>,
}

impl Mixture {
    /// The mixture of the components; their weights are divided by the sum.
    ///
    /// # Errors
    /// [`Error::Shape`] for no component, no coordinate, or components of different dimensions;
    /// [`Error::Entry`] for a weight that is not positive and finite, a mean that is not finite, or a negative
    /// variance; [`Error::NotPositiveDefinite`] for a full covariance that is not, with its number.
    pub fn new(components: Vec<Component>) -> Result<Mixture, Error> {
        let d = components.first().map_or(0, |c| c.mean.len());
        if d == 0 {
            return Err(Error::Shape {
                parameter: "components",
                expected: vec![1, 1],
                found: vec![components.len(), d],
            });
        }
        let weights = components.iter().map(|c| c.weight);
        Error::entries("weight", weights.clone(), "a finite weight greater than 0", |w| {
            w > 0.0 && w.is_finite()
        })?;
        let total: f64 = weights.clone().sum();
        Error::domain(total.is_finite(), "weight", total, "weights with a finite sum")?;
        let weights = weights.map(|w| w / total).collect();
        let mut means = Array2::zeros((components.len(), d));
        let mut spectra = Vec::with_capacity(components.len());
        for (i, Component { mean, covariance, .. }) in components.iter().enumerate() {
            Error::shape("mean", &[d], mean.shape())?;
            Error::entries("mean", mean.iter().copied(), "a finite number", f64::is_finite)?;
            means.row_mut(i).assign(mean);
            spectra.push(Spectrum::new(covariance, d, i)?);
        }
        Ok(Mixture { weights, means, spectra })
    }

    /// The Gaussian `N(mean, covariance)`.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn gaussian(mean: Array1<f64>, covariance: Covariance) -> Result<Mixture, Error> {
        Mixture::new(vec![Component { weight: 1.0, mean, covariance }])
    }

    /// The finite law on the rows of `points`, `(k, d)`, with the given weights or equal ones: any data set.
    ///
    /// # Errors
    /// As [`new`](Self::new); [`Error::Shape`] if there are not as many weights as points.
    pub fn atoms(points: &ArrayRef2<f64>, weights: Option<&ArrayRef1<f64>>) -> Result<Mixture, Error> {
        if let Some(weights) = weights {
            Error::shape("weights", &[points.nrows()], weights.shape())?;
        }
        let component = |(i, point): (usize, numeric::ndarray::ArrayView1<'_, f64>)| Component {
            weight: weights.map_or(1.0, |w| w[i]),
            mean: point.to_owned(),
            covariance: Covariance::Isotropic(0.0),
        };
        Mixture::new(points.rows().into_iter().enumerate().map(component).collect())
    }

    /// Number of coordinates d.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.means.ncols()
    }

    /// Weights `w_i`, which sum to 1.
    #[must_use]
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// Means `m_i`, `(k, d)`.
    #[must_use]
    pub fn means(&self) -> &Array2<f64> {
        &self.means
    }

    /// Eigenvalues of the covariance of component `i`, d of them.
    ///
    /// # Panics
    /// If there is no such component.
    #[must_use]
    pub fn eigenvalues(&self, i: usize) -> Vec<f64> {
        self.spectra[i].eigenvalues(self.dim())
    }

    /// Mean of the whole law.
    #[must_use]
    pub fn mean(&self) -> Array1<f64> {
        Array1::from(self.weights.clone()).dot(&self.means)
    }

    /// Covariance of the whole law, `(d, d)`: `Σ w_i (C_i + (m_i − m)(m_i − m)ᵀ)`.
    #[must_use]
    pub fn covariance(&self) -> Array2<f64> {
        let centred = &self.means - &self.mean();
        let weighted = &centred * &Array1::from(self.weights.clone()).insert_axis(Axis(1));
        let mut covariance = centred.t().dot(&weighted);
        for (&weight, spectrum) in self.weights.iter().zip(&self.spectra) {
            covariance.scaled_add(weight, &spectrum.matrix(self.dim()));
        }
        covariance
    }

    /// Second moment `E|x_0|²`.
    #[must_use]
    pub fn second_moment(&self) -> f64 {
        let of = |i: usize| {
            let mean = self.means.row(i);
            mean.dot(&mean) + self.eigenvalues(i).iter().sum::<f64>()
        };
        self.weights.iter().enumerate().map(|(i, w)| w * of(i)).sum()
    }

    /// Exact samples of `α x_0 + σ z` for the given rows, `(rows.len(), d)`. Level (1, 0) samples the law itself.
    ///
    /// Row i depends on (noise, i) only. One uniform chooses the component, d normals give `x_0`, and d others
    /// z, so that the same noise gives the same `x_0` at every level.
    ///
    /// ```
    /// use numeric::{Noise, ndarray::array};
    /// use sde_core::{Covariance, Mixture};
    /// let target = Mixture::gaussian(array![3.0, 0.0], Covariance::Diagonal(array![4.0, 1.0]))?;
    /// let x = target.sample(0..10_000, 1.0, 0.0, Noise::new(1))?;
    /// let mean = x.mean_axis(numeric::ndarray::Axis(0)).unwrap();
    /// assert!((mean[0] - 3.0).abs() < 4.0 * 2.0 / 100.0);             // 4 standard errors
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Domain`] for an α or σ that is negative or not finite.
    pub fn sample(
        &self,
        rows: Range<u64>,
        alpha: f64,
        sigma: f64,
        noise: Noise,
    ) -> Result<Array2<f64>, Error> {
        checked_level(alpha, sigma)?;
        let d = self.dim();
        let cumulative: Vec<f64> = self
            .weights
            .iter()
            .scan(0.0, |sum, w| {
                *sum += w;
                Some(*sum)
            })
            .collect();
        let (choice, data, perturbation) = (noise.fork("component"), noise.fork("data"), noise.fork("noise"));
        run_rows(rows, d, Batching::default(), Control::default(), |rows, _| {
            let rows: Vec<u64> = rows.collect();
            let mut u = Array2::zeros((rows.len(), 1));
            choice.uniforms_into::<f64>(&rows, 0, &mut u);
            let (mut x, mut z) = (Array2::zeros((rows.len(), d)), Array2::zeros((rows.len(), d)));
            data.normals_into::<f64>(&rows, 0, &mut x);
            perturbation.normals_into::<f64>(&rows, 0, &mut z);
            for (i, mut row) in x.rows_mut().into_iter().enumerate() {
                let k = cumulative.partition_point(|&c| c < u[(i, 0)]).min(self.weights.len() - 1);
                let coloured = self.spectra[k].colour(row.view());
                row.assign(&(coloured + self.means.row(k)));
                row.zip_mut_with(&z.row(i), |x, &z| *x = alpha * *x + sigma * z);
            }
            Ok(x.into_raw_vec_and_offset().0)
        })
    }

    /// `log q(x)` of each row of `x`, `(n, d)`, under the law of `α x_0 + σ z`. Nats.
    ///
    /// ```
    /// use numeric::ndarray::array;
    /// use sde_core::{Covariance, Mixture};
    /// let target = Mixture::gaussian(array![0.0], Covariance::Isotropic(4.0))?;
    /// let ln_q = target.ln_density(&array![[1.0]], 0.5, 1.0)?;         // N(0, 0.25·4 + 1)
    /// assert!((ln_q[0] + 0.5 * (1.0 / 2.0 + (4.0 * std::f64::consts::PI).ln())).abs() < 1e-15);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Domain`] for an α or σ that is negative or not finite, or σ = 0 where a component has no
    /// density; [`Error::Shape`] for another number of columns; [`Error::Entry`] for entries that are not finite.
    ///
    /// # Panics
    /// Never: the layout is made standard first.
    pub fn ln_density(&self, x: &ArrayRef2<f64>, alpha: f64, sigma: f64) -> Result<Vec<f64>, Error> {
        checked_level(alpha, sigma)?;
        Error::shape("x", &[x.nrows(), self.dim()], x.shape())?;
        Error::entries("x", x.iter().copied(), "a finite number", f64::is_finite)?;
        let field =
            self.denoiser::<f64, _>(FixedLevel(Level { alpha, sigma, d_alpha: 0.0, d_sigma: 0.0 })).field;
        let x = x.as_standard_layout();
        let blocks = run_blocks(0..x.nrows() as u64, Batching::default(), Control::default(), |rows, s| {
            let rows = rows.start as usize..rows.end as usize;
            let block = x.slice(numeric::ndarray::s![rows, ..]);
            let mut out = vec![0.0; block.nrows()];
            field.ln_density_into(alpha, sigma, block.as_slice().expect("standard layout"), &mut out, s)?;
            Ok(out)
        })?;
        Ok(blocks.concat())
    }

    /// The exact denoiser `E[x_0 | x_t = x]` of this law under a process, as a model.
    pub fn denoiser<F: Real, S: numeric::Schedule + Clone>(
        &self,
        process: S,
    ) -> numeric::Model<MixtureField<F, S>, S> {
        self.model(numeric::Prediction::Denoised, process)
    }

    /// The exact score `∇ log q_t(x)` of this law under a process, as a model.
    pub fn score<F: Real, S: numeric::Schedule + Clone>(
        &self,
        process: S,
    ) -> numeric::Model<MixtureField<F, S>, S> {
        self.model(numeric::Prediction::Score, process)
    }

    fn model<F: Real, S: numeric::Schedule + Clone>(
        &self,
        prediction: numeric::Prediction,
        process: S,
    ) -> numeric::Model<MixtureField<F, S>, S> {
        let field = MixtureField::new(evaluate::Tables::new(self), prediction, process.clone());
        numeric::Model::new(field, prediction, process)
    }
}

fn checked_level(alpha: f64, sigma: f64) -> Result<(), Error> {
    let ok = |x: f64| x >= 0.0 && x.is_finite();
    Error::domain(ok(alpha), "alpha", alpha, "a finite number of at least 0")?;
    Error::domain(ok(sigma), "sigma", sigma, "a finite number of at least 0")
}

/// The law itself, without noise, as a density to sample from by other means.
///
/// ```
/// use numeric::{LogDensity, ndarray::array};
/// use sde_core::{Covariance, Mixture};
/// let law = Mixture::gaussian(array![1.0, 0.0], Covariance::Isotropic(4.0))?;
/// let (x, mut gradient) = (array![[3.0, 2.0]], array![[0.0, 0.0]]);
/// law.gradient_into(&x, &mut gradient)?;
/// assert_eq!(gradient, array![[-0.5, -0.5]]);                      // −(x − m)/4
/// # Ok::<(), numeric::Error>(())
/// ```
impl LogDensity for Mixture {
    fn dim(&self) -> usize {
        self.means.ncols()
    }

    fn ln_density_into(&self, x: &ArrayRef2<f64>, out: &mut [f64]) -> Result<(), Error> {
        out.copy_from_slice(&self.ln_density(x, 1.0, 0.0)?);
        Ok(())
    }

    fn gradient_into(&self, x: &ArrayRef2<f64>, out: &mut ArrayRef2<f64>) -> Result<(), Error> {
        Error::shape("x", &[x.nrows(), self.means.ncols()], x.shape())?;
        let data = FixedLevel(Level { alpha: 1.0, sigma: 0.0, d_alpha: 0.0, d_sigma: 0.0 });
        let rows: Vec<u64> = (0..x.nrows() as u64).collect();
        let x = x.as_standard_layout();
        let batch = Batch::new(&rows, Times::Same(Time::of(0.0)), &x);
        self.score::<f64, _>(data).field.eval_into(&batch, out, &mut Scratch::new())
    }
}

/// The same level at all times.
#[derive(Clone, Copy, Debug)]
struct FixedLevel(Level);

impl numeric::Schedule for FixedLevel {
    fn level(&self, _: numeric::Time) -> Level {
        self.0
    }
}
