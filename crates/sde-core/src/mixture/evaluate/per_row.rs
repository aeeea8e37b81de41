//! Weights and readouts where each row has a level of its own: the same products over all rows, and the coefficients
//! of each row in columns beside them.

use numeric::{Error, Real, vectorize};

use super::{AtLevel, Readout, Rotation, Tables, Work, dot, normalise, weighted_square};

/// Buffers of one worker, beyond those of [`Work`].
#[derive(Debug, Default)]
pub(in super::super) struct Columns<F> {
    /// The level of each row.
    pub(in super::super) levels: Vec<AtLevel>,
    /// Which floor each component has; neighbours with equal floors share one.
    floors: Vec<(Option<f64>, usize)>,
    /// For each floor and row, `(floors, n)`: eigenvalue and its logarithm, slope and bend of the logits.
    lambdas: Vec<f64>,
    logs: Vec<f64>,
    slopes: Vec<f64>,
    /// Offsets of the logits, `(k, n)`, and the largest of each row.
    offsets: Vec<f64>,
    bases: Vec<f64>,
    /// κ and `ρ − α κ` for each floor and row, `(floors, n)`.
    along_x: Vec<F>,
    along_mean: Vec<F>,
    gains: Vec<F>,
    readout: Vec<F>,
    kappas: Vec<F>,
    factors: Vec<F>,
}

impl<F: Real> Tables<F> {
    /// Writes a readout of each row of x, `(n, d)`, at its own level over `out`, `(n, d)`.
    ///
    /// Row r depends on row r of x and its level alone, with the same bits at any n.
    pub(in super::super) fn read_rows(
        &self,
        what: Readout,
        x: &[F],
        work: &mut Work<F>,
        columns: &mut Columns<F>,
        out: &mut [F],
    ) -> Result<(), Error> {
        self.floors(columns)?;
        self.logits(x, work, columns);
        self.directions(x, work, columns);
        normalise(work, columns.levels.len(), None);
        self.readout(what, x, work, columns, out);
        Ok(())
    }

    /// Eigenvalues of the floors and all that follows from them.
    fn floors(&self, columns: &mut Columns<F>) -> Result<(), Error> {
        let Columns { levels, floors, lambdas, logs, slopes, offsets, bases, .. } = columns;
        let n = levels.len();
        floors.clear();
        for list in [&mut *lambdas, logs, slopes, offsets] {
            list.clear();
        }
        bases.clear();
        bases.resize(n, f64::NEG_INFINITY);
        // One floor for all: then its determinant is the same for all, and drops out of the weights.
        let first = self.components[0].floor_if_used();
        let shared = self.components.iter().all(|c| c.variances.is_empty() && c.floor_if_used() == first);
        for component in &self.components {
            let floor = component.floor_if_used();
            let number = match floors.last() {
                Some(&(last, number)) if last == floor && floor.is_some() => number,
                last => {
                    let number = last.map_or(0, |last| last.1 + 1);
                    // Without a floor the first direction stands in where an eigenvalue is looked at.
                    let variance = floor.or(component.variances.first().copied()).unwrap_or(0.0);
                    let from = lambdas.len();
                    for list in [&mut *lambdas, &mut *logs, &mut *slopes] {
                        list.resize(from + n, 0.0);
                    }
                    let (lambdas, slopes) = (&mut lambdas[from..], &mut slopes[from..]);
                    let mut positive = true;
                    vectorize(
                        #[inline(always)]
                        || {
                            for ((lambda, slope), at) in
                                lambdas.iter_mut().zip(slopes.iter_mut()).zip(levels.iter())
                            {
                                *lambda = at.eigenvalue(variance);
                                *slope = if floor.is_some() { at.alpha / *lambda } else { 0.0 };
                                positive &= *lambda > 0.0;
                            }
                        },
                    );
                    if !positive {
                        let bad = levels.iter().find(|at| !(at.eigenvalue(variance) > 0.0));
                        let sigma = bad.expect("one of them is not positive").sigma;
                        Error::domain(false, "sigma", sigma, "noise where a component has no density")?;
                    }
                    if floor.is_some() && !shared {
                        logs[from..].iter_mut().zip(&*lambdas).for_each(|(log, lambda)| *log = lambda.ln());
                    }
                    number
                }
            };
            floors.push((floor, number));
            let others = (self.dim - component.variances.len()) as f64;
            let (logs, slopes) = (&logs[number * n..][..n], &slopes[number * n..][..n]);
            let (ln_weight, mean_norm2) = (component.ln_weight, component.mean_norm2);
            let first = offsets.len();
            if component.variances.is_empty() {
                offsets.resize(first + n, 0.0);
                let offsets = &mut offsets[first..];
                vectorize(
                    #[inline(always)]
                    || {
                        let rows = offsets.iter_mut().zip(levels.iter()).zip(logs).zip(slopes);
                        for (((offset, at), &log), &slope) in rows {
                            *offset = ln_weight - 0.5 * (others * log) - 0.5 * at.alpha * slope * mean_norm2;
                        }
                    },
                );
            } else {
                for ((at, &log), &slope) in levels.iter().zip(logs).zip(slopes) {
                    let smallest =
                        component.variances.iter().fold(f64::INFINITY, |m, &c| m.min(at.eigenvalue(c)));
                    Error::domain(
                        smallest > 0.0,
                        "sigma",
                        at.sigma,
                        "noise where a component has no density",
                    )?;
                    let in_directions: f64 = component.variances.iter().map(|&c| at.eigenvalue(c).ln()).sum();
                    let log_det = in_directions + others * log;
                    offsets.push(ln_weight - 0.5 * log_det - 0.5 * at.alpha * slope * mean_norm2);
                }
            }
            for (base, &offset) in bases.iter_mut().zip(&offsets[first..]) {
                *base = if offset > *base { offset } else { *base };
            }
        }
        Ok(())
    }

