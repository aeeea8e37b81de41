//! Bridges and h-transforms against closed forms, against their own discretised laws, and at their ends.

mod transforms;

use numeric::ndarray::{Array2, ArrayRef2, array, s};
use numeric::{Batch, Control, Error, Noise, Real, Scratch, Time, TimeGrid, Times};
use sde_core::{
    BrownianMotion, CosineVp, Edm, Keep, LinearBridge, LinearProcess, LinearVp, Ou, ScaledOu, Sde, Start,
    SubVp, Ve,
};
use statrs::distribution::{ContinuousCDF, Normal};
use verify::{Family, Moments, OrderOptions, deterministic_order, kolmogorov_smirnov, scores, seed};

fn at(t: f64) -> Time {
    Time { t, to_end: 1.0 - t }
}

fn processes() -> Vec<Box<dyn LinearProcess>> {
    vec![
        Box::new(BrownianMotion::new(0.7).expect("valid")),
        Box::new(ScaledOu::new(1.7, 0.9).expect("valid")),
        Box::new(Ou),
        Box::new(LinearVp::new(0.1, 20.0).expect("valid")),
        Box::new(CosineVp::new(0.008).expect("valid")),
        Box::new(SubVp::new(0.1, 5.0).expect("valid")),
        Box::new(Ve::new(0.01, 5.0).expect("valid")),
        Box::new(Edm),
    ]
}

fn bridge(process: &dyn LinearProcess, end: f64) -> LinearBridge<&dyn LinearProcess> {
    LinearBridge::new(process, array![1.0], at(end)).expect("valid")
}

/// Mean factors and standard deviation of the two classical bridges, and of all others by conditioning the Gaussian
/// (X_t, X_T); and steps compose.
#[test]
fn kernels_are_the_closed_forms_and_compose() {
    let (s, t, u, end) = (0.15, 0.3, 0.62, 0.9);
    let close = |a: f64, b: f64| (a - b).abs() <= 1e-13 * (1.0 + b.abs());
    let brownian = BrownianMotion::new(0.7).expect("valid");
    let found = bridge(&brownian, end).kernel(at(s), at(t)).expect("in order");
    let share = (t - s) / (end - s);
    assert!(close(found.of_state, 1.0 - share) && close(found.of_end, share));
    assert!(close(found.std.powi(2), 0.49 * (t - s) * (end - t) / (end - s)));
    let (theta, sigma) = (1.7, 0.9);
    let ou = ScaledOu::new(theta, sigma).expect("valid");
    let found = bridge(&ou, end).kernel(at(s), at(t)).expect("in order");
    let sinh = |gap: f64| (theta * gap).sinh();
    assert!(close(found.of_state, sinh(end - t) / sinh(end - s)));
    assert!(close(found.of_end, sinh(t - s) / sinh(end - s)));
    assert!(close(found.std.powi(2), sigma * sigma / theta * sinh(end - t) * sinh(t - s) / sinh(end - s)));

    for process in processes() {
        let bridge = bridge(process.as_ref(), end);
        let kernel = |a, b| bridge.kernel(at(a), at(b)).expect("in order");
        let free = |a, b| process.transition(at(a), at(b)).expect("in order");
        let ((to_t, std_t), (to_end, std_end), (onward, _)) = (free(s, t), free(s, end), free(t, end));
        // Cov(X_t, X_T) = onward std_t², and X_t | X_T by its regression.
        let slope = onward * std_t * std_t / (std_end * std_end);
        let found = kernel(s, t);
        assert!(close(found.of_end, slope) && close(found.of_state, to_t - slope * to_end));
        assert!(close(found.std.powi(2), std_t * std_t * (1.0 - slope * onward)));
        let (first, second, both) = (kernel(s, t), kernel(t, u), kernel(s, u));
        assert!(close(both.of_state, second.of_state * first.of_state));
        assert!(close(both.of_end, second.of_end + second.of_state * first.of_end));
        assert!(close(both.std.powi(2), second.std.powi(2) + (second.of_state * first.std).powi(2)));
        // Nothing happens in no time, and the end is the end.
        assert_eq!((kernel(t, t).of_state, kernel(t, t).of_end, kernel(t, t).std), (1.0, 0.0, 0.0));
        for from in [s, 0.9 - 1e-12, end] {
            assert_eq!(
                (kernel(from, end).of_state, kernel(from, end).of_end, kernel(from, end).std),
                (0.0, 1.0, 0.0)
            );
        }
        assert!(bridge.kernel(at(t), at(s)).is_err() && bridge.kernel(at(t), at(0.95)).is_err());
    }
}

