//! Brownian paths against their law, and against themselves asked for in other ways.

mod between;
mod ends;
mod levy_areas;

use numeric::ndarray::{Array2, s};
use numeric::{Brownian, BrownianCursor, Node, Noise, Real};
use proptest::prelude::*;
use statrs::distribution::{ChiSquared, ContinuousCDF, Normal};
use verify::{Family, kolmogorov_smirnov, normal_p_value, seed};

/// Increments and areas of a node.
fn pair<F: Real>(brownian: &Brownian, rows: &[u64], node: Node, d: usize) -> [Array2<F>; 2] {
    let [mut w, mut h] = [(); 2].map(|()| Array2::from_elem((rows.len(), d), F::nan()));
    brownian.increments_and_areas_into(rows, node, &mut w, &mut h);
    [w, h]
}

/// The pairs of both halves, from that of the node.
fn halves<F: Real>(
    brownian: &Brownian,
    rows: &[u64],
    node: Node,
    parent: &[Array2<F>; 2],
) -> [[Array2<F>; 2]; 2] {
    let [mut wl, mut hl, mut wr, mut hr] = [(); 4].map(|()| Array2::from_elem(parent[0].dim(), F::nan()));
    let [w, h] = parent;
    brownian.split_with_areas_into(rows, node, [w, h], [&mut wl, &mut hl], [&mut wr, &mut hr]);
    [[wl, hl], [wr, hr]]
}

proptest! {
    #![proptest_config(verify::strategy::cases(9023, 40))]

    /// Halves asked for directly or split from the parent, in the same bits; they make up the parent by Chen's
    /// relation.
    #[test]
    fn halves_with_areas_make_up_their_parent(
        key: u64, level in 0..40_u32, bits: u64, start in 0..100_u64, d in 1..20_usize
    ) {
        let lengths = [0.1, 3.0, 1e-3];
        let brownian = Brownian::with_area(Noise::new(key), &lengths).unwrap();
        let parent = Node { cell: bits % 3, level, index: bits >> 24 & ((1 << level) - 1) };
        let rows: Vec<u64> = (start..start + 5).collect();
        let [w, h] = pair::<f64>(&brownian, &rows, parent, d);
        let [[wl, hl], [wr, hr]] = halves(&brownian, &rows, parent, &[w.clone(), h.clone()]);
        let [left, right] = parent.children().unwrap();
        prop_assert_eq!(&[wl.clone(), hl.clone()], &pair(&brownian, &rows, left, d));
        prop_assert_eq!(&[wr.clone(), hr.clone()], &pair(&brownian, &rows, right, d));
        let mut alone = w.clone();
        brownian.increments_into(&rows, left, &mut alone);
        prop_assert_eq!(&alone, &wl);
        // A few roundings of numbers of the size of all that takes part.
        let scale = 4.0 * f64::EPSILON * (w.mapv(f64::abs) + h.mapv(f64::abs) + wl.mapv(f64::abs) + hl.mapv(f64::abs));
        let chen = (&hl + &hr) * 0.5 + (&wl - &wr) * 0.25;
        prop_assert!(((&wl + &wr - &w).mapv(f64::abs) / &scale).iter().all(|&e| e <= 1.0));
        prop_assert!(((chen - &h).mapv(f64::abs) / &scale).iter().all(|&e| e <= 1.0));
    }
}

/// The tree with areas starts from the same step.
#[test]
fn level_zero_is_that_of_the_plain_tree() {
    let lengths = [0.3, 0.7];
    let (plain, areas) = (
        Brownian::new(Noise::new(3), &lengths).unwrap(),
        Brownian::with_area(Noise::new(3), &lengths).unwrap(),
    );
    let rows: Vec<u64> = (3..50).collect();
    let mut w = Array2::<f64>::zeros((47, 3));
    plain.increments_into(&rows, Node::whole(1), &mut w);
    assert_eq!(pair::<f64>(&areas, &rows, Node::whole(1), 3)[0], w);
    assert!(areas.has_areas() && !plain.has_areas());
}

