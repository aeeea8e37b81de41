//! A posterior covariance from the Jacobian of a denoiser.

use nalgebra::{DMatrix, DVector, SymmetricEigen};
use numeric::ndarray::{Array2, ArrayRef2};
use numeric::{
    Batch, Batching, Error, JacobianProducts, Level, Noise, PosteriorCovariance, PosteriorDraw, Real,
    Schedule, Scratch, VectorField, check_finite,
};

/// Iterations `Q ← orth(J Q)` from random directions: eigenvalues apart by a factor r are told apart to r^{−2}.
const PASSES: usize = 2;

/// Below this part of its length, what orthogonalisation leaves of a vector is rounding.
const DEPENDENT: f64 = 1e-8;

/// A denoiser with an approximate posterior covariance, from products with its Jacobian in a few directions.
///
/// By Tweedie's second-order formula the posterior covariance is `(σ²/α) J`, with `J = ∂m/∂x` of the exact denoiser m. Of
/// any denoiser m̂ this takes k orthonormal directions Q and a scalar for all others,
///
/// ```math
/// \hat\Sigma = \frac{\sigma^2}{\alpha} \Big( Q\, \big[\tfrac12 (B + B^\top)\big]_+ Q^\top + \rho\, (I - Q Q^\top) \Big),
/// \qquad B = Q^\top J Q, \qquad
/// \rho = \Big[ \frac1p \sum_{i=1}^{p} \frac{z_i^\top J z_i}{\lvert z_i \rvert^2} \Big]_+,
/// ```
///
/// where `[·]₊` drops negative eigenvalues: a network's Jacobian is neither symmetric nor positive. It is symmetric and
/// positive semidefinite whatever the model is. The directions are found by randomised subspace iteration and are near
/// the leading ones of J; the probes z are normals projected on the complement of Q, so that ρ is without bias for the
/// mean eigenvalue there (before it is cut off at 0).
///
/// With k = d the directions are the axes and Σ̂ is the whole symmetrised Jacobian; with k = 0 and no probes it is 0, and
/// [`LocallyMomentMatched`](crate::LocallyMomentMatched) becomes the frozen denoiser. A step that draws with Σ̂ is
/// certified with the same Σ̂: it is what [`PosteriorCovariance`] gives to both. For the certificate the matrix is written out
/// in full, d² numbers for each row; draws do without. [`DiagonalCovariance`](crate::DiagonalCovariance) takes the
/// diagonal instead.
///
/// # Randomness
/// Directions and probes of row i are a function of (`noise`, i), the same at every time. Given them the step is a fixed
/// Gaussian; as they are drawn before the path and from the same law for data and sampler, a bound of the divergence
/// given the probes, averaged over them, is one of the divergence itself (data processing).
///
/// # Complexity
/// For each row 3 k + p Jacobian products (k for k = d) and O(d k² + k³) operations, and O(d² k) more for the matrix itself,
/// which draws do without.
///
/// ```
/// use numeric::{FiniteDifference, Model, Noise, Prediction, from_row_fn};
/// use sde_core::{ApproximateCovariance, LocallyMomentMatched, Ou, Sampler, grid};
/// # fn main() -> Result<(), numeric::Error> {
/// // A denoiser that is a black box: products with its Jacobian by finite differences. (It is that of N(0, I).)
/// let network = from_row_fn(3, |time: numeric::Time, x, out: &mut [f64]| {
///     out.iter_mut().zip(x).for_each(|(out, x)| *out = (-time.t).exp() * x);
///     Ok(())
/// });
/// // Two directions and two probes for the rest.
/// let field = ApproximateCovariance::new(FiniteDifference::new(network), Ou, 2, 2, Noise::new(5))?;
/// let model = Model::new(field, Prediction::Denoised, Ou);
/// // Exact steps for Gaussian data: two are enough.
/// let sampler = Sampler::new(model, LocallyMomentMatched, grid::geometric_v(4.0, 1e-3, 2)?)?;
/// let x = sampler.sample(0..4000, Noise::new(3), Default::default())?;
/// let variance = x.iter().map(|x| x * x).sum::<f64>() / 12_000.0;
/// assert!((variance - 1.0).abs() < 4.0 * (2.0_f64 / 12_000.0).sqrt());
/// # Ok(()) }
/// ```
///
/// # References
/// Halko, Martinsson, Tropp (2011), *Finding structure with randomness*, algorithm 4.4, for the directions. Posterior
/// covariances from Jacobians of denoisers: Boys et al. (2023), *Tweedie moment projected diffusions*; Manor and Michaeli
/// (2024), *On the posterior distribution in denoising*. Sampling with them: Bao et al. (2022), *Analytic-DPM*; Ou et al.
/// (2024), *Improving probabilistic diffusion models with optimal diagonal covariance matching*.
#[derive(Clone, Copy, Debug)]
pub struct ApproximateCovariance<V, S> {
    field: V,
    process: S,
    directions: usize,
    probes: usize,
    noise: Noise,
}

