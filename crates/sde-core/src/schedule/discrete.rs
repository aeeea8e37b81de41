//! Discrete chains of noise and the continuous process through them.

use numeric::{Error, Level, Schedule, Time};

use super::vp::{checked_clock, level};
use super::{VariancePreserving, within_ends};

/// The variance-preserving process through a discrete chain `x_{i+1} = √(1 − β_i) x_i + √β_i z`, on `0 ≤ t ≤ N`.
///
/// At t = k the process has gone k steps from the data: `α(k)² = Π_{i<k} (1 − β_i)`, with α(0) = 1. Between, `ln α` is
/// linear, so that the clock is piecewise linear and everything is exact at the integers. A network that was trained
/// with the index `i = 0 … N − 1` of the last step is at time `i + 1`; [`time_of_index`](Self::time_of_index) and
/// [`index_of`](Self::index_of) convert.
///
/// At an integer the rate is that of the step that ends there, `−½ ln(1 − β_{k−1})`, which is what a step back from it
/// needs.
///
/// ```
/// use numeric::{Schedule, Time};
/// use sde_core::{DiscreteVp, linear_betas};
/// let process = DiscreteVp::from_betas(&linear_betas(1000, 1e-4, 0.02)?)?;
/// assert_eq!(process.steps(), 1000);
/// assert!((process.level(Time::of(1.0)).sigma - 0.01).abs() < 1e-15);            // √β_0
/// let last = process.level(process.time_of_index(999)?);
/// assert!((last.alpha.powi(2) - 4.04e-5).abs() < 1e-7);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// The interpolation is that of Lu, Zhou, Bao, Chen, Li, Zhu (2022), *DPM-Solver*, appendix on discrete-time models.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(transparent))]
pub struct DiscreteVp {
    /// The clock at 0, 1, …, N.
    clocks: Vec<f64>,
}

impl DiscreteVp {
    /// The process through the chain with these β, from data to noise.
    ///
    /// # Errors
    /// [`Error::Shape`] if there is none; [`Error::Entry`] for a β that is not within (0, 1).
    pub fn from_betas(betas: &[f64]) -> Result<DiscreteVp, Error> {
        Error::entries("betas", betas.iter().copied(), "a number in (0, 1)", |beta| {
            beta > 0.0 && beta < 1.0
        })?;
        let mut clock = 0.0;
        let later = betas.iter().map(|&beta| {
            clock -= 0.5 * (-beta).ln_1p();
            clock
        });
        DiscreteVp::through(std::iter::once(0.0).chain(later).collect(), "betas")
    }

    /// The process with these `ᾱ_i = Π_{j≤i} (1 − β_j)`, that is α² at the times 1, 2, …, N.
    ///
    /// # Errors
    /// [`Error::Shape`] if there is none; [`Error::Entry`] for one that is not within (0, 1) or not below the one
    /// before it.
    pub fn from_alpha_bars(alpha_bars: &[f64]) -> Result<DiscreteVp, Error> {
        let inside = |&alpha_bar: &f64| alpha_bar > 0.0 && alpha_bar < 1.0;
        Error::entries("alpha_bars", alpha_bars.iter().copied(), "a number in (0, 1)", |x| inside(&x))?;
        let clocks = std::iter::once(0.0).chain(alpha_bars.iter().map(|x| -0.5 * x.ln()));
        DiscreteVp::through(clocks.collect(), "alpha_bars")
    }

    fn through(clocks: Vec<f64>, parameter: &'static str) -> Result<DiscreteVp, Error> {
        if clocks.len() < 2 {
            return Err(Error::Shape { parameter, expected: vec![1], found: vec![0] });
        }
        match clocks.windows(2).position(|pair| !(pair[0] < pair[1])) {
            None => Ok(DiscreteVp { clocks }),
            Some(index) => Err(Error::Entry {
                parameter,
                index,
                value: (-2.0 * clocks[index + 1]).exp(),
                expected: "a step that makes α² = ᾱ smaller",
            }),
        }
    }

    /// Number N of steps of the chain.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.clocks.len() - 1
    }

    /// The time at which a model that counts steps from 0 to N − 1 has this index.
    ///
    /// # Errors
    /// [`Error::Domain`] for an index that is not below N.
    pub fn time_of_index(&self, index: usize) -> Result<Time, Error> {
        Error::domain(index < self.steps(), "index", index as f64, "less than the number of steps")?;
        Ok(self.time((index + 1) as f64))
    }

    /// The index, in general between two integers, that a model has at a time which counts steps from 0 to N − 1.
    /// Below time 1 it is negative: the chain has no such step.
    #[must_use]
    pub fn index_of(&self, time: Time) -> f64 {
        time.t - 1.0
    }

    fn time(&self, t: f64) -> Time {
        Time { t, to_end: self.steps() as f64 - t }
    }

    /// The step within which t lies; at an integer the one that ends there.
    fn step(&self, t: f64) -> usize {
        (t.ceil() as usize).clamp(1, self.steps()) - 1
    }
}

impl Schedule for DiscreteVp {
    fn level(&self, time: Time) -> Level {
        level(self.clock(time), self.rate(time))
    }
}

impl VariancePreserving for DiscreteVp {
    fn clock(&self, time: Time) -> f64 {
        let step = self.step(time.t);
        let (start, end) = (self.clocks[step], self.clocks[step + 1]);
        let past = time.t - step as f64;
        // From the nearer end, so that both are exact.
        if past < 0.5 { start + past * (end - start) } else { end - (1.0 - past) * (end - start) }
    }

