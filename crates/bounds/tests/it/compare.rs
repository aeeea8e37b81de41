//! The table of bounds: which apply, in which order, and that each bounds.

use crate::grids::{geometric_v, printed, ramp, two_phase};
use bounds::curve::{ErrorCurve, ScalarMixtureCurve};
use bounds::terms::Scheme;
use bounds::theorem::{Comparison, Problem, compare, sharp_grid_bound};
use numeric::{Error, TimeGrid};

fn schemes() -> Vec<Scheme> {
    vec![
        Scheme::FrozenScore,
        Scheme::ExponentialIntegrator,
        Scheme::FrozenRelativeScore,
        Scheme::FrozenDenoiser,
        Scheme::GaussianPrior(0.5),
        Scheme::EulerMaruyama,
        Scheme::LocallyMomentMatched,
    ]
}

fn names(comparison: &Comparison) -> Vec<(&str, &str)> {
    comparison.rows.iter().map(|row| (row.scheme.as_str(), row.name)).collect()
}

/// Initialisation, path of S, Fisher, paper's route, sharp grid and grid bounds, path of R and D; then the path of EM.
#[test]
fn reference_values_of_ramps() {
    let curve = ramp(8);
    let problem = Problem { curve: Some(&curve), ..Problem::new(8, schemes()) };
    let found = compare(&problem, &two_phase(3.0, 0.01, 40)).unwrap();
    for (scheme, name, expected) in [
        ("start", "relative_entropy", 3.18589235770e-06),
        ("S", "discretization", 2.51967352328e+00),
        ("S", "fisher_bound", 5.37696260132e+00),
        ("S", "paper_route_bound", 7.99227919427e+00),
        ("S", "sharp_grid_bound", 1.19256510893e+01),
        ("S", "grid_bound", 2.79821890420e+01),
        ("V", "discretization", 2.42843016062e+00),
        ("R", "discretization", 4.57493775275e-02),
        ("D", "discretization", 1.52791535930e+00),
        ("EM", "discretization", 6.77644034501e-01),
    ] {
        printed(found.get(scheme, name).unwrap().total, expected, name);
    }
    let sharp = sharp_grid_bound(8, &two_phase(3.0, 0.01, 40)).unwrap();
    assert_eq!(found.get("V", "sharp_grid_bound").unwrap().total, sharp.variance_clock);
    assert_eq!(found.least("EM").unwrap().total, found.get("EM", "discretization").unwrap().total);
    assert!(found.get("L", "discretization").unwrap().total.abs() < 1e-13);
}

#[test]
fn rows_are_sorted_and_bound_the_exact_term() {
    let coin = ScalarMixtureCurve::new(&[0.5, 0.5], &[-1.0, 1.0], &[0.0, 0.0]).unwrap();
    let smooth = ScalarMixtureCurve::new(&[0.3, 0.7], &[-1.5, 1.0], &[0.09, 0.09]).unwrap();
    // The score of the second has the slope -1/0.09 + r (1 - r) 2.5^2/0.09^2 with r in [0, 1].
    let curves: [(&dyn ErrorCurve, Option<f64>, Option<f64>); 3] =
        [(&coin, Some(2f64.ln()), None), (&smooth, None, Some(182.0)), (&ramp(3), None, Some(2.0))];
    for (curve, entropy, lipschitz) in curves {
        let problem =
            Problem { curve: Some(curve), entropy, lipschitz, ..Problem::new(curve.dim(), schemes()) };
        for grid in [two_phase(3.0, 0.02, 30), geometric_v(2.0, 0.05, 12)] {
            let found = compare(&problem, &grid).unwrap();
            for row in &found.rows {
                let exact = if row.scheme == "start" { "relative_entropy" } else { "discretization" };
                let least = found.get(&row.scheme, exact).unwrap().total;
                assert!(row.total >= least * (1.0 - 1e-12), "{row:?} {least}");
            }
            let mut sorted = names(&found);
            sorted.sort_by_key(|&(scheme, name)| (scheme != "start", scheme, name));
            assert_eq!(names(&found), sorted);
        }
    }
}

