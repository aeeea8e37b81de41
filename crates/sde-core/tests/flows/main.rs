//! The tests of probability flows, likelihoods, bridges and guidance: a binary of their own, so that both cores compile.

mod approximate_covariance;
mod bridges;
mod guidance;
mod likelihood;
mod ode;
