//! Brownian paths against their law, and against themselves asked for in other ways.

use std::ops::Range;

use numeric::ndarray::{Array2, s};
use numeric::{Brownian, BrownianCursor, Error, Node, Noise, Real, Scratch};
use proptest::prelude::*;
use statrs::distribution::{ContinuousCDF, Normal};
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
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

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

/// Increments, and areas where the tree has them, over an interval of ticks.
fn between<F: Real>(
    brownian: &Brownian,
    rows: &[u64],
    cell: u64,
    ticks: Range<u64>,
    d: usize,
) -> Vec<Array2<F>> {
    let [mut w, mut h] = [(); 2].map(|()| Array2::from_elem((rows.len(), d), F::nan()));
    let scratch = &mut Scratch::new();
    if !brownian.has_areas() {
        brownian.between_into(rows, cell, ticks, &mut w, None, scratch);
        return vec![w];
    }
    brownian.between_into(rows, cell, ticks, &mut w, Some(&mut h), scratch);
    vec![w, h]
}

/// A tick, often on a coarse grid, often near another.
fn tick() -> impl Strategy<Value = u64> {
    let coarse =
        (0..=12_u32).prop_flat_map(|level| (0..=1_u64 << level).prop_map(move |i| i << (40 - level)));
    let near =
        (coarse.clone(), -3..=3_i64).prop_map(|(t, e)| t.saturating_add_signed(e).min(Brownian::TICKS));
    prop_oneof![coarse, near, 0..=Brownian::TICKS]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// An interval is Chen's sum of any two parts of it, to rounding; of a node, its own bits.
    #[test]
    fn intervals_add_up(key: u64, ticks in prop::array::uniform3(tick()), areas: bool, level in 0..=40_u32, bits: u64) {
        let mut ticks = ticks;
        ticks.sort_unstable();
        let [from, middle, to] = ticks;
        let lengths = [0.3, 2.0];
        let make = if areas { Brownian::with_area } else { Brownian::new };
        let brownian = make(Noise::new(key), &lengths).unwrap();
        let rows = [2, 3, 4, 9];
        let over = |ticks| between::<f64>(&brownian, &rows, 1, ticks, 3);
        let (whole, left, right) = (over(from..to), over(from..middle), over(middle..to));
        // Rounding errors are those of the nodes around the interval, which may be as large as the cell.
        let size = 1e-14 * 2_f64.sqrt();
        prop_assert!((&left[0] + &right[0] - &whole[0]).iter().all(|e| e.abs() < size));
        if areas && from < to {
            let [a, b] = [middle - from, to - middle].map(|ticks| ticks as f64 / (to - from) as f64);
            let chen = &left[1] * a + &right[1] * b + (&left[0] * b - &right[0] * a) * 0.5;
            prop_assert!((chen - &whole[1]).iter().all(|e| e.abs() < size));
        }
        let node = Node { cell: 1, level, index: bits >> 24 & ((1 << level) - 1) };
        let mut w = Array2::zeros((4, 3));
        brownian.increments_into(&rows, node, &mut w);
        prop_assert_eq!(&over(node.ticks())[0], &w);
        if areas {
            prop_assert_eq!(&over(node.ticks())[1], &pair(&brownian, &rows, node, 3)[1]);
        }
    }

    /// A cursor gives the same bits in any order of queries, and a shard of the rows the same as all.
    #[test]
    fn order_and_shards_make_no_difference(
        key: u64, queries in prop::collection::vec((tick(), tick(), 0..2_u64), 1..12), areas: bool
    ) {
        let lengths = [0.3, 2.0];
        let make = if areas { Brownian::with_area } else { Brownian::new };
        let brownian = make(Noise::new(key), &lengths).unwrap();
        let rows: Vec<u64> = (5..14).collect();
        let mut cursor = BrownianCursor::<f32>::new(brownian, &rows, 0);
        let mut at = 0;
        for (a, b, cell) in queries {
            let ticks = a.min(b)..a.max(b);
            if cell != at {
                at = cell;
                cursor.restart(&rows, cell);
            }
            let expected = between::<f32>(&brownian, &rows, cell, ticks.clone(), 3);
            let [mut w, mut h] = [(); 2].map(|()| Array2::zeros((9, 3)));
            cursor.between_into(ticks.clone(), &mut w, areas.then_some(&mut *h));
            prop_assert_eq!(&w, &expected[0]);
            prop_assert!(!areas || h == expected[1]);
            for (value, expected) in between::<f32>(&brownian, &rows[4..6], cell, ticks, 3).iter().zip(&expected) {
                prop_assert_eq!(value, expected.slice(s![4..6, ..]));
            }
        }
    }
}

