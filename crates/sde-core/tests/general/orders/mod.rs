//! Orders of the integrators, on one set of problems for all methods of a class of noise: strong orders on nested grids
//! of one Brownian path, weak orders by exact enumeration of a step's randomness. Each fit is given as floor how far off
//! its reference may be. `--nocapture` prints the table of docs/verification.md, and how often the floor goes into the
//! smallest error.

mod weak;

use std::f64::consts::FRAC_1_SQRT_2;

use numeric::ndarray::{Array1, Array2, ArrayRef2, s};
use numeric::{Control, Error, Noise, Time, TimeGrid, from_row_fn};
use sde_core::integrator::{
    EulerHeun, EulerMaruyama, Heun, ImplicitEuler, LevyMilstein, Midpoint, Milstein, Orders, PlatenWeak2,
    Sosra, Sra1, Sra3, Sri1W1, TamedEuler,
};
use sde_core::problems::{Cooling, Decay, DoubleWell, Heisenberg, Spiral, Tanh, Waves};
use sde_core::{
    Additive, Diagonal, General, Integrator, Keep, NoiseClass, Reading, Sde, Solver, Start, as_ito,
    as_stratonovich,
};
use verify::{OrderEstimate, OrderOptions, per_path_errors, seed, strong_order};

type Method = Box<dyn Integrator<f64>>;

/// All methods; the one with Lévy areas reads them `depth` levels below its steps.
fn methods(depth: u32) -> Vec<Method> {
    vec![
        Box::new(EulerMaruyama),
        Box::new(TamedEuler),
        Box::new(ImplicitEuler),
        Box::new(Milstein),
        Box::new(LevyMilstein { depth }),
        Box::new(EulerHeun),
        Box::new(Midpoint),
        Box::new(Heun),
        Box::new(Sra1),
        Box::new(Sosra),
        Box::new(Sra3),
        Box::new(Sri1W1),
        Box::new(PlatenWeak2),
    ]
}

/// The equation in the reading of the method.
fn read_for<'a>(method: &dyn Integrator<f64>, sde: &'a dyn Sde<f64>) -> Box<dyn Sde<f64> + 'a> {
    match method.reading() {
        Some(Reading::Ito) => Box::new(as_ito(sde)),
        Some(Reading::Stratonovich) => Box::new(as_stratonovich(sde)),
        None => Box::new(sde),
    }
}

/// Step sizes of a fit, each half of the one before: level l has 8·2^l steps on [0, end].
const LEVELS: u32 = 5;

fn step_sizes(end: f64) -> Vec<f64> {
    (0..LEVELS).map(|l| end / f64::from(8 << l)).collect()
}

/// States at the end, at `refinement` levels below the base grid, all on the path with areas.
fn ends(
    sde: &dyn Sde<f64>,
    method: &dyn Integrator<f64>,
    start: &[f64],
    end: f64,
    refinement: u32,
    rows: u64,
    noise: Noise,
) -> Array2<f64> {
    let read = read_for(method, sde);
    let grid = TimeGrid::uniform(0.0, end, 8).expect("a grid");
    let solver = Solver::new(&*read, method, grid).expect("the method solves it").with_areas();
    let run =
        solver.refined(refinement).run(Start::Point(start), Keep::Last, 0..rows, noise, Control::default());
    run.expect("finite").states.slice(s![.., 0, ..]).to_owned()
}

/// Position of the path at the end.
fn brownian_end(m: usize, end: f64, rows: u64, noise: Noise) -> Array2<f64> {
    let still = from_row_fn(m, |_, _, out: &mut [f64]| {
        out.fill(0.0);
        Ok(())
    });
    let path = Additive::<f64, _>::new(still, &Array2::eye(m)).expect("valid");
    ends(&path, &EulerMaruyama, &vec![0.0; m], end, 0, rows, noise)
}

/// The solution at the end as a function of where the path ends.
type Solution<'a> = &'a dyn Fn(&[f64]) -> Vec<f64>;

