//! Linear observations through products with the Jacobian of the model.

use numeric::ndarray::{ArrayRef2, ArrayView2, ArrayViewMut2};
use numeric::{
    Batch, Batching, Error, JacobianProducts, Model, Prediction, Real, Schedule, Scratch, VectorField,
};

use super::{Likelihood, Observations, refuse_edm};

/// When the method of conjugate gradients stops.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ConjugateGradients {
    /// Norm of the residual relative to that of the right-hand side, in each row.
    pub tolerance: f64,
    /// Iterations after which a row that is not there yet is an error.
    pub max_iterations: usize,
}

/// The denoiser of a model given a linear observation; made by [`by_products`].
#[derive(Clone, Debug)]
pub struct ByProducts<V, S> {
    model: Model<V, S>,
    observations: Observations,
    likelihood: Likelihood,
    solver: ConjugateGradients,
}

/// The model given `y = A x_0 + e`, e ~ N(0, R), through products with its Jacobian: no matrix is formed. For all rows a
/// [`LinearObservation`](crate::LinearObservation), or [`Observations`] with values of each.
///
/// The formula is that of [`by_covariance`](super::by_covariance). The products with the posterior covariance are
/// `Σ v = (σ²/α) ∂m/∂x v` (Tweedie), and `S u = y − A m` is solved in each row by conjugate gradients. The Jacobian of
/// an exact denoiser is symmetric, and conjugate gradients need that; a network's is so approximately.
///
/// ```
/// use numeric::{Batch, FiniteDifference, Model, Prediction, Scratch, Time, Times, VectorField, from_row_fn};
/// use numeric::ndarray::array;
/// use sde_core::guidance::{ConjugateGradients, Likelihood, by_products};
/// use sde_core::{Covariance, LinearObservation, Ou};
/// # fn main() -> Result<(), numeric::Error> {
/// // The denoiser of N(0, 1) is α x, whose Σ is σ²; here as a function without derivatives.
/// let denoiser = from_row_fn(1, |time: Time, x, out: &mut [f64]| { out[0] = (-time.t).exp() * x[0]; Ok(()) });
/// let model = Model::new(FiniteDifference::new(denoiser), Prediction::Denoised, Ou);
/// let seen = LinearObservation::of_coordinates(1, vec![0], array![2.0], &Covariance::Isotropic(0.5))?;
/// let solver = ConjugateGradients { tolerance: 1e-10, max_iterations: 10 };
/// let guided = by_products(model, seen, Likelihood::MomentMatched, solver)?;
/// let (x, mut out) = (array![[1.0]], array![[0.0]]);
/// guided.field.eval_into(&Batch::new(&[0], Times::Same(Time::of(0.4)), &x), &mut out, &mut Scratch::new())?;
/// let (m, sigma2) = ((-0.4_f64).exp(), 1.0 - (-0.8_f64).exp());
/// assert!((out[(0, 0)] - (m + sigma2 / (sigma2 + 0.5) * (2.0 - m))).abs() < 1e-9);
/// # Ok(()) }
/// ```
///
/// # Complexity
/// One evaluation and, with [`Likelihood::MomentMatched`], one product for each iteration (at most k in exact
/// arithmetic) and one more; one product in all with the others.
///
/// # Errors
/// [`Error::Unsupported`] for [`Prediction::Edm`]; [`Error::Shape`] for another dimension; [`Error::Domain`] for a
/// tolerance that is not in (0, 1), no iteration, and as [`by_covariance`](super::by_covariance). Evaluating it,
/// [`Error::NotConverged`] with the largest relative residual of a row; [`Error::NotPositiveDefinite`] with the place
/// of the row in its batch where S is not; [`Error::Domain`] at α = 0; [`Error::Shape`] for a row without values, see
/// [`Observations::of_rows`].
///
/// # References
/// Rozet, Andry, Lanusse, Louppe (2024), *Learning diffusion priors from observations by expectation maximization*
/// (conjugate gradients). Hestenes, Stiefel (1952), *Methods of conjugate gradients for solving linear systems*.
pub fn by_products<F, V, S>(
    model: Model<V, S>,
    observation: impl Into<Observations>,
    likelihood: Likelihood,
    solver: ConjugateGradients,
) -> Result<Model<ByProducts<V, S>, S>, Error>
where
    F: Real,
    V: JacobianProducts<F>,
    S: Schedule + Clone,
{
    refuse_edm("guidance by Jacobian products", &model)?;
    let observations = observation.into();
    Error::shape("observation", &[model.field.dim()], &[observations.form().dim()])?;
    likelihood.check(observations.form())?;
    let tolerance = solver.tolerance;
    Error::domain(tolerance > 0.0 && tolerance < 1.0, "tolerance", tolerance, "a number in (0, 1)")?;
    Error::domain(solver.max_iterations > 0, "max_iterations", 0.0, "at least 1")?;
    let schedule = model.schedule.clone();
    Ok(Model::new(ByProducts { model, observations, likelihood, solver }, Prediction::Denoised, schedule))
}

