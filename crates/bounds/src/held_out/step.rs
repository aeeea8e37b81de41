//! One step of the chain given the data point that it leads to: its divergence, and the range of that.

use numeric::ndarray::ArrayRef2;
use numeric::special::{LN_2PI, r_minus_1_minus_ln};
use numeric::{Error, Model, Packed, PosteriorCovariance, Time, VectorField};
use sde_core::{
    Ddim, EulerMaruyama, ExponentialIntegrator, FrozenDenoiser, FrozenScore, GaussianStep, LinearProcess,
    LocallyMomentMatched, MomentMatched, ReverseSde, Spread, VariancePreserving,
};

/// The Ornstein–Uhlenbeck bridge over a step, `q(x' | x, x_0) = N(of_x · x + of_data · x_0, std² I)`.
///
/// In `u = x/α` with `v = (σ/α)²` it is `N(x_0 + (v'/v)(u − x_0), v'(v − v')/v I)`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bridge {
    pub(super) of_x: f64,
    pub(super) of_data: f64,
    pub(super) std: f64,
    /// Δη = 1/v' − 1/v.
    pub(super) eta_rise: f64,
    /// v at the start.
    v: f64,
    /// v'/v.
    kept: f64,
}

impl Bridge {
    /// # Errors
    /// [`Error::Domain`] unless the step goes towards the data and leaves some noise.
    pub(super) fn of(process: &impl LinearProcess, from: Time, to: Time) -> Result<Bridge, Error> {
        let (s, t) = (process.level(from), process.level(to));
        let (ratio, ratio_to) = (s.sigma / s.alpha, t.sigma / t.alpha);
        Error::domain(ratio.is_finite(), "grid.first", from.t, "a time with signal, σ/α < ∞")?;
        let inside = ratio_to > 0.0 && ratio_to < ratio;
        Error::domain(inside, "grid", to.t, "nodes with less and less noise, to one that still has some")?;
        let (kept, fresh) = ((ratio_to / ratio).powi(2), process.fresh_share(to, from));
        Ok(Bridge {
            of_x: kept * t.alpha / s.alpha,
            of_data: t.alpha * fresh,
            std: t.sigma * fresh.sqrt(),
            eta_rise: fresh / ratio_to.powi(2),
            v: ratio * ratio,
            kept,
        })
    }

    /// Writes the mean of the bridge for each row over `out`, all `(n, d)`.
    pub(super) fn mean_into(&self, x: &ArrayRef2<f64>, data: &ArrayRef2<f64>, out: &mut ArrayRef2<f64>) {
        out.assign(x);
        out.zip_mut_with(data, |out, &data| *out = self.of_x * *out + self.of_data * data);
    }

    /// Adds `KL(N(bridge, std² I) ‖ step)` of each row, in nats, to `total`.
    ///
    /// ```math
    /// \mathrm{KL} = \tfrac12 \sum_j (r_j - 1 - \log r_j) + \tfrac12 \lvert C^{-1/2} (\mu - m) \rvert^2,
    /// ```
    /// with `r_j` the ratios of the variances in the directions of an isotropic or principal spread; for a factor L,
    /// `½(s² |L⁻¹|² − d) + Σ log(L_jj/s)` takes the place of the first sum.
    pub(super) fn add_divergence(
        &self,
        bridge: &ArrayRef2<f64>,
        mean: &ArrayRef2<f64>,
        spread: &Spread<f64>,
        directions: Option<&Packed<f64>>,
        total: &mut [f64],
    ) -> Result<(), Error> {
        let (d, std) = (mean.ncols(), self.std);
        let smallest = match spread {
            Spread::Isotropic(s) => *s,
            Spread::Principal(scales) => scales.iter().copied().fold(f64::INFINITY, f64::min),
            Spread::PerRow(_) => 1.0, // a factor has passed its Cholesky decomposition
        };
        Error::domain(smallest > 0.0, "spread", smallest, "a step with noise: without it KL is infinite")?;
        let of_variances: f64 = match spread {
            Spread::Isotropic(s) => d as f64 * r_minus_1_minus_ln((std / s).powi(2)),
            Spread::Principal(scales) => scales.iter().map(|s| r_minus_1_minus_ln((std / s).powi(2))).sum(),
            Spread::PerRow(_) => 0.0,
        };
        let mut gap = vec![0.0; d];
        let mut inverse = vec![0.0; d];
        for (i, (total, (to, mean))) in
            total.iter_mut().zip(bridge.rows().into_iter().zip(mean.rows())).enumerate()
        {
            gap.iter_mut().zip(to.iter().zip(&mean)).for_each(|(gap, (to, mean))| *gap = to - mean);
            *total += 0.5
                * match spread {
                    Spread::Isotropic(s) => of_variances + gap.iter().map(|g| (g / s).powi(2)).sum::<f64>(),
                    Spread::Principal(scales) => {
                        let rows = directions.expect("a principal spread has directions");
                        let along = |j: usize| rows.row(j).iter().zip(&gap).map(|(p, g)| p * g).sum::<f64>();
                        let square = |(j, s): (usize, &f64)| (along(j) / s).powi(2);
                        of_variances + scales.iter().enumerate().map(square).sum::<f64>()
                    }
                    Spread::PerRow(factors) => {
                        of_factor(&factors[i * d * d..][..d * d], std, &mut gap, &mut inverse)
                    }
                };
        }
        Ok(())
    }
}

