//! Sums over all states and times, against reference values and entropies.

use ctmc::denoise::exact::{EmpiricalDenoiser, ProductMixture};
use ctmc::denoise::objective::{CrossEntropy, Elbo, Form, Objective, ScoreEntropy, Target, TrainingBatch};
use ctmc::denoise::{Denoiser, Noising, Output, denoiser_from_fn, ratios_from_fn};
use ctmc::{Refresh, TimeChange};
use numeric::ndarray::{Array2, Array3, ArrayRef3, Axis, array};
use numeric::{Batch, Control, Noise, Scratch};

use super::{DATA, FORMS, bound, density, discrete, losses, noised, tilted};
use crate::assert_near;
use crate::exact::{all_rows, chain, pair};

#[test]
fn bounds_of_the_chain_have_their_reference_values() {
    let noising = chain().0;
    let elbo = Elbo::new(&noising, 1.0).unwrap();
    let jumps = elbo.clone().with_form(Form::Jumps).unwrap();
    let constant: f64 = DATA.iter().zip(jumps.constants()).map(|(p, c)| p * c).sum();
    assert_near(constant, -0.594002417642, 1e-11);
    // For each tilt: the mean bound, and the bound and exact -ln p of each value.
    let cases = [
        (
            0.0,
            0.901309463513,
            [0.522753078588, 1.19388796771, 2.29491226047],
            [0.519226459315, 1.19118304076, 2.29107343153],
        ),
        (
            0.5,
            0.909749371718,
            [0.557969970001, 1.19565127321, 2.16272007753],
            [0.578649923488, 0.304998159765, 0.116351916747].map(|p: f64| -p.ln()),
        ),
        (
            1.0,
            0.936282751457,
            [0.616441440187, 1.2029111832, 2.05544532386],
            [0.580701334871, 1.17618842469, 2.02463535822],
        ),
    ];
    for (eps, mean, values, exact) in cases {
        let model = tilted(eps);
        for form in FORMS {
            let elbo = elbo.clone().with_form(form).unwrap();
            let found = [0, 1, 2].map(|v| bound(&elbo, &model, (0.0, 1.0), &[v]));
            for v in 0..3 {
                assert_near(found[v], values[v], 2e-11);
                assert!(found[v] > exact[v]);
            }
            assert_near(found.iter().zip(DATA).map(|(b, p)| b * p).sum(), mean, 1e-11);
        }
    }
    // With the exact posterior, the entropy and what is left of the data at the end.
    let entropy: f64 = DATA.iter().map(|p| -p * p.ln()).sum();
    assert_near(cases[0].1 - entropy, 0.00336373865641, 1e-11);
    // Also if the run stops early and draws the last token from the posterior.
    let early = elbo.with_early_stop(0.2).unwrap();
    let last = CrossEntropy::new(&noising, 0.0, 1.0).unwrap();
    let model = tilted(0.0);
    let mean = |v: u32| {
        let (all, p) = noised(&noising, 0.2, &[v]);
        let batch = &last.batches(&Array2::from_elem((3, 1), v), 0..3, 0, Noise::new(1)).unwrap()[0];
        let time = numeric::Time { t: 0.2, to_end: 0.8 };
        let batch = TrainingBatch { noised: all, times: vec![time; 3], ..batch.clone() };
        let sum: f64 = losses(&model, &noising, &batch).iter().zip(p).map(|(l, p)| l * p).sum();
        bound(&early, &model, (0.2, 1.0), &[v]) + sum
    };
    assert_near((0..3).map(|v| DATA[v as usize] * mean(v)).sum(), 0.901309463513, 1e-11);
}

#[test]
fn a_tilt_by_the_clean_value_is_another_prior() {
    let (noising, exact) = chain();
    let h = [0.0, 1.0, -0.5];
    let model = denoiser_from_fn(1, 3, move |batch: &Batch<'_, u32>, out: &mut ArrayRef3<f64>| {
        exact.log_values_into(batch, out, &mut Scratch::new())?;
        out.indexed_iter_mut().for_each(|((_, _, v), l)| *l += h[v]);
        Ok(())
    });
    let elbo = Elbo::new(&noising, 1.0).unwrap();
    let mean = |of: &dyn Fn(u32) -> f64| (0..3).map(|v| DATA[v as usize] * of(v)).sum::<f64>();
    assert_near(mean(&|v| bound(&elbo, &model, (0.0, 1.0), &[v])), 1.03686424795, 1e-11);
    // It is the exact reversal for that prior, so that the bound of a grid is the same for any grid.
    for steps in [1, 3, 16] {
        assert_near(mean(&|v| discrete(&noising, &model, steps, v)), 1.03686424795, 1e-11);
    }
}

