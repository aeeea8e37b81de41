//! The methods against their discretised laws, against each other, and at the ends.

use numeric::ndarray::{Array2, array};
use numeric::{
    Batch, Batching, Control, Error, Model, Noise, Prediction, Scratch, Time, TimeGrid, Times, from_row_fn,
    with_batching,
};
use sde_core::{
    Component, Covariance, Ddim, EulerMaruyama, ExponentialIntegrator, FrozenDenoiser, FrozenScore,
    GaussianStep, History, LinearVp, LocallyMomentMatched, Method, Mixture, MixtureField, MomentMatched, Ou,
    ProbabilityFlowHeun, ReverseSde, Sampler, Step, VariancePreserving, gaussian_step, grid,
};
use statrs::distribution::{ContinuousCDF, Normal};
use verify::{Family, Moments, kolmogorov_smirnov, scores, seed};

type Exact<S> = Model<MixtureField<f64, S>, S>;

/// All methods, with boxes of one type.
fn methods<S: VariancePreserving>(covariance: &Array2<f64>) -> Vec<Box<dyn Method<f64, Exact<S>>>> {
    vec![
        Box::new(EulerMaruyama),
        Box::new(ExponentialIntegrator),
        Box::new(FrozenScore),
        Box::new(FrozenDenoiser),
        Box::new(MomentMatched::new(covariance).expect("valid")),
        Box::new(LocallyMomentMatched),
        Box::new(ProbabilityFlowHeun),
    ]
}

fn run<S: VariancePreserving + Clone>(
    target: &Mixture,
    process: &S,
    method: &dyn Method<f64, Exact<S>>,
    grid: &TimeGrid,
    n: u64,
    noise: Noise,
) -> Array2<f64> {
    let model = target.denoiser::<f64, S>(process.clone());
    let sampler = Sampler::new(model, ByRef(method), grid.clone()).expect("a grid of the process");
    sampler.sample(0..n, noise, Control::default()).expect("finite")
}

/// A method behind a reference.
struct ByRef<'a, M>(&'a dyn Method<f64, M>);

impl<M> Method<f64, M> for ByRef<'_, M> {
    fn name(&self) -> &'static str {
        self.0.name()
    }
    fn calls(&self) -> usize {
        self.0.calls()
    }
    fn step(
        &self,
        model: &M,
        step: sde_core::Step<'_>,
        x: &mut numeric::ndarray::ArrayRef2<f64>,
        history: &mut History<f64>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        self.0.step(model, step, x, history, scratch)
    }
}

/// Mean and variance of each method's law for N(m, c), from the linear recursions `y' = A y + B + √S z` of its
/// definition, written with the true score `−(y − αm)/λ` and nothing of the implementation.
fn discretised_law(method: &str, m: f64, c: f64, grid: &TimeGrid, data_variance: f64) -> (f64, f64) {
    let (mut mean, mut variance) = (0.0, 1.0);
    for (from, to) in grid.pairs() {
        let (t, u) = (from.t, to.t);
        let g = t - u;
        let lambda = |t: f64, c: f64| 1.0 + (-2.0 * t).exp() * (c - 1.0);
        let (l, alpha, alpha_to) = (lambda(t, c), (-t).exp(), (-u).exp());
        // Score s = −y/l + α m/l; posterior mean x0 = (y + σ² s)/α.
        let sigma2 = 1.0 - (-2.0 * t).exp();
        let score = (-1.0 / l, alpha * m / l);
        let x0 = ((1.0 - sigma2 / l) / alpha, sigma2 * m / l);
        let (v, v_to) = ((2.0 * t).exp() - 1.0, (2.0 * u).exp() - 1.0);
        let (a, b, s) = match method {
            "euler-maruyama" => (1.0 + g + 2.0 * g * score.0, 2.0 * g * score.1, 2.0 * g),
            "exponential integrator (S)" => {
                let w = 2.0 * (g.exp() - 1.0);
                (g.exp() + w * score.0, w * score.1, (2.0 * g).exp() - 1.0)
            }
            "frozen score (V)" => {
                let w = g.exp() - (-g).exp();
                (g.exp() + w * score.0, w * score.1, (2.0 * g).exp() - 1.0)
            }
            "frozen denoiser (D)" | "moment-matched (G_C)" | "locally moment-matched (L)" => {
                let kept = v_to / v;
                let within = match method {
                    "frozen denoiser (D)" => 0.0,
                    "moment-matched (G_C)" => data_variance * v / (data_variance + v),
                    _ => c * v / (c + v),
                };
                let a = kept * alpha_to / alpha + (1.0 - kept) * alpha_to * x0.0;
                let s = alpha_to.powi(2) * (v_to * (v - v_to) / v + (1.0 - kept).powi(2) * within);
                (a, (1.0 - kept) * alpha_to * x0.1, s)
            }
            "probability flow (Heun)" => {
                // In u = x/α and ρ = √v: du/dρ = (u − x0(u))/ρ is affine in u; two slopes, averaged.
                let slope = |rho: f64, u: (f64, f64)| {
                    let v = rho * rho;
                    let (gain, shift) = (c / (c + v), v * m / (c + v));
                    ((1.0 - gain) * u.0 / rho, ((1.0 - gain) * u.1 - shift) / rho)
                };
                let (r, r_to) = (v.sqrt(), v_to.sqrt());
                let first = slope(r, (1.0, 0.0));
                let euler = (1.0 + (r_to - r) * first.0, (r_to - r) * first.1);
                // At the data there is no second slope.
                let second = if r_to > 0.0 { slope(r_to, euler) } else { first };
                let half = 0.5 * (r_to - r);
                let map = (1.0 + half * (first.0 + second.0), half * (first.1 + second.1));
                (map.0 * alpha_to / alpha, map.1 * alpha_to, 0.0)
            }
            other => panic!("no law for {other}"),
        };
        mean = a * mean + b;
        variance = a * a * variance + s;
    }
    (mean, variance)
}

