//! Draws have the exact means, and rows do not depend on the batch.

use ctmc::denoise::Noising;
use ctmc::denoise::objective::{
    CrossEntropy, DiscreteElbo, Elbo, Form, MaskedElbo, Objective, ScoreEntropy, Target, TrainingBatch,
};
use ctmc::{Refresh, TimeChange};
use numeric::ndarray::{Array2, s};
use numeric::{Control, Error, Noise, TimeGrid};
use verify::{Family, seed};

use super::masks::MASKED_BOUND;
use super::{FORMS, bound, discrete, losses, masked_model, noised, push, rule, tilted};
use crate::exact::chain;

#[test]
fn drawn_objectives_have_the_exact_means() {
    // False alarms: one run in ten thousand for the whole test.
    let mut family = Family::new(1e-4).unwrap();
    let control = Control::default();
    let (noising, _) = chain();
    let model = tilted(1.0);
    let value = [0.616441440187, 1.2029111832, 2.05544532386];
    let (n, rows) = (2000, 0..2000);
    for (k, form) in (50..).zip(FORMS) {
        let elbo = Elbo::new(&noising, 1.0).unwrap().with_form(form).unwrap();
        for v in 0..3 {
            let x0 = Array2::from_elem((n, 1), v);
            let found = elbo.values(&model, &x0, rows.clone(), 1, Noise::new(seed(k)), control).unwrap();
            push(&mut family, &format!("{form:?} {v}"), &found, value[v as usize]);
        }
    }
    let x0 = Array2::from_elem((n, 1), 1);
    let draw = |objective: &dyn Fn() -> Result<Vec<f64>, Error>| objective().unwrap();
    // The grid.
    let grid = DiscreteElbo::new(&noising, &TimeGrid::uniform(0.0, 1.0, 16).unwrap()).unwrap();
    let found = draw(&|| grid.values(&model, &x0, rows.clone(), 1, Noise::new(seed(53)), control));
    push(&mut family, "grid", &found, discrete(&noising, &model, 16, 1));
    // An early stop.
    let early = Elbo::new(&noising, 1.0).unwrap().with_early_stop(0.2).unwrap();
    let found = draw(&|| early.values(&model, &x0, rows.clone(), 1, Noise::new(seed(54)), control));
    let last = |t: f64| {
        let (all, p) = noised(&noising, t, &[1]);
        let times = vec![numeric::Time::of(t); 3];
        let target = Target::Tokens { clean: Array2::ones((3, 1)), weights: Array2::ones((3, 1)) };
        let batch =
            TrainingBatch { rows: vec![0, 1, 2], times, noised: all, target, constants: vec![0.0; 3] };
        losses(&model, &noising, &batch).iter().zip(p).map(|(l, p)| l * p).sum::<f64>()
    };
    push(&mut family, "early stop", &found, bound(&early, &model, (0.2, 1.0), &[1]) + last(0.2));
    // The cross-entropy.
    let auxiliary = CrossEntropy::new(&noising, 0.1, 0.9).unwrap();
    let found = draw(&|| auxiliary.values(&model, &x0, rows.clone(), 1, Noise::new(seed(55)), control));
    let exact: f64 = rule().into_iter().map(|(u, w)| 0.8 * w * last(0.1 + 0.8 * u)).sum();
    push(&mut family, "cross-entropy", &found, exact);
    // Masks, for a network that does not look at the time and for one that does.
    for (k, slope) in [(56, 0.0), (57, 1.5)] {
        let noising =
            Noising::refresh(Refresh::absorbing(3, 2, 2.0).unwrap(), TimeChange::log_linear(0.0).unwrap());
        let masked = MaskedElbo::new(&noising).unwrap();
        let model = masked_model(slope);
        let exact = bound(&Elbo::new(&noising, 1.0).unwrap(), &model, (0.0, 1.0), &[0, 1]);
        let x0 = Array2::from_shape_fn((n, 2), |(_, d)| d as u32);
        let found = draw(&|| masked.values(&model, &x0, rows.clone(), 1, Noise::new(seed(k)), control));
        push(&mut family, &format!("masks {slope}"), &found, exact);
        assert!(slope > 0.0 || (exact - MASKED_BOUND[0][1]).abs() < 1e-11);
    }
    family.assert();
}

#[test]
fn times_are_spread_and_rows_do_not_depend_on_the_batch() {
    let (noising, _) = chain();
    let x0 = Array2::from_shape_fn((1000, 1), |(i, _)| (i % 3) as u32);
    let objective = CrossEntropy::new(&noising, 0.0, 1.0).unwrap();
    for draw in 0..3 {
        let batch = &objective.batches(&x0, 0..1000, draw, Noise::new(5)).unwrap()[0];
        let mut times: Vec<f64> = batch.times.iter().map(|time| time.t).collect();
        times.sort_by(f64::total_cmp);
        // The greatest gap of independent uniforms is about 0.007.
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] < 0.003));
    }
    let grid = TimeGrid::uniform(0.0, 1.0, 16).unwrap();
    let masks = Noising::refresh(Refresh::absorbing(4, 3, 1.0).unwrap(), TimeChange::cosine());
    let elbo = Elbo::new(&noising, 1.0).unwrap();
    let part = x0.slice(s![300..320, ..]).to_owned();
    fn check(objective: &impl Objective, x0: &Array2<u32>, part: &Array2<u32>) {
        let whole = objective.batches(x0, 7..1007, 2, Noise::new(5)).unwrap();
        let some = objective.batches(part, 307..327, 2, Noise::new(5)).unwrap();
        for (whole, some) in whole.iter().zip(some) {
            assert_eq!(whole.rows[300..320], some.rows);
            assert_eq!(whole.times[300..320], some.times);
            assert_eq!(whole.noised.slice(s![300..320, ..]), some.noised);
            assert_eq!(whole.constants[300..320], some.constants);
            match (&whole.target, some.target) {
                (Target::Tokens { weights, .. }, Target::Tokens { weights: some, .. }) => {
                    assert_eq!(weights.slice(s![300..320, ..]), some);
                }
                (Target::Rates { logs, .. }, Target::Rates { logs: some, .. }) => {
                    assert_eq!(logs.slice(s![300..320, .., ..]), some);
                }
                (Target::Ratios { ratios, .. }, Target::Ratios { ratios: some, .. }) => {
                    assert_eq!(ratios.slice(s![300..320, .., ..]), some);
                }
                (Target::Steps { laws, .. }, Target::Steps { laws: some, .. }) => {
                    assert_eq!(laws.slice(s![300..320, .., ..]), some);
                }
                _ => panic!("two kinds of targets"),
            }
        }
    }
    for form in [Form::Conditional, Form::Jumps, Form::Factorised, Form::OnePass] {
        check(&elbo.clone().with_form(form).unwrap().with_early_stop(0.01).unwrap(), &x0, &part);
    }
    check(&objective, &x0, &part);
    check(&ScoreEntropy::new(&noising, 1.0).unwrap(), &x0, &part);
    check(&DiscreteElbo::new(&noising, &grid).unwrap(), &x0, &part);
    check(&MaskedElbo::new(&masks).unwrap(), &x0, &part);
    // Values: the same bits for one thread, and in two parts.
    let model = tilted(0.5);
    let run =
        |x0: &Array2<u32>, rows| elbo.values(&model, x0, rows, 2, Noise::new(5), Control::default()).unwrap();
    let all = run(&x0, 7..1007);
    let single = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    assert_eq!(single.install(|| run(&x0, 7..1007)), all);
    assert_eq!(run(&part, 307..327), all[300..320]);
}
