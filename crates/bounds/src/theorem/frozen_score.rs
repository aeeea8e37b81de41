//! Bounds for the frozen score (V) and the exponential integrator (S).

use numeric::special::{c_step, g_minus_1_plus_exp_neg};
use numeric::{Error, TimeGrid};

use super::{dimension, log_ratio_of, nonnegative, rho_of};
use crate::curve::{Clock, ErrorCurve, Step};

/// A bound of $`\mathrm{Disc}_S`$, in the parts in which it is proved.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct FrozenScoreBound {
    /// Bound of $`\mathrm{Disc}_V`$, alone valid for the scheme V.
    pub variance_clock: f64,
    /// Bound of $`\mathrm{Disc}_S - \mathrm{Disc}_V = \sum_k c(g_k) I_k`$.
    pub integrator: f64,
}

impl FrozenScoreBound {
    /// The bound of $`\mathrm{Disc}_S`$, in nats.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.variance_clock + self.integrator
    }
}

/// Fisher bound: discretisation by the Fisher information at the nodes.
///
/// # Statement
/// ```math
/// \mathrm{Disc}_V \le \frac12 \sum_k (v_k - v_{k+1})(J_{k+1} - J_k), \qquad
/// \mathrm{Disc}_S \le \mathrm{Disc}_V + \sum_k c(g_k)\, I_k .
/// ```
///
/// # Assumptions
/// A finite second moment; exact score.
///
/// # Returns
/// Nats. Tends to twice the exact term on fine grids.
///
/// *Derivation.* $`\mathrm{Disc}_V = \frac12 \sum_k \int_{v_{k+1}}^{v_k} (J - J_k)\,dv`$, and $`J`$ does not
/// increase with v.
///
/// # Errors
/// Those of [`discretization`](crate::terms::discretization).
///
/// ```
/// use bounds::curve::GaussianCurve;
/// use bounds::terms::{Scheme, discretization};
/// use bounds::theorem::fisher_bound;
/// let grid = numeric::TimeGrid::uniform(2.0, 0.5, 1000)?;
/// let curve = GaussianCurve::new(vec![1.0], 0.0)?;
/// let exact = discretization(&Scheme::FrozenScore, &curve, &grid)?;
/// assert!((fisher_bound(&curve, &grid)?.variance_clock / exact - 2.0).abs() < 1e-2);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// A sharper form of Benton, De Bortoli, Doucet, Deligiannidis (2024), *Nearly d-linear convergence bounds
/// for diffusion models via stochastic localization*, Theorem 1; derived here.
pub fn fisher_bound(curve: &dyn ErrorCurve, grid: &TimeGrid) -> Result<FrozenScoreBound, Error> {
    let mut bound = FrozenScoreBound { variance_clock: 0.0, integrator: 0.0 };
    let clock = Clock::new(grid)?.on(curve)?;
    let mut score_square = curve.score_square(clock.start());
    for step in clock.steps() {
        let next = curve.score_square(step.to);
        let rise = (-2.0 * step.to).exp() * next - (-2.0 * step.from).exp() * score_square;
        bound.variance_clock += 0.5 * step.v_drop * rise;
        bound.integrator += c_step(step.length) * score_square;
        score_square = next;
    }
    Ok(bound)
}

/// Sharp grid bound: linear in the dimension, for any data and any grid.
///
/// # Statement
/// ```math
/// \mathrm{Disc}_V \le \frac d2 \Bigl[ \frac{v_{N-1} - v_N}{v_N}
///   + \sum_{k=1}^{N-1} \frac{(v_{k-1} - 2 v_k + v_{k+1})_+}{v_k} \Bigr], \qquad
/// \mathrm{Disc}_S \le \mathrm{Disc}_V + d \sum_k \frac{c(g_k)}{1 - e^{-2τ_k}} .
/// ```
///
/// # Assumptions
/// A finite second moment; exact score. Nothing on the covariance or the smoothness of the data.
///
/// # Returns
/// Nats. Near the [Fisher bound](fisher_bound) for point masses; on good grids of N steps $`O(d Λ^2/N)`$.
///
/// *Derivation.* Sum the Fisher bound by parts: $`J_k`$ has the coefficient
/// $`\frac12[(v_{k-1} - v_k) - (v_k - v_{k+1})]`$ inside, $`-\frac12(v_0 - v_1)`$ at the start. Then
/// $`0 \le J \le d/v`$, from $`v J + \mathrm{mmse}/v = d`$; the same gives $`I_k \le d/(1 - e^{-2τ_k})`$.
///
/// # Errors
/// [`Error::Domain`] for `dim` = 0; those of [`kappa`](super::kappa).
///
/// ```
/// use bounds::theorem::{grid_bound, sharp_grid_bound};
/// let grid = numeric::TimeGrid::uniform(3.0, 0.1, 30)?;
/// let (sharp, closed) = (sharp_grid_bound(2, &grid)?, grid_bound(2, &grid)?);
/// assert!(sharp.total() < closed.total() && sharp.integrator == closed.integrator);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// As [`fisher_bound`].
pub fn sharp_grid_bound(dim: usize, grid: &TimeGrid) -> Result<FrozenScoreBound, Error> {
    let (d, clock) = (dimension(dim)?, Clock::new(grid)?);
    let mut sum = 0.0;
    let mut before: Option<Step> = None;
    for step in clock.steps() {
        if let Some(before) = before {
            sum += ((before.v_drop - step.v_drop) / step.v_from).max(0.0);
        }
        before = Some(step);
    }
    let last = before.map_or(0.0, |step| step.v_drop / step.v_to);
    Ok(FrozenScoreBound { variance_clock: 0.5 * d * (last + sum), integrator: integrator(d, clock.steps()) })
}

