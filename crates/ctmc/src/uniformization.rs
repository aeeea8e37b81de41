//! Laws and expectations of large chains by uniformization.

use numeric::{Error, vectorize};
use rayon::prelude::*;

use crate::Generator;
use crate::kernel::check_time;
use crate::law::{check_law, normalise};

/// More products of the generator than anyone would wait for.
const MOST_JUMPS: f64 = 1e8;

/// A vector that a chain has been applied to for a time, from [`evolve`] or [`expectation`].
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Evolved {
    /// The law at the end, or the expectation by starting state: one entry for each state.
    pub values: Vec<f64>,
    /// Bound of what the truncated series leaves out, rounding apart: in total variation for a law, in the greatest
    /// entry for an expectation.
    pub truncation: f64,
    /// Products with the generator that were made.
    pub products: usize,
}

/// The law of the chain after a time: $`p\, e^{tQ}`$, by uniformization.
///
/// ```math
/// p\, e^{tQ} = \sum_{k} w_k\; p\,(I + Q/\lambda)^k, \qquad w_k = e^{-\lambda t} \frac{(\lambda t)^k}{k!},
/// \qquad \lambda = \max_i e_i .
/// ```
///
/// The weights are computed outwards from the greatest one, so that none over- or underflows, until what is left of
/// either tail is below a quarter of the tolerance, and divided by their sum: the result has the mass of a law. The
/// series ends early when what one more jump would change, times the jumps that are left, is below half the tolerance.
/// Nothing is subtracted: no entry is below 0.
///
/// ```
/// use ctmc::{Sparse, evolve};
/// // A walk on a circle of 10⁵ states.
/// let n = 100_000;
/// let steps = (0..n).flat_map(|i| [(i, (i + 1) % n, 0.5), (i, (i + n - 1) % n, 0.5)]);
/// let walk = Sparse::new(n as usize, steps)?;
/// let mut start = vec![0.0; n as usize];
/// start[0] = 1.0;
/// let after = evolve(&walk, &start, 20.0, 1e-12)?;
/// assert!((after.values[0] - 0.08978031188482398).abs() < 1e-14);   // e^{-t} I_0(t)
/// assert!(after.truncation <= 1e-12 && after.products < 70);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # Errors
/// If the law has not S entries that are probabilities and sum to 1 within $`10^{-9}`$ (it is then divided by its sum);
/// if the time is negative or not finite, or longer than $`10^8`$ mean waiting times of the fastest state; if the
/// tolerance is not between $`10^{-250}`$ and 1.
///
/// # Complexity
/// About $`\lambda t + 6 \sqrt{\lambda t} + 20`$ products with the generator.
///
/// # References
/// Jensen (1953), *Markoff chains as an aid in the study of Markoff processes*. Fox, Glynn (1988), *Computing Poisson
/// probabilities*.
pub fn evolve(
    generator: &(impl Generator + ?Sized),
    law: &[f64],
    time: f64,
    tolerance: f64,
) -> Result<Evolved, Error> {
    check_law("law", generator.states(), law)?;
    let mut start = law.to_vec();
    normalise(&mut start);
    let flow = |p: &[f64], next: &mut [f64]| generator.inflow_into(p, next);
    let mut evolved = series(generator, start, Window::law, time, tolerance, Norm::TotalVariation, flow)?;
    normalise(&mut evolved.values);
    Ok(evolved)
}

/// The mean time that the chain spends in each state until `time`: $`\int_0^t p\, e^{sQ}\, ds`$, by uniformization.
///
/// ```math
/// \int_0^t p\, e^{sQ}\, ds = \frac1\lambda \sum_k \mathbb P(N_{\lambda t} > k)\; p\,(I + Q/\lambda)^k, \qquad
/// N_{\lambda t} \sim \mathrm{Poisson}(\lambda t) .
/// ```
///
/// The values sum to the time. As [`evolve`]; tolerance and truncation are relative to the time.
///
/// ```
/// use ctmc::{Refresh, occupation};
/// let bit = Refresh::two_state(1.0, 3.0)?;
/// let spent = occupation(&bit, &[1.0, 0.0], 2.0, 1e-13)?.values;
/// let exact = 0.25 * (2.0 + (-8f64).exp_m1() / 4.0);       // the integral of (1 − e^{−4s})/4
/// assert!((spent[1] - exact).abs() < 1e-13 && (spent[0] + spent[1] - 2.0).abs() < 1e-15);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # Errors
/// As [`evolve`]; if the tolerance is below $`10^{-240}`$.
///
/// # References
/// Sericola (1999), *Availability analysis of repairable computer systems and stationarity detection*.
pub fn occupation(
    generator: &(impl Generator + ?Sized),
    law: &[f64],
    time: f64,
    tolerance: f64,
) -> Result<Evolved, Error> {
    check_law("law", generator.states(), law)?;
    Error::domain(tolerance >= 1e-240, "tolerance", tolerance, "between 1e-240 and 1")?;
    let mut start = law.to_vec();
    normalise(&mut start);
    let flow = |p: &[f64], next: &mut [f64]| generator.inflow_into(p, next);
    let mut spent =
        series(generator, start, Window::occupation, time, tolerance, Norm::TotalVariation, flow)?;
    normalise(&mut spent.values);
    spent.values.iter_mut().for_each(|value| *value *= time);
    Ok(spent)
}

