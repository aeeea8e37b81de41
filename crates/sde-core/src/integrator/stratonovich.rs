//! Methods of Stratonovich equations: trapezoidal and midpoint rules.

use numeric::ndarray::ArrayRef2;
use numeric::{Error, Real, Scratch};

use super::{Integrator, Orders, SdeStep, add, stage};
use crate::sde::{put_rows, take_rows};
use crate::{NoiseClass, Reading, Sde};

/// Strong order 1, or ½ where columns do not commute.
fn orders(noise: NoiseClass, weak_additive: f64) -> Option<Orders> {
    let weak = if noise == NoiseClass::Additive { weak_additive } else { 1.0 };
    Some(Orders { strong: if noise == NoiseClass::General { 0.5 } else { 1.0 }, weak })
}

/// Euler–Heun: the diffusion averaged over the two ends of the step, the drift frozen.
///
/// ```math
/// \hat X = X + g(t, X)\,W, \qquad X' = X + f(t, X)\,h + \tfrac12 \bigl( g(t, X) + g(t', \hat X) \bigr) W.
/// ```
///
/// ```
/// use numeric::{Noise, TimeGrid, from_row_fn, ndarray::array};
/// use sde_core::integrator::{EulerMaruyama, EulerHeun};
/// use sde_core::{Additive, Diagonal, Keep, Reading, Solver, Start};
/// let zero = || from_row_fn(1, |_, _, out: &mut [f64]| { out[0] = 0.0; Ok(()) });
/// let x = from_row_fn(1, |_, x, out: &mut [f64]| { out[0] = x[0]; Ok(()) });
/// let (grid, noise) = (TimeGrid::uniform(0.0, 0.1, 1)?, Noise::new(1));
/// // One step of dX = X ∘ dW from 1 is 1 + W + W²/2, with the W of the same path.
/// let sde = Diagonal::new(Reading::Stratonovich, zero(), x)?;
/// let start = Start::Point(&[1.0]);
/// let found = Solver::new(sde, EulerHeun, grid.clone())?.run(start, Keep::Last, 0..9, noise, Default::default())?;
/// let motion = Solver::new(Additive::new(zero(), &array![[1.0]])?, EulerMaruyama, grid)?;
/// let motion = motion.run(Start::Point(&[0.0]), Keep::Last, 0..9, noise, Default::default())?;
/// for (x, w) in found.states.iter().zip(&motion.states) {
///     assert!((x - (1.0 + w + 0.5 * w * w)).abs() < 1e-14);
/// }
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # Convergence
/// Stratonovich; strong order 1 where the columns commute, ½ for general noise; weak order 1.
///
/// # Randomness
/// The increment W of the path: m normals per row and step.
///
/// # Complexity
/// One drift and two products with the diffusion per step; no derivative.
///
/// # References
/// Kloeden, Platen (1992), Numerical solution of stochastic differential equations, section 11.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EulerHeun;

impl<F: Real> Integrator<F> for EulerHeun {
    fn name(&self) -> &'static str {
        "EulerHeun"
    }
    fn reading(&self) -> Option<Reading> {
        Some(Reading::Stratonovich)
    }
    fn orders(&self, noise: NoiseClass) -> Option<Orders> {
        orders(noise, 1.0)
    }
    fn step(
        &self,
        sde: &dyn Sde<F>,
        step: SdeStep<'_, F>,
        x: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<u64, Error> {
        let [mut f, mut g, mut hat, mut g_hat] = take_rows::<F, 4>(scratch, x.dim());
        sde.drift_into(&step.batch(x), &mut f, scratch)?;
        sde.diffuse_into(&step.batch(x), step.w, &mut g, scratch)?;
        hat.assign(x);
        add(&mut hat, 1.0, &g);
        sde.diffuse_into(&step.batch_at(1.0, &hat), step.w, &mut g_hat, scratch)?;
        add(x, step.length, &f);
        add(x, 0.5, &g);
        add(x, 0.5, &g_hat);
        put_rows(scratch, [f, g, hat, g_hat]);
        Ok(step.evaluations(Integrator::<F>::calls(self)))
    }
}

/// Stochastic Heun: drift and diffusion averaged over the two ends of the step.
///
/// ```math
/// \hat X = X + f(t, X)\,h + g(t, X)\,W, \qquad
/// X' = X + \tfrac12 \bigl( f(t, X) + f(t', \hat X) \bigr) h + \tfrac12 \bigl( g(t, X) + g(t', \hat X) \bigr) W.
/// ```
///
/// ```
/// use numeric::{Noise, TimeGrid, from_row_fn, ndarray::array};
/// use sde_core::integrator::{EulerMaruyama, Heun};
/// use sde_core::{Additive, Diagonal, Keep, Reading, Solver, Start};
/// let zero = || from_row_fn(1, |_, _, out: &mut [f64]| { out[0] = 0.0; Ok(()) });
/// let x = from_row_fn(1, |_, x, out: &mut [f64]| { out[0] = x[0]; Ok(()) });
/// let (grid, noise) = (TimeGrid::uniform(0.0, 0.1, 1)?, Noise::new(1));
/// // One step of dX = X ∘ dW from 1 is 1 + W + W²/2, with the W of the same path.
/// let sde = Diagonal::new(Reading::Stratonovich, zero(), x)?;
/// let start = Start::Point(&[1.0]);
/// let found = Solver::new(sde, Heun, grid.clone())?.run(start, Keep::Last, 0..9, noise, Default::default())?;
/// let motion = Solver::new(Additive::new(zero(), &array![[1.0]])?, EulerMaruyama, grid)?;
/// let motion = motion.run(Start::Point(&[0.0]), Keep::Last, 0..9, noise, Default::default())?;
/// for (x, w) in found.states.iter().zip(&motion.states) {
///     assert!((x - (1.0 + w + 0.5 * w * w)).abs() < 1e-14);
/// }
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # Convergence
/// Stratonovich; strong order 1 where the columns commute, ½ for general noise; weak order 1, and 2 for additive
/// noise. Order 2 without noise.
///
/// # Randomness
/// The increment W of the path: m normals per row and step.
///
/// # Complexity
/// Two drifts and two products with the diffusion per step.
///
/// # References
/// Rümelin (1982), Numerical treatment of stochastic differential equations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heun;

