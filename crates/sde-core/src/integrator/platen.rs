//! A method for laws.

use std::cmp::Ordering;

use numeric::ndarray::{Array2, ArrayRef2};
use numeric::{Error, Real, Scratch, transposed, vectorize};

use super::{Integrator, Orders, SdeStep, fill_unit, pair, stage, two_sums};
use crate::lanes::LANES;
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
    ) -> Result<u64, Error> {
        let (n, m) = step.w.dim();
        let (h, root) = (step.length, step.length.sqrt());
        let pairs = sde.noise_class() >= NoiseClass::Commutative;
        let [mut f, mut f_end, mut g, mut column] = take_rows::<F, 4>(scratch, x.dim());
        let mut stages = take_rows::<F, 2>(scratch, x.dim());

        sde.drift_into(&step.batch(x), &mut f, scratch)?;
        sde.diffuse_into(&step.batch(x), step.w, &mut g, scratch)?;
        stage(&mut stages[0], x, (h, &f), (1.0, &g));
        sde.drift_into(&step.batch_at(1.0, &stages[0]), &mut f_end, scratch)?;
        // The terms of 2 g_j W^j, once with a plus and m − 1 times with a minus.
        let net = if pairs { 0.5 * (2.0 - m as f64) } else { 0.5 };
        let known = Sum::of_x(1.0).and(net, &g).and(0.5 * h, &f).and(0.5 * h, &f_end);
        let above_and_below = [[h, root], [h, -root]];
        if !pairs {
            // The columns do not see each other's motion: all of them at once.
            let [mut plus] = take_rows::<F, 1>(scratch, x.dim());
            let mut own = take_rows::<F, 2>(scratch, (n, m));
            let ones = take_ones(scratch, (n, m));
            sde.diffuse_into(&step.batch(x), &ones, &mut column, scratch)?;
            put_ones(scratch, ones);
            let [above, below] = &mut stages;
            two_sums([above, below], x, above_and_below, [&f, &column]);
            own_weights(&step, &mut own);
            sde.diffuse_into(&step.batch_at(1.0, &stages[0]), &own[0], &mut plus, scratch)?;
            // The first of the stages is not used again.
            let [minus, below] = &mut stages;
            sde.diffuse_into(&step.batch_at(1.0, below), &own[1], minus, scratch)?;
            known.and(1.0, &plus).and(1.0, minus).write(Target::InPlace(slice_mut(x)));
            put_rows(scratch, [plus]);
            put_rows(scratch, own);
        } else {
            let [mut unit] = take_rows::<F, 1>(scratch, (n, m));
            let [mut uniforms] = take_rows::<F, 1>(scratch, (n, m * (m - 1) / 2));
            let [mut sum] = take_rows::<F, 1>(scratch, x.dim());
            let mut weights = take_rows::<F, 4>(scratch, (n, m));
            let mut values = take_rows::<F, 4>(scratch, x.dim());
            step.extra.uniforms_into(step.rows, step.index, &mut uniforms);
            known.write(Target::Into { x: slice(x), out: slice_mut(&mut sum) });
            for r in 0..m {
                fill_unit(&mut unit, r);
                sde.diffuse_into(&step.batch(x), &unit, &mut column, scratch)?;
                weights_of_column(r, &step, &uniforms, &mut weights);
                let [above, below] = &mut stages;
                two_sums([above, below], x, above_and_below, [&f, &column]);
                for ((at, weights), value) in stages.iter().zip(&weights).zip(&mut values) {
                    sde.diffuse_into(&step.batch_at(1.0, at), weights, value, scratch)?;
                }
                if m > 1 {
                    let [above, below] = &mut stages;
                    two_sums([above, below], x, [[root], [-root]], [&column]);
                    for ((at, weights), value) in stages.iter().zip(&weights[2..]).zip(&mut values[2..]) {
                        sde.diffuse_into(&step.batch(at), weights, value, scratch)?;
                    }
                }
                let used = if m > 1 { &values[..] } else { &values[..2] };
                let terms = used.iter().fold(Sum::of_x(1.0), |terms, value| terms.and(1.0, value));
                terms.write(Target::InPlace(slice_mut(&mut sum)));
            }
            x.assign(&sum);
            put_rows(scratch, [unit]);
            put_rows(scratch, [uniforms]);
            put_rows(scratch, [sum]);
            put_rows(scratch, weights);
            put_rows(scratch, values);
        }
        put_rows(scratch, [f, f_end, g, column]);
        put_rows(scratch, stages);
        Ok(step.evaluations(Integrator::<F>::calls(self)))
    }
}