/// An interval against the plain sum of its leaves, of which the tree is asked one by one.
#[test]
fn intervals_are_the_sums_of_their_leaves() {
    let lengths = [2.0];
    let rows = [0, 1, 7];
    for make in [Brownian::new, Brownian::with_area] {
        let brownian = make(Noise::new(5), &lengths).unwrap();
        let leaf = |index| Node { cell: 0, level: 6, index };
        for (from, to) in [(0, 64), (0, 1), (63, 64), (1, 63), (13, 50), (31, 33), (32, 33), (20, 20)] {
            let found = between::<f64>(&brownian, &rows, 0, from << 34..to << 34, 2);
            // The integral of the path is the sum of length·(W before + W/2 + H) over the leaves.
            let (mut before, mut integral) = (Array2::<f64>::zeros((3, 2)), Array2::<f64>::zeros((3, 2)));
            for index in from..to {
                let mut w = Array2::zeros((3, 2));
                brownian.increments_into(&rows, leaf(index), &mut w);
                if brownian.has_areas() {
                    let h = &pair::<f64>(&brownian, &rows, leaf(index), 2)[1];
                    integral += &((&before + &w * 0.5 + h) * (2.0 / 64.0));
                }
                before += &w;
            }
            assert!((&before - &found[0]).iter().all(|e| e.abs() < 1e-14), "{from} {to}");
            if let Some(h) = found.get(1).filter(|_| from < to) {
                let length = 2.0 * (to - from) as f64 / 64.0;
                let area = integral / length - before * 0.5;
                assert!((area - h).iter().all(|e| e.abs() < 1e-14), "{from} {to}");
            }
        }
    }
}

/// Walking a cell by dyadic steps splits every node once; a rejected step splits nothing twice.
#[test]
fn a_cursor_splits_each_node_once() {
    let lengths = [1.0];
    let brownian = Brownian::with_area(Noise::new(5), &lengths).unwrap();
    let mut cursor = BrownianCursor::<f64>::new(brownian, &[3], 0);
    let (mut w, step) = (Array2::zeros((1, 2)), Brownian::TICKS >> 10);
    for i in 0..1 << 10 {
        cursor.between_into(i * step..(i + 1) * step, &mut w, None);
    }
    assert_eq!(cursor.num_splits(), (1 << 10) - 1);
    cursor.restart(&[3], 0);
    // Two steps of 1/4 asked as 1/2 first: the root, and its left half.
    for (from, to) in [(0, 2), (0, 1), (1, 2), (2, 4), (2, 3), (3, 4)] {
        cursor.between_into(from << 38..to << 38, &mut w, None);
    }
    assert_eq!(cursor.num_splits(), (1 << 10) - 1 + 3);
}

