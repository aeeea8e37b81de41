//! Critically damped Langevin diffusion: position and velocity with an exact 2×2 kernel.

use numeric::ndarray::ArrayRef2;
use numeric::{Error, Noise, Real, Scratch, vectorize};

use super::{ExactTransition, check_columns};
use crate::sde::coefficients::{slice, slice_mut};
use crate::sde::problems::{coefficients, facts, rows, rows2};
use crate::sde::{put_rows, take_rows};
use crate::sum::{along_row, part, part_mut};
use crate::{NoiseClass, Reading, Sde};

/// Mean matrix and covariance of a pair (position, velocity): `N(A (q, p), Σ)` for each coordinate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairKernel {
    /// `A`: entry `[i][j]` multiplies the j-th of (q, p) in the mean of the i-th.
    pub mean: [[f64; 2]; 2],
    /// `Σ`, by its entries qq, qp, pp.
    pub covariance: [f64; 3],
}

impl PairKernel {
    /// The lower triangle L of `Σ = L Lᵀ`: entries qq, pq, pp.
    #[must_use]
    pub fn factor(&self) -> [f64; 3] {
        let [qq, qp, pp] = self.covariance;
        let root = qq.sqrt();
        let across = if root > 0.0 { qp / root } else { 0.0 };
        // Rounding may leave a little less than nothing where the pair is degenerate.
        [root, across, (pp - across * across).max(0.0).sqrt()]
    }
}

/// Critically damped Langevin diffusion: noise enters the velocity only, and the position is smooth.
///
/// ```math
/// dq = \beta M^{-1} p\, dt, \qquad dp = -\beta q\, dt - \beta \Gamma M^{-1} p\, dt + \sqrt{2 \Gamma \beta}\, dW,
/// \qquad \Gamma^2 = 4 M,
/// ```
///
/// with stationary law `N(0, 1) × N(0, M)` in each coordinate. A state is (q, p) in R^{2d}: the d positions, then the
/// d velocities. At this friction the matrix of the drift has one double eigenvalue `−λ = −1/√M`, so that with
/// `s = λβt` the kernel is
///
/// ```math
/// A = e^{-s} \begin{pmatrix} 1 + s & \lambda s \\ -s/\lambda & 1 - s \end{pmatrix}, \qquad
/// \Sigma = \begin{pmatrix} 1 - e^{-2s}(1 + 2s + 2s^2) & 2 s^2 e^{-2s}/\lambda \\
/// \cdot & \lambda^{-2} \bigl( 1 - e^{-2s} (1 - 2s + 2s^2) \bigr) \end{pmatrix}.
/// ```
///
/// ```
/// use sde_core::CriticallyDamped;
/// let process = CriticallyDamped::new(2, 4.0, 0.25)?;
/// let kernel = process.transition(10.0);
/// assert!((kernel.covariance[0] - 1.0).abs() < 1e-12 && (kernel.covariance[2] - 0.25).abs() < 1e-12);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// Dockhorn, Vahdat, Kreis (2022), Score-based generative modeling with critically-damped Langevin diffusion.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct CriticallyDamped {
    dim: usize,
    beta: f64,
    mass: f64,
}

impl CriticallyDamped {
    /// d = `dim` positions with speed β and mass M; the friction is `Γ = 2√M`.
    ///
    /// # Errors
    /// [`Error::Domain`] unless d is at least 1 and both numbers are positive.
    pub fn new(dim: usize, beta: f64, mass: f64) -> Result<CriticallyDamped, Error> {
        Error::domain(dim > 0, "dim", 0.0, "at least 1")?;
        Error::positive("beta", beta)?;
        Error::positive("mass", mass)?;
        Ok(CriticallyDamped { dim, beta, mass })
    }

    /// The kernel over a time `t` ≥ 0, given position and velocity.
    #[must_use]
    pub fn transition(&self, t: f64) -> PairKernel {
        let lambda = 1.0 / self.mass.sqrt();
        let s = lambda * self.beta * t;
        let (decay, decay2) = ((-s).exp(), (-2.0 * s).exp());
        PairKernel {
            mean: [[decay * (1.0 + s), decay * lambda * s], [-decay * s / lambda, decay * (1.0 - s)]],
            covariance: [
                gamma_3(2.0 * s),
                2.0 * s * s * decay2 / lambda,
                self.mass * (decay2 * 2.0 * s * (1.0 - s) - (-2.0 * s).exp_m1()),
            ],
        }
    }