/// `¼ (W^j ± ((W^j)² − h)/√h)`, with either sign.
fn own_weights<F: Real>(step: &SdeStep<'_, F>, [plus, minus]: &mut [Array2<F>; 2]) {
    let factors = Factors::new(step.length);
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
                    [*first, *second] = factors.signed(w, w, -factors.h);
                }
                [*part_mut(plus, i), *part_mut(minus, i)] = weights;
            });
        },
    );
}

/// Of column r, with either sign: `¼ (W^r ± ((W^r)² − h)/√h)` at r and 0 elsewhere, then `¼ (W^j ± (W^j W^r + V_rj)/√h)`
/// at each j ≠ r and 0 at r. The signs of `V_rj = −V_jr` are those of the uniforms of the pairs, less ½.
fn weights_of_column<F: Real>(
    r: usize,
    step: &SdeStep<'_, F>,
    uniforms: &Array2<F>,
    weights: &mut [Array2<F>; 4],
) {
    let (m, w, uniforms) = (step.w.ncols(), slice(step.w), slice(uniforms));
    let [a, b, c, d] = weights;
    let mut out = [slice_mut(a), slice_mut(b), slice_mut(c), slice_mut(d)];
    let factors = Factors::new(step.length);
    vectorize(
        #[inline(always)]
        || match m {
            2 => factors.narrow::<2, 1>(r, w, uniforms, &mut out),
            3 => factors.narrow::<3, 3>(r, w, uniforms, &mut out),
            _ => factors.wide(r, m, w, uniforms, &mut out),
        },
    );
}

/// What the weights of a step of length h are made of.
struct Factors<F> {
    h: F,
    /// `1/√h`.
    scale: F,
}

impl<F: Real> Factors<F> {
    fn new(length: f64) -> Factors<F> {
        Factors { h: F::of(length), scale: F::of(1.0 / length.sqrt()) }
    }

    /// `¼ (W^j ± (W^j W^r + V)/√h)`.
    #[inline(always)]
    fn signed(&self, of_r: F, of_j: F, area: F) -> [F; 2] {
        let turn = self.scale * (of_j * of_r + area);
        [F::of(0.25) * (of_j + turn), F::of(0.25) * (of_j - turn)]
    }

    /// Both signs of the weight of j beside r.
    #[inline(always)]
    fn weights(
        &self,
        r: usize,
        j: usize,
        [of_r, of_j]: [F; 2],
        uniform: impl Fn(usize, usize) -> F,
    ) -> [F; 2] {
        let (h, half) = (self.h, F::of(0.5));
        // V_rj, and −h for V_rr.
        let area = match r.cmp(&j) {
            Ordering::Equal => -h,
            Ordering::Less => -h.copysign(uniform(r, j) - half),
            Ordering::Greater => h.copysign(uniform(j, r) - half),
        };
        self.signed(of_r, of_j, area)
    }

    #[inline(always)]
    fn wide(&self, r: usize, m: usize, w: &[F], uniforms: &[F], out: &mut [&mut [F]; 4]) {
        let pairs = m * (m - 1) / 2;
        let [a, b, c, d] = out;
        for (row, w) in w.chunks_exact(m).enumerate() {
            for j in 0..m {
                let uniform = |j, k| uniforms[row * pairs + pair(j, k, m)];
                let [plus, minus] = self.weights(r, j, [w[r], w[j]], uniform);
                let at = row * m + j;
                let zero = F::zero();
                (a[at], b[at], c[at], d[at]) =
                    if j == r { (plus, minus, zero, zero) } else { (zero, zero, plus, minus) };
            }
        }
    }

