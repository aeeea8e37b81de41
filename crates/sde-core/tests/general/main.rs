//! The tests of general stochastic equations and their integrators: a binary of their own, so that both cores compile.

mod adaptive;
mod dense;
mod equations;
mod jump;
mod multilevel;
mod orders;
mod path;
mod solver;
mod time_scales;
