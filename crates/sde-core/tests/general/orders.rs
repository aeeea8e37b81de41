//! Orders of the integrators, on one set of problems for all methods: strong orders on nested grids of one Brownian
//! path, weak orders by exact enumeration of a step's randomness. `--nocapture` prints the table of
//! docs/verification.md.

use numeric::ndarray::{Array2, ArrayRef2, array, s};
use numeric::{Control, Error, LogDensity, Noise, Scratch, Time, TimeGrid, from_row_fn};
use sde_core::integrator::{
    Baoab, EulerHeun, EulerMaruyama, Heun, ImplicitEuler, LevyMilstein, Midpoint, Milstein, PlatenWeak2,
    Sosra, Sra1, Sra3, Sri1W1, TamedEuler,
};
use sde_core::problems::{Cooling, Decay, DoubleWell, Heisenberg, Linear, Spiral, Tanh, Waves};
use sde_core::{
    Additive, Diagonal, GeometricBrownian, Integrator, Keep, Needs, NoiseClass, Reading, Sde, SdeStep,
    Solver, Start, UnderdampedLangevin, as_ito, as_stratonovich,
};
use verify::{
    OrderEstimate, OrderOptions, deterministic_order, per_path_errors, seed, strong_order, weak_order,
};

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

/// Nodes and weights of Gauss's rule for N(0, 1).
fn gauss(q: usize) -> Vec<(f64, f64)> {
    let jacobi =
        nalgebra::DMatrix::from_fn(
            q,
            q,
            |i, j| if i.abs_diff(j) == 1 { (i.max(j) as f64).sqrt() } else { 0.0 },
        );
    let eigen = jacobi.symmetric_eigen();
    (0..q).map(|k| (eigen.eigenvalues[k], eigen.eigenvectors[(0, k)].powi(2))).collect()
}

/// The product rule in `dims` dimensions.
fn product_rule(q: usize, dims: usize) -> Vec<(Vec<f64>, f64)> {
    let rule = gauss(q);
    (0..dims).fold(vec![(Vec::new(), 1.0)], |points, _| {
        let extend = |(at, weight): &(Vec<f64>, f64)| {
            rule.iter().map(|&(z, w)| ([&at[..], &[z]].concat(), weight * w)).collect::<Vec<_>>()
        };
        points.iter().flat_map(extend).collect()
    })
}

/// Row numbers that a step may be enumerated with.
const POOL: u64 = 16_000;

/// The law of one step as a finite measure: every row becomes one row for each value of the step's randomness.
struct Enumerated<'a> {
    method: &'a dyn Integrator<f64>,
    sde: &'a dyn Sde<f64>,
    /// Standardised (W, H), or W alone.
    points: Vec<(Vec<f64>, f64)>,
    /// Row numbers for which the two-point variables of the step come out alike, one list for each outcome.
    outcomes: Vec<Vec<u64>>,
}

