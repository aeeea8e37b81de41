//! From the 128 bits of a counter to normals and uniforms, in plain IEEE arithmetic.
//!
//! Nothing here branches, calls a mathematical library or fuses a product with a sum: the bits are the same on
//! every machine, and a loop over lanes becomes vector code of any width. The polynomials are minimax in the
//! relative error of the whole function (Remez exchange in 50 digits), then rounded coefficient by coefficient.

use std::f64::consts::{FRAC_PI_4, LN_2};

use crate::Real;

/// How the 128 bits of one counter become the values of one coordinate in `K` neighbouring rows.
pub(super) trait Law<const K: usize> {
    type Value: Real;
    /// Separates the key of this law from those of the others: no two of them see the same bits.
    const TAG: u64;
    /// The values of W counters, whose operations take turns.
    fn values<const W: usize>(words: [[u32; 4]; W]) -> [[Self::Value; K]; W];

    /// The value of one of the rows alone, `which` < `K`.
    #[inline(always)]
    fn value(words: [u32; 4], which: u32) -> Self::Value {
        let [values] = Self::values([words]);
        (1..).zip(&values[1..]).fold(values[0], |first, (k, &value)| if which == k { value } else { first })
    }
}

/// Standard normals of 64 random bits per pair: $`|z| < 6.77`$.
pub(super) struct Normal32;
/// Standard normals of 128 random bits per pair: $`|z| < 9.50`$.
pub(super) struct Normal64;
/// The odd multiples of $`2^{-24}`$ in (0, 1).
pub(super) struct Uniform32;
/// The odd multiples of $`2^{-53}`$ in (0, 1).
pub(super) struct Uniform64;

impl Law<4> for Normal32 {
    type Value = f32;
    const TAG: u64 = u64::from_le_bytes(*b"normal32");

    #[inline(always)]
    fn values<const W: usize>(w: [[u32; 4]; W]) -> [[f32; 4]; W] {
        let first = normal_pairs_32(map(w, |w| [w[0], w[1]]));
        let second = normal_pairs_32(map(w, |w| [w[2], w[3]]));
        zip(first, second, |[a, b], [c, d]| [a, b, c, d])
    }

    /// With one pair instead of two.
    #[inline(always)]
    fn value(w: [u32; 4], which: u32) -> f32 {
        let second = which & 2 != 0;
        let [[x, y]] = normal_pairs_32([if second { [w[2], w[3]] } else { [w[0], w[1]] }]);
        if which & 1 == 0 { x } else { y }
    }
}

impl Law<2> for Normal64 {
    type Value = f64;
    const TAG: u64 = u64::from_le_bytes(*b"normal64");

    #[inline(always)]
    fn values<const W: usize>(w: [[u32; 4]; W]) -> [[f64; 2]; W] {
        normal_pairs_64(map(w, |w| [join(w[0], w[1]), join(w[2], w[3])]))
    }
}

impl Law<4> for Uniform32 {
    type Value = f32;
    const TAG: u64 = u64::from_le_bytes(*b"uniform4");

    #[inline(always)]
    fn values<const W: usize>(w: [[u32; 4]; W]) -> [[f32; 4]; W] {
        map(w, |w| map(w, |word| f32::from_bits(0x3F80_0000 | word >> 9) - (1.0 - 0.5 * f32::EPSILON)))
    }
}

impl Law<2> for Uniform64 {
    type Value = f64;
    const TAG: u64 = u64::from_le_bytes(*b"uniform8");

    #[inline(always)]
    fn values<const W: usize>(w: [[u32; 4]; W]) -> [[f64; 2]; W] {
        map(w, |w| [uniform_64(join(w[0], w[1])), uniform_64(join(w[2], w[3]))])
    }
}

#[inline(always)]
pub(super) fn join(low: u32, high: u32) -> u64 {
    u64::from(low) | u64::from(high) << 32
}

