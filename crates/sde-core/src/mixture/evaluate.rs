//! Weights and readouts of a mixture at one noise level, for a block of rows.
//!
//! At the level (α, σ) component i is Gaussian with eigenvalues `λ = α² c + σ²`: `λ_0` of its floor and `λ_j` in
//! its directions, where the row has coordinates `y_j = u_j·(x − α m_i)`. Everything is computed from the
//! products `x·m_i`, `y` and their way back:
//!
//! ```math
//! \log N_i = -\frac{|x - \alpha m_i|^2}{2\lambda_0} + \frac12 \sum_j \Big(\frac1{\lambda_0} - \frac1{\lambda_j}\Big) y_j^2
//!            - \frac12\sum \log 2\pi\lambda, \qquad
//! \text{readout} = \sum_i r_i \Big[ \kappa_i (x - \alpha m_i) + \rho_i m_i + \sum_j \gamma_{ij} y_j u_j \Big],
//! ```
//!
//! with the responsibilities `r`. Score and posterior mean are readouts with different (κ, ρ, γ).

mod per_row;

use numeric::{Error, Packed, Real, softmax_columns, vectorize};

use super::Mixture;
use super::spectrum::Directions;
use crate::sum::{dot, weighted_square};

pub(super) use per_row::Columns;

/// The parameters of a mixture as tables of `F`, shared by all blocks.
#[derive(Clone, Debug)]
pub(super) struct Tables<F> {
    pub(super) dim: usize,
    pub(super) components: Vec<Table<F>>,
    /// Means `(k, d)` and their transpose.
    means: Packed<F>,
    means_t: Packed<F>,
}

#[derive(Clone, Debug)]
pub(super) struct Table<F> {
    ln_weight: f64,
    mean_norm2: f64,
    pub(super) floor: f64,
    pub(super) variances: Vec<f64>,
    pub(super) mean: Vec<F>,
    pub(super) rotation: Rotation<F>,
}

#[derive(Clone, Debug)]
pub(super) enum Rotation<F> {
    /// No directions: the component is isotropic.
    None,
    /// All coordinate axes; the floor is not used.
    Axes,
    /// Onto the directions `(d, r)`, back `(r, d)`, and the mean's coordinates.
    Columns { onto: Packed<F>, back: Packed<F>, mean: Vec<F> },
}

/// What a readout takes from each component: κ, ρ and the γ of its directions.
#[derive(Clone, Copy, Debug)]
pub(super) enum Readout {
    /// The score of the mixture at the level.
    Score,
    /// The posterior mean of `x_0`.
    Mean,
}

/// Buffers of one worker.
#[derive(Debug, Default)]
pub(super) struct Work<F> {
    /// Weights `(k, n)`, relative to the largest of each row: a component's rows are contiguous, so that everything
    /// runs along rows. Times `scales` they are the responsibilities.
    pub(super) weights: Vec<F>,
    /// One over the sum of each row's weights.
    pub(super) scales: Vec<F>,
    /// Coordinates of all components, one after the other, each `(n, r)`.
    pub(super) coordinates: Vec<F>,
    /// Where the coordinates of each component start.
    pub(super) starts: Vec<usize>,
    /// `log q` of each row.
    ln_density: Vec<f64>,
    sums: Vec<F>,
    norms: Vec<F>,
    readout: Vec<F>,
    /// Offset, slope and bend of each component's logits.
    terms: Vec<[f64; 3]>,
    /// κ and ρ − α κ of each component.
    readout_terms: Vec<[F; 2]>,
    active: Vec<usize>,
    compact: Vec<F>,
    back: Vec<F>,
}

/// The eigenvalues of one component at a level.
#[derive(Clone, Copy, Debug)]
pub(super) struct AtLevel {
    pub(super) alpha: f64,
    pub(super) sigma: f64,
}

impl AtLevel {
    pub(super) fn eigenvalue(self, variance: f64) -> f64 {
        self.alpha * self.alpha * variance + self.sigma * self.sigma
    }

    /// (κ, ρ) of a readout for a component with this floor.
    fn along_floor(self, what: Readout, floor: f64) -> (f64, f64) {
        let lambda = self.eigenvalue(floor);
        match what {
            Readout::Score => (-1.0 / lambda, 0.0),
            Readout::Mean => (self.alpha * floor / lambda, 1.0),
        }
    }

    /// Variance of `x_0` given the row where the component has variance c: `σ² c/λ`.
    pub(super) fn posterior(self, variance: f64) -> f64 {
        self.sigma * self.sigma * variance / self.eigenvalue(variance)
    }

