//! Path divergences of chains: values that were computed elsewhere, closed forms, and the inequality that they are for.

use bounds::divergence::FiniteLaw;
use bounds::jump::{path_kl, path_kl_estimate, path_kl_integral, path_kl_of_draws, rate_divergence};
use ctmc::{BirthDeath, Dense, Generator, Kernel, Method, Refresh, Simulation, Start, TimeChange, evolve};
use numeric::ndarray::{Array2, array};
use numeric::{Control, Error, Noise};
use proptest::prelude::*;
use verify::{Family, seed};

#[track_caller]
fn assert_near(found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance, "{found} is not {expected} within {tolerance}");
}

/// Three states, not reversible, and the law of the data.
fn cyclic() -> (Dense, TimeChange, [f64; 3]) {
    let chain = Dense::new(&array![[0.0, 1.0, 0.5], [0.25, 0.0, 0.75], [1.0, 0.5, 0.0]]).unwrap();
    (chain, TimeChange::exponential(0.5, 3.0).unwrap(), [0.6, 0.3, 0.1])
}

/// A denoiser that is wrong by `eps`: its rates back at the time t, given the law of the true x0.
struct Denoiser {
    eps: f64,
}

impl Denoiser {
    /// Twice the matrix of rates back, without a diagonal: of the data with the law `law` and of the denoiser, and
    /// the law at the time.
    fn rates(&self, t: f64, law: &[f64; 3]) -> (Array2<f64>, Array2<f64>, [f64; 3]) {
        const TILT: [[f64; 3]; 3] = [[0.0, 0.5, -0.3], [0.2, 0.0, 0.4], [-0.6, 0.1, 0.0]];
        let (chain, beta, data) = cyclic();
        let kernel = Kernel::of(&chain, beta.integral(0.0, t).unwrap(), 1e-40).unwrap();
        let k = |x0: usize, x: usize| kernel.matrix()[[x0, x]];
        let at = |law: &[f64; 3], x: usize| (0..3).map(|x0| law[x0] * k(x0, x)).sum::<f64>();
        let scale = beta.rate(t).unwrap();
        let mut both = (Array2::zeros((3, 3)), Array2::zeros((3, 3)));
        for (x, tilt) in TILT.iter().enumerate() {
            let weights: Vec<f64> =
                (0..3).map(|x0| data[x0] * k(x0, x) * (self.eps * tilt[x0] * (1.0 + t)).exp()).collect();
            let total: f64 = weights.iter().sum();
            for y in (0..3).filter(|&y| y != x) {
                let forward = scale * chain.rate(y as u32, x as u32);
                both.0[[x, y]] = forward * at(law, y) / at(law, x);
                both.1[[x, y]] =
                    forward * (0..3).map(|x0| k(x0, y) / k(x0, x) * weights[x0] / total).sum::<f64>();
            }
        }
        (both.0, both.1, std::array::from_fn(|x| at(law, x)))
    }

    /// KL(q_T ‖ p_ref) and the integral of the rates' divergence.
    fn terms(&self, law: &[f64; 3]) -> (f64, f64) {
        let reference = FiniteLaw::new(&cyclic().0.stationary().unwrap()).unwrap();
        let integral = path_kl_integral(0.0, 1.0, 12, |t| {
            let (rates, model, at) = self.rates(t, law);
            let mut sum = 0.0;
            for (x, at) in at.iter().enumerate() {
                sum += at * rate_divergence(&rates.row(x).to_vec(), &model.row(x).to_vec())?;
            }
            Ok(sum)
        });
        let end = self.rates(1.0, law).2;
        (FiniteLaw::new(&end).unwrap().kl(&reference).unwrap(), integral.unwrap())
    }
}

#[test]
fn evidence_bounds_of_a_wrong_denoiser() {
    let data = cyclic().2;
    let entropy = FiniteLaw::new(&data).unwrap().entropy();
    assert_near(entropy, 0.897945724857, 1e-12);
    for (eps, exact, law) in [
        (0.0, 0.901309463513, [0.594980611718, 0.303861570719, 0.101157817563]),
        (0.5, 0.909749371718, [0.578649923488, 0.304998159765, 0.116351916747]),
        (1.0, 0.936282751457, [0.559505827983, 0.308452189583, 0.132041982434]),
    ] {
        let (initial, path) = Denoiser { eps }.terms(&data);
        assert_near(initial, 0.00336373865641, 1e-13);
        assert_near(entropy + initial + path, exact, 2e-12);
        // The laws at the end are nearer than the paths.
        let total: f64 = law.iter().sum();
        let end = FiniteLaw::new(&law.map(|p| p / total)).unwrap();
        let chain = FiniteLaw::new(&data).unwrap().kl(&end).unwrap();
        assert!(chain <= initial + path && chain > 0.0, "{chain}");
    }
    assert_near(Denoiser { eps: 0.0 }.terms(&data).1, 0.0, 1e-16);
    // For one datum: the law of the data is a point, and the noised law the kernel.
    for (x0, exact) in [0.616441440187, 1.2029111832, 2.05544532386].into_iter().enumerate() {
        let point = std::array::from_fn(|x| f64::from(u8::from(x == x0)));
        let (initial, path) = Denoiser { eps: 1.0 }.terms(&point);
        assert_near(initial + path, exact, 2e-11);
    }
}

