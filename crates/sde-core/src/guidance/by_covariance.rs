//! Linear observations through the posterior covariance of the model.

use numeric::ndarray::{ArrayRef2, ArrayViewMut2};
use numeric::{
    Batch, Batching, Error, Model, PosteriorCovariance, Prediction, Real, Schedule, Scratch, VectorField,
    cholesky, vectorize,
};

use super::{Likelihood, Observations};

/// The denoiser of a model given a linear observation; made by [`by_covariance`].
#[derive(Clone, Debug)]
pub struct ByCovariance<V, S> {
    field: V,
    schedule: S,
    observations: Observations,
    likelihood: Likelihood,
    /// R, `(k, k)` row-major.
    noise: Vec<f64>,
    /// `A Aᵀ`.
    gram: Vec<f64>,
}

/// The model given `y = A x_0 + e`, e ~ N(0, R), through its posterior mean m and covariance Σ at each row; a
/// [`LinearObservation`](crate::LinearObservation) of all rows, or [`Observations`] with values of each.
///
/// ```math
/// m_y(x) = m + \Sigma A^\top S^{-1} (y - A m), \qquad \text{that is}\quad
/// \nabla \log q_t(x \mid y) \approx \nabla \log q_t(x) + \tfrac{\alpha}{\sigma^2} \Sigma A^\top S^{-1} (y - A m),
/// ```
/// with `∂m/∂x = (α/σ²) Σ` (Tweedie) and the S of the [`Likelihood`]. With [`Likelihood::MomentMatched`] it is the
/// exact conditional model of Gaussian data. Of a mixture it is an approximation: `x_0` given `x_t` is no Gaussian
/// where several components have weight, and the derivative of S is left out.
///
/// With [`Likelihood::MomentMatched`] the guided model has a posterior covariance too, `Σ − Σ Aᵀ S⁻¹ A Σ`, and
/// [`LocallyMomentMatched`](crate::LocallyMomentMatched) takes it.
///
/// ```
/// use numeric::{Batch, Scratch, Time, Times, VectorField, ndarray::{array, Array2}};
/// use sde_core::guidance::{Likelihood, by_covariance};
/// use sde_core::{Covariance, LinearObservation, Mixture, Ou};
/// # fn main() -> Result<(), numeric::Error> {
/// let prior = Mixture::gaussian(array![0.0, 1.0], Covariance::Full(array![[1.0, 0.6], [0.6, 2.0]]))?;
/// let seen = LinearObservation::of_coordinates(2, vec![1], array![2.5], &Covariance::Isotropic(0.1))?;
/// let guided = by_covariance(prior.denoiser::<f64, _>(Ou), seen.clone(), Likelihood::MomentMatched)?;
/// let exact = prior.posterior(&seen)?.denoiser::<f64, _>(Ou);
/// let (x, mut a, mut b) = (array![[0.3, -0.8]], Array2::zeros((1, 2)), Array2::zeros((1, 2)));
/// let batch = Batch::new(&[0], Times::Same(Time::of(0.4)), &x);
/// guided.field.eval_into(&batch, &mut a, &mut Scratch::new())?;
/// exact.field.eval_into(&batch, &mut b, &mut Scratch::new())?;
/// assert!((&a - &b).iter().all(|gap| gap.abs() < 1e-13));
/// # Ok(()) }
/// ```
///
/// # Complexity
/// Beyond the model's mean and covariance, O(k² d + k³) per row, for coordinates O(k d + k³).
///
/// # Errors
/// [`Error::Unsupported`] if the model does not predict the denoised sample; [`Error::Shape`] for another dimension;
/// [`Error::Domain`] for a `data_variance` that is not positive, or [`Likelihood::Point`] with a singular R.
/// Evaluating it, [`Error::NotPositiveDefinite`] with the place of the row in its batch where S is singular: without
/// noise, where the model knows what is observed exactly, as on the support of atoms; [`Error::Shape`] for a row
/// without values, see [`Observations::of_rows`].
pub fn by_covariance<F, V, S>(
    model: Model<V, S>,
    observation: impl Into<Observations>,
    likelihood: Likelihood,
) -> Result<Model<ByCovariance<V, S>, S>, Error>
where
    F: Real,
    V: PosteriorCovariance<F>,
    S: Schedule + Clone,
{
    let Model { field, prediction, schedule } = model;
    if prediction != Prediction::Denoised {
        let reason = "a posterior covariance belongs to a model that predicts the denoised sample";
        return Err(Error::Unsupported { method: "guidance by the posterior covariance", reason });
    }
    let observations = observation.into();
    let observation = observations.form();
    Error::shape("observation", &[field.dim()], &[observation.dim()])?;
    likelihood.check(observation)?;
    let (d, k) = (observation.dim(), observation.count());
    let mut gram = vec![0.0; k * k];
    let (mut unit, mut row) = (vec![0.0; k], vec![0.0; d]);
    for i in 0..k {
        unit[i] = 1.0;
        observation.apply_transposed(&unit, &mut row);
        observation.apply(&row, &mut gram[i * k..][..k]);
        unit[i] = 0.0;
    }
    let noise = observation.noise_matrix().into_iter().collect();
    let guided = ByCovariance { field, schedule: schedule.clone(), observations, likelihood, noise, gram };
    Ok(Model::new(guided, Prediction::Denoised, schedule))
}

