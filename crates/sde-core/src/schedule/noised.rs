//! Noising rows along a process.

use std::ops::Range;

use numeric::ndarray::{Array2, ArrayRef2, ArrayViewMut2};
use numeric::{Batching, Control, Error, Noise, Real, Time, fill_rows};

use super::LinearProcess;

/// The rows `x` of time `from` noised to the time `to`: a draw from [`transition`](LinearProcess::transition) for each.
///
/// Row `i` of `x`, `(n, d)`, is absolute row `rows.start + i`. To edit data, noise them to a time and run a
/// [`Sampler`](crate::Sampler) back from there, with [`Start::Rows`](crate::Start).
///
/// ```
/// use numeric::{Noise, Time, ndarray::Array2};
/// use sde_core::{Ou, noised};
/// let data = Array2::<f64>::from_elem((20_000, 1), 3.0);
/// let x = noised(&Ou, &data, Time::of(0.0), Time::of(0.5), 0..20_000, Noise::new(1))?;
/// // Mean and variance, within five standard errors.
/// assert!((x.mean().unwrap() - 3.0 * (-0.5_f64).exp()).abs() < 5.0 * 0.0057);
/// assert!((x.var(0.0) - (1.0 - (-1.0_f64).exp())).abs() < 5.0 * 0.0064);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # Randomness
/// d normals per row, step 0 of `noise`.
///
/// # Errors
/// [`Error::Shape`] if `x` does not have one row for each of `rows`; those of
/// [`transition`](LinearProcess::transition).
///
/// # Panics
/// Never by itself.
pub fn noised<F: Real>(
    process: &(impl LinearProcess + ?Sized),
    x: &ArrayRef2<F>,
    from: Time,
    to: Time,
    rows: Range<u64>,
    noise: Noise,
) -> Result<Array2<F>, Error> {
    let d = x.ncols();
    Error::shape(
        "x",
        &[usize::try_from(rows.end.saturating_sub(rows.start)).unwrap_or(usize::MAX), d],
        x.shape(),
    )?;
    let (factor, std) = process.transition(from, to)?;
    let (factor, std) = (F::of(factor), F::of(std));
    let first = rows.start;
    let mut out = Array2::zeros((x.nrows(), d));
    let slice = out.as_slice_mut().expect("made in standard layout");
    fill_rows(rows, d, Batching::default(), Control::default(), slice, |rows, out, _| {
        let rows: Vec<u64> = rows.collect();
        let mut out = ArrayViewMut2::from_shape((rows.len(), d), out).expect("whole rows");
        noise.normals_into(&rows, 0, &mut out);
        for (mut out, &row) in out.rows_mut().into_iter().zip(&rows) {
            out.zip_mut_with(&x.row((row - first) as usize), |z, &x| *z = factor * x + std * *z);
        }
        Ok(())
    })?;
    Ok(out)
}
