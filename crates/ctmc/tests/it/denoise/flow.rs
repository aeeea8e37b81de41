//! Discrete flow matching: rates move the laws of the path; samples have the law of the data.

use ctmc::denoise::{FlowRates, FlowSampler, Kappa, MixturePath, denoiser_from_fn};
use numeric::ndarray::{ArrayRef3, s};
use numeric::{Batch, Control, Error, Noise, TimeGrid};
use proptest::prelude::*;
use verify::{Family, chi_squared, seed};

use super::{counts, index, leap_law, push, total_variation};
use crate::assert_near;

const UNIFORM: [f64; 4] = [0.25; 4];
const DATA: [f64; 4] = [0.4, 0.3, 0.2, 0.1];

/// The law at time t of one token, and the posterior of the data given x.
fn path_law(path: &MixturePath, data: &[f64], t: f64) -> (Vec<f64>, Vec<Vec<f64>>) {
    let states = data.len() as u32;
    let joint = |x: u32| -> Vec<f64> {
        (0..states).map(|v| data[v as usize] * path.probability(t, x, v).unwrap()).collect()
    };
    let law: Vec<f64> = (0..states).map(|x| joint(x).iter().sum()).collect();
    let posterior = (0..states).map(|x| joint(x).iter().map(|p| p / law[x as usize]).collect()).collect();
    (law, posterior)
}

#[test]
fn rates_of_the_uniform_path() {
    // Computed elsewhere: η = 1 at time 0.35, out of state 0.
    let path = MixturePath::new(&UNIFORM, Kappa::Power(1.0)).unwrap();
    let mut rates = [0.0; 4];
    path.rates_into(
        FlowRates::Conditional { eta: 1.0 },
        0.35,
        0,
        &path_law(&path, &DATA, 0.35).1[0],
        &mut rates,
    )
    .unwrap();
    for (found, expected) in rates.iter().zip([0.0, 1.43388429752, 1.18181818182, 0.929752066116]) {
        assert_near(*found, expected, 2e-11);
    }
    // Masks: to a value at (1 + ηt)/(1 - t) of its probability, and back at η.
    let masks = MixturePath::new(&[0.0, 0.0, 1.0], Kappa::Power(1.0)).unwrap();
    let mut rates = [0.0; 3];
    masks.rates_into(FlowRates::Conditional { eta: 0.5 }, 0.6, 2, &[0.7, 0.3, 0.0], &mut rates).unwrap();
    assert_near(rates[0], 0.7 * 1.3 / 0.4, 1e-14);
    masks.rates_into(FlowRates::Conditional { eta: 0.5 }, 0.6, 0, &[1.0, 0.0, 0.0], &mut rates).unwrap();
    assert_eq!(rates, [0.0, 0.0, 0.5]);
}

proptest! {
    #![proptest_config(verify::strategy::cases(9012, 64))]

    /// The Kolmogorov equation of the path, for all rates and any law, also with states that have no mass.
    #[test]
    fn rates_move_the_law_of_the_path(
        (source, data) in (2usize..6).prop_flat_map(|n| {
            (verify::strategy::probabilities(n), verify::strategy::probabilities(n))
        }),
        masked: bool,
        t in 0.05f64..0.95,
        strength in 0.0f64..3.0,
        kind in 0usize..3,
    ) {
        prop_assume!(source.iter().chain(&data).all(|&p| p > 1e-4));
        let kappa = [Kappa::Power(1.0), Kappa::Power(2.5), Kappa::Cosine][kind];
        let states = source.len();
        let mut source = source;
        if masked {
            source.fill(0.0);
            source[states - 1] = 1.0;
        }
        let path = MixturePath::new(&source, kappa).unwrap();
        let h = 1e-5;
        let (law, posterior) = path_law(&path, &data, t);
        let (before, after) = (path_law(&path, &data, t - h).0, path_law(&path, &data, t + h).0);
        for rates in [FlowRates::Mixture { correction: strength }, FlowRates::Conditional { eta: strength }] {
            let mut change = vec![0.0; states];
            for x in 0..states {
                let mut out = vec![0.0; states];
                path.rates_into(rates, t, x as u32, &posterior[x], &mut out).unwrap();
                prop_assert!(out.iter().all(|&rate| rate >= 0.0));
                for (change, rate) in change.iter_mut().zip(&out) {
                    *change += law[x] * rate;
                }
                change[x] -= law[x] * out.iter().sum::<f64>();
            }
            for ((change, after), before) in change.iter().zip(&after).zip(&before) {
                prop_assert!((change - (after - before) / (2.0 * h)).abs() < 1e-6, "{rates:?} {change}");
            }
        }
    }
}

/// Two tokens of three values whose posterior is exact.
fn model(
    path: MixturePath,
    law: [f64; 9],
) -> impl Fn(&Batch<'_, u32>, &mut ArrayRef3<f64>) -> Result<(), Error> {
    move |batch, out| {
        let t = batch.times().get(0).t;
        for (x, mut out) in batch.x().rows().into_iter().zip(out.outer_iter_mut()) {
            out.fill(0.0);
            for (v, p) in law.iter().enumerate() {
                let v = [v / 3, v % 3];
                let weight =
                    p * path.probability(t, x[0], v[0] as u32)? * path.probability(t, x[1], v[1] as u32)?;
                (0..2).for_each(|d| out[[d, v[d]]] += weight);
            }
            out.mapv_inplace(f64::ln);
        }
        Ok(())
    }
}

