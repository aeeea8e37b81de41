//! Lévy areas over any interval of ticks.

use numeric::ndarray::Array2;
use numeric::{Brownian, BrownianCursor, Node, Noise, Scratch};

/// W, H and the areas of an interval, from a cursor of its own.
fn areas(
    brownian: Brownian<'_>,
    rows: &[u64],
    cell: u64,
    ticks: std::ops::Range<u64>,
    level: u32,
    m: usize,
) -> [Array2<f64>; 3] {
    let empty = |columns| Array2::from_elem((rows.len(), columns), f64::NAN);
    let [mut w, mut h, mut a] = [empty(m), empty(m), empty(m * m.saturating_sub(1) / 2)];
    let mut cursor = BrownianCursor::new(brownian, rows, cell);
    cursor.levy_areas_into(ticks, level, [&mut w, &mut h], &mut a, &mut Scratch::new());
    [w, h, a]
}

/// Over a node: the bits of the other function. Over any interval: sums over the parts, asked for one by one.
#[test]
fn areas_of_intervals_are_sums_over_the_parts() {
    let lengths = [0.5, 2.0];
    let brownian = Brownian::with_area(Noise::new(8), &lengths).unwrap();
    let (rows, mut scratch) = ([1, 2, 3, 50], Scratch::new());
    for (node, depth) in [
        (Node::whole(1), 0),
        (Node { cell: 1, level: 3, index: 5 }, 5),
        (Node { cell: 0, level: 38, index: 77 }, 2),
    ] {
        let [w, h, found] = areas(brownian, &rows, node.cell, node.ticks(), node.level + depth, 4);
        let mut expected = Array2::zeros(found.dim());
        brownian.levy_areas_into(&rows, node, depth, [&w, &h], &mut expected, &mut scratch);
        assert_eq!(found, expected);
    }
    let eighth = Brownian::TICKS / 8;
    for (from, end) in [
        (0, 5),
        (eighth / 3, 5 * eighth + 7),
        (eighth, 4 * eighth),
        (10, 12),
        (eighth - 1, eighth + 1),
        (9, 9),
    ] {
        let [w, h, found] = areas(brownian, &rows, 1, from..end, 3, 3);
        let (mut before, mut expected) = (Array2::<f64>::zeros((4, 3)), Array2::<f64>::zeros((4, 3)));
        let cuts: Vec<u64> = (0..=8).map(|k| (k * eighth).clamp(from, end)).collect();
        for cut in cuts.windows(2).filter(|cut| cut[0] < cut[1]) {
            let [mut w, mut h] = [(); 2].map(|()| Array2::<f64>::zeros((4, 3)));
            brownian.between_into(&rows, 1, cut[0]..cut[1], &mut w, Some(&mut h), &mut scratch);
            for i in 0..4 {
                for (pair, (j, k)) in [(0, 1), (0, 2), (1, 2)].into_iter().enumerate() {
                    expected[[i, pair]] += 0.5 * (before[[i, j]] * w[[i, k]] - before[[i, k]] * w[[i, j]])
                        + h[[i, j]] * w[[i, k]]
                        - w[[i, j]] * h[[i, k]];
                }
            }
            before += &w;
        }
        let scale = brownian.elapsed(1, end) - brownian.elapsed(1, from);
        assert!((&found - &expected).iter().all(|e| e.abs() <= 1e-13 * scale), "{from}..{end}");
        assert!((&w - &before).iter().all(|e| e.abs() <= 1e-13 * scale.sqrt()));
        let mut space_time = Array2::<f64>::zeros((4, 3));
        brownian.between_into(&rows, 1, from..end, &mut before, Some(&mut space_time), &mut scratch);
        assert_eq!((w, h), (before, space_time));
    }
    for m in [0, 1] {
        assert_eq!(areas(brownian, &rows, 0, 0..9, 3, m)[2].dim(), (4, 0));
    }
}

#[test]
#[should_panic(expected = "level 41")]
fn there_is_no_level_below_the_deepest() {
    let brownian = Brownian::with_area(Noise::new(8), &[1.0]).unwrap();
    let _ = areas(brownian, &[0], 0, 0..1, 41, 2);
}

#[test]
#[should_panic(expected = "with_area")]
fn a_tree_without_areas_has_none() {
    let _ = areas(Brownian::new(Noise::new(8), &[1.0]).unwrap(), &[0], 0, 0..4, 1, 2);
}
