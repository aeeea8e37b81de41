//! The tests of linear processes and models, in one binary: linking is most of what each further one costs.

mod adaptive_dpm;
mod approximate_covariance;
mod bridges;
mod fit;
mod guidance;
mod likelihood;
mod methods;
mod mixture;
mod ode;
mod processes;
mod reverse_methods;
mod runs;