/// KS, Z and Y of every method on coarse grids, against the law it should have *with* its discretisation error.
/// 7 methods × 5 grids × 3 statistics at a family-wise false-alarm rate of 10⁻³.
#[test]
fn samples_follow_the_discretised_laws() {
    let (m, c, n) = (0.7, 0.3, 20_000_u64);
    let target = Mixture::gaussian(array![m], Covariance::Isotropic(c)).expect("valid");
    let data_variance = 0.5;
    let mut family = Family::new(1e-3).expect("a rate");
    let grids = [
        grid::geometric_v(3.0, 0.02, 1).expect("valid"),
        grid::geometric_v(3.0, 0.02, 7).expect("valid"),
        grid::two_phase(3.0, 0.02, 12).expect("valid"),
        // To the data themselves.
        TimeGrid::from_nodes(vec![1.5, 0.0]).expect("valid"),
        TimeGrid::from_nodes(vec![3.0, 0.5, 0.0]).expect("valid"),
    ];
    for (g, grid) in grids.iter().enumerate() {
        for (k, method) in methods(&array![[data_variance]]).iter().enumerate() {
            let noise = Noise::new(seed(100 + 10 * g as u64 + k as u64));
            let x: Vec<f64> = run(&target, &Ou, method.as_ref(), grid, n, noise).into_iter().collect();
            let (mean, variance) = discretised_law(method.name(), m, c, grid, data_variance);
            let law = Normal::new(mean, variance.sqrt()).expect("a variance");
            let fit = kolmogorov_smirnov(&x, |x| law.cdf(x)).expect("data");
            let moments = Moments { mean, std_dev: variance.sqrt(), kurtosis: 3.0 };
            let scores = scores(&x, &moments).expect("data");
            let label = |what: &str| format!("{what}, {}, grid {g}", method.name());
            family.push(label("KS"), fit.p_value);
            family.push(label("Z"), scores.z_p_value());
            family.push(label("Y"), scores.y_p_value());
        }
    }
    family.assert();
}

/// The test above would see an error of 10 % in a variance.
#[test]
fn a_wrong_variance_is_seen() {
    let target = Mixture::gaussian(array![0.0], Covariance::Isotropic(0.3)).expect("valid");
    let grid = grid::geometric_v(3.0, 0.02, 7).expect("valid");
    let x = run(&target, &Ou, &FrozenDenoiser, &grid, 20_000, Noise::new(seed(1)));
    let (mean, variance) = discretised_law("frozen denoiser (D)", 0.0, 0.3, &grid, 0.0);
    let wrong = Moments { mean, std_dev: (1.1 * variance).sqrt(), kurtosis: 3.0 };
    assert!(scores(&x.into_iter().collect::<Vec<_>>(), &wrong).expect("data").y_p_value() < 1e-6);
}

