//! A sampler: a model, a method and a grid.

use std::ops::Range;

use numeric::ndarray::{Array2, ArrayRef2};
use numeric::{Control, Error, Model, Noise, Real, Time, TimeGrid, VectorField};

use crate::method::{History, Method, Step};
use crate::run::GridRun;
use crate::{Keep, LinearProcess, Start, Statistics, Trajectory};

/// Reverse-time sampler: from noise at the first node of the grid to the data at its last.
///
/// The noise is N(0, s² I) with the [`start_std`](LinearProcess::start_std) s of the model's process. The grid is in
/// the time of that process (for [`Ou`](crate::Ou) that is the clock). It may end at the data themselves, where
/// σ = 0: no method evaluates the model there, and the last step is then a draw, or the mean, of what the method
/// takes for the posterior of the data. It may start where there is no signal, σ/α = ∞, at t = 1 of
/// [`Flow`](crate::Flow) and of [`CosineVp`](crate::CosineVp): the state is then noise of variance σ² that tells nothing
/// of the data, a denoiser gives their mean, and the step is the limit of those from large σ/α. Methods that freeze or
/// extrapolate the denoiser have one; the others refuse the step with [`Error::Unsupported`], as does a model that
/// predicts the noise or the score, which do not determine the denoiser there ([`Error::Domain`]).
///
/// Row i of a sample depends on (noise, i) only, for any range of rows, number of threads and size of blocks.
///
/// # Randomness
/// The start takes d normals per row from the stream "start", step k takes its normals from the stream "path".
///
/// ```
/// use numeric::{Noise, ndarray::array};
/// use sde_core::{FrozenDenoiser, Mixture, Ou, Sampler, grid};
/// # fn main() -> Result<(), numeric::Error> {
/// let data = array![[-1.0, 0.0], [1.0, 0.0], [0.0, 2.0]];
/// let model = Mixture::atoms(&data, None)?.denoiser::<f64, _>(Ou);
/// let sampler = Sampler::new(model, FrozenDenoiser, grid::geometric_v(4.0, 1e-4, 50)?)?;
/// let x = sampler.sample(0..100, Noise::new(7), Default::default())?;
/// // Every sample ends within a few √(2δ) of one of the three points.
/// for row in x.rows() {
///     assert!(data.rows().into_iter().any(|point| (&row - &point).iter().all(|gap| gap.abs() < 0.08)));
/// }
/// // A shard has the same bits.
/// assert_eq!(sampler.sample(40..60, Noise::new(7), Default::default())?, x.slice(numeric::ndarray::s![40..60, ..]));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Sampler<M, K> {
    model: M,
    method: K,
    grid: TimeGrid,
}

impl<V, S: LinearProcess, K> Sampler<Model<V, S>, K> {
    /// The composition of the three.
    ///
    /// # Errors
    /// [`Error::Entry`] unless the noise-to-signal ratio σ/α decreases strictly along the grid to one of at least 0. It
    /// may be infinite at the first node only, where σ must be finite, and 0 at the last node only: no method evaluates
    /// the model there, but a model need not be smooth near it, for the score of data without a density does not exist
    /// at σ = 0.
    pub fn new(model: Model<V, S>, method: K, grid: TimeGrid) -> Result<Sampler<Model<V, S>, K>, Error> {
        let ratio = |&node: &Time| {
            let level = model.schedule.level(node);
            level.sigma / level.alpha
        };
        let ratios: Vec<f64> = grid.nodes().iter().map(ratio).collect();
        let right = |k: usize| {
            let below = if k == 0 {
                ratios[0] < f64::INFINITY || model.schedule.level(grid.first()).sigma < f64::INFINITY
            } else {
                ratios[k] < ratios[k - 1]
            };
            below && (ratios[k] > 0.0 || (ratios[k] == 0.0 && k > 0 && k == grid.steps()))
        };
        match (0..ratios.len()).find(|&k| !right(k)) {
            None => Ok(Sampler { model, method, grid }),
            Some(index) => Err(Error::Entry {
                parameter: "grid",
                index,
                value: grid.node(index).t,
                expected: "nodes at which σ/α decreases strictly, from ∞ at most to 0 at least",
            }),
        }
    }

    /// The model.
    pub fn model(&self) -> &Model<V, S> {
        &self.model
    }

    /// The method.
    pub fn method(&self) -> &K {
        &self.method
    }

    /// The grid, in the time of the process.
    pub fn grid(&self) -> &TimeGrid {
        &self.grid
    }

    /// Model evaluations per sample.
    pub fn model_calls<F: Real>(&self) -> usize
    where
        K: Method<F, Model<V, S>>,
    {
        let calls = |(index, (from, to)): (usize, (Time, Time))| {
            let step = Step { rows: &[], index: index as u64, from, to, noise: Noise::new(0) };
            self.method.calls_in(&self.model, step)
        };
        self.grid.pairs().enumerate().map(calls).sum()
    }