/// The law given what an adaptive method has seen: a step is asked for, rejected, and asked for in parts, at ticks of
/// no node. What is asked for first is a step of which the second is a part. False alarms: 1 in 1000.
#[test]
fn parts_of_rejected_steps_have_their_conditional_law() {
    let mut family = Family::new(1e-3).unwrap();
    let lengths = [2.0];
    let rows: Vec<u64> = (0..20_000).collect();
    for areas in [false, true] {
        let make = if areas { Brownian::with_area } else { Brownian::new };
        let brownian = make(Noise::new(seed(210 + u64::from(areas))), &lengths).unwrap();
        let mut cursor = BrownianCursor::<f64>::new(brownian, &rows, 0);
        // (rejected step, the part taken instead); the last ones lie within a few ticks of each other.
        let quarter = Brownian::TICKS / 4;
        for (whole, part) in [
            (0..4 * quarter, 0..2 * quarter),
            (0..2 * quarter, 0..quarter),
            (quarter..2 * quarter, quarter..quarter + 12_345),
            (123_456_789..3 * quarter + 17, 123_456_789..quarter + 1),
            (2 * quarter - 3..2 * quarter + 4, 2 * quarter - 3..2 * quarter + 2),
        ] {
            let [mut w, mut h, mut wp, mut hp] = [(); 4].map(|()| Array2::zeros((rows.len(), 2)));
            cursor.between_into(whole.clone(), &mut w, areas.then_some(&mut *h));
            cursor.between_into(part.clone(), &mut wp, areas.then_some(&mut *hp));
            let length = brownian.elapsed(0, whole.end) - brownian.elapsed(0, whole.start);
            let u = (part.end - part.start) as f64 / (whole.end - whole.start) as f64;
            // A bridge: mean uW + 6u(1 − u)H; variance u(1 − u), less 3u²(1 − u)² if H is known.
            let v = u * (1.0 - u);
            let (mean, variance) =
                if areas { (&w * u + &h * (6.0 * v), v - 3.0 * v * v) } else { (&w * u, v) };
            let z = (wp - mean) / (variance * length).sqrt();
            let name = format!("{part:?} of {whole:?}, {}", if areas { "given W, H" } else { "given W" });
            let fit = kolmogorov_smirnov(z.as_slice().unwrap(), |z| Normal::standard().cdf(z)).unwrap();
            family.push(format!("{name}: law"), fit.p_value);
            let count = z.len() as f64;
            let squares: f64 = z.iter().map(|z| (z * z - 1.0) / 2_f64.sqrt()).sum();
            family.push(format!("{name}: variance"), normal_p_value(squares / count.sqrt()));
            family.push(format!("{name}: mean"), normal_p_value(z.sum() / count.sqrt()));
            let cross = (&z * &w / length.sqrt()).sum() / count.sqrt();
            family.push(format!("{name}: independent of W"), normal_p_value(cross));
            if areas {
                let cross = (&z * &h / (length / 12.0).sqrt()).sum() / count.sqrt();
                family.push(format!("{name}: independent of H"), normal_p_value(cross));
                // The area of the part, N(0, part/12) whatever its increment.
                let area = hp / (u * length / 12.0).sqrt();
                let fit =
                    kolmogorov_smirnov(area.as_slice().unwrap(), |z| Normal::standard().cdf(z)).unwrap();
                family.push(format!("{name}: law of H"), fit.p_value);
            }
        }
    }
    family.assert();
}

