//! The path between ticks, and its value at a tick of each row.

use std::ops::Range;

use numeric::ndarray::{Array2, s};
use numeric::{Brownian, BrownianCursor, Node, Noise, Real, Scratch};
use proptest::prelude::*;
use statrs::distribution::{ContinuousCDF, Normal};
use verify::{Family, kolmogorov_smirnov, normal_p_value, seed};

use super::pair;

/// Increments, and areas where the tree has them, over an interval of ticks.
pub(super) fn between<F: Real>(
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
    #![proptest_config(verify::strategy::cases(9021, 60))]

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
pub(super) fn values<F: Real>(
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
    #![proptest_config(verify::strategy::cases(9022, 40))]

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
