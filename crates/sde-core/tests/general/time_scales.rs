//! Nothing depends on the unit of time: in one that is 4^k times as long the same numbers come out, to the bit.

use numeric::ndarray::{Array2, Array3};
use numeric::{Control, FiniteDifference, Noise, TimeGrid, from_row_fn};
use proptest::prelude::*;
use sde_core::integrator::{
    EulerMaruyama, Heun, ImplicitEuler, LevyMilstein, Midpoint, Milstein, PlatenWeak2, Sosra, Sra1, Sra3,
    Sri1W1, TamedEuler,
};
use sde_core::ode::{Dopri5, FixedStep, OdeMethod, OdeSolver, Rosenbrock, Tsit5};
use sde_core::{AdaptiveSolver, Additive, Diagonal, Integrator, Keep, Reading, Solver, Start, Tolerance};
use verify::{seed, strategy::cases};

const NODES: [f64; 4] = [0.0, 0.3, 0.5, 1.25];

/// In a unit of which 4^k make one of these.
fn grid(k: i32) -> TimeGrid {
    TimeGrid::from_nodes(NODES.map(|t| t * 4_f64.powi(k)).to_vec()).expect("a grid")
}

/// `x' = (sin x_2 − x_1, cos x_1 − ½ x_2)` per unit.
fn field(k: i32) -> impl numeric::VectorField<f64> {
    let rate = 4_f64.powi(-k);
    from_row_fn(2, move |_, x, out: &mut [f64]| {
        (out[0], out[1]) = (rate * (x[1].sin() - x[0]), rate * (x[0].cos() - 0.5 * x[1]));
        Ok(())
    })
}

fn additive(k: i32) -> Additive<f64, impl numeric::VectorField<f64>> {
    Additive::new(field(k), &(Array2::eye(2) * (0.3 * 2_f64.powi(-k)))).expect("valid")
}

fn diagonal(k: i32) -> impl sde_core::Sde<f64> {
    let sigma = from_row_fn(2, move |_, x, out: &mut [f64]| {
        out.iter_mut().zip(x).for_each(|(out, x)| *out = 0.2 * 2_f64.powi(-k) * (1.5 + x.sin()));
        Ok(())
    });
    Diagonal::new(Reading::Ito, field(k), sigma).expect("valid")
}

const START: Start<'_, f64> = Start::Point(&[0.4, -0.9]);

fn fixed(sde: impl sde_core::Sde<f64>, method: &dyn Integrator<f64>, k: i32) -> Array3<f64> {
    let solver = Solver::new(sde, method, grid(k)).expect("solves it");
    solver.run(START, Keep::All, 0..5, Noise::new(seed(60)), Control::default()).expect("finite").states
}

fn adaptive(k: i32, size: f64) -> (Array3<f64>, u64) {
    let tolerance = Tolerance { relative: size, absolute: size };
    let solver = AdaptiveSolver::new(additive(k), Sra1, grid(k), tolerance).expect("solves it");
    let run =
        solver.run(START, Keep::All, 0..5, Noise::new(seed(61)), Control::default()).expect("gets there");
    (run.states, run.statistics.rejected)
}

fn ode(
    method: &dyn OdeMethod<f64, FiniteDifference<Box<dyn numeric::VectorField<f64>>>>,
    k: i32,
    x: [f64; 2],
) -> Array3<f64> {
    let field = FiniteDifference::new(Box::new(field(k)) as Box<dyn numeric::VectorField<f64>>);
    let solver = OdeSolver { field, method, grid: grid(k) };
    solver.run(Start::Point(&x), Keep::All, 0..1, Control::default()).expect("gets there").states
}

proptest! {
    #![proptest_config(cases(62, 24))]

    #[test]
    fn fixed_steps(k in -30..30_i32) {
        let of_additive: [&dyn Integrator<f64>; 9] =
            [&EulerMaruyama, &TamedEuler, &ImplicitEuler, &Heun, &Midpoint, &Sra1, &Sosra, &Sra3, &PlatenWeak2];
        for method in of_additive {
            prop_assert_eq!(fixed(additive(k), method, k), fixed(additive(0), method, 0), "{}", method.name());
        }
        let of_diagonal: [&dyn Integrator<f64>; 5] =
            [&EulerMaruyama, &Milstein, &LevyMilstein { depth: 1 }, &Sri1W1, &PlatenWeak2];
        for method in of_diagonal {
            prop_assert_eq!(fixed(diagonal(k), method, k), fixed(diagonal(0), method, 0), "{}", method.name());
        }
    }

    #[test]
    fn adaptive_steps(k in -30..30_i32, digits in 1.0..4.0_f64) {
        let size = 10_f64.powf(-digits);
        let found = adaptive(k, size);
        prop_assert_eq!(&found, &adaptive(0, size));
    }

    /// From anywhere, and from 0, where the state has no size.
    #[test]
    fn steps_of_ordinary_equations(k in -30..30_i32, digits in 2.0..9.0_f64, at_zero in any::<bool>()) {
        let (size, x) = (10_f64.powf(-digits), if at_zero { [0.0; 2] } else { [0.4, -0.9] });
        let (tsit5, dopri5) = (Tsit5::new(size, size).unwrap(), Dopri5::new(size, size).unwrap());
        let stiff = Rosenbrock::new(size, size).unwrap();
        prop_assert_eq!(ode(&tsit5, k, x), ode(&tsit5, 0, x));
        prop_assert_eq!(ode(&dopri5, k, x), ode(&dopri5, 0, x));
        prop_assert_eq!(ode(&stiff, k, x), ode(&stiff, 0, x));
        prop_assert_eq!(ode(&FixedStep::Rk4, k, x), ode(&FixedStep::Rk4, 0, x));
    }
}

/// In single precision the squares of large rates overflow: what is compared has no unit.
#[test]
fn fast_equations_in_single_precision() {
    for rate in [1e-15_f32, 1.0, 1e15] {
        let field = from_row_fn(1, move |_, x, out: &mut [f32]| {
            out[0] = -rate * x[0];
            Ok(())
        });
        let (method, grid) =
            (Tsit5::new(1e-6, 1e-6).unwrap(), TimeGrid::uniform(0.0, 10.0 / f64::from(rate), 1));
        let solver = OdeSolver { field, method, grid: grid.expect("a grid") };
        let run =
            solver.run(Start::Point(&[1.0_f32]), Keep::Last, 0..1, Control::default()).expect("solvable");
        assert!((run.states[(0, 0, 0)] - (-10_f32).exp()).abs() < 1e-5, "{rate}");
        assert!(run.statistics.accepted < 60, "{rate}: {:?}", run.statistics);
    }
}
