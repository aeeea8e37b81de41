//! The integrators of general equations.

use std::hint::black_box;
use std::sync::Mutex;

use girsanov_benches::w1_mixture;
use numeric::ndarray::{Array2, ArrayRef2, ArrayView1, s};
use numeric::{
    Batch, Batching, Brownian, Control, Error, LogDensity, Node, Noise, Real, RowStream, Scratch, TimeGrid,
    Times, run_blocks,
};
use sde_core::integrator::{
    Baoab, EulerHeun, EulerMaruyama, Heun, ImplicitEuler, LevyMilstein, Midpoint, Milstein, Needs,
    PlatenWeak2, Sosra, Sra1, Sra3, Sri1W1, TamedEuler,
};
use sde_core::problems::{DoubleWell, Lorenz, LorenzNoise, Spiral, Tanh, Waves};
use sde_core::{
    Integrator, JumpDiffusion, Keep, NoiseClass, Ou, Reading, ReverseTime, Sde, Solver, Start,
    UnderdampedLangevin, as_stratonovich, grid,
};

use super::elimination::Systems;
use super::{DIM, Entry, ROWS, STEPS, UPDATES, Work, pass};

/// Rows that make as many numbers as the others' in problems of few dimensions.
fn rows_of(dim: usize) -> u64 {
    ROWS * (DIM / dim) as u64
}

/// Each coordinate of the start.
const START: f64 = 0.3;

/// What is asked of an equation, in rows, or for each row.
#[derive(Clone, Copy)]
struct Calls {
    drifts: usize,
    /// Those of the drifts that are for Jacobians.
    probes: usize,
    products: usize,
    derivatives: usize,
}

/// An equation that counts its calls, and keeps the states of the last ones of whole blocks: what a call costs can depend on
/// them.
struct Counted<E, F> {
    sde: E,
    seen: Mutex<Seen<F>>,
}

struct Seen<F> {
    calls: Calls,
    /// The last argument of the drift that was no probe.
    iterate: Array2<F>,
    states: Vec<Array2<F>>,
}

/// States that calls of a floor take in turn.
const STATES: usize = 4;

impl<E: Sde<F>, F: Real> Counted<E, F> {
    fn count(&self, x: &ArrayRef2<F>, one: impl Fn(&mut Seen<F>)) {
        let mut seen = self.seen.lock().expect("no panic");
        one(&mut seen);
        if x.nrows() == blocks_of(&self.sde).rows {
            if seen.states.len() == STATES {
                seen.states.remove(0);
            }
            seen.states.push(x.to_owned());
        }
    }
}

/// Whether x is that of a Jacobian's difference at the iterate: it has one coordinate moved, in some rows.
fn is_probe<F: Real>(iterate: &Array2<F>, x: &ArrayRef2<F>) -> bool {
    let moved = |(a, b): (ArrayView1<'_, F>, ArrayView1<'_, F>)| a != b;
    iterate.dim() == x.dim()
        && iterate.columns().into_iter().zip(x.columns()).filter(|&pair| moved(pair)).count() == 1
}

type Rows<'a, F> = &'a ArrayRef2<F>;
type Out<'a, F> = &'a mut ArrayRef2<F>;

impl<F: Real, E: Sde<F>> Sde<F> for Counted<E, F> {
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
        self.count(at.x(), |seen| {
            seen.calls.drifts += at.x().nrows();
            if is_probe(&seen.iterate, at.x()) {
                seen.calls.probes += at.x().nrows();
            } else {
                seen.iterate = at.x().to_owned();
            }
        });
        self.sde.drift_into(at, out, scratch)
    }
    fn diffuse_into(
        &self,
        at: &Batch<'_, F>,
        w: Rows<'_, F>,
        out: Out<'_, F>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        self.count(at.x(), |seen| seen.calls.products += at.x().nrows());
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
        self.count(at.x(), |seen| seen.calls.derivatives += at.x().nrows());
        self.sde.diffuse_derivative_into(at, w, v, out, scratch)
    }
}

/// The blocks of a solver: larger ones in few dimensions.
fn blocks_of<F: Real>(sde: &impl Sde<F>) -> Batching {
    let batching = sde.batching();
    let most = 2048 / sde.dim().max(sde.noise_dim()) / batching.rows;
    Batching { rows: batching.rows * most.max(1), ..batching }
}

fn solve<F: Real, E: Sde<F>, I: Integrator<F>>(solver: &Solver<F, E, I>, rows: u64) {
    let start = vec![F::of(START); solver.sde().dim()];
    let run = solver.run(Start::Point(&start), Keep::Last, 0..rows, Noise::new(1), Control::default());
    black_box(run.expect("finite"));
}