#[test]
fn what_is_not_known_is_left_out() {
    let grid = two_phase(3.0, 0.02, 30);
    let of_dimension = compare(&Problem::new(4, schemes()), &grid).unwrap();
    let expected = [
        ("S", "grid_bound"),
        ("S", "kappa_bound"),
        ("S", "sharp_grid_bound"),
        ("V", "grid_bound"),
        ("V", "sharp_grid_bound"),
    ];
    assert_eq!(names(&of_dimension), expected);

    let known = Problem {
        second_moment: Some(5.0),
        total_variance: Some(4.0),
        lipschitz: Some(2.0),
        fisher: Some(6.0),
        relative_fisher: Some(3.0),
        relative_entropy: Some(1.0),
        entropy: Some(2.0),
        ..Problem::new(4, schemes())
    };
    let found = compare(&known, &grid).unwrap();
    let expected = [
        ("start", "log_sobolev_decay"),
        ("start", "moment_initial_bound"),
        ("D", "discrete_denoiser_bound"),
        ("R", "conforti_bound"),
        ("S", "grid_bound"),
        ("S", "kappa_bound"),
        ("S", "lipschitz_bound"),
        ("S", "paper_kappa_bound"),
        ("S", "sharp_grid_bound"),
        ("V", "grid_bound"),
        ("V", "lipschitz_bound"),
        ("V", "sharp_grid_bound"),
    ];
    assert_eq!(names(&found), expected);

    // Without early stopping.
    let found = compare(&known, &TimeGrid::uniform(2.0, 0.0, 30).unwrap()).unwrap();
    let expected = [
        ("start", "log_sobolev_decay"),
        ("start", "moment_initial_bound"),
        ("R", "conforti_bound"),
        ("S", "finite_fisher_bound"),
        ("S", "lipschitz_bound"),
        ("V", "finite_fisher_bound"),
        ("V", "lipschitz_bound"),
    ];
    assert_eq!(names(&found), expected);
    // The curve of atoms has no Fisher information: the row is not finite, and not there.
    let coin = ScalarMixtureCurve::new(&[0.5, 0.5], &[-1.0, 1.0], &[0.0, 0.0]).unwrap();
    let problem = Problem { curve: Some(&coin), ..Problem::new(1, vec![Scheme::FrozenRelativeScore]) };
    let found = compare(&problem, &TimeGrid::uniform(2.0, 0.0, 30).unwrap()).unwrap();
    assert_eq!(names(&found), [("start", "moment_initial_bound"), ("start", "relative_entropy")]);
}

#[test]
fn table() {
    let curve = ramp(3);
    let problem = Problem { curve: Some(&curve), ..Problem::new(3, vec![Scheme::FrozenDenoiser]) };
    let found = compare(&problem, &two_phase(3.0, 0.01, 40)).unwrap();
    let printed = found.to_string();
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines[0], "scheme  bound                         nats  terms; needs");
    // e^{-6}/2 of the second moment 3, and 3/2 (-x - log(1 - x)) at x = e^{-6}.
    assert_eq!(lines[1], "start   moment_initial_bound    3.72274e-3  initial 3.7227e-3; second moment");
    assert_eq!(lines.len(), found.rows.len() + 2);
    assert!(lines.last().unwrap().starts_with("Sorted by letter and name."));
}

#[test]
fn refused() {
    let (grid, curve) = (two_phase(3.0, 0.02, 10), ramp(3));
    let good = || Problem::new(3, schemes());
    assert!(compare(&good(), &grid).is_ok());
    let wrong = Problem { curve: Some(&curve), ..Problem::new(4, schemes()) };
    assert!(matches!(compare(&wrong, &grid), Err(Error::Shape { parameter: "curve", .. })));
    assert!(matches!(
        compare(&Problem::new(3, vec![]), &grid),
        Err(Error::Shape { parameter: "schemes", .. })
    ));
    assert!(compare(&Problem::new(0, schemes()), &grid).is_err());
    assert!(compare(&good(), &TimeGrid::uniform(0.1, 1.0, 3).unwrap()).is_err());
    for bad in [-1.0, f64::NAN, f64::INFINITY] {
        let bad = Some(bad);
        for problem in [
            Problem { second_moment: bad, ..good() },
            Problem { total_variance: bad, ..good() },
            Problem { lipschitz: bad, ..good() },
            Problem { fisher: bad, ..good() },
            Problem { relative_fisher: bad, ..good() },
            Problem { relative_entropy: bad, ..good() },
            Problem { entropy: bad, ..good() },
        ] {
            assert!(matches!(compare(&problem, &grid), Err(Error::Domain { .. })), "{problem:?}");
        }
    }
}