/// The expectation $`\mathbb E[f(X_t) \mid X_0 = i]`$ for all i: the column vector $`e^{tQ} f`$, by uniformization.
///
/// As [`evolve`]; the tolerance is relative to the range of f, $`\max f - \min f`$.
///
/// ```
/// use ctmc::{Refresh, expectation};
/// let bit = Refresh::two_state(1.0, 3.0)?;
/// let mean = expectation(&bit, &[0.0, 1.0], 0.3, 1e-13)?;
/// assert!((mean.values[0] - bit.probability(0.3, 0, 1)?).abs() < 1e-13);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # Errors
/// As [`evolve`]; if f has not S entries, one that is not finite, or a range that overflows.
pub fn expectation(
    generator: &(impl Generator + ?Sized),
    f: &[f64],
    time: f64,
    tolerance: f64,
) -> Result<Evolved, Error> {
    Error::shape("f", &[generator.states()], &[f.len()])?;
    Error::entries("f", f.iter().copied(), "a finite number", f64::is_finite)?;
    let least = f.iter().copied().fold(f64::INFINITY, f64::min);
    let range = f.iter().copied().fold(f64::NEG_INFINITY, f64::max) - least;
    Error::domain(range.is_finite(), "f", range, "a finite range")?;
    let flow = |f: &[f64], next: &mut [f64]| generator.outflow_into(f, next);
    // Relative to the range; of a constant nothing ever changes.
    let norm = Norm::Greatest(if range > 0.0 { range } else { 1.0 });
    let mut evolved = series(generator, f.to_vec(), Window::law, time, tolerance, norm, flow)?;
    evolved.truncation *= range;
    Ok(evolved)
}

/// How far two vectors are apart.
#[derive(Clone, Copy, PartialEq)]
enum Norm {
    TotalVariation,
    /// Relative to this.
    Greatest(f64),
}

fn series(
    generator: &(impl Generator + ?Sized),
    mut vector: Vec<f64>,
    window: fn(f64, f64) -> Window,
    time: f64,
    tolerance: f64,
    norm: Norm,
    flow: impl Fn(&[f64], &mut [f64]),
) -> Result<Evolved, Error> {
    check_time("time", time)?;
    check_tolerance(tolerance)?;
    let bound = generator.max_exit_rate();
    let jumps = bound * time;
    let ok = jumps <= MOST_JUMPS;
    Error::domain(ok, "time", time, "at most 1e8 mean waiting times of the fastest state")?;
    if jumps == 0.0 {
        return Ok(Evolved { values: vector, truncation: 0.0, products: 0 });
    }
    let Window { first, weights, tail } = window(jumps, 0.5 * tolerance);
    let (mut truncation, mut products) = (tail, 0);
    let (mut values, mut next) = (vec![0.0; vector.len()], vec![0.0; vector.len()]);
    let stay: Vec<f64> = generator.state_range().map(|s| 1.0 - generator.exit_rate(s) / bound).collect();
    let end = first + weights.len();
    for jump in 0..end {
        let weight = if jump >= first { weights[jump - first] } else { 0.0 };
        if jump + 1 == end {
            values.iter_mut().zip(&vector).for_each(|(sum, v)| *sum += weight * v);
            break;
        }
        flow(&vector, &mut next);
        products += 1;
        let change = step(&vector, &mut next, &stay, bound, &mut values, weight, norm) * (end - jump) as f64;
        std::mem::swap(&mut vector, &mut next);
        if change <= 0.5 * tolerance {
            let left: f64 = weights[(jump + 1).saturating_sub(first)..].iter().sum();
            values.iter_mut().zip(&vector).for_each(|(sum, v)| *sum += left * v);
            truncation += change;
            break;
        }
    }
    Ok(Evolved { values, truncation, products })
}

/// States that one worker passes at a time.
const PART: usize = 4096;

