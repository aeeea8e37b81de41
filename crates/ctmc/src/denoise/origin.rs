//! Where runs start, and how their rows are cut into blocks.

use std::ops::Range;

use numeric::ndarray::{Array2, ArrayRef2};
use numeric::{Batching, Error, Noise, Real};

use super::noising::check_states;
use super::{Denoised, Denoiser, LeapCounts, Noising};
use crate::law::draw;

/// Where reverse runs start, at the first time of the grid.
#[derive(Clone, Copy, Debug)]
pub enum Origin<'a> {
    /// From the stationary law of the noising.
    Stationary,
    /// From these states, `(n, D)`.
    States(&'a ArrayRef2<u32>),
    /// Clean tokens `x`, `(n, D)`, are known where `held` is true: they stay as they are, and the others start from the
    /// stationary law. The model must be one of the others given these, as every model of an absorbing chain is:
    /// conditional generation and in-painting.
    Held {
        /// Tokens, of which only the known ones are read.
        x: &'a ArrayRef2<u32>,
        /// Which are known.
        held: &'a ArrayRef2<bool>,
    },
}
impl Origin<'_> {
    pub(super) fn check(&self, rows: &Range<u64>, dim: usize, states: usize) -> Result<(), Error> {
        let shape = [rows.end.saturating_sub(rows.start) as usize, dim];
        match *self {
            Origin::Stationary => Ok(()),
            Origin::States(x) => {
                Error::shape("origin", &shape, x.shape())?;
                check_states("origin", states, x)
            }
            Origin::Held { x, held } => {
                Error::shape("origin.x", &shape, x.shape())?;
                Error::shape("origin.held", &shape, held.shape())?;
                let known = x.iter().zip(held).map(|(&x, &held)| if held { f64::from(x) } else { 0.0 });
                Error::entries("origin.x", known, "a state", |x| x < states as f64)
            }
        }
    }

    /// The states of the rows `whole`; what lies outside of `rows` is filled up with the nearest of them.
    pub(super) fn start(
        &self,
        noising: &Noising,
        rows: &Range<u64>,
        whole: &Range<u64>,
        dim: usize,
        noise: Noise,
    ) -> Result<Vec<u32>, Error> {
        let mut start = match *self {
            Origin::States(_) => vec![0; (whole.end - whole.start) as usize * dim],
            _ => stationary(noising, whole, dim, noise)?,
        };
        let (given, held) = match *self {
            Origin::Stationary => return Ok(start),
            Origin::States(x) => (x, None),
            Origin::Held { x, held } => (x, Some(held)),
        };
        for (row, start) in whole.clone().zip(start.chunks_exact_mut(dim.max(1))) {
            let i = (row.clamp(rows.start, rows.end - 1) - rows.start) as usize;
            for (j, start) in start.iter_mut().enumerate() {
                if held.is_none_or(|held| held[[i, j]]) {
                    *start = given[[i, j]];
                }
            }
        }
        Ok(start)
    }

    pub(super) fn held(&self, rows: &Range<u64>, whole: &Range<u64>, dim: usize) -> Option<Vec<bool>> {
        let Origin::Held { held, .. } = *self else { return None };
        let row = |row: u64| {
            let i = (row.clamp(rows.start, rows.end - 1) - rows.start) as usize;
            (0..dim).map(move |j| held[[i, j]])
        };
        Some(whole.clone().flat_map(row).collect())
    }
}

/// Rows from the stationary law.
pub(super) fn stationary(
    noising: &Noising,
    rows: &Range<u64>,
    dim: usize,
    noise: Noise,
) -> Result<Vec<u32>, Error> {
    let numbers: Vec<u64> = rows.clone().collect();
    let mut uniforms = Array2::<f64>::zeros((numbers.len(), dim));
    noise.fork("start").uniforms_into(&numbers, 0, &mut uniforms);
    if let Some(chain) = noising.as_refresh() {
        return Ok(uniforms.iter().map(|&u| chain.fresh(u)).collect());
    }
    let law = noising.stationary()?;
    let total = law.iter().sum();
    Ok(uniforms.iter().map(|&u| draw(&law, total, u)).collect())
}

/// Numbers of the model that a block has, so that they stay in cache.
const BLOCK: usize = 1 << 17;

/// Rows of a block: as the model wants them if it is particular, else few enough to stay in cache, in pairs, since two
/// rows share their random bits.
pub(super) fn batching<F: Real>(model: &(impl Denoiser<F> + ?Sized)) -> Batching {
    let batching = model.batching();
    if !batching.rowwise || batching.serial {
        return batching;
    }
    let fit = BLOCK / (model.dim() * model.states()).max(1);
    Batching { rows: fit.clamp(2, 1 << 12).next_power_of_two(), ..batching }
}

/// The rows of the blocks that the rows lie in, for a model that must be given whole blocks.
pub(super) fn aligned(rows: &Range<u64>, batching: Batching) -> Range<u64> {
    let size = batching.rows.max(1) as u64;
    if batching.rowwise || rows.is_empty() {
        return rows.start..rows.end.max(rows.start);
    }
    rows.start / size * size..rows.end.div_ceil(size).saturating_mul(size)
}

impl Denoised {
    /// The rows asked for, of the blocks of the rows `whole`.
    pub(super) fn gather(
        blocks: Vec<(Vec<u32>, LeapCounts)>,
        rows: &Range<u64>,
        whole: &Range<u64>,
        dim: usize,
    ) -> Denoised {
        let mut counts = LeapCounts::default();
        blocks.iter().for_each(|(_, block)| counts.add(*block));
        let count = rows.end.saturating_sub(rows.start) as usize;
        let before = (rows.start - whole.start) as usize * dim;
        let tokens = blocks.into_iter().flat_map(|(x, _)| x).skip(before).take(count * dim).collect();
        Denoised { x: Array2::from_shape_vec((count, dim), tokens).expect("a token for each place"), counts }
    }
}
