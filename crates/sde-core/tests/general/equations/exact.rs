//! Processes with exact transitions against other roads to the same laws.

use numeric::ndarray::{Array2, Axis, s};
use numeric::{Control, Error, Noise, Scratch, TimeGrid};
use sde_core::integrator::PlatenWeak2;
use sde_core::{
    CoxIngersollRoss, CriticallyDamped, ExactTransition, GeometricBrownian, Keep, OrnsteinUhlenbeck, Sde,
    Solver, Start,
};
use statrs::distribution::{ContinuousCDF, DiscreteCDF, Gamma, LogNormal, Normal, Poisson};
use verify::{Family, Moments, kolmogorov_smirnov, kolmogorov_smirnov_two_sample, scores, seed};

use super::{derivative, drift};

/// Draws of coordinate `j` at the end of the nodes.
fn draws(
    process: &dyn ExactTransition<f64>,
    start: &[f64],
    nodes: &[f64],
    n: u64,
    noise: Noise,
) -> Vec<Vec<f64>> {
    let grid = TimeGrid::from_nodes(nodes.to_vec()).expect("a grid");
    let run =
        process.run(&grid, Start::Point(start), Keep::Last, 0..n, noise, Control::default()).expect("finite");
    run.states.index_axis(Axis(1), 0).columns().into_iter().map(|column| column.to_vec()).collect()
}

/// Laws at the end, drawn at once and over an uneven grid.
#[test]
fn gaussian_and_lognormal_transitions_have_their_laws() {
    let mut family = Family::new(1e-4).expect("a rate");
    for (i, nodes) in [vec![0.0, 1.3], vec![0.0, 0.01, 0.9, 1.3]].iter().enumerate() {
        for (k, rate) in [0.8, 0.0, -0.6].into_iter().enumerate() {
            let process = OrnsteinUhlenbeck::new(rate, vec![0.5, -2.0], 0.7).expect("valid");
            let noise = Noise::new(seed(10 * i as u64 + k as u64));
            for (j, column) in draws(&process, &[3.0, -1.0], nodes, 10_000, noise).iter().enumerate() {
                // The formula, without the functions of the crate.
                let (x, m) = ([3.0, -1.0][j], [0.5, -2.0][j]);
                let a: f64 = rate * 1.3;
                let variance =
                    if rate == 0.0 { 0.49 * 1.3 } else { 0.49 * (1.0 - (-2.0 * a).exp()) / (2.0 * rate) };
                let law = Normal::new(m + (-a).exp() * (x - m), variance.sqrt()).expect("a law");
                let p_value = kolmogorov_smirnov(column, |x| law.cdf(x)).expect("valid").p_value;
                family.push(format!("OU, rate {rate}, grid {i}, coordinate {j}"), p_value);
            }
        }
        // Noise and rows enough for a tenth of the correction ½σ² to show.
        let stock = GeometricBrownian::new(1, 0.1, 1.0).expect("valid");
        let law = LogNormal::new(2.0_f64.ln() + (0.1 - 0.5) * 1.3, 1.3_f64.sqrt()).expect("a law");
        let column = &draws(&stock, &[2.0], nodes, 50_000, Noise::new(seed(30 + i as u64)))[0];
        family.push(
            format!("GBM, grid {i}"),
            kolmogorov_smirnov(column, |x| law.cdf(x)).expect("valid").p_value,
        );
    }
    family.assert();
}

