//! Networks as text: what is written is read, and mistakes are shown where they are.

use ctmc::network::{Counting, Network, NetworkText, Rate, Reaction};
use numeric::Error;
use proptest::prelude::*;

#[test]
fn every_statement() {
    let text = r#"
        # a comment
        parameter k = 0.5e-3   # and another
        species "RNA (nuclear)" = 7
        species A = 100
        parameter "on rate" = .25
        species B
        bind: 2 A -> B @ mass(k, combinations)
        A+A->B @ mass(2, ordered)
        decay: A -> 0 @ mass(1)
        0 -> A @ mass("on rate")
        "make it": 0 -> 3 "RNA (nuclear)" with A + B @ mass(1e-2)
        sat: A -> B with B @ michaelis_menten(k, 30, A)
        up: 0 -> B @ hill_activation(8, 10, 2.5, A)
        down: 0 -> A @ hill_repression(8, 10, 2, B)
        species_made: 0 -> B @ mass(0)
    "#;
    let read = NetworkText::parse(text).unwrap();
    assert_eq!(read.parameters, [("k".into(), 5e-4), ("on rate".into(), 0.25)]);
    assert_eq!(read.network.species(), ["RNA (nuclear)", "A", "B"]);
    assert_eq!(read.counts, [7, 100, 0]);
    let names: Vec<&str> = read.network.reactions().iter().map(|r| r.name.as_str()).collect();
    let expected = ["bind", "A + A -> B", "decay", "0 -> A", "make it", "sat", "up", "down", "species_made"];
    assert_eq!(names, expected);
    let rates: Vec<f64> = (0..9).map(|r| read.network.propensity(r, 0.0, &[7, 100, 4]).unwrap()).collect();
    let hill = 8.0 / (1.0 + 10_f64.powf(-2.5));
    let exact = [
        5e-4 * 4950.0,
        2.0 * 9900.0,
        100.0,
        0.25,
        1e-2 * 400.0,
        4.0 * 5e-4 * 100.0 / 130.0,
        hill,
        8.0 / (1.0 + 0.16),
        0.0,
    ];
    for (found, exact) in rates.iter().zip(exact) {
        assert!((found - exact).abs() <= 1e-14 * exact, "{found} {exact}");
    }
    assert_eq!(read.network.changes(4), [(0, 3)]);
}

#[test]
fn keywords_may_be_names_in_quotes_or_where_they_cannot_be_meant() {
    let text = "species species = 3\nspecies \"with\"\nspecies: species -> \"with\" @ mass(1)";
    let read = NetworkText::parse(text).unwrap();
    assert_eq!(read.network.species(), ["species", "with"]);
    assert_eq!(read.network.reactions()[0].name, "species");
    let again = NetworkText::parse(&read.to_text().unwrap()).unwrap();
    assert_eq!(again.to_text().unwrap(), read.to_text().unwrap());
}

#[test]
fn mistakes_are_shown_where_they_are() {
    let message = |text: &str| NetworkText::parse(text).unwrap_err().to_string();
    for (text, expected) in [
        ("species A\nA -> C @ mass(1)", "line 2, column 6: unknown species `C`"),
        ("species A\n\n  A -> 0 @ mass(k)", "line 3, column 17: unknown parameter `k`"),
        ("species A\nspecies A", "line 2, column 9: the species `A` is already declared in line 1"),
        (
            "parameter k = 1\nparameter k = 2",
            "line 2, column 11: the parameter `k` is already declared in line 1",
        ),
        ("species A = -3", "line 1, column 13: `-3` is not a whole number from 0 to 4294967295"),
        ("species A = 1.5", "line 1, column 13: `1.5` is not a whole number from 0 to 4294967295"),
        (
            "species A = 4294967296",
            "line 1, column 13: `4294967296` is not a whole number from 0 to 4294967295",
        ),
        ("parameter k = 1.2.3", "line 1, column 15: `1.2.3` is not a finite number"),
        ("parameter k = 1e999", "line 1, column 15: `1e999` is not a finite number"),
        (
            "parameter k =",
            "line 1, column 14: expected a number or the name of a parameter, found the end of the line",
        ),
        ("species A\nA -> 0 @ mass(-1)", "line 2, column 15: -1 is below 0"),
        ("species A\nA -> 0 mass(1)", "line 2, column 8: expected `@`, found `mass`"),
        ("species A\nA -> 0 @ mass(1", "line 2, column 16: expected `)`, found the end of the line"),
        ("species A\nA -> 0 @ mass(1) 2", "line 2, column 18: expected the end of the line, found `2`"),
        ("species A\nA - 0 @ mass(1)", "line 2, column 3: expected `->`, found `-`"),
        ("species A\n0 A -> 0 @ mass(1)", "line 2, column 3: expected `->`, found `A`"),
        (
            "species A\nA -> 0 @ magic(1)",
            "line 2, column 10: unknown law `magic`; expected `mass`, `michaelis_menten`, `hill_activation` or `hill_repression`",
        ),
        (
            "species A\n2 A -> 0 @ mass(1)",
            "line 2, column 18: expected `, ordered` for n(n-1)… or `, combinations` for n(n-1)…/k!, since a species is taken more than once, found `)`",
        ),
        (
            "species A\n2 A -> 0 @ mass(1, pairs)",
            "line 2, column 20: expected `ordered` or `combinations`, found `pairs`",
        ),
        ("species A\nA -> 0 @ michaelis_menten(1, 0, A)", "line 2, column 30: 0 is not greater than 0"),
        (
            "species A\nA -> 0 @ mass(1)\nA -> 0 @ mass(2)",
            "line 3, column 1: the reaction `A -> 0` is already in line 2",
        ),
        ("species A ~", "line 1, column 11: unexpected character `~`"),
        ("species \"A", "line 1, column 9: a name in quotes without an end"),
        ("species \"A\\q\"", "line 1, column 11: expected `\\\"`, `\\\\`, `\\n` or `\\r`"),
        ("species é\nspecies é", "line 2, column 9: the species `é` is already declared in line 1"),
        (
            "species A\n99999999999 A -> 0 @ mass(1)",
            "line 2, column 1: `99999999999` is not a whole number from 0 to 4294967295",
        ),
    ] {
        assert_eq!(message(text), expected);
    }
    // What the network itself refuses: no convention of counting beside another law.
    let refused = NetworkText::parse("species A\nspecies E\nA -> 0 with 2 E @ michaelis_menten(1, 2, A)");
    assert!(matches!(refused, Err(Error::Syntax { line: 3, column: 1, .. })), "{refused:?}");
    let text = "parameter k = 1\nspecies A";
    assert!(matches!(NetworkText::parse_with(text, &[("j", 1.0)]), Err(Error::Entry { .. })));
    assert!(matches!(NetworkText::parse_with(text, &[("k", f64::NAN)]), Err(Error::Entry { .. })));
    // Nothing is a network as well.
    assert!(NetworkText::parse("\n # nothing\n").unwrap().network.species().is_empty());
}