/// $`(\lfloor 2^{-12} w \rfloor + 1/2) 2^{-52}`$, exactly.
#[inline(always)]
pub(super) fn uniform_64(word: u64) -> f64 {
    f64::from_bits(0x3FF0_0000_0000_0000 | word >> 12) - (1.0 - 0.5 * f64::EPSILON)
}

/// As [`map`], of two arrays.
#[inline(always)]
fn zip<A: Copy, B: Copy, C: Copy + Default, const W: usize>(
    a: [A; W],
    b: [B; W],
    f: impl Fn(A, B) -> C,
) -> [C; W] {
    let mut c = [C::default(); W];
    for w in 0..W {
        c[w] = f(a[w], b[w]);
    }
    c
}

/// What `array::map` does, which is not always inlined: and what is not is compiled for the baseline.
#[inline(always)]
pub(super) fn map<A: Copy, C: Copy + Default, const W: usize>(a: [A; W], f: impl Fn(A) -> C) -> [C; W] {
    let mut c = [C::default(); W];
    for w in 0..W {
        c[w] = f(a[w]);
    }
    c
}

/// Two independent normals by Box and Muller (1958): radius $`\sqrt{-2 \ln u}`$ with $`u = (a + 1/2) 2^{-32}`$, and
/// an angle uniform on the circle from `b`.
///
/// If $`u < 3/4`$ it is $`2^e (1 + f)`$ with $`1 + f \in [3/4, 3/2)`$; else it is $`1 + f`$ with
/// $`-f = (\bar a + 1/2) 2^{-32}`$ from the complement of `a`. Both are exact to rounding, so the radius keeps its relative
/// precision at either end.
/// Two bits of `b` are the signs, one exchanges cosine and sine, 29 are the angle within its octant.
///
/// Each stage is done for all W lanes before the next: a chain of operations this long waits for itself, and the CPU
/// looks some hundred instructions ahead, not as far as the next lane.
#[inline(always)]
fn normal_pairs_32<const W: usize>(w: [[u32; 2]; W]) -> [[f32; 2]; W] {
    const LOG: [f32; 8] = [
        1.000_001_192_092_895_5,
        -0.666_670_978_069_305_4,
        0.499_868_839_979_171_75,
        -0.399_541_616_439_819_34,
        0.336_456_507_444_381_7,
        -0.299_677_968_025_207_5,
        0.241_344_973_444_938_66,
        -0.108_262_620_866_298_68,
    ];
    const SIN: [f32; 3] =
        [-0.166_666_552_424_430_85, 0.008_332_161_232_829_094, -0.000_195_152_853_848_412_63];
    const COS: [f32; 3] = [-0.499_998_837_709_426_9, 0.041_655_778_884_887_695, -0.001_359_185_436_740_517_6];

    let fe = map(
        w,
        #[inline(always)]
        |[a, _]| {
            // All ones if u >= 3/4, that is, if both upper bits of `a` are set.
            let high = (a & a << 1) as i32 >> 31;
            let v = ((a ^ high as u32) as f32 + 0.5) * (1.0 / 4_294_967_296.0);
            let bits = v.to_bits().wrapping_sub(0.75_f32.to_bits());
            let m = f32::from_bits((bits & 0x007F_FFFF) + 0.75_f32.to_bits());
            let f = if high == 0 { m - 1.0 } else { -v };
            let e = if high == 0 { (bits as i32 >> 23) as f32 } else { 0.0 };
            [f, e]
        },
    );
    let r = map(
        fe,
        #[inline(always)]
        // -2 ln u = -2 e ln 2 - 2 f + f^2 LOG(f)
        |[f, e]| e * (-2.0 * LN_2 as f32) + f * f * degree_7(f, LOG) - 2.0 * f,
    );
    let r = map(
        r,
        #[inline(always)]
        |r| r.sqrt(),
    );
    let t = map(
        w,
        #[inline(always)]
        |[_, b]| ((b & 0x1FFF_FFFF) as i32 as f32 + 0.5) * (FRAC_PI_4 / 536_870_912.0) as f32,
    );
    let xy = zip(
        w,
        t,
        #[inline(always)]
        |[_, b], t| {
            let z = t * t;
            let sin = t + t * z * degree_2(z, SIN);
            let cos = 1.0 + z * degree_2(z, COS);
            let swap = b & 0x2000_0000 != 0;
            [if swap { sin } else { cos }, if swap { cos } else { sin }]
        },
    );
    let xy = zip(
        xy,
        r,
        #[inline(always)]
        |[x, y], r| [r * x, r * y],
    );
    zip(
        xy,
        w,
        #[inline(always)]
        |[x, y], [_, b]| {
            [
                f32::from_bits(x.to_bits() ^ (b & 0x8000_0000)),
                f32::from_bits(y.to_bits() ^ (b << 1 & 0x8000_0000)),
            ]
        },
    )
}

