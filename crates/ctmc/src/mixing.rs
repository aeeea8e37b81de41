//! Mixing times.

use numeric::Error;

use crate::{Generator, Kernel, Spectral};

/// Relative width of the bracket of a mixing time.
const WIDTH: f64 = 1e-12;

/// The truncation of the kernels that are not computed by eigenvalues.
const TRUNCATION: f64 = 1e-15;

/// A bracket of a mixing time, from [`mixing_time`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct MixingTime {
    /// A time at which the distance is above the level; 0 if it never is.
    pub lower: f64,
    /// A time at which the distance is at most the level.
    pub upper: f64,
    /// The distance at that time.
    pub distance: f64,
}

/// The distance of a chain from its stationary law: the greatest total variation over all starting states.
///
/// ```math
/// d(t) = \max_i \tfrac12 \sum_j |P_t(i, j) - \pi_j| .
/// ```
///
/// It never increases with the time.
///
/// # Errors
/// If the law has not S entries.
///
/// ```
/// use ctmc::{Generator, Refresh, mixing_distance};
/// let uniform = Refresh::uniform(5, 0.2)?;
/// let distance = mixing_distance(&uniform.kernel(2.0)?, &uniform.stationary()?)?;
/// assert!((distance - 0.8 * (-2f64).exp()).abs() < 1e-15);
/// # Ok::<(), numeric::Error>(())
/// ```
pub fn mixing_distance(kernel: &Kernel, law: &[f64]) -> Result<f64, Error> {
    Error::shape("law", &[kernel.matrix().nrows()], &[law.len()])?;
    let rows = kernel.matrix().rows().into_iter();
    let distances = rows.map(|row| 0.5 * row.iter().zip(law).map(|(p, law)| (p - law).abs()).sum::<f64>());
    Ok(distances.fold(0.0, f64::max))
}

/// The mixing time: the first time at which the [distance](mixing_distance) is at most `level`, usually ¼.
///
/// ```math
/// t_{\mathrm{mix}}(\varepsilon) = \min \{ t : d(t) \le \varepsilon \} .
/// ```
///
/// By doubling and bisection, to a bracket of relative width $`10^{-12}`$. d never increases, so the bracket holds the
/// mixing time up to what the computed distances are wrong by: kernels come from [`Spectral`] for a reversible chain,
/// otherwise from [`Kernel::of`] with a truncation of $`10^{-15}`$, and their rounding is a few $`S \cdot 10^{-16}`$. An
/// error of δ in d moves the time by $`\delta / |d'(t)|`$.
///
/// # Errors
/// Those of [`Generator::stationary`]; if the level is not between $`10^{-12}`$ and 1; for more than 4096 states;
/// [`Error::NotConverged`] as [`Kernel::of`], for a chain that mixes too slowly.
///
/// # Complexity
/// About 50 kernels and a few for each doubling.
///
/// # References
/// Levin, Peres (2017), *Markov chains and mixing times*.
///
/// ```
/// use ctmc::{Refresh, mixing_time};
/// let mixing = mixing_time(&Refresh::uniform(3, 0.5)?, 0.25)?;
/// let exact = (8f64 / 3.0).ln() / 1.5;                   // (1 − 1/S) e^{−rt} = 1/4
/// assert!((mixing.lower - exact).abs() < 1e-11 && (mixing.upper - exact).abs() < 1e-11);
/// # Ok::<(), numeric::Error>(())
/// ```
pub fn mixing_time(generator: &(impl Generator + ?Sized), level: f64) -> Result<MixingTime, Error> {
    Error::domain((1e-12..1.0).contains(&level), "level", level, "at least 1e-12 and below 1")?;
    let law = generator.stationary()?;
    let spectral = match Spectral::new(generator) {
        Ok(spectral) => Some(spectral),
        Err(Error::Unsupported { .. }) => None,
        Err(error) => return Err(error),
    };
    let distance = |time: f64| {
        let kernel = match &spectral {
            Some(spectral) => spectral.kernel(time)?,
            None => Kernel::of(generator, time, TRUNCATION)?,
        };
        mixing_distance(&kernel, &law)
    };
    let at_start = law.iter().map(|p| 1.0 - p).fold(0.0, f64::max);
    if at_start <= level {
        return Ok(MixingTime { lower: 0.0, upper: 0.0, distance: at_start });
    }
    let mut found = MixingTime { lower: 0.0, upper: 1.0 / generator.max_exit_rate(), distance: f64::NAN };
    loop {
        found.distance = distance(found.upper)?;
        if found.distance <= level {
            break;
        }
        found = MixingTime { lower: found.upper, upper: 2.0 * found.upper, distance: f64::NAN };
    }
    while found.upper - found.lower > WIDTH * found.upper {
        let middle = found.lower + 0.5 * (found.upper - found.lower);
        match distance(middle)? {
            near if near <= level => found = MixingTime { upper: middle, distance: near, ..found },
            _ => found.lower = middle,
        }
    }
    Ok(found)
}

