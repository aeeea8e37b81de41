//! Vector fields over batches of rows, and the adapters between them.

use ndarray::{ArrayRef2, ArrayView1, ArrayView2};

use crate::{Error, Real, Scratch, Time, Times};

/// What a field is given: absolute row numbers, times, and the rows themselves.
///
/// `x` has shape `(n, d)`, a row is a sample, in standard (row-major) layout. Whatever belongs to a row —
/// a label, a condition, guidance — is looked up by its absolute number, so that blocks, shards and compaction
/// cannot mix it up.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a, F> {
    rows: &'a [u64],
    times: Times<'a>,
    x: &'a ArrayRef2<F>,
}

impl<'a, F> Batch<'a, F> {
    /// A batch of `rows.len()` rows.
    ///
    /// # Panics
    /// If the lengths disagree or `x` is not in standard layout: only a bug of the caller can cause that.
    #[track_caller]
    #[must_use]
    pub fn new(rows: &'a [u64], times: Times<'a>, x: &'a ArrayRef2<F>) -> Batch<'a, F> {
        assert_eq!(rows.len(), x.nrows(), "one absolute row number for each row");
        assert!(x.is_standard_layout(), "batches are row-major");
        if let Times::PerRow(times) = times {
            assert_eq!(times.len(), x.nrows(), "one time for each row");
        }
        Batch { rows, times, x }
    }

    /// Absolute numbers of the rows, strictly increasing.
    #[must_use]
    pub fn rows(&self) -> &'a [u64] {
        self.rows
    }

    /// The times.
    #[must_use]
    pub fn times(&self) -> Times<'a> {
        self.times
    }

    /// The rows, `(n, d)`.
    #[must_use]
    pub fn x(&self) -> &'a ArrayRef2<F> {
        self.x
    }

    /// The rows as one row-major slice of length n·d.
    ///
    /// # Panics
    /// Never: the layout was checked by [`new`](Self::new).
    #[must_use]
    pub fn x_slice(&self) -> &'a [F] {
        self.x.as_slice().expect("checked in Batch::new")
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Number of coordinates of a row.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.x.ncols()
    }

    /// The same rows at other places.
    ///
    /// # Panics
    /// If `x` has another number of rows or is not in standard layout.
    #[track_caller]
    #[must_use]
    pub fn at<'b>(&self, x: &'b ArrayRef2<F>) -> Batch<'b, F>
    where
        'a: 'b,
    {
        Batch::new(self.rows, self.times, x)
    }
}

/// How a field wants to be called by the samplers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batching {
    /// Rows per block. Blocks are aligned to multiples of it in absolute row numbers. Of a field that computes each row by
    /// itself a solver may take a multiple of it, where states are small or rows end one by one.
    pub rows: usize,
    /// Whether row `i` of the result is computed from row `i` alone, with the same bits in any batch. Where it
    /// is not (a network's matrix products), whole aligned blocks are computed even at the ends of a shard.
    pub rowwise: bool,
    /// Whether the blocks are to be given one after the other from the calling thread, to a field that has a
    /// thread pool of its own.
    pub serial: bool,
}

impl Batching {
    /// What suits two models that are asked about the same rows: the more particular one decides about the blocks.
    ///
    /// ```
    /// use numeric::Batching;
    /// let blocks = |rows| Batching { rows, rowwise: false, serial: false };
    /// assert_eq!(Batching::default().joint(blocks(100))?, blocks(100));
    /// assert!(blocks(100).joint(blocks(64)).is_err());
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Unsupported`] for two models that must both be given whole blocks, of different sizes.
    pub fn joint(self, other: Batching) -> Result<Batching, Error> {
        if !self.rowwise && !other.rowwise && self.rows != other.rows {
            let reason = "they must be given whole blocks of rows, of different sizes";
            return Err(Error::Unsupported { method: "two models together", reason });
        }
        let rows = if other.rowwise { self.rows } else { other.rows };
        let (rowwise, serial) = (self.rowwise && other.rowwise, self.serial || other.serial);
        Ok(Batching { rows, rowwise, serial })
    }
}

impl Default for Batching {
    /// 64 rows, row by row, from all threads.
    fn default() -> Batching {
        Batching { rows: 64, rowwise: true, serial: false }
    }
}

/// A drift, score, denoiser, noise prediction or velocity: a map `(t, x) ↦ R^d`, evaluated on batches.
///
/// ```
/// use ndarray::array;
/// use numeric::{Batch, Scratch, Time, Times, VectorField, from_row_fn};
/// # fn main() -> Result<(), numeric::Error> {
/// let drift = from_row_fn(2, |time, x, out| {
///     for (o, &x) in out.iter_mut().zip(x) {
///         *o = -time.t * x;
///     }
///     Ok(())
/// });
/// let x = array![[1.0, 2.0], [3.0, 4.0]];
/// let mut out = array![[0.0, 0.0], [0.0, 0.0]];
/// drift.eval_into(&Batch::new(&[0, 1], Times::Same(Time::of(2.0)), &x), &mut out, &mut Scratch::new())?;
/// assert_eq!(out, array![[-2.0, -4.0], [-6.0, -8.0]]);
/// # Ok(()) }
/// ```
pub trait VectorField<F: Real>: Send + Sync {
    /// Number of coordinates d.
    fn dim(&self) -> usize;

