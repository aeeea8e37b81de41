//! One law for all algorithms, that of the generator or in closed form.

use ctmc::network::Counting::{Combinations, Ordered};
use ctmc::network::{Algorithm, Network, Rate, Reaction, Ssa, Start};
use ctmc::{BirthDeath, Dense, Kernel, Refresh, Sparse, evolve};
use numeric::ndarray::{Array2, s};
use numeric::{Control, Noise};
use verify::{Family, Moments, chi_squared, kolmogorov_smirnov, scores, seed};

use super::{IN_TIME, beta, clock, modulated};
use crate::{assert_near, cyclic};

/// All kinds of laws, on 4 molecules of A and B together and up to 2 of C: 15 states.
fn closed() -> Network {
    let of_both = Rate::function(["A", "C"], |_, n| 0.3 * f64::from(n[0]) / (1.0 + f64::from(n[1])));
    Network::new(
        ["A", "B", "C"],
        vec![
            Reaction::new("pair", [("A", 2)], [("B", 2)], Rate::mass_action(0.4, Combinations)),
            Reaction::new("back", [("B", 1)], [("A", 1)], Rate::michaelis_menten(1.5, 2.0, "B")),
            Reaction::new("forth", [("A", 1)], [("B", 1)], of_both),
            Reaction::new("first", [], [("C", 1)], Rate::function(["C"], |_, n| f64::from(2 - n[0]))),
            Reaction::new("lose", [("C", 1)], [], Rate::hill_activation(2.0, 1.5, 2.0, "C")),
            Reaction::new("helped", [("B", 1)], [("A", 1)], Rate::hill_repression(0.5, 1.0, 3.0, "A"))
                .with_catalysts([("B", 1)]),
        ],
    )
    .unwrap()
}

/// The same chain from its rates written out: state 3 b + c, with a = 4 − b.
fn closed_generator() -> Dense {
    let mut rates = Array2::zeros((15, 15));
    for (b, c) in (0..5).flat_map(|b| (0..3).map(move |c| (b, c))) {
        let (x, y, z) = (4.0 - b as f64, b as f64, c as f64);
        let mut add = |to_b: usize, to_c: usize, rate: f64| {
            if rate > 0.0 {
                rates[[3 * b + c, 3 * to_b + to_c]] += rate;
            }
        };
        add(b + 2, c, 0.2 * x * (x - 1.0));
        add(b.wrapping_sub(1), c, 1.5 * y / (2.0 + y) + 0.5 * y / (1.0 + x * x * x));
        add(b + 1, c, 0.3 * x / (1.0 + z));
        add(b, c + 1, 2.0 - z);
        add(b, c.wrapping_sub(1), 2.0 * z * z / (2.25 + z * z));
    }
    Dense::new(&rates).unwrap()
}

#[test]
fn all_algorithms_have_the_law_of_the_generator() {
    // False alarms: one run in a thousand for the whole test.
    let mut family = Family::new(1e-3).unwrap();
    let (network, generator) = (closed(), closed_generator());
    let (first, second) =
        (Kernel::of(&generator, 0.4, 1e-14).unwrap(), Kernel::of(&generator, 0.7, 1e-14).unwrap());
    let joint: Vec<f64> = (0..225)
        .map(|code| first.matrix()[[3, code / 15]] * second.matrix()[[code / 15, code % 15]])
        .collect();
    for algorithm in Algorithm::ALL {
        let ssa = Ssa::new(&network, algorithm);
        let noise = Noise::new(seed(200)).fork(&format!("{algorithm:?}"));
        let start = Start::State(&[3, 1, 0]);
        let seen = ssa.counts_at(start, &[0.4, 1.1], 0..40_000, noise, Control::default()).unwrap();
        let state = |row: usize, t: usize| 3 * seen[[row, t, 1]] as usize + seen[[row, t, 2]] as usize;
        let mut counts = vec![0; 225];
        (0..40_000).for_each(|row| counts[15 * state(row, 0) + state(row, 1)] += 1);
        family.push(format!("{algorithm:?}"), chi_squared(&counts, &joint).unwrap().p_value);
        // First event: its time, and which reaction.
        let paths = ssa.paths(start, 100.0, 0..2000, noise.fork("first"), Control::default()).unwrap();
        let times: Vec<f64> = paths.iter().map(|path| path.times[0]).collect();
        let mut rates = [0.0; 6];
        network.propensities_into(0.0, &[3, 1, 0], &mut rates).unwrap();
        let total: f64 = rates.iter().sum();
        let law = |t: f64| -(-total * t).exp_m1();
        family.push(format!("{algorithm:?} time"), kolmogorov_smirnov(&times, law).unwrap().p_value);
        let mut counts = [0; 6];
        paths.iter().for_each(|path| counts[path.reactions[0] as usize] += 1);
        let law = rates.map(|rate| rate / total);
        family.push(format!("{algorithm:?} reaction"), chi_squared(&counts, &law).unwrap().p_value);
    }
    family.assert();
}

