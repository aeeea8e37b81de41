//! The tests of this crate, in one binary: linking is most of what each further one costs.

mod common;
mod null_and_power;
mod order;
mod posterior;
#[cfg(feature = "proptest")]
mod strategies;
