//! Logarithms and tangents of many numbers at once, for the levels of rows with times of their own.

use crate::vectorize;

/// `ln(1 + x)` of many numbers of at least 0, written over them.
///
/// Relative error of at most 4 units in the last place; the same bits on every CPU from 0 to 9·10¹⁵. For other numbers, infinities
/// and NaN the values are those of the standard library, whose bits are the platform's.
///
/// ```
/// let mut x = [0.0, 1e-20, 1.0, 1e300];
/// numeric::ln_1p_in_place(&mut x);
/// assert_eq!((x[0], x[1]), (0.0, 1e-20));
/// assert!((x[2] - std::f64::consts::LN_2).abs() < 1e-15 && (x[3] - 1e300_f64.ln()).abs() < 1e-12);
/// ```
///
/// # References
/// Sun Microsystems (1993), *fdlibm*, `s_log1p.c` and `e_log.c`: the reduction and the polynomial.
pub fn ln_1p_in_place(x: &mut [f64]) {
    const CHUNK: usize = 16;
    let (chunks, rest) = x.as_chunks_mut::<CHUNK>();
    chunks.iter_mut().for_each(ln_1p_of);
    for x in rest {
        ln_1p_of(std::array::from_mut(x));
    }
}

fn ln_1p_of<const C: usize>(x: &mut [f64; C]) {
    let given = *x;
    vectorize(
        #[inline(always)]
        || {
            let mut out = given;
            for out in &mut out {
                *out = ln_1p(*out);
            }
            *x = out;
        },
    );
    for (x, &given) in x.iter_mut().zip(&given) {
        if !(0.0..9e15).contains(&given) {
            *x = given.ln_1p();
        }
    }
}

/// 1 + x = 2ᵏ (1 + f) with 1 + f in [√½, √2), then `ln(1 + f) = f − f²/2 + s (f²/2 + R(s²))`, s = f/(2 + f), with the
/// polynomial of the C library of Sun Microsystems (fdlibm, e_log.c), of error 2⁻⁵⁸. What rounding took from 1 + x
/// is given back as c.
#[inline(always)]
fn ln_1p(x: f64) -> f64 {
    const R: [f64; 7] = [
        1.479_819_860_511_658_6e-1,
        1.531_383_769_920_937_3e-1,
        1.818_357_216_161_805e-1,
        2.222_219_843_214_978_4e-1,
        2.857_142_874_366_239e-1,
        3.999_999_999_940_942e-1,
        6.666_666_666_666_735e-1,
    ];
    const LN_2_HIGH: f64 = 6.931_471_803_691_238e-1;
    const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;
    /// Bits of √½.
    const ROOT: u64 = 0x3FE6_A09E_667F_3BCD;
    /// Adding it to the bits of an integer below 2⁵² makes 2⁵² plus that integer.
    const SHIFT: u64 = 0x4330_0000_0000_0000;

    let u = 1.0 + x;
    let lost = if u < 2.0 { x - (u - 1.0) } else { 1.0 - (u - x) };
    let bits = u.to_bits().wrapping_sub(ROOT);
    // u is at least 1, so k is not negative.
    let k = f64::from_bits((bits >> 52) + SHIFT) - f64::from_bits(SHIFT);
    let f = f64::from_bits((bits & ((1 << 52) - 1)) + ROOT) - 1.0;
    let half = 0.5 * f * f;
    let s = f / (2.0 + f);
    let z = s * s;
    let mut r = 0.0;
    for c in R {
        r = (r + c) * z;
    }
    k * LN_2_HIGH - ((half - (s * (half + r) + (k * LN_2_LOW + lost / u))) - f)
}

/// `tan` of many angles of [0, π/4], written over them.
///
/// Relative error of at most 4 units in the last place; the same bits on every CPU. Other numbers give what the polynomials
/// give there.
///
/// ```
/// let mut x = [0.0, 1e-200, std::f64::consts::FRAC_PI_4];
/// numeric::tan_in_place(&mut x);
/// assert_eq!((x[0], x[1]), (0.0, 1e-200));
/// assert!((x[2] - 1.0).abs() < 1e-15);
/// ```
///
/// # References
/// Sun Microsystems (1993), *fdlibm*, `k_sin.c` and `k_cos.c`: the polynomials of sine and cosine, whose quotient this is.
pub fn tan_in_place(x: &mut [f64]) {
    // sin x = x + x³ S(x²), cos x = 1 − x²/2 + x⁴ C(x²), from the highest coefficient down: those of fdlibm (k_sin.c,
    // k_cos.c), of error 2⁻⁵⁸ for |x| ≤ π/4.
    const S: [f64; 6] = [
        1.589_690_995_211_55e-10,
        -2.505_076_025_340_686_3e-8,
        2.755_731_370_707_006_8e-6,
        -1.984_126_982_985_795e-4,
        8.333_333_333_322_49e-3,
        -1.666_666_666_666_663_2e-1,
    ];
    const C: [f64; 6] = [
        -1.135_964_755_778_819_5e-11,
        2.087_572_321_298_175e-9,
        -2.755_731_435_139_066_3e-7,
        2.480_158_728_947_673e-5,
        -1.388_888_888_887_411e-3,
        4.166_666_666_666_660_2e-2,
    ];
    vectorize(
        #[inline(always)]
        || {
            for x in x.iter_mut() {
                let z = *x * *x;
                let (mut s, mut c) = (0.0, 0.0);
                for i in 0..6 {
                    s = s * z + S[i];
                    c = c * z + C[i];
                }
                *x = (*x + *x * z * s) / (1.0 - (0.5 * z - z * z * c));
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::{ln_1p_in_place, tan_in_place};

    fn near(value: f64, exact: f64) -> bool {
        value == exact
            || (value.is_nan() && exact.is_nan())
            || (value / exact - 1.0).abs() <= 4.0 * f64::EPSILON
    }

    #[test]
    fn logarithms_agree_with_the_standard_library() {
        let mut xs: Vec<f64> = (0..100_000).map(|i| 1e-4 * f64::from(i)).collect();
        xs.extend((0..60_000).map(|i| 1e-300 * 1.0235_f64.powi(i)));
        // About each power of two, where the mantissa turns over.
        xs.extend(
            (-40..60)
                .flat_map(|e| (0..9).map(move |i| 2.0_f64.powi(e) * (1.0 + (f64::from(i) - 4.0) * 1e-9))),
        );
        xs.extend([f64::from_bits(1), 9e15, -0.0, -0.5, -1.0, -2.0, f64::INFINITY, f64::NAN]);
        let mut found = xs.clone();
        ln_1p_in_place(&mut found);
        for (&x, &found) in xs.iter().zip(&found) {
            assert!(near(found, x.ln_1p()), "{x:e}: {found:e} {:e}", x.ln_1p());
        }
    }

    #[test]
    fn tangents_agree_with_the_standard_library() {
        let mut xs: Vec<f64> =
            (0..=100_000).map(|i| std::f64::consts::FRAC_PI_4 * f64::from(i) / 1e5).collect();
        xs.extend((0..30_000).map(|i| 0.7 * 0.98_f64.powi(i)));
        let mut found = xs.clone();
        tan_in_place(&mut found);
        for (&x, &found) in xs.iter().zip(&found) {
            assert!(near(found, x.tan()), "{x:e}: {found:e} {:e}", x.tan());
        }
    }
}
