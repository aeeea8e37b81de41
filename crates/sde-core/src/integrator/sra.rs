//! Further methods of Rößler's SRA family, for additive noise.

use numeric::ndarray::ArrayRef2;
use numeric::{Error, Real, Scratch};

use super::{Integrator, Needs, Orders, SdeStep, add, two_sums};
use crate::sde::coefficients::{slice, slice_mut};
use crate::sde::{put_rows, take_rows};
use crate::sum::{Sum, Target};
use crate::{NoiseClass, Reading, Sde};

/// Coefficients of an explicit method with three stages; what is not here is 0.
struct Tableau {
    /// `a_21, a_31, a_32`: drifts in the stages. A stage is at the part `c_i = Σ_j a_ij` of the step.
    a: [f64; 3],
    /// `b_21, b_31, b_32`: noise in the stages.
    b: [f64; 3],
    /// Weights of the drifts.
    alpha: [f64; 3],
    /// Weights of `g_i W`.
    beta_1: [f64; 3],
    /// Weights of `g_i I_10/h`.
    beta_2: [f64; 3],
    /// Parts of the step at which the g_i are.
    gamma: [f64; 3],
}

const SOSRA: Tableau = Tableau {
    a: [0.6923962376159507, -3.1609142252828395, 4.1609142252828395],
    b: [1.3371632704399763, 1.442371048468624, 1.8632741501139225],
    alpha: [0.2889874966892885, 0.6859880440839937, 0.025024459226717772],
    beta_1: [-16.792534242221663, 17.514995785380226, 0.27753845684143835],
    beta_2: [0.4237535769069274, 0.6010381474428539, -1.0247917243497813],
    gamma: [0.0, 0.041248171110700504, 1.0],
};

const SRA3: Tableau = Tableau {
    a: [1.0, 0.25, 0.25],
    b: [0.0, 1.0, 0.5],
    alpha: [1.0 / 6.0, 1.0 / 6.0, 2.0 / 3.0],
    beta_1: [1.0, 0.0, 0.0],
    beta_2: [-1.0, 1.0, 0.0],
    gamma: [1.0, 0.0, 0.0],
};

/// SOSRA: three stages for additive noise, strong order 1½, with the largest region of stability among such methods.
///
/// With `g_i = g(t + γ_i h)` and `I_10 = ∫ W_s ds = h (W/2 + H)`, H the space-time area,
///
/// ```math
/// \begin{aligned}
/// X_i &= X + \sum_{j<i} a_{ij}\, f(t + c_j h, X_j)\, h + \sum_{j<i} b_{ij}\, g_j\, I_{10}/h, \qquad i = 1, 2, 3, \\
/// X' &= X + \sum_i \alpha_i\, f(t + c_i h, X_i)\, h + \sum_i g_i \bigl( \beta^{1}_i W + \beta^{2}_i I_{10}/h \bigr).
/// \end{aligned}
/// ```
///
/// On `dX = −λ X dt + σ dW` steps are stable up to `λ h = 5.31`; [`Sra1`](super::Sra1) up to 2.
///
/// # Convergence
/// Additive noise, which may depend on time; strong order 1½, weak order 2. Where g depends on time, weights of opposite
/// sign and size 17 multiply it: rounding counts seventeenfold, which is seen in `f32` only.
///
/// # Complexity
/// Three drifts and five products with the diffusion per step; two normals per Brownian motion.
///
/// ```
/// use numeric::{Noise, TimeGrid, from_row_fn, ndarray::array};
/// use sde_core::{Additive, Keep, Solver, Start, integrator::{Sosra, Sra1}};
/// # fn main() -> Result<(), numeric::Error> {
/// // λ h = 4: a stiff equation in 50 steps.
/// let drift = || from_row_fn(1, |_, x, out: &mut [f64]| { out[0] = -200.0 * x[0]; Ok(()) });
/// let sde = || Additive::new(drift(), &array![[1.0]]);
/// let grid = TimeGrid::uniform(0.0, 1.0, 50)?;
/// let (point, noise) = (Start::Point(&[1.0]), Noise::new(1));
/// let stable = Solver::<f64, _, _>::new(sde()?, Sosra, grid.clone())?;
/// let states = stable.run(point, Keep::Last, 0..100, noise, Default::default())?.states;
/// assert!(states.iter().all(|x| x.abs() < 1.0));
/// let unstable = Solver::<f64, _, _>::new(sde()?, Sra1, grid)?;
/// let states = unstable.run(point, Keep::Last, 0..100, noise, Default::default())?.states;
/// assert!(states.iter().all(|x| x.abs() > 1e10));
/// # Ok(()) }
/// ```
///
/// # References
/// Rackauckas and Nie (2020), *Stability-optimized high order methods and stiffness detection for pathwise stiff
/// stochastic differential equations*, IEEE High Performance Extreme Computing Conference (arXiv:1804.04344). Rößler
/// (2010), Runge–Kutta methods for the strong approximation of solutions of stochastic differential equations, section 6.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sosra;