    /// The same of M numbers and P pairs in a row, too few to fill a vector: many rows at once, by columns.
    #[inline(always)]
    fn narrow<const M: usize, const P: usize>(
        &self,
        r: usize,
        w: &[F],
        uniforms: &[F],
        out: &mut [&mut [F]; 4],
    ) {
        let (mut w, mut uniforms): (&[[F; M]], &[[F; P]]) = (w.as_chunks().0, uniforms.as_chunks().0);
        let mut out: [&mut [[F; M]]; 4] = out.each_mut().map(|out| out.as_chunks_mut().0);
        while let (Some(of_w), Some(of_u)) = (w.first_chunk::<LANES>(), uniforms.first_chunk::<LANES>()) {
            let (of_w, of_u) = (transposed(of_w), transposed(of_u));
            let mut weights = [[[F::zero(); LANES]; M]; 4];
            for j in 0..M {
                let first = if j == r { 0 } else { 2 };
                for l in 0..LANES {
                    let uniform = |j, k| of_u[pair(j, k, M)][l];
                    let both = self.weights(r, j, [of_w[r][l], of_w[j][l]], uniform);
                    [weights[first][j][l], weights[first + 1][j][l]] = both;
                }
            }
            for (out, weights) in out.iter_mut().zip(&weights) {
                let (now, rest) = std::mem::take(out).split_first_chunk_mut().expect("as many rows");
                *now = transposed(weights);
                *out = rest;
            }
            (w, uniforms) = (&w[LANES..], &uniforms[LANES..]);
        }
        let mut rest = out.map(|out| out.as_flattened_mut());
        self.wide(r, M, w.as_flattened(), uniforms.as_flattened(), &mut rest);
    }
}

#[cfg(test)]
mod tests {
    use numeric::Noise;

    use super::*;

    /// The weights of column r of 37 rows, by rows and by columns of rows.
    fn both<const M: usize, const P: usize>(
        r: usize,
        factors: &Factors<f64>,
        [w, uniforms]: [&[f64]; 2],
    ) -> [[Vec<f64>; 4]; 2] {
        let mut found = [(); 2].map(|()| [(); 4].map(|()| vec![f64::NAN; w.len()]));
        let [wide, narrow] = &mut found;
        factors.wide(r, M, w, uniforms, &mut wide.each_mut().map(|out| &mut out[..]));
        factors.narrow::<M, P>(r, w, uniforms, &mut narrow.each_mut().map(|out| &mut out[..]));
        found
    }

    /// `¼ (W^j ± (W^j W^r + V_rj)/√h)` with `V_rj = ±h`, antisymmetric, and `V_rr = −h` on its own.
    #[test]
    fn weights_are_those_of_the_formula() {
        fn check<const M: usize, const P: usize>() {
            let (n, h) = (37, 0.3_f64);
            let rows: Vec<u64> = (0..n).collect();
            let [mut w, mut uniforms] = [M, P].map(|width| Array2::zeros((n as usize, width)));
            Noise::new(1).normals_into(&rows, 0, &mut w);
            Noise::new(2).uniforms_into(&rows, 0, &mut uniforms);
            let factors = Factors::new(h);
            let areas: Vec<Array2<f64>> = (0..M)
                .map(|r| {
                    let [wide, narrow] = both::<M, P>(r, &factors, [slice(&w), slice(&uniforms)]);
                    assert_eq!(wide, narrow);
                    Array2::from_shape_fn(w.dim(), |(i, j)| {
                        let at = |k: usize| wide[k][i * M + j];
                        let (of_own, of_pair) = ([at(0), at(1)], [at(2), at(3)]);
                        let ([plus, minus], none) =
                            if j == r { (of_own, of_pair) } else { (of_pair, of_own) };
                        assert_eq!(none, [0.0; 2]);
                        assert!((2.0 * (plus + minus) - w[(i, j)]).abs() < 1e-14);
                        2.0 * (plus - minus) * h.sqrt() - w[(i, j)] * w[(i, r)]
                    })
                })
                .collect();
            for (r, of_r) in areas.iter().enumerate() {
                for ((i, j), &area) in of_r.indexed_iter() {
                    assert!((area.abs() - h).abs() < 1e-14, "{area}");
                    let mirrored = if j == r { -h } else { -areas[j][(i, r)] };
                    assert!((area - mirrored).abs() < 1e-14, "{area} and {mirrored}");
                }
            }
        }
        check::<2, 1>();
        check::<3, 3>();
    }
}
