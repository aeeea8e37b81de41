//! Discrete flow matching.

use std::f64::consts::FRAC_PI_2;
use std::ops::Range;

use numeric::ndarray::{ArrayView2, ArrayViewMut2, ArrayViewMut3};
use numeric::{Batch, Control, Error, Noise, Real, RowStream, TimeGrid, Times, run_blocks};

use super::leap::{At, Block, Law, Rates};
use super::origin::{aligned, batching};
use super::{Denoised, Denoiser, JumpRule, LeapCounts, Output};
use crate::law::{check_law, draw, draw_from, normalise};

/// How fast a [`MixturePath`] goes from noise to data: κ(t), from 0 at time 0 to 1 at time 1.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Kappa {
    /// $`t^a`$, a ≥ 1, so that the rates are finite at the start.
    Power(f64),
    /// $`\sin^2(\pi t/2)`$.
    Cosine,
}

impl Kappa {
    /// κ, 1 − κ and κ′.
    fn at(self, t: f64, to_end: f64) -> [f64; 3] {
        match self {
            // The end first, where 1 - t may be known better than t.
            Kappa::Power(a) => {
                let ln = if to_end < 0.5 { (-to_end).ln_1p() } else { t.ln() };
                [(a * ln).exp(), -(a * ln).exp_m1(), a * t.powf(a - 1.0)]
            }
            Kappa::Cosine => {
                let (s, c) = ((FRAC_PI_2 * t).sin(), (FRAC_PI_2 * to_end).sin());
                [s * s, c * c, 2.0 * FRAC_PI_2 * s * c]
            }
        }
    }
}

/// A path of laws from a source to the data, token by token.
///
/// ```math
/// p_{t|1}(x \mid x_1) = (1 - \kappa_t)\, p_0(x) + \kappa_t\, \mathbf 1[x = x_1], \qquad 0 \le t \le 1 .
/// ```
///
/// Time runs from noise to data here. A point mass for p₀ is masking, the uniform law uniform noise.
///
/// ```
/// use ctmc::denoise::{Kappa, MixturePath};
/// let path = MixturePath::new(&[0.25; 4], Kappa::Power(1.0))?;
/// assert_eq!(path.probability(0.5, 2, 2)?, 0.625);
/// assert_eq!(path.probability(0.5, 1, 2)?, 0.125);
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # References
/// Gat, Remez, Shaul, Kreuk, Chen, Synnaeve, Adi, Lipman (2024), *Discrete flow matching*. Campbell, Yim, Barzilay,
/// Rainforth, Jaakkola (2024), *Generative flows on discrete state-spaces*.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct MixturePath {
    source: Vec<f64>,
    kappa: Kappa,
}

/// The rates that move samples along a [`MixturePath`]. All have its laws; they differ in how much they jump.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum FlowRates {
    /// $`\frac{\kappa'}{1 - \kappa} p_{1|t}(y \mid x)`$, and with a correction c ≥ 0 forth by
    /// $`c_t = c\, \kappa_t`$ more and back again:
    /// $`(1 + c_t) \frac{\kappa'}{1 - \kappa} p_{1|t}(y \mid x) + c_t \frac{\kappa'}{\kappa} p_0(y)`$. The factor κ keeps the rates
    /// finite at the start.
    Mixture {
        /// Strength c of the correction, which leaves the laws as they are.
        correction: f64,
    },
    /// $`R^*_t(x, y \mid x_1) = [\dot p(y) - \dot p(x)]_+ / (Z p(x))`$, with $`p = p_{t|1}(\cdot \mid x_1)`$ and Z states of positive
    /// p, in the mean over $`x_1`$; plus η times rates in detailed balance with $`p_{t|1}`$, 1 away from $`x_1`$ and
    /// $`p(x_1)/p(x)`$ back.
    Conditional {
        /// Stochasticity η ≥ 0.
        eta: f64,
    },
}

impl MixturePath {
    /// The path from a source law.
    ///
    /// # Errors
    /// If the law has fewer than two entries, one that is not a probability, or does not sum to 1 within $`10^{-9}`$ (it is
    /// then divided by its sum); for a power that is not finite or below 1.
    pub fn new(source: &[f64], kappa: Kappa) -> Result<MixturePath, Error> {
        Error::domain(source.len() >= 2, "source", source.len() as f64, "a law of at least 2 states")?;
        check_law("source", source.len(), source)?;
        if let Kappa::Power(a) = kappa {
            Error::domain(a >= 1.0 && a.is_finite(), "kappa", a, "a finite power of at least 1")?;
        }
        let mut source = source.to_vec();
        normalise(&mut source);
        Ok(MixturePath { source, kappa })
    }