/// The coefficients of the split in exact arithmetic: the children of independent (W, H) of variances (1, 1/12) are
/// independent with half of them. In units of 1/192.
#[test]
fn children_have_the_covariances_of_two_paths() {
    // Rows over (W, H, Z, N) of variances 192, 16, 12, 16 times 1/192; entries in units of 1/4.
    let children = [[2_i64, 6, 4, 0], [2, -6, -4, 0], [0, 1, -2, 2], [0, 1, -2, -2]];
    let variances = [192, 16, 12, 16];
    let expected = [96, 96, 8, 8];
    for (i, a) in children.iter().enumerate() {
        for (j, b) in children.iter().enumerate() {
            let covariance: i64 = (0..4).map(|k| a[k] * b[k] * variances[k]).sum();
            assert_eq!(covariance, if i == j { 16 * expected[i] } else { 0 }, "{i} {j}");
        }
    }
    // Chen: H = (H_left + H_right) / 2 + (W_left - W_right) / 4, coefficient by coefficient, in units of 1/16.
    let chen: Vec<i64> =
        (0..4).map(|k| 2 * (children[2][k] + children[3][k]) + children[0][k] - children[1][k]).collect();
    assert_eq!(chen, [0, 16, 0, 0]);
}

/// Laws at several levels; independence of increments and areas, of sisters, of nodes far apart. False alarms: 1 in
/// 1000.
#[test]
fn increments_and_areas_have_their_law() {
    let mut family = Family::new(1e-3).unwrap();
    let lengths = [2.0, 0.5];
    let brownian = Brownian::with_area(Noise::new(seed(200)), &lengths).unwrap();
    let rows: Vec<u64> = (0..10_000).collect();
    let standard = |node| {
        let [w, h] = pair::<f64>(&brownian, &rows, node, 5);
        let length = brownian.length(node);
        [w / length.sqrt(), h / (length / 12.0).sqrt()]
    };
    let at = |cell, level, index| Node { cell, level, index };
    for node in [at(0, 0, 0), at(1, 3, 5), at(1, 40, (1 << 40) - 1), at(0, 40, 1 << 38)] {
        let z = standard(node);
        for (name, z) in ["W", "H"].into_iter().zip(&z) {
            let fit = kolmogorov_smirnov(z.as_slice().unwrap(), |z| Normal::standard().cdf(z)).unwrap();
            family.push(format!("{name} of {node:?}, law"), fit.p_value);
            let squares: f64 = z.iter().map(|z| (z * z - 1.0) / 2_f64.sqrt()).sum();
            family.push(
                format!("{name} of {node:?}, variance"),
                normal_p_value(squares / (z.len() as f64).sqrt()),
            );
        }
    }
    for (a, b) in [
        (at(0, 0, 0), at(0, 0, 0)),
        (at(0, 1, 0), at(0, 1, 0)),
        (at(0, 40, 5), at(0, 40, 5)),
        (at(0, 1, 0), at(0, 1, 1)),
        (at(0, 2, 1), at(0, 2, 2)),
        (at(0, 4, 3), at(1, 4, 3)),
        (at(0, 1, 0), at(0, 6, 63)),
        (at(0, 40, 0), at(0, 40, 1)),
    ] {
        let (x, y) = (standard(a), standard(b));
        for (i, x) in x.iter().enumerate() {
            for (j, y) in y.iter().enumerate().filter(|&(j, _)| a != b || i < j) {
                let product = x * y;
                let score = product.sum() / (product.len() as f64).sqrt();
                family.push(format!("{i} of {a:?}, {j} of {b:?}"), normal_p_value(score));
            }
        }
    }
    family.assert();
}

/// Z of the sum of squares of standard normals.
fn variance_score(z: &Array2<f64>) -> f64 {
    z.iter().map(|z| (z * z - 1.0) / 2_f64.sqrt()).sum::<f64>() / (z.len() as f64).sqrt()
}

