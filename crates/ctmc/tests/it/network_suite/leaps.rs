//! Every way to leap, on all models.
//!
//! # How long leaps are
//! So short that their bias is at most about 0.1 of the standard error of 10,000 rows, of the mean and of the variance: among a
//! thousand scores, whose bound is then 4.9 standard errors, that multiplies the rate of false alarms by at most e^{0.49}, 1.6.
//! Let the means relax at a rate r by Δ in all, σ be the standard deviation and h the length of leaps.
//!
//! - Order 1: a mean is off by at most h r Δ / 2e, which is 18 h r Δ/σ standard errors. Of 002 the dead are the strictest
//!   ones, as their σ is small at first: 100 h √(αμ/2). For 003 the mean-field equation by Euler's method gives 0.08 and
//!   0.10 standard errors. Implicit leaps that are so short are Euler's: what they add to a number of events is rounded to 0.
//! - Variances at order 1, of [`LeapMethod::Midpoint`] as well: a relative error of h r at most, 71 h r standard errors.
//! - Order 2: (h r)² Δ/σ · 100/6e for the mean, 71 (h r)²/3 for the variance, 100 h² √(2αμ³)/6 for the dead of 002. A negative
//!   rate of the second stage, which a single molecule can have, is off by a leap's μ²h²/4.
//!
//! Adaptive leaps of ten events or more need (ε x)² > 10. Other models than the longest have no more than a few hundred
//! molecules: nearly all of their events happen one by one. On 002-04 Euler's leaps would have to be as short as
//! 1.4·10⁻⁴, less than one event: its ε is such that none is made.
//!
//! The implicit method's own choice of steps is for stiff networks, which none of these is.

use ctmc::network::LeapMethod::{Euler, Implicit, Midpoint, Trapezoidal};
use ctmc::network::LeapStep::{Adaptive, Fixed};
use ctmc::network::{LeapMethod, LeapStep, Start, TauLeaping};
use numeric::{Control, Noise};
use verify::Family;

use super::{Model, Reset, Seen, compare, long_models, longest_models, row_by_row, short_models, times};

type Way = (LeapMethod, LeapStep);

/// Fixed steps: of order 1, of the midpoint method, of order 2.
fn fixed(name: &str) -> Vec<Way> {
    let [first, midpoint, second] = match name {
        "001-01" | "001-04" => [0.1, 0.1, 0.5],
        "001-03" => [0.01, 0.0125, 0.05],
        "001-07" => [0.01, 0.0125, 0.25],
        "002-01" | "002-09" | "002-10" => [0.005, 0.0125, 0.2],
        "002-02" => [0.00125, 0.0125, 0.2],
        "002-03" => [0.002, 0.0125, 0.2],
        "003-01" | "003-03" | "003-04" | "003-05" => [0.0025, 0.005, 0.1],
        "003-02" => [0.0005, 0.002, 0.025],
        "004-01" => [0.005, 0.005, 0.2],
        "004-02" => [0.005, 0.0025, 0.1],
        "004-03" => [0.002, 0.01, 0.0125],
        other => unreachable!("{other}"),
    };
    vec![
        (Euler, Fixed(first)),
        (Implicit, Fixed(first)),
        (Midpoint, Fixed(midpoint)),
        (Trapezoidal(0.5), Fixed(second)),
        (Trapezoidal(0.3), Fixed(second)),
    ]
}

fn adaptive() -> Vec<Way> {
    vec![
        (Euler, Adaptive(0.01)),
        (Midpoint, Adaptive(0.01)),
        (Trapezoidal(0.5), Adaptive(0.03)),
        (Trapezoidal(0.3), Adaptive(0.03)),
    ]
}

/// A leap that ends above the threshold is seen at its end. From 8 below it on, which no leap gets across at once (0.15
/// expected events, at most 10⁻¹³), leaps are 0.0025 long: that is late by 0.00125 on average, for each of up to four resets.
/// Means change by at most 1.5 in a unit of time then, and have a standard error of 0.09: a bias of 0.08 of it. Adaptive
/// leaps are single events there, and none is late.
const FINE: f64 = 0.0025;