    /// Draws of the law that a run starts from.
    pub(crate) fn prior<F: Real>(&self, noise: Noise) -> impl Fn(&[u64], &mut ArrayRef2<F>) + Sync {
        let (noise, std) = (noise.fork("start"), F::of(self.model.schedule.start_std(self.grid.first())));
        move |rows, x| {
            noise.normals_into(rows, 0, x);
            if std != F::one() {
                x.mapv_inplace(|z| std * z);
            }
        }
    }

    /// The samples of the given rows, `(rows.len(), d)`: the run from the prior of which the last state is kept.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    ///
    /// # Panics
    /// Never by itself.
    pub fn sample<F: Real>(
        &self,
        rows: Range<u64>,
        noise: Noise,
        control: Control<'_>,
    ) -> Result<Array2<F>, Error>
    where
        V: VectorField<F>,
        K: Method<F, Model<V, S>>,
    {
        let states = self.run(Start::Prior, Keep::Last, rows, noise, control)?.states;
        let (n, _, d) = states.dim();
        Ok(states.into_shape_with_order((n, d)).expect("one state for each row"))
    }

    /// Runs the given rows from `start` and keeps what `keep` says.
    ///
    /// Row `i` of the result is row `rows.start + i` of the run. The states are those of
    /// [`sample`](Self::sample) to the bit, whatever is kept, and peak memory is that of the result and of the blocks
    /// in flight. A start in [`Start::Rows`] need not be a sample of anything: noise data to the level of the first
    /// node and run back from there to edit them. Where blocks must be computed whole (see
    /// [`Batching::rowwise`](numeric::Batching)), the rows of a block that were not asked for start in the prior.
    ///
    /// ```
    /// use numeric::{Noise, ndarray::array};
    /// use sde_core::{FrozenDenoiser, Keep, Mixture, Ou, Sampler, Start, grid};
    /// # fn main() -> Result<(), numeric::Error> {
    /// let model = Mixture::atoms(&array![[-1.0, 0.0], [1.0, 0.0]], None)?.denoiser::<f64, _>(Ou);
    /// let sampler = Sampler::new(model, FrozenDenoiser, grid::geometric_v(0.1, 1e-4, 20)?)?;
    /// // From 0.9, with little noise, the paths return to the atom at 1.
    /// let start = Start::Point(&[0.9, 0.0]);
    /// let run = sampler.run(start, Keep::Nodes(&[0, 20]), 0..50, Noise::new(7), Default::default())?;
    /// assert_eq!(run.states.dim(), (50, 2, 2));
    /// assert_eq!(run.states[(3, 0, 0)], 0.9);
    /// assert!(run.states.outer_iter().all(|path| (path[(1, 0)] - 1.0).abs() < 0.1));
    /// assert_eq!((run.statistics.calls, run.statistics.accepted), (50 * 20, 50 * 20));
    /// // The largest coordinate of each state on the way.
    /// let map = |_, _, x: &[f64], out: &mut [f64]| out[0] = x[0].max(x[1]);
    /// let run = sampler.run(start, Keep::Map { dim: 1, map: &map }, 0..50, Noise::new(7), Default::default())?;
    /// assert_eq!(run.states.dim(), (50, 21, 1));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The model's own; [`Error::Unsupported`] for a method that does not start at σ/α = ∞, on a grid that does;
    /// [`Error::NotFinite`] with the row, step and time if a state stops being finite, also of a start that never was;
    /// [`Error::Shape`] for a start that is not of length d or `(rows.len(), d)`;
    /// [`Error::Entry`] for nodes to keep that do not increase or are not nodes of the grid; [`Error::Cancelled`]. Of
    /// several failing rows the lowest is reported.
    ///
    /// # Panics
    /// Never by itself.
    pub fn run<F: Real>(
        &self,
        start: Start<'_, F>,
        keep: Keep<'_, F>,
        rows: Range<u64>,
        noise: Noise,
        control: Control<'_>,
    ) -> Result<Trajectory<F>, Error>
    where
        V: VectorField<F>,
        K: Method<F, Model<V, S>>,
    {
        let (dim, batching) = (self.model.field.dim(), self.model.field.batching());
        let course = GridRun { grid: &self.grid, start, keep, rows, dim, batching };
        let (prior, path) = (self.prior(noise), noise.fork("path"));
        let (times, states) = course.run(control, Some(&prior), |rows, x, scratch, seen| {
            let mut history = if self.method.defers() { History::deferring() } else { History::default() };
            for (index, (from, to)) in self.grid.pairs().enumerate() {
                let step = Step { rows, index: index as u64, from, to, noise: path };
                self.method.step(&self.model, step, x, &mut history, scratch)?;
                if seen.looks_at(index + 1) {
                    history.settle(x);
                    seen.at(index + 1, x)?;
                }
            }
            Ok(())
        })?;
        let n = course.count() as u64;
        let calls = n * self.model_calls::<F>() as u64;
        let statistics = Statistics { calls, accepted: n * self.grid.steps() as u64, rejected: 0 };
        Ok(Trajectory { times, states, statistics })
    }
}
