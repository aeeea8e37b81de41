//! The solver: what it refuses, what it keeps, where its rows come from, and what it does with hard equations.

mod implicit;
mod langevin;
mod steps;

use numeric::ndarray::{Array2, Array3, ArrayRef2, array, s};
use numeric::{Batch, Batching, Control, Error, Noise, TimeGrid, from_fn, from_row_fn, with_batching};
use sde_core::integrator::{
    Baoab, EulerHeun, EulerMaruyama, Heun, ImplicitEuler, LevyMilstein, Midpoint, Milstein, PlatenWeak2,
    Sosra, Sra1, Sra3, Sri1W1, TamedEuler,
};
use sde_core::problems::{DoubleWell, Lorenz, LorenzNoise, Tanh, Waves};
use sde_core::{
    Additive, Component, Covariance, ExactTransition, GeometricBrownian, Integrator, Keep, Mixture,
    OrnsteinUhlenbeck, Ou, Reading, ReverseTime, Sde, Solver, Start, Statistics, Trajectory,
    UnderdampedLangevin, as_ito, as_stratonovich,
};
use verify::seed;

fn grid(steps: usize) -> TimeGrid {
    TimeGrid::uniform(0.0, 1.0, steps).expect("a grid")
}

fn reason(sde: &dyn Sde<f64>, method: &dyn Integrator<f64>) -> Option<String> {
    Solver::new(sde, method, grid(2)).err().map(|error| error.to_string())
}

#[test]
fn methods_are_refused_where_they_do_not_converge() {
    let (tanh, waves, well) =
        (Tanh { dim: 1, a: 0.0, b: 1.0 }, Waves { strength: 1.0 }, DoubleWell { dim: 1, sigma: 1.0 });
    assert_eq!(
        reason(&waves, &Milstein).expect("general noise"),
        "Milstein: it solves equations with commutative noise only, which includes additive, scalar and diagonal"
    );
    assert_eq!(reason(&tanh, &Sra1).expect("diagonal"), "Sra1: it solves equations with additive noise only");
    for sde in [&waves as &dyn Sde<f64>, &well] {
        let refused = reason(sde, &Sri1W1).expect("neither scalar nor diagonal");
        assert_eq!(refused, "Sri1W1: it solves equations with scalar or diagonal noise only");
    }
    // Readings, each way; additive noise is the same in both.
    for method in [&EulerHeun as &dyn Integrator<f64>, &Heun, &Midpoint] {
        assert!(reason(&tanh, method).expect("Itô").contains("`as_stratonovich`"));
        assert_eq!(reason(&as_stratonovich(tanh), method), None);
        assert_eq!(reason(&well, method), None);
    }
    let stratonovich = as_stratonovich(tanh);
    for method in [&EulerMaruyama as &dyn Integrator<f64>, &TamedEuler, &ImplicitEuler, &Sri1W1, &PlatenWeak2]
    {
        assert!(reason(&stratonovich, method).expect("Stratonovich").contains("`as_ito`"));
        assert_eq!(reason(&as_ito(&stratonovich), method), None);
    }
    for method in [&Milstein as &dyn Integrator<f64>, &LevyMilstein { depth: 1 }] {
        assert_eq!((reason(&tanh, method), reason(&stratonovich, method)), (None, None));
    }
}

type Run<F> = Result<Trajectory<F>, Error>;

fn lorenz(rows: std::ops::Range<u64>, keep: Keep<'_, f64>) -> Run<f64> {
    let sde = Lorenz { noise: LorenzNoise::Multiplicative(0.1) };
    let solver = Solver::new(sde, Sri1W1, TimeGrid::uniform(0.0, 0.1, 10).expect("a grid")).expect("valid");
    solver.refined(1).run(Start::Point(&[1.0, 1.0, 20.0]), keep, rows, Noise::new(5), Control::default())
}

