//! Models guided by gradients and by models with and without the condition.

use numeric::ndarray::{Array2, array};
use numeric::{
    Batch, Control, Model, Noise, Prediction, Schedule, Scratch, Time, Times, VectorField, combined,
    from_row_fn,
};
use sde_core::guidance::{by_gradient, by_label, classifier_free};
use sde_core::{Component, Covariance, FrozenDenoiser, Mixture, Ou, Sampler, grid};
use verify::{Family, check_rows, kolmogorov_smirnov, seed};

use super::{eval, marginal, normals, worst};

/// Three classes in the plane, the first two components being class 0.
fn classes() -> (Mixture, [Mixture; 2]) {
    let component =
        |weight, mean, variance| Component { weight, mean, covariance: Covariance::Isotropic(variance) };
    let all = [
        component(1.0, array![-1.0, 0.5], 0.3),
        component(1.5, array![-0.5, -1.0], 0.2),
        component(2.0, array![1.0, 0.3], 0.4),
    ];
    let of = |range: std::ops::Range<usize>| Mixture::new(all[range].to_vec()).expect("valid");
    (of(0..3), [of(0..2), of(2..3)])
}

/// `∇ log P(class 0 | x_t = x)` from the densities of the three components, by hand.
fn class_gradient(clock: f64, x: [f64; 2]) -> [f64; 2] {
    let (alpha, s2) = ((-clock).exp(), 1.0 - (-2.0 * clock).exp());
    let parts = [(1.0, [-1.0, 0.5], 0.3), (1.5, [-0.5, -1.0], 0.2), (2.0, [1.0, 0.3], 0.4)];
    let parts = parts.map(|(w, m, c): (f64, [f64; 2], f64)| {
        let l = alpha * alpha * c + s2;
        let gap = [x[0] - alpha * m[0], x[1] - alpha * m[1]];
        let q = w * (-0.5 * (gap[0] * gap[0] + gap[1] * gap[1]) / l).exp() / l;
        (q, [-gap[0] / l, -gap[1] / l])
    });
    let mean = |parts: &[(f64, [f64; 2])], j: usize| {
        parts.iter().map(|p| p.0 * p.1[j]).sum::<f64>() / parts.iter().map(|p| p.0).sum::<f64>()
    };
    [0, 1].map(|j| mean(&parts[..2], j) - mean(&parts, j))
}

#[test]
fn guidance_with_the_exact_gradient_is_the_conditional_model() {
    let (all, [class, _]) = classes();
    let x = normals("plane", 40, 2) * 1.5;
    let gradient = || {
        from_row_fn(2, |time: Time, x, out: &mut [f64]| {
            out.copy_from_slice(&class_gradient(time.t, [x[0], x[1]]));
            Ok(())
        })
    };
    let of_score = by_gradient(all.score::<f64, _>(Ou), gradient(), 1.0).expect("fits");
    let of_denoiser = by_gradient(all.denoiser::<f64, _>(Ou), gradient(), 1.0).expect("fits");
    for clock in [0.02, 0.4, 2.0] {
        let known = eval(&class.score::<f64, _>(Ou).field, clock, &x);
        assert!(worst(&known, &eval(&of_score.field, clock, &x)) < 1e-10);
        let known = eval(&class.denoiser::<f64, _>(Ou).field, clock, &x);
        assert!(worst(&known, &eval(&of_denoiser.field, clock, &x)) < 1e-11);
        // With scale 3: the score moves by three times the gradient.
        let thrice = by_gradient(all.score::<f64, _>(Ou), gradient(), 3.0).expect("fits");
        let (plain, slope) = (eval(&all.score::<f64, _>(Ou).field, clock, &x), eval(&gradient(), clock, &x));
        assert!(worst(&(plain + slope * 3.0), &eval(&thrice.field, clock, &x)) < 1e-12);
    }
    // And so is what it samples: the first coordinate of class 0, KS at 10⁻³.
    let grid = grid::geometric_v(5.0, 1e-3, 300).expect("valid");
    let sampler = Sampler::new(of_denoiser, FrozenDenoiser, grid).expect("valid");
    let x = sampler.sample(0..5000, Noise::new(seed(5)), Control::default()).expect("finite");
    let level = Ou.level(Time::of(1e-3));
    let parts = [(0.4, -1.0, 0.3), (0.6, -0.5, 0.2)];
    let law = |x: f64| marginal(&parts, level.alpha, level.sigma, x);
    let mut family = Family::new(1e-3).expect("a rate");
    family.push("class 0", kolmogorov_smirnov(&x.column(0).to_vec(), law).expect("data").p_value);
    family.assert();
}

