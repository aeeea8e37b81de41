//! The exact terms against tables of reference numbers, computed independently in 64-bit arithmetic from the
//! closed forms (Gaussian data) and by the trapezoidal rule and density propagation (mixtures, atoms).

use crate::grids::{geometric_v, printed, ramp, two_phase};
use bounds::curve::{ErrorCurve, GaussianCurve, ScalarMixtureCurve};
use bounds::initial::{gaussian_initial, mixture_initial_bound, moment_initial_bound};
use bounds::terms::{Scheme, discretization, gaussian_sampler, score_term};
use bounds::theorem;
use numeric::TimeGrid;

const PATHS: [Scheme; 6] = [
    Scheme::ExponentialIntegrator,
    Scheme::FrozenScore,
    Scheme::FrozenRelativeScore,
    Scheme::GaussianPrior(1.0),
    Scheme::FrozenDenoiser,
    Scheme::EulerMaruyama,
];

// Columns: initialisation; of S: marginal KL, chain, path, Fisher bound, paper-route bound, sharp grid bound,
// grid bound, W2; path of V, R, G_1, D, EM. Row d: N(0, diag(2i/(d + 1))); T = 3, δ = 0.01, N = 40.
#[rustfmt::skip]
const TWO_PHASE: [[f64; 14]; 8] = [
    [0.0, 1.99484288525e-03, 2.99419709422e-01, 3.02533707951e-01, 6.43868300383e-01,
        9.70787495882e-01, 1.49070638617e+00, 3.49777363025e+00, 4.63821361809e-02, 2.91215069458e-01,
        0.0, 0.0, 2.01677789105e-01, 7.56334269876e-02],
    [3.41345247257e-07, 4.08868791406e-03, 6.07290884926e-01, 6.13537928891e-01, 1.30707178278e+00,
        1.96073294856e+00, 2.98141277233e+00, 6.99554726051e+00, 6.42088131701e-02, 5.90830813602e-01,
        3.36216168806e-03, 3.27842923963e-03, 3.95944142549e-01, 1.57183191314e-01],
    [7.68027134031e-07, 6.21872575692e-03, 9.18710402154e-01, 9.28096207341e-01, 1.97833779438e+00,
        2.95883367975e+00, 4.47211915850e+00, 1.04933208908e+01, 7.77490690829e-02, 8.93979537288e-01,
        8.52844571290e-03, 8.33600921006e-03, 5.87172085673e-01, 2.41412045564e-01],
    [1.22884370891e-06, 8.36962434554e-03, 1.23207199639e+00, 1.24459904949e+00, 2.65399355497e+00,
        3.96139085559e+00, 5.96282554467e+00, 1.39910945210e+01, 8.91464102087e-02, 1.19906362597e+00,
        1.48097181306e-02, 1.44977499259e-02, 7.76773997427e-01, 3.27170675858e-01],
    [1.70672763449e-06, 1.05350204040e-02, 1.54665359844e+00, 1.56232320690e+00, 3.33239612942e+00,
        4.96673796152e+00, 7.45353193083e+00, 1.74888681513e+01, 9.91930355720e-02, 1.50536418351e+00,
        2.18474363752e-02, 2.14102558276e-02, 9.65378995804e-01, 4.13918186701e-01],
    [2.19436433384e-06, 1.27114868698e-02, 1.86207002647e+00, 1.88088296326e+00, 4.01267260578e+00,
        5.97398776267e+00, 8.94423831700e+00, 2.09866417815e+01, 1.08285501052e-01, 1.81249747067e+00,
        2.94317046508e-02, 2.88659586481e-02, 1.15331926405e+00, 5.01356772030e-01],
    [2.68809651751e-06, 1.48968815466e-02, 2.17809208953e+00, 2.20004884983e+00, 4.69430528261e+00,
        6.98261385919e+00, 1.04349447032e+01, 2.44844154118e+01, 1.16656373215e-01, 2.12023504782e+00,
        3.74290664791e-02, 3.67326094362e-02, 1.34079012750e+00, 5.89304969241e-01],
    [3.18589235770e-06, 1.70897338905e-02, 2.49457260307e+00, 2.51967352328e+00, 5.37696260132e+00,
        7.99227919427e+00, 1.19256510893e+01, 2.79821890420e+01, 1.24456141215e-01, 2.42843016062e+00,
        4.57493775275e-02, 4.49207531964e-02, 1.52791535930e+00, 6.77644034501e-01],
];
#[rustfmt::skip]
const GEOMETRIC: [[f64; 14]; 8] = [
    [0.0, 1.03025412474e-03, 2.95407119130e-01, 2.98276746512e-01, 6.32094625278e-01,
        9.21462067513e-01, 1.35250525847e+00, 1.54192801866e+00, 3.29767636674e-02, 2.87719707455e-01,
        0.0, 0.0, 1.95228707883e-01, 7.45691866280e-02],
    [3.41345247257e-07, 2.17747179723e-03, 5.97555233805e-01, 6.03304869069e-01, 1.27885860854e+00,
        1.85742442571e+00, 2.70501051695e+00, 3.08385603732e+00, 4.61434804673e-02, 5.82151421064e-01,
        2.57338584125e-03, 2.52949154379e-03, 3.83203769562e-01, 1.53800754199e-01],
    [7.68027134031e-07, 3.38219707163e-03, 9.02677300813e-01, 9.11310220647e-01, 1.93209815469e+00,
        2.79981123610e+00, 4.05751577542e+00, 4.62578405598e+00, 5.61602189707e-02, 8.79547892727e-01,
        6.64407213600e-03, 6.54247881229e-03, 5.68109178486e-01, 2.35269586507e-01],
    [1.22884370891e-06, 4.62202393875e-03, 1.20947945369e+00, 1.22099712483e+00, 2.58899748133e+00,
        3.74583583963e+00, 5.41002103389e+00, 6.16771207464e+00, 6.45794083453e-02, 1.17862032349e+00,
        1.16809935209e-02, 1.15155347376e-02, 7.51347712948e-01, 3.18062312662e-01],
    [1.70672763449e-06, 5.88597830684e-03, 1.51736113951e+00, 1.53176434784e+00, 3.24824923846e+00,
        4.69420175958e+00, 6.76252629237e+00, 7.70964009330e+00, 7.19891226266e-02, 1.47877007191e+00,
        1.73920274820e-02, 1.71594038083e-02, 9.33555445612e-01, 4.01732254520e-01],
    [2.19436433384e-06, 7.16780666391e-03, 1.82599430450e+00, 1.84328352104e+00, 3.90913912648e+00,
        5.64419967377e+00, 8.11503155084e+00, 9.25156811196e+00, 7.86863674414e-02, 1.77966997006e+00,
        2.35999254668e-02, 2.32981615328e-02, 1.11507188394e+00, 4.86026603487e-01],
    [2.68809651751e-06, 8.46357074660e-03, 2.13518008791e+00, 2.15535561757e+00, 4.57123407098e+00,
        6.59539908633e+00, 9.46753680931e+00, 1.07934961306e+01, 8.48457567159e-02, 2.08112162509e+00,
        3.01890641485e-02, 2.98168822384e-02, 1.29609813515e+00, 5.70788034461e-01],
    [3.18589235770e-06, 9.77060724440e-03, 2.44478884103e+00, 2.46785089265e+00, 5.23425168057e+00,
        7.54751905672e+00, 1.08200420678e+01, 1.23354241493e+01, 9.05802598763e-02, 2.38299565921e+00,
        3.70798067250e-02, 3.66363321978e-02, 1.47676232218e+00, 6.55911856662e-01],
];