#[test]
fn the_start_alone() {
    let chain = cyclic().0;
    let (p, q) = (FiniteLaw::new(&[0.2, 0.3, 0.5]).unwrap(), FiniteLaw::new(&[0.4, 0.4, 0.2]).unwrap());
    let found = path_kl(&chain, &chain, &p, &q, 3.0, 1e-12).unwrap();
    assert_eq!((found.rates, found.truncation, found.total()), (0.0, 0.0, p.kl(&q).unwrap()));
    let none = path_kl(&chain, &chain, &p, &p, 3.0, 1e-12).unwrap();
    assert_eq!(none.total(), 0.0);
    // No time, no rates.
    let other = Refresh::uniform(3, 1.0).unwrap();
    assert_eq!(path_kl(&chain, &other, &p, &q, 0.0, 1e-12).unwrap().total(), p.kl(&q).unwrap());
}

#[test]
fn one_jump_at_an_exponential_time() {
    // Paths of a chain with one jump are its time: the divergence of exponential laws, stopped at T.
    let (r, m, time) = (2.0_f64, 0.7, 0.9);
    let chain = Refresh::two_state(r, 0.0).unwrap();
    let model = Refresh::two_state(m, 0.0).unwrap();
    let start = FiniteLaw::new(&[1.0, 0.0]).unwrap();
    let found = path_kl(&chain, &model, &start, &start, time, 1e-14).unwrap();
    let exact = (1.0 - (-r * time).exp()) * ((r / m).ln() + (m - r) / r);
    assert_near(found.rates, exact, 1e-13);
    // What cannot happen under the model.
    let never = Dense::new(&array![[0.0, 0.0], [1.0, 0.0]]).unwrap();
    assert_eq!(path_kl(&chain, &never, &start, &start, time, 1e-9).unwrap().total(), f64::INFINITY);
    // What only the model does: its rate, while the chain is there.
    let only = path_kl(&never, &chain, &start, &start, time, 1e-9).unwrap();
    assert_near(only.rates, r * time, 1e-15);
}

#[test]
fn close_rates_keep_their_digits() {
    let h = 2f64.powi(-30);
    let found = rate_divergence(&[1.0, 3.0], &[1.0 + h, 3.0]).unwrap();
    assert_near(found / (0.5 * h * h), 1.0, 1e-8);
    assert_eq!(rate_divergence(&[], &[]).unwrap(), 0.0);
    assert_near(rate_divergence(&[1e-300], &[1e300]).unwrap() / 1e300, 1.0, 1e-12);
}

#[test]
fn estimates_are_unbiased() {
    // False alarms: one run in ten thousand for the whole test.
    let mut family = Family::new(1e-4).unwrap();
    let (chain, beta, _) = cyclic();
    let model = Refresh::uniform(3, 0.6).unwrap();
    let (start, end) = ([0.5, 0.25, 0.25], 0.8);
    let law = FiniteLaw::new(&start).unwrap();
    let clock = beta.integral(0.0, end).unwrap();
    let exact = path_kl(&chain, &model, &law, &law, clock, 1e-14).unwrap().rates;
    let simulation = Simulation { generator: &chain, beta, method: Method::Direct };
    let noise = Noise::new(seed(71));
    let paths = simulation.paths(Start::Law(&start), end, 0..10_000, noise, Control::default()).unwrap();
    let found = path_kl_estimate(&chain, &model, &paths, beta, end).unwrap();
    family.push("paths", verify::normal_p_value((found.mean - exact) / found.std_error));
    // The same integral from one state at a random time of each path.
    let losses: Vec<f64> = (0..3)
        .map(|x| {
            let row =
                |q: &dyn Generator| (0..3).filter(|&y| y != x).map(|y| q.rate(x, y)).collect::<Vec<f64>>();
            rate_divergence(&row(&chain), &row(&model)).unwrap()
        })
        .collect();
    let draws: Vec<f64> = paths
        .iter()
        .zip(0..)
        .map(|(path, row)| {
            let time = end * Noise::new(seed(72)).row_stream(row).uniform();
            beta.rate(time).unwrap() * losses[path.state_at(time) as usize]
        })
        .collect();
    let found = path_kl_of_draws(end, &draws).unwrap();
    family.push("draws", verify::normal_p_value((found.mean - exact) / found.std_error));
    family.assert();
}

