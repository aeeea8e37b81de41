//! A checking kit for samplers and numerical methods, with honest error rates.
//!
//! A sampler that is slightly wrong looks right. The tools here turn "looks right" into statements with a
//! stated false-alarm rate: goodness of fit with accurate p-values, the Z and Y scores of the stochastic test
//! suite, orders of convergence with confidence intervals that know that refinements share their paths,
//! calibration of posteriors, pinned values, and a check that a field computes row $`i`$ from row $`i`$
//! alone. It is what girsanov's own crates are tested with, public because whoever writes a sampler or a
//! model of their own needs the same.
//!
//! | what do I want to check? | function |
//! |---|---|
//! | a sample has a continuous law | [`kolmogorov_smirnov`]; [`anderson_darling`] sees the tails better |
//! | two samples have one law, discrete or not | [`kolmogorov_smirnov_two_sample`] |
//! | counts have known probabilities | [`chi_squared`] |
//! | mean and variance are right, to the last standard error | [`scores`] |
//! | a hundred comparisons in one test, without false alarms | [`Family`], [`FalseAlarm`] |
//! | strong order of a method for stochastic equations | [`strong_order`], fed by [`per_path_errors`] |
//! | weak order | [`weak_order`] |
//! | order of a deterministic method | [`deterministic_order`] |
//! | a posterior sampler matches prior and model | [`sbc_rank`], then [`sbc_uniformity`] |
//! | credible regions in many dimensions | [`tarp`] |
//! | numbers stay what they were | [`assert_golden`], [`assert_golden_exact`] |
//! | a field does not mix its rows | [`check_rows`] |
#![cfg_attr(feature = "rand", doc = "| code does not draw random numbers | [`NoDraws`] |")]
#![cfg_attr(
    feature = "proptest",
    doc = "| an identity holds for all grids, covariances, mixtures, chains | [`strategy`] |"
)]
//!
//! # What a statistical test should look like
//!
//! State a false-alarm rate for the whole test, take every seed through [`seed`], compare with the *exact*
//! law of what is computed (Euler's method on a linear equation is exactly Gaussian, with moments that follow
//! a recursion: then there is no bias to excuse), and put all p-values in one [`Family`]:
//!
//! ```
//! use verify::{Family, anderson_darling, kolmogorov_smirnov};
//! // In a real test: the output of a sampler, with `verify::seed(1)` as its seed.
//! let sample: Vec<f64> = (1..=500).map(|i| -((f64::from(i) - 0.5) / 500.0).ln()).collect();
//! let exponential = |x: f64| -(-x).exp_m1();
//! let mut family = Family::new(1e-4)?; // false alarms: one run in ten thousand
//! family.push("Kolmogorov-Smirnov", kolmogorov_smirnov(&sample, exponential)?.p_value);
//! family.push("Anderson-Darling", anderson_darling(&sample, exponential)?.p_value);
//! family.assert();
//! # Ok::<(), verify::Error>(())
//! ```
//!
//! With fixed seeds such a test is deterministic. A nightly run with another `GIRSANOV_SEED_SHIFT` shows what
//! a lucky seed hides.
//!
//! # What it is not
//!
//! No test framework, no samplers, no plots, and no proof: a large p-value says that this many observations
//! did not show a difference. It takes slices, arrays and closures and knows none of the types it is used on.
//! Tests of laws with *estimated* parameters (Lilliefors and the like) are not here; the p-values would be
//! wrong.
//!
//! Arrays are those of [`numeric::ndarray`], a row is a sample; bad input is a typed [`Error`], and NaN is
//! always bad. Functions named `assert` panic, since they are for tests.
//!
//! # Features
//!
//! * `rand`: `NoDraws`, a generator that panics when drawn from.
//! * `proptest`: the module `strategy`, grids, covariances, mixtures, rate matrices for property tests.

mod anderson_darling;
mod chi_squared;
mod family;
mod fit;
mod golden;
mod kolmogorov;
#[cfg(feature = "rand")]
mod no_draws;
mod order;
mod rows;
mod sbc;
mod scores;
mod seed;
mod split_mix;
#[cfg(feature = "proptest")]
pub mod strategy;
mod tarp;

pub use anderson_darling::{anderson_darling, anderson_darling_p_value};
pub use chi_squared::{ChiSquared, chi_squared};
pub use family::{Family, Refuted};
pub use fit::GoodnessOfFit;
pub use golden::{assert_golden, assert_golden_exact};
pub use kolmogorov::{kolmogorov_p_value, kolmogorov_smirnov, kolmogorov_smirnov_two_sample};
#[cfg(feature = "rand")]
pub use no_draws::NoDraws;
pub use numeric::Error;
pub use order::{
    OrderEstimate, OrderOptions, OrderPoint, deterministic_order, per_path_errors, strong_order, weak_order,
};
pub use rows::{RowDependence, check_rows};
pub use sbc::{sbc_rank, sbc_uniformity};
pub use scores::{FalseAlarm, Moments, Scores, normal_p_value, scores};
pub use seed::seed;
pub use tarp::{Coverage, tarp, uniform_references};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_types_are_send_sync_unpin() {
        fn assert_auto<T: Send + Sync + Unpin>() {}
        assert_auto::<(ChiSquared, GoodnessOfFit, Scores, Moments, FalseAlarm)>();
        assert_auto::<(Family, Refuted, OrderEstimate, OrderOptions, OrderPoint, RowDependence, Coverage)>();
    }
}