struct Problem<'a> {
    name: &'static str,
    sde: &'a dyn Sde<f64>,
    start: Vec<f64>,
    end: f64,
    /// The solution at the end on the path that ends at w, or none: then a much finer run is the reference.
    solution: Option<Solution<'a>>,
}

/// Runs that much finer than the finest level stand for solutions.
const FINER: u32 = 4;

/// Bound of rounding, relative to the size of what is computed. Enumeration with steps of 2⁻³⁰ and less, whose defects are
/// nothing but rounding, leaves an eighth of it.
const ROUNDING: f64 = 1e-13;

/// What stands for the solution, and how far off it may be.
struct Reference {
    states: Array2<f64>,
    /// The run with steps twice as long and the orders of its method; none where the solution is closed.
    coarser: Option<(Array2<f64>, Orders)>,
}

impl Reference {
    fn new(problem: &Problem<'_>, rows: u64, noise: Noise) -> Reference {
        let &Problem { sde, ref start, end, solution, .. } = problem;
        if let Some(solution) = solution {
            let w = brownian_end(sde.noise_dim(), end, rows, noise);
            let mut states = Array2::zeros((rows as usize, sde.dim()));
            for (mut state, w) in states.rows_mut().into_iter().zip(w.rows()) {
                state.assign(&Array1::from(solution(&w.to_vec())));
            }
            return Reference { states, coarser: None };
        }
        let best = |level: u32| -> Method {
            match sde.noise_class() {
                NoiseClass::Additive => Box::new(Sra1),
                NoiseClass::Scalar | NoiseClass::Diagonal => Box::new(Sri1W1),
                NoiseClass::Commutative => Box::new(Milstein),
                // Level l has the depth l below. As much more steps here, and a tree as much deeper: the errors of
                // steps and of areas both halve from one reference to the next.
                NoiseClass::General => Box::new(LevyMilstein { depth: level - FINER }),
            }
        };
        let run = |level| ends(sde, &*best(level), start, end, level, rows, noise);
        let finest = LEVELS - 1 + FINER;
        let orders = best(finest).orders(sde.noise_class()).expect("it solves it");
        Reference { states: run(finest), coarser: Some((run(finest - 1), orders)) }
    }

    /// Bound of the root mean square error of the states. With e(h) = c h^γ the run with steps twice as long is away by
    /// at least e(2h) − e(h) = (2^γ − 1) e(h).
    fn strong_error(&self) -> f64 {
        match &self.coarser {
            Some((coarser, orders)) => {
                root_mean_square(&distances(&self.states, coarser)) / (2_f64.powf(orders.strong) - 1.0)
            }
            None => ROUNDING * root_mean_square(&distances(&self.states, &Array2::zeros(self.states.dim()))),
        }
    }

    /// Bound of the error of the mean of φ, in the same way from the weak order β, two standard errors included.
    fn weak_error(&self, phi: impl Fn(&[f64]) -> f64) -> f64 {
        let values = of_rows(&self.states, &phi);
        match &self.coarser {
            Some((coarser, orders)) => {
                let coarser = of_rows(coarser, &phi);
                let gaps: Vec<f64> = values.iter().zip(coarser).map(|(a, b)| a - b).collect();
                bound_of_mean(&gaps) / (2_f64.powf(orders.weak) - 1.0)
            }
            None => ROUNDING * root_mean_square(&values),
        }
    }
}

