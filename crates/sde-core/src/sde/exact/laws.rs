//! Laws that the transitions are made of.

use numeric::ndarray::ArrayRef2;
use numeric::{Noise, RowStream, Scratch, exp_in_place, vectorize};

use crate::ode::ln_in_place;
use crate::sde::coefficients::{slice, slice_mut};
use crate::sde::{put_rows, take_rows};

/// `ln N(residual; 0, variance)`.
pub(super) fn ln_normal(residual: f64, variance: f64) -> f64 {
    -0.5 * (residual * residual / variance + (2.0 * std::f64::consts::PI * variance).ln())
}

/// `ln Γ(x) − ((x − ½) ln x − x + ½ ln 2π)` for x ≥ 10, by Stirling's series: absolute error below 10⁻¹⁵.
fn stirling_rest(x: f64) -> f64 {
    let r = 1.0 / (x * x);
    let series =
        1.0 / 360.0 - r * (1.0 / 1260.0 - r * (1.0 / 1680.0 - r * (1.0 / 1188.0 - r * (691.0 / 360_360.0))));
    (1.0 / 12.0 - r * series) / x
}

/// `ln Γ(x)` for x > 0.
pub(super) fn ln_gamma(x: f64) -> f64 {
    // Γ(x) = Γ(x + k)/(x (x + 1) … (x + k − 1)).
    let (mut shifted, mut product) = (x, 1.0);
    while shifted < 10.0 {
        product *= shifted;
        shifted += 1.0;
    }
    let half_ln_two_pi = 0.5 * (2.0 * std::f64::consts::PI).ln();
    (shifted - 0.5) * shifted.ln() - shifted + half_ln_two_pi + stirling_rest(shifted) - product.ln()
}

/// A Gamma(shape, 1) variate, by the rejection of Marsaglia and Tsang (2000), A simple method for generating gamma
/// variables; for shapes below 1 by `Γ_a = Γ_{a+1} U^{1/a}`. Shape 0 is the atom at 0.
pub(super) fn gamma(shape: f64, stream: &mut RowStream) -> f64 {
    if shape == 0.0 {
        return 0.0;
    }
    if shape < 1.0 {
        let larger = gamma(shape + 1.0, stream);
        return larger * stream.uniform().powf(1.0 / shape);
    }
    let candidates = Candidates::of(shape);
    loop {
        let (z, u) = (stream.normal(), stream.uniform());
        if let Some(found) = candidates.quickly(z, u).or_else(|| candidates.slowly(z, u)) {
            return found;
        }
    }
}

/// What Marsaglia and Tsang make of a normal and a uniform, for one shape of at least 1: `d v`, `v = (1 + c z)³`.
#[derive(Clone, Copy)]
struct Candidates {
    d: f64,
    c: f64,
}

impl Candidates {
    fn of(shape: f64) -> Candidates {
        let d = shape - 1.0 / 3.0;
        Candidates { d, c: 1.0 / (9.0 * d).sqrt() }
    }

    /// Nearly always: U below a bound of what it is compared with, which needs no logarithm.
    ///
    /// With w = c z and 9 d c² = 1 the comparison is `ln U < d g(w)`, `g(w) = 3 ln(1 + w) − 3w + 3w²/2 − w³`, and for w ≥ −½
    /// the series of the logarithm has `g(w) ≥ −¾ w⁴ (1 + ⅘ |w|/(1 − |w|)) ≥ −1.35 w⁴`; for positive w, −¾ w⁴ is below it.
    #[inline(always)]
    fn quickly(self, z: f64, u: f64) -> Option<f64> {
        let (accepted, found) = self.bounded(z, u);
        accepted.then_some(found)
    }

    /// Without a branch.
    #[inline(always)]
    fn bounded(self, z: f64, u: f64) -> (bool, f64) {
        let w = self.c * z;
        let (base, square) = (1.0 + w, w * w);
        ((w > -0.5) & (u < 1.0 - 1.35 * self.d * (square * square)), self.d * (base * base * base))
    }

    /// The comparison itself, `ln U < z²/2 + d (1 − v + ln v)`, without cancellation for large d, where v is near 1.
    fn slowly(self, z: f64, u: f64) -> Option<f64> {
        let w = self.c * z;
        let above = w * (3.0 + w * (3.0 + w));
        let accepted = above > -1.0 && u.ln() < 0.5 * z * z - self.d * numeric::special::x_minus_ln_1p(above);
        let base = 1.0 + w;
        accepted.then_some(self.d * (base * base * base))
    }
}

