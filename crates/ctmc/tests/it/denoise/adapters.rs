//! Ratios, posteriors and guidance.

use ctmc::denoise::{
    Denoiser, Guided, Method, Noising, Origin, Output, PosteriorOf, RatiosOf, ReverseSampler, Tilted,
    denoiser_from_fn, ratios_from_fn,
};
use ctmc::{Refresh, TimeChange};
use numeric::ndarray::{Array2, Array3, ArrayRef3, array};
use numeric::{Batch, Control, Error, Noise, Scratch, Time, TimeGrid, Times};
use verify::{chi_squared, seed};

use super::laws::pair;
use super::{Enumerated, counts, cyclic_noising, noised_rows, tokens};

fn all_rows(model: &Enumerated) -> Array2<u32> {
    let n = model.law.len();
    Array2::from_shape_fn((n, model.dim), |(i, d)| tokens(i, model.dim, model.noising.states())[d])
}

fn evaluate(model: &impl Denoiser<f64>, x: &Array2<u32>, times: Times<'_>) -> Result<Array3<f64>, Error> {
    let rows: Vec<u64> = (0..x.nrows() as u64).collect();
    let mut out = Array3::zeros((x.nrows(), model.dim(), model.states()));
    model.values_into(&Batch::new(&rows, times, x), &mut out, &mut Scratch::new())?;
    Ok(out)
}

#[test]
fn posteriors_and_ratios_are_each_other() {
    let masks = Noising::refresh(Refresh::absorbing(3, 2, 1.0).unwrap(), TimeChange::cosine());
    let masked = [0.4, 0.1, 0.0, 0.15, 0.35, 0.0, 0.0, 0.0, 0.0];
    let law = [0.30, 0.05, 0.02, 0.03, 0.20, 0.05, 0.05, 0.10, 0.20];
    for mut model in
        [pair(), Enumerated::new(&cyclic_noising(), 2, &law), Enumerated::new(&masks, 2, &masked)]
    {
        let noising = model.noising.clone();
        let x = all_rows(&model);
        let times: Vec<Time> = (0..9).map(|k| Time::of(0.1 + 0.1 * f64::from(k))).collect();
        for times in [Times::Same(Time::of(0.3)), Times::PerRow(&times)] {
            model.output = Output::Posterior;
            let posterior = evaluate(&model, &x, times).unwrap();
            let found = evaluate(&RatiosOf { model: &model, noising: &noising }, &x, times).unwrap();
            model.output = Output::Ratios;
            let ratios = evaluate(&model, &x, times).unwrap();
            for ((i, d, s), a) in found.indexed_iter() {
                // Of states that nothing leads from, the posterior has no ratio, and none is needed.
                if s as u32 == x[[i, d]] || noising.generator().rate(s as u32, x[[i, d]]) > 0.0 {
                    crate::assert_near(*a, ratios[[i, d, s]], 1e-12 * (1.0 + a));
                }
            }
            let back = PosteriorOf { model: &model, noising: &noising, tolerance: 1e-10 };
            let found = evaluate(&back, &x, times).unwrap();
            assert!(found.iter().zip(&posterior).all(|(a, b)| (a - b).abs() < 1e-11), "{found} {posterior}");
        }
    }
}

#[test]
fn guidance_by_the_exact_likelihood_is_the_condition() {
    // The condition: the second clean token is 2.
    let mut model = pair();
    model.output = Output::Ratios;
    let given = |p: &[f64]| -> Vec<f64> {
        let total = p[2] + p[5] + p[8];
        (0..9).map(|k| if k % 3 == 2 { p[k] / total } else { 0.0 }).collect()
    };
    let mut conditional = Enumerated::new(&model.noising, 2, &given(&model.law));
    conditional.output = Output::Ratios;
    let other = pair();
    let likelihood = |_: u64, time: Time, x: &[u32]| other.values(x, time.t)[[1, 2]].ln();
    let tilted = Tilted { model: &model, log_likelihood: likelihood, strength: 1.0 };
    let times = Times::Same(Time::of(0.4));
    let x = all_rows(&model);
    let found = evaluate(&tilted, &x, times).unwrap();
    let exact = evaluate(&conditional, &x, times).unwrap();
    assert!(found.iter().zip(&exact).all(|(a, b)| (a - b).abs() < 1e-12 * (1.0 + b)));
    // Between them: the geometric mean.
    let guided = Guided { conditional: &conditional, unconditional: &model, weight: 0.5 };
    let half = evaluate(&Tilted { strength: 0.5, ..tilted }, &x, times).unwrap();
    let found = evaluate(&guided, &x, times).unwrap();
    assert!(found.iter().zip(&half).all(|(a, b)| (a - b).abs() < 1e-12 * (1.0 + b)));
    for (weight, end) in [(0.0, &model), (1.0, &conditional)] {
        let found = evaluate(&Guided { conditional: &conditional, unconditional: &model, weight }, &x, times);
        assert_eq!(found.unwrap(), evaluate(end, &x, times).unwrap());
    }
    // And runs have the conditional law.
    let rows = 8_000;
    let grid = TimeGrid::uniform(1.0, 0.0, 400).unwrap();
    let noise = Noise::new(seed(500));
    let start = noised_rows(&conditional, 1.0, rows, noise.fork("start"));
    let method = Method::TauLeaping(ctmc::denoise::JumpRule::Last);
    let guided = Guided { conditional: &conditional, unconditional: &model, weight: 1.0 };
    let sampler = ReverseSampler::new(model.noising.clone(), guided, method, grid).unwrap();
    let run = sampler.sample::<f64>(Origin::States(&start), 0..rows, noise, Control::default()).unwrap();
    let first = counts(&run.x, 3);
    let found = [0, 1, 2].map(|k| first[3 * k] + first[3 * k + 1] + first[3 * k + 2]);
    // 400 leaps are off by less than 0.003; false alarms: one run in ten thousand.
    assert!(chi_squared(&found, &[0.02 / 0.27, 0.05 / 0.27, 0.2 / 0.27]).unwrap().p_value > 1e-4);
}

