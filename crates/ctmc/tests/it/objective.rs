//! Likelihood bounds against sums over all states, quadrature in time, and reference values.

use ctmc::denoise::exact::{EmpiricalDenoiser, ProductMixture};
use ctmc::denoise::objective::{
    CrossEntropy, DiscreteElbo, Elbo, Form, MaskedElbo, Objective, ScoreEntropy, Target, TrainingBatch,
};
use ctmc::denoise::{Denoiser, Noising, Output, denoiser_from_fn, ratios_from_fn};
use ctmc::{Refresh, TimeChange};
use numeric::ndarray::{Array2, Array3, ArrayRef3, Axis, array, s};
use numeric::{Batch, Batching, Control, Error, Noise, Scratch, TimeGrid};
use verify::{Family, normal_p_value, seed};

use crate::assert_near;
use crate::exact::{all_rows, chain, pair};

const FORMS: [Form; 3] = [Form::Conditional, Form::Jumps, Form::Factorised];

/// Nodes and weights of a composite rule in u on [0, 1]: 40 panels of 5 Gauss points, ever shorter towards 0.
fn rule() -> Vec<(f64, f64)> {
    let nodes = [0.0, 0.538_469_310_105_683_1, 0.906_179_845_938_664];
    let weights = [0.568_888_888_888_888_9, 0.478_628_670_499_366_5, 0.236_926_885_056_189_1];
    let panel = |k: i32| {
        let (low, high) = ((f64::from(k) / 40.0).powi(3), (f64::from(k + 1) / 40.0).powi(3));
        let signs = [(0, 1.0), (1, 1.0), (1, -1.0), (2, 1.0), (2, -1.0)];
        signs.map(|(i, sign)| {
            (0.5 * (low + high) + 0.5 * (high - low) * sign * nodes[i], 0.5 * (high - low) * weights[i])
        })
    };
    (0..40).flat_map(panel).collect()
}

fn losses(model: &impl Denoiser<f64>, noising: &Noising, batch: &TrainingBatch) -> Vec<f64> {
    let (n, dim) = batch.noised.dim();
    let mut answer = Array3::zeros((n, dim, model.states()));
    model.log_values_into(&batch.inputs(), &mut answer, &mut Scratch::new()).unwrap();
    batch.losses(noising, model.output(), &answer).unwrap()
}

/// Every noised state of one clean row, with its probability at time t.
fn noised(noising: &Noising, t: f64, x0: &[u32]) -> (Array2<u32>, Vec<f64>) {
    let kernel = noising.kernel(0.0, t).unwrap();
    let all = all_rows(x0.len(), noising.states());
    let p = |x: &[u32]| x0.iter().zip(x).map(|(&v, &x)| kernel.matrix()[[v as usize, x as usize]]).product();
    let p = all.outer_iter().map(|x| p(&x.to_vec())).collect();
    (all, p)
}

/// The integrand at time t for one clean row: a sum over all states, and jumps out of each.
fn density(elbo: &Elbo, model: &impl Denoiser<f64>, t: f64, x0: &[u32]) -> f64 {
    let noising = elbo.noising();
    let (all, p) = noised(noising, t, x0);
    let (mut x, mut jumped, mut weights) = (vec![], vec![], vec![]);
    for (state, &p) in all.outer_iter().zip(&p).filter(|&(_, &p)| p > 0.0) {
        let total: f64 = state.iter().map(|&x| noising.generator().exit_rate(x)).sum();
        if total == 0.0 || elbo.form() == Form::Conditional {
            x.extend(&state);
            jumped.extend(&state);
            weights.push(p);
            continue;
        }
        for d in 0..x0.len() {
            noising.generator().for_each_rate(state[d], &mut |to, rate| {
                let mut after = state.to_owned();
                after[d] = to;
                x.extend(&state);
                jumped.extend(&after);
                weights.push(p * rate / total);
            });
        }
    }
    let n = weights.len();
    let rows = |v: Vec<u32>| Array2::from_shape_vec((n, x0.len()), v).unwrap();
    let clean = Array2::from_shape_fn((n, x0.len()), |(_, d)| x0[d]);
    let batches = elbo.integrand(&clean, &vec![t; n], &rows(x), &rows(jumped)).unwrap();
    let sum = |batch| losses(model, noising, batch).iter().zip(&weights).map(|(l, w)| l * w).sum::<f64>();
    batches.iter().map(sum).sum()
}

