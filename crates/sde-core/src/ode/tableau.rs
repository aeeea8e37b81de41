//! Coefficients of the explicit Runge–Kutta methods.

/// An explicit Runge–Kutta method: `k_i = V(t + c_i h, x + h Σ_j a_ij k_j)`, `x' = x + h Σ_i b_i k_i`.
#[derive(Debug)]
pub(super) struct Tableau {
    pub(super) c: &'static [f64],
    /// Row i has i entries: strictly lower triangular.
    pub(super) a: &'static [&'static [f64]],
    pub(super) b: &'static [f64],
    /// `b − b̂` of an embedded pair, else empty. The last stage of the pairs here is the first of the next step.
    pub(super) error: &'static [f64],
    /// The dense output is the cubic Hermite interpolant plus `θ²(1 − θ)² h Σ_i bend_i k_i`.
    pub(super) bend: &'static [f64],
}

pub(super) const EULER: Tableau = Tableau { c: &[0.0], a: &[&[]], b: &[1.0], error: &[], bend: &[] };

pub(super) const MIDPOINT: Tableau =
    Tableau { c: &[0.0, 0.5], a: &[&[], &[0.5]], b: &[0.0, 1.0], error: &[], bend: &[] };

pub(super) const HEUN: Tableau =
    Tableau { c: &[0.0, 1.0], a: &[&[], &[1.0]], b: &[0.5, 0.5], error: &[], bend: &[] };

pub(super) const RK4: Tableau = Tableau {
    c: &[0.0, 0.5, 0.5, 1.0],
    a: &[&[], &[0.5], &[0.0, 0.5], &[0.0, 0.0, 1.0]],
    b: &[1.0 / 6.0, 1.0 / 3.0, 1.0 / 3.0, 1.0 / 6.0],
    error: &[],
    bend: &[],
};

pub(super) const DOPRI5: Tableau = Tableau {
    c: &[0.0, 0.2, 0.3, 0.8, 8.0 / 9.0, 1.0, 1.0],
    a: &[
        &[],
        &[0.2],
        &[3.0 / 40.0, 9.0 / 40.0],
        &[44.0 / 45.0, -56.0 / 15.0, 32.0 / 9.0],
        &[19372.0 / 6561.0, -25360.0 / 2187.0, 64448.0 / 6561.0, -212.0 / 729.0],
        &[9017.0 / 3168.0, -355.0 / 33.0, 46732.0 / 5247.0, 49.0 / 176.0, -5103.0 / 18656.0],
        &[35.0 / 384.0, 0.0, 500.0 / 1113.0, 125.0 / 192.0, -2187.0 / 6784.0, 11.0 / 84.0],
    ],
    b: &[35.0 / 384.0, 0.0, 500.0 / 1113.0, 125.0 / 192.0, -2187.0 / 6784.0, 11.0 / 84.0, 0.0],
    error: &[
        71.0 / 57600.0,
        0.0,
        -71.0 / 16695.0,
        71.0 / 1920.0,
        -17253.0 / 339_200.0,
        22.0 / 525.0,
        -1.0 / 40.0,
    ],
    bend: &[
        -12_715_105_075.0 / 11_282_082_432.0,
        0.0,
        87_487_479_700.0 / 32_700_410_799.0,
        -10_690_763_975.0 / 1_880_347_072.0,
        701_980_252_875.0 / 199_316_789_632.0,
        -1_453_857_185.0 / 822_651_844.0,
        69_997_945.0 / 29_380_423.0,
    ],
};

pub(super) const TSIT5: Tableau = Tableau {
    c: &[0.0, 0.161, 0.327, 0.9, 0.980_025_540_904_509_7, 1.0, 1.0],
    a: &[
        &[],
        &[0.161],
        &[-0.008_480_655_492_356_989, 0.335_480_655_492_357],
        &[2.897_153_057_105_493_5, -6.359_448_489_975_075, 4.362_295_432_869_581_5],
        &[5.325_864_828_439_257, -11.748_883_564_062_828, 7.495_539_342_889_836_5, -0.092_495_066_361_755_25],
        &[
            5.861_455_442_946_42,
            -12.920_969_317_847_11,
            8.159_367_898_576_159,
            -0.071_584_973_281_401,
            -0.028_269_050_394_068_383,
        ],
        &[
            0.096_460_766_818_065_23,
            0.01,
            0.479_889_650_414_499_6,
            1.379_008_574_103_742,
            -3.290_069_515_436_081,
            2.324_710_524_099_774,
        ],
    ],
    b: &[
        0.096_460_766_818_065_23,
        0.01,
        0.479_889_650_414_499_6,
        1.379_008_574_103_742,
        -3.290_069_515_436_081,
        2.324_710_524_099_774,
        0.0,
    ],
    error: &[
        -0.001_780_011_052_225_777_14,
        -0.000_816_434_459_656_746_9,
        0.007_880_878_010_261_995,
        -0.144_711_007_173_262_9,
        0.582_357_165_452_555_2,
        -0.458_082_105_929_186_97,
        1.0 / 66.0,
    ],
    // The coefficients of θ⁴ in the interpolant's weights: with the four Hermite conditions they determine it.
    bend: &[
        -1.053_088_497_729_021_6,
        0.1017,
        2.490_627_285_651_252_793,
        -16.548_102_889_244_902_72,
        47.379_521_962_819_281_22,
        -34.870_657_861_496_609_74,
        2.5,
    ],
};

