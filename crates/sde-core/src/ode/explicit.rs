//! The embedded explicit pairs of orders 5 and 4.

use std::array::from_fn;

use numeric::ndarray::ArrayRef2;
use numeric::{Error, Real, Scratch, TimeGrid, VectorField, vectorize};

use super::adaptive::{Adaptive, Attempt, Tolerance};
use super::block::{Block, evaluate};
use super::piece::advance;
use super::tableau::{DOPRI5, TSIT5, Tableau};
use super::{OdeMethod, Visit};
use crate::Statistics;
use crate::sum::{part, part_mut};

/// `out_r = x_r + h_r Σ_j a_j k_{j,r}` for rows of d numbers.
pub(super) fn combine<F: Real>(x: &[F], h: &[f64], a: &[f64], k: &[Vec<F>], d: usize, out: &mut [F]) {
    sum(Some(x), h, a, k, d, out);
}

/// As [`combine`], with 0 for x if there is none.
fn sum<F: Real>(x: Option<&[F]>, h: &[f64], a: &[f64], k: &[Vec<F>], d: usize, out: &mut [F]) {
    let mut used: [(F, &[F]); 7] = [(F::zero(), &[]); 7];
    let mut count = 0;
    for (&a, k) in a.iter().zip(k).filter(|(a, _)| **a != 0.0) {
        used[count] = (F::of(a), k);
        count += 1;
    }
    match used[..count] {
        [] => match x {
            Some(x) => out.copy_from_slice(x),
            None => out.fill(F::zero()),
        },
        [a] => sum_of(x, h, [a], d, out),
        [a, b] => sum_of(x, h, [a, b], d, out),
        [a, b, c] => sum_of(x, h, [a, b, c], d, out),
        [a, b, c, e] => sum_of(x, h, [a, b, c, e], d, out),
        [a, b, c, e, f] => sum_of(x, h, [a, b, c, e, f], d, out),
        [a, b, c, e, f, g] => sum_of(x, h, [a, b, c, e, f, g], d, out),
        [a, b, c, e, f, g, i] => sum_of(x, h, [a, b, c, e, f, g, i], d, out),
        _ => unreachable!("no method here has more than seven stages"),
    }
}

/// Coordinates of a row summed together, in local arrays: the compiler then need not ask which slices overlap. Few, since
/// rows are short.
const CHUNK: usize = 16;

/// With the number of terms known to the compiler, the sum stays in registers.
fn sum_of<F: Real, const N: usize>(
    x: Option<&[F]>,
    h: &[f64],
    terms: [(F, &[F]); N],
    d: usize,
    out: &mut [F],
) {
    vectorize(
        #[inline(always)]
        || {
            for (r, &h) in h.iter().enumerate() {
                let h = F::of(h);
                // Of one length that is known, so that it is not asked for in each chunk.
                let (row, out) = (r * d..(r + 1) * d, &mut out[r * d..][..d]);
                let terms: [(F, &[F]); N] = from_fn(|j| (terms[j].0, &terms[j].1[row.clone()]));
                let x = x.map(|x| &x[row]);
                let mut from = 0;
                while d - from >= CHUNK {
                    sum_at::<F, N, CHUNK>(x, h, &terms, from, out);
                    from += CHUNK;
                }
                while from < d {
                    sum_at::<F, N, 1>(x, h, &terms, from, out);
                    from += 1;
                }
            }
        },
    );
}

/// The C numbers from `from` on.
#[inline(always)]
fn sum_at<F: Real, const N: usize, const C: usize>(
    x: Option<&[F]>,
    h: F,
    terms: &[(F, &[F]); N],
    from: usize,
    out: &mut [F],
) {
    let mut sums = [F::zero(); C];
    for (j, (a, k)) in terms.iter().enumerate() {
        let k: &[F; C] = part(k, from);
        for (sum, &k) in sums.iter_mut().zip(k) {
            *sum = if j == 0 { *a * k } else { *sum + *a * k };
        }
    }
    match x {
        Some(x) => {
            let x: &[F; C] = part(x, from);
            for i in 0..C {
                sums[i] = x[i] + h * sums[i];
            }
        }
        None => sums.iter_mut().for_each(|sum| *sum = h * *sum),
    }
    *part_mut(out, from) = sums;
}

impl<F: Real, V: VectorField<F>> Attempt<F, V> for Tableau {
    fn stages(&self) -> usize {
        self.c.len()
    }

    fn error_order(&self) -> f64 {
        5.0
    }

