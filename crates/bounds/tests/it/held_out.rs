//! Bounds from held-out data against closed forms, curves by quadrature, and each other.

use bounds::curve::{ErrorCurve, GaussianCurve, ScalarMixtureCurve};
use bounds::held_out::{
    CrossEntropyBound, Decoder, HeldOut, HeldOutStep, InformationBound, Interval, OwnCurveTerm,
    ProjectedDenoiser, cross_entropy_bound, likelihood_bound,
};
use bounds::terms::{Scheme, discretization, gaussian_sampler};
use numeric::ndarray::{Array2, ArrayRef2, array};
use numeric::{
    Batching, Error, Model, Noise, Prediction, Time, TimeGrid, VectorField, from_row_fn, with_batching,
};
use sde_core::{
    Component, CosineVp, Covariance, Ddim, EulerMaruyama, ExponentialIntegrator, FrozenDenoiser, FrozenScore,
    LocallyMomentMatched, Mixture, MomentMatched, Ou, VariancePreserving, grid,
};
use verify::seed;

/// Standard errors that a measured mean may be off: a two-sided false-alarm rate of 7·10⁻⁶ for each comparison.
const THRESHOLD: f64 = 4.5;

fn bound<V: VectorField<f64>, S: VariancePreserving>(
    data: &ArrayRef2<f64>,
    model: &Model<V, S>,
    method: &dyn HeldOutStep<Model<V, S>>,
    grid: &TimeGrid,
    interval: Interval,
) -> Result<CrossEntropyBound, Error> {
    let held_out = HeldOut { data, noise: Noise::new(seed(71)), interval };
    cross_entropy_bound(&held_out, model, method, grid, Default::default())
}

fn eta(tau: f64) -> f64 {
    1.0 / (2.0 * tau).exp_m1()
}

/// The model that predicts a constant, as a denoiser.
fn constant(value: Vec<f64>) -> Model<impl VectorField<f64>, Ou> {
    let field = from_row_fn(value.len(), move |_, _, out: &mut [f64]| {
        out.copy_from_slice(&value);
        Ok(())
    });
    Model::new(field, Prediction::Denoised, Ou)
}

fn ball(centre: &[f64], radius: f64) -> Interval {
    Interval::EmpiricalBernstein { centre: centre.to_vec(), radius }
}

/// Exact model of a Gaussian: the bound is the entropy of q_δ + the initial term + the chain, in closed form.
#[test]
fn the_exact_model_of_a_gaussian_has_the_exact_bound() {
    let (mean, eigenvalues) = ([0.4, -0.7], [1.8, 0.3]);
    let covariance = Covariance::Diagonal(array![1.8, 0.3]);
    let target = Mixture::gaussian(array![0.4, -0.7], covariance).expect("valid");
    let (horizon, delta) = (2.0, 0.05);
    let grid = grid::geometric_v(horizon, delta, 8).expect("valid");
    let curve = GaussianCurve::new(eigenvalues.to_vec(), 0.4 * 0.4 + 0.7 * 0.7).expect("valid");
    let data = target.sample(0..6000, 1.0, 0.0, Noise::new(seed(70))).expect("valid");
    let model = target.denoiser::<f64, _>(Ou);
    let moment_matched = MomentMatched::new(&array![[0.9, 0.2], [0.2, 0.5]]).expect("valid");
    let diagonal = MomentMatched::new(&array![[1.8, 0.0], [0.0, 0.3]]).expect("valid");
    let exact = curve.entropy(delta) + curve.relative_entropy(horizon);
    let check = |method: &dyn HeldOutStep<_>, scheme: Scheme, most: f64| {
        let found = bound(&data, &model, method, &grid, Interval::Asymptotic).expect("valid").estimate();
        let law = gaussian_sampler(&scheme, &mean, &eigenvalues, &grid).expect("valid");
        let exact = exact + law.chain;
        assert!((found.mean - exact).abs() < THRESHOLD * found.std_error, "{scheme:?}: {found}, {exact}");
        assert!(found.std_error < most, "{scheme:?}: {found}");
    };
    check(&FrozenDenoiser, Scheme::FrozenDenoiser, 0.07);
    check(&FrozenScore, Scheme::FrozenScore, 0.04);
    check(&LocallyMomentMatched, Scheme::LocallyMomentMatched, 0.04);
    check(&diagonal, Scheme::MomentMatched(vec![1.8, 0.3]), 0.04);
    check(&ExponentialIntegrator, Scheme::ExponentialIntegrator, 0.04);
    check(&EulerMaruyama, Scheme::EulerMaruyama, 0.04);
    // A full spread that is not that of the data: L is G_C where the covariances agree, and better where not.
    let l = bound(&data, &model, &LocallyMomentMatched, &grid, Interval::Asymptotic).expect("valid").nats();
    let g = bound(&data, &model, &diagonal, &grid, Interval::Asymptotic).expect("valid").nats();
    assert!((l - g).abs() < 1e-10, "{l} {g}");
    let wrong = bound(&data, &model, &moment_matched, &grid, Interval::Asymptotic).expect("valid").nats();
    assert!(wrong > l + 0.01);
    // The strict bound of the known law: initial term and chain alone.
    let d = bound(&data, &model, &FrozenDenoiser, &grid, Interval::Asymptotic).expect("valid");
    let strict = d.with_information(InformationBound::of_law(&curve, delta).expect("finite")).expect("valid");
    let law = gaussian_sampler(&Scheme::FrozenDenoiser, &mean, &eigenvalues, &grid).expect("valid");
    let exact = curve.relative_entropy(horizon) + law.chain;
    assert!((strict.nats() - exact).abs() < THRESHOLD * strict.estimate().std_error);
    assert!(law.kl <= strict.upper(0.999).expect("a level"));
    assert!((d.nats() - strict.nats() - curve.entropy(delta)).abs() < 1e-12);
}

