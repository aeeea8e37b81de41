//! The locally moment-matched step.

use numeric::ndarray::{Array2, ArrayRef2};
use numeric::{Batch, Error, Model, PosteriorCovariance, Prediction, Real, Scratch, Times, vectorize};

use super::gap::Gap;
use super::{GaussianStep, History, Method, Recycled, Spread, Step, gaussian_step};
use crate::LinearProcess;

/// Gaussian step with the exact mean *and* covariance of the true reverse kernel at the current point.
///
/// ```math
/// u' \mid u \sim N\Big( m(u) + \frac{v'}{v}(u - m(u)),\
///   \frac{v'(v - v')}{v} I + \Big(1 - \frac{v'}{v}\Big)^2 \Sigma(u) \Big), \qquad
/// m = \mathbb{E}[x_0 \mid u],\ \Sigma = \mathrm{Cov}(x_0 \mid u).
/// ```
/// Third cumulants drive its error, so that the KL falls like 1/N² where the other methods' falls like 1/N: a
/// second-order sampler. It needs the posterior covariance of the model ([`PosteriorCovariance`]), and the
/// model's prediction to be the denoiser. Scheme L in the tables of this house.
///
/// # Convergence
/// KL of the chain O(1/N²).
/// # Randomness
/// d normals per row and step.
/// # Complexity
/// One evaluation of mean and covariance and one Cholesky factorisation, d³/3, per row and step.
/// # References
/// Optimal-covariance reverse steps: Bao et al. (2022), *Analytic-DPM*; Ou et al. (2024), *Improving
/// probabilistic diffusion models with optimal diagonal covariance matching*.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LocallyMomentMatched;

impl<F: Real, V: PosteriorCovariance<F>, S: LinearProcess> Method<F, Model<V, S>> for LocallyMomentMatched {
    fn name(&self) -> &'static str {
        "locally moment-matched (L)"
    }

    fn step(
        &self,
        model: &Model<V, S>,
        step: Step<'_>,
        x: &mut ArrayRef2<F>,
        _: &mut History<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        gaussian_step(self, model, step, x, scratch)
    }
}

impl<F: Real, V: PosteriorCovariance<F>, S: LinearProcess> GaussianStep<F, Model<V, S>>
    for LocallyMomentMatched
{
    fn transition(
        &self,
        model: &Model<V, S>,
        step: Step<'_>,
        x: &ArrayRef2<F>,
        mean: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<Spread<F>, Error> {
        if model.prediction != Prediction::Denoised {
            let reason =
                "a posterior covariance belongs to a denoiser, and the model predicts something else";
            return Err(Error::Unsupported { method: "LocallyMomentMatched", reason });
        }
        let (n, d) = x.dim();
        let gap = Gap::of(&model.schedule, step.from, step.to)?;
        let batch = Batch::new(step.rows, Times::Same(step.from), x);
        let Recycled(mut entries) = scratch.take();
        entries.resize(n * d * d, F::zero());
        let mut covariance = Array2::from_shape_vec((n, d * d), entries).expect("sized above");
        model.field.mean_covariance_into(&batch, mean, &mut covariance, scratch)?;
        let (a, b) = gap.posterior_mean();
        let (a, b) = (F::of(a), F::of(b));
        mean.zip_mut_with(x, |m, &x| *m = a * x + b * *m);
        let mut factors = covariance.into_raw_vec_and_offset().0;
        let (scale, bridge) = (F::of((b * b).as_f64()), F::of(gap.bridge_variance()));
        for (row, matrix) in factors.chunks_exact_mut(d * d).enumerate() {
            vectorize(
                #[inline(always)]
                || {
                    matrix.iter_mut().for_each(|entry| *entry *= scale);
                    for j in 0..d {
                        matrix[j * d + j] += bridge;
                    }
                    cholesky(matrix, d)
                },
            )
            .then_some(())
            .ok_or(Error::NotPositiveDefinite { parameter: "posterior covariance", index: row })?;
        }
        Ok(Spread::PerRow(factors))
    }
}

/// Rows eliminated together: each entry of the rest is read and written once for all of them.
const PANEL: usize = 4;

/// Replaces the lower triangle of a symmetric row-major matrix by its Cholesky factor; whether it has one.
#[inline(always)]
pub(crate) fn cholesky<F: Real>(a: &mut [F], d: usize) -> bool {
    // Right-looking on the upper triangle, whose rows are contiguous, then one transposition.
    for first in (0..d).step_by(PANEL) {
        let end = d.min(first + PANEL);
        let (above, below) = a.split_at_mut(end * d);
        let panel = &mut above[first * d..];
        for k in first..end {
            let (done, rest) = panel.split_at_mut((k - first + 1) * d);
            let row = &mut done[(k - first) * d..];
            let pivot = row[k];
            if !(pivot > F::zero()) {
                return false;
            }
            let inverse = F::one() / pivot.sqrt();
            for x in &mut row[k..] {
                *x *= inverse;
            }
            for (i, other) in (k + 1..end).zip(rest.chunks_exact_mut(d)) {
                let factor = row[i];
                for (x, &p) in other[i..].iter_mut().zip(&row[i..]) {
                    *x -= factor * p;
                }
            }
        }
        if end - first < PANEL {
            break;
        }
        let rows: [&[F]; PANEL] = std::array::from_fn(|q| &panel[q * d..][..d]);
        for (i, other) in (end..d).zip(below.chunks_exact_mut(d)) {
            let factors = rows.map(|row| row[i]);
            // From a multiple of 8 on, so that most rows are whole vectors; what stands left of the diagonal is
            // not used again.
            let start = i / 8 * 8;
            let [r0, r1, r2, r3] = rows.map(|row| &row[start..d]);
            for ((((x, &p0), &p1), &p2), &p3) in other[start..d].iter_mut().zip(r0).zip(r1).zip(r2).zip(r3) {
                *x -= (factors[0] * p0 + factors[1] * p1) + (factors[2] * p2 + factors[3] * p3);
            }
        }
    }
    for i in 0..d {
        for j in 0..i {
            a[i * d + j] = a[j * d + i];
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::cholesky;

    #[test]
    fn the_factor_squares_to_the_matrix_and_indefinite_ones_are_refused() {
        let d = 7;
        let b: Vec<f64> = (0..d * d).map(|i| ((i * 37) % 11) as f64 - 4.0).collect();
        let entry = |i: usize, j: usize| (0..d).map(|k| b[i * d + k] * b[j * d + k]).sum::<f64>();
        let matrix: Vec<f64> =
            (0..d * d).map(|i| entry(i / d, i % d) + f64::from(u8::from(i / d == i % d))).collect();
        let mut l = matrix.clone();
        assert!(cholesky(&mut l, d));
        for i in 0..d {
            for j in 0..=i {
                let product: f64 = (0..=j).map(|k| l[i * d + k] * l[j * d + k]).sum();
                assert!((product - matrix[i * d + j]).abs() < 1e-11);
            }
        }
        let mut bad = matrix;
        bad[d * d - 1] = -1.0;
        assert!(!cholesky(&mut bad, d));
        assert!(!cholesky(&mut [f64::NAN], 1) && !cholesky(&mut [0.0_f64], 1));
    }
}