    /// Writes the value at each row of the batch over `out`, which has shape `(n, d)` and standard layout.
    ///
    /// # Errors
    /// Whatever the model reports, as [`Error::Model`] with the lowest failing row.
    fn eval_into(
        &self,
        batch: &Batch<'_, F>,
        out: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error>;

    /// How the field wants to be called.
    fn batching(&self) -> Batching {
        Batching::default()
    }
}

macro_rules! forward_field {
    ($($ty:ty),*) => {$(
        impl<F: Real, V: VectorField<F> + ?Sized> VectorField<F> for $ty {
            fn dim(&self) -> usize {
                (**self).dim()
            }
            fn eval_into(
                &self,
                batch: &Batch<'_, F>,
                out: &mut ArrayRef2<F>,
                scratch: &mut Scratch,
            ) -> Result<(), Error> {
                (**self).eval_into(batch, out, scratch)
            }
            fn batching(&self) -> Batching {
                (**self).batching()
            }
        }
    )*};
}
forward_field!(&V, Box<V>, std::sync::Arc<V>);

/// Field computed by a closure from a whole batch.
///
/// The closure gets the batch and the output `(n, d)`. It is called with the default [`Batching`], that is, it
/// promises to compute each row from that row alone; wrap a network with [`with_batching`].
pub fn from_fn<F, G>(dim: usize, eval: G) -> impl VectorField<F>
where
    F: Real,
    G: Fn(&Batch<'_, F>, &mut ArrayRef2<F>) -> Result<(), Error> + Send + Sync,
{
    FromFn { dim, eval }
}

/// Field computed by a closure from one row: `(time, row, out)`.
///
/// # Panics
/// Evaluating it, if the output is not in standard layout.
///
/// # Example
/// See [`VectorField`].
pub fn from_row_fn<F, G>(dim: usize, eval: G) -> impl VectorField<F>
where
    F: Real,
    G: Fn(Time, ArrayView1<'_, F>, &mut [F]) -> Result<(), Error> + Send + Sync,
{
    from_fn(dim, move |batch: &Batch<'_, F>, out: &mut ArrayRef2<F>| {
        for (i, mut out) in out.rows_mut().into_iter().enumerate() {
            let out = out.as_slice_mut().expect("fields are given standard layout");
            eval(batch.times().get(i), batch.x().row(i), out)?;
        }
        Ok(())
    })
}

struct FromFn<G> {
    dim: usize,
    eval: G,
}

impl<F, G> VectorField<F> for FromFn<G>
where
    F: Real,
    G: Fn(&Batch<'_, F>, &mut ArrayRef2<F>) -> Result<(), Error> + Send + Sync,
{
    fn dim(&self) -> usize {
        self.dim
    }

    fn eval_into(&self, batch: &Batch<'_, F>, out: &mut ArrayRef2<F>, _: &mut Scratch) -> Result<(), Error> {
        (self.eval)(batch, out)
    }
}

/// The same field with another [`Batching`].
#[derive(Clone, Copy, Debug)]
pub struct WithBatching<V> {
    field: V,
    batching: Batching,
}

/// The field `field`, called as `batching` says: how a network declares that it wants large aligned blocks.
///
/// # Errors
/// [`Error::Domain`] for blocks of no rows.
pub fn with_batching<V>(field: V, batching: Batching) -> Result<WithBatching<V>, Error> {
    Error::domain(batching.rows > 0, "batching.rows", 0.0, "at least 1")?;
    Ok(WithBatching { field, batching })
}

impl<F: Real, V: VectorField<F>> VectorField<F> for WithBatching<V> {
    fn dim(&self) -> usize {
        self.field.dim()
    }
    fn eval_into(&self, batch: &Batch<'_, F>, out: &mut ArrayRef2<F>, s: &mut Scratch) -> Result<(), Error> {
        self.field.eval_into(batch, out, s)
    }
    fn batching(&self) -> Batching {
        self.batching
    }
}

/// The sum `a V(t, x) + b W(t, x)` of two fields; see [`combined`].
#[derive(Clone, Copy, Debug)]
pub struct Combined<V, W> {
    a: f64,
    v: V,
    b: f64,
    w: W,
}

/// `a V + b W`. Guidance, a sum of drifts and an interpolation of two models are all of this form.
///
/// ```
/// use ndarray::array;
/// use numeric::{Batch, Scratch, Time, Times, VectorField, combined, from_row_fn};
/// let x = || from_row_fn(1, |_, x, out| { out[0] = x[0]; Ok(()) });
/// let t = from_row_fn(1, |time, _, out| { out[0] = time.t; Ok(()) });
/// let field = combined(2.0, x(), -1.0, t)?;
/// let (at, mut out) = (array![[5.0]], array![[0.0]]);
/// field.eval_into(&Batch::new(&[0], Times::Same(Time::of(3.0)), &at), &mut out, &mut Scratch::new())?;
/// assert_eq!(out[(0, 0)], 7.0);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # Errors
/// [`Error::Domain`] for a weight that is not finite; [`Error::Shape`] if the dimensions differ; those of [`Batching::joint`].
pub fn combined<F: Real, V: VectorField<F>, W: VectorField<F>>(
    a: f64,
    v: V,
    b: f64,
    w: W,
) -> Result<Combined<V, W>, Error> {
    Error::domain(a.is_finite(), "a", a, "a finite weight")?;
    Error::domain(b.is_finite(), "b", b, "a finite weight")?;
    Error::shape("w", &[v.dim()], &[w.dim()])?;
    v.batching().joint(w.batching())?;
    Ok(Combined { a, v, b, w })
}

impl<F: Real, V: VectorField<F>, W: VectorField<F>> VectorField<F> for Combined<V, W> {
    fn dim(&self) -> usize {
        self.v.dim()
    }

    fn eval_into(&self, batch: &Batch<'_, F>, out: &mut ArrayRef2<F>, s: &mut Scratch) -> Result<(), Error> {
        self.v.eval_into(batch, out, s)?;
        let mut other: Vec<F> = s.take();
        other.resize(batch.x().len(), F::zero());
        let mut view = ndarray::ArrayViewMut2::from_shape(out.raw_dim(), &mut other).expect("sized above");
        let done = self.w.eval_into(batch, &mut view, s);
        let (a, b) = (F::of(self.a), F::of(self.b));
        out.zip_mut_with(&view, |v, &w| *v = a * *v + b * w);
        s.put(other);
        done
    }

    fn batching(&self) -> Batching {
        self.v.batching().joint(self.w.batching()).expect("as when they were combined")
    }
}

/// `scale · V(t, x)`.
#[derive(Clone, Copy, Debug)]
pub struct Scaled<V> {
    scale: f64,
    field: V,
}

/// `scale · V`, for instance −∇U from ∇U.
///
/// # Errors
/// [`Error::Domain`] for a scale that is not finite.
pub fn scaled<V>(scale: f64, field: V) -> Result<Scaled<V>, Error> {
    Error::domain(scale.is_finite(), "scale", scale, "a finite number")?;
    Ok(Scaled { scale, field })
}

impl<F: Real, V: VectorField<F>> VectorField<F> for Scaled<V> {
    fn dim(&self) -> usize {
        self.field.dim()
    }
    fn eval_into(&self, batch: &Batch<'_, F>, out: &mut ArrayRef2<F>, s: &mut Scratch) -> Result<(), Error> {
        self.field.eval_into(batch, out, s)?;
        let scale = F::of(self.scale);
        out.mapv_inplace(|v| scale * v);
        Ok(())
    }
    fn batching(&self) -> Batching {
        self.field.batching()
    }
}

/// The field seen on the reversed axis: `V(end − s, x)` at time `s`. See [`time_reversed`].
#[derive(Clone, Copy, Debug)]
pub struct TimeReversed<V> {
    field: V,
}

/// `V(end − s, x)`: `t` and `to_end` change places, so that nothing is subtracted and nothing lost.
///
/// The sign is left alone: the drift of the reversed *ordinary* differential equation is
/// `scaled(-1.0, time_reversed(v))`.
pub fn time_reversed<V>(field: V) -> TimeReversed<V> {
    TimeReversed { field }
}

impl<F: Real, V: VectorField<F>> VectorField<F> for TimeReversed<V> {
    fn dim(&self) -> usize {
        self.field.dim()
    }
    fn eval_into(&self, batch: &Batch<'_, F>, out: &mut ArrayRef2<F>, s: &mut Scratch) -> Result<(), Error> {
        let swap = |time: Time| Time { t: time.to_end, to_end: time.t };
        match batch.times() {
            Times::Same(time) => {
                self.field.eval_into(&Batch::new(batch.rows(), Times::Same(swap(time)), batch.x()), out, s)
            }
            Times::PerRow(times) => {
                let times: Vec<Time> = times.iter().map(|&time| swap(time)).collect();
                self.field.eval_into(&Batch::new(batch.rows(), Times::PerRow(&times), batch.x()), out, s)
            }
        }
    }
    fn batching(&self) -> Batching {
        self.field.batching()
    }
}

/// A view of a slice as `(n, d)`, for workspaces that are plain vectors.
///
/// # Panics
/// If the slice is shorter than n·d.
#[must_use]
pub fn as_rows<F>(slice: &[F], d: usize) -> ArrayView2<'_, F> {
    ArrayView2::from_shape((slice.len() / d.max(1), d), slice).expect("a whole number of rows")
}
