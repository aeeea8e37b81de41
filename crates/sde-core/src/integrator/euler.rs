//! Euler's method and its two relatives for difficult drifts.

use numeric::ndarray::{Array2, ArrayRef2};
use numeric::{Error, Real, Scratch, vectorize};

use super::{Integrator, Orders, SdeStep, add_two};
use crate::elimination::{factorise, solve};
use crate::sde::coefficients::{slice, slice_mut};
use crate::sde::{put_rows, take_rows};
use crate::sum::norm;
use crate::{NoiseClass, Reading, Sde};

/// Strong order ½, or 1 where the noise is additive, and weak order 1.
fn euler_orders(noise: NoiseClass) -> Option<Orders> {
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
    ) -> Result<(), Error> {
        let [mut f, mut g] = take_rows::<F, 2>(scratch, x.dim());
        sde.drift_into(&step.batch(x), &mut f, scratch)?;
        sde.diffuse_into(&step.batch(x), step.w, &mut g, scratch)?;
        add_two(x, step.length, &f, &g);
        put_rows(scratch, [f, g]);
        Ok(())
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
    ) -> Result<(), Error> {
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
        Ok(())
    }
}

/// Drift-implicit Euler: the drift at the end of the step, for stiff equations.
///
/// ```math
/// X' = X + f(t', X')\,h + g(t, X)\,W,
/// ```
///
/// solved by Newton's method with a Jacobian of finite differences, for each row by itself.
///
/// ```
/// use numeric::{Noise, TimeGrid, from_row_fn, ndarray::array};
/// use sde_core::{Additive, Keep, Solver, Start, integrator::ImplicitEuler};
/// // dX = −1000 (X − 1) dt with steps of 0.1: explicit steps would multiply the distance from 1 by −99, these by 1/101.
/// let drift = from_row_fn(1, |_, x, out: &mut [f64]| { out[0] = -1000.0 * (x[0] - 1.0); Ok(()) });
/// let sde = Additive::new(drift, &array![[0.0]])?;
/// let solver = Solver::new(sde, ImplicitEuler, TimeGrid::uniform(0.0, 0.2, 2)?)?;
/// let run = solver.run(Start::Point(&[2.0]), Keep::Last, 0..1, Noise::new(1), Default::default())?;
/// assert!((run.states[(0, 0, 0)] - (1.0 + 101.0_f64.powi(-2))).abs() < 1e-9);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # Convergence
/// Itô; strong order ½ (1 for additive noise), weak order 1. For a linear drift with eigenvalues in the left half
/// plane, stable at every step size. The step must have a solution near its start: h times the one-sided Lipschitz
/// constant of f below 1.
///
/// # Errors
/// Its steps fail with [`Error::NotConverged`] if 50 iterations do not reach a last correction below
/// `ε^{3/4} (1 + |x|)`, with ε the precision of the state.
///
/// # Randomness
/// The increment W of the path: m normals per row and step.
///
/// # Complexity
/// d + 1 evaluations of the drift per iteration, usually two to four iterations, and d³/3 operations per row; the
/// [`Statistics`](crate::Statistics) of a run count one call per step.
///
/// # References
/// Kloeden, Platen (1992), Numerical solution of stochastic differential equations, section 12.2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImplicitEuler;

const MOST_ITERATIONS: usize = 50;

impl<F: Real> Integrator<F> for ImplicitEuler {
    fn name(&self) -> &'static str {
        "ImplicitEuler"
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
    ) -> Result<(), Error> {
        let (n, d) = x.dim();
        let h = F::of(step.length);
        let [mut known, mut f, mut moved, mut f_moved] = take_rows::<F, 4>(scratch, (n, d));
        let [mut jacobians] = take_rows::<F, 1>(scratch, (n, d * d));
        sde.diffuse_into(&step.batch(x), step.w, &mut known, scratch)?;
        known.zip_mut_with(x, |known, &x| *known += x);
        // A row that has converged is left alone, so that no row depends on how long the others take.
        let mut work: Newton<F> = scratch.take();
        work.reset(n, d);
        let mut iterations = 0;
        let mut worst = F::zero();
        while work.open.contains(&true) {
            if iterations == MOST_ITERATIONS {
                let residual = worst.as_f64();
                return Err(Error::NotConverged { routine: "ImplicitEuler", iterations, residual });
            }
            iterations += 1;
            sde.drift_into(&step.batch_at(1.0, x), &mut f, scratch)?;
            for j in 0..d {
                let probe = |x: F| F::epsilon().sqrt() * (F::one() + x.abs());
                moved.assign(x);
                moved.column_mut(j).mapv_inplace(|x| x + probe(x));
                sde.drift_into(&step.batch_at(1.0, &moved), &mut f_moved, scratch)?;
                for i in 0..n {
                    // The step that was made, which is not the one that was asked for, to the last bit.
                    let made = moved[(i, j)] - x[(i, j)];
                    for k in 0..d {
                        let slope = (f_moved[(i, k)] - f[(i, k)]) / made;
                        let unit = if j == k { F::one() } else { F::zero() };
                        jacobians[(i, k * d + j)] = unit - h * slope;
                    }
                }
            }
            worst = work.correct(x, [&known, &f], h, &mut jacobians);
            if !worst.is_finite() {
                numeric::check_finite("the state", step.rows, step.index, step.from.t, x.view())?;
            }
        }
        put_rows(scratch, [known, f, moved, f_moved]);
        put_rows(scratch, [jacobians]);
        scratch.put(work);
        Ok(())
    }
}

/// What the iterations of a block need, kept from one step to the next.
#[derive(Debug, Default)]
struct Newton<F> {
    /// Rows that have not converged.
    open: Vec<bool>,
    correction: Vec<F>,
    exchanged: Vec<usize>,
}

impl<F: Real> Newton<F> {
    fn reset(&mut self, n: usize, d: usize) {
        self.open.clear();
        self.open.resize(n, true);
        self.correction.resize(d, F::zero());
        self.exchanged.resize(d, 0);
    }

    /// One correction `J Δ = known + h f − x` of each open row; closes those whose correction was small, and returns the
    /// largest correction relative to its row.
    fn correct(
        &mut self,
        x: &mut ArrayRef2<F>,
        [known, f]: [&Array2<F>; 2],
        h: F,
        jacobians: &mut Array2<F>,
    ) -> F {
        let d = x.ncols();
        let tolerance = F::epsilon().sqrt() * F::epsilon().sqrt().sqrt();
        let mut worst = F::zero();
        let rows =
            slice_mut(x).chunks_exact_mut(d).zip(slice(known).chunks_exact(d).zip(slice(f).chunks_exact(d)));
        let Newton { open, correction, exchanged } = self;
        for ((open, (x, (known, f))), jacobian) in open
            .iter_mut()
            .zip(rows)
            .zip(slice_mut(jacobians).chunks_exact_mut(d * d))
            .filter(|((open, _), _)| **open)
        {
            for (k, c) in correction.iter_mut().enumerate() {
                *c = known[k] + h * f[k] - x[k];
            }
            // A singular matrix gives infinities or NaN.
            factorise(jacobian, exchanged);
            solve(jacobian, exchanged, correction);
            x.iter_mut().zip(&*correction).for_each(|(x, &c)| *x += c);
            let size = norm(correction) / (F::one() + norm(x));
            *open = !(size <= tolerance);
            // Unlike `max`, this keeps NaN.
            worst = if size <= worst { worst } else { size };
        }
        worst
    }
}
