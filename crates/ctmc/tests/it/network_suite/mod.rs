//! The models of the SBML discrete stochastic models test suite (Evans, Gillespie, Wilkinson 2008), all parameter sets:
//! birth–death (001), immigration–death (002), dimerisation (003), batch immigration–death (004).
//!
//! Variants that differ in their notation only (local parameters, sizes of compartments, boundary species) are one network.
//! Means and standard deviations are closed forms or come from uniformization, not from the suite's files; some of the
//! suite's numbers are compared with them.

mod exact;
mod leaps;

use ctmc::network::Counting::{Combinations, Ordered};
use ctmc::network::{Network, Rate, Reaction};
use ctmc::{BirthDeath, Sparse, evolve};
use numeric::Noise;
use numeric::ndarray::{Array3, s};
use rayon::prelude::*;
use verify::{Family, Moments, scores, seed};

use crate::assert_near;

/// Exact cumulants κ₁, …, κ₄ at time t.
type Cumulants = [f64; 4];

struct Model {
    name: &'static str,
    network: Network,
    start: Vec<u32>,
    /// A time at which, or a count of the last species above which, the start is restored.
    reset: Reset,
    /// The species that are looked at, and their cumulants at the times 1, …, 50.
    exact: Vec<(usize, Vec<Cumulants>)>,
}

#[derive(Clone, Copy, PartialEq)]
enum Reset {
    Never,
    At(f64, u32),
    Above(u32),
}

fn action(name: &str, from: &[(&str, u32)], to: &[(&str, u32)], constant: f64) -> Reaction {
    let owned = |list: &[(&str, u32)]| list.iter().map(|&(name, count)| (name.to_owned(), count)).collect();
    let rate = Rate::mass_action(constant, Combinations);
    Reaction { name: name.to_owned(), reactants: owned(from), products: owned(to), catalysts: vec![], rate }
}

fn at_times(of: impl Fn(f64) -> Cumulants) -> Vec<Cumulants> {
    (1..=50).map(|t| of(f64::from(t))).collect()
}

/// Cumulants of a law on 0, 1, …, by central moments.
fn cumulants(law: &[f64]) -> Cumulants {
    let mean: f64 = law.iter().zip(0..).map(|(p, k)| p * f64::from(k)).sum();
    let central = |j| law.iter().zip(0..).map(|(p, k)| p * (f64::from(k) - mean).powi(j)).sum::<f64>();
    [mean, central(2), central(3), central(4) - 3.0 * central(2).powi(2)]
}

/// From factorial cumulants, those of the logarithm of E (1 + z)^X.
fn from_factorial(f: [f64; 4]) -> Cumulants {
    [f[0], f[0] + f[1], f[0] + 3.0 * f[1] + f[2], f[0] + 7.0 * f[1] + 6.0 * f[2] + f[3]]
}

/// The descendants of one individual: a geometric law with an atom at 0 (Kendall 1948).
fn birth_death(lambda: f64, mu: f64, start: u32, t: f64) -> Cumulants {
    let growth = ((lambda - mu) * t).exp();
    let dead = mu * (growth - 1.0) / (lambda * growth - mu);
    let ratio = lambda / mu * dead;
    let mut law = vec![dead, (1.0 - dead) * (1.0 - ratio)];
    while law.len() < 20_000 && law[law.len() - 1] > 1e-40 {
        law.push(law[law.len() - 1] * ratio);
    }
    cumulants(&law).map(|k| f64::from(start) * k)
}

/// Batches of b arrive at rate α, and each of a batch survives with probability e^{−μs}.
fn batches(alpha: f64, mu: f64, batch: u32, t: f64) -> Cumulants {
    let sets = |j: u32| (0..j).map(|i| f64::from(batch) - f64::from(i)).product::<f64>();
    from_factorial([1, 2, 3, 4].map(|j| {
        let rate = f64::from(j) * mu;
        alpha * sets(j) * -(-rate * t).exp_m1() / rate
    }))
}

fn model_001(name: &'static str, lambda: f64, mu: f64, start: u32) -> Model {
    let birth = action("birth", &[("X", 1)], &[("X", 2)], lambda);
    let death = action("death", &[("X", 1)], &[], mu);
    let exact = at_times(|t| birth_death(lambda, mu, start, t));
    Model {
        name,
        network: Network::new(["X"], vec![birth, death]).unwrap(),
        start: vec![start],
        reset: Reset::Never,
        exact: vec![(0, exact)],
    }
}

