//! What a grid costs, what the best one saves, and what a bad model adds: certified and measured, on handwritten digits.
//!
//! Fits a Gaussian mixture to 8×8 digits, so that the law is known; plans grids from its measured error curve; certifies
//! three samplers on the usual grids and on the planned one; and does the same with a deliberately damaged model, of
//! which theory says to the last digit how much its certificate must move. Run with `--help` for the options.

mod damage;
mod figure;
mod report;
#[path = "../common/mod.rs"]
mod shared;
mod theorems;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use bounds::divergence::SlicedReference;
use bounds::held_out::{HeldOut, HeldOutStep, Interval, cross_entropy_bound};
use bounds::plan::{Start, equidistribute, mixture_curve, optimal_grid};
use bounds::terms::Scheme;
use bounds::{Paths, chain_kl, chain_kl_steps};
use clap::Parser;
use damage::Damaged;
use girsanov::ndarray::Array2;
use indicatif::ProgressBar;
use numeric::{Control, Model, Noise, TimeGrid, VectorField};
use report::{Cost, Row};
use sde_core::{
    FrozenDenoiser, GaussianStep, LocallyMomentMatched, Method, Mixture, MomentMatched, Ou, Sampler, grid,
};

/// Certify samplers of digits on several grids, for a good and for a damaged model.
#[derive(Parser, Debug)]
struct Options {
    /// Folder for certificate.png, theorems.png and certificate.json
    #[arg(long, default_value = "out")]
    out: PathBuf,
    /// Gzipped CSV: 64 pixels (0 to 16) and the class in each row
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/data/digits.csv.gz"))]
    data: PathBuf,
    /// Seed of everything random
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Digits drawn by each sampler on each grid
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(10..))]
    samples: u64,
    /// Forward paths behind each certificate
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u64).range(2..))]
    paths: u64,
    /// Numbers of steps, separated by commas
    #[arg(long, value_delimiter = ',', default_values_t = [12, 25, 50, 100])]
    steps: Vec<usize>,
    /// Components of the mixture
    #[arg(long, default_value_t = 40)]
    components: usize,
    /// Size of the damage: error of the damaged model at noise σ, in units of σ, over all pixels together
    #[arg(long, default_value_t = 1.0, allow_negative_numbers = true)]
    damage: f64,
}

