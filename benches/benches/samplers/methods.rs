//! The reverse-time methods.

use std::hint::black_box;

use girsanov_benches::w1_mixture;
use numeric::ndarray::Array2;
use numeric::{
    Batch, Control, Noise, Packed, PosteriorCovariance, Real, TimeGrid, Times, VectorField, run_blocks,
};
use sde_core::{
    AnnealedLangevin, Ddim, Deis, DpmSolver, DpmSolverPlusPlus2M, DpmSolverPlusPlus2S, EdmHeun,
    EulerMaruyama, ExponentialAdams, ExponentialIntegrator, Extrapolation, FrozenDenoiser, FrozenScore,
    LocallyMomentMatched, Method, MixtureField, MomentMatched, Ou, PredictorCorrector, ProbabilityFlowHeun,
    ReverseSde, Sampler, SdeDpmSolverPlusPlus2S, Step, UniPc, UniPcVariant, grid,
};

use super::{DIM, Entry, ROWS, STEPS, UPDATES, Work, pass};

type Model<F> = numeric::Model<MixtureField<F, Ou>, Ou>;

/// What a step does besides model calls, normals and one pass.
#[derive(Clone, Copy, PartialEq)]
enum Beside {
    Nothing,
    /// A d×d product of each row.
    Product,
    /// A normal for each component of the mixture.
    Components,
    /// The model's call gives covariances too, which L is certified with and does not need to draw.
    Covariance,
}

fn floor<F: Real>(model: &Model<F>, grid: &TimeGrid, calls: &[usize], draws: usize, beside: Beside) {
    let noise = Noise::new(1);
    let components = w1_mixture().means().nrows();
    let product = Packed::<F>::new(DIM, DIM, |i, j| f64::from(u8::from(i == j)));
    run_blocks(0..ROWS, model.field.batching(), Control::default(), |rows, scratch| {
        let rows: Vec<u64> = rows.collect();
        let [mut x, mut p, mut z] = [(); 3].map(|()| Array2::<F>::zeros((rows.len(), DIM)));
        let width = if beside == Beside::Covariance { DIM * DIM } else { 0 };
        let mut covariance = Array2::<F>::zeros((rows.len(), width));
        let mut of_components = Array2::<F>::zeros((rows.len(), components));
        noise.normals_into(&rows, 0, &mut x);
        for (k, (from, _)) in grid.pairs().enumerate() {
            for _ in 0..calls[k] {
                let batch = Batch::new(&rows, Times::Same(from), &x);
                if beside == Beside::Covariance {
                    model.field.mean_covariance_into(&batch, &mut p, &mut covariance, scratch)?;
                } else {
                    model.field.eval_into(&batch, &mut p, scratch)?;
                }
            }
            for _ in 0..draws {
                noise.normals_into(&rows, k as u64, &mut z);
            }
            if beside == Beside::Components {
                noise.fork("components").normals_into(&rows, k as u64, &mut of_components);
            }
            if beside == Beside::Product {
                let slices = "made in standard layout";
                product.add_left_multiply(z.as_slice().expect(slices), p.as_slice_mut().expect(slices));
            }
            pass(&mut x, &p, &z);
        }
        black_box(&x);
        Ok(())
    })
    .expect("no failure");
}

/// A method that fills `draws` arrays of normals in a step.
fn entry<F: Real>(
    label: &str,
    model: Model<F>,
    method: impl Method<F, Model<F>> + 'static,
    draws: usize,
    beside: Beside,
) -> Entry {
    Entry::new(format!("{label}/{}", F::NAME), move || {
        let grid = grid::two_phase(4.0, 1e-3, STEPS).expect("valid");
        let step =
            |(index, (from, to))| Step { rows: &[], index: index as u64, from, to, noise: Noise::new(1) };
        let calls: Vec<usize> =
            grid.pairs().enumerate().map(|pair| method.calls_in(&model, step(pair))).collect();
        let sampler = Sampler::new(model.clone(), method, grid.clone()).expect("valid");
        let run = move || {
            black_box(sampler.sample::<F>(0..ROWS, Noise::new(1), Control::default()).expect("finite"));
        };
        let floor = move || floor(&model, &grid, &calls, draws, beside);
        Work { updates: UPDATES, run: Box::new(run), floor: Box::new(floor) }
    })
}