    /// `posterior(variance) − posterior(floor)`, in the form that does not cancel.
    pub(super) fn posterior_excess(self, variance: f64, floor: f64) -> f64 {
        let square = self.sigma * self.sigma;
        square * square * (variance - floor) / (self.eigenvalue(variance) * self.eigenvalue(floor))
    }

    /// γ of a direction: what the readout takes from its coordinate beyond (or, without floor, instead of) κ.
    fn along_direction(self, what: Readout, variance: f64, floor: Option<f64>) -> f64 {
        let lambda = self.eigenvalue(variance);
        // Differences of the values for the direction and the floor, in the form that does not cancel.
        match (what, floor) {
            (Readout::Score, None) => -1.0 / lambda,
            (Readout::Mean, None) => self.alpha * variance / lambda,
            (Readout::Score, Some(floor)) => {
                self.alpha * self.alpha * (variance - floor) / (lambda * self.eigenvalue(floor))
            }
            (Readout::Mean, Some(floor)) => {
                self.alpha * self.sigma * self.sigma * (variance - floor) / (lambda * self.eigenvalue(floor))
            }
        }
    }
}

impl<F: Real> Table<F> {
    fn floor_if_used(&self) -> Option<f64> {
        if matches!(self.rotation, Rotation::Axes) { None } else { Some(self.floor) }
    }

    /// (κ, ρ) of a readout.
    pub(super) fn readout(&self, at: AtLevel, what: Readout) -> (f64, f64) {
        match (self.floor_if_used(), what) {
            (Some(floor), _) => at.along_floor(what, floor),
            (None, Readout::Score) => (0.0, 0.0),
            (None, Readout::Mean) => (0.0, 1.0),
        }
    }

    /// γ_j of a readout.
    pub(super) fn gains(&self, at: AtLevel, what: Readout) -> Vec<F> {
        let floor = self.floor_if_used();
        self.variances.iter().map(|&c| F::of(at.along_direction(what, c, floor))).collect()
    }
}

impl<F: Real> Tables<F> {
    pub(super) fn new(mixture: &Mixture) -> Tables<F> {
        let (k, d) = mixture.means.dim();
        let components = (0..k).map(|i| {
            let spectrum = &mixture.spectra[i];
            let mean = mixture.means.row(i);
            let rotation = match &spectrum.directions {
                _ if spectrum.variances.is_empty() => Rotation::None,
                Directions::Axes => Rotation::Axes,
                Directions::Columns(u) => Rotation::Columns {
                    onto: Packed::new(d, u.ncols(), |i, j| u[(i, j)]),
                    back: Packed::new(u.ncols(), d, |j, i| u[(i, j)]),
                    mean: u.t().dot(&mean).iter().map(|&y| F::of(y)).collect(),
                },
            };
            Table {
                ln_weight: mixture.weights[i].ln(),
                mean_norm2: mean.dot(&mean),
                floor: spectrum.floor,
                variances: spectrum.variances.clone(),
                mean: mean.iter().map(|&m| F::of(m)).collect(),
                rotation,
            }
        });
        Tables {
            dim: d,
            components: components.collect(),
            means: Packed::new(k, d, |i, j| mixture.means[(i, j)]),
            means_t: Packed::new(d, k, |j, i| mixture.means[(i, j)]),
        }
    }

