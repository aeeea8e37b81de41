//! Weak orders, by enumeration of a step's randomness and by simulation.

use numeric::ndarray::{Array2, ArrayRef2, array};
use numeric::{Control, Error, LogDensity, Noise, Scratch, Time, TimeGrid};
use sde_core::integrator::{Baoab, EulerHeun, EulerMaruyama, LevyMilstein, Milstein, Sra1};
use sde_core::problems::{Cooling, DoubleWell, Linear, Spiral, Tanh, Waves};
use sde_core::{
    GeometricBrownian, Integrator, Keep, Needs, NoiseClass, Reading, Sde, SdeStep, Start, UnderdampedLangevin,
};
use verify::{OrderEstimate, deterministic_order, per_path_errors, seed, weak_order};

use super::{
    LEVELS, Method, Problem, ROUNDING, Reference, assert_order, bound_of_mean, ends, methods, of_rows,
    read_for, root_mean_square, step_sizes, tanh_pair,
};

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
        let dims = if method.needs() == Needs::Area { 2 * m } else { m };
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
        // Columns that commute cancel the Lévy areas: for them any do.
        let levy = Array2::zeros((n, m * (m - 1) / 2));
        let step = SdeStep {
            rows: &rows[..n],
            from: Time::of(t),
            to: Time::of(t + h),
            length: h,
            w: &w,
            area: Some(&area),
            levy: Some(&levy),
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

/// One step of length h and two of h/2 differ by O(h^{β+1}) in their expectations, for a method of weak order β. Beside
/// the difference, how far rounding may put it off: by so much of the terms that cancel in it.
fn weak_defect(law: &Enumerated<'_>, start: &[f64], h: f64) -> (f64, f64) {
    let start = [(start.to_vec(), 1.0)];
    let (t, half) = (0.3, 0.5 * h);
    let once = law.spread(&start, (t, h));
    let twice = expectations(&law.spread(&law.spread(&start, (t, half)), (t + half, half)));
    let norm = |x: [f64; 4]| x.iter().map(|x| x * x).sum::<f64>().sqrt();
    let size = once.iter().map(|(x, weight)| weight * norm(functions(x))).sum::<f64>();
    let once = expectations(&once);
    (norm(std::array::from_fn(|k| once[k] - twice[k])), ROUNDING * size)
}

#[test]
fn weak_orders_by_enumeration() {
    let cooling = Cooling { sigma: 0.9 };
    let well = DoubleWell { dim: 1, sigma: 0.7 };
    let pair = tanh_pair();
    let tanh = Tanh { dim: 1, a: 0.4, b: 0.6 };
    let spiral = Spiral::new((-0.3, 0.5), vec![(0.6, 0.4), (-0.3, 0.7)]).expect("valid");
    let waves = Waves { strength: 0.6 };
    let problems: [(&str, &dyn Sde<f64>, Vec<f64>); 6] = [
        ("Cooling", &cooling, vec![0.6]),
        ("DoubleWell", &well, vec![0.6]),
        ("TanhPair", &pair, vec![0.3, -0.2]),
        ("Tanh", &tanh, vec![0.3]),
        ("Spiral", &spiral, vec![1.0, 0.2]),
        ("Waves", &waves, vec![0.4, -0.3]),
    ];
    // From 1/64: at 1/32 the term of order 3 of SRA3 on DoubleWell, which is small, does not yet lead.
    let steps: Vec<f64> = (6..11).map(|l| 0.5_f64.powi(l)).collect();
    for (name, sde, start) in problems {
        let class = sde.noise_class();
        for method in methods(0) {
            // Lévy areas that matter are not Gaussian: simulated below.
            if class == NoiseClass::General && matches!(method.needs(), Needs::LevyAreas { .. }) {
                continue;
            }
            let Some(orders) = method.orders(class) else { continue };
            let read = read_for(&*method, sde);
            let law = Enumerated::new(&*method, &*read, if sde.noise_dim() == 1 { 9 } else { 6 });
            let (defects, floors): (Vec<f64>, Vec<f64>) =
                steps.iter().map(|&h| weak_defect(&law, &start, h)).unzip();
            let floor = floors.into_iter().fold(0.0, f64::max);
            let what = format!("weak | {} | {name} ({class:?})", method.name());
            assert_order(&what, orders.weak, floor, |options| {
                let order = deterministic_order(&steps, &defects, options)?;
                Ok(OrderEstimate { slope: order.slope - 1.0, ..order })
            });
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
        // Lévy areas are not enumerated, and the tamed step is not linear.
        if matches!(method.needs(), Needs::LevyAreas { .. }) || method.name() == "TamedEuler" {
            continue;
        }
        let Some(orders) = method.orders(NoiseClass::General) else { continue };
        let read = read_for(&*method, &sde);
        let law = Enumerated::new(&*method, &*read, 6);
        let error = |&n: &usize| (second_moments(&law, &[1.0, -0.5], 1.0, n) - &exact).norm();
        let errors: Vec<f64> = steps.iter().map(error).collect();
        let what = format!("weak, closed moments | {} | Linear (General)", method.name());
        assert_order(&what, orders.weak, ROUNDING * exact.norm(), |options| {
            deterministic_order(&lengths, &errors, options)
        });
    }
}

/// Signed differences of `φ = x²` to the reference on the same path.
fn weak(problem: &Problem<'_>, methods: &[Method], rows: u64, noise: Noise) {
    let square = |x: &[f64]| x[0] * x[0];
    let reference = Reference::new(problem, rows, noise);
    let (exact, floor) = (of_rows(&reference.states, square), reference.weak_error(square));
    for method in methods {
        let differences = per_path_errors(LEVELS, |level| {
            let end = ends(problem.sde, &**method, &problem.start, problem.end, level, rows, noise);
            of_rows(&end, square).iter().zip(&exact).map(|(a, b)| a - b).collect()
        });
        let differences = differences.expect("levels");
        let class = problem.sde.noise_class();
        let declared = method.orders(class).expect("it solves it").weak;
        let what = format!("weak, simulated | {} | {} ({class:?})", method.name(), problem.name);
        assert_order(&what, declared, floor, |options| {
            weak_order(&step_sizes(problem.end), &differences, options)
        });
    }
}

#[test]
fn weak_orders_by_simulation() {
    let well = DoubleWell { dim: 1, sigma: 0.7 };
    let problem = Problem { name: "DoubleWell", sde: &well, start: vec![2.0], end: 0.4, solution: None };
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
    };
    let methods: [Method; 2] = [Box::new(Milstein), Box::new(EulerHeun)];
    weak(&problem, &methods, 20_000, Noise::new(seed(21)));
}

/// Lévy areas that matter are not Gaussian, so that a step is not enumerated: differences between each level and the next
/// on the same path, whose mean is (1 − 2^−β) c h^β, so that no reference is in the way. Of φ = x₂², where it is a third
/// of the standard deviation. The depth of the areas grows by one with each halving.
#[test]
fn levy_milstein_has_weak_order_one_with_general_noise() {
    let (waves, noise) = (Waves { strength: 0.6 }, Noise::new(seed(12)));
    let run = |level| {
        let method = LevyMilstein { depth: level };
        of_rows(&ends(&waves, &method, &[0.4, -0.3], 0.25, level, 4000, noise), |x| x[1] * x[1])
    };
    let values: Vec<Vec<f64>> = (0..=LEVELS).map(run).collect();
    let differences = per_path_errors(LEVELS, |level| {
        let level = level as usize;
        values[level].iter().zip(&values[level + 1]).map(|(a, b)| a - b).collect()
    });
    let differences = differences.expect("levels");
    let floor = ROUNDING * root_mean_square(&values[0]);
    assert_order("weak, simulated | LevyMilstein | Waves (General)", 1.0, floor, |options| {
        weak_order(&step_sizes(0.25), &differences, options)
    });
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
    let to_exact = |level| run(level).iter().zip(&exact).map(|(a, b)| a - b).collect::<Vec<f64>>();
    // As that of `Reference`, for order 2.
    let floor = bound_of_mean(&to_exact(LEVELS)) / 3.0;
    let differences = per_path_errors(LEVELS, to_exact).expect("levels");
    let steps: Vec<f64> = (0..LEVELS).map(|l| 0.125 / f64::from(1 << l)).collect();
    assert_order("weak, simulated | Baoab | quartic", method.weak_order(), floor, |options| {
        weak_order(&steps, &differences, options)
    });
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
