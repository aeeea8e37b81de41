//! The reference: the posterior's mode, and independent draws weighted for what they miss of the posterior.

use girsanov::ndarray::{Array1, Array2, ArrayRef2, s};
use numeric::estimate::LogMeanExpAccumulator;
use numeric::{Batching, Control, Error, Estimate, LogDensity, Noise, run_blocks};

use crate::posterior::{Likelihood, Posterior};

/// Degrees of freedom of the proposal.
const FREEDOM: usize = 16;
/// Rounds before the last, of a quarter of its draws, in which the proposal learns its mean and covariance.
pub(crate) const PILOTS: u64 = 2;

/// A Gaussian that is close to the posterior.
pub(crate) struct Gaussian {
    mean: Array1<f64>,
    /// The lower factor L of the covariance `L Lᵀ`.
    factor: Array2<f64>,
}

impl Gaussian {
    /// `mean + L z` for each row of z, scaled by `scale(row)`.
    pub(crate) fn at(&self, mut z: Array2<f64>) -> Array2<f64> {
        for mut z in z.rows_mut() {
            let draw = self.factor.dot(&z) + &self.mean;
            z.assign(&draw);
        }
        z
    }
}

/// The mode of the posterior, with its curvature.
pub(crate) struct Mode {
    pub(crate) gaussian: Gaussian,
    /// Largest eigenvalue of the Hessian of −log π.
    pub(crate) stiffest: f64,
}

impl Mode {
    /// Newton's method, with steps halved until they climb: −log π is strictly convex.
    pub(crate) fn of(posterior: &Posterior) -> Result<Mode, Error> {
        let d = posterior.dim();
        let value = |x: &Array2<f64>| {
            let mut out = [0.0];
            posterior.ln_density_into(x, &mut out).map(|()| out[0])
        };
        let (mut x, mut gradient) = (Array2::zeros((1, d)), Array2::zeros((1, d)));
        let (mut height, mut gain) = (value(&x)?, f64::NAN);
        for _ in 0..100 {
            posterior.gradient_into(&x, &mut gradient)?;
            let mean = x.row(0).to_owned();
            let hessian = posterior.hessian(&mean);
            let covariance = inverse(&hessian)?;
            let step = covariance.dot(&gradient.row(0));
            // Twice what a quadratic would still climb.
            gain = step.dot(&gradient.row(0));
            if gain < 1e-14 * (1.0 + height.abs()) {
                let gaussian = Gaussian { mean, factor: cholesky("covariance at the mode", &covariance)? };
                return Ok(Mode { gaussian, stiffest: largest_eigenvalue(&hessian) });
            }
            let mut part = 1.0;
            let mut next = &x + &step;
            while !(value(&next)? > height) && part > 1e-9 {
                part *= 0.5;
                next = &x + &(&step * part);
            }
            height = value(&next)?;
            x = next;
        }
        Err(Error::NotConverged { routine: "Newton", iterations: 100, residual: gain })
    }
}

/// Draws of the posterior with weights that sum to 1.
pub(crate) struct Reference {
    draws: Array2<f64>,
    /// log π of the draws.
    pub(crate) ln_density: Vec<f64>,
    weights: Vec<f64>,
    pub(crate) effective_sample_size: f64,
}

impl Reference {
    /// Self-normalised importance sampling: around the mode at first, then with the mean and covariance that the
    /// round before gave.
    pub(crate) fn new(
        target: &impl LogDensity,
        mode: &Mode,
        draws: u64,
        noise: Noise,
    ) -> Result<Reference, Error> {
        let pilot = |centre: &Gaussian, round: u64| {
            let noise = noise.fork("pilot").fork_index(round);
            Reference::around(target, centre, draws / 4, noise)?.gaussian()
        };
        let mut centre = pilot(&mode.gaussian, 0)?;
        for round in 1..PILOTS {
            centre = pilot(&centre, round)?;
        }
        Reference::around(target, &centre, draws, noise)
    }

