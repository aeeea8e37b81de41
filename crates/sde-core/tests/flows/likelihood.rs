//! Likelihoods by the probability flow against the known densities of mixtures.

use numeric::ndarray::{Array1, Array2, ArrayRef2, array};
use numeric::{
    Batch, Control, Error, Estimate, FiniteDifference, JacobianProducts, Noise, Scratch, Time, TimeGrid,
    Times, VectorField, from_row_fn,
};
use sde_core::likelihood::{
    Dequantisation, ExactTrace, HutchPlusPlus, Hutchinson, Probe, Terminal, TraceEstimator,
    ln_density_change, ln_likelihood,
};
use sde_core::ode::{FixedStep, ProbabilityFlow, Tsit5, Variable};
use sde_core::{
    Component, CosineVp, Covariance, Edm, Flow, LinearProcess, LinearVp, Mixture, Ou, ScaledLinearVp, SubVp,
    VariancePreserving, Ve,
};
use statrs::distribution::{ContinuousCDF, Normal, StudentsT};
use verify::{Family, kolmogorov_smirnov, seed};

/// Three components in d dimensions, one of each kind of covariance.
fn mixture(d: usize) -> Mixture {
    let mean = |shift: f64| Array1::from_shape_fn(d, |j| shift + 0.7 * ((j + 1) as f64 * shift).sin());
    let full = Array2::from_shape_fn((d, d), |(i, j)| if i == j { 0.5 } else { 0.2 });
    Mixture::new(vec![
        Component { weight: 0.5, mean: mean(1.0), covariance: Covariance::Isotropic(0.1) },
        Component { weight: 0.3, mean: mean(-0.8), covariance: Covariance::Full(full) },
        Component {
            weight: 0.2,
            mean: mean(0.2),
            covariance: Covariance::Diagonal(Array1::from_shape_fn(d, |j| 0.2 + 0.1 * j as f64)),
        },
    ])
    .expect("valid")
}

/// Rows of the process at a clock: `α x_0 + σ z`.
fn rows_at(mixture: &Mixture, clock: f64, n: u64) -> Array2<f64> {
    let (alpha, sigma) = scales(clock);
    mixture.sample(0..n, alpha, sigma, Noise::new(seed(51))).expect("valid")
}

fn scales(clock: f64) -> (f64, f64) {
    ((-clock).exp(), (-(-2.0 * clock).exp_m1()).sqrt())
}

fn worst(found: &[Estimate], exact: &[f64]) -> f64 {
    assert_eq!(found.len(), exact.len());
    let gap = found.iter().zip(exact).map(|(found, exact)| (found.mean - exact).abs());
    gap.fold(0.0, |m, gap| if gap <= m { m } else { gap })
}

#[test]
fn densities_of_mixtures_to_a_millionth_of_a_nat() {
    let (early, method) = (1e-2, Tsit5::new(1e-9, 1e-9).unwrap());
    for d in [1, 2, 5] {
        let mixture = mixture(d);
        let x = rows_at(&mixture, early, 30);
        let (alpha, sigma) = scales(early);
        let exact = mixture.ln_density(&x, alpha, sigma).unwrap();
        let model = mixture.denoiser::<f64, _>(Ou);
        for variable in [Variable::Time, Variable::Angle] {
            let flow = ProbabilityFlow::new(&model, variable);
            let run = |horizon: f64, terminal| {
                let times = (Time::of(early), Time::of(horizon));
                ln_likelihood(&flow, &method, &ExactTrace, times, terminal, &x, 0..30, Control::default())
                    .unwrap()
            };
            // A horizon beyond which the process's law is normal to 10⁻⁸, or that law itself.
            let far = run(20.0, Terminal::Prior);
            let (alpha, sigma) = scales(2.0);
            let law = |z: &ArrayRef2<f64>| mixture.ln_density(z, alpha, sigma);
            let near = run(2.0, Terminal::Known(&law));
            let (a, b) = (worst(&far.ln_density, &exact), worst(&near.ln_density, &exact));
            println!("d = {d}, {variable:?}: {a:.1e} and {b:.1e} nats, {:?}", far.statistics);
            assert!(a < 1e-6 && b < 1e-6, "d = {d}: {a} {b}");
            assert!(far.ln_density.iter().all(|e| e.std_error == 0.0 && e.n == 1));
            // What a normal law too early costs: the first term of the difference is e^{−T} x·E[x_0].
            let rough = run(4.0, Terminal::Prior);
            let error = worst(&rough.ln_density, &exact);
            println!("d = {d}, {variable:?}, a normal law at 4: {error:.1e} nats");
            assert!(error > 1e-3 && error < 0.2, "{error}");
        }
    }
}

