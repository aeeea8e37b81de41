//! Implicit steps with drifts that one Jacobian does not do for.

use std::sync::atomic::{AtomicUsize, Ordering};

use numeric::ndarray::{Array2, ArrayRef2, ArrayView1, s};
use numeric::{
    Batch, Batching, Control, Error, Noise, Real, Scratch, TimeGrid, VectorField, from_fn, from_row_fn,
    with_batching,
};
use sde_core::integrator::{EulerMaruyama, ImplicitEuler};
use sde_core::{Additive, Integrator, Keep, NoiseClass, Reading, Sde, Solver, Start};
use verify::seed;

/// `f_j = −k x_j³ + x_{j+1} − x_{j−1}`: one-sided Lipschitz with constant 0, as steep as can be, and flat at 0.
fn cubic<F: Real>(d: usize, k: f64, sigma: f64) -> impl Sde<F> {
    let drift = from_row_fn(d, move |_, x, out: &mut [F]| {
        for (j, out) in out.iter_mut().enumerate() {
            let round = x[(j + 1) % d] - x[(j + d - 1) % d];
            *out = round - F::of(k) * x[j] * x[j] * x[j];
        }
        Ok(())
    });
    Additive::new(drift, &(Array2::eye(d) * sigma)).expect("valid")
}

fn end<F: Real>(
    sde: impl Sde<F>,
    method: impl Integrator<F>,
    grid: &TimeGrid,
    rows: std::ops::Range<u64>,
) -> Array2<F> {
    let start = vec![F::zero(); sde.dim()];
    let solver = Solver::new(sde, method, grid.clone()).expect("valid");
    let run = solver.run(Start::Point(&start), Keep::Last, rows, Noise::new(seed(1)), Control::default());
    run.expect("converges").states.remove_axis(numeric::ndarray::Axis(1))
}

/// From 0, where the drift is flat, the first correction is the whole noise, and there h times the Jacobian is thousands.
#[test]
fn steep_drifts_are_solved_with_jacobians_of_later_iterates() {
    let (k, h) = (1e4, 0.1);
    let one = TimeGrid::uniform(0.0, h, 1).expect("a grid");
    for d in [1, 2, 5, 19] {
        let known = end::<f64>(cubic(d, 0.0, 1.0), EulerMaruyama, &one, 0..100);
        let found = end::<f64>(cubic(d, k, 1.0), ImplicitEuler, &one, 0..100);
        // From the origin, the circular part of a step of Euler–Maruyama is nothing.
        for (y, known) in found.rows().into_iter().zip(known.rows()) {
            let left: f64 = (0..d)
                .map(|j| {
                    let round = y[(j + 1) % d] - y[(j + d - 1) % d];
                    (y[j] - h * (round - k * y[j].powi(3)) - known[j]).powi(2)
                })
                .sum();
            // The drift is dissipative, so that the error is at most what is left of the equation.
            assert!(left.sqrt() < 1e-10, "{d}: {left:e} at {y}");
        }
    }
}

/// Rows of one block that ask for Jacobians at other times do not touch each other.
#[test]
fn rows_have_the_same_bits_alone() {
    fn check<F: Real>() {
        let grid = TimeGrid::uniform(0.0, 0.5, 6).expect("a grid");
        for d in [1, 3, 37] {
            let run = |rows| end::<F>(cubic(d, 30.0, 2.0), ImplicitEuler, &grid, rows);
            // In 37 dimensions blocks have more rows than are iterated at once.
            let together = run(0..1024);
            assert_eq!(run(5..75), together.slice(s![5..75, ..]));
            for row in (0..1024).step_by(23) {
                let alone = run(row..row + 1);
                assert_eq!(alone.row(0), together.row(row as usize), "row {row} of dimension {d}");
            }
        }
    }
    check::<f64>();
    check::<f32>();
}

/// `f = −λ_i x_i`, whose implicit steps are divisions, and how many rows it was asked for.
struct Decay<F> {
    rates: Vec<F>,
    asked: AtomicUsize,
}

