//! What samplers whose drift is not that of a Gaussian step cost beyond it.

use numeric::special::{c_step, g_minus_1_plus_exp_neg, phi_3};
use numeric::{exp_in_place, vectorize};

use super::Scheme;
use crate::curve::ErrorCurve;

/// The length g of a step, and how its functions are computed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Length {
    /// A short one, by series that are the functions to the last digit, and have no branches.
    Series(f64),
    /// Any other, without cancellation.
    Precise(f64),
    /// From $`p = e^{-g}`$ without another exponential: short ones by five terms of their series, to 1e-8 of
    /// themselves, long ones to the rounding of 1.
    Rounded { g: f64, p: f64 },
}

/// Below it a series is enough; what is left out is below 2⁻⁵⁷ of the first term.
const SERIES: f64 = 0.0625;
/// Below it five terms are enough for a search.
const SHORT: f64 = 0.03;

/// $`(2^{n-1} - 2)/n!`$ for n = 12 down to 3: $`c(g) = g^3 \sum_n a_n (-g)^{n-3}`$.
const C_SERIES: [f64; 10] = {
    let (mut a, mut factorial, mut n) = ([0.0; 10], 2.0, 3);
    while n <= 12 {
        factorial *= n as f64;
        a[12 - n] = ((1 << (n - 1)) - 2) as f64 / factorial;
        n += 1;
    }
    a
};

/// Σ aₙ xⁿ, the highest first.
#[inline(always)]
fn horner<const N: usize>(x: f64, a: &[f64; N]) -> f64 {
    a.iter().fold(0.0, |sum, a| a + x * sum)
}

/// $`1 + a_1 x (1 + a_2 x (1 + … ))`$, the innermost first.
#[inline(always)]
fn nested<const N: usize>(x: f64, a: &[f64; N]) -> f64 {
    a.iter().fold(1.0, |sum, a| 1.0 + x * a * sum)
}

const THIRD_TO_ELEVENTH: [f64; 9] = {
    let (mut a, mut n) = ([0.0; 9], 3);
    while n <= 11 {
        a[11 - n] = 1.0 / n as f64;
        n += 1;
    }
    a
};

impl Length {
    /// To the last digit.
    pub(crate) fn precise(g: f64) -> Length {
        if g.abs() < SERIES { Length::Series(g) } else { Length::Precise(g) }
    }

    /// c(g).
    #[inline(always)]
    fn shrunk(self) -> f64 {
        match self {
            Length::Series(g) => g * g * g * horner(-g, &C_SERIES),
            Length::Precise(g) => c_step(g),
            Length::Rounded { g, .. } if g < SHORT => {
                g * g * g * (1.0 / 3.0 - g * (0.25 - g * (7.0 / 60.0 - g * (1.0 / 24.0 - g * 31.0 / 2520.0))))
            }
            Length::Rounded { g, p } => g - 2.0 * (1.0 - p) + 0.5 * (1.0 - p * p),
        }
    }

    /// −c(−g).
    #[inline(always)]
    fn grown(self) -> f64 {
        match self {
            Length::Series(g) => g * g * g * horner(g, &C_SERIES),
            Length::Precise(g) => -c_step(-g),
            Length::Rounded { g, .. } if g < SHORT => {
                g * g * g * (1.0 / 3.0 + g * (0.25 + g * (7.0 / 60.0 + g * (1.0 / 24.0 + g * 31.0 / 2520.0))))
            }
            Length::Rounded { g, p } => g + 2.0 * (1.0 - p.recip()) - 0.5 * (1.0 - (p * p).recip()),
        }
    }

    /// sinh g − g.
    #[inline(always)]
    fn sinh_minus(self) -> f64 {
        match self {
            Length::Series(g) => {
                let s = g * g;
                g * s * (1.0 / 6.0) * nested(s, &[1.0 / 110.0, 1.0 / 72.0, 1.0 / 42.0, 1.0 / 20.0])
            }
            Length::Precise(g) => sinh_minus(g),
            Length::Rounded { g, .. } if g < SHORT => {
                g * g * g / 6.0 * (1.0 + g * g / 20.0 * (1.0 + g * g / 42.0))
            }
            Length::Rounded { g, p } => 0.5 * (p.recip() - p) - g,
        }
    }

    /// 4 sinh²(g/2).
    #[inline(always)]
    fn square(self) -> f64 {
        match self {
            Length::Series(g) => {
                let s = g * g;
                s * nested(s, &[1.0 / 90.0, 1.0 / 56.0, 1.0 / 30.0, 1.0 / 12.0])
            }
            Length::Precise(g) => (2.0 * (0.5 * g).sinh()).powi(2),
            Length::Rounded { g, .. } if g < SHORT => g * g * (1.0 + g * g / 12.0 * (1.0 + g * g / 30.0)),
            Length::Rounded { p, .. } => p.recip() + p - 2.0,
        }
    }

    /// g − 1 + e^{-g}.
    #[inline(always)]
    fn rest(self) -> f64 {
        match self {
            Length::Series(g) => 0.5 * g * g * nested(-g, &THIRD_TO_ELEVENTH),
            Length::Precise(g) => g_minus_1_plus_exp_neg(g),
            Length::Rounded { g, .. } if g < SHORT => {
                0.5 * g * g * (1.0 - g / 3.0 * (1.0 - g / 4.0 * (1.0 - g / 5.0 * (1.0 - g / 6.0))))
            }
            Length::Rounded { g, p } => g - 1.0 + p,
        }
    }
}

