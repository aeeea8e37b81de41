//! Solvers of ordinary differential equations against closed forms and each other.

use std::f64::consts::PI;

use numeric::ndarray::{Array2, ArrayRef2, array, s};
use numeric::{
    Batch, Control, Divergence, Error, FiniteDifference, JacobianProducts, Level, Model, Noise, Prediction,
    Schedule, Scratch, Time, TimeGrid, Times, VectorField, from_fn, from_row_fn, with_batching,
};
use sde_core::ode::{
    Direction, Dopri5, Event, FixedStep, OdeMethod, OdeSolver, ProbabilityFlow, Rosenbrock, Tolerance, Tsit5,
    Variable,
};
use sde_core::{
    Component, CosineVp, Covariance, Keep, LinearProcess, LinearVp, Mixture, Ou, Start, VariancePreserving,
};
use verify::{OrderOptions, deterministic_order, seed};

/// A pendulum that is pushed: not autonomous, not linear.
fn pendulum() -> impl VectorField<f64> {
    from_row_fn(2, |time, x, out: &mut [f64]| {
        out[0] = x[1];
        out[1] = -x[0].sin() + 0.3 * (2.0 * time.t).cos();
        Ok(())
    })
}

fn oscillator() -> impl VectorField<f64> {
    from_row_fn(2, |_, x, out: &mut [f64]| {
        out[0] = x[1];
        out[1] = -x[0];
        Ok(())
    })
}

fn between(from: f64, to: f64, steps: usize) -> TimeGrid {
    TimeGrid::uniform(from, to, steps).expect("valid")
}

fn last<V: VectorField<f64>, M: OdeMethod<f64, V>>(solver: &OdeSolver<V, M>, start: &[f64]) -> Vec<f64> {
    let run = solver.run(Start::Point(start), Keep::Last, 0..1, Control::default()).expect("solvable");
    run.states.slice(s![0, 0, ..]).to_vec()
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
}

const PUSHED: [f64; 2] = [1.0, 0.5];

/// The pendulum at t = 2, from `PUSHED` at 0, by the classical method with 2·10⁴ steps (error about 10⁻¹⁵).
fn pendulum_at_2() -> Vec<f64> {
    last(&OdeSolver { field: pendulum(), method: FixedStep::Rk4, grid: between(0.0, 2.0, 20_000) }, &PUSHED)
}

fn assert_order(name: &str, order: f64, steps: &[f64], errors: &[f64], floor: f64) {
    let options = OrderOptions { floor, min_points: 5, ..OrderOptions::default() };
    let found = deterministic_order(steps, errors, &options).expect("five levels above rounding");
    println!("{name}: order {:.3} ± {:.3}", found.slope, found.half_width);
    assert!((found.slope - order).abs() < 0.15 && found.half_width < 0.1, "{name}: {found:?}");
}

#[test]
fn fixed_steps_have_their_orders_in_both_directions() {
    let there = pendulum_at_2();
    for (method, order, first) in [
        (FixedStep::Euler, 1.0, 256),
        (FixedStep::Midpoint, 2.0, 64),
        (FixedStep::Heun, 2.0, 64),
        (FixedStep::Rk4, 4.0, 32),
    ] {
        let counts: Vec<usize> = (0..6).map(|level| first << level).collect();
        let steps: Vec<f64> = counts.iter().map(|&n| 2.0 / n as f64).collect();
        for (from, to, start, end) in
            [(0.0, 2.0, &PUSHED[..], &there[..]), (2.0, 0.0, &there[..], &PUSHED[..])]
        {
            let error = |&n: &usize| {
                let solver = OdeSolver { field: pendulum(), method, grid: between(from, to, n) };
                distance(&last(&solver, start), end)
            };
            let errors: Vec<f64> = counts.iter().map(error).collect();
            assert_order(&format!("{method:?} from {from}"), order, &steps, &errors, 2e-13);
        }
    }
}

