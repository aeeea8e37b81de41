//! Posteriors and the rates from them.

use ctmc::denoise::exact::{EmpiricalDenoiser, ProductDenoiser, ProductMixture};
use ctmc::denoise::{Denoiser, Method, Noising, Origin, Output, Reversal, ReverseSampler};
use ctmc::{BirthDeath, DiscretisedGaussian, Refresh, TimeChange};
use numeric::ndarray::{Array2, Array3, Axis, array, s};
use numeric::{Batch, Control, Error, Noise, Real, Scratch, Time, TimeGrid, Times};
use verify::{Family, chi_squared, seed};

use super::{all_rows, chain, laws, pair, posterior};
use crate::assert_near;

/// p(x0^d = v | x) by summing over all clean rows, `(n, D, S)`.
fn by_enumeration(noising: &Noising, t: f64, rows: &Array2<u32>, p: &[f64], x: &Array2<u32>) -> Array3<f64> {
    let kernel = noising.kernel(0.0, t).unwrap();
    let mut out = Array3::zeros((x.nrows(), x.ncols(), noising.states()));
    for (i, x) in x.outer_iter().enumerate() {
        let mut total = 0.0;
        for (row, p) in rows.outer_iter().zip(p) {
            let likelihood: f64 =
                row.iter().zip(x).map(|(&v, &x)| kernel.matrix()[[v as usize, x as usize]]).product();
            total += p * likelihood;
            row.iter().enumerate().for_each(|(d, &v)| out[[i, d, v as usize]] += p * likelihood);
        }
        out.index_axis_mut(Axis(0), i).mapv_inplace(|p| p / total);
    }
    out
}

fn noisings() -> Vec<(&'static str, Noising)> {
    let beta = TimeChange::exponential(0.5, 3.0).unwrap();
    let refresh = |chain: Refresh| Noising::refresh(chain, beta);
    vec![
        ("uniform", refresh(Refresh::uniform(5, 0.7).unwrap())),
        ("masks", refresh(Refresh::absorbing(5, 4, 1.0).unwrap())),
        ("law", refresh(Refresh::new(&[0.1, 0.0, 0.3, 0.4, 0.2], 1.5).unwrap())),
        ("steps", Noising::new(BirthDeath::constant(5, 1.0).unwrap(), beta).unwrap()),
        ("gaussian", Noising::new(DiscretisedGaussian::new(5, 2.0, 1.5, 1.0).unwrap(), beta).unwrap()),
    ]
}

fn greatest<F: Real>(a: &Array3<F>, b: &Array3<f64>) -> f64 {
    a.iter().zip(b).fold(0.0, |top, (a, b)| (a.as_f64() - b).abs().max(top))
}

