//! Changes of measure: against the densities of Gaussian chains, and by what weights must do.
//!
//! Statistical tests: Z-scores below 4.5, 7·10⁻⁶ false alarms each, about 15 of them.

use numeric::ndarray::{Array2, ArrayRef2, array, s};
use numeric::{Batch, Control, Error, Estimate, Noise, Real, Scratch, TimeGrid};
use sde_core::{ChangeOfDrift, Drawn, NoiseClass, Reading, Sde, Start, Statistics, WeightedPaths};
use verify::seed;

/// An equation of one formula for the drift and one for the columns of g.
#[derive(Clone, Copy)]
struct Equation {
    d: usize,
    m: usize,
    class: NoiseClass,
    reading: Reading,
    drift: fn(f64, &[f64]) -> Vec<f64>,
    /// Entry (i, j) of g.
    diffusion: fn(&[f64], usize, usize) -> f64,
}

impl<F: Real> Sde<F> for Equation {
    fn dim(&self) -> usize {
        self.d
    }
    fn noise_dim(&self) -> usize {
        self.m
    }
    fn reading(&self) -> Reading {
        self.reading
    }
    fn noise_class(&self) -> NoiseClass {
        self.class
    }
    fn drift_into(&self, batch: &Batch<'_, F>, out: &mut ArrayRef2<F>, _: &mut Scratch) -> Result<(), Error> {
        for (i, (x, mut out)) in batch.x().rows().into_iter().zip(out.rows_mut()).enumerate() {
            let x: Vec<f64> = x.iter().map(|x| x.as_f64()).collect();
            let drift = (self.drift)(batch.times().get(i).t, &x);
            out.iter_mut().zip(drift).for_each(|(out, f)| *out = F::of(f));
        }
        Ok(())
    }
    fn diffuse_into(
        &self,
        batch: &Batch<'_, F>,
        w: &ArrayRef2<F>,
        out: &mut ArrayRef2<F>,
        _: &mut Scratch,
    ) -> Result<(), Error> {
        for ((x, w), mut out) in batch.x().rows().into_iter().zip(w.rows()).zip(out.rows_mut()) {
            let x: Vec<f64> = x.iter().map(|x| x.as_f64()).collect();
            for (i, out) in out.iter_mut().enumerate() {
                *out = (0..self.m).map(|j| F::of((self.diffusion)(&x, i, j)) * w[j]).sum();
            }
        }
        Ok(())
    }
}

fn scalar(
    class: NoiseClass,
    drift: fn(f64, &[f64]) -> Vec<f64>,
    g: fn(&[f64], usize, usize) -> f64,
) -> Equation {
    Equation { d: 1, m: 1, class, reading: Reading::Ito, drift, diffusion: g }
}

fn run<E: Sde<f64>, G: Sde<f64>>(
    p: E,
    q: G,
    grid: &TimeGrid,
    drawn: Drawn,
    start: &[f64],
    n: u64,
    number: u64,
) -> WeightedPaths<f64> {
    let change = ChangeOfDrift { p, q, grid: grid.clone() };
    change.run(drawn, Start::Point(start), 0..n, Noise::new(seed(number)), Control::default()).unwrap()
}

fn assert_near(what: &str, found: Estimate, exact: f64) {
    let z = (found.mean - exact) / found.std_error;
    assert!(z.abs() < 4.5, "{what}: {found} for {exact}, z = {z}");
    assert!(found.std_error < 0.05 * (1.0 + exact.abs()), "{what}: {found} shows nothing");
}

