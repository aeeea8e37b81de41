//! Inequalities between divergences, as methods that keep the direction.
//!
//! An [`UpperBound`] of one divergence becomes an upper bound of another by a theorem, and a [`LowerBound`] a lower
//! one by the same theorem read backwards; there is no method where there is no theorem. Every bound is about an
//! ordered pair of laws (P, Q), which the caller keeps track of: [`Kl`] is $`\mathrm{KL}(P\|Q)`$ and [`ReverseKl`]
//! is $`\mathrm{KL}(Q\|P)`$, and `swapped` renames the pair. A certificate bounds `Kl` for P the noised data and Q
//! the law of the sampler. What is derived from a measured limit holds with the confidence of that limit.
//!
//! | theorem | inequality | method |
//! |---|---|---|
//! | Pinsker | $`\mathrm{TV} \le \sqrt{\mathrm{KL}/2}`$ | `pinsker` |
//! | Bretagnolle–Huber | $`\mathrm{TV} \le \sqrt{1 - e^{-\mathrm{KL}}}`$ | `bretagnolle_huber` |
//! | Le Cam | $`H^2 \le \mathrm{TV} \le \sqrt{H^2(2 - H^2)}`$ | `le_cam` |
//! | Cauchy–Schwarz | $`\mathrm{TV} \le \tfrac12\sqrt{\chi^2}`$ | `cauchy_schwarz` |
//! | Rényi divergences increase | $`-2\ln(1 - H^2) = R_{1/2} \le \mathrm{KL} \le R_2 \le R_\infty`$ | `renyi_monotone` |
//! | the same quantity | $`R_2 = \ln(1 + \chi^2)`$ | `chi_squared`, `renyi_2` |
//! | reverse Pinsker, $`p/q \le M`$ | $`\mathrm{KL} \le \frac{M\ln M}{M - 1}\mathrm{TV}`$ | `reverse_pinsker` |
//! | Talagrand, Otto–Villani; Q with a log-Sobolev constant C | $`W_2^2 \le 2C\,\mathrm{KL}(P\Vert Q)`$ | `talagrand` |
//! | log-Sobolev, the same Q | $`\mathrm{KL}(P\Vert Q) \le \tfrac C2 \mathbb{E}_P\lvert\nabla\ln\tfrac pq\rvert^2`$ | `log_sobolev` |
//! | HWI; $`-\nabla^2\ln q \ge \alpha I`$ | $`\mathrm{KL} \le W_2\sqrt{\mathrm{Fisher}} - \tfrac\alpha2 W_2^2`$ | `hwi` |
//! | both laws on a set of diameter D | $`W_p^p \le D^p\,\mathrm{TV}`$ | `diameter_w1`, `diameter_w2` |
//! | convolution of both with $`N(0, sI)`$ | $`\mathrm{KL} \le W_2^2/(2s)`$, $`\mathrm{TV} \le W_1/\sqrt{2\pi s}`$ | `smoothing` |
//! | Jensen | $`W_1 \le W_2`$ | `jensen` |
//! | triangle | total variation, $`W_1`$, $`W_2`$; not KL | `triangle` |
//! | data processing | all but transport distances | `data_processing` |
//! | a Lipschitz map | transport distances | `lipschitz_map` |
//!
//! # The direction of Talagrand's inequality
//! It needs the logarithmic Sobolev constant of the **second** law. From a certificate that is the law of the
//! sampler, of which it is usually not known; the constant of the data bounds $`W_2`$ by $`\mathrm{KL}(Q\|P)`$
//! only. Hence [`LogSobolevOfReference`].
//!
//! ```
//! use bounds::inequality::{Kl, TotalVariation, UpperBound};
//! let kl = UpperBound::<Kl>::new(2.0)?;
//! let tv: UpperBound<TotalVariation> = kl.bretagnolle_huber();
//! assert!((tv.value() - (1.0 - (-2.0_f64).exp()).sqrt()).abs() < 1e-15);
//! assert_eq!(kl.pinsker().value(), 1.0); // vacuous here
//! # Ok::<(), numeric::Error>(())
//! ```
//!
//! An upper bound of total variation says nothing of KL:
//! ```compile_fail
//! use bounds::inequality::{TotalVariation, UpperBound};
//! let kl = UpperBound::<TotalVariation>::new(0.1).unwrap().pinsker();
//! ```
//! and KL in one direction nothing of Talagrand's inequality in the other:
//! ```compile_fail
//! use bounds::inequality::{LogSobolevOfReference, ReverseKl, UpperBound};
//! let c = LogSobolevOfReference::new(1.0).unwrap();
//! let w2 = UpperBound::<ReverseKl>::new(0.1).unwrap().talagrand(c);
//! ```
//!
//! # References
//! A. Tsybakov (2009), *Introduction to Nonparametric Estimation*, section 2.4; T. van Erven, P. Harremoës (2014),
//! "Rényi divergence and Kullback–Leibler divergence", *IEEE Trans. Inf. Theory* 60(7); C. Villani (2009), *Optimal
//! Transport: Old and New*, chapters 6, 21 and 22.