#[test]
fn bad_input_is_named() {
    let (chain, beta, _) = cyclic();
    let two = Refresh::two_state(1.0, 1.0).unwrap();
    let law = FiniteLaw::new(&[0.2, 0.3, 0.5]).unwrap();
    assert!(matches!(path_kl(&chain, &two, &law, &law, 1.0, 1e-9), Err(Error::Shape { .. })));
    let half = FiniteLaw::new(&[0.5, 0.5]).unwrap();
    assert!(path_kl(&chain, &chain, &half, &half, 1.0, 1e-9).is_err());
    for bad in [-1.0, f64::NAN, f64::INFINITY] {
        assert!(path_kl(&chain, &chain, &law, &law, bad, 1e-9).is_err());
        assert!(rate_divergence(&[bad], &[1.0]).is_err() && rate_divergence(&[1.0], &[bad]).is_err());
        assert!(path_kl_of_draws(1.0, &[bad]).is_err() && path_kl_of_draws(bad, &[1.0]).is_err());
        assert!(path_kl_integral(0.0, bad, 3, |_| Ok(1.0)).is_err());
        assert!(path_kl_integral(0.0, 1.0, 3, |_| Ok(-bad.abs())).is_err());
    }
    assert!(path_kl_integral(0.0, 1.0, 0, |_| Ok(1.0)).is_err());
    assert!(rate_divergence(&[1.0], &[]).is_err());
    assert!(path_kl_of_draws(1.0, &[]).is_err());
    let path = |states| [ctmc::ChainPath { times: vec![0.5], states }];
    assert!(path_kl_estimate(&chain, &chain, &path(vec![0]), beta, 1.0).is_err());
    assert!(path_kl_estimate(&chain, &chain, &path(vec![0, 3]), beta, 1.0).is_err());
    assert!(path_kl_estimate(&chain, &chain, &[], beta, 1.0).is_err());
    assert!(path_kl_estimate(&chain, &chain, &path(vec![0, 1]), beta, f64::NAN).is_err());
}

proptest! {
    #![proptest_config(verify::strategy::cases(9011, 256))]

    #[test]
    fn paths_are_further_apart_than_laws(
        rates in prop::collection::vec(0.01_f64..4.0, 2 * 16),
        laws in prop::collection::vec(0.01_f64..1.0, 8),
        time in 0.01_f64..5.0,
    ) {
        let chain = |from: usize| {
            Dense::new(&Array2::from_shape_fn((4, 4), |(i, j)| rates[from + 4 * i + j])).unwrap()
        };
        let law = |of: &[f64]| {
            let total: f64 = of.iter().sum();
            of.iter().map(|p| p / total).collect::<Vec<f64>>()
        };
        let (p, q, a, b) = (law(&laws[..4]), law(&laws[4..]), chain(0), chain(16));
        let finite = |law: &[f64]| FiniteLaw::new(law).unwrap();
        let paths = path_kl(&a, &b, &finite(&p), &finite(&q), time, 1e-13).unwrap();
        let (p_t, q_t) = (evolve(&a, &p, time, 1e-13).unwrap().values, evolve(&b, &q, time, 1e-13).unwrap().values);
        prop_assert!(finite(&p_t).kl(&finite(&q_t)).unwrap() <= paths.total() * (1.0 + 1e-9));
        // Paths of half the time and then another half.
        let half = path_kl(&a, &b, &finite(&p), &finite(&q), 0.5 * time, 1e-13).unwrap();
        let middle = finite(&evolve(&a, &p, 0.5 * time, 1e-13).unwrap().values);
        let rest = path_kl(&a, &b, &middle, &middle, 0.5 * time, 1e-13).unwrap();
        prop_assert!((half.total() + rest.total() - paths.total()).abs() < 1e-10 * (1.0 + paths.total()));
    }

    #[test]
    fn integrals_of_powers_and_logarithms(power in 0_i32..9, from in -2.0_f64..2.0, length in 0.1_f64..3.0) {
        let found = path_kl_integral(from, from + length, 12, |t| Ok(((t - from) / length).powi(power))).unwrap();
        prop_assert!((found / length * f64::from(power + 1) - 1.0).abs() < 2e-13);
        let found = path_kl_integral(0.0, length, 12, |t| Ok(4.0 - t.ln())).unwrap();
        prop_assert!((found / (length * (5.0 - length.ln())) - 1.0).abs() < 1e-14);
    }
}

#[test]
fn birth_and_death_in_equilibrium() {
    // 2 S − 2 rates that each differ by a factor: the stationary law is uniform.
    let (chain, model) = (BirthDeath::constant(6, 1.0).unwrap(), BirthDeath::constant(6, 1.2).unwrap());
    let law = FiniteLaw::new(&[1.0 / 6.0; 6]).unwrap();
    let found = path_kl(&chain, &model, &law, &law, 7.0, 1e-13).unwrap();
    assert_near(found.total(), 7.0 * 10.0 / 6.0 * (0.2 - 1.2_f64.ln()), 1e-13);
}
