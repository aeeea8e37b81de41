//! Gene expression in two stages: the law of a protein over time, from exact paths and from the master equation.
//!
//! The network is the two-stage model of Shahrezaei and Swain (2008), *Analytical distributions for stochastic gene
//! expression*, with the constants of their figure 2: mRNA is transcribed at a constant rate and lives a tenth as long as
//! the protein that it is translated to, in the unit of time. There are none of either at the start.
//!
//! - *Paths*: an ensemble by the direct method, looked at at a few times.
//! - *Leaps*: ensembles of tau-leaping with one step for all, plain and trapezoidal.
//! - *Master equation*: finite state projection, on a set of states that follows the law. What it has lost bounds the error.
//! - *Negative binomial*: the law of the paper for mRNA that is short-lived, to which the protein comes close at late times.
//!
//! For each time and ensemble the table has the mean, and the total variation between the histogram and the law, beside what it
//! would be in the mean for as many independent draws of the law itself. Run with `--help` for the options.

mod figure;
#[path = "../common/mod.rs"]
#[expect(dead_code, reason = "the helpers for digits are not used here")]
mod shared;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use ctmc::network::{
    Algorithm, CountLaw, Counting, LeapMethod, LeapStep, Network, Projection, Rate, Reaction, Ssa, Start,
    TauLeaping,
};
use girsanov::ndarray::{Array3, s};
use numeric::estimate::MeanAccumulator;
use numeric::{Control, Error, Estimate, Noise};
use serde::Serialize;

/// The law of a protein over time: exact paths and leaps beside the master equation.
#[derive(Parser, Debug)]
pub(crate) struct Options {
    /// Folder for gene_expression.png and gene_expression.json
    #[arg(long, default_value = "out")]
    out: PathBuf,
    /// Seed of everything random
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Paths of each ensemble
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(10..=10_000_000))]
    paths: u64,
    /// Length of a leap
    #[arg(long, default_value_t = 0.05)]
    leap: f64,
}

/// Rates of transcription and translation, and the decay of mRNA; the protein decays at rate 1. In the paper's terms
/// a = 20, b = 2.5 and γ = 10.
const TRANSCRIPTION: f64 = 20.0;
const TRANSLATION: f64 = 25.0;
const DECAY: f64 = 10.0;
const TIMES: [f64; 5] = [0.2, 0.5, 1.0, 2.0, 6.0];
const TOLERANCE: f64 = 1e-10;
/// The protein among the species.
const PROTEIN: usize = 1;

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("gene_expression: {message}");
            ExitCode::FAILURE
        }
    }
}

fn two_stages() -> Result<Network, Error> {
    let action = |constant| Rate::mass_action(constant, Counting::Ordered);
    Network::new(
        ["mRNA", "protein"],
        vec![
            Reaction::new("transcription", [], [("mRNA", 1)], action(TRANSCRIPTION)),
            Reaction::new("translation", [], [("protein", 1)], action(TRANSLATION))
                .with_catalysts([("mRNA", 1)]),
            Reaction::new("decay of mRNA", [("mRNA", 1)], [], action(DECAY)),
            Reaction::new("decay of protein", [("protein", 1)], [], action(1.0)),
        ],
    )
}

/// What is known at one time.
#[derive(Serialize)]
pub(crate) struct Row {
    pub(crate) time: f64,
    /// By the master equation: the law of the protein, its mean and standard deviation, and a bound of the error of the law.
    pub(crate) law: Vec<f64>,
    exact_mean: f64,
    exact_std_dev: f64,
    error_bound: f64,
    /// Total variation to the law of as many draws of it as there are paths, in the mean.
    expected_total_variation: f64,
    /// Paths first, then leaps.
    pub(crate) ensembles: Vec<Ensemble>,
}

/// An ensemble at one time.
#[derive(Serialize)]
pub(crate) struct Ensemble {
    name: &'static str,
    /// Shares of the counts.
    pub(crate) shares: Vec<f64>,
    mean: Estimate,
    total_variation: f64,
}

