//! Langevin steps at a fixed level: correctors, and annealing.

use numeric::ndarray::ArrayRef2;
use numeric::{Error, Model, Prediction, Real, Scratch, Time, VectorField};

use super::gap::{Gap, axpby, predict, ratio_at, scale};
use super::{History, Method, Step, gap};
use crate::LinearProcess;

/// How Langevin steps at a fixed level are taken.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Langevin {
    steps: usize,
    snr: f64,
}

impl Langevin {
    fn new(steps: usize, snr: f64) -> Result<Langevin, Error> {
        Error::domain(snr > 0.0 && snr < 1.0, "snr", snr, "a number between 0 and 1")?;
        Ok(Langevin { steps, snr })
    }

    fn calls<V, S: LinearProcess>(self, model: &Model<V, S>, to: Time) -> usize {
        if ratio_at(&model.schedule, to) > 0.0 { self.steps } else { 0 }
    }

    /// The steps at `step.to`: `u ← u + η ∇ log q + √(2η) z` with `η = 2 (snr r)²`. At r = 0 they are of length 0.
    fn run<F: Real, V: VectorField<F>, S: LinearProcess>(
        self,
        model: &Model<V, S>,
        step: Step<'_>,
        x: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        for k in 0..self.calls(model, step.to) {
            let m = predict(model, Prediction::Denoised, step.rows, step.to, x, scratch)?;
            let level = model.schedule.level(step.to);
            // ∇ log q = (m − u)/r².
            let pull = 2.0 * self.snr * self.snr;
            axpby(1.0 - pull, x, pull * level.alpha, &m);
            scratch.put(m);
            let noise = step.noise.fork("corrector").fork_index(k as u64);
            gap::disturb(Step { noise, ..step }, 1.0, x, 2.0 * self.snr * level.sigma, scratch);
        }
        Ok(())
    }
}

/// A predictor of any method, followed by Langevin steps at the new level.
///
/// ```math
/// u \leftarrow u + \eta\, \nabla \log q_{r'}(u) + \sqrt{2 \eta}\; z, \qquad \eta = 2\, (\mathrm{snr} \cdot r')^2, \qquad
/// u = x/\alpha,\ r = \sigma/\alpha.
/// ```
/// The corrector pulls the rows towards the law that they should have at the level, whatever the predictor did. In
/// the paper `η = 2 (snr ‖z‖/‖∇ log q‖)²` with norms averaged over the batch, which makes every row depend on all
/// others; here the quotient has its typical value r' (the score of noise of size r' is a standard normal over r'), so
/// that rows stay independent and the step does not depend on the state. At r' = 0 there is nothing to correct.
///
/// # Convergence
/// To the marginals for a good predictor on fine grids, up to the bias of Langevin steps, of relative size snr².
/// # Randomness
/// Those of the predictor, and d normals per row and corrector step, from streams of their own.
/// # Complexity
/// The predictor's, and one model evaluation per corrector step.
///
/// ```
/// use numeric::{Noise, ndarray::array};
/// use sde_core::{FrozenDenoiser, Mixture, Ou, PredictorCorrector, Sampler, grid};
/// # fn main() -> Result<(), numeric::Error> {
/// let model = Mixture::atoms(&array![[-1.0], [1.0]], None)?.denoiser::<f64, _>(Ou);
/// let method = PredictorCorrector::new(FrozenDenoiser, 1, 0.16)?;
/// let sampler = Sampler::new(model, method, grid::geometric_v(4.0, 1e-4, 20)?)?;
/// assert_eq!(sampler.model_calls::<f64>(), 40);
/// let x = sampler.sample(0..50, Noise::new(1), Default::default())?;
/// assert!(x.iter().all(|x: &f64| (x.abs() - 1.0).abs() < 0.1));   // at one of the two atoms
/// # Ok(()) }
/// ```
///
/// # References
/// Song, Sohl-Dickstein, Kingma, Kumar, Ermon, Poole (2021), *Score-based generative modeling through stochastic
/// differential equations*, algorithms 4 and 5.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PredictorCorrector<P> {
    predictor: P,
    langevin: Langevin,
}