/// One step from a given point: the weight is the ratio of two Gaussian densities, whatever the covariance.
#[test]
fn one_step_is_the_ratio_of_the_transition_densities() {
    let g = |_: &[f64], i: usize, j: usize| [[1.0, 0.5], [-0.3, 0.8]][i][j];
    let equation = |drift| Equation {
        d: 2,
        m: 2,
        class: NoiseClass::Additive,
        reading: Reading::Ito,
        drift,
        diffusion: g,
    };
    let f = |_: f64, x: &[f64]| vec![x[1], -x[0]];
    let f_tilde = |t: f64, x: &[f64]| vec![x[0].sin() + t, 1.0];
    let (h, x0) = (0.3, [0.4, -1.2]);
    let grid = TimeGrid::from_nodes(vec![0.5, 0.5 + h]).unwrap();
    for drawn in [Drawn::FromP, Drawn::FromQ] {
        let paths = run(equation(f), equation(f_tilde), &grid, drawn, &x0, 50, 1);
        // The covariance G Gᵀ h and its inverse, by hand.
        let c = [1.25 * h, (-0.3 + 0.4) * h, (0.09 + 0.64) * h];
        let determinant = c[0] * c[2] - c[1] * c[1];
        let exponent = |x: &[f64], drift: &[f64]| {
            let r = [x[0] - x0[0] - drift[0] * h, x[1] - x0[1] - drift[1] * h];
            -0.5 * (c[2] * r[0] * r[0] - 2.0 * c[1] * r[0] * r[1] + c[0] * r[1] * r[1]) / determinant
        };
        for (x, ln_weight) in paths.states.rows().into_iter().zip(&paths.ln_weights) {
            let x = [x[0], x[1]];
            let exact = exponent(&x, &f_tilde(0.5, &x0)) - exponent(&x, &f(0.5, &x0));
            let exact = if drawn == Drawn::FromP { exact } else { -exact };
            assert!((ln_weight - exact).abs() < 1e-11, "{drawn:?}: {ln_weight} for {exact}");
        }
    }
}

/// Brownian motion and the Euler chain of dX = −½X dt + dW: both divergences are sums over a variance recursion.
#[test]
fn path_divergences_of_gaussian_chains() {
    let brownian = || scalar(NoiseClass::Additive, |_, _| vec![0.0], |_, _, _| 1.0);
    let ou = || scalar(NoiseClass::Additive, |_, x| vec![-0.5 * x[0]], |_, _, _| 1.0);
    let grid = TimeGrid::from_nodes(vec![0.0, 0.1, 0.2, 0.25, 0.4]).unwrap();
    let x0 = 0.7;
    let (mut p, mut q) = ((x0, 0.0), (x0, 0.0));
    let (mut kl_p, mut kl_q) = (0.0, 0.0);
    for h in grid.lengths() {
        kl_p += 0.125 * h * (p.0 * p.0 + p.1);
        kl_q += 0.125 * h * (q.0 * q.0 + q.1);
        p = (p.0, p.1 + h);
        q = ((1.0 - 0.5 * h) * q.0, (1.0 - 0.5 * h).powi(2) * q.1 + h);
    }
    let from_p = run(brownian(), ou(), &grid, Drawn::FromP, &[x0], 20_000, 2);
    let from_q = run(brownian(), ou(), &grid, Drawn::FromQ, &[x0], 20_000, 3);
    assert_near("KL(P|Q)", from_p.path_kl().unwrap(), kl_p);
    assert_near("KL(Q|P)", from_q.path_kl().unwrap(), kl_q);
    // The same divergence as the mean of −ln w, with the martingale part left in.
    let plain: Vec<f64> = from_p.ln_weights.iter().map(|w| -w).collect();
    let plain = numeric::estimate::MeanAccumulator::from_values(0, &plain).unwrap().estimate().unwrap();
    assert_near("−E ln w", plain, kl_p);
    assert!(plain.std_error > 1.5 * from_p.path_kl().unwrap().std_error);
    // Weights carry the mean and the second moment over, both ways.
    assert_near("mean of Q", from_p.reweighted(|x| x[0]).unwrap(), q.0);
    assert_near("second moment of Q", from_p.reweighted(|x| x[0] * x[0]).unwrap(), q.0 * q.0 + q.1);
    assert_near("second moment of P", from_q.reweighted(|x| x[0] * x[0]).unwrap(), p.0 * p.0 + p.1);
}