    /// Fills the responsibilities and coordinates of the rows `x`, `(n, d)`, and `log q` if asked for.
    pub(super) fn weigh(
        &self,
        at: AtLevel,
        x: &[F],
        with_density: bool,
        work: &mut Work<F>,
    ) -> Result<(), Error> {
        let (d, k) = (self.dim, self.components.len());
        let n = x.len() / d;
        // log N_i = offset_i + slope_i (x·m_i) + bend_i |x|² + what the directions add.
        let mut terms = std::mem::take(&mut work.terms);
        terms.clear();
        // Floors are often equal, and a logarithm and two divisions for each would show.
        let mut last = (f64::NAN, [f64::NAN; 3]);
        for component in &self.components {
            let floor = component.floor_if_used();
            let lambda = at.eigenvalue(floor.unwrap_or(component.variances.first().map_or(0.0, |&c| c)));
            let smallest = component.variances.iter().fold(lambda, |m, &c| m.min(at.eigenvalue(c)));
            Error::domain(smallest > 0.0, "sigma", at.sigma, "noise where a component has no density")?;
            if lambda != last.0 {
                last = (lambda, [lambda.ln(), at.alpha / lambda, -0.5 / lambda]);
            }
            let [ln_lambda, slope, bend] = last.1;
            let (slope, bend) = if floor.is_some() { (slope, bend) } else { (0.0, 0.0) };
            let in_directions: f64 = component.variances.iter().map(|&c| at.eigenvalue(c).ln()).sum();
            let others = (d - component.variances.len()) as f64;
            let log_det = in_directions + if others > 0.0 { others * ln_lambda } else { 0.0 };
            let offset = component.ln_weight - 0.5 * log_det - 0.5 * at.alpha * slope * component.mean_norm2;
            terms.push([offset, slope, bend]);
        }
        let base = terms.iter().fold(f64::NEG_INFINITY, |m, t| m.max(t[0]));
        // |x|² is the same for all components, and drops out, if their bends are equal.
        let with_norms = with_density || terms.iter().any(|t| t[2] != terms[0][2]);
        work.weights.resize(n * k, F::zero());
        work.norms.resize(n, F::zero());
        self.means_t.left_multiply_to_columns(x, &mut work.weights);
        let (weights, norms) = (&mut work.weights, &mut work.norms);
        vectorize(
            #[inline(always)]
            || {
                if with_norms {
                    for (norm, x) in norms.iter_mut().zip(x.chunks_exact(d)) {
                        *norm = dot(x, x);
                    }
                }
                for (logits, term) in weights.chunks_exact_mut(n).zip(&terms) {
                    let term = [F::of(term[0] - base), F::of(term[1]), F::of(term[2])];
                    if !with_norms {
                        logits.iter_mut().for_each(|logit| *logit = term[0] + *logit * term[1]);
                        continue;
                    }
                    for (logit, &norm) in logits.iter_mut().zip(norms.iter()) {
                        *logit = term[0] + *logit * term[1] + norm * term[2];
                    }
                }
            },
        );
        work.terms = terms;
        self.add_directions(at, x, work);
        work.ln_density.clear();
        let constant = base - 0.5 * d as f64 * (2.0 * std::f64::consts::PI).ln();
        normalise(work, n, with_density.then_some(constant));
        Ok(())
    }

    /// Adds `½ Σ_j (1/λ_0 − 1/λ_j) y_j²` to the logits and keeps the coordinates y.
    fn add_directions(&self, at: AtLevel, x: &[F], work: &mut Work<F>) {
        let n = x.len() / self.dim;
        work.starts.clear();
        let mut end = 0;
        for component in &self.components {
            work.starts.push(end);
            end += n * component.variances.len();
        }
        work.coordinates.resize(end, F::zero());
        for (i, component) in self.components.iter().enumerate() {
            let r = component.variances.len();
            if r == 0 {
                continue;
            }
            let y = &mut work.coordinates[work.starts[i]..][..n * r];
            let alpha = F::of(at.alpha);
            let mean = match &component.rotation {
                Rotation::Columns { onto, mean, .. } => {
                    onto.left_multiply(x, y);
                    mean
                }
                _ => {
                    y.copy_from_slice(x);
                    &component.mean
                }
            };
            let curvature = component.gains(at, Readout::Score);
            let weights = &mut work.weights[i * n..][..n];
            vectorize(
                #[inline(always)]
                || {
                    for (weight, y) in weights.iter_mut().zip(y.chunks_exact_mut(r)) {
                        for (y, &m) in y.iter_mut().zip(mean) {
                            *y -= alpha * m;
                        }
                        *weight += F::of(0.5) * weighted_square(y, &curvature);
                    }
                },
            );
        }
    }

    /// Writes a readout of the weighed rows over `out`, `(n, d)`.
    pub(super) fn read(&self, at: AtLevel, what: Readout, x: &[F], work: &mut Work<F>, out: &mut [F]) {
        self.read_and(at, what, x, work, out, |_, _, _| {});
    }

