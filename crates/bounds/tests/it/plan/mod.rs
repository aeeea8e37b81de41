//! Planned grids against closed forms, enumeration, random grids and the reference values of the planner.

mod best;

use bounds::curve::{Copies, ErrorCurve, GaussianCurve, Parts, ScalarMixtureCurve, TabulatedCurve};
use bounds::plan::{
    Start, early_stop, equidistribute, fewest_steps, frontier, optimal_grid, plan_for_any_data, rank, split,
};
use bounds::terms::{Scheme, discretization, discretization_steps};
use bounds::theorem::grid_bound;
use numeric::{Error, Noise, TimeGrid};

use crate::grids::{geometric_v, printed, two_phase};

fn all_schemes(dim: usize) -> Vec<Scheme> {
    vec![
        Scheme::ExponentialIntegrator,
        Scheme::FrozenScore,
        Scheme::FrozenRelativeScore,
        Scheme::FrozenDenoiser,
        Scheme::GaussianPrior(0.3),
        Scheme::MomentMatched((0..dim).map(|i| 0.2 + 0.3 * i as f64).collect()),
        Scheme::EulerMaruyama,
        Scheme::LocallyMomentMatched,
    ]
}

fn mixture() -> ScalarMixtureCurve {
    ScalarMixtureCurve::new(&[0.3, 0.7], &[-1.5, 1.0], &[0.09, 0.09]).expect("a curve")
}

/// Clusters of clusters: the error falls in three steps with plateaus between them.
fn plateaus() -> ScalarMixtureCurve {
    let (mut means, mut weights) = (Vec::new(), Vec::new());
    for far in [-30.0, 30.0] {
        for middle in [-0.5, 0.5] {
            for near in [-0.004, 0.004] {
                means.push(far + middle + near);
                weights.push(0.125);
            }
        }
    }
    ScalarMixtureCurve::new(&weights, &means, &[0.0; 8]).expect("a curve")
}

/// The given uniforms on (0, 1), of one stream.
fn uniforms(seed: u64, step: u64, n: usize) -> Vec<f64> {
    let mut out = numeric::ndarray::Array2::zeros((1, n));
    Noise::new(verify::seed(seed)).uniforms_into::<f64>(&[0], step, &mut out);
    out.into_raw_vec_and_offset().0
}

#[test]
fn a_point_mass_wants_equal_ratios() {
    // d/2 Σ (r − 1 − log r) over ratios with a given product is convex in log r: least where they are equal.
    let point = GaussianCurve::new(vec![0.0; 3], 1.0).expect("a curve");
    for (steps, nodes) in [(1, 9), (7, 100), (40, 300)] {
        let plan = optimal_grid(
            &Scheme::FrozenScore,
            &point,
            &two_phase(3.0, 0.01, nodes / 2 * 2),
            Start::Fixed,
            steps,
        )
        .expect("a plan");
        let best =
            discretization(&Scheme::FrozenScore, &point, &geometric_v(3.0, 0.01, steps)).expect("a term");
        assert!((plan.discretization / best - 1.0).abs() < 1e-9, "{steps}: {} {best}", plan.discretization);
        for (node, equal) in plan.grid.nodes().iter().zip(geometric_v(3.0, 0.01, steps).nodes()) {
            assert!((node.t / equal.t - 1.0).abs() < 1e-5);
        }
    }
}

#[test]
fn fine_grids_have_the_density_of_the_theory() {
    // N · Disc_D → ¼ (∫ √(−mmse') dη)² on the best grid; on Gaussian data −mmse' = Σ (c/(1 + cη))², in d = 1 the integral
    // is log((1 + c η_N)/(1 + c η_0)).
    let curve = GaussianCurve::new(vec![2.0], 0.0).expect("a curve");
    let eta = |tau: f64| (2.0 * tau).exp_m1().recip();
    let integral = ((1.0 + 2.0 * eta(0.01)) / (1.0 + 2.0 * eta(3.0))).ln();
    let table = geometric_v(3.0, 0.01, 1200);
    let scaled = [100, 200, 400].map(|steps| {
        let plan =
            optimal_grid(&Scheme::FrozenDenoiser, &curve, &table, Start::Fixed, steps).expect("a plan");
        steps as f64 * plan.discretization / (0.25 * integral * integral)
    });
    assert!(
        (scaled[2] - 1.0).abs() < 0.01 && (scaled[2] - 1.0).abs() < 0.55 * (scaled[1] - 1.0).abs(),
        "{scaled:?}"
    );
}