/// The mean weight is 1 for equations without a closed form, and for noise of every class.
#[test]
fn mean_weights_are_one() {
    let grid = TimeGrid::uniform(0.0, 1.0, 20).unwrap();
    let check = |name: &str, p: Equation, q: Equation, start: &[f64], number| {
        for drawn in [Drawn::FromP, Drawn::FromQ] {
            let paths = run(p, q, &grid, drawn, start, 20_000, number);
            let weight = paths.mean_weight().unwrap();
            assert_near(name, weight.estimate(), 0.0);
            assert!(weight.effective_sample_size() > 1000.0, "{name}");
            assert!(paths.path_kl().unwrap().mean > 0.01, "{name}: the laws do not differ");
        }
    };
    let (well, none) = (|_: f64, x: &[f64]| vec![(2.0 * x[0]).sin()], |_: f64, _: &[f64]| vec![0.3]);
    let constant = |_: &[f64], _: usize, _: usize| 0.8;
    check(
        "double well",
        scalar(NoiseClass::Additive, well, constant),
        scalar(NoiseClass::Additive, none, constant),
        &[0.2],
        4,
    );
    let state = |x: &[f64], _: usize, _: usize| 1.0 + 0.5 * x[0].sin();
    check(
        "scalar",
        scalar(NoiseClass::Scalar, well, state),
        scalar(NoiseClass::Scalar, none, state),
        &[0.2],
        5,
    );
    let diagonal = |drift| Equation {
        d: 2,
        m: 2,
        class: NoiseClass::Diagonal,
        reading: Reading::Ito,
        drift,
        diffusion: |x, i, j| if i == j { 0.7 + 0.2 * x[i].cos() } else { 0.0 },
    };
    check(
        "diagonal",
        diagonal(|_, x| vec![-x[1], x[0]]),
        diagonal(|_, x| vec![0.0, 0.5 * x[0]]),
        &[0.5, 0.0],
        6,
    );
    // More Brownian motions than coordinates: θ is the one of least norm.
    let wide = |drift| Equation {
        d: 1,
        m: 3,
        class: NoiseClass::General,
        reading: Reading::Ito,
        drift,
        diffusion: |x, _, j| [1.0, x[0].sin(), 0.5][j],
    };
    check("wide", wide(|_, x| vec![-x[0].sin()]), wide(|_, _| vec![0.4]), &[0.5], 7);
}

/// Langevin with noise on the velocity only: forces may differ there, and nothing else.
#[test]
fn singular_laws_are_refused() {
    let kinetic = |drift| Equation {
        d: 2,
        m: 1,
        class: NoiseClass::Additive,
        reading: Reading::Ito,
        drift,
        diffusion: |_, i, _| [0.0, 1.0][i],
    };
    let grid = TimeGrid::uniform(0.0, 1.0, 4).unwrap();
    let free = || kinetic(|_, x| vec![x[1], 0.0]);
    let paths = run(free(), kinetic(|_, x| vec![x[1], -x[0]]), &grid, Drawn::FromP, &[1.0, 0.0], 20_000, 8);
    assert_near("kinetic", paths.mean_weight().unwrap().estimate(), 0.0);
    let refused = ChangeOfDrift { p: free(), q: kinetic(|_, x| vec![2.0 * x[1], 0.0]), grid: grid.clone() }
        .run(Drawn::FromP, Start::Point(&[1.0, 0.5]), 7..9, Noise::new(1), Control::default());
    assert!(matches!(refused, Err(Error::Model { row: 7, .. })), "{refused:?}");
}

