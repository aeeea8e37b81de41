//! The strategies keep their promises.

use std::process::Command;

use numeric::ndarray::Array2;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use verify::strategy::{
    cases, covariance, mixture, near_singular_covariance, probabilities, rate_matrix, reversible_rate_matrix,
    time_grid,
};

/// Pivots of the Cholesky factorisation; their product is the determinant.
fn pivots(a: &Array2<f64>) -> Vec<f64> {
    let n = a.nrows();
    let mut l = a.clone();
    let mut pivots = Vec::new();
    for j in 0..n {
        let pivot = a[[j, j]] - (0..j).map(|k| l[[j, k]] * l[[j, k]]).sum::<f64>();
        pivots.push(pivot);
        l[[j, j]] = pivot.sqrt();
        for i in j + 1..n {
            let rest = a[[i, j]] - (0..j).map(|k| l[[i, k]] * l[[j, k]]).sum::<f64>();
            l[[i, j]] = rest / l[[j, j]];
        }
    }
    pivots
}

/// Whether every pivot is above `least` times the largest diagonal entry.
fn pivots_above(a: &Array2<f64>, least: f64) -> bool {
    let scale = a.diag().iter().copied().fold(0.0, f64::max);
    pivots(a).iter().all(|pivot| pivot / scale > least)
}

fn check_rates(q: &Array2<f64>, max_rate: f64) -> Result<(), TestCaseError> {
    for ((i, j), &rate) in q.indexed_iter() {
        let in_range = if i == j { rate <= 0.0 } else { (0.0..=max_rate).contains(&rate) };
        prop_assert!(in_range);
    }
    for (i, row) in q.rows().into_iter().enumerate() {
        prop_assert!(row.sum().abs() <= 1e-14 * row[i].abs());
    }
    Ok(())
}

/// Cases follow from their number alone, however often they are drawn.
#[test]
fn cases_are_those_of_their_seed() {
    let drawn = |n| {
        let mut runner = TestRunner::new(cases(n, 1));
        let mut next = || any::<u64>().new_tree(&mut runner).unwrap().current();
        [next(), next(), next()]
    };
    assert_eq!(drawn(1), drawn(1));
    assert_ne!(drawn(1), drawn(2));
    let count = std::cell::Cell::new(0);
    let counted = |_| {
        count.set(count.get() + 1);
        Ok(())
    };
    TestRunner::new(cases(1, 17)).run(&any::<u64>(), counted).unwrap();
    assert_eq!(count.get(), 17);
}

proptest! {
    #![proptest_config(cases(9030, 256))]

    #[test]
    fn time_grids(grid in time_grid(-1e3, -999.0, 100)) {
        prop_assert!(grid.len() >= 2 && grid.len() <= 101);
        prop_assert!(grid.windows(2).all(|pair| pair[0] < pair[1]));
        prop_assert_eq!((grid[0], grid[grid.len() - 1]), (-1e3, -999.0));
    }

    #[test]
    fn covariances(a in (1_usize..7).prop_flat_map(|d| covariance(d, 1e6))) {
        prop_assert_eq!(&a, &a.t());
        // A pivot is at least the smallest eigenvalue, and the largest diagonal entry at most the largest.
        prop_assert!(pivots_above(&a, 0.99e-6));
    }

    #[test]
    fn near_singular_covariances(a in (2_usize..6).prop_flat_map(near_singular_covariance)) {
        prop_assert_eq!(&a, &a.t());
        prop_assert!(pivots_above(&a, 0.0));
    }

    #[test]
    fn near_singular_condition_numbers(a in near_singular_covariance(2)) {
        // Trace t, determinant p: the eigenvalues' ratio is t²/p - 2 where it is large.
        let condition = a.diag().sum().powi(2) / pivots(&a).iter().product::<f64>();
        prop_assert!((0.99e8..1.01e12).contains(&condition), "{condition:e}");
    }

    #[test]
    fn probability_vectors(p in (1_usize..30).prop_flat_map(probabilities)) {
        prop_assert!(p.iter().all(|&p| p > 0.0 && p <= 1.0));
        prop_assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-14);
    }

    #[test]
    fn mixtures(m in mixture(4, 3, 5.0, 100.0)) {
        let k = m.weights.len();
        prop_assert_eq!((m.means.dim(), m.covariances.len()), ((k, 3), k));
        prop_assert!(m.means.iter().all(|x| x.abs() <= 5.0));
        prop_assert!(m.covariances.iter().all(|c| c.dim() == (3, 3) && pivots_above(c, 0.0)));
    }

    #[test]
    fn rate_matrices(q in (1_usize..8).prop_flat_map(|n| rate_matrix(n, 3.0))) {
        check_rates(&q, 3.0)?;
    }

    #[test]
    fn reversible_rate_matrices((q, law) in (1_usize..8).prop_flat_map(|n| reversible_rate_matrix(n, 3.0))) {
        check_rates(&q, 3.0)?;
        for ((i, j), &rate) in q.indexed_iter() {
            prop_assert!(i == j || rate > 0.0);
            let (flow, back) = (law[i] * rate, law[j] * q[[j, i]]);
            prop_assert!((flow - back).abs() <= 1e-14 * flow.abs());
        }
    }
}

#[test]
fn the_hard_cases_are_reached() {
    // In 200 draws of a fixed generator.
    let mut runner = TestRunner::deterministic();
    let (mut first, mut last, mut ill_conditioned) = (false, false, false);
    for _ in 0..200 {
        let grid = time_grid(0.0, 1.0, 20).new_tree(&mut runner).unwrap().current();
        first |= grid[1] < 1e-4;
        last |= 1.0 - grid[grid.len() - 2] < 1e-4;
        let a = covariance(2, 1e9).new_tree(&mut runner).unwrap().current();
        ill_conditioned |= a.diag().sum().powi(2) / pivots(&a).iter().product::<f64>() > 0.99e9;
    }
    assert!(first && last && ill_conditioned);
}

/// What a process prints of its seeds, with the shift that it is given.
fn seeds_with(shift: Option<&str>) -> String {
    let mut process = Command::new(std::env::current_exe().expect("a path"));
    process
        .args(["--exact", "strategies::prints_its_seeds", "--ignored", "--nocapture"])
        .env_remove("GIRSANOV_SEED_SHIFT");
    shift.into_iter().for_each(|shift| {
        process.env("GIRSANOV_SEED_SHIFT", shift);
    });
    let output = process.output().expect("this program runs again");
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.success(), shift != Some("five"), "{text}");
    text
}

#[test]
#[ignore = "what `seeds_with` runs"]
fn prints_its_seeds() {
    println!("{} {:?}", verify::seed(7), cases(7, 1).rng_seed);
}

#[test]
fn the_shift_moves_seeds_and_cases_alike() {
    assert!(seeds_with(None).contains("7 Fixed(7)"));
    assert!(seeds_with(Some("5")).contains("12 Fixed(12)"));
    assert!(seeds_with(Some(&(u64::MAX - 1).to_string())).contains("5 Fixed(5)"));
    assert!(seeds_with(Some("five")).contains("GIRSANOV_SEED_SHIFT is \"five\""));
}
