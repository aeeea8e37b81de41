//! Jump-diffusions against laws known in closed form, and against the run without jumps.
//!
//! Statistical tests: one family at 10⁻³.

use numeric::estimate::MeanAccumulator;
use numeric::ndarray::{array, s};
use numeric::{Control, Error, Noise, RowStream, Time, TimeGrid, from_row_fn};
use sde_core::integrator::{EulerMaruyama, Milstein, PlatenWeak2, Sra1};
use sde_core::problems::Heisenberg;
use sde_core::{Additive, GeometricBrownian, JumpDiffusion, JumpRun, Keep, Sde, Solver, Start, as_ito};
use statrs::distribution::{ContinuousCDF, Discrete, Normal, Poisson};
use verify::{Family, chi_squared, kolmogorov_smirnov, seed};

type Intensity = fn(Time, &[f64]) -> f64;
type Jump = fn(Time, &mut [f64], &mut RowStream);

fn brownian(drift: f64, volatility: f64) -> impl Sde<f64> {
    let field = from_row_fn(1, move |_, _, out: &mut [f64]| {
        out[0] = drift;
        Ok(())
    });
    Additive::new(field, &array![[volatility]]).unwrap()
}

fn run<E: Sde<f64>>(
    sde: E,
    grid: &TimeGrid,
    bound: f64,
    (intensity, jump): (Intensity, Jump),
    start: &[f64],
    n: u64,
    noise: Noise,
) -> JumpRun<f64> {
    let process =
        JumpDiffusion { sde, integrator: EulerMaruyama, grid: grid.clone(), bound, intensity, jump };
    process.run(Start::Point(start), Keep::Last, 0..n, noise, Control::default()).unwrap()
}

/// Merton's model: Brownian motion with drift and normal jumps has the law of a Poisson mixture of normals, on any grid.
/// Flips between two states with different rates, jumps in number with a rate in time: all in closed form.
#[test]
fn laws_in_closed_form() {
    let mut family = Family::new(1e-3).unwrap();
    let n = 20_000;
    let grid = TimeGrid::from_nodes(vec![0.0, 0.3, 1.0, 2.0]).unwrap();

    // Intensity 1.5 of a bound 4, marks N(0.8, 0.5²).
    let jump: Jump = |_, x, stream| x[0] += 0.8 + 0.5 * stream.normal();
    let merton = run(brownian(-0.4, 0.6), &grid, 4.0, (|_, _| 1.5, jump), &[0.1], n, Noise::new(seed(1)));
    let counts = Poisson::new(3.0).unwrap();
    let cdf = |x: f64| {
        let given = |k: u64| {
            let k = k as f64;
            Normal::new(0.1 - 0.8 + 0.8 * k, (0.36 * 2.0 + 0.25 * k).sqrt()).unwrap().cdf(x)
        };
        (0..40).map(|k| counts.pmf(k) * given(k)).sum()
    };
    let x: Vec<f64> = merton.trajectory.states.iter().copied().collect();
    family.push("Merton", kolmogorov_smirnov(&x, cdf).unwrap().p_value);
    let mut histogram = [0; 10];
    merton.jumps.iter().for_each(|&k| histogram[k.min(9) as usize] += 1);
    let mut probabilities: Vec<f64> = (0..9).map(|k| counts.pmf(k)).collect();
    probabilities.push(1.0 - probabilities.iter().sum::<f64>());
    family.push("Merton's jumps", chi_squared(&histogram, &probabilities).unwrap().p_value);

    // 0 → 1 with rate 3, 1 → 0 with rate 1, without noise: P(1) = ¾ (1 − e^{−4t}).
    let rates: Intensity = |_, x| if x[0] < 0.5 { 3.0 } else { 1.0 };
    let flip: Jump = |_, x, _| x[0] = 1.0 - x[0];
    let short = TimeGrid::uniform(0.0, 0.35, 2).unwrap();
    let flips = run(brownian(0.0, 0.0), &short, 3.0, (rates, flip), &[0.0], n, Noise::new(seed(2)));
    let ones = flips.trajectory.states.iter().filter(|&&x| x == 1.0).count() as u64;
    let one = 0.75 * (1.0 - (-4.0_f64 * 0.35).exp());
    family.push("flips", chi_squared(&[n - ones, ones], &[1.0 - one, one]).unwrap().p_value);

    // Rate 6t² on [0, 1]: the number of jumps is Poisson(2), and so is what they add up to.
    let unit = TimeGrid::uniform(0.0, 1.0, 3).unwrap();
    let rising: (Intensity, Jump) = (|time, _| 6.0 * time.t * time.t, |_, x, _| x[0] += 1.0);
    let counted = run(brownian(0.0, 0.0), &unit, 6.0, rising, &[0.0], n, Noise::new(seed(3)));
    let mut histogram = [0; 8];
    for (&x, &k) in counted.trajectory.states.iter().zip(&counted.jumps) {
        assert_eq!(x, k as f64);
        histogram[k.min(7) as usize] += 1;
    }
    let counts = Poisson::new(2.0).unwrap();
    let mut probabilities: Vec<f64> = (0..7).map(|k| counts.pmf(k)).collect();
    probabilities.push(1.0 - probabilities.iter().sum::<f64>());
    family.push("rising rate", chi_squared(&histogram, &probabilities).unwrap().p_value);

    // Brownian motion at its first jump, with rate 6 in steps of length 1, is Laplace with scale 1/√12: the path between
    // the ends of a cut step. In 200,000 rows 5 % of the scale would show.
    let record: Jump = |_, x, _| {
        if x[1] == 0.0 {
            x[1] = x[0];
        }
    };
    let field = from_row_fn(2, |_, _, out: &mut [f64]| {
        out.fill(0.0);
        Ok(())
    });
    let pair = Additive::new(field, &array![[1.0], [0.0]]).unwrap();
    let long = TimeGrid::uniform(0.0, 4.0, 4).unwrap();
    let stopped = run(pair, &long, 6.0, (|_, _| 6.0, record), &[0.0; 2], 200_000, Noise::new(seed(6)));
    let x: Vec<f64> = stopped.trajectory.states.slice(s![.., 0, 1]).to_vec();
    let laplace = |x: f64| {
        let tail = 0.5 * (-x.abs() * 12_f64.sqrt()).exp();
        if x < 0.0 { tail } else { 1.0 - tail }
    };
    family.push("at the first jump", kolmogorov_smirnov(&x, laplace).unwrap().p_value);
    family.assert();
}