/// The path at a tick of each row.
fn values<F: Real>(
    brownian: &Brownian,
    rows: &[u64],
    cell: u64,
    at: &[u64],
    level: u32,
    d: usize,
) -> Array2<F> {
    let mut w = Array2::from_elem((rows.len(), d), F::nan());
    brownian.values_into(rows, cell, at, level, &mut w, &mut Scratch::new());
    w
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    /// The path at ticks of the tree is its increment from 0, to the bit, whatever the other rows are asked for.
    #[test]
    fn values_are_increments_from_zero(
        key: u64, level in 0..=40_u32, start: u64, ticks in prop::collection::vec(tick(), 1..150), d in 0..4_usize,
        gap in 1..4_u64
    ) {
        let lengths = [0.3, 2.0];
        let brownian = Brownian::new(Noise::new(key), &lengths).unwrap();
        let rows: Vec<u64> = (0..ticks.len() as u64).map(|i| (start >> 1) + gap * i).collect();
        // On the grid one level below.
        let unit = Brownian::TICKS >> (level + 1).min(40);
        let ticks: Vec<u64> = ticks.into_iter().map(|tick| tick / unit * unit).collect();
        let (single, double) = (
            values::<f32>(&brownian, &rows, 1, &ticks, level, d),
            values::<f64>(&brownian, &rows, 1, &ticks, level, d),
        );
        for (i, &tick) in ticks.iter().enumerate() {
            let own = between::<f32>(&brownian, &rows[i..=i], 1, 0..tick, d);
            prop_assert_eq!(single.row(i), own[0].row(0));
            let own = between::<f64>(&brownian, &rows[i..=i], 1, 0..tick, d);
            prop_assert_eq!(double.row(i), own[0].row(0));
            if i < 3 {
                // All rows at the same tick.
                let shared = values::<f64>(&brownian, &rows, 1, &vec![tick; rows.len()], level, d);
                prop_assert_eq!(shared.row(i), double.row(i));
            }
        }
    }

    /// Between the nodes too a row does not depend on the others.
    #[test]
    fn values_between_nodes_do_not_depend_on_other_rows(key: u64, level in 0..=10_u32, at in 0..=Brownian::TICKS) {
        let lengths = [0.3];
        let brownian = Brownian::new(Noise::new(key), &lengths).unwrap();
        let rows = [3, 4, 5, 6, 1 << 40];
        let shared = values::<f64>(&brownian, &rows, 0, &[at; 5], level, 3);
        let mixed = values::<f64>(&brownian, &rows, 0, &[1, 1 << 39, at, 77, at], level, 3);
        prop_assert_eq!(shared.row(2), mixed.row(2));
        prop_assert_eq!(shared.row(4), mixed.row(4));
        prop_assert_eq!(values::<f64>(&brownian, &rows[2..3], 0, &[at], level, 3), mixed.slice(s![2..3, ..]));
    }
}

/// At any tick and tolerance the value is N(0, t), and so are differences of values that are not within one node. False
/// alarms: 1 in 1000.
#[test]
fn values_have_their_law() {
    let mut family = Family::new(1e-3).unwrap();
    let brownian = Brownian::new(Noise::new(seed(230)), &[0.5]).unwrap();
    let rows: Vec<u64> = (0..20_000).collect();
    // Ticks all over the cell.
    let spread = |i: u64| 1 + i.wrapping_mul(0x9E37_79B9_7F4A_7C15) % (Brownian::TICKS - 1);
    for level in [0, 1, 10, 20, 40] {
        let at: Vec<u64> = rows.iter().map(|&i| spread(i + 1)).collect();
        let w = values::<f64>(&brownian, &rows, 0, &at, level, 2);
        let mut z = w.clone();
        z.rows_mut().into_iter().zip(&at).for_each(|(mut z, &at)| z /= brownian.elapsed(0, at).sqrt());
        let mut judge = |name: &str, z: &Array2<f64>| {
            let fit = kolmogorov_smirnov(z.as_slice().unwrap(), |z| Normal::standard().cdf(z)).unwrap();
            family.push(format!("{name} at level {level}: law"), fit.p_value);
            let squares: f64 = z.iter().map(|z| (z * z - 1.0) / 2_f64.sqrt()).sum();
            family.push(
                format!("{name} at level {level}: variance"),
                normal_p_value(squares / (z.len() as f64).sqrt()),
            );
        };
        judge("values", &z);
        // A difference over more than a node: from the tick to one in the next but one node.
        if level >= 10 {
            let later: Vec<u64> =
                at.iter().map(|&at| (at + (3 << (40 - level)) / 2).min(Brownian::TICKS)).collect();
            let mut z = values::<f64>(&brownian, &rows, 0, &later, level, 2) - &w;
            for ((mut z, &from), &to) in z.rows_mut().into_iter().zip(&at).zip(&later) {
                z /= (brownian.elapsed(0, to) - brownian.elapsed(0, from)).sqrt();
            }
            let kept: Vec<usize> = (0..rows.len()).filter(|&i| later[i] > at[i]).collect();
            judge("differences", &z.select(numeric::ndarray::Axis(0), &kept));
        }
    }
    family.assert();
}