/// Variates of [`gamma`] of one shape for each row, `(n, d)`: of arrays of the noise at `steps`, a normal and a uniform for each,
/// and another uniform for shapes below 1; from the row's stream where those are rejected.
pub(super) fn gammas_into(
    shape: f64,
    noise: Noise,
    steps: [u64; 3],
    rows: &[u64],
    out: &mut ArrayRef2<f64>,
    scratch: &mut Scratch,
) {
    if shape == 0.0 {
        return out.fill(0.0);
    }
    let least = if shape < 1.0 { shape + 1.0 } else { shape };
    let candidates = Candidates::of(least);
    let [mut normals, mut uniforms] = take_rows::<f64, 2>(scratch, out.dim());
    noise.normals_into(rows, steps[0], &mut normals);
    noise.uniforms_into(rows, steps[1], &mut uniforms);
    let (d, out, z, u) = (out.ncols(), slice_mut(out), slice(&normals), slice(&uniforms));
    vectorize(
        #[inline(always)]
        || {
            for ((out, &z), &u) in out.iter_mut().zip(z).zip(u) {
                let (accepted, found) = candidates.bounded(z, u);
                *out = if accepted { found } else { f64::NAN };
            }
        },
    );
    let pairs = z.chunks_exact(d).zip(u.chunks_exact(d));
    for ((&row, out), (z, u)) in rows.iter().zip(out.chunks_exact_mut(d)).zip(pairs) {
        // Without a branch for each number: of most rows all are accepted.
        if !out.iter().fold(false, |open, out| open | out.is_nan()) {
            continue;
        }
        let mut stream = None;
        for ((out, &z), &u) in out.iter_mut().zip(z).zip(u).filter(|((out, _), _)| out.is_nan()) {
            *out = candidates
                .slowly(z, u)
                .unwrap_or_else(|| gamma(least, stream.get_or_insert_with(|| noise.row_stream(row))));
        }
    }
    if shape < 1.0 {
        noise.uniforms_into(rows, steps[2], &mut uniforms);
        let factors = slice_mut(&mut uniforms);
        ln_in_place(factors);
        factors.iter_mut().for_each(|factor| *factor /= shape);
        exp_in_place(factors);
        out.iter_mut().zip(factors).for_each(|(out, factor)| *out *= *factor);
    }
    put_rows(scratch, [normals, uniforms]);
}

/// A Poisson variate with any mean ≥ 0, as a whole number in `f64`.
///
/// By inversion below 10, else by the transformed rejection of Hörmann (1993), The transformed rejection method for
/// generating Poisson random variables, algorithm PTRS. The log-probability is written with the deviance, so that
/// nothing cancels for large means; beyond 2⁵³ a variate is as exact as its type.
pub(super) fn poisson(mean: f64, stream: &mut RowStream) -> f64 {
    if mean < 10.0 {
        let (mut u, mut probability, mut k) = (stream.uniform(), (-mean).exp(), 0.0);
        // The second condition is for what rounding leaves of u, beyond all probability.
        while u > probability && probability > 0.0 {
            u -= probability;
            k += 1.0;
            probability *= mean / k;
        }
        return k;
    }
    let b = 0.931 + 2.53 * mean.sqrt();
    let a = -0.059 + 0.024_83 * b;
    let inverse_alpha = 1.123_9 + 1.132_8 / (b - 3.4);
    let v_r = 0.927_7 - 3.622_4 / (b - 2.0);
    loop {
        let (u, v) = (stream.uniform() - 0.5, stream.uniform());
        let us = 0.5 - u.abs();
        let k = ((2.0 * a / us + b) * u + mean + 0.43).floor();
        if us >= 0.07 && v <= v_r {
            return k;
        }
        if k < 0.0 || (us < 0.013 && v > us) {
            continue;
        }
        if (v * inverse_alpha / (a / (us * us) + b)).ln() <= ln_poisson(k, mean) {
            return k;
        }
    }
}

/// `ln P(N = k)` for a Poisson variable.
fn ln_poisson(k: f64, mean: f64) -> f64 {
    if k < 10.0 {
        return k * mean.ln() - mean - ln_gamma(k + 1.0);
    }
    // k ln(mean/k) − mean + k = −k (r − 1 − ln r) with r = mean/k.
    let deviance = k * numeric::special::x_minus_ln_1p((mean - k) / k);
    -deviance - 0.5 * (2.0 * std::f64::consts::PI * k).ln() - stirling_rest(k)
}

#[cfg(test)]
mod tests {
    use numeric::Noise;
    use numeric::ndarray::Array2;
    use statrs::distribution::{Discrete, Poisson};
    use statrs::function::gamma::ln_gamma as reference;
    use verify::{Family, chi_squared, kolmogorov_smirnov};

    use super::*;

    #[test]
    fn ln_gamma_against_another_implementation() {
        for x in [1e-3, 0.5, 1.0, 2.5, 9.99, 10.0, 33.3, 1e4] {
            assert!((ln_gamma(x) - reference(x)).abs() < 1e-12 * (1.0 + reference(x).abs()), "{x}");
        }
        // Γ(½) = √π, and Γ(21) = 20!
        assert!((ln_gamma(0.5) - 0.5 * std::f64::consts::PI.ln()).abs() < 1e-14);
        assert!((ln_gamma(21.0) - 2_432_902_008_176_640_000.0_f64.ln()).abs() < 1e-13);
    }

