//! Runs of samplers: what they start from, what they keep, and where they end.

use numeric::ndarray::{Array2, ArrayRef2, Axis, array, s};
use numeric::{
    Batch, Batching, Control, Error, Level, Model, Noise, Prediction, Schedule, Scratch, Time, TimeGrid,
    Times, VectorField, from_fn, with_batching,
};
use sde_core::{
    Component, CosineVp, Covariance, DiscreteVp, Edm, EulerMaruyama, ExponentialIntegrator, Flow,
    FrozenDenoiser, FrozenScore, GaussianStep, History, Keep, LinearProcess, LinearVp, LocallyMomentMatched,
    Method, Mixture, MixtureField, MomentMatched, Ou, ProbabilityFlowHeun, Sampler, Start, Statistics, Step,
    SubVp, VariancePreserving, Ve,
    grid::{self, Spacing},
    linear_betas, noised,
};
use statrs::distribution::{ContinuousCDF, Normal};
use verify::{Family, Moments, kolmogorov_smirnov, scores, seed};

fn mixture() -> Mixture {
    let component = |weight, mean, covariance| Component { weight, mean, covariance };
    Mixture::new(vec![
        component(1.0, array![2.0, 0.0], Covariance::Full(array![[0.5, 0.2], [0.2, 0.3]])),
        component(2.0, array![-1.0, 1.0], Covariance::Isotropic(0.2)),
    ])
    .expect("valid")
}

fn sampler<K>(method: K, nodes: &[f64]) -> Sampler<Model<MixtureField<f64, Ou>, Ou>, K> {
    let grid = TimeGrid::from_nodes(nodes.to_vec()).expect("valid");
    Sampler::new(mixture().denoiser(Ou), method, grid).expect("a grid of the process")
}

/// The last step of the methods without noise left ends at the posterior mean of the last state, to the bit.
#[test]
fn a_run_to_the_data_ends_at_the_posterior_mean() {
    fn check<K: Copy + Method<f64, Model<MixtureField<f64, Ou>, Ou>>>(method: K) {
        for nodes in [&[1.5, 0.0][..], &[3.0, 0.5, 0.0]] {
            let sampler = sampler(method, nodes);
            let run = sampler.run(Start::Prior, Keep::All, 0..30, Noise::new(1), Control::default());
            let states = run.expect("finite").states;
            let last = states.index_axis(Axis(1), nodes.len() - 2).to_owned();
            let mut mean = Array2::zeros(last.raw_dim());
            let rows: Vec<u64> = (0..30).collect();
            let time = Times::Same(Time::of(nodes[nodes.len() - 2]));
            let denoiser = &sampler.model().field;
            denoiser.eval_into(&Batch::new(&rows, time, &last), &mut mean, &mut Scratch::new()).expect("ok");
            assert_eq!(states.index_axis(Axis(1), nodes.len() - 1), mean, "{}", method.name());
        }
    }
    check(FrozenDenoiser);
    check(ProbabilityFlowHeun);
}

/// Heun's method needs no slope at the data, and its statistics know it.
#[test]
fn the_calls_are_those_that_were_made() {
    use std::sync::atomic::{AtomicU64, Ordering};
    let calls = AtomicU64::new(0);
    let field = from_fn(2, |batch: &Batch<'_, f64>, out: &mut numeric::ndarray::ArrayRef2<f64>| {
        calls.fetch_add(batch.len() as u64, Ordering::Relaxed);
        out.assign(batch.x());
        Ok(())
    });
    let model = Model::new(&field, Prediction::Denoised, Ou);
    for (nodes, expected) in [(vec![1.0, 0.5, 0.25], 4), (vec![1.0, 0.5, 0.0], 3), (vec![1.0, 0.0], 1)] {
        let grid = TimeGrid::from_nodes(nodes).expect("valid");
        let sampler = Sampler::new(model, ProbabilityFlowHeun, grid.clone()).expect("valid");
        calls.store(0, Ordering::Relaxed);
        let run = sampler.run(Start::Prior, Keep::Last, 0..100, Noise::new(2), Control::default());
        let statistics =
            Statistics { calls: 100 * expected, accepted: 100 * grid.steps() as u64, rejected: 0 };
        assert_eq!(run.expect("finite").statistics, statistics);
        assert_eq!(calls.load(Ordering::Relaxed), 100 * expected);
        assert_eq!(sampler.model_calls::<f64>() as u64, expected);
    }
}

