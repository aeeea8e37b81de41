//! The KL divergence of the chain of a method's steps from the true reverse chain, measured.

use numeric::estimate::{MeanAccumulator, Moments};
use numeric::ndarray::{Array2, ArrayView1};
use numeric::{Control, Error, Estimate, Noise, Scratch, TimeGrid, VectorField, run_blocks};
use sde_core::{GaussianStep, Mixture, Step, VariancePreserving, add_noise, ln_step_density};

use crate::Paths;
use crate::divergence::balanced_kl;

/// `Σ_k E KL(q_{τ_{k+1}|τ_k} ‖ p_k)` for the steps of a method with any model, measured on paths of the target.
///
/// See [`certify`](crate::certify) for the estimator. With the exact model this is the discretization term of D, V, G and L,
/// and at most that of S, R and EM, whose paths differ more than their chains; with another model it is discretization and
/// score together.
///
/// # Errors
/// [`Error::Domain`] for fewer than 2 paths, or a grid that ends at the data themselves, where the last step is a point and
/// its KL infinite; the model's and the step's own.
pub fn chain_kl<S: VariancePreserving + Clone, M: Sync>(
    target: &Mixture,
    process: &S,
    model: &M,
    method: &dyn GaussianStep<f64, M>,
    grid: &TimeGrid,
    paths: Paths,
    control: Control<'_>,
) -> Result<Estimate, Error> {
    // From the data to the noise, as the paths run.
    let sum = |steps: ArrayView1<'_, f64>| vec![steps.iter().rev().sum()];
    let all = measure(target, process, model, method, grid, paths, control, 1, &sum)?;
    all[0].estimate()
}

/// The summands of [`chain_kl`], one for each step of the grid, from the same paths: what
/// [`equidistribute`](crate::plan::equidistribute) makes a better grid of. They are not independent of each other.
///
/// # Errors
/// Those of [`chain_kl`].
///
/// ```
/// use bounds::{Paths, chain_kl, chain_kl_steps};
/// use numeric::{Noise, ndarray::array};
/// use sde_core::{FrozenDenoiser, Mixture, Ou, grid};
/// # fn main() -> Result<(), numeric::Error> {
/// let target = Mixture::atoms(&array![[-1.0], [1.0]], None)?;
/// let (model, grid) = (target.denoiser::<f64, _>(Ou), grid::geometric_v(3.0, 0.1, 10)?);
/// let paths = Paths { count: 100, noise: Noise::new(1) };
/// let steps = chain_kl_steps(&target, &Ou, &model, &FrozenDenoiser, &grid, paths, Default::default())?;
/// let whole = chain_kl(&target, &Ou, &model, &FrozenDenoiser, &grid, paths, Default::default())?;
/// assert!((steps.iter().map(|step| step.mean).sum::<f64>() - whole.mean).abs() < 1e-12);
/// # Ok(()) }
/// ```
pub fn chain_kl_steps<S: VariancePreserving + Clone, M: Sync>(
    target: &Mixture,
    process: &S,
    model: &M,
    method: &dyn GaussianStep<f64, M>,
    grid: &TimeGrid,
    paths: Paths,
    control: Control<'_>,
) -> Result<Vec<Estimate>, Error> {
    let each = |steps: ArrayView1<'_, f64>| steps.to_vec();
    let all = measure(target, process, model, method, grid, paths, control, grid.steps(), &each)?;
    all.iter().map(MeanAccumulator::estimate).collect()
}