/// `s² |L⁻¹|² − d + 2 Σ log(L_jj/s) + |L⁻¹ gap|²` for a lower triangle L; overwrites `gap` and `column`.
fn of_factor(factor: &[f64], std: f64, gap: &mut [f64], column: &mut [f64]) -> f64 {
    let d = gap.len();
    // Forward substitution from entry `first` on, before which the right side is 0.
    let solve = |right: &mut [f64], first: usize| {
        for j in first..d {
            let known: f64 = (first..j).map(|l| factor[j * d + l] * right[l]).sum();
            right[j] = (right[j] - known) / factor[j * d + j];
        }
        right[first..].iter().map(|x| x * x).sum::<f64>()
    };
    let mut sum = solve(gap, 0);
    for j in 0..d {
        column.fill(0.0);
        column[j] = std;
        sum += (solve(column, j) - 1.0) + 2.0 * (factor[j * d + j] / std).ln();
    }
    sum
}

/// `(d/2) log(2πe σ²)`, the differential entropy of the noise.
pub(super) fn noise_entropy(dim: usize, sigma: f64) -> f64 {
    dim as f64 * (0.5 * (1.0 + LN_2PI) + sigma.ln())
}

/// What is known of the divergence of one step for every point: it lies in
/// `[floor, floor + slope · |x_0 − m̂|²]`, with m̂ the model's denoiser at the start of the step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepRange {
    /// The least it can be, in nats.
    pub floor: f64,
    /// Nats per square error of the denoiser.
    pub slope: f64,
}

/// A Gaussian step that can be measured on held-out data.
///
/// Every [`GaussianStep`] can: the provided method is all that is needed. A step whose divergence from the bridge is
/// bounded by the error of its denoiser says so, which is what
/// [`Interval::EmpiricalBernstein`](super::Interval::EmpiricalBernstein) asks for.
pub trait HeldOutStep<M>: GaussianStep<f64, M> {
    /// The range of `KL(q(x' | x, x_0) ‖ p(x' | x))` over all x and `x_0`, given the error of the denoiser.
    ///
    /// # Errors
    /// [`Error::Unsupported`], with the reason, where none is known; [`Error::Domain`] for a step that does not go
    /// towards the data.
    fn range(&self, model: &M, from: Time, to: Time) -> Result<StepRange, Error> {
        let _ = (model, from, to);
        let reason = "no range of the divergence of its steps is known, and without one there is no interval that \
                      holds at every number of rows: take the asymptotic one";
        Err(Error::Unsupported { method: self.name(), reason })
    }
}

/// `KL = ½ Δη |x_0 − m̂|²`.
impl<V: VectorField<f64>, S: VariancePreserving> HeldOutStep<Model<V, S>> for FrozenDenoiser {
    fn range(&self, model: &Model<V, S>, from: Time, to: Time) -> Result<StepRange, Error> {
        let bridge = Bridge::of(&model.schedule, from, to)?;
        Ok(StepRange { floor: 0.0, slope: 0.5 * bridge.eta_rise })
    }
}

/// The mean is that of the frozen denoiser and the variance that of the bridge times v/v'.
impl<V: VectorField<f64>, S: VariancePreserving> HeldOutStep<Model<V, S>> for FrozenScore {
    fn range(&self, model: &Model<V, S>, from: Time, to: Time) -> Result<StepRange, Error> {
        let bridge = Bridge::of(&model.schedule, from, to)?;
        let floor = 0.5 * model.field.dim() as f64 * r_minus_1_minus_ln(bridge.kept);
        Ok(StepRange { floor, slope: 0.5 * bridge.eta_rise * bridge.kept })
    }
}

/// In a direction of variance c: the variance is that of the bridge times `1 + Δη cv/(c + v)`.
impl<V: VectorField<f64>, S: VariancePreserving> HeldOutStep<Model<V, S>> for MomentMatched<f64> {
    fn range(&self, model: &Model<V, S>, from: Time, to: Time) -> Result<StepRange, Error> {
        let bridge = Bridge::of(&model.schedule, from, to)?;
        let shares =
            self.variances().iter().map(|c| 1.0 / (1.0 + bridge.eta_rise * c / (1.0 + c / bridge.v)));
        let floor = 0.5 * shares.clone().map(r_minus_1_minus_ln).sum::<f64>();
        Ok(StepRange { floor, slope: 0.5 * bridge.eta_rise * shares.fold(0.0, f64::max) })
    }
}

