//! From a cross-entropy bound to a strict bound of KL, where the information of the data is known from below.

use std::fmt;

use numeric::{Error, Estimate};
use statrs::distribution::{ContinuousCDF, Normal};

use super::interval::RowMean;
use crate::curve::ErrorCurve;

/// A lower bound of the mutual information `I(X_0; X_τ)` of the data and their noised version, in nats, with where it
/// comes from.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct InformationBound {
    nats: f64,
    clock: f64,
    source: &'static str,
}

impl InformationBound {
    /// Of a known law at clock `tau`, exactly.
    ///
    /// # Errors
    /// [`Error::Domain`] unless 0 < `tau` ≤ 300, or if the curve has no finite information there;
    /// [`Error::Unsupported`] for a curve that is interpolated or measured
    /// ([`is_exact`](ErrorCurve::is_exact)): what it says is not a bound. Where you know better, say so by
    /// [`assumed`](Self::assumed).
    pub fn of_law(curve: &dyn ErrorCurve, tau: f64) -> Result<InformationBound, Error> {
        crate::curve::check_horizon(tau)?;
        if !curve.is_exact() {
            let reason = "an interpolated or measured curve does not bound the information of the law";
            return Err(Error::Unsupported { method: "InformationBound::of_law", reason });
        }
        InformationBound::new(curve.mutual_information(tau), tau, "the law is known")
    }

    /// Of a law on finitely many points with entropy at least `entropy`, that are at least `distance` apart, at clock
    /// `tau`.
    ///
    /// ```math
    /// I(X_0; X_\tau) = H(X_0) - H(X_0 | X_\tau) \ge H(X_0) - h_2(p) - p \log(K - 1), \qquad
    /// p = \min\Big(\tfrac{K - 1}{K}, (K - 1)\, \Phi\Big( -\frac{\text{distance}}{2 \sqrt v} \Big)\Big), \quad v = e^{2\tau} - 1,
    /// ```
    /// by Fano's inequality for the nearest point: the chance that another of the K `points` is nearer than the true
    /// one is at most p by the union over them, and beyond `(K − 1)/K` the tail is that of no information, log K. `h_2` is the
    /// entropy of a coin. At least 0.
    ///
    /// ```
    /// use bounds::curve::{ErrorCurve, ScalarMixtureCurve};
    /// use bounds::held_out::InformationBound;
    /// let coin = ScalarMixtureCurve::new(&[0.5, 0.5], &[-1.0, 1.0], &[0.0, 0.0])?;
    /// for tau in [0.02, 0.1, 0.5] {
    ///     let bound = InformationBound::of_separated_points(2.0_f64.ln(), 2, 2.0, tau)?;
    ///     assert!(bound.nats() <= coin.mutual_information(tau));
    /// }
    /// assert!(2.0_f64.ln() - InformationBound::of_separated_points(2.0_f64.ln(), 2, 2.0, 0.02)?.nats() < 1e-5);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Domain`] for no points, an entropy outside of [0, log K], a distance that is negative or not finite,
    /// and unless 0 < `tau` ≤ 300.
    pub fn of_separated_points(
        entropy: f64,
        points: u64,
        distance: f64,
        tau: f64,
    ) -> Result<InformationBound, Error> {
        Error::domain(points > 0, "points", points as f64, "at least 1")?;
        let most = (points as f64).ln() * (1.0 + 1e-15);
        Error::domain(entropy >= 0.0 && entropy <= most, "entropy", entropy, "an entropy from 0 to log K")?;
        Error::domain(distance >= 0.0 && distance.is_finite(), "distance", distance, "a finite distance")?;
        crate::curve::check_horizon(tau)?;
        let others = (points - 1) as f64;
        let noise = crate::curve::noise_per_signal(tau).sqrt();
        let normal = Normal::standard();
        let p = (others * normal.cdf(-0.5 * distance / noise)).min(others / points as f64);
        let tail = if p > 0.0 { -p * p.ln() - (1.0 - p) * (-p).ln_1p() + p * others.ln() } else { 0.0 };
        InformationBound::new((entropy - tail).max(0.0), tau, "separated points: entropy less Fano's tail")
    }

    /// A lower bound that the caller answers for, at clock `tau`.
    ///
    /// # Errors
    /// [`Error::Domain`] for a number of nats that is negative or not finite, and unless 0 < `tau` ≤ 300.
    pub fn assumed(nats: f64, tau: f64) -> Result<InformationBound, Error> {
        InformationBound::new(nats, tau, "assumed by the caller")
    }

    fn new(nats: f64, clock: f64, source: &'static str) -> Result<InformationBound, Error> {
        Error::domain(nats >= 0.0 && nats.is_finite(), "information", nats, "a finite number of at least 0")?;
        crate::curve::check_horizon(clock)?;
        Ok(InformationBound { nats, clock, source })
    }

    /// The lower bound, in nats.
    #[must_use]
    pub fn nats(&self) -> f64 {
        self.nats
    }

    /// The clock τ that it holds at, and with it at every smaller one.
    #[must_use]
    pub fn clock(&self) -> f64 {
        self.clock
    }

    /// Where it comes from.
    #[must_use]
    pub fn source(&self) -> &'static str {
        self.source
    }
}

/// A bound of `KL(q_δ ‖ p_N)` from held-out data and a lower bound of the information; made by
/// [`CrossEntropyBound::with_information`](super::CrossEntropyBound::with_information).
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct StrictBound {
    /// Of the divergence of the paths given their data points, `KL(q_δ ‖ p_N) + I(X_0; X_δ)` at least.
    paths: RowMean,
    information: InformationBound,
}

impl StrictBound {
    pub(super) fn new(
        paths: RowMean,
        delta: f64,
        information: InformationBound,
    ) -> Result<StrictBound, Error> {
        let holds = information.clock >= delta * (1.0 - 1e-12);
        let expected = "a clock of at least that of the last node: information is lost with the clock";
        Error::domain(holds, "information.clock", information.clock, expected)?;
        Ok(StrictBound { paths, information })
    }

    /// The measured bound, in nats: the mean over the rows, which has a standard error.
    #[must_use]
    pub fn nats(&self) -> f64 {
        self.estimate().mean
    }

    /// Mean and standard error over the rows, in nats.
    #[must_use]
    pub fn estimate(&self) -> Estimate {
        let Estimate { mean, std_error, n } = self.paths.estimate;
        Estimate { mean: mean - self.information.nats, std_error, n }
    }

    /// What is assumed of the information.
    #[must_use]
    pub fn information(&self) -> &InformationBound {
        &self.information
    }

    /// `KL(q_δ ‖ p_N)` is below this with the given level of confidence, in nats.
    ///
    /// If the information is right it is negative with probability at most 1 − `level`: a negative bound at a high level
    /// refutes what was assumed of the information, or of the rows.
    ///
    /// # Errors
    /// [`Error::Domain`] unless 0 < `level` < 1.
    pub fn upper(&self, level: f64) -> Result<f64, Error> {
        Ok(self.paths.upper(level)? - self.information.nats)
    }
}

impl fmt::Display for StrictBound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "KL ≤ {:.4} ± {:.4} nats, given {:.4} nats of information ({})",
            self.nats(),
            self.paths.estimate.std_error,
            self.information.nats,
            self.information.source
        )
    }
}
