//! The embedded explicit pairs of orders 5 and 4.

use numeric::ndarray::ArrayRef2;
use numeric::stages::{self, RUN, Stage, scaled_squares};
use numeric::{Error, Real, Scratch, TimeGrid, VectorField, vectorize};

use super::adaptive::{Adaptive, Attempt, Tolerance};
use super::block::{Block, evaluate};
use super::piece::advance;
use super::tableau::{DOPRI5, TSIT5, Tableau};
use super::{OdeMethod, Visit};
use crate::Statistics;
use crate::apart::Apart;
use crate::sum::{add, in_chunks, part, part_mut};

/// The lengths of a step of all rows of a block.
#[derive(Clone, Copy)]
pub(super) enum Lengths<'a, F> {
    Same(F),
    Each(&'a Spread<F>),
}

/// The length of its row for each run of so many numbers of the state: read beside them, no matter how long rows are.
#[derive(Debug, Default)]
pub(super) struct Spread<F> {
    lengths: Apart<F>,
    /// [`RUN`] if rows consist of whole runs, else 1.
    run: usize,
}

impl<F: Real> Spread<F> {
    /// Of rows of d numbers with these lengths.
    pub(super) fn set(&mut self, d: usize, lengths: &[f64]) {
        self.run = if d.is_multiple_of(RUN) { RUN } else { 1 };
        let each = d / self.run;
        // Behind the stages and the four other arrays of a block.
        self.lengths.resize(lengths.len() * each, 11);
        for (spread, &h) in self.lengths.chunks_exact_mut(each).zip(lengths) {
            spread.fill(F::of(h));
        }
    }
}

/// `out = x + h Σ_j a_j k_j`. The increment is summed first, so that x is rounded once.
pub(super) fn combine<F: Real>(x: &[F], h: Lengths<'_, F>, a: &[f64], k: &[Apart<F>], out: &mut [F]) {
    let used = a.iter().zip(k).filter(|(a, _)| **a != 0.0).map(|(&a, k)| ([F::of(a), F::zero()], &**k));
    sums(x, h, used, out, None);
}

/// [`combine`] of the weights a and, over `begun`, `Σ_j b_j k_j`: a sum that waits for its last stage. Stages are read once for
/// both.
fn combine_and_begin<F: Real>(
    x: &[F],
    h: Lengths<'_, F>,
    [a, b]: [&[f64]; 2],
    k: &[Apart<F>],
    out: &mut [F],
    begun: &mut [F],
) {
    let weights = a.iter().zip(b).map(|(&a, &b)| [a, b]);
    let used = weights.zip(k).filter(|(weights, _)| *weights != [0.0; 2]);
    sums(x, h, used.map(|(weights, k)| (weights.map(F::of), &**k)), out, Some(begun));
}

