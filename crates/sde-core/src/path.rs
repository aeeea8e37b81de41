//! Girsanov's theorem along simulated paths: the weights between two equations with the same noise.

use std::ops::Range;

use nalgebra::DMatrix;
use numeric::estimate::{LogMeanExp, LogMeanExpAccumulator, MeanAccumulator};
use numeric::ndarray::{Array2, ArrayRef2, ArrayViewMut2};
use numeric::{Batch, Control, Error, Estimate, Noise, Real, Scratch, TimeGrid, Times, run_blocks};

use crate::{NoiseClass, Reading, Sde, Start, Statistics};

/// Two Itô equations that differ in their drift only, on one grid: `dX = f dt + g dW` (P) and `dX = f̃ dt + g dW` (Q).
///
/// Both laws are those of the Euler–Maruyama chains on the grid, and for them everything here is exact: the
/// transitions are Gaussians with the same covariance, so that along a path of increments W of P
///
/// ```math
/// \ln \frac{dQ}{dP} = \sum_k \theta_k \cdot W_k - \tfrac12 \sum_k |\theta_k|^2 h_k,
/// \qquad g(t_k, X_k)\, \theta_k = \tilde f(t_k, X_k) - f(t_k, X_k),
/// ```
///
/// which is Girsanov's theorem for the equations as the steps go to 0. If the difference of the drifts is not in the
/// range of g the laws are singular, and that is an error.
///
/// ```
/// use numeric::{Noise, TimeGrid};
/// use sde_core::{ChangeOfDrift, Drawn, Start};
/// # use numeric::{Batch, Error, Real, Scratch, ndarray::ArrayRef2};
/// # use sde_core::{NoiseClass, Reading, Sde};
/// # struct Brownian { drift: f64 }
/// # impl<F: Real> Sde<F> for Brownian {
/// #     fn dim(&self) -> usize { 1 }
/// #     fn noise_dim(&self) -> usize { 1 }
/// #     fn reading(&self) -> Reading { Reading::Ito }
/// #     fn noise_class(&self) -> NoiseClass { NoiseClass::Additive }
/// #     fn drift_into(&self, _: &Batch<'_, F>, out: &mut ArrayRef2<F>, _: &mut Scratch) -> Result<(), Error> {
/// #         out.fill(F::of(self.drift));
/// #         Ok(())
/// #     }
/// #     fn diffuse_into(&self, _: &Batch<'_, F>, w: &ArrayRef2<F>, out: &mut ArrayRef2<F>, _: &mut Scratch) -> Result<(), Error> {
/// #         out.assign(w);
/// #         Ok(())
/// #     }
/// # }
/// // Brownian motion without and with a drift of 1/2, for a time of 2: KL(P|Q) = ½ (1/2)² 2.
/// let grid = TimeGrid::uniform(0.0, 2.0, 10)?;
/// let change = ChangeOfDrift { p: Brownian { drift: 0.0 }, q: Brownian { drift: 0.5 }, grid };
/// let paths = change.run(Drawn::FromP, Start::Point(&[0.0]), 0..1000, Noise::new(1), Default::default())?;
/// assert!((paths.path_kl()?.mean - 0.25).abs() < 1e-12);
/// // The weights carry expectations of P over to Q: the mean of X is 1.
/// let mean = paths.reweighted(|x: &[f64]| x[0])?;
/// assert!((mean.mean - 1.0).abs() < 4.0 * mean.std_error);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// Girsanov (1960), *On transforming a certain class of stochastic processes by absolutely continuous substitution of
/// measures*. Kloeden, Platen (1992), *Numerical solution of stochastic differential equations*, section 16.2.
#[derive(Clone, Debug)]
pub struct ChangeOfDrift<E, G> {
    /// The equation P.
    pub p: E,
    /// The equation Q: the same diffusion coefficient, another drift.
    pub q: G,
    /// The nodes of the Euler steps.
    pub grid: TimeGrid,
}

/// Which of the two laws the paths are drawn from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drawn {
    /// From P; the weights are `dQ/dP`.
    FromP,
    /// From Q; the weights are `dP/dQ`.
    FromQ,
}

/// Paths of one law with their weights for the other.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightedPaths<F> {
    /// Final states, `(n, d)`.
    pub states: Array2<F>,
    /// Logarithm of the density of the other law with respect to this one, of each path. Nats.
    pub ln_weights: Vec<f64>,
    /// `½ Σ |θ|² h` of each path. Nats.
    pub energies: Vec<f64>,
    /// Absolute number of the first row.
    pub first_row: u64,
    /// What the run cost; both drifts are counted.
    pub statistics: Statistics,
}

