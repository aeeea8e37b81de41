//! Rates, applications, stationary laws, detailed balance, spectra.

use ctmc::{
    BirthDeath, Dense, DiscretisedGaussian, Generator, Refresh, Sparse, Spectral, detailed_balance_defect,
};
use numeric::Error;
use numeric::ndarray::{Array1, Array2, array};
use proptest::prelude::*;

use crate::{assert_near, cyclic};

/// One of each kind.
fn all() -> Vec<(&'static str, Box<dyn Generator>)> {
    let sparse = Sparse::new(4, [(3, 0, 0.5), (0, 2, 1.0), (2, 3, 0.25), (2, 1, 3.0), (1, 0, 2.0)]).unwrap();
    vec![
        ("dense", Box::new(cyclic())),
        ("sparse", Box::new(sparse)),
        ("birth-death", Box::new(BirthDeath::new(vec![1.0, 2.0, 0.5], vec![0.3, 0.7, 4.0]).unwrap())),
        ("uniform", Box::new(Refresh::uniform(5, 0.4).unwrap())),
        ("absorbing", Box::new(Refresh::absorbing(4, 1, 0.9).unwrap())),
        ("law", Box::new(Refresh::new(&[0.5, 0.0, 0.3, 0.2], 1.5).unwrap())),
        ("bit", Box::new(Refresh::two_state(1.0, 3.0).unwrap())),
        ("one-way bit", Box::new(Refresh::two_state(2.0, 0.0).unwrap())),
        ("gaussian", Box::new(DiscretisedGaussian::new(7, 2.5, 2.0, 1.5).unwrap())),
    ]
}

#[test]
fn every_view_of_a_generator_is_the_same_matrix() {
    for (name, q) in all() {
        let (q, n) = (q.as_ref(), q.states());
        let matrix = q.to_matrix();
        for i in 0..n as u32 {
            assert_near(matrix.row(i as usize).sum(), 0.0, 1e-15);
            assert_eq!(q.exit_rate(i), -q.rate(i, i), "{name}");
            let mut visited = vec![];
            q.for_each_rate(i, &mut |j, rate| visited.push((j, rate)));
            assert!(visited.is_sorted_by(|a, b| a.0 < b.0), "{name}: {visited:?}");
            for j in (0..n as u32).filter(|&j| j != i) {
                assert_eq!(matrix[[i as usize, j as usize]], q.rate(i, j), "{name}");
                assert!(q.rate(i, j) >= 0.0);
                assert_eq!(visited.contains(&(j, q.rate(i, j))), q.rate(i, j) > 0.0, "{name}");
            }
        }
        let vector: Array1<f64> = (0..n).map(|i| (i as f64 + 1.0).sin()).collect();
        let (mut row, mut column) = (vec![0.0; n], vec![0.0; n]);
        q.apply_row_into(vector.as_slice().unwrap(), &mut row);
        q.apply_column_into(vector.as_slice().unwrap(), &mut column);
        for (found, exact) in
            row.iter().zip(vector.dot(&matrix)).chain(column.iter().zip(matrix.dot(&vector)))
        {
            assert!((found - exact).abs() < 2e-15, "{name}: {found} {exact}");
        }
        let greatest = matrix.diag().iter().fold(0.0, |greatest: f64, r| greatest.max(-r));
        assert_eq!(q.max_exit_rate(), greatest);
    }
}

#[test]
fn destinations_have_the_probabilities_of_the_rates() {
    // On a fine grid of u each destination gets its share, to one cell.
    const CELLS: u32 = 10_000;
    for (name, q) in all() {
        for from in 0..q.states() as u32 {
            if q.exit_rate(from) == 0.0 {
                continue;
            }
            let mut counts = vec![0; q.states()];
            for cell in 0..CELLS {
                counts[q.destination(from, (f64::from(cell) + 0.5) / f64::from(CELLS)) as usize] += 1;
            }
            for (to, &count) in (0..).zip(&counts) {
                let share = if to == from { 0.0 } else { q.rate(from, to) / q.exit_rate(from) };
                let error = f64::from(count) - share * f64::from(CELLS);
                assert!(error.abs() <= 1.0 && (share > 0.0 || count == 0), "{name}: {from} to {to}, {count}");
            }
            let last = (0..q.states() as u32).rev().find(|&to| to != from && q.rate(from, to) > 0.0);
            assert_eq!(Some(q.destination(from, 1.0 - f64::EPSILON / 2.0)), last, "{name}");
        }
    }
}