/// A mixture in d = 3 with a component of each kind.
fn mixture() -> Mixture {
    let full = array![[0.5, 0.2, 0.0], [0.2, 0.3, 0.1], [0.0, 0.1, 0.4]];
    let component = |weight, mean, covariance| Component { weight, mean, covariance };
    Mixture::new(vec![
        component(1.0, array![2.0, 0.0, -1.0], Covariance::Full(full)),
        component(2.0, array![-1.0, 1.0, 0.5], Covariance::Isotropic(0.2)),
        component(1.0, array![0.0, -2.0, 1.0], Covariance::Diagonal(array![0.1, 0.4, 0.2])),
    ])
    .expect("valid")
}

/// A method that steps in the clock has the same paths for every schedule; Euler–Maruyama has not.
#[test]
fn all_but_euler_maruyama_do_not_see_the_schedule() {
    let target = mixture();
    let clocks = grid::geometric_v(4.0, 1e-3, 12).expect("valid");
    let vp = LinearVp::new(0.1, 20.0).expect("valid");
    let times = grid::in_time_of(&vp, &clocks).expect("within the process");
    let covariance = target.covariance();
    for (ou, other) in methods(&covariance).iter().zip(methods(&covariance)) {
        let a = run(&target, &Ou, ou.as_ref(), &clocks, 50, Noise::new(4));
        let b = run(&target, &vp, other.as_ref(), &times, 50, Noise::new(4));
        let gap = (&a - &b).iter().fold(0.0_f64, |m, e| m.max(e.abs()));
        if ou.name() == "euler-maruyama" {
            assert!(gap > 1e-3, "{gap}");
        } else {
            assert!(gap < 1e-8, "{}: {gap}", ou.name());
        }
    }
}

/// A model may predict anything: score and denoiser give the same samples.
#[test]
fn the_prediction_of_the_model_does_not_matter() {
    let target = mixture();
    let grid = grid::geometric_v(4.0, 1e-3, 12).expect("valid");
    for method in [0, 1, 2] {
        let sample = |model: Exact<Ou>| {
            let noise = Noise::new(5);
            let control = Control::default();
            match method {
                0 => Sampler::new(model, ExponentialIntegrator, grid.clone())?.sample(0..40, noise, control),
                1 => Sampler::new(model, FrozenDenoiser, grid.clone())?.sample(0..40, noise, control),
                _ => Sampler::new(model, ProbabilityFlowHeun, grid.clone())?.sample(0..40, noise, control),
            }
        };
        let a: Array2<f64> = sample(target.score(Ou)).expect("finite");
        let b: Array2<f64> = sample(target.denoiser(Ou)).expect("finite");
        assert!((&a - &b).iter().all(|e| e.abs() < 1e-9));
    }
}

/// Heun's method has order 2 in the number of steps on one start.
#[test]
fn heun_has_order_two() {
    let target = mixture();
    let steps: Vec<usize> = (5..=9).map(|k| 1 << k).collect();
    let end = |n: usize| {
        let grid = grid::geometric_v(4.0, 0.01, n).expect("valid");
        run(&target, &Ou, &ProbabilityFlowHeun, &grid, 64, Noise::new(6))
    };
    let fine = end(1 << 13);
    let errors: Vec<f64> =
        steps.iter().map(|&n| (&end(n) - &fine).iter().map(|e| e * e).sum::<f64>().sqrt()).collect();
    let h: Vec<f64> = steps.iter().map(|&n| 1.0 / n as f64).collect();
    let order = verify::deterministic_order(&h, &errors, &verify::OrderOptions::default()).expect("points");
    assert!((order.slope - 2.0).abs() < 0.15, "{order:?}");
}

