//! Diffusions conditioned on their future: bridges and Doob's h-transform.

mod doob;
mod motion;

use std::ops::Range;

use numeric::ndarray::{Array1, ArrayRef2};
use numeric::{Batch, Batching, Control, Error, Noise, Real, Scratch, Time, TimeGrid, Times};

pub use doob::DoobTransform;
pub use motion::{BrownianMotion, ScaledOu};

use crate::run::{GridRun, filled};
use crate::sde::coefficients::{slice, slice_mut};
use crate::sde::{put_rows, take_rows};
use crate::sum::with_row;
use crate::{Keep, LinearProcess, NoiseClass, Reading, Sde, Start, Statistics, Trajectory};

/// A linear process conditioned to be at a point z at a time T: exact paths, and its equation.
///
/// For the equation `dX = f X dt + g dW` with the kernel `X_t | X_s ~ N(φ_{st} X_s, q_{st} I)`,
///
/// ```math
/// X_t \mid X_s = x,\ X_T = z\ \sim\ N\Big(
///   \frac{q_{tT}\, \phi_{st}\, x + \phi_{tT}\, q_{st}\, z}{q_{sT}},\ \frac{q_{st}\, q_{tT}}{q_{sT}} I\Big),
/// \qquad q_{sT} = q_{tT} + \phi_{tT}^2 q_{st},
/// ```
/// ```math
/// dX = \Big[ f X + g^2\, \frac{\phi_{tT}\, (z - \phi_{tT} X)}{q_{tT}} \Big] dt + g\, dW,
/// ```
/// the h-transform with `h(t, x) = p(X_T = z | X_t = x)`. Any [`LinearProcess`] can be bridged;
/// [`BrownianMotion`] and [`ScaledOu`] are those with constant coefficients.
///
/// As an [`Sde`] its drift is infinite at T, so that no scheme for general equations can end there: run it to the
/// last node before T, and take the last step by [`step_into`](Self::step_into), which ends in z to the bit.
/// [`run`](Self::run) needs no equation at all.
///
/// ```
/// use numeric::{Noise, Time, TimeGrid, ndarray::array};
/// use sde_core::{BrownianMotion, Keep, LinearBridge, Start};
/// # fn main() -> Result<(), numeric::Error> {
/// // Brownian motion from 1 at time 0 to 3 at time 2; halfway it is N(2, 1/2).
/// let bridge = LinearBridge::new(BrownianMotion::new(1.0)?, array![3.0], Time::of(2.0))?;
/// let halfway = bridge.kernel(Time::of(0.0), Time::of(1.0))?;
/// assert!((halfway.of_state - 0.5).abs() < 1e-15 && (halfway.of_end - 0.5).abs() < 1e-15);
/// assert!((halfway.std - 0.5_f64.sqrt()).abs() < 1e-15);
/// let grid = TimeGrid::from_nodes(vec![0.0, 0.3, 1.0, 2.0])?;
/// let start = Start::Point(&[1.0]);
/// let paths = bridge.run(&grid, start, Keep::All, 0..50, Noise::new(1), Default::default())?;
/// assert_eq!(paths.states.dim(), (50, 4, 1));
/// assert!((0..50).all(|i| paths.states[(i, 0, 0)] == 1.0 && paths.states[(i, 3, 0)] == 3.0));
/// # Ok(()) }
/// ```
///
/// # References
/// Särkkä, Solin (2019), *Applied stochastic differential equations*, chapters 6 (linear equations) and 7 (Doob's
/// h-transform).
#[derive(Clone, Debug)]
pub struct LinearBridge<P> {
    process: P,
    end: Array1<f64>,
    at: Time,
}

/// The Gaussian transition of a bridge: `X_t ~ N(of_state · x + of_end · z, std² I)`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct BridgeKernel {
    /// Factor of the state that it starts from.
    pub of_state: f64,
    /// Factor of the end point.
    pub of_end: f64,
    /// Standard deviation.
    pub std: f64,
}

impl<P: LinearProcess> LinearBridge<P> {
    /// The process conditioned to be at `end`, of length d, at the time `at`.
    ///
    /// # Errors
    /// [`Error::Shape`] for no coordinate, [`Error::Entry`] for an end that is not finite, [`Error::Domain`] for a
    /// time that is not finite.
    pub fn new(process: P, end: Array1<f64>, at: Time) -> Result<LinearBridge<P>, Error> {
        if end.is_empty() {
            return Err(Error::Shape { parameter: "end", expected: vec![1], found: vec![0] });
        }
        Error::entries("end", end.iter().copied(), "a finite number", f64::is_finite)?;
        Error::domain(at.t.is_finite(), "at", at.t, "a finite time")?;
        Ok(LinearBridge { process, end: end.as_standard_layout().into_owned(), at })
    }

    /// The exact transition between two times up to T. To T itself it is the end point.
    ///
    /// # Errors
    /// [`Error::Domain`] unless `from` ≤ `to` ≤ T, at times where the process has signal.
    pub fn kernel(&self, from: Time, to: Time) -> Result<BridgeKernel, Error> {
        let (factor, std) = self.process.transition(from, to)?;
        let (onward, left) = self.process.transition(to, self.at)?;
        // Both variances are 0 only at T.
        let total = left * left + (onward * std).powi(2);
        if total == 0.0 {
            return Ok(BridgeKernel { of_state: 0.0, of_end: 1.0, std: 0.0 });
        }
        Ok(BridgeKernel {
            of_state: left * left / total * factor,
            of_end: onward * std * std / total,
            std: std * left / total.sqrt(),
        })
    }

