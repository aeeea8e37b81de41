//! Methods for the probability flow: steps from node to node, and steps of each row's own.

use std::hint::black_box;

use girsanov_benches::w1_mixture;
use numeric::ndarray::Array2;
use numeric::{
    Batch, Control, Error, Model, Noise, Prediction, Real, Time, TimeGrid, Times, VectorField, run_blocks,
};
use sde_core::ode::{Dopri5, FixedStep, OdeMethod, OdeSolver, ProbabilityFlow, Tsit5, Variable};
use sde_core::{AdaptiveDpmSolver, Keep, MixtureField, Ou, Start, Statistics, Tolerance, grid};

use super::{DIM, Entry, ROWS, STEPS, Work, pass};

type Mixture<F> = Model<MixtureField<F, Ou>, Ou>;

fn start<F: Real>() -> Array2<F> {
    let mut x = Array2::zeros((ROWS as usize, DIM));
    Noise::new(1).normals_into(&(0..ROWS).collect::<Vec<_>>(), 0, &mut x);
    x
}

/// As many calls and passes as each row has on average, of all rows of a block at once.
fn floor<F: Real>(field: &impl VectorField<F>, count: Statistics, time: Time, each: bool) {
    let steps = (count.accepted + count.rejected).div_ceil(ROWS);
    run_blocks(0..ROWS, field.batching(), Control::default(), |rows, scratch| {
        let rows: Vec<u64> = rows.collect();
        let times = vec![time; rows.len()];
        let times = if each { Times::PerRow(&times) } else { Times::Same(time) };
        let [mut x, mut p, z] = [(); 3].map(|()| Array2::<F>::zeros((rows.len(), DIM)));
        Noise::new(1).normals_into(&rows, 0, &mut x);
        for k in 0..steps {
            for _ in count.calls * k / steps / ROWS..count.calls * (k + 1) / steps / ROWS {
                field.eval_into(&Batch::new(&rows, times, &x), &mut p, scratch)?;
            }
            pass(&mut x, &p, &z);
        }
        black_box(&x);
        Ok(())
    })
    .expect("no failure");
}

/// A method with the steps of a grid.
fn fixed<F: Real>(method: FixedStep) -> Entry {
    let (model, x, nodes) =
        (w1_mixture().denoiser::<F, _>(Ou), start::<F>(), grid::two_phase(4.0, 1e-3, STEPS).expect("valid"));
    let solve = move |model: &Mixture<F>| {
        let solver =
            OdeSolver { field: ProbabilityFlow::new(model, Variable::Time), method, grid: nodes.clone() };
        let run = solver.run(Start::Rows(&x), Keep::Last, 0..ROWS, Control::default());
        black_box(run.expect("finite")).statistics
    };
    entry(&format!("flow::{method:?}"), model, solve, Variable::Time, false)
}

/// A method with steps of each row's own.
fn adaptive<F: Real, M>(name: &str, method: M, variable: Variable) -> Entry
where
    M: for<'a, 'm> OdeMethod<F, &'a ProbabilityFlow<'m, MixtureField<F, Ou>, Ou>> + 'static,
{
    let (model, x) = (w1_mixture().denoiser::<F, _>(Ou), start::<F>());
    let solve = move |model: &Mixture<F>| {
        let flow = ProbabilityFlow::new(model, variable);
        let ends = (Time::of(4.0), Time::of(1e-3));
        black_box(flow.carry(&method, ends, &x, 0..ROWS, Control::default()).expect("solvable")).1
    };
    entry(&format!("flow::{name} in the {variable:?}").to_lowercase(), model, solve, variable, true)
}

fn entry<F: Real>(
    name: &str,
    model: Mixture<F>,
    solve: impl Fn(&Mixture<F>) -> Statistics + 'static,
    variable: Variable,
    each: bool,
) -> Entry {
    Entry::new(format!("{name}/{}", F::NAME), move || {
        let count = solve(&model);
        let of_floor = model.clone();
        let floor = move || {
            let flow = ProbabilityFlow::new(&of_floor, variable);
            floor(&flow, count, flow.at(Time::of(0.5)), each);
        };
        Work {
            updates: (count.accepted + count.rejected) * DIM as u64,
            run: Box::new(move || _ = solve(&model)),
            floor: Box::new(floor),
        }
    })
}

/// What [`AdaptiveDpmSolver`] asks of a model.
struct NoiseOf<'m, F>(&'m Mixture<F>);

impl<F: Real> VectorField<F> for NoiseOf<'_, F> {
    fn dim(&self) -> usize {
        DIM
    }
    fn batching(&self) -> numeric::Batching {
        self.0.field.batching()
    }
    fn eval_into(
        &self,
        batch: &Batch<'_, F>,
        out: &mut numeric::ndarray::ArrayRef2<F>,
        scratch: &mut numeric::Scratch,
    ) -> Result<(), Error> {
        self.0.predict_into(Prediction::Noise, batch, out, scratch)
    }
}

fn dpm<F: Real>(order: usize) -> Entry {
    let tolerance = Tolerance { relative: 0.05, absolute: 0.0078 };
    let nodes = TimeGrid::from_nodes(vec![4.0, 1e-3]).expect("valid");
    let model = w1_mixture().denoiser::<F, _>(Ou);
    let solver = AdaptiveDpmSolver::new(model.clone(), order, tolerance, nodes).expect("valid");
    let x = start::<F>();
    let solve = move || {
        let run = solver.run(Start::Rows(&x), Keep::Last, 0..ROWS, Noise::new(1), Control::default());
        black_box(run.expect("solvable")).statistics
    };
    Entry::new(format!("AdaptiveDpmSolver({order})/{}", F::NAME), move || {
        let count = solve();
        Work {
            updates: (count.accepted + count.rejected) * DIM as u64,
            run: Box::new(move || _ = solve()),
            floor: Box::new(move || floor(&NoiseOf(&model), count, Time::of(0.5), true)),
        }
    })
}

pub(super) fn entries<F: Real>() -> Vec<Entry> {
    let tolerance = if F::NAME == "f32" { 1e-4 } else { 1e-6 };
    let mut entries: Vec<Entry> =
        [FixedStep::Euler, FixedStep::Midpoint, FixedStep::Heun, FixedStep::Rk4].map(fixed::<F>).into();
    for variable in [Variable::Time, Variable::Angle] {
        entries.push(adaptive::<F, _>("Tsit5", Tsit5::new(tolerance, tolerance).expect("valid"), variable));
        entries.push(adaptive::<F, _>("Dopri5", Dopri5::new(tolerance, tolerance).expect("valid"), variable));
    }
    entries.extend([2, 3].map(dpm::<F>));
    entries
}