fn check_ramp(grid: &TimeGrid, table: &[[f64; 14]; 8]) {
    for (d, row) in (1..).zip(table) {
        let curve = ramp(d);
        let law = gaussian_sampler(&PATHS[0], &vec![0.0; d], curve.eigenvalues(), grid).expect("a law");
        let initial = gaussian_initial(curve.eigenvalues(), 0.0, 3.0).expect("valid");
        let path = |scheme| discretization(scheme, &curve, grid).expect("a term");
        let found = [
            initial,
            law.kl,
            law.chain,
            path(&PATHS[0]),
            theorem::fisher_bound(&curve, grid).expect("valid").total(),
            theorem::paper_route_bound(&curve, grid).expect("valid").total(),
            theorem::sharp_grid_bound(d, grid).expect("valid").total(),
            theorem::grid_bound(d, grid).expect("valid").total(),
            law.w2,
            path(&PATHS[1]),
            path(&PATHS[2]),
            path(&PATHS[3]),
            path(&PATHS[4]),
            path(&PATHS[5]),
        ];
        for (column, (found, expected)) in found.iter().zip(row).enumerate() {
            printed(*found, *expected, &format!("d = {d}, column {column}"));
        }
        // marginal ≤ initialisation + chain ≤ + path ≤ + each bound.
        assert!(law.kl <= initial + law.chain && law.chain <= found[3]);
        assert!(found[4..8].iter().all(|&bound| found[3] <= bound));
    }
}