/// Every method is finite on one and two steps to the data, also for data of a single point and in `f32`.
#[test]
fn all_methods_reach_the_data() {
    fn check<K>(method: K, target: &Mixture)
    where
        K: Copy + Method<f32, Model<MixtureField<f32, Ou>, Ou>>,
    {
        for nodes in [vec![2.0, 0.0], vec![2.0, 0.3, 0.0]] {
            let grid = TimeGrid::from_nodes(nodes).expect("valid");
            let sampler = Sampler::new(target.denoiser::<f32, _>(Ou), method, grid).expect("valid");
            let x = sampler.sample(0..20, Noise::new(3), Control::default()).expect("finite");
            assert!(x.iter().all(|x| x.is_finite()));
        }
    }
    for target in [mixture(), Mixture::atoms(&array![[1.0, -2.0]], None).expect("valid")] {
        check(EulerMaruyama, &target);
        check(ExponentialIntegrator, &target);
        check(FrozenScore, &target);
        check(FrozenDenoiser, &target);
        check(ProbabilityFlowHeun, &target);
    }
    check(LocallyMomentMatched, &mixture());
    let method = MomentMatched::new(&array![[1.0, 0.0], [0.0, 0.0]]).expect("valid");
    for nodes in [vec![2.0, 0.0], vec![2.0, 0.3, 0.0]] {
        let x = sampler(method.clone(), &nodes).sample(0..20, Noise::new(3), Control::default());
        assert!(x.expect("finite").iter().all(|x| x.is_finite()));
    }
    // The posterior of a single point has no density, which its transition says; the draw is the point.
    let (from, to) = (Time::of(1.0), Time::of(0.0));
    let grid = TimeGrid::from_nodes(vec![from.t, to.t]).expect("valid");
    let point = Mixture::atoms(&array![[1.0, -2.0]], None).expect("valid").denoiser::<f64, _>(Ou);
    let step = Step { rows: &[0], index: 0, from, to, noise: Noise::new(3) };
    let (x, mut mean) = (array![[0.3, 0.4]], array![[0.0, 0.0]]);
    let refused = LocallyMomentMatched.transition(&point, step, &x, &mut mean, &mut Scratch::new());
    assert!(matches!(refused, Err(Error::NotPositiveDefinite { .. })), "{refused:?}");
    let sampler = Sampler::new(point, LocallyMomentMatched, grid).expect("valid");
    let drawn = sampler.sample(0..2, Noise::new(3), Control::default()).expect("finite");
    assert_eq!(drawn, array![[1.0, -2.0], [1.0, -2.0]]);
}

