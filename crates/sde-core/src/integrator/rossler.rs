//! Rößler's stochastic Runge–Kutta methods of strong order 1½.

use numeric::ndarray::{Array2, ArrayRef2};
use numeric::{Error, Real, Scratch};

use super::{Integrator, Needs, Orders, SdeStep, add, stage};
use crate::sde::{put_rows, take_rows};
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
/// # Convergence
/// Additive noise, which may depend on time; strong order 1½, weak order 2.
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
    ) -> Result<(), Error> {
        let h = step.length;
        let [mut f, mut g, mut hat] = take_rows::<F, 3>(scratch, x.dim());
        let [mut mean, mut rest] = take_rows::<F, 2>(scratch, step.w.dim());
        mean_position(&step, &mut mean);
        rest.assign(step.w);
        add(&mut rest, -1.0, &mean);
        sde.drift_into(&step.batch(x), &mut f, scratch)?;
        sde.diffuse_into(&step.batch_at(1.0, x), &mean, &mut g, scratch)?;
        stage(&mut hat, x, (0.75 * h, &f), (1.5, &g));
        // g(t') W + (g(t) − g(t')) I/h = g(t') (W − I/h) + g(t) I/h; the state does not matter to g.
        sde.diffuse_into(&step.batch_at(1.0, x), &rest, &mut g, scratch)?;
        add(x, h / 3.0, &f);
        add(x, 1.0, &g);
        sde.diffuse_into(&step.batch(x), &mean, &mut g, scratch)?;
        add(x, 1.0, &g);
        sde.drift_into(&step.batch_at(0.75, &hat), &mut f, scratch)?;
        add(x, 2.0 * h / 3.0, &f);
        put_rows(scratch, [f, g, hat]);
        put_rows(scratch, [mean, rest]);
        Ok(())
    }
}

/// `I_10/h = W/2 + H`: the mean of the path over the step.
pub(super) fn mean_position<F: Real>(step: &SdeStep<'_, F>, out: &mut ArrayRef2<F>) {
    out.assign(step.areas());
    add(out, 0.5, step.w);
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
/// # Convergence
/// Itô; scalar and diagonal noise; strong order 1½ and, as measured, weak order 1½: the stages at ±√h are not
/// symmetric, and leave a term of order h^{5/2} in the second moments of a step, unless g is linear. Order 2 without
/// noise.
///
/// # Complexity
/// Two drifts and four products with the diffusion per step; two normals per Brownian motion.
///
/// # References
/// Rößler (2010), Runge–Kutta methods for the strong approximation of solutions of stochastic differential equations,
/// scheme SRI1W1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sri1W1;

/// Rows: weights of W, I₁₁/√h, I₁₀/h, I₁₁₁/h for each diffusion stage.
const BETA: [[f64; 4]; 4] = [
    [-1.0, -1.0, 2.0, -2.0],
    [4.0 / 3.0, 4.0 / 3.0, -4.0 / 3.0, 5.0 / 3.0],
    [2.0 / 3.0, -1.0 / 3.0, -2.0 / 3.0, -2.0 / 3.0],
    [0.0, 0.0, 0.0, 1.0],
];

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
    ) -> Result<(), Error> {
        let (h, root) = (step.length, step.length.sqrt());
        let [mut f, mut at, mut g1, mut g2, mut g3, mut g4] = take_rows::<F, 6>(scratch, x.dim());
        let [mut ones, mut mean] = take_rows::<F, 2>(scratch, step.w.dim());
        ones.fill(F::one());
        mean_position(&step, &mut mean);
        // With noise of these classes all columns at once: g 1 has the column of each coordinate in it.
        sde.drift_into(&step.batch(x), &mut f, scratch)?;
        sde.diffuse_into(&step.batch(x), &ones, &mut g1, scratch)?;
        stage(&mut at, x, (0.25 * h, &f), (0.5 * root, &g1));
        sde.diffuse_into(&step.batch_at(0.25, &at), &ones, &mut g2, scratch)?;
        stage(&mut at, x, (h, &f), (-root, &g1));
        sde.diffuse_into(&step.batch_at(1.0, &at), &ones, &mut g3, scratch)?;
        stage(&mut at, x, (0.25 * h, &f), (-5.0 * root, &g1));
        add(&mut at, 3.0 * root, &g2);
        add(&mut at, 0.5 * root, &g3);
        sde.diffuse_into(&step.batch_at(0.25, &at), &ones, &mut g4, scratch)?;
        at.assign(x);
        add(&mut at, 0.75 * h, &f);
        add(x, h / 3.0, &f);
        add_integrals(x, &mut at, [&g1, &g2, &g3, &g4], (step.w, &mean), h);
        sde.drift_into(&step.batch_at(0.75, &at), &mut f, scratch)?;
        add(x, 2.0 * h / 3.0, &f);
        put_rows(scratch, [f, at, g1, g2, g3, g4]);
        put_rows(scratch, [ones, mean]);
        Ok(())
    }
}

/// Adds the diffusion's part to the state, and `3/2 γ_1 I_10/h` to the second drift stage.
fn add_integrals<F: Real>(
    x: &mut ArrayRef2<F>,
    drift_stage: &mut Array2<F>,
    gamma: [&Array2<F>; 4],
    (w, mean): (&ArrayRef2<F>, &Array2<F>),
    h: f64,
) {
    let (scalar, root, h) = (w.ncols() == 1, F::of(h.sqrt()), F::of(h));
    let (half, sixth, three) = (F::of(0.5), F::of(1.0 / 6.0), F::of(3.0));
    let beta = BETA.map(|row| row.map(F::of));
    for i in 0..x.nrows() {
        for k in 0..x.ncols() {
            let j = if scalar { 0 } else { k };
            let (w, mean) = (w[(i, j)], mean[(i, j)]);
            let integrals = [w, half * (w * w - h) / root, mean, sixth * (w * w - three * h) * w / h];
            for (gamma, beta) in gamma.iter().zip(&beta) {
                let weight = beta.iter().zip(&integrals).map(|(&b, &integral)| b * integral).sum::<F>();
                x[(i, k)] += gamma[(i, k)] * weight;
            }
            drift_stage[(i, k)] += F::of(1.5) * gamma[0][(i, k)] * mean;
        }
    }
}
