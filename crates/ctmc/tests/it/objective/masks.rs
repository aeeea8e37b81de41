//! Absorbing chains.

use ctmc::denoise::objective::{DiscreteElbo, Elbo, Form, MaskedElbo, Objective, Target};
use ctmc::denoise::{Noising, denoiser_from_fn};
use ctmc::{Refresh, TimeChange};
use numeric::ndarray::{Array2, ArrayRef3, array};
use numeric::{Batch, Control, Noise, TimeGrid};
use verify::{Family, seed};

use super::{FORMS, bound, density, masked_model, masked_network, push, rule};
use crate::assert_near;
use crate::exact::chain;

pub(super) const MASKED_BOUND: [[f64; 2]; 2] =
    [[0.967670598853, 2.14335822743], [1.8727249028, 1.07279067209]];

#[test]
fn masked_bounds_do_not_depend_on_the_schedule_and_are_means_over_orders() {
    let law = [[0.38125, 0.11875], [0.15375, 0.34625]];
    for a in 0..2 {
        for b in 0..2 {
            let exact = MASKED_BOUND[a][b];
            // One token and then the other, in both orders.
            let p = |x: [u32; 2], d: usize, v: usize| -masked_network(x)[d][v].ln();
            let orders = [p([2, 2], 0, a) + p([a as u32, 2], 1, b), p([2, 2], 1, b) + p([2, b as u32], 0, a)];
            assert_near(0.5 * (orders[0] + orders[1]), exact, 1e-11);
            assert!(exact > -f64::ln(law[a][b]));
            // Forms with drawn jumps by the first schedule: by the second one their integrands have a logarithm at the
            // end, of which the rule here gives four digits.
            let schedules =
                [(TimeChange::log_linear(0.0).unwrap(), &FORMS[..]), (TimeChange::cosine(), &FORMS[..1])];
            for (beta, forms) in schedules {
                let noising = Noising::refresh(Refresh::absorbing(3, 2, 1.0).unwrap(), beta);
                // At the end all is masked, and the prior's term is 0.
                let elbo = Elbo::new(&noising, 1.0).unwrap();
                assert_eq!(elbo.constants()[..2], [0.0, 0.0]);
                for &form in forms {
                    let elbo = elbo.clone().with_form(form).unwrap();
                    let found = bound(&elbo, &masked_model(0.0), (0.0, 1.0), &[a as u32, b as u32]);
                    assert_near(found, exact, 1e-11);
                }
            }
        }
    }
}

#[test]
fn masks_and_steps_are_drawn_by_their_laws() {
    // False alarms: one run in ten thousand.
    let mut family = Family::new(1e-4).unwrap();
    // With this schedule the time is the share m of masked tokens.
    let noising =
        Noising::refresh(Refresh::absorbing(3, 2, 1.0).unwrap(), TimeChange::log_linear(0.0).unwrap());
    let masked = MaskedElbo::new(&noising).unwrap();
    let batch =
        masked.batches(&Array2::zeros((9000, 3)), 0..9000, 0, Noise::new(seed(58))).unwrap().remove(0);
    let Target::Tokens { weights, .. } = &batch.target else { panic!() };
    let (mut times, mut places) = ([vec![], vec![], vec![]], [[0; 3]; 3]);
    for (i, x) in batch.noised.outer_iter().enumerate() {
        let count = x.iter().filter(|&&x| x == 2).count();
        times[count - 1].push(batch.times[i].t);
        for d in 0..3 {
            assert_eq!(weights[[i, d]], if x[d] == 2 { 3.0 / count as f64 } else { 0.0 });
            places[count - 1][d] += u64::from(x[d] == 2);
        }
    }
    // Given n masks, m is the n-th smallest of three uniforms.
    let laws: [fn(f64) -> f64; 3] =
        [|m| 1.0 - (1.0 - m).powi(3), |m| 3.0 * m * m - 2.0 * m.powi(3), |m| m.powi(3)];
    for (k, (times, law)) in times.iter().zip(laws).enumerate() {
        assert!((2990..=3010).contains(&times.len()));
        let m = verify::kolmogorov_smirnov(times, law).unwrap();
        family.push(format!("share of {} masks", k + 1), m.p_value);
    }
    // One mask, or one token that is not masked, is at any place.
    let third = [1.0 / 3.0; 3];
    family.push("one mask", verify::chi_squared(&places[0], &third).unwrap().p_value);
    let clear = places[1].map(|masked| times[1].len() as u64 - masked);
    family.push("two masks", verify::chi_squared(&clear, &third).unwrap().p_value);
    family.assert();

    let grid = DiscreteElbo::new(&chain().0, &TimeGrid::uniform(0.0, 1.0, 16).unwrap()).unwrap();
    let batch = grid.batches(&Array2::zeros((800, 1)), 0..800, 0, Noise::new(7)).unwrap().remove(0);
    let Target::Steps { earlier, weights, .. } = &batch.target else { panic!() };
    assert!(weights.iter().all(|&w| w == 16.0));
    for k in 0..16 {
        let count = earlier.iter().filter(|&&t| t == f64::from(k) / 16.0).count();
        assert!((47..=53).contains(&count));
    }
}

