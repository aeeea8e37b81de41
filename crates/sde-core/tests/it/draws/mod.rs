//! Draws from posterior Gaussians against the matrices that they are not made from.

mod edges;

use nalgebra::{DMatrix, DVector, SymmetricEigen};
use numeric::ndarray::{Array1, Array2, ArrayRef2};
use numeric::{
    Batch, Control, Error, Noise, PosteriorCovariance, PosteriorDraw, Real, Scratch, Time, TimeGrid, Times,
    VectorField,
};
use sde_core::{
    ApproximateCovariance, Component, Covariance, DiagonalCovariance, Edm, Flow, GaussianStep, History,
    LocallyMomentMatched, Method, Mixture, Ou, Sampler, Spread, Step,
};
use statrs::distribution::{ContinuousCDF, Normal};
use verify::{Family, Moments, kolmogorov_smirnov, scores, seed};

const N: usize = 10_000;

/// A field without draws of its own.
struct Plain<V>(V);

impl<F: Real, V: VectorField<F>> VectorField<F> for Plain<V> {
    fn dim(&self) -> usize {
        self.0.dim()
    }
    fn eval_into(&self, at: &Batch<'_, F>, out: &mut ArrayRef2<F>, s: &mut Scratch) -> Result<(), Error> {
        self.0.eval_into(at, out, s)
    }
}

impl<F: Real, V: PosteriorCovariance<F>> PosteriorCovariance<F> for Plain<V> {
    fn mean_covariance_into(
        &self,
        batch: &Batch<'_, F>,
        mean: &mut ArrayRef2<F>,
        covariance: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        self.0.mean_covariance_into(batch, mean, covariance, scratch)
    }
}

/// `k` means of equal length in pairs of opposite signs, so that none is alone near 0, at any noise; a single one is not 0.
fn means(k: usize, d: usize) -> Vec<Array1<f64>> {
    let mean = |i: usize| {
        let sign = if i.is_multiple_of(2) { 1.0 } else { -1.0 };
        Array1::from_shape_fn(d, |j| sign * [1.0, 0.5, -0.25, 0.75, -1.25][(j + 2 * (i / 2)) % d.max(1)])
    };
    (0..k).map(mean).collect()
}

/// Targets of k components of one kind of covariance, and one of all kinds with a component far away.
fn targets(k: usize, d: usize) -> Vec<(String, Mixture)> {
    let b = Array2::from_shape_fn((d, d), |(i, j)| ((5 * i + 3 * j) % 7) as f64 * 0.2 - 0.5);
    let factor = b.slice(numeric::ndarray::s![.., ..d.div_ceil(2)]).to_owned();
    let full = &b.dot(&b.t()) + &(Array2::<f64>::eye(d) * 0.05);
    let diagonal = Array1::from_shape_fn(d, |j| [0.4, 0.0, 2.0, 0.1, 0.7][j]);
    let flat = |c| Covariance::LowRank { diagonal: Array1::from_elem(d, c), factor: factor.clone() };
    let kinds = [
        ("isotropic", Covariance::Isotropic(0.3)),
        ("atoms", Covariance::Isotropic(0.0)),
        ("diagonal", Covariance::Diagonal(diagonal.clone())),
        ("full", Covariance::Full((&full + &full.t()) / 2.0)),
        ("low rank above a floor", flat(0.2)),
        ("low rank alone", flat(0.0)),
    ];
    let component = |mean: Array1<f64>, covariance: &Covariance| Component {
        weight: 1.0,
        mean,
        covariance: covariance.clone(),
    };
    let of_kind = |(name, covariance): &(&str, Covariance)| {
        let components = means(k, d).into_iter().map(|mean| component(mean, covariance)).collect();
        (format!("{name}, d = {d}, k = {k}"), Mixture::new(components).expect("valid"))
    };
    let mut targets: Vec<_> = kinds.iter().map(of_kind).collect();
    if k > 1 {
        let parts = means(kinds.len(), d).into_iter().zip(&kinds);
        let mut all: Vec<_> = parts.map(|(mean, (_, covariance))| component(mean, covariance)).collect();
        all.push(component(Array1::from_elem(d, 1e6), &kinds[3].1));
        targets.push((format!("all kinds, d = {d}"), Mixture::new(all).expect("valid")));
    }
    targets
}

