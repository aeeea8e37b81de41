//! Single steps and hard equations.

use numeric::ndarray::array;
use numeric::{Control, Error, Noise, Real, TimeGrid, from_row_fn};
use sde_core::integrator::{
    EulerMaruyama, ImplicitEuler, LevyMilstein, Milstein, PlatenWeak2, Sra1, Sri1W1, TamedEuler,
};
use sde_core::problems::{DoubleWell, Heisenberg, Tanh};
use sde_core::{
    Additive, Diagonal, Integrator, Keep, NoiseClass, OrnsteinUhlenbeck, Reading, Sde, Solver, Start,
};
use verify::{Family, Moments, scores, seed};

use super::grid;

/// Euler's moments explode with the cube of a large state, tamed and implicit steps do not.
#[test]
fn tamed_and_implicit_steps_hold_a_steep_drift() {
    let sde = DoubleWell { dim: 1, sigma: 1.0 };
    let coarse = TimeGrid::uniform(0.0, 10.0, 40).expect("a grid");
    let run = |method: &dyn Integrator<f64>| {
        let solver = Solver::new(sde, method, coarse.clone()).expect("valid");
        solver.run(Start::Point(&[20.0]), Keep::Last, 0..200, Noise::new(seed(3)), Control::default())
    };
    assert!(matches!(run(&EulerMaruyama), Err(Error::NotFinite { .. })));
    for method in [&TamedEuler as &dyn Integrator<f64>, &ImplicitEuler] {
        assert!(run(method).expect("finite").states.iter().all(|x| x.abs() < 4.0), "{}", method.name());
    }
}

/// A tamed step is of length below 1 towards where the drift points, also where the square of the drift overflows.
#[test]
fn tamed_steps_follow_drifts_whose_squares_are_infinite() {
    fn end<F: Real>(size: f64) -> Result<F, Error> {
        let drift = from_row_fn(2, move |_, _, out: &mut [F]| {
            (out[0], out[1]) = (F::of(-0.6 * size), F::of(0.8 * size));
            Ok(())
        });
        let sde = Additive::new(drift, &array![[0.0], [0.0]]).expect("valid");
        let solver = Solver::new(sde, TamedEuler, grid(4)).expect("valid");
        let start = [F::of(5.0), F::of(0.0)];
        let run = solver.run(Start::Point(&start), Keep::Last, 0..1, Noise::new(1), Control::default())?;
        assert!((run.states[(0, 0, 1)].as_f64() - 3.2).abs() < 1e-5);
        Ok(run.states[(0, 0, 0)])
    }
    // Four steps of length 1 along (−0.6, 0.8).
    assert!((end::<f32>(1e30).expect("finite") - 2.6).abs() < 1e-5);
    assert!((end::<f64>(1e200).expect("finite") - 2.6).abs() < 1e-12);
    for size in [f64::INFINITY, f64::NAN] {
        assert!(matches!(end::<f64>(size), Err(Error::NotFinite { step: 0, .. })));
    }
}

/// Areas from below the deepest level of the tree are refused before the run.
#[test]
fn levy_areas_are_of_levels_that_the_tree_has() {
    let of = |depth| Solver::<f64, _, _>::new(Heisenberg, LevyMilstein { depth }, grid(2)).map(drop);
    assert_eq!(of(40), Ok(()));
    assert!(matches!(of(41), Err(Error::Domain { parameter: "depth", value: 41.0, .. })));
    let deep = Solver::<f64, _, _>::new(Heisenberg, LevyMilstein { depth: 38 }, grid(2)).expect("valid");
    assert!(std::panic::catch_unwind(|| deep.refined(3)).is_err());
}

/// A stiff linear equation: the implicit step is `x' = (x + σ W)/(1 + a h)`, whatever a h.
#[test]
fn implicit_steps_solve_a_stiff_equation() {
    let (a, h) = (1e4, 0.1);
    let stiff = OrnsteinUhlenbeck::new(a, vec![0.0, 3.0], 2.0).expect("valid");
    let still = OrnsteinUhlenbeck::new(0.0, vec![0.0, 3.0], 2.0).expect("valid");
    let one = TimeGrid::uniform(0.0, h, 1).expect("a grid");
    let run = |sde: &OrnsteinUhlenbeck, method: &dyn Integrator<f64>| {
        let solver = Solver::new(sde, method, one.clone()).expect("valid");
        let run = solver.run(Start::Point(&[1.0, 1.0]), Keep::Last, 0..50, Noise::new(1), Control::default());
        run.expect("finite").states
    };
    let (implicit, pushed) = (run(&stiff, &ImplicitEuler), run(&still, &EulerMaruyama));
    for i in 0..50 {
        for (j, m) in [0.0, 3.0].into_iter().enumerate() {
            let exact = (pushed[(i, 0, j)] + a * h * m) / (1.0 + a * h);
            assert!((implicit[(i, 0, j)] - exact).abs() < 1e-9);
        }
    }
    // No solution: x' = x + h (x'² + 1) with h = 1 has none.
    let drift = from_row_fn(1, |_, x, out: &mut [f64]| {
        out[0] = x[0] * x[0] + 1.0;
        Ok(())
    });
    let hopeless = Additive::new(drift, &array![[0.0]]).expect("valid");
    let solver = Solver::new(hopeless, ImplicitEuler, grid(1)).expect("valid");
    let run = solver.run(Start::Point(&[0.0]), Keep::Last, 0..1, Noise::new(1), Control::default());
    assert!(
        matches!(run, Err(Error::NotConverged { routine: "ImplicitEuler", iterations: 50, .. })),
        "{run:?}"
    );
}