#[test]
fn probabilities_below_all_floats_count_in_full() {
    // 300 tokens in f32, one of which the model finds as unlikely as e^-200.
    let masks = Noising::refresh(Refresh::absorbing(3, 2, 1.0).unwrap(), TimeChange::cosine());
    let model = denoiser_from_fn(300, 3, |_: &Batch<'_, u32>, out: &mut ArrayRef3<f32>| {
        out.outer_iter_mut().for_each(|mut row| {
            row.outer_iter_mut().for_each(|mut l| l.assign(&array![0.0, -200.0, -300.0]))
        });
        Ok(())
    });
    let mut x0 = Array2::zeros((1, 300));
    x0[[0, 11]] = 1;
    let masked = MaskedElbo::new(&masks).unwrap();
    let found = masked.values(&model, &x0, 0..1, 4000, Noise::new(1), Control::default()).unwrap()[0];
    // 200 in the mean; each draw is 200 · 300/n with probability n/300, standard deviation 200 · 2.3.
    assert_near(found, 200.0, 6.0 * 460.0 / 4000.0_f64.sqrt());
}

#[test]
fn jumps_by_the_cosine_schedule_have_the_same_bound() {
    let noising = Noising::refresh(Refresh::absorbing(3, 2, 1.0).unwrap(), TimeChange::cosine());
    // t = u³(10 - 15 u + 6 u²), flat at both ends, where the integrands have logarithms.
    let nodes: Vec<(f64, f64)> = (rule().into_iter())
        .map(|(u, w)| (0.5 * u, 0.5 * w))
        .flat_map(|(u, w)| {
            let (left, weight) =
                (u * u * u * (10.0 - 15.0 * u + 6.0 * u * u), w * 30.0 * (u * (1.0 - u)).powi(2));
            [(left, weight), (1.0 - left, weight)]
        })
        // Where 1 - t is below all floats, so is the weight.
        .filter(|&(t, _)| t < 1.0)
        .collect();
    // False alarms: one run in ten thousand.
    let mut family = Family::new(1e-4).unwrap();
    for (k, form) in (60..).zip([Form::Jumps, Form::Factorised]) {
        let elbo = Elbo::new(&noising, 1.0).unwrap().with_form(form).unwrap();
        // With the share m = sin(πt/2) of masks, ∫ m' ln m' dt = ln π - 1; by a rule of six digits.
        let constant = std::f64::consts::PI.ln() - 1.0;
        for v in 0..2 {
            assert_near(elbo.constants()[v], constant, 1e-6);
        }
        for x0 in [[0, 0], [0, 1], [1, 0], [1, 1]] {
            let path: f64 = nodes.iter().map(|&(t, w)| w * density(&elbo, &masked_model(0.0), t, &x0)).sum();
            let exact = MASKED_BOUND[x0[0] as usize][x0[1] as usize];
            assert_near(path + 2.0 * constant, exact, 1e-9);
        }
        // And drawn.
        let x0 = Array2::from_shape_fn((10_000, 2), |(_, d)| d as u32);
        let noise = Noise::new(seed(k));
        let found = elbo.values(&masked_model(0.0), &x0, 0..10_000, 1, noise, Control::default()).unwrap();
        push(&mut family, &format!("{form:?}"), &found, MASKED_BOUND[0][1]);
    }
    family.assert();
}
