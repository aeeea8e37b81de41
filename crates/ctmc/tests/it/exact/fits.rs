//! Mixtures: expectation maximisation, draws, and what is refused.

use ctmc::denoise::Noising;
use ctmc::denoise::exact::{
    EmpiricalDenoiser, FitOptions, MixtureFit, ProductDenoiser, ProductMixture, fit_product_mixture,
};
use ctmc::{Refresh, TimeChange};
use numeric::ndarray::{Array2, Array3, array, s};
use numeric::{Error, Noise};
use verify::{Family, chi_squared, seed};

use super::{all_rows, laws};
use crate::assert_near;

#[test]
fn expectation_maximisation_only_goes_up() {
    let truth = ProductMixture::new(&[0.6, 0.4], &laws().slice_move(s![1.., .., ..])).unwrap();
    let data = truth.sample(0..500, Noise::new(seed(40)));
    for count in [0.0, 0.3] {
        let options = FitOptions {
            components: 4,
            states: 5,
            count,
            max_iterations: 5000,
            tolerance: 1e-5,
            noise: Noise::new(seed(41)),
        };
        let fit = fit_product_mixture(&data, &options).unwrap();
        // From some starts, on a plateau, the objective rises by less than the tolerance after a few.
        assert!(fit.iterations() > 1);
        for pair in fit.objectives.windows(2) {
            assert!(pair[1] >= pair[0] - 1e-14, "{pair:?}");
        }
        let ln_p = fit.mixture.ln_probability(&data).unwrap();
        // Two orders of a sum of 500 numbers around 3.
        assert_near(ln_p.iter().sum::<f64>() / 500.0, fit.log_likelihoods[fit.iterations()], 1e-12);
        let single = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        assert_eq!(single.install(|| fit_product_mixture(&data, &options).unwrap()), fit);
    }
}

#[test]
fn one_component_is_the_table_of_frequencies() {
    let data = array![[0, 2], [0, 1], [1, 2], [0, 2]];
    let options = FitOptions {
        components: 1,
        states: 3,
        count: 0.5,
        max_iterations: 10,
        tolerance: 1e-12,
        noise: Noise::new(1),
    };
    let fit = fit_product_mixture(&data, &options).unwrap();
    let exact = array![[3.5, 1.5, 0.5], [0.5, 1.5, 3.5]] / 5.5;
    assert!((&fit.mixture.laws(0) - &exact).iter().all(|d| d.abs() < 1e-15));
    let ln_prior = 0.5 * exact.mapv(f64::ln).sum() / 4.0;
    assert_near(fit.objectives[0], fit.log_likelihoods[0] + ln_prior, 1e-14);
}

#[test]
fn well_separated_components_are_found() {
    let laws = Array3::from_shape_fn((3, 20, 3), |(k, _, v)| if k == v { 0.9 } else { 0.05 });
    let truth = ProductMixture::new(&[0.5, 0.3, 0.2], &laws).unwrap();
    let data = truth.sample(0..4000, Noise::new(seed(42)));
    // The best of five local optima.
    let fit = |k| {
        let options = FitOptions {
            components: 3,
            states: 3,
            count: 0.1,
            max_iterations: 5000,
            tolerance: 1e-6,
            noise: Noise::new(seed(43)).fork_index(k),
        };
        fit_product_mixture(&data, &options).unwrap()
    };
    let last = |fit: &MixtureFit| fit.objectives[fit.iterations()];
    let fit = (0..5).map(fit).max_by(|a, b| last(a).total_cmp(&last(b))).unwrap();
    let mut weights = fit.mixture.weights().to_vec();
    weights.sort_by(f64::total_cmp);
    // Six standard deviations: one run in 10⁸.
    for (found, exact) in weights.iter().zip([0.2, 0.3, 0.5]) {
        assert_near(*found, exact, 6.0 * (exact * (1.0 - exact) / 4000.0_f64).sqrt());
    }
}

#[test]
fn draws_have_the_law_of_the_mixture() {
    // False alarms: one run in ten thousand.
    let mut family = Family::new(1e-4).unwrap();
    let mixture = ProductMixture::new(&[0.5, 0.2, 0.3], &laws()).unwrap();
    let exact: Vec<f64> = mixture.ln_probability(&all_rows(2, 4)).unwrap().iter().map(|l| l.exp()).collect();
    let x = mixture.sample(0..10_000, Noise::new(seed(44)));
    let mut counts = [0; 16];
    x.outer_iter().for_each(|x| counts[(4 * x[0] + x[1]) as usize] += 1);
    family.push("all rows", chi_squared(&counts, &exact).unwrap().p_value);
    family.assert();
    // Any part of the rows alone.
    let part = mixture.sample(300..305, Noise::new(seed(44)));
    assert_eq!(part, x.slice(s![300..305, ..]));
}