/// Lévy areas of a node at some depth; of other coordinates if asked.
fn levy(brownian: &Brownian, rows: &[u64], node: Node, depth: u32, m: usize) -> Array2<f64> {
    let [w, h] = pair::<f64>(brownian, rows, node, m);
    let mut out = Array2::from_elem((rows.len(), m * m.saturating_sub(1) / 2), f64::NAN);
    brownian.levy_areas_into(rows, node, depth, [&w, &h], &mut out, &mut Scratch::new());
    out
}

/// Against the sums ½ Σ (W^j ΔW^k − W^k ΔW^j) over leaves that are asked for one by one, plus the leaves' means.
#[test]
fn levy_areas_are_sums_over_the_leaves() {
    let lengths = [0.5, 2.0];
    let brownian = Brownian::with_area(Noise::new(8), &lengths).unwrap();
    let (rows, m) = ([1, 2, 3, 50], 4);
    for (node, depth) in [
        (Node::whole(1), 0),
        (Node::whole(0), 1),
        (Node { cell: 1, level: 3, index: 5 }, 5),
        (Node { cell: 0, level: 38, index: 77 }, 2),
        (Node { cell: 0, level: 40, index: 77 }, 0),
    ] {
        let found = levy(&brownian, &rows, node, depth, m);
        let (mut before, mut expected) = (Array2::<f64>::zeros((4, m)), Array2::<f64>::zeros(found.dim()));
        for leaf in 0..1_u64 << depth {
            let at = Node { level: node.level + depth, index: node.index << depth | leaf, ..node };
            let [w, h] = pair::<f64>(&brownian, &rows, at, m);
            for i in 0..rows.len() {
                let mut pair = 0;
                for j in 0..m {
                    for k in j + 1..m {
                        expected[[i, pair]] += 0.5
                            * (before[[i, j]] * w[[i, k]] - before[[i, k]] * w[[i, j]])
                            + h[[i, j]] * w[[i, k]]
                            - w[[i, j]] * h[[i, k]];
                        pair += 1;
                    }
                }
            }
            before += &w;
        }
        let scale = brownian.length(node);
        assert!((&found - &expected).iter().all(|e| e.abs() < 1e-14 * scale), "{node:?} {depth}");
        // A shard, and fewer coordinates.
        assert_eq!(levy(&brownian, &rows[1..3], node, depth, m), found.slice(s![1..3, ..]));
        assert_eq!(levy(&brownian, &rows, node, depth, 2), found.slice(s![.., ..1]));
    }
    assert_eq!(levy(&brownian, &rows, Node::whole(0), 3, 1).dim(), (4, 0));
}

/// Swapping two coordinates changes the sign: computed by hand from swapped increments and areas, at depth 0.
#[test]
fn levy_areas_are_antisymmetric() {
    let brownian = Brownian::with_area(Noise::new(8), &[1.0]).unwrap();
    let [w, h] = pair::<f64>(&brownian, &[0, 1, 2], Node::whole(0), 2);
    let area = |[w, h]: [&Array2<f64>; 2]| {
        let mut out = Array2::zeros((3, 1));
        brownian.levy_areas_into(&[0, 1, 2], Node::whole(0), 0, [w, h], &mut out, &mut Scratch::new());
        out
    };
    let swap = |a: &Array2<f64>| Array2::from_shape_fn(a.dim(), |(i, j)| a[[i, 1 - j]]);
    assert_eq!(area([&w, &h]), -area([&swap(&w), &swap(&h)]));
}