/// What a row asks of the equation in a run of all steps, on average, and the last states at which a block did.
fn calls_of<F: Real, E: Sde<F> + Clone, I: Integrator<F> + Copy>(
    sde: &E,
    method: I,
    grid: &TimeGrid,
) -> (Calls, Vec<Array2<F>>) {
    let none = Calls { drifts: 0, probes: 0, products: 0, derivatives: 0 };
    let seen = Seen { calls: none, iterate: Array2::default((0, 0)), states: Vec::new() };
    let counted = Counted { sde: sde.clone(), seen: Mutex::new(seen) };
    let solver = Solver::new(&counted, method, grid.clone()).expect("valid");
    // One block after the other: a call is known by those before it.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("one thread");
    pool.install(|| solve(&solver, rows_of(sde.dim())));
    let rows = rows_of(sde.dim()) as usize;
    let Seen { calls, states, .. } = counted.seen.into_inner().expect("no panic");
    let Calls { drifts, probes, products, derivatives } = calls;
    let [drifts, probes, products, derivatives] =
        [drifts, probes, products, derivatives].map(|calls| calls / rows);
    (Calls { drifts, probes, products, derivatives }, states)
}

/// Of `count` in a run, those in step k.
fn share(count: usize, k: usize) -> std::ops::Range<usize> {
    count * k / STEPS..count * (k + 1) / STEPS
}