#[test]
fn ramps_on_the_grid_of_the_paper() {
    let grid = two_phase(3.0, 0.01, 40);
    printed(theorem::kappa(&grid).expect("valid"), 0.258925411794, "kappa");
    printed(theorem::rho(&grid).expect("valid"), 0.639411231821, "rho");
    for (k, tau) in [(1, 2.9), (20, 1.0), (21, 0.794328234724), (39, 0.012589254118)] {
        assert!((grid.node(k).t - tau).abs() < 1e-12, "node {k}");
    }
    check_ramp(&grid, &TWO_PHASE);
}

#[test]
fn ramps_on_the_geometric_grid() {
    let grid = geometric_v(3.0, 0.01, 40);
    printed(theorem::kappa(&grid).expect("valid"), 0.277244654074, "kappa");
    printed(theorem::rho(&grid).expect("valid"), 0.280804137037, "rho");
    printed(theorem::log_ratio(&grid).expect("valid"), 40.0 * 1.280804137037f64.ln(), "log ratio");
    for (k, tau) in [(1, 2.876603844502), (20, 0.674198301070), (39, 0.012772446541)] {
        assert!((grid.node(k).t - tau).abs() < 1e-12, "node {k}");
    }
    check_ramp(&grid, &GEOMETRIC);
}

fn mixture() -> ScalarMixtureCurve {
    ScalarMixtureCurve::new(&[0.3, 0.7], &[-1.5, 1.0], &[0.09, 0.09]).expect("a curve")
}

fn atoms() -> ScalarMixtureCurve {
    ScalarMixtureCurve::new(&[0.2, 0.5, 0.3], &[-1.0, 0.25, 1.5], &[0.0; 3]).expect("a curve")
}

/// I, h, mmse, E tr Σ², E H² (where known), MI at a clock.
fn check_curve(curve: &ScalarMixtureCurve, tau: f64, expected: [f64; 6]) {
    let v = (2.0 * tau).exp_m1();
    let found = [
        curve.score_square(tau),
        curve.entropy(tau),
        curve.mmse(tau),
        curve.covariance_gap(tau, 0.0) * v * v,
        curve.covariance_gap(tau, f64::INFINITY) * ((2.0 * tau).exp() / v).powi(2),
        curve.mutual_information(tau),
    ];
    for (i, (found, expected)) in found.into_iter().zip(expected).enumerate() {
        // 12 decimals are printed.
        assert!(expected.is_nan() || (found - expected).abs() < 1.5e-12, "{tau} {i}: {found} {expected}");
    }
}

