//! Rows of all and rows of a group.

use numeric::Real;
use numeric::ndarray::{ArrayRef2, ArrayViewMut2};

use crate::sde::coefficients::{slice, slice_mut};

/// An array with any contents in the memory of a buffer, which is never made shorter: growing again would fill it.
pub(super) fn rows_in<F: Real>(buffer: &mut Vec<F>, rows: usize, columns: usize) -> ArrayViewMut2<'_, F> {
    if buffer.len() < rows * columns {
        buffer.resize(rows * columns, F::zero());
    }
    let memory = &mut buffer[..rows * columns];
    ArrayViewMut2::from_shape((rows, columns), memory).expect("as many numbers as that")
}

/// Writes the rows `group` of an array over `out`, unless that has none.
pub(super) fn gather<F: Real>(from: &ArrayRef2<F>, group: &[usize], out: &mut ArrayRef2<F>) {
    let (d, from) = (from.ncols(), slice(from));
    for (out, &i) in slice_mut(out).chunks_exact_mut(d).zip(group) {
        out.copy_from_slice(&from[i * d..][..d]);
    }
}

/// Writes the rows at `places` of the array of a group over those of all rows, unless there are none.
pub(super) fn scatter<F: Real>(
    from: &ArrayRef2<F>,
    places: &[usize],
    group: &[usize],
    to: &mut ArrayRef2<F>,
) {
    let (d, from, to) = (from.ncols(), slice(from), slice_mut(to));
    if from.is_empty() {
        return;
    }
    for &j in places {
        to[group[j] * d..][..d].copy_from_slice(&from[j * d..][..d]);
    }
}
