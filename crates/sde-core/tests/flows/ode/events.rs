//! Crossings of surfaces.

use numeric::ndarray::Array2;
use numeric::{Control, Error, FiniteDifference, Time, TimeGrid, from_row_fn};
use sde_core::Start;
use sde_core::ode::{Direction, Dopri5, Event, FixedStep, OdeSolver, Rosenbrock, Tolerance, Tsit5};
use std::f64::consts::PI;

use super::{between, oscillator};

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
    // By the number of the step on which it is looked at.
    let steps = Tsit5::with(Tolerance::new(0.0, 1e-9).unwrap().first_step(0.125).unwrap());
    let field = from_row_fn(1, |_, _, out: &mut [f64]| {
        out[0] = 1.0;
        Ok(())
    });
    let solver = OdeSolver { field, method: steps, grid: between(0.0, 20.0, 1) };
    // Steps grow tenfold: 1/8, 5/4, 25/2.
    let bad = |time: Time, _: &[f64]| if time.t > 1.5 { f64::NAN } else { -1.0 };
    let event = Event { function: &bad, direction: Direction::Either, terminal: false };
    let found = solver.run_until(Start::Point(&[0.0]), &[event], 7..8, Control::default());
    assert!(matches!(found, Err(Error::NotFinite { row: 7, step: 2, .. })), "{found:?}");
}

/// x' = 1 in one long step over (0, 1): the sign of g is looked at where each quarter ends.
#[test]
fn signs_are_looked_at_where_the_quarters_of_a_step_end() {
    let clock = from_row_fn(1, |_, _, out: &mut [f64]| {
        out[0] = 1.0;
        Ok(())
    });
    let loose = Tsit5::with(Tolerance::new(0.0, 1e9).unwrap().first_step(2.0).unwrap());
    let solver = OdeSolver { field: clock, method: loose, grid: between(0.0, 1.0, 1) };
    let zeros = |function: &(dyn Fn(Time, &[f64]) -> f64 + Sync), direction| {
        let event = Event { function, direction, terminal: false };
        let found = solver.run_until(Start::Point(&[0.0]), &[event], 0..1, Control::default()).unwrap();
        assert_eq!(found.1.accepted, 1);
        found.0[0].crossings.iter().map(|crossing| crossing.time.t).collect::<Vec<_>>()
    };
    let near = |found: Vec<f64>, exact: &[f64]| {
        assert!(
            found.len() == exact.len() && found.iter().zip(exact).all(|(a, b)| (a - b).abs() < 1e-12),
            "{found:?}"
        );
    };
    // Both zeros of a parabola if a quarter ends between them, and neither if none does.
    near(zeros(&|_, x| (x[0] - 0.2) * (x[0] - 0.3), Direction::Either), &[0.2, 0.3]);
    near(zeros(&|_, x| (x[0] - 0.7) * (x[0] - 0.8), Direction::Rising), &[0.8]);
    near(zeros(&|_, x| (x[0] - 0.7) * (x[0] - 0.8), Direction::Falling), &[0.7]);
    near(zeros(&|_, x| (x[0] - 0.1) * (x[0] - 0.2), Direction::Either), &[]);
    // Who starts on the surface has not crossed it, whichever way it leaves.
    near(zeros(&|_, x| x[0], Direction::Rising), &[]);
    near(zeros(&|_, x| -x[0], Direction::Falling), &[]);
    // Nor has who touches it at the end of a quarter crossed it once more when it leaves.
    near(zeros(&|_, x| x[0] - 0.5, Direction::Rising), &[0.5]);
    near(zeros(&|_, x| 0.5 - x[0], Direction::Falling), &[0.5]);
}
