//! What a run promises beside its law: rows, shards, held tokens, ends, errors.

use ctmc::denoise::{
    Correction, Denoiser, Finish, JumpRule, Method, Noising, Origin, Output, ReverseSampler,
    denoiser_from_fn, ratios_from_fn,
};
use ctmc::{Refresh, TimeChange};
use numeric::ndarray::{Array2, ArrayRef3, s};
use numeric::{Batch, Batching, Control, Error, Noise, Scratch, TimeGrid};
use verify::{chi_squared, seed};

use super::laws::pair;
use super::{Enumerated, counts};

fn uniform() -> Noising {
    Noising::refresh(Refresh::uniform(3, 1.0).unwrap(), TimeChange::constant(0.5).unwrap())
}

fn grid(to: f64, steps: usize) -> TimeGrid {
    TimeGrid::uniform(1.0, to, steps).unwrap()
}

const ALL: [Method; 5] = [
    Method::TauLeaping(JumpRule::Reject),
    Method::Euler,
    Method::Posterior,
    Method::Midpoint(JumpRule::Last),
    Method::Trapezoidal { theta: 0.4, rule: JumpRule::Clamp },
];

/// A model that asks for whole blocks of seven rows, one after the other.
struct Blocks(Enumerated);

impl Denoiser<f64> for Blocks {
    fn dim(&self) -> usize {
        2
    }

    fn states(&self) -> usize {
        3
    }

    fn log_values_into(
        &self,
        batch: &Batch<'_, u32>,
        out: &mut ArrayRef3<f64>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        assert!(batch.len() == 7 && batch.rows()[0] % 7 == 0);
        self.0.log_values_into(batch, out, scratch)
    }

    fn batching(&self) -> Batching {
        Batching { rows: 7, rowwise: false, serial: true }
    }
}

#[test]
fn rows_depend_on_their_number_only() {
    let noise = Noise::new(seed(200));
    let (model, blocks) = (pair(), Blocks(pair()));
    for method in ALL {
        let sampler = ReverseSampler::new(uniform(), &model, method, grid(0.1, 20))
            .unwrap()
            .with_correction(Correction { steps: 1, scale: 0.2, below: 0.5, rule: JumpRule::Last })
            .unwrap()
            .with_finish(Finish::Draw);
        let all = sampler.sample::<f64>(Origin::Stationary, 0..100, noise, Control::default()).unwrap();
        for rows in [0..1, 13..57, 99..100, 50..50] {
            let part =
                sampler.sample::<f64>(Origin::Stationary, rows.clone(), noise, Control::default()).unwrap();
            assert_eq!(part.x, all.x.slice(s![rows.start as usize..rows.end as usize, ..]), "{method:?}");
        }
        let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let alone = one.install(|| {
            sampler.sample::<f64>(Origin::Stationary, 0..100, noise, Control::default()).unwrap()
        });
        assert_eq!(alone, all);
        // Whole blocks at the ends of a shard.
        let sampler = ReverseSampler::new(uniform(), &blocks, method, grid(0.1, 20))
            .unwrap()
            .with_correction(Correction { steps: 1, scale: 0.2, below: 0.5, rule: JumpRule::Last })
            .unwrap()
            .with_finish(Finish::Draw);
        let part = sampler.sample(Origin::Stationary, 10..45, noise, Control::default()).unwrap();
        assert_eq!(part.x, all.x.slice(s![10..45, ..]), "{method:?}");
        let start = Array2::from_elem((5, 2), 1);
        let part = sampler.sample(Origin::States(&start), 12..17, noise, Control::default()).unwrap();
        let other = ReverseSampler::new(uniform(), &model, method, grid(0.1, 20))
            .unwrap()
            .with_correction(Correction { steps: 1, scale: 0.2, below: 0.5, rule: JumpRule::Last })
            .unwrap()
            .with_finish(Finish::Draw)
            .sample::<f64>(Origin::States(&start), 12..17, noise, Control::default())
            .unwrap();
        assert_eq!(part.x, other.x);
    }
}

