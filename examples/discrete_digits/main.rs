//! Handwritten digits as tokens: discrete diffusion with exact likelihoods.
//!
//! Each 8×8 digit is a row of 64 tokens with 17 levels of ink. A mixture of product laws, fitted by EM, is the model: its
//! likelihood, its samples and its denoiser are exact under any noising, so that what is wrong with a sample or a bound is
//! wrong with the steps. Three noisings (a uniform level, a discretised Gaussian, a mask) and eight samplers are compared:
//! likelihood bounds of held-out digits beside their exact likelihood, and distances of samples from the mixture at several
//! numbers of steps. Run with `--help` for the options.

mod chains;
mod figures;
mod measure;
mod report;
#[path = "../common/mod.rs"]
#[expect(dead_code, reason = "the fit of a Gaussian mixture is not used here")]
mod shared;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use chains::{Chain, Draw};
use clap::Parser;
use ctmc::denoise::exact::{FitOptions, ProductMixture, fit_product_mixture};
use girsanov::ndarray::Array2;
use indicatif::ProgressBar;
use measure::{Distances, Reference};
use numeric::{Control, Estimate, Noise};
use report::{BoundRow, SampleRow};
use shared::data::PIXELS;

/// Draw handwritten digits by discrete diffusion, and bound their likelihood.
#[derive(Parser, Debug)]
pub(crate) struct Options {
    /// Folder for discrete_digits.png, discrete_errors.png and discrete_digits.json
    #[arg(long, default_value = "out")]
    out: PathBuf,
    /// Gzipped CSV: 64 pixels (0 to 16) and the class in each row
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/data/digits.csv.gz"))]
    data: PathBuf,
    /// Seed of everything random
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Digits drawn by each sampler
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u64).range(40..=1_000_000))]
    samples: u64,
    /// Numbers of steps, separated by commas
    #[arg(long, value_delimiter = ',', default_values_t = [4, 8, 16, 32, 64])]
    steps: Vec<usize>,
    /// Components of the mixture
    #[arg(long, default_value_t = 40)]
    components: usize,
    /// What the fit adds to the count of each level of each pixel in each component
    #[arg(long, default_value_t = 0.1, allow_negative_numbers = true)]
    count: f64,
    /// Times drawn for the likelihood bound of each held-out digit
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    draws: u64,
}

/// Levels of ink, 0 to 16.
pub(crate) const LEVELS: usize = 17;
/// Exact draws of the mixture that samples are compared with.
const REFERENCE_ROWS: u64 = 10_000;

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("discrete_digits: {message}");
            ExitCode::FAILURE
        }
    }
}

/// What all runs share.
struct Study<'a> {
    options: &'a Options,
    mixture: ProductMixture,
    noise: Noise,
    heldout: Array2<u32>,
    /// Exact $`-\ln p`$ of the held-out digits.
    exact: Vec<f64>,
    reference: Reference,
    bar: ProgressBar,
}