macro_rules! no_range {
    ($($method:ty: $field:ident),*) => {$(
        impl<V: $field<f64>, S: VariancePreserving> HeldOutStep<Model<V, S>> for $method {}
    )*};
}
no_range!(
    EulerMaruyama: VectorField,
    ExponentialIntegrator: VectorField,
    Ddim: VectorField,
    ReverseSde: VectorField,
    LocallyMomentMatched: PosteriorCovariance
);

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::{DMatrix, DVector};
    use numeric::ndarray::array;
    use sde_core::Ou;

    /// The formula in the signal-to-noise ratio, with Σ̂ and the residual r = x_0 − m̂:
    /// `½ log det(I + Δη Σ̂) + ½ rᵀ Δη (I + Δη Σ̂)⁻¹ r − ½ tr[Δη Σ̂ (I + Δη Σ̂)⁻¹]`.
    fn by_formula(eta: f64, sigma: &DMatrix<f64>, r: &DVector<f64>) -> f64 {
        let one = DMatrix::identity(r.len(), r.len());
        let a = &one + sigma * eta;
        let inverse = a.clone().try_inverse().expect("positive");
        0.5 * (a.determinant().ln() + eta * r.dot(&(&inverse * r)) - eta * (sigma * &inverse).trace())
    }

    #[test]
    fn the_divergence_is_the_formula_for_every_spread() {
        let (from, to) = (Time::of(0.7), Time::of(0.45));
        let bridge = Bridge::of(&Ou, from, to).expect("a step");
        let eta = |t: f64| 1.0 / (2.0 * t).exp_m1();
        assert!((bridge.eta_rise - (eta(0.45) - eta(0.7))).abs() < 1e-14);
        let (x, data) = (array![[0.3, -0.8, 0.1]], array![[0.5, 1.1, -0.4]]);
        let denoised = array![[0.2, 0.9, -0.9]];
        let r = DVector::from_iterator(3, data.iter().zip(&denoised).map(|(a, b)| a - b));
        let (mut of_bridge, mut mean) = (x.clone(), x.clone());
        bridge.mean_into(&x, &data, &mut of_bridge);
        bridge.mean_into(&x, &denoised, &mut mean);
        let found = |spread: Spread<f64>, directions: Option<&Packed<f64>>| {
            let mut total = [0.25];
            bridge.add_divergence(&of_bridge, &mean, &spread, directions, &mut total).expect("with noise");
            total[0] - 0.25
        };
        // D: the whole is ½ Δη |r|².
        let d = found(Spread::Isotropic(bridge.std), None);
        assert!((d - 0.5 * bridge.eta_rise * r.norm_squared()).abs() < 1e-14, "{d}");
        // G_c, isotropic and in turned directions, and a full Σ̂ by its Cholesky factor.
        let turn = DMatrix::from_row_slice(3, 3, &[0.6, 0.8, 0.0, -0.8, 0.6, 0.0, 0.0, 0.0, 1.0]);
        let packed = Packed::new(3, 3, |i, j| turn[(i, j)]);
        let values = DVector::from_row_slice(&[0.3, 0.0, 1.7]);
        let sigma = turn.transpose() * DMatrix::from_diagonal(&values) * &turn;
        let exact = by_formula(bridge.eta_rise, &sigma, &r);
        let scales = values.iter().map(|s| bridge.std * (1.0 + bridge.eta_rise * s).sqrt()).collect();
        assert!((found(Spread::Principal(scales), Some(&packed)) - exact).abs() < 1e-13);
        let covariance = (DMatrix::identity(3, 3) + &sigma * bridge.eta_rise) * bridge.std.powi(2);
        let factor = covariance.cholesky().expect("positive").l();
        let rows = (0..9).map(|i| if i % 3 > i / 3 { f64::NAN } else { factor[(i / 3, i % 3)] }).collect();
        assert!((found(Spread::PerRow(rows), None) - exact).abs() < 1e-13);
        let scalar = DMatrix::identity(3, 3) * 0.8;
        let wide = bridge.std * (1.0 + bridge.eta_rise * 0.8).sqrt();
        assert!(
            (found(Spread::Isotropic(wide), None) - by_formula(bridge.eta_rise, &scalar, &r)).abs() < 1e-13
        );
        let mut total = [0.0];
        for spread in [Spread::Isotropic(0.0), Spread::Principal(vec![1.0, 0.0, 1.0])] {
            assert!(bridge.add_divergence(&of_bridge, &mean, &spread, Some(&packed), &mut total).is_err());
        }
    }

    #[test]
    fn steps_the_wrong_way_or_to_the_data_are_refused() {
        for (from, to) in [(0.5, 0.7), (0.5, 0.5), (0.5, 0.0)] {
            assert!(Bridge::of(&Ou, Time::of(from), Time::of(to)).is_err(), "{from} {to}");
        }
    }
}
