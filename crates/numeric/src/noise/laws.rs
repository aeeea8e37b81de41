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
    fn values(words: [u32; 4]) -> [Self::Value; K];
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
    fn values(w: [u32; 4]) -> [f32; 4] {
        let [a, b] = normal_pair_32(w[0], w[1]);
        let [c, d] = normal_pair_32(w[2], w[3]);
        [a, b, c, d]
    }
}

impl Law<2> for Normal64 {
    type Value = f64;
    const TAG: u64 = u64::from_le_bytes(*b"normal64");

    #[inline(always)]
    fn values(w: [u32; 4]) -> [f64; 2] {
        normal_pair_64(join(w[0], w[1]), join(w[2], w[3]))
    }
}

impl Law<4> for Uniform32 {
    type Value = f32;
    const TAG: u64 = u64::from_le_bytes(*b"uniform4");

    #[inline(always)]
    fn values(w: [u32; 4]) -> [f32; 4] {
        w.map(|word| f32::from_bits(0x3F80_0000 | word >> 9) - (1.0 - 0.5 * f32::EPSILON))
    }
}

impl Law<2> for Uniform64 {
    type Value = f64;
    const TAG: u64 = u64::from_le_bytes(*b"uniform8");

    #[inline(always)]
    fn values(w: [u32; 4]) -> [f64; 2] {
        [uniform_64(join(w[0], w[1])), uniform_64(join(w[2], w[3]))]
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

/// Two independent normals by Box and Muller (1958): radius $`\sqrt{-2 \ln u}`$ with $`u = (a + 1/2) 2^{-32}`$, and
/// an angle uniform on the circle from `b`.
///
/// Below $`\sqrt{1/2}`$, $`u = 2^e (1 + f)`$; above, $`u = 1 + f`$ with $`-f = (\bar a + 1/2) 2^{-32}`$ from the complement of
/// `a`. Both are exact to rounding, so the radius keeps its relative precision at either end.
/// Two bits of `b` are the signs, one exchanges cosine and sine, 29 are the angle within its octant.
#[inline(always)]
fn normal_pair_32(a: u32, b: u32) -> [f32; 2] {
    const SQRT_HALF: f32 = std::f32::consts::FRAC_1_SQRT_2;
    const LOG: [f32; 8] = [
        0.999_999_821_186_065_7,
        -0.666_679_024_696_350_1,
        0.500_035_107_135_772_7,
        -0.399_241_417_646_408_1,
        0.331_410_259_008_407_2,
        -0.298_359_781_503_677_37,
        0.286_150_038_242_340_1,
        -0.174_695_625_901_222_23,
    ];
    const SIN: [f32; 3] =
        [-0.166_666_552_424_430_85, 0.008_332_161_232_829_094, -0.000_195_152_853_848_412_63];
    const COS: [f32; 3] = [-0.499_998_837_709_426_9, 0.041_655_778_884_887_695, -0.001_359_185_436_740_517_6];

    let below = a < (SQRT_HALF as f64 * 4_294_967_296.0) as u32;
    let v = ((if below { a } else { !a }) as f32 + 0.5) * (1.0 / 4_294_967_296.0);
    let bits = v.to_bits().wrapping_sub(SQRT_HALF.to_bits());
    let m = f32::from_bits((bits & 0x007F_FFFF).wrapping_add(SQRT_HALF.to_bits()));
    let f = if below { m - 1.0 } else { -v };
    let e = if below { (bits as i32 >> 23) as f32 } else { 0.0 };
    // -2 ln u = -2 e ln 2 - 2 f + f^2 LOG(f)
    let r = (e * (-2.0 * LN_2 as f32) + f * f * degree_7(f, LOG) - 2.0 * f).sqrt();

    let t = ((b & 0x1FFF_FFFF) as i32 as f32 + 0.5) * (FRAC_PI_4 / 536_870_912.0) as f32;
    let z = t * t;
    let sin = t + t * z * degree_2(z, SIN);
    let cos = 1.0 + z * degree_2(z, COS);
    let swap = b & 0x2000_0000 != 0;
    let x = r * if swap { sin } else { cos };
    let y = r * if swap { cos } else { sin };
    [f32::from_bits(x.to_bits() ^ (b & 0x8000_0000)), f32::from_bits(y.to_bits() ^ (b << 1 & 0x8000_0000))]
}

/// As [`normal_pair_32`], with 64 bits for the radius and 61 + 3 for the angle; the logarithm is
/// $`\ln(1 + f) = 2 \operatorname{artanh}(s)`$ with $`s = f / (2 + f)`$.
#[inline(always)]
pub(super) fn normal_pair_64(a: u64, b: u64) -> [f64; 2] {
    const SQRT_HALF: f64 = std::f64::consts::FRAC_1_SQRT_2;
    const TWO_64: f64 = 18_446_744_073_709_551_616.0;
    const LOG: [f64; 7] = [
        0.666_666_666_666_673_4,
        0.399_999_999_994_163_86,
        0.285_714_287_420_144_4,
        0.222_221_986_107_847_27,
        0.181_835_624_093_688_42,
        0.153_140_986_340_809_75,
        0.147_954_780_005_303_13,
    ];
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

    let below = a < (SQRT_HALF * TWO_64) as u64;
    let v = (unsigned(if below { a } else { !a }) + 0.5) * (1.0 / TWO_64);
    let bits = v.to_bits().wrapping_sub(SQRT_HALF.to_bits()).wrapping_add(1023 << 52);
    let m = f64::from_bits((bits & 0x000F_FFFF_FFFF_FFFF).wrapping_add(SQRT_HALF.to_bits()));
    let f = if below { m - 1.0 } else { -v };
    // The exponent lies in 0..2^52: its bits below those of 2^52 are the sum.
    let e = f64::from_bits(0x4330_0000_0000_0000 | bits >> 52) - (4_503_599_627_370_496.0 + 1023.0);
    let e = if below { e } else { 0.0 };
    let s = f / (2.0 + f);
    let z = s * s;
    // -2 ln u = -2 e ln 2 - 2 (f - s (f - z LOG(z)))
    let r = (e * (-2.0 * LN_2) + 2.0 * (s * (f - z * degree_6(z, LOG)) - f)).sqrt();

    let t = (unsigned(b & 0x1FFF_FFFF_FFFF_FFFF) + 0.5) * (FRAC_PI_4 * 8.0 / TWO_64);
    let z = t * t;
    let sin = t + t * z * degree_5(z, SIN);
    let cos = 1.0 + z * degree_6(z, COS);
    let swap = b & 0x2000_0000_0000_0000 != 0;
    let x = r * if swap { sin } else { cos };
    let y = r * if swap { cos } else { sin };
    [
        f64::from_bits(x.to_bits() ^ (b & 0x8000_0000_0000_0000)),
        f64::from_bits(y.to_bits() ^ (b << 1 & 0x8000_0000_0000_0000)),
    ]
}

/// `x as f64` (to nearest), spelled so that it is vector code where the machine lacks the instruction.
#[inline(always)]
fn unsigned(x: u64) -> f64 {
    x as f64
}

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
