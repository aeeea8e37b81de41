//! The reverse-time equations of a linear process.

use numeric::ndarray::ArrayRef2;
use numeric::{
    Batch, Batching, Error, Model, Prediction, Real, Scratch, Time, Times, VectorField, vectorize,
};

use super::coefficients::{slice, slice_mut};
use super::{NoiseClass, Reading, Sde};
use crate::LinearProcess;

/// The family of equations that carry the marginals of a linear process back in time, with stochasticity λ.
///
/// With `f = α'/α` and `g² = 2σ(σ' − σ α'/α)` of the process `dX = f X dt + g dB`, and the score s of a model, per
/// unit of time *elapsed backwards*:
///
/// ```math
/// dX = \Big( -f X + \frac{1 + \lambda^2}{2}\, g^2\, s(t, X) \Big) d\bar t + \lambda\, g\, d\bar W.
/// ```
///
/// For the exact score every λ ≥ 0 has the marginals of the process at every time: λ = 1 is the reversal of the process
/// itself, λ = 0 the probability flow, and a larger λ mixes more and corrects the errors of earlier steps at the price
/// of smaller steps. The noise is additive, so that the reading makes no difference. To be solved on grids that go
/// backward, by the integrators for general equations; the samplers of [`Method`](crate::Method) know more of the
/// process and need fewer steps.
///
/// ```
/// use numeric::{Batch, Scratch, Time, Times, ndarray::array};
/// use sde_core::{Mixture, Component, Covariance, Ou, ReverseTime, Sde};
/// // The score of N(0, I) is −x: back along OU the drift is x − (1 + λ²) x.
/// let data = Mixture::new(vec![Component { weight: 1.0, mean: array![0.0], covariance: Covariance::Isotropic(1.0) }])?;
/// let sde = ReverseTime::new(data.score::<f64, _>(Ou), 2.0)?;
/// let (x, mut drift) = (array![[3.0]], array![[0.0]]);
/// sde.drift_into(&Batch::new(&[0], Times::Same(Time::of(0.5)), &x), &mut drift, &mut Scratch::new())?;
/// assert!((drift[(0, 0)] - (3.0 - 5.0 * 3.0)).abs() < 1e-12);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// Anderson (1982), *Reverse-time diffusion equation models*. Song et al. (2021), *Score-based generative modeling
/// through stochastic differential equations*, equations 6 and 13. Zhang, Chen (2022), *Fast sampling of diffusion
/// models with exponential integrator*, proposition 1 (the family in λ).
#[derive(Clone, Debug)]
pub struct ReverseTime<V, S> {
    model: Model<V, S>,
    lambda: f64,
}

impl<V, S: LinearProcess> ReverseTime<V, S> {
    /// The reversal of the model's process with stochasticity `lambda`.
    ///
    /// # Errors
    /// [`Error::Domain`] unless `lambda` is a finite number of at least 0.
    pub fn new(model: Model<V, S>, lambda: f64) -> Result<ReverseTime<V, S>, Error> {
        let ok = lambda >= 0.0 && lambda.is_finite();
        Error::domain(ok, "lambda", lambda, "a finite number of at least 0")?;
        Ok(ReverseTime { model, lambda })
    }
}

impl<F: Real, V: VectorField<F>, S: LinearProcess> Sde<F> for ReverseTime<V, S> {
    fn dim(&self) -> usize {
        self.model.field.dim()
    }

    fn noise_dim(&self) -> usize {
        self.model.field.dim()
    }

    fn reading(&self) -> Reading {
        Reading::Ito
    }

    fn noise_class(&self) -> NoiseClass {
        NoiseClass::Additive
    }

    fn backward(&self) -> bool {
        true
    }

    fn drift_into(
        &self,
        batch: &Batch<'_, F>,
        out: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        self.model.predict_into(Prediction::Score, batch, out, scratch)?;
        of_times(batch, out, batch.x_slice(), |time| {
            let of = self.model.schedule.drift_and_diffusion(time);
            let weight = 0.5 * (1.0 + self.lambda * self.lambda) * of.diffusion_squared;
            let (a, b) = (F::of(-of.drift), F::of(weight));
            move |s, x| a * x + b * s
        });
        Ok(())
    }

    fn diffuse_into(
        &self,
        batch: &Batch<'_, F>,
        w: &ArrayRef2<F>,
        out: &mut ArrayRef2<F>,
        _: &mut Scratch,
    ) -> Result<(), Error> {
        of_times(batch, out, slice(w), |time| {
            let of = self.model.schedule.drift_and_diffusion(time);
            let scale = F::of(self.lambda * of.diffusion_squared.sqrt());
            move |_, w| scale * w
        });
        Ok(())
    }

    fn diffuse_derivative_into(
        &self,
        _: &Batch<'_, F>,
        _: &ArrayRef2<F>,
        _: &ArrayRef2<F>,
        out: &mut ArrayRef2<F>,
        _: &mut Scratch,
    ) -> Result<(), Error> {
        out.fill(F::zero());
        Ok(())
    }

    fn batching(&self) -> Batching {
        self.model.field.batching()
    }
}