#[test]
fn denoisers_are_bayes_rule_over_all_rows() {
    let data = array![[0, 1], [3, 3], [2, 1], [0, 0], [1, 3], [2, 1]];
    let weights = [0.3, 0.1, 0.2, 0.0, 0.15, 0.25];
    let mixture = ProductMixture::new(&[0.5, 0.2, 0.3], &laws()).unwrap();
    let clean = all_rows(2, 4);
    let p_mixture: Vec<f64> = mixture.ln_probability(&clean).unwrap().iter().map(|l| l.exp()).collect();
    assert_near(p_mixture.iter().sum(), 1.0, 1e-15);
    let single = ProductMixture::new(&[1.0], &laws().slice_move(s![..1, .., ..])).unwrap();
    let p_single: Vec<f64> = single.ln_probability(&clean).unwrap().iter().map(|l| l.exp()).collect();
    for (name, noising) in noisings() {
        for t in [1e-3, 0.4, 1.0] {
            // States that can be reached from the data: masks where another value was not.
            let all = all_rows(2, 5);
            let exact = by_enumeration(&noising, t, &clean, &p_mixture, &all);
            let reached: Vec<usize> =
                (0..all.nrows()).filter(|&i| exact.index_axis(Axis(0), i).sum().is_finite()).collect();
            let x = all.select(Axis(0), &reached);
            let exact = by_enumeration(&noising, t, &clean, &p_mixture, &x);
            let model = mixture.denoiser(&noising).unwrap();
            assert!(greatest(&posterior::<f64>(&model, t, &x), &exact) < 1e-13, "{name} {t}");
            assert!(greatest(&posterior::<f32>(&model, t, &x), &exact) < 1e-7, "{name} {t}");

            let exact = by_enumeration(&noising, t, &clean, &p_single, &x);
            let model = single.denoiser(&noising).unwrap();
            assert!(greatest(&posterior::<f64>(&model, t, &x), &exact) < 1e-13, "{name} {t}");
            let mut wide = Array2::zeros((2, 5));
            wide.slice_mut(s![.., ..4]).assign(&single.laws(0));
            let model = ProductDenoiser::<f64>::new(&noising, &wide).unwrap();
            assert!(greatest(&posterior(&model, t, &x), &exact) < 1e-13, "{name} {t}");
            let model = ProductDenoiser::<f32>::new(&noising, &wide).unwrap();
            assert!(greatest(&posterior(&model, t, &x), &exact) < 5e-7, "{name} {t}");

            let exact = by_enumeration(&noising, t, &data, &weights, &all);
            let reached: Vec<usize> =
                (0..all.nrows()).filter(|&i| exact.index_axis(Axis(0), i).sum().is_finite()).collect();
            let x = all.select(Axis(0), &reached);
            let exact = by_enumeration(&noising, t, &data, &weights, &x);
            let model = EmpiricalDenoiser::new(&noising, &data).unwrap().with_weights(&weights).unwrap();
            assert!(greatest(&posterior::<f64>(&model, t, &x), &exact) < 1e-13, "{name} {t}");
            assert!(greatest(&posterior::<f32>(&model, t, &x), &exact) < 1e-7, "{name} {t}");
        }
    }
}

#[test]
fn rows_have_times_of_their_own_and_do_not_see_each_other() {
    let mixture = ProductMixture::new(&[0.5, 0.2, 0.3], &laws()).unwrap();
    for (name, noising) in noisings() {
        let model = mixture.denoiser(&noising).unwrap();
        let x = array![[0, 3], [2, 2], [1, 0]];
        let times = [0.2, 0.9, 0.5].map(Time::of);
        let mut p = Array3::<f64>::zeros((3, 2, 5));
        let batch = Batch::new(&[4, 5, 9], Times::PerRow(&times), &x);
        model.values_into(&batch, &mut p, &mut Scratch::new()).unwrap();
        for (i, time) in times.iter().enumerate() {
            let row = x.slice(s![i..=i, ..]).to_owned();
            let alone = posterior::<f64>(&model, time.t, &row);
            assert_eq!(alone.outer_iter().next().unwrap(), p.index_axis(Axis(0), i), "{name}");
        }
    }
}

#[test]
fn posterior_and_rates_of_a_chain_that_is_not_reversible() {
    let (noising, model) = chain();
    let p = posterior::<f64>(&model, 0.5, &array![[0], [1], [2]]);
    let exact = [
        [0.881169480122, 0.065412060842, 0.0534184590363],
        [0.38951517679, 0.568493213825, 0.0419916093854],
        [0.4181182454, 0.274639291193, 0.307242463408],
    ];
    let rates = [
        [0.0, 0.218650746739, 0.458657006672],
        [1.03499728918, 0.0, 0.249472204502],
        [0.986806815813, 1.36069024566, 0.0],
    ];
    let reversal = Reversal::<f64>::new(&noising, 0.5, Output::Posterior).unwrap();
    for x in 0..3 {
        let mut found = [0.0; 3];
        let p = p.index_axis(Axis(0), x).row(0).to_vec();
        reversal.rates_into(x as u32, &p, &mut found);
        for v in 0..3 {
            assert_near(p[v], exact[x][v], 1e-12);
            assert_near(found[v], rates[x][v], 1e-11);
        }
    }
}