/// The whole bound for one clean row, from time `start` to `end`.
fn bound(elbo: &Elbo, model: &impl Denoiser<f64>, (start, end): (f64, f64), x0: &[u32]) -> f64 {
    let path = rule().into_iter().map(|(u, w)| {
        let t = start + (end - start) * u * u * u;
        3.0 * (end - start) * u * u * w * density(elbo, model, t, x0)
    });
    path.sum::<f64>() + x0.iter().map(|&v| elbo.constants()[v as usize]).sum::<f64>()
}

/// The exact posterior of the first chain, tilted.
fn tilted(eps: f64) -> impl Denoiser<f64> {
    let exact = chain().1;
    let c = [[0.0, 0.5, -0.3], [0.2, 0.0, 0.4], [-0.6, 0.1, 0.0]];
    denoiser_from_fn(1, 3, move |batch: &Batch<'_, u32>, out: &mut ArrayRef3<f64>| {
        exact.log_values_into(batch, out, &mut Scratch::new())?;
        for ((i, d, v), l) in out.indexed_iter_mut() {
            *l += eps * c[batch.x()[[i, d]] as usize][v] * (1.0 + batch.times().get(i).t);
        }
        Ok(())
    })
}

const DATA: [f64; 3] = [0.6, 0.3, 0.1];

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

/// The bound of the run over a uniform grid, by summing over steps and states.
fn discrete(noising: &Noising, model: &impl Denoiser<f64>, steps: usize, v: u32) -> f64 {
    let elbo = DiscreteElbo::new(noising, &TimeGrid::uniform(1.0, 0.0, steps).unwrap()).unwrap();
    let mut sum = noising.prior_kl(v, 1.0).unwrap();
    for k in 0..steps {
        let (all, p) = noised(noising, (k + 1) as f64 / steps as f64, &[v]);
        let batch = elbo.step(&Array2::from_elem((3, 1), v), k, &all).unwrap();
        sum += losses(model, noising, &batch).iter().zip(p).map(|(l, p)| l * p).sum::<f64>();
    }
    sum
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

/// The two-token network of masked diffusion that does not look at the time, on the states 0, 1 and the mask 2.
fn masked_network(x: [u32; 2]) -> [[f64; 2]; 2] {
    let first = match x[1] {
        0 => [0.7, 0.3],
        1 => [0.2, 0.8],
        _ => [0.55, 0.45],
    };
    let second = match x[0] {
        0 => [0.75, 0.25],
        1 => [0.35, 0.65],
        _ => [0.5, 0.5],
    };
    [first, second]
}

/// That network, sharpened as time goes on: its logits are multiplied by 1 + `slope` · t.
fn masked_model(slope: f64) -> impl Denoiser<f64> {
    denoiser_from_fn(2, 3, move |batch: &Batch<'_, u32>, out: &mut ArrayRef3<f64>| {
        for (i, x) in batch.x().outer_iter().enumerate() {
            let p = masked_network([x[0], x[1]]);
            for (d, p) in p.iter().enumerate() {
                for (v, p) in p.iter().chain(&[0.0]).enumerate() {
                    out[[i, d, v]] = (1.0 + slope * batch.times().get(i).t) * p.ln();
                }
            }
        }
        Ok(())
    })
}

const MASKED_BOUND: [[f64; 2]; 2] = [[0.967670598853, 2.14335822743], [1.8727249028, 1.07279067209]];

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

/// Pushes how likely it is to find a mean so far from `exact`; spread times only make it likelier.
fn push(family: &mut Family, name: &str, found: &[f64], exact: f64) {
    let estimate = numeric::estimate::MeanAccumulator::from_values(0, found).unwrap().estimate().unwrap();
    family.push(name, normal_p_value((estimate.mean - exact) / estimate.std_error));
}

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

/// A model that insists on whole blocks of eight.
struct Blocks(EmpiricalDenoiser);

impl Denoiser<f64> for Blocks {
    fn dim(&self) -> usize {
        1
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
        assert_eq!((batch.len(), batch.rows()[0] % 8), (8, 0));
        self.0.log_values_into(batch, out, scratch)
    }
    fn batching(&self) -> Batching {
        Batching { rows: 8, rowwise: false, serial: true }
    }
}

