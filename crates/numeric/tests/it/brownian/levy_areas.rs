//! Lévy areas from the tree.

use numeric::ndarray::{Array2, s};
use numeric::{Brownian, BrownianCursor, Node, Noise, Scratch};
use verify::{Family, normal_p_value, seed};

use super::pair;

/// Lévy areas of a node at some depth; of other coordinates if asked.
pub(super) fn levy(brownian: &Brownian, rows: &[u64], node: Node, depth: u32, m: usize) -> Array2<f64> {
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