fn run(options: &Options) -> Result<(), Box<dyn std::error::Error>> {
    fs::create_dir_all(&options.out)
        .map_err(|e| format!("cannot make the folder {}: {e}", options.out.display()))?;
    let network = two_stages()?;
    let step = LeapStep::Fixed(options.leap);
    let ssa = Ssa::new(&network, Algorithm::Direct);
    let plain = TauLeaping::new(&network, LeapMethod::Euler, step)?;
    let trapezoidal = TauLeaping::new(&network, LeapMethod::Trapezoidal(0.5), step)?;
    let (start, rows, noise) = (Start::State(&[0, 0]), 0..options.paths, Noise::new(options.seed));
    type Look<'a> = Box<dyn Fn(Control<'_>) -> Result<Array3<u32>, Error> + 'a>;
    let looks: [(&str, Look<'_>); 3] = [
        ("paths", Box::new(|control| ssa.counts_at(start, &TIMES, rows.clone(), noise, control))),
        ("leaps", Box::new(|control| plain.counts_at(start, &TIMES, rows.clone(), noise, control))),
        (
            "trapezoidal leaps",
            Box::new(|control| trapezoidal.counts_at(start, &TIMES, rows.clone(), noise, control)),
        ),
    ];
    let bar = shared::progress_bar(options.paths * looks.len() as u64)?;
    let mut seen = Vec::new();
    for (k, (name, look)) in (0..).zip(looks) {
        bar.set_message(name);
        let progress = |done| bar.set_position(k * options.paths + done);
        seen.push((name, look(Control { cancel: None, progress: Some(&progress) })?));
    }
    bar.finish_and_clear();
    let projection = Projection { network: &network, tolerance: TOLERANCE, most_states: 1_000_000 };
    let laws = projection.laws(&CountLaw::point(&[0, 0]), &TIMES)?;
    let rows: Vec<Row> = TIMES
        .into_iter()
        .zip(&laws)
        .enumerate()
        .map(|(t, (time, law))| {
            let counts = seen.iter().map(|(name, counts)| {
                let counts = counts.slice(s![.., t, PROTEIN]).iter().map(|&n| f64::from(n)).collect();
                (*name, counts)
            });
            Row::new(time, law, counts)
        })
        .collect::<Result<_, Error>>()?;
    print(&rows, options);
    let most = rows.iter().map(|row| row.law.len()).max().unwrap_or(0);
    let limit = negative_binomial(TRANSCRIPTION, TRANSLATION / DECAY, most);
    figure::draw(&options.out.join("gene_expression.png"), &rows, &limit)?;
    shared::write_json(&options.out.join("gene_expression.json"), &rows)?;
    println!("wrote gene_expression.png and gene_expression.json to {}", options.out.display());
    Ok(())
}

impl Row {
    fn new(
        time: f64,
        law: &CountLaw,
        counts: impl Iterator<Item = (&'static str, Vec<f64>)>,
    ) -> Result<Row, Error> {
        let of_protein = law.marginal(PROTEIN);
        let mut n = 0.0;
        let ensembles = counts.map(|(name, counts)| {
            n = counts.len() as f64;
            Ensemble::new(name, &counts, &of_protein)
        });
        let ensembles = ensembles.collect::<Result<_, Error>>()?;
        // The mean of |share − p| for a binomial share, by its normal limit.
        let scatter = |p: &f64| (2.0 * p * (1.0 - p) / (std::f64::consts::PI * n)).sqrt();
        Ok(Row {
            time,
            exact_mean: law.mean(PROTEIN),
            exact_std_dev: law.covariance(PROTEIN, PROTEIN).sqrt(),
            error_bound: law.lost(),
            expected_total_variation: 0.5 * of_protein.iter().map(scatter).sum::<f64>(),
            law: of_protein,
            ensembles,
        })
    }
}

impl Ensemble {
    fn new(name: &'static str, counts: &[f64], law: &[f64]) -> Result<Ensemble, Error> {
        let most = counts.iter().copied().fold(0.0, f64::max) as usize;
        let mut shares = vec![0.0; law.len().max(most + 1)];
        counts.iter().for_each(|&count| shares[count as usize] += 1.0 / counts.len() as f64);
        let distance = |(k, share): (usize, &f64)| (share - law.get(k).copied().unwrap_or(0.0)).abs();
        Ok(Ensemble {
            name,
            mean: MeanAccumulator::from_values(0, counts)?.estimate()?,
            total_variation: 0.5 * shares.iter().enumerate().map(distance).sum::<f64>(),
            shares,
        })
    }
}

/// The law of the protein at late times for short-lived mRNA: bursts of b on average, a in a lifetime.
fn negative_binomial(a: f64, b: f64, most: usize) -> Vec<f64> {
    let mut law = vec![(1.0 + b).powf(-a)];
    for n in 1..most {
        let ratio = b / (1.0 + b) * (a + n as f64 - 1.0) / n as f64;
        law.push(law[n - 1] * ratio);
    }
    law
}

fn print(rows: &[Row], options: &Options) {
    println!("protein, {} paths, leaps of {}\n", options.paths, options.leap);
    println!(
        "  time |   mean  std dev  error bound |          ensemble |       its mean   | TV to the law  of as many draws"
    );
    for row in rows {
        for (k, ensemble) in row.ensembles.iter().enumerate() {
            if k == 0 {
                let Row { time, exact_mean, exact_std_dev, error_bound, .. } = row;
                print!("{time:6.1} | {exact_mean:6.3}   {exact_std_dev:6.3}      {error_bound:.1e} |");
            } else {
                print!("       |                               |");
            }
            let Ensemble { name, mean, total_variation, .. } = ensemble;
            println!(
                " {name:>17} | {:7.3} ± {:6.3} |        {total_variation:.4}           {:.4}",
                mean.mean, mean.std_error, row.expected_total_variation
            );
        }
    }
    println!();
}