/// `W` with `W M Wᵀ = I` on the range of the covariance M, and the directions outside of it.
fn whitening(covariance: &DMatrix<f64>) -> (DMatrix<f64>, DMatrix<f64>) {
    let eigen = SymmetricEigen::new(covariance.clone());
    let largest = eigen.eigenvalues.max();
    let (inside, outside): (Vec<usize>, Vec<usize>) =
        (0..covariance.nrows()).partition(|&j| eigen.eigenvalues[j] > 1e-9 * largest);
    let vectors = |chosen: &[usize], scaled: bool| {
        DMatrix::from_fn(chosen.len(), covariance.nrows(), |i, j| {
            let root = if scaled { eigen.eigenvalues[chosen[i]].sqrt() } else { 1.0 };
            eigen.eigenvectors[(j, chosen[i])] / root
        })
    };
    (vectors(&inside, true), vectors(&outside, false))
}

/// Pushes that the columns of `white`, `(n, r)`, are independent standard normals.
fn assess(family: &mut Family, name: &str, white: &Array2<f64>) {
    let normal = Normal::standard();
    let law = Moments { mean: 0.0, std_dev: 1.0, kurtosis: 3.0 };
    let mut push = |what: String, sample: Vec<f64>| {
        let found = scores(&sample, &law).expect("finite");
        family.push(format!("{name}: mean, {what}"), found.z_p_value());
        family.push(format!("{name}: variance, {what}"), found.y_p_value());
        let ks = kolmogorov_smirnov(&sample, |x| normal.cdf(x)).expect("valid");
        family.push(format!("{name}: law, {what}"), ks.p_value);
    };
    let r = white.ncols();
    for j in 0..r {
        push(format!("coordinate {j}"), white.column(j).to_vec());
    }
    if r < 2 {
        return;
    }
    for number in 0..3 {
        let direction = Array1::from_shape_fn(r, |j| ((number + 1) as f64 * (j as f64 + 0.7)).sin());
        let length = direction.dot(&direction).sqrt();
        push(format!("projection {number}"), (white.dot(&direction) / length).to_vec());
    }
    for (i, j) in (0..r).flat_map(|i| (0..i).map(move |j| (i, j))) {
        let products = &white.column(i) * &white.column(j);
        // A product of independent normals has variance 1 and kurtosis 9.
        let found = scores(products.as_slice().expect("new"), &Moments { kurtosis: 9.0, ..law });
        family.push(format!("{name}: product {i} {j}"), found.expect("finite").z_p_value());
    }
}

