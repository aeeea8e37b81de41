//! Tables against the curves that they are of.

use super::*;
use crate::curve::{GaussianCurve, ScalarMixtureCurve, noise_per_signal};

fn mesh(nodes: usize) -> TimeGrid {
    let v = |k: usize| 400.0 * (0.02f64 / 400.0).powf(k as f64 / nodes as f64);
    TimeGrid::from_nodes((0..=nodes).map(|k| 0.5 * v(k).ln_1p()).collect()).expect("a grid")
}

#[test]
fn an_isotropic_gaussian_is_its_table() {
    let exact = GaussianCurve::new(vec![0.7; 4], 2.0).expect("a curve");
    let table = TabulatedCurve::of(&exact, &mesh(7)).expect("a table");
    for tau in [3.5, 2.9, 1.3, 0.4, 0.05, 0.0101] {
        let close = |found: f64, expected: f64, what: &str| {
            assert!(
                (found - expected).abs() < 1e-12 * expected.abs() + 1e-15,
                "{what} {tau}: {found} {expected}"
            );
        };
        close(table.mmse(tau), exact.mmse(tau), "mmse");
        close(table.score_square(tau), exact.score_square(tau), "I");
        close(table.relative_score_square(tau), exact.relative_score_square(tau), "F");
        close(table.mutual_information(tau), exact.mutual_information(tau), "MI");
        close(table.relative_entropy(tau), exact.relative_entropy(tau), "KL");
        for prior in [0.0, 0.3, 2.0, f64::INFINITY] {
            close(table.covariance_gap(tau, prior), exact.covariance_gap(tau, prior), "gap");
            for length in [1e-7, 1e-3, 0.4] {
                let (found, expected) =
                    (table.prior_step(tau + length, tau, prior), exact.prior_step(tau + length, tau, prior));
                let rounding = if prior == 0.0 && length < 1e-2 { 0.0 } else { 2e-14 };
                assert!(
                    (found - expected).abs() < 1e-8 * expected + rounding,
                    "{tau} {length} {prior}: {found:e} {expected:e}"
                );
            }
        }
        close(table.prior_step(tau + 0.1, tau, 0.7), 0.0, "its own prior");
    }
}

/// Side by side as one by one: short and long steps, within a cell and over many, at nodes, and cells through which the
/// error falls by orders of magnitude.
#[test]
fn many_clocks_are_each_of_them() {
    let coin = ScalarMixtureCurve::new(&[0.5, 0.5], &[-1.0, 1.0], &[0.0, 0.0]).expect("a curve");
    for nodes in [3, 8, 400] {
        let table = TabulatedCurve::of(&coin, &mesh(nodes)).expect("a table");
        let mut clocks: Vec<f64> = mesh(7).nodes().iter().map(|node| node.t).collect();
        clocks.extend(mesh(nodes).nodes().iter().map(|node| node.t));
        clocks.extend([5.0, 1.5, 1.499, 0.0101]);
        clocks.sort_unstable_by(|a, b| b.total_cmp(a));
        clocks.dedup();
        for (k, &tau) in clocks.iter().enumerate() {
            assert_eq!(table.score_squares(&clocks)[k], table.score_square(tau));
            assert_eq!(table.relative_score_squares(&clocks)[k], table.relative_score_square(tau));
        }
        for prior in [0.0, 0.3, f64::INFINITY] {
            let steps = table.prior_steps(&clocks, prior);
            for (found, pair) in steps.iter().zip(clocks.windows(2)) {
                let expected = table.prior_step(pair[0], pair[1], prior);
                assert!(
                    (found - expected).abs() < 1e-11 * expected + 1e-13,
                    "{pair:?}: {found:e} {expected:e}"
                );
            }
        }
    }
}

#[test]
fn a_mixture_is_approached_at_fourth_order() {
    let exact = ScalarMixtureCurve::new(&[0.3, 0.7], &[-1.5, 1.0], &[0.09, 0.04]).expect("a curve");
    let errors = [40, 80, 160].map(|nodes| {
        let table = TabulatedCurve::of(&exact, &mesh(nodes)).expect("a table");
        (table.mutual_information(0.02) - exact.mutual_information(0.02)).abs()
    });
    for pair in errors.windows(2) {
        assert!((12.0..20.0).contains(&(pair[0] / pair[1])), "{errors:?}");
    }
    assert!(errors[2] < 1e-7, "{errors:?}");
}

#[test]
fn much_noise_keeps_its_digits() {
    for mean in [0.0, 2.0] {
        let exact = GaussianCurve::new(vec![0.7; 4], mean).expect("a curve");
        let table = TabulatedCurve::of(&exact, &mesh(7)).expect("a table");
        for tau in [4.0, 10.0, 20.0, 100.0, 150.0] {
            for (found, expected) in [
                (table.relative_entropy(tau), exact.relative_entropy(tau)),
                (table.relative_score_square(tau), exact.relative_score_square(tau)),
            ] {
                assert!((found / expected - 1.0).abs() < 1e-11, "{mean} {tau}: {found:e} {expected:e}");
            }
        }
    }
    // Nodes in as much noise as is allowed.
    let exact = GaussianCurve::new(vec![2.0], 0.0).expect("a curve");
    let grid = TimeGrid::from_nodes(vec![300.0, 250.0, 190.0, 100.0, 3.0, 0.1]).expect("a grid");
    let table = TabulatedCurve::of(&exact, &grid).expect("a table");
    for tau in [299.0, 260.0, 200.0, 150.0, 50.0, 1.0, 0.2] {
        assert!((table.mmse(tau) / exact.mmse(tau) - 1.0).abs() < 1e-10, "{tau}");
        let (found, expected) = (table.mutual_information(tau), exact.mutual_information(tau));
        assert!((found / expected - 1.0).abs() < 1e-10, "{tau}: {found:e} {expected:e}");
    }
}

