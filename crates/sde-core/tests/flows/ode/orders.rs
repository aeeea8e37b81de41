//! Orders, tolerances and stiffness.

use numeric::ndarray::s;
use numeric::{Batch, Control, Error, FiniteDifference, Scratch, Time, TimeGrid, VectorField, from_row_fn};
use sde_core::ode::{Dopri5, FixedStep, OdeMethod, OdeSolver, Rosenbrock, Tolerance, Tsit5};
use sde_core::{Keep, Start};

use super::{PUSHED, assert_order, between, distance, last, pendulum, pendulum_at_2};

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
