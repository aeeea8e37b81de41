//! Small systems of linear equations, in place.

use numeric::Real;

/// Replaces the matrix `a`, d×d in row-major order, by its triangular factors; `exchanged[j]` is the row that row j was
/// exchanged with.
///
/// A singular matrix is no error here: what [`solve`] makes of its factors is infinite or NaN.
pub(crate) fn factorise<F: Real>(a: &mut [F], exchanged: &mut [usize]) {
    let d = exchanged.len();
    for (j, exchanged) in exchanged.iter_mut().enumerate() {
        let pivot =
            (j..d).fold(j, |best, i| if a[i * d + j].abs() > a[best * d + j].abs() { i } else { best });
        *exchanged = pivot;
        if pivot != j {
            (0..d).for_each(|k| a.swap(j * d + k, pivot * d + k));
        }
        let (above, below) = a.split_at_mut((j + 1) * d);
        let above = &above[j * d..];
        for row in below.chunks_exact_mut(d) {
            let factor = row[j] / above[j];
            row[j] = factor;
            for (value, &above) in row[j + 1..].iter_mut().zip(&above[j + 1..]) {
                *value -= factor * above;
            }
        }
    }
}

/// Replaces b by the solution y of `a y = b`, from the factors of [`factorise`].
pub(crate) fn solve<F: Real>(factors: &[F], exchanged: &[usize], b: &mut [F]) {
    let d = b.len();
    for (j, &pivot) in exchanged.iter().enumerate() {
        b.swap(j, pivot);
    }
    for i in 1..d {
        for j in 0..i {
            let above = b[j];
            b[i] -= factors[i * d + j] * above;
        }
    }
    for j in (0..d).rev() {
        let known = (j + 1..d).map(|k| factors[j * d + k] * b[k]).sum::<F>();
        b[j] = (b[j] - known) / factors[j * d + j];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Matrices whose pivots are not on the diagonal, against the products that they came from.
    #[test]
    fn systems_are_solved_with_rows_exchanged() {
        for d in 1..8_usize {
            let entry = |i: usize, j: usize| {
                // Zero on the diagonal of the leading block, and a row of another scale.
                let scale = if i == 1 { 1e6 } else { 1.0 };
                if i == j && i + 1 < d { 0.0 } else { scale * ((3 * i + 5 * j * j + 1) as f64).sin() }
            };
            let y: Vec<f64> = (0..d).map(|j| 1.0 + (j as f64).cos()).collect();
            let mut b: Vec<f64> = (0..d).map(|i| (0..d).map(|j| entry(i, j) * y[j]).sum()).collect();
            let mut a: Vec<f64> = (0..d * d).map(|at| entry(at / d, at % d)).collect();
            let mut exchanged = vec![0; d];
            factorise(&mut a, &mut exchanged);
            solve(&a, &exchanged, &mut b);
            assert!(b.iter().zip(&y).all(|(b, y)| (b - y).abs() < 1e-12), "{d}: {b:?} for {y:?}");
        }
    }

    #[test]
    fn a_singular_matrix_gives_no_finite_solution() {
        for mut a in [vec![0.0], vec![1.0, 2.0, 2.0, 4.0], vec![0.0, 1.0, 0.0, 2.0], vec![0.0; 9]] {
            let d = a.len().isqrt();
            let (mut exchanged, mut b) = (vec![0; d], vec![1.0; d]);
            factorise(&mut a, &mut exchanged);
            solve(&a, &exchanged, &mut b);
            assert!(!b.iter().all(|b: &f64| b.is_finite()), "{b:?}");
        }
    }
}