/// Candidates that are never taken cut the steps and leave the path alone: for Brownian motion to rounding.
#[test]
fn refused_candidates_leave_the_path_alone() {
    let grid = TimeGrid::uniform(0.0, 1.0, 5).unwrap();
    let (noise, start) = (Noise::new(seed(4)), Start::Point(&[0.2][..]));
    let never: (Intensity, Jump) = (|_, _| 0.0, |_, _, _| unreachable!("no jump at rate 0"));
    let solver = Solver::new(brownian(0.7, 0.3), EulerMaruyama, grid.clone()).unwrap();
    let plain = solver.run(start, Keep::Last, 0..300, noise, Control::default()).unwrap();
    let cut = run(brownian(0.7, 0.3), &grid, 9.0, never, &[0.2], 300, noise);
    assert!(cut.trajectory.statistics.accepted > 300 * (5 + 7));
    for (cut, plain) in cut.trajectory.states.iter().zip(&plain.states) {
        assert!((cut - plain).abs() < 1e-13);
    }
    // Without any candidate, to the bit and at the same cost.
    let quiet = run(brownian(0.7, 0.3), &grid, 0.0, never, &[0.2], 300, noise);
    assert_eq!(quiet.trajectory, plain);
    assert_eq!(quiet.jumps, [0; 300]);
}

#[test]
fn shards_agree_and_nodes_are_kept() {
    let grid = TimeGrid::uniform(0.0, 1.0, 4).unwrap();
    let stock = GeometricBrownian::new(2, 0.1, 0.4).unwrap();
    let process = JumpDiffusion {
        sde: &stock,
        integrator: Milstein,
        grid,
        bound: 3.0,
        intensity: |_: Time, x: &[f64]| 3.0 / (1.0 + x[0].abs()),
        jump: |_: Time, x: &mut [f64], stream: &mut RowStream| x[1] *= 0.5 + stream.uniform(),
    };
    let go = |rows| {
        let start = Start::Point(&[1.0, 2.0]);
        process.run(start, Keep::Nodes(&[0, 1, 4]), rows, Noise::new(seed(5)), Control::default()).unwrap()
    };
    // Many rows go in larger blocks.
    let (whole, shard) = (go(0..3000), go(40..77));
    assert_eq!(shard.trajectory.states, whole.trajectory.states.slice(s![40..77, .., ..]));
    assert_eq!(shard.jumps, whole.jumps[40..77]);
    assert!(whole.jumps.iter().sum::<u64>() > 2000);
    assert!(whole.trajectory.states.slice(s![.., 0, 1]).iter().all(|&x| x == 2.0));
}

