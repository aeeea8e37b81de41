//! Newton's method on the nodes of a grid.

use numeric::Error;

use crate::curve::{ErrorCurve, Step};
use crate::terms::{Scheme, step_term};

/// A grid whose cost is stationary in its nodes.
pub(super) struct Polished {
    /// Clocks, from noise to data.
    pub(super) clocks: Vec<f64>,
    /// What a further step of Newton's method would still gain, relative to the cost.
    pub(super) residual: f64,
    pub(super) iterations: usize,
}

/// Derivatives of a sum of `cost(x_k, x_{k+1})`: gradient, diagonal and off-diagonal of the Hessian.
struct Derivatives {
    gradient: Vec<f64>,
    diagonal: Vec<f64>,
    off: Vec<f64>,
}

/// Moves the nodes, all but the last and, unless it is `free`, the first, to where the sum of the steps' terms — and for a
/// free start the KL divergence there — does not change to first order. The cost never rises.
///
/// The nodes move in log v, where the terms are smoothest, by Newton's method: the Hessian of a sum over neighbours is
/// tridiagonal. Differences over a thousandth of the steps take the place of derivatives; steps are halved until the cost
/// falls and the nodes keep their order. A free start stays below the clock `longest`.
pub(super) fn polish(
    scheme: &Scheme,
    curve: &dyn ErrorCurve,
    clocks: &[f64],
    free: bool,
    longest: f64,
) -> Result<Polished, Error> {
    const MOST: usize = 60;
    /// Newton's gain relative to the cost at which there is nothing left but rounding.
    const DONE: f64 = 1e-12;
    let mut x: Vec<f64> = clocks.iter().map(|&tau| (2.0 * tau).exp_m1().ln()).collect();
    let clock = |x: f64| 0.5 * x.exp().ln_1p();
    let ends = (clocks[0], clocks[clocks.len() - 1]);
    let (first, last) = (usize::from(!free), x.len() - 1);
    // The ends keep their clocks to the bit.
    let clocks_of = |x: &[f64]| -> Vec<f64> {
        let mut clocks: Vec<f64> = x.iter().map(|&x| clock(x)).collect();
        clocks[last] = ends.1;
        if !free {
            clocks[0] = ends.0;
        }
        clocks
    };
    let term = |from: f64, to: f64| step_term(scheme, curve, &Step::new(clock(from), clock(to)));
    let start = |x: f64| if free { curve.relative_entropy(clock(x)) } else { 0.0 };
    let cost_of = |x: &[f64]| -> Result<f64, Error> {
        let mut sum = start(x[0]);
        for pair in clocks_of(x).windows(2) {
            sum += step_term(scheme, curve, &Step::new(pair[0], pair[1]))?;
        }
        Ok(sum)
    };
    let mut cost = cost_of(&x)?;
    // Terms cancel what they are made of down to this; there is nothing to gain from a cost that is no more.
    let made_of = curve.information_gain(ends.0, ends.1) + 0.5 * curve.dim() as f64 * (x[0] - x[last]);
    let rounding = 1e-13 * made_of;
    let (mut residual, mut iterations) = (0.0, 0);
    while iterations < MOST {
        if first >= last || cost <= rounding {
            break;
        }
        let derivatives = differentiate(&x, free, &term, &start)?;
        let (step, gain) = newton(&derivatives, first, last);
        residual = (gain - rounding).max(0.0) / cost;
        if residual <= DONE {
            break;
        }
        let mut length = 1.0;
        let moved = loop {
            let trial: Vec<f64> = x.iter().zip(&step).map(|(x, s)| x + length * s).collect();
            if trial.windows(2).all(|pair| pair[0] > pair[1]) && clock(trial[0]) <= longest {
                let found = cost_of(&trial)?;
                if found < cost {
                    break Some((trial, found));
                }
            }
            length *= 0.5;
            if length < 1e-6 {
                break None;
            }
        };
        let Some((trial, found)) = moved else { break };
        (x, cost) = (trial, found);
        iterations += 1;
    }
    Ok(Polished { clocks: clocks_of(&x), residual, iterations })
}

fn differentiate(
    x: &[f64],
    free: bool,
    term: &dyn Fn(f64, f64) -> Result<f64, Error>,
    start: &dyn Fn(f64) -> f64,
) -> Result<Derivatives, Error> {
    const SHARE: f64 = 1e-3;
    let n = x.len();
    let (mut gradient, mut diagonal, mut off) = (vec![0.0; n], vec![0.0; n], vec![0.0; n - 1]);
    for k in 0..n - 1 {
        let (a, b) = (x[k], x[k + 1]);
        let h = SHARE * (a - b);
        let here = term(a, b)?;
        let (a_up, a_down) = (term(a + h, b)?, term(a - h, b)?);
        let (b_up, b_down) = (term(a, b + h)?, term(a, b - h)?);
        gradient[k] += (a_up - a_down) / (2.0 * h);
        gradient[k + 1] += (b_up - b_down) / (2.0 * h);
        diagonal[k] += (a_up - 2.0 * here + a_down) / (h * h);
        diagonal[k + 1] += (b_up - 2.0 * here + b_down) / (h * h);
        let corners =
            (term(a + h, b + h)? - term(a + h, b - h)?) - (term(a - h, b + h)? - term(a - h, b - h)?);
        off[k] = corners / (4.0 * h * h);
    }
    if free {
        let h = SHARE * (x[0] - x[1]);
        let (up, here, down) = (start(x[0] + h), start(x[0]), start(x[0] - h));
        gradient[0] += (up - down) / (2.0 * h);
        diagonal[0] += (up - 2.0 * here + down) / (h * h);
    }
    Ok(Derivatives { gradient, diagonal, off })
}

/// Newton's step for the nodes `first..last`, 0 elsewhere, and half the decrease that it promises to first order. Where
/// the Hessian is not positive definite its diagonal is raised until it is.
fn newton(of: &Derivatives, first: usize, last: usize) -> (Vec<f64>, f64) {
    let scale = of.diagonal[first..last].iter().fold(f64::MIN_POSITIVE, |most, d| most.max(d.abs()));
    let mut raised = 0.0;
    loop {
        // Elimination of the tridiagonal system H step = −gradient.
        let (mut pivots, mut right) = (Vec::new(), Vec::new());
        for k in first..last {
            let (mut pivot, mut value) = (of.diagonal[k] + raised, -of.gradient[k]);
            if k > first {
                let factor = of.off[k - 1] / pivots[pivots.len() - 1];
                pivot -= factor * of.off[k - 1];
                value -= factor * right[right.len() - 1];
            }
            if !(pivot > 1e-12 * scale) {
                break;
            }
            pivots.push(pivot);
            right.push(value);
        }
        if pivots.len() < last - first {
            raised = if raised == 0.0 { 1e-6 * scale } else { 10.0 * raised };
            if raised.is_finite() {
                continue;
            }
            return (vec![0.0; of.gradient.len()], f64::NAN);
        }
        let mut step = vec![0.0; of.gradient.len()];
        for k in (first..last).rev() {
            let from_next = if k + 1 < last { of.off[k] * step[k + 1] } else { 0.0 };
            step[k] = (right[k - first] - from_next) / pivots[k - first];
        }
        let slope: f64 = step.iter().zip(&of.gradient).map(|(s, g)| s * g).sum();
        return (step, -0.5 * slope);
    }
}
