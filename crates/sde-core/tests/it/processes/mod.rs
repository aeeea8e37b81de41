//! Processes: levels, derivatives, inverses and ends, transitions, and discrete chains.

mod ends;

use numeric::ndarray::{Array2, s};
use numeric::{Error, Level, Noise, Schedule, Time};
use sde_core::{
    CosineVp, DiscreteVp, DriftDiffusion, Edm, Flow, LinearProcess, LinearVp, Ou, ScaledLinearVp, SubVp,
    VariancePreserving, Ve, cosine_betas, linear_betas, noised, scaled_linear_betas,
};
use verify::{Family, Moments, scores, seed};

fn linear(a: f64, b: f64) -> LinearVp {
    LinearVp::new(a, b).expect("valid")
}

fn discrete() -> DiscreteVp {
    // Few and uneven steps, of which the first is as large as others.
    DiscreteVp::from_betas(&[0.3, 0.01, 0.2, 0.5, 0.49]).expect("valid")
}

/// Variance-preserving processes, with the end of the axis as far as there is one.
fn clocks() -> Vec<(Box<dyn VariancePreserving>, f64)> {
    vec![
        (Box::new(Ou), f64::INFINITY),
        (Box::new(linear(0.1, 20.0)), 1.0),
        (Box::new(linear(0.0, 3.0)), 1.0),
        (Box::new(linear(2.0, 2.0)), 1.0),
        (Box::new(ScaledLinearVp::new(0.85, 12.0).expect("valid")), 1.0),
        (Box::new(ScaledLinearVp::new(0.0, 7.0).expect("valid")), 1.0),
        (Box::new(ScaledLinearVp::new(2.0, 2.0).expect("valid")), 1.0),
        (Box::new(CosineVp::new(0.008).expect("valid")), 1.0),
        (Box::new(CosineVp::new(1e-3).expect("valid")), 1.0),
        (Box::new(discrete()), 5.0),
    ]
}

/// All processes, with the ends of the axis.
fn processes() -> Vec<(Box<dyn LinearProcess>, f64)> {
    let mut all: Vec<(Box<dyn LinearProcess>, f64)> = vec![
        (Box::new(Ve::new(0.01, 50.0).expect("valid")), 1.0),
        (Box::new(Ve::new(3.0, 3.5).expect("valid")), 1.0),
        (Box::new(Edm), f64::INFINITY),
        (Box::new(SubVp::new(0.1, 20.0).expect("valid")), 1.0),
        (Box::new(SubVp::new(0.0, 3.0).expect("valid")), 1.0),
        (Box::new(Flow), 1.0),
    ];
    all.extend(clocks().into_iter().map(|(process, end)| (process as Box<dyn LinearProcess>, end)));
    all
}

fn at(t: f64, end: f64) -> Time {
    Time { t, to_end: end - t }
}

/// Interior times of an axis.
fn times(end: f64) -> Vec<f64> {
    let scale = if end.is_finite() { end } else { 2.0 };
    [0.005, 0.05, 0.21, 0.3, 0.49, 0.51, 0.7, 0.95].map(|t| t * scale).to_vec()
}

fn ratio(level: Level) -> f64 {
    level.sigma / level.alpha
}

/// Whether σ/α is infinite at t = 1.
fn loses_its_signal(process: &(impl LinearProcess + ?Sized)) -> bool {
    process.level(Time { t: 1.0, to_end: 0.0 }).alpha == 0.0
}

/// A process without the formulas that it has beyond its levels.
struct Bare<'a>(&'a dyn LinearProcess);

impl Schedule for Bare<'_> {
    fn level(&self, time: Time) -> Level {
        self.0.level(time)
    }
}

impl LinearProcess for Bare<'_> {
    fn start_std(&self, time: Time) -> f64 {
        self.0.start_std(time)
    }
    fn time_at_ratio(&self, ratio: f64) -> Result<Time, Error> {
        self.0.time_at_ratio(ratio)
    }
}

