//! The probability flow, and the mixtures it is made of at times of each row.

use numeric::ndarray::{Array2, array, s};
use numeric::{
    Batch, Control, Divergence, Error, FiniteDifference, JacobianProducts, Level, Model, Prediction,
    Schedule, Scratch, Time, Times, VectorField, from_row_fn,
};
use sde_core::ode::{ProbabilityFlow, Tsit5, Variable};
use sde_core::{Component, CosineVp, Covariance, LinearProcess, LinearVp, Mixture, Ou, VariancePreserving};

use super::{mixture, normals};

/// A process that is not variance-preserving: `x_t = (1 − t) x_0 + t z`.
#[derive(Clone, Copy)]
struct Straight;

impl Schedule for Straight {
    fn level(&self, time: Time) -> Level {
        Level { alpha: 1.0 - time.t, sigma: time.t, d_alpha: -1.0, d_sigma: 1.0 }
    }
}

impl LinearProcess for Straight {
    fn start_std(&self, _: Time) -> f64 {
        1.0
    }
    fn time_at_ratio(&self, ratio: f64) -> Result<Time, Error> {
        let t = ratio / (1.0 + ratio);
        Ok(Time { t, to_end: 1.0 / (1.0 + ratio) })
    }
}

/// For N(m, C) the flow is known: `x_t = α m + (α² C + σ²)^{1/2} w` with w constant along it.
fn gaussian_flow_is_exact<S: LinearProcess + Clone>(process: &S, noise: Time, data: Time) {
    let target = Mixture::gaussian(array![1.5, -0.5], Covariance::Diagonal(array![2.0, 0.3])).unwrap();
    let (mean, variance) = ([1.5, -0.5], [2.0, 0.3]);
    let std = |level: Level, j: usize| (level.alpha.powi(2) * variance[j] + level.sigma.powi(2)).sqrt();
    let (start, end) = (process.level(noise), process.level(data));
    let w = normals(0..20, 2, "flow");
    let at = |level: Level| {
        Array2::from_shape_fn((20, 2), |(i, j)| level.alpha * mean[j] + std(level, j) * w[(i, j)])
    };
    let method = Tsit5::new(1e-9, 1e-9).unwrap();
    for prediction in [Prediction::Denoised, Prediction::Score] {
        let model = if prediction == Prediction::Score {
            target.score::<f64, S>(process.clone())
        } else {
            target.denoiser(process.clone())
        };
        for variable in [Variable::Time, Variable::Angle] {
            let flow = ProbabilityFlow::new(&model, variable);
            let (x, _) = flow.carry(&method, (noise, data), &at(start), 0..20, Control::default()).unwrap();
            let worst = (&x - &at(end)).iter().fold(0.0_f64, |m, gap| m.max(gap.abs()));
            assert!(worst < 1e-7, "{variable:?} {worst}");
            // There and back again.
            let (back, _) = flow.carry(&method, (data, noise), &x, 0..20, Control::default()).unwrap();
            let worst = (&back - &at(start)).iter().fold(0.0_f64, |m, gap| m.max(gap.abs()));
            assert!(worst < 2e-6, "round trip {variable:?} {worst}");
        }
    }
}

#[test]
fn the_probability_flow_of_a_gaussian_is_known() {
    gaussian_flow_is_exact(&Ou, Time::of(4.0), Time::of(1e-3));
    let linear = LinearVp::new(0.1, 20.0).unwrap();
    gaussian_flow_is_exact(&linear, linear.time_at(4.0).unwrap(), linear.time_at(1e-3).unwrap());
    let cosine = CosineVp::new(0.008).unwrap();
    gaussian_flow_is_exact(&cosine, cosine.time_at(4.0).unwrap(), cosine.time_at(1e-3).unwrap());
    gaussian_flow_is_exact(&Straight, Time { t: 0.98, to_end: 0.02 }, Time { t: 0.03, to_end: 0.97 });
}

