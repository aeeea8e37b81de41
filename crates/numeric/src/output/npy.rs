//! The bytes of an `.npy` file: the library's header, our rows.

use std::ops::Range;

use ndarray::ArrayRef2;
use npyz::WriterBuilder;

use crate::{Error, Real};

/// NumPy's name of the element type, little-endian on every machine.
pub(super) fn element<F: Real>() -> String {
    format!("<f{}", size_of::<F>())
}

/// The header of the complete file, after a check of its shape.
pub(super) fn header<F: Real>(rows: &Range<u64>, dim: usize) -> Result<Vec<u8>, Error> {
    Error::domain(dim > 0, "dim", dim as f64, "at least 1")?;
    Error::domain(rows.start <= rows.end, "rows.end", rows.end as f64, "not before `rows.start`")?;
    let count = rows.end - rows.start;
    let row = (dim as u128) * size_of::<F>() as u128;
    let fits = u128::from(count.max(1)).checked_mul(row).is_some_and(|bytes| bytes < (1 << 63) - 1024);
    Error::domain(fits, "rows", count as f64, "few enough rows for a file of less than 2^63 bytes")?;
    let bytes = npyz::WriteOptions::new_header_only()
        .dtype(npyz::DType::Plain(element::<F>().parse().expect("`<f4` and `<f8` are types of the format")))
        .shape(&[count, dim as u64])
        .writer(Vec::new())
        .write_header_only()
        .expect("a Vec takes every byte");
    Ok(bytes)
}

/// Appends an array's values in row-major order as little-endian bytes.
pub(super) fn append<F: Real>(bytes: &mut Vec<u8>, rows: &ArrayRef2<F>) {
    fn copy<'a, F: Real, const N: usize>(
        to: &mut [u8],
        values: impl Iterator<Item = &'a F>,
        encode: impl Fn(f64) -> [u8; N],
    ) {
        for (place, value) in to.as_chunks_mut().0.iter_mut().zip(values) {
            *place = encode(value.as_f64());
        }
    }
    let start = bytes.len();
    bytes.resize(start + rows.len() * size_of::<F>(), 0);
    let to = &mut bytes[start..];
    // An f32 survives the way through f64 as it is (a NaN as a NaN).
    match (F::NAME, rows.as_slice()) {
        ("f32", Some(values)) => copy(to, values.iter(), |x| (x as f32).to_le_bytes()),
        ("f32", None) => copy(to, rows.iter(), |x| (x as f32).to_le_bytes()),
        (_, Some(values)) => copy(to, values.iter(), f64::to_le_bytes),
        (_, None) => copy(to, rows.iter(), f64::to_le_bytes),
    }
}