    #[test]
    fn poisson_has_its_probabilities() {
        let mut family = Family::new(1e-4).expect("a rate");
        for (i, mean) in [0.0, 0.3, 4.0, 9.99, 10.0, 37.5, 1000.0].into_iter().enumerate() {
            let mut stream = Noise::new(verify::seed(i as u64)).row_stream(0);
            let draws: Vec<f64> = (0..20_000).map(|_| poisson(mean, &mut stream)).collect();
            if mean == 0.0 {
                assert!(draws.iter().all(|&k| k == 0.0));
                continue;
            }
            let law = Poisson::new(mean).expect("a mean");
            let last = (mean + 8.0 * mean.sqrt() + 10.0) as u64;
            let mut counts = vec![0; last as usize + 2];
            draws.iter().for_each(|&k| counts[(k as usize).min(last as usize + 1)] += 1);
            let mut probabilities: Vec<f64> = (0..=last).map(|k| law.pmf(k)).collect();
            probabilities.push((1.0 - probabilities.iter().sum::<f64>()).max(0.0));
            family.push(format!("mean {mean}"), chi_squared(&counts, &probabilities).expect("valid").p_value);
        }
        family.assert();
    }

    #[test]
    fn poisson_of_a_large_mean_is_normal() {
        // Its skewness is 10⁻⁶.
        let mean = 1e12;
        let mut stream = Noise::new(verify::seed(20)).row_stream(0);
        let z: Vec<f64> = (0..20_000).map(|_| (poisson(mean, &mut stream) - mean) / mean.sqrt()).collect();
        let normal = |z: f64| 0.5 * statrs::function::erf::erfc(-z / std::f64::consts::SQRT_2);
        assert!(kolmogorov_smirnov(&z, normal).expect("valid").p_value > 1e-5);
    }

    #[test]
    fn gamma_has_its_law() {
        let mut family = Family::new(1e-4).expect("a rate");
        for (i, shape) in [0.05, 0.7, 1.0, 3.3, 250.0].into_iter().enumerate() {
            let mut stream = Noise::new(verify::seed(30 + i as u64)).row_stream(0);
            let draws: Vec<f64> = (0..20_000).map(|_| gamma(shape, &mut stream)).collect();
            let cdf = |x: f64| statrs::function::gamma::gamma_lr(shape, x.max(1e-300));
            family.push(format!("shape {shape}"), kolmogorov_smirnov(&draws, cdf).expect("valid").p_value);
        }
        family.assert();
        assert_eq!(gamma(0.0, &mut Noise::new(1).row_stream(0)), 0.0);
    }

    #[test]
    fn many_gammas_have_their_law_and_rows_are_alone() {
        let mut family = Family::new(1e-4).expect("a rate");
        let rows: Vec<u64> = (0..4_000).collect();
        for (i, shape) in [0.05, 0.7, 1.0, 3.3, 250.0].into_iter().enumerate() {
            let (noise, mut scratch) = (Noise::new(verify::seed(40 + i as u64)), Scratch::new());
            let mut all = Array2::zeros((rows.len(), 5));
            gammas_into(shape, noise, [1, 2, 3], &rows, &mut all, &mut scratch);
            let cdf = |x: f64| statrs::function::gamma::gamma_lr(shape, x.max(1e-300));
            let draws = all.as_slice().expect("standard layout");
            family.push(format!("shape {shape}"), kolmogorov_smirnov(draws, cdf).expect("valid").p_value);
            let mut alone = Array2::zeros((1, 5));
            for row in [0, 17, 3_999] {
                gammas_into(shape, noise, [1, 2, 3], &rows[row..=row], &mut alone, &mut scratch);
                assert_eq!(alone.row(0), all.row(row));
            }
        }
        family.assert();
        let mut none = Array2::ones((2, 3));
        gammas_into(0.0, Noise::new(1), [1, 2, 3], &[0, 1], &mut none, &mut Scratch::new());
        assert!(none.iter().all(|&gamma| gamma == 0.0));
    }

    /// The largest u that the bound accepts is accepted by the comparison; and the bound refuses few.
    #[test]
    fn the_bound_without_a_logarithm_is_one() {
        for shape in [1.0, 1.2, 2.0, 5.0, 40.0, 1e4, 1e12] {
            let candidates = Candidates::of(shape);
            for z in (-9_000..=9_000).map(|k| f64::from(k) * 1e-3) {
                let (mut accepted, mut refused) = (0.0, 1.0);
                for _ in 0..53 {
                    let middle = 0.5 * (accepted + refused);
                    if candidates.quickly(z, middle).is_some() { accepted = middle } else { refused = middle }
                }
                if accepted > 0.0 {
                    let found = candidates.quickly(z, accepted);
                    assert_eq!(candidates.slowly(z, accepted), found, "shape {shape}, z {z}, u {accepted}");
                }
            }
        }
        let quick =
            (-400..=400).filter(|&k| Candidates::of(10.0).quickly(f64::from(k) * 0.01, 0.5).is_some());
        assert!(quick.count() > 780);
    }
}