/// Sampled bridges: mean, variance and law at each node, and the covariance of two; both ends to the bit.
#[test]
fn sampled_paths_have_the_exact_marginals() {
    let n = 20_000;
    let grid = TimeGrid::from_nodes(vec![0.0, 0.2, 0.5, 0.75, 1.0]).expect("monotone");
    let (start, end) = ([0.3, -1.0], array![1.1, 0.4]);
    let mut family = Family::new(1e-3).expect("a rate");
    let bridges: [(&str, Box<dyn LinearProcess>); 3] = [
        ("Brownian", Box::new(BrownianMotion::new(0.7).expect("valid"))),
        ("OU", Box::new(ScaledOu::new(1.7, 0.9).expect("valid"))),
        ("VP", Box::new(LinearVp::new(0.1, 8.0).expect("valid"))),
    ];
    for (number, (name, process)) in bridges.iter().enumerate() {
        let bridge = LinearBridge::new(process.as_ref(), end.clone(), at(1.0)).expect("valid");
        let noise = Noise::new(seed(1 + number as u64));
        let paths = bridge
            .run(&grid, Start::Point(&start), Keep::All, 0..n, noise, Control::default())
            .expect("finite");
        assert_eq!(paths.statistics.accepted, 4 * n);
        for i in 0..n as usize {
            assert_eq!(paths.states.slice(s![i, 0, ..]), array![0.3, -1.0]);
            assert_eq!(paths.states.slice(s![i, 4, ..]), end);
        }
        // Mean and variance at each node from the start alone, in one step of the regression on (X_0, X_T).
        let free = |a: f64, b: f64| process.transition(at(a), at(b)).expect("in order");
        let law = |t: f64, j: usize| {
            let ((to_t, std_t), (to_end, std_end), (onward, _)) =
                (free(0.0, t), free(0.0, 1.0), free(t, 1.0));
            let slope = onward * std_t * std_t / (std_end * std_end);
            let mean = to_t * start[j] + slope * (end[j] - to_end * start[j]);
            (mean, std_t * std_t * (1.0 - slope * onward))
        };
        for (node, t) in [(1, 0.2), (2, 0.5), (3, 0.75)] {
            for j in 0..2 {
                let x: Vec<f64> = paths.states.slice(s![.., node, j]).to_vec();
                let (mean, variance) = law(t, j);
                let moments = Moments { mean, std_dev: variance.sqrt(), kurtosis: 3.0 };
                let normal = Normal::new(mean, variance.sqrt()).expect("a variance");
                let found = scores(&x, &moments).expect("data");
                let label = |what: &str| format!("{name}, {what} at {t}, coordinate {j}");
                family.push(label("Z"), found.z_p_value());
                family.push(label("Y"), found.y_p_value());
                family.push(label("KS"), kolmogorov_smirnov(&x, |x| normal.cdf(x)).expect("data").p_value);
                let wrong = Moments { std_dev: 1.1_f64.sqrt() * moments.std_dev, ..moments };
                assert!(scores(&x, &wrong).expect("data").y_p_value() < 1e-6, "10 % would be seen");
            }
        }
        if *name == "Brownian" {
            // X_{0.75} − (fractions of X_{0.2} and the end) is independent of X_{0.2}: variance of the sum with it.
            let sum: Vec<f64> =
                (0..n as usize).map(|i| paths.states[(i, 1, 0)] + paths.states[(i, 3, 0)]).collect();
            // Cov(X_s, X_t) = 0.49 s (1 − t).
            let variance: f64 = 0.49 * (0.2 * 0.8 + 0.75 * 0.25 + 2.0 * 0.2 * 0.25);
            let moments =
                Moments { mean: law(0.2, 0).0 + law(0.75, 0).0, std_dev: variance.sqrt(), kurtosis: 3.0 };
            family.push("covariance of two nodes", scores(&sum, &moments).expect("data").y_p_value());
        }
    }
    family.assert();
}