/// `x' = cos t − x` from x(0) = 2: the leading term of the error shows early. (That of Tsit5 is so small that on the pendulum it
/// drowns in the next one until both are below rounding.)
struct Relaxation;

impl VectorField<f64> for Relaxation {
    fn dim(&self) -> usize {
        1
    }
    fn eval_into(
        &self,
        batch: &Batch<'_, f64>,
        out: &mut numeric::ndarray::ArrayRef2<f64>,
        _: &mut Scratch,
    ) -> Result<(), Error> {
        out[(0, 0)] = batch.times().get(0).t.cos() - batch.x()[(0, 0)];
        Ok(())
    }
}

/// Its error at t = 4 after `n` steps of an adaptive method: with loose tolerances and a first step longer than the way,
/// each run is one step.
fn error_in_equal_steps<M: OdeMethod<f64, FiniteDifference<Relaxation>>>(method: &M, n: usize) -> f64 {
    let mut x = 2.0;
    for (from, to) in between(0.0, 4.0, n).pairs() {
        let grid = TimeGrid::from_times(vec![from, to]).expect("valid");
        let solver = OdeSolver { field: FiniteDifference::new(Relaxation), method, grid };
        let run = solver.run(Start::Point(&[x]), Keep::Last, 0..1, Control::default()).expect("solvable");
        assert_eq!((run.statistics.accepted, run.statistics.rejected), (1, 0));
        x = run.states[(0, 0, 0)];
    }
    (x - (0.5 * (4.0_f64.cos() + 4.0_f64.sin()) + 1.5 * (-4.0_f64).exp())).abs()
}

struct Pendulum;

impl VectorField<f64> for Pendulum {
    fn dim(&self) -> usize {
        2
    }
    fn eval_into(
        &self,
        batch: &Batch<'_, f64>,
        out: &mut numeric::ndarray::ArrayRef2<f64>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        pendulum().eval_into(batch, out, scratch)
    }
}

#[test]
fn adaptive_methods_have_their_orders_in_the_step() {
    let loose = Tolerance::new(0.0, 1e6).expect("valid").first_step(10.0).expect("valid");
    let orders = |name: &str, order: f64, first: usize, error: &dyn Fn(usize) -> f64| {
        let counts: Vec<usize> = (0..5).map(|level| first << level).collect();
        let errors: Vec<f64> = counts.iter().map(|&n| error(n)).collect();
        let steps: Vec<f64> = counts.iter().map(|&n| 4.0 / n as f64).collect();
        assert_order(name, order, &steps, &errors, 5e-15);
    };
    orders("Tsit5", 5.0, 16, &|n| error_in_equal_steps(&Tsit5::with(loose), n));
    orders("Dopri5", 5.0, 16, &|n| error_in_equal_steps(&Dopri5::with(loose), n));
    orders("ROS34PW2", 3.0, 64, &|n| error_in_equal_steps(&Rosenbrock::with(loose), n));
}

