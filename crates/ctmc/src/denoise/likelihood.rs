//! The law of a noised token given its clean value, read in either direction.

use numeric::Error;
use numeric::ndarray::Array2;

use super::Noising;
use super::pick::dot;
use crate::Refresh;

/// $`q_{t|s}(x \mid v)`$ for two times; after an infinite time of the clock as well, for a refreshing chain.
pub(super) enum Likelihood<'a> {
    /// Probabilities of no refresh, and of one.
    Refresh { keep: f64, fresh: f64, chain: &'a Refresh },
    /// Entry (x, v): a row is all that one token asks for.
    Table(Array2<f64>),
}

impl<'a> Likelihood<'a> {
    /// From time 0.
    pub(super) fn new(noising: &'a Noising, t: f64) -> Result<Likelihood<'a>, Error> {
        Likelihood::between(noising, 0.0, t)
    }

    pub(super) fn between(noising: &'a Noising, s: f64, t: f64) -> Result<Likelihood<'a>, Error> {
        if let Some(chain) = noising.as_refresh() {
            let clock = noising.beta().integral(s, t)?;
            let (keep, fresh) = (chain.retention(clock)?, -(-chain.total() * clock).exp_m1());
            return Ok(Likelihood::Refresh { keep, fresh, chain });
        }
        let kernel = noising.kernel(s, t)?;
        Ok(Likelihood::Table(kernel.matrix().t().as_standard_layout().into_owned()))
    }

    /// Writes $`q(x \mid v)`$ for all v.
    pub(super) fn column_into(&self, x: u32, out: &mut [f64]) {
        match self {
            Likelihood::Refresh { keep, fresh, chain } => {
                out.fill(fresh * chain.weight(x));
                out[x as usize] += keep;
            }
            Likelihood::Table(table) => out.copy_from_slice(row(table, x as usize)),
        }
    }

    /// Writes $`q(x \mid v)`$ for all x.
    pub(super) fn law_into(&self, v: u32, out: &mut [f64]) {
        match self {
            Likelihood::Refresh { keep, fresh, chain } => {
                (0..).zip(&mut *out).for_each(|(x, out)| *out = fresh * chain.weight(x));
                out[v as usize] += keep;
            }
            Likelihood::Table(table) => {
                out.iter_mut().zip(table.column(v as usize)).for_each(|(o, q)| *o = *q)
            }
        }
    }

    /// Writes $`\sum_v w_v\, q(x \mid v)`$ for all x.
    pub(super) fn mixture_into(&self, weights: &[f64], out: &mut [f64]) {
        match self {
            Likelihood::Refresh { keep, fresh, chain } => {
                let total: f64 = weights.iter().sum();
                for ((x, out), w) in (0..).zip(out).zip(weights) {
                    *out = keep * w + fresh * chain.weight(x) * total;
                }
            }
            Likelihood::Table(table) => {
                out.iter_mut().enumerate().for_each(|(x, out)| *out = dot(row(table, x), weights));
            }
        }
    }
}

fn row(table: &Array2<f64>, x: usize) -> &[f64] {
    table.row(x).to_slice().expect("standard layout")
}