#[test]
fn both_variables_give_the_same_flow_and_the_angle_takes_fewer_steps() {
    let model = mixture().denoiser::<f64, _>(Ou);
    let x = normals(0..200, 2, "variables");
    let (noise, data) = (Time::of(4.0), Time::of(1e-3));
    let run = |variable, tolerance: f64| {
        let flow = ProbabilityFlow::new(&model, variable);
        let method = Tsit5::new(tolerance, tolerance).unwrap();
        flow.carry(&method, (noise, data), &x, 0..200, Control::default()).unwrap()
    };
    let (in_time, cost_time) = run(Variable::Time, 1e-9);
    let (in_angle, cost_angle) = run(Variable::Angle, 1e-9);
    let worst = (&in_time - &in_angle).iter().fold(0.0_f64, |m, gap| m.max(gap.abs()));
    println!("{worst:e}, {cost_time:?}, {cost_angle:?}");
    assert!(worst < 1e-6, "{worst}");
    assert!(cost_angle.calls < cost_time.calls);
    // Towards the data each step is shorter than the one before, which the controller expects: 0.11 and 0.06 rejected for each
    // accepted here, with the PI controller alone 0.58 and 0.49.
    for tolerance in [1e-7, 1e-8] {
        let cost = run(Variable::Time, tolerance).1;
        assert!(4 * cost.rejected < cost.accepted, "{cost:?}");
    }
    // The flow in its own time is the model's velocity.
    let flow = ProbabilityFlow::new(&model, Variable::Time);
    let rows: Vec<u64> = (0..200).collect();
    let times: Vec<Time> = (0..200).map(|i| Time::of(0.01 + 0.02 * f64::from(i))).collect();
    for times in [Times::PerRow(&times), Times::Same(Time::of(0.7))] {
        let batch = Batch::new(&rows, times, &x);
        let [mut a, mut b] = [(); 2].map(|()| Array2::zeros((200, 2)));
        flow.eval_into(&batch, &mut a, &mut Scratch::new()).unwrap();
        model.predict_into(Prediction::Velocity, &batch, &mut b, &mut Scratch::new()).unwrap();
        assert!((&a - &b).iter().all(|gap| gap.abs() < 1e-12));
    }
}

/// The derivatives of the flow against differences, for each prediction that scales its input or not.
#[test]
fn the_flow_knows_its_derivatives() {
    let target = mixture();
    let check = |flow: &dyn Fn(Variable) -> Box<dyn Both>| {
        for variable in [Variable::Time, Variable::Angle] {
            let flow = flow(variable);
            let x = normals(0..6, 2, "derivatives");
            let v = normals(0..6, 2, "directions");
            let times: Vec<Time> = (0..6).map(|i| Time::of(0.2 + 0.1 * f64::from(i))).collect();
            let rows: Vec<u64> = (0..6).collect();
            flow.compare(&Batch::new(&rows, Times::PerRow(&times), &x), &v);
        }
    };
    let models = [target.denoiser::<f64, _>(Straight), target.score::<f64, _>(Straight)];
    for model in models {
        let model: &'static _ = Box::leak(Box::new(model));
        check(&|variable| Box::new(ProbabilityFlow::new(model, variable)));
    }
    // A raw network of Karras et al.: F = tanh of its input.
    let raw = FiniteDifference::new(from_row_fn(2, |_, x, out: &mut [f64]| {
        out[0] = x[0].tanh() + 0.3 * x[1];
        out[1] = (x[0] * x[1]).sin();
        Ok(())
    }));
    let model = Model::new(raw, Prediction::Edm { sigma_data: 0.7 }, Straight);
    let model: &'static _ = Box::leak(Box::new(model));
    check(&|variable| Box::new(ProbabilityFlow::new(model, variable)));
}