    /// As [`read`](Self::read), with any weights of sum 1, and with what `add(i, rows, along)` adds to the coordinates
    /// of component i in its directions, `(rows, r)`, for the rows where it has weight.
    pub(super) fn read_and(
        &self,
        at: AtLevel,
        what: Readout,
        x: &[F],
        work: &mut Work<F>,
        out: &mut [F],
        mut add: impl FnMut(usize, &[usize], &mut [F]),
    ) {
        let d = self.dim;
        let n = x.len() / d;
        let mut terms = std::mem::take(&mut work.readout_terms);
        terms.clear();
        terms.extend(self.components.iter().map(|c| {
            let (kappa, rho) = c.readout(at, what);
            [F::of(kappa), F::of(rho - at.alpha * kappa)]
        }));
        // out_r = scale_r Σ_i w_ri t_i m_i + κ_r x_r. Equal factors t of all components wait for the scale.
        let shared = terms.iter().all(|term| *term == terms[0]);
        let Work { weights, scales, norms: kappas, sums: factors, readout, .. } = work;
        kappas.clear();
        factors.clear();
        if shared {
            // κ Σ r = κ.
            kappas.resize(n, terms[0][0]);
            factors.extend(scales.iter().map(|&scale| scale * terms[0][1]));
            self.means.left_multiply_transposed_affine(weights, factors, kappas, x, out);
        } else {
            kappas.resize(n, F::zero());
            readout.resize(weights.len(), F::zero());
            vectorize(
                #[inline(always)]
                || {
                    let components = readout.chunks_exact_mut(n).zip(weights.chunks_exact(n)).zip(&terms);
                    for ((readout, weights), term) in components {
                        for ((to, &weight), kappa) in readout.iter_mut().zip(weights).zip(kappas.iter_mut()) {
                            *to = weight * term[1];
                            *kappa += weight * term[0];
                        }
                    }
                    for (kappa, &scale) in kappas.iter_mut().zip(scales.iter()) {
                        *kappa *= scale;
                    }
                },
            );
            self.means.left_multiply_transposed_affine(readout, scales, kappas, x, out);
        }
        work.readout_terms = terms;
        for (i, component) in self.components.iter().enumerate() {
            if component.variances.is_empty() {
                continue;
            }
            let gains = component.gains(at, what);
            self.coordinates_of(i, &gains, work, |weight| weight);
            add(i, &work.active, &mut work.compact);
            self.back_of(i, work);
            for (&row, back) in work.active.iter().zip(work.back.chunks_exact(d)) {
                for (out, &back) in out[row * d..][..d].iter_mut().zip(back) {
                    *out += back;
                }
            }
        }
    }

    /// For the rows where component i has any weight (`work.active`): `scale(w) γ_j y_j` in `work.compact`.
    pub(super) fn coordinates_of(&self, i: usize, gains: &[F], work: &mut Work<F>, scale: impl Fn(F) -> F) {
        let (k, r) = (self.components.len(), gains.len());
        let n = work.weights.len() / k;
        let weights = &work.weights[i * n..][..n];
        work.active.clear();
        work.active.extend((0..n).filter(|&row| weights[row] != F::zero()));
        work.compact.clear();
        for &row in &work.active {
            let scale = scale(weights[row] * work.scales[row]);
            let y = &work.coordinates[work.starts[i] + row * r..][..r];
            work.compact.extend(y.iter().zip(gains).map(|(&y, &gain)| scale * gain * y));
        }
    }

    /// `Σ_j y_j u_j` in `work.back`, for the coordinates y along the directions of component i in `work.compact`.
    pub(super) fn back_of(&self, i: usize, work: &mut Work<F>) {
        work.back.clear();
        work.back.resize(work.active.len() * self.dim, F::zero());
        match &self.components[i].rotation {
            Rotation::Columns { back, .. } => back.left_multiply(&work.compact, &mut work.back),
            Rotation::Axes => work.back.copy_from_slice(&work.compact),
            Rotation::None => {}
        }
    }
}

impl<F: Real> Work<F> {
    pub(super) fn ln_density(&self) -> &[f64] {
        &self.ln_density
    }

    pub(super) fn active(&self) -> &[usize] {
        &self.active
    }

    pub(super) fn back(&self) -> &[F] {
        &self.back
    }
}

/// Logits `(k, n)` to weights relative to the largest, and their scales; `log Σ e^logit + constant` if asked for.
fn normalise<F: Real>(work: &mut Work<F>, n: usize, constant: Option<f64>) {
    let Work { weights, norms: tops, sums, scales, ln_density, .. } = work;
    tops.resize(n, F::zero());
    sums.resize(n, F::zero());
    softmax_columns(weights, tops, sums);
    if let Some(constant) = constant {
        let logs = tops.iter().zip(sums.iter());
        ln_density.extend(logs.map(|(top, sum)| constant + top.as_f64() + sum.as_f64().ln()));
    }
    // One division for each row.
    scales.clear();
    scales.extend(sums.iter().map(|&sum| F::one() / sum));
}
