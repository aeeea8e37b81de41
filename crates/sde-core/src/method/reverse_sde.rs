//! The reverse equations between ODE and SDE, with a frozen denoiser: Gaussian steps.

use numeric::ndarray::ArrayRef2;
use numeric::{Batch, Error, Model, Prediction, Real, Scratch, Times, VectorField};

use super::frozen::affine_step;
use super::gap::Gap;
use super::{GaussianStep, History, Method, Spread, Step, affine_into};
use crate::LinearProcess;

/// Reverse SDE of any stochasticity λ, with the denoiser frozen over the step: from DDIM (λ = 0) to DDPM (λ = 1).
///
/// Samples the exact law, for a constant m, of the family of reverse equations that share their marginals,
/// ```math
/// du = (1 + \lambda^2)(m - u)\, ds + \lambda \sqrt{2}\, r\, dW, \qquad
/// u = x/\alpha,\ r = \sigma/\alpha,\ s = -\ln r,\ m = \mathbb{E}[x_0 \mid x],
/// ```
/// which is, with ρ = r'/r,
/// ```math
/// u' \mid u \sim N\big( m + \rho^{1 + \lambda^2} (u - m),\ r'^2 (1 - \rho^{2 \lambda^2})\, I \big).
/// ```
/// λ = 0 is the probability flow, in the step of DDIM; λ = 1 is the reverse of the noising process, and the step is
/// that of [`FrozenDenoiser`](crate::FrozenDenoiser); more noise forgets the errors of the model faster and needs
/// more steps. At r' = 0 every λ ends in m.
///
/// # Convergence
/// Weak order 1 in h = −ln ρ; order 1 for λ = 0.
/// # Randomness
/// d normals per row and step; none for λ = 0.
/// # Complexity
/// One model evaluation per step.
///
/// ```
/// use numeric::{Noise, ndarray::array};
/// use sde_core::{FrozenDenoiser, Mixture, Ou, ReverseSde, Sampler, grid};
/// # fn main() -> Result<(), numeric::Error> {
/// let model = || Ok::<_, numeric::Error>(Mixture::atoms(&array![[-1.0], [1.0]], None)?.denoiser::<f64, _>(Ou));
/// let grid = grid::geometric_v(4.0, 1e-3, 20)?;
/// let x = Sampler::new(model()?, ReverseSde::new(1.0)?, grid.clone())?.sample(0..9, Noise::new(1), Default::default())?;
/// let ddpm = Sampler::new(model()?, FrozenDenoiser, grid)?.sample(0..9, Noise::new(1), Default::default())?;
/// assert!((x - ddpm).iter().all(|gap: &f64| gap.abs() < 1e-12));
/// # Ok(()) }
/// ```
///
/// # References
/// Zhang and Chen (2023), *Fast sampling of diffusion models with exponential integrator* (the family). Song, Meng,
/// Ermon (2021), *Denoising diffusion implicit models*; Ho, Jain, Abbeel (2020), *Denoising diffusion probabilistic
/// models* (its ends).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReverseSde {
    lambda: f64,
}

impl ReverseSde {
    /// The reverse SDE with stochasticity λ = `lambda`.
    ///
    /// # Errors
    /// [`Error::Domain`] unless `lambda` is finite and at least 0.
    pub fn new(lambda: f64) -> Result<ReverseSde, Error> {
        checked_stochasticity(lambda)?;
        Ok(ReverseSde { lambda })
    }

    /// The stochasticity λ.
    #[must_use]
    pub fn lambda(&self) -> f64 {
        self.lambda
    }

    /// What is kept of x, and, in u, what comes from m and the standard deviation.
    fn coefficients(&self, gap: &Gap) -> (f64, f64, f64) {
        let square = self.lambda * self.lambda;
        let (kept, lost) = gap.kept(1.0 + square);
        let kept = gap.of_x(kept, if square == 0.0 { 1.0 } else { 0.0 });
        (kept, lost, gap.to * gap.kept(2.0 * square).1.sqrt())
    }
}

pub(super) fn checked_stochasticity(lambda: f64) -> Result<(), Error> {
    Error::domain(lambda >= 0.0 && lambda.is_finite(), "lambda", lambda, "a finite number of at least 0")
}

