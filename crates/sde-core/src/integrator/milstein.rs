//! Milstein's method, for commuting columns and for all.

use std::cmp::Ordering;

use numeric::ndarray::ArrayRef2;
use numeric::{Error, Real, Scratch, vectorize};

use super::{Integrator, Needs, Orders, SdeStep, add, add_two, fill_unit, pair};
use crate::sde::coefficients::{slice, slice_mut};
use crate::sde::{put_rows, take_rows};
use crate::{NoiseClass, Reading, Sde, add_noise_drift};

const FIRST: Orders = Orders { strong: 1.0, weak: 1.0 };

/// Milstein's method for columns that commute, in both readings.
///
/// ```math
/// X' = X + f h + g W + \tfrac12 \sum_{j,k} (D g_k)\, g_j\, W^j W^k
/// \;\Bigl[\, - \tfrac{h}{2} \sum_j (D g_j)\, g_j \text{ for Itô} \Bigr].
/// ```
///
/// Commuting columns make the double integrals' antisymmetric part drop out. The derivative is that of
/// [`Sde::diffuse_derivative_into`].
///
/// ```
/// use numeric::{Noise, TimeGrid};
/// use sde_core::integrator::{EulerMaruyama, Milstein};
/// use sde_core::{GeometricBrownian, Keep, Solver, Start};
/// // One step of dX = σ X dW: the correction to Euler–Maruyama is ½ σ² (W² − h) X.
/// let (sde, sigma, h) = (GeometricBrownian::new(1, 0.0, 0.2)?, 0.2, 0.5);
/// let grid = TimeGrid::uniform(0.0, h, 1)?;
/// let (start, noise) = (Start::Point(&[1.0_f64]), Noise::new(1));
/// let euler = Solver::new(sde, EulerMaruyama, grid.clone())?;
/// let euler = euler.run(start, Keep::Last, 0..9, noise, Default::default())?.states;
/// let milstein = Solver::new(sde, Milstein, grid)?.run(start, Keep::Last, 0..9, noise, Default::default())?.states;
/// for (euler, milstein) in euler.iter().zip(&milstein) {
///     let w = (euler - 1.0) / sigma;
///     assert!((milstein - euler - 0.5 * sigma * sigma * (w * w - h)).abs() < 1e-14);
/// }
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # Convergence
/// Strong and weak order 1 for additive, scalar, diagonal and commutative noise; refused for general noise, where it
/// would have strong order ½ only: see [`LevyMilstein`].
///
/// # Randomness
/// The increment W of the path: m normals per row and step.
///
/// # Complexity
/// One drift, two products with the diffusion and one derivative per step; m of each for commutative noise in Itô's
/// reading.
///
/// # References
/// Milstein (1974), Approximate integration of stochastic differential equations. Kloeden, Platen (1992), Numerical
/// solution of stochastic differential equations, section 10.3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Milstein;

impl<F: Real> Integrator<F> for Milstein {
    fn name(&self) -> &'static str {
        "Milstein"
    }
    fn reading(&self) -> Option<Reading> {
        None
    }
    fn orders(&self, noise: NoiseClass) -> Option<Orders> {
        (noise != NoiseClass::General).then_some(FIRST)
    }
    fn step(
        &self,
        sde: &dyn Sde<F>,
        step: SdeStep<'_, F>,
        x: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<u64, Error> {
        let [mut f, mut g, mut second] = take_rows::<F, 3>(scratch, x.dim());
        let batch = step.batch(x);
        sde.drift_into(&batch, &mut f, scratch)?;
        sde.diffuse_into(&batch, step.w, &mut g, scratch)?;
        if sde.noise_class() != NoiseClass::Additive {
            // Σ_jk W_j W_k (D g_k) g_j is the derivative of g W along g W.
            sde.diffuse_derivative_into(&batch, step.w, &g, &mut second, scratch)?;
            add(&mut g, 0.5, &second);
            if sde.reading() == Reading::Ito {
                add_noise_drift(sde, &batch, -step.length, &mut g, scratch)?;
            }
        }
        add_two(x, step.length, &f, &g);
        put_rows(scratch, [f, g, second]);
        Ok(step.evaluations(Integrator::<F>::calls(self)))
    }
}