/// 001-07: deaths are counted. Moments of one individual's (X, Sink) up to order 4 obey a linear equation.
fn model_001_sink() -> Model {
    let (lambda, mu, start) = (0.1, 0.11, 100);
    let orders: Vec<(i32, i32)> = (0..=4).flat_map(|i| (0..=4 - i).map(move |j| (i, j))).collect();
    let binomial = |n: i32, k: i32| (0..k).map(|i| f64::from(n - i) / f64::from(i + 1)).product::<f64>();
    let mut matrix = nalgebra::DMatrix::<f64>::zeros(orders.len(), orders.len());
    for (row, &(i, j)) in orders.iter().enumerate() {
        // d/dt E x^i y^j = E x (λ [(x+1)^i − x^i] y^j + μ [(x−1)^i (y+1)^j − x^i y^j]).
        for (column, &(k, l)) in orders.iter().enumerate() {
            let k = k - 1;
            if k < 0 || k > i || l > j {
                continue;
            }
            let born = if l == j && k < i { lambda * binomial(i, k) } else { 0.0 };
            let died = mu * binomial(i, k) * (-1_f64).powi(i - k) * binomial(j, l);
            matrix[(row, column)] += born + if (k, l) == (i, j) { 0.0 } else { died };
        }
    }
    let one = nalgebra::DVector::from_iterator(
        orders.len(),
        orders.iter().map(|&(_, j)| if j == 0 { 1.0 } else { 0.0 }),
    );
    let of = |t: f64, which: usize| {
        let moments = (&matrix * t).exp() * &one;
        let raw = |order: i32| {
            let wanted = if which == 0 { (order, 0) } else { (0, order) };
            moments[orders.iter().position(|&o| o == wanted).unwrap()]
        };
        let [m1, m2, m3, m4] = [1, 2, 3, 4].map(raw);
        let k2 = m2 - m1 * m1;
        let k3 = m3 - 3.0 * m2 * m1 + 2.0 * m1.powi(3);
        let k4 = m4 - 4.0 * m3 * m1 - 3.0 * m2 * m2 + 12.0 * m2 * m1 * m1 - 6.0 * m1.powi(4);
        [m1, k2, k3, k4].map(|k| f64::from(start) * k)
    };
    let birth = action("birth", &[("X", 1)], &[("X", 2)], lambda);
    let death = action("death", &[("X", 1)], &[("Sink", 1)], mu);
    Model {
        name: "001-07",
        network: Network::new(["X", "Sink"], vec![birth, death]).unwrap(),
        start: vec![start, 0],
        reset: Reset::Never,
        exact: vec![(0, at_times(|t| of(t, 0))), (1, at_times(|t| of(t, 1)))],
    }
}

/// The law is that of a Poisson number, and of those that are left from a reset, which is binomial.
fn model_002(name: &'static str, alpha: f64, reset: Reset) -> Model {
    let mu = 0.1;
    let exact = at_times(|t| match reset {
        Reset::At(at, left) if t >= at => {
            let (arrived, p) = (alpha / mu * -(-mu * (t - at)).exp_m1(), (-mu * (t - at)).exp());
            let n = f64::from(left);
            from_factorial([arrived + n * p, -n * p.powi(2), 2.0 * n * p.powi(3), -6.0 * n * p.powi(4)])
        }
        _ => [alpha / mu * -(-mu * t).exp_m1(); 4],
    });
    // The dead are a Poisson number as well.
    let dead = at_times(|t| [alpha * t - alpha / mu * -(-mu * t).exp_m1(); 4]);
    let immigration = action("immigration", &[], &[("X", 1)], alpha);
    let death = action("death", &[("X", 1)], &[("Sink", 1)], mu);
    let exact = if reset == Reset::Never { vec![(0, exact), (1, dead)] } else { vec![(0, exact)] };
    let network = Network::new(["X", "Sink"], vec![immigration, death]).unwrap();
    Model { name, network, start: vec![0, 0], reset, exact }
}