/// `c χ'²_ν(λ)` for ν > 1 by another road: the mixture of chi-squared laws of ν + 2N degrees of freedom, N Poisson of mean λ/2, by
/// quantiles of another library. The last two have a Gamma of a shape below 1 in them.
#[test]
fn cox_ingersoll_ross_against_a_poisson_mixture() {
    let mut family = Family::new(1e-4).expect("a rate");
    let cases = [(0.5, 0.4, 1.0), (0.0, 0.7, 0.3), (4.0, 0.05, 2.0), (0.5, 1.2, 1.0), (0.05, 1.4, 0.1)];
    for (i, (x, sigma, t)) in cases.into_iter().enumerate() {
        let (a, b): (f64, f64) = (0.9, 0.6);
        let process = CoxIngersollRoss::new(1, a, b, sigma).expect("valid");
        let whole = &draws(&process, &[x], &[0.0, t], 10_000, Noise::new(seed(40 + i as u64)))[0];
        let parts =
            &draws(&process, &[x], &[0.0, 0.2 * t, 0.21 * t, t], 10_000, Noise::new(seed(50 + i as u64)))[0];
        let c = sigma * sigma * (1.0 - (-a * t).exp()) / (4.0 * a);
        let (nu, lambda) = (4.0 * a * b / (sigma * sigma), x * (-a * t).exp() / c);
        assert!(nu > 1.0);
        let rows: Vec<u64> = (0..3_000).collect();
        let mut u = Array2::zeros((3_000, 2));
        Noise::new(seed(60 + i as u64)).uniforms_into(&rows, 0, &mut u);
        let other: Vec<f64> = u
            .rows()
            .into_iter()
            .map(|u| {
                let weight =
                    (lambda > 0.0).then(|| Poisson::new(0.5 * lambda).expect("a law").inverse_cdf(u[0]));
                let shape = 0.5 * nu + weight.unwrap_or(0) as f64;
                c * Gamma::new(shape, 0.5).expect("a law").inverse_cdf(u[1])
            })
            .collect();
        for (name, sample) in [("whole", whole), ("parts", parts)] {
            let p_value = kolmogorov_smirnov_two_sample(sample, &other).expect("valid").p_value;
            family.push(format!("{name}, σ = {sigma}"), p_value);
        }
    }
    family.assert();
}

/// Below Feller's condition, against the moments by hand and the density integrated numerically.
#[test]
fn cox_ingersoll_ross_moments_and_density() {
    let mut family = Family::new(1e-4).expect("a rate");
    for (i, (a, b, sigma, x, t)) in [
        (0.5, 0.04, 0.3, 0.04, 1.0),
        (0.5, 0.04, 0.3, 0.0, 1.0),
        (1.0, 1.0, 0.5, 2.0, 0.5),
        (0.0, 1.0, 0.4, 1.0, 1.5),
    ]
    .into_iter()
    .enumerate()
    {
        let process = CoxIngersollRoss::new(1, a, b, sigma).expect("valid");
        // E X and E X² by Runge–Kutta from their equations.
        let slope = |m: [f64; 2]| [a * (b - m[0]), 2.0 * a * (b * m[0] - m[1]) + sigma * sigma * m[0]];
        let end = runge_kutta([x, x * x], t, slope);
        let (mean, variance) = process.moments(x, t);
        assert!((mean - end[0]).abs() < 1e-10 && (variance - (end[1] - end[0] * end[0])).abs() < 1e-10);
        let sample = &draws(&process, &[x], &[0.0, 0.4 * t, t], 20_000, Noise::new(seed(80 + i as u64)))[0];
        assert!(sample.iter().all(|&x| x >= 0.0));
        let z = (sample.iter().sum::<f64>() / 20_000.0 - mean) / (variance / 20_000.0).sqrt();
        family.push(format!("mean {i}"), verify::normal_p_value(z));
        // The distribution function from the density on a fine grid in √y, where the density is tame.
        let top = (mean + 14.0 * variance.sqrt()).sqrt();
        let n = 40_000;
        let mut cdf = vec![0.0; n + 1];
        for k in 0..n {
            let root = (k as f64 + 0.5) / n as f64 * top;
            let density = process.ln_transition_density(x, root * root, t).exp();
            cdf[k + 1] = cdf[k] + density * 2.0 * root * top / n as f64;
        }
        let atom = if a * b == 0.0 { 1.0 - cdf[n] } else { 0.0 };
        if a * b == 0.0 {
            let (_, _, lambda) = process.transition(x, t);
            assert!((atom - (-0.5 * lambda).exp()).abs() < 1e-4, "{atom}");
            let share = sample.iter().filter(|&&x| x == 0.0).count() as f64 / 20_000.0;
            family.push(
                "atom",
                verify::normal_p_value((share - atom) / (atom * (1.0 - atom) / 20_000.0).sqrt()),
            );
            continue;
        }
        // For few degrees of freedom the density is infinite at 0, and the first cells are what is missing.
        let missing = 1.0 - cdf[n];
        assert!(missing.abs() < 0.02, "{i}: {missing}");
        let at = |y: f64| {
            let k = y.sqrt() / top * n as f64;
            let k0 = (k as usize).min(n - 1);
            missing + cdf[k0] + (k - k0 as f64).min(1.0) * (cdf[k0 + 1] - cdf[k0])
        };
        // Only where the missing mass, all of it next to 0, is behind.
        let cut = 1e-3;
        let tail: Vec<f64> = sample.iter().copied().filter(|&y| y > cut).collect();
        let law = |y: f64| (at(y) - at(cut)) / (1.0 - at(cut));
        family.push(format!("law {i}"), kolmogorov_smirnov(&tail, law).expect("valid").p_value);
    }
    family.assert();
    assert_eq!(
        CoxIngersollRoss::new(1, 1.0, 1.0, 1.0).expect("valid").ln_transition_density(1.0, -0.1, 1.0),
        f64::NEG_INFINITY
    );
}