/// `out = f(out, other)` for each coordinate, with the f of its row's time, which is asked for once where all have the same.
fn of_times<F: Real, G: Fn(F, F) -> F>(
    batch: &Batch<'_, F>,
    out: &mut ArrayRef2<F>,
    other: &[F],
    of: impl Fn(Time) -> G,
) {
    let each = if let Times::Same(_) = batch.times() { other.len() } else { batch.dim() }.max(1);
    let pairs = slice_mut(out).chunks_mut(each).zip(other.chunks(each));
    for (row, (out, other)) in pairs.enumerate() {
        let f = of(batch.times().get(row));
        vectorize(
            #[inline(always)]
            || {
                for (out, &other) in out.iter_mut().zip(other) {
                    *out = f(*out, other);
                }
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use numeric::Level;
    use numeric::ndarray::{Array2, array, s};

    use super::*;
    use crate::{Component, CosineVp, Covariance, LinearVp, Mixture, Ou};

    /// For N(m, c) the drift is linear, `A x + B`, and mean and variance of the marginals must go back along it:
    /// `−μ' = A μ + B` and `−v' = 2 A v + λ² g²`, with μ = α m, v = α² c + σ², and g² from the textbook, 2 r.
    #[test]
    fn every_stochasticity_keeps_the_marginals_of_a_gaussian() {
        fn check(process: impl LinearProcess + Copy, rate: impl Fn(Time) -> f64) {
            let (m, c) = (1.7, 0.3);
            let covariance = Covariance::Isotropic(c);
            let data = Mixture::new(vec![Component { weight: 1.0, mean: array![m], covariance }]).unwrap();
            for lambda in [0.0, 0.5, 1.0, 3.0] {
                let sde = ReverseTime::new(data.denoiser::<f64, _>(process), lambda).unwrap();
                for t in [0.01, 0.3, 0.9] {
                    let time = Time { t, to_end: 1.0 - t };
                    let at = |x: f64| {
                        let (x, mut out) = (array![[x]], array![[0.0]]);
                        let batch = Batch::new(&[0], Times::Same(time), &x);
                        sde.drift_into(&batch, &mut out, &mut Scratch::new()).unwrap();
                        out[(0, 0)]
                    };
                    let (b, a) = (at(0.0), at(1.0) - at(0.0));
                    let Level { alpha, sigma, d_alpha, d_sigma } = process.level(time);
                    let (mean, d_mean) = (alpha * m, d_alpha * m);
                    let v = alpha * alpha * c + sigma * sigma;
                    let d_v = 2.0 * alpha * d_alpha * c + 2.0 * sigma * d_sigma;
                    let g2 = 2.0 * rate(time);
                    assert!((a * mean + b + d_mean).abs() < 1e-9 * (1.0 + d_mean.abs()), "{lambda} {t}");
                    let back = 2.0 * a * v + lambda * lambda * g2;
                    assert!((back + d_v).abs() < 1e-9 * (1.0 + d_v.abs()), "{lambda} {t}: {back} {d_v}");
                    let (x, w, mut out) = (array![[0.0]], array![[1.0]], array![[0.0]]);
                    let batch = Batch::new(&[0], Times::Same(time), &x);
                    sde.diffuse_into(&batch, &w, &mut out, &mut Scratch::new()).unwrap();
                    assert!((out[(0, 0)] - lambda * g2.sqrt()).abs() < 1e-9, "{lambda} {t}");
                }
            }
        }
        let linear = LinearVp::new(0.1, 20.0).unwrap();
        let cosine = CosineVp::new(0.008).unwrap();
        check(Ou, |_| 1.0);
        check(linear, |time| 0.5 * (0.1 + 19.9 * time.t));
        check(cosine, |time| {
            let phi = std::f64::consts::FRAC_PI_2 / 1.008;
            phi * (phi * (time.t + 0.008)).tan()
        });
        for lambda in [-0.1, f64::NAN, f64::INFINITY] {
            let data = Mixture::atoms(&array![[0.0]], None).unwrap();
            assert!(ReverseTime::new(data.score::<f64, _>(Ou), lambda).is_err());
        }
    }

    /// Rows with times of their own, and rows that share one, have the numbers of each row alone.
    #[test]
    fn rows_have_the_coefficients_of_their_times() {
        let covariance = Covariance::Isotropic(0.5);
        let data =
            Mixture::new(vec![Component { weight: 1.0, mean: array![0.3, -1.0], covariance }]).unwrap();
        let sde = ReverseTime::new(data.score::<f64, _>(LinearVp::new(0.1, 20.0).unwrap()), 0.7).unwrap();
        let x = array![[1.0, 2.0], [-0.5, 0.3], [0.0, 4.0]];
        let of = |rows: &[u64], times: Times<'_>, x: &Array2<f64>| {
            let (batch, mut scratch) = (Batch::new(rows, times, x), Scratch::new());
            let [mut drift, mut noise] = [(); 2].map(|()| Array2::zeros(x.raw_dim()));
            sde.drift_into(&batch, &mut drift, &mut scratch).unwrap();
            sde.diffuse_into(&batch, x, &mut noise, &mut scratch).unwrap();
            [drift, noise]
        };
        let each = [0.1, 0.5, 0.9].map(Time::of);
        let (own, same) =
            (of(&[0, 1, 2], Times::PerRow(&each), &x), of(&[0, 1, 2], Times::Same(each[1]), &x));
        for row in 0..3 {
            let one = x.slice(s![row..=row, ..]).to_owned();
            for (all, time) in [(&own, each[row]), (&same, each[1])] {
                let alone = of(&[row as u64], Times::Same(time), &one);
                for (all, alone) in all.iter().zip(&alone) {
                    assert_eq!(all.row(row), alone.row(0));
                }
            }
        }
    }
}