/// Grid bound: the closed form for planning a grid.
///
/// # Statement
/// With [ρ](super::rho) and [Λ](super::log_ratio) of the grid,
/// ```math
/// \mathrm{Disc}_V \le \frac{ρ d}{2} (1 + Λ), \qquad
/// \mathrm{Disc}_S \le \mathrm{Disc}_V + d \sum_k \frac{c(g_k)}{1 - e^{-2τ_k}} .
/// ```
///
/// # Assumptions
/// A finite second moment; exact score.
///
/// # Returns
/// Nats. On the grid with constant $`v_k/v_{k+1}`$ within a factor 2 of the exact term of a point mass, as
/// $`N, Λ → ∞`$.
///
/// *Derivation.* In the Fisher bound $`v_k - v_{k+1} \le ρ v_{k+1}`$, and by parts
/// $`\sum_k v_{k+1}(J_{k+1} - J_k) = v_N J_N - v_0 J_0 + \sum_k (v_k - v_{k+1}) J_k \le v_N J_N + \int J\,dv`$;
/// $`J \le d/v`$.
///
/// # Errors
/// Those of [`sharp_grid_bound`].
///
/// ```
/// let grid = numeric::TimeGrid::from_nodes(vec![0.5 * 4f64.ln(), 0.5 * 2f64.ln()])?; // v = 3, 1
/// let bound = bounds::theorem::grid_bound(5, &grid)?;
/// assert!((bound.variance_clock - 5.0 * (1.0 + 3f64.ln())).abs() < 1e-13);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// As [`fisher_bound`].
pub fn grid_bound(dim: usize, grid: &TimeGrid) -> Result<FrozenScoreBound, Error> {
    let (d, clock) = (dimension(dim)?, Clock::new(grid)?);
    let variance_clock = 0.5 * d * rho_of(clock.steps()) * (1.0 + log_ratio_of(&clock));
    Ok(FrozenScoreBound { variance_clock, integrator: integrator(d, clock.steps()) })
}

/// $`d \sum_k c(g_k)/(1 - e^{-2τ_k})`$.
fn integrator(d: f64, steps: impl Iterator<Item = Step>) -> f64 {
    d * steps.map(|step| c_step(step.length) / step.noise_from()).sum::<f64>()
}

