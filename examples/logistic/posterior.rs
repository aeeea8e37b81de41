//! Bayesian logistic regression as a log-density.

use girsanov::ndarray::{Array1, Array2, ArrayRef2, s};
use indicatif::ProgressBar;
use numeric::{Batching, Control, Error, LogDensity, Packed, fill_rows, softmax_columns};

use crate::data::Table;

/// Chains that share a pass over the data: what a pass writes stays in the second-level cache.
const TILE: usize = 8;

/// `p(y | β) = Π_i 1/(1 + e^{v_i})` with `v = B β`, where row i of B is `x_i`, negative if benign.
pub(crate) struct Likelihood {
    /// B, (n, d).
    by_row: Packed<f64>,
    /// Bᵀ, (d, n).
    by_column: Packed<f64>,
}

/// What a tile of chains makes of each row of the data, m·n numbers each.
struct Pass {
    /// `1/(1 + e^v)` after as many zeros at first, then `e^{−top}`: the weights of the right class.
    weights: Vec<f64>,
    tops: Vec<f64>,
    sums: Vec<f64>,
}

impl Likelihood {
    pub(crate) fn new(table: &Table) -> Likelihood {
        let (n, d) = table.x.dim();
        let against = |i: usize, j: usize| if table.benign[i] { -table.x[(i, j)] } else { table.x[(i, j)] };
        Likelihood { by_row: Packed::new(n, d, against), by_column: Packed::new(d, n, |j, i| against(i, j)) }
    }

    pub(crate) fn rows(&self) -> usize {
        self.by_row.rows()
    }

    fn room(&self) -> Pass {
        let size = TILE * self.rows();
        Pass { weights: vec![0.0; 2 * size], tops: vec![0.0; size], sums: vec![0.0; size] }
    }

    /// The softmax over the two classes, whose logits are 0 (right) and v (wrong), for each row of β `(m, d)`.
    fn pass(&self, beta: &[f64], pass: &mut Pass) -> usize {
        let size = beta.len() / self.by_column.rows() * self.rows();
        let (right, wrong) = pass.weights[..2 * size].split_at_mut(size);
        right.fill(0.0);
        self.by_column.left_multiply(beta, wrong);
        softmax_columns(&mut pass.weights[..2 * size], &mut pass.tops[..size], &mut pass.sums[..size]);
        size
    }

    /// Calls `each(row of β, probabilities of the n outcomes)`.
    pub(crate) fn probabilities(&self, beta: &ArrayRef2<f64>, mut each: impl FnMut(usize, &[f64])) {
        let (d, mut pass) = (beta.ncols(), self.room());
        let beta = beta.as_slice().expect("draws are in standard layout");
        for (tile, beta) in beta.chunks(TILE * d).enumerate() {
            let size = self.pass(beta, &mut pass);
            let Pass { weights, sums, .. } = &mut pass;
            weights.iter_mut().zip(&sums[..size]).for_each(|(w, sum)| *w /= sum);
            for (i, probabilities) in weights[..size].chunks_exact(self.rows()).enumerate() {
                each(tile * TILE + i, probabilities);
            }
        }
    }
}

/// The posterior `log π(β) = log p(y | β) − |β|²/(2 s²)` of the coefficients, up to a constant.
pub(crate) struct Posterior {
    pub(crate) likelihood: Likelihood,
    /// Of the prior: 1/s².
    pub(crate) precision: f64,
}

impl Posterior {
    /// The matrix of second derivatives of −log π at β.
    pub(crate) fn hessian(&self, beta: &Array1<f64>) -> Array2<f64> {
        let mut hessian = Array2::from_diag_elem(beta.len(), self.precision);
        let beta = beta.to_shape((1, beta.len())).expect("a row").to_owned();
        self.likelihood.probabilities(&beta, |_, probabilities| {
            for (i, p) in probabilities.iter().enumerate() {
                let row = self.likelihood.by_row.row(i);
                for (mut out, a) in hessian.rows_mut().into_iter().zip(row) {
                    out.iter_mut().zip(row).for_each(|(out, b)| *out += p * (1.0 - p) * a * b);
                }
            }
        });
        hessian
    }