/// `levels_into` of every process, against `level`.
#[test]
fn many_levels_are_those_of_one_time_each() {
    for (process, end) in processes() {
        let end = if end.is_finite() { end } else { 50.0 };
        let times: Vec<Time> =
            (0..200).map(|i| at(end * 0.87_f64.powi(i), end)).chain([at(0.0, end)]).collect();
        let mut levels = Vec::new();
        process.levels_into(&times, &mut levels);
        assert_eq!(levels.len(), times.len());
        for (found, &time) in levels.iter().zip(&times) {
            let exact = process.level(time);
            // At t = 0 a process without noise to start with has no σ'.
            let near = |a: f64, b: f64| a == b || (a.is_nan() && b.is_nan()) || (a / b - 1.0).abs() < 4e-15;
            assert!(near(found.alpha, exact.alpha) && near(found.sigma, exact.sigma), "{time:?}");
            assert!(near(found.d_alpha, exact.d_alpha) && near(found.d_sigma, exact.d_sigma), "{time:?}");
        }
    }
}

#[test]
fn clocks_and_their_inverses_agree_from_1e_12_to_the_end() {
    for (process, _) in clocks() {
        for clock in [0.0, 1e-12, 1e-6, 1e-3, 0.1, 0.7, 0.74] {
            let time = process.time_at(clock).expect("in range");
            assert!((process.clock(time) - clock).abs() <= 4e-14 * clock, "{clock} {time:?}");
        }
    }
    let cosine = CosineVp::new(0.008).expect("valid");
    for clock in [1.0, 5.0, 20.0, 300.0] {
        let time = cosine.time_at(clock).expect("no end");
        assert!((cosine.clock(time) - clock).abs() <= 1e-13 * clock, "{clock} {time:?}");
    }
    // The end of the axis is reached and not passed, whatever the rounding of its clock.
    for k in 1..200 {
        let (a, b) = (0.013 * f64::from(k), 0.7 * f64::from(k));
        let ends: [Box<dyn VariancePreserving>; 2] =
            [Box::new(linear(a, b)), Box::new(ScaledLinearVp::new(a, b).expect("valid"))];
        for process in ends {
            let time = process.time_at(process.clock(at(1.0, 1.0))).expect("the end");
            assert!((time.t - 1.0).abs() < 1e-15 && time.to_end >= 0.0);
        }
    }
}

/// By differences of fourth order, of the levels and of the clock.
#[test]
fn derivatives_agree_with_differences() {
    let slope = |f: &dyn Fn(f64) -> f64, t: f64| {
        let h = 1e-5;
        (8.0 * (f(t + h) - f(t - h)) - (f(t + 2.0 * h) - f(t - 2.0 * h))) / (12.0 * h)
    };
    for (process, end) in processes() {
        for t in times(end) {
            let level = process.level(at(t, end));
            let scale = 1.0 + level.sigma.abs();
            assert!((slope(&|t| process.level(at(t, end)).alpha, t) - level.d_alpha).abs() < 1e-8);
            let d_sigma = slope(&|t| process.level(at(t, end)).sigma, t);
            assert!((d_sigma - level.d_sigma).abs() < 2e-7 * scale, "{t} {d_sigma} {level:?}");
        }
    }
    for (process, end) in clocks() {
        for t in times(end) {
            let rate = slope(&|t| process.clock(at(t, end)), t);
            assert!((rate / process.rate(at(t, end)) - 1.0).abs() < 1e-8);
            let level = process.level(at(t, end));
            assert!((level.alpha.powi(2) + level.sigma.powi(2) - 1.0).abs() < 1e-15);
        }
    }
}

