//! What is refused, factors of zero and tiny ones, and rows in blocks.

use numeric::ndarray::{Array2, ArrayRef2, Axis, array};
use numeric::{
    Batch, Error, Noise, PosteriorCovariance, PosteriorDraw, Real, Scratch, Time, Times, VectorField,
};
use sde_core::{ApproximateCovariance, Component, Covariance, DiagonalCovariance, Edm, Mixture, Ou};
use verify::Family;

use super::{N, Plain, draw_of, targets};

/// The default draws with the factor of [`LocallyMomentMatched`]'s transition: nothing singular.
#[test]
fn the_default_refuses_what_has_no_density_and_names_the_row() {
    let component = |mean, c| Component { weight: 1.0, mean, covariance: Covariance::Isotropic(c) };
    let target = vec![component(array![1.0, -2.0], 0.3), component(array![90.0, 1.0], 0.0)];
    let field = Mixture::new(target).expect("valid").denoiser::<f64, _>(Edm).field;
    // The second row is at the atom, where the other component has no weight.
    let x = array![[1.5, -0.4], [90.0, 1.0]];
    let batch = Batch::new(&[4, 9], Times::Same(Time::of(1.0)), &x);
    let mut out = Array2::zeros((2, 2));
    let mut run = |draw| Plain(&field).draw_into(&batch, draw, &mut out, &mut Scratch::new());
    assert_eq!(run(draw_of(0.5, 0.1, 1)), Ok(()));
    let refused = run(draw_of(0.5, 0.0, 1));
    let expected = Error::NotPositiveDefinite { parameter: "posterior covariance", index: 1 };
    assert_eq!(refused, Err(expected));
}

#[test]
fn factors_that_are_none_are_refused() {
    fn check(field: &impl PosteriorCovariance<f64>) {
        let (x, mut out) = (array![[0.3, 0.4]], array![[0.0, 0.0]]);
        let batch = Batch::new(&[0], Times::Same(Time::of(0.5)), &x);
        let mut refused = |scale, variance, what| {
            let found = field.draw_into(&batch, draw_of(scale, variance, 1), &mut out, &mut Scratch::new());
            assert!(matches!(found, Err(Error::Domain { parameter, .. }) if parameter == what), "{found:?}");
        };
        [f64::NAN, f64::INFINITY, 1e160].into_iter().for_each(|scale| refused(scale, 1.0, "draw.scale"));
        [-1e-3, f64::NAN, f64::INFINITY]
            .into_iter()
            .for_each(|variance| refused(1.0, variance, "draw.variance"));
    }
    let gaussian = Mixture::gaussian(array![1.0, -2.0], Covariance::Isotropic(0.3)).expect("valid");
    let field = gaussian.denoiser::<f64, _>(Ou).field;
    check(&field);
    check(&Plain(&field));
    check(&DiagonalCovariance { field: &field, process: Ou });
    check(&ApproximateCovariance::new(&field, Ou, 1, 1, Noise::new(1)).expect("valid"));
}

/// A draw at each of the rows of x.
fn drawn<F: Real>(
    field: &impl PosteriorCovariance<F>,
    rows: &[u64],
    times: Times<'_>,
    x: &ArrayRef2<F>,
    draw: PosteriorDraw,
    scratch: &mut Scratch,
) -> Array2<F> {
    let mut out = Array2::from_elem(x.dim(), F::nan());
    field.draw_into(&Batch::new(rows, times, x), draw, &mut out, scratch).expect("valid");
    out
}

/// Without the posterior the draw is the step's normals; without both it is nothing; without a covariance, the mean.
#[test]
fn factors_of_zero() {
    let rows: Vec<u64> = (3..40).collect();
    for (name, target) in targets(4, 5) {
        let field = target.denoiser::<f64, _>(Edm).field;
        let x = Array2::from_shape_fn((rows.len(), 5), |(i, j)| ((3 * i + j) % 11) as f64 * 0.3 - 1.5);
        let at = |scale, variance, sigma| {
            let time = Times::Same(Time::of(sigma));
            drawn(&field, &rows, time, &x, draw_of(scale, variance, 17), &mut Scratch::new())
        };
        let mut z = Array2::<f64>::zeros(x.raw_dim());
        draw_of(0.0, 0.0, 17).noise.normals_into(&rows, 3, &mut z);
        let gap = (at(0.0, 0.49, 0.5) - 0.7_f64 * &z).mapv(f64::abs).into_iter().fold(0.0, f64::max);
        assert!(gap < 1e-14, "{name}: {gap}");
        assert!(at(0.0, 0.0, 0.5).iter().all(|&x| x == 0.0), "{name}");
        if name.starts_with("atoms") {
            let mut mean = Array2::zeros(x.raw_dim());
            let batch = Batch::new(&rows, Times::Same(Time::of(1e-2)), &x);
            field.eval_into(&batch, &mut mean, &mut Scratch::new()).expect("valid");
            // One atom has all the weight, but for the rows half way between two.
            let same = at(2.0, 0.0, 1e-2)
                .rows()
                .into_iter()
                .zip((2.0 * mean).rows())
                .filter(|(a, b)| a == b)
                .count();
            assert!(same > rows.len() / 2, "{name}: {same}");
        }
    }
}