/// A mixture, whose steps are not Gaussian: D and L against quadrature, and the curve of the errors node by node.
#[test]
fn a_mixture_has_the_bound_and_the_error_curve_of_quadrature() {
    let component =
        |weight, mean| Component { weight, mean: array![mean], covariance: Covariance::Isotropic(0.09) };
    let target = Mixture::new(vec![component(0.3, -1.5), component(0.7, 1.0)]).expect("valid");
    let curve = ScalarMixtureCurve::new(&[0.3, 0.7], &[-1.5, 1.0], &[0.09, 0.09]).expect("valid");
    let grid = grid::geometric_v(3.0, 0.02, 15).expect("valid");
    let data = target.sample(0..20_000, 1.0, 0.0, Noise::new(seed(72))).expect("valid");
    let model = target.denoiser::<f64, _>(Ou);
    let base = curve.entropy(0.02) + curve.relative_entropy(3.0);
    let of = |method: &dyn HeldOutStep<_>| {
        bound(&data, &model, method, &grid, Interval::Asymptotic).expect("valid")
    };
    // 0.3116477245 and 0.0305715953 are the terms of the reference table.
    for (found, term) in [(of(&FrozenDenoiser), 0.3116477245), (of(&LocallyMomentMatched), 0.0305715953)] {
        let estimate = found.estimate();
        assert!(
            (estimate.mean - base - term).abs() < THRESHOLD * estimate.std_error,
            "{estimate} {base} {term}"
        );
        assert!(estimate.std_error < 0.015);
    }
    let d = of(&FrozenDenoiser);
    assert_eq!(d.curve().errors().len(), 16);
    for (&clock, error) in d.curve().clocks().iter().zip(d.curve().errors()) {
        assert!((error.mean - curve.mmse(clock)).abs() < THRESHOLD * error.std_error, "{clock}: {error}");
    }
    // The term on the model's own curve, which here is the law's: the interpolation is off by less than 15 %.
    let own = OwnCurveTerm::of(d.curve());
    let exact = discretization(&Scheme::FrozenDenoiser, &curve, &grid).expect("valid");
    let moves = own.sensitivity(0.99).expect("a level");
    assert!((own.nats() - exact).abs() < 0.15 * exact + moves, "{own} {exact} ± {moves}");
    assert!(moves < 0.1 * exact && own.nats() < own.ceiling() && exact < own.ceiling() + moves);
    assert!(own.sensitivity(0.4).is_err() && own.sensitivity(1.0).is_err());
}

