//! The coefficients against the conditions of the books.

use super::*;

type Square = [[f64; STAGES]; STAGES];

fn full_gamma() -> Square {
    std::array::from_fn(|i| std::array::from_fn(|j| if i == j { GAMMA } else { BELOW[i][j] }))
}

fn apply(m: &Square, v: &[f64; STAGES]) -> [f64; STAGES] {
    m.map(|row| row.iter().zip(v).map(|(a, b)| a * b).sum())
}

fn dot(a: &[f64; STAGES], b: &[f64; STAGES]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Hairer and Wanner (1996), *Solving ordinary differential equations II*, section IV.7: a W-method of order 3 with
/// any matrix in place of the Jacobian.
#[test]
fn the_conditions_of_a_w_method_of_order_3() {
    let one = [1.0; STAGES];
    let gamma = full_gamma();
    let (a, g) = (apply(&ALPHA, &one), apply(&gamma, &one));
    // Sums of products of 16 digits, of sizes up to 1.
    let near = |value: f64, exact: f64| assert!((value - exact).abs() < 2e-15, "{value} for {exact}");
    for (b, order) in [(&B, 3), (&B_HAT, 2)] {
        near(dot(b, &one), 1.0);
        near(dot(b, &a), 0.5);
        near(dot(b, &g), 0.0);
        if order == 3 {
            near(dot(b, &a.map(|a| a * a)), 1.0 / 3.0);
            near(dot(b, &apply(&ALPHA, &a)), 1.0 / 6.0);
            near(dot(b, &apply(&ALPHA, &g)), 0.0);
            near(dot(b, &apply(&gamma, &a)), 0.0);
            near(dot(b, &apply(&gamma, &g)), 0.0);
        }
    }
    // Not of order 4, and the embedded method not of order 3.
    assert!((dot(&B, &a.map(|a| a * a * a)) - 0.25).abs() > 1e-3);
    assert!((dot(&B_HAT, &a.map(|a| a * a)) - 1.0 / 3.0).abs() > 1e-3);
}

#[test]
fn it_is_stiffly_accurate_and_l_stable() {
    // R(z) = 1 + z bᵀ (I − zB)⁻¹ 1 with B = (α + γ). Stiffly accurate: the last row of B is b.
    let gamma = full_gamma();
    for j in 0..STAGES {
        assert!((ALPHA[3][j] + gamma[3][j] - B[j]).abs() < 1e-15);
    }
    let modulus = |re: f64, im: f64| {
        // Forward substitution in complex arithmetic.
        let mut u = [(0.0, 0.0); STAGES];
        for i in 0..STAGES {
            let mut s = (1.0, 0.0);
            for j in 0..i {
                let m = ALPHA[i][j] + gamma[i][j];
                let zu = (re * u[j].0 - im * u[j].1, re * u[j].1 + im * u[j].0);
                s = (s.0 + m * zu.0, s.1 + m * zu.1);
            }
            let (p, q) = (1.0 - re * GAMMA, -im * GAMMA);
            let n = p * p + q * q;
            u[i] = ((s.0 * p + s.1 * q) / n, (s.1 * p - s.0 * q) / n);
        }
        let sum = (0..STAGES).fold((0.0, 0.0), |s, i| (s.0 + B[i] * u[i].0, s.1 + B[i] * u[i].1));
        (1.0 + re * sum.0 - im * sum.1).hypot(re * sum.1 + im * sum.0)
    };
    assert!(modulus(-1e8, 0.0) < 1e-7);
    // A-stable: bounded by 1 on the imaginary axis, and so on the left half plane.
    for k in -200..=200 {
        assert!(modulus(0.0, 10.0_f64.powf(f64::from(k) / 50.0)) <= 1.0 + 1e-12);
    }
}
