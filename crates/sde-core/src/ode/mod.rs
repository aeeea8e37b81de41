//! Ordinary differential equations `dx/dt = V(t, x)`: solvers, events and the probability flow.

mod adaptive;
mod block;
mod controller;
mod event;
mod explicit;
mod fixed;
mod flow;
mod piece;
mod rosenbrock;
mod tableau;

use std::ops::Range;
use std::sync::Mutex;

use numeric::ndarray::{Array3, ArrayRef2, ArrayViewMut1, ArrayViewMut2};
use numeric::{Batching, Control, Error, Real, Scratch, TimeGrid, VectorField, fill_rows};

pub use adaptive::Tolerance;
pub(crate) use controller::ln_in_place;
pub use event::{Crossing, Direction, Event, Passage};
pub(crate) use event::{Look, sign};
pub use explicit::{Dopri5, Tsit5};
pub use fixed::FixedStep;
pub use flow::{ProbabilityFlow, Variable};
pub use piece::Piece;
pub use rosenbrock::Rosenbrock;

use crate::run::enlarged;
use crate::{Keep, Start, Statistics, Trajectory};
pub(crate) use piece::gap;

/// What is done with each step of each row: `true` ends the row.
pub type Visit<'a, F> = dyn FnMut(&Piece<'_, F>) -> Result<bool, Error> + 'a;

/// A method for ordinary differential equations: it carries a block of rows from one end of a grid to the other.
///
/// `V` is the kind of field it can use: any [`VectorField`] for the explicit methods, one with
/// [`JacobianProducts`](numeric::JacobianProducts) for [`Rosenbrock`].
pub trait OdeMethod<F: Real, V>: Send + Sync {
    /// Short name, for tables.
    fn name(&self) -> &'static str;

    /// Order of convergence p: the global error is O(h^p), or proportional to the tolerance.
    fn order(&self) -> usize;

    /// Whether the solution is known between the nodes of the steps.
    fn dense(&self) -> bool;

    /// Carries the rows `x`, `(n, d)`, along the grid, and shows each step to `visit` if there is one.
    ///
    /// Rows that `visit` ends are left at the end of the step that was shown last.
    ///
    /// # Errors
    /// The field's own; [`Error::NotFinite`] and [`Error::Stalled`], with row and time; [`Error::Unsupported`] from a method with
    /// steps of each row for a field that does not compute each row from that row alone.
    fn integrate(
        &self,
        field: &V,
        grid: &TimeGrid,
        rows: &[u64],
        x: &mut ArrayRef2<F>,
        visit: Option<&mut Visit<'_, F>>,
        scratch: &mut Scratch,
    ) -> Result<Statistics, Error>;
}

impl<F: Real, V, M: OdeMethod<F, V> + ?Sized> OdeMethod<F, V> for &M {
    fn name(&self) -> &'static str {
        (**self).name()
    }
    fn order(&self) -> usize {
        (**self).order()
    }
    fn dense(&self) -> bool {
        (**self).dense()
    }
    fn integrate(
        &self,
        field: &V,
        grid: &TimeGrid,
        rows: &[u64],
        x: &mut ArrayRef2<F>,
        visit: Option<&mut Visit<'_, F>>,
        scratch: &mut Scratch,
    ) -> Result<Statistics, Error> {
        (**self).integrate(field, grid, rows, x, visit, scratch)
    }
}