#[test]
fn dense_output_has_order_4_and_meets_the_ends() {
    // One step over (0, h), read at 7 places: local errors O(h^5), and O(h^4) by Hermite.
    let loose = Tolerance::new(0.0, 1e6).expect("valid").first_step(10.0).expect("valid");
    let largest = |method: &dyn OdeMethod<f64, FiniteDifference<Pendulum>>, h: f64| {
        let solver = OdeSolver { field: FiniteDifference::new(Pendulum), method, grid: between(0.0, h, 8) };
        let run = solver.run(Start::Point(&PUSHED), Keep::All, 0..1, Control::default()).expect("solvable");
        assert_eq!((run.statistics.accepted, run.times.len()), (1, 9));
        assert_eq!(run.states.slice(s![0, 0, ..]).to_vec(), PUSHED);
        let end = solver.run(Start::Point(&PUSHED), Keep::Last, 0..1, Control::default()).expect("solvable");
        assert_eq!(run.states.slice(s![0, 8, ..]), end.states.slice(s![0, 0, ..]));
        let fine = OdeSolver { field: pendulum(), method: FixedStep::Rk4, grid: between(0.0, h, 1024) };
        let nodes: Vec<usize> = (0..=8).map(|k| 128 * k).collect();
        let exact =
            fine.run(Start::Point(&PUSHED), Keep::Nodes(&nodes), 0..1, Control::default()).expect("solvable");
        (1..8)
            .map(|k| {
                let row = |run: &sde_core::Trajectory<f64>| run.states.slice(s![0, k, ..]).to_vec();
                distance(&row(&run), &row(&exact))
            })
            .fold(0.0, f64::max)
    };
    for (name, order, method) in [
        ("Tsit5", 5.0, Box::new(Tsit5::with(loose)) as Box<dyn OdeMethod<f64, FiniteDifference<Pendulum>>>),
        ("Dopri5", 5.0, Box::new(Dopri5::with(loose))),
        ("ROS34PW2", 4.0, Box::new(Rosenbrock::with(loose))),
    ] {
        let steps: Vec<f64> = (0..6).map(|level| 0.2 * 0.5_f64.powi(level)).collect();
        let errors: Vec<f64> = steps.iter().map(|&h| largest(&*method, h)).collect();
        assert_order(&format!("dense output of {name}"), order, &steps, &errors, 1e-15);
    }
}

#[test]
fn errors_follow_the_tolerance_in_both_directions() {
    let there = pendulum_at_2();
    for (from, to, start, end) in [(0.0, 2.0, &PUSHED[..], &there[..]), (2.0, 0.0, &there[..], &PUSHED[..])] {
        let errors = |run: &dyn Fn(f64) -> Vec<f64>| {
            [1e-4, 1e-6, 1e-8, 1e-10].map(|tol| (tol, distance(&run(tol), end)))
        };
        let grid = || between(from, to, 1);
        let all = [
            errors(&|tol| {
                last(
                    &OdeSolver { field: pendulum(), method: Tsit5::new(tol, tol).unwrap(), grid: grid() },
                    start,
                )
            }),
            errors(&|tol| {
                last(
                    &OdeSolver { field: pendulum(), method: Dopri5::new(tol, tol).unwrap(), grid: grid() },
                    start,
                )
            }),
            errors(&|tol| {
                let field = FiniteDifference::new(pendulum());
                last(&OdeSolver { field, method: Rosenbrock::new(tol, tol).unwrap(), grid: grid() }, start)
            }),
        ];
        for (tol, error) in all.into_iter().flatten() {
            assert!(error < 20.0 * tol && error > 1e-3 * tol, "{error} at {tol}");
        }
    }
}