/// From σ/α = 0.2 to 5, where the law is known, in both variables.
fn check_process<S: LinearProcess + Copy + std::fmt::Debug>(process: S) {
    let mixture = mixture(2);
    let [early, late] = [0.2, 5.0].map(|ratio| process.time_at_ratio(ratio).unwrap());
    let level = process.level(early);
    let x = mixture.sample(0..20, level.alpha, level.sigma, Noise::new(seed(53))).unwrap();
    let exact = mixture.ln_density(&x, level.alpha, level.sigma).unwrap();
    let level = process.level(late);
    let law = |z: &ArrayRef2<f64>| mixture.ln_density(z, level.alpha, level.sigma);
    let model = mixture.denoiser::<f64, _>(process);
    let method = Tsit5::new(1e-9, 1e-9).unwrap();
    for variable in [Variable::Time, Variable::Angle] {
        let flow = ProbabilityFlow::new(&model, variable);
        let terminal = Terminal::Known(&law);
        let found = ln_likelihood(
            &flow,
            &method,
            &ExactTrace,
            (early, late),
            terminal,
            &x,
            0..20,
            Control::default(),
        );
        let error = worst(&found.unwrap().ln_density, &exact);
        println!("{process:?}, {variable:?}: {error:.1e} nats");
        assert!(error < 1e-6, "{process:?}, {variable:?}: {error}");
    }
}

#[test]
fn every_process_to_a_millionth_of_a_nat() {
    check_process(Ou);
    check_process(LinearVp::new(0.1, 20.0).unwrap());
    check_process(ScaledLinearVp::new(0.5, 20.0).unwrap());
    check_process(CosineVp::new(0.008).unwrap());
    check_process(SubVp::new(0.1, 20.0).unwrap());
    check_process(Ve::new(0.01, 50.0).unwrap());
    check_process(Edm);
    check_process(Flow);
}

#[test]
fn the_prior_of_an_exploding_process_is_as_wide_as_its_noise() {
    let (mixture, process) = (mixture(2), Ve::new(1e-3, 1e5).unwrap());
    let x = mixture.sample(0..20, 1.0, 0.1, Noise::new(seed(54))).unwrap();
    let exact = mixture.ln_density(&x, 1.0, 0.1).unwrap();
    let [early, late] = [0.1, 1e5].map(|ratio| process.time_at_ratio(ratio).unwrap());
    let model = mixture.denoiser::<f64, _>(process);
    let flow = ProbabilityFlow::new(&model, Variable::Angle);
    let method = Tsit5::new(1e-10, 1e-10).unwrap();
    let run = |late| {
        let terminal = Terminal::Prior;
        ln_likelihood(&flow, &method, &ExactTrace, (early, late), terminal, &x, 0..20, Control::default())
    };
    // N(0, σ² I) in place of the law of x_0 + σ z: wrong by about x·E[x_0]/σ², with x of the size of σ.
    let far = worst(&run(late).unwrap().ln_density, &exact);
    let near = worst(&run(process.time_at_ratio(10.0).unwrap()).unwrap().ln_density, &exact);
    println!("prior of Ve: {far:.1e} nats at σ = 10⁵, {near:.1e} at σ = 10");
    assert!(far < 1e-4 && near > 1e-2, "{far} {near}");
}

