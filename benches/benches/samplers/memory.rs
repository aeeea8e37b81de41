//! Peak memory of runs of 10⁶ rows beside their output.

use girsanov_benches::w1_mixture;
use numeric::ndarray::Array2;
use numeric::{Control, Noise, TimeGrid};
use sde_core::integrator::Sri1W1;
use sde_core::ode::{ProbabilityFlow, Tsit5, Variable};
use sde_core::problems::Tanh;
use sde_core::{
    FrozenDenoiser, Keep, LocallyMomentMatched, Method, Ou, Sampler, Solver, Start, UniPc, UniPcVariant, grid,
};

use super::DIM;

const ROWS: u64 = 1_000_000;

/// The most memory that the process has had so far, in bytes.
fn high_water() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(1024.0 * line.trim().strip_suffix(" kB")?.parse::<f64>().ok()?)
}

/// Runs one after the other in one process, the ones with small states first: what each adds to the peak is in its line.
pub(super) fn table() {
    let model = w1_mixture().denoiser::<f64, _>(Ou);
    let nodes = grid::two_phase(4.0, 1e-3, 4).expect("valid");
    let sample = |method: &dyn Method<f64, _>| {
        let sampler = Sampler::new(model.clone(), method, nodes.clone()).expect("valid");
        sampler.sample::<f64>(0..ROWS, Noise::new(1), Control::default()).expect("finite").len()
    };
    let solve = || {
        let grid = TimeGrid::uniform(0.0, 1.0, 4).expect("valid");
        let solver = Solver::new(Tanh { dim: DIM, a: 0.4, b: 0.6 }, Sri1W1, grid).expect("diagonal noise");
        let start = [0.3; DIM];
        let run = solver.run(Start::Point(&start), Keep::Last, 0..ROWS, Noise::new(1), Control::default());
        run.expect("finite").states.len()
    };
    let carry = || {
        let flow = ProbabilityFlow::new(&model, Variable::Angle);
        let method = Tsit5::new(1e-3, 1e-3).expect("valid");
        let x = Array2::<f64>::from_elem((ROWS as usize, DIM), 0.5);
        let ends = (nodes.first(), nodes.last());
        // The start is an array of the caller's, and counted.
        x.len() + flow.carry(&method, ends, &x, 0..ROWS, Control::default()).expect("solvable").0.len()
    };
    let uni = UniPc::new(3, UniPcVariant::Bh2).expect("valid");
    println!("| | arrays of the caller, MB | peak of the process, MB | ratio |\n|---|---:|---:|---:|");
    let line = |name: &str, numbers: usize| {
        let (arrays, peak) = (8.0 * numbers as f64, high_water().expect("a system with /proc/self/status"));
        println!("| {name} | {:.0} | {:.0} | {:.3} |", arrays / 1e6, peak / 1e6, peak / arrays);
    };
    line("FrozenDenoiser", sample(&FrozenDenoiser));
    line("LocallyMomentMatched", sample(&LocallyMomentMatched));
    line("UniPc(3)", sample(&uni));
    line("integrator::Sri1W1 on Tanh", solve());
    line("Tsit5, with its start", carry());
}