/// A species that represses its own making, from few to many: bounds that fall where counts rise.
#[test]
fn feedback_has_the_law_of_its_birth_and_death_chain() {
    // False alarms: one run in a thousand for the whole test.
    let mut family = Family::new(1e-3).unwrap();
    let network = Network::new(
        ["X"],
        vec![
            Reaction::new("make", [], [("X", 1)], Rate::hill_repression(60.0, 12.0, 3.0, "X")),
            Reaction::new("lose", [("X", 1)], [], Rate::michaelis_menten(40.0, 20.0, "X")),
        ],
    )
    .unwrap();
    let n = |x: u32| f64::from(x);
    let up = (0..100).map(|x| 60.0 / (1.0 + (n(x) / 12.0).powi(3))).collect();
    let down = (1..=100).map(|x| 40.0 * n(x) / (20.0 + n(x))).collect();
    let chain = BirthDeath::new(up, down).unwrap();
    let mut start = vec![0.0; 101];
    start[0] = 1.0;
    let law = evolve(&chain, &start, 0.5, 1e-13).unwrap().values;
    for algorithm in Algorithm::ALL {
        let ssa = Ssa::new(&network, algorithm);
        let noise = Noise::new(seed(205)).fork(&format!("{algorithm:?}"));
        let seen = ssa.counts_at(Start::State(&[0]), &[0.5], 0..30_000, noise, Control::default()).unwrap();
        let mut counts = vec![0; 101];
        seen.iter().for_each(|&x| counts[x as usize] += 1);
        family.push(format!("{algorithm:?}"), chi_squared(&counts, &law).unwrap().p_value);
    }
    family.assert();
}