    /// $`p_{t|1}(x \mid x_1)`$.
    ///
    /// # Errors
    /// For a time that is not in \[0, 1\].
    ///
    /// # Panics
    /// If there is no such state.
    pub fn probability(&self, t: f64, x: u32, x1: u32) -> Result<f64, Error> {
        Error::domain((0.0..=1.0).contains(&t), "t", t, "a time in [0, 1]")?;
        let [kappa, left, _] = self.kappa.at(t, 1.0 - t);
        assert!((x1 as usize) < self.source.len(), "no state {x1}");
        Ok(left * self.source[x as usize] + if x == x1 { kappa } else { 0.0 })
    }

    /// The rates out of x over `out`, given the posterior of the clean token, $`p_{1|t}`$; 0 at x.
    ///
    /// ```
    /// use ctmc::denoise::{FlowRates, Kappa, MixturePath};
    /// let path = MixturePath::new(&[0.25; 4], Kappa::Power(1.0))?;
    /// let mut rates = [0.0; 4];
    /// path.rates_into(FlowRates::Conditional { eta: 0.0 }, 0.35, 3, &[0.4_f64, 0.3, 0.2, 0.1], &mut rates)?;
    /// assert!((rates[0] - 0.4 / 0.65).abs() < 1e-15 && rates[3] == 0.0);
    /// # Ok::<(), numeric::Error>(())
    /// ```
    ///
    /// # Errors
    /// For a time that is not in \[0, 1), at which the rates are not finite; for a strength that is negative or not finite.
    ///
    /// # Panics
    /// If there is no such state, or not S numbers.
    pub fn rates_into<F: Real>(
        &self,
        rates: FlowRates,
        t: f64,
        x: u32,
        posterior: &[F],
        out: &mut [f64],
    ) -> Result<(), Error> {
        assert_eq!((posterior.len(), out.len()), (self.source.len(), self.source.len()), "S numbers");
        FlowAt::new(self, rates, t, 1.0 - t)?.rates_into(x, posterior, out);
        Ok(())
    }
}

/// The rates at one time.
struct FlowAt<'a> {
    path: &'a MixturePath,
    left: f64,
    kappa: f64,
    speed: f64,
    rates: FlowRates,
    /// States of positive source law.
    support: f64,
}

impl<'a> FlowAt<'a> {
    fn new(path: &'a MixturePath, rates: FlowRates, t: f64, to_end: f64) -> Result<FlowAt<'a>, Error> {
        Error::domain((0.0..1.0).contains(&t) && to_end > 0.0, "t", t, "a time in [0, 1)")?;
        let (FlowRates::Mixture { correction: strength } | FlowRates::Conditional { eta: strength }) = rates;
        let ok = strength >= 0.0 && strength.is_finite();
        Error::domain(ok, "strength", strength, "a finite number of at least 0")?;
        let [kappa, left, speed] = path.kappa.at(t, to_end);
        Error::domain(speed.is_finite(), "t", t, "a time at which κ has a finite derivative")?;
        let support = path.source.iter().filter(|&&p| p > 0.0).count() as f64;
        Ok(FlowAt { path, left, kappa, speed, rates, support })
    }

    fn rates_into<F: Real>(&self, x: u32, posterior: &[F], out: &mut [f64]) {
        let (source, x) = (&self.path.source, x as usize);
        match self.rates {
            FlowRates::Mixture { correction } => {
                let forth = (1.0 + correction * self.kappa) * self.speed / self.left;
                for ((out, p), pi) in out.iter_mut().zip(posterior).zip(source) {
                    *out = forth * p.as_f64() + correction * self.speed * pi;
                }
            }
            FlowRates::Conditional { eta } => {
                // States of positive probability given x₁, which is one of them.
                let states = |x1: usize| self.support + if source[x1] > 0.0 { 0.0 } else { 1.0 };
                let here = self.left * source[x];
                let all: f64 = (0..source.len()).map(|k| posterior[k].as_f64() / states(k)).sum();
                for (y, out) in out.iter_mut().enumerate() {
                    let (p, pi) = (posterior[y].as_f64(), source[y]);
                    *out = if pi > 0.0 { eta * posterior[x].as_f64() } else { 0.0 };
                    if here > 0.0 {
                        // To x₁ itself, and down the slope of the others.
                        *out += p * self.speed * (1.0 - pi + source[x]) / (states(y) * here);
                        let others = all - (p / states(y)) - (posterior[x].as_f64() / states(x));
                        if source[x] > pi && pi > 0.0 {
                            // A sum of numbers that are not negative, but for rounding.
                            *out += if others < 0.0 { 0.0 } else { others } * self.speed * (source[x] - pi)
                                / here;
                        }
                        *out += eta * p * (self.left * pi + self.kappa) / here;
                    }
                }
            }
        }
        out[x] = 0.0;
    }
}

impl<F: Real> Rates<F> for FlowAt<'_> {
    fn totals_into(&self, x: &[u32], posterior: &[F], out: &mut [f64]) {
        let states = self.path.source.len();
        let mut rates = vec![0.0; states];
        for ((out, &x), posterior) in out.iter_mut().zip(x).zip(posterior.chunks_exact(states)) {
            *out = if let FlowRates::Mixture { correction } = self.rates {
                let (p, pi) = (posterior[x as usize].as_f64(), self.path.source[x as usize]);
                let others = if p > 1.0 { 0.0 } else { 1.0 - p };
                let forth = (1.0 + correction * self.kappa) * self.speed / self.left;
                forth * others + correction * self.speed * (1.0 - pi)
            } else {
                self.rates_into(x, posterior, &mut rates);
                rates.iter().sum()
            };
        }
    }

