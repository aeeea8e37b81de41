//! Exponentials of many numbers at once, for the weights of mixtures.

use crate::{Real, vectorize};

/// Replaces the logits `(k, n)` by weights relative to the largest of each column: `w = e^{l − top}`.
///
/// Writes the largest logit of each of the n columns over `tops` and the sum of its weights over `sums`: the
/// logarithm of `Σ e^l` is `top + ln sum`, and `w/sum` are the softmax. Weights below `e^{−60}` are exactly 0:
/// that is below 10⁻²⁶, far below the rounding of the sum, while subnormal numbers would slow everything that
/// uses the weights eightfold. Relative error of a weight at most 2 units in the last place (of `F`) beyond
/// that of the difference; the same bits on every CPU; each column from itself alone. A NaN makes its column's
/// sum NaN.
///
/// ```
/// let mut logits = [0.0, 5.0, 0.0, 6.0, -100.0, 5.0_f64];             // three components, two columns
/// let (mut tops, mut sums) = ([0.0; 2], [0.0; 2]);
/// numeric::softmax_columns(&mut logits, &mut tops, &mut sums);
/// assert_eq!((tops, sums[0]), ([0.0, 6.0], 2.0));
/// assert_eq!(logits[4], 0.0);
/// assert!((tops[1] + sums[1].ln() - (2.0 * 5.0_f64.exp() + 6.0_f64.exp()).ln()).abs() < 1e-15);
/// ```
///
/// # Panics
/// If the lengths do not fit each other.
pub fn softmax_columns<F: Real>(logits: &mut [F], tops: &mut [F], sums: &mut [F]) {
    let n = tops.len();
    assert!(sums.len() == n && n > 0 && logits.len().is_multiple_of(n), "k rows of n logits");
    F::softmax_columns(logits, tops, sums);
}

/// `e^x` of many numbers, written over them.
///
/// Relative error of at most 2 units in the last place (of `F`); the same bits on every CPU. Where the result would be below
/// the smallest normal number, to rounding, it is 0, where it would be above the largest finite one infinity; NaN stays NaN.
///
/// ```
/// let mut x = [0.0, 1.0, -800.0, 800.0, f64::NEG_INFINITY];
/// numeric::exp_in_place(&mut x);
/// assert!((x[1] - std::f64::consts::E).abs() < 1e-15);
/// assert_eq!((x[0], x[2], x[3], x[4]), (1.0, 0.0, f64::INFINITY, 0.0));
/// ```
pub fn exp_in_place<F: Real>(x: &mut [F]) {
    F::exp_in_place(x);
}

/// Smallest exponent that is not cut to zero.
const CUT: f64 = -60.0;