#[test]
fn the_plateaus_are_there() {
    let (curve, mesh) = (plateaus(), geometric_v(3.0, 1e-7, 60));
    let mmse: Vec<f64> = mesh.nodes().iter().map(|node| curve.mmse(node.t)).collect();
    let flat = |level: f64| mmse.windows(4).any(|w| w.iter().all(|m| (m / level - 1.0).abs() < 0.03));
    assert!(flat(0.25) && flat(1.6e-5) && mmse[60] < 1e-9, "{mmse:?}");
}

#[test]
fn more_steps_never_cost_more() {
    let mesh = geometric_v(3.0, 0.01, 200);
    let curve = TabulatedCurve::of(&mixture(), &geometric_v(3.5, 0.01, 600)).expect("a table");
    for scheme in [Scheme::FrozenDenoiser, Scheme::FrozenScore, Scheme::GaussianPrior(0.3)] {
        let costs = frontier(&scheme, &curve, &mesh, Start::Fixed, 200).expect("costs");
        assert!(costs.windows(2).all(|pair| pair[1] <= pair[0] + 1e-12));
        // With as many steps as the mesh has there is one grid.
        let whole = discretization(&scheme, &curve, &mesh).expect("a term");
        assert!((costs[199] / whole - 1.0).abs() < 1e-8);
        for steps in [1, 10, 60] {
            let plan = optimal_grid(&scheme, &curve, &mesh, Start::Fixed, steps).expect("a plan");
            assert!((plan.on_mesh / costs[steps - 1] - 1.0).abs() < 1e-12);
            assert!(plan.discretization <= costs[steps - 1] * (1.0 + 1e-9));
        }
    }
}

#[test]
fn fewest_means_fewest() {
    let (mesh, curve) =
        (geometric_v(5.0, 0.01, 400), GaussianCurve::new(vec![0.5, 2.0], 0.3).expect("a curve"));
    for start in [Start::Fixed, Start::Free] {
        let plan = fewest_steps(&Scheme::FrozenDenoiser, &curve, &mesh, start, 0.2).expect("a plan");
        assert!(plan.total() <= 0.2);
        let fewer = optimal_grid(&Scheme::FrozenDenoiser, &curve, &mesh, start, plan.grid.steps() - 1)
            .expect("a plan");
        assert!(fewer.total() > 0.2);
    }
    // A horizon at which starting from noise alone costs more.
    let short = geometric_v(0.5, 0.01, 50);
    let none = fewest_steps(&Scheme::FrozenDenoiser, &curve, &short, Start::Fixed, 0.02);
    assert!(matches!(none, Err(Error::Domain { parameter: "nats", .. })));
}

#[test]
fn samplers_are_ranked_by_what_they_cost() {
    let mesh = geometric_v(3.0, 0.01, 200);
    let curve = mixture();
    let table = TabulatedCurve::of(&curve, &mesh).expect("a table");
    let ranked = rank(&all_schemes(1)[..7], &table, &mesh, Start::Fixed, 25).expect("plans");
    assert_eq!(ranked.len(), 7);
    assert!(ranked.windows(2).all(|pair| pair[0].1.total() <= pair[1].1.total()));
    let refused = rank(&all_schemes(1), &table, &mesh, Start::Fixed, 25);
    assert!(matches!(refused, Err(Error::Unsupported { method: "LocallyMomentMatched", .. })));
    // Of the second order, hence best where it is known; here on a coarse mesh, as it costs a quadrature each time.
    let coarse = geometric_v(3.0, 0.01, 60);
    let local =
        optimal_grid(&Scheme::LocallyMomentMatched, &curve, &coarse, Start::Fixed, 25).expect("a plan");
    assert!(local.discretization < 0.5 * ranked[0].1.discretization);
    assert!(
        local.discretization
            < discretization(&Scheme::LocallyMomentMatched, &curve, &geometric_v(3.0, 0.01, 25))
                .expect("a term")
    );
}

