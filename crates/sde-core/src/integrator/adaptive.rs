//! Adaptive steps on the Brownian tree.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use numeric::ndarray::{Array2, ArrayRef2, Axis, s};
use numeric::{Brownian, Control, Error, Node, Noise, Real, Scratch, Time, TimeGrid, check_finite};

use super::{Integrator, Needs, SdeStep, check_solves};
use crate::run::GridRun;
use crate::{Keep, Sde, Start, Statistics, Trajectory};

/// Ticks of a cell: the deepest nodes of its tree.
const TICKS: u64 = 1 << Node::MAX_LEVEL;

/// How exact an adaptive run is to be.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Tolerance {
    /// Error per step relative to the size of a coordinate; at least 0.
    pub relative: f64,
    /// Error per step that is let pass whatever the size; greater than 0.
    pub absolute: f64,
}

/// Solver whose step sizes are chosen for each row by the error found, on one Brownian path per row.
///
/// A step is a node of the dyadic tree over a cell of the grid. It is taken once whole and once as its two halves, along
/// the same path; the difference, in the mean square over the coordinates relative to
/// `absolute + relative · max(|x|, |x'|)`, is the error. At most 1: the halves are accepted. Else the step is taken back
/// and its left half is tried, *with the increments that were already drawn*: what was rejected is never drawn again, and
/// so the path has the law of Brownian motion whatever was rejected. Nodes of the grid are always hit.
///
/// Strong order 1 at least is asked of the integrator for the class of noise: for methods of order ½ an error
/// that looks at the path chooses steps that bias the limit. A cell may be halved 39 times.
///
/// ```
/// use numeric::{Noise, TimeGrid, from_row_fn, ndarray::array};
/// use sde_core::{Additive, AdaptiveSolver, Keep, Start, Tolerance, integrator::EulerMaruyama};
/// // A stiff stretch: dX = −r(t) (X − 1) dt + 0.1 dW with r = 1 and, around t = ½, r = 300.
/// let drift = from_row_fn(1, |time, x, out: &mut [f64]| {
///     let rate = if (time.t - 0.5).abs() < 0.05 { 300.0 } else { 1.0 };
///     out[0] = -rate * (x[0] - 1.0);
///     Ok(())
/// });
/// let sde = Additive::new(drift, &array![[0.1]])?;
/// let tolerance = Tolerance { relative: 1e-3, absolute: 1e-3 };
/// let solver = AdaptiveSolver::<f64, _, _>::new(sde, EulerMaruyama, TimeGrid::uniform(0.0, 1.0, 4)?, tolerance)?;
/// let run = solver.run(Start::Point(&[0.0]), Keep::Last, 0..100, Noise::new(1), Default::default())?;
/// let mean = run.states.sum() / 100.0;
/// assert!((mean - 1.0).abs() < 0.05);
/// assert!(run.statistics.accepted < 100 * 600 && run.statistics.rejected > 0);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # Convergence
/// To the solution along the path. The error of a step is about `h^{γ + ½}` for a method of strong order γ. With fixed
/// steps these errors have mean 0 and partly cancel; steps that were chosen by looking at the path need not. So the error
/// at the end falls between `tolerance^{(γ − ½)/(γ + ½)}`, where all add up, and `tolerance^{γ/(γ + ½)}`, where they
/// cancel as for fixed steps. Prefer methods of order 1½.
///
/// # Randomness
/// The (W, H) tree of [`Brownian::with_area`] under the stream "path", m normals for each of W and H per row and split:
/// the same path as any other run of this grid with areas sees.
///
/// # Complexity
/// Three steps of the integrator per accepted or rejected step. Rows at the same node are stepped together.
///
/// # References
/// Gaines, Lyons (1997), *Variable step size control in the numerical solution of stochastic differential equations*
/// (the tree, and why order 1). Foster, Jelinčič (2023), *On the convergence of adaptive approximations for stochastic
/// differential equations*.
#[derive(Clone, Debug)]
pub struct AdaptiveSolver<F, E, K> {
    sde: E,
    integrator: K,
    grid: TimeGrid,
    lengths: Vec<f64>,
    tolerance: Tolerance,
    /// How much the error of a step grows when the step is doubled.
    growth: f64,
    float: std::marker::PhantomData<fn() -> F>,
}

