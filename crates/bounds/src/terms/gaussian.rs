//! The exact law of each sampler for Gaussian data.

use numeric::special::{r_minus_1_minus_ln, x_minus_ln_1p};
use numeric::{Error, TimeGrid};

use super::Scheme;
use crate::curve::{Clock, GaussianCurve, Step};

/// How far the law $`p_N`$ of a sampler of Gaussian data is from $`q_δ`$.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct GaussianSampler {
    /// $`\mathrm{KL}(q_δ \,\|\, p_N)`$, in nats.
    pub kl: f64,
    /// The Wasserstein distance $`W_2(q_δ, p_N)`$.
    pub w2: f64,
    /// $`\sum_k \mathbb{E}\,\mathrm{KL}`$ of the true reverse kernel to the sampler's, in nats; without the
    /// initialisation term.
    pub chain: f64,
}

/// The law of a sampler with the exact score of $`N(μ, C)`$, in closed form.
///
/// # Statement
/// In the eigenbasis of $`C`$, with `means` $`μ_i`$, `eigenvalues` $`c_i`$,
/// $`λ = 1 + e^{-2τ}(c_i - 1)`$ and $`g = τ_k - τ_{k+1}`$, each coordinate is an autoregression
/// ```math
/// y_{k+1} = α y_k + β s_k(y_k) + \sqrt{S} z_k, \qquad s_k(y) = -(y - e^{-τ_k} μ_i)/λ_k,
/// \qquad y_0 \sim N(0, 1),
/// ```
///
/// | scheme | $`α`$ | $`β`$ | $`S`$ |
/// |---|---|---|---|
/// | S | $`e^g`$ | $`2(e^g - 1)`$ | $`e^{2g} - 1`$ |
/// | V | $`e^g`$ | $`2 \sinh g`$ | $`e^{2g} - 1`$ |
/// | R | $`2 - e^{-g}`$ | $`2(1 - e^{-g})`$ | $`1 - e^{-2g}`$ |
/// | EM | $`1 + g`$ | $`2g`$ | $`2g`$ |
/// | D, $`G_c`$ ($`c = 0`$ for D, $`c_i`$ for L) | $`e^g`$ | $`2 \sinh g`$ | $`(e^{2g} - 1) \frac{v' + c}{v + c}`$ |
///
/// The true reverse kernel is that of $`G_{c_i}`$. So $`p_N`$ is Gaussian with the same eigenvectors.
///
/// # Returns
/// The exact marginal KL, $`W_2`$, and the KL of the chains of nodes, which for V, D, $`G`$ and L equals the
/// [discretisation term](super::discretization) and for S, R and EM is below it.
///
/// # Errors
/// [`Error::Shape`] for different lengths or none, [`Error::Entry`] for a mean or eigenvalue that is not
/// finite, or an eigenvalue that is negative; those of [`discretization`](super::discretization).
///
/// ```
/// use bounds::terms::{Scheme, gaussian_sampler};
/// let grid = numeric::TimeGrid::uniform(3.0, 0.1, 20)?;
/// // A grid does not matter to the sampler that knows the covariance.
/// let law = gaussian_sampler(&Scheme::MomentMatched(vec![0.5, 2.0]), &[0.0; 2], &[0.5, 2.0], &grid)?;
/// assert!(law.chain < 1e-30 && law.kl < 1e-6);
/// let ddpm = gaussian_sampler(&Scheme::FrozenDenoiser, &[0.0; 2], &[0.5, 2.0], &grid)?;
/// assert!(ddpm.kl > 1e-3 && ddpm.kl < ddpm.chain);
/// # Ok::<(), numeric::Error>(())
/// ```
pub fn gaussian_sampler(
    scheme: &Scheme,
    means: &[f64],
    eigenvalues: &[f64],
    grid: &TimeGrid,
) -> Result<GaussianSampler, Error> {
    Error::shape("means", &[eigenvalues.len()], &[means.len()])?;
    Error::entries("means", means.iter().copied(), "a finite number", f64::is_finite)?;
    let eigenvalues = GaussianCurve::new(eigenvalues.to_vec(), 0.0)?;
    let eigenvalues = eigenvalues.eigenvalues();
    scheme.check(eigenvalues.len())?;
    let clock = Clock::new(grid)?;
    let end = clock.end();
    let mut law = GaussianSampler { kl: 0.0, w2: 0.0, chain: 0.0 };
    for (i, (&mean, &c)) in means.iter().zip(eigenvalues).enumerate() {
        let (mut y, mut variance) = (0.0, 1.0);
        for step in clock.steps() {
            let Kernel { keep, score, spread } = Kernel::new(scheme, &step, i, c);
            let lambda = marginal_variance(step.from, c);
            let centre = (-step.from).exp() * mean;
            let slope = keep - score / lambda;
            law.chain += chain_term(scheme, &step, i, c, mean);
            y = slope * y + score * centre / lambda;
            variance = slope * slope * variance + spread;
        }
        let (true_mean, lambda) = ((-end).exp() * mean, marginal_variance(end, c));
        law.kl += 0.5 * (r_minus_1_minus_ln(lambda / variance) + (y - true_mean).powi(2) / variance);
        law.w2 += (lambda.sqrt() - variance.sqrt()).powi(2) + (y - true_mean).powi(2);
    }
    law.w2 = law.w2.sqrt();
    Ok(law)
}