#[test]
fn directions_and_copies_are_planned_alike() {
    let mesh = geometric_v(3.0, 0.01, 200);
    let variances = [0.1, 1.0, 5.0];
    let whole = GaussianCurve::new(variances.to_vec(), 0.0).expect("a curve");
    let part = |c: f64| {
        TabulatedCurve::of(&GaussianCurve::new(vec![c], 0.0).expect("a curve"), &mesh).expect("a table")
    };
    let parts = Parts::new(variances.map(part).to_vec()).expect("parts");
    let scheme = Scheme::MomentMatched(vec![0.2, 0.7, 4.0]);
    let [a, b] = [&whole as &dyn ErrorCurve, &parts]
        .map(|curve| optimal_grid(&scheme, curve, &mesh, Start::Fixed, 12).expect("a plan"));
    assert!(
        (a.on_mesh / b.on_mesh - 1.0).abs() < 1e-8
            && (a.discretization / b.discretization - 1.0).abs() < 1e-8
    );
    let copies = Copies { curve: mixture(), copies: 1000 };
    let [one, many] = [&mixture() as &dyn ErrorCurve, &copies].map(|curve| {
        optimal_grid(&Scheme::FrozenDenoiser, curve, &geometric_v(3.0, 0.05, 60), Start::Fixed, 9)
            .expect("a plan")
    });
    assert!((many.discretization / one.discretization / 1000.0 - 1.0).abs() < 1e-9);
}

#[test]
fn measured_costs_make_a_grid_of_equal_ones() {
    let curve = mixture();
    let usual = two_phase(3.0, 0.02, 60);
    let costs = discretization_steps(&Scheme::LocallyMomentMatched, &curve, &usual).expect("costs");
    let planned = equidistribute(&usual, &costs, 3.0, 60).expect("a grid");
    let steps = discretization_steps(&Scheme::LocallyMomentMatched, &curve, &planned).expect("costs");
    let (sum, most) = (steps.iter().sum::<f64>(), steps.iter().copied().fold(0.0, f64::max));
    assert!(sum < 0.7 * costs.iter().sum::<f64>() && most < 2.5 * sum / 60.0, "{sum} {most}");
    for bad in [-1.0, f64::NAN, f64::INFINITY] {
        let mut wrong = costs.clone();
        wrong[3] = bad;
        assert!(
            equidistribute(&usual, &wrong, 3.0, 60).is_err()
                && equidistribute(&usual, &costs, bad, 60).is_err()
        );
    }
    assert!(
        equidistribute(&usual, &costs[1..], 3.0, 60).is_err()
            && equidistribute(&usual, &[0.0; 60], 3.0, 60).is_err()
    );
    assert!(
        equidistribute(&usual, &costs, 3.0, 0).is_err() && equidistribute(&usual, &costs, 1.0, 60).is_err()
    );
    assert_eq!(equidistribute(&usual, &costs, 3.0, 1).expect("a grid").steps(), 1);
}