#[test]
fn rows_do_not_depend_on_threads_blocks_or_shards() {
    let target = mixture();
    let grid = grid::geometric_v(4.0, 1e-3, 5).expect("valid");
    for method in methods(&target.covariance()) {
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            pool.install(|| run(&target, &Ou, method.as_ref(), &grid, 150, Noise::new(7)))
        };
        let all = on(1);
        assert_eq!(all, on(3));
        let sampler = Sampler::new(target.denoiser::<f64, _>(Ou), ByRef(method.as_ref()), grid.clone());
        let shard =
            sampler.expect("valid").sample(67..131, Noise::new(7), Control::default()).expect("finite");
        assert_eq!(shard, all.slice(numeric::ndarray::s![67..131, ..]), "{}", method.name());
    }
    // A field that couples the rows of a block still gives a shard the bits of the whole.
    let coupled = with_batching(
        numeric::from_fn(2, |batch: &Batch<'_, f32>, out: &mut numeric::ndarray::ArrayRef2<f32>| {
            let mean = batch.x().mean().unwrap_or(0.0);
            out.assign(&batch.x().mapv(|x| -x + 0.1 * mean));
            Ok(())
        }),
        Batching { rows: 48, rowwise: false, serial: true },
    )
    .expect("valid");
    let model = Model::new(coupled, Prediction::Score, Ou);
    let sampler = Sampler::new(model, EulerMaruyama, grid).expect("valid");
    let all = sampler.sample::<f32>(0..96, Noise::new(8), Control::default()).expect("finite");
    let shard = sampler.sample::<f32>(50..70, Noise::new(8), Control::default()).expect("finite");
    assert_eq!(shard, all.slice(numeric::ndarray::s![50..70, ..]));
}

#[test]
fn a_model_that_fails_is_reported_with_the_lowest_row() {
    let grid = grid::uniform(2.0, 0.5, 4).expect("valid");
    // NaN for every row whose first coordinate is large at the third step.
    let broken = from_row_fn(1, |time: Time, x, out: &mut [f64]| {
        out[0] = if time.t < 1.5 && x[0] > 2.0 { f64::NAN } else { -x[0] };
        Ok(())
    });
    let sampler =
        Sampler::new(Model::new(broken, Prediction::Score, Ou), ExponentialIntegrator, grid.clone());
    let sampler = sampler.expect("valid");
    let refused = sampler.sample::<f64>(0..5000, Noise::new(9), Control::default());
    let Err(Error::NotFinite { row, step, time, .. }) = refused else { panic!("{refused:?}") };
    assert!(step >= 2 && time < 1.5);
    // The row before it is fine, and any other range that contains the row stops there.
    assert!(sampler.sample::<f64>(0..row, Noise::new(9), Control::default()).is_ok());
    let again = sampler.sample::<f64>(row..5000, Noise::new(9), Control::default());
    assert!(matches!(again, Err(Error::NotFinite { row: r, .. }) if r == row));

    let failing = from_row_fn(1, |_: Time, _, _: &mut [f64]| {
        Err(Error::Model { row: 3, message: "out of memory".into() })
    });
    let sampler = Sampler::new(Model::new(failing, Prediction::Score, Ou), ExponentialIntegrator, grid);
    let refused = sampler.expect("valid").sample::<f64>(0..10, Noise::new(9), Control::default());
    assert_eq!(refused, Err(Error::Model { row: 3, message: "out of memory".into() }));
}

#[test]
fn bad_grids_and_covariances_are_refused() {
    let model = || mixture().denoiser::<f64, _>(Ou);
    let from = |nodes: Vec<f64>| TimeGrid::from_nodes(nodes).expect("monotone");
    for nodes in [vec![0.1, 1.0], vec![1.0, -1.0], vec![1.0, 0.0, -1.0], vec![0.0, 1.0]] {
        assert!(Sampler::new(model(), FrozenDenoiser, from(nodes)).is_err());
    }
    assert!(Sampler::new(model(), FrozenDenoiser, from(vec![1.0, 0.0])).is_ok());
    // At clock 800 α is 0 in floating point, and the run starts as in noise without signal.
    let far = Sampler::new(model(), FrozenDenoiser, from(vec![800.0, 1.0])).expect("noise");
    assert!(
        far.sample(0..3, Noise::new(1), Control::default()).is_ok_and(|x| x.iter().all(|x| x.is_finite()))
    );
    assert!(MomentMatched::<f64>::new(&array![[1.0, 2.0], [2.0, 1.0]]).is_err());
    assert!(MomentMatched::<f64>::new(&array![[1.0, 0.5], [0.0, 1.0]]).is_err());
    assert!(MomentMatched::<f64>::new(&array![[f64::NAN]]).is_err());
    assert!(MomentMatched::<f64>::new(&Array2::zeros((2, 3))).is_err());
    assert!(MomentMatched::<f64>::new(&array![[1.0, 1.0], [1.0, 1.0]]).is_ok());
    // A covariance of another dimension than the data.
    let wrong = MomentMatched::<f64>::new(&array![[1.0]]).expect("valid");
    let sampler = Sampler::new(model(), wrong, from(vec![1.0, 0.5])).expect("valid");
    assert!(matches!(
        sampler.sample::<f64>(0..1, Noise::new(0), Control::default()),
        Err(Error::Shape { parameter: "x", .. })
    ));
    let no_rows = Sampler::new(model(), FrozenDenoiser, from(vec![1.0, 0.5])).expect("valid");
    assert_eq!(no_rows.sample::<f64>(5..5, Noise::new(0), Control::default()).expect("empty").dim().0, 0);
}