/// Means over the paths of the `count` numbers that `of_path` makes of a path's terms by step.
#[expect(clippy::too_many_arguments, reason = "the parts of one computation, used twice")]
fn measure<S: VariancePreserving + Clone, M: Sync>(
    target: &Mixture,
    process: &S,
    model: &M,
    method: &dyn GaussianStep<f64, M>,
    grid: &TimeGrid,
    paths: Paths,
    control: Control<'_>,
    count: usize,
    of_path: &(dyn Fn(ArrayView1<'_, f64>) -> Vec<f64> + Sync),
) -> Result<Vec<MeanAccumulator>, Error> {
    Error::domain(paths.count >= 2, "paths.count", paths.count as f64, "at least 2, for a standard error")?;
    let noise_left = process.level(grid.last()).sigma;
    Error::domain(
        noise_left > 0.0,
        "grid.last",
        grid.last().t,
        "a time with noise: at the data a step has no density",
    )?;
    let batching = target.denoiser::<f64, S>(process.clone()).field.batching();
    let blocks = run_blocks(0..paths.count, batching, control, |rows, scratch| {
        let first = rows.start;
        let terms =
            chain_of_block(target, process, model, method, grid, rows.collect(), paths.noise, scratch)?;
        let rows: Vec<Vec<f64>> = terms.rows().into_iter().map(of_path).collect();
        (0..count)
            .map(|j| {
                let column = rows.iter().map(|row| Moments::of(row[j])).collect::<Result<Vec<_>, _>>()?;
                MeanAccumulator::from_rows(first, column)
            })
            .collect::<Result<Vec<_>, _>>()
    })?;
    let mut all = vec![MeanAccumulator::new(); count];
    for block in blocks {
        for (total, part) in all.iter_mut().zip(block) {
            total.merge(part)?;
        }
    }
    Ok(all)
}

/// The estimator of [`certify`](crate::certify) for each row of a block and each step, `(n, steps)`.
#[expect(clippy::too_many_arguments, reason = "the parts of one computation, used once")]
fn chain_of_block<S: VariancePreserving + Clone, M>(
    target: &Mixture,
    process: &S,
    model: &M,
    method: &dyn GaussianStep<f64, M>,
    grid: &TimeGrid,
    rows: Vec<u64>,
    noise: Noise,
    scratch: &mut Scratch,
) -> Result<Array2<f64>, Error> {
    let (n, d, steps) = (rows.len(), target.dim(), grid.steps());
    let density = target.denoiser::<f64, S>(process.clone()).field;
    let ln_q = |x: &Array2<f64>, k: usize, out: &mut [f64], scratch: &mut Scratch| {
        let level = process.level(grid.node(k));
        density.ln_density_into(level.alpha, level.sigma, x.as_slice().expect("standard"), out, scratch)
    };
    let (forward, proposal) = (noise.fork("forward"), noise.fork("proposal"));
    let last = process.level(grid.last());
    let start = rows[0]..rows[n - 1] + 1;
    // From the data to the noise; `next` is where the reverse step from `x` should lead.
    let mut next = target.sample(start, last.alpha, last.sigma, noise.fork("data"))?;
    let (mut x, mut z, mut mean, mut proposed) =
        (Array2::zeros((n, d)), Array2::zeros((n, d)), Array2::zeros((n, d)), Array2::zeros((n, d)));
    let [mut ln_q_next, mut ln_q_x, mut ln_q_proposed] = [(); 3].map(|()| vec![0.0; n]);
    ln_q(&next, steps, &mut ln_q_next, scratch)?;
    let mut terms = Array2::zeros((n, steps));
    for k in (0..steps).rev() {
        let (from, to) = (grid.node(k), grid.node(k + 1));
        let gap = process.clock(from) - process.clock(to);
        let (keep, spread) = ((-gap).exp(), (-(-2.0 * gap).exp_m1()).sqrt());
        forward.normals_into::<f64>(&rows, k as u64, &mut z);
        x.assign(&next);
        x.zip_mut_with(&z, |x, &z| *x = keep * *x + spread * z);
        ln_q(&x, k, &mut ln_q_x, scratch)?;
        let step = Step { rows: &rows, index: k as u64, from, to, noise: proposal };
        let kernel = method.transition(model, step, &x, &mut mean, scratch)?;
        let directions = method.directions();
        proposal.normals_into::<f64>(&rows, k as u64, &mut z);
        add_noise(&mean, &kernel, directions, &mut z, &mut proposed);
        ln_q(&proposed, k + 1, &mut ln_q_proposed, scratch)?;
        let of_next = ln_step_density(&mean, &kernel, directions, &next);
        let of_proposed = ln_step_density(&mean, &kernel, directions, &proposed);
        // log q(x'|x) = log q(x') + log N(x; keep x', spread² I) − log q(x).
        let backward = |to: &Array2<f64>, i: usize| {
            let square: f64 = x.row(i).iter().zip(to.row(i)).map(|(x, to)| (x - keep * to).powi(2)).sum();
            -0.5 * square / (spread * spread)
                - d as f64 * (spread.ln() + 0.5 * (2.0 * std::f64::consts::PI).ln())
        };
        for i in 0..n {
            let of_path = ln_q_next[i] + backward(&next, i) - ln_q_x[i] - of_next[i];
            let of_method = ln_q_proposed[i] + backward(&proposed, i) - ln_q_x[i] - of_proposed[i];
            terms[(i, k)] = 0.5 * (balanced_kl(of_path) + balanced_kl(of_method));
        }
        std::mem::swap(&mut next, &mut x);
        std::mem::swap(&mut ln_q_next, &mut ln_q_x);
    }
    Ok(terms)
}
