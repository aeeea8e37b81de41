//! The controller of the step sizes as it is documented: what is accepted, the first step, and what is counted.

use std::sync::Mutex;

use numeric::ndarray::{ArrayRef2, array};
use numeric::{
    Batch, Control, Error, FiniteDifference, JacobianProducts, Scratch, TimeGrid, VectorField, from_row_fn,
};
use sde_core::ode::{Dopri5, FixedStep, OdeMethod, OdeSolver, Rosenbrock, Tolerance, Tsit5};
use sde_core::{Keep, Start, Statistics};

use super::between;

/// `x' = λ x` in any dimension, which remembers the times at which each row was asked for.
struct Recorded {
    rates: Vec<f64>,
    /// From this time on it is not finite.
    wall: f64,
    constant: f64,
    times: Mutex<Vec<f64>>,
}

impl Recorded {
    fn new(rates: &[f64]) -> Recorded {
        Recorded { rates: rates.to_vec(), wall: f64::INFINITY, constant: 0.0, times: Mutex::new(Vec::new()) }
    }

    fn times(&self) -> Vec<f64> {
        self.times.lock().expect("no panic").clone()
    }
}

impl VectorField<f64> for Recorded {
    fn dim(&self) -> usize {
        self.rates.len()
    }
    fn eval_into(
        &self,
        batch: &Batch<'_, f64>,
        out: &mut ArrayRef2<f64>,
        _: &mut Scratch,
    ) -> Result<(), Error> {
        for (i, mut out) in out.rows_mut().into_iter().enumerate() {
            let time = batch.times().get(i).t;
            self.times.lock().expect("no panic").push(time);
            for ((out, rate), x) in out.iter_mut().zip(&self.rates).zip(batch.x().row(i)) {
                *out = if time >= self.wall { f64::NAN } else { self.constant + rate * x };
            }
        }
        Ok(())
    }
}

impl JacobianProducts<f64> for Recorded {
    fn jvp_into(
        &self,
        _: &Batch<'_, f64>,
        v: &ArrayRef2<f64>,
        out: &mut ArrayRef2<f64>,
        _: &mut Scratch,
    ) -> Result<(), Error> {
        for (mut out, v) in out.rows_mut().into_iter().zip(v.rows()) {
            out.iter_mut().zip(&self.rates).zip(v).for_each(|((out, rate), v)| *out = rate * v);
        }
        Ok(())
    }
}

type Method = dyn for<'a> OdeMethod<f64, &'a Recorded>;
type Make = fn(Tolerance) -> Box<Method>;

const METHODS: [Make; 3] =
    [|t| Box::new(Tsit5::with(t)), |t| Box::new(Dopri5::with(t)), |t| Box::new(Rosenbrock::with(t))];

fn run(field: &Recorded, method: &Method, grid: TimeGrid, start: &[f64]) -> Result<Statistics, Error> {
    let solver = OdeSolver { field, method: Borrowed(method), grid };
    solver.run(Start::Point(start), Keep::Last, 0..1, Control::default()).map(|run| run.statistics)
}

/// Whether a first try of a step over the whole way h is accepted.
fn accepts(make: Make, (rtol, atol): (f64, f64), rates: &[f64], start: &[f64], h: f64) -> bool {
    let tolerance = Tolerance::new(rtol, atol).expect("valid").first_step(h).expect("valid");
    let done = run(&Recorded::new(rates), &*make(tolerance), between(0.0, h, 1), start);
    done.expect("solvable").rejected == 0
}

/// The h at which an increasing function is `value`.
fn solve(f: impl Fn(f64) -> f64, value: f64) -> f64 {
    let (mut low, mut high) = (1e-3, 2.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if f(middle) < value { low = middle } else { high = middle }
    }
    low
}