    /// The kernel over a time `t` ≥ 0 given the position, with a velocity `N(0, variance)`: what hybrid score matching
    /// needs. The column of the velocity in the mean is 0.
    #[must_use]
    pub fn transition_from_position(&self, t: f64, variance: f64) -> PairKernel {
        let PairKernel { mean: [[qq, qp], [pq, pp]], covariance: [vqq, vqp, vpp] } = self.transition(t);
        PairKernel {
            mean: [[qq, 0.0], [pq, 0.0]],
            covariance: [vqq + variance * qp * qp, vqp + variance * qp * pp, vpp + variance * pp * pp],
        }
    }
}

/// `1 − e^{−u} (1 + u + u²/2)`: the regularised incomplete Gamma function P(3, u), without cancellation near 0.
fn gamma_3(u: f64) -> f64 {
    if u > 3.0 {
        return 1.0 - (-u).exp() * (1.0 + u + 0.5 * u * u);
    }
    let (mut term, mut sum, mut k) = (u * u * u / 6.0, 0.0, 3.0);
    while sum + term != sum {
        sum += term;
        k += 1.0;
        term *= u / k;
    }
    (-u).exp() * sum
}

impl<F: Real> ExactTransition<F> for CriticallyDamped {
    fn state_dim(&self) -> usize {
        2 * self.dim
    }
    fn advance(
        &self,
        rows: &[u64],
        step: u64,
        length: f64,
        noise: Noise,
        x: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) {
        check_columns(x, ExactTransition::<F>::state_dim(self));
        let kernel = self.transition(length);
        let [[qq, qp], [pq, pp]] = kernel.mean.map(|row| row.map(F::of));
        let [lqq, lpq, lpp] = kernel.factor().map(F::of);
        let [mut z] = take_rows::<F, 1>(scratch, x.dim());
        noise.normals_into(rows, step, &mut z);
        let (d, x, normals) = (self.dim, slice_mut(x), slice(&z));
        vectorize(
            #[inline(always)]
            || {
                for (x, z) in x.chunks_exact_mut(2 * d).zip(normals.chunks_exact(2 * d)) {
                    let ((q, p), (z_q, z_p)) = (x.split_at_mut(d), z.split_at(d));
                    along_row!(d, |from, C| {
                        let mut pair: [[F; C]; 2] = [*part(q, from), *part(p, from)];
                        let [z_q, z_p]: [&[F; C]; 2] = [part(z_q, from), part(z_p, from)];
                        for j in 0..C {
                            let (q, p) = (pair[0][j], pair[1][j]);
                            pair[0][j] = qq * q + qp * p + lqq * z_q[j];
                            pair[1][j] = pq * q + pp * p + lpq * z_q[j] + lpp * z_p[j];
                        }
                        [*part_mut(q, from), *part_mut(p, from)] = pair;
                    });
                }
            },
        );
        put_rows(scratch, [z]);
    }
}

impl<F: Real> Sde<F> for CriticallyDamped {
    facts!(self, 2 * self.dim, self.dim, Reading::Ito, NoiseClass::Additive);
    coefficients! {
        drift(self, batch, out) {
            let (beta, speed) = (F::of(self.beta), F::of(self.beta / self.mass));
            let friction = F::of(2.0 * self.beta / self.mass.sqrt());
            rows(batch, out, |_, x, out| {
                let ((q, p), (dq, dp)) = (x.split_at(self.dim), out.split_at_mut(self.dim));
                for (((dq, dp), &q), &p) in dq.iter_mut().zip(dp).zip(q).zip(p) {
                    (*dq, *dp) = (speed * p, -beta * q - friction * p);
                }
            });
        }
        diffuse(w) {
            let strength = F::of((4.0 * self.mass.sqrt() * self.beta).sqrt());
            rows2(batch.x(), w, out, |_, w, out| {
                let (dq, dp) = out.split_at_mut(self.dim);
                dq.fill(F::zero());
                dp.iter_mut().zip(w).for_each(|(dp, &w)| *dp = strength * w);
            });
        }
        derivative(v) {
            out.fill(F::zero());
        }
    }
}
