//! Rößler's stochastic Runge–Kutta methods of strong order 1½.

use numeric::ndarray::{Array2, ArrayRef2};
use numeric::{Error, Real, Scratch, vectorize};

use super::{Integrator, Needs, Orders, SdeStep, add, stage, two_sums};
use crate::sde::coefficients::{slice, slice_mut};
use crate::sde::{put_ones, put_rows, take_ones, take_rows};
use crate::sum::{Sum, Target, part, part_mut};
use crate::{NoiseClass, Reading, Sde};

/// SRA1: two stages for additive noise, strong order 1½.
///
/// ```math
/// \hat X = X + \tfrac34 f(t, X)\,h + \tfrac32\, g(t')\,I_{10}/h, \qquad
/// X' = X + \bigl( \tfrac13 f(t, X) + \tfrac23 f(t + \tfrac34 h, \hat X) \bigr) h
///      + g(t')\,W + \bigl( g(t) - g(t') \bigr) I_{10}/h,
/// ```
///
/// with `I_10 = ∫ W_s ds = h (W/2 + H)` and H the space-time area.
///
/// ```
/// use numeric::{Noise, TimeGrid, from_row_fn, ndarray::array};
/// use sde_core::{Additive, Keep, Solver, Start, integrator::Sra1};
/// let drift = from_row_fn(1, |_, x, out: &mut [f64]| { out[0] = -x[0].sin(); Ok(()) });
/// let sde = Additive::new(&drift, &array![[0.5]])?;
/// let solver = Solver::new(sde, Sra1, TimeGrid::uniform(0.0, 1.0, 8)?)?;
/// let end = |solver: &Solver<f64, _, _>| {
///     solver.run(Start::Point(&[1.0]), Keep::Last, 0..500, Noise::new(1), Default::default())
/// };
/// // On the same paths, half the step leaves less than half of the error.
/// let exact = end(&solver.refined(6))?.states;
/// let error = |level| Ok::<_, numeric::Error>((end(&solver.refined(level))?.states - &exact).mapv(f64::abs).sum());
/// assert!(error(1)? < 0.45 * error(0)?);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # Convergence
/// Additive noise, which may depend on time; strong order 1½, weak order 2.
///
/// # Randomness
/// The increment W and the space-time area H of the path: 2m normals per row and step.
///
/// # Complexity
/// Two drifts and three products with the diffusion per step; two normals per Brownian motion.
///
/// # References
/// Rößler (2010), Runge–Kutta methods for the strong approximation of solutions of stochastic differential equations,
/// scheme SRA1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sra1;

impl<F: Real> Integrator<F> for Sra1 {
    fn name(&self) -> &'static str {
        "Sra1"
    }
    fn reading(&self) -> Option<Reading> {
        None
    }
    fn orders(&self, noise: NoiseClass) -> Option<Orders> {
        (noise == NoiseClass::Additive).then_some(Orders { strong: 1.5, weak: 2.0 })
    }
    fn needs(&self) -> Needs {
        Needs::Area
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
        let h = step.length;
        let [mut f, mut g, mut hat, mut noise] = take_rows::<F, 4>(scratch, x.dim());
        let [mut w] = take_rows::<F, 1>(scratch, step.w.dim());
        sde.drift_into(&step.batch(x), &mut f, scratch)?;
        product(sde, &step, 1.0, [0.0, 1.0], (x, &mut w), &mut g, scratch)?;
        stage(&mut hat, x, (0.75 * h, &f), (1.5, &g));
        // g(t') W + (g(t) − g(t')) I/h = g(t') (W − I/h) + g(t) I/h; the state does not matter to g.
        product(sde, &step, 1.0, [1.0, -1.0], (x, &mut w), &mut g, scratch)?;
        product(sde, &step, 0.0, [0.0, 1.0], (x, &mut w), &mut noise, scratch)?;
        let known = Sum::of_x(1.0).and(h / 3.0, &f).and(1.0, &g).and(1.0, &noise);
        known.write(Target::InPlace(slice_mut(x)));
        sde.drift_into(&step.batch_at(0.75, &hat), &mut f, scratch)?;
        add(x, 2.0 * h / 3.0, &f);
        put_rows(scratch, [f, g, hat, noise]);
        put_rows(scratch, [w]);
        Ok(step.evaluations(Integrator::<F>::calls(self)))
    }
}

