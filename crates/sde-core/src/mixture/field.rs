//! The mixture's score, denoiser and posterior covariance as fields.

use std::sync::Arc;

use numeric::ndarray::ArrayRef2;
use numeric::{
    Batch, Batching, Divergence, Error, JacobianProducts, Level, PosteriorCovariance, PosteriorDraw,
    Prediction, Real, Schedule, Scratch, Times, VectorField, vectorize,
};

use super::draw::Normals;
use super::evaluate::{AtLevel, Columns, Readout, Rotation, Tables, Work};

/// The exact score or denoiser of a [`Mixture`](super::Mixture) under a process; made by
/// [`Mixture::score`](super::Mixture::score) and [`Mixture::denoiser`](super::Mixture::denoiser).
///
/// Evaluated in `F` from tables that are shared by all threads; row i of the result depends on row i alone.
/// Costs O(k d) per row for isotropic components and O(k d r) with r directions each. Components whose
/// responsibility is below e^{−60} of the largest count as zero.
#[derive(Clone, Debug)]
pub struct MixtureField<F, S> {
    tables: Arc<Tables<F>>,
    prediction: Prediction,
    process: S,
}

impl<F: Real, S: Schedule> MixtureField<F, S> {
    pub(super) fn new(tables: Tables<F>, prediction: Prediction, process: S) -> MixtureField<F, S> {
        MixtureField { tables: Arc::new(tables), prediction, process }
    }

    /// `log q(x)` of the rows `x`, row-major, under the law of `α x_0 + σ z`, written over `out`. Nats.
    ///
    /// The rows come as a slice of length n·d and `out` has length n. For whole arrays see
    /// [`Mixture::ln_density`](super::Mixture::ln_density).
    ///
    /// # Errors
    /// [`Error::Domain`] for σ = 0 where a component has no density.
    pub fn ln_density_into(
        &self,
        alpha: f64,
        sigma: f64,
        x: &[F],
        out: &mut [f64],
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        let mut work: Work<F> = scratch.take();
        let done = self.tables.weigh(AtLevel { alpha, sigma }, x, true, &mut work);
        if done.is_ok() {
            out.copy_from_slice(work.ln_density());
        }
        scratch.put(work);
        done
    }

    /// Runs `eval(level, rows)` on parts of the batch that share a time.
    fn by_level(
        &self,
        batch: &Batch<'_, F>,
        mut eval: impl FnMut(AtLevel, std::ops::Range<usize>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let at = |level: Level| AtLevel { alpha: level.alpha, sigma: level.sigma };
        match batch.times() {
            Times::Same(time) => eval(at(self.process.level(time)), 0..batch.len()),
            Times::PerRow(times) => {
                times.iter().enumerate().try_for_each(|(i, &t)| eval(at(self.process.level(t)), i..i + 1))
            }
        }
    }

    fn read_into(
        &self,
        what: Readout,
        batch: &Batch<'_, F>,
        out: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        let (x, out) = (batch.x_slice(), out.as_slice_mut().expect("fields are given standard layout"));
        let mut work: Work<F> = scratch.take();
        let done = match batch.times() {
            Times::Same(time) => {
                let Level { alpha, sigma, .. } = self.process.level(time);
                let at = AtLevel { alpha, sigma };
                let weighed = self.tables.weigh(at, x, false, &mut work);
                weighed.map(|()| self.tables.read(at, what, x, &mut work, out))
            }
            Times::PerRow(times) => {
                let mut columns: Columns<F> = scratch.take();
                let mut levels: Vec<Level> = scratch.take();
                self.process.levels_into(times, &mut levels);
                columns.levels.clear();
                columns
                    .levels
                    .extend(levels.iter().map(|&Level { alpha, sigma, .. }| AtLevel { alpha, sigma }));
                scratch.put(levels);
                let done = self.tables.read_rows(what, x, &mut work, &mut columns, out);
                scratch.put(columns);
                done
            }
        };
        scratch.put(work);
        done
    }
}

impl<F: Real, S: Schedule> VectorField<F> for MixtureField<F, S> {
    fn dim(&self) -> usize {
        self.tables.dim
    }

    fn eval_into(&self, batch: &Batch<'_, F>, out: &mut ArrayRef2<F>, s: &mut Scratch) -> Result<(), Error> {
        match self.prediction {
            Prediction::Score => self.read_into(Readout::Score, batch, out, s),
            _ => self.read_into(Readout::Mean, batch, out, s),
        }
    }

