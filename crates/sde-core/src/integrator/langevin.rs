//! The splitting of Langevin dynamics with inertia.

use std::ops::Range;

use numeric::ndarray::{Array2, ArrayRef2, s};
use numeric::{Control, Error, LogDensity, Noise, Scratch, TimeGrid, vectorize};

use super::course::Course;
use super::{Needs, SdeStep};
use crate::sde::coefficients::{slice, slice_mut};
use crate::sde::{put_rows, take_rows};
use crate::{Keep, Start, Trajectory, UnderdampedLangevin};

/// BAOAB: kick, drift, exact friction and noise, drift, kick.
///
/// ```math
/// \begin{aligned}
/// \text{B:}\ & p \leftarrow p + \tfrac h2 \nabla \log \pi(q), \qquad \text{A:}\ q \leftarrow q + \tfrac h2 p, \\
/// \text{O:}\ & p \leftarrow e^{-\gamma h} p + \sqrt{1 - e^{-2 \gamma h}}\; z, \qquad \text{then A and B again.}
/// \end{aligned}
/// ```
///
/// # Convergence
/// Weak order 2. The invariant law of the positions is that of the target up to O(h²); for a Gaussian target
/// `N(m, C)` it is exact, at every step size for which `h² < 4/λ` with λ the largest eigenvalue of `C⁻¹`. Velocities
/// have variance `1 − h²λ/4` instead of 1 there.
///
/// # Randomness
/// The increments of the Brownian path, one normal per coordinate and step.
///
/// # Complexity
/// One gradient per step, and one at the start.
///
/// # References
/// Leimkuhler, Matthews (2013), Rational construction of stochastic numerical methods for molecular sampling.
///
/// ```
/// use numeric::{Noise, TimeGrid, ndarray::array};
/// use sde_core::{Component, Covariance, Keep, Mixture, Start, UnderdampedLangevin, integrator::Baoab};
/// let normal = Mixture::new(vec![Component { weight: 1.0, mean: array![0.0], covariance: Covariance::Isotropic(1.0) }])?;
/// // Steps of 1.5 are far from small, and the positions are right.
/// let method = Baoab::new(UnderdampedLangevin::new(normal, 1.0)?, TimeGrid::uniform(0.0, 45.0, 30)?);
/// let run = method.run(Start::Point(&[0.0, 0.0]), Keep::Last, 0..4000, Noise::new(1), Default::default())?;
/// let (q, p) = (run.states.column_mean(0), run.states.column_mean(1));
/// assert!((q - 1.0).abs() < 0.1 && (p - (1.0 - 1.5 * 1.5 / 4.0)).abs() < 0.05);
/// # trait Squares { fn column_mean(&self, j: usize) -> f64; }
/// # impl Squares for numeric::ndarray::Array3<f64> {
/// #     fn column_mean(&self, j: usize) -> f64 { self.slice(numeric::ndarray::s![.., 0, j]).mapv(|x| x * x).mean().unwrap() }
/// # }
/// # Ok::<(), numeric::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Baoab<P> {
    dynamics: UnderdampedLangevin<P>,
    grid: TimeGrid,
    cells: Vec<f64>,
    refinement: u32,
}

/// The force at the positions where the last step of a block of rows ended.
#[derive(Debug, Default)]
struct Force(Array2<f64>);

impl<P: LogDensity> Baoab<P> {
    /// The method for the dynamics on a grid.
    pub fn new(dynamics: UnderdampedLangevin<P>, grid: TimeGrid) -> Baoab<P> {
        let cells = grid.lengths();
        Baoab { dynamics, grid, cells, refinement: 0 }
    }

    /// The dynamics.
    pub fn dynamics(&self) -> &UnderdampedLangevin<P> {
        &self.dynamics
    }

    /// The grid.
    pub fn grid(&self) -> &TimeGrid {
        &self.grid
    }

    /// The same method with each step divided into 2^`level`, on the same Brownian path: as
    /// [`Solver::refined`](crate::Solver::refined).
    ///
    /// # Panics
    /// If a step is too short to be divided that often in floating point.
    #[must_use]
    #[track_caller]
    pub fn refined(&self, level: u32) -> Baoab<P>
    where
        P: Clone,
    {
        let grid = self.grid.refined(level);
        Baoab {
            dynamics: self.dynamics.clone(),
            grid,
            cells: self.cells.clone(),
            refinement: self.refinement + level,
        }
    }

    /// Runs the rows (q, p), in R^{2d}, along the grid.
    ///
    /// # Errors
    /// As [`Solver::run`](crate::Solver::run).
    pub fn run(
        &self,
        start: Start<'_, f64>,
        keep: Keep<'_, f64>,
        rows: Range<u64>,
        noise: Noise,
        control: Control<'_>,
    ) -> Result<Trajectory<f64>, Error> {
        let d = self.dynamics.target().dim();
        let course = Course {
            name: "Baoab",
            dims: (2 * d, d),
            batching: self.dynamics.target().batching(),
            calls: 1,
            needs: Needs::Increment,
            grid: &self.grid,
            cells: &self.cells,
            refinement: self.refinement,
        };
        let count = rows.end.saturating_sub(rows.start);
        let mut run =
            course.run(start, keep, rows, noise, control, |step, x, scratch| self.step(step, x, scratch))?;
        run.statistics.calls += count;
        Ok(run)
    }

    fn step(
        &self,
        step: SdeStep<'_, f64>,
        x: &mut ArrayRef2<f64>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        let (target, half) = (self.dynamics.target(), 0.5 * step.length);
        let (n, d) = (x.nrows(), target.dim());
        let [mut q] = take_rows::<f64, 1>(scratch, (n, d));
        let Force(mut force) = scratch.take();
        if step.index == 0 {
            // A new block of rows, or the same one from its start.
            if force.dim() != (n, d) {
                force = Array2::zeros((n, d));
            }
            q.assign(&x.slice(s![.., ..d]));
            target.gradient_into(&q, &mut force)?;
        }
        let decay = self.dynamics.friction() * step.length;
        // The step's normals are W/√h.
        let (keep, spread) = ((-decay).exp(), (-(-2.0 * decay).exp_m1() / step.length).sqrt());
        let x = slice_mut(x);
        let (positions, w) = (slice_mut(&mut q), slice(step.w));
        vectorize(
            #[inline(always)]
            || {
                let of_row =
                    positions.chunks_exact_mut(d).zip(slice(&force).chunks_exact(d)).zip(w.chunks_exact(d));
                for (x, ((ends, force), w)) in x.chunks_exact_mut(2 * d).zip(of_row) {
                    let (q, p) = x.split_at_mut(d);
                    for ((((end, &q), p), &force), &w) in ends.iter_mut().zip(&*q).zip(p).zip(force).zip(w) {
                        let kicked = *p + half * force;
                        let middle = q + half * kicked;
                        *p = keep * kicked + spread * w;
                        *end = middle + half * *p;
                    }
                }
            },
        );
        target.gradient_into(&q, &mut force)?;
        vectorize(
            #[inline(always)]
            || {
                let ends = slice(&q).chunks_exact(d).zip(slice(&force).chunks_exact(d));
                for (x, (end, force)) in x.chunks_exact_mut(2 * d).zip(ends) {
                    let (q, p) = x.split_at_mut(d);
                    q.copy_from_slice(end);
                    for (p, &force) in p.iter_mut().zip(force) {
                        *p += half * force;
                    }
                }
            },
        );
        put_rows(scratch, [q]);
        scratch.put(Force(force));
        Ok(())
    }
}