/// `g(t + part h, x) (a W + b I_10/h)`, with `I_10/h = W/2 + H` the mean of the path over the step; `w` is overwritten.
fn product<F: Real>(
    sde: &dyn Sde<F>,
    step: &SdeStep<'_, F>,
    part: f64,
    [a, b]: [f64; 2],
    (x, w): (&ArrayRef2<F>, &mut ArrayRef2<F>),
    out: &mut ArrayRef2<F>,
    scratch: &mut Scratch,
) -> Result<(), Error> {
    let sum = Sum::of_x(a + 0.5 * b).and(b, step.areas());
    sum.write(Target::Into { x: slice(step.w), out: slice_mut(w) });
    sde.diffuse_into(&step.batch_at(part, x), w, out, scratch)
}

/// SRI1W1: four stages for scalar and diagonal noise, strong order 1½.
///
/// Drift stages `H_i` and diffusion stages `G_i`, with `γ_i = g(t + c_i h, G_i)`:
///
/// ```math
/// \begin{aligned}
/// H_1 &= X, & H_2 &= X + \tfrac34 f(H_1) h + \tfrac32 \gamma_1 I_{10}/h, \\
/// G_1 &= X, & G_2 &= X + \tfrac14 f(H_1) h + \tfrac12 \gamma_1 \sqrt h, \\
/// G_3 &= X + f(H_1) h - \gamma_1 \sqrt h, & G_4 &= X + \tfrac14 f(H_1) h + (-5\gamma_1 + 3\gamma_2 + \tfrac12 \gamma_3) \sqrt h,
/// \end{aligned}
/// ```
/// ```math
/// X' = X + \bigl( \tfrac13 f(H_1) + \tfrac23 f(H_2) \bigr) h + \sum_{i=1}^4 \gamma_i
///      \Bigl( \beta^{1}_i W + \beta^{2}_i \tfrac{I_{11}}{\sqrt h} + \beta^{3}_i \tfrac{I_{10}}{h}
///      + \beta^{4}_i \tfrac{I_{111}}{h} \Bigr), \quad
/// I_{11} = \tfrac12 (W^2 - h), \quad I_{111} = \tfrac16 (W^3 - 3 h W).
/// ```
///
/// ```
/// use numeric::{Noise, TimeGrid};
/// use sde_core::{GeometricBrownian, Keep, Solver, Start, integrator::Sri1W1};
/// let solver = Solver::new(GeometricBrownian::new(1, 0.5, 1.0)?, Sri1W1, TimeGrid::uniform(0.0, 1.0, 8)?)?;
/// let end = |solver: &Solver<f64, _, _>| {
///     solver.run(Start::Point(&[1.0]), Keep::Last, 0..500, Noise::new(1), Default::default())
/// };
/// // On the same paths, half the step leaves less than half of the error.
/// let exact = end(&solver.refined(6))?.states;
/// let error = |level| Ok::<_, numeric::Error>((end(&solver.refined(level))?.states - &exact).mapv(f64::abs).sum());
/// assert!(error(1)? < 0.45 * error(0)?);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # Convergence
/// Itô; scalar and diagonal noise; strong order 1½ and, as measured, weak order 1½: the stages at ±√h are not
/// symmetric, and leave a term of order h^{5/2} in the second moments of a step, unless g is linear. Order 2 without
/// noise.
///
/// # Randomness
/// The increment W and the space-time area H of the path: 2m normals per row and step.
///
/// # Complexity
/// Two drifts and four products with the diffusion per step; two normals per Brownian motion.
///
/// # References
/// Rößler (2010), Runge–Kutta methods for the strong approximation of solutions of stochastic differential equations,
/// scheme SRI1W1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sri1W1;

