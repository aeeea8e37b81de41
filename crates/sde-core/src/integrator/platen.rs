//! A method for laws.

use numeric::ndarray::{Array2, ArrayRef2};
use numeric::{Error, Real, Scratch, vectorize};

use super::{Integrator, Orders, SdeStep, add, stage, two_sums};
use crate::sde::coefficients::{slice, slice_mut};
use crate::sde::{put_ones, put_rows, take_ones, take_rows};
use crate::sum::{Sum, Target, in_chunks, part, part_mut};
use crate::{NoiseClass, Reading, Sde};

/// Platen's explicit method of weak order 2, for any noise.
///
/// With `R̄_j^± = X + f h ± g_j √h`, `Ū_j^± = X ± g_j √h` and `Ῡ = X + f h + g W`:
///
/// ```math
/// \begin{aligned}
/// X' = X &+ \tfrac12 \bigl( f(Ῡ) + f \bigr) h
/// + \tfrac14 \sum_j \Bigl[ \bigl( g_j(\bar R_j^+) + g_j(\bar R_j^-) + 2 g_j \bigr) W^j
/// + \sum_{r \ne j} \bigl( g_j(\bar U_r^+) + g_j(\bar U_r^-) - 2 g_j \bigr) W^j \Bigr] \\
/// &+ \tfrac{1}{4 \sqrt h} \sum_j \Bigl[ \bigl( g_j(\bar R_j^+) - g_j(\bar R_j^-) \bigr) \bigl( (W^j)^2 - h \bigr)
/// + \sum_{r \ne j} \bigl( g_j(\bar U_r^+) - g_j(\bar U_r^-) \bigr) \bigl( W^j W^r + V_{rj} \bigr) \Bigr],
/// \end{aligned}
/// ```
///
/// where `V_rj = −V_jr` are independent and ±h with equal probability: they stand for the Lévy areas, in law.
///
/// ```
/// use numeric::{Noise, TimeGrid};
/// use sde_core::{GeometricBrownian, Keep, Solver, Start, integrator::PlatenWeak2};
/// let sde = GeometricBrownian::new(1, 1.0, 0.2)?;
/// let solver = Solver::new(sde, PlatenWeak2, TimeGrid::uniform(0.0, 1.0, 8)?)?;
/// let run = solver.run(Start::Point(&[1.0]), Keep::Last, 0..10_000, Noise::new(1), Default::default())?;
/// // Each step multiplies the mean by 1 + h + h²/2, e to second order; the standard error is 0.0055.
/// let mean: f64 = run.states.sum() / 1e4;
/// assert!((mean - (1.0 + 0.125 + 0.125_f64.powi(2) / 2.0).powi(8)).abs() < 0.025);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # Convergence
/// Itô; weak order 2 for every class of noise. Strong order 1 where the columns commute, ½ for general noise: the V's
/// are not the areas of the path.
///
/// # Randomness
/// A uniform per pair of motions and step, from the stream "extra"; the increments are Gaussian.
///
/// # Complexity
/// Two drifts and 5m + 1 products with the diffusion per step; 4 for scalar, diagonal and additive noise, where the
/// columns do not see each other's motion.
///
/// # References
/// Kloeden, Platen (1992), Numerical solution of stochastic differential equations, section 15.1, (15.1.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlatenWeak2;

