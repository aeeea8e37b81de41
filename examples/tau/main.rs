//! The letter τ on a grid of 32 × 32 states: error of tau-leaping against the length of a leap.
//!
//! The toy of the paper that brought denoising to continuous time, with its noising (a discretised Gaussian of standard
//! deviation 8, β(t) = 5 · 5ᵗ ln 5, T = 1). Data are points within a drawn τ. The model is the exact denoiser of these data
//! and not a network, so that all error comes from the leaps, the start and the end, which is the most likely clean value of each
//! coordinate as in the paper. Tau-leaping, predictor–corrector and
//! posterior steps are compared at several numbers of steps by the Hellinger distance of their samples to the data. Run
//! with `--help` for the options.

mod figure;
mod glyph;
mod report;
#[path = "../common/mod.rs"]
#[expect(dead_code, reason = "the helpers for digits are not used here")]
mod shared;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use bounds::divergence::FiniteLaw;
use clap::Parser;
use ctmc::denoise::exact::EmpiricalDenoiser;
use ctmc::denoise::{Correction, Finish, JumpRule, Method, Noising, Origin, ReverseSampler};
use ctmc::{DiscretisedGaussian, TimeChange};
use girsanov::ndarray::Array2;
use indicatif::ProgressBar;
use numeric::{Control, Error, Noise, TimeGrid};
use report::{Floor, Row};

/// Draw the letter tau by discrete diffusion, and measure what leaps cost.
#[derive(Parser, Debug)]
pub(crate) struct Options {
    /// Folder for tau.png and tau.json
    #[arg(long, default_value = "out")]
    out: PathBuf,
    /// Seed of everything random
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Points drawn by each sampler
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(100..=10_000_000))]
    samples: u64,
    /// Points of data within the letter
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(100..=100_000_000))]
    points: u64,
    /// Time at which runs, from time 1, end in the most likely clean value of each coordinate
    #[arg(long, default_value_t = 0.01, allow_negative_numbers = true)]
    early_stop: f64,
    /// Numbers of steps, separated by commas
    #[arg(long, value_delimiter = ',', default_values_t = [10, 20, 50, 100])]
    steps: Vec<usize>,
    /// Corrector steps after each step of the predictor
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=100))]
    correctors: u64,
    /// Length of a corrector step, in steps of the predictor
    #[arg(long, default_value_t = 0.3, allow_negative_numbers = true)]
    corrector_scale: f64,
}

/// States of a coordinate.
pub(crate) const STATES: usize = 32;
/// Samples of exact draws behind the floor.
const FLOOR_SAMPLES: u64 = 20;

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("tau: {message}");
            ExitCode::FAILURE
        }
    }
}

/// What all runs share.
struct Study<'a> {
    options: &'a Options,
    noising: Noising,
    data: FiniteLaw,
    model: EmpiricalDenoiser,
    noise: Noise,
    bar: ProgressBar,
}