    /// Replaces the rows `x`, `(n, d)`, at `from` by exact draws at `to` ≤ T, with the normals of step `index`.
    ///
    /// # Errors
    /// As [`kernel`](Self::kernel); [`Error::Shape`] for rows of another length.
    ///
    /// # Panics
    /// If `x` is not in standard layout, or for `rows` that [`Noise::normals_into`] does not take.
    pub fn step_into<F: Real>(
        &self,
        rows: &[u64],
        index: u64,
        (from, to): (Time, Time),
        noise: Noise,
        x: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        Error::shape("x", &[rows.len(), self.end.len()], x.shape())?;
        let kernel = self.kernel(from, to)?;
        let (a, s) = (F::of(kernel.of_state), F::of(kernel.std));
        let [mut z] = take_rows::<F, 1>(scratch, x.dim());
        noise.normals_into(rows, index, &mut z);
        let end = self.end.as_slice().expect("made contiguous");
        with_row(
            slice_mut(x),
            slice(&z),
            end,
            #[inline(always)]
            |x, z, end| a * x + F::of(kernel.of_end * end) + s * z,
        );
        put_rows(scratch, [z]);
        Ok(())
    }

    /// Exact paths on the nodes of a grid, from `start` at its first node; the last node may be T.
    ///
    /// The transitions are exact, so that the nodes are the times that are wanted and no others are needed.
    ///
    /// # Randomness
    /// Step k takes d normals per row from the stream "path". Row i depends on (noise, i) and its start only.
    ///
    /// # Errors
    /// As [`kernel`](Self::kernel) and for a grid that goes backwards; [`Error::Shape`] or [`Error::NotFinite`] for a
    /// start that does not fit or is not finite; [`Error::Entry`] for nodes to keep that are not increasing nodes of the
    /// grid; [`Error::Unsupported`] for [`Start::Prior`]; [`Error::Cancelled`].
    pub fn run<F: Real>(
        &self,
        grid: &TimeGrid,
        start: Start<'_, F>,
        keep: Keep<'_, F>,
        rows: Range<u64>,
        noise: Noise,
        control: Control<'_>,
    ) -> Result<Trajectory<F>, Error> {
        let dim = self.end.len();
        let mut course = GridRun { grid, start, keep, rows, dim, batching: Batching::default() };
        course.batching = filled(course.batching, dim, course.count());
        start.check_given("a bridge", course.count(), dim)?;
        for (from, to) in grid.pairs() {
            self.kernel(from, to)?;
        }
        let path = noise.fork("path");
        let (times, states) = course.run(control, None, |rows, x, scratch, seen| {
            for (k, step) in grid.pairs().enumerate() {
                self.step_into(rows, k as u64, step, path, x, scratch)?;
                seen.at(k + 1, x)?;
            }
            Ok(())
        })?;
        let accepted = (course.count() * grid.steps()) as u64;
        Ok(Trajectory { times, states, statistics: Statistics { calls: accepted, accepted, rejected: 0 } })
    }

    /// Coefficients of the drift at a time before T, as (a, b) of `a x + b z`.
    fn drift(&self, time: Time) -> Result<(f64, f64), Error> {
        let (onward, left) = self.process.transition(time, self.at)?;
        Error::domain(left > 0.0, "time", time.t, "a time before the end of the bridge")?;
        let free = self.process.drift_and_diffusion(time);
        let pull = free.diffusion_squared * onward / (left * left);
        Ok((free.drift - pull * onward, pull))
    }
}

impl<F: Real, P: LinearProcess> Sde<F> for LinearBridge<P> {
    fn dim(&self) -> usize {
        self.end.len()
    }

    fn noise_dim(&self) -> usize {
        self.end.len()
    }

    fn reading(&self) -> Reading {
        Reading::Ito
    }

    fn noise_class(&self) -> NoiseClass {
        NoiseClass::Additive
    }

    /// # Errors
    /// [`Error::Domain`] at T and after it.
    fn drift_into(&self, batch: &Batch<'_, F>, out: &mut ArrayRef2<F>, _: &mut Scratch) -> Result<(), Error> {
        let same = match batch.times() {
            Times::Same(time) => Some(self.drift(time)?),
            Times::PerRow(_) => None,
        };
        for (i, (mut out, x)) in out.rows_mut().into_iter().zip(batch.x().rows()).enumerate() {
            let (a, b) = match same {
                Some(coefficients) => coefficients,
                None => self.drift(batch.times().get(i))?,
            };
            for ((out, &x), &end) in out.iter_mut().zip(x).zip(&self.end) {
                *out = F::of(a) * x + F::of(b * end);
            }
        }
        Ok(())
    }

    fn diffuse_into(
        &self,
        batch: &Batch<'_, F>,
        w: &ArrayRef2<F>,
        out: &mut ArrayRef2<F>,
        _: &mut Scratch,
    ) -> Result<(), Error> {
        for (i, (mut out, w)) in out.rows_mut().into_iter().zip(w.rows()).enumerate() {
            let free = self.process.drift_and_diffusion(batch.times().get(i));
            let g = F::of(free.diffusion_squared.sqrt());
            out.zip_mut_with(&w, |out, &w| *out = g * w);
        }
        Ok(())
    }

    fn diffuse_derivative_into(
        &self,
        _: &Batch<'_, F>,
        _: &ArrayRef2<F>,
        _: &ArrayRef2<F>,
        out: &mut ArrayRef2<F>,
        _: &mut Scratch,
    ) -> Result<(), Error> {
        out.fill(F::zero());
        Ok(())
    }
}
