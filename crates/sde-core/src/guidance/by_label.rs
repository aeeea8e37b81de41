//! One field for each label, chosen row by row.

use numeric::ndarray::{ArrayRef2, ArrayView2, ArrayViewMut2};
use numeric::{Batch, Batching, Error, Real, Scratch, Time, Times, VectorField};

/// A field that is another one for each label; made by [`by_label`].
#[derive(Clone, Debug)]
pub struct ByLabel<V, L> {
    fields: Vec<V>,
    label: L,
}

/// The field that is `fields[label(row)]` for the row with the absolute number `row`.
///
/// For class-conditional models that are fields of their own, as the exact ones of mixtures; a network that is given
/// its label looks it up by [`Batch::rows`] in the same way. Rows with one label are evaluated together, so that row i
/// does not depend on the labels of others.
///
/// ```
/// use numeric::{Batch, Scratch, Time, Times, VectorField, from_row_fn, ndarray::array};
/// use sde_core::guidance;
/// let constant = |c: f64| from_row_fn(1, move |_, _, out: &mut [f64]| { out[0] = c; Ok(()) });
/// let field = guidance::by_label(vec![constant(10.0), constant(20.0)], |row| (row % 2) as usize)?;
/// let (x, mut out) = (array![[0.0], [0.0], [0.0]], array![[0.0], [0.0], [0.0]]);
/// field.eval_into(&Batch::new(&[4, 5, 6], Times::Same(Time::of(0.0)), &x), &mut out, &mut Scratch::new())?;
/// assert_eq!(out, array![[10.0], [20.0], [10.0]]);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # Errors
/// [`Error::Shape`] for no field or fields of different dimensions; [`Error::Unsupported`] for a field whose rows
/// depend on each other. Evaluating it, [`Error::Model`] for a label without a field.
pub fn by_label<F: Real, V: VectorField<F>, L: Fn(u64) -> usize + Send + Sync>(
    fields: Vec<V>,
    label: L,
) -> Result<ByLabel<V, L>, Error> {
    let Some(first) = fields.first() else {
        return Err(Error::Shape { parameter: "fields", expected: vec![1], found: vec![0] });
    };
    for field in &fields {
        Error::shape("fields", &[first.dim()], &[field.dim()])?;
        if !field.batching().rowwise {
            let reason = "a field whose rows depend on each other is to look up the labels itself";
            return Err(Error::Unsupported { method: "one field for each label", reason });
        }
    }
    Ok(ByLabel { fields, label })
}

/// The rows of one label.
#[derive(Debug)]
struct Part<F> {
    places: Vec<usize>,
    rows: Vec<u64>,
    times: Vec<Time>,
    x: Vec<F>,
    out: Vec<F>,
}

impl<F> Default for Part<F> {
    fn default() -> Part<F> {
        Part { places: vec![], rows: vec![], times: vec![], x: vec![], out: vec![] }
    }
}

impl<F: Real, V: VectorField<F>, L: Fn(u64) -> usize + Send + Sync> VectorField<F> for ByLabel<V, L> {
    fn dim(&self) -> usize {
        self.fields[0].dim()
    }

    fn eval_into(
        &self,
        batch: &Batch<'_, F>,
        out: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        let d = batch.dim();
        let label = |&row: &u64| (self.label)(row);
        if let Some(&row) = batch.rows().iter().find(|row| label(row) >= self.fields.len()) {
            let message = format!("label {} of {} fields", label(&row), self.fields.len());
            return Err(Error::Model { row, message });
        }
        let mut part: Part<F> = scratch.take();
        for (number, field) in self.fields.iter().enumerate() {
            part.places.clear();
            part.places.extend((0..batch.len()).filter(|&i| label(&batch.rows()[i]) == number));
            if part.places.is_empty() {
                continue;
            }
            part.rows.clear();
            part.rows.extend(part.places.iter().map(|&i| batch.rows()[i]));
            part.x.clear();
            for &i in &part.places {
                part.x.extend_from_slice(&batch.x_slice()[i * d..][..d]);
            }
            let times = match batch.times() {
                Times::Same(time) => Times::Same(time),
                Times::PerRow(times) => {
                    part.times.clear();
                    part.times.extend(part.places.iter().map(|&i| times[i]));
                    Times::PerRow(&part.times)
                }
            };
            let shape = (part.places.len(), d);
            part.out.resize(shape.0 * d, F::zero());
            let x = ArrayView2::from_shape(shape, &part.x).expect("gathered above");
            let mut values = ArrayViewMut2::from_shape(shape, &mut part.out).expect("sized above");
            field.eval_into(&Batch::new(&part.rows, times, &x), &mut values, scratch)?;
            for (&i, value) in part.places.iter().zip(values.rows()) {
                out.row_mut(i).assign(&value);
            }
        }
        scratch.put(part);
        Ok(())
    }

    fn batching(&self) -> Batching {
        self.fields[0].batching()
    }
}
