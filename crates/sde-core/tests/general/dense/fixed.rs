//! States between the nodes of fixed steps.
//!
//! Statistical tests: one family at 10⁻³ for the laws between the nodes.

use numeric::ndarray::{Array2, array, s};
use numeric::{Brownian, Control, Error, Noise, Time, TimeGrid, from_row_fn};
use sde_core::integrator::{EulerMaruyama, Sosra, Sra1, Sra3};
use sde_core::{
    Additive, Component, Covariance, Integrator, Keep, Mixture, Ou, ReverseTime, Solver, Start, Statistics,
};
use statrs::distribution::{ContinuousCDF, Normal};
use verify::{Family, Moments, kolmogorov_smirnov, scores, seed};

use super::{everywhere, grid, path_at, scalar};

/// Brownian motions with drift: the state at t is `x + f t + g W(t)`, with the path read from the tree.
#[test]
fn constant_noise_without_a_drift_that_sees_the_state_is_exact() {
    let field = || {
        from_row_fn(2, |_, _, out: &mut [f64]| {
            out.copy_from_slice(&[0.5, -2.0]);
            Ok(())
        })
    };
    let g = array![[1.0, 0.5], [0.0, 2.0]];
    let (rows, noise) = ((10..80).collect::<Vec<u64>>(), Noise::new(seed(1)));
    let grid = TimeGrid::from_nodes(vec![0.0, 0.3, 1.0, 1.1]).unwrap();
    let lengths = grid.lengths();
    let times = [0.0, 0.01, 0.2999, 0.3, 0.31, 0.5, 0.65, 0.999, 1.05, 1.1];
    let methods: [&dyn Integrator<f64>; 4] = [&EulerMaruyama, &Sra1, &Sosra, &Sra3];
    for method in methods {
        for refinement in [0, 2] {
            let areas = method.needs() == sde_core::Needs::Area;
            let path = noise.fork("path");
            let brownian =
                if areas { Brownian::with_area(path, &lengths) } else { Brownian::new(path, &lengths) }
                    .unwrap();
            let sde = Additive::new(field(), &g).unwrap();
            let solver = Solver::new(&sde, method, grid.clone()).unwrap().refined(refinement);
            let run =
                solver.run_at(Start::Point(&[1.0, -1.0]), &times, 10..80, noise, Control::default()).unwrap();
            assert_eq!(run.states.dim(), (70, times.len(), 2));
            for (j, (&t, time)) in times.iter().zip(&run.times).enumerate() {
                assert!((time.t - t).abs() < 1e-12);
                let cell = grid.nodes()[..3].iter().rposition(|node| node.t <= t).unwrap();
                let elapsed = (t - grid.node(cell).t).min(lengths[cell]);
                // A refined step has ticks of its own: the nearest of them may be the next one of the cell.
                let tick = brownian.tick(cell as u64, elapsed).unwrap();
                let w = path_at(&brownian, cell as u64, tick, &rows);
                for (x, w) in run.states.slice(s![.., j, ..]).rows().into_iter().zip(w.rows()) {
                    let exact = [1.0 + 0.5 * time.t + w[0] + 0.5 * w[1], -1.0 - 2.0 * time.t + 2.0 * w[1]];
                    let gap = (x[0] - exact[0]).abs().max((x[1] - exact[1]).abs());
                    assert!(gap < 1e-13, "{} at {t}: {gap}", method.name());
                }
            }
        }
    }
}

#[test]
fn nodes_keep_their_bits_and_times_their_states() {
    let noise = Noise::new(seed(2));
    let start = Array2::from_shape_fn((70, 2), |(i, j)| 0.01 * (i + j) as f64 - 0.3);
    everywhere(|solver| {
        let name = solver.integrator().name();
        let run = |times: &[f64]| {
            solver.run_at(Start::Rows(&start), times, 5..75, noise, Control::default()).unwrap()
        };
        let nodes = solver.run(Start::Rows(&start), Keep::All, 5..75, noise, Control::default()).unwrap();
        let steps = solver.grid().steps();
        // Nodes alone; then five times in each step among them.
        let alone = run(&solver.grid().nodes().iter().map(|node| node.t).collect::<Vec<_>>());
        assert_eq!(alone, nodes);
        let cut: Vec<f64> = (0..=6 * steps).map(|j| j as f64 / (6 * steps) as f64).collect();
        let cut: Vec<f64> =
            (0..cut.len()).map(|j| if j % 6 == 0 { solver.grid().node(j / 6).t } else { cut[j] }).collect();
        let all = run(&cut);
        for k in 0..=steps {
            let [a, b] = [&all.states.slice(s![.., 6 * k, ..]), &nodes.states.slice(s![.., k, ..])];
            assert_eq!(a, b, "{name}");
        }
        let calls = 70 * (steps + 5 * steps) * solver.integrator().calls();
        let expected = Statistics { calls: calls as u64, accepted: 70 * steps as u64, rejected: 0 };
        assert_eq!(all.statistics, expected);
        // Of itself, whatever else was asked for, and in any shard.
        let one = run(&cut[8..9]);
        assert_eq!(one.states.slice(s![.., 0, ..]), all.states.slice(s![.., 8, ..]), "{name}");
        let part = start.slice(s![10..30, ..]).to_owned();
        let shard = solver.run_at(Start::Rows(&part), &cut[8..9], 15..35, noise, Control::default()).unwrap();
        assert_eq!(shard.states, one.states.slice(s![10..30, .., ..]));
        // Towards the nodes: a part of 2⁻³⁰ of a step is √(2⁻³⁰/5) long.
        let close = 2_f64.powi(-30) / steps as f64;
        let near = run(&[cut[6] - close, cut[6] + close]);
        let gap = |j: usize| {
            let gap = &near.states.slice(s![.., j, ..]) - &nodes.states.slice(s![.., 1, ..]);
            gap.iter().fold(0.0_f64, |max, e| max.max(e.abs()))
        };
        assert!(gap(0) < 3e-4 && gap(1) < 3e-4, "{name}: {} {}", gap(0), gap(1));
        assert!(gap(0) > 1e-8 && gap(1) > 1e-8, "{name}");
    });
}