#[test]
fn a_stiff_relaxation_needs_few_steps_of_the_l_stable_method() {
    // x follows cos t at rate 10⁴. Closed form: x = (λ² cos t + λ sin t)/(1 + λ²) + c e^{−λt}.
    let rate = 1e4;
    let field = || {
        from_row_fn(1, move |time: Time, x, out: &mut [f64]| {
            out[0] = -rate * (x[0] - time.t.cos());
            Ok(())
        })
    };
    let forced = |t: f64| (rate * rate * t.cos() + rate * t.sin()) / (1.0 + rate * rate);
    let exact = |t: f64| forced(t) + (3.0 - forced(0.0)) * (-rate * t).exp();
    let grid = between(0.0, 2.0, 4);
    let stiff = OdeSolver {
        field: FiniteDifference::new(field()),
        method: Rosenbrock::new(1e-6, 1e-6).unwrap(),
        grid: grid.clone(),
    };
    let run = stiff.run(Start::Point(&[3.0]), Keep::All, 0..1, Control::default()).unwrap();
    for (k, time) in run.times.iter().enumerate() {
        assert!(
            (run.states[(0, k, 0)] - exact(time.t)).abs() < 2e-5,
            "{} at {time:?}",
            run.states[(0, k, 0)]
        );
    }
    let explicit = OdeSolver { field: field(), method: Tsit5::new(1e-6, 1e-6).unwrap(), grid };
    let other = explicit.run(Start::Point(&[3.0]), Keep::Last, 0..1, Control::default()).unwrap();
    println!("stiff: {:?} and explicitly {:?}", run.statistics, other.statistics);
    assert!(run.statistics.accepted < 200 && other.statistics.accepted > 4000);
    // Van der Pol's oscillator with μ = 10³ over a slow part and a jump, against the explicit method.
    let van_der_pol = || {
        from_row_fn(2, |_, x, out: &mut [f64]| {
            out[0] = x[1];
            out[1] = 1e3 * ((1.0 - x[0] * x[0]) * x[1] - x[0]);
            Ok(())
        })
    };
    let grid = between(0.0, 1.2, 1);
    let field = FiniteDifference::new(van_der_pol());
    let stiff = OdeSolver { field, method: Rosenbrock::new(1e-7, 1e-7).unwrap(), grid: grid.clone() };
    let explicit = OdeSolver { field: van_der_pol(), method: Tsit5::new(1e-9, 1e-9).unwrap(), grid };
    let (a, b) = (last(&stiff, &[2.0, -0.66]), last(&explicit, &[2.0, -0.66]));
    assert!(distance(&a, &b) < 1e-5, "{a:?} {b:?}");
}

/// A mixture in two dimensions with all kinds of covariance.
fn mixture() -> Mixture {
    let component =
        |weight, mean: [f64; 2], covariance| Component { weight, mean: array![mean[0], mean[1]], covariance };
    Mixture::new(vec![
        component(0.5, [1.0, -0.5], Covariance::Isotropic(0.2)),
        component(0.3, [-1.0, 0.8], Covariance::Diagonal(array![0.5, 0.1])),
        component(0.2, [0.5, 1.5], Covariance::Full(array![[0.4, 0.2], [0.2, 0.3]])),
    ])
    .expect("valid")
}

/// Standard normals for rows.
fn normals(rows: std::ops::Range<u64>, d: usize, label: &str) -> Array2<f64> {
    let rows: Vec<u64> = rows.collect();
    let mut x = Array2::zeros((rows.len(), d));
    Noise::new(seed(41)).fork(label).normals_into(&rows, 0, &mut x);
    x
}

#[test]
fn a_row_depends_on_itself_alone() {
    let model = mixture().denoiser::<f64, _>(Ou);
    let x = normals(0..300, 2, "rows");
    for variable in [Variable::Time, Variable::Angle] {
        let flow = ProbabilityFlow::new(&model, variable);
        let grid = flow.grid(&between(3.0, 1e-2, 5)).unwrap();
        let check = |run: &dyn Fn(std::ops::Range<u64>) -> sde_core::Trajectory<f64>| {
            let all = run(0..300);
            for part in [0..1, 17..18, 130..299, 299..300] {
                let some = run(part.clone());
                let range = part.start as usize..part.end as usize;
                assert_eq!(some.states, all.states.slice(s![range, .., ..]));
            }
        };
        let start =
            |rows: &std::ops::Range<u64>| x.slice(s![rows.start as usize..rows.end as usize, ..]).to_owned();
        let tsit5 = OdeSolver { field: flow, method: Tsit5::new(1e-6, 1e-6).unwrap(), grid: grid.clone() };
        check(&|rows| {
            tsit5.run(Start::Rows(&start(&rows)), Keep::All, rows, Control::default()).expect("solvable")
        });
        let stiff =
            OdeSolver { field: flow, method: Rosenbrock::new(1e-3, 1e-3).unwrap(), grid: grid.clone() };
        check(&|rows| {
            stiff.run(Start::Rows(&start(&rows)), Keep::All, rows, Control::default()).expect("solvable")
        });
        // Other blocks than those of the field.
        let batching = numeric::Batching { rows: 7, ..Default::default() };
        let field = with_batching(flow, batching).unwrap();
        let cut = OdeSolver { field, method: Tsit5::new(1e-6, 1e-6).unwrap(), grid };
        let cut = cut.run(Start::Rows(&x), Keep::All, 0..300, Control::default()).unwrap();
        assert_eq!(cut, tsit5.run(Start::Rows(&x), Keep::All, 0..300, Control::default()).unwrap());
        assert!(cut.statistics.rejected > 0);
    }
}