#[test]
fn stationary_laws() {
    let law = cyclic().stationary().unwrap();
    for (found, exact) in law.iter().zip([9.0, 14.0, 10.0]) {
        assert_near(*found, exact / 33.0, 1e-16);
    }
    for (name, q) in all() {
        let Ok(law) = q.stationary() else { continue };
        let mut change = vec![0.0; law.len()];
        q.apply_row_into(&law, &mut change);
        assert!(change.iter().all(|c| c.abs() < 1e-15), "{name}: {change:?}");
        assert_near(law.iter().sum(), 1.0, 1e-15);
    }
    // The closed form of a birth–death chain against the elimination, over 280 orders of magnitude.
    let steep = BirthDeath::new(vec![1.0; 14], vec![1e-20; 14]).unwrap();
    let closed = steep.stationary().unwrap();
    let eliminated = Dense::new(&steep.to_matrix()).unwrap().stationary().unwrap();
    for (a, b) in closed.iter().zip(&eliminated) {
        assert_near(a / b, 1.0, 1e-12);
    }
}

#[test]
fn chains_without_a_unique_law_are_refused() {
    let apart = Dense::new(&array![[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]).unwrap();
    assert!(matches!(apart.stationary(), Err(Error::Unsupported { .. })));
    let one_way = BirthDeath::new(vec![1.0], vec![0.0]).unwrap();
    assert!(matches!(one_way.stationary(), Err(Error::Unsupported { .. })));
    assert!(matches!(Spectral::new(&cyclic()), Err(Error::Unsupported { .. })));
    assert!(matches!(Spectral::new(&Refresh::absorbing(3, 0, 1.0).unwrap()), Err(Error::Unsupported { .. })));
}

#[test]
fn bad_input_is_named() {
    let message = |error: Error| error.to_string();
    let one = "`states` is 1; expected at least 2 states, and below 2^32";
    assert_eq!(message(Dense::new(&array![[0.0]]).unwrap_err()), one);
    assert_eq!(message(Sparse::new(1, []).unwrap_err()), one);
    assert_eq!(message(BirthDeath::new(vec![], vec![]).unwrap_err()), one);
    assert_eq!(message(Refresh::uniform(1, 1.0).unwrap_err()), one);
    assert_eq!(message(Refresh::new(&[1.0], 1.0).unwrap_err()), one);
    assert_eq!(message(DiscretisedGaussian::new(1, 0.0, 1.0, 1.0).unwrap_err()), one);
    for bad in [-1.0, f64::NAN, f64::INFINITY] {
        assert!(Dense::new(&array![[0.0, bad], [1.0, 0.0]]).is_err());
        assert!(Sparse::new(2, [(0, 1, bad)]).is_err());
        assert!(BirthDeath::new(vec![bad], vec![1.0]).is_err());
        assert!(BirthDeath::new(vec![1.0], vec![bad]).is_err());
        assert!(Refresh::uniform(3, bad).is_err());
        assert!(Refresh::two_state(bad, 1.0).is_err());
        assert!(Refresh::new(&[bad, 1.0], 1.0).is_err());
        assert!(DiscretisedGaussian::new(3, 1.0, bad, 1.0).is_err());
        assert!(DiscretisedGaussian::new(3, 1.0, 1.0, bad).is_err());
    }
    assert!(Dense::new(&array![[0.0, f64::MAX, f64::MAX], [0.0; 3], [0.0; 3]]).is_err());
    assert!(Dense::new(&Array2::zeros((2, 3))).is_err());
    assert!(Refresh::two_state(0.0, 0.0).is_err());
    assert!(Refresh::absorbing(3, 3, 1.0).is_err());
    assert!(Sparse::new(2, [(0, 0, 1.0)]).is_err());
    assert!(Sparse::new(2, [(0, 2, 1.0)]).is_err());
    assert!(Sparse::new(2, [(2, 0, 1.0)]).is_err());
    assert!(Sparse::new(2, [(0, 1, 1.0), (1, 0, 1.0), (0, 1, 1.0)]).is_err());
    assert!(detailed_balance_defect(&cyclic(), &[0.5, 0.5]).is_err());
    assert!(detailed_balance_defect(&cyclic(), &[0.5, f64::NAN, 0.5]).is_err());
}

#[test]
fn discretised_gaussian_of_the_paper() {
    let q = DiscretisedGaussian::new(8, 3.0, 4.0, 2.0).unwrap();
    let law = [
        0.110685647067,
        0.129404631713,
        0.142123184097,
        0.146634658245,
        0.142123184097,
        0.129404631713,
        0.110685647067,
        0.0889384160019,
    ];
    let rows = [
        (
            0,
            [
                -2.27244895163,
                1.0,
                0.778800783071,
                0.367879441171,
                0.105399224562,
                0.0183156388887,
                0.00193045413623,
                0.000123409804087,
            ],
        ),
        (
            4,
            [
                0.0820849986239,
                0.334958042925,
                0.778800783071,
                1.0317434075,
                -3.97484132496,
                0.91051036138,
                0.606530659713,
                0.230213071747,
            ],
        ),
        (
            7,
            [
                0.000153585982681,
                0.00193045413623,
                0.0183156388887,
                0.105399224562,
                0.367879441171,
                0.778800783071,
                1.0,
                -2.27247912781,
            ],
        ),
    ];
    let eigenvalues = [
        0.0,
        -1.27533451335,
        -2.68271851001,
        -3.55376587746,
        -4.05894416795,
        -4.59505495616,
        -4.91283678884,
        -5.06202437031,
    ];
    for (found, exact) in q.stationary().unwrap().iter().zip(law) {
        assert_near(*found, exact, 1e-12);
    }
    for (row, exact) in rows {
        for (to, exact) in (0..).zip(exact) {
            assert_near(q.rate(row, to), exact, 1e-11);
        }
    }
    for (found, exact) in Spectral::new(&q).unwrap().eigenvalues().iter().zip(eigenvalues) {
        assert_near(*found, exact, 1e-11);
    }
}

#[test]
fn detailed_balance_of_the_reversible_kinds() {
    let images = DiscretisedGaussian::new(256, 127.0, 512.0, 6.0).unwrap();
    let odd = DiscretisedGaussian::new(9, 1.5, 0.7, 2.0).unwrap();
    let queue = BirthDeath::new(vec![1.0, 7.0, 1e-3], vec![0.3, 1e4, 2.0]).unwrap();
    let uniform = Refresh::uniform(6, 0.3).unwrap();
    let law = Refresh::new(&[0.5, 1e-9, 0.5 - 1e-9], 2.0).unwrap();
    let kinds: [(&dyn Generator, f64); 5] =
        [(&images, 1e-14), (&odd, 1e-14), (&queue, 1e-14), (&uniform, 0.0), (&law, 1e-15)];
    for (q, most) in kinds {
        let defect = detailed_balance_defect(q, &q.stationary().unwrap()).unwrap();
        assert!(defect <= most, "{defect}");
    }
    let defect = detailed_balance_defect(&cyclic(), &cyclic().stationary().unwrap()).unwrap();
    assert_near(defect, 1.0 - 3.5 / 9.0, 1e-14); // the pair 0, 1: 9/33 there, 14/33 · 1/4 back
}

#[test]
fn spectra_in_closed_form() {
    for (states, rate) in [(2, 1.0), (5, 1.0), (100, 0.37)] {
        let spectrum = Spectral::new(&BirthDeath::constant(states, rate).unwrap()).unwrap();
        for (k, found) in spectrum.eigenvalues().iter().enumerate() {
            let half = 0.5 * std::f64::consts::PI * k as f64 / states as f64;
            assert_near(*found, -4.0 * rate * half.sin().powi(2), 1e-13);
        }
        let uniform = Spectral::new(&Refresh::uniform(states, rate).unwrap()).unwrap();
        for found in &uniform.eigenvalues()[1..] {
            assert_near(*found, -rate * states as f64, 1e-12);
        }
    }
    let bit = Spectral::new(&Refresh::two_state(1.0, 3.0).unwrap()).unwrap();
    assert_near(bit.gap(), 4.0, 1e-14);
}

proptest! {
    #![proptest_config(verify::strategy::cases(9014, 256))]

    #[test]
    fn the_elimination_finds_the_law_of_reversible_chains(
        (rates, law) in (2_usize..12).prop_flat_map(|n| verify::strategy::reversible_rate_matrix(n, 1e3))
    ) {
        let q = Dense::new(&rates).unwrap();
        for (found, exact) in q.stationary().unwrap().iter().zip(&law) {
            prop_assert!((found / exact - 1.0).abs() < 1e-12, "{found} {exact}");
        }
    }
}