/// Whatever is kept is a part of the same path, for the whole as for a shard, on any number of threads.
#[test]
fn what_is_kept_does_not_change_the_path() {
    let sampler = sampler(EulerMaruyama, &[2.0, 1.0, 0.5, 0.2, 0.1]);
    let (noise, control) = (Noise::new(4), Control::default());
    let run = |keep, rows| sampler.run(Start::Prior, keep, rows, noise, control).expect("finite");
    let all = run(Keep::All, 0..300);
    assert_eq!(all.states.dim(), (300, 5, 2));
    assert_eq!(all.times, sampler.grid().nodes());
    let last = run(Keep::Last, 0..300);
    assert_eq!(last.states.index_axis(Axis(1), 0), all.states.index_axis(Axis(1), 4));
    assert_eq!(last.states.index_axis(Axis(1), 0), sampler.sample(0..300, noise, control).expect("finite"));
    assert_eq!((last.times.len(), last.times[0].t), (1, 0.1));
    let some = run(Keep::Nodes(&[0, 2, 3]), 0..300);
    assert_eq!(some.states, all.states.select(Axis(1), &[0, 2, 3]));
    assert_eq!(some.times[1].t, 0.5);
    assert_eq!(run(Keep::Nodes(&[]), 0..300).states.dim(), (300, 0, 2));
    let map = |node: usize, time: Time, x: &[f64], out: &mut [f64]| {
        out.copy_from_slice(&[node as f64, time.t, x[0] * x[1]]);
    };
    let mapped = run(Keep::Map { dim: 3, map: &map }, 0..300).states;
    for ((i, k), out) in
        numeric::ndarray::indices((300, 5)).into_iter().map(|at| (at, mapped.slice(s![at.0, at.1, ..])))
    {
        let x = all.states.slice(s![i, k, ..]);
        assert_eq!(out.to_vec(), [k as f64, sampler.grid().node(k).t, x[0] * x[1]]);
    }
    // Shards and threads.
    assert_eq!(run(Keep::All, 37..161).states, all.states.slice(s![37..161, .., ..]));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().expect("threads");
    assert_eq!(pool.install(|| run(Keep::All, 0..300)), all);
    // Bad wishes.
    let bad = |keep| sampler.run(Start::Prior, keep, 0..3, noise, control).expect_err("refused");
    for nodes in [&[5][..], &[1, 1], &[2, 1]] {
        assert!(matches!(bad(Keep::Nodes(nodes)), Error::Entry { parameter: "keep", .. }));
    }
    assert!(matches!(bad(Keep::Map { dim: 0, map: &map }), Error::Domain { .. }));
}

#[test]
fn rows_start_where_they_are_told() {
    let sampler = sampler(FrozenScore, &[1.0, 0.5, 0.2]);
    let (noise, control) = (Noise::new(5), Control::default());
    let prior = sampler.run(Start::Prior, Keep::All, 100..400, noise, control).expect("finite");
    // The prior's own states as rows: the same run.
    let rows = prior.states.index_axis(Axis(1), 0).to_owned();
    let again = sampler.run(Start::Rows(&rows), Keep::All, 100..400, noise, control).expect("finite");
    assert_eq!(again, prior);
    // A shard of them, from an array in another layout.
    let turned = rows.slice(s![50..120, ..]).t().to_owned();
    let shard = sampler.run(Start::Rows(&turned.t()), Keep::All, 150..220, noise, control).expect("finite");
    assert_eq!(shard.states, prior.states.slice(s![50..120, .., ..]));
    // From a point.
    let point = sampler.run(Start::Point(&[0.5, -1.0]), Keep::All, 100..400, noise, control).expect("finite");
    assert!(point.states.outer_iter().all(|path| path.row(0) == array![0.5, -1.0]));
    assert_ne!(point.states.slice(s![0, 1, ..]), point.states.slice(s![1, 1, ..]));

    let refused = |start: Start<'_, f64>| {
        sampler.run(start, Keep::Last, 100..400, noise, control).expect_err("refused")
    };
    assert!(matches!(refused(Start::Point(&[0.5])), Error::Shape { parameter: "start", .. }));
    let short = rows.slice(s![..299, ..]).to_owned();
    assert!(matches!(refused(Start::Rows(&short)), Error::Shape { parameter: "start", .. }));
    let wide = Array2::zeros((300, 3));
    assert!(matches!(refused(Start::Rows(&wide)), Error::Shape { .. }));
    let mut broken = rows.clone();
    (broken[(123, 1)], broken[(250, 0)]) = (f64::NAN, f64::INFINITY);
    assert!(matches!(
        refused(Start::Rows(&broken)),
        Error::NotFinite { what: "the start", row: 223, step: 0, .. }
    ));
    assert!(matches!(refused(Start::Point(&[0.0, f64::NAN])), Error::NotFinite { row: 100, .. }));
}

