//! Laws of leaped chains by enumeration, against values that were computed elsewhere.

use ctmc::denoise::{JumpRule, Noising, Reversal};
use ctmc::{Refresh, TimeChange};
use numeric::TimeGrid;

use super::{Enumerated, cyclic_noising, leap_law, push, rates_of, total_variation};
use crate::assert_near;

/// The law after n equal leaps from the exact law at the first time.
pub(super) fn leaped(
    model: &Enumerated,
    grid: &TimeGrid,
    leap: impl Fn(&[f64], u32, f64) -> Vec<f64>,
) -> Vec<f64> {
    let mut law = model.law_at(grid.first().t);
    for (from, to) in grid.pairs() {
        law = push(&law, model.dim, model.states(), |x| {
            let rates = rates_of(model, x, from.t);
            rates.iter().zip(x).map(|(rates, &x)| leap(rates, x, from.t - to.t)).collect()
        });
    }
    law
}

/// The same for whole posterior steps.
pub(super) fn ancestral(model: &Enumerated, grid: &TimeGrid) -> Vec<f64> {
    let mut law = model.law_at(grid.first().t);
    for (from, to) in grid.pairs() {
        let step = Reversal::<f64>::between(&model.noising, to.t, from.t).unwrap();
        law = push(&law, model.dim, model.states(), |x| {
            let values = model.values(x, from.t);
            let token = |(d, &x): (usize, &u32)| {
                let mut moves = vec![0.0; model.states()];
                step.rates_into(x, &values.row(d).to_vec(), &mut moves);
                moves[x as usize] = 1.0 - moves.iter().sum::<f64>();
                moves
            };
            x.iter().enumerate().map(token).collect()
        });
    }
    law
}

/// Two tokens of three values under the uniform chain.
pub(super) fn pair() -> Enumerated {
    let noising = Noising::refresh(Refresh::uniform(3, 1.0).unwrap(), TimeChange::constant(0.5).unwrap());
    Enumerated::new(&noising, 2, &[0.30, 0.05, 0.02, 0.03, 0.20, 0.05, 0.05, 0.10, 0.20])
}

/// Five states on a circle under the uniform chain.
pub(super) fn torus(law: [f64; 5]) -> Enumerated {
    let noising = Noising::refresh(Refresh::uniform(5, 1.0).unwrap(), TimeChange::constant(0.4).unwrap());
    Enumerated::new(&noising, 1, &law)
}

pub(super) const MILD: [f64; 5] = [0.22, 0.21, 0.2, 0.19, 0.18];
pub(super) const STRONG: [f64; 5] = [0.35, 0.25, 0.2, 0.12, 0.08];

/// Where channel c leads from x: a displacement of ordered states or on the circle, or a destination.
fn apply(rule: JumpRule, states: usize, c: usize, x: usize) -> Option<usize> {
    let to = match rule {
        JumpRule::Cyclic => (x + c) % states,
        JumpRule::Clamp => (x + c).checked_sub(states).filter(|&to| to < states)?,
        JumpRule::Reject | JumpRule::Last => c,
    };
    (to != x && to < states).then_some(to)
}

/// The law of a two-stage method, by enumeration of both stages of one token.
pub(super) fn two_stage(
    model: &Enumerated,
    steps: usize,
    theta: f64,
    restart: bool,
    rule: JumpRule,
) -> Vec<f64> {
    let states = model.states();
    let mut law = model.law_at(1.0);
    let grid = TimeGrid::uniform(1.0, 0.0, steps).unwrap();
    for (from, to) in grid.pairs() {
        let tau = from.t - to.t;
        law = push(&law, 1, states, |x| {
            let first = rates_of(model, x, from.t).remove(0);
            let mut out = vec![0.0; states];
            for (y, p) in leap_law(&first, x[0], theta * tau, rule).into_iter().enumerate() {
                let second = rates_of(model, &[y as u32], from.t - theta * tau).remove(0);
                let at =
                    |rates: &[f64], x: usize, c: usize| apply(rule, states, c, x).map_or(0.0, |to| rates[to]);
                let a = 1.0 / (2.0 * theta * (1.0 - theta));
                let (start, length) = if restart { (x[0] as usize, 1.0) } else { (y, 1.0 - theta) };
                let mut rates = vec![0.0; states];
                for c in 0..2 * states {
                    let (now, then) = (at(&second, y, c), at(&first, x[0] as usize, c));
                    let rate = if restart { now } else { (a * now - (a - 1.0) * then).max(0.0) };
                    if let Some(to) = apply(rule, states, c, start) {
                        rates[to] = rate;
                    }
                }
                let end = leap_law(&rates, start as u32, length * tau, rule);
                out.iter_mut().zip(end).for_each(|(out, q)| *out += p * q);
            }
            vec![out]
        });
    }
    law
}