fn leap(model: &Model, way: &Way, noise: Noise) -> Seen {
    let Model { network, start, reset, .. } = model;
    let &(method, step) = way;
    let leaping = TauLeaping::new(network, method, step).unwrap();
    if *reset == Reset::Never {
        let start = Start::State(start);
        return leaping.counts_at(start, &times(), 0..10_000, noise, Control::default()).unwrap();
    }
    let fine = if matches!(step, Fixed(_)) { FINE } else { f64::INFINITY };
    row_by_row(model, 10_000, |row| {
        let mut walk = leaping.walk(start, row, noise).unwrap();
        let mut seen = vec![];
        for time in times() {
            match *reset {
                Reset::At(at, count) if at > time - 1.0 && at <= time => {
                    walk.advance(at).unwrap();
                    walk.set_counts(&[count, 0]).unwrap();
                }
                Reset::Above(most) => {
                    while walk.time() < time {
                        let near = walk.counts()[1] + 8 > most;
                        let limit = if near { time.min(walk.time() + fine) } else { time };
                        walk.next_leap(limit).unwrap();
                        if walk.counts()[1] > most {
                            walk.set_counts(start).unwrap();
                        }
                    }
                }
                _ => {}
            }
            walk.advance(time).unwrap();
            seen.extend_from_slice(walk.counts());
        }
        seen
    })
}

/// False alarms: at most one run in a thousand, and as many more as the bias makes.
fn pass(models: Vec<Model>, ways: impl Fn(&str) -> Vec<Way>, label: u64) {
    let mut family = Family::new(1e-3).unwrap();
    for model in models {
        let ways = ways(model.name);
        compare(&mut family, &[model], &ways, label, leap);
    }
    family.assert();
}

fn of(names: &[&str]) -> Vec<Model> {
    short_models().into_iter().filter(|model| names.contains(&model.name)).collect()
}

#[test]
fn each_leaping_method_passes_the_tests_of_a_model() {
    pass(of(&["001-04"]), |name| [fixed(name), adaptive()].concat(), 104);
}

#[test]
fn leaps_pass_the_tests_of_models_with_resets() {
    let ways = |name: &str| match name {
        "003-04" => vec![(Euler, Adaptive(0.01)), (Trapezoidal(0.5), Adaptive(0.03))],
        _ => fixed(name).split_off(3),
    };
    pass(of(&["002-10", "003-04"]), ways, 105);
}

#[test]
#[ignore = "twelve minutes of one core: by default all ways run on one of these models, and some on two with resets"]
fn each_leaping_method_passes_the_tests_of_the_short_models() {
    pass(short_models(), |name| [fixed(name), adaptive()].concat(), 106);
}

#[test]
#[ignore = "a quarter of an hour of one core: what the short models test, with more events"]
fn each_leaping_method_passes_the_tests_of_the_long_models() {
    pass(long_models(), |name| [fixed(name), adaptive()].concat(), 107);
}

/// Where leaps are worth it. Of order 1, Euler's on 001-05 are at most 0.0125 long (a bias of 0.09 standard errors, as the means
/// hardly bend) with ε = 5·10⁻⁴; so are those of the midpoint method, on both. With ε = 0.002 those of order 2 are at most 0.2
/// long, where r = 0.1: that is a bias of 0.02.
#[test]
#[ignore = "three minutes of one core: up to 10⁵ events for each row"]
fn each_leaping_method_passes_the_tests_of_the_longest_models() {
    let ways = |name: &str| {
        let [euler, short, second] =
            if name == "001-05" { [5e-4, 0.0125, 0.5] } else { [3e-4, 0.0125, 0.05] };
        let adaptive = vec![
            (Euler, Adaptive(euler)),
            // No reactions are within 5 % of their reverse: these are explicit leaps.
            (Implicit, Adaptive(euler)),
            (Midpoint, Adaptive(5e-4)),
            (Trapezoidal(0.5), Adaptive(0.002)),
            (Trapezoidal(0.3), Adaptive(0.002)),
        ];
        let of_second = vec![
            (Midpoint, Fixed(short)),
            (Trapezoidal(0.5), Fixed(second)),
            (Trapezoidal(0.3), Fixed(second)),
        ];
        // Of order 1 where that takes no leaps of less than an event.
        let of_first =
            if name == "001-05" { vec![(Euler, Fixed(short)), (Implicit, Fixed(short))] } else { vec![] };
        [adaptive, of_second, of_first].concat()
    };
    pass(longest_models(), ways, 108);
}
