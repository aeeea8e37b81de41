//! States between the nodes of a method with Lévy areas.
//!
//! Statistical tests: one family at 10⁻³ for the errors of the areas and the laws between the nodes.

use numeric::ndarray::s;
use numeric::{Control, Noise};
use sde_core::integrator::LevyMilstein;
use sde_core::ode::{Direction, Event};
use sde_core::problems::{Heisenberg, Waves};
use sde_core::{Keep, Solver, Start};
use verify::{Family, Moments, normal_p_value, scores, seed};

use super::grid;

/// On the Heisenberg group the method is exact up to the areas. At the ends of the parts of the tree that these come from,
/// the state is that of steps as short as a part: of Chen's relation and nothing else.
#[test]
fn areas_are_those_of_the_step_up_to_there() {
    let (noise, start) = (Noise::new(seed(21)), Start::Point(&[0.3, -0.2, 0.1][..]));
    let solver = |depth| Solver::<f64, _, _>::new(Heisenberg, LevyMilstein { depth }, grid(1.5, 3)).unwrap();
    let times: Vec<f64> = (0..=24).map(|j| j as f64 / 16.0).collect();
    let found = solver(3).run_at(start, &times, 4..30, noise, Control::default()).unwrap();
    let fine = solver(0).refined(3);
    let fine = fine.run(start, Keep::All, 4..30, noise, Control::default()).unwrap();
    let gap = (&found.states - &fine.states).iter().fold(0.0_f64, |max, gap| max.max(gap.abs()));
    assert!(gap < 1e-13, "{gap}");
    // With steps of half a cell: the same tree, the same areas.
    let halves = solver(2).refined(1).run_at(start, &times, 4..30, noise, Control::default()).unwrap();
    let gap = (&found.states - &halves.states).iter().fold(0.0_f64, |max, gap| max.max(gap.abs()));
    assert!(gap < 1e-13, "{gap}");
}

/// `E|A − A_depth|²` is the sum of l²/12 over the parts, the last of which ends at the time; and of several times in a cell
/// the law is right: the areas have their variance less that error, and are uncorrelated with their increments up to the 10⁻⁵
/// that parts of 1/128 lose.
#[test]
fn areas_between_the_parts_have_their_error_and_their_law() {
    let (noise, start, n) = (Noise::new(seed(22)), Start::Point(&[0.0; 3][..]), 10_000);
    let run = |depth: u32, times: &[f64]| {
        let solver = Solver::<f64, _, _>::new(Heisenberg, LevyMilstein { depth }, grid(1.0, 1)).unwrap();
        solver.run_at(start, times, 0..n, noise, Control::default()).unwrap().states
    };
    let times = [0.1, 0.3, 0.53, 0.9, 1.0];
    let [coarse, fine] = [2, 7].map(|depth| run(depth, &times));
    assert_eq!(coarse.slice(s![.., .., ..2]), fine.slice(s![.., .., ..2]));
    let lost = |depth: i32, t: f64| {
        let part = 2_f64.powi(-depth);
        let whole = (t / part).floor();
        (whole * part * part + (t - whole * part).powi(2)) / 12.0
    };
    let mut family = Family::new(1e-3).unwrap();
    let mut judge = |name: String, sample: Vec<f64>, mean: f64| {
        let found = sample.iter().sum::<f64>() / n as f64;
        let spread = sample.iter().map(|v| (v - found).powi(2)).sum::<f64>() / n as f64;
        println!("{name}: {found:.5} of {mean:.5}, standard error {:.5}", (spread / n as f64).sqrt());
        family.push(name, normal_p_value((found - mean) / (spread / n as f64).sqrt()));
    };
    for (j, &t) in times.iter().enumerate() {
        let z = |states: &numeric::ndarray::Array3<f64>, i: usize| states[(i, j, 2)];
        // Z is twice the area; the conditional means of deeper trees are martingales.
        let square = (0..n as usize).map(|i| 0.25 * (z(&coarse, i) - z(&fine, i)).powi(2)).collect();
        judge(format!("error at {t}"), square, lost(2, t) - lost(7, t));
        let square = (0..n as usize).map(|i| (0.5 * z(&coarse, i)).powi(2)).collect();
        judge(format!("square at {t}"), square, 0.25 * t * t - lost(2, t));
        if j > 0 {
            let product = (0..n as usize)
                .map(|i| (fine[(i, j, 2)] - fine[(i, j - 1, 2)]) * fine[(i, j - 1, 2)])
                .collect();
            judge(format!("product to {t}"), product, 0.0);
        }
    }
    let w = fine.slice(s![.., 2, 0]).to_vec();
    let w = scores(&w, &Moments { mean: 0.0, std_dev: 0.53_f64.sqrt(), kurtosis: 3.0 }).unwrap();
    family.push("W, Z", w.z_p_value());
    family.push("W, Y", w.y_p_value());
    family.assert();
}

/// Between the nodes of coarse steps the error against fine ones is no larger than at the nodes, and falls with the step
/// where the depth grows with it: order 1. Six seeds gave slopes of 0.975 to 1.018, with a standard deviation of 0.017.
#[test]
fn states_between_the_nodes_have_order_one() {
    let (noise, start, n) = (Noise::new(seed(23)), Start::Point(&[0.4, -0.3][..]), 400);
    let sde = Waves { strength: 0.7 };
    let times = [0.13, 0.37, 0.51, 0.77, 0.98];
    let run = |level: u32, depth: u32| {
        let solver = Solver::new(&sde, LevyMilstein { depth }, grid(1.0, 2)).unwrap().refined(level);
        solver.run_at(start, &times, 0..n, noise, Control::default()).unwrap().states
    };
    // Of each level 2^12 parts of the tree.
    let exact = run(9, 2);
    let error = |level: u32| {
        let gap = run(level, level + 1) - &exact;
        (gap.iter().map(|e| e * e).sum::<f64>() / (n as f64 * times.len() as f64)).sqrt()
    };
    let errors = [1, 2, 3, 4, 5].map(error);
    println!("{errors:?}");
    let slope = (errors[0] / errors[4]).log2() / 4.0;
    assert!((slope - 1.0).abs() < 0.15, "{slope}: {errors:?}");
}

/// Rows that end leave those behind them with their areas.
#[test]
fn rows_that_end_do_not_touch_the_others() {
    let (noise, start) = (Noise::new(seed(24)), Start::Point(&[0.0, 0.0][..]));
    let solver = Solver::new(Waves { strength: 1.0 }, LevyMilstein { depth: 2 }, grid(1.0, 8)).unwrap();
    let function = |_, x: &[f64]| x[0] - 0.4;
    let event = [Event { function: &function, direction: Direction::Either, terminal: true }];
    let ways = solver.run_until(start, &event, 0..60, noise, Control::default()).unwrap().0;
    let nodes = solver.run(start, Keep::Last, 0..60, noise, Control::default()).unwrap().states;
    let ended = ways.iter().filter(|way| way.ended).count();
    assert!(ended > 0 && ended < 60, "{ended}");
    for (i, way) in ways.iter().enumerate().filter(|(_, way)| !way.ended) {
        assert_eq!(way.state, nodes.slice(s![i, 0, ..]).to_vec());
    }
    for way in ways.iter().filter(|way| way.ended) {
        let at = [way.time.t];
        let run = solver.run_at(start, &at, way.row..way.row + 1, noise, Control::default()).unwrap();
        assert_eq!(run.states.slice(s![0, 0, ..]).to_vec(), way.state);
    }
}