#[test]
fn information_is_the_integral_of_what_is_interpolated() {
    // Two atoms: the error falls like e^{-η/2}, by orders of magnitude within a cell.
    let coin = ScalarMixtureCurve::new(&[0.5, 0.5], &[-1.0, 1.0], &[0.0, 0.0]).expect("a curve");
    let clocks = [0.02f64, 0.5, 2.0, 8.0, 12.0, 20.0, 40.0, 200.0].map(|eta| 0.5 * eta.recip().ln_1p());
    let table =
        TabulatedCurve::of(&coin, &TimeGrid::from_nodes(clocks.to_vec()).expect("a grid")).expect("a table");
    for pair in table.eta.windows(2) {
        let clock = |eta: f64| 0.5 * eta.recip().ln_1p();
        let f = |eta: f64| 0.5 * table.mmse(clock(eta));
        let fine = quadrature::composite(pair[0], pair[1], (pair[1] - pair[0]) / 400.0, f);
        let [a, b] =
            [pair[0], pair[1]].map(|eta| if eta == 0.0 { 0.0 } else { table.mutual_information(clock(eta)) });
        assert!((b - a - fine).abs() < 1e-7 * fine + 1e-15, "{pair:?}: {} {fine}", b - a);
    }
}

#[test]
fn a_point_and_what_is_no_law() {
    let grid = mesh(5);
    let point = TabulatedCurve::new(2, 3.0, 0.0, &grid, &[0.0; 6]).expect("a point");
    assert_eq!((point.mmse(1.0), point.prior_step(1.0, 0.5, 0.0)), (0.0, 0.0));
    assert_eq!(point.mutual_information(0.1), 0.0);
    // d/2 (r − 1 − log r).
    let r = noise_per_signal(0.5) / noise_per_signal(1.0);
    assert!((point.prior_step(1.0, 0.5, f64::INFINITY) - (r - 1.0 - r.ln())).abs() < 1e-15);

    let exact = GaussianCurve::new(vec![1.0; 2], 0.0).expect("a curve");
    let good: Vec<f64> = grid.nodes().iter().map(|node| exact.mmse(node.t)).collect();
    let new = |dim, moment, variance, mmse: &[f64]| TabulatedCurve::new(dim, moment, variance, &grid, mmse);
    assert!(new(2, 2.0, 2.0, &good).is_ok());
    // With half the dimension the same errors fall too slowly.
    assert!(matches!(new(1, 2.0, 2.0, &good), Err(Error::Entry { .. })));
    for i in 0..good.len() {
        for wrong in [f64::NAN, -1.0, f64::INFINITY, 1.01 * good[i]] {
            let mut bad = good.clone();
            bad[i] = wrong;
            assert!(new(2, 2.0, 2.0, &bad).is_err(), "{i} {wrong}");
        }
    }
    assert!(new(0, 2.0, 2.0, &good).is_err() && new(2, 1.0, 2.0, &good).is_err());
    assert!(new(2, 2.0, f64::NAN, &good).is_err() && new(2, 2.0, 2.0, &good[1..]).is_err());
    assert!(new(2, 2.0, -1.0, &good).is_err());
}

#[test]
fn a_law_is_fitted_to_itself_and_noise_is_not() {
    let grid = mesh(30);
    let exact = ScalarMixtureCurve::new(&[0.5, 0.5], &[-1.0, 1.0], &[0.1, 0.1]).expect("a curve");
    let table = TabulatedCurve::of(&exact, &grid).expect("a table");
    let measured = |noise: f64| -> Vec<Estimate> {
        let sign = |i: usize| if i.is_multiple_of(2) { 1.0 } else { -1.0 };
        (grid.nodes().iter().enumerate())
            .map(|(i, node)| {
                let mean = exact.mmse(node.t) * (1.0 + noise * sign(i));
                Estimate { mean, std_error: 0.01 * mean, n: 1000 }
            })
            .collect()
    };
    let fit = |noise| TabulatedCurve::fitted(1, 1.1, 1.1, &grid, &measured(noise)).expect("a curve");
    let same = fit(0.0);
    assert!(
        same.cells.iter().zip(&table.cells).all(|(a, b)| (a.inverse[0] / b.inverse[0] - 1.0).abs() < 1e-12)
    );
    let noisy = fit(0.05);
    for (from, to) in grid.pairs() {
        for prior in [0.0, 0.1, 1.0, f64::INFINITY] {
            assert!(noisy.prior_step(from.t, to.t, prior) > -1e-14);
        }
        assert!((noisy.mmse(to.t) / exact.mmse(to.t) - 1.0).abs() < 0.06);
    }
    // Projections do not move what is already there.
    let again: Vec<Estimate> = (grid.nodes().iter())
        .map(|node| Estimate { mean: noisy.mmse(node.t), std_error: 0.0, n: 1 })
        .collect();
    let twice = TabulatedCurve::fitted(1, 1.1, 1.1, &grid, &again).expect("a curve");
    assert!(
        twice.cells.iter().zip(&noisy.cells).all(|(a, b)| (a.inverse[0] / b.inverse[0] - 1.0).abs() < 1e-9)
    );
    let with = |e: Estimate| {
        let mut bad = measured(0.0);
        bad[3] = e;
        TabulatedCurve::fitted(1, 1.1, 1.1, &grid, &bad).is_err()
    };
    for (mean, std_error) in [(0.0, 0.1), (f64::NAN, 0.1), (0.1, f64::NAN), (0.1, -1.0)] {
        assert!(with(Estimate { mean, std_error, n: 9 }), "{mean} {std_error}");
    }
}