#[test]
fn leaps_of_one_token() {
    let data = [0.6, 0.3, 0.1];
    let model = Enumerated::new(&cyclic_noising(), 1, &data);
    type Leap = fn(&[f64], u32, f64) -> Vec<f64>;
    let euler: Leap = |rates, x, tau| {
        let mut law: Vec<f64> = rates.iter().map(|rate| tau * rate).collect();
        law[x as usize] = 1.0 - law.iter().sum::<f64>();
        law
    };
    let leaps: [(Leap, [f64; 3], [f64; 3]); 5] = [
        (
            |rates, x, tau| leap_law(rates, x, tau, JumpRule::Reject),
            [0.572263989223, 0.3090447235, 0.118691287277],
            [0.0560023213078, 0.0277360107773, 0.0137701273722],
        ),
        (
            |rates, x, tau| leap_law(rates, x, tau, JumpRule::Clamp),
            [0.592741493035, 0.297896750464, 0.109361756501],
            [0.0194530884202, 0.00936175650092, 0.00459131000197],
        ),
        (
            |rates, x, tau| leap_law(rates, x, tau, JumpRule::Last),
            [0.584450452747, 0.306241133469, 0.109308413784],
            [0.0314031026726, 0.0155495472528, 0.00773355699747],
        ),
        (
            |rates, x, tau| leap_law(rates, x, tau, JumpRule::Cyclic),
            [0.576494849433, 0.306443539718, 0.117061610849],
            [0.0468901142065, 0.0235051505673, 0.0117460340587],
        ),
        (
            euler,
            [0.596458581791, 0.303072767018, 0.100468651192],
            [0.00727123441882, 0.00354141820944, 0.00174851025451],
        ),
    ];
    for (leap, at_16, distances) in leaps {
        for (steps, distance) in [8, 16, 32].into_iter().zip(distances) {
            let law = leaped(&model, &TimeGrid::uniform(1.0, 0.0, steps).unwrap(), leap);
            assert_near(total_variation(&law, &data), distance, 1e-11);
            if steps == 16 {
                law.iter().zip(at_16).for_each(|(found, expected)| assert_near(*found, expected, 1e-11));
            }
        }
    }
    // One token: posterior steps are exact on any grid.
    for steps in [1, 2, 7] {
        let law = ancestral(&model, &TimeGrid::uniform(1.0, 0.0, steps).unwrap());
        assert_near(total_variation(&law, &data), 0.0, 1e-14);
    }
}

#[test]
fn leaps_of_two_tokens() {
    let model = pair();
    let distance = |law: &[f64]| total_variation(law, &model.law);
    let grid = |steps| TimeGrid::uniform(1.0, 0.0, steps).unwrap();
    let leap = |rule, steps| leaped(&model, &grid(steps), |rates, x, tau| leap_law(rates, x, tau, rule));
    for (steps, reject, clamp) in [
        (4, 0.217063110271, 0.198703925444),
        (8, 0.129131972095, 0.112991174341),
        (16, 0.069753280425, 0.0593066481318),
    ] {
        assert_near(distance(&leap(JumpRule::Reject, steps)), reject, 1e-11);
        assert_near(distance(&leap(JumpRule::Clamp, steps)), clamp, 1e-11);
    }
    let factorised = [0.331210474136, 0.238822631192, 0.141551989051, 0.0746491995939, 0.0373701707398];
    for (steps, expected) in [1, 2, 4, 8, 16].into_iter().zip(factorised) {
        assert_near(distance(&ancestral(&model, &grid(steps))), expected, 1e-11);
    }
    // One step has the right law of each token.
    let law = ancestral(&model, &grid(1));
    assert_near(law[0] + law[1] + law[2], 0.37, 1e-14);
    assert_near(law[0], 0.156548509149, 1e-11);
}