    /// log π of each row, computed on all cores.
    pub(crate) fn ln_density(&self, x: &ArrayRef2<f64>) -> Result<Vec<f64>, Error> {
        let mut out = vec![0.0; x.nrows()];
        let rows = 0..x.nrows() as u64;
        fill_rows(rows, 1, self.batching(), Control::default(), &mut out, |rows, out, _| {
            let x = x.slice(s![rows.start as usize..rows.end as usize, ..]);
            self.ln_density_into(&x, out)
        })?;
        Ok(out)
    }
}

impl LogDensity for Posterior {
    fn dim(&self) -> usize {
        self.likelihood.by_row.columns()
    }

    fn ln_density_into(&self, x: &ArrayRef2<f64>, out: &mut [f64]) -> Result<(), Error> {
        let (d, n) = (self.dim(), self.likelihood.rows());
        let x = x.as_slice().expect("draws are in standard layout");
        let mut pass = self.likelihood.room();
        for (beta, out) in x.chunks(TILE * d).zip(out.chunks_mut(TILE)) {
            let size = self.likelihood.pass(beta, &mut pass);
            // log(1 + e^v) = top + log(sum).
            let rows = pass.tops[..size].chunks_exact(n).zip(pass.sums[..size].chunks_exact(n));
            for ((out, (tops, sums)), beta) in out.iter_mut().zip(rows).zip(beta.chunks_exact(d)) {
                let loss: f64 = tops.iter().zip(sums).map(|(top, sum)| top + sum.ln()).sum();
                let square: f64 = beta.iter().map(|b| b * b).sum();
                *out = -loss - 0.5 * self.precision * square;
            }
        }
        Ok(())
    }

    fn gradient_into(&self, x: &ArrayRef2<f64>, out: &mut ArrayRef2<f64>) -> Result<(), Error> {
        let d = self.dim();
        let x = x.as_slice().expect("states are in standard layout");
        let out = out.as_slice_mut().expect("gradients are in standard layout");
        let mut pass = self.likelihood.room();
        for (beta, out) in x.chunks(TILE * d).zip(out.chunks_mut(TILE * d)) {
            let size = self.likelihood.pass(beta, &mut pass);
            let wrong = &mut pass.weights[size..2 * size];
            // Minus the probability of the wrong class: the derivative of log p by v.
            wrong.iter_mut().zip(&pass.sums[..size]).for_each(|(w, sum)| *w = -*w / sum);
            out.iter_mut().zip(beta).for_each(|(out, beta)| *out = -self.precision * beta);
            self.likelihood.by_row.add_left_multiply(wrong, out);
        }
        Ok(())
    }

    /// Small blocks: some tens of chains are to keep all cores busy.
    fn batching(&self) -> Batching {
        Batching { rows: 2 * TILE, ..Batching::default() }
    }
}

/// The same, telling a progress bar of each evaluation.
#[derive(Clone, Copy)]
pub(crate) struct Watched<'a> {
    pub(crate) posterior: &'a Posterior,
    pub(crate) bar: &'a ProgressBar,
}

impl LogDensity for Watched<'_> {
    fn dim(&self) -> usize {
        self.posterior.dim()
    }
    fn ln_density_into(&self, x: &ArrayRef2<f64>, out: &mut [f64]) -> Result<(), Error> {
        self.bar.inc(out.len() as u64);
        self.posterior.ln_density_into(x, out)
    }
    fn gradient_into(&self, x: &ArrayRef2<f64>, out: &mut ArrayRef2<f64>) -> Result<(), Error> {
        self.bar.inc(out.nrows() as u64);
        self.posterior.gradient_into(x, out)
    }
    fn batching(&self) -> Batching {
        self.posterior.batching()
    }
}
