//! Reverse rates: values that were computed elsewhere, agreement of forms, laws.

use ctmc::denoise::{Noising, Output, Reversal};
use ctmc::{BirthDeath, Dense, Generator, Refresh, TimeChange};
use numeric::ndarray::{Array2, array};
use proptest::prelude::*;

use super::{Enumerated, cyclic_noising, rates_of};
use crate::assert_near;

const DATA: [f64; 3] = [0.6, 0.3, 0.1];

fn reverse_matrix(model: &Enumerated, t: f64) -> Array2<f64> {
    let states = model.noising.states();
    let mut matrix = Array2::zeros((states, states));
    for x in 0..states {
        let rates = rates_of(model, &[x as u32], t).remove(0);
        matrix.row_mut(x).assign(&numeric::ndarray::Array1::from(rates.clone()));
        matrix[[x, x]] = -rates.iter().sum::<f64>();
    }
    matrix
}

#[test]
fn rates_of_a_chain_that_is_not_reversible() {
    let mut model = Enumerated::new(&cyclic_noising(), 1, &DATA);
    let expected = array![
        [-0.677307753411, 0.218650746739, 0.458657006672],
        [1.03499728918, -1.28446949368, 0.249472204502],
        [0.986806815813, 1.36069024566, -2.34749706147]
    ];
    for output in [Output::Posterior, Output::Ratios] {
        model.output = output;
        let found = reverse_matrix(&model, 0.5);
        assert!(crate::distance(&found, &expected) < 2e-11, "{output:?} {found}");
    }
    // With the forward rates: stationary for the law at that time, and reversible.
    let beta = model.noising.beta().rate(0.5).unwrap();
    let both = reverse_matrix(&model, 0.5) + beta * model.noising.generator().to_matrix();
    let law = model.law_at(0.5);
    for i in 0..3 {
        assert_near((0..3).map(|j| law[j] * both[[j, i]]).sum(), 0.0, 1e-15);
        for j in 0..3 {
            assert_near(law[i] * both[[i, j]], law[j] * both[[j, i]], 1e-15);
        }
    }
    assert_near(both[[2, 0]], 1.93823296671, 1e-11);
}

#[test]
fn whole_steps_are_bayes_rule() {
    let model = Enumerated::new(&cyclic_noising(), 1, &DATA);
    let step = Reversal::<f64>::between(&model.noising, 0.3, 0.7).unwrap();
    let expected = array![
        [0.804716721284, 0.0929837676123, 0.102299511104],
        [0.306665329479, 0.626407883558, 0.0669267869625],
        [0.298527053822, 0.284853539431, 0.416619406748]
    ];
    for x in 0..3 {
        let values = model.values(&[x], 0.7).row(0).to_vec();
        let mut moves = [0.0; 3];
        step.rates_into(x, &values, &mut moves);
        let total: f64 = moves.iter().sum();
        moves[x as usize] = 1.0 - total;
        assert_near(step.total(x, &values), total, 1e-14);
        for y in 0..3 {
            assert_near(moves[y], expected[[x as usize, y]], 1e-11);
        }
    }
}

#[test]
fn tokens_of_a_row_move_by_the_posterior_of_all_of_it() {
    // Sheet values for two tokens and the uniform chain.
    let noising = Noising::refresh(Refresh::uniform(3, 1.0).unwrap(), TimeChange::constant(0.5).unwrap());
    let law = [0.30, 0.05, 0.02, 0.03, 0.20, 0.05, 0.05, 0.10, 0.20];
    let rates = rates_of(&Enumerated::new(&noising, 2, &law), &[0, 1], 0.5);
    for (found, expected) in
        rates.concat().iter().zip([0.0, 0.627531101758, 0.546586603937, 0.785924096574, 0.0, 0.434546660146])
    {
        assert_near(*found, expected, 1e-11);
    }
}

/// The two forms of one refreshing chain: told, and not told.
fn both_forms(chain: Refresh) -> [Noising; 2] {
    let beta = TimeChange::exponential(0.5, 3.0).unwrap();
    [Noising::refresh(chain.clone(), beta), Noising::new(chain, beta).unwrap()]
}

#[test]
fn closed_forms_are_the_tables() {
    let chains = [
        Refresh::uniform(4, 0.7).unwrap(),
        Refresh::absorbing(4, 3, 1.3).unwrap(),
        Refresh::absorbing(4, 0, 1.3).unwrap(),
        Refresh::new(&[0.5, 0.0, 0.3, 0.2], 1.5).unwrap(),
        Refresh::two_state(0.5, 2.0).unwrap(),
        Refresh::two_state(0.0, 2.0).unwrap(),
    ];
    for chain in chains {
        let states = chain.states();
        let [told, not] = both_forms(chain);
        for output in [Output::Posterior, Output::Ratios] {
            for t in [1e-9, 0.01, 0.5, 2.0] {
                let (a, b) = (Reversal::<f64>::new(&told, t, output), Reversal::<f64>::new(&not, t, output));
                compare(&told, [&a.unwrap(), &b.unwrap()], t, states, output);
                if output == Output::Posterior {
                    for s in [0.0, 0.9 * t] {
                        let (a, b) = (Reversal::between(&told, s, t), Reversal::between(&not, s, t));
                        compare(&told, [&a.unwrap(), &b.unwrap()], t, states, output);
                    }
                }
            }
        }
    }
}

