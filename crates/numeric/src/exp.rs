//! Exponentials of many numbers at once, for the weights of mixtures.

use crate::{Real, vectorize};

/// Replaces each `x ≤ 0` by `e^x`, and by exactly 0 where `x < −60`.
///
/// Made for weights relative to their maximum, where `e^{−60} < 10⁻²⁶` is far below the rounding of any sum
/// they enter; without the cut, subnormal numbers would slow the sums eightfold. Relative error at most 2 units
/// in the last place; the same bits on every CPU. NaN stays NaN.
///
/// ```
/// let mut x = [0.0, -1.0, -59.0, -61.0];
/// numeric::exp_weights(&mut x);
/// assert_eq!((x[0], x[3]), (1.0, 0.0));
/// assert!((x[1] * 1.0_f64.exp() - 1.0).abs() < 1e-15 && (x[2] * 59.0_f64.exp() - 1.0).abs() < 1e-15);
/// ```
pub fn exp_weights<F: Real>(x: &mut [F]) {
    F::exp_weights(x);
}

/// Smallest exponent that is not cut to zero.
const CUT: f64 = -60.0;

macro_rules! exp_weights {
    ($name:ident, $float:ty, $log2e:expr, $shift:literal, $magic:literal, $high:literal, $low:literal, $taylor:expr) => {
        pub(crate) fn $name(x: &mut [$float]) {
            vectorize(
                #[inline(always)]
                || {
                    for x in x.iter_mut() {
                        // x = n ln 2 + r; adding 1.5·2^mantissa rounds to an integer and leaves it in the low bits.
                        let y = if *x < CUT as $float { CUT as $float } else { *x };
                        let shifted = y * $log2e + $magic;
                        let n = shifted - $magic;
                        let r = (y - n * $high) - n * $low;
                        let mut sum: $float = 0.0;
                        for &c in $taylor.iter() {
                            sum = sum * r + c;
                        }
                        let scaled =
                            <$float>::from_bits(sum.to_bits().wrapping_add(shifted.to_bits() << $shift));
                        *x = if *x < CUT as $float { 0.0 } else { scaled };
                    }
                },
            );
        }
    };
}

// ln 2 in two parts, the first with enough trailing zeros that its product with n is exact; Taylor coefficients of
// e^r from the highest down, |r| ≤ ln 2 / 2: the first term left out is below 5·10⁻⁹ and 5·10⁻¹⁸.
exp_weights!(
    f32s,
    f32,
    std::f32::consts::LOG2_E,
    23,
    12_582_912.0,
    0.693_359_375,
    -2.121_944_4e-4,
    [1.0 / 5040.0, 1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 1.0 / 2.0, 1.0, 1.0]
);
exp_weights!(
    f64s,
    f64,
    std::f64::consts::LOG2_E,
    52,
    6_755_399_441_055_744.0,
    0.693_147_180_369_123_8,
    1.908_214_929_270_587_7e-10,
    [
        1.0 / 6227020800.0,
        1.0 / 479001600.0,
        1.0 / 39916800.0,
        1.0 / 3628800.0,
        1.0 / 362880.0,
        1.0 / 40320.0,
        1.0 / 5040.0,
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        1.0 / 2.0,
        1.0,
        1.0
    ]
);

#[cfg(test)]
mod tests {
    use super::exp_weights;

    #[test]
    fn agrees_with_the_standard_library_to_two_units() {
        let xs = (0..100_000).map(|i| -60.0 * f64::from(i) / 100_000.0);
        let (mut x64, mut x32): (Vec<f64>, Vec<f32>) = xs.map(|x| (x, x as f32)).unzip();
        let (exact64, exact32): (Vec<f64>, Vec<f64>) =
            x64.iter().zip(&x32).map(|(a, b)| (a.exp(), f64::from(*b).exp())).unzip();
        exp_weights(&mut x64);
        exp_weights(&mut x32);
        for i in 0..x64.len() {
            assert!((x64[i] / exact64[i] - 1.0).abs() <= 2.0 * f64::EPSILON, "{} {}", x64[i], exact64[i]);
            assert!((f64::from(x32[i]) / exact32[i] - 1.0).abs() <= 2.0 * f64::from(f32::EPSILON));
        }
        let mut edge = [f64::NAN, f64::NEG_INFINITY, -0.0];
        exp_weights(&mut edge);
        assert!(edge[0].is_nan() && edge[1] == 0.0 && edge[2] == 1.0);
    }
}
