//! Runs that start where there is no signal, σ/α = ∞: at the end of rectified flow and of the cosine schedule.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use numeric::ndarray::{Array2, ArrayRef2, array, s};
use numeric::{
    Batch, Control, Error, Model, Noise, PosteriorCovariance, Prediction, Schedule, Scratch, Time, TimeGrid,
    Times, VectorField, from_fn,
};
use sde_core::ode::{ProbabilityFlow, Tsit5, Variable};
use sde_core::{
    AdaptiveDpmSolver, CosineVp, Covariance, Deis, DpmSolverPlusPlus2S, Edm, EulerMaruyama,
    ExponentialIntegrator, Extrapolation, Flow, FrozenDenoiser, FrozenScore, History, LinearProcess,
    LocallyMomentMatched, Method, Mixture, MixtureField, MomentMatched, ProbabilityFlowHeun, Sampler, Step,
    Tolerance, UniPc, UniPcVariant, Ve,
};
use statrs::distribution::{ContinuousCDF, Normal};
use verify::{Family, Moments, kolmogorov_smirnov, scores, seed};

use super::members::{SAME, members};
use super::stochastic::{MEAN, VARIANCE, law};
use super::{Boxed, Counted, Exact, mixture};

const END: Time = Time { t: 1.0, to_end: 0.0 };
const EDM: Prediction = Prediction::Edm { sigma_data: 0.7 };

fn cosine() -> CosineVp {
    CosineVp::new(0.008).expect("valid")
}

fn gaussian() -> Mixture {
    Mixture::gaussian(vec![MEAN].into(), Covariance::Isotropic(VARIANCE)).expect("valid")
}

/// All methods for linear processes, by label.
fn methods<S: LinearProcess + Clone>(covariance: &Array2<f64>) -> Vec<(String, Boxed<S>)> {
    let others: [Boxed<S>; 5] = [
        Box::new(FrozenDenoiser),
        Box::new(FrozenScore),
        Box::new(MomentMatched::new(covariance).expect("valid")),
        Box::new(LocallyMomentMatched),
        Box::new(ProbabilityFlowHeun),
    ];
    let members = members(SAME).into_iter().map(|member| (member.label, member.method));
    members.chain(others.map(|method| (method.name().to_owned(), method))).collect()
}

/// Whether the method is one of those that have no limit.
fn refuses(label: &str) -> bool {
    let without = ["DPM-Solver-2", "DPM-Solver-3", "EDM", "annealed", "frozen score", "probability flow"];
    without.iter().any(|name| label.starts_with(name)) || label.ends_with("Bh1")
}

/// One step of the given rows, `(n, 1)`, as number `index` of a run.
fn step<S: LinearProcess + Clone>(
    target: &Mixture,
    process: &S,
    method: &dyn Method<f64, Exact<f64, S>>,
    (from, to, index): (Time, Time, u64),
    x: &mut Array2<f64>,
    history: &mut History<f64>,
) -> Result<(), Error> {
    let rows: Vec<u64> = (0..x.nrows() as u64).collect();
    let step = Step { rows: &rows, index, from, to, noise: Noise::new(4) };
    method.step(&target.denoiser::<f64, S>(process.clone()), step, x, history, &mut Scratch::new())
}

/// The first step of every method is the limit of those from large ratios, or is refused with a reason.
fn first_steps<S: LinearProcess + Clone>(process: &S) {
    let target = mixture(&[1.0]);
    let z = array![[-1.3], [0.2], [0.9]];
    for to in [1.5, 0.1, 1e3, 0.0] {
        let to = process.time_at_ratio(to).expect("in reach");
        for (label, method) in methods::<S>(&target.covariance()) {
            let mut x = z.clone();
            let done = step(&target, process, &method, (END, to, 0), &mut x, &mut History::default());
            // To the data themselves most of these take a step of order 1.
            let at_data = process.level(to).sigma == 0.0;
            let always = ["annealed", "frozen s"].iter().any(|name| label.starts_with(name));
            let refused = refuses(&label) && (always || !at_data);
            if refused {
                assert!(matches!(done, Err(Error::Unsupported { .. })), "{label}: {done:?}");
                continue;
            }
            done.expect("a method with a limit");
            // Noise prediction loses as many digits as the ratio has; with data prediction it can be as large as the
            // slowest limits, like powers of the ratio, need.
            let of_noise = ["DEIS", "tAB", "ρAB"].iter().any(|name| label.starts_with(name));
            let ratio = if of_noise { 1e9 } else { 1e150 };
            let from = process.time_at_ratio(ratio).expect("in reach");
            let mut near = &z * process.level(from).sigma;
            step(&target, process, &method, (from, to, 0), &mut near, &mut History::default())
                .expect("finite");
            let gap = (&x - &near).iter().fold(0.0_f64, |m, e| m.max(e.abs()));
            assert!(gap < 1e-5, "{label}: {x} {near}");
        }
    }
}