impl<F: Real, E: Sde<F>, K: Integrator<F>> AdaptiveSolver<F, E, K> {
    /// A solver on the cells of `grid`.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the integrator does not solve the equation's reading or class of noise with strong
    /// order 1, needs Lévy areas, or the grid goes the other way than the equation; [`Error::Domain`] for a tolerance
    /// out of its domain.
    pub fn new(sde: E, integrator: K, grid: TimeGrid, tolerance: Tolerance) -> Result<Self, Error> {
        let Tolerance { relative, absolute } = tolerance;
        let ok = relative >= 0.0 && relative.is_finite();
        Error::domain(ok, "tolerance.relative", relative, "a finite number of at least 0")?;
        Error::positive("tolerance.absolute", absolute)?;
        check_solves(&sde, &integrator, &grid)?;
        let name = integrator.name();
        let refuse = |reason| Err(Error::Unsupported { method: name, reason });
        let Some(orders) = integrator.orders(sde.noise_class()).filter(|orders| orders.strong >= 1.0) else {
            return refuse("adaptive steps need strong order 1 for the equation's class of noise");
        };
        if matches!(integrator.needs(), Needs::LevyAreas { .. }) {
            return refuse("adaptive steps know increments and space-time areas, not Lévy areas");
        }
        let growth = 2_f64.powf(orders.strong + 0.5);
        let lengths = grid.lengths();
        Ok(AdaptiveSolver {
            sde,
            integrator,
            grid,
            lengths,
            tolerance,
            growth,
            float: std::marker::PhantomData,
        })
    }

    /// Runs the given rows from `start` and keeps what `keep` says of the nodes of the grid.
    ///
    /// # Errors
    /// The equation's own; [`Error::Unsupported`] for [`Start::Prior`]; [`Error::Shape`] for a start of another shape;
    /// [`Error::NotConverged`] if 39 halvings of a cell are not enough for the tolerance; [`Error::NotFinite`] if the
    /// state is not finite however small the step.
    ///
    /// # Panics
    /// Never by itself.
    pub fn run(
        &self,
        start: Start<'_, F>,
        keep: Keep<'_, F>,
        rows: Range<u64>,
        noise: Noise,
        control: Control<'_>,
    ) -> Result<Trajectory<F>, Error> {
        let (dim, batching) = (self.sde.dim(), self.sde.batching());
        let course = GridRun { grid: &self.grid, start, keep, rows, dim, batching };
        start.check_given(self.integrator.name(), course.count(), dim)?;
        let noises = (Brownian::with_area(noise.fork("path"), &self.lengths)?, noise.fork("extra"));
        let counts = [const { AtomicU64::new(0) }; 2];
        let (times, states) = course.run(control, None, |rows, x, scratch, seen| {
            let mut block = Block::new(self, rows, noises, x);
            for cell in 0..self.grid.steps() {
                block.walk(cell, scratch)?;
                seen(cell + 1, block.x)?;
            }
            for (count, of_block) in counts.iter().zip([block.accepted, block.rejected]) {
                count.fetch_add(of_block, Ordering::Relaxed);
            }
            Ok(())
        })?;
        let [accepted, rejected] = counts.map(AtomicU64::into_inner);
        let calls = 3 * self.integrator.calls() as u64 * (accepted + rejected);
        Ok(Trajectory { times, states, statistics: Statistics { calls, accepted, rejected } })
    }
}

/// Where a row is in its cell.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Place {
    /// Start of the current node.
    tick: u64,
    /// Level of the current node.
    level: u32,
    /// The level at which a step is tried; above it nodes are just split.
    wanted: u32,
    /// Bit l: the right half at level l waits for its turn. Levels are at most 40.
    waiting: u64,
}