impl<P> PredictorCorrector<P> {
    /// `predictor`, followed by `steps` Langevin steps of signal-to-noise ratio `snr` (0.16 in the paper).
    ///
    /// # Errors
    /// [`Error::Domain`] unless 0 < `snr` < 1: a step of size 1 and more overshoots.
    pub fn new(predictor: P, steps: usize, snr: f64) -> Result<PredictorCorrector<P>, Error> {
        Ok(PredictorCorrector { predictor, langevin: Langevin::new(steps, snr)? })
    }
}

impl<F: Real, V: VectorField<F>, S: LinearProcess, P: Method<F, Model<V, S>>> Method<F, Model<V, S>>
    for PredictorCorrector<P>
{
    fn name(&self) -> &'static str {
        "predictor-corrector"
    }

    fn calls(&self) -> usize {
        self.predictor.calls() + self.langevin.steps
    }

    fn calls_in(&self, model: &Model<V, S>, step: Step<'_>) -> usize {
        self.predictor.calls_in(model, step) + self.langevin.calls(model, step.to)
    }

    fn step(
        &self,
        model: &Model<V, S>,
        step: Step<'_>,
        x: &mut ArrayRef2<F>,
        history: &mut History<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        self.predictor.step(model, step, x, history, scratch)?;
        self.langevin.run(model, step, x, scratch)
    }
}

/// Annealed Langevin dynamics: at each level some Langevin steps, and no step in between.
///
/// `u = x/α` is carried to the next level as it is, and then takes the steps of [`PredictorCorrector`]; their size
/// `η = 2 (snr r')²` in proportion to the variance of the noise is that of the paper. It samples well only with many
/// steps on a fine grid, from a finite r; a last step to the data themselves leaves u where it was, with the noise of the last level.
///
/// # Convergence
/// To the law at the last level as both the levels and the steps at each become many, up to the bias of Langevin
/// steps, of relative size snr².
/// # Randomness
/// d normals per row and Langevin step.
/// # Complexity
/// One model evaluation per Langevin step.
///
/// ```
/// use numeric::{Noise, ndarray::array};
/// use sde_core::{AnnealedLangevin, Mixture, Ou, Sampler, grid};
/// # fn main() -> Result<(), numeric::Error> {
/// let model = Mixture::atoms(&array![[-1.0], [1.0]], None)?.denoiser::<f64, _>(Ou);
/// let sampler = Sampler::new(model, AnnealedLangevin::new(5, 0.2)?, grid::geometric_v(4.0, 1e-4, 40)?)?;
/// let x = sampler.sample(0..50, Noise::new(1), Default::default())?;
/// assert!(x.iter().all(|x: &f64| (x.abs() - 1.0).abs() < 0.1));   // at one of the two atoms
/// # Ok(()) }
/// ```
///
/// # References
/// Song and Ermon (2019), *Generative modeling by estimating gradients of the data distribution*, algorithm 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AnnealedLangevin {
    langevin: Langevin,
}

impl AnnealedLangevin {
    /// `steps` Langevin steps of signal-to-noise ratio `snr` at each level.
    ///
    /// # Errors
    /// [`Error::Domain`] unless 0 < `snr` < 1.
    pub fn new(steps: usize, snr: f64) -> Result<AnnealedLangevin, Error> {
        Ok(AnnealedLangevin { langevin: Langevin::new(steps, snr)? })
    }
}

impl<F: Real, V: VectorField<F>, S: LinearProcess> Method<F, Model<V, S>> for AnnealedLangevin {
    fn name(&self) -> &'static str {
        "annealed Langevin"
    }

    fn calls(&self) -> usize {
        self.langevin.steps
    }

    fn calls_in(&self, model: &Model<V, S>, step: Step<'_>) -> usize {
        self.langevin.calls(model, step.to)
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
        let gap =
            gap.with_signal("AnnealedLangevin", "it carries x/α along, which is infinite at σ/α = ∞")?;
        scale(gap.grow, x);
        self.langevin.run(model, step, x, scratch)
    }
}