#[test]
fn other_methods_and_numbers() {
    let mixture = mixture(2);
    let x = rows_at(&mixture, 0.05, 20);
    let (alpha, sigma) = scales(0.05);
    let exact = mixture.ln_density(&x, alpha, sigma).unwrap();
    let process = LinearVp::new(0.1, 20.0).unwrap();
    let (alpha, sigma) = scales(3.0);
    let law = |z: &ArrayRef2<f64>| mixture.ln_density(z, alpha, sigma);
    let terminal = Terminal::Known(&law);
    let times = (process.time_at(0.05).unwrap(), process.time_at(3.0).unwrap());
    let model = mixture.score::<f64, _>(process);
    let flow = ProbabilityFlow::new(&model, Variable::Angle);
    let method = Tsit5::new(1e-9, 1e-9).unwrap();
    let tsit5 =
        ln_likelihood(&flow, &method, &ExactTrace, times, terminal, &x, 0..20, Control::default()).unwrap();
    let error = worst(&tsit5.ln_density, &exact);
    println!("LinearVp of the score, Angle: {error:.1e} nats");
    assert!(error < 1e-6, "{error}");
    let single = mixture.denoiser::<f32, _>(process);
    let flow = ProbabilityFlow::new(&single, Variable::Angle);
    let (method, x) = (Tsit5::new(1e-5, 1e-5).unwrap(), x.mapv(|x| x as f32));
    let single =
        ln_likelihood(&flow, &method, &ExactTrace, times, terminal, &x, 0..20, Control::default()).unwrap();
    let error = worst(&single.ln_density, &exact);
    println!("f32, Angle: {error:.1e} nats");
    assert!(error < 2e-3, "{error}");
    // Refusals.
    let short = |_: &ArrayRef2<f64>| Ok(vec![0.0]);
    let bad = ln_likelihood(
        &flow,
        &method,
        &ExactTrace,
        times,
        Terminal::Known(&short),
        &x,
        0..20,
        Control::default(),
    );
    assert!(matches!(bad, Err(Error::Shape { .. })));
    assert!(
        ln_likelihood(&flow, &method, &ExactTrace, times, terminal, &x, 0..19, Control::default()).is_err()
    );
    assert!(Hutchinson::new(0, Probe::Gaussian, Noise::new(1)).is_err());
    assert!(HutchPlusPlus::new(0, 1, Probe::Gaussian, Noise::new(1)).is_err());
    assert!(HutchPlusPlus::new(1, 0, Probe::Gaussian, Noise::new(1)).is_err());
}

/// A linear field `V = A x`, whose trace and Frobenius norms are known.
fn linear(a: &Array2<f64>) -> FiniteDifference<impl VectorField<f64> + use<>> {
    let a = a.clone();
    FiniteDifference::new(from_row_fn(a.nrows(), move |_, x, out: &mut [f64]| {
        for (i, out) in out.iter_mut().enumerate() {
            *out = a.row(i).dot(&x);
        }
        Ok(())
    }))
}

/// All estimates for `n` rows at x = 0, `(n, columns)`.
fn traces<V: JacobianProducts<f64>, E: TraceEstimator<f64, V>>(
    field: &V,
    estimator: &E,
    shift: f64,
    n: u64,
) -> Array2<f64> {
    let rows: Vec<u64> = (0..n).collect();
    let x = Array2::zeros((rows.len(), field.dim()));
    let mut out = vec![0.0; rows.len() * estimator.columns()];
    let batch = Batch::new(&rows, Times::Same(Time::of(0.0)), &x);
    estimator.traces_into(field, &batch, &vec![shift; rows.len()], &mut out, &mut Scratch::new()).unwrap();
    Array2::from_shape_vec((rows.len(), estimator.columns()), out).unwrap()
}

/// A matrix of rank 3 and some noise, not symmetric.
fn matrix(d: usize, noise: f64) -> Array2<f64> {
    let mut z = Array2::zeros((d, d + 6));
    Noise::new(52).normals_into(&(0..d as u64).collect::<Vec<_>>(), 0, &mut z);
    let (left, right, rest) = (
        z.slice(numeric::ndarray::s![.., ..3]),
        z.slice(numeric::ndarray::s![.., 3..6]),
        z.slice(numeric::ndarray::s![.., 6..]),
    );
    left.dot(&right.t()) + noise * &rest
}