/// Coefficients of the equations as the papers print them.
#[test]
fn equations_are_those_of_the_papers() {
    let check = |process: &dyn LinearProcess, t: f64, f: f64, g2: f64| {
        let found = process.drift_and_diffusion(at(t, 1.0));
        assert!((found.drift - f).abs() <= 1e-13 * f.abs(), "{t} {found:?} {f}");
        assert!((found.diffusion_squared / g2 - 1.0).abs() < 1e-12, "{t} {found:?} {g2}");
    };
    let sub = SubVp::new(0.1, 20.0).expect("valid");
    let scaled = ScaledLinearVp::new(0.85, 12.0).expect("valid");
    let ve = Ve::new(0.01, 50.0).expect("valid");
    for t in [0.01, 0.2, 0.5, 0.77, 0.99] {
        let beta = 0.1 + t * 19.9;
        let integral = 0.1 * t + 0.5 * 19.9 * t * t;
        check(&linear(0.1, 20.0), t, -0.5 * beta, beta);
        check(&sub, t, -0.5 * beta, beta * (1.0 - (-2.0 * integral).exp()));
        let root = 0.85_f64.sqrt() + t * (12.0_f64.sqrt() - 0.85_f64.sqrt());
        check(&scaled, t, -0.5 * root * root, root * root);
        check(&ve, t, 0.0, 2.0 * (0.01 * 5000.0_f64.powf(t)).powi(2) * 5000.0_f64.ln());
        check(&Edm, t, 0.0, 2.0 * t);
        check(&Flow, t, -1.0 / (1.0 - t), 2.0 * t / (1.0 - t));
        check(&Ou, t, -1.0, 2.0);
    }
    // At both ends.
    check(&linear(0.1, 20.0), 0.0, -0.05, 0.1);
    check(&linear(0.1, 20.0), 1.0, -10.0, 20.0);
    assert_eq!(
        sub.drift_and_diffusion(at(0.0, 1.0)),
        DriftDiffusion { drift: -0.05, diffusion_squared: 0.0 }
    );
    assert_eq!(
        Flow.drift_and_diffusion(at(0.0, 1.0)),
        DriftDiffusion { drift: -1.0, diffusion_squared: 0.0 }
    );
    let end = Flow.drift_and_diffusion(at(1.0, 1.0));
    assert_eq!((end.drift, end.diffusion_squared), (f64::NEG_INFINITY, f64::INFINITY));
}

/// What processes compute from their times is what follows from their levels.
#[test]
fn formulas_of_a_process_agree_with_those_of_its_levels() {
    for (process, end) in processes() {
        let bare = Bare(process.as_ref());
        for pair in times(end).windows(2) {
            let (s, t) = (at(pair[0], end), at(pair[1], end));
            let (share, expected) = (process.fresh_share(s, t), bare.fresh_share(s, t));
            assert!((share - expected).abs() < 1e-13, "{pair:?} {share} {expected}");
            let (found, expected) = (process.transition(s, t), bare.transition(s, t));
            let (found, expected) = (found.expect("forwards"), expected.expect("forwards"));
            assert!((found.0 - expected.0).abs() < 1e-13 && (found.1 / expected.1 - 1.0).abs() < 1e-12);
            let (found, expected) = (process.drift_and_diffusion(t), bare.drift_and_diffusion(t));
            assert!((found.drift - expected.drift).abs() <= 1e-12 * expected.drift.abs());
            assert!((found.diffusion_squared / expected.diffusion_squared - 1.0).abs() < 1e-11);
        }
    }
}

/// Chapman–Kolmogorov, the kernel from the data, no time, and the wrong way round.
#[test]
fn transitions_compose() {
    for (process, end) in processes() {
        let times: Vec<Time> = times(end).into_iter().map(|t| at(t, end)).collect();
        for triple in times.windows(3) {
            let go = |a: usize, b: usize| process.transition(triple[a], triple[b]).expect("forwards");
            let ((a, s), (b, t), (c, u)) = (go(0, 1), go(1, 2), go(0, 2));
            assert!((a * b - c).abs() < 1e-14);
            assert!(((b * s).hypot(t) / u - 1.0).abs() < 1e-12);
            assert_eq!(process.transition(triple[0], triple[0]), Ok((1.0, 0.0)));
            assert!(process.transition(triple[1], triple[0]).is_err());
        }
        if let Ok(data) = process.time_at_ratio(0.0) {
            let level = process.level(times[3]);
            let (a, s) = process.transition(data, times[3]).expect("forwards");
            assert!((a - level.alpha).abs() < 1e-15 && (s / level.sigma - 1.0).abs() < 1e-15);
        }
        assert!(process.transition(Time::of(f64::NAN), times[0]).is_err());
        assert!(process.transition(times[0], Time::of(f64::NAN)).is_err());
    }
    let end = at(1.0, 1.0);
    assert_eq!(Flow.transition(at(0.5, 1.0), end), Ok((0.0, 1.0)));
    assert!(Flow.transition(end, at(0.5, 1.0)).is_err());
}