/// Far more than any symmetric matrix takes.
const ITERATIONS: usize = 100_000;

impl<V, S: Schedule> ApproximateCovariance<V, S> {
    /// The denoiser `field` of `process` with k = `directions` and p = `probes` for the rest; without probes the rest
    /// is 0.
    ///
    /// # Errors
    /// [`Error::Domain`] for more directions than coordinates.
    pub fn new<F: Real>(
        field: V,
        process: S,
        directions: usize,
        probes: usize,
        noise: Noise,
    ) -> Result<ApproximateCovariance<V, S>, Error>
    where
        V: VectorField<F>,
    {
        let within = directions <= field.dim();
        Error::domain(within, "directions", directions as f64, "at most as many as coordinates")?;
        Ok(ApproximateCovariance { field, process, directions, probes, noise })
    }

    /// The products `J q_j` of each row with its j-th direction, each `(n, d)`.
    fn products<F: Real>(
        &self,
        batch: &Batch<'_, F>,
        directions: &[Array2<f64>],
        scratch: &mut Scratch,
    ) -> Result<Vec<Array2<f64>>, Error>
    where
        V: JacobianProducts<F>,
    {
        let mut out = Array2::zeros(batch.x().raw_dim());
        let product = |q: &Array2<f64>| {
            self.field.jvp_into(batch, &q.mapv(F::of), &mut out, scratch)?;
            check_finite("a Jacobian product", batch.rows(), 0, batch.times().get(0).t, out.view())?;
            Ok(out.mapv(F::as_f64))
        };
        directions.iter().map(product).collect()
    }