#[test]
fn what_cannot_be_fitted_is_refused() {
    let options = FitOptions {
        components: 2,
        states: 2,
        count: 0.0,
        max_iterations: 10,
        tolerance: 1e-9,
        noise: Noise::new(1),
    };
    let data = array![[0, 1], [0, 1], [0, 1]];
    let refused = |data: &Array2<u32>, options: &FitOptions| fit_product_mixture(data, options).unwrap_err();
    // Equal rows leave nothing to a second component, unless there is a prior.
    assert!(matches!(refused(&data, &options), Error::Entry { parameter: "weights", index: 1, .. }));
    fit_product_mixture(&data, &FitOptions { count: 0.1, max_iterations: 100, ..options.clone() }).unwrap();
    let named = |options: FitOptions| match refused(&data, &options) {
        Error::Domain { parameter, .. } => parameter,
        other => panic!("{other}"),
    };
    assert_eq!(named(FitOptions { components: 0, ..options.clone() }), "components");
    assert_eq!(named(FitOptions { components: 4, ..options.clone() }), "components");
    assert_eq!(named(FitOptions { states: 0, ..options.clone() }), "states");
    assert_eq!(named(FitOptions { count: -1.0, ..options.clone() }), "count");
    assert_eq!(named(FitOptions { count: f64::NAN, ..options.clone() }), "count");
    assert_eq!(named(FitOptions { max_iterations: 0, ..options.clone() }), "max_iterations");
    assert_eq!(named(FitOptions { tolerance: 0.0, ..options.clone() }), "tolerance");
    assert!(matches!(
        refused(&array![[0, 2]], &FitOptions { components: 1, ..options.clone() }),
        Error::Entry { parameter: "data", index: 1, .. }
    ));
    assert!(matches!(refused(&Array2::zeros((0, 2)), &options), Error::Shape { .. }));
    let tight = FitOptions { max_iterations: 1, count: 0.1, ..options };
    assert!(matches!(refused(&array![[0, 1], [1, 1], [0, 0]], &tight), Error::NotConverged { .. }));

    let noising = Noising::refresh(Refresh::uniform(3, 1.0).unwrap(), TimeChange::constant(1.0).unwrap());
    let empirical = |data: &Array2<u32>| EmpiricalDenoiser::new(&noising, data);
    assert!(empirical(&array![[0, 3]]).is_err());
    assert!(empirical(&Array2::zeros((0, 3))).is_err());
    assert!(empirical(&array![[0, 1]]).unwrap().with_weights(&[0.0]).is_err());
    assert!(empirical(&array![[0, 1]]).unwrap().with_weights(&[f64::NAN]).is_err());
    assert!(empirical(&array![[0, 1]]).unwrap().given(&[Some(0), Some(1)]).is_err());
    assert!(ProductDenoiser::<f32>::new(&noising, &array![[0.5, 0.5, 0.1]]).is_err());
    assert!(ProductMixture::new(&[0.5, 0.6], &laws()).is_err());
    let mixture = ProductMixture::new(&[0.5, 0.2, 0.3], &laws()).unwrap();
    assert!(mixture.denoiser(&noising).is_err());
}

#[test]
fn a_fit_has_converged_after_two_small_changes() {
    let truth = ProductMixture::new(&[0.6, 0.4], &laws().slice_move(s![1.., .., ..])).unwrap();
    let data = truth.sample(0..300, Noise::new(4));
    let options = FitOptions {
        components: 3,
        states: 4,
        count: 0.1,
        max_iterations: 5000,
        tolerance: 1e-4,
        noise: Noise::new(5),
    };
    let fit = fit_product_mixture(&data, &options).unwrap();
    let changes: Vec<f64> = fit.objectives.windows(2).map(|pair| (pair[1] - pair[0]).abs()).collect();
    let small: Vec<bool> = changes.iter().map(|&change| change <= 1e-4).collect();
    assert!(small.len() > 3 && small[small.len() - 2..] == [true, true], "{changes:?}");
    assert!(small[..small.len() - 1].windows(2).all(|pair| pair != [true, true]), "{changes:?}");
}

#[test]
fn products_below_the_normal_floats_keep_their_digits() {
    // Eight tokens of probability 1e-40: their product is a subnormal number.
    let laws = Array3::from_shape_fn((1, 8, 2), |(_, _, v)| [1e-40, 1.0][v]);
    let mixture = ProductMixture::new(&[1.0], &laws).unwrap();
    let found = mixture.ln_probability(&Array2::zeros((1, 8))).unwrap()[0];
    assert_near(found, 8.0 * 1e-40_f64.ln(), 1e-11);
}