fn model_003(name: &'static str, total: u32, k1: f64, k2: f64, reset: Reset) -> Model {
    let pairs = |dimers: u32| {
        let p = f64::from(total - 2 * dimers);
        k1 * p * (p - 1.0) / 2.0
    };
    let most = total / 2;
    let births: Vec<f64> = (0..most).map(pairs).collect();
    let deaths: Vec<f64> = (1..=most).map(|n| k2 * f64::from(n)).collect();
    let mut law = vec![0.0; most as usize + 1];
    law[0] = 1.0;
    let start = law.clone();
    let mut laws = vec![];
    match reset {
        Reset::Above(threshold) => {
            // From the threshold the next dimer restores the start, state 0.
            let up = (0..threshold).map(|n| (n, n + 1, births[n as usize]));
            let down = (1..=threshold).map(|n| (n, n - 1, deaths[n as usize - 1]));
            let back = (threshold, 0, births[threshold as usize]);
            let chain = Sparse::new(threshold as usize + 1, up.chain(down).chain([back])).unwrap();
            law.truncate(threshold as usize + 1);
            for _ in 1..=50 {
                law = evolve(&chain, &law, 1.0, 1e-14).unwrap().values;
                laws.push(law.clone());
            }
        }
        _ => {
            let chain = BirthDeath::new(births, deaths).unwrap();
            for t in 1..=50 {
                law = evolve(&chain, &law, 1.0, 1e-14).unwrap().values;
                if matches!(reset, Reset::At(at, _) if f64::from(t) == at) {
                    law.clone_from(&start);
                }
                laws.push(law.clone());
            }
        }
    }
    let dimers: Vec<Cumulants> = laws.iter().map(|law| cumulants(law)).collect();
    let scale = |[a, b, c, d]: Cumulants| [f64::from(total) - 2.0 * a, 4.0 * b, -8.0 * c, 16.0 * d];
    let monomers = dimers.iter().map(|&k| scale(k)).collect();
    let bind = action("dimerisation", &[("P", 2)], &[("P2", 1)], k1);
    let split = action("dissociation", &[("P2", 1)], &[("P", 2)], k2);
    let network = Network::new(["P", "P2"], vec![bind, split]).unwrap();
    Model { name, network, start: vec![total, 0], reset, exact: vec![(0, monomers), (1, dimers)] }
}

/// 003-05 to 003-07: the dimers alone, with a rate law of their own.
fn model_003_function() -> Model {
    let of_dimers = Rate::function(["P2"], |_, n| {
        let p = 100.0 - 2.0 * f64::from(n[0]);
        0.001 * p * (p - 1.0) / 2.0
    });
    let bind = Reaction::new("dimerisation", [], [("P2", 1)], of_dimers);
    let split = Reaction::new("dissociation", [("P2", 1)], [], Rate::mass_action(0.01, Ordered));
    let network = Network::new(["P2"], vec![bind, split]).unwrap();
    let exact = model_003("", 100, 0.001, 0.01, Reset::Never).exact.pop().unwrap().1;
    Model { name: "003-05", network, start: vec![0], reset: Reset::Never, exact: vec![(0, exact)] }
}

fn model_004(name: &'static str, mu: f64, batch: u32) -> Model {
    let immigration = action("immigration", &[], &[("X", batch)], 1.0);
    let death = action("death", &[("X", 1)], &[], mu);
    let exact = at_times(|t| batches(1.0, mu, batch, t));
    let network = Network::new(["X"], vec![immigration, death]).unwrap();
    Model { name, network, start: vec![0], reset: Reset::Never, exact: vec![(0, exact)] }
}

/// At most some 500 events for each row.
fn short_models() -> Vec<Model> {
    vec![
        model_001("001-04", 0.1, 0.11, 10),
        model_002("002-01", 1.0, Reset::Never),
        model_002("002-03", 5.0, Reset::Never),
        model_002("002-09", 1.0, Reset::At(25.0, 50)),
        model_002("002-10", 1.0, Reset::At(22.5, 20)),
        model_003("003-01", 100, 0.001, 0.01, Reset::Never),
        model_003("003-03", 100, 0.001, 0.01, Reset::At(25.0, 100)),
        model_003("003-04", 100, 0.001, 0.01, Reset::Above(30)),
        model_003_function(),
        model_004("004-01", 0.2, 5),
    ]
}

