//! Half-hidden digits, completed.
//!
//! Fits the mixture of the example `digits`, hides the lower half of digits it has not seen, and draws what may be
//! below: from the exact posterior of the mixture, by reverse diffusion with the exact conditional model, and by
//! guiding the unconditional model. All are compared with the exact posterior of the mixture (how far the mixture is
//! from handwriting is another matter). Run with `--help` for the options.
//!
//! The isotropic guidance has no posterior covariance, so that it is drawn with another method than the others, and
//! its distance includes the larger error of the steps.

mod figure;
mod report;
#[path = "../common/mod.rs"]
mod shared;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use girsanov::ndarray::{Array1, Array2, ArrayView1};
use indicatif::ProgressBar;
use numeric::{Control, Model, Noise, Schedule, Time, TimeGrid, VectorField};
use sde_core::guidance::{Likelihood, by_covariance};
use sde_core::{
    Covariance, FrozenDenoiser, LinearObservation, LocallyMomentMatched, Method, Mixture, Ou, Sampler, grid,
};
use shared::data::{Digits, PIXELS};

/// Complete half-hidden handwritten digits, and measure how far that is from the exact posterior.
#[derive(Parser, Debug)]
pub(crate) struct Options {
    /// Folder for inpainting.png and report.json
    #[arg(long, default_value = "out")]
    out: PathBuf,
    /// Gzipped CSV: 64 pixels (0 to 16) and the class in each row
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/data/digits.csv.gz"))]
    data: PathBuf,
    /// Seed of everything random
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Digits that are completed, none of them seen by the fit
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u64).range(2..=64))]
    digits: u64,
    /// Completions drawn for each digit by each method
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(10..))]
    draws: u64,
    /// Steps of the reverse diffusions
    #[arg(long, default_value_t = 50)]
    steps: usize,
    /// Standard deviation of the noise on the pixels that are seen, where digits have 1
    #[arg(long, default_value_t = 0.1, allow_negative_numbers = true)]
    noise: f64,
    /// Components of the mixture
    #[arg(long, default_value_t = 40)]
    components: usize,
    /// Variance added to each component's covariance in every step of the fit
    #[arg(long, default_value_t = 0.01, allow_negative_numbers = true)]
    floor: f64,
    /// Clock T at which the diffusions start
    #[arg(long, default_value_t = 4.0, allow_negative_numbers = true)]
    horizon: f64,
    /// Clock δ at which they stop
    #[arg(long, default_value_t = 1e-3, allow_negative_numbers = true)]
    early_stop: f64,
}

/// Pixels that are seen: the upper half.
const SEEN: usize = PIXELS / 2;

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("inpainting: {message}");
            ExitCode::FAILURE
        }
    }
}

/// Completions of all digits by one way, in the order of the digits.
pub(crate) struct Completions {
    name: &'static str,
    seconds: f64,
    of_digits: Vec<Array2<f64>>,
}

/// A way from the unconditional mixture and the observation of a digit to completions of it.
type Way<'a> = dyn Fn(&LinearObservation, Noise, Control<'_>) -> Result<Array2<f64>, numeric::Error> + 'a;