    fn rate(&self, time: Time) -> f64 {
        let step = self.step(time.t);
        self.clocks[step + 1] - self.clocks[step]
    }

    fn time_at(&self, clock: f64) -> Result<Time, Error> {
        checked_clock(clock)?;
        let end = self.clocks[self.steps()];
        let clock = within_ends("clock", clock, (0.0, end), "at most the clock of the last step")?;
        let step = self.clocks.partition_point(|&at| at < clock).max(1) - 1;
        let (start, end) = (self.clocks[step], self.clocks[step + 1]);
        Ok(self.time(step as f64 + (clock - start) / (end - start)))
    }
}

/// β at the k-th of n equal steps from `start` to `end`, both included.
fn between(start: f64, end: f64, k: usize, n: usize) -> f64 {
    if n == 1 { start } else { start + (end - start) * (k as f64 / (n - 1) as f64) }
}

fn checked_betas(n: usize, start: f64, end: f64) -> Result<(), Error> {
    Error::domain(n > 0, "n", n as f64, "at least 1")?;
    Error::domain(start > 0.0 && start < 1.0, "start", start, "a number in (0, 1)")?;
    Error::domain(end > 0.0 && end < 1.0, "end", end, "a number in (0, 1)")
}

/// `n` values of β in equal steps from `start` to `end`, both included: the chain of DDPM with (1000, 10⁻⁴, 0.02).
///
/// One value is `start`.
///
/// ```
/// let betas = sde_core::linear_betas(3, 0.1, 0.3)?;
/// assert!(betas.iter().zip([0.1, 0.2, 0.3]).all(|(a, b)| (a - b).abs() < 1e-16));
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # Errors
/// [`Error::Domain`] unless `n` > 0 and both ends are within (0, 1).
///
/// # References
/// Ho, Jain, Abbeel (2020), *Denoising diffusion probabilistic models*, section 4.
pub fn linear_betas(n: usize, start: f64, end: f64) -> Result<Vec<f64>, Error> {
    checked_betas(n, start, end)?;
    Ok((0..n).map(|k| between(start, end, k, n)).collect())
}

/// `n` values of β whose roots go in equal steps from `√start` to `√end`: Stable Diffusion's chain with
/// (1000, 0.00085, 0.012).
///
/// One value is `start`.
///
/// ```
/// let betas = sde_core::scaled_linear_betas(3, 0.01, 0.09)?;
/// assert!(betas.iter().zip([0.01, 0.04, 0.09]).all(|(a, b)| (a - b).abs() < 1e-16));
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # Errors
/// [`Error::Domain`] unless `n` > 0 and both ends are within (0, 1).
///
/// # References
/// Rombach, Blattmann, Lorenz, Esser, Ommer (2022), *High-resolution image synthesis with latent diffusion models*
/// (the schedule of its code).
pub fn scaled_linear_betas(n: usize, start: f64, end: f64) -> Result<Vec<f64>, Error> {
    checked_betas(n, start, end)?;
    Ok((0..n).map(|k| between(start.sqrt(), end.sqrt(), k, n).powi(2)).collect())
}

/// The β of the cosine schedule in `n` steps, none greater than `max_beta`.
///
/// ```math
/// \beta_i = \min\Big(1 - \frac{\bar\alpha((i+1)/n)}{\bar\alpha(i/n)},\ \beta_{\max}\Big), \qquad
/// \bar\alpha(t) = \cos^2\Big(\frac{t + s}{1 + s} \cdot \frac\pi2\Big).
/// ```
/// With s = `shift` = 0.008 and `max_beta` = 0.999 the paper's. Without a maximum the last would be 1, which no chain
/// comes back from; the paper's maximum changes that one, and its `ᾱ` from 0 to a thousandth of the one before.
///
/// ```
/// let betas = sde_core::cosine_betas(1000, 0.008, 0.999)?;
/// assert_eq!(betas[999], 0.999);
/// assert!(betas[998] < 0.76);                              // all others are the formula's
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # Errors
/// [`Error::Domain`] unless `n` > 0, `shift` ≥ 0 is finite and `max_beta` is within (0, 1).
///
/// # References
/// Nichol and Dhariwal (2021), *Improved denoising diffusion probabilistic models*, section 3.2.
pub fn cosine_betas(n: usize, shift: f64, max_beta: f64) -> Result<Vec<f64>, Error> {
    Error::domain(n > 0, "n", n as f64, "at least 1")?;
    Error::domain(shift >= 0.0 && shift.is_finite(), "shift", shift, "a finite number of at least 0")?;
    Error::domain(max_beta > 0.0 && max_beta < 1.0, "max_beta", max_beta, "a number in (0, 1)")?;
    let scale = std::f64::consts::FRAC_PI_2 / (1.0 + shift);
    let angle = |k: usize| scale * (k as f64 / n as f64 + shift);
    let beta = |k: usize| {
        // 1 − cos²b/cos²a = sin(b − a) sin(b + a)/cos²a
        let (a, b) = (angle(k), angle(k + 1));
        ((scale / n as f64).sin() * (a + b).sin() / a.cos().powi(2)).min(max_beta)
    };
    Ok((0..n).map(beta).collect())
}