#[test]
fn the_bound_of_a_grid_tends_to_that_in_continuous_time() {
    let (noising, model) = (chain().0, tilted(1.0));
    let cases = [
        (16, 0.00262054472123),
        (32, 0.00128326423413),
        (64, 0.000634987115012),
        (128, 0.000315845727493),
        (256, 0.000157512584768),
    ];
    for (steps, difference) in cases {
        let mean: f64 = (0..3).map(|v| DATA[v as usize] * discrete(&noising, &model, steps, v)).sum();
        assert_near(mean - 0.936282751457, difference, 1e-11);
    }
}

/// The law of two tokens at time t.
fn law(t: f64) -> Vec<f64> {
    let (noising, _, data) = pair();
    let mut q = vec![0.0; 9];
    for (x0, p) in all_rows(2, 3).outer_iter().zip(data) {
        noised(&noising, t, &x0.to_vec()).1.iter().zip(&mut q).for_each(|(n, q)| *q += p * n);
    }
    q
}

#[test]
fn forms_agree_for_two_tokens_and_one_pass_has_another_minimum() {
    let (noising, _, data) = pair();
    let (t, q) = (0.4, law(0.4));
    // Exact ratios, times a factor of the state before and after the jump.
    type Factor<'a> = &'a (dyn Fn([u32; 2], usize, u32) -> f64 + Sync);
    let model = |factor: Factor<'_>| {
        let mut ratios = Array3::zeros((9, 2, 3));
        for ((i, d, y), ln_r) in ratios.indexed_iter_mut() {
            let x = [i as u32 / 3, i as u32 % 3];
            let mut after = x;
            after[d] = y as u32;
            *ln_r = (q[(3 * after[0] + after[1]) as usize] / q[i] * factor(x, d, y as u32)).ln();
        }
        ratios_from_fn(2, 3, move |batch: &Batch<'_, u32>, out: &mut ArrayRef3<f64>| {
            for (x, mut out) in batch.x().outer_iter().zip(out.outer_iter_mut()) {
                out.assign(&ratios.index_axis(Axis(0), (3 * x[0] + x[1]) as usize));
            }
            Ok(())
        })
    };
    let mean = |form: Form, factor: Factor<'_>| {
        let elbo = Elbo::new(&noising, 1.0).unwrap().with_form(form).unwrap();
        let model = model(factor);
        let of = |x0: &[u32]| density(&elbo, &model, t, x0);
        all_rows(2, 3).outer_iter().zip(data).map(|(x0, p)| p * of(&x0.to_vec())).sum::<f64>()
    };
    let exact: Factor<'_> = &|_, _, _| 1.0;
    let wrong: Factor<'_> = &|x, d, y| (0.3 * f64::from(9 * x[0] + 3 * x[1] + y + d as u32).cos()).exp();
    for form in [Form::Jumps, Form::Factorised] {
        assert_near(mean(form, exact), 3.20487746839, 1e-10);
        assert_near(mean(form, wrong), 3.24539247163, 1e-10);
    }
    assert_near(mean(Form::OnePass, exact), 3.45717069561, 1e-10);
    assert_near(mean(Form::OnePass, wrong), 3.48919832454, 1e-10);
    // Without the model's part the conditional form is the same up to its own constant.
    let difference = mean(Form::Conditional, wrong) - mean(Form::Conditional, exact);
    assert_near(difference, 3.24539247163 - 3.20487746839, 1e-10);
    // The law after a jump, with the total rate 2 · 2 · 0.5 of the chain.
    let m: Vec<f64> = (0..9)
        .map(|i| {
            let (a, b) = (i / 3, i % 3);
            let from = (0..3).filter(|&c| c != a).map(|c| q[3 * c + b]);
            from.chain((0..3).filter(|&c| c != b).map(|c| q[3 * a + c])).sum::<f64>() * 0.5 / 2.0
        })
        .collect();
    let minimum: Factor<'_> = &|x, _, _| {
        let i = (3 * x[0] + x[1]) as usize;
        q[i] / m[i]
    };
    assert_near(mean(Form::OnePass, minimum) - mean(Form::OnePass, exact), -0.121159568052, 1e-10);
    assert_near(mean(Form::Jumps, minimum) - mean(Form::Jumps, exact), 0.131133659168, 1e-10);
}