/// Over a step that is lost in the levels themselves, the share of new noise is its rate times the step.
#[test]
fn the_noise_of_tiny_steps_does_not_cancel() {
    let processes: [Box<dyn LinearProcess>; 4] =
        [Box::new(Ve::new(0.01, 50.0).expect("valid")), Box::new(Edm), Box::new(Flow), Box::new(Ou)];
    for process in processes {
        for t in [0.3, 0.6] {
            let (from, to) = (at(t, 1.0), at(t + 1e-12, 1.0));
            let level = process.level(from);
            let rate = 2.0 * (level.d_sigma / level.sigma - level.d_alpha / level.alpha);
            let share = process.fresh_share(from, to);
            assert!((share / (rate * (to.t - from.t)) - 1.0).abs() < 1e-11, "{share}");
        }
    }
    // Next to the end of the flow, where `t` does not tell the times apart.
    let (from, to) = (Time { t: 1.0, to_end: 2e-20 }, Time { t: 1.0, to_end: 1e-20 });
    assert_eq!(Flow.transition(from, to), Ok((0.5, 0.75_f64.sqrt())));
}

/// Chains of the literature, against plain loops and numbers that are known from their code.
#[test]
fn chains_of_the_literature() {
    let product = |betas: &[f64]| betas.iter().map(|beta| 1.0 - beta).product::<f64>();
    let ddpm = linear_betas(1000, 1e-4, 0.02).expect("valid");
    assert_eq!((ddpm[0], ddpm[999], ddpm.len()), (1e-4, 0.02, 1000));
    assert!((product(&ddpm) - 4.0358e-5).abs() < 1e-9);
    let stable = scaled_linear_betas(1000, 0.00085, 0.012).expect("valid");
    assert!((stable[0] - 0.00085).abs() < 1e-18 && (stable[999] - 0.012).abs() < 1e-17);
    // Its noise-to-signal ratios go from 0.0292 to 14.6146.
    let process = DiscreteVp::from_betas(&stable).expect("valid");
    let at_index = |i: usize| ratio(process.level(process.time_of_index(i).expect("in range")));
    assert!((at_index(0) - 0.0292).abs() < 5e-5 && (at_index(999) - 14.6146).abs() < 5e-5);
    for n in [1, 2, 10, 1000] {
        let betas = cosine_betas(n, 0.008, 0.999).expect("valid");
        let alpha_bar = |k: usize| {
            let angle = (k as f64 / n as f64 + 0.008) / 1.008 * std::f64::consts::FRAC_PI_2;
            angle.cos().powi(2)
        };
        let mut so_far = 1.0;
        for (i, beta) in betas.iter().enumerate() {
            assert!(*beta > 0.0 && *beta < 1.0);
            so_far *= 1.0 - beta;
            if i + 1 < n {
                assert!((so_far / (alpha_bar(i + 1) / alpha_bar(0)) - 1.0).abs() < 1e-10, "{n} {i}");
            }
        }
        assert_eq!(betas[n - 1], 0.999);
        let process = DiscreteVp::from_betas(&betas).expect("valid");
        let clipped = process.level(process.time_of_index(n - 1).expect("the last"));
        assert!((clipped.alpha.powi(2) / so_far - 1.0).abs() < 1e-10);
    }
    // A table of ᾱ is the same process, and a continuous one goes through its own chain.
    let alpha_bars: Vec<f64> = stable
        .iter()
        .scan(1.0, |product, beta| {
            *product *= 1.0 - beta;
            Some(*product)
        })
        .collect();
    let (a, b) = (DiscreteVp::from_betas(&stable), DiscreteVp::from_alpha_bars(&alpha_bars));
    let (a, b) = (a.expect("valid"), b.expect("valid"));
    for t in [0.0, 0.3, 1.0, 17.25, 500.0, 999.9, 1000.0] {
        let (a, b) = (a.level(at(t, 1000.0)), b.level(at(t, 1000.0)));
        assert!((a.alpha - b.alpha).abs() < 1e-13 && (a.sigma - b.sigma).abs() < 1e-12);
    }
    // Between two steps ln α is the mean of its neighbours'.
    let ln_alpha = |t: f64| a.level(at(t, 1000.0)).alpha.ln();
    assert!((ln_alpha(300.5) - 0.5 * (ln_alpha(300.0) + ln_alpha(301.0))).abs() < 1e-15);
    assert!((a.rate(at(300.0, 1000.0)) + 0.5 * (-stable[299]).ln_1p()).abs() < 1e-15);
}

