//! Orders of the integrators, on one set of problems for all methods: strong orders on nested grids of one Brownian
//! path, weak orders by exact enumeration of a step's randomness. `--nocapture` prints the table of
//! docs/verification.md.

mod weak;

use numeric::ndarray::{Array2, ArrayRef2, s};
use numeric::{Control, Noise, Time, TimeGrid, from_row_fn};
use sde_core::integrator::{
    EulerHeun, EulerMaruyama, Heun, ImplicitEuler, LevyMilstein, Midpoint, Milstein, PlatenWeak2, Sosra,
    Sra1, Sra3, Sri1W1, TamedEuler,
};
use sde_core::problems::{Cooling, Decay, DoubleWell, Heisenberg, Spiral, Tanh, Waves};
use sde_core::{
    Additive, Diagonal, Integrator, Keep, NoiseClass, Reading, Sde, Solver, Start, as_ito, as_stratonovich,
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

/// Steps of the strong tests: level l has 8·2^l steps on [0, end].
const LEVELS: u32 = 5;

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
    /// Whether some methods do better on it than on others of its class.
    special: bool,
}

/// Runs that much finer than the finest level stand for solutions.
const FINER: u32 = 4;

fn reference(problem: &Problem<'_>, rows: u64, noise: Noise) -> Array2<f64> {
    let &Problem { sde, ref start, end, solution, .. } = problem;
    if let Some(solution) = solution {
        let w = brownian_end(sde.noise_dim(), end, rows, noise);
        let mut out = Array2::zeros((rows as usize, sde.dim()));
        for (mut out, w) in out.rows_mut().into_iter().zip(w.rows()) {
            out.assign(&numeric::ndarray::Array1::from(solution(&w.to_vec())));
        }
        return out;
    }
    let best: Method = match sde.noise_class() {
        NoiseClass::Additive => Box::new(Sra1),
        NoiseClass::Scalar | NoiseClass::Diagonal => Box::new(Sri1W1),
        NoiseClass::Commutative => Box::new(Milstein),
        NoiseClass::General => Box::new(LevyMilstein { depth: 0 }),
    };
    ends(sde, &*best, start, end, LEVELS - 1 + FINER, rows, noise)
}