/// $`-\ln u`$ with $`u = (a + 1/2) 2^{-64}`$: the standard exponential of 64 random bits, at most 45.1, whose relative
/// precision holds at both ends.
#[inline(always)]
pub(super) fn exponentials<const W: usize>(a: [u64; W]) -> [f64; W] {
    map(
        a,
        #[inline(always)]
        |a| {
            let [f, e] = reduced(a);
            let s = f / (2.0 + f);
            0.5 * minus_2_ln(f, e, s, log_polynomial(s))
        },
    )
}

/// f and e with $`u = 2^e (1 + f)`$, as described at [`normal_pairs_32`].
#[inline(always)]
fn reduced(a: u64) -> [f64; 2] {
    let high = (a & a << 1) as i64 >> 63;
    let v = ((a ^ high as u64) as f64 + 0.5) * (1.0 / TWO_64);
    let bits = v.to_bits().wrapping_sub(0.75_f64.to_bits()).wrapping_add(1023 << 52);
    let m = f64::from_bits((bits & 0x000F_FFFF_FFFF_FFFF) + 0.75_f64.to_bits());
    let f = if high == 0 { m - 1.0 } else { -v };
    // The exponent lies in 0..2^52: its bits below those of 2^52 are the sum.
    let e = f64::from_bits(0x4330_0000_0000_0000 | bits >> 52) - (4_503_599_627_370_496.0 + 1023.0);
    let e = if high == 0 { e } else { 0.0 };
    [f, e]
}

/// $`z\, \mathrm{LOG}(z)`$ with z = s².
#[inline(always)]
fn log_polynomial(s: f64) -> f64 {
    const LOG: [f64; 7] = [
        0.666_666_666_666_726_8,
        0.399_999_999_961_770_5,
        0.285_714_293_928_11,
        0.222_221_386_855_209_78,
        0.181_863_491_653_091_77,
        0.152_503_160_410_674_88,
        0.153_672_708_243_506_82,
    ];
    let z = s * s;
    z * degree_6(z, LOG)
}

/// $`-2 \ln u = -2 e \ln 2 - 2 (f - s (f - p))`$, with p of [`log_polynomial`].
#[inline(always)]
fn minus_2_ln(f: f64, e: f64, s: f64, p: f64) -> f64 {
    e * (-2.0 * LN_2) + 2.0 * (s * (f - p) - f)
}