#[test]
fn starts_and_kept_nodes_are_checked() {
    let solver = Solver::new(DoubleWell { dim: 2, sigma: 1.0 }, EulerMaruyama, grid(4)).expect("valid");
    fn checked(
        solver: &Solver<f64, DoubleWell, EulerMaruyama>,
        start: Start<'_, f64>,
        keep: Keep<'_, f64>,
    ) -> Run<f64> {
        solver.run(start, keep, 10..13, Noise::new(1), Control::default())
    }
    let run = |start, keep| checked(&solver, start, keep);
    assert!(matches!(run(Start::Prior, Keep::Last), Err(Error::Unsupported { method: "EulerMaruyama", .. })));
    assert!(matches!(run(Start::Point(&[0.0]), Keep::Last), Err(Error::Shape { parameter: "start", .. })));
    assert!(matches!(
        checked(&solver, Start::Rows(&Array2::zeros((4, 2))), Keep::Last),
        Err(Error::Shape { .. })
    ));
    assert!(matches!(
        checked(&solver, Start::Rows(&Array2::zeros((3, 1))), Keep::Last),
        Err(Error::Shape { .. })
    ));
    let keeping = |nodes: &[usize]| {
        checked(&solver, Start::Point(&[0.0, 0.0]), Keep::Nodes(nodes)).map(|run| run.times.len())
    };
    assert_eq!(keeping(&[]), Ok(0));
    assert!(matches!(keeping(&[0, 5]), Err(Error::Entry { index: 1, value: 5.0, .. })));
    assert!(matches!(keeping(&[2, 2]), Err(Error::Entry { index: 1, .. })));
    assert_eq!(keeping(&[0, 4]), Ok(2));
    let map = Keep::Map { dim: 0, map: &|_, _, _: &[f64], _: &mut [f64]| {} };
    assert!(matches!(run(Start::Point(&[0.0, 0.0]), map), Err(Error::Domain { parameter: "keep.dim", .. })));
    // No rows at all.
    let empty = solver.run(Start::Point(&[0.0, 0.0]), Keep::All, 3..3, Noise::new(1), Control::default());
    assert_eq!(empty.expect("nothing to do").states.shape(), [0, 5, 2]);
}

#[test]
fn what_is_kept_does_not_change_the_path() {
    let all = lorenz(0..70, Keep::All).expect("finite");
    assert_eq!((all.states.shape(), all.times.len()), (&[70, 21, 3][..], 21));
    assert_eq!(all.statistics, Statistics { calls: 70 * 20 * 2, accepted: 70 * 20, rejected: 0 });
    assert!(all.states.slice(s![.., 0, ..]).rows().into_iter().all(|row| row == array![1.0, 1.0, 20.0]));
    let last = lorenz(0..70, Keep::Last).expect("finite");
    assert_eq!(last.states.slice(s![.., 0, ..]), all.states.slice(s![.., 20, ..]));
    let some = lorenz(0..70, Keep::Nodes(&[3, 17])).expect("finite");
    assert_eq!(some.states, all.states.select(numeric::ndarray::Axis(1), &[3, 17]));
    assert_eq!(some.times, [all.times[3], all.times[17]]);
    let map = |node: usize, time: numeric::Time, x: &[f64], out: &mut [f64]| {
        (out[0], out[1]) = (x[0] + x[2], node as f64 + time.t);
    };
    let mapped = lorenz(0..70, Keep::Map { dim: 2, map: &map }).expect("finite");
    assert_eq!(mapped.states[(9, 17, 0)], all.states[(9, 17, 0)] + all.states[(9, 17, 2)]);
    assert_eq!(mapped.states[(9, 17, 1)], 17.0 + all.times[17].t);
}