/// The rows of a block on their way.
struct Block<'a, F, E, K> {
    solver: &'a AdaptiveSolver<F, E, K>,
    rows: &'a [u64],
    brownian: Brownian<'a>,
    extra: Noise,
    x: &'a mut ArrayRef2<F>,
    places: Vec<Place>,
    /// W and H of each row's current node, `(n, m)`.
    current: [Array2<F>; 2],
    /// W and H of the halves that wait, for each level that was reached.
    waiting: Vec<[Array2<F>; 2]>,
    accepted: u64,
    rejected: u64,
}

impl<'a, F: Real, E: Sde<F>, K: Integrator<F>> Block<'a, F, E, K> {
    fn new(
        solver: &'a AdaptiveSolver<F, E, K>,
        rows: &'a [u64],
        (brownian, extra): (Brownian<'a>, Noise),
        x: &'a mut ArrayRef2<F>,
    ) -> Self {
        let (n, m) = (rows.len(), solver.sde.noise_dim());
        Block {
            solver,
            rows,
            brownian,
            extra,
            x,
            places: vec![Place { tick: 0, level: 0, wanted: 0, waiting: 0 }; n],
            current: [(); 2].map(|()| Array2::zeros((n, m))),
            waiting: Vec::new(),
            accepted: 0,
            rejected: 0,
        }
    }

    /// Carries all rows through a cell.
    fn walk(&mut self, cell: usize, scratch: &mut Scratch) -> Result<(), Error> {
        let [w, h] = &mut self.current;
        self.brownian.increments_and_areas_into(self.rows, Node::whole(cell as u64), w, h);
        for place in &mut self.places {
            (place.tick, place.level, place.waiting) = (0, 0, 0);
        }
        // Always those who are furthest behind: so rows meet again at the same nodes, and are stepped together.
        while let Some(tick) = self.places.iter().map(|p| p.tick).min().filter(|&tick| tick < TICKS) {
            let key = |p: &Place| (p.level, p.level < p.wanted);
            let behind = self.places.iter().filter(|p| p.tick == tick);
            let Some((level, split_only)) = behind.map(key).min() else { break };
            let group: Vec<usize> = (0..self.rows.len())
                .filter(|&i| self.places[i].tick == tick && key(&self.places[i]) == (level, split_only))
                .collect();
            let node = Node { cell: cell as u64, level, index: tick >> (Node::MAX_LEVEL - level) };
            self.try_node(&group, node, split_only, scratch)?;
        }
        Ok(())
    }

    /// Splits a node for the rows of a group and, unless `split_only`, accepts the halves where they are good enough.
    fn try_node(
        &mut self,
        group: &[usize],
        node: Node,
        split_only: bool,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        let rows: Vec<u64> = group.iter().map(|&i| self.rows[i]).collect();
        let whole = self.current.each_ref().map(|a| a.select(Axis(0), group));
        let [mut left, mut right] = [(); 2].map(|()| whole.clone());
        {
            let ([w, h], [wl, hl], [wr, hr]) = (&whole, &mut left, &mut right);
            self.brownian.split_with_areas_into(&rows, node, [w, h], [wl, hl], [wr, hr]);
        }
        let [first, second] = node.children().expect("nodes at the deepest level are not tried");
        let mut good = vec![false; group.len()];
        let mut halves = Array2::zeros((0, 0));
        if !split_only {
            let x = self.x.select(Axis(0), group);
            let (mut once, mut twice) = (x.clone(), x.clone());
            self.step(&rows, node, &whole, &mut once, scratch)?;
            self.step(&rows, first, &left, &mut twice, scratch)?;
            self.step(&rows, second, &right, &mut twice, scratch)?;
            for (j, good) in good.iter_mut().enumerate() {
                let error = self.error(j, &x, &once, &twice);
                *good = error <= 1.0;
                let place = &mut self.places[group[j]];
                if *good {
                    // Twice the step next time if the error allows it, with a margin.
                    place.wanted = node.level - u32::from(node.level > 0 && error * self.solver.growth < 0.5);
                } else if node.level + 2 > Node::MAX_LEVEL {
                    let time = self.solver.time(node).t;
                    check_finite("the state", &rows[j..=j], node.cell, time, twice.slice(s![j..=j, ..]))?;
                    let routine = "adaptive steps";
                    return Err(Error::NotConverged {
                        routine,
                        iterations: node.level as usize,
                        residual: error,
                    });
                } else {
                    place.wanted = node.level + 1;
                }
            }
            let accepted = good.iter().filter(|good| **good).count() as u64;
            self.accepted += accepted;
            self.rejected += group.len() as u64 - accepted;
            halves = twice;
        }
        for (j, &i) in group.iter().enumerate() {
            if good[j] {
                self.x.row_mut(i).assign(&halves.row(j));
                self.next_node(i);
            } else {
                self.descend(i, j, &left, &right);
            }
        }
        Ok(())
    }

    /// Moves row i, which is row j of the halves, into its left half.
    fn descend(&mut self, i: usize, j: usize, left: &[Array2<F>; 2], right: &[Array2<F>; 2]) {
        let place = &mut self.places[i];
        place.level += 1;
        place.waiting |= 1 << place.level;
        let level = place.level as usize;
        while self.waiting.len() <= level {
            self.waiting.push(self.current.each_ref().map(|a| Array2::zeros(a.raw_dim())));
        }
        for part in 0..2 {
            self.current[part].row_mut(i).assign(&left[part].row(j));
            self.waiting[level][part].row_mut(i).assign(&right[part].row(j));
        }
    }

    /// Moves row i behind its current node, to the deepest half that waits, or to the end of the cell.
    fn next_node(&mut self, i: usize) {
        let place = &mut self.places[i];
        place.tick += TICKS >> place.level;
        if place.waiting == 0 {
            return;
        }
        place.level = 63 - place.waiting.leading_zeros();
        place.waiting &= !(1 << place.level);
        for part in 0..2 {
            let waiting = self.waiting[place.level as usize][part].row(i);
            self.current[part].row_mut(i).assign(&waiting);
        }
    }

    fn step(
        &self,
        rows: &[u64],
        node: Node,
        [w, h]: &[Array2<F>; 2],
        x: &mut Array2<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        let [from, to] = [node.index, node.index + 1].map(|index| self.solver.time(Node { index, ..node }));
        let step = SdeStep {
            rows,
            from,
            to,
            length: self.brownian.length(node),
            w,
            area: Some(h),
            levy: None,
            // Of its own for each node: a scheme must not meet its draws again.
            extra: self.extra.fork_index(u64::from(node.level) << Node::MAX_LEVEL | node.index),
            index: node.cell,
        };
        self.solver.integrator.step(&self.solver.sde, step, x, scratch)
    }

    /// Difference of the two ways through a step, in units of the tolerance; NaN where one is not finite.
    fn error(&self, j: usize, x: &ArrayRef2<F>, once: &ArrayRef2<F>, twice: &ArrayRef2<F>) -> f64 {
        let Tolerance { relative, absolute } = self.solver.tolerance;
        let d = x.ncols();
        let square = |l: usize| {
            let [x, once, twice] = [x, once, twice].map(|a| a[(j, l)].as_f64());
            ((once - twice) / (absolute + relative * x.abs().max(twice.abs()))).powi(2)
        };
        ((0..d).map(square).sum::<f64>() / d as f64).sqrt()
    }
}

impl<F, E, K> AdaptiveSolver<F, E, K> {
    /// Where a node starts; for an index one beyond the last, where the cell ends. Both ends of a cell are exact.
    fn time(&self, node: Node) -> Time {
        let (a, b) = (self.grid.node(node.cell as usize), self.grid.node(node.cell as usize + 1));
        a.between(b, node.index as f64 / (1_u64 << node.level) as f64)
    }
}