#[cfg(test)]
mod tests {
    use super::*;

    /// A rooted tree by its branches.
    #[derive(Clone, Debug, PartialEq)]
    struct Tree(Vec<Tree>);

    impl Tree {
        fn order(&self) -> usize {
            1 + self.0.iter().map(Tree::order).sum::<usize>()
        }

        /// γ: the product of the orders of all subtrees.
        fn density(&self) -> f64 {
            self.order() as f64 * self.0.iter().map(Tree::density).product::<f64>()
        }

        /// `Φ_i = Π_branches Σ_j a_ij Φ_j` for each stage i, with each a passed through `of`.
        fn weights(&self, a: &[&[f64]], of: fn(f64) -> f64) -> Vec<f64> {
            let mut product = vec![1.0; a.len()];
            for branch in &self.0 {
                let inner = branch.weights(a, of);
                for (product, row) in product.iter_mut().zip(a) {
                    *product *= row.iter().zip(&inner).map(|(&a, phi)| of(a) * phi).sum::<f64>();
                }
            }
            product
        }
    }

    /// All rooted trees of an order: branches are a multiset of smaller trees.
    fn trees(order: usize) -> Vec<Tree> {
        fn forests(total: usize, largest: usize) -> Vec<Vec<Tree>> {
            if total == 0 {
                return vec![Vec::new()];
            }
            let mut all: Vec<Vec<Tree>> = Vec::new();
            for size in 1..=largest.min(total) {
                for tree in trees(size) {
                    for mut rest in forests(total - size, size) {
                        rest.push(tree.clone());
                        rest.sort_by_cached_key(|tree| format!("{tree:?}"));
                        if !all.contains(&rest) {
                            all.push(rest);
                        }
                    }
                }
            }
            all
        }
        forests(order - 1, order.saturating_sub(1)).into_iter().map(Tree).collect()
    }

    /// The largest defect `|Σ_i w_i Φ_i − x^order/γ|` over the trees of an order, in units of the rounding of its
    /// terms: ε times the sum of their sizes.
    fn defect(a: &[&[f64]], weights: &[f64], order: usize, x: f64) -> f64 {
        let defect = |tree: &Tree| {
            let sum: f64 = weights.iter().zip(tree.weights(a, |a| a)).map(|(w, phi)| w * phi).sum();
            let sizes: f64 =
                weights.iter().zip(tree.weights(a, f64::abs)).map(|(w, phi)| w.abs() * phi).sum();
            (sum - x.powi(order as i32) / tree.density()).abs()
                / (f64::EPSILON * sizes).max(f64::MIN_POSITIVE)
        };
        trees(order).iter().map(defect).fold(0.0, f64::max)
    }

    /// A few roundings, of the coefficients and of the sum.
    const ROUNDINGS: f64 = 8.0;

    #[test]
    fn there_are_as_many_rooted_trees_as_known() {
        assert_eq!([1, 2, 3, 4, 5, 6].map(|order| trees(order).len()), [1, 1, 2, 4, 9, 20]);
    }

    #[test]
    fn each_method_satisfies_the_conditions_of_its_order_and_not_of_the_next() {
        let methods = [(&EULER, 1), (&MIDPOINT, 2), (&HEUN, 2), (&RK4, 4), (&DOPRI5, 5), (&TSIT5, 5)];
        for (tableau, order) in methods {
            for (c, row) in tableau.c.iter().zip(tableau.a) {
                let size = row.iter().map(|a| a.abs()).sum::<f64>();
                assert!((c - row.iter().sum::<f64>()).abs() <= ROUNDINGS * f64::EPSILON * size, "{c}");
            }
            for p in 1..=order {
                let defect = defect(tableau.a, tableau.b, p, 1.0);
                assert!(defect < ROUNDINGS, "order {p}: {defect}");
            }
            assert!(defect(tableau.a, tableau.b, order + 1, 1.0) > 1e9, "order {} too", order + 1);
        }
    }

    #[test]
    fn embedded_methods_have_order_4_and_their_last_stage_is_the_next_first() {
        for tableau in [&DOPRI5, &TSIT5] {
            let hat: Vec<f64> = tableau.b.iter().zip(tableau.error).map(|(b, e)| b - e).collect();
            for p in 1..=4 {
                let defect = defect(tableau.a, &hat, p, 1.0);
                assert!(defect < ROUNDINGS, "order {p}: {defect}");
            }
            assert!(defect(tableau.a, &hat, 5, 1.0) > 1e9);
            assert_eq!(tableau.a[6], &tableau.b[..6]);
        }
    }

    #[test]
    fn dense_output_has_order_4_everywhere() {
        for tableau in [&DOPRI5, &TSIT5] {
            for theta in [0.1, 0.3, 0.5, 0.77, 0.95] {
                let [rise, first, last, bend] = super::super::piece::weights(theta);
                let weights: Vec<f64> = (0..7)
                    .map(|i| {
                        let ends = if i == 0 { first } else { 0.0 } + if i == 6 { last } else { 0.0 };
                        rise * tableau.b[i] + ends + bend * tableau.bend[i]
                    })
                    .collect();
                for p in 1..=4 {
                    let defect = defect(tableau.a, &weights, p, theta);
                    assert!(defect < ROUNDINGS, "order {p} at {theta}: {defect}");
                }
            }
        }
    }
}