/// As [`normal_pairs_32`], with 64 bits for the radius and 61 + 3 for the angle; the logarithm is
/// $`\ln(1 + f) = 2 \operatorname{artanh}(s)`$ with $`s = f / (2 + f)`$.
#[inline(always)]
fn normal_pairs_64<const W: usize>(w: [[u64; 2]; W]) -> [[f64; 2]; W] {
    const SIN: [f64; 6] = [
        -0.166_666_666_666_666_3,
        0.008_333_333_333_322_118,
        -0.000_198_412_698_295_896_34,
        2.755_731_362_140_084e-6,
        -2.505_074_776_313_669e-8,
        1.589_623_008_633_103_8e-10,
    ];
    const COS: [f64; 7] = [
        -0.5,
        0.041_666_666_666_666_47,
        -0.001_388_888_888_886_2,
        2.480_158_728_409_444e-5,
        -2.755_731_311_723_669e-7,
        2.087_558_211_941_256_3e-9,
        -1.135_328_085_119_649_4e-11,
    ];
    let fe = map(
        w,
        #[inline(always)]
        |[a, _]| reduced(a),
    );
    let s = map(
        fe,
        #[inline(always)]
        |[f, _]| f / (2.0 + f),
    );
    let t = map(
        w,
        #[inline(always)]
        // Eight times the angle's 61 bits: a number that may have its upper bit set, whose conversion vectorises with AVX2.
        |[_, b]| ((b << 3) as f64 + 4.0) * (FRAC_PI_4 / TWO_64),
    );
    let p = map(s, log_polynomial);
    let sin = map(
        t,
        #[inline(always)]
        |t| {
            let z = t * t;
            t + t * z * degree_5(z, SIN)
        },
    );
    let sp = zip(
        s,
        p,
        #[inline(always)]
        |s, p| [s, p],
    );
    let r = zip(
        fe,
        sp,
        #[inline(always)]
        |[f, e], [s, p]| minus_2_ln(f, e, s, p),
    );
    let r = map(
        r,
        #[inline(always)]
        |r| r.sqrt(),
    );
    let cos = map(
        t,
        #[inline(always)]
        |t| {
            let z = t * t;
            1.0 + z * degree_6(z, COS)
        },
    );
    let sc = zip(
        sin,
        cos,
        #[inline(always)]
        |s, p| [s, p],
    );
    let xy = zip(
        w,
        sc,
        #[inline(always)]
        |[_, b], [sin, cos]| {
            let swap = b & 0x2000_0000_0000_0000 != 0;
            [if swap { sin } else { cos }, if swap { cos } else { sin }]
        },
    );
    let xy = zip(
        xy,
        r,
        #[inline(always)]
        |[x, y], r| [r * x, r * y],
    );
    zip(
        xy,
        w,
        #[inline(always)]
        |[x, y], [_, b]| {
            [
                f64::from_bits(x.to_bits() ^ (b & 0x8000_0000_0000_0000)),
                f64::from_bits(y.to_bits() ^ (b << 1 & 0x8000_0000_0000_0000)),
            ]
        },
    )
}

const TWO_64: f64 = 18_446_744_073_709_551_616.0;

/// $`\sum_{i<8} c_i x^i`$ by Estrin's scheme, in which the sums of neighbours do not wait for each other.
#[inline(always)]
fn degree_7<F: Real>(x: F, c: [F; 8]) -> F {
    let x2 = x * x;
    ((c[0] + c[1] * x) + (c[2] + c[3] * x) * x2) + ((c[4] + c[5] * x) + (c[6] + c[7] * x) * x2) * (x2 * x2)
}

/// $`\sum_{i<7} c_i x^i`$, likewise.
#[inline(always)]
fn degree_6<F: Real>(x: F, c: [F; 7]) -> F {
    let x2 = x * x;
    ((c[0] + c[1] * x) + (c[2] + c[3] * x) * x2) + ((c[4] + c[5] * x) + c[6] * x2) * (x2 * x2)
}

/// $`\sum_{i<6} c_i x^i`$, likewise.
#[inline(always)]
fn degree_5<F: Real>(x: F, c: [F; 6]) -> F {
    let x2 = x * x;
    ((c[0] + c[1] * x) + (c[2] + c[3] * x) * x2) + (c[4] + c[5] * x) * (x2 * x2)
}

/// $`\sum_{i<3} c_i x^i`$, likewise.
#[inline(always)]
fn degree_2<F: Real>(x: F, c: [F; 3]) -> F {
    (c[0] + c[1] * x) + c[2] * (x * x)
}

#[cfg(test)]
mod tests;