impl<F: Real> Integrator<F> for PlatenWeak2 {
    fn name(&self) -> &'static str {
        "PlatenWeak2"
    }
    fn reading(&self) -> Option<Reading> {
        Some(Reading::Ito)
    }
    fn orders(&self, noise: NoiseClass) -> Option<Orders> {
        let strong = if noise == NoiseClass::General { 0.5 } else { 1.0 };
        Some(Orders { strong, weak: 2.0 })
    }
    fn calls(&self) -> usize {
        2
    }
    fn step(
        &self,
        sde: &dyn Sde<F>,
        step: SdeStep<'_, F>,
        x: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        let (n, m) = step.w.dim();
        let (h, root) = (step.length, step.length.sqrt());
        let pairs = sde.noise_class() >= NoiseClass::Commutative;
        let [mut f, mut f_end, mut g, mut at, mut column] = take_rows::<F, 5>(scratch, x.dim());
        let [mut plus, mut minus] = take_rows::<F, 2>(scratch, x.dim());
        let [mut unit, mut w] = take_rows::<F, 2>(scratch, (n, m));

        sde.drift_into(&step.batch(x), &mut f, scratch)?;
        sde.diffuse_into(&step.batch(x), step.w, &mut g, scratch)?;
        stage(&mut at, x, (h, &f), (1.0, &g));
        sde.drift_into(&step.batch_at(1.0, &at), &mut f_end, scratch)?;
        // The terms of 2 g_j W^j, once with a plus and m − 1 times with a minus.
        let net = if pairs { 0.5 * (2.0 - m as f64) } else { 0.5 };
        let known = [(net, &*g), (0.5 * h, &*f), (0.5 * h, &*f_end)];
        if !pairs {
            // The columns do not see each other's motion: all of them at once.
            let ones = take_ones(scratch, (n, m));
            sde.diffuse_into(&step.batch(x), &ones, &mut column, scratch)?;
            put_ones(scratch, ones);
            two_sums([&mut at, &mut minus], x, [[h, root], [h, -root]], [&f, &column]);
            own_weights(&step, [&mut w, &mut unit]);
            sde.diffuse_into(&step.batch_at(1.0, &at), &w, &mut plus, scratch)?;
            // The first of the stages is not used again.
            std::mem::swap(&mut at, &mut minus);
            sde.diffuse_into(&step.batch_at(1.0, &at), &unit, &mut minus, scratch)?;
            let [a, b, c] = known;
            let terms = [a, b, c, (1.0, &*plus), (1.0, &*minus)];
            Sum::new(1.0, 1.0, &terms).write(Target::InPlace(slice_mut(x)));
        } else {
            let [mut signs] = take_rows::<F, 1>(scratch, (n, m * m));
            self.signs_into(&step, m, &mut signs);
            let (sum, value) = (&mut plus, &mut minus);
            Sum::new(0.0, 1.0, &known).write(Target::Into { x: slice(x), out: slice_mut(sum) });
            for r in 0..m {
                unit.fill(F::zero());
                unit.column_mut(r).fill(F::one());
                sde.diffuse_into(&step.batch(x), &unit, &mut column, scratch)?;
                for sign in [1.0, -1.0] {
                    stage(&mut at, x, (h, &f), (sign * root, &column));
                    w.fill(F::zero());
                    let weight = own_weight(step.length, sign / root);
                    w.column_mut(r).zip_mut_with(&step.w.column(r), |out, &w| *out = weight(w));
                    sde.diffuse_into(&step.batch_at(1.0, &at), &w, value, scratch)?;
                    add(sum, 1.0, value);
                    if m > 1 {
                        at.assign(x);
                        add(&mut at, sign * root, &column);
                        pair_weights(&step, r, sign / root, &signs, &mut w);
                        sde.diffuse_into(&step.batch(&at), &w, value, scratch)?;
                        add(sum, 1.0, value);
                    }
                }
            }
            add(x, 1.0, sum);
            put_rows(scratch, [signs]);
        }
        put_rows(scratch, [f, f_end, g, at, column]);
        put_rows(scratch, [plus, minus]);
        put_rows(scratch, [unit, w]);
        Ok(())
    }
}

impl PlatenWeak2 {
    /// The signs of `V_jk` for all pairs of each row, antisymmetric.
    fn signs_into<F: Real>(&self, step: &SdeStep<'_, F>, m: usize, signs: &mut Array2<F>) {
        step.extra.uniforms_into(step.rows, step.index, signs);
        for mut signs in signs.rows_mut() {
            for j in 0..m {
                for k in j + 1..m {
                    let sign = if signs[j * m + k] < F::of(0.5) { F::one() } else { -F::one() };
                    (signs[j * m + k], signs[k * m + j]) = (sign, -sign);
                }
            }
        }
    }
}

/// `W ↦ ¼ (W ± (W² − h)/√h)`.
fn own_weight<F: Real>(h: f64, scale: f64) -> impl Fn(F) -> F {
    let (h, scale, quarter) = (F::of(h), F::of(scale), F::of(0.25));
    #[inline(always)]
    move |w| quarter * (w + scale * (w * w - h))
}

/// `w_j = ¼ (W^j ± ((W^j)² − h)/√h)`, with either sign.
fn own_weights<F: Real>(step: &SdeStep<'_, F>, [plus, minus]: [&mut Array2<F>; 2]) {
    let scale = 1.0 / step.length.sqrt();
    let (above, below) = (own_weight(step.length, scale), own_weight(step.length, -scale));
    let (plus, minus, w) = (slice_mut(plus), slice_mut(minus), slice(step.w));
    let len = w.len();
    let (plus, minus) = (&mut plus[..len], &mut minus[..len]);
    vectorize(
        #[inline(always)]
        || {
            in_chunks!(len, |i, C| {
                let w: &[F; C] = part(w, i);
                let mut weights = [*w; 2];
                let [first, second] = &mut weights;
                for ((first, second), &w) in first.iter_mut().zip(second).zip(w) {
                    (*first, *second) = (above(w), below(w));
                }
                [*part_mut(plus, i), *part_mut(minus, i)] = weights;
            });
        },
    );
}

/// `w_j = ¼ (W^j ± (W^j W^r + V_rj)/√h)` for j ≠ r, and 0 for r.
fn pair_weights<F: Real>(
    step: &SdeStep<'_, F>,
    r: usize,
    scale: f64,
    signs: &Array2<F>,
    out: &mut Array2<F>,
) {
    let (m, h, scale, quarter) = (step.w.ncols(), F::of(step.length), F::of(scale), F::of(0.25));
    for ((mut out, w), signs) in out.rows_mut().into_iter().zip(step.w.rows()).zip(signs.rows()) {
        for (j, out) in out.iter_mut().enumerate() {
            *out = if j == r {
                F::zero()
            } else {
                quarter * (w[j] + scale * (w[j] * w[r] + h * signs[r * m + j]))
            };
        }
    }
}
