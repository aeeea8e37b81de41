//! Likelihood bounds against sums over all states, quadrature in time, and reference values.

mod contract;
mod drawn;
mod masks;
mod parts;
mod reference;

use ctmc::denoise::objective::{DiscreteElbo, Elbo, Form, Objective, TrainingBatch};
use ctmc::denoise::{Denoiser, Noising, denoiser_from_fn};
use numeric::ndarray::{Array2, Array3, ArrayRef3};
use numeric::{Batch, Scratch, TimeGrid};
use verify::{Family, normal_p_value};

use crate::exact::{all_rows, chain};

const FORMS: [Form; 3] = [Form::Conditional, Form::Jumps, Form::Factorised];

/// Nodes and weights of a composite rule in u on [0, 1]: 40 panels of 5 Gauss points, ever shorter towards 0.
fn rule() -> Vec<(f64, f64)> {
    let nodes = [0.0, 0.538_469_310_105_683_1, 0.906_179_845_938_664];
    let weights = [0.568_888_888_888_888_9, 0.478_628_670_499_366_5, 0.236_926_885_056_189_1];
    let panel = |k: i32| {
        let (low, high) = ((f64::from(k) / 40.0).powi(3), (f64::from(k + 1) / 40.0).powi(3));
        let signs = [(0, 1.0), (1, 1.0), (1, -1.0), (2, 1.0), (2, -1.0)];
        signs.map(|(i, sign)| {
            (0.5 * (low + high) + 0.5 * (high - low) * sign * nodes[i], 0.5 * (high - low) * weights[i])
        })
    };
    (0..40).flat_map(panel).collect()
}

fn losses(model: &impl Denoiser<f64>, noising: &Noising, batch: &TrainingBatch) -> Vec<f64> {
    let (n, dim) = batch.noised.dim();
    let mut answer = Array3::zeros((n, dim, model.states()));
    model.log_values_into(&batch.inputs(), &mut answer, &mut Scratch::new()).unwrap();
    batch.losses(noising, model.output(), &answer).unwrap()
}

/// Every noised state of one clean row, with its probability at time t.
fn noised(noising: &Noising, t: f64, x0: &[u32]) -> (Array2<u32>, Vec<f64>) {
    let kernel = noising.kernel(0.0, t).unwrap();
    let all = all_rows(x0.len(), noising.states());
    let p = |x: &[u32]| x0.iter().zip(x).map(|(&v, &x)| kernel.matrix()[[v as usize, x as usize]]).product();
    let p = all.outer_iter().map(|x| p(&x.to_vec())).collect();
    (all, p)
}

/// The integrand at time t for one clean row: a sum over all states, and jumps out of each.
fn density(elbo: &Elbo, model: &impl Denoiser<f64>, t: f64, x0: &[u32]) -> f64 {
    let noising = elbo.noising();
    let (all, p) = noised(noising, t, x0);
    let (mut x, mut jumped, mut weights) = (vec![], vec![], vec![]);
    for (state, &p) in all.outer_iter().zip(&p).filter(|&(_, &p)| p > 0.0) {
        let total: f64 = state.iter().map(|&x| noising.generator().exit_rate(x)).sum();
        if total == 0.0 || elbo.form() == Form::Conditional {
            x.extend(&state);
            jumped.extend(&state);
            weights.push(p);
            continue;
        }
        for d in 0..x0.len() {
            noising.generator().for_each_rate(state[d], &mut |to, rate| {
                let mut after = state.to_owned();
                after[d] = to;
                x.extend(&state);
                jumped.extend(&after);
                weights.push(p * rate / total);
            });
        }
    }
    let n = weights.len();
    let rows = |v: Vec<u32>| Array2::from_shape_vec((n, x0.len()), v).unwrap();
    let clean = Array2::from_shape_fn((n, x0.len()), |(_, d)| x0[d]);
    let batches = elbo.integrand(&clean, &vec![t; n], &rows(x), &rows(jumped)).unwrap();
    let sum = |batch| losses(model, noising, batch).iter().zip(&weights).map(|(l, w)| l * w).sum::<f64>();
    batches.iter().map(sum).sum()
}