#[test]
fn probes_have_the_mean_and_the_variance_of_theory() {
    let d = 8;
    let a = matrix(d, 0.3);
    let field = linear(&a);
    let trace: f64 = a.diag().sum();
    let symmetric = &a + &a.t();
    let all: f64 = symmetric.iter().map(|a| 0.5 * a * a).sum();
    let off: f64 = all - symmetric.diag().iter().map(|a| 0.5 * a * a).sum::<f64>();
    let mut family = Family::new(1e-4).unwrap();
    // Nine parts in ten of the signs the same would leave a hundredth of every entry beside the diagonal.
    let ones = Array2::<f64>::ones((d, d));
    for law in [Probe::Rademacher, Probe::Gaussian] {
        let estimator = Hutchinson::new(4, law, Noise::new(seed(61))).unwrap();
        let values: Vec<f64> = traces(&linear(&ones), &estimator, 0.0, 5000).into_iter().collect();
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
        let z = (mean - d as f64) / (variance / n).sqrt();
        family.push(format!("mean of a matrix of ones, {law:?}"), verify::normal_p_value(z));
    }
    for (law, variance) in [(Probe::Rademacher, off), (Probe::Gaussian, all)] {
        let estimator = Hutchinson::new(4, law, Noise::new(seed(53))).unwrap();
        let values: Vec<f64> = traces(&field, &estimator, 0.0, 5000).into_iter().collect();
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        family.push(format!("mean, {law:?}"), verify::normal_p_value((mean - trace) / (variance / n).sqrt()));
        let squares: Vec<f64> = values.iter().map(|v| (v - trace).powi(2)).collect();
        let second = squares.iter().sum::<f64>() / n;
        let spread = (squares.iter().map(|s| (s - second).powi(2)).sum::<f64>() / (n - 1.0) / n).sqrt();
        family.push(format!("variance, {law:?}"), verify::normal_p_value((second - variance) / spread));
        println!("trace, {law:?}: mean {mean:.3} for {trace:.3}, variance {second:.2} for {variance:.2}");
        // The identity is left to no chance.
        let mut shifted = a.clone();
        shifted.diag_mut().iter_mut().for_each(|a| *a += 5.0);
        let others: Vec<f64> = traces(&linear(&shifted), &estimator, 5.0, 5000).into_iter().collect();
        assert!(others.iter().zip(&values).all(|(other, value)| (other - value - 40.0).abs() < 1e-6));
    }
    family.assert();
}

#[test]
fn hutch_plus_plus_is_unbiased_has_less_variance_and_is_exact_for_low_rank() {
    let d = 12;
    for law in [Probe::Rademacher, Probe::Gaussian] {
        let a = matrix(d, 0.0);
        let estimator = HutchPlusPlus::new(3, 2, law, Noise::new(seed(54))).unwrap();
        let trace: f64 = a.diag().sum();
        assert!(traces(&linear(&a), &estimator, 0.0, 50).iter().all(|value| (value - trace).abs() < 1e-6));
        // More columns than there are directions.
        let estimator = HutchPlusPlus::new(5, 1, law, Noise::new(seed(55))).unwrap();
        assert!(traces(&linear(&a), &estimator, 0.0, 50).iter().all(|value| (value - trace).abs() < 1e-6));
        let full = HutchPlusPlus::new(20, 1, law, Noise::new(seed(56))).unwrap();
        let noisy = matrix(d, 0.2);
        let trace: f64 = noisy.diag().sum();
        assert!(traces(&linear(&noisy), &full, 0.0, 20).iter().all(|value| (value - trace).abs() < 1e-6));
        // At the same cost of 9 products: 3 + 3 and 3 probes, against 9 probes.
        let plus = HutchPlusPlus::new(3, 3, law, Noise::new(seed(57))).unwrap();
        let plain = Hutchinson::new(9, law, Noise::new(seed(58))).unwrap();
        let spread = |values: Array2<f64>| {
            let means: Vec<f64> = values.rows().into_iter().map(|row| row.mean().unwrap()).collect();
            let n = means.len() as f64;
            let mean = means.iter().sum::<f64>() / n;
            let variance = means.iter().map(|m| (m - mean).powi(2)).sum::<f64>() / (n - 1.0);
            let z = (mean - trace) / (variance / n).sqrt();
            (variance, verify::normal_p_value(z))
        };
        let (less, p) = spread(traces(&linear(&noisy), &plus, 0.0, 2000));
        let (more, _) = spread(traces(&linear(&noisy), &plain, 0.0, 2000));
        println!("9 products, {law:?}: variance of Hutch++ {less:.3} against {more:.3} of Hutchinson");
        assert!(less < 0.5 * more, "{less} {more}");
        let mut family = Family::new(1e-4).unwrap();
        family.push("mean", p);
        family.assert();
    }
}