#[test]
fn curve_of_a_mixture() {
    let curve = mixture();
    #[rustfmt::skip]
    let rows = [
        (0.05, [5.368007611648, 1.156868784341, 0.051446093649, 0.003372173516, 36.058155221788, 0.914014481659]),
        (0.4, [0.988883741936, 1.482926419490, 0.558173063769, 0.518343685563, 1.431918503957, 0.362296725880]),
        (1.3, [0.971324859603, 1.433608666863, 1.256580524700, 1.677245769431, 0.944210015775, 0.053258398070]),
    ];
    for (tau, expected) in rows {
        check_curve(&curve, tau, expected);
    }
    assert!((curve.entropy(0.02) - 0.992075538114).abs() < 1e-12);
    assert!((curve.score_square(0.02) - 7.883345921070).abs() < 1.5e-12);
    assert!((curve.second_moment() - 1.465).abs() < 1e-15);
}

#[test]
fn terms_of_a_mixture() {
    let curve = mixture();
    // Paths in the order of PATHS; Fisher, sharp grid, grid and kappa bounds, information bound of D; κ and
    // ρ.
    #[rustfmt::skip]
    let columns = [
        (geometric_v(3.0, 0.02, 30), [
            4.43739422983e-01, 4.28057993866e-01, 7.44631289385e-02, 7.41256964646e-02, 1.41977557012e-01,
            1.67408237458e-01, 9.61126341646e-01, 1.57004088730e+00, 1.84624215705e+00, 6.09810622606e+00,
            3.03870815427e-01, 3.49191768436e-01, 3.58721581865e-01]),
        (two_phase(3.0, 0.02, 30), [
            4.50343053215e-01, 4.33535664254e-01, 7.50815208988e-02, 7.46161439177e-02, 1.48899972207e-01,
            1.68033388862e-01, 9.80802318221e-01, 1.66496486580e+00, 3.79997376239e+00, 4.90577709123e+00,
            6.28147984366e-01, 2.97970036552e-01, 7.41533004019e-01]),
        (geometric_v(3.0, 0.02, 60), [
            2.28178540695e-01, 2.24045943980e-01, 3.81395055877e-02, 3.80476344440e-02, 6.78550708529e-02,
            8.62943174975e-02, 4.74491213373e-01, 7.81818640132e-01, 8.49086352562e-01, 2.28374776599e+00,
            1.40314417982e-01, 1.61847995366e-01, 1.65642132846e-01]),
    ];
    for (grid, expected) in &columns {
        let mut found: Vec<f64> =
            PATHS.iter().map(|scheme| discretization(scheme, &curve, grid).expect("a term")).collect();
        found.push(theorem::fisher_bound(&curve, grid).expect("valid").total());
        found.push(theorem::sharp_grid_bound(1, grid).expect("valid").total());
        found.push(theorem::grid_bound(1, grid).expect("valid").total());
        found.push(theorem::kappa_bound(1, 0.0, grid).expect("valid").total());
        found.push(theorem::denoiser_bound(&curve, grid).expect("valid").total());
        found.push(theorem::kappa(grid).expect("valid"));
        found.push(theorem::rho(grid).expect("valid"));
        for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
            printed(*found, *expected, &format!("row {i}"));
        }
    }
    printed(curve.relative_entropy(3.0), 7.77118737969e-05, "initialisation");
    let x = (-6f64).exp();
    let second_line = 0.5 * x * 1.465 + x * x / (4.0 * (1.0 - x));
    printed(second_line, 1.81722583945e-03, "second line of the moment bound");
    let first_line = moment_initial_bound(1, 1.465, 3.0).expect("valid");
    assert!(first_line <= second_line && curve.relative_entropy(3.0) < first_line);
    let convex = mixture_initial_bound(&[0.3, 0.7], &[2.25, 1.0], &[vec![0.09], vec![0.09]], 3.0);
    let convex = convex.expect("valid");
    assert!(curve.relative_entropy(3.0) < convex && convex < first_line);
    for (prior, path) in [(0.1, 7.96731649600e-02), (0.3, 6.88767329313e-02), (1.0, 7.41256964646e-02)] {
        let found = discretization(&Scheme::GaussianPrior(prior), &curve, &columns[0].0).expect("a term");
        printed(found, path, "G_c");
        let coordinate = Scheme::MomentMatched(vec![prior]);
        assert_eq!(discretization(&coordinate, &curve, &columns[0].0).expect("a term"), found);
    }
    let term = |c| discretization(&Scheme::GaussianPrior(c), &curve, &columns[0].0).expect("a term");
    assert!(
        (term(0.3902) - 0.0684497632).abs() < 1e-9 && term(0.38) > term(0.3902) && term(0.4) > term(0.3902)
    );
}