#[test]
fn held_tokens_stay_and_the_others_follow_them() {
    // An absorbing chain: the posterior given some unmasked tokens is the model of the others.
    let noising =
        Noising::refresh(Refresh::absorbing(4, 3, 1.0).unwrap(), TimeChange::log_linear(0.0).unwrap());
    let law = [0.30, 0.05, 0.02, 0.03, 0.20, 0.05, 0.05, 0.10, 0.20];
    let mut all = vec![0.0; 16];
    (0..9).for_each(|k| all[k / 3 * 4 + k % 3] = law[k]);
    let model = Enumerated::new(&noising, 2, &all);
    let rows = 20_000;
    let (x, mut held) = (Array2::from_elem((rows, 2), 2), Array2::from_elem((rows, 2), false));
    held.column_mut(1).fill(true);
    // At time 1 no token would be unmasked.
    let grid = TimeGrid::uniform(0.999, 0.0, 3).unwrap();
    let sampler = ReverseSampler::new(noising, &model, Method::Posterior, grid).unwrap();
    let origin = Origin::Held { x: &x, held: &held };
    let run =
        sampler.sample::<f64>(origin, 0..rows as u64, Noise::new(seed(210)), Control::default()).unwrap();
    assert!(run.x.column(1).iter().all(|&x| x == 2));
    let counts = counts(&run.x.slice(s![.., ..1]).to_owned(), 4);
    let conditional = [0.02, 0.05, 0.2].map(|p| p / 0.27);
    assert_eq!(counts[3], 0);
    // False alarms: one run in ten thousand.
    assert!(chi_squared(&counts[..3], &conditional).unwrap().p_value > 1e-4);
}

#[test]
fn ends_are_states_draws_or_the_most_likely() {
    let model = denoiser_from_fn(3, 3, |batch, out: &mut ArrayRef3<f32>| {
        for ((i, d, v), logit) in out.indexed_iter_mut() {
            // At the end, certain of one more than the state.
            let far = (batch.x()[[i, d]] + 1) % 3 != v as u32;
            *logit = if far { -1e4 } else { 0.0 };
        }
        Ok(())
    });
    let end = |finish| {
        let sampler =
            ReverseSampler::new(uniform(), &model, Method::TauLeaping(JumpRule::Reject), grid(0.5, 1));
        let sampler = sampler.unwrap().with_finish(finish);
        sampler.sample::<f32>(Origin::Stationary, 0..50, Noise::new(3), Control::default()).unwrap().x
    };
    let states = end(Finish::State);
    assert_eq!(end(Finish::MostLikely), states.mapv(|x| (x + 1) % 3));
    assert_eq!(end(Finish::Draw), states.mapv(|x| (x + 1) % 3));
}

#[test]
fn long_leaps_count_what_they_do() {
    let model = pair();
    let noise = Noise::new(seed(220));
    let run = |rule| {
        let sampler = ReverseSampler::new(uniform(), &model, Method::TauLeaping(rule), grid(0.0, 1)).unwrap();
        sampler.sample::<f64>(Origin::Stationary, 0..1000, noise, Control::default()).unwrap().counts
    };
    assert!(run(JumpRule::Reject).rejected > 100);
    assert!(run(JumpRule::Clamp).clamped > 100);
    assert_eq!((run(JumpRule::Last).rejected, run(JumpRule::Last).clamped), (0, 0));
    let method = Method::Trapezoidal { theta: 0.5, rule: JumpRule::Last };
    let sampler = ReverseSampler::new(uniform(), &model, method, grid(0.0, 2)).unwrap();
    let counts =
        sampler.sample::<f64>(Origin::Stationary, 0..1000, noise, Control::default()).unwrap().counts;
    assert!(counts.negative > 0 && counts.model_rows == 4000);
    // A step beyond which the linear law is none.
    let sampler = ReverseSampler::new(uniform(), &model, Method::Euler, grid(0.0, 1)).unwrap();
    let error = sampler.sample::<f64>(Origin::Stationary, 0..1000, noise, Control::default()).unwrap_err();
    assert!(matches!(error, Error::Stalled { .. }), "{error}");
}