macro_rules! softmax_columns {
    ($name:ident, $exp:ident, $float:ty, $log2e:expr, $shift:literal, $magic:expr, $high:expr, $low:expr, $coefficients:expr) => {
        pub(crate) fn $exp(x: &mut [$float]) {
            const LN_2: $float = std::f64::consts::LN_2 as $float;
            // Just above the smallest normal number, and a little above the largest.
            const LOW: $float = (<$float>::MIN_EXP - 1) as $float * LN_2 * (1.0 - 2.0 * <$float>::EPSILON);
            const HIGH: $float = <$float>::MAX_EXP as $float * LN_2 + 0.25;
            vectorize(
                #[inline(always)]
                || {
                    for x in x.iter_mut() {
                        let given = *x;
                        let shifted = given * $log2e + $magic;
                        let n = shifted - $magic;
                        let r = (given - n * $high) - n * $low;
                        let mut e: $float = 0.0;
                        for &c in $coefficients.iter() {
                            e = e * r + c;
                        }
                        // One power of 2 of the n by multiplication where n is positive: 2^n itself may be too large.
                        let (one, factor) = if given > 0.0 { (1, 2.0) } else { (0, 1.0) };
                        let power = (shifted.to_bits().wrapping_sub(one)) << $shift;
                        let e = factor * <$float>::from_bits(e.to_bits().wrapping_add(power));
                        *x = if given < LOW {
                            0.0
                        } else if given > HIGH {
                            <$float>::INFINITY
                        } else if given.is_nan() {
                            given
                        } else {
                            e
                        };
                    }
                },
            );
        }

        pub(crate) fn $name(logits: &mut [$float], tops: &mut [$float], sums: &mut [$float]) {
            vectorize(
                #[inline(always)]
                || {
                    let n = tops.len();
                    let mut at = 0;
                    while at + 32 <= n {
                        columns::<32>(logits, tops, sums, at, 32);
                        at += 32;
                    }
                    while at + 8 <= n {
                        columns::<8>(logits, tops, sums, at, 8);
                        at += 8;
                    }
                    if at < n {
                        columns::<8>(logits, tops, sums, at, n - at);
                    }
                },
            );

            /// `count` columns from `at` on, at most C. What runs over the components is local: it stays in registers, and
            /// the compiler need not ask whether slices overlap.
            #[inline(always)]
            fn columns<const C: usize>(
                logits: &mut [$float],
                tops: &mut [$float],
                sums: &mut [$float],
                at: usize,
                count: usize,
            ) {
                let n = tops.len();
                let local = |logits: &[$float]| {
                    let mut local = [0.0; C];
                    local[..count].copy_from_slice(&logits[at..][..count]);
                    local
                };
                let mut top = [<$float>::NEG_INFINITY; C];
                for logits in logits.chunks_exact(n) {
                    let logits = local(logits);
                    for c in 0..C {
                        top[c] = if top[c] > logits[c] { top[c] } else { logits[c] };
                    }
                }
                let mut sum: [$float; C] = [0.0; C];
                for logits in logits.chunks_exact_mut(n) {
                    let mut weights = local(logits);
                    for c in 0..C {
                        // x = n ln 2 + r; adding 1.5·2^mantissa rounds to an integer and leaves it in the low bits.
                        let d = weights[c] - top[c];
                        let y = if d < CUT as $float { CUT as $float } else { d };
                        let shifted = y * $log2e + $magic;
                        let n = shifted - $magic;
                        let r = (y - n * $high) - n * $low;
                        let mut e: $float = 0.0;
                        for &c in $coefficients.iter() {
                            e = e * r + c;
                        }
                        let e = <$float>::from_bits(e.to_bits().wrapping_add(shifted.to_bits() << $shift));
                        weights[c] = if d < CUT as $float { 0.0 } else { e };
                        sum[c] += weights[c];
                    }
                    logits[at..][..count].copy_from_slice(&weights[..count]);
                }
                tops[at..][..count].copy_from_slice(&top[..count]);
                sums[at..][..count].copy_from_slice(&sum[..count]);
            }
        }
    };
}

// ln 2 in two parts, the first with enough trailing zeros that its product with n is exact. Then e^r = 1 + r + r² q(r),
// from the highest coefficient down, with q the interpolation of (e^r − 1 − r)/r² in the Chebyshev nodes of
// |r| ≤ ln 2 / 2 (solved in 60 digits): relative errors 1.0·10⁻⁸ and 1.7·10⁻¹⁷ before rounding.
softmax_columns!(
    softmax_f32,
    exp_f32,
    f32,
    std::f32::consts::LOG2_E,
    23,
    12_582_912.0,
    0.693_359_375,
    -2.121_944_4e-4,
    [1.392_617_6e-3, 8.363_173e-3, 4.166_655_5e-2, 1.666_657_7e-1, 0.5, 1.0, 1.0]
);
softmax_columns!(
    softmax_f64,
    exp_f64,
    f64,
    std::f64::consts::LOG2_E,
    52,
    SHIFT,
    LN_2_HIGH,
    LN_2_LOW,
    [Q[0], Q[1], Q[2], Q[3], Q[4], Q[5], Q[6], Q[7], Q[8], Q[9], 1.0, 1.0]
);