/// Rows noised in one go and in two, against the exact law, and in shards.
/// 6 means and 6 variances at a false-alarm rate of 10⁻³.
#[test]
fn noised_rows_have_the_law_of_the_kernel() {
    let n = 40_000;
    let data = Array2::from_elem((n, 1), 1.5);
    let noise = Noise::new(seed(40));
    let mut family = Family::new(1e-3).expect("a rate");
    let processes: [(Box<dyn LinearProcess>, Time); 3] = [
        (Box::new(linear(0.1, 20.0)), at(0.3, 1.0)),
        (Box::new(Edm), Time::of(0.8)),
        (Box::new(Flow), at(0.6, 1.0)),
    ];
    for (k, (process, to)) in processes.iter().enumerate() {
        let process = process.as_ref();
        let (from, half) = (at(0.0, 1.0), at(0.5 * to.t, 1.0));
        let rows = 0..n as u64;
        let once = noised(process, &data, from, *to, rows.clone(), noise.fork_index(k as u64)).expect("ok");
        let first = noised(process, &data, from, half, rows.clone(), noise.fork("first")).expect("ok");
        let twice = noised(process, &first, half, *to, rows, noise.fork("second")).expect("ok");
        let level = process.level(*to);
        let law = Moments { mean: 1.5 * level.alpha, std_dev: level.sigma, kurtosis: 3.0 };
        for (what, x) in [("once", &once), ("twice", &twice)] {
            let scores = scores(x.as_slice().expect("contiguous"), &law).expect("data");
            family.push(format!("mean, {what}, {k}"), scores.z_p_value());
            family.push(format!("variance, {what}, {k}"), scores.y_p_value());
        }
    }
    family.assert();
    let wide = Array2::from_shape_fn((100, 3), |(i, j)| (i + j) as f64);
    let go = |x: &Array2<f64>, rows| noised(&Ou, x, Time::of(0.1), Time::of(0.4), rows, Noise::new(1));
    let all = go(&wide, 50..150).expect("ok");
    let part = wide.slice(s![30..70, ..]).to_owned();
    assert_eq!(go(&part, 80..120).expect("ok"), all.slice(s![30..70, ..]));
    assert!(matches!(go(&part, 80..121), Err(Error::Shape { parameter: "x", .. })));
}

#[test]
fn times_of_many_ratios_are_those_of_each() {
    for (process, last) in processes() {
        let last = if last.is_finite() { last } else { 12.0 };
        let ratios: Vec<f64> = (1..200)
            .map(|k| {
                process
                    .level(Time { t: last * f64::from(k) / 200.0, to_end: last * f64::from(200 - k) / 200.0 })
            })
            .map(|level| level.sigma / level.alpha)
            .collect();
        let mut times = Vec::new();
        process.times_at_ratios(&ratios, &mut times).expect("ratios of the process");
        assert_eq!(times.len(), ratios.len());
        for (&ratio, many) in ratios.iter().zip(&times) {
            let one = process.time_at_ratio(ratio).expect("a ratio of the process");
            assert!(
                (many.t - one.t).abs() < 4e-15 * last && (many.t / one.t - 1.0).abs() < 1e-13,
                "{many:?} {one:?}"
            );
        }
        // Each by itself, to the bit.
        let mut some = Vec::new();
        process.times_at_ratios(&ratios[57..60], &mut some).expect("ratios of the process");
        assert_eq!(some, times[57..60]);
        for bad in [-1.0, f64::NAN, f64::INFINITY] {
            let found = process.times_at_ratios(&[ratios[5], bad], &mut times);
            assert_eq!(found.is_ok(), bad > 0.0 && loses_its_signal(&*process), "{bad}");
        }
    }
}