#[test]
fn the_locally_matched_sampler_is_of_second_order() {
    let curve = mixture();
    #[rustfmt::skip]
    let rows = [
        (15, 0.3116477245, 0.0305715953), (30, 0.1419775570, 0.0098753409), (60, 0.0678550709, 0.0029312871),
        (120, 0.0331814411, 0.0008137548), (240, 0.0164086540, 0.0002158421), (480, 0.0081593549, 0.0000556991),
    ];
    assert!((curve.information_gain(3.0, 0.02) - 1.190802071763).abs() < 1e-12);
    let mut found = vec![];
    for (n, d, l) in rows {
        let grid = geometric_v(3.0, 0.02, n);
        let term = |scheme| discretization(scheme, &curve, &grid).expect("a term");
        let terms = (term(&Scheme::FrozenDenoiser), term(&Scheme::LocallyMomentMatched));
        assert!((terms.0 - d).abs() < 6e-11 && (terms.1 - l).abs() < 6e-11, "{n}: {terms:?}");
        found.push(terms);
    }
    // Twice the steps: half of Disc_D, and ever nearer to a quarter of Disc_L.
    let ratios: Vec<_> =
        found.windows(2).map(|pair| (pair[0].0 / pair[1].0, pair[0].1 / pair[1].1)).collect();
    assert!(ratios.windows(2).all(|pair| (pair[1].1 - 4.0).abs() < (pair[0].1 - 4.0).abs()), "{ratios:?}");
    let (d, l) = ratios[ratios.len() - 1];
    assert!((d.log2() - 1.0).abs() < 0.02 && (l.log2() - 2.0).abs() < 0.05, "{ratios:?}");
}

#[test]
fn atoms_in_little_noise() {
    let curve = atoms();
    let entropy = -[0.2, 0.5, 0.3].iter().map(|w: &f64| w * w.ln()).sum::<f64>();
    printed(entropy, 1.029653014065, "entropy");
    let nan = f64::NAN;
    #[rustfmt::skip]
    let curve_rows = [
        (0.05, [6.103899828595, 1.173380303919, 0.044081036999, 0.010125208311, nan, 0.930526001237]),
        (0.4, [1.123237529421, 1.362696760723, 0.467501737637, 0.227834052796, nan, 0.242067067113]),
        (1.3, [1.017719991902, 1.410157413963, 0.721272949436, 0.521490334188, nan, 0.029807145170]),
    ];
    for (tau, expected) in curve_rows {
        check_curve(&curve, tau, expected);
    }
    // ρ; paths of S and D; bounds of D by information and entropy, of S by the grid; MI(δ).
    #[rustfmt::skip]
    let rows = [
        (0.1, 42, [1.95658859460e-01, 2.34399367970e-01, 3.61945781183e-02, 7.68604745946e-02, 2.01646855888e-01,
            8.38259240418e-01, 7.20749546205e-01]),
        (0.01, 55, [1.97207012884e-01, 3.38504732519e-01, 9.84522784892e-02, 2.03004557100e-01, 2.03242389416e-01,
            1.08103271938e+00, 1.02963010315e+00]),
        (0.001, 67, [1.99920870618e-01, 4.41816620023e-01, 9.97997810410e-02, 2.05848946554e-01, 2.06039302783e-01,
            1.32704551890e+00, 1.02965301406e+00]),
    ];
    let variance = curve.total_variance();
    for (stop, steps, expected) in rows {
        let grid = geometric_v(3.0, stop, steps);
        let found = [
            theorem::rho(&grid).expect("valid"),
            discretization(&Scheme::ExponentialIntegrator, &curve, &grid).expect("a term"),
            discretization(&Scheme::FrozenDenoiser, &curve, &grid).expect("a term"),
            theorem::denoiser_bound(&curve, &grid).expect("valid").total(),
            theorem::discrete_denoiser_bound(variance, entropy, &grid).expect("valid").total(),
            theorem::grid_bound(1, &grid).expect("valid").total(),
            curve.mutual_information(stop),
        ];
        for (i, (found, expected)) in found.into_iter().zip(expected).enumerate() {
            printed(found, expected, &format!("δ = {stop}, column {i}"));
        }
        assert!(found[2] <= found[3] && found[3] <= found[4] && found[1] <= found[5]);
    }
}

