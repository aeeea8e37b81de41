//! From lower bounds to lower bounds: the theorems read backwards.

use numeric::Error;

use super::{
    ChiSquared, DataProcessing, HellingerSquared, Kl, LogSobolevOfReference, LowerBound, Renyi2,
    RenyiInfinity, TotalVariation, UpperBound, W1, W2, chord,
};

impl LowerBound<TotalVariation> {
    /// Pinsker: $`\mathrm{KL} \ge 2\,\mathrm{TV}^2`$.
    ///
    /// ```
    /// use bounds::inequality::{LowerBound, TotalVariation};
    /// assert_eq!(LowerBound::<TotalVariation>::new(0.5)?.pinsker().value(), 0.5);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    #[must_use]
    pub fn pinsker(self) -> LowerBound<Kl> {
        LowerBound::of(2.0 * self.value * self.value)
    }

    /// Bretagnolle–Huber: $`\mathrm{KL} \ge -\ln(1 - \mathrm{TV}^2)`$; infinite at 1.
    ///
    /// ```
    /// use bounds::inequality::{LowerBound, TotalVariation};
    /// let kl = LowerBound::<TotalVariation>::new(0.75_f64.sqrt())?.bretagnolle_huber();
    /// assert!((kl.value() - 4.0_f64.ln()).abs() < 1e-14);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    #[must_use]
    pub fn bretagnolle_huber(self) -> LowerBound<Kl> {
        LowerBound::of(-(-self.value * self.value).ln_1p())
    }

    /// Le Cam: $`H^2 \ge 1 - \sqrt{1 - \mathrm{TV}^2}`$.
    ///
    /// ```
    /// use bounds::inequality::{LowerBound, TotalVariation};
    /// assert!((LowerBound::<TotalVariation>::new(0.6)?.le_cam().value() - 0.2).abs() < 1e-15);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    #[must_use]
    pub fn le_cam(self) -> LowerBound<HellingerSquared> {
        let square = self.value * self.value;
        // 1 - sqrt(1 - x) without cancellation.
        LowerBound::of(square / (1.0 + (1.0 - square).sqrt()))
    }

    /// Cauchy–Schwarz: $`\chi^2 \ge 4\,\mathrm{TV}^2`$.
    ///
    /// ```
    /// use bounds::inequality::{LowerBound, TotalVariation};
    /// assert_eq!(LowerBound::<TotalVariation>::new(0.25)?.cauchy_schwarz().value(), 0.25);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    #[must_use]
    pub fn cauchy_schwarz(self) -> LowerBound<ChiSquared> {
        LowerBound::of(4.0 * self.value * self.value)
    }
}

impl LowerBound<HellingerSquared> {
    /// Le Cam: $`\mathrm{TV} \ge H^2`$.
    ///
    /// ```
    /// use bounds::inequality::{HellingerSquared, LowerBound};
    /// assert_eq!(LowerBound::<HellingerSquared>::new(0.3)?.le_cam().value(), 0.3);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    #[must_use]
    pub fn le_cam(self) -> LowerBound<TotalVariation> {
        LowerBound::of(self.value)
    }

    /// $`\mathrm{KL} \ge R_{1/2} = -2\ln(1 - H^2)`$.
    ///
    /// ```
    /// use bounds::inequality::{HellingerSquared, LowerBound};
    /// let kl = LowerBound::<HellingerSquared>::new(0.5)?.renyi_monotone();
    /// assert!((kl.value() - 4.0_f64.ln()).abs() < 1e-15);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    #[must_use]
    pub fn renyi_monotone(self) -> LowerBound<Kl> {
        LowerBound::of(-2.0 * (-self.value).ln_1p())
    }
}

impl LowerBound<Kl> {
    /// Reverse Pinsker: $`\mathrm{TV} \ge \frac{M - 1}{M\ln M}\mathrm{KL}`$ if $`\ln(p/q) \le \ln M`$.
    ///
    /// ```
    /// use bounds::inequality::{Kl, LowerBound, RenyiInfinity, UpperBound};
    /// let ratio = UpperBound::<RenyiInfinity>::new(2.0_f64.ln())?;
    /// let tv = LowerBound::<Kl>::new(2.0_f64.ln())?.reverse_pinsker(ratio);
    /// assert!((tv.value() - 0.5).abs() < 1e-15);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    #[must_use]
    pub fn reverse_pinsker(self, ratio: UpperBound<RenyiInfinity>) -> LowerBound<TotalVariation> {
        // A ratio without bound says nothing, also of an infinite divergence.
        LowerBound::of(if ratio.value == f64::INFINITY { 0.0 } else { self.value / chord(ratio) })
    }

    /// $`R_2 \ge \mathrm{KL}`$.
    ///
    /// ```
    /// use bounds::inequality::{Kl, LowerBound};
    /// assert_eq!(LowerBound::<Kl>::new(0.3)?.renyi_monotone().value(), 0.3);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    #[must_use]
    pub fn renyi_monotone(self) -> LowerBound<Renyi2> {
        LowerBound::of(self.value)
    }
}