/// 1.5·2⁵²: adding it rounds to an integer.
const SHIFT: f64 = 6_755_399_441_055_744.0;
const LN_2_HIGH: f64 = 0.693_147_180_369_123_8;
const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;

/// The coefficients of q, from the highest down.
const Q: [f64; 10] = [
    2.5100375924709717e-08,
    2.762007599981065e-07,
    2.7557268480116333e-06,
    2.4801521322116825e-05,
    0.0001984126986304067,
    0.0013888888917196881,
    0.008333333333330065,
    0.041666666666624164,
    0.16666666666666669,
    0.5000000000000001,
];

/// `e^x` and `e^x − 1` of many numbers, from one reduction of each.
///
/// Relative errors of at most 4 units in the last place, of either; the same bits on every CPU. From |x| = 700 on
/// they are those of the standard library.
///
/// ```
/// let (mut exp, mut exp_m1) = ([0.0; 3], [0.0; 3]);
/// numeric::exp_and_exp_m1(&[-1e-20, 1.0, -800.0], &mut exp, &mut exp_m1);
/// assert_eq!((exp[0], exp_m1[0]), (1.0, -1e-20));
/// assert!((exp[1] - 1.0_f64.exp()).abs() < 1e-15 && (exp[2], exp_m1[2]) == (0.0, -1.0));
/// ```
///
/// # Panics
/// If the lengths differ.
pub fn exp_and_exp_m1(x: &[f64], exp: &mut [f64], exp_m1: &mut [f64]) {
    assert!(x.len() == exp.len() && x.len() == exp_m1.len(), "one result of each kind for each number");
    vectorize(
        #[inline(always)]
        || {
            for ((&x, exp), exp_m1) in x.iter().zip(exp.iter_mut()).zip(exp_m1.iter_mut()) {
                let shifted = x * std::f64::consts::LOG2_E + SHIFT;
                let n = shifted - SHIFT;
                let r = (x - n * LN_2_HIGH) - n * LN_2_LOW;
                let mut q = 0.0;
                for &c in &Q {
                    q = q * r + c;
                }
                // e^x = 2ⁿ (1 + p) with p = e^r − 1.
                let p = r + r * r * q;
                let power = f64::from_bits(1.0_f64.to_bits().wrapping_add(shifted.to_bits() << 52));
                *exp = power + power * p;
                *exp_m1 = power * p + (power - 1.0);
            }
        },
    );
    for ((&x, exp), exp_m1) in x.iter().zip(exp).zip(exp_m1) {
        if !(x.abs() < 700.0) {
            (*exp, *exp_m1) = (x.exp(), x.exp_m1());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{exp_and_exp_m1, exp_in_place, softmax_columns};
    use crate::Real;

    /// Against the standard library's exponential in `f64`, of numbers over the whole range and at its ends.
    fn exponentials_in_place<F: Real>() {
        let epsilon = F::epsilon().as_f64();
        let smallest = F::min_positive_value().as_f64();
        let (low, high) = (smallest.ln(), F::max_value().as_f64().ln());
        let mut given: Vec<F> =
            (0..=200_000).map(|i| F::of(low - 1.0 + (high - low + 2.0) * f64::from(i) / 2e5)).collect();
        given.extend((-999..1000).map(|i| F::of(f64::from(i) * 1e-3)));
        given.extend(
            [low, high].map(F::of).iter().flat_map(|&end| {
                (-20..20).map(move |i| end + F::of(f64::from(i)) * F::epsilon() * end.abs())
            }),
        );
        let mut found = given.clone();
        exp_in_place(&mut found);
        for (x, found) in given.iter().zip(&found) {
            let (x, found) = (x.as_f64(), found.as_f64());
            let exact = x.exp();
            if found == 0.0 {
                // The end is 2 units in the last place of the argument above the smallest, and rounded.
                assert!(exact < smallest * (1.0 - 4.0 * low * epsilon), "{x}: {found}");
            } else if found == f64::INFINITY {
                assert!(
                    F::of(exact) == F::infinity() || exact > F::max_value().as_f64() * (1.0 - 2.0 * epsilon),
                    "{x}: {found}"
                );
            } else {
                assert!((found / exact - 1.0).abs() <= 2.0 * epsilon, "{x}: {found:e} for {exact:e}");
            }
        }
        let mut ends =
            [F::infinity(), F::neg_infinity(), F::zero(), F::nan(), F::max_value(), F::min_value()];
        exp_in_place(&mut ends);
        let (one, zero) = (F::one(), F::zero());
        assert_eq!(
            (ends[0], ends[1], ends[2], ends[4], ends[5]),
            (F::infinity(), zero, one, F::infinity(), zero)
        );
        assert!(ends[3].is_nan());
    }

    #[test]
    fn exponentials_in_place_agree_with_the_standard_library() {
        exponentials_in_place::<f32>();
        exponentials_in_place::<f64>();
    }

    #[test]
    fn exponentials_agree_with_the_standard_library() {
        let mut xs: Vec<f64> = (-40_000..40_000).map(|i| 1e-2 * f64::from(i)).collect();
        xs.extend(
            (0..20_000).map(|i| -1e-18 * 1.003_f64.powi(i % 14_000) * if i % 2 == 0 { 1.0 } else { -1.0 }),
        );
        xs.extend([0.0, -0.0, 710.0, -745.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN]);
        let [mut exp, mut exp_m1] = [(); 2].map(|()| vec![0.0; xs.len()]);
        exp_and_exp_m1(&xs, &mut exp, &mut exp_m1);
        for ((&x, &exp), &exp_m1) in xs.iter().zip(&exp).zip(&exp_m1) {
            let near = |value: f64, exact: f64| {
                value == exact
                    || (value.is_nan() && exact.is_nan())
                    || (value / exact - 1.0).abs() <= 4.0 * f64::EPSILON
            };
            assert!(near(exp, x.exp()) && near(exp_m1, x.exp_m1()), "{x}: {exp} {exp_m1}");
        }
    }

    #[test]
    fn weights_agree_with_the_standard_library_to_two_units() {
        // One column for each exponent, beside a top of 0.
        let n = 100_000;
        let xs: Vec<f64> = (0..n).map(|i| -60.0 * f64::from(i) / f64::from(n)).collect();
        let mut logits: Vec<f64> = xs.iter().copied().chain(xs.iter().map(|_| 0.0)).collect();
        let mut singles: Vec<f32> = logits.iter().map(|&x| x as f32).collect();
        let rounded: Vec<f64> = singles.iter().map(|&x| f64::from(x)).collect();
        let (mut tops, mut sums) = (vec![1.0; xs.len()], vec![1.0; xs.len()]);
        softmax_columns(&mut logits, &mut tops, &mut sums);
        let (mut tops32, mut sums32) = (vec![1.0_f32; xs.len()], vec![1.0_f32; xs.len()]);
        softmax_columns(&mut singles, &mut tops32, &mut sums32);
        for (i, x) in xs.iter().enumerate() {
            assert!((logits[i] / x.exp() - 1.0).abs() <= 2.0 * f64::EPSILON, "{x}");
            assert!(
                (f64::from(singles[i]) / rounded[i].exp() - 1.0).abs() <= 2.0 * f64::from(f32::EPSILON),
                "{x}"
            );
            assert_eq!((tops[i], sums[i]), (0.0, 1.0 + logits[i]));
        }
    }

    #[test]
    fn columns_are_computed_from_themselves_and_nan_shows() {
        let mut logits = [1.0, f64::NAN, f64::NEG_INFINITY, 3.0, 0.0, 0.0];
        let (mut tops, mut sums) = ([0.0; 3], [0.0; 3]);
        softmax_columns(&mut logits, &mut tops, &mut sums);
        assert_eq!((logits[2], sums[2], tops[0]), (0.0, 1.0, 3.0));
        assert!(sums[1].is_nan() && !sums[0].is_nan());
    }
}
