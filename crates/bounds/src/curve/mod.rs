//! Laws whose error curve is known: mean square error, Fisher information and entropy at every noise level.
//!
//! # Notation
//! The forward process is Ornstein–Uhlenbeck in its own clock, $`dX = -X\,dτ + \sqrt2\,dB`$ on
//! $`\mathbb{R}^d`$, started at the data law $`q_0`$; $`q_τ`$ is the law of $`X_τ`$ and $`γ = N(0, I)`$. All
//! information is in nats.
//!
//! | symbol | meaning | here |
//! |---|---|---|
//! | $`v`$ | $`e^{2τ} - 1`$, noise per signal: $`U_v = e^τ X_τ = X_0 + \sqrt v Z`$ | |
//! | $`η`$ | $`1/v`$, signal-to-noise ratio | |
//! | $`Σ_τ(x)`$ | $`\mathrm{Cov}(X_0 \mid X_τ = x)`$ | |
//! | $`\mathrm{mmse}`$ | $`\mathbb{E}\,\mathrm{tr}\,Σ_τ`$ | [`mmse`](ErrorCurve::mmse) |
//! | $`I`$ | $`\mathbb{E}\lvert s_τ\rvert^2`$, $`s_τ = ∇\log q_τ`$ | [`score_square`](ErrorCurve::score_square) |
//! | $`J`$ | $`e^{-2τ} I`$, the Fisher information of $`U_v`$ | [`fisher_information`](ErrorCurve::fisher_information) |
//! | $`F`$ | $`\mathbb{E}\lvert s_τ + X_τ\rvert^2`$, relative to $`γ`$ | [`relative_score_square`](ErrorCurve::relative_score_square) |
//! | $`\mathrm{MI}`$ | mutual information of $`X_0`$ and $`X_τ`$ | [`mutual_information`](ErrorCurve::mutual_information) |
//! | $`M`$ | $`\mathbb{E}\lvert X_τ\rvert^2`$, $`M_2`$ at $`τ = 0`$ | [`second_moment_at`](ErrorCurve::second_moment_at) |
//! | $`h`$ | differential entropy of $`q_τ`$ | [`entropy`](ErrorCurve::entropy) |
//!
//! # The curves are one curve
//! ```math
//! v J + η\,\mathrm{mmse} = d, \qquad F = I - 2d + M, \qquad
//! \frac{d\,\mathrm{MI}}{dη} = \frac{\mathrm{mmse}}{2}, \qquad
//! h = \mathrm{MI} + \frac d2 \log\bigl(2πe\,(1 - e^{-2τ})\bigr) .
//! ```
//! The first is Tweedie's formula $`∇\log p_{U_v}(u) = (\mathbb{E}[X_0|u] - u)/v`$, squared; the second is
//! integration by parts, $`\mathbb{E}\langle s_τ, X_τ\rangle = -d`$; the third the I-MMSE relation. With
//! $`\frac{d}{dη}\,\mathbb{E}\,Σ = -\mathbb{E}\,Σ^2`$ they are all a sampler's discretisation error needs:
//! see [`terms`](crate::terms).
//!
//! # References
//! Guo, Shamai, Verdú (2005), *Mutual information and minimum mean-square error in Gaussian channels*, IEEE
//! Trans. Inf. Theory 51: I-MMSE. Palomar, Verdú (2006), *Gradient of mutual information in linear vector
//! Gaussian channels*, for the matrix form. Efron (2011), *Tweedie's formula and selection bias*.

mod clock;
mod copies;
mod gaussian;
mod mixture;
mod parts;
pub(crate) mod quadrature;
mod tabulated;

pub(crate) use clock::{Clock, Step, check_horizon, noise_per_signal};
pub use copies::Copies;
pub use gaussian::GaussianCurve;
pub use mixture::ScalarMixtureCurve;
pub use parts::Parts;
pub use tabulated::TabulatedCurve;
#[cfg(feature = "sde")]
pub(crate) use tabulated::isotonic;

use std::f64::consts::PI;