    fn bend(&self) -> &'static [f64] {
        self.bend
    }

    fn attempt(&self, field: &V, block: &mut Block<F>, scratch: &mut Scratch) -> Result<u64, Error> {
        let Block { d, rows, times, lengths, targets, x, end, stages, error, inner, stage_times, .. } = block;
        let last = self.c.len() - 1;
        for i in 1..=last {
            let (known, new) = stages.split_at_mut(i);
            // The argument of the last stage is the state at the end of the step.
            let argument = if i == last { &mut *end } else { &mut *inner };
            combine(x, lengths, self.a[i], known, *d, argument);
            for (r, time) in stage_times.iter_mut().enumerate() {
                *time = if self.c[i] == 1.0 { targets[r] } else { advance(times[r], self.c[i] * lengths[r]) };
            }
            evaluate(field, rows, stage_times, argument, &mut new[0], scratch)?;
        }
        sum(None, lengths, self.error, stages, *d, error);
        Ok((last * rows.len()) as u64)
    }
}

macro_rules! pair {
    ($(#[$doc:meta])* $name:ident, $label:literal, $tableau:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub struct $name {
            tolerance: Tolerance,
        }

        impl $name {
            /// The method with a relative and an absolute tolerance, and everything else as in [`Tolerance::new`].
            ///
            /// # Errors
            /// As [`Tolerance::new`].
            pub fn new(rtol: f64, atol: f64) -> Result<$name, Error> {
                Ok($name { tolerance: Tolerance::new(rtol, atol)? })
            }

            /// The method with these tolerances and limits.
            #[must_use]
            pub fn with(tolerance: Tolerance) -> $name {
                $name { tolerance }
            }
        }

        impl<F: Real, V: VectorField<F>> OdeMethod<F, V> for $name {
            fn name(&self) -> &'static str {
                $label
            }
            fn order(&self) -> usize {
                5
            }
            fn dense(&self) -> bool {
                true
            }
            fn integrate(
                &self,
                field: &V,
                grid: &TimeGrid,
                rows: &[u64],
                x: &mut ArrayRef2<F>,
                visit: &mut Visit<'_, F>,
                scratch: &mut Scratch,
            ) -> Result<Statistics, Error> {
                let solver = Adaptive { method: &$tableau, tolerance: &self.tolerance, field, grid };
                solver.integrate($label, rows, x, visit, scratch)
            }
        }
    };
}

pair! {
    /// The explicit pair of orders 5 and 4 of Tsitouras: the method to start with.
    ///
    /// Each row has its own time and step size, from the controller of [`Tolerance`].
    ///
    /// # Convergence
    /// Order 5 in the step; the global error follows the tolerance. Dense output of order 4.
    /// # Complexity
    /// Six evaluations per step that is tried; two more at the start.
    ///
    /// ```
    /// use numeric::{Control, TimeGrid, from_row_fn};
    /// use sde_core::{Keep, Start, ode::{OdeSolver, Tsit5}};
    /// // dx/dt = −2 t x backwards from t = 1: x(0) = x(1) e.
    /// let field = from_row_fn(1, |time, x, out: &mut [f64]| { out[0] = -2.0 * time.t * x[0]; Ok(()) });
    /// let solver =
    ///     OdeSolver { field, method: Tsit5::new(1e-10, 1e-10)?, grid: TimeGrid::uniform(1.0, 0.0, 1)? };
    /// let run = solver.run(Start::Point(&[1.0]), Keep::Last, 0..1, Control::default())?;
    /// assert!((run.states[(0, 0, 0)] - 1.0_f64.exp()).abs() < 1e-8);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # References
    /// Tsitouras (2011), *Runge–Kutta pairs of order 5(4) satisfying only the first column simplifying assumption*.
    Tsit5, "Tsit5", TSIT5
}

pair! {
    /// The explicit pair of orders 5 and 4 of Dormand and Prince: the one of most other libraries.
    ///
    /// # Convergence
    /// As [`Tsit5`], with somewhat larger errors for the same steps.
    /// # Complexity
    /// Six evaluations per step that is tried; two more at the start.
    ///
    /// ```
    /// use numeric::{Control, TimeGrid, from_row_fn};
    /// use sde_core::{Keep, Start, ode::{Dopri5, OdeSolver}};
    /// let field = from_row_fn(1, |_, x, out: &mut [f64]| { out[0] = x[0] * (1.0 - x[0]); Ok(()) });
    /// let solver =
    ///     OdeSolver { field, method: Dopri5::new(1e-10, 1e-10)?, grid: TimeGrid::uniform(0.0, 3.0, 1)? };
    /// let run = solver.run(Start::Point(&[0.5]), Keep::Last, 0..1, Control::default())?;
    /// assert!((run.states[(0, 0, 0)] - 1.0 / (1.0 + (-3.0_f64).exp())).abs() < 1e-9);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # References
    /// Dormand, Prince (1980), *A family of embedded Runge–Kutta formulae*. Dense output: Hairer, Nørsett, Wanner
    /// (1993), *Solving ordinary differential equations I*, section II.6.
    Dopri5, "Dopri5", DOPRI5
}
