//! Handwritten digits from noise, with a certificate.
//!
//! Fits a Gaussian mixture to 8×8 digits, draws from it by six reverse-time samplers at several numbers of steps,
//! and says for each how wrong it is: certified against the fitted mixture (KL, in nats), measured against exact
//! draws of the mixture and against held-out digits (sliced W2). Run with `--help` for the options.

mod figures;
mod report;
mod samples;
#[path = "../common/mod.rs"]
mod shared;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use bounds::divergence::SlicedReference;
use bounds::{Certifiable, Paths, certify};
use clap::Parser;
use girsanov::ndarray::Array2;
use indicatif::ProgressBar;
use numeric::{Control, Model, Noise, TimeGrid};
use sde_core::{
    EulerMaruyama, ExponentialIntegrator, FrozenDenoiser, LocallyMomentMatched, Method, Mixture,
    MixtureField, MomentMatched, Ou, ProbabilityFlowHeun, Sampler, grid,
};

/// Draw handwritten digits by reverse diffusion, and certify how wrong they are.
#[derive(Parser, Debug)]
pub(crate) struct Options {
    /// Folder for digits.png, error.png, report.json and samples.npy
    #[arg(long, default_value = "out")]
    out: PathBuf,
    /// Gzipped CSV: 64 pixels (0 to 16) and the class in each row
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/data/digits.csv.gz"))]
    data: PathBuf,
    /// Seed of everything random
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Digits drawn by each sampler
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u64).range(40..))]
    samples: u64,
    /// Numbers of steps, separated by commas
    #[arg(long, value_delimiter = ',', default_values_t = [25, 50, 100, 200])]
    steps: Vec<usize>,
    /// Components of the mixture
    #[arg(long, default_value_t = 40)]
    components: usize,
    /// Variance added to each component's covariance in every step of the fit
    #[arg(long, default_value_t = 0.01, allow_negative_numbers = true)]
    floor: f64,
    /// Clock T at which the samplers start
    #[arg(long, default_value_t = 4.0, allow_negative_numbers = true)]
    horizon: f64,
    /// Clock δ at which they stop
    #[arg(long, default_value_t = 1e-3, allow_negative_numbers = true)]
    early_stop: f64,
    /// Go on with an interrupted run of the same options
    #[arg(long)]
    resume: bool,
}

/// Exact draws of the mixture that samples are compared with.
const REFERENCE_ROWS: u64 = 10_000;
/// Directions of the sliced distance.
const PROJECTIONS: usize = 500;
/// Forward paths behind each measured certificate.
const PATHS: u64 = 512;

type DigitModel = Model<MixtureField<f64, Ou>, Ou>;

/// A sampler as the table knows it: how to draw with it and how to certify it.
trait Candidate: Method<f64, DigitModel> + Certifiable<DigitModel> + Clone {}
impl<K: Method<f64, DigitModel> + Certifiable<DigitModel> + Clone> Candidate for K {}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("digits: {message}");
            ExitCode::FAILURE
        }
    }
}

/// Everything that the samplers share.
struct Study<'a> {
    options: &'a Options,
    target: Mixture,
    noise: Noise,
    model_reference: SlicedReference<f64>,
    heldout_reference: SlicedReference<f64>,
    store: samples::Store,
    bar: ProgressBar,
    rows: Vec<report::SamplerRow>,
    drawn: Vec<(String, usize, Array2<f64>)>,
}