#[test]
#[expect(clippy::approx_constant, reason = "a row of the table has ln 10 as its horizon")]
fn plans_for_any_data_are_those_of_the_table() {
    // d, ε², δ, T, ρ, N, initialisation and discretisation: on the grid, and in closed form.
    let rows = [
        (1, 0.1, 0.01, 2.302585092994, 1.89386713680e-02, 453, 9.49894291386e-02, 9.50053149295e-02),
        (8, 0.1, 0.01, 3.342305863834, 1.94192424412e-03, 5457, 9.49896482040e-02, 9.49908976160e-02),
        (8, 0.01, 0.01, 4.493598410331, 1.61996380541e-04, 79571, 9.49995850813e-03, 9.49996709696e-03),
        (64, 0.1, 0.0001, 4.382026634674, 1.53847394683e-04, 112_335, 9.49996629384e-02, 9.49997261366e-02),
        (
            3072,
            0.1,
            0.0001,
            6.317627140128,
            2.64503576079e-06,
            7_997_009,
            9.49999963123e-02,
            9.49999972076e-02,
        ),
    ];
    for (d, nats, stop, horizon, rho, steps, on_grid, closed) in rows {
        let plan = plan_for_any_data(d, d as f64, nats, 0.1, stop).expect("a plan");
        assert_eq!(plan.steps, steps);
        printed(plan.horizon, horizon, "T");
        printed(plan.rho, rho, "rho");
        // The table counts the initialisation by its sharper second form.
        let kept = (-2.0 * plan.horizon).exp();
        let initial = 0.5 * kept * d as f64 + d as f64 * kept * kept / (4.0 * (1.0 - kept));
        // The table's (v_0/v_N)^{1/N} − 1 has lost N/Λ ulps: in 40 digits its third row ends in …96798546.
        let rounding = 1e-11 + 5e-16 * steps as f64;
        assert!(((plan.discretization + initial) / closed - 1.0).abs() < rounding, "{d} {nats}");
        if d < 3072 {
            let bound = grid_bound(d, &plan.grid().expect("a grid")).expect("a bound");
            assert!((bound.total() + initial) / on_grid - 1.0 < 1e-9, "{d}");
            assert!((bound.total() + initial) / on_grid - 1.0 > -1e-9, "{d}: {}", bound.total() + initial);
        }
        assert!(plan.total() <= nats);
    }
}

#[test]
fn bad_plans_are_refused() {
    let (mesh, curve) = (geometric_v(3.0, 0.1, 10), mixture());
    let scheme = Scheme::FrozenDenoiser;
    for steps in [0, 11] {
        assert!(matches!(
            optimal_grid(&scheme, &curve, &mesh, Start::Fixed, steps),
            Err(Error::Domain { parameter: "steps", .. })
        ));
        assert!(frontier(&scheme, &curve, &mesh, Start::Fixed, steps).is_err());
    }
    assert!(optimal_grid(&Scheme::GaussianPrior(f64::NAN), &curve, &mesh, Start::Fixed, 3).is_err());
    assert!(optimal_grid(&Scheme::MomentMatched(vec![1.0; 2]), &curve, &mesh, Start::Fixed, 3).is_err());
    let table = TabulatedCurve::of(&curve, &geometric_v(3.0, 0.2, 10)).expect("a table");
    assert!(matches!(
        optimal_grid(&scheme, &table, &mesh, Start::Fixed, 3),
        Err(Error::Domain { parameter: "early_stop", .. })
    ));
    for nats in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(fewest_steps(&scheme, &curve, &mesh, Start::Fixed, nats).is_err());
    }
    let ascending = mesh.reversed();
    assert!(optimal_grid(&scheme, &curve, &ascending, Start::Fixed, 3).is_err());
    // One step, one node of the mesh: nothing to choose.
    let one = TimeGrid::from_nodes(vec![1.0, 0.1]).expect("a grid");
    assert_eq!(optimal_grid(&scheme, &curve, &one, Start::Free, 1).expect("a plan").grid, one);
}