impl<F: Real> Integrator<F> for Heun {
    fn name(&self) -> &'static str {
        "Heun"
    }
    fn reading(&self) -> Option<Reading> {
        Some(Reading::Stratonovich)
    }
    fn orders(&self, noise: NoiseClass) -> Option<Orders> {
        orders(noise, 2.0)
    }
    fn calls(&self) -> usize {
        2
    }
    fn step(
        &self,
        sde: &dyn Sde<F>,
        step: SdeStep<'_, F>,
        x: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<u64, Error> {
        let [mut f, mut g, mut hat] = take_rows::<F, 3>(scratch, x.dim());
        let h = step.length;
        sde.drift_into(&step.batch(x), &mut f, scratch)?;
        sde.diffuse_into(&step.batch(x), step.w, &mut g, scratch)?;
        stage(&mut hat, x, (h, &f), (1.0, &g));
        add(x, 0.5 * h, &f);
        add(x, 0.5, &g);
        let end = step.batch_at(1.0, &hat);
        sde.drift_into(&end, &mut f, scratch)?;
        sde.diffuse_into(&end, step.w, &mut g, scratch)?;
        add(x, 0.5 * h, &f);
        add(x, 0.5, &g);
        put_rows(scratch, [f, g, hat]);
        Ok(step.evaluations(Integrator::<F>::calls(self)))
    }
}

/// Explicit midpoint: drift and diffusion at a predicted middle of the step.
///
/// ```math
/// \hat X = X + \tfrac12 f(t, X)\,h + \tfrac12 g(t, X)\,W, \qquad
/// X' = X + f(t + \tfrac h2, \hat X)\,h + g(t + \tfrac h2, \hat X)\,W.
/// ```
///
/// ```
/// use numeric::{Noise, TimeGrid, from_row_fn, ndarray::array};
/// use sde_core::integrator::{EulerMaruyama, Midpoint};
/// use sde_core::{Additive, Diagonal, Keep, Reading, Solver, Start};
/// let zero = || from_row_fn(1, |_, _, out: &mut [f64]| { out[0] = 0.0; Ok(()) });
/// let x = from_row_fn(1, |_, x, out: &mut [f64]| { out[0] = x[0]; Ok(()) });
/// let (grid, noise) = (TimeGrid::uniform(0.0, 0.1, 1)?, Noise::new(1));
/// // One step of dX = X ∘ dW from 1 is 1 + W + W²/2, with the W of the same path.
/// let sde = Diagonal::new(Reading::Stratonovich, zero(), x)?;
/// let start = Start::Point(&[1.0]);
/// let found = Solver::new(sde, Midpoint, grid.clone())?.run(start, Keep::Last, 0..9, noise, Default::default())?;
/// let motion = Solver::new(Additive::new(zero(), &array![[1.0]])?, EulerMaruyama, grid)?;
/// let motion = motion.run(Start::Point(&[0.0]), Keep::Last, 0..9, noise, Default::default())?;
/// for (x, w) in found.states.iter().zip(&motion.states) {
///     assert!((x - (1.0 + w + 0.5 * w * w)).abs() < 1e-14);
/// }
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # Convergence
/// Stratonovich; strong order 1 where the columns commute, ½ for general noise; weak order 1. Order 2 without noise.
///
/// # Randomness
/// The increment W of the path: m normals per row and step.
///
/// # Complexity
/// Two drifts and two products with the diffusion per step.
///
/// # References
/// Kloeden, Platen (1992), Numerical solution of stochastic differential equations, section 11.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Midpoint;

impl<F: Real> Integrator<F> for Midpoint {
    fn name(&self) -> &'static str {
        "Midpoint"
    }
    fn reading(&self) -> Option<Reading> {
        Some(Reading::Stratonovich)
    }
    fn orders(&self, noise: NoiseClass) -> Option<Orders> {
        orders(noise, 1.0)
    }
    fn calls(&self) -> usize {
        2
    }
    fn step(
        &self,
        sde: &dyn Sde<F>,
        step: SdeStep<'_, F>,
        x: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<u64, Error> {
        let [mut f, mut g, mut hat] = take_rows::<F, 3>(scratch, x.dim());
        let h = step.length;
        sde.drift_into(&step.batch(x), &mut f, scratch)?;
        sde.diffuse_into(&step.batch(x), step.w, &mut g, scratch)?;
        stage(&mut hat, x, (0.5 * h, &f), (0.5, &g));
        let middle = step.batch_at(0.5, &hat);
        sde.drift_into(&middle, &mut f, scratch)?;
        sde.diffuse_into(&middle, step.w, &mut g, scratch)?;
        add(x, h, &f);
        add(x, 1.0, &g);
        put_rows(scratch, [f, g, hat]);
        Ok(step.evaluations(Integrator::<F>::calls(self)))
    }
}