/// $`λ = 1 + e^{-2τ}(c - 1)`$.
fn marginal_variance(tau: f64, c: f64) -> f64 {
    (-2.0 * tau).exp() * c - (-2.0 * tau).exp_m1()
}

/// One step of a sampler in one coordinate: α, β and S.
struct Kernel {
    keep: f64,
    score: f64,
    spread: f64,
}

impl Kernel {
    /// `c` is the variance of the data in coordinate `i`.
    fn new(scheme: &Scheme, step: &Step, i: usize, c: f64) -> Kernel {
        let g = step.length;
        let prior = |c: f64| Kernel {
            keep: g.exp(),
            score: 2.0 * g.sinh(),
            spread: (2.0 * g).exp_m1() * ((step.v_to + c) / (step.v_from + c)),
        };
        let noise = (2.0 * g).exp_m1();
        match scheme {
            Scheme::ExponentialIntegrator => Kernel { keep: g.exp(), score: 2.0 * g.exp_m1(), spread: noise },
            Scheme::FrozenScore => Kernel { keep: g.exp(), score: 2.0 * g.sinh(), spread: noise },
            Scheme::FrozenRelativeScore => {
                let lost = -(-g).exp_m1();
                Kernel { keep: 1.0 + lost, score: 2.0 * lost, spread: -(-2.0 * g).exp_m1() }
            }
            Scheme::EulerMaruyama => Kernel { keep: 1.0 + g, score: 2.0 * g, spread: 2.0 * g },
            Scheme::FrozenDenoiser => prior(0.0),
            Scheme::GaussianPrior(c) => prior(*c),
            Scheme::MomentMatched(variances) => prior(variances[i]),
            Scheme::LocallyMomentMatched => prior(c),
        }
    }
}

/// The mean KL of the true kernel to the sampler's over one step, in coordinate `i`.
fn chain_term(scheme: &Scheme, step: &Step, i: usize, c: f64, mean: f64) -> f64 {
    let (g, lambda) = (step.length, marginal_variance(step.from, c));
    let sampler = Kernel::new(scheme, step, i, c);
    // α and β of the true kernel less those of the sampler, and S/S' - 1, each without cancellation.
    let second = (2.0 * (0.5 * g).sinh()).powi(2); // e^g + e^{-g} - 2
    let excess = |prior: f64| step.v_drop / (c + step.v_from) * (c - prior) / (prior + step.v_to);
    let (keep, score, ratio) = match scheme {
        Scheme::ExponentialIntegrator => (0.0, -second, -step.v_drop / (c + step.v_from)),
        Scheme::FrozenScore => (0.0, 0.0, -step.v_drop / (c + step.v_from)),
        Scheme::FrozenRelativeScore => (second, second, excess(1.0)),
        Scheme::EulerMaruyama => {
            let spread = Kernel::new(&Scheme::LocallyMomentMatched, step, i, c).spread;
            let grown = numeric::special::g_minus_1_plus_exp_neg(-g);
            (grown, 2.0 * super::drift::sinh_minus(g), spread / sampler.spread - 1.0)
        }
        Scheme::FrozenDenoiser => (0.0, 0.0, excess(0.0)),
        Scheme::GaussianPrior(prior) => (0.0, 0.0, excess(*prior)),
        Scheme::MomentMatched(prior) => (0.0, 0.0, excess(prior[i])),
        Scheme::LocallyMomentMatched => (0.0, 0.0, 0.0),
    };
    // The means differ by keep · y + score · s_k(y), y ~ N(e^{-τ} μ, λ).
    let at_centre = keep * (-step.from).exp() * mean;
    let slope = keep - score / lambda;
    let square = at_centre * at_centre + slope * slope * lambda;
    0.5 * (x_minus_ln_1p(ratio) + square / sampler.spread)
}
