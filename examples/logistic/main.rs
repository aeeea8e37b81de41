//! Bayesian logistic regression by Langevin sampling, and what the steps get wrong.
//!
//! The posterior of a classifier of cell nuclei is sampled by the overdamped Langevin equation with Euler–Maruyama
//! steps (the unadjusted Langevin algorithm, ULA) and by the underdamped one with BAOAB, at four step sizes each that
//! move equally far. Nothing is accepted or rejected, so every step size has a bias: it is measured against
//! independent weighted draws of the posterior itself. Run with `--help` for the options.

mod data;
mod figures;
mod posterior;
mod reference;
mod report;

use std::fs;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use girsanov::ndarray::{Array2, s};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use numeric::{Control, Error, LogDensity, Noise, TimeGrid};
use sde_core::integrator::{Baoab, EulerMaruyama};
use sde_core::{Keep, OverdampedLangevin, Solver, Start, Trajectory, UnderdampedLangevin};

use posterior::{Likelihood, Posterior, Watched};
use reference::{Mode, Reference};
use report::{MethodRow, Report, Yardstick};

/// Sample the posterior of a logistic regression by Langevin dynamics, and measure the bias of the steps.
#[derive(Parser, Debug)]
pub(crate) struct Options {
    /// Folder for logistic.png and logistic.json
    #[arg(long, default_value = "out")]
    out: PathBuf,
    /// Gzipped CSV: 30 features and the diagnosis (0 malignant, 1 benign) in each row
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/data/breast_cancer.csv.gz"))]
    data: PathBuf,
    /// Seed of everything random
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Chains run by each method
    #[arg(long, default_value_t = 128)]
    chains: u64,
    /// Steps of each chain, the first fifth of which is warm-up
    #[arg(long, default_value_t = 16_000)]
    steps: usize,
    /// Largest step h of ULA; h/2, h/4 and h/8 follow, and BAOAB with √(2h) for each
    #[arg(long, default_value_t = 0.02, allow_negative_numbers = true)]
    step_size: f64,
    /// Standard deviation of the prior of each coefficient, for standardised features
    #[arg(long, default_value_t = 1.0, allow_negative_numbers = true)]
    prior_std: f64,
}

/// Draws behind the reference, before weighting.
const REFERENCE_DRAWS: u64 = 400_000;
/// Independent draws that the reference must be worth.
const LEAST_REFERENCE: f64 = 1000.0;
/// Step sizes of each method: the largest and its halves.
const STEP_SIZES: usize = 4;
/// States kept of each chain, at most.
const KEPT: usize = 1000;

impl Options {
    fn check(&self) -> Result<(), Error> {
        let chains = (1..=100_000).contains(&self.chains);
        Error::domain(chains, "--chains", self.chains as f64, "from 1 to 100000")?;
        let steps = (20..=10_000_000).contains(&self.steps);
        Error::domain(steps, "--steps", self.steps as f64, "from 20 to 10000000")?;
        let prior = (1e-3..=100.0).contains(&self.prior_std);
        Error::domain(prior, "--prior-std", self.prior_std, "from 0.001 to 100")?;
        // Beyond it even the prior, the flattest part of the posterior, makes both methods diverge.
        let step_size = self.step_size > 0.0 && self.step_size < 2.0 * self.prior_std.powi(2);
        let expected = "positive and below 2 s², s being the standard deviation of the prior";
        Error::domain(step_size, "--step-size", self.step_size, expected)
    }

    /// Nodes of the grid whose states are kept: evenly spread after the warm-up, up to the end.
    fn kept(&self) -> Vec<usize> {
        let sampling = self.steps - self.steps / 5;
        let thin = sampling.div_ceil(KEPT);
        (0..sampling / thin).rev().map(|k| self.steps - k * thin).collect()
    }
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("logistic: {message}");
            ExitCode::FAILURE
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Dynamics {
    Overdamped,
    Underdamped,
}

impl Dynamics {
    fn name(self) -> &'static str {
        match self {
            Dynamics::Overdamped => "ULA",
            Dynamics::Underdamped => "BAOAB",
        }
    }

    /// The step that moves as far as a step h of ULA.
    fn step_size(self, h: f64) -> f64 {
        match self {
            Dynamics::Overdamped => h,
            Dynamics::Underdamped => (2.0 * h).sqrt(),
        }
    }
}