/// Whether standard errors are those of the estimates, for independent unbiased rows: the mean of all errors, and squared errors
/// as large as squared standard errors in the mean, whatever the law of the estimates; a factor of 2 would be seen. Gives the mean
/// standard error.
fn judge(name: &str, found: &[Estimate], exact: &[f64], family: &mut Family) -> f64 {
    assert_eq!(found.len(), exact.len());
    let errors: Vec<f64> = found.iter().zip(exact).map(|(found, exact)| found.mean - exact).collect();
    let squares: Vec<f64> = found.iter().map(|found| found.std_error.powi(2)).collect();
    let z = errors.iter().sum::<f64>() / squares.iter().sum::<f64>().sqrt();
    family.push(format!("{name}: mean of all"), verify::normal_p_value(z));
    // For standard errors that are `factor` times as large.
    let size = |factor: f64| {
        let gap = |(error, square): (&f64, &f64)| error.powi(2) - factor.powi(2) * square;
        let gaps: Vec<f64> = errors.iter().zip(&squares).map(gap).collect();
        gaps.iter().sum::<f64>() / gaps.iter().map(|gap| gap * gap).sum::<f64>().sqrt()
    };
    family.push(format!("{name}: size"), verify::normal_p_value(size(1.0)));
    for wrong in [2.0, 0.5] {
        assert!(verify::normal_p_value(size(wrong)) < 1e-3, "{name}: {}", size(wrong));
    }
    let mean = found.iter().map(|found| found.std_error).sum::<f64>() / found.len() as f64;
    println!(
        "{name}: mean standard error {mean:.4}, z {z:.2}, z of the size {:.2} ({:.1} and {:.1} if wrong)",
        size(1.0),
        size(2.0),
        size(0.5)
    );
    mean
}

