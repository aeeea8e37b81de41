//! What a run keeps, and how it fails.

use numeric::ndarray::{Array2, ArrayRef2, array, s};
use numeric::{
    Batch, Batching, Control, Error, FiniteDifference, Real, Time, TimeGrid, VectorField, from_fn,
    from_row_fn, with_batching,
};
use sde_core::ode::{
    Direction, Dopri5, Event, FixedStep, OdeMethod, OdeSolver, ProbabilityFlow, Rosenbrock, Tolerance, Tsit5,
    Variable,
};
use sde_core::{Keep, Ou, Start};

use super::{between, mixture, normals, oscillator};

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
        // Whether somebody looks at the steps or not, the first that is not finite is named: also if the field refuses such states.
        let refuses = from_row_fn(1, move |time: Time, x, out: &mut [f64]| {
            out[0] = if time.t >= at { f64::NAN } else { 1.0 };
            Error::domain(x[0].is_finite(), "x", x[0], "a finite number")
        });
        let refused = OdeSolver { field: refuses, method: FixedStep::Euler, grid: between(0.0, 1.0, 4) };
        let error = refused.run(Start::Point(&[0.0]), Keep::Last, 0..2, Control::default()).unwrap_err();
        assert!(
            matches!(error, Error::NotFinite { row: 0, step: found, .. } if found == 2 * step),
            "{error}"
        );
        for keep in [Keep::Last, Keep::All] {
            let error = solver.run(Start::Point(&[0.0]), keep, 0..2, Control::default()).unwrap_err();
            assert!(
                matches!(error, Error::NotFinite { row: 0, step: found, .. } if found == step),
                "{error}"
            );
        }
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

/// Row i of a field that breaks down at `walls[i]`: the lowest row is reported, not the first to get there; also where
/// rows run out of steps, and where one is not finite from the start.
#[test]
fn of_several_failing_rows_the_lowest_is_reported() {
    let walls = [9.0, 9.0, 0.7, 9.0, 0.2, 0.9, 0.0];
    for d in [1, 16, 17] {
        let field = || {
            from_fn(d, move |batch: &Batch<'_, f64>, out: &mut ArrayRef2<f64>| {
                for (i, (mut out, &row)) in out.rows_mut().into_iter().zip(batch.rows()).enumerate() {
                    out.fill(if batch.times().get(i).t >= walls[row as usize] { f64::NAN } else { 1.0 });
                }
                Ok(())
            })
        };
        let (start, grid) = (vec![0.0; d], between(0.0, 1.0, 1));
        let solver =
            OdeSolver { field: field(), method: Tsit5::new(1e-6, 1e-6).unwrap(), grid: grid.clone() };
        for (rows, lowest) in [(0..7, 2), (3..7, 4), (5..7, 5), (6..7, 6)] {
            let error = solver.run(Start::Point(&start), Keep::Last, rows, Control::default()).unwrap_err();
            assert!(matches!(error, Error::NotFinite { row, .. } if row == lowest), "{error}");
        }
        let few = Tsit5::with(Tolerance::new(1e-6, 1e-6).unwrap().max_steps(12).unwrap());
        let solver = OdeSolver { field: field(), method: few, grid };
        for (rows, lowest) in [(0..5, 2), (3..6, 4)] {
            let error = solver.run(Start::Point(&start), Keep::Last, rows, Control::default()).unwrap_err();
            assert!(matches!(error, Error::Stalled { row, .. } if row == lowest), "{error}");
        }
    }
}

/// Rows that leave their block and are rejected at times of their own, to the bit: with the others, in parts, in other blocks.
fn alone<F: Real>(d: usize) {
    let field = || {
        from_row_fn(d, |time, x, out: &mut [F]| {
            let rate = F::of(8.0 * (3.0 * time.t).sin());
            out.iter_mut().zip(x).for_each(|(out, &x)| *out = rate * x * (F::one() - x));
            Ok(())
        })
    };
    let x = Array2::from_shape_fn((40, d), |(row, k)| F::of(0.1 + 0.7 * ((row * d + k) as f64).sin().abs()));
    let (method, grid) = (Tsit5::new(1e-5, 1e-5).unwrap(), between(0.0, 4.0, 5));
    let solver = OdeSolver { field: field(), method, grid: grid.clone() };
    let all = solver.run(Start::Rows(&x), Keep::All, 0..40, Control::default()).unwrap();
    assert!(all.statistics.rejected > 0 && all.states.iter().all(|x| x.is_finite()));
    for part in [0..1_u64, 7..8, 13..39, 39..40] {
        let range = part.start as usize..part.end as usize;
        let start = x.slice(s![range.clone(), ..]).to_owned();
        let some = solver.run(Start::Rows(&start), Keep::All, part, Control::default()).unwrap();
        assert_eq!(some.states, all.states.slice(s![range, .., ..]), "{d}");
    }
    let field = with_batching(field(), Batching { rows: 7, ..Default::default() }).unwrap();
    let cut = OdeSolver { field, method, grid };
    assert_eq!(cut.run(Start::Rows(&x), Keep::All, 0..40, Control::default()).unwrap(), all, "{d}");
}

