//! The parts of a likelihood bound that do not depend on the model, token by token.

use std::f64::consts::PI;

use numeric::Error;
use numeric::special::r_minus_1_minus_ln;

use super::times::Span;
use crate::denoise::Noising;
use crate::denoise::likelihood::Likelihood;

/// KL divergence from $`q_{T|0}(\cdot \mid v)`$ to the stationary law, for each clean value v. As
/// [`Noising::prior_kl`], also after an infinite time of the clock.
pub(super) fn prior_kl(noising: &Noising, end: f64) -> Result<Vec<f64>, Error> {
    let (likelihood, stationary) = (Likelihood::new(noising, end)?, noising.stationary()?);
    let mut law = vec![0.0; noising.states()];
    let of = |v: u32| {
        likelihood.law_into(v, &mut law);
        let terms = law.iter().zip(&stationary);
        terms.map(|(&q, &pi)| if q == 0.0 { pi } else { q * r_minus_1_minus_ln(pi / q) }).sum()
    };
    Ok(noising.generator().state_range().map(of).collect())
}

/// The constant of L_CT for each clean value v, without the prior's term:
///
/// ```math
/// \int_\delta^T \sum_x q_{t|0}(x \mid v) \sum_{y \ne x} R_t(x, y) \Bigl( \ln \frac{R_t(x, y)\, q_{t|0}(x \mid v)}
/// {q_{t|0}(y \mid v)} - 1 \Bigr) \, \mathrm dt .
/// ```
///
/// By Gauss–Legendre rules in $`u`$ with $`t = \delta + (T - \delta) u^3`$, without the logarithm's singularity at 0; two
/// of them, whose difference is the residual.
pub(super) fn path_constant(noising: &Noising, span: Span) -> Result<Vec<f64>, Error> {
    let (coarse, fine) = (with_nodes(noising, span, 60)?, with_nodes(noising, span, 120)?);
    let residual =
        coarse.iter().zip(&fine).fold(0.0, |top: f64, (a, b)| top.max((a - b).abs() / (1.0 + b.abs())));
    // NaN fails the comparison.
    if residual <= 1e-6 {
        return Ok(fine);
    }
    Err(Error::NotConverged { routine: "the constant of L_CT", iterations: 120, residual })
}

fn with_nodes(noising: &Noising, span: Span, nodes: usize) -> Result<Vec<f64>, Error> {
    let generator = noising.generator();
    let states = noising.states();
    // Σ_y R (ln R - 1) and the total rate, for β = 1.
    let (mut entropies, mut exits) = (vec![0.0; states], vec![0.0; states]);
    for x in generator.state_range() {
        let entropy = &mut entropies[x as usize];
        generator.for_each_rate(x, &mut |_, rate| *entropy += rate * (rate.ln() - 1.0));
        exits[x as usize] = generator.exit_rate(x);
    }
    let mut out = vec![0.0; states];
    let (mut law, mut inflow) = (vec![0.0; states], vec![0.0; states]);
    for (u, weight) in gauss_legendre(nodes) {
        let (t, jacobian) = span.cubic(u);
        let beta = noising.beta().rate(t)?;
        let likelihood = Likelihood::new(noising, t)?;
        for (v, out) in (0..).zip(&mut out) {
            likelihood.law_into(v, &mut law);
            generator.inflow_into(&law, &mut inflow);
            let mut sum = 0.0;
            for x in 0..states {
                if law[x] > 0.0 {
                    sum += law[x] * (entropies[x] + exits[x] * (beta.ln() + law[x].ln()));
                }
                if inflow[x] > 0.0 {
                    sum -= inflow[x] * law[x].ln();
                }
            }
            *out += weight * jacobian * beta * sum;
        }
    }
    Ok(out)
}

/// Nodes and weights on [0, 1], by Newton's method.
pub(super) fn gauss_legendre(n: usize) -> Vec<(f64, f64)> {
    let node = |k: usize| {
        let mut x = (PI * (k as f64 + 0.75) / (n as f64 + 0.5)).cos();
        let mut slope = 0.0;
        for _ in 0..6 {
            let (mut before, mut value) = (1.0, x);
            for j in 2..=n {
                let j = j as f64;
                (before, value) = (value, ((2.0 * j - 1.0) * x * value - (j - 1.0) * before) / j);
            }
            slope = n as f64 * (x * value - before) / (x * x - 1.0);
            x -= value / slope;
        }
        (0.5 * (1.0 - x), 1.0 / ((1.0 - x * x) * slope * slope))
    };
    (0..n).map(node).collect()
}