/// A bound of the ¼-mixing time of independent coordinates by the greatest `mixing_time` of one of them.
///
/// ```math
/// t_{\mathrm{mix}}^D \le (1 + \lceil \log_2 D \rceil)\, t_{\mathrm{mix}} .
/// ```
///
/// The total variation of products is at most the sum over the coordinates, and that of one of them at time
/// $`l\, t_{\mathrm{mix}}`$ at most $`2^{-(l + 1)}`$.
///
/// # Errors
/// If the time is negative or not finite, or the dimension 0.
///
/// # References
/// Campbell et al. (2022), *A continuous time framework for discrete denoising models*, appendix B.5.
///
/// ```
/// assert_eq!(ctmc::product_mixing_time(0.5, 1)?, 0.5);
/// assert_eq!(ctmc::product_mixing_time(0.5, 1000)?, 5.5);
/// # Ok::<(), numeric::Error>(())
/// ```
pub fn product_mixing_time(mixing_time: f64, dimension: usize) -> Result<f64, Error> {
    let holds = mixing_time >= 0.0 && mixing_time.is_finite();
    Error::domain(holds, "mixing_time", mixing_time, "a finite time of at least 0")?;
    Error::domain(dimension > 0, "dimension", 0.0, "at least 1")?;
    Ok((1.0 + f64::from(ceil_log2(dimension))) * mixing_time)
}

fn ceil_log2(n: usize) -> u32 {
    if n == 1 { 0 } else { (n - 1).ilog2() + 1 }
}

impl Spectral {
    /// Bounds of the [`mixing_time`] from the spectral gap γ alone.
    ///
    /// ```math
    /// \frac{1}{\gamma} \ln \frac{1}{2 \varepsilon} \le t_{\mathrm{mix}}(\varepsilon) \le
    /// \frac{1}{\gamma} \ln \frac{\sqrt{1/\pi_{\min} - 1}}{2 \varepsilon} ,
    /// ```
    ///
    /// cut off at 0.
    ///
    /// # Errors
    /// If the level is not between 0 and 1.
    ///
    /// # References
    /// Levin, Peres (2017), *Markov chains and mixing times*, chapter 12; the upper one by the χ² divergence,
    /// $`4 d^2 \le P_{2t}(i, i)/\pi_i - 1 \le e^{-2 \gamma t} (1/\pi_i - 1)`$.
    ///
    /// ```
    /// // Of two states alike both are exact.
    /// let (lower, upper) = ctmc::Spectral::new(&ctmc::Refresh::two_state(1.0, 1.0)?)?.mixing_bounds(0.25)?;
    /// assert!((lower - 0.5 * 2f64.ln()).abs() < 1e-15 && (upper - lower).abs() < 1e-15);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    pub fn mixing_bounds(&self, level: f64) -> Result<(f64, f64), Error> {
        Error::domain(level > 0.0 && level < 1.0, "level", level, "between 0 and 1")?;
        let least = self.stationary().iter().copied().fold(1.0, f64::min);
        let lower = -(2.0 * level).ln() / self.gap();
        let upper = (0.5 * (1.0 / least - 1.0).ln() - (2.0 * level).ln()) / self.gap();
        Ok((lower.max(0.0), upper.max(0.0)))
    }
}
