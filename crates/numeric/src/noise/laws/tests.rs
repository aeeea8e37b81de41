//! The laws against the standard library.

use std::f64::consts::FRAC_PI_4;

use super::{Law, Normal32, Normal64, Uniform32, Uniform64, exponentials, join};
use crate::noise::philox::{RoundKeys, blocks};

/// Random words, with every pair of extreme and boundary words first.
fn words() -> impl Iterator<Item = [u32; 4]> {
    const EDGES: [u32; 10] = [
        0,
        1,
        0x1FFF_FFFF,
        0x2000_0000,
        0x3FFF_FFFF,
        0x7FFF_FFFF,
        0x8000_0000,
        0xBFFF_FFFF,
        0xC000_0000,
        u32::MAX,
    ];
    let edges =
        (0..10_000).map(|i| [EDGES[i % 10], EDGES[i / 10 % 10], EDGES[i / 100 % 10], EDGES[i / 1000]]);
    let keys = RoundKeys::new(1);
    edges.chain((0..200_000).flat_map(move |i| blocks([[i, 0, 0, 0]], &keys)))
}

/// Box-Muller as documented, with the functions of the standard library: the radius from `a` of `scale` = 2^bits or
/// from its complement, the angle `t` within its octant.
fn reference(a: f64, complement: f64, scale: f64, t: f64, sign_and_swap: u32) -> [f64; 2] {
    let ln_u = if a < scale / 2.0 { ((a + 0.5) / scale).ln() } else { (-(complement + 0.5) / scale).ln_1p() };
    let r = (-2.0 * ln_u).sqrt();
    let (x, y) = if sign_and_swap & 1 == 1 { (t.sin(), t.cos()) } else { (t.cos(), t.sin()) };
    let sign = |bit: u32| if sign_and_swap & bit == 0 { 1.0 } else { -1.0 };
    [sign(4) * r * x, sign(2) * r * y]
}

/// The largest relative errors found are 2.53 machine epsilons in `f32` and 2.50 in `f64`, where one or two are
/// the reference's own.
#[test]
fn normals_against_the_standard_library() {
    let (mut worst_32, mut worst_64) = (0.0_f64, 0.0_f64);
    for w in words() {
        for z in [0, 2] {
            let (a, b) = (w[z], w[z + 1]);
            let t = (f64::from(b & 0x1FFF_FFFF) + 0.5) * (FRAC_PI_4 / 536_870_912.0);
            let exact = reference(f64::from(a), f64::from(!a), 2_f64.powi(32), t, b >> 29);
            for (found, exact) in Normal32::values([w])[0][z..].iter().zip(exact) {
                worst_32 = worst_32.max((f64::from(*found) / exact - 1.0).abs());
            }
        }
        let (a, b) = (join(w[0], w[1]), join(w[2], w[3]));
        let t = ((b & 0x1FFF_FFFF_FFFF_FFFF) as f64 + 0.5) * (FRAC_PI_4 / 2_f64.powi(61));
        let exact = reference(a as f64, !a as f64, 2_f64.powi(64), t, (b >> 61) as u32);
        for (found, exact) in Normal64::values([w])[0].into_iter().zip(exact) {
            worst_64 = worst_64.max((found / exact - 1.0).abs());
        }
    }
    assert!(worst_32 < 3.0 * f64::from(f32::EPSILON), "f32: {worst_32:e}");
    assert!(worst_64 < 3.0 * f64::EPSILON, "f64: {worst_64:e}");
}

/// The largest relative error found is 2.6 machine epsilons, one of them the reference's.
#[test]
fn exponentials_against_the_standard_library() {
    let mut worst = 0.0_f64;
    for w in words() {
        let a = join(w[0], w[1]);
        let scale = 2_f64.powi(64);
        let exact = if a < u64::MAX / 2 {
            -((a as f64 + 0.5) / scale).ln()
        } else {
            -(-(!a as f64 + 0.5) / scale).ln_1p()
        };
        worst = worst.max((exponentials([a])[0] / exact - 1.0).abs());
    }
    assert!(worst < 3.0 * f64::EPSILON, "{worst:e}");
    assert!(exponentials([0])[0] < 45.1 && exponentials([u64::MAX])[0] > 0.0);
}

#[test]
fn tails_end_where_documented() {
    let longest = f64::from(Normal32::values([[0, 0, 0, 0]])[0][0]);
    assert!((longest - (66.0 * 2_f64.ln()).sqrt()).abs() < 1e-6 && longest < 6.77);
    let longest = Normal64::values([[0, 0, 0, 0]])[0][0];
    assert!((longest - (130.0 * 2_f64.ln()).sqrt()).abs() < 1e-14 && longest < 9.50);
    // The smallest radii: 2^-16 and 2^-32.
    let shortest = f64::from(Normal32::values([[u32::MAX, 0, 0, 0]])[0][0]);
    assert!((shortest * 65_536.0 - 1.0).abs() < 1e-6);
    let shortest = Normal64::values([[u32::MAX, u32::MAX, 0, 0]])[0][0];
    assert!((shortest * 4_294_967_296.0 - 1.0).abs() < 1e-14);
}

#[test]
fn uniforms_are_odd_multiples_in_the_open_interval() {
    for w in words() {
        for (u, word) in Uniform32::values([w])[0].into_iter().zip(w) {
            assert_eq!(f64::from(u) * 16_777_216.0, f64::from((word >> 9) * 2 + 1));
            assert!(0.0 < u && u < 1.0);
        }
        for (u, word) in Uniform64::values([w])[0].into_iter().zip([join(w[0], w[1]), join(w[2], w[3])]) {
            assert_eq!(u * 9_007_199_254_740_992.0, ((word >> 12) * 2 + 1) as f64);
            assert!(0.0 < u && u < 1.0);
        }
    }
}
