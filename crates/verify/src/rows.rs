//! Does row i depend on row i alone?

use std::fmt;

use numeric::Real;
use numeric::ndarray::{Array2, ArrayRef2, Axis};

/// A row that came out differently in another block: see [`check_rows`].
#[derive(Clone, Debug, PartialEq)]
pub struct RowDependence {
    /// Number of the row, as passed to the field.
    pub row: u64,
    /// First column that differs.
    pub column: usize,
    /// Its value when the whole batch was evaluated at once.
    pub whole: f64,
    /// Its value in the other block.
    pub other: f64,
    /// The row numbers of the other block, in order.
    pub block: Vec<u64>,
}

impl fmt::Display for RowDependence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RowDependence { row, column, whole, other, block } = self;
        write!(f, "row {row}, column {column}: {whole:?} in the whole batch, {other:?} in the block ")?;
        match block.as_slice() {
            [first, .., last] if block.len() > 8 => write!(f, "of {} rows {first} to {last}", block.len()),
            block => write!(f, "{block:?}"),
        }
    }
}

impl std::error::Error for RowDependence {}

/// Checks that a field computes row $`i`$ from row $`i`$ alone: equal bits in every block.
///
/// `eval(rows, x)` evaluates the field at `x` of shape (rows.len(), d), whose rows have the absolute numbers
/// `rows`. It is called with the whole batch (numbered from 0), then with single rows, pairs, triples,
/// sevens, the whole batch reversed, and every other row reversed; each time every row must have the bits it
/// had in the whole batch. Labels looked up by position instead of by number, batch statistics, and matrix
/// kernels that change with the height of the block are found that way: 64 rows or more make a good batch.
///
/// # Errors
/// [`RowDependence`] for the first row that differs, in the order of the blocks above.
///
/// # Panics
/// If `x` has fewer than two rows, which would check nothing, or `eval` returns another number of rows than
/// it was given, or another number of columns than before.
///
/// ```
/// use numeric::ndarray::{Array2, ArrayRef2, Axis};
/// use verify::check_rows;
/// let x = Array2::from_shape_fn((20, 3), |(i, j)| (i * 3 + j) as f64);
/// check_rows(&x, |_, x| x.mapv(f64::sin))?;
/// // A field that centres its batch is no field.
/// let centred = |_: &[u64], x: &ArrayRef2<f64>| x.to_owned() - x.mean_axis(Axis(0)).unwrap();
/// let found = check_rows(&x, centred).unwrap_err();
/// assert_eq!((found.row, found.block, found.other), (0, vec![0], 0.0));
/// # Ok::<(), verify::RowDependence>(())
/// ```
#[track_caller]
pub fn check_rows<F: Real>(
    x: &ArrayRef2<F>,
    mut eval: impl FnMut(&[u64], &ArrayRef2<F>) -> Array2<F>,
) -> Result<(), RowDependence> {
    let n = x.nrows();
    assert!(n >= 2, "check_rows: a batch of {n} rows checks nothing; give it 2 or more");
    let all: Vec<usize> = (0..n).collect();
    let mut evaluate = |block: &[usize]| {
        let rows: Vec<u64> = block.iter().map(|&i| i as u64).collect();
        let out = eval(&rows, &x.select(Axis(0), block));
        assert_eq!(out.nrows(), rows.len(), "check_rows: rows of the result for a block of {}", rows.len());
        (rows, out)
    };
    let (_, whole) = evaluate(&all);
    let reversed: Vec<usize> = (0..n).rev().collect();
    let alternate: Vec<usize> = (0..n).rev().step_by(2).collect();
    let splits = [1, 2, 3, 7].into_iter().flat_map(|height| all.chunks(height));
    for block in splits.chain([reversed.as_slice(), alternate.as_slice()]) {
        let (rows, out) = evaluate(block);
        assert_eq!(
            out.ncols(),
            whole.ncols(),
            "check_rows: columns of the result for a block of {}",
            rows.len()
        );
        for (&i, found) in block.iter().zip(out.rows()) {
            let pairs = whole.row(i).into_iter().zip(found).map(|(a, b)| (a.as_f64(), b.as_f64()));
            let differing = pairs.enumerate().find(|(_, (a, b))| a.to_bits() != b.to_bits());
            if let Some((column, (whole, other))) = differing {
                return Err(RowDependence { row: i as u64, column, whole, other, block: rows });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch() -> Array2<f32> {
        Array2::from_shape_fn((23, 4), |(i, j)| (i as f32 * 0.37 + j as f32).sin())
    }

    #[test]
    fn looked_up_by_number_passes_by_position_fails() {
        let label = |row: u64| (row % 5) as f32;
        check_rows(&batch(), |rows, x| Array2::from_shape_fn(x.dim(), |(i, j)| x[[i, j]] + label(rows[i])))
            .unwrap();
        let by_position =
            check_rows(&batch(), |_, x| Array2::from_shape_fn(x.dim(), |(i, j)| x[[i, j]] + label(i as u64)));
        assert_eq!(by_position.unwrap_err().row, 1);
    }

    #[test]
    fn one_bit_in_tall_blocks_only_is_found() {
        let found = check_rows(&batch(), |rows, x| {
            let mut out = x.to_owned();
            if rows.len() >= 7 && rows.len() < 20 && rows[0] == 7 {
                out[[2, 3]] = f32::from_bits(out[[2, 3]].to_bits() ^ 1);
            }
            out
        })
        .unwrap_err();
        assert_eq!((found.row, found.column, found.block.len()), (9, 3, 7));
        assert!(found.to_string().starts_with("row 9, column 3: "));
    }

    #[test]
    fn nan_equals_itself_and_order_matters() {
        check_rows(&batch(), |_, x| x.mapv(|_| f32::NAN)).unwrap();
        let ordered = |rows: &[u64], x: &ArrayRef2<f32>| {
            if rows.first() > rows.last() { x.mapv(|v| -v) } else { x.to_owned() }
        };
        assert_eq!(check_rows(&batch(), ordered).unwrap_err().block.len(), 23);
    }
}