#[test]
fn nothing_to_gain_is_a_plan_too() {
    // The scheme is exact: what is left is rounding, of either sign.
    let (mesh, exact) =
        (geometric_v(4.0, 1e-3, 500), GaussianCurve::new(vec![0.7; 5], 0.0).expect("a curve"));
    let table = TabulatedCurve::of(&exact, &mesh).expect("a table");
    for steps in [1, 7, 60] {
        for start in [Start::Fixed, Start::Free] {
            let plan =
                optimal_grid(&Scheme::GaussianPrior(0.7), &table, &mesh, start, steps).expect("a plan");
            assert!(plan.discretization.abs() < 1e-12 && plan.grid.first().t <= 4.0);
        }
    }
    let plan = fewest_steps(&Scheme::GaussianPrior(0.7), &table, &mesh, Start::Free, 1e-5).expect("a plan");
    assert!(plan.grid.steps() == 1 && plan.total() <= 1e-5);
}

#[test]
fn plans_reach_into_the_least_noise() {
    // With a direction without data S costs as much at every scale: down to 1e-12 its best grid is all but geometric.
    let curve = GaussianCurve::new(vec![0.0, 1.0], 0.0).expect("a curve");
    let (horizon, stop, steps) = (4.0, 1e-12, 90);
    let mesh = geometric_v(horizon, stop, 900);
    for scheme in [Scheme::ExponentialIntegrator, Scheme::EulerMaruyama, Scheme::FrozenRelativeScore] {
        let plan = optimal_grid(&scheme, &curve, &mesh, Start::Fixed, steps).expect("a plan");
        let usual = discretization(&scheme, &curve, &geometric_v(horizon, stop, steps)).expect("a term");
        assert!(
            plan.discretization < usual && plan.discretization > 0.8 * usual,
            "{scheme:?}: {plan:?} {usual}"
        );
        assert!((plan.on_mesh / plan.discretization - 1.0).abs() < 1e-2, "{scheme:?}");
    }
}

#[test]
fn a_table_ends_where_it_ends() {
    let table = TabulatedCurve::of(&mixture(), &geometric_v(3.0, 0.1, 30)).expect("a table");
    let beyond = geometric_v(3.0, 0.05, 10);
    assert!(discretization(&Scheme::FrozenDenoiser, &table, &beyond).is_err());
    assert!(bounds::theorem::fisher_bound(&table, &beyond).is_err());
    assert!(bounds::theorem::denoiser_bound(&table, &beyond).is_err());
    assert!(bounds::theorem::paper_route_bound(&table, &beyond).is_err());
    assert!(bounds::theorem::relative_score_bound(&table, &beyond).is_err());
    assert!(bounds::terms::score_term(&Scheme::FrozenDenoiser, &table, &beyond, &[0.1; 10]).is_err());
}

#[test]
fn a_split_keeps_both_promises_with_the_fewest_steps() {
    let curve = GaussianCurve::new(vec![0.05, 0.5, 3.0], 1.0).expect("a curve");
    for (w2, nats) in [(0.5, 0.3), (0.1, 0.3), (0.1, 0.1)] {
        let plan = split(&Scheme::GaussianPrior(0.5), &curve, w2, nats, 500).expect("a plan");
        assert_eq!(plan.grid.last().t, early_stop(3, 4.55, w2).expect("a stop"));
        assert!(plan.total() <= nats);
        // No start between little and much noise does with one step fewer.
        let fewer = plan.grid.steps() - 1;
        for start in [0.5, 0.75, 1.0, 1.25, 1.5].map(|f| f * plan.grid.first().t) {
            let mesh = geometric_v(start, plan.grid.last().t, 500);
            let other = optimal_grid(&Scheme::GaussianPrior(0.5), &curve, &mesh, Start::Fixed, fewer)
                .expect("a plan");
            assert!(other.total() > nats, "{w2} {nats} {start}");
        }
    }
    for bad in [0.0, -1.0, f64::NAN] {
        assert!(split(&Scheme::FrozenDenoiser, &curve, bad, 0.1, 100).is_err());
        assert!(split(&Scheme::FrozenDenoiser, &curve, 0.1, bad, 100).is_err());
    }
    assert!(split(&Scheme::FrozenDenoiser, &curve, 0.1, 0.1, 0).is_err());
    assert!(split(&Scheme::FrozenDenoiser, &curve, 0.1, 1e-6, 100).is_err());
}
