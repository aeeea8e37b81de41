//! Euler's method, plain and tamed.

use numeric::ndarray::ArrayRef2;
use numeric::{Error, Real, Scratch, vectorize};

use super::{Integrator, Orders, SdeStep, add_two};
use crate::sde::coefficients::{slice, slice_mut};
use crate::sde::{put_rows, take_rows};
use crate::sum::norm;
use crate::{NoiseClass, Reading, Sde};

/// Strong order ½, or 1 where the noise is additive, and weak order 1.
pub(super) fn euler_orders(noise: NoiseClass) -> Option<Orders> {
    Some(Orders { strong: if noise == NoiseClass::Additive { 1.0 } else { 0.5 }, weak: 1.0 })
}

/// Euler–Maruyama: drift and diffusion frozen over the step.
///
/// ```math
/// X' = X + f(t, X)\,h + g(t, X)\,W.
/// ```
/// This is an [`Integrator`], for an [`Sde`] in a [`Solver`](crate::Solver). The same scheme for the reverse equation of a
/// [`Model`](numeric::Model) in a [`Sampler`](crate::Sampler) is the method [`crate::EulerMaruyama`].
///
/// ```
/// use numeric::{Noise, TimeGrid};
/// use sde_core::{GeometricBrownian, Keep, Solver, Start, integrator::EulerMaruyama};
/// let sde = GeometricBrownian::new(1, 0.1, 0.2)?;
/// let solver = Solver::new(sde, EulerMaruyama, TimeGrid::uniform(0.0, 1.0, 8)?)?;
/// let run = solver.run(Start::Point(&[1.0]), Keep::Last, 0..10_000, Noise::new(1), Default::default())?;
/// // Each step multiplies the mean by 1 + 0.1/8; the standard error is 0.0022.
/// let mean: f64 = run.states.sum() / 1e4;
/// assert!((mean - (1.0_f64 + 0.1 / 8.0).powi(8)).abs() < 0.01);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # Convergence
/// Itô; strong order ½ (1 for additive noise), weak order 1, for coefficients that are smooth and grow no faster than
/// linearly. With a drift that grows faster moments can explode: see [`TamedEuler`].
///
/// # Randomness
/// The increment W of the path: m normals per row and step.
///
/// # Complexity
/// One drift and one product with the diffusion per step.
///
/// # References
/// Maruyama (1955), Continuous Markov processes and stochastic equations. Kloeden, Platen (1992), Numerical solution
/// of stochastic differential equations, section 10.2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EulerMaruyama;

impl<F: Real> Integrator<F> for EulerMaruyama {
    fn name(&self) -> &'static str {
        "EulerMaruyama"
    }
    fn reading(&self) -> Option<Reading> {
        Some(Reading::Ito)
    }
    fn orders(&self, noise: NoiseClass) -> Option<Orders> {
        euler_orders(noise)
    }
    fn step(
        &self,
        sde: &dyn Sde<F>,
        step: SdeStep<'_, F>,
        x: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<u64, Error> {
        let [mut f, mut g] = take_rows::<F, 2>(scratch, x.dim());
        sde.drift_into(&step.batch(x), &mut f, scratch)?;
        sde.diffuse_into(&step.batch(x), step.w, &mut g, scratch)?;
        add_two(x, step.length, &f, &g);
        put_rows(scratch, [f, g]);
        Ok(step.evaluations(Integrator::<F>::calls(self)))
    }
}

/// Tamed Euler: a drift that grows faster than linearly is held below length 1 per step.
///
/// ```math
/// X' = X + \frac{f(t, X)\,h}{1 + h\,|f(t, X)|} + g(t, X)\,W.
/// ```
///
/// ```
/// use numeric::{Noise, TimeGrid};
/// use sde_core::integrator::{EulerMaruyama, TamedEuler};
/// use sde_core::{Keep, Solver, Start, problems::DoubleWell};
/// // A cubic drift, and a start far out: the plain method leaves the range of numbers, the tamed one comes back.
/// let (sde, grid) = (DoubleWell { dim: 1, sigma: 0.1 }, TimeGrid::uniform(0.0, 30.0, 120)?);
/// let start = Start::Point(&[20.0_f64]);
/// let plain = Solver::new(sde, EulerMaruyama, grid.clone())?;
/// assert!(plain.run(start, Keep::Last, 0..1, Noise::new(1), Default::default()).is_err());
/// let tamed = Solver::new(sde, TamedEuler, grid)?.run(start, Keep::Last, 0..1, Noise::new(1), Default::default())?;
/// assert!(tamed.states[(0, 0, 0)].abs() < 2.0);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # Convergence
/// Itô; strong order ½ (1 for additive noise) and weak order 1 where f is one-sided Lipschitz with polynomial growth
/// and g is Lipschitz, where Euler–Maruyama diverges. Where both converge, its error is the larger one.
///
/// # Randomness
/// The increment W of the path: m normals per row and step.
///
/// # Complexity
/// One drift and one product with the diffusion per step, and one norm per row.
///
/// # References
/// Hutzenthaler, Jentzen, Kloeden (2012), Strong convergence of an explicit numerical method for SDEs with
/// nonglobally Lipschitz continuous coefficients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TamedEuler;

impl<F: Real> Integrator<F> for TamedEuler {
    fn name(&self) -> &'static str {
        "TamedEuler"
    }
    fn reading(&self) -> Option<Reading> {
        Some(Reading::Ito)
    }
    fn orders(&self, noise: NoiseClass) -> Option<Orders> {
        euler_orders(noise)
    }
    fn step(
        &self,
        sde: &dyn Sde<F>,
        step: SdeStep<'_, F>,
        x: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<u64, Error> {
        let [mut f, mut g] = take_rows::<F, 2>(scratch, x.dim());
        sde.drift_into(&step.batch(x), &mut f, scratch)?;
        sde.diffuse_into(&step.batch(x), step.w, &mut g, scratch)?;
        let (h, d) = (F::of(step.length), x.ncols().max(1));
        let (x, f_rows, g_rows) = (slice_mut(x), slice(&f), slice(&g));
        vectorize(
            #[inline(always)]
            || {
                let rows = x.chunks_exact_mut(d).zip(f_rows.chunks_exact(d)).zip(g_rows.chunks_exact(d));
                for ((x, f), g) in rows {
                    let tamed = h / (F::one() + h * norm(f));
                    for ((x, &f), &g) in x.iter_mut().zip(f).zip(g) {
                        *x += tamed * f + g;
                    }
                }
            },
        );
        put_rows(scratch, [f, g]);
        Ok(step.evaluations(Integrator::<F>::calls(self)))
    }
}
