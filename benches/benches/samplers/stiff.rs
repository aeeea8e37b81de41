//! The linearly implicit method, on the probability flow.

use std::hint::black_box;

use numeric::ndarray::{Array2, s};
use numeric::{Batch, Control, JacobianProducts, Noise, Real, Time, Times, VectorField, run_blocks};
use sde_core::ode::{OdeMethod, ProbabilityFlow, Rosenbrock, Variable};
use sde_core::{MixtureField, Ou, Statistics};

use super::elimination::Systems;
use super::flows::{Call, Logged, Mixture, logged, model, start};
use super::{DIM, Entry, Work, pass};

/// Few, since each step has 32 Jacobian products; whole blocks of both types, so that no floor eliminates for more rows.
const ROWS: u64 = 384;

type Flow<'m, F> = ProbabilityFlow<'m, Logged<MixtureField<F, Ou>>, Ou>;

/// Its calls, of as many rows; for each step a factorisation, four solutions and a pass.
fn floor<F: Real>(flow: &Flow<'_, F>, calls: &[Call], count: Statistics, time: Time) {
    let batching = flow.batching();
    let blocks = (ROWS as usize).div_ceil(batching.rows);
    let steps = count.calls / 5 / ROWS;
    run_blocks(0..ROWS, batching, Control::default(), |rows, scratch| {
        let block = rows.start as usize / batching.rows;
        let calls = &calls[calls.len() * block / blocks..calls.len() * (block + 1) / blocks];
        let rows: Vec<u64> = rows.collect();
        let times = vec![time; rows.len()];
        let [mut x, mut p, z] = [(); 3].map(|()| Array2::<F>::zeros((rows.len(), DIM)));
        Noise::new(1).normals_into(&rows, 0, &mut x);
        for call in calls {
            let (Call::Value(n) | Call::Product(n)) = *call;
            let (x, mut p) = (x.slice(s![..n, ..]), p.slice_mut(s![..n, ..]));
            let batch = Batch::new(&rows[..n], Times::PerRow(&times[..n]), &x);
            match call {
                Call::Value(_) => flow.eval_into(&batch, &mut p, scratch)?,
                Call::Product(_) => flow.jvp_into(&batch, &x, &mut p, scratch)?,
            }
        }
        let mut systems = Systems::<f64>::new(rows.len(), DIM);
        for _ in 0..steps {
            systems.factorise();
            (0..4).for_each(|_| systems.solve());
            pass(&mut x, &p, &z);
        }
        black_box(&x);
        Ok(())
    })
    .expect("no failure");
}

pub(super) fn rosenbrock<F: Real>() -> Entry
where
    Rosenbrock: for<'a, 'm> OdeMethod<F, &'a Flow<'m, F>>,
{
    let x = start::<F>();
    let tolerance = if F::NAME == "f32" { 1e-3 } else { 1e-4 };
    let method = Rosenbrock::new(tolerance, tolerance).expect("valid");
    let solve = move |model: &Mixture<F>| {
        let (flow, ends) = (Flow::new(model, Variable::Time), (Time::of(4.0), Time::of(1e-3)));
        let x = x.slice(s![..ROWS as usize, ..]);
        black_box(flow.carry(&method, ends, &x, 0..ROWS, Control::default()).expect("solvable")).1
    };
    Entry::new(format!("flow::rosenbrock in the time/{}", F::NAME), move || {
        let model = model();
        let (count, calls) = logged(&model, &solve);
        let of_floor = model.clone();
        let floor = move || floor(&Flow::new(&of_floor, Variable::Time), &calls, count, Time::of(0.5));
        Work {
            updates: (count.accepted + count.rejected) * DIM as u64,
            run: Box::new(move || _ = solve(&model)),
            floor: Box::new(floor),
        }
    })
}
