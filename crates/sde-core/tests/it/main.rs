//! The tests of this crate, in one binary: linking is most of what each further one costs.

mod adaptive;
mod adaptive_dpm;
mod approximate_covariance;
mod bridges;
mod dense;
mod equations;
mod fit;
mod guidance;
mod jump;
mod likelihood;
mod methods;
mod mixture;
mod multilevel;
mod ode;
mod orders;
mod path;
mod processes;
mod reverse_methods;
mod runs;
mod solver;
