//! Order of convergence with an honest confidence interval.

use numeric::Error;
use numeric::ndarray::{Array2, ArrayRef2};
use statrs::distribution::{ContinuousCDF, StudentsT};

/// Which refinement levels enter the fit, and how many must.
///
/// Levels are dropped from the first one at the noise floor onwards: what is finer is noise too.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OrderOptions {
    /// Fewest levels for a slope; at least 3. Default 4.
    pub min_points: usize,
    /// A weak error counts as noise below this many of its standard errors. Default 4.
    pub standard_errors: f64,
    /// An error counts as round-off at or below this floor. Default 0.
    pub floor: f64,
}

impl Default for OrderOptions {
    fn default() -> OrderOptions {
        OrderOptions { min_points: 4, standard_errors: 4.0, floor: 0.0 }
    }
}

/// The error measured at one step size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OrderPoint {
    /// Step size $`h`$.
    pub step: f64,
    /// Error $`e(h) \ge 0`$.
    pub error: f64,
    /// Standard error of `error` from sampling; 0 in [`deterministic_order`].
    pub std_error: f64,
    /// Whether the point is above the noise floor and entered the fit.
    pub used: bool,
}

/// Slope of $`\ln e(h)`$ against $`\ln h`$.
#[derive(Clone, Debug, PartialEq)]
pub struct OrderEstimate {
    /// The estimated order.
    pub slope: f64,
    /// Half the width of the 95 % confidence interval of `slope`.
    pub half_width: f64,
    /// All levels, coarse to fine, also those not used.
    pub points: Vec<OrderPoint>,
}

/// Tabulates the errors of nested refinements: `errors(level)` gives one error per path, with the paths in
/// the same order at every level. The result has shape (paths, levels).
///
/// # Errors
/// There is no level, or a level has another number of paths than the first.
///
/// ```
/// let table = verify::per_path_errors(3, |level| vec![0.5_f64.powi(level as i32), 2.0])?;
/// assert_eq!(table, numeric::ndarray::array![[1.0, 0.5, 0.25], [2.0, 2.0, 2.0]]);
/// # Ok::<(), verify::Error>(())
/// ```
pub fn per_path_errors(levels: u32, errors: impl FnMut(u32) -> Vec<f64>) -> Result<Array2<f64>, Error> {
    let columns: Vec<Vec<f64>> = (0..levels).map(errors).collect();
    let paths = columns.first().map_or(0, Vec::len);
    Error::domain(levels > 0, "levels", 0.0, "at least 1")?;
    for column in &columns {
        Error::shape("errors of a level", &[paths], &[column.len()])?;
    }
    Ok(Array2::from_shape_fn((paths, columns.len()), |(path, level)| columns[level][path]))
}

/// Strong order: slope of $`e(h) = \bigl( \frac1n \sum_i |\epsilon_i(h)|^p \bigr)^{1/p}`$.
///
/// `errors` has shape (paths, levels): entry $`(i, l)`$ is the error $`\epsilon_i(h_l)`$, signed or not, of
/// path $`i`$ at step `steps[l]`, on the *same* Brownian path at every level; `steps` decrease. The slope is
/// that of weighted least squares with the inverse sampling variances of $`\ln e(h_l)`$ as weights. Errors at
/// different steps share their paths and are strongly dependent, so the textbook interval for independent
/// points is wrong, by a factor of two and more either way. Here the slope is linearised in the paths (the
/// infinitesimal jackknife),
///
/// ```math
/// \hat\beta = \sum_l c_l \ln e(h_l), \qquad
/// \operatorname{se}^2 = \frac{1}{n(n-1)} \sum_i \Bigl( \sum_l \frac{c_l}{p}
/// \Bigl( \frac{|\epsilon_i(h_l)|^p}{e(h_l)^p} - 1 \Bigr) \Bigr)^2,
/// ```
///
/// and the interval is Student's with $`n - 1`$ degrees of freedom. It covers the slope that infinitely many
/// paths would give *at these steps*; that this slope is not yet the order, because steps are not small
/// enough, no interval knows.
///
/// # Errors
/// `steps` are not positive and strictly decreasing; the shapes differ; there are fewer than two paths; an
/// error is not finite; `power` or an option is out of its domain; the errors of a level do not differ
/// between paths (then [`deterministic_order`] is meant); fewer than `min_points` levels are above the floor.
///
/// # References
/// Efron (1982), The jackknife, the bootstrap and other resampling plans, chapter 6 (infinitesimal
/// jackknife). Kloeden, Platen (1992), Numerical solution of stochastic differential equations, section 9.3
/// (orders from batches).
///
/// ```
/// use verify::{OrderOptions, per_path_errors, strong_order};
/// // Errors of order 1/2, each path with its own constant.
/// let errors = per_path_errors(5, |level| {
///     (1..=50).map(|i| f64::from(i) * 0.5_f64.powi(level as i32).sqrt()).collect()
/// })?;
/// let steps = [1.0, 0.5, 0.25, 0.125, 0.0625];
/// let order = strong_order(&steps, &errors, 2.0, &OrderOptions::default())?;
/// // All levels move together, so the slope is known exactly although no error is.
/// assert!((order.slope - 0.5).abs() < 1e-12 && order.half_width < 1e-12);
/// assert!(order.points[0].std_error > 1.0);
/// # Ok::<(), verify::Error>(())
/// ```
pub fn strong_order(
    steps: &[f64],
    errors: &ArrayRef2<f64>,
    power: f64,
    options: &OrderOptions,
) -> Result<OrderEstimate, Error> {
    check(steps, errors, options)?;
    Error::positive("power", power)?;
    let levels = (0..steps.len()).map(|level| {
        let powers: Vec<f64> = errors.column(level).iter().map(|e| e.abs().powf(power)).collect();
        let mean = mean(&powers);
        let influence = powers.iter().map(|x| (x / mean - 1.0) / power).collect();
        (mean.powf(1.0 / power), influence)
    });
    estimate(steps, levels.collect(), |_| false, options)
}