/// One step of Euler–Maruyama and Milstein on diagonal noise is what the formula says, in law and per row.
#[test]
fn single_steps_are_the_formulas() {
    let (x0, h) = (0.4, 0.5);
    let tanh = Tanh { dim: 1, a: 0.3, b: 0.8 };
    let noise = Noise::new(seed(60));
    let one = TimeGrid::uniform(0.0, h, 1).expect("a grid");
    let run = |method: &dyn Integrator<f64>, sde: &dyn Sde<f64>| {
        let solver = Solver::new(sde, method, one.clone()).expect("valid");
        let run = solver.run(Start::Point(&[x0]), Keep::Last, 0..20_000, noise, Control::default());
        run.expect("finite").states.into_iter().collect::<Vec<f64>>()
    };
    let still = from_row_fn(1, |_, _, out: &mut [f64]| {
        out[0] = 0.0;
        Ok(())
    });
    let path = Additive::new(still, &array![[1.0]]).expect("valid");
    let w: Vec<f64> = run(&EulerMaruyama, &path).iter().map(|x| x - x0).collect();
    let scores = scores(&w, &Moments { mean: 0.0, std_dev: f64::sqrt(h), kurtosis: 3.0 }).expect("valid");
    let mut family = Family::new(1e-4).expect("a rate");
    family.push("mean", verify::normal_p_value(scores.z));
    family.push("variance", verify::normal_p_value(scores.y));
    family.assert();
    let (f, g, dg) = (-(0.3 + 0.64 * x0) * (1.0 - x0 * x0), 0.8 * (1.0 - x0 * x0), -1.6 * x0);
    for ((euler, milstein), w) in run(&EulerMaruyama, &tanh).iter().zip(run(&Milstein, &tanh)).zip(&w) {
        assert!((euler - (x0 + f * h + g * w)).abs() < 1e-14);
        assert!((milstein - (x0 + f * h + g * w + 0.5 * g * dg * (w * w - h))).abs() < 1e-14);
    }
}

/// Additive noise as a special case of the others: every method that takes both gives the same path.
#[test]
fn classes_agree_where_they_meet() {
    let drift = || {
        from_row_fn(2, |_, x, out: &mut [f64]| {
            (out[0], out[1]) = (-x[1], x[0] - x[1]);
            Ok(())
        })
    };
    let constant = from_row_fn(2, |_, _, out: &mut [f64]| {
        (out[0], out[1]) = (0.5, 0.25);
        Ok(())
    });
    let additive = Additive::new(drift(), &array![[0.5, 0.0], [0.0, 0.25]]).expect("valid");
    let diagonal = Diagonal::new(Reading::Ito, drift(), constant).expect("valid");
    let run = |sde: &dyn Sde<f64>, method: &dyn Integrator<f64>| {
        let solver = Solver::new(sde, method, grid(10)).expect("valid").with_areas();
        let run = solver.run(Start::Point(&[1.0, 0.0]), Keep::Last, 0..20, Noise::new(9), Control::default());
        run.expect("finite").states
    };
    for method in
        [&EulerMaruyama as &dyn Integrator<f64>, &Milstein, &LevyMilstein { depth: 0 }, &PlatenWeak2]
    {
        let gap = run(&additive, method) - run(&diagonal, method);
        assert!(gap.iter().all(|gap| gap.abs() < 1e-13), "{}", method.name());
    }
    // SRA1 and SRI1W1 are different methods of order 1½.
    let gap = run(&additive, &Sra1) - run(&diagonal, &Sri1W1);
    assert!(gap.iter().all(|gap| gap.abs() < 2e-3), "{gap}");
    assert_eq!(Sde::<f64>::noise_class(&Heisenberg), NoiseClass::General);
}