#[test]
fn grid_bound_of_planned_grids() {
    // d, ε², δ; T, ρ, N; initialisation and grid bound together; the same with the closed form of the
    // integrator's part, where the second moment is d and 0.1 ε² is left to the initialisation.
    #[rustfmt::skip]
    let rows = [
        (1, 0.1, 0.01, std::f64::consts::LN_10, 1.89386713680e-02, 453, 9.49894291386e-02, 9.50053149295e-02),
        (8, 0.1, 0.01, 3.342305863834, 1.94192424412e-03, 5457, 9.49896482040e-02, 9.49908976160e-02),
        (8, 0.01, 0.01, 4.493598410331, 1.61996380541e-04, 79571, 9.49995850813e-03, 9.49996709696e-03),
        (64, 0.1, 0.0001, 4.382026634674, 1.53847394683e-04, 112335, 9.49996629384e-02, 9.49997261366e-02),
    ];
    for (d, budget, stop, horizon, planned, steps, total, closed) in rows {
        let (m2, theta) = (d as f64, 0.1);
        let horizon_found = 0.5 * ((m2 + m2) / (2.0 * theta * budget)).ln();
        assert!((horizon_found - horizon).abs() < 1e-12);
        let grid = geometric_v(horizon_found, stop, steps);
        let span = theorem::log_ratio(&grid).expect("valid");
        assert!(
            steps as f64 >= span / f64::ln_1p(planned) && ((steps - 1) as f64) < span / f64::ln_1p(planned)
        );
        let x = (-2.0 * horizon_found).exp();
        let initial = 0.5 * x * m2 + m2 * x * x / (4.0 * (1.0 - x));
        let bound = theorem::grid_bound(d, &grid).expect("valid");
        // Each of up to 10⁵ steps has a rounding error, which ρ takes relative to itself.
        assert!((initial + bound.total() - total).abs() < 2e-11 * total, "{d}: {}", initial + bound.total());
        let rho = theorem::rho(&grid).expect("valid");
        let closed_found =
            initial + m2 * (0.5 * rho * (1.0 + span) + rho * rho * (horizon_found - stop) / 12.0);
        assert!((closed_found - closed).abs() < 2e-11 * closed, "{d}: {closed_found}");
        assert!(closed_found <= budget);
    }
}

#[test]
fn every_scheme_on_a_wide_gaussian() {
    let curve = GaussianCurve::new(vec![0.25, 4.0], 0.0).expect("a curve");
    let grid = geometric_v(3.0, 0.01, 40);
    printed(curve.relative_entropy(3.0), 1.46214250741e-05, "initialisation");
    #[rustfmt::skip]
    let rows = [
        (Scheme::ExponentialIntegrator, [5.96311148818e-01, 5.90759341765e-01, 2.60402238181e-03]),
        (Scheme::FrozenScore, [5.75888702324e-01, 5.75888702324e-01, 8.07187997276e-03]),
        (Scheme::FrozenRelativeScore, [3.93311798874e-02, 3.90865783978e-02, 3.87835017661e-03]),
        (Scheme::FrozenDenoiser, [3.96255280271e-01, 3.96255280271e-01, 7.06548616630e-03]),
        (Scheme::EulerMaruyama, [1.68219096832e-01, 1.66717993341e-01, 1.99440578488e-03]),
        (Scheme::GaussianPrior(0.25), [7.33833750036e-02, 7.33833750036e-02, 2.12683392755e-03]),
        (Scheme::GaussianPrior(1.0), [3.82925448631e-02, 3.82925448631e-02, 1.55242783074e-03]),
        (Scheme::GaussianPrior(4.0), [6.77173528325e-02, 6.77173528325e-02, 2.36749684515e-03]),
    ];
    for (scheme, [path, chain, marginal]) in rows {
        let law = gaussian_sampler(&scheme, &[0.0; 2], &[0.25, 4.0], &grid).expect("a law");
        printed(discretization(&scheme, &curve, &grid).expect("a term"), path, &format!("path {scheme:?}"));
        printed(law.chain, chain, &format!("chain {scheme:?}"));
        printed(law.kl, marginal, &format!("marginal {scheme:?}"));
    }
}

