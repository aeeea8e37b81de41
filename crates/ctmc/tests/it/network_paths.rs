//! Exact paths of networks: one law for all algorithms, agreement of views, independence of rows, ends and errors.

use std::f64::consts::TAU;
use std::sync::atomic::AtomicBool;

use ctmc::network::Counting::{Combinations, Ordered};
use ctmc::network::{Algorithm, Network, Rate, RateFunction, Reaction, Ssa, Start};
use ctmc::{BirthDeath, Dense, Kernel, Refresh, Sparse, evolve};
use numeric::estimate::MeanAccumulator;
use numeric::ndarray::{Array2, array, s};
use numeric::{Control, Error, Noise};
use verify::{Family, Moments, chi_squared, kolmogorov_smirnov, scores, seed};

use crate::{assert_near, cyclic};

/// Those for networks whose rates depend on time.
const IN_TIME: [Algorithm; 2] = [Algorithm::NextReaction, Algorithm::Thinning];

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

/// β(t) = 1 + 0.9 sin 2πt, whose integral from 0 is B(t).
fn beta(t: f64) -> f64 {
    1.0 + 0.9 * (TAU * t).sin()
}

fn clock(t: f64) -> f64 {
    t + 0.9 * (1.0 - (TAU * t).cos()) / TAU
}