impl<F: Real> VectorField<F> for Decay<F> {
    fn dim(&self) -> usize {
        self.rates.len()
    }
    fn eval_into(&self, at: &Batch<'_, F>, out: &mut ArrayRef2<F>, _: &mut Scratch) -> Result<(), Error> {
        self.asked.fetch_add(at.x().nrows(), Ordering::Relaxed);
        for (mut out, x) in out.rows_mut().into_iter().zip(at.x().rows()) {
            for ((out, &x), &rate) in out.iter_mut().zip(x).zip(&self.rates) {
                *out = -rate * x;
            }
        }
        Ok(())
    }
}

/// One step of h = 1 of `rows` rows from 0 with noise of these sizes: the largest error of a row relative to what may be
/// left of it, and the drifts asked for by a row.
fn decayed<F: Real>(rates: &[f64], sizes: &[f64], rows: u64) -> (f64, f64) {
    let decay = Decay { rates: rates.iter().map(|&rate| F::of(rate)).collect(), asked: AtomicUsize::new(0) };
    let matrix = Array2::from_diag(&ArrayView1::from(sizes));
    let one = TimeGrid::uniform(0.0, 1.0, 1).expect("a grid");
    let found = end::<F>(Additive::new(&decay, &matrix).expect("valid"), ImplicitEuler, &one, 0..rows);
    let still = from_row_fn(rates.len(), |_, _, out: &mut [F]| {
        out.fill(F::zero());
        Ok(())
    });
    let known = end::<F>(Additive::new(still, &matrix).expect("valid"), EulerMaruyama, &one, 0..rows);
    // Of the squares of large lengths, only the quotient is finite.
    let unit = sizes.iter().copied().fold(1.0, f64::max);
    let contracts = rates.iter().all(|rate| rate.abs() < 1.0);
    let error = |(found, known): (ArrayView1<'_, F>, ArrayView1<'_, F>)| {
        let (mut error, mut length, mut from) = (0.0, 0.0, 0.0);
        for ((x, known), rate) in found.iter().zip(known).zip(rates) {
            let known = known.as_f64() / unit;
            let exact = known / (1.0 + rate);
            error += (x.as_f64() / unit - exact).powi(2);
            length += exact.powi(2);
            from += known.powi(2) + (rate * known).powi(2);
        }
        // Rows that contract may have been solved without Jacobians.
        let length = if contracts { length.max(from) } else { length };
        (error / (unit.powi(-2) + length)).sqrt() / F::epsilon().as_f64().powf(0.75)
    };
    let errors: Vec<f64> = found.rows().into_iter().zip(known.rows()).map(error).collect();
    assert!(errors.iter().all(|error| error.is_finite()), "{errors:?}");
    (errors.into_iter().fold(0.0, f64::max), decay.asked.into_inner() as f64 / rows as f64)
}

/// Rates from where no Jacobian is needed to where nothing goes without, all in one row too, and coordinates that have a fast
/// rate and are small beside one that is right at once.
#[test]
fn errors_are_below_the_tolerance_with_and_without_jacobians() {
    fn check<F: Real>() {
        let rates = [0.0_f64, 1e-3, 0.1, 0.12, 0.3, 0.49, 0.52, 0.74, 0.76, 0.95, 1.5, 40.0, 1e4];
        let signed = rates.iter().chain(&[-0.1, -0.12, -0.3, -0.49, -0.74, -0.9]);
        // Rounding has a part of the tolerance. Coordinates that grow by ρ, and were too small to be seen, lack ρ/(1 − ρ) of the
        // last correction.
        let rounding = 1.0 + 4.0 * F::epsilon().as_f64().powf(0.25);
        for (d, &rate) in [1, 4, 5, 16, 19, 40, 100].iter().flat_map(|&d| signed.clone().map(move |r| (d, r)))
        {
            let most = rounding * if rate < 0.0 { (-rate / (1.0 + rate)).max(1.0) } else { 1.0 };
            let mixed: Vec<f64> = (0..d).map(|j| rate * (j + 1) as f64 / d as f64).collect();
            let but_one: Vec<f64> = (0..d).map(|j| if j == 0 { 0.0 } else { rate }).collect();
            for rates in [vec![rate; d], mixed, but_one] {
                for others in [1.0, 1e-2, 1e-3, 1e-4, 1e-6] {
                    for all in [1.0, 0.01] {
                        let sizes: Vec<f64> =
                            (0..d).map(|j| all * if j == 0 { 1.0 } else { others }).collect();
                        let (error, asked) = decayed::<F>(&rates, &sizes, 5);
                        assert!(error < most, "{} {d} {rates:?} {sizes:?}: {error}", F::NAME);
                        // What the smallest contraction takes, and then a Jacobian.
                        assert!(asked <= 2.0 * (d + 8) as f64 + 4.0, "{d} {rate}: {asked}");
                    }
                }
            }
        }
    }
    check::<f32>();
    check::<f64>();
}