/// SRA3: three stages for additive noise, strong order 1½, and order 3 without noise.
///
/// The scheme of [`Sosra`] with other coefficients: for small noise it is the most exact of the three, and its steps are
/// stable up to `λ h = 2.51`.
///
/// # Convergence
/// Additive noise, which may depend on time; strong order 1½, weak order 2; order 3 of an ordinary equation.
///
/// # Complexity
/// Three drifts and three products with the diffusion per step; two normals per Brownian motion.
///
/// ```
/// use numeric::{Noise, TimeGrid, from_row_fn, ndarray::array};
/// use sde_core::{Additive, Keep, Solver, Start, integrator::Sra3};
/// # fn main() -> Result<(), numeric::Error> {
/// // Noise of 10⁻⁹: exponential decay, in 16 steps.
/// let drift = from_row_fn(1, |_, x, out: &mut [f64]| { out[0] = -x[0]; Ok(()) });
/// let sde = Additive::new(drift, &array![[1e-9]])?;
/// let solver = Solver::<f64, _, _>::new(sde, Sra3, TimeGrid::uniform(0.0, 1.0, 16)?)?;
/// let run = solver.run(Start::Point(&[1.0]), Keep::Last, 0..1, Noise::new(1), Default::default())?;
/// assert!((run.states[(0, 0, 0)] - (-1_f64).exp()).abs() < 1e-5);
/// # Ok(()) }
/// ```
///
/// # References
/// Rößler (2010), Runge–Kutta methods for the strong approximation of solutions of stochastic differential equations,
/// section 6, scheme SRA3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sra3;

macro_rules! sra {
    ($($method:ident: $tableau:ident),*) => {$(
        impl<F: Real> Integrator<F> for $method {
            fn name(&self) -> &'static str {
                stringify!($method)
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
                3
            }
            fn step(
                &self,
                sde: &dyn Sde<F>,
                step: SdeStep<'_, F>,
                x: &mut ArrayRef2<F>,
                scratch: &mut Scratch,
            ) -> Result<u64, Error> {
                $tableau.step(sde, step, x, scratch)?;
                Ok(step.evaluations(Integrator::<F>::calls(self)))
            }
        }
    )*};
}
sra!(Sosra: SOSRA, Sra3: SRA3);

impl Tableau {
    /// Parts of the step at which the stages are.
    fn stages(&self) -> [f64; 3] {
        [0.0, self.a[0], self.a[1] + self.a[2]]
    }