/// Variance h²/4 less h²/(12·2^depth) at every depth, and mean-square differences between depths as documented,
/// against Riemann sums that do not use the conditional mean. False alarms: 1 in 1000.
#[test]
fn levy_areas_converge_as_documented() {
    let mut family = Family::new(1e-3).unwrap();
    let lengths = [0.7];
    let brownian = Brownian::with_area(Noise::new(seed(220)), &lengths).unwrap();
    let (node, fine) = (Node { cell: 0, level: 1, index: 1 }, 10_u32);
    let length = brownian.length(node);
    let rows: Vec<u64> = (0..4000).collect();
    let at_depth = |depth| levy(&brownian, &rows, node, depth, 3) / length;
    // Riemann sums over the leaves: the martingale part of each leaf, h²/4, is lost.
    let mut riemann = Array2::<f64>::zeros((rows.len(), 3));
    let mut before = Array2::<f64>::zeros((rows.len(), 3));
    let mut cursor = BrownianCursor::<f64>::new(brownian, &rows, 0);
    let step = Brownian::TICKS >> (1 + fine);
    for leaf in 0..1 << fine {
        let start = node.ticks().start + leaf * step;
        let mut w = Array2::zeros((rows.len(), 3));
        cursor.between_into(start..start + step, &mut w, None);
        for (mut a, (b, w)) in riemann.rows_mut().into_iter().zip(before.rows().into_iter().zip(w.rows())) {
            for (pair, (j, k)) in [(0, 1), (0, 2), (1, 2)].into_iter().enumerate() {
                a[pair] += 0.5 * (b[j] * w[k] - b[k] * w[j]) / length;
            }
        }
        before += &w;
    }
    // Means over rows of the three pairs together: the rows are independent, the pairs are not.
    let mut judge = |name: String, a: &Array2<f64>, expected: f64| {
        let per_row = a.mapv(|a| a * a).mean_axis(numeric::ndarray::Axis(1)).unwrap();
        let error = per_row.std(1.0) / (rows.len() as f64).sqrt();
        let mean = per_row.mean().unwrap();
        println!(
            "{name}: {:.4} of what is expected, standard error {:.4}",
            mean / expected,
            error / expected
        );
        family.push(name, normal_p_value((mean - expected) / error));
    };
    judge("E A², Riemann".into(), &riemann, (1.0 - 0.5_f64.powi(fine as i32)) / 4.0);
    for depth in 0..=6 {
        let a = at_depth(depth);
        let rest = 0.5_f64.powi(depth as i32) / 12.0;
        judge(format!("E A², depth {depth}"), &a, 0.25 - rest);
        // With A the area, D this one and R the Riemann sum, in units of h²: E(A − D)² = 2^-depth/12, E(A − R)² =
        // 2^-fine/4, and A − R, the areas within the fine leaves, meets D only in the parts H^j W^k of these leaves,
        // each of weight 2^(depth − fine), so E(A − D)(A − R) = 2^-fine/4 − 2^(depth − 2 fine)/6.
        let leaves = 0.5_f64.powi(fine as i32);
        let overlap = 0.5_f64.powi(fine as i32 - depth as i32) * leaves / 6.0;
        judge(format!("error of depth {depth}"), &(&a - &riemann), rest - leaves / 4.0 + 2.0 * overlap);
    }
    family.assert();
}

#[test]
fn ends_of_a_cell_are_exact() {
    let lengths = [0.1, 1e-300, 3.0];
    let brownian = Brownian::new(Noise::new(1), &lengths).unwrap();
    for (cell, length) in lengths.into_iter().enumerate() {
        let cell = cell as u64;
        assert_eq!(brownian.tick(cell, 0.0).unwrap(), 0);
        assert_eq!(brownian.tick(cell, length).unwrap(), Brownian::TICKS);
        assert_eq!((brownian.elapsed(cell, 0), brownian.elapsed(cell, Brownian::TICKS)), (0.0, length));
        assert_eq!(brownian.tick(cell, length / 4.0).unwrap(), Brownian::TICKS / 4);
        for outside in [-1e-9 * length, length * (1.0 + f64::EPSILON), f64::NAN, f64::INFINITY] {
            let refused = brownian.tick(cell, outside).unwrap_err();
            assert!(matches!(refused, Error::Domain { parameter: "elapsed", .. }), "{refused}");
        }
        assert!(between::<f64>(&brownian, &[4], cell, 7..7, 2)[0].iter().all(|&w| w == 0.0));
        let last = between::<f64>(&brownian, &[4], cell, Brownian::TICKS - 1..Brownian::TICKS, 2);
        let mut w = Array2::zeros((1, 2));
        brownian.increments_into(&[4], Node { cell, level: 40, index: (1 << 40) - 1 }, &mut w);
        assert_eq!(last[0], w);
    }
}

