//! Jumps one by one: how many, where to, and at which of the rates.

use ctmc::denoise::{
    Correction, Finish, JumpRule, Method, Noising, Origin, Output, Reversal, ReverseSampler,
    denoiser_from_fn, ratios_from_fn,
};
use ctmc::{Dense, Refresh, TimeChange};
use numeric::ndarray::{Array2, ArrayRef3, array};
use numeric::{Batch, Control, Noise, TimeGrid};
use verify::{Family, chi_squared, seed};

fn uniform(states: usize) -> Noising {
    Noising::refresh(Refresh::uniform(states, 1.0).unwrap(), TimeChange::constant(1.0).unwrap())
}

#[test]
fn leaps_up_a_ladder_have_poisson_lengths() {
    // The only rate is one of 1 to the next state, at all times: whatever the method, the place after time 4 is a Poisson
    // number of mean 4. False alarms: one run in ten thousand for the whole test.
    let mut family = Family::new(1e-4).unwrap();
    let ladder = ratios_from_fn(1, 40, |batch: &Batch<'_, u32>, out: &mut ArrayRef3<f64>| {
        out.fill(f64::NEG_INFINITY);
        for (i, &x) in batch.x().iter().enumerate() {
            out[[i, 0, x as usize]] = 0.0;
            out[[i, 0, (x as usize + 1).min(39)]] = 0.0;
        }
        Ok(())
    });
    let mut law = vec![(-4.0_f64).exp()];
    (1..40).for_each(|k| law.push(law[k - 1] * 4.0 / k as f64));
    let methods = [JumpRule::Clamp, JumpRule::Cyclic].map(|rule| {
        [Method::TauLeaping(rule), Method::Midpoint(rule), Method::Trapezoidal { theta: 0.3, rule }]
    });
    let start = Array2::zeros((10_000, 1));
    for (k, method) in (600..).zip(methods.into_iter().flatten()) {
        let grid = TimeGrid::uniform(4.5, 0.5, 1).unwrap();
        let sampler = ReverseSampler::new(uniform(40), &ladder, method, grid).unwrap();
        let noise = Noise::new(seed(k));
        let run =
            sampler.sample::<f64>(Origin::States(&start), 0..10_000, noise, Control::default()).unwrap();
        let mut counts = [0; 40];
        run.x.iter().for_each(|&x| counts[x as usize] += 1);
        family.push(format!("{method:?}"), chi_squared(&counts, &law).unwrap().p_value);
    }
    family.assert();
}

#[test]
fn correctors_go_forward_and_back_by_the_rates_of_both() {
    // From 0 the forward chain goes to 1 at rate 1, and the reverse one to 2, at rate 1 by the model.
    let circle = array![[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]];
    let circle = Dense::new(&circle).unwrap();
    let circle = Noising::new(circle, TimeChange::constant(1.0).unwrap()).unwrap();
    let model = ratios_from_fn(1, 3, |_, out: &mut ArrayRef3<f64>| {
        out.fill(f64::NEG_INFINITY);
        out.outer_iter_mut().for_each(|mut row| row[[0, 2]] = 0.0);
        Ok(())
    });
    let run = |below, scale, rows: u64| {
        // The step of the method itself is so short that none of 40,000 rows moves (but one run in a million).
        let grid = TimeGrid::from_nodes(vec![0.5 + 1e-12, 0.5]).unwrap();
        let sampler =
            ReverseSampler::new(circle.clone(), &model, Method::TauLeaping(JumpRule::Last), grid).unwrap();
        let correction = Correction { steps: 1, scale, below, rule: JumpRule::Last };
        let start = Array2::zeros((rows as usize, 1));
        let noise = Noise::new(seed(610));
        let sampler = sampler.with_correction(correction).unwrap();
        sampler.sample::<f64>(Origin::States(&start), 0..rows, noise, Control::default()).unwrap()
    };
    // A corrector step of length 0.3, relative to that of the method as it is in floats.
    let found = run(1.0, 0.3 / ((0.5 + 1e-12) - 0.5), 40_000);
    let moved = 1.0 - (-0.6_f64).exp();
    let mut counts = [0; 3];
    found.x.iter().for_each(|&x| counts[x as usize] += 1);
    let p = chi_squared(&counts, &[1.0 - moved, moved / 2.0, moved / 2.0]).unwrap().p_value;
    // False alarms: one run in ten thousand.
    assert!(p > 1e-4, "{p}");
    // Only at times below the given one.
    assert_eq!(run(0.5, 1.0, 10).counts.model_rows, 10);
    assert_eq!(run(0.5000001, 1.0, 10).counts.model_rows, 20);
}

#[test]
fn destinations_of_many_states_have_the_law_of_the_rates() {
    // More states than are summed at a time, on both sides of the token's own.
    let states = 40;
    let law: Vec<f64> = (0..states).map(|s| 1.0 + ((s * 17) % 11) as f64).collect();
    let total: f64 = law.iter().sum();
    let law: Vec<f64> = law.iter().map(|p| p / total).collect();
    let n = 1000;
    for output in [Output::Posterior, Output::Ratios] {
        let reversal = Reversal::<f64>::new(&uniform(states), 0.01, output).unwrap();
        for x in [0, 3, 19, 36, 39] {
            let mut rates = vec![0.0; states];
            reversal.rates_into(x, &law, &mut rates);
            let total: f64 = rates.iter().sum();
            let mut counts = vec![0.0; states];
            for i in 0..n * n {
                let u = [(i % n) as f64 + 0.5, (i / n) as f64 + 0.5].map(|u| u / n as f64);
                counts[reversal.destination(x, &law, u) as usize] += 1.0;
            }
            // The ends of an interval of u, and those of one that is shared by all states.
            for (count, rate) in counts.iter().zip(rates) {
                crate::assert_near(count / (n * n) as f64, rate / total, 4.0 / n as f64);
            }
        }
    }
}

#[test]
fn the_first_of_equally_likely_values_is_the_end() {
    let flat = denoiser_from_fn(2, 5, |_, out: &mut ArrayRef3<f64>| {
        out.fill(0.0);
        Ok(())
    });
    let grid = TimeGrid::uniform(1.0, 0.5, 1).unwrap();
    let sampler = ReverseSampler::new(uniform(5), flat, Method::Posterior, grid).unwrap();
    let sampler = sampler.with_finish(Finish::MostLikely);
    let run = sampler.sample::<f64>(Origin::Stationary, 0..9, Noise::new(1), Control::default()).unwrap();
    assert!(run.x.iter().all(|&x| x == 0));
}
