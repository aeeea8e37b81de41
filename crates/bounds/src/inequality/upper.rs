//! From upper bounds to upper bounds.

use std::f64::consts::PI;

use numeric::Error;

use super::{
    ChiSquared, DataProcessing, Fisher, HellingerSquared, Kl, LogSobolevOfReference, Metric, Renyi2,
    RenyiInfinity, TotalVariation, Transport, UpperBound, W1, W2, chord,
};

impl UpperBound<Kl> {
    /// Pinsker: $`\mathrm{TV} \le \sqrt{\mathrm{KL}/2}`$; 1, which says nothing, from 2 nats on.
    ///
    /// ```
    /// use bounds::inequality::{Kl, UpperBound};
    /// assert_eq!(UpperBound::<Kl>::new(0.02)?.pinsker().value(), 0.1);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    #[must_use]
    pub fn pinsker(self) -> UpperBound<TotalVariation> {
        UpperBound::of((0.5 * self.value).sqrt())
    }

    /// Bretagnolle–Huber: $`\mathrm{TV} \le \sqrt{1 - e^{-\mathrm{KL}}}`$; better than Pinsker from 1.594 nats on.
    ///
    /// ```
    /// use bounds::inequality::{Kl, UpperBound};
    /// let kl = UpperBound::<Kl>::new(4.0_f64.ln())?;
    /// assert!((kl.bretagnolle_huber().value() - 0.75_f64.sqrt()).abs() < 1e-15);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    #[must_use]
    pub fn bretagnolle_huber(self) -> UpperBound<TotalVariation> {
        UpperBound::of((-(-self.value).exp_m1()).sqrt())
    }

    /// $`R_{1/2} \le \mathrm{KL}`$: $`H^2 \le 1 - e^{-\mathrm{KL}/2}`$.
    ///
    /// ```
    /// use bounds::inequality::{Kl, UpperBound};
    /// let kl = UpperBound::<Kl>::new(4.0_f64.ln())?;
    /// assert!((kl.renyi_monotone().value() - 0.5).abs() < 1e-15);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    #[must_use]
    pub fn renyi_monotone(self) -> UpperBound<HellingerSquared> {
        UpperBound::of(-(-0.5 * self.value).exp_m1())
    }

    /// Talagrand, Otto–Villani: $`W_2(P, Q) \le \sqrt{2C\,\mathrm{KL}(P\|Q)}`$ with the constant of **Q**.
    ///
    /// ```
    /// use bounds::inequality::{Kl, LogSobolevOfReference, UpperBound};
    /// let constant = LogSobolevOfReference::of_convexity(0.25)?;
    /// assert_eq!(UpperBound::<Kl>::new(0.5)?.talagrand(constant).value(), 2.0);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    #[must_use]
    pub fn talagrand(self, of_q: LogSobolevOfReference) -> UpperBound<W2> {
        UpperBound::of((2.0 * of_q.value() * self.value).sqrt())
    }
}

impl UpperBound<TotalVariation> {
    /// Reverse Pinsker: $`\mathrm{KL} \le \frac{M\ln M}{M-1}\mathrm{TV}`$ if $`\ln(p/q) \le \ln M`$, a bound of
    /// $`R_\infty(P\|Q)`$.
    ///
    /// ```
    /// use bounds::inequality::{RenyiInfinity, TotalVariation, UpperBound};
    /// let ratio = UpperBound::<RenyiInfinity>::new(2.0_f64.ln())?;
    /// let kl = UpperBound::<TotalVariation>::new(0.5)?.reverse_pinsker(ratio);
    /// assert!((kl.value() - 2.0_f64.ln()).abs() < 1e-15);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # References
    /// S. Verdú (2014), "Total variation distance and the distribution of relative information", *Proc. ITA*.
    #[must_use]
    pub fn reverse_pinsker(self, ratio: UpperBound<RenyiInfinity>) -> UpperBound<Kl> {
        // Equal laws, also where the ratio is not bounded.
        UpperBound::of(if self.value == 0.0 { 0.0 } else { chord(ratio) * self.value })
    }

    /// Le Cam: $`H^2 \le \mathrm{TV}`$.
    ///
    /// ```
    /// use bounds::inequality::{TotalVariation, UpperBound};
    /// assert_eq!(UpperBound::<TotalVariation>::new(0.3)?.le_cam().value(), 0.3);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    #[must_use]
    pub fn le_cam(self) -> UpperBound<HellingerSquared> {
        UpperBound::of(self.value)
    }

    /// $`W_1 \le D\,\mathrm{TV}`$ for laws on a set of diameter D.
    ///
    /// ```
    /// use bounds::inequality::{TotalVariation, UpperBound};
    /// assert_eq!(UpperBound::<TotalVariation>::new(0.25)?.diameter_w1(4.0)?.value(), 1.0);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Domain`] for a diameter that is not finite and greater than 0.
    pub fn diameter_w1(self, diameter: f64) -> Result<UpperBound<W1>, Error> {
        Error::positive("diameter", diameter)?;
        Ok(UpperBound::of(diameter * self.value))
    }