/// Weak order: slope of $`e(h) = \bigl| \frac1n \sum_i \delta_i(h) \bigr|`$.
///
/// `differences` has shape (paths, levels): entry $`(i, l)`$ is $`\delta_i(h_l) = f(X^{h_l}_i) - f(X_i)`$,
/// the *signed* difference of the test function between step $`h_l`$ and the exact solution (or a much finer
/// one) on the same Brownian path; where the exact expectation is known but the coupling is not,
/// $`f(X^{h_l}_i) - E f(X)`$. The coupling takes most of the variance away. Interval and weights are those of
/// [`strong_order`], with the influence $`\delta_i / \bar\delta - 1`$.
///
/// A level whose mean is below `standard_errors` of its own standard errors, and all finer ones, are not
/// used.
///
/// # Errors
/// As of [`strong_order`].
///
/// ```
/// use verify::{Error, OrderOptions, per_path_errors, weak_order};
/// // Mean h, and a disturbance of ±0.02 per path that no refinement removes: half the levels drown in it.
/// let errors = per_path_errors(10, |level| {
///     (0..100).map(|i| 0.5_f64.powi(level as i32) + if i % 2 == 0 { 0.02 } else { -0.02 }).collect()
/// })?;
/// let steps: Vec<f64> = (0..10).map(|level| 0.5_f64.powi(level)).collect();
/// let order = weak_order(&steps, &errors, &OrderOptions::default())?;
/// assert!((order.slope - 1.0).abs() < 1e-9);
/// assert_eq!(order.points.iter().filter(|point| point.used).count(), 7); // 4 * 0.002 = 0.008 > 2^-7
/// let greedy = OrderOptions { min_points: 8, ..OrderOptions::default() };
/// assert!(matches!(weak_order(&steps, &errors, &greedy), Err(Error::Domain { value: 7.0, .. })));
/// # Ok::<(), verify::Error>(())
/// ```
pub fn weak_order(
    steps: &[f64],
    differences: &ArrayRef2<f64>,
    options: &OrderOptions,
) -> Result<OrderEstimate, Error> {
    check(steps, differences, options)?;
    let levels = (0..steps.len()).map(|level| {
        let column = differences.column(level).to_vec();
        let mean = mean(&column);
        (mean.abs(), column.iter().map(|x| x / mean - 1.0).collect())
    });
    let noise = |point: &OrderPoint| !(point.error >= options.standard_errors * point.std_error);
    estimate(steps, levels.collect(), noise, options)
}