/// A denoiser that is off by b everywhere: with r the residual, |r − b|² + |r + b|² − 2|r|² = 2|b|² row by row.
#[test]
fn a_constant_shift_costs_half_the_rise_times_its_square() {
    let (horizon, delta, b) = (2.5, 0.03, [0.3, -0.2]);
    let grid = grid::geometric_v(horizon, delta, 6).expect("valid");
    let target = Mixture::gaussian(array![0.0, 0.0], Covariance::Isotropic(2.0)).expect("valid");
    let data = target.sample(0..200, 1.0, 0.0, Noise::new(seed(73))).expect("valid");
    let shifted = |sign: f64| {
        let field = from_row_fn(2, move |time: Time, x, out: &mut [f64]| {
            let (alpha, sigma2) = ((-time.t).exp(), -(-2.0 * time.t).exp_m1());
            for j in 0..2 {
                out[j] = alpha * 2.0 / (alpha * alpha * 2.0 + sigma2) * x[j] + sign * b[j];
            }
            Ok(())
        });
        bound(
            &data,
            &Model::new(field, Prediction::Denoised, Ou),
            &FrozenDenoiser,
            &grid,
            Interval::Asymptotic,
        )
        .expect("valid")
    };
    let (plus, minus, exact) = (shifted(1.0), shifted(-1.0), shifted(0.0));
    let square = b[0] * b[0] + b[1] * b[1];
    let cost = 0.5 * (eta(delta) - eta(horizon)) * square;
    let found = 0.5 * (plus.nats() + minus.nats()) - exact.nats();
    assert!((found / cost - 1.0).abs() < 1e-10, "{found} {cost}");
    // In expectation one shift costs the same; its linear part is what the draws add.
    let linear = 0.5 * (plus.nats() - minus.nats());
    assert!(linear.abs() < THRESHOLD * (plus.estimate().std_error + minus.estimate().std_error));
    // And so do the errors of the curve.
    for ((p, m), e) in plus.curve().errors().iter().zip(minus.curve().errors()).zip(exact.curve().errors()) {
        assert!((0.5 * (p.mean + m.mean) - e.mean - square).abs() < 1e-12);
    }
}

/// Rows at the ends of the range: data and prediction at opposite ends of the ball, or both where it is nearest to 0.
#[test]
fn the_range_is_attained_at_its_ends() {
    let grid = grid::geometric_v(1.0, 0.1, 4).expect("valid");
    let variance = MomentMatched::new(&array![[0.8]]).expect("valid");
    for (centre, radius, far, near) in [(0.3, 1.0, (1.3, -0.7), 0.0), (-2.0, 0.5, (-2.5, -1.5), -1.5)] {
        let ends = |point: f64, prediction: f64| -> Vec<CrossEntropyBound> {
            let (data, model) = (array![[point], [point]], constant(vec![prediction]));
            let methods: [&dyn HeldOutStep<_>; 3] = [&FrozenDenoiser, &FrozenScore, &variance];
            methods
                .into_iter()
                .map(|method| {
                    bound(&data, &model, method, &grid, ball(&[centre], radius)).expect("in the ball")
                })
                .collect()
        };
        for (high, low) in ends(far.0, far.1).iter().zip(ends(near, near)) {
            let (least, most) = high.range().expect("Bernstein");
            assert!((high.nats() - most).abs() < 1e-9 * most.abs().max(1.0), "{} {most}", high.nats());
            assert!((low.nats() - least).abs() < 1e-9 * least.abs().max(1.0), "{} {least}", low.nats());
            assert_eq!(high.range(), low.range());
            // Two equal rows: no variance, and a margin of the range alone, beyond what is possible.
            assert_eq!(high.upper(0.95), Ok(most));
            assert_eq!(low.interval(0.95), Ok((least, most)));
        }
    }
}

#[test]
fn a_ball_is_refused_where_it_is_not_true_and_where_no_range_is_known() {
    let grid = grid::geometric_v(1.0, 0.1, 3).expect("valid");
    let data = array![[0.5], [-0.5], [0.9]];
    let model = constant(vec![0.2]);
    let of = |data: &ArrayRef2<f64>, method: &dyn HeldOutStep<_>, interval| {
        bound(data, &model, method, &grid, interval)
    };
    assert!(of(&data, &FrozenDenoiser, ball(&[0.0], 1.0)).is_ok());
    let outside = of(&data, &FrozenDenoiser, ball(&[0.0], 0.8)).expect_err("row 2 is outside");
    assert!(matches!(outside, Error::Entry { parameter: "data", index: 2, .. }), "{outside}");
    let denoiser = bound(&data, &constant(vec![-1.5]), &FrozenDenoiser, &grid, ball(&[0.0], 1.0));
    assert!(matches!(denoiser, Err(Error::Domain { parameter: "denoiser", value: 1.5, .. })), "{denoiser:?}");
    for method in [&ExponentialIntegrator as &dyn HeldOutStep<_>, &EulerMaruyama] {
        assert!(matches!(of(&data, method, ball(&[0.0], 1.0)), Err(Error::Unsupported { .. })));
        assert!(of(&data, method, Interval::Asymptotic).is_ok());
    }
    let exact = Mixture::gaussian(array![0.0], Covariance::Isotropic(1.0)).expect("valid").denoiser(Ou);
    let l = bound(&data, &exact, &LocallyMomentMatched, &grid, ball(&[0.0], 100.0));
    assert!(matches!(l, Err(Error::Unsupported { .. })));
    for (centre, radius) in
        [(vec![0.0, 0.0], 1.0), (vec![f64::NAN], 1.0), (vec![0.0], -1.0), (vec![0.0], f64::NAN)]
    {
        assert!(of(&data, &FrozenDenoiser, Interval::EmpiricalBernstein { centre, radius }).is_err());
    }
}