#[test]
fn rates_in_time_have_the_law_of_the_chain_on_its_clock() {
    // False alarms: one run in a thousand for the whole test.
    let mut family = Family::new(1e-3).unwrap();
    // One molecule on the cyclic chain, every rate times β(t).
    let names = ["A", "B", "C"];
    let pairs = [(0, 1, 1.0), (0, 2, 0.5), (1, 0, 0.25), (1, 2, 0.75), (2, 0, 1.0), (2, 1, 0.5)];
    let moves = pairs.map(|(i, j, c)| {
        Reaction::new(&format!("{i}{j}"), [(names[i], 1)], [(names[j], 1)], modulated(names[i], c))
    });
    let network = Network::new(names, moves.to_vec()).unwrap();
    let (t1, t2) = (0.35, 1.7);
    let first = Kernel::of(&cyclic(), clock(t1), 1e-14).unwrap();
    let second = Kernel::of(&cyclic(), clock(t2) - clock(t1), 1e-14).unwrap();
    for algorithm in IN_TIME {
        let noise = Noise::new(seed(210)).fork(&format!("{algorithm:?}"));
        let ssa = Ssa::new(&network, algorithm);
        let start = Start::State(&[1, 0, 0]);
        let seen = ssa.counts_at(start, &[t1, t2], 0..30_000, noise, Control::default()).unwrap();
        let state = |row: usize, t: usize| (0..3).find(|&i| seen[[row, t, i]] == 1).unwrap();
        let mut counts = vec![0; 9];
        (0..30_000).for_each(|row| counts[3 * state(row, 0) + state(row, 1)] += 1);
        let law: Vec<f64> =
            (0..9).map(|c| first.matrix()[[0, c / 3]] * second.matrix()[[c / 3, c % 3]]).collect();
        family.push(format!("{algorithm:?}"), chi_squared(&counts, &law).unwrap().p_value);
    }
    // Arrivals at 5 β(t) beside deaths that know nothing of time: Poisson laws.
    let arrive = Reaction::new("arrive", [], [("X", 1)], modulated("one", 5.0));
    let die = Reaction::new("die", [("X", 1)], [], Rate::mass_action(2.0, Ordered));
    let network = Network::new(["X", "one"], vec![arrive, die]).unwrap();
    let t = 1.3;
    // ∫ 5 β(s) e^{−2(t−s)} ds by Simpson's rule.
    let steps = 2000;
    let h = t / f64::from(steps);
    let mean: f64 = (0..=steps)
        .map(|i| {
            let s = h * f64::from(i);
            let weight = if i == 0 || i == steps { 1.0 } else { 2.0 + 2.0 * f64::from(i % 2) };
            weight * h / 3.0 * 5.0 * beta(s) * (-2.0 * (t - s)).exp()
        })
        .sum();
    let mut law = vec![(-mean).exp()];
    (1..30).for_each(|k| law.push(law[k - 1] * mean / k as f64));
    law.push(1.0 - law.iter().sum::<f64>());
    for algorithm in IN_TIME {
        let noise = Noise::new(seed(211)).fork(&format!("{algorithm:?}"));
        let ssa = Ssa::new(&network, algorithm);
        let seen = ssa.counts_at(Start::State(&[0, 1]), &[t], 0..30_000, noise, Control::default()).unwrap();
        let mut counts = vec![0; 31];
        seen.slice(s![.., 0, 0]).iter().for_each(|&x| counts[(x as usize).min(30)] += 1);
        family.push(format!("{algorithm:?} arrivals"), chi_squared(&counts, &law).unwrap().p_value);
    }
    family.assert();
}