/// The weights of the four diffusion stages by W, I₁₁/√h, I₁₀/h and I₁₁₁/h: the sums with the coefficients β in as few
/// operations as there are.
#[inline(always)]
fn weights<F: Real>([w, twice, mean, thrice]: [F; 4]) -> [F; 4] {
    let both = w + twice;
    let third = F::of(1.0 / 3.0);
    [
        F::of(2.0) * (mean - thrice) - both,
        F::of(4.0 / 3.0) * (both - mean) + F::of(5.0 / 3.0) * thrice,
        F::of(2.0 / 3.0) * (w - mean - thrice) - third * twice,
        thrice,
    ]
}

impl<F: Real> Integrator<F> for Sri1W1 {
    fn name(&self) -> &'static str {
        "Sri1W1"
    }
    fn reading(&self) -> Option<Reading> {
        Some(Reading::Ito)
    }
    fn orders(&self, noise: NoiseClass) -> Option<Orders> {
        let solves = matches!(noise, NoiseClass::Scalar | NoiseClass::Diagonal);
        solves.then_some(Orders { strong: 1.5, weak: 1.5 })
    }
    fn needs(&self) -> Needs {
        Needs::Area
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
        let (h, root) = (step.length, step.length.sqrt());
        let [mut f, mut at, mut next, mut g1, mut g2, mut g3] = take_rows::<F, 6>(scratch, x.dim());
        let ones = take_ones(scratch, step.w.dim());
        // With noise of these classes all columns at once: g 1 has the column of each coordinate in it.
        sde.drift_into(&step.batch(x), &mut f, scratch)?;
        sde.diffuse_into(&step.batch(x), &ones, &mut g1, scratch)?;
        two_sums([&mut at, &mut next], x, [[0.25 * h, 0.5 * root], [h, -root]], [&f, &g1]);
        sde.diffuse_into(&step.batch_at(0.25, &at), &ones, &mut g2, scratch)?;
        sde.diffuse_into(&step.batch_at(1.0, &next), &ones, &mut g3, scratch)?;
        let terms = [(0.25 * h, &*f), (-5.0 * root, &*g1), (3.0 * root, &*g2), (0.5 * root, &*g3)];
        Sum::new(1.0, 1.0, &terms).write(Target::Into { x: slice(x), out: slice_mut(&mut at) });
        // The third stage is not used again: its array is at hand in the cache.
        let mut g4 = next;
        sde.diffuse_into(&step.batch_at(0.25, &at), &ones, &mut g4, scratch)?;
        add_integrals(x, &mut at, &f, [&g1, &g2, &g3, &g4], &step);
        sde.drift_into(&step.batch_at(0.75, &at), &mut f, scratch)?;
        add(x, 2.0 * h / 3.0, &f);
        put_rows(scratch, [f, at, g4, g1, g2, g3]);
        put_ones(scratch, ones);
        Ok(step.evaluations(Integrator::<F>::calls(self)))
    }
}

