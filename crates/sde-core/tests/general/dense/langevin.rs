//! States between the nodes of Langevin dynamics with inertia.
//!
//! Statistical tests: one family at 10⁻³ for the laws between the nodes.

use numeric::ndarray::{Array2, array, s};
use numeric::{Brownian, Control, Error, LogDensity, Noise, Scratch, Time};
use sde_core::integrator::Baoab;
use sde_core::ode::{Direction, Event};
use sde_core::{Component, Covariance, Keep, Mixture, Start, Statistics, UnderdampedLangevin};
use verify::{Family, Moments, scores, seed};

use super::grid;

/// Two wells in the plane.
fn wells() -> Mixture {
    let component = |mean: [f64; 2], weight| Component {
        weight,
        mean: array![mean[0], mean[1]],
        covariance: Covariance::Isotropic(0.3),
    };
    Mixture::new(vec![component([-1.0, 0.0], 0.4), component([1.0, 0.5], 0.6)]).unwrap()
}

/// A Gaussian of variance 1 on the line.
fn normal() -> Mixture {
    Mixture::new(vec![Component { weight: 1.0, mean: array![0.0], covariance: Covariance::Isotropic(1.0) }])
        .unwrap()
}

fn method(target: Mixture, gamma: f64, end: f64, steps: usize) -> Baoab<Mixture> {
    Baoab::new(UnderdampedLangevin::new(target, gamma).unwrap(), grid(end, steps)).unwrap()
}

/// The five formulas, with the path of the tree.
#[test]
fn a_state_between_is_one_step_along_the_path() {
    let (gamma, noise, rows) = (0.8, Noise::new(seed(31)), [6_u64, 7, 8]);
    for refinement in [0, 1] {
        let method = method(wells(), gamma, 1.0, 2).refined(refinement);
        let start = array![[0.1, 0.2, 0.3, -0.4], [0.0, 0.5, -1.0, 0.2], [1.0, 1.0, 1.0, 1.0]];
        let times = [0.03, 0.2, 0.31, 0.5, 0.84, 0.96];
        let run = method.run_at(Start::Rows(&start), &times, 6..9, noise, Control::default()).unwrap();
        let nodes = method.run(Start::Rows(&start), Keep::All, 6..9, noise, Control::default()).unwrap();
        let brownian = Brownian::new(noise.fork("path"), &[0.5, 0.5]).unwrap();
        for (j, time) in run.times.iter().enumerate() {
            let k = method.grid().nodes().iter().rposition(|node| node.t <= time.t).unwrap();
            let (from, cell) = (method.grid().node(k).t, u64::from(time.t >= 0.5));
            let h = time.t - from;
            let tick = |t: f64| brownian.tick(cell, t - 0.5 * cell as f64).unwrap();
            let mut w = Array2::<f64>::zeros((3, 2));
            brownian.between_into(&rows, cell, tick(from)..tick(time.t), &mut w, None, &mut Scratch::new());
            for i in 0..3 {
                let [q, p] = [0, 2].map(|c| nodes.states.slice(s![i, k, c..c + 2]).to_owned());
                let force = |q: &numeric::ndarray::Array1<f64>| {
                    let mut out = Array2::zeros((1, 2));
                    let q = q.to_owned().insert_axis(numeric::ndarray::Axis(0));
                    method.dynamics().target().gradient_into(&q, &mut out).unwrap();
                    out.row(0).to_owned()
                };
                let p = p + 0.5 * h * force(&q);
                let q = q + 0.5 * h * &p;
                let spread = (1.0 - (-2.0 * gamma * h).exp()).sqrt() / h.sqrt().max(1e-300);
                let p = (-gamma * h).exp() * p + if h > 0.0 { spread } else { 0.0 } * &w.row(i);
                let q = q + 0.5 * h * &p;
                let p = p + 0.5 * h * force(&q);
                for c in 0..2 {
                    assert!((run.states[(i, j, c)] - q[c]).abs() < 1e-12, "{}", time.t);
                    assert!((run.states[(i, j, 2 + c)] - p[c]).abs() < 1e-12, "{}", time.t);
                }
            }
        }
    }
}

