//! Gene expression in two stages: the law of a protein over time, from exact paths and from the master equation.
//!
//! The network is the two-stage model of Shahrezaei and Swain (2008), *Analytical distributions for stochastic gene
//! expression*, with the constants of their figure 2: mRNA is transcribed at a constant rate and lives a tenth as long as
//! the protein that it is translated to, in the unit of time. There are none of either at the start.
//!
//! - *Paths*: an ensemble by the direct method, looked at at a few times.
//! - *Master equation*: the same network on the states of at most 25 mRNA and 250 proteins, by uniformization. What leaves
//!   these states is gathered in one more, and its probability bounds the error in total variation.
//! - *Negative binomial*: the law of the paper for mRNA that is short-lived, to which the protein comes close at late times.
//!
//! For each time the table has the mean of both, and the total variation between the histogram of the paths and the law,
//! beside what it would be in the mean for as many independent draws of the law itself. Run with `--help` for the options.

mod figure;
#[path = "../common/mod.rs"]
#[expect(dead_code, reason = "the helpers for digits are not used here")]
mod shared;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use ctmc::network::{Algorithm, Counting, Network, Rate, Reaction, Ssa, Start};
use ctmc::{Sparse, evolve};
use girsanov::ndarray::s;
use numeric::estimate::MeanAccumulator;
use numeric::{Control, Error, Estimate, Noise};
use serde::Serialize;

/// The law of a protein over time: exact paths beside the master equation.
#[derive(Parser, Debug)]
pub(crate) struct Options {
    /// Folder for gene_expression.png and gene_expression.json
    #[arg(long, default_value = "out")]
    out: PathBuf,
    /// Seed of everything random
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Paths of the ensemble
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(10..=10_000_000))]
    paths: u64,
}

/// Rates of transcription and translation, and the decay of mRNA; the protein decays at rate 1. In the paper's terms
/// a = 20, b = 2.5 and γ = 10.
const TRANSCRIPTION: f64 = 20.0;
const TRANSLATION: f64 = 25.0;
const DECAY: f64 = 10.0;
const TIMES: [f64; 5] = [0.2, 0.5, 1.0, 2.0, 6.0];
/// The greatest counts of the states on which the master equation is solved.
const MOST_RNA: u32 = 25;
const MOST_PROTEIN: u32 = 250;
const TOLERANCE: f64 = 1e-12;

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

/// The chain on the states of at most so many molecules; the last state is outside of them and never left.
fn truncated(network: &Network) -> Result<Sparse, Error> {
    let width = MOST_PROTEIN + 1;
    let outside = (MOST_RNA + 1) * width;
    let mut rates = Vec::new();
    for state in 0..outside {
        let counts = [state / width, state % width];
        let mut leaving = 0.0;
        for reaction in 0..network.reactions().len() {
            let rate = network.propensity(reaction, 0.0, &counts)?;
            if rate == 0.0 {
                continue;
            }
            let mut after = counts;
            network.fire(reaction, &mut after)?;
            if after[0] <= MOST_RNA && after[1] <= MOST_PROTEIN {
                rates.push((state, after[0] * width + after[1], rate));
            } else {
                leaving += rate;
            }
        }
        if leaving > 0.0 {
            rates.push((state, outside, leaving));
        }
    }
    Sparse::new(outside as usize + 1, rates)
}

/// What is known at one time.
#[derive(Serialize)]
pub(crate) struct Row {
    pub(crate) time: f64,
    /// By the master equation: the law of the protein, its mean and standard deviation, and a bound of the error.
    pub(crate) law: Vec<f64>,
    exact_mean: f64,
    exact_std_dev: f64,
    error_bound: f64,
    /// Of the paths: shares of the counts, and the mean of the counts.
    pub(crate) shares: Vec<f64>,
    mean: Estimate,
    total_variation: f64,
    expected_total_variation: f64,
}