/// Buffers of one worker; `(n, k)` in `f64`, `(n, d)` in `F`.
#[derive(Debug)]
struct Work<F> {
    u: Vec<f64>,
    residual: Vec<f64>,
    direction: Vec<f64>,
    product: Vec<f64>,
    /// |residual|² of each row, now and at the start.
    squares: Vec<[f64; 2]>,
    v: Vec<F>,
    sigma_v: Vec<F>,
}

impl<F> Default for Work<F> {
    fn default() -> Work<F> {
        let none = Vec::new;
        Work {
            u: none(),
            residual: none(),
            direction: none(),
            product: none(),
            squares: vec![],
            v: vec![],
            sigma_v: vec![],
        }
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| a * b).sum()
}

impl<V, S: Schedule> ByProducts<V, S> {
    /// `sigma_v = Σ Aᵀ u` for each row.
    fn covariance_products<F: Real>(
        &self,
        batch: &Batch<'_, F>,
        u: &[f64],
        v: &mut [F],
        sigma_v: &mut [F],
        scratch: &mut Scratch,
    ) -> Result<(), Error>
    where
        V: JacobianProducts<F>,
    {
        let (d, k) = (batch.dim(), self.observations.form().count());
        for (v, u) in v.chunks_exact_mut(d).zip(u.chunks_exact(k)) {
            self.observations.form().apply_transposed(u, v);
        }
        let shape = (batch.len(), d);
        let view = ArrayView2::from_shape(shape, v).expect("n rows");
        let mut out = ArrayViewMut2::from_shape(shape, sigma_v).expect("n rows");
        self.model.field.jvp_into(batch, &view, &mut out, scratch)?;
        for (i, (mut out, v)) in out.rows_mut().into_iter().zip(view.rows()).enumerate() {
            let level = self.model.schedule.level(batch.times().get(i));
            Error::domain(
                level.alpha > 0.0,
                "alpha",
                level.alpha,
                "signal, for a covariance from a Jacobian",
            )?;
            // m = a x + b p, and Σ = (σ²/α) ∂m/∂x.
            let (a, b) = self.model.prediction.conversion(Prediction::Denoised, level)?;
            let scale = level.sigma * level.sigma / level.alpha;
            let (a, b) = (F::of(scale * a), F::of(scale * b));
            out.zip_mut_with(&v, |out, &v| *out = a * v + b * *out);
        }
        Ok(())
    }

