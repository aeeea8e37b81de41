//! Draws from the Gaussian with the mean and covariance of a mixture's posterior, without the matrix.

use numeric::ndarray::ArrayViewMut2;
use numeric::{Noise, PosteriorDraw, Real, vectorize};

use super::evaluate::{AtLevel, Readout, Rotation, Tables, Work};

/// Buffers of one worker, beyond those of [`Work`].
#[derive(Debug, Default)]
pub(super) struct Normals<F> {
    /// Normals of the components, `(n, k)`, of the directions of one component, and of the coordinates, `(n, d)`.
    components: Vec<F>,
    directions: Vec<F>,
    coordinates: Vec<F>,
    /// Square roots of the responsibilities, `(k, n)`.
    roots: Vec<F>,
    /// `√r_i ζ_i`, `(k, n)`, and the sum over the components.
    shifts: Vec<F>,
    sums: Vec<F>,
    /// Variances of the coordinates, `(n)` or `(n, d)`, next to the largest there can be.
    variances: Vec<F>,
    /// Of one component: its variances, then standard deviations in its directions, beyond its floor.
    excess: Vec<F>,
    rows: Vec<u64>,
}

impl<F: Real> Tables<F> {
    /// Writes a draw for each of the weighed rows, given by their numbers and x, over `out`, `(n, d)`; replaces the weights.
    pub(super) fn draw(
        &self,
        at: AtLevel,
        draw: PosteriorDraw,
        (rows, x): (&[u64], &[F]),
        work: &mut Work<F>,
        normals: &mut Normals<F>,
        out: &mut [F],
    ) {
        let size = self.variances(at, draw, work, normals);
        self.perturb_weights(draw, rows, work, normals);
        let Normals { directions, roots, excess, rows: chosen, .. } = normals;
        let (n, noise) = (rows.len(), draw.noise.fork("directions"));
        self.read_and(at, Readout::Mean, x, work, out, |i, active, along| {
            let component = &self.components[i];
            if !matches!(component.rotation, Rotation::Columns { .. }) {
                return;
            }
            let r = component.variances.len();
            excess.clear();
            // No variance lies below the floor: it is the least eigenvalue, and one that the component has.
            let beyond = component.variances.iter().map(|&c| at.posterior_excess(c, component.floor).sqrt());
            excess.extend(beyond.map(F::of));
            chosen.clear();
            chosen.extend(active.iter().map(|&row| rows[row]));
            normals_of(noise.fork_index(i as u64), chosen, draw.step, r, directions);
            let roots = &roots[i * n..][..n];
            for ((&row, along), y) in
                active.iter().zip(along.chunks_exact_mut(r)).zip(directions.chunks_exact(r))
            {
                for ((along, &y), &excess) in along.iter_mut().zip(y).zip(excess.iter()) {
                    *along += roots[row] * excess * y;
                }
            }
        });
        normals_of(draw.noise, rows, draw.step, self.dim, &mut normals.coordinates);
        self.add_coordinates(F::of(draw.scale), F::of(size), normals, out);
    }

    /// `v + s² Σ_i r_i b_i` of each row, and of each coordinate if a component has variances along the axes; divided by the
    /// largest of its terms, of which the root is returned. So the squares keep within the range of `F`.
    fn variances(&self, at: AtLevel, draw: PosteriorDraw, work: &Work<F>, normals: &mut Normals<F>) -> f64 {
        let PosteriorDraw { scale, variance, .. } = draw;
        let along = |i: usize, j: usize| {
            let component = &self.components[i];
            match component.rotation {
                Rotation::Axes => scale * scale * at.posterior(component.variances[j]),
                _ => scale * scale * at.posterior(component.floor),
            }
        };
        let by_axes = self.components.iter().any(|c| matches!(c.rotation, Rotation::Axes));
        let width = if by_axes { self.dim } else { 1 };
        let pairs = (0..self.components.len()).flat_map(|i| (0..width).map(move |j| (i, j)));
        let largest = pairs.map(|(i, j)| along(i, j)).fold(variance, f64::max);
        let (n, unit) = (work.scales.len(), if largest > 0.0 { largest } else { 1.0 });
        let Normals { variances, excess: row, .. } = normals;
        variances.clear();
        variances.resize(n * width, F::of(variance / unit));
        for (i, weights) in work.weights.chunks_exact(n).enumerate() {
            row.clear();
            row.extend((0..width).map(|j| F::of(along(i, j) / unit)));
            vectorize(
                #[inline(always)]
                || {
                    let responsibilities = weights.iter().zip(&work.scales).map(|(&w, &scale)| w * scale);
                    if width == 1 {
                        for (variance, responsibility) in variances.iter_mut().zip(responsibilities) {
                            *variance += responsibility * row[0];
                        }
                        return;
                    }
                    for (variances, responsibility) in variances.chunks_exact_mut(width).zip(responsibilities)
                    {
                        for (variance, &part) in variances.iter_mut().zip(row.iter()) {
                            *variance += responsibility * part;
                        }
                    }
                },
            );
        }
        unit.sqrt()
    }

