//! Laws and weak orders of the stochastic methods.