#[test]
fn nodes_keep_their_bits_and_times_their_states() {
    let noise = Noise::new(seed(32));
    for refinement in [0, 2] {
        let method = method(wells(), 1.0, 3.0, 6).refined(refinement);
        let steps = method.grid().steps();
        let start = Start::Point(&[0.1, 0.0, 0.0, 0.5][..]);
        let run = |times: &[f64], rows| method.run_at(start, times, rows, noise, Control::default()).unwrap();
        let nodes = method.run(start, Keep::All, 5..75, noise, Control::default()).unwrap();
        let alone = run(&method.grid().nodes().iter().map(|node| node.t).collect::<Vec<_>>(), 5..75);
        assert_eq!(alone, nodes);
        // Also in the first step, before which no force is known.
        let cut: Vec<f64> = (0..=3 * steps)
            .map(|j| if j % 3 == 0 { method.grid().node(j / 3).t } else { j as f64 / steps as f64 })
            .collect();
        let all = run(&cut, 5..75);
        for k in 0..=steps {
            assert_eq!(all.states.slice(s![.., 3 * k, ..]), nodes.states.slice(s![.., k, ..]));
        }
        let calls = 70 * (1 + 3 * steps as u64);
        let expected = Statistics { calls, accepted: 70 * steps as u64, rejected: 0 };
        assert_eq!(all.statistics, expected);
        for j in [1, 2, 7, 3 * steps - 1] {
            let one = run(&cut[j..=j], 5..75);
            assert_eq!(one.states.slice(s![.., 0, ..]), all.states.slice(s![.., j, ..]));
            assert_eq!(run(&cut[j..=j], 15..35).states, one.states.slice(s![10..30, .., ..]));
        }
    }
}

/// Mean and covariance of (q, p), and of (q, p) now with (q, p) at a fixed time before.
#[derive(Clone, Copy)]
struct Law {
    mean: [f64; 2],
    covariance: [[f64; 2]; 2],
    with_before: [[f64; 2]; 2],
}

type Matrix = [[f64; 2]; 2];

fn times(a: Matrix, b: Matrix) -> Matrix {
    let entry = |i: usize, j: usize| a[i][0] * b[0][j] + a[i][1] * b[1][j];
    [[entry(0, 0), entry(0, 1)], [entry(1, 0), entry(1, 1)]]
}

impl Law {
    fn new(mean: [f64; 2]) -> Law {
        Law { mean, covariance: [[0.0; 2]; 2], with_before: [[0.0; 2]; 2] }
    }

    /// After `x' = m x + b z`.
    fn after(self, (m, b): (Matrix, [f64; 2])) -> Law {
        let transposed = [[m[0][0], m[1][0]], [m[0][1], m[1][1]]];
        let mut covariance = times(times(m, self.covariance), transposed);
        for (i, row) in covariance.iter_mut().enumerate() {
            row.iter_mut().zip(b).for_each(|(c, other)| *c += b[i] * other);
        }
        let mean = [0, 1].map(|i| m[i][0] * self.mean[0] + m[i][1] * self.mean[1]);
        Law { mean, covariance, with_before: times(m, self.with_before) }
    }
}

/// One step for `log π = −q²/2`: the matrix and the vector of the normal.
fn step(gamma: f64, h: f64) -> (Matrix, [f64; 2]) {
    let (kick, drift): (Matrix, Matrix) = ([[1.0, 0.0], [-h / 2.0, 1.0]], [[1.0, h / 2.0], [0.0, 1.0]]);
    let decay = (-gamma * h).exp();
    let after = times(kick, drift);
    let m = times(times(after, [[1.0, 0.0], [0.0, decay]]), times(drift, kick));
    let noise = (1.0 - decay * decay).sqrt();
    (m, [after[0][1] * noise, after[1][1] * noise])
}

