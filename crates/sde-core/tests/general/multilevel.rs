//! Multilevel Monte Carlo on geometric Brownian motion, where Euler's bias and the answer are known exactly.

use std::cell::RefCell;

use numeric::ndarray::Array2;
use numeric::{Brownian, Control, Error, Node, Noise, TimeGrid};
use sde_core::integrator::EulerMaruyama;
use sde_core::{GeometricBrownian, Keep, Multilevel, Solver, Start, multilevel};
use verify::seed;

const DRIFT: f64 = 0.4;
const VOLATILITY: f64 = 0.5;

/// `X(1)` from 1 by Euler with `2^level` steps, for many rows along their Brownian paths.
fn euler(rows: &[u64], level: u32, brownian: &Brownian<'_>) -> Vec<f64> {
    let mut x = vec![1.0; rows.len()];
    let mut w = Array2::<f64>::zeros((rows.len(), 1));
    for index in 0..1_u64 << level {
        let node = Node { cell: 0, level, index };
        brownian.increments_into(rows, node, &mut w);
        let h = brownian.length(node);
        x.iter_mut().zip(&w).for_each(|(x, w)| *x *= 1.0 + DRIFT * h + VOLATILITY * w);
    }
    x
}

fn pairs(level: u32, rows: std::ops::Range<u64>, noise: Noise) -> Result<Vec<[f64; 2]>, Error> {
    let rows: Vec<u64> = rows.collect();
    let brownian = Brownian::new(noise, &[1.0])?;
    let fine = euler(&rows, level, &brownian);
    let coarse = if level > 0 { euler(&rows, level - 1, &brownian) } else { vec![0.0; rows.len()] };
    Ok(fine.into_iter().zip(coarse).map(|(fine, coarse)| [fine, coarse]).collect())
}

fn cost(level: u32) -> f64 {
    // A pair costs its fine and its coarse steps.
    if level == 0 { 1.0 } else { 1.5 * 2_f64.powi(level as i32) }
}

fn aim(rmse: f64) -> Multilevel {
    Multilevel { rmse, weak_order: 1.0, max_level: 12, first_rows: 1000 }
}

/// Over 60 seeds: the sampling error is calibrated against the exact mean of the finest Euler chain,
/// `(1 + μ/2^L)^{2^L}` (a χ² of 60 degrees of freedom leaves 1 ± 0.73 with probability 2e-4), the whole error is
/// within the aim in the mean square (its limit is exceeded with probability below 1e-4), and the bias is what it is
/// estimated to be within a factor of 3.
#[test]
fn the_aim_is_met_and_the_errors_are_calibrated() {
    let rmse = 0.01;
    let (mut scores, mut errors) = (0.0, 0.0);
    for repetition in 0..60 {
        let noise = Noise::new(seed(1)).fork_index(repetition);
        let found = multilevel(aim(rmse), noise, pairs, cost).unwrap();
        let steps = 2_f64.powi(found.levels.len() as i32 - 1);
        let chain = (1.0 + DRIFT / steps).powf(steps);
        scores += ((found.mean - chain) / found.std_error).powi(2);
        errors += (found.mean - DRIFT.exp()).powi(2);
        assert!(found.std_error <= rmse / 2_f64.sqrt() * (1.0 + 1e-12));
        assert!(found.bias <= rmse / 2_f64.sqrt());
        let bias = DRIFT.exp() - chain;
        assert!(found.bias < 3.0 * bias + 3.0 * found.std_error, "{found:?}");
        let total: f64 = found.levels.iter().map(|l| l.cost * l.rows as f64).sum();
        assert_eq!(found.cost, total);
    }
    assert!((scores / 60.0 - 1.0).abs() < 0.73, "{}", scores / 60.0);
    assert!((errors / 60.0).sqrt() < 1.4 * rmse, "{}", (errors / 60.0).sqrt());
}

/// A quarter of the error for less than 40 times the cost, where plain paths take 64; and fewer rows on finer levels.
#[test]
fn the_cost_grows_like_the_inverse_square() {
    let run = |rmse, repetition| {
        multilevel(aim(rmse), Noise::new(seed(2)).fork_index(repetition), pairs, cost).unwrap()
    };
    // Over 20 runs: whether a finest level more is needed is chance.
    let total = |rmse| (0..20).map(|repetition| run(rmse, repetition).cost).sum::<f64>();
    let growth = total(0.0025) / total(0.01);
    // ε⁻² ln² ε for strong order ½: 16 times the square of a factor near 1.3.
    assert!(growth > 12.0 && growth < 40.0, "{growth}");
    let fine = run(0.0025, 0);
    assert!(fine.levels.windows(2).all(|pair| pair[1].rows < pair[0].rows));
    // Plain paths of the finest level to the same standard error.
    let steps = fine.cost / cost(0);
    let plain = fine.levels[0].variance / fine.std_error.powi(2) * 2_f64.powi(fine.levels.len() as i32 - 1);
    assert!(plain > 2.0 * steps, "{plain} against {steps}");
}