#[test]
fn classifier_free_guidance_mixes_two_models_where_it_acts() {
    let (all, [left, right]) = classes();
    let x = normals("plane", 90, 2) * 1.5;
    let labelled = || {
        let fields = vec![left.denoiser::<f64, _>(Ou).field, right.denoiser::<f64, _>(Ou).field];
        let field = by_label(fields, |row| usize::from(row % 3 == 0)).expect("fits");
        Model::new(field, Prediction::Denoised, Ou)
    };
    let guide = |w, ratios| classifier_free(labelled(), all.denoiser::<f64, _>(Ou), w, ratios).expect("fits");
    let everywhere = 0.0..=f64::INFINITY;
    for clock in [0.02, 0.4, 2.0] {
        let (with, without) =
            (eval(&labelled().field, clock, &x), eval(&all.denoiser::<f64, _>(Ou).field, clock, &x));
        assert_eq!(eval(&guide(1.0, everywhere.clone()).field, clock, &x), with);
        assert!(worst(&eval(&guide(0.0, everywhere.clone()).field, clock, &x), &without) < 1e-14);
        let mixed = combined(2.5, labelled().field, -1.5, all.denoiser::<f64, _>(Ou).field).expect("fits");
        assert!(
            worst(&eval(&guide(2.5, everywhere.clone()).field, clock, &x), &eval(&mixed, clock, &x)) < 1e-13
        );
    }
    // σ/α is 0.2, 1.1 and 7.3 at these clocks: it acts at the middle one.
    let limited = guide(2.5, 0.5..=2.0);
    let always = guide(2.5, everywhere.clone());
    for (clock, acts) in [(0.02, false), (0.4, true), (2.0, false)] {
        let expected = if acts { eval(&always.field, clock, &x) } else { eval(&labelled().field, clock, &x) };
        assert_eq!(eval(&limited.field, clock, &x), expected);
    }
    // Times of their own for each row, in any block.
    let times: Vec<Time> = (0..90).map(|i| Time::of([0.02, 0.4, 2.0][i % 3])).collect();
    check_rows(&x, |rows, x| {
        let times: Vec<Time> = rows.iter().map(|&row| times[row as usize]).collect();
        let mut out = Array2::zeros(x.raw_dim());
        let sorted = rows.windows(2).all(|pair| pair[0] < pair[1]);
        let batch = Batch::new(rows, Times::PerRow(&times), x);
        assert!(sorted || rows.len() > 1);
        limited.field.eval_into(&batch, &mut out, &mut Scratch::new()).expect("finite");
        out
    })
    .expect("row by row");
    // The prediction does not matter.
    let scores =
        classifier_free(left.score::<f64, _>(Ou), all.score::<f64, _>(Ou), 3.0, 0.5..=2.0).expect("fits");
    let denoisers = classifier_free(left.denoiser::<f64, _>(Ou), all.denoiser::<f64, _>(Ou), 3.0, 0.5..=2.0);
    let denoisers = denoisers.expect("fits");
    let (a, b) = (eval(&scores.predicting(Prediction::Denoised), 0.4, &x), eval(&denoisers.field, 0.4, &x));
    assert!(worst(&a, &b) < 1e-12);

    // Rows of one run with labels of their own have the laws of their classes.
    let sampler = Sampler::new(
        guide(1.0, everywhere),
        FrozenDenoiser,
        grid::geometric_v(5.0, 1e-3, 300).expect("valid"),
    );
    let x = sampler.expect("valid").sample(0..9000, Noise::new(seed(6)), Control::default()).expect("finite");
    let level = Ou.level(Time::of(1e-3));
    let mut family = Family::new(1e-3).expect("a rate");
    for (label, parts) in
        [&[(0.4, 0.5, 0.3), (0.6, -1.0, 0.2)][..], &[(1.0, 0.3, 0.4)]].into_iter().enumerate()
    {
        let law = |x: f64| marginal(parts, level.alpha, level.sigma, x);
        let rows = (0..9000).filter(|row| usize::from(row % 3 == 0) == label);
        let second: Vec<f64> = rows.map(|row| x[(row, 1)]).collect();
        family.push(format!("label {label}"), kolmogorov_smirnov(&second, law).expect("data").p_value);
    }
    family.assert();
}
