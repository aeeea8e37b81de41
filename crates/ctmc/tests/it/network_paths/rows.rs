//! Agreement of views, and independence of rows.

use ctmc::network::Counting::{Combinations, Ordered};
use ctmc::network::{Algorithm, Network, Rate, Reaction, Ssa, Start};
use numeric::estimate::MeanAccumulator;
use numeric::ndarray::{Array2, s};
use numeric::{Control, Error, Noise};

use super::{IN_TIME, modulated};

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