#[test]
fn functions_have_no_text() {
    let reaction = Reaction::new("r", [], [("X", 1)], Rate::function([], |_, _| 1.0));
    let network = Network::new(["X"], vec![reaction]).unwrap();
    let text = NetworkText { parameters: vec![], network, counts: vec![0] };
    assert!(matches!(text.to_text(), Err(Error::Unsupported { .. })));
    assert!(matches!(NetworkText { counts: vec![], ..text }.to_text(), Err(Error::Shape { .. })));
}

/// Any name, often a bare one.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[A-Za-z_][A-Za-z0-9_]{0,5}",
        1 => prop::sample::select(vec!["species", "parameter", "with", "mass", "ordered", "0", "2 A -> B"])
            .prop_map(str::to_owned),
        1 => "\\PC{0,6}",
        1 => prop::collection::vec(prop::sample::select(vec!['"', '\\', '\n', '\r', '#', ' ', 'x', '→']), 0..5)
            .prop_map(|chars| chars.into_iter().collect()),
    ]
}

/// Under different names, in any order.
fn named<S: Strategy>(
    values: S,
    count: std::ops::Range<usize>,
) -> impl Strategy<Value = Vec<(String, S::Value)>>
where
    S::Value: Clone,
{
    prop::collection::btree_map(name(), values, count).prop_map(Vec::from_iter).prop_shuffle()
}

fn side(species: usize) -> impl Strategy<Value = Vec<(usize, u32)>> {
    prop::collection::vec((0..species, prop_oneof![3 => Just(1_u32), 1 => 2_u32..5]), 0..4)
}

fn constant() -> impl Strategy<Value = f64> {
    prop_oneof![0.0_f64..10.0, 1e-300_f64..1e-290, 1e200_f64..1e300, Just(0.0), Just(3.0)]
}

proptest! {
    #![proptest_config(verify::strategy::cases(9018, 256))]

    #[test]
    fn what_is_written_is_read_again(
        species in named(any::<u32>(), 1..5),
        parameters in named(-1e9_f64..1e9, 0..3),
        reactions in named(
            (side(4), side(4), side(4), 0_usize..5, constant(), 1e-3_f64..1e3, 0.1_f64..9.0, 0_usize..4),
            0..5,
        ),
    ) {
        let (names, counts): (Vec<String>, Vec<u32>) = species.into_iter().unzip();
        let of = |index: usize| names[index % names.len()].clone();
        let terms = |side: &[(usize, u32)]| side.iter().map(|&(i, k)| (of(i), k)).collect::<Vec<_>>();
        let reactions = reactions.iter().map(|(name, (left, right, catalysts, law, max, half, exponent, by))| {
            let (max, half, exponent, by) = (*max, *half, *exponent, of(*by));
            let rate = match law {
                0 => Rate::MassAction { constant: max, counting: Counting::Ordered },
                1 => Rate::MassAction { constant: max, counting: Counting::Combinations },
                2 => Rate::MichaelisMenten { max, half, substrate: by },
                3 => Rate::HillActivation { max, half, exponent, activator: by },
                _ => Rate::HillRepression { max, half, exponent, repressor: by },
            };
            // Beside other laws than mass action catalysts are of order 1.
            let catalysts = if *law < 2 { terms(catalysts) } else { vec![] };
            Reaction { name: name.clone(), reactants: terms(left), products: terms(right), catalysts, rate }
        });
        let network = Network::new(names.clone(), reactions.collect()).unwrap();
        let written = NetworkText { parameters, network, counts };
        let text = written.to_text().unwrap();
        let read = NetworkText::parse(&text).unwrap();
        prop_assert_eq!(&read.parameters, &written.parameters);
        prop_assert_eq!(&read.counts, &written.counts);
        prop_assert_eq!(read.network.species(), written.network.species());
        prop_assert_eq!(format!("{:?}", read.network.reactions()), format!("{:?}", written.network.reactions()));
        prop_assert_eq!(read.to_text().unwrap(), text);
    }

    #[test]
    fn no_text_makes_it_panic(text in "[a-c0-9 \\n\"#@:,()=+>.eé-]{0,60}|(species|parameter|a|->|@|mass|\\(|\\)|1|\\n| ){0,30}") {
        if let Err(error) = NetworkText::parse(&text) {
            let in_place = matches!(error, Error::Syntax { line, column, .. } if line > 0 && column > 0);
            prop_assert!(in_place);
        }
    }
}
