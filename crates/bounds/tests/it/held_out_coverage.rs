//! Coverage of the intervals of held-out bounds over a thousand simulated data sets.

use bounds::curve::{ErrorCurve, ScalarMixtureCurve};
use bounds::held_out::{CrossEntropyBound, HeldOut, Interval, cross_entropy_bound};
use bounds::terms::{Scheme, discretization};
use numeric::ndarray::{Array2, ArrayRef2, array};
use numeric::special::x_minus_ln_1p;
use numeric::{Model, Noise, Prediction, Time, TimeGrid, VectorField, from_row_fn};
use sde_core::{FrozenDenoiser, Mixture, MomentMatched, Ou, grid};
use verify::seed;

const SETS: u64 = 1000;
const LEVEL: f64 = 0.9;
/// Standard errors of a coverage: false alarms at 7·10⁻⁶ for each comparison.
const THRESHOLD: f64 = 4.5;

/// Shares of the sets in which the truth is below the upper end, and within the two-sided interval.
fn coverage(exact: f64, set: impl Fn(u64) -> CrossEntropyBound) -> (f64, f64) {
    let (mut below, mut within) = (0, 0);
    for i in 0..SETS {
        let bound = set(i);
        let (low, high) = bound.interval(LEVEL).expect("a level");
        below += u32::from(exact <= bound.upper(LEVEL).expect("a level"));
        within += u32::from(low <= exact && exact <= high);
    }
    (f64::from(below) / SETS as f64, f64::from(within) / SETS as f64)
}

fn spread() -> f64 {
    // Of the least coverage that is met here, 0.8, so that it is large enough for all of them.
    (0.8 * 0.2 / SETS as f64).sqrt()
}

/// The coverages are those that 20 000 sets have (to 0.003), which is what skewness leaves of the level.
fn near(found: (f64, f64), long: (f64, f64), what: &str) {
    for (found, long) in [(found.0, long.0), (found.1, long.1)] {
        assert!(
            (found - long).abs() < THRESHOLD * spread() + 0.003,
            "{what}: {found}, in the long run {long}"
        );
    }
}

/// Two atoms with their exact denoiser, in the ball [−1, 1]: both intervals, the truth by quadrature.
#[test]
fn atoms_in_a_ball_are_covered() {
    let coin = Mixture::atoms(&array![[-1.0], [1.0]], Some(&array![0.3, 0.7])).expect("valid");
    let curve = ScalarMixtureCurve::new(&[0.3, 0.7], &[-1.0, 1.0], &[0.0, 0.0]).expect("valid");
    let grid = grid::geometric_v(1.5, 0.3, 4).expect("valid");
    let model = coin.denoiser::<f64, _>(Ou);
    let exact = curve.entropy(0.3)
        + curve.relative_entropy(1.5)
        + discretization(&Scheme::FrozenDenoiser, &curve, &grid).expect("valid");
    let noise = Noise::new(seed(81));
    let of = |n: u64, interval: &Interval, i: u64| {
        let data = coin.sample(i * n..(i + 1) * n, 1.0, 0.0, noise.fork("data")).expect("valid");
        let held_out = HeldOut { data: &data, noise: noise.fork_index(i), interval: interval.clone() };
        cross_entropy_bound(&held_out, &model, &FrozenDenoiser, &grid, Default::default()).expect("valid")
    };
    let ball = Interval::EmpiricalBernstein { centre: vec![0.0], radius: 1.0 };
    // At 50 rows nearly the range, at 200 well inside of it; at least the level in both.
    for n in [50, 200] {
        let (below, within) = coverage(exact, |i| of(n, &ball, i));
        assert!(below > LEVEL - THRESHOLD * spread() && within > LEVEL - THRESHOLD * spread());
        let one = of(n, &ball, 0);
        let (low, high) = one.range().expect("Bernstein");
        assert!(one.upper(LEVEL).expect("a level") < if n == 50 { high } else { low + 0.5 * (high - low) });
    }
    near(coverage(exact, |i| of(200, &Interval::Asymptotic, i)), (0.903, 0.904), "atoms, 200 rows");
}

/// Rows of a law in d = 1 with the linear denoiser κ x of N(0, c), and the bound in closed form: a law enters by its
/// second moment only.
fn linear_model(c: f64) -> Model<impl VectorField<f64>, Ou> {
    let field = from_row_fn(1, move |time: Time, x, out: &mut [f64]| {
        out[0] = gain(c, time.t) * x[0];
        Ok(())
    });
    Model::new(field, Prediction::Denoised, Ou)
}

fn gain(c: f64, tau: f64) -> f64 {
    let alpha = (-tau).exp();
    alpha * c / (alpha * alpha * c - (-2.0 * tau).exp_m1())
}