use std::fmt;
use std::marker::PhantomData;

use nalgebra::DMatrix;
use numeric::Error;

use crate::divergence::GaussianLaw;

mod lower;
mod upper;

/// What a bound may be about: a quantity of an ordered pair of laws (P, Q), at least 0 and 0 for equal laws.
pub trait Divergence: Copy + fmt::Debug {
    /// The greatest value it can take.
    const GREATEST: f64;
    /// The same quantity of the pair (P, Q) in the terms of the pair (Q, P).
    type Swapped: Divergence;
}

/// What cannot grow when both laws go through one Markov kernel: f-divergences and increasing functions of them.
///
/// Transport distances are none.
pub trait DataProcessing: Divergence {}

/// What satisfies the triangle inequality.
pub trait Metric: Divergence {}

/// Distances of optimal transport, in the unit of the data.
pub trait Transport: Metric {}

macro_rules! divergences {
    ($($(#[$doc:meta])* $name:ident, $greatest:expr, $swapped:ident, [$($property:ident),*];)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name;

        impl Divergence for $name {
            const GREATEST: f64 = $greatest;
            type Swapped = $swapped;
        }
        $(impl $property for $name {})*
    )*};
}
divergences! {
    /// $`\mathrm{KL}(P\|Q)`$, in nats.
    Kl, f64::INFINITY, ReverseKl, [DataProcessing];
    /// $`\mathrm{KL}(Q\|P)`$, in nats.
    ReverseKl, f64::INFINITY, Kl, [DataProcessing];
    /// Total variation $`\tfrac12\int|p - q|`$.
    TotalVariation, 1.0, TotalVariation, [DataProcessing, Metric];
    /// Squared Hellinger distance $`1 - \int\sqrt{pq}`$.
    HellingerSquared, 1.0, HellingerSquared, [DataProcessing];
    /// $`\chi^2(P\|Q) = \int p^2/q - 1`$.
    ChiSquared, f64::INFINITY, ReverseChiSquared, [DataProcessing];
    /// $`\chi^2(Q\|P)`$.
    ReverseChiSquared, f64::INFINITY, ChiSquared, [DataProcessing];
    /// Rényi divergence of order 2, $`R_2(P\|Q) = \ln\int p^2/q`$, in nats.
    Renyi2, f64::INFINITY, ReverseRenyi2, [DataProcessing];
    /// $`R_2(Q\|P)`$, in nats.
    ReverseRenyi2, f64::INFINITY, Renyi2, [DataProcessing];
    /// Rényi divergence of order ∞, $`R_\infty(P\|Q) = \ln\sup p/q`$, in nats.
    RenyiInfinity, f64::INFINITY, ReverseRenyiInfinity, [DataProcessing];
    /// $`R_\infty(Q\|P)`$, in nats.
    ReverseRenyiInfinity, f64::INFINITY, RenyiInfinity, [DataProcessing];
    /// Fisher divergence $`\mathbb{E}_P|\nabla\ln(p/q)|^2`$, in inverse squared units of the data.
    Fisher, f64::INFINITY, ReverseFisher, [];
    /// $`\mathbb{E}_Q|\nabla\ln(q/p)|^2`$.
    ReverseFisher, f64::INFINITY, Fisher, [];
    /// 1-Wasserstein distance.
    W1, f64::INFINITY, W1, [Metric, Transport];
    /// 2-Wasserstein distance, not squared.
    W2, f64::INFINITY, W2, [Metric, Transport];
}

/// A number that the divergence D of a pair of laws (P, Q) does not exceed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UpperBound<D> {
    value: f64,
    of: PhantomData<D>,
}

/// A number that the divergence D of a pair of laws (P, Q) is not below.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LowerBound<D> {
    value: f64,
    of: PhantomData<D>,
}

impl<D: Divergence> UpperBound<D> {
    /// The statement $`D \le \text{value}`$; a value above the greatest of D is lowered to it.
    ///
    /// ```
    /// use bounds::inequality::{TotalVariation, UpperBound};
    /// assert_eq!(UpperBound::<TotalVariation>::new(3.0)?.value(), 1.0);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Domain`] for NaN, or a negative value, which no divergence has.
    pub fn new(value: f64) -> Result<Self, Error> {
        Error::domain(value >= 0.0, "value", value, "an upper bound of at least 0")?;
        Ok(UpperBound::of(value))
    }

