//! Networks: rates by hand, what depends on what, and what is refused.

use ctmc::network::Counting::{Combinations, Ordered};
use ctmc::network::{Network, Rate, RateFunction, Reaction};
use numeric::Error;

use crate::assert_near;

/// A reaction that makes one A at the rate, in a network of A and B.
fn makes(rate: Rate) -> Result<Network, Error> {
    Network::new(["A", "B"], vec![Reaction::new("make", [], [("A", 1)], rate)])
}

/// What is wrong with a reaction: the parameter and the species.
#[track_caller]
fn refused(network: Result<impl std::fmt::Debug, Error>) -> (&'static str, Option<String>) {
    match network.unwrap_err() {
        Error::Reaction { parameter, species, .. } => (parameter, species),
        other => panic!("{other} is another kind of error"),
    }
}

#[test]
fn mass_action_counts_sets_by_the_convention_it_names() {
    // 2 A + B + 3 C, and D as a catalyst of order 2: sets by enumeration.
    let network = |counting| {
        let reaction =
            Reaction::new("r", [("A", 2), ("C", 3), ("B", 1)], [], Rate::mass_action(0.5, counting));
        Network::new(["A", "B", "C", "D"], vec![reaction.with_catalysts([("D", 2)])]).unwrap()
    };
    let (ordered, combinations) = (network(Ordered), network(Combinations));
    for counts in [[5, 4, 6, 3], [2, 1, 3, 2], [1, 4, 6, 3], [5, 4, 2, 3], [5, 4, 6, 1], [5, 0, 6, 3], [0; 4]]
    {
        let [a, b, c, d] = counts;
        let pairs = |n: u32| (0..n).flat_map(|i| (0..i).map(move |j| (i, j))).count() as f64;
        let triples = |n: u32| (0..n).map(pairs).sum::<f64>();
        let sets = pairs(a) * f64::from(b) * triples(c) * pairs(d);
        assert_near(combinations.propensity(0, 0.0, &counts).unwrap(), 0.5 * sets, 1e-12 * sets);
        assert_eq!(ordered.propensity(0, 0.0, &counts).unwrap(), 0.5 * sets * 24.0);
    }
    assert_eq!(ordered.orders(0), [(0, 2), (1, 1), (2, 3), (3, 2)]);
    assert_eq!(ordered.changes(0), [(0, -2), (1, -1), (2, -3)]);
    // No set is a number below 0, of either sign; the greatest counts are numbers.
    for n in [0, 1] {
        let rate = ordered.propensity(0, 0.0, &[n; 4]).unwrap();
        assert!(rate == 0.0 && rate.is_sign_positive());
    }
    assert!(ordered.propensity(0, 0.0, &[u32::MAX; 4]).unwrap() > 1e75);
}

#[test]
fn a_species_among_reactants_and_catalysts_counts_as_both() {
    let given = [("A", 1), ("A", 1)];
    let reaction = |catalysts: &[(&str, u32)]| {
        let mut reaction = Reaction::new("r", given, [("A", 5), ("B", 1)], Rate::mass_action(1.0, Ordered));
        reaction.catalysts = catalysts.iter().map(|&(name, count)| (name.to_owned(), count)).collect();
        Network::new(["A", "B"], vec![reaction]).unwrap()
    };
    let network = reaction(&[]);
    assert_eq!((network.orders(0), network.changes(0)), (&[(0, 2)][..], &[(0, 3), (1, 1)][..]));
    let network = reaction(&[("A", 1)]);
    assert_eq!((network.orders(0), network.propensity(0, 0.0, &[4, 0])), (&[(0, 3)][..], Ok(24.0)));
}

#[test]
fn saturating_laws_have_their_limits() {
    let at = |rate: Rate, n| makes(rate).unwrap().propensity(0, 0.0, &[0, n]).unwrap();
    let mm = || Rate::michaelis_menten(3.0, 20.0, "B");
    let up = |h| Rate::hill_activation(3.0, 20.0, h, "B");
    let down = |h| Rate::hill_repression(3.0, 20.0, h, "B");
    for (n, share) in [(0, 0.0), (20, 0.5), (60, 0.75)] {
        assert_eq!(at(mm(), n), 3.0 * share);
    }
    for n in [0, 1, 7, 20, 300, u32::MAX] {
        for h in [0.5, 1.0, 2.0, 4.0, 300.0] {
            let (a, b) = (at(up(h), n), at(down(h), n));
            assert!((0.0..=3.0).contains(&a) && (0.0..=3.0).contains(&b));
            assert_near(a + b, 3.0, 1e-15);
        }
        let power = (f64::from(n) / 20.0).powi(4);
        assert_near(at(up(4.0), n), 3.0 * power / (1.0 + power), 1e-14);
        assert_near(at(up(1.0), n), at(mm(), n), 1e-15);
    }
    assert_eq!((at(up(2.0), 0), at(down(2.0), 0)), (0.0, 3.0));
    // Catalysts multiply.
    let enzyme = Reaction::new("r", [], [], mm()).with_catalysts([("A", 1)]);
    let network = Network::new(["A", "B"], vec![enzyme]).unwrap();
    assert_eq!(network.propensity(0, 0.0, &[7, 20]), Ok(7.0 * 1.5));
    assert_eq!((network.reads(0), network.changes(0)), (&[0, 1][..], &[][..]));
}