/// Milstein's method with Lévy areas, for any noise, in both readings.
///
/// ```math
/// X' = X + f h + g W + \sum_{j,k} (D g_k)\, g_j\, J_{jk}, \qquad
/// J_{jk} = \int_0^h W^j_s \circ dW^k_s = \tfrac12 W^j W^k + A_{jk},
/// ```
///
/// with `A_jk` the Lévy area; for Itô's reading `½h` less on the diagonal. The inner integral belongs to the column
/// that is moved along, the outer one to the column that is differentiated: exchanged, the method would add twice the
/// area with the wrong sign and have order ½.
///
/// ```
/// use sde_core::integrator::{EulerMaruyama, Integrator, LevyMilstein, Milstein, Orders};
/// use sde_core::NoiseClass;
/// // For noise that does not commute it is the only one here of strong order 1.
/// let orders = |method: &dyn Integrator<f64>| method.orders(NoiseClass::General);
/// assert_eq!(orders(&LevyMilstein { depth: 4 }), Some(Orders { strong: 1.0, weak: 1.0 }));
/// assert_eq!(orders(&EulerMaruyama), Some(Orders { strong: 0.5, weak: 1.0 }));
/// assert_eq!(orders(&Milstein), None);
/// ```
///
/// # Convergence
/// Strong order 1 as far as the areas are exact, which for commutative noise they need not be. They come from the Brownian tree
/// `depth` levels below the step, with a mean square error that halves with each level. For general noise the order that
/// [`orders`](Integrator::orders) declares is that of a depth that grows by one where the step is halved
/// ([`Solver::refined`](crate::Solver::refined) leaves it as it is). With a fixed depth the order is ½ in the limit, and the error
/// falls below that of [`EulerMaruyama`](super::EulerMaruyama) by a factor that grows like 2^(depth/2): on
/// [`Waves`](crate::problems::Waves) by 6 · 2^(depth/2), so that with depth 4 the slope is still 0.97 from steps of 1/32 to 1/512.
///
/// # Randomness
/// The increment W, the space-time area H and the Lévy areas of the path: m normals of each kind per row and step, and as
/// many again for each of the 2^depth − 1 splits.
///
/// # Complexity
/// One drift, m + 1 products with the diffusion and m derivatives per step; 2^depth splits of the path.
///
/// # References
/// Milstein (1974), Approximate integration of stochastic differential equations. Kloeden, Platen (1992), Numerical
/// solution of stochastic differential equations, (10.3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LevyMilstein {
    /// Levels of the tree below the step, from which the areas are computed; at most 40 with those of a refinement.
    pub depth: u32,
}

impl<F: Real> Integrator<F> for LevyMilstein {
    fn name(&self) -> &'static str {
        "LevyMilstein"
    }
    fn reading(&self) -> Option<Reading> {
        None
    }
    fn orders(&self, _: NoiseClass) -> Option<Orders> {
        Some(FIRST)
    }
    fn needs(&self) -> Needs {
        Needs::LevyAreas { depth: self.depth }
    }
    fn step(
        &self,
        sde: &dyn Sde<F>,
        step: SdeStep<'_, F>,
        x: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<u64, Error> {
        let (n, m) = step.w.dim();
        let levy = step.levy.expect("a solver gives what `needs` asks for");
        let [mut f, mut g, mut column, mut second] = take_rows::<F, 4>(scratch, x.dim());
        let [mut unit, mut integrals] = take_rows::<F, 2>(scratch, (n, m));
        let batch = step.batch(x);
        sde.drift_into(&batch, &mut f, scratch)?;
        sde.diffuse_into(&batch, step.w, &mut g, scratch)?;
        let diagonal = if sde.reading() == Reading::Ito { F::of(-0.5 * step.length) } else { F::zero() };
        if sde.noise_class() != NoiseClass::Additive {
            for j in 0..m {
                fill_unit(&mut unit, j);
                sde.diffuse_into(&batch, &unit, &mut column, scratch)?;
                integrals_into(j, step.w, levy, diagonal, &mut integrals);
                sde.diffuse_derivative_into(&batch, &integrals, &column, &mut second, scratch)?;
                add(&mut g, 1.0, &second);
            }
        }
        add_two(x, step.length, &f, &g);
        put_rows(scratch, [f, g, column, second]);
        put_rows(scratch, [unit, integrals]);
        Ok(step.evaluations(Integrator::<F>::calls(self)))
    }
}

/// `J_jk = ½ W^j W^k + A_jk` for all k, with `diagonal` for `A_jj`.
fn integrals_into<F: Real>(
    j: usize,
    w: &ArrayRef2<F>,
    levy: &ArrayRef2<F>,
    diagonal: F,
    out: &mut ArrayRef2<F>,
) {
    let (m, w, levy, out) = (w.ncols(), slice(w), slice(levy), slice_mut(out));
    vectorize(
        #[inline(always)]
        // The few numbers of most problems as constants.
        || match m {
            2 => of_rows(2, j, w, levy, diagonal, out),
            3 => of_rows(3, j, w, levy, diagonal, out),
            _ => of_rows(m, j, w, levy, diagonal, out),
        },
    );
}

#[inline(always)]
fn of_rows<F: Real>(m: usize, j: usize, w: &[F], levy: &[F], diagonal: F, out: &mut [F]) {
    let pairs = m * (m - 1) / 2;
    for (row, (out, w)) in out.chunks_exact_mut(m).zip(w.chunks_exact(m)).enumerate() {
        let levy = &levy[row * pairs..][..pairs];
        for (k, (out, &other)) in out.iter_mut().zip(w).enumerate() {
            let area = match j.cmp(&k) {
                Ordering::Less => levy[pair(j, k, m)],
                Ordering::Equal => diagonal,
                Ordering::Greater => -levy[pair(k, j, m)],
            };
            *out = F::of(0.5) * w[j] * other + area;
        }
    }
}
