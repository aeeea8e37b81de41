//! A sampler: a model, a method and a grid.

use std::ops::Range;

use numeric::ndarray::{Array2, ArrayRef2, ArrayViewMut2};
use numeric::{Batching, Control, Error, Model, Noise, Real, TimeGrid, VectorField, check_finite, run_rows};

use crate::VariancePreserving;
use crate::method::{History, Method, Step};

/// Reverse-time sampler: from N(0, I) at the first node of the grid to the data at its last.
///
/// The grid is in the time of the model's process (for [`Ou`](crate::Ou) that is the clock). The row i of a
/// sample depends on (noise, i) only, for any range of rows, number of threads and size of blocks.
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

impl<V, S: VariancePreserving, K> Sampler<Model<V, S>, K> {
    /// The composition of the three.
    ///
    /// # Errors
    /// [`Error::Entry`] unless the grid goes backwards in the process's clock, to an end at a clock above 0:
    /// sampling stops early, for at the data itself a score need not exist.
    pub fn new(model: Model<V, S>, method: K, grid: TimeGrid) -> Result<Sampler<Model<V, S>, K>, Error> {
        let clocks: Vec<f64> = grid.nodes().iter().map(|&node| model.schedule.clock(node)).collect();
        let ordered = |k: usize| k == 0 || clocks[k] < clocks[k - 1];
        match (0..clocks.len()).find(|&k| !(clocks[k] > 0.0 && clocks[k].is_finite() && ordered(k))) {
            None => Ok(Sampler { model, method, grid }),
            Some(index) => Err(Error::Entry {
                parameter: "grid",
                index,
                value: grid.node(index).t,
                expected: "nodes that go from noise to data, at finite clocks greater than 0",
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
        self.method.calls() * self.grid.steps()
    }

    /// The samples of the given rows, `(rows.len(), d)`.
    ///
    /// # Errors
    /// The model's own; [`Error::NotFinite`] with the row, step and time if a state stops being finite;
    /// [`Error::Cancelled`]. Of several failing rows the lowest is reported.
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
        let d = self.model.field.dim();
        let batching: Batching = self.model.field.batching();
        let (start, path) = (noise.fork("start"), noise.fork("path"));
        run_rows(rows, d, batching, control, |rows, scratch| {
            let rows: Vec<u64> = rows.collect();
            let mut state = vec![F::zero(); rows.len() * d];
            let mut x = ArrayViewMut2::from_shape((rows.len(), d), &mut state).expect("sized above");
            let mut run = |x: &mut ArrayRef2<F>, checked: bool| -> Result<(), Error> {
                let mut history = History::default();
                start.normals_into(&rows, 0, x);
                for (index, (from, to)) in self.grid.pairs().enumerate() {
                    let step = Step { rows: &rows, index: index as u64, from, to, noise: path };
                    self.method.step(&self.model, step, x, &mut history, scratch)?;
                    if checked || index + 1 == self.grid.steps() {
                        check_finite("the state", &rows, index as u64, from.t, x.view())?;
                    }
                }
                Ok(())
            };
            match run(&mut x, false) {
                // What is not finite stays so until the end; where it began, the same run tells once more.
                Err(Error::NotFinite { .. }) => run(&mut x, true)?,
                other => other?,
            }
            Ok(state)
        })
    }
}