/// Blocks that are computed whole start rows that were not asked for in the prior.
#[test]
fn whole_blocks_with_given_starts() {
    let field = || {
        let eval = |batch: &Batch<'_, f64>, out: &mut numeric::ndarray::ArrayRef2<f64>| {
            assert_eq!(batch.len(), 32, "blocks are whole");
            out.assign(&batch.x().mapv(|x| -x));
            Ok(())
        };
        with_batching(from_fn(2, eval), Batching { rows: 32, rowwise: false, serial: false }).expect("valid")
    };
    let grid = grid::uniform(2.0, 0.5, 3).expect("valid");
    let sampler =
        Sampler::new(Model::new(field(), Prediction::Score, Ou), EulerMaruyama, grid).expect("valid");
    let (noise, control) = (Noise::new(6), Control::default());
    let all = sampler.run(Start::Prior, Keep::All, 0..128, noise, control).expect("finite");
    let rows = all.states.slice(s![50..70, 0, ..]).to_owned();
    let shard = sampler.run(Start::Rows(&rows), Keep::All, 50..70, noise, control).expect("finite");
    assert_eq!(shard.states, all.states.slice(s![50..70, .., ..]));
    let last = sampler.run(Start::Rows(&rows), Keep::Last, 50..70, noise, control).expect("finite");
    assert_eq!(last.states.index_axis(Axis(1), 0), all.states.slice(s![50..70, 3, ..]));
    assert_eq!(
        sampler.run(Start::Prior, Keep::All, 9..9, noise, control).expect("empty").states.dim(),
        (0, 4, 2)
    );
}

/// Editing: a data point noised to a level and run back from there. With the exact reverse kernel of Gaussian data the
/// result is Gaussian, whatever the process and the grid: 9 statistics at a false-alarm rate of 10⁻³.
#[test]
fn edited_data_have_the_exact_law() {
    let (m, c, y, n) = (0.7, 0.3, -1.2, 40_000_u64);
    let target = Mixture::gaussian(array![m], Covariance::Isotropic(c)).expect("valid");
    let method = MomentMatched::new(&array![[c]]).expect("valid");
    let mut family = Family::new(1e-3).expect("a rate");
    let vp = LinearVp::new(0.1, 20.0).expect("valid");
    let chain = DiscreteVp::from_betas(&linear_betas(1000, 1e-4, 0.02).expect("valid")).expect("valid");
    let from_level = |process: &dyn LinearProcess, max: f64| {
        grid::at_ratios(process, &grid::to_data(&grid::geometric(max, 0.05, 3)?)?)
    };
    let steps = Spacing::Leading { offset: 1 }.grid(&chain, 10).expect("valid");
    let part = TimeGrid::from_times(steps.nodes()[6..].to_vec()).expect("some steps of the chain");
    let processes: [(&dyn VariancePreserving, TimeGrid); 3] = [
        (&vp, from_level(&vp, 0.8).expect("in reach")),
        (
            &CosineVp::new(0.008).expect("valid"),
            from_level(&CosineVp::new(0.008).expect("valid"), 2.0).expect("in reach"),
        ),
        (&chain, part),
    ];
    for (k, (process, grid)) in processes.into_iter().enumerate() {
        let noise = Noise::new(seed(50 + k as u64));
        let data = Array2::from_elem((n as usize, 1), y);
        let first = grid.first();
        let noised =
            noised(process, &data, process.time_at(0.0).expect("data"), first, 0..n, noise.fork("edit"));
        let sampler = Sampler::new(target.denoiser::<f64, _>(process), method.clone(), grid).expect("valid");
        let noised = noised.expect("forwards");
        let run = sampler.run(Start::Rows(&noised), Keep::Last, 0..n, noise, Control::default());
        let x: Vec<f64> = run.expect("finite").states.into_iter().collect();
        let Level { alpha, sigma, .. } = process.level(first);
        let gain = alpha * c / (alpha * alpha * c + sigma * sigma);
        let mean = m + gain * alpha * (y - m);
        let variance = (gain * sigma).powi(2) + c * sigma * sigma / (alpha * alpha * c + sigma * sigma);
        let law = Normal::new(mean, variance.sqrt()).expect("a variance");
        let scores = scores(&x, &Moments { mean, std_dev: variance.sqrt(), kurtosis: 3.0 }).expect("data");
        family.push(format!("KS {k}"), kolmogorov_smirnov(&x, |x| law.cdf(x)).expect("data").p_value);
        family.push(format!("mean {k}"), scores.z_p_value());
        family.push(format!("variance {k}"), scores.y_p_value());
    }
    family.assert();
}

