//! The tests of this crate, in one binary: linking is most of what each further one costs.

#[cfg(feature = "sde")]
mod approximate_covariance;
#[cfg(feature = "sde")]
mod certificate;
mod compare;
mod density_propagation;
mod discrete;
mod divergence;
mod divergence_classifier;
mod divergence_finite;
mod divergence_gaussian;
mod divergence_nearest;
mod divergence_ratio;
mod divergence_variation;
mod exact_properties;
mod exact_terms;
mod extremes;
mod grids;
#[cfg(feature = "sde")]
mod held_out;
#[cfg(feature = "sde")]
mod held_out_coverage;
mod inequality;
#[cfg(feature = "ctmc")]
mod jump;
mod plan;
mod tau_leaping;
mod tightness;