    /// Blocks whose rows take 16 kB, so that a step's buffers stay in the first-level cache together; or 64 kB
    /// with directions, so that many rows share each component's matrices.
    fn batching(&self) -> Batching {
        let bytes =
            if self.tables.components.iter().any(|c| !c.variances.is_empty()) { 65_536 } else { 16_384 };
        let rows = bytes / (self.tables.dim * size_of::<F>());
        Batching { rows: rows.clamp(16, 512).next_multiple_of(16), ..Batching::default() }
    }
}

impl<F: Real, S: Schedule> PosteriorCovariance<F> for MixtureField<F, S> {
    /// ```math
    /// \Sigma(x) = \sum_i r_i \Lambda_i + \sum_i r_i (\mu_i - \mu)(\mu_i - \mu)^\top, \qquad
    /// \Lambda_i = \sigma^2 C_i (\alpha^2 C_i + \sigma^2)^{-1}.
    /// ```
    fn mean_covariance_into(
        &self,
        batch: &Batch<'_, F>,
        mean: &mut ArrayRef2<F>,
        covariance: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        let d = self.tables.dim;
        let mut work: Work<F> = scratch.take();
        let covariance = covariance.as_slice_mut().expect("fields are given standard layout");
        let mean = mean.as_slice_mut().expect("fields are given standard layout");
        covariance.fill(F::zero());
        let done = self.by_level(batch, |at, rows| {
            let (first, last) = (rows.start * d, rows.end * d);
            let x = &batch.x_slice()[first..last];
            self.tables.weigh(at, x, false, &mut work)?;
            self.tables.read(at, Readout::Mean, x, &mut work, &mut mean[first..last]);
            self.add_covariances(at, x, &mean[first..last], &mut work, &mut covariance[first * d..last * d]);
            Ok(())
        });
        scratch.put(work);
        done
    }

    /// Without the matrix, as a sum of independent parts.
    ///
    /// With the responsibilities r, the posteriors `N(μ_i, Λ_i)` of the components and `Λ_i = b_i I + (the rest)`,
    ///
    /// ```math
    /// \Sigma = \Big(\sum_i r_i b_i\Big) I + \sum_i r_i (\Lambda_i - b_i I) + \sum_{ij} (r_i \delta_{ij} - r_i r_j) \mu_i \mu_j^\top :
    /// ```
    /// d normals for the first, one for each direction for the second, and for the third one normal for each component:
    /// they are added to the responsibilities with the covariance of a categorical variable, and the mean is read with what
    /// comes of it. So a draw costs one evaluation, O(k d) without directions. It exists for singular covariances
    /// too.
    fn draw_into(
        &self,
        batch: &Batch<'_, F>,
        draw: PosteriorDraw,
        out: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        draw.check()?;
        let d = self.tables.dim;
        let (mut work, mut normals): (Work<F>, Normals<F>) = (scratch.take(), scratch.take());
        let out = out.as_slice_mut().expect("fields are given standard layout");
        let done = self.by_level(batch, |at, rows| {
            let part = rows.start * d..rows.end * d;
            let (x, out) = (&batch.x_slice()[part.clone()], &mut out[part]);
            self.tables.weigh(at, x, false, &mut work)?;
            self.tables.draw(at, draw, (&batch.rows()[rows], x), &mut work, &mut normals, out);
            Ok(())
        });
        scratch.put(work);
        scratch.put(normals);
        done
    }
}

impl<F: Real, S: Schedule> MixtureField<F, S> {
    fn add_covariances(&self, at: AtLevel, x: &[F], mean: &[F], work: &mut Work<F>, out: &mut [F]) {
        let d = self.tables.dim;
        let n = x.len() / d;
        let components = &self.tables.components;
        // First what each component has for its rows, then row by row, so that a row's matrix is made in one go.
        let mut within = vec![F::zero(); components.len() * d * d];
        let mut parts: Vec<Vec<(usize, Vec<F>)>> = vec![Vec::new(); n];
        for (i, component) in components.iter().enumerate() {
            let gains = component.gains(at, Readout::Mean);
            self.tables.coordinates_of(i, &gains, work, |_| F::one());
            self.tables.back_of(i, work);
            if work.active().is_empty() {
                continue;
            }
            self.within(at, i, &mut within[i * d * d..][..d * d]);
            let (kappa, rho) = component.readout(at, Readout::Mean);
            let (kappa, rho) = (F::of(kappa), F::of(rho - at.alpha * kappa));
            for (&row, back) in work.active().iter().zip(work.back().chunks_exact(d)) {
                let (x, mean) = (&x[row * d..][..d], &mean[row * d..][..d]);
                let deviation =
                    (0..d).map(|j| kappa * x[j] + rho * component.mean[j] + back[j] - mean[j]).collect();
                parts[row].push((i, deviation));
            }
        }
        for (row, (parts, out)) in parts.iter().zip(out.chunks_exact_mut(d * d)).enumerate() {
            for (i, deviation) in parts {
                let weight = work.weights[i * n + row] * work.scales[row];
                add_part(weight, &within[i * d * d..][..d * d], deviation, out);
            }
        }
        for matrix in out.chunks_exact_mut(d * d) {
            for j in 0..d {
                for l in 0..j {
                    matrix[j * d + l] = matrix[l * d + j];
                }
            }
        }
    }