#[test]
fn cursors_are_auto_traits() {
    fn assert_auto<T: Send + Sync + Unpin>() {}
    assert_auto::<BrownianCursor<'static, f32>>();
}

#[test]
fn no_rows_and_no_coordinates_are_answered() {
    let brownian = Brownian::with_area(Noise::new(0), &[1.0]).unwrap();
    assert_eq!(between::<f64>(&brownian, &[], 0, 5..500, 3)[1].dim(), (0, 3));
    assert_eq!(between::<f64>(&brownian, &[1, 2], 0, 5..500, 0)[1].dim(), (2, 0));
    assert_eq!(levy(&brownian, &[], Node::whole(0), 3, 3).dim(), (0, 3));
    assert_eq!(levy(&brownian, &[1], Node::whole(0), 3, 0).dim(), (1, 0));
    let plain = Brownian::new(Noise::new(0), &[1.0]).unwrap();
    assert_eq!(values::<f32>(&plain, &[], 0, &[], 3, 3).dim(), (0, 3));
    assert_eq!(values::<f32>(&plain, &[1, 2], 0, &[5, 6], 3, 0).dim(), (2, 0));
}

#[test]
#[should_panic(expected = "the tree has no areas")]
fn areas_of_a_plain_tree() {
    let _ = pair::<f64>(&Brownian::new(Noise::new(0), &[1.0]).unwrap(), &[0], Node::whole(0), 1);
}

#[test]
#[should_panic(expected = "a tree with areas is split by")]
fn plain_split_of_a_tree_with_areas() {
    let [w, mut l, mut r] = [(); 3].map(|()| Array2::<f64>::zeros((1, 1)));
    Brownian::with_area(Noise::new(0), &[1.0]).unwrap().split_into(&[0], Node::whole(0), &w, &mut l, &mut r);
}

#[test]
#[should_panic(expected = "is no interval of the ticks of a cell")]
fn ticks_beyond_the_cell() {
    let brownian = Brownian::new(Noise::new(0), &[1.0]).unwrap();
    let _ = between::<f64>(&brownian, &[0], 0, 0..Brownian::TICKS + 1, 1);
}

#[test]
#[should_panic(expected = "the tree has no areas")]
fn areas_between_ticks_of_a_plain_tree() {
    let brownian = Brownian::new(Noise::new(0), &[1.0]).unwrap();
    let [mut w, mut h] = [(); 2].map(|()| Array2::<f64>::zeros((1, 1)));
    brownian.between_into(&[0], 0, 0..1, &mut w, Some(&mut h), &mut Scratch::new());
}

#[test]
#[should_panic(expected = "the shape of the last query")]
fn another_width_in_a_cursor() {
    let mut cursor = BrownianCursor::<f64>::new(Brownian::new(Noise::new(0), &[1.0]).unwrap(), &[0], 0);
    cursor.between_into(0..5, &mut Array2::zeros((1, 1)), None);
    cursor.between_into(0..5, &mut Array2::zeros((1, 2)), None);
}

#[test]
#[should_panic(expected = "values are those of a tree without areas")]
fn values_of_a_tree_with_areas() {
    let _ = values::<f64>(&Brownian::with_area(Noise::new(0), &[1.0]).unwrap(), &[0], 0, &[1], 3, 1);
}

#[test]
#[should_panic(expected = "has no parts 2 levels below it")]
fn levy_areas_below_the_deepest_level() {
    let brownian = Brownian::with_area(Noise::new(0), &[1.0]).unwrap();
    let _ = levy(&brownian, &[0], Node { cell: 0, level: 39, index: 0 }, 2, 2);
}