#[test]
fn the_first_step_is_the_limit_of_those_from_large_ratios() {
    first_steps(&Flow);
    first_steps(&cosine());
}

/// What was predicted at σ/α = ∞ has no weight in later steps, except for an extrapolation in time.
#[test]
fn later_steps_do_not_look_back_to_the_end_of_the_signal() {
    let (target, ratios) = (mixture(&[1.0]), [1.5, 0.9, 0.4, 0.1]);
    let times = ratios.map(|ratio| Flow.time_at_ratio(ratio).expect("in reach"));
    let z = array![[-1.3], [0.2], [0.9]];
    for (label, method) in methods::<Flow>(&target.covariance()) {
        if refuses(&label) {
            continue;
        }
        let mut history = History::default();
        let mut x = z.clone();
        let go = |from, to, index, x: &mut Array2<f64>, history: &mut History<f64>| {
            step(&target, &Flow, &method, (from, to, index), x, history).expect("finite");
        };
        go(END, times[0], 0, &mut x, &mut history);
        let (mut fresh, mut empty) = (x.clone(), History::default());
        for k in 1..times.len() {
            go(times[k - 1], times[k], k as u64, &mut x, &mut history);
            go(times[k - 1], times[k], k as u64, &mut fresh, &mut empty);
        }
        let remembers = (label.starts_with("tAB") && !label.ends_with('1')) || label.starts_with("UniPC");
        assert_eq!(x != fresh, remembers, "{label}");
    }
    // UniPC's second step knows one value, that at the predicted end of the first, as at order 1.
    let ends = |order: usize| {
        let method = UniPc::new(order, UniPcVariant::Bh2).expect("valid");
        let (mut x, mut history) = (z.clone(), History::default());
        for (from, to, index) in [(END, times[0], 0), (times[0], times[1], 1)] {
            step(&target, &Flow, &method, (from, to, index), &mut x, &mut history).expect("finite");
        }
        x
    };
    assert!(ends(1) == ends(2) && ends(2) == ends(3));
    // An extrapolation in time has a limit as a whole.
    for order in 1..=4 {
        let method = Deis::new(order, Extrapolation::Time).expect("valid");
        let run = |start: Time| {
            let (mut x, mut history) = (&z * Flow.level(start).sigma, History::default());
            for (k, to) in times.into_iter().enumerate() {
                let from = if k == 0 { start } else { times[k - 1] };
                step(&target, &Flow, &method, (from, to, k as u64), &mut x, &mut history).expect("finite");
            }
            x
        };
        let gap = run(END) - run(Flow.time_at_ratio(1e8).expect("in reach"));
        assert!(gap.iter().all(|gap| gap.abs() < 1e-6), "tAB {order}: {gap}");
    }
}