/// Order of a method without randomness, from one error per step size.
///
/// Ordinary least squares of $`\ln e(h)`$ on $`\ln h`$. The half-width is Student's for $`m - 2`$ degrees of
/// freedom from the scatter about the line. There is no sampling here: it measures how straight the line is,
/// a guide and no confidence statement.
///
/// # Errors
/// `steps` are not positive and strictly decreasing; the lengths differ; an error is negative or not finite;
/// an option is out of its domain; fewer than `min_points` levels are above the floor.
///
/// ```
/// use verify::{OrderOptions, deterministic_order};
/// // The trapezoidal rule for the integral of exp over [0, 1].
/// let steps: Vec<f64> = (1..=8).map(|level| 0.5_f64.powi(level)).collect();
/// let error = |&h: &f64| {
///     let n = (1.0 / h) as i32;
///     let inner: f64 = (1..n).map(|i| (f64::from(i) * h).exp()).sum();
///     (h * (inner + 0.5 + 0.5 * 1.0_f64.exp()) - (1.0_f64.exp() - 1.0)).abs()
/// };
/// let errors: Vec<f64> = steps.iter().map(error).collect();
/// let above_rounding = OrderOptions { floor: 1e-12, ..OrderOptions::default() };
/// let order = deterministic_order(&steps, &errors, &above_rounding)?;
/// assert!((order.slope - 2.0).abs() < 0.01 && order.half_width < 0.01);
/// # Ok::<(), verify::Error>(())
/// ```
pub fn deterministic_order(
    steps: &[f64],
    errors: &[f64],
    options: &OrderOptions,
) -> Result<OrderEstimate, Error> {
    check_steps(steps, options)?;
    Error::shape("errors", &[steps.len()], &[errors.len()])?;
    Error::entries("errors", errors.iter().copied(), "a finite number not below 0", |e| {
        e >= 0.0 && e.is_finite()
    })?;
    let point = |(&step, &error): (&f64, &f64)| OrderPoint { step, error, std_error: 0.0, used: true };
    let mut points: Vec<OrderPoint> = steps.iter().zip(errors).map(point).collect();
    let used = mark_used(&mut points, |_| false, options)?;
    let weights = slope_weights(&points[..used], &vec![1.0; used]);
    let slope = slope_of(&points[..used], &weights);
    let centre = |f: fn(&OrderPoint) -> f64| mean(&points[..used].iter().map(f).collect::<Vec<_>>());
    let (x, y) = (centre(|point| point.step.ln()), centre(|point| point.error.ln()));
    let residual = |point: &OrderPoint| (point.error.ln() - y - slope * (point.step.ln() - x)).powi(2);
    let freedom = (used - 2) as f64;
    let scatter = points[..used].iter().map(residual).sum::<f64>() / freedom;
    let squares: f64 = weights.iter().map(|c| c * c).sum();
    let half_width = student_97_5(freedom)? * (scatter * squares).sqrt();
    Ok(OrderEstimate { slope, half_width, points })
}

fn check_steps(steps: &[f64], options: &OrderOptions) -> Result<(), Error> {
    let expected = "positive, finite, strictly decreasing steps";
    Error::entries("steps", steps.iter().copied(), expected, |h| h > 0.0 && h.is_finite())?;
    if let Some(index) = (1..steps.len()).find(|&i| steps[i] >= steps[i - 1]) {
        return Err(Error::Entry { parameter: "steps", index, value: steps[index], expected });
    }
    let min_points = options.min_points;
    Error::domain(min_points >= 3, "min_points", min_points as f64, "at least 3")?;
    let multiple = options.standard_errors;
    Error::domain(multiple >= 0.0, "standard_errors", multiple, "a number not below 0")?;
    Error::domain(options.floor >= 0.0, "floor", options.floor, "a number not below 0")
}

fn check(steps: &[f64], errors: &ArrayRef2<f64>, options: &OrderOptions) -> Result<(), Error> {
    check_steps(steps, options)?;
    let paths = errors.nrows();
    Error::shape("errors", &[paths, steps.len()], errors.shape())?;
    Error::domain(paths >= 2, "paths", paths as f64, "at least two")?;
    Error::entries("errors", errors.iter().copied(), "a finite number", f64::is_finite)
}