    /// Orthonormal directions of each row near the leading ones of its Jacobian: the j-th of all rows is `(n, d)`.
    fn leading<F: Real>(&self, batch: &Batch<'_, F>, scratch: &mut Scratch) -> Result<Vec<Array2<f64>>, Error>
    where
        V: JacobianProducts<F>,
    {
        let (n, d) = batch.x().dim();
        if self.directions == d {
            let axis = |j: usize| Array2::from_shape_fn((n, d), |(_, l)| f64::from(u8::from(l == j)));
            return Ok((0..d).map(axis).collect());
        }
        let mut directions = vec![Array2::zeros((n, d)); self.directions];
        let noise = self.noise.fork("directions");
        for (j, q) in directions.iter_mut().enumerate() {
            noise.normals_into(batch.rows(), j as u64, q);
        }
        let start = directions.clone();
        orthonormalise(&mut directions, &start);
        for _ in 0..PASSES {
            let before = directions;
            directions = self.products(batch, &before, scratch)?;
            orthonormalise(&mut directions, &before);
        }
        Ok(directions)
    }

    /// Mean Rayleigh quotient of the probes in the complement of the directions, at least 0, for each row.
    fn rest<F: Real>(
        &self,
        batch: &Batch<'_, F>,
        directions: &[Array2<f64>],
        scratch: &mut Scratch,
    ) -> Result<Vec<f64>, Error>
    where
        V: JacobianProducts<F>,
    {
        let (n, d) = batch.x().dim();
        let mut sums = vec![0.0; n];
        if self.directions == d {
            return Ok(sums);
        }
        let noise = self.noise.fork("probes");
        let mut z = Array2::zeros((n, d));
        for number in 0..self.probes {
            noise.normals_into(batch.rows(), number as u64, &mut z);
            for i in 0..n {
                let mut z = z.row_mut(i);
                remove(&mut z, directions.iter().map(|q| q.row(i)));
                let norm = z.dot(&z).sqrt();
                z.mapv_inplace(|z| z / norm);
            }
            let product = self.products(batch, std::slice::from_ref(&z), scratch)?;
            for (sum, (z, jz)) in sums.iter_mut().zip(z.rows().into_iter().zip(product[0].rows())) {
                *sum += z.dot(&jz);
            }
        }
        Ok(sums.into_iter().map(|sum| (sum / self.probes.max(1) as f64).max(0.0)).collect())
    }
}

/// σ²/α, which makes a covariance of the Jacobian.
pub(crate) fn covariance_factor(level: Level) -> Result<f64, Error> {
    let factor = level.sigma * level.sigma / level.alpha;
    Error::domain(factor.is_finite(), "alpha", level.alpha, "a time with signal")?;
    Ok(factor)
}

/// Takes the components along orthonormal vectors out of a vector, twice for the sake of rounding.
fn remove<'a>(
    x: &mut numeric::ndarray::ArrayViewMut1<'_, f64>,
    directions: impl Iterator<Item = numeric::ndarray::ArrayView1<'a, f64>> + Clone,
) {
    for _ in 0..2 {
        for q in directions.clone() {
            let along = q.dot(x);
            x.scaled_add(-along, &q);
        }
    }
}

/// Gram–Schmidt over the vectors of each row. One that depends on those before it gives way to its fallback, or to the
/// first axis that does not.
fn orthonormalise(vectors: &mut [Array2<f64>], fallbacks: &[Array2<f64>]) {
    for (j, fallback) in fallbacks.iter().enumerate() {
        let (before, rest) = vectors.split_at_mut(j);
        let (n, d) = rest[0].dim();
        for i in 0..n {
            let mut x = rest[0].row_mut(i);
            for candidate in 0..d + 2 {
                match candidate {
                    0 => {}
                    1 => x.assign(&fallback.row(i)),
                    axis => {
                        x.fill(0.0);
                        x[axis - 2] = 1.0;
                    }
                }
                let whole = x.dot(&x).sqrt();
                remove(&mut x, before.iter().map(|q| q.row(i)));
                let norm = x.dot(&x).sqrt();
                if norm > DEPENDENT * whole {
                    x.mapv_inplace(|x| x / norm);
                    break;
                }
            }
        }
    }
}

impl<F: Real, V: VectorField<F>, S: Schedule> VectorField<F> for ApproximateCovariance<V, S> {
    fn dim(&self) -> usize {
        self.field.dim()
    }
    fn eval_into(&self, batch: &Batch<'_, F>, out: &mut ArrayRef2<F>, s: &mut Scratch) -> Result<(), Error> {
        self.field.eval_into(batch, out, s)
    }
    fn batching(&self) -> Batching {
        self.field.batching()
    }
}

/// Σ̂ of one row by its eigenvalues.
struct Spectrum {
    /// Orthonormal eigenvectors, `(d, k)`, and their eigenvalues.
    vectors: DMatrix<f64>,
    values: Vec<f64>,
    /// The eigenvalue of everything orthogonal to them.
    rest: f64,
}