/// A denoiser that leaves the ball, and its projection: in the ball for certain, and never farther from the data.
#[test]
fn a_projected_denoiser_may_be_measured_in_the_ball_and_is_no_worse() {
    let grid = grid::geometric_v(1.5, 0.1, 5).expect("valid");
    let circle = |i: usize| (i as f64).sin_cos();
    let data = Array2::from_shape_fn((300, 2), |(i, j)| {
        1.0 + if j == 0 { circle(i).0 } else { 0.5 * circle(i).1 } // within 1 of (1, 1)
    });
    let wild = || {
        from_row_fn(2, |time: Time, x, out: &mut [f64]| {
            out.iter_mut().zip(x).for_each(|(out, x)| *out = time.t.exp() * x);
            Ok(())
        })
    };
    let free = Model::new(wild(), Prediction::Denoised, Ou);
    let refused = bound(&data, &free, &FrozenDenoiser, &grid, ball(&[1.0, 1.0], 1.0));
    assert!(matches!(refused, Err(Error::Domain { parameter: "denoiser", .. })));
    let tame = ProjectedDenoiser::new(wild(), vec![1.0, 1.0], 1.0).expect("valid");
    let tame = Model::new(tame, Prediction::Denoised, Ou);
    let found = bound(&data, &tame, &FrozenDenoiser, &grid, ball(&[1.0, 1.0], 1.0)).expect("in the ball");
    let free = bound(&data, &free, &FrozenDenoiser, &grid, Interval::Asymptotic).expect("valid");
    assert!(found.nats() < free.nats());
    for (tame, free) in found.curve().errors().iter().zip(free.curve().errors()) {
        assert!(tame.mean <= free.mean && tame.mean <= 4.0);
    }
    let of = |centre: &[f64], radius| ProjectedDenoiser::new(wild(), centre.to_vec(), radius);
    assert!(of(&[1.0], 1.0).is_err() && of(&[1.0, f64::NAN], 1.0).is_err() && of(&[1.0, 1.0], -1.0).is_err());
}

#[test]
fn bad_input_is_refused() {
    let good = grid::geometric_v(1.0, 0.1, 3).expect("valid");
    let model = constant(vec![0.2]);
    let of = |data: &ArrayRef2<f64>, grid: &TimeGrid| {
        bound(data, &model, &FrozenDenoiser, grid, Interval::Asymptotic)
    };
    let data = array![[0.5], [-0.5]];
    assert!(of(&data, &good).is_ok());
    assert!(matches!(of(&array![[0.5]], &good), Err(Error::Domain { parameter: "data", .. })));
    assert!(matches!(of(&array![[0.5], [f64::NAN]], &good), Err(Error::Entry { index: 1, .. })));
    assert!(matches!(of(&array![[0.5, 1.0], [0.1, 0.2]], &good), Err(Error::Shape { .. })));
    let to_data = TimeGrid::from_times([1.0, 0.5, 0.0].map(Time::of).to_vec()).expect("valid");
    assert!(of(&data, &to_data).is_err() && of(&data, &good.reversed()).is_err());
    let silent = bound(&data, &model, &Ddim::new(0.0).expect("valid"), &good, Interval::Asymptotic);
    assert!(matches!(silent, Err(Error::Domain { parameter: "spread", .. })));
    let nan = bound(&data, &constant(vec![f64::NAN]), &FrozenDenoiser, &good, Interval::Asymptotic);
    assert!(matches!(nan, Err(Error::NotFinite { row: 0, step: 0, .. })));
    let bound = of(&data, &good).expect("valid");
    assert!(bound.upper(1.0).is_err() && bound.interval(f64::NAN).is_err());
    assert!(bound.with_information(InformationBound::assumed(0.1, 0.09).expect("valid")).is_err());
    assert!(bound.with_information(InformationBound::assumed(0.1, 0.2).expect("valid")).is_ok());
    // One step, from within rounding of the noise.
    let long = grid::geometric_v(30.0, 1e-9, 1).expect("valid");
    assert!(of(&data, &long).expect("valid").nats().is_finite());
}