/// Buffers of one worker.
#[derive(Debug)]
struct Work<F> {
    covariance: Vec<F>,
    /// `A Σ`, `(k, d)`.
    product: Vec<f64>,
    /// A row of Σ or a column of `A Σ Aᵀ`.
    column: Vec<f64>,
    /// S and then its Cholesky factor, `(k, k)`.
    s: Vec<f64>,
    residual: Vec<f64>,
}

impl<F> Default for Work<F> {
    fn default() -> Work<F> {
        Work { covariance: vec![], product: vec![], column: vec![], s: vec![], residual: vec![] }
    }
}

impl<V, S: Schedule> ByCovariance<V, S> {
    /// For one row: moves the mean m to `m_y`, and leaves `A Σ` and the factor of S in `work`.
    fn condition<F: Real>(
        &self,
        batch: &Batch<'_, F>,
        i: usize,
        covariance: &[F],
        mean: &mut [F],
        work: &mut Work<F>,
    ) -> Result<(), Error> {
        let observation = self.observations.form();
        let (d, k) = (observation.dim(), observation.count());
        let Work { product, column, s, residual, .. } = work;
        // Σ is symmetric: A applied to its j-th row is the j-th column of A Σ.
        product.resize(k * d, 0.0);
        column.resize(k, 0.0);
        if let Some(chosen) = observation.coordinates() {
            for (product, &j) in product.chunks_exact_mut(d).zip(chosen) {
                product.iter_mut().zip(&covariance[j * d..][..d]).for_each(|(p, &c)| *p = c.as_f64());
            }
        } else {
            for (j, row) in covariance.chunks_exact(d).enumerate() {
                observation.apply(row, column);
                column.iter().enumerate().for_each(|(l, &value)| product[l * d + j] = value);
            }
        }
        s.clear();
        s.extend_from_slice(&self.noise);
        match self.likelihood.fixed_variance(self.schedule.level(batch.times().get(i))) {
            Some(variance) => s.iter_mut().zip(&self.gram).for_each(|(s, &g)| *s += variance * g),
            None => {
                for (s, row) in s.chunks_exact_mut(k).zip(product.chunks_exact(d)) {
                    observation.apply(row, column);
                    s.iter_mut().zip(column.iter()).for_each(|(s, &c)| *s += c);
                }
            }
        }
        if !cholesky(s, k) {
            return Err(Error::NotPositiveDefinite { parameter: "A Sigma A^T + R", index: i });
        }
        residual.resize(k, 0.0);
        observation.apply(mean, residual);
        self.observations.residual_from(batch.rows()[i], residual);
        solve_lower(s, k, residual);
        solve_lower_transposed(s, k, residual);
        for (j, mean) in mean.iter_mut().enumerate() {
            let shift: f64 = (0..k).map(|l| product[l * d + j] * residual[l]).sum();
            *mean = F::of(mean.as_f64() + shift);
        }
        Ok(())
    }
}