/// Draws of N rows at x, whitened by the matrices of `by_matrix` at the same rows.
fn check<F: Real>(
    family: &mut Family,
    name: &str,
    field: &impl PosteriorCovariance<F>,
    by_matrix: &impl PosteriorCovariance<f64>,
    (time, x): (Time, &Array1<f64>),
    draw: PosteriorDraw,
) {
    let d = x.len();
    let rows: Vec<u64> = (5..5 + N as u64).collect();
    let x = Array2::from_shape_fn((N, d), |(_, j)| F::of(x[j]));
    let mut out = Array2::from_elem((N, d), F::nan());
    let mut scratch = Scratch::new();
    field
        .draw_into(&Batch::new(&rows, Times::Same(time), &x), draw, &mut out, &mut scratch)
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    let x = x.mapv(F::as_f64);
    let (mut mean, mut covariance) = (Array2::zeros((N, d)), Array2::zeros((N, d * d)));
    let batch = Batch::new(&rows, Times::Same(time), &x);
    by_matrix.mean_covariance_into(&batch, &mut mean, &mut covariance, &mut scratch).expect("valid");
    let mut white = Vec::new();
    let mut last: Option<(Array1<f64>, _)> = None;
    let size =
        covariance.iter().fold(0.0, |m: f64, c| m.max(c.abs())) * draw.scale * draw.scale + draw.variance;
    let rounding = F::epsilon().as_f64()
        * (size.sqrt() + draw.scale.abs() * (1.0 + mean.iter().fold(0.0, |m: f64, x| m.max(x.abs()))));
    for i in 0..N {
        let of_row = covariance.row(i);
        if last.as_ref().is_none_or(|(known, _)| known != of_row) {
            let matrix = DMatrix::from_row_slice(d, d, of_row.as_slice().expect("standard layout"));
            let matrix = matrix * (draw.scale * draw.scale) + DMatrix::identity(d, d) * draw.variance;
            last = Some((of_row.to_owned(), whitening(&matrix)));
        }
        let (inside, outside) = &last.as_ref().expect("just made").1;
        let away = DVector::from_fn(d, |j, _| out[(i, j)].as_f64() - draw.scale * mean[(i, j)]);
        white.extend((inside * &away).iter().copied());
        assert!((outside * &away).amax() <= 100.0 * rounding, "{name}: leaves the range, {away}");
    }
    let r = white.len() / N;
    if r > 0 {
        assess(family, name, &Array2::from_shape_vec((N, r), white).expect("of one rank"));
    }
}

fn draw_of(scale: f64, variance: f64, number: u64) -> PosteriorDraw {
    PosteriorDraw { scale, variance, noise: Noise::new(seed(7100)).fork_index(number), step: 3 }
}

/// x = 0, where components in pairs of opposite means weigh the same at any noise, and x away from it.
fn points(d: usize) -> [Array1<f64>; 2] {
    [Array1::zeros(d), Array1::from_shape_fn(d, |j| 0.4 - 0.3 * j as f64)]
}

fn mixtures<F: Real>(number: u64) {
    let mut family = Family::new(1e-3).expect("a rate");
    let mut number = 1000 * number;
    for (k, d) in [(1, 1), (4, 1), (1, 5), (4, 5)] {
        for (name, target) in targets(k, d) {
            for sigma in [1e-3_f64, 0.3, 1.0, 1e4] {
                let exact = target.denoiser::<f64, _>(Edm).field;
                let field = target.denoiser::<F, _>(Edm).field;
                for (x, (scale, variance)) in
                    points(d).iter().zip([(0.8, 0.0), (-0.5, 0.02 * sigma.min(1.0))])
                {
                    let at = format!("{name}, sigma = {sigma}, {scale}, {variance}");
                    number += 1;
                    let draw = draw_of(scale, variance, number);
                    check(&mut family, &at, &field, &exact, (Time::of(sigma), x), draw);
                }
            }
        }
    }
    family.assert();
}

#[test]
fn mixtures_draw_from_their_covariances() {
    mixtures::<f64>(0);
}

#[test]
fn mixtures_draw_from_their_covariances_in_f32() {
    mixtures::<f32>(1);
}

/// The mixture of all kinds, in d = 5.
fn all_kinds() -> Mixture {
    targets(4, 5).pop().expect("the last").1
}

#[test]
fn draws_by_default_have_the_same_law() {
    let mut family = Family::new(1e-3).expect("a rate");
    let field = all_kinds().denoiser::<f64, _>(Edm).field;
    for (number, sigma) in [0.3, 1.0, 30.0].into_iter().enumerate() {
        for (p, x) in points(5).iter().enumerate() {
            let draw = draw_of(-0.5, 0.02, 3000 + 10 * number as u64 + p as u64);
            let name = format!("sigma = {sigma}, point {p}");
            check(&mut family, &name, &Plain(&field), &field, (Time::of(sigma), x), draw);
        }
    }
    family.assert();
}