pub(super) fn entries<F: Real>() -> Vec<Entry> {
    let (target, ok) = (w1_mixture(), "valid");
    let (score, denoiser) = (|| target.score::<F, _>(Ou), || target.denoiser::<F, _>(Ou));
    let matched = MomentMatched::new(&target.covariance()).expect(ok);
    let edm = EdmHeun { churn: 10.0, steps: STEPS, s_min: 0.0, s_max: 1e3, s_noise: 1.0 };
    let adams = |order, lambda| ExponentialAdams::new(order, lambda).expect(ok);
    let deis = |variable| Deis::new(3, variable).expect(ok);
    macro_rules! list {
        ($(($label:literal, $model:expr, $method:expr, $draws:literal $(, $beside:ident)?)),* $(,)?) => {
            vec![$(entry($label, $model, $method, $draws, [$(Beside::$beside,)? Beside::Nothing][0])),*]
        };
    }
    list![
        ("EulerMaruyama", score(), EulerMaruyama, 1),
        ("ExponentialIntegrator", score(), ExponentialIntegrator, 1),
        ("FrozenScore", score(), FrozenScore, 1),
        ("FrozenDenoiser", denoiser(), FrozenDenoiser, 1),
        ("ReverseSde(1)", denoiser(), ReverseSde::new(1.0).expect(ok), 1),
        ("ReverseSde(0)", denoiser(), ReverseSde::new(0.0).expect(ok), 0),
        ("Ddim(1)", denoiser(), Ddim::new(1.0).expect(ok), 1),
        ("MomentMatched", denoiser(), matched, 1, Product),
        ("LocallyMomentMatched", denoiser(), LocallyMomentMatched, 1, Components),
        ("LocallyMomentMatched, floor with covariances", denoiser(), LocallyMomentMatched, 1, Covariance),
        ("ProbabilityFlowHeun", denoiser(), ProbabilityFlowHeun, 0),
        ("EdmHeun", denoiser(), edm, 1),
        ("DpmSolver(1)", denoiser(), DpmSolver::new(1).expect(ok), 0),
        ("DpmSolver(2)", denoiser(), DpmSolver::new(2).expect(ok), 0),
        ("DpmSolver(3)", denoiser(), DpmSolver::new(3).expect(ok), 0),
        ("DpmSolverPlusPlus2S(0)", denoiser(), DpmSolverPlusPlus2S::new(0.0).expect(ok), 0),
        ("DpmSolverPlusPlus2S(1)", denoiser(), DpmSolverPlusPlus2S::new(1.0).expect(ok), 1),
        ("SdeDpmSolverPlusPlus2S(1)", denoiser(), SdeDpmSolverPlusPlus2S::new(1.0).expect(ok), 2),
        ("DpmSolverPlusPlus2M(0)", denoiser(), DpmSolverPlusPlus2M::new(0.0).expect(ok), 0),
        ("DpmSolverPlusPlus2M(1)", denoiser(), DpmSolverPlusPlus2M::new(1.0).expect(ok), 1),
        ("ExponentialAdams(3, 0)", denoiser(), adams(3, 0.0), 0),
        ("ExponentialAdams(3, 1)", denoiser(), adams(3, 1.0), 1),
        ("Deis(3, Ratio)", denoiser(), deis(Extrapolation::Ratio), 0),
        ("Deis(3, Time)", denoiser(), deis(Extrapolation::Time), 0),
        ("UniPc(3)", denoiser(), UniPc::new(3, UniPcVariant::Bh2).expect(ok), 0),
        ("PredictorCorrector", denoiser(), PredictorCorrector::new(FrozenDenoiser, 1, 0.16).expect(ok), 2),
        ("AnnealedLangevin(2)", denoiser(), AnnealedLangevin::new(2, 0.16).expect(ok), 2),
    ]
}