/// `b = L⁻¹ b` with the lower triangle L, row-major.
fn solve_lower(l: &[f64], k: usize, b: &mut [f64]) {
    for i in 0..k {
        let known: f64 = l[i * k..i * k + i].iter().zip(b.iter()).map(|(&l, &b)| l * b).sum();
        b[i] = (b[i] - known) / l[i * k + i];
    }
}

/// `b = L⁻ᵀ b`.
fn solve_lower_transposed(l: &[f64], k: usize, b: &mut [f64]) {
    for i in (0..k).rev() {
        b[i] /= l[i * k + i];
        let value = b[i];
        b[..i].iter_mut().zip(&l[i * k..i * k + i]).for_each(|(b, &l)| *b -= l * value);
    }
}

impl<F: Real, V: PosteriorCovariance<F>, S: Schedule> VectorField<F> for ByCovariance<V, S> {
    fn dim(&self) -> usize {
        self.field.dim()
    }

    fn eval_into(
        &self,
        batch: &Batch<'_, F>,
        out: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        self.observations.check_rows(batch.rows())?;
        let d = batch.dim();
        let mut work: Work<F> = scratch.take();
        let mut covariance = std::mem::take(&mut work.covariance);
        covariance.resize(batch.len() * d * d, F::zero());
        let mut view = ArrayViewMut2::from_shape((batch.len(), d * d), &mut covariance).expect("sized above");
        self.field.mean_covariance_into(batch, out, &mut view, scratch)?;
        let rows = out.as_slice_mut().expect("fields are given standard layout").chunks_exact_mut(d);
        for (i, (mean, covariance)) in rows.zip(covariance.chunks_exact(d * d)).enumerate() {
            self.condition(batch, i, covariance, mean, &mut work)?;
        }
        work.covariance = covariance;
        scratch.put(work);
        Ok(())
    }

    fn batching(&self) -> Batching {
        self.field.batching()
    }
}

impl<F: Real, V: PosteriorCovariance<F>, S: Schedule> PosteriorCovariance<F> for ByCovariance<V, S> {
    /// `Σ − Σ Aᵀ S⁻¹ A Σ`, for [`Likelihood::MomentMatched`].
    ///
    /// # Errors
    /// [`Error::Unsupported`] for the others, whose difference need not be a covariance.
    fn mean_covariance_into(
        &self,
        batch: &Batch<'_, F>,
        mean: &mut ArrayRef2<F>,
        covariance: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        if self.likelihood != Likelihood::MomentMatched {
            let reason = "only the moment-matched likelihood has a posterior covariance";
            return Err(Error::Unsupported { method: "guidance by the posterior covariance", reason });
        }
        self.observations.check_rows(batch.rows())?;
        let (d, k) = (batch.dim(), self.observations.form().count());
        self.field.mean_covariance_into(batch, mean, covariance, scratch)?;
        let mut work: Work<F> = scratch.take();
        let rows = mean.as_slice_mut().expect("fields are given standard layout").chunks_exact_mut(d);
        let covariance = covariance.as_slice_mut().expect("fields are given standard layout");
        for (i, (mean, covariance)) in rows.zip(covariance.chunks_exact_mut(d * d)).enumerate() {
            self.condition(batch, i, covariance, mean, &mut work)?;
            let Work { product, s, .. } = &mut work;
            vectorize(
                #[inline(always)]
                || {
                    // W = L⁻¹ A Σ, a row after the other, and Σ − Wᵀ W.
                    for l in 0..k {
                        let (done, row) = product.split_at_mut(l * d);
                        let row = &mut row[..d];
                        for (before, &factor) in done.chunks_exact(d).zip(&s[l * k..]) {
                            row.iter_mut().zip(before).for_each(|(w, &b)| *w -= factor * b);
                        }
                        let scale = 1.0 / s[l * k + l];
                        row.iter_mut().for_each(|w| *w *= scale);
                        for (out, &left) in covariance.chunks_exact_mut(d).zip(row.iter()) {
                            out.iter_mut().zip(row.iter()).for_each(|(c, &w)| *c -= F::of(left * w));
                        }
                    }
                },
            );
        }
        scratch.put(work);
        Ok(())
    }
}
