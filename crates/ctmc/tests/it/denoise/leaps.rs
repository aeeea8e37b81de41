//! Samplers have the enumerated law of their discretisation.

use ctmc::denoise::{Correction, JumpRule, Method, Noising, Origin, Output, ReverseSampler};
use ctmc::{Refresh, TimeChange};
use numeric::{Control, Noise, TimeGrid};
use verify::{Family, chi_squared, seed};

use super::laws::{MILD, STRONG, ancestral, leaped, pair, torus, two_stage};
use super::{Enumerated, counts, cyclic_noising, leap_law, noised_rows, rates_of};

const ROWS: u64 = 40_000;

/// p-value of a run from the exact law at time 1 against a law.
fn p_value(model: &Enumerated, method: Method, steps: usize, law: &[f64], n: u64) -> f64 {
    let noise = Noise::new(seed(n));
    let grid = TimeGrid::uniform(1.0, 0.0, steps).unwrap();
    let start = noised_rows(model, 1.0, ROWS, noise.fork("start"));
    let sampler = ReverseSampler::new(model.noising.clone(), model, method, grid).unwrap();
    let run = sampler.sample::<f64>(Origin::States(&start), 0..ROWS, noise, Control::default()).unwrap();
    chi_squared(&counts(&run.x, model.states()), law).unwrap().p_value
}

#[test]
fn steps_have_their_laws() {
    // False alarms: one run in ten thousand for the whole test.
    let mut family = Family::new(1e-4).unwrap();
    let one = Enumerated::new(&cyclic_noising(), 1, &[0.6, 0.3, 0.1]);
    let mut ratios = Enumerated::new(&cyclic_noising(), 1, &[0.6, 0.3, 0.1]);
    ratios.output = Output::Ratios;
    let rules = [JumpRule::Reject, JumpRule::Last, JumpRule::Clamp, JumpRule::Cyclic];
    let mut n = 100;
    let mut check = |name: String, model: &Enumerated, method, steps, law: &[f64]| {
        n += 1;
        family.push(name, p_value(model, method, steps, law, n));
    };
    let grid = TimeGrid::uniform(1.0, 0.0, 4).unwrap();
    for (name, model) in [("one", &one), ("ratios", &ratios), ("pair", &pair())] {
        for rule in rules {
            let law = leaped(model, &grid, |rates, x, tau| leap_law(rates, x, tau, rule));
            check(format!("{name} {rule:?}"), model, Method::TauLeaping(rule), 4, &law);
        }
    }
    let euler = leaped(&one, &TimeGrid::uniform(1.0, 0.0, 8).unwrap(), |rates, x, tau| {
        let mut law: Vec<f64> = rates.iter().map(|rate| tau * rate).collect();
        law[x as usize] = 1.0 - law.iter().sum::<f64>();
        law
    });
    check("Euler".into(), &one, Method::Euler, 8, &euler);
    check("posterior, one".into(), &one, Method::Posterior, 3, &one.law);
    check("posterior, pair".into(), &pair(), Method::Posterior, 4, &ancestral(&pair(), &grid));
    for data in [MILD, STRONG] {
        for rule in rules {
            let trapezoidal = Method::Trapezoidal { theta: 0.3, rule };
            let law = two_stage(&torus(data), 2, 0.3, false, rule);
            check(format!("trapezoidal {rule:?}"), &torus(data), trapezoidal, 2, &law);
            let law = two_stage(&torus(data), 2, 0.5, true, rule);
            check(format!("midpoint {rule:?}"), &torus(data), Method::Midpoint(rule), 2, &law);
        }
    }
    family.assert();
}

#[test]
fn trapezoidal_steps_are_more_accurate_than_leaps_at_equal_cost() {
    // 8 steps of two calls: total variation 1.6e-4, which 40,000 rows do not see.
    let p = p_value(&torus(MILD), Method::Trapezoidal { theta: 0.5, rule: JumpRule::Last }, 8, &MILD, 150);
    // False alarms: one run in ten thousand.
    assert!(p > 1e-4, "{p}");
    let rejected = p_value(&torus(STRONG), Method::TauLeaping(JumpRule::Reject), 16, &STRONG, 160);
    assert!(rejected < 1e-12, "{rejected}");
}