fn run(options: &Options) -> Result<(), Box<dyn std::error::Error>> {
    options.check()?;
    let noise = Noise::new(options.seed);
    let nuclei = data::load(&options.data, noise.fork("split"))?;
    fs::create_dir_all(&options.out)
        .map_err(|e| format!("cannot make the folder {}: {e}", options.out.display()))?;
    let posterior =
        Posterior { likelihood: Likelihood::new(&nuclei.train), precision: options.prior_std.powi(-2) };
    let heldout = Likelihood::new(&nuclei.heldout);
    let mode = Mode::of(&posterior)?;
    // Where the curvature is λ, steps of 2/λ (ULA) and 2/√λ (BAOAB) are the end of stability.
    let limits = [Dynamics::Overdamped, Dynamics::Underdamped].map(|d| d.step_size(2.0 / mode.stiffest));
    println!(
        "{} rows to learn from, {} held out; at the mode ULA is stable for steps below {}, BAOAB below {}",
        nuclei.train.benign.len(),
        nuclei.heldout.benign.len(),
        report::short(limits[0]),
        report::short(limits[1]),
    );

    let bar = progress_bar(options)?;
    bar.set_message("reference");
    let target = Watched { posterior: &posterior, bar: &bar };
    let reference = Reference::new(&target, &mode, REFERENCE_DRAWS, noise.fork("reference"))?;
    if !(reference.effective_sample_size > LEAST_REFERENCE) {
        let worth = reference.effective_sample_size;
        return Err(format!(
            "the weighted draws of the reference are worth {worth:.0} independent ones, too few to measure against; \
             a smaller --prior-std makes the posterior less skew"
        )
        .into());
    }
    let yardstick = Yardstick::new(&posterior, &heldout, &reference)?;

    let mut methods = Vec::new();
    for dynamics in [Dynamics::Overdamped, Dynamics::Underdamped] {
        for k in 0..STEP_SIZES {
            let h = dynamics.step_size(options.step_size / f64::powi(2.0, k as i32));
            bar.set_message(format!("{}, step {}", dynamics.name(), report::short(h)));
            let noise = noise.fork(dynamics.name()).fork_index(k as u64);
            let start = Instant::now();
            let run = sample(options, dynamics, h, &mode, target, noise)?;
            let seconds = start.elapsed().as_secs_f64();
            methods.push(MethodRow::new(dynamics.name(), h, run, seconds, &yardstick)?);
        }
    }
    bar.finish_and_clear();

    let report = Report::new(options, &nuclei, yardstick.reference, methods);
    report.print();
    report.write(&options.out.join("logistic.json"))?;
    figures::draw(&options.out.join("logistic.png"), &report)?;
    println!("wrote logistic.png and logistic.json to {}", options.out.display());
    Ok(())
}

/// Runs the chains from draws of the Gaussian around the mode.
fn sample(
    options: &Options,
    dynamics: Dynamics,
    h: f64,
    mode: &Mode,
    target: Watched<'_>,
    noise: Noise,
) -> Result<Trajectory<f64>, Error> {
    let (d, chains) = (target.dim(), options.chains);
    let grid = TimeGrid::uniform(0.0, h * options.steps as f64, options.steps)?;
    let nodes = options.kept();
    let rows: Vec<u64> = (0..chains).collect();
    // Positions, then velocities for the dynamics that has them.
    let mut start = Array2::zeros((rows.len(), 2 * d));
    noise.fork("start").normals_into(&rows, 0, &mut start);
    let positions = mode.gaussian.at(start.slice(s![.., ..d]).to_owned());
    match dynamics {
        Dynamics::Overdamped => {
            let solver = Solver::new(OverdampedLangevin { target }, EulerMaruyama, grid)?;
            solver.run(Start::Rows(&positions), Keep::Nodes(&nodes), 0..chains, noise, Control::default())
        }
        Dynamics::Underdamped => {
            start.slice_mut(s![.., ..d]).assign(&positions);
            // The frequency of the prior, the slowest there is.
            let friction = 1.0 / options.prior_std;
            let method = Baoab::new(UnderdampedLangevin::new(target, friction)?, grid)?;
            let mut run =
                method.run(Start::Rows(&start), Keep::Nodes(&nodes), 0..chains, noise, Control::default())?;
            run.states = run.states.slice(s![.., .., ..d]).to_owned();
            Ok(run)
        }
    }
}

/// A bar over all evaluations of the posterior; hidden where there is no terminal.
fn progress_bar(options: &Options) -> Result<ProgressBar, Box<dyn std::error::Error>> {
    let per_run = options.chains * options.steps as u64;
    let bar =
        ProgressBar::new(2 * STEP_SIZES as u64 * per_run + REFERENCE_DRAWS / 4 * (4 + reference::PILOTS));
    if !std::io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    bar.set_style(ProgressStyle::with_template("{msg:28} [{bar:40}] {percent:>3} %, {eta} left")?);
    bar.enable_steady_tick(Duration::from_millis(200));
    Ok(bar)
}