impl<F: Real> WeightedPaths<F> {
    /// The divergence of this law of paths from the other, `KL(this | other) = E ½ Σ |θ|² h`, in nats: exact for the
    /// Euler chains up to the standard error, and of smaller variance than the mean of `−ln w`.
    ///
    /// # Errors
    /// [`Error::Domain`] for no path.
    pub fn path_kl(&self) -> Result<Estimate, Error> {
        MeanAccumulator::from_values(self.first_row, &self.energies)?.estimate()
    }

    /// The logarithm of the mean weight, whose expectation before the logarithm is 1, and the effective sample size
    /// of the weights.
    ///
    /// # Errors
    /// [`Error::Domain`] for no path.
    pub fn mean_weight(&self) -> Result<LogMeanExp, Error> {
        LogMeanExpAccumulator::from_log_weights(self.first_row, &self.ln_weights)?.value()
    }

    /// `E φ(X)` under the *other* law, by the weighted mean: unbiased, with its standard error.
    ///
    /// Where laws are far apart a few of the weights are nearly all of their sum, and mean and standard error are as good as those
    /// few: see the effective sample size of [`mean_weight`](Self::mean_weight).
    ///
    /// # Errors
    /// [`Error::Domain`] for no path, or if the largest weight is no normal number of `f64`; [`Error::Entry`] for a weight that is
    /// NaN or infinite, and for values that a [`MeanAccumulator`] does not take.
    ///
    /// # Panics
    /// If `states` was replaced by an array that is not in standard layout.
    pub fn reweighted(&self, phi: impl Fn(&[F]) -> f64) -> Result<Estimate, Error> {
        let largest = self.largest_ln_weight()?;
        let range = f64::MIN_POSITIVE.ln()..=f64::MAX.ln();
        let expected = "from −708 to 709, so that the weight is a normal number";
        Error::domain(range.contains(&largest), LARGEST, largest, expected)?;
        // Relative to the largest, so that no square of a weight underflows that counts.
        let Estimate { mean, std_error, n } = self.mean(largest, phi)?;
        Ok(Estimate { mean: largest.exp() * mean, std_error: largest.exp() * std_error, n })
    }

    /// `E φ(X)` under the *other* law, by the mean with weights that add up to 1: biased by O(1/n), consistent, and the same
    /// whatever all weights are multiplied by, so that none underflows that counts. The standard error is that of the delta
    /// method,
    ///
    /// ```math
    /// \hat\varphi = \frac{\sum_i w_i \varphi_i}{\sum_i w_i}, \qquad
    /// \mathrm{se}^2 = \frac{1}{n(n-1)} \sum_i \Bigl(\frac{w_i (\varphi_i - \hat\varphi)}{\bar w}\Bigr)^2 ,
    /// ```
    ///
    /// which means something if many weights count (see the effective sample size of [`mean_weight`](Self::mean_weight)): where
    /// one path has more than half of all weight it is infinite.
    ///
    /// # Errors
    /// [`Error::Domain`] for no path, or if all weights are 0; [`Error::Entry`] for a weight that is NaN or infinite, and for
    /// values that a [`MeanAccumulator`] does not take.
    ///
    /// # Panics
    /// If `states` was replaced by an array that is not in standard layout.
    ///
    /// # References
    /// Owen (2013), *Monte Carlo theory, methods and examples*, section 9.2.
    pub fn self_normalised(&self, phi: impl Fn(&[F]) -> f64) -> Result<Estimate, Error> {
        let largest = self.largest_ln_weight()?;
        let some = largest != f64::NEG_INFINITY;
        Error::domain(some, LARGEST, largest, "above −∞, since all weights are 0")?;
        let Estimate { mean: weight, n, .. } = self.mean(largest, |_| 1.0)?;
        let mean = self.mean(largest, &phi)?.mean / weight;
        let spread = self.mean(largest, |x| (phi(x) - mean) / weight)?.std_error;
        // The largest weight is 1 there.
        let alone = 1.0 > 0.5 * weight * n as f64;
        Ok(Estimate { mean, std_error: if alone { f64::INFINITY } else { spread }, n })
    }

    fn largest_ln_weight(&self) -> Result<f64, Error> {
        Error::domain(!self.ln_weights.is_empty(), "paths", 0.0, "at least 1")?;
        let weights = self.ln_weights.iter().copied();
        Error::entries("ln_weights", weights.clone(), "a number below ∞", |w| w < f64::INFINITY)?;
        Ok(weights.fold(f64::NEG_INFINITY, f64::max))
    }

    /// The mean of `w φ(x) e^{−shift}`.
    fn mean(&self, shift: f64, phi: impl Fn(&[F]) -> f64) -> Result<Estimate, Error> {
        let rows = self.states.rows().into_iter().zip(&self.ln_weights);
        let values: Vec<f64> = rows
            .map(|(x, ln_weight)| {
                (ln_weight - shift).exp() * phi(x.to_slice().expect("made in standard layout"))
            })
            .collect();
        MeanAccumulator::from_values(self.first_row, &values)?.estimate()
    }
}