/// Far ends: a start where nothing of the signal is left and a stop within rounding of the data.
#[test]
fn extreme_horizons_are_finite() {
    let target = mixture();
    let grid = grid::geometric_v(30.0, 1e-12, 8).expect("valid");
    for method in methods(&target.covariance()) {
        let x = run(&target, &Ou, method.as_ref(), &grid, 8, Noise::new(10));
        assert!(x.iter().all(|x| x.is_finite()), "{}", method.name());
    }
    let mut out = array![[0.0, 0.0, 0.0]];
    let far = Batch::new(&[0], Times::Same(Time::of(30.0)), &out).x().to_owned();
    let batch = Batch::new(&[0], Times::Same(Time::of(30.0)), &far);
    target
        .denoiser::<f64, _>(Ou)
        .predict_into(Prediction::Noise, &batch, &mut out, &mut Scratch::new())
        .expect("ok");
}

#[test]
fn what_is_drawn_is_what_is_certified() {
    let target = two_bumps_and_a_plane();
    let denoiser = target.denoiser::<f64, _>(Ou);
    // The same field taken for what it is, and as a prediction that each method must convert.
    let models = [denoiser.clone(), target.score::<f64, _>(Ou)];
    let covariance = array![[1.3, 0.4], [0.4, 0.7]];
    let matched = MomentMatched::new(&covariance).expect("valid");
    let (some, none, full) = (Ddim::new(0.4), ReverseSde::new(0.0), ReverseSde::new(1.3));
    let (some, none, full) = (some.expect("valid"), none.expect("valid"), full.expect("valid"));
    // L draws by other factors than those of its transition; see the module `draws`.
    let methods: [&dyn GaussianStep<f64, Exact<Ou>>; 8] = [
        &EulerMaruyama,
        &ExponentialIntegrator,
        &FrozenScore,
        &FrozenDenoiser,
        &matched,
        &some,
        &none,
        &full,
    ];
    let rows: Vec<u64> = (3..40).collect();
    let mut start = Array2::zeros((rows.len(), 2));
    Noise::new(seed(91)).normals_into(&rows, 0, &mut start);
    for model in &models {
        for method in methods {
            let step = Step {
                rows: &rows,
                index: 2,
                from: Time::of(0.7),
                to: Time::of(0.5),
                noise: Noise::new(seed(92)),
            };
            let (mut drawn, mut certified, mut scratch) = (start.clone(), start.clone(), Scratch::new());
            method.step(model, step, &mut drawn, &mut History::default(), &mut scratch).expect("valid");
            gaussian_step(method, model, step, &mut certified, &mut scratch).expect("valid");
            assert_eq!(drawn, certified, "{}", method.name());
            assert!(drawn != start);
        }
    }
}

fn two_bumps_and_a_plane() -> Mixture {
    let full = array![[1.0, 0.3], [0.3, 0.5]];
    let component = |weight, mean, covariance| Component { weight, mean, covariance };
    Mixture::new(vec![
        component(0.6, array![1.0, -0.5], Covariance::Isotropic(0.2)),
        component(0.4, array![-1.0, 0.5], Covariance::Full(full)),
    ])
    .expect("valid")
}

#[test]
fn a_level_that_does_not_exist_is_an_error_in_any_row() {
    let model = Mixture::atoms(&array![[-1.0, 0.0], [1.0, 0.5]], None).expect("valid").denoiser::<f64, _>(Ou);
    let x = Array2::ones((5, 2));
    let rows = [0, 1, 2, 3, 4];
    for bad in [-0.1, 0.0, f64::NAN] {
        for place in rows {
            let mut times = [Time::of(0.8); 5];
            times[place as usize] = Time::of(bad);
            let batch = Batch::new(&rows, Times::PerRow(&times), &x);
            let mut out = Array2::zeros((5, 2));
            let found = model.predict_into(Prediction::Denoised, &batch, &mut out, &mut Scratch::new());
            assert!(
                matches!(found, Err(Error::Domain { parameter: "sigma", .. })),
                "{bad} at {place}: {out}"
            );
        }
    }
}