/// A data law of which the error curve is known. The notation is that of the [module](self).
///
/// `tau` is the Ornstein–Uhlenbeck clock, from 0 (the data) to 300. At `tau` = 0 the limits are returned
/// where they exist; they need a law with a density, and NaN or ∞ is returned for others. Arguments outside
/// are the caller's error and give NaN or a meaningless number; the functions of [`terms`](crate::terms) and
/// [`theorem`](crate::theorem) check theirs.
pub trait ErrorCurve: Send + Sync {
    /// Dimension d of the data.
    fn dim(&self) -> usize;

    /// $`M_2 = \mathbb{E}\lvert X_0\rvert^2`$.
    fn second_moment(&self) -> f64;

    /// $`\mathrm{tr}\,\mathrm{Cov}(X_0)`$.
    fn total_variance(&self) -> f64;

    /// The least clock at which the curve is known.
    fn least_clock(&self) -> f64 {
        0.0
    }

    /// Whether the curve is that of the law, and not interpolated or measured.
    fn is_exact(&self) -> bool {
        true
    }

    /// $`\mathbb{E}\,\mathrm{tr}\,Σ_τ`$, the least mean square error of a denoiser.
    fn mmse(&self, tau: f64) -> f64;

    /// $`I = \mathbb{E}\lvert s_τ(X_τ)\rvert^2`$.
    fn score_square(&self, tau: f64) -> f64;

    /// $`F = \mathbb{E}\lvert s_τ(X_τ) + X_τ\rvert^2`$, the Fisher information of $`q_τ`$ relative to $`γ`$.
    fn relative_score_square(&self, tau: f64) -> f64;

    /// [`score_square`](Self::score_square) at each of the decreasing `clocks`.
    fn score_squares(&self, clocks: &[f64]) -> Vec<f64> {
        clocks.iter().map(|&tau| self.score_square(tau)).collect()
    }

    /// [`relative_score_square`](Self::relative_score_square) at each of the decreasing `clocks`.
    fn relative_score_squares(&self, clocks: &[f64]) -> Vec<f64> {
        clocks.iter().map(|&tau| self.relative_score_square(tau)).collect()
    }

    /// $`\mathrm{MI} = I(X_0; X_τ)`$.
    fn mutual_information(&self, tau: f64) -> f64;

    /// $`\mathrm{KL}(q_τ \,\|\, γ)`$, accurate relative to itself for any `tau`.
    fn relative_entropy(&self, tau: f64) -> f64;

    /// $`\mathbb{E}\,\bigl\lVert (Σ_τ - \hatΣ)/v \bigr\rVert_F^2`$ with $`\hatΣ = \frac{cv}{c + v} I`$, the
    /// posterior covariance under the prior $`N(\cdot, cI)`$.
    ///
    /// `prior` is $`c`$ in $`[0, ∞]`$: for 0 it is $`\mathbb{E}\,\mathrm{tr}\,Σ^2/v^2`$, for ∞ it is
    /// $`v^2\,\mathbb{E}\lVert∇^2\log p_{U_v}\rVert_F^2`$.
    fn covariance_gap(&self, tau: f64, prior: f64) -> f64;

    /// $`\mathbb{E}\,[\mathrm{tr}\,P - \log\det(I + P)]`$ with $`P = Δη\,Σ_τ`$; at least 0, and accurate
    /// relative to itself. `None` if the curve knows no more of $`Σ_τ`$ than means.
    fn log_det_defect(&self, tau: f64, eta_rise: f64) -> Option<f64>;

    /// The diagonal of $`\mathbb{E}\,Σ_τ`$ in the curve's own orthonormal basis: [`mmse`](Self::mmse) is its sum.
    /// `None` if only the sum is known.
    fn coordinate_mmse(&self, tau: f64) -> Option<Vec<f64>>;

