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
use crate::sum::{CHUNK, along_row, in_chunks, part, part_mut, row_of, total};

/// The lengths of a step of all rows of a block.
#[derive(Clone, Copy)]
pub(super) enum Lengths<'a, F> {
    Same(F),
    /// The length of its row for each number of the state: read beside it, no matter how long rows are.
    Each(&'a [F]),
}

/// `out = x + h Σ_j a_j k_j`. The increment is summed first, so that x is rounded once.
pub(super) fn combine<F: Real>(x: &[F], h: Lengths<'_, F>, a: &[f64], k: &[Vec<F>], out: &mut [F]) {
    let mut used: [(F, &[F]); 6] = [(F::zero(), &[]); 6];
    let mut count = 0;
    for (&a, k) in a.iter().zip(k).filter(|(a, _)| **a != 0.0) {
        used[count] = (F::of(a), k);
        count += 1;
    }
    match used[..count] {
        [a] => sum_of(x, h, [a], out),
        [a, b] => sum_of(x, h, [a, b], out),
        [a, b, c] => sum_of(x, h, [a, b, c], out),
        [a, b, c, e] => sum_of(x, h, [a, b, c, e], out),
        [a, b, c, e, f] => sum_of(x, h, [a, b, c, e, f], out),
        [a, b, c, e, f, g] => sum_of(x, h, [a, b, c, e, f, g], out),
        _ => unreachable!("no method here sums none or more than six stages"),
    }
}

/// With the number of terms known to the compiler, the sum stays in registers.
fn sum_of<F: Real, const N: usize>(x: &[F], h: Lengths<'_, F>, terms: [(F, &[F]); N], out: &mut [F]) {
    let len = out.len();
    // Of one length that is known, so that it is not asked for in each chunk.
    let (a, k, x) = (terms.map(|(a, _)| a), terms.map(|(_, k)| &k[..len]), &x[..len]);
    vectorize(
        #[inline(always)]
        || match h {
            Lengths::Each(h) => {
                let h = &h[..len];
                in_chunks!(len, |i, C| {
                    let (mut sum, x, h): ([F; C], &[F; C], &[F; C]) =
                        (weighted(&a, &k, i), part(x, i), part(h, i));
                    for ((sum, &x), &h) in sum.iter_mut().zip(x).zip(h) {
                        *sum = x + h * *sum;
                    }
                    *part_mut(out, i) = sum;
                });
            }
            Lengths::Same(h) => in_chunks!(len, |i, C| {
                let (mut sum, x): ([F; C], &[F; C]) = (weighted(&a, &k, i), part(x, i));
                for (sum, &x) in sum.iter_mut().zip(x) {
                    *sum = x + h * *sum;
                }
                *part_mut(out, i) = sum;
            }),
        },
    );
}

/// `Σ_j a_j k_j`: the C numbers from `from` on.
#[inline(always)]
fn weighted<F: Real, const N: usize, const C: usize>(a: &[F; N], k: &[&[F]; N], from: usize) -> [F; C] {
    let mut sums = [F::zero(); C];
    for (j, (&a, k)) in a.iter().zip(k).enumerate() {
        let k: &[F; C] = part(k, from);
        for (sum, &k) in sums.iter_mut().zip(k) {
            *sum = if j == 0 { a * k } else { *sum + a * k };
        }
    }
    sums
}

/// The root mean square of each row of `h_r Σ_j a_j k_{j,r}`, relative to the tolerance for x and `end`.
pub(super) fn norms<F: Real, const N: usize>(
    tolerance: &Tolerance,
    [x, end]: [&[F]; 2],
    h: &[f64],
    (a, k): ([F; N], [&[F]; N]),
    d: usize,
    out: &mut [f64],
) {
    let share = tolerance.share();
    vectorize(
        #[inline(always)]
        || {
            for (r, (out, &h)) in out.iter_mut().zip(h).enumerate() {
                let h = F::of(h);
                let (k, [x, end]) = (row_of(&k, r, d), row_of(&[x, end], r, d));
                // Numbers behind the last chunk, which are few, all go to the first lane.
                let mut lanes = [F::zero(); CHUNK];
                along_row!(d, |from, C| {
                    let (sums, x, end): ([F; C], &[F; C], &[F; C]) =
                        (weighted(&a, &k, from), part(x, from), part(end, from));
                    for j in 0..C {
                        let share = share(h * sums[j], x[j], end[j]);
                        lanes[j] += share * share;
                    }
                });
                *out = (total(lanes).as_f64() / d as f64).sqrt();
            }
        },
    );
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

    fn attempt(
        &self,
        field: &V,
        tolerance: &Tolerance,
        block: &mut Block<F>,
        scratch: &mut Scratch,
    ) -> Result<u64, Error> {
        let Block {
            d,
            rows,
            times,
            lengths,
            targets,
            x,
            end,
            stages,
            errors,
            inner,
            stage_times,
            spread,
            ..
        } = block;
        let last = self.c.len() - 1;
        for i in 1..=last {
            let (known, new) = stages.split_at_mut(i);
            // The argument of the last stage is the state at the end of the step.
            let argument = if i == last { &mut *end } else { &mut *inner };
            combine(x, Lengths::Each(spread), self.a[i], known, argument);
            let at = if self.c[i] == 1.0 {
                &*targets
            } else {
                for ((stage, &time), &h) in stage_times.iter_mut().zip(&*times).zip(&*lengths) {
                    *stage = advance(time, self.c[i] * h);
                }
                &*stage_times
            };
            evaluate(field, rows, at, argument, &mut new[0], scratch)?;
        }
        // Both pairs have seven stages.
        let terms: ([F; 7], [&[F]; 7]) = (from_fn(|j| F::of(self.error[j])), from_fn(|j| &*stages[j]));
        norms(tolerance, [x, end], lengths, terms, *d, errors);
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
                visit: Option<&mut Visit<'_, F>>,
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