/// Where all runs start and stop, in the clock of the Ornstein–Uhlenbeck process.
const HORIZON: f64 = 4.0;
const EARLY_STOP: f64 = 1e-3;
/// Variance added to each component's covariance in every step of the fit.
const FLOOR: f64 = 0.01;
/// Nodes of the mesh that grids are planned on, and those of them where the error curve is measured.
const MESH: usize = 2_000;
const MEASURED: usize = 160;
/// Exact draws that samples are compared with, and directions of the comparison.
const REFERENCE_ROWS: u64 = 10_000;
const PROJECTIONS: usize = 500;

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("certificate: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Box<dyn std::error::Error>> {
    fs::create_dir_all(&options.out)
        .map_err(|e| format!("cannot make the folder {}: {e}", options.out.display()))?;
    if options.steps.is_empty() || options.steps.iter().any(|&n| n == 0 || n > MESH) {
        return Err(format!("--steps takes numbers from 1 to {MESH}").into());
    }
    let noise = Noise::new(options.seed);
    let digits = shared::data::load(&options.data, noise.fork("split"))?;
    let (target, _) = shared::fit(&digits.train, options.components, FLOOR, noise.fork("fit"))?;

    let moment_matched = MomentMatched::new(&target.covariance())?;
    let bar = shared::progress_bar(14 * options.steps.iter().sum::<usize>() as u64)?;
    bar.set_message("error curve of the mixture");
    let measured = mixture_curve(
        &target,
        &moment_matched.principal_directions(),
        &grid::geometric_v(HORIZON, EARLY_STOP, MEASURED)?,
        Paths { count: options.paths, noise: noise.fork("curve") },
        Control::default(),
    )?;

    theorems::show(&options.out.join("theorems.png"), &measured)?;

    let level = numeric::Schedule::level(&Ou, numeric::Time::of(EARLY_STOP));
    let exact = target.sample(0..REFERENCE_ROWS, level.alpha, level.sigma, noise.fork("reference"))?;
    let reference = SlicedReference::new(&exact, PROJECTIONS, noise.fork("sliced"))?;
    let draws = target.sample(0..options.paths, 1.0, 0.0, noise.fork("draws"))?;
    // −log q_δ of the noised rows, averaged: what the bounds would be if the samplers were exact.
    let cross_entropy = |data: &Array2<f64>| -> Result<f64, numeric::Error> {
        let noised = data * level.alpha + noised(data, level.sigma, noise.fork("noised"));
        Ok(-target.ln_density(&noised, level.alpha, level.sigma)?.iter().sum::<f64>() / data.nrows() as f64)
    };
    let exact_entropies = (cross_entropy(&draws)?, cross_entropy(&digits.heldout)?);
    let initialization = bounds::certify(
        &target,
        &Ou,
        &FrozenDenoiser,
        &grid::geometric_v(HORIZON, EARLY_STOP, 1)?,
        Paths { count: 2, noise },
        Control::default(),
    )?
    .map_err(|none| none.to_string())?
    .initialization
    .nats;
    let mut study = Study {
        options,
        target,
        noise,
        heldout: digits.heldout.clone(),
        draws,
        reference,
        bar,
        initialization,
        rows: Vec::new(),
        pictured: Vec::new(),
    };

    let good = study.target.denoiser::<f64, Ou>(Ou);
    let damaged = Damaged::model(good.clone(), options.damage);
    let mesh = grid::geometric_v(HORIZON, EARLY_STOP, MESH)?;
    let matched = Scheme::MomentMatched(moment_matched.variances().to_vec());
    report::print_plans(
        &[("D", Scheme::FrozenDenoiser), ("G_C", matched.clone())],
        &measured,
        &mesh,
        &options.steps,
    )?;
    for &steps in &options.steps {
        let usual = usual_grids(steps)?;
        for (name, scheme) in [("D", Scheme::FrozenDenoiser), ("G_C", matched.clone())] {
            let plan = optimal_grid(&scheme, &measured, &mesh, Start::Fixed, steps)?;
            for (grid_name, grid) in usual[..3].iter().map(|(n, g)| (*n, g)).chain([("optimal", &plan.grid)])
            {
                if name == "D" {
                    study.of_model(name, "good", &good, &FrozenDenoiser, grid_name, grid)?;
                    study.of_model(name, "damaged", &damaged, &FrozenDenoiser, grid_name, grid)?;
                } else {
                    study.of_model(name, "good", &good, &moment_matched, grid_name, grid)?;
                }
            }
        }
        // Of the locally matched sampler no curve tells the cost: it is measured step by step, and the grid moved.
        let geometric = &usual[1].1;
        let costs = chain_kl_steps(
            &study.target,
            &Ou,
            &good,
            &LocallyMomentMatched,
            geometric,
            study.paths("plan"),
            Control::default(),
        )?;
        let costs: Vec<f64> = costs.iter().map(|cost| cost.mean).collect();
        let planned = equidistribute(geometric, &costs, 3.0, steps)?;
        study.of_model("L", "good", &good, &LocallyMomentMatched, "geometric", geometric)?;
        study.of_model("L", "good", &good, &LocallyMomentMatched, "optimal", &planned)?;
    }
    study.bar.finish_and_clear();

    let fresh = study.target.sample(0..options.samples, level.alpha, level.sigma, noise.fork("floor"))?;
    let floor = study.reference.w2(&fresh)?;
    report::print(&study.rows, study.initialization, exact_entropies, floor);
    study.pictured.insert(0, ("held-out digits".to_owned(), digits.heldout.clone()));
    figure::draw(&options.out.join("certificate.png"), &study.rows, floor.mean, &digits, &study.pictured)?;
    let report = report::Report {
        dataset: options.data.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
        seed: options.seed,
        damage: options.damage,
        initialization: study.initialization,
        exact_cross_entropy_of_draws: exact_entropies.0,
        exact_cross_entropy_of_digits: exact_entropies.1,
        exact_sliced_w2: floor.mean,
        rows: &study.rows,
    };
    shared::write_json(&options.out.join("certificate.json"), &report)?;
    println!("wrote certificate.png, theorems.png and certificate.json to {}", options.out.display());
    Ok(())
}

