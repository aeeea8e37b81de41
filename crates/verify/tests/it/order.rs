//! Orders of convergence: known ones are found, and the interval covers as often as it says.

use crate::common::Random;
use numeric::ndarray::Array2;
use verify::{OrderEstimate, OrderOptions, normal_p_value, per_path_errors, strong_order, weak_order};

/// False-alarm rate of each test of this file.
const RATE: f64 = 1e-4;

fn steps(levels: i32) -> Vec<f64> {
    (0..levels).map(|level| 0.5_f64.powi(level)).collect()
}

/// Errors h^order, each times exp(shared + own disturbance), as real ones are: dependent between the levels.
fn synthetic(random: &mut Random, order: f64, paths: usize, steps: &[f64]) -> Array2<f64> {
    let mut errors = Array2::zeros((paths, steps.len()));
    for mut path in errors.rows_mut() {
        let shared = random.normal();
        for (error, h) in path.iter_mut().zip(steps) {
            *error = h.powf(order) * (0.5 * shared + 0.3 * random.normal()).exp();
        }
    }
    errors
}

#[test]
fn the_interval_covers_95_percent() {
    let mut family = verify::Family::new(RATE).unwrap();
    let mut random = Random::new(100);
    let steps = steps(5);
    const REPETITIONS: usize = 2000;
    let mut score = |name: String, covered: usize| {
        let expected = 0.95 * REPETITIONS as f64;
        family.push(name, normal_p_value((covered as f64 - expected) / (expected * 0.05).sqrt()));
    };
    for order in [0.5, 1.0, 2.0] {
        let covers = |found: &OrderEstimate| (found.slope - order).abs() <= found.half_width;
        let (mut strong, mut weak) = (0, 0);
        for _ in 0..REPETITIONS {
            let errors = synthetic(&mut random, order, 400, &steps);
            let options = OrderOptions::default();
            strong += usize::from(covers(&strong_order(&steps, &errors, 1.0, &options).unwrap()));
            // Signed differences of the same mean: an independent disturbance of mean 0 on top.
            let differences = errors.mapv(|e| e * (1.0 + random.normal()));
            weak += usize::from(covers(&weak_order(&steps, &differences, &options).unwrap()));
        }
        score(format!("strong {order}"), strong);
        score(format!("weak {order}"), weak);
    }
    family.assert();
}

#[test]
fn a_wrong_order_is_refused() {
    // 0.9 claimed to be 1. The half-width is about 0.3 * 2 / (ln 2 sqrt(10 * 1600)) = 0.007: a miss lies 20
    // standard errors out.
    let steps = steps(5);
    let errors = synthetic(&mut Random::new(101), 0.9, 1600, &steps);
    let found = strong_order(&steps, &errors, 1.0, &OrderOptions::default()).unwrap();
    assert!((found.slope - 1.0).abs() > 2.0 * found.half_width, "{found:?}");
}

/// Geometric Brownian motion dX = a X dt + b X dW, X(0) = 1, at time 1: scheme less exact solution per path
/// for the steps 2^-(3 + level), every level on the same path.
fn geometric([a, b]: [f64; 2], milstein: bool, paths: usize, levels: u32, seed: u64) -> Array2<f64> {
    let mut random = Random::new(seed);
    let finest = 1_usize << (3 + levels - 1);
    let mut increments = Array2::from_shape_simple_fn((paths, finest), || random.normal());
    increments /= (finest as f64).sqrt();
    per_path_errors(levels, |level| {
        let h = 0.5_f64.powi(3 + level as i32);
        let run = |path: numeric::ndarray::ArrayView1<f64>| {
            let factor = |cell: numeric::ndarray::ArrayView1<f64>| {
                let dw = cell.sum();
                1.0 + a * h + b * dw + if milstein { 0.5 * b * b * (dw * dw - h) } else { 0.0 }
            };
            let scheme: f64 = path.exact_chunks(finest >> (3 + level)).into_iter().map(factor).product();
            scheme - (a - 0.5 * b * b + b * path.sum()).exp()
        };
        increments.rows().into_iter().map(run).collect()
    })
    .unwrap()
}

/// The exact root mean square error, from the second moments, which are powers of those of one step.
fn exact_strong_error([a, b]: [f64; 2], milstein: bool, h: f64) -> f64 {
    let extra = if milstein { 0.5 * b.powi(4) * h * h } else { 0.0 };
    let scheme = (1.0 + a * h).powi(2) + b * b * h + extra;
    let cross = (a * h).exp() * (1.0 + a * h + b * b * h + extra);
    let exact = ((2.0 * a + b * b) * h).exp();
    let n = 1.0 / h;
    (scheme.powf(n) - 2.0 * cross.powf(n) + exact.powf(n)).sqrt()
}

