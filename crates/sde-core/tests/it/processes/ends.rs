//! Processes at the ends of their axes, and parameters that are refused.

use numeric::{Error, Schedule, Time, TimeGrid};
use proptest::prelude::*;
use sde_core::{
    CosineVp, DiscreteVp, Edm, Flow, LinearProcess, LinearVp, ScaledLinearVp, SubVp, VariancePreserving, Ve,
    cosine_betas, linear_betas, scaled_linear_betas,
};

use super::{at, clocks, discrete, linear, loses_its_signal, processes, ratio};

#[test]
fn ends_are_exact() {
    for (process, end) in processes() {
        let Ok(data) = process.time_at_ratio(0.0) else { continue };
        assert_eq!(data.t, 0.0);
        let level = process.level(data);
        assert_eq!((level.alpha, level.sigma), (1.0, 0.0));
        assert!(!level.d_alpha.is_nan() && !level.d_sigma.is_nan(), "{level:?}");
        if end.is_finite() {
            let level = process.level(at(end, end));
            assert!([level.alpha, level.sigma, level.d_alpha, level.d_sigma].iter().all(|x| x.is_finite()));
        }
    }
    let ve = Ve::new(0.01, 50.0).expect("valid");
    assert_eq!((ve.level(at(0.0, 1.0)).sigma, ve.level(at(1.0, 1.0)).sigma), (0.01, 50.0));
    assert_eq!(
        (ve.time_at_ratio(0.01).expect("its start").t, ve.time_at_ratio(50.0).expect("its end").t),
        (0.0, 1.0)
    );
    assert!(ve.time_at_ratio(0.0099).is_err() && ve.time_at_ratio(50.1).is_err());
    assert_eq!(ve.start_std(at(1.0, 1.0)), 50.0);
    assert_eq!(Edm.start_std(Time::of(80.0)), 80.0);
    let flow = Flow.level(at(1.0, 1.0));
    assert_eq!((flow.alpha, flow.sigma), (0.0, 1.0));
    // Where β starts at 0 the noise leaves 0 in another way: limits of σ' from formulas nearby.
    let near = linear(0.0, 3.0).level(at(1e-9, 1.0)).d_sigma;
    assert!((linear(0.0, 3.0).level(at(0.0, 1.0)).d_sigma / near - 1.0).abs() < 1e-8);
    let scaled = ScaledLinearVp::new(0.0, 7.0).expect("valid");
    assert!(scaled.level(at(1e-12, 1.0)).d_sigma < 1e-5);
    assert_eq!(scaled.level(at(0.0, 1.0)).d_sigma, 0.0);

    let cosine = CosineVp::new(0.008).expect("valid");
    let paper = |t: f64| ((t + 0.008) / 1.008 * std::f64::consts::FRAC_PI_2).cos();
    for t in [0.0, 0.1, 0.5, 0.9, 0.99] {
        assert!((cosine.level(at(t, 1.0)).alpha - paper(t) / paper(0.0)).abs() < 1e-14);
    }
    let end = cosine.level(at(1.0, 1.0));
    assert_eq!((end.alpha, end.sigma, end.d_sigma), (0.0, 1.0, 0.0));
    // Close to the end the signal is far below the spacing of `t`, and still right.
    let close = cosine.level(Time { t: 1.0, to_end: 1e-30 });
    assert!(close.alpha > 1e-30 && close.alpha < 2e-30);
    // A grid that does not know where the axis ends does not change it.
    let grid = TimeGrid::from_nodes(vec![0.9, 0.6, 0.1]).expect("valid");
    for &node in grid.nodes() {
        assert_eq!(Flow.level(node).alpha, 1.0 - node.t);
        assert!((cosine.level(node).alpha - paper(node.t) / paper(0.0)).abs() < 1e-14);
    }
}

#[test]
fn bad_parameters_are_refused() {
    for (a, b) in
        [(-1.0, 1.0), (f64::NAN, 1.0), (2.0, 1.0), (0.0, 0.0), (0.0, f64::INFINITY), (1.0, f64::NAN)]
    {
        assert!(LinearVp::new(a, b).is_err());
        assert!(ScaledLinearVp::new(a, b).is_err());
        assert!(SubVp::new(a, b).is_err());
        assert!(Ve::new(a, b).is_err());
    }
    assert!(Ve::new(1.0, 1.0).is_err() && Ve::new(0.0, 1.0).is_err() && Ve::new(f64::INFINITY, 1.0).is_err());
    for shift in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(CosineVp::new(shift).is_err());
    }
    for (process, _) in processes() {
        for ratio in [-1e-3, f64::NAN, f64::NEG_INFINITY] {
            assert!(matches!(process.time_at_ratio(ratio), Err(Error::Domain { parameter: "ratio", .. })));
        }
        match process.time_at_ratio(f64::INFINITY) {
            Ok(end) => assert!(loses_its_signal(&*process) && end == Time { t: 1.0, to_end: 0.0 }),
            Err(error) => {
                assert!(
                    !loses_its_signal(&*process) && matches!(error, Error::Domain { parameter: "ratio", .. })
                );
            }
        }
    }
    for (process, _) in clocks() {
        for clock in [-1e-3, f64::NAN] {
            assert!(process.time_at(clock).is_err());
        }
        assert_eq!(process.time_at(f64::INFINITY).is_ok(), loses_its_signal(&*process));
    }
    assert!(linear(0.1, 20.0).time_at(5.1).is_err() && discrete().time_at(2.0).is_err());
    for betas in [&[][..], &[0.0], &[1.0], &[0.5, f64::NAN], &[0.5, -0.1], &[0.5, 1e-30]] {
        assert!(DiscreteVp::from_betas(betas).is_err(), "{betas:?}");
    }
    for alpha_bars in [&[][..], &[1.0], &[0.5, 0.5], &[0.5, 0.6], &[0.0], &[f64::NAN], &[0.5, -0.1]] {
        assert!(DiscreteVp::from_alpha_bars(alpha_bars).is_err());
    }
    for (start, end) in [(0.0, 0.1), (0.1, 1.0), (f64::NAN, 0.1), (0.1, f64::NAN), (-0.1, 0.1)] {
        assert!(linear_betas(10, start, end).is_err() && scaled_linear_betas(10, start, end).is_err());
    }
    assert!(linear_betas(0, 0.1, 0.2).is_err() && scaled_linear_betas(0, 0.1, 0.2).is_err());
    assert!(cosine_betas(0, 0.008, 0.999).is_err() && cosine_betas(5, -0.1, 0.999).is_err());
    for max in [0.0, 1.0, f64::NAN] {
        assert!(cosine_betas(5, 0.008, max).is_err());
    }
    assert!(discrete().time_of_index(5).is_err());
    // A grid to an infinite clock has no β.
    let whole = TimeGrid::uniform(0.0, 1.0, 4).expect("valid");
    assert!(CosineVp::new(0.008).expect("valid").betas(&whole).is_err());
}

