//! Estimators of the trace of a Jacobian.

use numeric::ndarray::{Array2, ArrayRef2};
use numeric::{Batch, Divergence, Error, JacobianProducts, Noise, Real, Scratch, VectorField};

/// A way to find the trace of the Jacobian of a field at each row: independent estimates of it, in columns.
pub trait TraceEstimator<F: Real, V: VectorField<F>>: Send + Sync {
    /// Number of estimates.
    fn columns(&self) -> usize;

    /// Whether each is the trace itself.
    fn exact(&self) -> bool {
        false
    }

    /// Writes the estimates over `out`, `(n, columns)` in row-major order.
    ///
    /// `identity_parts` has the c of each row in `J = c I + J̃`, whose trace c d is known.
    ///
    /// # Errors
    /// The field's own.
    fn traces_into(
        &self,
        field: &V,
        batch: &Batch<'_, F>,
        identity_parts: &[f64],
        out: &mut [f64],
        scratch: &mut Scratch,
    ) -> Result<(), Error>;
}

impl<F: Real, V: VectorField<F>, E: TraceEstimator<F, V> + ?Sized> TraceEstimator<F, V> for &E {
    fn columns(&self) -> usize {
        (**self).columns()
    }
    fn exact(&self) -> bool {
        (**self).exact()
    }
    fn traces_into(
        &self,
        field: &V,
        batch: &Batch<'_, F>,
        identity_parts: &[f64],
        out: &mut [f64],
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        (**self).traces_into(field, batch, identity_parts, out, scratch)
    }
}

/// The divergence that the field itself knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExactTrace;

impl<F: Real, V: Divergence<F>> TraceEstimator<F, V> for ExactTrace {
    fn columns(&self) -> usize {
        1
    }
    fn exact(&self) -> bool {
        true
    }
    fn traces_into(
        &self,
        field: &V,
        batch: &Batch<'_, F>,
        _: &[f64],
        out: &mut [f64],
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        field.divergence_into(batch, out, scratch)
    }
}

/// The law of random probes z with mean 0 and covariance I.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Probe {
    /// Independent signs: `Var zᵀJz = ½ Σ_{i≠j} (J_ij + J_ji)²`, which is 0 for diagonal J.
    #[default]
    Rademacher,
    /// Standard normals: `Var zᵀJz = ½ |J + Jᵀ|²` in the Frobenius norm.
    Gaussian,
}

impl Probe {
    /// The probe `number` of each row.
    fn draw<F: Real>(self, noise: Noise, rows: &[u64], number: usize, out: &mut ArrayRef2<F>) {
        match self {
            Probe::Gaussian => noise.normals_into(rows, number as u64, out),
            Probe::Rademacher => {
                noise.uniforms_into(rows, number as u64, out);
                let half = F::of(0.5);
                out.mapv_inplace(|u| if u < half { -F::one() } else { F::one() });
            }
        }
    }
}

/// Hutchinson's estimator: `tr J ≈ zᵀ J z`, for each of K random probes z.
///
/// # Randomness
/// Probe k of a row is drawn from `noise` at step k; d numbers each.
/// # Complexity
/// K Jacobian products.
/// # References
/// Hutchinson (1990), *A stochastic estimator of the trace of the influence matrix for Laplacian smoothing splines*;
/// Skilling (1989), *The eigenvalues of mega-dimensional matrices*.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hutchinson {
    probes: usize,
    law: Probe,
    noise: Noise,
}

impl Hutchinson {
    /// With so many probes.
    ///
    /// # Errors
    /// [`Error::Domain`] for none.
    pub fn new(probes: usize, law: Probe, noise: Noise) -> Result<Hutchinson, Error> {
        Error::domain(probes > 0, "probes", 0.0, "at least 1")?;
        Ok(Hutchinson { probes, law, noise })
    }
}

impl<F: Real, V: JacobianProducts<F>> TraceEstimator<F, V> for Hutchinson {
    fn columns(&self) -> usize {
        self.probes
    }

    fn traces_into(
        &self,
        field: &V,
        batch: &Batch<'_, F>,
        identity_parts: &[f64],
        out: &mut [f64],
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        let [mut z, mut jz] = [(); 2].map(|()| Array2::<F>::zeros(batch.x().raw_dim()));
        let d = batch.dim() as f64;
        for probe in 0..self.probes {
            self.law.draw(self.noise, batch.rows(), probe, &mut z);
            rest_into(field, batch, identity_parts, &z, &mut jz, scratch)?;
            for (r, &c) in identity_parts.iter().enumerate() {
                out[r * self.probes + probe] = c * d + dot(&z, &jz, r);
            }
        }
        Ok(())
    }
}

