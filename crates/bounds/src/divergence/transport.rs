//! Exact optimal transport between two samples on the line, with its dual potentials.

use numeric::Real;

/// A sample on the line in ascending order, with the row each value came from.
#[derive(Clone, Debug)]
pub(super) struct Ordered<F> {
    pub(super) values: Vec<F>,
    pub(super) rows: Vec<u32>,
}

impl<F: Real> Ordered<F> {
    /// Sorts finite `values`, of which there are at most 2^32; equal values in the order of their rows.
    ///
    /// Integers sort faster than pairs: the leading bits of each value and its row number are packed into one
    /// `u64`. Values that share their leading bits, which only very long or clustered samples have, are put
    /// right afterwards.
    pub(super) fn new(values: &[F], keys: &mut Vec<u64>) -> Ordered<F> {
        let row_bits = values.len().next_power_of_two().trailing_zeros();
        let row_mask = (1_u64 << row_bits) - 1;
        keys.clear();
        keys.extend(values.iter().zip(0..).map(|(&value, row)| (ascending_bits(value) & !row_mask) | row));
        keys.sort_unstable();
        let row_of = |key: u64| (key & row_mask) as usize;

        let mut start = 0;
        while start < keys.len() {
            let leading = keys[start] & !row_mask;
            let length = keys[start..].iter().take_while(|&&key| key & !row_mask == leading).count();
            if length > 1 {
                keys[start..start + length]
                    .sort_unstable_by_key(|&key| (ascending_bits(values[row_of(key)]), row_of(key)));
            }
            start += length;
        }
        Ordered {
            values: keys.iter().map(|&key| values[row_of(key)]).collect(),
            rows: keys.iter().map(|&key| row_of(key) as u32).collect(),
        }
    }
}

/// Bits that order as the values do.
fn ascending_bits<F: Real>(value: F) -> u64 {
    // Adding 0 turns -0 into 0, so that the two stay in the order of their rows.
    let bits = (value.as_f64() + 0.0).to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

/// Optimal cost of moving the sample x to the sample y, each of total mass 1, and the dual potentials.
///
/// ```math
/// \int_0^1 c\big(F_x^{-1}(u) - F_y^{-1}(u)\big)\,du
/// ```
///
/// for a convex even cost c, by walking both step functions in step: O(n + m), exact for n ≠ m. The masses
/// are counted in units of 1/(nm), as integers.
///
/// `phi[i]` and `psi[j]`, in ascending order of the values, are an optimal pair of dual potentials, each
/// centred: the derivative of the cost in the weight of that point, hence its influence function. Where both
/// step functions jump at once the potentials are not unique; the mean of the two extreme choices is taken.
pub(super) fn transport<F: Real>(
    x: &[F],
    y: &[F],
    cost: impl Fn(f64) -> f64,
    phi: &mut [f64],
    psi: &mut [f64],
) -> f64 {
    let (n, m) = (x.len(), y.len());
    let (mut i, mut j) = (0, 0);
    let (mut left_x, mut left_y) = (m as u64, n as u64);
    let (mut here_x, mut here_y) = (x[0].as_f64(), y[0].as_f64());
    phi[0] = 0.0;
    psi[0] = 0.0;
    let mut total = 0.0;
    loop {
        let moved = left_x.min(left_y);
        total += moved as f64 * cost(here_x - here_y);
        left_x -= moved;
        left_y -= moved;
        let (at_x, at_y) = (here_x, here_y);
        // Both reach their end in the same step, since n atoms of mass m weigh as much as m of mass n.
        let (next_x, next_y) = (left_x == 0, left_y == 0);
        if next_x {
            i += 1;
            if i == n {
                break;
            }
            here_x = x[i].as_f64();
            left_x = m as u64;
        }
        if next_y {
            j += 1;
            here_y = y[j].as_f64();
            left_y = n as u64;
        }
        // Mean of the two ways around the corner, x first and y first; they are one unless both step.
        let corners = [cost(at_x - at_y), cost(here_x - at_y), cost(at_x - here_y), cost(here_x - here_y)];
        if next_x {
            phi[i] = phi[i - 1] + 0.5 * (corners[1] - corners[0] + corners[3] - corners[2]);
        }
        if next_y {
            psi[j] = psi[j - 1] + 0.5 * (corners[2] - corners[0] + corners[3] - corners[1]);
        }
    }
    centre(phi);
    centre(psi);
    total / (n as f64 * m as f64)
}

fn centre(values: &mut [f64]) {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    for value in values {
        *value -= mean;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ordered(values: &[f64]) -> Ordered<f64> {
        Ordered::new(values, &mut Vec::new())
    }

    /// The cost with every point repeated up to the least common multiple of the sizes.
    fn by_replication(x: &[f64], y: &[f64], cost: impl Fn(f64) -> f64) -> f64 {
        let (n, m) = (x.len(), y.len());
        let gcd = (1..=n).rev().find(|k| n % k == 0 && m % k == 0).unwrap();
        let length = n / gcd * m;
        (0..length).map(|k| cost(x[k * n / length] - y[k * m / length])).sum::<f64>() / length as f64
    }

    fn square(z: f64) -> f64 {
        z * z
    }

    fn points(most: usize) -> impl Strategy<Value = Vec<f64>> {
        prop::collection::vec(-3.0..3.0_f64, 1..most)
    }

    proptest! {
        #![proptest_config(verify::strategy::cases(9001, 256))]

        #[test]
        fn sorting_agrees_with_total_cmp(mut values in points(200), near in any::<bool>()) {
            if near {
                // About 38 fraction bits in common; 8 of 52 make room for the row.
                for value in &mut values { *value = 1.0 + *value * 1e-12; }
            }
            values.extend_from_within(..values.len() / 2);
            let sorted = ordered(&values);
            let mut expected = values.clone();
            expected.sort_by(f64::total_cmp);
            prop_assert_eq!(&sorted.values, &expected);
            for (&row, &value) in sorted.rows.iter().zip(&sorted.values) {
                prop_assert_eq!(values[row as usize], value);
            }
            let mut rows = sorted.rows.clone();
            rows.sort_unstable();
            prop_assert!(rows.into_iter().eq(0..values.len() as u32));
        }

        #[test]
        fn cost_and_duality(x in points(24), y in points(24)) {
            let (x, y) = (ordered(&x).values, ordered(&y).values);
            let (mut phi, mut psi) = (vec![0.0; x.len()], vec![0.0; y.len()]);
            for cost in [square as fn(f64) -> f64, f64::abs] {
                let value = transport(&x, &y, cost, &mut phi, &mut psi);
                prop_assert!((value - by_replication(&x, &y, cost)).abs() < 1e-12);
                // Up to one constant the potentials are feasible, c(x - y) >= phi + psi, with equality
                // somewhere; and by strong duality the constant is the value itself, as both are centred.
                let slack = x.iter().zip(&phi)
                    .flat_map(|(a, p)| y.iter().zip(&psi).map(move |(b, q)| cost(a - b) - p - q))
                    .fold(f64::INFINITY, f64::min);
                prop_assert!((slack - value).abs() < 1e-12, "{} for {}", slack, value);
            }
        }
    }

    #[test]
    fn signed_zeros_keep_the_order_of_their_rows() {
        assert_eq!(ordered(&[0.0, -0.0, 0.0, -1.0]).rows, [3, 0, 1, 2]);
    }
}