#[test]
fn what_is_kept() {
    let grid = TimeGrid::from_nodes(vec![0.0, 0.1, 0.7, 1.3, 2.0]).unwrap();
    for keep_fixed in [true, false] {
        let run = |keep: Keep<'_, f64>| {
            let start = Start::Point(&[1.0, 0.0]);
            if keep_fixed {
                OdeSolver { field: oscillator(), method: FixedStep::Heun, grid: grid.clone() }.run(
                    start,
                    keep,
                    3..6,
                    Control::default(),
                )
            } else {
                OdeSolver { field: oscillator(), method: Tsit5::new(1e-8, 1e-8).unwrap(), grid: grid.clone() }
                    .run(start, keep, 3..6, Control::default())
            }
        };
        let all = run(Keep::All).unwrap();
        assert_eq!((all.states.dim(), all.times.clone()), ((3, 5, 2), grid.nodes().to_vec()));
        assert_eq!(run(Keep::Last).unwrap().states, all.states.slice(s![.., 4..5, ..]));
        assert_eq!(run(Keep::Nodes(&[1, 3])).unwrap().states, all.states.slice(s![.., 1..4;2, ..]));
        let energy = |node: usize, time: Time, x: &[f64], out: &mut [f64]| {
            out.copy_from_slice(&[node as f64, time.t, x[0] * x[0] + x[1] * x[1]]);
        };
        let mapped = run(Keep::Map { dim: 3, map: &energy }).unwrap();
        for k in 0..5 {
            let (x, y) = (all.states[(1, k, 0)], all.states[(1, k, 1)]);
            let kept = mapped.states.slice(s![1, k, ..]).to_vec();
            assert_eq!(kept, [k as f64, grid.node(k).t, x * x + y * y]);
        }
        for nodes in [&[][..], &[2, 2], &[3, 1], &[5]] {
            assert!(run(Keep::Nodes(nodes)).is_err());
        }
        if !keep_fixed {
            for (k, time) in all.times.iter().enumerate() {
                assert!((all.states[(0, k, 0)] - time.t.cos()).abs() < 1e-7);
            }
        }
    }
}