#[test]
fn bad_input_is_refused_and_shards_agree() {
    let grid = TimeGrid::uniform(0.0, 1.0, 4).unwrap();
    let p = || scalar(NoiseClass::Scalar, |_, x| vec![-x[0]], |_, _, _| 1.0);
    let change = ChangeOfDrift { p: p(), q: p(), grid: grid.clone() };
    let start = Array2::from_shape_fn((100, 1), |(i, _)| i as f64);
    let go = |rows: std::ops::Range<u64>, start: &ArrayRef2<f64>| {
        change.run(Drawn::FromP, Start::Rows(start), rows, Noise::new(1), Control::default())
    };
    let whole = go(0..100, &start).unwrap();
    let shard = go(30..41, &start.slice(s![30..41, ..])).unwrap();
    assert_eq!(shard.states, whole.states.slice(s![30..41, ..]));
    assert_eq!(shard.ln_weights, whole.ln_weights[30..41]);
    assert_eq!(whole.ln_weights, vec![0.0; 100], "equal equations");
    assert!(matches!(go(0..99, &start), Err(Error::Shape { .. })));
    let nan = array![[f64::NAN]];
    assert!(matches!(go(0..1, &nan), Err(Error::NotFinite { row: 0, .. })));
    let control = Control::default;
    assert!(change.run::<f64>(Drawn::FromP, Start::Prior, 0..1, Noise::new(1), control()).is_err());
    let mut stratonovich = p();
    stratonovich.reading = Reading::Stratonovich;
    let change = ChangeOfDrift { p: stratonovich, q: p(), grid: grid.clone() };
    assert!(matches!(
        change.run(Drawn::FromP, Start::Point(&[0.0]), 0..1, Noise::new(1), control()),
        Err(Error::Unsupported { .. })
    ));
    let change = ChangeOfDrift { p: p(), q: p(), grid: grid.reversed() };
    assert!(change.run(Drawn::FromP, Start::Point(&[0.0]), 0..1, Noise::new(1), control()).is_err());
    let change = ChangeOfDrift { p: p(), q: p(), grid };
    assert!(change.run(Drawn::FromP, Start::Point(&[0.0; 2]), 0..1, Noise::new(1), control()).is_err());
    assert_eq!(
        change
            .run(Drawn::FromP, Start::Point(&[0.0]), 0..0, Noise::new(1), control())
            .unwrap()
            .states
            .nrows(),
        0
    );
}

/// Laws that are so far apart that every weight underflows: KL = ½ 60² = 1800. The mean of such weights is not 0 ± 0.
#[test]
fn weights_that_all_underflow_are_refused() {
    let drift = |f: fn(f64, &[f64]) -> Vec<f64>| scalar(NoiseClass::Additive, f, |_, _, _| 1.0);
    let grid = TimeGrid::uniform(0.0, 1.0, 4).unwrap();
    let far = run(drift(|_, _| vec![0.0]), drift(|_, _| vec![60.0]), &grid, Drawn::FromP, &[0.0], 500, 20);
    assert!(far.ln_weights.iter().all(|w| w.exp() == 0.0) && far.path_kl().unwrap().mean > 1799.0);
    let error = far.reweighted(|x| x[0]).unwrap_err();
    assert!(matches!(error, Error::Domain { parameter: "the largest ln weight", .. }), "{error}");
    // The normalised mean is that of the nearest path or two, which know nothing of their error.
    let nearest = far.states.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mean = far.self_normalised(|x| x[0]).unwrap();
    assert!((mean.mean - nearest).abs() < 0.5 && mean.std_error == f64::INFINITY);
    let alone = WeightedPaths { ln_weights: vec![-1800.0, -2600.0, -2600.0], ..far.clone() };
    let alone = WeightedPaths { states: far.states.slice(s![..3, ..]).to_owned(), ..alone };
    assert_eq!(alone.self_normalised(|x| x[0]).unwrap().std_error, f64::INFINITY);
    // Weights of which only the squares underflow.
    let small =
        |shift: f64| WeightedPaths { ln_weights: vec![shift, shift - 1.0, shift - 2.0], ..alone.clone() };
    let [at_one, small] = [0.0, -400.0].map(|shift| small(shift).reweighted(|_| 1.0).unwrap());
    let scale = (-400.0_f64).exp();
    assert!((small.mean / (scale * at_one.mean) - 1.0).abs() < 1e-12);
    assert!((small.std_error / (scale * at_one.std_error) - 1.0).abs() < 1e-12);
    let nothing = WeightedPaths { ln_weights: vec![f64::NEG_INFINITY; 500], ..far.clone() };
    assert!(matches!(nothing.self_normalised(|x| x[0]), Err(Error::Domain { .. })));
    for (bad, rest) in [(f64::NAN, f64::NAN), (f64::NAN, -1000.0), (f64::INFINITY, 0.0)] {
        let mut ln_weights = vec![rest; 500];
        ln_weights[0] = bad;
        let invalid = WeightedPaths { ln_weights, ..far.clone() };
        for found in [invalid.reweighted(|x| x[0]), invalid.self_normalised(|x| x[0])] {
            assert!(
                matches!(found, Err(Error::Entry { parameter: "ln_weights", index: 0, .. })),
                "{found:?}"
            );
        }
    }
    let none = WeightedPaths { ln_weights: vec![], states: Array2::zeros((0, 1)), ..far };
    assert!(matches!(none.reweighted(|x| x[0]), Err(Error::Domain { parameter: "paths", .. })));
    assert!(matches!(none.self_normalised(|x| x[0]), Err(Error::Domain { parameter: "paths", .. })));
}