    /// `Λ_i` of one component at a level, `(d, d)`.
    fn within(&self, at: AtLevel, i: usize, out: &mut [F]) {
        let d = self.tables.dim;
        let component = &self.tables.components[i];
        match &component.rotation {
            Rotation::None => {}
            Rotation::Axes => {
                for (j, &c) in component.variances.iter().enumerate() {
                    out[j * d + j] = F::of(at.posterior(c));
                }
                return;
            }
            Rotation::Columns { onto, back, .. } => {
                let excess: Vec<F> = component
                    .variances
                    .iter()
                    .map(|&c| F::of(at.posterior_excess(c, component.floor)))
                    .collect();
                let mut scaled = Vec::with_capacity(d * excess.len());
                for row in 0..d {
                    scaled.extend(onto.row(row).iter().zip(&excess).map(|(&u, &e)| u * e));
                }
                back.left_multiply(&scaled, out);
            }
        }
        for j in 0..d {
            out[j * d + j] += F::of(at.posterior(component.floor));
        }
    }

    /// The Jacobian of this field is `a I + b Σ(x)`; returns (a, b).
    ///
    /// By Tweedie, `∂E[x_0|x]/∂x = (α/σ²) Σ`, and the score is `(α E[x_0|x] − x)/σ²`.
    fn jacobian_from_covariance(&self, level: Level) -> (f64, f64) {
        let Level { alpha, sigma, .. } = level;
        let variance = sigma * sigma;
        match self.prediction {
            Prediction::Score => (-1.0 / variance, (alpha / variance).powi(2)),
            _ => (0.0, alpha / variance),
        }
    }

    /// Calls `take(row, a, b, Σ)` for each row.
    fn with_covariances(
        &self,
        batch: &Batch<'_, F>,
        scratch: &mut Scratch,
        mut take: impl FnMut(usize, f64, f64, &[F]),
    ) -> Result<(), Error> {
        let d = self.tables.dim;
        let mut mean = numeric::ndarray::Array2::zeros((batch.len(), d));
        let mut covariance = numeric::ndarray::Array2::zeros((batch.len(), d * d));
        self.mean_covariance_into(batch, &mut mean, &mut covariance, scratch)?;
        for (i, covariance) in covariance.rows().into_iter().enumerate() {
            let level = self.process.level(batch.times().get(i));
            Error::domain(
                level.sigma > 0.0,
                "sigma",
                level.sigma,
                "noise, for a Jacobian from the covariance",
            )?;
            let (a, b) = self.jacobian_from_covariance(level);
            take(i, a, b, covariance.to_slice().expect("made in standard layout"));
        }
        Ok(())
    }
}

/// `out += weight (within + deviation deviationᵀ)` on the upper triangle, `(d, d)`.
fn add_part<F: Real>(weight: F, within: &[F], deviation: &[F], out: &mut [F]) {
    let d = deviation.len();
    vectorize(
        #[inline(always)]
        || {
            let rows = out.chunks_exact_mut(d).zip(within.chunks_exact(d));
            for (j, ((out, within), &scale)) in rows.zip(deviation).enumerate() {
                let scale = weight * scale;
                // From a multiple of 8 on, for whole vectors.
                let start = j / 8 * 8;
                let entries = out[start..].iter_mut().zip(&within[start..]);
                for ((out, &within), &deviation) in entries.zip(&deviation[start..]) {
                    *out += weight * within + scale * deviation;
                }
            }
        },
    );
}

impl<F: Real, S: Schedule> JacobianProducts<F> for MixtureField<F, S> {
    /// Exact, through the posterior covariance: O(d²) per row beyond the evaluation. Needs σ > 0.
    fn jvp_into(
        &self,
        batch: &Batch<'_, F>,
        v: &ArrayRef2<F>,
        out: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        let d = self.tables.dim;
        self.with_covariances(batch, scratch, |i, a, b, covariance| {
            for j in 0..d {
                let row = covariance[j * d..][..d].iter().zip(v.row(i)).map(|(&c, &v)| c * v).sum::<F>();
                out[(i, j)] = F::of(a) * v[(i, j)] + F::of(b) * row;
            }
        })
    }
}

impl<F: Real, S: Schedule> Divergence<F> for MixtureField<F, S> {
    /// Exact: `a d + b tr Σ(x)`. Needs σ > 0.
    fn divergence_into(
        &self,
        batch: &Batch<'_, F>,
        out: &mut [f64],
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        let d = self.tables.dim;
        self.with_covariances(batch, scratch, |i, a, b, covariance| {
            let trace: f64 = (0..d).map(|j| covariance[j * d + j].as_f64()).sum();
            out[i] = a * d as f64 + b * trace;
        })
    }
}