    fn step<F: Real>(
        &self,
        sde: &dyn Sde<F>,
        step: SdeStep<'_, F>,
        x: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        let h = step.length;
        let [mut at, mut last, mut f_1, mut f_2, mut mean_1, mut mean_2, mut whole_1, mut whole_2] =
            take_rows::<F, 8>(scratch, x.dim());
        let [mut w] = take_rows::<F, 1>(scratch, step.w.dim());
        let [a_21, a_31, a_32] = self.a.map(|a| a * h);
        let [b_21, b_31, b_32] = self.b;
        let [_, second, third] = self.stages();
        // The mean of the path over the step, I_10/h = W/2 + H.
        let mean = Sum::of_x(0.5).and(1.0, step.areas());
        mean.write(Target::Into { x: slice(step.w), out: slice_mut(&mut w) });
        // Of g the state does not matter.
        let [first, next, end] = self.gamma;
        sde.diffuse_into(&step.batch_at(first, x), &w, &mut mean_1, scratch)?;
        sde.diffuse_into(&step.batch_at(next, x), &w, &mut mean_2, scratch)?;
        sde.drift_into(&step.batch(x), &mut f_1, scratch)?;
        let stages = [[a_21, b_21, 0.0], [a_31, b_31, b_32]];
        two_sums([&mut at, &mut last], x, stages, [&f_1, &mean_1, &mean_2]);
        sde.drift_into(&step.batch_at(second, &at), &mut f_2, scratch)?;
        add(&mut last, a_32, &f_2);
        // The second stage is not used again.
        let mut f_3 = at;
        sde.drift_into(&step.batch_at(third, &last), &mut f_3, scratch)?;
        let [alpha_1, alpha_2, alpha_3] = self.alpha.map(|alpha| alpha * h);
        let mut sum = Sum::of_x(1.0).and(alpha_1, &f_1).and(alpha_2, &f_2).and(alpha_3, &f_3);
        // What the stages have of g is not asked for again, as it is linear.
        let stages = [(first, &mean_1, &mut whole_1), (next, &mean_2, &mut whole_2)];
        for ((part, mean, whole), (of_w, of_mean)) in
            stages.into_iter().zip(self.beta_1.into_iter().zip(self.beta_2))
        {
            if of_mean != 0.0 {
                sum.push(of_mean, mean);
            }
            if of_w != 0.0 {
                sde.diffuse_into(&step.batch_at(part, x), step.w, whole, scratch)?;
                sum.push(of_w, whole);
            }
        }
        let (of_w, of_mean) = (self.beta_1[2], self.beta_2[2]);
        if (of_w, of_mean) != (0.0, 0.0) {
            Sum::of_x(of_mean).and(of_w, step.w).write(Target::InPlace(slice_mut(&mut w)));
            // Neither is the third stage used again.
            sde.diffuse_into(&step.batch_at(end, x), &w, &mut last, scratch)?;
            sum.push(1.0, &last);
        }
        sum.write(Target::InPlace(slice_mut(x)));
        put_rows(scratch, [f_3, last, f_1, f_2, mean_1, mean_2, whole_1, whole_2]);
        put_rows(scratch, [w]);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{SOSRA, SRA3, Tableau};

    fn dot(x: [f64; 3], y: [f64; 3]) -> f64 {
        x.iter().zip(y).map(|(x, y)| x * y).sum()
    }

    /// Rößler (2010), theorem 6.1: the conditions of strong order 1½ for additive noise.
    #[test]
    fn the_order_conditions_hold() {
        for (tableau, third_order) in [(SOSRA, false), (SRA3, true)] {
            let Tableau { b, alpha, beta_1, beta_2, gamma, .. } = tableau;
            let (c, noise, ones) = (tableau.stages(), [0.0, b[0], b[1] + b[2]], [1.0; 3]);
            let conditions = [
                (dot(alpha, ones), 1.0),
                (dot(beta_1, ones), 1.0),
                (dot(beta_2, ones), 0.0),
                (dot(alpha, noise), 1.0),
                (dot(alpha, c), 0.5),
                (dot(alpha, noise.map(|e| e * e)), 1.5),
                (dot(beta_1, gamma), 1.0),
                (dot(beta_2, gamma), -1.0),
            ];
            for (number, (found, expected)) in conditions.into_iter().enumerate() {
                assert!((found - expected).abs() < 1e-12, "condition {number}: {found} for {expected}");
            }
            // Order 3 without noise: α c² = 1/3 and α_3 a_32 c_2 = 1/6.
            let cubic =
                [dot(alpha, c.map(|c| c * c)) - 1.0 / 3.0, alpha[2] * tableau.a[2] * c[1] - 1.0 / 6.0];
            assert_eq!(cubic.iter().all(|gap| gap.abs() < 1e-12), third_order);
        }
    }

    /// The interval of `λ h` with `|1 − z + z²/2 − α_3 a_32 a_21 z³| < 1`.
    #[test]
    fn steps_are_stable_as_far_as_is_said() {
        for (tableau, end) in [(SOSRA, 5.31), (SRA3, 2.51)] {
            let cubic = tableau.alpha[2] * tableau.a[2] * tableau.a[0];
            let growth = |z: f64| (1.0 - z + 0.5 * z * z - cubic * z.powi(3)).abs();
            let bound = (1..).map(|k| 1e-3 * f64::from(k)).find(|&z| growth(z) > 1.0).expect("a polynomial");
            assert!((bound - end).abs() < 0.005, "{bound}");
        }
    }
}