/// Over 10⁵ cells up to 10⁶ no cell repeats another, near or far, and the path at the end is N(0, 10⁶). False alarms: 1 in
/// 1000.
#[test]
fn a_long_horizon_has_distinct_cells_and_the_right_variance() {
    let mut family = Family::new(1e-3).unwrap();
    let cells = 100_000_usize;
    let lengths = vec![10.0; cells];
    let brownian = Brownian::new(Noise::new(seed(240)), &lengths).unwrap();
    let rows: Vec<u64> = (0..10).collect();
    // One row of the array for each cell.
    let mut z = Array2::<f64>::zeros((cells, rows.len()));
    let mut w = Array2::zeros((rows.len(), 1));
    for (cell, mut z) in z.rows_mut().into_iter().enumerate() {
        brownian.increments_into(&rows, Node::whole(cell as u64), &mut w);
        z.assign(&w.column(0));
    }
    z /= 10_f64.sqrt();
    let fit = kolmogorov_smirnov(z.as_slice().unwrap(), |z| Normal::standard().cdf(z)).unwrap();
    family.push("law", fit.p_value);
    family.push("variance", normal_p_value(variance_score(&z)));
    for lag in [1, 2, 255, 256, 1024, 1 << 15, 1 << 16, cells - 4096] {
        let (early, late) = (z.slice(s![..cells - lag, ..]), z.slice(s![lag.., ..]));
        let score = (&early * &late).sum() / (early.len() as f64).sqrt();
        family.push(format!("cells {lag} apart"), normal_p_value(score));
    }
    let ends = z.sum_axis(numeric::ndarray::Axis(0)) / (cells as f64).sqrt();
    let square = ends.mapv(|end| end * end).sum();
    let law = ChiSquared::new(rows.len() as f64).unwrap();
    family.push("ends", 2.0 * law.cdf(square).min(law.sf(square)));
    family.assert();
    // Of 10⁶ numbers of 53 bits two are equal in one run of about 10⁴; a cell that repeats another has ten such pairs.
    let mut bits: Vec<u64> = z.iter().map(|z| z.to_bits()).collect();
    bits.sort_unstable();
    bits.dedup();
    assert!(bits.len() + 2 > z.len(), "{} repeated", z.len() - bits.len());
}

/// One cell of length 10⁶ walked in 20,000 steps that are no nodes: no deeper than its 40 levels, and the steps are
/// independent with the variances of their lengths. False alarms: 1 in 1000.
#[test]
fn a_long_cell_is_walked_in_short_steps() {
    let mut family = Family::new(1e-3).unwrap();
    let (steps, rows) = (20_000_u64, [0, 1, 2, 1 << 50]);
    let lengths = [1e6];
    let brownian = Brownian::new(Noise::new(seed(241)), &lengths).unwrap();
    let mut cursor = BrownianCursor::<f64>::new(brownian, &rows, 0);
    let tick = |k: u64| if k == steps { Brownian::TICKS } else { k * (Brownian::TICKS / steps) + k % 7 };
    let mut z = Array2::<f64>::zeros((steps as usize, rows.len()));
    let (mut w, mut sum) = (Array2::zeros((rows.len(), 1)), Array2::<f64>::zeros((rows.len(), 1)));
    for k in 0..steps {
        let (from, to) = (tick(k), tick(k + 1));
        cursor.between_into(from..to, &mut w, None);
        sum += &w;
        let length = brownian.elapsed(0, to) - brownian.elapsed(0, from);
        z.row_mut(k as usize).assign(&(&w.column(0) / length.sqrt()));
    }
    cursor.between_into(0..Brownian::TICKS, &mut w, None);
    assert!((&sum - &w).iter().all(|gap| gap.abs() < 1e-9), "{}", sum - w);
    assert!(cursor.num_splits() < 2 * steps * 40);
    let fit = kolmogorov_smirnov(z.as_slice().unwrap(), |z| Normal::standard().cdf(z)).unwrap();
    family.push("law", fit.p_value);
    family.push("variance", normal_p_value(variance_score(&z)));
    for lag in [1, 2, 64, 10_000] {
        let (early, late) = (z.slice(s![..-lag, ..]), z.slice(s![lag.., ..]));
        let score = (&early * &late).sum() / (early.len() as f64).sqrt();
        family.push(format!("steps {lag} apart"), normal_p_value(score));
    }
    family.assert();
}