#[test]
fn rates_of_two_tokens_and_given_one_of_them() {
    let (noising, model, p) = pair();
    let reversal = Reversal::<f64>::new(&noising, 0.5, Output::Posterior).unwrap();
    let rates = |p: &[f64], x: u32| {
        let mut found = [0.0; 3];
        reversal.rates_into(x, p, &mut found);
        found
    };
    let found = posterior::<f64>(&model, 0.5, &array![[0, 1]]);
    let found = [0, 1].map(|d| found.outer_iter().next().unwrap().row(d).to_vec());
    for (found, exact) in rates(&found[0], 0).iter().zip([0.0, 0.627531101758, 0.546586603937]) {
        assert_near(*found, exact, 1e-11);
    }
    for (found, exact) in rates(&found[1], 1).iter().zip([0.785924096574, 0.0, 0.434546660146]) {
        assert_near(*found, exact, 1e-11);
    }
    // The first token given the second, clean one; as an empirical law, and as a mixture of points.
    let exact = [
        (
            0,
            [
                [0.0, 0.194215002288, 0.216865742859],
                [1.28723320575, 0.0, 0.558313570796],
                [1.15278695798, 0.447777043362, 0.0],
            ],
        ),
        (
            2,
            [
                [0.0, 0.624450342769, 1.24670205661],
                [0.400352090274, 0.0, 0.998239548629],
                [0.200529066808, 0.250440889007, 0.0],
            ],
        ),
    ];
    let points = Array3::from_shape_fn((9, 2, 3), |(k, d, v)| {
        f64::from(u8::from(all_rows(2, 3)[[k, d]] as usize == v))
    });
    let mixture = ProductMixture::new(&p, &points).unwrap();
    for (second, exact) in exact {
        let empirical = model.given(&[None, Some(second)]).unwrap();
        let mixture = mixture.given(&[None, Some(second)]).unwrap().denoiser(&noising).unwrap();
        let x = array![[0], [1], [2]];
        for p in [posterior::<f64>(&empirical, 0.5, &x), posterior::<f64>(&mixture, 0.5, &x)] {
            for (x, p) in p.outer_iter().enumerate() {
                for (found, exact) in rates(&p.row(0).to_vec(), x as u32).iter().zip(exact[x]) {
                    assert_near(*found, exact, 1e-11);
                }
            }
        }
    }
}

#[test]
fn runs_given_a_token_have_the_conditional_law() {
    // False alarms: one run in ten thousand.
    let mut family = Family::new(1e-4).unwrap();
    let (noising, model, data) = pair();
    let grid = TimeGrid::uniform(10.0, 0.0, 5).unwrap();
    for second in 0..3 {
        let rest = model.given(&[None, Some(second)]).unwrap();
        // Of one token posterior steps are exact; at time 10 e^-15 of the data is left.
        let sampler = ReverseSampler::new(noising.clone(), rest, Method::Posterior, grid.clone()).unwrap();
        let noise = Noise::new(seed(45)).fork_index(u64::from(second));
        let run = sampler.sample::<f64>(Origin::Stationary, 0..10_000, noise, Control::default()).unwrap();
        let joint = [0, 1, 2].map(|first| data[3 * first + second as usize]);
        let exact = joint.map(|p| p / joint.iter().sum::<f64>());
        let mut counts = [0; 3];
        run.x.iter().for_each(|&x| counts[x as usize] += 1);
        family.push(format!("given {second}"), chi_squared(&counts, &exact).unwrap().p_value);
    }
    family.assert();
}