fn compare(noising: &Noising, forms: [&Reversal<f64>; 2], t: f64, states: usize, output: Output) {
    let kernel = noising.kernel(0.0, t).unwrap();
    for x in 0..states as u32 {
        // A posterior on the values that can have led to x.
        let mut values: Vec<f64> = (0..states).map(|v| (v + 1) as f64).collect();
        if output == Output::Posterior {
            values.iter_mut().zip(kernel.matrix().column(x as usize)).for_each(|(p, q)| *p *= q);
            let sum: f64 = values.iter().sum();
            if sum == 0.0 {
                continue;
            }
            values.iter_mut().for_each(|p| *p /= sum);
        }
        let [a, b] = forms;
        let (mut rates, mut others) = (vec![0.0; states], vec![0.0; states]);
        a.rates_into(x, &values, &mut rates);
        b.rates_into(x, &values, &mut others);
        let scale: f64 = rates.iter().sum();
        for (a, b) in rates.iter().zip(&others) {
            assert_near(*a, *b, 1e-9 * scale);
        }
        // 1 - p(x) is not the sum of the others to the last digit.
        assert_near(a.total(x, &values), scale, 1e-9 * scale + 1e-15 / t);
        assert_near(b.total(x, &values), scale, 1e-9 * scale);
    }
}

#[test]
fn destinations_have_the_law_of_the_rates() {
    let n = 400;
    let noisings = [
        cyclic_noising(),
        Noising::refresh(Refresh::uniform(3, 0.4).unwrap(), TimeChange::constant(1.0).unwrap()),
        Noising::refresh(Refresh::new(&[0.5, 0.2, 0.3], 1.5).unwrap(), TimeChange::constant(1.0).unwrap()),
    ];
    for noising in noisings {
        for output in [Output::Posterior, Output::Ratios] {
            let mut model = Enumerated::new(&noising, 1, &DATA);
            model.output = output;
            let mut forms = vec![Reversal::<f64>::new(&noising, 0.6, output).unwrap()];
            if output == Output::Posterior {
                forms.push(Reversal::between(&noising, 0.3, 0.6).unwrap());
            }
            for reversal in forms {
                for x in 0..3 {
                    let values = model.values(&[x], 0.6).row(0).to_vec();
                    let (mut rates, mut counts) = ([0.0; 3], [0.0; 3]);
                    reversal.rates_into(x, &values, &mut rates);
                    for i in 0..n * n {
                        let u = [(i % n) as f64 + 0.5, (i / n) as f64 + 0.5].map(|u| u / n as f64);
                        counts[reversal.destination(x, &values, u) as usize] += 1.0;
                    }
                    let total: f64 = rates.iter().sum();
                    for (count, rate) in counts.iter().zip(rates) {
                        assert_near(count / (n * n) as f64, rate / total, 4.0 / n as f64);
                    }
                }
            }
        }
    }
}

#[test]
fn far_values_keep_their_bridges() {
    // At a short time a value nine steps away is ten thousand billion billion billion times less likely, and the rate
    // back along its bridge is nine jumps per time that is left.
    let noising =
        Noising::new(BirthDeath::constant(10, 1.0).unwrap(), TimeChange::constant(1.0).unwrap()).unwrap();
    for t in [1e-3, 1e-6] {
        let reversal = Reversal::<f32>::new(&noising, t, Output::Posterior).unwrap();
        let mut sure = [0.0; 10];
        sure[9] = 1.0;
        // The generator's own corrections are of relative order t.
        assert_near(reversal.total(0, &sure) * t / 9.0, 1.0, 2.0 * t + 1e-6);
        assert_eq!(reversal.destination(0, &sure, [0.5, 0.5]), 1);
        let mut rates = [0.0; 10];
        reversal.rates_into(0, &sure, &mut rates);
        assert_near(rates[1] * t / 9.0, 1.0, 2.0 * t + 1e-6);
    }
}