/// Adds to the state what does not wait for the second drift stage, and writes that stage:
/// `X + ¾ f h + 3/2 γ_1 I_10/h`.
fn add_integrals<F: Real>(
    x: &mut ArrayRef2<F>,
    drift_stage: &mut Array2<F>,
    f: &Array2<F>,
    gamma: [&Array2<F>; 4],
    step: &SdeStep<'_, F>,
) {
    /// Numbers treated together, in local arrays: the compiler then need not ask which slices overlap. As many as leave
    /// room for eight of them in registers.
    const CHUNK: usize = 16;
    let (d, scalar) = (x.ncols(), step.w.ncols() == 1 && x.ncols() > 1);
    let (x, w, areas) = (slice_mut(x), slice(step.w), slice(step.areas()));
    // Of one length that is known, so that it is not asked for in each chunk.
    let len = x.len();
    let (drift_stage, f) = (&mut slice_mut(drift_stage)[..len], &slice(f)[..len]);
    let gamma = gamma.map(|gamma| &slice(gamma)[..len]);
    let weights = Weights::new(step.length);
    vectorize(
        #[inline(always)]
        || {
            if scalar {
                for (row, (&w, &area)) in w.iter().zip(areas).enumerate() {
                    for i in row * d..(row + 1) * d {
                        weights.add([[w], [area]], f, gamma, i, x, drift_stage);
                    }
                }
                return;
            }
            let (x, w, areas) = (&mut x[..len], &w[..len], &areas[..len]);
            let mut i = 0;
            while len - i >= CHUNK {
                weights.add([*part::<F, CHUNK>(w, i), *part(areas, i)], f, gamma, i, x, drift_stage);
                i += CHUNK;
            }
            while i < len {
                weights.add([[w[i]], [areas[i]]], f, gamma, i, x, drift_stage);
                i += 1;
            }
        },
    );
}

/// What the weights of the diffusion stages are made of.
struct Weights<F> {
    h: F,
    /// `1/(2√h)`, `1/(6h)`.
    half_by_root: F,
    sixth_by_h: F,
}

impl<F: Real> Weights<F> {
    fn new(h: f64) -> Weights<F> {
        let (half_by_root, sixth_by_h) = (F::of(0.5 / h.sqrt()), F::of(1.0 / (6.0 * h)));
        Weights { h: F::of(h), half_by_root, sixth_by_h }
    }

    /// C numbers of the state from `i` on.
    #[inline(always)]
    fn add<const C: usize>(
        &self,
        [w, areas]: [[F; C]; 2],
        f: &[F],
        gamma: [&[F]; 4],
        i: usize,
        x: &mut [F],
        drift_stage: &mut [F],
    ) {
        let Weights { h, half_by_root, sixth_by_h } = *self;
        let (third, three_quarters) = (h / F::of(3.0), F::of(0.75) * h);
        let [g1, g2, g3, g4]: [[F; C]; 4] =
            [*part(gamma[0], i), *part(gamma[1], i), *part(gamma[2], i), *part(gamma[3], i)];
        let (f, mut sums): ([F; C], [F; C]) = (*part(f, i), *part(x, i));
        let mut stages = sums;
        for c in 0..C {
            // I_10/h, the mean of the path over the step.
            let (w, mean) = (w[c], F::of(0.5) * w[c] + areas[c]);
            let twice = (w * w - h) * half_by_root;
            let thrice = (w * w - F::of(3.0) * h) * w * sixth_by_h;
            let [b1, b2, b3, b4] = weights([w, twice, mean, thrice]);
            sums[c] += third * f[c];
            sums[c] += (g1[c] * b1 + g2[c] * b2) + (g3[c] * b3 + g4[c] * b4);
            stages[c] += three_quarters * f[c] + F::of(1.5) * g1[c] * mean;
        }
        *part_mut(x, i) = sums;
        *part_mut(drift_stage, i) = stages;
    }
}

#[cfg(test)]
mod tests {
    use super::weights;

    /// Rößler's scheme SRI1W1: weights of W, I₁₁/√h, I₁₀/h, I₁₁₁/h for each diffusion stage.
    #[test]
    fn weights_are_those_of_the_table() {
        const BETA: [[f64; 4]; 4] = [
            [-1.0, -1.0, 2.0, -2.0],
            [4.0 / 3.0, 4.0 / 3.0, -4.0 / 3.0, 5.0 / 3.0],
            [2.0 / 3.0, -1.0 / 3.0, -2.0 / 3.0, -2.0 / 3.0],
            [0.0, 0.0, 0.0, 1.0],
        ];
        for integral in 0..4 {
            let mut integrals = [0.0; 4];
            integrals[integral] = 1.0;
            for (stage, found) in weights(integrals).into_iter().enumerate() {
                assert!((found - BETA[stage][integral]).abs() < 1e-15, "{stage} {integral}: {found}");
            }
        }
    }
}
