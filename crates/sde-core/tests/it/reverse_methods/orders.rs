//! Orders of the deterministic methods on a smooth mixture with its exact denoiser, in d = 1 and 2, against
//! Runge–Kutta in the log-SNR.

use numeric::Noise;
use numeric::ndarray::{Array2, array};
use sde_core::{
    Ddim, Deis, DpmSolver, DpmSolverPlusPlus2M, DpmSolverPlusPlus2S, EdmHeun, ExponentialAdams,
    Extrapolation, Method, Ou, ReverseSde, SdeDpmSolverPlusPlus2S, UniPc, UniPcVariant,
};
use verify::{OrderOptions, deterministic_order};

use super::reference::{self, Case};
use super::{Exact, denoise, mixture, run_u};

/// From the ratio 5, where the mixture is one lump, to 0.2, within its components.
const ENDS: (f64, f64) = (5.0, 0.2);

/// The flow `du/ds = m − u`, s = −ln r, of one row, by 2¹³ Runge–Kutta steps.
fn flow(direction: &[f64], start: &[f64]) -> Vec<f64> {
    let (n, length) = (1 << 13, (ENDS.0 / ENDS.1).ln());
    let h = length / f64::from(n);
    let slope = |s: f64, u: &[f64]| -> Vec<f64> {
        let mut m = vec![0.0; u.len()];
        denoise(direction, u, ENDS.0 * (-s).exp(), &mut m);
        m.iter().zip(u).map(|(m, u)| m - u).collect()
    };
    let plus =
        |u: &[f64], c: f64, k: &[f64]| -> Vec<f64> { u.iter().zip(k).map(|(u, k)| u + c * k).collect() };
    let mut u = start.to_vec();
    for i in 0..n {
        let s = f64::from(i) * h;
        let k1 = slope(s, &u);
        let k2 = slope(s + 0.5 * h, &plus(&u, 0.5 * h, &k1));
        let k3 = slope(s + 0.5 * h, &plus(&u, 0.5 * h, &k2));
        let k4 = slope(s + h, &plus(&u, h, &k3));
        for (j, u) in u.iter_mut().enumerate() {
            *u += h / 6.0 * (k1[j] + 2.0 * k2[j] + 2.0 * k3[j] + k4[j]);
        }
    }
    u
}

/// Grids in the log-SNR, by the place of node k of n.
#[derive(Clone, Copy, Debug)]
enum Spacing {
    Uniform,
    /// Steps of lengths 2, 1, 2, 1, …
    Alternating,
    /// Alternating, with first steps in proportion to 1/n²: a start of first order costs no order up to 4.
    Graded,
}

fn ratios(spacing: Spacing, n: usize) -> Vec<f64> {
    let place = |k: usize| {
        let alternating = ((k / 2 * 3) + (k % 2) * 2) as f64 / (n / 2 * 3) as f64;
        match spacing {
            Spacing::Uniform => k as f64 / n as f64,
            Spacing::Alternating => alternating,
            Spacing::Graded => alternating * alternating * (2.0 - alternating),
        }
    };
    (0..=n).map(|k| ENDS.0 * (place(k) * (ENDS.1 / ENDS.0).ln()).exp()).collect()
}

fn measured(errors: &dyn Fn(usize) -> f64, levels: std::ops::RangeInclusive<u32>) -> verify::OrderEstimate {
    let n: Vec<usize> = levels.map(|level| 1 << level).collect();
    let steps: Vec<f64> = n.iter().map(|&n| 1.0 / n as f64).collect();
    let errors: Vec<f64> = n.iter().map(|&n| errors(n)).collect();
    deterministic_order(&steps, &errors, &OrderOptions { floor: 1e-12, min_points: 5, standard_errors: 4.0 })
        .expect("enough levels")
}

/// Root mean square error over some starts of a run in n steps.
fn error(
    direction: &[f64],
    starts: &Array2<f64>,
    ends: &Array2<f64>,
    spacing: Spacing,
    n: usize,
    method: &dyn Method<f64, Exact<f64, Ou>>,
) -> f64 {
    let found = run_u(&mixture(direction), &Ou, method, &ratios(spacing, n), starts, Noise::new(0));
    (found - ends).iter().map(|e| e * e).sum::<f64>().sqrt()
}

fn starts_and_ends(direction: &[f64]) -> (Array2<f64>, Array2<f64>) {
    let points = array![[-1.3, 0.4], [-0.6, -1.1], [0.1, 0.8], [0.5, -0.3], [1.2, 0.9]] * ENDS.0;
    let starts =
        points.slice_move(numeric::ndarray::s![.., ..direction.len()]).as_standard_layout().to_owned();
    let ends = starts
        .rows()
        .into_iter()
        .flat_map(|row| flow(direction, row.as_slice().expect("standard")))
        .collect();
    let ends = Array2::from_shape_vec(starts.raw_dim(), ends).expect("one end per start");
    (starts, ends)
}