/// With the Jacobian at the start, corrections that shrink by 0.6 would need more than fifty.
#[test]
fn slow_iterations_get_a_fresh_jacobian() {
    let d = 100;
    let one = TimeGrid::uniform(0.0, 1.0, 1).expect("a grid");
    for push in [3.0, 3.9, 4.08, 4.2] {
        // −x³ and a push from 1 on, at h = 1.
        let drift = from_row_fn(d, move |_, x, out: &mut [f64]| {
            out.iter_mut().zip(x).for_each(|(out, &x)| *out = push - 1.0 - x * x * x);
            Ok(())
        });
        let sde = Additive::new(drift, &Array2::zeros((d, 1))).expect("valid");
        let solver = Solver::new(sde, ImplicitEuler, one.clone()).expect("valid");
        let start = vec![1.0; d];
        let run = solver.run(Start::Point(&start), Keep::Last, 0..1, Noise::new(1), Control::default());
        let x = run.expect("converges").states[(0, 0, 0)];
        assert!((x + x * x * x - push).abs() < 1e-10, "{push}: {x}");
    }
}

/// Where all corrections shrink alike, the one that is predicted to be short enough is the first that is.
#[test]
fn no_correction_is_made_in_vain() {
    fn check<F: Real>() {
        let (d, precision) = (32, F::epsilon().as_f64());
        let tolerance = precision.powf(0.75);
        let contraction = tolerance.powf(1.0 / (d + 8) as f64).min(0.75);
        let to_come = (contraction / (1.0 - contraction)).max(1.0);
        let mut found = Vec::new();
        for rate in [0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.3, 0.4] {
            let asked = decayed::<F>(&vec![rate; d], &vec![1e6; d], 1).1;
            // Corrections are rate^k |K|, and what is enough is relative to |(K, rate K)|.
            let enough = tolerance * f64::hypot(1.0, rate) / to_come;
            let first = (enough.ln() / rate.ln()).ceil().max(2.0);
            // None of these quotients of logarithms is nearer than 0.07 to a whole number.
            assert_eq!(asked, first, "{} {rate}", F::NAME);
            found.push(first);
        }
        assert!(found[0] < 5.0 && found[7] > 12.0, "{found:?}");
    }
    check::<f32>();
    check::<f64>();
}

/// Of 32 coordinates a Jacobian has 32 evaluations.
#[test]
fn rows_that_contract_need_no_jacobian() {
    let asked = |rate: f64| decayed::<f64>(&[rate; 32], &[1.0; 32], 100).1;
    // From 1 to ε^{3/4} = 1.8e-12 by 0.1 each.
    assert!((10.0..=13.0).contains(&asked(0.1)), "{}", asked(0.1));
    assert!((36.0..=42.0).contains(&asked(2.0)), "{}", asked(2.0));
}

