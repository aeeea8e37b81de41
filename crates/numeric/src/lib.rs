//! The shared ndarray layer of girsanov: what every crate of the house speaks, and no algorithm of the field.
//!
//! | what | where |
//! |---|---|
//! | a drift, score, denoiser or velocity on batches `(n, d)` | [`VectorField`], [`Batch`], [`from_fn`], [`from_row_fn`] |
//! | a field with what it predicts and for which process | [`Model`], [`Prediction`], [`Schedule`], [`Level`] |
//! | what some fields can do beyond that | [`JacobianProducts`], [`Divergence`], [`PosteriorCovariance`], [`LogDensity`], [`FiniteDifference`] |
//! | times and grids of times | [`Time`], [`Times`], [`TimeGrid`] |
//! | randomness as a function of (seed, label, row, step, coordinate) | [`Noise`], [`Brownian`], [`BrownianCursor`], [`RowStream`] |
//! | running blocks of rows on all cores | [`run_blocks`], [`run_rows`], [`fill_rows`], [`Control`], [`Scratch`] |
//! | statistics that do not depend on how the rows were split | [`estimate`], [`Estimate`] |
//! | logarithms, exponentials and φ-functions at their limits | [`special`] |
//! | small matrix products whose rows do not depend on each other, loops at the width of the CPU | [`Packed`], [`vectorize`], [`transposed`], [`softmax_columns`], [`cholesky`] |
//! | what iterations and Runge–Kutta steps of many rows do besides calls | [`fixed_point`], [`stages`] |
//! | rows to a file, resumable to the bit | `output` (feature `output`) |
//!
//! # Conventions
//! - Arrays are batch-first: `(n, d)`, a row is a sample, standard layout. Only they are generic over
//!   [`Real`]; times, weights, rates, bounds and statistics are `f64`. All information is in nats.
//! - `*_into` writes over its output and allocates nothing that outlives the call.
//! - Row `i` of a run is a function of (seed, i): not of the number of rows, threads, blocks or shards.
//! - Bad input gets an [`Error`] that names the parameter and the value. NaN never passes.
//!
//! The version of ndarray that the API speaks is re-exported as [`ndarray`].
#![doc(test(attr(deny(warnings))))]

pub use ndarray;

mod abilities;
mod cholesky;
mod dots;
mod elementary;
mod error;
pub mod estimate;
mod exp;
mod field;
mod gemm;
mod iteration;
mod model;
pub mod noise;
#[cfg(feature = "output")]
pub mod output;
mod posterior;
mod real;
mod run;
mod scratch;
pub mod special;
mod stage_sums;
mod time;
mod vectorize;

/// What fixed-point iterations of many equations do besides calls.
pub mod fixed_point {
    pub use crate::iteration::{Measure, step};
}

/// What a step of a Runge–Kutta method does with its stages, for many rows with steps of their own.
pub mod stages {
    pub use crate::stage_sums::{RUN, Stage, scaled_squares, sums};
}

pub use abilities::{Divergence, FiniteDifference, JacobianProducts, LogDensity};
pub use cholesky::cholesky;
pub use dots::indexed_dots;
pub use elementary::{ln_1p_in_place, tan_in_place};
pub use error::Error;
pub use estimate::Estimate;
pub use exp::{exp_and_exp_m1, exp_in_place, softmax_columns};
pub use field::{
    Batch, Batching, Combined, Scaled, TimeReversed, VectorField, WithBatching, as_rows, combined, from_fn,
    from_row_fn, scaled, time_reversed, with_batching,
};
pub use gemm::Packed;
pub use model::{Level, Model, Predicting, Prediction, Schedule};
pub use noise::{Brownian, BrownianCursor, Node, Noise, RowStream};
pub use posterior::{PosteriorCovariance, PosteriorDraw};
pub use real::Real;
pub use run::{Control, check_finite, fill_rows, run_blocks, run_rows};
pub use scratch::Scratch;
pub use time::{Time, TimeGrid, Times};
pub use vectorize::{transposed, vectorize};