#[test]
fn rows_continue_a_level_and_bad_aims_are_refused() {
    // The rows asked for of each level are consecutive from 0, so that any earlier part is kept.
    let asked = RefCell::new(vec![0; 20]);
    let counted = |level: u32, rows: std::ops::Range<u64>, noise: Noise| {
        let end = &mut asked.borrow_mut()[level as usize];
        assert_eq!(*end, rows.start);
        *end = rows.end;
        pairs(level, rows, noise)
    };
    let first = multilevel(aim(0.01), Noise::new(seed(3)), counted, cost).unwrap();
    assert_eq!(first, multilevel(aim(0.01), Noise::new(seed(3)), pairs, cost).unwrap());

    let refuse = |aim: Multilevel| multilevel(aim, Noise::new(1), pairs, cost).unwrap_err();
    for rmse in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(refuse(aim(rmse)), Error::Domain { parameter: "rmse", .. }));
    }
    assert!(matches!(refuse(Multilevel { weak_order: 0.0, ..aim(0.1) }), Error::Domain { .. }));
    assert!(matches!(refuse(Multilevel { max_level: 1, ..aim(0.1) }), Error::Domain { .. }));
    assert!(matches!(refuse(Multilevel { first_rows: 1, ..aim(0.1) }), Error::Domain { .. }));
    let shallow = Multilevel { max_level: 2, ..aim(0.002) };
    assert!(matches!(refuse(shallow), Error::NotConverged { iterations: 3, .. }));
    let short = |_, _, _| Ok(vec![[0.0; 2]]);
    assert!(matches!(multilevel(aim(0.1), Noise::new(1), short, cost), Err(Error::Shape { .. })));
    let free = |_| 0.0;
    assert!(matches!(multilevel(aim(0.1), Noise::new(1), pairs, free), Err(Error::Domain { .. })));
}

/// The pairs of a solver, against those by hand on the same path; and what they say they cost, against the runs.
#[test]
fn pairs_of_a_solver_are_on_one_path() {
    let stock = GeometricBrownian::new(1, DRIFT, VOLATILITY).unwrap();
    let grid = TimeGrid::uniform(0.0, 1.0, 1).unwrap();
    let solver = Solver::<f64, _, _>::new(stock, EulerMaruyama, grid).unwrap();
    let noise = Noise::new(seed(5));
    for level in 0..6 {
        let start = Start::Point(&[1.0]);
        let found = solver.pairs(level, start, |x| 2.0 * x[0], 10..40, noise, Control::default()).unwrap();
        let by_hand = pairs(level, 10..40, noise.fork("path")).unwrap();
        assert_eq!(found.len(), 30);
        for ([fine, coarse], [x, y]) in found.into_iter().zip(by_hand) {
            assert!((fine - 2.0 * x).abs() < 1e-13 && (coarse - 2.0 * y).abs() < 1e-13);
        }
        let calls = |level| {
            let run = solver.refined(level).run(start, Keep::Last, 0..1, noise, Control::default());
            run.unwrap().statistics.calls as f64
        };
        // Two stocks: what is looked at is the state of a row.
        let two = GeometricBrownian::new(2, DRIFT, VOLATILITY).unwrap();
        let two = Solver::<f64, _, _>::new(two, EulerMaruyama, solver.grid().clone()).unwrap();
        let start_2 = Start::Point(&[1.0, 2.0]);
        let of_two = two.pairs(level, start_2, |x| x[0] - 3.0 * x[1], 10..40, noise, Control::default());
        let ends =
            two.refined(level).run(start_2, Keep::Last, 10..40, noise, Control::default()).unwrap().states;
        for (i, [fine, _]) in of_two.unwrap().into_iter().enumerate() {
            assert_eq!(fine, ends[(i, 0, 0)] - 3.0 * ends[(i, 0, 1)]);
        }
        let both = calls(level) + if level > 0 { calls(level - 1) } else { 0.0 };
        assert_eq!(solver.pair_cost(level), both);
    }
}