trait Both {
    fn compare(&self, batch: &Batch<'_, f64>, v: &Array2<f64>);
}

impl<V: JacobianProducts<f64> + Divergence<f64>> Both for V {
    fn compare(&self, batch: &Batch<'_, f64>, v: &Array2<f64>) {
        let numerical = FiniteDifference::new(self);
        let [mut a, mut b] = [(); 2].map(|()| Array2::zeros(v.raw_dim()));
        let scratch = &mut Scratch::new();
        self.jvp_into(batch, v, &mut a, scratch).unwrap();
        numerical.jvp_into(batch, v, &mut b, scratch).unwrap();
        assert!((&a - &b).iter().all(|gap| gap.abs() < 1e-7), "{a} {b}");
        let [mut a, mut b] = [(); 2].map(|()| vec![0.0; batch.len()]);
        self.divergence_into(batch, &mut a, scratch).unwrap();
        numerical.divergence_into(batch, &mut b, scratch).unwrap();
        assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-7), "{a:?} {b:?}");
    }
}

#[test]
fn single_precision_works_to_its_own_accuracy() {
    let model = mixture().denoiser::<f32, _>(Ou);
    let exact = mixture().denoiser::<f64, _>(Ou);
    let x = normals(0..50, 2, "single");
    let (noise, data) = (Time::of(4.0), Time::of(1e-2));
    // Nearly as exact as the type: rows that start between two modes part by many times the tolerance.
    let method = Tsit5::new(1e-5, 1e-5).unwrap();
    let (a, _) = ProbabilityFlow::new(&model, Variable::Angle)
        .carry(&method, (noise, data), &x.mapv(|x| x as f32), 0..50, Control::default())
        .unwrap();
    let (b, _) = ProbabilityFlow::new(&exact, Variable::Angle)
        .carry(&Tsit5::new(1e-8, 1e-8).unwrap(), (noise, data), &x, 0..50, Control::default())
        .unwrap();
    assert!(a.iter().zip(&b).all(|(&a, &b)| (f64::from(a) - b).abs() < 5e-3));
}

/// Times of their own: the bits of a row do not depend on the batch, and its value is that of a shared time.
#[test]
fn mixtures_at_times_of_each_row() {
    fn check<F: numeric::Real>(target: &Mixture, tolerance: f64) {
        let d = target.dim();
        let x = normals(0..37, d, "per row").mapv(|x| F::of(1.5 * x));
        let times: Vec<Time> = (0..37).map(|i| Time::of(1e-3 * 1.25_f64.powi(i))).collect();
        for model in [target.denoiser::<F, _>(Ou), target.score::<F, _>(Ou)] {
            let scratch = &mut Scratch::new();
            let mut eval = |rows: std::ops::Range<usize>, times: Times<'_>| {
                let x = x.slice(s![rows.clone(), ..]).to_owned();
                let numbers: Vec<u64> = rows.map(|row| row as u64).collect();
                let mut out = Array2::<F>::zeros(x.raw_dim());
                model.field.eval_into(&Batch::new(&numbers, times, &x), &mut out, scratch).unwrap();
                out
            };
            let all = eval(0..37, Times::PerRow(&times));
            for part in [0..1, 5..6, 36..37, 3..20] {
                let some = eval(part.clone(), Times::PerRow(&times[part.clone()]));
                assert_eq!(some, all.slice(s![part, ..]));
            }
            for (i, &time) in times.iter().enumerate() {
                let one = eval(i..i + 1, Times::Same(time));
                let size = one.iter().fold(1.0_f64, |m, v| m.max(v.as_f64().abs()));
                for (one, all) in one.iter().zip(all.row(i)) {
                    assert!(
                        (*one - *all).as_f64().abs() <= tolerance * size,
                        "{one} {all} at {:?}",
                        times[i]
                    );
                }
            }
            // Where there is no density there is an error, not a number.
            let points = Mixture::atoms(&array![[0.0, 1.0]], None).unwrap().score::<F, _>(Ou);
            let (x, mut out) = (Array2::<F>::zeros((2, 2)), Array2::<F>::zeros((2, 2)));
            let times = [Time::of(0.1), Time::of(0.0)];
            let batch = Batch::new(&[0, 1], Times::PerRow(&times), &x);
            assert!(points.field.eval_into(&batch, &mut out, &mut Scratch::new()).is_err());
        }
    }
    let isotropic = |variances: [f64; 3]| {
        Mixture::new(
            (0..3)
                .map(|i| Component {
                    weight: 1.0 + i as f64,
                    mean: numeric::ndarray::Array1::from_shape_fn(5, |j| ((3 * i + j) as f64).sin()),
                    covariance: Covariance::Isotropic(variances[i]),
                })
                .collect(),
        )
        .unwrap()
    };
    let low_rank = Mixture::gaussian(
        array![0.3, 0.1, -0.4],
        Covariance::LowRank { diagonal: array![0.2, 0.2, 0.2], factor: array![[1.0], [0.5], [-0.5]] },
    )
    .unwrap();
    let targets = [
        isotropic([0.25; 3]),
        isotropic([0.25, 0.5, 0.1]),
        mixture(),
        low_rank,
        isotropic([0.25, 0.25, 0.0]),
    ];
    for target in &targets {
        check::<f64>(target, 1e-12);
        check::<f32>(target, 1e-4);
    }
}