    fn of(value: f64) -> Self {
        UpperBound { value: value.min(D::GREATEST), of: PhantomData }
    }

    /// The number.
    #[must_use]
    pub fn value(self) -> f64 {
        self.value
    }

    /// The same statement with the names P and Q exchanged.
    ///
    /// ```
    /// use bounds::inequality::{Kl, ReverseKl, UpperBound};
    /// let reverse: UpperBound<ReverseKl> = UpperBound::<Kl>::new(0.5)?.swapped();
    /// assert_eq!(reverse.value(), 0.5);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    #[must_use]
    pub fn swapped(self) -> UpperBound<D::Swapped> {
        UpperBound::of(self.value)
    }
}

impl<D: Divergence> LowerBound<D> {
    /// The statement $`D \ge \text{value}`$; a negative value, such as a measured limit, is raised to 0.
    ///
    /// ```
    /// use bounds::inequality::{LowerBound, TotalVariation};
    /// assert_eq!(LowerBound::<TotalVariation>::new(-0.1)?.value(), 0.0);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Domain`] for NaN, or a value above the greatest that D can take.
    pub fn new(value: f64) -> Result<Self, Error> {
        Error::domain(value <= D::GREATEST, "value", value, "a lower bound which the divergence can reach")?;
        Ok(LowerBound::of(value))
    }

    fn of(value: f64) -> Self {
        LowerBound { value: value.clamp(0.0, D::GREATEST), of: PhantomData }
    }

    /// The number.
    #[must_use]
    pub fn value(self) -> f64 {
        self.value
    }

    /// The same statement with the names P and Q exchanged.
    #[must_use]
    pub fn swapped(self) -> LowerBound<D::Swapped> {
        LowerBound::of(self.value)
    }
}

/// Constant C of the logarithmic Sobolev inequality of the **second** law Q of a pair, in squared units of the data.
///
/// ```math
/// \mathrm{KL}(P\|Q) \le \frac C2\,\mathbb{E}_P\Big|\nabla\ln\frac pq\Big|^2 \qquad \text{for every } P .
/// ```
///
/// ```
/// use bounds::inequality::LogSobolevOfReference;
/// // The standard Gaussian law has C = 1.
/// assert_eq!(LogSobolevOfReference::of_convexity(1.0)?.value(), 1.0);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// L. Gross (1975), "Logarithmic Sobolev inequalities", *Amer. J. Math.* 97; F. Otto, C. Villani (2000),
/// "Generalization of an inequality by Talagrand", *J. Funct. Anal.* 173.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogSobolevOfReference(f64);

impl LogSobolevOfReference {
    /// A known constant of Q.
    ///
    /// # Errors
    /// [`Error::Domain`] unless it is finite and greater than 0.
    pub fn new(constant: f64) -> Result<Self, Error> {
        Error::positive("constant", constant)?;
        Ok(LogSobolevOfReference(constant))
    }

    /// $`C = 1/\alpha`$ for Q with $`-\nabla^2\ln q \ge \alpha I`$ (Bakry and Émery).
    ///
    /// # Errors
    /// [`Error::Domain`] unless α is finite and greater than 0.
    pub fn of_convexity(alpha: f64) -> Result<Self, Error> {
        Error::positive("alpha", alpha)?;
        LogSobolevOfReference::new(1.0 / alpha)
    }

    /// The largest eigenvalue of the covariance of a Gaussian Q, the best constant.
    ///
    /// # Errors
    /// [`Error::Domain`] if it overflows.
    pub fn of_gaussian(reference: &GaussianLaw) -> Result<Self, Error> {
        let covariance = reference.covariance();
        let lower = |i: usize, j: usize| covariance[(i.max(j), i.min(j))];
        LogSobolevOfReference::new(
            DMatrix::from_fn(reference.dim(), reference.dim(), lower).symmetric_eigenvalues().max(),
        )
    }

    /// The constant C.
    #[must_use]
    pub fn value(self) -> f64 {
        self.0
    }
}

/// $`\frac{M \ln M}{M - 1}`$ at $`l = \ln M \ge 0`$, and its limit 1 at 0: the slope of the chord of
/// $`t \ln t`$ from 1 to M.
fn chord(ratio: UpperBound<RenyiInfinity>) -> f64 {
    1.0 / numeric::special::phi_1(-ratio.value)
}
