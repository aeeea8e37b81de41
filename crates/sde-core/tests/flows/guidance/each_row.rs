//! Observations with values of each row: each row is as if its values were those of all.

use numeric::ndarray::{Array2, Axis, array, s};
use numeric::{
    Batch, Batching, Control, Error, Model, Noise, PosteriorCovariance, Scratch, Time, Times, VectorField,
    with_batching,
};
use sde_core::guidance::{Likelihood, Observations, by_covariance, by_products};
use sde_core::{
    Covariance, FrozenDenoiser, LinearObservation, LocallyMomentMatched, Mixture, Ou, Sampler, grid,
};

use super::{D, SOLVER, components, noises, normals, observations, worst};

const LIKELIHOODS: [Likelihood; 3] =
    [Likelihood::MomentMatched, Likelihood::Isotropic { data_variance: 0.7 }, Likelihood::Point];

/// A run of some rows given what is observed of them.
type Run<'a> = dyn Fn(Observations, std::ops::Range<u64>) -> Result<Array2<f64>, Error> + 'a;

fn values() -> Array2<f64> {
    normals("values", 12, 3)
}

/// The field at some rows, at a time of each.
fn eval(field: &impl VectorField<f64>, rows: &[u64], x: &Array2<f64>) -> Array2<f64> {
    let times: Vec<Time> = rows.iter().map(|&row| Time::of(0.1 + 0.05 * row as f64)).collect();
    let mut out = Array2::zeros(x.raw_dim());
    let batch = Batch::new(rows, Times::PerRow(&times), x);
    field.eval_into(&batch, &mut out, &mut Scratch::new()).expect("finite");
    out
}

/// For every operator, noise, likelihood and way, in a batch of rows out of order: the bits of one row alone with its
/// values as the values of all.
#[test]
fn rows_are_those_of_one_observation() {
    let prior = Mixture::new(components()).expect("valid");
    let rows = [7, 2, 11, 5, 0];
    let (x, y) = (normals("points", 5, D), values());
    for noise in noises() {
        for (_, seen) in observations(&array![9.0, 9.0, 9.0], &noise) {
            let each = Observations::of_rows(seen.clone(), y.clone()).expect("valid");
            for likelihood in LIKELIHOODS {
                let dense =
                    by_covariance(prior.denoiser::<f64, _>(Ou), each.clone(), likelihood).expect("fits");
                let lean =
                    by_products(prior.score::<f64, _>(Ou), each.clone(), likelihood, SOLVER).expect("fits");
                let [dense, lean] = [eval(&dense.field, &rows, &x), eval(&lean.field, &rows, &x)];
                for (i, &row) in rows.iter().enumerate() {
                    let one = seen.with_values(y.row(row as usize).to_owned()).expect("valid");
                    let alone = x.slice(s![i..=i, ..]).to_owned();
                    let by_one = by_covariance(prior.denoiser::<f64, _>(Ou), one.clone(), likelihood);
                    let expected = eval(&by_one.expect("fits").field, &rows[i..=i], &alone);
                    assert_eq!(dense.row(i), expected.row(0));
                    let by_one = by_products(prior.score::<f64, _>(Ou), one, likelihood, SOLVER);
                    let expected = eval(&by_one.expect("fits").field, &rows[i..=i], &alone);
                    assert_eq!(lean.row(i), expected.row(0));
                }
            }
        }
    }
}

/// Of Gaussian data the exact conditional denoiser of each row, by the array form of the posterior; and its covariance.
#[test]
fn gaussian_rows_have_their_exact_posteriors() {
    let (x, y) = (normals("points", 12, D), values());
    let rows: Vec<u64> = (0..12).collect();
    for component in components() {
        let prior = Mixture::new(vec![component]).expect("valid");
        for (_, seen) in observations(&array![0.0, 0.0, 0.0], &noises()[2]) {
            let each = Observations::of_rows(seen.clone(), y.clone()).expect("valid");
            let matched = Likelihood::MomentMatched;
            let guided = by_covariance(prior.denoiser::<f64, _>(Ou), each.clone(), matched).expect("fits");
            let lean = by_products(prior.score::<f64, _>(Ou), each, matched, SOLVER).expect("fits");
            let batch = Batch::new(&rows, Times::Same(Time::of(0.4)), &x);
            let arrays = || (Array2::zeros((12, D)), Array2::zeros((12, D * D)));
            let ((mut mean, mut covariance), (mut exact, mut exact_covariance)) = (arrays(), arrays());
            let mut scratch = Scratch::new();
            guided
                .field
                .mean_covariance_into(&batch, &mut mean, &mut covariance, &mut scratch)
                .expect("finite");
            let mut by_lean = Array2::zeros((12, D));
            lean.field.eval_into(&batch, &mut by_lean, &mut scratch).expect("finite");
            for i in 0..12 {
                let one = seen.with_values(y.row(i).to_owned()).expect("valid");
                let oracle = prior.posterior(&one).expect("regular").denoiser::<f64, _>(Ou).field;
                let alone = x.slice(s![i..=i, ..]).to_owned();
                let batch = Batch::new(&rows[i..=i], Times::Same(Time::of(0.4)), &alone);
                let (mut m, mut c) =
                    (exact.slice_mut(s![i..=i, ..]), exact_covariance.slice_mut(s![i..=i, ..]));
                oracle.mean_covariance_into(&batch, &mut m, &mut c, &mut scratch).expect("finite");
            }
            assert!(worst(&mean, &exact) < 1e-11 && worst(&covariance, &exact_covariance) < 1e-11);
            assert!(worst(&by_lean, &exact) < 1e-9);
        }
    }
}