#[test]
fn covariances_from_jacobians_are_drawn_from() {
    let mut family = Family::new(1e-3).expect("a rate");
    for (number, d) in [1, 5].into_iter().enumerate() {
        let field = targets(4, d).pop().expect("the last").1.denoiser::<f64, _>(Ou).field;
        for (p, x) in points(d).iter().enumerate() {
            let draw = draw_of(-0.7, 0.03, 4000 + 10 * number as u64 + p as u64);
            let at = (Time::of(0.4), x);
            let diagonal = DiagonalCovariance { field: &field, process: Ou };
            check(&mut family, &format!("diagonal, d = {d}, {p}"), &diagonal, &diagonal, at, draw);
            for (directions, probes) in [(0, 0), (0, 2), (d / 2, 1), (d, 0)] {
                let noise = Noise::new(seed(7200));
                let some = ApproximateCovariance::new(&field, Ou, directions, probes, noise).expect("valid");
                let name = format!("{directions} directions, {probes} probes, d = {d}, {p}");
                check(&mut family, &name, &some, &some, at, draw);
            }
        }
    }
    family.assert();
}

/// The transition, which is certified, is the law of the step, which draws by another factor.
#[test]
fn a_step_has_the_law_of_its_transition() {
    let mut family = Family::new(1e-3).expect("a rate");
    let model = all_kinds().denoiser::<f64, _>(Ou);
    let rows: Vec<u64> = (0..N as u64).collect();
    for (index, (from, to)) in [(0.5, 0.3), (3.0, 0.01), (0.02, 0.01)].into_iter().enumerate() {
        let noise = Noise::new(seed(7300));
        let step = Step { rows: &rows, index: index as u64, from: Time::of(from), to: Time::of(to), noise };
        let start = Array2::from_shape_fn((N, 5), |(i, j)| 0.3 * ((i % 7) as f64 - 3.0) + 0.1 * j as f64);
        let (mut x, mut mean, mut scratch) = (start.clone(), start.clone(), Scratch::new());
        let spread = LocallyMomentMatched.transition(&model, step, &start, &mut mean, &mut scratch);
        let Ok(Spread::PerRow(factors)) = spread else { panic!("{spread:?}") };
        LocallyMomentMatched
            .step(&model, step, &mut x, &mut History::default(), &mut scratch)
            .expect("valid");
        let mut white = x - mean;
        for (mut white, factor) in white.rows_mut().into_iter().zip(factors.chunks_exact(25)) {
            for i in 0..5 {
                let known: f64 = (0..i).map(|j| factor[5 * i + j] * white[j]).sum();
                white[i] = (white[i] - known) / factor[5 * i + i];
            }
        }
        assess(&mut family, &format!("from {from} to {to}"), &white);
        // A score is no denoiser, whose covariance this would be.
        let score = all_kinds().score::<f64, _>(Ou);
        let refused =
            LocallyMomentMatched.step(&score, step, &mut white, &mut History::default(), &mut scratch);
        assert!(matches!(refused, Err(Error::Unsupported { .. })), "{refused:?}");
    }
    family.assert();
}

/// On a grid of few steps from noise without signal to the data themselves, and the same bits on any number of threads.
#[test]
fn gaussian_data_are_sampled_exactly() {
    let mut family = Family::new(1e-3).expect("a rate");
    let times = TimeGrid::from_nodes(vec![1.0, 0.7, 0.2, 0.0]).expect("a grid");
    for (name, target) in targets(1, 5).into_iter().filter(|(name, _)| !name.starts_with("atoms")) {
        let sampler = Sampler::new(target.denoiser::<f64, _>(Flow), LocallyMomentMatched, times.clone())
            .expect("valid");
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            pool.install(|| {
                sampler.sample(0..N as u64, Noise::new(seed(7400)), Control::default()).expect("finite")
            })
        };
        let x = on(3);
        assert_eq!(x, on(1), "{name}");
        let covariance = DMatrix::from_fn(5, 5, |i, j| target.covariance()[(i, j)]);
        let inside = whitening(&covariance).0;
        let inside = Array2::from_shape_fn(inside.shape(), |at| inside[at]);
        assess(&mut family, &name, &(x - target.mean()).dot(&inside.t()));
    }
    family.assert();
}
