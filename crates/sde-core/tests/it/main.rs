//! The tests of reverse-time samplers, in one binary: linking is most of what each further one costs.

mod adaptive_dpm;
mod deferred;
mod draws;
mod fit;
mod golden;
mod methods;
mod mixture;
mod processes;
mod reverse_methods;
mod runs;