/// c β(t), with a bound that is not a constant, and the integral.
fn modulated(reads: &str, c: f64) -> Rate {
    let bound = move |from: f64, to: f64, n: &[u32]| {
        let greatest =
            if (from - 0.25).floor() < (to - 0.25).floor() { 1.9 } else { beta(from).max(beta(to)) };
        c * greatest * f64::from(n[0])
    };
    Rate::Function(
        RateFunction::new([reads], move |t, n| c * beta(t) * f64::from(n[0]))
            .with_bound(0.1, bound)
            .with_integral(move |from, to, n| c * (clock(to) - clock(from)) * f64::from(n[0])),
    )
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

/// A network in which everything happens, in time or not.
fn lively(in_time: bool) -> Network {
    let make = if in_time { modulated("A", 1.0) } else { Rate::mass_action(1.0, Ordered) };
    Network::new(
        ["A", "B"],
        vec![
            Reaction::new("make", [], [("B", 2)], make).with_catalysts(if in_time {
                [("A", 1)]
            } else {
                [("A", 2)]
            }),
            Reaction::new("swap", [("B", 1)], [("A", 1)], Rate::michaelis_menten(9.0, 4.0, "B")),
            Reaction::new("lose", [("A", 1)], [], Rate::mass_action(0.3, Ordered)).with_catalysts([("A", 1)]),
            Reaction::new("in", [], [("A", 1)], Rate::hill_repression(2.0, 9.0, 2.0, "A")),
        ],
    )
    .unwrap()
}

/// Every algorithm with a network that it can simulate.
fn cases() -> Vec<(Algorithm, Network)> {
    let still = Algorithm::ALL.map(|algorithm| (algorithm, lively(false)));
    let moving = IN_TIME.map(|algorithm| (algorithm, lively(true)));
    still.into_iter().chain(moving).collect()
}

#[test]
fn events_and_grid_agree_and_rows_do_not_depend_on_each_other() {
    let (noise, none) = (Noise::new(8), Control::default());
    let times = [0.0, 0.1, 0.1, 0.5, 0.83, 2.0];
    let start = Array2::from_shape_fn((150, 2), |(i, j)| (i % 7 + j) as u32);
    for (algorithm, network) in cases() {
        let ssa = Ssa::new(&network, algorithm);
        let paths = ssa.paths(Start::States(&start), 2.0, 0..150, noise, none).unwrap();
        let seen = ssa.counts_at(Start::States(&start), &times, 0..150, noise, none).unwrap();
        for (i, path) in paths.iter().enumerate() {
            assert!(path.times.is_sorted() && path.times.iter().all(|&t| (0.0..=2.0).contains(&t)));
            for (t, &time) in times.iter().enumerate() {
                assert_eq!(path.counts_at(&network, time).unwrap(), seen.slice(s![i, t, ..]).to_vec());
            }
        }
        assert!(paths.iter().map(|path| path.times.len()).sum::<usize>() > 500);
        // Other rows, other threads: the same bits.
        let part = start.slice(s![90.., ..]).to_owned();
        assert_eq!(ssa.paths(Start::States(&part), 2.0, 90..150, noise, none).unwrap(), paths[90..]);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        assert_eq!(
            pool.install(|| ssa.paths(Start::States(&start), 2.0, 0..150, noise, none)).unwrap(),
            paths
        );
        // A shorter run is the beginning of a longer one, and a grid may end at an event.
        let short = ssa.paths(Start::States(&start), 0.9, 0..150, noise, none).unwrap();
        for (short, long) in short.iter().zip(&paths) {
            assert_eq!(short.times, long.times[..short.times.len()]);
            assert!(long.times.get(short.times.len()).is_none_or(|&next| next > 0.9));
        }
        let event = paths.iter().find_map(|path| path.times.first().copied()).unwrap();
        let at = ssa.counts_at(Start::States(&start), &[event], 0..150, noise, none).unwrap();
        for (path, at) in paths.iter().zip(at.outer_iter()) {
            assert_eq!(path.counts_at(&network, event).unwrap(), at.row(0).to_vec());
        }
        // A walk asked in small steps is the same path.
        let mut walk = ssa.walk(&start.row(5).to_vec(), 5, noise).unwrap();
        let mut events = vec![];
        for step in 1..=400 {
            while let Some(event) = walk.next_event(f64::from(step) * 0.005).unwrap() {
                events.push(event);
            }
        }
        let path: Vec<(f64, usize)> =
            paths[5].times.iter().zip(&paths[5].reactions).map(|(&t, &r)| (t, r as usize)).collect();
        assert_eq!(events, path);
        assert_eq!((walk.time(), walk.events()), (2.0, path.len() as u64));
        // Stops are events of the same paths.
        let stops = ssa.until(Start::States(&start), |n| n[0] + n[1] >= 9, 2.0, 0..150, noise, none).unwrap();
        for (stop, path) in stops.iter().zip(&paths) {
            let at = |time| path.counts_at(&network, time).unwrap();
            assert_eq!(stop.counts, at(stop.time.unwrap_or(2.0)));
            let before = path.times.iter().copied().filter(|&t| stop.time.is_none_or(|stop| t < stop));
            assert!(before.chain([0.0]).all(|t| at(t).iter().sum::<u32>() < 9 || stop.time == Some(0.0)));
            assert_eq!(stop.time.is_some(), stop.counts.iter().sum::<u32>() >= 9);
        }
    }
}

/// Mass action of at most two molecules, whose rows are simulated side by side where they are many: births, deaths,
/// pairs of one and of two kinds, catalysts, a reaction that changes nothing.
fn elementary() -> Network {
    let action = |c| Rate::mass_action(c, Combinations);
    Network::new(
        ["A", "B", "C"],
        vec![
            Reaction::new("in", [], [("A", 3)], action(4.0)),
            Reaction::new("pair", [("A", 2)], [("B", 1)], action(0.5)),
            Reaction::new("idle", [("B", 1)], [("B", 1)], action(3.0)),
            Reaction::new("join", [("A", 1), ("B", 1)], [("C", 1)], action(0.3)),
            Reaction::new("copy", [], [("C", 1)], action(0.1)).with_catalysts([("C", 2)]),
            Reaction::new("crowd", [("C", 1)], [], action(0.2)).with_catalysts([("C", 1)]),
            Reaction::new("out", [("B", 1)], [], action(1.0)),
        ],
    )
    .unwrap()
}

#[test]
fn rows_side_by_side_are_the_rows_alone() {
    let (network, noise, none) = (elementary(), Noise::new(12), Control::default());
    let ssa = Ssa::new(&network, Algorithm::Direct);
    let times = [0.0, 0.2, 0.2, 1.0, 3.5];
    let start = Array2::from_shape_fn((777, 3), |(i, j)| if i % 5 == 0 { 0 } else { (i % (7 + j)) as u32 });
    let paths = ssa.paths(Start::States(&start), 3.5, 40..817, noise, none).unwrap();
    let seen = ssa.counts_at(Start::States(&start), &times, 40..817, noise, none).unwrap();
    for (path, seen) in paths.iter().zip(seen.outer_iter()) {
        for (&time, seen) in times.iter().zip(seen.rows()) {
            assert_eq!(path.counts_at(&network, time).unwrap(), seen.to_vec());
        }
    }
    // Few rows are simulated one by one.
    let part = start.slice(s![300..310, ..]).to_owned();
    let few = ssa.counts_at(Start::States(&part), &times, 340..350, noise, none).unwrap();
    assert_eq!(few, seen.slice(s![300..310, .., ..]));
    // Times at which the first and the last path have an event.
    let events = [paths[0].times[0], *paths[0].times.last().unwrap()];
    let at = ssa.counts_at(Start::States(&start), &events, 40..817, noise, none).unwrap();
    for (path, seen) in paths.iter().zip(at.outer_iter()) {
        for (&time, seen) in events.iter().zip(seen.rows()) {
            assert_eq!(path.counts_at(&network, time).unwrap(), seen.to_vec());
        }
    }
    // As many events as are allowed, in the row that has most.
    let most = paths.iter().map(|path| path.times.len() as u64).max().unwrap();
    let limited =
        |max_events| Ssa { max_events, ..ssa }.counts_at(Start::States(&start), &times, 40..817, noise, none);
    assert_eq!(limited(most).unwrap(), seen);
    let first = paths.iter().position(|path| path.times.len() as u64 == most).unwrap() as u64;
    assert!(matches!(limited(most - 1), Err(Error::Stalled { row, .. }) if row == 40 + first));
}

#[test]
fn counts_end_where_they_cannot_be_kept() {
    // Up to the greatest count, and not beyond; side by side as alone.
    let birth = Reaction::new("birth", [], [("X", 1)], Rate::mass_action(1.0, Ordered));
    let death = Reaction::new("death", [("X", 1)], [], Rate::mass_action(5e-11, Ordered));
    let network = Network::new(["X"], vec![birth, death]).unwrap();
    let (noise, none) = (Noise::new(3), Control::default());
    let ssa = Ssa::new(&network, Algorithm::Direct);
    let run =
        |room: u32, rows| ssa.counts_at(Start::State(&[u32::MAX - room]), &[1.0, 30.0], rows, noise, none);
    let seen = run(1000, 0..100).unwrap();
    for row in [0, 57, 99] {
        assert_eq!(run(1000, row..row + 1).unwrap(), seen.slice(s![row as usize..row as usize + 1, .., ..]));
    }
    let alone: Vec<u64> = (0..100).filter(|&row| run(28, row..row + 1).is_err()).collect();
    assert!((5..95).contains(&alone.len()));
    let error = run(28, 0..100).unwrap_err();
    assert!(matches!(&error, Error::Reaction { species: Some(x), .. } if x == "X"), "{error}");
    assert!(run(28, 0..alone[0]).is_ok());
}

#[test]
fn moments_are_those_of_the_counts_for_any_split() {
    let (network, noise, none) = (lively(false), Noise::new(9), Control::default());
    let ssa = Ssa::new(&network, Algorithm::Rejection);
    let times = [0.3, 1.0];
    let of = |rows| ssa.moments_at(Start::State(&[3, 2]), &times, rows, noise, none).unwrap();
    let whole = of(10..500);
    let seen = ssa.counts_at(Start::State(&[3, 2]), &times, 10..500, noise, none).unwrap();
    let mut split = of(200..500);
    for ((t, species), sum) in split.indexed_iter_mut() {
        sum.merge(of(10..200)[[t, species]].clone()).unwrap();
        assert_eq!(sum, &whole[[t, species]]);
        let values: Vec<f64> = seen.slice(s![.., t, species]).iter().map(|&x| f64::from(x)).collect();
        assert_eq!(sum, &MeanAccumulator::from_values(10, &values).unwrap());
    }
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

#[test]
fn ends_of_paths() {
    let (noise, none) = (Noise::new(1), Control::default());
    let decay = Reaction::new("decay", [("X", 1)], [], Rate::mass_action(1.0, Ordered));
    let network = Network::new(["X"], vec![decay]).unwrap();
    let empty = Network::new(["X"], vec![]).unwrap();
    for algorithm in Algorithm::ALL {
        let ssa = Ssa::new(&network, algorithm);
        // All decay, and then nothing happens for ever.
        let paths = ssa.paths(Start::State(&[5]), 1e6, 0..100, noise, none).unwrap();
        assert!(paths.iter().all(|path| path.times.len() == 5));
        let rest = ssa.paths(Start::State(&[0]), 1e300, 0..10, noise, none).unwrap();
        assert!(rest.iter().all(|path| path.times.is_empty()));
        let at_once = ssa.paths(Start::State(&[5]), 0.0, 0..10, noise, none).unwrap();
        assert!(at_once.iter().all(|path| path.times.is_empty() && path.start == [5]));
        assert_eq!(ssa.counts_at(Start::State(&[5]), &[], 0..5, noise, none).unwrap().dim(), (5, 0, 1));
        assert_eq!(ssa.counts_at(Start::State(&[5]), &[1.0], 5..5, noise, none).unwrap().dim(), (0, 1, 1));
        assert_eq!(ssa.moments_at(Start::State(&[5]), &[], 0..5, noise, none).unwrap().dim(), (0, 1));
        let stop = ssa.until(Start::State(&[5]), |n| n[0] == 5, 1.0, 0..1, noise, none).unwrap().remove(0);
        assert_eq!((stop.time, stop.counts), (Some(0.0), vec![5]));
        let stop = ssa.until(Start::State(&[5]), |n| n[0] == 6, 1e3, 0..1, noise, none).unwrap().remove(0);
        assert_eq!((stop.time, stop.counts), (None, vec![0]));
        let still = Ssa::new(&empty, algorithm).paths(Start::State(&[7]), 1.0, 0..2, noise, none).unwrap();
        assert!(still.iter().all(|path| path.times.is_empty()));
        // Bad input.
        for bad in [-1.0, f64::NAN, f64::INFINITY] {
            assert!(ssa.paths(Start::State(&[5]), bad, 0..1, noise, none).is_err());
            assert!(ssa.counts_at(Start::State(&[5]), &[bad], 0..1, noise, none).is_err());
            assert!(ssa.until(Start::State(&[5]), |_| false, bad, 0..1, noise, none).is_err());
        }
        let mut walk = ssa.walk(&[5], 0, noise).unwrap();
        walk.advance(0.5).unwrap();
        assert!(walk.advance(0.4).is_err() && walk.set_counts(&[1, 2]).is_err());
        assert!(ssa.counts_at(Start::State(&[5]), &[1.0, 0.5], 0..1, noise, none).is_err());
        assert!(ssa.paths(Start::State(&[5, 5]), 1.0, 0..1, noise, none).is_err());
        assert!(ssa.paths(Start::States(&array![[5]]), 1.0, 0..2, noise, none).is_err());
        let stop = AtomicBool::new(true);
        let control = Control { cancel: Some(&stop), progress: None };
        assert_eq!(ssa.paths(Start::State(&[5]), 1.0, 0..1, noise, control), Err(Error::Cancelled));
    }
}

#[test]
fn explosions_and_impossible_rates_are_errors_and_not_hangs() {
    let (noise, none) = (Noise::new(1), Control::default());
    let network = |rate| Network::new(["X"], vec![Reaction::new("r", [("X", 1)], [("X", 2)], rate)]).unwrap();
    // 2 X → 3 X explodes in finite time.
    let pair = Reaction::new("grow", [("X", 2)], [("X", 3)], Rate::mass_action(1.0, Ordered));
    let exploding = Network::new(["X"], vec![pair]).unwrap();
    for algorithm in Algorithm::ALL {
        let ssa = Ssa { network: &exploding, algorithm, max_events: 10_000 };
        let error = ssa.counts_at(Start::State(&[5]), &[1e3], 3..200, noise, none).unwrap_err();
        assert!(
            matches!(error, Error::Stalled { row: 3, steps: 10_000, time, .. } if time < 10.0),
            "{error}"
        );
        // At most so many is not more.
        let birth = network(Rate::mass_action(1.0, Ordered));
        let few = Ssa { network: &birth, algorithm, max_events: 4 };
        assert!(few.until(Start::State(&[1]), |n| n[0] == 5, 1e3, 0..20, noise, none).is_ok());
        assert!(few.until(Start::State(&[1]), |n| n[0] == 6, 1e3, 0..20, noise, none).is_err());
        // A function that gives NaN, something negative or an infinity, at once or later.
        for bad in [f64::NAN, -1.0, f64::INFINITY] {
            for from in [1, 4] {
                let rate = Rate::function(["X"], move |_, n| if n[0] >= from { bad } else { 1.0 });
                let network = network(rate);
                let error = Ssa::new(&network, algorithm)
                    .paths(Start::State(&[1]), 1e3, 0..20, noise, none)
                    .unwrap_err();
                assert!(
                    matches!(&error, Error::Reaction { reaction, .. } if reaction == "r"),
                    "{algorithm:?} {error}"
                );
            }
        }
        // A count that would be negative.
        let take = Reaction::new("take", [("X", 2)], [], Rate::michaelis_menten(1.0, 1.0, "X"));
        let network = Network::new(["X"], vec![take]).unwrap();
        let error =
            Ssa::new(&network, algorithm).paths(Start::State(&[3]), 1e3, 0..5, noise, none).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("`take`") && text.contains("`X`"), "{text}");
        // Sums that overflow.
        let huge = |name: &str| Reaction::new(name, [], [("X", 1)], Rate::mass_action(1e308, Ordered));
        let network = Network::new(["X"], vec![huge("a"), huge("b")]).unwrap();
        let run = Ssa::new(&network, algorithm).paths(Start::State(&[0]), 1e-310, 0..1, noise, none);
        assert!(run.is_err() || algorithm == Algorithm::NextReaction);
    }
}

#[test]
fn rates_in_time_need_what_the_algorithm_needs() {
    let (noise, none) = (Noise::new(1), Control::default());
    let network = |f: RateFunction| {
        let make = Reaction::new("make", [], [("X", 1)], Rate::Function(f));
        Network::new(["X"], vec![make]).unwrap()
    };
    let run = |network: &Network, algorithm| {
        Ssa::new(network, algorithm).paths(Start::State(&[0]), 5.0, 0..50, noise, none)
    };
    let bounded = network(RateFunction::new([], |t, _| t).with_bound(1.0, |_, to, _| to));
    let integrated =
        network(RateFunction::new([], |t, _| t).with_integral(|s, t, _| 0.5 * (t - s) * (t + s)));
    for algorithm in Algorithm::ALL {
        assert_eq!(run(&bounded, algorithm).is_ok(), algorithm == Algorithm::Thinning);
        assert_eq!(run(&integrated, algorithm).is_ok(), algorithm == Algorithm::NextReaction);
    }
    // A bound that is none, and functions that are no numbers.
    let lying = network(RateFunction::new([], |t, _| t).with_bound(1.0, |from, _, _| from + 0.5));
    assert!(matches!(run(&lying, Algorithm::Thinning), Err(Error::Reaction { parameter: "propensity", .. })));
    let nan = network(RateFunction::new([], |t, _| t).with_bound(1.0, |_, _, _| f64::NAN));
    assert!(matches!(run(&nan, Algorithm::Thinning), Err(Error::Reaction { parameter: "bound", .. })));
    let nan = network(RateFunction::new([], |t, _| t).with_integral(|_, _, _| f64::NAN));
    assert!(matches!(run(&nan, Algorithm::NextReaction), Err(Error::Reaction { parameter: "integral", .. })));
    // Rates that are 0 from some time on: no more events, and no hang.
    let pulse = RateFunction::new([], |t, _| if t < 1.0 { 9.0 } else { 0.0 })
        .with_bound(0.5, |from, _, _| if from < 1.0 { 9.0 } else { 0.0 })
        .with_integral(|s, t, _| 9.0 * (t.min(1.0) - s.min(1.0)));
    let pulse = network(pulse);
    for algorithm in IN_TIME {
        let ssa = Ssa::new(&pulse, algorithm);
        let paths = ssa.paths(Start::State(&[0]), 1e4, 0..50, noise, none).unwrap();
        assert!(paths.iter().all(|path| path.times.iter().all(|&t| t < 1.0)));
        assert!(paths.iter().map(|path| path.times.len()).sum::<usize>() > 300);
    }
    let ssa = Ssa { network: &pulse, algorithm: Algorithm::Thinning, max_events: 1000 };
    let error = ssa.paths(Start::State(&[0]), 1e4, 7..8, noise, none).unwrap_err();
    assert!(matches!(error, Error::Stalled { row: 7, .. }), "{error}");
}