    /// Responsibilities r in place of the weights, and to them `√r_i ζ_i − r_i Σ_j √r_j ζ_j`, which has the covariance
    /// `diag(r) − r rᵀ` of the component that `x_0` is from. The sum remains 1.
    ///
    /// A component that has all the responsibility keeps it, exactly: beside it there is nothing to draw. Else what is read
    /// with these weights is right up to the rounding of the means, as the denoiser is.
    fn perturb_weights(
        &self,
        draw: PosteriorDraw,
        rows: &[u64],
        work: &mut Work<F>,
        normals: &mut Normals<F>,
    ) {
        let (n, k) = (rows.len(), self.components.len());
        let Work { weights, scales, .. } = work;
        let Normals { components, roots, shifts, sums, .. } = normals;
        roots.resize(k * n, F::zero());
        vectorize(
            #[inline(always)]
            || {
                for (roots, weights) in roots.chunks_exact_mut(n).zip(weights.chunks_exact_mut(n)) {
                    for ((root, weight), &scale) in roots.iter_mut().zip(weights).zip(scales.iter()) {
                        *weight *= scale;
                        *root = weight.sqrt();
                    }
                }
            },
        );
        scales.fill(F::one());
        // A sole component has exactly 1. (NaN is neither.)
        if weights.iter().all(|&weight| weight == F::zero() || weight == F::one()) {
            return;
        }
        normals_of(draw.noise.fork("components"), rows, draw.step, k, components);
        shifts.resize(k * n, F::zero());
        for (i, shifts) in shifts.chunks_exact_mut(n).enumerate() {
            for (shift, row) in shifts.iter_mut().zip(components.chunks_exact(k)) {
                *shift = row[i];
            }
        }
        sums.clear();
        sums.resize(n, F::zero());
        vectorize(
            #[inline(always)]
            || {
                for (shifts, roots) in shifts.chunks_exact_mut(n).zip(roots.chunks_exact(n)) {
                    for ((shift, &root), sum) in shifts.iter_mut().zip(roots).zip(sums.iter_mut()) {
                        *shift *= root;
                        *sum += *shift;
                    }
                }
                for (weights, shifts) in weights.chunks_exact_mut(n).zip(shifts.chunks_exact(n)) {
                    for ((weight, &shift), &sum) in weights.iter_mut().zip(shifts).zip(sums.iter()) {
                        let moved = *weight + (shift - *weight * sum);
                        // Zero is for components without responsibility.
                        let some = moved == F::zero() && *weight > F::zero();
                        *weight = if some { F::min_positive_value() } else { moved };
                    }
                }
            },
        );
    }

    /// `out = scale · out + size √variance z`.
    fn add_coordinates(&self, scale: F, size: F, normals: &mut Normals<F>, out: &mut [F]) {
        let d = self.dim;
        let Normals { variances, coordinates, .. } = normals;
        let width = variances.len() * d / out.len();
        vectorize(
            #[inline(always)]
            || {
                variances.iter_mut().for_each(|variance| *variance = size * variance.sqrt());
                let rows = out.chunks_exact_mut(d).zip(coordinates.chunks_exact(d));
                for ((out, z), std) in rows.zip(variances.chunks_exact(width)) {
                    if width == 1 {
                        for (out, &z) in out.iter_mut().zip(z) {
                            *out = scale * *out + std[0] * z;
                        }
                    } else {
                        for ((out, &z), &std) in out.iter_mut().zip(z).zip(std) {
                            *out = scale * *out + std * z;
                        }
                    }
                }
            },
        );
    }
}

/// Normals of the rows, `(n, width)`.
fn normals_of<F: Real>(noise: Noise, rows: &[u64], step: u64, width: usize, out: &mut Vec<F>) {
    out.resize(rows.len() * width, F::zero());
    let mut view = ArrayViewMut2::from_shape((rows.len(), width), out).expect("sized above");
    noise.normals_into(rows, step, &mut view);
}
