//! The noisings, and the samplers that run them backwards.

use std::ops::Range;

use ctmc::denoise::exact::MixtureDenoiser;
use ctmc::denoise::objective::{DiscreteElbo, Elbo, MaskedElbo, Objective};
use ctmc::denoise::{Correction, Denoised, JumpRule, Method, Noising, Origin, ReverseSampler, first_hitting};
use ctmc::{DiscretisedGaussian, Refresh, Spectral, TimeChange};
use girsanov::ndarray::Array2;
use numeric::{Control, Error, Noise, TimeGrid};

use crate::LEVELS;

/// A noising from time 0 to 1.
pub(crate) struct Chain {
    pub(crate) name: &'static str,
    pub(crate) noising: Noising,
}

/// How samples are drawn.
pub(crate) enum Draw {
    Grid(&'static str, Method, Option<Correction>),
    FirstHitting,
}

/// Uniform levels, steps to levels near by, and masks. What is left of the data at time 1 is below e⁻⁹.
pub(crate) fn all() -> Result<Vec<Chain>, Error> {
    // With rate 1 in all, the share of pixels that have kept their level falls evenly from 1 to 10⁻⁴.
    let uniform = Refresh::uniform(LEVELS, 1.0 / LEVELS as f64)?;
    let uniform = Noising::refresh(uniform, TimeChange::log_linear(1e-4)?);
    let gaussian = DiscretisedGaussian::new(LEVELS, 0.5 * (LEVELS - 1) as f64, 2.0 * LEVELS as f64, 2.0)?;
    let gap = Spectral::new(&gaussian)?.gap();
    let clock = TimeChange::exponential(10.0 / gap / 99.0, 100.0)?;
    let gaussian = Noising::new(gaussian, clock)?;
    let masks = Refresh::absorbing(LEVELS + 1, LEVELS as u32, 1.0)?;
    let masks = Noising::refresh(masks, TimeChange::log_linear(0.0)?);
    Ok(vec![
        Chain { name: "uniform", noising: uniform },
        Chain { name: "Gaussian", noising: gaussian },
        Chain { name: "masks", noising: masks },
    ])
}

impl Draw {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Draw::Grid(name, ..) => name,
            Draw::FirstHitting => "first hitting",
        }
    }

    /// Whether a number of steps can be chosen.
    pub(crate) fn takes_steps(&self) -> bool {
        matches!(self, Draw::Grid(..))
    }
}

impl Chain {
    pub(crate) fn samplers(&self) -> Vec<Draw> {
        let posterior = |name| Draw::Grid(name, Method::Posterior, None);
        if self.noising.mask().is_some() {
            return vec![posterior("ancestral"), Draw::FirstHitting];
        }
        if self.noising.as_refresh().is_some() {
            let trapezoidal = Method::Trapezoidal { theta: 0.5, rule: JumpRule::Last };
            return vec![
                Draw::Grid("tau-leaping", Method::TauLeaping(JumpRule::Reject), None),
                Draw::Grid("trapezoidal", trapezoidal, None),
                posterior("posterior steps"),
            ];
        }
        let leaping = Method::TauLeaping(JumpRule::Clamp);
        let correction = Correction { steps: 2, scale: 0.5, below: 0.9, rule: JumpRule::Clamp };
        vec![
            Draw::Grid("tau-leaping", leaping, None),
            Draw::Grid("with two correctors", leaping, Some(correction)),
            posterior("posterior steps"),
        ]
    }

    pub(crate) fn run(
        &self,
        draw: &Draw,
        model: &MixtureDenoiser,
        steps: usize,
        rows: Range<u64>,
        noise: Noise,
        control: Control<'_>,
    ) -> Result<Denoised, Error> {
        match *draw {
            Draw::FirstHitting => {
                first_hitting::<f64>(&self.noising, model, Origin::Stationary, 1.0, rows, noise, control)
            }
            Draw::Grid(_, method, correction) => {
                let grid = TimeGrid::uniform(1.0, 0.0, steps)?;
                let mut sampler = ReverseSampler::new(self.noising.clone(), model, method, grid)?;
                if let Some(correction) = correction {
                    sampler = sampler.with_correction(correction)?;
                }
                sampler.sample::<f64>(Origin::Stationary, rows, noise, control)
            }
        }
    }

    /// The bound of −ln p for each digit by the reverse chain in continuous time, in nats.
    pub(crate) fn continuous_bound(
        &self,
        model: &MixtureDenoiser,
        x0: &Array2<u32>,
        draws: u64,
        noise: Noise,
    ) -> Result<Vec<f64>, Error> {
        let (rows, watch) = (0..x0.nrows() as u64, Control::default());
        if self.noising.mask().is_some() {
            return MaskedElbo::new(&self.noising)?.values::<f64>(model, x0, rows, draws, noise, watch);
        }
        Elbo::new(&self.noising, 1.0)?.values::<f64>(model, x0, rows, draws, noise, watch)
    }

    /// The bound for the sampler of posterior steps.
    pub(crate) fn discrete_bound(
        &self,
        model: &MixtureDenoiser,
        steps: usize,
        x0: &Array2<u32>,
        draws: u64,
        noise: Noise,
    ) -> Result<Vec<f64>, Error> {
        let elbo = DiscreteElbo::new(&self.noising, &TimeGrid::uniform(1.0, 0.0, steps)?)?;
        elbo.values::<f64>(model, x0, 0..x0.nrows() as u64, draws, noise, Control::default())
    }
}