#[test]
fn ends_are_exact_and_failures_have_a_row_and_a_time() {
    // dx/dt = 1: the state is the time that was really walked.
    let clock = || {
        from_row_fn(1, |_, _, out: &mut [f64]| {
            out[0] = 1.0;
            Ok(())
        })
    };
    let tsit5 = || Tsit5::new(1e-6, 1e-6).unwrap();
    for (from, to) in [(0.0, 0.3), (0.3, 0.1), (-1.0, 1e-9), (1e-12, 2e-12)] {
        let solver = OdeSolver { field: clock(), method: tsit5(), grid: between(from, to, 3) };
        let run = solver.run(Start::Point(&[from]), Keep::All, 0..1, Control::default()).unwrap();
        assert_eq!(run.times.last().map(|time| time.t), Some(to));
        for (k, time) in run.times.iter().enumerate() {
            assert!((run.states[(0, k, 0)] - time.t).abs() <= 4.0 * f64::EPSILON * from.abs().max(to.abs()));
        }
    }
    // x' = x² explodes at t = 1/x(0): rows 3 and 5 at 1/2 and 1/4, the others later.
    let blow_up = from_row_fn(1, |_, x, out: &mut [f64]| {
        out[0] = x[0] * x[0];
        Ok(())
    });
    let x = array![[0.1], [0.5], [0.2], [2.0], [0.3], [4.0]];
    let solver = OdeSolver { field: blow_up, method: tsit5(), grid: between(0.0, 1.0, 1) };
    let error = solver.run(Start::Rows(&x), Keep::Last, 0..6, Control::default()).unwrap_err();
    let (Error::Stalled { row, time, .. } | Error::NotFinite { row, time, .. }) = error else {
        panic!("{error:?}")
    };
    assert!(row == 3 && (time - 0.5).abs() < 1e-6, "{error}");
    // Too many steps.
    let few = Tsit5::with(Tolerance::new(1e-6, 1e-6).unwrap().max_steps(3).unwrap());
    let solver = OdeSolver { field: oscillator(), method: few, grid: between(0.0, 100.0, 1) };
    let error = solver.run(Start::Point(&[1.0, 0.0]), Keep::Last, 7..9, Control::default()).unwrap_err();
    assert!(matches!(error, Error::Stalled { row: 7, .. }), "{error}");
    assert!(error.to_string().contains("row 7 stalled at time"));
    // A field that is not finite, at the start and later; a NaN state.
    let wall = |at: f64| {
        from_row_fn(1, move |time: Time, _, out: &mut [f64]| {
            out[0] = if time.t >= at { f64::NAN } else { 1.0 };
            Ok(())
        })
    };
    for (at, step) in [(0.0, 0), (0.5, 1)] {
        let solver = OdeSolver { field: wall(at), method: tsit5(), grid: between(0.0, 1.0, 1) };
        let error = solver.run(Start::Point(&[0.0]), Keep::Last, 0..2, Control::default()).unwrap_err();
        let Error::NotFinite { row: 0, step: found, time, .. } = error else { panic!("{error:?}") };
        assert!(found >= step && (time - at).abs() < 1e-9, "{error}");
        let solver = OdeSolver { field: wall(at), method: FixedStep::Rk4, grid: between(0.0, 1.0, 4) };
        assert!(matches!(
            solver.run(Start::Point(&[0.0]), Keep::Last, 0..2, Control::default()),
            Err(Error::NotFinite { row: 0, .. })
        ));
    }
    let solver = OdeSolver { field: clock(), method: tsit5(), grid: between(0.0, 1.0, 1) };
    assert!(solver.run(Start::Point(&[f64::NAN]), Keep::Last, 0..1, Control::default()).is_err());
    // Refusals.
    let refused = solver.run(Start::Prior, Keep::Last, 0..1, Control::default());
    assert!(matches!(refused, Err(Error::Unsupported { .. })));
    assert!(matches!(
        solver.run(Start::Point(&[1.0, 2.0]), Keep::Last, 0..1, Control::default()),
        Err(Error::Shape { .. })
    ));
    assert!(solver.run(Start::Rows(&array![[1.0]]), Keep::Last, 0..2, Control::default()).is_err());
    assert_eq!(
        solver.run(Start::Point(&[0.0]), Keep::Last, 4..4, Control::default()).unwrap().states.dim(),
        (0, 1, 1)
    );
    for (rtol, atol) in [(f64::NAN, 1.0), (-1.0, 1.0), (0.0, 0.0), (0.1, f64::NAN), (0.1, f64::INFINITY)] {
        assert!(Tolerance::new(rtol, atol).is_err() && Dopri5::new(rtol, atol).is_err());
    }
    assert!(Tolerance::new(1e-3, 1e-3).unwrap().first_step(0.0).is_err());
    assert!(Tolerance::new(1e-3, 1e-3).unwrap().max_steps(0).is_err());
}