    /// `product = S direction` for each row.
    fn apply<F: Real>(
        &self,
        batch: &Batch<'_, F>,
        work: &mut Work<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error>
    where
        V: JacobianProducts<F>,
    {
        let (d, k) = (batch.dim(), self.observations.form().count());
        let Work { direction, product, v, sigma_v, .. } = work;
        if self.likelihood == Likelihood::MomentMatched {
            self.covariance_products(batch, direction, v, sigma_v, scratch)?;
        }
        let rows =
            product.chunks_exact_mut(k).zip(direction.chunks_exact(k)).zip(sigma_v.chunks_exact_mut(d));
        for (i, ((product, direction), sigma_v)) in rows.enumerate() {
            let level = self.model.schedule.level(batch.times().get(i));
            if let Some(variance) = self.likelihood.fixed_variance(level) {
                self.observations.form().apply_transposed(direction, sigma_v);
                sigma_v.iter_mut().for_each(|s| *s *= F::of(variance));
            }
            self.observations.form().apply(sigma_v, product);
            self.observations.form().add_noise_product(direction, product);
        }
        Ok(())
    }

    /// Solves `S u = residual` in each row; rows that have converged rest, so that none depends on the others.
    fn solve<F: Real>(
        &self,
        batch: &Batch<'_, F>,
        work: &mut Work<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error>
    where
        V: JacobianProducts<F>,
    {
        let k = self.observations.form().count();
        work.u.clear();
        work.u.resize(batch.len() * k, 0.0);
        work.direction.clear();
        work.direction.extend_from_slice(&work.residual);
        work.product.resize(batch.len() * k, 0.0);
        work.squares.clear();
        work.squares.extend(work.residual.chunks_exact(k).map(|r| [dot(r, r); 2]));
        let allowed = self.solver.tolerance * self.solver.tolerance;
        let open = |&[now, start]: &[f64; 2]| !(now <= allowed * start);
        for _ in 0..self.solver.max_iterations {
            if !work.squares.iter().any(open) {
                return Ok(());
            }
            self.apply(batch, work, scratch)?;
            let Work { u, residual, direction, product, squares, .. } = work;
            for (i, square) in squares.iter_mut().enumerate().filter(|(_, square)| open(square)) {
                let row = i * k..(i + 1) * k;
                let (u, r) = (&mut u[row.clone()], &mut residual[row.clone()]);
                let (p, sp) = (&mut direction[row.clone()], &product[row]);
                let curvature = dot(p, sp);
                if !(curvature > 0.0) {
                    return Err(Error::NotPositiveDefinite { parameter: "A Sigma A^T + R", index: i });
                }
                let step = square[0] / curvature;
                u.iter_mut().zip(p.iter()).for_each(|(u, &p)| *u += step * p);
                r.iter_mut().zip(sp).for_each(|(r, &sp)| *r -= step * sp);
                let next = dot(r, r);
                let turn = next / square[0];
                square[0] = next;
                p.iter_mut().zip(r.iter()).for_each(|(p, &r)| *p = r + turn * *p);
            }
        }
        let left = work.squares.iter().filter(|square| open(square)).map(|&[now, start]| now / start);
        match left.reduce(f64::max) {
            None => Ok(()),
            Some(worst) => Err(Error::NotConverged {
                routine: "conjugate gradients",
                iterations: self.solver.max_iterations,
                residual: worst.sqrt(),
            }),
        }
    }
}

impl<F: Real, V: JacobianProducts<F>, S: Schedule> VectorField<F> for ByProducts<V, S> {
    fn dim(&self) -> usize {
        self.model.field.dim()
    }

    fn eval_into(
        &self,
        batch: &Batch<'_, F>,
        out: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        self.observations.check_rows(batch.rows())?;
        let observation = self.observations.form();
        let (d, k) = (batch.dim(), observation.count());
        self.model.predict_into(Prediction::Denoised, batch, out, scratch)?;
        let mut work: Work<F> = scratch.take();
        work.v.resize(batch.len() * d, F::zero());
        work.sigma_v.resize(batch.len() * d, F::zero());
        work.residual.resize(batch.len() * k, 0.0);
        let mean = out.as_slice_mut().expect("fields are given standard layout");
        let rows = work.residual.chunks_exact_mut(k).zip(mean.chunks_exact(d)).zip(batch.rows());
        for ((residual, mean), &row) in rows {
            observation.apply(mean, residual);
            self.observations.residual_from(row, residual);
        }
        self.solve(batch, &mut work, scratch)?;
        let Work { u, v, sigma_v, .. } = &mut work;
        self.covariance_products(batch, u, v, sigma_v, scratch)?;
        mean.iter_mut().zip(sigma_v.iter()).for_each(|(mean, &shift)| *mean += shift);
        scratch.put(work);
        Ok(())
    }

    fn batching(&self) -> Batching {
        self.model.field.batching()
    }
}
