//! Langevin dynamics of a log-density.

use numeric::ndarray::ArrayRef2;
use numeric::{Batch, Batching, Error, LogDensity, Scratch};

use super::problems::{facts, map2, rows2};
use super::{put_rows, take_rows};
use crate::{NoiseClass, Reading, Sde};

/// Overdamped Langevin dynamics `dX = ∇ log π(X) dt + √2 dW`, whose invariant law is π.
///
/// ```
/// use numeric::{Noise, TimeGrid, ndarray::array};
/// use sde_core::{Component, Covariance, Keep, Mixture, OverdampedLangevin, Solver, Start, integrator::Heun};
/// let normal = Mixture::new(vec![Component { weight: 1.0, mean: array![3.0], covariance: Covariance::Isotropic(0.5) }])?;
/// let solver = Solver::new(OverdampedLangevin { target: normal }, Heun, TimeGrid::uniform(0.0, 4.0, 80)?)?;
/// let run = solver.run(Start::Point(&[0.0]), Keep::Last, 0..2000, Noise::new(1), Default::default())?;
/// assert!((run.states.mean().expect("not empty") - 3.0).abs() < 5.0 * (0.5_f64 / 2000.0).sqrt());
/// # Ok::<(), numeric::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct OverdampedLangevin<P> {
    /// The log-density π on R^d.
    pub target: P,
}

impl<P: LogDensity> Sde<f64> for OverdampedLangevin<P> {
    facts!(self, self.target.dim(), self.target.dim(), Reading::Ito, NoiseClass::Additive);

    fn drift_into(
        &self,
        batch: &Batch<'_, f64>,
        out: &mut ArrayRef2<f64>,
        _: &mut Scratch,
    ) -> Result<(), Error> {
        self.target.gradient_into(batch.x(), out)
    }
    fn diffuse_into(
        &self,
        batch: &Batch<'_, f64>,
        w: &ArrayRef2<f64>,
        out: &mut ArrayRef2<f64>,
        _: &mut Scratch,
    ) -> Result<(), Error> {
        map2(
            batch.x_slice(),
            w,
            out,
            #[inline(always)]
            |_, w| std::f64::consts::SQRT_2 * w,
        );
        Ok(())
    }
    fn diffuse_derivative_into(
        &self,
        _: &Batch<'_, f64>,
        _: &ArrayRef2<f64>,
        _: &ArrayRef2<f64>,
        out: &mut ArrayRef2<f64>,
        _: &mut Scratch,
    ) -> Result<(), Error> {
        out.fill(0.0);
        Ok(())
    }
    fn batching(&self) -> Batching {
        self.target.batching()
    }
}

/// Underdamped (kinetic) Langevin dynamics with mass 1 and friction γ: position and velocity.
///
/// ```math
/// dq = p\,dt, \qquad dp = \nabla \log \pi(q)\,dt - \gamma p\,dt + \sqrt{2 \gamma}\,dW,
/// ```
///
/// with invariant law `π × N(0, I)`. A state is (q, p) in R^{2d}: the d positions, then the d velocities. Its own
/// method is [`Baoab`](crate::integrator::Baoab).
#[derive(Clone, Copy, Debug)]
pub struct UnderdampedLangevin<P> {
    target: P,
    friction: f64,
}

impl<P: LogDensity> UnderdampedLangevin<P> {
    /// The dynamics of the log-density `target` with friction γ.
    ///
    /// # Errors
    /// [`Error::Domain`] unless the friction is finite and not negative; with 0 there is no noise.
    pub fn new(target: P, friction: f64) -> Result<UnderdampedLangevin<P>, Error> {
        let ok = friction >= 0.0 && friction.is_finite();
        Error::domain(ok, "friction", friction, "a finite number of at least 0")?;
        Ok(UnderdampedLangevin { target, friction })
    }

    /// The log-density.
    pub fn target(&self) -> &P {
        &self.target
    }

    /// The friction γ.
    pub fn friction(&self) -> f64 {
        self.friction
    }
}

impl<P: LogDensity> Sde<f64> for UnderdampedLangevin<P> {
    facts!(self, 2 * self.target.dim(), self.target.dim(), Reading::Ito, NoiseClass::Additive);

    fn drift_into(
        &self,
        batch: &Batch<'_, f64>,
        out: &mut ArrayRef2<f64>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        let (n, d) = (batch.len(), self.target.dim());
        let [mut q, mut force] = take_rows::<f64, 2>(scratch, (n, d));
        q.assign(&batch.x().slice(numeric::ndarray::s![.., ..d]));
        self.target.gradient_into(&q, &mut force)?;
        for ((mut out, x), force) in out.rows_mut().into_iter().zip(batch.x().rows()).zip(force.rows()) {
            for (j, &force) in force.iter().enumerate() {
                let p = x[d + j];
                (out[j], out[d + j]) = (p, force - self.friction * p);
            }
        }
        put_rows(scratch, [q, force]);
        Ok(())
    }
    fn diffuse_into(
        &self,
        batch: &Batch<'_, f64>,
        w: &ArrayRef2<f64>,
        out: &mut ArrayRef2<f64>,
        _: &mut Scratch,
    ) -> Result<(), Error> {
        let (d, strength) = (self.target.dim(), (2.0 * self.friction).sqrt());
        rows2(batch.x(), w, out, |_, w, out| {
            let (of_q, of_p) = out.split_at_mut(d);
            of_q.fill(0.0);
            of_p.iter_mut().zip(w).for_each(|(out, &w)| *out = strength * w);
        });
        Ok(())
    }
    fn diffuse_derivative_into(
        &self,
        _: &Batch<'_, f64>,
        _: &ArrayRef2<f64>,
        _: &ArrayRef2<f64>,
        out: &mut ArrayRef2<f64>,
        _: &mut Scratch,
    ) -> Result<(), Error> {
        out.fill(0.0);
        Ok(())
    }
    fn batching(&self) -> Batching {
        self.target.batching()
    }
}