    fn destination(&self, x: u32, posterior: &[F], stream: &mut RowStream) -> u32 {
        let mut rates = vec![0.0; posterior.len()];
        self.rates_into(x, posterior, &mut rates);
        let all = |visit: &mut dyn FnMut(u32, f64)| (0..).zip(&rates).for_each(|(s, &rate)| visit(s, rate));
        draw_from(stream.uniform() * rates.iter().sum::<f64>(), all).unwrap_or(x)
    }
}

/// Draws rows along a [`MixturePath`], from its source at time 0 to the data at time 1.
///
/// In a step of length h a token moves with probability $`1 - e^{-h \Lambda}`$, $`\Lambda`$ the sum of its rates at the start of the
/// step; where a step ends at time 1 it is drawn from the posterior, as the rates end there.
///
/// ```
/// use ctmc::denoise::{FlowRates, FlowSampler, Kappa, MixturePath, denoiser_from_fn};
/// use numeric::{Control, Noise, TimeGrid, ndarray::ArrayRef3};
/// // Independent tokens: the posterior of a masked one is the law of the data, that of another one itself.
/// let model = denoiser_from_fn(4, 3, |batch, out: &mut ArrayRef3<f64>| {
///     for ((i, d, v), logit) in out.indexed_iter_mut() {
///         let masked = batch.x()[[i, d]] == 2;
///         let p: f64 = if masked { [0.7, 0.3, 0.0][v] } else { f64::from(batch.x()[[i, d]] == v as u32) };
///         *logit = p.ln();
///     }
///     Ok(())
/// });
/// let path = MixturePath::new(&[0.0, 0.0, 1.0], Kappa::Power(1.0))?;
/// let grid = TimeGrid::uniform(0.0, 1.0, 20)?;
/// let sampler = FlowSampler { path, model, rates: FlowRates::Conditional { eta: 2.0 }, grid };
/// let run = sampler.sample::<f64>(0..5000, Noise::new(1), Control::default())?;
/// let zeros = run.x.iter().filter(|&&x| x == 0).count() as f64 / 20_000.0;
/// assert!((zeros - 0.7).abs() < 0.014); // standard error 0.0032
/// # Ok::<(), numeric::Error>(())
/// ```
///
/// # Randomness
/// Row i depends on the noise and its absolute number only: one uniform for each token and step, and a stream of the row
/// and step for tokens that jump.
#[derive(Clone, Debug)]
pub struct FlowSampler<M> {
    /// The path.
    pub path: MixturePath,
    /// A model of posteriors of the clean tokens, at the times of the path.
    pub model: M,
    /// The rates.
    pub rates: FlowRates,
    /// Times going up from 0 to at most 1.
    pub grid: TimeGrid,
}