/// The normalised mean does not depend on the scale of the weights, is right within its standard error, and that is the spread of
/// its values over runs.
#[test]
fn normalised_means_have_their_standard_error() {
    let drift = |f: fn(f64, &[f64]) -> Vec<f64>| scalar(NoiseClass::Additive, f, |_, _, _| 1.0);
    let grid = TimeGrid::uniform(0.0, 1.0, 4).unwrap();
    let estimates: Vec<Estimate> = (0..400)
        .map(|k| {
            let (p, q) = (drift(|_, _| vec![0.0]), drift(|_, _| vec![0.3]));
            let paths = run(p, q, &grid, Drawn::FromP, &[0.0], 2000, 1000 + k);
            let mean = paths.self_normalised(|x| x[0] * x[0]).unwrap();
            let ln_weights = paths.ln_weights.iter().map(|w| w - 2000.0).collect();
            let scaled = WeightedPaths { ln_weights, ..paths }.self_normalised(|x| x[0] * x[0]).unwrap();
            assert!((scaled.mean - mean.mean).abs() < 1e-9 && scaled.n == 2000);
            mean
        })
        .collect();
    // Under Q, X is N(0.3, 1).
    let z: Vec<f64> = estimates.iter().map(|e| (e.mean - 1.09) / e.std_error).collect();
    let mean = z.iter().sum::<f64>() / 400.0;
    let variance = z.iter().map(|z| (z - mean).powi(2)).sum::<f64>() / 399.0;
    // Four and a half standard deviations of both, 0.05 and 0.071, and a tenth for the bias and the skewness that are left.
    assert!(mean.abs() < 0.225 + 0.1 && (variance - 1.0).abs() < 0.32 + 0.1, "{mean} {variance}");
}

/// By hand, for weights 2, 1, 2, 4 × 10⁻¹⁰⁰⁰ of values 1, 2, 3, 5: mean 10/3, and the squares of w (φ − mean) add up to
/// (14² + 4² + 2² + 20²)/9.
#[test]
fn a_normalised_mean_by_hand() {
    let ln_weights = [2.0_f64, 1.0, 2.0, 4.0].map(|w| w.ln() - 1000.0 * 10_f64.ln()).to_vec();
    let states = array![[1.0], [2.0], [3.0], [5.0]];
    let statistics = Statistics::default();
    let paths = WeightedPaths { states, ln_weights, energies: vec![0.0; 4], first_row: 0, statistics };
    let found = paths.self_normalised(|x| x[0]).unwrap();
    let std_error = (616.0_f64 / 9.0 / 12.0).sqrt() / (9.0 / 4.0);
    assert!(
        (found.mean - 10.0 / 3.0).abs() < 1e-10 && (found.std_error - std_error).abs() < 1e-10,
        "{found:?}"
    );
}

#[test]
fn runs_say_what_they_cost() {
    let drift = |f: fn(f64, &[f64]) -> Vec<f64>| scalar(NoiseClass::Additive, f, |_, _, _| 1.0);
    let grid = TimeGrid::uniform(0.0, 1.0, 4).unwrap();
    let paths = run(drift(|_, _| vec![0.0]), drift(|_, _| vec![0.5]), &grid, Drawn::FromP, &[0.0], 30, 21);
    assert_eq!(paths.statistics, Statistics { calls: 2 * 30 * 4, accepted: 30 * 4, rejected: 0 });
}