const LARGEST: &str = "the largest ln weight";

/// What a block of paths yields: states, log-weights, energies.
type Block<F> = (Vec<F>, Vec<f64>, Vec<f64>);

impl<E, G> ChangeOfDrift<E, G> {
    /// Euler–Maruyama paths of one law with their log-weights for the other.
    ///
    /// # Randomness
    /// m normals per row and step from the stream "path", as in every run on this grid.
    ///
    /// # Complexity
    /// Both drifts and two products with g per step for diagonal noise; m + 2 products, and a pseudo-inverse per row
    /// (for additive noise one for all rows), otherwise.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a Stratonovich equation whose noise is not additive, a grid of the wrong direction, equations
    /// whose rows see each other, or [`Start::Prior`]; [`Error::Shape`] if the equations or the start do not fit each other; [`Error::Model`] where
    /// the drifts differ outside the range of g: the laws are singular; the equations' own errors.
    ///
    /// # Panics
    /// Never by itself.
    pub fn run<F: Real>(
        &self,
        drawn: Drawn,
        start: Start<'_, F>,
        rows: Range<u64>,
        noise: Noise,
        control: Control<'_>,
    ) -> Result<WeightedPaths<F>, Error>
    where
        E: Sde<F>,
        G: Sde<F>,
    {
        let d = self.check::<F>()?;
        let first_row = rows.start;
        let count = rows.end.saturating_sub(rows.start) as usize;
        start.check_given("change of drift", count, d)?;
        let path = noise.fork("path");
        let blocks = run_blocks(rows, self.p.batching(), control, |rows, scratch| {
            self.block(drawn, start, rows, first_row, path, scratch)
        })?;
        let mut out = WeightedPaths {
            states: Array2::zeros((0, d)),
            ln_weights: Vec::with_capacity(count),
            energies: Vec::with_capacity(count),
            first_row,
            statistics: Statistics::default(),
        };
        let mut states = Vec::with_capacity(count * d);
        for (x, ln_weights, energies) in blocks {
            states.extend(x);
            out.ln_weights.extend(ln_weights);
            out.energies.extend(energies);
        }
        out.states = Array2::from_shape_vec((count, d), states).expect("whole rows");
        let accepted = (count * self.grid.steps()) as u64;
        out.statistics = Statistics { calls: 2 * accepted, accepted, rejected: 0 };
        Ok(out)
    }

    fn check<F: Real>(&self) -> Result<usize, Error>
    where
        E: Sde<F>,
        G: Sde<F>,
    {
        let refuse = |reason| Err(Error::Unsupported { method: "change of drift", reason });
        let (d, m) = (self.p.dim(), self.p.noise_dim());
        Error::shape("q", &[d, m], &[self.q.dim(), self.q.noise_dim()])?;
        let euler = |reading, class| reading == Reading::Ito || class == NoiseClass::Additive;
        if !(euler(self.p.reading(), self.p.noise_class()) && euler(self.q.reading(), self.q.noise_class())) {
            return refuse("Euler steps need the Itô reading of noise that depends on the state");
        }
        if self.p.backward() != self.q.backward() || self.p.backward() == self.grid.is_forward() {
            return refuse("the grid must go the way that both equations are meant for");
        }
        if !(self.p.batching().rowwise && self.q.batching().rowwise) {
            return refuse("fields must compute each row from that row alone");
        }
        Ok(d)
    }