impl LowerBound<Renyi2> {
    /// The same statement of $`\chi^2 = e^{R_2} - 1`$.
    ///
    /// ```
    /// use bounds::inequality::{Kl, LowerBound};
    /// let chi_squared = LowerBound::<Kl>::new(2.0_f64.ln())?.renyi_monotone().chi_squared();
    /// assert!((chi_squared.value() - 1.0).abs() < 1e-15);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    #[must_use]
    pub fn chi_squared(self) -> LowerBound<ChiSquared> {
        LowerBound::of(self.value.exp_m1())
    }

    /// $`R_\infty \ge R_2`$.
    ///
    /// ```
    /// use bounds::inequality::{LowerBound, Renyi2};
    /// assert_eq!(LowerBound::<Renyi2>::new(0.3)?.renyi_monotone().value(), 0.3);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    #[must_use]
    pub fn renyi_monotone(self) -> LowerBound<RenyiInfinity> {
        LowerBound::of(self.value)
    }
}

impl LowerBound<ChiSquared> {
    /// The same statement of $`R_2 = \ln(1 + \chi^2)`$.
    ///
    /// ```
    /// use bounds::inequality::{ChiSquared, LowerBound};
    /// assert_eq!(LowerBound::<ChiSquared>::new(1.0)?.renyi_2().value(), 2.0_f64.ln());
    /// # Ok::<(), numeric::Error>(())
    /// ```
    #[must_use]
    pub fn renyi_2(self) -> LowerBound<Renyi2> {
        LowerBound::of(self.value.ln_1p())
    }
}

impl LowerBound<W1> {
    /// $`\mathrm{TV} \ge W_1/D`$ for laws on a set of diameter D.
    ///
    /// ```
    /// use bounds::inequality::{LowerBound, W1};
    /// assert_eq!(LowerBound::<W1>::new(1.0)?.diameter_w1(4.0)?.value(), 0.25);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Domain`] for a diameter that is not finite and greater than 0, or less than $`W_1`$.
    pub fn diameter_w1(self, diameter: f64) -> Result<LowerBound<TotalVariation>, Error> {
        check_diameter(diameter, self.value)?;
        Ok(LowerBound::of(self.value / diameter))
    }

    /// Jensen: $`W_2 \ge W_1`$.
    ///
    /// ```
    /// use bounds::inequality::{LowerBound, W1};
    /// assert_eq!(LowerBound::<W1>::new(0.7)?.jensen().value(), 0.7);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    #[must_use]
    pub fn jensen(self) -> LowerBound<W2> {
        LowerBound::of(self.value)
    }
}

impl LowerBound<W2> {
    /// $`\mathrm{TV} \ge W_2^2/D^2`$ for laws on a set of diameter D.
    ///
    /// ```
    /// use bounds::inequality::{LowerBound, W2};
    /// assert_eq!(LowerBound::<W2>::new(2.0)?.diameter_w2(4.0)?.value(), 0.25);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Domain`] for a diameter that is not finite and greater than 0, or less than $`W_2`$.
    pub fn diameter_w2(self, diameter: f64) -> Result<LowerBound<TotalVariation>, Error> {
        check_diameter(diameter, self.value)?;
        Ok(LowerBound::of((self.value / diameter).powi(2)))
    }

    /// Talagrand, Otto–Villani: $`\mathrm{KL}(P\|Q) \ge W_2^2(P, Q)/(2C)`$ with the constant of **Q**.
    ///
    /// ```
    /// use bounds::inequality::{LogSobolevOfReference, LowerBound, W2};
    /// let kl = LowerBound::<W2>::new(2.0)?.talagrand(LogSobolevOfReference::new(4.0)?);
    /// assert_eq!(kl.value(), 0.5);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    #[must_use]
    pub fn talagrand(self, of_q: LogSobolevOfReference) -> LowerBound<Kl> {
        LowerBound::of(0.5 * self.value * (self.value / of_q.value()))
    }
}

impl<D: DataProcessing> LowerBound<D> {
    /// Data processing: a lower bound for the images of P and Q under one map or Markov kernel holds of P and Q.
    ///
    /// So the total variation that a classifier proves for its scores is one of the data.
    ///
    /// ```
    /// use bounds::inequality::{LowerBound, TotalVariation};
    /// let of_scores = LowerBound::<TotalVariation>::new(0.3)?;
    /// assert_eq!(of_scores.data_processing().value(), 0.3);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    #[must_use]
    pub fn data_processing(self) -> LowerBound<D> {
        self
    }
}

fn check_diameter(diameter: f64, distance: f64) -> Result<(), Error> {
    Error::positive("diameter", diameter)?;
    Error::domain(
        distance <= diameter,
        "diameter",
        diameter,
        "a diameter of at least the distance of the laws",
    )
}
