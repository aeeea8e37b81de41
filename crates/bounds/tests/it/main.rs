//! The tests of this crate, in one binary: linking is most of what each further one costs.

#[cfg(feature = "sde")]
mod certificate;
mod compare;
mod density_propagation;
mod discrete;
mod divergence;
mod divergence_gaussian;
mod exact_properties;
mod exact_terms;
mod extremes;
mod grids;
mod tightness;
