//! The cost of a step between any two nodes of a mesh, in a few operations.

use numeric::{Error, TimeGrid};
use rayon::prelude::*;

use crate::curve::{Clock, ErrorCurve, Step, noise_per_signal};
use crate::terms::{Drifts, Length, Scheme, step_term};

/// The costs of all steps between the nodes of a mesh, in closed form from what the curve is at the nodes.
///
/// With the prior variances c, the precisions $`P = 1 + cη`$ (η for c = ∞) and Δ of a step from node i to node j, it
/// costs
/// ```math
/// \frac12 \sum \Bigl[Δ\log P + \frac{P_i}{P_j} (1 + Δη\,\mathrm{mmse}_i) - 1\Bigr] - Δ\mathrm{MI},
/// ```
/// the sum over the coordinates with their parts of mmse, and what S, R and EM add. The terms cancel down to some
/// 1e-15 of what they are made of: enough to choose a grid by, not to say what it costs.
pub(super) struct Mesh<'a> {
    scheme: &'a Scheme,
    curve: &'a dyn ErrorCurve,
    pub(super) clocks: Vec<f64>,
    eta: Vec<f64>,
    /// $`e^{-τ}`$.
    kept: Vec<f64>,
    /// $`\frac12\sum\log P - \mathrm{MI}`$.
    potential: Vec<f64>,
    /// Node by node, for each prior: P, times the part of mmse, and 1/P.
    precision: Vec<f64>,
    weighted: Vec<f64>,
    inverse: Vec<f64>,
    /// Number of priors, and of coordinates that share one.
    priors: usize,
    share: f64,
    drifts: Drifts,
}

impl<'a> Mesh<'a> {
    pub(super) fn new(
        scheme: &'a Scheme,
        curve: &'a dyn ErrorCurve,
        mesh: &TimeGrid,
    ) -> Result<Mesh<'a>, Error> {
        scheme.check(curve.dim())?;
        Clock::new(mesh)?.on(curve)?;
        // Says so if the curve does not know the scheme.
        let clocks: Vec<f64> = mesh.nodes().iter().map(|node| node.t).collect();
        step_term(scheme, curve, &Step::new(clocks[0], clocks[1]))?;

        let by_coordinate = matches!(scheme, Scheme::MomentMatched(_));
        let priors = if let Scheme::MomentMatched(priors) = scheme { priors } else { &vec![scheme.prior()] };
        let share = if by_coordinate { 1.0 } else { curve.dim() as f64 };
        let (mut precision, mut weighted, mut potential) = (Vec::new(), Vec::new(), Vec::new());
        let mut information = 0.0;
        for (i, &tau) in clocks.iter().enumerate() {
            let eta = noise_per_signal(tau).recip();
            let parts = curve.coordinate_mmse(tau).filter(|_| by_coordinate);
            let parts = parts.unwrap_or_else(|| vec![curve.mmse(tau)]);
            let of_prior = priors.iter().map(|&c| if c == f64::INFINITY { eta } else { 1.0 + c * eta });
            weighted.extend(of_prior.clone().zip(parts).map(|(p, part)| p * part));
            if i > 0 {
                information += curve.information_gain(clocks[i - 1], tau);
            }
            potential.push(0.5 * share * of_prior.clone().map(f64::ln).sum::<f64>() - information);
            precision.extend(of_prior);
        }
        let inverse = precision.iter().map(|p| p.recip()).collect();
        let eta = clocks.iter().map(|&tau| noise_per_signal(tau).recip()).collect();
        let kept = clocks.iter().map(|tau| (-tau).exp()).collect();
        let drifts = Drifts::new(scheme, curve, &clocks);
        let priors = priors.len();
        Ok(Mesh {
            scheme,
            curve,
            clocks,
            eta,
            kept,
            potential,
            precision,
            weighted,
            inverse,
            priors,
            share,
            drifts,
        })
    }

    /// What the step from node i to node j > i costs.
    pub(super) fn cost(&self, i: usize, j: usize) -> f64 {
        let (from, to) = (i * self.priors..(i + 1) * self.priors, j * self.priors..(j + 1) * self.priors);
        let (mut ratios, mut errors) = (0.0, 0.0);
        let rows = self.precision[from.clone()].iter().zip(&self.weighted[from]);
        for ((p, weighted), inverse) in rows.zip(&self.inverse[to]) {
            ratios += p * inverse;
            errors += weighted * inverse;
        }
        let rise = self.eta[j] - self.eta[i];
        // Known: the constructor has asked for a step.
        let defect = || self.curve.log_det_defect(self.clocks[i], rise).unwrap_or(f64::NAN);
        let local = if *self.scheme == Scheme::LocallyMomentMatched { defect() } else { 0.0 };
        let excess = self.share * (ratios - self.priors as f64) + rise * errors - local;
        let drift = match &self.drifts {
            Drifts::None => 0.0,
            drifts => {
                let (g, p) = (self.clocks[i] - self.clocks[j], self.kept[i] / self.kept[j]);
                drifts.term(i, Length::Rounded { g, p })
            }
        };
        self.potential[j] - self.potential[i] + 0.5 * excess + drift
    }

    /// Whether $`w(a, c) + w(b, d) \le w(a, d) + w(b, c)`$ for all nodes a < b ≤ c < d, which makes the search
    /// fast: it is then enough that it holds for neighbours a, b and c, d.
    ///
    /// A theorem for the curves of laws and steps with the exact conditional mean. There $`w(a, d) - w(a, c)`$ is the integral
    /// over η from c to d of half the error of the linear estimator that the step from a stands for, which takes the
    /// posterior mean at a for a Gaussian prior mean: $`E_a(η) = [P_a^2\,\mathrm{mmse}_a + (η - η_a) d\,c^2] / P(η)^2`$ with
    /// $`P = 1 + cη`$, up to what does not depend on a. That of b is $`E_b(η)`$, and $`P_b^2\,\mathrm{mmse}_b \le
    /// P_a^2\,\mathrm{mmse}_a + (η_b - η_a) d\,c^2`$, since the left is least among all estimators at b and the right that of
    /// one of them. For L the same holds given the state at a, with its covariance for the prior, and the mean over the states at b by
    /// concavity of $`Σ \mapsto \operatorname{tr}(Σ^{-1} + t)^{-1}`$. S, R and EM are tried.
    pub(super) fn is_monge(&self) -> bool {
        if matches!(self.drifts, Drifts::None) {
            return true;
        }
        let n = self.clocks.len();
        let scale = self.cost(0, n - 1).abs();
        let row = |i: usize| -> Vec<f64> { (i + 1..n).map(|j| self.cost(i, j)).collect() };
        // w(i, j) is row(i)[j - i - 1].
        let holds = |here: &[f64], after: &[f64]| {
            let of_after = |k: usize| if k == 0 { 0.0 } else { after[k - 1] };
            (0..after.len()).all(|k| here[k] + after[k] <= here[k + 1] + of_after(k) + 1e-12 * scale)
        };
        const ROWS: usize = 64;
        (0..(n - 2).div_ceil(ROWS)).into_par_iter().all(|block| {
            let mut here = row(block * ROWS);
            (block * ROWS..((block + 1) * ROWS).min(n - 2)).all(|i| {
                let after = row(i + 1);
                let monge = holds(&here, &after);
                here = after;
                monge
            })
        })
    }
}