/// Solver of `dx/dt = V(t, x)`: a field, a method and a grid of times, in either direction.
///
/// [`FixedStep`] methods step from node to node. The adaptive ones, [`Tsit5`], [`Dopri5`] and [`Rosenbrock`], choose
/// the steps of each row for itself, from the first node to the last, and the nodes between are where the dense
/// output is read. The end of the grid is met exactly. Row i depends on its own start only: its bits are the same in
/// any block, shard and number of threads.
///
/// A field that looks at whole blocks ([`Batching::rowwise`](numeric::Batching::rowwise)) is solved in its blocks by
/// [`FixedStep`]; what completes a block starts beside the nearest row asked for, so that with [`Start::Rows`]
/// rows of such a block depend on which others are asked for. The adaptive methods refuse it; a network whose rows differ by
/// rounding only can be declared rowwise ([`with_batching`](numeric::with_batching)).
///
/// ```
/// use numeric::{Control, TimeGrid, from_row_fn};
/// use sde_core::ode::{OdeSolver, Tsit5};
/// use sde_core::{Keep, Start};
/// # fn main() -> Result<(), numeric::Error> {
/// // The harmonic oscillator, once around.
/// let field = from_row_fn(2, |_, x, out: &mut [f64]| { out[0] = x[1]; out[1] = -x[0]; Ok(()) });
/// let grid = TimeGrid::uniform(0.0, 2.0 * std::f64::consts::PI, 4)?;
/// let solver = OdeSolver { field, method: Tsit5::new(1e-9, 1e-9)?, grid };
/// let run = solver.run(Start::Point(&[1.0, 0.0]), Keep::All, 0..1, Control::default())?;
/// assert!((run.states[(0, 1, 1)] + 1.0).abs() < 1e-8);             // a quarter later
/// assert!((run.states[(0, 4, 0)] - 1.0).abs() < 1e-8);
/// assert!(run.statistics.accepted < 120);
/// # Ok(()) }
/// ```
///
/// # References
/// Hairer, Nørsett, Wanner (1993), *Solving ordinary differential equations I*, chapter II.
#[derive(Clone, Debug)]
pub struct OdeSolver<V, M> {
    /// The right-hand side V.
    pub field: V,
    /// How it is solved.
    pub method: M,
    /// From where to where, and the times at which states can be kept.
    pub grid: TimeGrid,
}

impl<V, M> OdeSolver<V, M> {
    /// The solutions of the given rows.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for [`Start::Prior`]: an ordinary differential equation has none; from an adaptive method for a
    /// field that does not compute each row from that row alone.
    /// [`Error::Shape`] for a start of another shape, [`Error::Entry`] for nodes that the grid does not have.
    /// [`Error::NotFinite`] and [`Error::Stalled`] with row and time; the field's own; [`Error::Cancelled`]. Of
    /// several failing rows the lowest is reported, except that an error of the field ends its block at once.
    ///
    /// # Panics
    /// Never by itself.
    pub fn run<F: Real>(
        &self,
        start: Start<'_, F>,
        keep: Keep<'_, F>,
        rows: Range<u64>,
        control: Control<'_>,
    ) -> Result<Trajectory<F>, Error>
    where
        V: VectorField<F>,
        M: OdeMethod<F, V>,
    {
        let d = self.field.dim();
        start.check_given("OdeSolver", count(&rows), d)?;
        let nodes = kept_nodes(&keep, &self.grid)?;
        let width = if let Keep::Map { dim, .. } = keep { dim } else { d };
        let forward = gap(self.grid.first(), self.grid.last()) > 0.0;
        let mut states = Array3::zeros((count(&rows), nodes.len(), width));
        let out = states.as_slice_mut().expect("made in standard layout");
        let statistics = Mutex::new(Statistics::default());
        let (each, batching) = (nodes.len() * width, batching(&self.field, self.method.dense(), &rows));
        fill_rows(rows.clone(), each, batching, control, out, |block, kept, scratch| {
            let numbers: Vec<u64> = block.collect();
            let mut solve = |state: &mut [F], visit: Option<&mut Visit<'_, F>>| {
                let mut x =
                    ArrayViewMut2::from_shape((numbers.len(), d), state).expect("one state for each row");
                let cost =
                    self.method.integrate(&self.field, &self.grid, &numbers, &mut x, visit, scratch)?;
                *statistics.lock().expect("no block panicked") += cost;
                Ok(())
            };
            if let Keep::Last = keep {
                // The rows live where they end, and nobody looks at their steps.
                start_states(&start, &rows, &numbers, d, kept);
                return solve(kept, None);
            }
            let mut state = vec![F::zero(); numbers.len() * d];
            start_states(&start, &rows, &numbers, d, &mut state);
            let mut point = vec![F::zero(); d];
            let mut store = |place: usize, slot: usize, state: &[F]| {
                let out = &mut kept[(place * nodes.len() + slot) * width..][..width];
                match keep {
                    Keep::Map { map, .. } => map(nodes[slot], self.grid.node(nodes[slot]), state, out),
                    _ => out.copy_from_slice(state),
                }
            };
            let mut next = vec![0_usize; numbers.len()];
            if nodes[0] == 0 {
                for (place, state) in state.chunks_exact(d).enumerate() {
                    store(place, 0, state);
                    next[place] = 1;
                }
            }
            let mut visit = |piece: &Piece<'_, F>| {
                let slot = &mut next[piece.place];
                while let Some(&node) = nodes.get(*slot) {
                    let time = self.grid.node(node);
                    if time == piece.to {
                        store(piece.place, *slot, piece.end);
                    } else {
                        let left = gap(time, piece.to);
                        if (left > 0.0) != forward || left == 0.0 {
                            break;
                        }
                        piece.at(gap(piece.from, time) / gap(piece.from, piece.to), &mut point);
                        store(piece.place, *slot, &point);
                    }
                    *slot += 1;
                }
                Ok(false)
            };
            solve(&mut state, Some(&mut visit))
        })?;
        let times = nodes.iter().map(|&node| self.grid.node(node)).collect();
        let statistics = statistics.into_inner().expect("no block panicked");
        Ok(Trajectory { times, states, statistics })
    }
}