/// A method of any linear process: the state is scaled to that of the next time, without noise or model.
struct Rescaled;

impl<V: VectorField<f64>, S: LinearProcess> Method<f64, Model<V, S>> for Rescaled {
    fn name(&self) -> &'static str {
        "rescaled"
    }
    fn step(
        &self,
        model: &Model<V, S>,
        step: Step<'_>,
        x: &mut numeric::ndarray::ArrayRef2<f64>,
        _: &mut History<f64>,
        _: &mut Scratch,
    ) -> Result<(), Error> {
        let scale = model.schedule.start_std(step.to) / model.schedule.start_std(step.from);
        x.mapv_inplace(|x| scale * x);
        Ok(())
    }
}

/// Samplers take every linear process, and start in its noise.
#[test]
fn runs_start_in_the_noise_of_the_process() {
    let rows: Vec<u64> = (0..50).collect();
    let mut z = Array2::<f64>::zeros((50, 2));
    Noise::new(9).fork("start").normals_into(&rows, 0, &mut z);
    let ve = Ve::new(0.01, 50.0).expect("valid");
    let sub = SubVp::new(0.1, 20.0).expect("valid");
    let processes: [(&dyn LinearProcess, [f64; 2], [f64; 2]); 4] = [
        (&ve, [50.0, 0.01], [50.0, 0.01]),
        (&Edm, [80.0, 0.01], [80.0, 0.01]),
        (&sub, [30.0, 0.01], [1.0, 1.0]),
        (&Flow, [24.0, 0.25], [0.96, 0.2]),
    ];
    for (process, ratios, std) in processes {
        let grid = TimeGrid::from_nodes(ratios.to_vec()).and_then(|ratios| grid::at_ratios(process, &ratios));
        let sampler = Sampler::new(mixture().denoiser::<f64, _>(process), Rescaled, grid.expect("in reach"));
        let run =
            sampler.expect("valid").run(Start::Prior, Keep::All, 0..50, Noise::new(9), Control::default());
        for (k, std) in std.into_iter().enumerate() {
            let states = run.as_ref().expect("finite").states.index_axis(Axis(1), k).to_owned();
            assert!((&states - &(std * &z)).iter().all(|gap| gap.abs() < 1e-12));
        }
    }
    // At their ends.
    let sampler = |process, nodes: Vec<Time>| {
        let grid = TimeGrid::from_times(nodes).expect("monotone");
        Sampler::new(mixture().denoiser::<f64, &dyn LinearProcess>(process), Rescaled, grid)
    };
    let at = |t| Time { t, to_end: 1.0 - t };
    assert!(sampler(&ve, vec![at(1.0), at(0.0)]).is_ok());
    assert!(sampler(&Flow, vec![at(0.999), at(0.0)]).is_ok());
    assert!(sampler(&Flow, vec![at(1.0), at(0.0)]).is_ok());
    // From the data, and the wrong way round.
    assert!(matches!(sampler(&Flow, vec![at(0.0), at(1.0)]), Err(Error::Entry { index: 0, .. })));
    assert!(matches!(sampler(&Edm, vec![at(0.1), at(0.2)]), Err(Error::Entry { index: 1, .. })));
}

/// A standard normal that wants blocks of five rows, and counts itself out where it is given more.
struct Fives(usize);