/// Steps so short that squares of their factors are below what `f32` can hold.
#[test]
fn tiny_factors_keep_their_digits() {
    let mut family = Family::new(1e-3).expect("a rate");
    let rows: Vec<u64> = (0..N as u64).collect();
    for (name, target) in targets(1, 5).into_iter().chain(targets(4, 5)) {
        let (single, double) = (target.denoiser::<f32, _>(Edm).field, target.denoiser::<f64, _>(Edm).field);
        let time = Times::Same(Time::of(0.7));
        let (unit, x) = (2.0_f64.powi(-90), Array2::from_elem((N, 5), 0.25));
        let draw = draw_of(unit, 0.1 * unit * unit, 5);
        let x_single = x.mapv(|x| x as f32);
        let a = drawn(&single, &rows, time, &x_single, draw, &mut Scratch::new());
        let by_matrix = drawn(&Plain(&single), &rows, time, &x_single, draw, &mut Scratch::new());
        // Other draws, so that both sides are independent.
        let other = draw_of(unit, 0.1 * unit * unit, 6);
        let b = drawn(&double, &rows, time, &x, other, &mut Scratch::new());
        let spread = |x: &Array2<f64>| (x / unit).var_axis(Axis(0), 0.0);
        for (way, a) in [("own", a), ("by the matrix", by_matrix)] {
            for (j, (a, b)) in spread(&a.mapv(f64::from)).iter().zip(&spread(&b)).enumerate() {
                // Two variances of normals, each with a relative standard error of √(2/N).
                let z = (a / b).ln() / (4.0 / N as f64).sqrt();
                family.push(format!("{name}, {way}, {j}"), verify::normal_p_value(z));
            }
        }
    }
    family.assert();
}

/// What is no number in a row stays there, and the others draw as they do alone.
#[test]
fn a_row_that_is_no_number_is_alone_with_it() {
    for (name, target) in targets(4, 5) {
        let field = target.denoiser::<f64, _>(Edm).field;
        let (time, draw) = (Times::Same(Time::of(1.0)), draw_of(0.9, 0.01, 22));
        // With as many rows as weights: a count of these says nothing.
        let x = Array2::from_shape_fn((4, 5), |(i, j)| if i < 3 { f64::NAN } else { 0.2 * j as f64 });
        let whole = drawn(&field, &[1, 2, 3, 4], time, &x, draw, &mut Scratch::new());
        let alone = drawn(&field, &[4], time, &x.select(Axis(0), &[3]), draw, &mut Scratch::new());
        assert_eq!(whole.row(3), alone.row(0), "{name}");
        assert!(whole.rows().into_iter().take(3).all(|row| row.iter().all(|x| x.is_nan())), "{name}");
    }
}

/// The same bits in any block, at a time of all rows as at times of their own.
#[test]
fn a_row_depends_on_itself_alone() {
    fn check<F: Real>(target: &Mixture, name: &str) {
        let d = target.dim();
        let field = target.denoiser::<F, _>(Edm).field;
        let n = 61;
        // Rows near one component, between several, and far out.
        let reach = |i: usize| [0.0, 0.3, 1.0, 1.7, 40.0][i % 5];
        let x = Array2::from_shape_fn((n, d), |(i, j)| F::of(reach(i) * ((i * i + 3 * j) as f64).sin()));
        let numbers: Vec<u64> = (0..n as u64).map(|i| 3 + i + 5 * (i / 20)).collect();
        let mut scratch = Scratch::new();
        for sigma in [1e-3, 0.2, 1.5] {
            let (time, draw) = (Time::of(sigma), draw_of(0.9, 0.01, 21));
            let whole = drawn(&field, &numbers, Times::Same(time), &x, draw, &mut scratch);
            let mut compare = |chosen: &[usize], each: bool| {
                let rows: Vec<u64> = chosen.iter().map(|&i| numbers[i]).collect();
                let times = vec![time; rows.len()];
                let times = if each { Times::PerRow(&times) } else { Times::Same(time) };
                let part = drawn(&field, &rows, times, &x.select(Axis(0), chosen), draw, &mut scratch);
                assert_eq!(part, whole.select(Axis(0), chosen), "{name}, sigma = {sigma}, rows {chosen:?}");
            };
            let all: Vec<usize> = (0..n).collect();
            compare(&all, true);
            for height in [1, 2, 3, 7, 32] {
                all.chunks(height).for_each(|chunk| compare(chunk, false));
            }
            compare(&all.iter().copied().step_by(2).collect::<Vec<_>>(), false);
        }
    }
    for (k, d) in [(1, 5), (4, 1), (4, 5)] {
        for (name, target) in targets(k, d) {
            check::<f64>(&target, &name);
            check::<f32>(&target, &name);
        }
    }
}