#[test]
fn two_stages_on_a_circle() {
    for (data, trapezoidal, midpoint) in [
        (MILD, [0.000306397518218, 1.93040687911e-05], [0.00676218580263, 0.00180579778929]),
        (STRONG, [0.00598218698869, 0.00117207149012], [0.0463043120406, 0.0121676773287]),
    ] {
        let model = torus(data);
        for ((steps, trapezoidal), midpoint) in [8, 32].into_iter().zip(trapezoidal).zip(midpoint) {
            let law = two_stage(&model, steps, 0.5, false, JumpRule::Cyclic);
            assert_near(total_variation(&law, &data), trapezoidal, 1e-11);
            let law = two_stage(&model, steps, 0.5, true, JumpRule::Cyclic);
            assert_near(total_variation(&law, &data), midpoint, 1e-11);
        }
    }
    // Destinations as channels: of second order as well.
    let error = |steps| total_variation(&two_stage(&torus(MILD), steps, 0.5, false, JumpRule::Last), &MILD);
    let ratio = error(16) / error(32);
    assert!((3.8..4.3).contains(&ratio), "{ratio}");
    let law = two_stage(&torus(MILD), 32, 0.3, false, JumpRule::Cyclic);
    assert_near(total_variation(&law, &MILD), 4.16685736424e-05, 1e-11);
}

/// Orders in total variation, by enumeration: `cargo test -p ctmc --test it orders_of_leaps -- --nocapture` prints them.
#[test]
fn orders_of_leaps() {
    let one = Enumerated::new(&cyclic_noising(), 1, &[0.6, 0.3, 0.1]);
    let (pair, mild, strong) = (pair(), torus(MILD), torus(STRONG));
    let grid = |steps| TimeGrid::uniform(1.0, 0.0, steps).unwrap();
    let leap = |model: &Enumerated, rule, steps| {
        leaped(model, &grid(steps), |rates, x, tau| leap_law(rates, x, tau, rule))
    };
    let euler = |steps| {
        leaped(&one, &grid(steps), |rates, x, tau| {
            let mut law: Vec<f64> = rates.iter().map(|rate| tau * rate).collect();
            law[x as usize] = 1.0 - law.iter().sum::<f64>();
            law
        })
    };
    let both =
        |model: &Enumerated, theta, restart, rule, steps| two_stage(model, steps, theta, restart, rule);
    type Laws<'a> = Box<dyn Fn(usize) -> Vec<f64> + 'a>;
    let cases: Vec<(&str, &Enumerated, f64, Laws<'_>)> = vec![
        ("reject, one token", &one, 1.0, Box::new(|n| leap(&one, JumpRule::Reject, n))),
        ("last, one token", &one, 1.0, Box::new(|n| leap(&one, JumpRule::Last, n))),
        ("clamp, one token", &one, 1.0, Box::new(|n| leap(&one, JumpRule::Clamp, n))),
        ("cyclic, one token", &one, 1.0, Box::new(|n| leap(&one, JumpRule::Cyclic, n))),
        ("Euler, one token", &one, 1.0, Box::new(euler)),
        ("reject, two tokens", &pair, 1.0, Box::new(|n| leap(&pair, JumpRule::Reject, n))),
        ("posterior, two tokens", &pair, 1.0, Box::new(|n| ancestral(&pair, &grid(n)))),
        ("midpoint, mild", &mild, 1.0, Box::new(|n| both(&mild, 0.5, true, JumpRule::Cyclic, n))),
        ("trapezoidal, mild, cyclic", &mild, 2.0, Box::new(|n| both(&mild, 0.5, false, JumpRule::Cyclic, n))),
        ("trapezoidal, mild, last", &mild, 2.0, Box::new(|n| both(&mild, 0.5, false, JumpRule::Last, n))),
        ("trapezoidal, mild, reject", &mild, 1.0, Box::new(|n| both(&mild, 0.5, false, JumpRule::Reject, n))),
        ("trapezoidal, mild, clamp", &mild, 1.0, Box::new(|n| both(&mild, 0.5, false, JumpRule::Clamp, n))),
        ("trapezoidal, mild, 0.3", &mild, 2.0, Box::new(|n| both(&mild, 0.3, false, JumpRule::Cyclic, n))),
        ("trapezoidal, strong", &strong, 1.0, Box::new(|n| both(&strong, 0.5, false, JumpRule::Cyclic, n))),
    ];
    for (name, model, order, laws) in cases {
        let errors = [16, 32, 64, 128].map(|n| total_variation(&laws(n), &model.law));
        // Of the last halving, where the next term of the expansion is smallest.
        let slope = (errors[2] / errors[3]).log2();
        let list = errors.map(|error| format!("{error:.3e}")).join(", ");
        println!("| {name} | {list} | {slope:.3} | {order} |");
        assert!((slope - order).abs() < 0.1, "{name}: {slope}");
    }
}