/// The states between the nodes of a Gaussian target have the law that the recursion gives.
#[test]
fn states_between_the_nodes_have_the_law_of_a_shorter_step() {
    let (gamma, h, n) = (0.7, 0.6, 10_000);
    let method = method(normal(), gamma, 3.0, 5);
    let at = [0.2, 1.45, 1.7, 2.9];
    let start = Start::Point(&[1.5, -0.5][..]);
    let run = method.run_at(start, &at, 0..n, Noise::new(seed(33)), Control::default()).unwrap();
    let mut family = Family::new(1e-3).unwrap();
    for (j, &t) in at.iter().enumerate() {
        let whole = (t / h).floor();
        let law = (0..whole as usize).fold(Law::new([1.5, -0.5]), |law, _| law.after(step(gamma, h)));
        let law = law.after(step(gamma, t - whole * h));
        for c in 0..2 {
            let sample = run.states.slice(s![.., j, c]).to_vec();
            let moments = Moments { mean: law.mean[c], std_dev: law.covariance[c][c].sqrt(), kurtosis: 3.0 };
            let found = scores(&sample, &moments).unwrap();
            family.push(format!("{c} at {t}, Z"), found.z_p_value());
            family.push(format!("{c} at {t}, Y"), found.y_p_value());
        }
        // (q + p)/√2 sees the covariance.
        let sample: Vec<f64> = run.states.slice(s![.., j, ..]).rows().into_iter().map(|x| x.sum()).collect();
        let [[a, b], [c, d]] = law.covariance;
        let moments =
            Moments { mean: law.mean[0] + law.mean[1], std_dev: (a + b + c + d).sqrt(), kurtosis: 3.0 };
        family.push(format!("sum at {t}, Y"), scores(&sample, &moments).unwrap().y_p_value());
    }
    family.assert();
}

/// By the same recursion, without a draw: between the nodes the mean and the covariance err by O(h²), and so does the
/// covariance of two times within one step; the positions of the invariant law by O(h⁴), as the documentation says.
#[test]
fn moments_between_the_nodes_have_order_two() {
    let gamma = 0.7;
    // Steps of 3·10⁻⁴ at most err by 10⁻⁷.
    let part = |law: Law, t: f64| (0..4096).fold(law, |law, _| law.after(step(gamma, t / 4096.0)));
    let errors = |steps: u32| {
        let h = 1.2 / f64::from(steps);
        // 0.6 of the way through the last step but one, and its end.
        let nodes = (0..steps - 2).fold(Law::new([1.5, -0.5]), |law, _| law.after(step(gamma, h)));
        let at = f64::from(steps - 2) * h + 0.6 * h;
        let between = nodes.after(step(gamma, 0.6 * h));
        let exact = part(Law::new([1.5, -0.5]), at);
        let marginal = between.mean.iter().zip(exact.mean).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
            + (between.covariance[0][0] - exact.covariance[0][0]).abs()
            + (between.covariance[0][1] - exact.covariance[0][1]).abs()
            + (between.covariance[1][1] - exact.covariance[1][1]).abs();
        // One W: of the whole step √0.6 of its normal is that of the part.
        let (whole, shorter) = (step(gamma, h), step(gamma, 0.6 * h));
        let transposed = [[whole.0[0][0], whole.0[1][0]], [whole.0[0][1], whole.0[1][1]]];
        let mut joint = times(times(shorter.0, nodes.covariance), transposed);
        for (i, row) in joint.iter_mut().enumerate() {
            row.iter_mut().zip(whole.1).for_each(|(c, b)| *c += shorter.1[i] * b * 0.6_f64.sqrt());
        }
        let mut rest = exact;
        rest.with_before = exact.covariance;
        let rest = part(rest, 0.4 * h);
        let mut gap = 0.0_f64;
        for (i, row) in joint.iter().enumerate() {
            for (j, found) in row.iter().enumerate() {
                gap = gap.max((found - rest.with_before[j][i]).abs());
            }
        }
        [marginal, gap]
    };
    let [coarse, fine] = [16, 64].map(errors);
    for (coarse, fine) in coarse.iter().zip(fine) {
        let order = (coarse / fine).log2() / 2.0;
        assert!((order - 2.0).abs() < 0.15, "{order}: {coarse} {fine}");
    }
    for (h, s) in [(0.4_f64, 0.1_f64), (0.4, 0.3), (1.5, 1.0)] {
        let mut law = Law::new([0.0; 2]);
        law.covariance = [[1.0, 0.0], [0.0, 1.0 - h * h / 4.0]];
        let node = law.after(step(gamma, h)).covariance;
        assert!((node[0][0] - 1.0).abs() < 1e-14 && node[0][1].abs() < 1e-14, "{node:?}");
        let a = 0.5 * s * (1.0 + (-gamma * s).exp());
        let expected = 1.0 - 0.25 * a * a * (h * h - s * s);
        assert!((law.after(step(gamma, s)).covariance[0][0] - expected).abs() < 1e-14);
    }
}