impl<V, S: Schedule> ApproximateCovariance<V, S> {
    fn spectra<F: Real>(&self, batch: &Batch<'_, F>, scratch: &mut Scratch) -> Result<Vec<Spectrum>, Error>
    where
        V: JacobianProducts<F>,
    {
        let (d, k) = (batch.dim(), self.directions);
        let directions = self.leading(batch, scratch)?;
        let products = self.products(batch, &directions, scratch)?;
        let rests = self.rest(batch, &directions, scratch)?;
        let of_row = |(i, rest): (usize, f64)| {
            let factor = covariance_factor(self.process.level(batch.times().get(i)))?;
            let along = |a: usize, b: usize| directions[a].row(i).dot(&products[b].row(i));
            let symmetric = DMatrix::from_fn(k, k, |a, b| 0.5 * (along(a, b) + along(b, a)));
            let basis = DMatrix::from_fn(d, k, |j, a| directions[a][(i, j)]);
            if k == 0 {
                // The decomposition refuses an empty matrix.
                return Ok(Spectrum { vectors: basis, values: Vec::new(), rest: factor * rest });
            }
            let entries = symmetric.iter().copied();
            Error::entries("Jacobian products", entries, "finite products", f64::is_finite)?;
            let routine = "symmetric eigenvalue decomposition";
            let stuck = Error::NotConverged { routine, iterations: ITERATIONS, residual: f64::NAN };
            let eigen = SymmetricEigen::try_new(symmetric, f64::EPSILON, ITERATIONS).ok_or(stuck)?;
            let values = eigen.eigenvalues.iter().map(|&theta| factor * theta.max(0.0)).collect();
            Ok(Spectrum { vectors: basis * eigen.eigenvectors, values, rest: factor * rest })
        };
        rests.into_iter().enumerate().map(of_row).collect()
    }
}

impl<F: Real, V: JacobianProducts<F>, S: Schedule> PosteriorCovariance<F> for ApproximateCovariance<V, S> {
    /// # Errors
    /// The field's own; [`Error::NotFinite`] for a product that is not; [`Error::Domain`] at a time without signal.
    fn mean_covariance_into(
        &self,
        batch: &Batch<'_, F>,
        mean: &mut ArrayRef2<F>,
        covariance: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        self.field.eval_into(batch, mean, scratch)?;
        let d = batch.dim();
        let spectra = self.spectra(batch, scratch)?;
        for (Spectrum { vectors, values, rest }, mut out) in spectra.iter().zip(covariance.rows_mut()) {
            for j in 0..d {
                for l in 0..=j {
                    let along =
                        |(a, value): (usize, &f64)| (value - rest) * vectors[(j, a)] * vectors[(l, a)];
                    let sum: f64 = values.iter().enumerate().map(along).sum();
                    let entry = F::of(sum + if j == l { *rest } else { 0.0 });
                    (out[j * d + l], out[l * d + j]) = (entry, entry);
                }
            }
        }
        Ok(())
    }

    /// With one normal for each coordinate and the symmetric root of `s² Σ̂ + v I`, which has its directions.
    fn draw_into(
        &self,
        batch: &Batch<'_, F>,
        draw: PosteriorDraw,
        out: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        draw.check()?;
        self.field.eval_into(batch, out, scratch)?;
        let spectra = self.spectra(batch, scratch)?;
        let mut normals = Array2::<F>::zeros(out.raw_dim());
        draw.noise.normals_into(batch.rows(), draw.step, &mut normals);
        let root = |value: f64| (draw.variance + draw.scale * draw.scale * value).sqrt();
        let rows = out.rows_mut().into_iter().zip(normals.rows());
        for (Spectrum { vectors, values, rest }, (mut out, z)) in spectra.iter().zip(rows) {
            let z = DVector::from_iterator(z.len(), z.iter().map(|z| z.as_f64()));
            let rest = root(*rest);
            let mut noise = rest * &z;
            for (vector, &value) in vectors.column_iter().zip(values) {
                noise.axpy((root(value) - rest) * vector.dot(&z), &vector, 1.0);
            }
            for (out, &noise) in out.iter_mut().zip(&noise) {
                *out = F::of(draw.scale * out.as_f64() + noise);
            }
        }
        Ok(())
    }
}
