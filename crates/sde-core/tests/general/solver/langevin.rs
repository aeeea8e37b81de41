//! Langevin dynamics and their invariant laws.

use numeric::ndarray::{Array2, ArrayRef2, array, s};
use numeric::{Control, Error, LogDensity, Noise, TimeGrid};
use sde_core::integrator::{Baoab, Heun};
use sde_core::{
    Component, Covariance, Keep, Mixture, OverdampedLangevin, Solver, Start, UnderdampedLangevin,
};
use verify::{Family, seed};

use super::Run;

fn normal(mean: [f64; 2], covariance: Array2<f64>) -> Mixture {
    let component =
        Component { weight: 1.0, mean: array![mean[0], mean[1]], covariance: Covariance::Full(covariance) };
    Mixture::new(vec![component]).expect("valid")
}

/// BAOAB is exact in the positions of a Gaussian target, at any stable step; velocities have 1 − h²λ/4.
#[test]
fn baoab_has_the_invariant_law_of_a_gaussian_target() {
    let mut family = Family::new(1e-4).expect("a rate");
    for (i, h) in [0.3, 1.0, 1.6].into_iter().enumerate() {
        // Precisions 1 and 1/2.
        let target = normal([1.0, -1.0], array![[1.0, 0.0], [0.0, 2.0]]);
        let dynamics = UnderdampedLangevin::new(target, 0.9).expect("valid");
        let steps = (60.0 / h) as usize;
        let method = Baoab::new(dynamics, TimeGrid::uniform(0.0, h * steps as f64, steps).expect("a grid"))
            .expect("forward");
        let noise = Noise::new(seed(30 + i as u64));
        let run =
            method.run(Start::Point(&[1.0, -1.0, 0.0, 0.0]), Keep::Last, 0..6000, noise, Control::default());
        let run = run.expect("finite");
        assert_eq!(run.statistics.calls, 6000 * (steps as u64 + 1));
        let variances = [1.0, 2.0, 1.0 - h * h / 4.0, 1.0 - h * h / 8.0];
        for (j, (variance, mean)) in variances.into_iter().zip([1.0, -1.0, 0.0, 0.0]).enumerate() {
            let standard: Vec<f64> =
                run.states.slice(s![.., 0, j]).iter().map(|x| (x - mean) / f64::sqrt(variance)).collect();
            let law = |x: f64| 0.5 * statrs::function::erf::erfc(-x / std::f64::consts::SQRT_2);
            let p_value = verify::kolmogorov_smirnov(&standard, law).expect("valid").p_value;
            family.push(format!("h = {h}, coordinate {j}"), p_value);
        }
    }
    family.assert();
}

/// A quartic log-density `−q⁴/4` for the orders of invariant laws.
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

/// Second moment of the quartic law, 2 Γ(3/4)/Γ(1/4), by both Langevin equations: overdamped with Heun, with inertia by
/// BAOAB.
#[test]
fn langevin_dynamics_find_a_quartic_law() {
    let exact = 2.0 * statrs::function::gamma::gamma(0.75) / statrs::function::gamma::gamma(0.25);
    let fourth = 1.0; // E q⁴ = 1 by parts: E[q · q³] = 1.
    let rows = 0..8000;
    let check = |name: &str, run: Run<f64>| {
        let squares: Vec<f64> =
            run.expect("finite").states.slice(s![.., 0, 0]).iter().map(|q| q * q).collect();
        let mean = squares.iter().sum::<f64>() / 8000.0;
        let error = ((fourth - exact * exact) / 8000.0_f64).sqrt();
        // Bias of O(h²) with h = 0.05 and 0.2: below one standard error.
        assert!((mean - exact).abs() < 4.5 * error, "{name}: {mean} {exact} {error}");
    };
    let overdamped = Solver::new(
        OverdampedLangevin { target: Quartic },
        Heun,
        TimeGrid::uniform(0.0, 5.0, 100).expect("a grid"),
    );
    let start = Start::Point(&[0.5]);
    check(
        "overdamped",
        overdamped.expect("valid").run(
            start,
            Keep::Last,
            rows.clone(),
            Noise::new(seed(40)),
            Control::default(),
        ),
    );
    let dynamics = UnderdampedLangevin::new(Quartic, 1.0).expect("valid");
    let method = Baoab::new(dynamics, TimeGrid::uniform(0.0, 12.0, 60).expect("a grid")).expect("forward");
    let start = Start::Point(&[0.5, 0.0]);
    check("BAOAB", method.run(start, Keep::Last, rows, Noise::new(seed(41)), Control::default()));
}

/// BAOAB against another method on the same equation, with a step so small that both have converged.
#[test]
fn baoab_solves_the_underdamped_equation() {
    let dynamics = || UnderdampedLangevin::new(Quartic, 0.7).expect("valid");
    let fine = TimeGrid::uniform(0.0, 1.0, 2000).expect("a grid");
    let (start, noise) = (Start::Point(&[1.0, 0.5]), Noise::new(seed(50)));
    let a = Baoab::new(dynamics(), fine.clone()).expect("forward").run(
        start,
        Keep::Last,
        0..20,
        noise,
        Control::default(),
    );
    let b = Solver::new(dynamics(), Heun, fine).expect("valid").run(
        start,
        Keep::Last,
        0..20,
        noise,
        Control::default(),
    );
    let gap = a.expect("finite").states - b.expect("finite").states;
    assert!(gap.iter().all(|gap| gap.abs() < 2e-3), "{gap}");
}