fn runge_kutta<const N: usize>(start: [f64; N], t: f64, slope: impl Fn([f64; N]) -> [f64; N]) -> [f64; N] {
    let h = t / 2000.0;
    let along = |x: [f64; N], k: [f64; N], h: f64| std::array::from_fn(|i| x[i] + h * k[i]);
    (0..2000).fold(start, |x, _| {
        let k1 = slope(x);
        let k2 = slope(along(x, k1, 0.5 * h));
        let k3 = slope(along(x, k2, 0.5 * h));
        let k4 = slope(along(x, k3, h));
        std::array::from_fn(|i| x[i] + h / 6.0 * (k1[i] + 2.0 * k2[i] + 2.0 * k3[i] + k4[i]))
    })
}

#[test]
fn processes_at_their_ends() {
    let run = |process: &dyn ExactTransition<f64>, x: f64| {
        draws(process, &[x], &[0.0, 0.5], 4, Noise::new(1))[0].clone()
    };
    // No noise, little noise, a start at the edge and outside.
    let decay = (-0.5_f64).exp();
    for sigma in [0.0, 1e-200, 1e-12] {
        let process = CoxIngersollRoss::new(1, 1.0, 2.0, sigma).expect("valid");
        for x in [0.0, 3.0] {
            assert!(
                run(&process, x).iter().all(|y| (y - (2.0 + (x - 2.0) * decay)).abs() < 1e-9),
                "{sigma} {x}"
            );
        }
    }
    let absorbed = CoxIngersollRoss::new(1, 1.0, 0.0, 2.0).expect("valid");
    assert_eq!(run(&absorbed, 0.0), [0.0; 4]);
    let grid = TimeGrid::uniform(0.0, 1.0, 1).expect("a grid");
    let outside =
        absorbed.run(&grid, Start::Point(&[-1.0]), Keep::Last, 0..3, Noise::new(1), Control::default());
    assert!(matches!(outside, Err(Error::NotFinite { row: 0, step: 0, .. })));
    assert!(
        run(&OrnsteinUhlenbeck::new(1.0, vec![2.0], 0.0).expect("valid"), 3.0).iter().all(|y| (y
            - 2.0
            - decay)
            .abs()
            < 1e-15)
    );
    assert!(
        run(&GeometricBrownian::new(1, 1.0, 0.0).expect("valid"), 1.0)
            .iter()
            .all(|y| (y - 0.5_f64.exp()).abs() < 1e-15)
    );
    // Full truncation: coefficients beyond 0 are those at 0.
    let cir = CoxIngersollRoss::new(1, 1.0, 2.0, 0.5).expect("valid");
    assert_eq!(drift(&cir, &[-3.0]), drift(&cir, &[0.0]));
    assert_eq!(derivative(&cir, &[0.0], &[1.0], &[1.0]), [0.0]);
    // Log-densities by another implementation.
    let process = OrnsteinUhlenbeck::new(0.8, vec![0.5], 0.7).expect("valid");
    let (mean, variance) = process.moments(3.0, 0.5, 1.3);
    let law = Normal::new(mean, variance.sqrt()).expect("a law");
    let density = statrs::distribution::Continuous::ln_pdf(&law, 1.0);
    assert!((process.ln_transition_density(3.0, 0.5, 1.0, 1.3) - density).abs() < 1e-13);
    let stock = GeometricBrownian::new(1, 0.1, 0.5).expect("valid");
    let law = LogNormal::new(2.0_f64.ln() + (0.1 - 0.125) * 1.3, 0.5 * 1.3_f64.sqrt()).expect("a law");
    let density = statrs::distribution::Continuous::ln_pdf(&law, 1.7);
    assert!((stock.ln_transition_density(2.0, 1.7, 1.3) - density).abs() < 1e-13);
    assert_eq!(stock.ln_transition_density(2.0, 0.0, 1.3), f64::NEG_INFINITY);
}