#[test]
fn samples_have_the_law_of_the_discretised_flow() {
    let law = [0.30, 0.05, 0.02, 0.03, 0.20, 0.05, 0.05, 0.10, 0.20];
    let path = MixturePath::new(&[0.2, 0.3, 0.5], Kappa::Cosine).unwrap();
    let grid = TimeGrid::from_nodes(vec![0.0, 0.2, 0.4, 0.7, 1.0]).unwrap();
    // False alarms: one run in ten thousand for the whole test.
    let mut family = Family::new(1e-4).unwrap();
    for (n, rates) in (400..).zip([
        FlowRates::Mixture { correction: 0.0 },
        FlowRates::Mixture { correction: 1.5 },
        FlowRates::Conditional { eta: 0.0 },
        FlowRates::Conditional { eta: 2.0 },
    ]) {
        let posterior = |x: &[u32], t: f64| -> Vec<Vec<f64>> {
            let joint: Vec<f64> = (0..9)
                .map(|v| {
                    let p = |d: usize, v: usize| path.probability(t, x[d], v as u32).unwrap();
                    law[v] * p(0, v / 3) * p(1, v % 3)
                })
                .collect();
            let total: f64 = joint.iter().sum();
            let of = |d: usize, v: usize| -> f64 {
                (0..9).filter(|k| [k / 3, k % 3][d] == v).map(|k| joint[k]).sum::<f64>() / total
            };
            (0..2).map(|d| (0..3).map(|v| of(d, v)).collect()).collect()
        };
        let mut exact: Vec<f64> = (0..9).map(|k| [0.2, 0.3, 0.5][k / 3] * [0.2, 0.3, 0.5][k % 3]).collect();
        for (from, to) in grid.pairs() {
            exact = push(&exact, 2, 3, |x| {
                let tokens = posterior(x, from.t);
                if to.t == 1.0 {
                    return tokens;
                }
                let token = |(p, &x): (&Vec<f64>, &u32)| {
                    let mut out = vec![0.0; 3];
                    path.rates_into(rates, from.t, x, p, &mut out).unwrap();
                    leap_law(&out, x, to.t - from.t, ctmc::denoise::JumpRule::Last)
                };
                tokens.iter().zip(x).map(token).collect()
            });
        }
        let model = denoiser_from_fn(2, 3, model(path.clone(), law));
        let sampler = FlowSampler { path: path.clone(), model, rates, grid: grid.clone() };
        let noise = Noise::new(seed(n));
        let run = sampler.sample::<f64>(0..40_000, noise, Control::default()).unwrap();
        family.push(format!("{rates:?}"), chi_squared(&counts(&run.x, 3), &exact).unwrap().p_value);
        let part = sampler.sample::<f64>(101..140, noise, Control::default()).unwrap();
        assert_eq!(part.x, run.x.slice(s![101..140, ..]));
        assert!(total_variation(&exact, &law) < 0.2 && index(&[2, 2], 3) == 8);
    }
    family.assert();
}

#[test]
fn bad_input_is_refused() {
    assert!(MixturePath::new(&[1.0], Kappa::Cosine).is_err());
    assert!(MixturePath::new(&[0.5, 0.6], Kappa::Cosine).is_err());
    assert!(MixturePath::new(&[0.5, f64::NAN], Kappa::Cosine).is_err());
    for power in [0.0, 0.5, -1.0, f64::NAN, f64::INFINITY] {
        assert!(MixturePath::new(&UNIFORM, Kappa::Power(power)).is_err());
    }
    let path = MixturePath::new(&UNIFORM, Kappa::Power(1.0)).unwrap();
    for t in [-0.1, 1.1, f64::NAN] {
        assert!(path.probability(t, 0, 1).is_err());
    }
    let mut out = [0.0; 4];
    for t in [1.0, -0.1, f64::NAN] {
        assert!(path.rates_into(FlowRates::Conditional { eta: 0.0 }, t, 0, &DATA, &mut out).is_err());
    }
    for eta in [-1.0, f64::NAN, f64::INFINITY] {
        assert!(path.rates_into(FlowRates::Conditional { eta }, 0.5, 0, &DATA, &mut out).is_err());
    }
    let run = |nodes: Vec<f64>| {
        let model = denoiser_from_fn(1, 4, |_, out: &mut ArrayRef3<f64>| {
            out.fill(0.0);
            Ok(())
        });
        let grid = TimeGrid::from_nodes(nodes).unwrap();
        let rates = FlowRates::Mixture { correction: 0.0 };
        FlowSampler { path: path.clone(), model, rates, grid }.sample(0..3, Noise::new(0), Control::default())
    };
    assert!(run(vec![1.0, 0.0]).is_err() && run(vec![0.1, 1.0]).is_err() && run(vec![0.0, 1.1]).is_err());
    assert_eq!(run(vec![0.0, 1.0]).unwrap().x.dim(), (3, 1));
}