fn floor<F: Real, E: Sde<F>>(
    sde: &E,
    grid: &TimeGrid,
    lengths: &[f64],
    (calls, states): (Calls, &[Array2<F>]),
    needs: Needs,
) {
    let noise = Noise::new(1);
    let make = if needs == Needs::Increment { Brownian::new } else { Brownian::with_area };
    let brownian = make(noise, lengths).expect("valid");
    run_blocks(0..rows_of(sde.dim()), blocks_of(sde), Control::default(), |rows, scratch| {
        let rows: Vec<u64> = rows.collect();
        let states: Vec<_> = states.iter().map(|all| all.slice(s![..rows.len(), ..])).collect();
        let mut x = states[0].to_owned();
        let [mut f, mut g] = [(); 2].map(|()| Array2::zeros(x.raw_dim()));
        let [mut w, mut h] = [(); 2].map(|()| Array2::<F>::zeros((rows.len(), sde.noise_dim())));
        // None on average where only some rows need them; elsewhere all calls but the probes are followed by a solution.
        let jacobians = calls.probes / sde.dim();
        let mut systems = (jacobians > 0).then(|| Systems::<F>::new(rows.len(), sde.dim()));
        for (k, (from, _)) in grid.pairs().enumerate() {
            let cell = Node::whole(k as u64);
            match needs {
                Needs::Increment => brownian.increments_into(&rows, cell, &mut w),
                _ => brownian.increments_and_areas_into(&rows, cell, &mut w, &mut h),
            }
            if let Needs::LevyAreas { depth } = needs {
                // Two normals for each of its splits.
                for key in 2..2 << depth {
                    noise.normals_into(&rows, key, &mut h);
                }
            }
            let at = |call: usize| Batch::new(&rows, Times::Same(from), &states[call % states.len()]);
            for call in share(calls.drifts, k) {
                sde.drift_into(&at(call), &mut f, scratch)?;
            }
            for call in share(calls.products, k) {
                sde.diffuse_into(&at(call), &w, &mut g, scratch)?;
            }
            for call in share(calls.derivatives, k) {
                sde.diffuse_derivative_into(&at(call), &w, &w, &mut g, scratch)?;
            }
            if let Some(systems) = &mut systems {
                for _ in share(jacobians, k) {
                    systems.factorise();
                }
                for _ in share(calls.drifts - calls.probes, k) {
                    systems.solve();
                }
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
    let name = format!("integrator::{} on {problem}/{}", method.name(), F::NAME);
    let grid = grid.clone();
    Entry::new(name, move || {
        let (calls, states) = calls_of::<F, _, _>(&sde, method, &grid);
        let solver = Solver::<F, _, _>::new(sde.clone(), method, grid.clone()).expect("valid");
        let lengths = grid.lengths();
        Work {
            updates: rows_of(sde.dim()) * (sde.dim() * STEPS) as u64,
            run: Box::new(move || solve(&solver, rows_of(solver.sde().dim()))),
            floor: Box::new(move || floor(&sde, &grid, &lengths, (calls, &states), method.needs())),
        }
    })
}

pub(super) fn entries<F: Real>() -> Vec<Entry> {
    let (tanh, forward) =
        (Tanh { dim: DIM, a: 0.4, b: 0.6 }, TimeGrid::uniform(0.0, 1.0, STEPS).expect("valid"));
    let (well, waves) = (DoubleWell { dim: DIM, sigma: 0.5 }, Waves { strength: 0.5 });
    let lorenz = Lorenz { noise: LorenzNoise::Additive(1.0) };
    let spiral = Spiral::new((-0.5, 1.0), vec![(0.3, 0.1), (0.2, -0.4)]).expect("valid");
    let (reverse, back) = (
        ReverseTime::new(w1_mixture().score::<F, _>(Ou), 1.0).expect("valid"),
        grid::two_phase(4.0, 1e-3, STEPS).expect("valid"),
    );
    // Between the modes the drift spreads: implicit equations of longer steps have no solution there.
    let small = TimeGrid::uniform(1.0, 0.5, STEPS).expect("valid");
    vec![
        entry::<F, _, _>("W1", reverse.clone(), &back, EulerMaruyama),
        entry::<F, _, _>("W1", reverse.clone(), &back, Heun),
        entry::<F, _, _>("W1", reverse.clone(), &back, Sra1),
        entry::<F, _, _>("W1", reverse.clone(), &back, Sosra),
        entry::<F, _, _>("W1", reverse.clone(), &back, Sra3),
        entry::<F, _, _>("W1", reverse, &small, ImplicitEuler),
        entry::<F, _, _>("DoubleWell", well, &forward, Sra1),
        entry::<F, _, _>("DoubleWell", well, &forward, Sosra),
        entry::<F, _, _>("DoubleWell", well, &forward, Sra3),
        entry::<F, _, _>("DoubleWell", well, &forward, ImplicitEuler),
        entry::<F, _, _>("Lorenz", lorenz, &forward, ImplicitEuler),
        entry::<F, _, _>("Tanh", tanh, &forward, EulerMaruyama),
        entry::<F, _, _>("Tanh", tanh, &forward, TamedEuler),
        entry::<F, _, _>("Tanh", tanh, &forward, Milstein),
        entry::<F, _, _>("Tanh", tanh, &forward, Sri1W1),
        entry::<F, _, _>("Tanh", tanh, &forward, PlatenWeak2),
        entry::<F, _, _>("Tanh, Stratonovich", as_stratonovich(tanh), &forward, EulerHeun),
        entry::<F, _, _>("Tanh, Stratonovich", as_stratonovich(tanh), &forward, Heun),
        entry::<F, _, _>("Tanh, Stratonovich", as_stratonovich(tanh), &forward, Midpoint),
        entry::<F, _, _>("Spiral", spiral.clone(), &forward, Milstein),
        entry::<F, _, _>("Spiral", spiral, &forward, PlatenWeak2),
        entry::<F, _, _>("Waves", waves, &forward, EulerMaruyama),
        entry::<F, _, _>("Waves, areas of depth 0", waves, &forward, LevyMilstein { depth: 0 }),
        entry::<F, _, _>("Waves, areas of depth 4", waves, &forward, LevyMilstein { depth: 4 }),
        entry::<F, _, _>("Waves", waves, &forward, PlatenWeak2),
    ]
}

/// Euler–Maruyama with jumps, one candidate in 50 steps of a row. At a candidate the row's step is cut: the floor has one more
/// call of the row alone for it, with normals from the row's stream.
pub(super) fn jumps<F: Real>() -> Entry {
    Entry::new(format!("JumpDiffusion on Tanh/{}", F::NAME), || {
        let grid = TimeGrid::uniform(0.0, 1.0, STEPS).expect("valid");
        let (sde, integrator) = (Tanh { dim: DIM, a: 0.4, b: 0.6 }, EulerMaruyama);
        let lengths = grid.lengths();
        let diffusion = JumpDiffusion {
            sde,
            integrator,
            grid: grid.clone(),
            bound: 1.0,
            intensity: |_, _: &[F]| 0.5,
            jump: |_, x: &mut [F], _: &mut RowStream| x.iter_mut().for_each(|x| *x *= F::of(0.5)),
        };
        let run = move || {
            let (start, noise) = ([F::of(START); DIM], Noise::new(1));
            let run = diffusion.run(Start::Point(&start), Keep::Last, 0..ROWS, noise, Control::default());
            black_box(run.expect("finite"));
        };
        let (calls, states) = calls_of::<F, _, _>(&sde, integrator, &grid);
        let floor = move || {
            floor(&sde, &grid, &lengths, (calls, &states), Needs::Increment);
            let rows = |rows: std::ops::Range<u64>, scratch: &mut Scratch| {
                let [mut x, mut f, mut g, mut w] = [(); 4].map(|()| Array2::<F>::zeros((1, DIM)));
                for row in rows {
                    let mut stream = Noise::new(1).row_stream(row);
                    w.mapv_inplace(|_| F::of(stream.normal()));
                    let row = [row];
                    let at = Batch::new(&row, Times::Same(grid.first()), &x);
                    sde.drift_into(&at, &mut f, scratch)?;
                    sde.diffuse_into(&at, &w, &mut g, scratch)?;
                    pass(&mut x, &f, &g);
                }
                black_box(&x);
                Ok(())
            };
            // A candidate for each row, on average.
            run_blocks(0..ROWS, blocks_of::<F>(&sde), Control::default(), rows).expect("no failure");
        };
        Work { updates: UPDATES, run: Box::new(run), floor: Box::new(floor) }
    })
}

/// BAOAB on the mixture of W1.
pub(super) fn baoab() -> Entry {
    Entry::new("integrator::Baoab on W1/f64".into(), baoab_work)
}

fn baoab_work() -> Work {
    let grid = TimeGrid::uniform(0.0, 5.0, STEPS).expect("valid");
    let (target, lengths) = (w1_mixture(), grid.lengths());
    let method =
        Baoab::new(UnderdampedLangevin::new(target.clone(), 1.0).expect("valid"), grid).expect("valid");
    let run = move || {
        let start = [START; 2 * DIM];
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
    Work { updates: UPDATES, run: Box::new(run), floor: Box::new(floor) }
}
