//! Cholesky factors of small symmetric matrices.

use crate::{Real, vectorize};

/// Rows eliminated together: each entry of the rest is read and written once for all of them.
const PANEL: usize = 4;

/// Replaces the lower triangle of a symmetric row-major d×d matrix by its Cholesky factor; whether it has one.
///
/// Of the matrix the upper triangle is read. What stands above the diagonal of the factor is of no use.
///
/// ```
/// let mut a = [4.0, 2.0, 2.0, 5.0];
/// assert!(numeric::cholesky(&mut a, 2));
/// assert_eq!((a[0], a[2], a[3]), (2.0, 1.0, 2.0));
/// assert!(!numeric::cholesky(&mut [1.0, 2.0, 2.0, 1.0], 2));
/// ```
///
/// # Complexity
/// d³/3 multiply-adds.
///
/// # References
/// Golub and Van Loan, *Matrix Computations*, section 4.2 (the outer product form).
///
/// # Panics
/// If `a` has not d² entries.
#[must_use]
pub fn cholesky<F: Real>(a: &mut [F], d: usize) -> bool {
    assert_eq!(a.len(), d * d, "the matrix has d rows of d entries");
    vectorize(
        #[inline(always)]
        || factorise(a, d),
    )
}

#[inline(always)]
fn factorise<F: Real>(a: &mut [F], d: usize) -> bool {
    // Right-looking on the upper triangle, whose rows are contiguous, then one transposition.
    for first in (0..d).step_by(PANEL) {
        let end = d.min(first + PANEL);
        let (above, below) = a.split_at_mut(end * d);
        let panel = &mut above[first * d..];
        for k in first..end {
            let (done, rest) = panel.split_at_mut((k - first + 1) * d);
            let row = &mut done[(k - first) * d..];
            let pivot = row[k];
            if !(pivot > F::zero() && pivot.is_finite()) {
                return false;
            }
            let inverse = F::one() / pivot.sqrt();
            for x in &mut row[k..] {
                *x *= inverse;
            }
            for (i, other) in (k + 1..end).zip(rest.chunks_exact_mut(d)) {
                let factor = row[i];
                for (x, &p) in other[i..].iter_mut().zip(&row[i..]) {
                    *x -= factor * p;
                }
            }
        }
        if end - first < PANEL {
            break;
        }
        let rows: [&[F]; PANEL] = std::array::from_fn(|q| &panel[q * d..][..d]);
        for (i, other) in (end..d).zip(below.chunks_exact_mut(d)) {
            let factors = rows.map(|row| row[i]);
            // From a multiple of 8 on, so that most rows are whole vectors; what stands left of the diagonal is
            // not used again.
            let start = i / 8 * 8;
            let [r0, r1, r2, r3] = rows.map(|row| &row[start..d]);
            for ((((x, &p0), &p1), &p2), &p3) in other[start..d].iter_mut().zip(r0).zip(r1).zip(r2).zip(r3) {
                *x -= (factors[0] * p0 + factors[1] * p1) + (factors[2] * p2 + factors[3] * p3);
            }
        }
    }
    for i in 0..d {
        for j in 0..i {
            a[i * d + j] = a[j * d + i];
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::cholesky;

    #[test]
    fn the_factor_squares_to_the_matrix_and_indefinite_ones_are_refused() {
        for d in 1..=20 {
            let b: Vec<f64> = (0..d * d).map(|i| ((i * 37) % 11) as f64 - 4.0).collect();
            let entry = |i: usize, j: usize| (0..d).map(|k| b[i * d + k] * b[j * d + k]).sum::<f64>();
            let matrix: Vec<f64> =
                (0..d * d).map(|i| entry(i / d, i % d) + f64::from(u8::from(i / d == i % d))).collect();
            let mut l = matrix.clone();
            assert!(cholesky(&mut l, d), "{d}");
            for i in 0..d {
                for j in 0..=i {
                    let product: f64 = (0..=j).map(|k| l[i * d + k] * l[j * d + k]).sum();
                    assert!((product - matrix[i * d + j]).abs() < 1e-11, "{d}: {i}, {j}");
                }
            }
            for bad in [-1.0, f64::NAN, f64::INFINITY] {
                let mut matrix = matrix.clone();
                matrix[d * d - 1] = bad;
                assert!(!cholesky(&mut matrix, d), "{d}: {bad}");
            }
        }
        assert!(!cholesky(&mut [0.0_f64], 1) && !cholesky(&mut [f64::INFINITY, 1.0, 1.0, 2.0], 2));
        assert!(cholesky::<f64>(&mut [], 0));
    }
}