#[test]
fn rows_of_any_length_depend_on_themselves_alone() {
    for d in [1, 3, 16, 17, 32] {
        alone::<f64>(d);
        alone::<f32>(d);
    }
}

/// A field that looks at its whole block, as a network may: by hand for x' = mean of the block, whose blocks are completed by
/// rows that start where the nearest row asked for does. Methods with steps of each row have no whole blocks, and say so.
#[test]
fn fields_that_are_not_rowwise_get_whole_blocks_or_are_refused() {
    let batching = Batching { rows: 8, rowwise: false, serial: true };
    let mean = || {
        let mean = from_fn(1, |batch: &Batch<'_, f64>, out: &mut ArrayRef2<f64>| {
            assert_eq!(batch.len(), 8);
            out.fill(batch.x().mean().expect("not empty"));
            Ok(())
        });
        with_batching(mean, batching).expect("valid")
    };
    let starts = Array2::from_shape_fn((26, 1), |(i, _)| (i * i) as f64);
    let solver = OdeSolver { field: mean(), method: FixedStep::Euler, grid: between(0.0, 1.0, 2) };
    let run = solver.run(Start::Rows(&starts), Keep::Last, 3..29, Control::default()).expect("solvable");
    let start = |row: usize| starts[(row.clamp(3, 28) - 3, 0)];
    for row in 3..29 {
        let first = row / 8 * 8;
        let mean = (first..first + 8).map(start).sum::<f64>() / 8.0;
        // Two steps of ½: the mean itself grows by half of it in each.
        let exact = start(row) + 0.5 * mean + 0.5 * 1.5 * mean;
        assert!((run.states[(row - 3, 0, 0)] - exact).abs() < 1e-10 * (1.0 + exact), "row {row}");
    }
    // From one point the bits of a row do not depend on the range asked for.
    let part = |rows| {
        solver.run(Start::Point(&[2.0]), Keep::Last, rows, Control::default()).expect("solvable").states
    };
    assert_eq!(part(0..40).slice(s![5..11, .., ..]), part(5..11));
    fn refused<M: OdeMethod<f64, V>, V: VectorField<f64>>(method: M, name: &str, field: V) {
        let solver = OdeSolver { field, method, grid: between(0.0, 1.0, 2) };
        let done = solver.run(Start::Point(&[2.0]), Keep::Last, 0..3, Control::default());
        assert!(
            matches!(done, Err(Error::Unsupported { method, reason }) if method == name && reason.contains("with_batching"))
        );
        let place = |_: Time, x: &[f64]| x[0] - 3.0;
        let event = Event { function: &place, direction: Direction::Either, terminal: true };
        let done = solver.run_until(Start::Point(&[2.0]), &[event], 0..3, Control::default());
        assert!(matches!(done, Err(Error::Unsupported { method, .. }) if method == name), "{done:?}");
    }
    refused(Tsit5::new(1e-6, 1e-6).unwrap(), "Tsit5", mean());
    refused(Dopri5::new(1e-6, 1e-6).unwrap(), "Dopri5", mean());
    refused(Rosenbrock::new(1e-6, 1e-6).unwrap(), "ROS34PW2", FiniteDifference::new(mean()));
}