fn run(options: &Options) -> Result<(), Box<dyn std::error::Error>> {
    fs::create_dir_all(&options.out)
        .map_err(|e| format!("cannot make the folder {}: {e}", options.out.display()))?;
    if options.steps.is_empty() || options.steps.contains(&0) {
        return Err("--steps takes positive numbers".into());
    }
    let noise = Noise::new(options.seed);
    let digits = shared::data::load(&options.data, noise.fork("split"))?;
    let levels = |x: &Array2<f64>| (x * digits.scale + &digits.centre).mapv(|ink| ink.round() as u32);
    let (train, heldout) = (levels(&digits.train), levels(&digits.heldout));
    println!("{} digits to fit, {} held out", train.nrows(), heldout.nrows());

    let fit = fit_product_mixture(
        &train,
        &FitOptions {
            components: options.components,
            states: LEVELS,
            count: options.count,
            max_iterations: 1000,
            tolerance: 1e-4,
            noise: noise.fork("fit"),
        },
    )?;
    let iterations = fit.iterations();
    let train_bits = bits(-fit.log_likelihoods[iterations]);
    let mixture = fit.mixture;
    let exact: Vec<f64> = mixture.ln_probability(&heldout)?.iter().map(|l| -l).collect();
    let heldout_bits = bits(exact.iter().sum::<f64>() / exact.len() as f64);
    println!(
        "mixture of {} after {iterations} iterations: {train_bits:.3} bits per pixel in training, \
         {heldout_bits:.3} held out (uniform levels: {:.3})",
        options.components,
        (LEVELS as f64).log2()
    );

    let chains = chains::all()?;
    let runs: usize = chains.iter().map(|chain| chain.samplers().len()).sum();
    let work = runs * options.steps.iter().sum::<usize>();
    let study = Study {
        options,
        reference: Reference::new(&mixture, REFERENCE_ROWS, noise.fork("reference"))?,
        mixture,
        noise,
        heldout,
        exact,
        bar: shared::progress_bar(work as u64 * options.samples)?,
    };
    let bounds = chains.iter().map(|chain| study.bounds(chain)).collect::<Result<Vec<_>, _>>()?;
    let mut rows = Vec::new();
    let mut drawn = Vec::new();
    for chain in &chains {
        for draw in chain.samplers() {
            study.of_sampler(chain, &draw, &mut rows, &mut drawn)?;
        }
    }
    study.bar.finish_and_clear();

    // What exact draws of the same number have for distances: nothing can be told below.
    let fresh = study.mixture.sample(0..options.samples, noise.fork("floor"));
    let floor = study.reference.distances(&fresh)?;
    report::print(&options.steps, heldout_bits, &bounds, &rows, &floor);
    figures::digits(&options.out.join("discrete_digits.png"), &digits, &study.heldout, &fresh, &drawn)?;
    figures::errors(&options.out.join("discrete_errors.png"), &rows, &floor)?;
    let report = report::Report {
        dataset: options.data.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
        seed: options.seed,
        components: options.components,
        train_bits_per_pixel: train_bits,
        heldout_bits_per_pixel: heldout_bits,
        bounds: &bounds,
        samplers: &rows,
        exact_draws: &floor,
    };
    shared::write_json(&options.out.join("discrete_digits.json"), &report)?;
    println!(
        "wrote discrete_digits.png, discrete_errors.png and discrete_digits.json to {}",
        options.out.display()
    );
    Ok(())
}

/// Nats of a digit as bits per pixel.
fn bits(nats: f64) -> f64 {
    nats / (PIXELS as f64 * std::f64::consts::LN_2)
}

impl Study<'_> {
    /// Likelihood bounds of the held-out digits under one noising: in continuous time, and of each number of steps.
    fn bounds(&self, chain: &Chain) -> Result<BoundRow, Box<dyn std::error::Error>> {
        self.bar.set_message(format!("bounds, {}", chain.name));
        let model = self.mixture.denoiser(&chain.noising)?;
        let noise = self.noise.fork("bounds");
        // What is measured is the difference to the exact value, digit by digit.
        let paired = |values: Vec<f64>| -> Result<Estimate, numeric::Error> {
            let gaps: Vec<f64> =
                values.iter().zip(&self.exact).map(|(bound, exact)| bits(bound - exact)).collect();
            numeric::estimate::MeanAccumulator::from_values(0, &gaps)?.estimate()
        };
        let continuous = chain.continuous_bound(&model, &self.heldout, self.options.draws, noise)?;
        let mut discrete = Vec::new();
        for &steps in &self.options.steps {
            let values = chain.discrete_bound(&model, steps, &self.heldout, self.options.draws, noise)?;
            discrete.push(paired(values)?);
        }
        Ok(BoundRow { noising: chain.name, continuous: paired(continuous)?, discrete })
    }

    /// Draws with one sampler at every number of steps, and measures.
    fn of_sampler(
        &self,
        chain: &Chain,
        draw: &Draw,
        rows: &mut Vec<SampleRow>,
        drawn: &mut Vec<(String, usize, Array2<u32>)>,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let model = self.mixture.denoiser(&chain.noising)?;
        let samples = self.options.samples;
        let steps: &[usize] = if draw.takes_steps() { &self.options.steps } else { &[PIXELS] };
        for &steps in steps {
            self.bar.set_message(format!("{}: {}, {steps} steps", chain.name, draw.name()));
            let (start, base) = (std::time::Instant::now(), self.bar.position());
            let progress = |done: u64| self.bar.set_position(base + done * steps as u64);
            let control = Control { cancel: None, progress: Some(&progress) };
            let noise = self.noise.fork("samples").fork(draw.name());
            let run = chain.run(draw, &model, steps, 0..samples, noise, control)?;
            let seconds = start.elapsed().as_secs_f64();
            let Distances { pairs, mmd2 } = self.reference.distances(&run.x)?;
            rows.push(SampleRow {
                noising: chain.name,
                sampler: draw.name(),
                steps,
                model_calls: run.counts.model_rows as f64 / samples as f64,
                seconds,
                pairs,
                mmd2,
            });
            drawn.push((format!("{}: {}", chain.name, draw.name()), steps, run.x));
        }
        Ok(())
    }
}