#[test]
fn functions_see_what_they_declare_in_that_order() {
    let names: Vec<String> = (0..20).map(|i| format!("S{i}")).collect();
    let counts: Vec<u32> = (0..20).map(|i| i * i).collect();
    let digits = |t: f64, n: &[u32]| n.iter().fold(t, |sum, &n| 100.0 * sum + f64::from(n));
    let few = Rate::function(["S7", "S2", "S9"], digits);
    // More than are kept on the stack.
    let all = std::array::from_fn::<String, 20, _>(|i| names[19 - i].clone());
    let many = Rate::function(all.each_ref().map(String::as_str), |_, n| f64::from(n[0]) - f64::from(n[19]));
    let reactions = vec![Reaction::new("few", [], [], few), Reaction::new("many", [], [], many)];
    let network = Network::new(names, reactions).unwrap();
    assert_eq!(network.propensity(0, 3.0, &counts), Ok(3_490_481.0));
    assert_eq!(network.propensity(1, 3.0, &counts), Ok(361.0));
    assert_eq!(network.reads(0), [2, 7, 9]);
    assert!(!network.is_time_dependent());
    let timed = |f: RateFunction| makes(Rate::Function(f)).unwrap().is_time_dependent();
    assert!(timed(RateFunction::new([], |t, _| t).with_bound(1.0, |_, to, _| to)));
    assert!(timed(
        RateFunction::new([], |t, _| t).with_integral(|from, to, _| 0.5 * (to - from) * (to + from))
    ));
}

#[test]
fn the_dependency_graph_is_what_comparing_all_rates_finds() {
    let network = Network::new(
        ["A", "B", "C", "D"],
        vec![
            Reaction::new("convert", [("A", 1)], [("B", 1)], Rate::mass_action(1.0, Ordered)),
            Reaction::new("pair", [("B", 2)], [("C", 1)], Rate::mass_action(1.0, Ordered)),
            Reaction::new("repress", [], [("D", 1)], Rate::hill_repression(5.0, 3.0, 2.0, "C")),
            Reaction::new("copy", [("D", 1)], [("D", 2)], Rate::mass_action(1.0, Ordered))
                .with_catalysts([("A", 1)]),
            Reaction::new("idle", [("D", 1)], [("D", 1)], Rate::mass_action(1.0, Ordered)),
            Reaction::new("any", [("C", 1)], [], Rate::function(["C", "B"], |_, n| f64::from(n[0] * n[1]))),
        ],
    )
    .unwrap();
    let start = [7, 8, 9, 5];
    let rates = |counts: &[u32]| {
        let mut rates = [0.0; 6];
        network.propensities_into(0.0, counts, &mut rates).unwrap();
        rates
    };
    for r in 0..6 {
        let mut counts = start;
        network.fire(r, &mut counts).unwrap();
        let (before, after) = (rates(&start), rates(&counts));
        let changed: Vec<u32> = (0..6).filter(|&s| before[s as usize] != after[s as usize]).collect();
        assert_eq!(network.affected(r), changed, "{r}");
    }
    assert_eq!(network.readers(1), [1, 5]);
    assert_eq!(network.changes(4), []);
}

#[test]
fn impossible_reactions_are_errors_that_name_them_and_change_nothing() {
    let reaction = |rate| Reaction::new("take", [("A", 1), ("B", 2)], [], rate);
    // A rate that does not vanish without B.
    let network = Network::new(["A", "B"], vec![reaction(Rate::michaelis_menten(1.0, 1.0, "A"))]).unwrap();
    let mut counts = [4, 3];
    network.fire(0, &mut counts).unwrap();
    assert_eq!((counts, network.propensity(0, 0.0, &counts)), ([3, 1], Ok(0.75)));
    let error = network.fire(0, &mut counts).unwrap_err();
    assert_eq!(counts, [3, 1]);
    let text = error.to_string();
    assert!(text.contains("`take`") && text.contains("`B`") && text.contains("-1"), "{text}");
    // Upwards as well.
    let grow = Reaction::new("grow", [], [("A", 2), ("B", 3)], Rate::mass_action(1.0, Ordered));
    let network = Network::new(["A", "B"], vec![grow]).unwrap();
    let mut counts = [0, u32::MAX - 2];
    assert_eq!(refused(network.fire(0, &mut counts)), ("count", Some("B".into())));
    assert_eq!(counts, [0, u32::MAX - 2]);
}