/// Each of the K integrals is an unbiased estimate of the row's own ln p. False alarms: 1 in 10,000.
#[test]
fn the_standard_error_is_calibrated() {
    let (probes, rows) = (16, 400);
    let mixture = mixture(5);
    let x = rows_at(&mixture, 0.05, rows);
    let (alpha, sigma) = scales(0.05);
    let exact = mixture.ln_density(&x, alpha, sigma).unwrap();
    let (alpha, sigma) = scales(2.0);
    let law = |z: &ArrayRef2<f64>| mixture.ln_density(z, alpha, sigma);
    let model = mixture.denoiser::<f64, _>(Ou);
    let flow = ProbabilityFlow::new(&model, Variable::Angle);
    let method = Tsit5::new(1e-4, 1e-4).unwrap();
    let times = (Time::of(0.05), Time::of(2.0));
    let noise = Noise::new(seed(59));
    let mut family = Family::new(1e-4).unwrap();
    let control = Control::default;
    let terminal = Terminal::Known(&law);
    let gaussian = Hutchinson::new(probes, Probe::Gaussian, noise.fork("gaussian")).unwrap();
    let found = ln_likelihood(&flow, &method, &gaussian, times, terminal, &x, 0..rows, control()).unwrap();
    let plain = judge("Hutchinson, Gaussian", &found.ln_density, &exact, &mut family);
    let signs = Hutchinson::new(probes, Probe::Rademacher, noise.fork("signs")).unwrap();
    let found = ln_likelihood(&flow, &method, &signs, times, terminal, &x, 0..rows, control()).unwrap();
    judge("Hutchinson, signs", &found.ln_density, &exact, &mut family);
    family.assert();
    // With as many columns as dimensions nothing is left to chance.
    let full = HutchPlusPlus::new(5, 2, Probe::Gaussian, noise.fork("plus")).unwrap();
    let found = ln_likelihood(&flow, &method, &full, times, terminal, &x, 0..rows, control()).unwrap();
    let error = worst(&found.ln_density, &exact);
    println!("Hutch++ of full rank: {error:.1e} nats");
    assert!(error < 1e-2 * plain, "{error}");
    // One probe says nothing of its error; a shard has the bits of the whole.
    let single = Hutchinson::new(1, Probe::Gaussian, noise).unwrap();
    let whole = ln_likelihood(&flow, &method, &single, times, terminal, &x, 0..rows, control()).unwrap();
    assert!(whole.ln_density.iter().all(|found| found.std_error == f64::INFINITY && found.n == 1));
    let part = x.slice(numeric::ndarray::s![37..90, ..]).to_owned();
    let shard = ln_likelihood(&flow, &method, &single, times, terminal, &part, 37..90, control()).unwrap();
    assert_eq!(shard.ln_density, whole.ln_density[37..90]);
}

/// Given the subspace of a row, its K integrals are independent and unbiased. t-scores where they are nearly normal, which quadratic
/// forms of normal probes are not. False alarms: 1 in 10,000.
#[test]
fn the_standard_error_of_hutch_plus_plus_is_calibrated() {
    let (rank, probes, rows) = (2, 32, 600);
    let mixture = mixture(8);
    let x = rows_at(&mixture, 0.05, rows);
    let (alpha, sigma) = scales(0.05);
    let exact = mixture.ln_density(&x, alpha, sigma).unwrap();
    let (alpha, sigma) = scales(2.0);
    let law = |z: &ArrayRef2<f64>| mixture.ln_density(z, alpha, sigma);
    let model = mixture.denoiser::<f64, _>(Ou);
    let flow = ProbabilityFlow::new(&model, Variable::Angle);
    let method = Tsit5::new(1e-4, 1e-4).unwrap();
    let times = (Time::of(0.05), Time::of(2.0));
    let student = StudentsT::new(0.0, 1.0, probes as f64 - 1.0).unwrap();
    let mut family = Family::new(1e-4).unwrap();
    for (probe, number) in [(Probe::Gaussian, 70), (Probe::Rademacher, 71)] {
        let estimator = HutchPlusPlus::new(rank, probes, probe, Noise::new(seed(number))).unwrap();
        let terminal = Terminal::Known(&law);
        let control = Control::default();
        let found = ln_likelihood(&flow, &method, &estimator, times, terminal, &x, 0..rows, control)
            .unwrap()
            .ln_density;
        judge(&format!("Hutch++, {probe:?}"), &found, &exact, &mut family);
        if probe == Probe::Rademacher {
            let score = |(found, exact): (&Estimate, &f64)| (found.mean - exact) / found.std_error;
            let scores: Vec<f64> = found.iter().zip(&exact).map(score).collect();
            let test = kolmogorov_smirnov(&scores, |t| student.cdf(t)).unwrap();
            println!("Hutch++, {probe:?}: p of t-scores {:.3}", test.p_value);
            family.push("t-scores", test.p_value);
        }
    }
    family.assert();
}