    /// Proposes from the multivariate t law, not from the Gaussian itself: far out the likelihood is flat and only the
    /// prior is left, whose tails are wider than the Gaussian's, so that the weights would have no variance. The
    /// tails of t are wider than any.
    fn around(
        target: &impl LogDensity,
        centre: &Gaussian,
        draws: u64,
        noise: Noise,
    ) -> Result<Reference, Error> {
        let d = target.dim();
        let blocks = run_blocks(0..draws, Batching::default(), Control::default(), |rows, _| {
            let rows: Vec<u64> = rows.collect();
            let mut normals = Array2::zeros((rows.len(), d + FREEDOM));
            noise.normals_into(&rows, 0, &mut normals);
            let mut z = normals.slice(s![.., ..d]).to_owned();
            let mut ln_weights = Vec::with_capacity(rows.len());
            for (mut z, normals) in z.rows_mut().into_iter().zip(normals.rows()) {
                let chi_squared: f64 = normals.iter().skip(d).map(|x| x * x).sum();
                z *= (FREEDOM as f64 / chi_squared).sqrt();
                let exponent = 0.5 * (FREEDOM + d) as f64;
                ln_weights.push(exponent * (z.dot(&z) / FREEDOM as f64).ln_1p());
            }
            let x = centre.at(z);
            let mut ln_density = vec![0.0; rows.len()];
            target.ln_density_into(&x, &mut ln_density)?;
            ln_weights.iter_mut().zip(&ln_density).for_each(|(weight, density)| *weight += density);
            Ok((x.into_raw_vec_and_offset().0, ln_density, ln_weights))
        })?;
        let (mut x, mut ln_density, mut ln_weights) = (Vec::new(), Vec::new(), Vec::new());
        for (block, densities, weights) in blocks {
            x.extend(block);
            ln_density.extend(densities);
            ln_weights.extend(weights);
        }
        let sum = LogMeanExpAccumulator::from_log_weights(0, &ln_weights)?.value()?;
        let ln_sum = sum.ln_mean() + (ln_weights.len() as f64).ln();
        Ok(Reference {
            draws: Array2::from_shape_vec((ln_weights.len(), d), x).expect("rows of length d"),
            ln_density,
            weights: ln_weights.iter().map(|l| (l - ln_sum).exp()).collect(),
            effective_sample_size: sum.effective_sample_size(),
        })
    }

    /// The Gaussian with the mean and covariance of the weighted draws.
    fn gaussian(&self) -> Result<Gaussian, Error> {
        let d = self.draws.ncols();
        let weighted = || self.draws.rows().into_iter().zip(&self.weights);
        let mut mean = Array1::zeros(d);
        weighted().for_each(|(x, &w)| mean.scaled_add(w, &x));
        let mut covariance = Array2::zeros((d, d));
        for (x, &w) in weighted() {
            let x = &x - &mean;
            for (mut row, &a) in covariance.rows_mut().into_iter().zip(&x) {
                row.scaled_add(w * a, &x);
            }
        }
        Ok(Gaussian { mean, factor: cholesky("covariance of the reference", &covariance)? })
    }

    /// Posterior mean of a function of the draws, with its standard error (delta method).
    pub(crate) fn mean(&self, values: &[f64]) -> Estimate {
        let weighted = || self.weights.iter().zip(values);
        let mean: f64 = weighted().map(|(w, v)| w * v).sum();
        let square: f64 = weighted().map(|(w, v)| (w * (v - mean)).powi(2)).sum();
        Estimate { mean, std_error: square.sqrt(), n: values.len() as u64 }
    }

    /// Number of coefficients.
    pub(crate) fn dim(&self) -> usize {
        self.draws.ncols()
    }

    /// A coordinate of the draws.
    pub(crate) fn coordinate(&self, j: usize) -> Vec<f64> {
        self.draws.column(j).to_vec()
    }