/// Whole runs: row i of one run for all is row i of the run with its values, to the bit, and so is any shard.
#[test]
fn runs_answer_each_row() {
    let prior = Mixture::new(components()).expect("valid");
    let y = values();
    let (_, seen) = observations(&array![0.0, 0.0, 0.0], &noises()[1]).swap_remove(2);
    let times = grid::geometric_v(5.0, 1e-3, 6).expect("valid");
    let matched = Likelihood::MomentMatched;
    let dense = |observation: Observations, rows: std::ops::Range<u64>| {
        let model = by_covariance(prior.denoiser::<f64, _>(Ou), observation, matched).expect("fits");
        let sampler = Sampler::new(model, LocallyMomentMatched, times.clone()).expect("valid");
        sampler.sample(rows, Noise::new(3), Control::default())
    };
    let lean = |observation: Observations, rows: std::ops::Range<u64>| {
        let model = by_products(prior.score::<f64, _>(Ou), observation, matched, SOLVER).expect("fits");
        let sampler = Sampler::new(model, FrozenDenoiser, times.clone()).expect("valid");
        sampler.sample(rows, Noise::new(3), Control::default())
    };
    let each = Observations::of_rows(seen.clone(), y.clone()).expect("valid");
    let runs: [&Run<'_>; 2] = [&dense, &lean];
    for run in runs {
        let all = run(each.clone(), 0..12).expect("finite");
        assert_eq!(run(each.clone(), 4..9).expect("finite"), all.slice(s![4..9, ..]));
        for (i, y) in y.axis_iter(Axis(0)).enumerate() {
            let one = seen.with_values(y.to_owned()).expect("valid").into();
            let row = run(one, i as u64..i as u64 + 1).expect("finite");
            assert_eq!(row.row(0), all.row(i));
            // In-painting with noise of standard deviation √0.1, √0.5 and √0.02: within five of them.
            for (&j, (y, r)) in [0, 2, 3].iter().zip(y.iter().zip([0.1_f64, 0.5, 0.02])) {
                assert!((all[(i, j)] - y).abs() < 5.0 * r.sqrt(), "{i} {j}");
            }
        }
        // A row more than there are values.
        let error = run(each.clone(), 0..13).expect_err("no values");
        assert_eq!(error, Error::Shape { parameter: "y", expected: vec![13, 3], found: vec![12, 3] });
    }
}

#[test]
fn rows_without_values_and_values_that_do_not_fit_are_refused() {
    let seen = LinearObservation::of_coordinates(2, vec![1], array![0.3], &Covariance::Isotropic(0.1))
        .expect("valid");
    let of_rows = |y| Observations::of_rows(seen.clone(), y);
    for (y, expected) in [(Array2::zeros((0, 1)), vec![1, 1]), (Array2::zeros((4, 2)), vec![4, 1])] {
        let found = y.shape().to_vec();
        assert_eq!(of_rows(y).expect_err("refused"), Error::Shape { parameter: "y", expected, found });
    }
    for bad in [f64::NAN, f64::INFINITY] {
        let error = of_rows(array![[0.0], [bad]]).expect_err("refused");
        assert!(matches!(error, Error::Entry { parameter: "y", index: 1, .. }), "{error}");
    }
    let prior = Mixture::gaussian(array![0.0, 0.0], Covariance::Isotropic(1.0)).expect("valid");
    let each = of_rows(array![[1.0], [2.0]]).expect("valid");
    let guided =
        by_covariance(prior.denoiser::<f64, _>(Ou), each.clone(), Likelihood::MomentMatched).expect("fits");
    let x = array![[0.0, 0.0], [0.0, 0.0]];
    let (mut out, mut covariance) = (x.clone(), Array2::zeros((2, 4)));
    let mut ask = |rows: &[u64]| {
        let batch = Batch::new(rows, Times::Same(Time::of(1.0)), &x);
        let mean = guided.field.eval_into(&batch, &mut out, &mut Scratch::new());
        let both = guided.field.mean_covariance_into(&batch, &mut out, &mut covariance, &mut Scratch::new());
        assert_eq!(mean, both);
        mean
    };
    assert_eq!(ask(&[1, 0]), Ok(()));
    let refused = |least| Err(Error::Shape { parameter: "y", expected: vec![least, 1], found: vec![2, 1] });
    assert_eq!(ask(&[2, 0]), refused(3));
    assert_eq!(ask(&[0, u64::MAX]), refused(usize::MAX));
    // A model that is given whole blocks of four rows needs values for four.
    let Model { field, schedule, prediction } = prior.denoiser::<f64, _>(Ou);
    let network = with_batching(field, Batching { rows: 4, rowwise: false, serial: false }).expect("valid");
    let network = Model::new(numeric::FiniteDifference::new(network), prediction, schedule);
    let run = |y: Array2<f64>| {
        let each = of_rows(y).expect("valid");
        let model = by_products(
            network.clone(),
            each,
            Likelihood::MomentMatched,
            super::ConjugateGradients { tolerance: 1e-6, max_iterations: 9 },
        );
        let times = grid::geometric_v(3.0, 1e-2, 3).expect("valid");
        Sampler::new(model.expect("fits"), FrozenDenoiser, times).expect("valid").sample(
            0..2,
            Noise::new(1),
            Control::default(),
        )
    };
    assert!(matches!(run(array![[1.0], [2.0]]), Err(Error::Shape { parameter: "y", .. })));
    let found = run(array![[1.0], [2.0], [0.0], [0.0]]).expect("finite");
    assert_eq!(found, run(array![[1.0], [2.0], [5.0], [-9.0]]).expect("finite"));
}