/// What the steps of S, R or EM from some clocks cost beyond the Gaussian step with the same prior: their drift is not that
/// step's between the nodes.
#[derive(Debug)]
pub(crate) enum Drifts {
    /// Of the schemes that are that step.
    None,
    /// I at the clocks.
    S { squares: Vec<f64> },
    /// F at the clocks.
    R { squares: Vec<f64> },
    /// I at the clocks, $`e^{-2τ}(M_2 - d)`$, and d.
    Em { squares: Vec<f64>, excess: Vec<f64>, dim: f64 },
}

impl Drifts {
    pub(crate) fn new(scheme: &Scheme, curve: &dyn ErrorCurve, clocks: &[f64]) -> Drifts {
        match scheme {
            Scheme::ExponentialIntegrator => Drifts::S { squares: curve.score_squares(clocks) },
            Scheme::FrozenRelativeScore => Drifts::R { squares: curve.relative_score_squares(clocks) },
            Scheme::EulerMaruyama => {
                let (dim, squares) = (curve.dim() as f64, curve.score_squares(clocks));
                let mut excess: Vec<f64> = clocks.iter().map(|tau| -2.0 * tau).collect();
                exp_in_place(&mut excess);
                excess.iter_mut().for_each(|kept| *kept *= curve.second_moment() - dim);
                Drifts::Em { squares, excess, dim }
            }
            _ => Drifts::None,
        }
    }

    /// Of the step of length g from clock k.
    #[inline(always)]
    pub(crate) fn term(&self, k: usize, g: Length) -> f64 {
        match self {
            Drifts::None => 0.0,
            Drifts::S { squares } => g.shrunk() * squares[k],
            Drifts::R { squares } => g.grown() * squares[k],
            Drifts::Em { squares, excess, dim } => of_euler(squares[k], excess[k], *dim, g),
        }
    }

    /// Adds the terms of steps of the given lengths.
    pub(super) fn add_to(&self, terms: &mut [f64], lengths: &[f64]) {
        if lengths.iter().any(|g| !(g.abs() < SERIES)) {
            for (k, (term, &g)) in terms.iter_mut().zip(lengths).enumerate() {
                *term += self.term(k, Length::precise(g));
            }
            return;
        }
        vectorize(
            #[inline(always)]
            || {
                let steps = terms.iter_mut().zip(lengths.iter().map(|&g| Length::Series(g)));
                match self {
                    Drifts::None => {}
                    Drifts::S { squares } => {
                        steps.zip(squares).for_each(|((term, g), square)| *term += g.shrunk() * square);
                    }
                    Drifts::R { squares } => {
                        steps.zip(squares).for_each(|((term, g), square)| *term += g.grown() * square);
                    }
                    Drifts::Em { squares, excess, dim } => {
                        let steps = steps.zip(squares).zip(excess);
                        steps.for_each(|(((term, g), &square), &excess)| {
                            *term += of_euler(square, excess, *dim, g)
                        });
                    }
                }
            },
        );
    }
}

/// $`c(g) I + B + \frac14 C`$.
#[inline(always)]
fn of_euler(square: f64, excess: f64, dim: f64, g: Length) -> f64 {
    let b = 2.0 * dim * g.sinh_minus() - g.square() * square;
    let c = 2.0 * dim * g.rest() + g.grown() * excess;
    g.shrunk() * square + b + 0.25 * c
}

/// sinh g - g, without cancellation near 0.
pub(super) fn sinh_minus(g: f64) -> f64 {
    0.5 * g * g * g * (phi_3(g) + phi_3(-g))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounded_lengths_are_near_the_precise_ones() {
        for g in [1e-9_f64, 1e-4, 0.01, 0.0299, 0.0301, 0.3, 3.0] {
            let (precise, rounded) = (Length::Precise(g), Length::Rounded { g, p: (-g).exp() });
            for f in [Length::shrunk, Length::grown, Length::sinh_minus, Length::square, Length::rest] {
                assert!((f(rounded) / f(precise) - 1.0).abs() < 1e-8, "{g}: {} {}", f(rounded), f(precise));
            }
        }
    }

    #[test]
    fn sinh_minus_is_its_series() {
        for g in [1e-8_f64, 1e-2, 0.5] {
            let tail = [110.0, 72.0, 42.0, 20.0].iter().fold(1.0, |sum, n| 1.0 + g * g / n * sum);
            assert!((sinh_minus(g) / (g.powi(3) / 6.0 * tail) - 1.0).abs() < 2e-12, "{g}");
        }
        assert!((sinh_minus(5.0) - (5f64.sinh() - 5.0)).abs() < 1e-13);
    }

    #[test]
    fn series_are_the_precise_functions() {
        for g in [1e-300_f64, 1e-9, 1e-4, 0.01, 0.03, 0.0624] {
            let (precise, series) = (Length::Precise(g), Length::Series(g));
            for f in [Length::shrunk, Length::grown, Length::sinh_minus, Length::square, Length::rest] {
                let (found, wanted) = (f(series), f(precise));
                assert!((found - wanted).abs() <= 8.0 * f64::EPSILON * wanted, "{g}: {found} {wanted}");
            }
        }
    }
}