    pub(crate) fn predictive(&self, of: &Likelihood) -> Result<Predictive, Error> {
        Predictive::new(of, &self.draws, |i| self.weights[i])
    }
}

/// What the draws say of held-out rows.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub(crate) struct Predictive {
    /// Mean over the rows of the logarithm of the posterior probability of what was found, nats.
    pub(crate) log_likelihood: f64,
    /// Share of rows whose diagnosis had more than half the probability.
    pub(crate) accuracy: f64,
}

impl Predictive {
    /// Of draws with weights that sum to 1.
    pub(crate) fn new(
        likelihood: &Likelihood,
        draws: &ArrayRef2<f64>,
        weight: impl Fn(usize) -> f64 + Sync,
    ) -> Result<Predictive, Error> {
        let n = likelihood.rows();
        let rows = 0..draws.nrows() as u64;
        let batching = Batching { rows: 4096, ..Batching::default() };
        let blocks = run_blocks(rows, batching, Control::default(), |rows, _| {
            let (from, to) = (rows.start as usize, rows.end as usize);
            let mut sums = vec![0.0; n];
            likelihood.probabilities(&draws.slice(s![from..to, ..]).to_owned(), |i, probabilities| {
                let weight = weight(from + i);
                sums.iter_mut().zip(probabilities).for_each(|(sum, p)| *sum += weight * p);
            });
            Ok(sums)
        })?;
        let mut probabilities = vec![0.0; n];
        for block in blocks {
            probabilities.iter_mut().zip(block).for_each(|(sum, part)| *sum += part);
        }
        let mean = |f: fn(f64) -> f64| probabilities.iter().map(|&p| f(p)).sum::<f64>() / n as f64;
        Ok(Predictive { log_likelihood: mean(f64::ln), accuracy: mean(|p| if p > 0.5 { 1.0 } else { 0.0 }) })
    }
}

/// The lower factor of a symmetric positive definite matrix.
fn cholesky(parameter: &'static str, matrix: &Array2<f64>) -> Result<Array2<f64>, Error> {
    let d = matrix.nrows();
    let mut factor: Array2<f64> = Array2::zeros((d, d));
    for i in 0..d {
        for j in 0..=i {
            let known = factor.slice(s![i, ..j]).dot(&factor.slice(s![j, ..j]));
            let left = matrix[(i, j)] - known;
            factor[(i, j)] = if i > j { left / factor[(j, j)] } else { left.sqrt() };
        }
        if !(factor[(i, i)] > 0.0) {
            return Err(Error::NotPositiveDefinite { parameter, index: 0 });
        }
    }
    Ok(factor)
}

/// The inverse of a symmetric positive definite matrix.
fn inverse(matrix: &Array2<f64>) -> Result<Array2<f64>, Error> {
    let factor = cholesky("Hessian", matrix)?;
    let d = matrix.nrows();
    let mut x = Array2::eye(d);
    // L⁻¹ from above, then L⁻ᵀ L⁻¹ from below.
    for i in 0..d {
        for k in 0..i {
            let (known, mut row) = x.multi_slice_mut((s![k, ..], s![i, ..]));
            row.scaled_add(-factor[(i, k)], &known);
        }
        x.row_mut(i).mapv_inplace(|x| x / factor[(i, i)]);
    }
    for i in (0..d).rev() {
        for k in i + 1..d {
            let (known, mut row) = x.multi_slice_mut((s![k, ..], s![i, ..]));
            row.scaled_add(-factor[(k, i)], &known);
        }
        x.row_mut(i).mapv_inplace(|x| x / factor[(i, i)]);
    }
    Ok(x)
}

/// By the power method, to about a per cent.
fn largest_eigenvalue(matrix: &Array2<f64>) -> f64 {
    let mut vector = Array1::ones(matrix.nrows());
    let mut length = 0.0;
    for _ in 0..200 {
        vector = matrix.dot(&vector);
        length = vector.dot(&vector).sqrt();
        vector /= length;
    }
    length
}