impl<'a> Enumerated<'a> {
    fn new(method: &'a dyn Integrator<f64>, sde: &'a dyn Sde<f64>, q: usize) -> Enumerated<'a> {
        let m = sde.noise_dim();
        let dims = if method.needs() == Needs::Increment { m } else { 2 * m };
        let mut law =
            Enumerated { method, sde, points: product_rule(q, dims), outcomes: vec![(0..POOL).collect()] };
        // What the same state and increments become in different rows tells the outcomes apart.
        let probe = vec![0.37; sde.dim()];
        let states = Array2::from_shape_fn((POOL as usize, sde.dim()), |(_, j)| probe[j]);
        let zs = vec![vec![0.9; dims]; POOL as usize];
        let moved = law.step(&states, &zs, &law.outcomes[0], (0.0, 0.25));
        let first: Vec<u64> = (0..POOL).filter(|&i| moved.row(i as usize) == moved.row(0)).collect();
        if first.len() < POOL as usize {
            let second = (0..POOL).filter(|&i| moved.row(i as usize) != moved.row(0)).collect();
            law.outcomes = vec![first, second];
        }
        law
    }

    fn step(&self, x: &ArrayRef2<f64>, zs: &[Vec<f64>], rows: &[u64], (t, h): (f64, f64)) -> Array2<f64> {
        let (n, m) = (x.nrows(), self.sde.noise_dim());
        let w = Array2::from_shape_fn((n, m), |(i, j)| h.sqrt() * zs[i][j]);
        let area =
            Array2::from_shape_fn((n, m), |(i, j)| zs[i].get(m + j).map_or(0.0, |z| (h / 12.0).sqrt() * z));
        let step = SdeStep {
            rows: &rows[..n],
            from: Time::of(t),
            to: Time::of(t + h),
            length: h,
            w: &w,
            area: Some(&area),
            levy: None,
            extra: Noise::new(11),
            index: 0,
        };
        let mut x = x.to_owned();
        self.method.step(self.sde, step, &mut x, &mut Scratch::new()).expect("a step");
        x
    }

    /// All states after a step of length h at time t, with their weights.
    fn spread(&self, from: &[(Vec<f64>, f64)], (t, h): (f64, f64)) -> Vec<(Vec<f64>, f64)> {
        let d = self.sde.dim();
        let all: Vec<_> = from.iter().flat_map(|x| self.points.iter().map(move |p| (x, p))).collect();
        let x = Array2::from_shape_fn((all.len(), d), |(i, j)| all[i].0.0[j]);
        let zs: Vec<Vec<f64>> = all.iter().map(|(_, p)| p.0.clone()).collect();
        let share = 1.0 / self.outcomes.len() as f64;
        let mut out = Vec::new();
        for rows in &self.outcomes {
            let moved = self.step(&x, &zs, rows, (t, h));
            out.extend(moved.rows().into_iter().zip(&all).map(|(y, (x, p))| (y.to_vec(), share * x.1 * p.1)));
        }
        out
    }
}

/// Test functions whose expectations are followed.
fn functions(x: &[f64]) -> [f64; 4] {
    let last = x[x.len() - 1];
    [x[0], x[0] * last, (1.3 * x[0] - 0.4 * last).sin(), last.powi(3)]
}

fn expectations(law: &[(Vec<f64>, f64)]) -> [f64; 4] {
    let mut sum = [0.0; 4];
    for (x, weight) in law {
        sum.iter_mut().zip(functions(x)).for_each(|(sum, value)| *sum += weight * value);
    }
    sum
}

/// One step of length h and two of h/2 differ by O(h^{β+1}) in their expectations, for a method of weak order β.
fn weak_defect(law: &Enumerated<'_>, start: &[f64], h: f64) -> f64 {
    let start = [(start.to_vec(), 1.0)];
    let (t, half) = (0.3, 0.5 * h);
    let once = expectations(&law.spread(&start, (t, h)));
    let twice = expectations(&law.spread(&law.spread(&start, (t, half)), (t + half, half)));
    once.iter().zip(twice).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt()
}

#[test]
fn weak_orders_by_enumeration() {
    let decay = Decay { alpha: 0.8, beta: 1.0 };
    let cooling = Cooling { sigma: 0.9 };
    let well = DoubleWell { dim: 1, sigma: 0.7 };
    let tanh = Tanh { dim: 1, a: 0.4, b: 0.6 };
    let spiral = Spiral::new((-0.3, 0.5), vec![(0.6, 0.8)]).expect("valid");
    let commuting = Spiral::new((-0.3, 0.5), vec![(0.6, 0.4), (-0.3, 0.7)]).expect("valid");
    let waves = Waves { strength: 0.6 };
    let problems: [(&str, &dyn Sde<f64>, Vec<f64>); 7] = [
        ("Decay", &decay, vec![0.5]),
        ("Cooling", &cooling, vec![0.6]),
        ("DoubleWell", &well, vec![0.6]),
        ("Spiral", &spiral, vec![1.0, 0.2]),
        ("Tanh", &tanh, vec![0.3]),
        ("Spiral", &commuting, vec![1.0, 0.2]),
        ("Waves", &waves, vec![0.4, -0.3]),
    ];
    let steps: Vec<f64> = (5..10).map(|l| 0.5_f64.powi(l)).collect();
    for (name, sde, start) in problems {
        let class = sde.noise_class();
        for method in methods(0) {
            // Lévy areas are not Gaussian: their weak order is that of the strong test, at least.
            let Some(orders) = method.orders(class).filter(|_| method.name() != "LevyMilstein") else {
                continue;
            };
            let read = read_for(&*method, sde);
            let law = Enumerated::new(&*method, &*read, if sde.noise_dim() == 1 { 9 } else { 6 });
            // The term of order 3 of this one is small: at the longest step it does not yet lead.
            let late = name == "DoubleWell" && method.name() == "Sra3";
            let steps = if late { steps.iter().map(|h| 0.5 * h).collect() } else { steps.clone() };
            let defects: Vec<f64> = steps.iter().map(|&h| weak_defect(&law, &start, h)).collect();
            let mut order =
                deterministic_order(&steps, &defects, &OrderOptions::default()).expect("above rounding");
            order.slope -= 1.0;
            // Linear equations: some methods do better on them.
            let special = name == "Decay" || (name == "Spiral" && method.name() == "Sri1W1");
            assert_order(
                &format!("weak | {} | {name} ({class:?})", method.name()),
                &order,
                orders.weak,
                special,
            );
        }
    }
}