/// [`stages::sums`] for lengths of any kind.
fn sums<'a, F: Real>(
    x: &[F],
    h: Lengths<'_, F>,
    used: impl Iterator<Item = Stage<'a, F>>,
    out: &mut [F],
    begun: Option<&mut [F]>,
) {
    let mut terms: [Stage<'_, F>; 6] = [([F::zero(); 2], &[]); 6];
    let count = terms.iter_mut().zip(used).map(|(term, used)| *term = used).count();
    if let Lengths::Each(Spread { lengths, run: RUN }) = h {
        return stages::sums(x, lengths, &terms[..count], out, begun);
    }
    match terms[..count] {
        [a] => sum_of(x, h, [a], out, begun),
        [a, b] => sum_of(x, h, [a, b], out, begun),
        [a, b, c] => sum_of(x, h, [a, b, c], out, begun),
        [a, b, c, e] => sum_of(x, h, [a, b, c, e], out, begun),
        [a, b, c, e, f] => sum_of(x, h, [a, b, c, e, f], out, begun),
        [a, b, c, e, f, g] => sum_of(x, h, [a, b, c, e, f, g], out, begun),
        _ => unreachable!("no method here sums none or more than six stages"),
    }
}

/// With the number of terms known to the compiler, the sums stay in registers.
fn sum_of<F: Real, const N: usize>(
    x: &[F],
    h: Lengths<'_, F>,
    terms: [Stage<'_, F>; N],
    out: &mut [F],
    mut begun: Option<&mut [F]>,
) {
    let len = out.len();
    vectorize(
        #[inline(always)]
        || {
            // Of one length that is known here, so that it is not asked for in each chunk.
            let (k, x, out): ([&[F]; N], _, _) = (terms.map(|(_, k)| &k[..len]), &x[..len], &mut out[..len]);
            let [a, b]: [[F; N]; 2] = [0, 1].map(|which| terms.map(|(weights, _)| weights[which]));
            match (h, &mut begun) {
                (Lengths::Each(h), Some(begun)) => {
                    let (h, begun) = (&h.lengths[..len], &mut begun[..len]);
                    in_chunks!(len, |i, C| {
                        let h: &[F; C] = part(h, i);
                        *part_mut(begun, i) = weighted::<F, N, C>(&b, &k, i);
                        *part_mut::<F, C>(out, i) = moved(part(x, i), |j| h[j], weighted(&a, &k, i));
                    });
                }
                (Lengths::Each(h), None) => {
                    let h = &h.lengths[..len];
                    in_chunks!(len, |i, C| {
                        let h: &[F; C] = part(h, i);
                        *part_mut::<F, C>(out, i) = moved(part(x, i), |j| h[j], weighted(&a, &k, i));
                    });
                }
                // Methods whose rows step together begin no sums.
                (Lengths::Same(h), _) => in_chunks!(len, |i, C| {
                    *part_mut::<F, C>(out, i) = moved(part(x, i), |_| h, weighted(&a, &k, i));
                }),
            }
        },
    );
}

/// `x + h sum`.
#[inline(always)]
fn moved<F: Real, const C: usize>(x: &[F; C], h: impl Fn(usize) -> F, mut sum: [F; C]) -> [F; C] {
    for (j, (sum, &x)) in sum.iter_mut().zip(x).enumerate() {
        *sum = x + h(j) * *sum;
    }
    sum
}

/// `Σ_j a_j k_j`: the C numbers from `from` on.
#[inline(always)]
fn weighted<F: Real, const N: usize, const C: usize>(a: &[F; N], k: &[&[F]; N], from: usize) -> [F; C] {
    let mut sums = [F::zero(); C];
    for (&a, k) in a.iter().zip(k) {
        add(&mut sums, a, part(k, from));
    }
    sums
}

/// The root mean square of each row of `h_r Σ_j a_j k_{j,r}`, relative to the tolerance for x and `end`.
pub(super) fn norms<F: Real>(
    tolerance: &Tolerance,
    states: [&[F]; 2],
    h: &[f64],
    stages: &[(F, &[F])],
    d: usize,
    out: &mut [f64],
) {
    scaled_squares(states, tolerance.both(), h, stages, d, out);
    vectorize(
        #[inline(always)]
        || out.iter_mut().for_each(|square| *square = (*square / d as f64).sqrt()),
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
            begun,
            ..
        } = block;
        let (last, step) = (self.c.len() - 1, Lengths::Each(spread));
        for i in 1..=last {
            let (known, new) = stages.split_at_mut(i);
            // The argument of the last stage is the state at the end of the step; the error is begun with it. Of the others, two
            // are summed together, but for the stage that only the second of them has.
            if i == last {
                combine_and_begin(x, step, [self.a[i], self.error], known, end, begun);
            } else if i % 2 == 0 {
                combine_and_begin(x, step, [self.a[i], self.a[i + 1]], known, inner, begun);
            } else if i == 1 {
                combine(x, step, self.a[i], known, inner);
            } else {
                let newest = ([F::of(self.a[i][i - 1]), F::zero()], &*known[i - 1]);
                sums(x, step, [([F::one(), F::zero()], &**begun), newest].into_iter(), inner, None);
            }
            let argument = if i == last { &*end } else { &*inner };
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
        let terms = [(F::one(), &**begun), (F::of(self.error[last]), &*stages[last])];
        norms(tolerance, [x, end], lengths, &terms, *d, errors);
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