/// From each level's error and the influences of the paths on its logarithm, which have mean 0.
fn estimate(
    steps: &[f64],
    levels: Vec<(f64, Vec<f64>)>,
    noise: impl Fn(&OrderPoint) -> bool,
    options: &OrderOptions,
) -> Result<OrderEstimate, Error> {
    let point = |(&step, (error, influence)): (&f64, &(f64, Vec<f64>))| {
        let std_error = error * variance_of_mean(influence).sqrt();
        OrderPoint { step, error: *error, std_error, used: true }
    };
    let mut points: Vec<OrderPoint> = steps.iter().zip(&levels).map(point).collect();
    let used = mark_used(&mut points, noise, options)?;
    let inverse_variances: Vec<f64> =
        points[..used].iter().map(|p| (p.error / p.std_error).powi(2)).collect();
    Error::entries(
        "errors / standard errors",
        inverse_variances.iter().map(|w| w.sqrt()),
        "finite: errors must differ between paths, else use deterministic_order",
        f64::is_finite,
    )?;
    let weights = slope_weights(&points[..used], &inverse_variances);
    let paths = levels[0].1.len();
    let influence = |i: usize| weights.iter().zip(&levels).map(|(c, (_, values))| c * values[i]).sum();
    let influences: Vec<f64> = (0..paths).map(influence).collect();
    let half_width = student_97_5(paths as f64 - 1.0)? * variance_of_mean(&influences).sqrt();
    Ok(OrderEstimate { slope: slope_of(&points[..used], &weights), half_width, points })
}

/// Marks the levels before the first one at the floor, and returns their number if it suffices.
fn mark_used(
    points: &mut [OrderPoint],
    noise: impl Fn(&OrderPoint) -> bool,
    options: &OrderOptions,
) -> Result<usize, Error> {
    let above = |point: &&OrderPoint| point.error > options.floor && !noise(point);
    let used = points.iter().take_while(above).count();
    points[used..].iter_mut().for_each(|point| point.used = false);
    let expected = "at least min_points levels above the noise floor";
    Error::domain(used >= options.min_points, "used levels", used as f64, expected)?;
    Ok(used)
}

/// Coefficients $`c_l`$ of the weighted least-squares slope $`\sum_l c_l y_l`$.
fn slope_weights(points: &[OrderPoint], weights: &[f64]) -> Vec<f64> {
    let x: Vec<f64> = points.iter().map(|point| point.step.ln()).collect();
    let dot = |a: &[f64]| weights.iter().zip(a).map(|(w, a)| w * a).sum::<f64>();
    let centre = dot(&x) / weights.iter().sum::<f64>();
    let spread = dot(&x.iter().map(|x| (x - centre).powi(2)).collect::<Vec<_>>());
    x.iter().zip(weights).map(|(x, w)| w * (x - centre) / spread).collect()
}

fn slope_of(points: &[OrderPoint], coefficients: &[f64]) -> f64 {
    coefficients.iter().zip(points).map(|(c, point)| c * point.error.ln()).sum()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Squared standard error of the mean of independent values.
fn variance_of_mean(values: &[f64]) -> f64 {
    let (n, centre) = (values.len() as f64, mean(values));
    values.iter().map(|x| (x - centre).powi(2)).sum::<f64>() / (n * (n - 1.0))
}

/// The 97.5 % point of Student's law.
fn student_97_5(freedom: f64) -> Result<f64, Error> {
    if freedom > 1000.0 {
        // One term of Fisher's expansion: 2e-6 off at 1000, where the library's inverse begins to lose
        // digits.
        const Z: f64 = 1.959_963_984_540_054;
        return Ok(Z + (Z.powi(3) + Z) / (4.0 * freedom));
    }
    let expected = "a positive number of degrees of freedom";
    let law = StudentsT::new(0.0, 1.0, freedom).map_err(|_| Error::Domain {
        parameter: "freedom",
        value: freedom,
        expected,
    })?;
    Ok(law.inverse_cdf(0.975))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn student_published_points() {
        let table = [(1.0, 12.706205), (2.0, 4.302653), (10.0, 2.228139), (99.0, 1.984217), (1e3, 1.962339)];
        for (freedom, t) in table.into_iter().chain([(1001.0, 1.962337), (1e8, 1.959964)]) {
            assert!((student_97_5(freedom).unwrap() - t).abs() < 4e-6, "{freedom}");
        }
    }

    #[test]
    fn the_weighted_slope_is_that_of_the_normal_equations() {
        // Three points by hand: x = 0, 1, 3 with weights 1, 2, 1 and y = 1, 2, 5: slope (sum w (x - m)
        // y)/(sum w (x - m)^2) with m = 5/4: (-1.25 - 1 + 8.75)/(1.5625 + 0.125 + 3.0625) = 6.5/4.75.
        let point = |x: f64, y: f64| OrderPoint { step: x.exp(), error: y.exp(), std_error: 0.0, used: true };
        let points = [point(0.0, 1.0), point(1.0, 2.0), point(3.0, 5.0)];
        let slope = slope_of(&points, &slope_weights(&points, &[1.0, 2.0, 1.0]));
        assert!((slope - 6.5 / 4.75).abs() < 1e-14);
    }
}