    /// The chain KL of one step, from clock `from` to `to` < `from`, of the sampler that takes each
    /// coordinate as if the data were Gaussian with that coordinate's entry of `prior` as variance, in
    /// $`[0, ∞]`$. It has [`dim`](Self::dim) entries, in the curve's own orthonormal basis.
    ///
    /// It is the sum over the coordinates of what [`prior_step`](Self::prior_step) is for d = 1; `None` where
    /// [`coordinate_mmse`](Self::coordinate_mmse) is.
    ///
    /// # Panics
    /// May panic if `prior` has not [`dim`](Self::dim) entries.
    fn coordinate_prior_step(&self, from: f64, to: f64, prior: &[f64]) -> Option<f64>;

    /// The chain KL of one step, from clock `from` to `to` < `from`, of the sampler that takes the data as if
    /// Gaussian with covariance $`cI`$, `prior` = $`c`$ in $`[0, ∞]`$ (0: frozen denoiser, ∞: frozen score):
    ///
    /// ```math
    /// \frac12 \int_{η}^{η'} (η' - s)\,\frac{1 + cs}{1 + cη'}\;
    ///   \mathbb{E}\,\Bigl\lVert Σ(s) - \frac{c}{1 + cs} I\Bigr\rVert_F^2 \, ds .
    /// ```
    ///
    /// *Derivation.* True and model reverse kernels have equal bridges, so the step costs
    /// $`\frac d2(\log a - 1 + \frac1a) + \frac{(a-1)\,\mathrm{mmse}}{2 a \hat σ} - \frac12\int_η^{η'}\mathrm{mmse}`$
    /// with $`\hatσ = \frac{c}{1+cη}`$ and $`a = \frac{1+cη'}{1+cη}`$. It vanishes at $`η' = η`$; with
    /// $`w(s) = (1 + cs)^2`$ and $`δ = \mathrm{mmse} - \frac{dc}{1+cs}`$, its derivative in $`η'`$ is
    /// $`\frac{1}{2w(η')}[w δ]^{η}_{η'}`$, and $`(wδ)' = -w\,\mathbb{E}\lVertΣ - \frac{c}{1+cs}I\rVert^2`$
    /// because $`\mathrm{mmse}' = -\mathbb{E}\,\mathrm{tr}\,Σ^2`$. Integrate twice. No term cancels another,
    /// so the smallest step keeps its digits.
    fn prior_step(&self, from: f64, to: f64, prior: f64) -> f64 {
        let (v_to, span) = (noise_per_signal(to), Step::new(from, to).log_ratio());
        // In l = log(v/v'): (η' - s) Σ²-terms ds = (v/v' - 1) · weight · gap · dl.
        0.5 * quadrature::composite(0.0, span, 0.5, |l| {
            let v = v_to * l.exp();
            let weight =
                if prior == f64::INFINITY { (-l).exp() } else { (v + prior) * v_to / (v * (v_to + prior)) };
            l.exp_m1() * weight * self.covariance_gap(0.5 * v.ln_1p(), prior)
        })
    }

    /// [`prior_step`](Self::prior_step) for each step between the decreasing `clocks`.
    fn prior_steps(&self, clocks: &[f64], prior: f64) -> Vec<f64> {
        clocks.windows(2).map(|pair| self.prior_step(pair[0], pair[1], prior)).collect()
    }

    /// The chain KL of one step, from clock `from` to `to` < `from`, of the sampler whose kernel has the
    /// exact posterior mean and covariance at each point.
    ///
    /// By the chain rule and I-MMSE it is
    /// $`\frac12 \mathbb{E}\log\det(I + Δη\,Σ) - \frac12\int_η^{η'}\mathrm{mmse}`$; computed as the frozen
    /// denoiser's step less half of [`log_det_defect`](Self::log_det_defect), where
    /// $`\frac12Δη\,\mathrm{mmse}`$ has cancelled on paper. It is of third order in the step and what it is
    /// computed from is of second. `None` where that is.
    fn moment_matched_step(&self, from: f64, to: f64) -> Option<f64> {
        let defect = self.log_det_defect(from, Step::new(from, to).eta_rise())?;
        Some(self.prior_step(from, to, 0.0) - 0.5 * defect)
    }