#[test]
fn what_cannot_have_led_here_is_refused_and_nan_passes_on() {
    let births = Dense::new(&array![[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]).unwrap();
    let noising = Noising::new(births, TimeChange::constant(1.0).unwrap()).unwrap();
    let reversal = Reversal::<f64>::new(&noising, 1.0, Output::Posterior).unwrap();
    assert_eq!(reversal.total(1, &[0.5, 0.3, 0.2]), f64::INFINITY);
    assert_near(reversal.total(1, &[1.0, 0.0, 0.0]), 1.0, 1e-12);
    assert_eq!(reversal.total(0, &[1.0, 0.0, 0.0]), 0.0);
    assert!(reversal.total(2, &[f64::NAN, 0.5, 0.5]).is_nan());
    assert!(reversal.total(1, &[0.5, 0.5, f64::NAN]).is_nan());
    let mut rates = [0.0; 3];
    reversal.rates_into(1, &[0.5, 0.3, 0.2], &mut rates);
    assert_eq!(rates[0], f64::INFINITY);
    reversal.rates_into(1, &[0.5, 0.5, f64::NAN], &mut rates);
    assert!(rates.iter().all(|rate| rate.is_nan()));
    let uniform = Noising::refresh(Refresh::uniform(3, 1.0).unwrap(), TimeChange::constant(1.0).unwrap());
    for output in [Output::Posterior, Output::Ratios] {
        let reversal = Reversal::<f64>::new(&uniform, 1.0, output).unwrap();
        assert!(reversal.total(1, &[f64::NAN; 3]).is_nan());
        // Forgotten to divide by the sum.
        assert!(output == Output::Ratios || reversal.total(1, &[1.0, 5.0, 2.0]).is_nan());
    }
    for t in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(Reversal::<f64>::new(&uniform, t, Output::Posterior).is_err(), "{t}");
        assert!(Reversal::<f64>::between(&uniform, t, 0.5).is_err() || t == 0.0, "{t}");
    }
    // The first time of a log-linear schedule has no rate, but steps from it.
    let masks =
        Noising::refresh(Refresh::absorbing(3, 2, 1.0).unwrap(), TimeChange::log_linear(0.0).unwrap());
    assert!(Reversal::<f64>::new(&masks, 1.0, Output::Posterior).is_err());
    let first = Reversal::<f64>::between(&masks, 0.75, 1.0).unwrap();
    assert_near(first.total(2, &[0.5, 0.5, 0.0]), 0.25, 1e-15);
    assert_near(Reversal::<f64>::between(&masks, 0.0, 1.0).unwrap().total(2, &[0.5, 0.5, 0.0]), 1.0, 1e-15);
}

#[test]
fn likelihoods_below_all_floats_are_said_to_be() {
    let chain = BirthDeath::constant(130, 1.0).unwrap();
    let noising = Noising::new(chain, TimeChange::constant(1.0).unwrap()).unwrap();
    let reversal = Reversal::<f64>::new(&noising, 0.1, Output::Posterior).unwrap();
    let mut posterior = vec![0.0; 130];
    posterior[20] = 1.0;
    assert_near(reversal.total(0, &posterior) * 0.1 / 20.0, 1.0, 0.1);
    posterior[129] = 1e-30;
    assert_eq!(reversal.total(0, &posterior), f64::INFINITY);
    // The divergence from the stationary law is finite all the same.
    let kernel = noising.kernel(0.0, 0.1).unwrap();
    let exact: f64 =
        kernel.matrix().row(0).iter().filter(|&&q| q > 1e-300).map(|q| q * (q * 130.0).ln()).sum();
    assert_near(noising.prior_kl(0, 0.1).unwrap(), exact, 1e-10);
}

proptest! {
    #![proptest_config(verify::strategy::cases(9013, 64))]

    /// For any chain and law: rates from posteriors are those from ratios, and destinations are never x.
    #[test]
    fn posteriors_and_ratios_agree(
        (rates, law) in (2usize..6).prop_flat_map(|n| {
            (verify::strategy::rate_matrix(n, 3.0), verify::strategy::probabilities(n))
        }),
        t in 0.01f64..3.0,
        u in 0.0001f64..0.9999,
    ) {
        prop_assume!(law.iter().all(|&p| p > 1e-6));
        let noising = Noising::new(Dense::new(&rates).unwrap(), TimeChange::constant(1.0).unwrap()).unwrap();
        let mut model = Enumerated::new(&noising, 1, &law);
        for x in 0..law.len() as u32 {
            if model.law_at(t)[x as usize] < 1e-12 {
                continue;
            }
            model.output = Output::Posterior;
            let posterior = rates_of(&model, &[x], t).remove(0);
            let values = model.values(&[x], t).row(0).to_vec();
            let reversal = Reversal::<f64>::new(&noising, t, Output::Posterior).unwrap();
            let total = reversal.total(x, &values);
            model.output = Output::Ratios;
            let ratios = rates_of(&model, &[x], t).remove(0);
            for (a, b) in posterior.iter().zip(&ratios) {
                prop_assert!((a - b).abs() <= 1e-9 * (1.0 + a), "{a} {b}");
            }
            if total > 0.0 {
                prop_assert!(reversal.destination(x, &values, [u, 1.0 - u]) != x);
            }
        }
    }
}