impl<M> FlowSampler<M> {
    /// Draws rows: the states at the last time of the grid.
    ///
    /// # Errors
    /// Unless the grid goes up from 0 to at most 1; for a strength that is negative or not finite; for a model of another
    /// number of states or of ratios; whatever the model reports; [`Error::Cancelled`].
    ///
    /// # Panics
    /// If the rows do not fit into memory.
    pub fn sample<F: Real>(
        &self,
        rows: Range<u64>,
        noise: Noise,
        control: Control<'_>,
    ) -> Result<Denoised, Error>
    where
        M: Denoiser<F>,
    {
        let (first, last) = (self.grid.first(), self.grid.last().t);
        let ok = self.grid.is_forward() && first.t == 0.0 && last <= 1.0;
        Error::domain(ok, "grid", last, "times going up from 0 to at most 1")?;
        FlowAt::new(&self.path, self.rates, first.t, 1.0)?;
        Error::shape("model", &[self.path.source.len()], &[self.model.states()])?;
        if self.model.output() == Output::Ratios {
            let reason = "needs the posterior of clean tokens, and the model gives ratios";
            return Err(Error::Unsupported { method: "flow", reason });
        }
        let batching = batching(&self.model);
        let whole = aligned(&rows, batching);
        let (dim, states) = (self.model.dim(), self.model.states());
        let (steps, jumps) = (noise.fork("flow"), noise.fork("flow jumps"));
        let blocks = run_blocks(whole.clone(), batching, control, |block, scratch| {
            let numbers: Vec<u64> = block.collect();
            let shape = (numbers.len(), dim);
            let mut uniforms = vec![0.0; numbers.len() * dim];
            let mut values = vec![F::zero(); uniforms.len() * states];
            let draw_uniforms = |noise: Noise, step: u64, uniforms: &mut [f64]| {
                let mut out = ArrayViewMut2::from_shape(shape, uniforms).expect("one for each token");
                noise.uniforms_into(&numbers, step, &mut out);
            };
            draw_uniforms(noise.fork("start"), 0, &mut uniforms);
            let source = &self.path.source;
            let mut x: Vec<u32> = uniforms.iter().map(|&u| draw(source, 1.0, u)).collect();
            let mut counts = LeapCounts::default();
            for (step, (from, to)) in (0..).zip(self.grid.pairs()) {
                let view = ArrayView2::from_shape(shape, &x).expect("a token for each place");
                let batch = Batch::new(&numbers, Times::Same(from), &view);
                let mut out = ArrayViewMut3::from_shape((numbers.len(), dim, states), &mut values);
                self.model.values_into(&batch, out.as_mut().expect("S numbers for each token"), scratch)?;
                counts.model_rows += numbers.len() as u64;
                draw_uniforms(steps, step, &mut uniforms);
                let at = At { step, time: from.t };
                if to.t == 1.0 {
                    last_step(&numbers, &mut x, &values, &uniforms, at)?;
                    continue;
                }
                let rates = FlowAt::new(&self.path, self.rates, from.t, 1.0 - from.t)?;
                let mut block = Block { rows: &numbers, x: &mut x, held: &[], states, counts };
                let law = Law::Leap(JumpRule::Last, to.t - from.t);
                let streams = jumps.fork_index(step);
                block.leap(&rates, law, &values, &uniforms, |row| streams.row_stream(row), at)?;
                counts = block.counts;
            }
            Ok((x, counts))
        })?;
        Ok(Denoised::gather(blocks, &rows, &whole, dim))
    }
}

/// Draws all tokens from their posterior.
pub(super) fn last_step<F: Real>(
    rows: &[u64],
    x: &mut [u32],
    values: &[F],
    uniforms: &[f64],
    at: At,
) -> Result<(), Error> {
    let (dim, states) = (x.len() / rows.len().max(1), values.len() / x.len().max(1));
    for (k, (x, p)) in x.iter_mut().zip(values.chunks_exact(states.max(1))).enumerate() {
        let sum: f64 = p.iter().map(|p| p.as_f64()).sum();
        if !(sum > 0.0 && sum.is_finite()) {
            let (what, row) = ("a posterior probability", rows[k / dim]);
            return Err(Error::NotFinite { what, row, step: at.step, time: at.time });
        }
        let all = |visit: &mut dyn FnMut(u32, f64)| (0..).zip(p).for_each(|(v, p)| visit(v, p.as_f64()));
        *x = draw_from(uniforms[k] * sum, all).expect("a positive probability");
    }
    Ok(())
}