/// A sampler with its name.
type Named = (&'static str, Method, Option<Correction>);

fn run(options: &Options) -> Result<(), Box<dyn std::error::Error>> {
    fs::create_dir_all(&options.out)
        .map_err(|e| format!("cannot make the folder {}: {e}", options.out.display()))?;
    if options.steps.is_empty() || options.steps.contains(&0) {
        return Err("--steps takes positive numbers".into());
    }
    if !(0.0..1.0).contains(&options.early_stop) {
        return Err(
            format!("--early-stop is {}; expected a time from 0 to below 1", options.early_stop).into()
        );
    }
    let noise = Noise::new(options.seed);
    let chain = DiscretisedGaussian::new(STATES, 0.5 * (STATES - 1) as f64, 8.0, 1.0)?;
    let noising = Noising::new(chain, TimeChange::exponential(5.0, 5.0)?)?;
    let counts = glyph::counts(options.points, noise.fork("points"));
    let data = law(counts.clone())?;
    // Cells of the letter with their weights: a million points are some hundred rows.
    let cells: Vec<usize> = (0..counts.len()).filter(|&cell| counts[cell] > 0.0).collect();
    let rows = Array2::from_shape_fn((cells.len(), 2), |(i, d)| {
        (if d == 0 { cells[i] / STATES } else { cells[i] % STATES }) as u32
    });
    let weights: Vec<f64> = cells.iter().map(|&cell| counts[cell]).collect();
    let model = EmpiricalDenoiser::new(&noising, &rows)?.with_weights(&weights)?;
    let start = start_error(&noising, &data)?;
    println!(
        "{} points in {} of {} cells; at time 1 they are within {start:.4} of the stationary law in total variation",
        options.points,
        cells.len(),
        counts.len()
    );

    let clamp = JumpRule::Clamp;
    let correctors = options.correctors as usize;
    let correction =
        Correction { steps: correctors, scale: options.corrector_scale, below: 1.0, rule: clamp };
    let samplers: [Named; 3] = [
        ("tau-leaping", Method::TauLeaping(clamp), None),
        ("predictor-corrector", Method::TauLeaping(clamp), Some(correction)),
        ("posterior steps", Method::Posterior, None),
    ];
    let total = options.steps.iter().sum::<usize>() * (3 + correctors);
    let bar = shared::progress_bar(total as u64 * options.samples)?;
    let study = Study { options, noising, data, model, noise, bar };
    let (mut rows, mut laws) = (Vec::new(), Vec::new());
    for sampler in samplers {
        for &steps in &options.steps {
            let (row, law) = study.of_sampler(sampler, steps)?;
            rows.push(row);
            laws.push(law);
        }
    }
    study.bar.finish_and_clear();

    let floor = study.floor()?;
    report::print(&rows, &floor);
    figure::draw(&options.out.join("tau.png"), &study.data, &rows, &laws, &floor)?;
    let report = report::Report {
        seed: options.seed,
        points: options.points,
        cells: cells.len(),
        samples: options.samples,
        early_stop: options.early_stop,
        correctors: options.correctors,
        corrector_scale: options.corrector_scale,
        start_total_variation: start,
        exact_draws: &floor,
        rows: &rows,
    };
    shared::write_json(&options.out.join("tau.json"), &report)?;
    println!("wrote tau.png and tau.json to {}", options.out.display());
    Ok(())
}

/// Total variation between the noised data at time 1 and the stationary law, which runs start from.
fn start_error(noising: &Noising, data: &FiniteLaw) -> Result<f64, Error> {
    let kernel = noising.kernel(0.0, 1.0)?;
    let p = Array2::from_shape_fn((STATES, STATES), |(i, j)| data.weights()[i * STATES + j]);
    let noised = kernel.matrix().t().dot(&p).dot(kernel.matrix());
    let pi = noising.stationary()?;
    let stationary: Vec<f64> = pi.iter().flat_map(|a| pi.iter().map(move |b| a * b)).collect();
    law(noised.iter().copied().collect())?.total_variation(&law(stationary)?)
}

/// The law of the cells in proportion to these numbers.
fn law(mut counts: Vec<f64>) -> Result<FiniteLaw, Error> {
    let total: f64 = counts.iter().sum();
    counts.iter_mut().for_each(|count| *count /= total);
    FiniteLaw::new(&counts)
}

/// Frequencies of the cells.
fn frequencies(x: &Array2<u32>) -> Result<FiniteLaw, Error> {
    let mut counts = vec![0.0; STATES * STATES];
    for row in x.rows() {
        counts[row[0] as usize * STATES + row[1] as usize] += 1.0;
    }
    law(counts)
}

impl Study<'_> {
    fn of_sampler(
        &self,
        (name, method, correction): Named,
        steps: usize,
    ) -> Result<(Row, FiniteLaw), Box<dyn std::error::Error>> {
        let Options { samples, .. } = *self.options;
        self.bar.set_message(format!("{name}, {steps} steps"));
        let grid = TimeGrid::uniform(1.0, self.options.early_stop, steps)?;
        let mut sampler = ReverseSampler::new(self.noising.clone(), &self.model, method, grid)?
            .with_finish(Finish::MostLikely);
        if let Some(correction) = correction {
            sampler = sampler.with_correction(correction)?;
        }
        let calls = (steps * (1 + correction.map_or(0, |c| c.steps))) as u64;
        let (start, base) = (Instant::now(), self.bar.position());
        let progress = |done: u64| self.bar.set_position(base + done * calls);
        let control = Control { cancel: None, progress: Some(&progress) };
        let noise = self.noise.fork("samples").fork(name);
        let run = sampler.sample::<f64>(Origin::Stationary, 0..samples, noise, control)?;
        let seconds = start.elapsed().as_secs_f64();
        let law = frequencies(&run.x)?;
        let outside = law.weights().iter().zip(self.data.weights()).filter(|&(_, &p)| p == 0.0);
        let row = Row {
            sampler: name,
            steps,
            tau: (1.0 - self.options.early_stop) / steps as f64,
            model_calls: run.counts.model_rows as f64 / samples as f64,
            seconds,
            hellinger: self.data.hellinger_squared(&law)?.sqrt(),
            outside: outside.map(|(q, _)| q).sum(),
            clamped: run.counts.clamped,
        };
        Ok((row, law))
    }

    /// The Hellinger distance that samples of this size have when they are exact.
    fn floor(&self) -> Result<Floor, Error> {
        let cumulated: Vec<f64> = self
            .data
            .weights()
            .iter()
            .scan(0.0, |sum, p| {
                *sum += p;
                Some(*sum)
            })
            .collect();
        let sample = |k: u64| {
            let mut stream = self.noise.fork("floor").row_stream(k);
            let mut counts = vec![0.0; cumulated.len()];
            for _ in 0..self.options.samples {
                let u = stream.uniform() * cumulated[cumulated.len() - 1];
                counts[cumulated.partition_point(|&sum| sum <= u)] += 1.0;
            }
            Ok(self.data.hellinger_squared(&law(counts)?)?.sqrt())
        };
        Ok(Floor::of(&(0..FLOOR_SAMPLES).map(sample).collect::<Result<Vec<f64>, Error>>()?))
    }
}