/// Also where only some of their rows need Jacobians, and where they have more than are iterated at once.
#[test]
fn fields_that_are_not_rowwise_get_whole_blocks() {
    let drift = || {
        let field = from_fn(100, |at: &Batch<'_, f64>, out: &mut ArrayRef2<f64>| {
            assert_eq!(at.rows().len(), 24, "a whole block");
            out.zip_mut_with(at.x(), |out, &x| *out = -0.3 * x * x * x);
            Ok(())
        });
        with_batching(field, Batching { rows: 24, rowwise: false, serial: false }).expect("valid")
    };
    let noise = Array2::eye(100);
    let run = |rows| {
        let sde = Additive::new(drift(), &noise).expect("valid");
        end::<f64>(sde, ImplicitEuler, &TimeGrid::uniform(0.0, 1.0, 5).expect("a grid"), rows)
    };
    assert_eq!(run(5..40), run(0..48).slice(s![5..40, ..]));
    // Rows that nobody asked for are not counted.
    let sde = Additive::new(drift(), &noise).expect("valid");
    let solver = Solver::new(sde, EulerMaruyama, TimeGrid::uniform(0.0, 1.0, 5).expect("a grid"));
    let start = Start::Point(&[0.0; 100]);
    let run = solver.expect("valid").run(start, Keep::Last, 5..40, Noise::new(1), Control::default());
    assert_eq!(run.expect("finite").statistics.calls, 35 * 5);
}

/// Lengths whose squares are not finite.
#[test]
fn large_states_are_solved() {
    for d in [1, 5, 32] {
        for size in [1e15, 1e20, 1e22] {
            let (error, _) = decayed::<f32>(&vec![0.2; d], &vec![size; d], 20);
            assert!(error < 1.0, "{d} {size}: {error}");
        }
    }
}

/// Counts the rows that it is asked for.
struct Counting<E>(E, AtomicUsize);

impl<E: Sde<f64>> Sde<f64> for Counting<E> {
    fn dim(&self) -> usize {
        self.0.dim()
    }
    fn noise_dim(&self) -> usize {
        self.0.noise_dim()
    }
    fn reading(&self) -> Reading {
        self.0.reading()
    }
    fn noise_class(&self) -> NoiseClass {
        self.0.noise_class()
    }
    fn drift_into(
        &self,
        batch: &Batch<'_, f64>,
        out: &mut ArrayRef2<f64>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        self.1.fetch_add(batch.x().nrows(), Ordering::Relaxed);
        self.0.drift_into(batch, out, scratch)
    }
    fn diffuse_into(
        &self,
        batch: &Batch<'_, f64>,
        w: &ArrayRef2<f64>,
        out: &mut ArrayRef2<f64>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        self.0.diffuse_into(batch, w, out, scratch)
    }
}

/// A row that runs alone takes what is counted of it, and in a block as much is counted: with Jacobians in every step, without
/// any, and with some of the rows.
#[test]
fn evaluations_are_counted_of_each_row() {
    for (d, k, length) in [(2, 30.0, 0.4), (7, 3.0, 0.1), (7, 300.0, 0.4), (40, 20.0, 0.2)] {
        let grid = TimeGrid::uniform(0.0, length, 4).expect("a grid");
        let cost = |rows: std::ops::Range<u64>| {
            let sde = Counting(cubic(d, k, 1.0), AtomicUsize::new(0));
            let solver = Solver::new(&sde, ImplicitEuler, grid.clone()).expect("valid");
            let (start, noise) = (vec![0.3; d], Noise::new(seed(7)));
            let run = solver.run(Start::Point(&start), Keep::Last, rows, noise, Control::default());
            (run.expect("converges").statistics, sde.1.load(Ordering::Relaxed) as u64)
        };
        let mut sum = 0;
        for row in 0..45 {
            let (statistics, evaluations) = cost(row..row + 1);
            assert_eq!((statistics.calls, statistics.accepted), (evaluations, 4), "d = {d}, row {row}");
            sum += evaluations;
        }
        let (together, evaluations) = cost(0..45);
        assert_eq!(together.calls, sum, "d = {d}");
        assert!(evaluations >= sum && sum > 45 * 4 * 3, "d = {d}");
    }
}