/// KS, Z and Y of the methods with data prediction, against the law of the second implementation from ratio 1e150, at a
/// family-wise false-alarm rate of 10⁻³.
#[test]
fn samples_from_the_end_of_the_signal_follow_the_discretised_laws() {
    let mut family = Family::new(1e-3).expect("a rate");
    for (g, tail) in [&[3.0, 1.2, 0.5, 0.2][..], &[1.0, 0.05]].into_iter().enumerate() {
        let ratios: Vec<f64> = std::iter::once(1e150).chain(tail.iter().copied()).collect();
        let mut times = vec![END];
        times.extend(tail.iter().map(|&ratio| Flow.time_at_ratio(ratio).expect("in reach")));
        let grid = TimeGrid::from_times(times).expect("a grid");
        let end = Flow.level(grid.last()).alpha;
        for (k, member) in members::<f64, MixtureField<f64, Flow>, Flow>(SAME).into_iter().enumerate() {
            let of_data = ["reverse SDE", "2M", "DDIM", "2S", "exponential Adams", "predictor-corrector"];
            if !of_data.iter().any(|name| member.label.starts_with(name)) {
                continue;
            }
            let sampler = Sampler::new(gaussian().denoiser::<f64, _>(Flow), &member.method, grid.clone());
            let noise = Noise::new(seed(5000 + 1000 * g as u64 + k as u64));
            let x = sampler.expect("valid").sample(0..4000, noise, Control::default()).expect("finite");
            let u: Vec<f64> = x.iter().map(|x| x / end).collect();
            let (intercept, factor, added) = law(&ratios, 3, &member.reference);
            let std_dev = ((factor * ratios[0]).powi(2) + added).sqrt();
            let normal = Normal::new(intercept, std_dev).expect("a law");
            let scores = scores(&u, &Moments { mean: intercept, std_dev, kurtosis: 3.0 }).expect("data");
            let fit = kolmogorov_smirnov(&u, |u| normal.cdf(u)).expect("data");
            let label = |what: &str| format!("{what}, {}, grid {g}", member.label);
            family.push(label("KS"), fit.p_value);
            family.push(label("Z"), scores.z_p_value());
            family.push(label("Y"), scores.y_p_value());
        }
    }
    // Exact for Gaussian data on any grid, to the data themselves.
    let grid = TimeGrid::from_nodes(vec![1.0, 0.6, 0.0]).expect("a grid");
    let matched = MomentMatched::new(&array![[VARIANCE]]).expect("valid");
    let exact: [Boxed<Flow>; 2] = [Box::new(matched), Box::new(LocallyMomentMatched)];
    for (k, method) in exact.iter().enumerate() {
        let sampler = Sampler::new(gaussian().denoiser::<f64, _>(Flow), method, grid.clone());
        let noise = Noise::new(seed(7000 + k as u64));
        let x = sampler.expect("valid").sample(0..4000, noise, Control::default()).expect("finite");
        let x: Vec<f64> = x.iter().copied().collect();
        let scores =
            scores(&x, &Moments { mean: MEAN, std_dev: VARIANCE.sqrt(), kurtosis: 3.0 }).expect("data");
        family.push(format!("Z, {}", method.name()), scores.z_p_value());
        family.push(format!("Y, {}", method.name()), scores.y_p_value());
    }
    family.assert();
}

/// The flow of N(m, c) takes noise z at the angle π/2 to m + √c z.
#[test]
fn the_flow_in_the_angle_starts_in_noise() {
    fn check<V: VectorField<f64>, S: LinearProcess>(model: &Model<V, S>) {
        let z = array![[-2.0], [0.0], [0.3], [1.7]];
        let (process, prediction) = (&model.schedule, model.prediction);
        let flow = ProbabilityFlow::new(model, Variable::Angle);
        let method = Tsit5::new(1e-10, 1e-10).expect("valid");
        let to = process.time_at_ratio(1e-4).expect("in reach");
        let (x, _) = flow.carry(&method, (END, to), &z, 0..4, Control::default()).expect("a flow");
        let level = process.level(to);
        let std = (level.alpha * level.alpha * VARIANCE + level.sigma * level.sigma).sqrt();
        for (x, z) in x.iter().zip(&z) {
            assert!((x - (level.alpha * MEAN + std * z)).abs() < 1e-7, "{prediction:?}: {x} {z}");
        }
        // And back to the noise.
        let (back, _) = flow.carry(&method, (to, END), &x, 0..4, Control::default()).expect("a flow");
        assert!((&back - &z).iter().all(|gap| gap.abs() < 1e-6), "{back}");
    }
    fn run<S: LinearProcess + Clone>(process: &S) {
        let exact = gaussian().denoiser::<f64, _>(process.clone());
        for prediction in [Prediction::Denoised, Prediction::V, Prediction::Velocity] {
            check(&Model::new(exact.predicting(prediction), prediction, process.clone()));
        }
        // A network that is given its input scaled.
        let raw = from_fn(1, |batch: &Batch<'_, f64>, out: &mut ArrayRef2<f64>| {
            let mut x = batch.x().to_owned();
            for (i, mut x) in x.rows_mut().into_iter().enumerate() {
                x /= EDM.input_scale(process.level(batch.times().get(i)));
            }
            exact.predict_into(EDM, &batch.at(&x), out, &mut Scratch::new())
        });
        check(&Model::new(raw, EDM, process.clone()));
    }
    run(&Flow);
    run(&cosine());
}