#[test]
fn an_affine_error_of_the_score() {
    // e_k(y) = 0.05 y - 0.1 for N(0, 2): E e² = 0.0025 λ + 0.01 and E s e = -0.05.
    let curve = GaussianCurve::new(vec![2.0], 0.0).expect("a curve");
    let grid = geometric_v(2.5, 0.02, 12);
    let lambda = |tau: f64| 1.0 + (-2.0 * tau).exp();
    let starts: Vec<f64> = grid.nodes()[..12].iter().map(|node| node.t).collect();
    let errors: Vec<f64> = starts.iter().map(|&tau| 0.0025 * lambda(tau) + 0.01).collect();
    let disc = discretization(&Scheme::ExponentialIntegrator, &curve, &grid).expect("a term");
    let term = score_term(&Scheme::ExponentialIntegrator, &curve, &grid, &errors).expect("a term");
    let lengths = grid.lengths();
    let cross: f64 = lengths.iter().map(|g| 2.0 * (g + (-g).exp_m1()) * -0.05).sum();
    let exact = disc + term.square + cross;
    printed(term.square, 3.19981957093e-02, "ε²");
    printed(exact, 5.23482441737e-01, "path of S");
    let epsilon = term.square.sqrt();
    let cubes: f64 = lengths.iter().zip(&starts).map(|(g, &tau)| g.powi(3) / lambda(tau)).sum();
    let additive = disc + term.square + epsilon * cubes.sqrt();
    let minkowski = (disc.sqrt() + epsilon).powi(2);
    printed(additive, 6.32812509742e-01, "additive bound");
    printed(minkowski, 8.13051697531e-01, "Minkowski bound");
    assert!(exact <= disc + term.total() && disc + term.total() <= additive && additive <= minkowski);
    // D, where the bound is exact: against the chain and the law of the affine sampler.
    let denoiser = Scheme::FrozenDenoiser;
    let path = discretization(&denoiser, &curve, &grid).expect("a term")
        + score_term(&denoiser, &curve, &grid, &errors).expect("a term").total();
    printed(path, 6.59223824596e-01, "path of D");
    let (mut mean, mut variance, mut chain) = (0.0, 1.0, 0.0);
    for (from, to) in grid.pairs() {
        let (g, v, after) = (from.t - to.t, (2.0 * from.t).exp_m1(), (2.0 * to.t).exp_m1());
        let (keep, score, l) = (g.exp(), 2.0 * g.sinh(), lambda(from.t));
        let (spread, truth) = [0.0, 2.0].map(|c| (2.0 * g).exp_m1() * (after + c) / (v + c)).into();
        // The means differ by score · e(y).
        let square = score * score * (0.0025 * l + 0.01);
        chain += 0.5 * (truth / spread - 1.0 - (truth / spread).ln() + square / spread);
        let slope = keep - score / l + 0.05 * score;
        (mean, variance) = (slope * mean - 0.1 * score, slope * slope * variance + spread);
    }
    assert!((chain - path).abs() < 1e-9 * path);
    let ratio = lambda(0.02) / variance;
    printed(0.5 * (ratio - 1.0 - ratio.ln() + mean * mean / variance), 3.97261051686e-02, "law of D");
}