/// Hutch++: the trace on a subspace that holds most of J exactly, and Hutchinson's estimator for the rest.
///
/// ```math
/// \mathrm{tr} J \approx \mathrm{tr}(Q^\top J Q) + g^\top P J P g, \qquad Q = \mathrm{orth}(J S),\ P = I - Q Q^\top,
/// ```
/// with `rank` normal columns S and, for each of K estimates, a probe g. Unbiased, and exact for J of rank at most
/// `rank` and for `rank` ≥ d; the standard error is that of the rest, given S. Each row has its own S and Q.
///
/// # Randomness
/// The columns of S from the stream "range" of `noise`, the probes from its stream "residual".
/// # Complexity
/// 2 `rank` + K Jacobian products and O(d `rank`²) per row.
/// # References
/// Meyer, Musco, Musco, Woodruff (2021), *Hutch++: optimal stochastic trace estimation*, algorithm 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HutchPlusPlus {
    rank: usize,
    probes: usize,
    law: Probe,
    noise: Noise,
}

impl HutchPlusPlus {
    /// With a subspace of dimension `rank` and so many probes for the rest.
    ///
    /// # Errors
    /// [`Error::Domain`] if either is 0.
    pub fn new(rank: usize, probes: usize, law: Probe, noise: Noise) -> Result<HutchPlusPlus, Error> {
        Error::domain(rank > 0, "rank", 0.0, "at least 1")?;
        Error::domain(probes > 0, "probes", 0.0, "at least 1")?;
        Ok(HutchPlusPlus { rank, probes, law, noise })
    }
}

impl<F: Real, V: JacobianProducts<F>> TraceEstimator<F, V> for HutchPlusPlus {
    fn columns(&self) -> usize {
        self.probes
    }

    fn traces_into(
        &self,
        field: &V,
        batch: &Batch<'_, F>,
        identity_parts: &[f64],
        out: &mut [f64],
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        let [mut z, mut jz] = [(); 2].map(|()| Array2::<F>::zeros(batch.x().raw_dim()));
        let (n, d) = (batch.len(), batch.dim() as f64);
        let mut basis: Vec<Array2<F>> = Vec::with_capacity(self.rank);
        let mut traces: Vec<f64> = identity_parts.iter().map(|c| c * d).collect();
        for column in 0..self.rank.min(batch.dim()) {
            if self.rank >= batch.dim() {
                // The whole space: no chance is needed.
                z.fill(F::zero());
                z.column_mut(column).fill(F::one());
                basis.push(z.clone());
                continue;
            }
            // Normal: columns of signs are equal to each other too often, and then miss a direction.
            Probe::Gaussian.draw(self.noise.fork("range"), batch.rows(), column, &mut z);
            rest_into(field, batch, identity_parts, &z, &mut jz, scratch)?;
            for r in 0..n {
                orthonormalise(&basis, &mut jz, r);
            }
            basis.push(jz.clone());
        }
        for q in &basis {
            rest_into(field, batch, identity_parts, q, &mut jz, scratch)?;
            for (r, trace) in traces.iter_mut().enumerate() {
                *trace += dot(q, &jz, r);
            }
        }
        for probe in 0..self.probes {
            self.law.draw(self.noise.fork("residual"), batch.rows(), probe, &mut z);
            for r in 0..n {
                project_out(&basis, &mut z, r);
            }
            rest_into(field, batch, identity_parts, &z, &mut jz, scratch)?;
            for (r, trace) in traces.iter().enumerate() {
                out[r * self.probes + probe] = trace + dot(&z, &jz, r);
            }
        }
        Ok(())
    }
}

/// `out = (J − c I) v`.
fn rest_into<F: Real>(
    field: &impl JacobianProducts<F>,
    batch: &Batch<'_, F>,
    identity_parts: &[f64],
    v: &ArrayRef2<F>,
    out: &mut ArrayRef2<F>,
    scratch: &mut Scratch,
) -> Result<(), Error> {
    field.jvp_into(batch, v, out, scratch)?;
    for ((mut out, v), &c) in out.rows_mut().into_iter().zip(v.rows()).zip(identity_parts) {
        if c != 0.0 {
            out.zip_mut_with(&v, |out, &v| *out -= F::of(c) * v);
        }
    }
    Ok(())
}

/// Scalar product of row r of both.
fn dot<F: Real>(a: &ArrayRef2<F>, b: &ArrayRef2<F>, r: usize) -> f64 {
    a.row(r).iter().zip(b.row(r)).map(|(a, b)| a.as_f64() * b.as_f64()).sum()
}

/// Takes from row r of `v` what lies in the span of the basis.
fn project_out<F: Real>(basis: &[Array2<F>], v: &mut Array2<F>, r: usize) {
    for q in basis {
        let along = F::of(dot(q, v, r));
        v.row_mut(r).zip_mut_with(&q.row(r), |v, &q| *v -= along * q);
    }
}

/// Makes row r of `v` a unit vector orthogonal to the basis; 0 if nothing but rounding is left of it.
fn orthonormalise<F: Real>(basis: &[Array2<F>], v: &mut Array2<F>, r: usize) {
    let size = dot(v, v, r).sqrt();
    // Twice is enough for orthogonality to rounding.
    project_out(basis, v, r);
    project_out(basis, v, r);
    let left = dot(v, v, r).sqrt();
    let scale = if left > 100.0 * F::epsilon().as_f64() * size { 1.0 / left } else { 0.0 };
    v.row_mut(r).mapv_inplace(|v| F::of(scale) * v);
}