fn noised(like: &Array2<f64>, sigma: f64, noise: Noise) -> Array2<f64> {
    let mut z = Array2::zeros(like.raw_dim());
    noise.normals_into::<f64>(&(0..like.nrows() as u64).collect::<Vec<_>>(), 0, &mut z);
    z * sigma
}

/// Equal steps of time, of log-noise and of the seventh root of the noise; and two more that are only planned with: the
/// cosine grid, and the two phases of the convergence theory.
fn usual_grids(steps: usize) -> Result<[(&'static str, TimeGrid); 5], numeric::Error> {
    let ratio = |tau: f64| (2.0 * tau).exp_m1().sqrt();
    Ok([
        ("uniform", grid::uniform(HORIZON, EARLY_STOP, steps)?),
        ("geometric", grid::geometric_v(HORIZON, EARLY_STOP, steps)?),
        ("Karras", grid::at_ratios(&Ou, &grid::karras(ratio(HORIZON), ratio(EARLY_STOP), 7.0, steps)?)?),
        ("cosine", grid::at_ratios(&Ou, &grid::cosine(ratio(HORIZON), ratio(EARLY_STOP), steps)?)?),
        ("two-phase", grid::two_phase(HORIZON, EARLY_STOP, steps.next_multiple_of(2))?),
    ])
}

/// Everything that the runs share.
struct Study<'a> {
    options: &'a Options,
    target: Mixture,
    noise: Noise,
    heldout: Array2<f64>,
    /// As many fresh draws of the mixture: held-out data of a law that the model does know.
    draws: Array2<f64>,
    reference: SlicedReference<f64>,
    bar: ProgressBar,
    initialization: f64,
    rows: Vec<Row>,
    /// Samples for the picture, with what they are of.
    pictured: Vec<(String, Array2<f64>)>,
}

impl Study<'_> {
    fn paths(&self, what: &'static str) -> Paths {
        Paths { count: self.options.paths, noise: self.noise.fork(what) }
    }

    /// Draws, measures and certifies.
    fn of_model<V, K>(
        &mut self,
        sampler: &'static str,
        quality: &'static str,
        model: &Model<V, Ou>,
        method: &K,
        grid_name: &'static str,
        grid: &TimeGrid,
    ) -> Result<(), Box<dyn std::error::Error>>
    where
        V: VectorField<f64> + Clone,
        K: Method<f64, Model<V, Ou>> + GaussianStep<f64, Model<V, Ou>> + HeldOutStep<Model<V, Ou>> + Clone,
    {
        self.bar.set_message(format!("{sampler}, {grid_name}, {} steps, {quality} model", grid.steps()));
        let chain =
            chain_kl(&self.target, &Ou, model, method, grid, self.paths("paths"), Control::default())?;
        let held_out =
            |data| HeldOut { data, noise: self.noise.fork("held out"), interval: Interval::Asymptotic };
        let bound = |data| cross_entropy_bound(&held_out(data), model, method, grid, Control::default());
        let (of_draws, of_digits) = (bound(&self.draws)?, bound(&self.heldout)?);
        let draws = Sampler::new(model.clone(), method.clone(), grid.clone())?;
        let x = draws.sample(0..self.options.samples, self.noise.fork("samples"), Control::default())?;
        let w2 = self.reference.w2(&x)?;
        if grid_name == "optimal" && self.options.steps.iter().all(|&n| n <= grid.steps()) {
            self.pictured.push((format!("{sampler}, {} steps, {quality} model", grid.steps()), x));
        }
        self.bar.inc(grid.steps() as u64);
        let predicted = (quality == "damaged").then(|| damage::predicted(self.options.damage, grid));
        self.rows.push(Row {
            sampler,
            grid: grid_name,
            steps: grid.steps(),
            model: quality,
            chain: Cost::of(chain),
            certificate: self.initialization + chain.upper(report::LEVEL)?,
            predicted_damage: predicted,
            cross_entropy_of_draws: Cost::of(of_draws.estimate()),
            cross_entropy_of_digits: Cost::of(of_digits.estimate()),
            sliced_w2: Cost::of(w2),
        });
        Ok(())
    }
}