fn distances(a: &ArrayRef2<f64>, b: &ArrayRef2<f64>) -> Vec<f64> {
    let rows = a.rows().into_iter().zip(b.rows());
    rows.map(|(a, b)| a.iter().zip(&b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt()).collect()
}

fn of_rows(states: &ArrayRef2<f64>, phi: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    states.rows().into_iter().map(|x| phi(&x.to_vec())).collect()
}

fn root_mean_square(values: &[f64]) -> f64 {
    (values.iter().map(|x| x * x).sum::<f64>() / values.len() as f64).sqrt()
}

/// |mean| and two standard errors.
fn bound_of_mean(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let square = root_mean_square(values).powi(2);
    mean.abs() + 2.0 * ((square - mean * mean).max(0.0) / (n - 1.0)).sqrt()
}

/// Every order is measured on five step sizes above the floor, to 0.1, and within 0.15 of the one declared.
fn assert_order(
    what: &str,
    declared: f64,
    floor: f64,
    fit: impl FnOnce(&OrderOptions) -> Result<OrderEstimate, Error>,
) {
    let options = OrderOptions { min_points: LEVELS as usize, floor, ..OrderOptions::default() };
    let order = fit(&options).unwrap_or_else(|error| panic!("{what}, floor {floor:.1e}: {error}"));
    let above = order.points.last().map_or(0.0, |point| point.error) / floor;
    println!("{what:<48} {declared:>4} {:>7.3} ± {:.3}, floor × {above:.1e}", order.slope, order.half_width);
    assert!(order.points.iter().all(|point| point.used), "{what}: {order:?}");
    assert!(order.half_width <= 0.1, "{what}: {order:?}");
    assert!((order.slope - declared).abs() <= 0.15, "{what}: declared {declared}, measured {order:?}");
}

/// Where the columns do not commute, the depth of the Lévy areas grows by one with each halving, as the order asks for;
/// where they do, the areas cancel.
fn strong(problem: &Problem<'_>, rows: u64, noise: Noise) {
    let exact = Reference::new(problem, rows, noise);
    let class = problem.sde.noise_class();
    for (i, method) in methods(0).iter().enumerate() {
        let Some(orders) = method.orders(class) else { continue };
        let errors = per_path_errors(LEVELS, |level| {
            let method = &methods(if class == NoiseClass::General { level } else { 0 })[i];
            let end = ends(problem.sde, &**method, &problem.start, problem.end, level, rows, noise);
            distances(&end, &exact.states)
        });
        let errors = errors.expect("levels");
        let what = format!("strong | {} | {} ({class:?})", method.name(), problem.name);
        assert_order(&what, orders.strong, exact.strong_error(), |options| {
            strong_order(&step_sizes(problem.end), &errors, 2.0, options)
        });
    }
}

#[test]
fn strong_orders_with_additive_noise() {
    let cooling = Cooling { sigma: 0.9 };
    let problem = Problem { name: "Cooling", sde: &cooling, start: vec![0.4], end: 0.5, solution: None };
    strong(&problem, 1000, Noise::new(seed(8)));
    let well = DoubleWell { dim: 2, sigma: 0.7 };
    // Short, so that the steps are: at 1/16 the next term of SRA3 still shows.
    let problem =
        Problem { name: "DoubleWell", sde: &well, start: vec![0.2, -0.8], end: 0.25, solution: None };
    strong(&problem, 1000, Noise::new(seed(2)));
}

/// On this linear equation, whose solution sees of the path its end only, many methods do better than their order, which
/// it therefore does not measure; but the limit is known in closed form.
#[test]
fn methods_for_additive_noise_end_near_the_closed_solution() {
    let decay = Decay { alpha: 0.8, beta: 1.0 };
    let solution = |w: &[f64]| vec![decay.solution(0.5, 1.0, w[0])];
    let problem =
        Problem { name: "Decay", sde: &decay, start: vec![0.5], end: 1.0, solution: Some(&solution) };
    let noise = Noise::new(seed(1));
    let exact = Reference::new(&problem, 1000, noise);
    for method in methods(0) {
        let Some(orders) = method.orders(NoiseClass::Additive) else { continue };
        for (level, h) in step_sizes(1.0).into_iter().enumerate() {
            let end = ends(&decay, &*method, &[0.5], 1.0, level as u32, 1000, noise);
            let error = root_mean_square(&distances(&end, &exact.states));
            // The largest is that of TamedEuler, 0.3 h.
            assert!(error < 0.5 * h.powf(orders.strong), "{}: {error} at {h}", method.name());
        }
    }
}

/// Strengths of the noise in the two coordinates of [`tanh_pair`].
const STRENGTHS: [f64; 2] = [0.6, -0.4];

/// A reflection, its own inverse.
fn turned(x: [f64; 2]) -> [f64; 2] {
    [(x[0] + x[1]) * FRAC_1_SQRT_2, (x[0] - x[1]) * FRAC_1_SQRT_2]
}

/// Two of [`Tanh`] on one Brownian motion, turned so that each coordinate sees the other: scalar noise, nonlinear, with
/// a closed solution and derivatives by differences.
fn tanh_pair() -> impl Sde<f64> {
    let drift = from_row_fn(2, |_, x, out: &mut [f64]| {
        let x = turned([x[0], x[1]]);
        let of = |j: usize| -(0.4 + STRENGTHS[j].powi(2) * x[j]) * (1.0 - x[j] * x[j]);
        out.copy_from_slice(&turned([of(0), of(1)]));
        Ok(())
    });
    let column = |_: Time, x: &[f64], w: &[f64], out: &mut [f64]| {
        let x = turned([x[0], x[1]]);
        let of = |j: usize| STRENGTHS[j] * (1.0 - x[j] * x[j]) * w[0];
        out.copy_from_slice(&turned([of(0), of(1)]));
        Ok(())
    };
    General::new((Reading::Ito, NoiseClass::Scalar), drift, 1, column).expect("valid")
}

#[test]
fn strong_orders_with_scalar_noise() {
    let spiral = Spiral::new((-0.3, 0.5), vec![(0.6, 0.8)]).expect("valid");
    let solution = |w: &[f64]| {
        let z = spiral.solution((1.0, 0.0), 0.5, w);
        vec![z.0, z.1]
    };
    let problem =
        Problem { name: "Spiral", sde: &spiral, start: vec![1.0, 0.0], end: 0.5, solution: Some(&solution) };
    strong(&problem, 2000, Noise::new(seed(3)));
    let (pair, start) = (tanh_pair(), [0.3, -0.2]);
    let solution = |w: &[f64]| {
        let x = turned(start);
        let of = |j: usize| Tanh { dim: 1, a: 0.4, b: STRENGTHS[j] }.solution(x[j], 0.5, w[0]);
        turned([of(0), of(1)]).to_vec()
    };
    let problem =
        Problem { name: "TanhPair", sde: &pair, start: start.to_vec(), end: 0.5, solution: Some(&solution) };
    strong(&problem, 2000, Noise::new(seed(11)));
}

#[test]
fn strong_orders_with_diagonal_noise() {
    let tanh = Tanh { dim: 2, a: 0.4, b: 0.6 };
    let start = [0.3, -0.2];
    // Short, so that no coarse step leaves (−1, 1) so far that an implicit one has no solution near.
    let solution = |w: &[f64]| (0..2).map(|j| tanh.solution(start[j], 0.5, w[j])).collect();
    let problem =
        Problem { name: "Tanh", sde: &tanh, start: start.to_vec(), end: 0.5, solution: Some(&solution) };
    strong(&problem, 2000, Noise::new(seed(4)));
    // Coordinates that see each other through the drift, and derivatives by differences.
    let drift = from_row_fn(2, |_, x, out: &mut [f64]| {
        (out[0], out[1]) = (x[1].sin() - 0.5 * x[0], x[0].cos() - 0.5 * x[1]);
        Ok(())
    });
    let sigma = from_row_fn(2, |time: Time, x, out: &mut [f64]| {
        (out[0], out[1]) = (0.8 + 0.4 * x[0].sin(), (0.5 + time.t) * (0.6 + 0.3 * x[1].cos()));
        Ok(())
    });
    let coupled = Diagonal::new(Reading::Ito, drift, sigma).expect("valid");
    let problem = Problem { name: "coupled", sde: &coupled, start: vec![0.5, 1.0], end: 0.5, solution: None };
    strong(&problem, 2000, Noise::new(seed(5)));
}

#[test]
fn strong_orders_with_commutative_noise() {
    let spiral = Spiral::new((-0.3, 0.5), vec![(0.6, 0.4), (-0.3, 0.7)]).expect("valid");
    let solution = |w: &[f64]| {
        let z = spiral.solution((1.0, 0.0), 0.5, w);
        vec![z.0, z.1]
    };
    let problem =
        Problem { name: "Spiral", sde: &spiral, start: vec![1.0, 0.0], end: 0.5, solution: Some(&solution) };
    strong(&problem, 2000, Noise::new(seed(6)));
}

#[test]
fn strong_orders_with_general_noise() {
    let waves = Waves { strength: 0.6 };
    let problem = Problem { name: "Waves", sde: &waves, start: vec![0.4, -0.3], end: 0.25, solution: None };
    strong(&problem, 1000, Noise::new(seed(7)));
}

/// On the Heisenberg group the method adds the areas of its steps to the area between them, by Chen's relation: a
/// coarse and a fine run that see the same areas agree to rounding. An exchanged index would turn the sign of half.
#[test]
fn levy_areas_enter_with_the_right_sign() {
    let noise = Noise::new(seed(9));
    let at = |refinement| {
        let method = LevyMilstein { depth: 8 - refinement };
        ends(&Heisenberg, &method, &[0.3, -0.2, 0.1], 1.0, refinement, 200, noise)
    };
    let (coarse, fine) = (at(0), at(8));
    assert!(distances(&coarse, &fine).iter().all(|&gap| gap < 1e-12));
    // Euler–Maruyama knows no areas and finds them in the limit: 2048 steps leave √(2·½·h) = 0.022 per path.
    let euler = ends(&Heisenberg, &EulerMaruyama, &[0.3, -0.2, 0.1], 1.0, 8, 200, noise);
    let gaps = distances(&coarse, &euler);
    let rms = (gaps.iter().map(|gap| gap * gap).sum::<f64>() / 200.0).sqrt();
    let spread = (fine.column(2).mapv(|z| z * z).sum() / 200.0).sqrt();
    assert!(rms < 0.04 && spread > 0.5, "{rms} {spread}");
}

/// Both readings of one equation have one limit: the gap between methods of one reading and the other closes.
#[test]
fn both_readings_have_the_same_limit() {
    let (waves, noise) = (Waves { strength: 0.6 }, Noise::new(seed(10)));
    let spiral = Spiral::new((-0.3, 0.5), vec![(0.6, 0.4), (-0.3, 0.7)]).expect("valid");
    let first: [Method; 2] = [Box::new(Milstein), Box::new(Heun)];
    let half: [Method; 2] = [Box::new(EulerMaruyama), Box::new(Midpoint)];
    let problems: [(&dyn Sde<f64>, [f64; 2]); 2] = [(&spiral, [1.0, 0.0]), (&waves, [0.4, -0.3])];
    for ((sde, start), ([ito, stratonovich], expected)) in problems.iter().zip([(&first, 1.0), (&half, 0.5)])
    {
        let run = |method: &Method, level| ends(*sde, &**method, start, 0.25, level, 1000, noise);
        let gaps = per_path_errors(LEVELS, |level| distances(&run(ito, level), &run(stratonovich, level)));
        let (gaps, finest) = (gaps.expect("levels"), run(ito, LEVELS - 1));
        let size = root_mean_square(&distances(&finest, &Array2::zeros(finest.dim())));
        let what = format!("strong, gap | {} and {}", ito.name(), stratonovich.name());
        assert_order(&what, expected, ROUNDING * size, |options| {
            strong_order(&step_sizes(0.25), &gaps, 2.0, options)
        });
    }
}