#[test]
fn euler_and_milstein_on_geometric_brownian_motion() {
    let steps: Vec<f64> = (3..8).map(|level| 0.5_f64.powi(level)).collect();
    let options = OrderOptions::default();
    let mut family = verify::Family::new(RATE).unwrap();
    let mut judge = |name: &str, found: &OrderEstimate, exact: &dyn Fn(f64) -> f64, order: f64| {
        for point in &found.points {
            let z = (point.error - exact(point.step)) / point.std_error;
            family.push(format!("{name}, h = {}", point.step), normal_p_value(z));
        }
        // The exact errors say how far the slope over these steps is from the order: the only tolerance
        // granted.
        let errors: Vec<f64> = steps.iter().map(|&h| exact(h)).collect();
        let slopes = errors.windows(2).map(|pair| (pair[0] / pair[1]).log2());
        let bias = slopes.map(|slope| (slope - order).abs()).fold(0.0, f64::max);
        assert!(bias < 0.15, "{name}: {bias}");
        // 2.1 half-widths are 4.1 standard errors: 4e-5, for three estimates about the rate.
        assert!((found.slope - order).abs() < bias + 2.1 * found.half_width, "{name}: {found:?}");
        assert!(found.half_width < 0.15, "{name}: {found:?}");
    };
    let noisy = [0.2, 0.5];
    for (name, milstein, order) in [("Euler", false, 0.5), ("Milstein", true, 1.0)] {
        let errors = geometric(noisy, milstein, 20_000, 5, 110);
        let found = strong_order(&steps, &errors, 2.0, &options).unwrap();
        judge(name, &found, &|h| exact_strong_error(noisy, milstein, h), order);
    }
    // A strong drift and little noise: the weak error stands out of the sampling error with few paths.
    let a = 1.0_f64;
    let errors = geometric([a, 0.3], false, 20_000, 5, 111);
    let found = weak_order(&steps, &errors, &options).unwrap();
    judge("weak Euler", &found, &|h| a.exp() - (1.0 + a * h).powf(1.0 / h), 1.0);
    family.assert();
}

#[test]
fn independent_point_formula_would_be_wrong() {
    // Why the interval is not computed from the points' own errors: with disturbances shared by the levels it
    // is narrower than independent points would allow.
    let steps = steps(6);
    let mut random = Random::new(120);
    let mut errors = synthetic(&mut random, 1.0, 50_000, &steps);
    for mut path in errors.rows_mut() {
        let shared = (1.5 * random.normal()).exp();
        path.mapv_inplace(|e| e * shared);
    }
    let found = strong_order(&steps, &errors, 1.0, &OrderOptions::default()).unwrap();
    let relative: f64 = found.points.iter().map(|p| p.std_error / p.error).sum::<f64>() / 6.0;
    let x: Vec<f64> = steps.iter().map(|h| h.ln()).collect();
    let centre = x.iter().sum::<f64>() / 6.0;
    let naive = 1.96 * relative / x.iter().map(|x| (x - centre).powi(2)).sum::<f64>().sqrt();
    assert!(found.half_width < 0.5 * naive, "{} {naive}", found.half_width);
}

#[test]
fn bad_input_is_refused() {
    let options = OrderOptions::default();
    let steps = steps(4);
    let good = synthetic(&mut Random::new(130), 1.0, 10, &steps);
    assert!(strong_order(&steps, &good, 2.0, &options).is_ok());
    assert!(strong_order(&steps[..3], &good, 2.0, &options).is_err());
    assert!(strong_order(&[1.0, 0.5, 0.5, 0.1], &good, 2.0, &options).is_err());
    assert!(strong_order(&[1.0, 0.5, f64::NAN, 0.1], &good, 2.0, &options).is_err());
    assert!(strong_order(&steps, &good, 0.0, &options).is_err());
    assert!(strong_order(&steps, &good, 2.0, &OrderOptions { min_points: 2, ..options }).is_err());
    assert!(strong_order(&steps, &good, 2.0, &OrderOptions { min_points: 5, ..options }).is_err());
    assert!(strong_order(&steps, &good, 2.0, &OrderOptions { floor: f64::NAN, ..options }).is_err());
    assert!(weak_order(&steps, &good, &OrderOptions { standard_errors: -1.0, ..options }).is_err());
    assert!(strong_order(&steps, &Array2::from_elem((10, 4), f64::NAN), 2.0, &options).is_err());
    assert!(strong_order(&steps, &Array2::from_elem((10, 4), 0.1), 2.0, &options).is_err());
    assert!(strong_order(&steps, &Array2::zeros((10, 4)), 2.0, &options).is_err());
    assert!(strong_order(&steps, &Array2::from_elem((1, 4), 0.1), 2.0, &options).is_err());
    assert!(weak_order(&steps, &Array2::zeros((10, 4)), &options).is_err());
    assert!(per_path_errors(2, |level| vec![0.0; level as usize + 1]).is_err());
    assert!(per_path_errors(0, |_| vec![]).is_err());
    assert!(verify::deterministic_order(&steps, &[1.0, 0.5, -0.25, 0.1], &options).is_err());
}