#[test]
fn bad_input_is_refused() {
    let model = pair();
    let new = |noising, method, grid| ReverseSampler::new(noising, &model, method, grid);
    let up = TimeGrid::uniform(0.0, 1.0, 3).unwrap();
    assert!(new(uniform(), Method::Posterior, up).is_err());
    let cosine = Noising::refresh(Refresh::uniform(3, 1.0).unwrap(), TimeChange::cosine());
    assert!(new(cosine, Method::Posterior, TimeGrid::uniform(1.5, 0.0, 3).unwrap()).is_err());
    for theta in [0.0, 1.0, -0.5, f64::NAN] {
        let method = Method::Trapezoidal { theta, rule: JumpRule::Last };
        assert!(new(uniform(), method, grid(0.0, 3)).is_err(), "{theta}");
    }
    let sampler = new(uniform(), Method::Posterior, grid(0.0, 3)).unwrap();
    for scale in [0.0, f64::NAN, f64::INFINITY] {
        let correction = Correction { steps: 1, scale, below: 1.0, rule: JumpRule::Last };
        assert!(sampler.clone().with_correction(correction).is_err());
    }
    let sample = |origin| sampler.sample::<f64>(origin, 0..2, Noise::new(0), Control::default());
    let x = Array2::from_elem((2, 2), 3);
    assert!(matches!(sample(Origin::States(&x)), Err(Error::Entry { parameter: "origin", index: 0, .. })));
    let (none, all) = (Array2::from_elem((2, 2), false), Array2::from_elem((2, 2), true));
    let (tall, thin) = (Array2::zeros((3, 2)), Array2::from_elem((2, 1), true));
    assert!(sample(Origin::States(&tall)).is_err());
    assert!(sample(Origin::Held { x: &x, held: &none }).is_ok());
    assert!(sample(Origin::Held { x: &x, held: &all }).is_err());
    assert!(sample(Origin::Held { x: &x, held: &thin }).is_err());
    // Another number of states, ratios for a posterior step, NaN, all of -∞, failure.
    let run = |model: &dyn Denoiser<f64>, method| {
        let sampler = ReverseSampler::new(uniform(), model, method, grid(0.0, 3)).unwrap();
        sampler.sample::<f64>(Origin::Stationary, 5..9, Noise::new(0), Control::default()).unwrap_err()
    };
    let fill = |states, value| {
        denoiser_from_fn(2, states, move |_: &Batch<'_, u32>, out: &mut ArrayRef3<f64>| {
            out.fill(value);
            Ok(())
        })
    };
    assert!(matches!(run(&fill(4, 0.0), Method::Posterior), Error::Shape { parameter: "model", .. }));
    let ratios = ratios_from_fn(2, 3, |_, out: &mut ArrayRef3<f64>| {
        out.fill(0.0);
        Ok(())
    });
    assert_eq!(Denoiser::<f64>::output(&ratios), Output::Ratios);
    assert!(matches!(run(&ratios, Method::Posterior), Error::Unsupported { .. }));
    for method in ALL {
        assert!(matches!(
            run(&fill(3, f64::NAN), method),
            Error::Model { row: 5, .. } | Error::NotFinite { row: 5, .. }
        ));
        assert!(matches!(run(&fill(3, f64::NEG_INFINITY), method), Error::Model { row: 5, .. }));
    }
    let broken = denoiser_from_fn(2, 3, |batch, out: &mut ArrayRef3<f64>| {
        out.fill(0.0);
        match batch.rows().iter().find(|&&row| row >= 7) {
            Some(&row) => Err(Error::Model { row, message: "no".into() }),
            None => Ok(()),
        }
    });
    assert_eq!(run(&broken, Method::Euler), Error::Model { row: 7, message: "no".into() });
    let stop = std::sync::atomic::AtomicBool::new(true);
    let control = Control { cancel: Some(&stop), progress: None };
    let run = sampler.sample::<f64>(Origin::Stationary, 0..5, Noise::new(0), control);
    assert_eq!(run, Err(Error::Cancelled));
}

#[test]
fn the_lowest_failing_row_is_reported_whenever_it_fails() {
    // So many states that tables of twenty steps are kept at a time.
    let states = 100_000;
    let noising =
        Noising::refresh(Refresh::uniform(states, 1e-5).unwrap(), TimeChange::constant(1.0).unwrap());
    let model = |late: u64, early: u64| {
        denoiser_from_fn(1, states, move |batch, out: &mut ArrayRef3<f32>| {
            out.fill(0.0);
            let t = batch.times().get(0).t;
            for (i, &row) in batch.rows().iter().enumerate() {
                if (row == early && t < 0.95) || (row == late && t < 0.2) {
                    out[[i, 0, 0]] = f32::NAN;
                }
            }
            Ok(())
        })
    };
    let run = |late, early| {
        let method = Method::TauLeaping(JumpRule::Last);
        let sampler =
            ReverseSampler::new(noising.clone(), model(late, early), method, grid(0.1, 30)).unwrap();
        sampler
            .sample::<f32>(Origin::Stationary, 0..6, Noise::new(0), Control::default())
            .map(|run| run.x.dim())
    };
    assert!(matches!(run(1, 4), Err(Error::NotFinite { row: 1, .. })));
    assert!(matches!(run(5, 4), Err(Error::NotFinite { row: 4, .. })));
    assert!(matches!(run(0, 3), Err(Error::NotFinite { row: 0, .. })));
    assert_eq!(run(9, 9), Ok((6, 1)));
}

