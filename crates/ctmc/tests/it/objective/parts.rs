//! Parts of the objectives, each against another way to compute it.

use ctmc::denoise::objective::{CrossEntropy, DiscreteElbo, Elbo, Form, Objective, ScoreEntropy, Target};
use ctmc::denoise::{Noising, Output, RatiosOf};
use ctmc::{BirthDeath, Refresh, TimeChange};
use numeric::ndarray::{Array2, array};
use numeric::{Control, Noise, TimeGrid};
use verify::{chi_squared, seed};

use super::{masked_model, tilted};
use crate::assert_near;
use crate::exact::chain;

#[test]
fn score_entropy_is_the_bound_in_other_words() {
    // For masks as well, where most ratios of a masked token are those of no value at all.
    let masks =
        Noising::refresh(Refresh::absorbing(3, 2, 1.0).unwrap(), TimeChange::log_linear(0.0).unwrap());
    let noising = chain().0;
    let (noise, control) = (Noise::new(8), Control::default());
    let ones = Array2::ones((300, 1));
    let model = RatiosOf { model: tilted(1.0), noising: &noising };
    let bound = Elbo::new(&noising, 1.0).unwrap().values(&model, &ones, 0..300, 2, noise, control).unwrap();
    let score = ScoreEntropy::new(&noising, 1.0).unwrap();
    for (a, b) in score.values(&model, &ones, 0..300, 2, noise, control).unwrap().iter().zip(&bound) {
        assert_near(*a, *b, 1e-11 * (1.0 + b.abs()));
    }
    let x0 = Array2::from_shape_fn((300, 2), |(_, d)| d as u32);
    let model = RatiosOf { model: masked_model(0.0), noising: &masks };
    let bound = Elbo::new(&masks, 1.0).unwrap().values(&model, &x0, 0..300, 2, noise, control).unwrap();
    let score = ScoreEntropy::new(&masks, 1.0).unwrap();
    for (a, b) in score.values(&model, &x0, 0..300, 2, noise, control).unwrap().iter().zip(&bound) {
        assert_near(*a, *b, 1e-11 * (1.0 + b.abs()));
    }
}

#[test]
fn states_that_are_not_reached_count_in_the_prior() {
    // Of 200 ordered states only some twenty are reached: the divergence from the flat law.
    let noising =
        Noising::new(BirthDeath::constant(200, 1.0).unwrap(), TimeChange::constant(1.0).unwrap()).unwrap();
    let elbo = Elbo::new(&noising, 1e-4).unwrap();
    let kernel = noising.kernel(0.0, 1e-4).unwrap();
    assert!(kernel.matrix().row(100).iter().filter(|&&q| q == 0.0).count() > 50);
    for v in [0, 100, 199] {
        let positive = kernel.matrix().row(v).to_vec().into_iter().filter(|&q| q > 0.0);
        let exact: f64 = positive.map(|q| q * (200.0 * q).ln()).sum();
        assert_near(elbo.constants()[v], exact, 1e-12);
        assert_near(noising.prior_kl(v as u32, 1e-4).unwrap(), exact, 1e-12);
    }
}

#[test]
fn times_are_those_of_the_span_and_spread_over_draws() {
    let objective = CrossEntropy::new(&chain().0, 0.1, 0.9).unwrap();
    let batch = &objective.batches(&Array2::zeros((1000, 1)), 0..1000, 0, Noise::new(5)).unwrap()[0];
    let times: Vec<f64> = batch.times.iter().map(|time| time.t).collect();
    assert!(times.iter().all(|t| (0.1..0.9).contains(t)));
    // Of points with gaps below 0.003.
    assert_near(times.iter().sum::<f64>() / 1000.0, 0.5, 0.002);
    // One row by itself, draw after draw.
    let time = |draw| objective.batches(&array![[0]], 3..4, draw, Noise::new(5)).unwrap()[0].times[0].t;
    let mut times: Vec<f64> = (0..1000).map(time).collect();
    times.sort_by(f64::total_cmp);
    assert!(times[0] < 0.103 && times[999] > 0.897);
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] < 0.003));
}

#[test]
fn values_that_cannot_have_led_here_do_not_count_in_steps() {
    // An unmasked token was the same one step before, whatever mass the model gives to other values.
    let noising =
        Noising::refresh(Refresh::absorbing(3, 2, 1.0).unwrap(), TimeChange::log_linear(0.0).unwrap());
    let elbo = DiscreteElbo::new(&noising, &TimeGrid::uniform(0.0, 0.9, 3).unwrap()).unwrap();
    let batch = elbo.step(&array![[0]], 1, &array![[0]]).unwrap();
    let logits = array![[[0.3_f64.ln(), 0.6_f64.ln(), 0.1_f64.ln()]]];
    assert_near(batch.losses(&noising, Output::Posterior, &logits).unwrap()[0], 0.0, 1e-15);
}

#[test]
fn any_token_jumps() {
    let noising = Noising::refresh(Refresh::uniform(3, 1.0).unwrap(), TimeChange::constant(1.0).unwrap());
    let elbo = Elbo::new(&noising, 1.0).unwrap().with_form(Form::Jumps).unwrap();
    let batches = elbo.batches(&Array2::zeros((9000, 3)), 0..9000, 0, Noise::new(seed(59))).unwrap();
    let Target::Rates { logs, .. } = &batches[1].target else { panic!() };
    let mut counts = [0; 3];
    logs.indexed_iter().filter(|&(_, &b)| b != 0.0).for_each(|((_, d, _), _)| counts[d] += 1);
    assert_eq!(counts.iter().sum::<u64>(), 9000);
    // False alarms: one run in ten thousand.
    assert!(chi_squared(&counts, &[1.0 / 3.0; 3]).unwrap().p_value > 1e-4, "{counts:?}");
}