#[test]
fn rates_from_the_posterior_are_those_from_ratios() {
    let mixture = ProductMixture::new(&[0.5, 0.2, 0.3], &laws()).unwrap();
    let clean = all_rows(2, 4);
    let p: Vec<f64> = mixture.ln_probability(&clean).unwrap().iter().map(|l| l.exp()).collect();
    for (name, noising) in noisings().into_iter().filter(|(name, _)| *name != "masks" && *name != "law") {
        let kernel = noising.kernel(0.0, 0.6).unwrap();
        let density = |x: [u32; 2]| -> f64 {
            let terms = clean.outer_iter().zip(&p).map(|(v, p)| {
                p * kernel.matrix()[[v[0] as usize, x[0] as usize]]
                    * kernel.matrix()[[v[1] as usize, x[1] as usize]]
            });
            terms.sum()
        };
        let all = all_rows(2, 5);
        let posteriors = posterior::<f64>(&mixture.denoiser(&noising).unwrap(), 0.6, &all);
        let [by_posterior, by_ratios] =
            [Output::Posterior, Output::Ratios].map(|o| Reversal::<f64>::new(&noising, 0.6, o).unwrap());
        for (x, posterior) in all.outer_iter().zip(posteriors.outer_iter()) {
            let x = [x[0], x[1]];
            for d in 0..2 {
                let ratio = |v: u32| {
                    let mut y = x;
                    y[d] = v;
                    density(y) / density(x)
                };
                let (mut a, mut b) = ([0.0; 5], [0.0; 5]);
                by_posterior.rates_into(x[d], &posterior.row(d).to_vec(), &mut a);
                by_ratios.rates_into(x[d], &[0, 1, 2, 3, 4].map(ratio), &mut b);
                for (a, b) in a.iter().zip(b) {
                    assert!((a - b).abs() <= 1e-13 * (1.0 + b), "{name}: {a} {b}");
                }
            }
        }
    }
}

#[test]
fn extreme_states_have_finite_posteriors_and_impossible_ones_an_error() {
    // 2000 tokens: likelihoods below all floats.
    let noising = Noising::refresh(Refresh::uniform(3, 1.0).unwrap(), TimeChange::constant(1.0).unwrap());
    let dim = 2000;
    let laws =
        Array3::from_shape_fn((2, dim, 3), |(k, _, v)| [[0.998, 0.001, 0.001], [0.001, 0.998, 0.001]][k][v]);
    let mixture = ProductMixture::new(&[0.5, 0.5], &laws).unwrap();
    let all_two = Array2::from_elem((1, dim), 2);
    assert_near(mixture.ln_probability(&all_two).unwrap()[0], 2000.0 * 0.001_f64.ln(), 1e-9);
    let model = mixture.denoiser(&noising).unwrap();
    for t in [1e-300, 1e-20, 0.5, 50.0] {
        let p = posterior::<f64>(&model, t, &all_two);
        assert_near(p[[0, 7, 0]], p[[0, 7, 1]], 1e-15);
        assert_near(p.sum(), 2000.0, 1e-9);
    }
    let data = Array2::from_shape_fn((2, dim), |(i, d)| ((i + d) % 2) as u32);
    let empirical = EmpiricalDenoiser::new(&noising, &data).unwrap();
    let mut near = data.slice(s![..1, ..]).to_owned();
    near[[0, 3]] = 2;
    let p = posterior::<f64>(&empirical, 1e-3, &near);
    assert_eq!(p[[0, 3, 1]], 1.0);

    let at = |t: f64, x: &Array2<u32>| {
        let mut out = Array3::<f64>::zeros((1, dim, 3));
        empirical.values_into(&Batch::new(&[12], Times::Same(Time::of(t)), x), &mut out, &mut Scratch::new())
    };
    assert!(matches!(at(0.0, &near), Err(Error::Model { row: 12, .. })));
    near[[0, 3]] = 1;
    at(0.0, &near).unwrap();
    near[[0, 3]] = 3;
    assert!(matches!(at(0.1, &near), Err(Error::Entry { parameter: "x", index: 3, .. })));
    // A token that no mask hides and no row has.
    let masks = Noising::refresh(Refresh::absorbing(4, 3, 1.0).unwrap(), TimeChange::cosine());
    let model = EmpiricalDenoiser::new(&masks, &array![[0], [1]]).unwrap();
    let run = |x: u32| {
        let (x, mut out) = (array![[x]], Array3::<f32>::zeros((1, 1, 4)));
        let batch = Batch::new(&[0], Times::Same(Time::of(1.0)), &x);
        model.values_into(&batch, &mut out, &mut Scratch::new()).map(|()| out)
    };
    assert!(matches!(run(2), Err(Error::Model { .. })));
    // At the end of the schedule all is masked, after an infinite time on the clock.
    assert_eq!(run(3).unwrap(), array![[[0.5, 0.5, 0.0, 0.0]]]);
}