#[test]
fn crossings_of_the_oscillator_are_where_they_should_be() {
    // x = cos(t + φ): zero at π/2 − φ, falling, then rising at 3π/2 − φ, and so on.
    let phases = [0.0_f64, 0.3, -0.4, 1.0];
    let x = Array2::from_shape_fn((4, 2), |(i, j)| if j == 0 { phases[i].cos() } else { -phases[i].sin() });
    let place = |_: Time, x: &[f64]| x[0];
    let solver = OdeSolver {
        field: oscillator(),
        method: Tsit5::new(1e-12, 1e-12).unwrap(),
        grid: between(0.0, 10.0, 1),
    };
    let run = |events: &[Event<'_, f64>]| {
        solver.run_until(Start::Rows(&x), events, 0..4, Control::default()).expect("solvable").0
    };
    let event = |direction, terminal| Event { function: &place, direction, terminal };
    for (passage, phase) in run(&[event(Direction::Either, false)]).iter().zip(phases) {
        let exact: Vec<f64> =
            (0..4).map(|k| PI * (f64::from(k) + 0.5) - phase).filter(|&t| t > 0.0 && t < 10.0).collect();
        assert_eq!(passage.crossings.len(), exact.len());
        for (crossing, exact) in passage.crossings.iter().zip(exact) {
            assert!((crossing.time.t - exact).abs() < 1e-9, "{} for {exact}", crossing.time.t);
            assert!(crossing.state[0].abs() < 1e-12 && (crossing.state[1].abs() - 1.0).abs() < 1e-9);
        }
        assert!(!passage.ended && passage.time.t == 10.0);
        assert!((passage.state[0] - (10.0 + phase).cos()).abs() < 1e-9);
    }
    for (direction, quarter) in [(Direction::Falling, 0.5), (Direction::Rising, 1.5)] {
        for (passage, phase) in run(&[event(direction, true)]).iter().zip(phases) {
            assert!(passage.ended && (passage.time.t - (quarter * PI - phase)).abs() < 1e-9);
            assert_eq!(passage.crossings.len(), 1);
            assert_eq!(
                (passage.crossings[0].time, &passage.crossings[0].state),
                (passage.time, &passage.state)
            );
        }
    }
    // Never: the amplitude is 1.
    let far = |_: Time, x: &[f64]| x[0] - 1.5;
    let passages = run(&[Event { function: &far, direction: Direction::Either, terminal: true }]);
    assert!(passages.iter().all(|p| !p.ended && p.crossings.is_empty() && p.time.t == 10.0));
    // Two events at one time, in the order of the list; what comes after a terminal one is dropped.
    let twice = |_: Time, x: &[f64]| 2.0 * x[0];
    let later = |time: Time, _: &[f64]| time.t - (0.5 * PI + 1e-6);
    let events = [
        Event { function: &later, direction: Direction::Rising, terminal: false },
        event(Direction::Falling, true),
        Event { function: &twice, direction: Direction::Falling, terminal: false },
    ];
    let first = &run(&events)[0];
    assert_eq!(first.crossings.iter().map(|c| c.event).collect::<Vec<_>>(), [1, 2]);
    // On the surface at the start: not a crossing. Row 0 starts at x' = 0, and meets it again at π.
    let speed = |_: Time, x: &[f64]| x[1];
    let first = &run(&[Event { function: &speed, direction: Direction::Either, terminal: true }])[0];
    assert!((first.time.t - PI).abs() < 1e-9);
    // Reached exactly at a node, and left on the other side: one crossing.
    let clock = from_row_fn(1, |_, _, out: &mut [f64]| {
        out[0] = 1.0;
        Ok(())
    });
    let loose = Tsit5::with(Tolerance::new(0.0, 1e9).unwrap().first_step(0.5).unwrap());
    let line = OdeSolver { field: clock, method: loose, grid: between(0.0, 8.0, 1) };
    let at_half = |time: Time, _: &[f64]| time.t - 0.5;
    let half = Event { function: &at_half, direction: Direction::Either, terminal: false };
    let way = line.run_until(Start::Point(&[0.0]), &[half], 0..1, Control::default()).unwrap().0;
    assert_eq!(way[0].crossings.len(), 1);
    assert_eq!(way[0].crossings[0].time.t, 0.5);
    // Backwards in time, by the other methods, and by one that cannot.
    let back = between(0.0, -3.0, 1);
    let check = |passages: Vec<sde_core::ode::Passage<f64>>, tolerance: f64| {
        assert!(passages[0].ended && (passages[0].time.t + 0.5 * PI).abs() < tolerance, "{passages:?}");
    };
    let zero = [event(Direction::Falling, true)];
    let start = Start::Point(&[1.0, 0.0]);
    let dopri5 =
        OdeSolver { field: oscillator(), method: Dopri5::new(1e-12, 1e-12).unwrap(), grid: back.clone() };
    check(dopri5.run_until(start, &zero, 0..1, Control::default()).unwrap().0, 1e-9);
    let field = FiniteDifference::new(oscillator());
    let ros = OdeSolver { field, method: Rosenbrock::new(1e-9, 1e-9).unwrap(), grid: back.clone() };
    check(ros.run_until(start, &zero, 0..1, Control::default()).unwrap().0, 1e-6);
    let heun = OdeSolver { field: oscillator(), method: FixedStep::Heun, grid: back };
    assert!(matches!(heun.run_until(start, &zero, 0..1, Control::default()), Err(Error::Unsupported { .. })));
}

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
    let method = Tsit5::new(1e-4, 1e-4).unwrap();
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