    /// $`\mathbb{E}\log\det(I + Δη\,Σ_τ)`$: twice the mutual information that a Gaussian channel of the
    /// posterior's covariance would gain. `None` where [`log_det_defect`](Self::log_det_defect) is.
    fn expected_log_det(&self, tau: f64, eta_rise: f64) -> Option<f64> {
        Some(eta_rise * self.mmse(tau) - self.log_det_defect(tau, eta_rise)?)
    }

    /// $`\mathrm{MI}(\text{to}) - \mathrm{MI}(\text{from})`$ for clocks `to` < `from`.
    fn information_gain(&self, from: f64, to: f64) -> f64 {
        self.mutual_information(to) - self.mutual_information(from)
    }

    /// $`J = e^{-2τ} I`$, the Fisher information of $`X_0 + N(0, vI)`$; non-increasing in τ.
    fn fisher_information(&self, tau: f64) -> f64 {
        (-2.0 * tau).exp() * self.score_square(tau)
    }

    /// $`M = \mathbb{E}\lvert X_τ\rvert^2 = d + e^{-2τ}(M_2 - d)`$.
    fn second_moment_at(&self, tau: f64) -> f64 {
        let kept = (-2.0 * tau).exp();
        kept * self.second_moment() - self.dim() as f64 * (-2.0 * tau).exp_m1()
    }

    /// Differential entropy $`h`$ of $`q_τ`$.
    fn entropy(&self, tau: f64) -> f64 {
        let noise = -(-2.0 * tau).exp_m1();
        self.mutual_information(tau) + 0.5 * self.dim() as f64 * (1.0 + (2.0 * PI * noise).ln())
    }
}

macro_rules! by_reference {
    ($($ty:ty),*) => {$(
        impl<C: ErrorCurve + ?Sized> ErrorCurve for $ty {
            fn dim(&self) -> usize {
                (**self).dim()
            }
            fn second_moment(&self) -> f64 {
                (**self).second_moment()
            }
            fn total_variance(&self) -> f64 {
                (**self).total_variance()
            }
            fn least_clock(&self) -> f64 {
                (**self).least_clock()
            }
            fn is_exact(&self) -> bool {
                (**self).is_exact()
            }
            fn mmse(&self, tau: f64) -> f64 {
                (**self).mmse(tau)
            }
            fn score_square(&self, tau: f64) -> f64 {
                (**self).score_square(tau)
            }
            fn relative_score_square(&self, tau: f64) -> f64 {
                (**self).relative_score_square(tau)
            }
            fn score_squares(&self, clocks: &[f64]) -> Vec<f64> {
                (**self).score_squares(clocks)
            }
            fn relative_score_squares(&self, clocks: &[f64]) -> Vec<f64> {
                (**self).relative_score_squares(clocks)
            }
            fn mutual_information(&self, tau: f64) -> f64 {
                (**self).mutual_information(tau)
            }
            fn information_gain(&self, from: f64, to: f64) -> f64 {
                (**self).information_gain(from, to)
            }
            fn relative_entropy(&self, tau: f64) -> f64 {
                (**self).relative_entropy(tau)
            }
            fn covariance_gap(&self, tau: f64, prior: f64) -> f64 {
                (**self).covariance_gap(tau, prior)
            }
            fn log_det_defect(&self, tau: f64, eta_rise: f64) -> Option<f64> {
                (**self).log_det_defect(tau, eta_rise)
            }
            fn coordinate_mmse(&self, tau: f64) -> Option<Vec<f64>> {
                (**self).coordinate_mmse(tau)
            }
            fn coordinate_prior_step(&self, from: f64, to: f64, prior: &[f64]) -> Option<f64> {
                (**self).coordinate_prior_step(from, to, prior)
            }
            fn prior_step(&self, from: f64, to: f64, prior: f64) -> f64 {
                (**self).prior_step(from, to, prior)
            }
            fn prior_steps(&self, clocks: &[f64], prior: f64) -> Vec<f64> {
                (**self).prior_steps(clocks, prior)
            }
            fn moment_matched_step(&self, from: f64, to: f64) -> Option<f64> {
                (**self).moment_matched_step(from, to)
            }
        }
    )*};
}
by_reference!(&C, Box<C>);