/// A fixed step uses the buffers of other blocks, of other sizes and of methods with more stages.
#[test]
fn fixed_steps_leave_nothing_behind_for_the_next_block() {
    let x = normals(0..300, 2, "fixed");
    let field = with_batching(oscillator(), Batching { rows: 7, ..Batching::default() }).unwrap();
    for method in [FixedStep::Rk4, FixedStep::Euler, FixedStep::Midpoint, FixedStep::Heun] {
        let solver = OdeSolver { field: &field, method, grid: between(0.0, 2.0, 5) };
        let run = |rows: std::ops::Range<usize>| {
            let start = x.slice(s![rows.clone(), ..]).to_owned();
            let rows = rows.start as u64..rows.end as u64;
            solver.run(Start::Rows(&start), Keep::All, rows, Control::default()).expect("solvable").states
        };
        let all = run(0..300);
        for row in [0, 6, 7, 150, 299] {
            assert_eq!(run(row..row + 1), all.slice(s![row..=row, .., ..]), "{method:?} of row {row}");
        }
    }
}

#[test]
fn fields_without_coordinates_are_refused() {
    let field = from_row_fn(0, |_, _, _: &mut [f64]| Ok(()));
    for method in [FixedStep::Euler, FixedStep::Rk4] {
        let solver =
            OdeSolver { field: &field, method, grid: TimeGrid::uniform(0.0, 1.0, 2).expect("a grid") };
        let run = solver.run(Start::Point(&[]), Keep::Last, 0..3, Control::default());
        assert!(matches!(run, Err(Error::Domain { parameter: "dim", .. })));
    }
}

/// Coordinates that all do the same: the norm of the error, and with it each step, is that of one, but for the rounding of the
/// error, ε over the tolerance of it. `accuracy` is far below what a wrong step does, which is of the size of the tolerance.
fn widths<M>(method: &M, accuracy: f64)
where
    M: for<'a> OdeMethod<f64, &'a FiniteDifference<Box<dyn VectorField<f64>>>>,
{
    let solve = |d: usize| {
        let field: Box<dyn VectorField<f64>> = Box::new(from_row_fn(d, |time, x, out: &mut [f64]| {
            let rate = 8.0 * (3.0 * time.t).sin();
            out.iter_mut().zip(x).for_each(|(out, x)| *out = rate * x * (1.0 - x));
            Ok(())
        }));
        let field = FiniteDifference::new(field);
        let start = Array2::from_shape_fn((9, d), |(row, _)| 0.1 + 0.1 * row as f64);
        let solver = OdeSolver { field: &field, method, grid: between(0.0, 4.0, 3) };
        solver.run(Start::Rows(&start), Keep::All, 0..9, Control::default()).expect("solvable")
    };
    let one = solve(1);
    assert!(one.statistics.rejected > 0);
    for d in [2, 3, 16, 17, 32, 48] {
        let run = solve(d);
        assert_eq!(run.statistics, one.statistics, "{d}");
        for (place, x) in run.states.indexed_iter() {
            let error = (x - one.states[(place.0, place.1, 0)]).abs();
            assert!(error <= accuracy, "{d}, {place:?}: {error:e}");
        }
    }
}

#[test]
fn rows_of_any_length_take_the_same_steps() {
    let tolerance = |both: f64| Tolerance::new(both, both).unwrap();
    widths(&Tsit5::with(tolerance(1e-6)), 1e-10);
    widths(&Dopri5::with(tolerance(1e-6)), 1e-10);
    widths(&Rosenbrock::with(tolerance(1e-4)), 1e-7);
}

/// Tolerances that are 0 or infinite in single precision.
#[test]
fn no_error_is_compared_with_zero_or_infinity() {
    for d in [1, 3, 16, 17] {
        let field = from_row_fn(d, |_, x, out: &mut [f32]| {
            out.iter_mut().zip(x).for_each(|(out, x)| *out = -x);
            Ok(())
        });
        let solver = OdeSolver { field, method: Tsit5::new(1e39, 1.0).unwrap(), grid: between(0.0, 0.1, 1) };
        let run = solver.run(Start::Point(&vec![1.0; d]), Keep::Last, 0..2, Control::default()).unwrap();
        assert!(run.states.iter().all(|&x| (x - (-0.1_f32).exp()).abs() < 1e-6), "{d}");
        let field = from_row_fn(d, |_, _, out: &mut [f32]| {
            out.fill(0.0);
            Ok(())
        });
        let solver = OdeSolver { field, method: Tsit5::new(0.0, 1e-60).unwrap(), grid: between(0.0, 1.0, 1) };
        let run = solver.run(Start::Point(&vec![0.0; d]), Keep::Last, 0..2, Control::default()).unwrap();
        assert!(run.states.iter().all(|&x| x == 0.0) && run.statistics.rejected == 0, "{d}");
    }
}