/// On x' = x the estimates are polynomials, or rational functions, of h. That of Dormand and Prince: Hairer, Wanner (1996),
/// *Solving ordinary differential equations II*, section IV.2; the others from the published coefficients by other code.
#[test]
fn a_step_is_accepted_exactly_up_to_the_tolerance() {
    let estimate = |z: f64| z.powi(5) * (97.0 - 39.0 * z + 5.0 * z * z) / 120_000.0;
    let dopri5 = solve(estimate, 1e-3);
    let lengths = [1.309_761_895_838_523_8, dopri5, 0.260_100_309_246_749_4];
    for (make, h) in METHODS.into_iter().zip(lengths) {
        for (factor, accepted) in [(1.0 - 1e-6, true), (1.0 + 1e-6, false)] {
            assert_eq!(accepts(make, (0.0, 1e-3), &[1.0], &[1.0], factor * h), accepted, "{h}");
        }
    }
    // In the mean square over three coordinates of which one moves, relative to the larger end of the step: where it ends
    // for x' = x, where it starts for x' = −x.
    let end = |z: f64| {
        1.0 + z * (1.0 + z * (0.5 + z * (1.0 / 6.0 + z / 24.0))) + z.powi(5) / 120.0 + z.powi(6) / 600.0
    };
    let growing = solve(|z| estimate(z) / end(z), 1e-4 * 3.0_f64.sqrt());
    let falling = solve(|z| estimate(-z).abs(), 1e-4 * 3.0_f64.sqrt());
    for (rate, h) in [(1.0, growing), (-1.0, falling)] {
        for (factor, accepted) in [(1.0 - 1e-6, true), (1.0 + 1e-6, false)] {
            let found = accepts(METHODS[1], (1e-4, 1e-12), &[0.0, rate, 0.0], &[0.0, 1.0, 0.0], factor * h);
            assert_eq!(found, accepted, "{rate} {h}");
        }
    }
}

/// Hairer, Nørsett, Wanner (1993), section II.4, by hand: with one try allowed, its last evaluation is at its end.
#[test]
fn the_first_step_is_that_of_the_book() {
    let tolerance = Tolerance::new(0.0, 1.0).expect("valid").max_steps(1).expect("valid");
    for (make, k) in METHODS.into_iter().zip([5.0, 5.0, 3.0]) {
        let first = |field: Recorded, start: f64| {
            let done = run(&field, &*make(tolerance), between(0.0, 1e3, 1), &[start]);
            assert!(
                matches!(done, Err(Error::Stalled { row: 0, .. } | Error::NotFinite { row: 0, .. })),
                "{done:?}"
            );
            let times = field.times();
            [times[1], times[times.len() - 1]]
        };
        let near = |found: [f64; 2], exact: [f64; 2]| {
            for (found, exact) in found.into_iter().zip(exact) {
                assert!((found / exact - 1.0).abs() < 1e-9, "{found} for {exact}, k = {k}");
            }
        };
        // x' = −x from 2: d0 = d1 = d2 = 2.
        near(first(Recorded::new(&[-1.0]), 2.0), [0.01, 0.005_f64.powf(1.0 / k)]);
        // x' = 1 from 0.01: d0 = 0.01, d1 = 1, d2 = 0, and 0.01 is a hundred times the guess.
        near(first(Recorded { constant: 1.0, ..Recorded::new(&[0.0]) }, 0.01), [1e-4, 1e-2]);
        // From 0 the guess is 10⁻⁶ of the run.
        near(first(Recorded { constant: 1.0, ..Recorded::new(&[0.0]) }, 0.0), [1e-3, 1e-1]);
        // x' = 1 from 100, not finite at the trial point 1: the guess must do.
        near(first(Recorded { constant: 1.0, wall: 0.9, ..Recorded::new(&[0.0]) }, 100.0), [1.0, 1.0]);
    }
}

#[test]
fn what_is_counted_was_done() {
    for (make, each) in METHODS.into_iter().zip([6, 6, 5]) {
        let tolerance = Tolerance::new(1e-3, 1e-3).expect("valid");
        let field = Recorded::new(&[-1.0, -80.0]);
        let cost = run(&field, &*make(tolerance), between(0.0, 3.0, 1), &[1.0, 5.0]).expect("solvable");
        assert_eq!(cost.calls, field.times().len() as u64);
        assert_eq!(cost.calls, 2 + each * (cost.accepted + cost.rejected));
        // As many tries as are allowed, and not one more.
        for most in [1, 2, 7] {
            let field = Recorded::new(&[-1.0]);
            let few = tolerance.max_steps(most).expect("valid");
            let done = run(&field, &*make(few), between(0.0, 1e6, 1), &[1.0]);
            assert!(matches!(done, Err(Error::Stalled { row: 0, .. })), "{done:?}");
            assert_eq!(field.times().len() as u64, 2 + each * most);
        }
        // What is not finite at the start is found there.
        let field = Recorded { wall: -1.0, ..Recorded::new(&[-1.0]) };
        let done = run(&field, &*make(tolerance), between(0.0, 1.0, 1), &[1.0]);
        assert!(matches!(done, Err(Error::NotFinite { row: 0, step: 0, time: 0.0, .. })), "{done:?}");
        assert_eq!(field.times().len(), 1);
    }
    // Fixed steps: the step that broke down, by its number and its start.
    let field = Recorded { wall: 0.6, ..Recorded::new(&[-1.0]) };
    let done = run(&field, &FixedStep::Euler, between(0.0, 1.0, 4), &[1.0]);
    assert!(matches!(done, Err(Error::NotFinite { row: 0, step: 3, time: 0.75, .. })), "{done:?}");
}