/// The whole bound for one clean row, from time `start` to `end`.
fn bound(elbo: &Elbo, model: &impl Denoiser<f64>, (start, end): (f64, f64), x0: &[u32]) -> f64 {
    let path = rule().into_iter().map(|(u, w)| {
        let t = start + (end - start) * u * u * u;
        3.0 * (end - start) * u * u * w * density(elbo, model, t, x0)
    });
    path.sum::<f64>() + x0.iter().map(|&v| elbo.constants()[v as usize]).sum::<f64>()
}

/// The exact posterior of the first chain, tilted.
fn tilted(eps: f64) -> impl Denoiser<f64> {
    let exact = chain().1;
    let c = [[0.0, 0.5, -0.3], [0.2, 0.0, 0.4], [-0.6, 0.1, 0.0]];
    denoiser_from_fn(1, 3, move |batch: &Batch<'_, u32>, out: &mut ArrayRef3<f64>| {
        exact.log_values_into(batch, out, &mut Scratch::new())?;
        for ((i, d, v), l) in out.indexed_iter_mut() {
            *l += eps * c[batch.x()[[i, d]] as usize][v] * (1.0 + batch.times().get(i).t);
        }
        Ok(())
    })
}

const DATA: [f64; 3] = [0.6, 0.3, 0.1];

/// The bound of the run over a uniform grid, by summing over steps and states.
fn discrete(noising: &Noising, model: &impl Denoiser<f64>, steps: usize, v: u32) -> f64 {
    let elbo = DiscreteElbo::new(noising, &TimeGrid::uniform(1.0, 0.0, steps).unwrap()).unwrap();
    let mut sum = noising.prior_kl(v, 1.0).unwrap();
    for k in 0..steps {
        let (all, p) = noised(noising, (k + 1) as f64 / steps as f64, &[v]);
        let batch = elbo.step(&Array2::from_elem((3, 1), v), k, &all).unwrap();
        sum += losses(model, noising, &batch).iter().zip(p).map(|(l, p)| l * p).sum::<f64>();
    }
    sum
}

/// The two-token network of masked diffusion that does not look at the time, on the states 0, 1 and the mask 2.
fn masked_network(x: [u32; 2]) -> [[f64; 2]; 2] {
    let first = match x[1] {
        0 => [0.7, 0.3],
        1 => [0.2, 0.8],
        _ => [0.55, 0.45],
    };
    let second = match x[0] {
        0 => [0.75, 0.25],
        1 => [0.35, 0.65],
        _ => [0.5, 0.5],
    };
    [first, second]
}

/// That network, sharpened as time goes on: its logits are multiplied by 1 + `slope` · t.
fn masked_model(slope: f64) -> impl Denoiser<f64> {
    denoiser_from_fn(2, 3, move |batch: &Batch<'_, u32>, out: &mut ArrayRef3<f64>| {
        for (i, x) in batch.x().outer_iter().enumerate() {
            let p = masked_network([x[0], x[1]]);
            for (d, p) in p.iter().enumerate() {
                for (v, p) in p.iter().chain(&[0.0]).enumerate() {
                    out[[i, d, v]] = (1.0 + slope * batch.times().get(i).t) * p.ln();
                }
            }
        }
        Ok(())
    })
}

/// Pushes how likely it is to find a mean so far from `exact`; spread times only make it likelier.
fn push(family: &mut Family, name: &str, found: &[f64], exact: f64) {
    let estimate = numeric::estimate::MeanAccumulator::from_values(0, found).unwrap().estimate().unwrap();
    family.push(name, normal_p_value((estimate.mean - exact) / estimate.std_error));
}