/// The decoder's value is added row by row, and bits are nats over d log 2.
#[test]
fn a_decoder_is_part_of_the_rows() {
    let grid = grid::geometric_v(2.0, 0.1, 5).expect("valid");
    let data = Array2::from_shape_fn((50, 2), |(i, j)| ((7 * i + 3 * j) % 11) as f64 / 11.0 - 0.5);
    let model = constant(vec![0.0, 0.1]);
    let held_out = |interval| HeldOut { data: &data, noise: Noise::new(seed(71)), interval };
    let with = |decoder, interval| {
        likelihood_bound(&held_out(interval), &model, &FrozenDenoiser, &grid, decoder, Default::default())
    };
    let paths = bound(&data, &model, &FrozenDenoiser, &grid, Interval::Asymptotic).expect("valid");
    let entropy = (2.0 * std::f64::consts::PI * std::f64::consts::E * -(-0.2_f64).exp_m1()).ln();
    let everything = (f64::NEG_INFINITY, f64::INFINITY);
    let three =
        with(Decoder { nats: &|_, _| Ok(3.0), range: everything }, Interval::Asymptotic).expect("valid");
    assert!((three.nats() - (paths.nats() - entropy + 3.0)).abs() < 1e-12);
    assert!((three.estimate().std_error - paths.estimate().std_error).abs() < 1e-12);
    assert!((three.bits_per_dimension() - three.nats() / 2.0 / 2.0_f64.ln()).abs() < 1e-14);
    let bits = three.upper_bits_per_dimension(0.95).expect("a level");
    assert!((bits - three.upper(0.95).expect("a level") / 2.0 / 2.0_f64.ln()).abs() < 1e-14);
    // A decoder that undoes the part of |x_0 − m̂|² of each row leaves no spread: one interval for the sum.
    let all = 0.5 * (eta(0.1) - eta(2.0));
    let undo = |x: numeric::ndarray::ArrayView1<'_, f64>, _: numeric::ndarray::ArrayView1<'_, f64>| {
        let square = x[0] * x[0] + x[1] * x[1];
        Ok(-all * (x[0] * x[0] + (x[1] - 0.1).powi(2)) - 0.5 * (-4.0_f64).exp() * square)
    };
    let flat = with(Decoder { nats: &undo, range: everything }, Interval::Asymptotic).expect("valid");
    assert!(flat.estimate().std_error < 1e-12, "{flat}");
    // It is given the draw at the last node: the noise of x_δ is standard normal.
    let (alpha, sigma) = ((-0.1_f64).exp(), (-(-0.2_f64).exp_m1()).sqrt());
    let noise = |x: numeric::ndarray::ArrayView1<'_, f64>, y: numeric::ndarray::ArrayView1<'_, f64>| {
        Ok(undo(x, y)? + ((y[0] - alpha * x[0]) / sigma).powi(2) + ((y[1] - alpha * x[1]) / sigma).powi(2))
    };
    let noisy = with(Decoder { nats: &noise, range: everything }, Interval::Asymptotic).expect("valid");
    let (moved, se) = (noisy.nats() - flat.nats(), noisy.estimate().std_error);
    assert!((moved - 2.0).abs() < THRESHOLD * se && se < 2.0 * (4.0_f64 / 50.0).sqrt(), "{moved} ± {se}");
    // Ranges.
    let out_of_range = with(Decoder { nats: &|_, _| Ok(3.0), range: (0.0, 2.0) }, Interval::Asymptotic);
    assert!(matches!(out_of_range, Err(Error::Domain { parameter: "decoder", value: 3.0, .. })));
    assert!(with(Decoder { nats: &|_, _| Ok(f64::NAN), range: everything }, Interval::Asymptotic).is_err());
    let in_ball = || ball(&[0.0, 0.0], 1.0);
    assert!(with(Decoder { nats: &|_, _| Ok(3.0), range: everything }, in_ball()).is_err());
    let known = with(Decoder { nats: &|_, _| Ok(3.0), range: (2.0, 5.0) }, in_ball()).expect("valid");
    let without = bound(&data, &model, &FrozenDenoiser, &grid, in_ball()).expect("valid");
    let (low, high) = without.range().expect("Bernstein");
    assert_eq!(known.nats(), three.nats());
    let (least, most) = known.interval(1.0 - 1e-15).expect("a level");
    assert!((least - (low - entropy + 2.0)).abs() < 1e-9 && (most - (high - entropy + 5.0)).abs() < 1e-9);
}