/// DDIM with stochasticity η: from the deterministic step (η = 0) to DDPM (η = 1).
///
/// ```math
/// u' = m + \sqrt{r'^2 - \nu^2}\; \hat\varepsilon + \nu z, \qquad
/// \nu = \eta\, r' \sqrt{1 - r'^2/r^2},\ \hat\varepsilon = (u - m)/r,\ u = x/\alpha,\ r = \sigma/\alpha.
/// ```
/// For variance-preserving processes ν is σ_τ(η) of the paper over α'. The same step for every process is the
/// *ancestral Euler* step of other libraries, which goes down to `σ_down = √(r'² − ν²)` and up again by
/// `σ_up = ν`. Both ends are those of [`ReverseSde`]; in between, η and λ = η agree to first order in the step, and for
/// a point mass both leave exactly the noise that there must be, of variance r'².
///
/// # Convergence
/// Weak order 1 in h = ln(r/r'); order 1 for η = 0.
/// # Randomness
/// d normals per row and step; none for η = 0.
/// # Complexity
/// One model evaluation per step.
///
/// ```
/// use numeric::{Noise, ndarray::array};
/// use sde_core::{Ddim, Mixture, Ou, Sampler, grid};
/// # fn main() -> Result<(), numeric::Error> {
/// // One atom: exact for every η on every grid, from the law of the start on.
/// let model = Mixture::atoms(&array![[2.0]], None)?.denoiser::<f64, _>(Ou);
/// let sampler = Sampler::new(model, Ddim::new(0.5)?, grid::geometric_v(9.0, 1e-8, 3)?)?;
/// let x = sampler.sample(0..100, Noise::new(1), Default::default())?;
/// assert!(x.iter().all(|x| (x - 2.0).abs() < 1e-3));
/// # Ok(()) }
/// ```
///
/// # References
/// Song, Meng, Ermon (2021), *Denoising diffusion implicit models*, equations 12 and 16.
#[doc(alias = "EulerAncestral")]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ddim {
    eta: f64,
}

impl Ddim {
    /// DDIM with stochasticity `eta`.
    ///
    /// # Errors
    /// [`Error::Domain`] unless 0 ≤ `eta` ≤ 1: beyond 1 the noise of a step could exceed what there must be.
    pub fn new(eta: f64) -> Result<Ddim, Error> {
        Error::domain((0.0..=1.0).contains(&eta), "eta", eta, "a number from 0 to 1")?;
        Ok(Ddim { eta })
    }

    /// The stochasticity η.
    #[must_use]
    pub fn eta(&self) -> f64 {
        self.eta
    }

    fn coefficients(&self, gap: &Gap) -> (f64, f64, f64) {
        let fresh = self.eta * self.eta * gap.kept(2.0).1;
        // ρ √(1 − fresh), and 1 − that as (1 − ρ) + ρ (1 − √(1 − fresh)).
        let down = (1.0 - fresh).sqrt();
        (gap.of_x(gap.rho * down, down), gap.lost + gap.rho * fresh / (1.0 + down), gap.to * fresh.sqrt())
    }
}

macro_rules! gaussian {
    ($method:ident, $label:literal) => {
        impl $method {
            /// The step as `a x + b m` by (a, b), and its standard deviation.
            fn affine(&self, gap: &Gap) -> ((f64, f64), f64) {
                let (kept, lost, std) = self.coefficients(gap);
                ((kept, gap.alpha * lost), gap.alpha * std)
            }
        }

        impl<F: Real, V: VectorField<F>, S: LinearProcess> Method<F, Model<V, S>> for $method {
            fn name(&self) -> &'static str {
                $label
            }

            fn step(
                &self,
                model: &Model<V, S>,
                step: Step<'_>,
                x: &mut ArrayRef2<F>,
                _: &mut History<F>,
                scratch: &mut Scratch,
            ) -> Result<(), Error> {
                let gap = Gap::of(&model.schedule, step.from, step.to)?;
                affine_step(model, Prediction::Denoised, self.affine(&gap), step, x, scratch)
            }
        }

        impl<F: Real, V: VectorField<F>, S: LinearProcess> GaussianStep<F, Model<V, S>> for $method {
            fn transition(
                &self,
                model: &Model<V, S>,
                step: Step<'_>,
                x: &ArrayRef2<F>,
                mean: &mut ArrayRef2<F>,
                scratch: &mut Scratch,
            ) -> Result<Spread<F>, Error> {
                let gap = Gap::of(&model.schedule, step.from, step.to)?;
                let (affine, std) = self.affine(&gap);
                let batch = Batch::new(step.rows, Times::Same(step.from), x);
                affine_into(model, Prediction::Denoised, affine, &batch, mean, scratch)?;
                Ok(Spread::Isotropic(std))
            }
        }
    };
}
gaussian!(ReverseSde, "reverse SDE of any stochasticity");
gaussian!(Ddim, "DDIM");
