//! Laws and weak orders on Gaussian data, where every method is linear in its start and its normals: the second
//! implementation gives the coefficients, and these the exact mean and variance on the grid.

use numeric::{Control, Noise, Schedule};
use sde_core::{Covariance, LinearProcess, Mixture, MixtureField, Ou, Sampler};
use statrs::distribution::{ContinuousCDF, Normal};
use verify::{Family, Moments, OrderOptions, deterministic_order, kolmogorov_smirnov, scores, seed};

use super::members::{CLOCK, members};
use super::reference::{self, Case};
use super::{GRIDS, grid_of};

pub(super) const MEAN: f64 = 0.7;
pub(super) const VARIANCE: f64 = 0.3;

/// Intercept, factor of the start, and the variance that the run adds to it.
pub(super) fn law(r: &[f64], correctors: usize, of: &dyn Fn(&Case<'_>) -> f64) -> (f64, f64, f64) {
    let m = |u: f64, r: f64| MEAN + VARIANCE / (VARIANCE + r * r) * (u - MEAN);
    // One for a unit start or for the normal of step k of predictor (0) or corrector j (j + 1), or of its middle (the last).
    let run = |start: f64, unit: Option<(usize, usize)>| {
        let one = |kind: usize, k: usize| if unit == Some((kind, k)) { 1.0 } else { 0.0 };
        let middle_z: &dyn Fn(usize) -> f64 = &|k| one(correctors + 1, k);
        of(&Case { r, start, z: &|k| one(0, k), middle_z, corrector_z: &|j, k| one(j + 1, k), m: &m })
    };
    let intercept = run(0.0, None);
    let units = (0..r.len() - 1).flat_map(|k| (0..=correctors + 1).map(move |kind| (kind, k)));
    let variance = units.map(|unit| (run(0.0, Some(unit)) - intercept).powi(2)).sum();
    // From a start of the size of the noise: from a very noisy level one of size 1 would be lost in the intercept.
    (intercept, (run(r[0], None) - intercept) / r[0], variance)
}

/// KS, Z and Y of every method on six grids at a family-wise false-alarm rate of 10⁻³.
#[test]
fn samples_follow_the_discretised_laws() {
    let target = Mixture::gaussian(vec![MEAN].into(), Covariance::Isotropic(VARIANCE)).expect("valid");
    let mut family = Family::new(1e-3).expect("a rate");
    for (g, ratios) in GRIDS.iter().enumerate() {
        for (k, member) in members::<f64, MixtureField<f64, Ou>, Ou>(CLOCK).into_iter().enumerate() {
            if !member.ratios_only {
                continue; // tAB is deterministic, and compared by path
            }
            let grid = grid_of(&Ou, ratios);
            let (start, end) = (Ou.level(grid.first()).alpha, Ou.level(grid.last()).alpha);
            let sampler = Sampler::new(target.denoiser::<f64, _>(Ou), &member.method, grid.clone());
            let noise = Noise::new(seed(1000 * g as u64 + k as u64));
            let x = sampler.expect("valid").sample(0..4000, noise, Control::default()).expect("finite");
            let u: Vec<f64> = x.iter().map(|x| x / end).collect();
            let (intercept, factor, added) = law(ratios, 3, &member.reference);
            let std = factor * Ou.start_std(grid.first()) / start;
            let std_dev = (std * std + added).sqrt();
            let normal = Normal::new(intercept, std_dev).expect("a law");
            let scores = scores(&u, &Moments { mean: intercept, std_dev, kurtosis: 3.0 }).expect("data");
            let fit = kolmogorov_smirnov(&u, |u| normal.cdf(u)).expect("data");
            let label = |what: &str| format!("{what}, {}, grid {g}", member.label);
            family.push(label("KS"), fit.p_value);
            family.push(label("Z"), scores.z_p_value());
            family.push(label("Y"), scores.y_p_value());
        }
    }
    family.assert();
}

/// Errors of the mean and of the variance from a point, in n steps of equal length in the log-SNR, against those of
/// the reverse SDE of stochasticity λ.
fn errors(n: usize, lambda: f64, of: &dyn Fn(&Case<'_>) -> f64) -> (f64, f64) {
    let (from, to): (f64, f64) = (5.0, 0.2);
    let r: Vec<f64> = (0..=n).map(|k| from * (k as f64 / n as f64 * (to / from).ln()).exp()).collect();
    let (_, factor, added) = law(&r, 0, of);
    // d(u − m)/ds = −(1 + λ²) r²/(c + r²) (u − m), and the marginals keep their variance c + r².
    let (before, after) = (VARIANCE + from * from, VARIANCE + to * to);
    let exact = (after / before).powf(0.5 * (1.0 + lambda * lambda));
    ((factor - exact).abs(), (added - (after - exact * exact * before)).abs())
}

#[derive(Clone, Copy)]
enum Expected {
    /// The moment is right on every grid.
    Exact,
    /// It has this order.
    Order(f64),
    /// It has at least this order, which it has not yet reached at these steps.
    AtLeast(f64),
}

/// With λ = 1 the denoiser of Gaussian data is a martingale along the run: whatever is extrapolated, the mean is right.
#[test]
fn weak_orders() {
    use Expected::{AtLeast, Exact, Order};
    type Reference = Box<dyn Fn(&Case<'_>) -> f64>;
    let total = 5.0; // the churn, which makes λ² = churn/ln(from/to)
    let churned = (total / 25.0_f64.ln()).sqrt();
    let table: [(&str, f64, Expected, Expected, Reference); 15] = [
        ("reverse SDE", 1.0, Exact, Order(1.0), Box::new(|c| reference::reverse_sde(c, 1.0))),
        ("reverse SDE", 0.6, Order(1.0), Order(1.0), Box::new(|c| reference::reverse_sde(c, 0.6))),
        ("DDIM", 0.6, Order(1.0), Order(1.0), Box::new(|c| reference::ddim(c, 0.6))),
        ("2S", 1.0, Order(1.0), AtLeast(1.0), Box::new(|c| reference::dpm_2s(c, 1.0))),
        (
            "EDM",
            churned,
            Order(1.0),
            AtLeast(1.0),
            Box::new(move |c| reference::edm(c, total, (0.0, 9.0), 1.0)),
        ),
        ("2M", 1.0, Exact, Order(2.0), Box::new(|c| reference::dpm_2m(c, 1.0, false))),
        ("2M", 0.6, Order(2.0), Order(2.0), Box::new(|c| reference::dpm_2m(c, 0.6, false))),
        ("2M", 1.4, Order(2.0), Order(2.0), Box::new(|c| reference::dpm_2m(c, 1.4, false))),
        ("2S SDE", 1.0, Exact, Order(2.0), Box::new(|c| reference::sde_dpm_2s(c, 1.0))),
        ("2S SDE", 0.6, Order(2.0), Order(2.0), Box::new(|c| reference::sde_dpm_2s(c, 0.6))),
        ("2S SDE", 1.4, Order(2.0), Order(2.0), Box::new(|c| reference::sde_dpm_2s(c, 1.4))),
        ("Adams 1", 1.4, Order(1.0), Order(1.0), Box::new(|c| reference::exponential_adams(c, 1, 1.4))),
        ("Adams 2", 1.4, Order(2.0), Order(2.0), Box::new(|c| reference::exponential_adams(c, 2, 1.4))),
        ("Adams 3", 1.0, Exact, Order(2.0), Box::new(|c| reference::exponential_adams(c, 3, 1.0))),
        ("Adams 3", 1.4, AtLeast(2.0), Order(2.0), Box::new(|c| reference::exponential_adams(c, 3, 1.4))),
    ];
    for (name, lambda, mean, variance, of) in table {
        let n: Vec<usize> = (6..=10).map(|level| 1 << level).collect();
        let steps: Vec<f64> = n.iter().map(|&n| 1.0 / n as f64).collect();
        let (means, variances): (Vec<f64>, Vec<f64>) = n.iter().map(|&n| errors(n, lambda, &of)).unzip();
        for (what, errors, expected) in [("mean", means, mean), ("variance", variances, variance)] {
            let label = format!("{what}, {name}, λ = {lambda:.2}");
            let found = deterministic_order(&steps, &errors, &OrderOptions::default());
            match (expected, found) {
                (Exact, _) => assert!(errors.iter().all(|&e| e < 1e-12), "{label}: {errors:?}"),
                (Order(order), Ok(found)) => {
                    println!("{label}: {:.3} ± {:.3}, declared {order}", found.slope, found.half_width);
                    let right = (found.slope - order).abs() < 0.15 && found.half_width < 0.1;
                    assert!(right, "{label}, order {order}: {found:?}");
                }
                (AtLeast(order), Ok(found)) => {
                    let last = (errors[errors.len() - 2] / errors[errors.len() - 1]).log2();
                    println!("{label}: {:.3}, at the end {last:.3}, declared at least {order}", found.slope);
                    assert!(
                        found.slope > order - 0.15 && last > order - 0.15,
                        "{label}, order {order}: {found:?}"
                    );
                }
                (_, Err(error)) => panic!("{label}: {error}"),
            }
        }
    }
}