/// At most some 5000.
fn long_models() -> Vec<Model> {
    vec![
        model_001("001-01", 0.1, 0.11, 100),
        model_001("001-03", 1.0, 1.1, 100),
        model_001_sink(),
        model_002("002-02", 10.0, Reset::Never),
        model_003("003-02", 1000, 0.0002, 0.004, Reset::Never),
        model_004("004-02", 0.4, 10),
        model_004("004-03", 4.0, 100),
    ]
}

/// The two of 10⁵ events for each row.
fn longest_models() -> Vec<Model> {
    vec![model_001("001-05", 0.1, 0.11, 10_000), model_002("002-04", 1000.0, Reset::Never)]
}

/// Counts of rows at the times 1, …, 50.
type Seen = Array3<u32>;

fn times() -> Vec<f64> {
    (1..=50).map(f64::from).collect()
}

/// Rows that each have a walk of their own, on all cores.
fn row_by_row(model: &Model, rows: u64, walk: impl Fn(u64) -> Vec<u32> + Send + Sync) -> Seen {
    let counts: Vec<Vec<u32>> = (0..rows).into_par_iter().map(walk).collect();
    Array3::from_shape_vec((rows as usize, times().len(), model.start.len()), counts.concat()).unwrap()
}

/// Z for all times, and Y where the kurtosis is at most 5: with heavier tails 10,000 rows are too few for the normal limit.
fn compare<A: std::fmt::Debug>(
    family: &mut Family,
    models: &[Model],
    ways: &[A],
    label: u64,
    simulate: impl Fn(&Model, &A, Noise) -> Seen,
) {
    for model in models {
        for way in ways {
            let noise = Noise::new(seed(label)).fork(model.name).fork(&format!("{way:?}"));
            let seen = simulate(model, way, noise);
            for (species, exact) in &model.exact {
                for (t, &[mean, variance, _, fourth]) in exact.iter().enumerate() {
                    let name = |score| format!("{} {way:?} {score} of {species} at {}", model.name, t + 1);
                    let sample: Vec<f64> =
                        seen.slice(s![.., t, *species]).iter().map(|&x| f64::from(x)).collect();
                    if variance < 1e-12 {
                        // Restored at this very time.
                        assert!(sample.iter().all(|&x| x == mean), "{}", name("value"));
                        continue;
                    }
                    let kurtosis = 3.0 + fourth / variance.powi(2);
                    let law = Moments { mean, std_dev: variance.sqrt(), kurtosis };
                    let found = scores(&sample, &law).unwrap();
                    family.push(name("Z"), found.z_p_value());
                    if kurtosis <= 5.0 {
                        family.push(name("Y"), found.y_p_value());
                    }
                }
            }
        }
    }
}

/// The exact moments are those that the suite gives.
#[test]
fn exact_moments_agree_with_the_suites_numbers() {
    let mean = |model: &Model, which: usize, t: usize| model.exact[which].1[t - 1][0];
    // dsmts-003-04-mean.csv
    let reset = model_003("", 100, 0.001, 0.01, Reset::Above(30));
    let published = [
        (1, 91.0317661320719, 4.48411693396405),
        (10, 52.673369243377, 23.6633153783115),
        (12, 50.7597354500895, 24.6201322749552),
        (21, 63.2541358541918, 18.3729320729041),
        (50, 58.3027904004864, 20.8486047997568),
    ];
    for (t, monomers, dimers) in published {
        // As many digits as the suite's own integration has.
        assert_near(mean(&reset, 0, t), monomers, 2e-4);
        assert_near(mean(&reset, 1, t), dimers, 1e-4);
    }
    // Two ways to the same numbers.
    let (alone, counted) = (model_001("", 0.1, 0.11, 100), model_001_sink());
    for (a, b) in alone.exact[0].1.iter().zip(&counted.exact[0].1) {
        a.iter().zip(b).for_each(|(&a, &b)| assert_near(a, b, 1e-8 * a.abs()));
    }
    let growth = (-0.01_f64 * 20.0).exp();
    let [m, v, ..] = alone.exact[0].1[19];
    assert_near(m, 100.0 * growth, 1e-10);
    assert_near(v, 100.0 * 21.0 * growth * (1.0 - growth), 1e-9);
    for (a, b) in
        model_002("", 3.0, Reset::Never).exact[0].1.iter().zip(at_times(|t| batches(3.0, 0.1, 1, t)))
    {
        a.iter().zip(b).for_each(|(&a, b)| assert_near(a, b, 1e-12));
    }
}