#[test]
fn correctors_bring_samples_back() {
    let model = Enumerated::new(&cyclic_noising(), 1, &[0.6, 0.3, 0.1]);
    let grid = TimeGrid::uniform(1.0, 0.2, 4).unwrap();
    let target = model.law_at(0.2);
    // By enumeration: five corrector leaps after each predictor leap.
    let leap = |law: &[f64], t: f64, tau: f64, corrector: bool| {
        super::push(law, 1, 3, |x| {
            let mut rates = rates_of(&model, x, t).remove(0);
            if corrector {
                let beta = model.noising.beta().rate(t).unwrap();
                for (s, rate) in (0..3).zip(&mut rates) {
                    if s != x[0] {
                        *rate += beta * model.noising.generator().rate(x[0], s);
                    }
                }
            }
            vec![leap_law(&rates, x[0], tau, JumpRule::Reject)]
        })
    };
    let mut law = model.law_at(1.0);
    let mut last = 0.0;
    for (from, to) in grid.pairs() {
        law = leap(&law, from.t, from.t - to.t, false);
        if to == grid.last() {
            last = super::total_variation(&law, &target);
        }
        for _ in 0..5 {
            law = leap(&law, to.t, 0.5 * (from.t - to.t), true);
        }
    }
    let corrected = super::total_variation(&law, &target);
    assert!(corrected < 0.7 * last, "{corrected} {last}");
    let noise = Noise::new(seed(170));
    let start = noised_rows(&model, 1.0, ROWS, noise.fork("start"));
    let sampler = ReverseSampler::new(
        model.noising.clone(),
        &model,
        Method::TauLeaping(JumpRule::Reject),
        grid.clone(),
    )
    .unwrap()
    .with_correction(Correction { steps: 5, scale: 0.5, below: 1.0, rule: JumpRule::Reject })
    .unwrap();
    let run = sampler.sample::<f64>(Origin::States(&start), 0..ROWS, noise, Control::default()).unwrap();
    let p = chi_squared(&counts(&run.x, 3), &law).unwrap().p_value;
    // False alarms: one run in ten thousand.
    assert!(p > 1e-4, "{p}");
    assert_eq!(run.counts.model_rows, ROWS * 4 * 6);
}

#[test]
fn four_leaps_and_then_correctors_of_a_tenth() {
    // Values that were computed elsewhere: total variation to the law at time 0.2.
    let model = Enumerated::new(&cyclic_noising(), 1, &[0.6, 0.3, 0.1]);
    let target = model.law_at(0.2);
    let grid = TimeGrid::uniform(1.0, 0.2, 4).unwrap();
    let mut law = leaped(&model, &grid, |rates, x, tau| leap_law(rates, x, tau, JumpRule::Reject));
    crate::assert_near(super::total_variation(&law, &target), 0.0764289042333, 1e-11);
    let beta = model.noising.beta().rate(0.2).unwrap();
    let expected = [(1, 0.0642935565829), (2, 0.0551882813319), (5, 0.0392755976833), (10, 0.0300866607164)];
    for step in 1..=10 {
        law = super::push(&law, 1, 3, |x| {
            let mut rates = rates_of(&model, x, 0.2).remove(0);
            for (s, rate) in (0..3).zip(&mut rates).filter(|&(s, _)| s != x[0]) {
                *rate += beta * model.noising.generator().rate(x[0], s);
            }
            vec![leap_law(&rates, x[0], 0.1, JumpRule::Reject)]
        });
        if let Some((_, expected)) = expected.iter().find(|&&(at, _)| at == step) {
            crate::assert_near(super::total_variation(&law, &target), *expected, 1e-11);
        }
    }
}

#[test]
fn masked_ancestral_steps_mix_the_law_with_its_independent_one() {
    // Linear schedule, two tokens, exact conditionals: (1 - 1/n) p + p₁p₂/n.
    let noising =
        Noising::refresh(Refresh::absorbing(3, 2, 1.0).unwrap(), TimeChange::log_linear(0.0).unwrap());
    let p = [0.4, 0.1, 0.0, 0.15, 0.35, 0.0, 0.0, 0.0, 0.0];
    let model = Enumerated::new(&noising, 2, &p);
    let independent = [0.275, 0.225, 0.0, 0.275, 0.225, 0.0, 0.0, 0.0, 0.0];
    let mut family = Family::new(1e-4).unwrap();
    for (n, steps) in [(180, 1), (181, 2), (182, 5)] {
        let grid = TimeGrid::uniform(1.0, 0.0, steps).unwrap();
        let sampler = ReverseSampler::new(noising.clone(), &model, Method::Posterior, grid).unwrap();
        let run = sampler
            .sample::<f32>(Origin::Stationary, 0..ROWS, Noise::new(seed(n)), Control::default())
            .unwrap();
        // Every token is unmasked once.
        assert_eq!(run.counts.jumps, 2 * ROWS);
        let part = 1.0 / steps as f64;
        let law: Vec<f64> = p.iter().zip(independent).map(|(p, q)| (1.0 - part) * p + part * q).collect();
        let found = counts(&run.x, 3);
        let possible: Vec<usize> = (0..9).filter(|&k| law[k] > 0.0).collect();
        assert_eq!(possible.iter().map(|&k| found[k]).sum::<u64>(), ROWS);
        let (found, law): (Vec<u64>, Vec<f64>) = possible.iter().map(|&k| (found[k], law[k])).unzip();
        family.push(format!("{steps} steps"), chi_squared(&found, &law).unwrap().p_value);
    }
    family.assert();
}