    /// $`W_2 \le D\sqrt{\mathrm{TV}}`$ for laws on a set of diameter D.
    ///
    /// ```
    /// use bounds::inequality::{TotalVariation, UpperBound};
    /// assert_eq!(UpperBound::<TotalVariation>::new(0.25)?.diameter_w2(4.0)?.value(), 2.0);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Domain`] for a diameter that is not finite and greater than 0.
    pub fn diameter_w2(self, diameter: f64) -> Result<UpperBound<W2>, Error> {
        Error::positive("diameter", diameter)?;
        Ok(UpperBound::of(diameter * self.value.sqrt()))
    }
}

impl UpperBound<HellingerSquared> {
    /// Le Cam: $`\mathrm{TV} \le \sqrt{H^2(2 - H^2)}`$.
    ///
    /// ```
    /// use bounds::inequality::{HellingerSquared, UpperBound};
    /// assert!((UpperBound::<HellingerSquared>::new(0.2)?.le_cam().value() - 0.6).abs() < 1e-15);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    #[must_use]
    pub fn le_cam(self) -> UpperBound<TotalVariation> {
        UpperBound::of((self.value * (2.0 - self.value)).sqrt())
    }
}

impl UpperBound<ChiSquared> {
    /// Cauchy–Schwarz: $`\mathrm{TV} \le \tfrac12\sqrt{\chi^2}`$.
    ///
    /// ```
    /// use bounds::inequality::{ChiSquared, UpperBound};
    /// assert_eq!(UpperBound::<ChiSquared>::new(0.25)?.cauchy_schwarz().value(), 0.25);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    #[must_use]
    pub fn cauchy_schwarz(self) -> UpperBound<TotalVariation> {
        UpperBound::of(0.5 * self.value.sqrt())
    }

    /// The same statement of $`R_2 = \ln(1 + \chi^2)`$.
    ///
    /// ```
    /// use bounds::inequality::{ChiSquared, UpperBound};
    /// assert_eq!(UpperBound::<ChiSquared>::new(1.0)?.renyi_2().value(), 2.0_f64.ln());
    /// # Ok::<(), numeric::Error>(())
    /// ```
    #[must_use]
    pub fn renyi_2(self) -> UpperBound<Renyi2> {
        UpperBound::of(self.value.ln_1p())
    }
}

impl UpperBound<Renyi2> {
    /// The same statement of $`\chi^2 = e^{R_2} - 1`$.
    ///
    /// ```
    /// use bounds::inequality::{Renyi2, UpperBound};
    /// let chi_squared = UpperBound::<Renyi2>::new(2.0_f64.ln())?.chi_squared();
    /// assert!((chi_squared.value() - 1.0).abs() < 1e-15);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    #[must_use]
    pub fn chi_squared(self) -> UpperBound<ChiSquared> {
        UpperBound::of(self.value.exp_m1())
    }

    /// $`\mathrm{KL} \le R_2`$; from [`ChiSquared`] this is $`\mathrm{KL} \le \ln(1 + \chi^2)`$.
    ///
    /// ```
    /// use bounds::inequality::{ChiSquared, UpperBound};
    /// let kl = UpperBound::<ChiSquared>::new(1.0)?.renyi_2().renyi_monotone();
    /// assert_eq!(kl.value(), 2.0_f64.ln());
    /// # Ok::<(), numeric::Error>(())
    /// ```
    #[must_use]
    pub fn renyi_monotone(self) -> UpperBound<Kl> {
        UpperBound::of(self.value)
    }
}

impl UpperBound<RenyiInfinity> {
    /// $`R_2 \le R_\infty`$.
    ///
    /// ```
    /// use bounds::inequality::{RenyiInfinity, UpperBound};
    /// assert_eq!(UpperBound::<RenyiInfinity>::new(0.7)?.renyi_monotone().value(), 0.7);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    #[must_use]
    pub fn renyi_monotone(self) -> UpperBound<Renyi2> {
        UpperBound::of(self.value)
    }
}

impl UpperBound<Fisher> {
    /// The logarithmic Sobolev inequality of Q: $`\mathrm{KL}(P\|Q) \le \tfrac C2 \mathbb{E}_P|\nabla\ln(p/q)|^2`$.
    ///
    /// ```
    /// use bounds::inequality::{Fisher, LogSobolevOfReference, UpperBound};
    /// let kl = UpperBound::<Fisher>::new(0.5)?.log_sobolev(LogSobolevOfReference::new(2.0)?);
    /// assert_eq!(kl.value(), 0.5);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    #[must_use]
    pub fn log_sobolev(self, of_q: LogSobolevOfReference) -> UpperBound<Kl> {
        UpperBound::of(0.5 * of_q.value() * self.value)
    }
}