fn drift<F: Real>(sde: &impl Sde<F>, time: Time, x: &ArrayRef2<F>) -> Result<Array2<F>, Error> {
    let rows: Vec<u64> = (0..x.nrows() as u64).collect();
    let mut out = Array2::zeros(x.raw_dim());
    sde.drift_into(&Batch::new(&rows, Times::Same(time), x), &mut out, &mut Scratch::new())?;
    Ok(out)
}

/// Mean and variance after each Euler step of a scalar linear equation, with the drift found by evaluating it.
fn euler_moments(sde: &impl Sde<f64>, grid: &TimeGrid, steps: usize, (x, g): (f64, f64)) -> (f64, f64) {
    let (mut mean, mut variance) = (x, 0.0);
    for (k, (from, _)) in grid.pairs().take(steps).enumerate() {
        let h = grid.length(k);
        let values = drift(sde, from, &array![[0.0], [1.0]]).expect("before the end");
        let (slope, shift) = (values[(1, 0)] - values[(0, 0)], values[(0, 0)]);
        mean += h * (slope * mean + shift);
        variance = (1.0 + h * slope).powi(2) * variance + g * g * h;
    }
    (mean, variance)
}

/// Euler's method on the bridge's equation: sampled, it has the law of its own linear recursion; refined, it
/// converges with order 1 to the exact kernel; and the exact last step ends in the end.
#[test]
fn the_equation_of_a_bridge() {
    let (theta, sigma, z, start) = (1.3, 0.8, 1.2, -0.4);
    let process = ScaledOu::new(theta, sigma).expect("valid");
    let bridge = LinearBridge::new(process, array![z], Time::of(1.0)).expect("valid");
    let (n, steps) = (20_000_u64, 12);
    let grid = TimeGrid::uniform(0.0, 1.0, steps).expect("valid");
    let rows: Vec<u64> = (0..n).collect();
    let mut x = Array2::from_elem((n as usize, 1), start);
    let (noise, mut w, mut dw) = (Noise::new(seed(11)), x.clone(), x.clone());
    let mut scratch = Scratch::new();
    // The recursion with the coefficients written out: a = −θ − g² φ²/q and b = g² φ z/q.
    let (mut mean, mut variance) = (start, 0.0);
    let mut family = Family::new(1e-3).expect("a rate");
    for (k, (from, _)) in grid.pairs().take(steps - 1).enumerate() {
        let h = grid.length(k);
        let f = drift(&bridge, from, &x).expect("before the end");
        noise.normals_into(&rows, k as u64, &mut w);
        w *= h.sqrt();
        let batch = Batch::new(&rows, Times::Same(from), &x);
        bridge.diffuse_into(&batch, &w, &mut dw, &mut scratch).expect("additive");
        x = &x + &(f * h) + &dw;
        let phi = (-theta * (1.0 - from.t)).exp();
        let q = sigma * sigma / (2.0 * theta) * (1.0 - phi * phi);
        let (a, b) = (-theta - sigma * sigma * phi * phi / q, sigma * sigma * phi * z / q);
        mean += h * (a * mean + b);
        variance = (1.0 + h * a).powi(2) * variance + sigma * sigma * h;
        let sample: Vec<f64> = x.iter().copied().collect();
        let law = Normal::new(mean, variance.sqrt()).expect("a variance");
        let moments = Moments { mean, std_dev: variance.sqrt(), kurtosis: 3.0 };
        let found = scores(&sample, &moments).expect("data");
        family.push(format!("Z, step {k}"), found.z_p_value());
        family.push(format!("Y, step {k}"), found.y_p_value());
        family.push(
            format!("KS, step {k}"),
            kolmogorov_smirnov(&sample, |x| law.cdf(x)).expect("data").p_value,
        );
    }
    family.assert();
    // The last step: exact, though the drift at its end is infinite.
    let last = (grid.node(steps - 1), grid.last());
    bridge.step_into(&rows, steps as u64 - 1, last, noise, &mut x, &mut scratch).expect("to the end");
    assert!(x.iter().all(|&x| x == z));
    let refused = drift(&bridge, grid.last(), &x);
    assert!(matches!(refused, Err(Error::Domain { parameter: "time", .. })), "{refused:?}");
    assert!(drift(&bridge, at(0.999_999_999), &array![[z]]).expect("before the end")[(0, 0)].is_finite());

    // Order: moments of the recursion at t = 1/2 against the kernel's.
    let exact = bridge.kernel(Time::of(0.0), Time::of(0.5)).expect("in order");
    let (exact_mean, exact_variance) = (exact.of_state * start + exact.of_end * z, exact.std.powi(2));
    let sizes: Vec<usize> = (6..12).map(|k| 1 << k).collect();
    let errors: Vec<[f64; 2]> = sizes
        .iter()
        .map(|&n| {
            let grid = TimeGrid::uniform(0.0, 1.0, n).expect("valid");
            let (mean, variance) = euler_moments(&bridge, &grid, n / 2, (start, sigma));
            [(mean - exact_mean).abs(), (variance - exact_variance).abs()]
        })
        .collect();
    let h: Vec<f64> = sizes.iter().map(|&n| 1.0 / n as f64).collect();
    for what in 0..2 {
        let errors: Vec<f64> = errors.iter().map(|e| e[what]).collect();
        let order = deterministic_order(&h, &errors, &OrderOptions::default()).expect("points");
        println!(
            "Euler on a bridge, moment {}: order {:.3} ± {:.3}",
            what + 1,
            order.slope,
            order.half_width
        );
        assert!((order.slope - 1.0).abs() < 0.15 && order.half_width < 0.1, "{order:?}");
    }
}