/// Fano's bound against the information by quadrature, on three unequal atoms.
#[test]
fn the_information_of_separated_points_is_bounded_from_below() {
    let curve = ScalarMixtureCurve::new(&[0.2, 0.5, 0.3], &[-1.0, 0.25, 1.5], &[0.0; 3]).expect("valid");
    let entropy = 1.029653014065;
    let mut last = entropy;
    for tau in [1e-3, 0.01, 0.03, 0.1, 0.3, 1.0] {
        let bound = InformationBound::of_separated_points(entropy, 3, 1.25, tau).expect("valid").nats();
        let exact = curve.mutual_information(tau);
        assert!(bound <= exact + 1e-9 && bound <= last + 1e-12, "{tau}: {bound}, exactly {exact}");
        last = bound;
    }
    let close = InformationBound::of_separated_points(entropy, 3, 1.25, 0.01).expect("valid").nats();
    assert!(entropy - close < 1e-3, "{close}");
    // No distance, no information; one point has none either.
    let none = InformationBound::of_separated_points(100.0_f64.ln(), 100, 0.0, 0.1).expect("valid").nats();
    assert!(none < 1e-12, "{none}");
    // Two standard deviations apart, p = 2 Φ(−1) for three points: h₂(p) + p log 2 by hand.
    let v = 0.2_f64.exp_m1();
    let p = 0.317310507863;
    let tail = -p * f64::ln(p) - (1.0 - p) * f64::ln(1.0 - p) + p * 2.0_f64.ln();
    let found = InformationBound::of_separated_points(1.0, 3, 2.0 * v.sqrt(), 0.1).expect("valid").nats();
    assert!((found - (1.0 - tail)).abs() < 1e-9, "{found}");
    assert_eq!(InformationBound::of_separated_points(0.0, 1, 1.0, 0.1).expect("valid").nats(), 0.0);
    for (entropy, points, distance, tau) in [
        (1.0, 2, 1.0, 0.1),
        (-0.1, 2, 1.0, 0.1),
        (0.5, 0, 1.0, 0.1),
        (0.5, 2, f64::NAN, 0.1),
        (0.5, 2, 1.0, 0.0),
    ] {
        assert!(InformationBound::of_separated_points(entropy, points, distance, tau).is_err());
    }
    assert!(
        InformationBound::assumed(f64::NAN, 0.1).is_err() && InformationBound::assumed(-0.1, 0.1).is_err()
    );
}

/// The same bits for any number of threads, in whole blocks that go on beyond the data, and for a schedule with
/// another clock up to rounding.
#[test]
fn threads_blocks_and_schedules_do_not_matter() {
    let target = Mixture::atoms(&array![[-1.0], [0.5]], None).expect("valid");
    let data = target.sample(0..150, 1.0, 0.0, Noise::new(seed(74))).expect("valid");
    let clocks = grid::geometric_v(3.0, 0.05, 5).expect("valid");
    let model = target.denoiser::<f64, _>(Ou);
    let of = || bound(&data, &model, &FrozenDenoiser, &clocks, Interval::Asymptotic).expect("valid");
    let on = |threads: usize| {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads").install(of)
    };
    let one = on(1);
    assert_eq!(one, on(3));
    let whole = Batching { rows: 64, rowwise: false, serial: true };
    let field = with_batching(target.denoiser::<f64, _>(Ou).field, whole).expect("valid");
    let blocks = Model::new(field, Prediction::Denoised, Ou);
    assert_eq!(one, bound(&data, &blocks, &FrozenDenoiser, &clocks, Interval::Asymptotic).expect("valid"));
    let cosine = CosineVp::new(0.008).expect("valid");
    let times = grid::in_time_of(&cosine, &clocks).expect("in range");
    let other = target.denoiser::<f64, _>(cosine);
    let found = bound(&data, &other, &FrozenDenoiser, &times, Interval::Asymptotic).expect("valid");
    assert!((found.nats() - one.nats()).abs() < 1e-9);
}
