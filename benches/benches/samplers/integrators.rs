//! The integrators of general equations.

use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};

use girsanov_benches::w1_mixture;
use numeric::ndarray::{Array2, ArrayRef2};
use numeric::{
    Batch, Batching, Brownian, Control, Error, LogDensity, Node, Noise, Real, Scratch, TimeGrid, Times,
    run_blocks,
};
use sde_core::integrator::{
    Baoab, EulerHeun, EulerMaruyama, Heun, Midpoint, Milstein, Needs, PlatenWeak2, Sra1, Sri1W1, TamedEuler,
};
use sde_core::problems::Tanh;
use sde_core::{
    Integrator, Keep, NoiseClass, Ou, Reading, ReverseTime, Sde, Solver, Start, UnderdampedLangevin,
    as_stratonovich, grid,
};

use super::{DIM, Entry, ROWS, STEPS, pass};

/// An equation that counts what is asked of it: drifts, products, derivatives.
struct Counted<E> {
    sde: E,
    calls: [AtomicUsize; 3],
}

impl<E> Counted<E> {
    fn count(&self, what: usize) {
        self.calls[what].fetch_add(1, Ordering::Relaxed);
    }
}

type Rows<'a, F> = &'a ArrayRef2<F>;
type Out<'a, F> = &'a mut ArrayRef2<F>;

impl<F: Real, E: Sde<F>> Sde<F> for Counted<E> {
    fn dim(&self) -> usize {
        self.sde.dim()
    }
    fn noise_dim(&self) -> usize {
        self.sde.noise_dim()
    }
    fn reading(&self) -> Reading {
        self.sde.reading()
    }
    fn noise_class(&self) -> NoiseClass {
        self.sde.noise_class()
    }
    fn backward(&self) -> bool {
        self.sde.backward()
    }
    fn batching(&self) -> Batching {
        self.sde.batching()
    }
    fn drift_into(&self, at: &Batch<'_, F>, out: Out<'_, F>, scratch: &mut Scratch) -> Result<(), Error> {
        self.count(0);
        self.sde.drift_into(at, out, scratch)
    }
    fn diffuse_into(
        &self,
        at: &Batch<'_, F>,
        w: Rows<'_, F>,
        out: Out<'_, F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        self.count(1);
        self.sde.diffuse_into(at, w, out, scratch)
    }
    fn diffuse_derivative_into(
        &self,
        at: &Batch<'_, F>,
        w: Rows<'_, F>,
        v: Rows<'_, F>,
        out: Out<'_, F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        self.count(2);
        self.sde.diffuse_derivative_into(at, w, v, out, scratch)
    }
}

fn solve<F: Real, E: Sde<F>, I: Integrator<F>>(solver: &Solver<F, E, I>, rows: u64) {
    let start = [F::of(0.3); DIM];
    let run = solver.run(Start::Point(&start), Keep::Last, 0..rows, Noise::new(1), Control::default());
    black_box(run.expect("finite"));
}

/// What a step asks of the equation, by what one block asks in a whole run.
fn calls_of<F: Real, E: Sde<F> + Clone, I: Integrator<F> + Copy>(
    sde: &E,
    method: I,
    grid: &TimeGrid,
) -> [usize; 3] {
    let counted = Counted { sde: sde.clone(), calls: [const { AtomicUsize::new(0) }; 3] };
    solve(&Solver::new(&counted, method, grid.clone()).expect("valid"), 1);
    counted.calls.map(|calls| calls.into_inner() / STEPS)
}

fn floor<F: Real, E: Sde<F>>(
    sde: &E,
    grid: &TimeGrid,
    lengths: &[f64],
    [drifts, products, derivatives]: [usize; 3],
    needs: Needs,
) {
    let areas = needs == Needs::Area;
    let noise = Noise::new(1);
    let make = if areas { Brownian::with_area } else { Brownian::new };
    let brownian = make(noise, lengths).expect("valid");
    run_blocks(0..ROWS, sde.batching(), Control::default(), |rows, scratch| {
        let rows: Vec<u64> = rows.collect();
        let [mut x, mut f, mut g, mut w, mut h] = [(); 5].map(|()| Array2::<F>::zeros((rows.len(), DIM)));
        for (k, (from, _)) in grid.pairs().enumerate() {
            let cell = Node::whole(k as u64);
            if areas {
                brownian.increments_and_areas_into(&rows, cell, &mut w, &mut h);
            } else {
                brownian.increments_into(&rows, cell, &mut w);
            }
            let batch = Batch::new(&rows, Times::Same(from), &x);
            for _ in 0..drifts {
                sde.drift_into(&batch, &mut f, scratch)?;
            }
            for _ in 0..products {
                sde.diffuse_into(&batch, &w, &mut g, scratch)?;
            }
            for _ in 0..derivatives {
                sde.diffuse_derivative_into(&batch, &w, &w, &mut g, scratch)?;
            }
            pass(&mut x, &f, &g);
        }
        black_box(&x);
        Ok(())
    })
    .expect("no failure");
}