/// `E[X Xᵀ]` after `steps` steps on a linear equation, from the exact second moments of one step.
fn second_moments(law: &Enumerated<'_>, x0: &[f64], end: f64, steps: usize) -> nalgebra::DVector<f64> {
    let (d, h) = (x0.len(), end / steps as f64);
    let unit = |i: usize| (0..d).map(|j| if i == j { 1.0 } else { 0.0 }).collect::<Vec<_>>();
    let columns: Vec<_> = (0..d).map(|i| law.spread(&[(unit(i), 1.0)], (0.0, h))).collect();
    let mut squared = nalgebra::DMatrix::zeros(d * d, d * d);
    for (at, (_, weight)) in columns[0].iter().enumerate() {
        let one = nalgebra::DMatrix::from_fn(d, d, |i, j| columns[j][at].0[i]);
        squared += *weight * one.kronecker(&one);
    }
    let x = nalgebra::DVector::from_row_slice(x0);
    (0..steps).fold(x.kronecker(&x), |moments, _| &squared * moments)
}

#[test]
fn second_moments_of_a_linear_equation_against_their_closed_form() {
    let (a, b1, b2) =
        (array![[-0.5, 0.8], [-0.6, -0.3]], array![[0.2, 0.5], [0.1, -0.3]], array![[-0.4, 0.1], [0.3, 0.2]]);
    let sde = Linear::new(Reading::Ito, a.clone(), vec![b1.clone(), b2.clone()]).expect("valid");
    assert_eq!(Sde::<f64>::noise_class(&sde), NoiseClass::General);
    let matrix = |m: &Array2<f64>| nalgebra::DMatrix::from_fn(2, 2, |i, j| m[(i, j)]);
    let (a, b1, b2, one) = (matrix(&a), matrix(&b1), matrix(&b2), nalgebra::DMatrix::identity(2, 2));
    let generator = a.kronecker(&one) + one.kronecker(&a) + b1.kronecker(&b1) + b2.kronecker(&b2);
    let x = nalgebra::DVector::from_row_slice(&[1.0, -0.5]);
    let exact = generator.exp() * x.kronecker(&x);
    let steps: Vec<usize> = (2..7).map(|l| 1 << l).collect();
    let lengths: Vec<f64> = steps.iter().map(|&n| 1.0 / n as f64).collect();
    for method in methods(0) {
        let orders = method.orders(NoiseClass::General);
        let Some(orders) =
            orders.filter(|_| method.name() != "LevyMilstein" && method.name() != "TamedEuler")
        else {
            continue; // The tamed step is not linear.
        };
        let read = read_for(&*method, &sde);
        let law = Enumerated::new(&*method, &*read, 6);
        let error = |&n: &usize| (second_moments(&law, &[1.0, -0.5], 1.0, n) - &exact).norm();
        let errors: Vec<f64> = steps.iter().map(error).collect();
        let order = deterministic_order(&lengths, &errors, &OrderOptions::default()).expect("above rounding");
        let what = format!("weak, closed moments | {} | Linear (General)", method.name());
        assert_order(&what, &order, orders.weak, false);
    }
}

