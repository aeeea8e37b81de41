//! The splitting of Langevin dynamics with inertia.

use std::ops::Range;

use numeric::ndarray::{Array2, ArrayRef2, Axis, s};
use numeric::{Control, Error, LogDensity, Noise, Scratch, TimeGrid, vectorize};

use super::course::{Course, Stepper};
use super::{Needs, SdeStep};
use crate::ode::{Event, Passage};
use crate::run::check_forward;
use crate::sde::coefficients::{slice, slice_mut};
use crate::sde::{put_rows, take_rows};
use crate::{Keep, Start, Statistics, Trajectory, UnderdampedLangevin};

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
/// let method = Baoab::new(UnderdampedLangevin::new(normal, 1.0)?, TimeGrid::uniform(0.0, 45.0, 30)?)?;
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
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a grid that runs back in time.
    pub fn new(dynamics: UnderdampedLangevin<P>, grid: TimeGrid) -> Result<Baoab<P>, Error> {
        check_forward("Baoab", &grid)?;
        let cells = grid.lengths();
        Ok(Baoab { dynamics, grid, cells, refinement: 0 })
    }

    /// The order β of `|E φ(X_N) − E φ(X(T))| = O(h^β)` for smooth φ.
    pub fn weak_order(&self) -> f64 {
        2.0
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
        self.course().run(self, start, keep, rows, noise, control)
    }

    /// Runs the rows along the grid and keeps their states (q, p) at any times, `(n, times, 2d)`.
    ///
    /// The state at a time t between the nodes `t_k < t < t_{k+1}` is one BAOAB step of length `s = t − t_k` from the state
    /// at t_k, along the same path: its O-step takes `z = (W_t − W_{t_k})/√s`. So it has one value, whatever else is asked
    /// for, and tends to those at the nodes; at a node it is the state there. The steps of the run are those of
    /// [`run`](Self::run), to the bit. Times are moved to ticks as in [`Solver::run_at`](crate::Solver::run_at).
    ///
    /// ```
    /// use numeric::{Noise, TimeGrid, ndarray::array};
    /// use sde_core::{Component, Covariance, Mixture, Start, UnderdampedLangevin, integrator::Baoab};
    /// let normal = Mixture::new(vec![Component { weight: 1.0, mean: array![0.0], covariance: Covariance::Isotropic(1.0) }])?;
    /// let method = Baoab::new(UnderdampedLangevin::new(normal, 1.0)?, TimeGrid::uniform(0.0, 12.0, 24)?)?;
    /// let (start, noise) = (Start::Point(&[0.0, 0.0]), Noise::new(1));
    /// let run = method.run_at(start, &[11.3, 12.0], 0..4000, noise, Default::default())?;
    /// assert_eq!(run.states.shape(), &[4000, 2, 2]);
    /// let mean_square = run.states.column(0).iter().map(|q| q * q).sum::<f64>() / 4000.0;
    /// assert!((mean_square - 1.0).abs() < 0.1);
    /// # trait Column { fn column(&self, j: usize) -> Vec<f64>; }
    /// # impl Column for numeric::ndarray::Array3<f64> {
    /// #     fn column(&self, j: usize) -> Vec<f64> { self.slice(numeric::ndarray::s![.., 0, j]).to_vec() }
    /// # }
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Convergence
    /// The law at a time between the nodes has weak order 2, as at the nodes: it is that of a run with one shorter step at
    /// the end. So have the joint laws of states at several times, also within one step: there the noises
    /// `√2γ ∫ e^{−γ(t − u)} dW_u` of two times are correlated as multiples of W are, an error of O(h²) that no later
    /// step sees. The method follows no path more exactly than that, between the nodes as at them.
    ///
    /// For a Gaussian target the positions at the nodes have the target's law; between them only up to O(h⁴), since a step
    /// of another length preserves another law of the velocities. For the target N(0, 1) the positions at s after a node
    /// have the variance `1 − ¼ a² (h² − s²)` with `a = (s/2)(1 + e^{−γs})`.
    ///
    /// # Complexity
    /// One gradient more for each time that is no node.
    ///
    /// # Errors
    /// [`Error::Entry`] for times outside of the grid, not strictly in its direction, NaN, or nearer to each other than a
    /// tick; else as [`run`](Self::run).
    pub fn run_at(
        &self,
        start: Start<'_, f64>,
        times: &[f64],
        rows: Range<u64>,
        noise: Noise,
        control: Control<'_>,
    ) -> Result<Trajectory<f64>, Error> {
        self.course().run_at(self, start, times, rows, noise, control)
    }

    /// Follows each row to its first terminal event g(t, (q, p)) = 0 or to the end of the grid, and reports the crossings that it
    /// saw: as [`Solver::run_until`](crate::Solver::run_until), on the states of [`run_at`](Self::run_at).
    ///
    /// Positions have paths with velocities: one that crosses a surface in them does not cross back at once, and what is not
    /// seen between two nodes is of the size of the step, not of its root.
    ///
    /// ```
    /// use numeric::{Noise, TimeGrid, ndarray::array};
    /// use sde_core::ode::{Direction, Event};
    /// use sde_core::{Component, Covariance, Mixture, Start, UnderdampedLangevin, integrator::Baoab};
    /// // From the left of two wells, to when it is first over the hill.
    /// let well = |at: f64| Component { weight: 0.5, mean: array![at], covariance: Covariance::Isotropic(0.2) };
    /// let dynamics = UnderdampedLangevin::new(Mixture::new(vec![well(-1.0), well(1.0)])?, 1.0)?;
    /// let method = Baoab::new(dynamics, TimeGrid::uniform(0.0, 200.0, 1000)?)?;
    /// let over = Event { function: &|_, x: &[f64]| x[0], direction: Direction::Rising, terminal: true };
    /// let start = Start::Point(&[-1.0, 0.0]);
    /// let (ways, statistics) = method.run_until(start, &[over], 0..200, Noise::new(1), Default::default())?;
    /// // To a tick of the tree, in which the noise moves q by 10⁻⁷ at most.
    /// assert!(ways.iter().filter(|way| way.ended).all(|way| way.state[0].abs() < 1e-6));
    /// assert!(ways.iter().filter(|way| way.ended).count() > 190 && statistics.accepted < 200 * 500);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Complexity
    /// Two gradients for each of up to 41 parts of a step to locate a crossing; else as `Solver::run_until`.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the target does not compute each row from that row alone; [`Error::NotFinite`] if g is NaN at a
    /// node or where a crossing is being located; else as [`run`](Self::run).
    pub fn run_until(
        &self,
        start: Start<'_, f64>,
        events: &[Event<'_, f64>],
        rows: Range<u64>,
        noise: Noise,
        control: Control<'_>,
    ) -> Result<(Vec<Passage<f64>>, Statistics), Error> {
        self.course().run_until(self, start, events, rows, noise, control)
    }

    /// What a run goes along.
    fn course(&self) -> Course<'_> {
        let d = self.dynamics.target().dim();
        Course {
            name: "Baoab",
            dims: (2 * d, d),
            batching: self.dynamics.target().batching(),
            needs: Needs::Increment,
            grid: &self.grid,
            cells: &self.cells,
            refinement: self.refinement,
        }
    }

    /// One step from rows at whose positions the force is `force`; afterwards it is that at the new positions.
    fn advance(
        &self,
        step: SdeStep<'_, f64>,
        x: &mut ArrayRef2<f64>,
        force: &mut Array2<f64>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        let (target, half) = (self.dynamics.target(), 0.5 * step.length);
        let (n, d) = (x.nrows(), target.dim());
        let [mut q] = take_rows::<f64, 1>(scratch, (n, d));
        let decay = self.dynamics.friction() * step.length;
        // The step's normals are W/√h.
        let (keep, spread) = ((-decay).exp(), (-(-2.0 * decay).exp_m1() / step.length).sqrt());
        let x = slice_mut(x);
        let (positions, w) = (slice_mut(&mut q), slice(step.w));
        vectorize(
            #[inline(always)]
            || {
                let of_row =
                    positions.chunks_exact_mut(d).zip(slice(force).chunks_exact(d)).zip(w.chunks_exact(d));
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
        target.gradient_into(&q, force)?;
        vectorize(
            #[inline(always)]
            || {
                let ends = slice(&q).chunks_exact(d).zip(slice(force).chunks_exact(d));
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
        Ok(())
    }
}

impl<P: LogDensity> Stepper<f64> for Baoab<P> {
    fn begin(&self, x: &ArrayRef2<f64>, scratch: &mut Scratch) -> Result<u64, Error> {
        let target = self.dynamics.target();
        let shape = (x.nrows(), target.dim());
        let Force(mut force) = scratch.take();
        if force.dim() != shape {
            force = Array2::zeros(shape);
        }
        let [mut q] = take_rows::<f64, 1>(scratch, shape);
        q.assign(&x.slice(s![.., ..shape.1]));
        target.gradient_into(&q, &mut force)?;
        put_rows(scratch, [q]);
        scratch.put(Force(force));
        Ok(shape.0 as u64)
    }

    fn step(
        &self,
        step: SdeStep<'_, f64>,
        x: &mut ArrayRef2<f64>,
        scratch: &mut Scratch,
    ) -> Result<u64, Error> {
        let Force(mut force) = scratch.take();
        self.advance(step, x, &mut force, scratch)?;
        scratch.put(Force(force));
        Ok(step.evaluations(1))
    }

    fn part(
        &self,
        part: SdeStep<'_, f64>,
        x: &mut ArrayRef2<f64>,
        scratch: &mut Scratch,
    ) -> Result<u64, Error> {
        let Force(force) = scratch.take();
        let [mut there] = take_rows::<f64, 1>(scratch, force.dim());
        there.assign(&force);
        self.advance(part, x, &mut there, scratch)?;
        put_rows(scratch, [there]);
        scratch.put(Force(force));
        Ok(part.evaluations(1))
    }

    fn part_alone(
        &self,
        part: SdeStep<'_, f64>,
        x: &mut ArrayRef2<f64>,
        scratch: &mut Scratch,
    ) -> Result<u64, Error> {
        let target = self.dynamics.target();
        let [mut q, mut force] = take_rows::<f64, 2>(scratch, (x.nrows(), target.dim()));
        q.assign(&x.slice(s![.., ..target.dim()]));
        target.gradient_into(&q, &mut force)?;
        self.advance(part, x, &mut force, scratch)?;
        put_rows(scratch, [q, force]);
        Ok(part.evaluations(2))
    }

    fn retain(&self, places: &[usize], scratch: &mut Scratch) {
        let Force(force) = scratch.take();
        scratch.put(Force(force.select(Axis(0), places)));
    }
}