fn entry<F: Real, E: Sde<F> + Clone + 'static, I: Integrator<F> + Copy + 'static>(
    problem: &str,
    sde: E,
    grid: &TimeGrid,
    method: I,
) -> Entry {
    let calls = calls_of(&sde, method, grid);
    let solver = Solver::<F, _, _>::new(sde.clone(), method, grid.clone()).expect("valid");
    let (grid, lengths) = (grid.clone(), grid.lengths());
    Entry {
        name: format!("integrator::{} on {problem}/{}", method.name(), F::NAME),
        run: Box::new(move || solve(&solver, ROWS)),
        floor: Box::new(move || floor(&sde, &grid, &lengths, calls, method.needs())),
    }
}

pub(super) fn entries<F: Real>() -> Vec<Entry> {
    let (tanh, forward) =
        (Tanh { dim: DIM, a: 0.4, b: 0.6 }, TimeGrid::uniform(0.0, 1.0, STEPS).expect("valid"));
    let (reverse, back) = (
        ReverseTime::new(w1_mixture().score::<F, _>(Ou), 1.0).expect("valid"),
        grid::two_phase(4.0, 1e-3, STEPS).expect("valid"),
    );
    vec![
        entry::<F, _, _>("W1", reverse.clone(), &back, EulerMaruyama),
        entry::<F, _, _>("W1", reverse.clone(), &back, Heun),
        entry::<F, _, _>("W1", reverse, &back, Sra1),
        entry::<F, _, _>("Tanh", tanh, &forward, EulerMaruyama),
        entry::<F, _, _>("Tanh", tanh, &forward, TamedEuler),
        entry::<F, _, _>("Tanh", tanh, &forward, Milstein),
        entry::<F, _, _>("Tanh", tanh, &forward, Sri1W1),
        entry::<F, _, _>("Tanh", tanh, &forward, PlatenWeak2),
        entry::<F, _, _>("Tanh, Stratonovich", as_stratonovich(tanh), &forward, EulerHeun),
        entry::<F, _, _>("Tanh, Stratonovich", as_stratonovich(tanh), &forward, Heun),
        entry::<F, _, _>("Tanh, Stratonovich", as_stratonovich(tanh), &forward, Midpoint),
    ]
}

/// BAOAB on the mixture of W1.
pub(super) fn baoab() -> Entry {
    let grid = TimeGrid::uniform(0.0, 5.0, STEPS).expect("valid");
    let (target, lengths) = (w1_mixture(), grid.lengths());
    let method = Baoab::new(UnderdampedLangevin::new(target.clone(), 1.0).expect("valid"), grid);
    let run = move || {
        let start = [0.3; 2 * DIM];
        let run = method.run(Start::Point(&start), Keep::Last, 0..ROWS, Noise::new(1), Control::default());
        black_box(run.expect("finite"));
    };
    let floor = move || {
        let brownian = Brownian::new(Noise::new(1), &lengths).expect("valid");
        run_blocks(0..ROWS, LogDensity::batching(&target), Control::default(), |rows, _| {
            let rows: Vec<u64> = rows.collect();
            let [mut q, mut p, mut force, mut w] = [(); 4].map(|()| Array2::zeros((rows.len(), DIM)));
            for k in 0..STEPS as u64 {
                brownian.increments_into(&rows, Node::whole(k), &mut w);
                target.gradient_into(&q, &mut force)?;
                pass(&mut p, &force, &w);
                pass(&mut q, &p, &force);
            }
            black_box((&q, &p));
            Ok(())
        })
        .expect("no failure");
    };
    Entry { name: "integrator::Baoab on W1/f64".into(), run: Box::new(run), floor: Box::new(floor) }
}