fn run(options: &Options) -> Result<(), Box<dyn std::error::Error>> {
    fs::create_dir_all(&options.out)
        .map_err(|e| format!("cannot make the folder {}: {e}", options.out.display()))?;
    if !(options.noise >= 0.0 && options.noise.is_finite()) {
        return Err(format!("--noise is {}; it takes a number of at least 0", options.noise).into());
    }
    // The grid first: a wrong horizon is told before the fit, not after.
    let grid = grid::geometric_v(options.horizon, options.early_stop, options.steps)?;
    let noise = Noise::new(options.seed);
    let digits = shared::data::load(&options.data, noise.fork("split"))?;
    let (target, iterations) =
        shared::fit(&digits.train, options.components, options.floor, noise.fork("fit"))?;
    println!(
        "mixture of {} fitted to {} digits in {iterations} iterations; {} others, half-hidden, are completed",
        options.components,
        digits.train.nrows(),
        options.digits
    );
    let observations = observe(&digits, options, noise.fork("observation"))?;
    let posteriors: Vec<Mixture> =
        observations.iter().map(|seen| target.posterior(seen)).collect::<Result<_, _>>()?;

    let level = Ou.level(Time::of(options.early_stop));
    let rows = 0..options.draws;
    let exact = |seen: &LinearObservation, noise: Noise, _: Control<'_>| {
        target.posterior(seen)?.sample(rows.clone(), level.alpha, level.sigma, noise)
    };
    let conditional = |seen: &LinearObservation, noise, control: Control<'_>| {
        let model = target.posterior(seen)?.denoiser::<f64, _>(Ou);
        draw(model, LocallyMomentMatched, &grid, options, noise, control)
    };
    let matched = |seen: &LinearObservation, noise, control: Control<'_>| {
        let model = by_covariance(target.denoiser::<f64, _>(Ou), seen.clone(), Likelihood::MomentMatched)?;
        draw(model, LocallyMomentMatched, &grid, options, noise, control)
    };
    let isotropic = |seen: &LinearObservation, noise, control: Control<'_>| {
        // The digits are scaled to have variance 1 in the mean.
        let likelihood = Likelihood::Isotropic { data_variance: 1.0 };
        let model = by_covariance(target.denoiser::<f64, _>(Ou), seen.clone(), likelihood)?;
        draw(model, FrozenDenoiser, &grid, options, noise, control)
    };
    let ways: [(&'static str, &Way<'_>); 4] = [
        ("exact posterior", &exact),
        ("conditional diffusion", &conditional),
        ("guided, moment-matched (MMPS)", &matched),
        ("guided, isotropic (ΠGDM)", &isotropic),
    ];
    let bar = shared::progress_bar(ways.len() as u64 * options.digits * options.draws)?;
    let mut completions = Vec::new();
    for (name, way) in ways {
        completions.push(complete(name, way, &observations, noise, &bar)?);
    }
    bar.finish_and_clear();

    let rows = report::compare(&completions, &posteriors, options, noise.fork("reference"))?;
    report::print_table(&rows);
    figure::draw(&options.out.join("inpainting.png"), &digits, &observations, &completions)?;
    report::write(&options.out.join("report.json"), options, &rows)?;
    println!("wrote inpainting.png and report.json to {}", options.out.display());
    Ok(())
}

/// The upper halves of the first digits that were held out, with noise.
fn observe(
    digits: &Digits,
    options: &Options,
    noise: Noise,
) -> Result<Vec<LinearObservation>, Box<dyn std::error::Error>> {
    let count = options.digits as usize;
    if count > digits.heldout.nrows() {
        return Err(format!("--digits is {count}; {} digits were held out", digits.heldout.nrows()).into());
    }
    let rows: Vec<u64> = (0..options.digits).collect();
    let mut z = Array2::zeros((count, SEEN));
    noise.normals_into::<f64>(&rows, 0, &mut z);
    let covariance = Covariance::Isotropic(options.noise * options.noise);
    let of_digit = |(digit, z): (ArrayView1<'_, f64>, ArrayView1<'_, f64>)| {
        let y: Array1<f64> = digit.iter().zip(z).map(|(&x, &z)| x + options.noise * z).collect();
        Ok(LinearObservation::of_coordinates(PIXELS, (0..SEEN).collect(), y, &covariance)?)
    };
    digits.heldout.rows().into_iter().zip(z.rows()).map(of_digit).collect()
}

/// Completions by reverse diffusion.
fn draw<V: VectorField<f64>, K: Method<f64, Model<V, Ou>>>(
    model: Model<V, Ou>,
    method: K,
    grid: &TimeGrid,
    options: &Options,
    noise: Noise,
    control: Control<'_>,
) -> Result<Array2<f64>, numeric::Error> {
    Sampler::new(model, method, grid.clone())?.sample(0..options.draws, noise, control)
}

/// Completions of all digits, with the time they took.
fn complete(
    name: &'static str,
    way: &Way<'_>,
    observations: &[LinearObservation],
    noise: Noise,
    bar: &ProgressBar,
) -> Result<Completions, numeric::Error> {
    bar.set_message(name);
    let start = std::time::Instant::now();
    let of_digit = |(number, seen): (usize, &LinearObservation)| {
        let base = bar.position();
        let progress = |done: u64| bar.set_position(base + done);
        let control = Control { cancel: None, progress: Some(&progress) };
        let x = way(seen, noise.fork(name).fork_index(number as u64), control)?;
        bar.set_position(base + x.nrows() as u64);
        Ok(x)
    };
    let of_digits = observations.iter().enumerate().map(of_digit).collect::<Result<_, numeric::Error>>()?;
    Ok(Completions { name, seconds: start.elapsed().as_secs_f64(), of_digits })
}