#[test]
fn rows_do_not_depend_on_shards_and_ends_are_exact_in_single_precision() {
    let bridge = LinearBridge::new(Ou, array![0.1, 0.7, -3.3], Time::of(2.0)).expect("valid");
    let grid = TimeGrid::from_nodes(vec![0.0, 0.5, 2.0]).expect("monotone");
    let starts = Array2::from_shape_fn((150, 3), |(i, j)| (i as f32 * 0.1).sin() + j as f32);
    let run = |rows: std::ops::Range<u64>, starts: Array2<f32>| {
        let noise = Noise::new(7);
        bridge
            .run(&grid, Start::Rows(&starts), Keep::All, rows, noise, Control::default())
            .expect("finite")
            .states
    };
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(|| run(0..150, starts.clone()))
    };
    let all = on(1);
    assert_eq!(all, on(3));
    assert_eq!(run(67..131, starts.slice(s![67..131, ..]).to_owned()), all.slice(s![67..131, .., ..]));
    assert_eq!(all.slice(s![.., 0, ..]), starts);
    assert!(all.slice(s![.., 2, ..]).rows().into_iter().all(|row| row == array![0.1_f32, 0.7, -3.3]));
    // What is kept does not matter to the states.
    let point = Start::Point(&[1.0_f32, 0.0, 0.5]);
    let keeping =
        |keep| bridge.run(&grid, point, keep, 0..70, Noise::new(7), Control::default()).expect("finite");
    let (kept, whole) = (keeping(Keep::Nodes(&[1])).states, keeping(Keep::All).states);
    assert_eq!(kept.slice(s![.., 0, ..]), whole.slice(s![.., 1, ..]));
    // One row, one step, straight to the end.
    let straight = TimeGrid::from_nodes(vec![1.0, 2.0]).expect("monotone");
    let one =
        bridge.run(&straight, Start::Point(&[0.0; 3]), Keep::All, 4..5, Noise::new(7), Control::default());
    assert_eq!(one.expect("finite").states.slice(s![0, 1, ..]), array![0.1, 0.7, -3.3]);
}