/// Lipschitz bound: linear in the dimension, without early stopping.
///
/// # Statement
/// If $`∇\log q_τ`$ is L-Lipschitz for all $`τ ∈ [δ, T]`$, L = `lipschitz`,
/// ```math
/// \mathrm{Disc}_V \le \frac{d L^2}{2} \sum_k (2 g_k - 1 + e^{-2 g_k}), \qquad
/// \mathrm{Disc}_S \le \mathrm{Disc}_V + d L \sum_k c(g_k)
///   \le d L^2 \sum_k g_k^2 + \frac{d L}{3} \sum_k g_k^3 .
/// ```
///
/// # Assumptions
/// The Lipschitz constant, for which L ≥ 1 is to be expected: the score of γ has 1. `δ = 0` is allowed. No
/// condition on the steps.
///
/// # Returns
/// Nats. Equality for S and V if the data are $`N(\cdot, I)`$, L = 1.
///
/// *Derivation.* With $`H = ∇^2\log q`$ along the path,
/// $`\mathbb{E}\lvert s_τ - s_{τ_k}\rvert^2 = 2\int_0^u e^{-2(u - r)}\, \mathbb{E}\lVert H\rVert_F^2\,dr + (1 - e^{-u})^2 I_k`$;
/// $`\lVert H\rVert_F^2 \le d L^2`$ and $`I = -\mathbb{E}\,\mathrm{tr} H \le dL`$.
///
/// # Errors
/// [`Error::Domain`] for `dim` = 0 and a `lipschitz` that is not positive and finite; those of
/// [`kappa`](super::kappa), but the last clock may be 0.
///
/// ```
/// use bounds::curve::GaussianCurve;
/// use bounds::terms::{Scheme, discretization};
/// use bounds::theorem::lipschitz_bound;
/// let grid = numeric::TimeGrid::uniform(3.0, 0.1, 7)?;
/// let curve = GaussianCurve::new(vec![1.0; 4], 9.0)?;
/// let exact = discretization(&Scheme::ExponentialIntegrator, &curve, &grid)?;
/// assert!((lipschitz_bound(4, 1.0, &grid)?.total() / exact - 1.0).abs() < 1e-12);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// Compare Chen, Chewi, Li, Li, Salim, Zhang (2023), *Sampling is as easy as learning the score*, ICLR,
/// Theorem 2; derived here with constants and without its conditions on steps and second moment.
pub fn lipschitz_bound(dim: usize, lipschitz: f64, grid: &TimeGrid) -> Result<FrozenScoreBound, Error> {
    let (d, clock) = (dimension(dim)?, Clock::to_data(grid)?);
    Error::positive("lipschitz", lipschitz)?;
    let squares: f64 = clock.steps().map(|step| g_minus_1_plus_exp_neg(2.0 * step.length)).sum();
    let cubes: f64 = clock.steps().map(|step| c_step(step.length)).sum();
    Ok(FrozenScoreBound {
        variance_clock: 0.5 * d * lipschitz * lipschitz * squares,
        integrator: d * lipschitz * cubes,
    })
}

/// Bound without early stopping, for data of finite Fisher information.
///
/// # Statement
/// With $`I_0 = \mathbb{E}\lvert ∇\log q_0\rvert^2`$ = `fisher`, on a grid that ends at $`τ_N = 0`$,
/// ```math
/// \mathrm{Disc}_V \le \frac{ρ d}{2} \Bigl(1 + \log\frac{v_0}{v_{N-1}}\Bigr) + \frac12 v_{N-1} I_0, \qquad
/// \mathrm{Disc}_S \le \mathrm{Disc}_V + d \sum_k \frac{c(g_k)}{1 - e^{-2τ_k}},
/// ```
/// ρ over all steps but the last. The choice $`v_{N-1} = ρ d/I_0`$ balances the two.
///
/// # Assumptions
/// Data with a weakly differentiable density and $`I_0`$ at least its Fisher information: at most dL if their
/// score is L-Lipschitz.
///
/// # Returns
/// Nats.
///
/// *Derivation.* The [grid bound](grid_bound) over the first steps, and
/// $`\frac12\int_0^{v}(J - J_{N-1}) \le \frac12 v J(0)`$, $`J(0) = I_0`$, for the last.
///
/// # Errors
/// [`Error::Domain`] for `dim` = 0, a `fisher` that is negative or not finite, or a grid that does not end at
/// 0; those of [`kappa`](super::kappa) otherwise.
///
/// ```
/// let grid = numeric::TimeGrid::from_nodes(vec![0.5 * 4f64.ln(), 0.5 * 2f64.ln(), 0.0])?; // v = 3, 1, 0
/// let bound = bounds::theorem::finite_fisher_bound(2, 3.0, &grid)?;
/// assert!((bound.variance_clock - (2.0 * (1.0 + 3f64.ln()) + 1.5)).abs() < 1e-13);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// Compare Chen, Lee, Lu (2023), *Improved analysis of score-based generative modeling*, ICML; derived here.
pub fn finite_fisher_bound(dim: usize, fisher: f64, grid: &TimeGrid) -> Result<FrozenScoreBound, Error> {
    let (d, clock) = (dimension(dim)?, Clock::to_data(grid)?);
    nonnegative("fisher", fisher)?;
    Error::domain(clock.end() == 0.0, "early_stop", clock.end(), "a grid that ends at 0")?;
    let (first, log_ratio) = (clock.len() - 1, last_but_one(&clock));
    let rho = rho_of(clock.steps().take(first));
    let last = clock.steps().next_back().map_or(0.0, |step| step.v_from);
    let variance_clock = 0.5 * (rho * d * (1.0 + log_ratio) + last * fisher);
    Ok(FrozenScoreBound { variance_clock, integrator: integrator(d, clock.steps()) })
}

/// $`\log(v_0/v_{N-1})`$.
fn last_but_one(clock: &Clock) -> f64 {
    let end = clock.steps().next_back().map_or(clock.end(), |step| step.from);
    Step::new(clock.start(), end).log_ratio()
}