/// Without signal the denoiser is the mean of the data and their covariance is that of the posterior, whatever x is.
#[test]
fn the_first_prediction_is_the_mean_of_the_data() {
    let points = array![[-1.0, 0.5], [1.0, 0.0], [0.0, 2.0]];
    let weights = array![0.5, 0.3, 0.2];
    let laws = [mixture(&[0.6, 0.8]), Mixture::atoms(&points, Some(&weights)).expect("valid")];
    let x = array![[0.0, 0.0], [3.0, -1.0]];
    for law in &laws {
        fn check<S: LinearProcess + Clone>(law: &Mixture, process: &S, x: &Array2<f64>) {
            let batch = Batch::new(&[0, 1], Times::Same(END), x);
            let exact = law.denoiser::<f64, _>(process.clone());
            let mut scratch = Scratch::new();
            for prediction in [Prediction::Denoised, Prediction::V, Prediction::Velocity, EDM] {
                let model = Model::new(exact.predicting(prediction), prediction, process.clone());
                let mut m = Array2::zeros((2, 2));
                model.predict_into(Prediction::Denoised, &batch, &mut m, &mut scratch).expect("a mean");
                for row in m.rows() {
                    assert!((&row - &law.mean()).iter().all(|gap| gap.abs() < 1e-14), "{prediction:?}: {m}");
                }
            }
            let (mut m, mut covariance) = (Array2::zeros((2, 2)), Array2::zeros((2, 4)));
            let done = exact.field.mean_covariance_into(&batch, &mut m, &mut covariance, &mut scratch);
            done.expect("a covariance");
            for row in covariance.rows() {
                let gap = row.iter().zip(&law.covariance()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                assert!(gap < 1e-14, "{covariance}");
            }
            // The noise and the score tell nothing of the data there.
            for prediction in [Prediction::Noise, Prediction::Score] {
                let model = Model::new(exact.predicting(prediction), prediction, process.clone());
                let grid = TimeGrid::from_nodes(vec![1.0, 0.5]).expect("a grid");
                let run = Sampler::new(model, FrozenDenoiser, grid).expect("valid");
                let done = run.sample::<f64>(0..1, Noise::new(1), Control::default());
                assert!(matches!(done, Err(Error::Domain { .. })), "{done:?}");
            }
        }
        check(law, &Flow, &x);
        check(law, &cosine(), &x);
    }
}

#[test]
fn only_the_end_of_the_signal_may_be_infinite_and_the_methods_of_the_clock_refuse_it() {
    assert_eq!(Flow.time_at_ratio(f64::INFINITY), Ok(END));
    assert_eq!(cosine().time_at_ratio(f64::INFINITY), Ok(END));
    for ratio in [f64::INFINITY, f64::NAN, -1.0] {
        assert!(
            Edm.time_at_ratio(ratio).is_err()
                && Ve::new(0.01, 50.0).expect("valid").time_at_ratio(ratio).is_err()
        );
    }
    let grid = || TimeGrid::from_nodes(vec![1.0, 0.5, 0.1]).expect("a grid");
    let methods: [Boxed<CosineVp>; 2] = [Box::new(EulerMaruyama), Box::new(ExponentialIntegrator)];
    for method in &methods {
        let run = Sampler::new(gaussian().denoiser::<f64, _>(cosine()), method, grid()).expect("valid");
        let done = run.sample(0..2, Noise::new(1), Control::default());
        assert!(matches!(done, Err(Error::Unsupported { .. })), "{done:?}");
    }
    let tolerance = Tolerance { relative: 1e-3, absolute: 1e-3 };
    let adaptive = AdaptiveDpmSolver::new(gaussian().denoiser::<f64, _>(Flow), 2, tolerance, grid());
    assert!(matches!(adaptive.err(), Some(Error::Unsupported { .. })));
    // The middle of a step of 2S is not evaluated where it is at σ/α = ∞ as well.
    let method = DpmSolverPlusPlus2S::new(0.0).expect("valid");
    let made = Arc::new(AtomicUsize::new(0));
    let Model { field, prediction, schedule } = gaussian().denoiser::<f64, _>(Flow);
    let model = Model::new(Counted { field, made: made.clone() }, prediction, schedule);
    let sampler = Sampler::new(model, method, grid()).expect("valid");
    sampler.sample::<f64>(0..1, Noise::new(1), Control::default()).expect("finite");
    assert_eq!((made.load(Ordering::Relaxed), sampler.model_calls::<f64>()), (3, 3));
    // Single precision, shards.
    for member in members::<f32, MixtureField<f32, Flow>, Flow>(SAME) {
        let sampler =
            Sampler::new(gaussian().denoiser::<f32, _>(Flow), &member.method, grid()).expect("valid");
        match sampler.sample(0..70, Noise::new(1), Control::default()) {
            Ok(x) => {
                assert!(x.iter().all(|x| x.is_finite()), "{}", member.label);
                let shard = sampler.sample(20..50, Noise::new(1), Control::default()).expect("finite");
                assert_eq!(shard, x.slice(s![20..50, ..]), "{}", member.label);
            }
            Err(error) => assert!(refuses(&member.label), "{}: {error}", member.label),
        }
    }
}