fn distances(a: &ArrayRef2<f64>, b: &ArrayRef2<f64>) -> Vec<f64> {
    let rows = a.rows().into_iter().zip(b.rows());
    rows.map(|(a, b)| a.iter().zip(&b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt()).collect()
}

fn assert_order(what: &str, order: &OrderEstimate, declared: f64, at_least: bool) {
    println!("{what:<46} {declared:>4} {:>7.3} ± {:.3}", order.slope, order.half_width);
    assert!(order.points.iter().filter(|point| point.used).count() >= 5, "{what}: {order:?}");
    assert!(order.half_width <= 0.1, "{what}: {order:?}");
    let gap = order.slope - declared;
    assert!(gap >= -0.15 && (gap <= 0.15 || at_least), "{what}: declared {declared}, measured {order:?}");
}

fn strong(problem: &Problem<'_>, rows: u64, noise: Noise) {
    let exact = reference(problem, rows, noise);
    let class = problem.sde.noise_class();
    let steps: Vec<f64> = (0..LEVELS).map(|l| problem.end / f64::from(8 << l)).collect();
    for (i, method) in methods(0).iter().enumerate() {
        let Some(orders) = method.orders(class) else { continue };
        let errors = per_path_errors(LEVELS, |level| {
            // Areas as fine at every level as in the reference: all levels see one rough path.
            let method = &methods(LEVELS - 1 + FINER - level)[i];
            let end = ends(problem.sde, &**method, &problem.start, problem.end, level, rows, noise);
            distances(&end, &exact)
        });
        let order = strong_order(&steps, &errors.expect("levels"), 2.0, &OrderOptions::default())
            .expect("above noise");
        assert_order(
            &format!("strong | {} | {} ({class:?})", method.name(), problem.name),
            &order,
            orders.strong,
            problem.special,
        );
    }
}

#[test]
fn strong_orders_with_additive_noise() {
    let decay = Decay { alpha: 0.8, beta: 1.0 };
    let solution = |w: &[f64]| vec![decay.solution(0.5, 1.0, w[0])];
    let problem = Problem {
        name: "Decay",
        sde: &decay,
        start: vec![0.5],
        end: 1.0,
        solution: Some(&solution),
        special: true,
    };
    strong(&problem, 1000, Noise::new(seed(1)));
    let cooling = Cooling { sigma: 0.9 };
    let problem = Problem {
        name: "Cooling",
        sde: &cooling,
        start: vec![0.4],
        end: 0.5,
        solution: None,
        special: false,
    };
    strong(&problem, 1000, Noise::new(seed(8)));
    let well = DoubleWell { dim: 2, sigma: 0.7 };
    let problem = Problem {
        name: "DoubleWell",
        sde: &well,
        start: vec![0.2, -0.8],
        // Short, so that the steps are: at 1/16 the next term of SRA3 still shows.
        end: 0.25,
        solution: None,
        special: false,
    };
    strong(&problem, 1000, Noise::new(seed(2)));
}

#[test]
fn strong_orders_with_scalar_noise() {
    let spiral = Spiral::new((-0.3, 0.5), vec![(0.6, 0.8)]).expect("valid");
    let solution = |w: &[f64]| {
        let z = spiral.solution((1.0, 0.0), 0.5, w);
        vec![z.0, z.1]
    };
    let problem = Problem {
        name: "Spiral",
        sde: &spiral,
        start: vec![1.0, 0.0],
        end: 0.5,
        solution: Some(&solution),
        special: false,
    };
    strong(&problem, 2000, Noise::new(seed(3)));
}

#[test]
fn strong_orders_with_diagonal_noise() {
    let tanh = Tanh { dim: 2, a: 0.4, b: 0.6 };
    let start = [0.3, -0.2];
    // Short, so that no coarse step leaves (−1, 1) so far that an implicit one has no solution near.
    let solution = |w: &[f64]| (0..2).map(|j| tanh.solution(start[j], 0.5, w[j])).collect();
    let problem = Problem {
        name: "Tanh",
        sde: &tanh,
        start: start.to_vec(),
        end: 0.5,
        solution: Some(&solution),
        special: false,
    };
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
    let problem = Problem {
        name: "coupled",
        sde: &coupled,
        start: vec![0.5, 1.0],
        end: 0.5,
        solution: None,
        special: false,
    };
    strong(&problem, 2000, Noise::new(seed(5)));
}

#[test]
fn strong_orders_with_commutative_noise() {
    let spiral = Spiral::new((-0.3, 0.5), vec![(0.6, 0.4), (-0.3, 0.7)]).expect("valid");
    let solution = |w: &[f64]| {
        let z = spiral.solution((1.0, 0.0), 0.5, w);
        vec![z.0, z.1]
    };
    let problem = Problem {
        name: "Spiral",
        sde: &spiral,
        start: vec![1.0, 0.0],
        end: 0.5,
        solution: Some(&solution),
        special: false,
    };
    strong(&problem, 2000, Noise::new(seed(6)));
}

#[test]
fn strong_orders_with_general_noise() {
    let waves = Waves { strength: 0.6 };
    let problem = Problem {
        name: "Waves",
        sde: &waves,
        start: vec![0.4, -0.3],
        end: 0.25,
        solution: None,
        special: false,
    };
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
        let steps: Vec<f64> = (0..LEVELS).map(|l| 0.25 / f64::from(8 << l)).collect();
        let gaps = per_path_errors(LEVELS, |level| {
            let run = |method: &Method| ends(*sde, &**method, start, 0.25, level, 1000, noise);
            distances(&run(ito), &run(stratonovich))
        });
        let order =
            strong_order(&steps, &gaps.expect("levels"), 2.0, &OrderOptions::default()).expect("above noise");
        let what = format!("strong, gap | {} and {}", ito.name(), stratonovich.name());
        assert_order(&what, &order, expected, false);
    }
}