    /// `offset + slope (x·m) + bend |x|²` for each component and row; the last is left out where it is the same for all
    /// components.
    fn logits(&self, x: &[F], work: &mut Work<F>, columns: &Columns<F>) {
        let (d, n) = (self.dim, columns.levels.len());
        let with_norms = columns.floors.last().is_some_and(|last| last.1 > 0);
        work.weights.resize(n * self.components.len(), F::zero());
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
                let components = weights.chunks_exact_mut(n).zip(columns.offsets.chunks_exact(n));
                for ((logits, offsets), &(floor, number)) in components.zip(&columns.floors) {
                    let slopes = &columns.slopes[number * n..][..n];
                    let rows = logits.iter_mut().zip(offsets).zip(&columns.bases).zip(slopes);
                    for (((logit, &offset), &base), &slope) in rows {
                        *logit = F::of(offset - base) + *logit * F::of(slope);
                    }
                    if with_norms && floor.is_some() {
                        let lambdas = &columns.lambdas[number * n..][..n];
                        for ((logit, &norm), &lambda) in logits.iter_mut().zip(norms.iter()).zip(lambdas) {
                            *logit += norm * F::of(-0.5 / lambda);
                        }
                    }
                }
            },
        );
    }

    /// Adds what the directions add to the logits, and keeps the coordinates.
    fn directions(&self, x: &[F], work: &mut Work<F>, columns: &mut Columns<F>) {
        let n = columns.levels.len();
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
            let weights = &mut work.weights[i * n..][..n];
            for ((weight, y), &at) in weights.iter_mut().zip(y.chunks_exact_mut(r)).zip(&columns.levels) {
                let (floor, alpha) = (component.floor_if_used(), F::of(at.alpha));
                let curvatures =
                    component.variances.iter().map(|&c| F::of(at.along_direction(Readout::Score, c, floor)));
                columns.gains.clear();
                columns.gains.extend(curvatures);
                let gains = &columns.gains;
                vectorize(
                    #[inline(always)]
                    || {
                        for (y, &m) in y.iter_mut().zip(mean) {
                            *y -= alpha * m;
                        }
                        *weight += F::of(0.5) * weighted_square(y, gains);
                    },
                );
            }
        }
    }

    fn readout(&self, what: Readout, x: &[F], work: &mut Work<F>, columns: &mut Columns<F>, out: &mut [F]) {
        let (d, n) = (self.dim, columns.levels.len());
        let Columns { levels, floors, lambdas, along_x, along_mean, readout, kappas, factors, gains, .. } =
            columns;
        along_x.clear();
        along_mean.clear();
        for (i, &(floor, number)) in floors.iter().enumerate() {
            if i > 0 && floors[i - 1].1 == number {
                continue;
            }
            let from = along_x.len();
            along_x.resize(from + n, F::zero());
            along_mean.resize(from + n, F::zero());
            let (to_x, to_mean) = (&mut along_x[from..], &mut along_mean[from..]);
            vectorize(
                #[inline(always)]
                || {
                    let rows = levels.iter().zip(&lambdas[number * n..][..n]);
                    for ((to_x, to_mean), (at, &lambda)) in to_x.iter_mut().zip(to_mean.iter_mut()).zip(rows)
                    {
                        let (kappa, rho) = match (floor, what) {
                            (Some(_), Readout::Score) => (-1.0 / lambda, 0.0),
                            (Some(floor), Readout::Mean) => (at.alpha * floor / lambda, 1.0),
                            (None, Readout::Score) => (0.0, 0.0),
                            (None, Readout::Mean) => (0.0, 1.0),
                        };
                        *to_x = F::of(kappa);
                        *to_mean = F::of(rho - at.alpha * kappa);
                    }
                },
            );
        }
        if along_x.len() == n {
            // Σ r = 1, and the factor of all means waits for the scale.
            factors.clear();
            factors.extend(work.scales.iter().zip(along_mean.iter()).map(|(&scale, &factor)| scale * factor));
            self.means.left_multiply_transposed_affine(&work.weights, factors, along_x, x, out);
        } else {
            kappas.clear();
            kappas.resize(n, F::zero());
            readout.resize(work.weights.len(), F::zero());
            let (weights, scales) = (&work.weights, &work.scales);
            vectorize(
                #[inline(always)]
                || {
                    let components =
                        readout.chunks_exact_mut(n).zip(weights.chunks_exact(n)).zip(floors.iter());
                    for ((readout, weights), &(_, number)) in components {
                        let (along_x, along_mean) =
                            (&along_x[number * n..][..n], &along_mean[number * n..][..n]);
                        let rows = readout.iter_mut().zip(weights).zip(kappas.iter_mut());
                        for (((to, &weight), kappa), (&a, &b)) in rows.zip(along_x.iter().zip(along_mean)) {
                            *to = weight * b;
                            *kappa += weight * a;
                        }
                    }
                    for (kappa, &scale) in kappas.iter_mut().zip(scales.iter()) {
                        *kappa *= scale;
                    }
                },
            );
            self.means.left_multiply_transposed_affine(readout, &work.scales, kappas, x, out);
        }
        for (i, component) in self.components.iter().enumerate() {
            let r = component.variances.len();
            if r == 0 {
                continue;
            }
            let weights = &work.weights[i * n..][..n];
            work.active.clear();
            work.active.extend((0..n).filter(|&row| weights[row] > F::zero()));
            work.compact.clear();
            for &row in &work.active {
                let (at, floor) = (levels[row], component.floor_if_used());
                gains.clear();
                gains.extend(component.variances.iter().map(|&c| F::of(at.along_direction(what, c, floor))));
                let responsibility = weights[row] * work.scales[row];
                let y = &work.coordinates[work.starts[i] + row * r..][..r];
                work.compact.extend(y.iter().zip(gains.iter()).map(|(&y, &gain)| responsibility * gain * y));
            }
            work.back.clear();
            work.back.resize(work.active.len() * d, F::zero());
            match &component.rotation {
                Rotation::Columns { back, .. } => back.left_multiply(&work.compact, &mut work.back),
                _ => work.back.copy_from_slice(&work.compact),
            }
            for (&row, back) in work.active.iter().zip(work.back.chunks_exact(d)) {
                for (out, &back) in out[row * d..][..d].iter_mut().zip(back) {
                    *out += back;
                }
            }
        }
    }
}