/// A change of these is a value-breaking entry in the changelog.
#[test]
fn pinned_values() {
    const PINNED: [f64; 4] = [1.3338320461102364, 1.122200812299532, -1.57292356518527, 1.2964011451251096];
    let bridge = LinearBridge::new(Ou, array![0.1, 0.7], Time::of(2.0)).expect("valid");
    let grid = TimeGrid::from_nodes(vec![0.0, 0.5, 1.5]).expect("monotone");
    let (start, keep) = (Start::Point(&[1.0, -1.0]), Keep::Nodes(&[1, 2]));
    let found = bridge.run(&grid, start, keep, 5..6, Noise::new(11), Control::default()).expect("finite");
    let found: Vec<f64> = found.states.into_iter().collect();
    verify::assert_golden("bridge", &found, &PINNED, 1e-12);
}

#[test]
fn what_is_no_bridge_is_refused() {
    let bridge = LinearBridge::new(Ou, array![0.1], Time::of(2.0)).expect("valid");
    let run = |start: Start<'_, f64>, nodes: Vec<f64>| {
        let grid = TimeGrid::from_nodes(nodes).expect("monotone");
        bridge.run(&grid, start, Keep::All, 0..3, Noise::new(1), Control::default())
    };
    assert!(run(Start::Point(&[0.5]), vec![0.0, 2.0]).is_ok());
    assert!(matches!(run(Start::Prior, vec![0.0, 2.0]), Err(Error::Unsupported { .. })));
    assert!(matches!(run(Start::Point(&[0.5, 0.5]), vec![0.0, 2.0]), Err(Error::Shape { .. })));
    assert!(matches!(run(Start::Rows(&Array2::zeros((2, 1))), vec![0.0, 2.0]), Err(Error::Shape { .. })));
    assert!(matches!(run(Start::Point(&[f64::NAN]), vec![0.0, 2.0]), Err(Error::NotFinite { .. })));
    assert!(matches!(run(Start::Point(&[0.5]), vec![0.0, 2.1]), Err(Error::Domain { .. })));
    assert!(matches!(run(Start::Point(&[0.5]), vec![1.0, 0.5]), Err(Error::Domain { .. })));
    for (end, at) in [(array![], 1.0), (array![f64::NAN], 1.0), (array![0.0], f64::INFINITY)] {
        assert!(LinearBridge::new(Ou, end, Time::of(at)).is_err());
    }
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(BrownianMotion::new(bad).is_err());
        assert!(ScaledOu::new(bad, 1.0).is_err() && ScaledOu::new(1.0, bad).is_err());
    }
    // The two processes know when they reach a ratio, and their coefficients are those of their levels.
    for process in processes().iter().take(2) {
        let time = process.time_at_ratio(0.4).expect("in range");
        let level = process.level(time);
        assert!((level.sigma / level.alpha - 0.4).abs() < 1e-14);
        let of_level = 2.0 * level.sigma * (level.d_sigma - level.sigma * level.d_alpha / level.alpha);
        let known = process.drift_and_diffusion(time);
        assert!((known.diffusion_squared - of_level).abs() < 1e-14);
        assert!((known.drift - level.d_alpha / level.alpha).abs() < 1e-14);
        assert!(process.time_at_ratio(-0.1).is_err() && process.time_at_ratio(f64::NAN).is_err());
    }
}