/// Adds the vector to the sum with its weight, turns the flow between states into a step of the uniformized chain, and
/// returns how far the step led: all in one pass, since the vectors may be larger than the cache.
fn step(
    before: &[f64],
    next: &mut [f64],
    stay: &[f64],
    bound: f64,
    values: &mut [f64],
    weight: f64,
    norm: Norm,
) -> f64 {
    let inverse = 1.0 / bound;
    let parts = next.par_chunks_mut(PART).zip(before.par_chunks(PART)).zip(stay.par_chunks(PART));
    let parts = parts.zip(values.par_chunks_mut(PART)).with_min_len(4);
    let changes = parts.map(|(((next, before), stay), values)| {
        let (mut apart, mut greatest) = ([0.0; 8], [0.0; 8]);
        vectorize(
            #[inline(always)]
            || {
                let all = next.iter_mut().zip(before).zip(stay).zip(values.iter_mut());
                for (((next, &before), &stay), value) in all {
                    *value += weight * before;
                    *next = *next * inverse + before * stay;
                }
                for (next, before) in next.chunks(8).zip(before.chunks(8)) {
                    for (k, (next, before)) in next.iter().zip(before).enumerate() {
                        let change = (next - before).abs();
                        apart[k] += change;
                        greatest[k] = if change > greatest[k] { change } else { greatest[k] };
                    }
                }
            },
        );
        match norm {
            Norm::TotalVariation => 0.5 * apart.iter().sum::<f64>(),
            Norm::Greatest(_) => greatest.into_iter().fold(0.0, f64::max),
        }
    });
    // Added up in order, whoever was first.
    let changes: Vec<f64> = changes.collect();
    match norm {
        Norm::TotalVariation => changes.iter().sum(),
        Norm::Greatest(scale) => changes.into_iter().fold(0.0, f64::max) / scale,
    }
}

/// Weights of the powers of the uniformized chain, from `first` on, with sum 1; `tail` bounds in total variation what
/// they are wrong by.
struct Window {
    first: usize,
    weights: Vec<f64>,
    tail: f64,
}

impl Window {
    /// The law of a Poisson number.
    fn law(mean: f64, tolerance: f64) -> Window {
        let Poisson { first, weights, tail } = Poisson::new(mean, tolerance);
        Window { first, weights, tail }
    }

    /// The probabilities that a Poisson number N exceeds 0, 1, …, divided by their sum, the mean.
    fn occupation(mean: f64, tolerance: f64) -> Window {
        // What is cut off beyond the number n has the mean E[N; N > n] = mean · P(N ≥ n), and P(N = n) is at most
        // n/mean times the bound of P(N > n). The window of a small mean has some hundred numbers at most.
        let Poisson { first, weights, tail } = Poisson::new(mean, tolerance * mean.min(1.0) / 1e3);
        let mut above: Vec<f64> = weights
            .iter()
            .rev()
            .scan(0.0, |sum, weight| {
                let above = *sum;
                *sum += weight;
                Some(above)
            })
            .collect();
        above.extend(std::iter::repeat_n(1.0, first));
        above.reverse();
        let total: f64 = above.iter().sum();
        let last = weights.last().copied().unwrap_or(0.0);
        above.iter_mut().for_each(|weight| *weight /= total);
        Window { first: 0, weights: above, tail: 2.0 * (tail + last) }
    }
}

/// A tolerance of a series; below rounding it is a statement about small probabilities.
pub(crate) fn check_tolerance(tolerance: f64) -> Result<(), Error> {
    Error::domain((1e-250..=1.0).contains(&tolerance), "tolerance", tolerance, "between 1e-250 and 1")
}

/// The probabilities of a Poisson law in a window around its mode, divided by their sum.
pub(crate) struct Poisson {
    /// The least number of the window.
    pub(crate) first: usize,
    pub(crate) weights: Vec<f64>,
    /// Bound of the probability outside.
    pub(crate) tail: f64,
}

impl Poisson {
    /// A window outside of which the probability is at most `tolerance`.
    pub(crate) fn new(mean: f64, tolerance: f64) -> Poisson {
        let mode = mean.floor();
        // Relative to the weight of the mode, which is at most the sum: tails are bounded by geometric series.
        let (mut k, mut weight, mut upper) = (mode, 1.0, vec![1.0]);
        let above = loop {
            let ratio = mean / (k + 1.0);
            let rest = weight * ratio / (1.0 - mean / (k + 2.0));
            if rest <= 0.5 * tolerance {
                break rest;
            }
            k += 1.0;
            weight *= ratio;
            upper.push(weight);
        };
        let (mut k, mut weight, mut lower) = (mode, 1.0, vec![]);
        let below = loop {
            let ratio = k / mean;
            let rest = if k == 0.0 { 0.0 } else { weight * ratio / (1.0 - (k - 1.0) / mean) };
            if rest <= 0.5 * tolerance {
                break rest;
            }
            k -= 1.0;
            weight *= ratio;
            lower.push(weight);
        };
        let mut weights: Vec<f64> = lower.into_iter().rev().chain(upper).collect();
        let sum: f64 = weights.iter().sum();
        weights.iter_mut().for_each(|weight| *weight /= sum);
        Poisson { first: k as usize, weights, tail: (above + below) / sum }
    }
}