/// The velocity in the angle of N(m, c), from its own solution `y = (α m + √(α² c + σ²) w)/√(α² + σ²)`, next to the data of a
/// process whose α² + σ² is almost 1 there; and the part of the identity in the Jacobian of its denoiser.
#[test]
fn the_velocity_next_to_the_data_is_the_derivative_of_the_solution() {
    let (m, c, w) = (1.5, 2.0, 0.7);
    let model = Mixture::gaussian(array![m], Covariance::Isotropic(c)).unwrap().denoiser::<f64, _>(Straight);
    let flow = ProbabilityFlow::new(&model, Variable::Angle);
    // With α = cos φ · s and σ = sin φ · s the scale s drops out.
    let y = |angle: f64| angle.cos() * m + (angle.cos().powi(2) * c + angle.sin().powi(2)).sqrt() * w;
    for t in [1e-5, 2e-4, 0.3, 0.9] {
        let at = flow.at(Time { t, to_end: 1.0 - t });
        let angle = at.t;
        let root = (angle.cos().powi(2) * c + angle.sin().powi(2)).sqrt();
        let exact = -angle.sin() * m + w * angle.sin() * angle.cos() * (1.0 - c) / root;
        let eval = |times: &[Time], states: &[f64]| {
            let rows: Vec<u64> = (0..times.len() as u64).collect();
            let y = Array2::from_shape_vec((times.len(), 1), states.to_vec()).unwrap();
            let mut out = Array2::zeros((times.len(), 1));
            let batch = Batch::new(&rows, Times::PerRow(times), &y);
            flow.eval_into(&batch, &mut out, &mut Scratch::new()).unwrap();
            out.into_raw_vec_and_offset().0
        };
        let alone = eval(&[at], &[y(angle)]);
        assert!((alone[0] - exact).abs() < 1e-9, "{} for {exact} at {t}", alone[0]);
        // Beside a row whose input is scaled, or is not.
        for other in [1e-17, 0.5] {
            let beside = flow.at(Time { t: other, to_end: 1.0 - other });
            assert_eq!(eval(&[beside, at], &[1.0, y(angle)])[1], alone[0], "{t} beside {other}");
        }
    }
    // v = α ε − σ x_0 and ε = (x − α x_0)/σ: α/σ in the angle, σ'/σ in time.
    let model = Mixture::gaussian(array![m], Covariance::Isotropic(c)).unwrap().denoiser::<f64, _>(Ou);
    for t in [0.1_f64, 1.0] {
        let (alpha, sigma) = ((-t).exp(), (-(-2.0 * t).exp_m1()).sqrt());
        let flow = ProbabilityFlow::new(&model, Variable::Angle);
        let part = flow.identity_part(flow.at(Time::of(t))).unwrap();
        assert!((part - alpha / sigma).abs() < 1e-13, "{part}");
        let part = ProbabilityFlow::new(&model, Variable::Time).identity_part(Time::of(t)).unwrap();
        assert!((part - (alpha / sigma).powi(2)).abs() < 1e-12, "{part}");
    }
}