#[test]
fn what_is_not_a_rate_is_refused() {
    for bad in [-1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(refused(makes(Rate::mass_action(bad, Ordered))).0, "constant");
        assert_eq!(refused(makes(Rate::michaelis_menten(bad, 1.0, "B"))).0, "max");
        assert_eq!(refused(makes(Rate::michaelis_menten(1.0, bad, "B"))).0, "half");
        assert_eq!(refused(makes(Rate::hill_activation(1.0, 1.0, bad, "B"))).0, "exponent");
        assert_eq!(refused(makes(Rate::hill_repression(bad, 1.0, 1.0, "B"))).0, "max");
        assert_eq!(refused(makes(Rate::hill_repression(1.0, bad, 1.0, "B"))).0, "half");
        let network = makes(Rate::function(["A"], move |_, _| bad)).unwrap();
        assert_eq!(refused(network.propensity(0, 0.0, &[0, 0])).0, "propensity");
        assert_eq!(refused(network.propensities_into(0.0, &[0, 0], &mut [0.0])).0, "propensity");
        let bound = RateFunction::new([], |_, _| 1.0).with_bound(bad, |_, _, _| 1.0);
        assert_eq!(refused(makes(Rate::Function(bound))).0, "span");
    }
    for zero in [Rate::michaelis_menten(1.0, 0.0, "B"), Rate::hill_activation(1.0, 1.0, 0.0, "B")] {
        assert!(makes(zero).is_err());
    }
    assert!(makes(Rate::mass_action(0.0, Ordered)).unwrap().propensity(0, 0.0, &[1, 1]) == Ok(0.0));
    // Infinite by overflow.
    let huge = Reaction::new("huge", [("A", 40)], [], Rate::mass_action(1.0, Ordered));
    let network = Network::new(["A"], vec![huge]).unwrap();
    assert_eq!(refused(network.propensity(0, 0.0, &[u32::MAX])).0, "propensity");
}

#[test]
fn what_is_not_a_network_is_refused() {
    let action = || Rate::mass_action(1.0, Ordered);
    let network = |reactions| Network::new(["A", "B"], reactions);
    let unknown = Some("Z".to_owned());
    assert_eq!(
        refused(network(vec![Reaction::new("r", [("Z", 1)], [], action())])),
        ("reactants", unknown.clone())
    );
    assert_eq!(
        refused(network(vec![Reaction::new("r", [], [("Z", 1)], action())])),
        ("products", unknown.clone())
    );
    let catalysed = Reaction::new("r", [], [], action()).with_catalysts([("Z", 1)]);
    assert_eq!(refused(network(vec![catalysed])), ("catalysts", unknown.clone()));
    assert_eq!(refused(makes(Rate::michaelis_menten(1.0, 1.0, "Z"))), ("substrate", unknown.clone()));
    assert_eq!(refused(makes(Rate::hill_activation(1.0, 1.0, 1.0, "Z"))), ("activator", unknown.clone()));
    assert_eq!(refused(makes(Rate::hill_repression(1.0, 1.0, 1.0, "Z"))), ("repressor", unknown.clone()));
    assert_eq!(refused(makes(Rate::function(["Z"], |_, _| 1.0))), ("reads", unknown));
    for count in [0, 1 << 31] {
        let reaction = Reaction::new("r", [("A", count)], [], action());
        assert_eq!(refused(network(vec![reaction])), ("reactants", Some("A".into())));
    }
    let doubled = Reaction::new("r", [("B", i32::MAX as u32), ("B", 2)], [], action());
    assert_eq!(refused(network(vec![doubled])), ("change", Some("B".into())));
    let order_2 =
        Reaction::new("r", [], [], Rate::michaelis_menten(1.0, 1.0, "A")).with_catalysts([("B", 2)]);
    assert_eq!(refused(network(vec![order_2])), ("catalysts", Some("B".into())));
    let twice = vec![Reaction::new("r", [], [], action()), Reaction::new("r", [], [], action())];
    assert!(matches!(network(twice), Err(Error::Entry { parameter: "reactions", index: 1, .. })));
    assert!(matches!(
        Network::new(["A", "B", "A"], vec![]),
        Err(Error::Entry { parameter: "species", index: 2, .. })
    ));
    // Nothing is a network, and states are given by names.
    let empty = Network::new::<&str>([], vec![]).unwrap();
    assert_eq!(empty.propensities_into(0.0, &[], &mut []), Ok(()));
    let network = network(vec![]).unwrap();
    assert_eq!(network.counts([("B", 3)]).unwrap(), [0, 3]);
    assert!(network.counts([("B", 3), ("B", 3)]).is_err() && network.counts([("C", 3)]).is_err());
    assert_eq!((network.species_index("B"), network.species_index("C")), (Some(1), None));
}