#[test]
fn a_shard_has_the_bits_of_the_whole() {
    let whole = lorenz(0..200, Keep::All).expect("finite");
    let shard = lorenz(37..150, Keep::All).expect("finite");
    assert_eq!(shard.states, whole.states.slice(s![37..150, .., ..]));
    // Every method, rows by themselves and in company, with starts of their own.
    let starts = Array2::from_shape_fn((90, 2), |(i, j)| 0.1 * (i + j) as f64 - 3.0);
    let methods: [&dyn Integrator<f64>; 13] = [
        &EulerMaruyama,
        &TamedEuler,
        &ImplicitEuler,
        &Milstein,
        &LevyMilstein { depth: 2 },
        &EulerHeun,
        &Midpoint,
        &Heun,
        &Sra1,
        &Sosra,
        &Sra3,
        &Sri1W1,
        &PlatenWeak2,
    ];
    let problems: [&dyn Sde<f64>; 3] =
        [&Waves { strength: 1.0 }, &DoubleWell { dim: 2, sigma: 1.0 }, &Tanh { dim: 2, a: 0.1, b: 0.2 }];
    for method in methods {
        for sde in problems.iter().filter(|sde| method.orders(sde.noise_class()).is_some()) {
            let sde: Box<dyn Sde<f64>> = match method.reading() {
                Some(Reading::Stratonovich) => Box::new(as_stratonovich(*sde)),
                _ => Box::new(as_ito(*sde)),
            };
            let solver = Solver::new(&*sde, method, grid(5)).expect("valid").refined(1);
            let tame = starts.mapv(|x| 0.2 * x);
            let run = |from: usize, to: usize| {
                let start = tame.slice(s![from..to, ..]).to_owned();
                let rows = 1000 + from as u64..1000 + to as u64;
                let run =
                    solver.run(Start::Rows(&start), Keep::Last, rows, Noise::new(3), Control::default());
                run.expect("finite").states
            };
            let whole = run(0, 90);
            assert_eq!(run(7, 8), whole.slice(s![7..8, .., ..]), "{}", method.name());
            assert_eq!(run(20, 89), whole.slice(s![20..89, .., ..]), "{}", method.name());
        }
    }
}

/// Of many rows with few numbers, blocks are larger: the same bits as of rows in the blocks that the equation asks for.
#[test]
fn larger_blocks_have_the_same_bits() {
    let (waves, tanh) = (Waves { strength: 1.0 }, Tanh { dim: 2, a: 0.1, b: 0.2 });
    let cases: [(&dyn Sde<f64>, &dyn Integrator<f64>); 4] = [
        (&waves, &LevyMilstein { depth: 2 }),
        (&waves, &PlatenWeak2),
        (&tanh, &Sri1W1),
        (&tanh, &ImplicitEuler),
    ];
    for (sde, method) in cases {
        let solver = Solver::new(sde, method, grid(3)).expect("solvable");
        let go = |rows| {
            let start = Start::Point(&[0.3, -0.2]);
            let run = solver.run(start, Keep::Last, rows, Noise::new(3), Control::default());
            run.expect("finite").states
        };
        assert_eq!(go(37..150), go(0..5000).slice(s![37..150, .., ..]), "{}", method.name());
    }
}

#[test]
fn threads_do_not_matter() {
    let in_pool = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        pool.install(|| lorenz(0..300, Keep::Last).expect("finite"))
    };
    assert_eq!(in_pool(1), in_pool(3));
}

/// A drift that couples the rows of its batch must be given whole aligned blocks.
#[test]
fn fields_that_are_not_rowwise_get_whole_blocks() {
    let drift = || {
        let field = from_fn(1, |batch: &numeric::Batch<'_, f64>, out: &mut ArrayRef2<f64>| {
            out.fill(batch.x().sum());
            Ok(())
        });
        with_batching(field, Batching { rows: 8, rowwise: false, serial: false }).expect("valid")
    };
    let solver = Solver::new(Additive::new(drift(), &array![[1.0]]).expect("valid"), EulerMaruyama, grid(3))
        .expect("valid");
    let run = |rows| solver.run(Start::Point(&[0.5]), Keep::Last, rows, Noise::new(1), Control::default());
    let (whole, shard) = (run(0..24).expect("finite"), run(5..18).expect("finite"));
    assert_eq!(shard.states, whole.states.slice(s![5..18, .., ..]));
}