fn linear_bound(c: f64, second_moment: f64, grid: &TimeGrid) -> f64 {
    let (first, last) = (grid.first().t, grid.last().t);
    let eta = |tau: f64| 1.0 / (2.0 * tau).exp_m1();
    let noise = |tau: f64| -(-2.0 * tau).exp_m1();
    let steps = grid.pairs().map(|(from, to)| {
        let (kappa, alpha) = (gain(c, from.t), (-from.t).exp());
        let error = (1.0 - kappa * alpha).powi(2) * second_moment + kappa * kappa * noise(from.t);
        0.5 * (eta(to.t) - eta(from.t)) * error
    });
    let signal = (-2.0 * first).exp();
    0.5 * (signal * second_moment + x_minus_ln_1p(-signal))
        + steps.sum::<f64>()
        + 0.5 * (2.0 * std::f64::consts::PI * std::f64::consts::E * noise(last)).ln()
}

/// Student's t with 5 degrees of freedom, or a standard normal for `None`.
fn draws(n: u64, set: u64, noise: Noise, degrees: Option<usize>) -> Array2<f64> {
    let rows: Vec<u64> = (set * n..(set + 1) * n).collect();
    let mut z = Array2::<f64>::zeros((n as usize, 6));
    noise.normals_into(&rows, 0, &mut z);
    Array2::from_shape_fn((n as usize, 1), |(i, _)| match degrees {
        None => z[(i, 0)],
        Some(k) => z[(i, 0)] / ((1..=k).map(|j| z[(i, j)].powi(2)).sum::<f64>() / k as f64).sqrt(),
    })
}

fn linear_coverage(n: u64, degrees: Option<usize>, grid: &TimeGrid, s: u64) -> (f64, f64) {
    let second_moment = degrees.map_or(1.0, |k| k as f64 / (k as f64 - 2.0));
    let (model, noise) = (linear_model(second_moment), Noise::new(seed(s)));
    let exact = linear_bound(second_moment, second_moment, grid);
    coverage(exact, |i| {
        let data = draws(n, i, noise.fork("data"), degrees);
        let held_out = HeldOut { data: &data, noise: noise.fork_index(i), interval: Interval::Asymptotic };
        cross_entropy_bound(&held_out, &model, &FrozenDenoiser, grid, Default::default()).expect("valid")
    })
}

/// The corrected interval: at the level for normal data from 50 rows on; for heavy tails below it, less so with more rows.
#[test]
fn the_asymptotic_interval_covers_normal_data_and_comes_near_with_heavy_tails() {
    let grid = grid::geometric_v(0.8, 0.1, 3).expect("valid");
    near(linear_coverage(50, None, &grid, 84), (0.890, 0.894), "normal, 50 rows");
    near(linear_coverage(200, None, &grid, 82), (0.895, 0.897), "normal, 200 rows");
    near(linear_coverage(50, Some(5), &grid, 133), (0.835, 0.862), "t(5), 50 rows");
    near(linear_coverage(200, Some(5), &grid, 283), (0.864, 0.877), "t(5), 200 rows");
    near(linear_coverage(2000, Some(5), &grid, 383), (0.882, 0.885), "t(5), 2000 rows");
}

/// A covariance-matched step in two dimensions, with a model that is wrong, in a ball: at least the level.
#[test]
fn a_wrong_model_with_turned_directions_is_covered() {
    let corners = array![[1.0, 0.0], [-0.6, 0.8], [0.0, -1.0]];
    let law = Mixture::atoms(&corners, None).expect("valid");
    let method = MomentMatched::new(&array![[0.5, 0.1], [0.1, 0.4]]).expect("valid");
    let grid = grid::geometric_v(1.0, 0.2, 3).expect("valid");
    // The zero denoiser leaves only the data: the value of a row is a function of its corner, and the truth their mean.
    let zero = from_row_fn(2, |_, _, out: &mut [f64]| {
        out.fill(0.0);
        Ok(())
    });
    let model = Model::new(zero, Prediction::Denoised, Ou);
    let ball = Interval::EmpiricalBernstein { centre: vec![0.0, 0.0], radius: 1.0 };
    let of = |data: &ArrayRef2<f64>, noise: Noise| {
        let held_out = HeldOut { data, noise, interval: ball.clone() };
        cross_entropy_bound(&held_out, &model, &method, &grid, Default::default()).expect("valid")
    };
    let exact = of(&corners, Noise::new(0)).nats();
    let noise = Noise::new(seed(85));
    let (below, within) = coverage(exact, |i| {
        let data = law.sample(i * 100..(i + 1) * 100, 1.0, 0.0, noise.fork("data")).expect("valid");
        of(&data, noise.fork_index(i))
    });
    assert!(below > LEVEL - THRESHOLD * spread() && within > LEVEL - THRESHOLD * spread());
}