/// The time as one more coordinate changes nothing, if ∂V/∂t enters as it should. One step of length 0.2; without that
/// term the two differ by 2·10⁻⁴, and by 1.4·10⁻⁸ with the difference in place of the derivative.
#[test]
fn the_stiff_method_takes_time_as_one_more_coordinate() {
    let tolerance = Tolerance::new(0.0, 1e6).expect("valid").first_step(1.0).expect("valid");
    let method = Rosenbrock::with(tolerance);
    let moving = from_row_fn(1, |time, x, out: &mut [f64]| {
        out[0] = -x[0] * x[0] + (3.0 * time.t).sin();
        Ok(())
    });
    let still = from_row_fn(2, |_, x, out: &mut [f64]| {
        out[0] = -x[0] * x[0] + (3.0 * x[1]).sin();
        out[1] = 1.0;
        Ok(())
    });
    let grid = between(0.3, 0.5, 1);
    let moving = OdeSolver { field: FiniteDifference::new(moving), method, grid: grid.clone() };
    let still = OdeSolver { field: FiniteDifference::new(still), method, grid };
    let a = moving.run(Start::Point(&[1.2]), Keep::Last, 0..1, Control::default()).expect("solvable");
    let b = still.run(Start::Point(&[1.2, 0.3]), Keep::Last, 0..1, Control::default()).expect("solvable");
    assert_eq!((a.statistics.accepted, b.statistics.accepted), (1, 1));
    let gap = (a.states[(0, 0, 0)] - b.states[(0, 0, 0)]).abs();
    assert!(gap < 1e-6, "{gap:e}");
}

/// A row that its visitor ends stays where it was, also where the others step on together.
#[test]
fn a_row_that_is_ended_stays_there() {
    let start = array![[1.0], [2.0]];
    let tolerance = Tolerance::new(0.0, 1e3).expect("valid").first_step(0.25).expect("valid");
    let methods: [Box<Method>; 2] = [Box::new(FixedStep::Euler), Box::new(Tsit5::with(tolerance))];
    for (method, factor) in methods.iter().zip([0.75, (-0.25_f64).exp()]) {
        let field = Recorded::new(&[-1.0]);
        let mut x = start.clone();
        let mut shown = 0;
        let mut once = |_: &sde_core::ode::Piece<'_, f64>| {
            shown += 1;
            Ok(true)
        };
        let grid = between(0.0, 1.0, 4);
        method
            .integrate(&&field, &grid, &[0, 1], &mut x, Some(&mut once), &mut Scratch::new())
            .expect("solvable");
        assert_eq!(shown, 2, "each row once");
        assert!((&x - factor * &start).iter().all(|gap| gap.abs() < 1e-6), "{x}");
    }
}

/// A borrowed method as a method: what [`OdeSolver`] takes.
struct Borrowed<'m>(&'m Method);

impl OdeMethod<f64, &Recorded> for Borrowed<'_> {
    fn name(&self) -> &'static str {
        self.0.name()
    }
    fn order(&self) -> usize {
        self.0.order()
    }
    fn dense(&self) -> bool {
        self.0.dense()
    }
    fn integrate(
        &self,
        field: &&Recorded,
        grid: &TimeGrid,
        rows: &[u64],
        x: &mut ArrayRef2<f64>,
        visit: Option<&mut sde_core::ode::Visit<'_, f64>>,
        scratch: &mut Scratch,
    ) -> Result<Statistics, Error> {
        self.0.integrate(field, grid, rows, x, visit, scratch)
    }
}