/// Ornstein–Uhlenbeck from 1: at each time the Gaussian law, and within one step the transition between two times.
#[test]
fn states_between_the_nodes_have_their_law() {
    let (sigma, n) = (0.8, 20_000);
    let solver = Solver::new(scalar(|x| -x, sigma), Sra1, grid(1.0, 16)).unwrap();
    let times = [0.02, 0.47, 0.49, 0.9];
    let run =
        solver.run_at(Start::Point(&[1.0]), &times, 0..n, Noise::new(seed(3)), Control::default()).unwrap();
    let mut family = Family::new(1e-3).unwrap();
    let variance = |t: f64| sigma * sigma * -(-2.0 * t).exp_m1() / 2.0;
    let mut push = |name: String, sample: Vec<f64>, mean: f64, std_dev: f64| {
        let law = Normal::new(mean, std_dev).unwrap();
        family.push(format!("{name}, KS"), kolmogorov_smirnov(&sample, |x| law.cdf(x)).unwrap().p_value);
        let found = scores(&sample, &Moments { mean, std_dev, kurtosis: 3.0 }).unwrap();
        family.push(format!("{name}, Z"), found.z_p_value());
        family.push(format!("{name}, Y"), found.y_p_value());
    };
    let state = |j: usize| run.states.slice(s![.., j, 0]).to_vec();
    for (j, t) in times.into_iter().enumerate() {
        push(format!("at {t}"), state(j), (-t).exp(), variance(t).sqrt());
    }
    // 0.47 and 0.49 lie in one step, 7/16 to 8/16.
    let decay = (-0.02_f64).exp();
    let moved = state(2).iter().zip(state(1)).map(|(b, a)| b - decay * a).collect();
    push("0.47 to 0.49".into(), moved, 0.0, variance(0.02).sqrt());
    family.assert();
}

#[test]
fn grids_may_run_back() {
    let component =
        |mean| Component { weight: 0.5, mean: array![mean], covariance: Covariance::Isotropic(0.04) };
    let data = Mixture::new(vec![component(-1.0), component(1.0)]).unwrap();
    let sde = ReverseTime::new(data.score::<f64, _>(Ou), 1.0).unwrap();
    let back = TimeGrid::from_nodes(vec![2.0, 1.0, 0.5, 0.1]).unwrap();
    let solver = Solver::new(sde, Sra1, back).unwrap();
    let run = |times: &[f64]| {
        solver.run_at(Start::Point(&[0.3]), times, 0..3, Noise::new(seed(4)), Control::default())
    };
    let found = run(&[2.0, 1.5, 0.4, 0.1]).unwrap();
    assert!(
        found.times.iter().map(|time| time.t).zip([2.0, 1.5, 0.4, 0.1]).all(|(a, b)| (a - b).abs() < 1e-12)
    );
    assert!(matches!(run(&[1.5, 1.6]), Err(Error::Entry { parameter: "times", index: 1, value: 1.6, .. })));
    assert!(matches!(run(&[2.1]), Err(Error::Entry { index: 0, .. })));
    assert!(matches!(run(&[0.05]), Err(Error::Entry { index: 0, .. })));
}

#[test]
fn times_are_checked() {
    let solver = Solver::new(scalar(|x| -x, 1.0), EulerMaruyama, grid(1.0, 4)).unwrap();
    let (noise, control) = (Noise::new(1), Control::default());
    let run = |times: &[f64]| solver.run_at(Start::Point(&[0.0]), times, 0..2, noise, control);
    for (times, wrong) in [
        (&[0.1, 0.3, 0.2][..], 2),
        (&[0.1, 0.1], 1),
        (&[-1e-300], 0),
        (&[0.5, 1.0 + 1e-15], 1),
        (&[0.2, f64::NAN], 1),
        (&[f64::INFINITY], 0),
        // Both at the same tick.
        (&[0.3, 0.3 + 1e-15], 1),
    ] {
        let error = run(times).unwrap_err();
        let found = matches!(error, Error::Entry { parameter: "times", index, .. } if index == wrong);
        assert!(found, "{times:?}: {error}");
    }
    assert_eq!(run(&[]).unwrap().states.dim(), (2, 0, 1));
    assert!(matches!(
        solver.run_at(Start::Prior, &[0.1], 0..2, noise, control),
        Err(Error::Unsupported { .. })
    ));
    assert!(matches!(
        solver.run_at(Start::Point(&[0.0; 2]), &[0.1], 0..2, noise, control),
        Err(Error::Shape { .. })
    ));
    // A state that stops being finite between two nodes or at one: the step of the grid is named.
    let wild = from_row_fn(1, |time: Time, _, out: &mut [f64]| {
        out[0] = if time.t < 0.5 { 0.0 } else { f64::NAN };
        Ok(())
    });
    let sde = Additive::<f64, _>::new(wild, &array![[1.0]]).unwrap();
    let solver = Solver::new(sde, EulerMaruyama, grid(1.0, 4)).unwrap();
    for times in [&[0.1, 0.2, 0.6][..], &[0.1, 0.2]] {
        let error = solver.run_at(Start::Point(&[0.0]), times, 7..9, noise, control).unwrap_err();
        assert!(matches!(error, Error::NotFinite { row: 7, step: 2, .. }), "{error}");
    }
}