/// dX = dW is solved exactly by every method: the same path at all refinements, with and without areas.
#[test]
fn refinements_walk_one_brownian_path() {
    let still = from_row_fn(2, |_, _, out: &mut [f64]| {
        out.fill(0.0);
        Ok(())
    });
    let path = Additive::new(still, &Array2::eye(2)).expect("valid");
    let uneven = TimeGrid::from_nodes(vec![0.0, 0.1, 0.7, 1.0]).expect("a grid");
    let solver = Solver::new(&path, EulerMaruyama, uneven).expect("valid");
    for areas in [false, true] {
        let solver = if areas { solver.clone().with_areas() } else { solver.clone() };
        let at = |level: u32| {
            let nodes: Vec<usize> = (0..4).map(|k| k << level).collect();
            let run = solver.refined(level).run(
                Start::Point(&[0.0, 0.0]),
                Keep::Nodes(&nodes),
                0..100,
                Noise::new(seed(1)),
                Control::default(),
            );
            run.expect("finite").states
        };
        let base = at(0);
        for level in [1, 2, 5] {
            assert!((at(level) - &base).iter().all(|gap| gap.abs() < 1e-14), "{areas} {level}");
        }
        // Refining twice is refining once.
        let twice = solver.refined(2).refined(3).run(
            Start::Point(&[0.0, 0.0]),
            Keep::Last,
            0..100,
            Noise::new(seed(1)),
            Control::default(),
        );
        assert_eq!(twice.expect("finite").states, at(5).slice(s![.., 3..4, ..]));
    }
}

/// The exact transition of geometric Brownian motion and the solver see one path.
#[test]
fn exact_transitions_are_on_the_path_of_the_solver() {
    let (stock, noise) = (GeometricBrownian::new(2, 0.1, 0.3).expect("valid"), Noise::new(seed(2)));
    let start = Start::Point(&[1.0, 2.0]);
    let exact =
        ExactTransition::run(&stock, &grid(200), start, Keep::Last, 0..100, noise, Control::default());
    let solver = Solver::new(stock, Milstein, grid(200)).expect("valid");
    let approximate = solver.run(start, Keep::Last, 0..100, noise, Control::default());
    let gap: Array3<f64> = exact.expect("finite").states - approximate.expect("finite").states;
    assert!(gap.iter().all(|gap| gap.abs() < 0.01), "{gap}");
}

#[test]
fn a_state_that_explodes_is_located() {
    // x' = x² from row-dependent starts: some rows explode, at different steps.
    let drift = from_row_fn(1, |_, x, out: &mut [f64]| {
        out[0] = if x[0] > 1e3 { f64::NAN } else { x[0] * x[0] };
        Ok(())
    });
    let sde = Additive::new(drift, &array![[0.0]]).expect("valid");
    let solver =
        Solver::new(sde, EulerMaruyama, TimeGrid::uniform(0.0, 10.0, 100).expect("a grid")).expect("valid");
    let starts = array![[-1.0], [0.2], [-2.0], [5.0]];
    let run = |rows| solver.run(Start::Rows(rows), Keep::Last, 100..104, Noise::new(1), Control::default());
    let Err(Error::NotFinite { row, step, time, .. }) = run(&starts) else { panic!("it explodes") };
    // By hand: x ← x + x²/10 from 0.2 passes 1000 at some step; the next one is not a number.
    let (mut x, mut passed) = (0.2_f64, 0);
    while x <= 1e3 {
        x += 0.1 * x * x;
        passed += 1;
    }
    assert_eq!((row, step), (101, passed));
    assert!((time - 0.1 * passed as f64).abs() < 1e-12);
    assert_eq!(run(&array![[-1.0], [0.0], [-2.0], [-5.0]]).expect("they decay").states.len(), 4);
}

