//! Divergences that are a line or two of linear algebra from the Rényi divergences.

use numeric::Error;

use super::{GaussianLaw, RATIOS, solve_lower};

impl GaussianLaw {
    /// Divergence $`\chi^2(P\|Q) = \int p^2/q - 1 = e^{R_2(P\|Q)} - 1`$ of this law P from Q.
    ///
    /// Infinite if $`2\Sigma_Q - \Sigma_P`$ is not positive definite; accurate for laws close to each other.
    ///
    /// # Errors
    /// [`Error::Shape`] if the dimensions differ, [`Error::Entry`] if the covariances are so far apart in size
    /// that their ratios overflow.
    ///
    /// # Examples
    /// ```
    /// use bounds::divergence::GaussianLaw;
    /// use numeric::ndarray::array;
    /// let p = GaussianLaw::new(array![1.0], array![[1.0]])?;
    /// let q = GaussianLaw::new(array![0.0], array![[1.0]])?;
    /// assert!((p.chi_squared(&q)? - 1.0_f64.exp_m1()).abs() < 1e-15);
    /// let wide = GaussianLaw::new(array![0.0], array![[2.0]])?;
    /// assert_eq!(wide.chi_squared(&q)?, f64::INFINITY);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # References
    /// F. Nielsen, R. Nock (2014), "On the chi square and higher-order chi distances for approximating
    /// f-divergences", *IEEE Signal Process. Lett.* 21(1).
    pub fn chi_squared(&self, other: &GaussianLaw) -> Result<f64, Error> {
        Ok(self.renyi(2.0, other)?.exp_m1())
    }

    /// Jeffreys divergence $`\mathrm{KL}(P\|Q) + \mathrm{KL}(Q\|P)`$, in nats: symmetric in the two laws.
    ///
    /// # Errors
    /// Those of [`GaussianLaw::kl`].
    ///
    /// # Examples
    /// ```
    /// use bounds::divergence::GaussianLaw;
    /// use numeric::ndarray::array;
    /// let p = GaussianLaw::new(array![1.0], array![[1.0]])?;
    /// let q = GaussianLaw::new(array![0.0], array![[2.0]])?;
    /// // (r - 1)^2/(2 r) + |m|^2 (1/p + 1/q)/2 on the line.
    /// assert!((p.jeffreys(&q)? - (0.25 + 0.75)).abs() < 1e-15);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # References
    /// H. Jeffreys (1946), "An invariant form for the prior probability in estimation problems", *Proc. R. Soc. A*
    /// 186.
    pub fn jeffreys(&self, other: &GaussianLaw) -> Result<f64, Error> {
        Ok(self.kl(other)? + other.kl(self)?)
    }

    /// Fisher divergence $`\mathbb{E}_P|\nabla\ln p - \nabla\ln q|^2`$, the relative Fisher information of this law
    /// P from Q: what score matching with the score of Q minimises, in inverse squared units of the data.
    ///
    /// ```math
    /// \operatorname{tr}(A\Sigma_P A) + |\Sigma_Q^{-1}(m_P - m_Q)|^2, \qquad
    /// A = \Sigma_Q^{-1} - \Sigma_P^{-1} = \Sigma_Q^{-1}(\Sigma_P - \Sigma_Q)\Sigma_P^{-1}
    /// ```
    ///
    /// The last form is the one computed: laws close to each other keep their digits. Gross's inequality for Q,
    /// $`\mathrm{KL}(P\|Q) \le \tfrac12\lambda_{\max}(\Sigma_Q)`$ times it, bounds the divergence.
    ///
    /// # Errors
    /// [`Error::Shape`] if the dimensions differ, [`Error::Entry`] if the covariances are so far apart in size
    /// that their ratios overflow.
    ///
    /// # Examples
    /// ```
    /// use bounds::divergence::GaussianLaw;
    /// use numeric::ndarray::array;
    /// let p = GaussianLaw::new(array![3.0], array![[1.0]])?;
    /// let q = GaussianLaw::new(array![0.0], array![[2.0]])?;
    /// // A = 1/2 - 1.
    /// assert!((p.fisher_divergence(&q)? - (0.25 + 2.25)).abs() < 1e-15);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # References
    /// A. Hyvärinen (2005), "Estimation of non-normalized statistical models by score matching", *JMLR* 6.
    pub fn fisher_divergence(&self, other: &GaussianLaw) -> Result<f64, Error> {
        Error::shape("other", &[self.dim()], &[other.dim()])?;
        let difference = solve_lower(&self.cholesky, self.difference(other)).transpose();
        let covariances = other.cholesky.solve(&difference).norm_squared();
        let divergence = covariances + other.cholesky.solve(&self.shift(other)).norm_squared();
        Error::entries("other", [divergence], RATIOS, f64::is_finite)?;
        Ok(divergence)
    }
}