/// A gene that is on or off, and what it makes: the model with which GillesPy2's issue 917 was found.
#[test]
fn the_telegraph_has_its_moments() {
    let (on, off, make, lose) = (0.1, 1.0, 20.0, 0.5);
    let network = Network::new(
        ["off", "on", "protein"],
        vec![
            Reaction::new("on", [("off", 1)], [("on", 1)], Rate::mass_action(on, Ordered)),
            Reaction::new("off", [("on", 1)], [("off", 1)], Rate::mass_action(off, Ordered)),
            Reaction::new("make", [], [("protein", 1)], Rate::mass_action(make, Ordered))
                .with_catalysts([("on", 1)]),
            Reaction::new("lose", [("protein", 1)], [], Rate::mass_action(lose, Ordered)),
        ],
    )
    .unwrap();
    let (r, share) = (on + off, on / (on + off));
    let is_on = |t: f64| share * -(-r * t).exp_m1();
    // m' = make · is_on − lose · m.
    let mean = |t: f64| {
        make * share * ((1.0 - (-lose * t).exp()) / lose - ((-lose * t).exp() - (-r * t).exp()) / (r - lose))
    };
    // By the generator: two states in closed form, and the pair (gene, protein) cut off at 250 proteins.
    let gene = Refresh::two_state(on, off).unwrap();
    let most = 250_u32;
    let index = |gene: u32, protein: u32| 2 * protein + gene;
    let rates = (0..=most).flat_map(|p| {
        let n = f64::from(p);
        let mut rates = vec![(index(0, p), index(1, p), on), (index(1, p), index(0, p), off)];
        if p < most {
            rates.push((index(1, p), index(1, p + 1), make));
        }
        if p > 0 {
            rates.extend([0, 1].map(|g| (index(g, p), index(g, p - 1), lose * n)));
        }
        rates
    });
    let chain = Sparse::new(2 * most as usize + 2, rates).unwrap();
    let mut start = vec![0.0; 2 * most as usize + 2];
    start[0] = 1.0;
    // False alarms: one run in a thousand for the whole test.
    let mut family = Family::new(1e-3).unwrap();
    for t in [0.5, 3.0, 40.0] {
        let law = evolve(&chain, &start, t, 1e-15).unwrap().values;
        let expect = |f: &dyn Fn(f64, f64) -> f64| -> f64 {
            law.iter().zip(0..).map(|(p, i): (_, u32)| p * f(f64::from(i % 2), f64::from(i / 2))).sum()
        };
        assert_near(gene.probability(t, 0, 1).unwrap(), is_on(t), 1e-15);
        assert_near(expect(&|g, _| g), is_on(t), 1e-12);
        let exact = mean(t);
        assert_near(expect(&|_, p| p), exact, 1e-12 * exact.max(1.0));
        let central = |j: i32| expect(&|_, p| (p - exact).powi(j));
        let protein =
            Moments { mean: exact, std_dev: central(2).sqrt(), kurtosis: central(4) / central(2).powi(2) };
        let p = is_on(t);
        let gene =
            Moments { mean: p, std_dev: (p * (1.0 - p)).sqrt(), kurtosis: 1.0 / (p * (1.0 - p)) - 3.0 };
        for algorithm in Algorithm::ALL {
            let noise = Noise::new(seed(220)).fork(&format!("{algorithm:?} {t}"));
            let ssa = Ssa::new(&network, algorithm);
            let start = Start::State(&[1, 0, 0]);
            let seen = ssa.counts_at(start, &[t], 0..10_000, noise, Control::default()).unwrap();
            for (species, law) in [(1, &gene), (2, &protein)] {
                let sample: Vec<f64> = seen.slice(s![.., 0, species]).iter().map(|&x| f64::from(x)).collect();
                let found = scores(&sample, law).unwrap();
                family.push(format!("{algorithm:?} Z of {species} at {t}"), found.z_p_value());
                // The limit of Y needs far more rows than the kurtosis.
                if law.kurtosis < 15.0 {
                    family.push(format!("{algorithm:?} Y of {species} at {t}"), found.y_p_value());
                }
            }
        }
    }
    family.assert();
}

#[test]
fn a_reset_path_goes_on_as_one_that_starts_there() {
    // Decay of X with a dose: binomial laws. False alarms: one run in a thousand for the whole test.
    let mut family = Family::new(1e-3).unwrap();
    let decay = Reaction::new("decay", [("X", 1)], [], Rate::mass_action(0.5, Ordered));
    let network = Network::new(["X"], vec![decay]).unwrap();
    let (n, p) = (12, (-0.5_f64).exp());
    let law: Vec<f64> = (0..=n)
        .map(|k| {
            let ways = (0..k).map(|i| f64::from(n - i) / f64::from(i + 1)).product::<f64>();
            ways * p.powi(k) * (1.0 - p).powi(n - k)
        })
        .collect();
    for algorithm in Algorithm::ALL {
        let ssa = Ssa::new(&network, algorithm);
        let noise = Noise::new(seed(230)).fork(&format!("{algorithm:?}"));
        let mut counts = vec![0; n as usize + 1];
        for row in 0..5000 {
            let mut walk = ssa.walk(&[3], row, noise).unwrap();
            walk.advance(0.8).unwrap();
            walk.set_counts(&[n as u32]).unwrap();
            walk.advance(1.8).unwrap();
            counts[walk.counts()[0] as usize] += 1;
        }
        family.push(format!("{algorithm:?}"), chi_squared(&counts, &law).unwrap().p_value);
    }
    family.assert();
}
