//! Weak orders, by enumeration of a step's randomness and by simulation.

use numeric::ndarray::{Array2, ArrayRef2, array};
use numeric::{Control, Error, LogDensity, Noise, Scratch, Time, TimeGrid};
use sde_core::integrator::{Baoab, EulerHeun, EulerMaruyama, Milstein, Sra1};
use sde_core::problems::{Cooling, Decay, DoubleWell, Linear, Spiral, Tanh, Waves};
use sde_core::{
    GeometricBrownian, Integrator, Keep, Needs, NoiseClass, Reading, Sde, SdeStep, Start, UnderdampedLangevin,
};
use verify::{OrderOptions, deterministic_order, per_path_errors, seed, weak_order};

use super::{LEVELS, Method, Problem, assert_order, ends, methods, read_for, reference};

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
    let method = Baoab::new(dynamics, TimeGrid::uniform(0.0, 0.5, 4).expect("a grid")).expect("forward");
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