fn run(options: &Options) -> Result<(), Box<dyn std::error::Error>> {
    fs::create_dir_all(&options.out)
        .map_err(|e| format!("cannot make the folder {}: {e}", options.out.display()))?;
    let network = two_stages()?;
    let bar = shared::progress_bar(options.paths)?;
    bar.set_message("paths");
    let progress = |done| bar.set_position(done);
    let control = Control { cancel: None, progress: Some(&progress) };
    let ssa = Ssa::new(&network, Algorithm::Direct);
    let start = Start::State(&[0, 0]);
    let seen = ssa.counts_at(start, &TIMES, 0..options.paths, Noise::new(options.seed), control)?;
    bar.finish_and_clear();

    let chain = truncated(&network)?;
    let mut law = vec![0.0; (MOST_RNA as usize + 1) * (MOST_PROTEIN as usize + 1) + 1];
    law[0] = 1.0;
    let (mut before, mut error_bound, mut rows) = (0.0, 0.0, Vec::new());
    for (t, time) in TIMES.into_iter().enumerate() {
        let evolved = evolve(&chain, &law, time - before, TOLERANCE)?;
        (law, before) = (evolved.values, time);
        error_bound += evolved.truncation;
        let proteins = seen.slice(s![.., t, 1]);
        rows.push(Row::new(time, &law, error_bound, proteins.iter().copied())?);
    }
    print(&rows, options.paths);
    let limit = negative_binomial(TRANSCRIPTION, TRANSLATION / DECAY);
    figure::draw(&options.out.join("gene_expression.png"), &rows, &limit)?;
    shared::write_json(&options.out.join("gene_expression.json"), &rows)?;
    println!("wrote gene_expression.png and gene_expression.json to {}", options.out.display());
    Ok(())
}

impl Row {
    /// `error_bound` is that of the uniformization so far.
    fn new(
        time: f64,
        law: &[f64],
        error_bound: f64,
        counts: impl Iterator<Item = u32>,
    ) -> Result<Row, Error> {
        let (outside, inside) = law.split_last().expect("the state outside");
        let mut of_protein = vec![0.0; MOST_PROTEIN as usize + 1];
        for of_rna in inside.chunks_exact(of_protein.len()) {
            of_protein.iter_mut().zip(of_rna).for_each(|(sum, p)| *sum += p);
        }
        let moment = |k| -> f64 { of_protein.iter().zip(0..).map(|(p, n)| p * f64::from(n).powi(k)).sum() };
        let exact_mean = moment(1);
        let counts: Vec<f64> = counts.map(f64::from).collect();
        let n = counts.len() as f64;
        let mut shares = vec![0.0; of_protein.len()];
        let mut beyond = 0.0;
        for &count in &counts {
            *shares.get_mut(count as usize).unwrap_or(&mut beyond) += 1.0 / n;
        }
        let pairs = || of_protein.iter().zip(&shares);
        let distance = pairs().map(|(p, share)| (p - share).abs()).sum::<f64>() + (outside - beyond).abs();
        // The mean of |share − p| for a binomial share, by its normal limit.
        let scatter = |p: &f64| (2.0 * p * (1.0 - p) / (std::f64::consts::PI * n)).sqrt();
        Ok(Row {
            time,
            exact_mean,
            exact_std_dev: (moment(2) - exact_mean * exact_mean).sqrt(),
            error_bound: error_bound + outside,
            mean: MeanAccumulator::from_values(0, &counts)?.estimate()?,
            total_variation: 0.5 * distance,
            expected_total_variation: 0.5 * of_protein.iter().map(scatter).sum::<f64>(),
            law: of_protein,
            shares,
        })
    }
}

/// The law of the protein at late times for short-lived mRNA: bursts of b on average, a in a lifetime.
fn negative_binomial(a: f64, b: f64) -> Vec<f64> {
    let mut law = vec![(1.0 + b).powf(-a)];
    for n in 1..=MOST_PROTEIN {
        let ratio = b / (1.0 + b) * (a + f64::from(n) - 1.0) / f64::from(n);
        law.push(law[n as usize - 1] * ratio);
    }
    law
}

fn print(rows: &[Row], paths: u64) {
    println!("protein, {paths} paths\n");
    println!(
        "  time |   mean  std dev | mean of the paths | TV to the law  of as many draws | error bound of the law"
    );
    for row in rows {
        println!(
            "{:6.1} | {:6.3}   {:6.3} | {:7.3} ± {:6.3}  |       {:.4}            {:.4}    | {:.1e}",
            row.time,
            row.exact_mean,
            row.exact_std_dev,
            row.mean.mean,
            row.mean.std_error,
            row.total_variation,
            row.expected_total_variation,
            row.error_bound,
        );
    }
    println!();
}