#[test]
fn exact_runs_do_not_depend_on_the_split() {
    let grid = TimeGrid::uniform(0.0, 1.0, 3).expect("a grid");
    let processes: [&dyn ExactTransition<f64>; 3] = [
        &OrnsteinUhlenbeck::new(1.0, vec![0.0, 1.0], 1.0).expect("valid"),
        &CoxIngersollRoss::new(2, 1.0, 0.3, 1.0).expect("valid"),
        &CriticallyDamped::new(1, 1.0, 1.0).expect("valid"),
    ];
    for process in processes {
        let run = |rows| {
            let run = process.run(
                &grid,
                Start::Point(&[0.5, 0.7]),
                Keep::All,
                rows,
                Noise::new(2),
                Control::default(),
            );
            run.expect("finite").states
        };
        // Many rows go in larger blocks.
        assert_eq!(run(20..130), run(0..3000).slice(s![20..130, .., ..]));
    }
    assert!(matches!(
        processes[0].run(&grid, Start::Prior, Keep::Last, 0..1, Noise::new(1), Control::default()),
        Err(Error::Unsupported { .. })
    ));
}

/// The kernel of critically damped Langevin against the moment equations, integrated numerically.
#[test]
fn the_critically_damped_kernel_solves_the_moment_equations() {
    for (beta, mass) in [(1.0, 1.0), (4.0, 0.25), (2.0, 9.0)] {
        let process = CriticallyDamped::new(1, beta, mass).expect("valid");
        let friction = 2.0 * f64::sqrt(mass);
        let matrix = [[0.0, beta / mass], [-beta, -beta * friction / mass]];
        // (A columns, Σ_qq, Σ_qp, Σ_pp): A' = M A, Σ' = M Σ + Σ Mᵀ + diag(0, 2Γβ).
        let slope = |m: [f64; 7]| {
            let [a, b, c, d, qq, qp, pp] = m;
            let times =
                |q: f64, p: f64| [matrix[0][0] * q + matrix[0][1] * p, matrix[1][0] * q + matrix[1][1] * p];
            let ([a1, c1], [b1, d1]) = (times(a, c), times(b, d));
            let ([q_q, p_q], [q_p, p_p]) = (times(qq, qp), times(qp, pp));
            [a1, b1, c1, d1, 2.0 * q_q, p_q + q_p, 2.0 * p_p + 2.0 * friction * beta]
        };
        for t in [1e-3, 0.3, 1.7, 6.0] {
            let end = runge_kutta([1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0], t, slope);
            let kernel = process.transition(t);
            let [[a, b], [c, d]] = kernel.mean;
            let [qq, qp, pp] = kernel.covariance;
            for (found, exact) in [a, b, c, d, qq, qp, pp].into_iter().zip(end) {
                assert!(
                    (found - exact).abs() < 1e-10 + 1e-8 * exact.abs(),
                    "{beta} {mass} {t}: {found} {exact}"
                );
            }
            // Positive definite, with the factor of it, also for short times where it nearly is not.
            let [l, across, m] = kernel.factor();
            assert!(l > 0.0 && m > 0.0);
            assert!(
                (l * across - qp).abs() <= 1e-15 + 1e-12 * qp
                    && (across * across + m * m - pp).abs() < 1e-12 * pp
            );
            // Given the position only: the velocity's variance carried along.
            let averaged = process.transition_from_position(t, 0.3);
            assert!((averaged.covariance[0] - (qq + 0.3 * b * b)).abs() < 1e-15);
            assert!(
                (averaged.covariance[2] - (pp + 0.3 * d * d)).abs() < 1e-15 && averaged.mean[0][1] == 0.0
            );
        }
        // To leading order in a short time Σ_qq is ⅔ Γ β (β/M)² t³, with all digits.
        let t = 1e-7;
        let leading = 2.0 / 3.0 * friction * beta * (beta / mass).powi(2) * t * t * t;
        assert!((process.transition(t).covariance[0] / leading - 1.0).abs() < 1e-5);
        assert_eq!(process.transition(0.0).covariance, [0.0, 0.0, 0.0]);
        assert_eq!(process.transition(0.0).factor(), [0.0, 0.0, 0.0]);
    }
}