#[test]
fn a_change_of_density_along_any_flow() {
    // x' = A x: the integral of the divergence is t tr A, and the flow is the matrix exponential.
    let a = array![[0.3, -1.0], [0.5, -0.7]];
    let (grid, x) = (TimeGrid::uniform(0.5, 2.0, 1).unwrap(), array![[1.0, 0.0], [0.0, 1.0]]);
    let check = |name: &str, integrals: &[Estimate], tolerance: f64| {
        let error = worst(integrals, &[-0.6; 2]);
        println!("linear field, {name}: {error:.1e} nats");
        assert!(error < tolerance, "{integrals:?}");
    };
    let zero = |_: Time| Ok(0.0);
    let control = Control::default;
    let tsit5 = Tsit5::new(1e-9, 1e-9).unwrap();
    let change =
        ln_density_change(linear(&a), &tsit5, &ExactTrace, &zero, &grid, &x, 0..2, control()).unwrap();
    check("Tsit5", &change.integrals, 1e-8);
    let states = change.states.clone();
    let determinant = states[(0, 0)] * states[(1, 1)] - states[(0, 1)] * states[(1, 0)];
    assert!((determinant.ln() + 0.6).abs() < 1e-8, "Liouville");
    // Backwards the integral has the other sign.
    let back =
        ln_density_change(linear(&a), &tsit5, &ExactTrace, &zero, &grid.reversed(), &states, 0..2, control())
            .unwrap();
    assert!(back.integrals.iter().all(|integral| (integral.mean - 0.6).abs() < 1e-8));
    assert!((&back.states - &x).iter().all(|gap| gap.abs() < 1e-8));
    // By a method with fixed steps.
    let fine = TimeGrid::uniform(0.5, 2.0, 50).unwrap();
    let rk4 = ln_density_change(linear(&a), &FixedStep::Rk4, &ExactTrace, &zero, &fine, &x, 0..2, control())
        .unwrap();
    check("50 steps of RK4", &rk4.integrals, 1e-8);
}

#[test]
fn bits_per_dimension() {
    let pixels = Dequantisation::new(2.0 / 256.0, -1.0).unwrap();
    let levels = Array2::from_shape_fn((2000, 1), |(i, _)| (i % 256) as f64);
    let x = pixels.dequantise(&levels, 5, Noise::new(seed(60))).unwrap();
    for (x, y) in x.iter().zip(&levels) {
        assert!(*x > -1.0 + y / 128.0 && *x < -1.0 + (y + 1.0) / 128.0);
    }
    let part = pixels.dequantise(
        &levels.slice(numeric::ndarray::s![300..310, ..]).to_owned(),
        305,
        Noise::new(seed(60)),
    );
    assert_eq!(part.unwrap(), x.slice(numeric::ndarray::s![300..310, ..]));
    let normal = |x: f64| -0.5 * (x / 0.3).powi(2) - (0.3 * (2.0 * std::f64::consts::PI).sqrt()).ln();
    // −log₂ P(y) of the cell by the midpoint rule, against the bound for a y drawn at its middle.
    let middle = -1.0 + 100.5 / 128.0;
    let bits = pixels.bits_per_dimension(normal(middle), 1);
    assert!((bits + (normal(middle).exp() / 128.0).log2()).abs() < 1e-12);
    assert_eq!(Dequantisation::new(1.0, 0.0).unwrap().bits_per_dimension(-3.0 * 2.0_f64.ln(), 3), 1.0);
    assert!(Dequantisation::new(0.0, 0.0).is_err() && Dequantisation::new(1.0, f64::NAN).is_err());
    assert!(pixels.dequantise(&array![[0.5]], 0, Noise::new(1)).is_err());
}

/// ∫ −ln φ over a cell, by Simpson's rule, which is exact for the square.
fn mean_cost(low: f64, high: f64) -> f64 {
    let cost = |x: f64| 0.5 * x * x + 0.5 * (2.0 * std::f64::consts::PI).ln();
    (cost(low) + 4.0 * cost(0.5 * (low + high)) + cost(high)) / 6.0
}