proptest! {
    #![proptest_config(verify::strategy::cases(9029, 256))]

    #[test]
    fn ratios_go_round_and_increase(which in 0..6_usize, a in 0.0..3.0_f64, b in 0.1..30.0_f64, u in 0.0..1.0_f64, v in 0.0..1.0_f64) {
        let process: Box<dyn LinearProcess> = match which {
            0 => Box::new(linear(a, a + b)),
            1 => Box::new(ScaledLinearVp::new(a, a + b).expect("valid")),
            2 => Box::new(SubVp::new(a, a + b).expect("valid")),
            3 => Box::new(Ve::new(0.01 + a, 0.01 + a + b).expect("valid")),
            4 => Box::new(CosineVp::new(0.001 + a).expect("valid")),
            _ => Box::new(Flow),
        };
        let (low, high) = (u.min(v), u.max(v));
        prop_assume!(high - low > 1e-6);
        let (s, t) = (process.level(at(low, 1.0)), process.level(at(high, 1.0)));
        prop_assert!(ratio(s) < ratio(t));
        prop_assert!(process.fresh_share(at(low, 1.0), at(high, 1.0)) > 0.0);
        let back = process.time_at_ratio(ratio(t)).expect("it was there");
        // A time is known as well as its ratio is.
        let condition = 1.0 / (high * (t.d_sigma / t.sigma - t.d_alpha / t.alpha));
        prop_assert!((back.t - high).abs() < 1e-14 * (1.0 + condition) * high, "{:?} {}", back, high);
        prop_assert!((ratio(process.level(back)) / ratio(t) - 1.0).abs() < 1e-13);
        prop_assert!((back.t + back.to_end - 1.0).abs() < 1e-15);
    }

    #[test]
    fn chains_of_any_beta_go_round(betas in prop::collection::vec(1e-6..0.999_f64, 1..40), t in 0.0..1.0_f64) {
        let process = DiscreteVp::from_betas(&betas).expect("valid");
        let n = betas.len();
        let grid = TimeGrid::uniform(n as f64, 0.0, n).expect("valid");
        for (found, beta) in process.betas(&grid).expect("finite").iter().zip(&betas) {
            prop_assert!((found / beta - 1.0).abs() < 1e-8, "{found} {beta}");
        }
        let products: Vec<f64> = betas.iter().scan(1.0, |product, beta| { *product *= 1.0 - beta; Some(*product) }).collect();
        for (i, product) in products.iter().enumerate() {
            let time = process.time_of_index(i).expect("in range");
            prop_assert_eq!(process.index_of(time), i as f64);
            prop_assert!((process.level(time).alpha.powi(2) / product - 1.0).abs() < 1e-12);
        }
        let clock = t * process.clock(at(n as f64, n as f64));
        let time = process.time_at(clock).expect("in range");
        prop_assert!((process.clock(time) - clock).abs() <= 1e-12 * clock);
    }
}

#[test]
fn the_ends_of_the_axis_come_back_from_the_angle() {
    use sde_core::ode::{ProbabilityFlow, Variable};
    for (process, last) in processes() {
        let last = if last.is_finite() { last } else { 20.0 };
        let process = &*process;
        let model = numeric::Model::new((), numeric::Prediction::Denoised, process);
        let flow = ProbabilityFlow::new(&model, Variable::Angle);
        for share in [1.0, 1.0 - 1e-9, 0.7, 1e-3] {
            let time = Time { t: 0.0, to_end: last }.between(Time { t: last, to_end: 0.0 }, share);
            if process.level(time).alpha == 0.0 {
                continue; // no ratio there
            }
            let angle = flow.at(time);
            let back = flow.time(angle).expect("a time of the process");
            let (a, b) = (process.level(time), process.level(back));
            assert!(
                (a.sigma / a.alpha / (b.sigma / b.alpha) - 1.0).abs() < 1e-12,
                "{share} of {last}: {time:?} {back:?}"
            );
        }
    }
}