/// Signed differences of `φ = x²` to the reference on the same path.
fn weak(problem: &Problem<'_>, methods: &[Method], rows: u64, noise: Noise) {
    let exact = reference(problem, rows, noise);
    let steps: Vec<f64> = (0..LEVELS).map(|l| problem.end / f64::from(8 << l)).collect();
    for method in methods {
        let differences = per_path_errors(LEVELS, |level| {
            let end = ends(problem.sde, &**method, &problem.start, problem.end, level, rows, noise);
            end.column(0).iter().zip(exact.column(0)).map(|(a, b)| a * a - b * b).collect()
        });
        let order =
            weak_order(&steps, &differences.expect("levels"), &OrderOptions::default()).expect("above noise");
        let class = problem.sde.noise_class();
        let declared = method.orders(class).expect("it solves it").weak;
        let what = format!("weak, simulated | {} | {} ({class:?})", method.name(), problem.name);
        assert_order(&what, &order, declared, false);
    }
}

#[test]
fn weak_orders_by_simulation() {
    let well = DoubleWell { dim: 1, sigma: 0.7 };
    let problem = Problem {
        name: "DoubleWell",
        sde: &well,
        start: vec![2.0],
        end: 0.4,
        solution: None,
        special: false,
    };
    let methods: [Method; 2] = [Box::new(EulerMaruyama), Box::new(Sra1)];
    weak(&problem, &methods, 20_000, Noise::new(seed(20)));
    let stock = GeometricBrownian::new(1, 0.8, 0.4).expect("valid");
    let solution = |w: &[f64]| vec![stock.solution(1.0, 1.0, w[0])];
    let problem = Problem {
        name: "GeometricBrownian",
        sde: &stock,
        start: vec![1.0],
        end: 1.0,
        solution: Some(&solution),
        special: false,
    };
    let methods: [Method; 2] = [Box::new(Milstein), Box::new(EulerHeun)];
    weak(&problem, &methods, 20_000, Noise::new(seed(21)));
}

/// BAOAB on the quartic well, from simulation on a common path: velocities are compared too.
#[test]
fn baoab_has_weak_order_two() {
    let dynamics = UnderdampedLangevin::new(Quartic, 1.0).expect("valid");
    let method = Baoab::new(dynamics, TimeGrid::uniform(0.0, 0.5, 4).expect("a grid"));
    let noise = Noise::new(seed(22));
    let run = |level| {
        let run = method.refined(level).run(
            Start::Point(&[2.5, 0.0]),
            Keep::Last,
            0..40_000,
            noise,
            Control::default(),
        );
        let states = run.expect("finite").states;
        states.rows().into_iter().map(|x| x[0] * x[0] + x[0] * x[1]).collect::<Vec<f64>>()
    };
    let exact = run(LEVELS + 1);
    let differences =
        per_path_errors(LEVELS, |level| run(level).iter().zip(&exact).map(|(a, b)| a - b).collect());
    let steps: Vec<f64> = (0..LEVELS).map(|l| 0.125 / f64::from(1 << l)).collect();
    let order =
        weak_order(&steps, &differences.expect("levels"), &OrderOptions::default()).expect("above noise");
    assert_order("weak, simulated | Baoab | quartic", &order, 2.0, false);
}

/// `log π = −q⁴/4`.
#[derive(Clone, Copy)]
struct Quartic;

impl LogDensity for Quartic {
    fn dim(&self) -> usize {
        1
    }
    fn ln_density_into(&self, x: &ArrayRef2<f64>, out: &mut [f64]) -> Result<(), Error> {
        out.iter_mut().zip(x).for_each(|(out, x)| *out = -0.25 * x.powi(4));
        Ok(())
    }
    fn gradient_into(&self, x: &ArrayRef2<f64>, out: &mut ArrayRef2<f64>) -> Result<(), Error> {
        out.zip_mut_with(x, |out, x| *out = -x.powi(3));
        Ok(())
    }
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