fn run(options: &Options) -> Result<(), Box<dyn std::error::Error>> {
    fs::create_dir_all(&options.out)
        .map_err(|e| format!("cannot make the folder {}: {e}", options.out.display()))?;
    if options.steps.is_empty() || options.steps.contains(&0) {
        return Err("--steps takes positive numbers".into());
    }
    // The grids first: a wrong horizon is told before the fit, not after.
    for &steps in &options.steps {
        grid::geometric_v(options.horizon, options.early_stop, steps)?;
    }
    let noise = Noise::new(options.seed);
    let digits = shared::data::load(&options.data, noise.fork("split"))?;
    println!("{} digits to fit, {} held out", digits.train.nrows(), digits.heldout.nrows());

    let (target, iterations) =
        shared::fit(&digits.train, options.components, options.floor, noise.fork("fit"))?;
    let mean = |values: Vec<f64>| values.iter().sum::<f64>() / values.len() as f64;
    let train_loglik = mean(target.ln_density(&digits.train, 1.0, 0.0)?);
    let heldout_loglik = mean(target.ln_density(&digits.heldout, 1.0, 0.0)?);
    println!(
        "mixture of {} after {} iterations: log-likelihood {train_loglik:.2} nats per digit in training, \
         {heldout_loglik:.2} held out",
        options.components, iterations
    );

    let level = numeric::Schedule::level(&Ou, numeric::Time::of(options.early_stop));
    let exact = target.sample(0..REFERENCE_ROWS, level.alpha, level.sigma, noise.fork("reference"))?;
    let sliced = noise.fork("sliced");
    let study = Study {
        options,
        model_reference: SlicedReference::new(&exact, PROJECTIONS, sliced)?,
        heldout_reference: SlicedReference::new(&digits.heldout, PROJECTIONS, sliced)?,
        store: samples::Store::open(options, target.dim())?,
        bar: shared::progress_bar(6 * options.steps.iter().sum::<usize>() as u64 * options.samples)?,
        noise,
        target,
        rows: Vec::new(),
        drawn: Vec::new(),
    };
    let study = study.of_all_samplers()?;
    study.bar.finish_and_clear();

    // How far exact draws are from held-out digits, and from other exact draws: nothing can be below these.
    let fresh =
        study.target.sample(0..options.samples, level.alpha, level.sigma, study.noise.fork("floor"))?;
    let floors = report::Floors {
        model: study.model_reference.w2(&fresh)?,
        heldout: study.heldout_reference.w2(&fresh)?,
    };
    report::print_table(&study.rows, &floors);
    figures::digits(&options.out.join("digits.png"), &digits, &fresh, &study.drawn)?;
    figures::errors(&options.out.join("error.png"), &study.rows, &floors)?;
    let report = report::Report {
        dataset: options.data.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
        seed: options.seed,
        train_loglik,
        heldout_loglik,
        exact_sliced_w2_model: floors.model.mean,
        exact_sliced_w2_heldout: floors.heldout.mean,
        samplers: &study.rows,
    };
    shared::write_json(&options.out.join("report.json"), &report)?;
    study.store.finish()?;
    println!("wrote digits.png, error.png, report.json and samples.npy to {}", options.out.display());
    Ok(())
}

impl Study<'_> {
    fn of_all_samplers(mut self) -> Result<Self, Box<dyn std::error::Error>> {
        let moment_matched = MomentMatched::new(&self.target.covariance())?;
        self.of_sampler(EulerMaruyama)?;
        self.of_sampler(ExponentialIntegrator)?;
        self.of_sampler(FrozenDenoiser)?;
        self.of_sampler(moment_matched)?;
        self.of_sampler(LocallyMomentMatched)?;
        self.of_sampler(ProbabilityFlowHeun)?;
        Ok(self)
    }

    /// Draws, measures and certifies one sampler at every number of steps.
    fn of_sampler(&mut self, method: impl Candidate) -> Result<(), Box<dyn std::error::Error>> {
        let Options { horizon, early_stop, .. } = *self.options;
        for &steps in &self.options.steps {
            let grid = grid::geometric_v(horizon, early_stop, steps)?;
            self.bar.set_message(format!("{}, {steps} steps", method.name()));
            let (x, seconds) = self.draw(&method, &grid)?;
            let (to_model, to_heldout) = (self.model_reference.w2(&x)?, self.heldout_reference.w2(&x)?);
            let paths = Paths { count: PATHS, noise: self.noise.fork("paths") };
            let watch = Control { cancel: None, progress: None };
            let certificate = certify(&self.target, &Ou, &method, &grid, paths, watch)?;
            self.rows.push(report::SamplerRow::new(
                method.name(),
                steps,
                method.calls() * steps,
                seconds,
                (to_model, to_heldout),
                certificate,
            )?);
            self.drawn.push((method.name().to_owned(), steps, x));
        }
        Ok(())
    }

    /// The samples, from the store as far as an interrupted run came, and the seconds if all were drawn now.
    fn draw(
        &mut self,
        method: &impl Candidate,
        grid: &TimeGrid,
    ) -> Result<(Array2<f64>, Option<f64>), Box<dyn std::error::Error>> {
        let sampler = Sampler::new(self.target.denoiser::<f64, _>(Ou), method.clone(), grid.clone())?;
        let noise = self.noise.fork("samples");
        let start = std::time::Instant::now();
        let (mut x, stored) = self.store.take(self.options.samples)?;
        let work = grid.steps() as u64;
        self.bar.inc(stored * work);
        let base = self.bar.position();
        let progress = |done: u64| self.bar.set_position(base + done * work);
        let control = Control { cancel: None, progress: Some(&progress) };
        let new = sampler.sample(stored..self.options.samples, noise, control)?;
        self.store.append(&new)?;
        x.append(numeric::ndarray::Axis(0), new.view())?;
        Ok((x, (stored == 0).then(|| start.elapsed().as_secs_f64())))
    }
}