/// Bits of a standard normal number in cells: the mean over the dequantisation, computed exactly, is above the entropy of the
/// cells, by h²/(24 ln 2) for narrow ones; the mean of samples is that. The continuous samples themselves cost their
/// differential entropy, by the probability flow. False alarms: 1 in 10,000.
#[test]
fn bits_of_gaussian_samples_are_their_entropy() {
    let mut family = Family::new(1e-4).unwrap();
    let (n, d) = (20_000_u64, 3);
    let rows: Vec<u64> = (0..n).collect();
    let judge = |name: String, bits: &[f64], exact: f64, family: &mut Family| {
        let count = bits.len() as f64;
        let mean = bits.iter().sum::<f64>() / count;
        let variance = bits.iter().map(|bits| (bits - mean).powi(2)).sum::<f64>() / (count - 1.0);
        let z = (mean - exact) / (variance / count).sqrt();
        println!("{name}: {mean:.4} ± {:.4} bits for {exact:.4}", (variance / count).sqrt());
        family.push(name, verify::normal_p_value(z));
    };
    let normal = Normal::standard();
    for (width, number) in [(0.1, 72), (2.0, 73)] {
        let cells = Dequantisation::new(width, 0.3).unwrap();
        let mut z = Array2::<f64>::zeros((rows.len(), d));
        let noise = Noise::new(seed(number));
        noise.normals_into(&rows, 0, &mut z);
        let levels = z.mapv(|z| ((z - 0.3) / width).floor());
        let x = cells.dequantise(&levels, 0, noise.fork("within")).unwrap();
        let ln_density = |row: numeric::ndarray::ArrayView1<'_, f64>| {
            row.iter().map(|x| -0.5 * x * x - 0.5 * (2.0 * std::f64::consts::PI).ln()).sum::<f64>()
        };
        let bits: Vec<f64> =
            x.rows().into_iter().map(|row| cells.bits_per_dimension(ln_density(row), d)).collect();
        let (mut entropy, mut exact) = (0.0, -f64::log2(width));
        let reach = (9.0 / width) as i32;
        for y in -reach..reach {
            let (low, high) = (0.3 + width * f64::from(y), 0.3 + width * f64::from(y + 1));
            let p =
                if low > 0.0 { normal.sf(low) - normal.sf(high) } else { normal.cdf(high) - normal.cdf(low) };
            if p > 0.0 {
                entropy -= p * p.log2();
                exact += p * mean_cost(low, high) / std::f64::consts::LN_2;
            }
        }
        let (excess, narrow) = (exact - entropy, width * width / (24.0 * std::f64::consts::LN_2));
        println!("cells of {width}: {exact:.5} bits above an entropy of {entropy:.5} by {excess:.1e}");
        if width < 1.0 {
            assert!((excess / narrow - 1.0).abs() < 0.02, "{excess} {narrow}");
        } else {
            assert!(excess > 0.1, "{excess}");
        }
        judge(format!("cells of {width}"), &bits, exact, &mut family);
    }
    // ½ ln det(2πe C) nats, in 256 cells on (−1, 1).
    let pixels = Dequantisation::new(2.0 / 256.0, -1.0).unwrap();
    let (variances, clock) = ([0.04, 0.1, 0.2], 0.01);
    let target =
        Mixture::gaussian(array![0.2, -0.1, 0.0], Covariance::Diagonal(variances.to_vec().into())).unwrap();
    let (alpha, sigma) = scales(clock);
    let x = target.sample(0..n, alpha, sigma, Noise::new(seed(74))).unwrap();
    let model = target.denoiser::<f64, _>(Ou);
    let flow = ProbabilityFlow::new(&model, Variable::Angle);
    let method = Tsit5::new(1e-6, 1e-6).unwrap();
    let (times, terminal) = ((Time::of(clock), Time::of(20.0)), Terminal::Prior);
    let found =
        ln_likelihood(&flow, &method, &ExactTrace, times, terminal, &x, 0..n, Control::default()).unwrap();
    let bits: Vec<f64> =
        found.ln_density.iter().map(|found| pixels.bits_per_dimension(found.mean, d)).collect();
    let e = std::f64::consts::E;
    let entropy: f64 = variances
        .iter()
        .map(|c| 0.5 * (2.0 * std::f64::consts::PI * e * (alpha * alpha * c + sigma * sigma)).log2())
        .sum();
    judge("differential entropy".into(), &bits, entropy / d as f64 + 7.0, &mut family);
    family.assert();
}