#[test]
fn what_is_inconsistent_is_refused() {
    let noising = Noising::refresh(Refresh::uniform(3, 1.0).unwrap(), TimeChange::constant(1.0).unwrap());
    let (x, times) = (array![[0]], Times::Same(Time::of(1.0)));
    let constant = |values: [f64; 3]| {
        ratios_from_fn(1, 3, move |_, out: &mut ArrayRef3<f64>| {
            out.iter_mut().zip(values).for_each(|(out, v)| *out = v.ln());
            Ok(())
        })
    };
    let of = |values, tolerance| {
        evaluate(&PosteriorOf { model: constant(values), noising: &noising, tolerance }, &x, times)
    };
    // No noised law has such different ratios at this time.
    assert!(matches!(of([1.0, 0.01, 30.0], 1e-3), Err(Error::Model { row: 0, .. })));
    assert!(of([1.0, 0.9, 1.05], 1e-3).is_err() && of([1.0, 0.99, 1.02], 1.0).is_ok());
    assert!(of([1.0, f64::NAN, 1.0], 1.0).is_err() && of([1.0; 3], f64::NAN).is_err());
    let posterior = denoiser_from_fn(1, 3, |_, out: &mut ArrayRef3<f64>| {
        out.fill(0.0);
        Ok(())
    });
    let wrong = PosteriorOf { model: &posterior, noising: &noising, tolerance: 0.1 };
    assert!(matches!(evaluate(&wrong, &x, times), Err(Error::Unsupported { .. })));
    let wrong = RatiosOf { model: constant([1.0; 3]), noising: &noising };
    assert!(matches!(evaluate(&wrong, &x, times), Err(Error::Unsupported { .. })));
    let mixed = Guided { conditional: &posterior, unconditional: constant([1.0; 3]), weight: 1.5 };
    assert!(matches!(evaluate(&mixed, &x, times), Err(Error::Unsupported { .. })));
    let weight = Guided { conditional: &posterior, unconditional: &posterior, weight: f64::NAN };
    assert!(evaluate(&weight, &x, times).is_err());
    // Impossible in the conditional model stays so, also where the other finds it impossible too.
    let never = |v: usize| {
        denoiser_from_fn(1, 3, move |_, out: &mut ArrayRef3<f64>| {
            out.fill(0.0);
            out[[0, 0, v]] = f64::NEG_INFINITY;
            Ok(())
        })
    };
    let guided = Guided { conditional: never(1), unconditional: never(1), weight: 3.0 };
    assert_eq!(evaluate(&guided, &x, times).unwrap(), array![[[0.5, 0.0, 0.5]]]);
    // Possible only with the condition, and counted more: infinite, and an error.
    let guided = Guided { conditional: never(1), unconditional: never(2), weight: 3.0 };
    assert!(evaluate(&guided, &x, times).is_err());
    // Births only: a token in state 1 was not born from state 2; of masks, an unmasked token needs no ratios.
    let births = ctmc::Dense::new(&array![[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]).unwrap();
    let births = Noising::new(births, TimeChange::constant(1.0).unwrap()).unwrap();
    let impossible = RatiosOf { model: &posterior, noising: &births };
    assert!(matches!(evaluate(&impossible, &array![[1]], times), Err(Error::Model { row: 0, .. })));
    let masks = Noising::refresh(Refresh::absorbing(3, 2, 1.0).unwrap(), TimeChange::constant(1.0).unwrap());
    assert_eq!(
        evaluate(&RatiosOf { model: &posterior, noising: &masks }, &x, times).unwrap()[[0, 0, 0]],
        1.0
    );
    // Another number of states, and one that does not exist.
    let four = Noising::refresh(Refresh::uniform(4, 1.0).unwrap(), TimeChange::constant(1.0).unwrap());
    assert!(evaluate(&RatiosOf { model: &posterior, noising: &four }, &x, times).is_err());
    assert!(evaluate(&RatiosOf { model: &posterior, noising: &masks }, &array![[3]], times).is_err());
}