/// An equation is solved in the direction that it is meant for. The probability flow of N(0, c) backwards, a
/// [`ReverseTime`] without noise, scales a state by the ratio of the marginals' standard deviations.
#[test]
fn grids_go_the_way_of_the_equation() {
    let component = Component { weight: 1.0, mean: array![0.0], covariance: Covariance::Isotropic(0.2) };
    let data = Mixture::new(vec![component]).expect("valid");
    let flow = || ReverseTime::new(data.score::<f64, _>(Ou), 0.0).expect("valid");
    let (down, up) = (TimeGrid::uniform(1.0, 0.1, 2000), TimeGrid::uniform(0.1, 1.0, 2000));
    let (down, up) = (down.expect("a grid"), up.expect("a grid"));
    let solver = Solver::new(flow(), Heun, down.clone()).expect("valid");
    let run = solver.run(Start::Point(&[2.0]), Keep::Last, 0..1, Noise::new(1), Control::default());
    let std = |t: f64| (1.0 - 0.8 * (-2.0 * t).exp()).sqrt();
    let exact = 2.0 * std(0.1) / std(1.0);
    assert!((run.expect("finite").states[(0, 0, 0)] - exact).abs() < 1e-6);
    let refused = |error: Error| assert!(matches!(error, Error::Unsupported { .. }), "{error}");
    refused(Solver::<f64, _, _>::new(flow(), Heun, up).expect_err("the other way"));
    let process = OrnsteinUhlenbeck::new(2.0, vec![0.0], 0.0).expect("valid");
    refused(Solver::<f64, _, _>::new(&process, Heun, down.clone()).expect_err("the other way"));
    let exact = process.run(&down, Start::Point(&[2.0]), Keep::Last, 0..1, Noise::new(1), Control::default());
    refused(exact.expect_err("the other way"));
    let dynamics = UnderdampedLangevin::new(data, 1.0).expect("valid");
    refused(Baoab::new(dynamics, down).expect_err("the other way"));
}

#[test]
fn single_precision_follows_double() {
    let sde = Lorenz { noise: LorenzNoise::Multiplicative(0.0) };
    let short = TimeGrid::uniform(0.0, 0.5, 50).expect("a grid");
    let f64s = Solver::new(sde, Sri1W1, short.clone()).expect("valid");
    let f32s = Solver::new(sde, Sri1W1, short).expect("valid");
    let double =
        f64s.run(Start::Point(&[1.0, 1.0, 20.0]), Keep::Last, 0..1, Noise::new(1), Control::default());
    let single =
        f32s.run(Start::Point(&[1.0_f32, 1.0, 20.0]), Keep::Last, 0..1, Noise::new(1), Control::default());
    let (double, single) = (double.expect("finite").states, single.expect("finite").states);
    for (a, b) in double.iter().zip(&single) {
        assert!((a - f64::from(*b)).abs() < 1e-3, "{a} {b}");
    }
}

/// A field that looks at its whole block, as a network may: rows that only complete a block start where the nearest row
/// does, and not in what a buffer held before. By hand for x' = mean of the block.
#[test]
fn rows_that_complete_a_block_start_beside_the_others() {
    let drift = from_fn(1, |batch: &Batch<'_, f64>, out: &mut ArrayRef2<f64>| {
        out.fill(batch.x().mean().expect("not empty"));
        Ok(())
    });
    let field = with_batching(drift, Batching { rows: 8, rowwise: false, serial: true }).expect("valid");
    let sde = Additive::new(field, &array![[0.0]]).expect("valid");
    let grid = TimeGrid::uniform(0.0, 1.0, 2).expect("a grid");
    let solver = Solver::new(sde, EulerMaruyama, grid).expect("valid");
    let starts = Array2::from_shape_fn((26, 1), |(i, _)| (i * i) as f64);
    let run = solver.run(Start::Rows(&starts), Keep::Last, 3..29, Noise::new(1), Control::default());
    let states = run.expect("finite").states;
    for block in 0..4_usize {
        let start = |row: usize| starts[(row.clamp(3, 28) - 3, 0)];
        let mean = (8 * block..8 * block + 8).map(start).sum::<f64>() / 8.0;
        for row in (8 * block).max(3)..(8 * block + 8).min(29) {
            // Two steps of ½: the mean itself grows by half of it in each.
            let exact = start(row) + 0.5 * mean + 0.5 * 1.5 * mean;
            assert!((states[(row - 3, 0, 0)] - exact).abs() < 1e-10 * (1.0 + exact), "row {row}");
        }
    }
}