#[test]
fn networks_are_given_whole_blocks() {
    let (noising, exact) = chain();
    let elbo = Elbo::new(&noising, 1.0).unwrap();
    let x0 = Array2::from_shape_fn((13, 1), |(i, _)| (i % 3) as u32);
    let run =
        |model: &dyn Denoiser<f64>| elbo.values(model, &x0, 5..18, 2, Noise::new(5), Control::default());
    assert_eq!(run(&Blocks(exact.clone())).unwrap(), run(&exact).unwrap());
}

#[test]
fn what_has_no_value_is_refused() {
    let (noising, exact) = chain();
    let elbo = Elbo::new(&noising, 1.0).unwrap();
    let x0 = array![[0], [1]];
    let control = Control::default();
    let run = |model: &dyn Denoiser<f64>, draws| elbo.values(model, &x0, 0..2, draws, Noise::new(1), control);
    assert!(matches!(run(&exact, 0), Err(Error::Domain { parameter: "draws", .. })));
    let constant = |l: f64| {
        denoiser_from_fn(1, 3, move |_: &Batch<'_, u32>, out: &mut ArrayRef3<f64>| {
            out.fill(l);
            Ok(())
        })
    };
    assert!(matches!(run(&constant(f64::NAN), 1), Err(Error::Model { row: 0, .. })));
    assert!(matches!(run(&constant(f64::NEG_INFINITY), 1), Err(Error::Model { row: 0, .. })));
    assert!(matches!(run(&constant(f64::INFINITY), 1), Err(Error::Model { row: 0, .. })));
    // A model that excludes what is in the data.
    let masks = Noising::refresh(Refresh::absorbing(4, 3, 1.0).unwrap(), TimeChange::cosine());
    let first = EmpiricalDenoiser::new(&masks, &array![[0], [1]]).unwrap();
    let masked = MaskedElbo::new(&masks).unwrap();
    let excluded = masked.values::<f64>(&first, &array![[2]], 0..1, 1, Noise::new(1), control).unwrap();
    assert_eq!(excluded, [f64::INFINITY]);
    let estimate = masked.estimate::<f64>(&first, &array![[2]], 0..1, 1, Noise::new(1), control);
    assert!(matches!(estimate, Err(Error::Entry { index: 0, .. })));
    // Shapes and states.
    assert!(elbo.values::<f64>(&exact, &x0, 0..3, 1, Noise::new(1), control).is_err());
    assert!(elbo.values::<f64>(&exact, &array![[3]], 0..1, 1, Noise::new(1), control).is_err());
    assert!(elbo.integrand(&x0, &[0.0, 0.5], &x0, &x0).is_err());
    assert!(elbo.integrand(&x0, &[0.5], &x0, &x0).is_err());
    assert!(Elbo::new(&noising, 0.0).is_err());
    assert!(Elbo::new(&noising, f64::NAN).is_err());
    assert!(elbo.clone().with_early_stop(1.0).is_err());
    assert!(CrossEntropy::new(&noising, 0.5, 0.5).is_err());
    // The wrong kind of model or chain.
    let ratios = ratios_from_fn(1, 3, |_: &Batch<'_, u32>, out: &mut ArrayRef3<f64>| {
        out.fill(0.0);
        Ok(())
    });
    let cross = CrossEntropy::new(&noising, 0.0, 1.0).unwrap();
    let refused = cross.values(&ratios, &x0, 0..2, 1, Noise::new(1), control);
    assert!(matches!(refused, Err(Error::Unsupported { .. })));
    let score = ScoreEntropy::new(&noising, 1.0).unwrap();
    let refused = score.values::<f64>(&exact, &x0, 0..2, 1, Noise::new(1), control);
    assert!(matches!(refused, Err(Error::Unsupported { .. })));
    assert!(matches!(MaskedElbo::new(&noising), Err(Error::Unsupported { .. })));
    let masks = Noising::refresh(Refresh::absorbing(3, 2, 1.0).unwrap(), TimeChange::cosine());
    let masked = MaskedElbo::new(&masks).unwrap().batches(&array![[0], [2]], 0..2, 0, Noise::new(1));
    assert!(matches!(masked, Err(Error::Entry { parameter: "x0", index: 1, .. })));
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