/// How the blocks are cut, for a method with a dense output or without.
fn batching<F: Real>(field: &impl VectorField<F>, dense: bool, rows: &Range<u64>) -> Batching {
    // Rows with steps of their own leave a block one by one; one twice as large is as full as asked for, on average. Methods
    // that step from node to node, which have no dense output, take all rows along.
    if dense { enlarged(field.batching(), 2, count(rows)) } else { field.batching() }
}

/// Where the rows of a block start, row-major. Rows that only complete a block start where the nearest row asked for
/// does.
fn start_states<F: Real>(start: &Start<'_, F>, rows: &Range<u64>, block: &[u64], d: usize, out: &mut [F]) {
    for (&row, out) in block.iter().zip(out.chunks_exact_mut(d)) {
        match start {
            Start::Point(point) => out.copy_from_slice(point),
            Start::Rows(states) => {
                let nearest = row.clamp(rows.start, rows.end - 1);
                ArrayViewMut1::from(out).assign(&states.row((nearest - rows.start) as usize));
            }
            Start::Prior => unreachable!("refused by check_given"),
        }
    }
}

/// How many rows are asked for.
fn count(rows: &Range<u64>) -> usize {
    usize::try_from(rows.end.saturating_sub(rows.start)).expect("rows fit into memory")
}

/// The nodes at which something is kept.
fn kept_nodes<F>(keep: &Keep<'_, F>, grid: &TimeGrid) -> Result<Vec<usize>, Error> {
    match keep {
        Keep::Last => Ok(vec![grid.steps()]),
        Keep::All | Keep::Map { .. } => Ok((0..=grid.steps()).collect()),
        Keep::Nodes(nodes) => {
            let expected = "strictly increasing nodes of the grid, at least one";
            if nodes.is_empty() {
                return Err(Error::Shape { parameter: "nodes", expected: vec![1], found: vec![0] });
            }
            let fits = |k: usize| nodes[k] <= grid.steps() && (k == 0 || nodes[k] > nodes[k - 1]);
            match (0..nodes.len()).find(|&k| !fits(k)) {
                None => Ok(nodes.to_vec()),
                Some(index) => {
                    Err(Error::Entry { parameter: "nodes", index, value: nodes[index] as f64, expected })
                }
            }
        }
    }
}
