//! The tests of this crate, in one binary: linking is most of what each further one costs.

mod brownian;
mod chains;
mod discrete;
mod levy;
mod models;
mod noise;
mod special;