#[test]
fn critically_damped_draws_have_the_moments_of_the_kernel() {
    let process = CriticallyDamped::new(2, 1.5, 0.5).expect("valid");
    let mut family = Family::new(1e-4).expect("a rate");
    for (i, nodes) in [vec![0.0, 0.8], vec![0.0, 0.05, 0.6, 0.8]].iter().enumerate() {
        let start = [1.0, -2.0, 0.3, 0.7];
        let columns = draws(&process, &start, nodes, 10_000, Noise::new(seed(90 + i as u64)));
        let kernel = process.transition(0.8);
        for j in 0..2 {
            let (q, p) = (start[j], start[2 + j]);
            let mean = kernel.mean.map(|row| row[0] * q + row[1] * p);
            let [qq, qp, pp] = kernel.covariance;
            // Both coordinates and their sum: the sum knows the covariance.
            let sum: Vec<f64> = columns[j].iter().zip(&columns[2 + j]).map(|(q, p)| q + p).collect();
            for (name, sample, mean, variance) in [
                ("q", &columns[j], mean[0], qq),
                ("p", &columns[2 + j], mean[1], pp),
                ("q + p", &sum, mean[0] + mean[1], qq + 2.0 * qp + pp),
            ] {
                let law = Moments { mean, std_dev: variance.sqrt(), kurtosis: 3.0 };
                let scores = scores(sample, &law).expect("valid");
                family.push(format!("{name} {j} {i} mean"), scores.z_p_value());
                family.push(format!("{name} {j} {i} variance"), scores.y_p_value());
            }
        }
    }
    family.assert();
}

/// Each process as an equation, solved with fine steps, has the moments of its transition.
#[test]
fn processes_as_equations_have_their_own_transitions() {
    let mut family = Family::new(1e-4).expect("a rate");
    let grid = TimeGrid::uniform(0.0, 0.8, 160).expect("a grid");
    let ou = OrnsteinUhlenbeck::new(1.2, vec![0.5], 0.7).expect("valid");
    let cir = CoxIngersollRoss::new(1, 1.0, 1.0, 0.4).expect("valid");
    let pair = CriticallyDamped::new(1, 1.5, 0.5).expect("valid");
    let kernel = pair.transition(0.8);
    let mean = kernel.mean.map(|row| row[0] - 2.0 * row[1]);
    /// An equation, a start, and mean and variance of each coordinate.
    type Case<'a> = (&'a dyn Sde<f64>, Vec<f64>, Vec<(f64, f64)>);
    let cases: [Case<'_>; 3] = [
        (&ou, vec![2.0], vec![ou.moments(2.0, 0.5, 0.8)]),
        (&cir, vec![2.0], vec![cir.moments(2.0, 0.8)]),
        (&pair, vec![1.0, -2.0], vec![(mean[0], kernel.covariance[0]), (mean[1], kernel.covariance[2])]),
    ];
    for (i, (sde, start, moments)) in cases.into_iter().enumerate() {
        // Weak order 2: the bias of 160 steps is far below the standard error of 4000 rows.
        let solver = Solver::new(sde, PlatenWeak2, grid.clone()).expect("valid");
        let noise = Noise::new(seed(110 + i as u64));
        let run =
            solver.run(Start::Point(&start), Keep::Last, 0..4000, noise, Control::default()).expect("finite");
        for (j, (mean, variance)) in moments.into_iter().enumerate() {
            let sample = run.states.slice(s![.., 0, j]).to_vec();
            // The square root's law is a little steeper than a normal one: excess below 0.2 here.
            let law = Moments { mean, std_dev: variance.sqrt(), kurtosis: if i == 1 { 3.2 } else { 3.0 } };
            let scores = scores(&sample, &law).expect("valid");
            family.push(format!("mean {i} {j}"), scores.z_p_value());
            family.push(format!("variance {i} {j}"), scores.y_p_value());
        }
    }
    family.assert();
}

#[test]
#[should_panic(expected = "columns of the states")]
fn states_of_another_length_are_refused() {
    let process = OrnsteinUhlenbeck::new(1.0, vec![0.0, 1.0], 1.0).expect("valid");
    process.advance(&[0], 0, 0.5, Noise::new(1), &mut Array2::<f64>::zeros((1, 4)), &mut Scratch::new());
}