#[test]
fn score_entropy_has_its_reference_values() {
    // Rates 1/4 to each other state, at the time 0.8 of the clock.
    let noising = Noising::refresh(Refresh::uniform(4, 0.25).unwrap(), TimeChange::constant(1.0).unwrap());
    let scores: [[f64; 4]; 4] = [
        [1.845, 0.465, 1.134, 0.843],
        [0.873, 0.937, 0.546, 0.933],
        [0.771, 2.71, 1.07, 0.9],
        [0.919, 0.818, 0.729, 0.889],
    ];
    let logs = Array3::from_shape_fn((2, 1, 4), |(i, _, y)| scores[2 * i][y].ln());
    let elbo = Elbo::new(&noising, 1.0).unwrap();
    let x = array![[0], [2]];
    let batch = &elbo.integrand(&array![[0], [0]], &[0.8, 0.8], &x, &x).unwrap()[0];
    let found = batch.losses(&noising, Output::Ratios, &logs).unwrap();
    assert_near(found[0], 0.227058381576, 1e-12);
    assert_near(found[1], 1.12944791459, 1e-11);

    // As a batch of ratios: at least 0 without the prior's term, and 0 for the ratios themselves.
    let objective = ScoreEntropy::new(&noising, 2.0).unwrap();
    let x0 = Array2::from_shape_fn((50, 2), |(i, d)| ((i + d) % 4) as u32);
    let mut batch = objective.batches(&x0, 0..50, 0, Noise::new(3)).unwrap().remove(0);
    let prior = noising.prior_kl(0, 2.0).unwrap();
    assert!(batch.constants.iter().all(|c| (c - 2.0 * prior).abs() < 1e-15));
    batch.constants.fill(0.0);
    let Target::Ratios { ratios, .. } = &batch.target else { panic!() };
    let exact = batch.losses(&noising, Output::Ratios, &ratios.mapv(f64::ln)).unwrap();
    assert!(exact.iter().all(|l| l.abs() < 1e-14), "{exact:?}");
    let other = batch.losses(&noising, Output::Ratios, &ratios.mapv(|r| r.ln() + 0.1)).unwrap();
    assert!(other.iter().all(|&l| l > 0.0));
}

#[test]
fn exact_models_of_two_tokens_are_tight_but_for_the_prior() {
    let (noising, model, data) = pair();
    let elbo = Elbo::new(&noising, 1.0).unwrap();
    let (entropy, q) = (data.iter().map(|p| -p * p.ln()).sum::<f64>(), law(1.0));
    let prior: f64 = q.iter().map(|q| q * (9.0 * q).ln()).sum();
    for form in FORMS {
        let elbo = elbo.clone().with_form(form).unwrap();
        let of = |x0: &[u32]| bound(&elbo, &model, (0.0, 1.0), x0);
        let mean: f64 = all_rows(2, 3).outer_iter().zip(data).map(|(x0, p)| p * of(&x0.to_vec())).sum();
        assert_near(mean, entropy + prior, 1e-11);
    }
    // The same law as a mixture.
    let points = Array3::from_shape_fn((9, 2, 3), |(k, d, v)| f64::from(u8::from([k / 3, k % 3][d] == v)));
    let mixture = ProductMixture::new(&data, &points).unwrap();
    assert_near(
        density(&elbo, &mixture.denoiser(&noising).unwrap(), 0.3, &[1, 2]),
        density(&elbo, &model, 0.3, &[1, 2]),
        1e-13,
    );
}

#[test]
fn bounds_are_those_of_the_clock() {
    // Four times the rate for a quarter of the time: the same draws.
    let data = all_rows(2, 3);
    let values = |beta: f64| {
        let noising =
            Noising::refresh(Refresh::uniform(3, 1.0).unwrap(), TimeChange::constant(beta).unwrap());
        let model = EmpiricalDenoiser::new(&noising, &data).unwrap().with_weights(&pair().2).unwrap();
        let elbo = Elbo::new(&noising, 0.5 / beta).unwrap();
        elbo.values::<f64>(&model, &data, 0..9, 3, Noise::new(6), Control::default()).unwrap()
    };
    for (a, b) in values(0.5).iter().zip(values(2.0)) {
        assert_near(*a, b, 1e-12);
    }
}