#[test]
fn times_and_starts_are_checked() {
    let method = method(normal(), 1.0, 1.0, 4);
    let (noise, control, start) = (Noise::new(1), Control::default(), Start::Point(&[0.0, 0.0][..]));
    for (times, wrong) in [(&[0.3, 0.2][..], 1), (&[1.1], 0), (&[f64::NAN], 0)] {
        let error = method.run_at(start, times, 0..2, noise, control).unwrap_err();
        assert!(matches!(error, Error::Entry { parameter: "times", index, .. } if index == wrong), "{error}");
    }
    let error = method.run_at(Start::Prior, &[0.1], 0..2, noise, control).unwrap_err();
    assert!(matches!(error, Error::Unsupported { method: "Baoab", .. }), "{error}");
    let error = method.run_at(Start::Point(&[0.0]), &[0.1], 0..2, noise, control).unwrap_err();
    assert!(matches!(error, Error::Shape { .. }), "{error}");
}

/// Crossings are those of the states at any times; rows that go on when others have ended are carried as before.
#[test]
fn crossings_are_on_the_path_of_the_run() {
    let (method, noise) = (method(normal(), 0.8, 4.0, 20), Noise::new(seed(30)));
    let start = Start::Point(&[-0.5, 0.2]);
    let function = |time: Time, x: &[f64]| x[0] + 0.3 * x[1] - 0.1 * time.t;
    let event = |terminal| Event { function: &function, direction: Direction::Either, terminal };
    let all = method.run(start, Keep::All, 3..83, noise, Control::default()).unwrap();
    let (ways, cost) = method.run_until(start, &[event(false)], 3..83, noise, Control::default()).unwrap();
    let (first, less) = method.run_until(start, &[event(true)], 3..83, noise, Control::default()).unwrap();
    let tick = 0.2 / Brownian::TICKS as f64;
    let (mut seen, mut ended) = (0, 0);
    for (i, (way, first)) in ways.iter().zip(&first).enumerate() {
        assert_eq!(way.state, all.states.slice(s![i, -1, ..]).to_vec());
        assert_eq!(first.crossings.first(), way.crossings.first());
        assert_eq!(first.ended, !way.crossings.is_empty());
        if first.ended {
            ended += 1;
            assert_eq!((first.time, &first.state), (way.crossings[0].time, &way.crossings[0].state));
        } else {
            assert_eq!(first.state, way.state);
        }
        for crossing in &way.crossings {
            seen += 1;
            let times = [crossing.time.t - tick, crossing.time.t];
            let run = method.run_at(start, &times, way.row..way.row + 1, noise, Control::default()).unwrap();
            assert_eq!(run.states.slice(s![0, 1, ..]).to_vec(), crossing.state);
            let [before, after] =
                [0, 1].map(|j| function(run.times[j], run.states.slice(s![0, j, ..]).as_slice().unwrap()));
            assert!(before * after <= 0.0 && before != 0.0, "{before} {after}");
        }
    }
    assert!(seen > 80 && ended > 40 && ended < 80, "{seen} {ended}");
    // One gradient at the start and one for each step; a part to locate a crossing has two.
    assert!((cost.calls - cost.accepted - 80).is_multiple_of(2) && cost.accepted == 80 * 20);
    assert!(less.accepted < cost.accepted && less.calls > less.accepted + 80);
}