impl numeric::LogDensity for Fives {
    fn dim(&self) -> usize {
        2
    }
    fn ln_density_into(&self, x: &ArrayRef2<f64>, out: &mut [f64]) -> Result<(), Error> {
        out.iter_mut().zip(x.rows()).for_each(|(out, x)| *out = -0.5 * x.dot(&x));
        Ok(())
    }
    fn gradient_into(&self, x: &ArrayRef2<f64>, out: &mut ArrayRef2<f64>) -> Result<(), Error> {
        assert!(x.nrows() <= self.0, "{} rows", x.nrows());
        out.zip_mut_with(x, |out, &x| *out = -x);
        Ok(())
    }
    fn batching(&self) -> Batching {
        Batching { rows: self.0, ..Batching::default() }
    }
}

#[test]
fn langevin_calls_log_densities_as_they_ask() {
    use sde_core::integrator::{Baoab, EulerMaruyama};
    use sde_core::{OverdampedLangevin, Solver, UnderdampedLangevin};
    let grid = || TimeGrid::uniform(0.0, 1.0, 4).unwrap();
    let overdamped = |rows| {
        let solver = Solver::new(OverdampedLangevin { target: Fives(rows) }, EulerMaruyama, grid()).unwrap();
        solver.run(Start::Point(&[1.0; 2]), Keep::Last, 3..150, Noise::new(1), Control::default()).unwrap()
    };
    assert_eq!(overdamped(5), overdamped(64));
    let underdamped = |rows| {
        let method = Baoab::new(UnderdampedLangevin::new(Fives(rows), 1.0).unwrap(), grid()).unwrap();
        method.run(Start::Point(&[1.0; 4]), Keep::Last, 3..150, Noise::new(1), Control::default()).unwrap()
    };
    assert_eq!(underdamped(5), underdamped(64));
}

/// A grid is carried to the times of a process once: the function keeps no state that a second call could add to, and a run
/// shows its model the stored nodes and nothing else. Times are no ratios, though the type is the same: carried again they are
/// read as ratios, which for [`Edm`] they are, and elsewhere gives another grid.
#[test]
fn a_grid_is_carried_to_a_process_once() {
    use std::sync::{Arc, Mutex};
    let ratios = grid::karras(8.0, 0.1, 7.0, 6).expect("valid");
    let times = grid::at_ratios(&Flow, &ratios).expect("in reach");
    assert_eq!(grid::at_ratios(&Flow, &ratios), Ok(times.clone()));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let watched = seen.clone();
    let field = from_fn(2, move |batch: &Batch<'_, f64>, out: &mut ArrayRef2<f64>| {
        watched.lock().expect("one thread").push(batch.times().get(0));
        out.fill(0.0);
        Ok(())
    });
    let model = Model::new(field, Prediction::Denoised, Flow);
    let sampler = Sampler::new(model, FrozenDenoiser, times.clone()).expect("valid");
    for _ in 0..2 {
        seen.lock().expect("one thread").clear();
        sampler.sample::<f64>(0..1, Noise::new(11), Control::default()).expect("finite");
        let seen = seen.lock().expect("one thread");
        assert_eq!(*seen, times.nodes()[..6]);
        for (time, node) in seen.iter().zip(ratios.nodes()) {
            let level = Flow.level(*time);
            assert!((level.sigma / level.alpha / node.t - 1.0).abs() < 1e-12);
        }
    }
    assert_eq!(sampler.grid(), &times);
    // r/(1 + r) of r/(1 + r).
    let again = grid::at_ratios(&Flow, &times).expect("in reach");
    for (time, node) in again.nodes().iter().zip(ratios.nodes()) {
        assert!((time.t * (1.0 + 2.0 * node.t) / node.t - 1.0).abs() < 1e-12);
    }
    let edm = grid::at_ratios(&Edm, &ratios).expect("in reach");
    assert_eq!(grid::at_ratios(&Edm, &edm), Ok(edm.clone()));
}
