//! A term that a step leaves to the next one: nobody sees that it was missing.

use numeric::ndarray::{Array2, ArrayRef2, Axis, array};
use numeric::{
    Control, Error, Model, Noise, Prediction, Real, Scratch, Time, TimeGrid, VectorField, from_row_fn,
};
use sde_core::{
    Component, Covariance, Flow, History, Keep, LinearProcess, Method, Mixture, Ou, PredictorCorrector,
    Sampler, Start, Step, UniPc, UniPcVariant,
};

/// A method that is told to finish each step.
#[derive(Clone, Copy)]
struct Finished(UniPc);

impl<F: Real, M> Method<F, M> for Finished
where
    UniPc: Method<F, M>,
{
    fn name(&self) -> &'static str {
        Method::<F, M>::name(&self.0)
    }
    fn calls_in(&self, model: &M, step: Step<'_>) -> usize {
        Method::<F, M>::calls_in(&self.0, model, step)
    }
    fn step(
        &self,
        model: &M,
        step: Step<'_>,
        x: &mut ArrayRef2<F>,
        history: &mut History<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        self.0.step(model, step, x, history, scratch)
    }
}

fn methods() -> impl Iterator<Item = UniPc> {
    let variants = [UniPcVariant::Bh1, UniPcVariant::Bh2];
    (1..=3).flat_map(move |order| variants.map(|variant| UniPc::new(order, variant).expect("valid")))
}

fn mixture() -> Mixture {
    let component = |weight, mean, covariance| Component { weight, mean, covariance };
    Mixture::new(vec![
        component(1.0, array![2.0, 0.0, 1.0], Covariance::Isotropic(0.4)),
        component(2.0, array![-1.0, 1.0, 0.0], Covariance::Isotropic(0.2)),
    ])
    .expect("valid")
}

fn bits<F: Real>(x: &Array2<F>) -> Vec<u64> {
    x.iter().map(|x| x.as_f64().to_bits()).collect()
}

fn check<F: Real, V: VectorField<F> + Clone, S: LinearProcess + Clone>(
    model: &Model<V, S>,
    grid: &TimeGrid,
    method: UniPc,
) {
    let sampler = Sampler::new(model.clone(), method, grid.clone()).expect("a grid of the process");
    let finished = Sampler::new(model.clone(), Finished(method), grid.clone()).expect("the same");
    let control = Control::default();
    let run = |keep: Keep<'_, F>| {
        sampler.run::<F>(Start::Prior, keep, 0..70, Noise::new(1), control).expect("finite").states
    };
    let all = run(Keep::All);
    let told =
        finished.run::<F>(Start::Prior, Keep::All, 0..70, Noise::new(1), control).expect("finite").states;
    let state = |states: &numeric::ndarray::Array3<F>, k| bits(&states.index_axis(Axis(1), k).to_owned());
    for k in 0..=grid.steps() {
        assert_eq!(state(&all, k), state(&told, k), "node {k}");
        assert_eq!(state(&all, k), state(&run(Keep::Nodes(&[k])), 0), "node {k} alone");
    }
    assert_eq!(state(&all, grid.steps()), state(&run(Keep::Last), 0));
}

/// The same bits whatever is kept, on grids that start in noise, end at the data or do neither.
#[test]
fn what_is_deferred_is_never_missed() {
    let to = |nodes: &[f64]| TimeGrid::from_nodes(nodes.to_vec()).expect("monotone");
    for method in methods() {
        for nodes in [&[1.5, 0.9, 0.6, 0.3, 0.1][..], &[2.0, 1.0, 0.4, 0.2, 0.0], &[1.0, 0.5], &[1.0, 0.0]] {
            check::<f64, _, _>(&mixture().denoiser::<f64, _>(Ou), &to(nodes), method);
            check::<f32, _, _>(&mixture().denoiser::<f32, _>(Ou), &to(nodes), method);
        }
    }
    // With B(h) = h the first step from noise has no limit.
    for order in 1..=3 {
        let method = UniPc::new(order, UniPcVariant::Bh2).expect("valid");
        for nodes in [&[1.0, 0.8, 0.5, 0.3, 0.2][..], &[1.0, 0.7, 0.4, 0.0], &[1.0, 0.0]] {
            check::<f64, _, _>(&mixture().denoiser::<f64, _>(Flow), &to(nodes), method);
            check::<f32, _, _>(&mixture().denoiser::<f32, _>(Flow), &to(nodes), method);
        }
    }
}

/// A method that moves what another one's step leaves gets whole states, though that one defers.
#[test]
fn a_step_within_a_step_is_finished() {
    let grid = TimeGrid::from_nodes(vec![1.5, 0.9, 0.6, 0.3, 0.1]).expect("monotone");
    let sample = |method: &dyn Method<f64, _>| {
        let sampler = Sampler::new(mixture().denoiser::<f64, _>(Ou), method, grid.clone()).expect("valid");
        bits(&sampler.sample(0..20, Noise::new(2), Control::default()).expect("finite"))
    };
    for method in methods() {
        let corrected = PredictorCorrector::new(method, 2, 0.2).expect("valid");
        let finished = PredictorCorrector::new(Finished(method), 2, 0.2).expect("valid");
        assert_eq!(sample(&corrected), sample(&finished));
        assert_ne!(sample(&corrected), sample(&method));
    }
}

/// Where a state stops being finite is told by the step that it happened in, and the lowest row, whatever is kept.
#[test]
fn the_step_that_failed_is_named() {
    let grid = TimeGrid::from_nodes(vec![1.5, 0.9, 0.6, 0.3, 0.1, 0.05]).expect("monotone");
    let map = |_: usize, _: Time, x: &[f64], out: &mut [f64]| out[0] = x[0];
    let mut z = Array2::<f64>::zeros((9, 1));
    Noise::new(3).fork("start").normals_into(&Vec::from_iter(0..9), 0, &mut z);
    let lowest = z.iter().position(|&z| z > 0.0).expect("one of nine");
    assert!(lowest > 0, "a start that shows something");
    for (method, broken) in methods().flat_map(|method| [(method, f64::INFINITY), (method, f64::NAN)]) {
        // The rows that start above 0 stay there.
        let breaks = from_row_fn(1, move |time: Time, x, out: &mut [f64]| {
            out[0] = if time.t < 0.5 && x[0] > 0.0 { broken } else { 0.5 * x[0] };
            Ok(())
        });
        let sampler =
            Sampler::new(Model::new(breaks, Prediction::Denoised, Ou), method, grid.clone()).expect("valid");
        for keep in
            [Keep::Last, Keep::All, Keep::Nodes(&[2, 3]), Keep::Nodes(&[]), Keep::Map { dim: 1, map: &map }]
        {
            let failed = sampler.run(Start::Prior, keep, 0..9, Noise::new(3), Control::default());
            let Err(Error::NotFinite { row, step: 2, .. }) = failed else { panic!("{failed:?}") };
            assert_eq!(row, lowest as u64);
        }
    }
}