#[test]
fn an_event_that_is_no_number_is_an_error() {
    let field = from_row_fn(1, |_, _, out: &mut [f64]| {
        out[0] = 1.0;
        Ok(())
    });
    let grid = TimeGrid::uniform(0.0, 2.0, 1).unwrap();
    let solver = OdeSolver { field, method: Tsit5::new(1e-6, 1e-6).unwrap(), grid };
    for from in [0.0, 1.0] {
        let bad = move |time: Time, _: &[f64]| if time.t >= from { f64::NAN } else { -1.0 };
        let event = Event { function: &bad, direction: Direction::Either, terminal: false };
        let found = solver.run_until(Start::Point(&[0.0]), &[event], 7..8, Control::default());
        assert!(
            matches!(found, Err(Error::NotFinite { what: "the event function", row: 7, .. })),
            "{found:?}"
        );
    }
}

/// Row i of a field that breaks down at `walls[i]`: the lowest row is reported, not the first to get there; also where
/// rows run out of steps, and where one is not finite from the start.
#[test]
fn of_several_failing_rows_the_lowest_is_reported() {
    let walls = [9.0, 9.0, 0.7, 9.0, 0.2, 0.9, 0.0];
    let field = || {
        from_fn(1, move |batch: &Batch<'_, f64>, out: &mut ArrayRef2<f64>| {
            for (i, (out, &row)) in out.iter_mut().zip(batch.rows()).enumerate() {
                *out = if batch.times().get(i).t >= walls[row as usize] { f64::NAN } else { 1.0 };
            }
            Ok(())
        })
    };
    let (method, grid) = (Tsit5::new(1e-6, 1e-6).unwrap(), between(0.0, 1.0, 1));
    let solver = OdeSolver { field: field(), method, grid: grid.clone() };
    for (rows, lowest) in [(0..7, 2), (3..7, 4), (5..7, 5), (6..7, 6)] {
        let error = solver.run(Start::Point(&[0.0]), Keep::Last, rows, Control::default()).unwrap_err();
        assert!(matches!(error, Error::NotFinite { row, .. } if row == lowest), "{error}");
    }
    let few = Tsit5::with(Tolerance::new(1e-6, 1e-6).unwrap().max_steps(12).unwrap());
    let solver = OdeSolver { field: field(), method: few, grid };
    for (rows, lowest) in [(0..5, 2), (3..6, 4)] {
        let error = solver.run(Start::Point(&[0.0]), Keep::Last, rows, Control::default()).unwrap_err();
        assert!(matches!(error, Error::Stalled { row, .. } if row == lowest), "{error}");
    }
}