    fn block<F: Real>(
        &self,
        drawn: Drawn,
        start: Start<'_, F>,
        rows: Range<u64>,
        first_row: u64,
        path: Noise,
        scratch: &mut Scratch,
    ) -> Result<Block<F>, Error>
    where
        E: Sde<F>,
        G: Sde<F>,
    {
        let (d, m) = (self.p.dim(), self.p.noise_dim());
        let rows: Vec<u64> = rows.collect();
        let n = rows.len();
        let mut state = vec![F::zero(); n * d];
        let mut x = ArrayViewMut2::from_shape((n, d), &mut state).expect("sized above");
        start.write(&rows, first_row, self.grid.first(), &mut x, None)?;
        let [mut drift, mut gap, mut moved] = [(); 3].map(|()| Array2::<F>::zeros((n, d)));
        let [mut w, mut theta] = [(); 2].map(|()| Array2::<F>::zeros((n, m)));
        let (mut ln_weights, mut energies) = (vec![0.0; n], vec![0.0; n]);
        let sign = if drawn == Drawn::FromP { 1.0 } else { -1.0 };
        for (k, (from, _)) in self.grid.pairs().enumerate() {
            let h = self.grid.length(k);
            let batch = Batch::new(&rows, Times::Same(from), &x);
            self.p.drift_into(&batch, &mut drift, scratch)?;
            self.q.drift_into(&batch, &mut gap, scratch)?;
            if drawn == Drawn::FromQ {
                std::mem::swap(&mut drift, &mut gap);
            }
            // `drift` is that of the law that is drawn from; `gap` becomes f̃ − f.
            gap.zip_mut_with(&drift, |other, &own| *other = F::of(sign) * (*other - own));
            solve_noise(&self.p, &batch, &gap, &mut theta, scratch)?;
            self.p.diffuse_into(&batch, &theta, &mut moved, scratch)?;
            check_range(&rows, &gap, &moved)?;
            path.normals_into(&rows, k as u64, &mut w);
            w.mapv_inplace(|z| F::of(h.sqrt()) * z);
            for (i, (theta, w)) in theta.rows().into_iter().zip(w.rows()).enumerate() {
                let (mut along, mut square) = (0.0, 0.0);
                for (theta, w) in theta.iter().zip(w) {
                    along += theta.as_f64() * w.as_f64();
                    square += theta.as_f64() * theta.as_f64();
                }
                ln_weights[i] += sign * along - 0.5 * h * square;
                energies[i] += 0.5 * h * square;
            }
            self.p.diffuse_into(&batch, &w, &mut moved, scratch)?;
            let h = F::of(h);
            for ((x, &f), &dw) in x.iter_mut().zip(&drift).zip(&moved) {
                *x += h * f + dw;
            }
            numeric::check_finite("the state", &rows, k as u64, from.t, x.view())?;
        }
        Ok((state, ln_weights, energies))
    }
}

/// Writes the θ of least norm with `g θ = gap`, as far as there is one, over `theta`, `(n, m)`.
fn solve_noise<F: Real, E: Sde<F>>(
    sde: &E,
    batch: &Batch<'_, F>,
    gap: &ArrayRef2<F>,
    theta: &mut ArrayRef2<F>,
    scratch: &mut Scratch,
) -> Result<(), Error> {
    let (n, d) = gap.dim();
    let m = theta.ncols();
    if sde.noise_class() == NoiseClass::Diagonal {
        let mut scales = Array2::zeros((n, d));
        sde.diffuse_into(batch, &Array2::ones((n, m)), &mut scales, scratch)?;
        for ((theta, &gap), &scale) in theta.iter_mut().zip(gap).zip(&scales) {
            // Where there is no noise the drifts must agree; `check_range` sees to it.
            *theta = if scale == F::zero() { F::zero() } else { gap / scale };
        }
        return Ok(());
    }
    let mut unit = Array2::zeros((n, m));
    let mut columns = Vec::with_capacity(m);
    for j in 0..m {
        unit.fill(F::zero());
        unit.column_mut(j).fill(F::one());
        let mut column = Array2::zeros((n, d));
        sde.diffuse_into(batch, &unit, &mut column, scratch)?;
        columns.push(column);
    }
    let inverse = |row: usize| {
        let g = DMatrix::from_fn(d, m, |i, j| columns[j][(row, i)].as_f64());
        let smallest = f64::EPSILON * d.max(m) as f64 * g.norm();
        g.pseudo_inverse(smallest)
            .map_err(|_| Error::Model { row: batch.rows()[row], message: NO_INVERSE.into() })
    };
    let additive = sde.noise_class() == NoiseClass::Additive;
    let mut current = DMatrix::zeros(0, 0);
    for i in 0..n {
        if i == 0 || !additive {
            current = inverse(i)?;
        }
        for j in 0..m {
            theta[(i, j)] = F::of((0..d).map(|l| current[(j, l)] * gap[(i, l)].as_f64()).sum());
        }
    }
    Ok(())
}

const NO_INVERSE: &str = "the diffusion coefficient has no pseudo-inverse";

/// An error if `g θ` is not the difference of the drifts, up to the square root of the rounding.
fn check_range<F: Real>(rows: &[u64], gap: &ArrayRef2<F>, moved: &ArrayRef2<F>) -> Result<(), Error> {
    for ((&row, gap), moved) in rows.iter().zip(gap.rows()).zip(moved.rows()) {
        let (mut size, mut rest) = (0.0, 0.0);
        for (&gap, &moved) in gap.iter().zip(moved) {
            size += gap.as_f64().powi(2);
            rest += (gap - moved).as_f64().powi(2);
        }
        // Squares on both sides; NaN fails.
        if !(rest <= F::epsilon().as_f64() * size) {
            let message = "the drifts differ outside the range of the diffusion coefficient, so that the laws are singular";
            return Err(Error::Model { row, message: message.into() });
        }
    }
    Ok(())
}