impl UpperBound<W1> {
    /// Of $`P * N(0, sI)`$ and $`Q * N(0, sI)`$: $`\mathrm{TV} \le W_1(P, Q)/\sqrt{2\pi s}`$.
    ///
    /// ```
    /// use bounds::inequality::{UpperBound, W1};
    /// let variance = 0.5 / std::f64::consts::PI;
    /// assert!((UpperBound::<W1>::new(0.1)?.smoothing(variance)?.value() - 0.1).abs() < 1e-15);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Domain`] for a variance s that is not finite and greater than 0.
    pub fn smoothing(self, variance: f64) -> Result<UpperBound<TotalVariation>, Error> {
        Error::positive("variance", variance)?;
        Ok(UpperBound::of(self.value / (2.0 * PI * variance).sqrt()))
    }
}

impl UpperBound<W2> {
    /// Of $`P * N(0, sI)`$ and $`Q * N(0, sI)`$: $`\mathrm{KL} \le W_2^2(P, Q)/(2s)`$, in either direction.
    ///
    /// ```
    /// use bounds::inequality::{UpperBound, W2};
    /// assert_eq!(UpperBound::<W2>::new(1.0)?.smoothing(0.5)?.value(), 1.0);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Domain`] for a variance s that is not finite and greater than 0.
    pub fn smoothing(self, variance: f64) -> Result<UpperBound<Kl>, Error> {
        Error::positive("variance", variance)?;
        Ok(UpperBound::of(0.5 * self.value * (self.value / variance)))
    }

    /// Otto–Villani's HWI inequality: $`\mathrm{KL} \le W_2\sqrt{\mathrm{Fisher}} - \tfrac\alpha2 W_2^2`$ if
    /// $`-\nabla^2\ln q \ge \alpha I`$, with α of either sign.
    ///
    /// For α > 0 the right side falls from $`W_2 = \sqrt{\mathrm{Fisher}}/\alpha`$ on, where a bound of $`W_2`$
    /// leaves the maximum, the logarithmic Sobolev inequality.
    ///
    /// ```
    /// use bounds::inequality::{Fisher, UpperBound, W2};
    /// let fisher = UpperBound::<Fisher>::new(1.0)?;
    /// assert_eq!(UpperBound::<W2>::new(0.5)?.hwi(fisher, 1.0)?.value(), 0.375);
    /// assert_eq!(UpperBound::<W2>::new(5.0)?.hwi(fisher, 1.0)?.value(), 0.5);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Domain`] for an α that is not finite.
    pub fn hwi(self, fisher: UpperBound<Fisher>, alpha: f64) -> Result<UpperBound<Kl>, Error> {
        Error::domain(alpha.is_finite(), "alpha", alpha, "a finite number")?;
        let root = fisher.value.sqrt();
        Ok(UpperBound::of(if self.value == 0.0 || root == 0.0 && alpha >= 0.0 {
            0.0 // Equal laws; also where the product below is not a number.
        } else if alpha * self.value >= root {
            0.5 * root * (root / alpha)
        } else if root == 0.0 {
            -0.5 * alpha * self.value * self.value
        } else {
            self.value * (root - 0.5 * alpha * self.value)
        }))
    }

    /// Jensen: $`W_1 \le W_2`$.
    ///
    /// ```
    /// use bounds::inequality::{UpperBound, W2};
    /// assert_eq!(UpperBound::<W2>::new(0.7)?.jensen().value(), 0.7);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    #[must_use]
    pub fn jensen(self) -> UpperBound<W1> {
        UpperBound::of(self.value)
    }
}

impl<D: Metric> UpperBound<D> {
    /// Triangle inequality: with this bound for (P, Q) and the other for (Q, R), that of (P, R).
    ///
    /// ```
    /// use bounds::inequality::{UpperBound, W2};
    /// let (sampler, early_stop) = (UpperBound::<W2>::new(0.25)?, UpperBound::<W2>::new(0.5)?);
    /// assert_eq!(sampler.triangle(early_stop).value(), 0.75);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    #[must_use]
    pub fn triangle(self, other: UpperBound<D>) -> UpperBound<D> {
        UpperBound::of(self.value + other.value)
    }
}

impl<D: DataProcessing> UpperBound<D> {
    /// Data processing: the same bound holds of the images of P and Q under one map or Markov kernel.
    ///
    /// Not for transport distances:
    /// ```compile_fail
    /// use bounds::inequality::{UpperBound, W2};
    /// let image = UpperBound::<W2>::new(1.0).unwrap().data_processing();
    /// ```
    #[must_use]
    pub fn data_processing(self) -> UpperBound<D> {
        self
    }
}

impl<D: Transport> UpperBound<D> {
    /// Of the images of P and Q under one map with this Lipschitz constant.
    ///
    /// ```
    /// use bounds::inequality::{UpperBound, W1};
    /// assert_eq!(UpperBound::<W1>::new(0.5)?.lipschitz_map(3.0)?.value(), 1.5);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Domain`] for a constant that is not finite and greater than 0.
    pub fn lipschitz_map(self, constant: f64) -> Result<UpperBound<D>, Error> {
        Error::positive("constant", constant)?;
        Ok(UpperBound::of(constant * self.value))
    }
}
