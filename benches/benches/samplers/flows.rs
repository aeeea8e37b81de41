//! Methods for the probability flow: steps from node to node, and steps of each row's own.

use std::hint::black_box;
use std::sync::{Arc, Mutex};

use girsanov_benches::w1_mixture;
use numeric::ndarray::{Array2, ArrayRef2, s};
use numeric::{
    Batch, Batching, Control, Error, JacobianProducts, Model, Noise, Prediction, Real, Scratch, Time,
    TimeGrid, Times, VectorField, run_blocks,
};
use sde_core::ode::{Dopri5, FixedStep, OdeMethod, OdeSolver, ProbabilityFlow, Tsit5, Variable};
use sde_core::{AdaptiveDpmSolver, Keep, MixtureField, Ou, Start, Statistics, Tolerance, grid};

use super::{DIM, Entry, ROWS, STEPS, Work, pass};

pub(super) fn start<F: Real>() -> Array2<F> {
    let mut x = Array2::zeros((ROWS as usize, DIM));
    Noise::new(1).normals_into(&(0..ROWS).collect::<Vec<_>>(), 0, &mut x);
    x
}

/// A call of the field or of its Jacobian product, by its number of rows.
#[derive(Clone, Copy)]
pub(super) enum Call {
    Value(usize),
    Product(usize),
}

/// A field that can write down its calls.
#[derive(Clone)]
pub(super) struct Logged<V> {
    field: V,
    log: Option<Arc<Mutex<Vec<Call>>>>,
}

impl<V> Logged<V> {
    fn write_down(&self, call: Call) {
        if let Some(log) = &self.log {
            log.lock().expect("no panic").push(call);
        }
    }
}

impl<F: Real, V: JacobianProducts<F>> JacobianProducts<F> for Logged<V> {
    fn jvp_into(
        &self,
        at: &Batch<'_, F>,
        v: &ArrayRef2<F>,
        out: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        self.write_down(Call::Product(at.len()));
        self.field.jvp_into(at, v, out, scratch)
    }
}

impl<F: Real, V: VectorField<F>> VectorField<F> for Logged<V> {
    fn dim(&self) -> usize {
        self.field.dim()
    }
    fn batching(&self) -> Batching {
        self.field.batching()
    }
    fn eval_into(
        &self,
        at: &Batch<'_, F>,
        out: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        self.write_down(Call::Value(at.len()));
        self.field.eval_into(at, out, scratch)
    }
}

pub(super) type Mixture<F> = Model<Logged<MixtureField<F, Ou>>, Ou>;

pub(super) fn model<F: Real>() -> Mixture<F> {
    let Model { field, prediction, schedule } = w1_mixture().denoiser::<F, _>(Ou);
    Model { field: Logged { field, log: None }, prediction, schedule }
}

/// What a run counts, and its calls, block after block.
pub(super) fn logged<F: Real>(
    model: &Mixture<F>,
    solve: impl Fn(&Mixture<F>) -> Statistics + Sync,
) -> (Statistics, Vec<Call>) {
    let log = Arc::new(Mutex::default());
    let mut model = model.clone();
    model.field.log = Some(log.clone());
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("one thread");
    let count = pool.install(|| solve(&model));
    let calls = log.lock().expect("no panic").clone();
    (count, calls)
}

/// The same calls, of as many rows, and a pass over those rows for each step.
fn floor<F: Real>(field: &impl VectorField<F>, calls: &[Call], count: Statistics, time: Time, each: bool) {
    let batching = field.batching();
    let blocks = (ROWS as usize).div_ceil(batching.rows);
    // A row's calls in a step.
    let stages = (count.calls / (count.accepted + count.rejected)) as usize;
    run_blocks(0..ROWS, batching, Control::default(), |rows, scratch| {
        let block = rows.start as usize / batching.rows;
        let calls = &calls[calls.len() * block / blocks..calls.len() * (block + 1) / blocks];
        // Blocks do not make equally many calls: some are those of another block, which may have more rows.
        let rows: Vec<u64> = (rows.start..).take(batching.rows).collect();
        let [mut x, mut p, z] = [(); 3].map(|()| Array2::<F>::zeros((rows.len(), DIM)));
        Noise::new(1).normals_into(&rows, 0, &mut x);
        let times = vec![time; rows.len()];
        for (k, call) in calls.iter().enumerate() {
            let (Call::Value(n) | Call::Product(n)) = *call;
            let times = if each { Times::PerRow(&times[..n]) } else { Times::Same(time) };
            let [mut x, mut p] = [&mut x, &mut p].map(|all| all.slice_mut(s![..n, ..]));
            field.eval_into(&Batch::new(&rows[..n], times, &x), &mut p, scratch)?;
            if k % stages == 0 {
                pass(&mut x, &p, &z.slice(s![..n, ..]));
            }
        }
        black_box(&x);
        Ok(())
    })
    .expect("no failure");
}

/// A method with the steps of a grid.
fn fixed<F: Real>(method: FixedStep) -> Entry {
    let (model, x, nodes) = (model(), start::<F>(), grid::two_phase(4.0, 1e-3, STEPS).expect("valid"));
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
    M: for<'a, 'm> OdeMethod<F, &'a ProbabilityFlow<'m, Logged<MixtureField<F, Ou>>, Ou>> + 'static,
{
    let (model, x) = (model(), start::<F>());
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
    solve: impl Fn(&Mixture<F>) -> Statistics + Send + Sync + 'static,
    variable: Variable,
    each: bool,
) -> Entry {
    Entry::new(format!("{name}/{}", F::NAME), move || {
        let (count, calls) = logged(&model, &solve);
        let of_floor = model.clone();
        let floor = move || {
            let flow = ProbabilityFlow::new(&of_floor, variable);
            floor(&flow, &calls, count, flow.at(Time::of(0.5)), each);
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
    fn batching(&self) -> Batching {
        self.0.field.batching()
    }
    fn eval_into(
        &self,
        batch: &Batch<'_, F>,
        out: &mut ArrayRef2<F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        self.0.predict_into(Prediction::Noise, batch, out, scratch)
    }
}

fn dpm<F: Real>(order: usize) -> Entry {
    let tolerance = Tolerance { relative: 0.05, absolute: 0.0078 };
    let nodes = TimeGrid::from_nodes(vec![4.0, 1e-3]).expect("valid");
    let x = start::<F>();
    let solve = move |model: &Mixture<F>| {
        let solver = AdaptiveDpmSolver::new(model.clone(), order, tolerance, nodes.clone()).expect("valid");
        let run = solver.run(Start::Rows(&x), Keep::Last, 0..ROWS, Noise::new(1), Control::default());
        black_box(run.expect("solvable")).statistics
    };
    Entry::new(format!("AdaptiveDpmSolver({order})/{}", F::NAME), move || {
        let model = model();
        let (count, calls) = logged(&model, &solve);
        let of_floor = model.clone();
        Work {
            updates: (count.accepted + count.rejected) * DIM as u64,
            run: Box::new(move || _ = solve(&model)),
            floor: Box::new(move || floor(&NoiseOf(&of_floor), &calls, count, Time::of(0.5), true)),
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