struct Row {
    name: String,
    method: Box<dyn Method<f64, Exact<f64, Ou>>>,
    order: f64,
    /// The order on grids whose first steps are as long as the others, where their first order shows.
    with_start: Option<f64>,
}

fn table() -> Vec<Row> {
    let mut table: Vec<Row> = vec![];
    let mut add = |name: String, method: Box<dyn Method<f64, Exact<f64, Ou>>>, order: usize, with_start| {
        table.push(Row { name, method, order: order as f64, with_start });
    };
    let still = EdmHeun { churn: 0.0, steps: 1, s_min: 0.0, s_max: 0.0, s_noise: 1.0 };
    add("EDM Heun".into(), Box::new(still), 2, Some(2.0));
    add("DDIM".into(), Box::new(Ddim::new(0.0).expect("valid")), 1, Some(1.0));
    add("reverse SDE 0".into(), Box::new(ReverseSde::new(0.0).expect("valid")), 1, Some(1.0));
    add("2S".into(), Box::new(DpmSolverPlusPlus2S::new(0.0).expect("valid")), 2, Some(2.0));
    add("2S SDE".into(), Box::new(SdeDpmSolverPlusPlus2S::new(0.0).expect("valid")), 2, Some(2.0));
    add("2M".into(), Box::new(DpmSolverPlusPlus2M::new(0.0).expect("valid")), 2, Some(2.0));
    for p in 1..=3 {
        add(format!("DPM-Solver-{p}"), Box::new(DpmSolver::new(p).expect("valid")), p, Some(p as f64));
        for variant in [UniPcVariant::Bh1, UniPcVariant::Bh2] {
            // The start is of second order; a corrector of fourth order is between both at these steps.
            let with_start = if p < 3 { Some(p as f64 + 1.0) } else { None };
            let method = UniPc::new(p, variant).expect("valid");
            add(format!("UniPC-{p} {variant:?}"), Box::new(method), p + 1, with_start);
        }
    }
    for p in 1..=4 {
        let method = ExponentialAdams::new(p, 0.0).expect("valid");
        add(format!("exponential Adams {p}"), Box::new(method), p, Some(p.min(2) as f64));
        for variable in [Extrapolation::Ratio, Extrapolation::LogSnr, Extrapolation::Time] {
            let with_start = if p < 3 { Some(p as f64) } else { None };
            let method = Deis::new(p, variable).expect("valid");
            add(format!("DEIS {p} {variable:?}"), Box::new(method), p, with_start);
        }
    }
    table
}

fn check(label: &str, found: &verify::OrderEstimate, order: f64) {
    println!("{label}: {:.3} ± {:.3}, declared {order}", found.slope, found.half_width);
    assert!(
        (found.slope - order).abs() < 0.15 && found.half_width < 0.1,
        "{label}, order {order}: {found:?}"
    );
}

#[test]
fn deterministic_orders() {
    for direction in [&[1.0][..], &[0.6, 0.8]] {
        let (starts, ends) = starts_and_ends(direction);
        for Row { name, method, order, with_start } in table() {
            for spacing in [Spacing::Uniform, Spacing::Alternating, Spacing::Graded] {
                let graded = matches!(spacing, Spacing::Graded);
                let Some(order) = (if graded { Some(order) } else { with_start }) else { continue };
                let levels = if order > 3.0 { 7..=11 } else { 6..=11 };
                let error = |n: usize| error(direction, &starts, &ends, spacing, n, &method);
                let label = format!("{name}, {spacing:?}, d = {}", direction.len());
                check(&label, &measured(&error, levels), order);
            }
        }
    }
}

/// The published weights of 3M halve the second difference: order 2. 2M without the ratio of its steps has order 1.
#[test]
fn variants_of_lower_order() {
    let (starts, ends) = starts_and_ends(&[1.0]);
    let m = |u: f64, r: f64| {
        let mut out = [0.0];
        denoise(&[1.0], &[u], r, &mut out);
        out[0]
    };
    let error = |n: usize, of: &dyn Fn(&Case<'_>) -> f64| {
        let r = ratios(Spacing::Graded, n);
        let case =
            |start| Case { r: &r, start, z: &|_| 0.0, middle_z: &|_| 0.0, corrector_z: &|_, _| 0.0, m: &m };
        let end = |&start: &f64| of(&case(start));
        starts.iter().map(end).zip(&ends).map(|(u, end)| (u - end).powi(2)).sum::<f64>().sqrt()
    };
    check("published 3M", &measured(&|n| error(n, &reference::dpm_3m_as_published), 6..=11), 2.0);
    let forgetful = |case: &Case<'_>| reference::dpm_2m(case, 0.0, true);
    check("2M of equal steps", &measured(&|n| error(n, &forgetful), 6..=11), 1.0);
}