#[test]
fn second_stages_refuse_what_first_stages_do() {
    for (method, part) in [(ALL[3], 0.75), (Method::Trapezoidal { theta: 0.5, rule: JumpRule::Last }, 0.75)] {
        let broken = denoiser_from_fn(2, 3, move |batch, out: &mut ArrayRef3<f64>| {
            out.fill(if batch.times().get(0).t == part { f64::NAN } else { 0.0 });
            Ok(())
        });
        let sampler = ReverseSampler::new(uniform(), broken, method, grid(0.5, 1)).unwrap();
        let run = sampler.sample::<f64>(Origin::Stationary, 3..5, Noise::new(0), Control::default());
        assert!(matches!(run, Err(Error::NotFinite { row: 3, .. } | Error::Model { row: 3, .. })), "{run:?}");
        // Births only: a token in state 1 was not born from state 2.
        let births = numeric::ndarray::array![[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]];
        let births = ctmc::Dense::new(&births).unwrap();
        let births = Noising::new(births, TimeChange::constant(1.0).unwrap()).unwrap();
        let impossible = denoiser_from_fn(1, 3, move |batch, out: &mut ArrayRef3<f64>| {
            let first = batch.times().get(0).t != part;
            out.fill(if first { f64::NEG_INFINITY } else { 0.0 });
            // At first, what is now was always.
            batch.x().iter().enumerate().for_each(|(i, &x)| out[[i, 0, x as usize]] = 0.0);
            Ok(())
        });
        let sampler = ReverseSampler::new(births, impossible, method, grid(0.5, 1)).unwrap();
        let start = Array2::from_elem((1, 1), 1);
        let run = sampler.sample::<f64>(Origin::States(&start), 0..1, Noise::new(0), Control::default());
        assert!(matches!(run, Err(Error::Model { row: 0, .. })), "{run:?}");
    }
}

#[test]
fn rows_without_tokens_and_all_methods_with_masks() {
    let none = denoiser_from_fn(0, 3, |_, _: &mut ArrayRef3<f64>| Ok(()));
    let masks = Noising::refresh(Refresh::absorbing(3, 2, 1.0).unwrap(), TimeChange::constant(1.0).unwrap());
    for method in ALL {
        let sampler = ReverseSampler::new(masks.clone(), &none, method, grid(0.1, 2)).unwrap();
        let run = sampler.sample::<f64>(Origin::Stationary, 0..4, Noise::new(0), Control::default());
        assert_eq!(run.unwrap().x.dim(), (4, 0));
        // A network that does not copy unmasked tokens, with correctors, which mask again; held tokens stay.
        let model = denoiser_from_fn(2, 3, |_, out: &mut ArrayRef3<f32>| {
            out.fill(0.0);
            out.slice_mut(s![.., .., 2]).fill(f32::NEG_INFINITY);
            Ok(())
        });
        let sampler = ReverseSampler::new(masks.clone(), &model, method, grid(0.1, 50))
            .unwrap()
            .with_correction(Correction { steps: 1, scale: 0.5, below: 0.9, rule: JumpRule::Last })
            .unwrap()
            .with_finish(Finish::Draw);
        let (x, mut held) = (Array2::from_elem((200, 2), 1), Array2::from_elem((200, 2), false));
        held.column_mut(0).fill(true);
        let origin = Origin::Held { x: &x, held: &held };
        let run = sampler.sample::<f32>(origin, 0..200, Noise::new(seed(230)), Control::default()).unwrap();
        assert!(run.x.column(0).iter().all(|&x| x == 1) && run.x.iter().all(|&x| x < 2), "{method:?}");
        // Binomial(200, 1/2) to five standard deviations.
        let ones = run.x.column(1).iter().filter(|&&x| x == 1).count() as f64;
        assert!((ones - 100.0).abs() < 36.0, "{method:?} {ones}");
    }
    let grid = TimeGrid::from_nodes(vec![1.0, 0.5]).unwrap();
    for bounds in [None, Some(&[3.0][..])] {
        let run = ctmc::denoise::uniformized(
            &masks,
            &none,
            &grid,
            bounds,
            Origin::Stationary,
            0..4,
            Noise::new(0),
            Control::default(),
        );
        assert_eq!(run.unwrap().x.dim(), (4, 0));
    }
    let run = ctmc::denoise::first_hitting(
        &masks,
        &none,
        Origin::Stationary,
        1.0,
        0..4,
        Noise::new(0),
        Control::default(),
    );
    assert_eq!(run.unwrap().x.dim(), (4, 0));
}
