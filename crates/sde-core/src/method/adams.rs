//! Weights of multistep rules on any nodes.

use numeric::special::{phi_1, phi_2, phi_3, phi_4};

/// The most nodes that a rule uses.
pub(super) const MOST: usize = 4;

/// Weights b with `Σ b_j q(c_j) = ∫ q(s) w(s) ds` for all polynomials q of degree less than the number of nodes c,
/// given the moments `∫ s^k w(s) ds`: those of the polynomial through the nodes. Weights beyond the nodes are 0.
pub(super) fn weights(nodes: &[f64], moments: [f64; MOST]) -> [f64; MOST] {
    let mut out = [0.0; MOST];
    for (j, out) in out.iter_mut().enumerate().take(nodes.len()) {
        // Coefficients of ∏_{i ≠ j} (s − c_i)/(c_j − c_i), from the constant one upwards. The factors are scaled one by one:
        // the product of far nodes may be beyond all numbers where the quotient is not.
        let mut basis = [1.0, 0.0, 0.0, 0.0];
        for (_, &c) in nodes.iter().enumerate().filter(|&(i, _)| i != j) {
            let scale = 1.0 / (nodes[j] - c);
            for k in (0..MOST).rev() {
                let below = if k > 0 { basis[k - 1] } else { 0.0 };
                basis[k] = (below - c * basis[k]) * scale;
            }
        }
        *out = basis.iter().zip(moments).map(|(b, m)| b * m).sum();
    }
    out
}

/// `k! φ_{k+1}(z) = ∫_0^1 s^k e^{z (1 − s)} ds`.
pub(super) fn exponential_moments(z: f64) -> [f64; MOST] {
    if z.abs() < 2.0 {
        // φ_k = 1/k! + z φ_{k+1}: there it cancels less than two bits, and one series is enough.
        let phi_4 = phi_4(z);
        let phi_3 = 1.0 / 6.0 + z * phi_4;
        let phi_2 = 0.5 + z * phi_3;
        return [1.0 + z * phi_2, phi_2, 2.0 * phi_3, 6.0 * phi_4];
    }
    [phi_1(z), phi_2(z), 2.0 * phi_3(z), 6.0 * phi_4(z)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_of_published_rules() {
        let near = |found: [f64; MOST], expected: [f64; MOST]| {
            for (f, e) in found.iter().zip(expected) {
                assert!((f - e).abs() < 1e-14, "{found:?} {expected:?}");
            }
        };
        let flat = [1.0, 0.5, 1.0 / 3.0, 0.25];
        // Adams–Bashforth of order 4 and 2, Adams–Moulton of order 4, Simpson.
        near(weights(&[0.0, -1.0, -2.0, -3.0], flat), [55.0, -59.0, 37.0, -9.0].map(|w| w / 24.0));
        near(weights(&[0.0, -1.0], flat), [1.5, -0.5, 0.0, 0.0]);
        near(weights(&[1.0, 0.0, -1.0, -2.0], flat), [9.0, 19.0, -5.0, 1.0].map(|w| w / 24.0));
        near(weights(&[0.0, 0.5, 1.0], flat), [1.0 / 6.0, 4.0 / 6.0, 1.0 / 6.0, 0.0]);
        // The exponential rules tend to them.
        near(exponential_moments(0.0), flat);
        for z in [-1.999, -0.7, -0.01, 0.3, 1.9, 2.5, -30.0] {
            let each = [phi_1(z), phi_2(z), 2.0 * phi_3(z), 6.0 * phi_4(z)];
            for (found, expected) in exponential_moments(z).iter().zip(each) {
                assert!((found / expected - 1.0).abs() < 4e-15, "{z}: {found} {expected}");
            }
        }
    }
}