#[test]
fn bad_rates_and_methods_are_refused() {
    let grid = || TimeGrid::uniform(0.0, 1.0, 2).unwrap();
    let go = |bound: f64, intensity: Intensity| {
        let jump: Jump = |_, x, _| x[0] += 1.0;
        let process = JumpDiffusion {
            sde: brownian(0.0, 1.0),
            integrator: EulerMaruyama,
            grid: grid(),
            bound,
            intensity,
            jump,
        };
        process.run(Start::Point(&[0.0]), Keep::Last, 0..50, Noise::new(1), Control::default())
    };
    for bound in [-1.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(go(bound, |_, _| 0.1), Err(Error::Domain { parameter: "bound", .. })));
    }
    for (value, intensity) in [(2.5, (|_, _| 2.5) as Intensity), (-0.1, |_, _| -0.1)] {
        let error = go(2.0, intensity).unwrap_err();
        assert!(
            matches!(error, Error::Domain { parameter: "intensity", value: v, .. } if v == value),
            "{error}"
        );
    }
    assert!(matches!(go(2.0, |_, _| f64::NAN), Err(Error::Domain { parameter: "intensity", .. })));
    let process = JumpDiffusion {
        sde: brownian(0.0, 1.0),
        integrator: Sra1,
        grid: grid(),
        bound: 1.0,
        intensity: |_: Time, _: &[f64]| 1.0,
        jump: |_: Time, _: &mut [f64], _: &mut RowStream| (),
    };
    let refused = process.run(Start::Point(&[0.0]), Keep::Last, 0..1, Noise::new(1), Control::default());
    assert!(matches!(refused, Err(Error::Unsupported { .. })));
    let never: (Intensity, Jump) = (|_, _| 1.0, |_, _, _| ());
    let process = JumpDiffusion {
        sde: brownian(0.0, 1.0),
        integrator: EulerMaruyama,
        grid: grid().reversed(),
        bound: 1.0,
        intensity: never.0,
        jump: never.1,
    };
    let refused = process.run(Start::Point(&[0.0]), Keep::Last, 0..1, Noise::new(1), Control::default());
    assert!(matches!(refused, Err(Error::Unsupported { .. })));
}

/// On the Heisenberg group, from 0, `E Z² = t²` for any steps of the scheme if each has a sign of its own for the area. Steps
/// that are cut at every candidate: with one sign for all parts of a step it is 1.43 here.
#[test]
fn parts_of_a_step_do_not_share_what_a_weak_scheme_draws() {
    let process = JumpDiffusion {
        sde: as_ito(Heisenberg),
        integrator: PlatenWeak2,
        grid: TimeGrid::uniform(0.0, 1.0, 2).unwrap(),
        bound: 20.0,
        intensity: |_: Time, _: &[f64]| 0.0,
        jump: |_: Time, _: &mut [f64], _: &mut RowStream| {},
    };
    let noise = Noise::new(seed(40));
    let run = process.run(Start::Point(&[0.0; 3]), Keep::Last, 0..20_000, noise, Control::default()).unwrap();
    assert!(run.jumps.iter().all(|&jumps| jumps == 0) && run.trajectory.statistics.accepted > 20_000 * 20);
    let squares: Vec<f64> = run.trajectory.states.slice(s![.., 0, 2]).iter().map(|z| z * z).collect();
    let square = MeanAccumulator::from_values(0, &squares).unwrap().estimate().unwrap();
    // A false alarm has probability 7·10⁻⁶.
    assert!((square.mean - 1.0).abs() < 4.5 * square.std_error && square.std_error < 0.03, "{square}");
}
